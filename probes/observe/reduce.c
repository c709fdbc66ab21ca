/* The reducers. Accumulators are per thread: the tiles of a head come in order on one thread. Rows
 * go in segments, which lie on one side of everything that a mean over rows tells apart; a segment is
 * read in blocks of offsets, so that the sums it adds to stay in the first-level cache. */
#include "probes/observe/reduce.h"
#include "engine/vector.h"
#include "probes/observe/observe.h"

#include <stdlib.h>

enum {
	BLOCK = 512,  /* offsets of a block                             */
	SEGMENT = 64, /* rows of a segment, at most                     */
	PEAK = 32,    /* keys whose largest probability is kept of a row */
	OCTAVES = 32  /* 2^31 positions                                 */
};

typedef struct {
	double *offset[SX_REDUCE_OFFSETS]; /* (T) sums by exact offset                          */
	sx_real *peak;                     /* (T/PEAK + 1) largest probability of PEAK keys     */
	double sink[OCTAVES], window[OCTAVES]; /* of rows i >= 2^m, on keys and offsets < 2^m   */
	double early[OCTAVES], near[OCTAVES];  /* of a segment, by bits of the key, of the offset */
	double mean[SEGMENT];                  /* of a row's scores                             */
	/* Of a block. Place l of `by_offset` is offset d0 + BLOCK - 1 - l, so that keys ascend in
	 * both. */
	double by_offset[SX_REDUCE_OFFSETS * BLOCK], by_key[BLOCK + SEGMENT];
	sx_real top[BLOCK + SEGMENT]; /* largest probability of a key                         */
} accumulator;

typedef struct {
	sx_observer_base base;
	const sx_reduce *r;
	accumulator *acc; /* one per thread */
	double *offsets;
	sx_real *peaks;
} reducer;

/* Rows [i0, i1) of a tile, and where its head's results go. */
typedef struct {
	const sx_tile *tile;
	int64_t i0, i1, at;
} segment;

static int64_t place_of_head(const reducer *o, const sx_head *h)
{
	const sx_reduce *r = o->r;
	int32_t slot = r->choice.slot[h->layer * r->H + h->head];
	return slot < 0 ? -1
			: (o->base.seq0 + h->seq) * r->choice.n_layer * r->choice.n_head + slot;
}

static void zero(double *x, int64_t n)
{
	if (x) memset(x, 0, (size_t)n * sizeof *x);
}

static void clear(const reducer *o, accumulator *a, int64_t at)
{
	const sx_reduce *r = o->r;
	sx_reduced *d = o->base.into->reduced;
	int64_t blocks = r->n_block * r->n_block;
	zero(a->offset[0], SX_REDUCE_OFFSETS * r->T);
	zero(a->sink, OCTAVES);
	zero(a->window, OCTAVES);
	if (r->keys) zero(d->key_mass + at * r->T, r->T);
	if (r->n_span) zero(d->span_mass + at * r->n_span, r->n_span);
	if (r->n_block) zero(d->block_mean + at * blocks, blocks);
	if (r->n_block) zero(d->block_max + at * blocks, blocks);
}

/* ---- single rows ---- */

/* Sums over n keys of p, s and p s; the largest p of every PEAK keys. */
SX_VECTOR
static void sums_and_peaks(const sx_real *p, const sx_real *s, int64_t n, double out[3],
			   sx_real *peak)
{
	double a[SX_LANES] = {0}, b[SX_LANES] = {0}, c[SX_LANES] = {0};
	for (int64_t j0 = 0; j0 < n; j0 += PEAK) {
		int64_t end = j0 + PEAK < n ? j0 + PEAK : n, j = j0;
		sx_real top[SX_LANES] = {0};
		for (; j + SX_LANES <= end; j += SX_LANES)
			for (int l = 0; l < SX_LANES; l++) {
				double x = (double)p[j + l], y = (double)s[j + l];
				a[l] += x, b[l] += y, c[l] += x * y;
				top[l] = p[j + l] > top[l] ? p[j + l] : top[l];
			}
		for (int l = 0; j + l < end; l++) {
			double x = (double)p[j + l], y = (double)s[j + l];
			a[l] += x, b[l] += y, c[l] += x * y;
			top[l] = p[j + l] > top[l] ? p[j + l] : top[l];
		}
		sx_real most = top[0];
		for (int l = 1; l < SX_LANES; l++) most = top[l] > most ? top[l] : most;
		peak[j0 / PEAK] = most;
	}
	memset(out, 0, 3 * sizeof *out);
	for (int l = 0; l < SX_LANES; l++) out[0] += a[l], out[1] += b[l], out[2] += c[l];
}

/* Place of the first largest entry. */
static int64_t first_largest(const sx_real *p, int64_t n, const sx_real *peak)
{
	int64_t best = 0;
	for (int64_t b = 1; b * PEAK < n; b++)
		if (peak[b] > peak[best]) best = b;
	int64_t j = best * PEAK, end = j + PEAK < n ? j + PEAK : n, at = j;
	for (; j < end; j++)
		if (p[j] > p[at]) at = j;
	return at;
}

/* The largest entries so far, in order; of equal ones the first seen stays before. What is larger than
 * bar belongs to them. */
typedef struct {
	int n, most;
	sx_real bar, value[SX_REDUCE_TOP];
	int64_t key[SX_REDUCE_TOP];
} list;

static void insert(list *t, sx_real x, int64_t key)
{
	int k = t->n < t->most ? t->n++ : t->n - 1;
	for (; k > 0 && x > t->value[k - 1]; k--)
		t->value[k] = t->value[k - 1], t->key[k] = t->key[k - 1];
	t->value[k] = x, t->key[k] = key;
	if (t->n == t->most) t->bar = t->value[t->n - 1];
}

/* The most largest of n entries. As many blocks as are asked for hold entries at least as large as the
 * last of the largest peaks: no other block need be looked at, whatever the order of the entries. */
static list largest(const sx_real *p, int64_t n, const sx_real *peak, int most)
{
	list peaks = {.most = most, .bar = -1}, t = {.most = most, .bar = -1};
	for (int64_t b = 0; b * PEAK < n; b++)
		if (peak[b] > peaks.bar) insert(&peaks, peak[b], b);
	for (int64_t b = 0; b * PEAK < n; b++) {
		if (peak[b] < peaks.bar || peak[b] <= t.bar) continue;
		int64_t end = b * PEAK + PEAK < n ? b * PEAK + PEAK : n;
		for (int64_t j = b * PEAK; j < end; j++)
			if (p[j] > t.bar) insert(&t, p[j], j);
	}
	return t;
}

/* One row: its results; returns the mean of its scores. */
static double one_row(const reducer *o, accumulator *a, const segment *g, int64_t i)
{
	const sx_reduce *r = o->r;
	const sx_tile *t = g->tile;
	sx_reduced *d = o->base.into->reduced;
	int64_t first = sx_first_key(i, t->head->plan->window), n = i - first + 1;
	int64_t from = (i - t->row0) * t->ld + (first - t->key0);
	int64_t row = g->at * r->choice.n_query + r->choice.place[i];
	const sx_real *p = t->p + from, *s = t->s + from;
	double sum[3];
	sums_and_peaks(p, s, n, sum, a->peak);
	if (r->rows) {
		/* ln alpha_ij = s_ij - top s + ln top p: exact in the largest entry, which may be
		 * nearly all there is */
		int64_t j = first_largest(p, n, a->peak);
		double entropy = (double)s[j] * sum[0] - sum[2] - log((double)p[j]) * sum[0];
		d->row_entropy[row] = entropy > 0 ? entropy : 0;
		d->row_max[row] = (double)p[j];
		d->row_max_offset[row] = (int32_t)(n - 1 - j);
	}
	if (r->top) {
		list top = largest(p, n, a->peak, r->top);
		for (int k = 0; k < top.n; k++) {
			d->top_prob[row * r->top + k] = (float)top.value[k];
			d->top_key[row * r->top + k] = (int32_t)(first + top.key[k]);
		}
	}
	return sum[1] / (double)n;
}

/* ---- blocks ---- */

/* n keys of one row into the sums by offset (BLOCK apart) and by key. */
SX_VECTOR
static void add_row_to_block(double *restrict by_offset, double *restrict by_key,
			     const sx_real *restrict p, const sx_real *restrict s, double mean,
			     int64_t n)
{
	for (int64_t l = 0; l < n; l++) {
		double x = (double)p[l], y = (double)s[l] - mean;
		by_offset[l] += x;
		by_offset[l + BLOCK] += x * x;
		by_offset[l + 2 * BLOCK] += y;
		by_offset[l + 3 * BLOCK] += y * y;
		by_key[l] += x;
	}
}

SX_VECTOR
static void most_row_to_block(sx_real *restrict top, const sx_real *restrict p, int64_t n)
{
	for (int64_t l = 0; l < n; l++) top[l] = p[l] > top[l] ? p[l] : top[l];
}

SX_VECTOR
static double sum_of_block(const double *x, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t k = 0;
	for (; k + SX_LANES <= n; k += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += x[k + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	for (; k < n; k++) sum += x[k];
	return sum;
}

SX_VECTOR
static sx_real most_of_block(const sx_real *x, int64_t n)
{
	sx_real most = 0;
	for (int64_t k = 0; k < n; k++) most = x[k] > most ? x[k] : most;
	return most;
}

/* x (n), at positions `from` on, into sums by the number of bits of the position; where x descends, from
 * the last to the first. */
static void add_octaves(double octave[OCTAVES], const double *x, int64_t from, int64_t n,
			bool descends)
{
	int bits = 0;
	while ((int64_t)1 << bits <= from) bits++;
	for (int64_t k = 0, m; k < n; k += m, bits++) {
		m = ((int64_t)1 << bits) - (from + k);
		if (m > n - k) m = n - k;
		octave[bits] += sum_of_block(descends ? x + (n - k - m) : x + k, m);
	}
}

static void flush_offsets(const reducer *o, accumulator *a, int64_t d0, int64_t n)
{
	const double *x = a->by_offset + BLOCK - 1;
	for (int q = 0; q < SX_REDUCE_OFFSETS; q++, x += BLOCK)
		for (int64_t k = 0; k < n; k++) a->offset[q][d0 + k] += x[-k];
	if (o->r->masses) add_octaves(a->near, a->by_offset + BLOCK - n, d0, n, true);
}

/* Sums of keys [j, j + n), which stand at x, into the spans that end before the segment. */
static void flush_spans(const reducer *o, const segment *g, const double *x, int64_t j, int64_t n)
{
	const sx_reduce *r = o->r;
	int64_t seq = o->base.seq0 + g->tile->head->seq;
	double *mass = o->base.into->reduced->span_mass + g->at * r->n_span;
	for (int64_t k = 0; k < r->n_span; k++) {
		int64_t first = r->span_first[seq * r->n_span + k];
		int64_t last = r->span_last[seq * r->n_span + k];
		if (first < 0 || last >= g->i0) continue;
		int64_t from = first > j ? first : j, to = last < j + n - 1 ? last : j + n - 1;
		if (from <= to) mass[k] += sum_of_block(x + (from - j), to - from + 1);
	}
}

static void flush_blocks(const reducer *o, const segment *g, const double *x, const sx_real *top,
			 int64_t j, int64_t n)
{
	const sx_reduce *r = o->r;
	sx_reduced *d = o->base.into->reduced;
	int64_t row = (g->at * r->n_block + g->i0 / r->block) * r->n_block;
	for (int64_t k = 0, m; k < n; k += m) {
		int64_t block = (j + k) / r->block;
		m = (block + 1) * r->block - (j + k);
		if (m > n - k) m = n - k;
		double most = (double)most_of_block(top + k, m);
		d->block_mean[row + block] += sum_of_block(x + k, m);
		if (most > d->block_max[row + block]) d->block_max[row + block] = most;
	}
}

static void flush_keys(const reducer *o, accumulator *a, const segment *g, int64_t d0)
{
	const sx_reduce *r = o->r;
	int64_t j = g->i0 - (d0 + BLOCK - 1), n = BLOCK + (g->i1 - g->i0) - 1;
	int64_t skip = j < 0 ? -j : 0;
	const double *x = a->by_key + skip;
	j += skip, n -= skip;
	if (r->keys) {
		double *mass = o->base.into->reduced->key_mass + g->at * r->T + j;
		for (int64_t k = 0; k < n; k++) mass[k] += x[k];
	}
	if (r->masses) add_octaves(a->early, x, j, n, false);
	if (r->n_span) flush_spans(o, g, x, j, n);
	if (r->n_block) flush_blocks(o, g, x, a->top + skip, j, n);
}

/* Offsets [d0, d0 + BLOCK) of a segment's rows. */
static void one_block(const reducer *o, accumulator *a, const segment *g, int64_t d0, int64_t n_off)
{
	const sx_tile *t = g->tile;
	int64_t rows = g->i1 - g->i0;
	memset(a->by_offset, 0, sizeof a->by_offset);
	memset(a->by_key, 0, sizeof a->by_key);
	memset(a->top, 0, sizeof a->top);
	for (int64_t k = 0; k < rows; k++) {
		int64_t i = g->i0 + k, seen = i - sx_first_key(i, t->head->plan->window) + 1 - d0;
		if (seen <= 0) continue;
		int64_t l = seen < BLOCK ? BLOCK - seen : 0, j = i - (d0 + BLOCK - 1) + l;
		int64_t from = (i - t->row0) * t->ld + (j - t->key0);
		add_row_to_block(a->by_offset + l, a->by_key + k + l, t->p + from, t->s + from,
				 a->mean[k], BLOCK - l);
		if (o->r->n_block) most_row_to_block(a->top + k + l, t->p + from, BLOCK - l);
	}
	flush_offsets(o, a, d0, n_off);
	flush_keys(o, a, g, d0);
}

/* The segment's masses on keys and offsets below 2^m, for each m that all of its rows exceed. */
static void add_masses(accumulator *a, int64_t i0)
{
	double sink = 0, window = 0;
	for (int m = 0; (int64_t)1 << m <= i0; m++) {
		sink += a->early[m];
		window += a->near[m];
		a->sink[m] += sink;
		a->window[m] += window;
	}
}

static bool wants_blocks(const sx_reduce *r)
{
	return r->offsets || r->keys || r->masses || r->distance || r->n_span || r->n_block;
}

static void one_segment(const reducer *o, accumulator *a, const segment *g)
{
	int64_t last = g->i1 - 1, n = last - sx_first_key(last, g->tile->head->plan->window) + 1;
	for (int64_t i = g->i0; i < g->i1; i++) a->mean[i - g->i0] = one_row(o, a, g, i);
	if (!wants_blocks(o->r)) return;
	zero(a->early, OCTAVES);
	zero(a->near, OCTAVES);
	for (int64_t d0 = 0; d0 < n; d0 += BLOCK)
		one_block(o, a, g, d0, n - d0 < BLOCK ? n - d0 : BLOCK);
	if (o->r->masses) add_masses(a, g->i0);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Where the segment that begins with the chosen row i ends, at `end` at the latest. */
static int64_t segment_end(const reducer *o, int64_t seq, int64_t i, int64_t end)
{
	const sx_reduce *r = o->r;
	end = earlier(end, i + SEGMENT);
	for (int m = 0; r->masses && (int64_t)1 << m < end; m++)
		if ((int64_t)1 << m > i) end = (int64_t)1 << m;
	if (r->n_block) end = earlier(end, (i / r->block + 1) * r->block);
	for (int64_t k = 0; k < r->n_span; k++) {
		int64_t last = r->span_last[seq * r->n_span + k];
		if (last >= i) end = earlier(end, last + 1);
	}
	int64_t i1 = i + 1;
	while (i1 < end && r->choice.place[i1] >= 0) i1++;
	return i1;
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	reducer *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	segment g = {.tile = t, .at = place_of_head(o, h)};
	if (g.at < 0) return SX_OK;
	if (t->row0 == 0) clear(o, a, g.at);
	for (int64_t i = t->row0; i < t->row0 + t->nrow; i = g.i1) {
		g.i0 = i, g.i1 = i + 1;
		if (o->r->choice.place[i] < 0) continue;
		g.i1 = segment_end(o, o->base.seq0 + h->seq, i, t->row0 + t->nrow);
		one_segment(o, a, &g);
	}
	return SX_OK;
}

/* ---- a whole head ---- */

/* Chosen rows from i on. */
static int64_t rows_from(const sx_reduce *r, int64_t i)
{
	while (i < r->T && r->choice.place[i] < 0) i++;
	return i < r->T ? r->choice.n_query - r->choice.place[i] : 0;
}

static double mean_of(double sum, int64_t n)
{
	return n ? sum / (double)n : (double)NAN;
}

static void finish_offsets(const reducer *o, const accumulator *a, int64_t at)
{
	const sx_reduce *r = o->r;
	sx_reduced *d = o->base.into->reduced;
	double distance = 0, distance2 = 0;
	for (int q = 0; r->offsets && q < SX_REDUCE_OFFSETS; q++) {
		double *bin = d->offset[q] + at * r->n_bin;
		zero(bin, r->n_bin);
		for (int64_t k = 0; k < r->T; k++) bin[sx_reduce_bin(k)] += a->offset[q][k];
	}
	if (!r->distance) return;
	for (int64_t k = 0; k < r->T; k++) {
		distance += (double)k * a->offset[SX_REDUCE_PROB][k];
		distance2 += (double)k * (double)k * a->offset[SX_REDUCE_PROB][k];
	}
	d->distance[at] = mean_of(distance, r->choice.n_query);
	d->distance2[at] = mean_of(distance2, r->choice.n_query);
}

/* Visible pairs of a block of rows and one of keys. */
static int64_t pairs_of_block(const sx_reduce *r, int64_t rows, int64_t keys, int64_t window)
{
	int64_t n = 0, end = earlier(r->T, (rows + 1) * r->block);
	for (int64_t i = rows * r->block; i < end; i++) {
		int64_t from = sx_first_key(i, window), to = earlier(i + 1, (keys + 1) * r->block);
		if (from < keys * r->block) from = keys * r->block;
		if (r->choice.place[i] >= 0 && to > from) n += to - from;
	}
	return n;
}

static void finish_blocks(const reducer *o, const sx_head *h, int64_t at)
{
	const sx_reduce *r = o->r;
	sx_reduced *d = o->base.into->reduced;
	for (int64_t rows = 0; rows < r->n_block; rows++)
		for (int64_t keys = 0; keys < r->n_block; keys++) {
			int64_t k = (at * r->n_block + rows) * r->n_block + keys;
			int64_t n = pairs_of_block(r, rows, keys, h->plan->window);
			d->block_mean[k] = mean_of(d->block_mean[k], n);
			if (n == 0) d->block_max[k] = (double)NAN;
		}
}

static void finish_spans(const reducer *o, int64_t seq, int64_t at)
{
	const sx_reduce *r = o->r;
	double *mass = o->base.into->reduced->span_mass + at * r->n_span;
	for (int64_t k = 0; k < r->n_span; k++) {
		int64_t last = r->span_last[seq * r->n_span + k];
		mass[k] = mean_of(mass[k], last < 0 ? 0 : rows_from(r, last + 1));
	}
}

static sx_status on_head(void *self, const sx_head *h)
{
	reducer *o = self;
	const sx_reduce *r = o->r;
	const accumulator *a = &o->acc[h->thread];
	sx_reduced *d = o->base.into->reduced;
	int64_t at = place_of_head(o, h);
	if (at < 0) return SX_OK;
	finish_offsets(o, a, at);
	for (int64_t m = 0; r->masses && m < r->n_width; m++) {
		int64_t n = rows_from(r, (int64_t)1 << m);
		d->sink_mass[at * r->n_width + m] = mean_of(a->sink[m], n);
		d->window_mass[at * r->n_width + m] = mean_of(a->window[m], n);
	}
	if (r->n_span) finish_spans(o, o->base.seq0 + h->seq, at);
	if (r->n_block) finish_blocks(o, h, at);
	return SX_OK;
}

/* ---- the observer ---- */

static void stop(void *self)
{
	reducer *o = self;
	if (!o) return;
	free(o->acc);
	free(o->offsets);
	free(o->peaks);
	free(o);
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t T = base->into->T, peaks = T / PEAK + 1, n = base->threads;
	reducer *o = sx_calloc(1, sizeof *o);
	if (o) {
		o->base = *base;
		o->r = base->reduce;
		o->acc = sx_calloc((size_t)n, sizeof *o->acc);
		o->offsets = sx_calloc((size_t)(n * SX_REDUCE_OFFSETS * T), sizeof *o->offsets);
		o->peaks = sx_calloc((size_t)(n * peaks), sizeof *o->peaks);
	}
	if (!o || !o->acc || !o->offsets || !o->peaks) {
		stop(o);
		return;
	}
	for (int64_t i = 0; i < n; i++) {
		o->acc[i].peak = o->peaks + i * peaks;
		for (int64_t q = 0; q < SX_REDUCE_OFFSETS; q++)
			o->acc[i].offset[q] = o->offsets + (i * SX_REDUCE_OFFSETS + q) * T;
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->reduce != NULL;
}

const sx_observer_kind sx_observe_reduce = {"reduce", wanted, start, stop};

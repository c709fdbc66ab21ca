/* Statistics of every head, and the additive split of its scores. Accumulators are per thread: the
 * tiles of a head come in order on one thread. */
#include "engine/vector.h"
#include "probes/observe.h"

#include <stdlib.h>

/* A statistic that is a mean over the rows that qualify. */
typedef struct {
	double sum;
	int64_t rows;
} mean;

static void add(mean *m, double value)
{
	m->sum += value;
	m->rows++;
}

static double value_of(mean m)
{
	return m.rows ? m.sum / (double)m.rows : (double)NAN;
}

typedef struct {
	mean of[SX_STAT_COUNT];
	double variance; /* sum over rows of the scores' variance         */
	double ss_within;
	double *key, *offset; /* (T) sums of scores less their row means       */
	double *profile;      /* (T) sums of alpha by offset                   */
	double *rows_with;    /* (T) rows that have the offset                 */
	double *split;        /* scratch of sx_additive_split                  */
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc; /* one per thread */
	double *memory;
} stats;

static void clear(accumulator *a, int64_t T)
{
	memset(a->of, 0, sizeof a->of);
	a->variance = a->ss_within = 0;
	memset(a->key, 0, 4 * (size_t)T * sizeof *a->key); /* key, offset, profile, rows_with */
}

/* One row: what needs the probabilities alone. n visible keys, the last is the row's own. */
SX_VECTOR
static void sums_of_row(const sx_real *p, const sx_real *s, int64_t n, double out[5])
{
	enum { PS, DIST, SUM_S, MAX_P, MAX_S };
	double ps[SX_LANES] = {0}, dist[SX_LANES] = {0}, sum_s[SX_LANES] = {0};
	sx_real top_p = p[0], top_s = s[0];
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double pj = (double)p[j + l], sj = (double)s[j + l];
			ps[l] += pj * sj;
			dist[l] += pj * (double)(n - 1 - j - l);
			sum_s[l] += sj;
		}
	for (int l = 0; j + l < n; l++) {
		double pj = (double)p[j + l], sj = (double)s[j + l];
		ps[l] += pj * sj;
		dist[l] += pj * (double)(n - 1 - j - l);
		sum_s[l] += sj;
	}
	for (j = 0; j < n; j++) {
		top_p = p[j] > top_p ? p[j] : top_p;
		top_s = s[j] > top_s ? s[j] : top_s;
	}
	memset(out, 0, 5 * sizeof *out);
	for (int l = 0; l < SX_LANES; l++) {
		out[PS] += ps[l];
		out[DIST] += dist[l];
		out[SUM_S] += sum_s[l];
	}
	out[MAX_P] = (double)top_p;
	out[MAX_S] = (double)top_s;
}

/* Sums by key and by offset: centred scores, probabilities. Returns the centred sum of squares. */
static double spread_row(accumulator *a, const sx_real *p, const sx_real *s, double mean_s,
			 int64_t i, int64_t first)
{
	double ss = 0;
	for (int64_t j = first; j <= i; j++) {
		double c = (double)s[j - first] - mean_s;
		ss += c * c;
		a->key[j] += c;
		a->offset[i - j] += c;
		a->profile[i - j] += (double)p[j - first];
		a->rows_with[i - j] += 1;
	}
	return ss;
}

/* Masses on keys with equal tokens. */
static void token_masses(accumulator *a, const sx_real *p, const int32_t *x, int64_t i,
			 int64_t first, bool asked)
{
	double duplicate = 0, induction = 0;
	bool has_duplicate = false, has_induction = false;
	for (int64_t j = first; j <= i; j++) {
		if (j < i && x[j] == x[i]) {
			duplicate += (double)p[j - first];
			has_duplicate = true;
		}
		if (j > 0 && x[j - 1] == x[i]) {
			induction += (double)p[j - first];
			has_induction = true;
		}
	}
	if (has_duplicate) add(&a->of[SX_STAT_DUPLICATE_MASS], duplicate);
	if (has_induction) add(&a->of[SX_STAT_INDUCTION_MASS], induction);
	if (has_induction && asked) add(&a->of[SX_STAT_RETRIEVAL_MASS], induction);
}

static void position_masses(accumulator *a, const sx_real *p, int64_t i, int64_t first)
{
	enum { SINK = 4 };
	add(&a->of[SX_STAT_DIAG_MASS], (double)p[i - first]);
	if (i >= 1) {
		add(&a->of[SX_STAT_PREV_MASS], first <= i - 1 ? (double)p[i - 1 - first] : 0);
		add(&a->of[SX_STAT_FIRST_MASS], first == 0 ? (double)p[0] : 0);
	}
	if (i < SINK) return;
	double sink = 0;
	for (int64_t j = first; j < SINK; j++) sink += (double)p[j - first];
	add(&a->of[SX_STAT_SINK_MASS], sink);
}

static double norm_row(const sx_real *x, int64_t n)
{
	return sqrt((double)sx_dot(x, x, n));
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	stats *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	const uint8_t *query = o->base.query_row;
	if (query) query += (o->base.seq0 + h->seq) * h->T;
	if (t->row0 == 0) clear(a, h->T);
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, h->plan->window),
			n = i - first + 1;
		const sx_real *p = t->p + r * t->ld + (first - t->key0);
		const sx_real *s = t->s + r * t->ld + (first - t->key0);
		double sum[5];
		sums_of_row(p, s, n, sum);
		/* H = lse - sum p s, and the largest probability is exp(largest score - lse) */
		double entropy = sum[4] - log(sum[3]) - sum[0];
		add(&a->of[SX_STAT_ENTROPY], entropy < 0 ? 0 : entropy);
		add(&a->of[SX_STAT_MAX_PROB], sum[3]);
		add(&a->of[SX_STAT_MEAN_DISTANCE], sum[1]);
		double ss = spread_row(a, p, s, sum[2] / (double)n, i, first);
		a->ss_within += ss;
		a->variance += ss / (double)n;
		position_masses(a, p, i, first);
		token_masses(a, p, h->tokens, i, first, query && query[i]);
		add(&a->of[SX_STAT_Q_NORM], norm_row(h->q + i * h->ldq, h->spec->D));
		add(&a->of[SX_STAT_K_NORM], norm_row(h->k + i * h->ldk, h->spec->D));
	}
	return SX_OK;
}

static sx_status on_head(void *self, const sx_head *h)
{
	stats *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int64_t at = sx_measure_at(&o->base, h);
	for (int s = 0; s < SX_STAT_COUNT; s++) m->stat[s][at] = value_of(a->of[s]);
	m->stat[SX_STAT_LOGIT_STD][at] = sqrt(a->variance / (double)h->T);
	double split[4];
	sx_additive_split(split, a->key, a->offset, a->ss_within, h->T, h->plan->window, a->split);
	m->stat[SX_STAT_SS_WITHIN][at] = a->ss_within;
	m->stat[SX_STAT_SS_OFFSET][at] = split[0];
	m->stat[SX_STAT_SS_KEY][at] = split[1];
	m->stat[SX_STAT_SS_INTERACTION][at] = split[2];
	m->stat[SX_STAT_R2_OFFSET][at] = split[3];
	double *bins = m->offset_profile + at * SX_OFFSET_BINS;
	double *scores = m->score_offset + at * SX_OFFSET_BINS;
	double rows[SX_OFFSET_BINS] = {0}, mass[SX_OFFSET_BINS] = {0}, score[SX_OFFSET_BINS] = {0};
	for (int64_t d = 0; d < h->T; d++) {
		int b = sx_offset_bin(d);
		rows[b] += a->rows_with[d];
		mass[b] += a->profile[d];
		score[b] += a->offset[d];
	}
	for (int b = 0; b < SX_OFFSET_BINS; b++) {
		bins[b] = rows[b] > 0 ? mass[b] / rows[b] : (double)NAN;
		scores[b] = rows[b] > 0 ? score[b] : (double)NAN;
	}
	return SX_OK;
}

static void stop(void *self)
{
	stats *o = self;
	if (!o) return;
	free(o->acc);
	free(o->memory);
	free(o);
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t T = base->into->T, each = 4 * T + 10 * T + 1;
	stats *o = sx_calloc(1, sizeof *o);
	if (o) {
		o->base = *base;
		o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
		o->memory = sx_calloc((size_t)(base->threads * each), sizeof *o->memory);
	}
	if (!o || !o->acc || !o->memory) {
		stop(o);
		return;
	}
	for (int i = 0; i < base->threads; i++) {
		double *at = o->memory + i * each;
		o->acc[i] = (accumulator){.key = at,
					  .offset = at + T,
					  .profile = at + 2 * T,
					  .rows_with = at + 3 * T,
					  .split = at + 4 * T};
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->stats;
}

const sx_observer_kind sx_observe_stats = {"stats", wanted, start, stop};

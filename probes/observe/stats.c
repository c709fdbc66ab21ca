/* Statistics of every head, and the additive split of its scores. Accumulators are per thread: the
 * tiles of a head come in order on one thread. */
#include "engine/vector.h"
#include "probes/observe/observe.h"

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
	/* Sums of scores less their row means, of alpha by offset. Offset d is at T-1-d, so that
	 * along a row both indices run the same way; by_offset is `offset` in order of d. */
	double *key, *offset, *profile; /* (T) */
	double *by_offset;              /* (T) */
	double *split;                  /* scratch of sx_additive_split */
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
	memset(a->key, 0, 3 * (size_t)T * sizeof *a->key); /* key, offset, profile */
}

/* One row of n visible keys, the last is the row's own. */
SX_VECTOR
static void sums_of_row(const sx_real *p, const sx_real *s, int64_t n, double out[5])
{
	enum { PS, DIST, SUM_S, MAX_P, MAX_S };
	double ps[SX_LANES] = {0}, dist[SX_LANES] = {0}, sum_s[SX_LANES] = {0};
	sx_real top_p[SX_LANES], top_s[SX_LANES];
	int64_t j = 0;
	for (int l = 0; l < SX_LANES; l++) top_p[l] = p[0], top_s[l] = s[0];
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double pj = (double)p[j + l], sj = (double)s[j + l];
			ps[l] += pj * sj;
			dist[l] += pj * (double)(n - 1 - j - l);
			sum_s[l] += sj;
			top_p[l] = p[j + l] > top_p[l] ? p[j + l] : top_p[l];
			top_s[l] = s[j + l] > top_s[l] ? s[j + l] : top_s[l];
		}
	for (int l = 0; j + l < n; l++) {
		double pj = (double)p[j + l], sj = (double)s[j + l];
		ps[l] += pj * sj;
		dist[l] += pj * (double)(n - 1 - j - l);
		sum_s[l] += sj;
		top_p[l] = p[j + l] > top_p[l] ? p[j + l] : top_p[l];
		top_s[l] = s[j + l] > top_s[l] ? s[j + l] : top_s[l];
	}
	memset(out, 0, 5 * sizeof *out);
	for (int l = 0; l < SX_LANES; l++) {
		out[PS] += ps[l];
		out[DIST] += dist[l];
		out[SUM_S] += sum_s[l];
		top_p[0] = top_p[l] > top_p[0] ? top_p[l] : top_p[0];
		top_s[0] = top_s[l] > top_s[0] ? top_s[l] : top_s[0];
	}
	out[MAX_P] = (double)top_p[0];
	out[MAX_S] = (double)top_s[0];
}

/* Sums by key and by offset over n keys: centred scores, probabilities. key, offset and profile point
 * at the first key's place. Returns the centred sum of squares. */
SX_VECTOR
static double spread_row(double *restrict key, double *restrict offset, double *restrict profile,
			 const sx_real *p, const sx_real *s, double mean_s, int64_t n)
{
	double lane[SX_LANES] = {0}, ss = 0;
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double c = (double)s[j + l] - mean_s;
			lane[l] += c * c;
			key[j + l] += c;
			offset[j + l] += c;
			profile[j + l] += (double)p[j + l];
		}
	for (int l = 0; j + l < n; l++) {
		double c = (double)s[j + l] - mean_s;
		lane[l] += c * c;
		key[j + l] += c;
		offset[j + l] += c;
		profile[j + l] += (double)p[j + l];
	}
	for (int l = 0; l < SX_LANES; l++) ss += lane[l];
	return ss;
}

/* Mass on the keys j of n with x[j] = token, and how many these are. */
SX_VECTOR
static int64_t mass_on_token(double *mass, const sx_real *p, const int32_t *x, int32_t token,
			     int64_t n)
{
	double lane[SX_LANES] = {0};
	int32_t found[SX_LANES] = {0};
	int64_t j = 0, count = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			lane[l] += x[j + l] == token ? (double)p[j + l] : 0;
			found[l] += x[j + l] == token;
		}
	for (int l = 0; j + l < n; l++) {
		lane[l] += x[j + l] == token ? (double)p[j + l] : 0;
		found[l] += x[j + l] == token;
	}
	*mass = 0;
	for (int l = 0; l < SX_LANES; l++) {
		*mass += lane[l];
		count += found[l];
	}
	return count;
}

/* Masses on keys j < i with x_j = x_i, and on keys 0 < j <= i with x_{j-1} = x_i. */
static void token_masses(accumulator *a, const sx_real *p, const int32_t *x, int64_t i,
			 int64_t first, bool asked)
{
	double duplicate, induction;
	int64_t from = first > 0 ? first : 1;
	bool has_duplicate = mass_on_token(&duplicate, p, x + first, x[i], i - first) > 0;
	bool has_induction =
		mass_on_token(&induction, p + from - first, x + from - 1, x[i], i + 1 - from) > 0;
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

SX_VECTOR
static double stats_norm_row(const sx_real *x, int64_t n)
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
		int64_t at = h->T - 1 - i + first; /* of offset i - first */
		double ss = spread_row(a->key + first, a->offset + at, a->profile + at, p, s,
				       sum[2] / (double)n, n);
		a->ss_within += ss;
		a->variance += ss / (double)n;
		position_masses(a, p, i, first);
		token_masses(a, p, h->tokens, i, first, query && query[i]);
		add(&a->of[SX_STAT_Q_NORM], stats_norm_row(h->q + i * h->ldq, h->spec->D));
		add(&a->of[SX_STAT_K_NORM], stats_norm_row(h->k + i * h->ldk, h->spec->D));
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
	int64_t T = h->T, window = h->plan->window;
	for (int64_t d = 0; d < T; d++) a->by_offset[d] = a->offset[T - 1 - d];
	sx_additive_split(split, a->key, a->by_offset, a->ss_within, T, window, a->split);
	m->stat[SX_STAT_SS_WITHIN][at] = a->ss_within;
	m->stat[SX_STAT_SS_OFFSET][at] = split[0];
	m->stat[SX_STAT_SS_KEY][at] = split[1];
	m->stat[SX_STAT_SS_INTERACTION][at] = split[2];
	m->stat[SX_STAT_R2_OFFSET][at] = split[3];
	double *bins = m->offset_profile + at * SX_OFFSET_BINS;
	double *scores = m->score_offset + at * sx_score_bins(T);
	double rows[SX_OFFSET_BINS] = {0}, mass[SX_OFFSET_BINS] = {0};
	for (int64_t d = 0; d < T && (window == 0 || d < window); d++) {
		int b = sx_offset_bin(d);
		rows[b] += (double)(T - d);
		mass[b] += a->profile[T - 1 - d];
		int64_t s = sx_score_bin(d);
		scores[s] = a->by_offset[d] + (d > sx_score_bin_edge(s) ? scores[s] : 0);
	}
	for (int b = 0; b < SX_OFFSET_BINS; b++)
		bins[b] = rows[b] > 0 ? mass[b] / rows[b] : (double)NAN;
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
					  .by_offset = at + 3 * T,
					  .split = at + 4 * T};
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->stats;
}

const sx_observer_kind sx_observe_stats = {"stats", wanted, start, stop};

/* What each pair of channels contributes to a head's scores: s = sum_m s^(m) + rest. Pairs are (m, m +
 * n_freq) of the rotated width, whether or not the plan turns them, so that a head can be followed
 * through the drop. Arrays have room for all D/2 pairs; where the plan rotates a part of the channels
 * alone, the pairs beyond it are not defined and stay NaN. */
#include "engine/vector.h"
#include "probes/observe/observe.h"

#include <stdlib.h>

/* One part of the scores: a pair, or the rest. */
typedef struct {
	double absolute, sum, covariance;
} part;

typedef struct {
	double *k_t;     /* (D,T) keys, channels first                    */
	double *term;    /* (T) one row of one part                       */
	part *parts;     /* (n_freq + 1)                                  */
	double variance; /* sum over the triangle of (s - row mean)^2     */
	double *norms;   /* (2, n_freq) sums of norms of q, k             */
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc;
	double *memory;
	part *parts;
} rope;

static void clear(accumulator *a, const sx_head *h, int n_freq)
{
	int64_t T = h->T, D = h->spec->D;
	memset(a->parts, 0, ((size_t)n_freq + 1) * sizeof *a->parts);
	memset(a->norms, 0, 2 * (size_t)n_freq * sizeof *a->norms);
	a->variance = 0;
	for (int64_t j = 0; j < T; j++)
		for (int64_t d = 0; d < D; d++) a->k_t[d * T + j] = (double)h->k[j * h->ldk + d];
}

static double pair_norm(const sx_real *x, int m, int n_freq)
{
	return sqrt((double)x[m] * (double)x[m] + (double)x[m + n_freq] * (double)x[m + n_freq]);
}

/* Over n keys: sum |t|, sum t, sum t s. */
SX_VECTOR
static void moments(const double *t, const sx_real *s, int64_t n, double out[3])
{
	double a[SX_LANES] = {0}, b[SX_LANES] = {0}, c[SX_LANES] = {0};
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			a[l] += fabs(t[j + l]);
			b[l] += t[j + l];
			c[l] += t[j + l] * (double)s[j + l];
		}
	for (int l = 0; j + l < n; l++) {
		a[l] += fabs(t[j + l]);
		b[l] += t[j + l];
		c[l] += t[j + l] * (double)s[j + l];
	}
	memset(out, 0, 3 * sizeof *out);
	for (int l = 0; l < SX_LANES; l++) out[0] += a[l], out[1] += b[l], out[2] += c[l];
}

/* The same of t_j = q0 k0_j + q1 k1_j, one pair of channels. */
SX_VECTOR
static void pair_moments(const double *k0, const double *k1, double q0, double q1, const sx_real *s,
			 int64_t n, double out[3])
{
	double a[SX_LANES] = {0}, b[SX_LANES] = {0}, c[SX_LANES] = {0};
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double t = q0 * k0[j + l] + q1 * k1[j + l];
			a[l] += fabs(t);
			b[l] += t;
			c[l] += t * (double)s[j + l];
		}
	for (int l = 0; j + l < n; l++) {
		double t = q0 * k0[j + l] + q1 * k1[j + l];
		a[l] += fabs(t);
		b[l] += t;
		c[l] += t * (double)s[j + l];
	}
	memset(out, 0, 3 * sizeof *out);
	for (int l = 0; l < SX_LANES; l++) out[0] += a[l], out[1] += b[l], out[2] += c[l];
}

SX_VECTOR
static void outer_row(double *t, const double *k, double q, int64_t n, bool first)
{
	if (first)
		for (int64_t j = 0; j < n; j++) t[j] = q * k[j];
	else
		for (int64_t j = 0; j < n; j++) t[j] += q * k[j];
}

SX_VECTOR
static double mean_of_scores(const sx_real *s, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += (double)s[j + l];
	for (int l = 0; j + l < n; l++) lane[l] += (double)s[j + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum / (double)n;
}

/* sum (s - mean)^2 */
SX_VECTOR
static double squares_of_scores(const sx_real *s, double mean, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double c = (double)s[j + l] - mean;
			lane[l] += c * c;
		}
	for (int l = 0; j + l < n; l++) {
		double c = (double)s[j + l] - mean;
		lane[l] += c * c;
	}
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

static void one_row(accumulator *a, const sx_head *h, const sx_real *s, int64_t i, int64_t first)
{
	int n_freq = h->plan->n_freq, D = h->spec->D;
	int64_t n = i - first + 1, T = h->T;
	const sx_real *q = h->q + i * h->ldq;
	double mean = mean_of_scores(s, n);
	a->variance += squares_of_scores(s, mean, n);
	for (int m = 0; m <= n_freq; m++) {
		bool any = m < n_freq || h->plan->rotary < D;
		if (!any) continue;
		const double *k = a->k_t + first;
		double sum[3];
		if (m < n_freq) {
			pair_moments(k + m * T, k + (m + n_freq) * T, h->scale * (double)q[m],
				     h->scale * (double)q[m + n_freq], s, n, sum);
		} else {
			for (int d = h->plan->rotary; d < D; d++)
				outer_row(a->term, k + d * T, h->scale * (double)q[d], n,
					  d == h->plan->rotary);
			moments(a->term, s, n, sum);
		}
		a->parts[m].absolute += sum[0];
		a->parts[m].sum += sum[1];
		a->parts[m].covariance += sum[2] - sum[1] * mean;
	}
	for (int m = 0; m < n_freq; m++) {
		a->norms[m] += pair_norm(q, m, n_freq);
		a->norms[n_freq + m] += pair_norm(h->k + i * h->ldk, m, n_freq);
	}
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	rope *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	if (t->row0 == 0) clear(a, h, h->plan->n_freq);
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, h->plan->window);
		one_row(a, h, t->s + r * t->ld + (first - t->key0), i, first);
	}
	return SX_OK;
}

static sx_status on_head(void *self, const sx_head *h)
{
	rope *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int n_freq = h->plan->n_freq;
	int64_t at = sx_measure_at(&o->base, h) * m->n_freq;
	double all = 0;
	for (int f = 0; f <= n_freq; f++) all += a->parts[f].absolute;
	for (int f = 0; f < n_freq; f++) {
		m->rope_q[at + f] = a->norms[f] / (double)h->T;
		m->rope_k[at + f] = a->norms[n_freq + f] / (double)h->T;
		/* 0/0 where all scores are alike: not defined */
		m->rope_share[at + f] = a->parts[f].absolute / all;
		m->rope_signed[at + f] = a->parts[f].sum / all;
		m->rope_var[at + f] = a->parts[f].covariance / a->variance;
	}
	m->rope_rest[sx_measure_at(&o->base, h)] = a->parts[n_freq].covariance / a->variance;
	return SX_OK;
}

static void stop(void *self)
{
	rope *o = self;
	if (!o) return;
	free(o->acc);
	free(o->memory);
	free(o->parts);
	free(o);
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t T = base->into->T, D = base->spec->D, M = base->into->n_freq;
	int64_t each = D * T + T + 2 * M;
	rope *o = sx_calloc(1, sizeof *o);
	if (o) {
		o->base = *base;
		o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
		o->memory = sx_calloc((size_t)(base->threads * each), sizeof *o->memory);
		o->parts = sx_calloc((size_t)(base->threads * (M + 1)), sizeof *o->parts);
	}
	if (!o || !o->acc || !o->memory || !o->parts) {
		stop(o);
		return;
	}
	for (int i = 0; i < base->threads; i++) {
		double *at = o->memory + i * each;
		o->acc[i] = (accumulator){.k_t = at,
					  .term = at + D * T,
					  .norms = at + D * T + T,
					  .parts = o->parts + i * (M + 1)};
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->rope;
}

const sx_observer_kind sx_observe_rope = {"rope", wanted, start, stop};

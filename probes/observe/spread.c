/* Prefix spread Delta_h = max_{j<=i} || mean_{r<=i} h_r - h_j || of the attention block's input, per
 * sequence and layer (DroPE, arXiv:2512.12167, Thm. 3.4). With a window, over the visible keys. */
#include "probes/observe/spread.h"

#include "engine/op/gemm.h"
#include "engine/vector.h"
#include "probes/observe/observe.h"

#include <float.h>
#include <omp.h>
#include <stdlib.h>

typedef struct {
	sx_observer_base base;
} spread;

SX_VECTOR
static double square(const double *from, const sx_real *x, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t c = 0;
	for (; c + SX_LANES <= n; c += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double d = (double)x[c + l] - from[c + l];
			lane[l] += d * d;
		}
	for (int l = 0; c + l < n; l++) {
		double d = (double)x[c + l] - from[c + l];
		lane[l] += d * d;
	}
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

double sx_distance_square(const double *from, const sx_real *x, int64_t n)
{
	return square(from, x, n);
}

/* ---- the rows of a sequence ---- */

/* The farthest key of a row is looked for in products (mean_i . x_j, the engine's tiles) and only what
 * comes near it is measured: ||x_j - mean_i||^2 = ||x_j||^2 - 2 mean_i . x_j + ||mean_i||^2, whose last
 * term all keys of a row share. The result is that of measuring every key, bit for bit, since what is
 * passed over is nearer by more than all roundings together. */
enum { BLOCK = 32, KEYS = 512 }; /* rows of one task, keys of a product */

/* One thread's. */
typedef struct {
	double *sum, *mean;   /* (C), (BLOCK,C)                       */
	sx_real *near, *dots; /* (BLOCK,C) means rounded, (BLOCK,KEYS) */
} desk;

/* One row's search. */
typedef struct {
	int64_t first, last; /* keys it sees                                          */
	double margin;       /* two keys' products farther apart than this are in order */
	double best, most;   /* of the products' side so far; squared distance so far   */
} search;

static int64_t blocks_of(int64_t T)
{
	return (T + BLOCK - 1) / BLOCK;
}

static int64_t desk_doubles(int64_t C)
{
	return C + 2 * BLOCK * C + BLOCK * KEYS;
}

int64_t sx_spread_scratch(int64_t B, int64_t T, int64_t C)
{
	return B * T + omp_get_max_threads() * desk_doubles(C);
}

static void add_rows(double *sum, const sx_real *x, int64_t C, int64_t from, int64_t to)
{
	for (int64_t j = from; j < to; j++)
		for (int64_t c = 0; c < C; c++) sum[c] += (double)x[j * C + c];
}

/* Means of the keys of rows [i0, i1). The sum of a row's keys is that of the row before it and one
 * more; made anew at the start of a block, so that blocks are independent, and where a window moves, so
 * that nothing is subtracted: either way keys are added in their order. */
static void block_means(const desk *d, const sx_real *x, int64_t C, int64_t window, int64_t i0,
			int64_t i1)
{
	int64_t summed = i0; /* keys up to here are in the sum */
	memset(d->sum, 0, (size_t)C * sizeof *d->sum);
	add_rows(d->sum, x, C, sx_first_key(i0, window), i0);
	for (int64_t i = i0; i < i1; i++) {
		int64_t first = sx_first_key(i, window), at = (i - i0) * C;
		if (i > i0 && first > sx_first_key(i - 1, window)) {
			memset(d->sum, 0, (size_t)C * sizeof *d->sum);
			summed = first;
		}
		add_rows(d->sum, x, C, summed, i + 1);
		summed = i + 1;
		for (int64_t c = 0; c < C; c++) {
			d->mean[at + c] = d->sum[c] / (double)(i - first + 1);
			d->near[at + c] = (sx_real)d->mean[at + c];
		}
	}
}

/* Rounding of the mean, and of a product of C terms in any order, is at most (C+2) u |mean| |x|, u half
 * of eps, and what underflows adds at most C times the smallest number; twice that for the difference
 * of two keys, and 8 times for good measure. */
static search start_search(const double *mean, double largest, int64_t C, int64_t i, int64_t window)
{
	const bool single = sizeof(sx_real) == sizeof(float);
	const double eps = single ? (double)FLT_EPSILON : DBL_EPSILON,
		     least = single ? (double)FLT_MIN : DBL_MIN;
	double m = 0;
	for (int64_t c = 0; c < C; c++) m += mean[c] * mean[c];
	return (search){.first = sx_first_key(i, window),
			.last = i,
			.margin = 8 * (double)(C + 8) * eps * (largest + m + least),
			.best = -(double)INFINITY};
}

/* max_j norm_j - 2 dots_j; NaN where any of them is no number or infinite. */
SX_VECTOR
static double largest_side(const sx_real *dots, const double *norm, int64_t n)
{
	double most[SX_LANES], bad[SX_LANES] = {0}, all = -(double)INFINITY, wild = 0;
	int64_t j = 0;
	for (int l = 0; l < SX_LANES; l++) most[l] = all;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double v = norm[j + l] - 2 * (double)dots[j + l];
			most[l] = v > most[l] ? v : most[l];
			bad[l] += 0 * v;
		}
	for (int l = 0; j + l < n; l++) {
		double v = norm[j + l] - 2 * (double)dots[j + l];
		most[l] = v > most[l] ? v : most[l];
		bad[l] += 0 * v;
	}
	for (int l = 0; l < SX_LANES; l++) {
		all = most[l] > all ? most[l] : all;
		wild += bad[l];
	}
	return all + wild;
}

/* Keys [j0, j1) of those a row sees; their products with its mean. */
static void search_keys(search *s, const double *mean, const sx_real *x, const double *norm,
			const sx_real *dots, int64_t C, int64_t j0, int64_t j1)
{
	int64_t from = s->first > j0 ? s->first : j0, to = s->last + 1 < j1 ? s->last + 1 : j1;
	if (from >= to) return;
	double top = largest_side(dots + from - j0, norm + from, to - from);
	bool wild = !isfinite(top) || !isfinite(s->margin);
	if (top > s->best) s->best = top;
	if (!wild && top < s->best - s->margin) return;
	for (int64_t j = from; j < to; j++)
		if (wild || norm[j] - 2 * (double)dots[j - j0] >= s->best - s->margin)
			s->most = sx_larger(s->most, square(mean, x + j * C, C));
}

static void block_rows(double *out, const sx_real *x, const double *norm, double largest, int64_t C,
		       int64_t window, int64_t i0, int64_t i1, const desk *d)
{
	search s[BLOCK];
	block_means(d, x, C, window, i0, i1);
	for (int64_t i = i0; i < i1; i++)
		s[i - i0] = start_search(d->mean + (i - i0) * C, largest, C, i, window);
	for (int64_t j = sx_first_key(i0, window); j < i1; j += KEYS) {
		int64_t n = i1 - j < KEYS ? i1 - j : KEYS;
		sx_gemm(false, true, i1 - i0, n, C, 1, d->near, C, x + j * C, C, 0, d->dots, KEYS);
		for (int64_t r = 0; r < i1 - i0; r++)
			search_keys(&s[r], d->mean + r * C, x, norm, d->dots + r * KEYS, C, j,
				    j + n);
	}
	for (int64_t i = i0; i < i1; i++) out[i] = sqrt(s[i - i0].most);
}

/* As fmax over a sequence, but NaN stays. */
static double largest_of(const double *x, int64_t n)
{
	double most = 0;
	for (int64_t i = 0; i < n; i++) most = sx_larger(most, x[i]);
	return most;
}

void sx_spread_rows(double *out, const sx_real *x, int64_t B, int64_t T, int64_t C, int64_t window,
		    double *scratch)
{
	int64_t blocks = blocks_of(T);
	double *norm = scratch, *desks = scratch + B * T;
#pragma omp parallel
	{
		double *at = desks + omp_get_thread_num() * desk_doubles(C);
		desk d = {.sum = at, .mean = at + C};
		d.near = (sx_real *)(void *)(d.mean + BLOCK * C);
		d.dots = d.near + BLOCK * C;
		memset(d.sum, 0, (size_t)C * sizeof *d.sum);
#pragma omp for schedule(static)
		for (int64_t t = 0; t < B * T; t++) norm[t] = square(d.sum, x + t * C, C);
#pragma omp for schedule(dynamic)
		for (int64_t t = 0; t < B * blocks; t++) {
			int64_t b = t / blocks, i0 = t % blocks * BLOCK;
			int64_t i1 = i0 + BLOCK < T ? i0 + BLOCK : T;
			block_rows(out + b * T, x + b * T * C, norm + b * T,
				   largest_of(norm + b * T, i1), C, window, i0, i1, &d);
		}
	}
}

static sx_status on_site(void *self, const sx_site_event *e)
{
	spread *o = self;
	if (e->site != SX_SITE_H || e->grad) return SX_OK;
	int64_t B = e->B, T = e->T, C = e->width;
	sx_measures *m = o->base.into;
	double *rows = sx_calloc((size_t)(B * T), sizeof *rows);
	double *scratch = sx_calloc((size_t)sx_spread_scratch(B, T, C), sizeof *scratch);
	bool room = rows && scratch;
	if (room) sx_spread_rows(rows, e->data, B, T, C, e->plan->window, scratch);
	for (int64_t b = 0; room && b < B; b++) {
		m->prefix_spread[(o->base.seq0 + b) * m->L + e->layer] =
			largest_of(rows + b * T, T);
	}
	free(rows);
	free(scratch);
	return room ? SX_OK : SX_ENOMEM;
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	spread *o = sx_calloc(1, sizeof *o);
	if (!o) return;
	o->base = *base;
	*probe = (sx_probe){.self = o, .site = on_site};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->spread;
}

const sx_observer_kind sx_observe_spread = {"spread", wanted, start, free};

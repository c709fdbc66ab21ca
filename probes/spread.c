/* Prefix spread Delta_h = max_{j<=i} || mean_{r<=i} h_r - h_j || of the attention block's input, per
 * sequence and layer (DroPE, arXiv:2512.12167, Thm. 3.4). With a window, over the visible keys. */
#include "probes/spread.h"

#include "engine/vector.h"
#include "probes/observe.h"

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

enum { BLOCK = 32 }; /* rows of one task */

static int64_t blocks_of(int64_t T)
{
	return (T + BLOCK - 1) / BLOCK;
}

int64_t sx_spread_scratch(int64_t B, int64_t T, int64_t C)
{
	return B * blocks_of(T) * 2 * C;
}

static void add_rows(double *sum, const sx_real *x, int64_t C, int64_t from, int64_t to)
{
	for (int64_t j = from; j < to; j++)
		for (int64_t c = 0; c < C; c++) sum[c] += (double)x[j * C + c];
}

/* Rows [i0, i1). The sum of a row's keys is that of the row before it and one more; made anew at the
 * start of a block, so that blocks are independent, and where a window moves, so that nothing is
 * subtracted: either way keys are added in their order. */
static void block_rows(double *out, const sx_real *x, int64_t C, int64_t window, int64_t i0,
		       int64_t i1, double *sum, double *mean)
{
	int64_t summed = i0; /* keys up to here are in the sum */
	memset(sum, 0, (size_t)C * sizeof *sum);
	add_rows(sum, x, C, sx_first_key(i0, window), i0);
	for (int64_t i = i0; i < i1; i++) {
		int64_t first = sx_first_key(i, window);
		double most = 0;
		if (i > i0 && first > sx_first_key(i - 1, window)) {
			memset(sum, 0, (size_t)C * sizeof *sum);
			summed = first;
		}
		add_rows(sum, x, C, summed, i + 1);
		summed = i + 1;
		for (int64_t c = 0; c < C; c++) mean[c] = sum[c] / (double)(i - first + 1);
		for (int64_t j = first; j <= i; j++)
			most = sx_larger(most, square(mean, x + j * C, C));
		out[i] = sqrt(most);
	}
}

void sx_spread_rows(double *out, const sx_real *x, int64_t B, int64_t T, int64_t C, int64_t window,
		    double *scratch)
{
	int64_t blocks = blocks_of(T);
#pragma omp parallel for schedule(dynamic)
	for (int64_t t = 0; t < B * blocks; t++) {
		int64_t b = t / blocks, i0 = t % blocks * BLOCK;
		int64_t i1 = i0 + BLOCK < T ? i0 + BLOCK : T;
		block_rows(out + b * T, x + b * T * C, C, window, i0, i1, scratch + t * 2 * C,
			   scratch + t * 2 * C + C);
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
	if (room) sx_spread_rows(rows, e->data, B, T, C, o->base.spec->pos.window, scratch);
	for (int64_t b = 0; room && b < B; b++) {
		double most = 0;
		for (int64_t i = 0; i < T; i++) most = sx_larger(most, rows[b * T + i]);
		m->prefix_spread[(o->base.seq0 + b) * m->L + e->layer] = most;
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

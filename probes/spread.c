/* Prefix spread Delta_h = max_{j<=i} || mean_{r<=i} h_r - h_j || of the attention block's input, per
 * sequence and layer (DroPE, arXiv:2512.12167, Thm. 3.4). With a window, over the visible keys. */
#include "engine/vector.h"
#include "probes/observe.h"

#include <stdlib.h>

typedef struct {
	sx_observer_base base;
} spread;

/* As fmax, but NaN stays. */
static double larger(double a, double b)
{
	return b <= a ? a : b;
}

SX_VECTOR
static double distance_squared(const double *mean, const sx_real *h, int64_t C)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t c = 0;
	for (; c + SX_LANES <= C; c += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double d = (double)h[c + l] - mean[c + l];
			lane[l] += d * d;
		}
	for (int l = 0; c + l < C; l++) {
		double d = (double)h[c + l] - mean[c + l];
		lane[l] += d * d;
	}
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

/* Rows i of one block; the sum of the keys a block's first row sees is made anew, so that blocks are
 * independent. */
static double block_spread(const sx_real *h, int64_t C, int64_t window, int64_t i0, int64_t i1,
			   double *sum, double *mean)
{
	double most = 0;
	memset(sum, 0, (size_t)C * sizeof *sum);
	for (int64_t j = sx_first_key(i0, window); j < i0; j++)
		for (int64_t c = 0; c < C; c++) sum[c] += (double)h[j * C + c];
	for (int64_t i = i0; i < i1; i++) {
		int64_t first = sx_first_key(i, window);
		if (i > i0 && first > sx_first_key(i - 1, window))
			for (int64_t c = 0; c < C; c++) sum[c] -= (double)h[(first - 1) * C + c];
		for (int64_t c = 0; c < C; c++) {
			sum[c] += (double)h[i * C + c];
			mean[c] = sum[c] / (double)(i - first + 1);
		}
		for (int64_t j = first; j <= i; j++)
			most = larger(most, distance_squared(mean, h + j * C, C));
	}
	return most;
}

static sx_status on_site(void *self, const sx_site_event *e)
{
	enum { BLOCK = 64 };
	spread *o = self;
	if (e->site != SX_SITE_H || e->grad) return SX_OK;
	int64_t T = e->T, C = e->width, blocks = (T + BLOCK - 1) / BLOCK;
	sx_measures *m = o->base.into;
	double *most = sx_calloc((size_t)(e->B * blocks), sizeof *most);
	double *memory = sx_calloc((size_t)(e->B * blocks * 2 * C), sizeof *memory);
	if (!most || !memory) {
		free(most);
		free(memory);
		return SX_ENOMEM;
	}
#pragma omp parallel for schedule(dynamic)
	for (int64_t t = 0; t < e->B * blocks; t++) {
		int64_t i0 = t % blocks * BLOCK, i1 = i0 + BLOCK < T ? i0 + BLOCK : T;
		most[t] = block_spread(e->data + t / blocks * T * C, C, o->base.spec->pos.window,
				       i0, i1, memory + t * 2 * C, memory + t * 2 * C + C);
	}
	for (int64_t b = 0; b < e->B; b++) {
		double all = 0;
		for (int64_t k = 0; k < blocks; k++) all = larger(all, most[b * blocks + k]);
		m->prefix_spread[(o->base.seq0 + b) * m->L + e->layer] = sqrt(all);
	}
	free(most);
	free(memory);
	return SX_OK;
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

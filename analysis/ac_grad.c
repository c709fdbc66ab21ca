#include "analysis/ac_grad.h"

#include "analysis/last.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Means over heads, (sequences,layers), of the first record. */
static sx_status read_means(double **out, int64_t dims[SX_RUN_MAX_DIMS], sx_ctx *ctx,
			    sx_run_file *f, const char *family, const char *wrt)
{
	sx_status st = SX_OK;
	int64_t c = 0, w = 0, n = 0, start[SX_RUN_MAX_DIMS] = {0};
	int ndim = 0;
	double *x = NULL, *mean = NULL;
	if (!sx_run_has(f, SX_RUN_AC_GRAD_NORM))
		return sx_fail(ctx, SX_EDATA, "%s: has no /ac/grad_norm", sx_run_file_path(f));
	SX_TRY(sx_last_word(&c, &n, ctx, f, SX_RUN_AC_C, family));
	SX_TRY(sx_last_word(&w, &n, ctx, f, SX_RUN_AC_WRT, wrt));
	SX_TRY(sx_run_shape(f, SX_RUN_AC_GRAD_NORM, dims, &ndim));
	if (dims[0] < 1)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: /ac has no record", sx_run_file_path(f)));
	dims[0] = 1;
	int64_t SL = dims[1] * dims[2], H = dims[3], C = dims[4], W = dims[5];
	x = sx_calloc((size_t)(SL * H * C * W), sizeof *x);
	mean = sx_calloc((size_t)SL, sizeof *mean);
	if (!x || !mean) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the gradients"));
	SX_TRY(sx_run_read(f, SX_RUN_AC_GRAD_NORM, start, dims, x));
	for (int64_t i = 0; i < SL; i++)
		for (int64_t h = 0; h < H; h++)
			mean[i] += x[((i * H + h) * C + c) * W + w] / (double)H;
	*out = mean;
	mean = NULL;
out:
	free(x);
	free(mean);
	return st;
}

/* One layer of both files. */
typedef struct {
	const double *x, *y;
	int64_t stride;
} layer;

static double ratio_of_means(void *self, const double *count, int64_t n)
{
	const layer *l = self;
	double x = 0, y = 0;
	for (int64_t s = 0; s < n; s++) {
		x += count[s] * l->x[s * l->stride];
		y += count[s] * l->y[s * l->stride];
	}
	return x / y;
}

sx_status sx_ac_grad_compare(sx_ac_grad *out, sx_ctx *ctx, sx_run_file *a, sx_run_file *b,
			     const char *family, const char *wrt, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_ac_grad g = {0};
	double *x = NULL, *y = NULL;
	int64_t da[SX_RUN_MAX_DIMS], db[SX_RUN_MAX_DIMS];
	sx_boot *boot = NULL;
	snprintf(g.family, sizeof g.family, "%s", family);
	snprintf(g.wrt, sizeof g.wrt, "%s", wrt);
	SX_TRY(read_means(&x, da, ctx, a, family, wrt));
	SX_TRY(read_means(&y, db, ctx, b, family, wrt));
	if (da[1] != db[1] || da[2] != db[2])
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s and %s: not the same sequences and layers",
			       sx_run_file_path(a), sx_run_file_path(b)));
	g.sequences = da[1], g.layers = da[2], g.heads = da[3];
	SX_TRY(sx_boot_new(&boot, ctx, g.sequences, SX_BOOT_RESAMPLES, 0.95, seed));
	g.a = sx_calloc((size_t)g.layers, sizeof *g.a);
	g.b = sx_calloc((size_t)g.layers, sizeof *g.b);
	g.ratio = sx_calloc((size_t)g.layers, sizeof *g.ratio);
	if (!g.a || !g.b || !g.ratio) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the layers"));
	for (int64_t l = 0; l < g.layers; l++) {
		g.a[l] = sx_boot_mean(boot, x + l, g.layers);
		g.b[l] = sx_boot_mean(boot, y + l, g.layers);
		layer both = {x + l, y + l, g.layers};
		g.ratio[l] = sx_boot_statistic(boot, ratio_of_means, &both);
	}
	*out = g;
	g = (sx_ac_grad){0};
out:
	sx_boot_free(boot);
	sx_ac_grad_free(&g);
	free(x);
	free(y);
	return st;
}

void sx_ac_grad_free(sx_ac_grad *g)
{
	if (!g) return;
	free(g->a);
	free(g->b);
	free(g->ratio);
	g->a = g->b = g->ratio = NULL;
}

#include "analysis/mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *sx_mix_quantity_name(sx_mix_quantity q)
{
	static const char *const names[] = {"A_c", "dW_Q", "dW_K"};
	return names[q];
}

static sx_status find_wrt(int64_t *at, sx_ctx *ctx, const sx_mix *m, sx_mix_quantity q)
{
	const char *word = q == SX_MIX_WQ ? "wq" : "wk";
	for (*at = 0; *at < m->n_wrt; (*at)++)
		if (strcmp(m->wrt[*at], word) == 0) return SX_OK;
	return sx_fail(ctx, SX_EDATA, "/mix has no gradients by %s", word);
}

sx_status sx_mix_mean(double **out, sx_ctx *ctx, const sx_mix *m, int64_t c, sx_mix_quantity q)
{
	int64_t places = m->n_t * m->S * m->L, w = 0;
	sx_status st = q == SX_MIX_VALUE ? SX_OK : find_wrt(&w, ctx, m, q);
	if (st != SX_OK) return st;
	double *mean = sx_calloc((size_t)places + 1, sizeof *mean);
	if (!mean) return sx_fail(ctx, SX_ENOMEM, "no memory for means over heads");
	for (int64_t i = 0; i < places; i++)
		for (int64_t h = 0; h < m->H; h++) {
			int64_t at = (i * m->H + h) * m->n_c + c;
			mean[i] += (q == SX_MIX_VALUE ? fabs(m->value[at])
						      : m->grad_norm[at * m->n_wrt + w]) /
				   (double)m->H;
		}
	*out = mean;
	return SX_OK;
}

/* Numbers of the largest and the smallest t. */
static void find_ends(int64_t *largest, int64_t *smallest, const sx_mix *m)
{
	*largest = *smallest = 0;
	for (int64_t k = 1; k < m->n_t; k++) {
		if (m->t[k] > m->t[*largest]) *largest = k;
		if (m->t[k] < m->t[*smallest]) *smallest = k;
	}
}

/* The slope of one sequence in one layer; x, y: scratch (n_t). */
static sx_status slope_of(double *slope, int64_t *points, sx_ctx *ctx, const sx_mix *m,
			  const double *mean, int64_t s, int64_t layer, int64_t largest, double *x,
			  double *y)
{
	double most = SX_MIX_WITHIN * m->spread[(largest * m->S + s) * m->L];
	for (int64_t k = 0; k < m->n_t; k++) {
		int64_t at = (k * m->S + s) * m->L;
		x[k] = m->spread[at] <= most ? log(m->spread[at]) : (double)NAN;
		y[k] = log(mean[at + layer]);
	}
	return sx_line_slope(slope, points, ctx, x, y, m->n_t);
}

static sx_status fill_line(sx_mix_line *line, sx_ctx *ctx, const sx_mix *m, const double *mean,
			   sx_boot *boot, double *scratch)
{
	int64_t largest, smallest;
	double *x = scratch, *y = x + m->n_t, *slope = y + m->n_t;
	find_ends(&largest, &smallest, m);
	line->points = 0;
	for (int64_t s = 0; s < m->S; s++) {
		int64_t points = 0;
		sx_status st =
			slope_of(&slope[s], &points, ctx, m, mean, s, line->layer, largest, x, y);
		if (st != SX_OK) return st;
		if (!isnan(slope[s]) && (!line->points || points < line->points))
			line->points = points;
		line->largest += mean[(largest * m->S + s) * m->L + line->layer] / (double)m->S;
		line->smallest += mean[(smallest * m->S + s) * m->L + line->layer] / (double)m->S;
	}
	line->slope = sx_boot_mean(boot, slope, 1);
	return SX_OK;
}

sx_status sx_mix_lines(sx_mix_line **out, int64_t *n, sx_ctx *ctx, const sx_mix *m, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_boot *boot = NULL;
	double *mean = NULL;
	int64_t count = 0;
	sx_mix_line *line =
		sx_calloc((size_t)(m->n_c * SX_MIX_QUANTITIES * m->L) + 1, sizeof *line);
	double *scratch = sx_calloc((size_t)(2 * m->n_t + m->S) + 1, sizeof *scratch);
	if (!line || !scratch) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the lines"));
	SX_TRY(sx_boot_new(&boot, ctx, m->S, SX_BOOT_RESAMPLES, 0.95, seed));
	for (int64_t c = 0; c < m->n_c; c++)
		for (int q = 0; q < SX_MIX_QUANTITIES; q++) {
			SX_TRY(sx_mix_mean(&mean, ctx, m, c, (sx_mix_quantity)q));
			for (int64_t l = 0; l < m->L; l++) {
				line[count] = (sx_mix_line){
					.c = c, .layer = l, .quantity = (sx_mix_quantity)q};
				SX_TRY(fill_line(&line[count++], ctx, m, mean, boot, scratch));
			}
			free(mean);
			mean = NULL;
		}
	*out = line, *n = count;
	line = NULL;
out:
	sx_boot_free(boot);
	free(scratch);
	free(mean);
	free(line);
	return st;
}

sx_status sx_mix_read(sx_mix_record *out, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	sx_mix_record r = {0};
	int64_t dims[SX_RUN_MAX_DIMS], n = 0;
	int ndim = 0;
	if (!sx_run_has(f, SX_RUN_MIX_GRAD_NORM))
		return sx_fail(ctx, SX_EDATA, "%s: has no /mix", sx_run_file_path(f));
	SX_TRY(sx_run_shape(f, SX_RUN_MIX_GRAD_NORM, dims, &ndim));
	SX_TRY(sx_run_strings(f, SX_RUN_MIX_C, &r.family, &n));
	SX_TRY(sx_run_strings(f, SX_RUN_MIX_WRT, &r.wrt, &n));
	SX_TRY(sx_run_read_all(f, SX_RUN_MIX_T, &r.t, &n));
	SX_TRY(sx_run_read_all(f, SX_RUN_MIX_VALUE, &r.value, &n));
	SX_TRY(sx_run_read_all(f, SX_RUN_MIX_GRAD_NORM, &r.grad_norm, &n));
	SX_TRY(sx_run_read_all(f, SX_RUN_MIX_PREFIX_SPREAD, &r.spread, &n));
	r.m = (sx_mix){.n_t = dims[0],
		       .S = dims[1],
		       .L = dims[2],
		       .H = dims[3],
		       .n_c = dims[4],
		       .n_wrt = dims[5],
		       .t = r.t,
		       .family = (const char *const *)r.family,
		       .wrt = (const char *const *)r.wrt,
		       .value = r.value,
		       .grad_norm = r.grad_norm,
		       .spread = r.spread};
	*out = r;
	r = (sx_mix_record){0};
out:
	sx_mix_record_free(&r);
	return st;
}

void sx_mix_record_free(sx_mix_record *r)
{
	if (!r) return;
	free(r->t);
	free(r->value);
	free(r->grad_norm);
	free(r->spread);
	free(r->family);
	free(r->wrt);
	*r = (sx_mix_record){0};
}

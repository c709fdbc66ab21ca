/* Figure `ac-grad`: the norm of A_c's gradient by layer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

/* Mean over heads and sequences of the first record, for one layer and family. */
static double norm_of(const sx_fig_ac_data *d, int64_t layer, int c)
{
	int64_t H = d->at.n_head, per_seq = d->at.n_layer * H * d->n_c, count = 0;
	double sum = 0;
	for (int64_t h = 0; h < H; h++) {
		double v = sx_part_mean(d->value + (layer * H + h) * d->n_c + c, d->at.n_seq,
					per_seq, d->at.use);
		if (!isnan(v)) sum += v, count++;
	}
	return count > 0 ? sum / (double)count : (double)NAN;
}

/* Mean, least and greatest over the inputs of a group. */
static void group_of(double *mean, double *low, double *high, const sx_fig_ac_data *in,
		     const int *group, int n, int g, int64_t layer, int c)
{
	double sum = 0;
	int count = 0;
	*low = *high = (double)NAN;
	for (int i = 0; i < n; i++) {
		if (group[i] != g) continue;
		double v = norm_of(&in[i], layer, c);
		if (isnan(v)) continue;
		*low = fmin(*low, v);
		*high = fmax(*high, v);
		sum += v;
		count++;
	}
	*mean = count > 0 ? sum / count : (double)NAN;
}

static sx_status check(sx_ctx *ctx, const sx_fig_ac_data *in, int n)
{
	for (int i = 0; i < n; i++) {
		if (in[i].at.n_step == 0)
			return sx_fail(ctx, SX_EDATA, "%s has no gradients of A_c", in[i].at.label);
		bool same = in[i].n_c == in[0].n_c && in[i].at.n_layer == in[0].at.n_layer;
		for (int c = 0; same && c < in[0].n_c; c++)
			same = strcmp(in[i].family[c], in[0].family[c]) == 0;
		if (!same)
			return sx_fail(ctx, SX_EDATA,
				       "%s and %s have different layers or families of A_c: draw "
				       "them apart",
				       in[0].at.label, in[i].at.label);
	}
	return SX_OK;
}

static sx_status add_groups(sx_fig *f, sx_ctx *ctx, const sx_fig_ac_data *in, const int *group,
			    const sx_fig_look *look, int n, bool *bands)
{
	int64_t L = in[0].at.n_layer;
	double *v = sx_calloc((size_t)L * 4, sizeof *v);
	if (!v) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *x = v + L, *low = v + 2 * L, *high = v + 3 * L;
	*bands = false;
	for (int g = 0; g < n; g++) {
		int size = 0;
		for (int i = 0; i < n; i++) size += group[i] == g;
		if (size == 0) continue;
		int series = sx_fig_series(f, in[g].at.label, look[g]);
		for (int c = 0; c < in[0].n_c; c++) {
			for (int64_t l = 0; l < L; l++) {
				x[l] = (double)l;
				group_of(&v[l], &low[l], &high[l], in, group, n, g, l, c);
			}
			if (size > 1) sx_fig_band(f, c, series, x, low, high, L);
			sx_fig_line(f, c, series, x, v, L);
			sx_fig_points(f, c, series, x, v, L);
			*bands = *bands || size > 1;
		}
	}
	free(v);
	return SX_OK;
}

static void describe(sx_fig *f, const sx_fig_ac_data *in, const char *const *label, int n,
		     bool bands)
{
	char *names = sx_part_names(label, n), when[SX_PART_WHEN] = "";
	bool same = true;
	for (int i = 1; i < n; i++) same = same && in[i].at.step[0] == in[0].at.step[0];
	if (same) sx_part_when(when, in[0].at.step[0]);
	sx_part_about(
		f, "Gradient norm of A_c by layer",
		sx_format("Frobenius norm of the gradient of A_c by a head's query matrix "
			  "against the layer, mean over heads and text sequences, for %s%s.%s",
			  names ? names : "the inputs", when,
			  bands ? " Bands: smallest and largest of the seeds." : ""));
	free(names);
}

sx_status sx_fig_ac_grad(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_ac_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	bool bands = false;
	int *group = sx_calloc((size_t)n, sizeof *group);
	sx_fig_look *look = sx_calloc((size_t)n, sizeof *look);
	const char **label = sx_calloc((size_t)n, sizeof *label);
	sx_fig_kind *kind = sx_calloc((size_t)n, sizeof *kind);
	if (!group || !look || !label || !kind)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	SX_TRY(check(ctx, in, n));
	for (int i = 0; i < n; i++) label[i] = in[i].at.label, kind[i] = in[i].at.kind;
	sx_part_groups(group, look, label, kind, n);
	SX_TRY(sx_fig_new(&f, ctx, style, 1, in[0].n_c));
	sx_fig_share(f, in[0].n_c == 1 ? 0.62 : sx_part_is_narrow(style) ? 0.95 : 0.7);
	for (int c = 0; c < in[0].n_c; c++) {
		sx_fig_axis x = sx_part_axis("Layer", SX_FIG_LINEAR);
		sx_fig_axis y = sx_part_axis("$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$",
					     SX_FIG_LINEAR);
		double L = (double)in[0].at.n_layer, beside = 0.04 * L;
		x.integer = true;
		x.lo = -beside;
		x.hi = L - 1 + beside;
		y.lo = 0;
		sx_fig_panel(f, 0, c, in[0].family[c], x, y);
	}
	SX_TRY(add_groups(f, ctx, in, group, look, n, &bands));
	describe(f, in, label, n, bands);
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	free(group);
	free(look);
	free(label);
	free(kind);
	return st;
}

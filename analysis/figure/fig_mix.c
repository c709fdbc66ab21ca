/* Figure `mix`: what follows the spread of the tokens, and with which power. */
#include <math.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

/* Geometric mean, least and largest over the layers of the inputs of a group, at one t. */
typedef struct {
	double mean, low, high;
} summary;

static summary over_layers(const sx_fig_mix_data *in, const int *group, int n, int g, int64_t t,
			   int quantity)
{
	summary s = {0, HUGE_VAL, 0};
	int64_t count = 0;
	for (int i = 0; i < n; i++) {
		if (group[i] != g || t >= in[i].n_t) continue;
		const double *v = in[i].value + (quantity * in[i].n_t + t) * in[i].n_layer;
		for (int64_t l = 0; l < in[i].n_layer; l++) {
			if (!(v[l] > 0)) continue;
			s.mean += log(v[l]);
			s.low = fmin(s.low, v[l]);
			s.high = fmax(s.high, v[l]);
			count++;
		}
	}
	if (!count) return (summary){(double)NAN, (double)NAN, (double)NAN};
	s.mean = exp(s.mean / (double)count);
	return s;
}

static double spread_of(const sx_fig_mix_data *in, const int *group, int n, int g, int64_t t)
{
	double sum = 0;
	int count = 0;
	for (int i = 0; i < n; i++)
		if (group[i] == g && t < in[i].n_t && in[i].spread[t] > 0)
			sum += log(in[i].spread[t]), count++;
	return count ? exp(sum / count) : (double)NAN;
}

static sx_status add_curve(sx_fig *f, sx_ctx *ctx, const sx_fig_mix_data *in, const int *group,
			   int n, int g, int panel, int series)
{
	int64_t n_t = in[g].n_t;
	double *x = sx_calloc((size_t)(4 * n_t), sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *mean = x + n_t, *low = mean + n_t, *high = low + n_t;
	for (int64_t t = 0; t < n_t; t++) {
		summary s = over_layers(in, group, n, g, t, panel);
		x[t] = spread_of(in, group, n, g, t);
		mean[t] = s.mean;
		low[t] = s.low;
		high[t] = s.high;
	}
	sx_fig_band(f, panel, series, x, low, high, n_t);
	sx_fig_line(f, panel, series, x, mean, n_t);
	sx_fig_points(f, panel, series, x, mean, n_t);
	free(x);
	return SX_OK;
}

/* Power 1 below the lowest curve, over the spreads that are there. */
static void add_guide(sx_fig *f, const sx_fig_mix_data *in, const int *group, int n, int panel)
{
	double lo = HUGE_VAL, hi = 0, level = HUGE_VAL;
	for (int g = 0; g < n; g++)
		for (int64_t t = 0; group[g] == g && t < in[g].n_t; t++) {
			double x = spread_of(in, group, n, g, t);
			if (!(x > 0) || isinf(x)) continue;
			lo = fmin(lo, x);
			hi = fmax(hi, x);
			level = fmin(level, over_layers(in, group, n, g, t, panel).mean / x);
		}
	if (!(hi > lo) || !(level < HUGE_VAL)) return;
	const double x[] = {lo, hi}, y[] = {level * lo / 2, level * hi / 2};
	sx_fig_guide(f, panel, x, y, 2, "slope 1");
}

static sx_status check(sx_ctx *ctx, const sx_fig_mix_data *in, int n)
{
	for (int i = 0; i < n; i++)
		if (in[i].n_quantity != in[0].n_quantity || in[i].n_t < 2)
			return sx_fail(ctx, SX_EDATA,
				       "%s: want at least two values of t, and the quantities of "
				       "%s",
				       in[i].label, in[0].label);
	return SX_OK;
}

sx_status sx_fig_mix(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		     const sx_fig_mix_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	sx_part_cast cast = {0};
	SX_TRY(sx_part_cast_new(&cast, ctx, n));
	SX_TRY(check(ctx, in, n));
	for (int i = 0; i < n; i++) cast.label[i] = in[i].label, cast.kind[i] = in[i].kind;
	sx_part_group(&cast);
	bool narrow = sx_part_is_narrow(style);
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? in[0].n_quantity : 1,
			  narrow ? 1 : in[0].n_quantity));
	sx_fig_shape(f, narrow ? 0.5 : 0.9);
	for (int q = 0; q < in[0].n_quantity; q++)
		sx_fig_panel(f, narrow ? q : 0, narrow ? 0 : q, "",
			     sx_part_axis("Prefix spread", SX_FIG_LOG10),
			     sx_part_axis(in[0].quantity[q], SX_FIG_LOG10));
	for (int g = 0; g < n; g++) {
		if (cast.group[g] != g) continue;
		int series = sx_fig_series(f, cast.label[g], cast.look[g]);
		for (int q = 0; q < in[0].n_quantity; q++)
			SX_TRY(add_curve(f, ctx, in, cast.group, n, g, q, series));
	}
	for (int q = 0; q < in[0].n_quantity; q++) add_guide(f, in, cast.group, n, q);
	sx_part_about(f, "A_c against the spread of the tokens",
		      sx_format("|A_c| and its gradient's norms (%s) against the prefix spread of "
				"the first layer, with embeddings moved toward their mean, for %s: "
				"geometric mean over layers, and bands from the smallest to the "
				"largest layer%s. Dotted: slope 1.",
				in[0].family, sx_part_cast_names(&cast, "the inputs"),
				n > 1 ? " of all seeds" : ""));
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	sx_part_cast_free(&cast);
	return st;
}

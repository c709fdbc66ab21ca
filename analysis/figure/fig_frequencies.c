/* Figure `frequencies`: what each head does with each rotary frequency. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

/* Mean over sequences at the last record, heads of all layers below each other; infinite where it is
 * undefined. */
static void cells_of(double *z, const sx_fig_frequency_data *d)
{
	const sx_fig_probe *p = &d->at;
	int64_t per_seq = p->n_layer * p->n_head * d->n_freq;
	const double *v = d->value + (p->n_step - 1) * p->n_seq * per_seq;
	for (int64_t i = 0; i < per_seq; i++) {
		z[i] = sx_part_mean(v + i, p->n_seq, per_seq, p->use);
		if (!isfinite(z[i])) z[i] = (double)INFINITY;
	}
}

/* Between which frequencies the period grows beyond the context; NaN if it does not, or if nothing
 * is turned at all. */
static double border_of(const sx_fig_frequency_data *d)
{
	const double turn = 6.28318530717958647692;
	for (int64_t m = 0; m < d->n_freq && d->context > 0; m++)
		if (d->omega[m] * (double)d->context < turn)
			return m > 0 ? (double)m - 0.5 : (double)NAN;
	return (double)NAN;
}

/* The number of each layer in the middle of its heads, every few layers where there are many. */
static void layer_ticks(sx_fig *f, int panel, const sx_fig_probe *p)
{
	enum { MOST = 24 };
	double at[MOST];
	char text[MOST][24];
	const char *texts[MOST];
	int64_t every = (p->n_layer + MOST - 1) / MOST;
	int n = 0;
	for (int64_t l = 0; l < p->n_layer; l += every, n++) {
		at[n] = ((double)l + 0.5) * (double)p->n_head - 0.5;
		snprintf(text[n], sizeof text[n], "%lld", (long long)l);
		texts[n] = text[n];
	}
	sx_fig_y_ticks(f, panel, n, at, texts);
	for (int64_t l = 1; l < p->n_layer; l++)
		sx_fig_rule(f, panel, (double)(l * p->n_head) - 0.5);
}

static sx_status check(sx_ctx *ctx, const sx_fig_frequency_data *in, int n)
{
	for (int i = 0; i < n; i++) {
		const sx_fig_probe *p = &in[i].at, *q = &in[0].at;
		if (p->n_step == 0 || in[i].n_freq == 0)
			return sx_fail(ctx, SX_EDATA, "%s has no frequency use", p->label);
		if (p->n_layer != q->n_layer || p->n_head != q->n_head ||
		    in[i].n_freq != in[0].n_freq)
			return sx_fail(
				ctx, SX_EDATA,
				"%s and %s have different layers, heads or frequencies: draw "
				"them apart",
				q->label, p->label);
	}
	return SX_OK;
}

static void describe(sx_fig *f, const sx_fig_frequency_data *in, int n)
{
	char *names = sx_strdup("");
	bool border = false;
	for (int i = 0; i < n && names; i++) {
		const sx_fig_probe *p = &in[i].at;
		char when[SX_PART_WHEN];
		sx_part_when(when, p->step[p->n_step - 1]);
		char *more = sx_format("%s%s%s%s", names, i > 0 ? ", " : "", p->label, when);
		free(names);
		names = more;
		border = border || !isnan(border_of(&in[i]));
	}
	sx_part_about(f, "Frequency use",
		      sx_format("%s of every head (rows, by layer) by rotary frequency (columns, "
				"fastest first), mean over text sequences, of %s.%s",
				in[0].quantity, names ? names : "the inputs",
				border ? " Right of the line a period is longer than the trained "
					 "context."
				       : ""));
	free(names);
}

static void add_panel(sx_fig *f, const sx_fig_frequency_data *d, int row, int col,
		      const char *title)
{
	double rows = (double)(d->at.n_layer * d->at.n_head);
	sx_fig_axis x = {.label = "Frequency index $m$ (0 = fastest)",
			 .lo = -0.5,
			 .hi = (double)d->n_freq - 0.5,
			 .integer = true};
	sx_fig_axis y = {
		.label = "Layer (a row per head)", .lo = -0.5, .hi = rows - 0.5, .down = true};
	sx_fig_panel(f, row, col, title, x, y);
}

sx_status sx_fig_frequencies(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			     const sx_fig_frequency_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	double *z = NULL;
	const char **label = sx_calloc((size_t)n, sizeof *label);
	int64_t *seed = sx_calloc((size_t)n, sizeof *seed);
	bool named = false;
	if (!label || !seed) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	SX_TRY(check(ctx, in, n));
	for (int i = 0; i < n; i++) label[i] = in[i].at.label, seed[i] = in[i].at.seed;
	int64_t rows = in[0].at.n_layer * in[0].at.n_head, cells = rows * in[0].n_freq;
	z = sx_calloc((size_t)(cells * n), sizeof *z);
	if (!z) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	double top = 0;
	for (int i = 0; i < n; i++) cells_of(z + i * cells, &in[i]);
	for (int64_t i = 0; i < cells * n; i++)
		if (isfinite(z[i])) top = fmax(top, fabs(z[i]));
	bool narrow = sx_part_is_narrow(style);
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? n : 1, narrow ? 1 : n));
	double least = narrow ? (n == 1 ? 0.5 : 0.35) : n == 1 ? 0.3 : 0.5;
	sx_fig_share(f, fmin(1.2, fmax(least, 0.03 * (double)rows)));
	sx_fig_colour_scale(
		f, (sx_fig_colours){.label = in[0].quantity,
				    .table = in[0].is_signed ? SX_FIG_DIVERGING : SX_FIG_VIRIDIS,
				    .hi = top > 0 ? top : 1,
				    .gamma = 1});
	for (int i = 0; i < n; i++) {
		char title[128] = "";
		if (n > 1) sx_part_title(title, sizeof title, label, seed, n, i);
		add_panel(f, &in[i], narrow ? i : 0, narrow ? 0 : i, title);
		sx_fig_heat(f, i, z + i * cells, rows, in[i].n_freq);
		layer_ticks(f, i, &in[i].at);
		double border = border_of(&in[i]);
		if (isnan(border)) continue;
		sx_fig_vline(f, i, border, named ? "" : "period > context");
		named = true;
	}
	describe(f, in, n);
	*out = f;
	f = NULL;
out:
	free(z);
	free(label);
	free(seed);
	sx_fig_free(f);
	return st;
}

/* Figures `mix` and `figure4`: from run files to arrays. */
#include "analysis/figure4.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/mix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
}

/* Opens and labels them all; the kind is that of the method. */
static sx_status open_inputs(sx_input **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	sx_input *in = sx_calloc((size_t)a->n_input, sizeof *in);
	if (!in) return no_memory(ctx);
	for (int i = 0; i < a->n_input; i++) {
		SX_TRY(sx_input_open(&in[i], ctx, a->inputs[i]));
		in[i].kind = strcmp(in[i].method, "rope") == 0   ? SX_FIG_ROPE
			     : strcmp(in[i].method, "nope") == 0 ? SX_FIG_NOPE
								 : SX_FIG_OTHER;
	}
	SX_TRY(sx_inputs_label(in, a->n_input, ctx, a->labels));
	*out = in;
	in = NULL;
out:
	for (int i = 0; in && i < a->n_input; i++) sx_input_free(&in[i]);
	free(in);
	return st;
}

static void inputs_free(sx_input *in, int n)
{
	for (int i = 0; in && i < n; i++) sx_input_free(&in[i]);
	free(in);
}

/* ---- mix ---- */

static const char *const mix_axis[SX_MIX_QUANTITIES] = {
	[SX_MIX_VALUE] = "$|A_c|$",
	[SX_MIX_WQ] = "$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$",
	[SX_MIX_WK] = "$\\|\\partial A_c/\\partial W_\\mathrm{K}\\|$"};

/* Means over sequences (those of a spread above 0) of one file; numbers: spread (n_t), then values
 * (quantity, t, layer). */
static sx_status mean_mix(sx_fig_mix_data *d, double **numbers, sx_ctx *ctx, const sx_mix *m,
			  int64_t c)
{
	sx_status st = SX_OK;
	double *mean = NULL,
	       *x = sx_calloc((size_t)(m->n_t * (1 + SX_MIX_QUANTITIES * m->L)), sizeof *x);
	if (!x) return no_memory(ctx);
	*numbers = x;
	for (int q = 0; q < SX_MIX_QUANTITIES; q++) {
		SX_TRY(sx_mix_mean(&mean, ctx, m, c, (sx_mix_quantity)q));
		for (int64_t t = 0; t < m->n_t; t++) {
			double count = 0, spread = 0, *to = x + m->n_t + (q * m->n_t + t) * m->L;
			for (int64_t s = 0; s < m->S; s++) {
				int64_t at = (t * m->S + s) * m->L;
				if (!(m->spread[at] > 0)) continue;
				count++;
				spread += m->spread[at];
				for (int64_t l = 0; l < m->L; l++) to[l] += mean[at + l];
			}
			for (int64_t l = 0; l < m->L; l++) to[l] /= count;
			x[t] = spread / count;
		}
		free(mean);
		mean = NULL;
	}
	d->n_quantity = SX_MIX_QUANTITIES;
	d->quantity = mix_axis;
	d->n_t = m->n_t, d->n_layer = m->L;
	d->spread = x, d->value = x + m->n_t;
out:
	free(mean);
	return st;
}

static sx_status read_mix(sx_fig_mix_data *d, double **numbers, sx_ctx *ctx, const sx_input *in,
			  const char *family)
{
	sx_mix_record r = {0};
	sx_status st = sx_mix_read(&r, ctx, in->file);
	if (st != SX_OK) return st;
	int64_t c = 0;
	while (c < r.m.n_c && strcmp(r.m.family[c], family) != 0) c++;
	if (c == r.m.n_c)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: /mix has no family %s", in->path, family));
	*d = (sx_fig_mix_data){.label = in->label, .kind = in->kind, .family = family};
	SX_TRY(mean_mix(d, numbers, ctx, &r.m, c));
out:
	sx_mix_record_free(&r);
	return st;
}

sx_status sx_make_mix(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	sx_input *in = NULL;
	double **numbers = sx_calloc((size_t)a->n_input, sizeof *numbers);
	sx_fig_mix_data *d = sx_calloc((size_t)a->n_input, sizeof *d);
	if (!numbers || !d) SX_TRY(no_memory(ctx));
	SX_TRY(open_inputs(&in, ctx, a));
	for (int i = 0; i < a->n_input; i++)
		SX_TRY(read_mix(&d[i], &numbers[i], ctx, &in[i], a->of ? a->of : "diagonal"));
	st = sx_fig_mix(out, ctx, a->style, d, a->n_input);
out:
	for (int i = 0; numbers && i < a->n_input; i++) free(numbers[i]);
	free(numbers);
	free(d);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- figure 4 ---- */

static sx_status draw_fit(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			  const sx_figure4_fit *fit, bool scaled)
{
	sx_fig_figure4_panel panel[SX_FIGURE4_FAMILIES];
	sx_figure4_curves ours;
	double factor = scaled ? fit->factor : 1;
	char label[64], *protocol = sx_figure4_words(&fit->p);
	if (!protocol) return no_memory(ctx);
	if (scaled)
		snprintf(label, sizeof label, "Gradient norm x %.3g", factor);
	else
		snprintf(label, sizeof label, "Gradient norm");
	for (int c = 0; c < SX_FIGURE4_FAMILIES; c++) {
		panel[c].family = sx_figure4_family[c];
		for (int m = 0; m < SX_FIGURE4_METHODS; m++) {
			for (int l = 0; l < SX_FIGURE4_LAYERS; l++)
				ours[c][m][l] = factor * fit->curve[c][m][l];
			panel[c].ours[m] = ours[c][m];
			panel[c].paper[m] = sx_figure4_paper[c][m];
		}
	}
	sx_status st = sx_fig_figure4(out, ctx, style,
				      &(sx_fig_figure4_data){.n_layer = SX_FIGURE4_LAYERS,
							     .n_panel = SX_FIGURE4_FAMILIES,
							     .panel = panel,
							     .label = label,
							     .protocol = protocol});
	free(protocol);
	return st;
}

sx_status sx_make_figure4(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	sx_input *in = NULL;
	sx_run_file **file = sx_calloc((size_t)a->n_input, sizeof(*file));
	bool *rotated = sx_calloc((size_t)a->n_input, sizeof *rotated);
	sx_figure4_fit *fit = NULL;
	int64_t n = 0;
	bool scaled = a->of && strcmp(a->of, "shape") == 0;
	if (!file || !rotated) SX_TRY(no_memory(ctx));
	if (a->of && !scaled && strcmp(a->of, "nearest") != 0)
		SX_TRY(sx_fail(ctx, SX_EUSAGE, "--of %s: nearest or shape for figure4", a->of));
	SX_TRY(open_inputs(&in, ctx, a));
	for (int i = 0; i < a->n_input; i++)
		file[i] = in[i].file, rotated[i] = in[i].kind != SX_FIG_NOPE;
	SX_TRY(sx_figure4_fits(&fit, &n, ctx, file, rotated, a->n_input));
	st = draw_fit(out, ctx, a->style, &fit[sx_figure4_best(fit, n, scaled)], scaled);
out:
	free(fit);
	free(file);
	free(rotated);
	inputs_free(in, a->n_input);
	return st;
}

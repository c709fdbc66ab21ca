/* Figure `figure4`: the paper's, from traces to curves. */
#include "analysis/figure4.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
}

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

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
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
	SX_TRY(sx_inputs_open(&in, ctx, a, NULL));
	for (int i = 0; i < a->n_input; i++)
		file[i] = in[i].file, rotated[i] = in[i].kind != SX_FIG_NOPE;
	SX_TRY(sx_figure4_fits(&fit, &n, ctx, file, rotated, a->n_input));
	st = draw_fit(out, ctx, a->style, &fit[sx_figure4_best(fit, n, scaled)], scaled);
out:
	free(fit);
	free(file);
	free(rotated);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_figure4 = {
	.name = "figure4",
	.what = "the paper's figure 4 beside its printed curves, by the protocol that is nearest "
		"(--of nearest|shape)",
	.make = make,
	.takes = SX_FIGURE_OF,
	.least = 2,
	.needs = "traces of the paper's model with and without rotation",
};

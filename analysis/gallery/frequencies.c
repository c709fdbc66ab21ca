/* Figure `frequencies`: what each head does with each rotary frequency. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	sx_run_id id;
	const char *label;
	bool is_signed;
} quantities[] = {
	{"logit_var", SX_RUN_ROPE_LOGIT_VAR, "Share of score variance", true},
	{"logit_share", SX_RUN_ROPE_LOGIT_SHARE, "Share of absolute score", false},
	{"q_norm", SX_RUN_ROPE_Q_NORM, "Norm of the query pair", false},
	{"k_norm", SX_RUN_ROPE_K_NORM, "Norm of the key pair", false},
};
enum { N_QUANTITIES = sizeof quantities / sizeof quantities[0] };

/* N_QUANTITIES if there is no such quantity. */
static int quantity_of(const sx_figure_args *a)
{
	int k = 0;
	while (a->of && k < N_QUANTITIES && strcmp(quantities[k].name, a->of) != 0) k++;
	return k;
}

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	int k = quantity_of(a);
	if (k == N_QUANTITIES)
		return sx_fail(ctx, SX_EUSAGE,
			       "--of %s: logit_var, logit_share, q_norm or k_norm for frequencies",
			       a->of);
	return sx_input_frequencies(in, ctx, a->step, quantities[k].id);
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_fig_frequency_data *data = NULL;
	int k = quantity_of(a);
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++)
		data[i] = (sx_fig_frequency_data){.at = sx_input_probe(&in[i]),
						  .n_freq = in[i].n_last,
						  .omega = in[i].omega,
						  .context = in[i].context,
						  .quantity = quantities[k].label,
						  .is_signed = quantities[k].is_signed,
						  .value = in[i].value};
	st = sx_fig_frequencies(out, ctx, a->style, data, a->n_input);
out:
	free(data);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_frequencies = {
	.name = "frequencies",
	.what = "what each head does with each rotary frequency (--of "
		"logit_var|logit_share|q_norm|k_norm)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_OF,
	.least = 1,
	.needs = SX_FIGURE_NEEDS_FILES,
};

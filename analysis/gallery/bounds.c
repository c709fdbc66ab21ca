/* Figure `bounds`: the theory's inequalities. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/gallery/labels.h"

#include <stdlib.h>
#include <string.h>

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_bounds(in, ctx, a->step);
}

enum { MOST_INEQUALITIES = 4 };

/* Checkpoints of one run under one label are not one setting: their updates tell them apart. */
static sx_status tell_steps(sx_input *in, int n, sx_ctx *ctx)
{
	char **old = sx_calloc((size_t)n, sizeof *old);
	sx_status st = SX_OK;
	if (!old) return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
	for (int i = 0; i < n; i++) old[i] = in[i].label;
	for (int i = 0; i < n && st == SX_OK; i++) {
		bool several = false;
		for (int k = 0; k < n; k++)
			several = several ||
				  (strcmp(old[k], old[i]) == 0 && in[k].step[0] != in[i].step[0]);
		char *label = several ? sx_format("%s, step %lld", old[i], (long long)in[i].step[0])
				      : sx_strdup(old[i]);
		if (!label) st = sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
		if (label) in[i].label = label;
	}
	for (int i = 0; i < n; i++)
		if (old[i] != in[i].label) free(old[i]);
	free(old);
	return st;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_fig_bound_data *data = NULL;
	char *name[MOST_INEQUALITIES + 1] = {NULL};
	int n = 0;
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	SX_TRY(tell_steps(in, a->n_input, ctx));
	for (int i = 0; i < a->n_input; i++)
		data[i] = (sx_fig_bound_data){.at = sx_input_probe(&in[i]),
					      .n = in[i].bounds.b.n,
					      .name = in[i].bounds.b.name,
					      .lhs = in[i].bounds.lhs,
					      .rhs = in[i].bounds.rhs,
					      .why_not = in[i].why_not};
	while (n <= MOST_INEQUALITIES && (name[n] = sx_label_part(a->of ? a->of : "I9,I10,I11", n)))
		n++;
	if (n > MOST_INEQUALITIES)
		SX_TRY(sx_fail(ctx, SX_EUSAGE, "--of names at most %d inequalities",
			       MOST_INEQUALITIES));
	st = sx_fig_bounds(out, ctx, a->style, data, a->n_input, (const char *const *)name, n);
out:
	for (int k = 0; k <= MOST_INEQUALITIES; k++) free(name[k]);
	free(data);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_bounds = {
	.name = "bounds",
	.what = "the theory's inequalities: left side against bound, and their ratio by layer "
		"(--of I9,I10,I11)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_OF,
	.least = 1,
	.needs = "files of sextant bounds -o",
};

/* Figures `ac` and `ac-grad`: A_c of every head over training, and its gradient by layer. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <stdlib.h>
#include <string.h>

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	(void)a;
	return sx_input_ac(in, ctx, -1);
}

static sx_status read_grad(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_ac_grad(in, ctx, a->step, a->of ? a->of : "wq");
}

static bool same_shape(const sx_input *a, const sx_input *b)
{
	return a->n_layer == b->n_layer && a->n_head == b->n_head && a->n_last == b->n_last;
}

/* The run another was branched from at its drop: the same seed, method and shape, no drop of its
 * own, and records on both sides of where the branch begins. */
static int trunk_of(const sx_input *in, int n, int i)
{
	const sx_input *b = &in[i];
	if (!b->drop_to[0] || b->step[0] == 0) return -1;
	for (int k = 0; k < n; k++) {
		const sx_input *t = &in[k];
		if (t->drop_to[0] || t->seed != b->seed || strcmp(t->method, b->method) != 0)
			continue;
		if (same_shape(t, b) && t->step[0] < b->step[0] &&
		    t->step[t->n_step - 1] >= b->step[0])
			return k;
	}
	return -1;
}

static sx_fig_ac_data ac_data(const sx_input *in, int trunk)
{
	return (sx_fig_ac_data){.at = sx_input_probe(in),
				.n_c = (int)in->n_last,
				.family = (const char *const *)in->family,
				.value = in->value,
				.trunk = trunk};
}

static sx_status make_of(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a, bool grad)
{
	sx_input *in = NULL;
	sx_fig_ac_data *data = NULL;
	sx_status st = sx_inputs_open(&in, ctx, a, grad ? read_grad : read_input);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++) {
		data[i] = ac_data(&in[i], grad ? -1 : trunk_of(in, a->n_input, i));
		if (grad) data[i].wrt = a->of;
	}
	st = grad ? sx_fig_ac_grad(out, ctx, a->style, data, a->n_input)
		  : sx_fig_ac(out, ctx, a->style, data, a->n_input);
out:
	free(data);
	sx_inputs_free(in, a->n_input);
	return st;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	return make_of(out, ctx, a, false);
}

static sx_status make_grad(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	return make_of(out, ctx, a, true);
}

const sx_figure_row sx_figure_ac = {
	.name = "ac",
	.what = "A_c of every head over training, a panel per layer, the drop marked; a run and "
		"its branch are joined",
	.make = make,
	.takes = SX_FIGURE_LABEL,
	.least = 1,
	.needs = SX_FIGURE_NEEDS_FILES,
};

const sx_figure_row sx_figure_ac_grad = {
	.name = "ac-grad",
	.what = "gradient norm of A_c by layer, mean over heads, of traces or a run's first "
		"record; RoPE over NoPE (--step N)",
	.make = make_grad,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_OF,
	.least = 1,
	.needs = SX_FIGURE_NEEDS_FILES,
};

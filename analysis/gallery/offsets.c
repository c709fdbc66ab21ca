/* Figure `offsets`: attention weight at each distance. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_offsets(in, ctx, a->step, a->heads);
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st != SX_OK) return st;
	const sx_fig_offset_data data = {.at = sx_input_probe(in),
					 .n_bin = in->n_last,
					 .edge = in->edge,
					 .profile = in->value,
					 .n_show = in->n_map,
					 .layer = in->map_layer,
					 .head = in->map_head};
	st = sx_fig_offsets(out, ctx, a->style, &data);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_offsets = {
	.name = "offsets",
	.what = "attention weight at each distance, a panel per head; before and after the drop of "
		"a run (--heads)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_HEADS,
	.least = 1,
	.most = 1,
	.needs = SX_FIGURE_NEEDS_FILE,
};

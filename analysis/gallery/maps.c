/* Figure `maps`: attention maps of one record. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_maps(in, ctx, a->step, a->sequence, a->heads);
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st != SX_OK) return st;
	const sx_fig_map_data data = {.label = in->label,
				      .step = in->map_step,
				      .n_map = in->n_map,
				      .n_query = in->n_query,
				      .n_key = in->n_key,
				      .sequence = in->map_sequence,
				      .window = in->window,
				      .layer = in->map_layer,
				      .head = in->map_head,
				      .prob = in->value};
	st = sx_fig_maps(out, ctx, a->style, &data, a->scale);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_maps = {
	.name = "maps",
	.what = "attention maps by layer and head (--heads L2-4/H*, --step N, --sequence K, "
		"--scale linear|sqrt|log)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_SEQUENCE | SX_FIGURE_HEADS |
		 SX_FIGURE_SCALE,
	.least = 1,
	.most = 1,
	.needs = SX_FIGURE_NEEDS_FILE,
};

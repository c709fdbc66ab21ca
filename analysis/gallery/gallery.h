/* From the words of a command line to a figure: what each figure of the list reads and draws. */
#ifndef SX_ANALYSIS_GALLERY_GALLERY_H
#define SX_ANALYSIS_GALLERY_GALLERY_H

#include "analysis/figure/figures.h"

typedef struct {
	const char *name, *output, *labels, *data;
	const sx_fig_style *style;
	char **inputs;
	int n_input;
	int64_t step, sequence; /* -1: the figure's own choice */
	const char *x, *x_label, *y_label, *of, *heads;
	bool log_x, log_y;
	sx_fig_map_scale scale;
} sx_figure_args;

typedef struct {
	const char *name, *what;
	sx_status (*make)(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a);
	int least, most;        /* inputs; most 0 = any number   */
	const char *needs;      /* "figure ac needs ..."         */
	bool labels_are_series; /* --label names columns         */
} sx_figure_row;

extern const sx_figure_row sx_figure_rows[]; /* ends with a NULL name */

/* figure_context.c, figure_drop.c, figure_plane.c: inputs are open and have their labels. */
struct sx_input;
sx_status sx_make_context(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a,
			  const struct sx_input *in) SX_NODISCARD;
sx_status sx_make_drop(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a,
		       const struct sx_input *in) SX_NODISCARD;
sx_status sx_make_plane(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a,
			const struct sx_input *in) SX_NODISCARD;

/* figure_theory.c. */
sx_status sx_make_mix(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a) SX_NODISCARD;
sx_status sx_make_figure4(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a) SX_NODISCARD;

/* figure_plain.c: figures that need no run file. */
sx_status sx_make_lines(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a) SX_NODISCARD;
sx_status sx_make_gamma(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a) SX_NODISCARD;
sx_status sx_make_loss(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a) SX_NODISCARD;

#endif

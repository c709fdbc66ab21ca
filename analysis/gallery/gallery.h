/* From the words of a command line to a figure: what each figure of the list reads and draws. To add
 * one: a file here that ends in its row, and its name in gallery.c. */
#ifndef SX_ANALYSIS_GALLERY_GALLERY_H
#define SX_ANALYSIS_GALLERY_GALLERY_H

#include "analysis/figure/figures.h"

/* The choices that some figures take, as bits; one that a figure does not take is refused, never
 * passed over. */
enum {
	SX_FIGURE_LABEL = 1,
	SX_FIGURE_STEP = 2,
	SX_FIGURE_SEQUENCE = 4,
	SX_FIGURE_HEADS = 8,
	SX_FIGURE_SCALE = 16,
	SX_FIGURE_OF = 32,
	SX_FIGURE_AXES = 64 /* x, log, x-label, y-label */
};

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
	unsigned takes;         /* choices                       */
	const char *needs;      /* "figure ac needs ..."         */
	bool labels_are_series; /* --label names columns         */
} sx_figure_row;

#define SX_FIGURE_NEEDS_FILES "run folders or run files (RUN, F.h5)"
#define SX_FIGURE_NEEDS_FILE  "one run folder or run file (RUN, F.h5)"

extern const sx_figure_row *const sx_figure_rows[];        /* ends with NULL       */
const sx_figure_row *sx_figure_row_find(const char *name); /* NULL if there is none */

/* Each at the end of the file of its name. */
extern const sx_figure_row sx_figure_loss, sx_figure_ac, sx_figure_ac_grad, sx_figure_maps,
	sx_figure_offsets, sx_figure_drop, sx_figure_plane, sx_figure_frequencies, sx_figure_gamma,
	sx_figure_bounds, sx_figure_mix, sx_figure_figure4, sx_figure_context, sx_figure_lines;

#endif

/* Figure `figure4`: the paper's figure 4, ours beside the printed curves. */
#include <stdio.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

enum { ROPE, NOPE, METHODS };

static void add_line(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n,
		     bool points)
{
	sx_fig_line(f, panel, series, x, y, n);
	if (points) sx_fig_points(f, panel, series, x, y, n);
}

static int add_panel(sx_fig *f, const sx_fig_figure4_data *d, int row, int col, const char *label)
{
	sx_fig_axis x = sx_part_axis("Layer", SX_FIG_LINEAR);
	sx_fig_axis y = sx_part_axis(label, SX_FIG_LINEAR);
	double beside = 0.04 * (double)d->n_layer;
	x.integer = true;
	x.lo = -beside;
	x.hi = (double)(d->n_layer - 1) + beside;
	y.lo = 0;
	return sx_fig_panel(f, row, col, d->panel[col].family, x, y);
}

sx_status sx_fig_figure4(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_figure4_data *d)
{
	static const char *const names[METHODS] = {"RoPE", "NoPE"};
	static const sx_fig_look plain = {{0.25, 0.25, 0.25}, SX_FIG_SOLID, SX_FIG_DIAMOND};
	sx_fig_look paper = plain;
	sx_fig *f = NULL;
	sx_status st = SX_OK;
	int64_t L = d->n_layer;
	int ours[METHODS], printed[METHODS];
	double *x = sx_calloc((size_t)(3 * L) + 1, sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *ratio = x + L, *ratio_paper = ratio + L;
	SX_TRY(sx_fig_new(&f, ctx, style, 2, d->n_panel));
	sx_fig_shape(f, sx_part_is_narrow(style) ? 0.8 : 0.55);
	for (int64_t l = 0; l < L; l++) x[l] = (double)l;
	for (int c = 0; c < d->n_panel; c++) add_panel(f, d, 0, c, d->label);
	for (int m = 0; m < METHODS; m++) {
		char name[32];
		sx_fig_look look = sx_fig_look_of(m == ROPE ? SX_FIG_ROPE : SX_FIG_NOPE, 0);
		ours[m] = sx_fig_series(f, names[m], look);
		look.dash = SX_FIG_DOTTED;
		snprintf(name, sizeof name, "%s, printed", names[m]);
		printed[m] = sx_fig_unnamed_series(f, name, look);
		for (int c = 0; c < d->n_panel; c++) {
			add_line(f, c, printed[m], x, d->panel[c].paper[m], L, false);
			add_line(f, c, ours[m], x, d->panel[c].ours[m], L, true);
		}
	}
	paper.dash = SX_FIG_DOTTED;
	sx_fig_key_entry(f, "as printed", paper);
	int a = sx_fig_unnamed_series(f, "ratio", plain),
	    b = sx_fig_unnamed_series(f, "ratio, printed", paper);
	for (int c = 0; c < d->n_panel; c++) {
		int panel = add_panel(f, d, 1, c, "RoPE / NoPE");
		for (int64_t l = 0; l < L; l++) {
			ratio[l] = d->panel[c].ours[ROPE][l] / d->panel[c].ours[NOPE][l];
			ratio_paper[l] = d->panel[c].paper[ROPE][l] / d->panel[c].paper[NOPE][l];
		}
		add_line(f, panel, b, x, ratio_paper, L, false);
		add_line(f, panel, a, x, ratio, L, true);
	}
	sx_part_about(f, "Figure 4",
		      sx_format("Norm of the gradient of A_c by layer at initialisation, with and "
				"without rotation of the same weights (%s), and the curves as "
				"printed (dotted); below the ratio.",
				d->protocol));
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	free(x);
	return st;
}

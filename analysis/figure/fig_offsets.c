/* Figure `offsets`: how much weight each head gives to each distance. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

/* Where distance 0, which a logarithmic axis lacks, stands; its tick says 0. */
static const double at_zero = 0.5;
/* Less weight than this is below the panel. */
static const double least = 1e-5;

typedef struct {
	int64_t record;
	const char *name;
	sx_fig_kind kind;
} moment;

/* The records that tell the story of a run. */
static int moments_of(moment out[3], const sx_fig_offset_data *d)
{
	int64_t drop = sx_part_drop(&d->at), last = d->at.n_step - 1;
	bool kept = d->at.kind == SX_FIG_CONTROL;
	if (drop <= 0) {
		out[0] = (moment){last, d->at.label, d->at.kind};
		return 1;
	}
	out[0] = (moment){drop - 1, kept ? "before" : "before the drop", SX_FIG_ROPE};
	if (kept) {
		out[1] = (moment){last, "at the end", SX_FIG_CONTROL};
		return 2;
	}
	out[1] = (moment){drop, "right after", SX_FIG_NOPE};
	out[2] = (moment){last, "recalibrated", SX_FIG_DROPE};
	return last > drop ? 3 : 2;
}

/* The middle of a bin on a logarithmic axis. */
static double middle(const int64_t *edge)
{
	return edge[0] == 0 ? at_zero : sqrt((double)edge[0] * (double)(edge[1] - 1));
}

static void profile_of(double *out, const sx_fig_offset_data *d, int64_t record, int64_t layer,
		       int64_t head)
{
	const sx_fig_probe *p = &d->at;
	int64_t per_seq = p->n_layer * p->n_head * d->n_bin;
	const double *v =
		d->profile + record * p->n_seq * per_seq + (layer * p->n_head + head) * d->n_bin;
	for (int64_t b = 0; b < d->n_bin; b++)
		out[b] = sx_part_mean(v + b, p->n_seq, per_seq, p->use);
}

/* Bins up to the last that any of the heads has a weight for: the others are longer than the sequences. */
static int64_t bins_of(const sx_fig_offset_data *d, const moment *m, int n, const int32_t *layer,
		       const int32_t *head, int64_t n_show, double *y)
{
	int64_t n_bin = 0;
	for (int64_t i = 0; i < n_show; i++)
		for (int k = 0; k < n && n_bin < d->n_bin; k++) {
			profile_of(y, d, m[k].record, layer[i], head[i]);
			for (int64_t b = n_bin; b < d->n_bin; b++)
				if (isfinite(y[b])) n_bin = b + 1;
		}
	return n_bin;
}

static int add_panel(sx_fig *f, const sx_part_grid *g, int64_t i, double last)
{
	static const double at[] = {0.5, 1, 10, 100, 1000, 1e4, 1e5};
	static const char *const text[] = {"0",
					   "1",
					   "10",
					   "10<sup>2</sup>",
					   "10<sup>3</sup>",
					   "10<sup>4</sup>",
					   "10<sup>5</sup>"};
	int row, col;
	char title[48];
	sx_part_grid_cell(g, i, &row, &col);
	snprintf(title, sizeof title, "L%d H%d", g->layer[i], g->head[i]);
	sx_fig_axis x = sx_part_axis("Distance (tokens)", SX_FIG_LOG10);
	sx_fig_axis y = sx_part_axis("Weight", SX_FIG_LOG10);
	x.lo = 0.42;
	x.hi = 1.15 * last;
	y.lo = least;
	y.hi = 1.5;
	int panel = sx_fig_panel(f, row, col, title, x, y);
	sx_fig_x_ticks(f, panel, 7, at, text);
	return panel;
}

/* Distance 0 as a point of its own: it is not a neighbour of 1 on this axis. */
static void add_curve(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	int64_t from = n > 0 && x[0] == at_zero ? 1 : 0;
	sx_fig_points(f, panel, series, x, y, from);
	sx_fig_line(f, panel, series, x + from, y + from, n - from);
}

static void describe(sx_fig *f, const sx_fig_offset_data *d, const moment *m, int n)
{
	char when[SX_PART_WHEN], first[SX_PART_WHEN] = "";
	sx_part_when(when, d->at.step[m[n - 1].record]);
	if (n > 1) sx_part_when(first, d->at.step[m[0].record]);
	sx_part_about(f, "Offset profiles",
		      sx_format("Attention weight at each distance per row that has it, mean over "
				"text sequences, of every head (L layer, H head) of %s%s%s%s%s; "
				"weights below 1e-5 are cut off.",
				d->at.label, first,
				n == 3 ? " (before and right after the drop)" : "",
				n > 1 ? " and" : "", when));
}

/* The heads to show: those asked for, or all. */
static sx_status all_heads(int32_t **layer, int32_t **head, int64_t *n, sx_ctx *ctx,
			   const sx_fig_offset_data *d)
{
	int64_t H = d->at.n_head;
	*n = d->n_show > 0 ? d->n_show : d->at.n_layer * H;
	*layer = sx_calloc((size_t)*n, sizeof **layer);
	*head = sx_calloc((size_t)*n, sizeof **head);
	if (!*layer || !*head) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int64_t i = 0; i < *n; i++) {
		(*layer)[i] = d->n_show > 0 ? d->layer[i] : (int32_t)(i / H);
		(*head)[i] = d->n_show > 0 ? d->head[i] : (int32_t)(i % H);
	}
	return SX_OK;
}

sx_status sx_fig_offsets(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_offset_data *d)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int64_t n_bin = 0, n_show;
	int32_t *layer = NULL, *head = NULL;
	moment m[3];
	int series[3];
	double *x = NULL;
	if (d->at.n_step == 0)
		return sx_fail(ctx, SX_EDATA, "%s has no offset profiles", d->at.label);
	int n = moments_of(m, d);
	SX_TRY(all_heads(&layer, &head, &n_show, ctx, d));
	sx_part_grid g = sx_part_head_grid(layer, head, n_show);
	SX_TRY(sx_part_grid_check(&g, ctx, style));
	x = sx_calloc((size_t)d->n_bin * 2, sizeof *x);
	if (!x) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	double *y = x + d->n_bin;
	for (int64_t b = 0; b < d->n_bin; b++) x[b] = middle(d->edge + b);
	n_bin = bins_of(d, m, n, layer, head, n_show, y);
	if (n_bin == 0) n_bin = d->n_bin; /* no weight is a number */
	SX_TRY(sx_fig_new(&f, ctx, style, g.rows, g.cols));
	sx_fig_share(f, 1);
	for (int k = 0; k < n; k++)
		series[k] = sx_fig_series(f, n == 1 ? "" : m[k].name, sx_fig_look_of(m[k].kind, 0));
	for (int64_t i = 0; i < n_show; i++) {
		int panel = add_panel(f, &g, i, x[n_bin - 1]);
		for (int k = 0; k < n; k++) {
			profile_of(y, d, m[k].record, layer[i], head[i]);
			add_curve(f, panel, series[k], x, y, n_bin);
		}
	}
	describe(f, d, m, n);
	*out = f;
	f = NULL;
out:
	free(layer);
	free(head);
	free(x);
	sx_fig_free(f);
	return st;
}

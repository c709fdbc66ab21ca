/* Figure `updates`: what updates do to A_c, and what of it the first order explains. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

enum { FIRST_W, FIRST_WH, SPAN }; /* panels */

static bool same_start(const sx_fig_update_data *a, const sx_fig_update_data *b)
{
	return a->step == b->step && strcmp(a->label, b->label) == 0;
}

/* Of the pairs that start where pair i does, its place by updates; and how many there are. */
static int place_of(const sx_fig_update_data *in, int n, int i, int *count)
{
	int place = 0;
	*count = 0;
	for (int k = 0; k < n; k++) {
		if (!same_start(&in[k], &in[i])) continue;
		(*count)++;
		int64_t a = in[k].updates, b = in[i].updates;
		place += a < b || (k < i && a == b);
	}
	return place;
}

static bool has_spans(const sx_fig_update_data *in, int n)
{
	int count = 0;
	for (int i = 0; i < n; i++) {
		(void)place_of(in, n, i, &count);
		if (count > 1) return true;
	}
	return false;
}

/* ---- heads ---- */

/* Of what is a number; NaN where nothing is. */
static double rms_of(const double *x, int64_t n)
{
	double sum = 0;
	int64_t count = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(x[i])) sum += x[i] * x[i], count++;
	return count > 0 ? sqrt(sum / (double)count) : (double)NAN;
}

static sx_status add_dots(sx_fig *f, sx_ctx *ctx, const sx_fig_update_data *d, int series)
{
	double *x = sx_calloc((size_t)(3 * d->n) + 1, sizeof *x), scale = rms_of(d->change, d->n);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *y = x + d->n, *h = y + d->n;
	bool shown = scale > 0 || isnan(scale); /* undefined ones are said to be so */
	for (int64_t i = 0; i < d->n && shown; i++) {
		y[i] = d->change[i] / scale;
		x[i] = d->first_w[i] / scale;
		h[i] = (d->first_w[i] + d->first_h[i]) / scale;
	}
	if (shown) {
		sx_fig_dots(f, FIRST_W, series, x, y, d->n);
		sx_fig_dots(f, FIRST_WH, series, h, y, d->n);
	}
	free(x);
	return SX_OK;
}

/* ---- spans ---- */

/* The pairs that start where pair i does: lines of the three shares. */
static sx_status add_spans(sx_fig *f, sx_ctx *ctx, const sx_fig_update_data *in, int n, int i,
			   sx_fig_look look)
{
	static const sx_fig_dash dash[3] = {SX_FIG_DOTTED, SX_FIG_DASHED, SX_FIG_SOLID};
	static const char *const name[3] = {"part of W, by W", "all, by W", "all, by W and h"};
	int count = 0, place = place_of(in, n, i, &count);
	if (place != 0 || count < 2) return SX_OK;
	double *x = sx_calloc((size_t)(4 * count), sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int k = 0; k < n; k++) {
		int unused, at = place_of(in, n, k, &unused);
		if (!same_start(&in[k], &in[i])) continue;
		x[at] = (double)in[k].updates;
		x[count + at] = in[k].share_w;
		x[2 * count + at] = in[k].share;
		x[3 * count + at] = in[k].share_h;
	}
	for (int q = 0; q < 3; q++) {
		look.dash = dash[q];
		int series = sx_fig_unnamed_series(f, name[q], look);
		sx_fig_line(f, SPAN, series, x, x + (q + 1) * count, count);
		sx_fig_points(f, SPAN, series, x, x + (q + 1) * count, count);
	}
	free(x);
	return SX_OK;
}

static void add_key(sx_fig *f)
{
	static const sx_fig_look grey = {{0.4, 0.4, 0.4}, SX_FIG_SOLID, SX_FIG_CIRCLE};
	static const struct {
		const char *label;
		sx_fig_dash dash;
	} entry[] = {{"part of $W$, by $W$", SX_FIG_DOTTED},
		     {"all, by $W$", SX_FIG_DASHED},
		     {"all, by $W$ and $h$", SX_FIG_SOLID}};
	for (int k = 0; k < 3; k++) {
		sx_fig_look look = grey;
		look.dash = entry[k].dash;
		sx_fig_key_entry(f, entry[k].label, look);
	}
}

/* ---- the whole ---- */

static double largest(const sx_fig_update_data *in, int n)
{
	double most = 0;
	for (int i = 0; i < n; i++) {
		double scale = rms_of(in[i].change, in[i].n);
		for (int64_t k = 0; k < in[i].n && in[i].updates == 1 && scale > 0; k++) {
			double x = in[i].first_w[k], h = x + in[i].first_h[k];
			most = fmax(most, fabs(in[i].change[k]) / scale);
			most = fmax(most, fmax(fabs(x), fabs(h)) / scale);
		}
	}
	return most > 0 ? 1.05 * most : 1;
}

static void add_panels(sx_fig *f, const sx_fig_update_data *in, int n, bool narrow, bool spans)
{
	static const char *const label[] = {"First order of $W$", "First order of $W$ and $h$"};
	double most = largest(in, n);
	const double ends[] = {-most, most};
	for (int p = 0; p <= FIRST_WH; p++) {
		sx_fig_axis x = sx_part_axis(label[p], SX_FIG_LINEAR),
			    y = sx_part_axis("Change of $A_c$", SX_FIG_LINEAR);
		x.lo = y.lo = -most;
		x.hi = y.hi = most;
		sx_fig_panel(f, narrow ? p : 0, narrow ? 0 : p, "", x, y);
		sx_fig_guide(f, p, ends, ends, 2, "equal");
	}
	if (!spans) return;
	sx_fig_panel(f, narrow ? SPAN : 0, narrow ? 0 : SPAN, "",
		     sx_part_axis("Updates", SX_FIG_LOG10),
		     sx_part_axis("Share explained", SX_FIG_LINEAR));
}

static sx_status add_marks(sx_fig *f, sx_ctx *ctx, const sx_fig_update_data *in, int n,
			   const int *group, const sx_fig_look *look, bool spans)
{
	sx_status st = SX_OK;
	int *series = sx_calloc((size_t)n, sizeof *series);
	if (!series) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int i = 0; i < n; i++) {
		if (group[i] == i) series[i] = sx_fig_series(f, in[i].label, look[i]);
		if (in[i].updates == 1) SX_TRY(add_dots(f, ctx, &in[i], series[group[i]]));
		if (spans) SX_TRY(add_spans(f, ctx, in, n, i, look[i]));
	}
	if (spans) add_key(f);
out:
	free(series);
	return st;
}

sx_status sx_fig_updates(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_update_data *in, int n, const char *family)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	bool narrow = sx_part_is_narrow(style), spans = has_spans(in, n);
	int panels = spans ? SPAN + 1 : SPAN;
	sx_part_cast cast = {0};
	SX_TRY(sx_part_cast_new(&cast, ctx, n));
	for (int i = 0; i < n; i++) cast.label[i] = in[i].label, cast.kind[i] = in[i].kind;
	sx_part_group(&cast);
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? panels : 1, narrow ? 1 : panels));
	sx_fig_shape(f, narrow ? 0.8 : 1);
	add_panels(f, in, n, narrow, spans);
	SX_TRY(add_marks(f, ctx, in, n, cast.group, cast.look, spans));
	sx_part_about(f, "What updates do to A_c",
		      sx_format("Change of A_c (%s) by single updates against its first order in "
				"W_Q and W_K, and in W_Q, W_K and h, a dot per head, each divided "
				"by the root mean square of the update's changes; dotted: equal%s. "
				"For %s.",
				family,
				spans ? "; and shares of the change that the first order explains "
					"against the number of updates"
				      : "",
				sx_part_cast_names(&cast, "the runs")));
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	sx_part_cast_free(&cast);
	return st;
}

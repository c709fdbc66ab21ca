/* Figure `course`: A_c, its gradient and their bounds through training. */
#include <math.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

enum { VALUE, GRADIENT, SPREAD, PANELS };

static void add_panels(sx_fig *f, bool narrow)
{
	static const char *const label[PANELS] = {
		[VALUE] = "$|A_c|$",
		[GRADIENT] = "$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$",
		[SPREAD] = "Prefix spread"};
	for (int p = 0; p < PANELS; p++)
		sx_fig_panel(f, narrow ? p : 0, narrow ? 0 : p, "",
			     sx_part_axis("Updates", SX_FIG_LINEAR),
			     sx_part_axis(label[p], SX_FIG_LOG10));
}

static bool is_there(const double *y, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (y[i] > 0) return true;
	return false;
}

static void add_run(sx_fig *f, const sx_fig_course_data *d, sx_fig_look look)
{
	const double *y[PANELS] = {d->value, d->grad, d->spread};
	const double *bound[PANELS] = {d->value_bound, d->grad_bound, NULL};
	int series = sx_fig_series(f, d->label, look);
	look.dash = SX_FIG_DOTTED;
	int dotted = sx_fig_unnamed_series(f, "bound", look);
	for (int p = 0; p < PANELS; p++) {
		if (bound[p] && is_there(bound[p], d->n))
			sx_fig_line(f, p, dotted, d->step, bound[p], d->n);
		sx_fig_line(f, p, series, d->step, y[p], d->n);
		sx_fig_points(f, p, series, d->step, y[p], d->n);
	}
}

sx_status sx_fig_course(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			const sx_fig_course_data *in, int n, const char *family)
{
	static const sx_fig_look grey = {{0.4, 0.4, 0.4}, SX_FIG_DOTTED, SX_FIG_CIRCLE};
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	bool narrow = sx_part_is_narrow(style);
	sx_part_cast cast = {0};
	SX_TRY(sx_part_cast_new(&cast, ctx, n));
	for (int i = 0; i < n; i++) {
		if (in[i].n < 1) SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no steps", in[i].label));
		cast.label[i] = in[i].label, cast.kind[i] = in[i].kind;
	}
	sx_part_group(&cast);
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? PANELS : 1, narrow ? 1 : PANELS));
	sx_fig_shape(f, narrow ? 0.5 : 0.9);
	add_panels(f, narrow);
	for (int i = 0; i < n; i++) add_run(f, &in[i], cast.look[i]);
	sx_fig_key_entry(f, "bound", grey);
	sx_part_about(
		f, "A_c, its gradient and their bounds through training",
		sx_format("Mean over heads of |A_c| (%s) with its bound I9, of its gradient's "
			  "norm by W_Q with the bound I10.spread where it applies (dotted), and "
			  "prefix spread against the number of updates, for %s.",
			  family, sx_part_cast_names(&cast, "the runs")));
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	sx_part_cast_free(&cast);
	return st;
}

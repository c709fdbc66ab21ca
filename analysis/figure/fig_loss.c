/* Figure `loss`: training curves with the drop marked, and the two descents of the recalibration on
 * a logarithmic axis. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

static const char loss_label[] = "Training loss (nats)";

enum { RECORDS_PER_WINDOW = 60, WINDOW_MAX = 101 };

/* What happens where recalibration begins; of matched-token controls alone nothing is dropped. */
typedef struct {
	const char *mark, *title, *axis, *sentence;
} words;
static const words of_drop = {"drop", "after the drop", "Tokens since the drop",
			      "The positional embedding is dropped"};
static const words of_control = {"recalibration", "recalibration", "Tokens since it began",
				 "Recalibration begins"};

typedef struct {
	const sx_fig_run *run;
	int series;
	double *smooth; /* (run->n) */
} curve;

/* ---- smoothing ---- */

/* One window for all runs, so that one sentence states it: odd, a sixtieth of the longest run. */
static int64_t window_of(const sx_fig_run *runs, int n_run)
{
	int64_t longest = 0;
	for (int i = 0; i < n_run; i++)
		if (runs[i].n > longest) longest = runs[i].n;
	int64_t w = longest / RECORDS_PER_WINDOW;
	if (w > WINDOW_MAX) w = WINDOW_MAX;
	return w | 1;
}

/* Centred running mean. A window never crosses the drop, and near the start of a phase it spans at
 * most half of the records since then, so that neither the spike nor the steep first descent is
 * smeared and a logarithmic axis shows them as they were; at the end, where the curve is flat and
 * the noise counts, it narrows on the right alone. NaN stays NaN. */
static void smooth_phase(double *out, const double *v, int64_t n, int64_t window)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t half = window / 2 < i / 4 ? window / 2 : i / 4;
		int64_t to = i + half < n - 1 ? i + half : n - 1, count = 0;
		double sum = 0;
		for (int64_t k = i - half; k <= to; k++)
			if (isfinite(v[k])) sum += v[k], count++;
		out[i] = isfinite(v[i]) ? sum / (double)count : (double)NAN;
	}
}

static void smooth(double *out, const sx_fig_run *r, int64_t window)
{
	for (int64_t from = 0, to; from < r->n; from = to) {
		for (to = from; to < r->n && r->phase[to] == r->phase[from]; to++) continue;
		smooth_phase(out + from, r->loss + from, to - from, window);
	}
}

/* ---- the range of the loss axis ---- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Everything up to four times the distance from the lowest loss to the 90 % quantile: the drop's
 * spike stands out and the descents before and after keep a quarter of the panel. NaN where that
 * cuts nothing off. */
static sx_status upper_limit(double *out, sx_ctx *ctx, const curve *curves, int n_run)
{
	int64_t n = 0;
	for (int i = 0; i < n_run; i++) n += curves[i].run->n;
	double *v = sx_calloc((size_t)n + 1, sizeof *v);
	if (!v)
		return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure of %lld records",
			       (long long)n);
	n = 0;
	for (int i = 0; i < n_run; i++)
		for (int64_t k = 0; k < curves[i].run->n; k++)
			if (isfinite(curves[i].run->loss[k])) v[n++] = curves[i].run->loss[k];
	*out = (double)NAN;
	if (n > 0) {
		qsort(v, (size_t)n, sizeof *v, ascending);
		double limit = v[0] + 4 * (v[(int64_t)(0.9 * (double)(n - 1))] - v[0]);
		if (limit > v[0] && v[n - 1] > limit) *out = limit;
	}
	free(v);
	return SX_OK;
}

/* Says with an arrow how high the loss of a phase goes where the panel cuts it. */
static bool note_cut(sx_fig *f, int panel, const curve *curves, int n_run, double limit, int phase)
{
	double top = -(double)INFINITY, at = (double)NAN;
	for (int i = 0; i < n_run; i++) {
		const sx_fig_run *r = curves[i].run;
		for (int64_t k = 0; k < r->n; k++)
			if (r->phase[k] == phase && isfinite(r->loss[k]) && r->loss[k] > top)
				top = r->loss[k], at = r->tokens_seen[k];
	}
	if (!(top > limit)) return false;
	char text[32];
	snprintf(text, sizeof text, "\u2191 %.1f", top);
	sx_fig_note(f, panel, at, (double)INFINITY, text);
	return true;
}

/* ---- the panels ---- */

static sx_status add_series(sx_fig *f, sx_ctx *ctx, curve *curves, int n_run)
{
	sx_status st = SX_OK;
	sx_part_cast c = {0};
	SX_TRY(sx_part_cast_new(&c, ctx, n_run));
	for (int i = 0; i < n_run; i++)
		c.label[i] = curves[i].run->label, c.kind[i] = curves[i].run->kind;
	sx_part_group(&c);
	for (int i = 0; i < n_run; i++)
		curves[i].series = c.group[i] < i ? curves[c.group[i]].series
						  : sx_fig_series(f, c.label[i], c.look[i]);
out:
	sx_part_cast_free(&c);
	return st;
}

/* Runs that drop at nearly the same place share a mark. */
static void add_drops(sx_fig *f, int panel, const curve *curves, int n_run, const words *w,
		      double span)
{
	double last = -(double)INFINITY;
	for (;;) {
		double next = (double)INFINITY;
		for (int i = 0; i < n_run; i++) {
			double d = curves[i].run->drop;
			if (d > last + 0.01 * span && d < next) next = d;
		}
		if (isinf(next)) return;
		sx_fig_vline(f, panel, next, w->mark);
		last = next;
	}
}

static sx_status add_all(sx_fig *f, sx_ctx *ctx, const curve *curves, int n_run, const words *w,
			 bool *cut)
{
	double limit = (double)NAN, span = 0;
	sx_status st = upper_limit(&limit, ctx, curves, n_run);
	if (st != SX_OK) return st;
	sx_fig_axis x = {"Tokens seen", SX_FIG_LINEAR, (double)NAN, (double)NAN, false, false};
	sx_fig_axis y = {loss_label, SX_FIG_LINEAR, (double)NAN, limit, false, false};
	int panel = sx_fig_panel(f, 0, 0, w ? "all tokens" : "", x, y);
	for (int i = 0; i < n_run; i++) {
		const sx_fig_run *r = curves[i].run;
		sx_fig_pale(f, panel, curves[i].series, r->tokens_seen, r->loss, r->n);
		sx_fig_line(f, panel, curves[i].series, r->tokens_seen, curves[i].smooth, r->n);
		sx_fig_points(f, panel, curves[i].series, r->eval_tokens, r->eval_loss, r->n_eval);
		span = fmax(span, r->n > 0 ? r->tokens_seen[r->n - 1] : 0);
	}
	if (w) add_drops(f, panel, curves, n_run, w, span);
	*cut = false;
	for (int phase = 0; phase < 2 && !isnan(limit); phase++)
		if (note_cut(f, panel, curves, n_run, limit, phase)) *cut = true;
	return SX_OK;
}

/* The step between records, from the first two that differ; the record of a single batch if the log
 * holds every one. */
static double record_step(const double *tokens, int64_t n)
{
	for (int64_t i = 1; i < n; i++)
		if (tokens[i] > tokens[0]) return (tokens[i] - tokens[0]) / (double)i;
	return 1;
}

/* From its own drop on, or for a run without one from where the others have theirs. A record's own
 * batch counts: the first record after the drop lies at one batch, not at zero. */
static sx_status add_after(sx_fig *f, sx_ctx *ctx, int panel, const curve *c, double common)
{
	const sx_fig_run *r = c->run;
	bool own = !isnan(r->drop);
	if (!own && isnan(common)) return SX_OK;
	int64_t from = 0;
	while (from < r->n && (own ? r->phase[from] == 0 : r->tokens_seen[from] < common)) from++;
	int64_t n = r->n - from;
	if (n < 1) return SX_OK;

	double *since = sx_calloc((size_t)n, sizeof *since);
	if (!since)
		return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure of %lld records",
			       (long long)n);
	/* Of a single record the step is that from the one before it. */
	bool single = n == 1 && from > 0;
	double batch = record_step(r->tokens_seen + from - single, n + single);
	for (int64_t i = 0; i < n; i++)
		since[i] = r->tokens_seen[from + i] - r->tokens_seen[from] + batch;
	sx_fig_pale(f, panel, c->series, since, r->loss + from, n);
	sx_fig_line(f, panel, c->series, since, c->smooth + from, n);
	free(since);
	return SX_OK;
}

/* The earliest drop, NaN if there is none, and its words, NULL if there is none; *common if all
 * drops lie within a hundredth of it, else NaN. */
static double first_drop(const sx_fig_run *runs, int n_run, double *common, const words **w)
{
	double lo = (double)NAN, hi = (double)NAN;
	*w = NULL;
	for (int i = 0; i < n_run; i++) {
		if (isnan(runs[i].drop)) continue;
		if (runs[i].kind != SX_FIG_CONTROL) *w = &of_drop;
		if (!*w) *w = &of_control;
		lo = fmin(lo, runs[i].drop);
		hi = fmax(hi, runs[i].drop);
	}
	*common = hi - lo <= 0.01 * fabs(lo) ? lo : (double)NAN;
	return lo;
}

/* ---- the description ---- */

static void describe(sx_fig *f, const sx_fig_run *runs, int n_run, int64_t window, const words *w,
		     double drop, bool cut)
{
	char *names = sx_strdup("");
	bool held_out = false;
	for (int i = 0; i < n_run; i++) {
		bool known = false;
		for (int k = 0; k < i; k++)
			known = known || strcmp(runs[k].label, runs[i].label) == 0;
		held_out = held_out || runs[i].n_eval > 0;
		if (known || !names) continue;
		char *more = sx_format("%s%s%s", names, names[0] ? ", " : "", runs[i].label);
		free(names);
		names = more;
	}
	char mean[96] = "", where[160] = "";
	if (window > 1)
		snprintf(mean, sizeof mean,
			 ", running mean of %lld records over the raw values (pale)",
			 (long long)window);
	if (w)
		snprintf(where, sizeof where,
			 " %s after %.0f tokens; (b) shows the loss from there on.", w->sentence,
			 drop);
	char *alt = sx_format("Training loss in nats per token against tokens seen of %s%s.%s%s%s",
			      names ? names : "the runs", mean, where,
			      cut ? " Arrows give the highest loss where (a) is cut." : "",
			      held_out ? " Markers: held-out loss." : "");
	sx_fig_about(f, "Training loss", alt ? alt : "");
	free(alt);
	free(names);
}

sx_status sx_fig_loss(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, const sx_fig_run *runs,
		      int n_run)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	const words *w;
	double common, drop = first_drop(runs, n_run, &common, &w);
	/* A second panel beside the first, or below it in a single column. */
	bool wide = style->width_in > 4.5, cut = false;
	int rows = w && !wide ? 2 : 1, cols = w && wide ? 2 : 1;
	int64_t window = window_of(runs, n_run);
	curve *curves = sx_calloc(n_run > 0 ? (size_t)n_run : 1, sizeof *curves);

	if (!curves) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int i = 0; i < n_run; i++) {
		curves[i].run = &runs[i];
		curves[i].smooth = sx_calloc((size_t)runs[i].n + 1, sizeof(double));
		if (!curves[i].smooth)
			SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
		smooth(curves[i].smooth, &runs[i], window);
	}
	SX_TRY(sx_fig_new(&f, ctx, style, rows, cols));
	SX_TRY(add_series(f, ctx, curves, n_run));
	SX_TRY(add_all(f, ctx, curves, n_run, w, &cut));
	if (w) {
		sx_fig_axis x = {w->axis, SX_FIG_LOG10, (double)NAN, (double)NAN, false, false};
		sx_fig_axis y = {loss_label, SX_FIG_LINEAR, (double)NAN, (double)NAN, false, false};
		int panel = sx_fig_panel(f, rows - 1, cols - 1, w->title, x, y);
		for (int i = 0; i < n_run; i++)
			SX_TRY(add_after(f, ctx, panel, &curves[i], common));
	}
	describe(f, runs, n_run, window, w, drop, cut);
	*out = f;
	f = NULL;
out:
	for (int i = 0; i < n_run; i++) free(curves[i].smooth);
	free(curves);
	sx_fig_free(f);
	return st;
}

/* Figure `drop`: what becomes of every head through the drop, quantity by quantity. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

enum { TIMES = 3, MOST_KEY_LAYERS = 6, MOST_MARKERS = 4 };

static const sx_fig_marker markers[MOST_MARKERS] = {SX_FIG_CIRCLE, SX_FIG_SQUARE, SX_FIG_TRIANGLE,
						    SX_FIG_DIAMOND};

static sx_fig_marker marker_of(const sx_fig_drop_data *d, int64_t head)
{
	return d->n_head <= MOST_MARKERS ? markers[head] : SX_FIG_CIRCLE;
}

/* Heads of a layer stand side by side at each time, so that their bars can be told apart. */
static double place_of(const sx_fig_drop_data *d, int time, int64_t head)
{
	int64_t n = d->n_layer * d->n_head;
	double spread = n > 1 ? 0.24 * ((double)head / (double)(n - 1) - 0.5) : 0;
	return time + spread;
}

static void add_head(sx_fig *f, int panel, const sx_fig_drop_data *d, int64_t head)
{
	double x[TIMES], y[TIMES], low[TIMES], high[TIMES];
	int64_t layer = head / d->n_head, all = d->n_layer * d->n_head;
	char name[48];
	sx_fig_look look = sx_part_ramp(layer, d->n_layer);
	look.marker = marker_of(d, head % d->n_head);
	for (int t = 0; t < TIMES; t++) {
		x[t] = place_of(d, t, head);
		y[t] = d->value[t * all + head];
		low[t] = d->low ? d->low[t * all + head] : (double)NAN;
		high[t] = d->high ? d->high[t * all + head] : (double)NAN;
	}
	snprintf(name, sizeof name, "L%lld/H%lld", (long long)layer, (long long)(head % d->n_head));
	int series = sx_fig_unnamed_series(f, name, look);
	sx_fig_y_intervals(f, panel, series, x, low, high, TIMES);
	sx_fig_path(f, panel, series, x, y, TIMES);
	sx_fig_dots(f, panel, series, x, y, TIMES);
}

/* The three heads that were largest before the drop. */
static void add_names(sx_fig *f, int panel, const sx_fig_drop_data *d)
{
	enum { NAMED = 3 };
	int64_t all = d->n_layer * d->n_head, named[NAMED];
	for (int k = 0; k < NAMED; k++) {
		int64_t best = -1;
		for (int64_t h = 0; h < all; h++) {
			bool taken = !isfinite(d->value[h]);
			for (int i = 0; i < k; i++) taken = taken || named[i] == h;
			if (!taken && (best < 0 || d->value[h] > d->value[best])) best = h;
		}
		named[k] = best;
		if (best < 0) return;
		char name[48];
		snprintf(name, sizeof name, "L%lld/H%lld", (long long)(best / d->n_head),
			 (long long)(best % d->n_head));
		sx_fig_label(f, panel, place_of(d, 0, best), d->value[best], name);
	}
}

/* Heads that lack one of the three. */
static int64_t undefined_heads(const sx_fig_drop_data *d)
{
	int64_t count = 0, all = d->n_layer * d->n_head;
	for (int64_t h = 0; h < all; h++) {
		bool whole = true;
		for (int t = 0; t < TIMES; t++) whole = whole && isfinite(d->value[t * all + h]);
		count += !whole;
	}
	return count;
}

static void add_panel(sx_fig *f, const sx_fig_drop_data *d, int row, int col, const char *run)
{
	static const double at[TIMES] = {0, 1, 2};
	static const char *const words[TIMES] = {"before", "after", "end"};
	sx_fig_axis x = sx_part_axis("", SX_FIG_LINEAR), y = sx_part_axis(run, SX_FIG_LINEAR);
	x.lo = -0.85, x.hi = 2.3;
	int panel = sx_fig_panel(f, row, col, d->quantity, x, y);
	sx_fig_x_ticks(f, panel, TIMES, at, words);
	for (int64_t h = 0; h < d->n_layer * d->n_head; h++) add_head(f, panel, d, h);
	add_names(f, panel, d);
	sx_part_note_undefined(f, panel, x.lo, undefined_heads(d), d->n_layer * d->n_head);
}

static void add_key(sx_fig *f, const sx_fig_drop_data *d)
{
	int64_t n = d->n_layer;
	int shown = n < MOST_KEY_LAYERS ? (int)n : MOST_KEY_LAYERS;
	for (int k = 0; k < shown; k++) {
		char name[32];
		int64_t l = shown > 1 ? k * (n - 1) / (shown - 1) : 0;
		snprintf(name, sizeof name, "layer %lld", (long long)l);
		sx_fig_key_dot(f, name, sx_part_ramp(l, n));
	}
	for (int64_t h = 0; d->n_head > 1 && d->n_head <= MOST_MARKERS && h < d->n_head; h++) {
		char name[32];
		sx_fig_look grey = {{0.35, 0.35, 0.35}, SX_FIG_SOLID, marker_of(d, h)};
		snprintf(name, sizeof name, "head %lld", (long long)h);
		sx_fig_key_dot(f, name, grey);
	}
}

static bool same_run(const sx_fig_drop_data *a, const sx_fig_drop_data *b)
{
	return strcmp(a->label, b->label) == 0 && a->seed == b->seed;
}

/* Panels of one run after another, a row for each run; narrow: a row for each panel. */
static void add_panels(sx_fig *f, const sx_fig_drop_data *in, int n, const char *const *label,
		       const int64_t *seed, int runs, bool narrow)
{
	int run = 0, col = 0;
	for (int i = 0; i < n; i++, col++) {
		char name[128] = "";
		if (i > 0 && !same_run(&in[i], &in[i - 1])) run++, col = 0;
		if (runs > 1) sx_part_title(name, sizeof name, label, seed, n, i);
		add_panel(f, &in[i], narrow ? i : run, narrow ? 0 : col, name);
	}
}

sx_status sx_fig_drop(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		      const sx_fig_drop_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	bool bars = false, narrow = sx_part_is_narrow(style);
	int runs = 1, in_row = 0, cols = 0;
	char *names = NULL;
	const char **label = sx_calloc((size_t)n, sizeof *label);
	int64_t *seed = sx_calloc((size_t)n, sizeof *seed);
	if (!label || !seed) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	for (int i = 0; i < n; i++) {
		if (in[i].n_layer * in[i].n_head == 0)
			SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no heads", in[i].label));
		label[i] = in[i].label, seed[i] = in[i].seed;
		bars = bars || in[i].low;
		if (i > 0 && !same_run(&in[i], &in[i - 1])) runs++, in_row = 0;
		if (++in_row > cols) cols = in_row;
	}
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? n : runs, narrow ? 1 : cols));
	sx_fig_shape(f, narrow ? 0.62 : cols > 2 ? 1 : 0.8);
	add_key(f, &in[0]);
	add_panels(f, in, n, label, seed, runs, narrow);
	names = sx_part_names(label, n);
	sx_part_about(f, "Heads through the drop",
		      sx_format("%s of every head of %s%s: before the drop, right after it on the "
				"same weights, and at the end of recalibration.%s",
				n == runs ? in[0].quantity : "Several quantities",
				names ? names : "the runs", runs > 1 ? ", a row for each run" : "",
				bars ? " Bars: the intervals." : ""));
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	free(names);
	free(label);
	free(seed);
	return st;
}

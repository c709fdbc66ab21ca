/* Figure `plane`: heads between position and content, and their way through the drop. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

/* In units of the axes: a head that moved so far, or whose neighbours are so far off, gets its name. */
static const double far_enough = 0.15, alone_enough = 0.1;
/* A panel of so few heads names all of them; of so many it draws the way of the named ones alone
 * strongly, and the others' pale. */
enum { FEW_HEADS = 12, MANY_HEADS = 40, MOST_LABELS = 12, MOST_KEY_LAYERS = 6, N_CLASSES = 7 };

/* The marker of each class; what is not in the list shares the last one. */
static const char *const classes[N_CLASSES] = {"positional", "semantic", "key",      "mixed",
					       "sink",       "inactive", "undecided"};
static const sx_fig_marker markers[N_CLASSES] = {SX_FIG_CIRCLE,   SX_FIG_SQUARE,  SX_FIG_STAR,
						 SX_FIG_TRIANGLE, SX_FIG_DIAMOND, SX_FIG_CROSS,
						 SX_FIG_DOWN};

typedef struct {
	const sx_fig_plane_data *d;
	int64_t record[3]; /* before the drop, right after, the end; or the end alone */
	int n;
} way;

static way way_of(const sx_fig_plane_data *d)
{
	way w = {.d = d};
	int64_t drop = sx_part_drop(&d->at), last = d->at.n_step - 1;
	if (drop > 0) w.record[w.n++] = drop - 1;
	if (drop >= 0 && drop < last) w.record[w.n++] = drop;
	w.record[w.n++] = last;
	return w;
}

static int64_t place_of(const way *w, int moment, int64_t head)
{
	return w->record[moment] * w->d->at.n_layer * w->d->at.n_head + head;
}

static void position_of(double *x, double *y, const way *w, int moment, int64_t head)
{
	int64_t at = place_of(w, moment, head);
	*x = w->d->positional.value[at];
	*y = w->d->content.value[at];
}

static int class_of(const way *w, int moment, int64_t head)
{
	const char *name = w->d->class_name ? w->d->class_name[place_of(w, moment, head)] : NULL;
	if (!name) return w->d->class_name ? N_CLASSES - 1 : 0;
	int k = 0;
	while (k < N_CLASSES - 1 && strcmp(classes[k], name) != 0) k++;
	return k;
}

static sx_fig_look look_of(const way *w, int moment, int64_t head)
{
	sx_fig_look look = sx_part_ramp(head / w->d->at.n_head, w->d->at.n_layer);
	look.marker = markers[class_of(w, moment, head)];
	return look;
}

/* ---- which heads have names ---- */

/* How far a head moved, and how far its nearest neighbour is, in units of what is far; the larger.
 * NaN where it has no place. */
static double importance(const way *w, int64_t head)
{
	int64_t n = w->d->at.n_layer * w->d->at.n_head;
	double x, y, from_x, from_y, near = (double)INFINITY;
	position_of(&x, &y, w, w->n - 1, head);
	position_of(&from_x, &from_y, w, 0, head);
	if (isnan(x) || isnan(y)) return (double)NAN;
	for (int64_t k = 0; k < n; k++) {
		double x2, y2;
		position_of(&x2, &y2, w, w->n - 1, k);
		if (k != head) near = fmin(near, hypot(x2 - x, y2 - y));
	}
	return fmax(hypot(x - from_x, y - from_y) / far_enough, near / alone_enough);
}

/* The most important heads first; returns how many. */
static int choose(int64_t out[MOST_LABELS], const way *w)
{
	double rank[MOST_LABELS];
	int64_t heads = w->d->at.n_layer * w->d->at.n_head;
	int n = 0;
	for (int64_t i = 0; i < heads; i++) {
		double r = importance(w, i);
		if (isnan(r) || (heads > FEW_HEADS && r < 1)) continue;
		int k = n < MOST_LABELS ? n++ : MOST_LABELS;
		for (; k > 0 && rank[k - 1] < r; k--)
			if (k < MOST_LABELS) rank[k] = rank[k - 1], out[k] = out[k - 1];
		if (k < MOST_LABELS) rank[k] = r, out[k] = i;
	}
	return n;
}

/* ---- drawing ---- */

static void add_intervals(sx_fig *f, int panel, int series, const way *w, int64_t head)
{
	int64_t at = place_of(w, w->n - 1, head);
	const sx_fig_range *p = &w->d->positional, *c = &w->d->content;
	if (p->low && p->high)
		sx_fig_x_intervals(f, panel, series, c->value + at, p->low + at, p->high + at, 1);
	if (c->low && c->high)
		sx_fig_y_intervals(f, panel, series, p->value + at, c->low + at, c->high + at, 1);
}

/* The drop itself dotted, recalibration solid. */
static void add_way(sx_fig *f, int panel, const way *w, const char *name, int64_t head, bool strong,
		    const double *x, const double *y)
{
	sx_fig_look look = look_of(w, 0, head);
	int start = sx_fig_unnamed_series(f, name, look);
	if (!strong) {
		sx_fig_pale(f, panel, start, x, y, w->n);
		return;
	}
	look.dash = SX_FIG_DOTTED;
	int drop = w->n == 3 ? sx_fig_unnamed_series(f, name, look) : start;
	sx_fig_path(f, panel, drop, x, y, 2);
	if (w->n == 3) sx_fig_path(f, panel, start, x + 1, y + 1, 2);
	sx_fig_points(f, panel, start, x, y, 1);
}

static void add_head(sx_fig *f, int panel, const way *w, int64_t head, bool strong)
{
	double x[3], y[3];
	char name[80];
	int last = w->n - 1, k = class_of(w, last, head);
	for (int i = 0; i < w->n; i++) position_of(&x[i], &y[i], w, i, head);
	snprintf(name, sizeof name, "L%lld/H%lld%s%s", (long long)(head / w->d->at.n_head),
		 (long long)(head % w->d->at.n_head), w->d->class_name ? ", " : "",
		 w->d->class_name ? classes[k] : "");
	int end = sx_fig_unnamed_series(f, name, look_of(w, last, head));
	add_intervals(f, panel, end, w, head);
	if (w->n > 1) add_way(f, panel, w, name, head, strong, x, y);
	sx_fig_dots(f, panel, end, x + last, y + last, 1);
}

/* Heads without a place at the end. */
static int64_t undefined_heads(const way *w)
{
	int64_t count = 0;
	for (int64_t h = 0; h < w->d->at.n_layer * w->d->at.n_head; h++) {
		double x, y;
		position_of(&x, &y, w, w->n - 1, h);
		count += !isfinite(x) || !isfinite(y);
	}
	return count;
}

static void add_panel(sx_fig *f, const way *w, int row, int col, const char *title)
{
	int64_t chosen[MOST_LABELS], H = w->d->at.n_head, heads = w->d->at.n_layer * H;
	int n = choose(chosen, w);
	sx_fig_axis x = sx_part_axis("Positional share", SX_FIG_LINEAR);
	sx_fig_axis y = sx_part_axis("Content share", SX_FIG_LINEAR);
	/* The whole plane, so that figures can be compared. */
	x.lo = y.lo = -0.03;
	x.hi = y.hi = 1.03;
	int panel = sx_fig_panel(f, row, col, title, x, y);
	for (int64_t i = 0; i < heads; i++) {
		bool strong = heads <= MANY_HEADS;
		for (int k = 0; k < n; k++) strong = strong || chosen[k] == i;
		add_head(f, panel, w, i, strong);
	}
	sx_part_note_undefined(f, panel, x.lo, undefined_heads(w), heads);
	for (int k = 0; k < n; k++) {
		double at_x, at_y;
		char name[48];
		position_of(&at_x, &at_y, w, w->n - 1, chosen[k]);
		snprintf(name, sizeof name, "L%lld/H%lld", (long long)(chosen[k] / H),
			 (long long)(chosen[k] % H));
		sx_fig_label(f, panel, at_x, at_y, name);
	}
}

/* Layers by colour, of many some; classes that occur by marker; the ends of the ways. */
static void add_key(sx_fig *f, const sx_fig_plane_data *in, int n)
{
	static const sx_fig_look grey = {{0.4, 0.4, 0.4}, SX_FIG_SOLID, SX_FIG_CIRCLE};
	int64_t layers = 0;
	bool seen[N_CLASSES] = {false}, seen_any = false, ways = false;
	for (int i = 0; i < n; i++) {
		way w = way_of(&in[i]);
		if (in[i].at.n_layer > layers) layers = in[i].at.n_layer;
		for (int64_t h = 0; h < in[i].at.n_layer * in[i].at.n_head && in[i].class_name; h++)
			for (int k = 0; k < w.n; k++) seen[class_of(&w, k, h)] = true;
		ways = ways || w.n > 1;
	}
	int shown = layers < MOST_KEY_LAYERS ? (int)layers : MOST_KEY_LAYERS;
	for (int k = 0; k < shown; k++) {
		char name[32];
		int64_t l = shown > 1 ? k * (layers - 1) / (shown - 1) : 0;
		snprintf(name, sizeof name, "layer %lld", (long long)l);
		sx_fig_key_dot(f, name, sx_part_ramp(l, layers));
	}
	for (int k = 0; k < N_CLASSES; k++) {
		sx_fig_look look = grey;
		look.marker = markers[k];
		if (seen[k]) sx_fig_key_dot(f, classes[k], look);
		seen_any = seen_any || seen[k];
	}
	if (ways) {
		sx_fig_key_point(f, "before drop", grey);
		if (!seen_any) sx_fig_key_dot(f, "at the end", grey);
	}
}

static void describe(sx_fig *f, const sx_fig_plane_data *in, const char *const *label, int n)
{
	char *names = sx_part_names(label, n), when[SX_PART_WHEN] = "";
	bool ways = false, intervals = false, same = true;
	for (int i = 0; i < n; i++) {
		int64_t last = in[i].at.n_step - 1;
		ways = ways || way_of(&in[i]).n > 1;
		intervals = intervals || in[i].positional.low || in[i].content.low;
		same = same && in[i].at.step[last] == in[0].at.step[in[0].at.n_step - 1];
	}
	if (same) sx_part_when(when, in[0].at.step[in[0].at.n_step - 1]);
	sx_part_about(
		f, "Positional-semantic plane",
		sx_format("Share of a head's logit variation that position explains against the "
			  "share that content explains, a dot per head (L layer, H head), for "
			  "%s%s.%s%s",
			  names ? names : "the inputs", when,
			  intervals ? " Bars: the intervals of both shares." : "",
			  ways ? " Open marker: before the drop; dotted to right after it, then a "
				 "line to the end (dot)."
			       : ""));
	free(names);
}

sx_status sx_fig_plane(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_plane_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int most = sx_part_is_narrow(style) ? 2 : 4, cols = n < most ? n : most;
	const char **label = sx_calloc((size_t)n, sizeof *label);
	int64_t *seed = sx_calloc((size_t)n, sizeof *seed);
	if (!label || !seed) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	for (int i = 0; i < n; i++) {
		label[i] = in[i].at.label, seed[i] = in[i].at.seed;
		if (in[i].at.n_step == 0 || in[i].at.n_layer * in[i].at.n_head == 0)
			SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no shares of heads", label[i]));
	}
	SX_TRY(sx_fig_new(&f, ctx, style, (n + cols - 1) / cols, cols));
	sx_fig_share(f, cols == 1 ? 0.8 : 1);
	add_key(f, in, n);
	for (int i = 0; i < n; i++) {
		way w = way_of(&in[i]);
		char title[128] = "";
		if (n > 1) sx_part_title(title, sizeof title, label, seed, n, i);
		add_panel(f, &w, i / cols, i % cols, title);
	}
	describe(f, in, label, n);
	*out = f;
	f = NULL;
out:
	free(label);
	free(seed);
	sx_fig_free(f);
	return st;
}

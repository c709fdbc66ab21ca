/* Figure `context`: perplexity and retrieval by context length. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

enum { MAX_KINDS = 8, MAX_LENGTHS = 32 };

/* The lengths and kinds of all inputs, each once: ticks and panels. */
typedef struct {
	int n_length, n_kind;
	int64_t length[MAX_LENGTHS];
	const char *kind[MAX_KINDS];
	bool has_nll;
} all_of;

static void add_length(all_of *a, int64_t length)
{
	int k = 0;
	while (k < a->n_length && a->length[k] < length) k++;
	if ((k < a->n_length && a->length[k] == length) || a->n_length == MAX_LENGTHS) return;
	memmove(a->length + k + 1, a->length + k,
		(size_t)(a->n_length++ - k) * sizeof a->length[0]);
	a->length[k] = length;
}

static void add_kind(all_of *a, const char *kind)
{
	for (int k = 0; k < a->n_kind; k++)
		if (strcmp(a->kind[k], kind) == 0) return;
	if (a->n_kind < MAX_KINDS) a->kind[a->n_kind++] = kind;
}

static all_of collect(const sx_fig_context_data *in, int n)
{
	all_of a = {0};
	for (int i = 0; i < n; i++) {
		for (int64_t k = 0; k < in[i].n_length; k++) add_length(&a, in[i].length[k]);
		for (int k = 0; k < in[i].n_kind && in[i].hits; k++) add_kind(&a, in[i].needle[k]);
		a.has_nll = a.has_nll || in[i].nll;
	}
	return a;
}

/* Hits and trials of a kind at a length, over all distances. */
static void count(int64_t *hits, int64_t *trials, const sx_fig_context_data *d, int64_t length,
		  const char *kind)
{
	for (int k = 0; k < d->n_kind && d->hits; k++) {
		if (strcmp(d->needle[k], kind) != 0) continue;
		for (int i = 0; i < d->n_distance; i++) {
			int64_t at = (length * d->n_kind + k) * d->n_distance + i;
			if (d->trials[at] <= 0 || d->hits[at] < 0) continue;
			*hits += d->hits[at];
			*trials += d->trials[at];
		}
	}
}

/* Wilson's 95 % interval for h of n. */
static void wilson(double *low, double *high, double h, double n)
{
	const double z = 1.959963984540054;
	double p = h / n, d = 1 + z * z / n, c = p + z * z / (2 * n);
	double w = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
	*low = fmax(0, (c - w) / d);
	*high = fmin(1, (c + w) / d);
}

typedef struct {
	double x[MAX_LENGTHS], y[MAX_LENGTHS], low[MAX_LENGTHS], high[MAX_LENGTHS];
	int n;
	bool band;
} curve;

/* A point for each length that any input of the group has: of one input its value, of several the
 * mean and range. kind NULL: perplexity. Needles of seeds are counted together. */
static curve curve_of(const all_of *a, const sx_fig_context_data *in, const int *group, int n,
		      int g, const char *kind)
{
	curve c = {.n = 0};
	for (int t = 0; t < a->n_length; t++) {
		double sum = 0, low = (double)NAN, high = (double)NAN;
		int64_t hits = 0, trials = 0;
		int values = 0;
		for (int i = 0; i < n; i++) {
			if (group[i] != g) continue;
			for (int64_t k = 0; k < in[i].n_length; k++) {
				if (in[i].length[k] != a->length[t]) continue;
				if (kind) {
					count(&hits, &trials, &in[i], k, kind);
				} else if (in[i].nll && isfinite(in[i].nll[k])) {
					double v = exp(in[i].nll[k]);
					sum += v, values++;
					low = fmin(low, v);
					high = fmax(high, v);
				}
			}
		}
		if (kind ? trials == 0 : values == 0) continue;
		c.x[c.n] = (double)a->length[t];
		c.y[c.n] = kind ? (double)hits / (double)trials : sum / values;
		if (kind) wilson(&low, &high, (double)hits, (double)trials);
		c.low[c.n] = low;
		c.high[c.n++] = high;
		c.band = c.band || kind || values > 1;
	}
	return c;
}

static void add_panel(sx_fig *f, const all_of *a, int row, int col, const char *kind)
{
	double at[MAX_LENGTHS];
	char text[MAX_LENGTHS][24];
	const char *texts[MAX_LENGTHS];
	char title[64];
	snprintf(title, sizeof title, "%s", kind ? kind : "");
	sx_fig_axis x = sx_part_axis("Context length (tokens)", SX_FIG_LOG10);
	sx_fig_axis y = kind ? sx_part_axis("Retrieved", SX_FIG_LINEAR)
			     : sx_part_axis("Perplexity", SX_FIG_LOG10);
	if (kind) y.lo = 0, y.hi = 1.03;
	int panel = sx_fig_panel(f, row, col, title, x, y);
	for (int i = 0; i < a->n_length; i++) {
		at[i] = (double)a->length[i];
		snprintf(text[i], sizeof text[i], "%lld", (long long)a->length[i]);
		texts[i] = text[i];
	}
	sx_fig_x_ticks(f, panel, a->n_length, at, texts);
}

static void describe(sx_fig *f, const char *const *label, int n, const all_of *a)
{
	char *names = sx_part_names(label, n);
	const char *needles =
		a->n_kind == 0 ? ""
		: a->has_nll
			? " and share of needles retrieved, all distances together, with Wilson's "
			  "95 % interval,"
			: "Share of needles retrieved, all distances together, with Wilson's 95 % "
			  "interval,";
	sx_part_about(f, "By context length",
		      sx_format("%s%s against context length for %s.",
				a->has_nll ? "Perplexity (mean over the context)" : "", needles,
				names ? names : "the inputs"));
	free(names);
}

static sx_status build(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, const all_of *a,
		       const sx_fig_context_data *in, const int *group, const sx_fig_look *look,
		       int n)
{
	int panels = a->n_kind + a->has_nll, cols = sx_part_is_narrow(style) ? 1 : panels;
	if (cols > 3) cols = 2;
	sx_status st = sx_fig_new(out, ctx, style, (panels + cols - 1) / cols, cols);
	if (st != SX_OK) return st;
	for (int p = 0; p < panels; p++)
		add_panel(*out, a, p / cols, p % cols,
			  p < a->has_nll ? NULL : a->kind[p - a->has_nll]);
	for (int g = 0; g < n; g++) {
		int size = 0;
		for (int i = 0; i < n; i++) size += group[i] == g;
		if (size == 0) continue;
		int series = sx_fig_series(*out, in[g].label, look[g]);
		for (int p = 0; p < panels; p++) {
			const char *kind = p < a->has_nll ? NULL : a->kind[p - a->has_nll];
			curve c = curve_of(a, in, group, n, g, kind);
			if (c.band) sx_fig_band(*out, p, series, c.x, c.low, c.high, c.n);
			sx_fig_line(*out, p, series, c.x, c.y, c.n);
			sx_fig_points(*out, p, series, c.x, c.y, c.n);
		}
	}
	return SX_OK;
}

sx_status sx_fig_context(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_context_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int *group = sx_calloc((size_t)n, sizeof *group);
	sx_fig_look *look = sx_calloc((size_t)n, sizeof *look);
	const char **label = sx_calloc((size_t)n, sizeof *label);
	sx_fig_kind *kind = sx_calloc((size_t)n, sizeof *kind);
	if (!group || !look || !label || !kind)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	for (int i = 0; i < n; i++) label[i] = in[i].label, kind[i] = in[i].kind;
	sx_part_groups(group, look, label, kind, n);
	all_of a = collect(in, n);
	if (a.n_length == 0 || (!a.has_nll && a.n_kind == 0))
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "there is neither perplexity nor retrieval in the inputs"));
	SX_TRY(build(&f, ctx, style, &a, in, group, look, n));
	describe(f, label, n, &a);
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	free(group);
	free(look);
	free(label);
	free(kind);
	return st;
}

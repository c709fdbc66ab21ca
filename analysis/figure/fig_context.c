/* Figure `context`: perplexity and retrieval by context length. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

enum {
	MOST_LENGTHS = 32,
	MOST_BANDS = 4 /* more of them hide one another: bars */
};

/* The lengths of all curves, each once. */
typedef struct {
	int n;
	int64_t at[MOST_LENGTHS];
} lengths;

static void add_length(lengths *l, int64_t length)
{
	int k = 0;
	while (k < l->n && l->at[k] < length) k++;
	if ((k < l->n && l->at[k] == length) || l->n == MOST_LENGTHS) return;
	memmove(l->at + k + 1, l->at + k, (size_t)(l->n++ - k) * sizeof l->at[0]);
	l->at[k] = length;
}

static bool has_loss(const sx_fig_context_curve *c)
{
	for (int i = 0; i < c->n_length; i++)
		if (isfinite(c->nll[i])) return true;
	return false;
}

static bool is_empty(const sx_fig_context_data *d)
{
	for (int i = 0; i < d->n; i++)
		if (d->curve[i].n_length > 0 && (d->n_kind > 0 || has_loss(&d->curve[i])))
			return false;
	return true;
}

static bool any_loss(const sx_fig_context_data *d)
{
	for (int i = 0; i < d->n; i++)
		if (has_loss(&d->curve[i])) return true;
	return false;
}

/* ---- names and looks ---- */

static char *series_name(const sx_fig_context_curve *c)
{
	char temperature[32] = "", text[32] = "";
	if (!isnan(c->c)) snprintf(temperature, sizeof temperature, ", $c$ = %g", c->c);
	if (!isnan(c->c) && !isnan(c->c_text) && c->c_text != c->c)
		snprintf(text, sizeof text, " (text %g)", c->c_text);
	return sx_format("%s%s%s%s%s", c->label, c->method[0] ? " + " : "", c->method, temperature,
			 text);
}

/* Number of the curve's method, or of its temperature, among those before it. */
static int rank_of(const sx_fig_context_data *d, int i, bool temperature)
{
	int rank = 0;
	for (int k = 0; k < d->n; k++) {
		const sx_fig_context_curve *c = &d->curve[k];
		bool first = true;
		for (int e = 0; e < k; e++) {
			const sx_fig_context_curve *o = &d->curve[e];
			bool same = temperature ? o->c == c->c : strcmp(o->method, c->method) == 0;
			first = first && !same;
		}
		if (temperature ? c->c == d->curve[i].c || isnan(d->curve[i].c)
				: strcmp(c->method, d->curve[i].method) == 0)
			return rank;
		rank += first && !(temperature && isnan(c->c));
	}
	return rank;
}

static const sx_fig_look grey = {{0.5, 0.5, 0.5}, SX_FIG_DOTTED, SX_FIG_DIAMOND};

/* Several models: each has its colour and dash, each method its marker. One model: a look for each
 * method. Temperatures of one method differ in their dashes. */
static sx_fig_look look_of(const sx_fig_context_data *d, const sx_fig_look *model, bool several,
			   bool temperatures, int i)
{
	sx_fig_look look = model[i];
	int method = rank_of(d, i, false);
	/* The fourth of the free colours is yellow: too faint for a line. */
	if (!several && method > 0)
		look = method < 4 ? sx_fig_look_of(SX_FIG_OTHER, method - 1) : grey;
	if (several || method > 0) look.marker = (sx_fig_marker)(method % (SX_FIG_CROSS + 1));
	if (temperatures) look.dash = (sx_fig_dash)(rank_of(d, i, true) % (SX_FIG_DOTTED + 1));
	return look;
}

/* Does a label and method come with several temperatures? */
static bool has_temperatures(const sx_fig_context_data *d)
{
	for (int i = 0; i < d->n; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(d->curve[i].label, d->curve[k].label) == 0 &&
			    strcmp(d->curve[i].method, d->curve[k].method) == 0)
				return true;
	return false;
}

/* ---- panels ---- */

static void add_panel(sx_fig *f, const sx_fig_context_data *d, const lengths *l, int row, int col,
		      int kind)
{
	double at[MOST_LENGTHS];
	char text[MOST_LENGTHS][24];
	const char *texts[MOST_LENGTHS];
	sx_fig_axis x = sx_part_axis("Context length (tokens)", SX_FIG_LOG10);
	sx_fig_axis y = kind >= 0 ? sx_part_axis("Retrieved", SX_FIG_LINEAR)
				  : sx_part_axis(d->loss, SX_FIG_LOG10);
	if (kind >= 0) y.lo = 0, y.hi = 1.03;
	int panel = sx_fig_panel(f, row, col, kind >= 0 ? d->needle[kind] : "", x, y);
	for (int i = 0; i < l->n; i++) {
		at[i] = (double)l->at[i];
		snprintf(text[i], sizeof text[i], "%lld", (long long)l->at[i]);
		texts[i] = text[i];
	}
	sx_fig_x_ticks(f, panel, l->n, at, texts);
	/* Beside a title its label would stand far from it: the first panel says it for all. */
	if (d->trained > 0)
		sx_fig_vline(f, panel, (double)d->trained, panel == 0 ? "trained length" : "");
}

/* Both chance levels, means over the curves: they look at the same problems. */
static void add_chance(sx_fig *f, const sx_fig_context_data *d, const lengths *l, int panel,
		       int kind)
{
	double x[MOST_LENGTHS], window[MOST_LENGTHS], blind[MOST_LENGTHS];
	int n = 0;
	for (int t = 0; t < l->n; t++) {
		double sum = 0, guess = 0;
		int curves = 0;
		for (int i = 0; i < d->n; i++) {
			const sx_fig_context_curve *c = &d->curve[i];
			for (int k = 0; k < c->n_length; k++) {
				double v = c->chance[kind * c->n_length + k];
				if (c->length[k] != l->at[t] || isnan(v)) continue;
				sum += v, guess += c->blind[kind], curves++;
			}
		}
		if (curves == 0) continue;
		x[n] = (double)l->at[t];
		window[n] = sum / curves;
		blind[n++] = guess / curves;
	}
	if (n == 0) return;
	sx_fig_guide(f, panel, x, window, n, "chance: a value of the window");
	sx_fig_guide(f, panel, x, blind, n, "chance: blind");
	sx_fig_note(f, panel, x[0], window[0] + 0.02, "chance: a value of the window");
	sx_fig_note(f, panel, x[0], blind[0] + 0.02, "chance: blind");
}

static void add_interval(sx_fig *f, int panel, int series, const double *x, const double *low,
			 const double *high, int n, bool bars)
{
	if (bars)
		sx_fig_y_intervals(f, panel, series, x, low, high, n);
	else
		sx_fig_band(f, panel, series, x, low, high, n);
}

/* The curve in the panel of the losses, or of a kind of problem. */
static void add_curve(sx_fig *f, const sx_fig_context_curve *c, int panel, int kind, int series,
		      bool bars)
{
	double x[MOST_LENGTHS], y[MOST_LENGTHS], low[MOST_LENGTHS], high[MOST_LENGTHS];
	int n = 0;
	for (int t = 0; t < c->n_length && n < MOST_LENGTHS; t++) {
		int at = kind * c->n_length + t;
		double v = kind < 0 ? exp(c->nll[t]) : c->rate[at];
		if (isnan(v)) continue;
		x[n] = (double)c->length[t];
		y[n] = v;
		low[n] = high[n] = (double)NAN;
		for (int s = 0; s < c->n_seed && kind < 0; s++) {
			double one = exp(c->seed_nll[s * c->n_length + t]);
			low[n] = fmin(low[n], one);
			high[n] = fmax(high[n], one);
		}
		if (kind >= 0) low[n] = c->low[at], high[n] = c->high[at];
		n++;
	}
	if (kind >= 0 || c->n_seed > 1) add_interval(f, panel, series, x, low, high, n, bars);
	sx_fig_line(f, panel, series, x, y, n);
	sx_fig_points(f, panel, series, x, y, n);
}

/* ---- the whole ---- */

static void describe(sx_fig *f, const sx_fig_context_data *d, const char *const *label)
{
	char *models = sx_part_names(label, d->n);
	bool losses = any_loss(d);
	sx_part_about(
		f, "By context length",
		sx_format("%s%s%s against context length for %s: %d curves, by model, method and "
			  "temperature%s.",
			  losses ? d->loss : "", losses && d->n_kind ? " and " : "",
			  d->n_kind ? "share of needles retrieved, all distances together, with "
				      "Wilson's 95 % interval,"
				    : "",
			  models ? models : "the inputs", d->n,
			  d->n_kind ? "; dotted: chance levels" : ""));
	free(models);
}

static sx_status build(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_context_data *d, const sx_fig_look *model, bool several,
		       const char *const *name)
{
	lengths l = {0};
	int losses = any_loss(d), panels = d->n_kind + losses;
	int cols = sx_part_is_narrow(style) ? 1 : panels;
	bool temperatures = has_temperatures(d);
	if (cols > 3) cols = 2;
	sx_status st = sx_fig_new(out, ctx, style, (panels + cols - 1) / cols, cols);
	if (st != SX_OK) return st;
	for (int i = 0; i < d->n; i++)
		for (int t = 0; t < d->curve[i].n_length; t++)
			add_length(&l, d->curve[i].length[t]);
	for (int p = 0; p < panels; p++) {
		add_panel(*out, d, &l, p / cols, p % cols, p - losses);
		if (p >= losses) add_chance(*out, d, &l, p, p - losses);
	}
	for (int i = 0; i < d->n; i++) {
		sx_fig_look look = look_of(d, model, several, temperatures, i);
		int series = sx_fig_series(*out, name[i], look);
		for (int p = 0; p < panels; p++)
			add_curve(*out, &d->curve[i], p, p - losses, series, d->n > MOST_BANDS);
	}
	return SX_OK;
}

sx_status sx_fig_context(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_context_data *d)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	sx_part_cast cast = {0};
	char **name = sx_calloc((size_t)d->n + 1, sizeof *name);
	bool several = false;
	if (!name) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	SX_TRY(sx_part_cast_new(&cast, ctx, d->n));
	if (is_empty(d))
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "there is neither perplexity nor retrieval in the inputs"));
	for (int i = 0; i < d->n; i++) {
		cast.label[i] = d->curve[i].label, cast.kind[i] = d->curve[i].kind;
		if (!(name[i] = series_name(&d->curve[i])))
			SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
		several = several || strcmp(cast.label[i], cast.label[0]) != 0;
	}
	sx_part_group(&cast);
	SX_TRY(build(&f, ctx, style, d, cast.look, several, (const char *const *)name));
	describe(f, d, cast.label);
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	for (int i = 0; name && i < d->n; i++) free(name[i]);
	free(name);
	sx_part_cast_free(&cast);
	return st;
}

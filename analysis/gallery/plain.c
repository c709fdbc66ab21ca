/* Figures that need no run file: a CSV, scaling methods, training logs. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/runlog.h"
#include "probes/config/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

static int64_t find_column(const sx_csv *c, const char *name)
{
	for (int64_t i = 0; i < c->n_col; i++)
		if (strcmp(c->name[i], name) == 0) return i;
	return -1;
}

/* Is column i "NAME_lo" (or whatever the ending) of a pair whose other half is there? Then *other
 * is that half, and *length what NAME is long. */
static bool is_edge(const sx_csv *c, int64_t i, const char *ending, const char *other_ending,
		    int64_t *other, int *length)
{
	size_t n = strlen(c->name[i]), e = strlen(ending);
	if (n <= e || strcmp(c->name[i] + n - e, ending) != 0) return false;
	*length = (int)(n - e);
	char *name = sx_format("%.*s%s", *length, c->name[i], other_ending);
	*other = name ? find_column(c, name) : -1;
	free(name);
	return *other >= 0;
}

/* Series in the order of the columns: a band belongs to the column of its name, or to itself. */
static sx_status make_columns(sx_fig_column *out, int *n, char **names, sx_ctx *ctx,
			      const sx_csv *c, int64_t x, const sx_figure_args *a)
{
	*n = 0;
	for (int64_t i = 0; i < c->n_col; i++) {
		const double *v = c->value + i * c->n_row;
		int64_t other, lo, hi;
		int length = (int)strlen(c->name[i]);
		sx_fig_column col = {.y = v};
		if (i == x || is_edge(c, i, "_hi", "_lo", &other, &length)) continue;
		if (is_edge(c, i, "_lo", "_hi", &other, &length)) {
			char *own = sx_format("%.*s", length, c->name[i]);
			bool elsewhere = own && find_column(c, own) >= 0;
			free(own);
			if (elsewhere) continue;
			col = (sx_fig_column){.low = v, .high = c->value + other * c->n_row};
		} else {
			char *low = sx_format("%s_lo", c->name[i]),
			     *high = sx_format("%s_hi", c->name[i]);
			lo = low ? find_column(c, low) : -1;
			hi = high ? find_column(c, high) : -1;
			free(low);
			free(high);
			if (lo >= 0 && hi >= 0)
				col.low = c->value + lo * c->n_row,
				col.high = c->value + hi * c->n_row;
		}
		names[*n] = a->labels ? sx_label_part(a->labels, *n)
				      : sx_format("%.*s", length, c->name[i]);
		if (!names[*n] && a->labels)
			return sx_fail(ctx, SX_EUSAGE, "--label has fewer names than %s has series",
				       a->inputs[0]);
		if (!names[*n]) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", a->inputs[0]);
		col.name = names[*n];
		out[(*n)++] = col;
	}
	return SX_OK;
}

sx_status sx_make_lines(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_csv c = {0};
	sx_fig_column *columns = NULL;
	char **names = NULL;
	int n = 0;
	sx_status st = sx_csv_read(&c, ctx, a->inputs[0]);
	if (st != SX_OK) return st;
	columns = sx_calloc((size_t)c.n_col, sizeof *columns);
	names = sx_calloc((size_t)c.n_col, sizeof *names);
	if (!columns || !names) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %s", a->inputs[0]));
	int64_t x = a->x ? find_column(&c, a->x) : 0;
	if (x < 0)
		SX_TRY(sx_fail(ctx, SX_EUSAGE, "%s has no column %s for --x", a->inputs[0], a->x));
	SX_TRY(make_columns(columns, &n, names, ctx, &c, x, a));
	const sx_fig_columns drawn = {.x_label = a->x_label ? a->x_label : c.name[x],
				      .y_label = a->y_label ? a->y_label
						 : n == 1   ? names[0]
							    : "",
				      .log_x = a->log_x,
				      .log_y = a->log_y,
				      .n = c.n_row,
				      .x = c.value + x * c.n_row,
				      .n_column = n,
				      .column = columns};
	st = sx_fig_lines(out, ctx, a->style, &drawn);
out:
	for (int64_t i = 0; names && i < c.n_col; i++) free(names[i]);
	free(names);
	free(columns);
	sx_csv_free(&c);
	return st;
}

/* ---- gamma ---- */

enum { MAX_FACTORS = 6, DEFAULT_HEAD_DIM = 64, DEFAULT_TRAIN_LENGTH = 2048 };
static const char *const scalings[] = {"p-rope", "pi", "ntk", "yarn"}; /* as drawn */
enum { N_SCALINGS = sizeof scalings / sizeof scalings[0] };

typedef struct {
	sx_config cfg;
	int head_dim, n_factor;
	double factor[MAX_FACTORS];
} gamma_asked;

/* Several factors, "2,3,4", are more than the key takes; pos.head_dim is a model's, not a key. */
static sx_status read_factors(gamma_asked *g, sx_ctx *ctx, const char *text)
{
	g->n_factor = 0;
	for (char *end;; text = end + 1) {
		double v = strtod(text, &end);
		if (end == text || (*end && *end != ',') || !(v >= 1) || isinf(v))
			return sx_fail(ctx, SX_ECONFIG,
				       "pos.factor: numbers of at least 1 with commas between");
		if (g->n_factor == MAX_FACTORS)
			return sx_fail(ctx, SX_EUSAGE, "at most %d factors fit into a figure",
				       MAX_FACTORS);
		g->factor[g->n_factor++] = v;
		if (!*end) return SX_OK;
	}
}

static sx_status read_asked(gamma_asked *g, sx_ctx *ctx, const sx_figure_args *a)
{
	g->head_dim = DEFAULT_HEAD_DIM;
	g->n_factor = 1;
	g->factor[0] = 2;
	for (int i = 0; i < a->n_input; i++) {
		const char *word = a->inputs[i];
		sx_status st;
		if (strncmp(word, "pos.factor=", 11) == 0) {
			st = read_factors(g, ctx, word + 11);
		} else if (strncmp(word, "pos.head_dim=", 13) == 0) {
			char *end;
			long d = strtol(word + 13, &end, 10);
			if (*end || d < 4 || d > 4096 || d % 2)
				return sx_fail(ctx, SX_ECONFIG,
					       "pos.head_dim: an even number from 4 to 4096");
			g->head_dim = (int)d;
			st = SX_OK;
		} else if (strncmp(word, "pos.", 4) == 0) {
			st = sx_config_set(&g->cfg, ctx, word);
		} else {
			st = sx_fail(ctx, SX_EUSAGE,
				     "figure gamma takes settings like pos.factor=2,4, not %s",
				     word);
		}
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static sx_pos_opts options_of(const sx_config *cfg, const char *method, double factor)
{
	sx_pos_opts o = cfg->pos;
	strcpy(o.method, method);
	o.factor = factor;
	if (!o.train_length) o.train_length = DEFAULT_TRAIN_LENGTH;
	return o;
}

sx_status sx_make_gamma(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	gamma_asked g = {0};
	sx_pos_plan plain = {0}, plan[MAX_FACTORS * N_SCALINGS] = {0};
	sx_fig_scaling s[MAX_FACTORS * N_SCALINGS];
	int n = 0;
	sx_status st = sx_config_init(&g.cfg, ctx);
	if (st != SX_OK) return st;
	SX_TRY(read_asked(&g, ctx, a));
	sx_pos_opts o = options_of(&g.cfg, "rope", 1);
	int64_t length = o.train_length;
	SX_TRY(sx_pos_plan_make(&plain, ctx, &o, g.head_dim, length, 0, length));
	for (int k = 0; k < g.n_factor; k++)
		for (int m = 0; m < N_SCALINGS; m++, n++) {
			o = options_of(&g.cfg, scalings[m], g.factor[k]);
			SX_TRY(sx_pos_plan_make(&plan[n], ctx, &o, g.head_dim, length, 0, length));
			s[n] = (sx_fig_scaling){.name = scalings[m],
						.factor = g.factor[k],
						.n = plan[n].n_freq,
						.omega = plain.inv_freq,
						.gamma = plan[n].gamma};
		}
	st = sx_fig_gamma(out, ctx, a->style, s, n, g.head_dim, length);
out:
	for (int i = 0; i < MAX_FACTORS * N_SCALINGS; i++) sx_pos_plan_free(&plan[i]);
	sx_pos_plan_free(&plain);
	sx_config_free(&g.cfg);
	return st;
}

/* ---- loss ---- */

typedef struct {
	sx_runlog log;
	double *tokens; /* (log.n) */
	char *label;
	sx_fig_kind kind;
} run_data;

static void runs_free(run_data *runs, int n)
{
	for (int i = 0; runs && i < n; i++) {
		sx_runlog_free(&runs[i].log);
		free(runs[i].tokens);
		free(runs[i].label);
	}
	free(runs);
}

static sx_fig_kind kind_of(const sx_runlog *log)
{
	if (strcmp(log->drop_to, "keep") == 0) return SX_FIG_CONTROL;
	if (strcmp(log->drop_to, "nope") == 0) return SX_FIG_DROPE;
	if (log->drop_to[0]) return SX_FIG_OTHER;
	if (strcmp(log->method, "rope") == 0) return SX_FIG_ROPE;
	if (strcmp(log->method, "nope") == 0) return SX_FIG_NOPE;
	return SX_FIG_OTHER;
}

/* What was asked for; else the kind, if only one of the runs is of it; else the folder's name. */
static sx_status label_runs(sx_ctx *ctx, run_data *runs, const sx_figure_args *a)
{
	static const char *const names[] = {[SX_FIG_ROPE] = "RoPE",
					    [SX_FIG_NOPE] = "NoPE",
					    [SX_FIG_DROPE] = "DroPE",
					    [SX_FIG_CONTROL] = "positions kept"};
	for (int i = 0; i < a->n_input; i++) {
		int of_kind = 0;
		for (int k = 0; k < a->n_input; k++) of_kind += runs[k].kind == runs[i].kind;
		if (a->labels) {
			runs[i].label = sx_label_part(a->labels, i);
		} else if (runs[i].kind != SX_FIG_OTHER && of_kind == 1) {
			runs[i].label = sx_strdup(names[runs[i].kind]);
		} else {
			runs[i].label = sx_label_of_path(a->inputs[i]);
		}
		if (!runs[i].label) return sx_fail(ctx, SX_ENOMEM, "out of memory for the labels");
	}
	return SX_OK;
}

/* Tokens seen when the rotation was dropped: what the first record of recalibration says, less its own
 * update's. */
static double dropped_at(const sx_runlog *log, int64_t first)
{
	if (first < 0) return (double)NAN;
	double step = (double)log->step[first];
	return (double)log->tokens_seen[first] * (step - 1) / step;
}

static sx_status read_run(sx_ctx *ctx, run_data *r, const char *path)
{
	sx_status st = sx_runlog_read(&r->log, ctx, path);
	if (st != SX_OK) return st;
	r->kind = kind_of(&r->log);
	r->tokens = sx_calloc((size_t)r->log.n, sizeof *r->tokens);
	if (!r->tokens) return sx_fail(ctx, SX_ENOMEM, "out of memory for the log of %s", path);
	for (int64_t i = 0; i < r->log.n; i++) r->tokens[i] = (double)r->log.tokens_seen[i];
	return SX_OK;
}

sx_status sx_make_loss(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	run_data *runs = sx_calloc((size_t)a->n_input, sizeof *runs);
	sx_fig_run *shown = sx_calloc((size_t)a->n_input, sizeof *shown);
	if (!runs || !shown) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for the runs"));
	for (int i = 0; i < a->n_input; i++) SX_TRY(read_run(ctx, &runs[i], a->inputs[i]));
	SX_TRY(label_runs(ctx, runs, a));
	for (int i = 0; i < a->n_input; i++) {
		int64_t drop = sx_runlog_drop(&runs[i].log);
		shown[i] = (sx_fig_run){.label = runs[i].label,
					.kind = runs[i].kind,
					.n = runs[i].log.n,
					.tokens_seen = runs[i].tokens,
					.loss = runs[i].log.loss,
					.phase = runs[i].log.phase,
					.drop = dropped_at(&runs[i].log, drop)};
	}
	st = sx_fig_loss(out, ctx, a->style, shown, a->n_input);
out:
	free(shown);
	runs_free(runs, a->n_input);
	return st;
}

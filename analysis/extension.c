/* Grids of positional variants beyond the trained length, and losses compared window by window. */
#include "analysis/extension.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double undefined = (double)NAN;

int sx_extension_choose(const double *c, const int64_t *hits, const int64_t *trials, int n)
{
	int best = -1;
	for (int i = 0; i < n; i++) {
		if (trials[i] < 1) continue;
		if (best < 0) {
			best = i;
			continue;
		}
		double more = (double)hits[i] * (double)trials[best] -
			      (double)hits[best] * (double)trials[i];
		if (more > 0 || (more == 0 && c[i] < c[best])) best = i;
	}
	return best;
}

/* ---- one file ---- */

/* What a file says, cells (variant, length). */
typedef struct {
	sx_run_file *f;
	int64_t n_variant, n_length, trained;
	int64_t *length;
	char **method; /* one allocation */
	double *c;
	char **kind; /* one allocation */
	int64_t n_kind;
	int64_t *hits, *trials, *choice_hits, *choice_trials; /* choices: all kinds */
	double *blind, *window, *loss[SX_LOSSES];
	double *choice_text; /* (variant, length) NULL = none */
	int64_t n_problem, n_window;
	uint8_t *hit;        /* (variant, length, problem) of the kind, NULL = none */
	double *window_text; /* (variant, length, window) NULL = none               */
	int64_t *problem_print, *window_print; /* (length)                           */
} table;

static void table_free(table *t)
{
	if (!t) return;
	void *all[] = {t->length,      t->method,        t->c,           t->kind,
		       t->hits,        t->trials,        t->choice_hits, t->choice_trials,
		       t->blind,       t->window,        t->choice_text, t->hit,
		       t->window_text, t->problem_print, t->window_print};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
	for (int k = 0; k < SX_LOSSES; k++) free(t->loss[k]);
	*t = (table){0};
}

static sx_status no_memory(sx_ctx *ctx, const sx_run_file *f)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the numbers of %s", sx_run_file_path(f));
}

/* n NaN, at least one. */
static double *missing(int64_t n)
{
	double *v = sx_calloc((size_t)n + 1, sizeof *v);
	for (int64_t i = 0; v && i < n; i++) v[i] = undefined;
	return v;
}

static sx_status make_cells(table *t, sx_ctx *ctx)
{
	int64_t n = t->n_variant * t->n_length;
	int64_t **counts[] = {&t->hits, &t->trials, &t->choice_hits, &t->choice_trials};
	for (int i = 0; i < 4; i++) *counts[i] = sx_calloc((size_t)n + 1, sizeof **counts[i]);
	t->blind = missing(n);
	t->window = missing(n);
	bool there =
		t->hits && t->trials && t->choice_hits && t->choice_trials && t->blind && t->window;
	for (int k = 0; k < SX_LOSSES; k++) there = (t->loss[k] = missing(n)) && there;
	return there ? SX_OK : no_memory(ctx, t->f);
}

/* The dataset has just these axes. */
static sx_status check_shape(sx_ctx *ctx, const table *t, sx_run_id id, const int64_t *want, int n)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	sx_status st = sx_run_shape(t->f, id, dims, &ndim);
	if (st != SX_OK) return st;
	bool same = ndim == n;
	for (int i = 0; same && i < n; i++) same = dims[i] == want[i] || want[i] < 0;
	if (same) return SX_OK;
	return sx_fail(ctx, SX_EDATA, "%s: %s does not have the shape of its axes",
		       sx_run_file_path(t->f), sx_run_rows[id].path);
}

static sx_status read_lengths(table *t, sx_ctx *ctx, sx_run_id id)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	sx_status st = sx_run_shape(t->f, id, dims, &ndim);
	if (st != SX_OK) return st;
	t->n_length = dims[0];
	t->length = sx_calloc((size_t)t->n_length + 1, sizeof *t->length);
	if (!t->length) return no_memory(ctx, t->f);
	return sx_run_read(t->f, id, NULL, NULL, t->length);
}

static int64_t kind_of(const table *t, const char *kind)
{
	int64_t k = 0;
	while (k < t->n_kind && strcmp(t->kind[k], kind) != 0) k++;
	return k;
}

/* ---- /extension ---- */

static sx_status read_axes(table *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	int64_t n;
	SX_TRY(read_lengths(t, ctx, SX_RUN_EXTENSION_CONTEXT_LENGTH));
	SX_TRY(sx_run_strings(t->f, SX_RUN_EXTENSION_METHOD, &t->method, &t->n_variant));
	SX_TRY(check_shape(ctx, t, SX_RUN_EXTENSION_C, &t->n_variant, 1));
	SX_TRY(sx_run_read_all(t->f, SX_RUN_EXTENSION_C, &t->c, &n));
	SX_TRY(sx_run_get_int(t->f, "/extension", "trained_length", &t->trained));
	if (sx_run_has(t->f, SX_RUN_EXTENSION_KIND))
		SX_TRY(sx_run_strings(t->f, SX_RUN_EXTENSION_KIND, &t->kind, &t->n_kind));
out:
	return st;
}

static sx_status read_losses(table *t, sx_ctx *ctx)
{
	static const sx_run_id ids[] = {SX_RUN_EXTENSION_NLL, SX_RUN_EXTENSION_NLL_LAST,
					SX_RUN_EXTENSION_TEXT_NLL, SX_RUN_EXTENSION_TEXT_NLL_LAST};
	const int64_t shape[] = {t->n_variant, t->n_length};
	sx_status st = SX_OK;
	for (int k = 0; k < SX_LOSSES; k++) {
		if (!sx_run_has(t->f, ids[k])) continue;
		SX_TRY(check_shape(ctx, t, ids[k], shape, 2));
		SX_TRY(sx_run_read(t->f, ids[k], NULL, NULL, t->loss[k]));
	}
out:
	return st;
}

/* Adds what a kind (-1: every kind) has in each cell; missing counts are negative. */
static sx_status add_counts(table *t, sx_ctx *ctx, int64_t *to, sx_run_id id, int64_t kind)
{
	const int64_t shape[] = {t->n_variant, t->n_length, t->n_kind};
	int64_t n = t->n_variant * t->n_length;
	sx_status st = check_shape(ctx, t, id, shape, 3);
	if (st != SX_OK) return st;
	int64_t *v = sx_calloc((size_t)(n * t->n_kind) + 1, sizeof *v);
	if (!v) return no_memory(ctx, t->f);
	st = sx_run_read(t->f, id, NULL, NULL, v);
	for (int64_t i = 0; st == SX_OK && i < n; i++)
		for (int64_t k = 0; k < t->n_kind; k++)
			if ((kind < 0 || k == kind) && v[i * t->n_kind + k] > 0)
				to[i] += v[i * t->n_kind + k];
	free(v);
	return st;
}

static sx_status read_chance(table *t, sx_ctx *ctx, double *to, sx_run_id id, int64_t kind)
{
	const int64_t shape[] = {t->n_variant, t->n_length, t->n_kind};
	int64_t n;
	double *v = NULL;
	sx_status st = check_shape(ctx, t, id, shape, 3);
	if (st == SX_OK) st = sx_run_read_all(t->f, id, &v, &n);
	for (int64_t i = 0; st == SX_OK && i < t->n_variant * t->n_length; i++)
		to[i] = v[i * t->n_kind + kind];
	free(v);
	return st;
}

/* What the attribute tells of the problems (kinds of them, of which `kind`) or windows per length. */
static sx_status read_prints(int64_t **out, sx_ctx *ctx, const table *t, sx_run_id id,
			     int64_t kinds, int64_t kind)
{
	sx_status st = SX_OK;
	int64_t *all = NULL, n = 0;
	SX_TRY(sx_run_get_ints(t->f, sx_run_rows[id].path, "fingerprint", &all, &n));
	if (n != t->n_length * kinds)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: %s has %lld fingerprints for %lld lengths",
			       sx_run_file_path(t->f), sx_run_rows[id].path, (long long)n,
			       (long long)t->n_length));
	*out = sx_calloc((size_t)t->n_length + 1, sizeof **out);
	if (!*out) SX_TRY(no_memory(ctx, t->f));
	for (int64_t i = 0; i < t->n_length; i++) (*out)[i] = all[i * kinds + kind];
out:
	free(all);
	return st;
}

/* Hits of single problems of the kind. */
static sx_status read_hits(table *t, sx_ctx *ctx, int64_t kind)
{
	const int64_t shape[] = {t->n_variant, t->n_length, t->n_kind, -1};
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], n = t->n_variant * t->n_length;
	int ndim;
	SX_TRY(check_shape(ctx, t, SX_RUN_EXTENSION_NIAH_HIT, shape, 4));
	SX_TRY(sx_run_shape(t->f, SX_RUN_EXTENSION_NIAH_HIT, dims, &ndim));
	t->n_problem = dims[3];
	t->hit = sx_calloc((size_t)(n * t->n_problem) + 1, 1);
	if (!t->hit) SX_TRY(no_memory(ctx, t->f));
	SX_TRY(sx_run_read(t->f, SX_RUN_EXTENSION_NIAH_HIT, ((const int64_t[]){0, 0, kind, 0}),
			   ((const int64_t[]){t->n_variant, t->n_length, 1, t->n_problem}),
			   t->hit));
	SX_TRY(read_prints(&t->problem_print, ctx, t, SX_RUN_EXTENSION_NIAH_HIT, t->n_kind, kind));
out:
	return st;
}

/* Losses of single windows, and of those set apart. */
static sx_status read_texts(table *t, sx_ctx *ctx)
{
	const int64_t shape[] = {t->n_variant, t->n_length, -1};
	sx_status st = SX_OK;
	int64_t n;
	if (sx_run_has(t->f, SX_RUN_EXTENSION_CHOICE_TEXT)) {
		SX_TRY(check_shape(ctx, t, SX_RUN_EXTENSION_CHOICE_TEXT, shape, 2));
		SX_TRY(sx_run_read_all(t->f, SX_RUN_EXTENSION_CHOICE_TEXT, &t->choice_text, &n));
	}
	if (!sx_run_has(t->f, SX_RUN_EXTENSION_WINDOW_TEXT)) goto out;
	SX_TRY(check_shape(ctx, t, SX_RUN_EXTENSION_WINDOW_TEXT, shape, 3));
	SX_TRY(sx_run_read_all(t->f, SX_RUN_EXTENSION_WINDOW_TEXT, &t->window_text, &n));
	t->n_window = n / (t->n_variant * t->n_length);
	SX_TRY(read_prints(&t->window_print, ctx, t, SX_RUN_EXTENSION_WINDOW_TEXT, 1, 0));
out:
	return st;
}

static sx_status read_grid(table *t, sx_ctx *ctx, const char *kind)
{
	sx_status st = SX_OK;
	int64_t k;
	SX_TRY(make_cells(t, ctx));
	SX_TRY(read_losses(t, ctx));
	SX_TRY(read_texts(t, ctx));
	k = kind_of(t, kind);
	if (k < t->n_kind) {
		SX_TRY(add_counts(t, ctx, t->hits, SX_RUN_EXTENSION_NIAH_HITS, k));
		SX_TRY(add_counts(t, ctx, t->trials, SX_RUN_EXTENSION_NIAH_TRIALS, k));
		SX_TRY(read_chance(t, ctx, t->blind, SX_RUN_EXTENSION_CHANCE_BLIND, k));
		SX_TRY(read_chance(t, ctx, t->window, SX_RUN_EXTENSION_CHANCE_WINDOW, k));
		if (sx_run_has(t->f, SX_RUN_EXTENSION_NIAH_HIT)) SX_TRY(read_hits(t, ctx, k));
	}
	if (!sx_run_has(t->f, SX_RUN_EXTENSION_CHOICE_HITS)) goto out;
	SX_TRY(add_counts(t, ctx, t->choice_hits, SX_RUN_EXTENSION_CHOICE_HITS, -1));
	SX_TRY(add_counts(t, ctx, t->choice_trials, SX_RUN_EXTENSION_CHOICE_TRIALS, -1));
out:
	return st;
}

/* ---- /eval, as a single variant ---- */

static sx_status read_eval_axes(table *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *method = NULL;
	if (!sx_run_has(t->f, SX_RUN_EVAL_STEP))
		return sx_fail(ctx, SX_EDATA,
			       "%s has no evaluations (/extension, /eval): make them with sextant "
			       "eval -o F.h5, or train with eval.every",
			       sx_run_file_path(t->f));
	SX_TRY(read_lengths(t, ctx, SX_RUN_EVAL_CONTEXT_LENGTH));
	if (sx_run_has_attr(t->f, "/eval", "method"))
		SX_TRY(sx_run_get_str(t->f, "/eval", "method", &method));
	/* one text behind its pointer, as sx_run_strings gives them */
	size_t len = method ? strlen(method) : 0;
	t->n_variant = 1;
	t->method = sx_calloc(1, sizeof *t->method + len + 1);
	t->c = missing(1);
	if (!t->method || !t->c) SX_TRY(no_memory(ctx, t->f));
	t->method[0] = (char *)(t->method + 1);
	if (method) memcpy(t->method[0], method, len);
	if (sx_run_has(t->f, SX_RUN_EVAL_KIND))
		SX_TRY(sx_run_strings(t->f, SX_RUN_EVAL_KIND, &t->kind, &t->n_kind));
out:
	free(method);
	return st;
}

/* The last record, of `step` where that is not negative. */
static sx_status find_record(int64_t *record, sx_ctx *ctx, const table *t, int64_t step)
{
	int64_t n;
	double *steps = NULL;
	sx_status st = sx_run_read_all(t->f, SX_RUN_EVAL_STEP, &steps, &n);
	if (st != SX_OK) return st;
	*record = n - 1;
	while (step >= 0 && *record >= 0 && steps[*record] != (double)step) --*record;
	free(steps);
	if (*record >= 0) return SX_OK;
	if (n == 0)
		return sx_fail(ctx, SX_EDATA, "%s has no records of /eval yet",
			       sx_run_file_path(t->f));
	return sx_fail(ctx, SX_EDATA, "%s has no record of step %lld", sx_run_file_path(t->f),
		       (long long)step);
}

/* Hits or trials of a kind, all distances together. */
static sx_status add_distances(table *t, sx_ctx *ctx, int64_t *to, sx_run_id id, int64_t record,
			       int64_t kind)
{
	const int64_t shape[] = {-1, t->n_length, t->n_kind, -1};
	int64_t dims[SX_RUN_MAX_DIMS], *v = NULL;
	int ndim;
	sx_status st = SX_OK;
	SX_TRY(check_shape(ctx, t, id, shape, 4));
	SX_TRY(sx_run_shape(t->f, id, dims, &ndim));
	const int64_t start[] = {record, 0, kind, 0}, count[] = {1, t->n_length, 1, dims[3]};
	v = sx_calloc((size_t)(t->n_length * dims[3]) + 1, sizeof *v);
	if (!v) SX_TRY(no_memory(ctx, t->f));
	SX_TRY(sx_run_read(t->f, id, start, count, v));
	for (int64_t i = 0; i < t->n_length * dims[3]; i++)
		if (v[i] > 0) to[i / dims[3]] += v[i];
out:
	free(v);
	return st;
}

static sx_status read_eval(table *t, sx_ctx *ctx, const char *kind, int64_t step)
{
	static const struct {
		sx_run_id id;
		sx_loss_kind loss;
	} losses[] = {{SX_RUN_EVAL_NLL, SX_LOSS},
		      {SX_RUN_EVAL_NLL_LAST, SX_LOSS_LAST},
		      {SX_RUN_EVAL_TEXT_NLL, SX_LOSS_TEXT}};
	const int64_t shape[] = {-1, t->n_length};
	sx_status st = SX_OK;
	int64_t record, k;
	SX_TRY(make_cells(t, ctx));
	SX_TRY(find_record(&record, ctx, t, step));
	const int64_t start[] = {record, 0}, count[] = {1, t->n_length};
	for (int i = 0; i < 3; i++) {
		if (!sx_run_has(t->f, losses[i].id)) continue;
		SX_TRY(check_shape(ctx, t, losses[i].id, shape, 2));
		SX_TRY(sx_run_read(t->f, losses[i].id, start, count, t->loss[losses[i].loss]));
	}
	k = kind_of(t, kind);
	if (k == t->n_kind) goto out;
	SX_TRY(add_distances(t, ctx, t->hits, SX_RUN_EVAL_NIAH_HITS, record, k));
	SX_TRY(add_distances(t, ctx, t->trials, SX_RUN_EVAL_NIAH_TRIALS, record, k));
out:
	return st;
}

/* ---- seeds together ---- */

static sx_status check_seeds(sx_ctx *ctx, const table *a, const table *b)
{
	bool same = a->n_length == b->n_length && a->n_variant == b->n_variant &&
		    a->trained == b->trained;
	for (int64_t i = 0; same && i < a->n_length; i++) same = a->length[i] == b->length[i];
	for (int64_t i = 0; same && i < a->n_variant; i++)
		same = strcmp(a->method[i], b->method[i]) == 0 &&
		       (a->c[i] == b->c[i] || (isnan(a->c[i]) && isnan(b->c[i])));
	if (same) return SX_OK;
	return sx_fail(ctx, SX_EDATA,
		       "%s and %s have one label, but not the same lengths, methods and "
		       "temperatures: give them labels of their own",
		       sx_run_file_path(a->f), sx_run_file_path(b->f));
}

static sx_status row_new(sx_extension_row *r, sx_ctx *ctx, const table *t, const char *label,
			 int64_t variant, int seeds)
{
	size_t n = (size_t)t->n_length + 1;
	*r = (sx_extension_row){.label = label,
				.c = t->c[variant],
				.n_seed = seeds,
				.trained_length = t->trained,
				.n_length = (int)t->n_length,
				.chance_blind = undefined,
				.n_problem = t->n_problem,
				.n_window = t->n_window};
	strncpy(r->method, t->method[variant], sizeof r->method - 1);
	r->length = sx_calloc(n, sizeof *r->length);
	r->hits = sx_calloc(n, sizeof *r->hits);
	r->trials = sx_calloc(n, sizeof *r->trials);
	r->rate = sx_calloc(n, sizeof *r->rate);
	r->chance_window = missing(t->n_length);
	bool there = r->length && r->hits && r->trials && r->rate && r->chance_window;
	for (int k = 0; k < SX_LOSSES; k++) {
		r->loss[k] = missing(t->n_length);
		r->seed_loss[k] = missing(seeds * t->n_length);
		there = there && r->loss[k] && r->seed_loss[k];
	}
	size_t cells = (size_t)seeds * n;
	if (t->hit) {
		r->hit = sx_calloc(cells * (size_t)t->n_problem, 1);
		r->problem_print = sx_calloc(cells, sizeof *r->problem_print);
		there = there && r->hit && r->problem_print;
	}
	if (t->window_text) {
		r->window_text = sx_calloc(cells * (size_t)t->n_window, sizeof *r->window_text);
		r->window_print = sx_calloc(cells, sizeof *r->window_print);
		there = there && r->window_text && r->window_print;
	}
	if (!there) return no_memory(ctx, t->f);
	r->nll_last = r->loss[SX_LOSS_LAST];
	r->text_nll_last = r->loss[SX_LOSS_TEXT_LAST];
	memcpy(r->length, t->length, (size_t)t->n_length * sizeof *r->length);
	return SX_OK;
}

/* Single problems and windows of a file; none of a row where some file lacks them. */
static void add_single(sx_extension_row *r, const table *t, int64_t variant, int seed)
{
	int64_t n = r->n_length;
	if (r->hit && t->hit && t->n_problem == r->n_problem) {
		memcpy(r->hit + seed * n * r->n_problem, t->hit + variant * n * r->n_problem,
		       (size_t)(n * r->n_problem));
		memcpy(r->problem_print + seed * n, t->problem_print,
		       (size_t)n * sizeof *r->problem_print);
	} else {
		free(r->hit);
		r->hit = NULL;
	}
	if (r->window_text && t->window_text && t->n_window == r->n_window) {
		memcpy(r->window_text + seed * n * r->n_window,
		       t->window_text + variant * n * r->n_window,
		       (size_t)(n * r->n_window) * sizeof *r->window_text);
		memcpy(r->window_print + seed * n, t->window_print,
		       (size_t)n * sizeof *r->window_print);
	} else {
		free(r->window_text);
		r->window_text = NULL;
	}
}

/* Adds a file to a row; chances are first summed, weighted by trials. */
static void add_seed(sx_extension_row *r, const table *t, int64_t variant, int seed, bool apart,
		     double *blind)
{
	for (int i = 0; i < r->n_length; i++) {
		int64_t at = variant * t->n_length + i;
		r->hits[i] += t->hits[at];
		r->trials[i] += t->trials[at];
		if (t->trials[at] > 0) {
			double w = (double)t->trials[at];
			double sum = isnan(r->chance_window[i]) ? 0 : r->chance_window[i];
			r->chance_window[i] = sum + w * t->window[at];
			*blind += w * t->blind[at];
		}
		for (int k = 0; k < SX_LOSSES; k++)
			r->seed_loss[k][seed * r->n_length + i] = t->loss[k][at];
		if (t->length[i] <= t->trained) continue;
		r->choice_hits += t->choice_hits[at];
		r->choice_trials += t->choice_trials[at];
		r->choice_text +=
			apart ? t->choice_text[at] : t->loss[SX_LOSS_TEXT_LAST][at]; /* a sum */
	}
	add_single(r, t, variant, seed);
}

/* From sums to rates and means over the seeds that have a value. */
static void finish_row(sx_extension_row *r, double blind)
{
	int64_t trials = 0, beyond = 0;
	for (int i = 0; i < r->n_length; i++) {
		beyond += r->length[i] > r->trained_length;
		r->rate[i] = sx_wilson(r->hits[i], r->trials[i]);
		r->chance_window[i] /= (double)r->trials[i];
		trials += r->trials[i];
		for (int k = 0; k < SX_LOSSES; k++) {
			double sum = 0;
			int n = 0;
			for (int s = 0; s < r->n_seed; s++) {
				double v = r->seed_loss[k][s * r->n_length + i];
				if (!isnan(v)) sum += v, n++;
			}
			r->loss[k][i] = n ? sum / n : undefined;
		}
	}
	if (trials > 0) r->chance_blind = blind / (double)trials;
	r->choice_text /= (double)(beyond * r->n_seed);
}

/* Rows of one label and method: that with the least loss on text is marked; ties go to the smaller c. */
static void choose_text(sx_extension *e, int from)
{
	for (int i = from; i < e->n_row; i++) {
		sx_extension_row *best = &e->row[i];
		for (int k = from; k < e->n_row; k++) {
			sx_extension_row *o = &e->row[k];
			if (strcmp(o->method, best->method) != 0) continue;
			double more = best->choice_text - o->choice_text;
			if (more > 0 || (more == 0 && o->c < best->c)) best = o;
		}
		best->chosen_text = best->choice_trials > 0 && !isnan(best->choice_text);
	}
}

/* Rows of one label and method: the chosen one is marked. */
static sx_status choose(sx_extension *e, sx_ctx *ctx, int from)
{
	int n = e->n_row - from;
	sx_status st = SX_OK;
	double *c = sx_calloc((size_t)n + 1, sizeof *c);
	int64_t *hits = sx_calloc((size_t)n + 1, sizeof *hits);
	int64_t *trials = sx_calloc((size_t)n + 1, sizeof *trials);
	if (!c || !hits || !trials)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory to choose a temperature"));
	for (int i = 0; i < n; i++) {
		const sx_extension_row *r = &e->row[from + i];
		bool first = true;
		for (int k = 0; k < i; k++)
			first = first && strcmp(e->row[from + k].method, r->method) != 0;
		if (!first) continue;
		for (int k = 0; k < n; k++) {
			const sx_extension_row *o = &e->row[from + k];
			bool same = strcmp(o->method, r->method) == 0;
			c[k] = o->c;
			hits[k] = same ? o->choice_hits : 0;
			trials[k] = same ? o->choice_trials : 0;
		}
		int best = sx_extension_choose(c, hits, trials, n);
		if (best >= 0) e->row[from + best].chosen = true;
	}
out:
	free(c);
	free(hits);
	free(trials);
	return st;
}

/* Rows of the label of file `first`, from all files with that label. */
static sx_status add_label(sx_extension *e, sx_ctx *ctx, const table *t, const char *const *labels,
			   int n, int first)
{
	sx_status st = SX_OK;
	int seeds = 0, from = e->n_row;
	for (int i = first; i < n; i++) {
		if (strcmp(labels[i], labels[first]) != 0) continue;
		SX_TRY(check_seeds(ctx, &t[first], &t[i]));
		seeds++;
	}
	for (int64_t v = 0; v < t[first].n_variant; v++) {
		sx_extension_row *r = &e->row[e->n_row++];
		double blind = 0;
		SX_TRY(row_new(r, ctx, &t[first], labels[first], v, seeds));
		for (int i = first, seed = 0; i < n; i++)
			if (strcmp(labels[i], labels[first]) == 0)
				add_seed(r, &t[i], v, seed++, e->text_apart, &blind);
		finish_row(r, blind);
	}
	SX_TRY(choose(e, ctx, from));
	choose_text(e, from);
out:
	return st;
}

/* ---- the whole ---- */

static sx_status choose_kind(sx_extension *e, sx_ctx *ctx, const table *t, int n, const char *kind)
{
	for (int i = 0; i < n && !kind; i++)
		if (t[i].n_kind > 0) kind = t[i].kind[0];
	if (!kind) return SX_OK;
	strncpy(e->kind, kind, sizeof e->kind - 1);
	for (int i = 0; i < n; i++)
		if (kind_of(&t[i], kind) < t[i].n_kind) return SX_OK;
	return sx_fail(ctx, SX_EDATA, "%s has no needle problems of the kind %s",
		       sx_run_file_path(t[0].f), kind);
}

static sx_status read_tables(sx_extension *e, table *t, sx_ctx *ctx, sx_run_file *const *files,
			     int n, const char *kind, int64_t step)
{
	sx_status st = SX_OK;
	for (int i = 0; i < n; i++) {
		t[i].f = files[i];
		if (sx_run_has(files[i], SX_RUN_EXTENSION_METHOD))
			SX_TRY(read_axes(&t[i], ctx));
		else
			SX_TRY(read_eval_axes(&t[i], ctx));
	}
	SX_TRY(choose_kind(e, ctx, t, n, kind));
	for (int i = 0; i < n; i++) {
		if (sx_run_has(files[i], SX_RUN_EXTENSION_METHOD))
			SX_TRY(read_grid(&t[i], ctx, e->kind));
		else
			SX_TRY(read_eval(&t[i], ctx, e->kind, step));
	}
out:
	return st;
}

sx_status sx_extension_read_step(sx_extension **out, sx_ctx *ctx, sx_run_file *const *files,
				 const char *const *labels, int n, const char *kind, int64_t step)
{
	sx_status st = SX_OK;
	int64_t rows = 0;
	sx_extension *e = sx_calloc(1, sizeof *e);
	table *t = sx_calloc((size_t)n + 1, sizeof *t);
	if (!e || !t) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %d evaluations", n));
	SX_TRY(read_tables(e, t, ctx, files, n, kind, step));
	e->text_apart = true;
	for (int i = 0; i < n; i++) {
		rows += t[i].n_variant;
		e->text_apart = e->text_apart && t[i].choice_text;
	}
	e->row = sx_calloc((size_t)rows + 1, sizeof *e->row);
	if (!e->row) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %d evaluations", n));
	for (int i = 0; i < n; i++) {
		int same = 0;
		while (strcmp(labels[same], labels[i]) != 0) same++;
		if (same == i) SX_TRY(add_label(e, ctx, t, labels, n, i));
		if (i == 0) e->trained_length = t[i].trained;
		if (t[i].trained != e->trained_length) e->trained_length = 0;
	}
	*out = e;
	e = NULL;
out:
	for (int i = 0; t && i < n; i++) table_free(&t[i]);
	free(t);
	sx_extension_free(e);
	return st;
}

sx_status sx_extension_read(sx_extension **out, sx_ctx *ctx, sx_run_file *const *files,
			    const char *const *labels, int n, const char *kind)
{
	return sx_extension_read_step(out, ctx, files, labels, n, kind, -1);
}

void sx_extension_free(sx_extension *e)
{
	if (!e) return;
	for (int i = 0; i < e->n_row; i++) {
		sx_extension_row *r = &e->row[i];
		free(r->length);
		free(r->hits);
		free(r->trials);
		free(r->rate);
		free(r->chance_window);
		free(r->hit);
		free(r->window_text);
		free(r->problem_print);
		free(r->window_print);
		for (int k = 0; k < SX_LOSSES; k++) {
			free(r->loss[k]);
			free(r->seed_loss[k]);
		}
	}
	free(e->row);
	free(e);
}

static bool before(const sx_extension_row *a, const sx_extension_row *b, bool text)
{
	if (text) return a->choice_text < b->choice_text;
	return (double)a->choice_hits * (double)b->choice_trials >
	       (double)b->choice_hits * (double)a->choice_trials;
}

const sx_extension_row *sx_extension_best(const sx_extension *e, const char *label, const char *but,
					  bool text)
{
	const sx_extension_row *found = NULL;
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		bool of_it = label ? strcmp(r->label, label) == 0 : strcmp(r->label, but) != 0;
		if (!of_it || !(text ? r->chosen_text : r->chosen)) continue;
		if (!found || before(r, found, text)) found = r;
	}
	return found;
}

/* ---- two models on the same windows ---- */

/* The losses of the windows at one length, and the fingerprint of these windows. */
static sx_status read_windows(double **out, int64_t *n, int64_t *fingerprint, sx_ctx *ctx,
			      sx_run_file *f, int64_t length)
{
	sx_status st = SX_OK;
	table t = {.f = f};
	int64_t dims[SX_RUN_MAX_DIMS], at = 0, prints = 0, *print = NULL;
	int ndim;
	const char *path = sx_run_rows[SX_RUN_EVAL_WINDOW_NLL].path;
	if (!sx_run_has(f, SX_RUN_EVAL_WINDOW_NLL))
		return sx_fail(ctx, SX_EDATA,
			       "%s has no losses of single windows (%s): make them with sextant "
			       "eval ppl MODEL -o F.h5",
			       sx_run_file_path(f), path);
	SX_TRY(read_lengths(&t, ctx, SX_RUN_EVAL_CONTEXT_LENGTH));
	SX_TRY(check_shape(ctx, &t, SX_RUN_EVAL_WINDOW_NLL, (const int64_t[]){-1, t.n_length, -1},
			   3));
	SX_TRY(sx_run_shape(f, SX_RUN_EVAL_WINDOW_NLL, dims, &ndim));
	SX_TRY(sx_run_get_ints(f, path, "fingerprint", &print, &prints));
	while (at < t.n_length && t.length[at] != length) at++;
	if (at == t.n_length || at >= prints || dims[0] < 1)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s was not evaluated at length %lld",
			       sx_run_file_path(f), (long long)length));
	*n = dims[2];
	*fingerprint = print[at];
	*out = sx_calloc((size_t)*n + 1, sizeof **out);
	if (!*out) SX_TRY(no_memory(ctx, f));
	SX_TRY(sx_run_read(f, SX_RUN_EVAL_WINDOW_NLL, ((const int64_t[]){dims[0] - 1, at, 0}),
			   ((const int64_t[]){1, 1, *n}), *out));
out:
	free(print);
	table_free(&t);
	return st;
}

sx_status sx_loss_compare(sx_loss_difference *out, sx_ctx *ctx, sx_run_file *a, sx_run_file *b,
			  int64_t length, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_loss_difference d = {.length = length};
	sx_boot *boot = NULL;
	double *x = NULL, *y = NULL;
	int64_t nx = 0, ny = 0, print_a = 0, print_b = 0, n = 0;
	SX_TRY(read_windows(&x, &nx, &print_a, ctx, a, length));
	SX_TRY(read_windows(&y, &ny, &print_b, ctx, b, length));
	if (nx != ny || print_a != print_b)
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s and %s were not evaluated on the same windows of %lld tokens: "
			       "give both evaluations the same --seed, --windows and data",
			       sx_run_file_path(a), sx_run_file_path(b), (long long)length));
	for (int64_t i = 0; i < nx; i++) { /* shorter inputs have fewer windows: NaN in both */
		if (isnan(x[i]) || isnan(y[i])) continue;
		d.mean_a += x[i];
		d.mean_b += y[i];
		x[n++] = x[i] - y[i];
	}
	if (n == 0)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s and %s have no window in common",
			       sx_run_file_path(a), sx_run_file_path(b)));
	d.windows = n;
	d.mean_a /= (double)n;
	d.mean_b /= (double)n;
	SX_TRY(sx_boot_new(&boot, ctx, n, SX_BOOT_RESAMPLES, 0.95, seed));
	d.difference = sx_boot_mean(boot, x, 1);
	*out = d;
out:
	sx_boot_free(boot);
	free(x);
	free(y);
	return st;
}

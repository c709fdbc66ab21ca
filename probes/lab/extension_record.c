/* The run file of `sextant eval -o`: /extension with all variants, and of a model as it stands /eval
 * with the loss of every window. */
#include "probes/lab/extension.h"
#include "probes/lab/provenance.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the run file");
}

/* ---- documents ---- */

static sx_status write_meta(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	const sx_source *s = &j->source;
	char *yaml = NULL, *data_json = NULL;
	json_t *data = j->has_data ? sx_language_json(&j->data.lang) : NULL;
	if (s->has_config) {
		SX_TRY(sx_config_yaml(&s->cfg, j->ctx, false, &yaml));
		SX_TRY(sx_run_meta(run, SX_RUN_META_CONFIG_YAML, yaml));
	}
	if (j->has_data) {
		data_json = data ? json_dumps(data, JSON_INDENT(1)) : NULL;
		if (!data_json) SX_TRY(no_memory(j->ctx));
		SX_TRY(sx_run_meta(run, SX_RUN_META_DATA_JSON, data_json));
	}
out:
	free(yaml);
	free(data_json);
	json_decref(data);
	return st;
}

/* ---- /eval: the model as it stands, one result per length ---- */

static const sx_run_id own_eval[] = {SX_RUN_EVAL_NLL_SE, SX_RUN_EVAL_TEXT_NLL,
				     SX_RUN_EVAL_WINDOW_NLL, SX_RUN_EVAL_QUERY_HITS,
				     SX_RUN_EVAL_QUERY_TRIALS};
enum { OWN_EVAL = sizeof own_eval / sizeof own_eval[0] };

/* Windows at the length that has most: a text of one's own is cut into fewer, longer ones. */
static int64_t most_windows(const sx_eval_job *j)
{
	int64_t most = 0;
	for (int i = 0; i < j->n_result; i++)
		if (j->results[i].windows > most) most = j->results[i].windows;
	return most;
}

static sx_status define_eval(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	const sx_variant *v = &j->results[0].variant;
	int64_t *print = sx_calloc((size_t)j->n_result, sizeof *print);
	if (!print) return no_memory(j->ctx);
	for (int i = 0; i < j->n_result; i++) print[i] = j->results[i].fingerprint;
	SX_TRY(sx_eval_axes(run, &j->opts));
	SX_TRY(sx_run_axis_index(run, SX_RUN_EVAL_WINDOW, most_windows(j)));
	for (int i = 0; i < OWN_EVAL; i++) SX_TRY(sx_run_define(run, own_eval[i]));
	SX_TRY(sx_run_attr_ints(run, sx_run_rows[SX_RUN_EVAL_WINDOW_NLL].path, "fingerprint", print,
				j->n_result));
	if (j->has_data) SX_TRY(sx_run_attr_int(run, "/eval", "windows", j->opts.windows));
	SX_TRY(sx_run_attr_str(run, "/eval", "method", v->label));
	SX_TRY(sx_run_attr_real(run, "/eval", "factor", v->pos.factor));
	SX_TRY(sx_run_attr_real(run, "/eval", "beta", v->pos.beta));
	SX_TRY(sx_run_attr_real(run, "/eval", "attention_factor", v->attention_factor));
out:
	free(print);
	return st;
}

/* What training's own evaluations do not keep, then the record they have, too. */
static sx_status put_eval(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	int n = j->n_result;
	int64_t W = most_windows(j), *hits = sx_calloc((size_t)n, sizeof *hits);
	int64_t *trials = sx_calloc((size_t)n, sizeof *trials);
	double *se = sx_calloc((size_t)n, sizeof *se), *text = sx_calloc((size_t)n, sizeof *text);
	double *window = sx_calloc((size_t)(n * W), sizeof *window);
	sx_eval_row *rows = sx_calloc((size_t)n, sizeof *rows);
	if (!hits || !trials || !se || !text || !window || !rows) SX_TRY(no_memory(j->ctx));
	for (int i = 0; i < n; i++) {
		const sx_eval_result *r = &j->results[i];
		rows[i] = r->row;
		se[i] = r->row.ppl.se;
		text[i] = r->row.ppl.text_nll;
		hits[i] = r->row.ppl.query_hits;
		trials[i] = r->row.ppl.query_trials;
		for (int64_t w = 0; w < W; w++)
			window[i * W + w] = w < r->windows ? r->row.each.nll[w] : (double)NAN;
	}
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_NLL_SE, 0, se));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_TEXT_NLL, 0, text));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_WINDOW_NLL, 0, window));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_QUERY_HITS, 0, hits));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_QUERY_TRIALS, 0, trials));
	SX_TRY(sx_eval_put(run, j->ctx, &j->opts, rows, j->source.step, j->source.phase));
out:
	free(hits);
	free(trials);
	free(se);
	free(text);
	free(window);
	free(rows);
	return st;
}

/* ---- /extension ---- */

/* One number of a cell: of the result itself, of the one with its positions, of a kind there. */
typedef struct {
	const sx_variant *own;
	const sx_ppl *ppl;
	const sx_niah *niah, *choice;
	double choice_text_last;
} cell;

/* clang-format off */
static double factor(const cell *c) { return c->own->pos.factor; }
static double beta(const cell *c) { return c->own->pos.beta; }
static double attention_factor(const cell *c) { return c->own->attention_factor; }
static double nll(const cell *c) { return c->ppl->nll; }
static double nll_last(const cell *c) { return c->ppl->nll_last; }
static double nll_se(const cell *c) { return c->ppl->se; }
static double text_nll(const cell *c) { return c->ppl->text_nll; }
static double text_nll_last(const cell *c) { return c->ppl->text_nll_last; }
static double choice_text(const cell *c) { return c->choice_text_last; }
static double query_hits(const cell *c) { return (double)c->ppl->query_hits; }
static double query_trials(const cell *c) { return (double)c->ppl->query_trials; }
static double same_as(const cell *c) { return c->own->same_as; }
static double niah_hits(const cell *c) { return (double)c->niah->hits; }
static double niah_trials(const cell *c) { return (double)c->niah->trials; }
static double chance_blind(const cell *c) { return c->niah->chance_blind; }
static double chance_window(const cell *c) { return c->niah->chance_window; }
static double choice_hits(const cell *c) { return (double)c->choice->hits; }
static double choice_trials(const cell *c) { return (double)c->choice->trials; }

static const struct {
	sx_run_id id;
	bool whole, kinds, choice; /* whole numbers; a value per kind; with --choose only */
	double (*get)(const cell *c);
} columns[] = {
	{SX_RUN_EXTENSION_SAME_AS,          true,  false, false, same_as},
	{SX_RUN_EXTENSION_FACTOR,           false, false, false, factor},
	{SX_RUN_EXTENSION_BETA,             false, false, false, beta},
	{SX_RUN_EXTENSION_ATTENTION_FACTOR, false, false, false, attention_factor},
	{SX_RUN_EXTENSION_NLL,              false, false, false, nll},
	{SX_RUN_EXTENSION_NLL_LAST,         false, false, false, nll_last},
	{SX_RUN_EXTENSION_NLL_SE,           false, false, false, nll_se},
	{SX_RUN_EXTENSION_TEXT_NLL,         false, false, false, text_nll},
	{SX_RUN_EXTENSION_TEXT_NLL_LAST,    false, false, false, text_nll_last},
	{SX_RUN_EXTENSION_CHOICE_TEXT,      false, false, true,  choice_text},
	{SX_RUN_EXTENSION_QUERY_HITS,       true,  false, false, query_hits},
	{SX_RUN_EXTENSION_QUERY_TRIALS,     true,  false, false, query_trials},
	{SX_RUN_EXTENSION_NIAH_HITS,        true,  true,  false, niah_hits},
	{SX_RUN_EXTENSION_NIAH_TRIALS,      true,  true,  false, niah_trials},
	{SX_RUN_EXTENSION_CHANCE_BLIND,     false, true,  false, chance_blind},
	{SX_RUN_EXTENSION_CHANCE_WINDOW,    false, true,  false, chance_window},
	{SX_RUN_EXTENSION_CHOICE_HITS,      true,  true,  true,  choice_hits},
	{SX_RUN_EXTENSION_CHOICE_TRIALS,    true,  true,  true,  choice_trials},
};
/* clang-format on */
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static bool has_column(const sx_eval_job *j, int i)
{
	return (!columns[i].kinds || j->opts.n_kinds > 0) &&
	       (!columns[i].choice || j->opts.choice > 0);
}

/* Of single windows and problems, with what tells which these were. */
static sx_status define_single(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	int lengths = j->opts.n_lengths, kinds = j->opts.n_kinds;
	int64_t *print = sx_calloc((size_t)(lengths * (kinds + 1)), sizeof *print);
	if (!print) return no_memory(j->ctx);
	for (int t = 0; t < lengths; t++) print[t] = j->results[t * j->n_variant].fingerprint;
	SX_TRY(sx_run_axis_index(run, SX_RUN_EXTENSION_WINDOW, most_windows(j)));
	SX_TRY(sx_run_define(run, SX_RUN_EXTENSION_WINDOW_TEXT));
	SX_TRY(sx_run_attr_ints(run, sx_run_rows[SX_RUN_EXTENSION_WINDOW_TEXT].path, "fingerprint",
				print, lengths));
	if (!kinds) goto out;
	for (int t = 0; t < lengths; t++)
		for (int k = 0; k < kinds; k++)
			print[t * kinds + k] = j->results[t * j->n_variant].row.niah[k].fingerprint;
	SX_TRY(sx_run_axis_index(run, SX_RUN_EXTENSION_PROBLEM, j->opts.trials));
	SX_TRY(sx_run_define(run, SX_RUN_EXTENSION_NIAH_HIT));
	SX_TRY(sx_run_attr_ints(run, sx_run_rows[SX_RUN_EXTENSION_NIAH_HIT].path, "fingerprint",
				print, lengths * kinds));
out:
	free(print);
	return st;
}

static sx_status define_extension(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	const char *kinds[SX_NEEDLE_KINDS];
	const sx_eval_opts *o = &j->opts;
	SX_TRY(sx_run_axis_index(run, SX_RUN_EXTENSION_VARIANT, j->n_variant));
	SX_TRY(sx_run_axis(run, SX_RUN_EXTENSION_CONTEXT_LENGTH, o->n_lengths, o->lengths));
	for (int k = 0; k < o->n_kinds; k++) kinds[k] = sx_needle_kind_name(o->kind[k]);
	if (o->n_kinds) SX_TRY(sx_run_axis(run, SX_RUN_EXTENSION_KIND, o->n_kinds, kinds));
	SX_TRY(sx_run_define(run, SX_RUN_EXTENSION_METHOD));
	SX_TRY(sx_run_define(run, SX_RUN_EXTENSION_C));
	for (int i = 0; i < COLUMNS; i++)
		if (has_column(j, i)) SX_TRY(sx_run_define(run, columns[i].id));
	SX_TRY(define_single(run, j));
	SX_TRY(sx_run_attr_int(run, "/extension", "trained_length",
			       sx_trained_length(&j->source.spec)));
	SX_TRY(sx_run_attr_int(run, "/extension", "phase", j->source.phase));
	if (j->has_data) {
		SX_TRY(sx_run_attr_int(run, "/extension", "seed", (int64_t)o->seed));
		SX_TRY(sx_run_attr_int(run, "/extension", "windows", o->windows));
	}
	if (o->n_kinds) {
		SX_TRY(sx_run_attr_int(run, "/extension", "facts", o->facts));
		SX_TRY(sx_run_attr_int(run, "/extension", "trials", o->trials));
		SX_TRY(sx_run_attr_int(run, "/extension", "choose", o->choice));
	}
out:
	return st;
}

/* Results are stored by length, columns by variant. Where a variant was not evaluated itself the
 * numbers are those of its like. */
static sx_status put_column(sx_run *run, const sx_eval_job *j, int column)
{
	sx_status st = SX_OK;
	int lengths = j->opts.n_lengths, kinds = columns[column].kinds ? j->opts.n_kinds : 1;
	size_t n = (size_t)j->n_result * (size_t)kinds;
	double *value = sx_calloc(n, sizeof *value);
	int64_t *count = sx_calloc(n, sizeof *count);
	if (!value || !count) SX_TRY(no_memory(j->ctx));
	for (int v = 0; v < j->n_variant; v++)
		for (int t = 0; t < lengths; t++)
			for (int k = 0; k < kinds; k++) {
				int i = t * j->n_variant + v, to = (v * lengths + t) * kinds + k;
				const sx_eval_result *r = sx_eval_result_of(j, i);
				const cell c = {&j->results[i].variant, &r->row.ppl,
						&r->row.niah[k], &r->row.choice[k],
						r->row.choice_text_last};
				value[to] = columns[column].get(&c);
				if (columns[column].whole) count[to] = (int64_t)value[to];
			}
	if (columns[column].whole)
		SX_TRY(sx_run_put(run, columns[column].id, 0, count));
	else
		SX_TRY(sx_run_put(run, columns[column].id, 0, value));
out:
	free(value);
	free(count);
	return st;
}

static sx_status put_single(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	int lengths = j->opts.n_lengths;
	int64_t W = most_windows(j), P = j->opts.n_kinds * j->opts.trials;
	double *text = sx_calloc((size_t)(j->n_result * W), sizeof *text);
	uint8_t *hit = sx_calloc((size_t)(j->n_result * P) + 1, 1);
	if (!text || !hit) SX_TRY(no_memory(j->ctx));
	for (int i = 0; i < j->n_result; i++) {
		const sx_eval_result *r = sx_eval_result_of(j, i);
		int64_t to = (int64_t)(i % j->n_variant) * lengths + i / j->n_variant;
		for (int64_t w = 0; w < W; w++)
			text[to * W + w] = w < r->windows ? r->row.each.text_last[w] : (double)NAN;
		if (P) memcpy(hit + to * P, r->row.hit, (size_t)P);
	}
	SX_TRY(sx_run_put(run, SX_RUN_EXTENSION_WINDOW_TEXT, 0, text));
	if (P) SX_TRY(sx_run_put(run, SX_RUN_EXTENSION_NIAH_HIT, 0, hit));
out:
	free(text);
	free(hit);
	return st;
}

static sx_status put_extension(sx_run *run, const sx_eval_job *j)
{
	sx_status st = SX_OK;
	double *c = sx_calloc((size_t)j->n_variant, sizeof *c);
	const char **method = sx_calloc((size_t)j->n_variant, sizeof *method);
	if (!c || !method) SX_TRY(no_memory(j->ctx));
	for (int v = 0; v < j->n_variant; v++) {
		method[v] = j->results[v].variant.label;
		c[v] = j->results[v].variant.c;
	}
	SX_TRY(sx_run_put(run, SX_RUN_EXTENSION_METHOD, 0, method));
	SX_TRY(sx_run_put(run, SX_RUN_EXTENSION_C, 0, c));
	for (int i = 0; i < COLUMNS; i++)
		if (has_column(j, i)) SX_TRY(put_column(run, j, i));
	SX_TRY(put_single(run, j));
out:
	free(c);
	free(method);
	return st;
}

/* ---- the whole ---- */

sx_status sx_eval_job_write(const sx_eval_job *j, const char *command)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	const sx_source *s = &j->source;
	bool as_it_stands = j->n_method == 0;
	SX_TRY(sx_run_create(&run, j->ctx, j->output, false));
	SX_TRY(sx_provenance(run, j->ctx, command, s->seed, "f32", command, &s->spec));
	SX_TRY(sx_run_attr_int(run, "/", "step", s->step));
	SX_TRY(sx_run_attr_int(run, "/", "step_known", s->step_known));
	SX_TRY(write_meta(run, j));
	if (as_it_stands) SX_TRY(define_eval(run, j));
	SX_TRY(define_extension(run, j));
	SX_TRY(sx_run_start(run));
	if (as_it_stands) SX_TRY(put_eval(run, j));
	SX_TRY(put_extension(run, j));
	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
out:
	sx_run_free(run);
	return st;
}

/* What `sextant eval` prints: a table or one JSON document, and the temperatures chosen. */
#include "cli/eval_print.h"

#include "analysis/extension.h"
#include "analysis/stats/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the temperature of each method ---- */

/* One method of the grid: which variant was chosen, and on what. */
typedef struct {
	const char *method;
	int variant;
	int64_t hits, trials;
} choice;

/* Hits and trials of a variant on the problems set apart, beyond the trained length. */
static void count_choice(int64_t *hits, int64_t *trials, const sx_eval_job *j, int variant)
{
	*hits = *trials = 0;
	for (int i = variant; i < j->n_result; i += j->n_variant) {
		const sx_eval_result *r = sx_eval_result_of(j, i);
		if (r->T <= sx_trained_length(&j->source.spec)) continue;
		for (int k = 0; k < j->opts.n_kinds; k++) {
			*hits += r->row.choice[k].hits;
			*trials += r->row.choice[k].trials;
		}
	}
}

/* out (n_variant) receives the chosen variant of each method; none without --choose. */
static sx_status make_choices(choice *out, int *n, const sx_eval_job *j)
{
	size_t all = (size_t)j->n_variant;
	double *c = sx_calloc(all, sizeof *c);
	int64_t *hits = sx_calloc(all, sizeof *hits), *trials = sx_calloc(all, sizeof *trials);
	sx_status st = SX_OK;
	*n = 0;
	if (!c || !hits || !trials)
		SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory to choose a temperature"));
	for (int v = 0; v < j->n_variant; v++) {
		const char *method = j->results[v].variant.label;
		bool seen = false;
		for (int k = 0; k < v; k++)
			seen = seen || strcmp(j->results[k].variant.label, method) == 0;
		if (seen) continue;
		for (int k = 0; k < j->n_variant; k++) {
			c[k] = j->results[k].variant.c;
			count_choice(&hits[k], &trials[k], j, k);
			if (strcmp(j->results[k].variant.label, method) != 0) trials[k] = 0;
		}
		int best = sx_extension_choose(c, hits, trials, j->n_variant);
		if (best >= 0) out[(*n)++] = (choice){method, best, hits[best], trials[best]};
	}
out:
	free(c);
	free(hits);
	free(trials);
	return st;
}

/* ---- JSON ---- */

static json_t *variant_json(const sx_eval_result *r)
{
	const sx_variant *v = &r->variant;
	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "method", v->label, "length",
			 (json_int_t)r->T, "factor", sx_json_number(v->pos.factor), "c",
			 sx_json_number(v->c), "beta", sx_json_number(v->pos.beta),
			 "attention_factor", sx_json_number(v->attention_factor));
}

static json_t *ppl_json(const sx_ppl *p)
{
	sx_interval rate = sx_wilson(p->query_hits, p->query_trials);
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "tokens",
			 (json_int_t)p->tokens, "nll", sx_json_number(p->nll), "se",
			 sx_json_number(p->se), "nll_last", sx_json_number(p->nll_last), "text_nll",
			 sx_json_number(p->text_nll), "text_nll_last",
			 sx_json_number(p->text_nll_last), "query_hits", (json_int_t)p->query_hits,
			 "query_trials", (json_int_t)p->query_trials, "query_rate",
			 sx_json_number(rate.value), "query_lo", sx_json_number(rate.lo),
			 "query_hi", sx_json_number(rate.hi));
}

static json_t *distances_json(const sx_niah *n)
{
	json_t *list = json_array();
	for (int b = 0; list && b < SX_NIAH_BINS; b++)
		if (n->bin_trials[b])
			json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:I}", "from",
							      (json_int_t)1 << b, "below",
							      (json_int_t)2 << b, "hits",
							      (json_int_t)n->bin_hits[b], "trials",
							      (json_int_t)n->bin_trials[b]));
	return list;
}

/* The problems set apart; nothing without --choose. */
static void add_choice(json_t *row, const sx_niah *n)
{
	if (row && n->trials > 0)
		json_object_update_new(row,
				       json_pack("{s:I, s:I}", "choice_hits", (json_int_t)n->hits,
						 "choice_trials", (json_int_t)n->trials));
}

static json_t *niah_json(const sx_niah *n, const sx_ppl *p)
{
	sx_interval rate = sx_wilson(n->hits, n->trials);
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
			 sx_needle_kind_name(n->kind), "hits", (json_int_t)n->hits, "trials",
			 (json_int_t)n->trials, "rate", sx_json_number(rate.value), "lo",
			 sx_json_number(rate.lo), "hi", sx_json_number(rate.hi), "chance_blind",
			 sx_json_number(n->chance_blind), "chance_window",
			 sx_json_number(n->chance_window), "text_nll_last",
			 sx_json_number(p->text_nll_last), "by_distance", distances_json(n));
}

/* Takes `more` over. */
static void add_row(json_t *rows, const sx_eval_result *r, json_t *more)
{
	json_t *row = variant_json(r);
	if (row && more) json_object_update(row, more);
	json_array_append_new(rows, row);
	json_decref(more);
}

static json_t *rows_json(const sx_eval_job *j, const sx_eval_args *a)
{
	json_t *rows = json_array();
	for (int i = 0; rows && i < j->n_result; i++) {
		const sx_eval_result *r = &j->results[i];
		if (!sx_eval_is_own(j, i)) continue;
		if (!a->niah) add_row(rows, r, ppl_json(&r->row.ppl));
		for (int k = 0; k < j->opts.n_kinds; k++) {
			json_t *row = niah_json(&r->row.niah[k], &r->row.ppl);
			add_choice(row, &r->row.choice[k]);
			add_row(rows, r, row);
		}
	}
	return rows;
}

/* The choices; NULL when memory is out. */
static json_t *choices_json(const sx_eval_job *j, const choice *chosen, int n)
{
	json_t *list = json_array();
	for (int i = 0; list && i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:o, s:I, s:I}", "method", chosen[i].method, "c",
					sx_json_number(j->results[chosen[i].variant].variant.c),
					"choice_hits", (json_int_t)chosen[i].hits, "choice_trials",
					(json_int_t)chosen[i].trials));
	return list;
}

sx_status sx_eval_print_json(const sx_eval_job *j, const sx_eval_args *a)
{
	const sx_source *s = &j->source;
	const char *given = a->text ? a->text : a->tokens;
	int n = 0;
	choice *chosen = sx_calloc((size_t)j->n_variant, sizeof *chosen);
	if (!chosen) return sx_fail(j->ctx, SX_ENOMEM, "no memory to print");
	sx_status st = make_choices(chosen, &n, j);
	if (st != SX_OK) goto out;
	json_t *rows = rows_json(j, a);
	json_t *all =
		json_pack("{s:s, s:s, s:o, s:I, s:s?}", "eval", a->what, "model", s->name, "step",
			  s->step_known ? json_integer(s->step) : json_null(), "trained_length",
			  (json_int_t)sx_trained_length(&s->spec), "input", given);
	if (all && !given) {
		json_object_set_new(all, "seed", json_integer((json_int_t)j->opts.seed));
		json_object_set_new(all, "windows", json_integer(j->opts.windows));
	}
	if (all && a->niah) json_object_set_new(all, "facts", json_integer(j->opts.facts));
	if (all && n) json_object_set_new(all, "chosen", choices_json(j, chosen, n));
	if (all && !rows) json_decref(all), all = NULL;
	if (all)
		json_object_set_new(all, "rows", rows);
	else
		json_decref(rows);
	st = sx_print_json(j->ctx, all);
out:
	free(chosen);
	return st;
}

/* ---- tables ---- */

/* A number that not every variant has. */
static void number_cell(sx_table *t, int digits, double v)
{
	if (isnan(v))
		sx_table_cell(t, "-");
	else
		sx_table_cell(t, "%s", sx_words_f(digits, v).s);
}

/* One that should be there. */
static void loss_cell(sx_table *t, int digits, double v)
{
	sx_table_cell(t, "%s", sx_words_f(digits, v).s);
}

static void interval_cell(sx_table *t, int64_t hits, int64_t trials)
{
	sx_interval rate = sx_wilson(hits, trials);
	if (trials)
		sx_table_cell(t, "%.3f..%.3f", rate.lo, rate.hi);
	else
		sx_table_cell(t, "-");
}

static void variant_cells(sx_table *t, const sx_eval_result *r)
{
	sx_table_cell(t, "%lld", (long long)r->T);
	sx_table_cell(t, "%s", r->variant.label);
	sx_table_cell(t, "%.4g", r->variant.pos.factor);
	number_cell(t, 2, r->variant.c);
	number_cell(t, 3, r->variant.pos.beta);
}

static sx_status print_niah(const sx_eval_job *j)
{
	static const char *const headings[] = {"length",
					       "method",
					       "factor",
					       "c",
					       "beta",
					       "kind",
					       "hits",
					       "trials",
					       "rate",
					       "95 %",
					       "chance: blind",
					       "in window",
					       "text loss, last half"};
	sx_table *t = sx_table_new(13, headings);
	for (int i = 0; i < j->n_result; i++) {
		const sx_eval_result *r = &j->results[i];
		for (int k = 0; k < j->opts.n_kinds && sx_eval_is_own(j, i); k++) {
			const sx_niah *n = &r->row.niah[k];
			variant_cells(t, r);
			sx_table_cell(t, "%s", sx_needle_kind_name(n->kind));
			sx_table_cell(t, "%lld", (long long)n->hits);
			sx_table_cell(t, "%lld", (long long)n->trials);
			number_cell(t, 3, sx_wilson(n->hits, n->trials).value);
			interval_cell(t, n->hits, n->trials);
			number_cell(t, 4, n->chance_blind);
			number_cell(t, 4, n->chance_window);
			number_cell(t, 3, r->row.ppl.text_nll_last);
		}
	}
	return sx_table_print(t, j->ctx);
}

static sx_status print_ppl(const sx_eval_job *j)
{
	static const char *const headings[] = {
		"length",          "method",    "factor", "c",         "beta",
		"tokens",          "loss",      "+-",     "last half", "text",
		"text, last half", "retrieval", "95 %"};
	/* Retrieval and the loss on filler alone are known for the retrieval language only. */
	bool items = j->has_data && j->data.lang.opts.on;
	sx_table *t = sx_table_new(items ? 13 : 9, headings);
	int undefined = 0;
	for (int i = 0; i < j->n_result; i++) {
		const sx_ppl *p = &j->results[i].row.ppl;
		if (!sx_eval_is_own(j, i)) continue;
		variant_cells(t, &j->results[i]);
		sx_table_cell(t, "%lld", (long long)p->tokens);
		loss_cell(t, 4, p->nll);
		number_cell(t, 4, p->se);
		loss_cell(t, 4, p->nll_last);
		undefined += !isfinite(p->nll) || !isfinite(p->nll_last);
		if (!items) continue;
		number_cell(t, 4, p->text_nll);
		number_cell(t, 4, p->text_nll_last);
		number_cell(t, 3, sx_wilson(p->query_hits, p->query_trials).value);
		interval_cell(t, p->query_hits, p->query_trials);
	}
	sx_status st = sx_table_print(t, j->ctx);
	if (undefined)
		printf("A loss is undefined where the model's logits are not numbers, or nothing "
		       "was "
		       "predicted.\n");
	return st;
}

/* A line for each method and kind, with a column of rates for each length beyond the trained one. */
static sx_status print_choices(const sx_eval_job *j, const choice *chosen, int n)
{
	const char *heading[SX_EVAL_LIST + 4] = {"chosen", "c", "choice hits", "kind"};
	char text[SX_EVAL_LIST][32];
	int columns = 4, beyond = 0;
	int64_t trained = sx_trained_length(&j->source.spec);
	for (int i = 0; i < j->opts.n_lengths; i++) {
		if (j->length[i] <= trained) continue;
		snprintf(text[beyond], sizeof text[0], "%lld", (long long)j->length[i]);
		heading[columns++] = text[beyond++];
	}
	sx_table *t = sx_table_new(columns, heading);
	for (int i = 0; i < n * j->opts.n_kinds; i++) {
		const choice *o = &chosen[i / j->opts.n_kinds];
		int k = i % j->opts.n_kinds;
		sx_table_cell(t, "%s", o->method);
		number_cell(t, 2, j->results[o->variant].variant.c);
		sx_table_cell(t, "%lld of %lld", (long long)o->hits, (long long)o->trials);
		sx_table_cell(t, "%s", sx_needle_kind_name(j->opts.kind[k]));
		for (int v = o->variant; v < j->n_result; v += j->n_variant) {
			const sx_eval_result *r = sx_eval_result_of(j, v);
			sx_interval rate = sx_wilson(r->row.niah[k].hits, r->row.niah[k].trials);
			if (r->T <= trained) continue;
			sx_table_cell(t, "%.3f (%.3f..%.3f)", rate.value, rate.lo, rate.hi);
		}
	}
	printf("\n");
	return sx_table_print(t, j->ctx);
}

sx_status sx_eval_print(const sx_eval_job *j, const sx_eval_args *a)
{
	int n = 0;
	sx_status st = SX_OK;
	choice *chosen = sx_calloc((size_t)j->n_variant, sizeof *chosen);
	if (!chosen) return sx_fail(j->ctx, SX_ENOMEM, "no memory to print");
	SX_TRY(a->niah ? print_niah(j) : print_ppl(j));
	SX_TRY(make_choices(chosen, &n, j));
	if (n) SX_TRY(print_choices(j, chosen, n));
out:
	free(chosen);
	return st;
}

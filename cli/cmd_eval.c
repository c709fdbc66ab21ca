/* sextant eval: the loss and needle retrieval by length, for one variant of the positions or many. */
#include "cli/cmd.h"
#include "cli/evaluate.h"
#include "cli/out.h"
#include "cli/provenance.h"
#include "cli/source.h"
#include "engine/blas.h"
#include "engine/tokens.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_eval;

enum { LIST_MOST = 64 };
enum {
	KEY_LENGTHS = 256,
	KEY_WINDOWS,
	KEY_METHODS,
	KEY_TEMPERATURES,
	KEY_TRIALS,
	KEY_KINDS,
	KEY_FACTS,
	KEY_SEED,
	KEY_TEXT,
	KEY_TOKENS,
	KEY_CHUNK,
	KEY_LIMIT,
	KEY_TOKENIZER
};

/* clang-format off */
static const struct argp_option options[] = {
	{"lengths", KEY_LENGTHS, "N,..", 0, "context lengths, tokens (default: eval.lengths; with --text or --tokens the trained length)", 1},
	{"windows", KEY_WINDOWS, "N", 0, "held-out windows for the loss at each length (default: eval.windows)", 1},
	{"seed", KEY_SEED, "N", 0, "of windows and problems (default: the configuration's)", 1},
	{"output", 'o', "FILE.h5", 0, "write one variant to a run file", 1},
	{"methods", KEY_METHODS, "NAME,..", 0, "positional methods to compare, with factor = length / trained length", 2},
	{"temperatures", KEY_TEMPERATURES, "C,..", 0, "multiply the logits by 1 + C ln(factor), for each of these C (default with --methods: 0)", 2},
	{"kinds", KEY_KINDS, "KIND,..", 0, "niah: single, multi-key, multi-query, multi-value (default: multi-key)", 3},
	{"trials", KEY_TRIALS, "N", 0, "niah: problems of each kind at each length (default: eval.niah_trials)", 3},
	{"facts", KEY_FACTS, "N", 0, "niah: facts in a window (default: 4; single: 1)", 3},
	{"text", KEY_TEXT, "FILE", 0, "ppl: the loss on this text instead of held-out windows", 4},
	{"tokens", KEY_TOKENS, "FILE", 0, "ppl: on these ids: text, .npy, or .bin of llm.c or nanoGPT", 4},
	{"chunk", KEY_CHUNK, "N", 0, "cut it into pieces of N bytes (ids) that are read one by one and truncated to the length (default: one text, every token but the first is predicted once)", 4},
	{"limit", KEY_LIMIT, "N", 0, "take its first N bytes (ids)", 4},
	{"tokenizer", KEY_TOKENIZER, "T", 0, "\"bytes\" or a llama2.c tokenizer.bin", 4},
	SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0}};
/* clang-format on */

static const char doc[] =
	"Evaluates MODEL: ppl is the mean loss in nats per token, over whole windows and over "
	"their "
	"last halves; niah is how often it retrieves a fact from its window (needle in a haystack)."
	"\v"
	"On held-out windows of the data MODEL was trained on: the last 10 % of each file. "
	"\"text\" is the loss on the filler alone, without the items of the retrieval language. "
	"Rates come with Wilson's 95 % interval and two chance levels: a blind guess among all "
	"values, and a guess among the values that stand in the window.\n"
	"\n"
	"Without --methods and --temperatures the model is taken as it stands, with pos.* as "
	"given. "
	"With them every method is evaluated with every temperature, at factor = length / trained "
	"length; variants that coincide (at factor 1 all scalings are plain RoPE) come once. The "
	"attention factor that YaRN ships with is a temperature itself, so \"yarn\" is its ramp "
	"with "
	"that factor 1 and the temperature given, and \"yarn (shipped)\" the method with its own. "
	"Methods that rotate do not apply to a model whose positions were dropped.\n"
	"\n"
	"Examples:\n"
	"  sextant eval niah runs/rope --methods rope,pi,ntk,yarn \\\n"
	"          --temperatures 0,0.2,0.4 --lengths 128,256,512,1024 --trials 160\n"
	"  sextant eval ppl stories260K.bin --tokenizer tok512.bin \\\n"
	"          --text tinystories.txt --chunk 800 --limit 80000 pos.method=nope";

typedef struct {
	sx_common common;
	bool niah;
	const char *what, *model, *output, *text, *tokens, *tokenizer;
	const char *methods, *temperatures, *lengths, *kinds;
	int64_t windows, trials, facts, chunk, limit, seed; /* 0 = default; seed -1 = default */
	int n;
	char **overrides;
} args;

static int64_t parse_seed(struct argp_state *state, const char *arg)
{
	char *end;
	errno = 0;
	long long v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < 0)
		argp_error(state, "--seed %s: must be a whole number, not negative", arg);
	return v;
}

static void parse_word(struct argp_state *state, args *a, char *arg)
{
	if (!a->what) {
		a->what = arg;
		a->niah = strcmp(arg, "niah") == 0;
		if (!a->niah && strcmp(arg, "ppl") != 0)
			argp_error(state, "what to evaluate? ppl or niah, not %s", arg);
	} else if (!a->model) {
		a->model = arg;
	} else if (sx_is_override(arg)) {
		a->overrides[a->n++] = arg;
	} else {
		argp_error(state, "%s: want ppl|niah, MODEL and then key=value", arg);
	}
}

static void check_args(struct argp_state *state, const args *a)
{
	bool other = a->text || a->tokens;
	if (!a->what) argp_error(state, "what to evaluate? ppl or niah");
	if (!a->model) argp_error(state, "which MODEL?");
	if (a->text && a->tokens) argp_error(state, "--text or --tokens, not both");
	if (a->niah && other)
		argp_error(state, "niah makes its own windows: leave out --text and --tokens");
	if (!other && (a->chunk || a->limit))
		argp_error(state, "--chunk and --limit cut what --text or --tokens give");
	if (other && a->windows)
		argp_error(state, "--windows is for held-out windows, not for --text or --tokens");
	if (!a->niah && (a->kinds || a->trials || a->facts))
		argp_error(state, "--kinds, --trials and --facts are for niah");
	if (a->output && (a->methods || a->temperatures))
		argp_error(state, "-o writes one variant: leave out --methods and --temperatures, "
				  "and set pos.method, pos.factor and pos.beta");
	if (a->facts > SX_NEEDLE_MAX)
		argp_error(state, "--facts %lld: must be %d at most", (long long)a->facts,
			   SX_NEEDLE_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	args *a = state->input;
	/* clang-format off */
	switch (key) {
	case KEY_LENGTHS: a->lengths = arg; return 0;
	case KEY_WINDOWS: a->windows = sx_parse_count(state, "--windows", arg); return 0;
	case KEY_METHODS: a->methods = arg; return 0;
	case KEY_TEMPERATURES: a->temperatures = arg; return 0;
	case KEY_TRIALS: a->trials = sx_parse_count(state, "--trials", arg); return 0;
	case KEY_KINDS: a->kinds = arg; return 0;
	case KEY_FACTS: a->facts = sx_parse_count(state, "--facts", arg); return 0;
	case KEY_SEED: a->seed = parse_seed(state, arg); return 0;
	case KEY_TEXT: a->text = arg; return 0;
	case KEY_TOKENS: a->tokens = arg; return 0;
	case KEY_CHUNK: a->chunk = sx_parse_count(state, "--chunk", arg); return 0;
	case KEY_LIMIT: a->limit = sx_parse_count(state, "--limit", arg); return 0;
	case KEY_TOKENIZER: a->tokenizer = arg; return 0;
	case 'o': a->output = arg; return 0;
	case ARGP_KEY_ARG: parse_word(state, a, arg); return 0;
	case ARGP_KEY_END: check_args(state, a); return 0;
	default: return sx_common_parse(&a->common, key, arg, state);
	}
	/* clang-format on */
}

/* ---- what is to be done ---- */

/* One evaluation: a length, a variant, what came out. */
typedef struct {
	int64_t T;
	sx_variant variant;
	sx_eval_row row;
} result;

typedef struct {
	sx_ctx *ctx;
	const args *a;
	sx_source source;
	sx_model *model;
	sx_data data;
	bool has_data; /* else in */
	sx_pieces in;
	sx_eval_opts opts;
	int64_t length[LIST_MOST];
	char *words; /* --methods, split */
	const char *method[LIST_MOST];
	double c[LIST_MOST];
	int n_method, n_c; /* 0 and 0: the model as it stands */
	result *results;
	int n_result;
} job;

/* Splits a comma-separated list in place. */
static sx_status split(const char **words, int *n, sx_ctx *ctx, const char *option, char *list)
{
	*n = 0;
	for (char *rest = list, *word; (word = strtok_r(rest, ",", &rest));) {
		if (*n == LIST_MOST)
			return sx_fail(ctx, SX_EUSAGE, "%s: %d entries at most", option, LIST_MOST);
		words[(*n)++] = word;
	}
	return *n ? SX_OK : sx_fail(ctx, SX_EUSAGE, "%s: the list is empty", option);
}

static sx_status read_numbers(double *out, int *n, sx_ctx *ctx, const char *option,
			      const char *list)
{
	const char *words[LIST_MOST];
	char *copy = sx_strdup(list);
	if (!copy) return sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
	sx_status st = split(words, n, ctx, option, copy);
	for (int i = 0; st == SX_OK && i < *n; i++) {
		char *end;
		out[i] = strtod(words[i], &end);
		if (*end || !isfinite(out[i]) || out[i] < 0)
			st = sx_fail(ctx, SX_EUSAGE, "%s: %s is not a number from 0 on", option,
				     words[i]);
	}
	free(copy);
	return st;
}

static sx_status choose_lengths(job *j)
{
	const sx_int_list *given = &j->source.cfg.eval.lengths;
	sx_status st = SX_OK;
	int n = 0;
	if (j->a->lengths) {
		double v[LIST_MOST];
		SX_TRY(read_numbers(v, &n, j->ctx, "--lengths", j->a->lengths));
		for (int i = 0; i < n; i++) {
			j->length[i] = (int64_t)fmin(v[i], 1e15);
			if (j->length[i] < 2 || (double)j->length[i] != v[i]) {
				st = sx_fail(j->ctx, SX_EUSAGE,
					     "--lengths: %g is not a whole number, at least 2",
					     v[i]);
				goto out;
			}
		}
	} else if (j->a->text || j->a->tokens) {
		j->length[n++] = j->source.spec.T;
	} else {
		if (given->n < 1 || given->n > LIST_MOST) {
			st = sx_fail(j->ctx, SX_EUSAGE, "eval.lengths: want 1 to %d lengths",
				     LIST_MOST);
			goto out;
		}
		for (size_t i = 0; i < given->n; i++) j->length[n++] = given->at[i];
	}
	j->opts.lengths = j->length;
	j->opts.n_lengths = n;
out:
	return st;
}

static sx_status choose_kinds(job *j)
{
	sx_status st = SX_OK;
	const char *words[LIST_MOST];
	int n = 0;
	char *copy = sx_strdup(j->a->kinds ? j->a->kinds : "multi-key");
	if (!copy) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the arguments");
	SX_TRY(split(words, &n, j->ctx, "--kinds", copy));
	for (int i = 0; i < n; i++) {
		int k = 0;
		while (k < SX_NEEDLE_KINDS &&
		       strcmp(words[i], sx_needle_kind_name((sx_needle_kind)k)) != 0)
			k++;
		for (int e = 0; e < j->opts.n_kinds; e++)
			if ((int)j->opts.kind[e] == k) k = SX_NEEDLE_KINDS;
		if (k == SX_NEEDLE_KINDS) {
			st = sx_fail(j->ctx, SX_EUSAGE,
				     "--kinds: %s is unknown or given twice; known are single, "
				     "multi-key, multi-query, multi-value",
				     words[i]);
			goto out;
		}
		j->opts.kind[j->opts.n_kinds++] = (sx_needle_kind)k;
	}
out:
	free(copy);
	return st;
}

/* Methods that do not apply are left out with a sentence. */
static sx_status choose_methods(job *j)
{
	sx_status st = SX_OK;
	const sx_spec *spec = &j->source.spec;
	const char *given[LIST_MOST];
	int n = 0;
	j->words = sx_strdup(j->a->methods ? j->a->methods : spec->pos.method);
	if (!j->words) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the arguments");
	SX_TRY(split(given, &n, j->ctx, "--methods", j->words));
	for (int i = 0; i < n; i++) {
		if (sx_method_applies(spec, given[i]))
			j->method[j->n_method++] = given[i];
		else
			sx_log(j->ctx, SX_LOG_WARN,
			       "%s is left out: methods that rotate do not apply to a model whose "
			       "positions were dropped",
			       given[i]);
	}
	if (j->n_method == 0)
		st = sx_fail(j->ctx, SX_EUSAGE,
			     "--methods: none of them applies to %s, which has no positions; give "
			     "nope",
			     j->source.name);
out:
	return st;
}

static sx_status choose_variants(job *j)
{
	static const char *const set_by_grid[] = {
		"pos.method=", "pos.factor=", "pos.attention_factor="};
	sx_status st = SX_OK;
	if (!j->a->methods && !j->a->temperatures) return SX_OK;
	for (int i = 0; i < j->a->n; i++)
		for (int k = 0; k < 3; k++)
			if (strncmp(j->a->overrides[i], set_by_grid[k], strlen(set_by_grid[k])) ==
			    0)
				return sx_fail(j->ctx, SX_EUSAGE,
					       "%s: --methods and --temperatures set that "
					       "themselves: leave one or the other out",
					       j->a->overrides[i]);
	SX_TRY(choose_methods(j));
	j->c[0] = 0;
	j->n_c = 1;
	if (j->a->temperatures)
		SX_TRY(read_numbers(j->c, &j->n_c, j->ctx, "--temperatures", j->a->temperatures));
out:
	return st;
}

/* Lengths times variants. */
static sx_status list_results(job *j)
{
	sx_status st = SX_OK;
	for (int i = 0; st == SX_OK && i < j->opts.n_lengths; i++) {
		int n = 1;
		int64_t T = j->length[i];
		sx_variant one, *list = NULL;
		if (j->n_method)
			st = sx_variant_grid(&list, &n, j->ctx, &j->source.spec, T, j->method,
					     j->n_method, j->c, j->n_c);
		else
			st = sx_variant_now(&one, j->ctx, &j->source.spec, T);
		if (st != SX_OK) return st;
		size_t all = (size_t)(j->n_result + n);
		result *grown = sx_grow(j->results, all, sizeof *grown);
		if (grown) {
			j->results = grown;
			for (int k = 0; k < n; k++)
				j->results[j->n_result++] =
					(result){.T = T, .variant = list ? list[k] : one};
		} else {
			st = sx_fail(j->ctx, SX_ENOMEM, "no memory for the results");
		}
		free(list);
	}
	return st;
}

/* ---- input ---- */

static sx_status read_text(job *j)
{
	sx_status st = SX_OK;
	const args *a = j->a;
	const sx_source *s = &j->source;
	char *text = NULL;
	size_t size = 0;
	bool bos = false;
	SX_TRY(sx_source_need_tokenizer(s, j->ctx));
	SX_TRY(sx_read_file(j->ctx, a->text, &text, &size));
	bos = s->has_config ? s->cfg.data.bos : sx_tokenizer_adds_bos(s->tok);
	if (a->limit && (int64_t)size > a->limit) size = (size_t)a->limit;
	SX_TRY(sx_pieces_text(&j->in, j->ctx, s->tok, bos, text, (int64_t)size, a->chunk));
out:
	free(text);
	return st;
}

static sx_status read_tokens(job *j)
{
	sx_status st = SX_OK;
	const args *a = j->a;
	sx_tokens t = {0};
	SX_TRY(sx_tokens_read(&t, j->ctx, a->tokens, j->source.spec.V));
	if (t.rows > 1 && (a->chunk || a->limit)) {
		st = sx_fail(j->ctx, SX_EUSAGE,
			     "%s holds %lld sequences, which are the pieces: leave out --chunk and "
			     "--limit",
			     a->tokens, (long long)t.rows);
		goto out;
	}
	SX_TRY(sx_pieces_ids(&j->in, j->ctx, t.ids, a->limit && a->limit < t.n ? a->limit : t.n,
			     t.rows > 1 ? t.cols : a->chunk));
out:
	sx_tokens_free(&t);
	return st;
}

static sx_status open_data(job *j)
{
	sx_status st = SX_OK;
	if (j->a->text) return read_text(j);
	if (j->a->tokens) return read_tokens(j);
	if (!j->source.has_config)
		return sx_fail(j->ctx, SX_ENOINPUT,
			       "%s has no configuration that names its data: %s", j->source.name,
			       j->a->niah ? "niah needs a run or a configuration"
					  : "give --text FILE or --tokens FILE");
	st = sx_data_open(&j->data, j->ctx, &j->source.cfg, j->source.spec.V);
	j->has_data = st == SX_OK;
	return st;
}

/* ---- doing it ---- */

static sx_status evaluate(job *j)
{
	sx_status st = SX_OK;
	sx_windows w = {0};
	sx_progress progress;
	const sx_language *l = j->has_data ? &j->data.lang : NULL;
	sx_progress_begin(&progress, j->ctx, "eval", 0, j->n_result);
	for (int i = 0; i < j->n_result; i++) {
		result *r = &j->results[i];
		if (i == 0 || r->T != j->results[i - 1].T) {
			sx_windows_free(&w);
			SX_TRY(l ? sx_windows_heldout(&w, j->ctx, l, j->opts.windows, r->T,
						      j->opts.seed)
				 : sx_windows_pieces(&w, j->ctx, &j->in, r->T));
		}
		j->model->spec.pos = r->variant.pos;
		SX_TRY(sx_eval_length(&r->row, j->ctx, j->model, &w, l, &j->opts, r->T));
		sx_progress_step(&progress, i + 1, r->row.ppl.nll,
				 w.W * w.T + j->opts.n_kinds * j->opts.trials * r->T);
	}
	sx_progress_end(&progress);
out:
	sx_windows_free(&w);
	return st;
}

/* ---- output ---- */

static json_t *variant_json(const result *r)
{
	const sx_variant *v = &r->variant;
	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "method", v->label, "length",
			 (json_int_t)r->T, "factor", sx_json_number(v->pos.factor), "c",
			 sx_json_number(v->c), "beta", sx_json_number(v->pos.beta),
			 "attention_factor", sx_json_number(v->attention_factor));
}

static json_t *ppl_json(const sx_ppl *p)
{
	double lo, hi;
	sx_wilson(p->query_hits, p->query_trials, &lo, &hi);
	double rate = (double)p->query_hits / (double)p->query_trials;
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "tokens",
			 (json_int_t)p->tokens, "nll", sx_json_number(p->nll), "se",
			 sx_json_number(p->se), "nll_last", sx_json_number(p->nll_last), "text_nll",
			 sx_json_number(p->text_nll), "text_nll_last",
			 sx_json_number(p->text_nll_last), "query_hits", (json_int_t)p->query_hits,
			 "query_trials", (json_int_t)p->query_trials, "query_rate",
			 sx_json_number(rate), "query_lo", sx_json_number(lo), "query_hi",
			 sx_json_number(hi));
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

static json_t *niah_json(const sx_niah *n, const sx_ppl *p)
{
	double lo, hi;
	sx_wilson(n->hits, n->trials, &lo, &hi);
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
			 sx_needle_kind_name(n->kind), "hits", (json_int_t)n->hits, "trials",
			 (json_int_t)n->trials, "rate",
			 sx_json_number((double)n->hits / (double)n->trials), "lo",
			 sx_json_number(lo), "hi", sx_json_number(hi), "chance_blind",
			 sx_json_number(n->chance_blind), "chance_window",
			 sx_json_number(n->chance_window), "text_nll_last",
			 sx_json_number(p->text_nll_last), "by_distance", distances_json(n));
}

/* Takes `more` over. */
static void add_row(json_t *rows, const result *r, json_t *more)
{
	json_t *row = variant_json(r);
	if (row && more) json_object_update(row, more);
	json_array_append_new(rows, row);
	json_decref(more);
}

static sx_status print_json(const job *j)
{
	const sx_source *s = &j->source;
	const char *given = j->a->text ? j->a->text : j->a->tokens;
	json_t *rows = json_array();
	for (int i = 0; rows && i < j->n_result; i++) {
		const result *r = &j->results[i];
		if (!j->a->niah) add_row(rows, r, ppl_json(&r->row.ppl));
		for (int k = 0; k < j->opts.n_kinds; k++)
			add_row(rows, r, niah_json(&r->row.niah[k], &r->row.ppl));
	}
	json_t *all = json_pack("{s:s, s:s, s:o, s:I, s:s?}", "eval", j->a->what, "model", s->name,
				"step", s->step_known ? json_integer(s->step) : json_null(),
				"trained_length", (json_int_t)sx_trained_length(&s->spec), "input",
				given);
	if (all && !given) {
		json_object_set_new(all, "seed", json_integer((json_int_t)j->opts.seed));
		json_object_set_new(all, "windows", json_integer(j->opts.windows));
	}
	if (all && j->a->niah) json_object_set_new(all, "facts", json_integer(j->opts.facts));
	if (all && !rows) json_decref(all), all = NULL;
	if (all)
		json_object_set_new(all, "rows", rows);
	else
		json_decref(rows);
	return sx_print_json(j->ctx, all);
}

static void number_cell(sx_table *t, int digits, double v)
{
	if (isnan(v))
		sx_table_cell(t, "-");
	else
		sx_table_cell(t, "%.*f", digits, v);
}

static void interval_cell(sx_table *t, int64_t hits, int64_t trials)
{
	double lo, hi;
	sx_wilson(hits, trials, &lo, &hi);
	if (trials)
		sx_table_cell(t, "%.3f..%.3f", lo, hi);
	else
		sx_table_cell(t, "-");
}

static void variant_cells(sx_table *t, const result *r)
{
	sx_table_cell(t, "%lld", (long long)r->T);
	sx_table_cell(t, "%s", r->variant.label);
	sx_table_cell(t, "%.4g", r->variant.pos.factor);
	number_cell(t, 2, r->variant.c);
	number_cell(t, 3, r->variant.pos.beta);
}

static sx_status print_niah(const job *j)
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
		const result *r = &j->results[i];
		for (int k = 0; k < j->opts.n_kinds; k++) {
			const sx_niah *n = &r->row.niah[k];
			variant_cells(t, r);
			sx_table_cell(t, "%s", sx_needle_kind_name(n->kind));
			sx_table_cell(t, "%lld", (long long)n->hits);
			sx_table_cell(t, "%lld", (long long)n->trials);
			number_cell(t, 3, (double)n->hits / (double)n->trials);
			interval_cell(t, n->hits, n->trials);
			number_cell(t, 4, n->chance_blind);
			number_cell(t, 4, n->chance_window);
			number_cell(t, 3, r->row.ppl.text_nll_last);
		}
	}
	return sx_table_print(t, j->ctx);
}

static sx_status print_ppl(const job *j)
{
	static const char *const headings[] = {
		"length",          "method",    "factor", "c",         "beta",
		"tokens",          "loss",      "+-",     "last half", "text",
		"text, last half", "retrieval", "95 %"};
	/* Retrieval and the loss on filler alone are known for the retrieval language only. */
	bool items = j->has_data && j->data.lang.opts.on;
	sx_table *t = sx_table_new(items ? 13 : 9, headings);
	for (int i = 0; i < j->n_result; i++) {
		const sx_ppl *p = &j->results[i].row.ppl;
		variant_cells(t, &j->results[i]);
		sx_table_cell(t, "%lld", (long long)p->tokens);
		number_cell(t, 4, p->nll);
		number_cell(t, 4, p->se);
		number_cell(t, 4, p->nll_last);
		if (!items) continue;
		number_cell(t, 4, p->text_nll);
		number_cell(t, 4, p->text_nll_last);
		number_cell(t, 3, (double)p->query_hits / (double)p->query_trials);
		interval_cell(t, p->query_hits, p->query_trials);
	}
	return sx_table_print(t, j->ctx);
}

static sx_status write_meta(sx_run *run, const job *j)
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
		if (!data_json) {
			st = sx_fail(j->ctx, SX_ENOMEM, "no memory for the run file");
			goto out;
		}
		SX_TRY(sx_run_meta(run, SX_RUN_META_DATA_JSON, data_json));
		SX_TRY(sx_run_attr_int(run, "/eval", "windows", j->opts.windows));
	}
out:
	free(yaml);
	free(data_json);
	json_decref(data);
	return st;
}

/* The results are one per length here. */
static sx_status write_file(job *j, const char *command)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	const sx_source *s = &j->source;
	const sx_variant *v = &j->results[0].variant;
	sx_eval_row *rows = sx_calloc((size_t)j->n_result, sizeof *rows);
	if (!rows) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the run file");
	for (int i = 0; i < j->n_result; i++) rows[i] = j->results[i].row;
	SX_TRY(sx_run_create(&run, j->ctx, j->a->output, false));
	SX_TRY(sx_provenance(run, j->ctx, command, s->seed, "f32", command, &s->spec));
	SX_TRY(sx_run_attr_int(run, "/", "step_known", s->step_known));
	SX_TRY(sx_eval_axes(run, &j->opts));
	SX_TRY(write_meta(run, j));
	SX_TRY(sx_run_attr_str(run, "/eval", "method", v->label));
	SX_TRY(sx_run_attr_real(run, "/eval", "factor", v->pos.factor));
	SX_TRY(sx_run_attr_real(run, "/eval", "beta", v->pos.beta));
	SX_TRY(sx_run_attr_real(run, "/eval", "attention_factor", v->attention_factor));
	SX_TRY(sx_run_start(run));
	SX_TRY(sx_eval_put(run, j->ctx, &j->opts, rows, s->step, s->phase));
	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
out:
	sx_run_free(run);
	free(rows);
	return st;
}

/* ---- the verb ---- */

static void job_free(job *j)
{
	sx_source_free(&j->source);
	sx_model_free(j->model);
	if (j->has_data) sx_data_free(&j->data);
	sx_pieces_free(&j->in);
	free(j->words);
	free(j->results);
}

static sx_status prepare(job *j)
{
	static const char *const allowed[] = {"data", "eval", NULL};
	sx_status st = SX_OK;
	const args *a = j->a;
	const sx_config *cfg = &j->source.cfg;
	SX_TRY(sx_source_open(&j->source, j->ctx, a->model, a->tokenizer, a->n, a->overrides,
			      allowed));
	j->opts = (sx_eval_opts){.windows = a->windows ? a->windows : cfg->eval.windows,
				 .trials = a->trials ? a->trials : cfg->eval.niah_trials,
				 .facts = a->facts ? (int)a->facts : 4,
				 .seed = (uint64_t)(a->seed >= 0 ? a->seed : cfg->seed)};
	SX_TRY(choose_lengths(j));
	if (a->niah) SX_TRY(choose_kinds(j));
	if (a->niah && j->opts.trials < 1) {
		st = sx_fail(j->ctx, SX_EUSAGE, "eval.niah_trials is 0: give --trials");
		goto out;
	}
	SX_TRY(choose_variants(j));
	SX_TRY(list_results(j));
	SX_TRY(open_data(j));
	SX_TRY(sx_source_model(&j->model, j->ctx, &j->source));
out:
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "ppl|niah MODEL [key=value..]", doc, NULL,
					 NULL,    NULL};
	sx_status st = SX_OK;
	args a = {.common.ctx = ctx, .seed = -1};
	job j = {.ctx = ctx, .a = &a};
	char *command = sx_command_line("eval", argc, argv);
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!command || !a.overrides) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	sx_blas_start(ctx, a.common.threads);
	SX_TRY(prepare(&j));
	SX_TRY(evaluate(&j));
	if (a.output) SX_TRY(write_file(&j, command));
	SX_TRY(a.common.json ? print_json(&j) : a.niah ? print_niah(&j) : print_ppl(&j));
out:
	job_free(&j);
	free(command);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_eval = {"eval", "models", "loss and needle retrieval by context length", run};

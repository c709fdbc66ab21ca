/* sextant eval: the loss and needle retrieval by length, for one variant of the positions or many. */
#include "cli/cmd.h"
#include "cli/eval_print.h"
#include "cli/input_args.h"
#include "engine/op/blas.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_eval;

enum {
	KEY_LENGTHS = 256,
	KEY_WINDOWS,
	KEY_METHODS,
	KEY_TEMPERATURES,
	KEY_TRIALS,
	KEY_CHOOSE,
	KEY_KINDS,
	KEY_FACTS,
	KEY_SEED,
	KEY_TEXT,
	KEY_TOKENS,
	KEY_IDS,
	KEY_CHUNK,
	KEY_LIMIT,
	KEY_TOKENIZER
};

/* clang-format off */
static const struct argp_option options[] = {
	{"lengths", KEY_LENGTHS, "N,..", 0, "context lengths, tokens (default: eval.lengths; with --text or --tokens the trained length)", 1},
	{"windows", KEY_WINDOWS, "N", 0, "held-out windows for the loss at each length (default: eval.windows)", 1},
	{"seed", KEY_SEED, "N", 0, "of windows and problems (default: the configuration's)", 1},
	{"output", 'o', "FILE.h5", 0, "write all variants to a run file", 1},
	{"methods", KEY_METHODS, "NAME,..", 0, "positional methods to compare, with factor = length / trained length", 2},
	{"temperatures", KEY_TEMPERATURES, "C,..", 0, "multiply the logits by 1 + C ln(factor), for each of these C (default with --methods: 0)", 2},
	{"kinds", KEY_KINDS, "KIND,..", 0, "niah: single, multi-key, multi-query, multi-value (default: multi-key)", 3},
	{"trials", KEY_TRIALS, "N", 0, "niah: problems of each kind at each length (default: eval.niah_trials)", 3},
	{"choose", KEY_CHOOSE, "N", 0, "niah, with --temperatures: N further problems to choose each method's C on", 3},
	{"facts", KEY_FACTS, "N", 0, "niah: facts in a window (default: 4; single: 1)", 3},
	{"text", KEY_TEXT, "FILE|-", 0, "ppl: the loss on this text (- is standard input) instead of held-out windows", 4},
	{"tokens", KEY_TOKENS, "FILE|-", 0, "ppl: on these ids: text, .npy, or .bin of llm.c or nanoGPT", 4},
	{"ids", KEY_IDS, "u16|u32", 0, "how wide the ids of a .bin without a header are (default: 16 bits, refused where that cannot be)", 4},
	{"chunk", KEY_CHUNK, "N", 0, "cut it into pieces of N bytes (ids) that are read one by one and truncated to the length (default: one text, every token but the first is predicted once)", 4},
	{"limit", KEY_LIMIT, "N", 0, "take its first N bytes (ids)", 4},
	{"tokenizer", KEY_TOKENIZER, "T", 0, "\"bytes\", a tokenizer.json or a llama2.c tokenizer.bin (default: the tokenizer.json beside the model)", 4},
	SX_ARG_NO_CHECK, SX_ARG_IGNORE, SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
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
	"With --choose N every cell gets N further problems, from another seed. The temperature of "
	"a "
	"method is the one with most hits on these, over all lengths beyond the trained one (ties: "
	"the smaller), and its rates are reported on the other problems. The file gets the loss on "
	"as many further windows, too: `report` and `figure context` choose another temperature "
	"for the text by these.\n"
	"\n"
	"-o writes all variants to /extension of a run file, for `sextant figure context`; of a "
	"model as it stands also /eval, with the loss of every window.\n"
	"\n"
	"Examples:\n"
	"  sextant eval niah runs/rope --methods rope,pi,ntk,yarn \\\n"
	"          --temperatures 0,0.2,0.4 --lengths 128,256,512,1024 --trials 160 \\\n"
	"          --choose 80 -o rope-grid.h5\n"
	"  sextant eval ppl stories260K.bin --tokenizer tok512.bin \\\n"
	"          --text tinystories.txt --chunk 800 --limit 80000 pos.method=nope";

static int64_t parse_seed(struct argp_state *state, const char *arg)
{
	char *end;
	errno = 0;
	long long v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < 0)
		argp_error(state, "--seed %s: must be a whole number, not negative", arg);
	return v;
}

static void parse_word(struct argp_state *state, sx_eval_args *a, char *arg)
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

static void check_args(struct argp_state *state, const sx_eval_args *a)
{
	bool other = a->text || a->tokens;
	if (!a->what) argp_error(state, "what to evaluate? ppl or niah");
	if (!a->model) argp_error(state, "which MODEL?");
	if (a->text && a->tokens) argp_error(state, "--text or --tokens, not both");
	if (a->ids != SX_IDS_ANY && !a->tokens) argp_error(state, "--ids is for --tokens");
	if (a->niah && other)
		argp_error(state, "niah makes its own windows: leave out --text and --tokens");
	if (!other && (a->chunk || a->limit))
		argp_error(state, "--chunk and --limit cut what --text or --tokens give");
	if (other && a->windows)
		argp_error(state, "--windows is for held-out windows, not for --text or --tokens");
	if (!a->niah && (a->kinds || a->trials || a->facts))
		argp_error(state, "--kinds, --trials and --facts are for niah");
	if (other && a->seed >= 0)
		argp_error(state,
			   "--seed draws held-out windows: leave it out with --text or --tokens");
	if (!other && a->tokenizer)
		argp_error(state,
			   "--tokenizer is for --text: held-out windows and problems are made "
			   "with the tokenizer of the data");
	if (a->facts && a->kinds && strcmp(a->kinds, "single") == 0)
		argp_error(state, "--facts: a problem of the kind single has one fact");
	if (a->choose && !(a->niah && a->temperatures))
		argp_error(state, "--choose chooses among the --temperatures of niah");
	if (a->facts > SX_NEEDLE_MAX)
		argp_error(state, "--facts %lld: must be %d at most", (long long)a->facts,
			   SX_NEEDLE_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	sx_eval_args *a = state->input;
	/* clang-format off */
	switch (key) {
	case KEY_LENGTHS: a->lengths = arg; return 0;
	case KEY_WINDOWS: a->windows = sx_parse_count(state, "--windows", arg); return 0;
	case KEY_METHODS: a->methods = arg; return 0;
	case KEY_TEMPERATURES: a->temperatures = arg; return 0;
	case KEY_TRIALS: a->trials = sx_parse_count(state, "--trials", arg); return 0;
	case KEY_KINDS: a->kinds = arg; return 0;
	case KEY_CHOOSE: a->choose = sx_parse_count(state, "--choose", arg); return 0;
	case KEY_FACTS: a->facts = sx_parse_count(state, "--facts", arg); return 0;
	case KEY_SEED: a->seed = parse_seed(state, arg); return 0;
	case KEY_TEXT: a->text = arg; return 0;
	case KEY_TOKENS: a->tokens = arg; return 0;
	case SX_KEY_NO_CHECK: a->unchecked = true; return 0;
	case KEY_IDS: a->ids = sx_parse_ids(state, arg); return 0;
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

/* Splits a comma-separated list in place. */
static sx_status split(const char **words, int *n, sx_ctx *ctx, const char *option, char *list)
{
	*n = 0;
	for (char *rest = list, *word; (word = strtok_r(rest, ",", &rest));) {
		if (*n == SX_EVAL_LIST)
			return sx_fail(ctx, SX_EUSAGE, "%s: %d entries at most", option,
				       SX_EVAL_LIST);
		words[(*n)++] = word;
	}
	return *n ? SX_OK : sx_fail(ctx, SX_EUSAGE, "%s: the list is empty", option);
}

static sx_status read_numbers(double *out, int *n, sx_ctx *ctx, const char *option,
			      const char *list)
{
	const char *words[SX_EVAL_LIST];
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

static sx_status choose_lengths(sx_eval_job *j, const sx_eval_args *a)
{
	const sx_int_list *given = &j->source.cfg.eval.lengths;
	sx_status st = SX_OK;
	int n = 0;
	if (a->lengths) {
		double v[SX_EVAL_LIST];
		SX_TRY(read_numbers(v, &n, j->ctx, "--lengths", a->lengths));
		for (int i = 0; i < n; i++) {
			j->length[i] = (int64_t)fmin(v[i], 1e15);
			if (j->length[i] < 2 || (double)j->length[i] != v[i]) {
				st = sx_fail(j->ctx, SX_EUSAGE,
					     "--lengths: %g is not a whole number, at least 2",
					     v[i]);
				goto out;
			}
		}
	} else if (a->text || a->tokens) {
		j->length[n++] = j->source.spec.T;
	} else {
		if (given->n < 1 || given->n > SX_EVAL_LIST) {
			st = sx_fail(j->ctx, SX_EUSAGE, "eval.lengths: want 1 to %d lengths",
				     SX_EVAL_LIST);
			goto out;
		}
		for (size_t i = 0; i < given->n; i++) j->length[n++] = given->at[i];
	}
	j->opts.lengths = j->length;
	j->opts.n_lengths = n;
out:
	return st;
}

static sx_status choose_kinds(sx_eval_job *j, const sx_eval_args *a)
{
	sx_status st = SX_OK;
	const char *words[SX_EVAL_LIST];
	int n = 0;
	char *copy = sx_strdup(a->kinds ? a->kinds : "multi-key");
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
static sx_status choose_methods(sx_eval_job *j, const sx_eval_args *a)
{
	sx_status st = SX_OK;
	const sx_spec *spec = &j->source.spec;
	const char *given[SX_EVAL_LIST];
	int n = 0;
	j->words = sx_strdup(a->methods ? a->methods : spec->pos.method);
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

static sx_status choose_variants(sx_eval_job *j, const sx_eval_args *a)
{
	static const char *const set_by_grid[] = {
		"pos.method=", "pos.factor=", "pos.attention_factor="};
	sx_status st = SX_OK;
	if (!a->methods && !a->temperatures) return SX_OK;
	for (int i = 0; i < a->n; i++)
		for (int k = 0; k < 3; k++)
			if (strncmp(a->overrides[i], set_by_grid[k], strlen(set_by_grid[k])) == 0)
				return sx_fail(j->ctx, SX_EUSAGE,
					       "%s: --methods and --temperatures set that "
					       "themselves: leave one or the other out",
					       a->overrides[i]);
	SX_TRY(choose_methods(j, a));
	j->c[0] = 0;
	j->n_c = 1;
	if (a->temperatures)
		SX_TRY(read_numbers(j->c, &j->n_c, j->ctx, "--temperatures", a->temperatures));
out:
	return st;
}

/* ---- input ---- */

static sx_status read_text(sx_eval_job *j, const sx_eval_args *a)
{
	sx_status st = SX_OK;
	const sx_source *s = &j->source;
	char *text = NULL;
	size_t size = 0;
	bool bos = false;
	SX_TRY(sx_source_need_tokenizer(s, j->ctx));
	SX_TRY(sx_read_input(j->ctx, a->text, &text, &size));
	if (size == 0)
		SX_TRY(sx_fail(j->ctx, SX_EDATA, "%s is empty: there is nothing to predict",
			       sx_input_name(a->text)));
	bos = s->has_config ? s->cfg.data.bos : sx_tokenizer_adds_bos(s->tok);
	if (a->limit && (int64_t)size > a->limit) size = (size_t)a->limit;
	SX_TRY(sx_pieces_text(&j->in, j->ctx, s->tok, bos, text, (int64_t)size, a->chunk));
out:
	free(text);
	return st;
}

static sx_status read_tokens(sx_eval_job *j, const sx_eval_args *a)
{
	sx_status st = SX_OK;
	sx_tokens t = {0};
	SX_TRY(sx_tokens_read(&t, j->ctx, a->tokens, j->source.spec.V, a->ids));
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

static sx_status open_data(sx_eval_job *j, const sx_eval_args *a)
{
	sx_status st = SX_OK;
	if (a->text) return read_text(j, a);
	if (a->tokens) return read_tokens(j, a);
	if (!j->source.has_config)
		return sx_fail(j->ctx, SX_ENOINPUT,
			       "%s has no configuration that names its data: %s", j->source.name,
			       a->niah ? "niah needs a run or a configuration"
				       : "give --text FILE or --tokens FILE");
	st = sx_data_open(&j->data, j->ctx, &j->source.cfg, j->source.spec.V);
	j->has_data = st == SX_OK;
	return st;
}

/* ---- the verb ---- */

static sx_status prepare(sx_eval_job *j, const sx_eval_args *a)
{
	static const char *const allowed[] = {"data", "eval", NULL};
	sx_status st = SX_OK;
	const sx_config *cfg = &j->source.cfg;
	SX_TRY((a->methods ? sx_source_open_any_pos : sx_source_open)(
		&j->source, j->ctx, a->model, a->tokenizer, a->n, a->overrides, allowed));
	j->opts = (sx_eval_opts){.windows = a->windows ? a->windows : cfg->eval.windows,
				 .trials = a->trials ? a->trials : cfg->eval.niah_trials,
				 .facts = a->facts ? (int)a->facts : 4,
				 .seed = (uint64_t)(a->seed >= 0 ? a->seed : cfg->seed),
				 .choice = a->choose};
	j->output = a->output;
	SX_TRY(choose_lengths(j, a));
	if (a->niah) SX_TRY(choose_kinds(j, a));
	if (a->niah && j->opts.trials < 1) {
		st = sx_fail(j->ctx, SX_EUSAGE, "eval.niah_trials is 0: give --trials");
		goto out;
	}
	SX_TRY(choose_variants(j, a));
	SX_TRY(sx_eval_job_list(j));
	SX_TRY(open_data(j, a));
	if (j->source.tensors) j->source.tensors->unchecked = a->unchecked;
	SX_TRY(sx_source_model(&j->model, j->ctx, &j->source));
out:
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "ppl|niah MODEL [key=value..]", doc, NULL,
					 NULL,    NULL};
	sx_status st = SX_OK;
	sx_eval_args a = {.common.ctx = ctx, .seed = -1};
	sx_progress progress;
	const sx_progress_to to = sx_progress_listener(&progress, ctx);
	sx_eval_job j = {.ctx = ctx, .progress = &to};
	char *command = sx_command_line("eval", argc, argv);
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!command || !a.overrides) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	sx_blas_start(ctx, a.common.threads);
	SX_TRY(prepare(&j, &a));
	SX_TRY(sx_eval_job_run(&j));
	if (a.output) SX_TRY(sx_eval_job_write(&j, command));
	SX_TRY(a.common.json ? sx_eval_print_json(&j, &a) : sx_eval_print(&j, &a));
out:
	sx_eval_job_free(&j);
	free(command);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_eval = {"eval", "models", "loss and needle retrieval by context length", run};

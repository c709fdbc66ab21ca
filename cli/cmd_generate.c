/* sextant generate: text from a model. */
#include "cli/cmd.h"
#include "cli/input_args.h"
#include "cli/out.h"
#include "engine/model/generate.h"
#include "engine/op/blas.h"
#include "probes/lab/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_generate;

enum { KEY_PROMPT = 256, KEY_TEMPERATURE, KEY_TOP_P, KEY_SEED, KEY_TOKENIZER };

/* clang-format off */
static const struct argp_option options[] = {
	{"prompt", KEY_PROMPT, "TEXT", 0, "what the text begins with (default: nothing but BOS)", 0},
	{"tokens", 'n', "N", 0, "length of the text, prompt included, BOS not (default: 256)", 0},
	{"temperature", KEY_TEMPERATURE, "T", 0, "divides the logits; 0 takes the most likely token (default: 1)", 0},
	{"top-p", KEY_TOP_P, "P", 0, "draw from the most likely tokens whose probability adds to P (default: 1, all)", 0},
	{"seed", KEY_SEED, "N", 0, "of the draws (default: 1)", 0},
	{"tokenizer", KEY_TOKENIZER, "T", 0, "\"bytes\", a tokenizer.json or a llama2.c tokenizer.bin (default: the tokenizer.json beside the model)", 0},
	SX_ARG_NO_CHECK, SX_ARG_IGNORE, SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0}};
/* clang-format on */

static const char doc[] =
	"Continues a text with MODEL and prints it, prompt included. It ends after N tokens, or "
	"where "
	"the model says that it ends (BOS or EOS).\v"
	"pos.* overrides measure a variant without touching the weights. --json prints the ids "
	"too; "
	"\"text\" is null where they are not UTF-8.\n"
	"\n"
	"Examples:\n"
	"  sextant generate stories260K.bin --tokenizer tok512.bin --temperature 0\n"
	"  sextant generate runs/rope --prompt 'KING RICHARD' -n 400 --temperature 0.8 \\\n"
	"          --top-p 0.9 --seed 7 pos.method=yarn pos.factor=4";

typedef struct {
	sx_common common;
	const char *model, *prompt, *tokenizer;
	bool unchecked;
	int64_t tokens;
	sx_generate_opts generate;
	const char *draws; /* an option of the draws that was given, NULL: none */
	int n;
	char **overrides;
} args;

static double parse_number(struct argp_state *state, const char *option, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);
	if (end == arg || *end) argp_error(state, "%s %s: must be a number", option, arg);
	return v;
}

static uint64_t parse_seed(struct argp_state *state, const char *arg)
{
	char *end;
	errno = 0;
	long long v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < 0)
		argp_error(state, "--seed %s: must be a whole number, not negative", arg);
	return (uint64_t)v;
}

static void parse_word(struct argp_state *state, args *a, char *arg)
{
	if (!a->model)
		a->model = arg;
	else if (sx_is_override(arg))
		a->overrides[a->n++] = arg;
	else
		argp_error(state, "%s: want MODEL and then pos.*=value; a prompt needs --prompt",
			   arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	args *a = state->input;
	switch (key) {
	case KEY_PROMPT:
		a->prompt = arg;
		return 0;
	case 'n':
		a->tokens = sx_parse_count(state, "-n", arg);
		return 0;
	case KEY_TEMPERATURE:
		a->generate.temperature = parse_number(state, "--temperature", arg);
		return 0;
	case KEY_TOP_P:
		a->generate.top_p = parse_number(state, "--top-p", arg);
		a->draws = "--top-p";
		return 0;
	case KEY_SEED:
		a->generate.seed = parse_seed(state, arg);
		a->draws = "--seed";
		return 0;
	case SX_KEY_NO_CHECK:
		a->unchecked = true;
		return 0;
	case KEY_TOKENIZER:
		a->tokenizer = arg;
		return 0;
	case ARGP_KEY_ARG:
		parse_word(state, a, arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->model) argp_error(state, "which MODEL?");
		if (a->draws && a->generate.temperature == 0)
			argp_error(state,
				   "%s does not apply at --temperature 0, where nothing is drawn",
				   a->draws);
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* Ids of the prompt, with room for `most` in all. */
static sx_status begin(int32_t **ids, int64_t *n, int64_t *most, sx_ctx *ctx, const args *a,
		       const sx_source *s)
{
	int32_t *prompt = NULL;
	bool bos = s->has_config ? s->cfg.data.bos : sx_tokenizer_adds_bos(s->tok);
	sx_status st =
		sx_tokenizer_encode(&prompt, n, ctx, s->tok, a->prompt, strlen(a->prompt), bos);
	if (st != SX_OK) return st;
	*most = a->tokens > INT32_MAX ? INT32_MAX : a->tokens + bos;
	if (*n == 0)
		st = sx_fail(ctx, SX_EUSAGE,
			     "%s was trained without BOS, so it needs something to begin with: "
			     "give --prompt TEXT",
			     s->name);
	else if (*n > *most)
		st = sx_fail(ctx, SX_EUSAGE,
			     "the prompt has %lld tokens and the text shall have %lld: give a "
			     "larger -n",
			     (long long)(*n - bos), (long long)a->tokens);
	int32_t *grown = st == SX_OK ? sx_grow(prompt, (size_t)*most, sizeof *grown) : NULL;
	if (st == SX_OK && !grown) st = sx_fail(ctx, SX_ENOMEM, "no memory for the text");
	if (st == SX_OK)
		*ids = grown;
	else
		free(prompt);
	return st;
}

/* A context is refused before the system has to kill the program for it. */
static sx_status check_memory(sx_ctx *ctx, const sx_spec *spec, int64_t n)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	size_t need =
		sx_work_bytes(spec, 1, sx_generate_padded(n), SX_WORK_FORWARD, sx_blas_threads());
	double have = (double)pages * (double)page;
	if (pages < 1 || page < 1 || (double)need < have) return SX_OK;
	return sx_fail(ctx, SX_EUSAGE,
		       "a context of %lld tokens takes %.1f GB and this machine has %.1f: give a "
		       "smaller -n",
		       (long long)n, (double)need / 1e9, have / 1e9);
}

static sx_status print(sx_ctx *ctx, const args *a, const sx_source *s, const int32_t *ids,
		       int64_t n)
{
	char *text = NULL;
	size_t len = 0;
	sx_status st = sx_tokenizer_decode(&text, &len, ctx, s->tok, ids, n);
	if (st != SX_OK) return st;
	if (a->common.json) {
		json_t *list = json_array(), *string = json_stringn(text, len);
		for (int64_t i = 0; list && i < n; i++)
			json_array_append_new(list, json_integer(ids[i]));
		st = sx_print_json(ctx, json_pack("{s:s, s:s, s:I, s:o, s:o}", "model", s->name,
						  "prompt", a->prompt, "n", (json_int_t)n, "text",
						  string ? string : json_null(), "ids", list));
	} else {
		fwrite(text, 1, len, stdout);
		putchar('\n');
		if (fflush(stdout) != 0 || ferror(stdout))
			st = sx_fail(ctx, SX_EIO, "writing to standard output failed: %s",
				     strerror(errno));
	}
	free(text);
	return st;
}

static sx_status generate(sx_ctx *ctx, args *a)
{
	sx_status st = SX_OK;
	sx_source s = {0};
	sx_model *m = NULL;
	int32_t *ids = NULL;
	int64_t n = 0, most = 0;
	SX_TRY(sx_source_open(&s, ctx, a->model, a->tokenizer, a->n, a->overrides, NULL));
	SX_TRY(sx_source_need_tokenizer(&s, ctx));
	SX_TRY(begin(&ids, &n, &most, ctx, a, &s));
	SX_TRY(check_memory(ctx, &s.spec, most));
	if (s.tensors) s.tensors->unchecked = a->unchecked;
	SX_TRY(sx_source_model(&m, ctx, &s));
	a->generate.stop[0] = sx_tokenizer_bos(s.tok);
	a->generate.stop[1] = sx_tokenizer_eos(s.tok);
	SX_TRY(sx_generate(ids, &n, most, ctx, m, &a->generate));
	SX_TRY(print(ctx, a, &s, ids, n));
out:
	sx_source_free(&s);
	sx_model_free(m);
	free(ids);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "MODEL [pos.*=value..]", doc, NULL,
					 NULL,    NULL};
	sx_status st = SX_OK;
	args a = {.common.ctx = ctx,
		  .prompt = "",
		  .tokens = 256,
		  .generate = {.temperature = 1, .top_p = 1, .seed = 1, .stop = {-1, -1}}};
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!a.overrides) return sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	sx_blas_start(ctx, a.common.threads);
	SX_TRY(generate(ctx, &a));
out:
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_generate = {"generate", "models", "text from a model", run};

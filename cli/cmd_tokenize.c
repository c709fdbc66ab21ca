/* sextant tokenize: text to ids and back. */
#include "cli/cmd.h"
#include "cli/input_args.h"
#include "cli/out.h"
#include "engine/text/tokenizer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_TOKENIZER = 256, OPT_BOS, OPT_NO_BOS, OPT_DECODE, OPT_IDS };

static const struct argp_option options[] = {
	{"tokenizer", OPT_TOKENIZER, "bytes|FILE", 0,
	 "bytes (the default), a tokenizer.json, a folder with one, or a llama2.c tokenizer.bin",
	 0},
	{"bos", OPT_BOS, NULL, 0,
	 "begin with BOS (the default for a tokenizer.bin); a tokenizer.json: the special tokens "
	 "of its template",
	 0},
	{"no-bos", OPT_NO_BOS, NULL, 0,
	 "do not begin with BOS (the default for bytes); the default of a tokenizer.json is its "
	 "own",
	 0},
	{"decode", OPT_DECODE, NULL, 0,
	 "the other way: read ids (text, .npy, llm.c or nanoGPT .bin), print their text", 0},
	{"ids", OPT_IDS, "u16|u32", 0,
	 "--decode: how wide the ids of a .bin without a header are (default: 16 bits, refused "
	 "where that cannot be)",
	 0},
	{"output", 'o', "FILE", 0,
	 "write FILE instead of standard output: ids as .npy (int32), .bin (llm.c) or .txt; with "
	 "--decode the text",
	 0},
	SX_ARG_JSON,
	{0}};

static const char doc[] =
	"Turns text into the token ids a model reads, or ids into text.\v"
	"TEXTFILE is read whole, a newline at its end included; \"-\" or nothing is standard "
	"input. --json prints {\"n\": .., \"ids\": [..]}, with --decode {\"n\": .., \"text\": "
	"..}.\n"
	"\n"
	"Examples:\n"
	"  printf 'Once upon a time' | sextant tokenize --tokenizer tok512.bin\n"
	"      prints 1 403 407 261 378: BOS, then four pieces of text\n"
	"  sextant tokenize --tokenizer tok512.bin -o story.npy story.txt\n"
	"  sextant tokenize --tokenizer tok512.bin --decode story.npy\n"
	"      ids into a file that `sextant trace --tokens` and NumPy read, and back\n"
	"  sextant tokenize --tokenizer SmolLM2-135M/ --json story.txt\n"
	"      the ids that transformers makes with the tokenizer.json in that folder";

typedef struct {
	const char *tokenizer, *output, *input;
	int bos; /* -1 = what the tokenizer says */
	bool decode;
	sx_id_width ids;
	sx_common common;
} args;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	args *a = state->input;
	switch (key) {
	case OPT_TOKENIZER:
		a->tokenizer = arg;
		return 0;
	case OPT_BOS:
		a->bos = 1;
		return 0;
	case OPT_NO_BOS:
		a->bos = 0;
		return 0;
	case OPT_DECODE:
		a->decode = true;
		return 0;
	case OPT_IDS:
		a->ids = sx_parse_ids(state, arg);
		return 0;
	case 'o':
		a->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0) argp_error(state, "one text at a time, not also %s", arg);
		a->input = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->common.json && a->output) argp_error(state, "--json prints: leave out -o");
		if (a->decode && a->bos >= 0)
			argp_error(state, "--decode takes no --bos, --no-bos");
		if (a->ids != SX_IDS_ANY && !a->decode) argp_error(state, "--ids is for --decode");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

static sx_status print_ids(sx_ctx *ctx, const args *a, const int32_t *ids, int64_t n)
{
	if (a->output) return sx_tokens_write(ctx, a->output, ids, n);
	if (a->common.json) {
		json_t *list = json_array();
		for (int64_t i = 0; list && i < n; i++)
			json_array_append_new(list, json_integer(ids[i]));
		return sx_print_json(ctx, json_pack("{s:I, s:o}", "n", (json_int_t)n, "ids", list));
	}
	for (int64_t i = 0; i < n; i++) printf("%s%d", i ? " " : "", (int)ids[i]);
	putchar('\n');
	return SX_OK;
}

static sx_status print_text(sx_ctx *ctx, const args *a, const char *text, size_t len, int64_t n)
{
	if (a->output) return sx_write_file(ctx, a->output, text, len);
	if (a->common.json) {
		json_t *s = json_stringn(text, len);
		if (!s)
			return sx_fail(
				ctx, SX_EDATA,
				"the text of these ids is not UTF-8, so JSON cannot hold it: "
				"leave out --json, or write it with -o FILE");
		return sx_print_json(ctx, json_pack("{s:I, s:o}", "n", (json_int_t)n, "text", s));
	}
	fwrite(text, 1, len, stdout);
	return SX_OK;
}

static sx_status encode(sx_ctx *ctx, const args *a, const sx_tokenizer *t, const char *data,
			size_t size)
{
	int32_t *ids = NULL;
	int64_t n = 0;
	bool bos = a->bos < 0 ? sx_tokenizer_adds_bos(t) : a->bos > 0;
	sx_status st = sx_tokenizer_encode(&ids, &n, ctx, t, data, size, bos);
	if (st == SX_OK) st = print_ids(ctx, a, ids, n);
	free(ids);
	return st;
}

static sx_status decode(sx_ctx *ctx, const args *a, const sx_tokenizer *t, const char *data,
			size_t size)
{
	sx_status st = SX_OK;
	sx_tokens ids = {0};
	char *text = NULL;
	size_t len = 0;
	SX_TRY(sx_tokens_parse(&ids, ctx, sx_input_name(a->input), data, size,
			       sx_tokenizer_vocab(t), a->ids));
	SX_TRY(sx_tokenizer_decode(&text, &len, ctx, t, ids.ids, ids.n));
	SX_TRY(print_text(ctx, a, text, len, ids.n));
out:
	free(text);
	sx_tokens_free(&ids);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "[TEXTFILE|-]", doc, NULL, NULL, NULL};
	args a = {.tokenizer = "bytes", .input = "-", .bos = -1, .common.ctx = ctx};
	sx_status st = SX_OK;
	sx_tokenizer *t = NULL;
	char *data = NULL;
	size_t size = 0;
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	SX_TRY(sx_tokenizer_open(&t, ctx, a.tokenizer, 0));
	SX_TRY(sx_read_input(ctx, a.input, &data, &size));
	SX_TRY(a.decode ? decode(ctx, &a, t, data, size) : encode(ctx, &a, t, data, size));
	if (fflush(stdout) != 0)
		st = sx_fail(ctx, SX_EIO, "writing to standard output failed: %s", strerror(errno));
out:
	free(data);
	sx_tokenizer_free(t);
	return st;
}

const sx_cmd sx_cmd_tokenize = {"tokenize", "data", "text to token ids and back", run};

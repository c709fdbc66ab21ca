/* The options that say which sequences go through a model: the same words for `trace` and `bounds`. */
#ifndef SX_CLI_INPUT_ARGS_H
#define SX_CLI_INPUT_ARGS_H

#include "cli/out.h"
#include "probes/lab/sequences.h"

/* A verb takes the rows it needs into its argp table, keeps an sx_sequences_words in its own arguments,
 * and hands unknown keys on to sx_sequences_parse, which hands its unknown ones on to
 * sx_common_parse. */
enum {
	SX_KEY_TEXT = 0x5901,
	SX_KEY_WORDS,
	SX_KEY_TOKENS,
	SX_KEY_IDS,
	SX_KEY_NO_CHECK,
	SX_KEY_PROMPT,
	SX_KEY_TOKENIZER,
	SX_KEY_BOS,
	SX_KEY_NO_BOS,
	SX_KEY_LENGTH,
	SX_KEY_SEQUENCES,
	SX_KEY_KINDS,
	SX_KEY_AC,
	SX_KEY_PRECISION
};
/* clang-format off */
#define SX_ARG_WORDS     {"words", SX_KEY_WORDS, "FILE|-", 0, "the words of this text, numbered as they come: for random weights, where only which are equal matters", 1}
#define SX_ARG_TOKENS    {"tokens", SX_KEY_TOKENS, "FILE|-", 0, "these ids: text, .npy, or .bin of llm.c or nanoGPT", 1}
#define SX_ARG_IDS       {"ids", SX_KEY_IDS, "u16|u32", 0, "how wide the ids of a .bin without a header are (default: 16 bits, refused where that cannot be)", 1}
#define SX_ARG_PROMPT    {"prompt", SX_KEY_PROMPT, "TEXT", 0, "this text itself", 1}
#define SX_ARG_KINDS     {"kinds", SX_KEY_KINDS, "LIST", 0, "which held-out sequences: text, repeated, retrieval, constant", 2}
#define SX_ARG_BOS       {"bos", SX_KEY_BOS, NULL, 0, "begin with the tokenizer's BOS", 2}
#define SX_ARG_NO_BOS    {"no-bos", SX_KEY_NO_BOS, NULL, 0, "do not (default: what the tokenizer says)", 2}
#define SX_ARG_NO_CHECK  {"no-check", SX_KEY_NO_CHECK, NULL, 0, "load the weights without looking for numbers that are not finite", 5}
#define SX_ARG_TOKENIZER {"tokenizer", SX_KEY_TOKENIZER, "T", 0, "\"bytes\", a tokenizer.json or a llama2.c tokenizer.bin (default: the tokenizer.json beside the model)", 2}
/* clang-format on */
/* The argument of --ids; ends the program as argp_error where it is none. */
sx_id_width sx_parse_ids(struct argp_state *state, const char *arg);
/* Ends the program as argp_error where a word is wrong or two of them contradict. Strings are borrowed. */
error_t sx_sequences_parse(sx_sequences_words *w, sx_common *c, int key, char *arg,
			   struct argp_state *state);

#endif

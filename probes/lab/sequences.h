/* The sequences that `trace` and `bounds` pass through a model: cut from a text, ids or a prompt of
 * the user's, or held-out ones of the data the model was trained on. */
#ifndef SX_PROBES_LAB_SEQUENCES_H
#define SX_PROBES_LAB_SEQUENCES_H

#include "cli/out.h"
#include "probes/lab/source.h"
#include "probes/observe/families.h"

/* What the command line says of them. A verb takes the rows it needs into its argp table, keeps an
 * sx_input_words in its own arguments, and hands unknown keys on to sx_input_parse, which hands
 * its unknown ones on to sx_common_parse. */
typedef struct {
	/* one at most; none: held-out sequences */
	const char *text, *words, *tokens, *prompt;
	const char *tokenizer, *kinds, *ac;
	bool bos_given, bos, f64;
	int64_t length, sequences; /* 0 = not given */
} sx_input_words;

enum { SX_HELD_OUT_SEQUENCES = 8 }; /* of each kind, that `trace` takes where it is not told */

enum {
	SX_KEY_TEXT = 0x5901,
	SX_KEY_WORDS,
	SX_KEY_TOKENS,
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
#define SX_ARG_WORDS     {"words", SX_KEY_WORDS, "FILE", 0, "the words of this text, numbered as they come: for random weights, where only which are equal matters", 1}
#define SX_ARG_TOKENS    {"tokens", SX_KEY_TOKENS, "FILE", 0, "these ids: text, .npy, or .bin of llm.c or nanoGPT", 1}
#define SX_ARG_PROMPT    {"prompt", SX_KEY_PROMPT, "TEXT", 0, "this text itself", 1}
#define SX_ARG_KINDS     {"kinds", SX_KEY_KINDS, "LIST", 0, "which held-out sequences: text, repeated, retrieval, constant", 2}
#define SX_ARG_BOS       {"bos", SX_KEY_BOS, NULL, 0, "begin with the tokenizer's BOS", 2}
#define SX_ARG_NO_BOS    {"no-bos", SX_KEY_NO_BOS, NULL, 0, "do not (default: what the tokenizer says)", 2}
#define SX_ARG_TOKENIZER {"tokenizer", SX_KEY_TOKENIZER, "T", 0, "\"bytes\" or a llama2.c tokenizer.bin", 2}
/* clang-format on */
/* A text, ids or a prompt of the user's. */
bool sx_input_is_given(const sx_input_words *w);
error_t sx_input_parse(sx_input_words *w, sx_common *c, int key, char *arg,
		       struct argp_state *state);

/* What a verb takes where the words say nothing. */
typedef struct {
	const char *kinds; /* of held-out sequences: "text"               */
	int64_t each;      /* of each kind; of constant ones there is one */
	int64_t longest;   /* tokens, where no --length is given; 0 = no limit */
	bool without_data; /* a model that knows no data gets a constant sequence */
} sx_input_default;

typedef struct {
	int32_t *tokens, *target; /* (S,T); target -1 = nothing to predict            */
	uint8_t *kind;            /* (S) sx_probe_kind; NULL: a text of the user's    */
	uint8_t *query_row;       /* (S,T) 1: a value can be retrieved here; NULL: the same */
	int64_t S, T;
} sx_sequences;

/* SX_EUSAGE, SX_EDATA, SX_ENOINPUT, SX_ENOMEM. */
sx_status sx_sequences_read(sx_sequences *out, sx_ctx *ctx, const sx_input_words *w,
			    const sx_input_default *d, const sx_source *s) SX_NODISCARD;
void sx_sequences_free(sx_sequences *q); /* frees what is inside */

/* Families of A_c from a list of names: at most SX_FAMILY_MOST, *n of them. SX_EUSAGE. */
sx_status sx_families_parse(sx_family *f, int64_t *n, sx_ctx *ctx, const char *list) SX_NODISCARD;

#endif

/* The sequences that `trace` and `bounds` pass through a model: cut from a text, ids or a prompt of
 * the user's, or held-out ones of the data the model was trained on. */
#ifndef SX_PROBES_LAB_SEQUENCES_H
#define SX_PROBES_LAB_SEQUENCES_H

#include "engine/text/tokens.h"
#include "probes/lab/source.h"
#include "probes/observe/families.h"

/* What the user says of them; strings are borrowed. */
typedef struct {
	/* one at most; none: held-out sequences. Of files "-" is standard input */
	const char *text, *words, *tokens, *prompt;
	const char *tokenizer, *kinds, *ac;
	bool bos_given, bos, f64;
	bool unchecked;            /* the model's weights: sx_tensors */
	sx_id_width ids;           /* of tokens        */
	int64_t length, sequences; /* 0 = not given */
} sx_sequences_words;

enum { SX_HELD_OUT_SEQUENCES = 8 }; /* of each kind, that `trace` takes where it is not told */

/* A text, ids or a prompt of the user's. */
bool sx_sequences_given(const sx_sequences_words *w);

/* What a verb takes where the words say nothing. */
typedef struct {
	const char *kinds; /* of held-out sequences: "text"               */
	int64_t each;      /* of each kind; of constant ones there is one */
	int64_t longest;   /* tokens, where no --length is given; 0 = no limit */
	bool without_data; /* a model that knows no data gets a constant sequence */
} sx_sequences_default;

typedef struct {
	int32_t *tokens, *target; /* (S,T); target -1 = nothing to predict            */
	uint8_t *kind;            /* (S) sx_probe_kind; NULL: a text of the user's    */
	uint8_t *query_row;       /* (S,T) 1: a value can be retrieved here; NULL: the same */
	int64_t S, T;
} sx_sequences;

/* SX_EUSAGE, SX_EDATA, SX_ENOINPUT, SX_ENOMEM. */
sx_status sx_sequences_read(sx_sequences *out, sx_ctx *ctx, const sx_sequences_words *w,
			    const sx_sequences_default *d, const sx_source *s) SX_NODISCARD;
void sx_sequences_free(sx_sequences *q); /* frees what is inside */

/* Families of A_c from a list of names: at most SX_FAMILY_MOST, *n of them. SX_EUSAGE. */
sx_status sx_families_parse(sx_family *f, int64_t *n, sx_ctx *ctx, const char *list) SX_NODISCARD;

#endif

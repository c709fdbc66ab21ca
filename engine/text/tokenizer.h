/* Text to token ids and back: bytes, the tokenizer.bin of llama2.c, the tokenizer.json of Hugging
 * Face. Knows nothing of models, files of ids (tokens.h) or training text (corpus.h). */
#ifndef SX_ENGINE_TEXT_TOKENIZER_H
#define SX_ENGINE_TEXT_TOKENIZER_H

#include "engine/base.h"

typedef struct sx_tokenizer sx_tokenizer;

/* `what` is "bytes" (vocabulary 256, id = byte); a path that ends in .json, or a folder with a
 * tokenizer.json (tokenizer_config.json beside it is read too: docs/tokenizers.md says what of
 * both); or the path of a llama2.c tokenizer.bin: int32 max_token_length, then per token f32 score,
 * int32 length, bytes, all little-endian, to the end of the file; ids 0 1 2 are <unk> <s> </s>, ids
 * 3..258 the byte tokens <0x00>..<0xFF>.
 * `vocab` is the model's vocabulary, 0 = no model at hand. It must be the tokenizer's; beside a
 * tokenizer.json it may be larger (rows that no token has), or lack added tokens.
 * SX_ENOINPUT if the file cannot be read; SX_EDATA if it is not such a file, holds what is not read
 * here (named with its key), or does not fit the model. */
sx_status sx_tokenizer_open(sx_tokenizer **out, sx_ctx *ctx, const char *what,
			    int vocab) SX_NODISCARD;
void sx_tokenizer_free(sx_tokenizer *t);

/* clang-format off */
const char *sx_tokenizer_name(const sx_tokenizer *t); /* what it was opened by; borrowed         */
bool sx_tokenizer_is_bytes(const sx_tokenizer *t);
int sx_tokenizer_vocab(const sx_tokenizer *t);     /* number of ids: the model's, if one is given */
int sx_tokenizer_bos(const sx_tokenizer *t);       /* 1; bytes: 255, which UTF-8 never contains;
                                                      tokenizer.json: as it says, -1 = none       */
int sx_tokenizer_eos(const sx_tokenizer *t);       /* 2; bytes: -1 = none; the same               */
bool sx_tokenizer_adds_bos(const sx_tokenizer *t); /* what to do where the user says nothing      */
/* What a model's own files call its ends, where the tokenizer's say nothing. */
void sx_tokenizer_set_ends(sx_tokenizer *t, int bos, int eos);
/* clang-format on */
/* xxh128 of the file as 32 hexadecimal digits; "" for bytes. Borrowed. */
const char *sx_tokenizer_fingerprint(const sx_tokenizer *t);

/* The piece of text an id stands for, as the file spells it (a byte token is "<0x0A>"; bytes: one
 * byte). Borrowed, not NUL-terminated, *len bytes; NULL if no token has the id. */
const char *sx_tokenizer_piece(const sx_tokenizer *t, int32_t id, size_t *len);

/* Ids of len bytes of text, with BOS in front if asked for; *ids is the caller's to free, never
 * NULL on success. For a llama2.c file: a space goes in front of a text that is not empty
 * (sentencepiece's dummy prefix), a code point without a token falls back to its bytes (id + 3),
 * then the neighbouring pair whose union is the token of the best score is merged, leftmost first
 * among equals, until none is left: the very ids of llama2.c's run.c, in O(n log n).
 * tokenizer.json: the ids of `tokenizers`; with `bos`, its template, or BOS where it has none
 * (SX_EUSAGE where there is no BOS either).
 * SX_EDATA beyond 2^30 bytes, or on an id that the model lacks; SX_ENOMEM. */
sx_status sx_tokenizer_encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			      const char *text, size_t len, bool bos) SX_NODISCARD;

/* Text of n ids, *len bytes and a NUL; the caller's to free. As run.c prints: byte tokens become
 * their byte, a piece after BOS loses its leading space. BOS and EOS themselves are not text
 * (bytes: only a BOS in front is taken away). tokenizer.json: as its decoder says, without special
 * tokens. SX_EDATA on an id outside the vocabulary. */
sx_status sx_tokenizer_decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			      const int32_t *ids, int64_t n) SX_NODISCARD;

#endif

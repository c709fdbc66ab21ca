/* What a kind of tokenizer is to the front (tokenizer.c): one row. Private to engine/text. */
#ifndef SX_ENGINE_TEXT_KIND_H
#define SX_ENGINE_TEXT_KIND_H

#include "engine/text/tokenizer.h"

typedef struct {
	/* Is `what`, as the user gave it, of this kind? The first row that says so has it. */
	bool (*takes)(const char *what);
	/* Reads t->name and sets the fields of t from `vocab` on. */
	sx_status (*open)(sx_tokenizer *t, sx_ctx *ctx);
	/* As sx_tokenizer_encode; len is at most SX_TEXT_MAX. */
	sx_status (*encode)(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			    const char *text, size_t len, bool bos);
	/* As sx_tokenizer_decode; every id is inside the vocabulary. */
	sx_status (*decode)(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			    const int32_t *ids, int64_t n);
	const char *(*piece)(const sx_tokenizer *t, int32_t id, size_t *len);
	void (*free)(void *self);
} sx_tokenizer_kind;

struct sx_tokenizer {
	const sx_tokenizer_kind *kind;
	char *name;
	int vocab, bos, eos;
	int own; /* a model has this many rows, or more; 0 = as many as vocab says */
	bool adds_bos;
	char fingerprint[33];
	char byte_text[256]; /* the bytes from 0 to 255, for pieces of one */
	void *self;          /* the kind's own */
};

#define SX_TEXT_MAX ((size_t)1 << 30) /* places in a text are int32 */
enum { SX_VOCAB_MAX = 1 << 24 };

extern const sx_tokenizer_kind sx_kind_bytes, sx_kind_hf, sx_kind_llama2c;

/* xxh128 of the file's bytes, into t->fingerprint. */
void sx_tokenizer_sign(sx_tokenizer *t, const char *data, size_t size);

/* Decoding for kinds in which an id prints as a piece that depends on at most the id before it. */
typedef const char *(*sx_printed)(const sx_tokenizer *t, const int32_t *ids, int64_t i,
				  size_t *len);
sx_status sx_tokenizer_print(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			     const int32_t *ids, int64_t n, sx_printed printed);

#endif

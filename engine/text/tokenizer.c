/* The front of all tokenizers: which kind it is, and what is the same for all. */
#include "engine/text/kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Asked in this order. */
static const sx_tokenizer_kind *const kinds[] = {&sx_kind_bytes, &sx_kind_hf, &sx_kind_llama2c};

static const sx_tokenizer_kind *kind_of(const char *what)
{
	size_t i = 0;
	while (!kinds[i]->takes(what)) i++;
	return kinds[i];
}

void sx_tokenizer_sign(sx_tokenizer *t, const char *data, size_t size)
{
	XXH128_hash_t h = XXH3_128bits(data, size);
	snprintf(t->fingerprint, sizeof t->fingerprint, "%016llx%016llx",
		 (unsigned long long)h.high64, (unsigned long long)h.low64);
}

sx_status sx_tokenizer_open(sx_tokenizer **out, sx_ctx *ctx, const char *what, int vocab)
{
	sx_status st = SX_OK;
	sx_tokenizer *t = sx_calloc(1, sizeof *t);
	if (!t || !(t->name = sx_strdup(what))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a tokenizer");
		goto out;
	}
	for (int b = 0; b < 256; b++) t->byte_text[b] = (char)b;
	t->kind = kind_of(what);
	SX_TRY(t->kind->open(t, ctx));
	if (vocab != 0 && (t->own ? vocab < t->own : vocab != t->vocab)) {
		st = sx_fail(ctx, SX_EDATA,
			     "the tokenizer %s has %d tokens but the model %d: give the one the "
			     "model was trained with (--tokenizer FILE, or bytes)",
			     what, t->vocab, vocab);
		goto out;
	}
	if (vocab != 0) t->vocab = vocab;
	*out = t;
	t = NULL;
out:
	sx_tokenizer_free(t);
	return st;
}

void sx_tokenizer_free(sx_tokenizer *t)
{
	if (!t) return;
	free(t->name);
	if (t->self) t->kind->free(t->self);
	free(t);
}

const char *sx_tokenizer_name(const sx_tokenizer *t)
{
	return t->name;
}

bool sx_tokenizer_is_bytes(const sx_tokenizer *t)
{
	return t->kind == &sx_kind_bytes;
}

int sx_tokenizer_vocab(const sx_tokenizer *t)
{
	return t->vocab;
}

int sx_tokenizer_bos(const sx_tokenizer *t)
{
	return t->bos;
}

int sx_tokenizer_eos(const sx_tokenizer *t)
{
	return t->eos;
}

void sx_tokenizer_set_ends(sx_tokenizer *t, int bos, int eos)
{
	if (t->bos < 0 && bos < t->vocab) t->bos = bos;
	if (t->eos < 0 && eos < t->vocab) t->eos = eos;
}

bool sx_tokenizer_adds_bos(const sx_tokenizer *t)
{
	return t->adds_bos;
}

const char *sx_tokenizer_fingerprint(const sx_tokenizer *t)
{
	return t->fingerprint;
}

const char *sx_tokenizer_piece(const sx_tokenizer *t, int32_t id, size_t *len)
{
	if (id < 0 || id >= t->vocab) return NULL;
	return t->kind->piece(t, id, len);
}

/* Of added tokens a tokenizer may have more than the model has rows for. */
static sx_status check_ids(int32_t *ids, int64_t n, sx_ctx *ctx, const sx_tokenizer *t)
{
	for (int64_t i = 0; i < n; i++) {
		if (ids[i] < t->vocab) continue;
		int32_t id = ids[i];
		free(ids);
		return sx_fail(ctx, SX_EDATA,
			       "the text holds the added token %d of %s, but the model has only %d "
			       "tokens: take it out of the text",
			       (int)id, t->name, t->vocab);
	}
	return SX_OK;
}

sx_status sx_tokenizer_encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			      const char *text, size_t len, bool bos)
{
	if (len > SX_TEXT_MAX)
		return sx_fail(ctx, SX_EDATA,
			       "a text of %zu bytes is too long to tokenise at once: split it "
			       "into files below 1 GiB",
			       len);
	sx_status st = t->kind->encode(ids, n, ctx, t, text, len, bos);
	return st == SX_OK && t->own ? check_ids(*ids, *n, ctx, t) : st;
}

sx_status sx_tokenizer_decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			      const int32_t *ids, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (ids[i] < 0 || ids[i] >= t->vocab)
			return sx_fail(ctx, SX_EDATA,
				       "id %d at place %lld (from 0) is outside the %d tokens of "
				       "%s: these ids were made with another tokenizer",
				       (int)ids[i], (long long)i, t->vocab, t->name);
	return t->kind->decode(text, len, ctx, t, ids, n);
}

sx_status sx_tokenizer_print(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			     const int32_t *ids, int64_t n, sx_printed printed)
{
	size_t total = 0, one;
	for (int64_t i = 0; i < n; i++) {
		printed(t, ids, i, &one);
		total += one;
	}
	char *s = sx_calloc(total + 1, 1);
	if (!s) return sx_fail(ctx, SX_ENOMEM, "no memory for a text of %zu bytes", total);
	size_t at = 0;
	for (int64_t i = 0; i < n; i++) {
		const char *p = printed(t, ids, i, &one);
		memcpy(s + at, p, one);
		at += one;
	}
	*text = s;
	*len = total;
	return SX_OK;
}

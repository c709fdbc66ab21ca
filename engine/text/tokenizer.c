/* The front of all tokenizers: which kind it is, and what is the same for all. */
#include "engine/text/kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Asked in this order. */
static const sx_tokenizer_kind *const kinds[] = {&sx_kind_bytes, &sx_kind_llama2c};

static sx_status refuse_hugging_face(sx_ctx *ctx, const char *path, const char *folder)
{
	return sx_fail(
		ctx, SX_EDATA,
		"%s is a Hugging Face tokenizer, which is not read here; make the ids once "
		"in Python and give them with --tokens tokens.npy:\n"
		"  import numpy; from transformers import AutoTokenizer\n"
		"  ids = AutoTokenizer.from_pretrained(\"%s\")(open(\"text.txt\").read())\n"
		"  numpy.save(\"tokens.npy\", numpy.array(ids[\"input_ids\"], dtype=\"int32\"))",
		path, folder);
}

static bool has_tokenizer_json(const char *folder)
{
	char *p = sx_format("%s/tokenizer.json", folder);
	bool yes = p && sx_path_exists(p);
	free(p);
	return yes;
}

/* Refuses what people will try first, before the file is taken for a tokenizer.bin. */
static sx_status refuse_other_kinds(sx_ctx *ctx, const char *path)
{
	if (sx_path_is_dir(path)) {
		if (has_tokenizer_json(path)) return refuse_hugging_face(ctx, path, path);
		return sx_fail(ctx, SX_ENOINPUT,
			       "%s is a folder without a tokenizer.json: give \"bytes\" or the "
			       "path of a llama2.c tokenizer.bin",
			       path);
	}
	size_t n = strlen(path);
	if (n < 5 || strcmp(path + n - 5, ".json") != 0) return SX_OK;
	if (!sx_path_exists(path)) return sx_fail(ctx, SX_ENOINPUT, "%s does not exist", path);
	char *folder = sx_strdup(path);
	if (!folder) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	char *slash = strrchr(folder, '/');
	if (slash) *slash = '\0';
	sx_status st = refuse_hugging_face(ctx, path, !slash ? "." : folder[0] ? folder : "/");
	free(folder);
	return st;
}

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
	if (t->kind != &sx_kind_bytes) SX_TRY(refuse_other_kinds(ctx, what));
	SX_TRY(t->kind->open(t, ctx));
	if (vocab != 0 && vocab != t->vocab) {
		st = sx_fail(ctx, SX_EDATA,
			     "the tokenizer %s has %d tokens but the model %d: give the one the "
			     "model was trained with (--tokenizer FILE.bin, or bytes)",
			     what, t->vocab, vocab);
		goto out;
	}
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

sx_status sx_tokenizer_encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			      const char *text, size_t len, bool bos)
{
	if (len > SX_TEXT_MAX)
		return sx_fail(ctx, SX_EDATA,
			       "a text of %zu bytes is too long to tokenise at once: split it "
			       "into files below 1 GiB",
			       len);
	return t->kind->encode(ids, n, ctx, t, text, len, bos);
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

/* Bytes: the id is the byte. 255, which UTF-8 never contains, is BOS. */
#include "engine/text/kind.h"

#include <string.h>

enum { BOS = 255 };

static bool takes(const char *what)
{
	return strcmp(what, "bytes") == 0;
}

static sx_status open(sx_tokenizer *t, sx_ctx *ctx)
{
	(void)ctx;
	t->vocab = 256;
	t->bos = BOS;
	t->eos = -1;
	return SX_OK;
}

static const char *piece(const sx_tokenizer *t, int32_t id, size_t *len)
{
	*len = 1;
	return t->byte_text + id;
}

static sx_status encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			const char *text, size_t len, bool bos)
{
	(void)t;
	int32_t *p = sx_calloc(len + 1, sizeof *p);
	if (!p) return sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
	int64_t k = 0;
	if (bos) p[k++] = BOS;
	for (size_t i = 0; i < len; i++) p[k++] = (unsigned char)text[i];
	*ids = p;
	*n = k;
	return SX_OK;
}

static const char *printed(const sx_tokenizer *t, const int32_t *ids, int64_t i, size_t *len)
{
	*len = i == 0 && ids[i] == BOS ? 0 : 1;
	return t->byte_text + ids[i];
}

static sx_status decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			const int32_t *ids, int64_t n)
{
	return sx_tokenizer_print(text, len, ctx, t, ids, n, printed);
}

static void done(void *self)
{
	(void)self;
}

const sx_tokenizer_kind sx_kind_bytes = {takes, open, encode, decode, piece, done};

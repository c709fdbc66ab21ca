/* A tokenizer.json, a NUL, a tokenizer_config.json (or nothing), a NUL, a text. Whatever the three
 * are: a message or ids, all of them in the vocabulary, which can be decoded. */
#include "engine/text/hf.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* The part that begins at *at, up to a NUL or the end. */
static const char *part(const char *data, size_t size, size_t *at, size_t *len)
{
	const char *s = data + *at, *nul = memchr(s, '\0', size - *at);
	*len = nul ? (size_t)(nul - s) : size - *at;
	*at += *len + (nul != NULL);
	return s;
}

static void use(const sx_tokenizer *t, sx_ctx *ctx, const char *text, size_t len, bool bos)
{
	int32_t *ids;
	int64_t n;
	char *back;
	size_t m;
	if (sx_tokenizer_encode(&ids, &n, ctx, t, text, len, bos) != SX_OK) return;
	for (int64_t i = 0; i < n; i++)
		if (!sx_tokenizer_piece(t, ids[i], &m)) abort();
	if (sx_tokenizer_decode(&back, &m, ctx, t, ids, n) == SX_OK) free(back);
	free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *data = (const char *)bytes, *file, *config, *text;
	size_t at = 0, file_len, config_len, text_len;
	if (size == 0) return 0;
	file = part(data, size, &at, &file_len);
	config = part(data, size, &at, &config_len);
	text = data + at;
	text_len = size - at;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_tokenizer *t = NULL;
	sx_status st = sx_tokenizer_parse(&t, &ctx, "fuzz.json", file, file_len,
					  config_len ? config : NULL, config_len);
	if ((st == SX_OK) != (t != NULL) || (st != SX_OK && !ctx.message[0])) abort();
	if (st != SX_OK) return 0;
	use(t, &ctx, text, text_len, false);
	use(t, &ctx, text, text_len, sx_tokenizer_adds_bos(t));
	sx_tokenizer_free(t);
	return 0;
}

/* The tokenizer.bin of llama2.c: reading the file, greedy merging, decoding. */
#include "engine/text/kind.h"
#include "engine/text/merge.h"
#include "engine/text/vocab.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BOS = 1,
	EOS = 2,
	FIRST_BYTE = 3, /* id of <0x00>                                                   */
	MIN_VOCAB = FIRST_BYTE + 256,
	MAX_PIECE = 1 << 16
};
#define MIN_SCORE (-1e10F) /* run.c never merges at or below this */

typedef struct {
	sx_vocab vocab;
	float *score; /* (vocab.n)                  */
	uint32_t max_len;
} llama2c;

/* ---- opening ---- */

static bool takes(const char *what)
{
	(void)what;
	return true; /* the last row */
}

static uint32_t le32(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static sx_status not_llama2c(sx_ctx *ctx, const char *path, int token, const char *why)
{
	return sx_fail(ctx, SX_EDATA,
		       "%s is not a llama2.c tokenizer.bin: token %d %s; give \"bytes\" or a "
		       "tokenizer.bin made by llama2.c's tokenizer.py",
		       path, token, why);
}

/* Room for the score of one more token. */
static bool more_scores(llama2c *k, int token)
{
	if (token > 0 && (token & (token - 1))) return true;
	float *grown = sx_grow(k->score, token ? 2 * (size_t)token : 1, sizeof *grown);
	if (grown) k->score = grown;
	return grown != NULL;
}

/* The token that begins at data[*at]; moves *at behind it. */
static sx_status read_piece(llama2c *k, sx_ctx *ctx, const char *name, int token, const char *data,
			    size_t size, size_t *at)
{
	if (token == SX_VOCAB_MAX) return not_llama2c(ctx, name, token, "is too many");
	if (size - *at < 8) return not_llama2c(ctx, name, token, "is cut off");
	float score;
	uint32_t bits = le32(data + *at), len = le32(data + *at + 4);
	memcpy(&score, &bits, 4);
	*at += 8;
	if (!isfinite(score)) return not_llama2c(ctx, name, token, "has a score that is no number");
	if (len < 1 || len > k->max_len)
		return not_llama2c(ctx, name, token, "has a length that the file's head rules out");
	if (len > size - *at) return not_llama2c(ctx, name, token, "is cut off");
	if (!more_scores(k, token) || !sx_vocab_put(&k->vocab, token, data + *at, len))
		return sx_fail(ctx, SX_ENOMEM, "no memory for %s", name);
	k->score[token] = score;
	*at += len;
	return SX_OK;
}

/* Walks the file to its end: nothing in it says how many tokens there are. */
static sx_status read_pieces(llama2c *k, sx_ctx *ctx, const char *name, const char *data,
			     size_t size)
{
	sx_status st = SX_OK;
	if (size < 4) return not_llama2c(ctx, name, 0, "is not there");
	k->max_len = le32(data);
	if (k->max_len < 1 || k->max_len > MAX_PIECE || size > UINT32_MAX)
		return sx_fail(ctx, SX_EDATA,
			       "%s is not a llama2.c tokenizer.bin: it begins with a longest token "
			       "of %u bytes; give \"bytes\" or a tokenizer.bin made by llama2.c's "
			       "tokenizer.py",
			       name, k->max_len);
	size_t at = 4;
	for (int token = 0; at < size && st == SX_OK; token++)
		st = read_piece(k, ctx, name, token, data, size, &at);
	return st;
}

static sx_status check_byte_tokens(const llama2c *k, sx_ctx *ctx, const char *name)
{
	if (k->vocab.n < MIN_VOCAB)
		return not_llama2c(ctx, name, k->vocab.n,
				   "is not there, and ids 3..258 must be the byte tokens");
	for (int b = 0; b < 256; b++) {
		char want[8];
		size_t len;
		const char *p = sx_vocab_string(&k->vocab, FIRST_BYTE + b, &len);
		snprintf(want, sizeof want, "<0x%02X>", (unsigned)b & 0xFFU);
		if (len != 6 || memcmp(p, want, 6) != 0)
			return not_llama2c(ctx, name, FIRST_BYTE + b,
					   "is not the byte token that belongs there");
	}
	return SX_OK;
}

static sx_status open(sx_tokenizer *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *data = NULL;
	size_t size = 0;
	llama2c *k = sx_calloc(1, sizeof *k);
	if (!k) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", t->name);
	t->self = k;
	SX_TRY(sx_read_file(ctx, t->name, &data, &size));
	SX_TRY(read_pieces(k, ctx, t->name, data, size));
	SX_TRY(check_byte_tokens(k, ctx, t->name));
	if (!sx_vocab_index(&k->vocab)) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %s", t->name);
		goto out;
	}
	sx_tokenizer_sign(t, data, size);
	t->vocab = k->vocab.n;
	t->bos = BOS;
	t->eos = EOS;
	t->adds_bos = true;
out:
	free(data);
	return st;
}

static void done(void *self)
{
	llama2c *k = self;
	sx_vocab_free(&k->vocab);
	free(k->score);
	free(k);
}

static const char *piece(const sx_tokenizer *t, int32_t id, size_t *len)
{
	const llama2c *k = t->self;
	return sx_vocab_string(&k->vocab, id, len);
}

/* ---- encoding ---- */

typedef struct {
	const llama2c *k;
	sx_merger m;
	char *text; /* two pieces put together */
} encoder;

/* The higher score first, as a number that sorts the other way. */
static uint32_t order_of(float score)
{
	uint32_t bits;
	float s = score + 0.0F; /* -0 and 0 are one score */
	memcpy(&bits, &s, 4);
	return bits & 0x80000000U ? bits : ~bits & 0x7FFFFFFFU;
}

static bool find(void *self, int32_t a, int32_t b, uint32_t *order, int32_t *id)
{
	encoder *e = self;
	const sx_vocab *v = &e->k->vocab;
	size_t la = v->len[a], lb = v->len[b];
	if (la + lb > e->k->max_len) return false;
	memcpy(e->text, v->bytes + v->at[a], la);
	memcpy(e->text + la, v->bytes + v->at[b], lb);
	*id = sx_vocab_find(v, e->text, la + lb);
	if (*id < 0 || !(e->k->score[*id] > MIN_SCORE)) return false;
	*order = order_of(e->k->score[*id]);
	return true;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* One code point: a byte and the continuation bytes after it, four bytes at most. */
static void add_code_point(encoder *e, const char *s, size_t len)
{
	sx_merger *m = &e->m;
	int32_t id = sx_vocab_find(&e->k->vocab, s, len);
	if (id >= 0) {
		m->id[m->n++] = id;
		return;
	}
	for (size_t i = 0; i < len; i++) m->id[m->n++] = FIRST_BYTE + (unsigned char)s[i];
}

static void split(encoder *e, const char *text, size_t len, bool bos)
{
	if (bos) e->m.id[e->m.n++] = BOS;
	if (len > 0) add_code_point(e, " ", 1);
	for (size_t i = 0; i < len;) {
		size_t n = 1;
		while (n < 4 && i + n < len && is_continuation(text[i + n])) n++;
		add_code_point(e, text + i, n);
		i += n;
	}
}

static sx_status encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			const char *text, size_t len, bool bos)
{
	sx_status st = SX_OK;
	encoder e = {.k = t->self};
	bool room = sx_merger_room(&e.m, len + 2);
	e.text = sx_calloc(e.k->max_len, 1);
	if (!room || !e.text) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
		goto out;
	}
	split(&e, text, len, bos);
	if (!sx_merger_run(&e.m, find, &e)) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
		goto out;
	}
	*n = e.m.n;
	*ids = e.m.id;
	e.m.id = NULL;
out:
	sx_merger_free(&e.m);
	free(e.text);
	return st;
}

/* ---- decoding ---- */

/* What id i prints as, after the id before it. */
static const char *printed(const sx_tokenizer *t, const int32_t *ids, int64_t i, size_t *len)
{
	int32_t id = ids[i];
	*len = 0;
	if (id == BOS || id == EOS) return "";
	if (id >= FIRST_BYTE && id < FIRST_BYTE + 256) {
		*len = 1;
		return t->byte_text + (id - FIRST_BYTE);
	}
	const char *s = piece(t, id, len);
	if (i == 0 || ids[i - 1] != BOS || s[0] != ' ') return s;
	*len -= 1;
	return s + 1;
}

static sx_status decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			const int32_t *ids, int64_t n)
{
	return sx_tokenizer_print(text, len, ctx, t, ids, n, printed);
}

const sx_tokenizer_kind sx_kind_llama2c = {takes, open, encode, decode, piece, done};

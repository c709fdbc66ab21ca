/* The decoder of a tokenizer.json: steps that turn the list of tokens into another list. What
 * `tokenizers` writes as U+FFFD, because the bytes are no UTF-8, stays the bytes it is. */
#include "engine/text/hf.h"

#include <stdlib.h>
#include <string.h>

/* Tokens, one after the other: token i ends at end[i]. */
typedef struct {
	sx_bytes text;
	size_t *end;
	int64_t n, room;
} tokens;

static bool close_token(tokens *t)
{
	if (t->n == t->room) {
		int64_t room = t->room ? 2 * t->room : 64;
		size_t *grown = sx_grow(t->end, (size_t)room, sizeof *grown);
		if (!grown) return false;
		t->end = grown;
		t->room = room;
	}
	t->end[t->n++] = t->text.used;
	return true;
}

static void tokens_free(tokens *t)
{
	free(t->text.at);
	free(t->end);
}

static sx_status memory(sx_matcher *m)
{
	return sx_fail(m->ctx, SX_ENOMEM, "no memory for a text");
}

/* ---- steps: a token goes in, and is added to the end of `to` ---- */

/* A letter of byte level at s: its byte, -1 if it is none. */
static int letter(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	if (n == 1) return sx_byte_level_byte(u[0]);
	return n == 2 ? sx_byte_level_byte((u[0] & 0x1FU) << 6 | (u[1] & 0x3FU)) : -1;
}

/* A token that has another character stays as it is. */
static bool byte_level(sx_bytes *to, const char *s, size_t len)
{
	size_t before = to->used;
	for (size_t i = 0, n; i < len; i += n) {
		n = sx_utf8_length(s + i, len - i);
		int b = letter(s + i, n);
		if (b < 0) {
			to->used = before;
			return sx_bytes_add(to, s, len);
		}
		char c = (char)b;
		if (!sx_bytes_add(to, &c, 1)) return false;
	}
	return true;
}

static bool metaspace(const sx_decode *d, sx_bytes *to, const char *s, size_t len, bool is_first)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = sx_utf8_length(s + i, len - i);
		bool mark = n == d->content.used && memcmp(s + i, d->content.at, n) == 0;
		if (mark && is_first && d->drop_first) continue;
		if (!sx_bytes_add(to, mark ? " " : s + i, mark ? 1 : n)) return false;
	}
	return true;
}

static sx_status replace_in(const sx_decode *d, sx_matcher *m, sx_bytes *to, const char *s,
			    size_t len)
{
	sx_status st = SX_OK;
	for (size_t from = 0, at, end; from < len; from = end) {
		SX_TRY(sx_pattern_find(d->pattern, m, s, len, from, &at, &end));
		if (!sx_bytes_add(to, s + from, at - from) ||
		    (end > at && !sx_bytes_add(to, d->content.at, d->content.used)))
			return memory(m);
	}
out:
	return st;
}

/* Bytes that are no UTF-8 match nothing. */
static sx_status replace(const sx_decode *d, sx_matcher *m, sx_bytes *to, const char *s, size_t len)
{
	sx_status st = SX_OK;
	for (size_t n; len > 0 && st == SX_OK; s += n, len -= n) {
		bool valid;
		n = sx_utf8_stretch(s, len, &valid);
		if (valid)
			st = replace_in(d, m, to, s, n);
		else if (!sx_bytes_add(to, s, n))
			st = memory(m);
	}
	return st;
}

static bool strip(const sx_decode *d, sx_bytes *to, const char *s, size_t len)
{
	size_t n = d->content.used;
	for (int64_t i = 0; i < d->start && len >= n && memcmp(s, d->content.at, n) == 0; i++)
		s += n, len -= n;
	for (int64_t i = 0; i < d->stop && len >= n; i++) {
		if (memcmp(s + len - n, d->content.at, n) != 0) break;
		len -= n;
	}
	return sx_bytes_add(to, s, len);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of <0xNN>, -1 if it is no such token. */
static int fallback_byte(const char *s, size_t len)
{
	if (len != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
	int hi = hex(s[3]), lo = hex(s[4]);
	return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* ---- the chain ---- */

/* Does token i end where it ends? Fused ones go on, and so does a run of bytes. */
static bool ends(const sx_decode *d, const tokens *from, int64_t i, bool is_byte)
{
	if (i + 1 == from->n) return true;
	if (d->kind == SX_DECODE_FUSE || d->kind == SX_DECODE_BYTE_LEVEL) return false;
	if (d->kind != SX_DECODE_BYTE_FALLBACK || !is_byte) return true;
	const char *next = from->text.at + from->end[i];
	return fallback_byte(next, from->end[i + 1] - from->end[i]) < 0;
}

static sx_status step(const sx_decode *d, sx_matcher *m, tokens *to, const tokens *from)
{
	for (int64_t i = 0; i < from->n; i++) {
		size_t at = i ? from->end[i - 1] : 0, len = from->end[i] - at;
		const char *s = from->text.at + at;
		int byte = -1;
		char c;
		bool good = true;
		switch (d->kind) {
		case SX_DECODE_BYTE_LEVEL:
			good = byte_level(&to->text, s, len);
			break;
		case SX_DECODE_METASPACE:
			good = metaspace(d, &to->text, s, len, i == 0);
			break;
		case SX_DECODE_REPLACE: {
			sx_status st = replace(d, m, &to->text, s, len);
			if (st != SX_OK) return st;
			break;
		}
		case SX_DECODE_BYTE_FALLBACK:
			byte = fallback_byte(s, len);
			c = (char)byte;
			good = sx_bytes_add(&to->text, byte < 0 ? s : &c, byte < 0 ? len : 1);
			break;
		case SX_DECODE_FUSE:
			good = sx_bytes_add(&to->text, s, len);
			break;
		case SX_DECODE_STRIP:
			good = strip(d, &to->text, s, len);
			break;
		}
		if (!good || (ends(d, from, i, byte >= 0) && !close_token(to))) return memory(m);
	}
	return SX_OK;
}

/* The tokens of ids; special ones are no text, and neither is an id without a token. */
static sx_status list(tokens *t, sx_matcher *m, const sx_pipeline *h, const int32_t *ids, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		size_t len;
		const char *s = sx_vocab_string(&h->bpe.vocab, ids[i], &len);
		if (!s || h->special[ids[i]]) continue;
		/* without a decoder, tokens are words between spaces */
		if (!h->has_decoder && t->n > 0 && !sx_bytes_add(&t->text, " ", 1))
			return memory(m);
		if (!sx_bytes_add(&t->text, s, len) || !close_token(t)) return memory(m);
	}
	return SX_OK;
}

sx_status sx_pipeline_decode(char **text, size_t *len, sx_ctx *ctx, const sx_pipeline *h,
			     const int32_t *ids, int64_t n)
{
	sx_status st = SX_OK;
	sx_matcher m = {.ctx = ctx};
	tokens a = {0}, b = {0};
	SX_TRY(list(&a, &m, h, ids, n));
	for (int i = 0; i < h->n_decodes; i++) {
		b.text.used = 0;
		b.n = 0;
		SX_TRY(step(&h->decodes[i], &m, &b, &a));
		tokens swap = a;
		a = b;
		b = swap;
	}
	if (!sx_bytes_add(&a.text, "", 1)) {
		st = memory(&m);
		goto out;
	}
	*len = a.text.used - 1;
	*text = a.text.at;
	a.text.at = NULL;
out:
	sx_matcher_free(&m);
	tokens_free(&a);
	tokens_free(&b);
	return st;
}

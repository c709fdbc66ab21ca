/* The normalizer of a tokenizer.json. */
#include "engine/text/hf.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Appends the NFC of a stretch to out. */
static bool compose(sx_bytes *out, const char *s, size_t len)
{
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
	utf8proc_int32_t small[256], *c = small;
	utf8proc_ssize_t n = utf8proc_decompose((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len,
						small, 255, how);
	if (n < 0) return false;
	if (n > 255) {
		/* reencode wants room for a NUL, and the bytes stand in the code points' place */
		c = sx_calloc((size_t)n + 1, sizeof *c);
		if (!c) return false;
		n = utf8proc_decompose((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, c, n,
				       how);
	}
	bool good = n >= 0 && (n = utf8proc_reencode(c, n, how)) >= 0 &&
		    sx_bytes_add(out, (const char *)c, (size_t)n);
	if (c != small) free(c);
	return good;
}

/* Letters below U+0300 are composed as they stand, and none of ASCII joins what is before it: only
 * a stretch without ASCII, together with the letter before it, can change. */
static bool nfc(sx_bytes *out, const char *s, size_t len)
{
	size_t done = 0; /* what has been put out */
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < 0xCC) continue;
		size_t from = i, to = i;
		while (from > done && (unsigned char)s[from] >= 0x80) from--;
		while (to < len && (unsigned char)s[to] >= 0x80) to++;
		if (!sx_bytes_add(out, s + done, from - done) || !compose(out, s + from, to - from))
			return false;
		done = to;
		i = to - 1;
	}
	return sx_bytes_add(out, s + done, len - done);
}

static sx_status replace(const sx_normalizer *p, sx_matcher *m, sx_bytes *out, const char *s,
			 size_t len)
{
	sx_status st = SX_OK;
	bool good = true;
	for (size_t from = 0, at, end; from < len && good; from = end) {
		SX_TRY(sx_pattern_find(p->pattern, m, s, len, from, &at, &end));
		good = sx_bytes_add(out, s + from, at - from);
		if (end > at && good) good = sx_bytes_add(out, p->content.at, p->content.used);
	}
	if (!good) st = sx_fail(m->ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
out:
	return st;
}

static sx_status step(const sx_normalizer *p, sx_matcher *m, sx_bytes *out, const char *s,
		      size_t len, bool fresh)
{
	bool good = true;
	switch (p->kind) {
	case SX_NORMAL_REPLACE:
		return replace(p, m, out, s, len);
	case SX_NORMAL_NFC:
		good = nfc(out, s, len);
		break;
	case SX_NORMAL_PREPEND:
		if (len > 0 && fresh) good = sx_bytes_add(out, p->content.at, p->content.used);
		good = good && sx_bytes_add(out, s, len);
		break;
	}
	return good ? SX_OK : sx_fail(m->ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
}

sx_status sx_normals_run(const sx_pipeline *h, sx_matcher *m, sx_bytes *out, const char *s,
			 size_t len, bool fresh)
{
	sx_status st = SX_OK;
	sx_bytes a = {0}, b = {0};
	if (h->n_normals == 0 && !sx_bytes_add(out, s, len))
		st = sx_fail(m->ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
	for (int i = 0; i < h->n_normals; i++) {
		sx_bytes *to = i + 1 == h->n_normals ? out : &b;
		b.used = 0;
		SX_TRY(step(&h->normals[i], m, to, s, len, fresh));
		if (to == out) break;
		sx_bytes swap = a;
		a = b;
		b = swap;
		s = a.at;
		len = a.used;
	}
out:
	free(a.at);
	free(b.at);
	return st;
}

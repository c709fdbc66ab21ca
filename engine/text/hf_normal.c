/* The normalizer of a tokenizer.json. */
#include "engine/text/hf.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { SHORT_RUN = 16, BEFORE_TRAILING = 0x11A7 };
static const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;

static int class_of(utf8proc_int32_t c)
{
	return utf8proc_get_property(c)->combining_class;
}

/* By combining class, those of one class in their order. */
static void sort_marks(utf8proc_int32_t *c, utf8proc_int32_t *spare, size_t n)
{
	size_t from[257] = {0};
	if (n <= SHORT_RUN) {
		for (size_t i = 1; i < n; i++) {
			utf8proc_int32_t x = c[i];
			size_t k = i;
			for (; k > 0 && class_of(c[k - 1]) > class_of(x); k--) c[k] = c[k - 1];
			c[k] = x;
		}
		return;
	}
	for (size_t i = 0; i < n; i++) from[class_of(c[i]) + 1]++;
	for (int k = 0; k < 256; k++) from[k + 1] += from[k];
	for (size_t i = 0; i < n; i++) spare[from[class_of(c[i])]++] = c[i];
	memcpy(c, spare, n * sizeof *c);
}

/* Canonical order (Unicode, 3.11, D109). utf8proc_decompose does it too, but in n^2 where marks are
 * many. */
static void put_in_order(utf8proc_int32_t *c, utf8proc_int32_t *spare, size_t n)
{
	for (size_t i = 0, to; i < n; i = to) {
		to = i + 1;
		if (class_of(c[i]) == 0) continue;
		while (to < n && class_of(c[to]) != 0) to++;
		sort_marks(c + i, spare, to - i);
	}
}

/* A code point becomes at most 4. */
static size_t decompose(utf8proc_int32_t *c, const char *s, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len;) {
		utf8proc_int32_t one;
		utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s + i,
						      (utf8proc_ssize_t)(len - i), &one);
		if (k < 1) break; /* not met: s is UTF-8 */
		i += (size_t)k;
		k = utf8proc_decompose_char(one, c + n, 4, how, NULL);
		if (k > 0 && k <= 4) n += (size_t)k;
	}
	return n;
}

static bool put_composed(sx_bytes *out, utf8proc_int32_t *c, size_t n)
{
	utf8proc_ssize_t m = utf8proc_normalize_utf32(c, (utf8proc_ssize_t)n, how);
	bool good = m >= 0;
	for (utf8proc_ssize_t i = 0; good && i < m; i++) {
		char one[4];
		utf8proc_ssize_t k = utf8proc_encode_char(c[i], (utf8proc_uint8_t *)one);
		good = sx_bytes_add(out, one, (size_t)k);
	}
	return good;
}

/* Appends the NFC of a stretch to out. U+11A7 joins nothing, but stands where the trailing jamo are
 * counted from, and utf8proc 2.8 takes it for one: composing ends in front of it. */
static bool compose(sx_bytes *out, const char *s, size_t len)
{
	utf8proc_int32_t small[512], *c = small;
	size_t room = 4 * len + 4;
	if (2 * room > sizeof small / sizeof *small && !(c = sx_calloc(2 * room, sizeof *c)))
		return false;
	size_t n = decompose(c, s, len);
	put_in_order(c, c + room, n);
	bool good = true;
	for (size_t i = 0, to; good && i < n; i = to) {
		to = i + 1;
		while (to < n && c[to] != BEFORE_TRAILING) to++;
		good = put_composed(out, c + i, to - i);
	}
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

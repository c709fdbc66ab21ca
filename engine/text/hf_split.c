/* The pre-tokenizer of a tokenizer.json: stages that cut a text into words, one after the other.
 * Nothing is kept but the piece at hand, however long the text. */
#include "engine/text/hf.h"

#include <stdlib.h>
#include <string.h>

/* ---- bytes and UTF-8 ---- */

bool sx_bytes_add(sx_bytes *b, const char *s, size_t len)
{
	if (!b->at || b->cap - b->used < len) {
		size_t cap = 2 * b->cap > b->used + len ? 2 * b->cap : b->used + len;
		char *grown = sx_grow(b->at, cap + 16, 1);
		if (!grown) return false;
		b->at = grown;
		b->cap = cap + 16;
	}
	if (len > 0) memcpy(b->at + b->used, s, len);
	b->used += len;
	return true;
}

/* RFC 3629, section 4: no surrogates, nothing beyond U+10FFFF, nothing longer than it need be.
 * 0 = not UTF-8. */
static size_t code_point_length(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] < 0x80) return 1;
	size_t want = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
	if (want == 0 || n < want) return 0;
	unsigned char lo = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
	unsigned char hi = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
	if (s[1] < lo || s[1] > hi) return 0;
	for (size_t i = 2; i < want; i++)
		if ((s[i] & 0xC0) != 0x80) return 0;
	return want;
}

size_t sx_utf8_length(const char *s, size_t n)
{
	size_t len = code_point_length(s, n);
	return len ? len : 1;
}

size_t sx_utf8_stretch(const char *s, size_t n, bool *valid)
{
	size_t i = 0, len;
	while (i < n && (len = code_point_length(s + i, n - i)) > 0) i += len;
	*valid = i > 0;
	if (i > 0) return i;
	while (i < n && code_point_length(s + i, n - i) == 0) i++;
	return i;
}

/* ---- what a stage does with its pieces ---- */

typedef struct {
	sx_encoder *e;
	const sx_stage *stage;
	int next; /* the stage that the pieces go to */
	const char *s;
	sx_place at;
	size_t from, to; /* the piece that waits for what follows it */
	bool waits, is_match, last_match;
} cutter;

static sx_status pass_on(cutter *c, size_t from, size_t to)
{
	if (from == to) return SX_OK;
	sx_place at = {.first = c->at.first && from == 0, .fresh = c->at.fresh || from > 0};
	return sx_stages_run(c->e, c->next, c->s + from, to - from, at);
}

static sx_status pass_waiting(cutter *c)
{
	if (!c->waits) return SX_OK;
	c->waits = false;
	return pass_on(c, c->from, c->to);
}

/* The piece waits; the one that did goes on, unless this one joins it. */
static sx_status wait_or_join(cutter *c, size_t from, size_t to, bool is_match, bool joins)
{
	if (joins && c->waits) {
		c->to = to;
		c->is_match = is_match;
		return SX_OK;
	}
	sx_status st = pass_waiting(c);
	c->from = from;
	c->to = to;
	c->is_match = is_match;
	c->waits = true;
	return st;
}

/* The next piece of the text, which matches the pattern or lies between two that do. */
static sx_status item(cutter *c, size_t from, size_t to, bool is_match)
{
	bool before = c->last_match;
	is_match = is_match != c->stage->invert;
	c->last_match = is_match;
	switch (c->stage->behavior) {
	case SX_SPLIT_REMOVED:
		return is_match ? SX_OK : pass_on(c, from, to);
	case SX_SPLIT_PREVIOUS:
		return wait_or_join(c, from, to, is_match, is_match && !before);
	case SX_SPLIT_CONTIGUOUS:
		return wait_or_join(c, from, to, is_match, is_match == before);
	case SX_SPLIT_NEXT:
		return wait_or_join(c, from, to, is_match, c->waits && c->is_match && !is_match);
	case SX_SPLIT_ISOLATED:
		break;
	}
	return pass_on(c, from, to);
}

static sx_status cut(cutter *c, size_t len)
{
	sx_status st = SX_OK;
	for (size_t from = 0, at, end; from < len; from = end) {
		SX_TRY(sx_pattern_find(c->stage->pattern, &c->e->matcher, c->s, len, from, &at,
				       &end));
		if (at > from) SX_TRY(item(c, from, at, false));
		if (end > at) SX_TRY(item(c, at, end, true));
	}
	st = pass_waiting(c);
out:
	return st;
}

/* ---- stages ---- */

static bool begins_with(const char *s, size_t len, const char *what, size_t n)
{
	return len >= n && memcmp(s, what, n) == 0;
}

static bool wants_prefix(const sx_stage *p, sx_place at)
{
	return at.fresh &&
	       (p->prefix == SX_PREFIX_ALWAYS || (p->prefix == SX_PREFIX_FIRST && at.first));
}

/* Spaces become the mark, and one is put in front. */
static bool mark_spaces(const sx_stage *p, sx_bytes *out, const char *s, size_t len, sx_place at)
{
	const sx_bytes *mark = &p->meta;
	bool starts = len > 0 && (s[0] == ' ' || begins_with(s, len, mark->at, mark->used));
	if (wants_prefix(p, at) && !starts && !sx_bytes_add(out, mark->at, mark->used))
		return false;
	for (size_t from = 0; from < len;) {
		const char *space = memchr(s + from, ' ', len - from);
		size_t n = space ? (size_t)(space - s) - from : len - from;
		if (!sx_bytes_add(out, s + from, n)) return false;
		if (space && !sx_bytes_add(out, mark->at, mark->used)) return false;
		from += n + (space != NULL);
	}
	return true;
}

static sx_status run_metaspace(cutter *c, const char *s, size_t len)
{
	sx_bytes marked = {0};
	sx_status st = SX_OK;
	if (!mark_spaces(c->stage, &marked, s, len, c->at)) {
		st = sx_encoder_memory(c->e);
		goto out;
	}
	c->s = marked.at;
	st = c->stage->pattern ? cut(c, marked.used) : pass_on(c, 0, marked.used);
out:
	free(marked.at);
	return st;
}

static sx_status run_byte_level(cutter *c, const char *s, size_t len)
{
	sx_bytes with = {0};
	sx_status st = SX_OK;
	c->s = s;
	if (wants_prefix(c->stage, c->at) && s[0] != ' ') {
		if (!sx_bytes_add(&with, " ", 1) || !sx_bytes_add(&with, s, len)) {
			st = sx_encoder_memory(c->e);
			goto out;
		}
		c->s = with.at;
		len++;
	}
	st = c->stage->pattern ? cut(c, len) : pass_on(c, 0, len);
out:
	free(with.at);
	return st;
}

sx_status sx_stages_run(sx_encoder *e, int stage, const char *s, size_t len, sx_place at)
{
	const sx_pipeline *h = e->h;
	if (stage == h->n_stages)
		return sx_bpe_encode(e, s, len,
				     stage > 0 && h->stages[stage - 1].kind == SX_STAGE_BYTE_LEVEL);
	cutter c = {.e = e, .stage = &h->stages[stage], .next = stage + 1, .s = s, .at = at};
	switch (c.stage->kind) {
	case SX_STAGE_METASPACE:
		return run_metaspace(&c, s, len);
	case SX_STAGE_BYTE_LEVEL:
		return run_byte_level(&c, s, len);
	case SX_STAGE_SPLIT:
		break;
	}
	return cut(&c, len);
}

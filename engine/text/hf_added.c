/* Added tokens of a tokenizer.json: the longest that begins leftmost is taken, `single_word` lets it
 * go again beside a letter, `lstrip` and `rstrip` take the white space around it along. */
#include "engine/text/hf.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	int32_t child, sibling; /* nodes, -1 = none                          */
	int32_t token;          /* of sx_pipeline.added, -1 = none ends here       */
	unsigned char byte;
} node;

struct sx_trie {
	node *nodes; /* 0 is the root */
	int32_t n, room;
	int32_t start[256]; /* the root's children by byte */
	pcre2_code *word;   /* \w of Rust's regex; NULL where no token asks */
};

/* ---- making ---- */

static int32_t child_of(const sx_trie *t, int32_t at, unsigned char byte)
{
	if (at == 0) return t->start[byte];
	int32_t c = t->nodes[at].child;
	while (c >= 0 && t->nodes[c].byte != byte) c = t->nodes[c].sibling;
	return c;
}

static int32_t new_node(sx_trie *t, int32_t parent, unsigned char byte)
{
	if (t->n == t->room) {
		int32_t room = t->room ? 2 * t->room : 256;
		node *grown = sx_grow(t->nodes, (size_t)room, sizeof *grown);
		if (!grown) return -1;
		t->nodes = grown;
		t->room = room;
	}
	int32_t c = t->n++;
	t->nodes[c] = (node){.child = -1, .sibling = -1, .token = -1, .byte = byte};
	if (parent == 0) {
		t->start[byte] = c;
	} else if (parent > 0) {
		t->nodes[c].sibling = t->nodes[parent].child;
		t->nodes[parent].child = c;
	}
	return c;
}

/* Of two with the same text the first is found. */
static bool insert(sx_trie *t, const char *s, size_t len, int token)
{
	int32_t at = 0;
	for (size_t i = 0; i < len; i++) {
		int32_t c = child_of(t, at, (unsigned char)s[i]);
		if (c < 0) c = new_node(t, at, (unsigned char)s[i]);
		if (c < 0) return false;
		at = c;
	}
	if (len > 0 && t->nodes[at].token < 0) t->nodes[at].token = token;
	return true;
}

static sx_trie *new_trie(void)
{
	sx_trie *t = sx_calloc(1, sizeof *t);
	if (!t) return NULL;
	for (int b = 0; b < 256; b++) t->start[b] = -1;
	if (new_node(t, -1, 0) < 0) {
		sx_trie_free(t);
		return NULL;
	}
	return t;
}

void sx_trie_free(sx_trie *t)
{
	if (!t) return;
	pcre2_code_free(t->word);
	free(t->nodes);
	free(t);
}

static bool need_word(sx_trie *t)
{
	static const char word[] = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
	int error;
	size_t at;
	if (!t->word)
		t->word = pcre2_compile((PCRE2_SPTR)word, sizeof word - 1,
					PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, NULL);
	return t->word != NULL;
}

/* Tokens that match the text itself, or its normal form (then their own normal form counts). */
static sx_status make(sx_trie **out, sx_pipeline *h, sx_ctx *ctx, bool normalized, bool special)
{
	sx_status st = SX_OK;
	sx_bytes text = {0};
	sx_matcher m = {.ctx = ctx};
	for (int i = 0; i < h->n_added; i++) {
		const sx_added *a = &h->added[i];
		if (a->normalized != normalized || a->special != special) continue;
		text.used = 0;
		if (normalized)
			SX_TRY(sx_normals_run(h, &m, &text, a->content.at, a->content.used, true));
		else if (!sx_bytes_add(&text, a->content.at, a->content.used))
			st = SX_ENOMEM;
		if (!*out) *out = new_trie();
		if (st != SX_OK || !*out || !insert(*out, text.at, text.used, i) ||
		    (a->single_word && !need_word(*out))) {
			st = sx_fail(ctx, SX_ENOMEM, "no memory for added tokens");
			goto out;
		}
	}
out:
	sx_matcher_free(&m);
	free(text.at);
	return st;
}

sx_status sx_added_finish(sx_pipeline *h, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	for (int k = 0; k < 4; k++) /* special ones first, which tells where two are alike */
		SX_TRY(make(k & 1 ? &h->normal : &h->raw, h, ctx, k & 1, k < 2));
out:
	return st;
}

/* ---- finding ---- */

/* The longest token that begins at s; *len is its length. -1 = none. */
static int longest(const sx_trie *t, const char *s, size_t n, size_t *len)
{
	int found = -1;
	int32_t at = 0;
	for (size_t i = 0; i < n; i++) {
		at = child_of(t, at, (unsigned char)s[i]);
		if (at < 0) break;
		if (t->nodes[at].token >= 0) {
			found = t->nodes[at].token;
			*len = i + 1;
		}
	}
	return found;
}

/* Unicode's White_Space. */
static bool is_space(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	if (n == 1) return s[0] == ' ' || (s[0] >= 9 && s[0] <= 13);
	if (n == 2) return s[0] == 0xC2 && (s[1] == 0x85 || s[1] == 0xA0);
	if (n != 3) return false;
	unsigned c = (s[0] & 0xFU) << 12 | (s[1] & 0x3FU) << 6 | (s[2] & 0x3FU);
	return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202F || c == 0x205F || c == 0x3000;
}

static size_t last_length(const char *s, size_t n)
{
	size_t k = 1;
	while (k < n && k < 4 && ((unsigned char)s[n - k] & 0xC0) == 0x80) k++;
	return k;
}

/* Bytes of white space at the end and at the beginning of s. */
static size_t spaces_before(const char *s, size_t n)
{
	size_t left = n;
	while (left > 0) {
		size_t w = last_length(s, left);
		if (!is_space(s + left - w, w)) break;
		left -= w;
	}
	return n - left;
}

static size_t spaces_behind(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n) {
		size_t w = sx_utf8_length(s + i, n - i);
		if (!is_space(s + i, w)) break;
		i += w;
	}
	return i;
}

static bool is_word(const sx_trie *t, const char *s, size_t n)
{
	pcre2_match_data *m = pcre2_match_data_create(1, NULL);
	int found = m ? pcre2_match(t->word, (PCRE2_SPTR)s, n, 0, PCRE2_NO_UTF_CHECK, m, NULL) : -1;
	pcre2_match_data_free(m);
	return found > 0;
}

static bool beside_word(const sx_trie *t, const char *s, size_t len, size_t from, size_t to)
{
	if (from > 0) {
		size_t n = last_length(s, from);
		if (is_word(t, s + from - n, n)) return true;
	}
	return to < len && is_word(t, s + to, sx_utf8_length(s + to, len - to));
}

typedef sx_status (*piece_fn)(sx_encoder *e, const char *s, size_t len, sx_place at);

/* Cuts s at the tokens of t: their ids, and what lies between them to `other`. */
static sx_status cut(sx_encoder *e, const sx_trie *t, const char *s, size_t len, sx_place at,
		     piece_fn other)
{
	sx_status st = SX_OK;
	size_t done = 0;
	for (size_t i = 0; i < len;) {
		size_t n = 0;
		int k = t->start[(unsigned char)s[i]] < 0 ? -1 : longest(t, s + i, len - i, &n);
		if (k < 0) {
			i++;
			continue;
		}
		const sx_added *a = &e->h->added[k];
		size_t from = i, to = i + n;
		i += n; /* a token that is let go again hides those that begin inside it */
		if (a->single_word && beside_word(t, s, len, from, to)) continue;
		if (a->lstrip) from -= spaces_before(s + done, from > done ? from - done : 0);
		if (a->rstrip) to += spaces_behind(s + to, len - to);
		sx_place here = {at.first && done == 0, at.fresh || done > 0};
		if (done < from) SX_TRY(other(e, s + done, from - done, here));
		SX_TRY(sx_encoder_put(e, a->id));
		done = to;
	}
	sx_place here = {at.first && done == 0, at.fresh || done > 0};
	if (done < len) st = other(e, s + done, len - done, here);
out:
	return st;
}

static sx_status words(sx_encoder *e, const char *s, size_t len, sx_place at)
{
	return sx_stages_run(e, 0, s, len, at);
}

static sx_status normalised(sx_encoder *e, const char *s, size_t len, sx_place at)
{
	return e->h->normal ? cut(e, e->h->normal, s, len, at, words) : words(e, s, len, at);
}

static sx_status normalise(sx_encoder *e, const char *s, size_t len, sx_place at)
{
	if (e->h->n_normals == 0) return normalised(e, s, len, at);
	sx_bytes text = {0};
	sx_status st = sx_normals_run(e->h, &e->matcher, &text, s, len, at.fresh);
	if (st == SX_OK && text.used > 0) st = normalised(e, text.at, text.used, at);
	free(text.at);
	return st;
}

sx_status sx_added_run(sx_encoder *e, const char *s, size_t len, sx_place at)
{
	return e->h->raw ? cut(e, e->h->raw, s, len, at, normalise) : normalise(e, s, len, at);
}

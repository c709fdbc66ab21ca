/* Byte-pair encoding by a table of merges (Sennrich et al. 2016, arXiv:1508.07909), as the model
 * "BPE" of `tokenizers` does it. */
#include "engine/text/hf.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	FIRST_WORDS = 1 << 10,
	MOST_WORDS = 1 << 17, /* remembered at a time                                    */
	LONGEST_WORD = 200    /* a longer one is hardly met twice                        */
};
static const char meta[] = "\xE2\x96\x81"; /* U+2581 */

/* ---- the table ---- */

static size_t pair_hash(int32_t a, int32_t b)
{
	uint64_t x = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
	x *= 0x9E3779B97F4A7C15U;
	return (size_t)(x ^ x >> 32);
}

/* The slot of the pair, or the empty one where it belongs. */
static sx_pair *slot(const sx_bpe *b, int32_t left, int32_t right)
{
	for (size_t h = pair_hash(left, right);; h++) {
		sx_pair *p = &b->pairs[h & b->pair_mask];
		if (p->a < 0 || (p->a == left && p->b == right)) return p;
	}
}

sx_status sx_bpe_pairs(sx_bpe *b, sx_ctx *ctx, const char *name, size_t n)
{
	size_t room = 2;
	while (room < 2 * n) room *= 2;
	b->pairs = sx_calloc(room, sizeof *b->pairs);
	if (!b->pairs) return sx_fail(ctx, SX_ENOMEM, "no memory for the merges of %s", name);
	for (size_t i = 0; i < room; i++) b->pairs[i].a = -1;
	b->pair_mask = room - 1;
	return SX_OK;
}

void sx_bpe_pair(sx_bpe *b, int32_t left, int32_t right, int32_t id, uint32_t rank)
{
	*slot(b, left, right) = (sx_pair){.a = left, .b = right, .id = id, .rank = rank};
}

/* May a text be cut in front of U+2581, with the same ids? Not if a merge joins it to another
 * character before it, nor if it is unknown (it may be fused), nor if a whole text may be a token.
 */
static bool can_cut(const sx_bpe *b)
{
	if (b->ignore_merges || sx_vocab_find(&b->vocab, meta, 3) < 0) return false;
	for (size_t i = 0; i <= b->pair_mask; i++) {
		if (b->pairs[i].a < 0) continue;
		size_t nl, nr;
		const char *l = sx_vocab_string(&b->vocab, b->pairs[i].a, &nl);
		const char *r = sx_vocab_string(&b->vocab, b->pairs[i].b, &nr);
		if (nr >= 3 && memcmp(r, meta, 3) == 0 &&
		    (nl < 3 || memcmp(l + nl - 3, meta, 3) != 0))
			return false;
	}
	return true;
}

static size_t put_utf8(char *s, uint32_t c) /* c < 0x800 */
{
	if (c < 0x80) {
		s[0] = (char)c;
		return 1;
	}
	s[0] = (char)(0xC0 | c >> 6);
	s[1] = (char)(0x80 | (c & 0x3F));
	return 2;
}

void sx_bpe_finish(sx_bpe *b)
{
	static const char digits[] = "0123456789ABCDEF";
	char s[8];
	for (uint32_t c = 0; c < sizeof b->low / sizeof *b->low; c++)
		b->low[c] = sx_vocab_find(&b->vocab, s, put_utf8(s, c));
	for (int i = 0; i < 256; i++) {
		memcpy(s, "<0x00>", 6);
		s[3] = digits[i >> 4];
		s[4] = digits[i & 15];
		b->byte_id[i] = b->byte_fallback ? sx_vocab_find(&b->vocab, s, 6) : -1;
	}
	b->unk = b->unk_token ? sx_vocab_find(&b->vocab, b->unk_token, strlen(b->unk_token)) : -1;
	b->cut_at_meta = can_cut(b);
}

void sx_bpe_free(sx_bpe *b)
{
	sx_vocab_free(&b->vocab);
	free(b->pairs);
	free(b->unk_token);
}

/* ---- byte level's letters ---- */

static bool stands_for_itself(uint32_t c)
{
	return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
}

/* The others have those from U+0100 on, in order: 0-32, 127-160, 173. */
uint32_t sx_byte_level_letter(unsigned char byte)
{
	if (stands_for_itself(byte)) return byte;
	return 256U + (byte <= 32 ? byte : byte <= 160 ? byte - 127U + 33U : 67U);
}

int sx_byte_level_byte(uint32_t c)
{
	if (c < 256) return stands_for_itself(c) ? (int)c : -1;
	c -= 256;
	return c <= 32 ? (int)c : c <= 66 ? (int)c - 33 + 127 : c == 67 ? 173 : -1;
}

/* ---- ids ---- */

sx_status sx_encoder_memory(sx_encoder *e)
{
	return sx_fail(e->ctx, SX_ENOMEM, "no memory to tokenise, after %zu tokens", e->n);
}

static bool room_for(sx_encoder *e, size_t more)
{
	if (e->n + more <= e->cap) return true;
	size_t cap = 2 * e->cap > e->n + more ? 2 * e->cap : e->n + more + 64;
	int32_t *grown = sx_grow(e->ids, cap, sizeof *grown);
	if (!grown) return false;
	e->ids = grown;
	e->cap = cap;
	return true;
}

sx_status sx_encoder_put(sx_encoder *e, int32_t id)
{
	if (!room_for(e, 1)) return sx_encoder_memory(e);
	e->ids[e->n++] = id;
	return SX_OK;
}

void sx_encoder_free(sx_encoder *e)
{
	free(e->ids);
	sx_merger_free(&e->merger);
	sx_matcher_free(&e->matcher);
	free(e->mapped.at);
	free(e->words);
	free(e->keys.at);
}

/* ---- one word ---- */

static bool find(void *self, int32_t a, int32_t b, uint32_t *order, int32_t *id)
{
	const sx_pair *p = slot(self, a, b);
	if (p->a < 0) return false;
	*order = p->rank;
	*id = p->id;
	return true;
}

static int32_t id_of(const sx_bpe *b, const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	if (len == 1 && u[0] < 0x80) return b->low[u[0]];
	if (len == 2 && u[0] < 0xC6) return b->low[(u[0] & 0x1FU) << 6 | (u[1] & 0x3FU)];
	return sx_vocab_find(&b->vocab, s, len);
}

static bool has_bytes(const sx_bpe *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (b->byte_id[(unsigned char)s[i]] < 0) return false;
	return true;
}

/* The characters of s into m->id; -1 where an unknown one has no token to stand for it. An unknown
 * one waits, so that it can be fused with the next, even behind bytes that come after it. */
static bool characters(sx_merger *m, const sx_bpe *b, const char *s, size_t len)
{
	bool waits = false;
	m->n = 0;
	for (size_t i = 0, n; i < len; i += n) {
		n = sx_utf8_length(s + i, len - i);
		int32_t id = id_of(b, s + i, n);
		if (id >= 0) {
			if (waits) m->id[m->n++] = b->unk;
			waits = false;
			m->id[m->n++] = id;
		} else if (b->byte_fallback && has_bytes(b, s + i, n)) {
			for (size_t k = 0; k < n; k++)
				m->id[m->n++] = b->byte_id[(unsigned char)s[i + k]];
		} else if (b->unk_token) {
			if (b->unk < 0) return false;
			if (waits && !b->fuse_unk) m->id[m->n++] = b->unk;
			waits = true;
		}
	}
	if (waits) m->id[m->n++] = b->unk;
	return true;
}

static sx_status merge_word(sx_encoder *e, const char *s, size_t len)
{
	const sx_bpe *b = &e->h->bpe;
	int32_t whole = b->ignore_merges ? sx_vocab_find(&b->vocab, s, len) : -1;
	if (whole >= 0) return sx_encoder_put(e, whole);
	/* an unknown one before a character and one behind: a place more than bytes */
	if (!sx_merger_room(&e->merger, len + 1)) return sx_encoder_memory(e);
	if (!characters(&e->merger, b, s, len))
		return sx_fail(e->ctx, SX_EDATA,
			       "the text has a character without a token, and the tokenizer's "
			       "unk_token \"%s\" is not in its vocabulary",
			       b->unk_token);
	if (!sx_merger_run(&e->merger, find, (void *)(uintptr_t)b) ||
	    !room_for(e, (size_t)e->merger.n))
		return sx_encoder_memory(e);
	for (int32_t i = 0; i < e->merger.n; i++) e->ids[e->n++] = e->merger.id[i];
	return SX_OK;
}

/* Byte level: every byte becomes a letter first. */
static sx_status merge_bytes(sx_encoder *e, const char *s, size_t len)
{
	e->mapped.used = 0;
	for (size_t i = 0; i < len; i++) {
		char letter[2];
		size_t n = put_utf8(letter, sx_byte_level_letter((unsigned char)s[i]));
		if (!sx_bytes_add(&e->mapped, letter, n)) return sx_encoder_memory(e);
	}
	return merge_word(e, e->mapped.at, e->mapped.used);
}

/* ---- words seen before ---- */

static sx_word *word_slot(const sx_encoder *e, uint64_t hash, const char *s, size_t len)
{
	for (size_t h = hash;; h++) {
		sx_word *w = &e->words[h & e->word_mask];
		if (w->len == 0) return w;
		if (w->hash == hash && w->len == len && memcmp(e->keys.at + w->key, s, len) == 0)
			return w;
	}
}

/* More room, or, where there is enough, a new beginning. */
static bool more_words(sx_encoder *e)
{
	size_t old = e->words ? e->word_mask + 1 : 0;
	if (old >= 2 * (size_t)MOST_WORDS) {
		memset(e->words, 0, old * sizeof *e->words);
		e->n_words = e->keys.used = 0;
		return true;
	}
	sx_word *was = e->words, *grown = sx_calloc(old ? 2 * old : FIRST_WORDS, sizeof *grown);
	if (!grown) return false;
	e->words = grown;
	e->word_mask = (old ? 2 * old : FIRST_WORDS) - 1;
	for (size_t i = 0; i < old; i++)
		if (was[i].len)
			*word_slot(e, was[i].hash, e->keys.at + was[i].key, was[i].len) = was[i];
	free(was);
	return true;
}

static sx_status merge(sx_encoder *e, const char *s, size_t len, bool byte_level)
{
	return byte_level ? merge_bytes(e, s, len) : merge_word(e, s, len);
}

static sx_status word(sx_encoder *e, const char *s, size_t len, bool byte_level)
{
	if (len > LONGEST_WORD) return merge(e, s, len, byte_level);
	if ((!e->words || 2 * e->n_words > e->word_mask) && !more_words(e))
		return sx_encoder_memory(e);
	uint64_t hash = XXH3_64bits(s, len);
	sx_word *w = word_slot(e, hash, s, len);
	if (w->len) {
		if (!room_for(e, w->n)) return sx_encoder_memory(e);
		for (uint32_t i = 0; i < w->n; i++) e->ids[e->n + i] = e->ids[w->ids + i];
		e->n += w->n;
		return SX_OK;
	}
	size_t from = e->n;
	sx_status st = merge(e, s, len, byte_level);
	if (st != SX_OK) return st;
	size_t key = e->keys.used;
	if (!sx_bytes_add(&e->keys, s, len)) return sx_encoder_memory(e);
	*w = (sx_word){hash, from, (uint32_t)key, (uint32_t)len, (uint32_t)(e->n - from)};
	e->n_words++;
	return SX_OK;
}

/* Where the word that begins at s ends: before a mark that does not follow a mark. */
static size_t until_meta(const char *s, size_t len)
{
	bool after = len >= 3 && memcmp(s, meta, 3) == 0;
	for (size_t i = after ? 3 : 1; i < len; i++) {
		bool here = s[i] == meta[0] && len - i >= 3 && memcmp(s + i, meta, 3) == 0;
		if (here && !after) return i;
		if (here) i += 2;
		after = here;
	}
	return len;
}

sx_status sx_bpe_encode(sx_encoder *e, const char *s, size_t len, bool byte_level)
{
	sx_status st = SX_OK;
	if (byte_level || !e->h->bpe.cut_at_meta) return word(e, s, len, byte_level);
	for (size_t n; len > 0 && st == SX_OK; s += n, len -= n) {
		n = until_meta(s, len);
		st = word(e, s, n, false);
	}
	return st;
}

/* Bytes, and the llama2.c tokenizer: reading the file, greedy merging with a heap, decoding. */
#include "engine/text/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	BYTE_BOS = 255,
	UNIT_BOS = 1,
	UNIT_EOS = 2,
	FIRST_BYTE = 3, /* id of <0x00>                                                   */
	MIN_VOCAB = FIRST_BYTE + 256,
	MAX_VOCAB = 1 << 24,
	MAX_PIECE = 1 << 16
};
#define MAX_TEXT  ((size_t)1 << 30) /* node numbers are int32               */
#define MIN_SCORE (-1e10F)          /* run.c never merges at or below this  */

typedef struct {
	uint32_t at, len; /* bytes of the file */
	float score;
} piece;

struct sx_tokenizer {
	char *name;
	bool bytes;
	int vocab;
	char *data; /* the whole file; pieces point into it                           */
	size_t size;
	uint32_t max_len;
	piece *pieces;
	int32_t *slots; /* open addressing: piece -> id, -1 = empty                       */
	size_t mask;
	char fingerprint[33];
	char byte_text[256];
};

/* ---- opening ---- */

static uint32_t le32(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

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

static sx_status not_llama2c(sx_ctx *ctx, const char *path, int token, const char *why)
{
	return sx_fail(ctx, SX_EDATA,
		       "%s is not a llama2.c tokenizer.bin: token %d %s; give \"bytes\" or a "
		       "tokenizer.bin made by llama2.c's tokenizer.py",
		       path, token, why);
}

/* Walks the file to its end: nothing in it says how many tokens there are. */
static sx_status read_pieces(sx_tokenizer *t, sx_ctx *ctx)
{
	size_t at = 4;
	size_t cap = 0;
	if (t->size < 4) return not_llama2c(ctx, t->name, 0, "is not there");
	t->max_len = le32(t->data);
	if (t->max_len < 1 || t->max_len > MAX_PIECE || t->size > UINT32_MAX)
		return sx_fail(ctx, SX_EDATA,
			       "%s is not a llama2.c tokenizer.bin: it begins with a longest token "
			       "of %u bytes; give \"bytes\" or a tokenizer.bin made by llama2.c's "
			       "tokenizer.py",
			       t->name, t->max_len);
	for (t->vocab = 0; at < t->size; t->vocab++) {
		if (t->vocab == MAX_VOCAB)
			return not_llama2c(ctx, t->name, t->vocab, "is too many");
		if (t->size - at < 8) return not_llama2c(ctx, t->name, t->vocab, "is cut off");
		if ((size_t)t->vocab == cap) {
			cap = cap ? 2 * cap : 1024;
			piece *grown = sx_grow(t->pieces, cap, sizeof *grown);
			if (!grown) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", t->name);
			t->pieces = grown;
		}
		piece *p = &t->pieces[t->vocab];
		uint32_t bits = le32(t->data + at);
		memcpy(&p->score, &bits, 4);
		p->len = le32(t->data + at + 4);
		p->at = (uint32_t)(at + 8);
		if (!isfinite(p->score))
			return not_llama2c(ctx, t->name, t->vocab, "has a score that is no number");
		if (p->len < 1 || p->len > t->max_len)
			return not_llama2c(ctx, t->name, t->vocab,
					   "has a length that the file's head rules out");
		if (p->len > t->size - p->at)
			return not_llama2c(ctx, t->name, t->vocab, "is cut off");
		at = (size_t)p->at + p->len;
	}
	return SX_OK;
}

static sx_status check_byte_tokens(const sx_tokenizer *t, sx_ctx *ctx)
{
	if (t->vocab < MIN_VOCAB)
		return not_llama2c(ctx, t->name, t->vocab,
				   "is not there, and ids 3..258 must be the byte tokens");
	for (int b = 0; b < 256; b++) {
		char want[8];
		const piece *p = &t->pieces[FIRST_BYTE + b];
		snprintf(want, sizeof want, "<0x%02X>", (unsigned)b & 0xFFU);
		if (p->len != 6 || memcmp(t->data + p->at, want, 6) != 0)
			return not_llama2c(ctx, t->name, FIRST_BYTE + b,
					   "is not the byte token that belongs there");
	}
	return SX_OK;
}

static int32_t lookup(const sx_tokenizer *t, const char *s, size_t len)
{
	for (size_t h = XXH3_64bits(s, len);; h++) {
		int32_t id = t->slots[h & t->mask];
		if (id < 0) return -1;
		const piece *p = &t->pieces[id];
		if (p->len == len && memcmp(t->data + p->at, s, len) == 0) return id;
	}
}

/* Among equal pieces the lowest id is found: run.c leaves that case to its sort. */
static sx_status index_pieces(sx_tokenizer *t, sx_ctx *ctx)
{
	size_t n = 1;
	while (n < 2 * (size_t)t->vocab) n *= 2;
	t->mask = n - 1;
	t->slots = sx_calloc(n, sizeof *t->slots);
	if (!t->slots) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", t->name);
	for (size_t i = 0; i < n; i++) t->slots[i] = -1;
	for (int id = 0; id < t->vocab; id++) {
		const piece *p = &t->pieces[id];
		const char *s = t->data + p->at;
		if (lookup(t, s, p->len) >= 0) continue;
		size_t h = XXH3_64bits(s, p->len);
		while (t->slots[h & t->mask] >= 0) h++;
		t->slots[h & t->mask] = id;
	}
	return SX_OK;
}

static sx_status open_file(sx_tokenizer *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	SX_TRY(refuse_other_kinds(ctx, t->name));
	SX_TRY(sx_read_file(ctx, t->name, &t->data, &t->size));
	SX_TRY(read_pieces(t, ctx));
	SX_TRY(check_byte_tokens(t, ctx));
	SX_TRY(index_pieces(t, ctx));
	XXH128_hash_t h = XXH3_128bits(t->data, t->size);
	snprintf(t->fingerprint, sizeof t->fingerprint, "%016llx%016llx",
		 (unsigned long long)h.high64, (unsigned long long)h.low64);
out:
	return st;
}

sx_status sx_tokenizer_open(sx_tokenizer **out, sx_ctx *ctx, const char *what, int vocab)
{
	sx_status st = SX_OK;
	sx_tokenizer *t = sx_calloc(1, sizeof *t);
	if (!t || !(t->name = sx_strdup(what))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a tokenizer");
		goto out;
	}
	t->bytes = strcmp(what, "bytes") == 0;
	t->vocab = 256;
	for (int b = 0; b < 256; b++) t->byte_text[b] = (char)b;
	if (!t->bytes) SX_TRY(open_file(t, ctx));
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
	free(t->data);
	free(t->pieces);
	free(t->slots);
	free(t);
}

const char *sx_tokenizer_name(const sx_tokenizer *t)
{
	return t->name;
}

bool sx_tokenizer_is_bytes(const sx_tokenizer *t)
{
	return t->bytes;
}

int sx_tokenizer_vocab(const sx_tokenizer *t)
{
	return t->vocab;
}

int sx_tokenizer_bos(const sx_tokenizer *t)
{
	return t->bytes ? BYTE_BOS : UNIT_BOS;
}

int sx_tokenizer_eos(const sx_tokenizer *t)
{
	return t->bytes ? -1 : UNIT_EOS;
}

bool sx_tokenizer_adds_bos(const sx_tokenizer *t)
{
	return !t->bytes;
}

const char *sx_tokenizer_fingerprint(const sx_tokenizer *t)
{
	return t->fingerprint;
}

const char *sx_tokenizer_piece(const sx_tokenizer *t, int32_t id, size_t *len)
{
	if (id < 0 || id >= t->vocab) return NULL;
	*len = t->bytes ? 1 : t->pieces[id].len;
	return t->bytes ? t->byte_text + id : t->data + t->pieces[id].at;
}

/* ---- encoding ---- */

/* A possible merge of node `left` with its right neighbour into token `id`. */
typedef struct {
	float score;
	int32_t left, id;
} merge;

/* The ids as a doubly linked list, and the merges still possible as a heap. */
typedef struct {
	const sx_tokenizer *t;
	int32_t *id, *prev, *next; /* id -1 = swallowed by its left neighbour; next -1 = end */
	int32_t n;
	merge *heap;
	size_t used, cap;
	char *text; /* two pieces put together */
} merger;

static bool comes_first(const merge *a, const merge *b)
{
	return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static bool heap_push(merger *m, merge x)
{
	if (m->used == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 256;
		merge *grown = sx_grow(m->heap, cap, sizeof *grown);
		if (!grown) return false;
		m->heap = grown;
		m->cap = cap;
	}
	size_t i = m->used++;
	for (; i > 0 && comes_first(&x, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = x;
	return true;
}

static merge heap_pop(merger *m)
{
	merge top = m->heap[0], last = m->heap[--m->used];
	size_t i = 0;
	for (;;) {
		size_t c = 2 * i + 1;
		if (c >= m->used) break;
		if (c + 1 < m->used && comes_first(&m->heap[c + 1], &m->heap[c])) c++;
		if (!comes_first(&m->heap[c], &last)) break;
		m->heap[i] = m->heap[c];
		i = c;
	}
	m->heap[i] = last;
	return top;
}

static bool offer(merger *m, int32_t left)
{
	int32_t right = left < 0 ? -1 : m->next[left];
	if (right < 0) return true;
	const piece *a = &m->t->pieces[m->id[left]], *b = &m->t->pieces[m->id[right]];
	if (a->len + b->len > m->t->max_len) return true;
	memcpy(m->text, m->t->data + a->at, a->len);
	memcpy(m->text + a->len, m->t->data + b->at, b->len);
	int32_t id = lookup(m->t, m->text, a->len + b->len);
	if (id < 0 || !(m->t->pieces[id].score > MIN_SCORE)) return true;
	return heap_push(m, (merge){m->t->pieces[id].score, left, id});
}

/* Merged nodes only grow, and a node takes a new right neighbour only by swallowing the old one:
 * equal lengths mean that the two nodes are those the merge was offered for. */
static bool still_stands(const merger *m, const merge *x)
{
	int32_t a = m->id[x->left], right = m->next[x->left];
	if (a < 0 || right < 0) return false;
	const piece *p = m->t->pieces;
	return p[a].len + p[m->id[right]].len == p[x->id].len;
}

static bool merge_all(merger *m)
{
	for (int32_t i = 0; i < m->n; i++) {
		m->prev[i] = i - 1;
		m->next[i] = i + 1 < m->n ? i + 1 : -1;
	}
	for (int32_t i = 0; i < m->n; i++)
		if (!offer(m, i)) return false;
	while (m->used > 0) {
		merge x = heap_pop(m);
		if (!still_stands(m, &x)) continue;
		int32_t right = m->next[x.left], after = m->next[right];
		m->id[x.left] = x.id;
		m->id[right] = -1;
		m->next[x.left] = after;
		if (after >= 0) m->prev[after] = x.left;
		if (!offer(m, m->prev[x.left]) || !offer(m, x.left)) return false;
	}
	return true;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* One code point: a byte and the continuation bytes after it, four bytes at most. */
static void add_code_point(merger *m, const char *s, size_t len)
{
	int32_t id = lookup(m->t, s, len);
	if (id >= 0) {
		m->id[m->n++] = id;
		return;
	}
	for (size_t i = 0; i < len; i++) m->id[m->n++] = FIRST_BYTE + (unsigned char)s[i];
}

static void split(merger *m, const char *text, size_t len, bool bos)
{
	if (bos) m->id[m->n++] = UNIT_BOS;
	if (len > 0) add_code_point(m, " ", 1);
	for (size_t i = 0; i < len;) {
		size_t n = 1;
		while (n < 4 && i + n < len && is_continuation(text[i + n])) n++;
		add_code_point(m, text + i, n);
		i += n;
	}
}

static sx_status encode_pieces(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			       const char *text, size_t len, bool bos)
{
	sx_status st = SX_OK;
	merger m = {.t = t};
	m.id = sx_calloc(len + 2, sizeof *m.id);
	m.prev = sx_calloc(len + 2, sizeof *m.prev);
	m.next = sx_calloc(len + 2, sizeof *m.next);
	m.text = sx_calloc(t->max_len, 1);
	if (!m.id || !m.prev || !m.next || !m.text) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
		goto out;
	}
	split(&m, text, len, bos);
	if (!merge_all(&m)) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
		goto out;
	}
	*n = 0;
	for (int32_t i = 0; i < m.n; i++)
		if (m.id[i] >= 0) m.id[(*n)++] = m.id[i];
	*ids = m.id;
	m.id = NULL;
out:
	free(m.id);
	free(m.prev);
	free(m.next);
	free(m.heap);
	free(m.text);
	return st;
}

sx_status sx_tokenizer_encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			      const char *text, size_t len, bool bos)
{
	if (len > MAX_TEXT)
		return sx_fail(ctx, SX_EDATA,
			       "a text of %zu bytes is too long to tokenise at once: split it "
			       "into files below 1 GiB",
			       len);
	if (!t->bytes) return encode_pieces(ids, n, ctx, t, text, len, bos);
	int32_t *p = sx_calloc(len + 1, sizeof *p);
	if (!p) return sx_fail(ctx, SX_ENOMEM, "no memory to tokenise %zu bytes", len);
	int64_t k = 0;
	if (bos) p[k++] = BYTE_BOS;
	for (size_t i = 0; i < len; i++) p[k++] = (unsigned char)text[i];
	*ids = p;
	*n = k;
	return SX_OK;
}

/* ---- decoding ---- */

/* What id i prints as, after the id before it. */
static const char *printed(const sx_tokenizer *t, const int32_t *ids, int64_t i, size_t *len)
{
	int32_t id = ids[i];
	*len = 0;
	if (t->bytes) {
		*len = i == 0 && id == BYTE_BOS ? 0 : 1;
		return t->byte_text + id;
	}
	if (id == UNIT_BOS || id == UNIT_EOS) return "";
	if (id >= FIRST_BYTE && id < FIRST_BYTE + 256) {
		*len = 1;
		return t->byte_text + (id - FIRST_BYTE);
	}
	const char *s = sx_tokenizer_piece(t, id, len);
	if (i == 0 || ids[i - 1] != UNIT_BOS || s[0] != ' ') return s;
	*len -= 1;
	return s + 1;
}

sx_status sx_tokenizer_decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			      const int32_t *ids, int64_t n)
{
	size_t total = 0, one;
	for (int64_t i = 0; i < n; i++) {
		if (ids[i] < 0 || ids[i] >= t->vocab)
			return sx_fail(ctx, SX_EDATA,
				       "id %d at place %lld (from 0) is outside the %d tokens of "
				       "%s: these "
				       "ids were made with another tokenizer",
				       (int)ids[i], (long long)i, t->vocab, t->name);
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

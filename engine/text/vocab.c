/* Strings by number and numbers by string: a hash table over one block of bytes. */
#include "engine/text/vocab.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static bool more_ids(sx_vocab *v, int32_t id)
{
	if (id >= v->room) {
		int32_t room = v->room ? v->room : 1024;
		while (room <= id) room *= 2;
		uint32_t *at = sx_grow(v->at, (size_t)room, sizeof *at);
		if (at) v->at = at;
		uint32_t *len = sx_grow(v->len, (size_t)room, sizeof *len);
		if (len) v->len = len;
		if (!at || !len) return false;
		v->room = room;
	}
	for (; v->n <= id; v->n++) v->at[v->n] = UINT32_MAX, v->len[v->n] = 0;
	return true;
}

bool sx_vocab_put(sx_vocab *v, int32_t id, const char *s, size_t len)
{
	if (len >= UINT32_MAX - v->used || !more_ids(v, id)) return false;
	if (!v->bytes || v->used + len > v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 1 << 16;
		while (cap < v->used + len) cap *= 2;
		char *grown = sx_grow(v->bytes, cap, 1);
		if (!grown) return false;
		v->bytes = grown;
		v->cap = cap;
	}
	if (len > 0) memcpy(v->bytes + v->used, s, len);
	v->at[id] = (uint32_t)v->used;
	v->len[id] = (uint32_t)len;
	v->used += len;
	return true;
}

bool sx_vocab_index(sx_vocab *v)
{
	size_t n = 2;
	while (n < 2 * (size_t)v->n) n *= 2;
	free(v->slots);
	v->slots = sx_calloc(n, sizeof *v->slots);
	if (!v->slots) return false;
	v->mask = n - 1;
	for (size_t i = 0; i < n; i++) v->slots[i] = -1;
	for (int32_t id = 0; id < v->n; id++) {
		size_t len;
		const char *s = sx_vocab_string(v, id, &len);
		if (!s || sx_vocab_find(v, s, len) >= 0) continue;
		size_t h = XXH3_64bits(s, len);
		while (v->slots[h & v->mask] >= 0) h++;
		v->slots[h & v->mask] = id;
	}
	return true;
}

int32_t sx_vocab_find(const sx_vocab *v, const char *s, size_t len)
{
	for (size_t h = XXH3_64bits(s, len);; h++) {
		int32_t id = v->slots[h & v->mask];
		if (id < 0) return -1;
		if (v->len[id] == len && memcmp(v->bytes + v->at[id], s, len) == 0) return id;
	}
}

const char *sx_vocab_string(const sx_vocab *v, int32_t id, size_t *len)
{
	if (id < 0 || id >= v->n || v->at[id] == UINT32_MAX) return NULL;
	*len = v->len[id];
	return v->bytes + v->at[id];
}

void sx_vocab_free(sx_vocab *v)
{
	free(v->bytes);
	free(v->at);
	free(v->len);
	free(v->slots);
	memset(v, 0, sizeof *v);
}

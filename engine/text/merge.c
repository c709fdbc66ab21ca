/* Greedy merging with a heap: Kudo & Richardson 2018 (arXiv:1808.06226), sec. 3.1. */
#include "engine/text/merge.h"

#include <stdlib.h>
#include <string.h>

static bool comes_first(const sx_merge *a, const sx_merge *b)
{
	return a->order < b->order || (a->order == b->order && a->left < b->left);
}

static bool heap_push(sx_merger *m, sx_merge x)
{
	if (m->used == m->heap_cap) {
		size_t cap = m->heap_cap ? 2 * m->heap_cap : 256;
		sx_merge *grown = sx_grow(m->heap, cap, sizeof *grown);
		if (!grown) return false;
		m->heap = grown;
		m->heap_cap = cap;
	}
	size_t i = m->used++;
	for (; i > 0 && comes_first(&x, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = x;
	return true;
}

static sx_merge heap_pop(sx_merger *m)
{
	sx_merge top = m->heap[0], last = m->heap[--m->used];
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

static bool offer(sx_merger *m, int32_t left, sx_merge_find find, void *self)
{
	int32_t right = left < 0 ? -1 : m->next[left];
	if (right < 0) return true;
	sx_merge x = {.left = left, .a = m->id[left], .b = m->id[right]};
	return !find(self, x.a, x.b, &x.order, &x.id) || heap_push(m, x);
}

bool sx_merger_room(sx_merger *m, size_t n)
{
	if (n <= (size_t)m->cap) return true;
	size_t cap = 2 * (size_t)m->cap > n ? 2 * (size_t)m->cap : n;
	if (cap < 64) cap = 64;
	if (cap > INT32_MAX) cap = n;
	if (n > INT32_MAX) return false;
	int32_t **lists[] = {&m->id, &m->prev, &m->next};
	for (int i = 0; i < 3; i++) {
		int32_t *grown = sx_grow(*lists[i], cap, sizeof *grown);
		if (!grown) return false;
		*lists[i] = grown;
	}
	m->cap = (int32_t)cap;
	return true;
}

/* Node numbers never change: a node that its left neighbour swallowed has id -1. Ids only grow into
 * others, so the two that a merge was offered for are the two that stand there now. */
bool sx_merger_run(sx_merger *m, sx_merge_find find, void *self)
{
	m->used = 0;
	for (int32_t i = 0; i < m->n; i++) {
		m->prev[i] = i - 1;
		m->next[i] = i + 1 < m->n ? i + 1 : -1;
	}
	for (int32_t i = 0; i < m->n; i++)
		if (!offer(m, i, find, self)) return false;
	while (m->used > 0) {
		sx_merge x = heap_pop(m);
		int32_t right = m->next[x.left];
		if (m->id[x.left] != x.a || right < 0 || m->id[right] != x.b) continue;
		int32_t after = m->next[right];
		m->id[x.left] = x.id;
		m->id[right] = -1;
		m->next[x.left] = after;
		if (after >= 0) m->prev[after] = x.left;
		if (!offer(m, m->prev[x.left], find, self) || !offer(m, x.left, find, self))
			return false;
	}
	int32_t n = 0;
	for (int32_t i = 0; i < m->n; i++)
		if (m->id[i] >= 0) m->id[n++] = m->id[i];
	m->n = n;
	return true;
}

void sx_merger_free(sx_merger *m)
{
	free(m->id);
	free(m->prev);
	free(m->next);
	free(m->heap);
	memset(m, 0, sizeof *m);
}

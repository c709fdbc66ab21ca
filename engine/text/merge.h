/* Greedy merging of neighbours, the best pair first, in n log n. Private to engine/text. */
#ifndef SX_ENGINE_TEXT_MERGE_H
#define SX_ENGINE_TEXT_MERGE_H

#include "engine/base.h"

/* What a and b, side by side, become, and its place in the order of merging (lowest first, then
 * leftmost). False if they do not merge. */
typedef bool (*sx_merge_find)(void *self, int32_t a, int32_t b, uint32_t *order, int32_t *id);

typedef struct {
	uint32_t order;
	int32_t left, a, b, id; /* node, the ids that it and its neighbour had, what they become */
} sx_merge;

/* The ids as a doubly linked list, and the merges still possible as a heap. Begins as {0}. */
typedef struct {
	int32_t *id, *prev, *next; /* (cap)                                             */
	int32_t n, cap;
	sx_merge *heap;
	size_t used, heap_cap;
} sx_merger;

/* Room for n ids in m->id. False when memory is out. */
bool sx_merger_room(sx_merger *m, size_t n);
/* Merges the n ids in m->id until no pair is left; they then stand at the front of m->id, and m->n
 * is their number. A merged id must differ from all that it was made of, however long the way.
 * False when memory is out. */
bool sx_merger_run(sx_merger *m, sx_merge_find find, void *self);
void sx_merger_free(sx_merger *m);

#endif

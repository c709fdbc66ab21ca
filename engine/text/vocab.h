/* Strings by number and numbers by string. Private to engine/text. */
#ifndef SX_ENGINE_TEXT_VOCAB_H
#define SX_ENGINE_TEXT_VOCAB_H

#include "engine/base.h"

typedef struct {
	char *bytes; /* of all strings, one after the other                            */
	size_t used, cap;
	uint32_t *at, *len; /* (n) by id; at = UINT32_MAX where an id has no string    */
	int32_t n, room;
	int32_t *slots; /* open addressing: string -> id, -1 = empty                   */
	size_t mask;
} sx_vocab;

/* Sets the string of an id, 0 <= id < SX_VOCAB_MAX, which has none yet. False when memory is out
 * or the strings pass 4 GB. */
bool sx_vocab_put(sx_vocab *v, int32_t id, const char *s, size_t len);
/* To be called after the last put and before find. Among equal strings the lowest id is found. */
bool sx_vocab_index(sx_vocab *v);
int32_t sx_vocab_find(const sx_vocab *v, const char *s, size_t len); /* -1 = not there */
/* NULL where the id has no string. */
const char *sx_vocab_string(const sx_vocab *v, int32_t id, size_t *len);
void sx_vocab_free(sx_vocab *v); /* frees what is inside */

#endif

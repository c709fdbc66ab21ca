/* Heads as a user names them: which are measured, and which of those in a file are meant. */
#ifndef SX_PROBES_RUNFILE_SELECT_H
#define SX_PROBES_RUNFILE_SELECT_H

#include "engine/base.h"

typedef struct {
	int layer, head;
} sx_map_choice;
/* "L2-4/H*", several with commas: all chosen (layer, head) in order, each once. *out is the caller's.
 * SX_EUSAGE with what is wrong, also when it chooses nothing. */
sx_status sx_select_heads(sx_map_choice **out, int64_t *n, sx_ctx *ctx, const char *text, int L,
			  int H) SX_NODISCARD;

#endif

/* Text as numbered words, for random weights: there only which tokens are equal matters. */
#ifndef SX_PROBES_LAB_WORDS_H
#define SX_PROBES_LAB_WORDS_H

#include "engine/base.h"

/* Ids of the words of a text, numbered from 0 in the order of their first occurrence. A word is a run
 * of letters, digits, apostrophes and bytes above 127; every other character that is no white space
 * is one by itself. Case counts. *ids is the caller's; *distinct how many ids there are.
 * SX_EDATA beyond 2^31 different words, SX_ENOMEM. */
sx_status sx_words_number(int32_t **ids, int64_t *n, int64_t *distinct, sx_ctx *ctx,
			  const char *text, size_t size) SX_NODISCARD;

#endif

/* Which heads and rows are meant, from the user's words, for the observers that take some of them. */
#ifndef SX_PROBES_OBSERVE_CHOICE_H
#define SX_PROBES_OBSERVE_CHOICE_H

#include "probes/runfile/select.h"

typedef struct {
	int64_t n_layer, n_head; /* layers and heads that have a chosen one                 */
	int32_t *layer, *head;   /* (n_layer), (n_head)                                    */
	int32_t *slot;           /* (L,H) layer * n_head + head on these axes; -1 = not chosen */
	int64_t n_query;
	int32_t *query; /* (n_query) the chosen rows                                      */
	int32_t *place; /* (T) a row's place among them, -1 = not chosen                  */
} sx_choice;

/* heads: "L2-4/H*", several with commas; rows: "0-1023,4096-", positions from 0. Empty or NULL: all of
 * them. *c is zero before; what it holds then, after a failure too, goes with sx_choice_free. SX_EUSAGE
 * for what L layers of H heads and T tokens do not have, SX_ENOMEM. */
sx_status sx_choice_make(sx_choice *c, sx_ctx *ctx, const char *heads, const char *rows, int L,
			 int H, int64_t T) SX_NODISCARD;
void sx_choice_free(sx_choice *c);

/* A number of decimal digits from *s on, which then points behind it; false where there is none. */
bool sx_read_number(const char **s, int64_t *n);

#endif

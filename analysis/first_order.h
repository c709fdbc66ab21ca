/* How much of a change of A_c between two checkpoints its gradient explains (arXiv:2512.12167,
 * Observation 1): from the file of `trace --toward`. */
#ifndef SX_ANALYSIS_FIRST_ORDER_H
#define SX_ANALYSIS_FIRST_ORDER_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

/* Of x as a forecast of y, over heads: 1 - sum (y - x)^2 / sum y^2, at most 1, below 0 where x is worse
 * than none. */
typedef struct {
	sx_interval w;       /* of the part of W_Q, W_K: their first order                    */
	sx_interval whole;   /* of the change: first order of W_Q, W_K                        */
	sx_interval whole_h; /* of the change: that of W_Q, W_K and h                         */
	sx_interval cosine; /* of the change and the first order of W_Q, W_K: sum x y / (|x| |y|) */
	sx_interval used;   /* |x| / |bound|, the head's bound ||dW_Q|| ||change of W_Q|| + the
				 same of W_K: what of the bound's rate A_c moved with          */
} sx_first_order_shares;

/* Each head's numbers are means over the sequences of the last record. Arrays (layers * heads). */
typedef struct {
	int64_t step, phase, updates; /* updates between the checkpoints; -1 = not known       */
	int64_t sequences, layers, heads;
	double *change, *change_w;   /* owned                                                 */
	double *first_w, *first_h;   /* first order of W_Q and W_K, of h; owned                 */
	double *bound;               /* owned                                                 */
	double rms, rms_w, rms_h;    /* over heads: of change, change_w, change - change_w      */
	sx_first_order_shares share; /* 95 % intervals over heads                              */
} sx_first_order;

/* Of one family of c. SX_EDATA where the file has no changes of A_c, or not the family. */
sx_status sx_first_order_read(sx_first_order *out, sx_ctx *ctx, sx_run_file *f, const char *family,
			      uint64_t seed) SX_NODISCARD;
void sx_first_order_free(sx_first_order *x); /* what is inside */

/* All heads of n pairs of checkpoints together, intervals over the pairs: heads of a pair moved by the
 * same update. Larger changes weigh more. */
sx_status sx_first_order_pool(sx_first_order_shares *out, sx_ctx *ctx,
			      const sx_first_order *const *x, int n, uint64_t seed) SX_NODISCARD;

#endif

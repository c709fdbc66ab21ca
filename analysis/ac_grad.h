/* The norm of A_c's gradient by layer in two models with the same weights, with and without rotation
 * (arXiv:2512.12167, figure 4). From /ac of two run files with the same sequences. */
#ifndef SX_ANALYSIS_AC_GRAD_H
#define SX_ANALYSIS_AC_GRAD_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

typedef struct {
	char family[32], wrt[8];
	int64_t sequences, layers, heads;
	/* (layers) each: mean over heads of the norm, then over sequences; a and b of the two files.
	 * ratio: a's mean over b's. (The mean of the sequences' own ratios is not defined: the theory
	 * has b's norm at 0 on one token repeated, and near it on a text that is nearly that.) 95 %
	 * bootstrap intervals over sequences. */
	sx_interval *a, *b, *ratio;
} sx_ac_grad;

/* Of the first record of both. SX_EDATA where a file lacks the family or wrt ("wq"), or the two do not
 * have the same axes. */
sx_status sx_ac_grad_compare(sx_ac_grad *out, sx_ctx *ctx, sx_run_file *a, sx_run_file *b,
			     const char *family, const char *wrt, uint64_t seed) SX_NODISCARD;
void sx_ac_grad_free(sx_ac_grad *g); /* frees what is inside */

#endif

/* Least squares of scores by one kernel of the offset, constant on bins. */
#ifndef SX_ANALYSIS_HEADS_KERNEL_H
#define SX_ANALYSIS_HEADS_KERNEL_H

#include "engine/base.h"

/* The design of s_ij ~ r_i + g_bin(i-j) on the visible triangle of T rows that see at most `window`
 * keys (0 = all). It is the same for all sequences of a length, so that the fit of one g to several
 * needs of each its sums y of the scores, less their row means, by bin: with G the Gram matrix of the
 * row-centred columns, K sequences explain (sum y)' G^+ (sum y) / K squares. O(bins) memory and time
 * for a sequence, O(bins T) once. */
typedef struct sx_offset_kernel sx_offset_kernel;
/* edge: (bins + 1) first offset of each bin. SX_EDATA where they do not begin with 0, 1;
 * SX_ENOMEM. */
sx_status sx_offset_kernel_new(sx_offset_kernel **out, sx_ctx *ctx, int64_t T, int64_t window,
			       const int64_t *edge, int64_t bins) SX_NODISCARD;
void sx_offset_kernel_free(sx_offset_kernel *k);
/* Bins that hold an offset of the triangle: the first ones. */
int64_t sx_offset_kernel_bins(const sx_offset_kernel *k);
/* Rows that have an offset of the bin, once for each of them. */
double sx_offset_kernel_pairs(const sx_offset_kernel *k, int64_t bin);
/* w (bins - 1) of y (bins): w(y) . w(z) = y' G^+ z. */
void sx_offset_kernel_whiten(const sx_offset_kernel *k, double *w, const double *y);

#endif

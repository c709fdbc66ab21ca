#include "analysis/heads_kernel.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <stdlib.h>
#include <string.h>

struct sx_offset_kernel {
	int64_t bins;
	double *pairs; /* (bins) */
	/* (bins - 1)^2 Cholesky factor of G without its first row and column. G is the Laplacian of a
	 * graph in which every bin meets the bin of offset 0 in some row: its null space is the
	 * constants, and g of that bin may be set to 0. */
	double *factor;
};

/* Offsets below n in a bin. */
static double overlap(const int64_t *edge, int64_t bin, int64_t n)
{
	int64_t end = edge[bin + 1] < n ? edge[bin + 1] : n;
	return end > edge[bin] ? (double)(end - edge[bin]) : 0;
}

/* G += rows of n visible keys. */
static void add_rows(sx_offset_kernel *k, const int64_t *edge, int64_t n, double rows)
{
	int64_t m = k->bins - 1;
	for (int64_t a = 0; a < k->bins && edge[a] < n; a++) {
		double in_a = overlap(edge, a, n);
		k->pairs[a] += rows * in_a;
		if (a == 0) continue;
		double *row = k->factor + (a - 1) * m;
		row[a - 1] += rows * in_a;
		for (int64_t b = 1; b < k->bins && edge[b] < n; b++)
			row[b - 1] -= rows * in_a * overlap(edge, b, n) / (double)n;
	}
}

sx_status sx_offset_kernel_new(sx_offset_kernel **out, sx_ctx *ctx, int64_t T, int64_t window,
			       const int64_t *edge, int64_t bins)
{
	int64_t most = window > 0 && window < T ? window : T, used = 0;
	while (used < bins && edge[used] < most) used++;
	if (T < 1 || used < 1 || edge[0] != 0 || (used > 1 && edge[1] != 1))
		return sx_fail(ctx, SX_EDATA,
			       "offset bins do not begin with those of offsets 0 and 1");
	size_t free_bins = (size_t)(used - 1);
	sx_offset_kernel *k = sx_calloc(1, sizeof *k);
	if (k) {
		k->bins = used;
		k->pairs = sx_calloc((size_t)used, sizeof *k->pairs);
		k->factor = sx_calloc(free_bins * free_bins + 1, sizeof *k->factor);
	}
	if (!k || !k->pairs || !k->factor) {
		sx_offset_kernel_free(k);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the fit of an offset kernel");
	}
	for (int64_t n = 1; n <= most; n++)
		add_rows(k, edge, n, n == most ? (double)(T - most + 1) : 1);
	if (free_bins > 0) {
		gsl_matrix_view g = gsl_matrix_view_array(k->factor, free_bins, free_bins);
		if (gsl_linalg_cholesky_decomp1(&g.matrix) != GSL_SUCCESS) {
			sx_offset_kernel_free(k);
			return sx_fail(ctx, SX_EINTERNAL,
				       "the fit of an offset kernel is singular");
		}
	}
	*out = k;
	return SX_OK;
}

void sx_offset_kernel_free(sx_offset_kernel *k)
{
	if (!k) return;
	free(k->pairs);
	free(k->factor);
	free(k);
}

int64_t sx_offset_kernel_bins(const sx_offset_kernel *k)
{
	return k->bins;
}

double sx_offset_kernel_pairs(const sx_offset_kernel *k, int64_t bin)
{
	return bin < k->bins ? k->pairs[bin] : 0;
}

void sx_offset_kernel_whiten(const sx_offset_kernel *k, double *w, const double *y)
{
	size_t n = (size_t)(k->bins - 1);
	if (n == 0) return;
	gsl_matrix_const_view factor = gsl_matrix_const_view_array(k->factor, n, n);
	gsl_vector_view to = gsl_vector_view_array(w, n);
	memcpy(w, y + 1, n * sizeof *w);
	gsl_blas_dtrsv(CblasLower, CblasNoTrans, CblasNonUnit, &factor.matrix, &to.vector);
}

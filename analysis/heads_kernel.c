#include "analysis/heads_kernel.h"

#include <math.h>
#include <stdlib.h>

/* With v_a the offsets of bin a, o_a(n) how many of them a row of n keys has, and rows(n) such rows,
 *
 *     G_ab = [a = b] sum_n rows(n) o_a(n) - sum_n rows(n) o_a(n) o_b(n) / n.
 *
 * Where a < b, a row that meets bin b holds all of bin a. So in z_a = v_a g_a and y_a / v_a, what is
 * off the diagonal is -h_max(a,b), h_b = sum_n rows(n) o_b(n) / (n v_b), and differences of
 * neighbouring equations in the running sums P_a = z_0 + .. + z_a,
 *
 *     d_a (P_a - P_(a-1)) - d_(a+1) (P_(a+1) - P_a) - (h_a - h_(a+1)) P_a = y_a/v_a - y_(a+1)/v_(a+1),
 *
 * are tridiagonal and symmetric. Constants are their null space, since every row meets bin 0: P_0 = 0
 * may be set, and what is left is positive definite. */
struct sx_offset_kernel {
	int64_t bins;
	double *pairs; /* (bins) */
	double *width; /* (bins) v: offsets that some row has                               */
	double *root;  /* (bins) diagonal of the Cholesky factor of the equations for P, from 1 */
	double *below; /* (bins) [a]: the factor's element (a,a-1)                          */
	double *memory;
};

/* Offsets below n in a bin. */
static double overlap(const int64_t *edge, int64_t bin, int64_t n)
{
	int64_t end = edge[bin + 1] < n ? edge[bin + 1] : n;
	return end > edge[bin] ? (double)(end - edge[bin]) : 0;
}

/* d_a, h_a and the pairs of a bin; `most` keys are seen by T - most + 1 rows. */
static void sum_rows(sx_offset_kernel *k, double *d, double *h, const int64_t *edge, int64_t a,
		     int64_t T, int64_t most)
{
	double v = overlap(edge, a, most), square = 0;
	for (int64_t n = edge[a] + 1; n <= most; n++) {
		double rows = n == most ? (double)(T - most + 1) : 1, o = overlap(edge, a, n);
		k->pairs[a] += rows * o;
		h[a] += rows * o / ((double)n * v);
		square += rows * o * o / ((double)n * v * v);
	}
	k->width[a] = v;
	d[a] = k->pairs[a] / (v * v) - (square - h[a]);
}

/* d, h: (bins + 1), 0 at the end. */
static bool factorize(sx_offset_kernel *k, const double *d, const double *h)
{
	for (int64_t a = 1; a < k->bins; a++) {
		double left = d[a] + d[a + 1] - (h[a] - h[a + 1]);
		if (a > 1) {
			k->below[a] = -d[a] / k->root[a - 1];
			left -= k->below[a] * k->below[a];
		}
		if (!(left > 0)) return false;
		k->root[a] = sqrt(left);
	}
	return true;
}

sx_status sx_offset_kernel_new(sx_offset_kernel **out, sx_ctx *ctx, int64_t T, int64_t window,
			       const int64_t *edge, int64_t bins)
{
	int64_t most = window > 0 && window < T ? window : T, used = 0;
	while (used < bins && edge[used] < most) used++;
	if (T < 1 || used < 1 || edge[0] != 0 || (used > 1 && edge[1] != 1))
		return sx_fail(ctx, SX_EDATA,
			       "offset bins do not begin with those of offsets 0 and 1");
	sx_offset_kernel *k = sx_calloc(1, sizeof *k);
	if (k) k->memory = sx_calloc(6 * (size_t)used + 2, sizeof *k->memory);
	if (!k || !k->memory) {
		sx_offset_kernel_free(k);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the fit of an offset kernel");
	}
	double *d = k->memory + 4 * used, *h = d + used + 1;
	k->bins = used;
	k->pairs = k->memory, k->width = k->memory + used;
	k->root = k->memory + 2 * used, k->below = k->memory + 3 * used;
	for (int64_t a = 0; a < used; a++) sum_rows(k, d, h, edge, a, T, most);
	if (!factorize(k, d, h)) {
		sx_offset_kernel_free(k);
		return sx_fail(ctx, SX_EINTERNAL, "the fit of an offset kernel is singular");
	}
	*out = k;
	return SX_OK;
}

void sx_offset_kernel_free(sx_offset_kernel *k)
{
	if (!k) return;
	free(k->memory);
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
	for (int64_t a = 1; a < k->bins; a++) {
		double next = a + 1 < k->bins ? y[a + 1] / k->width[a + 1] : 0;
		double rhs = y[a] / k->width[a] - next;
		if (a > 1) rhs -= k->below[a] * w[a - 2];
		w[a - 1] = rhs / k->root[a];
	}
}

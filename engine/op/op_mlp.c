/* SwiGLU: act = silu(gate) * up (Shazeer 2020, arXiv:2002.05202). GELU: act = up Phi(up) (Hendrycks &
 * Gimpel 2016, arXiv:1606.08415). */
#include "engine/op/ops.h"
#include "engine/vector.h"

enum { BLOCK = 4096 };

SX_VECTOR
static void swiglu_block(sx_real *act, const sx_real *gate, const sx_real *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++) act[i] = gate[i] / (1 + sx_exp(-gate[i])) * up[i];
}

/* silu'(g) = sigma(g) (1 + g (1 - sigma(g))). */
SX_VECTOR
static void swiglu_block_bwd(sx_real *dgate, sx_real *dup, const sx_real *dact, const sx_real *gate,
			     const sx_real *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		sx_real g = gate[i], d = dact[i], sigma = 1 / (1 + sx_exp(-g));
		dup[i] = d * g * sigma;
		dgate[i] = d * up[i] * sigma * (1 + g * (1 - sigma));
	}
}

void sx_swiglu_fwd(sx_real *act, const sx_real *gate, const sx_real *up, int64_t n)
{
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i += BLOCK)
		swiglu_block(act + i, gate + i, up + i, n - i < BLOCK ? n - i : BLOCK);
}

void sx_swiglu_bwd(sx_real *dgate, sx_real *dup, const sx_real *dact, const sx_real *gate,
		   const sx_real *up, int64_t n)
{
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i += BLOCK)
		swiglu_block_bwd(dgate + i, dup + i, dact + i, gate + i, up + i,
				 n - i < BLOCK ? n - i : BLOCK);
}

SX_VECTOR
static void gelu_block(sx_real *act, const sx_real *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		sx_real density;
		act[i] = up[i] * sx_normal_cdf(up[i], &density);
	}
}

/* gelu'(x) = Phi(x) + x phi(x). */
SX_VECTOR
static void gelu_block_bwd(sx_real *dup, const sx_real *dact, const sx_real *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		sx_real density, cdf = sx_normal_cdf(up[i], &density);
		dup[i] = dact[i] * (cdf + up[i] * density);
	}
}

void sx_gelu_fwd(sx_real *act, const sx_real *up, int64_t n)
{
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i += BLOCK)
		gelu_block(act + i, up + i, n - i < BLOCK ? n - i : BLOCK);
}

void sx_gelu_bwd(sx_real *dup, const sx_real *dact, const sx_real *up, int64_t n)
{
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i += BLOCK)
		gelu_block_bwd(dup + i, dact + i, up + i, n - i < BLOCK ? n - i : BLOCK);
}

/* The one place that makes a tile's scores and takes their gradients back to queries and keys. Whatever
 * else is to enter a score (a bias, another pair of q and k beyond some distance) enters here, and
 * attention, functionals and observers follow. */
#include "engine/op/gemm.h"
#include "engine/op/ops.h"
#include "engine/vector.h"

sx_scores sx_scores_of(const sx_pos_plan *plan, int D, int head, const sx_real *q, int64_t ldq,
		       const sx_real *k, int64_t ldk)
{
	return (sx_scores){.q = q,
			   .k = k,
			   .ldq = ldq,
			   .ldk = ldk,
			   .D = D,
			   .scale = sx_pos_scale(plan, D),
			   .slope = plan->n_slopes > 0 ? plan->slopes[head] : 0};
}

/* s_ij -= slope (i - j), j <= i */
SX_VECTOR
static void add_slope(sx_real *s, double slope, int64_t row0, int64_t nrow, int64_t key0,
		      int64_t nkey, int64_t ld)
{
	for (int64_t r = 0; r < nrow; r++)
		for (int64_t j = 0; j < nkey; j++) {
			int64_t distance = row0 + r - (key0 + j);
			s[r * ld + j] -= distance > 0 ? (sx_real)(slope * (double)distance) : 0;
		}
}

void sx_scores_fwd(sx_real *s, int64_t ld, const sx_scores *x, int64_t row0, int64_t nrow,
		   int64_t key0, int64_t nkey)
{
	sx_gemm(false, true, nrow, nkey, x->D, (sx_real)x->scale, x->q + row0 * x->ldq, x->ldq,
		x->k + key0 * x->ldk, x->ldk, 0, s, ld);
	if (x->slope != 0) add_slope(s, x->slope, row0, nrow, key0, nkey, ld);
}

void sx_scores_bwd(sx_real *dq, int64_t lddq, sx_real *dk, int64_t lddk, const sx_real *ds,
		   int64_t ld, const sx_scores *x, int64_t row0, int64_t nrow, int64_t key0,
		   int64_t nkey)
{
	sx_real scale = (sx_real)x->scale;
	sx_gemm(false, false, nrow, x->D, nkey, scale, ds, ld, x->k + key0 * x->ldk, x->ldk, 0,
		dq + row0 * lddq, lddq);
	sx_gemm(true, false, nkey, x->D, nrow, scale, ds, ld, x->q + row0 * x->ldq, x->ldq, 1,
		dk + key0 * lddk, lddk);
}

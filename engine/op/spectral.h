/* Spectral norms, as upper bounds: they stand on the right side of inequalities, where a power
 * iteration, which comes from below, would not do. In double, whatever the engine's precision. */
#ifndef SX_ENGINE_OP_SPECTRAL_H
#define SX_ENGINE_OP_SPECTRAL_H

#include "engine/base.h"

/* At least ||W||_2, and above it by a relative cols * rows * 2^-52 or so. gram (rows,rows) = W W^T
 * summed in double over `cols` columns, destroyed; work: 4 rows doubles. By LAPACK's dsyev on the
 * Gram matrix. NaN where an entry is not finite or dsyev does not converge. Called like a product
 * (gemm.h): from inside a parallel region of the whole team. */
double sx_spectral_norm(double *gram, int64_t rows, int64_t cols, double *work);

/* At least ||X Y||_2, X (m,n), Y (n,k), m and k at most `cols`, from outer = X^T X and inner = Y Y^T,
 * both (n,n), summed in double, both destroyed; work: n^2 + 4 n doubles. ||X Y||^2 is the largest
 * eigenvalue of L^T outer L with L L^T = inner (Cholesky, LAPACK's dpotrf). Else as above. */
double sx_spectral_norm_product(double *outer, double *inner, int64_t n, int64_t cols,
				double *work);

/* gram (n,n) = X X^T, X (n,cols) row-major, by BLAS's dsyrk; called like a product. */
void sx_gram(double *gram, const double *x, int64_t n, int64_t cols);

#endif

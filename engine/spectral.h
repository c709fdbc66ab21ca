/* Spectral norms, as upper bounds: they stand on the right side of inequalities, where a power
 * iteration, which comes from below, would not do. In double, whatever the engine's precision. */
#ifndef SX_ENGINE_SPECTRAL_H
#define SX_ENGINE_SPECTRAL_H

#include "engine/base.h"

/* At least ||W||_2, and above it by a relative cols * rows * 2^-52 or so. gram (rows,rows) = W W^T
 * summed in double over `cols` columns, destroyed; work: 4 rows doubles. By LAPACK's dsyev on the
 * Gram matrix. NaN where an entry is not finite or dsyev does not converge. Called like a product
 * (gemm.h): from inside a parallel region of the whole team. */
double sx_spectral_norm(double *gram, int64_t rows, int64_t cols, double *work);

#endif

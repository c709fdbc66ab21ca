/* Matrix products. The only place that knows CBLAS.
 *
 * One call is one thread's work: parallelism is in the callers, over fixed tiles, because a threaded
 * BLAS changes the bits of a product with the number of threads. Call it from inside a parallel
 * region of the whole team only: that is what keeps an OpenBLAS built with OpenMP to one thread
 * (blas.h holds the pthread build). The serial build is called by one thread at a time. */
#ifndef SX_ENGINE_OP_GEMM_H
#define SX_ENGINE_OP_GEMM_H

#include "engine/real.h"

#include <stdbool.h>
#include <stdint.h>

/* C (M,N) = alpha op(A) op(B) + beta C, row-major. op(A) (M,K): A is (K,M) when ta; op(B) (K,N): B
 * is (N,K) when tb. ld*: distance between rows. With beta = 0 C is only written. */
void sx_gemm(bool ta, bool tb, int64_t M, int64_t N, int64_t K, sx_real alpha, const sx_real *A,
	     int64_t lda, const sx_real *B, int64_t ldb, sx_real beta, sx_real *C, int64_t ldc);

#endif

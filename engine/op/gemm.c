#include "engine/op/gemm.h"

#include <cblas.h>

static void product(CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, blasint M, blasint N, blasint K,
		    sx_real alpha, const sx_real *A, blasint lda, const sx_real *B, blasint ldb,
		    sx_real beta, sx_real *C, blasint ldc)
{
#ifdef SX_F64
	cblas_dgemm(CblasRowMajor, a, b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
#else
	cblas_sgemm(CblasRowMajor, a, b, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
#endif
}

void sx_gemm(bool ta, bool tb, int64_t M, int64_t N, int64_t K, sx_real alpha, const sx_real *A,
	     int64_t lda, const sx_real *B, int64_t ldb, sx_real beta, sx_real *C, int64_t ldc)
{
	CBLAS_TRANSPOSE a = ta ? CblasTrans : CblasNoTrans, b = tb ? CblasTrans : CblasNoTrans;
	if (M <= 0 || N <= 0) return;
	if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL) {
		/* The build without threads shares its buffers between callers and takes no lock:
		 * two products at a time give wrong numbers. */
#pragma omp critical(sx_openblas)
		product(a, b, (blasint)M, (blasint)N, (blasint)K, alpha, A, (blasint)lda, B,
			(blasint)ldb, beta, C, (blasint)ldc);
		return;
	}
	product(a, b, (blasint)M, (blasint)N, (blasint)K, alpha, A, (blasint)lda, B, (blasint)ldb,
		beta, C, (blasint)ldc);
}

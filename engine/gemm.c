#include "engine/gemm.h"

#include <cblas.h>

void sx_gemm(bool ta, bool tb, int64_t M, int64_t N, int64_t K, sx_real alpha, const sx_real *A,
	     int64_t lda, const sx_real *B, int64_t ldb, sx_real beta, sx_real *C, int64_t ldc)
{
	CBLAS_TRANSPOSE a = ta ? CblasTrans : CblasNoTrans, b = tb ? CblasTrans : CblasNoTrans;
	if (M <= 0 || N <= 0) return;
#ifdef SX_F64
	cblas_dgemm(CblasRowMajor, a, b, (blasint)M, (blasint)N, (blasint)K, alpha, A, (blasint)lda,
		    B, (blasint)ldb, beta, C, (blasint)ldc);
#else
	cblas_sgemm(CblasRowMajor, a, b, (blasint)M, (blasint)N, (blasint)K, alpha, A, (blasint)lda,
		    B, (blasint)ldb, beta, C, (blasint)ldc);
#endif
}

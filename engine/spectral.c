#include "engine/spectral.h"

#include "engine/blas.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* LAPACK's, which OpenBLAS exports; the last two are the hidden lengths of the character arguments. */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
		   double *w, double *work, const int *lwork, int *info, size_t len_jobz,
		   size_t len_uplo);

static int eigenvalues(double *a, int n, double *w, double *work)
{
	int lwork = 3 * n, info = 0;
	if (strcmp(sx_blas_build(), "serial") == 0) {
		/* shares its buffers between callers and takes no lock: gemm.c has the same one */
#pragma omp critical(sx_openblas)
		dsyev_("N", "U", &n, a, &n, w, work, &lwork, &info, 1, 1);
	} else {
		dsyev_("N", "U", &n, a, &n, w, work, &lwork, &info, 1, 1);
	}
	return info;
}

double sx_spectral_norm(double *gram, int64_t rows, int64_t cols, double *work)
{
	double trace = 0;
	for (int64_t i = 0; i < rows * rows; i++)
		if (!isfinite(gram[i])) return (double)NAN;
	for (int64_t i = 0; i < rows; i++) trace += gram[i * rows + i];
	if (eigenvalues(gram, (int)rows, work, work + rows) != 0) return (double)NAN;
	/* An entry of the sum W W^T is off by at most cols eps |w_a||w_b|, so the matrix by cols eps
	 * trace in norm; dsyev is backward stable, to a modest multiple of rows eps norm. */
	double slack = (double)(cols + 10 * rows) * DBL_EPSILON * trace;
	return sqrt(fmax(0, work[rows - 1]) + slack);
}

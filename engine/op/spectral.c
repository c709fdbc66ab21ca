#include "engine/op/spectral.h"

#include "engine/op/blas.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Of LAPACK and BLAS, which OpenBLAS exports; the last ones are the hidden lengths of the character
 * arguments. They read columns first; symmetric matrices are the same either way. */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
		   double *w, double *work, const int *lwork, int *info, size_t len_jobz,
		   size_t len_uplo);
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
		    size_t len_uplo);
extern void dsyrk_(const char *uplo, const char *trans, const int *n, const int *k,
		   const double *alpha, const double *a, const int *lda, const double *beta,
		   double *c, const int *ldc, size_t len_uplo, size_t len_trans);
extern void dtrmm_(const char *side, const char *uplo, const char *transa, const char *diag,
		   const int *m, const int *n, const double *alpha, const double *a, const int *lda,
		   double *b, const int *ldb, size_t len_side, size_t len_uplo, size_t len_transa,
		   size_t len_diag);

static int eigenvalues_now(double *a, int n, double *w, double *work)
{
	int lwork = 3 * n, info = 0;
	dsyev_("N", "U", &n, a, &n, w, work, &lwork, &info, 1, 1);
	return info;
}

/* a = L^T a L with L L^T = b (Cholesky); L replaces half of b. */
static int congruence_now(double *a, double *b, int n)
{
	int info = 0;
	const double one = 1;
	dpotrf_("L", &n, b, &n, &info, 1);
	if (info != 0) return info;
	dtrmm_("L", "L", "T", "N", &n, &n, &one, b, &n, a, &n, 1, 1, 1, 1);
	dtrmm_("R", "L", "N", "N", &n, &n, &one, b, &n, a, &n, 1, 1, 1, 1);
	return 0;
}

static void gram_now(double *gram, const double *x, int n, int cols)
{
	const double one = 1, zero = 0;
	dsyrk_("U", "T", &n, &cols, &one, x, &cols, &zero, gram, &n, 1, 1);
}

/* The serial build shares its buffers between callers and takes no lock: gemm.c has the same one. */
static bool alone(void)
{
	return strcmp(sx_blas_build(), "serial") == 0;
}

static int eigenvalues(double *a, int n, double *w, double *work)
{
	int info = 0;
	if (!alone()) return eigenvalues_now(a, n, w, work);
#pragma omp critical(sx_openblas)
	info = eigenvalues_now(a, n, w, work);
	return info;
}

static int congruence(double *a, double *b, int n)
{
	int info = 0;
	if (!alone()) return congruence_now(a, b, n);
#pragma omp critical(sx_openblas)
	info = congruence_now(a, b, n);
	return info;
}

static bool all_finite(const double *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(x[i])) return false;
	return true;
}

static double trace_of(const double *x, int64_t n)
{
	double trace = 0;
	for (int64_t i = 0; i < n; i++) trace += x[i * n + i];
	return trace;
}

double sx_spectral_norm(double *gram, int64_t rows, int64_t cols, double *work)
{
	if (!all_finite(gram, rows * rows)) return (double)NAN;
	double trace = trace_of(gram, rows);
	if (eigenvalues(gram, (int)rows, work, work + rows) != 0) return (double)NAN;
	/* An entry of the sum W W^T is off by at most cols eps |w_a||w_b|, so the matrix by cols eps
	 * trace in norm; dsyev is backward stable, to a modest multiple of rows eps norm. */
	double slack = (double)(cols + 10 * rows) * DBL_EPSILON * trace;
	return sqrt(fmax(0, work[rows - 1]) + slack);
}

double sx_spectral_norm_product(double *outer, double *inner, int64_t n, int64_t cols, double *work)
{
	if (!all_finite(outer, n * n) || !all_finite(inner, n * n)) return (double)NAN;
	double a = trace_of(outer, n), b = trace_of(inner, n);
	if (a == 0 || b == 0) return 0;
	/* inner is off by cols eps trace in norm and what Cholesky factors by (n + 1) eps trace more:
	 * with that much on its diagonal it is at least Y Y^T, which can only raise the norm, and
	 * positive definite as far as Cholesky sees. */
	double lift = (double)(cols + 2 * n + 8) * DBL_EPSILON * b;
	for (int64_t i = 0; i < n; i++) inner[i * n + i] += lift;
	if (congruence(outer, inner, (int)n) != 0) return (double)NAN;
	memcpy(work, outer, (size_t)(n * n) * sizeof *work);
	if (eigenvalues(work, (int)n, work + n * n, work + n * n + n) != 0) return (double)NAN;
	/* outer's own sums, the two products and dsyev, all in units of trace times trace */
	double slack = (double)(cols + 14 * n) * DBL_EPSILON * a * (b + (double)n * lift);
	return sqrt(fmax(0, work[n * n + n - 1]) + slack);
}

void sx_gram(double *gram, const double *x, int64_t n, int64_t cols)
{
	if (alone()) {
#pragma omp critical(sx_openblas)
		gram_now(gram, x, (int)n, (int)cols);
	} else {
		gram_now(gram, x, (int)n, (int)cols);
	}
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < i; j++) gram[j * n + i] = gram[i * n + j];
}

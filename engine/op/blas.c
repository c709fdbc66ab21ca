#include "engine/op/blas.h"

#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *sx_blas_core(void)
{
	return openblas_get_corename();
}

const char *sx_blas_config(void)
{
	return openblas_get_config();
}

const char *sx_blas_build(void)
{
	int kind = openblas_get_parallel();
	return kind == OPENBLAS_OPENMP ? "openmp" : kind == OPENBLAS_THREAD ? "pthread" : "serial";
}

int sx_blas_threads(void)
{
	return omp_get_max_threads();
}

bool sx_blas_wastes_avx512(void)
{
#ifdef __x86_64__
	static const char *const with[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
	if (!__builtin_cpu_supports("avx512f")) return false;
	for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
		if (strcasecmp(sx_blas_core(), with[i]) == 0) return false;
	return true;
#else
	return false;
#endif
}

void sx_blas_library_threads(int threads)
{
	int ours = omp_get_max_threads();
	openblas_set_num_threads(threads);
	omp_set_num_threads(ours); /* which the OpenMP build has just set, too */
}

void sx_blas_start(sx_ctx *ctx, int threads)
{
	omp_set_dynamic(0);
	if (threads <= 0) threads = omp_get_max_threads();
	if (threads > 1 && openblas_get_parallel() == OPENBLAS_SEQUENTIAL)
		sx_log(ctx, SX_LOG_WARN,
		       "the serial build of OpenBLAS does one product at a time, whatever the "
		       "number "
		       "of threads; its pthread and OpenMP builds do not");
	/* The OpenMP build overrides this at its next call, but stays at one thread inside a
	 * parallel region; gemm.h asks its callers to be in one. There it also sets OpenMP's own
	 * number of threads, so ours comes after. */
	openblas_set_num_threads(1);
	omp_set_num_threads(threads);
	sx_log(ctx, SX_LOG_DEBUG, "%s, %s build, core %s; %d threads of our own", sx_blas_config(),
	       sx_blas_build(), sx_blas_core(), sx_blas_threads());
	sx_blas_warn_slow(ctx);
}

void sx_blas_warn_slow(sx_ctx *ctx)
{
	if (!sx_blas_wastes_avx512()) return;
	const char *forced = getenv("OPENBLAS_CORETYPE");
	sx_log(ctx, SX_LOG_WARN,
	       "this CPU has AVX-512 and OpenBLAS uses the core %s, about half as fast%s%s%s",
	       sx_blas_core(), forced ? "; unset OPENBLAS_CORETYPE (now " : "",
	       forced ? forced : "", forced ? ")" : "");
}

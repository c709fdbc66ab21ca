/* What the loaded OpenBLAS is, and holding it to one thread. */
#ifndef SX_ENGINE_OP_BLAS_H
#define SX_ENGINE_OP_BLAS_H

#include "engine/base.h"

/* To be called once, before any product: sets the number of threads of our own regions (0 = all
 * cores), holds OpenBLAS to one thread whichever build the system loads (pthread, OpenMP, serial),
 * logs its version, build and chosen core, and warns when it is the serial build, and as
 * sx_blas_warn_slow does. */
void sx_blas_start(sx_ctx *ctx, int threads);
/* Warns when the CPU has AVX-512 and the core does not use it (OPENBLAS_CORETYPE is read before main,
 * so it cannot be mended from here). */
void sx_blas_warn_slow(sx_ctx *ctx);
int sx_blas_threads(void);        /* of our own regions                              */
const char *sx_blas_core(void);   /* "SkylakeX", "Haswell", ...                      */
const char *sx_blas_build(void);  /* "pthread", "openmp", "serial"                   */
const char *sx_blas_config(void); /* OpenBLAS's own description                      */
bool sx_blas_wastes_avx512(void); /* the CPU has it, the chosen core does not use it */
/* For benchmarks alone: let the library thread by itself. Undone by threads = 1. */
void sx_blas_library_threads(int threads);

#endif

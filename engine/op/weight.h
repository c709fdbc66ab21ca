/* A weight matrix as the operations take it: numbers and their type. */
#ifndef SX_ENGINE_OP_WEIGHT_H
#define SX_ENGINE_OP_WEIGHT_H

#include "engine/dtype.h"
#include "engine/real.h"

#include <assert.h>
#include <stdint.h>

/* What the engine computes in. */
#define SX_DTYPE_REAL (sizeof(sx_real) == 8 ? SX_DTYPE_F64 : SX_DTYPE_F32)

/* (rows, cols) = (out, in), row-major, borrowed from the model. */
typedef struct {
	const void *data;
	sx_dtype dtype;
	int64_t rows, cols;
} sx_weight;

/* The numbers of a weight that is in the engine's own type; another one is a fault of the caller. */
static inline const sx_real *sx_weight_reals(sx_weight w)
{
	assert(w.dtype == SX_DTYPE_REAL);
	return (const sx_real *)w.data;
}

#endif

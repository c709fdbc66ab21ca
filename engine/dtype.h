/* Types of numbers, in files and in memory. */
#ifndef SX_ENGINE_DTYPE_H
#define SX_ENGINE_DTYPE_H

#include <stddef.h>

/* In the order of the reference implementation of safetensors, which sorts by it, last first. */
typedef enum {
	SX_DTYPE_BOOL,
	SX_DTYPE_U8,
	SX_DTYPE_I8,
	SX_DTYPE_I16,
	SX_DTYPE_U16,
	SX_DTYPE_F16,
	SX_DTYPE_BF16,
	SX_DTYPE_I32,
	SX_DTYPE_U32,
	SX_DTYPE_F32,
	SX_DTYPE_F64,
	SX_DTYPE_I64,
	SX_DTYPE_U64,
	SX_DTYPE_COUNT
} sx_dtype;
const char *sx_dtype_name(sx_dtype t); /* "F32", as in the files */
size_t sx_dtype_size(sx_dtype t);      /* bytes of one element   */

#endif

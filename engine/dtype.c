#include "engine/dtype.h"

static const struct {
	const char *name;
	size_t size;
} dtypes[SX_DTYPE_COUNT] = {
	[SX_DTYPE_BOOL] = {"BOOL", 1}, [SX_DTYPE_U8] = {"U8", 1},   [SX_DTYPE_I8] = {"I8", 1},
	[SX_DTYPE_I16] = {"I16", 2},   [SX_DTYPE_U16] = {"U16", 2}, [SX_DTYPE_F16] = {"F16", 2},
	[SX_DTYPE_BF16] = {"BF16", 2}, [SX_DTYPE_I32] = {"I32", 4}, [SX_DTYPE_U32] = {"U32", 4},
	[SX_DTYPE_F32] = {"F32", 4},   [SX_DTYPE_F64] = {"F64", 8}, [SX_DTYPE_I64] = {"I64", 8},
	[SX_DTYPE_U64] = {"U64", 8},
};

const char *sx_dtype_name(sx_dtype t)
{
	return dtypes[t].name;
}

size_t sx_dtype_size(sx_dtype t)
{
	return dtypes[t].size;
}

/* Weights in and out of tables of tensors. */
#ifndef SX_ENGINE_MODEL_WEIGHTS_H
#define SX_ENGINE_MODEL_WEIGHTS_H

#include "engine/files/family.h"
#include "engine/files/safetensors.h"
#include "engine/model/model.h"

/* A model of this spec with the tensors' numbers, by the names and forms of the tensors' family. Where
 * spec->interleaved the rows of W_Q, W_K, their biases and their QK-norm gains go from channel pairs
 * (2m, 2m+1) to (m, m + D/2). A tensor that is missing, has another shape, or is not one of the model's
 * is SX_EDATA and named, and so is one with a number that is not finite (unless t->unchecked); the family's buffers and the copy of a tied output matrix are passed over. */
sx_status sx_model_load(sx_model **out, sx_ctx *ctx, const sx_tensors *t,
			const sx_spec *spec) SX_NODISCARD;

/* Writes numbers laid out like the model's parameters (the parameters themselves, Adam's moments)
 * as safetensors, F32 or F64 by the engine's precision, by the names and forms of the family (NULL: the
 * one that sx_hf_config_write takes for the spec). Rows of q and k go out in half-split order.
 * SX_ECREATE, SX_EIO. */
sx_status sx_model_save(sx_ctx *ctx, const char *path, const sx_model_family *family,
			const sx_spec *spec, const sx_real *base) SX_NODISCARD;
/* Reads them back into base (sx_spec_params reals). */
sx_status sx_model_fill(sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec,
			sx_real *base) SX_NODISCARD;

/* The elements of one tensor of a file in the engine's precision. SX_EDATA on a type that holds none,
 * and unless file->unchecked on a number that is not finite. */
sx_status sx_tensor_reals(sx_ctx *ctx, const sx_tensors *file, const sx_tensor *t,
			  sx_real *dst) SX_NODISCARD;
/* The first of n numbers that is not finite; -1 if all are. */
int64_t sx_reals_not_finite(const sx_real *x, int64_t n);

#endif

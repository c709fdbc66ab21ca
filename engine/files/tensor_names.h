/* What sx_hf_open does to a table of tensors before a model is made of it. Internal to engine/files. */
#ifndef SX_ENGINE_FILES_TENSOR_NAMES_H
#define SX_ENGINE_FILES_TENSOR_NAMES_H

#include "engine/files/family.h"
#include "engine/files/safetensors.h"

/* Gives the tensors the family's names where others have wrapped them: `_orig_mod.` and `module.`
 * anywhere, one prefix before all names, the family's own first part ("model.") absent everywhere.
 * Says so in the log; leaves alone what is ambiguous. SX_EDATA where two names become one. */
sx_status sx_tensor_names_fit(sx_tensors *t, sx_ctx *ctx, const sx_model_family *f) SX_NODISCARD;

/* A tied model with an output matrix of its own in the file, other than the embedding (types may
 * differ: then up to rounding), becomes untied, with a warning. An untied one without is SX_EDATA:
 * other programs would fill it with random numbers. */
sx_status sx_tensor_settle_tying(sx_spec *s, sx_ctx *ctx, const sx_tensors *t,
				 const sx_model_family *f, const char *config) SX_NODISCARD;

#endif

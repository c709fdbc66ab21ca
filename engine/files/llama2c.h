/* Checkpoints of karpathy/llama2.c: legacy version 0 (seven int32, then float32 tensors) and
 * version 1 (magic 0x616b3432, a header of 256 bytes). Orders and sizes as its export.py writes. */
#ifndef SX_ENGINE_FILES_LLAMA2C_H
#define SX_ENGINE_FILES_LLAMA2C_H

#include "engine/base.h"
#include "engine/files/safetensors.h"
#include "engine/spec.h"

/* Opens a .bin as a table under the names of the family llama (model.layers.%d.self_attn.q_proj.weight ...;
 * lm_head.weight only where it is not the embedding). All tensors are F32 and aligned: `data` of
 * one may be used as a const float * in place. What the format does not say is filled in: eps 1e-5,
 * theta 1e4, bos 1, eos 2. spec->interleaved is true: the rows of q_proj and k_proj are as in the
 * file, channels paired (2m, 2m+1); whoever loads them permutes.
 * SX_ENOINPUT; SX_EDATA on a shape that cannot be or does not add up to the size of the file. */
sx_status sx_llama2c_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx,
			  const char *path) SX_NODISCARD;

#endif

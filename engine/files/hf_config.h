/* config.json of Hugging Face's kind, in and out, told apart by model_type; one row per family
 * (family.h):
 *
 *   llama        RoPE of any kind below; biases on q, k, v and o, on the feed-forward block
 *   mistral      a window on all layers
 *   qwen2        biases on q, k and v; a window on some layers
 *   qwen3        QK-norm per head; biases on q, k, v and o; a window on some layers
 *   smollm3      some layers not rotated; a window on some layers
 *   olmo2        norms after the sub-layers, QK-norm over all heads
 *   gpt_neox     LayerNorm, GELU, partial rotation, parallel residual or serial (Pythia)
 *   llama_drope, qwen2_drope
 *                no positional embedding; QK-norm over all heads of q, of k, of both or none;
 *                softmax_scale (https://github.com/SakanaAI/DroPE, for transformers 4.56)
 *   sextant      what those cannot say. Shape under the usual keys, the rest in an object "sextant" of
 *                its own: {"qk_norm": "none|full|head", "qkv_bias": bool, "block": {sx_block, where it
 *                is not Llama's}, "pos": {one key per field of sx_pos_opts; attention_factor null = the
 *                method's own; newer fields where they are not the default}}. Its rope_type is "sextant"
 *                too: transformers refuses that by name, whatever class it is told to use.
 *
 * rope_type: default, linear (our pi), dynamic, yarn, llama3, longrope with its factors. A key that the family
 * does not look at is refused by name unless it is null, changes nothing, or is to be ignored (sx_ctx).
 * Numbers may be written as whole ones or not.
 * Both shapes of the rope keys are read (transformers 4: rope_theta, rope_scaling; 5:
 * rope_parameters) and both are written. What the engine does not do is refused by name. */
#ifndef SX_ENGINE_FILES_HF_CONFIG_H
#define SX_ENGINE_FILES_HF_CONFIG_H

#include "engine/base.h"
#include "engine/files/family.h"
#include "engine/files/safetensors.h"
#include "engine/spec.h"

/* Keys that are absent or null take transformers' defaults for Llama (num_key_value_heads, head_dim,
 * tie_word_embeddings false, bos 1, eos 2; a null bos or eos is none; with a line in the log
 * vocab_size 32000, max_position_embeddings 2048, rms_norm_eps 1e-6, rope_theta 1e4), but for the
 * sizes that a model cannot be guessed by (layers, heads, widths); of a list of eos ids the first counts. T is max_position_embeddings, and
 * pos.train_length original_max_position_embeddings. softmax_scale s gives beta = s sqrt(head_dim);
 * where rounding would change it, a key sextant_beta beside it keeps beta to the bit.
 * SX_ENOINPUT; SX_EDATA names the key. */
sx_status sx_hf_config_read(sx_spec *out, sx_ctx *ctx, const char *path) SX_NODISCARD;

/* The object in a config.json, as it stands; the caller's. A byte order mark is passed over; what is no
 * JSON, NaN and a key that comes twice are SX_EDATA. */
sx_status sx_hf_config_json(struct json_t **out, sx_ctx *ctx, const char *path) SX_NODISCARD;

enum { SX_HF_WHY = 512 };
/* Reads a config.json and opens the tensors beside it (a path as sx_safetensors_open takes it), whose
 * names are those of the family that the first says. Rotary keys that we do not do (llama3's scaling)
 * are SX_EDATA where pos_why is NULL; else the sentence goes into pos_why (SX_HF_WHY; "" if all is
 * well) and spec has plain RoPE with their theta, for those who choose other positions.
 * Wrapped names of tensors are brought to the family's, and spec is tied only where the file has no
 * other output matrix (tensor_names.h). SX_ENOINPUT, SX_EDATA. */
sx_status sx_hf_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx, const char *config,
		     const char *tensors, char *pos_why) SX_NODISCARD;

/* Writes the most standard form that is exactly right; sx_hf_config_form names it ("llama" ...).
 * Rows of q and k are taken to be in half-split order, whatever s->interleaved says of the source.
 * Fields that the method does not look at (factor under rope, say) are kept only in "sextant".
 * SX_ECREATE, SX_EIO. */
sx_status sx_hf_config_write(sx_ctx *ctx, const char *path, const sx_spec *s) SX_NODISCARD;
/* As this family; SX_ECONFIG where it cannot say s. */
sx_status sx_hf_config_write_as(sx_ctx *ctx, const char *path, const sx_model_family *family,
				const sx_spec *s) SX_NODISCARD;
const char *sx_hf_config_form(const sx_spec *s);

#endif

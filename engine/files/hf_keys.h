/* The keys of a config.json that families of Llama's kind share: shape and rope. Internal to
 * engine/files. */
#ifndef SX_ENGINE_FILES_HF_KEYS_H
#define SX_ENGINE_FILES_HF_KEYS_H

#include "engine/files/hf_json.h"
#include "engine/spec.h"

/* Sizes, eps, tying and token ids into s; first what would run silently wrong is refused by name
 * (biases, another activation, quantisation ..). SX_EDATA. */
sx_status sx_hf_read_shape(const sx_hf_reader *r, const json_t *root, sx_spec *s) SX_NODISCARD;
/* The same keys. */
bool sx_hf_put_shape(json_t *root, const sx_spec *s) SX_NODISCARD;

/* The positional method of this name. SX_EDATA where there is none. */
sx_status sx_hf_get_method(const sx_hf_reader *r, sx_pos_opts *o, const char *method) SX_NODISCARD;

/* theta may stand in three places (rope_theta, rope_parameters, rope_scaling), the method in two; all
 * that are there must agree. Looks at s->T. SX_EDATA. */
sx_status sx_hf_read_rope(const sx_hf_reader *r, const json_t *root, sx_spec *s) SX_NODISCARD;
/* rope_theta and rope_parameters, and rope_scaling unless the rope_type is "default". */
bool sx_hf_put_rope(json_t *root, const sx_spec *s, const char *rope_type) SX_NODISCARD;
/* Whether the logits are scaled by what the method itself prescribes, 1 but for yarn. */
bool sx_hf_plain_attention(const sx_pos_opts *o);

#endif

/* qwen2: Llama's block with biases on q, k and v; a window on some layers. */
#include "engine/files/family_qwen.h"

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(sx_hf_read_shape(r, root, s, &sx_hf_qwen));
	SX_TRY(sx_hf_read_rope(r, root, s, &sx_hf_qwen));
	SX_TRY(sx_qwen_read_windows(r, root, s));
	s->qkv_bias = true;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	return sx_block_same(&s->block, &(sx_block){0}) && s->qk_norm == SX_QK_NORM_NONE &&
	       s->qkv_bias && sx_hf_all_rotated(s) && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) && sx_hf_put_windows(root, s) &&
	       sx_hf_put(root, "max_window_layers", json_integer(s->L)) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

const sx_model_family sx_model_family_qwen2 = {
	.model_type = "qwen2",
	.architecture = "Qwen2ForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = sx_qwen_keys,
};

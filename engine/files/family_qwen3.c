/* qwen3: Llama's block with a QK-norm per head; biases on q, k, v and o, or none; a window on some layers. */
#include "engine/files/family_qwen.h"

#include <stdlib.h>

const sx_hf_habits sx_hf_qwen = {.vocab = 151936,
				 .context = 32768,
				 .eps = 1e-6,
				 .theta = 1e4,
				 .bos = -1,
				 .eos = -1,
				 .eps_key = "rms_norm_eps",
				 .theta_key = "rope_theta",
				 .act = "silu"};

const char *const sx_qwen_keys[] = {"attention_bias", "sliding_window",    "use_sliding_window",
				    "layer_types",    "max_window_layers", NULL};

sx_status sx_qwen_read_windows(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	int64_t first = 28;
	bool *sliding = sx_calloc((size_t)s->L, sizeof *sliding);
	if (!sliding) return sx_fail(r->ctx, SX_ENOMEM, "no memory for a list of layers");
	SX_TRY(sx_hf_get_int(r, root, "max_window_layers", &first));
	for (int l = 0; l < s->L; l++) sliding[l] = l >= first;
	SX_TRY(sx_hf_read_windows(r, root, s, sliding));
out:
	free(sliding);
	return st;
}

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(sx_hf_read_shape(r, root, s, &sx_hf_qwen));
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &s->qkv_bias));
	SX_TRY(sx_hf_read_rope(r, root, s, &sx_hf_qwen));
	SX_TRY(sx_qwen_read_windows(r, root, s));
	s->block.o_bias = s->qkv_bias;
	s->qk_norm = SX_QK_NORM_HEAD;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	return sx_block_same(&s->block, &(sx_block){.o_bias = s->qkv_bias}) &&
	       s->qk_norm == SX_QK_NORM_HEAD && sx_hf_all_rotated(s) && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) && sx_hf_put_windows(root, s) &&
	       sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
	       sx_hf_put(root, "max_window_layers", json_integer(s->L)) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

const sx_model_family sx_model_family_qwen3 = {
	.model_type = "qwen3",
	.architecture = "Qwen3ForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = sx_qwen_keys,
};

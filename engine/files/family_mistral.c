/* mistral: Llama's block with a sliding window on all layers; no biases. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

static const sx_hf_habits mistral = {.vocab = 32000,
				     .context = 131072,
				     .eps = 1e-6,
				     .theta = 1e4,
				     .bos = 1,
				     .eos = 2,
				     .eps_key = "rms_norm_eps",
				     .theta_key = "rope_theta",
				     .act = "silu"};

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	int64_t window = 0;
	SX_TRY(sx_hf_read_shape(r, root, s, &mistral));
	SX_TRY(sx_hf_read_rope(r, root, s, &mistral));
	if (!json_object_get(root,
			     "sliding_window")) /* null is none, absent is transformers' default */
		sx_hf_assume(r, "sliding_window", (double)(window = 4096));
	SX_TRY(sx_hf_get_int(r, root, "sliding_window", &window));
	if (sx_hf_get(root, "sliding_window") && window < 1)
		return sx_hf_wrong_kind(r, "sliding_window", "a number of tokens, or null");
	s->pos.window = window;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	return sx_block_same(&s->block, &(sx_block){0}) && s->qk_norm == SX_QK_NORM_NONE &&
	       !s->qkv_bias && sx_hf_same_layers(s) && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	int64_t window = s->pos.window;
	return sx_hf_put_shape(root, s) &&
	       sx_hf_put(root, "sliding_window", window ? json_integer(window) : json_null()) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

static const char *const keys[] = {"sliding_window", NULL};

const sx_model_family sx_model_family_mistral = {
	.model_type = "mistral",
	.architecture = "MistralForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = keys,
};

/* smollm3: Llama's block, some layers not rotated; a window, where there is one, on those. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

#include <stdlib.h>

static const sx_hf_habits smollm3 = {.vocab = 128256,
				     .context = 32768,
				     .eps = 1e-6,
				     .theta = 2e6,
				     .bos = 128000,
				     .eos = 128001,
				     .tied = true,
				     .eps_key = "rms_norm_eps",
				     .theta_key = "rope_theta",
				     .act = "silu"};

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	bool *rotated = NULL;
	SX_TRY(sx_hf_read_shape(r, root, s, &smollm3));
	rotated = sx_calloc((size_t)s->L, sizeof *rotated);
	if (!rotated) return sx_fail(r->ctx, SX_ENOMEM, "no memory for a list of layers");
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &s->qkv_bias));
	SX_TRY(sx_hf_get_bool(r, root, "mlp_bias", &s->block.mlp_bias));
	SX_TRY(sx_hf_read_rope(r, root, s, &smollm3));
	SX_TRY(sx_hf_read_rotated(r, root, s, rotated));
	for (int l = 0; l < s->L; l++) rotated[l] = !rotated[l];
	SX_TRY(sx_hf_read_windows(r, root, s, rotated));
	s->block.o_bias = s->qkv_bias;
out:
	free(rotated);
	return st;
}

static bool says(const sx_spec *s)
{
	const sx_block block = {.o_bias = s->qkv_bias, .mlp_bias = s->block.mlp_bias};
	return sx_block_same(&s->block, &block) && s->qk_norm == SX_QK_NORM_NONE &&
	       s->pos.partial >= 1 && s->pos.beta == 1 && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) && sx_hf_put_windows(root, s) &&
	       sx_hf_put_layers(root, "no_rope_layers", s, &s->pos.rotated_layers, NULL, NULL) &&
	       sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
	       sx_hf_put(root, "mlp_bias", json_boolean(s->block.mlp_bias)) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

static const char *const keys[] = {
	"attention_bias", "mlp_bias",           "no_rope_layers", "no_rope_layer_interval",
	"sliding_window", "use_sliding_window", "layer_types",    NULL};

const sx_model_family sx_model_family_smollm3 = {
	.model_type = "smollm3",
	.architecture = "SmolLM3ForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = keys,
};

/* olmo2: norms after attention and after the feed-forward block, none before; QK-norm over the full width. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

static const sx_hf_habits olmo2 = {.vocab = 50304,
				   .context = 2048,
				   .eps = 1e-5,
				   .theta = 1e4,
				   .bos = -1,
				   .eos = 50279,
				   .eps_key = "rms_norm_eps",
				   .theta_key = "rope_theta",
				   .act = "silu"};

/* clang-format off */
static const sx_tensor_place places[] = {
	{.field = "embed",  .tensor = "model.embed_tokens.weight"},
	{.field = "ln1",    .tensor = "model.layers.%d.post_attention_layernorm.weight"},
	{.field = "wq",     .tensor = "model.layers.%d.self_attn.q_proj.weight"},
	{.field = "wk",     .tensor = "model.layers.%d.self_attn.k_proj.weight"},
	{.field = "wv",     .tensor = "model.layers.%d.self_attn.v_proj.weight"},
	{.field = "bq",     .tensor = "model.layers.%d.self_attn.q_proj.bias"},
	{.field = "bk",     .tensor = "model.layers.%d.self_attn.k_proj.bias"},
	{.field = "bv",     .tensor = "model.layers.%d.self_attn.v_proj.bias"},
	{.field = "q_norm", .tensor = "model.layers.%d.self_attn.q_norm.weight"},
	{.field = "k_norm", .tensor = "model.layers.%d.self_attn.k_norm.weight"},
	{.field = "wo",     .tensor = "model.layers.%d.self_attn.o_proj.weight"},
	{.field = "bo",     .tensor = "model.layers.%d.self_attn.o_proj.bias"},
	{.field = "ln2",    .tensor = "model.layers.%d.post_feedforward_layernorm.weight"},
	{.field = "wg",     .tensor = "model.layers.%d.mlp.gate_proj.weight"},
	{.field = "wu",     .tensor = "model.layers.%d.mlp.up_proj.weight"},
	{.field = "wd",     .tensor = "model.layers.%d.mlp.down_proj.weight"},
	{.field = "ln_f",   .tensor = "model.norm.weight"},
	{.field = "head",   .tensor = "lm_head.weight"},
	{0}};
/* clang-format on */

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(sx_hf_read_shape(r, root, s, &olmo2));
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &s->qkv_bias));
	SX_TRY(sx_hf_read_rope(r, root, s, &olmo2));
	s->block.norm_after = true;
	s->block.o_bias = s->qkv_bias;
	s->qk_norm = SX_QK_NORM_FULL;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	const sx_block block = {.norm_after = true, .o_bias = s->qkv_bias};
	return sx_block_same(&s->block, &block) && s->qk_norm == SX_QK_NORM_FULL &&
	       s->pos.window == 0 && sx_hf_same_layers(s) && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) &&
	       sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

static const char *const keys[] = {"attention_bias", NULL};

const sx_model_family sx_model_family_olmo2 = {
	.model_type = "olmo2",
	.architecture = "Olmo2ForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = places,
	.buffers = sx_buffers_llama,
	.keys = keys,
};

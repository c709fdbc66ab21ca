/* llama: RoPE of any kind that transformers names; biases on q, k, v and o, on the feed-forward block. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

/* clang-format off */
const sx_tensor_place sx_places_llama[] = {
	{.field = "embed",  .tensor = "model.embed_tokens.weight"},
	{.field = "ln1",    .tensor = "model.layers.%d.input_layernorm.weight"},
	{.field = "ln1_b",  .tensor = "model.layers.%d.input_layernorm.bias"},
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
	{.field = "ln2",    .tensor = "model.layers.%d.post_attention_layernorm.weight"},
	{.field = "ln2_b",  .tensor = "model.layers.%d.post_attention_layernorm.bias"},
	{.field = "wg",     .tensor = "model.layers.%d.mlp.gate_proj.weight"},
	{.field = "wu",     .tensor = "model.layers.%d.mlp.up_proj.weight"},
	{.field = "wd",     .tensor = "model.layers.%d.mlp.down_proj.weight"},
	{.field = "bg",     .tensor = "model.layers.%d.mlp.gate_proj.bias"},
	{.field = "bu",     .tensor = "model.layers.%d.mlp.up_proj.bias"},
	{.field = "bd",     .tensor = "model.layers.%d.mlp.down_proj.bias"},
	{.field = "ln_f",   .tensor = "model.norm.weight"},
	{.field = "ln_f_b", .tensor = "model.norm.bias"},
	{.field = "head",   .tensor = "lm_head.weight"},
	{0}};
/* clang-format on */

const char *const sx_buffers_llama[] = {"rotary_emb.inv_freq",
					"rotary_emb.cos_cached",
					"rotary_emb.sin_cached",
					"attention.bias",
					"attention.masked_bias",
					"self_attn.masked_bias",
					NULL};

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(sx_hf_read_shape(r, root, s, &sx_hf_llama));
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &s->qkv_bias));
	SX_TRY(sx_hf_get_bool(r, root, "mlp_bias", &s->block.mlp_bias));
	s->block.o_bias = s->qkv_bias;
	SX_TRY(sx_hf_read_rope(r, root, s, &sx_hf_llama));
out:
	return st;
}

static bool says(const sx_spec *s)
{
	const sx_block block = {.o_bias = s->qkv_bias, .mlp_bias = s->block.mlp_bias};
	return sx_block_same(&s->block, &block) && s->qk_norm == SX_QK_NORM_NONE &&
	       s->pos.window == 0 && sx_hf_same_layers(s) && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) &&
	       sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
	       sx_hf_put(root, "mlp_bias", json_boolean(s->block.mlp_bias)) &&
	       sx_hf_put_rope(root, s, sx_hf_rope_type(s));
}

static const char *const keys[] = {"attention_bias", "mlp_bias", NULL};

const sx_model_family sx_model_family_llama = {
	.model_type = "llama",
	.architecture = "LlamaForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = keys,
};

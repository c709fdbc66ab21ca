/* llama: rope; linear scaling (our pi); yarn. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

#include <math.h>
#include <string.h>

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
	SX_TRY(sx_hf_read_shape(r, root, s));
	SX_TRY(sx_hf_read_rope(r, root, s));
out:
	return st;
}

/* The context that yarn's ramp is made from, which transformers takes from another place. */
static bool yarn_is_standard(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	if (o->train_length == 0 || o->train_length == s->T) return true;
	/* Given the original length, transformers before 4.56 puts T / original for the factor
	 * (its issue 38224): standard only where that is the same. */
	return (double)s->T == o->factor * (double)o->train_length;
}

static bool says(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	if (!sx_block_same(&s->block, &(sx_block){0})) return false;
	if (o->partial < 1 || o->rotated_layers.n || o->windowed_layers.n) return false;
	if (s->qkv_bias || o->window || s->qk_norm != SX_QK_NORM_NONE || o->beta != 1) return false;
	if (strcmp(o->method, "yarn") == 0) return yarn_is_standard(s);
	bool standard = strcmp(o->method, "rope") == 0 || strcmp(o->method, "pi") == 0;
	return standard && sx_hf_plain_attention(o);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	const char *method = s->pos.method, *type = "default";
	if (strcmp(method, "pi") == 0) type = "linear";
	if (strcmp(method, "yarn") == 0) type = "yarn";
	return sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, type);
}

const sx_model_family sx_model_family_llama = {
	.model_type = "llama",
	.architecture = "LlamaForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
};

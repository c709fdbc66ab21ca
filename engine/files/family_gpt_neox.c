/* gpt_neox (Pythia): LayerNorm, GELU, biases, one q-k-v matrix head by head, partial rotation, both sub-layers
 * side by side or one after the other. */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

static const sx_hf_habits gpt_neox = {.vocab = 50432,
				      .context = 2048,
				      .eps = 1e-5,
				      .theta = 1e4,
				      .partial = 0.25,
				      .bos = 0,
				      .eos = 2,
				      .eps_key = "layer_norm_eps",
				      .theta_key = "rotary_emb_base",
				      .partial_key = "rotary_pct",
				      .act = "gelu"};

/* clang-format off */
#define LAYER "gpt_neox.layers.%d."
static const sx_tensor_place places[] = {
	{.field = "embed",  .tensor = "gpt_neox.embed_in.weight"},
	{.field = "ln1",    .tensor = LAYER "input_layernorm.weight"},
	{.field = "ln1_b",  .tensor = LAYER "input_layernorm.bias"},
	{.field = "wq",     .tensor = LAYER "attention.query_key_value.weight", SX_PLACE_HEADS, 0, 3},
	{.field = "wk",     .tensor = LAYER "attention.query_key_value.weight", SX_PLACE_HEADS, 1, 3},
	{.field = "wv",     .tensor = LAYER "attention.query_key_value.weight", SX_PLACE_HEADS, 2, 3},
	{.field = "bq",     .tensor = LAYER "attention.query_key_value.bias", SX_PLACE_HEADS, 0, 3},
	{.field = "bk",     .tensor = LAYER "attention.query_key_value.bias", SX_PLACE_HEADS, 1, 3},
	{.field = "bv",     .tensor = LAYER "attention.query_key_value.bias", SX_PLACE_HEADS, 2, 3},
	{.field = "wo",     .tensor = LAYER "attention.dense.weight"},
	{.field = "bo",     .tensor = LAYER "attention.dense.bias"},
	{.field = "ln2",    .tensor = LAYER "post_attention_layernorm.weight"},
	{.field = "ln2_b",  .tensor = LAYER "post_attention_layernorm.bias"},
	{.field = "wu",     .tensor = LAYER "mlp.dense_h_to_4h.weight"},
	{.field = "bu",     .tensor = LAYER "mlp.dense_h_to_4h.bias"},
	{.field = "wd",     .tensor = LAYER "mlp.dense_4h_to_h.weight"},
	{.field = "bd",     .tensor = LAYER "mlp.dense_4h_to_h.bias"},
	{.field = "ln_f",   .tensor = "gpt_neox.final_layer_norm.weight"},
	{.field = "ln_f_b", .tensor = "gpt_neox.final_layer_norm.bias"},
	{.field = "head",   .tensor = "embed_out.weight"},
	{0}};
/* clang-format on */

static const char *const buffers[] = {"rotary_emb.inv_freq", "attention.bias",
				      "attention.masked_bias", NULL};

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	bool bias = true, parallel = true;
	SX_TRY(sx_hf_read_shape(r, root, s, &gpt_neox));
	if (s->Hkv != s->H || s->D * s->H != s->C)
		return sx_fail(
			r->ctx, SX_EDATA,
			"%s: %d query and %d key/value heads of %d channels: in gpt_neox all "
			"heads have their own keys, and together hidden_size %d channels",
			r->path, s->H, s->Hkv, s->D, s->C);
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &bias));
	SX_TRY(sx_hf_get_bool(r, root, "use_parallel_residual", &parallel));
	SX_TRY(sx_hf_read_rope(r, root, s, &gpt_neox));
	s->block = (sx_block){.norm = SX_NORM_LAYER,
			      .parallel = parallel,
			      .mlp = SX_MLP_GELU,
			      .o_bias = bias,
			      .mlp_bias = true};
	s->qkv_bias = bias;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	const sx_block block = {.norm = SX_NORM_LAYER,
				.parallel = s->block.parallel,
				.mlp = SX_MLP_GELU,
				.o_bias = s->qkv_bias,
				.mlp_bias = true};
	return sx_block_same(&s->block, &block) && s->qk_norm == SX_QK_NORM_NONE &&
	       s->Hkv == s->H && s->D * s->H == s->C && s->pos.window == 0 && s->pos.beta == 1 &&
	       s->pos.rotated_layers.n == 0 && sx_hf_rope_type(s);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	bool ok = sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, sx_hf_rope_type(s)) &&
		  sx_hf_put(root, "layer_norm_eps", json_real(s->eps)) &&
		  sx_hf_put(root, "hidden_act", json_string("gelu")) &&
		  sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
		  sx_hf_put(root, "use_parallel_residual", json_boolean(s->block.parallel)) &&
		  sx_hf_put(root, "rotary_pct", json_real(s->pos.partial)) &&
		  sx_hf_put(root, "rotary_emb_base", json_real(s->pos.theta));
	static const char *const others[] = {"rms_norm_eps", "mlp_bias", "num_key_value_heads",
					     "head_dim", "rope_theta"};
	for (int i = 0; ok && i < 5; i++) ok = json_object_del(root, others[i]) == 0;
	return ok;
}

static const char *const keys[] = {"attention_bias", "layer_norm_eps",  "use_parallel_residual",
				   "rotary_pct",     "rotary_emb_base", NULL};

const sx_model_family sx_model_family_gpt_neox = {
	.model_type = "gpt_neox",
	.architecture = "GPTNeoXForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = places,
	.buffers = buffers,
	.keys = keys,
};

/* llama_drope and qwen2_drope: no positional embedding, QK-norm over all heads on both sides, one, or none,
 * softmax_scale (https://github.com/SakanaAI/DroPE, for transformers 4.56). */
#include "engine/files/family_qwen.h"

#include <math.h>
#include <string.h>

/* Both norms are in the file, whichever is applied. */
static const struct {
	const char *name;
	sx_qk_norm norm;
	bool q_plain, k_plain;
} types[] = {{"nope", SX_QK_NORM_NONE, false, false},
	     {"qk_norm_nope", SX_QK_NORM_FULL, false, false},
	     {"q_norm_nope", SX_QK_NORM_FULL, false, true},
	     {"k_norm_nope", SX_QK_NORM_FULL, true, false}};
enum { N_TYPES = sizeof types / sizeof types[0] };

/* N_TYPES where there is none. */
static int type_of(const sx_spec *s)
{
	int k = 0;
	while (k < N_TYPES &&
	       (types[k].norm != s->qk_norm || types[k].q_plain != s->block.q_plain ||
		types[k].k_plain != s->block.k_plain))
		k++;
	return k;
}

static sx_status read_type(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	const char *type = NULL;
	int k = 0;
	sx_status st = sx_hf_get_string(r, root, "attention_type", &type);
	if (st != SX_OK) return st;
	if (!type) return sx_hf_missing(r, "attention_type");
	while (k < N_TYPES && strcmp(types[k].name, type) != 0) k++;
	if (k == N_TYPES)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the attention_type %.60s is not supported; nope, qk_norm_nope, "
			       "q_norm_nope and k_norm_nope are",
			       r->path, type);
	s->qk_norm = types[k].norm;
	s->block.q_plain = types[k].q_plain, s->block.k_plain = types[k].k_plain;
	return SX_OK;
}

/* Whatever rope keys are left from the model's past are not used by DroPE's attention. */
static sx_status read_drope(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			    const sx_hf_habits *h)
{
	sx_status st = SX_OK;
	double scale = 0, beta = (double)NAN;
	SX_TRY(sx_hf_read_shape(r, root, s, h));
	SX_TRY(read_type(r, root, s));
	SX_TRY(sx_hf_get_number(r, root, "rope_theta", &s->pos.theta));
	SX_TRY(sx_hf_get_number(r, root, "softmax_scale", &scale));
	SX_TRY(sx_hf_get_method(r, &s->pos, "nope"));
	if (sx_hf_get(root, "softmax_scale")) s->pos.beta = scale * sqrt((double)s->D);
	/* the last bit, which resuming needs; ignored where the scale was edited */
	SX_TRY(sx_hf_get_number(r, root, "sextant_beta", &beta));
	if (beta / sqrt((double)s->D) == scale) s->pos.beta = beta;
out:
	return st;
}

static bool says_drope(const sx_spec *s, const sx_block *block)
{
	const sx_pos_opts *o = &s->pos;
	sx_block b = *block;
	b.q_plain = s->block.q_plain, b.k_plain = s->block.k_plain;
	return sx_block_same(&s->block, &b) && type_of(s) < N_TYPES && o->partial >= 1 &&
	       strcmp(o->method, "nope") == 0 && sx_hf_plain_attention(o);
}

static bool write_drope(json_t *root, const sx_spec *s)
{
	bool ok = sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, "default") &&
		  sx_hf_put(root, "attention_type", json_string(types[type_of(s)].name));
	double root_d = sqrt((double)s->D), scale = s->pos.beta / root_d;
	if (s->pos.beta != 1) /* never as null: DroPE would take null for the scale */
		ok = ok && sx_hf_put(root, "softmax_scale", json_real(scale));
	if (s->pos.beta != 1 && scale * root_d != s->pos.beta)
		ok = ok && sx_hf_put(root, "sextant_beta", json_real(s->pos.beta));
	return ok;
}

/* ---- of Llama's kind ---- */

static sx_status read_llama(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(read_drope(r, root, s, &sx_hf_llama));
	SX_TRY(sx_hf_get_bool(r, root, "attention_bias", &s->qkv_bias));
	SX_TRY(sx_hf_get_bool(r, root, "mlp_bias", &s->block.mlp_bias));
	s->block.o_bias = s->qkv_bias;
out:
	return st;
}

static bool says_llama(const sx_spec *s)
{
	const sx_block block = {.o_bias = s->qkv_bias, .mlp_bias = s->block.mlp_bias};
	return s->pos.window == 0 && says_drope(s, &block);
}

static bool write_llama(json_t *root, const sx_spec *s)
{
	return write_drope(root, s) &&
	       sx_hf_put(root, "attention_bias", json_boolean(s->qkv_bias)) &&
	       sx_hf_put(root, "mlp_bias", json_boolean(s->block.mlp_bias));
}

static const char *const llama_keys[] = {"attention_bias", "mlp_bias",     "attention_type",
					 "softmax_scale",  "sextant_beta", NULL};

const sx_model_family sx_model_family_drope = {
	.model_type = "llama_drope",
	.architecture = "DroPELlamaForCausalLM",
	.read = read_llama,
	.says = says_llama,
	.write = write_llama,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = llama_keys,
};

/* ---- of Qwen2's ---- */

static sx_status read_qwen2(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	SX_TRY(read_drope(r, root, s, &sx_hf_qwen));
	SX_TRY(sx_qwen_read_windows(r, root, s));
	s->qkv_bias = true;
out:
	return st;
}

static bool says_qwen2(const sx_spec *s)
{
	return s->qkv_bias && says_drope(s, &(sx_block){0});
}

static bool write_qwen2(json_t *root, const sx_spec *s)
{
	return write_drope(root, s) && sx_hf_put_windows(root, s) &&
	       sx_hf_put(root, "max_window_layers", json_integer(s->L));
}

static const char *const qwen2_keys[] = {
	"attention_type", "softmax_scale",      "sextant_beta",      "sliding_window",
	"layer_types",    "use_sliding_window", "max_window_layers", NULL};

const sx_model_family sx_model_family_qwen2_drope = {
	.model_type = "qwen2_drope",
	.architecture = "DroPEQwen2ForCausalLM",
	.read = read_qwen2,
	.says = says_qwen2,
	.write = write_qwen2,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = qwen2_keys,
};

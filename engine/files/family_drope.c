/* llama_drope: no positional embedding, QK-norm over all heads or none, softmax_scale
 * (https://github.com/SakanaAI/DroPE, for transformers 4.56). */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

#include <math.h>
#include <string.h>

/* Whatever rope keys are left from the model's past are not used by DroPE's attention. */
static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	const char *type = NULL;
	double scale = 0, beta = (double)NAN;
	SX_TRY(sx_hf_read_shape(r, root, s));
	SX_TRY(sx_hf_get_string(r, root, "attention_type", &type));
	if (!type) return sx_hf_missing(r, "attention_type");
	SX_TRY(sx_hf_get_number(r, root, "rope_theta", &s->pos.theta));
	SX_TRY(sx_hf_get_number(r, root, "softmax_scale", &scale));
	SX_TRY(sx_hf_get_method(r, &s->pos, "nope"));
	if (strcmp(type, "qk_norm_nope") == 0)
		s->qk_norm = SX_QK_NORM_FULL;
	else if (strcmp(type, "nope") != 0)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the attention_type %.60s is not supported; nope and "
			       "qk_norm_nope are",
			       r->path, type);
	if (sx_hf_get(root, "softmax_scale")) s->pos.beta = scale * sqrt((double)s->D);
	/* the last bit, which resuming needs; ignored where the scale was edited */
	SX_TRY(sx_hf_get_number(r, root, "sextant_beta", &beta));
	if (beta / sqrt((double)s->D) == scale) s->pos.beta = beta;
out:
	return st;
}

static bool says(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	if (!sx_block_same(&s->block, &(sx_block){0})) return false;
	if (o->partial < 1 || o->rotated_layers.n || o->windowed_layers.n) return false;
	if (s->qkv_bias || o->window || s->qk_norm == SX_QK_NORM_HEAD) return false;
	return strcmp(o->method, "nope") == 0 && sx_hf_plain_attention(o);
}

static bool write_config(json_t *root, const sx_spec *s)
{
	bool ok = sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, "default") &&
		  sx_hf_put(root, "attention_type",
			    json_string(s->qk_norm == SX_QK_NORM_FULL ? "qk_norm_nope" : "nope"));
	double root_d = sqrt((double)s->D), scale = s->pos.beta / root_d;
	if (s->pos.beta != 1) /* never as null: DroPE would take null for the scale */
		ok = ok && sx_hf_put(root, "softmax_scale", json_real(scale));
	if (s->pos.beta != 1 && scale * root_d != s->pos.beta)
		ok = ok && sx_hf_put(root, "sextant_beta", json_real(s->pos.beta));
	return ok;
}

const sx_model_family sx_model_family_drope = {
	.model_type = "llama_drope",
	.architecture = "DroPELlamaForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
};

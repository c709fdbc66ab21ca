/* sextant: what no other family can say: window, biases on q, k, v alone, other QK-norms, p-rope, ntk,
 * beta. Shape under the usual keys, the rest in an object "sextant" of its own (hf_config.h). */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

#include <math.h>

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	static const char *const known[] = {"qk_norm", "qkv_bias", "pos", NULL};
	static const char *const known_pos[] = {
		"method", "theta",     "factor", "beta",         "beta_fast",        "truncate",
		"keep",   "beta_slow", "window", "train_length", "attention_factor", NULL};
	sx_status st = SX_OK;
	json_t *own = json_object_get(root, "sextant"), *pos = json_object_get(own, "pos");
	const char *norm = "none", *method = NULL;
	sx_pos_opts *o = &s->pos;
	SX_TRY(sx_hf_read_shape(r, root, s));
	if (!json_is_object(own)) return sx_hf_missing(r, "sextant");
	if (!json_is_object(pos)) return sx_hf_missing(r, "sextant.pos");
	SX_TRY(sx_hf_only_known(r, own, "sextant", known));
	SX_TRY(sx_hf_only_known(r, pos, "sextant.pos", known_pos));
	SX_TRY(sx_hf_get_string(r, own, "qk_norm", &norm));
	SX_TRY(sx_hf_get_bool(r, own, "qkv_bias", &s->qkv_bias));
	SX_TRY(sx_hf_get_string(r, pos, "method", &method));
	SX_TRY(sx_hf_get_number(r, pos, "theta", &o->theta));
	SX_TRY(sx_hf_get_number(r, pos, "factor", &o->factor));
	SX_TRY(sx_hf_get_number(r, pos, "beta", &o->beta));
	SX_TRY(sx_hf_get_int(r, pos, "train_length", &o->train_length));
	SX_TRY(sx_hf_get_number(r, pos, "beta_fast", &o->beta_fast));
	SX_TRY(sx_hf_get_number(r, pos, "beta_slow", &o->beta_slow));
	SX_TRY(sx_hf_get_bool(r, pos, "truncate", &o->truncate));
	SX_TRY(sx_hf_get_number(r, pos, "attention_factor", &o->attention_factor));
	SX_TRY(sx_hf_get_number(r, pos, "keep", &o->keep));
	SX_TRY(sx_hf_get_int(r, pos, "window", &o->window));
	if (!method) return sx_hf_missing(r, "sextant.pos.method");
	SX_TRY(sx_hf_get_method(r, o, method));
	if (!sx_qk_norm_parse(norm, &s->qk_norm))
		return sx_hf_wrong_kind(r, "sextant.qk_norm", "none, full or head");
out:
	return st;
}

static bool says(const sx_spec *s)
{
	(void)s;
	return true;
}

static json_t *sextant_object(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	json_t *af = isnan(o->attention_factor) ? json_null() : json_real(o->attention_factor);
	json_t *pos =
		json_pack("{s:s, s:f, s:f, s:f, s:I, s:f, s:f, s:b, s:o, s:f, s:I}", "method",
			  o->method, "theta", o->theta, "factor", o->factor, "beta", o->beta,
			  "train_length", (json_int_t)o->train_length, "beta_fast", o->beta_fast,
			  "beta_slow", o->beta_slow, "truncate", (int)o->truncate,
			  "attention_factor", af, "keep", o->keep, "window", (json_int_t)o->window);
	return json_pack("{s:s, s:b, s:o}", "qk_norm", sx_qk_norm_name(s->qk_norm), "qkv_bias",
			 (int)s->qkv_bias, "pos", pos);
}

/* The rope_type is one that transformers does not know: it refuses by name, whatever class it is told
 * to use. */
static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, "sextant") &&
	       sx_hf_put(root, "sextant", sextant_object(s));
}

const sx_model_family sx_model_family_sextant = {
	.model_type = "sextant",
	.architecture = "SextantForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
};

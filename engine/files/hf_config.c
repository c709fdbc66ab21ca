/* config.json of the Llama family, in and out. */
#include "engine/files/hf_config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading: typed look-ups, each with its sentence ---- */

typedef struct {
	sx_ctx *ctx;
	const char *path;
} reader;

/* The value of a key; NULL where it is absent or null. */
static const json_t *get(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);
	return json_is_null(v) ? NULL : v;
}

static sx_status wrong_kind(const reader *r, const char *key, const char *wanted)
{
	return sx_fail(r->ctx, SX_EDATA, "%s: %s must be %s", r->path, key, wanted);
}

static sx_status missing(const reader *r, const char *key)
{
	return sx_fail(r->ctx, SX_EDATA, "%s: the key %s is missing", r->path, key);
}

/* The four leave *out alone where the key is absent. */
static sx_status get_int(const reader *r, const json_t *obj, const char *key, int64_t *out)
{
	const json_t *v = get(obj, key);
	if (v && !json_is_integer(v)) return wrong_kind(r, key, "a whole number");
	if (v) *out = json_integer_value(v);
	return SX_OK;
}

static sx_status get_number(const reader *r, const json_t *obj, const char *key, double *out)
{
	const json_t *v = get(obj, key);
	if (v && !json_is_number(v)) return wrong_kind(r, key, "a number");
	if (v) *out = json_number_value(v);
	return SX_OK;
}

static sx_status get_bool(const reader *r, const json_t *obj, const char *key, bool *out)
{
	const json_t *v = get(obj, key);
	if (v && !json_is_boolean(v)) return wrong_kind(r, key, "true or false");
	if (v) *out = json_is_true(v);
	return SX_OK;
}

static sx_status get_string(const reader *r, const json_t *obj, const char *key, const char **out)
{
	const json_t *v = get(obj, key);
	if (v && !json_is_string(v)) return wrong_kind(r, key, "a string");
	if (v) *out = json_string_value(v);
	return SX_OK;
}

/* Refuses the first key of obj that is not in known (ends with NULL). */
static sx_status only_known(const reader *r, json_t *obj, const char *where,
			    const char *const *known)
{
	const char *key;
	json_t *value;
	json_object_foreach(obj, key, value)
	{
		int i = 0;
		while (known[i] && strcmp(known[i], key) != 0) i++;
		if (!known[i])
			return sx_fail(
				r->ctx, SX_EDATA,
				"%s: %s.%.60s is not supported: running the model without it "
				"would be wrong",
				r->path, where, key);
	}
	return SX_OK;
}

static sx_status get_method(const reader *r, sx_pos_opts *o, const char *method)
{
	const sx_pos_method *m = sx_pos_find(method);
	if (!m || strlen(m->name) >= sizeof o->method)
		return sx_fail(r->ctx, SX_EDATA, "%s: pos.method = %.60s is not known", r->path,
			       method);
	memset(o->method, 0, sizeof o->method);
	memcpy(o->method, m->name, strlen(m->name));
	return SX_OK;
}

/* Top level or in a rope dictionary; two different methods go by this key. */
static sx_status refuse_partial(const reader *r, const json_t *obj)
{
	double partial = 1;
	sx_status st = get_number(r, obj, "partial_rotary_factor", &partial);
	if (st == SX_OK && partial != 1)
		st = sx_fail(r->ctx, SX_EDATA, "%s: partial_rotary_factor = %g is not supported",
			     r->path, partial);
	return st;
}

/* ---- reading: rotary keys of transformers ---- */

static double yarn_mscale(double factor, double k)
{
	return factor <= 1 ? 1 : 0.1 * k * log(factor) + 1;
}

/* root: the whole configuration; d: its rope dictionary; T: max_position_embeddings. */
static sx_status read_yarn(const reader *r, const json_t *root, const json_t *d, int64_t T,
			   sx_pos_opts *o)
{
	sx_status st = SX_OK;
	double mscale = 0, mscale_all_dim = 0, beta_fast = 0, beta_slow = 0, factor = (double)NAN;
	SX_TRY(get_int(r, d, "original_max_position_embeddings", &o->train_length));
	SX_TRY(get_int(r, root, "original_max_position_embeddings", &o->train_length));
	SX_TRY(get_number(r, d, "factor", &factor));
	SX_TRY(get_number(r, d, "beta_fast", &beta_fast));
	SX_TRY(get_number(r, d, "beta_slow", &beta_slow));
	SX_TRY(get_number(r, d, "attention_factor", &o->attention_factor));
	SX_TRY(get_number(r, d, "mscale", &mscale));
	SX_TRY(get_number(r, d, "mscale_all_dim", &mscale_all_dim));
	SX_TRY(get_bool(r, d, "truncate", &o->truncate));
	if (isnan(factor) && o->train_length > 0) factor = (double)T / (double)o->train_length;
	if (isnan(factor)) return missing(r, "factor of yarn");
	o->factor = factor;
	/* transformers takes 0 for "not set" here */
	if (beta_fast != 0) o->beta_fast = beta_fast;
	if (beta_slow != 0) o->beta_slow = beta_slow;
	if (isnan(o->attention_factor) && mscale != 0 && mscale_all_dim != 0)
		o->attention_factor =
			yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim);
out:
	return st;
}

/* One of rope_parameters, rope_scaling into o, which holds defaults; *theta if it has one. */
static sx_status read_rope_dict(const reader *r, const json_t *root, const char *where, int64_t T,
				sx_pos_opts *o, double *theta)
{
	static const char *const known[] = {"rope_type",
					    "type",
					    "rope_theta",
					    "partial_rotary_factor",
					    "factor",
					    "original_max_position_embeddings",
					    "beta_fast",
					    "beta_slow",
					    "attention_factor",
					    "mscale",
					    "mscale_all_dim",
					    "truncate",
					    NULL};
	sx_status st = SX_OK;
	json_t *d = json_object_get(root, where);
	const char *type = NULL;
	if (!json_is_object(d)) return wrong_kind(r, where, "an object");
	SX_TRY(get_string(r, d, "type", &type));
	SX_TRY(get_string(r, d, "rope_type", &type));
	SX_TRY(get_number(r, d, "rope_theta", theta));
	SX_TRY(refuse_partial(r, d));
	if (!type) type = "default";
	if (strcmp(type, "default") == 0) {
		SX_TRY(get_method(r, o, "rope"));
	} else if (strcmp(type, "linear") == 0) {
		if (!get(d, "factor")) return missing(r, "factor of linear scaling");
		SX_TRY(get_method(r, o, "pi"));
		SX_TRY(get_number(r, d, "factor", &o->factor));
	} else if (strcmp(type, "yarn") == 0) {
		SX_TRY(get_method(r, o, "yarn"));
		SX_TRY(read_yarn(r, root, d, T, o));
	} else {
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the rope_type %.60s is not supported; default, linear and yarn "
			       "are",
			       r->path, type);
	}
	SX_TRY(only_known(r, d, where, known));
out:
	return st;
}

static bool same_number(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static bool same_rope(const sx_pos_opts *a, const sx_pos_opts *b)
{
	return strcmp(a->method, b->method) == 0 && a->factor == b->factor &&
	       a->train_length == b->train_length && a->beta_fast == b->beta_fast &&
	       a->beta_slow == b->beta_slow && a->truncate == b->truncate &&
	       same_number(a->attention_factor, b->attention_factor);
}

/* theta may stand in three places, the method in two; all that are there must agree. */
static sx_status read_rope(const reader *r, const json_t *root, sx_spec *s)
{
	static const char *const where[] = {"rope_parameters", "rope_scaling"};
	sx_status st = SX_OK;
	bool found = false;
	double theta = (double)NAN;
	SX_TRY(get_number(r, root, "rope_theta", &theta));
	for (int i = 0; i < 2; i++) {
		if (!get(root, where[i])) continue;
		sx_pos_opts o = sx_pos_opts_default();
		double own = theta;
		SX_TRY(read_rope_dict(r, root, where[i], s->T, &o, &own));
		if (!isnan(theta) && own != theta)
			return sx_fail(r->ctx, SX_EDATA, "%s: rope_theta is given twice, %g and %g",
				       r->path, theta, own);
		if (found && !same_rope(&o, &s->pos))
			return sx_fail(r->ctx, SX_EDATA,
				       "%s: rope_parameters and rope_scaling say different things",
				       r->path);
		found = true;
		theta = own;
		s->pos = o;
	}
	if (!isnan(theta)) s->pos.theta = theta;
out:
	return st;
}

/* ---- reading: the three forms ---- */

static sx_status read_llama(const reader *r, const json_t *root, sx_spec *s)
{
	return read_rope(r, root, s);
}

/* Whatever rope keys are left from the model's past are not used by DroPE's attention. */
static sx_status read_drope(const reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	const char *type = NULL;
	double scale = 0, beta = (double)NAN;
	SX_TRY(get_string(r, root, "attention_type", &type));
	if (!type) return missing(r, "attention_type");
	SX_TRY(get_number(r, root, "rope_theta", &s->pos.theta));
	SX_TRY(get_number(r, root, "softmax_scale", &scale));
	SX_TRY(get_method(r, &s->pos, "nope"));
	if (strcmp(type, "qk_norm_nope") == 0)
		s->qk_norm = SX_QK_NORM_FULL;
	else if (strcmp(type, "nope") != 0)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the attention_type %.60s is not supported; nope and "
			       "qk_norm_nope are",
			       r->path, type);
	if (get(root, "softmax_scale")) s->pos.beta = scale * sqrt((double)s->D);
	/* the last bit, which resuming needs; ignored where the scale was edited */
	SX_TRY(get_number(r, root, "sextant_beta", &beta));
	if (beta / sqrt((double)s->D) == scale) s->pos.beta = beta;
out:
	return st;
}

static sx_status read_sextant(const reader *r, const json_t *root, sx_spec *s)
{
	static const char *const known[] = {"qk_norm", "qkv_bias", "pos", NULL};
	static const char *const known_pos[] = {
		"method", "theta",     "factor", "beta",         "beta_fast",        "truncate",
		"keep",   "beta_slow", "window", "train_length", "attention_factor", NULL};
	sx_status st = SX_OK;
	json_t *own = json_object_get(root, "sextant"), *pos = json_object_get(own, "pos");
	const char *norm = "none", *method = NULL;
	sx_pos_opts *o = &s->pos;
	if (!json_is_object(own)) return missing(r, "sextant");
	if (!json_is_object(pos)) return missing(r, "sextant.pos");
	SX_TRY(only_known(r, own, "sextant", known));
	SX_TRY(only_known(r, pos, "sextant.pos", known_pos));
	SX_TRY(get_string(r, own, "qk_norm", &norm));
	SX_TRY(get_bool(r, own, "qkv_bias", &s->qkv_bias));
	SX_TRY(get_string(r, pos, "method", &method));
	SX_TRY(get_number(r, pos, "theta", &o->theta));
	SX_TRY(get_number(r, pos, "factor", &o->factor));
	SX_TRY(get_number(r, pos, "beta", &o->beta));
	SX_TRY(get_int(r, pos, "train_length", &o->train_length));
	SX_TRY(get_number(r, pos, "beta_fast", &o->beta_fast));
	SX_TRY(get_number(r, pos, "beta_slow", &o->beta_slow));
	SX_TRY(get_bool(r, pos, "truncate", &o->truncate));
	SX_TRY(get_number(r, pos, "attention_factor", &o->attention_factor));
	SX_TRY(get_number(r, pos, "keep", &o->keep));
	SX_TRY(get_int(r, pos, "window", &o->window));
	if (!method) return missing(r, "sextant.pos.method");
	SX_TRY(get_method(r, o, method));
	if (!sx_qk_norm_parse(norm, &s->qk_norm))
		return wrong_kind(r, "sextant.qk_norm", "none, full or head");
out:
	return st;
}

/* A reader for each form; writing shares the names. */
static const struct {
	const char *name, *architecture;
	sx_status (*read)(const reader *r, const json_t *root, sx_spec *s);
} forms[] = {
	{"llama", "LlamaForCausalLM", read_llama},
	{"llama_drope", "DroPELlamaForCausalLM", read_drope},
	{"sextant", "SextantForCausalLM", read_sextant},
};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

/* ---- reading: what the forms share ---- */

/* What would run silently wrong. */
static sx_status refuse_unsupported(const reader *r, const json_t *root)
{
	static const char *const flags[] = {"attention_bias", "mlp_bias", "rope_interleaved"};
	sx_status st = SX_OK;
	const char *act = "silu";
	for (int i = 0; i < 3; i++) {
		bool on = false;
		SX_TRY(get_bool(r, root, flags[i], &on));
		if (on)
			return sx_fail(r->ctx, SX_EDATA, "%s: %s = true is not supported", r->path,
				       flags[i]);
	}
	SX_TRY(get_string(r, root, "hidden_act", &act));
	if (strcmp(act, "silu") != 0)
		return sx_fail(r->ctx, SX_EDATA, "%s: hidden_act = %.60s is not supported, silu is",
			       r->path, act);
	SX_TRY(refuse_partial(r, root));
	if (get(root, "quantization_config"))
		return sx_fail(r->ctx, SX_EDATA, "%s: quantization_config is not supported",
			       r->path);
out:
	return st;
}

static sx_status read_token(const reader *r, const json_t *root, const char *key, int absent,
			    int *out)
{
	const json_t *v = json_object_get(root, key);
	if (json_is_array(v)) v = json_array_get(v, 0);
	json_int_t id = json_integer_value(v);
	if (v && !json_is_null(v) && (!json_is_integer(v) || id < 0 || id > INT32_MAX))
		return wrong_kind(r, key, "a token id");
	*out = !v ? absent : json_is_null(v) ? -1 : (int)id;
	return SX_OK;
}

static sx_status read_shape(const reader *r, const json_t *root, sx_spec *s)
{
	const struct {
		const char *key;
		int *field;
	} sizes[] = {{"vocab_size", &s->V},        {"hidden_size", &s->C},
		     {"num_hidden_layers", &s->L}, {"num_attention_heads", &s->H},
		     {"intermediate_size", &s->F}, {"num_key_value_heads", &s->Hkv},
		     {"head_dim", &s->D}};
	enum { N_SIZES = sizeof sizes / sizeof sizes[0], N_REQUIRED = 5 };
	sx_status st = SX_OK;
	for (int i = 0; i < N_SIZES; i++) {
		int64_t size = 0;
		if (i < N_REQUIRED && !get(root, sizes[i].key)) return missing(r, sizes[i].key);
		SX_TRY(get_int(r, root, sizes[i].key, &size));
		if (get(root, sizes[i].key) && (size < 1 || size > INT32_MAX))
			return wrong_kind(r, sizes[i].key, "a positive size");
		*sizes[i].field = (int)size;
	}
	if (s->Hkv == 0) s->Hkv = s->H;
	if (s->D == 0 && s->C % s->H)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: head_dim is missing and %d heads do not divide hidden_size %d",
			       r->path, s->H, s->C);
	if (s->D == 0) s->D = s->C / s->H;
	if (!get(root, "max_position_embeddings")) return missing(r, "max_position_embeddings");
	if (!get(root, "rms_norm_eps")) return missing(r, "rms_norm_eps");
	SX_TRY(get_int(r, root, "max_position_embeddings", &s->T));
	SX_TRY(get_number(r, root, "rms_norm_eps", &s->eps));
	SX_TRY(get_bool(r, root, "tie_word_embeddings", &s->tied));
	SX_TRY(read_token(r, root, "bos_token_id", 1, &s->bos));
	SX_TRY(read_token(r, root, "eos_token_id", 2, &s->eos));
out:
	return st;
}

static sx_status read_root(const reader *r, const json_t *root, sx_spec *s)
{
	sx_status st = SX_OK;
	const char *type = NULL;
	int form = 0;
	SX_TRY(get_string(r, root, "model_type", &type));
	if (!type) return missing(r, "model_type");
	while (form < N_FORMS && strcmp(forms[form].name, type) != 0) form++;
	if (form == N_FORMS)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the model_type %.60s is not supported; llama, llama_drope and "
			       "sextant are",
			       r->path, type);
	SX_TRY(refuse_unsupported(r, root));
	SX_TRY(read_shape(r, root, s));
	SX_TRY(forms[form].read(r, root, s));
	sx_ctx inner; /* spec.c speaks of settings: its sentence needs the file in front */
	sx_ctx_init(&inner);
	st = sx_spec_check(s, &inner);
	if (st == SX_ECONFIG)
		st = sx_fail(r->ctx, SX_EDATA, "%s: %s", r->path, inner.message);
	else if (st != SX_OK)
		st = sx_fail(r->ctx, st, "%s", inner.message);
out:
	return st;
}

sx_status sx_hf_config_read(sx_spec *out, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	reader r = {ctx, path};
	sx_spec s = sx_spec_default();
	char *text = NULL;
	size_t size = 0;
	json_t *root = NULL;
	json_error_t err;
	SX_TRY(sx_read_file(ctx, path, &text, &size));
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &err);
	if (!json_is_object(root)) {
		st = sx_fail(ctx, SX_EDATA, "%s, line %d: not a JSON object: %s", path,
			     root ? 1 : err.line, root ? "another kind of value" : err.text);
		goto out;
	}
	SX_TRY(read_root(&r, root, &s));
	*out = s;
out:
	json_decref(root);
	free(text);
	return st;
}

/* ---- writing ---- */

/* The context that yarn's ramp is made from, which transformers takes from another place. */
static bool yarn_is_standard(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	if (o->train_length == 0 || o->train_length == s->T) return true;
	/* Given the original length, transformers before 4.56 puts T / original for the factor
	 * (its issue 38224): standard only where that is the same. */
	return (double)s->T == o->factor * (double)o->train_length;
}

const char *sx_hf_config_form(const sx_spec *s)
{
	const sx_pos_opts *o = &s->pos;
	bool own_attention_factor = !isnan(o->attention_factor) && o->attention_factor != 1;
	if (s->qkv_bias || o->window || s->qk_norm == SX_QK_NORM_HEAD) return "sextant";
	if (strcmp(o->method, "nope") == 0) return own_attention_factor ? "sextant" : "llama_drope";
	if (s->qk_norm != SX_QK_NORM_NONE || o->beta != 1) return "sextant";
	if (strcmp(o->method, "yarn") == 0) return yarn_is_standard(s) ? "llama" : "sextant";
	bool standard = strcmp(o->method, "rope") == 0 || strcmp(o->method, "pi") == 0;
	return standard && !own_attention_factor ? "llama" : "sextant";
}

/* Jansson answers with NULL where memory is out or a number is not finite; all of the below pass
 * that on, so that a file never lacks a key. */
static bool put(json_t *obj, const char *key, json_t *value)
{
	return json_object_set_new(obj, key, value) == 0;
}

/* The rope dictionary: rope_scaling of transformers 4; with rope_theta, rope_parameters of 5. */
static json_t *rope_dict(const sx_spec *s, const char *type, bool with_theta)
{
	const sx_pos_opts *o = &s->pos;
	json_t *d = json_pack("{s:s}", "rope_type", type);
	bool linear = strcmp(type, "linear") == 0, yarn = strcmp(type, "yarn") == 0, ok = true;
	if (with_theta) ok = put(d, "rope_theta", json_real(o->theta));
	if (linear || yarn) ok = ok && put(d, "factor", json_real(o->factor));
	if (yarn) {
		ok = ok && put(d, "beta_fast", json_real(o->beta_fast));
		ok = ok && put(d, "beta_slow", json_real(o->beta_slow));
		if (!o->truncate) ok = ok && put(d, "truncate", json_false());
		if (!isnan(o->attention_factor))
			ok = ok && put(d, "attention_factor", json_real(o->attention_factor));
		if (o->train_length && o->train_length != s->T)
			ok = ok && put(d, "original_max_position_embeddings",
				       json_integer(o->train_length));
	}
	if (ok) return d;
	json_decref(d);
	return NULL;
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

static json_t *token_or_null(int id)
{
	return id < 0 ? json_null() : json_integer(id);
}

static json_t *shape_object(const sx_spec *s)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:b, s:o, s:o, s:s, s:b, "
			 "s:b, s:s, s:s}",
			 "vocab_size", s->V, "hidden_size", s->C, "intermediate_size", s->F,
			 "num_hidden_layers", s->L, "num_attention_heads", s->H,
			 "num_key_value_heads", s->Hkv, "head_dim", s->D, "max_position_embeddings",
			 (json_int_t)s->T, "rms_norm_eps", s->eps, "tie_word_embeddings",
			 (int)s->tied, "bos_token_id", token_or_null(s->bos), "eos_token_id",
			 token_or_null(s->eos), "hidden_act", "silu", "attention_bias", 0,
			 "mlp_bias", 0, "dtype", "float32", "torch_dtype", "float32");
}

/* Adds how position enters. */
static bool put_position(json_t *root, const sx_spec *s, const char *form)
{
	const char *method = s->pos.method, *type = "default";
	bool own = strcmp(form, "sextant") == 0, drope = strcmp(form, "llama_drope") == 0;
	if (own)
		type = "sextant";
	else if (strcmp(method, "pi") == 0)
		type = "linear";
	else if (strcmp(method, "yarn") == 0)
		type = "yarn";
	bool ok = put(root, "rope_theta", json_real(s->pos.theta)) &&
		  put(root, "rope_parameters", rope_dict(s, type, true));
	if (strcmp(type, "default") != 0)
		ok = ok && put(root, "rope_scaling", rope_dict(s, type, false));
	if (own) ok = ok && put(root, "sextant", sextant_object(s));
	if (drope)
		ok = ok &&
		     put(root, "attention_type",
			 json_string(s->qk_norm == SX_QK_NORM_FULL ? "qk_norm_nope" : "nope"));
	double root_d = sqrt((double)s->D), scale = s->pos.beta / root_d;
	if (drope && s->pos.beta != 1) /* never as null: DroPE would take null for the scale */
		ok = ok && put(root, "softmax_scale", json_real(scale));
	if (drope && s->pos.beta != 1 && scale * root_d != s->pos.beta)
		ok = ok && put(root, "sextant_beta", json_real(s->pos.beta));
	return ok;
}

sx_status sx_hf_config_write(sx_ctx *ctx, const char *path, const sx_spec *s)
{
	sx_status st = SX_OK;
	const char *form = sx_hf_config_form(s);
	char *text = NULL, *lines = NULL;
	json_t *root = NULL;
	int i = 0;
	SX_TRY(sx_spec_check(s, ctx));
	while (strcmp(forms[i].name, form) != 0) i++;
	root = shape_object(s);
	if (put(root, "model_type", json_string(form)) &&
	    put(root, "architectures", json_pack("[s]", forms[i].architecture)) &&
	    put_position(root, s, form))
		text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
	lines = text ? sx_format("%s\n", text) : NULL;
	if (!lines) {
		st = sx_fail(ctx, SX_EINTERNAL,
			     "cannot write %s: no memory, or a setting that is not finite", path);
		goto out;
	}
	SX_TRY(sx_write_file(ctx, path, lines, strlen(lines)));
out:
	json_decref(root);
	free(text);
	free(lines);
	return st;
}

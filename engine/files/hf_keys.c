/* Shape and rope keys, in and out. */
#include "engine/files/hf_keys.h"

#include <math.h>
#include <string.h>

/* ---- reading: the shape ---- */

/* Top level or in a rope dictionary; two different methods go by this key. */
static sx_status refuse_partial(const sx_hf_reader *r, const json_t *obj)
{
	double partial = 1;
	sx_status st = sx_hf_get_number(r, obj, "partial_rotary_factor", &partial);
	if (st == SX_OK && partial != 1)
		st = sx_fail(r->ctx, SX_EDATA, "%s: partial_rotary_factor = %g is not supported",
			     r->path, partial);
	return st;
}

/* What would run silently wrong. */
static sx_status refuse_unsupported(const sx_hf_reader *r, const json_t *root)
{
	static const char *const flags[] = {"attention_bias", "mlp_bias", "rope_interleaved"};
	sx_status st = SX_OK;
	const char *act = "silu";
	for (int i = 0; i < 3; i++) {
		bool on = false;
		SX_TRY(sx_hf_get_bool(r, root, flags[i], &on));
		if (on)
			return sx_fail(r->ctx, SX_EDATA, "%s: %s = true is not supported", r->path,
				       flags[i]);
	}
	SX_TRY(sx_hf_get_string(r, root, "hidden_act", &act));
	if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0) /* two names of one function */
		return sx_fail(r->ctx, SX_EDATA, "%s: hidden_act = %.60s is not supported, silu is",
			       r->path, act);
	SX_TRY(refuse_partial(r, root));
	if (sx_hf_get(root, "quantization_config"))
		return sx_fail(r->ctx, SX_EDATA, "%s: quantization_config is not supported",
			       r->path);
out:
	return st;
}

static sx_status read_token(const sx_hf_reader *r, const json_t *root, const char *key, int absent,
			    int *out)
{
	const json_t *v = json_object_get(root, key);
	if (json_is_array(v)) v = json_array_get(v, 0);
	json_int_t id = json_integer_value(v);
	if (v && !json_is_null(v) && (!json_is_integer(v) || id < 0 || id > INT32_MAX))
		return sx_hf_wrong_kind(r, key, "a token id");
	*out = !v ? absent : json_is_null(v) ? -1 : (int)id;
	return SX_OK;
}

sx_status sx_hf_read_shape(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	const struct {
		const char *key;
		int *field;
	} sizes[] = {{"hidden_size", &s->C},
		     {"num_hidden_layers", &s->L},
		     {"num_attention_heads", &s->H},
		     {"intermediate_size", &s->F},
		     {"vocab_size", &s->V},
		     {"num_key_value_heads", &s->Hkv},
		     {"head_dim", &s->D}};
	enum { N_SIZES = sizeof sizes / sizeof sizes[0], N_REQUIRED = 4 };
	sx_status st = SX_OK;
	SX_TRY(refuse_unsupported(r, root));
	for (int i = 0; i < N_SIZES; i++) {
		int64_t size = 0;
		if (i < N_REQUIRED && !sx_hf_get(root, sizes[i].key))
			return sx_hf_missing(r, sizes[i].key);
		SX_TRY(sx_hf_get_int(r, root, sizes[i].key, &size));
		if (sx_hf_get(root, sizes[i].key) && (size < 1 || size > INT32_MAX))
			return sx_hf_wrong_kind(r, sizes[i].key, "a positive size");
		*sizes[i].field = (int)size;
	}
	if (s->V == 0) sx_hf_assume(r, "vocab_size", s->V = 32000);
	if (s->Hkv == 0) s->Hkv = s->H;
	if (s->D == 0 && s->C % s->H)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: head_dim is missing and %d heads do not divide hidden_size %d",
			       r->path, s->H, s->C);
	if (s->D == 0) s->D = s->C / s->H;
	if (!sx_hf_get(root, "max_position_embeddings"))
		sx_hf_assume(r, "max_position_embeddings", (double)(s->T = 2048));
	if (!sx_hf_get(root, "rms_norm_eps")) sx_hf_assume(r, "rms_norm_eps", s->eps = 1e-6);
	SX_TRY(sx_hf_get_int(r, root, "max_position_embeddings", &s->T));
	SX_TRY(sx_hf_get_number(r, root, "rms_norm_eps", &s->eps));
	SX_TRY(sx_hf_get_bool(r, root, "tie_word_embeddings", &s->tied));
	SX_TRY(read_token(r, root, "bos_token_id", 1, &s->bos));
	SX_TRY(read_token(r, root, "eos_token_id", 2, &s->eos));
out:
	return st;
}

/* ---- reading: rotary keys of transformers ---- */

sx_status sx_hf_get_method(const sx_hf_reader *r, sx_pos_opts *o, const char *method)
{
	const sx_pos_method *m = sx_pos_find(method);
	if (!m || strlen(m->name) >= sizeof o->method)
		return sx_fail(r->ctx, SX_EDATA, "%s: pos.method = %.60s is not known", r->path,
			       method);
	memset(o->method, 0, sizeof o->method);
	memcpy(o->method, m->name, strlen(m->name));
	return SX_OK;
}

static double yarn_mscale(double factor, double k)
{
	return factor <= 1 ? 1 : 0.1 * k * log(factor) + 1;
}

/* root: the whole configuration; d: its rope dictionary; T: max_position_embeddings. */
static sx_status read_yarn(const sx_hf_reader *r, const json_t *root, const json_t *d, int64_t T,
			   sx_pos_opts *o)
{
	sx_status st = SX_OK;
	double mscale = 0, mscale_all_dim = 0, beta_fast = 0, beta_slow = 0, factor = (double)NAN;
	SX_TRY(sx_hf_get_int(r, d, "original_max_position_embeddings", &o->train_length));
	SX_TRY(sx_hf_get_int(r, root, "original_max_position_embeddings", &o->train_length));
	SX_TRY(sx_hf_get_number(r, d, "factor", &factor));
	SX_TRY(sx_hf_get_number(r, d, "beta_fast", &beta_fast));
	SX_TRY(sx_hf_get_number(r, d, "beta_slow", &beta_slow));
	SX_TRY(sx_hf_get_number(r, d, "attention_factor", &o->attention_factor));
	SX_TRY(sx_hf_get_number(r, d, "mscale", &mscale));
	SX_TRY(sx_hf_get_number(r, d, "mscale_all_dim", &mscale_all_dim));
	SX_TRY(sx_hf_get_bool(r, d, "truncate", &o->truncate));
	if (isnan(factor) && o->train_length > 0) factor = (double)T / (double)o->train_length;
	if (isnan(factor)) return sx_hf_missing(r, "factor of yarn");
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

/* The method that a dictionary of rotary keys says, into o, which holds defaults. */
static sx_status read_rope_method(const sx_hf_reader *r, const json_t *root, const char *where,
				  int64_t T, sx_pos_opts *o)
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
					    "finetuned", /* says how the weights came about */
					    NULL};
	sx_status st = SX_OK;
	json_t *d = json_object_get(root, where);
	const char *type = NULL;
	SX_TRY(sx_hf_get_string(r, d, "type", &type));
	SX_TRY(sx_hf_get_string(r, d, "rope_type", &type));
	if (!type) type = "default";
	if (strcmp(type, "default") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "rope"));
	} else if (strcmp(type, "linear") == 0) {
		if (!sx_hf_get(d, "factor")) return sx_hf_missing(r, "factor of linear scaling");
		SX_TRY(sx_hf_get_method(r, o, "pi"));
		SX_TRY(sx_hf_get_number(r, d, "factor", &o->factor));
	} else if (strcmp(type, "yarn") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "yarn"));
		SX_TRY(read_yarn(r, root, d, T, o));
	} else {
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: the rope_type %.60s is not supported; default, linear and yarn "
			       "are (or choose other positions, as pos.method=nope)",
			       r->path, type);
	}
	SX_TRY(sx_hf_only_known(r, d, where, known));
out:
	return st;
}

/* One of rope_parameters, rope_scaling into o, which holds defaults; *theta if it has one. */
static sx_status read_rope_dict(const sx_hf_reader *r, const json_t *root, const char *where,
				int64_t T, sx_pos_opts *o, double *theta)
{
	sx_status st = SX_OK;
	const json_t *d = json_object_get(root, where);
	if (!json_is_object(d)) return sx_hf_wrong_kind(r, where, "an object");
	SX_TRY(sx_hf_get_number(r, d, "rope_theta", theta));
	SX_TRY(refuse_partial(r, d));
	st = read_rope_method(r, root, where, T, o);
	if (st == SX_OK) goto out;
	SX_TRY(sx_hf_put_off(r, st));
	*o = sx_pos_opts_default();
	SX_TRY(sx_hf_get_method(r, o, "rope"));
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

sx_status sx_hf_read_rope(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	static const char *const where[] = {"rope_parameters", "rope_scaling"};
	sx_status st = SX_OK;
	bool found = false;
	double theta = (double)NAN;
	SX_TRY(sx_hf_get_number(r, root, "rope_theta", &theta));
	for (int i = 0; i < 2; i++) {
		if (!sx_hf_get(root, where[i])) continue;
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
	if (isnan(theta))
		sx_hf_assume(r, "rope_theta", s->pos.theta);
	else
		s->pos.theta = theta;
out:
	return st;
}

/* ---- writing ---- */

static json_t *token_or_null(int id)
{
	return id < 0 ? json_null() : json_integer(id);
}

bool sx_hf_put_shape(json_t *root, const sx_spec *s)
{
	json_t *shape = json_pack(
		"{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:b, s:o, s:o, s:s, s:b, s:b, s:s, "
		"s:s}",
		"vocab_size", s->V, "hidden_size", s->C, "intermediate_size", s->F,
		"num_hidden_layers", s->L, "num_attention_heads", s->H, "num_key_value_heads",
		s->Hkv, "head_dim", s->D, "max_position_embeddings", (json_int_t)s->T,
		"rms_norm_eps", s->eps, "tie_word_embeddings", (int)s->tied, "bos_token_id",
		token_or_null(s->bos), "eos_token_id", token_or_null(s->eos), "hidden_act", "silu",
		"attention_bias", 0, "mlp_bias", 0, "dtype", "float32", "torch_dtype", "float32");
	bool ok = shape && json_object_update(root, shape) == 0;
	json_decref(shape);
	return ok;
}

/* The rope dictionary: rope_scaling of transformers 4; with rope_theta, rope_parameters of 5. */
static json_t *rope_dict(const sx_spec *s, const char *type, bool with_theta)
{
	const sx_pos_opts *o = &s->pos;
	json_t *d = json_pack("{s:s}", "rope_type", type);
	bool linear = strcmp(type, "linear") == 0, yarn = strcmp(type, "yarn") == 0, ok = true;
	if (with_theta) ok = sx_hf_put(d, "rope_theta", json_real(o->theta));
	if (linear || yarn) ok = ok && sx_hf_put(d, "factor", json_real(o->factor));
	if (yarn) {
		ok = ok && sx_hf_put(d, "beta_fast", json_real(o->beta_fast));
		ok = ok && sx_hf_put(d, "beta_slow", json_real(o->beta_slow));
		if (!o->truncate) ok = ok && sx_hf_put(d, "truncate", json_false());
		if (!isnan(o->attention_factor))
			ok = ok && sx_hf_put(d, "attention_factor", json_real(o->attention_factor));
		if (o->train_length && o->train_length != s->T)
			ok = ok && sx_hf_put(d, "original_max_position_embeddings",
					     json_integer(o->train_length));
	}
	if (ok) return d;
	json_decref(d);
	return NULL;
}

bool sx_hf_put_rope(json_t *root, const sx_spec *s, const char *rope_type)
{
	bool ok = sx_hf_put(root, "rope_theta", json_real(s->pos.theta)) &&
		  sx_hf_put(root, "rope_parameters", rope_dict(s, rope_type, true));
	if (strcmp(rope_type, "default") != 0)
		ok = ok && sx_hf_put(root, "rope_scaling", rope_dict(s, rope_type, false));
	return ok;
}

bool sx_hf_plain_attention(const sx_pos_opts *o)
{
	return isnan(o->attention_factor) || o->attention_factor == 1;
}

/* Rotary keys, in and out. */
#include "engine/files/hf_keys.h"
#include "engine/files/pos_json.h"

#include <math.h>
#include <string.h>

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

/* ---- reading ---- */

static double yarn_mscale(double factor, double k)
{
	return factor <= 1 ? 1 : 0.1 * k * log(factor) + 1;
}

/* The length that scaling starts from: Phi's at the top level stands first. */
static sx_status read_original(const sx_hf_reader *r, const json_t *root, const json_t *d,
			       sx_pos_opts *o)
{
	static const char key[] = "original_max_position_embeddings";
	sx_status st = sx_hf_get_int(r, d, key, &o->train_length);
	return st == SX_OK ? sx_hf_get_int(r, root, key, &o->train_length) : st;
}

static sx_status read_factor(const sx_hf_reader *r, const json_t *d, const char *type,
			     double *factor)
{
	if (!sx_hf_get(d, "factor"))
		return sx_fail(r->ctx, SX_EDATA, "%s: the key factor of %s scaling is missing",
			       r->path, type);
	return sx_hf_get_number(r, d, "factor", factor);
}

/* root: the whole configuration; d: its rope dictionary; T: max_position_embeddings. */
static sx_status read_yarn(const sx_hf_reader *r, const json_t *root, const json_t *d, int64_t T,
			   sx_pos_opts *o)
{
	sx_status st = SX_OK;
	double mscale = 0, mscale_all_dim = 0, beta_fast = 0, beta_slow = 0, factor = (double)NAN;
	SX_TRY(read_original(r, root, d, o));
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

/* As read_yarn's. transformers 4 takes T / original for the factor, whatever the dictionary says of it, where
 * the original length stands at the top level; 5 takes the dictionary's. */
static sx_status read_longrope(const sx_hf_reader *r, const json_t *root, const json_t *d,
			       int64_t T, sx_pos_opts *o)
{
	sx_status st = SX_OK;
	double factor = (double)NAN;
	SX_TRY(read_original(r, root, d, o));
	SX_TRY(sx_hf_get_number(r, d, "factor", &factor));
	SX_TRY(sx_hf_get_number(r, d, "attention_factor", &o->attention_factor));
	double ratio = (double)T / (double)(o->train_length > 0 ? o->train_length : T);
	o->factor = isnan(factor) ? ratio : factor;
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "long_factor" : "short_factor";
		const json_t *list = sx_hf_get(d, name);
		if (!list) return sx_hf_missing(r, name);
		if (!json_is_array(list) || !sx_pos_from_json(sx_pos_param_find(name), o, list))
			return sx_hf_wrong_kind(r, name, "a list of at most 128 numbers");
	}
out:
	return st;
}

static sx_status read_llama3(const sx_hf_reader *r, const json_t *root, const json_t *d,
			     sx_pos_opts *o)
{
	static const char *const keys[] = {"low_freq_factor", "high_freq_factor"};
	sx_status st = SX_OK;
	SX_TRY(read_original(r, root, d, o));
	SX_TRY(read_factor(r, d, "llama3", &o->factor));
	for (int i = 0; i < 2; i++)
		if (!sx_hf_get(d, keys[i])) return sx_hf_missing(r, keys[i]);
	SX_TRY(sx_hf_get_number(r, d, keys[0], &o->low_freq_factor));
	SX_TRY(sx_hf_get_number(r, d, keys[1], &o->high_freq_factor));
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
					    "low_freq_factor",
					    "high_freq_factor",
					    "short_factor",
					    "long_factor",
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
		SX_TRY(sx_hf_get_method(r, o, "pi"));
		SX_TRY(read_factor(r, d, type, &o->factor));
	} else if (strcmp(type, "dynamic") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "dynamic"));
		SX_TRY(read_factor(r, d, type, &o->factor));
	} else if (strcmp(type, "llama3") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "llama3"));
		SX_TRY(read_llama3(r, root, d, o));
	} else if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "longrope"));
		SX_TRY(read_longrope(r, root, d, T, o));
	} else if (strcmp(type, "yarn") == 0) {
		SX_TRY(sx_hf_get_method(r, o, "yarn"));
		SX_TRY(read_yarn(r, root, d, T, o));
	} else {
		return sx_fail(
			r->ctx, SX_EDATA,
			"%s: the rope_type %.60s is not supported; default, linear, dynamic, "
			"yarn, llama3 and longrope are (or choose other positions, as "
			"pos.method=nope)",
			r->path, type);
	}
	SX_TRY(sx_hf_only_known(r, d, where, known));
out:
	return st;
}

/* One of rope_parameters, rope_scaling into o, which holds defaults; *theta, *partial if it has them. */
static sx_status read_rope_dict(const sx_hf_reader *r, const json_t *root, const char *where,
				int64_t T, sx_pos_opts *o, double *theta, double *partial)
{
	sx_status st = SX_OK;
	const json_t *d = json_object_get(root, where);
	if (!json_is_object(d)) return sx_hf_wrong_kind(r, where, "an object");
	SX_TRY(sx_hf_get_number(r, d, "rope_theta", theta));
	SX_TRY(sx_hf_get_number(r, d, "partial_rotary_factor", partial));
	st = read_rope_method(r, root, where, T, o);
	if (st == SX_OK) goto out;
	SX_TRY(sx_hf_put_off(r, st));
	*o = sx_pos_opts_default();
	SX_TRY(sx_hf_get_method(r, o, "rope"));
out:
	return st;
}

/* Whether two dictionaries come to the same. */
static bool same_rope(const sx_pos_opts *a, const sx_pos_opts *b)
{
	return sx_pos_opts_same(a, b);
}

/* A key that may stand at the top level and in the dictionaries: all that are there agree. */
static sx_status same_twice(const sx_hf_reader *r, const char *key, double top, double own)
{
	if (isnan(top) || own == top) return SX_OK;
	return sx_fail(r->ctx, SX_EDATA, "%s: %s is given twice, %g and %g", r->path, key, top,
		       own);
}

/* Of a family that rotates whole heads, transformers does not look at it: what is meant is not known. */
static sx_status check_partial(const sx_hf_reader *r, const sx_hf_habits *h, double partial)
{
	if (isnan(partial) || partial == 1 || h->partial_key) return SX_OK;
	return sx_fail(r->ctx, SX_EDATA, "%s: partial_rotary_factor = %g is not supported", r->path,
		       partial);
}

sx_status sx_hf_read_rope(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			  const sx_hf_habits *h)
{
	static const char *const where[] = {"rope_parameters", "rope_scaling"};
	sx_status st = SX_OK;
	bool found = false;
	double theta = (double)NAN, partial = (double)NAN;
	SX_TRY(sx_hf_get_number(r, root, h->theta_key, &theta));
	SX_TRY(sx_hf_get_number(r, root, "rope_theta", &theta));
	if (h->partial_key) SX_TRY(sx_hf_get_number(r, root, h->partial_key, &partial));
	SX_TRY(sx_hf_get_number(r, root, "partial_rotary_factor", &partial));
	for (int i = 0; i < 2; i++) {
		if (!sx_hf_get(root, where[i])) continue;
		sx_pos_opts o = sx_pos_opts_default();
		double own = theta, share = partial;
		SX_TRY(read_rope_dict(r, root, where[i], s->T, &o, &own, &share));
		SX_TRY(same_twice(r, "rope_theta", theta, own));
		SX_TRY(same_twice(r, "partial_rotary_factor", partial, share));
		if (found && !same_rope(&o, &s->pos))
			return sx_fail(r->ctx, SX_EDATA,
				       "%s: rope_parameters and rope_scaling say different things",
				       r->path);
		found = true;
		theta = own, partial = share;
		s->pos = o;
	}
	SX_TRY(check_partial(r, h, partial));
	if (isnan(theta)) sx_hf_assume(r, h->theta_key, theta = h->theta);
	if (h->partial_key && isnan(partial)) sx_hf_assume(r, h->partial_key, partial = h->partial);
	s->pos.theta = theta;
	if (!isnan(partial)) s->pos.partial = partial;
out:
	return st;
}

/* ---- writing ---- */

/* The rope dictionary: rope_scaling of transformers 4; with rope_theta, rope_parameters of 5. */
static json_t *rope_dict(const sx_spec *s, const char *type, bool with_theta)
{
	const sx_pos_opts *o = &s->pos;
	json_t *d = json_pack("{s:s}", "rope_type", type);
	bool yarn = strcmp(type, "yarn") == 0, llama3 = strcmp(type, "llama3") == 0, ok = true;
	bool longrope = strcmp(type, "longrope") == 0;
	if (with_theta) ok = sx_hf_put(d, "rope_theta", json_real(o->theta));
	if (with_theta && o->partial < 1)
		ok = ok && sx_hf_put(d, "partial_rotary_factor", json_real(o->partial));
	if (strcmp(type, "default") != 0 && strcmp(type, "sextant") != 0)
		ok = ok && sx_hf_put(d, "factor", json_real(o->factor));
	if (llama3) {
		ok = ok && sx_hf_put(d, "low_freq_factor", json_real(o->low_freq_factor));
		ok = ok && sx_hf_put(d, "high_freq_factor", json_real(o->high_freq_factor));
	}
	if (longrope) {
		const sx_pos_param *f = sx_pos_param_find("short_factor");
		ok = ok && sx_hf_put(d, f->name, sx_pos_to_json(f, o));
		f = sx_pos_param_find("long_factor");
		ok = ok && sx_hf_put(d, f->name, sx_pos_to_json(f, o));
		if (!isnan(o->attention_factor))
			ok = ok && sx_hf_put(d, "attention_factor", json_real(o->attention_factor));
	}
	if (llama3 || longrope)
		ok = ok && sx_hf_put(d, "original_max_position_embeddings",
				     json_integer(o->train_length ? o->train_length : s->T));
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

const char *sx_hf_rope_type(const sx_spec *s)
{
	static const char *const types[][2] = {{"rope", "default"},  {"pi", "linear"},
					       {"yarn", "yarn"},     {"dynamic", "dynamic"},
					       {"llama3", "llama3"}, {"longrope", "longrope"}};
	const sx_pos_opts *o = &s->pos;
	int k = 0;
	while (k < 6 && strcmp(types[k][0], o->method) != 0) k++;
	bool own = o->train_length == 0 || o->train_length == s->T;
	/* Given the original length, transformers before 4.56 puts T / original for yarn's factor (its
	 * issue 38224), and 4 for longrope's: standard only where that is the same. */
	bool ratio = own || (double)s->T == o->factor * (double)o->train_length;
	switch (k) {
	case 2:
		return ratio ? types[k][1] : NULL;
	case 3:
		return own && sx_hf_plain_attention(o) ? types[k][1] : NULL;
	case 5:
		return ratio || !isnan(o->attention_factor) ? types[k][1] : NULL;
	case 6:
		return NULL;
	default:
		return sx_hf_plain_attention(o) ? types[k][1] : NULL;
	}
}

bool sx_hf_all_rotated(const sx_spec *s)
{
	return s->pos.partial >= 1 && s->pos.beta == 1 && s->pos.rotated_layers.n == 0;
}

bool sx_hf_same_layers(const sx_spec *s)
{
	return sx_hf_all_rotated(s) && s->pos.windowed_layers.n == 0;
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

/* Typed look-ups, each with its sentence. */
#include "engine/files/hf_json.h"

#include <string.h>

const json_t *sx_hf_get(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);
	return json_is_null(v) ? NULL : v;
}

sx_status sx_hf_wrong_kind(const sx_hf_reader *r, const char *key, const char *wanted)
{
	return sx_fail(r->ctx, SX_EDATA, "%s: %s must be %s", r->path, key, wanted);
}

sx_status sx_hf_missing(const sx_hf_reader *r, const char *key)
{
	return sx_fail(r->ctx, SX_EDATA, "%s: the key %s is missing", r->path, key);
}

sx_status sx_hf_get_int(const sx_hf_reader *r, const json_t *obj, const char *key, int64_t *out)
{
	const json_t *v = sx_hf_get(obj, key);
	if (v && !json_is_integer(v)) return sx_hf_wrong_kind(r, key, "a whole number");
	if (v) *out = json_integer_value(v);
	return SX_OK;
}

sx_status sx_hf_get_number(const sx_hf_reader *r, const json_t *obj, const char *key, double *out)
{
	const json_t *v = sx_hf_get(obj, key);
	if (v && !json_is_number(v)) return sx_hf_wrong_kind(r, key, "a number");
	if (v) *out = json_number_value(v);
	return SX_OK;
}

sx_status sx_hf_get_bool(const sx_hf_reader *r, const json_t *obj, const char *key, bool *out)
{
	const json_t *v = sx_hf_get(obj, key);
	if (v && !json_is_boolean(v)) return sx_hf_wrong_kind(r, key, "true or false");
	if (v) *out = json_is_true(v);
	return SX_OK;
}

sx_status sx_hf_get_string(const sx_hf_reader *r, const json_t *obj, const char *key,
			   const char **out)
{
	const json_t *v = sx_hf_get(obj, key);
	if (v && !json_is_string(v)) return sx_hf_wrong_kind(r, key, "a string");
	if (v) *out = json_string_value(v);
	return SX_OK;
}

sx_status sx_hf_only_known(const sx_hf_reader *r, json_t *obj, const char *where,
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

bool sx_hf_put(json_t *obj, const char *key, json_t *value)
{
	return json_object_set_new(obj, key, value) == 0;
}

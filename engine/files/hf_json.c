/* Typed look-ups, each with its sentence. */
#include "engine/files/hf_json.h"

#include "engine/files/hf_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Python writes numbers that JSON has no word for: the first of them outside a string, and the key
 * before it (from *key, *len bytes). NULL if there is none in this line. */
static const char *no_number(const char *text, int line, const char **key, int *len)
{
	*len = 0;
	for (const char *s = text; *s && line > 0; s++) {
		if (*s == '\n') line--;
		if (line > 1 && *s != '"') continue;
		if (strncmp(s, "NaN", 3) == 0) return "NaN";
		if (strncmp(s, "Infinity", 8) == 0) return "Infinity";
		if (*s != '"') continue;
		const char *begin = ++s;
		for (; *s && *s != '"'; s++)
			if (*s == '\\' && s[1]) s++;
		if (!*s) return NULL;
		if (s[1 + strspn(s + 1, " \t\r\n")] == ':') *key = begin, *len = (int)(s - begin);
	}
	return NULL;
}

/* What the parser says, without what a terminal would obey. */
static sx_status not_json(sx_ctx *ctx, const char *path, const char *text, const json_error_t *err)
{
	char said[JSON_ERROR_TEXT_LENGTH];
	const char *key = "", *word;
	int len = 0;
	snprintf(said, sizeof said, "%s", err->text);
	for (char *c = said; *c; c++)
		if ((unsigned char)*c < 32 || *c == 127) *c = '?';
	if (json_error_code(err) == json_error_duplicate_key)
		return sx_fail(ctx, SX_EDATA,
			       "%s, line %d: a key is there twice (%s): leave one out", path,
			       err->line, said);
	if ((word = no_number(text, err->line, &key, &len)))
		return sx_fail(ctx, SX_EDATA,
			       "%s, line %d: the key %.*s has %s, which no JSON number can be: "
			       "write null or a number",
			       path, err->line, len < 60 ? len : 60, key, word);
	return sx_fail(ctx, SX_EDATA, "%s, line %d: not a JSON object: %s", path, err->line, said);
}

sx_status sx_hf_parse(json_t **out, sx_ctx *ctx, const char *path, const char *text, size_t size)
{
	json_error_t err;
	if (size >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
		return sx_fail(ctx, SX_EDATA, "%s is UTF-16: save it as UTF-8", path);
	if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		sx_log(ctx, SX_LOG_INFO, "%s begins with a byte order mark, which is passed over",
		       path);
		text += 3, size -= 3;
	}
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &err);
	if (!root) return not_json(ctx, path, text, &err);
	if (!json_is_object(root)) {
		json_decref(root);
		return sx_fail(ctx, SX_EDATA,
			       "%s, line 1: not a JSON object: another kind of value", path);
	}
	*out = root;
	return SX_OK;
}

void sx_hf_assume(const sx_hf_reader *r, const char *key, double value)
{
	sx_log(r->ctx, SX_LOG_INFO, "%s does not say %s: %g is taken, as transformers does",
	       r->path, key, value);
}

sx_status sx_hf_put_off(const sx_hf_reader *r, sx_status st)
{
	if (st != SX_EDATA || !r->pos_why) return st;
	snprintf(r->pos_why, SX_HF_WHY, "%.500s", r->ctx ? r->ctx->message : "positions");
	return SX_OK;
}

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
	double real = json_real_value(v);
	if (v && json_is_real(v) && real == floor(real) && fabs(real) < 0x1p53) {
		*out = (int64_t)real; /* some writers know no other numbers */
		return SX_OK;
	}
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
		if (!known[i] && !json_is_null(value))
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

/* config.json: which family's it is, and what all families share. */
#include "engine/files/hf_config.h"

#include "engine/files/hf_json.h"
#include "engine/files/tensor_names.h"

#include <stdlib.h>
#include <string.h>

static sx_status refuse_type(const sx_hf_reader *r, const char *type)
{
	char *known = sx_model_family_names();
	sx_status st =
		sx_fail(r->ctx, SX_EDATA, "%s: the model_type %.60s is not supported; %s are",
			r->path, type, known ? known : "only a few");
	free(known);
	return st;
}

static sx_status read_root(const sx_hf_reader *r, json_t *root, const sx_model_family **family,
			   sx_spec *s)
{
	sx_status st = SX_OK;
	const char *type = NULL;
	SX_TRY(sx_hf_get_string(r, root, "model_type", &type));
	if (!type) return sx_hf_missing(r, "model_type");
	*family = sx_model_family_find(type);
	if (!*family) return refuse_type(r, type);
	SX_TRY((*family)->read(r, root, s));
	SX_TRY(sx_hf_refuse_unknown(r, root, *family));
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

sx_status sx_hf_config_json(json_t **out, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	char *text = NULL;
	size_t size = 0;
	SX_TRY(sx_read_file(ctx, path, &text, &size));
	SX_TRY(sx_hf_parse(out, ctx, path, text, size));
out:
	free(text);
	return st;
}

static sx_status read_file(sx_spec *out, const sx_model_family **family, sx_ctx *ctx,
			   const char *path, char *pos_why)
{
	sx_status st = SX_OK;
	if (pos_why) *pos_why = '\0';
	sx_hf_reader r = {ctx, path, pos_why};
	sx_spec s = sx_spec_default();
	json_t *root = NULL;
	SX_TRY(sx_hf_config_json(&root, ctx, path));
	SX_TRY(read_root(&r, root, family, &s));
	*out = s;
out:
	json_decref(root);
	return st;
}

sx_status sx_hf_config_read(sx_spec *out, sx_ctx *ctx, const char *path)
{
	const sx_model_family *family;
	return read_file(out, &family, ctx, path, NULL);
}

sx_status sx_hf_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx, const char *config,
		     const char *tensors, char *pos_why)
{
	sx_status st = SX_OK;
	sx_spec s;
	sx_tensors *t = NULL;
	const sx_model_family *family = NULL;
	SX_TRY(read_file(&s, &family, ctx, config, pos_why));
	SX_TRY(sx_safetensors_open(&t, ctx, tensors));
	t->family = family;
	SX_TRY(sx_tensor_names_fit(t, ctx, family));
	SX_TRY(sx_tensor_settle_tying(&s, ctx, t, family, config));
	*out = t;
	*spec = s;
	t = NULL;
out:
	sx_tensors_free(t);
	return st;
}

const char *sx_hf_config_form(const sx_spec *s)
{
	return sx_model_family_of(s)->model_type;
}

sx_status sx_hf_config_write(sx_ctx *ctx, const char *path, const sx_spec *s)
{
	return sx_hf_config_write_as(ctx, path, sx_model_family_of(s), s);
}

sx_status sx_hf_config_write_as(sx_ctx *ctx, const char *path, const sx_model_family *family,
				const sx_spec *s)
{
	sx_status st = SX_OK;
	char *text = NULL, *lines = NULL;
	json_t *root = NULL;
	SX_TRY(sx_spec_check(s, ctx));
	if (!family->says || !family->says(s)) {
		st = sx_fail(ctx, SX_ECONFIG, "%s: no model of type %s does what this one does",
			     path, family->model_type);
		goto out;
	}
	if (s->pos.custom) {
		st = sx_fail(ctx, SX_EINTERNAL, "%s: no file can say the method %s", path,
			     s->pos.custom->name);
		goto out;
	}
	root = json_object();
	if (root && sx_hf_put(root, "model_type", json_string(family->model_type)) &&
	    sx_hf_put(root, "architectures", json_pack("[s]", family->architecture)) &&
	    family->write(root, s))
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

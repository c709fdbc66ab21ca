/* From a configuration to a model, and back. */
#include "probes/config/config.h"

#include <stdlib.h>
#include <string.h>

static bool is_set(const sx_config *cfg, const void *field)
{
	return sx_config_origin(cfg, field) != SX_FROM_DEFAULT;
}

sx_status sx_config_spec(const sx_config *cfg, int vocab, sx_spec *out, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	sx_spec s = {.V = cfg->model.vocab ? cfg->model.vocab : vocab,
		     .C = cfg->model.width,
		     .L = cfg->model.layers,
		     .H = cfg->model.heads,
		     .Hkv = cfg->model.kv_heads ? cfg->model.kv_heads : cfg->model.heads,
		     .D = cfg->model.head_dim,
		     .F = cfg->model.ffn,
		     .T = cfg->model.context,
		     .eps = cfg->model.norm_eps,
		     .pos = cfg->pos,
		     .tied = cfg->model.tie_embeddings,
		     .qkv_bias = cfg->model.qkv_bias,
		     .bos = -1,
		     .eos = -1};
	if (s.V < vocab)
		return sx_fail(ctx, SX_ECONFIG,
			       "model.vocab = %d: smaller than the tokenizer's vocabulary, %d", s.V,
			       vocab);
	if (s.D == 0 && s.C % s.H)
		return sx_fail(
			ctx, SX_ECONFIG,
			"model.width = %d is no multiple of model.heads = %d: change one, or "
			"set model.head_dim",
			s.C, s.H);
	if (s.D == 0) s.D = s.C / s.H;
	if (s.F == 0) s.F = (int)((((int64_t)s.C * 8 + 2) / 3 + 15) / 16 * 16);
	sx_qk_norm_parse(cfg->model.qk_norm, &s.qk_norm); /* the table allows known names only */
	if (!sx_pos_find(cfg->pos.method)) return sx_config_unknown_method(ctx, cfg->pos.method);
	SX_TRY(sx_spec_check(&s, ctx));
	*out = s;
out:
	return st;
}

static sx_status adopt_int(sx_config *cfg, sx_ctx *ctx, const char *key, int *field, int model)
{
	/* 0 means "derived", which is what the model's number then is. */
	if (*field != model && *field != 0 && is_set(cfg, field))
		return sx_fail(ctx, SX_ECONFIG,
			       "%s = %d, but the model to start from (init) has %d: leave it out",
			       key, *field, model);
	*field = model;
	return SX_OK;
}

static sx_status adopt_flag(sx_config *cfg, sx_ctx *ctx, const char *key, bool *field, bool model)
{
	if (*field != model && is_set(cfg, field))
		return sx_fail(ctx, SX_ECONFIG,
			       "%s = %s, but the model to start from (init) has it otherwise: "
			       "leave it out",
			       key, *field ? "true" : "false");
	*field = model;
	return SX_OK;
}

sx_status sx_config_adopt(sx_config *cfg, sx_ctx *ctx, const sx_spec *spec)
{
	sx_status st = SX_OK;
	const char *norm = sx_qk_norm_name(spec->qk_norm);
	SX_TRY(adopt_int(cfg, ctx, "model.layers", &cfg->model.layers, spec->L));
	SX_TRY(adopt_int(cfg, ctx, "model.width", &cfg->model.width, spec->C));
	SX_TRY(adopt_int(cfg, ctx, "model.heads", &cfg->model.heads, spec->H));
	SX_TRY(adopt_int(cfg, ctx, "model.kv_heads", &cfg->model.kv_heads, spec->Hkv));
	SX_TRY(adopt_int(cfg, ctx, "model.head_dim", &cfg->model.head_dim, spec->D));
	SX_TRY(adopt_int(cfg, ctx, "model.ffn", &cfg->model.ffn, spec->F));
	SX_TRY(adopt_int(cfg, ctx, "model.vocab", &cfg->model.vocab, spec->V));
	SX_TRY(adopt_flag(cfg, ctx, "model.qkv_bias", &cfg->model.qkv_bias, spec->qkv_bias));
	SX_TRY(adopt_flag(cfg, ctx, "model.tie_embeddings", &cfg->model.tie_embeddings,
			  spec->tied));
	if (cfg->model.norm_eps != spec->eps && is_set(cfg, &cfg->model.norm_eps)) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "model.norm_eps = %g, but the model to start from (init) has %g: "
			     "leave it out",
			     cfg->model.norm_eps, spec->eps);
		goto out;
	}
	cfg->model.norm_eps = spec->eps;
	if (strcmp(cfg->model.qk_norm, norm) != 0 && is_set(cfg, &cfg->model.qk_norm)) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "model.qk_norm = %s, but the model to start from (init) has %s: leave "
			     "it out, or set train.drop.qk_norm",
			     cfg->model.qk_norm, norm);
		goto out;
	}
	char *copy = sx_strdup(norm);
	if (!copy) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the configuration");
		goto out;
	}
	free(cfg->model.qk_norm);
	cfg->model.qk_norm = copy;
	if (!is_set(cfg, &cfg->model.context)) cfg->model.context = spec->T;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (!sx_config_pos_is_set(cfg, p)) sx_pos_param_copy(p, &cfg->pos, &spec->pos);
out:
	return st;
}

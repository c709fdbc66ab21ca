/* The shape of a model: defaults, what is possible, how many numbers it has. */
#include "engine/spec.h"

#include <string.h>

static const char *const qk_norm_names[] = {"none", "full", "head"};
static const char *const norm_names[] = {"rmsnorm", "layernorm"};
static const char *const mlp_names[] = {"swiglu", "gelu"};

/* -1 = not among the n. */
static int index_of(const char *s, const char *const *names, int n)
{
	int i = 0;
	while (i < n && strcmp(s, names[i]) != 0) i++;
	return i < n ? i : -1;
}

const char *sx_qk_norm_name(sx_qk_norm n)
{
	return qk_norm_names[n];
}

bool sx_qk_norm_parse(const char *s, sx_qk_norm *n)
{
	int i = index_of(s, qk_norm_names, 3);
	if (i >= 0) *n = (sx_qk_norm)i;
	return i >= 0;
}

const char *sx_norm_kind_name(sx_norm_kind n)
{
	return norm_names[n];
}

bool sx_norm_kind_parse(const char *s, sx_norm_kind *n)
{
	int i = index_of(s, norm_names, 2);
	if (i >= 0) *n = (sx_norm_kind)i;
	return i >= 0;
}

const char *sx_mlp_kind_name(sx_mlp_kind n)
{
	return mlp_names[n];
}

bool sx_mlp_kind_parse(const char *s, sx_mlp_kind *n)
{
	int i = index_of(s, mlp_names, 2);
	if (i >= 0) *n = (sx_mlp_kind)i;
	return i >= 0;
}

bool sx_block_same(const sx_block *a, const sx_block *b)
{
	return a->norm == b->norm && a->norm_after == b->norm_after && a->parallel == b->parallel &&
	       a->mlp == b->mlp && a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias &&
	       a->q_plain == b->q_plain && a->k_plain == b->k_plain;
}

sx_spec sx_spec_default(void)
{
	sx_spec s = {.V = 256,
		     .C = 64,
		     .L = 5,
		     .H = 2,
		     .Hkv = 2,
		     .D = 32,
		     .F = 176,
		     .T = 128,
		     .eps = 1e-5,
		     .pos = sx_pos_opts_default(),
		     .bos = -1,
		     .eos = -1};
	return s;
}

sx_status sx_spec_check(const sx_spec *s, sx_ctx *ctx)
{
	const struct {
		const char *name;
		int64_t value, most;
	} sizes[] = {
		{"vocabulary", s->V, 1 << 22},       {"model.width", s->C, 1 << 16},
		{"model.layers", s->L, 1 << 12},     {"model.heads", s->H, 1 << 12},
		{"model.kv_heads", s->Hkv, 1 << 12}, {"model.head_dim", s->D, 1 << 12},
		{"model.ffn", s->F, 1 << 18},        {"model.context", s->T, (int64_t)1 << 31},
	};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
			return sx_fail(ctx, SX_ECONFIG, "%s = %lld: must lie between 1 and %lld",
				       sizes[i].name, (long long)sizes[i].value,
				       (long long)sizes[i].most);
	if (s->H % s->Hkv)
		return sx_fail(ctx, SX_ECONFIG,
			       "model.heads = %d, model.kv_heads = %d: the query heads must be a "
			       "multiple of the key/value heads",
			       s->H, s->Hkv);
	if (!(s->eps >= 0 && s->eps < 1))
		return sx_fail(ctx, SX_ECONFIG, "model.norm_eps = %g: must lie in [0, 1)", s->eps);
	if ((s->block.q_plain || s->block.k_plain) &&
	    (s->qk_norm == SX_QK_NORM_NONE || (s->block.q_plain && s->block.k_plain)))
		return sx_fail(
			ctx, SX_ECONFIG,
			"a QK-norm on one side needs a QK-norm, and one of q and k under it");
	sx_pos_plan plan;
	sx_status st = sx_pos_plan_make(&plan, ctx, &s->pos, sx_spec_shape(s), 0, s->T);
	if (st == SX_OK) sx_pos_plan_free(&plan);
	return st;
}

int64_t sx_spec_params(const sx_spec *s)
{
	int64_t C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D, F = s->F;
	bool bias = s->block.norm == SX_NORM_LAYER, gate = s->block.mlp == SX_MLP_SWIGLU;
	int64_t norm = bias ? 2 * C : C;
	int64_t layer = 2 * norm + 2 * q * C + 2 * kv * C + (gate ? 3 : 2) * F * C;
	if (s->qkv_bias) layer += q + 2 * kv;
	if (s->block.o_bias) layer += C;
	if (s->block.mlp_bias) layer += (gate ? 2 : 1) * F + C;
	if (s->qk_norm == SX_QK_NORM_FULL) layer += q + kv;
	if (s->qk_norm == SX_QK_NORM_HEAD) layer += 2 * s->D;
	return s->L * layer + norm + (int64_t)s->V * C * (s->tied ? 1 : 2);
}

#include "engine/model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 96 };

static void tensor_name(char out[NAME], const sx_param_info *p, int64_t copy)
{
	const char *hole = strstr(p->name, "%d");
	if (!p->per_layer || !hole)
		snprintf(out, NAME, "%s", p->name);
	else
		snprintf(out, NAME, "%.*s%lld%s", (int)(hole - p->name), p->name, (long long)copy,
			 hole + 2);
}

sx_status sx_tensor_reals(sx_ctx *ctx, const sx_tensor *t, sx_real *dst)
{
#ifdef SX_F64
	return sx_tensor_read_f64(ctx, t, dst);
#else
	return sx_tensor_read_f32(ctx, t, dst);
#endif
}

sx_status sx_model_fill(sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec, sx_real *base)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	for (int i = 0; i < n; i++)
		for (int64_t c = 0; c < info[i].copies; c++) {
			const sx_param_info *p = &info[i];
			const sx_tensor *found = NULL;
			char name[NAME];
			tensor_name(name, p, c);
			bool vector = p->rows == 1;
			sx_status st =
				sx_tensors_need(&found, ctx, t, name, vector ? p->cols : p->rows,
						vector ? 0 : p->cols);
			if (st == SX_OK)
				st = sx_tensor_reals(ctx, found,
						     base + p->offset + c * p->rows * p->cols);
			if (st != SX_OK) return st;
		}
	return SX_OK;
}

/* Names the file has and the model has not: it would run, and be wrong. */
static sx_status check_nothing_left(sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	for (int64_t k = 0; k < t->n; k++) {
		const char *name = t->list[k].name;
		char mine[NAME];
		bool known = strstr(name, "rotary_emb.inv_freq") != NULL ||
			     (spec->tied && strcmp(name, "lm_head.weight") == 0);
		for (int i = 0; i < n && !known; i++)
			for (int64_t c = 0; c < info[i].copies && !known; c++) {
				tensor_name(mine, &info[i], c);
				known = strcmp(mine, name) == 0;
			}
		if (!known)
			return sx_fail(
				ctx, SX_EDATA,
				"%s: tensor %s has no place in a model of this configuration",
				t->path, name);
	}
	return SX_OK;
}

/* Rows of each head from order (2m, 2m+1) to (m, m + D/2). */
static sx_status deinterleave(sx_ctx *ctx, sx_real *x, int64_t heads, int64_t D, int64_t cols)
{
	size_t bytes = (size_t)(D * cols) * sizeof *x;
	sx_real *old = malloc(bytes ? bytes : 1);
	if (!old) return sx_fail(ctx, SX_ENOMEM, "no memory to reorder a tensor");
	for (int64_t h = 0; h < heads; h++) {
		sx_real *head = x + h * D * cols;
		memcpy(old, head, bytes);
		for (int64_t m = 0; m < D / 2; m++)
			for (int64_t half = 0; half < 2; half++)
				memcpy(head + (half * (D / 2) + m) * cols,
				       old + (2 * m + half) * cols, (size_t)cols * sizeof *x);
	}
	free(old);
	return SX_OK;
}

static sx_status deinterleave_all(sx_model *m, sx_ctx *ctx)
{
	const sx_spec *s = &m->spec;
	const sx_params *p = &m->p;
	bool full = s->qk_norm == SX_QK_NORM_FULL;
	sx_status st = SX_OK;
	for (int64_t l = 0; l < s->L; l++) {
		int64_t q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
		SX_TRY(deinterleave(ctx, p->wq + l * q * s->C, s->H, s->D, s->C));
		SX_TRY(deinterleave(ctx, p->wk + l * kv * s->C, s->Hkv, s->D, s->C));
		if (p->bq) {
			SX_TRY(deinterleave(ctx, p->bq + l * q, s->H, s->D, 1));
			SX_TRY(deinterleave(ctx, p->bk + l * kv, s->Hkv, s->D, 1));
		}
		if (p->q_norm) {
			int64_t hq = full ? s->H : 1, hk = full ? s->Hkv : 1;
			SX_TRY(deinterleave(ctx, p->q_norm + l * hq * s->D, hq, s->D, 1));
			SX_TRY(deinterleave(ctx, p->k_norm + l * hk * s->D, hk, s->D, 1));
		}
	}
out:
	return st;
}

sx_status sx_model_load(sx_model **out, sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec)
{
	sx_status st = SX_OK;
	sx_model *m = NULL;
	SX_TRY(check_nothing_left(ctx, t, spec));
	SX_TRY(sx_model_new(&m, ctx, spec));
	SX_TRY(sx_model_fill(ctx, t, spec, m->p.base));
	if (spec->interleaved) SX_TRY(deinterleave_all(m, ctx));
	*out = m;
	m = NULL;
out:
	sx_model_free(m);
	return st;
}

sx_status sx_model_save(sx_ctx *ctx, const char *path, const sx_spec *spec, const sx_real *base)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	int64_t total = 0, k = 0;
	for (int i = 0; i < n; i++) total += info[i].copies;
	sx_tensor *list = sx_calloc((size_t)total, sizeof *list);
	char(*names)[NAME] = sx_calloc((size_t)total, sizeof *names);
	sx_status st = SX_OK;
	if (!list || !names) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
		goto out;
	}
	for (int i = 0; i < n; i++)
		for (int64_t c = 0; c < info[i].copies; c++, k++) {
			const sx_param_info *p = &info[i];
			bool vector = p->rows == 1;
			tensor_name(names[k], p, c);
			list[k] = (sx_tensor){.name = names[k],
					      .dtype = sizeof(sx_real) == 8 ? SX_DTYPE_F64
									    : SX_DTYPE_F32,
					      .rank = vector ? 1 : 2,
					      .shape = {vector ? p->cols : p->rows, p->cols},
					      .data = base + p->offset + c * p->rows * p->cols};
		}
	SX_TRY(sx_safetensors_write(ctx, path, list, total, NULL, 0));
out:
	free(list);
	free(names);
	return st;
}

/* Parameters: the table, their memory, their first values. */
#include "engine/model/model.h"

#include <math.h>
#include <stdlib.h>

int sx_params_table(const sx_spec *s, sx_param_info *info)
{
	int n = 0;
	int64_t at = 0;
#define ROW(field_, rows_, cols_, copies_, there_, start_) \
	if (there_) { \
		info[n] = (sx_param_info){.field = #field_, \
					  .rows = rows_, \
					  .cols = cols_, \
					  .copies = copies_, \
					  .offset = at, \
					  .start = #start_[0]}; \
		at += info[n].rows * info[n].cols * info[n].copies; \
		n++; \
	}
	SX_PARAMS(ROW)
#undef ROW
	return n;
}

void sx_params_layout(sx_params *p, const sx_spec *s, sx_real *base)
{
	int64_t at = 0;
	p->base = base;
#define FIELD(field_, rows_, cols_, copies_, there_, start_) \
	p->field_ = (there_) ? base + at : NULL; \
	if (there_) at += (int64_t)(rows_) * (cols_) * (copies_);
	SX_PARAMS(FIELD)
#undef FIELD
	p->count = at;
}

sx_status sx_model_new(sx_model **out, sx_ctx *ctx, const sx_spec *spec)
{
	sx_status st = sx_spec_check(spec, ctx);
	if (st != SX_OK) return st;
	int64_t n = sx_spec_params(spec);
	sx_model *m = sx_calloc(1, sizeof *m);
	sx_real *base = sx_calloc((size_t)n, sizeof *base);
	if (!m || !base) {
		free(m);
		free(base);
		return sx_fail(ctx, SX_ENOMEM, "no memory for %lld parameters", (long long)n);
	}
	m->spec = *spec;
	sx_params_layout(&m->p, &m->spec, base);
	*out = m;
	return SX_OK;
}

void sx_model_free(sx_model *m)
{
	if (!m) return;
	free(m->p.base);
	free(m);
}

void sx_model_init(sx_model *m, uint64_t seed, sx_init init)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(&m->spec, info);
	for (int i = 0; i < n; i++) {
		const sx_param_info *t = &info[i];
		int64_t size = t->rows * t->cols;
		double sd = init == SX_INIT_002 ? 0.02
			    : t->start == 'E'   ? 0.5
						: 1 / sqrt((double)t->cols);
		/* A tensor is known by its name, so that models which differ in having a bias or
		 * a QK-norm share the weights they have in common. */
		uint64_t name = 1469598103934665603u;
		for (const char *c = t->field; *c; c++)
			name = (name ^ (uint64_t)*c) * 1099511628211u;
		uint64_t key = seed ^ name;
#pragma omp parallel for schedule(static)
		for (int64_t e = 0; e < size * t->copies; e++) {
			sx_real *w = m->p.base + t->offset + e;
			if (t->start == 'G')
				*w = 1;
			else if (t->start == 'Z')
				*w = 0;
			else
				*w = (sx_real)(float)(sd *
						      sx_normal(key, SX_STREAM_INIT, (uint64_t)e));
		}
	}
}

static sx_weight matrix(const sx_real *p, int layer, int64_t rows, int64_t cols)
{
	return (sx_weight){p ? p + layer * rows * cols : NULL, SX_DTYPE_REAL, rows, cols};
}

static const sx_real *vector(const sx_real *p, int layer, int64_t size)
{
	return p ? p + layer * size : NULL;
}

sx_layer_weights sx_weights_layer(const sx_model *m, int layer)
{
	const sx_spec *s = &m->spec;
	const sx_params *p = &m->p;
	int64_t C = s->C, F = s->F, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	return (sx_layer_weights){.ln1 = vector(p->ln1, layer, C),
				  .ln1_b = vector(p->ln1_b, layer, C),
				  .wq = matrix(p->wq, layer, q, C),
				  .wk = matrix(p->wk, layer, kv, C),
				  .wv = matrix(p->wv, layer, kv, C),
				  .bq = vector(p->bq, layer, q),
				  .bk = vector(p->bk, layer, kv),
				  .bv = vector(p->bv, layer, kv),
				  .q_norm = vector(p->q_norm, layer, sx_norm_width(s, s->H)),
				  .k_norm = vector(p->k_norm, layer, sx_norm_width(s, s->Hkv)),
				  .wo = matrix(p->wo, layer, C, q),
				  .bo = vector(p->bo, layer, C),
				  .ln2 = vector(p->ln2, layer, C),
				  .ln2_b = vector(p->ln2_b, layer, C),
				  .wg = matrix(p->wg, layer, F, C),
				  .wu = matrix(p->wu, layer, F, C),
				  .wd = matrix(p->wd, layer, C, F),
				  .bg = vector(p->bg, layer, F),
				  .bu = vector(p->bu, layer, F),
				  .bd = vector(p->bd, layer, C)};
}

sx_weight sx_weights_output(const sx_model *m)
{
	return matrix(m->spec.tied ? m->p.embed : m->p.head, 0, m->spec.V, m->spec.C);
}

#include "engine/model/optim.h"

#include "engine/vector.h"

#include <stdlib.h>

enum { BLOCK = 8192 };

sx_status sx_adamw_new(sx_adamw **out, sx_ctx *ctx, int64_t count)
{
	sx_adamw *a = sx_calloc(1, sizeof *a);
	sx_real *m = sx_calloc((size_t)count, sizeof *m), *v = sx_calloc((size_t)count, sizeof *v);
	if (!a || !m || !v) {
		free(a);
		free(m);
		free(v);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the optimiser's state");
	}
	*a = (sx_adamw){.m = m, .v = v, .count = count};
	*out = a;
	return SX_OK;
}

void sx_adamw_free(sx_adamw *a)
{
	if (!a) return;
	free(a->m);
	free(a->v);
	free(a);
}

void sx_adamw_reset(sx_adamw *a)
{
	memset(a->m, 0, (size_t)a->count * sizeof *a->m);
	memset(a->v, 0, (size_t)a->count * sizeof *a->v);
	a->t = 0;
}

/* Everything that is the same for all elements. */
typedef struct {
	sx_real scale, beta1, beta2, inv_bias1, inv_bias2, lr, eps, decay;
} constants;

SX_VECTOR
static void update(sx_real *restrict w, sx_real *restrict m, sx_real *restrict v,
		   const sx_real *restrict g, const constants *c, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		sx_real d = g[i] * c->scale;
		m[i] = c->beta1 * m[i] + (1 - c->beta1) * d;
		v[i] = c->beta2 * v[i] + (1 - c->beta2) * d * d;
		sx_real mh = m[i] * c->inv_bias1, vh = v[i] * c->inv_bias2;
#ifdef SX_F64
		sx_real root = sqrt(vh);
#else
		sx_real root = sqrtf(vh);
#endif
		w[i] -= c->lr * (mh / (root + c->eps) + c->decay * w[i]);
	}
}

void sx_adamw_step(sx_adamw *a, sx_model *model, const sx_params *grad, double grad_scale,
		   double lr, const sx_adamw_opts *o)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(&model->spec, info);
	a->t++;
	constants c = {.scale = (sx_real)grad_scale,
		       .beta1 = (sx_real)o->beta1,
		       .beta2 = (sx_real)o->beta2,
		       .inv_bias1 = (sx_real)(1 / (1 - pow(o->beta1, (double)a->t))),
		       .inv_bias2 = (sx_real)(1 / (1 - pow(o->beta2, (double)a->t))),
		       .lr = (sx_real)lr,
		       .eps = (sx_real)o->eps};
	for (int i = 0; i < n; i++) {
		const sx_param_info *t = &info[i];
		int64_t size = t->rows * t->cols * t->copies;
		constants k = c;
		if (t->start == 'E' || t->start == 'M') k.decay = (sx_real)o->weight_decay;
#pragma omp parallel for schedule(static)
		for (int64_t b = 0; b < size; b += BLOCK) {
			int64_t at = t->offset + b;
			update(model->p.base + at, a->m + at, a->v + at, grad->base + at, &k,
			       size - b < BLOCK ? size - b : BLOCK);
		}
	}
}

SX_VECTOR
static double sum_squares(const sx_real *x, int64_t n)
{
	return sx_squares(x, n);
}

double sx_grad_norm(const sx_params *grad)
{
	/* Groups of blocks, each summed by one thread in order, the groups in order. */
	enum { GROUPS = 64 };
	double part[GROUPS] = {0}, sum = 0;
	int64_t blocks = (grad->count + BLOCK - 1) / BLOCK, each = (blocks + GROUPS - 1) / GROUPS;
#pragma omp parallel for schedule(static)
	for (int g = 0; g < GROUPS; g++)
		for (int64_t b = g * each; b < (g + 1) * each && b < blocks; b++) {
			int64_t left = grad->count - b * BLOCK;
			part[g] += sum_squares(grad->base + b * BLOCK, left < BLOCK ? left : BLOCK);
		}
	for (int g = 0; g < GROUPS; g++) sum += part[g];
	return sqrt(sum);
}

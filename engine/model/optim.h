/* AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), the norm of a gradient, learning-rate
 * schedules. */
#ifndef SX_ENGINE_MODEL_OPTIM_H
#define SX_ENGINE_MODEL_OPTIM_H

#include "engine/model/model.h"

typedef struct {
	double beta1, beta2, eps, weight_decay; /* decay on embeddings and matrices only */
} sx_adamw_opts;

typedef struct {
	sx_real *m, *v; /* first and second moments, laid out like the parameters; owned */
	int64_t count;
	int64_t t; /* updates since the moments were fresh                          */
} sx_adamw;

sx_status sx_adamw_new(sx_adamw **out, sx_ctx *ctx, int64_t count) SX_NODISCARD;
void sx_adamw_free(sx_adamw *a);
void sx_adamw_reset(sx_adamw *a); /* fresh moments */
/* One update with gradient grad * grad_scale. */
void sx_adamw_step(sx_adamw *a, sx_model *model, const sx_params *grad, double grad_scale,
		   double lr, const sx_adamw_opts *o);
/* Euclidean norm, in double, over fixed blocks in order. */
double sx_grad_norm(const sx_params *grad);

#endif

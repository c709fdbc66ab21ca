#include "cli/trace_pass.h"

#include "engine/model.h"
#include "engine/weights.h"
#include "probes/observe.h"

#include <stdlib.h>
#include <string.h>

static void mix_embeddings(sx_model *m, double t)
{
	int64_t V = m->spec.V, C = m->spec.C;
	for (int64_t c = 0; c < C; c++) {
		sx_real *e = m->p.embed + c;
		double mean = 0;
		for (int64_t v = 0; v < V; v++) mean += (double)e[v * C];
		mean /= (double)V;
		for (int64_t v = 0; v < V; v++)
			e[v * C] = (sx_real)((1 - t) * mean + t * (double)e[v * C]);
	}
}

static sx_status open_model(sx_model **out, sx_ctx *ctx, const sx_trace_input *in)
{
	sx_status st = SX_OK;
	if (in->tensors) {
		st = sx_model_load(out, ctx, in->tensors, in->spec);
	} else {
		st = sx_model_new(out, ctx, in->spec);
		if (st == SX_OK) sx_model_init(*out, in->seed, (sx_init)in->init);
	}
	if (st == SX_OK && in->mix) mix_embeddings(*out, *in->mix);
	return st;
}

/* Logits of one sequence, some rows at a time. */
static sx_status copy_logits(sx_ctx *ctx, const sx_model *m, const sx_work *w, float *out)
{
	enum { ROWS = 256 };
	int64_t V = m->spec.V;
	sx_real *rows = sx_calloc((size_t)(ROWS * V), sizeof *rows);
	if (!rows) return sx_fail(ctx, SX_ENOMEM, "no memory for logits");
	for (int64_t t = 0; t < w->T; t += ROWS) {
		int64_t n = w->T - t < ROWS ? w->T - t : ROWS;
		sx_logits(m, w, t, n, rows);
		for (int64_t i = 0; i < n * V; i++) out[t * V + i] = (float)rows[i];
	}
	free(rows);
	return SX_OK;
}

/* The backward pass of one sequence's mean loss; the gradients of the parameters are let go. Nothing
 * where nothing was to be predicted. */
static sx_status backward(sx_ctx *ctx, const sx_model *m, sx_work *w, sx_params *grad,
			  const sx_observers *o, const int32_t *tokens, const int32_t *target)
{
	int n_probe = 0;
	const sx_probe *probe = sx_observers_backward(o, &n_probe);
	if (!w->counted) return SX_OK;
	memset(grad->base, 0, (size_t)grad->count * sizeof *grad->base);
	return sx_backward(ctx, m, w, grad, tokens, target, 1 / (double)w->counted, probe, n_probe);
}

sx_status sx_trace(sx_ctx *ctx, const sx_trace_input *in, sx_measures *into, double *nll,
		   float *logits)
{
	sx_status st = SX_OK;
	sx_model *m = NULL;
	sx_work *w = NULL;
	sx_observers *o = NULL;
	sx_params grad = {0};
	sx_real *reals = NULL;
	bool back = in->measure->grad;
	SX_TRY(open_model(&m, ctx, in));
	SX_TRY(sx_work_new(&w, ctx, m, 1, in->T, back ? SX_WORK_TRAIN : SX_WORK_FORWARD));
	if (back) {
		reals = sx_calloc((size_t)m->p.count, sizeof *reals);
		if (!reals) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for gradients"));
		sx_params_layout(&grad, &m->spec, reals);
	}
	SX_TRY(sx_observers_new(&o, ctx, &m->spec, in->measure, in->family, in->threads, into));
	sx_observers_sink(o, in->maps);
	for (int64_t s = 0; s < in->S; s++) {
		int n_probe = 0;
		const sx_probe *probe = sx_observers_probes(o, &n_probe);
		sx_observers_place(o, s);
		SX_TRY(sx_forward(ctx, m, w, in->tokens + s * in->T, in->target + s * in->T, 1,
				  probe, n_probe, NULL));
		if (back)
			SX_TRY(backward(ctx, m, w, &grad, o, in->tokens + s * in->T,
					in->target + s * in->T));
		memcpy(nll + s * in->T, w->nll, (size_t)in->T * sizeof *nll);
		if (logits) SX_TRY(copy_logits(ctx, m, w, logits + s * in->T * m->spec.V));
	}
out:
	free(reals);
	sx_observers_free(o);
	sx_work_free(w);
	sx_model_free(m);
	return st;
}

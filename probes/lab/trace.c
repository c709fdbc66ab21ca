#include "probes/lab/trace.h"

#include "engine/model/model.h"
#include "engine/model/weights.h"
#include "probes/observe/observe.h"

#include <math.h>
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

static sx_status open_model(sx_model **out, sx_ctx *ctx, const sx_trace_request *in)
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
	return sx_backward(ctx, m, w, grad,
			   &(sx_request){.tokens = tokens,
					 .target = target,
					 .B = w->used_B,
					 .probe = probe,
					 .n_probe = n_probe},
			   1 / (double)w->counted);
}

/* Nothing is concluded from what is not a number: the last layer's output, and the losses, of what the
 * work saw as sequence s. */
static sx_status check_finite(sx_ctx *ctx, const sx_work *w, int64_t C, const int32_t *target,
			      int64_t s)
{
	int64_t bad = sx_reals_not_finite(w->f, w->T * C), at = bad < 0 ? w->T : bad / C;
	for (int64_t t = 0; t < at; t++)
		if (target[t] >= 0 && !isfinite(w->nll[t])) at = t;
	if (at == w->T) return SX_OK;
	return sx_fail(ctx, SX_EDATA,
		       "sequence %lld, token %lld (from 0): what the model computes is not finite: "
		       "its weights are damaged, its training diverged, or they are too large for "
		       "its precision%s",
		       (long long)s, (long long)at,
		       sizeof(sx_real) == 4 ? " (try --precision f64)" : "");
}

/* ---- toward later weights ---- */

enum { PROBES = 16 }; /* of a pass; fewer kinds of observers there are */

/* The later weights at work: a pass of their own, and attention with their W_Q and W_K in the pass of
 * the earlier ones. */
typedef struct {
	sx_ctx *ctx;
	sx_model *model;
	sx_model mixed; /* the earlier one with these W_Q, W_K; owns nothing */
	sx_work *work;
	sx_real *h; /* (L,T,C) inputs of its attention blocks            */
	sx_measures *found;
	sx_observers *o;
	const int32_t *tokens; /* of the sequence at hand */
} later;

static void later_free(later *a)
{
	sx_observers_free(a->o);
	sx_measures_free(a->found);
	sx_work_free(a->work);
	sx_model_free(a->model);
	free(a->h);
}

static sx_status later_open(later *a, sx_ctx *ctx, const sx_trace_request *in, const sx_model *m,
			    const sx_measures *into)
{
	const sx_measure_opts values = {.ac = true};
	const sx_spec *s = &m->spec;
	sx_status st = SX_OK;
	a->ctx = ctx;
	SX_TRY(sx_model_load(&a->model, ctx, in->toward, s));
	a->mixed = *m;
	a->mixed.p.wq = a->model->p.wq;
	a->mixed.p.wk = a->model->p.wk;
	SX_TRY(sx_work_new(&a->work, ctx, m, 1, in->T, SX_WORK_FORWARD));
	a->h = sx_calloc((size_t)(s->L * in->T), (size_t)s->C * sizeof *a->h);
	if (!a->h) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the later weights"));
	SX_TRY(sx_measures_new(&a->found, ctx, &values, 1, s->L, s->H, in->T, 0, into->n_c));
	SX_TRY(sx_observers_new(&a->o, ctx, s, &values, in->family, in->threads, a->found));
out:
	return st;
}

static sx_status keep_h(void *self, const sx_site_event *e)
{
	later *a = self;
	int64_t n = e->T * e->width;
	if (e->site == SX_SITE_H) memcpy(a->h + e->layer * n, e->data, (size_t)n * sizeof *a->h);
	return SX_OK;
}

static sx_status attend_mixed(void *self, const sx_site_event *e)
{
	later *a = self;
	int n = 0;
	const sx_probe *probe = sx_observers_probes(a->o, &n);
	if (e->site != SX_SITE_H) return SX_OK;
	return sx_attend(a->ctx, &a->mixed, a->work, e->layer, e->data,
			 &(sx_request){.tokens = a->tokens, .B = 1, .probe = probe, .n_probe = n});
}

/* Fills found and h. */
static sx_status later_pass(later *a, const int32_t *tokens)
{
	int n = 0;
	const sx_probe *theirs = sx_observers_probes(a->o, &n);
	sx_probe probe[PROBES];
	a->tokens = tokens;
	memcpy(probe, theirs, (size_t)n * sizeof *probe);
	probe[n++] = (sx_probe){.self = a, .site = keep_h};
	return sx_forward(a->ctx, a->model, a->work,
			  &(sx_request){.tokens = tokens, .B = 1, .probe = probe, .n_probe = n},
			  NULL);
}

/* Passes of sequence s: of the later weights, then with `probe` of the earlier ones. */
static sx_status pass_both(sx_ctx *ctx, const sx_trace_request *in, const sx_model *m, sx_work *w,
			   sx_observers *o, later *a, sx_measures *into, int64_t s)
{
	const int32_t *tokens = in->tokens + s * in->T;
	int64_t n = into->L * into->H * into->n_c;
	double *change = into->ac_change + s * n, *change_w = into->ac_change_w + s * n;
	sx_status st = SX_OK;
	sx_probe probe[PROBES];
	int n_probe = 0;
	SX_TRY(later_pass(a, tokens));
	memcpy(change, a->found->ac_value, (size_t)n * sizeof *change);
	sx_observers_toward(o, (sx_toward){a->model->p.wq, a->model->p.wk, a->h});
	const sx_probe *theirs = sx_observers_probes(o, &n_probe);
	memcpy(probe, theirs, (size_t)n_probe * sizeof *probe);
	probe[n_probe++] = (sx_probe){.self = a, .site = attend_mixed};
	SX_TRY(sx_forward(ctx, m, w,
			  &(sx_request){.tokens = tokens,
					.target = in->target + s * in->T,
					.B = 1,
					.probe = probe,
					.n_probe = n_probe},
			  NULL));
	const double *value = into->ac_value + s * n;
	for (int64_t i = 0; i < n; i++) {
		change[i] -= value[i];
		change_w[i] = a->found->ac_value[i] - value[i];
	}
out:
	return st;
}

/* ---- the whole ---- */

sx_status sx_trace(sx_ctx *ctx, const sx_trace_request *in, sx_measures *into, double *nll,
		   float *logits)
{
	sx_status st = SX_OK;
	sx_model *m = NULL;
	sx_work *w = NULL;
	sx_observers *o = NULL;
	sx_params grad = {0};
	sx_real *reals = NULL;
	later to = {0};
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
	if (in->toward) SX_TRY(later_open(&to, ctx, in, m, into));
	for (int64_t s = 0; s < in->S; s++) {
		int n_probe = 0;
		const sx_probe *probe = sx_observers_probes(o, &n_probe);
		sx_observers_place(o, s);
		if (in->toward)
			SX_TRY(pass_both(ctx, in, m, w, o, &to, into, s));
		else
			SX_TRY(sx_forward(ctx, m, w,
					  &(sx_request){.tokens = in->tokens + s * in->T,
							.target = in->target + s * in->T,
							.B = 1,
							.probe = probe,
							.n_probe = n_probe},
					  NULL));
		SX_TRY(check_finite(ctx, w, m->spec.C, in->target + s * in->T, s));
		if (back)
			SX_TRY(backward(ctx, m, w, &grad, o, in->tokens + s * in->T,
					in->target + s * in->T));
		memcpy(nll + s * in->T, w->nll, (size_t)in->T * sizeof *nll);
		if (logits) SX_TRY(copy_logits(ctx, m, w, logits + s * in->T * m->spec.V));
	}
out:
	free(reals);
	later_free(&to);
	sx_observers_free(o);
	sx_work_free(w);
	sx_model_free(m);
	return st;
}

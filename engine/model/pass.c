/* Forward and backward, straight through. Shapes: N = B T rows, q = H D, kv = Hkv D. */
#include "engine/model/model.h"
#include "engine/op/gemm.h"
#include "engine/op/ops.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* One layer's weights. */
typedef struct {
	const sx_real *ln1, *wq, *wk, *wv, *bq, *bk, *bv, *q_norm, *k_norm, *wo, *ln2, *wg, *wu,
		*wd;
} layer_weights;

static const sx_real *at(const sx_real *p, int layer, int64_t size)
{
	return p ? p + layer * size : NULL;
}

static layer_weights weights_of(const sx_model *m, int l)
{
	const sx_spec *s = &m->spec;
	const sx_params *p = &m->p;
	int64_t C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	return (layer_weights){.ln1 = at(p->ln1, l, C),
			       .wq = at(p->wq, l, q * C),
			       .wk = at(p->wk, l, kv * C),
			       .wv = at(p->wv, l, kv * C),
			       .bq = at(p->bq, l, q),
			       .bk = at(p->bk, l, kv),
			       .bv = at(p->bv, l, kv),
			       .q_norm = at(p->q_norm, l, sx_norm_width(s, s->H)),
			       .k_norm = at(p->k_norm, l, sx_norm_width(s, s->Hkv)),
			       .wo = at(p->wo, l, C * q),
			       .ln2 = at(p->ln2, l, C),
			       .wg = at(p->wg, l, s->F * C),
			       .wu = at(p->wu, l, s->F * C),
			       .wd = at(p->wd, l, C * s->F)};
}

/* ---- what probes see ---- */

typedef struct {
	const sx_probe *probe;
	int n;
	const sx_pos_plan *plan; /* (L)   */
	const int32_t *tokens;   /* (B,T) */
	int64_t B, T;
} watch;

static watch watch_of(const sx_request *r, const sx_work *w)
{
	return (watch){.probe = r->probe,
		       .n = r->n_probe,
		       .plan = w->plan,
		       .tokens = r->tokens,
		       .B = r->B,
		       .T = w->T};
}

static sx_status show(const watch *o, sx_site site, bool grad, int layer, int64_t width,
		      const sx_real *data)
{
	sx_site_event e = {.site = site,
			   .grad = grad,
			   .layer = layer,
			   .plan = &o->plan[layer],
			   .B = o->B,
			   .T = o->T,
			   .width = width,
			   .data = data};
	for (int i = 0; i < o->n; i++) {
		const sx_probe *p = &o->probe[i];
		sx_status st = p->site ? p->site(p->self, &e) : SX_OK;
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static sx_status show_layer_end(const watch *o, const sx_model *m, int l, const sx_layer_acts *a,
				const sx_real *out)
{
	layer_weights w = weights_of(m, l);
	sx_layer layer = {.layer = l,
			  .B = o->B,
			  .T = o->T,
			  .spec = &m->spec,
			  .plan = &o->plan[l],
			  .z = a->z,
			  .xa = a->xa,
			  .gate = a->gate,
			  .up = a->up,
			  .act = a->act,
			  .out = out,
			  .ln1 = w.ln1,
			  .wv = w.wv,
			  .bv = w.bv,
			  .wo = w.wo,
			  .ln2 = w.ln2,
			  .wg = w.wg,
			  .wu = w.wu,
			  .wd = w.wd};
	for (int i = 0; i < o->n; i++) {
		const sx_probe *p = &o->probe[i];
		sx_status st = p->layer_end ? p->layer_end(p->self, &layer) : SX_OK;
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static sx_tap tap_of(const watch *o, const sx_model *m, const sx_work *w, int l,
		     const sx_layer_acts *a)
{
	layer_weights p = weights_of(m, l);
	sx_head layer = {.layer = l,
			 .spec = &m->spec,
			 .plan = &w->plan[l],
			 .rot = &w->rot[l],
			 .wq = p.wq,
			 .wk = p.wk,
			 .bq = p.bq,
			 .bk = p.bk,
			 .q_gain = p.q_norm,
			 .k_gain = p.k_norm};
	return (sx_tap){.probe = o->probe,
			.n_probe = o->n,
			.layer = layer,
			.h = a->h,
			.q_raw = a->q_raw,
			.k_raw = a->k_raw,
			.q_rstd = a->q_rstd,
			.k_rstd = a->k_rstd,
			.tokens = o->tokens};
}

/* ---- forward ---- */

/* Queries and keys as they enter the product, and values. */
static sx_status project(const sx_model *m, sx_work *w, int l, sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	layer_weights p = weights_of(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	bool norm = s->qk_norm != SX_QK_NORM_NONE, per_head = s->qk_norm == SX_QK_NORM_HEAD;
	sx_linear_fwd(norm ? a->q_raw : a->q, a->h, p.wq, p.bq, NULL, N, C, q);
	sx_linear_fwd(norm ? a->k_raw : a->k, a->h, p.wk, p.bk, NULL, N, C, kv);
	sx_linear_fwd(a->v, a->h, p.wv, p.bv, NULL, N, C, kv);
	if (norm) {
		int64_t gq = per_head ? s->H : 1, gk = per_head ? s->Hkv : 1;
		sx_norm_fwd(a->q, a->q_rstd, a->q_raw, p.q_norm, s->eps, N, gq, q / gq);
		sx_norm_fwd(a->k, a->k_rstd, a->k_raw, p.k_norm, s->eps, N, gk, kv / gk);
	}
	SX_TRY(show(o, SX_SITE_Q, false, l, q, a->q));
	SX_TRY(show(o, SX_SITE_K, false, l, kv, a->k));
	sx_rotate(a->q, &w->rot[l], false, o->B, o->T, s->H, s->D);
	sx_rotate(a->k, &w->rot[l], false, o->B, o->T, s->Hkv, s->D);
	SX_TRY(show(o, SX_SITE_Q_ROT, false, l, q, a->q));
	SX_TRY(show(o, SX_SITE_K_ROT, false, l, kv, a->k));
	SX_TRY(show(o, SX_SITE_V, false, l, kv, a->v));
out:
	return st;
}

/* From h to z. */
static sx_status attend(const sx_model *m, sx_work *w, int l, sx_layer_acts *a, const watch *o)
{
	sx_status st = SX_OK;
	SX_TRY(project(m, w, l, a, o));
	sx_tap tap = tap_of(o, m, w, l, a);
	SX_TRY(sx_attention_fwd(a->z, a->rows, a->q, a->k, a->v,
				sx_work_attention(w, &m->spec, l, o->B), w->scratch,
				o->n ? &tap : NULL));
out:
	return st;
}

/* x_next (N,C) = the layer's output. */
static sx_status layer_fwd(const sx_model *m, sx_work *w, int l, sx_layer_acts *a, sx_real *x_next,
			   const watch *o)
{
	const sx_spec *s = &m->spec;
	layer_weights p = weights_of(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D;
	SX_TRY(show(o, SX_SITE_X_IN, false, l, C, a->x));
	sx_norm_fwd(a->h, a->rstd1, a->x, p.ln1, s->eps, N, 1, C);
	SX_TRY(show(o, SX_SITE_H, false, l, C, a->h));
	SX_TRY(attend(m, w, l, a, o));
	SX_TRY(show(o, SX_SITE_Z, false, l, q, a->z));
	sx_linear_fwd(a->xa, a->z, p.wo, NULL, a->x, N, q, C);
	sx_norm_fwd(a->u, a->rstd2, a->xa, p.ln2, s->eps, N, 1, C);
	sx_linear_fwd(a->gate, a->u, p.wg, NULL, NULL, N, C, s->F);
	sx_linear_fwd(a->up, a->u, p.wu, NULL, NULL, N, C, s->F);
	sx_swiglu_fwd(a->act, a->gate, a->up, N * s->F);
	SX_TRY(show(o, SX_SITE_MLP, false, l, s->F, a->act));
	sx_linear_fwd(x_next, a->act, p.wd, NULL, a->xa, N, s->F, C);
	SX_TRY(show_layer_end(o, m, l, a, x_next));
out:
	return st;
}

static sx_status check_tokens(sx_ctx *ctx, const int32_t *tokens, int64_t n, int V, bool target)
{
	for (int64_t i = 0; i < n; i++)
		if (tokens[i] >= V || tokens[i] < (target ? -1 : 0))
			return sx_fail(
				ctx, SX_EDATA,
				"token %d at place %lld: the model's vocabulary has %d entries",
				tokens[i], (long long)i, V);
	return SX_OK;
}

/* What every pass must fit. */
static sx_status check_room(sx_ctx *ctx, const sx_work *w, int64_t B)
{
	if (B > w->B)
		return sx_fail(ctx, SX_EINTERNAL, "a batch of %lld in memory for %lld",
			       (long long)B, (long long)w->B);
	if (omp_get_max_threads() > w->threads)
		return sx_fail(ctx, SX_EINTERNAL, "%d threads in memory made for %d",
			       omp_get_max_threads(), w->threads);
	return SX_OK;
}

static double mean_loss(sx_work *w, const int32_t *target, int64_t N)
{
	double sum = 0;
	w->counted = 0;
	for (int64_t n = 0; n < N; n++) {
		if (target[n] < 0) continue;
		sum += w->nll[n];
		w->counted++;
	}
	return w->counted ? sum / (double)w->counted : (double)NAN;
}

sx_status sx_forward(sx_ctx *ctx, const sx_model *m, sx_work *w, const sx_request *r, double *loss)
{
	const sx_spec *s = &m->spec;
	sx_status st = SX_OK;
	int64_t N = r->B * w->T, C = s->C;
	SX_TRY(check_room(ctx, w, r->B));
	SX_TRY(check_tokens(ctx, r->tokens, N, s->V, false));
	if (r->target) SX_TRY(check_tokens(ctx, r->target, N, s->V, true));
	SX_TRY(sx_work_set_length(w, ctx, m, r->length > 0 ? r->length : w->T));
	watch o = watch_of(r, w);
	w->used_B = r->B;
	sx_embed_fwd(w->layer[0].x, r->tokens, m->p.embed, N, C);
	for (int l = 0; l < s->L; l++) {
		sx_layer_acts *a = &w->layer[w->layers_kept > 1 ? l : 0];
		bool last = l == s->L - 1;
		/* With one layer kept the output takes the place of the input: x is not needed
		 * once xa is there. */
		sx_real *next = last ? w->x_out : w->layer[w->layers_kept > 1 ? l + 1 : 0].x;
		SX_TRY(layer_fwd(m, w, l, a, next, &o));
	}
	sx_norm_fwd(w->f, w->rstd_f, w->x_out, m->p.ln_f, s->eps, N, 1, C);
	if (r->target) {
		sx_loss_fwd(w->nll, w->loss_rows, w->f, s->tied ? m->p.embed : m->p.head, r->target,
			    N, C, s->V, w->scratch);
		double mean = mean_loss(w, r->target, N);
		if (loss) *loss = mean;
	}
out:
	return st;
}

sx_status sx_attend(sx_ctx *ctx, const sx_model *m, sx_work *w, int layer, const sx_real *h,
		    const sx_request *r)
{
	sx_layer_acts *a = &w->layer[w->layers_kept > 1 ? layer : 0];
	sx_status st = SX_OK;
	SX_TRY(check_room(ctx, w, r->B));
	SX_TRY(sx_work_set_length(w, ctx, m, r->length > 0 ? r->length : w->T));
	memcpy(a->h, h, (size_t)(r->B * w->T * m->spec.C) * sizeof *h);
	watch o = watch_of(r, w);
	SX_TRY(attend(m, w, layer, a, &o));
out:
	return st;
}

void sx_logits(const sx_model *m, const sx_work *w, int64_t row0, int64_t n, sx_real *logits)
{
	sx_linear_fwd(logits, w->f + row0 * m->spec.C, m->spec.tied ? m->p.embed : m->p.head, NULL,
		      NULL, n, m->spec.C, m->spec.V);
}

/* ---- backward ---- */

static sx_real *of(sx_real *p, int layer, int64_t size)
{
	return p ? p + layer * size : NULL;
}

/* dq, dk, dv w.r.t. what entered the product -> w.r.t. the projections, then into dh and weights. */
static sx_status project_bwd(const sx_model *m, sx_work *w, sx_params *g, int l,
			     const sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	layer_weights p = weights_of(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	SX_TRY(show(o, SX_SITE_Q_ROT, true, l, q, w->dq));
	SX_TRY(show(o, SX_SITE_K_ROT, true, l, kv, w->dk));
	SX_TRY(show(o, SX_SITE_V, true, l, kv, w->dv));
	sx_rotate(w->dq, &w->rot[l], true, o->B, o->T, s->H, s->D);
	sx_rotate(w->dk, &w->rot[l], true, o->B, o->T, s->Hkv, s->D);
	SX_TRY(show(o, SX_SITE_Q, true, l, q, w->dq));
	SX_TRY(show(o, SX_SITE_K, true, l, kv, w->dk));
	if (s->qk_norm != SX_QK_NORM_NONE) {
		bool per_head = s->qk_norm == SX_QK_NORM_HEAD;
		int64_t gq = per_head ? s->H : 1, gk = per_head ? s->Hkv : 1;
		sx_norm_bwd(w->dq, of(g->q_norm, l, q / gq), w->dq, a->q_raw, a->q_rstd, p.q_norm,
			    false, N, gq, q / gq, w->scratch);
		sx_norm_bwd(w->dk, of(g->k_norm, l, kv / gk), w->dk, a->k_raw, a->k_rstd, p.k_norm,
			    false, N, gk, kv / gk, w->scratch);
	}
	sx_linear_bwd(w->dh, of(g->wq, l, q * C), of(g->bq, l, q), w->dq, a->h, p.wq, false, N, C,
		      q, w->scratch);
	sx_linear_bwd(w->dh, of(g->wk, l, kv * C), of(g->bk, l, kv), w->dk, a->h, p.wk, true, N, C,
		      kv, w->scratch);
	sx_linear_bwd(w->dh, of(g->wv, l, kv * C), of(g->bv, l, kv), w->dv, a->h, p.wv, true, N, C,
		      kv, w->scratch);
out:
	return st;
}

/* w->dx: gradient of the layer's output coming in, of its input going out. */
static sx_status layer_bwd(const sx_model *m, sx_work *w, sx_params *g, int l,
			   const sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	layer_weights p = weights_of(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, F = s->F, q = (int64_t)s->H * s->D;
	/* forward: x_next = xa + (silu(u Wg^T) * (u Wu^T)) Wd^T, u = norm(xa) */
	sx_linear_bwd(w->da, of(g->wd, l, C * F), NULL, w->dx, a->act, p.wd, false, N, F, C,
		      w->scratch);
	SX_TRY(show(o, SX_SITE_MLP, true, l, F, w->da));
	sx_swiglu_bwd(w->da, w->db, w->da, a->gate, a->up, N * F);
	sx_linear_bwd(w->dh, of(g->wg, l, F * C), NULL, w->da, a->u, p.wg, false, N, C, F,
		      w->scratch);
	sx_linear_bwd(w->dh, of(g->wu, l, F * C), NULL, w->db, a->u, p.wu, true, N, C, F,
		      w->scratch);
	sx_norm_bwd(w->dx, of(g->ln2, l, C), w->dh, a->xa, a->rstd2, p.ln2, true, N, 1, C,
		    w->scratch);
	/* forward: xa = x + z Wo^T */
	sx_linear_bwd(w->dz, of(g->wo, l, C * q), NULL, w->dx, a->z, p.wo, false, N, q, C,
		      w->scratch);
	SX_TRY(show(o, SX_SITE_Z, true, l, q, w->dz));
	sx_tap tap = tap_of(o, m, w, l, a);
	SX_TRY(sx_attention_bwd(w->dq, w->dk, w->dv, w->dz, a->z, a->rows, a->q, a->k, a->v,
				sx_work_attention(w, s, l, o->B), w->scratch, o->n ? &tap : NULL));
	SX_TRY(project_bwd(m, w, g, l, a, o));
	SX_TRY(show(o, SX_SITE_H, true, l, C, w->dh));
	sx_norm_bwd(w->dx, of(g->ln1, l, C), w->dh, a->x, a->rstd1, p.ln1, true, N, 1, C,
		    w->scratch);
	SX_TRY(show(o, SX_SITE_X_IN, true, l, C, w->dx));
out:
	return st;
}

sx_status sx_backward(sx_ctx *ctx, const sx_model *m, sx_work *w, sx_params *grad,
		      const sx_request *r, double scale)
{
	const sx_spec *s = &m->spec;
	sx_status st = SX_OK;
	int64_t N = w->used_B * w->T, C = s->C;
	watch o = watch_of(r, w);
	if (w->mode != SX_WORK_TRAIN)
		return sx_fail(ctx, SX_EINTERNAL, "a backward pass needs memory of mode train");
	if (r->B != w->used_B)
		return sx_fail(ctx, SX_EINTERNAL, "a backward pass of %lld sequences after %lld",
			       (long long)r->B, (long long)w->used_B);
	sx_loss_bwd(w->dh, s->tied ? grad->embed : grad->head, w->loss_rows, w->f,
		    s->tied ? m->p.embed : m->p.head, r->target, scale, N, C, s->V, w->scratch);
	sx_norm_bwd(w->dx, grad->ln_f, w->dh, w->x_out, w->rstd_f, m->p.ln_f, false, N, 1, C,
		    w->scratch);
	for (int l = s->L - 1; l >= 0; l--) SX_TRY(layer_bwd(m, w, grad, l, &w->layer[l], &o));
	sx_embed_bwd(grad->embed, w->dx, r->tokens, N, C);
out:
	return st;
}

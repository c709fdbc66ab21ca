/* Forward and backward, straight through. Shapes: N = B T rows, q = H D, kv = Hkv D. */
#include "engine/model/model.h"
#include "engine/op/gemm.h"
#include "engine/op/ops.h"

#include <math.h>
#include <omp.h>
#include <string.h>

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
	sx_layer_weights w = sx_weights_layer(m, l);
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
			  .ln1_b = w.ln1_b,
			  .wv = sx_weight_reals(w.wv),
			  .bv = w.bv,
			  .wo = sx_weight_reals(w.wo),
			  .bo = w.bo,
			  .ln2 = w.ln2,
			  .wg = sx_weight_reals(w.wg),
			  .bg = w.bg,
			  .wu = sx_weight_reals(w.wu),
			  .bu = w.bu,
			  .wd = sx_weight_reals(w.wd),
			  .bd = w.bd};
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
	sx_layer_weights p = sx_weights_layer(m, l);
	sx_head layer = {.layer = l,
			 .spec = &m->spec,
			 .plan = &w->plan[l],
			 .rot = &w->rot[l],
			 .wq = sx_weight_reals(p.wq),
			 .wk = sx_weight_reals(p.wk),
			 .bq = p.bq,
			 .bk = p.bk,
			 .q_gain = sx_q_normed(&m->spec) ? p.q_norm : NULL,
			 .k_gain = sx_k_normed(&m->spec) ? p.k_norm : NULL};
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

/* A norm of the block, or the one at the end: what it is made of and what it keeps. */
typedef struct {
	const sx_real *gain, *bias;
	sx_real *mean, *rstd;
} norm;

/* y (N,C) = norm(x). */
static void norm_fwd(const sx_spec *s, sx_real *y, const sx_real *x, norm n, int64_t N)
{
	if (s->block.norm == SX_NORM_LAYER)
		sx_layernorm_fwd(y, n.mean, n.rstd, x, n.gain, n.bias, s->eps, N, s->C);
	else
		sx_norm_fwd(y, n.rstd, x, n.gain, s->eps, N, 1, s->C);
}

/* Queries and keys as they enter the product, and values. */
static sx_status project(const sx_model *m, sx_work *w, int l, sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	bool per_head = s->qk_norm == SX_QK_NORM_HEAD;
	int64_t gq = per_head ? s->H : 1, gk = per_head ? s->Hkv : 1;
	sx_linear_fwd(a->q_raw ? a->q_raw : a->q, a->h, p.wq, p.bq, NULL, N);
	sx_linear_fwd(a->k_raw ? a->k_raw : a->k, a->h, p.wk, p.bk, NULL, N);
	sx_linear_fwd(a->v, a->h, p.wv, p.bv, NULL, N);
	if (a->q_raw) sx_norm_fwd(a->q, a->q_rstd, a->q_raw, p.q_norm, s->eps, N, gq, q / gq);
	if (a->k_raw) sx_norm_fwd(a->k, a->k_rstd, a->k_raw, p.k_norm, s->eps, N, gk, kv / gk);
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

/* act from u. */
static void feed(const sx_spec *s, const sx_layer_weights *p, sx_layer_acts *a, int64_t N)
{
	sx_linear_fwd(a->up, a->u, p->wu, p->bu, NULL, N);
	if (s->block.mlp == SX_MLP_GELU) {
		sx_gelu_fwd(a->act, a->up, N * s->F);
		return;
	}
	sx_linear_fwd(a->gate, a->u, p->wg, p->bg, NULL, N);
	sx_swiglu_fwd(a->act, a->gate, a->up, N * s->F);
}

/* x_next (N,C) = the layer's output; it may be x. */
static sx_status layer_fwd(const sx_model *m, sx_work *w, int l, sx_layer_acts *a, sx_real *x_next,
			   const watch *o)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	const norm n1 = {p.ln1, p.ln1_b, a->mean1, a->rstd1},
		   n2 = {p.ln2, p.ln2_b, a->mean2, a->rstd2};
	bool after = s->block.norm_after;
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D;
	SX_TRY(show(o, SX_SITE_X_IN, false, l, C, a->x));
	if (!after) norm_fwd(s, a->h, a->x, n1, N);
	SX_TRY(show(o, SX_SITE_H, false, l, C, a->h));
	SX_TRY(attend(m, w, l, a, o));
	SX_TRY(show(o, SX_SITE_Z, false, l, q, a->z));
	if (after) {
		sx_linear_fwd(a->o, a->z, p.wo, p.bo, NULL, N);
		norm_fwd(s, a->xa, a->o, n1, N);
		sx_add(a->xa, a->x, N * C);
	} else {
		sx_linear_fwd(a->xa, a->z, p.wo, p.bo, a->x, N);
		norm_fwd(s, a->u, s->block.parallel ? a->x : a->xa, n2, N);
	}
	feed(s, &p, a, N);
	SX_TRY(show(o, SX_SITE_MLP, false, l, s->F, a->act));
	if (after) {
		sx_linear_fwd(a->m, a->act, p.wd, p.bd, NULL, N);
		norm_fwd(s, x_next, a->m, n2, N);
		sx_add(x_next, a->xa, N * C);
	} else {
		sx_linear_fwd(x_next, a->act, p.wd, p.bd, a->xa, N);
	}
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
	norm_fwd(s, w->f, w->x_out, (norm){m->p.ln_f, m->p.ln_f_b, w->mean_f, w->rstd_f}, N);
	if (r->target) {
		sx_loss_fwd(w->nll, w->loss_rows, w->f, sx_weights_output(m), r->target, N,
			    w->scratch);
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
	sx_linear_fwd(logits, w->f + row0 * m->spec.C, sx_weights_output(m), NULL, NULL, n);
}

/* ---- backward ---- */

static sx_real *of(sx_real *p, int layer, int64_t size)
{
	return p ? p + layer * size : NULL;
}

/* dx = or, when `add`, += what reaches x (N,C) through norm(x); gain and bias: of the gradient. */
static void norm_bwd(const sx_spec *s, sx_real *dx, sx_real *gain, sx_real *bias, const sx_real *dy,
		     const sx_real *x, norm n, bool add, int64_t N, sx_real *scratch)
{
	if (s->block.norm == SX_NORM_LAYER)
		sx_layernorm_bwd(dx, gain, bias, dy, x, n.mean, n.rstd, n.gain, add, N, s->C,
				 scratch);
	else
		sx_norm_bwd(dx, gain, dy, x, n.rstd, n.gain, add, N, 1, s->C, scratch);
}

/* dq, dk, dv w.r.t. what entered the product -> w.r.t. the projections, then into dh and weights. */
static sx_status project_bwd(const sx_model *m, sx_work *w, sx_params *g, int l,
			     const sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	SX_TRY(show(o, SX_SITE_Q_ROT, true, l, q, w->dq));
	SX_TRY(show(o, SX_SITE_K_ROT, true, l, kv, w->dk));
	SX_TRY(show(o, SX_SITE_V, true, l, kv, w->dv));
	sx_rotate(w->dq, &w->rot[l], true, o->B, o->T, s->H, s->D);
	sx_rotate(w->dk, &w->rot[l], true, o->B, o->T, s->Hkv, s->D);
	SX_TRY(show(o, SX_SITE_Q, true, l, q, w->dq));
	SX_TRY(show(o, SX_SITE_K, true, l, kv, w->dk));
	bool per_head = s->qk_norm == SX_QK_NORM_HEAD;
	int64_t gq = per_head ? s->H : 1, gk = per_head ? s->Hkv : 1;
	if (a->q_raw)
		sx_norm_bwd(w->dq, of(g->q_norm, l, q / gq), w->dq, a->q_raw, a->q_rstd, p.q_norm,
			    false, N, gq, q / gq, w->scratch);
	if (a->k_raw)
		sx_norm_bwd(w->dk, of(g->k_norm, l, kv / gk), w->dk, a->k_raw, a->k_rstd, p.k_norm,
			    false, N, gk, kv / gk, w->scratch);
	sx_linear_bwd(w->dh, of(g->wq, l, q * C), of(g->bq, l, q), w->dq, a->h, p.wq, false, N,
		      w->scratch);
	sx_linear_bwd(w->dh, of(g->wk, l, kv * C), of(g->bk, l, kv), w->dk, a->h, p.wk, true, N,
		      w->scratch);
	sx_linear_bwd(w->dh, of(g->wv, l, kv * C), of(g->bv, l, kv), w->dv, a->h, p.wv, true, N,
		      w->scratch);
out:
	return st;
}

/* w->dz from the gradient of the layer's middle, w->dx. */
static void output_bwd(const sx_model *m, sx_work *w, sx_params *g, int l, const sx_layer_acts *a,
		       int64_t N)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	const norm n1 = {p.ln1, p.ln1_b, a->mean1, a->rstd1};
	int64_t C = s->C, q = (int64_t)s->H * s->D;
	const sx_real *dy = w->dx;
	/* forward: xa = x + z Wo^T + bo, or xa = x + norm1(o), o = z Wo^T + bo */
	if (s->block.norm_after) {
		norm_bwd(s, w->dh, of(g->ln1, l, C), of(g->ln1_b, l, C), w->dx, a->o, n1, false, N,
			 w->scratch);
		dy = w->dh;
	}
	sx_linear_bwd(w->dz, of(g->wo, l, C * q), of(g->bo, l, C), dy, a->z, p.wo, false, N,
		      w->scratch);
}

/* From w->dx, the gradient of the layer's output, into w->dh, that of u. */
static sx_status feed_bwd(const sx_model *m, sx_work *w, sx_params *g, int l,
			  const sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	const norm n2 = {p.ln2, p.ln2_b, a->mean2, a->rstd2};
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, F = s->F;
	const sx_real *dy = w->dx;
	/* forward: x_next = xa + act Wd^T + bd, or xa + norm2(m), m = act Wd^T + bd */
	if (s->block.norm_after) {
		norm_bwd(s, w->dh, of(g->ln2, l, C), of(g->ln2_b, l, C), w->dx, a->m, n2, false, N,
			 w->scratch);
		dy = w->dh;
	}
	sx_linear_bwd(w->da, of(g->wd, l, C * F), of(g->bd, l, C), dy, a->act, p.wd, false, N,
		      w->scratch);
	SX_TRY(show(o, SX_SITE_MLP, true, l, F, w->da));
	/* forward: act = silu(u Wg^T + bg) * (u Wu^T + bu), or gelu(u Wu^T + bu) */
	if (s->block.mlp == SX_MLP_GELU) {
		sx_gelu_bwd(w->da, w->da, a->up, N * F);
		sx_linear_bwd(w->dh, of(g->wu, l, F * C), of(g->bu, l, F), w->da, a->u, p.wu, false,
			      N, w->scratch);
		goto out;
	}
	sx_swiglu_bwd(w->da, w->db, w->da, a->gate, a->up, N * F);
	sx_linear_bwd(w->dh, of(g->wg, l, F * C), of(g->bg, l, F), w->da, a->u, p.wg, false, N,
		      w->scratch);
	sx_linear_bwd(w->dh, of(g->wu, l, F * C), of(g->bu, l, F), w->db, a->u, p.wu, true, N,
		      w->scratch);
out:
	return st;
}

/* w->dx: gradient of the layer's output coming in, of its input going out. */
static sx_status layer_bwd(const sx_model *m, sx_work *w, sx_params *g, int l,
			   const sx_layer_acts *a, const watch *o)
{
	const sx_spec *s = &m->spec;
	sx_layer_weights p = sx_weights_layer(m, l);
	const norm n1 = {p.ln1, p.ln1_b, a->mean1, a->rstd1},
		   n2 = {p.ln2, p.ln2_b, a->mean2, a->rstd2};
	sx_status st = SX_OK;
	int64_t N = o->B * o->T, C = s->C, q = (int64_t)s->H * s->D;
	bool after = s->block.norm_after, parallel = s->block.parallel;
	/* side by side, both sub-layers get the gradient of the output; else attention gets it with what
	 * came back through the feed-forward block */
	if (parallel) output_bwd(m, w, g, l, a, N);
	SX_TRY(feed_bwd(m, w, g, l, a, o));
	/* forward: u = norm2(y), or y; y = xa, or x */
	if (after)
		sx_add(w->dx, w->dh, N * C);
	else
		norm_bwd(s, w->dx, of(g->ln2, l, C), of(g->ln2_b, l, C), w->dh,
			 parallel ? a->x : a->xa, n2, true, N, w->scratch);
	if (!parallel) output_bwd(m, w, g, l, a, N);
	SX_TRY(show(o, SX_SITE_Z, true, l, q, w->dz));
	sx_tap tap = tap_of(o, m, w, l, a);
	SX_TRY(sx_attention_bwd(w->dq, w->dk, w->dv, w->dz, a->z, a->rows, a->q, a->k, a->v,
				sx_work_attention(w, s, l, o->B), w->scratch, o->n ? &tap : NULL));
	SX_TRY(project_bwd(m, w, g, l, a, o));
	SX_TRY(show(o, SX_SITE_H, true, l, C, w->dh));
	/* forward: h = norm1(x), or x */
	if (after)
		sx_add(w->dx, w->dh, N * C);
	else
		norm_bwd(s, w->dx, of(g->ln1, l, C), of(g->ln1_b, l, C), w->dh, a->x, n1, true, N,
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
		    sx_weights_output(m), r->target, scale, N, w->scratch);
	norm_bwd(s, w->dx, grad->ln_f, grad->ln_f_b, w->dh, w->x_out,
		 (norm){m->p.ln_f, m->p.ln_f_b, w->mean_f, w->rstd_f}, false, N, w->scratch);
	for (int l = s->L - 1; l >= 0; l--) SX_TRY(layer_bwd(m, w, grad, l, &w->layer[l], &o));
	sx_embed_bwd(grad->embed, w->dx, r->tokens, N, C);
out:
	return st;
}

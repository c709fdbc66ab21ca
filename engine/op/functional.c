#include "engine/op/functional.h"

#include "engine/op/gemm.h"
#include "engine/op/ops.h"
#include "engine/vector.h"

int64_t sx_functional_reals(const sx_spec *s, int64_t T)
{
	bool norm = s->qk_norm != SX_QK_NORM_NONE, wide = s->qk_norm == SX_QK_NORM_FULL;
	return (norm ? 4 : 2) * T * s->D + 4 * (int64_t)s->D * s->C + T * s->C +
	       (wide ? T * s->H * s->D : 0);
}

void sx_functional_start(sx_functional *f, int n, const sx_spec *s, int64_t T, bool gradients,
			 sx_real *store)
{
	int64_t D = s->D, w = D * s->C, ld = 2 * n * D;
	bool norm = s->qk_norm != SX_QK_NORM_NONE;
	sx_real *raw = norm ? store + T * ld : store, *dw = raw + T * ld;
	sx_real *dh = dw + 2 * n * w, *pair = dh + n * T * s->C;
	for (int k = 0; k < n; k++) {
		f[k] = (sx_functional){.ld = ld};
		for (int i = 0; i < SX_WRT_COUNT; i++) f[k].norm[i] = (double)NAN;
		if (!gradients) continue;
		f[k].dq = store + 2 * k * D, f[k].dk = f[k].dq + D;
		f[k].dq_raw = raw + 2 * k * D, f[k].dk_raw = f[k].dq_raw + D;
		f[k].dwq = dw + 2 * k * w, f[k].dwk = f[k].dwq + w;
		f[k].dh = dh + k * T * s->C;
		f[k].pair = pair;
		f[k].wide = s->qk_norm == SX_QK_NORM_FULL ? pair + 2 * w : NULL;
	}
	if (gradients && n > 0) memset(store, 0, (size_t)(T * ld) * sizeof *store);
}

/* Over fixed lanes. */
SX_VECTOR
static double weigh_row(const sx_real *p, const double *c, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += (double)p[j + l] * c[j + l];
	for (int l = 0; j + l < n; l++) lane[l] += (double)p[j + l] * c[j + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

double sx_functional_mean(const sx_real *p, const double *c, int64_t n)
{
	return weigh_row(p, c, n);
}

SX_VECTOR
static void score_gradient_row(sx_real *g, const sx_real *p, const double *c, double mean,
			       double inv_T, int64_t n)
{
	for (int64_t j = 0; j < n; j++) g[j] = (sx_real)((double)p[j] * (c[j] - mean) * inv_T);
}

void sx_functional_tile(sx_functional *f, const sx_tile *t, const double *c, int64_t ldc,
			sx_real *g)
{
	double inv_T = 1 / (double)t->head->T;
	for (int64_t r = 0; r < t->nrow; r++) {
		const sx_real *p = t->p + r * t->ld;
		double mean = weigh_row(p, c + r * ldc, t->nkey);
		f->value += mean * inv_T;
		if (f->dq) score_gradient_row(g + r * t->ld, p, c + r * ldc, mean, inv_T, t->nkey);
	}
	if (f->dq) sx_functional_scores(f, t, g);
}

void sx_functional_scores(sx_functional *f, const sx_tile *t, const sx_real *g)
{
	const sx_head *h = t->head;
	sx_scores x = sx_scores_of(h->plan, h->spec->D, h->head, h->q, h->ldq, h->k, h->ldk);
	sx_scores_bwd(f->dq, f->ld, f->dk, f->ld, g, t->ld, &x, t->row0, t->nrow, t->key0, t->nkey);
}

/* Frobenius norm of x (rows,n), ld apart. */
SX_VECTOR
static double functional_norm(const sx_real *x, int64_t rows, int64_t n, int64_t ld)
{
	double sum = 0;
	for (int64_t r = 0; r < rows; r++) sum += sx_squares(x + r * ld, n);
	return sqrt(sum);
}

/* forward: y = g xhat, xhat = x / rho over W channels of which only the head's D carry dy. Returns
 * the term that all W channels share, sum(g dy xhat) / W; dx = (g dy - xhat shared) / rho. */
static double norm_jacobian_row(sx_real *dx, const sx_real *dy, const sx_real *x,
				const sx_real *gain, sx_real rstd, int64_t D, int64_t W)
{
	double sum = 0;
	for (int64_t c = 0; c < D; c++)
		sum += (double)dy[c] * (double)gain[c] * (double)(x[c] * rstd);
	double shared = sum / (double)W;
	for (int64_t c = 0; c < D; c++)
		dx[c] = (sx_real)(((double)dy[c] * (double)gain[c] -
				   (double)(x[c] * rstd) * shared) *
				  (double)rstd);
	return shared;
}

/* One side, q or k, of a head. raw NULL: it goes through no norm. */
typedef struct {
	const sx_real *w, *raw, *rstd, *gain;
	int64_t head, heads;
} side;

/* dx = dy, where a side goes through no norm but the other does; its way into dh, where the other's is
 * taken by itself. */
static void past_norm(const sx_functional *f, const sx_head *h, const sx_real *dy, sx_real *dx,
		      const side *o, bool add)
{
	const sx_spec *s = h->spec;
	int64_t D = s->D, C = s->C;
	for (int64_t t = 0; t < h->T; t++)
		memcpy(dx + t * f->ld, dy + t * f->ld, (size_t)D * sizeof *dx);
	if (s->qk_norm == SX_QK_NORM_FULL && f->dh)
		sx_gemm(false, false, h->T, C, D, 1, dx, f->ld, o->w + o->head * D * C, C,
			add ? 1 : 0, f->dh, C);
}

/* dy through the QK-norm into dx. Of a norm over all heads the other heads' projections enter this head,
 * too: f->wide (T,heads*D) is what reaches them all, and its way into dh is taken here. */
static void through_norm(const sx_functional *f, const sx_head *h, const sx_real *dy, sx_real *dx,
			 const side *o, bool add)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, D = s->D, C = s->C, width = o->heads * D;
	bool full = s->qk_norm == SX_QK_NORM_FULL;
	if (!o->raw) {
		past_norm(f, h, dy, dx, o, add);
		return;
	}
	for (int64_t t = 0; t < T; t++) {
		sx_real rs = full ? o->rstd[t] : o->rstd[t * o->heads + o->head];
		const sx_real *x = o->raw + t * width;
		double shared = norm_jacobian_row(dx + t * f->ld, dy + t * f->ld, x + o->head * D,
						  o->gain + (full ? o->head * D : 0), rs, D,
						  full ? width : D);
		if (!full) continue;
		for (int64_t c = 0; c < width; c++)
			f->wide[t * width + c] =
				(sx_real)(-(double)(x[c] * rs) * shared * (double)rs);
		for (int64_t c = 0; c < D; c++)
			f->wide[t * width + o->head * D + c] = dx[t * f->ld + c];
	}
	if (full && f->dh)
		sx_gemm(false, false, T, C, width, 1, f->wide, width, o->w, C, add ? 1 : 0, f->dh,
			C);
}

/* By way of W_Q and W_K at once; of a norm over all heads it is there already. */
static void into_h(sx_functional *f, int n, const sx_head *h, const side *q, const side *k)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, D = s->D, C = s->C, w = D * C;
	bool through_pair = s->qk_norm != SX_QK_NORM_FULL, copied = false;
	for (int i = 0; i < n; i++) {
		if (!f[i].dh) continue;
		if (through_pair && !copied) {
			memcpy(f->pair, q->w + q->head * w, (size_t)w * sizeof *f->pair);
			memcpy(f->pair + w, k->w + k->head * w, (size_t)w * sizeof *f->pair);
			copied = true;
		}
		if (through_pair)
			sx_gemm(false, false, T, C, 2 * D, 1, f[i].dq_raw, f->ld, f->pair, C, 0,
				f[i].dh, C);
		f[i].norm[SX_WRT_H] = functional_norm(f[i].dh, 1, T * C, T * C);
	}
}

void sx_functional_finish(sx_functional *f, int n, const sx_head *h)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, D = s->D, C = s->C, w = D * C;
	if (n == 0 || !f->dq) return;
	const side q = {h->wq, h->q_raw, h->q_rstd, h->q_gain, h->head, s->H},
		   k = {h->wk, h->k_raw, h->k_rstd, h->k_gain, h->kv_head, s->Hkv};
	sx_rotate(f->dq, h->rot, true, 1, T, 2 * n, D);
	for (int i = 0; i < n; i++) {
		f[i].norm[SX_WRT_Q] = functional_norm(f[i].dq, T, D, f->ld);
		f[i].norm[SX_WRT_K] = functional_norm(f[i].dk, T, D, f->ld);
		if (s->qk_norm == SX_QK_NORM_NONE) continue;
		through_norm(&f[i], h, f[i].dq, f[i].dq_raw, &q, false);
		through_norm(&f[i], h, f[i].dk, f[i].dk_raw, &k, true);
	}
	sx_gemm(true, false, 2 * n * D, C, T, 1, f->dq_raw, f->ld, h->h, C, 0, f->dwq, C);
	for (int i = 0; i < n; i++) {
		f[i].norm[SX_WRT_WQ] = functional_norm(f[i].dwq, 1, w, w);
		f[i].norm[SX_WRT_WK] = functional_norm(f[i].dwk, 1, w, w);
	}
	into_h(f, n, h, &q, &k);
}

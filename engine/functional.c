#include "engine/functional.h"

#include "engine/gemm.h"
#include "engine/ops.h"
#include "engine/vector.h"

int64_t sx_functional_reals(const sx_spec *s, int64_t T)
{
	bool norm = s->qk_norm != SX_QK_NORM_NONE, wide = s->qk_norm == SX_QK_NORM_FULL;
	return (norm ? 4 : 2) * T * s->D + 2 * (int64_t)s->D * s->C + T * s->C +
	       (wide ? T * s->H * s->D : 0);
}

void sx_functional_start(sx_functional *f, const sx_spec *s, int64_t T, bool gradients,
			 sx_real *store)
{
	int64_t qk = T * s->D, w = (int64_t)s->D * s->C;
	memset(f, 0, sizeof *f);
	for (int i = 0; i < SX_WRT_COUNT; i++) f->norm[i] = (double)NAN;
	if (!gradients) return;
	f->dq = store, f->dk = f->dq + qk, store = f->dk + qk;
	memset(f->dq, 0, 2 * (size_t)qk * sizeof *f->dq);
	f->dq_raw = f->dq, f->dk_raw = f->dk;
	if (s->qk_norm != SX_QK_NORM_NONE)
		f->dq_raw = store, f->dk_raw = store + qk, store += 2 * qk;
	f->dwq = store, f->dwk = store + w, f->dh = store + 2 * w;
	f->wide = s->qk_norm == SX_QK_NORM_FULL ? f->dh + T * s->C : NULL;
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
	int64_t D = h->spec->D;
	sx_real scale = (sx_real)h->scale;
	sx_gemm(false, false, t->nrow, D, t->nkey, scale, g, t->ld, h->k + t->key0 * h->ldk, h->ldk,
		0, f->dq + t->row0 * D, D);
	sx_gemm(true, false, t->nkey, D, t->nrow, scale, g, t->ld, h->q + t->row0 * h->ldq, h->ldq,
		1, f->dk + t->key0 * D, D);
}

/* Frobenius norm. */
SX_VECTOR
static double functional_norm(const sx_real *x, int64_t n)
{
	return sqrt(sx_squares(x, n));
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

/* One side (q or k) through its norm, its weights and into dh. heads: of this side. */
static void through_weights(sx_functional *f, const sx_head *h, const sx_real *dy, sx_real *dx,
			    sx_real *dw, const sx_real *w, const sx_real *raw, const sx_real *rstd,
			    const sx_real *gain, int64_t head, int64_t heads, bool add)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, D = s->D, C = s->C, width = heads * D;
	bool full = s->qk_norm == SX_QK_NORM_FULL;
	for (int64_t t = 0; raw && t < T; t++) {
		sx_real rs = full ? rstd[t] : rstd[t * heads + head];
		const sx_real *x = raw + t * width;
		double shared =
			norm_jacobian_row(dx + t * D, dy + t * D, x + head * D,
					  gain + (full ? head * D : 0), rs, D, full ? width : D);
		if (!full) continue;
		/* the other heads' projections enter this head through the common norm */
		for (int64_t c = 0; c < width; c++)
			f->wide[t * width + c] =
				(sx_real)(-(double)(x[c] * rs) * shared * (double)rs);
		for (int64_t c = 0; c < D; c++) f->wide[t * width + head * D + c] = dx[t * D + c];
	}
	sx_gemm(true, false, D, C, T, 1, dx, D, h->h, C, 0, dw, C);
	if (!f->dh) return;
	if (raw && full)
		sx_gemm(false, false, T, C, width, 1, f->wide, width, w, C, add ? 1 : 0, f->dh, C);
	else
		sx_gemm(false, false, T, C, D, 1, dx, D, w + head * D * C, C, add ? 1 : 0, f->dh,
			C);
}

void sx_functional_finish(sx_functional *f, const sx_head *h)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, D = s->D, C = s->C;
	if (!f->dq) return;
	sx_rotate(f->dq, h->rot, true, 1, T, 1, D);
	sx_rotate(f->dk, h->rot, true, 1, T, 1, D);
	f->norm[SX_WRT_Q] = functional_norm(f->dq, T * D);
	f->norm[SX_WRT_K] = functional_norm(f->dk, T * D);
	through_weights(f, h, f->dq, f->dq_raw, f->dwq, h->wq, h->q_raw, h->q_rstd, h->q_gain,
			h->head, s->H, false);
	through_weights(f, h, f->dk, f->dk_raw, f->dwk, h->wk, h->k_raw, h->k_rstd, h->k_gain,
			h->kv_head, s->Hkv, true);
	f->norm[SX_WRT_WQ] = functional_norm(f->dwq, D * C);
	f->norm[SX_WRT_WK] = functional_norm(f->dwk, D * C);
	if (f->dh) f->norm[SX_WRT_H] = functional_norm(f->dh, T * C);
}

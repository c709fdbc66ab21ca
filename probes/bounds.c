/* Both sides of the theory's inequalities and identities of every head (DroPE, arXiv:2512.12167,
 * section 3 and appendix B, in the corrected forms of docs/definitions.md), from the very tiles of a
 * pass. No verdicts here: analysis/bounds.h.
 *
 * Each side comes with an allowance: how far rounding may push the left side above the right one. u
 * is the unit roundoff of the engine. The engine's own steps, and what they are off by at most:
 *
 *   a row of probabilities, against the softmax of the stored scores, in L1:  2 (n + 32) u
 *       (exp 4 u, its argument u times the distance to the largest, on average below ln n; the
 *       sum of n terms n u, once more in 1/sum)
 *   a key k_j = W_K h_j + b:    (C + 2) u ||W_K||_F ||h_j||
 *   a score s_ij:               (D + 2) u scale ||q_i|| ||k_j||, and the key's error times scale ||q_i||
 *   a sum of m products:        (m + 2) u times the sum of their sizes
 *
 * What is summed here is summed in double, which these cover. On a constant sequence rows are equal
 * up to T u at first, and what layers make of such differences has no useful bound: T sqrt(u)
 * relative is allowed, a growth by 1/sqrt(u). */
#include "engine/functional.h"
#include "engine/spectral.h"
#include "engine/vector.h"
#include "probes/observe.h"

#include <float.h>
#include <stdlib.h>

static const double unit = sizeof(sx_real) == 8 ? 0x1p-53 : 0x1p-24;

/* Left and right side in the worst row so far. */
typedef struct {
	double lhs, rhs, paper, allowance, tightness;
	int64_t row;
} side;

/* What the rows of a head add up to: right side and allowance. */
typedef struct {
	double rhs, allowance;
} sum;

typedef struct {
	sum of[SX_BOUND_OF_C];
	double euler;      /* sum_ij g_ij s_ij, from probabilities and scores              */
	double nonuniform; /* mean of ||alpha_i - u_i||_1^2 / n_i                          */
	double c_most;     /* max |c_ij|                                                   */
	side row[SX_BOUND_OF_C];
} family_sums;

/* One row, apart from c. Norms and distances are over its visible keys. */
typedef struct {
	int64_t i, first, n;
	double l1, osc, deviation; /* ||alpha - u||_1, max - min s, max |s - mean s|        */
	double q, h;               /* ||q_i||, ||h_i||                                      */
	double kappa;              /* scale ||W_K^T q_i||                                   */
	double spread;             /* Delta_i = max_j ||h_j - mean h||                      */
	double k_far;              /* max_j ||k_j - mean k||                                */
	double k_square;           /* sum_j alpha_ij ||k_j - k_i^alpha||^2                  */
	double k_most, h_most;     /* at least the largest ||k_j||, ||h_j||                 */
	double off_p, off_s;       /* allowances: ||alpha||_1, |s_ij - mean s|              */
	double grown;              /* of ||alpha_i - u_i||_1 on a constant sequence         */
} row;

typedef struct {
	sx_functional *f;   /* one per family                                                  */
	family_sums *sum;   /* one per family                                                  */
	sx_real *store, *g; /* the functionals' arrays; (tile rows, ld)                        */
	double *c, *dist;   /* (tile rows, ld): weights; ||k_j - k_i^alpha||                   */
	row *rows;          /* of the tile                                                     */
	int64_t tile_size, tile_rows;
	side plain[SX_BOUND_PLAIN];
	double *gram, *gram_k, *work, *mean; /* (D,D), (D,D), (4D), (D)                         */
	/* of the head at work */
	double wq_norm, wk_norm, wq_size, wk_size; /* spectral, Frobenius                       */
	double k_most, h_most, osc_spread_h;
	double l1, delta; /* sum of ||alpha_i - u_i||_1; Delta_h                                */
	double paper; /* the printed bound of scores: ||W_Q|| ||W_K|| scale sqrt(C) Delta_h      */
	int64_t first_nonuniform;
	bool constant, turns;
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc;
	int64_t reals; /* of one family's arrays                                         */
	int64_t own;   /* the family `own`, -1 = not there                                 */
	int64_t B;     /* room of the two below                                         */
	double *spread, *h_norm; /* (B,T) of the layer at work: Delta_i, ||h_i||                */
} bounds;

/* ---- the layer's input ---- */

SX_VECTOR
static double bounds_square(const double *from, const sx_real *x, int64_t n)
{
	double lane[SX_LANES] = {0}, total = 0;
	int64_t c = 0;
	for (; c + SX_LANES <= n; c += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			double d = (double)x[c + l] - from[c + l];
			lane[l] += d * d;
		}
	for (int l = 0; c + l < n; l++) {
		double d = (double)x[c + l] - from[c + l];
		lane[l] += d * d;
	}
	for (int l = 0; l < SX_LANES; l++) total += lane[l];
	return total;
}

static double norm_of(const sx_real *x, int64_t n)
{
	double total = 0;
	for (int64_t c = 0; c < n; c++) total += (double)x[c] * (double)x[c];
	return sqrt(total);
}

/* Delta_i of row i; mean (C) is scratch. */
static double row_spread(const sx_real *h, int64_t C, int64_t first, int64_t i, double *mean)
{
	double most = 0;
	memset(mean, 0, (size_t)C * sizeof *mean);
	for (int64_t j = first; j <= i; j++)
		for (int64_t c = 0; c < C; c++) mean[c] += (double)h[j * C + c];
	for (int64_t c = 0; c < C; c++) mean[c] /= (double)(i - first + 1);
	for (int64_t j = first; j <= i; j++) {
		double d = bounds_square(mean, h + j * C, C);
		if (!(d <= most)) most = d; /* NaN stays */
		if (isnan(d)) break;
	}
	return sqrt(most);
}

static sx_status input_of_layer(bounds *o, const sx_site_event *e)
{
	int64_t T = e->T, C = e->width;
	if (o->B < e->B) {
		free(o->spread);
		free(o->h_norm);
		o->spread = sx_calloc((size_t)(e->B * T), sizeof *o->spread);
		o->h_norm = sx_calloc((size_t)(e->B * T), sizeof *o->h_norm);
		o->B = o->spread && o->h_norm ? e->B : 0;
		if (!o->B) return SX_ENOMEM;
	}
	double *mean = sx_calloc((size_t)(T * C), sizeof *mean);
	if (!mean) return SX_ENOMEM;
	for (int64_t b = 0; b < e->B; b++) {
		const sx_real *h = e->data + b * T * C;
#pragma omp parallel for schedule(dynamic)
		for (int64_t i = 0; i < T; i++) {
			int64_t first = sx_first_key(i, o->base.spec->pos.window);
			o->spread[b * T + i] = row_spread(h, C, first, i, mean + i * C);
			o->h_norm[b * T + i] = norm_of(h + i * C, C);
		}
	}
	free(mean);
	return SX_OK;
}

void sx_bounds_output(sx_measures *m, int64_t seq, int layer, const sx_real *x, int64_t C)
{
	int64_t at = (seq * m->L + layer) * m->H, n = m->n_bound;
	if (m->bound_reason[at * n + SX_BOUND_P32_OUTPUT] != SX_REASON_NONE) return;
	double most = 0, scale = norm_of(x, C);
	int64_t worst = 0;
	for (int64_t i = 1; i < m->T && !isnan(most); i++) {
		double square = 0;
		for (int64_t c = 0; c < C; c++) {
			double d = (double)x[i * C + c] - (double)x[c];
			square += d * d;
		}
		if (!(square <= most)) most = square, worst = i;
	}
	for (int64_t h = 0; h < m->H; h++) {
		int64_t k = (at + h) * n + SX_BOUND_P32_OUTPUT;
		m->bound_lhs[k] = sqrt(most) / scale;
		m->bound_rhs[k] = 0;
		m->bound_allowance[k] = (double)m->T * sqrt(unit);
		m->bound_row[k] = (int32_t)worst;
	}
}

static sx_status on_site(void *self, const sx_site_event *e)
{
	bounds *o = self;
	if (e->grad) return SX_OK;
	if (e->site == SX_SITE_H) return input_of_layer(o, e);
	for (int64_t b = 0; e->site == SX_SITE_X_IN && e->layer > 0 && b < e->B; b++)
		sx_bounds_output(o->base.into, o->base.seq0 + b, e->layer - 1,
				 e->data + b * e->T * e->width, e->width);
	return SX_OK;
}

/* ---- a head before its rows ---- */

static double gram_of(double *gram, const sx_real *w, int64_t D, int64_t C)
{
	double trace = 0;
	for (int64_t a = 0; a < D; a++)
		for (int64_t b = 0; b <= a; b++) {
			double dot = 0;
			for (int64_t c = 0; c < C; c++)
				dot += (double)w[a * C + c] * (double)w[b * C + c];
			gram[a * D + b] = gram[b * D + a] = dot;
			if (a == b) trace += dot;
		}
	return sqrt(trace);
}

static void begin_head(bounds *o, accumulator *a, const sx_head *h)
{
	const sx_spec *s = h->spec;
	int64_t D = s->D, C = s->C, T = h->T, n_c = o->base.into->n_c;
	for (int64_t k = 0; k < n_c; k++) {
		sx_functional_start(&a->f[k], s, T, true, a->store + k * o->reals);
		memset(&a->sum[k], 0, sizeof a->sum[k]);
		for (int b = 0; b < SX_BOUND_OF_C; b++) a->sum[k].row[b].tightness = -1;
	}
	for (int b = 0; b < SX_BOUND_PLAIN; b++) a->plain[b] = (side){.tightness = -1};
	a->wq_size = gram_of(a->gram, h->wq + h->head * D * C, D, C);
	a->wq_norm = sx_spectral_norm(a->gram, D, C, a->work);
	a->wk_size = gram_of(a->gram_k, h->wk + h->kv_head * D * C, D, C);
	memcpy(a->gram, a->gram_k, (size_t)(D * D) * sizeof *a->gram);
	a->wk_norm = sx_spectral_norm(a->gram, D, C, a->work);
	a->k_most = a->h_most = a->osc_spread_h = 0;
	a->first_nonuniform = -1;
	a->turns = h->plan->turns;
	a->constant = true;
	a->l1 = a->delta = 0;
	for (int64_t t = 0; t < T; t++) {
		a->constant = a->constant && h->tokens[t] == h->tokens[0];
		a->delta = fmax(a->delta, o->spread[h->seq * T + t]);
	}
	a->paper = a->turns || s->qk_norm != SX_QK_NORM_NONE || s->qkv_bias
			   ? (double)NAN
			   : a->wq_norm * a->wk_norm * h->scale * sqrt((double)C) * a->delta;
}

/* ---- rows ---- */

/* Keeps the row in which the left side comes nearest to, or passes, what it may be. */
static void offer(side *w, double lhs, double rhs, double paper, double allowance, int64_t i)
{
	double room = rhs + allowance, tightness = lhs == 0 && room >= 0 ? 0 : lhs / room;
	if (isnan(w->tightness) || tightness <= w->tightness) return;
	*w = (side){lhs, rhs, paper, allowance, tightness, i};
}

static void scores_of_row(row *x, const sx_real *s, const sx_real *p)
{
	double lo = (double)s[0], hi = lo, total = 0, u = 1 / (double)x->n;
	x->l1 = 0;
	for (int64_t j = 0; j < x->n; j++) {
		double v = (double)s[j];
		lo = v < lo ? v : lo;
		hi = v > hi ? v : hi;
		total += v;
		x->l1 += fabs((double)p[j] - u);
	}
	x->osc = hi - lo;
	x->deviation = fmax(hi - total * u, total * u - lo);
	if (isnan(total)) x->osc = x->deviation = total;
}

/* Distances of the visible keys to their mean and to the mean that attention takes. */
static void keys_of_row(row *x, const sx_head *h, const sx_real *p, double *dist, double *mean)
{
	int64_t D = h->spec->D;
	const sx_real *k = h->k + x->first * h->ldk;
	memset(mean, 0, (size_t)D * sizeof *mean);
	for (int64_t j = 0; j < x->n; j++)
		for (int64_t d = 0; d < D; d++) mean[d] += (double)k[j * h->ldk + d] / (double)x->n;
	x->k_far = x->k_square = 0;
	for (int64_t j = 0; j < x->n; j++)
		x->k_far = fmax(x->k_far, sqrt(bounds_square(mean, k + j * h->ldk, D)));
	memset(mean, 0, (size_t)D * sizeof *mean);
	for (int64_t j = 0; j < x->n; j++)
		for (int64_t d = 0; d < D; d++) mean[d] += (double)p[j] * (double)k[j * h->ldk + d];
	for (int64_t j = 0; j < x->n; j++) {
		double square = bounds_square(mean, k + j * h->ldk, D);
		dist[j] = sqrt(square);
		x->k_square += (double)p[j] * square;
	}
}

/* scale ||W_K^T q||, from above: an entry of the Gram matrix is off by C 2^-52 |w_a||w_b|. */
static double score_reach(const accumulator *a, const sx_head *h, const sx_real *q)
{
	int64_t D = h->spec->D;
	double square = 0, size = norm_of(q, D) * a->wk_size;
	for (int64_t d = 0; d < D; d++)
		for (int64_t e = 0; e < D; e++)
			square += (double)q[d] * a->gram_k[d * D + e] * (double)q[e];
	return h->scale *
	       sqrt(fmax(0, square) + (double)(h->spec->C + 2 * D) * DBL_EPSILON * size * size);
}

static void measure_row(const bounds *o, accumulator *a, row *x, const sx_tile *t, int64_t r)
{
	const sx_head *h = t->head;
	int64_t D = h->spec->D, C = h->spec->C, i = t->row0 + r, at = h->seq * h->T + i;
	x->i = i, x->first = sx_first_key(i, h->plan->window), x->n = i - x->first + 1;
	int64_t from = r * t->ld + x->first - t->key0;
	scores_of_row(x, t->s + from, t->p + from);
	keys_of_row(x, h, t->p + from, a->dist + from, a->mean);
	x->q = norm_of(h->q + i * h->ldq, D);
	x->h = o->h_norm[at];
	x->spread = o->spread[at];
	x->kappa = score_reach(a, h, h->q + i * h->ldq);
	a->k_most = fmax(a->k_most, norm_of(h->k + i * h->ldk, D));
	a->h_most = fmax(a->h_most, x->h);
	x->k_most = a->k_most, x->h_most = a->h_most;
	if (x->n > 1) a->osc_spread_h += (double)x->n / (double)(x->n - 1) * x->spread * x->h;
	x->off_p = 2 * (double)(x->n + 32) * unit;
	x->off_s = 2 * unit * h->scale * x->q *
		   ((double)(D + 2) * x->k_most + (double)(C + 2) * a->wk_size * x->h_most);
	double reach = h->scale * x->q * fmax(x->k_most, a->wk_size * x->h_most);
	x->grown = (double)h->T * sqrt(unit) * (1 + reach) + x->off_p;
	if (a->first_nonuniform < 0 && x->l1 > x->off_p + x->off_s) a->first_nonuniform = i;
}

static void offer_row(accumulator *a, const row *x)
{
	a->l1 += x->l1;
	offer(&a->plain[SX_BOUND_I1], x->l1, 2 * tanh(x->osc / 4), x->deviation, x->off_p, x->i);
	offer(&a->plain[SX_BOUND_I3], x->deviation, x->kappa * x->spread, a->paper, x->off_s, x->i);
	offer(&a->plain[SX_BOUND_I4], x->l1, fmin(2, x->kappa * x->spread), a->paper,
	      x->off_p + x->off_s, x->i);
	offer(&a->plain[SX_BOUND_P32_ALPHA], x->l1, 0, (double)NAN, x->grown, x->i);
}

/* ---- rows, for one family of c ---- */

/* What c makes of a row: sums over its visible keys. */
typedef struct {
	double osc, most, sum_c, mean, variance; /* of c; mean and variance under alpha           */
	double g, sum_g, reach; /* sum |g|, sum g, sum |g| ||k_j - k_i^alpha||                   */
	double euler;           /* sum alpha (c - mean) s                                       */
	double off_mean;        /* allowance of the mean, which c - mean may leave alone         */
} c_row;

static c_row weigh(const row *x, const double *c, const sx_real *p, const sx_real *s,
		   const sx_real *g, const double *dist)
{
	c_row w = {0};
	double lo = c[0], hi = lo;
	for (int64_t j = 0; j < x->n; j++) {
		lo = fmin(lo, c[j]);
		hi = fmax(hi, c[j]);
		w.sum_c += c[j];
		w.mean += (double)p[j] * c[j];
		w.g += fabs((double)g[j]);
		w.sum_g += (double)g[j];
		w.reach += fabs((double)g[j]) * dist[j];
	}
	for (int64_t j = 0; j < x->n; j++) {
		double d = c[j] - w.mean;
		w.variance += (double)p[j] * d * d;
		w.euler += (double)p[j] * d * (double)s[j];
	}
	w.osc = hi - lo;
	w.most = fmax(fabs(lo), fabs(hi));
	w.off_mean = 4 * (double)(x->n + 16) * DBL_EPSILON * w.most;
	return w;
}

static void add(sum *to, double rhs, double allowance)
{
	to->rhs += rhs;
	to->allowance += allowance;
}

static void offer_c_row(family_sums *f, const row *x, const c_row *w, double T)
{
	double n = (double)x->n, off = x->off_p * w->most / T;
	offer(&f->row[SX_BOUND_D31], fabs(w->sum_c), 0, (double)NAN, x->off_p, x->i);
	offer(&f->row[SX_BOUND_B10], fabs(w->sum_g), 0, (double)NAN, off + 4 * unit * w->g, x->i);
	offer(&f->row[SX_BOUND_I8], w->g, w->osc / (2 * T), w->most / T,
	      2 * x->off_p * (w->osc + w->most) / T, x->i);
	/* Cauchy-Schwarz on the very weights alpha: what is rounded is g and the mean of c */
	double far = sqrt(x->k_square), right = sqrt(w->variance) * far / T;
	offer(&f->row[SX_BOUND_I12], w->reach, right, (double)NAN,
	      (4 * unit + (n + 64) * DBL_EPSILON) * right + w->off_mean * far / T, x->i);
}

/* A_c: the mean of c and the sum of alpha may be off, which the mid-range of c then carries. */
static void add_value(family_sums *f, const row *x, const c_row *w, double T)
{
	double half = w->osc / 2, off = x->off_p * (w->most + 1 / (double)x->n) / T;
	sum *of = f->of;
	add(&of[SX_BOUND_I9], half * x->l1 / T, off);
	add(&of[SX_BOUND_I9_TANH], 2 * half * tanh(x->osc / 4) / T, off + half * x->off_p / T);
	add(&of[SX_BOUND_T34], half * fmin(2, x->kappa * x->spread) / T,
	    off + half * (x->off_p + x->off_s) / T);
	add(&of[SX_BOUND_P32_VALUE], 0, off + half * x->grown / T);
	f->nonuniform += x->l1 * x->l1 / (double)x->n / T;
	f->c_most = fmax(f->c_most, w->most);
}

/* Gradients: a row's sum of g need not vanish (off), and products over up to T rows and keys are
 * rounded twice. In a row with all its weight on one key every c - mean has cancelled, which E1 sees. */
static void add_gradients(family_sums *f, const accumulator *a, const row *x, const c_row *w,
			  const sx_head *h)
{
	const sx_spec *s = h->spec;
	double T = (double)h->T, half = w->osc / 2 / T, sc = h->scale;
	double off = x->off_p * w->most / T + (2 * T + 16) * unit * w->g;
	double off_g = 2 * x->off_p * (w->osc + w->most) / T; /* I8's */
	double off_k = 2 * (double)(s->C + 2) * unit * a->wk_size * x->h_most;
	double q_off = sc * x->h * x->k_most * off, k_off = sc * x->q * x->h_most * off;
	double grown = T * sqrt(unit) * sc * half;
	double af = fmax(1, h->plan->attention_factor);
	double euler =
		af * sc * (unit * (2 * T + (double)(s->C + s->D) + 32) * w->g + w->off_mean / T);
	sum *of = f->of;
	add(&of[SX_BOUND_I10], sc * w->g * x->k_far * x->h, q_off);
	add(&of[SX_BOUND_I10_SPREAD], sc * a->wk_norm * half * x->spread * x->h,
	    q_off + sc * x->h * (off_k * w->g + off_g * a->wk_norm * x->spread));
	add(&of[SX_BOUND_I11], sc * w->g * x->q * x->spread, k_off);
	add(&of[SX_BOUND_I11_SPREAD], sc * half * x->q * x->spread,
	    k_off + sc * off_g * x->q * x->spread);
	add(&of[SX_BOUND_P32_WQ], 0,
	    q_off + grown * fmax(x->k_most, a->wk_size * x->h_most) * x->h);
	add(&of[SX_BOUND_P32_WK], 0, k_off + grown * x->q * x->h_most);
	add(&of[SX_BOUND_E1_WQ], 0, euler * x->k_most * x->h * a->wq_size);
	add(&of[SX_BOUND_E1_WK], 0, euler * x->q * x->h_most * a->wk_size);
	f->euler += w->euler / T;
}

static sx_status make_room(accumulator *a, int64_t nrow, int64_t ld)
{
	if (nrow * ld <= a->tile_size && nrow <= a->tile_rows) return SX_OK;
	free(a->c);
	free(a->g);
	free(a->dist);
	free(a->rows);
	a->tile_size = nrow * ld, a->tile_rows = nrow;
	a->c = sx_calloc((size_t)(nrow * ld), sizeof *a->c);
	a->g = sx_calloc((size_t)(nrow * ld), sizeof *a->g);
	a->dist = sx_calloc((size_t)(nrow * ld), sizeof *a->dist);
	a->rows = sx_calloc((size_t)nrow, sizeof *a->rows);
	if (a->c && a->g && a->dist && a->rows) return SX_OK;
	a->tile_size = a->tile_rows = 0;
	return SX_ENOMEM;
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	bounds *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	if (make_room(a, t->nrow, t->ld) != SX_OK) return SX_ENOMEM;
	if (t->row0 == 0) begin_head(o, a, h);
	for (int64_t r = 0; r < t->nrow; r++) {
		measure_row(o, a, &a->rows[r], t, r);
		offer_row(a, &a->rows[r]);
	}
	for (int64_t k = 0; k < o->base.into->n_c; k++) {
		family_sums *f = &a->sum[k];
		memset(a->c, 0, (size_t)(t->nrow * t->ld) * sizeof *a->c);
		for (int64_t r = 0; r < t->nrow; r++) {
			const row *x = &a->rows[r];
			int64_t at = r * t->ld + x->first - t->key0;
			sx_family_row(&o->base.family[k], x->i, x->first, t->p + at, a->c + at);
		}
		sx_functional_tile(&a->f[k], t, a->c, t->ld, a->g);
		for (int64_t r = 0; r < t->nrow; r++) {
			const row *x = &a->rows[r];
			int64_t at = r * t->ld + x->first - t->key0;
			c_row w =
				weigh(x, a->c + at, t->p + at, t->s + at, a->g + at, a->dist + at);
			offer_c_row(f, x, &w, (double)h->T);
			add_value(f, x, &w, (double)h->T);
			add_gradients(f, a, x, &w, h);
		}
	}
	return SX_OK;
}

/* ---- a head after its rows ---- */

static double inner(const sx_real *a, const sx_real *b, int64_t n)
{
	double total = 0;
	for (int64_t i = 0; i < n; i++) total += (double)a[i] * (double)b[i];
	return total;
}

static side whole(double lhs, double rhs, double paper, double allowance)
{
	return (side){.lhs = lhs, .rhs = rhs, .paper = paper, .allowance = allowance, .row = -1};
}

/* Rows of one family that are about the head as a whole. */
static void finish_family(family_sums *x, sx_functional *f, const accumulator *a, const sx_head *h)
{
	static const sx_bound_c values[] = {SX_BOUND_I9, SX_BOUND_I9_TANH, SX_BOUND_T34,
					    SX_BOUND_P32_VALUE};
	static const sx_bound_c by_wq[] = {SX_BOUND_I10, SX_BOUND_I10_SPREAD, SX_BOUND_P32_WQ};
	static const sx_bound_c by_wk[] = {SX_BOUND_I11, SX_BOUND_I11_SPREAD, SX_BOUND_P32_WK};
	const sx_spec *s = h->spec;
	int64_t size = (int64_t)s->D * s->C;
	double none = (double)NAN;
	sx_functional_finish(f, h);
	for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
		const sum *of = &x->of[values[k]];
		x->row[values[k]] = whole(fabs(f->value), of->rhs, none, of->allowance);
	}
	for (size_t k = 0; k < sizeof by_wq / sizeof by_wq[0]; k++) {
		const sum *of = &x->of[by_wq[k]];
		x->row[by_wq[k]] = whole(f->norm[SX_WRT_WQ], of->rhs, none, of->allowance);
		of = &x->of[by_wk[k]];
		x->row[by_wk[k]] = whole(f->norm[SX_WRT_WK], of->rhs, none, of->allowance);
	}
	x->row[SX_BOUND_E1_WQ] = whole(inner(f->dwq, h->wq + h->head * size, size), x->euler, none,
				       x->of[SX_BOUND_E1_WQ].allowance);
	x->row[SX_BOUND_E1_WK] = whole(inner(f->dwk, h->wk + h->kv_head * size, size), x->euler,
				       none, x->of[SX_BOUND_E1_WK].allowance);
	/* As printed, with this head's norms for B and sqrt(d) for ||h_i||; C = max |c_ij|. */
	double paper = x->c_most * h->scale * sqrt((double)s->C) * a->delta * (1 + a->paper);
	x->row[SX_BOUND_I9].paper = x->row[SX_BOUND_I9_TANH].paper =
		x->c_most * a->l1 / (double)h->T;
	x->row[SX_BOUND_T34].paper = x->c_most * a->paper;
	x->row[SX_BOUND_I10].paper = x->row[SX_BOUND_I10_SPREAD].paper = a->wk_norm * paper;
	x->row[SX_BOUND_I11].paper = x->row[SX_BOUND_I11_SPREAD].paper = a->wq_norm * paper;
}

/* Proposition 3.3, its witness `own`: A_c > 0 and dA_c/dW_Q != 0, by what they are at least. */
static void finish_own(accumulator *a, const family_sums *x, const sx_functional *f, double T)
{
	double none = (double)NAN, off = x->of[SX_BOUND_E1_WQ].allowance;
	a->plain[SX_BOUND_P33_VALUE] = whole(x->nonuniform, f->value, none,
					     x->of[SX_BOUND_I9].allowance + T * DBL_EPSILON);
	a->plain[SX_BOUND_P33_VALUE].row = a->first_nonuniform;
	a->plain[SX_BOUND_P33_WQ] =
		whole(x->euler / a->wq_size, f->norm[SX_WRT_WQ], none, off / a->wq_size);
}

static sx_bound_reason reason_plain(sx_bound b, const sx_spec *s, const accumulator *a, bool own)
{
	bool norm = s->qk_norm != SX_QK_NORM_NONE;
	switch (b) {
	case SX_BOUND_I1:
		return SX_REASON_NONE;
	case SX_BOUND_I3:
	case SX_BOUND_I4:
		return a->turns ? SX_REASON_NOT_NOPE : norm ? SX_REASON_QK_NORM : SX_REASON_NONE;
	case SX_BOUND_P32_ALPHA:
		return !a->constant ? SX_REASON_NOT_CONSTANT
		       : a->turns   ? SX_REASON_NOT_NOPE
				    : SX_REASON_NONE;
	case SX_BOUND_P32_OUTPUT:
		return a->constant ? SX_REASON_NONE : SX_REASON_NOT_CONSTANT;
	default: /* P33_VALUE, P33_WQ */
		if (!a->constant) return SX_REASON_NOT_CONSTANT;
		if (!a->turns) return SX_REASON_NOT_ROTATED;
		if (!own) return SX_REASON_NO_OWN;
		if (b == SX_BOUND_P33_VALUE) return SX_REASON_NONE;
		return norm ? SX_REASON_QK_NORM : s->qkv_bias ? SX_REASON_BIASES : SX_REASON_NONE;
	}
}

static sx_bound_reason reason_of_c(sx_bound_c b, const sx_spec *s, const accumulator *a)
{
	bool norm = s->qk_norm != SX_QK_NORM_NONE;
	switch (b) {
	case SX_BOUND_T34:
	case SX_BOUND_I10:
	case SX_BOUND_I10_SPREAD:
	case SX_BOUND_I11:
	case SX_BOUND_I11_SPREAD:
		return a->turns ? SX_REASON_NOT_NOPE : norm ? SX_REASON_QK_NORM : SX_REASON_NONE;
	case SX_BOUND_E1_WQ:
	case SX_BOUND_E1_WK:
		return norm ? SX_REASON_QK_NORM : s->qkv_bias ? SX_REASON_BIASES : SX_REASON_NONE;
	case SX_BOUND_P32_VALUE:
	case SX_BOUND_P32_WQ:
	case SX_BOUND_P32_WK:
		if (!a->constant) return SX_REASON_NOT_CONSTANT;
		if (a->turns) return SX_REASON_NOT_NOPE;
		return norm && b != SX_BOUND_P32_VALUE ? SX_REASON_QK_NORM : SX_REASON_NONE;
	default: /* hold for any scores */
		return SX_REASON_NONE;
	}
}

static void put(sx_measures *m, int64_t at, const side *x, sx_bound_reason reason)
{
	m->bound_reason[at] = (uint8_t)reason;
	if (reason != SX_REASON_NONE) return;
	m->bound_lhs[at] = x->lhs;
	m->bound_rhs[at] = x->rhs;
	m->bound_paper[at] = x->paper;
	m->bound_allowance[at] = x->allowance;
	m->bound_row[at] = (int32_t)x->row;
}

/* /ac's own arrays: I9, and where they apply I10 and I11, as the spread bounds them. */
static void put_ac(sx_measures *m, int64_t at, int64_t k, const family_sums *x, bool spread)
{
	int64_t v = at * m->n_c + k, g = v * m->n_wrt;
	m->value_bound[v] = x->row[SX_BOUND_I9].rhs;
	m->value_bound_paper[v] = x->row[SX_BOUND_I9].paper;
	if (!spread) return;
	m->grad_bound[g + SX_WRT_WQ] = x->row[SX_BOUND_I10_SPREAD].rhs;
	m->grad_bound[g + SX_WRT_WK] = x->row[SX_BOUND_I11_SPREAD].rhs;
	m->grad_bound_paper[g + SX_WRT_WQ] = x->row[SX_BOUND_I10_SPREAD].paper;
	m->grad_bound_paper[g + SX_WRT_WK] = x->row[SX_BOUND_I11_SPREAD].paper;
}

static sx_status on_head(void *self, const sx_head *h)
{
	bounds *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int64_t at = sx_measure_at(&o->base, h), n = m->n_bound;
	for (int64_t k = 0; k < m->n_c; k++) {
		finish_family(&a->sum[k], &a->f[k], a, h);
		if (k == o->own) finish_own(a, &a->sum[k], &a->f[k], (double)h->T);
		for (int b = 0; b < SX_BOUND_OF_C; b++)
			put(m, at * n + sx_bound_of_c((sx_bound_c)b, k), &a->sum[k].row[b],
			    reason_of_c((sx_bound_c)b, h->spec, a));
		put_ac(m, at, k, &a->sum[k],
		       reason_of_c(SX_BOUND_I10, h->spec, a) == SX_REASON_NONE);
	}
	/* the output's sides come when the layer has ended */
	const side later = {.lhs = (double)NAN,
			    .rhs = (double)NAN,
			    .paper = (double)NAN,
			    .allowance = (double)NAN,
			    .row = -1};
	for (int b = 0; b < SX_BOUND_PLAIN; b++)
		put(m, at * n + b, b == SX_BOUND_P32_OUTPUT ? &later : &a->plain[b],
		    reason_plain((sx_bound)b, h->spec, a, o->own >= 0));
	m->osc_spread_h[at] = a->osc_spread_h / (double)h->T;
	if (o->base.seq0 + h->seq == 0) { /* the weights are those of every sequence */
		m->wq_norm[h->layer * m->H + h->head] = a->wq_norm;
		m->wk_norm[h->layer * m->H + h->head] = a->wk_norm;
	}
	return SX_OK;
}

/* ---- start and stop ---- */

static void stop(void *self)
{
	bounds *o = self;
	if (!o) return;
	for (int i = 0; o->acc && i < o->base.threads; i++) {
		accumulator *a = &o->acc[i];
		void *const all[] = {a->f, a->sum, a->store, a->g, a->c, a->dist, a->rows, a->gram};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
	free(o->acc);
	free(o->spread);
	free(o->h_norm);
	free(o);
}

static bool start_thread(accumulator *a, int64_t n_c, int64_t reals, int64_t D)
{
	a->f = sx_calloc((size_t)n_c, sizeof *a->f);
	a->sum = sx_calloc((size_t)n_c, sizeof *a->sum);
	a->store = sx_calloc((size_t)(n_c * reals), sizeof *a->store);
	a->gram = sx_calloc((size_t)(2 * D * D + 5 * D), sizeof *a->gram);
	if (!a->f || !a->sum || !a->store || !a->gram) return false;
	a->gram_k = a->gram + D * D;
	a->work = a->gram_k + D * D;
	a->mean = a->work + 4 * D;
	return true;
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t n_c = base->into->n_c;
	bounds *o = sx_calloc(1, sizeof *o);
	if (!o) return;
	o->base = *base;
	o->reals = sx_functional_reals(base->spec, base->into->T);
	o->own = -1;
	for (int64_t k = 0; k < n_c; k++)
		if (strcmp(base->family[k].name, "own") == 0) o->own = k;
	o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
	bool ok = o->acc != NULL;
	for (int i = 0; ok && i < base->threads; i++)
		ok = start_thread(&o->acc[i], n_c, o->reals, base->spec->D);
	if (!ok) {
		stop(o);
		return;
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head, .site = on_site};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->bounds;
}

const sx_observer_kind sx_observe_bounds = {"bounds", wanted, start, stop};

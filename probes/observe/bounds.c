/* Both sides of the theory's inequalities and identities of every head (DroPE, arXiv:2512.12167,
 * section 3 and appendix B, in the corrected forms of docs/definitions.md), from the very tiles of a
 * pass; those of a layer as a whole are in bounds_layer.c. No verdicts here: analysis/bounds.h.
 *
 * Each side comes with an allowance: how far rounding may push the left side above the right one. It is
 * a forward error analysis of the steps that were taken, to first order in u, the engine's unit
 * roundoff, and v, double's, for what is summed here. P, S, W, H, K stand for sums of sizes.
 *
 *   p, against the softmax of the stored scores, in L1: (n + 2 ln n + 24) u
 *       each exp 4 u, and u times its argument's distance from the largest, which is ln n on the
 *       average over p (the entropy); once more by the sum; n u for the sum, u for 1/sum, u for the product
 *   sum_j p_j - 1:    (n + 8) u. The exponentials' errors cancel: only sum, 1/sum and products are left
 *   k_j = W_K h_j + b: (C + 2) u (||W_K||_F ||h_j|| + ||b||), through a QK-norm times its slope
 *       lambda = max |gain| / rho, and (width/2 + 10) u ||k_j|| for the norm itself
 *   s_ij:             (D + 3) u scale ||q_i|| ||k_j||, and the key's error times scale ||q_i||
 *   m = sum_j p_j c_j: n v max |c|. g_ij = p_j (c_j - m)/T: (u + 3 v) |g_ij|, no more: the mean of the
 *       other sums over c is g's own m (sx_functional_mean), bit for bit. In a row with its weight on one
 *       key c - m is what rounding left of it, and a mean added in another order would leave another rest.
 *   sum_j g_ij:       the mean's error, m times that of sum_j p_j, u sum |g|
 *   a sum of m products: (m + 2) u times the sum of their sizes
 *   an underflow:     the smallest number above zero for each term, under the root of a norm too
 *
 * On a constant sequence rows are not quite equal, since rounding differs between rows; how far apart
 * they are is measured (Delta_i), and what follows from it is the allowance of P3.2: the right sides of
 * I4, T3.4, I10 and I11. That the spread stays small from layer to layer is P3.2.output's to say. */
#include "engine/op/functional.h"
#include "engine/op/spectral.h"
#include "probes/observe/bounds_layer.h"

#include <stdlib.h>
#include <string.h>

typedef sx_bound_side side;

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
	double q, h;               /* ||q_i||; ||h_i||, through a QK-norm times its slope    */
	double kappa, slope;       /* scale times the slope of keys; the slope, over h       */
	double spread;             /* Delta_i = max_j ||h_j - mean h||                      */
	double k_far;              /* max_j ||k_j - mean k||                                */
	double k_square;           /* sum_j alpha_ij ||k_j - k_i^alpha||^2                  */
	double k_most, h_most;     /* at least the largest ||k_j||, ||h_j||                 */
	/* allowances: sum p - 1; ||alpha - u||_1; |s_ij - mean s|; ||k_j|| */
	double off_sum, off_p, off_s, off_k;
} row;

typedef struct {
	sx_functional *f;   /* one per family, then one per family with uniform rows            */
	family_sums *sum;   /* one per family                                                  */
	sx_real *store, *g; /* the functionals' arrays; (tile rows, ld)                        */
	sx_real *uniform;   /* (tile rows, ld) u_i                                             */
	double *c, *dist;   /* (tile rows, ld): weights; ||k_j - k_i^alpha||                   */
	row *rows;          /* of the tile                                                     */
	int64_t tile_size, tile_rows;
	side plain[SX_BOUND_PLAIN];
	double *gram, *gram_k, *work, *mean; /* (D,D), (D,D), (4D), (D)                         */
	/* of the head at work */
	double wq_norm, wk_norm, wq_size, wk_size; /* spectral, Frobenius                       */
	double wk_all; /* ||W_K||_F of all that a QK-norm takes together; else wk_size           */
	double bq, bk; /* norms of the head's biases                                           */
	double k_slope, q_gain, k_gain; /* max |g|/rho over the keys so far; max |g|: QK-norm    */
	double k_most, h_most, osc_spread_h;
	double l1, delta; /* sum of ||alpha_i - u_i||_1; Delta_h                                */
	double paper; /* the printed bound of scores: ||W_Q|| ||W_K|| scale sqrt(C) Delta_h      */
	sx_bounds_head told;
	int64_t first_nonuniform;
	bool constant, turns; /* turns: position enters by rotation or bias */
	bool biased; /* by an additive bias: told of no inequality but those of any scores */
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc;
	sx_bounds_layer *layer;
	int64_t own; /* the family `own`, -1 = not there                                 */
} bounds;

static double most_of(const sx_real *x, int64_t n)
{
	double most = 0;
	for (int64_t c = 0; c < n; c++) most = sx_larger(most, fabs((double)x[c]));
	return most;
}

static sx_status on_site(void *self, const sx_site_event *e)
{
	bounds *o = self;
	if (e->grad) return SX_OK;
	o->layer->base.seq0 = o->base.seq0;
	return sx_bounds_layer_site(o->layer, e);
}

static sx_status on_layer(void *self, const sx_layer *layer)
{
	bounds *o = self;
	o->layer->base.seq0 = o->base.seq0;
	return sx_bounds_layer_end(o->layer, layer);
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

/* Norms of the head's matrices, biases and gains. */
static void know_weights(accumulator *a, const sx_head *h)
{
	const sx_spec *s = h->spec;
	int64_t D = s->D, C = s->C;
	bool full = s->qk_norm == SX_QK_NORM_FULL, all_k = full && sx_k_normed(s);
	a->wq_size = gram_of(a->gram, h->wq + h->head * D * C, D, C);
	a->wq_norm = sx_spectral_norm(a->gram, D, C, a->work);
	a->wk_size = gram_of(a->gram_k, h->wk + h->kv_head * D * C, D, C);
	memcpy(a->gram, a->gram_k, (size_t)(D * D) * sizeof *a->gram);
	a->wk_norm = sx_spectral_norm(a->gram, D, C, a->work);
	a->wk_all = all_k ? sx_bound_norm(h->wk, s->Hkv * D * C) : a->wk_size;
	a->bq = h->bq ? sx_bound_norm(h->bq + h->head * D, D) : 0;
	a->bk = !h->bk  ? 0
		: all_k ? sx_bound_norm(h->bk, s->Hkv * D)
			: sx_bound_norm(h->bk + h->kv_head * D, D);
	a->q_gain = sx_q_normed(s) ? most_of(h->q_gain + (full ? h->head * D : 0), D) : 1;
	a->k_gain = sx_k_normed(s) ? most_of(h->k_gain + (full ? h->kv_head * D : 0), D) : 1;
}

static void begin_head(bounds *o, accumulator *a, const sx_head *h)
{
	const sx_spec *s = h->spec;
	int64_t T = h->T, n_c = o->base.into->n_c;
	sx_functional_start(a->f, (int)(2 * n_c), s, T, true, a->store);
	for (int64_t k = 0; k < n_c; k++) {
		memset(&a->sum[k], 0, sizeof a->sum[k]);
		for (int b = 0; b < SX_BOUND_OF_C; b++) a->sum[k].row[b].tightness = -1;
	}
	for (int b = 0; b < SX_BOUND_PLAIN; b++) a->plain[b] = (side){.tightness = -1};
	know_weights(a, h);
	a->k_most = a->h_most = a->osc_spread_h = a->k_slope = 0;
	a->first_nonuniform = -1;
	a->biased = h->plan->n_slopes > 0;
	a->turns = h->plan->turns || a->biased;
	a->constant = true;
	a->l1 = a->delta = 0;
	for (int64_t t = 0; t < T; t++) {
		a->constant = a->constant && h->tokens[t] == h->tokens[0];
		a->delta = sx_larger(a->delta, o->layer->spread[h->seq * T + t]);
	}
	/* what is printed takes sqrt(C) for ||h_i||: an RMSNorm before the block */
	bool printed = !a->turns && s->qk_norm == SX_QK_NORM_NONE && !s->qkv_bias &&
		       s->block.norm == SX_NORM_RMS && !s->block.norm_after;
	a->told = (sx_bounds_head){.constant = a->constant, .turns = a->turns};
	a->told.paper =
		printed ? a->wq_norm * a->wk_norm * h->scale * sqrt((double)s->C) : (double)NAN;
	a->paper = a->told.paper * a->delta;
}

/* ---- rows ---- */

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
		x->k_far = fmax(x->k_far, sqrt(sx_distance_square(mean, k + j * h->ldk, D)));
	memset(mean, 0, (size_t)D * sizeof *mean);
	for (int64_t j = 0; j < x->n; j++)
		for (int64_t d = 0; d < D; d++) mean[d] += (double)p[j] * (double)k[j * h->ldk + d];
	for (int64_t j = 0; j < x->n; j++) {
		double square = sx_distance_square(mean, k + j * h->ldk, D);
		dist[j] = sqrt(square);
		x->k_square += (double)p[j] * square;
	}
}

/* scale ||W_K^T q||, from above: an entry of the Gram matrix is off by C 2^-52 |w_a||w_b|. */
static double score_reach(const accumulator *a, const sx_head *h, const sx_real *q)
{
	int64_t D = h->spec->D;
	double square = 0, size = sx_bound_norm(q, D) * a->wk_size;
	for (int64_t d = 0; d < D; d++)
		for (int64_t e = 0; e < D; e++)
			square += (double)q[d] * a->gram_k[d * D + e] * (double)q[e];
	return h->scale *
	       sqrt(fmax(0, square) + (double)(h->spec->C + 2 * D) * DBL_EPSILON * size * size);
}

/* Width of a QK-norm over all heads of `heads`, and where its 1/rho of row i stands. */
static int64_t norm_width(const sx_spec *s, int heads)
{
	return s->qk_norm == SX_QK_NORM_FULL ? (int64_t)heads * s->D : s->D;
}

static double rstd_of(const sx_spec *s, const sx_real *rstd, int64_t i, int heads, int head)
{
	double r = (double)(s->qk_norm == SX_QK_NORM_FULL ? rstd[i] : rstd[i * heads + head]);
	return r * (1 + (double)(norm_width(s, heads) + 8) * sx_unit);
}

/* How far keys may be from their mean over how far inputs may be from theirs, and how far a key is off.
 * Through a QK-norm keys are lambda ||W_K||-Lipschitz, and distances from a mean sqrt 2 times as far
 * (I2); without one they are linear. */
static void slopes_of_row(accumulator *a, row *x, const sx_head *h)
{
	const sx_spec *s = h->spec;
	const sx_real *q = h->q + x->i * h->ldq;
	double raw = ((double)s->C + 2) * sx_unit * (a->wk_all * a->h_most + a->bk);
	x->q = sx_bound_norm(q, s->D);
	if (sx_q_normed(s)) x->h *= a->q_gain * rstd_of(s, h->q_rstd, x->i, s->H, h->head);
	if (!sx_k_normed(s)) {
		x->kappa = score_reach(a, h, q);
		x->slope = a->wk_norm;
		x->off_k = raw;
		return;
	}
	double norm = s->qk_norm == SX_QK_NORM_FULL ? a->wk_all : a->wk_norm;
	a->k_slope =
		sx_larger(a->k_slope, a->k_gain * rstd_of(s, h->k_rstd, x->i, s->Hkv, h->kv_head));
	x->slope = sqrt(2.0) * a->k_slope * norm;
	x->kappa = h->scale * x->q * x->slope;
	x->off_k =
		a->k_slope * raw + ((double)norm_width(s, s->Hkv) / 2 + 10) * sx_unit * a->k_most;
}

static void measure_row(const bounds *o, accumulator *a, row *x, const sx_tile *t, int64_t r)
{
	const sx_head *h = t->head;
	int64_t D = h->spec->D, C = h->spec->C, i = t->row0 + r, at = h->seq * h->T + i;
	x->i = i, x->first = sx_first_key(i, h->plan->window), x->n = i - x->first + 1;
	int64_t from = r * t->ld + x->first - t->key0;
	double n = (double)x->n;
	scores_of_row(x, t->s + from, t->p + from);
	keys_of_row(x, h, t->p + from, a->dist + from, a->mean);
	x->h = o->layer->h_norm[at];
	x->spread = o->layer->spread[at];
	a->k_most = sx_larger(a->k_most, sx_bound_norm(h->k + i * h->ldk, D));
	a->h_most = sx_larger(a->h_most, x->h);
	x->k_most = a->k_most, x->h_most = a->h_most;
	if (x->n > 1) a->osc_spread_h += n / (n - 1) * x->spread * x->h;
	slopes_of_row(a, x, h);
	x->off_sum = (n + 8) * sx_unit + n * sx_least;
	x->off_p = (n + 2 * log(n) + 24) * sx_unit + 2 * (n + 6) * sx_unit_double;
	x->off_s = 2 * h->scale * x->q *
		   (((double)D + 3) * sx_unit * x->k_most + x->off_k +
		    (n + (double)C + 8) * sx_unit_double * (x->k_most + x->slope * x->h_most));
	if (a->first_nonuniform < 0 && x->l1 > x->off_p + x->off_s) a->first_nonuniform = i;
}

static void offer_row(accumulator *a, const row *x)
{
	double reach = x->kappa * x->spread;
	a->l1 += x->l1;
	a->told.eta = sx_larger(a->told.eta, x->l1);
	a->told.kappa = sx_larger(a->told.kappa, x->kappa);
	a->told.off = sx_larger(a->told.off, x->off_p + x->off_s);
	sx_bound_offer(&a->plain[SX_BOUND_I1], x->l1, 2 * tanh(x->osc / 4), x->deviation, x->off_p,
		       x->i);
	sx_bound_offer(&a->plain[SX_BOUND_I3], x->deviation, reach, a->paper, x->off_s, x->i);
	sx_bound_offer(&a->plain[SX_BOUND_I4], x->l1, fmin(2, reach), a->paper, x->off_p + x->off_s,
		       x->i);
	sx_bound_offer(&a->plain[SX_BOUND_P32_ALPHA], x->l1, 0, (double)NAN,
		       reach + x->off_p + x->off_s, x->i);
}

/* ---- rows, for one family of c ---- */

/* What c makes of a row: sums over its visible keys. mean: g's own. */
typedef struct {
	double osc, most, sum_c, size_c, mean, variance; /* of c; variance under alpha           */
	double g, sum_g, reach; /* sum |g|, sum g, sum |g| ||k_j - k_i^alpha||                   */
	double dist;            /* sum ||k_j - k_i^alpha||                                      */
	double euler;           /* sum alpha (c - mean) s                                       */
	double off_g, off_8;    /* allowances: sum g; sum |g| over osc(c)/(2T)                   */
} c_row;

static c_row weigh(const row *x, const sx_tile *t, int64_t r, const double *c_tile,
		   const sx_real *g_tile, const double *dist_tile)
{
	int64_t at = r * t->ld + x->first - t->key0;
	const double *c = c_tile + at, *dist = dist_tile + at;
	const sx_real *p = t->p + at, *s = t->s + at, *g = g_tile + at;
	c_row w = {.mean = sx_functional_mean(t->p + r * t->ld, c_tile + r * t->ld, t->nkey)};
	double lo = c[0], hi = lo, n = (double)x->n, T = (double)t->head->T;
	for (int64_t j = 0; j < x->n; j++) {
		double d = c[j] - w.mean;
		lo = fmin(lo, c[j]);
		hi = fmax(hi, c[j]);
		w.sum_c += c[j];
		w.size_c += fabs(c[j]);
		w.g += fabs((double)g[j]);
		w.sum_g += (double)g[j];
		w.reach += fabs((double)g[j]) * dist[j];
		w.dist += dist[j];
		w.variance += (double)p[j] * d * d;
		w.euler += (double)p[j] * d * (double)s[j];
	}
	w.osc = hi - lo;
	w.most = fmax(fabs(lo), fabs(hi));
	double added = 2 * (n + 4) * sx_unit_double;
	double rounded = (sx_unit + added) * w.g + n * sx_least + added * w.most / T;
	w.off_g = fabs(w.mean) * x->off_sum / T + rounded;
	w.off_8 = (w.osc / 2 + w.most) * x->off_sum / T + rounded;
	return w;
}

static void add(sum *to, double rhs, double allowance)
{
	to->rhs += rhs;
	to->allowance += allowance;
}

static void offer_c_row(family_sums *f, const row *x, const c_row *w, double T, bool own)
{
	double n = (double)x->n, lost = n * sx_least_double;
	double right = sqrt(w->variance) * sqrt(x->k_square) / T;
	double loose = sqrt(w->variance + lost) * sqrt(x->k_square + lost) / T;
	sx_bound_offer(&f->row[SX_BOUND_D31], fabs(w->sum_c), 0, (double)NAN,
		       (n + 4) * sx_unit_double * w->size_c + (own ? x->off_sum : 0), x->i);
	sx_bound_offer(&f->row[SX_BOUND_B10], fabs(w->sum_g), 0, (double)NAN, w->off_g, x->i);
	sx_bound_offer(&f->row[SX_BOUND_I8], w->g, w->osc / (2 * T), w->most / T, w->off_8, x->i);
	/* Cauchy-Schwarz holds for any weights p and any mean: rounded are g and the sums; what
	 * underflows in g is weighed by distance, what does in the sums of squares stands under a root */
	sx_bound_offer(&f->row[SX_BOUND_I12], w->reach, right, (double)NAN,
		       (sx_unit + (2 * n + 32) * sx_unit_double) * loose + loose - right +
			       sx_least * w->dist,
		       x->i);
}

/* A_c: sum alpha is off, which the mid-range of c carries, and so is the mean. */
static void add_value(family_sums *f, const row *x, const c_row *w, double T)
{
	double half = w->osc / 2, n = (double)x->n;
	double off =
		(x->off_sum * (w->most + 1 / n) + 4 * (n + T + 4) * sx_unit_double * w->most) / T;
	double reach = half * fmin(2, x->kappa * x->spread) / T;
	double off_reach = off + half * (x->off_p + x->off_s) / T;
	sum *of = f->of;
	add(&of[SX_BOUND_I9], half * x->l1 / T, off);
	add(&of[SX_BOUND_I9_TANH], 2 * half * tanh(x->osc / 4) / T, off + half * x->off_p / T);
	add(&of[SX_BOUND_T34], reach, off_reach);
	add(&of[SX_BOUND_P32_VALUE], 0, reach + off_reach);
	f->nonuniform += x->l1 * x->l1 / n / T;
	f->c_most = fmax(f->c_most, w->most);
}

/* Gradients of a row: sum g need not vanish, and products over up to T rows and keys are rounded
 * twice (u times `steps`). */
static void add_gradients(family_sums *f, const accumulator *a, const row *x, const c_row *w,
			  const sx_head *h)
{
	const sx_spec *s = h->spec;
	double T = (double)h->T, n = (double)x->n, half = w->osc / 2 / T, sc = h->scale;
	double steps = 3 * T + (double)(s->D + 20), v = sx_unit_double;
	if (s->qk_norm != SX_QK_NORM_NONE) steps += (double)norm_width(s, s->H) + 16;
	double norms = ((double)s->D * s->C + s->C + n + 16) * v; /* relative, of sums of squares */
	double off = w->off_g + steps * sx_unit * w->g;
	double by_q = sc * x->h, by_k = sc * x->q;
	double i10 = by_q * w->g * x->k_far, i10_spread = by_q * x->slope * half * x->spread;
	double i11 = by_k * w->g * x->spread, i11_spread = by_k * half * x->spread;
	double off_10 = by_q * x->k_most * off + norms * i10;
	double off_11 = by_k * x->h_most * off + norms * i11;
	double off_10s = off_10 + by_q * (2 * x->off_k * w->g + w->off_8 * x->slope * x->spread +
					  2 * (n + 4) * v * x->h_most * x->slope * half);
	double off_11s = off_11 + by_k * w->off_8 * x->spread;
	sum *of = f->of;
	add(&of[SX_BOUND_I10], i10, off_10);
	add(&of[SX_BOUND_I10_SPREAD], i10_spread, off_10s);
	add(&of[SX_BOUND_I11], i11, off_11);
	add(&of[SX_BOUND_I11_SPREAD], i11_spread, off_11s);
	add(&of[SX_BOUND_P32_WQ], 0, i10_spread + off_10s);
	add(&of[SX_BOUND_P32_WK], 0, i11_spread + off_11s);
	/* against uniform rows: sum_j |g - g^u| <= (max |c| + osc/2) ||alpha - u||_1 / T */
	double af = fmax(1, h->plan->attention_factor), g_u = w->size_c / n / T;
	double apart = (w->most / T + half) * x->l1;
	double off_u = x->k_most * (off + (steps + 4) * sx_unit * g_u) +
		       x->k_far * (2 * x->off_sum + 2 * (n + 6) * v) * w->most / T;
	add(&of[SX_BOUND_E2], af * by_q * apart * x->k_far,
	    af * by_q * (off_u + norms * apart * x->k_far + norms * x->k_most * (w->g + g_u)));
	/* both sides are sums of g times s, s made of q, k, W and h */
	double euler = af * sc *
		       ((sx_unit * (2 * T + (double)(s->C + s->D) + 32) + norms + T * v) * w->g +
			2 * n * sx_least * (1 + sqrt((double)s->D)));
	add(&of[SX_BOUND_E1_WQ], 0, euler * x->k_most * (x->h * a->wq_size + a->bq));
	add(&of[SX_BOUND_E1_WK], 0, euler * x->q * (x->h_most * a->wk_size + a->bk));
	f->euler += w->euler / T;
}

static sx_status make_room(accumulator *a, int64_t nrow, int64_t ld)
{
	if (nrow * ld <= a->tile_size && nrow <= a->tile_rows) return SX_OK;
	free(a->c);
	free(a->g);
	free(a->uniform);
	free(a->dist);
	free(a->rows);
	a->tile_size = nrow * ld, a->tile_rows = nrow;
	a->c = sx_calloc((size_t)(nrow * ld), sizeof *a->c);
	a->g = sx_calloc((size_t)(nrow * ld), sizeof *a->g);
	a->uniform = sx_calloc((size_t)(nrow * ld), sizeof *a->uniform);
	a->dist = sx_calloc((size_t)(nrow * ld), sizeof *a->dist);
	a->rows = sx_calloc((size_t)nrow, sizeof *a->rows);
	if (a->c && a->g && a->uniform && a->dist && a->rows) return SX_OK;
	a->tile_size = a->tile_rows = 0;
	return SX_ENOMEM;
}

static void family_tile(bounds *o, accumulator *a, const sx_tile *t, const sx_tile *even, int64_t k)
{
	const sx_head *h = t->head;
	int64_t n_c = o->base.into->n_c;
	family_sums *f = &a->sum[k];
	memset(a->c, 0, (size_t)(t->nrow * t->ld) * sizeof *a->c);
	for (int64_t r = 0; r < t->nrow; r++) {
		const row *x = &a->rows[r];
		int64_t at = r * t->ld + x->first - t->key0;
		sx_family_row(&o->base.family[k], x->i, x->first, t->p + at, a->c + at);
	}
	sx_functional_tile(&a->f[n_c + k], even, a->c, t->ld, a->g);
	sx_functional_tile(&a->f[k], t, a->c, t->ld, a->g);
	for (int64_t r = 0; r < t->nrow; r++) {
		const row *x = &a->rows[r];
		c_row w = weigh(x, t, r, a->c, a->g, a->dist);
		offer_c_row(f, x, &w, (double)h->T, k == o->own);
		add_value(f, x, &w, (double)h->T);
		add_gradients(f, a, x, &w, h);
	}
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	bounds *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	sx_tile even = *t;
	if (make_room(a, t->nrow, t->ld) != SX_OK) return SX_ENOMEM;
	if (t->row0 == 0) begin_head(o, a, h);
	memset(a->uniform, 0, (size_t)(t->nrow * t->ld) * sizeof *a->uniform);
	for (int64_t r = 0; r < t->nrow; r++) {
		row *x = &a->rows[r];
		measure_row(o, a, x, t, r);
		offer_row(a, x);
		for (int64_t j = 0; j < x->n; j++)
			a->uniform[r * t->ld + x->first - t->key0 + j] = 1 / (sx_real)x->n;
	}
	even.p = a->uniform;
	for (int64_t k = 0; k < o->base.into->n_c; k++) family_tile(o, a, t, &even, k);
	return SX_OK;
}

/* ---- a head after its rows ---- */

static double inner(const sx_real *a, const sx_real *b, int64_t n)
{
	double total = 0;
	for (int64_t i = 0; i < n; i++) total += (double)a[i] * (double)b[i];
	return total;
}

/* <db, b>, db = sum_t dx_t; 0 without biases. */
static double inner_bias(const sx_real *dx, int64_t ld, const sx_real *b, int64_t T, int64_t D)
{
	double total = 0;
	for (int64_t t = 0; b && t < T; t++) total += inner(dx + t * ld, b, D);
	return total;
}

static double distance(const sx_real *a, const sx_real *b, int64_t n)
{
	double total = 0;
	for (int64_t i = 0; i < n; i++) {
		double d = (double)a[i] - (double)b[i];
		total += d * d;
	}
	return sqrt(total);
}

static side whole(double lhs, double rhs, double paper, double allowance)
{
	return (side){.lhs = lhs, .rhs = rhs, .paper = paper, .allowance = allowance, .row = -1};
}

/* Rows of one family that are about the head as a whole; even: the functional of uniform rows. */
static void finish_family(family_sums *x, const sx_functional *f, const sx_functional *even,
			  const accumulator *a, const sx_head *h)
{
	static const sx_bound_c values[] = {SX_BOUND_I9, SX_BOUND_I9_TANH, SX_BOUND_T34,
					    SX_BOUND_P32_VALUE};
	static const sx_bound_c by_wq[] = {SX_BOUND_I10, SX_BOUND_I10_SPREAD, SX_BOUND_P32_WQ};
	static const sx_bound_c by_wk[] = {SX_BOUND_I11, SX_BOUND_I11_SPREAD, SX_BOUND_P32_WK};
	const sx_spec *s = h->spec;
	int64_t D = s->D, size = D * s->C;
	double none = (double)NAN;
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
	x->row[SX_BOUND_E2] = x->row[SX_BOUND_E3] =
		whole(distance(f->dwq, even->dwq, size), x->of[SX_BOUND_E2].rhs, none,
		      x->of[SX_BOUND_E2].allowance);
	double on_wq = inner(f->dwq, h->wq + h->head * size, size) +
		       inner_bias(f->dq, f->ld, h->bq ? h->bq + h->head * D : NULL, h->T, D);
	double on_wk = inner(f->dwk, h->wk + h->kv_head * size, size) +
		       inner_bias(f->dk, f->ld, h->bk ? h->bk + h->kv_head * D : NULL, h->T, D);
	x->row[SX_BOUND_E1_WQ] = whole(on_wq, x->euler, none, x->of[SX_BOUND_E1_WQ].allowance);
	x->row[SX_BOUND_E1_WK] = whole(on_wk, x->euler, none, x->of[SX_BOUND_E1_WK].allowance);
	/* As printed, with this head's norms for B and sqrt(d) for ||h_i||; C = max |c_ij|. */
	double paper = x->c_most * h->scale * sqrt((double)s->C) * a->delta * (1 + a->paper);
	x->row[SX_BOUND_I9].paper = x->row[SX_BOUND_I9_TANH].paper =
		x->c_most * a->l1 / (double)h->T;
	x->row[SX_BOUND_T34].paper = x->c_most * a->paper;
	x->row[SX_BOUND_I10].paper = x->row[SX_BOUND_I10_SPREAD].paper = a->wk_norm * paper;
	x->row[SX_BOUND_I11].paper = x->row[SX_BOUND_I11_SPREAD].paper = a->wq_norm * paper;
}

/* Proposition 3.3, its witness `own`: A_c > 0 and dA_c/dW_Q != 0, by what they are at least: with E1,
 * Cov - <db_q, b_q> <= ||dW_Q|| ||W_Q||. */
static void finish_own(accumulator *a, const family_sums *x, const sx_functional *f,
		       const sx_head *h)
{
	double none = (double)NAN, off = x->of[SX_BOUND_E1_WQ].allowance / a->wq_size;
	double size = (double)h->spec->D * h->spec->C; /* squares that may underflow in ||dW_Q|| */
	double bias = inner_bias(f->dq, f->ld, h->bq ? h->bq + h->head * h->spec->D : NULL, h->T,
				 h->spec->D);
	a->plain[SX_BOUND_P33_VALUE] =
		whole(x->nonuniform, f->value, none, x->of[SX_BOUND_I9].allowance);
	a->plain[SX_BOUND_P33_VALUE].row = a->first_nonuniform;
	a->plain[SX_BOUND_P33_WQ] = whole((x->euler - bias) / a->wq_size, f->norm[SX_WRT_WQ], none,
					  off + sqrt(size * sx_least_double));
}

static sx_bound_reason reason_plain(sx_bound b, const sx_spec *s, const accumulator *a, bool own)
{
	switch (b) {
	case SX_BOUND_I1:
		return SX_REASON_NONE;
	case SX_BOUND_I3:
	case SX_BOUND_I4:
		return a->turns ? SX_REASON_NOT_NOPE : SX_REASON_NONE;
	case SX_BOUND_P32_ALPHA:
		return !a->constant ? SX_REASON_NOT_CONSTANT
		       : a->turns   ? SX_REASON_NOT_NOPE
				    : SX_REASON_NONE;
	default: /* P33_VALUE, P33_WQ */
		if (!a->constant) return SX_REASON_NOT_CONSTANT;
		if (!a->turns || a->biased) return SX_REASON_NOT_ROTATED;
		if (!own) return SX_REASON_NO_OWN;
		return b == SX_BOUND_P33_WQ && sx_q_normed(s) ? SX_REASON_QK_NORM : SX_REASON_NONE;
	}
}

/* dW_K of different keys goes through different Jacobians of a QK-norm, and then I11's centring is gone;
 * E1 is about scores that are linear in the side's projections. */
static sx_bound_reason reason_of_c(sx_bound_c b, const sx_spec *s, const accumulator *a)
{
	bool norm = b == SX_BOUND_E1_WQ ? sx_q_normed(s) : sx_k_normed(s);
	switch (b) {
	case SX_BOUND_T34:
	case SX_BOUND_I10:
	case SX_BOUND_I10_SPREAD:
	case SX_BOUND_E2:
		return a->turns ? SX_REASON_NOT_NOPE : SX_REASON_NONE;
	case SX_BOUND_E3:
		return a->turns && !a->biased ? SX_REASON_NONE : SX_REASON_NOT_ROTATED;
	case SX_BOUND_I11:
	case SX_BOUND_I11_SPREAD:
		return a->turns ? SX_REASON_NOT_NOPE : norm ? SX_REASON_QK_NORM : SX_REASON_NONE;
	case SX_BOUND_E1_WQ:
	case SX_BOUND_E1_WK:
		return norm ? SX_REASON_QK_NORM : a->biased ? SX_REASON_NOT_NOPE : SX_REASON_NONE;
	case SX_BOUND_P32_VALUE:
	case SX_BOUND_P32_WQ:
	case SX_BOUND_P32_WK:
		if (!a->constant) return SX_REASON_NOT_CONSTANT;
		if (a->turns) return SX_REASON_NOT_NOPE;
		return norm && b == SX_BOUND_P32_WK ? SX_REASON_QK_NORM : SX_REASON_NONE;
	default: /* hold for any scores */
		return SX_REASON_NONE;
	}
}

/* /ac's own arrays: I9, and where they apply I10 and I11, as the spread bounds them. */
static void put_ac(sx_measures *m, int64_t at, int64_t k, const family_sums *x, bool wq, bool wk)
{
	int64_t v = at * m->n_c + k, g = v * m->n_wrt;
	m->value_bound[v] = x->row[SX_BOUND_I9].rhs;
	m->value_bound_paper[v] = x->row[SX_BOUND_I9].paper;
	if (wq) {
		m->grad_bound[g + SX_WRT_WQ] = x->row[SX_BOUND_I10_SPREAD].rhs;
		m->grad_bound_paper[g + SX_WRT_WQ] = x->row[SX_BOUND_I10_SPREAD].paper;
	}
	if (wk) {
		m->grad_bound[g + SX_WRT_WK] = x->row[SX_BOUND_I11_SPREAD].rhs;
		m->grad_bound_paper[g + SX_WRT_WK] = x->row[SX_BOUND_I11_SPREAD].paper;
	}
}

static sx_status on_head(void *self, const sx_head *h)
{
	static const sx_bound mine[] = {SX_BOUND_I1,        SX_BOUND_I3,        SX_BOUND_I4,
					SX_BOUND_P32_ALPHA, SX_BOUND_P33_VALUE, SX_BOUND_P33_WQ};
	bounds *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int64_t at = sx_measure_at(&o->base, h), n = m->n_bound;
	sx_functional_finish(a->f, (int)(2 * m->n_c), h);
	for (int64_t k = 0; k < m->n_c; k++) {
		finish_family(&a->sum[k], &a->f[k], &a->f[m->n_c + k], a, h);
		if (k == o->own) finish_own(a, &a->sum[k], &a->f[k], h);
		for (int b = 0; b < SX_BOUND_OF_C; b++)
			sx_bound_put(m, at * n + sx_bound_of_c((sx_bound_c)b, k), &a->sum[k].row[b],
				     reason_of_c((sx_bound_c)b, h->spec, a));
		put_ac(m, at, k, &a->sum[k],
		       reason_of_c(SX_BOUND_I10, h->spec, a) == SX_REASON_NONE,
		       reason_of_c(SX_BOUND_I11, h->spec, a) == SX_REASON_NONE);
	}
	for (size_t b = 0; b < sizeof mine / sizeof mine[0]; b++)
		sx_bound_put(m, at * n + mine[b], &a->plain[mine[b]],
			     reason_plain(mine[b], h->spec, a, o->own >= 0));
	o->layer->head[h->seq * h->spec->H + h->head] = a->told;
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
		void *const all[] = {a->f, a->sum,  a->store, a->g,   a->uniform,
				     a->c, a->dist, a->rows,  a->gram};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
	free(o->acc);
	sx_bounds_layer_free(o->layer);
	free(o);
}

static bool start_thread(accumulator *a, int64_t n_c, int64_t reals, int64_t D)
{
	a->f = sx_calloc((size_t)(2 * n_c), sizeof *a->f);
	a->sum = sx_calloc((size_t)n_c, sizeof *a->sum);
	a->store = sx_calloc((size_t)(2 * n_c * reals), sizeof *a->store);
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
	int64_t reals = sx_functional_reals(base->spec, base->into->T);
	o->own = -1;
	for (int64_t k = 0; k < n_c; k++)
		if (strcmp(base->family[k].name, "own") == 0) o->own = k;
	o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
	o->layer = sx_bounds_layer_new(base);
	bool ok = o->acc != NULL && o->layer != NULL;
	for (int i = 0; ok && i < base->threads; i++)
		ok = start_thread(&o->acc[i], n_c, reals, base->spec->D);
	if (!ok) {
		stop(o);
		return;
	}
	*probe = (sx_probe){.self = o,
			    .tile = on_tile,
			    .head_end = on_head,
			    .site = on_site,
			    .layer_end = on_layer};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->bounds;
}

const sx_observer_kind sx_observe_bounds = {"bounds", wanted, start, stop};

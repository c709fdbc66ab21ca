/* Both sides of the inequalities about a layer as a whole: what norm, attention, residual and
 * feed-forward do to the prefix spread D(x) = max_i Delta_i(x), Delta_i(x) = max_{j<=i} ||x_j - mean of
 * the keys of row i|| (docs/definitions.md: I2, I5-I7, B8).
 *
 * What rounding may add, to first order in u, the engine's unit roundoff (and the same in double's, for
 * the means made here; a mean of n rows is off by n times their norm). Vectors' errors in norm:
 *
 *   h = g x/rho:           (C/2 + 8) u ||h||: rho^2 is a sum of C squares, three products
 *   h = g (x - m)/sigma + b: u lambda ||x|| for m, which is made in double and rounded, and 6 u of either part
 *   v = W_V h + b:         (C + 2) u V, V = ||W_V||_F max ||h|| + ||b||
 *   z = sum_j p_j v_j:     (T + 1) u V, and sum_j p_j - 1 is off by (T + 8) u (bounds.c)
 *   o = W_O z:             (H D + 1) u sum_h ||W_O^h||_F V
 *   y = x + o:             u ||y|| and the product's error again
 *   gate, up:              (3C/2 + 12) u ||W||_F max ||u||: the norm's error and the product's
 *   act = silu(gate) up:   its factors' errors, |silu'| < 1.1, and 12 u ||act||: exp 4 u, four more
 *   m = W_d act:           (F + 2) u ||W_d||_F ||act||
 *
 * A bias counts beside the products that it is added to. A spread may be off twice what its vectors are.
 *
 * A LayerNorm is an RMSNorm of x - mean, whose rows are no further apart than those of x: I2 with sigma
 * for rho. I7, B8 and what is made of them are about Llama's block, I6 about a residual without a norm. */
#include "probes/observe/bounds_layer.h"
#include "engine/op/gemm.h"
#include "engine/op/spectral.h"

#include <stdlib.h>
#include <string.h>

/* sup |silu'| = 1.09984 (at 2.3994), from above. */
static const double silu_slope = 1.0999;

/* Spectral norm, from above, and Frobenius norm. */
typedef struct {
	double norm, size;
} matrix;

typedef struct {
	matrix o, v; /* W_O^h, W_V of its key head          */
	double ov;   /* ||M^h||, M^h = W_O^h W_V            */
	double bias; /* ||b_V||                             */
} head_weights;

struct sx_bounds_weights {
	head_weights *head; /* (H)                                 */
	double ov;          /* ||sum_h M^h||                       */
	matrix gate, up, down;
	double gain1, gain2;                     /* largest |g| of either norm          */
	double norm1, out, gate_b, up_b, down_b; /* norms of the biases; 0 without */
	bool known;
};

/* ---- norms of a layer's weights ---- */

/* w (rows,cols), `ld` apart, as doubles; turned: its transpose. NULL: no memory. */
static double *doubles_of(const sx_real *w, int64_t rows, int64_t cols, int64_t ld, bool turned)
{
	double *x = sx_calloc((size_t)(rows * cols), sizeof *x);
	for (int64_t r = 0; x && r < rows; r++)
		for (int64_t c = 0; c < cols; c++)
			x[turned ? c * rows + r : r * cols + c] = (double)w[r * ld + c];
	return x;
}

static double size_of(const double *gram, int64_t n)
{
	double trace = 0;
	for (int64_t i = 0; i < n; i++) trace += gram[i * n + i];
	return sqrt(trace);
}

static bool norms_of(matrix *out, const sx_real *w, int64_t rows, int64_t cols)
{
	bool tall = rows > cols;
	int64_t n = tall ? cols : rows, length = tall ? rows : cols;
	double *x = doubles_of(w, rows, cols, cols, tall);
	double *gram = sx_calloc((size_t)(n * n + 4 * n), sizeof *gram);
	bool ok = x && gram;
	if (ok) {
		sx_gram(gram, x, n, length);
		out->size = size_of(gram, n);
		out->norm = sx_spectral_norm(gram, n, length, gram + n * n);
	}
	free(x);
	free(gram);
	return ok;
}

static bool head_norms(head_weights *out, const sx_layer *e, int64_t h)
{
	const sx_spec *s = e->spec;
	int64_t D = s->D, C = s->C, kv = h / (s->H / s->Hkv), n = D * D;
	double *o = doubles_of(e->wo + h * D, C, D, (int64_t)s->H * D, true);
	double *v = doubles_of(e->wv + kv * D * C, D, C, C, false);
	double *a = sx_calloc((size_t)(4 * n + 4 * D), sizeof *a);
	bool ok = o && v && a;
	if (ok) {
		double *b = a + n, *copy = b + n, *work = copy;
		sx_gram(a, o, D, C);
		sx_gram(b, v, D, C);
		out->o.size = size_of(a, D), out->v.size = size_of(b, D);
		memcpy(copy, a, (size_t)n * sizeof *copy);
		out->o.norm = sx_spectral_norm(copy, D, C, copy + n);
		memcpy(copy, b, (size_t)n * sizeof *copy);
		out->v.norm = sx_spectral_norm(copy, D, C, copy + n);
		out->ov = sx_spectral_norm_product(a, b, D, C, work);
		double bias = 0;
		for (int64_t d = 0; e->bv && d < D; d++)
			bias += (double)e->bv[kv * D + d] * (double)e->bv[kv * D + d];
		out->bias = sqrt(bias);
	}
	free(o);
	free(v);
	free(a);
	return ok;
}

/* sum_h M^h = sum over key heads of (sum of W_O^h over the group) W_V. */
static bool sum_norm(double *out, const sx_layer *e)
{
	const sx_spec *s = e->spec;
	int64_t D = s->D, C = s->C, n = (int64_t)s->Hkv * D, group = s->H / s->Hkv;
	double *v = doubles_of(e->wv, n, C, C, false);
	double *o = sx_calloc((size_t)(n * C), sizeof *o);
	double *a = sx_calloc((size_t)(3 * n * n + 4 * n), sizeof *a);
	bool ok = o && v && a;
	if (ok) {
		double added = 0; /* squares of everything summed into o */
		for (int64_t c = 0; c < C; c++)
			for (int64_t q = 0; q < s->H * D; q++) {
				double w = (double)e->wo[c * s->H * D + q];
				o[(q / (group * D) * D + q % D) * C + c] += w;
				added += w * w;
			}
		double *b = a + n * n;
		sx_gram(a, o, n, C);
		sx_gram(b, v, n, C);
		double size = size_of(b, n), sums = (double)(group * group) * DBL_EPSILON;
		*out = sx_spectral_norm_product(a, b, n, C, b + n * n) + sums * sqrt(added) * size;
	}
	free(o);
	free(v);
	free(a);
	return ok;
}

static double gain_of(const sx_real *g, int64_t n)
{
	double most = 0;
	for (int64_t c = 0; c < n; c++) most = sx_larger(most, fabs((double)g[c]));
	return most;
}

static double bias_of(const sx_real *b, int64_t n)
{
	return b ? sx_bound_norm(b, n) : 0;
}

/* The block that I7 and B8 are about: RMSNorm before a sub-layer, one after the other, SwiGLU. */
static bool is_llama(const sx_spec *s)
{
	const sx_block *b = &s->block;
	return b->norm == SX_NORM_RMS && !b->norm_after && !b->parallel && b->mlp == SX_MLP_SWIGLU;
}

static sx_status know_weights(sx_bounds_weights *w, const sx_layer *e)
{
	const sx_spec *s = e->spec;
	int64_t H = s->H;
	bool ok = true;
	w->gain1 = gain_of(e->ln1, s->C);
	w->gain2 = gain_of(e->ln2, s->C);
	w->norm1 = bias_of(e->ln1_b, s->C);
	w->out = bias_of(e->bo, s->C);
	w->gate_b = bias_of(e->bg, s->F);
	w->up_b = bias_of(e->bu, s->F);
	w->down_b = bias_of(e->bd, s->C);
#pragma omp parallel for schedule(dynamic) reduction(&& : ok)
	for (int64_t t = 0; t < H + 4; t++) {
		bool done = t == 0   ? !e->wg || norms_of(&w->gate, e->wg, s->F, s->C)
			    : t == 1 ? norms_of(&w->up, e->wu, s->F, s->C)
			    : t == 2 ? norms_of(&w->down, e->wd, s->C, s->F)
			    : t == 3 ? sum_norm(&w->ov, e)
				     : head_norms(&w->head[t - 4], e, t - 4);
		ok = ok && done;
	}
	w->known = ok;
	return ok ? SX_OK : SX_ENOMEM;
}

/* ---- spreads ---- */

/* Delta_i of every row of x (T,C); the largest of them. */
static double spread_rows(const sx_bounds_layer *o, double *spread, const sx_real *x,
			  int64_t window)
{
	int64_t T = o->base.into->T, C = o->base.spec->C;
	double most = 0;
	sx_spread_rows(spread, x, 1, T, C, window, o->scratch);
	for (int64_t i = 0; i < T; i++) most = sx_larger(most, spread[i]);
	return most;
}

/* Largest ||x_i|| of T rows. */
static double longest(const sx_real *x, int64_t T, int64_t n)
{
	double most = 0;
	for (int64_t i = 0; i < T; i++) most = sx_larger(most, sx_bound_norm(x + i * n, n));
	return most;
}

/* ||x - mean|| */
static double centred_norm(const sx_real *x, int64_t n)
{
	double mean = 0, total = 0;
	for (int64_t c = 0; c < n; c++) mean += (double)x[c] / (double)n;
	for (int64_t c = 0; c < n; c++) total += ((double)x[c] - mean) * ((double)x[c] - mean);
	return sqrt(total);
}

/* Least rho(x_i) = sqrt(||x_i||^2/C + eps), or sigma(x_i) where the norm is a LayerNorm. */
static double least_rho(const sx_real *x, int64_t T, const sx_spec *s)
{
	double least = HUGE_VAL;
	int64_t C = s->C;
	bool centred = s->block.norm == SX_NORM_LAYER;
	for (int64_t i = 0; i < T; i++) {
		const sx_real *row = x + i * C;
		double n = centred ? centred_norm(row, C) : sx_bound_norm(row, C);
		double rho = sqrt(n * n / (double)C + s->eps);
		if (!(rho >= least)) least = rho; /* NaN stays */
		if (isnan(rho)) break;
	}
	return least;
}

/* ---- sites ---- */

static void free_rows(sx_bounds_layer *o)
{
	void *const all[] = {o->spread, o->h_norm, o->x_spread, o->x_most,
			     o->x_rho,  o->head,   o->scratch};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	o->spread = o->h_norm = o->x_spread = o->x_most = o->x_rho = o->scratch = NULL;
	o->head = NULL;
	o->B = 0;
}

static sx_status make_room(sx_bounds_layer *o, int64_t B)
{
	size_t rows = (size_t)(B * o->base.into->T);
	if (B <= o->B) return SX_OK;
	free_rows(o);
	o->spread = sx_calloc(rows, sizeof *o->spread);
	o->h_norm = sx_calloc(rows, sizeof *o->h_norm);
	o->x_spread = sx_calloc(rows, sizeof *o->x_spread);
	o->x_most = sx_calloc((size_t)B, sizeof *o->x_most);
	o->x_rho = sx_calloc((size_t)B, sizeof *o->x_rho);
	o->head = sx_calloc((size_t)(B * o->base.spec->H), sizeof *o->head);
	o->scratch = sx_calloc((size_t)sx_spread_scratch(1, o->base.into->T, o->base.spec->C),
			       sizeof *o->scratch);
	if (!o->spread || !o->h_norm || !o->x_spread || !o->x_most || !o->x_rho || !o->head ||
	    !o->scratch) {
		free_rows(o);
		return SX_ENOMEM;
	}
	o->B = B;
	return SX_OK;
}

sx_status sx_bounds_layer_site(sx_bounds_layer *o, const sx_site_event *e)
{
	int64_t T = e->T, C = e->width;
	if (e->site != SX_SITE_X_IN && e->site != SX_SITE_H) return SX_OK;
	if (make_room(o, e->B) != SX_OK) return SX_ENOMEM;
	for (int64_t b = 0; b < e->B; b++) {
		const sx_real *x = e->data + b * T * C;
		if (e->site == SX_SITE_X_IN) {
			spread_rows(o, o->x_spread + b * T, x, e->plan->window);
			o->x_most[b] = longest(x, T, C);
			o->x_rho[b] = least_rho(x, T, o->base.spec);
			continue;
		}
		spread_rows(o, o->spread + b * T, x, e->plan->window);
		for (int64_t i = 0; i < T; i++) o->h_norm[b * T + i] = sx_bound_norm(x + i * C, C);
	}
	return SX_OK;
}

/* ---- a layer after its heads ---- */

/* One sequence of one layer. most_x: the largest norm of a row. off_x: what rounding may add. */
typedef struct {
	double D_x, D_h, D_o, D_y, D_m, D_out;
	double most_x, most_h, most_y, most_u, most_act, most_out;
	double gate, up;         /* largest |silu(gate)|, |up|                                  */
	double lambda1, lambda2; /* max |g| / min rho of either norm                             */
	double twice; /* 2, with a window 4: what h's prefix means spread, over Delta_h */
	double ov_eta, ov_kappa, ov_off; /* sums over heads of ||M^h|| times eta, kappa, its off */
	double printed,
		printed_kappa; /* sums of 2 ||W_O^h|| ||W_V||, and that times printed kappa */
	double weights; /* sum over heads of ||W_O^h||_F V                                       */
	double L_m;
	double off_h, off_o, off_y, off_m, off_out;
} block;

/* (T,cols) = rows (T,n) W^T, W (cols,n), as the engine makes it. */
static void product(sx_real *out, const sx_real *rows, const sx_real *w, int64_t T, int64_t n,
		    int64_t cols)
{
	enum { ROWS = 64 };
#pragma omp parallel for schedule(dynamic)
	for (int64_t t = 0; t < T; t += ROWS)
		sx_gemm(false, true, T - t < ROWS ? T - t : ROWS, cols, n, 1, rows + t * n, n, w, n,
			0, out + t * cols, cols);
}

static void sum_heads(block *x, const sx_bounds_layer *o, const sx_bounds_weights *w, int64_t b)
{
	int64_t H = o->base.spec->H;
	for (int64_t h = 0; h < H; h++) {
		const sx_bounds_head *a = &o->head[b * H + h];
		const head_weights *v = &w->head[h];
		double both = 2 * v->o.norm * v->v.norm;
		x->ov_eta += v->ov * a->eta;
		x->ov_kappa += v->ov * a->kappa;
		x->ov_off += v->ov * a->off;
		x->printed += both;
		x->printed_kappa += both * a->paper;
		x->weights += v->o.size * (v->v.size * x->most_h + v->bias);
	}
}

/* Largest norm of g2 y / rho(y). */
static double longest_normed(const sx_real *y, const sx_real *gain, int64_t T, int64_t C,
			     double eps)
{
	double most = 0;
	for (int64_t i = 0; i < T; i++) {
		double square = 0, scaled = 0;
		for (int64_t c = 0; c < C; c++) {
			double v = (double)y[i * C + c];
			square += v * v;
			scaled += v * v * (double)gain[c] * (double)gain[c];
		}
		most = sx_larger(most, sqrt(scaled / (square / (double)C + eps)));
	}
	return most;
}

static void feed_forward(block *x, const sx_bounds_weights *w, const sx_layer *e, int64_t b)
{
	const sx_spec *s = e->spec;
	int64_t F = s->F, from = b * e->T * F;
	for (int64_t i = 0; i < e->T * F; i++) {
		double g = (double)e->gate[from + i], silu = g / (1 + exp(-g));
		x->gate = sx_larger(x->gate, fabs(silu));
		x->up = sx_larger(x->up, fabs((double)e->up[from + i]));
	}
	x->most_act = longest(e->act + from, e->T, F);
	double r = (1.5 * (double)s->C + 12) * sx_unit;
	double off_gate = r * (w->gate.size * x->most_u + w->gate_b);
	double off_up = r * (w->up.size * x->most_u + w->up_b);
	x->gate += silu_slope * off_gate + 12 * sx_unit * x->gate;
	x->up += off_up;
	x->L_m = w->down.norm * (x->gate * w->up.norm + silu_slope * x->up * w->gate.norm);
	double off_act =
		x->gate * off_up + silu_slope * x->up * off_gate + 12 * sx_unit * x->most_act;
	x->off_m = 2 * w->down.size * (off_act + ((double)F + 2) * sx_unit * x->most_act);
}

/* What rounding adds to each spread, by the table above. */
static void allow(block *x, const sx_bounds_weights *w, const sx_spec *s, int64_t length)
{
	const double root2 = sqrt(2.0);
	double u = sx_unit, C = s->C, T = (double)length, HD = (double)s->H * s->D;
	double means = (T + C + 8) * sx_unit_double, down = w->down.size * x->most_act;
	double middle = x->weights + w->out, last = down + w->down_b;
	x->off_h = s->block.norm == SX_NORM_LAYER
			   ? 2 * u * (2 * x->lambda1 * x->most_x + 6 * (x->most_h + 2 * w->norm1))
			   : 2 * (C / 2 + 8) * u * x->most_h;
	x->off_h += means * (2 * x->most_h + root2 * x->lambda1 * x->most_x);
	x->off_o = 2 * (2 * T + C + HD + 16) * u * x->weights + 20 * means * x->weights;
	x->off_y = 4 * (HD + 3) * u * middle + 2 * u * x->most_y +
		   2 * means * (x->most_x + middle + x->most_y);
	x->off_m += means * (2 * down + root2 * x->L_m * x->lambda2 * x->most_y);
	x->off_out = 4 * ((double)s->F + 3) * u * last + 2 * u * x->most_out +
		     2 * means * (x->most_y + last + x->most_out);
}

static sx_bound_side whole(double lhs, double rhs, double paper, double allowance)
{
	return (sx_bound_side){
		.lhs = lhs, .rhs = rhs, .paper = paper, .allowance = allowance, .row = -1};
}

/* A1 D(x) + A2 D(x)^2, and beside it the same with the spread of h as far off as it may be, eta off its
 * bound, and what the steps add. */
static sx_bound_side recursion(const block *x, const sx_bounds_weights *w)
{
	const double root2 = sqrt(2.0);
	double through = 1 + root2 * x->L_m * x->lambda2, l = x->lambda1, D = x->D_x;
	double A1 = through * (1 + x->twice * root2 * w->ov * l);
	double A2 = through * 4 * l * l * x->ov_kappa;
	double rhs = A1 * D + A2 * D * D, far = root2 * l * D + x->off_h;
	double most = D + x->twice * w->ov * far + 2 * (x->ov_kappa * far + x->ov_off) * far;
	double loose = through * (most + x->off_o + x->off_y) + x->off_m + x->off_out;
	double paper =
		(1 + x->L_m * x->lambda2) * (D + l * D * (x->printed + x->printed_kappa * l * D));
	return whole(x->D_out, rhs, paper, loose - rhs + 16 * DBL_EPSILON * rhs);
}

/* Proposition 3.2 (4): rows that leave, against what the rows that enter are apart. */
static sx_bound_side output_side(const sx_bound_side *layer, const sx_real *out, int64_t T,
				 int64_t C)
{
	double most = 0, scale = sx_bound_norm(out, C);
	int64_t worst = 0;
	for (int64_t i = 1; i < T && !isnan(most); i++) {
		double square = 0;
		for (int64_t c = 0; c < C; c++) {
			double d = (double)out[i * C + c] - (double)out[c];
			square += d * d;
		}
		if (!(square <= most)) most = square, worst = i;
	}
	sx_bound_side side = whole(sqrt(most) / scale, 0, (double)NAN,
				   2 * (layer->rhs + layer->allowance) / scale);
	side.row = worst;
	return side;
}

static sx_bound_reason reason_of(sx_bound b, const sx_spec *s, const sx_bounds_head *a)
{
	bool about = b == SX_BOUND_I5                       ? true
		     : b == SX_BOUND_I2 || b == SX_BOUND_I6 ? !s->block.norm_after
							    : is_llama(s);
	if (!about) return SX_REASON_BLOCK;
	if (b == SX_BOUND_B8 && a->turns) return SX_REASON_NOT_NOPE;
	return b == SX_BOUND_P32_OUTPUT && !a->constant ? SX_REASON_NOT_CONSTANT : SX_REASON_NONE;
}

/* rows: (4,T) Delta_i of h, o, y and scratch. */
static void conclude(const sx_bounds_layer *o, const sx_layer *e, int64_t b, const block *x,
		     const double *rows)
{
	const sx_spec *s = e->spec;
	const sx_bounds_weights *w = &o->weights[e->layer];
	const double root2 = sqrt(2.0), none = (double)NAN;
	int64_t T = e->T, at = (o->base.seq0 + b) * o->base.into->L + e->layer, H = s->H;
	sx_bound_side side[SX_BOUND_PLAIN];
	for (int k = 0; k < SX_BOUND_PLAIN; k++) side[k] = (sx_bound_side){.tightness = -1};
	for (int64_t i = 0; i < T; i++) {
		double in = o->x_spread[b * T + i], l = x->lambda1 * in;
		sx_bound_offer(&side[SX_BOUND_I2], o->spread[b * T + i], root2 * l, l, x->off_h, i);
		sx_bound_offer(&side[SX_BOUND_I6], rows[T + i], in + rows[i], none, x->off_y, i);
	}
	double attention = x->twice * w->ov * x->D_h + 2 * x->ov_eta * x->D_h;
	double through = 1 + root2 * x->L_m * x->lambda2;
	double m = x->L_m * x->lambda2 * x->D_y;
	side[SX_BOUND_I5] = whole(x->D_o, attention,
				  x->D_h * (x->printed + x->printed_kappa * x->D_h), x->off_o);
	side[SX_BOUND_I7] = whole(x->D_m, root2 * m, m, x->off_m);
	side[SX_BOUND_B8_ETA] = whole(x->D_out, through * (x->D_x + attention), none,
				      through * (x->off_o + x->off_y) + x->off_m + x->off_out);
	side[SX_BOUND_B8] = recursion(x, w);
	side[SX_BOUND_P32_OUTPUT] =
		output_side(&side[SX_BOUND_B8_ETA], e->out + b * T * s->C, T, s->C);
	for (int64_t h = 0; h < H; h++) {
		static const sx_bound mine[] = {SX_BOUND_I2,        SX_BOUND_I5, SX_BOUND_I6,
						SX_BOUND_I7,        SX_BOUND_B8, SX_BOUND_B8_ETA,
						SX_BOUND_P32_OUTPUT};
		const sx_bounds_head *a = &o->head[b * H + h];
		sx_measures *into = o->base.into;
		for (size_t k = 0; k < sizeof mine / sizeof mine[0]; k++)
			sx_bound_put(into, (at * H + h) * into->n_bound + mine[k], &side[mine[k]],
				     reason_of(mine[k], s, a));
	}
}

static void end_sequence(const sx_bounds_layer *o, const sx_layer *e, int64_t b, sx_real *made,
			 double *rows)
{
	const sx_spec *s = e->spec;
	const sx_bounds_weights *w = &o->weights[e->layer];
	int64_t T = e->T, C = s->C, q = (int64_t)s->H * s->D;
	const sx_real *y = e->xa + b * T * C, *out = e->out + b * T * C;
	bool windowed = e->plan->window > 0 && e->plan->window < T;
	double rounded = 1 + (double)(C + 8) * sx_unit_double;
	block x = {.most_x = o->x_most[b], .twice = windowed ? 4 : 2};
	for (int64_t i = 0; i < T; i++) {
		x.D_x = sx_larger(x.D_x, o->x_spread[b * T + i]);
		x.D_h = sx_larger(x.D_h, o->spread[b * T + i]);
		x.most_h = sx_larger(x.most_h, o->h_norm[b * T + i]);
	}
	product(made, e->z + b * T * q, e->wo, T, q, C);
	x.D_o = spread_rows(o, rows, made, e->plan->window);
	x.D_y = spread_rows(o, rows + T, y, e->plan->window);
	product(made, e->act + b * T * s->F, e->wd, T, s->F, C);
	x.D_m = spread_rows(o, rows + 2 * T, made, e->plan->window);
	x.D_out = spread_rows(o, rows + 2 * T, out, e->plan->window);
	x.most_y = longest(y, T, C);
	x.most_out = longest(out, T, C);
	x.most_u = longest_normed(y, e->ln2, T, C, s->eps);
	x.lambda1 = w->gain1 / o->x_rho[b] * rounded;
	x.lambda2 = w->gain2 / least_rho(y, T, s) * rounded;
	sum_heads(&x, o, w, b);
	if (is_llama(s)) feed_forward(&x, w, e, b);
	allow(&x, w, s, T);
	conclude(o, e, b, &x, rows);
}

sx_status sx_bounds_layer_end(sx_bounds_layer *o, const sx_layer *e)
{
	sx_status st = SX_OK;
	sx_bounds_weights *w = &o->weights[e->layer];
	sx_real *made = sx_calloc((size_t)(e->T * e->spec->C), sizeof *made);
	double *rows = sx_calloc((size_t)(3 * e->T), sizeof *rows);
	if (!made || !rows) {
		st = SX_ENOMEM;
		goto out;
	}
	/* the weights are those of every sequence of a record */
	if (!w->known || o->base.seq0 == 0) SX_TRY(know_weights(w, e));
	for (int64_t b = 0; b < e->B; b++) end_sequence(o, e, b, made, rows);
out:
	free(made);
	free(rows);
	return st;
}

/* ---- start and stop ---- */

void sx_bounds_layer_free(sx_bounds_layer *o)
{
	if (!o) return;
	for (int l = 0; o->weights && l < o->base.spec->L; l++) free(o->weights[l].head);
	free(o->weights);
	free_rows(o);
	free(o);
}

sx_bounds_layer *sx_bounds_layer_new(const sx_observer_base *base)
{
	sx_bounds_layer *o = sx_calloc(1, sizeof *o);
	if (!o) return NULL;
	o->base = *base;
	o->weights = sx_calloc((size_t)base->spec->L, sizeof *o->weights);
	bool ok = o->weights != NULL;
	for (int l = 0; ok && l < base->spec->L; l++) {
		o->weights[l].head = sx_calloc((size_t)base->spec->H, sizeof(head_weights));
		ok = o->weights[l].head != NULL;
	}
	if (ok) return o;
	sx_bounds_layer_free(o);
	return NULL;
}

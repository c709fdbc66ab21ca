#include "probes/observe/measures.h"

#include "engine/vector.h"
#include "probes/observe/sites.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sx_offset_bin(int64_t offset)
{
	if (offset < SX_OFFSET_EXACT) return (int)offset;
	int bin = SX_OFFSET_EXACT;
	while (bin < SX_OFFSET_BINS - 1 && offset >= sx_offset_bin_edge(bin + 1)) bin++;
	return bin;
}

int64_t sx_offset_bin_edge(int bin)
{
	if (bin < SX_OFFSET_EXACT) return bin;
	return (int64_t)SX_OFFSET_EXACT << (bin - SX_OFFSET_EXACT);
}

int64_t sx_score_bin(int64_t offset)
{
	int64_t bin = offset < SX_SCORE_EXACT ? offset : SX_SCORE_EXACT;
	while (sx_score_bin_edge(bin + 1) <= offset) bin++;
	return bin;
}

int64_t sx_score_bin_edge(int64_t bin)
{
	if (bin < SX_SCORE_EXACT) return bin;
	return (int64_t)SX_SCORE_EXACT << (bin - SX_SCORE_EXACT);
}

int64_t sx_score_bins(int64_t T)
{
	return sx_score_bin(T - 1) + 1;
}

/* *a = n NaN, unless *ok is false already. */
static void make(double **a, bool want, int64_t n, double value, bool *ok)
{
	if (!want || !*ok) return;
	*a = sx_calloc((size_t)n, sizeof **a);
	*ok = *a != NULL;
	for (int64_t i = 0; *a && i < n; i++) (*a)[i] = value;
}

static bool make_bounds(sx_measures *m)
{
	const double nan = (double)NAN;
	m->n_bound = sx_bound_count(m->n_c);
	int64_t heads = m->S * m->L * m->H, n = heads * m->n_bound;
	bool ok = true;
	double **const sides[] = {&m->bound_lhs, &m->bound_rhs, &m->bound_paper,
				  &m->bound_allowance};
	for (int k = 0; k < 4; k++) make(sides[k], true, n, nan, &ok);
	make(&m->value_bound, true, heads * m->n_c, nan, &ok);
	make(&m->value_bound_paper, true, heads * m->n_c, nan, &ok);
	make(&m->grad_bound, true, heads * m->n_c * m->n_wrt, nan, &ok);
	make(&m->grad_bound_paper, true, heads * m->n_c * m->n_wrt, nan, &ok);
	make(&m->osc_spread_h, true, heads, nan, &ok);
	make(&m->wq_norm, true, m->L * m->H, nan, &ok);
	make(&m->wk_norm, true, m->L * m->H, nan, &ok);
	m->bound_row = sx_calloc((size_t)n, sizeof *m->bound_row);
	m->bound_reason = sx_calloc((size_t)n, 1);
	m->bound_verdict = sx_calloc((size_t)n, 1);
	if (!ok || !m->bound_row || !m->bound_reason || !m->bound_verdict) return false;
	for (int64_t i = 0; i < n; i++) m->bound_row[i] = -1;
	memset(m->bound_reason, 255, (size_t)n);
	memset(m->bound_verdict, 255, (size_t)n);
	return true;
}

sx_status sx_measures_new(sx_measures **out, sx_ctx *ctx, const sx_measure_opts *o, int64_t S,
			  int64_t L, int64_t H, int64_t T, int64_t n_freq, int64_t n_c)
{
	sx_measures *m = sx_calloc(1, sizeof *m);
	if (!m) return sx_fail(ctx, SX_ENOMEM, "no memory for measurements");
	*m = (sx_measures){
		.S = S, .L = L, .H = H, .T = T, .n_freq = n_freq, .n_c = n_c, .n_wrt = 5};
	const double nan = (double)NAN;
	int64_t heads = S * L * H;
	bool ok = true;
	for (int s = 0; s < SX_STAT_COUNT; s++) make(&m->stat[s], o->stats, heads, nan, &ok);
	make(&m->offset_profile, o->stats, heads * SX_OFFSET_BINS, nan, &ok);
	for (int g = 0; g < SX_GRAD_COUNT; g++) make(&m->grad[g], o->grad, heads, nan, &ok);
	make(&m->key_flow, o->grad, heads * T, nan, &ok);
	make(&m->score_offset, o->stats, heads * sx_score_bins(T), nan, &ok);
	make(&m->rope_q, o->rope, heads * n_freq, nan, &ok);
	make(&m->rope_k, o->rope, heads * n_freq, nan, &ok);
	make(&m->rope_share, o->rope, heads * n_freq, nan, &ok);
	make(&m->rope_signed, o->rope, heads * n_freq, nan, &ok);
	make(&m->rope_var, o->rope, heads * n_freq, nan, &ok);
	make(&m->rope_rest, o->rope, heads, nan, &ok);
	make(&m->ac_value, o->ac, heads * n_c, nan, &ok);
	make(&m->ac_grad, o->ac && o->ac_gradients, heads * n_c * m->n_wrt, nan, &ok);
	make(&m->ac_batch_grad, o->ac_batch, L * H * n_c * m->n_wrt, nan, &ok);
	make(&m->ac_first_order, o->ac_toward, heads * n_c * m->n_wrt, nan, &ok);
	make(&m->ac_change_norm, o->ac_toward, L * H * m->n_wrt, nan, &ok);
	make(&m->ac_change, o->ac_toward, heads * n_c, nan, &ok);
	make(&m->ac_change_w, o->ac_toward, heads * n_c, nan, &ok);
	make(&m->logit_osc, o->ac, heads, nan, &ok);
	make(&m->uniform_l1, o->ac, heads, nan, &ok);
	make(&m->prefix_spread, o->spread, S * L, nan, &ok);
	ok = ok && (!o->bounds || make_bounds(m));
	if (!ok) {
		sx_measures_free(m);
		return sx_fail(ctx, SX_ENOMEM,
			       "no memory for the measurements of %lld sequences of %lld tokens",
			       (long long)S, (long long)T);
	}
	sx_status st = o->reduce ? sx_reduced_new(&m->reduced, ctx, o->reduce) : SX_OK;
	if (st == SX_OK && o->sites) st = sx_site_rows_new(&m->site_rows, ctx, o->sites);
	if (st != SX_OK) {
		sx_measures_free(m);
		return st;
	}
	*out = m;
	return SX_OK;
}

void sx_measures_free(sx_measures *m)
{
	if (!m) return;
	for (int s = 0; s < SX_STAT_COUNT; s++) free(m->stat[s]);
	double *const all[] = {
		m->offset_profile, m->score_offset,      m->rope_q,         m->rope_k,
		m->rope_share,     m->rope_var,          m->rope_rest,      m->ac_value,
		m->ac_grad,        m->logit_osc,         m->uniform_l1,     m->prefix_spread,
		m->bound_lhs,      m->bound_rhs,         m->bound_paper,    m->bound_allowance,
		m->value_bound,    m->value_bound_paper, m->grad_bound,     m->grad_bound_paper,
		m->osc_spread_h,   m->wq_norm,           m->wk_norm,        m->key_flow,
		m->ac_batch_grad,  m->rope_signed,       m->ac_first_order, m->ac_change_norm,
		m->ac_change,      m->ac_change_w};
	for (int g = 0; g < SX_GRAD_COUNT; g++) free(m->grad[g]);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
	free(m->bound_row);
	free(m->bound_reason);
	free(m->bound_verdict);
	sx_reduced_free(m->reduced);
	sx_site_rows_free(m->site_rows);
	free(m);
}

void sx_bound_name(char name[SX_BOUND_NAME], int64_t i, const char *family)
{
	static const char *const plain[SX_BOUND_PLAIN] = {
		"I1",     "I2", "I3",         "I4",          "I5",         "I6",     "I7",
		"B8.eta", "B8", "P3.2.alpha", "P3.2.output", "P3.3.value", "P3.3.wq"};
	static const char *const of_c[SX_BOUND_OF_C] = {
		"D3.1",  "B10",        "I8",  "I9",         "I9.tanh", "T3.4",
		"I10",   "I10.spread", "I11", "I11.spread", "I12",     "E1.wq",
		"E1.wk", "E2",         "E3",  "P3.2.value", "P3.2.wq", "P3.2.wk"};
	if (i < SX_BOUND_PLAIN)
		snprintf(name, SX_BOUND_NAME, "%s", plain[i]);
	else
		snprintf(name, SX_BOUND_NAME, "%s:%s", of_c[(i - SX_BOUND_PLAIN) % SX_BOUND_OF_C],
			 family);
}

/* ---- the additive split ---- */

/* Least squares of s_ij ~ r_i + c_j + g_{i-j} on a banded triangle, with r and any of c, g: the
 * normal equations N x = b solved by conjugate gradients. Products with N need prefix sums of the
 * effects only. N is singular (constants and, with all three, a linear trend can move between the
 * effects); b lies in its range and b.x, which is all that is used, is the same for every solution. */
typedef struct {
	int64_t T, W; /* W: keys a row sees at most */
	bool use_c, use_g;
	double *prefix; /* (T + 1) */
} split_problem;

static double range_sum(const double *prefix, int64_t a, int64_t b)
{
	return prefix[b] - prefix[a];
}

static void prefix_sums(double *prefix, const double *x, int64_t n)
{
	prefix[0] = 0;
	for (int64_t i = 0; i < n; i++) prefix[i + 1] = prefix[i] + x[i];
}

static int64_t row_first(const split_problem *p, int64_t i)
{
	return i >= p->W ? i - p->W + 1 : 0;
}

static int64_t key_end(const split_problem *p, int64_t j)
{
	return j + p->W < p->T ? j + p->W : p->T;
}

static int64_t pairs_of_row(const split_problem *p, int64_t i)
{
	return i - row_first(p, i) + 1;
}

/* y = N x, x and y of (r, c, g), T each. */
static void normal_product(const split_problem *p, double *y, const double *x)
{
	int64_t T = p->T;
	const double *r = x, *c = x + T, *g = x + 2 * T;
	double *yr = y, *yc = y + T, *yg = y + 2 * T, *P = p->prefix;
	memset(y, 0, 3 * (size_t)T * sizeof *y);
	prefix_sums(P, r, T);
	for (int64_t i = 0; i < T; i++) yr[i] = (double)pairs_of_row(p, i) * r[i];
	for (int64_t j = 0; p->use_c && j < T; j++) yc[j] = range_sum(P, j, key_end(p, j));
	for (int64_t d = 0; p->use_g && d < p->W && d < T; d++) yg[d] = range_sum(P, d, T);
	if (p->use_c) {
		prefix_sums(P, c, T);
		for (int64_t i = 0; i < T; i++) yr[i] += range_sum(P, row_first(p, i), i + 1);
		for (int64_t j = 0; j < T; j++) yc[j] += (double)(key_end(p, j) - j) * c[j];
		for (int64_t d = 0; p->use_g && d < p->W && d < T; d++)
			yg[d] += range_sum(P, 0, T - d);
	}
	if (p->use_g) {
		prefix_sums(P, g, T);
		for (int64_t i = 0; i < T; i++) yr[i] += range_sum(P, 0, pairs_of_row(p, i));
		for (int64_t j = 0; p->use_c && j < T; j++)
			yc[j] += range_sum(P, 0, key_end(p, j) - j);
		for (int64_t d = 0; d < p->W && d < T; d++) yg[d] += (double)(T - d) * g[d];
	}
}

SX_VECTOR
static double dot3(const double *a, const double *b, int64_t n)
{
	double lane[SX_LANES] = {0}, s = 0;
	int64_t i = 0;
	for (; i + SX_LANES <= n; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += a[i + l] * b[i + l];
	for (int l = 0; i + l < n; l++) lane[l] += a[i + l] * b[i + l];
	for (int l = 0; l < SX_LANES; l++) s += lane[l];
	return s;
}

/* The diagonal of N as preconditioner. */
static void precondition(const split_problem *p, double *z, const double *r)
{
	int64_t T = p->T;
	for (int64_t i = 0; i < T; i++) {
		z[i] = r[i] / (double)pairs_of_row(p, i);
		z[T + i] = p->use_c ? r[T + i] / (double)(key_end(p, i) - i) : 0;
		z[2 * T + i] = p->use_g && i < p->W ? r[2 * T + i] / (double)(T - i) : 0;
	}
}

/* Sum of squares explained, b.x. work: 9 T doubles. */
static double explained(const split_problem *p, const double *key, const double *offset,
			double *work)
{
	int64_t T = p->T, n = 3 * T;
	double *res = work, *dir = res + n, *prod = dir + n;
	double gain = 0, rho = 0, first = 0;
	memset(res, 0, (size_t)n * sizeof *res);
	if (p->use_c) memcpy(res + T, key, (size_t)T * sizeof *res);
	if (p->use_g) memcpy(res + 2 * T, offset, (size_t)(p->W < T ? p->W : T) * sizeof *res);
	precondition(p, dir, res);
	rho = first = dot3(res, dir, n);
	/* Starting from x = 0, the functional b.x grows by alpha rho in each step. */
	for (int it = 0; it < 2000 && rho > 1e-24 * first && rho > 0; it++) {
		normal_product(p, prod, dir);
		double curvature = dot3(dir, prod, n);
		if (!(curvature > 0)) break;
		double alpha = rho / curvature, old = rho;
		gain += alpha * rho;
		for (int64_t i = 0; i < n; i++) res[i] -= alpha * prod[i];
		precondition(p, prod, res);
		rho = dot3(res, prod, n);
		for (int64_t i = 0; i < n; i++) dir[i] = prod[i] + rho / old * dir[i];
	}
	return gain;
}

/* Rounding may leave a little less than 0; NaN stays. */
static double at_least_0(double x)
{
	return x < 0 ? 0 : x;
}

void sx_additive_split(double split[4], const double *key, const double *offset, double ss_within,
		       int64_t T, int64_t window, double *scratch)
{
	split_problem p = {.T = T, .W = window > 0 && window < T ? window : T, .prefix = scratch};
	double *work = scratch + T + 1;
	p.use_c = true, p.use_g = false;
	double rss_rc = at_least_0(ss_within - explained(&p, key, offset, work));
	p.use_c = false, p.use_g = true;
	double rss_rg = at_least_0(ss_within - explained(&p, key, offset, work));
	p.use_c = true;
	double rss_rcg = at_least_0(ss_within - explained(&p, key, offset, work));
	split[0] = at_least_0(rss_rc - rss_rcg);
	split[1] = at_least_0(rss_rg - rss_rcg);
	split[2] = rss_rcg;
	split[3] = ss_within > 0 ? 1 - rss_rg / ss_within : (double)NAN;
}

/* Both sides of the theory's inequalities against plain sums over recorded maps; random models, of
 * which none may violate anything; and controls that each must be caught. Compiled in both
 * precisions. */
#include "tests/support/bounds_fixture.h"

#include "engine/op/spectral.h"
#include "probes/record/record.h"

#include <unistd.h>

static double rounded(void)
{
	return sizeof(sx_real) == 8 ? 1e-10 : 3e-5;
}

/* ---- plain sums ---- */

static double norm(const double *x, int64_t n)
{
	double s = 0;
	for (int64_t i = 0; i < n; i++) s += x[i] * x[i];
	return sqrt(s);
}

static double weight(int f, const recorder *r, const head_record *h, int64_t i, int64_t j)
{
	double n = (double)(i - sx_first_key(i, r->window) + 1);
	if (f == OWN) return h->p[i * r->T + j] - 1 / n;
	if (n < 2) return 0;
	return i - j == f ? 1 : -1 / (n - 1);
}

/* max_j || x_j - mean x || over the keys that row i sees, x (T,W). */
static double farthest(const recorder *r, const double *x, int64_t W, int64_t i)
{
	double *mean = zeros(W), most = 0;
	int64_t first = sx_first_key(i, r->window);
	for (int64_t j = first; j <= i; j++)
		for (int64_t c = 0; c < W; c++) mean[c] += x[j * W + c] / (double)(i - first + 1);
	for (int64_t j = first; j <= i; j++) {
		double d = 0;
		for (int64_t c = 0; c < W; c++) d += pow(x[j * W + c] - mean[c], 2);
		most = fmax(most, sqrt(d));
	}
	free(mean);
	return most;
}

/* Largest singular value of w (D,C), from below. */
static double power_norm(const double *w, int64_t D, int64_t C)
{
	double *v = zeros(C), *u = zeros(D), size = 0;
	for (int64_t c = 0; c < C; c++) v[c] = sx_normal(9, SX_STREAM_TEST, (uint64_t)c);
	for (int it = 0; it < 3000; it++) {
		double n = norm(v, C);
		memset(u, 0, (size_t)D * sizeof *u);
		for (int64_t d = 0; d < D; d++)
			for (int64_t c = 0; c < C; c++) u[d] += w[d * C + c] * v[c] / n;
		size = norm(u, D);
		memset(v, 0, (size_t)C * sizeof *v);
		for (int64_t d = 0; d < D; d++)
			for (int64_t c = 0; c < C; c++) v[c] += w[d * C + c] * u[d];
	}
	free(v);
	free(u);
	return size;
}

static double reach(const recorder *r, const head_record *h, int64_t i) /* scale ||W_K^T q_i|| */
{
	int64_t D = r->spec.D, C = r->spec.C;
	double *v = zeros(C);
	for (int64_t d = 0; d < D; d++)
		for (int64_t c = 0; c < C; c++) v[c] += h->wk[d * C + c] * h->q[i * D + d];
	double size = h->scale * norm(v, C);
	free(v);
	return size;
}

/* One family: all sums by the definitions, dW_Q and dW_K as matrices. NoPE alone: no rotation. */
typedef struct {
	double value, by_l1, by_tanh, by_spread, wq, wk, i10, i10_spread, i11, i11_spread;
	double on_wq, on_wk, cov, i8, i12, own;
} plain;

static plain plain_sums(int f, const recorder *r, const head_record *h)
{
	plain x = {0};
	int64_t T = r->T, D = r->spec.D, C = r->spec.C;
	double *dwq = zeros(D * C), *dwk = zeros(D * C), Td = (double)T;
	double spectral = power_norm(h->wk, D, C);
	for (int64_t i = 0; i < T; i++) {
		int64_t first = sx_first_key(i, r->window);
		double n = (double)(i - first + 1), m = 0, lo = HUGE_VAL, hi = -HUGE_VAL, l1 = 0;
		double s_lo = HUGE_VAL, s_hi = -HUGE_VAL, mean_s = 0, sum_g = 0;
		double qn = norm(h->q + i * D, D), hn = norm(h->h + i * C, C);
		double near = farthest(r, h->h, C, i);
		for (int64_t j = first; j <= i; j++) {
			double p = h->p[i * T + j], s = h->s[i * T + j], c = weight(f, r, h, i, j);
			m += p * c, mean_s += p * s;
			lo = fmin(lo, c), hi = fmax(hi, c), s_lo = fmin(s_lo, s);
			s_hi = fmax(s_hi, s), l1 += fabs(p - 1 / n);
		}
		for (int64_t j = first; j <= i; j++) {
			double p = h->p[i * T + j], c = weight(f, r, h, i, j), g = p * (c - m) / Td;
			sum_g += fabs(g);
			x.cov += p * (c - m) * (h->s[i * T + j] - mean_s) / Td;
			for (int64_t d = 0; d < D; d++)
				for (int64_t e = 0; e < C; e++) {
					dwq[d * C + e] +=
						h->scale * g * h->k[j * D + d] * h->h[i * C + e];
					dwk[d * C + e] +=
						h->scale * g * h->q[i * D + d] * h->h[j * C + e];
				}
		}
		x.value += m / Td;
		x.own += l1 * l1 / n / Td;
		x.by_l1 += (hi - lo) / 2 * l1 / Td;
		/* tanh(D/4) = (sqrt(e^D) - 1) / (sqrt(e^D) + 1) */
		double e = exp((s_hi - s_lo) / 2);
		x.by_tanh += (hi - lo) * (isinf(e) ? 1 : (e - 1) / (e + 1)) / Td;
		x.by_spread += (hi - lo) / 2 * fmin(2, reach(r, h, i) * near) / Td;
		x.i10 += h->scale * sum_g * farthest(r, h->k, D, i) * hn;
		x.i10_spread += h->scale * spectral * (hi - lo) / 2 / Td * near * hn;
		x.i11 += h->scale * sum_g * qn * near;
		x.i11_spread += h->scale * (hi - lo) / 2 / Td * qn * near;
		if (hi > lo) x.i8 = fmax(x.i8, sum_g / ((hi - lo) / (2 * Td)));
	}
	x.wq = norm(dwq, D * C), x.wk = norm(dwk, D * C);
	for (int64_t e = 0; e < D * C; e++) {
		x.on_wq += dwq[e] * h->wq[e];
		x.on_wk += dwk[e] * h->wk[e];
	}
	free(dwq);
	free(dwk);
	return x;
}

static void check_side(double got, double want, double size, const char *what)
{
	if (!(fabs(got - want) <= rounded() * fmax(fabs(want), size)))
		fail_msg("%s: %.17g, wanted %.17g", what, got, want);
}

static void check_family(const passed *x, int64_t at, int f, const recorder *r,
			 const head_record *h)
{
	const sx_measures *m = x->o.measures;
	plain w = plain_sums(f, r, h);
	const struct {
		sx_bound_c b;
		double lhs, rhs;
	} want[] = {{SX_BOUND_I9, fabs(w.value), w.by_l1},
		    {SX_BOUND_I9_TANH, fabs(w.value), w.by_tanh},
		    {SX_BOUND_T34, fabs(w.value), w.by_spread},
		    {SX_BOUND_I10, w.wq, w.i10},
		    {SX_BOUND_I10_SPREAD, w.wq, w.i10_spread},
		    {SX_BOUND_I11, w.wk, w.i11},
		    {SX_BOUND_I11_SPREAD, w.wk, w.i11_spread},
		    {SX_BOUND_E1_WQ, w.on_wq, w.cov},
		    {SX_BOUND_E1_WK, w.on_wk, w.cov}};
	for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
		int64_t i = at * m->n_bound + sx_bound_of_c(want[k].b, f);
		double size = want[k].b >= SX_BOUND_I10 ? w.i10 + w.i11 : w.by_l1 + unit_roundoff;
		check_side(m->bound_lhs[i], want[k].lhs, size, x->name[i % m->n_bound]);
		check_side(m->bound_rhs[i], want[k].rhs, size, x->name[i % m->n_bound]);
	}
	int64_t i8 = at * m->n_bound + sx_bound_of_c(SX_BOUND_I8, f);
	check_side(m->bound_lhs[i8] / m->bound_rhs[i8], w.i8, 1, "I8");
	assert_true(m->value_bound[at * N_C + f] ==
		    m->bound_rhs[at * m->n_bound + sx_bound_of_c(SX_BOUND_I9, f)]);
	assert_true(m->grad_bound[(at * N_C + f) * m->n_wrt] ==
		    m->bound_rhs[at * m->n_bound + sx_bound_of_c(SX_BOUND_I10_SPREAD, f)]);
	check_side(m->ac_grad[(at * N_C + f) * m->n_wrt], w.wq, w.i10, "norm of dW_Q");
}

/* Worst rows of I1 and I3, found by looking at all. */
static void check_rows(const passed *x, int64_t at, const recorder *r, const head_record *h)
{
	const sx_measures *m = x->o.measures;
	double worst[2] = {0, 0}, far = 0, mean = 0, Td = (double)r->T;
	for (int64_t i = 0; i < r->T; i++) {
		int64_t first = sx_first_key(i, r->window), T = r->T;
		double n = (double)(i - first + 1), lo = HUGE_VAL, hi = -HUGE_VAL, l1 = 0, ms = 0;
		for (int64_t j = first; j <= i; j++) {
			lo = fmin(lo, h->s[i * T + j]), hi = fmax(hi, h->s[i * T + j]);
			ms += h->s[i * T + j] / n;
			l1 += fabs(h->p[i * T + j] - 1 / n);
		}
		double near = farthest(r, h->h, r->spec.C, i);
		far = fmax(far, near);
		if (n > 1) mean += n / (n - 1) * near * norm(h->h + i * r->spec.C, r->spec.C) / Td;
		if (n < 2) continue;
		worst[0] = fmax(worst[0], l1 / (2 * tanh((hi - lo) / 4)));
		worst[1] = fmax(worst[1], fmax(hi - ms, ms - lo) / (reach(r, h, i) * near));
	}
	const int id[] = {SX_BOUND_I1, SX_BOUND_I3};
	for (int k = 0; k < 2; k++) {
		int64_t i = at * m->n_bound + id[k];
		check_side(m->bound_lhs[i] / m->bound_rhs[i], worst[k], 1, x->name[id[k]]);
	}
	check_side(m->osc_spread_h[at], mean, 0, "osc_spread_h");
	check_side(m->prefix_spread[at / m->H], far, 0, "prefix spread");
}

static void test_against_plain_sums(void **state)
{
	(void)state;
	const int64_t lengths[] = {2, 3, 12, 40}, windows[] = {0, 5};
	for (int t = 0; t < 4; t++)
		for (int w = 0; w < 2; w++) {
			sx_spec s = small_spec("nope", 2, 20, 2, 1, 8);
			s.pos.window = windows[w], s.pos.beta = 1.3;
			passed x;
			pass(&x, &s, 2, lengths[t], small_tokens(2 * lengths[t], s.V, 5), 3, 0.3,
			     AS_IT_IS, true);
			for (int64_t at = 0; at < 8; at++) {
				const head_record *h = &x.r.head[at];
				check_rows(&x, at, &x.r, h);
				for (int f = 0; f < N_C; f++) check_family(&x, at, f, &x.r, h);
				double size = power_norm(h->wk, s.D, s.C);
				double got = x.o.measures->wk_norm[at % 4];
				assert_true(got >= size * (1 - 1e-13) && got <= size * (1 + 1e-6));
			}
			passed_free(&x);
		}
}

/* ---- the spectral norm ---- */

static void test_spectral_norm(void **state)
{
	(void)state;
	enum { N = 6 };
	double a[N * N] = {0}, work[4 * N], u[N], size = 0;
	for (int i = 0; i < N; i++) a[i * N + i] = (i + 1) * (i + 1);
	double got = sx_spectral_norm(a, N, 10, work);
	assert_true(got >= N && got < N * (1 + 1e-12));
	for (int i = 0; i < N; i++) { /* rank one */
		u[i] = sx_normal(4, SX_STREAM_TEST, (uint64_t)i);
		size += u[i] * u[i];
	}
	for (int i = 0; i < N * N; i++) a[i] = u[i / N] * u[i % N] * 4;
	got = sx_spectral_norm(a, N, 10, work);
	assert_true(got >= 2 * sqrt(size) * (1 - 1e-15) && got < 2 * sqrt(size) * (1 + 1e-12));
	memset(a, 0, sizeof a);
	assert_true(sx_spectral_norm(a, N, 10, work) == 0);
	a[3] = (double)NAN;
	assert_true(isnan(sx_spectral_norm(a, N, 10, work)));
}

/* ---- what applies ---- */

/* Which forms do not apply, and why. */
static void test_premises(void **state)
{
	(void)state;
	const sx_qk_norm none = SX_QK_NORM_NONE, full = SX_QK_NORM_FULL, head = SX_QK_NORM_HEAD;
	const sx_block biases = {.o_bias = true, .mlp_bias = true}, after = {.norm_after = true},
		       neox = small_blocks[3];
	const struct {
		const char *method;
		sx_qk_norm norm;
		bool bias, constant;
		const char *name;
		sx_bound_reason reason;
		sx_block block;
	} want[] = {
		{"nope", SX_QK_NORM_NONE, false, false, "I10:own", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_NONE, true, false, "I10:own", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_NONE, true, false, "E1.wq:own", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_NONE, false, false, "E2:previous", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_NONE, false, false, "E3:previous", SX_REASON_NOT_ROTATED, {0}},
		{"nope", SX_QK_NORM_NONE, false, false, "B8", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "B8", SX_REASON_NOT_NOPE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "B8.eta", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "I5", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "E2:previous", SX_REASON_NOT_NOPE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "E3:previous", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "I10:own", SX_REASON_NOT_NOPE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "E1.wk:own", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, false, "I1", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_FULL, false, false, "I3", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_FULL, true, false, "I10.spread:own", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_HEAD, false, false, "I11:own", SX_REASON_QK_NORM, {0}},
		{"nope", SX_QK_NORM_HEAD, true, true, "P3.2.wq:own", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_HEAD, false, true, "P3.2.wk:own", SX_REASON_QK_NORM, {0}},
		{"rope", SX_QK_NORM_NONE, true, true, "P3.3.wq", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_HEAD, false, false, "E1.wq:own", SX_REASON_QK_NORM, {0}},
		{"nope", SX_QK_NORM_NONE, false, false, "P3.2.alpha", SX_REASON_NOT_CONSTANT, {0}},
		{"nope", SX_QK_NORM_NONE, false, true, "P3.2.alpha", SX_REASON_NONE, {0}},
		{"nope", SX_QK_NORM_NONE, false, true, "P3.3.value", SX_REASON_NOT_ROTATED, {0}},
		{"rope", SX_QK_NORM_NONE, false, true, "P3.3.value", SX_REASON_NONE, {0}},
		{"rope", SX_QK_NORM_NONE, false, true, "P3.2.wq:own", SX_REASON_NOT_NOPE, {0}},
		{"rope", SX_QK_NORM_NONE, false, true, "P3.2.output", SX_REASON_NONE, {0}},
		/* biases change nothing; a norm of another kind leaves I2, another block I5 */
		{"nope", none, true, false, "B8", SX_REASON_NONE, biases},
		{"nope", none, true, true, "P3.2.output", SX_REASON_NONE, biases},
		{"nope", none, false, false, "I2", SX_REASON_NONE, neox},
		{"nope", none, false, false, "I5", SX_REASON_NONE, neox},
		{"nope", none, false, false, "I6", SX_REASON_NONE, neox},
		{"nope", none, false, false, "I7", SX_REASON_BLOCK, neox},
		{"nope", none, false, true, "P3.2.output", SX_REASON_BLOCK, neox},
		{"nope", none, false, false, "I10:own", SX_REASON_NONE, after},
		{"rope", none, false, false, "E1.wq:own", SX_REASON_NONE, after},
		{"nope", none, false, false, "I2", SX_REASON_BLOCK, after},
		{"nope", none, false, false, "I5", SX_REASON_NONE, after},
		{"nope", none, false, false, "I6", SX_REASON_BLOCK, after},
		{"nope", none, false, false, "B8", SX_REASON_BLOCK, after},
		{"nope", none, false, false, "B8.eta", SX_REASON_BLOCK, {.parallel = true}},
		{"nope", none, false, false, "I7", SX_REASON_BLOCK, {.mlp = SX_MLP_GELU}},
		{"nope", full, true, false, "E1.wq:own", SX_REASON_QK_NORM, {.k_plain = true}},
		{"nope", full, true, false, "E1.wk:own", SX_REASON_NONE, {.k_plain = true}},
		{"nope", full, true, false, "I11:own", SX_REASON_NONE, {.k_plain = true}},
		{"nope", head, true, false, "E1.wq:own", SX_REASON_NONE, {.q_plain = true}},
		{"nope", head, true, false, "E1.wk:own", SX_REASON_QK_NORM, {.q_plain = true}},
		{"rope", head, true, true, "P3.3.wq", SX_REASON_NONE, {.q_plain = true}},
		{"nope", head, true, false, "I11:own", SX_REASON_QK_NORM, {.q_plain = true}},
	};
	for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
		sx_spec s = small_spec(want[k].method, 2, 16, 2, 2, 8);
		s.qk_norm = want[k].norm, s.qkv_bias = want[k].bias;
		s.block = want[k].block;
		int32_t *tokens = small_tokens(10, s.V, 2);
		for (int t = 0; want[k].constant && t < 10; t++) tokens[t] = 7;
		passed x;
		pass(&x, &s, 1, 10, tokens, 3, 0.4, AS_IT_IS, false);
		bool yes = want[k].reason == SX_REASON_NONE;
		assert_int_equal(count_of(&x, want[k].name,
					  yes ? SX_VERDICT_HOLDS : SX_VERDICT_NOT_APPLICABLE),
				 4);
		for (int64_t at = 0; at < 4 * x.b.n; at++)
			if (strcmp(x.b.name[at % x.b.n], want[k].name) == 0) {
				assert_int_equal(x.b.reason[at], want[k].reason);
				assert_true(isnan(x.b.lhs[at]) == !yes);
			}
		passed_free(&x);
	}
}

/* Measuring changes nothing, and nothing depends on the number of threads. */
static void test_inert(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 2, 24, 4, 2, 8);
	passed x[2];
	int threads = omp_get_max_threads();
	for (int k = 0; k < 2; k++) {
		omp_set_num_threads(1 + 2 * k);
		pass(&x[k], &s, 2, 70, small_tokens(140, s.V, 5), 3, 0.3, AS_IT_IS, false);
	}
	omp_set_num_threads(threads);
	size_t n = (size_t)(x[0].b.S * x[0].b.L * x[0].b.H * x[0].b.n);
	assert_memory_equal(x[0].b.rhs, x[1].b.rhs, n * sizeof(double));
	assert_memory_equal(x[0].b.lhs, x[1].b.lhs, n * sizeof(double));
	assert_memory_equal(x[0].b.row, x[1].b.row, n * sizeof(int32_t));
	size_t out = (size_t)(140 * s.C) * sizeof(sx_real);
	sx_work *w = small_work(x[0].m, 2, 70, SX_WORK_FORWARD);
	assert_int_equal(
		sx_forward(NULL, x[0].m, w, &(sx_request){.tokens = x[0].tokens, .B = 2}, NULL),
		SX_OK);
	assert_memory_equal(w->x_out, x[0].w->x_out, out);
	sx_work_free(w);
	passed_free(&x[0]);
	passed_free(&x[1]);
}

/* ---- constant sequences ---- */

/* With rotation: rows are uneven from the second on, A_own = mean ||alpha_i - u_i||_2^2 > 0, and the
 * gradient does not vanish; without, the same model is even. */
static void test_constant(void **state)
{
	(void)state;
	for (int rotated = 0; rotated < 2; rotated++) {
		sx_spec s = small_spec(rotated ? "rope" : "nope", 2, 24, 2, 1, 8);
		int32_t *tokens = small_tokens(40, s.V, 2);
		for (int t = 0; t < 40; t++) tokens[t] = 7;
		passed x;
		pass(&x, &s, 1, 40, tokens, 3, 0.4, AS_IT_IS, true);
		for (int64_t at = 0; at < 4; at++) {
			const head_record *h = &x.r.head[at];
			int64_t i = at * x.b.n;
			double square = 0;
			for (int64_t e = 0; e < 40 * 40; e++) {
				int64_t row = e / 40, key = e % 40;
				if (key > row) continue;
				square += pow(h->p[e] - 1 / (double)(row + 1), 2) / 40;
			}
			if (rotated) {
				assert_int_equal(x.verdict[i + SX_BOUND_P33_VALUE], 0);
				check_side(x.b.rhs[i + SX_BOUND_P33_VALUE], square, 1e-3, "A_own");
				assert_true(x.b.lhs[i + SX_BOUND_P33_VALUE] >
					    100 * x.b.allowance[i + SX_BOUND_P33_VALUE]);
				assert_int_equal(x.b.row[i + SX_BOUND_P33_VALUE], 1);
				assert_true(x.b.lhs[i + SX_BOUND_P33_WQ] >
					    10 * x.b.allowance[i + SX_BOUND_P33_WQ]);
			} else {
				assert_true(square < rounded());
				assert_int_equal(x.verdict[i + SX_BOUND_P32_ALPHA], 0);
			}
		}
		passed_free(&x);
	}
}

/* ---- controls: each check fails when it should ---- */

/* A right side just below the left one is a violation, of every single inequality; an error just
 * above the allowance, of every identity. */
static void test_wrong_constant(void **state)
{
	(void)state;
	sx_spec s = small_spec("nope", 2, 20, 2, 1, 8);
	passed x;
	pass(&x, &s, 1, 30, small_tokens(30, s.V, 5), 3, 0.3, AS_IT_IS, false);
	double *rhs = x.o.measures->bound_rhs;
	for (int64_t at = 0; at < 4 * x.b.n; at++) {
		if (x.verdict[at] != SX_VERDICT_HOLDS) continue;
		double keep = rhs[at], lhs = x.b.lhs[at], off = x.b.allowance[at];
		rhs[at] = lhs - 1.001 * off - 1e-12 * fabs(lhs) - DBL_MIN;
		sx_bounds_judge(x.verdict, &x.b);
		assert_int_equal(x.verdict[at], SX_VERDICT_VIOLATED);
		rhs[at] = keep;
		sx_bounds_judge(x.verdict, &x.b);
		assert_int_equal(x.verdict[at], SX_VERDICT_HOLDS);
	}
	passed_free(&x);
}

/* What is told to the observer is not what the model did: every inequality and identity notices, but
 * I12, which holds for any weights and keys there are (test_wrong_constant has it). */
static void test_controls(void **state)
{
	(void)state;
	const struct {
		tamper how;
		const char *method;
		bool constant;
		const char *caught[12];
	} control[] = {
		{LOUD_PROBS, "nope", false, {"D3.1:own", "B10:diagonal", "I9:own"}},
		{HALF_PROBS, "nope", false, {"I8:diagonal"}},
		{SHARP_PROBS, "nope", false, {"I1", "I4", "I9.tanh:diagonal", "T3.4:diagonal"}},
		{OTHER_KEYS, "nope", false, {"E1.wq:diagonal", "I10.spread:diagonal"}},
		{OTHER_WEIGHTS, "nope", false, {"E1.wq:diagonal"}},
		{OTHER_INPUT,
		 "nope",
		 false,
		 {"E1.wq:diagonal", "E1.wk:diagonal", "E2:diagonal", "I10:diagonal",
		  "I10.spread:diagonal", "I11:diagonal", "I11.spread:diagonal"}},
		{OTHER_INPUT, "rope", false, {"E1.wk:diagonal", "E3:diagonal"}},
		{FLAT_INPUT,
		 "nope",
		 false,
		 {"I3", "I4", "T3.4:diagonal", "I10.spread:diagonal", "I11:diagonal",
		  "I11.spread:diagonal"}},
		{FAR_INPUT, "nope", false, {"I2"}},
		{LOUD_Z, "nope", false, {"I5"}},
		{FAR_MIDDLE, "nope", false, {"I6"}},
		{LOUD_ACT, "nope", false, {"I7"}},
		{FAR_OUT, "nope", false, {"B8", "B8.eta"}},
		{FAR_OUT, "rope", false, {"B8.eta"}},
		{SHARP_PROBS, "nope", true, {"P3.2.alpha", "P3.2.value:diagonal"}},
		{ODD_KEYS, "nope", true, {"P3.2.wq:diagonal"}},
		{ODD_INPUT, "nope", true, {"P3.2.wk:diagonal"}},
		{ODD_OUT, "nope", true, {"P3.2.output"}},
		{QUIET_PROBS, "rope", true, {"P3.3.value"}},
		{SMALL_WEIGHTS, "rope", true, {"P3.3.wq"}},
	};
	for (size_t k = 0; k < sizeof control / sizeof control[0]; k++)
		for (int how = 0; how < 2; how++) { /* the same model untouched, too */
			sx_spec s = small_spec(control[k].method, 1, 20, 2, 2, 8);
			int32_t *tokens = small_tokens(30, s.V, 5);
			for (int t = 0; control[k].constant && t < 30; t++) tokens[t] = 7;
			passed x;
			pass(&x, &s, 1, 30, tokens, 3, 0.05, how ? control[k].how : AS_IT_IS,
			     false);
			for (int c = 0; how && c < 12 && control[k].caught[c]; c++)
				if (count_of(&x, control[k].caught[c], SX_VERDICT_VIOLATED) == 0)
					fail_msg("control %d: %s was not caught", (int)k,
						 control[k].caught[c]);
			if (!how) assert_int_equal(count_of(&x, NULL, SX_VERDICT_VIOLATED), 0);
			passed_free(&x);
		}
}

/* Weights that are not numbers give no verdict, of anything that needs them. */
static void test_not_numbers(void **state)
{
	(void)state;
	sx_spec s = small_spec("nope", 1, 20, 2, 2, 8);
	passed x;
	pass(&x, &s, 1, 12, small_tokens(12, s.V, 5), 3, (double)NAN, AS_IT_IS, false);
	/* that fixed weights c are centred needs no model */
	assert_int_equal(count_of(&x, "D3.1:diagonal", SX_VERDICT_HOLDS), 2);
	assert_int_equal(count_of(&x, "D3.1:previous", SX_VERDICT_HOLDS), 2);
	assert_int_equal(count_of(&x, NULL, SX_VERDICT_HOLDS), 4);
	assert_int_equal(count_of(&x, NULL, SX_VERDICT_VIOLATED), 0);
	assert_int_equal(count_of(&x, "I10:own", SX_VERDICT_NONE), 2);
	passed_free(&x);
}

/* ---- verdicts and summary of arrays ---- */

static void test_summary(void **state)
{
	(void)state;
	enum { N = 4, HEADS = 3 };
	static const char *const name[N] = {"I1", "I9:a", "I9:b", "E1:a"};
	const double nan = (double)NAN;
	const double lhs[] = {1, 1, 4, 5.0, 2, nan, 3, 5.2, 1, 1, nan, 4.7};
	const double rhs[] = {2, 4, 4, 5.1, 2, 4, 2, 5.1, 1, 2, nan, 5.1};
	const double paper[] = {4, nan, 8, nan, 1, 4, 4, nan, 2, 6, nan, nan};
	const double off[] = {0, 0, 0, .2, 0, 0, 0, .2, 0, 0, nan, .2};
	const int32_t row[N * HEADS] = {0};
	const uint8_t reason[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0};
	uint8_t v[N * HEADS];
	const uint8_t want[] = {0, 0, 0, 0, 0, 255, 1, 0, 0, 0, 2, 1};
	sx_bounds b = {1, 1, HEADS, N, name, lhs, rhs, paper, off, row, reason};
	sx_bounds_judge(v, &b);
	assert_memory_equal(v, want, sizeof want);
	sx_bounds_line *line = NULL;
	int64_t n = 0;
	assert_int_equal(sx_bounds_summary(&line, &n, NULL, &b, v, true), SX_OK);
	assert_int_equal(n, 3);
	assert_string_equal(line[1].name, "I9");
	assert_int_equal(line[1].evaluated, 4);
	assert_int_equal(line[1].violated, 1);
	assert_int_equal(line[1].not_applicable, 1);
	assert_int_equal(line[1].missing, 1);
	assert_int_equal(line[1].reason, 2);
	assert_int_equal(line[1].at, 6);
	check_close(line[1].tightest, 1.5, 0);
	check_close(line[1].median, 0.75, 0);
	check_close(line[1].paper, 2, 0);
	assert_int_equal(line[0].paper_broken, 1); /* 2 > 1 */
	check_close(line[2].tightest, 2, 1e-12);
	free(line);
	assert_int_equal(sx_bounds_summary(&line, &n, NULL, &b, v, false), SX_OK);
	assert_int_equal(n, 4);
	assert_string_equal(line[2].name, "I9:b");
	free(line);
}

/* Written by the recorder, read back by the analysis. */
static void test_run_file(void **state)
{
	(void)state;
	char dir[] = "/tmp/sextant-bounds-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/b.h5", dir);
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_spec s = small_spec("rope", 2, 20, 2, 1, 8);
	passed x;
	pass(&x, &s, 2, 12, small_tokens(24, s.V, 5), 3, 0.3, AS_IT_IS, false);
	sx_record_axes axes = {.spec = &s,
			       .S = 2,
			       .T = 12,
			       .tokens = x.tokens,
			       .measure = &x.o.opts,
			       .family = x.o.family,
			       .n_c = N_C,
			       .records = 1};
	sx_run *run = NULL;
	assert_int_equal(sx_run_create(&run, &ctx, path, false), SX_OK);
	assert_int_equal(sx_record_define(run, &axes), SX_OK);
	assert_int_equal(sx_run_start(run), SX_OK);
	assert_int_equal(sx_record_put(run, &ctx, &axes, x.o.measures, &s, 7, 0, false), SX_OK);
	assert_int_equal(sx_run_close(&run, SX_RUN_COMPLETE), SX_OK);
	sx_bounds_record r;
	assert_int_equal(sx_bounds_read(&r, &ctx, path), SX_OK);
	size_t n = (size_t)(x.b.S * x.b.L * x.b.H * x.b.n);
	assert_int_equal(r.step, 7);
	assert_int_equal(r.b.S * r.b.L * r.b.H * r.b.n, n);
	assert_memory_equal(r.lhs, x.b.lhs, n * sizeof *r.lhs);
	assert_memory_equal(r.rhs, x.b.rhs, n * sizeof *r.rhs);
	assert_memory_equal(r.rhs_paper, x.b.rhs_paper, n * sizeof *r.rhs);
	assert_memory_equal(r.allowance, x.b.allowance, n * sizeof *r.rhs);
	assert_memory_equal(r.row, x.b.row, n * sizeof *r.row);
	assert_memory_equal(r.reason, x.b.reason, n);
	for (int64_t i = 0; i < r.b.n; i++) assert_string_equal(r.name[i], x.name[i]);
	sx_run_file *f = NULL;
	double norms[4];
	assert_int_equal(sx_run_open(&f, &ctx, path), SX_OK);
	assert_int_equal(sx_run_read(f, SX_RUN_AC_WK_NORM, NULL, NULL, norms), SX_OK);
	assert_memory_equal(norms, x.o.measures->wk_norm, sizeof norms);
	sx_run_file_close(f);
	sx_bounds_record_free(&r);
	passed_free(&x);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spectral_norm), cmocka_unit_test(test_against_plain_sums),
		cmocka_unit_test(test_premises),      cmocka_unit_test(test_inert),
		cmocka_unit_test(test_constant),      cmocka_unit_test(test_wrong_constant),
		cmocka_unit_test(test_controls),      cmocka_unit_test(test_not_numbers),
		cmocka_unit_test(test_summary),       cmocka_unit_test(test_run_file),
	};
	sx_blas_start(NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

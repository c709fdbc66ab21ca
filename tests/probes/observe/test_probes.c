/* What the observers report against plain sums over recorded T x T arrays of scores and
 * probabilities, and the statements about constant sequences (DroPE, arXiv:2512.12167, Props. 3.2
 * and 3.3). Compiled in both precisions. */
#include "tests/support/recorder.h"

#include "engine/op/blas.h"
#include "probes/observe/families.h"

static const char *const families[] = {"diagonal", "previous", "offset:3",
				       "first",    "window:4", "own"};
enum { N_C = 6, DIAGONAL = 0, PREVIOUS = 1, OWN = 5 };

/* Of sums that both sides take in double over the very same numbers; of what the engine itself
 * computes in its own precision. */
static const double exact = 1e-10;

static double rounded(void)
{
	return sizeof(sx_real) == 8 ? 1e-11 : 2e-5;
}

/* NaN where wanted and nowhere else; else within tol of max(size, |want|). */
static void check_value(double got, double want, double tol, double size, const char *what)
{
	if (isnan(want) && isnan(got)) return;
	if (!(fabs(got - want) <= tol * fmax(size, fabs(want))))
		fail_msg("%s: %.17g, wanted %.17g", what, got, want);
}

/* A model, a batch, one pass with every observer and the recorder. */
typedef struct {
	sx_model *m;
	sx_work *w;
	int32_t *tokens;
	uint8_t *query_row;
	observed o;
	recorder r;
} passed;

/* Row i, from 0, of every sequence: is a value asked for? */
static bool asked(int64_t i)
{
	return i % 3 == 1;
}

static passed pass(const sx_spec *s, int64_t B, int64_t T, int32_t *tokens, double sd)
{
	passed x = {.m = small_model(s, 3, sd), .tokens = tokens, .r = recorder_of(s, B, T)};
	x.w = small_work(x.m, B, T, SX_WORK_FORWARD);
	x.o = observe_all(s, B, T, families, N_C);
	x.query_row = sx_calloc((size_t)(B * T), 1);
	for (int64_t i = 0; i < B * T; i++) x.query_row[i] = asked(i % T);
	x.o.opts.query_row = x.query_row;
	int n;
	sx_probe probes[8];
	const sx_probe *p = observe_with(&x.o, s, &n);
	memcpy(probes, p, (size_t)n * sizeof *p);
	probes[n] = (sx_probe){.self = &x.r, .tile = record_tile, .head_end = record_head};
	assert_int_equal(
		sx_forward(
			NULL, x.m, x.w,
			&(sx_request){.tokens = tokens, .B = B, .probe = probes, .n_probe = n + 1},
			NULL),
		SX_OK);
	return x;
}

static void passed_free(passed *x)
{
	recorder_free(&x->r);
	observed_free(&x->o);
	sx_work_free(x->w);
	sx_model_free(x->m);
	free(x->tokens);
	free(x->query_row);
}

/* ---- statistics ---- */

typedef struct {
	double sum;
	int64_t n;
} mean;

static void count(mean *m, double x)
{
	m->sum += x;
	m->n++;
}

static double norm(const double *x, int64_t n)
{
	double s = 0;
	for (int64_t i = 0; i < n; i++) s += x[i] * x[i];
	return sqrt(s);
}

/* The definitions, row by row; i and j from 1 as there. */
static void plain_stats(double want[SX_STAT_COUNT], const recorder *r, const head_record *x)
{
	mean m[SX_STAT_COUNT] = {{0, 0}};
	double ss = 0, variance = 0;
	int64_t T = r->T, D = r->spec.D;
	for (int64_t i = 1; i <= T; i++) {
		const double *p = x->p + (i - 1) * T - 1, *s = x->s + (i - 1) * T - 1;
		const int32_t *tok = x->tokens - 1;
		int64_t first = r->window > 0 && i > r->window ? i - r->window + 1 : 1;
		double entropy = 0, top = 0, distance = 0, mean_s = 0, n = (double)(i - first + 1);
		double sink = 0, duplicate = 0, induction = 0, square = 0;
		bool has_duplicate = false, has_induction = false;
		for (int64_t j = first; j <= i; j++) {
			entropy -= p[j] > 0 ? p[j] * log(p[j]) : 0;
			top = fmax(top, p[j]);
			distance += p[j] * (double)(i - j);
			mean_s += s[j] / n;
			if (j <= 4) sink += p[j];
			if (j < i && tok[j] == tok[i]) duplicate += p[j], has_duplicate = true;
			if (j > 1 && tok[j - 1] == tok[i]) induction += p[j], has_induction = true;
		}
		for (int64_t j = first; j <= i; j++) square += (s[j] - mean_s) * (s[j] - mean_s);
		ss += square;
		variance += square / n;
		count(&m[SX_STAT_ENTROPY], entropy);
		count(&m[SX_STAT_MAX_PROB], top);
		count(&m[SX_STAT_MEAN_DISTANCE], distance);
		count(&m[SX_STAT_DIAG_MASS], p[i]);
		if (i >= 2) count(&m[SX_STAT_PREV_MASS], p[i - 1]); /* 0 where not visible */
		if (i >= 2) count(&m[SX_STAT_FIRST_MASS], p[1]);
		if (i > 4) count(&m[SX_STAT_SINK_MASS], sink);
		if (has_duplicate) count(&m[SX_STAT_DUPLICATE_MASS], duplicate);
		if (has_induction) count(&m[SX_STAT_INDUCTION_MASS], induction);
		if (has_induction && asked(i - 1)) count(&m[SX_STAT_RETRIEVAL_MASS], induction);
		count(&m[SX_STAT_Q_NORM], norm(x->q + (i - 1) * D, D));
		count(&m[SX_STAT_K_NORM], norm(x->k + (i - 1) * D, D));
	}
	for (int k = 0; k < SX_STAT_COUNT; k++)
		want[k] = m[k].n ? m[k].sum / (double)m[k].n : (double)NAN;
	want[SX_STAT_LOGIT_STD] = sqrt(variance / (double)T);
	want[SX_STAT_SS_WITHIN] = ss;
}

/* Takes the orthonormal columns of basis (n each) out of v, twice over. */
static void project_out(double *v, const double *basis, int64_t cols, int64_t n)
{
	for (int64_t c = 0; c < 2 * cols; c++) {
		const double *b = basis + c % cols * n;
		double dot = 0;
		for (int64_t k = 0; k < n; k++) dot += b[k] * v[k];
		for (int64_t k = 0; k < n; k++) v[k] -= dot * b[k];
	}
}

/* Least squares by projection: what is left of s after every column of the design (rows, and keys
 * and offsets if asked for) has been taken out; columns that depend on earlier ones vanish. */
static double plain_rss(const recorder *r, const head_record *x, bool keys, bool offsets)
{
	int64_t T = r->T, n = 0, cols = 0;
	for (int64_t i = 0; i < T; i++) n += i - sx_first_key(i, r->window) + 1;
	double *y = zeros(n), *basis = zeros(3 * T * n), rss = 0;
	for (int64_t effect = 0; effect < 3; effect++)
		for (int64_t e = 0; e < T; e++) {
			if ((effect == 1 && !keys) || (effect == 2 && !offsets)) continue;
			double *v = basis + cols * n;
			int64_t k = 0;
			for (int64_t i = 0; i < T; i++)
				for (int64_t j = sx_first_key(i, r->window); j <= i; j++, k++) {
					const int64_t of[] = {i, j, i - j};
					v[k] = of[effect] == e;
					y[k] = x->s[i * T + j];
				}
			project_out(v, basis, cols, n);
			double size = norm(v, n);
			if (size < 1e-9) continue;
			for (k = 0; k < n; k++) v[k] /= size;
			cols++;
		}
	project_out(y, basis, cols, n);
	for (int64_t k = 0; k < n; k++) rss += y[k] * y[k];
	free(y);
	free(basis);
	return rss;
}

static void check_stats(const passed *x, const head_record *h, int64_t at)
{
	const sx_measures *m = x->o.measures;
	double want[SX_STAT_COUNT], got[SX_STAT_COUNT];
	plain_stats(want, &x->r, h);
	for (int k = 0; k < SX_STAT_COUNT; k++) got[k] = m->stat[k][at];
	for (int k = 0; k <= SX_STAT_SS_WITHIN; k++) {
		char what[64];
		/* entropy and largest probability come from the softmax's own normaliser, norms
		 * from a dot product of the engine's */
		bool own = k == SX_STAT_ENTROPY || k == SX_STAT_MAX_PROB || k == SX_STAT_Q_NORM ||
			   k == SX_STAT_K_NORM;
		snprintf(what, sizeof what, "statistic %d, T = %d, window %d", k, (int)x->r.T,
			 (int)x->r.window);
		check_value(got[k], want[k], own ? rounded() : exact, 1, what);
	}
	double within = want[SX_STAT_SS_WITHIN];
	if (x->r.T <= 12 || (x->r.T == 65 && at == 1)) {
		double rc = plain_rss(&x->r, h, true, false), rg = plain_rss(&x->r, h, false, true);
		double all = plain_rss(&x->r, h, true, true);
		check_value(got[SX_STAT_SS_OFFSET], rc - all, exact, within, "ss_offset");
		check_value(got[SX_STAT_SS_KEY], rg - all, exact, within, "ss_key");
		check_value(got[SX_STAT_SS_INTERACTION], all, exact, within, "ss_interaction");
		if (within > 0)
			check_value(got[SX_STAT_R2_OFFSET], 1 - rg / within, exact, 1, "r2_offset");
	}
	assert_true(isnan(got[SX_STAT_R2_OFFSET]) == (within == 0));
}

static void check_profile(const passed *x, const head_record *h, int64_t at)
{
	const recorder *r = &x->r;
	double mass[SX_OFFSET_BINS] = {0}, rows[SX_OFFSET_BINS] = {0}, sum = 0;
	double *score = sx_calloc((size_t)r->T, sizeof *score), size = 0;
	assert_non_null(score);
	for (int64_t i = 0; i < r->T; i++) {
		int64_t first = sx_first_key(i, r->window);
		double mean_s = 0;
		for (int64_t j = first; j <= i; j++)
			mean_s += h->s[i * r->T + j] / (double)(i - first + 1);
		for (int64_t j = first; j <= i; j++) {
			int b = i - j < 64 ? (int)(i - j) : i - j < 128 ? 64 : 65;
			mass[b] += h->p[i * r->T + j];
			score[i - j] += h->s[i * r->T + j] - mean_s;
			size += fabs(h->s[i * r->T + j] - mean_s);
			rows[b] += 1;
		}
	}
	for (int b = 0; b < SX_OFFSET_BINS; b++) {
		double got = x->o.measures->offset_profile[at * SX_OFFSET_BINS + b];
		check_value(got, rows[b] > 0 ? mass[b] / rows[b] : (double)NAN, exact, 1,
			    "profile");
		if (rows[b] > 0) sum += got * rows[b];
	}
	for (int64_t d = 0; d < r->T; d++)
		check_value(x->o.measures->score_offset[at * r->T + d],
			    r->window == 0 || d < r->window ? score[d] : (double)NAN, exact, size,
			    "score_offset");
	free(score);
	check_value(sum, (double)r->T, rounded(), 1, "mass of the profile");
}

/* ---- frequencies ---- */

static void check_rope(const passed *x, const head_record *h, int64_t at)
{
	const recorder *r = &x->r;
	const sx_measures *m = x->o.measures;
	int64_t T = r->T, D = r->spec.D, M = D / 2;
	double absolute[32] = {0}, sum[32] = {0}, cov[32] = {0};
	double all = 0, variance = 0, shares = 0, vars = 0;
	for (int64_t i = 0; i < T; i++) {
		int64_t first = sx_first_key(i, r->window);
		double mean_s = 0;
		for (int64_t j = first; j <= i; j++)
			mean_s += h->s[i * T + j] / (double)(i - first + 1);
		for (int64_t j = first; j <= i; j++) {
			double s = h->s[i * T + j] - mean_s;
			variance += s * s;
			for (int64_t f = 0; f < M; f++) {
				const double *q = h->q + i * D + f, *k = h->k + j * D + f;
				double term = h->scale * (q[0] * k[0] + q[M] * k[M]);
				absolute[f] += fabs(term);
				sum[f] += term;
				cov[f] += term * s;
			}
		}
	}
	for (int64_t f = 0; f < M; f++) all += absolute[f];
	for (int64_t f = 0; f < M; f++) {
		double q = 0, k = 0;
		for (int64_t i = 0; i < T; i++) {
			q += hypot(h->q[i * D + f], h->q[i * D + f + M]) / (double)T;
			k += hypot(h->k[i * D + f], h->k[i * D + f + M]) / (double)T;
		}
		check_value(m->rope_q[at * M + f], q, exact, 0, "rope q_norm");
		check_value(m->rope_k[at * M + f], k, exact, 0, "rope k_norm");
		check_value(m->rope_share[at * M + f], absolute[f] / all, exact, 0, "logit_share");
		check_value(m->rope_signed[at * M + f], sum[f] / all, exact, 1, "logit_signed");
		check_value(m->rope_var[at * M + f], variance > 0 ? cov[f] / variance : (double)NAN,
			    exact, 1, "logit_var");
		shares += m->rope_share[at * M + f];
		vars += m->rope_var[at * M + f];
	}
	check_value(shares, 1, exact, 1, "sum of logit_share");
	check_value(vars + m->rope_rest[at], variance > 0 ? 1 : (double)NAN, rounded(), 1,
		    "logit_var + logit_rest");
	check_value(m->rope_rest[at], variance > 0 ? 0 : (double)NAN, 0, 0, "logit_rest");
}

/* ---- A_c ---- */

/* c_ij of families[f], i and j from 0; what is undefined is 0. */
static double weight(int f, const recorder *r, const head_record *h, int64_t i, int64_t j)
{
	int64_t first = sx_first_key(i, r->window), n = i - first + 1, d = i - j;
	double rest = n > 1 ? -1 / (double)(n - 1) : 0;
	switch (f) {
	case DIAGONAL:
		return n < 2 ? 0 : d == 0 ? 1 : rest;
	case PREVIOUS:
		return n < 2 ? 0 : d == 1 ? 1 : rest;
	case 2:
		return n < 4 ? 0 : d == 3 ? 1 : rest;
	case 3:
		return n < 2 || first > 0 ? 0 : j == 0 ? 1 : rest;
	case 4:
		return n < 5 ? 0 : d < 4 ? 1 : -4 / (double)(n - 4);
	default:
		return h->p[i * r->T + j] - 1 / (double)n;
	}
}

/* Turns row i of (T,D) back: the adjoint of the rotation with its factor. */
static void turn_back(double *x, const head_record *h, int64_t i, int64_t D)
{
	for (int64_t m = 0; m < D / 2; m++) {
		double angle = (double)i * h->inv_freq[m], a = x[m], b = x[m + D / 2];
		x[m] = h->attention_factor * (a * cos(angle) + b * sin(angle));
		x[m + D / 2] = h->attention_factor * (b * cos(angle) - a * sin(angle));
	}
}

static double weight_norm(const double *dq, const head_record *h, int64_t T, int64_t D, int64_t C)
{
	double s = 0;
	for (int64_t d = 0; d < D; d++)
		for (int64_t c = 0; c < C; c++) {
			double w = 0;
			for (int64_t i = 0; i < T; i++) w += dq[i * D + d] * h->h[i * C + c];
			s += w * w;
		}
	return sqrt(s);
}

static void plain_ac(int f, const recorder *r, const head_record *h, double *value,
		     double grad[SX_WRT_COUNT])
{
	int64_t T = r->T, D = r->spec.D, C = r->spec.C;
	double *dq = zeros(T * D), *dk = zeros(T * D), *dh = zeros(T * C);
	*value = 0;
	for (int64_t i = 0; i < T; i++) {
		double mean_c = 0;
		for (int64_t j = sx_first_key(i, r->window); j <= i; j++)
			mean_c += h->p[i * T + j] * weight(f, r, h, i, j);
		*value += mean_c / (double)T;
		for (int64_t j = sx_first_key(i, r->window); j <= i; j++) {
			double g = h->p[i * T + j] * (weight(f, r, h, i, j) - mean_c) / (double)T;
			for (int64_t d = 0; d < D; d++) {
				dq[i * D + d] += h->scale * g * h->k[j * D + d];
				dk[j * D + d] += h->scale * g * h->q[i * D + d];
			}
		}
	}
	for (int64_t i = 0; i < T; i++) {
		turn_back(dq + i * D, h, i, D);
		turn_back(dk + i * D, h, i, D);
		for (int64_t d = 0; d < D; d++)
			for (int64_t c = 0; c < C; c++)
				dh[i * C + c] += dq[i * D + d] * h->wq[d * C + c] +
						 dk[i * D + d] * h->wk[d * C + c];
	}
	grad[SX_WRT_Q] = norm(dq, T * D), grad[SX_WRT_K] = norm(dk, T * D);
	grad[SX_WRT_H] = norm(dh, T * C);
	grad[SX_WRT_WQ] = weight_norm(dq, h, T, D, C);
	grad[SX_WRT_WK] = weight_norm(dk, h, T, D, C);
	free(dq);
	free(dk);
	free(dh);
}

static void check_ac(const passed *x, const head_record *h, int64_t at)
{
	const recorder *r = &x->r;
	const sx_measures *m = x->o.measures;
	int64_t T = r->T;
	double osc = 0, l1 = 0, closed[2] = {0, 0};
	for (int64_t i = 0; i < T; i++) {
		int64_t first = sx_first_key(i, r->window), n = i - first + 1;
		double lo = h->s[i * T + i], hi = lo;
		for (int64_t j = first; j <= i; j++) {
			lo = fmin(lo, h->s[i * T + j]);
			hi = fmax(hi, h->s[i * T + j]);
			l1 += fabs(h->p[i * T + j] - 1 / (double)n) / (double)T;
		}
		osc += (hi - lo) / (double)T;
		for (int64_t d = 0; d < 2 && n > 1; d++) /* (i p_i - 1) / (i - 1) */
			closed[d] +=
				((double)n * h->p[i * T + i - d] - 1) / (double)(n - 1) / (double)T;
	}
	check_value(m->logit_osc[at], osc, exact, 0, "mean_logit_osc");
	check_value(m->uniform_l1[at], l1, exact, 0, "mean_uniform_l1");
	for (int f = 0; f < N_C; f++) {
		double value, grad[SX_WRT_COUNT], largest = 0;
		plain_ac(f, r, h, &value, grad);
		check_value(m->ac_value[at * N_C + f], value, exact, 1 / (double)T, families[f]);
		/* the closed form takes each row to sum to 1 */
		if (f <= PREVIOUS)
			check_value(m->ac_value[at * N_C + f], closed[f], rounded(), 1,
				    "closed form");
		for (int g = 0; g < SX_WRT_COUNT; g++) largest = fmax(largest, grad[g]);
		for (int g = 0; g < SX_WRT_COUNT; g++)
			check_value(m->ac_grad[(at * N_C + f) * m->n_wrt + g], grad[g], rounded(),
				    largest + unit_roundoff, families[f]);
	}
}

static void check_spread(const passed *x, int64_t b, int64_t l)
{
	const recorder *r = &x->r;
	const double *h = record_of(r, b, l, 0)->h;
	int64_t C = r->spec.C;
	double most = 0, *mean_h = zeros(C);
	for (int64_t i = 0; i < r->T; i++) {
		int64_t first = sx_first_key(i, r->window);
		memset(mean_h, 0, (size_t)C * sizeof *mean_h);
		for (int64_t j = first; j <= i; j++)
			for (int64_t c = 0; c < C; c++)
				mean_h[c] += h[j * C + c] / (double)(i - first + 1);
		for (int64_t j = first; j <= i; j++) {
			double d = 0;
			for (int64_t c = 0; c < C; c++)
				d += (mean_h[c] - h[j * C + c]) * (mean_h[c] - h[j * C + c]);
			most = fmax(most, sqrt(d));
		}
	}
	check_value(x->o.measures->prefix_spread[b * r->spec.L + l], most, exact, 1,
		    "prefix_spread");
	free(mean_h);
}

static void check_pass(const passed *x)
{
	const recorder *r = &x->r;
	const sx_measures *m = x->o.measures;
	for (int64_t b = 0; b < r->B; b++)
		for (int64_t l = 0; l < r->spec.L; l++) {
			for (int64_t h = 0; h < r->spec.H; h++) {
				int64_t at = (b * m->L + l) * m->H + h;
				const head_record *rec = record_of(r, b, l, h);
				check_stats(x, rec, at);
				check_profile(x, rec, at);
				check_rope(x, rec, at);
				check_ac(x, rec, at);
			}
			check_spread(x, b, l);
		}
}

static void test_against_plain_sums(void **state)
{
	(void)state;
	const int64_t lengths[] = {1, 2, 5, 12, 63, 64, 65, 130}, windows[] = {0, 1, 3, 20};
	for (size_t t = 0; t < sizeof lengths / sizeof lengths[0]; t++)
		for (int w = 0; w < 4; w++) {
			int64_t T = lengths[t];
			bool large = T > 12;
			sx_spec s = small_spec(w == 3   ? "yarn"
					       : w == 2 ? "nope"
							: "rope",
					       large ? 1 : 2, 20, 2, large ? 2 : 1, 8);
			s.pos.window = windows[w], s.pos.factor = 4, s.pos.beta = 1.3;
			s.V = 7; /* tokens repeat */
			passed x = pass(&s, 2, T, small_tokens(2 * T, s.V, 5), 0.4);
			check_pass(&x);
			passed_free(&x);
		}
}

/* Without the gradient by h the others keep their bits. */
static void test_without_h(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 2, 20, 2, 1, 8);
	passed x = pass(&s, 2, 70, small_tokens(2 * 70, s.V, 5), 0.4);
	const sx_measures *m = x.o.measures;
	int64_t n = m->S * m->L * m->H * m->n_c;
	double *all = zeros(n * m->n_wrt);
	memcpy(all, m->ac_grad, (size_t)(n * m->n_wrt) * sizeof *all);
	x.o.opts = (sx_measure_opts){.ac = true, .ac_gradients = true, .ac_without_h = true};
	int count;
	const sx_probe *p = observe_with(&x.o, &s, &count);
	assert_int_equal(
		sx_forward(NULL, x.m, x.w,
			   &(sx_request){.tokens = x.tokens, .B = 2, .probe = p, .n_probe = count},
			   NULL),
		SX_OK);
	for (int64_t i = 0; i < n; i++)
		for (int g = 0; g < SX_WRT_COUNT; g++) {
			double got = m->ac_grad[i * m->n_wrt + g];
			assert_true(g == SX_WRT_H ? isnan(got) : got == all[i * m->n_wrt + g]);
		}
	free(all);
	passed_free(&x);
}

/* Every offset below 4096 has a bin of its own, then octaves. */
static void test_score_bins(void **state)
{
	(void)state;
	const struct {
		int64_t offset, bin, edge;
	} want[] = {{0, 0, 0},          {1, 1, 1},          {4095, 4095, 4095},  {4096, 4096, 4096},
		    {8191, 4096, 4096}, {8192, 4097, 8192}, {65535, 4099, 32768}};
	for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
		int64_t bin = sx_score_bin(want[k].offset);
		assert_int_equal(bin, want[k].bin);
		assert_int_equal(sx_score_bin_edge(bin), want[k].edge);
		assert_int_equal(sx_score_bins(want[k].offset + 1), bin + 1);
	}
}

/* No repeated token: nothing is a duplicate or an induction, in any row. */
static void test_nothing_qualifies(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 1, 16, 2, 2, 8);
	int32_t *tokens = small_tokens(20, s.V, 1);
	for (int t = 0; t < 20; t++) tokens[t] = t;
	passed x = pass(&s, 1, 20, tokens, 0.3);
	for (int h = 0; h < 2; h++) {
		assert_true(isnan(x.o.measures->stat[SX_STAT_DUPLICATE_MASS][h]));
		assert_true(isnan(x.o.measures->stat[SX_STAT_INDUCTION_MASS][h]));
		assert_true(isfinite(x.o.measures->stat[SX_STAT_PREV_MASS][h]));
		assert_true(isnan(x.o.measures->offset_profile[h * SX_OFFSET_BINS + 20]));
	}
	passed_free(&x);
}

/* ---- the additive split by itself ---- */

/* split and ss_within of scores (T,T). */
static void split_of(double split[4], double *within, const double *s, int64_t T, int64_t window)
{
	double *key = zeros(T), *offset = zeros(T), *scratch = zeros(10 * T + 1);
	*within = 0;
	for (int64_t i = 0; i < T; i++) {
		int64_t first = sx_first_key(i, window);
		double mean_s = 0;
		for (int64_t j = first; j <= i; j++)
			mean_s += s[i * T + j] / (double)(i - first + 1);
		for (int64_t j = first; j <= i; j++) {
			double c = s[i * T + j] - mean_s;
			*within += c * c;
			key[j] += c;
			offset[i - j] += c;
		}
	}
	sx_additive_split(split, key, offset, *within, T, window, scratch);
	free(key);
	free(offset);
	free(scratch);
}

static void test_split_invariants(void **state)
{
	(void)state;
	enum { OFFSET, KEY, INTERACTION, R2 };
	const int64_t lengths[] = {3, 40, 200, 1024}, windows[] = {0, 7, 100};
	for (int t = 0; t < 4; t++)
		for (int w = 0; w < 3; w++) {
			int64_t T = lengths[t], window = windows[w];
			double *s = zeros(T * T), *planted = zeros(T * T), *effect = zeros(3 * T);
			double a[4], b[4], g[4], within, within_b, within_g;
			for (int64_t e = 0; e < 3 * T; e++)
				effect[e] = sx_normal(2, SX_STREAM_TEST, (uint64_t)e);
			for (int64_t e = 0; e < T * T; e++)
				s[e] = sx_normal(3, SX_STREAM_TEST, (uint64_t)e);
			/* adding r_i + c_j + g_{i-j} leaves what they cannot explain */
			split_of(a, &within, s, T, window);
			for (int64_t i = 0; i < T; i++)
				for (int64_t j = 0; j <= i; j++)
					planted[i * T + j] = s[i * T + j] + effect[i] +
							     effect[T + j] + effect[2 * T + i - j];
			split_of(b, &within_b, planted, T, window);
			check_value(b[INTERACTION], a[INTERACTION], 1e-9, within_b, "interaction");
			/* a pure offset kernel is all offset */
			for (int64_t i = 0; i < T; i++)
				for (int64_t j = 0; j <= i; j++)
					planted[i * T + j] = effect[i] + effect[2 * T + i - j];
			split_of(g, &within_g, planted, T, window);
			check_value(g[R2], 1, 1e-9, 1, "r2_offset of an offset kernel");
			check_value(g[INTERACTION], 0, 1e-9, within_g, "interaction of a kernel");
			check_value(g[KEY], 0, 1e-9, within_g, "keys in an offset kernel");
			/* a pure key effect is all key */
			for (int64_t i = 0; i < T; i++)
				for (int64_t j = 0; j <= i; j++)
					planted[i * T + j] = effect[i] + effect[T + j];
			split_of(g, &within_g, planted, T, window);
			check_value(g[OFFSET], 0, 1e-9, within_g, "offsets in a key effect");
			check_value(g[INTERACTION], 0, 1e-9, within_g, "interaction of keys");
			/* noise: about as much is explained as there are parameters */
			if (T >= 200 && window == 0) assert_true(a[R2] < 4.0 / (double)T);
			free(s);
			free(planted);
			free(effect);
		}
}

/* ---- constant sequences ---- */

static int32_t *constant_tokens(int64_t n, int32_t id)
{
	int32_t *x = small_tokens(n, 2, 1);
	for (int64_t i = 0; i < n; i++) x[i] = id;
	return x;
}

/* || sum_i g_ij ||_j with uniform alpha: g_ij = c_ij / (n_i T). */
static double column_norm(int f, const recorder *r)
{
	double ss = 0;
	for (int64_t j = 0; j < r->T; j++) {
		double column = 0;
		for (int64_t i = j; i < r->T; i++) {
			int64_t first = sx_first_key(i, r->window), n = i - first + 1;
			if (j < first) continue;
			column += weight(f, r, r->head, i, j) / (double)n / (double)r->T;
		}
		ss += column * column;
	}
	return sqrt(ss);
}

/* Prop. 3.2: without positions a constant sequence gives uniform attention, no A_c, no gradient, one
 * output.
 *
 * The gradients that vanish are those of W_Q, W_K (the parameters) and of q. Those of single k_j, and
 * through them of h, do not: dA/dk_j = scale q sum_i g_ij, where the g of a column need not cancel;
 * they have the closed form below, and cancel in dA/dW_K = (sum_j dk_j) h^T.
 *
 * Rounding: rows that are equal in exact arithmetic differ by a few roundoffs u once tiles treat
 * them differently, and a sum over n keys adds up to n u. So alpha n - 1, and with it A_c, is of
 * size T u. As sum_j |g_ij| <= osc(c_i)/(2T) <= 1/T, and each g carries a roundoff or two of its own,
 * dA/dq_i = scale sum_j g_ij k_j with equal k_j is off by about 2 u scale |k| / T, and all T rows
 * together, times |h| for the weights, by less than 4 u scale |k| |h|; dA/dW_K likewise with |q|. */
static void check_constant_nope(int64_t T, int64_t window)
{
	sx_spec s = small_spec("nope", 2, 24, 2, 1, 8);
	s.pos.window = window;
	passed x = pass(&s, 1, T, constant_tokens(T, 3), 0.4);
	const sx_measures *m = x.o.measures;
	double u = unit_roundoff, Td = (double)T, most = 0;
	for (int64_t l = 0; l < s.L; l++)
		for (int64_t n = 0; n < s.H; n++) {
			const head_record *h = record_of(&x.r, 0, l, n);
			int64_t at = l * s.H + n;
			for (int64_t i = 0; i < T; i++) {
				int64_t first = sx_first_key(i, window), keys = i - first + 1;
				for (int64_t j = first; j <= i; j++)
					check_close(h->p[i * T + j] * (double)keys, 1, 8 * Td * u);
			}
			double qn = norm(h->q, s.D), hn = norm(h->h, s.C);
			double bound = 4 * u * h->scale * fmax(norm(h->k, s.D), qn) * fmax(1, hn);
			for (int f = 0; f < N_C; f++) {
				const double *grad = m->ac_grad + (at * N_C + f) * m->n_wrt;
				const sx_wrt none[] = {SX_WRT_WQ, SX_WRT_WK, SX_WRT_Q};
				check_close(m->ac_value[at * N_C + f], 0, 8 * Td * u);
				for (int g = 0; g < 3; g++) {
					most = fmax(most, grad[none[g]] / bound);
					check_close(grad[none[g]], 0, bound);
				}
				if (f == OWN) continue; /* c is rounding itself */
				check_value(grad[SX_WRT_K], h->scale * qn * column_norm(f, &x.r),
					    100 * Td * u, 0, "gradient by keys");
			}
			check_close(m->uniform_l1[at], 0, 8 * Td * u);
		}
	const sx_real *f = x.w->f;
	for (int64_t t = 1; t < T; t++) check_near(f + t * s.C, f, s.C, 64 * Td * u);
	print_message("%s, constant sequence of %d, window %d: gradients at most %.2g of their "
		      "rounding bound\n",
		      SX_PRECISION, (int)T, (int)window, most);
	passed_free(&x);
}

static void test_constant_nope(void **state)
{
	(void)state;
	check_constant_nope(130, 0);
	check_constant_nope(130, 16);
	check_constant_nope(9, 0);
}

/* One head's functional for `own`, kept. */
typedef struct {
	sx_functional f;
	sx_real *store;
	const sx_family *own;
	double c[64 * 256];
	sx_real g[64 * 256];
} keeper;

static sx_status keep_tile(void *self, const sx_tile *t)
{
	keeper *k = self;
	const sx_head *h = t->head;
	if (h->layer != 0 || h->head != 0) return SX_OK;
	if (t->nrow * t->ld > 64 * 256) return SX_EINTERNAL;
	if (t->row0 == 0) sx_functional_start(&k->f, 1, h->spec, h->T, true, k->store);
	memset(k->c, 0, sizeof k->c);
	for (int64_t r = 0; r < t->nrow; r++)
		sx_family_row(k->own, t->row0 + r, 0, t->p + r * t->ld, k->c + r * t->ld);
	sx_functional_tile(&k->f, t, k->c, t->ld, k->g);
	return SX_OK;
}

static sx_status keep_head(void *self, const sx_head *h)
{
	keeper *k = self;
	if (h->layer == 0 && h->head == 0) sx_functional_finish(&k->f, 1, h);
	return SX_OK;
}

/* <dA/dW_Q, W_Q> and <dA/dW_K, W_K> of layer 0, head 0 against (1/T) sum_i Cov_{alpha_i}(c_i, s_i). */
static void check_euler(const passed *x)
{
	const head_record *h = record_of(&x->r, 0, 0, 0);
	int64_t T = x->r.T, w = (int64_t)x->r.spec.D * x->r.spec.C;
	keeper *k = sx_calloc(1, sizeof *k);
	assert_non_null(k);
	k->own = &x->o.family[OWN];
	k->store = sx_calloc((size_t)sx_functional_reals(&x->r.spec, T), sizeof *k->store);
	assert_non_null(k->store);
	sx_probe p = {.self = k, .tile = keep_tile, .head_end = keep_head};
	assert_int_equal(
		sx_forward(NULL, x->m, x->w,
			   &(sx_request){.tokens = x->tokens, .B = 1, .probe = &p, .n_probe = 1},
			   NULL),
		SX_OK);
	double q = 0, kk = 0, cov = 0;
	for (int64_t e = 0; e < w; e++) {
		q += (double)k->f.dwq[e] * h->wq[e];
		kk += (double)k->f.dwk[e] * h->wk[e];
	}
	for (int64_t i = 0; i < T; i++) {
		const double *a = h->p + i * T, *s = h->s + i * T;
		double cs = 0, c1 = 0, s1 = 0;
		for (int64_t j = 0; j <= i; j++) {
			double c = a[j] - 1 / (double)(i + 1);
			cs += a[j] * c * s[j], c1 += a[j] * c, s1 += a[j] * s[j];
		}
		cov += (cs - c1 * s1) / (double)T;
	}
	assert_true(cov > 0);
	check_value(q, cov, 10 * rounded(), 0, "<dA/dW_Q, W_Q>");
	check_value(kk, cov, 10 * rounded(), 0, "<dA/dW_K, W_K>");
	free(k->store);
	free(k);
}

/* Prop. 3.3: with RoPE the same sequence gives attention that is not uniform from row d_k + 1 on, an
 * A_c above 0 for c = alpha - 1/i, and gradients; scores depend on i - j alone. */
static void test_constant_rope(void **state)
{
	(void)state;
	const int64_t T = 130;
	sx_spec s = small_spec("rope", 2, 24, 2, 2, 8);
	passed x = pass(&s, 1, T, constant_tokens(T, 3), 0.4);
	const sx_measures *m = x.o.measures;
	for (int64_t l = 0; l < s.L; l++)
		for (int64_t n = 0; n < s.H; n++) {
			const head_record *h = record_of(&x.r, 0, l, n);
			int64_t at = (l * s.H + n) * N_C + OWN;
			double size = norm(h->q, s.D) * norm(h->k, s.D) * h->scale;
			for (int64_t i = s.D; i < T; i++) { /* row d_k + 1 has index d_k */
				double most = 0;
				for (int64_t j = 0; j <= i; j++)
					most = fmax(most,
						    fabs(h->p[i * T + j] * (double)(i + 1) - 1));
				assert_true(most > 1e-3);
			}
			for (int64_t i = 1; i < T; i++)
				for (int64_t j = 1; j <= i; j++)
					check_close(h->s[i * T + j], h->s[(i - 1) * T + j - 1],
						    64 * unit_roundoff * size);
			assert_true(m->ac_value[at] > 1e-4);
			for (int g = 0; g < SX_WRT_COUNT; g++)
				assert_true(m->ac_grad[at * m->n_wrt + g] > 1e-4 * m->ac_value[at]);
			assert_true(m->stat[SX_STAT_R2_OFFSET][l * s.H + n] > 1 - 1e-6);
		}
	/* part (4) holds for RoPE too: one output for all positions */
	for (int64_t t = 1; t < T; t++)
		check_near(x.w->f + t * s.C, x.w->f, s.C, 64 * (double)T * unit_roundoff);
	check_euler(&x);
	passed_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_plain_sums), cmocka_unit_test(test_without_h),
		cmocka_unit_test(test_score_bins),         cmocka_unit_test(test_nothing_qualifies),
		cmocka_unit_test(test_split_invariants),   cmocka_unit_test(test_constant_nope),
		cmocka_unit_test(test_constant_rope),
	};
	sx_blas_start(NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

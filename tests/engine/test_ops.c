/* The operations in float: their own exp and softmax, what causality, rotation and tiling promise,
 * and the optimiser against a plain one in double. */
#include "tests/support/small_model.h"

#include "engine/model/optim.h"
#include "engine/model/train.h"
#include "engine/op/blas.h"
#include "engine/op/ops.h"
#include "engine/op/softmax.h"
#include "engine/vector.h"

#include <float.h>

static uint64_t draws;

static float *randoms(int64_t n, double sd)
{
	float *x = sx_calloc((size_t)n, sizeof *x);
	assert_non_null(x);
	for (int64_t i = 0; i < n; i++) x[i] = (float)(sd * sx_normal(5, SX_STREAM_TEST, draws++));
	return x;
}

static void check_bits(const void *a, const void *b, size_t size, const char *what)
{
	if (memcmp(a, b, size) != 0) fail_msg("%s: bits differ", what);
}

/* ---- exp and softmax ---- */

static void test_exp(void **state)
{
	(void)state;
	enum { STEPS = 2000000 };
	double worst = 0;
	float at = 0, before = 0;
	for (int k = 0; k <= STEPS; k++) {
		float x = (float)(-87 + 175.0 * k / STEPS), e = sx_exp(x);
		double err = fabs((double)e / exp((double)x) - 1);
		if (!(err <= worst)) worst = err, at = x;
		assert_true(e >= before * (1 - 4e-7f));
		before = e;
	}
	print_message("sx_exp on [-87, 88]: relative error at most %.3g, at %g\n", worst,
		      (double)at);
	assert_true(worst < 2e-7);
	for (int k = 0; k < 1000; k++) { /* where softmax lives: close to 0 */
		float x = -1e-7f * (float)k;
		check_close(sx_exp(x), exp((double)x), 1.2e-7);
	}
	assert_true(sx_exp(0.0f) == 1.0f && sx_exp(-0.0f) == 1.0f);
	assert_true(sx_exp(-(float)INFINITY) == 0.0f);
	assert_true(sx_exp(-FLT_MAX) == 0.0f && sx_exp(-1e6f) == 0.0f && sx_exp(-88.0f) == 0.0f);
	assert_true(sx_exp(-87.3f) >= FLT_MIN); /* the last value is not subnormal */
	assert_true(isnan(sx_exp((float)NAN)));
	assert_true(sx_exp(88.7f) > 1e38f && sx_exp(FLT_MAX) > 1e38f); /* never wraps around */
}

/* Against libm in double: the distribution and its density, relative where they are small too. */
static void test_gelu(void **state)
{
	(void)state;
	enum { STEPS = 400000 };
	const double root = sqrt(0.5), by_pi = 0.3989422804014327;
	double worst = 0;
	for (int k = 0; k <= STEPS; k++) {
		float x = (float)(-13 + 26.0 * k / STEPS), density, cdf;
		double want = 0.5 * erfc(-(double)x * root);
		cdf = sx_normal_cdf(x, &density);
		/* x^2 is rounded before exp takes it: its error is the argument's */
		double room = 1 + (double)x * (double)x / 8;
		worst = fmax(worst, fabs((double)cdf / want - 1) / (x < 0 ? room : 1));
		check_close(density, by_pi * exp(-0.5 * (double)x * (double)x),
			    5e-7 * room * by_pi * exp(-0.5 * (double)x * (double)x) + 1e-38);
	}
	print_message("Phi on [-13, 13]: relative error over 1 + x^2/8 at most %.3g\n", worst);
	assert_true(worst < 5e-7);
	float x[2] = {0, (float)NAN}, y[2], d[2], one[2] = {1, 1};
	float large[2] = {FLT_MAX, -FLT_MAX};
	sx_gelu_fwd(y, large, 2);
	assert_true(y[0] == FLT_MAX && y[1] == 0);
	sx_gelu_bwd(d, one, x, 2);
	check_close(d[0], 0.5, 1e-7);
	assert_true(isnan(d[1]));
}

/* In double beside it; and a large mean, which float sums would drown the rest in. */
static void test_layernorm(void **state)
{
	(void)state;
	enum { N = 5, W = 83 };
	for (int mean = 0; mean <= 1000; mean += 1000) {
		float *x = randoms(N * W, 1), *g = randoms(W, 1), *b = randoms(W, 1);
		float y[N * W], mu[N], rstd[N];
		for (int i = 0; i < N * W; i++) x[i] += (float)mean;
		sx_layernorm_fwd(y, mu, rstd, x, g, b, 1e-5, N, W);
		for (int n = 0; n < N; n++) {
			double m = 0, v = 0;
			for (int c = 0; c < W; c++) m += (double)x[n * W + c] / W;
			for (int c = 0; c < W; c++) v += pow((double)x[n * W + c] - m, 2) / W;
			for (int c = 0; c < W; c++) {
				double hat = ((double)x[n * W + c] - m) / sqrt(v + 1e-5);
				/* the mean is kept in float: 2^-24 of it, over sigma */
				check_close(y[n * W + c], hat * (double)g[c] + (double)b[c],
					    (4e-7 * (fabs(hat) + 1) + 1.2e-7 * mean) *
							    fabs((double)g[c]) +
						    1.2e-7 * fabs((double)b[c]));
			}
		}
		free(x);
		free(g);
		free(b);
	}
}

static void test_softmax(void **state)
{
	(void)state;
	const double scales[] = {1e-3, 1, 30, 1e3, 1e6, 1e30};
	const int64_t sizes[] = {1, 2, 15, 16, 17, 64, 100, 1024, 5000};
	for (size_t a = 0; a < sizeof scales / sizeof scales[0]; a++)
		for (size_t b = 0; b < sizeof sizes / sizeof sizes[0]; b++) {
			int64_t n = sizes[b];
			float *s = randoms(n, scales[a]), *p = randoms(n, 0), *q = randoms(n, 0);
			float row[2];
			sx_softmax_row(p, s, n, row);
			double sum = 0, most = (double)s[0], z = 0;
			for (int64_t j = 0; j < n; j++) most = fmax(most, (double)s[j]);
			for (int64_t j = 0; j < n; j++) z += exp((double)s[j] - most);
			check_close(row[0], most, 0);
			for (int64_t j = 0; j < n; j++) {
				double want = exp((double)s[j] - most) / z;
				sum += (double)p[j];
				assert_true(p[j] >= 0);
				/* s - max is rounded once: its error is that of max itself */
				check_close(p[j], want, 1e-6 * want * fmax(1, fabs(most)) + 1e-37);
			}
			/* sixteen lanes add n/16 terms each */
			check_close(sum, 1, 6e-8 * (8 + (double)n / 16));
			sx_softmax_again(q, s, n, row);
			check_bits(p, q, (size_t)n * sizeof *p, "softmax from what was kept");
			sx_softmax_row(s, s, n, row);
			check_bits(p, s, (size_t)n * sizeof *p, "softmax in place");
			free(s);
			free(p);
			free(q);
		}
}

/* ---- causality ---- */

typedef struct {
	int64_t tiles;
	double largest;         /* |score| */
	double ds_off, ds_size; /* worst |sum| and largest sum of |ds| over a row */
} mask_check;

/* Visible: finite score. Not visible: score -INFINITY, probability 0, gradient 0. Rows of
 * probabilities sum to 1, of gradients to 0. */
static sx_status check_mask(void *self, const sx_tile *t)
{
	mask_check *all = self, c = {.tiles = 1};
	int64_t window = t->head->plan->window;
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, window);
		double sum = 0, ds_sum = 0, ds_size = 0;
		if (t->key0 > first || t->key0 + t->nkey <= i) return SX_NO;
		for (int64_t k = 0; k < t->nkey; k++) {
			int64_t j = t->key0 + k, at = r * t->ld + k;
			if (j >= first && j <= i) {
				if (!isfinite(t->s[at])) return SX_NO;
				c.largest = fmax(c.largest, fabs((double)t->s[at]));
				sum += (double)t->p[at];
				if (!t->ds) continue;
				ds_sum += (double)t->ds[at];
				ds_size += fabs((double)t->ds[at]);
			} else if (t->s[at] != -(sx_real)INFINITY || t->p[at] != 0 ||
				   (t->ds && t->ds[at] != 0))
				return SX_NO;
		}
		if (!(fabs(sum - 1) <= 1e-5)) return SX_NO;
		c.ds_off = fmax(c.ds_off, fabs(ds_sum));
		c.ds_size = fmax(c.ds_size, ds_size);
	}
#pragma omp critical(check_mask) /* heads come on several threads */
	{
		all->tiles += c.tiles;
		all->largest = fmax(all->largest, c.largest);
		all->ds_off = fmax(all->ds_off, c.ds_off);
		all->ds_size = fmax(all->ds_size, c.ds_size);
	}
	return SX_OK;
}

/* Final hidden state of every token. */
static float *hidden(const sx_model *m, const int32_t *tokens, int64_t T, const sx_probe *p)
{
	sx_work *w = small_work(m, 1, T, SX_WORK_FORWARD);
	assert_int_equal(
		sx_forward(
			NULL, m, w,
			&(sx_request){.tokens = tokens, .B = 1, .probe = p, .n_probe = p ? 1 : 0},
			NULL),
		SX_OK);
	float *f = randoms(T * m->spec.C, 0);
	memcpy(f, w->f, (size_t)(T * m->spec.C) * sizeof *f);
	sx_work_free(w);
	return f;
}

/* Changing token t leaves the bits of every row before t, and does change row t. */
static void check_causal(sx_spec spec, double grow)
{
	const int64_t T = 150, at[] = {1, 40, 63, 64, 65, 127, 128, 149};
	sx_model *m = small_model(&spec, 3, 0.3);
	int64_t q = (int64_t)spec.L * spec.H * spec.D * spec.C;
	for (int64_t e = 0; e < q; e++) m->p.wq[e] *= (float)grow;
	int32_t *x = small_tokens(T, spec.V, 8);
	mask_check c = {0};
	sx_probe p = {.self = &c, .tile = check_mask};
	float *want = hidden(m, x, T, &p);
	if (grow > 1) assert_true(c.largest > 1e6);
	for (size_t k = 0; k < sizeof at / sizeof at[0]; k++) {
		int32_t *y = small_tokens(T, spec.V, 8);
		for (int64_t t = at[k]; t < T; t++) y[t] = (y[t] + 7) % spec.V;
		float *got = hidden(m, y, T, NULL);
		check_bits(got, want, (size_t)(at[k] * spec.C) * sizeof *got,
			   "rows before a change");
		assert_true(memcmp(got + at[k] * spec.C, want + at[k] * spec.C,
				   (size_t)spec.C * sizeof *got) != 0);
		free(got);
		free(y);
	}
	free(want);
	free(x);
	sx_model_free(m);
}

static void test_causality(void **state)
{
	(void)state;
	const char *const methods[] = {"rope", "nope", "yarn"};
	for (int i = 0; i < 3; i++)
		for (int64_t window = 0; window <= 20; window += 20) {
			sx_spec s = small_spec(methods[i], 2, 32, 4, 2, 8);
			s.pos.window = window, s.pos.factor = 4;
			check_causal(s, 1);
			check_causal(s, 1e7); /* scores beyond any finite mask value in use */
		}
}

/* The same in the backward pass, where probabilities and their gradients are made anew. */
static void test_mask_backward(void **state)
{
	(void)state;
	const int64_t T = 150;
	for (int64_t window = 0; window <= 20; window += 20) {
		sx_spec s = small_spec("rope", 2, 32, 4, 2, 8);
		s.pos.window = window;
		sx_model *m = small_model(&s, 3, 0.3);
		sx_work *w = small_work(m, 2, T, SX_WORK_TRAIN);
		int32_t *x = small_tokens(2 * T, s.V, 8), *y = small_tokens(2 * T, s.V, 9);
		sx_params g;
		sx_params_layout(&g, &s, randoms(m->p.count, 0));
		mask_check c = {0};
		sx_probe p = {.self = &c, .tile = check_mask};
		assert_int_equal(sx_forward(NULL, m, w,
					    &(sx_request){.tokens = x,
							  .target = y,
							  .B = 2,
							  .probe = &p,
							  .n_probe = 1},
					    NULL),
				 SX_OK);
		assert_int_equal(sx_backward(NULL, m, w, &g,
					     &(sx_request){.tokens = x,
							   .target = y,
							   .B = w->used_B,
							   .probe = &p,
							   .n_probe = 1},
					     1),
				 SX_OK);
		assert_true(c.ds_size > 1 && c.ds_off <= 1e-6 * c.ds_size);
		assert_int_equal(c.tiles,
				 2 * 2 * s.L * s.H * 3); /* passes, sequences, ..., tiles */
		free(g.base);
		free(x);
		free(y);
		sx_work_free(w);
		sx_model_free(m);
	}
}

/* ---- rotation ---- */

static void test_rotation(void **state)
{
	(void)state;
	const int64_t T = 1025, D = 32, shift = 700;
	sx_pos_opts o = sx_pos_opts_default();
	sx_pos_plan plan;
	assert_int_equal(sx_pos_plan_make(&plan, NULL, &o, sx_pos_head((int)D, T), 0, T), SX_OK);
	sx_rotation rot = {randoms(T * D / 2, 0), randoms(T * D / 2, 0), (int)D / 2};
	sx_rotation_fill(&rot, &plan, T);
	float *one_q = randoms(D, 1), *one_k = randoms(D, 1);
	float *q = randoms(T * D, 0), *k = randoms(T * D, 0);
	for (int64_t e = 0; e < T * D; e++) q[e] = one_q[e % D], k[e] = one_k[e % D];
	sx_rotate(q, &rot, false, 1, T, 1, D);
	sx_rotate(k, &rot, false, 1, T, 1, D);
	double size = sqrt((double)sx_dot(one_q, one_q, D) * (double)sx_dot(one_k, one_k, D));
	double norm = sqrt((double)sx_dot(one_q, one_q, D));
	for (int64_t t = 0; t < T; t++)
		check_close(sqrt((double)sx_dot(q + t * D, q + t * D, D)), norm, 1e-6 * norm);
	for (int64_t i = shift; i < T; i += 13)
		for (int64_t j = shift; j <= i; j += 29) {
			double near = (double)sx_dot(q + (i - shift) * D, k + (j - shift) * D, D);
			double far = (double)sx_dot(q + i * D, k + j * D, D);
			check_close(far, near, 1e-6 * size);
		}
	sx_rotate(q, &rot, true, 1, T, 1, D);
	for (int64_t t = 0; t < T; t++) check_near(q + t * D, one_q, D, 1e-6);
	sx_pos_plan_free(&plan);
	float *const all[] = {rot.cos, rot.sin, one_q, one_k, q, k};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* ---- attention ---- */

typedef struct {
	sx_attention_dims d;
	float *q, *k, *v, *dz;          /* in  */
	float *z, *rows, *dq, *dk, *dv; /* out */
} attention;

static attention attention_of(sx_attention_dims d)
{
	int64_t nq = d.B * d.T * d.H * d.D, nk = d.B * d.T * d.Hkv * d.D;
	return (attention){.d = d,
			   .q = randoms(nq, 1.5),
			   .k = randoms(nk, 1.5),
			   .v = randoms(nk, 1),
			   .dz = randoms(nq, 1),
			   .z = randoms(nq, 0),
			   .rows = randoms(2 * d.B * d.H * d.T, 0),
			   .dq = randoms(nq, 0),
			   .dk = randoms(nk, 0),
			   .dv = randoms(nk, 0)};
}

static void attend(attention *a)
{
	int threads = omp_get_max_threads();
	float *scratch = randoms(sx_attention_scratch(a->d, true, true, threads), 0);
	assert_int_equal(sx_attention_fwd(a->z, a->rows, a->q, a->k, a->v, a->d, scratch, NULL),
			 SX_OK);
	assert_int_equal(sx_attention_bwd(a->dq, a->dk, a->dv, a->dz, a->z, a->rows, a->q, a->k,
					  a->v, a->d, scratch, NULL),
			 SX_OK);
	free(scratch);
}

static void attention_free(attention *a)
{
	float *const all[] = {a->q, a->k, a->v, a->dz, a->z, a->rows, a->dq, a->dk, a->dv};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* Without tiles, in double. */
static void check_plain(const attention *a)
{
	const sx_attention_dims d = a->d;
	for (int64_t n = 0; n < d.B * d.H; n++) {
		int64_t b = n / d.H, h = n % d.H, g = h / (d.H / d.Hkv);
		for (int64_t i = 0; i < d.T; i += 7) {
			double s[512], z[64] = {0}, most = -1e300, sum = 0;
			for (int64_t j = sx_first_key(i, d.plan->window); j <= i; j++) {
				const float *q = a->q + ((b * d.T + i) * d.H + h) * d.D;
				const float *k = a->k + ((b * d.T + j) * d.Hkv + g) * d.D;
				s[j] = 0;
				for (int c = 0; c < d.D; c++) s[j] += (double)q[c] * (double)k[c];
				s[j] *= sx_pos_scale(d.plan, d.D);
				most = fmax(most, s[j]);
			}
			for (int64_t j = sx_first_key(i, d.plan->window); j <= i; j++) {
				const float *v = a->v + ((b * d.T + j) * d.Hkv + g) * d.D;
				double e = exp(s[j] - most);
				sum += e;
				for (int c = 0; c < d.D; c++) z[c] += e * (double)v[c];
			}
			for (int c = 0; c < d.D; c++)
				check_close(a->z[((b * d.T + i) * d.H + h) * d.D + c], z[c] / sum,
					    1e-5);
		}
	}
}

static void test_tiles(void **state)
{
	(void)state;
	const int64_t windows[] = {0, 1, 50, 130};
	for (int i = 0; i < 4; i++) {
		const sx_pos_plan plan = {.beta = 1, .window = windows[i]};
		sx_attention_dims d = {
			.B = 2, .T = 200, .tile = 16, .H = 4, .Hkv = 2, .D = 16, .plan = &plan};
		int64_t nq = d.B * d.T * d.H * d.D, nk = d.B * d.T * d.Hkv * d.D;
		attention a = attention_of(d);
		attend(&a);
		check_plain(&a);
		for (int64_t tile = 64; tile <= 128; tile += 64) {
			attention b = a;
			b.d.tile = tile;
			b.z = randoms(nq, 0), b.rows = randoms(2 * d.B * d.H * d.T, 0);
			b.dq = randoms(nq, 0), b.dk = randoms(nk, 0), b.dv = randoms(nk, 0);
			attend(&b);
			/* the same sums in another grouping */
			check_near(b.z, a.z, nq, 2e-6);
			check_near(b.dv, a.dv, nk, 4e-6);
			if (plan.window == 1) { /* one key: the scores do not matter */
				for (int64_t e = 0; e < nq; e++) check_close(b.dq[e], 0, 1e-5);
			} else {
				check_near(b.dq, a.dq, nq, 4e-6);
				check_near(b.dk, a.dk, nk, 4e-6);
			}
			float *const made[] = {b.z, b.rows, b.dq, b.dk, b.dv};
			for (size_t k = 0; k < sizeof made / sizeof made[0]; k++) free(made[k]);
		}
		attention_free(&a);
	}
}

/* to (rows,heads,D) head h = from's head perm[h]. */
static void permute_heads(float *to, const float *from, const int *perm, int64_t rows,
			  int64_t heads, int64_t D)
{
	for (int64_t r = 0; r < rows; r++)
		for (int64_t h = 0; h < heads; h++)
			memcpy(to + (r * heads + h) * D, from + (r * heads + perm[h]) * D,
			       (size_t)D * sizeof *to);
}

static void test_head_permutation(void **state)
{
	(void)state;
	const sx_pos_plan plan = {.beta = 1};
	sx_attention_dims d = {
		.B = 2, .T = 90, .tile = 64, .H = 4, .Hkv = 4, .D = 8, .plan = &plan};
	const int perm[] = {2, 0, 3, 1};
	int64_t rows = d.B * d.T, n = rows * d.H * d.D;
	attention a = attention_of(d), b = attention_of(d);
	permute_heads(b.q, a.q, perm, rows, d.H, d.D);
	permute_heads(b.k, a.k, perm, rows, d.H, d.D);
	permute_heads(b.v, a.v, perm, rows, d.H, d.D);
	permute_heads(b.dz, a.dz, perm, rows, d.H, d.D);
	attend(&a);
	attend(&b);
	float *want = randoms(n, 0);
	const float *const from[] = {a.z, a.dq, a.dk, a.dv}, *const got[] = {b.z, b.dq, b.dk, b.dv};
	for (int i = 0; i < 4; i++) {
		permute_heads(want, from[i], perm, rows, d.H, d.D);
		check_near(got[i], want, n, 1e-6);
	}
	free(want);
	attention_free(&a);
	attention_free(&b);
}

/* ---- the optimiser ---- */

static void test_adamw(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 1, 16, 2, 1, 8);
	s.qkv_bias = true, s.qk_norm = SX_QK_NORM_HEAD;
	sx_model *model = small_model(&s, 4, 0.5);
	int64_t n = model->p.count;
	const sx_adamw_opts o = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.3};
	sx_adamw *adam = NULL;
	assert_int_equal(sx_adamw_new(&adam, NULL, n), SX_OK);
	double *w = sx_calloc((size_t)n, 8), *m = sx_calloc((size_t)n, 8),
	       *v = sx_calloc((size_t)n, 8);
	assert_true(w && m && v);
	for (int64_t e = 0; e < n; e++) w[e] = (double)model->p.base[e];
	/* what is decayed, by hand: matrices and embeddings, no gain, no bias */
	const float *const plain[] = {model->p.ln1, model->p.bq,     model->p.bk,
				      model->p.bv,  model->p.q_norm, model->p.k_norm,
				      model->p.ln2, model->p.ln_f};
	const int64_t width[] = {16, 16, 8, 8, 8, 8, 16, 16};
	bool *decays = sx_calloc((size_t)n, sizeof *decays);
	assert_non_null(decays);
	for (int64_t e = 0; e < n; e++) decays[e] = true;
	for (int i = 0; i < 8; i++)
		for (int64_t e = 0; e < width[i]; e++) decays[plain[i] - model->p.base + e] = false;

	sx_params g;
	sx_params_layout(&g, &s, randoms(n, 0));
	for (int t = 1; t <= 5; t++) {
		double lr = 0.01 * t, scale = t == 3 ? 0.25 : 1;
		for (int64_t e = 0; e < n; e++)
			g.base[e] = (float)sx_normal(6, SX_STREAM_TEST, draws++);
		sx_adamw_step(adam, model, &g, scale, lr, &o);
		for (int64_t e = 0; e < n; e++) {
			double d = (double)g.base[e] * scale;
			m[e] = o.beta1 * m[e] + (1 - o.beta1) * d;
			v[e] = o.beta2 * v[e] + (1 - o.beta2) * d * d;
			double mh = m[e] / (1 - pow(o.beta1, t)), vh = v[e] / (1 - pow(o.beta2, t));
			if (decays[e]) w[e] -= lr * o.weight_decay * w[e];
			w[e] -= lr * mh / (sqrt(vh) + o.eps);
		}
	}
	assert_int_equal(adam->t, 5);
	check_near(model->p.base, w, n, 2e-6);
	check_near(adam->m, m, n, 1e-6);
	check_near(adam->v, v, n, 1e-6);
	double sum = 0;
	for (int64_t e = 0; e < n; e++) sum += (double)g.base[e] * (double)g.base[e];
	check_close(sx_grad_norm(&g), sqrt(sum), 1e-12 * sqrt(sum));
	sx_adamw_reset(adam);
	assert_true(adam->t == 0 && adam->m[n / 2] == 0 && adam->v[n / 2] == 0);
	free(w);
	free(m);
	free(v);
	free(decays);
	free(g.base);
	sx_adamw_free(adam);
	sx_model_free(model);
}

/* A batch in one part and in four: targets are spread unevenly over the parts, so that a mean of
 * the parts' means would be wrong. */
static void test_accumulation(void **state)
{
	(void)state;
	const int64_t B = 8, T = 40;
	sx_spec s = small_spec("rope", 2, 32, 4, 2, 8);
	int32_t *x = small_tokens(B * T, s.V, 1), *y = small_tokens(B * T, s.V, 2);
	for (int64_t i = 0; i < B * T; i++)
		if (i % (1 + i / T) != 0 || i / T == 3) y[i] = -1; /* one sequence has none */
	sx_trainer *t[2];
	sx_step_result r[2];
	for (int k = 0; k < 2; k++) {
		sx_train_opts o = {.steps = 10,
				   .batch = B,
				   .accumulate = k ? 4 : 1,
				   .lr = 1e-3,
				   .adamw = {0.9, 0.95, 1e-8, 0.1},
				   .drop_at = -1};
		assert_int_equal(sx_trainer_new(&t[k], NULL, small_model(&s, 3, 0.3), &o, T),
				 SX_OK);
		assert_int_equal(sx_trainer_step(NULL, t[k],
						 &(sx_request){.tokens = x, .target = y}, NULL,
						 NULL, &r[k]),
				 SX_OK);
	}
	check_close(r[1].loss, r[0].loss, 1e-6 * r[0].loss);
	check_close(r[1].grad_norm, r[0].grad_norm, 1e-5 * r[0].grad_norm);
	check_near(t[1]->grad.base, t[0]->grad.base, t[0]->grad.count, 5e-6);
	for (int k = 0; k < 2; k++) sx_trainer_free(t[k]);
	sx_train_opts bad = {.steps = 10, .batch = 8, .accumulate = 3, .drop_at = -1};
	sx_trainer *none = NULL;
	assert_int_equal(sx_trainer_new(&none, NULL, small_model(&s, 3, 0.3), &bad, T), SX_ECONFIG);
	assert_null(none);
	free(x);
	free(y);
}

static void test_schedules(void **state)
{
	(void)state;
	sx_train_opts o = {.steps = 100,
			   .lr = 3e-3,
			   .min_lr = 3e-4,
			   .warmup = 10,
			   .drop_at = 60,
			   .drop_steps = 40,
			   .drop_warmup = 4,
			   .drop_lr = 1e-3,
			   .drop_min_lr = 1e-5};
	const sx_lr_schedule kinds[] = {SX_LR_COSINE, SX_LR_LINEAR, SX_LR_CONSTANT};
	for (int k = 0; k < 3; k++) {
		bool flat = kinds[k] == SX_LR_CONSTANT;
		o.schedule = kinds[k];
		sx_train_opts whole = o;
		whole.drop_at = -1;
		assert_int_equal(sx_train_updates(&whole), 100);
		assert_int_equal(sx_train_updates(&o), 100);
		check_close(sx_train_lr(&whole, 1), 3e-4, 1e-17);
		check_close(sx_train_lr(&whole, 10), 3e-3, 1e-17);
		check_close(sx_train_lr(&whole, 55), flat ? 3e-3 : 1.65e-3, 1e-15);
		check_close(sx_train_lr(&whole, 100), flat ? 3e-3 : 3e-4, 1e-17);
		for (int64_t u = 11; u <= 100; u++)
			assert_true(sx_train_lr(&whole, u) <= sx_train_lr(&whole, u - 1));
		/* up to the drop as if there were none, then a schedule of its own */
		for (int64_t u = 1; u <= 60; u++)
			check_close(sx_train_lr(&o, u), sx_train_lr(&whole, u), 0);
		check_close(sx_train_lr(&o, 61), 1e-3 / 4, 1e-17);
		check_close(sx_train_lr(&o, 64), 1e-3, 1e-17);
		check_close(sx_train_lr(&o, 82), flat ? 1e-3 : 0.5 * (1e-3 + 1e-5), 1e-15);
		check_close(sx_train_lr(&o, 100), flat ? 1e-3 : 1e-5, 1e-17);
	}
	o.warmup = 0, o.steps = 1, o.drop_at = -1; /* nothing to divide by */
	assert_true(isfinite(sx_train_lr(&o, 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exp),
		cmocka_unit_test(test_gelu),
		cmocka_unit_test(test_layernorm),
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_causality),
		cmocka_unit_test(test_mask_backward),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_tiles),
		cmocka_unit_test(test_head_permutation),
		cmocka_unit_test(test_adamw),
		cmocka_unit_test(test_accumulation),
		cmocka_unit_test(test_schedules),
	};
	sx_blas_start(NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

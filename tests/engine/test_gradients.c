/* Every op, the whole model, and the attention functionals against central differences, in double.
 * For a map y = f(x) with a random cotangent v and a random direction u: <J^T v, u> against
 * d/de <v, f(x + e u)>, relative to |J^T v| |u|. */
#include "tests/support/check.h"

#include "engine/model/model.h"
#include "engine/op/ops.h"
#include "probes/observe/families.h"

#include <omp.h>

#ifndef SX_F64
#	error "this test is about the double build"
#endif

static const double tolerance = 1e-7;

static uint64_t draws;

static double *randoms(int64_t n, double sd)
{
	double *x = malloc((size_t)(n ? n : 1) * sizeof *x);
	assert_non_null(x);
	for (int64_t i = 0; i < n; i++) x[i] = sd * sx_normal(7, SX_STREAM_TEST, draws++);
	return x;
}

static double dot(const double *a, const double *b, int64_t n)
{
	double s = 0;
	for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
	return s;
}

/* A value of which the gradient with respect to x (n) is claimed to be g. */
typedef double value_fn(void *self);

static double direction_error(value_fn *value, void *self, double *x, const double *g, int64_t n)
{
	double *u = randoms(n, 1), *x0 = malloc((size_t)n * sizeof *x0);
	assert_non_null(x0);
	memcpy(x0, x, (size_t)n * sizeof *x0);
	double norm_u = sqrt(dot(u, u, n)), norm_g = sqrt(dot(g, g, n));
	double e = 1e-5 * fmax(1e-3, sqrt(dot(x0, x0, n)) / norm_u), d[2];
	/* Richardson: the error of the difference quotient is of fourth order */
	for (int k = 0; k < 2; k++) {
		double step = e * (k + 1) * 4, f[2];
		for (int side = 0; side < 2; side++) {
			for (int64_t i = 0; i < n; i++) x[i] = x0[i] + (side ? -step : step) * u[i];
			f[side] = value(self);
		}
		d[k] = (f[0] - f[1]) / (2 * step);
	}
	memcpy(x, x0, (size_t)n * sizeof *x0);
	double quotient = (4 * d[0] - d[1]) / 3, err = fabs(quotient - dot(g, u, n));
	free(u);
	free(x0);
	return norm_g > 0 ? err / (norm_g * norm_u) : err;
}

#define check_direction(value, self, x, g, n) \
	do { \
		double err_ = direction_error(value, self, x, g, n); \
		if (!(err_ <= tolerance)) \
			fail_msg("gradient of %s with respect to %s: relative error %.3g", #value, \
				 #x, err_); \
	} while (0)

static sx_weight weight(const double *W, int64_t rows, int64_t cols)
{
	return (sx_weight){W, SX_DTYPE_REAL, rows, cols};
}

/* ---- ops ---- */

typedef struct {
	int64_t N, Cin, Cout;
	double *x, *W, *b, *res, *v, *y;
} linear_case;

static double linear_value(void *self)
{
	linear_case *c = self;
	sx_linear_fwd(c->y, c->x, weight(c->W, c->Cout, c->Cin), c->b, c->res, c->N);
	return dot(c->y, c->v, c->N * c->Cout);
}

static void test_linear(void **state)
{
	(void)state;
	const int64_t shapes[][3] = {{5, 7, 3}, {300, 24, 40}, {1100, 16, 24}, {64, 600, 1100}};
	for (size_t i = 0; i < 4; i++) {
		int64_t N = shapes[i][0], A = shapes[i][1], B = shapes[i][2];
		linear_case c = {N,
				 A,
				 B,
				 randoms(N * A, 1),
				 randoms(A * B, 1),
				 randoms(B, 1),
				 randoms(N * B, 1),
				 randoms(N * B, 1),
				 randoms(N * B, 0)};
		double *dx = randoms(N * A, 0), *dW = randoms(A * B, 0), *db = randoms(B, 0);
		double *scratch = randoms(sx_linear_scratch(N, A, B), 0);
		sx_linear_bwd(dx, dW, db, c.v, c.x, weight(c.W, B, A), false, N, scratch);
		check_direction(linear_value, &c, c.x, dx, N * A);
		check_direction(linear_value, &c, c.W, dW, A * B);
		check_direction(linear_value, &c, c.b, db, B);
		double *twice = randoms(N * A, 0);
		memcpy(twice, dx, (size_t)(N * A) * sizeof *dx);
		sx_linear_bwd(twice, NULL, NULL, c.v, c.x, weight(c.W, B, A), true, N, scratch);
		for (int64_t k = 0; k < N * A; k++) twice[k] /= 2;
		check_near(twice, dx, N * A, 1e-14);
		double *all[] = {c.x, c.W, c.b, c.res, c.v, c.y, dx, dW, db, scratch, twice};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
}

typedef struct {
	int64_t N, G, W;
	double *x, *gain, *v, *y, *rstd;
} norm_case;

static double norm_value(void *self)
{
	norm_case *c = self;
	sx_norm_fwd(c->y, c->rstd, c->x, c->gain, 1e-5, c->N, c->G, c->W);
	return dot(c->y, c->v, c->N * c->G * c->W);
}

static void test_norm(void **state)
{
	(void)state;
	const int64_t shapes[][3] = {{3, 1, 8}, {200, 1, 24}, {70, 4, 6}};
	for (size_t i = 0; i < 3; i++) {
		int64_t N = shapes[i][0], G = shapes[i][1], W = shapes[i][2], n = N * G * W;
		norm_case c = {N,
			       G,
			       W,
			       randoms(n, 1),
			       randoms(W, 1),
			       randoms(n, 1),
			       randoms(n, 0),
			       randoms(N * G, 0)};
		double *dx = randoms(n, 0), *dg = randoms(W, 0);
		double *scratch = randoms(sx_norm_scratch(N, G, W), 0);
		norm_value(&c);
		sx_norm_bwd(dx, dg, c.v, c.x, c.rstd, c.gain, false, N, G, W, scratch);
		check_direction(norm_value, &c, c.x, dx, n);
		check_direction(norm_value, &c, c.gain, dg, W);
		double *all[] = {c.x, c.gain, c.v, c.y, c.rstd, dx, dg, scratch};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
}

typedef struct {
	int64_t N, W;
	double *x, *gain, *bias, *v, *y, *mean, *rstd;
} layernorm_case;

static double layernorm_value(void *self)
{
	layernorm_case *c = self;
	sx_layernorm_fwd(c->y, c->mean, c->rstd, c->x, c->gain, c->bias, 1e-5, c->N, c->W);
	return dot(c->y, c->v, c->N * c->W);
}

static void test_layernorm(void **state)
{
	(void)state;
	const int64_t shapes[][2] = {{3, 8}, {200, 24}, {140, 37}};
	for (size_t i = 0; i < 3; i++) {
		int64_t N = shapes[i][0], W = shapes[i][1], n = N * W;
		layernorm_case c = {N,
				    W,
				    randoms(n, 1),
				    randoms(W, 1),
				    randoms(W, 1),
				    randoms(n, 1),
				    randoms(n, 0),
				    randoms(N, 0),
				    randoms(N, 0)};
		double *dx = randoms(n, 0), *dg = randoms(W, 0), *db = randoms(W, 0);
		double *scratch = randoms(sx_layernorm_scratch(N, W), 0), *twice = randoms(n, 0);
		layernorm_value(&c);
		sx_layernorm_bwd(dx, dg, db, c.v, c.x, c.mean, c.rstd, c.gain, false, N, W,
				 scratch);
		check_direction(layernorm_value, &c, c.x, dx, n);
		check_direction(layernorm_value, &c, c.gain, dg, W);
		check_direction(layernorm_value, &c, c.bias, db, W);
		memcpy(twice, dx, (size_t)n * sizeof *dx);
		sx_layernorm_bwd(twice, NULL, NULL, c.v, c.x, c.mean, c.rstd, c.gain, true, N, W,
				 scratch);
		for (int64_t k = 0; k < n; k++) twice[k] /= 2;
		check_near(twice, dx, n, 1e-14);
		double *all[] = {c.x,    c.gain, c.bias, c.v, c.y,     c.mean,
				 c.rstd, dx,     dg,     db,  scratch, twice};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
}

typedef struct {
	int64_t B, T, H, D;
	sx_rotation rot;
	double *x, *v, *y;
} rotate_case;

static double rotate_value(void *self)
{
	rotate_case *c = self;
	int64_t n = c->B * c->T * c->H * c->D;
	memcpy(c->y, c->x, (size_t)n * sizeof *c->y);
	sx_rotate(c->y, &c->rot, false, c->B, c->T, c->H, c->D);
	return dot(c->y, c->v, n);
}

static void test_rotate(void **state)
{
	(void)state;
	sx_pos_opts o = sx_pos_opts_default();
	snprintf(o.method, sizeof o.method, "yarn");
	o.factor = 4;
	sx_pos_plan plan;
	assert_int_equal(sx_pos_plan_make(&plan, NULL, &o, sx_pos_head(8, 16), 0, 11), SX_OK);
	int64_t B = 2, T = 11, H = 3, D = 8, n = B * T * H * D;
	rotate_case c = {B,
			 T,
			 H,
			 D,
			 {randoms(T * 4, 0), randoms(T * 4, 0), 4},
			 randoms(n, 1),
			 randoms(n, 1),
			 randoms(n, 0)};
	sx_rotation_fill(&c.rot, &plan, T);
	double *dx = randoms(n, 0);
	memcpy(dx, c.v, (size_t)n * sizeof *dx);
	sx_rotate(dx, &c.rot, true, B, T, H, D);
	check_direction(rotate_value, &c, c.x, dx, n);
	double *all[] = {c.rot.cos, c.rot.sin, c.x, c.v, c.y, dx};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	sx_pos_plan_free(&plan);
}

typedef struct {
	sx_attention_dims d;
	double *q, *k, *v, *w, *z, *rows, *scratch;
} attention_case;

static double attention_value(void *self)
{
	attention_case *c = self;
	assert_int_equal(sx_attention_fwd(c->z, c->rows, c->q, c->k, c->v, c->d, c->scratch, NULL),
			 SX_OK);
	return dot(c->z, c->w, c->d.B * c->d.T * c->d.H * c->d.D);
}

static void test_attention(void **state)
{
	(void)state;
	double slopes[] = {0.5, 0.25, 0.05};
	const sx_pos_plan half = {.beta = 1.2}, full = {.beta = 0.8},
			  near = {.beta = 0.8, .window = 9}, self = {.beta = 0.6, .window = 1},
			  biased = {.beta = 0.8, .window = 9, .slopes = slopes, .n_slopes = 3};
	const sx_attention_dims cases[] = {
		{2, 37, 16, 4, 4, 6, &half}, {2, 37, 16, 4, 2, 6, &half},
		{1, 70, 64, 3, 1, 8, &near}, {1, 1, 64, 2, 2, 4, &full},
		{2, 64, 64, 2, 1, 4, &self}, {1, 70, 64, 3, 1, 8, &biased}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		sx_attention_dims d = cases[i];
		int64_t nq = d.B * d.T * d.H * d.D, nk = d.B * d.T * d.Hkv * d.D;
		attention_case c = {
			d,
			randoms(nq, 1),
			randoms(nk, 1),
			randoms(nk, 1),
			randoms(nq, 1),
			randoms(nq, 0),
			randoms(2 * d.B * d.H * d.T, 0),
			randoms(sx_attention_scratch(d, true, true, omp_get_max_threads()), 0)};
		double *dq = randoms(nq, 0), *dk = randoms(nk, 0), *dv = randoms(nk, 0);
		attention_value(&c);
		assert_int_equal(sx_attention_bwd(dq, dk, dv, c.w, c.z, c.rows, c.q, c.k, c.v, d,
						  c.scratch, NULL),
				 SX_OK);
		if (d.plan->window != 1 && d.T > 1) { /* else the scores do not matter */
			check_direction(attention_value, &c, c.q, dq, nq);
			check_direction(attention_value, &c, c.k, dk, nk);
		}
		check_direction(attention_value, &c, c.v, dv, nk);
		double *all[] = {c.q, c.k, c.v, c.w, c.z, c.rows, c.scratch, dq, dk, dv};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
}

typedef struct {
	int64_t n;
	double *gate, *up, *v, *y;
} swiglu_case;

static double swiglu_value(void *self)
{
	swiglu_case *c = self;
	sx_swiglu_fwd(c->y, c->gate, c->up, c->n);
	return dot(c->y, c->v, c->n);
}

static void test_swiglu(void **state)
{
	(void)state;
	int64_t n = 5000;
	swiglu_case c = {n, randoms(n, 2), randoms(n, 1), randoms(n, 1), randoms(n, 0)};
	double *dg = randoms(n, 0), *du = randoms(n, 0);
	sx_swiglu_bwd(dg, du, c.v, c.gate, c.up, n);
	check_direction(swiglu_value, &c, c.gate, dg, n);
	check_direction(swiglu_value, &c, c.up, du, n);
	double *all[] = {c.gate, c.up, c.v, c.y, dg, du};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
}

typedef struct {
	int64_t n;
	double *up, *v, *y;
} gelu_case;

static double gelu_value(void *self)
{
	gelu_case *c = self;
	sx_gelu_fwd(c->y, c->up, c->n);
	return dot(c->y, c->v, c->n);
}

static void test_gelu(void **state)
{
	(void)state;
	int64_t n = 5000;
	gelu_case c = {n, randoms(n, 2), randoms(n, 1), randoms(n, 0)};
	double *d = randoms(n, 0);
	sx_gelu_bwd(d, c.v, c.up, n);
	check_direction(gelu_value, &c, c.up, d, n);
	double *all[] = {c.up, c.v, c.y, d};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
}

typedef struct {
	int64_t N, C, V;
	int32_t *token;
	double *table, *v, *y;
} embed_case;

static double embed_value(void *self)
{
	embed_case *c = self;
	sx_embed_fwd(c->y, c->token, c->table, c->N, c->C);
	return dot(c->y, c->v, c->N * c->C);
}

static void test_embed(void **state)
{
	(void)state;
	int64_t N = 50, C = 20, V = 7;
	int32_t token[50];
	for (int i = 0; i < 50; i++) token[i] = i * i % 7;
	embed_case c = {N, C, V, token, randoms(V * C, 1), randoms(N * C, 1), randoms(N * C, 0)};
	double *d = randoms(V * C, 0);
	sx_embed_bwd(d, c.v, token, N, C);
	check_direction(embed_value, &c, c.table, d, V * C);
	double *all[] = {c.table, c.v, c.y, d};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
}

typedef struct {
	int64_t N, C, V;
	int32_t *target;
	double *f, *W, *nll, *rows, *scratch;
} loss_case;

static double loss_value(void *self)
{
	loss_case *c = self;
	double sum = 0;
	sx_loss_fwd(c->nll, c->rows, c->f, weight(c->W, c->V, c->C), c->target, c->N, c->scratch);
	for (int64_t n = 0; n < c->N; n++)
		if (c->target[n] >= 0) sum += 0.37 * c->nll[n];
	return sum;
}

static void test_loss(void **state)
{
	(void)state;
	int64_t N = 150, C = 12, V = 90;
	int32_t target[150];
	for (int i = 0; i < 150; i++) target[i] = i % 11 == 3 ? -1 : i * 7 % 90;
	loss_case c = {N,
		       C,
		       V,
		       target,
		       randoms(N * C, 1),
		       randoms(V * C, 1),
		       randoms(N, 0),
		       randoms(2 * N, 0),
		       randoms(sx_loss_scratch(N, V, omp_get_max_threads()), 0)};
	double *df = randoms(N * C, 0), *dW = randoms(V * C, 0);
	loss_value(&c);
	assert_true(isnan(c.nll[3]));
	sx_loss_bwd(df, dW, c.rows, c.f, weight(c.W, V, C), target, 0.37, N, c.scratch);
	check_direction(loss_value, &c, c.f, df, N * C);
	check_direction(loss_value, &c, c.W, dW, V * C);
	double *all[] = {c.f, c.W, c.nll, c.rows, c.scratch, df, dW};
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
}

/* ---- the whole model, every variant ---- */

typedef struct {
	const char *name, *method;
	int H, Hkv, D;
	bool tied, bias;
	sx_qk_norm qk_norm;
	int64_t window;
	double factor, beta;
	sx_block block;
	double partial; /* 0 = 1 */
	bool layers;    /* rotation and window in every other layer */
} variant;

static const variant variants[] = {
	{"rope", "rope", 4, 4, 6, false, false, SX_QK_NORM_NONE, 0, 1, 1, {0}, 0, false},
	{"gqa, tied", "rope", 4, 2, 6, true, false, SX_QK_NORM_NONE, 0, 1, 1, {0}, 0, false},
	{"bias", "rope", 4, 2, 8, false, true, SX_QK_NORM_NONE, 0, 1, 1.3, {0}, 0, false},
	{"full norm", "rope", 4, 2, 6, false, false, SX_QK_NORM_FULL, 0, 1, 1, {0}, 0, false},
	{"head norm", "rope", 4, 2, 6, false, true, SX_QK_NORM_HEAD, 0, 1, 1, {0}, 0, false},
	{"window", "rope", 4, 2, 6, false, false, SX_QK_NORM_NONE, 5, 1, 1, {0}, 0, false},
	{"nope", "nope", 4, 2, 6, false, true, SX_QK_NORM_NONE, 0, 1, 1, {0}, 0, false},
	{"pi", "pi", 4, 2, 6, false, false, SX_QK_NORM_NONE, 0, 4, 1, {0}, 0, false},
	{"ntk", "ntk", 4, 2, 6, false, false, SX_QK_NORM_NONE, 0, 4, 1, {0}, 0, false},
	{"yarn", "yarn", 4, 1, 6, false, false, SX_QK_NORM_NONE, 0, 4, 1, {0}, 0, false},
	{"p-rope", "p-rope", 4, 2, 8, false, false, SX_QK_NORM_NONE, 0, 1, 1, {0}, 0, false},
	{"layered", "layered", 4, 2, 6, false, false, SX_QK_NORM_NONE, 0, 1, 1, {0}, 0, false},
	{"all at once", "yarn", 4, 2, 6, true, true, SX_QK_NORM_FULL, 7, 4, 0.8, {0}, 0, false},
	{"all biases", "rope", 4, 2, 6, false, true, SX_QK_NORM_NONE, 0, 1, 1,
	 .block = {.o_bias = true, .mlp_bias = true}},
	{"norm after", "rope", 4, 2, 6, false, false, SX_QK_NORM_FULL, 0, 1, 1,
	 .block = {.norm_after = true}},
	{"parallel", "rope", 4, 2, 6, true, false, SX_QK_NORM_NONE, 0, 1, 1,
	 .block = {.parallel = true, .mlp_bias = true}},
	{"gpt-neox", "rope", 4, 4, 6, false, true, SX_QK_NORM_NONE, 0, 1, 1,
	 .block = {.norm = SX_NORM_LAYER,
		   .parallel = true,
		   .mlp = SX_MLP_GELU,
		   .o_bias = true,
		   .mlp_bias = true},
	 .partial = 0.7},
	{"gpt-neox, serial", "nope", 4, 4, 6, false, false, SX_QK_NORM_NONE, 0, 1, 1,
	 .block = {.norm = SX_NORM_LAYER, .mlp = SX_MLP_GELU}},
	{"q-norm, full", "nope", 4, 2, 6, false, true, SX_QK_NORM_FULL, 0, 1, 1,
	 .block = {.k_plain = true}},
	{"k-norm, full", "nope", 4, 2, 6, false, false, SX_QK_NORM_FULL, 0, 1, 1,
	 .block = {.q_plain = true}},
	{"q-norm, head", "rope", 4, 2, 6, false, true, SX_QK_NORM_HEAD, 0, 1, 1,
	 .block = {.k_plain = true}},
	{"k-norm, head", "rope", 4, 2, 6, false, true, SX_QK_NORM_HEAD, 0, 1, 1,
	 .block = {.q_plain = true, .norm_after = true, .parallel = true, .norm = SX_NORM_LAYER}},
	{"llama3, hybrid", "llama3", 4, 2, 6, false, false, SX_QK_NORM_NONE, 5, 8, 1, {0}, 0, true},
	{"dynamic, partial",
	 "dynamic",
	 4,
	 2,
	 6,
	 false,
	 true,
	 SX_QK_NORM_HEAD,
	 0,
	 2,
	 1,
	 {0},
	 0.7,
	 false},
	{"longrope", "longrope", 4, 2, 6, false, false, SX_QK_NORM_NONE, 0, 4, 1, {0}, 0, false},
};
enum { N_VARIANTS = sizeof variants / sizeof variants[0], B = 2, T = 21 };

/* Everything that a method may do to one layer and not to another: the first sees 5 keys, rotates 4
 * channels and biases its scores, the others see all and rotate all. */
static void plan_layered(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			 sx_pos_plan *p)
{
	(void)o, (void)length;
	p->window = layer == 0 ? 5 : 0;
	if (layer > 0) return;
	p->rotary = 4, p->n_freq = 2;
	p->n_slopes = model.heads;
	p->slopes = sx_calloc(4, sizeof *p->slopes);
	for (int h = 0; p->slopes && h < 4; h++) p->slopes[h] = 0.1 * (h + 1);
}

static const sx_pos_method layered = {
	.name = "layered", .kind = SX_POS_SCALED, .plan = plan_layered};

static sx_model *variant_model(const variant *v, int layers)
{
	sx_spec s = sx_spec_default();
	s.V = 23, s.C = 20, s.L = layers, s.F = 28, s.T = 16;
	s.H = v->H, s.Hkv = v->Hkv, s.D = v->D, s.tied = v->tied, s.qkv_bias = v->bias;
	s.qk_norm = v->qk_norm, s.block = v->block;
	snprintf(s.pos.method, sizeof s.pos.method, "%s", v->method);
	if (strcmp(v->method, "layered") == 0) s.pos.custom = &layered;
	s.pos.window = v->window, s.pos.factor = v->factor, s.pos.beta = v->beta;
	s.pos.theta = 100;
	if (v->partial > 0) s.pos.partial = v->partial;
	s.pos.long_factor = (sx_pos_list){.n = 3, .at = {1, 1.5, 4}};
	s.pos.short_factor = (sx_pos_list){.n = 3, .at = {1, 1, 1}};
	if (v->layers) {
		s.pos.rotated_layers = (sx_pos_list){.n = 2, .at = {1, 0}};
		s.pos.windowed_layers = (sx_pos_list){.n = 2, .at = {0, 1}};
	}
	sx_model *m = NULL;
	assert_int_equal(sx_model_new(&m, NULL, &s), SX_OK);
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(&m->spec, info);
	for (int i = 0; i < n; i++) { /* gains near 1, everything else at random */
		bool gain = info[i].start == 'G';
		for (int64_t e = 0; e < info[i].rows * info[i].cols * info[i].copies; e++)
			m->p.base[info[i].offset + e] =
				gain + 0.4 * sx_normal(11, SX_STREAM_TEST, draws++);
	}
	return m;
}

typedef struct {
	sx_model *m;
	sx_work *w;
	int32_t tokens[B * T], target[B * T];
	double scale;
} model_case;

static void fill_tokens(model_case *c)
{
	for (int i = 0; i < B * T; i++) {
		c->tokens[i] = (int32_t)(sx_random_bits(3, SX_STREAM_TEST, (uint64_t)i) % 23);
		c->target[i] = i % 9 == 4 ? -1 : (c->tokens[i] * 5 + 1) % 23;
	}
}

static double model_value(void *self)
{
	model_case *c = self;
	double loss = 0;
	assert_int_equal(sx_forward(NULL, c->m, c->w,
				    &(sx_request){.tokens = c->tokens, .target = c->target, .B = B},
				    &loss),
			 SX_OK);
	return loss * (double)c->w->counted * c->scale;
}

static void test_model(void **state)
{
	(void)state;
	for (int i = 0; i < N_VARIANTS; i++) {
		model_case c = {.m = variant_model(&variants[i], 2), .scale = 0.01};
		fill_tokens(&c);
		assert_int_equal(sx_work_new(&c.w, NULL, c.m, B, T, SX_WORK_TRAIN), SX_OK);
		sx_params g;
		sx_params_layout(&g, &c.m->spec, calloc((size_t)c.m->p.count, sizeof(double)));
		assert_non_null(g.base);
		model_value(&c);
		assert_int_equal(sx_backward(NULL, c.m, c.w, &g,
					     &(sx_request){.tokens = c.tokens,
							   .target = c.target,
							   .B = c.w->used_B},
					     c.scale),
				 SX_OK);
		sx_param_info info[SX_PARAM_MOST];
		int n = sx_params_table(&c.m->spec, info);
		for (int t = 0; t < n; t++) {
			double err = direction_error(model_value, &c, c.m->p.base + info[t].offset,
						     g.base + info[t].offset,
						     info[t].rows * info[t].cols * info[t].copies);
			if (strcmp(info[t].field, "bk") == 0 && !sx_k_normed(&c.m->spec) &&
			    strcmp(variants[i].method, "nope") == 0) {
				/* without rotation a key bias shifts whole rows of scores: no effect */
				int64_t q = 2 * variants[i].H * variants[i].D;
				double *gb = g.bk, *gq = g.bq;
				assert_true(
					sqrt(dot(gb, gb, 2 * variants[i].Hkv * variants[i].D)) <=
					1e-13 * sqrt(dot(gq, gq, q)));
				continue;
			}
			if (!(err <= tolerance))
				fail_msg("%s: gradient of %s: relative error %.3g",
					 variants[i].name, info[t].field, err);
		}
		free(g.base);
		sx_work_free(c.w);
		sx_model_free(c.m);
	}
}

/* ---- attention functionals ---- */

/* A probe that computes one A_c of one (layer, sequence, head), with frozen c for `own`. */
typedef struct {
	sx_family family;
	int layer, head;
	int64_t seq;
	bool gradients, freeze;
	double *frozen; /* (T,T): c of `own` at the point of the gradient */
	sx_functional f;
	double *store, c[T * T], g[64 * 32];
	double euler; /* sum g_ij s_ij, of s without the bias */
} watcher;

static sx_status watch_tile(void *self, const sx_tile *t)
{
	watcher *w = self;
	const sx_head *h = t->head;
	if (h->layer != w->layer || h->head != w->head || h->seq != w->seq) return SX_OK;
	if (t->row0 == 0) sx_functional_start(&w->f, 1, h->spec, T, w->gradients, w->store);
	memset(w->c, 0, sizeof w->c);
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, h->plan->window);
		double *c = w->c + r * T + (first - t->key0);
		if (w->frozen && !w->freeze)
			memcpy(c, w->frozen + i * T + first, (size_t)(i - first + 1) * sizeof *c);
		else
			sx_family_row(&w->family, i, first, t->p + r * t->ld + (first - t->key0),
				      c);
		if (w->freeze)
			memcpy(w->frozen + i * T + first, c, (size_t)(i - first + 1) * sizeof *c);
	}
	sx_functional_tile(&w->f, t, w->c, T, w->g);
	double slope = h->plan->n_slopes > 0 ? h->plan->slopes[h->head] : 0;
	for (int64_t r = 0; w->gradients && r < t->nrow; r++)
		for (int64_t j = 0; j < t->nkey; j++)
			if (isfinite(t->s[r * t->ld + j])) {
				double distance = (double)(t->row0 + r - t->key0 - j);
				w->euler += w->g[r * t->ld + j] *
					    (t->s[r * t->ld + j] + slope * distance);
			}
	return SX_OK;
}

static sx_status watch_end(void *self, const sx_head *h)
{
	watcher *w = self;
	if (h->layer == w->layer && h->head == w->head && h->seq == w->seq)
		sx_functional_finish(&w->f, 1, h);
	return SX_OK;
}

typedef struct {
	model_case m;
	watcher w;
} functional_case;

static double functional_value(void *self)
{
	functional_case *c = self;
	c->w.gradients = false;
	sx_probe p = {.self = &c->w, .tile = watch_tile, .head_end = watch_end};
	assert_int_equal(
		sx_forward(NULL, c->m.m, c->m.w,
			   &(sx_request){.tokens = c->m.tokens, .B = B, .probe = &p, .n_probe = 1},
			   NULL),
		SX_OK);
	return c->w.f.value;
}

static void check_functional(const variant *v, const char *family, int layer)
{
	functional_case *c = calloc(1, sizeof *c);
	assert_non_null(c);
	c->m.m = variant_model(v, layer + 1);
	fill_tokens(&c->m);
	assert_int_equal(sx_work_new(&c->m.w, NULL, c->m.m, B, T, SX_WORK_FORWARD), SX_OK);
	const sx_spec *s = &c->m.m->spec;
	watcher *w = &c->w;
	assert_int_equal(sx_family_parse(&w->family, NULL, family), SX_OK);
	w->layer = layer, w->head = 1, w->seq = 1;
	w->store = randoms(sx_functional_reals(s, T), 0);
	if (strcmp(family, "own") == 0) w->frozen = randoms(T * T, 0);
	w->freeze = w->frozen != NULL;
	w->gradients = true;
	sx_probe p = {.self = w, .tile = watch_tile, .head_end = watch_end};
	assert_int_equal(
		sx_forward(NULL, c->m.m, c->m.w,
			   &(sx_request){.tokens = c->m.tokens, .B = B, .probe = &p, .n_probe = 1},
			   NULL),
		SX_OK);
	w->freeze = false;

	int64_t C = s->C, D = s->D, kv = w->head / (s->H / s->Hkv);
	double *store = w->store; /* later passes do not touch it: they ask for the value alone */
	sx_functional f = w->f;
	assert_ptr_equal(f.dq, store);
	double *wq = c->m.m->p.wq + (layer * s->H + w->head) * D * C;
	double *wk = c->m.m->p.wk + (layer * s->Hkv + kv) * D * C;
	double eq = direction_error(functional_value, c, wq, f.dwq, D * C);
	double ek = direction_error(functional_value, c, wk, f.dwk, D * C);
	if (!(eq <= tolerance && ek <= tolerance))
		fail_msg("%s, %s: dA/dW_Q %.3g, dA/dW_K %.3g", v->name, family, eq, ek);
	check_close(f.norm[SX_WRT_WQ], sqrt(dot(f.dwq, f.dwq, D * C)), 1e-14);

	if (layer == 0) { /* h by way of the embedding: x of each token, one layer's norm */
		double *dx = randoms(T * C, 0), *scratch = randoms(sx_layernorm_scratch(T, C), 0);
		double *table = calloc((size_t)(s->V * C), sizeof *table);
		assert_non_null(table);
		int64_t at = w->seq * T * C, row = w->seq * T;
		/* the work's x was overwritten by the layer's output: embed again */
		double *x = randoms(B * T * C, 0), *y = randoms(B * T * C, 0);
		double *rstd = randoms(B * T, 0), *mean = randoms(B * T, 0);
		const sx_params *own = &c->m.m->p;
		sx_embed_fwd(x, c->m.tokens, own->embed, B * T, C);
		if (s->block.norm_after) {
			memcpy(dx, f.dh, (size_t)(T * C) * sizeof *dx);
		} else if (s->block.norm == SX_NORM_LAYER) {
			sx_layernorm_fwd(y, mean, rstd, x, own->ln1, own->ln1_b, s->eps, B * T, C);
			sx_layernorm_bwd(dx, NULL, NULL, f.dh, x + at, mean + row, rstd + row,
					 own->ln1, false, T, C, scratch);
		} else {
			sx_norm_fwd(y, rstd, x, own->ln1, s->eps, B * T, 1, C);
			sx_norm_bwd(dx, NULL, f.dh, x + at, rstd + row, own->ln1, false, T, 1, C,
				    scratch);
		}
		sx_embed_bwd(table, dx, c->m.tokens + w->seq * T, T, C);
		double eh = direction_error(functional_value, c, c->m.m->p.embed, table, s->V * C);
		if (!(eh <= tolerance)) fail_msg("%s, %s: dA/dh %.3g", v->name, family, eh);
		double *all[] = {dx, scratch, table, x, y, rstd, mean};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
	/* Euler: the scores are bilinear in the projections, so <dW_Q, W_Q> + <db_q, b_q> = sum g s,
	 * and likewise for the keys (each side where it goes through no QK-norm). db_q = sum_i dq_i. */
	double q = dot(f.dwq, wq, D * C), k = dot(f.dwk, wk, D * C);
	for (int64_t t = 0; s->qkv_bias && t < T; t++)
		for (int64_t d = 0; d < D; d++) {
			q += f.dq[t * f.ld + d] * c->m.m->p.bq[(layer * s->H + w->head) * D + d];
			k += f.dk[t * f.ld + d] * c->m.m->p.bk[(layer * s->Hkv + kv) * D + d];
		}
	double size = fabs(w->euler) + 1e-3 * f.norm[SX_WRT_WQ];
	if ((!sx_q_normed(s) && !(fabs(q - w->euler) <= 1e-9 * size)) ||
	    (!sx_k_normed(s) && !(fabs(k - w->euler) <= 1e-9 * size)))
		fail_msg("%s, %s: Euler %.17g %.17g %.17g", v->name, family, q, k, w->euler);
	free(store);
	free(w->frozen);
	sx_work_free(c->m.w);
	sx_model_free(c->m.m);
	free(c);
}

static void test_functionals(void **state)
{
	(void)state;
	const char *const families[] = {"diagonal", "previous", "offset:3",
					"first",    "window:4", "own"};
	for (int i = 0; i < N_VARIANTS; i++)
		for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
			for (int layer = 0; layer < 2; layer++)
				check_functional(&variants[i], families[f], layer);
}

/* Every row of every family sums to zero, and window:1 is diagonal, offset:1 previous. */
static void test_families(void **state)
{
	(void)state;
	const char *const names[] = {"diagonal", "previous", "offset:3", "first",
				     "window:4", "own",      "window:1", "offset:1"};
	double c[8][40], p[40];
	for (int64_t i = 0; i < 40; i++)
		for (int64_t first = 0; first <= i; first += 1 + i / 3) {
			int64_t n = i - first + 1;
			for (int64_t j = 0; j < n; j++)
				p[j] = (double)(j + 1) / ((double)n * (double)(n + 1) / 2);
			for (int f = 0; f < 8; f++) {
				sx_family fam;
				assert_int_equal(sx_family_parse(&fam, NULL, names[f]), SX_OK);
				sx_family_row(&fam, i, first, p, c[f]);
				double sum = 0;
				for (int64_t j = 0; j < n; j++) sum += c[f][j];
				check_close(sum, 0, 1e-14);
			}
			check_near(c[6], c[0], n, 0);
			check_near(c[7], c[1], n, 0);
			if (n > 1) check_close(c[0][n - 1], 1, 0);
			if (n > 3) check_close(c[2][n - 4], 1, 0);
			if (n > 4) check_close(c[4][0], -4.0 / (double)(n - 4), 1e-15);
		}
	sx_family fam;
	assert_int_equal(sx_family_parse(&fam, NULL, "offset"), SX_ECONFIG);
	assert_int_equal(sx_family_parse(&fam, NULL, "offset:0"), SX_ECONFIG);
	assert_int_equal(sx_family_parse(&fam, NULL, "diagonal:2"), SX_ECONFIG);
	assert_int_equal(sx_family_parse(&fam, NULL, "diag"), SX_ECONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),    cmocka_unit_test(test_norm),
		cmocka_unit_test(test_rotate),    cmocka_unit_test(test_attention),
		cmocka_unit_test(test_layernorm), cmocka_unit_test(test_gelu),
		cmocka_unit_test(test_swiglu),    cmocka_unit_test(test_embed),
		cmocka_unit_test(test_loss),      cmocka_unit_test(test_model),
		cmocka_unit_test(test_families),  cmocka_unit_test(test_functionals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

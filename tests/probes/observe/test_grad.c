/* Gradients of the loss in every head (probes/observe/grad.c) against what the engine's backward pass gives by
 * other ways: the gradients of parameters, those at the sites of whole layers, and maps multiplied out
 * in full. */
#include "tests/support/small_model.h"

#include <math.h>

enum { T = 37, LAYERS = 2, HEADS = 3, D = 8, C = 24 };

/* Copies of the sites' values and gradients, (T, width) per layer. */
typedef struct {
	sx_real *data[2][SX_SITE_COUNT][LAYERS];
} sites;

static sx_status keep(void *self, const sx_site_event *e)
{
	sites *k = self;
	sx_real *x = sx_calloc((size_t)(e->B * e->T * e->width), sizeof *x);
	memcpy(x, e->data, (size_t)(e->B * e->T * e->width) * sizeof *x);
	free(k->data[e->grad][e->site][e->layer]);
	k->data[e->grad][e->site][e->layer] = x;
	return SX_OK;
}

static void sites_free(sites *k)
{
	for (int g = 0; g < 2; g++)
		for (int s = 0; s < SX_SITE_COUNT; s++)
			for (int l = 0; l < LAYERS; l++) free(k->data[g][s][l]);
}

typedef struct {
	sx_model *m;
	sx_work *w;
	sx_params grad;
	sx_real *reals;
	observed o;
	sites k;
} passed;

/* One sequence forward and backward with everything watching. */
static void pass_through(passed *x, const sx_spec *s, double sd)
{
	const char *names[] = {"diagonal"};
	int32_t *tokens = small_tokens(T, s->V, 5), target[T];
	int n = 0, nb = 0;
	x->m = small_model(s, 3, sd);
	x->w = small_work(x->m, 1, T, SX_WORK_TRAIN);
	x->reals = sx_calloc((size_t)x->m->p.count, sizeof *x->reals);
	sx_params_layout(&x->grad, s, x->reals);
	for (int t = 0; t < T; t++) target[t] = t + 1 < T && t % 5 ? tokens[t + 1] : -1;
	x->o = observe_all(s, 1, T, names, 1);
	sx_measures_free(x->o.measures);
	x->o.opts.grad = true;
	assert_int_equal(
		sx_measures_new(&x->o.measures, NULL, &x->o.opts, 1, s->L, s->H, T, s->D / 2, 1),
		SX_OK);
	const sx_probe *probe = observe_with(&x->o, s, &n);
	sx_probe forward[8], backward[2];
	memcpy(forward, probe, (size_t)n * sizeof *probe);
	forward[n] = (sx_probe){.self = &x->k, .site = keep};
	assert_int_equal(sx_forward(NULL, x->m, x->w,
				    &(sx_request){.tokens = tokens,
						  .target = target,
						  .B = 1,
						  .probe = forward,
						  .n_probe = n + 1},
				    NULL),
			 SX_OK);
	probe = sx_observers_backward(x->o.observers, &nb);
	assert_int_equal(nb, 1);
	backward[0] = probe[0];
	backward[1] = forward[n];
	assert_int_equal(sx_backward(NULL, x->m, x->w, &x->grad,
				     &(sx_request){.tokens = tokens,
						   .target = target,
						   .B = x->w->used_B,
						   .probe = backward,
						   .n_probe = 2},
				     1 / (double)x->w->counted),
			 SX_OK);
	free(tokens);
}

static void passed_free(passed *x)
{
	observed_free(&x->o);
	sites_free(&x->k);
	sx_work_free(x->w);
	sx_model_free(x->m);
	free(x->reals);
}

/* Norm of rows x n of an array whose rows are ld apart. */
static double norm_of(const sx_real *x, int64_t rows, int64_t n, int64_t ld)
{
	double sum = 0;
	for (int64_t r = 0; r < rows; r++)
		for (int64_t c = 0; c < n; c++)
			sum += (double)x[r * ld + c] * (double)x[r * ld + c];
	return sqrt(sum);
}

static void near(double got, double want)
{
	double allowed = 2e3 * unit_roundoff * fabs(want) + 1e2 * unit_roundoff * 1e-3;
	if (!(fabs(got - want) <= allowed)) fail_msg("got %.17g, want %.17g", got, want);
}

/* ds and the flow of a head from its map, dz and v, multiplied out. */
static void naive(const passed *x, const sx_spec *s, int l, int h, double *ds_norm, double *flow)
{
	int64_t group = s->H / s->Hkv, ldq = (int64_t)s->H * s->D, ldk = (int64_t)s->Hkv * s->D;
	const double *p = x->o.map + (l * s->H + h) * T * T;
	const sx_real *dz = x->k.data[1][SX_SITE_Z][l] + h * s->D;
	const sx_real *v = x->k.data[0][SX_SITE_V][l] + h / group * s->D;
	double ss = 0;
	memset(flow, 0, T * sizeof *flow);
	for (int i = 0; i < T; i++) {
		double dp[T], mean = 0;
		for (int j = 0; j <= i; j++) {
			dp[j] = 0;
			for (int c = 0; c < s->D; c++)
				dp[j] += (double)dz[i * ldq + c] * (double)v[j * ldk + c];
			mean += p[i * T + j] * dp[j];
			flow[j] += p[i * T + j] * dp[j];
		}
		for (int j = 0; j <= i; j++) ss += pow(p[i * T + j] * (dp[j] - mean), 2);
	}
	*ds_norm = sqrt(ss);
}

static void check_head(const passed *x, const sx_spec *s, int l, int h)
{
	const sx_measures *m = x->o.measures;
	int64_t at = l * s->H + h, ldq = (int64_t)s->H * s->D, size = (int64_t)s->D * s->C;
	double ds, flow[T], scale = 0;
	naive(x, s, l, h, &ds, flow);
	near(m->grad[SX_GRAD_DS][at], ds);
	for (int j = 0; j < T; j++) scale = fmax(scale, fabs(flow[j]));
	for (int j = 0; j < T; j++)
		assert_true(fabs(m->key_flow[at * T + j] - flow[j]) <= 1e3 * unit_roundoff * scale);
	near(m->grad[SX_GRAD_DQ][at], norm_of(x->k.data[1][SX_SITE_Q][l] + h * s->D, T, s->D, ldq));
	near(m->grad[SX_GRAD_DWQ][at], norm_of(x->grad.wq + (l * s->H + h) * size, 1, size, size));
	if (s->Hkv < s->H) return; /* the engine sums these over the group */
	near(m->grad[SX_GRAD_DK][at], norm_of(x->k.data[1][SX_SITE_K][l] + h * s->D, T, s->D, ldq));
	near(m->grad[SX_GRAD_DWK][at], norm_of(x->grad.wk + (l * s->H + h) * size, 1, size, size));
	/* scaling v_j scales what goes through its probabilities: v_j . dv_j is the flow */
	const sx_real *v = x->k.data[0][SX_SITE_V][l], *dv = x->k.data[1][SX_SITE_V][l];
	for (int j = 0; j < T; j++) {
		double dot = 0;
		for (int c = 0; c < s->D; c++)
			dot += (double)v[j * ldq + h * s->D + c] *
			       (double)dv[j * ldq + h * s->D + c];
		assert_true(fabs(m->key_flow[at * T + j] - dot) <= 1e3 * unit_roundoff * scale);
	}
}

static void check_spec(const sx_spec *s)
{
	passed x = {0};
	pass_through(&x, s, 0.3);
	for (int l = 0; l < s->L; l++)
		for (int h = 0; h < s->H; h++) check_head(&x, s, l, h);
	passed_free(&x);
}

static void test_rope(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", LAYERS, C, HEADS, HEADS, D);
	check_spec(&s);
}

static void test_nope_biases(void **state)
{
	(void)state;
	sx_spec s = small_spec("nope", LAYERS, C, HEADS, HEADS, D);
	s.qkv_bias = true;
	check_spec(&s);
}

static void test_shared_keys(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", LAYERS, C, HEADS, 1, D);
	check_spec(&s);
}

static void test_qk_norm(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", LAYERS, C, HEADS, HEADS, D);
	s.qk_norm = SX_QK_NORM_HEAD;
	check_spec(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rope),
		cmocka_unit_test(test_nope_biases),
		cmocka_unit_test(test_shared_keys),
		cmocka_unit_test(test_qk_norm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

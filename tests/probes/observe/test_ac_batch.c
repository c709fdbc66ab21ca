/* The gradient of the mean of A_c over sequences against central differences of that mean, in double;
 * and that it is not the mean of the sequences' norms. */
#include "tests/support/small_model.h"

static const char *const families[] = {"diagonal", "previous"};
enum { B = 3, LENGTH = 12, N_C = 2, LAYER = 1, HEAD = 2 };

static observed observe_batch(const sx_spec *s, int64_t S)
{
	observed o = {.opts = {.ac = true, .ac_gradients = true, .ac_batch = true}};
	for (int c = 0; c < N_C; c++)
		assert_int_equal(sx_family_parse(&o.family[c], NULL, families[c]), SX_OK);
	assert_int_equal(
		sx_measures_new(&o.measures, NULL, &o.opts, S, s->L, s->H, LENGTH, s->D / 2, N_C),
		SX_OK);
	return o;
}

/* Passes of one sequence each, as `trace` does. */
static void pass_all(observed *o, const sx_model *m, sx_work *w, const int32_t *tokens, int64_t S)
{
	int n = 0;
	const sx_probe *probe = observe_with(o, &m->spec, &n);
	for (int64_t s = 0; s < S; s++) {
		sx_observers_place(o->observers, s);
		assert_int_equal(sx_forward(NULL, m, w,
					    &(sx_request){.tokens = tokens + s * LENGTH,
							  .B = 1,
							  .probe = probe,
							  .n_probe = n},
					    NULL),
				 SX_OK);
	}
}

static int64_t place(const sx_spec *s, int c, int wrt)
{
	return ((LAYER * s->H + HEAD) * N_C + c) * SX_WRT_COUNT + wrt;
}

static double mean_of(const observed *o, const sx_spec *s, int c)
{
	double sum = 0;
	for (int64_t b = 0; b < B; b++)
		sum += o->measures->ac_value[((b * s->L + LAYER) * s->H + HEAD) * N_C + c];
	return sum / B;
}

/* Norm of the differences of the mean by the n numbers at w. */
static void check_norm(sx_model *m, sx_work *w, const int32_t *tokens, sx_real *at, int64_t n,
		       int wrt)
{
	const double eps = 1e-5; /* error eps^2 A''' and u A / eps: both below 1e-9 of 0.01 */
	observed o = observe_batch(&m->spec, B);
	double squares[N_C] = {0}, up[N_C];
	for (int64_t i = 0; i < n; i++) {
		sx_real was = at[i];
		at[i] = was + eps;
		pass_all(&o, m, w, tokens, B);
		for (int c = 0; c < N_C; c++) up[c] = mean_of(&o, &m->spec, c);
		at[i] = was - eps;
		pass_all(&o, m, w, tokens, B);
		for (int c = 0; c < N_C; c++) {
			double d = (up[c] - mean_of(&o, &m->spec, c)) / (2 * eps);
			squares[c] += d * d;
		}
		at[i] = was;
	}
	pass_all(&o, m, w, tokens, B);
	for (int c = 0; c < N_C; c++) {
		double got = o.measures->ac_batch_grad[place(&m->spec, c, wrt)], each = 0;
		for (int64_t b = 0; b < B; b++)
			each += o.measures->ac_grad[(((b * m->spec.L + LAYER) * m->spec.H + HEAD) *
							     N_C +
						     c) * SX_WRT_COUNT +
						    wrt] /
				B;
		assert_true(got > 1e-3);
		check_close(got / sqrt(squares[c]), 1, 1e-7);
		assert_true(got < 0.95 * each); /* the sequences do not agree */
	}
	observed_free(&o);
}

static void check_method(const char *method)
{
	sx_spec spec = small_spec(method, 2, 12, 4, 4, 4);
	sx_model *m = small_model(&spec, 7, 0.5);
	sx_work *w = small_work(m, 1, LENGTH, SX_WORK_FORWARD);
	int32_t *tokens = small_tokens(B * LENGTH, spec.V, 3);
	int64_t n = (int64_t)spec.D * spec.C, at = (LAYER * spec.H + HEAD) * n;
	check_norm(m, w, tokens, m->p.wq + at, n, SX_WRT_WQ);
	check_norm(m, w, tokens, m->p.wk + at, n, SX_WRT_WK);
	sx_work_free(w);
	sx_model_free(m);
	free(tokens);
}

static void test_differences(void **state)
{
	(void)state;
	check_method("nope");
	check_method("rope");
}

/* One sequence three times: the mean gradient is its gradient; what has no mean is NaN. */
static void test_same(void **state)
{
	(void)state;
	sx_spec spec = small_spec("rope", 2, 12, 4, 2, 4);
	sx_model *m = small_model(&spec, 9, 0.5);
	sx_work *w = small_work(m, 1, LENGTH, SX_WORK_FORWARD);
	int32_t *one = small_tokens(LENGTH, spec.V, 4), tokens[B * LENGTH];
	for (int64_t i = 0; i < B * LENGTH; i++) tokens[i] = one[i % LENGTH];
	observed o = observe_batch(&spec, B);
	pass_all(&o, m, w, tokens, B);
	for (int64_t i = 0; i < spec.L * spec.H * N_C * SX_WRT_COUNT; i++) {
		bool weights = i % SX_WRT_COUNT <= SX_WRT_WK;
		if (weights)
			check_close(o.measures->ac_batch_grad[i] / o.measures->ac_grad[i], 1,
				    1e-12);
		else
			assert_true(isnan(o.measures->ac_batch_grad[i]));
	}
	observed_free(&o);
	sx_work_free(w);
	sx_model_free(m);
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

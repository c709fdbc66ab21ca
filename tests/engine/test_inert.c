/* Measuring changes nothing: logits, weights after training, and what is measured have the same
 * bits with every observer on or none, and for 1, 2 and 8 threads. */
#include "tests/support/small_model.h"

#include "engine/model/train.h"
#include "engine/op/blas.h"

static const int thread_counts[] = {1, 2, 8};
static int n_counts =
	sizeof thread_counts / sizeof thread_counts[0]; /* 1 where BLAS forbids more */
enum { N_C = 2 };
static const char *const families[N_C] = {"previous", "own"};

static void check_bits(const void *a, const void *b, size_t size, const char *what, int threads,
		       bool probed)
{
	if (memcmp(a, b, size) != 0)
		fail_msg("%s differ: %d threads, observers %s", what, threads,
			 probed ? "on" : "off");
}

/* Every array there is, one after the other. NaN has one spelling: arrays are compared as bits. */
static double *flatten(const observed *o, int64_t *n)
{
	const sx_measures *m = o->measures;
	int64_t heads = m->S * m->L * m->H;
	const struct {
		const double *x;
		int64_t n;
	} parts[] = {{m->offset_profile, heads * SX_OFFSET_BINS},
		     {m->score_offset, heads * sx_score_bins(m->T)},
		     {m->rope_q, heads * m->n_freq},
		     {m->rope_k, heads * m->n_freq},
		     {m->rope_share, heads * m->n_freq},
		     {m->rope_signed, heads * m->n_freq},
		     {m->rope_var, heads * m->n_freq},
		     {m->rope_rest, heads},
		     {m->ac_value, heads * m->n_c},
		     {m->ac_grad, heads * m->n_c * m->n_wrt},
		     {m->logit_osc, heads},
		     {m->uniform_l1, heads},
		     {m->prefix_spread, m->S * m->L},
		     {o->map, heads * m->T * m->T}};
	enum { PARTS = sizeof parts / sizeof parts[0] };
	*n = SX_STAT_COUNT * heads;
	for (int i = 0; i < PARTS; i++) *n += parts[i].n;
	for (int i = 0; i < SX_SITE_COUNT; i++) *n += sx_site_rows_count(o->sites, (sx_site)i);
	double *all = sx_calloc((size_t)*n, sizeof *all), *at = all;
	assert_non_null(all);
	for (int s = 0; s < SX_STAT_COUNT; s++, at += heads)
		memcpy(at, m->stat[s], (size_t)heads * sizeof *at);
	for (int i = 0; i < PARTS; at += parts[i].n, i++)
		memcpy(at, parts[i].x, (size_t)parts[i].n * sizeof *at);
	for (int i = 0; i < SX_SITE_COUNT; i++)
		for (int64_t e = 0; e < sx_site_rows_count(o->sites, (sx_site)i); e++)
			*at++ = (double)m->site_rows->at[i][e];
	assert_ptr_equal(at, all + *n);
	for (int64_t e = 0; e < *n; e++)
		if (isnan(all[e])) all[e] = (double)NAN;
	return all;
}

/* ---- a forward pass ---- */

/* Logits and, with `into`, everything measured. */
static sx_real *trace(const sx_model *m, const int32_t *tokens, int64_t B, int64_t T, int threads,
		      double **into, int64_t *n_into)
{
	omp_set_num_threads(threads);
	sx_work *w = small_work(m, B, T, SX_WORK_FORWARD);
	observed o = observe_all(&m->spec, B, T, families, N_C);
	int n = 0;
	const sx_probe *p = into ? observe_with(&o, &m->spec, &n) : NULL;
	assert_int_equal(
		sx_forward(NULL, m, w,
			   &(sx_request){.tokens = tokens, .B = B, .probe = p, .n_probe = n}, NULL),
		SX_OK);
	if (into) *into = flatten(&o, n_into);
	sx_real *logits = sx_calloc((size_t)(B * T * m->spec.V), sizeof *logits);
	assert_non_null(logits);
	sx_logits(m, w, 0, B * T, logits);
	observed_free(&o);
	sx_work_free(w);
	return logits;
}

/* Observers off and on with every number of threads; where not `all`, off with 1, on with 2 and 8. */
static void check_trace(const sx_spec *s, int64_t B, int64_t T, bool all)
{
	sx_model *m = small_model(s, 3, 0.15);
	int32_t *x = small_tokens(B * T, s->V, 4);
	size_t size = (size_t)(B * T * s->V) * sizeof(sx_real);
	double *measured = NULL;
	int64_t n_measured = 0;
	sx_real *want = trace(m, x, B, T, 1, NULL, NULL);
	for (int k = 0; k < n_counts; k++) {
		int threads = thread_counts[k];
		if (!all && threads == 1) continue;
		if (all && threads > 1) {
			sx_real *got = trace(m, x, B, T, threads, NULL, NULL);
			check_bits(got, want, size, "logits", threads, false);
			free(got);
		}
		double *values = NULL;
		int64_t n = 0;
		sx_real *got = trace(m, x, B, T, threads, &values, &n);
		check_bits(got, want, size, "logits", threads, true);
		free(got);
		if (measured) {
			assert_int_equal(n, n_measured);
			check_bits(values, measured, (size_t)n * sizeof *values, "measures",
				   threads, true);
			free(values);
		} else {
			measured = values;
			n_measured = n;
		}
	}
	assert_true(n_measured > 0);
	free(measured);
	free(want);
	free(x);
	sx_model_free(m);
}

static void test_trace(void **state)
{
	(void)state;
	const sx_qk_norm norms[] = {SX_QK_NORM_NONE, SX_QK_NORM_FULL, SX_QK_NORM_HEAD};
	for (int i = 0; i < 3; i++) {
		sx_spec s = small_spec(i ? "rope" : "yarn", 2, 64, 4, 2, 16);
		s.qk_norm = norms[i], s.qkv_bias = i == 0, s.pos.factor = 4;
		s.pos.window = i == 1 ? 50 : 0;
		check_trace(&s, 3, 130, true);
	}
}

static void test_trace_long(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 1, 64, 2, 2, 16);
	check_trace(&s, 1, 1024, true);
	check_trace(&s, 8, 1024, false);
}

/* ---- training ---- */

typedef struct {
	int64_t steps, batch, accumulate, T;
} schedule;

/* The weights afterwards, and Adam's second moments. */
static sx_real *train(const sx_spec *s, schedule c, int threads, bool probed)
{
	omp_set_num_threads(threads);
	const sx_train_opts o = {.steps = c.steps,
				 .batch = c.batch,
				 .accumulate = c.accumulate,
				 .lr = 1e-2,
				 .min_lr = 1e-3,
				 .warmup = 2,
				 .adamw = {0.9, 0.95, 1e-8, 0.1},
				 .clip = 1,
				 .drop_at = c.steps / 2,
				 .drop_steps = c.steps - c.steps / 2,
				 .drop_lr = 5e-3,
				 .drop_qk_norm = SX_QK_NORM_FULL};
	sx_trainer *t = NULL;
	assert_int_equal(sx_trainer_new(&t, NULL, small_model(s, 3, 0.15), &o, c.T), SX_OK);
	observed obs = observe_all(s, c.batch / c.accumulate, c.T, families, N_C);
	for (int64_t k = 0; k < c.steps; k++) {
		int n = 0;
		if (sx_trainer_drop_due(t)) assert_int_equal(sx_trainer_drop(NULL, t), SX_OK);
		const sx_probe *p = probed ? observe_with(&obs, &t->model->spec, &n) : NULL;
		int32_t *x = small_tokens(c.batch * c.T, s->V, (uint64_t)(2 * k));
		int32_t *y = small_tokens(c.batch * c.T, s->V, (uint64_t)(2 * k + 1));
		sx_step_result r;
		assert_int_equal(
			sx_trainer_step(
				NULL, t,
				&(sx_request){.tokens = x, .target = y, .probe = p, .n_probe = n},
				NULL, NULL, &r),
			SX_OK);
		free(x);
		free(y);
	}
	int64_t count = t->model->p.count;
	sx_real *w = sx_calloc((size_t)(2 * count + 1), sizeof *w);
	assert_non_null(w);
	w[0] = (sx_real)count;
	memcpy(w + 1, t->model->p.base, (size_t)count * sizeof *w);
	memcpy(w + 1 + count, t->adam->v, (size_t)count * sizeof *w);
	observed_free(&obs);
	sx_trainer_free(t);
	return w;
}

/* Observers off and on with every number of threads; where not `all`, off with 1 and on with most. */
static void check_training(const sx_spec *s, schedule c, bool all)
{
	sx_real *want = train(s, c, 1, false);
	size_t size = (2 * (size_t)want[0] + 1) * sizeof *want;
	for (int k = all ? 0 : n_counts - 1; k < n_counts; k++)
		for (int probed = all ? 0 : 1; probed < 2; probed++) {
			if (thread_counts[k] == 1 && !probed) continue; /* that is want */
			sx_real *got = train(s, c, thread_counts[k], probed);
			check_bits(got, want, size, "weights", thread_counts[k], probed);
			free(got);
		}
	free(want);
}

/* Twenty updates with a drop on the way, grouped heads, bias. */
static void test_training(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 2, 64, 4, 2, 16);
	s.qkv_bias = true;
	check_training(&s, (schedule){.steps = 20, .batch = 4, .accumulate = 2, .T = 70}, true);
}

static void test_training_long(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 2, 64, 2, 2, 16);
	check_training(&s, (schedule){.steps = 3, .batch = 1, .accumulate = 1, .T = 1024}, false);
	s.L = 1;
	check_training(&s, (schedule){.steps = 2, .batch = 8, .accumulate = 1, .T = 1024}, false);
}

/* Other blocks; and memory for one layer, whose output takes the place of its input, against memory
 * for all of them. */
static void test_blocks(void **state)
{
	(void)state;
	enum { B = 2, T = 70, L = 3 };
	for (int k = 0; k < SMALL_BLOCKS; k++) {
		sx_spec s = small_block_spec(small_spec("rope", L, 64, 4, 2, 16), k);
		check_trace(&s, B, T, k == 0);
		sx_model *m = small_model(&s, 3, 0.15);
		int32_t *x = small_tokens(B * T, s.V, 4);
		size_t size = (size_t)(B * T * s.V) * sizeof(sx_real);
		sx_real *logits[2];
		for (int mode = SX_WORK_FORWARD; mode <= SX_WORK_TRAIN; mode++) {
			sx_work *w = small_work(m, B, T, (sx_work_mode)mode);
			assert_int_equal(
				sx_forward(NULL, m, w, &(sx_request){.tokens = x, .B = B}, NULL),
				SX_OK);
			logits[mode] = sx_calloc((size_t)(B * T * s.V), sizeof(sx_real));
			assert_non_null(logits[mode]);
			sx_logits(m, w, 0, B * T, logits[mode]);
			sx_work_free(w);
		}
		check_bits(logits[0], logits[1], size, "logits of either mode", 8, false);
		free(logits[0]);
		free(logits[1]);
		free(x);
		sx_model_free(m);
		check_training(&s, (schedule){.steps = 3, .batch = 2, .accumulate = 1, .T = T},
			       false);
	}
}

static int start(void **state)
{
	(void)state;
	sx_blas_start(NULL, 8);
	const char *wanted = getenv("SX_EXPECT_BLAS");
	if (wanted) assert_string_equal(sx_blas_build(), wanted);
	print_message("%s; build %s, core %s\n", sx_blas_config(), sx_blas_build(), sx_blas_core());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace),         cmocka_unit_test(test_trace_long),
		cmocka_unit_test(test_training),      cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_training_long),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

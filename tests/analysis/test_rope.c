/* Frequency use from a run file made for the purpose: what is planted comes out, the bound on the
 * shift holds for the worst phases, and `rope table` prints the golden file's numbers. */
#include "analysis/rope.h"
#include "cli/rope_print.h"
#include "tests/support/run_fixture.h"

#include <jansson.h>

enum { LAYER = 2, HEAD = 3, FREQ = 4, SEQ = 6, KEPT = 5, N = LAYER * HEAD, C = 100, LONG = 40 };
static const uint8_t kinds[SEQ] = {0, 0, 0, 1, 3, 2}; /* one constant, in the middle */
static const double omega[FREQ] = {1, 0.1, 0.01, 0.001};
static const double turned[LAYER * FREQ] = {1, 1, 1, 1, 1, 1, 1, 1};

/* Head i leans on fast pairs the more the smaller i is; sequences differ by a wobble whose mean over
 * the kept ones is zero. */
static double base_share(int i, int m)
{
	double w[FREQ], sum = 0;
	for (int k = 0; k < FREQ; k++) sum += w[k] = exp(-0.4 * (i - 2) * -k * 0.5);
	return w[m] / sum;
}

static double planted(int q, int i, int m)
{
	static const double wobble[SEQ] = {-2, -1, 0, 1, 1e6, 2};
	return base_share(i, m) + 0.01 * wobble[q] * (m == 0 ? 1 : m == 3 ? -1 : 0);
}

static double norm_q(int i, int m)
{
	return 1 + i + 0.5 * m;
}

static double norm_k(int i, int m)
{
	return 2 - 0.3 * m + 0.1 * i;
}

static void put_record(struct fixture *f, sx_run *run, int64_t rec, int64_t step, uint8_t phase,
		       double gamma)
{
	double x[SEQ * N * FREQ], g[LAYER * FREQ], rest[SEQ * N];
	for (int i = 0; i < LAYER * FREQ; i++) g[i] = gamma;
	ok(f, sx_run_put(run, SX_RUN_ROPE_GAMMA, rec, g));
	for (int part = 0; part < 4; part++) {
		const sx_run_id id[] = {SX_RUN_ROPE_LOGIT_SHARE, SX_RUN_ROPE_LOGIT_VAR,
					SX_RUN_ROPE_Q_NORM, SX_RUN_ROPE_K_NORM};
		for (int q = 0; q < SEQ; q++)
			for (int i = 0; i < N; i++)
				for (int m = 0; m < FREQ; m++)
					x[(q * N + i) * FREQ + m] = part < 2 ? planted(q, i, m)
								    : kinds[q] == 3 ? (double)NAN
								    : part == 2     ? norm_q(i, m)
										    : norm_k(i, m);
		ok(f, sx_run_put(run, id[part], rec, x));
	}
	for (int i = 0; i < SEQ * N; i++) rest[i] = 0.25;
	ok(f, sx_run_put(run, SX_RUN_ROPE_LOGIT_REST, rec, rest));
	ok(f, sx_run_put(run, SX_RUN_ROPE_PHASE, rec, &phase));
	ok(f, sx_run_put(run, SX_RUN_ROPE_STEP, rec, &step));
	double ac[SEQ * N * 3];
	for (int i = 0; i < SEQ * N * 3; i++) ac[i] = i % 3 == 1 ? 99 : -0.1 * (i / 3 % N) - i % 3;
	ok(f, sx_run_put(run, SX_RUN_AC_VALUE, rec, ac));
	ok(f, sx_run_put(run, SX_RUN_AC_PHASE, rec, &phase));
	ok(f, sx_run_put(run, SX_RUN_AC_STEP, rec, &step));
}

static void define(struct fixture *f, sx_run *run)
{
	static const sx_run_id data[] = {
		SX_RUN_ROPE_PHASE,      SX_RUN_ROPE_GAMMA,       SX_RUN_ROPE_Q_NORM,
		SX_RUN_ROPE_K_NORM,     SX_RUN_ROPE_LOGIT_SHARE, SX_RUN_ROPE_LOGIT_VAR,
		SX_RUN_ROPE_LOGIT_REST, SX_RUN_AC_PHASE,         SX_RUN_AC_VALUE};
	const char *c[] = {"diagonal", "offset:3", "previous"};
	ok(f, sx_run_grow(run, SX_RUN_ROPE_STEP, 1));
	ok(f, sx_run_grow(run, SX_RUN_AC_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_SEQUENCE, SEQ));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_SEQUENCE, SEQ));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_LAYER, LAYER));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_HEAD, HEAD));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_FREQ, FREQ));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_SEQUENCE, SEQ));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, LAYER));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_HEAD, HEAD));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, 3, c));
	ok(f, sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND));
	ok(f, sx_run_define(run, SX_RUN_ROPE_INV_FREQ));
	for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
		ok(f, sx_run_define(run, data[i]));
	ok(f, sx_run_attr_str(run, "/rope", "pairing", "interleaved"));
}

static sx_run_file *make_file(struct fixture *f)
{
	sx_run *run = NULL;
	sx_run_file *file = NULL;
	double w[LAYER * FREQ];
	for (int i = 0; i < LAYER * FREQ; i++) w[i] = omega[i % FREQ];
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	define(f, run);
	ok(f, sx_run_start(run));
	ok(f, sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, kinds));
	ok(f, sx_run_put(run, SX_RUN_ROPE_INV_FREQ, 0, w));
	put_record(f, run, 0, 0, 0, 1);
	put_record(f, run, 1, 5, 0, 1);
	put_record(f, run, 2, 5, 1, 0);
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	ok(f, sx_run_open(&file, &f->ctx, f->path[0]));
	return file;
}

static sx_rope_head *heads_of(struct fixture *f, const sx_rope_use *u, const double *gamma,
			      int64_t trained)
{
	sx_rope_head *h = NULL;
	const sx_rope_method method = {"method", gamma};
	const sx_rope_setting s = {.trained_length = trained,
				   .logit_scale = 0.5,
				   .method = &method,
				   .n_method = 1,
				   .seed = 3};
	ok(f, sx_rope_heads(&h, &f->ctx, u, &s));
	return h;
}

static void test_planted(void **state)
{
	struct fixture *f = *state;
	static const double gamma[FREQ] = {1, 0.75, 0.5, 0.25};
	sx_rope_use u;
	sx_run_file *file = make_file(f);
	ok(f, sx_rope_read(&u, &f->ctx, file, 5, 0, 7));
	assert_true(u.step == 5 && u.phase == 0 && u.sequences == KEPT);
	assert_true(u.of_kind[0] == 3 && u.of_kind[1] == 1 && u.of_kind[2] == 1 && !u.of_kind[3]);
	assert_string_equal(u.pairing, "interleaved");
	assert_memory_equal(u.gamma, turned, sizeof turned);
	assert_null(u.logit_std);
	sx_rope_head *h = heads_of(f, &u, gamma, C);
	for (int i = 0; i < N; i++) {
		double sum = 0, logs = 0, moved = 0, slow = 0, norms = 0;
		for (int m = 0; m < FREQ; m++) {
			double s = base_share(i, m);
			sum += s, logs += s * log(omega[m]), moved += s * (1 - gamma[m]);
			if (m >= 2) slow += s; /* 0.01 * 100 < 2 pi < 0.1 * 100 */
			norms += norm_q(i, m) * norm_k(i, m);
			sx_interval got = h[i].pair[m].logit_share;
			check_close(got.value, s, 1e-6);
			assert_true(m == 1 || m == 2 ? got.hi - got.lo < 1e-9
						     : got.lo < s - 5e-3 && got.hi > s + 5e-3);
		}
		assert_true(h[i].layer == i / HEAD && h[i].head == i % HEAD);
		check_close(h[i].centre.value, exp(logs / sum), 1e-6);
		assert_true(h[i].centre.lo < h[i].centre.value);
		check_close(h[i].effect[0].moved.value, moved, 1e-6);
		check_close(h[i].slow.value, slow, 1e-6);
		check_close(h[i].pair[1].norm_share.value, norm_q(i, 1) * norm_k(i, 1) / norms,
			    1e-6);
		check_close(h[i].rest.value, 0.25, 1e-7);
		assert_true(isnan(h[i].logit_std.value));
		check_close(h[i].ac[0], -0.1 * i - 2, 1e-12); /* previous: the third family */
		check_close(h[i].ac[1], -0.1 * i, 1e-12);
		check_close(sx_rope_largest_ac(&h[i]), 0.1 * i + 2, 1e-12);
	}
	free(h);
	sx_rope_use_free(&u);
	sx_run_file_close(file);
}

/* At distance D the worst phase of a pair moves its part of the score by 2 a |sin((1 - gamma) omega
 * D/2)|; the bound is at least the sum of these, and equal where all angles are small. */
static void test_shift(void **state)
{
	struct fixture *f = *state;
	static const double gamma[FREQ] = {0, 0.5, 0.25, 0.9};
	sx_run_file *file = make_file(f);
	sx_rope_use u;
	ok(f, sx_rope_read(&u, &f->ctx, file, 0, -1, 7));
	for (int small = 0; small < 2; small++) {
		int64_t trained = small ? 2 : LONG;
		double least = 1;
		sx_rope_head *h = heads_of(f, &u, gamma, trained);
		for (int i = 0; i < N; i++) {
			double worst = 0, got = h[i].effect[0].shift.value;
			for (int m = 0; m < FREQ; m++) {
				double a = 0.5 * norm_q(i, m) * norm_k(i, m), most = 0;
				double w = omega[m] * (double)(trained - 1);
				for (int k = 0; k < 100000; k++)
					most = fmax(most, fabs(cos(k * 1e-4 + gamma[m] * w) -
							       cos(k * 1e-4 + w)));
				worst += a * most;
			}
			assert_true(got >= worst * (1 - 1e-6));
			least = fmin(least, worst / got);
		}
		assert_true(small ? least > 0.95 : least > 0.4 && least < 0.99);
		free(h);
	}
	sx_rope_use_free(&u);
	sx_run_file_close(file);
}

static void test_records(void **state)
{
	struct fixture *f = *state;
	static const double gamma[FREQ] = {1, 1, 1, 0};
	sx_run_file *file = make_file(f);
	sx_rope_use u;
	ok(f, sx_rope_read(&u, &f->ctx, file, -1, -1, 15));
	assert_true(u.step == 5 && u.phase == 1 && u.sequences == SEQ && !sx_rope_turns(&u, 1));
	sx_rope_head *h = heads_of(f, &u, gamma, C);
	assert_true(isnan(h[0].effect[0].moved.value) && isnan(h[0].effect[0].shift.value));
	assert_true(!isnan(h[0].centre.value));
	free(h);
	sx_rope_use_free(&u);
	refused(f, sx_rope_read(&u, &f->ctx, file, 7, -1, 7), SX_ENOINPUT, "no such record");
	refused(f, sx_rope_read(&u, &f->ctx, file, 0, 1, 7), SX_ENOINPUT, "no such record");
	ok(f, sx_rope_read(&u, &f->ctx, file, -1, 0, 2));
	assert_true(u.sequences == 1 && u.phase == 0);
	h = heads_of(f, &u, gamma, C);
	assert_true(isnan(h[0].centre.lo)); /* no interval from one sequence */
	free(h);
	sx_rope_use_free(&u);
	sx_run_file_close(file);
	sx_run *run = NULL; /* a file without /rope */
	ok(f, sx_run_create(&run, &f->ctx, f->path[1], false));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_LAYER, 1));
	ok(f, sx_run_start(run));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	ok(f, sx_run_open(&file, &f->ctx, f->path[1]));
	refused(f, sx_rope_read(&u, &f->ctx, file, -1, -1, 7), SX_EDATA, "/rope");
	sx_run_file_close(file);
}

/* Heads 0, 1, 2 lie on faster pairs than 3, 4, 5: the exact p of 3 against 3 is 2/20. */
static void test_contrast(void **state)
{
	struct fixture *f = *state;
	static const sx_rope_group group[N] = {SX_ROPE_A, SX_ROPE_A, SX_ROPE_A,
					       SX_ROPE_B, SX_ROPE_B, SX_ROPE_B};
	sx_run_file *file = make_file(f);
	sx_rope_use u;
	sx_rope_contrast c;
	ok(f, sx_rope_read(&u, &f->ctx, file, 0, 0, 7));
	sx_rope_head *h = heads_of(f, &u, turned, C);
	ok(f, sx_rope_contrast_make(&c, &f->ctx, &u, h, group));
	assert_true(c.n_a == 3 && c.n_b == 3 && c.centre.exact && c.centre.cliff == 1);
	check_close(c.centre.p, 0.1, 1e-14);
	check_close(c.least_holm, 0.4, 1e-14);
	assert_true(c.pair[0].test.cliff == 1 && c.pair[3].test.cliff == -1);
	check_close(c.pair[0].p_holm, 0.4, 1e-14);
	double mean = 0;
	for (int i = 0; i < 3; i++) mean += base_share(i, 0) / 3;
	check_close(c.pair[0].mean_a, mean, 1e-6);
	check_close(c.ac_centre.rho, -1, 1e-14); /* planted: |A_c| rises with the head */
	sx_rope_contrast_free(&c);
	sx_rope_group none[N] = {SX_ROPE_B, SX_ROPE_NEITHER, SX_ROPE_B,
				 SX_ROPE_B, SX_ROPE_B,       SX_ROPE_B};
	ok(f, sx_rope_contrast_make(&c, &f->ctx, &u, h, none));
	assert_true(c.n_a == 0 && c.n_b == 5 && isnan(c.centre.p) && isnan(c.least_holm));
	assert_true(isnan(c.pair[2].p_holm) && isnan(c.pair[2].mean_a));
	sx_rope_contrast_free(&c);
	free(h);
	sx_rope_use_free(&u);
	sx_run_file_close(file);
}

/* ---- rope table ---- */

/* What the table prints as JSON. */
static json_t *printed(struct fixture *f, const sx_pos_opts *o, int d)
{
	sx_pos_plan plan;
	ok(f, sx_pos_plan_make(&plan, &f->ctx, o, sx_pos_head(d, o->train_length), 0,
			       o->train_length));
	fflush(stdout);
	int out = dup(STDOUT_FILENO);
	assert_non_null(freopen(f->path[2], "w", stdout));
	sx_status st = sx_rope_print_table(&f->ctx, o, &plan, true);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	clearerr(stdout);
	ok(f, st);
	sx_pos_plan_free(&plan);
	json_t *doc = json_load_file(f->path[2], 0, NULL);
	assert_non_null(doc);
	return doc;
}

static void same_list(const json_t *got, const json_t *want, const char *what)
{
	assert_int_equal(json_array_size(got), json_array_size(want));
	assert_true(json_array_size(got) > 0);
	for (size_t i = 0; i < json_array_size(got); i++) {
		double a = json_number_value(json_array_get(got, i));
		double b = json_number_value(json_array_get(want, i));
		if (!(fabs(a - b) <= 1e-13 * fabs(b)))
			fail_msg("%s[%zu] = %.17g, wanted %.17g", what, i, a, b);
	}
}

static void test_table(void **state)
{
	struct fixture *f = *state;
	static const char *const methods[][2] = {{"rope", "default"},       {"pi", "linear"},
						 {"ntk", "ntk_static"},     {"yarn", "yarn"},
						 {"p-rope", "p_rope_0.75"}, {"nope", "nope"}};
	json_t *golden = json_load_file(SX_SOURCE_DIR "/tests/golden/rope_golden.json", 0, NULL);
	const char *config;
	json_t *entry;
	assert_non_null(golden);
	json_object_foreach(json_object_get(golden, "configs"), config, entry)
	{
		int64_t L = json_integer_value(json_object_get(entry, "L"));
		int d = (int)json_integer_value(json_object_get(entry, "d")), never = 0;
		int64_t first =
			json_integer_value(json_object_get(entry, "m_first_incomplete_cycle"));
		for (size_t k = 0; k < sizeof methods / sizeof methods[0]; k++) {
			sx_pos_opts o = sx_pos_opts_default();
			snprintf(o.method, sizeof o.method, "%s", methods[k][0]);
			o.factor = json_number_value(json_object_get(entry, "factor"));
			o.theta = json_number_value(json_object_get(entry, "base"));
			o.train_length = L;
			json_t *doc = printed(f, &o, d);
			json_t *trained = json_object_get(doc, "trained");
			const json_t *want =
				json_object_get(json_object_get(entry, "methods"), methods[k][1]);
			same_list(json_object_get(doc, "omega"), json_object_get(want, "inv_freq"),
				  "omega");
			same_list(json_object_get(doc, "gamma"), json_object_get(want, "gamma"),
				  "gamma");
			same_list(json_object_get(trained, "wavelength"),
				  json_object_get(entry, "wavelength"), "wavelength");
			same_list(json_object_get(trained, "rotations"),
				  json_object_get(entry, "rotations_over_L"), "rotations");
			double af = json_number_value(json_object_get(want, "attention_factor"));
			check_close(json_number_value(json_object_get(doc, "attention_factor")), af,
				    1e-13 * af);
			never = 0;
			for (int m = 0; m < d / 2; m++)
				never += json_is_true(json_array_get(
					json_object_get(trained, "never_turns"), (size_t)m));
			assert_int_equal(never, d / 2 - first);
			json_decref(doc);
		}
	}
	json_decref(golden);
}

/* Who is compared with whom, whatever the order of the classes. */
static void test_groups_of_classes(void **state)
{
	(void)state;
	static const char *const b[] = {"semantic", "key", "mixed"};
	int n_a = 0, n_b = 0;
	for (int c = 0; c < SX_HEAD_CLASSES; c++) {
		const char *name = sx_head_class_name((sx_head_class)c);
		sx_rope_group want = strcmp(name, "positional") == 0 ? SX_ROPE_A : SX_ROPE_NEITHER;
		for (int i = 0; i < 3; i++)
			if (strcmp(name, b[i]) == 0) want = SX_ROPE_B;
		assert_int_equal(sx_rope_group_of((sx_head_class)c), want);
		n_a += want == SX_ROPE_A, n_b += want == SX_ROPE_B;
	}
	assert_true(n_a == 1 && n_b == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_of_classes),
		cmocka_unit_test_setup_teardown(test_planted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shift, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contrast, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What becomes of a head through the drop: a file of known numbers against sums done here. */
#include "analysis/ac_grad.h"
#include "analysis/drop.h"
#include "tests/support/run_fixture.h"

#include <math.h>

enum { C = 2, RECORDS = 5 };
static const int64_t step_of[RECORDS] = {0, 10, 10, 20, 30};
static const uint8_t phase_of[RECORDS] = {0, 0, 1, 1, 1};

static double ac(int64_t rec, int64_t s, int64_t h, int64_t c)
{
	return sin(1.0 + (double)(rec * 100 + s * 17 + h * 3 + c));
}

static void write_file(struct fixture *f, bool dropped)
{
	sx_run *run = NULL;
	const char *family[] = {"diagonal", "previous"};
	const uint8_t kind[SEQS] = {0, 1, 0, 0};
	int64_t n = dropped ? RECORDS : 2;
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	for (int g = 0; g < 2; g++) {
		ok(f, sx_run_grow(run, g ? SX_RUN_STATS_STEP : SX_RUN_AC_STEP, n));
		ok(f, sx_run_axis_index(run, g ? SX_RUN_STATS_SEQUENCE : SX_RUN_AC_SEQUENCE, SEQS));
		ok(f, sx_run_axis_index(run, g ? SX_RUN_STATS_LAYER : SX_RUN_AC_LAYER, LAYERS));
		ok(f, sx_run_axis_index(run, g ? SX_RUN_STATS_HEAD : SX_RUN_AC_HEAD, HEADS));
		ok(f, sx_run_define(run, g ? SX_RUN_STATS_PHASE : SX_RUN_AC_PHASE));
	}
	ok(f, sx_run_axis(run, SX_RUN_AC_C, C, family));
	ok(f, sx_run_define(run, SX_RUN_AC_VALUE));
	ok(f, sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND));
	ok(f, sx_run_define(run, SX_RUN_STATS_INDUCTION_MASS));
	ok(f, sx_run_start(run));
	ok(f, sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, kind));
	for (int64_t r = 0; r < n; r++) {
		double value[SLH * C], mass[SLH];
		for (int64_t i = 0; i < SLH; i++) {
			int64_t s = i / (LAYERS * HEADS), h = i % (LAYERS * HEADS);
			for (int64_t c = 0; c < C; c++) value[i * C + c] = ac(r, s, h, c);
			mass[i] = fabs(ac(r, s, h, 9));
		}
		ok(f, sx_run_put(run, SX_RUN_AC_VALUE, r, value));
		ok(f, sx_run_put(run, SX_RUN_STATS_INDUCTION_MASS, r, mass));
		ok(f, sx_run_put(run, SX_RUN_AC_PHASE, r, &phase_of[r]));
		ok(f, sx_run_put(run, SX_RUN_STATS_PHASE, r, &phase_of[r]));
		ok(f, sx_run_put(run, SX_RUN_AC_STEP, r, &step_of[r]));
		ok(f, sx_run_put(run, SX_RUN_STATS_STEP, r, &step_of[r]));
	}
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

/* Sequences 0, 2 and 3 are text; records 1, 2 and 4 are before, after and end. */
static void test_ac(void **state)
{
	struct fixture *f = *state;
	static const int64_t rec[SX_DROP_TIMES] = {1, 2, 4}, text[] = {0, 2, 3};
	sx_drop_trace t;
	write_file(f, true);
	sx_run_file *in = open_run(f, f->path[0]);
	ok(f, sx_drop_ac(&t, &f->ctx, in, "previous", 1));
	assert_string_equal(t.name, "A_c previous");
	assert_int_equal(t.sequences, 3);
	assert_int_equal(t.step[SX_DROP_END], 30);
	for (int64_t h = 0; h < LAYERS * HEADS; h++) {
		double mean[SX_DROP_TIMES] = {0};
		for (int k = 0; k < SX_DROP_TIMES; k++) {
			double least = HUGE_VAL, most = -HUGE_VAL;
			for (int s = 0; s < 3; s++) {
				double v = ac(rec[k], text[s], h, 1);
				mean[k] += v / 3;
				least = fmin(least, v), most = fmax(most, v);
			}
			const sx_interval *got = &t.head[h].at[k];
			assert_true(fabs(got->value - mean[k]) < 1e-12);
			assert_true(got->lo >= least - 1e-12 && got->lo <= got->value);
			assert_true(got->hi <= most + 1e-12 && got->hi >= got->value);
		}
		double change = mean[SX_DROP_END] - mean[SX_DROP_BEFORE];
		assert_true(fabs(t.head[h].change.value - change) < 1e-12);
	}
	sx_drop_free(&t);
	sx_run_file_close(in);
}

/* The one repeated sequence is number 1: a value without an interval. */
static void test_stat(void **state)
{
	struct fixture *f = *state;
	sx_drop_trace t;
	write_file(f, true);
	sx_run_file *in = open_run(f, f->path[0]);
	ok(f, sx_drop_stat(&t, &f->ctx, in, SX_RUN_STATS_INDUCTION_MASS, 1, 1));
	for (int64_t h = 0; h < LAYERS * HEADS; h++) {
		sx_interval got = t.head[h].at[SX_DROP_AFTER];
		assert_true(fabs(got.value - (double)(float)fabs(ac(2, 1, h, 9))) < 1e-12);
		assert_true(isnan(got.lo) && isnan(got.hi));
	}
	assert_string_equal(t.name, "induction mass");
	sx_drop_free(&t);
	sx_run_file_close(in);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	sx_drop_trace t;
	write_file(f, false);
	sx_run_file *in = open_run(f, f->path[0]);
	refused(f, sx_drop_ac(&t, &f->ctx, in, "previous", 1), SX_ENOINPUT, "both sides of a drop");
	refused(f, sx_drop_ac(&t, &f->ctx, in, "first", 1), SX_EDATA, "family first");
	refused(f, sx_drop_stat(&t, &f->ctx, in, SX_RUN_STATS_ENTROPY, 0, 1), SX_EDATA, "entropy");
	sx_run_file_close(in);
	write_file(f, true);
	in = open_run(f, f->path[0]);
	refused(f, sx_drop_stat(&t, &f->ctx, in, SX_RUN_STATS_INDUCTION_MASS, 2, 1), SX_ENOINPUT,
		"of that kind");
	sx_run_file_close(in);
}

/* Two files of gradients: means and ratios against sums done here. */
static void write_gradients(struct fixture *f, const char *path, double factor)
{
	sx_run *run = NULL;
	const char *family[] = {"diagonal", "previous"}, *wrt[] = {"wq", "wk"};
	const uint8_t phase = 0;
	const int64_t step = 0;
	double x[SLH * C * 2];
	for (int i = 0; i < SLH * C * 2; i++) x[i] = factor * (2 + sin(i * 0.7 * factor));
	ok(f, sx_run_create(&run, &f->ctx, path, false));
	ok(f, sx_run_grow(run, SX_RUN_AC_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_SEQUENCE, SEQS));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, LAYERS));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_HEAD, HEADS));
	ok(f, sx_run_define(run, SX_RUN_AC_PHASE));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, C, family));
	ok(f, sx_run_axis(run, SX_RUN_AC_WRT, 2, wrt));
	ok(f, sx_run_define(run, SX_RUN_AC_GRAD_NORM));
	ok(f, sx_run_start(run));
	ok(f, sx_run_put(run, SX_RUN_AC_GRAD_NORM, 0, x));
	ok(f, sx_run_put(run, SX_RUN_AC_PHASE, 0, &phase));
	ok(f, sx_run_put(run, SX_RUN_AC_STEP, 0, &step));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

static void test_gradients(void **state)
{
	struct fixture *f = *state;
	sx_ac_grad g;
	write_gradients(f, f->path[0], 3);
	write_gradients(f, f->path[1], 1);
	sx_run_file *a = open_run(f, f->path[0]), *b = open_run(f, f->path[1]);
	ok(f, sx_ac_grad_compare(&g, &f->ctx, a, b, "previous", "wk", 1));
	assert_int_equal(g.layers, LAYERS);
	for (int l = 0; l < LAYERS; l++) {
		double mean = 0, other = 0;
		for (int s = 0; s < SEQS; s++) {
			double x = 0, y = 0;
			for (int h = 0; h < HEADS; h++) {
				int i = (((s * LAYERS + l) * HEADS + h) * C + 1) * 2 + 1;
				x += 3 * (2 + sin(i * 0.7 * 3)), y += 2 + sin(i * 0.7);
			}
			mean += x / HEADS / SEQS, other += y / HEADS / SEQS;
		}
		assert_true(fabs(g.a[l].value - mean) < 1e-12);
		assert_true(fabs(g.ratio[l].value - mean / other) < 1e-12);
		double least = HUGE_VAL,
		       most = 0; /* of the sequences: no mean of them is outside */
		for (int s = 0; s < SEQS; s++) {
			double x = 0, y = 0;
			for (int h = 0; h < HEADS; h++) {
				int i = (((s * LAYERS + l) * HEADS + h) * C + 1) * 2 + 1;
				x += 3 * (2 + sin(i * 0.7 * 3)), y += 2 + sin(i * 0.7);
			}
			least = fmin(least, x / y), most = fmax(most, x / y);
		}
		assert_true(g.ratio[l].lo >= least && g.ratio[l].hi <= most);
		assert_true(g.ratio[l].lo <= g.ratio[l].value && g.ratio[l].value <= g.ratio[l].hi);
	}
	sx_ac_grad_free(&g);
	refused(f, sx_ac_grad_compare(&g, &f->ctx, a, b, "first", "wk", 1), SX_EDATA, "no first");
	refused(f, sx_ac_grad_compare(&g, &f->ctx, a, b, "previous", "h", 1), SX_EDATA, "no h");
	sx_run_file_close(a);
	sx_run_file_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ac, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gradients, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

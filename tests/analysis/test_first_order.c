/* What the first order explains of changes of A_c: from a file of planted numbers, against sums written
 * out here; forecasts that are right, of the wrong sign, and too large. */
#include "analysis/first_order.h"
#include "tests/support/run_fixture.h"

enum {
	N_S = 3,
	N_L = 2,
	N_H = 4,
	N_C = 2,
	N_WRT = 5,
	ALL_HEADS = N_L * N_H,
	N_VALUES = N_S * ALL_HEADS * N_C
};
static const char *const families[] = {"diagonal", "previous"};
static const char *const wrt[] = {"wq", "wk", "q", "k", "h"};

typedef struct {
	double change[N_VALUES], change_w[N_VALUES], first[N_VALUES][N_WRT], grad[N_VALUES][N_WRT],
		norm[ALL_HEADS][N_WRT];
} numbers;

/* A forecast with noise: of change_w right but for `noise`, h adds to the change. */
static void plant(numbers *x, double noise)
{
	for (int i = 0; i < N_VALUES; i++) {
		for (int w = 0; w < N_WRT; w++) {
			x->first[i][w] = w == 2 || w == 3 ? (double)NAN : sin(3 * i + w);
			x->grad[i][w] = 2 + cos(i + w);
		}
		x->change_w[i] = x->first[i][0] + x->first[i][1] + noise * cos(5 * i);
		x->change[i] = x->change_w[i] + x->first[i][4] + noise * cos(7 * i);
	}
	for (int i = 0; i < ALL_HEADS; i++)
		for (int w = 0; w < N_WRT; w++) x->norm[i][w] = w < 2 ? 1 + i + w : (double)NAN;
}

static void write_file(struct fixture *f, const char *path, const numbers *x, int64_t step,
		       int64_t toward)
{
	const sx_run_id ids[] = {SX_RUN_AC_CHANGE, SX_RUN_AC_CHANGE_W, SX_RUN_AC_FIRST_ORDER,
				 SX_RUN_AC_GRAD_NORM, SX_RUN_AC_CHANGE_NORM};
	const double *const data[] = {x->change, x->change_w, x->first[0], x->grad[0], x->norm[0]};
	const uint8_t phase = 1;
	sx_run *run = NULL;
	ok(f, sx_run_create(&run, &f->ctx, path, false));
	ok(f, sx_run_grow(run, SX_RUN_AC_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_SEQUENCE, N_S));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, N_L));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_HEAD, N_H));
	ok(f, sx_run_define(run, SX_RUN_AC_PHASE));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, N_C, families));
	ok(f, sx_run_axis(run, SX_RUN_AC_WRT, N_WRT, wrt));
	for (int k = 0; k < 5; k++) ok(f, sx_run_define(run, ids[k]));
	if (toward >= 0) ok(f, sx_run_attr_int(run, "/ac", "toward_step", toward));
	ok(f, sx_run_start(run));
	for (int k = 0; k < 5; k++) ok(f, sx_run_put(run, ids[k], 0, data[k]));
	ok(f, sx_run_put(run, SX_RUN_AC_PHASE, 0, &phase));
	ok(f, sx_run_put(run, SX_RUN_AC_STEP, 0, &step));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

static sx_first_order read_file(struct fixture *f, const char *path, const char *family)
{
	sx_run_file *in = NULL;
	sx_first_order o;
	ok(f, sx_run_open(&in, &f->ctx, path));
	ok(f, sx_first_order_read(&o, &f->ctx, in, family, 1));
	sx_run_file_close(in);
	return o;
}

/* Sums of family c, written out. */
typedef struct {
	double change[ALL_HEADS], w[ALL_HEADS], x[ALL_HEADS], h[ALL_HEADS], bound[ALL_HEADS];
	double yy, ww, xx, xy, bb, left_w, left, left_h;
} wanted;

static wanted want_of(const numbers *n, int c)
{
	wanted a = {0};
	for (int i = 0; i < ALL_HEADS; i++) {
		for (int s = 0; s < N_S; s++) {
			int at = (s * ALL_HEADS + i) * N_C + c;
			a.change[i] += n->change[at] / N_S;
			a.w[i] += n->change_w[at] / N_S;
			a.x[i] += (n->first[at][0] + n->first[at][1]) / N_S;
			a.h[i] += n->first[at][4] / N_S;
			a.bound[i] +=
				(n->grad[at][0] * n->norm[i][0] + n->grad[at][1] * n->norm[i][1]) /
				N_S;
		}
		a.yy += a.change[i] * a.change[i];
		a.ww += a.w[i] * a.w[i];
		a.xx += a.x[i] * a.x[i];
		a.xy += a.x[i] * a.change[i];
		a.bb += a.bound[i] * a.bound[i];
		a.left_w += pow(a.w[i] - a.x[i], 2);
		a.left += pow(a.change[i] - a.x[i], 2);
		a.left_h += pow(a.change[i] - a.x[i] - a.h[i], 2);
	}
	return a;
}

static void inside(sx_interval i)
{
	check(i.lo <= i.value && i.value <= i.hi && i.lo < i.hi);
}

static void test_sums(void **state)
{
	struct fixture *f = *state;
	static numbers n;
	plant(&n, 0.3);
	write_file(f, f->path[0], &n, 40, 56);
	for (int c = 0; c < N_C; c++) {
		wanted a = want_of(&n, c);
		sx_first_order o = read_file(f, f->path[0], families[c]);
		check(o.step == 40 && o.updates == 16 && o.phase == 1);
		check(o.sequences == N_S && o.layers == N_L && o.heads == N_H);
		check_near(o.change, a.change, ALL_HEADS, 1e-14);
		check_near(o.change_w, a.w, ALL_HEADS, 1e-14);
		check_near(o.first_w, a.x, ALL_HEADS, 1e-14);
		check_near(o.first_h, a.h, ALL_HEADS, 1e-14);
		check_near(o.bound, a.bound, ALL_HEADS, 1e-14);
		check_close(o.rms, sqrt(a.yy / ALL_HEADS), 1e-14);
		check_close(o.rms_w, sqrt(a.ww / ALL_HEADS), 1e-14);
		check_close(o.share.w.value, 1 - a.left_w / a.ww, 1e-13);
		check_close(o.share.whole.value, 1 - a.left / a.yy, 1e-13);
		check_close(o.share.whole_h.value, 1 - a.left_h / a.yy, 1e-13);
		check_close(o.share.cosine.value, a.xy / sqrt(a.xx * a.yy), 1e-13);
		check_close(o.share.used.value, sqrt(a.xx / a.bb), 1e-13);
		inside(o.share.w);
		inside(o.share.whole_h);
		sx_first_order_free(&o);
	}
}

/* Right: 1, and no width. Twice too large: 0; of the wrong sign: -3, cosine -1. */
static void test_forecasts(void **state)
{
	struct fixture *f = *state;
	static const double by[] = {1, 2, -1}, share[] = {1, 0, -3}, cosine[] = {1, 1, -1};
	static numbers n;
	for (int k = 0; k < 3; k++) {
		plant(&n, 0);
		for (int i = 0; i < N_VALUES; i++) {
			n.change[i] = n.change_w[i];
			n.first[i][0] *= by[k];
			n.first[i][1] *= by[k];
			n.first[i][4] = 0;
		}
		write_file(f, f->path[0], &n, 0, 1);
		sx_first_order o = read_file(f, f->path[0], "previous");
		check_close(o.share.whole.value, share[k], 1e-12);
		check_close(o.share.whole.lo, share[k], 1e-12);
		check_close(o.share.whole.hi, share[k], 1e-12);
		check_close(o.share.cosine.value, cosine[k], 1e-12);
		check_close(o.rms_h, 0, 0);
		sx_first_order_free(&o);
	}
}

/* Nothing moved: nothing to explain, not a share of 1. */
static void test_nothing(void **state)
{
	struct fixture *f = *state;
	static numbers n;
	sx_run_file *in = NULL;
	sx_first_order o;
	plant(&n, 0);
	memset(n.change, 0, sizeof n.change);
	memset(n.change_w, 0, sizeof n.change_w);
	write_file(f, f->path[0], &n, 7, -1);
	o = read_file(f, f->path[0], "diagonal");
	check(isnan(o.share.w.value) && isnan(o.share.whole.value) && isnan(o.share.cosine.value));
	check(o.updates == -1 && o.step == 7);
	sx_first_order_free(&o);
	ok(f, sx_run_open(&in, &f->ctx, f->path[0]));
	refused(f, sx_first_order_read(&o, &f->ctx, in, "first", 1), SX_EDATA, "no first");
	sx_run_file_close(in);
}

/* Two updates together: sums of both; one that moved little does not count for much. */
static void test_pool(void **state)
{
	struct fixture *f = *state;
	static numbers n[2];
	sx_first_order o[2];
	sx_first_order_shares s;
	wanted a[2];
	for (int k = 0; k < 2; k++) {
		plant(&n[k], k ? 2 : 0.1);
		for (int i = 0; i < N_VALUES && k; i++) {
			n[k].change[i] *= 1e-3;
			n[k].change_w[i] *= 1e-3;
			for (int w = 0; w < N_WRT; w++) n[k].first[i][w] *= 1e-3;
		}
		write_file(f, f->path[k], &n[k], k, k + 1);
		o[k] = read_file(f, f->path[k], "diagonal");
		a[k] = want_of(&n[k], 0);
	}
	ok(f, sx_first_order_pool(&s, &f->ctx, (const sx_first_order *[]){&o[0], &o[1]}, 2, 1));
	check_close(s.whole_h.value, 1 - (a[0].left_h + a[1].left_h) / (a[0].yy + a[1].yy), 1e-13);
	check_close(s.w.value, o[0].share.w.value, 1e-4);
	check(o[1].share.w.value < 0.9);
	for (int k = 0; k < 2; k++) sx_first_order_free(&o[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forecasts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

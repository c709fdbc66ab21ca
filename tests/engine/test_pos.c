/* Positional methods against tests/golden/rope_golden.json (rope_golden.py: plain Python in double
 * from the published formulas, checked there against numbers other programs print), and properties
 * that hold over the table. */
#include "tests/support/check.h"

#include "engine/op/ops.h"
#include "engine/pos/params.h"

#include <jansson.h>

/* How a golden entry is asked for; %d: times the trained length, the input's. Every method must occur. */
/* clang-format off */
static const struct {
	const char *method, *golden;
	double keep, beta_fast, beta_slow;
	bool truncate;
	double partial;
	int times;
} cases[] = {
	{"rope",   "default",             0.75, 32,  1, true,  1,    1},
	{"rope",   "partial_rotary_0.25", 0.75, 32,  1, true,  0.25, 1},
	{"rope",   "partial_rotary_0.5",  0.75, 32,  1, true,  0.5,  1},
	{"nope",   "nope",                0.75, 32,  1, true,  1,    1},
	{"pi",     "linear",              0.75, 32,  1, true,  1,    1},
	{"ntk",    "ntk_static",          0.75, 32,  1, true,  1,    1},
	{"yarn",   "yarn",                0.75, 32,  1, true,  1,    1},
	{"yarn",   "yarn_truncate_false", 0.75, 32,  1, false, 1,    1},
	{"yarn",   "yarn_beta128_2",      0.75, 128, 2, true,  1,    1},
	{"p-rope", "p_rope_0.75",         0.75, 32,  1, true,  1,    1},
	{"p-rope", "p_rope_0.25",         0.25, 32,  1, true,  1,    1},
	{"dynamic",  "dynamic_ntk_seq%d", 0.75, 32,  1, true,  1,    1},
	{"dynamic",  "dynamic_ntk_seq%d", 0.75, 32,  1, true,  1,    2},
	{"llama3",   "llama3",            0.75, 32,  1, true,  1,    1},
	{"longrope", "longrope_short_ones", 0.75, 32, 1, true, 1,    1},
	{"longrope", "longrope_long_demo",  0.75, 32, 1, true, 1,    2},
};
/* clang-format on */
enum { N_CASES = sizeof cases / sizeof cases[0], D_MOST = 256 };

static json_t *golden;

static int open_golden(void **state)
{
	(void)state;
	golden = json_load_file(SX_SOURCE_DIR "/tests/golden/rope_golden.json", 0, NULL);
	return golden ? 0 : -1;
}

static int close_golden(void **state)
{
	(void)state;
	json_decref(golden);
	return 0;
}

static sx_pos_opts options(const char *method, double factor)
{
	sx_pos_opts o = sx_pos_opts_default();
	snprintf(o.method, sizeof o.method, "%s", method);
	o.factor = factor;
	return o;
}

static sx_pos_plan plan_at(const sx_pos_opts *o, int d, int64_t train_length, int64_t length)
{
	sx_pos_plan p;
	assert_int_equal(sx_pos_plan_make(&p, NULL, o, sx_pos_head(d, train_length), 0, length),
			 SX_OK);
	assert_int_equal(p.rotary, (int)(d * o->partial));
	assert_int_equal(p.n_freq, p.rotary / 2);
	return p;
}

/* A method that has no factors of its own is given ones. */
static sx_pos_plan plan_of(const sx_pos_opts *opts, int d, int64_t train_length)
{
	sx_pos_opts o = *opts;
	if (sx_pos_find(o.method)->needs_factors && o.long_factor.n == 0) {
		o.long_factor.n = d / 2;
		for (int m = 0; m < d / 2; m++) o.long_factor.at[m] = 1;
		o.short_factor = o.long_factor;
	}
	return plan_at(&o, d, train_length, train_length);
}

/* Each element relative to itself: frequencies span seven decades. */
static void check_list(const double *got, const json_t *want, int n, double tol, const char *what)
{
	assert_int_equal(json_array_size(want), n);
	for (int i = 0; i < n; i++) {
		double w = json_number_value(json_array_get(want, (size_t)i));
		if (!(fabs(got[i] - w) <= tol * fabs(w)))
			fail_msg("%s, element %d: %.17g, wanted %.17g", what, i, got[i], w);
	}
}

static void give_factors(sx_pos_list *to, const json_t *want, const char *key)
{
	const json_t *list = json_object_get(json_object_get(want, "params"), key);
	to->n = (int)json_array_size(list);
	for (int m = 0; m < to->n; m++)
		to->at[m] = json_number_value(json_array_get(list, (size_t)m));
}

static void test_golden(void **state)
{
	(void)state;
	const char *config;
	json_t *entry;
	int seen = 0;
	json_object_foreach(json_object_get(golden, "configs"), config, entry)
	{
		int d = (int)json_integer_value(json_object_get(entry, "d"));
		int64_t L = json_integer_value(json_object_get(entry, "L"));
		json_t *methods = json_object_get(entry, "methods");
		for (int c = 0; c < N_CASES; c++) {
			char what[128], name[48];
			int64_t length = L * cases[c].times;
			const char *hole = strstr(cases[c].golden, "%d");
			snprintf(name, sizeof name, "%s", cases[c].golden);
			if (hole)
				snprintf(name + (hole - cases[c].golden), 24, "%lld",
					 (long long)length);
			snprintf(what, sizeof what, "%s in %s", name, config);
			const json_t *want = json_object_get(methods, name);
			if (!want) fail_msg("%s: not in the golden file", what);
			sx_pos_opts o =
				options(cases[c].method,
					json_number_value(json_object_get(entry, "factor")));
			o.theta = json_number_value(json_object_get(entry, "base"));
			o.keep = cases[c].keep, o.truncate = cases[c].truncate;
			o.partial = cases[c].partial;
			o.beta_fast = cases[c].beta_fast, o.beta_slow = cases[c].beta_slow;
			/* the other of the two is not looked at, but must be there */
			give_factors(&o.long_factor, want, "long_factor");
			give_factors(&o.short_factor, want, "short_factor");
			if (o.long_factor.n == 0) o.long_factor = o.short_factor;
			if (o.short_factor.n == 0) o.short_factor = o.long_factor;
			sx_pos_plan p = plan_at(&o, d, L, length);
			check_list(p.inv_freq, json_object_get(want, "inv_freq"), p.n_freq, 1e-13,
				   what);
			const json_t *gamma = json_object_get(want, "gamma");
			if (gamma) check_list(p.gamma, gamma, p.n_freq, 1e-13, what);
			double af = json_number_value(json_object_get(want, "attention_factor"));
			check_close(p.attention_factor, af, 1e-13 * af);
			assert_true(p.turns == (strcmp(cases[c].method, "nope") != 0));
			assert_true(gamma || o.partial < 1);
			sx_pos_plan_free(&p);
		}
		seen++;
	}
	assert_int_equal(seen, 3);
}

static void test_every_method_is_golden(void **state)
{
	(void)state;
	const sx_pos_method *m;
	for (int n = 0; (m = sx_pos_method_at(n)); n++) {
		bool found = false;
		for (int c = 0; c < N_CASES; c++)
			found = found || strcmp(cases[c].method, m->name) == 0;
		if (!found) fail_msg("%s: a method without a golden row", m->name);
		assert_ptr_equal(sx_pos_find(m->name), m);
		assert_true(strlen(m->summary) > 0 && strlen(m->source) > 0);
	}
	assert_null(sx_pos_find("ROPE"));
	assert_null(sx_pos_find(""));
}

/* The train length may be the caller's or the options' own, which stands first. */
static void test_train_length(void **state)
{
	(void)state;
	sx_pos_opts o = options("yarn", 4);
	sx_pos_plan a = plan_of(&o, 64, 2048);
	o.train_length = 2048;
	sx_pos_plan b = plan_of(&o, 64, 77);
	check_near(b.inv_freq, a.inv_freq, 32, 0);
	sx_pos_plan_free(&a);
	sx_pos_plan_free(&b);
	o.train_length = 0;
	assert_int_equal(sx_pos_plan_make(&a, NULL, &o, sx_pos_head(64, 0), 0, 16), SX_ECONFIG);
}

static void check_same(const char *method, double factor, double keep, const char *as)
{
	const int dims[] = {4, 6, 64, 128};
	for (int i = 0; i < 4; i++) {
		sx_pos_opts a = options(method, factor), b = options(as, 1);
		a.keep = keep;
		sx_pos_plan p = plan_of(&a, dims[i], 512), q = plan_of(&b, dims[i], 512);
		for (int m = 0; m < dims[i] / 2; m++)
			check_close(p.inv_freq[m], q.inv_freq[m], 4e-16 * q.inv_freq[m]);
		check_close(p.attention_factor, 1, 0);
		assert_true(p.turns == q.turns);
		sx_pos_plan_free(&p);
		sx_pos_plan_free(&q);
	}
}

static void test_limits(void **state)
{
	(void)state;
	check_same("p-rope", 1, 1, "rope");
	check_same("p-rope", 1, 0, "nope");
	const sx_pos_method *m;
	for (int n = 0; (m = sx_pos_method_at(n)); n++) /* factor 1 stretches nothing */
		if (strcmp(m->name, "nope") != 0) check_same(m->name, 1, 1, "rope");
	/* ntk: the first pair keeps its frequency, the last is stretched by s */
	const double factors[] = {1.5, 2, 8, 32};
	for (int i = 0; i < 4; i++) {
		sx_pos_opts o = options("ntk", factors[i]);
		sx_pos_plan p = plan_of(&o, 128, 2048);
		check_close(p.inv_freq[0], 1, 0);
		check_close(p.gamma[0], 1, 0);
		check_close(p.gamma[63] * factors[i], 1, 1e-14);
		sx_pos_plan_free(&p);
	}
}

/* No method turns a pair faster than RoPE, none backwards; beta and window pass through; an
 * attention factor that is set stands before the method's own, and alone makes a plan turn. */
static void test_over_the_table(void **state)
{
	(void)state;
	const sx_pos_method *m;
	for (int n = 0; (m = sx_pos_method_at(n)); n++) {
		sx_pos_opts o = options(m->name, 8);
		o.beta = 1.25, o.window = 9;
		sx_pos_plan p = plan_of(&o, 64, 1024);
		for (int i = 0; i < 32; i++) {
			assert_true(p.gamma[i] >= 0 && p.gamma[i] <= 1 + 1e-15);
			check_close(p.gamma[i] * pow(1e4, -i / 32.0), p.inv_freq[i], 1e-15);
		}
		check_close(p.beta, 1.25, 0);
		assert_int_equal(p.window, 9);
		assert_true(p.attention_factor >= 1);
		sx_pos_plan_free(&p);
		o.attention_factor = 1.5;
		p = plan_of(&o, 64, 1024);
		check_close(p.attention_factor, 1.5, 0);
		assert_true(p.turns);
		sx_pos_plan_free(&p);
	}
}

/* ---- the rotate kernel, in the order of channels the golden file calls half-split ---- */

static void read_list(double *to, const json_t *from, int n)
{
	assert_int_equal(json_array_size(from), n);
	for (int i = 0; i < n; i++) to[i] = json_number_value(json_array_get(from, (size_t)i));
}

/* x at position pos, through sx_rotate. */
static void rotated(double *out, const double *x, int64_t pos, const sx_pos_plan *p)
{
	enum { T = 8 };
	sx_real rows[T * D_MOST], table[T * D_MOST];
	sx_rotation r = {.cos = table, .sin = table + T * p->n_freq, .n_freq = p->n_freq};
	int d = p->rotary;
	assert_true(pos < T && d <= D_MOST);
	sx_rotation_fill(&r, p, T);
	for (int t = 0; t < T; t++)
		for (int c = 0; c < d; c++) rows[t * d + c] = (sx_real)x[c];
	sx_rotate(rows, &r, false, 1, T, 1, d);
	for (int c = 0; c < d; c++) out[c] = (double)rows[pos * d + c];
}

static void test_layout(void **state)
{
	(void)state;
	enum { D = 8 };
	const json_t *g = json_object_get(json_object_get(golden, "misc"), "layout");
	double x[D], k[D], x_half[D], k_half[D], want[D], got[D], perm[D], dot = 0, got_k[D];
	assert_int_equal(json_integer_value(json_object_get(g, "d")), D);
	read_list(x, json_object_get(g, "x"), D);
	read_list(k, json_object_get(g, "k"), D);
	read_list(perm, json_object_get(g, "perm_interleaved_to_half"), D);
	for (int c = 0; c < D; c++) {
		/* the order weights.c uses for rows from interleaved sources */
		assert_int_equal((int)perm[c], 2 * (c % (D / 2)) + c / (D / 2));
		x_half[c] = x[(int)perm[c]], k_half[c] = k[(int)perm[c]];
	}
	sx_pos_opts o = options("rope", 1);
	sx_pos_plan p = plan_of(&o, D, 16);
	/* coordinates of size 1 in the engine's precision */
	const double tol = sizeof(sx_real) == 8 ? 1e-15 : 2e-7;
	rotated(got, x_half, json_integer_value(json_object_get(g, "pos_x")), &p);
	read_list(want, json_object_get(g, "half_x"), D);
	check_near(got, want, D, tol);
	rotated(got_k, k_half, json_integer_value(json_object_get(g, "pos_k")), &p);
	read_list(want, json_object_get(g, "half_k"), D);
	check_near(got_k, want, D, tol);
	for (int c = 0; c < D; c++) dot += got[c] * got_k[c];
	check_close(dot, json_number_value(json_object_get(g, "dot")), 8 * tol);
	/* the trap: the same vector without the permutation gives something else */
	rotated(got, x, 5, &p);
	read_list(want, json_object_get(g, "half_on_UNpermuted_x_TRAP"), D);
	check_near(got, want, D, tol);
	sx_pos_plan_free(&p);
}

/* Lists go round over the layers; what is not rotated has no attention factor either. */
static void test_layers(void **state)
{
	(void)state;
	sx_pos_opts o = options("yarn", 4);
	const double rotated[] = {1, 1, 0}, windowed[] = {0, 1};
	assert_true(sx_pos_set_list(sx_pos_param_find("rotated_layers"), &o, rotated, 3));
	assert_true(sx_pos_set_list(sx_pos_param_find("windowed_layers"), &o, windowed, 2));
	o.window = 7;
	const sx_pos_shape m = {.layers = 7, .heads = 2, .head_dim = 8, .train_length = 64};
	sx_pos_plan *plan = NULL;
	assert_int_equal(sx_pos_plans_make(&plan, NULL, &o, m, 64), SX_OK);
	for (int l = 0; l < m.layers; l++) {
		bool turns = l % 3 != 2;
		assert_true(plan[l].turns == turns);
		assert_int_equal(plan[l].window, l % 2 ? 7 : 0);
		assert_true(plan[l].attention_factor > 1 || !turns);
		for (int f = 0; f < 4; f++) assert_true((plan[l].gamma[f] > 0) == turns);
	}
	assert_true(plan[2].attention_factor == 1);
	sx_pos_plans_free(plan, m.layers);
}

static void refuse(sx_pos_opts o, int d, const char *word)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_pos_plan p;
	assert_int_equal(sx_pos_plan_make(&p, &ctx, &o, sx_pos_head(d, 256), 0, 256), SX_ECONFIG);
	if (!strstr(ctx.message, word)) fail_msg("'%s' does not name %s", ctx.message, word);
}

static void test_refusals(void **state)
{
	(void)state;
	const sx_pos_opts fine = options("rope", 1);
	const double nan = (double)NAN, inf = (double)INFINITY;
	refuse(options("ropee", 1), 8, "ropee");
	refuse(options("", 1), 8, "pos.method");
	refuse(options("ntk", 2), 2, "ntk");
	const int dims[] = {-2, 0, 1, 7};
	for (int i = 0; i < 4; i++) refuse(fine, dims[i], "head_dim");
	sx_pos_opts o;
#define REFUSE(field, value, word) o = fine, o.field = (value), refuse(o, 8, word)
	REFUSE(theta, 1, "theta");
	REFUSE(theta, -1e4, "theta");
	REFUSE(theta, inf, "theta");
	REFUSE(theta, nan, "theta");
	REFUSE(factor, 0.5, "factor");
	REFUSE(factor, nan, "factor");
	REFUSE(factor, inf, "factor");
	REFUSE(beta, 0, "beta");
	REFUSE(beta, nan, "beta");
	REFUSE(keep, -0.1, "keep");
	REFUSE(keep, 1.1, "keep");
	REFUSE(keep, nan, "keep");
	REFUSE(window, -1, "window");
	REFUSE(beta_fast, 1, "beta_fast");
	REFUSE(beta_slow, 0, "beta_slow");
	REFUSE(attention_factor, 0, "attention_factor");
	REFUSE(attention_factor, inf, "attention_factor");
	REFUSE(partial, 0, "partial");
	REFUSE(partial, 1.5, "partial");
	REFUSE(partial, 0.2, "partial"); /* 1 of 8 channels */
	REFUSE(partial, 0.4, "partial"); /* 3 */
	REFUSE(high_freq_factor, 1, "high_freq_factor");
	REFUSE(low_freq_factor, 0, "low_freq_factor");
#define LIST(value) ((sx_pos_list){.n = 1, .at = {value}})
	REFUSE(rotated_layers, LIST(0.5), "rotated");
	REFUSE(windowed_layers, LIST(2), "windowed");
	REFUSE(long_factor, LIST(0), "long_factor");
	REFUSE(short_factor, LIST(nan), "short_factor");
#undef LIST
	o = options("longrope", 2), refuse(o, 8, "4 pairs");
	o = options("ntk", 2), o.partial = 0.25, refuse(o, 8, "ntk");
	o = options("dynamic", 2), refuse(o, 2, "dynamic");
#undef REFUSE
}

/* ---- the table of parameters ---- */

/* Gives the field of a row another value than its default; by any other row's type it cannot. */
static void change(const sx_pos_param *p, sx_pos_opts *o)
{
	const sx_pos_opts before = *o;
	int taken = 0;
	taken += sx_pos_set_real(p, o, 2.5);
	taken += sx_pos_set_whole(p, o, 77);
	taken += sx_pos_set_flag(p, o, !sx_pos_flag(p, &before));
	taken += sx_pos_set_list(p, o, (const double[]){1, 0.25, 2}, 3);
	assert_int_equal(taken, p->type != SX_POS_METHOD);
	assert_false(sx_pos_set_list(p, o, (const double[SX_POS_LIST_MOST + 1]){0},
				     SX_POS_LIST_MOST + 1));
	if (p->type == SX_POS_LIST) {
		sx_pos_opts again = before;
		assert_true(sx_pos_set_text(p, &again, "1,0.25,2"));
		assert_true(sx_pos_param_same(p, &again, o));
		assert_false(sx_pos_set_text(p, &again, "1,"));
		assert_false(sx_pos_set_text(p, &again, "1,,2"));
		assert_false(sx_pos_set_text(p, &again, "one"));
	}
	if (p->type != SX_POS_METHOD) return;
	assert_false(sx_pos_set_text(p, o, "sixteen-letters-"));
	assert_true(sx_pos_param_same(p, o, &before));
	assert_true(sx_pos_set_text(p, o, "yarn"));
}

static void check_value(const sx_pos_param *p, const sx_pos_opts *o)
{
	if (p->type == SX_POS_METHOD) assert_string_equal(sx_pos_method_name(p, o), "yarn");
	if (p->type == SX_POS_REAL) assert_true(sx_pos_real(p, o) == 2.5);
	if (p->type == SX_POS_WHOLE) assert_int_equal(sx_pos_whole(p, o), 77);
	if (p->type == SX_POS_FLAG) assert_false(sx_pos_flag(p, o)); /* all are true by default */
	if (p->type == SX_POS_LIST) assert_int_equal(sx_pos_list_of(p, o)->n, 3);
}

/* What is set is what is read, differs from the default in that row alone, and can be copied. */
static void test_params(void **state)
{
	(void)state;
	const sx_pos_opts fresh = sx_pos_opts_default();
	int n = 0;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++, n++) {
		sx_pos_opts o = fresh, again = {.theta = 0};
		assert_ptr_equal(sx_pos_param_find(p->name), p);
		assert_memory_equal(p->key, "pos.", 4);
		assert_string_equal(p->key + 4, p->name);
		assert_true(sx_pos_set_text(p, &again, p->fallback));
		assert_true(sx_pos_param_same(p, &again, &fresh));
		change(p, &o);
		check_value(p, &o);
		assert_false(sx_pos_opts_same(&o, &fresh));
		assert_true(sx_pos_param_said(p, &o) && sx_pos_param_said(p, &fresh) != p->quiet);
		for (const sx_pos_param *q = sx_pos_params; q->name; q++)
			assert_true(sx_pos_param_same(q, &o, &fresh) == (q != p));
		sx_pos_param_copy(p, &again, &o);
		assert_true(sx_pos_param_same(p, &again, &o));
		sx_pos_param_copy(p, &o, &fresh);
		assert_true(sx_pos_opts_same(&o, &fresh));
	}
	assert_int_equal(n, SX_POS_PARAMS);
	assert_null(sx_pos_param_find("head_dim"));
	assert_null(sx_pos_param_find(""));
}

static void check_bound(const sx_pos_param *p, double v, bool fine)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_pos_opts o = sx_pos_opts_default();
	assert_true(sx_pos_set_real(p, &o, v) || sx_pos_set_whole(p, &o, (int64_t)v));
	sx_status st = sx_pos_opts_check(&o, &ctx);
	if (st != (fine ? SX_OK : SX_ECONFIG)) fail_msg("%s = %g: status %d", p->key, v, (int)st);
	if (fine) return;
	assert_memory_equal(ctx.message, p->key, strlen(p->key));
	assert_non_null(strstr(ctx.message, p->must));
}

static void test_bounds_of_params(void **state)
{
	(void)state;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++) {
		double most = fmin(p->most, p->guard);
		if (!p->must || p->type == SX_POS_LIST) continue;
		check_bound(p, p->least - 1, false);
		check_bound(p, p->least, !p->above);
		check_bound(p, fmin(p->least + 1, most), true);
		if (isfinite(most)) check_bound(p, most, true);
		if (isfinite(most)) check_bound(p, most * (1 + 1e-9), false);
		if (p->type != SX_POS_REAL) continue;
		check_bound(p, (double)INFINITY, false);
		check_bound(p, (double)NAN, strcmp(p->fallback, "nan") == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_every_method_is_golden),
		cmocka_unit_test(test_train_length),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_over_the_table),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_bounds_of_params),
	};
	return cmocka_run_group_tests(tests, open_golden, close_golden);
}

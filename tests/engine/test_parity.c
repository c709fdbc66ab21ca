/* The engine against other programs: tests/fixtures (PyTorch in double, gradients by autograd) and
 * stories260K (llama2.c's run.c in float, with and without rotation). Compiled in both precisions.
 *
 * Errors are relative to the largest entry of the tensor compared. In double nothing but rounding
 * separates us from PyTorch: 1e-12 (about 10^4 roundoffs). In float the same formulas run at a
 * roundoff of 6e-8; some fifty rounded operations lie between a token and a logit of two layers,
 * the same again on the way back, and what they add up to stays below 5e-6 (84 roundoffs) for
 * values and 2e-5 for gradients, in which terms of both signs cancel. */
#include "tests/support/small_model.h"

#include "engine/files/hf_config.h"
#include "engine/files/llama2c.h"
#include "engine/model/weights.h"
#include "engine/op/blas.h"

#include <jansson.h>
#include <unistd.h>

static const char *const families[] = {"diagonal", "previous"};
static const char *const fixtures[] = {
	"mha", "gqa_tied", "qkv_bias", "qk_norm_full", "qk_norm_head", "window",  "nope",
	"pi",  "ntk",      "yarn",     "p_rope",       "beta",         "combined"};
enum { N_FIXTURES = sizeof fixtures / sizeof fixtures[0], N_C = 2 };

typedef enum { LOGITS, LOSS, NLL, GRADIENT, MAP, AC_VALUE, AC_GRADIENT, KINDS } kind;
static const char *const kind_name[KINDS] = {"logits", "loss",      "nll",         "gradients",
					     "maps",   "A_c value", "A_c gradient"};
static double worst[KINDS]; /* over the fixtures so far, for the report at the end */

static double tolerance(kind k)
{
	if (sizeof(sx_real) == 8) return 1e-12;
	return k == GRADIENT || k == AC_GRADIENT ? 2e-5 : 5e-6;
}

static double *expected(const sx_tensors *t, const char *name, int64_t count)
{
	const sx_tensor *x = sx_tensors_find(t, name);
	if (!x) fail_msg("%s: no tensor %s", t->path, name);
	assert_int_equal(x->count, count);
	double *v = sx_calloc((size_t)count, sizeof *v);
	assert_non_null(v);
	assert_int_equal(sx_tensor_read_f64(NULL, x, v), SX_OK);
	return v;
}

/* scale: of the error; 0 = the largest entry wanted. */
static void compare(kind k, const char *what, const double *got, const double *want, int64_t n,
		    double scale)
{
	double err = 0, most = 0;
	for (int64_t i = 0; i < n; i++) {
		double d = fabs(got[i] - want[i]);
		if (!(d <= err)) err = d;
		most = fmax(most, fabs(want[i]));
	}
	err /= scale > 0 ? scale : most;
	worst[k] = fmax(worst[k], err);
	if (!(err <= tolerance(k))) fail_msg("%s, %s: off by %.3g", what, kind_name[k], err);
}

static double *widened(const sx_real *x, int64_t n)
{
	double *v = sx_calloc((size_t)n, sizeof *v);
	assert_non_null(v);
	for (int64_t i = 0; i < n; i++) v[i] = (double)x[i];
	return v;
}

/* ---- fixtures ---- */

typedef struct {
	const char *name;
	sx_model *m;
	sx_work *w;
	sx_tensors *want;
	observed o;
	int32_t *tokens, *targets;
	int64_t B, T;
	double loss;
} fixture;

static int32_t *expected_ids(const sx_tensors *t, const char *name, int64_t n)
{
	const sx_tensor *x = sx_tensors_find(t, name);
	assert_non_null(x);
	int64_t *v = sx_calloc((size_t)n, sizeof *v);
	int32_t *ids = sx_calloc((size_t)n, sizeof *ids);
	assert_non_null(v);
	assert_non_null(ids);
	assert_int_equal(sx_tensor_read_i64(NULL, x, v), SX_OK);
	for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)v[i];
	free(v);
	return ids;
}

static void open_fixture(fixture *f, const char *name)
{
	char path[512], config[512];
	sx_spec spec;
	sx_tensors *weights = NULL;
	memset(f, 0, sizeof *f);
	f->name = name;
	snprintf(config, sizeof config, "%s/tests/fixtures/%s/config.json", SX_SOURCE_DIR, name);
	snprintf(path, sizeof path, "%s/tests/fixtures/%s/model.safetensors", SX_SOURCE_DIR, name);
	assert_int_equal(sx_hf_open(&weights, &spec, NULL, config, path, NULL), SX_OK);
	assert_int_equal(sx_model_load(&f->m, NULL, weights, &spec), SX_OK);
	sx_tensors_free(weights);
	snprintf(path, sizeof path, "%s/tests/fixtures/%s/expected.safetensors", SX_SOURCE_DIR,
		 name);
	assert_int_equal(sx_safetensors_open(&f->want, NULL, path), SX_OK);
	const sx_tensor *x = sx_tensors_find(f->want, "tokens");
	assert_non_null(x);
	assert_int_equal(x->rank, 2);
	f->B = x->shape[0], f->T = x->shape[1];
	f->tokens = expected_ids(f->want, "tokens", f->B * f->T);
	f->targets = expected_ids(f->want, "targets", f->B * f->T);
	f->w = small_work(f->m, f->B, f->T, SX_WORK_TRAIN);
	f->o = observe_all(&f->m->spec, f->B, f->T, families, N_C);
}

static void close_fixture(fixture *f)
{
	observed_free(&f->o);
	sx_work_free(f->w);
	sx_model_free(f->m);
	sx_tensors_free(f->want);
	free(f->tokens);
	free(f->targets);
}

static void check_outputs(const fixture *f)
{
	int64_t N = f->B * f->T, V = f->m->spec.V;
	sx_real *logits = sx_calloc((size_t)(N * V), sizeof *logits);
	assert_non_null(logits);
	sx_logits(f->m, f->w, 0, N, logits);
	double *got = widened(logits, N * V), *want = expected(f->want, "logits", N * V);
	compare(LOGITS, f->name, got, want, N * V, 0);
	free(got);
	free(want);
	free(logits);
	want = expected(f->want, "loss", 1);
	compare(LOSS, f->name, &f->loss, want, 1, 0);
	free(want);
	want = expected(f->want, "nll", N);
	double *nll = sx_calloc((size_t)N, sizeof *nll);
	assert_non_null(nll);
	for (int64_t i = 0; i < N; i++) {
		assert_int_equal(isnan(f->w->nll[i]) != 0, f->targets[i] < 0);
		nll[i] = f->targets[i] < 0 ? 0 : f->w->nll[i];
	}
	compare(NLL, f->name, nll, want, N, 0);
	free(nll);
	free(want);
}

static void check_gradients(const fixture *f)
{
	sx_params g;
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(&f->m->spec, info);
	sx_params_layout(&g, &f->m->spec, sx_calloc((size_t)f->m->p.count, sizeof(sx_real)));
	assert_non_null(g.base);
	assert_int_equal(
		sx_backward(
			NULL, f->m, f->w, &g,
			&(sx_request){.tokens = f->tokens, .target = f->targets, .B = f->w->used_B},
			1 / (double)f->w->counted),
		SX_OK);
	for (int i = 0; i < n; i++)
		for (int64_t c = 0; c < info[i].copies; c++) {
			int64_t size = info[i].rows * info[i].cols;
			char layer[SX_TENSOR_NAME], name[128], what[256];
			sx_tensor_place_name(
				layer, sx_tensor_place_find(&sx_model_family_llama, info[i].field),
				c);
			snprintf(name, sizeof name, "grad.%s", layer);
			snprintf(what, sizeof what, "%s, %s", f->name, name);
			double *got = widened(g.base + info[i].offset + c * size, size);
			double *want = expected(f->want, name, size);
			compare(GRADIENT, what, got, want, size, 0);
			free(got);
			free(want);
		}
	free(g.base);
}

static void check_maps(const fixture *f)
{
	const sx_measures *m = f->o.measures;
	int64_t TT = f->T * f->T;
	for (int64_t l = 0; l < m->L; l++) {
		char name[32];
		snprintf(name, sizeof name, "attn.%d", (int)l);
		double *want = expected(f->want, name, f->B * m->H * TT);
		for (int64_t b = 0; b < f->B; b++)
			compare(MAP, f->name, f->o.map + (b * m->L + l) * m->H * TT,
				want + b * m->H * TT, m->H * TT, 1);
		for (int64_t k = 0; k < f->B * m->H * TT; k++) { /* masked means exactly 0 */
			int64_t b = k / (m->H * TT), at = (b * m->L + l) * m->H * TT;
			if (want[k] == 0) assert_true(f->o.map[at + k % (m->H * TT)] == 0);
		}
		free(want);
	}
}

/* Ours are (sequence, layer, head, c[, wrt]), the file's (layer, sequence, head). A_c is a mean of
 * terms of size up to 1/T that cancel, so its error is measured against 1/T. */
static void check_functionals(const fixture *f)
{
	static const char *const wrt[SX_WRT_COUNT] = {"wq", "wk", "q", "k", "h"};
	const sx_measures *m = f->o.measures;
	int64_t n = m->L * f->B * m->H;
	double *got = sx_calloc((size_t)n, sizeof *got);
	assert_non_null(got);
	for (int64_t c = 0; c < N_C; c++)
		for (int g = -1; g < SX_WRT_COUNT; g++) {
			char name[64];
			snprintf(name, sizeof name, g < 0 ? "ac.value.%s%s" : "ac.grad_%s.%s",
				 g < 0 ? families[c] : wrt[g], g < 0 ? "" : families[c]);
			for (int64_t k = 0; k < n; k++) {
				int64_t l = k / (f->B * m->H), b = k / m->H % f->B, h = k % m->H;
				int64_t at = ((b * m->L + l) * m->H + h) * N_C + c;
				got[k] = g < 0 ? m->ac_value[at] : m->ac_grad[at * m->n_wrt + g];
			}
			double *want = expected(f->want, name, n);
			compare(g < 0 ? AC_VALUE : AC_GRADIENT, f->name, got, want, n,
				g < 0 ? 1 / (double)f->T : 0);
			free(want);
		}
	free(got);
}

static void test_fixtures(void **state)
{
	(void)state;
	for (int i = 0; i < N_FIXTURES; i++) {
		fixture f;
		int n;
		open_fixture(&f, fixtures[i]);
		const sx_probe *p = observe_with(&f.o, &f.m->spec, &n);
		assert_int_equal(sx_forward(NULL, f.m, f.w,
					    &(sx_request){.tokens = f.tokens,
							  .target = f.targets,
							  .B = f.B,
							  .probe = p,
							  .n_probe = n},
					    &f.loss),
				 SX_OK);
		check_outputs(&f);
		check_gradients(&f);
		check_maps(&f);
		check_functionals(&f);
		close_fixture(&f);
	}
	for (int k = 0; k < KINDS; k++)
		print_message("%s, %-12s worst of %d fixtures: %.2g (allowed %.0e)\n", SX_PRECISION,
			      kind_name[k], N_FIXTURES, worst[k], tolerance((kind)k));
}

/* ---- tensors of another form ---- */

/* q, k and v in one tensor head by head, as GPT-NeoX has them; matrices of the MLP as (in,out). */
static const sx_tensor_place odd_places[] = {
	{.field = "embed", .tensor = "in"},
	{.field = "ln1", .tensor = "h.%d.n1"},
	{"wq", "h.%d.qkv.w", SX_PLACE_HEADS, 0, 3},
	{"wk", "h.%d.qkv.w", SX_PLACE_HEADS, 1, 3},
	{"wv", "h.%d.qkv.w", SX_PLACE_HEADS, 2, 3},
	{"bq", "h.%d.qkv.b", SX_PLACE_HEADS, 0, 3},
	{"bk", "h.%d.qkv.b", SX_PLACE_HEADS, 1, 3},
	{"bv", "h.%d.qkv.b", SX_PLACE_HEADS, 2, 3},
	{.field = "wo", .tensor = "h.%d.o"},
	{.field = "ln2", .tensor = "h.%d.n2"},
	{.field = "wg", .tensor = "h.%d.g", .form = SX_PLACE_TRANSPOSED},
	{.field = "wu", .tensor = "h.%d.u", .form = SX_PLACE_TRANSPOSED},
	{.field = "wd", .tensor = "h.%d.d", .form = SX_PLACE_TRANSPOSED},
	{.field = "ln_f", .tensor = "n"},
	{.field = "head", .tensor = "out"},
	{0}};
static const char *const odd_buffers[] = {".mask", NULL};
static const sx_model_family odd = {
	.model_type = "odd", .places = odd_places, .buffers = odd_buffers};

/* One element, its place written out. */
static void expect_at(const sx_tensors *t, const char *name, int64_t at, sx_real want)
{
	const sx_tensor *x = sx_tensors_find(t, name);
	assert_non_null(x);
	sx_real *v = sx_calloc((size_t)x->count, sizeof *v);
	assert_non_null(v);
	assert_int_equal(sx_tensor_reals(NULL, t, x, v), SX_OK);
	assert_true(at < x->count && v[at] == want);
	free(v);
}

static void test_forms(void **state)
{
	(void)state;
	char path[] = "/tmp/sextant-forms-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	sx_spec s = sx_spec_default();
	s.C = 12, s.H = s.Hkv = 3, s.D = 4, s.F = 7, s.L = 2, s.V = 5, s.qkv_bias = true;
	sx_model *m = NULL, *back = NULL;
	sx_tensors *t = NULL;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_model_new(&m, NULL, &s), SX_OK);
	for (int64_t i = 0; i < m->p.count; i++) m->p.base[i] = (sx_real)(i + 1);
	assert_int_equal(sx_model_save(NULL, path, &odd, &s, m->p.base), SX_OK);
	assert_int_equal(sx_safetensors_open(&t, NULL, path), SX_OK);
	assert_int_equal(t->n, 3 + 8 * s.L);
	const sx_real *part[] = {m->p.wq, m->p.wk, m->p.wv}, *bias[] = {m->p.bq, m->p.bk, m->p.bv};
	for (int64_t h = 0; h < 3; h++)
		for (int64_t p = 0; p < 3; p++) { /* row 3 of head h of part p in layer 1 */
			expect_at(t, "h.1.qkv.w", (h * 12 + p * 4 + 3) * 12 + 5,
				  part[p][144 + (h * 4 + 3) * 12 + 5]);
			expect_at(t, "h.1.qkv.b", h * 12 + p * 4 + 3, bias[p][12 + h * 4 + 3]);
		}
	expect_at(t, "h.1.g", 11 * 7 + 2, m->p.wg[84 + 2 * 12 + 11]);
	expect_at(t, "h.0.d", 6 * 12 + 2, m->p.wd[2 * 7 + 6]);
	/* by the names of Llama it is another file */
	assert_int_equal(sx_model_load(&back, &ctx, t, &s), SX_EDATA);
	assert_non_null(strstr(ctx.message, "has no place in a model of this configuration"));
	t->family = &odd;
	assert_int_equal(sx_model_load(&back, &ctx, t, &s), SX_OK);
	assert_memory_equal(back->p.base, m->p.base, (size_t)m->p.count * sizeof(sx_real));
	sx_model_free(back);
	s.qk_norm = SX_QK_NORM_HEAD; /* what a family has no place for */
	assert_int_equal(sx_model_load(&back, &ctx, t, &s), SX_EINTERNAL);
	sx_tensors_free(t);
	sx_model_free(m);
	unlink(path);
}

/* ---- a trained model: what llama2.c computed, in float ---- */

static const char *shared_path(char path[1024], const char *file)
{
	const char *shared = getenv("SEXTANT_SHARED");
	if (shared)
		snprintf(path, 1024, "%s/data/%s", shared, file);
	else
		snprintf(path, 1024, "%s/../shared/data/%s", SX_SOURCE_DIR, file);
	return path;
}

static float *read_floats(const char *path, int64_t count)
{
	char *data = NULL;
	size_t size = 0;
	assert_int_equal(sx_read_file(NULL, path, &data, &size), SX_OK);
	assert_int_equal(size, (size_t)count * sizeof(float));
	float *x = malloc(size);
	assert_non_null(x);
	memcpy(x, data, size);
	free(data);
	return x;
}

static json_t *read_trace(const char *method)
{
	char path[1024], name[64];
	snprintf(name, sizeof name, "reference/stories260K_trace_%s.json", method);
	json_t *j = json_load_file(shared_path(path, name), 0, NULL);
	assert_non_null(j);
	return j;
}

static double most_apart(const double *got, const float *want, int64_t n)
{
	double most = 0;
	for (int64_t i = 0; i < n; i++) {
		double d = fabs(got[i] - (double)want[i]);
		if (!(d <= most)) most = d;
	}
	return most;
}

static void check_stories(const char *method)
{
	char path[1024], name[64];
	sx_tensors *weights = NULL;
	sx_spec spec;
	sx_model *m = NULL;
	shared_path(path, "models/stories260K/stories260K.bin");
	assert_int_equal(sx_llama2c_open(&weights, &spec, NULL, path), SX_OK);
	snprintf(spec.pos.method, sizeof spec.pos.method, "%s", method);
	assert_int_equal(sx_model_load(&m, NULL, weights, &spec), SX_OK);
	sx_tensors_free(weights);

	json_t *trace = read_trace(method), *ids = json_object_get(trace, "tokens");
	json_t *nll = json_object_get(trace, "next_token_nll");
	int64_t T = (int64_t)json_array_size(ids), V = spec.V,
		maps = (int64_t)spec.L * spec.H * T * T;
	int32_t *tokens = sx_calloc((size_t)T, sizeof *tokens), *target = sx_calloc((size_t)T, 4);
	assert_non_null(tokens);
	assert_non_null(target);
	for (int64_t t = 0; t < T; t++)
		tokens[t] = (int32_t)json_integer_value(json_array_get(ids, (size_t)t));
	for (int64_t t = 0; t < T; t++) target[t] = t + 1 < T ? tokens[t + 1] : -1;
	sx_work *w = small_work(m, 1, T, SX_WORK_FORWARD);
	observed o = observe_all(&spec, 1, T, families, N_C);
	int n;
	const sx_probe *p = observe_with(&o, &spec, &n);
	assert_int_equal(sx_forward(NULL, m, w,
				    &(sx_request){.tokens = tokens,
						  .target = target,
						  .B = 1,
						  .probe = p,
						  .n_probe = n},
				    NULL),
			 SX_OK);

	sx_real *raw = sx_calloc((size_t)(T * V), sizeof *raw);
	assert_non_null(raw);
	sx_logits(m, w, 0, T, raw);
	double *logits = widened(raw, T * V), off_nll = 0;
	snprintf(name, sizeof name, "reference/stories260K_trace_%s.logits.f32", method);
	float *want_logits = read_floats(shared_path(path, name), T * V);
	snprintf(name, sizeof name, "reference/stories260K_trace_%s.attn.f32", method);
	float *want_maps = read_floats(shared_path(path, name), maps);
	double off_logits = most_apart(logits, want_logits, T * V);
	double off_maps = most_apart(o.map, want_maps, maps);
	for (int64_t t = 0; t + 1 < T; t++)
		off_nll = fmax(off_nll,
			       fabs(w->nll[t] - json_real_value(json_array_get(nll, (size_t)t))));
	print_message("%s, stories260K %s: logits %.2g, maps %.2g, nll %.2g apart\n", SX_PRECISION,
		      method, off_logits, off_maps, off_nll);
	assert_int_equal(json_array_size(nll), T - 1);
	assert_true(off_logits <= 2e-4);
	assert_true(off_maps <= 1e-5);
	/* a logit off by e moves the nll by at most 2 e; the file has six decimals */
	assert_true(off_nll <= 2 * off_logits + 1e-6);

	free(want_logits);
	free(want_maps);
	free(logits);
	free(raw);
	free(tokens);
	free(target);
	json_decref(trace);
	observed_free(&o);
	sx_work_free(w);
	sx_model_free(m);
}

static void test_stories(void **state)
{
	(void)state;
	char path[1024];
	if (!sx_path_exists(shared_path(path, "models/stories260K/stories260K.bin"))) {
		print_message("skipped: %s is not there\n", path);
		skip();
	}
	check_stories("rope");
	check_stories("nope");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_stories),
	};
	sx_blas_start(NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

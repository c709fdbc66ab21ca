/* Every family against transformers: tests/fixtures/families (make_families.py), folders as its
 * save_pretrained writes them, and what it computes. In double the modules there have their casts to float32
 * taken away, and nothing but rounding separates us; in float see test_parity.c. Compiled in both. */
#include "tests/support/small_model.h"

#include "engine/files/hf_config.h"
#include "engine/model/weights.h"
#include "engine/op/blas.h"

#include <unistd.h>

static const char *const fixtures[] = {
	"llama_bias",       "llama_tied",     "llama_linear",   "llama_dynamic",
	"llama_yarn",       "llama_llama3",   "llama_longrope", "llama_longrope_short",
	"mistral_window",   "mistral_tied",   "qwen2_window",   "qwen2_tied",
	"qwen3_bias",       "qwen3_layers",   "smollm3_list",   "smollm3_window",
	"olmo2_gqa",        "olmo2_bias",     "neox_parallel",  "neox_serial",
	"neox_nobias",      "llama_drope_qk", "llama_drope_q",  "llama_drope_k",
	"qwen2_drope_nope", "qwen2_drope_q"};
enum { N = sizeof fixtures / sizeof fixtures[0] };

typedef enum { LOGITS, LOSS, MAP, GRADIENT, KINDS } kind;
static const char *const kind_name[KINDS] = {"logits", "loss", "maps", "gradients"};
static double worst[KINDS];

static double tolerance(kind k)
{
	return sizeof(sx_real) == 8 ? 1e-12 : k == GRADIENT ? 2e-5 : 5e-6;
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

/* Relative to the largest entry wanted, or to `scale`. */
static double distance(const double *got, const double *want, int64_t n, double scale)
{
	double err = 0, most = 0;
	for (int64_t i = 0; i < n; i++) {
		double d = fabs(got[i] - want[i]);
		if (!(d <= err)) err = d;
		most = fmax(most, fabs(want[i]));
	}
	if (scale > 0) most = scale;
	return most > 0 ? err / most : err;
}

static void compare(kind k, const char *what, const double *got, const double *want, int64_t n,
		    double scale)
{
	double err = distance(got, want, n, scale);
	worst[k] = fmax(worst[k], err);
	if (!(err <= tolerance(k))) fail_msg("%s, %s: off by %.3g", what, kind_name[k], err);
}

typedef struct {
	const char *name;
	sx_spec spec;
	sx_model *m;
	sx_work *w;
	sx_tensors *want;
	int32_t *tokens, *targets;
	int64_t T;
	double *map; /* (L,H,T,T) */
} fixture;

static sx_status keep(void *self, const sx_tile *t)
{
	fixture *f = self;
	int64_t head = (int64_t)t->head->layer * f->spec.H + t->head->head, T = f->T;
	for (int64_t r = 0; r < t->nrow; r++)
		for (int64_t j = 0; j < t->nkey; j++)
			f->map[(head * T + t->row0 + r) * T + t->key0 + j] =
				(double)t->p[r * t->ld + j];
	return SX_OK;
}

static int32_t *ids_of(const sx_tensors *t, const char *name, int64_t *n)
{
	const sx_tensor *x = sx_tensors_find(t, name);
	assert_non_null(x);
	int64_t *v = sx_calloc((size_t)x->count, sizeof *v);
	int32_t *ids = sx_calloc((size_t)x->count, sizeof *ids);
	assert_true(v && ids);
	assert_int_equal(sx_tensor_read_i64(NULL, x, v), SX_OK);
	for (int64_t i = 0; i < x->count; i++) ids[i] = (int32_t)v[i];
	*n = x->count;
	free(v);
	return ids;
}

static void path_of(char out[512], const char *name, const char *file)
{
	snprintf(out, 512, "%s/tests/fixtures/families/%s/%s", SX_SOURCE_DIR, name, file);
}

static void open_fixture(fixture *f, const char *name)
{
	char path[512], config[512];
	sx_ctx ctx;
	sx_tensors *weights = NULL;
	*f = (fixture){.name = name};
	sx_ctx_init(&ctx);
	path_of(config, name, "config.json");
	path_of(path, name, "model.safetensors");
	if (sx_hf_open(&weights, &f->spec, &ctx, config, path, NULL) != SX_OK)
		fail_msg("%s", ctx.message);
	if (sx_model_load(&f->m, &ctx, weights, &f->spec) != SX_OK) fail_msg("%s", ctx.message);
	sx_tensors_free(weights);
	path_of(path, name, "expected.safetensors");
	assert_int_equal(sx_safetensors_open(&f->want, NULL, path), SX_OK);
	f->tokens = ids_of(f->want, "tokens", &f->T);
	f->targets = ids_of(f->want, "targets", &f->T);
	f->w = small_work(f->m, 1, f->T, SX_WORK_TRAIN);
	f->map = sx_calloc((size_t)(f->spec.L * f->spec.H * f->T * f->T), sizeof *f->map);
	assert_non_null(f->map);
}

static void close_fixture(fixture *f)
{
	sx_work_free(f->w);
	sx_model_free(f->m);
	sx_tensors_free(f->want);
	free(f->tokens);
	free(f->targets);
	free(f->map);
}

static void check_outputs(const fixture *f, double loss)
{
	int64_t n = f->T * f->spec.V, TT = f->T * f->T;
	sx_real *logits = sx_calloc((size_t)n, sizeof *logits);
	double *got = sx_calloc((size_t)n, sizeof *got), *want = expected(f->want, "logits", n);
	double *plain = expected(f->want, "logits_f32", n);
	assert_true(logits && got);
	sx_logits(f->m, f->w, 0, f->T, logits);
	for (int64_t i = 0; i < n; i++) got[i] = (double)logits[i];
	compare(LOGITS, f->name, got, want, n, 0);
	/* the modules as they are, casts and all: what a user sees there */
	if (!(distance(got, plain, n, 0) <= 1e-5))
		fail_msg("%s: %.3g from transformers in float32", f->name,
			 distance(got, plain, n, 0));
	free(logits);
	free(got);
	free(want);
	free(plain);
	want = expected(f->want, "loss", 1);
	compare(LOSS, f->name, &loss, want, 1, 0);
	free(want);
	for (int l = 0; l < f->spec.L; l++) {
		char name[32];
		snprintf(name, sizeof name, "attn.%d", l);
		want = expected(f->want, name, f->spec.H * TT);
		compare(MAP, f->name, f->map + l * f->spec.H * TT, want, f->spec.H * TT, 1);
		free(want);
	}
}

/* In the places and forms of the family, as the weights are. */
static void check_gradients(const fixture *f)
{
	char path[512], config[512];
	sx_ctx ctx;
	sx_spec spec;
	sx_tensors *t = NULL;
	sx_params g, want;
	sx_ctx_init(&ctx);
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(&f->spec, info);
	size_t count = (size_t)f->m->p.count;
	sx_params_layout(&g, &f->spec, sx_calloc(count, sizeof(sx_real)));
	sx_params_layout(&want, &f->spec, sx_calloc(count, sizeof(sx_real)));
	assert_true(g.base && want.base);
	path_of(config, f->name, "config.json");
	path_of(path, f->name, "gradients.safetensors");
	assert_int_equal(sx_hf_open(&t, &spec, NULL, config, path, NULL), SX_OK);
	if (sx_model_fill(&ctx, t, &f->spec, want.base) != SX_OK) fail_msg("%s", ctx.message);
	sx_tensors_free(t);
	assert_int_equal(
		sx_backward(NULL, f->m, f->w, &g,
			    &(sx_request){.tokens = f->tokens, .target = f->targets, .B = 1},
			    1 / (double)f->w->counted),
		SX_OK);
	for (int i = 0; i < n; i++)
		for (int64_t c = 0; c < info[i].copies; c++) {
			int64_t size = info[i].rows * info[i].cols, at = info[i].offset + c * size;
			double *a = sx_calloc((size_t)size, sizeof *a),
			       *b = sx_calloc((size_t)size, sizeof *b);
			char what[96];
			assert_true(a && b);
			for (int64_t e = 0; e < size; e++)
				a[e] = (double)g.base[at + e], b[e] = (double)want.base[at + e];
			snprintf(what, sizeof what, "%s, %s of layer %d", f->name, info[i].field,
				 (int)c);
			/* a key bias shifts whole rows of scores, up to the rotation: nothing left */
			double norm = 0;
			for (int64_t e = 0; e < size; e++) norm = fmax(norm, fabs(b[e]));
			compare(GRADIENT, what, a, b, size, norm < 1e-12 ? 1 : 0);
			free(a);
			free(b);
		}
	free(g.base);
	free(want.base);
}

static void test_parity(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++) {
		fixture f;
		double loss = 0;
		open_fixture(&f, fixtures[i]);
		const sx_probe p = {.self = &f, .tile = keep};
		assert_int_equal(sx_forward(NULL, f.m, f.w,
					    &(sx_request){.tokens = f.tokens,
							  .target = f.targets,
							  .B = 1,
							  .probe = &p,
							  .n_probe = 1},
					    &loss),
				 SX_OK);
		check_outputs(&f, loss);
		check_gradients(&f);
		close_fixture(&f);
	}
	for (int k = 0; k < KINDS; k++)
		print_message("%s, %-9s worst of %d models: %.2g (allowed %.0e)\n", SX_PRECISION,
			      kind_name[k], N, worst[k], tolerance((kind)k));
}

/* ---- out and in again ---- */

static char dir[] = "/tmp/sextant-families-XXXXXX";

static void check_again(const fixture *f, const sx_model_family *family)
{
	sx_ctx ctx;
	sx_spec s;
	sx_tensors *t = NULL;
	sx_model *m = NULL;
	char config[64], path[64];
	bool same = false;
	sx_ctx_init(&ctx);
	snprintf(config, sizeof config, "%s/config.json", dir);
	snprintf(path, sizeof path, "%s/model.safetensors", dir);
	if (sx_hf_config_write_as(&ctx, config, family, &f->spec) != SX_OK ||
	    sx_model_save(&ctx, path, family, &f->spec, f->m->p.base) != SX_OK ||
	    sx_hf_open(&t, &s, &ctx, config, path, NULL) != SX_OK ||
	    sx_model_load(&m, &ctx, t, &s) != SX_OK)
		fail_msg("%s as %s: %s", f->name, family->model_type, ctx.message);
	assert_ptr_equal(t->family, family);
	assert_int_equal(m->p.count, f->m->p.count);
	assert_memory_equal(m->p.base, f->m->p.base, (size_t)m->p.count * sizeof(sx_real));
	assert_true(sx_block_same(&s.block, &f->spec.block) && s.tied == f->spec.tied);
	assert_true(s.qk_norm == f->spec.qk_norm && s.eps == f->spec.eps);
	assert_int_equal(sx_pos_plans_same(&same, &ctx, &s.pos, sx_spec_shape(&s), &f->spec.pos,
					   sx_spec_shape(&f->spec), f->T),
			 SX_OK);
	if (!same) fail_msg("%s as %s: other positions", f->name, family->model_type);
	sx_tensors_free(t);
	sx_model_free(m);
	unlink(config);
	unlink(path);
}

/* Each is written as what it came from, and as a checkpoint, and is the same model again, tensors bit for
 * bit; the tensors' names are those that transformers wrote. */
static void test_round_trip(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < N; i++) {
		fixture f;
		char path[512];
		sx_tensors *t = NULL;
		sx_spec s;
		open_fixture(&f, fixtures[i]);
		char config[512];
		path_of(config, f.name, "config.json");
		path_of(path, f.name, "model.safetensors");
		assert_int_equal(sx_hf_open(&t, &s, NULL, config, path, NULL), SX_OK);
		const sx_model_family *own = t->family;
		sx_tensors_free(t);
		if (!own->says(&f.spec)) fail_msg("%s: not said by its own family", f.name);
		check_again(&f, own);
		check_again(&f, sx_model_family_of(&f.spec));
		check_again(&f, &sx_model_family_sextant);
		close_fixture(&f);
	}
	rmdir(dir);
}

/* ---- models that others made ---- */

/* BF16, "__metadata__": null, a header of a length that is no multiple of 8; llama3 scaling, a window, QK-norm
 * per head. The last of 24 tokens, against transformers in float32. */
static void test_downloaded(void **state)
{
	(void)state;
	static const char *const names[] = {"tiny_llama3", "tiny_mistral", "tiny_qwen3"};
	const char *shared = getenv("SEXTANT_SHARED");
	char at[400], path[512], config[512];
	sx_tensors *want = NULL;
	snprintf(at, sizeof at, "%s/data/models/mlxd",
		 shared ? shared : SX_SOURCE_DIR "/../shared");
	if (!sx_path_is_dir(at)) {
		print_message("skipped: no %s\n", at);
		skip();
	}
	snprintf(path, sizeof path, "%s/tests/fixtures/families/mlxd.safetensors", SX_SOURCE_DIR);
	assert_int_equal(sx_safetensors_open(&want, NULL, path), SX_OK);
	for (int i = 0; i < 3; i++) {
		enum { T = 24, V = 256 };
		int32_t tokens[T];
		sx_ctx ctx;
		sx_tensors *t = NULL;
		sx_model *m = NULL;
		sx_spec s;
		sx_real logits[V];
		double got[V], *expect = expected(want, names[i], V);
		sx_ctx_init(&ctx);
		snprintf(config, sizeof config, "%s/%s/config.json", at, names[i]);
		snprintf(path, sizeof path, "%s/%s/model.safetensors", at, names[i]);
		if (sx_hf_open(&t, &s, &ctx, config, path, NULL) != SX_OK ||
		    sx_model_load(&m, &ctx, t, &s) != SX_OK)
			fail_msg("%s", ctx.message);
		assert_int_equal(s.V, V);
		for (int k = 0; k < T; k++) tokens[k] = k + 1;
		sx_work *w = small_work(m, 1, T, SX_WORK_FORWARD);
		assert_int_equal(
			sx_forward(NULL, m, w, &(sx_request){.tokens = tokens, .B = 1}, NULL),
			SX_OK);
		sx_logits(m, w, T - 1, 1, logits);
		for (int v = 0; v < V; v++) got[v] = (double)logits[v];
		double err = distance(got, expect, V, 0);
		print_message("%s, %s: %.2g\n", SX_PRECISION, names[i], err);
		assert_true(err <= 5e-6); /* float32 there */
		free(expect);
		sx_work_free(w);
		sx_model_free(m);
		sx_tensors_free(t);
	}
	sx_tensors_free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parity),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_downloaded),
	};
	sx_blas_start(NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

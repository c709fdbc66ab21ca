/* The theory on random models: none of the corrected forms may be violated, and everything that
 * applies must be evaluated; a search that tries to violate them; gradients against central
 * differences. Arguments: how many models (100), and the seed they are drawn from.
 * Compiled in both precisions. */
#include "tests/support/bounds_fixture.h"

#include <inttypes.h>

static int64_t n_models = 100;
static uint64_t seed = 2026;

static double draw(uint64_t model, uint64_t what)
{
	return sx_uniform(seed, SX_STREAM_TEST, model * 64 + what);
}

/* Log-uniform whole number of [lo, hi]. */
static int64_t draw_size(uint64_t model, uint64_t what, double lo, double hi)
{
	double x = lo * pow((hi + 1) / lo, draw(model, what));
	return (int64_t)fmin(hi, x);
}

/* ---- tokens ---- */

static uint8_t *text;
static int64_t text_size;

static void read_text(void)
{
	const char *shared = getenv("SEXTANT_SHARED");
	char path[512];
	snprintf(path, sizeof path, "%s/data/text/tinyshakespeare.txt", shared ? shared : "");
	FILE *f = shared ? fopen(path, "rb") : NULL;
	if (!f) {
		print_message("real text: skipped, $SEXTANT_SHARED has none; generated instead\n");
		return;
	}
	enum { MOST = 1 << 20 };
	text = sx_calloc(MOST, 1);
	assert_non_null(text);
	text_size = (int64_t)fread(text, 1, MOST, f);
	fclose(f);
}

/* (2,T): text, a few symbols that repeat, or many; then a constant sequence. */
static int32_t *draw_tokens(uint64_t k, sx_spec *s, int64_t T)
{
	double kind = draw(k, 6);
	s->V = kind < 0.4 && text ? 256 : kind < 0.7 ? 3 : 512;
	int32_t *x = small_tokens(2 * T, s->V, seed + k);
	int64_t at = text_size > T ? (int64_t)(draw(k, 20) * (double)(text_size - T)) : 0;
	for (int64_t t = 0; s->V == 256 && t < T && t < text_size; t++) x[t] = text[at + t];
	for (int64_t t = 0; t < T; t++) x[T + t] = x[0];
	return x;
}

static sx_spec draw_spec(uint64_t k)
{
	static const char *const methods[] = {"nope", "nope", "nope", "rope", "yarn", "p-rope"};
	int H = (int)draw_size(k, 0, 1, 16), Hkv = H;
	int wanted = 1 + (int)(draw(k, 1) * H);
	if (draw(k, 15) < 0.5)
		while (Hkv > 1 && (Hkv > wanted || H % Hkv != 0)) Hkv--;
	int D = 2 << (int)(draw(k, 2) * 4), C = (int)draw_size(k, 3, 4, 64);
	sx_spec s = small_spec(methods[(int)(draw(k, 4) * 6)], (int)draw_size(k, 5, 1, 8), C, H,
			       Hkv, D);
	s.F = (int)draw_size(k, 16, 4, 128);
	s.pos.window = draw(k, 7) < 0.3 ? 1 + (int64_t)(draw(k, 8) * 40) : 0;
	s.pos.factor = 4, s.pos.beta = 0.5 + draw(k, 9);
	s.qk_norm = draw(k, 10) < 0.7   ? SX_QK_NORM_NONE
		    : draw(k, 11) < 0.5 ? SX_QK_NORM_FULL
					: SX_QK_NORM_HEAD;
	s.qkv_bias = draw(k, 12) < 0.25;
	s.block.o_bias = draw(k, 21) < 0.25, s.block.mlp_bias = draw(k, 22) < 0.25;
	if (draw(k, 23) < 0.35) s.block = small_blocks[(int)(draw(k, 24) * SMALL_BLOCKS)];
	if (s.qk_norm == SX_QK_NORM_NONE) s.block.q_plain = s.block.k_plain = false;
	return s;
}

/* ---- none is violated ---- */

typedef struct {
	double *ratio;
	int64_t n, room, violated, not_applicable, broken;
	double tightest;
	char where[160];
} tally;

static void count(tally *t, const passed *x, int64_t at, uint64_t model)
{
	const sx_bounds *b = &x->b;
	if (x->verdict[at] == SX_VERDICT_NOT_APPLICABLE) {
		t->not_applicable++;
		return;
	}
	double ratio = sx_bounds_ratio(b, at);
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		double *more = realloc(t->ratio, (size_t)t->room * sizeof *more);
		assert_non_null(more);
		t->ratio = more;
	}
	t->ratio[t->n++] = ratio;
	t->violated += x->verdict[at] != SX_VERDICT_HOLDS;
	t->broken += b->lhs[at] > b->rhs_paper[at] + b->allowance[at];
	if (t->n > 1 && !(ratio > t->tightest) && x->verdict[at] == SX_VERDICT_HOLDS) return;
	t->tightest = ratio;
	int64_t h = at / b->n;
	const sx_spec *s = &x->m->spec;
	snprintf(t->where, sizeof t->where,
		 "%s model %" PRIu64
		 " (%s, L%d H%d/%d D%d C%d T%d) seq %d L%d/H%d row %d: %.6g, %.6g "
		 "+ %.2g",
		 b->name[at % b->n], model, s->pos.method, s->L, s->H, s->Hkv, s->D, s->C,
		 (int)x->o.measures->T, (int)(h / (b->L * b->H)), (int)(h / b->H % b->L),
		 (int)(h % b->H), (int)b->row[at], b->lhs[at], b->rhs[at], b->allowance[at]);
}

static int ascending(const void *a, const void *b)
{
	double x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

/* Place of the merged name (without its family) of inequality i. */
static int64_t merged(int64_t i)
{
	return i < SX_BOUND_PLAIN ? i : SX_BOUND_PLAIN + (i - SX_BOUND_PLAIN) % SX_BOUND_OF_C;
}

static void test_random_models(void **state)
{
	(void)state;
	enum { NAMES = SX_BOUND_PLAIN + SX_BOUND_OF_C };
	tally *t = sx_calloc(NAMES, sizeof *t);
	assert_non_null(t);
	int64_t evaluated = 0, violated = 0;
	int threads = omp_get_max_threads();
	omp_set_num_threads(1); /* models this small are not worth a team */
	for (uint64_t k = 0; k < (uint64_t)n_models; k++) {
		sx_spec s = draw_spec(k);
		int64_t T = draw_size(k, 13, 2, 512);
		double sd = 1e-3 * pow(2000, draw(k, 14));
		int32_t *tokens = draw_tokens(k, &s, T);
		passed x;
		pass(&x, &s, 2, T, tokens, seed * 1000003 + k, sd, AS_IT_IS, false);
		assert_int_equal(count_of(&x, NULL, SX_VERDICT_NONE), 0);
		for (int64_t at = 0; at < x.b.S * x.b.L * x.b.H * x.b.n; at++)
			count(&t[merged(at % x.b.n)], &x, at, k);
		passed_free(&x);
	}
	omp_set_num_threads(threads);
	print_message("%s, %d models of seed %d: evaluated, violated, not applicable, printed form "
		      "fails; ratio: tightest, median; tightest at (left, right + allowance)\n",
		      SX_PRECISION, (int)n_models, (int)seed);
	for (int64_t i = 0; i < NAMES; i++) {
		char name[SX_BOUND_NAME];
		sx_bound_name(name, i, "");
		name[strcspn(name, ":")] = '\0';
		if (t[i].n) qsort(t[i].ratio, (size_t)t[i].n, sizeof *t[i].ratio, ascending);
		print_message("  %-11s %8d %3d %8d %7d  %8.3g %8.3g  %s\n", name, (int)t[i].n,
			      (int)t[i].violated, (int)t[i].not_applicable, (int)t[i].broken,
			      t[i].tightest, t[i].n ? t[i].ratio[t[i].n / 2] : (double)NAN,
			      t[i].where);
		evaluated += t[i].n, violated += t[i].violated;
		assert_true(t[i].n > 0);
		free(t[i].ratio);
	}
	free(t);
	print_message("  %d evaluations, %d violated\n", (int)evaluated, (int)violated);
	assert_int_equal(violated, 0);
}

/* ---- a search for violations ---- */

/* The largest ratio of inequality i over heads; 0 where it is not evaluated. */
static double worst_of(passed *x, int64_t i)
{
	double worst = 0;
	pass_again(x, AS_IT_IS);
	for (int64_t at = i; at < x->b.L * x->b.H * x->b.n; at += x->b.n)
		if (x->verdict[at] <= SX_VERDICT_VIOLATED)
			worst = fmax(worst, sx_bounds_ratio(&x->b, at));
	return worst;
}

/* Random restarts, then steps along random directions in the space of all weights, kept where the
 * ratio does not fall; the length of a step adapts (the (1+1) evolution strategy's 1/5 rule). */
static double ascend(int64_t i, bool rotated, bool constant, int restarts, int steps)
{
	double best = 0;
	for (int r = 0; r < restarts; r++) {
		sx_spec s = small_spec(rotated ? "rope" : "nope", 1, 4, 1 + r % 2, 1, 2);
		int64_t T = 2 + r % 5;
		s.V = 6, s.F = 4;
		int32_t *tokens = small_tokens(T, s.V, seed + (uint64_t)r);
		for (int64_t t = 0; constant && t < T; t++) tokens[t] = 1;
		passed x;
		uint64_t key = seed * 7919 + (uint64_t)(i * 100 + r);
		pass(&x, &s, 1, T, tokens, key,
		     pow(10, 1.5 * draw((uint64_t)(i * 100 + r), 40) - 1), AS_IT_IS, false);
		size_t bytes = (size_t)x.m->p.count * sizeof(sx_real);
		sx_real *keep = sx_calloc(1, bytes);
		assert_non_null(keep);
		double now = worst_of(&x, i), step = 0.3;
		for (int k = 0; k < steps; k++) {
			memcpy(keep, x.m->p.base, bytes);
			for (int64_t e = 0; e < x.m->p.count; e++)
				x.m->p.base[e] +=
					(sx_real)(step * sx_normal(key, SX_STREAM_TEST,
								   (uint64_t)((k + 1) * 4096 + e)));
			double next = worst_of(&x, i);
			if (next >= now) {
				now = next, step *= 1.5;
			} else {
				memcpy(x.m->p.base, keep, bytes);
				step *= 0.9; /* 1.5^(1/4): steady at one success in five */
			}
		}
		best = fmax(best, now);
		free(keep);
		passed_free(&x);
	}
	return best;
}

/* Both sides of an identity, and a left side that is 0, are no target. */
static void test_search(void **state)
{
	(void)state;
	static const int no_target[] = {SX_BOUND_PLAIN + SX_BOUND_D31,
					SX_BOUND_PLAIN + SX_BOUND_B10,
					SX_BOUND_PLAIN + SX_BOUND_E1_WQ,
					SX_BOUND_PLAIN + SX_BOUND_E1_WK,
					SX_BOUND_P32_ALPHA,
					SX_BOUND_P32_OUTPUT,
					SX_BOUND_PLAIN + SX_BOUND_P32_VALUE,
					SX_BOUND_PLAIN + SX_BOUND_P32_WQ,
					SX_BOUND_PLAIN + SX_BOUND_P32_WK};
	bool slow = n_models >= 1000;
	int restarts = slow ? 20 : 4, steps = slow ? 1500 : 100, threads = omp_get_max_threads();
	omp_set_num_threads(1);
	print_message("%s, largest ratio found by search, %d restarts of %d steps:\n", SX_PRECISION,
		      restarts, steps);
	for (int64_t i = 0; i < SX_BOUND_PLAIN + SX_BOUND_OF_C; i++) {
		bool skip = false, constant = i == SX_BOUND_P33_VALUE || i == SX_BOUND_P33_WQ;
		bool rotated = constant || i == SX_BOUND_PLAIN + SX_BOUND_E3;
		for (size_t k = 0; k < sizeof no_target / sizeof no_target[0]; k++)
			skip = skip || i == no_target[k];
		if (skip) continue;
		char name[SX_BOUND_NAME];
		double found = ascend(i, rotated, constant, restarts, steps);
		sx_bound_name(name, i, "diagonal");
		print_message("  %-20s %.4f\n", name, found);
		assert_true(found > 0 && found <= 1);
	}
	omp_set_num_threads(threads);
}

/* ---- gradients ---- */

/* A_c of head h of layer l, its weights with entry e of them moved. */
static double moved(passed *x, sx_real *weight, double by, int64_t at)
{
	sx_real keep = *weight;
	*weight = (sx_real)((double)keep + by);
	pass_again(x, AS_IT_IS);
	*weight = keep;
	return x->o.measures->ac_value[at];
}

/* || dA_c/dW ||_F over the head's D rows w (D,C), by five-point central differences. */
static double difference_norm(passed *x, sx_real *w, int64_t at, double d)
{
	double square = 0;
	for (int64_t e = 0; e < (int64_t)x->m->spec.D * x->m->spec.C; e++) {
		double near = moved(x, w + e, d, at) - moved(x, w + e, -d, at);
		double far = moved(x, w + e, 2 * d, at) - moved(x, w + e, -2 * d, at);
		double slope = (8 * near - far) / (12 * d);
		square += slope * slope;
	}
	return sqrt(square);
}

/* The norms of dA_c/dW_Q and dA_c/dW_K that the left sides are, on models drawn as above, made narrow.
 * In double alone. `own` is left out: its c moves with the weights. */
static void test_central_differences(void **state)
{
	(void)state;
	enum { MODELS = 24 };
	double worst = 0;
	int checked = 0, threads = omp_get_max_threads();
	if (sizeof(sx_real) != 8) skip();
	omp_set_num_threads(1);
	for (uint64_t k = 0; k < MODELS; k++) {
		sx_spec s = draw_spec(k);
		s.C = 4 + s.C % 5, s.D = 2 + 2 * (s.D > 4), s.L = 1 + s.L % 3,
		s.H = s.H > 3 ? 4 : 2;
		s.Hkv = s.Hkv < s.H ? 1 : s.H, s.F = 6;
		int64_t T = 2 + (int64_t)(draw(k, 13) * 16);
		double sd = 0.02 * pow(50, draw(k, 14));
		passed x;
		int32_t *tokens = draw_tokens(k, &s, T);
		pass(&x, &s, 1, T, tokens, seed * 31 + k, sd, AS_IT_IS, false);
		int64_t l = (int64_t)(draw(k, 41) * s.L), h = (int64_t)(draw(k, 42) * s.H);
		int64_t c = k % 2, at = (l * s.H + h) * N_C + c, size = (int64_t)s.D * s.C;
		sx_real *w[2] = {x.m->p.wq + (l * s.H + h) * size,
				 x.m->p.wk + (l * s.Hkv + h / (s.H / s.Hkv)) * size};
		for (int side = 0; side < 2; side++) {
			double norm = x.o.measures->ac_grad[at * x.o.measures->n_wrt + side];
			double d = 1e-3 * sd, got = difference_norm(&x, w[side], at, d);
			/* an A_c below 1 is off by T u, its differences by that over d per entry */
			double noise = (double)T * 0x1p-53 / d * sqrt((double)size);
			double error = fabs(got - norm) / fmax(norm, noise / 1e-7);
			if (!(error <= 1e-7))
				fail_msg("model %d, %s: %.17g by differences, %.17g", (int)k,
					 side ? "wk" : "wq", got, norm);
			worst = fmax(worst, error);
			checked += norm > noise / 1e-7;
			pass_again(&x, AS_IT_IS);
		}
		passed_free(&x);
	}
	omp_set_num_threads(threads);
	print_message("central differences: %d norms above the noise, worst relative error %.2g\n",
		      checked, worst);
	assert_true(checked > MODELS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_models),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_central_differences),
	};
	if (argc > 1) n_models = strtoll(argv[1], NULL, 10);
	if (argc > 2) seed = strtoull(argv[2], NULL, 10);
	sx_blas_start(NULL, 0);
	read_text();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(text);
	return failed;
}

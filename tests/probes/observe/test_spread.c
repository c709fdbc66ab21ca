/* The distance of every row's farthest key from the mean of its keys, which sx_spread_rows looks for in
 * rounded products: the bits of measuring every key, whatever the keys are. */
#include "engine/base.h"
#include "probes/observe/spread.h"
#include "tests/support/check.h"

enum { MOST_C = 40 };

typedef double (*key_fn)(int64_t j, int64_t c);

static double normal(int64_t j, int64_t c)
{
	return sx_normal(1, SX_STREAM_TEST, (uint64_t)(MOST_C * j + c));
}
static double same(int64_t j, int64_t c)
{
	(void)j;
	return normal(0, c);
}
static double two_kinds(int64_t j, int64_t c)
{
	return normal(j % 2, c);
}
static double growing(int64_t j, int64_t c)
{
	return (1 + 0.01 * (double)j) * normal(0, c);
}
/* Nearly the same, far from 0: products tell them apart by rounding alone. */
static double far_off(int64_t j, int64_t c)
{
	return 1000 + 1e-3 * normal(j, c);
}
static double tiny(int64_t j, int64_t c)
{
	return (sizeof(sx_real) == sizeof(float) ? 1e-21 : 1e-160) * normal(j, c);
}
static double subnormal(int64_t j, int64_t c)
{
	return (sizeof(sx_real) == sizeof(float) ? 1e-40 : 1e-310) * normal(j, c);
}
static double huge(int64_t j, int64_t c)
{
	return (sizeof(sx_real) == sizeof(float) ? 1e25 : 1e153) * normal(j, c);
}
static double none(int64_t j, int64_t c)
{
	return j == 700 && c == 0 ? (double)NAN : normal(j, c);
}
static double infinite(int64_t j, int64_t c)
{
	return j == 300 && c == 0 ? (double)INFINITY : normal(j, c);
}
static double zero(int64_t j, int64_t c)
{
	(void)j;
	(void)c;
	return 0;
}

/* Delta_i by its definition. */
static double farthest(const sx_real *x, int64_t C, int64_t first, int64_t i)
{
	double mean[MOST_C] = {0}, most = 0;
	for (int64_t j = first; j <= i; j++)
		for (int64_t c = 0; c < C; c++) mean[c] += (double)x[j * C + c];
	for (int64_t c = 0; c < C; c++) mean[c] /= (double)(i - first + 1);
	for (int64_t j = first; j <= i; j++)
		most = sx_larger(most, sx_distance_square(mean, x + j * C, C));
	return sqrt(most);
}

static void check_rows(key_fn key, int64_t T, int64_t C, int64_t window)
{
	enum { B = 2 };
	sx_real *x = sx_calloc((size_t)(B * T * C), sizeof *x);
	double *out = sx_calloc((size_t)(B * T), sizeof *out);
	double *scratch = sx_calloc((size_t)sx_spread_scratch(B, T, C), sizeof *scratch);
	assert_true(x && out && scratch);
	for (int64_t t = 0; t < B * T; t++)
		for (int64_t c = 0; c < C; c++)
			x[t * C + c] = (sx_real)(t < T ? key(t, c) : normal(t, c));
	sx_spread_rows(out, x, B, T, C, window, scratch);
	for (int64_t t = 0; t < B * T; t++) {
		int64_t i = t % T, first = window > 0 && i >= window ? i - window + 1 : 0;
		double want = farthest(x + t / T * T * C, C, first, i);
		if (out[t] != want && !(isnan(out[t]) && isnan(want)))
			fail_msg("row %lld of %lld, %lld channels, window %lld: %.17g, want %.17g",
				 (long long)t, (long long)T, (long long)C, (long long)window,
				 out[t], want);
	}
	free(x);
	free(out);
	free(scratch);
}

static void test_every_key(void **state)
{
	static const key_fn keys[] = {normal,    same, two_kinds, growing,  far_off, tiny,
				      subnormal, huge, none,      infinite, zero};
	static const int64_t windows[] = {0, 1, 37, 600};
	(void)state;
	for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
		for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
			check_rows(keys[k], 1100, 24, windows[w]);
			check_rows(keys[k], 33, 1, windows[w]);
		}
	check_rows(normal, 1, MOST_C, 0);
	check_rows(normal, 513, MOST_C, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_key)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

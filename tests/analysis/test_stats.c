/* Statistics against closed forms, numbers other programs document, enumeration of all permutations
 * where there are few, and simulated coverage of the intervals. */
#include "analysis/stats/words.h"
#include "tests/support/check.h"

enum { SEED = 7 };

static sx_boot *boot(int64_t n, uint64_t seed)
{
	sx_boot *b = NULL;
	assert_int_equal(sx_boot_new(&b, NULL, n, SX_BOOT_RESAMPLES, 0.95, seed), SX_OK);
	return b;
}

static sx_rank_test ranks(const double *x, int64_t nx, const double *y, int64_t ny)
{
	sx_rank_test t;
	assert_int_equal(sx_mann_whitney(&t, NULL, x, nx, y, ny), SX_OK);
	return t;
}

static sx_correlation spearman(const double *x, const double *y, int64_t n)
{
	sx_correlation c;
	assert_int_equal(sx_spearman(&c, NULL, x, y, n), SX_OK);
	return c;
}

/* ---- bootstrap ---- */

static double mean_by_counts(void *self, const double *count, int64_t n)
{
	const double *x = self;
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += count[i] * x[i];
	return sum / (double)n;
}

static void test_mean(void **state)
{
	(void)state;
	const double x[] = {3, 1, 4, 1, 5, 9, 2, 6}, nan = (double)NAN;
	sx_boot *a = boot(8, SEED), *b = boot(8, SEED), *c = boot(8, SEED + 1);
	sx_interval i = sx_boot_mean(a, x, 1), j = sx_boot_mean(b, x, 1), k = sx_boot_mean(c, x, 1);
	check_close(i.value, 31.0 / 8, 1e-15);
	assert_memory_equal(&i, &j, sizeof i);
	i = sx_boot_mean(a, x, 1); /* the scratch of the call before does no harm */
	assert_memory_equal(&i, &j, sizeof i);
	assert_true(k.lo != i.lo || k.hi != i.hi);
	assert_true(1 <= i.lo && i.lo < i.value && i.value < i.hi && i.hi <= 9);

	/* equivariant: a + b x turns the interval with it */
	double y[8], wide[16];
	for (int n = 0; n < 8; n++) y[n] = 10 - 2 * x[n], wide[2 * n] = x[n];
	for (int n = 0; n < 8; n++) wide[2 * n + 1] = nan;
	sx_interval m = sx_boot_mean(a, y, 1);
	check_close(m.lo, 10 - 2 * i.hi, 1e-13);
	check_close(m.hi, 10 - 2 * i.lo, 1e-13);
	m = sx_boot_mean(a, wide, 2);
	assert_memory_equal(&m, &i, sizeof i);

	/* all alike: no width; one missing: the mean of the rest; all but one missing: no interval */
	const double same[] = {2, 2, 2, 2, 2, 2, 2, 2};
	m = sx_boot_mean(a, same, 1);
	assert_true(m.value == 2 && m.lo == 2 && m.hi == 2);
	double holes[] = {3, nan, 4, 1, 5, 9, 2, 6};
	m = sx_boot_mean(a, holes, 1);
	check_close(m.value, 30.0 / 7, 1e-15);
	assert_true(m.lo < m.value && m.value < m.hi);
	for (int n = 1; n < 8; n++) holes[n] = nan;
	m = sx_boot_mean(a, holes, 1);
	assert_true(m.value == 3 && isnan(m.lo) && isnan(m.hi));
	holes[0] = nan;
	m = sx_boot_mean(a, holes, 1);
	assert_true(isnan(m.value) && isnan(m.lo) && isnan(m.hi));
	double weighed[8];
	memcpy(weighed, x, sizeof weighed);
	m = sx_boot_statistic(a, mean_by_counts, weighed); /* the mean once more */
	i = sx_boot_mean(a, x, 1);
	check_close(m.value, i.value, 1e-14);
	check_close(m.lo, i.lo, 1e-14);
	check_close(m.hi, i.hi, 1e-14);
	sx_boot_free(a), sx_boot_free(b), sx_boot_free(c);
	sx_boot_free(NULL);
	assert_int_equal(sx_boot_new(&a, NULL, 0, 10, 0.95, 1), SX_EINTERNAL);
	assert_int_equal(sx_boot_new(&a, NULL, 4, 10, 1, 1), SX_EINTERNAL);
}

/* Two values: a resample is aa, ab or bb with 1/4, 1/2, 1/4, so the interval is their range; three
 * values 0, 0, 1: the mean is k/3 with binomial(3, 1/3) and P(k = 3) = 1/27 > 2.5 %. */
static void test_tiny(void **state)
{
	(void)state;
	sx_boot *two = boot(2, SEED), *three = boot(3, SEED);
	sx_interval i = sx_boot_mean(two, (const double[]){-1, 4}, 1);
	assert_true(i.value == 1.5 && i.lo == -1 && i.hi == 4);
	i = sx_boot_mean(three, (const double[]){0, 1, 0}, 1);
	assert_true(i.lo == 0 && i.hi == 1);
	sx_boot_free(two), sx_boot_free(three);
}

/* A percentile interval of n normal values is about mean +- z s sqrt((n - 1)/n)/sqrt(n), so it covers
 * with P(|t_{n-1}| < z sqrt((n - 1)/n)). */
static void test_coverage(void **state)
{
	(void)state;
	static const struct {
		int n;
		double want;
	} cases[] = {{3, 0.749}, {4, 0.812}, {8, 0.891}, {16, 0.923}, {32, 0.937}};
	enum { TRIALS = 4000, MOST = 32 };
	uint64_t at = 0;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		sx_boot *b = boot(cases[c].n, SEED);
		int inside = 0;
		for (int t = 0; t < TRIALS; t++) {
			double x[MOST];
			for (int i = 0; i < cases[c].n; i++)
				x[i] = sx_normal(SEED, SX_STREAM_TEST, at++);
			sx_interval i = sx_boot_mean(b, x, 1);
			inside += i.lo <= 0 && 0 <= i.hi;
		}
		double got = (double)inside / TRIALS;
		if (!(fabs(got - cases[c].want) <= 0.02))
			fail_msg("%d values: covered %.3f, wanted %.3f", cases[c].n, got,
				 cases[c].want);
		if (getenv("SX_SHOW")) printf("%d values: %.3f\n", cases[c].n, got);
		sx_boot_free(b);
	}
}

static void test_difference(void **state)
{
	(void)state;
	enum { NX = 16, NY = 24, TRIALS = 3000 };
	sx_boot *bx = boot(NX, SEED), *by = boot(NY, SEED + 1);
	uint64_t at = 1u << 24;
	int inside = 0;
	sx_interval i = {0, 0, 0};
	double x[NX], y[NY];
	for (int t = 0; t < TRIALS; t++) {
		for (int k = 0; k < NX; k++) x[k] = 3 + sx_normal(SEED, SX_STREAM_TEST, at++);
		for (int k = 0; k < NY; k++) y[k] = 1 + 2 * sx_normal(SEED, SX_STREAM_TEST, at++);
		i = sx_boot_difference(bx, x, by, y);
		inside += i.lo <= 2 && 2 <= i.hi;
	}
	double got = (double)inside / TRIALS, mx = 0, my = 0;
	assert_true(got > 0.91 && got < 0.96);
	for (int k = 0; k < NX; k++) mx += x[k] / NX;
	for (int k = 0; k < NY; k++) my += y[k] / NY;
	check_close(i.value, mx - my, 1e-13);
	sx_interval back = sx_boot_difference(by, y, bx, x);
	check_close(back.lo, -i.hi, 1e-13);
	check_close(back.hi, -i.lo, 1e-13);
	sx_boot_free(bx), sx_boot_free(by);
}

/* ---- Mann-Whitney ---- */

static void test_mann_whitney_published(void **state)
{
	(void)state;
	/* the example of scipy.stats.mannwhitneyu: U = 17, exact p = 1/9, normal p 0.11135 */
	const double males[] = {19, 22, 16, 29, 24}, females[] = {20, 11, 17, 12};
	sx_rank_test t = ranks(males, 5, females, 4);
	assert_true(t.exact && t.nx == 5 && t.ny == 4 && t.u == 17);
	check_close(t.p, 1.0 / 9, 1e-15);
	check_close(t.p_smallest, 2.0 / 126, 1e-15);
	check_close(t.cliff, 0.7, 1e-15);
	sx_rank_test back = ranks(females, 4, males, 5);
	assert_true(back.u == 3 && back.cliff == -t.cliff && back.p == t.p);

	/* tables of the 5 % point (Siegel): n = 8 and 10, U = 17 is significant, U = 18 is not */
	double x[8], y[10];
	for (int want = 17; want <= 18; want++) {
		/* x on every place but the last below all y, the last above `want` of them: then
		 * only whole y are passed; spread the rest over the others */
		int left = want;
		for (int i = 0; i < 10; i++) y[i] = i + 1;
		for (int i = 7; i >= 0; i--) {
			int over = left < 10 ? left : 10;
			x[i] = over + 0.5 + 0.01 * i;
			left -= over;
		}
		t = ranks(x, 8, y, 10);
		assert_true(t.exact && t.u == want);
		assert_true((t.p < 0.05) == (want == 17));
	}
}

/* The normal p from the mean and variance of U over all relabellings, ties and all, and the exact p
 * by counting them. */
static void permute(const double *all, int n, int nx, double u, double *exact, double *normal)
{
	double sum = 0, square = 0, middle = nx * (n - nx) / 2.0, ways = 0, far = 0;
	for (int set = 0; set < 1 << n; set++) {
		double v = 0;
		int size = 0;
		for (int i = 0; i < n; i++) size += set >> i & 1;
		if (size != nx) continue;
		for (int i = 0; i < n; i++)
			for (int j = 0; j < n; j++)
				if ((set >> i & 1) && !(set >> j & 1))
					v += all[i] > all[j] ? 1 : all[i] < all[j] ? 0 : 0.5;
		ways++, sum += v, square += v * v;
		far += fabs(v - middle) >= fabs(u - middle) - 1e-9;
	}
	check_close(sum / ways, middle, 1e-12);
	double z = (fabs(u - middle) - 0.5) / sqrt(square / ways - middle * middle);
	*exact = far / ways;
	*normal = z > 0 ? erfc(z / sqrt(2)) : 1;
}

static void test_mann_whitney_permutations(void **state)
{
	(void)state;
	uint64_t at = 1u << 25;
	for (int trial = 0; trial < 60; trial++) {
		int n = 6 + trial % 5, nx = 2 + trial % 3;
		bool tied = trial % 2;
		double all[10], exact, normal, u = 0;
		for (int i = 0; i < n; i++) {
			all[i] = sx_uniform(SEED, SX_STREAM_TEST, at++) + (i < nx ? 0.3 : 0);
			if (tied) all[i] = floor(4 * all[i]);
		}
		for (int i = 0; i < nx; i++)
			for (int j = nx; j < n; j++)
				u += all[i] > all[j] ? 1 : all[i] < all[j] ? 0 : 0.5;
		sx_rank_test t = ranks(all, nx, all + nx, n - nx);
		assert_true(t.u == u);
		check_close(t.cliff, 2 * u / (nx * (n - nx)) - 1, 1e-15);
		permute(all, n, nx, u, &exact, &normal);
		check_close(t.p, t.exact ? exact : normal, 1e-12);
		assert_true(t.exact != tied);
	}
}

static void test_mann_whitney_edges(void **state)
{
	(void)state;
	const double nan = (double)NAN, x[] = {nan, 5, 6, nan, 7}, y[] = {1, nan, 2};
	sx_rank_test t = ranks(x, 5, y, 3);
	assert_true(t.nx == 3 && t.ny == 2 && t.u == 6 && t.cliff == 1);
	check_close(t.p, 0.2, 1e-15);
	assert_true(t.p == t.p_smallest);
	t = ranks(x, 1, y, 3);
	assert_true(isnan(t.u) && isnan(t.cliff) && isnan(t.p) && isnan(t.p_smallest));
	t = ranks(x, 0, y, 0);
	assert_true(isnan(t.p));
	const double same[] = {3, 3, 3, 3};
	t = ranks(same, 4, same, 4);
	assert_true(t.p == 1 && t.cliff == 0 && !t.exact);
	t = ranks(same, 1, same, 1);
	assert_true(t.p == 1);
	/* the exact distribution and the normal one meet */
	double a[26], b[25];
	for (int i = 0; i < 26; i++) a[i] = i * 1.01 + 4.3;
	for (int i = 0; i < 25; i++) b[i] = i;
	sx_rank_test exact = ranks(a, 25, b, 25), normal = ranks(a, 26, b, 25);
	assert_true(exact.exact && !normal.exact);
	double z = (fabs(exact.u - 312.5) - 0.5) / sqrt(625 * 51 / 12.0);
	check_close(exact.p, erfc(z / sqrt(2)), 2e-3);
	assert_true(exact.p > 0.005 && exact.p < 0.2);
	z = (fabs(normal.u - 325) - 0.5) / sqrt(650 * 52 / 12.0);
	check_close(normal.p, erfc(z / sqrt(2)), 1e-12);
}

/* ---- correlation, Holm ---- */

static void test_spearman(void **state)
{
	(void)state;
	/* the example of scipy.stats.spearmanr, with a tie */
	sx_correlation c =
		spearman((const double[]){1, 2, 3, 4, 5}, (const double[]){5, 6, 7, 8, 7}, 5);
	check_close(c.rho, 0.8207826816681233, 1e-14);
	check_close(c.p, 0.08858700531354381, 1e-12);
	/* without ties 1 - 6 sum d^2 / (n (n^2 - 1)), and any increasing function leaves it */
	const double rank[] = {3, 1, 6, 2, 5, 4, 7};
	double x[7], y[7], d2 = 0;
	for (int i = 0; i < 7; i++) {
		x[i] = exp(i), y[i] = -1 / rank[i];
		d2 += (rank[i] - i - 1) * (rank[i] - i - 1);
	}
	c = spearman(x, y, 7);
	check_close(c.rho, 1 - 6 * d2 / (7 * 48), 1e-14);
	y[3] = (double)NAN;
	c = spearman(x, y, 7);
	assert_int_equal(c.n, 6);
	c = spearman(x, x, 7);
	assert_true(c.rho == 1 && c.p == 0);
	c = spearman((const double[]){1, 1, 1}, x, 3);
	assert_true(isnan(c.rho) && isnan(c.p));
	c = spearman(x, x, 2);
	assert_true(isnan(c.rho));
	c = spearman(NULL, NULL, 0);
	assert_true(isnan(c.rho));
}

static void test_holm(void **state)
{
	(void)state;
	/* R: p.adjust(c(.01, .02, .03, .04, .05), "holm"); and Holm's own kind of example */
	double p[] = {0.01, 0.02, 0.03, 0.04, 0.05}, out[5];
	assert_int_equal(sx_holm(out, NULL, p, 5), SX_OK);
	check_near(out, ((const double[]){0.05, 0.08, 0.09, 0.09, 0.09}), 5, 1e-14);
	double q[] = {0.01, (double)NAN, 0.04, 0.03, 0.005};
	assert_int_equal(sx_holm(q, NULL, q, 5), SX_OK);
	assert_true(isnan(q[1]));
	q[1] = 0;
	check_near(q, ((const double[]){0.03, 0, 0.06, 0.06, 0.02}), 5, 1e-14);
	double high[] = {0.9, 0.5};
	assert_int_equal(sx_holm(high, NULL, high, 2), SX_OK);
	assert_true(high[0] == 1 && high[1] == 1);
	assert_int_equal(sx_holm(NULL, NULL, NULL, 0), SX_OK);
	/* the closure it stands for: all of 5 p values of a global null are rejected at 5 % in no
	 * more than 5 % of the draws */
	uint64_t at = 1u << 26;
	int any = 0;
	for (int t = 0; t < 4000; t++) {
		for (int i = 0; i < 5; i++) p[i] = sx_uniform(SEED, SX_STREAM_TEST, at++);
		assert_int_equal(sx_holm(out, NULL, p, 5), SX_OK);
		bool hit = false;
		for (int i = 0; i < 5; i++) hit = hit || out[i] <= 0.05;
		any += hit;
	}
	check_close(any / 4000.0, 1 - pow(0.99, 5), 0.012);
}

/* Against published intervals, and against what the ends are. */
static void test_wilson(void **state)
{
	(void)state;
	sx_interval w = sx_wilson(81, 263);
	check_close(w.value, 81.0 / 263, 1e-15);
	check_close(w.lo, 0.2553, 5e-5);
	check_close(w.hi, 0.3662, 5e-5);
	w = sx_wilson(15, 148);
	check_close(w.lo, 0.0624, 5e-5);
	check_close(w.hi, 0.1605, 5e-5);
	w = sx_wilson(5, 10);
	check_close(w.lo, 0.2366, 5e-5);
	check_close(w.hi, 0.7634, 5e-5);
	w = sx_wilson(0, 20);
	assert_true(w.lo == 0);
	check_close(w.hi, 0.1611, 5e-5);
	w = sx_wilson(20, 20);
	assert_true(w.hi == 1);
	check_close(w.lo, 1 - 0.1611, 5e-5);
	w = sx_wilson(0, 0);
	assert_true(isnan(w.value) && isnan(w.lo) && isnan(w.hi));
	/* the ends are where the score test rejects: (k/n - p)^2 = z^2 p (1 - p) / n */
	for (int k = 1; k < 40; k++) {
		double z2 = 1.959963984540054 * 1.959963984540054, p = k / 40.0;
		w = sx_wilson(k, 40);
		assert_true(w.lo < p && p < w.hi);
		check_close((p - w.lo) * (p - w.lo), z2 * w.lo * (1 - w.lo) / 40, 1e-14);
		check_close((p - w.hi) * (p - w.hi), z2 * w.hi * (1 - w.hi) / 40, 1e-14);
	}
}

/* Newcombe 1998, table II: 56/70 against 48/80, method 10. */
static void test_newcombe(void **state)
{
	(void)state;
	sx_interval d = sx_newcombe(sx_wilson(56, 70), sx_wilson(48, 80));
	check_close(d.value, 0.2, 1e-12);
	check_close(d.lo, 0.0524, 5e-5);
	check_close(d.hi, 0.3339, 5e-5);
	sx_interval back = sx_newcombe(sx_wilson(48, 80), sx_wilson(56, 70));
	check_close(back.lo, -d.hi, 1e-15);
	assert_true(isnan(sx_newcombe(sx_wilson(0, 0), sx_wilson(1, 2)).lo));
}

/* Against the sum of the binomial's own terms. */
static void test_mcnemar(void **state)
{
	(void)state;
	for (int a = 0; a <= 12; a++)
		for (int b = 0; b <= 12; b++) {
			double term = pow(0.5, a + b), sum = 0;
			for (int k = 0; k <= (a < b ? a : b); k++) {
				sum += term;
				term *= (double)(a + b - k) / (k + 1);
			}
			check_close(sx_mcnemar(a, b), fmin(1, 2 * sum), 1e-12);
		}
	check_close(sx_mcnemar(0, 6), 2.0 / 64, 1e-15);
	assert_true(sx_mcnemar(0, 0) == 1);
}

/* What is not a number is never printed as one. */
static void test_words(void **state)
{
	(void)state;
	const double nan = (double)NAN, inf = (double)INFINITY;
	assert_string_equal(sx_words_f(2, 1.005).s, "1.00");
	assert_string_equal(sx_words_f(2, -nan).s, "undefined");
	assert_string_equal(sx_words_plus(1, 2).s, "+2.0");
	assert_string_equal(sx_words_plus(1, -inf).s, "-infinite");
	assert_string_equal(sx_words_g(3, 1e-9).s, "1e-09");
	assert_string_equal(sx_words_g(3, inf).s, "infinite");
	assert_string_equal(sx_words_f(2, 1e300).s, "1e+300");
	assert_string_equal(sx_words_interval(2, (sx_interval){0.5, 0.25, 0.75}).s,
			    "0.50 [0.25, 0.75]");
	assert_string_equal(sx_words_interval(2, (sx_interval){0.5, nan, nan}).s,
			    "0.50 (no interval)");
	assert_string_equal(sx_words_interval(2, (sx_interval){nan, 0, 1}).s, "undefined");
	assert_string_equal(sx_words_interval_plus(1, (sx_interval){1, -inf, 2}).s,
			    "+1.0 [-infinite, +2.0]");
	assert_true(isnan(sx_wilson(5, 4).value) && isnan(sx_wilson(-1, 4).lo));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mean),
		cmocka_unit_test(test_tiny),
		cmocka_unit_test(test_coverage),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_mann_whitney_published),
		cmocka_unit_test(test_mann_whitney_permutations),
		cmocka_unit_test(test_mann_whitney_edges),
		cmocka_unit_test(test_spearman),
		cmocka_unit_test(test_holm),
		cmocka_unit_test(test_wilson),
		cmocka_unit_test(test_newcombe),
		cmocka_unit_test(test_mcnemar),
		cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

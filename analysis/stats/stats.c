/* Statistics on arrays. */
#include "analysis/stats/stats.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	STREAM_BOOT = 0x424f4f54, /* no stream of engine/base.h: those are small */
	EXACT_MOST = 50
};

static const double undefined = (double)NAN;

void sx_stats_start(void)
{
	gsl_set_error_handler_off();
}

/* ---- bootstrap ---- */

struct sx_boot {
	int64_t n, resamples;
	double level;
	int32_t *draw; /* (resamples,n) units of each resample          */
	double *means; /* (resamples) scratch                           */
	double *x;     /* (n) scratch: the values, one beside the other */
};

sx_status sx_boot_new(sx_boot **out, sx_ctx *ctx, int64_t n, int64_t resamples, double level,
		      uint64_t seed)
{
	if (n < 1 || n > INT32_MAX || resamples < 1 || !(level > 0 && level < 1))
		return sx_fail(ctx, SX_EINTERNAL,
			       "a bootstrap of %lld units, %lld resamples, level %g", (long long)n,
			       (long long)resamples, level);
	sx_boot *b = sx_calloc(1, sizeof *b);
	if (b) {
		*b = (sx_boot){.n = n, .resamples = resamples, .level = level};
		b->draw = sx_calloc((size_t)(resamples * n), sizeof *b->draw);
		b->means = sx_calloc((size_t)resamples, sizeof *b->means);
		b->x = sx_calloc((size_t)n, sizeof *b->x);
	}
	if (!b || !b->draw || !b->means || !b->x) {
		sx_boot_free(b);
		return sx_fail(ctx, SX_ENOMEM, "no memory for %lld resamples of %lld values",
			       (long long)resamples, (long long)n);
	}
	sx_rng r = {.seed = seed, .stream = STREAM_BOOT};
	for (int64_t i = 0; i < resamples * n; i++)
		b->draw[i] = (int32_t)sx_rng_below(&r, (uint64_t)n);
	*out = b;
	return SX_OK;
}

void sx_boot_free(sx_boot *b)
{
	if (!b) return;
	free(b->draw);
	free(b->means);
	free(b->x);
	free(b);
}

/* Fills b->means; returns the mean of what is there and its number. A resample without any value has
 * the mean NaN. */
static double resample(sx_boot *b, const double *x, int64_t stride, int64_t *there)
{
	double sum = 0;
	*there = 0;
	for (int64_t i = 0; i < b->n; i++) {
		b->x[i] = x[i * stride];
		if (!isnan(b->x[i])) sum += b->x[i], (*there)++;
	}
	for (int64_t r = 0; r < b->resamples; r++) {
		const int32_t *draw = b->draw + r * b->n;
		double total = 0;
		int64_t n = 0;
		for (int64_t i = 0; i < b->n; i++) {
			double v = b->x[draw[i]];
			if (!isnan(v)) total += v, n++;
		}
		b->means[r] = n ? total / (double)n : undefined;
	}
	return *there ? sum / (double)*there : undefined;
}

/* The percentile interval of n values, NaN left out; the order of v is lost. */
static void percentiles(sx_interval *out, double *v, int64_t n, double level)
{
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++)
		if (!isnan(v[i])) v[m++] = v[i];
	if (m == 0) return;
	/* the k-th of m from either end, (m + 1) (1 - level)/2 rounded to the outside */
	int64_t k = (int64_t)floor((double)(m + 1) * (1 - level) / 2 + 1e-9);
	if (k < 1) k = 1;
	if (k > (m + 1) / 2) k = (m + 1) / 2;
	out->lo = gsl_stats_select(v, 1, (size_t)m, (size_t)(k - 1));
	out->hi = gsl_stats_select(v, 1, (size_t)m, (size_t)(m - k));
}

sx_interval sx_boot_mean(sx_boot *b, const double *x, int64_t stride)
{
	sx_interval out = {undefined, undefined, undefined};
	int64_t there;
	out.value = resample(b, x, stride, &there);
	if (there >= 2) percentiles(&out, b->means, b->resamples, b->level);
	return out;
}

sx_interval sx_boot_statistic(sx_boot *b, sx_boot_fn fn, void *self)
{
	sx_interval out = {undefined, undefined, undefined};
	for (int64_t i = 0; i < b->n; i++) b->x[i] = 1;
	out.value = fn(self, b->x, b->n);
	for (int64_t r = 0; b->n >= 2 && r < b->resamples; r++) {
		memset(b->x, 0, (size_t)b->n * sizeof *b->x);
		for (int64_t i = 0; i < b->n; i++) b->x[b->draw[r * b->n + i]] += 1;
		b->means[r] = fn(self, b->x, b->n);
	}
	if (b->n >= 2 && !isnan(out.value)) percentiles(&out, b->means, b->resamples, b->level);
	return out;
}

sx_interval sx_boot_difference(sx_boot *bx, const double *x, sx_boot *by, const double *y)
{
	sx_interval out = {undefined, undefined, undefined};
	int64_t nx, ny;
	int64_t n = bx->resamples < by->resamples ? bx->resamples : by->resamples;
	out.value = resample(bx, x, 1, &nx) - resample(by, y, 1, &ny);
	for (int64_t r = 0; r < n; r++) bx->means[r] -= by->means[r];
	if (nx >= 2 && ny >= 2) percentiles(&out, bx->means, n, bx->level);
	return out;
}

/* ---- lines ---- */

sx_status sx_line_slope(double *slope, int64_t *used, sx_ctx *ctx, const double *x, const double *y,
			int64_t n)
{
	int64_t there = 0;
	double c0, c1, cov00, cov01, cov11, rest,
		*pair = sx_calloc((size_t)(2 * n) + 1, sizeof *pair);
	if (!pair) return sx_fail(ctx, SX_ENOMEM, "no memory for a line");
	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(x[i]) || !isfinite(y[i])) continue;
		pair[2 * there] = x[i];
		pair[2 * there++ + 1] = y[i];
	}
	*slope = undefined;
	if (there >= 2) {
		gsl_fit_linear(pair, 2, pair + 1, 2, (size_t)there, &c0, &c1, &cov00, &cov01,
			       &cov11, &rest);
		if (isfinite(c1)) *slope = c1;
	}
	if (used) *used = there;
	free(pair);
	return SX_OK;
}

/* ---- proportions ---- */

sx_interval sx_wilson(int64_t hits, int64_t trials)
{
	const double z = 1.959963984540054; /* 97.5 % point of the normal distribution */
	double n = (double)trials, p = (double)hits / n;
	if (trials < 1 || hits < 0 || hits > trials)
		return (sx_interval){undefined, undefined, undefined};
	double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
	double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
	/* Rounding would leave the ends an ulp from 0 and 1. */
	return (sx_interval){p, hits == 0 ? 0 : middle - half, hits == trials ? 1 : middle + half};
}

sx_interval sx_newcombe(sx_interval a, sx_interval b)
{
	double d = a.value - b.value;
	return (sx_interval){d, d - hypot(a.value - a.lo, b.hi - b.value),
			     d + hypot(a.hi - a.value, b.value - b.lo)};
}

double sx_mcnemar(int64_t a, int64_t b)
{
	unsigned n = (unsigned)(a + b), fewer = (unsigned)(a < b ? a : b);
	return fmin(1, 2 * gsl_cdf_binomial_P(fewer, 0.5, n));
}

/* ---- ranks ---- */

/* Copies what is there. */
static int64_t compact(double *out, const double *x, int64_t n)
{
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++)
		if (!isnan(x[i])) out[m++] = x[i];
	return m;
}

/* P(u <= count) for nx and ny values without ties: the number of ways to have u pairs with x > y,
 * by adding the largest value, which is an x (ny more such pairs) or a y. Whole numbers below
 * 2^53. */
static sx_status exact_tail(double *out, sx_ctx *ctx, int64_t nx, int64_t ny, double count)
{
	int64_t most = nx * ny, w = most + 1;
	double *ways = sx_calloc((size_t)((nx + 1) * w), sizeof *ways);
	if (!ways) return sx_fail(ctx, SX_ENOMEM, "no memory for a rank test");
	for (int64_t i = 0; i <= nx; i++) ways[i * w] = 1; /* no y yet */
	for (int64_t j = 1; j <= ny; j++)
		for (int64_t i = 1; i <= nx; i++)
			for (int64_t u = i * j; u >= j; u--)
				ways[i * w + u] += ways[(i - 1) * w + u - j];
	double below = 0, all = 0;
	for (int64_t u = 0; u <= most; u++) {
		all += ways[nx * w + u];
		if ((double)u <= count) below += ways[nx * w + u];
	}
	*out = below / all;
	free(ways);
	return SX_OK;
}

/* sum t^3 - t over runs of equal values. */
static double tie_sum(const double *sorted, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && sorted[j] == sorted[i];) j++;
		double t = (double)(j - i);
		sum += t * t * t - t;
	}
	return sum;
}

static double normal_p(double u, double nx, double ny, double ties)
{
	double n = nx + ny;
	double variance = nx * ny / 12 * (n + 1 - ties / (n * (n - 1)));
	double off = fabs(u - nx * ny / 2) - 0.5;
	if (!(variance > 0) || off <= 0) return 1;
	return fmin(1, 2 * gsl_cdf_ugaussian_Q(off / sqrt(variance)));
}

/* 2 / C(nx + ny, nx), or what the normal approximation gives at the end of its range. */
static double smallest_p(const sx_rank_test *t)
{
	if (t->nx + t->ny > EXACT_MOST)
		return normal_p((double)t->nx * (double)t->ny, (double)t->nx, (double)t->ny, 0);
	double ways = 1;
	for (int64_t i = 1; i <= t->nx; i++) ways = ways * (double)(t->ny + i) / (double)i;
	return fmin(1, 2 / ways);
}

sx_status sx_mann_whitney(sx_rank_test *out, sx_ctx *ctx, const double *x, int64_t nx,
			  const double *y, int64_t ny)
{
	sx_status st = SX_OK;
	sx_rank_test t = {.u = undefined, .cliff = undefined, .p = undefined};
	t.p_smallest = undefined;
	double *all = sx_calloc((size_t)(nx + ny), sizeof *all);
	if (!all) return sx_fail(ctx, SX_ENOMEM, "no memory for a rank test");
	t.nx = compact(all, x, nx);
	t.ny = compact(all + t.nx, y, ny);
	if (t.nx == 0 || t.ny == 0) goto done;
	double *b = all + t.nx;
	gsl_sort(all, 1, (size_t)t.nx);
	gsl_sort(b, 1, (size_t)t.ny);
	t.u = 0;
	for (int64_t i = 0, less = 0, up_to = 0; i < t.nx; i++) {
		while (less < t.ny && b[less] < all[i]) less++;
		while (up_to < t.ny && b[up_to] <= all[i]) up_to++;
		t.u += 0.5 * (double)(less + up_to);
	}
	double pairs = (double)t.nx * (double)t.ny;
	t.cliff = 2 * t.u / pairs - 1;
	t.p_smallest = smallest_p(&t);
	gsl_sort(all, 1, (size_t)(t.nx + t.ny));
	double ties = tie_sum(all, t.nx + t.ny);
	t.exact = ties == 0 && t.nx + t.ny <= EXACT_MOST;
	t.p = normal_p(t.u, (double)t.nx, (double)t.ny, ties);
	if (t.exact) {
		SX_TRY(exact_tail(&t.p, ctx, t.nx, t.ny, fmin(t.u, pairs - t.u)));
		t.p = fmin(1, 2 * t.p);
	}
done:
	*out = t;
out:
	free(all);
	return st;
}

sx_status sx_spearman(sx_correlation *out, sx_ctx *ctx, const double *x, const double *y, int64_t n)
{
	sx_correlation c = {.rho = undefined, .p = undefined};
	double *memory = n > 0 ? sx_calloc((size_t)n, 4 * sizeof *memory) : NULL;
	if (n > 0 && !memory) return sx_fail(ctx, SX_ENOMEM, "no memory for a correlation");
	for (int64_t i = 0; i < n; i++) {
		if (isnan(x[i]) || isnan(y[i])) continue;
		memory[c.n] = x[i];
		memory[n + c.n] = y[i];
		c.n++;
	}
	if (c.n >= 3) {
		c.rho = gsl_stats_spearman(memory, 1, memory + n, 1, (size_t)c.n, memory + 2 * n);
		double free_ = (double)c.n - 2, rest = 1 - c.rho * c.rho;
		/* the sums round */
		if (fabs(c.rho) > 1 - 1e-14) c.rho = c.rho > 0 ? 1 : -1, rest = 0;
		if (!isnan(c.rho))
			c.p = rest > 0
				      ? 2 * gsl_cdf_tdist_Q(fabs(c.rho) * sqrt(free_ / rest), free_)
				      : 0;
	}
	free(memory);
	*out = c;
	return SX_OK;
}

sx_status sx_holm(double *out, sx_ctx *ctx, const double *p, int64_t n)
{
	if (n < 1) return SX_OK;
	size_t *order = sx_calloc((size_t)n, sizeof *order);
	double *sorted = sx_calloc((size_t)n, sizeof *sorted);
	if (!order || !sorted) {
		free(order);
		free(sorted);
		return sx_fail(ctx, SX_ENOMEM, "no memory for Holm's correction");
	}
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++) {
		sorted[i] = isnan(p[i]) ? (double)INFINITY : p[i];
		m += !isnan(p[i]);
	}
	gsl_sort_index(order, sorted, 1, (size_t)n);
	double most = 0;
	for (int64_t k = 0; k < n; k++) {
		size_t at = order[k];
		if (k < m) most = fmax(most, fmin(1, (double)(m - k) * sorted[at]));
		sorted[at] = k < m ? most : undefined;
	}
	memcpy(out, sorted, (size_t)n * sizeof *out);
	free(order);
	free(sorted);
	return SX_OK;
}

/* Statistics on arrays: pure functions, no files. GSL inside.
 *
 * Missing values are NaN and are left out; a result that is not defined is NaN. p values are
 * two-sided. */
#ifndef SX_ANALYSIS_STATS_STATS_H
#define SX_ANALYSIS_STATS_STATS_H

#include "engine/base.h"

/* GSL ends the program on an error unless it is told not to, once for the whole process: for main()
 * to call. */
void sx_stats_start(void);

/* ---- bootstrap intervals ---- */

/* An estimate with an interval around it. lo and hi are NaN where there is none. */
typedef struct {
	double value, lo, hi;
} sx_interval;

enum { SX_BOOT_RESAMPLES = 1999 }; /* (1999 + 1) * 0.025 is a whole number: no interpolation */

/* Resamples of n units (sequences) with replacement, drawn once and used for every quantity
 * measured on these units, so that the intervals of a file belong together. Percentile intervals
 * (Efron & Tibshirani 1993, ch. 13). They depend on (n, resamples, level, seed) and the data
 * alone.
 *
 * Percentile intervals of few units are too short: of 95 % intervals for the mean of normal values,
 * 75 % cover it with 3 units, 80 % with 4, 88 % with 8, 92 % with 16 (tests/analysis/test_stats.c). */
typedef struct sx_boot sx_boot;
/* level in (0, 1), e.g. 0.95; n >= 1. SX_ENOMEM. */
sx_status sx_boot_new(sx_boot **out, sx_ctx *ctx, int64_t n, int64_t resamples, double level,
		      uint64_t seed) SX_NODISCARD;
void sx_boot_free(sx_boot *b);
/* The mean of x[0], x[stride], .. x[(n-1) stride] and its interval; none with fewer than two values
 * that are there. b's scratch is used: one thread at a time. */
sx_interval sx_boot_mean(sx_boot *b, const double *x, int64_t stride);
/* A statistic of the units by how often each is drawn: count[n], all 1 for the estimate itself. NaN
 * where a resample leaves it undefined; such resamples are left out. No interval with n < 2. */
typedef double (*sx_boot_fn)(void *self, const double *count, int64_t n);
sx_interval sx_boot_statistic(sx_boot *b, sx_boot_fn fn, void *self);
/* mean(x) - mean(y) for two independent groups, each with resamples of its own (different seeds,
 * the same number and level); no interval unless both have two values. For two quantities of the
 * same units take the mean of their differences instead. */
sx_interval sx_boot_difference(sx_boot *bx, const double *x, sx_boot *by, const double *y);

/* ---- lines ---- */

/* The slope of the least-squares line of y on x, over the pairs of which both are finite; NaN with
 * fewer than two, or where all x are equal. *used (may be NULL): their number. SX_ENOMEM. */
sx_status sx_line_slope(double *slope, int64_t *used, sx_ctx *ctx, const double *x, const double *y,
			int64_t n) SX_NODISCARD;

/* ---- proportions ---- */

/* hits / trials and Wilson's 95 % interval (E. B. Wilson 1927); NaN without trials, and where there are
 * not so many hits. */
sx_interval sx_wilson(int64_t hits, int64_t trials);
/* The difference a - b of two independent proportions with Wilson's intervals: 95 %, method 10 of
 * R. G. Newcombe 1998, Statistics in Medicine 17, 873. */
sx_interval sx_newcombe(sx_interval a, sx_interval b);
/* Two-sided p of McNemar's exact test: `a` units in which the first alone succeeded, `b` in which the
 * second alone did; at even chances their smaller number is binomial. 1 without any. */
double sx_mcnemar(int64_t a, int64_t b);

/* ---- ranks ---- */

typedef struct {
	int64_t nx, ny;    /* values that are there                                          */
	double u;          /* pairs with x > y, plus half of those with x = y                */
	double cliff;      /* Cliff's delta, P(x > y) - P(x < y), in [-1, 1]                 */
	double p;          /* two-sided                                                     */
	double p_smallest; /* the least p that groups of these sizes can give without ties   */
	bool exact;        /* from the distribution of u itself: no ties, nx + ny <= 50      */
} sx_rank_test;
/* Mann & Whitney 1947. Where not exact: normal, variance corrected for ties, continuity corrected
 * by 1/2. With an empty group u, cliff and p are NaN. SX_ENOMEM. */
sx_status sx_mann_whitney(sx_rank_test *out, sx_ctx *ctx, const double *x, int64_t nx,
			  const double *y, int64_t ny) SX_NODISCARD;

typedef struct {
	int64_t n; /* pairs of which both are there                                          */
	double rho, p;
} sx_correlation;
/* Spearman's rank correlation, tied ranks averaged; p from Student's t with n - 2 degrees of
 * freedom. rho is NaN with fewer than 3 pairs or where either side is constant. SX_ENOMEM. */
sx_status sx_spearman(sx_correlation *out, sx_ctx *ctx, const double *x, const double *y,
		      int64_t n) SX_NODISCARD;

/* Holm 1979: p values adjusted so that "adjusted <= a" holds the chance of any false rejection
 * among them at a. NaN stays NaN and does not count. out may be p. SX_ENOMEM. */
sx_status sx_holm(double *out, sx_ctx *ctx, const double *p, int64_t n) SX_NODISCARD;

#endif

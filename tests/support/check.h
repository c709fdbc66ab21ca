/* Comparisons of arrays for the tests. */
#ifndef SX_TESTS_CHECK_H
#define SX_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* max |a-b| / max(1e-300, max|b|) must not exceed tol. */
#define check_near(got, want, n, tol) \
	do { \
		double worst_ = 0, scale_ = 1e-300; \
		long long at_ = 0; \
		for (long long i_ = 0; i_ < (long long)(n); i_++) { \
			double d_ = fabs((double)(got)[i_] - (double)(want)[i_]); \
			scale_ = fmax(scale_, fabs((double)(want)[i_])); \
			if (!(d_ <= worst_)) worst_ = d_, at_ = i_; \
		} \
		if (!(worst_ <= (tol)*scale_)) \
			fail_msg("%s: element %lld: %.17g, wanted %.17g; off by %.3g of %.3g", \
				 #got, at_, (double)(got)[at_], (double)(want)[at_], worst_, \
				 scale_); \
	} while (0)

#define check_close(got, want, tol) \
	do { \
		double g_ = (double)(got), w_ = (double)(want); \
		if (!(fabs(g_ - w_) <= (tol))) \
			fail_msg("%s = %.17g, wanted %.17g within %.3g", #got, g_, w_, \
				 (double)(tol)); \
	} while (0)

#endif

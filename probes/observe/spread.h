/* How far the rows of a sequence lie from the means of their keys: what prefix spread and the bounds
 * are made of (docs/definitions.md). */
#ifndef SX_PROBES_OBSERVE_SPREAD_H
#define SX_PROBES_OBSERVE_SPREAD_H

#include "engine/real.h"

#include <math.h>
#include <stdint.h>

/* As fmax, but NaN stays. */
static inline double sx_larger(double a, double b)
{
	return b <= a || isnan(a) ? a : b;
}

/* ||x - from||^2 of n channels. */
double sx_distance_square(const double *from, const sx_real *x, int64_t n);

/* Delta_i = max_j ||x_j - mean|| over the keys j that row i sees, their mean among them, for every
 * row of x (B,T,C): out (B,T). window 0 = all earlier keys. scratch: sx_spread_scratch doubles. */
void sx_spread_rows(double *out, const sx_real *x, int64_t B, int64_t T, int64_t C, int64_t window,
		    double *scratch);
/* For the threads that OpenMP has at the time: the rows must not be asked for with more. */
int64_t sx_spread_scratch(int64_t B, int64_t T, int64_t C);

#endif

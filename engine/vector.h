/* Vector code without intrinsics: plain loops compiled for several instruction sets and chosen at
 * load time, so that a portable build is fast. Contraction is off and sums go over a fixed number
 * of lanes, so every version gives the same bits. */
#ifndef SX_ENGINE_VECTOR_H
#define SX_ENGINE_VECTOR_H

#include "engine/real.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Not in the double build, which is not about speed. clang gives the resolver of a static function a
 * global name: names of SX_VECTOR functions must differ throughout the program. */
#if defined(__x86_64__) && defined(__linux__) && !defined(SX_NO_CLONES) && !defined(SX_F64)
#	define SX_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#	define SX_VECTOR
#endif

#define SX_INLINE static inline __attribute__((always_inline))

enum { SX_LANES = 16 };

#ifdef SX_F64
SX_INLINE double sx_exp(double x)
{
	return exp(x);
}
#else
/* exp by x = n ln 2 + r, |r| <= ln(2)/2, and the Taylor polynomial of degree 7 (truncation below
 * 6e-9 relative); 0 below -87.3, where the result would be subnormal, +INFINITY above 88.37; NaN stays
 * NaN. Relative error below 2e-7 (tests/engine/test_ops.c). */
SX_INLINE float sx_exp(float x)
{
	const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
	float y = x < -87.3f ? -87.3f : x;
	y = y > 88.7f ? 88.7f : y;
	float z = y * 1.44269504f + shift;
	float n = z - shift;
	float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
	float p = 1.0f / 5040;
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	uint32_t bits;
	memcpy(&bits, &z, sizeof bits);
	bits = (bits + 127) << 23; /* 2^n: the low bits of z hold n */
	float two_n;
	memcpy(&two_n, &bits, sizeof two_n);
	return x < -87.3f ? 0.0f : p * two_n;
}
#endif

/* The normal distribution, Phi(x) = erfc(-x/sqrt 2)/2, and its density at x. */
#ifdef SX_F64
SX_INLINE double sx_normal_cdf(double x, double *density)
{
	*density = 0.3989422804014326779 * exp(-0.5 * x * x);
	return 0.5 * erfc(-0.7071067811865475244 * x);
}
#else
/* Phi(-|x|) = exp(-x^2/2) t P(t), t = 1/(1 + |x|/4): P of degree 9 through the Chebyshev nodes of (0,1],
 * off by 3.2e-8. Relative error below 5e-7 (1 + x^2/8), the second term from rounding x^2
 * (tests/engine/test_ops.c); x at infinity is NaN. */
SX_INLINE float sx_normal_cdf(float x, float *density)
{
	float e = sx_exp(-0.5f * x * x), t = 1 / (1 + 0.25f * fabsf(x));
	float p = 0.0208148882f;
	p = p * t - 0.0853892267f;
	p = p * t + 0.103798859f;
	p = p * t - 0.0397468619f;
	p = p * t + 0.0682739988f;
	p = p * t + 0.05744626f;
	p = p * t + 0.0818896294f;
	p = p * t + 0.093439512f;
	p = p * t + 0.0997373983f;
	p = p * t + 0.099735558f;
	float tail = e * t * p;
	*density = 0.398942280f * e;
	return x < 0 ? tail : 1 - tail;
}
#endif

/* Sum over fixed lanes: the order does not depend on the instruction set. */
SX_INLINE sx_real sx_fold(const sx_real lane[SX_LANES])
{
	sx_real a[SX_LANES / 2], b[SX_LANES / 4];
	for (int l = 0; l < SX_LANES / 2; l++) a[l] = lane[l] + lane[l + SX_LANES / 2];
	for (int l = 0; l < SX_LANES / 4; l++) b[l] = a[l] + a[l + SX_LANES / 4];
	return (b[0] + b[2]) + (b[1] + b[3]);
}

SX_INLINE sx_real sx_dot(const sx_real *x, const sx_real *y, int64_t n)
{
	sx_real lane[SX_LANES] = {0};
	int64_t i = 0;
	for (; i + SX_LANES <= n; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += x[i + l] * y[i + l];
	for (int l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
	return sx_fold(lane);
}

/* Sum of squares, in double over fixed lanes. */
SX_INLINE double sx_squares(const sx_real *x, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t i = 0;
	for (; i + SX_LANES <= n; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
	for (int l = 0; i + l < n; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

#endif

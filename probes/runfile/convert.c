/* Elements in memory into elements as they are stored, and what a missing one looks like. No
 * HDF5. */
#include "probes/runfile/priv.h"

#include "engine/vector.h"

#include <math.h>
#include <string.h>

/* ---- binary16 ---- */

/* q is the magnitude of the result so far, rest what was cut off it and half its last place. A
 * carry out of the fraction is the next exponent, and out of the last exponent infinity, by
 * themselves. */
static uint16_t round_even(uint64_t q, uint64_t rest, uint64_t half)
{
	if (rest > half || (rest == half && (q & 1))) q++;
	return (uint16_t)q;
}

uint16_t sx_half_from(double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof bits);
	const uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
	const int e = (int)(bits >> 52 & 0x7ff) - 1023;
	const uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
	uint16_t mag;
	if (e == 1024) {
		/* A NaN stays one, quiet, and keeps what fits of its payload. */
		mag = fraction ? (uint16_t)(0x7e00 | fraction >> 42) : 0x7c00;
	} else if (e > 15) {
		mag = 0x7c00;
	} else if (e >= -14) {
		uint64_t q = (uint64_t)(e + 15) << 10 | fraction >> 42;
		mag = round_even(q, fraction & (((uint64_t)1 << 42) - 1), (uint64_t)1 << 41);
	} else if (e >= -25) {
		/* Subnormal: 1.fraction * 2^e in units of 2^-24. */
		int shift = 28 - e;
		uint64_t m = fraction | (uint64_t)1 << 52;
		mag = round_even(m >> shift, m & (((uint64_t)1 << shift) - 1),
				 (uint64_t)1 << (shift - 1));
	} else {
		mag = 0;
	}
	return (uint16_t)(sign | mag);
}

/* The same on the bits of a float, without branches. Below 2^-14 the sum with 1/2, whose last place
 * is 2^-24, rounds to a multiple of that, to even. From there on the fraction loses 13 bits: adding
 * half of the last place that stays, less one where that place is even, carries as it should, and
 * the exponent's bias goes from 127 to 15. */
SX_INLINE uint16_t half_of_float(float x)
{
	uint32_t bits, sum;
	memcpy(&bits, &x, sizeof bits);
	const uint32_t mag = bits & 0x7fffffff;
	float f;
	memcpy(&f, &mag, sizeof f);
	f += 0.5f;
	memcpy(&sum, &f, sizeof sum);
	const uint32_t small = sum - 0x3f000000;
	const uint32_t normal = (mag - (112u << 23) + 0xfff + (mag >> 13 & 1)) >> 13;
	const uint32_t huge = mag > 0x7f800000 ? 0x7e00 | (mag >> 13 & 0x3ff) : 0x7c00;
	uint32_t h = mag < 0x38800000 ? small : normal;
	h = mag < 0x47800000 ? h : huge;
	return (uint16_t)(h | (bits >> 16 & 0x8000));
}

SX_VECTOR
static void halves_of_floats(uint16_t *out, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++) out[i] = half_of_float(x[i]);
}

void sx_halves_from(uint16_t *out, const float *x, int64_t n)
{
	halves_of_floats(out, x, n);
}

/* ---- elements ---- */

size_t sx_disk_size(sx_run_type type, size_t width)
{
	switch (type) {
	case SX_DISK_F16:
		return 2;
	case SX_DISK_F32:
	case SX_DISK_I32:
		return 4;
	case SX_DISK_F64:
	case SX_DISK_I64:
		return 8;
	case SX_DISK_FLAGS:
		return 1;
	case SX_DISK_STR:
		break;
	}
	return width;
}

bool sx_disk_is_native(sx_run_type type, sx_run_mem mem)
{
	switch (type) {
	case SX_DISK_F32:
		return mem == SX_MEM_F32;
	case SX_DISK_F64:
		return mem == SX_MEM_F64;
	case SX_DISK_I32:
		return mem == SX_MEM_I32;
	case SX_DISK_I64:
		return mem == SX_MEM_I64;
	case SX_DISK_FLAGS:
		return mem == SX_MEM_U8;
	case SX_DISK_F16:
	case SX_DISK_STR:
		break;
	}
	return false;
}

bool sx_disk_takes(sx_run_type type, sx_run_mem mem)
{
	if (type == SX_DISK_STR || mem == SX_MEM_STR)
		return type == SX_DISK_STR && mem == SX_MEM_STR;
	return (type <= SX_DISK_F64) == (mem <= SX_MEM_F32);
}

static double real_at(const void *data, sx_run_mem mem, int64_t i)
{
	return mem == SX_MEM_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static int64_t int_at(const void *data, sx_run_mem mem, int64_t i)
{
	switch (mem) {
	case SX_MEM_I64:
		return ((const int64_t *)data)[i];
	case SX_MEM_I32:
		return ((const int32_t *)data)[i];
	default:
		return ((const uint8_t *)data)[i];
	}
}

static void convert_reals(void *out, sx_run_type type, const void *data, sx_run_mem mem, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		double x = real_at(data, mem, i);
		if (type == SX_DISK_F16)
			((uint16_t *)out)[i] = sx_half_from(x);
		else if (type == SX_DISK_F32)
			((float *)out)[i] = (float)x;
		else
			((double *)out)[i] = x;
	}
}

static bool convert_ints(void *out, sx_run_type type, const void *data, sx_run_mem mem, int64_t n)
{
	bool fits = true;
	for (int64_t i = 0; i < n; i++) {
		int64_t x = int_at(data, mem, i);
		if (type == SX_DISK_FLAGS) {
			fits = fits && x >= 0 && x <= 255;
			((uint8_t *)out)[i] = (uint8_t)x;
		} else if (type == SX_DISK_I32) {
			fits = fits && x >= INT32_MIN && x <= INT32_MAX;
			((int32_t *)out)[i] = (int32_t)x;
		} else {
			((int64_t *)out)[i] = x;
		}
	}
	return fits;
}

static bool convert_texts(char *out, size_t size, const char *const *texts, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		size_t len = strlen(texts[i]);
		if (len >= size) return false; /* every text has its end */
		char *at = out + (size_t)i * size;
		memset(at, 0, size);
		memcpy(at, texts[i], len);
	}
	return true;
}

bool sx_disk_convert(void *out, sx_run_type type, size_t size, const void *data, sx_run_mem mem,
		     int64_t n)
{
	if (mem == SX_MEM_STR) return convert_texts(out, size, data, n);
	if (type > SX_DISK_F64) return convert_ints(out, type, data, mem, n);
	convert_reals(out, type, data, mem, n);
	return true;
}

void sx_disk_fill(void *out, sx_run_type type, size_t size, int64_t n)
{
	static const uint16_t half = 0x7e00;
	static const float f32 = NAN;
	static const double f64 = (double)NAN;
	const void *nan = type == SX_DISK_F16   ? (const void *)&half
			  : type == SX_DISK_F32 ? (const void *)&f32
						: &f64;
	if (type > SX_DISK_F64) {
		memset(out, type == SX_DISK_STR ? 0 : 0xff, (size_t)n * size);
		return;
	}
	for (int64_t i = 0; i < n; i++) memcpy((char *)out + (size_t)i * size, nan, size);
}

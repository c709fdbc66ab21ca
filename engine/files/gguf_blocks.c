/* Blocks of ggml (ggml-common.h, ggml-quants.c of https://github.com/ggml-org/ggml): a few scales and
 * small whole numbers. Every product is rounded by itself, in the order in which the package `gguf`
 * rounds, so that the floats are its floats. */
#include "engine/files/gguf_blocks.h"

#include <string.h>

static float half(const unsigned char *p)
{
	uint16_t h;
	memcpy(&h, p, sizeof h);
	return sx_float_of_half(h);
}

/* d, then 32 int8: d n. */
static void decode_q8_0(float *dst, const unsigned char *p)
{
	float d = half(p);
	for (int i = 0; i < 32; i++) dst[i] = d * (float)(signed char)p[2 + i];
}

/* d, then 16 bytes, the first 16 numbers in their low halves: d (n - 8). */
static void decode_q4_0(float *dst, const unsigned char *p)
{
	float d = half(p);
	for (int i = 0; i < 16; i++) {
		dst[i] = d * (float)((p[2 + i] & 15) - 8);
		dst[16 + i] = d * (float)((p[2 + i] >> 4) - 8);
	}
}

/* d and m, then 16 bytes: d n + m. */
static void decode_q4_1(float *dst, const unsigned char *p)
{
	float d = half(p), m = half(p + 2);
	for (int i = 0; i < 16; i++) {
		dst[i] = d * (float)(p[4 + i] & 15) + m;
		dst[16 + i] = d * (float)(p[4 + i] >> 4) + m;
	}
}

/* Scale and minimum of sub-block j of eight, six bits each, packed in 12 bytes. */
static void scale_and_min(const unsigned char *p, int j, float *scale, float *min)
{
	int s = p[j & 3] & 63, m = p[(j & 3) + 4] & 63;
	if (j >= 4) {
		s = (p[j + 4] & 15) | (p[j - 4] >> 6) << 4;
		m = (p[j + 4] >> 4) | (p[j] >> 6) << 4;
	}
	*scale = (float)s;
	*min = (float)m;
}

/* Eight sub-blocks of 32: d scale n - m min, n of 4 bits, or of 5 with the fifth in `high`. */
static void decode_k(float *dst, const unsigned char *scales, const unsigned char *low,
		     const unsigned char *high, float d, float m)
{
	for (int j = 0; j < 8; j++) {
		float scale, min;
		scale_and_min(scales, j, &scale, &min);
		float ds = d * scale, ms = m * min;
		for (int i = 0; i < 32; i++) {
			unsigned char two = low[32 * (j / 2) + i];
			int n = j % 2 ? two >> 4 : two & 15;
			if (high) n |= (high[i] >> j & 1) << 4;
			dst[32 * j + i] = ds * (float)n - ms;
		}
	}
}

/* d, m, 12 bytes of scales, 128 of numbers. */
static void decode_q4_k(float *dst, const unsigned char *p)
{
	decode_k(dst, p + 4, p + 16, NULL, half(p), half(p + 2));
}

/* As Q4_K, 32 bytes of fifth bits before the numbers. */
static void decode_q5_k(float *dst, const unsigned char *p)
{
	decode_k(dst, p + 4, p + 48, p + 16, half(p), half(p + 2));
}

/* 128 bytes of low four bits, 64 of high two, 16 scales (int8), d: d scale (n - 32). */
static void decode_q6_k(float *dst, const unsigned char *p)
{
	const unsigned char *low = p, *high = p + 128, *scales = p + 192;
	float d = half(p + 208);
	for (int k = 0; k < 256; k++) {
		int part = k / 128, quarter = k % 128 / 32, i = k % 32;
		unsigned char four = low[64 * part + 32 * (quarter % 2) + i];
		int n = (quarter < 2 ? four & 15 : four >> 4) |
			(high[32 * part + i] >> (2 * quarter) & 3) << 4;
		float ds = d * (float)(signed char)scales[k / 16];
		dst[k] = ds * (float)(n - 32);
	}
}

/* clang-format off */
static const sx_gguf_tensor_type types[] = {
	{ 0, {"F32",    1,   4, NULL},        SX_DTYPE_F32},
	{ 1, {"F16",    1,   2, NULL},        SX_DTYPE_F16},
	{ 2, {"Q4_0",  32,  18, decode_q4_0}, SX_DTYPE_F32},
	{ 3, {"Q4_1",  32,  20, decode_q4_1}, SX_DTYPE_F32},
	{ 8, {"Q8_0",  32,  34, decode_q8_0}, SX_DTYPE_F32},
	{12, {"Q4_K", 256, 144, decode_q4_k}, SX_DTYPE_F32},
	{13, {"Q5_K", 256, 176, decode_q5_k}, SX_DTYPE_F32},
	{14, {"Q6_K", 256, 210, decode_q6_k}, SX_DTYPE_F32},
	{28, {"F64",    1,   8, NULL},        SX_DTYPE_F64},
	{30, {"BF16",   1,   2, NULL},        SX_DTYPE_BF16},
	/* not read */
	{ 6, {.name = "Q5_0"}, 0},    { 7, {.name = "Q5_1"}, 0},   { 9, {.name = "Q8_1"}, 0},
	{10, {.name = "Q2_K"}, 0},    {11, {.name = "Q3_K"}, 0},   {15, {.name = "Q8_K"}, 0},
	{16, {.name = "IQ2_XXS"}, 0}, {17, {.name = "IQ2_XS"}, 0}, {18, {.name = "IQ3_XXS"}, 0},
	{19, {.name = "IQ1_S"}, 0},   {20, {.name = "IQ4_NL"}, 0}, {21, {.name = "IQ3_S"}, 0},
	{22, {.name = "IQ2_S"}, 0},   {23, {.name = "IQ4_XS"}, 0}, {24, {.name = "I8"}, 0},
	{25, {.name = "I16"}, 0},     {26, {.name = "I32"}, 0},    {27, {.name = "I64"}, 0},
	{29, {.name = "IQ1_M"}, 0},   {34, {.name = "TQ1_0"}, 0},  {35, {.name = "TQ2_0"}, 0},
	{39, {.name = "MXFP4"}, 0},
};
/* clang-format on */

const sx_gguf_tensor_type *sx_gguf_tensor_type_of(uint32_t number)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if ((uint32_t)types[i].number == number) return &types[i];
	return NULL;
}

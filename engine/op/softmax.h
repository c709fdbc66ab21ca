/* One row of a softmax, for attention and for the loss. */
#ifndef SX_ENGINE_OP_SOFTMAX_H
#define SX_ENGINE_OP_SOFTMAX_H

#include "engine/vector.h"

/* p = softmax(s) over n scores; p may be s. row[0] = largest score, row[1] = 1 / sum exp(s - it). */
SX_INLINE void sx_softmax_row(sx_real *p, const sx_real *s, int64_t n, sx_real row[2])
{
	sx_real top[SX_LANES], lane[SX_LANES] = {0};
	for (int l = 0; l < SX_LANES; l++) top[l] = -(sx_real)INFINITY;
	int64_t i = 0;
	for (; i + SX_LANES <= n; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) top[l] = s[i + l] > top[l] ? s[i + l] : top[l];
	for (int l = 0; i + l < n; l++) top[l] = s[i + l] > top[l] ? s[i + l] : top[l];
	sx_real max = top[0];
	for (int l = 1; l < SX_LANES; l++) max = top[l] > max ? top[l] : max;

	for (i = 0; i + SX_LANES <= n; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			sx_real e = sx_exp(s[i + l] - max);
			p[i + l] = e;
			lane[l] += e;
		}
	for (int l = 0; i + l < n; l++) {
		sx_real e = sx_exp(s[i + l] - max);
		p[i + l] = e;
		lane[l] += e;
	}
	sx_real inv = 1 / sx_fold(lane);
	for (i = 0; i < n; i++) p[i] *= inv;
	row[0] = max;
	row[1] = inv;
}

/* The same probabilities, bit for bit, from what was kept. */
SX_INLINE void sx_softmax_again(sx_real *p, const sx_real *s, int64_t n, const sx_real row[2])
{
	for (int64_t i = 0; i < n; i++) p[i] = sx_exp(s[i] - row[0]) * row[1];
}

#endif

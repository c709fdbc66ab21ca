/* Rows of a table. */
#include "engine/op/ops.h"

#include <string.h>

enum { CHANNELS = 16 };

void sx_embed_fwd(sx_real *x, const int32_t *tokens, const sx_real *table, int64_t N, int64_t C)
{
#pragma omp parallel for schedule(static)
	for (int64_t n = 0; n < N; n++)
		memcpy(x + n * C, table + tokens[n] * C, (size_t)C * sizeof *x);
}

/* A token may occur often: threads share out the channels, so that each sum has one order. */
void sx_embed_bwd(sx_real *dtable, const sx_real *dx, const int32_t *tokens, int64_t N, int64_t C)
{
#pragma omp parallel for schedule(static)
	for (int64_t c0 = 0; c0 < C; c0 += CHANNELS) {
		int64_t nc = C - c0 < CHANNELS ? C - c0 : CHANNELS;
		for (int64_t n = 0; n < N; n++) {
			sx_real *to = dtable + tokens[n] * C + c0;
			const sx_real *from = dx + n * C + c0;
			for (int64_t c = 0; c < nc; c++) to[c] += from[c];
		}
	}
}

/* The one rotate kernel: turns pairs (m, m + n_freq) by a table. */
#include "engine/op/ops.h"
#include "engine/vector.h"

void sx_rotation_fill(sx_rotation *r, const sx_pos_plan *plan, int64_t T)
{
	for (int64_t t = 0; t < T; t++)
		for (int m = 0; m < plan->n_freq; m++) {
			double angle = (double)t * plan->inv_freq[m];
			r->cos[t * plan->n_freq + m] =
				(sx_real)(cos(angle) * plan->attention_factor);
			r->sin[t * plan->n_freq + m] =
				(sx_real)(sin(angle) * plan->attention_factor);
		}
}

SX_VECTOR
static void rotate_row(sx_real *x, const sx_real *c, const sx_real *s, sx_real sign, int n_freq)
{
	sx_real *restrict lo = x, *restrict hi = x + n_freq;
	for (int m = 0; m < n_freq; m++) {
		sx_real a = lo[m], b = hi[m], sn = sign * s[m];
		lo[m] = a * c[m] - b * sn;
		hi[m] = a * sn + b * c[m];
	}
}

void sx_rotate(sx_real *x, const sx_rotation *r, bool inverse, int64_t B, int64_t T, int64_t heads,
	       int64_t D)
{
	if (!r->cos) return;
#pragma omp parallel for schedule(static)
	for (int64_t n = 0; n < B * T; n++) {
		const sx_real *c = r->cos + n % T * r->n_freq, *s = r->sin + n % T * r->n_freq;
		for (int64_t h = 0; h < heads; h++)
			rotate_row(x + (n * heads + h) * D, c, s, inverse ? -1 : 1, r->n_freq);
	}
}

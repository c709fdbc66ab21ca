/* Two rows of a grid on the same problems and windows. */
#include "analysis/extension.h"

#include <math.h>
#include <stdlib.h>

/* Of b the seed that has what seed s of a has at this length; -1 if none has. */
static int partner(const int64_t *a, const int64_t *b, int s, int seeds_b, int n_length, int at)
{
	for (int k = 0; k < seeds_b; k++)
		if (b[k * n_length + at] == a[s * n_length + at]) return k;
	return -1;
}

sx_extension_pairs sx_extension_compare_hits(const sx_extension_row *a, const sx_extension_row *b,
					     int at)
{
	sx_extension_pairs r = {.p = (double)NAN};
	if (!a->hit || !b->hit || a->n_problem != b->n_problem || a->n_length != b->n_length)
		return r;
	for (int s = 0; s < a->n_seed; s++) {
		int k = partner(a->problem_print, b->problem_print, s, b->n_seed, a->n_length, at);
		if (k < 0) continue;
		const uint8_t *x = a->hit + (s * a->n_length + at) * a->n_problem;
		const uint8_t *y = b->hit + (k * b->n_length + at) * b->n_problem;
		for (int64_t i = 0; i < a->n_problem; i++) {
			r.only_a += x[i] == 1 && y[i] == 0;
			r.only_b += x[i] == 0 && y[i] == 1;
		}
		r.pairs += a->n_problem;
	}
	if (r.pairs) r.p = sx_mcnemar(r.only_a, r.only_b);
	return r;
}

sx_status sx_extension_compare_text(sx_interval *out, int64_t *windows, sx_ctx *ctx,
				    const sx_extension_row *a, const sx_extension_row *b, int at,
				    uint64_t seed)
{
	sx_status st = SX_OK;
	sx_boot *boot = NULL;
	double *d = NULL;
	int64_t n = 0;
	*out = (sx_interval){(double)NAN, (double)NAN, (double)NAN};
	*windows = 0;
	if (!a->window_text || !b->window_text || a->n_window != b->n_window ||
	    a->n_length != b->n_length)
		return SX_OK;
	d = sx_calloc((size_t)(a->n_seed * a->n_window) + 1, sizeof *d);
	if (!d) return sx_fail(ctx, SX_ENOMEM, "no memory for the windows");
	for (int s = 0; s < a->n_seed; s++) {
		int k = partner(a->window_print, b->window_print, s, b->n_seed, a->n_length, at);
		if (k < 0) continue;
		const double *x = a->window_text + (s * a->n_length + at) * a->n_window;
		const double *y = b->window_text + (k * b->n_length + at) * b->n_window;
		for (int64_t i = 0; i < a->n_window; i++)
			if (!isnan(x[i] - y[i])) d[n++] = x[i] - y[i];
	}
	if (n == 0) goto out;
	SX_TRY(sx_boot_new(&boot, ctx, n, SX_BOOT_RESAMPLES, 0.95, seed));
	*out = sx_boot_mean(boot, d, 1);
	*windows = n;
out:
	sx_boot_free(boot);
	free(d);
	return st;
}

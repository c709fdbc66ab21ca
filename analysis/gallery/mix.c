/* Figure `mix`: from files of the epsilon law to arrays. */
#include "analysis/mix.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
}

static const char *const mix_axis[SX_MIX_QUANTITIES] = {
	[SX_MIX_VALUE] = "$|A_c|$",
	[SX_MIX_WQ] = "$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$",
	[SX_MIX_WK] = "$\\|\\partial A_c/\\partial W_\\mathrm{K}\\|$"};

/* Means over sequences (those of a spread above 0) of one file; numbers: spread (n_t), then values
 * (quantity, t, layer). */
static sx_status mean_mix(sx_fig_mix_data *d, double **numbers, sx_ctx *ctx, const sx_mix *m,
			  int64_t c)
{
	sx_status st = SX_OK;
	double *mean = NULL,
	       *x = sx_calloc((size_t)(m->n_t * (1 + SX_MIX_QUANTITIES * m->L)), sizeof *x);
	if (!x) return no_memory(ctx);
	*numbers = x;
	for (int q = 0; q < SX_MIX_QUANTITIES; q++) {
		SX_TRY(sx_mix_mean(&mean, ctx, m, c, (sx_mix_quantity)q));
		for (int64_t t = 0; t < m->n_t; t++) {
			double count = 0, spread = 0, *to = x + m->n_t + (q * m->n_t + t) * m->L;
			for (int64_t s = 0; s < m->S; s++) {
				int64_t at = (t * m->S + s) * m->L;
				if (!(m->spread[at] > 0)) continue;
				count++;
				spread += m->spread[at];
				for (int64_t l = 0; l < m->L; l++) to[l] += mean[at + l];
			}
			for (int64_t l = 0; l < m->L; l++) to[l] /= count;
			x[t] = spread / count;
		}
		free(mean);
		mean = NULL;
	}
	d->n_quantity = SX_MIX_QUANTITIES;
	d->quantity = mix_axis;
	d->n_t = m->n_t, d->n_layer = m->L;
	d->spread = x, d->value = x + m->n_t;
out:
	free(mean);
	return st;
}

static sx_status read_mix(sx_fig_mix_data *d, double **numbers, sx_ctx *ctx, const sx_input *in,
			  const char *family)
{
	sx_mix_record r = {0};
	sx_status st = sx_mix_read(&r, ctx, in->file);
	if (st != SX_OK) return st;
	int64_t c = 0;
	while (c < r.m.n_c && strcmp(r.m.family[c], family) != 0) c++;
	if (c == r.m.n_c)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: /mix has no family %s", in->path, family));
	*d = (sx_fig_mix_data){.label = in->label, .kind = in->kind, .family = family};
	SX_TRY(mean_mix(d, numbers, ctx, &r.m, c));
out:
	sx_mix_record_free(&r);
	return st;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	sx_input *in = NULL;
	double **numbers = sx_calloc((size_t)a->n_input, sizeof *numbers);
	sx_fig_mix_data *d = sx_calloc((size_t)a->n_input, sizeof *d);
	if (!numbers || !d) SX_TRY(no_memory(ctx));
	SX_TRY(sx_inputs_open(&in, ctx, a, NULL));
	for (int i = 0; i < a->n_input; i++)
		SX_TRY(read_mix(&d[i], &numbers[i], ctx, &in[i], a->of ? a->of : "diagonal"));
	st = sx_fig_mix(out, ctx, a->style, d, a->n_input);
out:
	for (int i = 0; numbers && i < a->n_input; i++) free(numbers[i]);
	free(numbers);
	free(d);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_mix = {
	.name = "mix",
	.what = "A_c and its gradients against the spread of the tokens, with the power they "
		"follow it by (--of diagonal)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_OF,
	.least = 1,
	.needs = "files of sextant bounds --mix -o",
};

/* Figure `drop`: from a run to what becomes of its heads. */
#include "analysis/drop.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <stdlib.h>

enum { QUANTITIES = 3, RETRIEVAL = 2, SEED = 1 };

/* Up to QUANTITIES of every input. */
typedef struct {
	int n;
	sx_fig_drop_data *data;
	double **numbers; /* value, low, high of all heads at the three times */
} work;

static sx_status add(work *w, sx_ctx *ctx, const sx_input *in, const char *quantity,
		     const sx_drop_trace *t)
{
	int64_t heads = t->layers * t->heads, n = SX_DROP_TIMES * heads;
	double *v = sx_calloc((size_t)(3 * n), sizeof *v);
	if (!v) return sx_fail(ctx, SX_ENOMEM, "no memory for the heads");
	for (int k = 0; k < SX_DROP_TIMES; k++)
		for (int64_t h = 0; h < heads; h++) {
			v[k * heads + h] = t->head[h].at[k].value;
			v[n + k * heads + h] = t->head[h].at[k].lo;
			v[2 * n + k * heads + h] = t->head[h].at[k].hi;
		}
	w->numbers[w->n] = v;
	w->data[w->n++] = (sx_fig_drop_data){.label = in->label,
					     .seed = in->seed,
					     .quantity = quantity,
					     .n_layer = t->layers,
					     .n_head = t->heads,
					     .value = v,
					     .low = v + n,
					     .high = v + 2 * n};
	return SX_OK;
}

/* A family or a kind of sequence that the run does not have is passed over. */
static sx_status try_add(work *w, sx_ctx *ctx, const sx_input *in, const char *family,
			 const char *quantity)
{
	sx_drop_trace t = {0};
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	sx_status st = family ? sx_drop_ac(&t, &quiet, in->file, family, SEED)
			      : sx_drop_stat(&t, &quiet, in->file, SX_RUN_STATS_RETRIEVAL_MASS,
					     RETRIEVAL, SEED);
	if (st == SX_ENOINPUT || st == SX_EDATA) return SX_OK;
	if (st == SX_OK) st = add(w, ctx, in, quantity, &t);
	sx_drop_free(&t);
	return st;
}

static sx_status draw(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a, const sx_input *in)
{
	sx_status st = SX_OK;
	size_t most = (size_t)(QUANTITIES * a->n_input);
	work w = {.data = sx_calloc(most, sizeof *w.data),
		  .numbers = sx_calloc(most, sizeof *w.numbers)};
	if (!w.data || !w.numbers) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++) {
		SX_TRY(try_add(&w, ctx, &in[i], "previous", "$A_c$, previous"));
		SX_TRY(try_add(&w, ctx, &in[i], "diagonal", "$A_c$, diagonal"));
		SX_TRY(try_add(&w, ctx, &in[i], NULL, "Retrieval mass"));
	}
	st = w.n ? sx_fig_drop(out, ctx, a->style, w.data, w.n)
		 : sx_fail(ctx, SX_EDATA,
			   "%s has no A_c of previous or diagonal, and no retrieval mass, on both "
			   "sides of a drop",
			   in->path);
out:
	for (int i = 0; i < w.n; i++) free(w.numbers[i]);
	free(w.numbers);
	free(w.data);
	return st;
}

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	(void)a;
	return sx_input_stats(in, ctx, -1);
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st != SX_OK) return st;
	st = draw(out, ctx, a, in);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_drop = {
	.name = "drop",
	.what = "every head before the drop, right after it and at the end: A_c, and retrieval "
		"mass where it was measured",
	.make = make,
	.takes = SX_FIGURE_LABEL,
	.least = 1,
	.needs = "run folders with a drop",
};

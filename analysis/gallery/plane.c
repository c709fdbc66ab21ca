/* Figure `plane`: from the scores of heads to their places. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/heads.h"

#include <stdlib.h>

/* What one input's places are made of; arrays over (record, layer, head). */
typedef struct {
	double *numbers; /* value, low, high of both shares, one after the other */
	const char **class_name;
} places;

static void split(double *to, int64_t n, int64_t at, sx_interval v)
{
	to[at] = v.value;
	to[n + at] = v.lo;
	to[2 * n + at] = v.hi;
}

static sx_fig_range range_of(const double *from, int64_t n)
{
	return (sx_fig_range){.value = from, .low = from + n, .high = from + 2 * n};
}

/* The records of the input are those of the heads, or the one asked for. */
static sx_status place(places *p, sx_fig_plane_data *d, sx_ctx *ctx, const sx_figure_args *a,
		       const sx_input *in)
{
	sx_status st = SX_OK;
	sx_heads *h = NULL;
	const sx_heads_opts o = {.kinds = 0, .seed = 1};
	SX_TRY(sx_heads_read(&h, ctx, in->file, &o));
	int64_t heads = h->layers * h->heads, n = in->n_step * heads;
	int64_t first = a->step >= 0 ? sx_heads_find(h, a->step, -1) : 0;
	if (first < 0 || first + in->n_step > h->n_record)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: its records do not fit together", in->path));
	p->numbers = sx_calloc((size_t)(6 * n), sizeof *p->numbers);
	p->class_name = sx_calloc((size_t)n, sizeof *p->class_name);
	if (!p->numbers || !p->class_name)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the heads"));
	for (int64_t i = 0; i < n; i++) {
		const sx_head_scores *s = &h->score[first * heads + i];
		split(p->numbers, n, i, s->positional);
		split(p->numbers + 3 * n, n, i, s->content);
		p->class_name[i] = sx_head_class_name(s->cls);
	}
	*d = (sx_fig_plane_data){.at = sx_input_probe(in),
				 .positional = range_of(p->numbers, n),
				 .content = range_of(p->numbers + 3 * n, n),
				 .class_name = p->class_name};
out:
	sx_heads_free(h);
	return st;
}

static sx_status draw(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a, const sx_input *in)
{
	sx_status st = SX_OK;
	size_t n = (size_t)a->n_input;
	places *p = sx_calloc(n, sizeof *p);
	sx_fig_plane_data *d = sx_calloc(n, sizeof *d);
	if (!p || !d) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (size_t i = 0; i < n; i++) SX_TRY(place(&p[i], &d[i], ctx, a, &in[i]));
	SX_TRY(sx_fig_plane(out, ctx, a->style, d, a->n_input));
out:
	for (size_t i = 0; p && i < n; i++) {
		free(p[i].numbers);
		free(p[i].class_name);
	}
	free(p);
	free(d);
	return st;
}

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_stats(in, ctx, a->step);
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

const sx_figure_row sx_figure_plane = {
	.name = "plane",
	.what = "each head by its positional and its content share, by class; of a run with a drop "
		"its path through it",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP,
	.least = 1,
	.needs = SX_FIGURE_NEEDS_FILES,
};

/* The reducers' part of the run file: /reduce. */
#include "probes/record/record.h"

#include <stdlib.h>
#include <string.h>

/* One dataset: is it wanted, and its numbers, of one of three types. */
typedef struct {
	sx_run_id id;
	bool want;
	const double *f64;
	const float *f32;
	const int32_t *i32;
} row;

enum { ROWS = 17 };

static void table(row out[ROWS], const sx_reduce *r, const sx_reduced *d)
{
	/* clang-format off */
	const row all[ROWS] = {
		{SX_RUN_REDUCE_OFFSET_PROB,    r->offsets,    .f64 = d->offset[SX_REDUCE_PROB]},
		{SX_RUN_REDUCE_OFFSET_PROB2,   r->offsets,    .f64 = d->offset[SX_REDUCE_PROB2]},
		{SX_RUN_REDUCE_OFFSET_SCORE,   r->offsets,    .f64 = d->offset[SX_REDUCE_SCORE]},
		{SX_RUN_REDUCE_OFFSET_SCORE2,  r->offsets,    .f64 = d->offset[SX_REDUCE_SCORE2]},
		{SX_RUN_REDUCE_KEY_MASS,       r->keys,       .f64 = d->key_mass},
		{SX_RUN_REDUCE_ROW_ENTROPY,    r->rows,       .f64 = d->row_entropy},
		{SX_RUN_REDUCE_ROW_MAX,        r->rows,       .f64 = d->row_max},
		{SX_RUN_REDUCE_ROW_MAX_OFFSET, r->rows,       .i32 = d->row_max_offset},
		{SX_RUN_REDUCE_SINK_MASS,      r->masses,     .f64 = d->sink_mass},
		{SX_RUN_REDUCE_WINDOW_MASS,    r->masses,     .f64 = d->window_mass},
		{SX_RUN_REDUCE_DISTANCE,       r->distance,   .f64 = d->distance},
		{SX_RUN_REDUCE_DISTANCE2,      r->distance,   .f64 = d->distance2},
		{SX_RUN_REDUCE_SPAN_MASS,      r->n_span > 0, .f64 = d->span_mass},
		{SX_RUN_REDUCE_TOP_PROB,       r->top > 0,    .f32 = d->top_prob},
		{SX_RUN_REDUCE_TOP_KEY,        r->top > 0,    .i32 = d->top_key},
		{SX_RUN_REDUCE_BLOCK_MEAN,     r->n_block > 0, .f64 = d->block_mean},
		{SX_RUN_REDUCE_BLOCK_MAX,      r->n_block > 0, .f64 = d->block_max},
	};
	/* clang-format on */
	memcpy(out, all, sizeof all);
}

/* ---- axes ---- */

static sx_status axis_of_bins(sx_run *run, const sx_reduce *r)
{
	sx_status st = SX_OK;
	int32_t bin[SX_REDUCE_BINS];
	int64_t edge[SX_REDUCE_BINS + 1];
	for (int64_t b = 0; b < r->n_bin; b++) bin[b] = (int32_t)sx_reduce_bin_edge((int)b);
	for (int64_t b = 0; b <= r->n_bin; b++) edge[b] = sx_reduce_bin_edge((int)b);
	SX_TRY(sx_run_axis(run, SX_RUN_REDUCE_OFFSET_BIN, r->n_bin, (const int32_t *)bin));
	SX_TRY(sx_run_attr_ints(run, "/reduce/offset_bin", "bin_edges", edge, r->n_bin + 1));
out:
	return st;
}

/* n positions, `step` apart. */
static sx_status axis_of_steps(sx_run *run, sx_run_id id, int64_t n, int64_t step)
{
	int64_t *at = sx_calloc((size_t)n, sizeof *at);
	if (!at) return SX_ENOMEM;
	for (int64_t k = 0; k < n; k++) at[k] = k * step;
	sx_status st = sx_run_axis(run, id, n, (const int64_t *)at);
	free(at);
	return st;
}

static sx_status axis_of_spans(sx_run *run, const sx_reduce *r)
{
	sx_status st = SX_OK;
	const char **name = sx_calloc((size_t)r->n_span, sizeof *name);
	if (!name) return SX_ENOMEM;
	for (int64_t k = 0; k < r->n_span; k++) name[k] = r->span[k];
	SX_TRY(sx_run_axis(run, SX_RUN_REDUCE_SPAN, r->n_span, (const char *const *)name));
	SX_TRY(sx_run_define(run, SX_RUN_REDUCE_SPAN_FIRST));
	SX_TRY(sx_run_define(run, SX_RUN_REDUCE_SPAN_LAST));
	SX_TRY(sx_run_put(run, SX_RUN_REDUCE_SPAN_FIRST, 0, (const int32_t *)r->span_first));
	SX_TRY(sx_run_put(run, SX_RUN_REDUCE_SPAN_LAST, 0, (const int32_t *)r->span_last));
out:
	free(name);
	return st;
}

static sx_status axis_of_widths(sx_run *run, const sx_reduce *r)
{
	int32_t width[32];
	for (int64_t m = 0; m < r->n_width; m++) width[m] = (int32_t)1 << m;
	return sx_run_axis(run, SX_RUN_REDUCE_WIDTH, r->n_width, (const int32_t *)width);
}

static sx_status make_axes(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	const sx_reduce *r = a->measure->reduce;
	SX_TRY(sx_run_grow(run, SX_RUN_REDUCE_STEP, a->records));
	SX_TRY(sx_run_define(run, SX_RUN_REDUCE_PHASE));
	SX_TRY(sx_run_axis_index(run, SX_RUN_REDUCE_SEQUENCE, r->S));
	SX_TRY(sx_run_axis(run, SX_RUN_REDUCE_LAYER, r->choice.n_layer,
			   (const int32_t *)r->choice.layer));
	SX_TRY(sx_run_axis(run, SX_RUN_REDUCE_HEAD, r->choice.n_head,
			   (const int32_t *)r->choice.head));
	if (r->offsets) SX_TRY(axis_of_bins(run, r));
	if (r->keys) SX_TRY(sx_run_axis_index(run, SX_RUN_REDUCE_KEY, r->T));
	if (r->rows || r->top)
		SX_TRY(sx_run_axis(run, SX_RUN_REDUCE_QUERY, r->choice.n_query,
				   (const int32_t *)r->choice.query));
	if (r->masses) SX_TRY(axis_of_widths(run, r));
	if (r->n_span) SX_TRY(axis_of_spans(run, r));
	if (r->top) SX_TRY(sx_run_axis_index(run, SX_RUN_REDUCE_RANK, r->top));
	if (r->n_block) {
		SX_TRY(axis_of_steps(run, SX_RUN_REDUCE_QUERY_BLOCK, r->n_block, r->block));
		SX_TRY(axis_of_steps(run, SX_RUN_REDUCE_KEY_BLOCK, r->n_block, r->block));
	}
out:
	return st;
}

/* ---- over how many ---- */

static sx_status put_counts(sx_run *run, sx_run_id id, const int64_t *n)
{
	sx_status st = sx_run_define(run, id);
	return st == SX_OK ? sx_run_put(run, id, 0, n) : st;
}

/* below[i]: chosen rows before row i, (T + 1). */
static sx_status counts(sx_run *run, const sx_reduce *r, int64_t window, const int64_t *below,
			int64_t *n)
{
	sx_status st = SX_OK;
	int64_t T = r->T, W = window > 0 && window < T ? window : T;
	if (r->offsets) {
		memset(n, 0, (size_t)r->n_bin * sizeof *n);
		for (int64_t d = 0; d < W; d++) n[sx_reduce_bin(d)] += below[T] - below[d];
		SX_TRY(put_counts(run, SX_RUN_REDUCE_OFFSET_PAIRS, n));
	}
	if (r->keys) {
		for (int64_t j = 0; j < T; j++) n[j] = below[j + W < T ? j + W : T] - below[j];
		SX_TRY(put_counts(run, SX_RUN_REDUCE_KEY_ROWS, n));
	}
	if (r->masses) {
		for (int64_t m = 0; m < r->n_width; m++) {
			int64_t width = (int64_t)1 << m;
			n[m] = below[T] - below[width < T ? width : T];
		}
		SX_TRY(put_counts(run, SX_RUN_REDUCE_WIDTH_ROWS, n));
	}
out:
	return st;
}

/* Only where all layers see as far: else they are a layer's own matter. */
static sx_status define_counts(sx_run *run, const sx_record_axes *a)
{
	const sx_reduce *r = a->measure->reduce;
	sx_pos_sight sight;
	const sx_spec *s = a->spec;
	sx_status asked = sx_pos_sight_make(&sight, NULL, &s->pos, sx_spec_shape(s), a->T);
	if (asked != SX_OK || !sight.one) return asked;
	int64_t *below = sx_calloc((size_t)r->T + 1, sizeof *below);
	int64_t *n = sx_calloc((size_t)r->T, sizeof *n);
	sx_status st = below && n ? SX_OK : SX_ENOMEM;
	for (int64_t i = 0; st == SX_OK && i < r->T; i++)
		below[i + 1] = below[i] + (r->choice.place[i] >= 0);
	if (st == SX_OK) st = counts(run, r, sight.widest, below, n);
	free(below);
	free(n);
	return st;
}

/* ---- records ---- */

sx_status sx_reduce_define(sx_run *run, const sx_record_axes *a)
{
	static const sx_reduced none;
	sx_status st = SX_OK;
	row rows[ROWS];
	table(rows, a->measure->reduce, &none);
	SX_TRY(make_axes(run, a));
	SX_TRY(define_counts(run, a));
	for (int k = 0; k < ROWS; k++)
		if (rows[k].want) SX_TRY(sx_run_define(run, rows[k].id));
out:
	return st;
}

sx_status sx_reduce_put(sx_run *run, const sx_record_axes *a, const sx_reduced *d, int64_t step,
			int phase)
{
	sx_status st = SX_OK;
	row rows[ROWS];
	int64_t rec = sx_run_records(run, SX_RUN_REDUCE_STEP);
	uint8_t p = (uint8_t)phase;
	table(rows, a->measure->reduce, d);
	for (int k = 0; k < ROWS; k++) {
		const row *x = &rows[k];
		if (!x->want) continue;
		SX_TRY(x->f64   ? sx_run_put(run, x->id, rec, x->f64)
		       : x->f32 ? sx_run_put(run, x->id, rec, x->f32)
				: sx_run_put(run, x->id, rec, x->i32));
	}
	SX_TRY(sx_run_put(run, SX_RUN_REDUCE_PHASE, rec, (const uint8_t *)&p));
	SX_TRY(sx_run_put(run, SX_RUN_REDUCE_STEP, rec, (const int64_t *)&step));
	SX_TRY(sx_run_flush(run, SX_RUN_REDUCE_STEP));
out:
	return st;
}

#include "probes/record/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const sx_run_id stat_id[SX_STAT_COUNT] = {
	[SX_STAT_ENTROPY] = SX_RUN_STATS_ENTROPY, [SX_STAT_MAX_PROB] = SX_RUN_STATS_MAX_PROB,
	[SX_STAT_MEAN_DISTANCE] = SX_RUN_STATS_MEAN_DISTANCE, [SX_STAT_DIAG_MASS] = SX_RUN_STATS_DIAG_MASS,
	[SX_STAT_PREV_MASS] = SX_RUN_STATS_PREV_MASS, [SX_STAT_FIRST_MASS] = SX_RUN_STATS_FIRST_MASS,
	[SX_STAT_SINK_MASS] = SX_RUN_STATS_SINK_MASS, [SX_STAT_DUPLICATE_MASS] = SX_RUN_STATS_DUPLICATE_MASS,
	[SX_STAT_INDUCTION_MASS] = SX_RUN_STATS_INDUCTION_MASS, [SX_STAT_RETRIEVAL_MASS] = SX_RUN_STATS_RETRIEVAL_MASS,
	[SX_STAT_LOGIT_STD] = SX_RUN_STATS_LOGIT_STD,
	[SX_STAT_Q_NORM] = SX_RUN_STATS_Q_NORM, [SX_STAT_K_NORM] = SX_RUN_STATS_K_NORM,
	[SX_STAT_SS_WITHIN] = SX_RUN_STATS_SS_WITHIN, [SX_STAT_SS_OFFSET] = SX_RUN_STATS_SS_OFFSET,
	[SX_STAT_SS_KEY] = SX_RUN_STATS_SS_KEY, [SX_STAT_SS_INTERACTION] = SX_RUN_STATS_SS_INTERACTION,
	[SX_STAT_R2_OFFSET] = SX_RUN_STATS_R2_OFFSET,
};
static const char *const wrt_names[] = {"wq", "wk", "q", "k", "h"};
/* clang-format on */

void sx_rows_with_copies(int64_t *duplicate, int64_t *induction, const int32_t *x, int64_t T,
			 int64_t window)
{
	*duplicate = *induction = 0;
	for (int64_t i = 0; i < T; i++) {
		bool d = false, n = false;
		for (int64_t j = window > 0 && i >= window ? i - window + 1 : 0; j <= i; j++) {
			d = d || (j < i && x[j] == x[i]);
			n = n || (j > 0 && x[j - 1] == x[i]);
		}
		*duplicate += d;
		*induction += n;
	}
}

/* ---- axes ---- */

static sx_status axes_of_heads(sx_run *run, const sx_record_axes *a, sx_run_id step,
			       sx_run_id phase, sx_run_id sequence, sx_run_id layer, sx_run_id head)
{
	sx_status st = SX_OK;
	SX_TRY(sx_run_grow(run, step, a->records));
	SX_TRY(sx_run_define(run, phase));
	if (sequence != SX_RUN_COUNT) SX_TRY(sx_run_axis_index(run, sequence, a->S));
	SX_TRY(sx_run_axis_index(run, layer, a->spec->L));
	SX_TRY(sx_run_axis_index(run, head, a->spec->H));
out:
	return st;
}

/* What the model's layers see of a sequence. */
static sx_status sight_of(sx_pos_sight *out, const sx_record_axes *a)
{
	const sx_spec *s = a->spec;
	return sx_pos_sight_make(out, NULL, &s->pos, sx_spec_shape(s), a->T);
}

/* Of copies in sight only where all layers see as far: else they are a layer's own matter. */
static sx_status row_counts(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	int64_t *n = sx_calloc((size_t)(2 * a->S), sizeof *n);
	sx_pos_sight sight;
	if (!n) return SX_ENOMEM;
	SX_TRY(sight_of(&sight, a));
	for (int64_t s = 0; s < a->S; s++)
		sx_rows_with_copies(&n[s], &n[a->S + s], a->tokens + s * a->T, a->T, sight.widest);
	if (sight.one) {
		SX_TRY(sx_run_attr_ints(run, "/stats/duplicate_mass", "n_rows", n, a->S));
		SX_TRY(sx_run_attr_ints(run, "/stats/induction_mass", "n_rows", n + a->S, a->S));
	}
	for (int64_t s = 0; s < a->S; s++) {
		n[s] = 0;
		for (int64_t i = 0; a->measure->query_row && i < a->T; i++)
			n[s] += a->measure->query_row[s * a->T + i];
	}
	SX_TRY(sx_run_attr_ints(run, "/stats/retrieval_mass", "n_rows", n, a->S));
	SX_TRY(sx_run_attr_int(run, "/stats/prev_mass", "n_rows", a->T - 1));
	SX_TRY(sx_run_attr_int(run, "/stats/first_mass", "n_rows", a->T - 1));
	SX_TRY(sx_run_attr_int(run, "/stats/sink_mass", "n_rows", a->T > 4 ? a->T - 4 : 0));
out:
	free(n);
	return st;
}

static sx_status score_axis(sx_run *run, int64_t T)
{
	int64_t n = sx_score_bins(T);
	int32_t *offset = sx_calloc((size_t)n, sizeof *offset);
	if (!offset) return SX_ENOMEM;
	for (int64_t b = 0; b < n; b++) offset[b] = (int32_t)sx_score_bin_edge(b);
	sx_status st = sx_run_axis(run, SX_RUN_STATS_OFFSET, n, (const int32_t *)offset);
	free(offset);
	return st;
}

static sx_status define_stats(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	int32_t bins[SX_OFFSET_BINS];
	int64_t edges[SX_OFFSET_BINS + 1];
	uint8_t *kind = sx_calloc((size_t)a->S, 1);
	if (!kind) return SX_ENOMEM;
	if (a->kind) memcpy(kind, a->kind, (size_t)a->S);
	for (int b = 0; b <= SX_OFFSET_BINS; b++) {
		edges[b] = sx_offset_bin_edge(b);
		if (b < SX_OFFSET_BINS) bins[b] = (int32_t)edges[b];
	}
	SX_TRY(axes_of_heads(run, a, SX_RUN_STATS_STEP, SX_RUN_STATS_PHASE, SX_RUN_STATS_SEQUENCE,
			     SX_RUN_STATS_LAYER, SX_RUN_STATS_HEAD));
	SX_TRY(sx_run_axis(run, SX_RUN_STATS_OFFSET_BIN, SX_OFFSET_BINS, (const int32_t *)bins));
	SX_TRY(sx_run_attr_ints(run, "/stats/offset_bin", "bin_edges", edges, SX_OFFSET_BINS + 1));
	SX_TRY(score_axis(run, a->T));
	SX_TRY(sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND));
	SX_TRY(sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, (const uint8_t *)kind));
	for (int s = 0; s < SX_STAT_COUNT; s++) SX_TRY(sx_run_define(run, stat_id[s]));
	SX_TRY(sx_run_define(run, SX_RUN_STATS_SCORE_OFFSET));
	SX_TRY(sx_run_define(run, SX_RUN_STATS_OFFSET_PROFILE));
	SX_TRY(row_counts(run, a));
out:
	free(kind);
	return st;
}

/* Plain RoPE's frequencies and this model's gamma, (L, n_freq) each. */
static sx_status frequencies(double **inv_freq, double **gamma, sx_ctx *ctx, const sx_spec *s,
			     int64_t T)
{
	sx_status st = SX_OK;
	int64_t M = s->D / 2;
	double *f = sx_calloc((size_t)(s->L * M), sizeof *f),
	       *g = sx_calloc((size_t)(s->L * M), sizeof *g);
	if (!f || !g) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for frequencies");
		goto out;
	}
	for (int l = 0; l < s->L; l++) {
		sx_pos_plan p;
		SX_TRY(sx_pos_plan_make(&p, ctx, &s->pos, sx_spec_shape(s), l, T));
		for (int m = 0; m < M; m++) {
			bool there = m < p.n_freq;
			f[l * M + m] =
				there ? sx_pos_plain_freq(s->pos.theta, m, p.rotary) : (double)NAN;
			g[l * M + m] = there ? p.gamma[m] : (double)NAN;
		}
		sx_pos_plan_free(&p);
	}
	*inv_freq = f, *gamma = g;
	f = g = NULL;
out:
	free(f);
	free(g);
	return st;
}

static sx_status define_rope(sx_run *run, const sx_record_axes *a)
{
	const sx_run_id data[] = {SX_RUN_ROPE_GAMMA,     SX_RUN_ROPE_Q_NORM,
				  SX_RUN_ROPE_K_NORM,    SX_RUN_ROPE_LOGIT_SHARE,
				  SX_RUN_ROPE_LOGIT_VAR, SX_RUN_ROPE_LOGIT_SIGNED,
				  SX_RUN_ROPE_LOGIT_REST};
	sx_status st = SX_OK;
	double *inv_freq = NULL, *gamma = NULL;
	SX_TRY(axes_of_heads(run, a, SX_RUN_ROPE_STEP, SX_RUN_ROPE_PHASE, SX_RUN_ROPE_SEQUENCE,
			     SX_RUN_ROPE_LAYER, SX_RUN_ROPE_HEAD));
	SX_TRY(sx_run_axis_index(run, SX_RUN_ROPE_FREQ, a->spec->D / 2));
	SX_TRY(sx_run_define(run, SX_RUN_ROPE_INV_FREQ));
	SX_TRY(frequencies(&inv_freq, &gamma, NULL, a->spec, a->T));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_INV_FREQ, 0, (const double *)inv_freq));
	SX_TRY(sx_run_attr_str(run, "/rope", "pairing",
			       a->spec->interleaved ? "interleaved" : "half"));
	for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
		SX_TRY(sx_run_define(run, data[i]));
out:
	free(inv_freq);
	free(gamma);
	return st;
}

static sx_status axis_of_families(sx_run *run, sx_run_id id, const sx_family *f, int64_t n)
{
	const char *names[SX_FAMILY_MOST];
	for (int64_t k = 0; k < n; k++) names[k] = f[k].name;
	return sx_run_axis(run, id, n, (const char *const *)names);
}

static sx_status define_ac(sx_run *run, const sx_record_axes *a)
{
	const sx_run_id data[] = {SX_RUN_AC_VALUE, SX_RUN_AC_MEAN_LOGIT_OSC,
				  SX_RUN_AC_MEAN_UNIFORM_L1};
	sx_status st = SX_OK;
	SX_TRY(axes_of_heads(run, a, SX_RUN_AC_STEP, SX_RUN_AC_PHASE, SX_RUN_AC_SEQUENCE,
			     SX_RUN_AC_LAYER, SX_RUN_AC_HEAD));
	SX_TRY(axis_of_families(run, SX_RUN_AC_C, a->family, a->n_c));
	for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
		SX_TRY(sx_run_define(run, data[i]));
	if (a->measure->ac_gradients) {
		SX_TRY(sx_run_axis(run, SX_RUN_AC_WRT, 5, (const char *const *)wrt_names));
		SX_TRY(sx_run_define(run, SX_RUN_AC_GRAD_NORM));
	}
	if (a->measure->spread) SX_TRY(sx_run_define(run, SX_RUN_AC_PREFIX_SPREAD));
	if (a->measure->ac_batch) SX_TRY(sx_run_define(run, SX_RUN_AC_BATCH_GRAD_NORM));
	if (!a->measure->ac_toward) goto out;
	SX_TRY(sx_run_define(run, SX_RUN_AC_CHANGE));
	SX_TRY(sx_run_define(run, SX_RUN_AC_CHANGE_W));
	SX_TRY(sx_run_define(run, SX_RUN_AC_CHANGE_NORM));
	SX_TRY(sx_run_define(run, SX_RUN_AC_FIRST_ORDER));
out:
	return st;
}

static sx_status define_bounds(sx_run *run, const sx_record_axes *a)
{
	const sx_run_id ac[] = {SX_RUN_AC_VALUE_BOUND,  SX_RUN_AC_VALUE_BOUND_PAPER,
				SX_RUN_AC_GRAD_BOUND,   SX_RUN_AC_GRAD_BOUND_PAPER,
				SX_RUN_AC_OSC_SPREAD_H, SX_RUN_AC_WQ_NORM,
				SX_RUN_AC_WK_NORM};
	const sx_run_id data[] = {SX_RUN_BOUNDS_LHS,       SX_RUN_BOUNDS_RHS,
				  SX_RUN_BOUNDS_RHS_PAPER, SX_RUN_BOUNDS_VERDICT,
				  SX_RUN_BOUNDS_ALLOWANCE, SX_RUN_BOUNDS_ROW,
				  SX_RUN_BOUNDS_REASON};
	sx_status st = SX_OK;
	int64_t n = sx_bound_count(a->n_c);
	char(*text)[SX_BOUND_NAME] = sx_calloc((size_t)n, sizeof *text);
	const char **name = sx_calloc((size_t)n, sizeof *name);
	if (!text || !name) {
		st = SX_ENOMEM;
		goto out;
	}
	for (int64_t i = 0; i < n; i++) {
		int64_t c = sx_bound_family(i);
		sx_bound_name(text[i], i, c < 0 ? "" : a->family[c].name);
		name[i] = text[i];
	}
	SX_TRY(axes_of_heads(run, a, SX_RUN_BOUNDS_STEP, SX_RUN_BOUNDS_PHASE,
			     SX_RUN_BOUNDS_SEQUENCE, SX_RUN_BOUNDS_LAYER, SX_RUN_BOUNDS_HEAD));
	SX_TRY(sx_run_axis(run, SX_RUN_BOUNDS_INEQUALITY, n, name));
	for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
		SX_TRY(sx_run_define(run, data[i]));
	for (size_t i = 0; a->measure->ac && i < sizeof ac / sizeof ac[0]; i++)
		SX_TRY(sx_run_define(run, ac[i]));
out:
	free(text);
	free(name);
	return st;
}

static const sx_run_id grad_id[SX_GRAD_COUNT] = {SX_RUN_GRAD_DS, SX_RUN_GRAD_DQ, SX_RUN_GRAD_DK,
						 SX_RUN_GRAD_DWQ, SX_RUN_GRAD_DWK};

static sx_status define_grad(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	SX_TRY(axes_of_heads(run, a, SX_RUN_GRAD_STEP, SX_RUN_GRAD_PHASE, SX_RUN_GRAD_SEQUENCE,
			     SX_RUN_GRAD_LAYER, SX_RUN_GRAD_HEAD));
	SX_TRY(sx_run_axis_index(run, SX_RUN_GRAD_KEY, a->T));
	for (int g = 0; g < SX_GRAD_COUNT; g++) SX_TRY(sx_run_define(run, grad_id[g]));
	SX_TRY(sx_run_define(run, SX_RUN_GRAD_KEY_FLOW));
out:
	return st;
}

static sx_status define_maps(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	int64_t n = a->measure->n_map;
	int32_t *layer = sx_calloc((size_t)n, sizeof *layer),
		*head = sx_calloc((size_t)n, sizeof *head);
	if (!layer || !head) {
		st = SX_ENOMEM;
		goto out;
	}
	for (int64_t k = 0; k < n; k++) {
		layer[k] = a->measure->map[k].layer;
		head[k] = a->measure->map[k].head;
	}
	SX_TRY(sx_run_grow(run, SX_RUN_ATTN_SAMPLE, a->samples));
	SX_TRY(sx_run_axis_index(run, SX_RUN_ATTN_MAP, n));
	SX_TRY(sx_run_axis_index(run, SX_RUN_ATTN_QUERY, a->T));
	SX_TRY(sx_run_axis_index(run, SX_RUN_ATTN_KEY, a->T));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_LAYER));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_HEAD));
	SX_TRY(sx_run_put(run, SX_RUN_ATTN_LAYER, 0, (const int32_t *)layer));
	SX_TRY(sx_run_put(run, SX_RUN_ATTN_HEAD, 0, (const int32_t *)head));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_SAMPLE_STEP));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_SAMPLE_PHASE));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_SAMPLE_SEQUENCE));
	SX_TRY(sx_run_define(run, SX_RUN_ATTN_TOKENS));
	SX_TRY(a->maps_f32 ? sx_run_define_f32(run, SX_RUN_ATTN_PROB)
			   : sx_run_define(run, SX_RUN_ATTN_PROB));
	SX_TRY(sx_run_attr_int(run, "/attn/prob", "masked_value", 0));
out:
	free(layer);
	free(head);
	return st;
}

sx_status sx_record_define(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	if (a->measure->stats) SX_TRY(define_stats(run, a));
	if (a->measure->rope) SX_TRY(define_rope(run, a));
	if (a->measure->ac) SX_TRY(define_ac(run, a));
	if (a->measure->bounds) SX_TRY(define_bounds(run, a));
	if (a->measure->grad) SX_TRY(define_grad(run, a));
	if (a->measure->reduce) SX_TRY(sx_reduce_define(run, a));
	if (a->measure->sites) SX_TRY(sx_sites_define(run, a));
	if (a->measure->n_map) SX_TRY(define_maps(run, a));
out:
	return st;
}

sx_status sx_record_define_ac_train(sx_run *run, const sx_spec *spec, const sx_family *family,
				    int64_t n_c, int64_t rows)
{
	sx_status st = SX_OK;
	sx_record_axes a = {.spec = spec, .records = rows};
	SX_TRY(axes_of_heads(run, &a, SX_RUN_AC_TRAIN_STEP, SX_RUN_AC_TRAIN_PHASE, SX_RUN_COUNT,
			     SX_RUN_AC_TRAIN_LAYER, SX_RUN_AC_TRAIN_HEAD));
	SX_TRY(axis_of_families(run, SX_RUN_AC_TRAIN_C, family, n_c));
	SX_TRY(sx_run_axis(run, SX_RUN_AC_TRAIN_WRT, 5, (const char *const *)wrt_names));
	SX_TRY(sx_run_define(run, SX_RUN_AC_TRAIN_VALUE));
	SX_TRY(sx_run_define(run, SX_RUN_AC_TRAIN_GRAD_NORM));
out:
	return st;
}

/* ---- records ---- */

/* Ends a record: phase, then the step that makes it count. */
static sx_status put_step(sx_run *run, sx_run_id axis, sx_run_id phase_id, int64_t rec,
			  int64_t step, int phase)
{
	uint8_t p = (uint8_t)phase;
	sx_status st = sx_run_put(run, phase_id, rec, (const uint8_t *)&p);
	return st == SX_OK ? sx_run_put(run, axis, rec, (const int64_t *)&step) : st;
}

sx_status sx_record_sink(sx_map_sink **out, sx_ctx *ctx, sx_run *run, const sx_record_axes *a,
			 int64_t batch, int threads)
{
	sx_pos_sight sight;
	sx_status st = sight_of(&sight, a);
	if (st != SX_OK) return sx_fail(ctx, st, "no memory for positional plans");
	sx_map_sink_opts o = {.map = a->measure->map,
			      .n_map = a->measure->n_map,
			      .T = a->T,
			      .window = sight.widest,
			      .batch = batch,
			      .f32 = a->maps_f32,
			      .stored = a->maps_stored,
			      .threads = threads};
	*out = NULL;
	return o.n_map ? sx_map_sink_new(out, ctx, run, &o) : SX_OK;
}

/* The samples whose maps are there. */
static sx_status put_samples(sx_run *run, const sx_record_axes *a, const sx_measures *m,
			     int64_t step, int phase)
{
	sx_status st = SX_OK;
	for (int64_t s = 0; s < m->S; s++) {
		int64_t rec = sx_run_records(run, SX_RUN_ATTN_SAMPLE);
		int32_t at = (int32_t)step, seq = (int32_t)s, number = (int32_t)rec;
		uint8_t p = (uint8_t)phase;
		SX_TRY(sx_run_put(run, SX_RUN_ATTN_TOKENS, rec, a->tokens + s * m->T));
		SX_TRY(sx_run_put(run, SX_RUN_ATTN_SAMPLE_STEP, rec, (const int32_t *)&at));
		SX_TRY(sx_run_put(run, SX_RUN_ATTN_SAMPLE_PHASE, rec, (const uint8_t *)&p));
		SX_TRY(sx_run_put(run, SX_RUN_ATTN_SAMPLE_SEQUENCE, rec, (const int32_t *)&seq));
		SX_TRY(sx_run_put(run, SX_RUN_ATTN_SAMPLE, rec, (const int32_t *)&number));
	}
	SX_TRY(sx_run_flush(run, SX_RUN_ATTN_SAMPLE));
out:
	return st;
}

static sx_status put_rope(sx_run *run, sx_ctx *ctx, const sx_measures *m, const sx_spec *spec,
			  int64_t step, int phase)
{
	sx_status st = SX_OK;
	double *inv_freq = NULL, *gamma = NULL;
	int64_t rec = sx_run_records(run, SX_RUN_ROPE_STEP);
	SX_TRY(frequencies(&inv_freq, &gamma, ctx, spec, m->T));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_GAMMA, rec, (const double *)gamma));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_Q_NORM, rec, (const double *)m->rope_q));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_K_NORM, rec, (const double *)m->rope_k));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_LOGIT_SHARE, rec, (const double *)m->rope_share));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_LOGIT_VAR, rec, (const double *)m->rope_var));
	SX_TRY(sx_run_put(run, SX_RUN_ROPE_LOGIT_REST, rec, (const double *)m->rope_rest));
	SX_TRY(put_step(run, SX_RUN_ROPE_STEP, SX_RUN_ROPE_PHASE, rec, step, phase));
	SX_TRY(sx_run_flush(run, SX_RUN_ROPE_STEP));
out:
	free(inv_freq);
	free(gamma);
	return st;
}

static sx_status put_stats(sx_run *run, const sx_measures *m, int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t rec = sx_run_records(run, SX_RUN_STATS_STEP);
	for (int s = 0; s < SX_STAT_COUNT; s++)
		SX_TRY(sx_run_put(run, stat_id[s], rec, (const double *)m->stat[s]));
	SX_TRY(sx_run_put(run, SX_RUN_STATS_SCORE_OFFSET, rec, (const double *)m->score_offset));
	SX_TRY(sx_run_put(run, SX_RUN_STATS_OFFSET_PROFILE, rec,
			  (const double *)m->offset_profile));
	SX_TRY(put_step(run, SX_RUN_STATS_STEP, SX_RUN_STATS_PHASE, rec, step, phase));
	SX_TRY(sx_run_flush(run, SX_RUN_STATS_STEP));
out:
	return st;
}

static sx_status put_ac_bounds(sx_run *run, const sx_measures *m, int64_t rec)
{
	const struct {
		sx_run_id id;
		const double *data;
	} all[] = {{SX_RUN_AC_VALUE_BOUND, m->value_bound},
		   {SX_RUN_AC_VALUE_BOUND_PAPER, m->value_bound_paper},
		   {SX_RUN_AC_GRAD_BOUND, m->grad_bound},
		   {SX_RUN_AC_GRAD_BOUND_PAPER, m->grad_bound_paper},
		   {SX_RUN_AC_OSC_SPREAD_H, m->osc_spread_h},
		   {SX_RUN_AC_WQ_NORM, m->wq_norm},
		   {SX_RUN_AC_WK_NORM, m->wk_norm}};
	sx_status st = SX_OK;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		SX_TRY(sx_run_put(run, all[i].id, rec, all[i].data));
out:
	return st;
}

static sx_status put_ac_changes(sx_run *run, const sx_measures *m, int64_t rec)
{
	sx_status st = SX_OK;
	SX_TRY(sx_run_put(run, SX_RUN_AC_CHANGE, rec, (const double *)m->ac_change));
	SX_TRY(sx_run_put(run, SX_RUN_AC_CHANGE_W, rec, (const double *)m->ac_change_w));
	SX_TRY(sx_run_put(run, SX_RUN_AC_CHANGE_NORM, rec, (const double *)m->ac_change_norm));
	SX_TRY(sx_run_put(run, SX_RUN_AC_FIRST_ORDER, rec, (const double *)m->ac_first_order));
out:
	return st;
}

static sx_status put_bounds(sx_run *run, const sx_measures *m, int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t rec = sx_run_records(run, SX_RUN_BOUNDS_STEP);
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_LHS, rec, (const double *)m->bound_lhs));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_RHS, rec, (const double *)m->bound_rhs));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_RHS_PAPER, rec, (const double *)m->bound_paper));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_ALLOWANCE, rec, (const double *)m->bound_allowance));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_ROW, rec, (const int32_t *)m->bound_row));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_REASON, rec, (const uint8_t *)m->bound_reason));
	SX_TRY(sx_run_put(run, SX_RUN_BOUNDS_VERDICT, rec, (const uint8_t *)m->bound_verdict));
	SX_TRY(put_step(run, SX_RUN_BOUNDS_STEP, SX_RUN_BOUNDS_PHASE, rec, step, phase));
	SX_TRY(sx_run_flush(run, SX_RUN_BOUNDS_STEP));
out:
	return st;
}

static sx_status put_ac(sx_run *run, const sx_measures *m, int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t rec = sx_run_records(run, SX_RUN_AC_STEP);
	SX_TRY(sx_run_put(run, SX_RUN_AC_VALUE, rec, (const double *)m->ac_value));
	if (m->ac_grad)
		SX_TRY(sx_run_put(run, SX_RUN_AC_GRAD_NORM, rec, (const double *)m->ac_grad));
	SX_TRY(sx_run_put(run, SX_RUN_AC_MEAN_LOGIT_OSC, rec, (const double *)m->logit_osc));
	SX_TRY(sx_run_put(run, SX_RUN_AC_MEAN_UNIFORM_L1, rec, (const double *)m->uniform_l1));
	if (m->prefix_spread)
		SX_TRY(sx_run_put(run, SX_RUN_AC_PREFIX_SPREAD, rec,
				  (const double *)m->prefix_spread));
	if (m->ac_batch_grad)
		SX_TRY(sx_run_put(run, SX_RUN_AC_BATCH_GRAD_NORM, rec,
				  (const double *)m->ac_batch_grad));
	if (m->value_bound) SX_TRY(put_ac_bounds(run, m, rec));
	if (m->ac_change) SX_TRY(put_ac_changes(run, m, rec));
	SX_TRY(put_step(run, SX_RUN_AC_STEP, SX_RUN_AC_PHASE, rec, step, phase));
	SX_TRY(sx_run_flush(run, SX_RUN_AC_STEP));
out:
	return st;
}

static sx_status put_grad(sx_run *run, const sx_measures *m, int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t rec = sx_run_records(run, SX_RUN_GRAD_STEP);
	for (int g = 0; g < SX_GRAD_COUNT; g++)
		SX_TRY(sx_run_put(run, grad_id[g], rec, (const double *)m->grad[g]));
	SX_TRY(sx_run_put(run, SX_RUN_GRAD_KEY_FLOW, rec, (const double *)m->key_flow));
	SX_TRY(put_step(run, SX_RUN_GRAD_STEP, SX_RUN_GRAD_PHASE, rec, step, phase));
	SX_TRY(sx_run_flush(run, SX_RUN_GRAD_STEP));
out:
	return st;
}

sx_status sx_record_put(sx_run *run, sx_ctx *ctx, const sx_record_axes *a, const sx_measures *m,
			const sx_spec *spec, int64_t step, int phase, bool with_maps)
{
	sx_status st = SX_OK;
	if (m->stat[0]) SX_TRY(put_stats(run, m, step, phase));
	if (m->rope_q) SX_TRY(put_rope(run, ctx, m, spec, step, phase));
	if (m->ac_value) SX_TRY(put_ac(run, m, step, phase));
	if (m->bound_lhs) SX_TRY(put_bounds(run, m, step, phase));
	if (m->key_flow) SX_TRY(put_grad(run, m, step, phase));
	if (m->reduced) SX_TRY(sx_reduce_put(run, a, m->reduced, step, phase));
	if (m->site_rows) SX_TRY(sx_sites_put(run, m->site_rows, step, phase));
	if (with_maps && a->measure->n_map) SX_TRY(put_samples(run, a, m, step, phase));
out:
	return st;
}

/* mean over the first of two axes: (S, n) -> (n). */
static double *mean_of_sequences(const double *x, int64_t S, int64_t n)
{
	double *mean = sx_calloc((size_t)n, sizeof *mean);
	for (int64_t i = 0; mean && i < n; i++) {
		for (int64_t s = 0; s < S; s++) mean[i] += x[s * n + i];
		mean[i] /= (double)S;
	}
	return mean;
}

sx_status sx_record_put_ac_train(sx_run *run, sx_ctx *ctx, const sx_measures *m, int64_t step,
				 int phase)
{
	sx_status st = SX_OK;
	int64_t heads = m->L * m->H, rec = sx_run_records(run, SX_RUN_AC_TRAIN_STEP);
	double *value = mean_of_sequences(m->ac_value, m->S, heads * m->n_c);
	double *grad = mean_of_sequences(m->ac_grad, m->S, heads * m->n_c * m->n_wrt);
	if (!value || !grad) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for A_c of the training batch");
		goto out;
	}
	SX_TRY(sx_run_put(run, SX_RUN_AC_TRAIN_VALUE, rec, (const double *)value));
	SX_TRY(sx_run_put(run, SX_RUN_AC_TRAIN_GRAD_NORM, rec, (const double *)grad));
	SX_TRY(put_step(run, SX_RUN_AC_TRAIN_STEP, SX_RUN_AC_TRAIN_PHASE, rec, step, phase));
out:
	free(value);
	free(grad);
	return st;
}

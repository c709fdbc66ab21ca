#include "analysis/drop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRETRAIN, RECALIBRATION }; /* words of the schema's phases */

typedef struct {
	sx_run_id step, phase, sequence;
} group;

/* Numbers of the three records. */
static sx_status find_records(int64_t rec[SX_DROP_TIMES], int64_t step[SX_DROP_TIMES], sx_ctx *ctx,
			      sx_run_file *f, const group *g)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], *steps = NULL;
	int ndim = 0;
	uint8_t *phases = NULL;
	SX_TRY(sx_run_shape(f, g->step, dims, &ndim));
	steps = sx_calloc((size_t)dims[0] + 1, sizeof *steps);
	phases = sx_calloc((size_t)dims[0] + 1, sizeof *phases);
	if (!steps || !phases) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the steps"));
	if (dims[0] > 0) {
		SX_TRY(sx_run_read(f, g->step, NULL, NULL, steps));
		SX_TRY(sx_run_read(f, g->phase, NULL, NULL, phases));
	}
	for (int t = 0; t < SX_DROP_TIMES; t++) rec[t] = -1;
	for (int64_t i = 0; i < dims[0]; i++) {
		if (phases[i] == PRETRAIN) rec[SX_DROP_BEFORE] = i;
		if (phases[i] != RECALIBRATION) continue;
		if (rec[SX_DROP_AFTER] < 0) rec[SX_DROP_AFTER] = i;
		rec[SX_DROP_END] = i;
	}
	if (rec[SX_DROP_BEFORE] < 0 || rec[SX_DROP_AFTER] < 0) {
		st = sx_fail(ctx, SX_ENOINPUT, "%s: no records on both sides of a drop",
			     sx_run_file_path(f));
		goto out;
	}
	for (int t = 0; t < SX_DROP_TIMES; t++) step[t] = steps[rec[t]];
out:
	free(steps);
	free(phases);
	return st;
}

/* Sequences of the kind: their numbers in the file. */
static sx_status find_sequences(int64_t **out, int64_t *n, sx_ctx *ctx, sx_run_file *f,
				sx_run_id sequence, int kind)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], *list = NULL;
	int ndim = 0;
	double *kinds = NULL;
	*n = 0;
	SX_TRY(sx_run_shape(f, sequence, dims, &ndim));
	list = sx_calloc((size_t)dims[0] + 1, sizeof *list);
	if (!list) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the sequences"));
	int64_t n_kind = 0;
	if (sx_run_has(f, SX_RUN_STATS_SEQUENCE_KIND))
		SX_TRY(sx_run_read_all(f, SX_RUN_STATS_SEQUENCE_KIND, &kinds, &n_kind));
	for (int64_t i = 0; i < dims[0]; i++)
		if (kind < 0 || n_kind != dims[0] || (int)kinds[i] == kind) list[(*n)++] = i;
	if (*n == 0) {
		st = sx_fail(ctx, SX_ENOINPUT, "%s: none of its %lld sequences is of that kind",
			     sx_run_file_path(f), (long long)dims[0]);
		goto out;
	}
	*out = list;
	list = NULL;
out:
	free(list);
	free(kinds);
	return st;
}

/* The three records of a dataset: x[t] is (sequence of the kind, layer, head). */
static sx_status read_three(double *x[SX_DROP_TIMES], sx_drop_trace *t, sx_ctx *ctx, sx_run_file *f,
			    sx_run_id id, const int64_t rec[SX_DROP_TIMES], const int64_t *seq,
			    int64_t family)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {0};
	int ndim = 0;
	double *all = NULL;
	SX_TRY(sx_run_shape(f, id, dims, &ndim));
	t->layers = dims[2], t->heads = dims[3];
	int64_t last = ndim > 4 ? dims[4] : 1, slh = t->layers * t->heads;
	all = sx_calloc((size_t)(dims[1] * slh * last), sizeof *all);
	if (!all) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path));
	dims[0] = 1;
	for (int k = 0; k < SX_DROP_TIMES; k++) {
		start[0] = rec[k];
		x[k] = sx_calloc((size_t)(t->sequences * slh), sizeof **x);
		if (!x[k]) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the records"));
		SX_TRY(sx_run_read(f, id, start, dims, all));
		for (int64_t s = 0; s < t->sequences; s++)
			for (int64_t h = 0; h < slh; h++)
				x[k][s * slh + h] = all[(seq[s] * slh + h) * last + family];
	}
out:
	free(all);
	return st;
}

static sx_status conclude(sx_drop_trace *t, sx_ctx *ctx, double *x[SX_DROP_TIMES], uint64_t seed)
{
	enum { PERCENT = 95 };
	sx_status st = SX_OK;
	sx_boot *b = NULL;
	int64_t slh = t->layers * t->heads;
	SX_TRY(sx_boot_new(&b, ctx, t->sequences, SX_BOOT_RESAMPLES, PERCENT / 100.0, seed));
	t->head = sx_calloc((size_t)slh, sizeof *t->head);
	if (!t->head) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the heads"));
	for (int64_t h = 0; h < slh; h++) {
		for (int k = 0; k < SX_DROP_TIMES; k++)
			t->head[h].at[k] = sx_boot_mean(b, x[k] + h, slh);
		for (int64_t s = 0; s < t->sequences; s++)
			x[SX_DROP_END][s * slh + h] -= x[SX_DROP_BEFORE][s * slh + h];
		t->head[h].change = sx_boot_mean(b, x[SX_DROP_END] + h, slh);
	}
out:
	sx_boot_free(b);
	return st;
}

static sx_status make(sx_drop_trace *out, sx_ctx *ctx, sx_run_file *f, sx_run_id id, const group *g,
		      int kind, int64_t family, const char *name, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_drop_trace t = {.kind = kind};
	int64_t rec[SX_DROP_TIMES], *seq = NULL;
	double *x[SX_DROP_TIMES] = {NULL};
	snprintf(t.name, sizeof t.name, "%s", name);
	SX_TRY(find_records(rec, t.step, ctx, f, g));
	SX_TRY(find_sequences(&seq, &t.sequences, ctx, f, g->sequence, kind));
	SX_TRY(read_three(x, &t, ctx, f, id, rec, seq, family));
	SX_TRY(conclude(&t, ctx, x, seed));
	*out = t;
	t.head = NULL;
out:
	for (int k = 0; k < SX_DROP_TIMES; k++) free(x[k]);
	free(seq);
	sx_drop_free(&t);
	return st;
}

sx_status sx_drop_ac(sx_drop_trace *out, sx_ctx *ctx, sx_run_file *f, const char *family,
		     uint64_t seed)
{
	enum { TEXT = 0 };
	static const group of_ac = {SX_RUN_AC_STEP, SX_RUN_AC_PHASE, SX_RUN_AC_SEQUENCE};
	char **names = NULL, label[48];
	int64_t n = 0, c = 0;
	if (!sx_run_has(f, SX_RUN_AC_VALUE))
		return sx_fail(ctx, SX_EDATA, "%s: has no /ac", sx_run_file_path(f));
	sx_status st = sx_run_strings(f, SX_RUN_AC_C, &names, &n);
	if (st != SX_OK) return st;
	while (c < n && strcmp(names[c], family) != 0) c++;
	free(names);
	if (c == n)
		return sx_fail(ctx, SX_EDATA, "%s: has no A_c of the family %s",
			       sx_run_file_path(f), family);
	snprintf(label, sizeof label, "A_c %s", family);
	return make(out, ctx, f, SX_RUN_AC_VALUE, &of_ac, TEXT, c, label, seed);
}

sx_status sx_drop_stat(sx_drop_trace *out, sx_ctx *ctx, sx_run_file *f, sx_run_id id, int kind,
		       uint64_t seed)
{
	static const group of_stats = {SX_RUN_STATS_STEP, SX_RUN_STATS_PHASE,
				       SX_RUN_STATS_SEQUENCE};
	if (!sx_run_has(f, id))
		return sx_fail(ctx, SX_EDATA, "%s: has no %s", sx_run_file_path(f),
			       sx_run_rows[id].path);
	/* The dataset's own name in words, "retrieval mass": long_name describes it. */
	char name[48];
	snprintf(name, sizeof name, "%s", strrchr(sx_run_rows[id].path, '/') + 1);
	for (char *s = name; (s = strchr(s, '_'));) *s = ' ';
	return make(out, ctx, f, id, &of_stats, kind, 0, name, seed);
}

void sx_drop_free(sx_drop_trace *t)
{
	if (!t) return;
	free(t->head);
	t->head = NULL;
}

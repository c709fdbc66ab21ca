/* What becomes of every head through the drop: A_c, and who looks for the value in question. */
#include "analysis/drop.h"
#include "cli/report_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, RETRIEVAL = 2 };

/* Heads worth following: at least this much before the drop. Described with the numbers. */
static const double least_ac = 0.1, least_mass = 0.3;

static bool is_dropped(const sx_report_item *i)
{
	return i->kind == SX_STUDY_RUN && i->file && i->drops;
}

static bool is_run(const sx_report_item *i)
{
	return i->kind == SX_STUDY_RUN && i->file && !i->untrained;
}

/* The same quantity of several runs: one per seed of a label. */
typedef struct {
	sx_drop_trace *trace; /* (n) */
	const int *at;
	int n;
} traces;

/* "layer 0: 1 of 2, layer 1: 0 of 2": heads with at least `least` before, and of them those with at
 * least half of it at the end, of the runs that lose their positions. */
static void by_layer(const sx_report_job *j, const traces *x, double least, char *out, size_t size,
		     int *all, int *back, double *after)
{
	size_t used = 0;
	*all = *back = 0;
	*after = 0;
	out[0] = '\0';
	for (int64_t l = 0; x->n > 0 && l < x->trace[0].layers; l++) {
		int here = 0, half = 0;
		for (int i = 0; i < x->n; i++) {
			const sx_drop_trace *t = &x->trace[i];
			if (!j->item[x->at[i]].nope || l >= t->layers) continue;
			for (int64_t h = 0; h < t->heads; h++) {
				const sx_drop_head *d = &t->head[l * t->heads + h];
				double before = d->at[SX_DROP_BEFORE].value;
				if (!(before >= least)) continue;
				here++;
				half += d->at[SX_DROP_END].value >= before / 2;
				*after = fmax(*after, d->at[SX_DROP_AFTER].value);
			}
		}
		*all += here, *back += half;
		if (!here) continue;
		int w = snprintf(out + used, size - used, "%slayer %lld: %d of %d",
				 used ? ", " : "", (long long)l, half, here);
		used += w > 0 && used + (size_t)w < size ? (size_t)w : 0;
	}
}

static void say_quantity(sx_report_job *j, const traces *x, const char *what, double least)
{
	char layers[512];
	int all, back;
	double after;
	by_layer(j, x, least, layers, sizeof layers, &all, &back, &after);
	if (!all) {
		sx_report_say(j, "No head has %s of %.1f or more before the drop.", what, least);
		return;
	}
	sx_report_say(
		j,
		"*At the drop* the %d heads with %s of at least %.1f keep %.3f at most; at the "
		"end of recalibration %d of them have at least half of it back (%s).",
		all, what, least, after, back, layers);
}

static void add_rows(sx_report_job *j, sx_report_table *t, const traces *x)
{
	for (int i = 0; i < x->n; i++) {
		const sx_drop_trace *d = &x->trace[i];
		for (int64_t h = 0; h < d->layers * d->heads; h++) {
			sx_report_cell_text(t, j->item[x->at[i]].label);
			sx_report_cell_int(t, j->item[x->at[i]].seed);
			sx_report_cell_text(t, d->name);
			sx_report_cell_int(t, h / d->heads);
			sx_report_cell_int(t, h % d->heads);
			for (int k = 0; k < SX_DROP_TIMES; k++)
				sx_report_cell_interval(t, d->head[h].at[k].value,
							d->head[h].at[k].lo, d->head[h].at[k].hi);
			sx_report_cell_interval(t, d->head[h].change.value, d->head[h].change.lo,
						d->head[h].change.hi);
		}
	}
}

static sx_report_table *new_table(sx_report_job *j)
{
	sx_report_table *t = sx_report_table_add(
		j->report, "drop", "drop",
		"Every head before the drop, right after it on the same weights, and at the end of "
		"recalibration: A_c on text; retrieval mass, where the language asks for a value, "
		"the weight on its earlier places. Means over the probe sequences with 95 % "
		"bootstrap intervals over them; of few sequences such "
		"intervals are short (about 88 % cover with 8).");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_text(t, "quantity", "Quantity", "what is measured");
	sx_report_col_int(t, "layer", "Layer", "1", "layer");
	sx_report_col_int(t, "head", "Head", "1", "query head");
	sx_report_col_interval(t, "before", "Before", "1", "last record before the drop", "%.3f");
	sx_report_col_interval(t, "after", "Right after", "1", "first record after it", "%.3f");
	sx_report_col_interval(t, "end", "End", "1", "last record of recalibration", "%.3f");
	sx_report_col_interval(t, "change", "End less before", "1", "end less before", "%+.3f");
	return t;
}

/* One quantity of all runs that have it: family of A_c, or the retrieval mass where NULL. */
static sx_status quantity(sx_report_job *j, sx_report_table *t, const int *at, int n,
			  const char *family, const char *what, double least)
{
	sx_status st = SX_OK;
	traces x = {.trace = sx_calloc((size_t)n, sizeof *x.trace), .at = at};
	if (!x.trace) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the heads");
	for (int i = 0; i < n; i++, x.n++)
		SX_TRY(family ? sx_drop_ac(&x.trace[i], j->ctx, j->item[at[i]].file, family,
					   j->seed)
			      : sx_drop_stat(&x.trace[i], j->ctx, j->item[at[i]].file,
					     SX_RUN_STATS_RETRIEVAL_MASS, RETRIEVAL, j->seed));
	say_quantity(j, &x, what, least);
	add_rows(j, t, &x);
out:
	for (int i = 0; i < x.n; i++) sx_drop_free(&x.trace[i]);
	free(x.trace);
	return st;
}

static bool has_family(sx_run_file *f, const char *family)
{
	char **name = NULL;
	int64_t n = 0;
	bool has = false;
	if (!sx_run_has(f, SX_RUN_AC_C) || sx_run_strings(f, SX_RUN_AC_C, &name, &n) != SX_OK)
		return false;
	for (int64_t i = 0; i < n; i++) has |= strcmp(name[i], family) == 0;
	free(name);
	return has;
}

/* The run that loses its positions, of the first seed, with the run it was branched from. */
static sx_status pictures(sx_report_job *j)
{
	sx_status st = SX_OK;
	int all[MOST], pair[2], n = sx_report_find(j, all, MOST, is_run), one = -1, k = 0;
	n = sx_report_first_seed(j, all, n);
	for (int i = 0; i < n; i++)
		if (one < 0 && j->item[all[i]].drops && j->item[all[i]].nope) one = all[i];
	if (one < 0) return SX_OK;
	for (int i = 0; i < n && !k; i++)
		if (!j->item[all[i]].drops && !j->item[all[i]].nope) pair[k++] = all[i];
	pair[k++] = one;
	SX_TRY(sx_report_draw(j, "drop", "drop",
			      "Every head before the drop, right after it on the same weights, and "
			      "at the end of recalibration, with 95 % bootstrap intervals over the "
			      "probe sequences: A_c on text; retrieval mass, where the language "
			      "asks for a value, the weight on its earlier places.",
			      &one, 1, NULL));
	SX_TRY(sx_report_draw(j, "ac", "ac",
			      "A_c of every head over training, a panel per layer, on the probe "
			      "batch's text; the drop is marked and has two points, before it and "
			      "right after it on the same weights.",
			      pair, k, NULL));
	SX_TRY(sx_report_draw(j, "offsets", "offsets",
			      "Attention weight at each distance, a panel per head: before the "
			      "drop, right after it, and at the end of recalibration.",
			      &one, 1, NULL));
	if (sx_run_has(j->item[one].file, SX_RUN_ATTN_PROB))
		SX_TRY(sx_report_draw(j, "maps", "maps",
				      "Attention maps of every head at the end of recalibration, "
				      "without any positional embedding (first text sequence of "
				      "the probe batch).",
				      &one, 1, NULL));
out:
	return st;
}

sx_status sx_report_drop(sx_report_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], n = sx_report_find(j, at, MOST, is_dropped);
	if (!n) return SX_OK;
	sx_report_section(j->report, "Heads through the drop");
	sx_report_say(j, "*Through the drop.*");
	SX_TRY(pictures(j));
	sx_report_table *t = new_table(j);
	if (has_family(j->item[at[0]].file, "previous"))
		SX_TRY(quantity(j, t, at, n, "previous", "A_c (previous)", least_ac));
	if (has_family(j->item[at[0]].file, "diagonal"))
		SX_TRY(quantity(j, t, at, n, "diagonal", "A_c (diagonal)", least_ac));
	if (!sx_run_has(j->item[at[0]].file, SX_RUN_STATS_RETRIEVAL_MASS)) goto out;
	st = quantity(j, t, at, n, NULL, "retrieval mass", least_mass);
	if (st == SX_ENOINPUT) st = SX_OK; /* no such sequences in the probe batch */
out:
	return st;
}

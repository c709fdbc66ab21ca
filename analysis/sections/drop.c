/* What becomes of every head through the drop: A_c, and who looks for the value in question. */
#include "analysis/drop.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, RETRIEVAL = 2 };

/* Heads worth following: at least this much before the drop. Described with the numbers. */
static const double least_ac = 0.1, least_mass = 0.3;

static bool is_dropped(const sx_section_item *i)
{
	return i->kind == SX_ITEM_RUN && i->file && i->drops;
}

static bool is_run(const sx_section_item *i)
{
	return i->kind == SX_ITEM_RUN && i->file && !i->untrained;
}

/* The same quantity of several runs: one per seed of a label. */
typedef struct {
	sx_drop_trace *trace; /* (n) */
	const int *at;
	int n;
} traces;

/* Heads with at least `least` before, of the runs that lose their positions. Lost, back, short: the
 * whole interval right after the drop is below half of that, at the end above half, below half. */
typedef struct {
	const char *what;
	double least;
	bool retrieval; /* else of position */
	int all, lost, back, failed, undefined;
	double after;     /* the most that any keeps right after the drop */
	char layers[512]; /* "layer 0: 1 of 2, layer 1: 0 of 2": back, of all */
} counts;

static void count_head(counts *c, const sx_drop_head *d, int *here, int *half)
{
	double before = d->at[SX_DROP_BEFORE].value;
	for (int k = 0; k < SX_DROP_TIMES; k++)
		if (!isfinite(d->at[k].value)) {
			c->undefined++;
			return;
		}
	const sx_interval *end = &d->at[SX_DROP_END], *after = &d->at[SX_DROP_AFTER];
	if (!(before >= c->least)) return;
	bool back = end->lo >= before / 2;
	(*here)++;
	*half += back;
	c->all++;
	c->lost += after->hi < before / 2;
	c->back += back;
	c->failed += end->hi < before / 2;
	c->after = fmax(c->after, after->value);
}

static counts count_heads(const sx_section_job *j, const traces *x, const char *what, double least)
{
	counts c = {.what = what, .least = least};
	size_t used = 0;
	for (int64_t l = 0; x->n > 0 && l < x->trace[0].layers; l++) {
		int here = 0, half = 0;
		for (int i = 0; i < x->n; i++) {
			const sx_drop_trace *t = &x->trace[i];
			if (!j->item[x->at[i]].nope || l >= t->layers) continue;
			for (int64_t h = 0; h < t->heads; h++)
				count_head(&c, &t->head[l * t->heads + h], &here, &half);
		}
		if (!here) continue;
		int w = snprintf(c.layers + used, sizeof c.layers - used, "%slayer %lld: %d of %d",
				 used ? ", " : "", (long long)l, half, here);
		used += w > 0 && used + (size_t)w < sizeof c.layers ? (size_t)w : 0;
	}
	return c;
}

static void say_counts(sx_section_job *j, const counts *c)
{
	if (c->undefined)
		sx_section_say(
			j, "Of %d heads %s is undefined before or after the drop: not a number.",
			c->undefined, c->what);
	if (!c->all && c->undefined) return;
	if (!c->all) {
		sx_section_say(j, "No head has %s of %.1f or more before the drop.", c->what,
			       c->least);
		return;
	}
	sx_section_say(j,
		       "%d heads have %s of at least %.1f before the drop; right after it none has "
		       "more than %s; at the end %d have at least half of theirs back (%s), %d "
		       "have not, and for %d the 95 %% interval leaves it open.",
		       c->all, c->what, c->least, sx_words_f(3, c->after).s, c->back, c->layers,
		       c->failed, c->all - c->back - c->failed);
}

static const char *restored(const counts *c)
{
	if (c->back == c->all) return "restores it";
	if (c->failed == c->all) return "does not restore it";
	return c->failed ? "restores it in part" : "restores it wherever the intervals can tell";
}

/* What follows from the counts, in words: first of position, then of retrieval. */
static void conclude(sx_section_job *j, const counts *c, int n)
{
	const counts *position = NULL, *retrieval = NULL;
	for (int i = 0; i < n; i++) {
		if (!c[i].all) continue;
		if (c[i].retrieval)
			retrieval = &c[i];
		else if (!position)
			position = &c[i];
	}
	if (position)
		sx_section_say(
			j,
			"*Through the drop*: without the rotation %d of the %d heads with %s "
			"lose at least half of it at once, and recalibration %s: at least half "
			"is back in %d, surely not in %d.",
			position->lost, position->all, position->what, restored(position),
			position->back, position->failed);
	if (retrieval)
		sx_section_say(j,
			       "%s: %d of the %d heads that look for the value in question lose at "
			       "least half of that weight, and recalibration %s: at least half is "
			       "there in %d, surely not in %d.",
			       position ? "Retrieval" : "*Through the drop*", retrieval->lost,
			       retrieval->all, restored(retrieval), retrieval->back,
			       retrieval->failed);
	if (!position && !retrieval)
		sx_section_say(j, "*Through the drop*: no head had enough positional bias or "
				  "retrieval mass before it to follow.");
}

static void add_rows(sx_section_job *j, sx_report_table *t, const traces *x)
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

static sx_report_table *new_table(sx_section_job *j)
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
	sx_report_col_interval(t, "change", "End - before", "1", "end minus before", "%+.3f");
	return t;
}

/* One quantity of all runs that have it: family of A_c, or the retrieval mass where NULL. */
static sx_status quantity(counts *c, sx_section_job *j, sx_report_table *t, const int *at, int n,
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
	*c = count_heads(j, &x, what, least);
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

/* Of these runs those of the first MOST_ROWS seeds. */
static int first_seeds(const sx_section_job *j, const int *at, int n, int *out)
{
	enum { MOST_ROWS = 3 };
	int kept = 0;
	for (int i = 0; i < n; i++)
		if (sx_section_seeds(j, at, i + 1) <= MOST_ROWS) out[kept++] = at[i];
	return kept;
}

/* The runs that lose their positions, with those they were branched from. Seeds stand below one
 * another where a row is enough for each. */
static sx_status pictures(sx_section_job *j)
{
	sx_status st = SX_OK;
	int all[MOST], dropped[MOST], pair[MOST], rows[MOST], one = -1, k = 0, n_dropped = 0;
	int n = sx_section_find(j, all, MOST, is_run);
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[all[i]];
		if (item->drops && item->nope && one < 0) one = all[i];
		if (item->drops && item->nope && strcmp(item->label, j->item[one].label) == 0)
			dropped[n_dropped++] = all[i];
	}
	if (one < 0) return SX_OK;
	SX_TRY(sx_section_draw(
		j, "drop", "drop",
		"Every head before the drop, right after it on the same weights, and "
		"at the end of recalibration, with 95 % bootstrap intervals over the "
		"probe sequences: A_c on text; retrieval mass, where the language "
		"asks for a value, the weight on its earlier places.",
		rows, first_seeds(j, dropped, n_dropped, rows), NULL));
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[all[i]];
		bool trunk = false; /* the first of its seed */
		if (!item->drops && !item->nope) {
			trunk = true;
			for (int e = 0; e < k; e++)
				trunk = trunk && (j->item[pair[e]].seed != item->seed ||
						  j->item[pair[e]].drops);
		}
		for (int e = 0; e < n_dropped; e++) trunk = trunk || dropped[e] == all[i];
		if (trunk) pair[k++] = all[i];
	}
	SX_TRY(sx_section_draw(j, "ac", "ac",
			       "A_c of every head over training, a panel per layer, on the probe "
			       "batch's text; the drop is marked and has two points, before it and "
			       "right after it on the same weights.",
			       rows, first_seeds(j, pair, k, rows), NULL));
	SX_TRY(sx_section_draw(j, "offsets", "offsets",
			       "Attention weight at each distance, a panel per head: before the "
			       "drop, right after it, and at the end of recalibration.",
			       &one, 1, NULL));
	if (sx_run_has(j->item[one].file, SX_RUN_ATTN_PROB))
		SX_TRY(sx_section_draw(j, "maps", "maps",
				       "Attention maps of every head at the end of recalibration, "
				       "without any positional embedding (first text sequence of "
				       "the probe batch).",
				       &one, 1, NULL));
out:
	return st;
}

sx_status sx_section_drop(sx_section_job *j)
{
	enum { QUANTITIES = 3 };
	sx_status st = SX_OK;
	counts c[QUANTITIES];
	int at[MOST], n = sx_section_find(j, at, MOST, is_dropped), k = 0;
	if (!n) return SX_OK;
	sx_report_section(j->report, "Heads through the drop");
	SX_TRY(pictures(j));
	sx_report_table *t = new_table(j);
	if (has_family(j->item[at[0]].file, "previous"))
		SX_TRY(quantity(&c[k++], j, t, at, n, "previous", "A_c (previous)", least_ac));
	if (has_family(j->item[at[0]].file, "diagonal"))
		SX_TRY(quantity(&c[k++], j, t, at, n, "diagonal", "A_c (diagonal)", least_ac));
	if (sx_run_has(j->item[at[0]].file, SX_RUN_STATS_RETRIEVAL_MASS)) {
		st = quantity(&c[k], j, t, at, n, NULL, "retrieval mass", least_mass);
		if (st == SX_OK) c[k++].retrieval = true;
		if (st == SX_ENOINPUT) st = SX_OK; /* no such sequences in the probe batch */
	}
	if (st != SX_OK) goto out;
	conclude(j, c, k);
	for (int i = 0; i < k; i++) say_counts(j, &c[i]);
out:
	return st;
}

/* Classes of heads, and which frequencies positional heads use. */
#include "analysis/heads.h"
#include "analysis/rope.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, TEXT = 1 };

static bool is_trace(const sx_section_item *i)
{
	return i->kind == SX_ITEM_TRACE && i->file && !i->untrained &&
	       sx_run_has(i->file, SX_RUN_STATS_OFFSET_PROFILE);
}

/* Where there are no traces: the probe batch of a run at its last record. */
static bool is_probed_run(const sx_section_item *i)
{
	return i->kind == SX_ITEM_RUN && i->file && !i->untrained &&
	       sx_run_has(i->file, SX_RUN_STATS_OFFSET_PROFILE);
}

static int find_traces(const sx_section_job *j, int *at)
{
	int n = sx_section_find(j, at, MOST, is_trace);
	return n ? n : sx_section_find(j, at, MOST, is_probed_run);
}

/* Of these, those whose last record has rotated pairs; returns their number. */
static int with_frequencies(const sx_section_job *j, int *at, int n)
{
	int kept = 0;
	for (int i = 0; i < n; i++)
		if (!j->item[at[i]].nope &&
		    sx_run_has(j->item[at[i]].file, SX_RUN_ROPE_LOGIT_SHARE))
			at[kept++] = at[i];
	return kept;
}

static bool loses_positions(const sx_section_item *i)
{
	return i->kind == SX_ITEM_RUN && i->file && i->drops && i->nope &&
	       sx_run_has(i->file, SX_RUN_STATS_OFFSET_PROFILE);
}

/* ---- classes ---- */

static void describe(sx_report_table *t, const sx_section_item *item, const sx_head_scores *s)
{
	char label[32];
	if (s->label == SX_LABEL_OFFSET)
		snprintf(label, sizeof label, "offset %lld", (long long)s->best_offset);
	else
		snprintf(label, sizeof label, "%s",
			 s->label == SX_LABEL_NONE ? "" : sx_head_label_name(s->label));
	const sx_interval *score[] = {&s->positional, &s->content, &s->key,      &s->r2_offset,
				      &s->prev,       &s->diag,    &s->induction};
	sx_report_cell_text(t, item->label);
	sx_report_cell_text(t, item->name);
	sx_report_cell_int(t, item->seed);
	sx_report_cell_int(t, s->layer);
	sx_report_cell_int(t, s->head);
	sx_report_cell_text(t, sx_head_class_name(s->cls));
	sx_report_cell_text(t, label);
	for (size_t k = 0; k < sizeof score / sizeof score[0]; k++)
		sx_report_cell_interval(t, score[k]->value, score[k]->lo, score[k]->hi);
}

static sx_report_table *class_table(sx_section_job *j)
{
	sx_report_table *t = sx_report_table_add(
		j->report, "heads", "heads",
		"Class and scores of every head on held-out text (induction on repeated blocks "
		"where there are any), 95 % bootstrap intervals over sequences. Shares of the "
		"scores' squares about their row means: positional, one kernel of the offset for "
		"all sequences; content, what row, key and offset leave; key, what the key "
		"explains beyond row and offset; r2_offset, a kernel for each sequence. The rule "
		"is in docs/definitions.md.");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_text(t, "trace", "Trace", "name of the trace");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "layer", "Layer", "1", "layer");
	sx_report_col_int(t, "head", "Head", "1", "query head");
	sx_report_col_text(t, "class", "Class", "class of the head");
	sx_report_col_text(t, "label", "Label", "finer label");
	sx_report_col_interval(t, "positional", "Positional", "1", "positional share", "%.2f");
	sx_report_col_interval(t, "content", "Content", "1", "content share", "%.2f");
	sx_report_col_interval(t, "key", "Key", "1", "key share", "%.2f");
	sx_report_col_interval(t, "r2_offset", "r2 offset", "1",
			       "share of one offset kernel for each sequence", "%.2f");
	sx_report_col_interval(t, "prev", "Previous", "1", "mass on the previous token", "%.2f");
	sx_report_col_interval(t, "diag", "Current", "1", "mass on the token itself", "%.2f");
	sx_report_col_interval(t, "induction", "Induction", "1", "induction mass", "%.2f");
	return t;
}

/* All seeds' traces of one label and name. */
typedef struct {
	const sx_section_item *item;                /* the first of them */
	int count[SX_HEAD_CLASSES], all, undefined; /* the last: without the shares */
	bool binned, longer; /* some have offsets in bins; sequences beyond the context */
} class_sums;

/* Heads of each class in one record; counts are added. */
static sx_status add_classes(sx_section_job *j, sx_report_table *t, const sx_section_item *item,
			     class_sums *sums)
{
	sx_status st = SX_OK;
	sx_heads *h = NULL;
	const sx_heads_opts o = {.kinds = TEXT, .seed = j->seed};
	SX_TRY(sx_heads_read(&h, j->ctx, item->file, &o));
	for (int64_t i = 0; i < h->layers * h->heads; i++) {
		const sx_head_scores *s =
			sx_heads_at(h, h->n_record - 1, i / h->heads, i % h->heads);
		describe(t, item, s);
		sums->count[s->cls]++;
		sums->all++;
		sums->undefined += !isfinite(s->positional.value);
	}
	sums->binned = sums->binned || (h->one_kernel && h->binned_from >= 0);
	sums->longer = sums->longer || (h->context > 0 && h->T > h->context);
out:
	sx_heads_free(h);
	return st;
}

static bool same_trace(const sx_section_item *a, const sx_section_item *b)
{
	return strcmp(a->label, b->label) == 0 && strcmp(a->name, b->name) == 0;
}

/* "RoPE (final): 8 positional, 12 semantic": all seeds together. */
static void say_classes(sx_section_job *j, const class_sums *sums)
{
	char list[256] = "";
	size_t used = 0;
	for (int c = 0; c < SX_HEAD_CLASSES; c++) {
		if (!sums->count[c]) continue;
		int w = snprintf(list + used, sizeof list - used, "%s%d %s", used ? ", " : "",
				 sums->count[c], sx_head_class_name((sx_head_class)c));
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	sx_section_say(j, "%s (%s): of %d heads %s.", sums->item->label, sums->item->name,
		       sums->all, list);
}

static double positional_part(const class_sums *s)
{
	return s->all ? (double)s->count[SX_HEAD_POSITIONAL] / s->all : 0;
}

/* Where positional heads are most and fewest, and what to mind of the traces. */
static void say_conclusion(sx_section_job *j, const class_sums *sums, int n)
{
	const class_sums *most = sums, *least = sums;
	bool binned = false, longer = false;
	int undefined = 0, all = 0;
	for (int i = 0; i < n; i++) {
		if (positional_part(&sums[i]) > positional_part(most)) most = &sums[i];
		if (positional_part(&sums[i]) < positional_part(least)) least = &sums[i];
		undefined += sums[i].undefined, all += sums[i].all;
		binned = binned || sums[i].binned;
		longer = longer || sums[i].longer;
	}
	if (undefined)
		sx_section_say(
			j,
			"What %d of %d heads do is undefined: the shares of their scores are not "
			"numbers.",
			undefined, all);
	if (undefined == all) return;
	if (most != least)
		sx_section_say(
			j,
			"Positional heads are most frequent in %s (%s), %d of %d, and rarest "
			"in %s (%s), %d of %d.",
			most->item->label, most->item->name, most->count[SX_HEAD_POSITIONAL],
			most->all, least->item->label, least->item->name,
			least->count[SX_HEAD_POSITIONAL], least->all);
	else
		sx_section_say(j, "Positional heads are equally frequent in all of these traces.");
	if (binned)
		sx_section_say(j, "Some traces have far offsets in bins, where a kernel that turns "
				  "is hidden: trace again the models whose heads have a larger "
				  "r2_offset than positional share.");
	if (longer) sx_section_say(j, "Some traces are longer than their model's context.");
}

static sx_status classes(sx_section_job *j, const int *at, int n)
{
	sx_status st = SX_OK;
	sx_report_table *t = class_table(j);
	int found = 0;
	class_sums *sums = sx_calloc((size_t)n, sizeof *sums);
	if (!sums) SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for the classes of heads"));
	for (int i = 0; i < n; i++) {
		bool first = true;
		for (int k = 0; k < i; k++)
			first = first && !same_trace(&j->item[at[k]], &j->item[at[i]]);
		if (!first) continue;
		sums[found].item = &j->item[at[i]];
		for (int k = i; k < n; k++)
			if (same_trace(&j->item[at[k]], &j->item[at[i]]))
				SX_TRY(add_classes(j, t, &j->item[at[k]], &sums[found]));
		found++;
	}
	say_conclusion(j, sums, found);
	for (int i = 0; i < found; i++) say_classes(j, &sums[i]);
out:
	free(sums);
	return st;
}

/* Over the run that loses its positions: how far each head's attention over distances moved. */
static sx_status say_shift(sx_section_job *j, const sx_section_item *item)
{
	sx_status st = SX_OK;
	sx_heads *h = NULL;
	char name[128];
	const sx_heads_opts o = {.kinds = TEXT, .seed = j->seed};
	SX_TRY(sx_heads_read(&h, j->ctx, item->file, &o));
	const sx_heads_shift shift = sx_heads_shift_of(h);
	if (!shift.n) goto out;
	sx_section_name(j, item, name, sizeof name);
	sx_section_say(
		j,
		"%s: recalibration brings %lld of %lld heads back nearer to the distances that "
		"they "
		"attended over before the drop: the share of a head's mass that lies at other "
		"distances than then (mean over heads) is %s right after the drop and %s "
		"at the end.",
		name, (long long)shift.nearer, (long long)shift.n,
		sx_words_f(2, shift.right_after).s, sx_words_f(2, shift.end).s);
out:
	sx_heads_free(h);
	return st;
}

sx_status sx_section_heads(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], run[MOST];
	int n = find_traces(j, at);
	int n_run = sx_section_find(j, run, MOST, loses_positions);
	if (n + n_run == 0) return SX_OK;
	sx_report_section(j->report, "Positional and semantic heads");
	if (n_run) {
		int first = sx_section_first_seed(j, run, n_run);
		SX_TRY(sx_section_draw(
			j, "plane", "plane",
			"Each head by its positional and its content share, and its "
			"path through the drop: before it, right after it, at the end "
			"of recalibration. Bars: 95 % bootstrap intervals over "
			"sequences.",
			run, first,
			&(sx_section_words){.style = "icml", .step = -1, .sequence = -1}));
	}
	if (n) {
		sx_section_say(j, "*Heads*%s.",
			       sx_section_seeds(j, at, n) > 1 ? ", all seeds together" : "");
		SX_TRY(classes(j, at, n));
	}
	n_run = sx_section_find(j, run, MOST, loses_positions);
	for (int i = 0; i < n_run; i++) SX_TRY(say_shift(j, &j->item[run[i]]));
out:
	return st;
}

/* ---- frequencies ---- */

static void frequency_row(sx_report_table *t, const sx_section_item *item,
			  const sx_rope_contrast *c)
{
	sx_report_cell_text(t, item->label);
	sx_report_cell_text(t, item->name);
	sx_report_cell_int(t, item->seed);
	sx_report_cell_int(t, c->n_a);
	sx_report_cell_int(t, c->n_b);
	sx_report_cell_real(t, c->centre.cliff);
	sx_report_cell_real(t, c->centre.p);
	sx_report_cell_real(t, c->ac_centre.rho);
	sx_report_cell_real(t, c->ac_centre.p);
}

static const double level = 0.05; /* of p, for what is said in words */

static sx_status contrast(sx_section_job *j, sx_report_table *t, const sx_section_item *item,
			  bool say)
{
	sx_status st = SX_OK;
	sx_rope_contrast c = {0};
	char name[128];
	SX_TRY(sx_rope_contrast_classes(&c, j->ctx, item->file, TEXT, j->seed));
	frequency_row(t, item, &c);
	if (!say) goto out;
	sx_section_name(j, item, name, sizeof name);
	if (c.n_a && c.n_b && isnan(c.centre.p))
		sx_section_say(
			j,
			"%s: whether its positional heads use other frequencies than the rest is "
			"undefined: no centre of one of the groups is a number.",
			name);
	else if (c.n_a && c.n_b)
		sx_section_say(
			j,
			"%s: positional heads %s semantic, key and "
			"mixed ones: %lld against %lld, centres of their frequencies, Cliff's "
			"delta "
			"%s (+1: every positional head's is higher), p = %s for the heads "
			"of this one model.",
			name,
			c.centre.p > level   ? "cannot be told by their frequencies from"
			: c.centre.cliff > 0 ? "use higher frequencies than"
					     : "use lower frequencies than",
			(long long)c.n_a, (long long)c.n_b, sx_words_plus(2, c.centre.cliff).s,
			sx_words_g(2, c.centre.p).s);
	else
		sx_section_say(
			j,
			"%s: positional heads %lld, semantic, key and mixed ones %lld, so no "
			"contrast between them can be tested.",
			name, (long long)c.n_a, (long long)c.n_b);
	if (isnan(c.ac_centre.rho))
		sx_section_say(
			j,
			"The correlation of |A_c| and the centre over its heads is undefined: "
			"%s.",
			c.ac_centre.n < 3 ? "fewer than 3 heads have both"
					  : "one of them is the same in every head");
	else
		sx_section_say(
			j,
			"Over all its heads |A_c| and the centre correlate with rho = %s (p = "
			"%s).",
			sx_words_plus(2, c.ac_centre.rho).s, sx_words_g(2, c.ac_centre.p).s);
out:
	sx_rope_contrast_free(&c);
	return st;
}

/* The first run's label where these have it: what is said in words; the table has them all. */
static const char *first_label(const sx_section_job *j, const int *at, int n)
{
	for (int i = 0; i < j->n; i++)
		for (int k = 0; k < n && j->item[i].kind == SX_ITEM_RUN; k++)
			if (strcmp(j->item[at[k]].label, j->item[i].label) == 0)
				return j->item[i].label;
	return j->item[at[0]].label;
}

sx_status sx_section_frequencies(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], one[MOST], n = with_frequencies(j, at, find_traces(j, at));
	if (!n) return SX_OK;
	memcpy(one, at, sizeof at);
	int first = sx_section_first_seed(j, one, n);
	sx_report_section(j->report, "Frequencies");
	SX_TRY(sx_section_draw(
		j, "frequencies", "frequencies",
		"What each pair of rotated channels carries of a head's scores: share "
		"of the scores' variance within rows. The line marks the pairs that "
		"never complete a turn within the trained length.",
		one, first, NULL));
	sx_report_table *t = sx_report_table_add(
		j->report, "frequencies", "frequencies",
		"Do positional heads use other frequencies? Centre: mean log frequency weighted by "
		"a head's logit shares. Mann-Whitney test of the centres of positional heads "
		"against semantic, key and mixed ones, and Spearman's correlation of the largest "
		"|A_c| with the centre over all heads. p is conditional on the row's one model: "
		"how often its heads, dealt at random, would give at least as much. It says "
		"nothing of other models or seeds, since heads of one model are not independent "
		"draws; seeds that agree do.");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_text(t, "trace", "Trace", "name of the trace");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "positional", "Positional", "1", "positional heads");
	sx_report_col_int(t, "semantic", "Semantic, key, mixed", "1",
			  "semantic, key and mixed heads");
	sx_report_col_real(t, "cliff", "Cliff's delta", "1", "Cliff's delta of the centres",
			   "%+.2f");
	sx_report_col_real(t, "p", "p", "1", "p of the Mann-Whitney test, two-sided", "%.2g");
	sx_report_col_real(t, "rho", "rho", "1", "Spearman's rho of |A_c| and the centre", "%+.2f");
	sx_report_col_real(t, "rho_p", "p", "1", "p of rho, two-sided", "%.2g");
	sx_section_say(j, "*Frequencies.*");
	const char *label = first_label(j, at, n);
	for (int i = 0; i < n; i++)
		SX_TRY(contrast(j, t, &j->item[at[i]], strcmp(j->item[at[i]].label, label) == 0));
out:
	return st;
}

/* The theory at initialisation: the epsilon law, figure 4 at the paper's size, constant sequences. */
#include "analysis/figure4.h"
#include "analysis/mix.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

/* ---- the epsilon law ---- */

static bool is_mix(const sx_section_item *i)
{
	return i->kind == SX_ITEM_BOUNDS && i->file && sx_run_has(i->file, SX_RUN_MIX_GRAD_NORM);
}

/* Ends of the slopes over layers, families and seeds. */
typedef struct {
	double lo, hi;
} range;

static void widen(range *r, double v)
{
	if (isnan(v)) return;
	r->lo = fmin(r->lo, v);
	r->hi = fmax(r->hi, v);
}

static sx_status mix_rows(sx_section_job *j, sx_report_table *t, const sx_section_item *item,
			  range slope[SX_MIX_QUANTITIES])
{
	sx_status st = SX_OK;
	sx_mix_record r = {0};
	sx_mix_line *line = NULL;
	int64_t n = 0;
	SX_TRY(sx_mix_read(&r, j->ctx, item->file));
	SX_TRY(sx_mix_lines(&line, &n, j->ctx, &r.m, j->seed));
	for (int64_t i = 0; i < n; i++) {
		const sx_mix_line *l = &line[i];
		sx_report_cell_text(t, item->label);
		sx_report_cell_int(t, item->seed);
		sx_report_cell_text(t, r.m.family[l->c]);
		sx_report_cell_text(t, sx_mix_quantity_name(l->quantity));
		sx_report_cell_int(t, l->layer);
		sx_report_cell_interval(t, l->slope.value, l->slope.lo, l->slope.hi);
		sx_report_cell_int(t, l->points);
		sx_report_cell_real(t, l->largest);
		sx_report_cell_real(t, l->smallest);
		widen(&slope[l->quantity], l->slope.value);
	}
out:
	free(line);
	sx_mix_record_free(&r);
	return st;
}

/* "0.900 to 1.100" with so many digits behind the point, for negative `digits` so many in all. */
static sx_words between(int digits, const range *r)
{
	sx_words w;
	bool fixed = digits > 0;
	if (!(r->lo <= r->hi)) return sx_words_f(0, (double)NAN);
	snprintf(w.s, sizeof w.s, "%.40s to %.40s",
		 fixed ? sx_words_f(digits, r->lo).s : sx_words_g(-digits, r->lo).s,
		 fixed ? sx_words_f(digits, r->hi).s : sx_words_g(-digits, r->hi).s);
	return w;
}

/* What powers between these two mean in words. */
static const char *law(const range *s)
{
	if (s->lo >= 0.5)
		return "falls with the spread of the tokens, about in proportion or faster";
	if (s->hi < 0.5) return "does not fall with the spread of the tokens";
	return "falls with the spread of the tokens in some layers and families alone";
}

/* The items of one label: their rows and two sentences. */
static sx_status mix_label(sx_section_job *j, sx_report_table *t, const int *at, int n,
			   const char *label, bool first)
{
	range s[SX_MIX_QUANTITIES];
	for (int q = 0; q < SX_MIX_QUANTITIES; q++) s[q] = (range){HUGE_VAL, -HUGE_VAL};
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		if (strcmp(item->label, label) != 0) continue;
		sx_status st = mix_rows(j, t, item, s);
		if (st != SX_OK) return st;
	}
	if (s[SX_MIX_VALUE].lo <= s[SX_MIX_VALUE].hi)
		sx_section_say(
			j,
			"%s%s: |A_c| %s. Its powers of the spread are %s over "
			"layers, families and seeds, those of the gradient's norm by W_Q %s, "
			"by W_K %s.",
			first ? "*The epsilon law*. " : "", label, law(&s[SX_MIX_VALUE]),
			between(3, &s[SX_MIX_VALUE]).s, between(3, &s[SX_MIX_WQ]).s,
			between(3, &s[SX_MIX_WK]).s);
	else
		sx_section_say(j,
			       "%s%s: its powers of the spread are undefined: in no layer and "
			       "family are there two values of t, near "
			       "its small end, at which |A_c| and the spread are above 0.",
			       first ? "*The epsilon law*. " : "", label);
	return SX_OK;
}

sx_status sx_section_mix(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], n = sx_section_find(j, at, MOST, is_mix);
	if (!n) return SX_OK;
	sx_report_section(j->report, "The epsilon law");
	SX_TRY(sx_section_draw(
		j, "mix", "mix",
		"A_c (diagonal) and the norms of its gradients against the prefix "
		"spread of the first layer, with embeddings moved toward their mean: "
		"geometric mean over layers, band from the smallest to the largest "
		"layer; dotted: slope 1.",
		at, n, NULL));
	sx_report_table *t = sx_report_table_add(
		j->report, "mix", "mix",
		"The power with which the mean over heads follows the prefix spread of the first "
		"layer (slope on log-log axes, over spreads of at most a tenth of that at t = 1): "
		"mean over sequences, 95 % bootstrap interval over sequences; and the values at "
		"both ends.");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the weights");
	sx_report_col_text(t, "family", "c", "family of the weights");
	sx_report_col_text(t, "quantity", "Quantity", "|A_c|, or by what the gradient is");
	sx_report_col_int(t, "layer", "Layer", "1", "layer");
	sx_report_col_interval(t, "slope", "Power", "1", "power of the spread", "%.3f");
	sx_report_col_int(t, "points", "Points", "1", "points of the line");
	sx_report_col_real(t, "largest", "Largest t", "1", "value at the largest t", "%.3g");
	sx_report_col_real(t, "smallest", "Smallest t", "1", "value at the smallest t", "%.3g");
	for (int i = 0; i < n; i++) {
		bool first = true;
		for (int k = 0; k < i; k++)
			first = first && strcmp(j->item[at[k]].label, j->item[at[i]].label) != 0;
		if (first) SX_TRY(mix_label(j, t, at, n, j->item[at[i]].label, i == 0));
	}
out:
	return st;
}

/* ---- figure 4 ---- */

bool sx_section_is_figure4(const sx_section_item *i)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim = 0;
	return i->kind == SX_ITEM_TRACE && i->file && i->untrained &&
	       sx_run_has(i->file, SX_RUN_OUT_NLL) && sx_run_has(i->file, SX_RUN_AC_GRAD_NORM) &&
	       sx_run_shape(i->file, SX_RUN_AC_GRAD_NORM, dims, &ndim) == SX_OK &&
	       dims[2] == SX_FIGURE4_LAYERS;
}

static void figure4_rows(sx_report_table *t, int64_t seed, const sx_figure4_fit *fit, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const sx_figure4_protocol *p = &fit[i].p;
		sx_report_cell_int(t, seed);
		sx_report_cell_int(t, p->length);
		sx_report_cell_text(t, sx_figure4_by_name(p->by));
		sx_report_cell_text(t, p->root_sum ? "root sum" : "mean");
		sx_report_cell_text(t, p->batch ? "mean of A_c" : "each");
		sx_report_cell_int(t, p->sequences);
		sx_report_cell_real(t, fit[i].rms);
		sx_report_cell_real(t, fit[i].factor);
		sx_report_cell_real(t, fit[i].rms_scaled);
		sx_report_cell_real(t, fit[i].rms_ratio);
	}
}

static sx_status figure4_seed(sx_section_job *j, sx_report_table *t, const int *at, int n,
			      int64_t seed)
{
	sx_status st = SX_OK;
	sx_figure4_fit *fit = NULL;
	sx_run_file *file[MOST];
	bool rotated[MOST];
	int64_t n_fit = 0, files = 0;
	char *nearest = NULL, *shape = NULL;
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		if (item->seed != seed) continue;
		file[files] = item->file;
		rotated[files++] = !item->nope;
	}
	SX_TRY(sx_figure4_fits(&fit, &n_fit, j->ctx, file, rotated, files));
	figure4_rows(t, seed, fit, n_fit);
	const sx_figure4_fit *a = &fit[sx_figure4_best(fit, n_fit, false)],
			     *b = &fit[sx_figure4_best(fit, n_fit, true)];
	nearest = sx_figure4_words(&a->p);
	shape = sx_figure4_words(&b->p);
	if (!nearest || !shape) SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for a sentence"));
	sx_section_say(j,
		       "*Figure 4* at the paper's size, seed %lld: the nearest protocol is off the "
		       "printed curves by %s %%, and %s the one that is nearest in shape.",
		       (long long)seed, sx_words_f(0, 100 * expm1(a->rms)).s,
		       strcmp(nearest, shape) == 0 ? "it is" : "it is not");
	sx_section_say(j,
		       "Seed %lld: nearest is %s, root mean square of ln(ours/printed) %s; with a "
		       "free factor %s, %s times %s; of the ratio of RoPE to NoPE %s.",
		       (long long)seed, nearest, sx_words_f(3, a->rms).s, shape,
		       sx_words_f(3, b->rms_scaled).s, sx_words_g(3, b->factor).s,
		       sx_words_f(3, b->rms_ratio).s);
out:
	free(nearest);
	free(shape);
	free(fit);
	return st;
}

sx_status sx_section_figure4(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], n = sx_section_find(j, at, MOST, sx_section_is_figure4), first[MOST];
	if (!n) return SX_OK;
	memcpy(first, at, sizeof at);
	int n_first = sx_section_first_seed(j, first, n);
	sx_report_section(j->report, "Figure 4 at the paper's size");
	SX_TRY(sx_section_draw(j, "figure4", "figure4",
			       "Norm of the gradient of A_c by layer at initialisation, the same "
			       "weights with and without rotation, by the protocol that comes "
			       "nearest to the printed curves (dotted).",
			       first, n_first, NULL));
	SX_TRY(sx_section_draw(j, "figure4", "figure4_shape",
			       "The same by the protocol whose curves, times one factor, come "
			       "nearest.",
			       first, n_first,
			       &(sx_section_words){.of = "shape", .step = -1, .sequence = -1}));
	sx_report_table *t = sx_report_table_add(
		j->report, "figure4", "figure4",
		"Every protocol against the printed curves: root mean square, over 24 layers, both "
		"families and both methods, of ln(ours/printed); the same after the one best "
		"factor; and that of the ratio of RoPE to NoPE.");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the weights");
	sx_report_col_int(t, "length", "T", "token", "tokens of a sequence");
	sx_report_col_text(t, "by", "By", "what the gradient is by");
	sx_report_col_text(t, "heads", "Heads", "how heads are put together");
	sx_report_col_text(t, "gradient", "Gradient of", "each sequence's A_c, or their mean");
	sx_report_col_int(t, "sequences", "Sequences", "1", "sequences");
	sx_report_col_real(t, "rms", "rms", "1", "root mean square of the logarithm", "%.3f");
	sx_report_col_real(t, "factor", "Factor", "1", "best factor on ours", "%.3g");
	sx_report_col_real(t, "rms_scaled", "rms, scaled", "1", "after the factor", "%.3f");
	sx_report_col_real(t, "rms_ratio", "rms of ratio", "1", "of RoPE over NoPE", "%.3f");
	for (int i = 0; i < n; i++)
		if (i == 0 || j->item[at[i]].seed != j->item[at[i - 1]].seed)
			SX_TRY(figure4_seed(j, t, at, n, j->item[at[i]].seed));
out:
	return st;
}

/* ---- constant sequences ---- */

bool sx_section_is_constant(const sx_section_item *i)
{
	enum { CONSTANT = 3 }; /* word of /stats/sequence_kind */
	double *kind = NULL;
	int64_t n = 0;
	if (i->kind != SX_ITEM_TRACE || !i->file ||
	    !sx_run_has(i->file, SX_RUN_STATS_SEQUENCE_KIND) ||
	    sx_run_read_all(i->file, SX_RUN_STATS_SEQUENCE_KIND, &kind, &n) != SX_OK)
		return false;
	bool all = n > 0;
	for (int64_t k = 0; k < n; k++) all = all && (int)kind[k] == CONSTANT;
	free(kind);
	return all;
}

static bool has_constant_maps(const sx_section_item *i)
{
	return sx_section_is_constant(i) && sx_run_has(i->file, SX_RUN_ATTN_PROB) &&
	       sx_run_has(i->file, SX_RUN_AC_MEAN_UNIFORM_L1);
}

/* Without rotation the largest distance from uniform, with it the smallest. */
static sx_status conclude_constant(sx_section_job *j, const int *at, int n)
{
	double nope = -HUGE_VAL, rope = HUGE_VAL, *l1 = NULL;
	int64_t undefined = 0;
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		int64_t count = 0;
		sx_status st = sx_run_read_all(item->file, SX_RUN_AC_MEAN_UNIFORM_L1, &l1, &count);
		if (st != SX_OK) return st;
		for (int64_t k = 0; k < count; k++) {
			undefined += !isfinite(l1[k]);
			if (!isfinite(l1[k])) continue;
			if (item->nope) nope = fmax(nope, l1[k]);
			if (!item->nope) rope = fmin(rope, l1[k]);
		}
		free(l1);
	}
	if (undefined) {
		sx_section_say(
			j,
			"*One token repeated*: undefined: the distance from uniform attention is "
			"not a number in %lld heads.",
			(long long)undefined);
		return SX_OK;
	}
	if (isinf(nope) || isinf(rope)) {
		sx_section_say(j,
			       "*One token repeated*, models %s rotation alone: there is nothing "
			       "to compare.",
			       isinf(nope) ? "with" : "without");
		return SX_OK;
	}
	sx_section_say(j,
		       "*One token repeated*: heads without rotation are %s uniform attention than "
		       "every head with rotation (%.2g at most, %.2g at least).",
		       nope < rope ? "nearer to" : "not all nearer to", nope, rope);
	return SX_OK;
}

sx_status sx_section_constant(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], n = sx_section_find(j, at, MOST, has_constant_maps);
	double *l1 = NULL;
	n = n ? sx_section_first_seed(j, at, n) : 0;
	if (!n) return SX_OK;
	sx_report_section(j->report, "One token repeated");
	SX_TRY(conclude_constant(j, at, n));
	sx_section_say(j, "Per head, the mean over rows of sum_j |alpha_ij - 1/i|:");
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		char name[24], caption[400];
		int64_t count = 0;
		range r = {HUGE_VAL, -HUGE_VAL};
		snprintf(name, sizeof name, "constant_%d", i + 1);
		snprintf(caption, sizeof caption,
			 "%.80s: attention of every head on one token repeated; keys after the "
			 "query are grey. Without rotation row i is 1/i throughout.",
			 item->label);
		SX_TRY(sx_section_draw(j, "maps", name, caption, &at[i], 1, NULL));
		SX_TRY(sx_run_read_all(item->file, SX_RUN_AC_MEAN_UNIFORM_L1, &l1, &count));
		for (int64_t k = 0; k < count; k++) widen(&r, l1[k]);
		free(l1);
		l1 = NULL;
		sx_section_say(j, "%s: %s over heads.", item->label, between(-2, &r).s);
	}
out:
	free(l1);
	return st;
}

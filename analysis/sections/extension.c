/* Beyond the trained length: every method with the same temperatures. */
#include "analysis/extension.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

static bool is_extension(const sx_section_item *i)
{
	return i->kind == SX_ITEM_EVAL && i->file &&
	       sx_run_has(i->file, SX_RUN_EXTENSION_NIAH_HITS);
}

static int trained_column(const sx_extension_row *r)
{
	for (int k = 0; k < r->n_length; k++)
		if (r->length[k] == r->trained_length) return k;
	return -1;
}

/* Has the label more than one method? */
static bool has_methods(const sx_extension *e, const char *label)
{
	const sx_extension_row *first = NULL;
	for (int i = 0; i < e->n_row; i++) {
		if (strcmp(e->row[i].label, label) != 0) continue;
		if (!first) first = &e->row[i];
		if (strcmp(e->row[i].method, first->method) != 0) return true;
	}
	return false;
}

/* "RoPE control with yarn (c = 0.4)"; "DroPE (c = 0.4)" of the only method. */
static void name_row(const sx_extension *e, const sx_extension_row *r, char *out, size_t size)
{
	bool method = has_methods(e, r->label);
	int n = snprintf(out, size, "%s%s%s", r->label, method ? " with " : "",
			 method ? r->method : "");
	if (!isnan(r->c) && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n, " (c = %g)", r->c);
}

static bool counts(const sx_extension_row *r)
{
	return r->chosen && r->trials[r->n_length - 1] > 0;
}

/* One sentence for a label: its methods at the longest length. */
static void say_label(sx_section_job *j, const sx_extension *e, int first)
{
	char list[1024] = "", c[32];
	size_t used = 0;
	const char *label = e->row[first].label;
	for (int i = first; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		if (strcmp(r->label, label) != 0 || !counts(r)) continue;
		const sx_interval *v = &r->rate[r->n_length - 1];
		c[0] = '\0';
		if (!isnan(r->c)) snprintf(c, sizeof c, " (c = %g)", r->c);
		int w = snprintf(list + used, sizeof list - used, "%s%s%s %s", used ? "; " : "",
				 r->method, c, sx_words_interval(2, *v).s);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	if (used) sx_section_say(j, "%s: %s.", label, list);
}

/* A model that does not retrieve at the trained length, by its first row. */
static bool is_unlearned(const sx_extension_row *r)
{
	int one = trained_column(r);
	return one >= 0 && r->rate[one].value < SX_SECTION_LEARNED;
}

static void say_labels(sx_section_job *j, const sx_extension *e)
{
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		bool first = true;
		for (int k = 0; k < i; k++) first = first && strcmp(e->row[k].label, r->label) != 0;
		if (!first) continue;
		if (is_unlearned(r))
			sx_section_say(j,
				       "%s was not learned: %s of the needles at the trained "
				       "length.",
				       r->label, sx_words_f(2, r->rate[trained_column(r)].value).s);
		else
			say_label(j, e, i);
	}
}

/* ---- the model that lost its positions against the best of the others ---- */

/* The rows that did best on what is set apart, for the needles and for the text, and what tells them
 * apart at the longest length. */
typedef struct {
	const sx_extension_row *a, *b;           /* needles                                   */
	const sx_extension_row *text_a, *text_b; /* text                                      */
	sx_extension_pairs pairs;
	sx_interval rate; /* a - b, as of independent samples                                */
	sx_interval text; /* a - b: bootstrap over windows, else the range over seeds         */
	int64_t windows;  /* 0: of seeds                                                      */
} comparison;

/* Mean, least and largest difference of the seeds. */
static sx_interval over_seeds(const sx_extension_row *a, const sx_extension_row *b, int last)
{
	const double none = (double)NAN;
	sx_interval d = {0, none, none};
	if (a->n_seed != b->n_seed) return (sx_interval){none, none, none};
	for (int s = 0; s < a->n_seed; s++) {
		double one = a->seed_loss[SX_LOSS_TEXT_LAST][s * a->n_length + last] -
			     b->seed_loss[SX_LOSS_TEXT_LAST][s * b->n_length + last];
		d.value += one / a->n_seed;
		d.lo = fmin(d.lo, one);
		d.hi = fmax(d.hi, one);
	}
	if (a->n_seed == 1) d.lo = d.hi = none; /* one number says nothing of its own error */
	return d;
}

static sx_status compare(comparison *c, sx_section_job *j, const sx_extension *e,
			 const char *dropped)
{
	*c = (comparison){.a = sx_extension_best(e, dropped, NULL, false),
			  .b = sx_extension_best(e, NULL, dropped, false),
			  .text_a = sx_extension_best(e, dropped, NULL, true),
			  .text_b = sx_extension_best(e, NULL, dropped, true)};
	if (!c->a || !c->b) return SX_OK;
	int last = c->a->n_length - 1;
	c->pairs = sx_extension_compare_hits(c->a, c->b, last);
	c->rate = sx_newcombe(c->a->rate[last], c->b->rate[last]);
	if (!c->text_a || !c->text_b) return SX_OK;
	sx_status st = sx_extension_compare_text(&c->text, &c->windows, j->ctx, c->text_a,
						 c->text_b, last, j->seed);
	if (st == SX_OK && !c->windows) c->text = over_seeds(c->text_a, c->text_b, last);
	return st;
}

/* The level of every interval and test of the report. */
static const double level = 0.05;

static int needle_sign(const comparison *c)
{
	if (!c->pairs.pairs) return sx_section_sign(c->rate);
	return c->pairs.p < level ? (c->pairs.only_a > c->pairs.only_b) * 2 - 1 : 0;
}

static void conclude(sx_section_job *j, const sx_extension *e, const comparison *c)
{
	static const char *const needles[] = {"retrieves fewer needles than", "cannot be told from",
					      "retrieves more needles than"};
	static const char *const texts[] = {"models the text better than",
					    "on the text is not told from",
					    "models the text worse than"};
	const sx_extension_row *r = c->a;
	char a[128], b[128], text_b[128];
	int64_t T = r->length[r->n_length - 1];
	int sign = needle_sign(c);
	name_row(e, c->a, a, sizeof a);
	name_row(e, c->b, b, sizeof b);
	if (!c->text_a || !c->text_b) {
		sx_section_say(j, "*Beyond the trained length*: at %lld tokens (%.3gx) %s %s %s%s.",
			       (long long)T, (double)T / (double)r->trained_length, a,
			       needles[sign + 1], b, sign ? "" : " in retrieval");
		return;
	}
	name_row(e, c->text_b, text_b, sizeof text_b);
	sx_section_say(j,
		       "*Beyond the trained length*: at %lld tokens (%.3gx) %s %s the best of the "
		       "others, %s%s, and %s %s.",
		       (long long)T, (double)T / (double)r->trained_length, r->label,
		       needles[sign + 1], b, sign ? "" : ", in retrieval",
		       isnan(c->text.value) ? "on the text cannot be compared with"
					    : texts[sx_section_sign(c->text) + 1],
		       text_b);
}

/* "retrieves .99 [..], the other .98 [..]": and the test. */
static void say_needles(sx_section_job *j, const sx_extension *e, const comparison *c)
{
	int last = c->a->n_length - 1;
	const sx_interval *x = &c->a->rate[last], *y = &c->b->rate[last];
	char a[128], b[128];
	name_row(e, c->a, a, sizeof a);
	name_row(e, c->b, b, sizeof b);
	sx_section_say(j, "Needles: %s %s of %lld, %s %s of %lld.", a, sx_words_interval(3, *x).s,
		       (long long)c->a->trials[last], b, sx_words_interval(3, *y).s,
		       (long long)c->b->trials[last]);
	if (c->pairs.pairs)
		sx_section_say(j,
			       "Of the same %lld problems %lld were solved by the first alone and "
			       "%lld by the second alone: p = %.2g (McNemar's exact test, "
			       "two-sided).",
			       (long long)c->pairs.pairs, (long long)c->pairs.only_a,
			       (long long)c->pairs.only_b, c->pairs.p);
	else
		sx_section_say(j,
			       "The difference is %s (Newcombe's interval, as of "
			       "independent samples): these files do not say which problems were "
			       "hit, or the problems differ, so there is no paired test.",
			       sx_words_interval_plus(3, c->rate).s);
}

static void say_text(sx_section_job *j, const sx_extension *e, const comparison *c)
{
	if (!c->text_a || !c->text_b) return;
	int last = c->text_a->n_length - 1;
	char a[128], b[128];
	name_row(e, c->text_a, a, sizeof a);
	name_row(e, c->text_b, b, sizeof b);
	sx_section_say(j, "Loss on the text, last half of the window: %s %s nats, %s %s.", a,
		       sx_words_f(2, c->text_a->text_nll_last[last]).s, b,
		       sx_words_f(2, c->text_b->text_nll_last[last]).s);
	if (isnan(c->text.value))
		sx_section_say(j,
			       "The difference is undefined: a loss is not a number, or the files "
			       "have different numbers of seeds.");
	else if (c->windows)
		sx_section_say(j,
			       "The difference is %s, mean of %lld windows that count "
			       "alike (the losses are per token).",
			       sx_words_interval_plus(2, c->text).s, (long long)c->windows);
	else if (!isnan(c->text.lo))
		sx_section_say(j,
			       "The difference is %s, from %s to %s over the %d seeds: "
			       "these files hold no losses of single windows, so the range over "
			       "seeds stands in for an interval.",
			       sx_words_plus(2, c->text.value).s, sx_words_plus(2, c->text.lo).s,
			       sx_words_plus(2, c->text.hi).s, c->text_a->n_seed);
	else
		sx_section_say(j, "These files hold no losses of single windows, so this "
				  "difference has no interval.");
}

/* ---- no such model: the best method of all ---- */

static void conclude_alone(sx_section_job *j, const sx_extension *e)
{
	const sx_extension_row *r = sx_extension_best(e, NULL, "", false);
	char name[128];
	if (!r) {
		sx_section_say(j,
			       "*Beyond the trained length* no temperature was chosen on problems "
			       "set apart (`eval --choose`), so methods are not compared.");
		return;
	}
	int last = r->n_length - 1;
	const sx_interval *v = &r->rate[last];
	name_row(e, r, name, sizeof name);
	sx_section_say(j,
		       "*Beyond the trained length*: at %lld tokens %s, which did best on the "
		       "problems set apart, retrieves %s of the needles, %s.",
		       (long long)r->length[last], name, sx_words_interval(2, *v).s,
		       !isfinite(v->lo) || !isfinite(r->chance_window[last])
			       ? "and the level of chance is undefined"
		       : v->lo > r->chance_window[last] ? "more than by chance"
							: "which chance could do as well");
}

/* ---- table ---- */

static void columns(sx_report_table *t, const sx_extension *e)
{
	const sx_extension_row *r = &e->row[0];
	char name[48], heading[64], what[128];
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_text(t, "method", "Method", "positional method");
	sx_report_col_real(t, "c", "c", "1", "logits times 1 + c ln(length / trained length)",
			   "%.1f");
	sx_report_col_text(t, "chosen", "Chosen for",
			   "what c was chosen for, on problems and windows set apart");
	for (int k = 0; k < r->n_length; k++) {
		snprintf(name, sizeof name, "retrieved_%lld", (long long)r->length[k]);
		snprintf(heading, sizeof heading, "Retrieved, %lld", (long long)r->length[k]);
		snprintf(what, sizeof what, "needles retrieved at length %lld",
			 (long long)r->length[k]);
		sx_report_col_interval(t, name, heading, "1", what, "%.2f");
	}
	for (int k = 0; k < r->n_length; k++) {
		snprintf(name, sizeof name, "text_%lld", (long long)r->length[k]);
		snprintf(heading, sizeof heading, "Text, %lld", (long long)r->length[k]);
		snprintf(what, sizeof what, "loss on filler over the last half of length %lld",
			 (long long)r->length[k]);
		sx_report_col_real(t, name, heading, "nat", what, "%.2f");
	}
}

static void rows(sx_report_table *t, const sx_extension *e)
{
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		if (r->n_length != e->row[0].n_length) continue;
		sx_report_cell_text(t, r->label);
		sx_report_cell_text(t, r->method);
		sx_report_cell_real(t, r->c);
		sx_report_cell_text(t, r->chosen && r->chosen_text ? "both"
				       : r->chosen                 ? "needles"
				       : r->chosen_text            ? "text"
								   : "");
		for (int k = 0; k < r->n_length; k++)
			sx_report_cell_interval(t, r->rate[k].value, r->rate[k].lo, r->rate[k].hi);
		for (int k = 0; k < r->n_length; k++) sx_report_cell_real(t, r->text_nll_last[k]);
	}
}

static sx_status read_extension(sx_extension **out, sx_section_job *j, const int *at, int n)
{
	sx_status st = SX_OK;
	sx_run_file **file = sx_calloc((size_t)n, sizeof *file);
	const char **label = sx_calloc((size_t)n, sizeof *label);
	if (!file || !label) SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for the evaluations"));
	for (int i = 0; i < n; i++) {
		file[i] = j->item[at[i]].file;
		label[i] = j->item[at[i]].label;
	}
	SX_TRY(sx_extension_read(out, j->ctx, file, label, n, NULL));
out:
	free(file);
	free(label);
	return st;
}

static const sx_section_item *dropped_run(const sx_section_job *j)
{
	for (int i = 0; i < j->n; i++)
		if (j->item[i].kind == SX_ITEM_RUN && j->item[i].drops && j->item[i].nope)
			return &j->item[i];
	return NULL;
}

static sx_status say_all(sx_section_job *j, const sx_extension *e)
{
	const sx_extension_row *r = &e->row[0];
	const sx_section_item *dropped = dropped_run(j);
	comparison c = {0};
	sx_status st = dropped ? compare(&c, j, e, dropped->label) : SX_OK;
	if (st != SX_OK) return st;
	bool both = c.a && c.b && c.a->n_length == c.b->n_length;
	if (both) {
		conclude(j, e, &c);
		say_needles(j, e, &c);
		say_text(j, e, &c);
	} else {
		conclude_alone(j, e);
	}
	if (!sx_extension_best(e, NULL, "", false)) return SX_OK;
	sx_section_say(j,
		       "One rule for every method: for the needles it has the c with most hits on "
		       "problems set apart, for the text that with the least loss on %s, both over "
		       "all lengths beyond the trained one; the best of the others was picked by "
		       "the same numbers. Needles retrieved at %lld tokens, of %lld (a guess among "
		       "the values that stand in the window is right in %s of them):",
		       e->text_apart ? "windows set apart"
				     : "the reported windows themselves (none were set apart)",
		       (long long)r->length[r->n_length - 1], (long long)r->trials[r->n_length - 1],
		       sx_words_f(2, r->chance_window[r->n_length - 1]).s);
	say_labels(j, e);
	return SX_OK;
}

sx_status sx_section_extension(sx_section_job *j)
{
	sx_status st = SX_OK;
	sx_extension *e = NULL;
	int at[MOST], n = sx_section_find(j, at, MOST, is_extension);
	if (!n) return SX_OK;
	SX_TRY(read_extension(&e, j, at, n));
	sx_report_section(j->report, "Beyond the trained length");
	SX_TRY(sx_section_draw(
		j, "context", "context",
		"Perplexity of the text, and needles retrieved with Wilson's 95 % interval, by "
		"context length. Each method has the c chosen on other problems, for the text "
		"another one where the key says so. Dotted: chance. Of runs that kept their "
		"positions after the drop the one method that did best on those problems; the "
		"others are in the table.",
		at, n, NULL));
	sx_report_table *t = sx_report_table_add(
		j->report, "extension", "extension",
		"Every method with the same temperatures. Hits of all seeds together, Wilson's 95 "
		"% interval; the interval is over problems and knows nothing of other seeds of "
		"training. Chosen for: the c with most hits on problems set apart (needles), with "
		"the least loss on windows set apart (text), over all lengths beyond the trained "
		"one. Text: loss on filler over the last half of the window, mean over seeds. A "
		"method as it is shipped has no c.");
	columns(t, e);
	rows(t, e);
	SX_TRY(say_all(j, e));
out:
	sx_extension_free(e);
	return st;
}

/* Beyond the trained length: every method with the same temperatures. */
#include "analysis/extension.h"
#include "cli/report_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

static bool is_extension(const sx_report_item *i)
{
	return i->kind == SX_STUDY_EVAL && i->file &&
	       sx_run_has(i->file, SX_RUN_EXTENSION_NIAH_HITS);
}

/* A model that does not retrieve at the trained length says nothing about longer ones. */
static const double learned = 0.8;

static int trained_column(const sx_extension_row *r)
{
	for (int k = 0; k < r->n_length; k++)
		if (r->length[k] == r->trained_length) return k;
	return -1;
}

/* "yarn, c = 0.2"; with the label before it where asked for. */
static void name_row(const sx_extension_row *r, bool label, char *out, size_t size)
{
	int n = snprintf(out, size, "%s%s%s", label ? r->label : "", label ? " " : "", r->method);
	if (!isnan(r->c) && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n, ", c = %g", r->c);
}

static bool counts(const sx_extension_row *r)
{
	return r->chosen && r->trials[r->n_length - 1] > 0;
}

/* One sentence for a label: its methods at the longest length. */
static void say_label(sx_report_job *j, const sx_extension *e, int first)
{
	char list[1024] = "", name[128];
	size_t used = 0;
	const char *label = e->row[first].label;
	for (int i = first; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		if (strcmp(r->label, label) != 0 || !counts(r)) continue;
		const sx_interval *v = &r->rate[r->n_length - 1];
		name_row(r, false, name, sizeof name);
		int w = snprintf(list + used, sizeof list - used, "%s%s: %.2f [%.2f, %.2f]",
				 used ? "; " : "", name, v->value, v->lo, v->hi);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	if (used) sx_report_say(j, "%s, %s.", label, list);
}

static void say_extension(sx_report_job *j, const sx_extension *e)
{
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		bool first = true;
		for (int k = 0; k < i; k++) first = first && strcmp(e->row[k].label, r->label) != 0;
		if (!first) continue;
		int one = trained_column(r);
		if (one >= 0 && r->rate[one].value < learned)
			sx_report_say(j,
				      "%s was not learned: %.2f of the needles at the trained "
				      "length.",
				      r->label, r->rate[one].value);
		else
			say_label(j, e, i);
	}
}

/* The row with the largest rate (or least text loss) at the longest length, of this label or, where
 * NULL, of all others than `but`. */
static const sx_extension_row *best(const sx_extension *e, const char *label, const char *but,
				    bool text)
{
	const sx_extension_row *found = NULL;
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		int last = r->n_length - 1;
		if (!counts(r) || (label && strcmp(r->label, label) != 0) ||
		    (but && strcmp(r->label, but) == 0))
			continue;
		double v = text ? -r->text_nll_last[last] : r->rate[last].value;
		double w = !found ? -HUGE_VAL
			   : text ? -found->text_nll_last[last]
				  : found->rate[last].value;
		if (v > w) found = r;
	}
	return found;
}

/* The model that lost its positions against the best of the others. */
static void say_comparison(sx_report_job *j, const sx_extension *e, const char *dropped)
{
	const sx_extension_row *a = best(e, dropped, NULL, false),
			       *b = best(e, NULL, dropped, false);
	char name[128], other[128];
	if (!a || !b) return;
	const sx_interval *x = &a->rate[a->n_length - 1], *y = &b->rate[b->n_length - 1];
	name_row(a, true, name, sizeof name);
	name_row(b, true, other, sizeof other);
	if (x->lo > y->hi || y->lo > x->hi)
		sx_report_say(j,
			      "The intervals of %s and of the best of the others (%s) are apart.",
			      name, other);
	else
		sx_report_say(j,
			      "These problems do not tell %s from the best of the others (%s): "
			      "their intervals overlap.",
			      name, other);
	a = best(e, dropped, NULL, true), b = best(e, NULL, dropped, true);
	if (!a || !b) return;
	name_row(a, true, name, sizeof name);
	name_row(b, true, other, sizeof other);
	sx_report_say(j,
		      "Loss on the text itself over the last half there: %s %.2f nats, %s, the "
		      "best of the others, %.2f.",
		      name, a->text_nll_last[a->n_length - 1], other,
		      b->text_nll_last[b->n_length - 1]);
}

static void columns(sx_report_table *t, const sx_extension *e)
{
	const sx_extension_row *r = &e->row[0];
	char name[48], heading[64], what[128];
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_text(t, "method", "Method", "positional method");
	sx_report_col_real(t, "c", "c", "1", "logits times 1 + c ln(length / trained length)",
			   "%.1f");
	sx_report_col_text(t, "chosen", "Chosen", "c chosen on the problems set apart");
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
		sx_report_cell_text(t, r->chosen ? "yes" : "");
		for (int k = 0; k < r->n_length; k++)
			sx_report_cell_interval(t, r->rate[k].value, r->rate[k].lo, r->rate[k].hi);
		for (int k = 0; k < r->n_length; k++) sx_report_cell_real(t, r->text_nll_last[k]);
	}
}

static sx_status read_extension(sx_extension **out, sx_report_job *j, const int *at, int n)
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

/* Twelve curves cannot be told apart: the figure does without the runs that keep their positions. */
static int without_controls(const sx_report_job *j, const int *at, int n, int *out)
{
	int kept = 0;
	for (int i = 0; i < n; i++) {
		bool control = false;
		for (int k = 0; k < j->n; k++)
			control = control || (j->item[k].kind == SX_STUDY_RUN && j->item[k].drops &&
					      !j->item[k].nope &&
					      strcmp(j->item[k].label, j->item[at[i]].label) == 0);
		if (!control) out[kept++] = at[i];
	}
	if (!kept) memcpy(out, at, (size_t)n * sizeof *at);
	return kept ? kept : n;
}

sx_status sx_report_extension(sx_report_job *j)
{
	sx_status st = SX_OK;
	sx_extension *e = NULL;
	int at[MOST], some[MOST], n = sx_report_find(j, at, MOST, is_extension);
	if (!n) return SX_OK;
	SX_TRY(read_extension(&e, j, at, n));
	const sx_extension_row *r = &e->row[0];
	int last = r->n_length - 1;
	sx_report_section(j->report, "Beyond the trained length");
	int shown = without_controls(j, at, n, some);
	SX_TRY(sx_report_draw(
		j, "context", "context",
		"Needles retrieved, with Wilson's 95 % interval, and perplexity of the text, by "
		"context length; each method at the temperature chosen on other problems. "
		"Dotted: chance. Runs that kept their positions after the drop are in the table "
		"alone.",
		some, shown, NULL));
	sx_report_table *t = sx_report_table_add(
		j->report, "extension", "extension",
		"Every method with the same temperatures. Hits of all seeds together, Wilson's 95 "
		"% "
		"interval; the interval is over problems and knows nothing of other seeds of "
		"training. The row marked chosen has the c with most hits beyond the trained "
		"length "
		"on problems set apart. Text: loss on filler over the last half of the window, "
		"mean "
		"over seeds. A method as it is shipped has no c.");
	columns(t, e);
	rows(t, e);
	sx_report_say(
		j,
		"*Beyond the trained length* (%lld, %.3gx): needles retrieved of %lld, chance "
		"%.2f for a value of the window; for every method the temperature was chosen "
		"on other problems.",
		(long long)r->length[last],
		(double)r->length[last] / (double)(r->trained_length ? r->trained_length : 1),
		(long long)r->trials[last], r->chance_window[last]);
	say_extension(j, e);
	for (int i = 0; i < j->n; i++)
		if (j->item[i].kind == SX_STUDY_RUN && j->item[i].drops && j->item[i].nope) {
			say_comparison(j, e, j->item[i].label);
			break;
		}
out:
	sx_extension_free(e);
	return st;
}

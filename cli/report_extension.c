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

static void name_row(const sx_extension_row *r, char *out, size_t size)
{
	if (isnan(r->c))
		snprintf(out, size, "%s %s", r->label, r->method);
	else
		snprintf(out, size, "%s %s, c = %g", r->label, r->method, r->c);
}

static void say_extension(sx_report_job *j, const sx_extension *e)
{
	char name[128];
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		int one = trained_column(r), last = r->n_length - 1;
		if (one >= 0 && r->rate[one].value < learned &&
		    (i == 0 || strcmp(e->row[i - 1].label, r->label) != 0)) {
			sx_report_say(j,
				      "%s was not learned: %.2f of the needles at the trained "
				      "length.",
				      r->label, r->rate[one].value);
			continue;
		}
		if (!r->chosen || !r->trials[last]) continue;
		name_row(r, name, sizeof name);
		sx_report_say(j, "%s: %.2f [%.2f, %.2f].", name, r->rate[last].value,
			      r->rate[last].lo, r->rate[last].hi);
	}
}

static void say_text(sx_report_job *j, const sx_extension *e)
{
	const sx_extension_row *best = NULL, *drop = NULL;
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		double v = r->text_nll_last[r->n_length - 1];
		if (!r->chosen || isnan(v)) continue;
		if (!best || v < best->text_nll_last[best->n_length - 1]) best = r;
		if (strcmp(r->label, "DroPE") == 0 &&
		    (!drop || v < drop->text_nll_last[drop->n_length - 1]))
			drop = r;
	}
	if (!best) return;
	char name[128];
	name_row(best, name, sizeof name);
	sx_report_say(j,
		      "The text itself is predicted best there by %s: %.2f nats over the last "
		      "half%s",
		      name, best->text_nll_last[best->n_length - 1],
		      drop && drop != best ? ";" : ".");
	if (!drop || drop == best) return;
	name_row(drop, name, sizeof name);
	sx_report_say(j, "%s has %.2f.", name, drop->text_nll_last[drop->n_length - 1]);
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

sx_status sx_report_extension(sx_report_job *j)
{
	sx_status st = SX_OK;
	sx_extension *e = NULL;
	int at[MOST], n = sx_report_find(j, at, MOST, is_extension);
	if (!n) return SX_OK;
	SX_TRY(read_extension(&e, j, at, n));
	const sx_extension_row *r = &e->row[0];
	int last = r->n_length - 1;
	sx_report_section(j->report, "Beyond the trained length");
	SX_TRY(sx_report_draw(
		j, "context", "context",
		"Needles retrieved, with Wilson's 95 % interval, and perplexity of the "
		"text, by context length; each method at the temperature chosen on "
		"other problems. Dotted: chance.",
		at, n, NULL));
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
	say_text(j, e);
out:
	sx_extension_free(e);
	return st;
}

/* Training curves, and the loss on held-out windows with differences window by window. */
#include "analysis/extension.h"
#include "cli/report_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

static bool is_trained_run(const sx_report_item *i)
{
	return i->kind == SX_STUDY_RUN && i->file && !i->untrained;
}

static bool has_windows(const sx_report_item *i)
{
	return i->kind == SX_STUDY_EVAL && i->file && sx_run_has(i->file, SX_RUN_EVAL_WINDOW_NLL);
}

/* What one file says at its first length. */
typedef struct {
	int64_t length, windows, step;
	double nll, text;
	int64_t hits, trials;
} losses;

static sx_status read_first(sx_run_file *f, sx_run_id id, double *out)
{
	double *x = NULL;
	int64_t n = 0;
	*out = (double)NAN;
	if (!sx_run_has(f, id)) return SX_OK;
	sx_status st = sx_run_read_all(f, id, &x, &n);
	if (st == SX_OK && n > 0) *out = x[0];
	free(x);
	return st;
}

static sx_status read_losses(losses *l, sx_run_file *f)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim = 0;
	double length = 0, hits = 0, trials = 0, step = 0;
	SX_TRY(sx_run_shape(f, SX_RUN_EVAL_WINDOW_NLL, dims, &ndim));
	SX_TRY(read_first(f, SX_RUN_EVAL_CONTEXT_LENGTH, &length));
	SX_TRY(read_first(f, SX_RUN_EVAL_STEP, &step));
	SX_TRY(read_first(f, SX_RUN_EVAL_NLL, &l->nll));
	SX_TRY(read_first(f, SX_RUN_EVAL_TEXT_NLL, &l->text));
	SX_TRY(read_first(f, SX_RUN_EVAL_QUERY_HITS, &hits));
	SX_TRY(read_first(f, SX_RUN_EVAL_QUERY_TRIALS, &trials));
	l->length = (int64_t)length, l->windows = dims[2], l->step = (int64_t)step;
	l->trials = trials > 0 ? (int64_t)trials : 0;
	l->hits = l->trials ? (int64_t)hits : 0;
out:
	return st;
}

/* The run that goes on with its positions for as long: a study's or a user's label says so. */
static bool is_control(const char *label)
{
	return strstr(label, "control") != NULL;
}

/* Of a run that loses its positions at the drop. */
static bool of_dropped(const sx_report_job *j, const sx_report_item *item)
{
	for (int i = 0; i < j->n; i++)
		if (j->item[i].kind == SX_STUDY_RUN && j->item[i].drops && j->item[i].nope &&
		    strcmp(j->item[i].label, item->label) == 0)
			return true;
	return false;
}

/* The item of this seed with this label; -1 if there is none. */
static int with_label(const sx_report_job *j, const int *at, int n, const char *label, int64_t seed)
{
	for (int i = 0; i < n; i++)
		if (j->item[at[i]].seed == seed && strcmp(j->item[at[i]].label, label) == 0)
			return at[i];
	return -1;
}

static sx_status difference_cell(sx_report_job *j, sx_report_table *t, int a, int b, int64_t length,
				 sx_interval *out)
{
	sx_loss_difference d = {.difference = {(double)NAN, (double)NAN, (double)NAN}};
	sx_status st = a < 0 || b < 0 || a == b ? SX_OK
						: sx_loss_compare(&d, j->ctx, j->item[a].file,
								  j->item[b].file, length, j->seed);
	if (st == SX_OK)
		sx_report_cell_interval(t, d.difference.value, d.difference.lo, d.difference.hi);
	*out = d.difference;
	return st;
}

static void say_losses(sx_report_job *j, const int *at, int n, const losses *l)
{
	char list[1024] = "";
	size_t used = 0;
	for (int i = 0; i < n; i++) {
		if (with_label(j, at, i, j->item[at[i]].label, j->item[at[0]].seed) >= 0) continue;
		double sum = 0, least = HUGE_VAL, most = -HUGE_VAL;
		int seeds = 0;
		for (int k = 0; k < n; k++) {
			if (strcmp(j->item[at[k]].label, j->item[at[i]].label) != 0) continue;
			sum += l[k].nll, seeds++;
			least = fmin(least, l[k].nll), most = fmax(most, l[k].nll);
		}
		int w = snprintf(list + used, sizeof list - used, "%s%s %.3f", used ? "; " : "",
				 j->item[at[i]].label, sum / seeds);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
		if (seeds < 2) continue;
		w = snprintf(list + used, sizeof list - used, " (%.3f to %.3f)", least, most);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	int seeds = sx_report_seeds(j, at, n);
	sx_report_say(j, "*Loss* on %lld held-out windows at length %lld, nats per token%s: %s.",
		      (long long)l[0].windows, (long long)l[0].length,
		      seeds > 1 ? ", mean over seeds (smallest to largest)" : "", list);
}

/* "DroPE less RoPE +0.056 [0.050, 0.062]". */
static void say_difference(sx_report_job *j, const sx_report_item *a, const char *b, sx_interval d)
{
	if (isnan(d.value)) return;
	const char *reading = d.lo > 0 ? "" : d.hi < 0 ? "" : ", which does not exclude 0";
	char name[128];
	sx_report_name(j, a, name, sizeof name);
	sx_report_say(j, "%s less %s, window by window: %+.3f [%+.3f, %+.3f]%s.", name, b, d.value,
		      d.lo, d.hi, reading);
}

static sx_status loss_table(sx_report_job *j, const int *at, int n)
{
	sx_status st = SX_OK;
	losses *l = sx_calloc((size_t)n, sizeof *l);
	if (!l) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the losses");
	for (int i = 0; i < n; i++) SX_TRY(read_losses(&l[i], j->item[at[i]].file));
	say_losses(j, at, n, l);
	const char *first = j->item[at[0]].label;
	const char *control = NULL;
	for (int i = 0; i < n; i++)
		if (is_control(j->item[at[i]].label)) control = j->item[at[i]].label;
	sx_report_table *t = sx_report_table_add(
		j->report, "loss", "loss",
		"Loss on the same held-out windows, nats per token. Differences are means over "
		"windows with 95 % bootstrap intervals over them; text is the loss on filler "
		"alone, "
		"retrieval the share of repeated items whose value is the arg max (Wilson).");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "step", "Updates", "1", "updates applied");
	sx_report_col_real(t, "nll", "Loss", "nat", "mean loss per token", "%.4f");
	sx_report_col_interval(t, "less_first", "Less the first", "nat",
			       "difference to the first model of the same seed", "%+.4f");
	if (control)
		sx_report_col_interval(t, "less_control", "Less the control", "nat",
				       "difference to the control of the same seed", "%+.4f");
	sx_report_col_real(t, "text_nll", "Text", "nat", "mean loss on filler", "%.4f");
	sx_report_col_interval(t, "retrieval", "Retrieval", "1",
			       "repeated items whose value is the arg max", "%.3f");
	for (int i = 0; i < n; i++) {
		const sx_report_item *item = &j->item[at[i]];
		sx_interval d;
		sx_report_cell_text(t, item->label);
		sx_report_cell_int(t, item->seed);
		sx_report_cell_int(t, l[i].step);
		sx_report_cell_real(t, l[i].nll);
		SX_TRY(difference_cell(j, t, at[i], with_label(j, at, n, first, item->seed),
				       l[i].length, &d));
		if (of_dropped(j, item)) say_difference(j, item, first, d);
		if (control) {
			SX_TRY(difference_cell(j, t, at[i],
					       with_label(j, at, n, control, item->seed),
					       l[i].length, &d));
			if (of_dropped(j, item)) say_difference(j, item, control, d);
		}
		sx_report_cell_real(t, l[i].text);
		sx_interval retrieval = sx_wilson(l[i].hits, l[i].trials);
		sx_report_cell_interval(t, retrieval.value, retrieval.lo, retrieval.hi);
	}
out:
	free(l);
	return st;
}

sx_status sx_report_losses(sx_report_job *j)
{
	sx_status st = SX_OK;
	int run[MOST], eval[MOST];
	int n_run = sx_report_find(j, run, MOST, is_trained_run);
	int n_eval = sx_report_find(j, eval, MOST, has_windows);
	if (n_run + n_eval == 0) return SX_OK;
	sx_report_section(j->report, "Training");
	if (n_run) {
		SX_TRY(sx_report_draw(
			j, "loss", "loss",
			"Training loss against tokens seen, a line for every run; the drop is "
			"marked, and what follows it is drawn again on a logarithmic axis.",
			run, n_run, NULL));
	}
	if (n_eval) SX_TRY(loss_table(j, eval, n_eval));
out:
	return st;
}

/* Training curves, and the loss on held-out windows with differences window by window. */
#include "analysis/extension.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

static bool is_trained_run(const sx_section_item *i)
{
	return i->kind == SX_ITEM_RUN && i->file && !i->untrained;
}

static bool has_windows(const sx_section_item *i)
{
	return i->kind == SX_ITEM_EVAL && i->file && sx_run_has(i->file, SX_RUN_EVAL_WINDOW_NLL);
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
static bool of_dropped(const sx_section_job *j, const sx_section_item *item)
{
	for (int i = 0; i < j->n; i++)
		if (j->item[i].kind == SX_ITEM_RUN && j->item[i].drops && j->item[i].nope &&
		    strcmp(j->item[i].label, item->label) == 0)
			return true;
	return false;
}

/* The item of this seed with this label; -1 if there is none. */
static int with_label(const sx_section_job *j, const int *at, int n, const char *label,
		      int64_t seed)
{
	for (int i = 0; i < n; i++)
		if (j->item[at[i]].seed == seed && strcmp(j->item[at[i]].label, label) == 0)
			return at[i];
	return -1;
}

/* Of item a minus item b, window by window; NaN where there are not both. */
static sx_status difference(sx_interval *out, sx_section_job *j, int a, int b, int64_t length)
{
	sx_loss_difference d = {.difference = {(double)NAN, (double)NAN, (double)NAN}};
	sx_status st = a < 0 || b < 0 || a == b ? SX_OK
						: sx_loss_compare(&d, j->ctx, j->item[a].file,
								  j->item[b].file, length, j->seed);
	*out = d.difference;
	return st;
}

static void say_losses(sx_section_job *j, const int *at, int n, const losses *l)
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
		int w = snprintf(list + used, sizeof list - used, "%s%s %s", used ? "; " : "",
				 j->item[at[i]].label, sx_words_f(3, sum / seeds).s);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
		if (seeds < 2 || !isfinite(sum)) continue;
		w = snprintf(list + used, sizeof list - used, " (%s to %s)", sx_words_f(3, least).s,
			     sx_words_f(3, most).s);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	int seeds = sx_section_seeds(j, at, n);
	sx_section_say(j, "On %lld held-out windows of %lld tokens, nats per token%s: %s.",
		       (long long)l[0].windows, (long long)l[0].length,
		       seeds > 1 ? ", mean over seeds (smallest to largest)" : "", list);
}

/* Losses and differences of all items (n). */
typedef struct {
	const int *at;
	int n;
	losses *loss;
	const char *first, *control; /* labels; control NULL where there is none          */
	sx_interval *to_first, *to_control;
} numbers;

/* "a higher loss than RoPE (2 of 2 seeds)", from the intervals of the seeds; false without any. */
static bool put_verdict(char *out, size_t size, const sx_section_job *j, const numbers *x,
			const char *label, const char *other, const sx_interval *d)
{
	int higher = 0, lower = 0, seeds = 0;
	for (int i = 0; i < x->n; i++) {
		if (strcmp(j->item[x->at[i]].label, label) != 0 || isnan(d[i].value)) continue;
		seeds++;
		higher += sx_section_sign(d[i]) > 0;
		lower += sx_section_sign(d[i]) < 0;
	}
	if (higher == seeds || lower == seeds)
		snprintf(out, size, "a %s loss than %s (%d of %d seed%s)",
			 higher ? "higher" : "lower", other, seeds, seeds, seeds == 1 ? "" : "s");
	else
		snprintf(out, size,
			 "a loss that these windows do not tell from that of %s (higher in %d, "
			 "lower in %d, neither in %d seeds)",
			 other, higher, lower, seeds - higher - lower);
	return seeds > 0;
}

/* What follows: of every run that lost its positions; without any, which model has the least loss. */
static void conclude(sx_section_job *j, const numbers *x)
{
	char first[256], control[256];
	bool said = false;
	for (int i = 0; i < x->n; i++) {
		const sx_section_item *item = &j->item[x->at[i]];
		bool seen = false;
		for (int k = 0; k < i; k++)
			seen = seen || strcmp(j->item[x->at[k]].label, item->label) == 0;
		if (seen || !of_dropped(j, item)) continue;
		bool a = put_verdict(first, sizeof first, j, x, item->label, x->first, x->to_first);
		bool b = x->control && put_verdict(control, sizeof control, j, x, item->label,
						   x->control, x->to_control);
		if (!a && !b) continue;
		sx_section_say(j, "%s%s at the trained length has %s%s%s.",
			       said ? "" : "*Loss*: ", item->label, a ? first : control,
			       a && b ? ", and " : "", a && b ? control : "");
		said = true;
	}
	if (said) return;
	int best = -1;
	for (int i = 0; i < x->n; i++)
		if (isfinite(x->loss[i].nll) && (best < 0 || x->loss[i].nll < x->loss[best].nll))
			best = i;
	if (best < 0)
		sx_section_say(j, "*Loss*: undefined: that of no model is a number.");
	else
		sx_section_say(j, "*Loss*: %s reaches %s%s nats per token on held-out windows.",
			       j->item[x->at[best]].label, x->n > 1 ? "the least here, " : "",
			       sx_words_f(3, x->loss[best].nll).s);
}

/* "DroPE minus RoPE, window by window: seed 1 +0.056 [0.050, 0.062], seed 2 .." */
static void say_differences(sx_section_job *j, const numbers *x, const char *label,
			    const char *other, const sx_interval *d)
{
	char list[512] = "";
	size_t used = 0;
	for (int i = 0; i < x->n; i++) {
		if (strcmp(j->item[x->at[i]].label, label) != 0 || isnan(d[i].value)) continue;
		int w = snprintf(list + used, sizeof list - used, "%sseed %lld %s",
				 used ? ", " : "", (long long)j->item[x->at[i]].seed,
				 sx_words_interval_plus(3, d[i]).s);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	if (used) sx_section_say(j, "%s minus %s, window by window: %s.", label, other, list);
}

static void add_columns(sx_report_table *t, const numbers *x)
{
	char heading[128];
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "step", "Updates", "1", "updates applied");
	sx_report_col_real(t, "nll", "Loss", "nat", "mean loss per token", "%.4f");
	snprintf(heading, sizeof heading, "Minus %.80s's", x->first);
	sx_report_col_interval(t, "less_first", heading, "nat",
			       "loss minus that of the first model of the same seed", "%+.4f");
	if (x->control) {
		snprintf(heading, sizeof heading, "Minus %.80s's", x->control);
		sx_report_col_interval(t, "less_control", heading, "nat",
				       "loss minus that of the control of the same seed", "%+.4f");
	}
	sx_report_col_real(t, "text_nll", "Text", "nat", "mean loss on filler", "%.4f");
	sx_report_col_interval(t, "retrieval", "Retrieval", "1",
			       "repeated items whose value is the arg max", "%.3f");
}

static void add_rows(const sx_section_job *j, sx_report_table *t, const numbers *x)
{
	for (int i = 0; i < x->n; i++) {
		const losses *l = &x->loss[i];
		const sx_interval *a = &x->to_first[i], *b = &x->to_control[i];
		sx_interval retrieval = sx_wilson(l->hits, l->trials);
		sx_report_cell_text(t, j->item[x->at[i]].label);
		sx_report_cell_int(t, j->item[x->at[i]].seed);
		sx_report_cell_int(t, l->step);
		sx_report_cell_real(t, l->nll);
		sx_report_cell_interval(t, a->value, a->lo, a->hi);
		if (x->control) sx_report_cell_interval(t, b->value, b->lo, b->hi);
		sx_report_cell_real(t, l->text);
		sx_report_cell_interval(t, retrieval.value, retrieval.lo, retrieval.hi);
	}
}

static sx_status read_numbers(numbers *x, sx_section_job *j)
{
	sx_status st = SX_OK;
	x->first = j->item[x->at[0]].label;
	for (int i = 0; i < x->n; i++) {
		SX_TRY(read_losses(&x->loss[i], j->item[x->at[i]].file));
		if (is_control(j->item[x->at[i]].label)) x->control = j->item[x->at[i]].label;
	}
	for (int i = 0; i < x->n; i++) {
		int64_t seed = j->item[x->at[i]].seed, length = x->loss[i].length;
		SX_TRY(difference(&x->to_first[i], j, x->at[i],
				  with_label(j, x->at, x->n, x->first, seed), length));
		if (x->control)
			SX_TRY(difference(&x->to_control[i], j, x->at[i],
					  with_label(j, x->at, x->n, x->control, seed), length));
	}
out:
	return st;
}

static sx_status loss_table(sx_section_job *j, const int *at, int n)
{
	sx_status st = SX_OK;
	numbers x = {.at = at,
		     .n = n,
		     .loss = sx_calloc((size_t)n, sizeof *x.loss),
		     .to_first = sx_calloc((size_t)n, sizeof *x.to_first),
		     .to_control = sx_calloc((size_t)n, sizeof *x.to_control)};
	if (!x.loss || !x.to_first || !x.to_control)
		SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for the losses"));
	SX_TRY(read_numbers(&x, j));
	conclude(j, &x);
	say_losses(j, at, n, x.loss);
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		if (!of_dropped(j, item) ||
		    with_label(j, at, i, item->label, j->item[at[0]].seed) >= 0)
			continue;
		say_differences(j, &x, item->label, x.first, x.to_first);
		if (x.control) say_differences(j, &x, item->label, x.control, x.to_control);
	}
	sx_report_table *t = sx_report_table_add(
		j->report, "loss", "loss",
		"Loss on the same held-out windows, nats per token. Differences are means over "
		"windows of this model's loss minus the other's (same seed, same windows), with "
		"95 % bootstrap intervals over windows; text is the loss on filler alone, "
		"retrieval the share of repeated items whose value is the arg max (Wilson).");
	add_columns(t, &x);
	add_rows(j, t, &x);
out:
	free(x.loss);
	free(x.to_first);
	free(x.to_control);
	return st;
}

sx_status sx_section_losses(sx_section_job *j)
{
	sx_status st = SX_OK;
	int run[MOST], eval[MOST];
	int n_run = sx_section_find(j, run, MOST, is_trained_run);
	int n_eval = sx_section_find(j, eval, MOST, has_windows);
	if (n_run + n_eval == 0) return SX_OK;
	sx_report_section(j->report, "Training");
	if (n_run) {
		SX_TRY(sx_section_draw(
			j, "loss", "loss",
			"Training loss against tokens seen, a line for every run; the drop is "
			"marked, and what follows it is drawn again on a logarithmic axis.",
			run, n_run, NULL));
	}
	if (n_eval) SX_TRY(loss_table(j, eval, n_eval));
out:
	return st;
}

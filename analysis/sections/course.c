/* Bounds through training: the same checks of several checkpoints of a run. */
#include "analysis/course.h"
#include "analysis/figure/figures.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, LEAST = 3 }; /* checkpoints that make a course */
static const char family[] = "diagonal";

static bool is_of_course(const sx_section_item *i)
{
	return i->kind == SX_ITEM_BOUNDS && i->file && sx_run_has(i->file, SX_RUN_AC_GRAD_BOUND);
}

static bool belong_together(const sx_section_item *a, const sx_section_item *b)
{
	return is_of_course(b) && a->seed == b->seed && strcmp(a->label, b->label) == 0 &&
	       strcmp(a->name, b->name) == 0;
}

bool sx_section_in_course(const sx_section_job *j, const sx_section_item *item)
{
	int n = 0;
	if (!is_of_course(item)) return false;
	for (int i = 0; i < j->n; i++) n += belong_together(item, &j->item[i]);
	return n >= LEAST;
}

/* One run's course, as the figure takes it; arrays of MOST. */
typedef struct {
	double step[MOST], value[MOST], value_bound[MOST], grad[MOST], grad_bound[MOST],
		spread[MOST];
	double tightest; /* largest ratio of a head to its bound, of A_c and its gradient */
	bool undefined;  /* A_c, or that ratio, somewhere                                 */
	int64_t n;
} course;

static sx_status add_point(sx_section_job *j, sx_report_table *t, course *c,
			   const sx_section_item *item)
{
	sx_course m;
	sx_status st = sx_course_read(&m, j->ctx, item->file, family);
	if (st != SX_OK) return st;
	sx_report_cell_text(t, item->label);
	sx_report_cell_int(t, item->seed);
	sx_report_cell_int(t, m.step);
	sx_report_cell_text(t, m.phase ? "recalibration" : "pretraining");
	sx_report_cell_real(t, m.spread);
	sx_report_cell_real(t, m.value);
	sx_report_cell_real(t, m.value_bound);
	sx_report_cell_real(t, m.value_ratio);
	sx_report_cell_real(t, m.grad);
	sx_report_cell_real(t, m.grad_bound);
	sx_report_cell_real(t, m.grad_ratio);
	c->step[c->n] = (double)m.step;
	c->spread[c->n] = m.spread;
	c->value[c->n] = m.value;
	c->value_bound[c->n] = m.value_bound;
	c->grad[c->n] = m.grad;
	c->grad_bound[c->n] = m.grad_bound;
	c->undefined = c->undefined || !isfinite(m.value) || !isfinite(m.value_ratio);
	c->tightest = fmax(c->tightest, fmax(m.value_ratio, m.grad_ratio));
	c->n++;
	return SX_OK;
}

static sx_report_table *add_table(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(
		r, "course", "course",
		"Through training, diagonal: means over text sequences, layers and heads of the "
		"prefix spread, of |A_c| and its bound I9, of the gradient's norm by W_Q and its "
		"bound I10.spread; and the largest ratio of a head to its bound.");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "step", "Step", "1", "updates applied");
	sx_report_col_text(t, "phase", "Phase", "phase of the run");
	sx_report_col_real(t, "spread", "Spread", "1", "prefix spread of h", "%.3g");
	sx_report_col_real(t, "value", "|A_c|", "1", "mean of |A_c|", "%.3g");
	sx_report_col_real(t, "value_bound", "Bound", "1", "right side of I9", "%.3g");
	sx_report_col_real(t, "value_ratio", "Largest ratio", "1", "|A_c| over its bound", "%.3g");
	sx_report_col_real(t, "grad", "Norm by W_Q", "1", "norm of the gradient by W_Q", "%.3g");
	sx_report_col_real(t, "grad_bound", "Bound of it", "1", "right side of I10.spread", "%.3g");
	sx_report_col_real(t, "grad_ratio", "Largest ratio of it", "1", "norm over its bound",
			   "%.3g");
	return t;
}

static sx_fig_kind kind_of(const sx_section_item *i)
{
	if (strcmp(i->label, "DroPE") == 0) return SX_FIG_DROPE;
	return i->nope ? SX_FIG_NOPE : SX_FIG_ROPE;
}

/* The course that begins with item `first`: its rows and a sentence. */
static sx_status add_course(sx_section_job *j, sx_report_table *t, course *c, int first,
			    bool begins)
{
	const sx_section_item *item = &j->item[first];
	c->n = 0;
	c->tightest = (double)NAN;
	c->undefined = false;
	for (int k = first; k < j->n && c->n < MOST; k++) {
		if (!belong_together(item, &j->item[k])) continue;
		sx_status st = add_point(j, t, c, &j->item[k]);
		if (st != SX_OK) return st;
	}
	sx_section_say(
		j,
		"%s%s, seed %lld: A_c and its gradient %s (the largest ratio of a head is %s); "
		"means over heads: |A_c| from %s to %s, its bound from %s to %s, prefix "
		"spread from %s to %s.",
		begins ? "*Bounds through training* (diagonal). " : "", item->label,
		(long long)item->seed,
		c->undefined       ? "have no value or no bound at some checkpoint: what is there "
				     "is not a number"
		: c->tightest <= 1 ? "stay within their bounds at every checkpoint"
				   : "leave their bounds at some checkpoint",
		sx_words_g(2, c->tightest).s, sx_words_g(2, c->value[0]).s,
		sx_words_g(2, c->value[c->n - 1]).s, sx_words_g(2, c->value_bound[0]).s,
		sx_words_g(2, c->value_bound[c->n - 1]).s, sx_words_g(3, c->spread[0]).s,
		sx_words_g(3, c->spread[c->n - 1]).s);
	return SX_OK;
}

static bool begins_course(const sx_section_job *j, int i)
{
	if (!sx_section_in_course(j, &j->item[i])) return false;
	for (int k = 0; k < i; k++)
		if (belong_together(&j->item[i], &j->item[k])) return false;
	return true;
}

sx_status sx_section_course(sx_section_job *j)
{
	enum { RUNS = 16 };
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	sx_fig_course_data data[RUNS];
	char caption[400];
	int at[MOST], n = 0, drawn = 0;
	for (int i = 0; i < j->n && n < MOST; i++)
		if (begins_course(j, i)) at[n++] = i;
	if (!n) return SX_OK;
	course *c = sx_calloc(RUNS + 1, sizeof *c);
	if (!c) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the runs");
	sx_report_section(j->report, "Bounds through training");
	sx_report_table *t = add_table(j->report);
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		SX_TRY(add_course(j, t, &c[drawn], at[i], i == 0));
		if (item->seed != j->item[at[0]].seed || drawn == RUNS) continue;
		data[drawn] = (sx_fig_course_data){.label = item->label,
						   .kind = kind_of(item),
						   .n = c[drawn].n,
						   .step = c[drawn].step,
						   .value = c[drawn].value,
						   .value_bound = c[drawn].value_bound,
						   .grad = c[drawn].grad,
						   .grad_bound = c[drawn].grad_bound,
						   .spread = c[drawn].spread};
		drawn++;
	}
	SX_TRY(sx_fig_course(&f, j->ctx, sx_fig_style_find("neurips"), data, drawn, family));
	snprintf(
		caption, sizeof caption,
		"A_c (diagonal), its gradient by W_Q and the prefix spread through training, means "
		"over heads; dotted: their bounds, I9 and I10.spread.");
	if (sx_section_seeds(j, at, n) > 1)
		snprintf(caption + strlen(caption), sizeof caption - strlen(caption),
			 " Seed %lld, the first; the table has them all.",
			 (long long)j->item[at[0]].seed);
	sx_report_figure(j->report, f, "course", caption);
out:
	free(c);
	return st;
}

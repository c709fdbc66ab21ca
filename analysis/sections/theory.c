/* A_c's gradient at initialisation, and the theory's inequalities. */
#include "analysis/ac_grad.h"
#include "analysis/bounds.h"
#include "analysis/sections/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

/* ---- gradients ---- */

static bool is_untrained_trace(const sx_section_item *i)
{
	return i->kind == SX_ITEM_TRACE && i->file && i->untrained &&
	       sx_run_has(i->file, SX_RUN_AC_GRAD_NORM) && !sx_section_is_figure4(i) &&
	       !sx_section_is_constant(i) && !sx_section_is_update(i);
}

static void gradient_rows(sx_report_table *t, int64_t seed, const sx_ac_grad *g)
{
	for (int64_t l = 0; l < g->layers; l++) {
		sx_report_cell_text(t, g->family);
		sx_report_cell_int(t, seed);
		sx_report_cell_int(t, l);
		sx_report_cell_interval(t, g->a[l].value, g->a[l].lo, g->a[l].hi);
		sx_report_cell_interval(t, g->b[l].value, g->b[l].lo, g->b[l].hi);
		sx_report_cell_interval(t, g->ratio[l].value, g->ratio[l].lo, g->ratio[l].hi);
	}
}

/* A family's ratios in the first and the last layer, of one seed. */
typedef struct {
	const char *family;
	int64_t seed, layers;
	sx_interval first, last;
} ratio_ends;

/* Larger, smaller or neither, by all intervals. */
static void conclude_ratios(sx_section_job *j, const ratio_ends *r, int n)
{
	int above = 0, below = 0, steeper = 0, undefined = 0;
	double lo = HUGE_VAL, hi = -HUGE_VAL;
	for (int i = 0; i < n; i++) {
		above += r[i].last.lo > 1;
		below += r[i].last.hi < 1;
		steeper += r[i].last.lo > r[i].first.hi;
		undefined += !isfinite(r[i].first.value) || !isfinite(r[i].last.value);
		lo = fmin(lo, r[i].last.value);
		hi = fmax(hi, r[i].last.value);
	}
	const char *what = above == n   ? "makes the gradient of A_c larger"
			   : below == n ? "makes the gradient of A_c smaller"
					: "does not change the gradient of A_c in one direction";
	if (undefined)
		sx_section_say(
			j,
			"*At initialisation* what rotation does to the gradient of A_c is "
			"undefined in %d of %d families and seeds: a norm is not a number, or 0.",
			undefined, n);
	else
		sx_section_say(
			j,
			"*At initialisation*, with the same weights, rotation %s in the last layer "
			"(%s to %s times over families and seeds)%s.",
			what, sx_words_f(2, lo).s, sx_words_f(2, hi).s,
			steeper == n ? ", and more so than in the first" : "");
	for (int i = 0; i < n; i++)
		sx_section_say(j,
			       "%s, seed %lld: RoPE's norm over NoPE's is %s in layer 0, %s in "
			       "layer %lld.",
			       r[i].family, (long long)r[i].seed,
			       sx_words_interval(2, r[i].first).s,
			       sx_words_interval(2, r[i].last).s, (long long)(r[i].layers - 1));
}

sx_status sx_section_gradients(sx_section_job *j)
{
	static const char *const family[] = {"diagonal", "previous"};
	enum { FAMILIES = sizeof family / sizeof family[0] };
	sx_status st = SX_OK;
	int at[MOST], pair[MOST], n = sx_section_find(j, at, MOST, is_untrained_trace), pairs = 0;
	ratio_ends ends[MOST * FAMILIES];
	int n_ends = 0;
	for (int i = 0; i < n && 2 * pairs + 2 <= MOST; i++) {
		const sx_section_item *rope = &j->item[at[i]];
		for (int k = 0; k < n && !rope->nope; k++) {
			if (!j->item[at[k]].nope || j->item[at[k]].seed != rope->seed) continue;
			pair[2 * pairs] = at[i];
			pair[2 * pairs++ + 1] = at[k];
			break;
		}
	}
	if (!pairs) return SX_OK;
	sx_report_section(j->report, "The gradient of A_c at initialisation");
	SX_TRY(sx_section_draw(j, "ac-grad", "ac_grad",
			       "Norm of the gradient of A_c by a head's W_Q at initialisation, by "
			       "layer: the same weights with and without rotation. Mean over heads "
			       "and text sequences; bands: smallest and largest of the seeds, of a "
			       "single seed those of its heads. Figure 4 of the paper, in small.",
			       pair, 2 * pairs, NULL));
	sx_report_table *t = sx_report_table_add(j->report, "ac_grad", "ac_grad",
						 "Frobenius norm of dA_c/dW_Q of a head, mean over "
						 "heads, then over sequences; ratio: "
						 "RoPE's mean over NoPE's. 95 % bootstrap "
						 "intervals over sequences.");
	sx_report_col_text(t, "family", "c", "family of the weights");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the weights");
	sx_report_col_int(t, "layer", "Layer", "1", "layer");
	sx_report_col_interval(t, "rope", "RoPE", "1", "norm with rotation", "%.4f");
	sx_report_col_interval(t, "nope", "NoPE", "1", "norm without rotation", "%.4f");
	sx_report_col_interval(t, "ratio", "Ratio", "1", "ratio of the norms", "%.2f");
	for (int f = 0; f < FAMILIES; f++)
		for (int i = 0; i < pairs; i++) {
			const sx_section_item *rope = &j->item[pair[2 * i]];
			sx_ac_grad g;
			SX_TRY(sx_ac_grad_compare(&g, j->ctx, rope->file,
						  j->item[pair[2 * i + 1]].file, family[f], "wq",
						  j->seed));
			gradient_rows(t, rope->seed, &g);
			ends[n_ends++] = (ratio_ends){family[f], rope->seed, g.layers, g.ratio[0],
						      g.ratio[g.layers - 1]};
			sx_ac_grad_free(&g);
		}
	conclude_ratios(j, ends, n_ends);
out:
	return st;
}

/* ---- bounds ---- */

static bool is_bounds(const sx_section_item *i)
{
	return i->kind == SX_ITEM_BOUNDS && i->file && sx_run_has(i->file, SX_RUN_BOUNDS_LHS);
}

typedef struct {
	int64_t evaluated, violated, missing, paper_broken;
} totals;

static sx_status bounds_rows(sx_section_job *j, sx_report_table *t, const sx_section_item *item,
			     totals *sum)
{
	sx_status st = SX_OK;
	sx_bounds_record r = {0};
	sx_bounds_line *line = NULL;
	uint8_t *verdict = NULL;
	int64_t n = 0;
	SX_TRY(sx_bounds_read(&r, j->ctx, item->path));
	verdict = sx_calloc((size_t)(r.b.S * r.b.L * r.b.H * r.b.n), 1);
	if (!verdict) SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for verdicts"));
	sx_bounds_judge(verdict, &r.b);
	SX_TRY(sx_bounds_summary(&line, &n, j->ctx, &r.b, verdict, true));
	for (int64_t k = 0; k < n; k++) {
		const sx_bounds_line *l = &line[k];
		sum->evaluated += l->evaluated;
		sum->violated += l->violated;
		sum->missing += l->missing;
		sum->paper_broken += l->paper_broken;
		if (!l->violated && !l->missing && sx_section_in_course(j, item)) continue;
		sx_report_cell_text(t, item->label);
		sx_report_cell_text(t, item->name);
		sx_report_cell_int(t, item->seed);
		sx_report_cell_int(t, r.step);
		sx_report_cell_text(t, l->name);
		sx_report_cell_text(t, l->violated    ? "violated"
				       : l->missing   ? l->evaluated ? "undecided" : "not evaluated"
				       : l->evaluated ? "holds"
						      : sx_reason_name(l->reason));
		sx_report_cell_int(t, l->evaluated);
		sx_report_cell_int(t, l->violated);
		sx_report_cell_real(t, l->tightest);
		sx_report_cell_real(t, l->median);
		sx_report_cell_real(t, l->paper);
	}
out:
	free(line);
	free(verdict);
	sx_bounds_record_free(&r);
	return st;
}

/* The same layers and heads: what one figure can hold. */
static bool same_shape(const sx_section_item *a, const sx_section_item *b)
{
	int64_t x[SX_RUN_MAX_DIMS], y[SX_RUN_MAX_DIMS];
	int n = 0;
	return sx_run_shape(a->file, SX_RUN_BOUNDS_LHS, x, &n) == SX_OK &&
	       sx_run_shape(b->file, SX_RUN_BOUNDS_LHS, y, &n) == SX_OK && x[2] == y[2] &&
	       x[3] == y[3];
}

/* The figure leaves out what is 0 by construction and what does not apply: it may have nothing to
 * show, which the table tells, too. A file that cannot be read fails there. */
static sx_status draw_bounds(sx_section_job *j, const int *at, int n)
{
	sx_status st = sx_section_draw(j, "bounds", "bounds",
				       "Left side against right side of the theory's inequalities, "
				       "a point per head "
				       "and sequence of all seeds; below the diagonal they hold. "
				       "I10 and I11 are about models without rotation.",
				       at, n, NULL);
	if (st != SX_EDATA) return st;
	sx_log(j->ctx, SX_LOG_WARN, "no figure of the inequalities: %s", j->ctx->message);
	sx_section_say(j, "Of the inequalities there is no figure: %s.", j->ctx->message);
	return SX_OK;
}

sx_status sx_section_bounds(sx_section_job *j)
{
	sx_status st = SX_OK;
	int at[MOST], n = sx_section_find(j, at, MOST, is_bounds), first[MOST];
	totals sum = {0};
	int n_first = 0;
	if (!n) return SX_OK;
	for (int i = 0; i < n; i++) /* a course has a figure of its own */
		if (!sx_section_in_course(j, &j->item[at[i]]) &&
		    (!n_first || same_shape(&j->item[first[0]], &j->item[at[i]])))
			first[n_first++] = at[i];
	sx_report_section(j->report, "The theory's inequalities");
	if (n_first) SX_TRY(draw_bounds(j, first, n_first));
	sx_report_table *t = sx_report_table_add(
		j->report, "bounds", "bounds",
		"Every inequality and identity (docs/definitions.md), by updates applied (0: "
		"initial weights). Tightest and median: the ratio of the left to the right side "
		"with rounding's allowance, largest and median over sequences, layers and heads; "
		"of an identity its error over the allowance. Above 1 is violated; 1 is equality. "
		"I1, I8 and I12 are sharp, and a head's worst row comes near it: rows of two keys "
		"(I12 always, I8 with half the weight on each), nearly equal scores (I1). Paper: "
		"median of the printed right side over the corrected one. Of "
		"checkpoints through training only what is violated.");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_text(t, "check", "Check", "name of the check");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "step", "Updates", "1", "updates applied; 0 = initial weights");
	sx_report_col_text(t, "inequality", "Inequality", "name");
	sx_report_col_text(t, "verdict", "Verdict", "verdict, or why it does not apply");
	sx_report_col_int(t, "evaluated", "Evaluated", "1", "evaluations");
	sx_report_col_int(t, "violated", "Violated", "1", "violations");
	sx_report_col_real(t, "tightest", "Tightest", "1", "largest ratio; 1 = met with equality",
			   "%.3g");
	sx_report_col_real(t, "median", "Median", "1", "median ratio", "%.3g");
	sx_report_col_real(t, "paper", "Paper", "1", "printed over corrected right side", "%.3g");
	for (int i = 0; i < n; i++) SX_TRY(bounds_rows(j, t, &j->item[at[i]], &sum));
	if (sum.missing)
		sx_section_say(
			j,
			"*The theory's inequalities and identities* could not be evaluated in "
			"%lld places, where a side is not a number: nothing can be said of them.",
			(long long)sum.missing);
	if (sum.violated)
		sx_section_say(j,
			       "*The theory's inequalities and identities* are violated in %lld of "
			       "%lld evaluations.",
			       (long long)sum.violated, (long long)sum.evaluated);
	else if (sum.evaluated || !sum.missing)
		sx_section_say(j,
			       "%s hold in every one of %lld evaluations, within what rounding may "
			       "add.",
			       sum.missing ? "Where both sides are numbers, they"
					   : "*The theory's inequalities and identities*",
			       (long long)sum.evaluated);
	sx_section_say(j, "The forms printed in the paper, where they differ, fail in %lld.",
		       (long long)sum.paper_broken);
out:
	return st;
}

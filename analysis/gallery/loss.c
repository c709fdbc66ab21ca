/* Figure `loss`: training curves of run folders, from their logs. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/gallery/labels.h"
#include "analysis/runlog.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	sx_runlog log;
	double *tokens; /* (log.n) */
	char *label;
	sx_fig_kind kind;
} run_data;

static void runs_free(run_data *runs, int n)
{
	for (int i = 0; runs && i < n; i++) {
		sx_runlog_free(&runs[i].log);
		free(runs[i].tokens);
		free(runs[i].label);
	}
	free(runs);
}

/* What was asked for; else the kind, if only one of the runs is of it; else the folder's name. */
static sx_status label_runs(sx_ctx *ctx, run_data *runs, const sx_figure_args *a)
{
	for (int i = 0; i < a->n_input; i++) {
		int of_kind = 0;
		for (int k = 0; k < a->n_input; k++) of_kind += runs[k].kind == runs[i].kind;
		if (a->labels) {
			runs[i].label = sx_label_part(a->labels, i);
		} else if (runs[i].kind != SX_FIG_OTHER && of_kind == 1) {
			runs[i].label = sx_strdup(sx_label_of_kind(runs[i].kind));
		} else {
			runs[i].label = sx_label_of_path(a->inputs[i]);
		}
		if (!runs[i].label) return sx_fail(ctx, SX_ENOMEM, "out of memory for the labels");
	}
	return SX_OK;
}

/* Tokens seen when the rotation was dropped: what the first record of recalibration says, less its own
 * update's. */
static double dropped_at(const sx_runlog *log, int64_t first)
{
	if (first < 0) return (double)NAN;
	double step = (double)log->step[first];
	return (double)log->tokens_seen[first] * (step - 1) / step;
}

static sx_status read_run(sx_ctx *ctx, run_data *r, const char *path)
{
	sx_status st = sx_runlog_read(&r->log, ctx, path);
	if (st != SX_OK) return st;
	r->kind = sx_kind_of_model(r->log.method, r->log.drop_to, r->log.drop_to[0] != 0);
	r->tokens = sx_calloc((size_t)r->log.n, sizeof *r->tokens);
	if (!r->tokens) return sx_fail(ctx, SX_ENOMEM, "out of memory for the log of %s", path);
	for (int64_t i = 0; i < r->log.n; i++) r->tokens[i] = (double)r->log.tokens_seen[i];
	return SX_OK;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_status st = SX_OK;
	run_data *runs = sx_calloc((size_t)a->n_input, sizeof *runs);
	sx_fig_run *shown = sx_calloc((size_t)a->n_input, sizeof *shown);
	if (!runs || !shown) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for the runs"));
	for (int i = 0; i < a->n_input; i++) SX_TRY(read_run(ctx, &runs[i], a->inputs[i]));
	SX_TRY(label_runs(ctx, runs, a));
	for (int i = 0; i < a->n_input; i++) {
		int64_t drop = sx_runlog_drop(&runs[i].log);
		shown[i] = (sx_fig_run){.label = runs[i].label,
					.kind = runs[i].kind,
					.n = runs[i].log.n,
					.tokens_seen = runs[i].tokens,
					.loss = runs[i].log.loss,
					.phase = runs[i].log.phase,
					.drop = dropped_at(&runs[i].log, drop)};
	}
	st = sx_fig_loss(out, ctx, a->style, shown, a->n_input);
out:
	free(shown);
	runs_free(runs, a->n_input);
	return st;
}

const sx_figure_row sx_figure_loss = {
	.name = "loss",
	.what = "training curves of run folders: loss against tokens seen, and after the drop",
	.make = make,
	.takes = SX_FIGURE_LABEL,
	.least = 1,
	.needs = "run folders",
};

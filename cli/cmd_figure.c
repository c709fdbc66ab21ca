/* sextant figure: one figure from run folders. */
#include "analysis/figure/figure.h"
#include "analysis/runlog.h"
#include "cli/cmd.h"

#include <argp.h>
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	const char *name, *output, *labels, *data;
	const sx_fig_style *style;
	char **inputs;
	int n_input;
} args;

/* ---- runs as the figures take them ---- */

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

static sx_fig_kind kind_of(const sx_runlog *log)
{
	if (strcmp(log->drop_to, "keep") == 0) return SX_FIG_CONTROL;
	if (strcmp(log->drop_to, "nope") == 0) return SX_FIG_DROPE;
	if (log->drop_to[0]) return SX_FIG_OTHER;
	if (strcmp(log->method, "rope") == 0) return SX_FIG_ROPE;
	if (strcmp(log->method, "nope") == 0) return SX_FIG_NOPE;
	return SX_FIG_OTHER;
}

static char *folder_name(const char *path)
{
	char *copy = sx_strdup(path);
	char *name = copy ? sx_strdup(basename(copy)) : NULL;
	free(copy);
	return name;
}

/* What was asked for; else the kind, if only one of the runs is of it; else the folder's name. */
static sx_status label_runs(sx_ctx *ctx, run_data *runs, const args *a)
{
	static const char *const names[] = {[SX_FIG_ROPE] = "RoPE",
					    [SX_FIG_NOPE] = "NoPE",
					    [SX_FIG_DROPE] = "DroPE",
					    [SX_FIG_CONTROL] = "positions kept"};
	const char *next = a->labels;
	for (int i = 0; i < a->n_input; i++) {
		int of_kind = 0;
		for (int k = 0; k < a->n_input; k++) of_kind += runs[k].kind == runs[i].kind;
		if (next) {
			size_t n = strcspn(next, ",");
			runs[i].label = sx_format("%.*s", (int)n, next);
			next += n + (next[n] == ',');
		} else if (runs[i].kind != SX_FIG_OTHER && of_kind == 1) {
			runs[i].label = sx_strdup(names[runs[i].kind]);
		} else {
			runs[i].label = folder_name(a->inputs[i]);
		}
		if (!runs[i].label) return sx_fail(ctx, SX_ENOMEM, "out of memory for the labels");
	}
	return SX_OK;
}

static sx_status read_run(sx_ctx *ctx, run_data *r, const char *path)
{
	sx_status st = sx_runlog_read(&r->log, ctx, path);
	if (st != SX_OK) return st;
	r->kind = kind_of(&r->log);
	r->tokens = sx_calloc((size_t)r->log.n, sizeof *r->tokens);
	if (!r->tokens) return sx_fail(ctx, SX_ENOMEM, "out of memory for the log of %s", path);
	for (int64_t i = 0; i < r->log.n; i++) r->tokens[i] = (double)r->log.tokens_seen[i];
	return SX_OK;
}

/* ---- the figures: a row each ---- */

static sx_status make_loss(sx_fig **out, sx_ctx *ctx, const args *a)
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
					.drop = drop < 0 ? (double)NAN : runs[i].tokens[drop]};
	}
	st = sx_fig_loss(out, ctx, a->style, shown, a->n_input);
out:
	free(shown);
	runs_free(runs, a->n_input);
	return st;
}

static const struct {
	const char *name, *what;
	sx_status (*make)(sx_fig **out, sx_ctx *ctx, const args *a);
} figures[] = {
	{"loss", "training curves of run folders: loss against tokens seen, and after the drop",
	 make_loss},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

/* ---- the command line ---- */

enum { OPT_STYLE = 256, OPT_LABEL, OPT_DATA };

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "The figure: .pdf, .svg or .png by its ending", 0},
	{"style", OPT_STYLE, "NAME", 0,
	 "The page it is for: icml (the default), icml-full, neurips, iclr, acm, notebook, slides",
	 0},
	{"label", OPT_LABEL, "A,B,..", 0,
	 "Names of the inputs in their order; inputs with the same name are drawn alike", 0},
	{"data", OPT_DATA, "FILE.csv", 0, "Write the numbers drawn, too", 0},
	{0}};

static const char doc[] =
	"Draws one figure in the size and with the fonts of a venue.\v"
	"`sextant figure list` names the figures. INPUT is a run folder; it may be in training "
	"still.\n"
	"\n"
	"Examples:\n"
	"  sextant figure loss runs/rope runs/drope -o loss.pdf\n"
	"      one column of an ICML paper\n"
	"  sextant figure loss runs/rope runs/drope runs/keep -o loss.svg --style neurips \\\n"
	"      --label 'RoPE,DroPE,RoPE (same tokens)' --data loss.csv\n"
	"      the same with labels of one's own, and the numbers drawn";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	args *a = state->input;
	switch (key) {
	case 'o':
		a->output = arg;
		return 0;
	case OPT_STYLE:
		a->style = sx_fig_style_find(arg);
		if (!a->style) argp_error(state, "no style %s; see --help for their names", arg);
		return 0;
	case OPT_LABEL:
		a->labels = arg;
		return 0;
	case OPT_DATA:
		a->data = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->name) return ARGP_ERR_UNKNOWN; /* the rest, all at once: ARGP_KEY_ARGS */
		a->name = arg;
		return 0;
	case ARGP_KEY_ARGS:
		a->inputs = state->argv + state->next;
		a->n_input = state->argc - state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static sx_status list(sx_ctx *ctx)
{
	for (int i = 0; i < N_FIGURES; i++) printf("%-12s %s\n", figures[i].name, figures[i].what);
	if (fflush(stdout) == 0) return SX_OK;
	return sx_fail(ctx, SX_EIO, "writing to standard output failed: %s", strerror(errno));
}

static sx_status check(sx_ctx *ctx, const args *a, int *figure)
{
	*figure = 0;
	while (*figure < N_FIGURES && strcmp(figures[*figure].name, a->name) != 0) ++*figure;
	if (*figure == N_FIGURES)
		return sx_fail(ctx, SX_EUSAGE, "no figure %s; `sextant figure list` names them",
			       a->name);
	if (a->n_input == 0)
		return sx_fail(ctx, SX_EUSAGE, "figure %s needs a run folder", a->name);
	if (!a->output) return sx_fail(ctx, SX_EUSAGE, "where to? Give -o FILE.pdf, .svg or .png");
	int n = 1;
	for (const char *c = a->labels; c && *c; c++) n += *c == ',';
	if (a->labels && n != a->n_input)
		return sx_fail(ctx, SX_EUSAGE, "--label has %d names for %d inputs", n, a->n_input);
	return SX_OK;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "NAME INPUT..\nlist", doc, NULL,
					 NULL,    NULL};
	args a = {.style = sx_fig_style_find("icml")};
	char name[] = "sextant figure";
	argv[0] = name;
	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0 || !a.name)
		return sx_fail(ctx, SX_EUSAGE, "figure: see sextant figure --help");
	if (strcmp(a.name, "list") == 0) return list(ctx);

	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int figure;
	SX_TRY(check(ctx, &a, &figure));
	SX_TRY(figures[figure].make(&f, ctx, &a));
	SX_TRY(sx_fig_save(f, ctx, a.output));
	if (a.data) SX_TRY(sx_fig_save_data(f, ctx, a.data));
	sx_log(ctx, SX_LOG_INFO, "%s: %s", a.output, sx_fig_alt(f));
out:
	sx_fig_free(f);
	return st;
}

const sx_cmd sx_cmd_figure = {"figure", "analysis", "one figure from run folders", run};

/* A whole study from its recipe: what it costs, what is missing, then the report. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/study/study.h"
#include "engine/op/blas.h"
#include "probes/lab/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_study;

typedef struct {
	sx_common common;
	const char *recipe, *out, *work;
	bool dry_run, watch;
	int64_t at_once;
	int n;
	char **overrides;
} arguments;

enum { KEY_WORK = 0x100, KEY_JOBS, KEY_WATCH, KEY_DRY_RUN };

/* clang-format off */
static const struct argp_option options[] = {
	{"output", 'o', "FOLDER", 0, "the report's folder (default: notebooks-out/NAME)", 1},
	{"work", KEY_WORK, "DIR", 0, "the folder of runs and files (default: runs/NAME)", 1},
	{"jobs", KEY_JOBS, "N", 0, "jobs side by side (default: one for each core); they share the cores", 2},
	{"watch", KEY_WATCH, NULL, 0, "make the report again as jobs end, of what is there until then", 2},
	{"dry-run", KEY_DRY_RUN, NULL, 0, "say what would be made and what it costs, and stop", 2},
	SX_ARG_JSON, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};

static const char doc[] =
	"Makes what RECIPE lists, for each of its seeds, and a report of it. RECIPE is a .yaml file, or the name of one "
	"that came with the program: quick, quickstart, bounds. What is whole and was made from the same settings is kept, an "
	"interrupted run goes on, so a study that was stopped or failed is started again by the same command. "
	"key=value replaces a key of the recipe's `config`; seeds=[1, 2] replaces its seeds. A signal that ends a "
	"training run (`sextant train --help`) ends a study in the same way: exit code 75.\v"
	"A recipe:\n"
	"\n"
	"  name: small                      # also of the folders\n"
	"  title: What becomes of position  # of the report\n"
	"  seeds: [1, 2]\n"
	"  config:                          # settings of all runs (`sextant config`)\n"
	"    train: {steps: 1100, checkpoint_at: [963]}\n"
	"  runs:                            # WORK/seed-1/rope, ...; further settings\n"
	"    rope:  {label: RoPE}\n"
	"    drope: {label: DroPE, branch: rope@963, train: {drop_at: 963}}\n"
	"    deep:  {label: deep, untrained: true, model: {layers: 8}}\n"
	"  traces:                          # WORK/seed-1/final/rope.h5, ...; held-out text\n"
	"    final: {of: [rope, drope], sequences: 16}\n"
	"    after: {of: rope@963, pos: {method: nope}, label: right after}\n"
	"  evals:\n"
	"    extension: {of: [rope, drope], what: niah, lengths: [256, 512], choose: 40,\n"
	"                methods: {rope: [pi, yarn], drope: nope}, temperatures: [0, 0.4]}\n"
	"    loss: {of: [rope, drope], what: ppl, lengths: 128, windows: 256}\n"
	"  bounds:\n"
	"    theory: {of: [rope, drope], sequences: 2}\n"
	"\n"
	"`of` names runs, or RUN@STEP. Further keys of a trace: length, kinds, words, maps, ac, batch-grad (true), "
	"precision; of an evaluation: kinds, facts, trials; of bounds: length, kinds, words, mix, ac, precision; of "
	"all: label, pos. They are the options of `trace`, `eval` "
	"and `bounds`; a mapping as a value holds one for each run.\n"
	"\n"
	"With --watch the report is there as soon as the first part is: its page says which parts are not, "
	"loads itself again, and is replaced whole each time. What it ends as is the same.\n"
	"\n"
	"The time is an estimate: FLOPs of each job over the rate of three training steps, measured now with as many "
	"copies side by side as there will be jobs.\n"
	"\n"
	"Examples:\n"
	"  sextant study quickstart --watch\n"
	"  sextant study quickstart 'data.text=[mine.txt]' seeds=1 --work runs/mine -o report --dry-run\n";
/* clang-format on */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	switch (key) {
	case 'o':
		a->out = arg;
		return 0;
	case KEY_WORK:
		a->work = arg;
		return 0;
	case KEY_JOBS:
		a->at_once = sx_parse_count(state, "--jobs", arg);
		if (a->at_once > 1024) argp_error(state, "--jobs %s: at most 1024", arg);
		return 0;
	case KEY_WATCH:
		a->watch = true;
		return 0;
	case KEY_DRY_RUN:
		a->dry_run = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->recipe)
			a->recipe = arg;
		else if (sx_is_override(arg))
			a->overrides[a->n++] = arg;
		else
			argp_error(state, "%s: want RECIPE and then key=value", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->recipe) argp_error(state, "which RECIPE?");
		if ((a->out && !*a->out) || (a->work && !*a->work))
			argp_error(state, "a folder needs a name");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- what it costs ---- */

typedef struct {
	int64_t jobs, kept, tokens, bytes;
	double flops, core_seconds, seconds;
} total;

static total total_of(const sx_study *s, const sx_job *jobs, int at_once)
{
	total t = {.seconds = sx_study_makespan(jobs, s, at_once)};
	for (int64_t i = 0; i < s->n_item; i++) {
		t.kept += jobs[i].state == SX_JOB_KEPT;
		t.jobs += jobs[i].state != SX_JOB_KEPT;
		t.tokens += jobs[i].tokens;
		t.bytes += jobs[i].file_bytes;
		t.flops += jobs[i].flops;
		t.core_seconds += jobs[i].estimate;
	}
	return t;
}

static const char *scaled(char out[32], double x, double base, const char *const *units)
{
	int u = 0;
	while (x >= base && units[u + 1]) x /= base, u++;
	snprintf(out, 32, x < 10 && u ? "%.1f%s" : "%.0f%s", x, units[u]);
	return out;
}

static void cost_cells(sx_table *t, int64_t tokens, double flops, int64_t bytes)
{
	static const char *const count[] = {"", " k", " M", " G", NULL};
	static const char *const work[] = {"", " k", " M", " G", " T", " P", " E", NULL};
	static const char *const size[] = {" B", " KiB", " MiB", " GiB", " TiB", NULL};
	char text[32];
	sx_table_cell(t, "%s", tokens ? scaled(text, (double)tokens, 1000, count) : "-");
	sx_table_cell(t, "%s", flops > 0 ? scaled(text, flops, 1000, work) : "-");
	sx_table_cell(t, "%s", bytes ? scaled(text, (double)bytes, 1024, size) : "-");
}

static sx_status print_cost(sx_ctx *ctx, const sx_study *s, const sx_job *jobs, int at_once)
{
	static const char *const headings[] = {"job", "", "tokens", "FLOP", "files", "s"};
	sx_table *t = sx_table_new(6, headings);
	total all = total_of(s, jobs, at_once);
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_job *j = &jobs[i];
		sx_table_cell(t, "%s", j->name);
		sx_table_cell(t, "%s",
			      j->state == SX_JOB_KEPT ? "kept"
			      : j->resume             ? "goes on"
						      : "to make");
		cost_cells(t, j->tokens, j->flops, j->file_bytes);
		if (j->estimate > 0)
			sx_table_cell(t, "%.0f", j->estimate);
		else
			sx_table_cell(t, "-");
	}
	sx_table_cell(t, "total");
	sx_table_cell(t, "%lld", (long long)all.jobs);
	cost_cells(t, all.tokens, all.flops, all.bytes);
	sx_table_cell(t, "%.0f", all.core_seconds);
	return sx_table_print(t, ctx);
}

static void say_cost(sx_ctx *ctx, const sx_study *s, const sx_job *jobs, int at_once)
{
	total t = total_of(s, jobs, at_once);
	if (t.jobs == 0)
		sx_log(ctx, SX_LOG_INFO, "%s: nothing to do in %s, all %lld jobs are done", s->name,
		       s->work, (long long)t.kept);
	if (t.jobs == 0) return;
	sx_log(ctx, SX_LOG_INFO,
	       "%s: %lld jobs to do in %s, %lld kept; about %.1f min with %d side by side "
	       "(%.2g FLOP at the rate of a few training steps measured now)",
	       s->name, (long long)t.jobs, s->work, (long long)t.kept, t.seconds / 60, at_once,
	       t.flops);
}

static json_t *json_of(const sx_study *s, const sx_job *jobs, int at_once, total before,
		       const char *report)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_job *j = &jobs[i];
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:f, s:f, s:i}", "job",
				  j->name, "kind", sx_item_kind_name(s->item[i].kind), "path",
				  s->item[i].path, "state", sx_job_state_name(j->state), "tokens",
				  (json_int_t)j->tokens, "flops", j->flops, "file_bytes",
				  (json_int_t)j->file_bytes, "estimated_seconds", j->estimate,
				  "seconds", j->seconds, "exit", j->exit));
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:i, s:I, s:f, s:I, s:f, s:s?}", "name", s->name,
			 "title", s->title, "work", s->work, "jobs", list, "side_by_side", at_once,
			 "tokens", (json_int_t)before.tokens, "flops", before.flops, "file_bytes",
			 (json_int_t)before.bytes, "estimated_seconds", before.seconds, "report",
			 report);
}

/* ---- the report ---- */

static sx_status make_report(sx_ctx *ctx, const sx_study *s, const char *folder, bool json)
{
	char *words[] = {"sextant", "report", "--work", s->work, "-o", NULL, NULL};
	int pid = 0, code = 0;
	sx_status st = SX_OK;
	words[5] = sx_strdup(folder);
	if (!words[5]) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	sx_child c = {.argv = words, .out = json ? STDERR_FILENO : STDOUT_FILENO};
	SX_TRY(sx_child_start(&pid, ctx, &c));
	code = sx_child_wait(pid);
	if (code)
		st = sx_fail(ctx, sx_child_status(code),
			     "the report failed (exit %d); the runs and files are in %s", code,
			     s->work);
out:
	free(words[5]);
	return st;
}

/* ---- the verb ---- */

static sx_status study(sx_ctx *ctx, const arguments *a, const sx_study *s)
{
	sx_status st = SX_OK;
	sx_job *jobs = NULL;
	int at_once = a->at_once ? (int)a->at_once : sx_study_threads(1);
	char *folder = a->out ? sx_strdup(a->out) : sx_format("notebooks-out/%s", s->name);
	total before = {0};
	if (!folder) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	sx_stop_catch(false);
	SX_TRY(sx_study_jobs(&jobs, ctx, s));
	SX_TRY(sx_study_cost(jobs, ctx, s));
	before = total_of(s, jobs, at_once);
	if (before.jobs > 0) sx_blas_warn_slow(ctx); /* the jobs say it in their logs */
	if (before.flops > 0) SX_TRY(sx_study_measure(jobs, ctx, s, at_once));
	before = total_of(s, jobs, at_once);
	if (a->dry_run && !a->common.json) SX_TRY(print_cost(ctx, s, jobs, at_once));
	if (!a->common.quiet) say_cost(ctx, s, jobs, at_once);
	if (!a->dry_run) {
		SX_TRY(sx_study_run(jobs, ctx, s, at_once, a->watch ? folder : NULL,
				    a->common.json ? STDERR_FILENO : STDOUT_FILENO));
		SX_TRY(make_report(ctx, s, folder, a->common.json));
	}
	if (a->common.json)
		SX_TRY(sx_print_json(
			ctx, json_of(s, jobs, at_once, before, a->dry_run ? NULL : folder)));
out:
	if (st != SX_OK && st != SX_ESTOPPED && sx_stop_asked()) /* a child that was asked to end */
		st = sx_fail(ctx, SX_ESTOPPED, "stopped; the same command goes on in %s", s->work);
	sx_study_jobs_free(jobs, s);
	free(folder);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "RECIPE [key=value..]", doc, NULL,
					 NULL,    NULL};
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}};
	sx_study s = {0};
	char *recipe = NULL;
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!a.overrides) return sx_fail(ctx, SX_ENOMEM, "no memory for options");
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	SX_TRY(sx_study_find_recipe(&recipe, ctx, a.recipe));
	SX_TRY(sx_study_read_recipe(&s, ctx, recipe, a.n, a.overrides, a.work));
	SX_TRY(study(ctx, &a, &s));
out:
	sx_study_free(&s);
	free(recipe);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_study = {"study", "models", "make all that a recipe lists, then its report",
			     run};

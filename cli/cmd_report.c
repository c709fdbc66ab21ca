/* sextant report: a folder with the findings of runs, traces, evaluations and bounds. */
#include "analysis/gallery/inputs.h"
#include "analysis/gallery/labels.h"
#include "analysis/sections/sections.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/study/study.h"
#include "engine/pos/pos.h"
#include "probes/lab/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_report;

enum { KEY_TITLE = 256, KEY_LABEL, KEY_WORK, KEY_UNFINISHED };

/* clang-format off */
static const struct argp_option options[] = {
	{"output", 'o', "FOLDER", 0, "where to (default: notebooks-out/NAME, the first input's)", 1},
	{"title", KEY_TITLE, "TEXT", 0, "of the report", 1},
	{"label", KEY_LABEL, "A,B,..", 0, "names of the inputs in their order; inputs with the same name are seeds of one setting; a name with a comma in double quotes", 1},
	{"work", KEY_WORK, "DIR", 0, "report on the study whose files are in DIR, in place of inputs", 1},
	{"unfinished", KEY_UNFINISHED, NULL, 0, "of a study that lacks parts: report on those that are there; the page says which are not, and loads itself again", 1},
	SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0}};
/* clang-format on */

static const char doc[] =
	"Writes what can be said about its inputs to a folder: report.html and report.ipynb, "
	"figures, tables, analysis.h5 with every number, manifest.json. RUN is a run folder, "
	"FILE.h5 "
	"a trace or what `eval -o` and `bounds -o` wrote; the work folder of a study by itself is "
	"--work."
	"\v"
	"The first paragraph states the findings with numbers and intervals. Each section is there "
	"if an input has what it needs: losses (runs, eval ppl -o), heads through the drop (runs "
	"with one), classes of heads and frequencies (traces), extension (eval niah -o), bounds. A "
	"folder that holds such a report is replaced, any other refused.\n"
	"\n"
	"Examples:\n"
	"  sextant report runs/rope runs/drope\n"
	"  sextant report --work runs/quickstart -o notebooks-out/quickstart\n";

typedef struct {
	sx_common common;
	const char *folder, *title, *labels, *work;
	bool unfinished;
	char **input;
	int n;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	switch (key) {
	case 'o':
		a->folder = arg;
		return 0;
	case KEY_TITLE:
		a->title = arg;
		return 0;
	case KEY_LABEL:
		a->labels = arg;
		return 0;
	case KEY_WORK:
		a->work = arg;
		return 0;
	case KEY_UNFINISHED:
		a->unfinished = true;
		return 0;
	case ARGP_KEY_ARG:
		a->input[a->n++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->work && !a->n) argp_error(state, "what to report on? RUN or FILE.h5");
		if (a->work && (a->n || a->labels))
			argp_error(state, "--work names a study: leave out inputs and --label");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- the inputs ---- */

/* Both phases among the records of /ac or /stats. */
static sx_status has_drop(bool *out, sx_run_file *f)
{
	const sx_run_id phase[] = {SX_RUN_AC_PHASE, SX_RUN_STATS_PHASE};
	for (int k = 0; k < 2; k++) {
		double *x = NULL;
		int64_t n = 0;
		bool seen[2] = {false, false};
		if (!sx_run_has(f, phase[k])) continue;
		sx_status st = sx_run_read_all(f, phase[k], &x, &n);
		if (st != SX_OK) return st;
		for (int64_t i = 0; i < n; i++)
			if (x[i] == 0 || x[i] == 1) seen[(int)x[i]] = true;
		*out |= seen[0] && seen[1];
		free(x);
	}
	return SX_OK;
}

/* Of initial weights: its only records are of step 0. */
static sx_status at_step_0(bool *out, sx_run_file *f)
{
	const sx_run_id step[] = {SX_RUN_AC_STEP, SX_RUN_STATS_STEP};
	*out = false;
	for (int k = 0; k < 2; k++) {
		double *x = NULL;
		int64_t n = 0;
		if (!sx_run_has(f, step[k])) continue;
		sx_status st = sx_run_read_all(f, step[k], &x, &n);
		if (st != SX_OK) return st;
		*out = n > 0 && x[n - 1] == 0;
		free(x);
	}
	return SX_OK;
}

/* What the opened file says of an item. */
static sx_status look(sx_section_item *i, const sx_input *in, bool is_run)
{
	sx_status st = SX_OK;
	i->file = in->file;
	i->context = in->context;
	if (is_run) {
		i->kind = SX_ITEM_RUN;
		SX_TRY(has_drop(&i->drops, i->file));
		i->nope = sx_pos_kind_of(i->drops ? in->drop_to : in->method) == SX_POS_NONE;
		goto out;
	}
	i->nope = sx_pos_kind_of(in->method) == SX_POS_NONE;
	SX_TRY(at_step_0(&i->untrained, i->file));
	i->untrained = i->untrained && !in->step_unknown;
out:
	return st;
}

static sx_item_kind kind_of_file(const sx_run_file *f)
{
	if (sx_run_has(f, SX_RUN_EVAL_NLL) || sx_run_has(f, SX_RUN_EVAL_NIAH_HITS) ||
	    sx_run_has(f, SX_RUN_EXTENSION_NIAH_HITS))
		return SX_ITEM_EVAL;
	return sx_run_has(f, SX_RUN_BOUNDS_LHS) || sx_run_has(f, SX_RUN_MIX_VALUE) ? SX_ITEM_BOUNDS
										   : SX_ITEM_TRACE;
}

/* A folder, or the file at its top. */
static bool is_run_folder(const char *path)
{
	char *log = sx_format("%s/log.jsonl", path);
	FILE *f = log ? fopen(log, "r") : NULL;
	free(log);
	if (f) fclose(f);
	return f != NULL;
}

typedef struct {
	sx_input *in;
	sx_section_item *item;
	char **name; /* made up here for inputs of the command line */
	int n;
	sx_study study;
	bool *made; /* (study.n_item) what is there of a study */
	int64_t missing;
} inputs;

static void inputs_free(inputs *x)
{
	for (int i = 0; i < x->n; i++) {
		if (x->in) sx_input_free(&x->in[i]);
		if (x->name) free(x->name[i]);
	}
	free(x->in);
	free(x->item);
	free(x->name);
	free(x->made);
	sx_study_free(&x->study);
}

static sx_status make_room(inputs *x, sx_ctx *ctx, int n)
{
	x->n = n;
	x->in = sx_calloc((size_t)n, sizeof *x->in);
	x->item = sx_calloc((size_t)n, sizeof *x->item);
	x->name = sx_calloc((size_t)n, sizeof *x->name);
	return x->in && x->item && x->name ? SX_OK
					   : sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
}

static sx_status from_words(inputs *x, sx_ctx *ctx, const arguments *a)
{
	sx_status st = SX_OK;
	SX_TRY(make_room(x, ctx, a->n));
	for (int i = 0; i < a->n; i++) SX_TRY(sx_input_open(&x->in[i], ctx, a->input[i]));
	SX_TRY(sx_inputs_label(x->in, a->n, ctx, a->labels));
	for (int i = 0; i < a->n; i++) {
		sx_section_item *item = &x->item[i];
		x->name[i] = sx_label_of_path(a->input[i]);
		if (!x->name[i]) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
		*item = (sx_section_item){.kind = kind_of_file(x->in[i].file),
					  .name = x->name[i],
					  .label = x->in[i].label,
					  .path = a->input[i],
					  .what = "",
					  .seed = x->in[i].seed};
		SX_TRY(look(item, &x->in[i], is_run_folder(a->input[i])));
	}
out:
	return st;
}

/* Which parts of a study are there, looked at once: others come meanwhile. It must be whole, or with
 * `unfinished` something of it there. */
static sx_status look_what_is_there(inputs *x, sx_ctx *ctx, const char *work, bool unfinished)
{
	const sx_study *s = &x->study;
	const char *first = "";
	x->made = sx_calloc((size_t)s->n_item + 1, sizeof *x->made);
	if (!x->made) return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
	for (int64_t i = 0; i < s->n_item; i++) {
		x->made[i] = sx_study_item_made(&s->item[i]);
		if (!x->made[i] && x->missing++ == 0) first = s->item[i].path;
	}
	if (x->missing == 0 || (unfinished && x->missing < s->n_item)) return SX_OK;
	return sx_fail(ctx, SX_ENOINPUT,
		       "the study in %s is unfinished: %lld of its %lld parts are not there "
		       "(%s, ..); `sextant study` with its recipe and --work %s makes them%s",
		       work, (long long)x->missing, (long long)s->n_item, first, work,
		       unfinished ? "" : ", --unfinished reports on the others");
}

static sx_status from_study(inputs *x, sx_ctx *ctx, const char *work, bool unfinished)
{
	sx_status st = SX_OK;
	SX_TRY(sx_study_read(&x->study, ctx, work));
	SX_TRY(look_what_is_there(x, ctx, work, unfinished));
	SX_TRY(make_room(x, ctx, (int)x->study.n_item));
	x->n = 0;
	for (int64_t k = 0; k < x->study.n_item; k++) {
		const sx_study_item *s = &x->study.item[k];
		if (!x->made[k]) continue;
		int i = x->n++;
		x->item[i] = (sx_section_item){.kind = s->kind,
					       .name = s->name,
					       .label = s->label,
					       .path = s->path,
					       .what = s->what,
					       .seed = s->seed,
					       .untrained = s->untrained};
		if (s->kind == SX_ITEM_RUN && s->untrained) continue; /* a configuration */
		SX_TRY(sx_input_open(&x->in[i], ctx, s->path));
		SX_TRY(look(&x->item[i], &x->in[i], s->kind == SX_ITEM_RUN));
	}
out:
	return st;
}

/* ---- the page ---- */

/* The file that was read, named as the user would: of a run folder RUN/run.h5. */
static void name_inputs(sx_report *r, const inputs *x)
{
	for (int i = 0; i < x->n; i++) {
		const sx_section_item *item = &x->item[i];
		char what[160];
		if (!item->file) continue;
		snprintf(what, sizeof what, "%s, %s, seed %lld", sx_item_kind_name(item->kind),
			 item->label, (long long)item->seed);
		sx_report_input(r, sx_run_file_path(item->file), what);
	}
}

/* What a study lacks, as a list in backquotes: at most `most` of them. The caller's. */
static char *missing_names(const inputs *x, int64_t most)
{
	char *list = sx_strdup("");
	int64_t n = 0;
	for (int64_t i = 0; list && i < x->study.n_item; i++) {
		if (x->made[i] || n++ >= most) continue;
		char *longer =
			sx_format("%s%s`%s`", list, *list ? ", " : "", x->study.item[i].file);
		free(list);
		list = longer;
	}
	return list;
}

/* Says first that parts are missing, and last which. */
static sx_status say_missing(sx_report *r, sx_ctx *ctx, const inputs *x, bool first)
{
	enum { FEW = 6, RELOAD_S = 30 };
	if (x->missing == 0) return SX_OK;
	char *list = missing_names(x, first ? FEW : x->study.n_item), *text = NULL;
	if (list && first)
		text = sx_format("*Unfinished*: %lld of the %lld parts of this study are not there "
				 "yet (%s%s). What follows is of the others, and changes as they "
				 "come.",
				 (long long)x->missing, (long long)x->study.n_item, list,
				 x->missing > FEW ? ", .." : "");
	else if (list)
		text = sx_format("Runs and files that are still to be made: %s.", list);
	if (text && first) {
		sx_report_summary(r, text);
		sx_report_reload(r, RELOAD_S);
	} else if (text) {
		sx_report_section(r, "What is not there yet");
		sx_report_text(r, text);
	}
	sx_status st = text ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for the report");
	free(list);
	free(text);
	return st;
}

static sx_status write_report(sx_ctx *ctx, const arguments *a, const char *command)
{
	enum { SEED = 1 };
	sx_status st = SX_OK;
	inputs x = {0};
	char *base = NULL, *folder = NULL;
	sx_section_job j = {.ctx = ctx, .seed = SEED};
	SX_TRY(a->work ? from_study(&x, ctx, a->work, a->unfinished) : from_words(&x, ctx, a));
	base = a->work ? sx_strdup(x.study.name) : sx_label_of_path(a->input[0]);
	folder = a->folder ? sx_strdup(a->folder)
		 : base    ? sx_format("notebooks-out/%s", base)
			   : NULL;
	if (!base || !folder) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the report"));
	const char *title = a->title ? a->title : a->work ? x.study.title : base;
	SX_TRY(sx_report_new(&j.report, ctx, title));
	j.item = x.item, j.n = x.n;
	SX_TRY(say_missing(j.report, ctx, &x, true));
	SX_TRY(sx_sections_write(&j));
	SX_TRY(say_missing(j.report, ctx, &x, false));
	sx_report_origin(j.report, sx_git_commit(), command);
	name_inputs(j.report, &x);
	sx_report_param(j.report, "bootstrap resamples", "1999");
	sx_report_param(j.report, "bootstrap level", "0.95");
	sx_report_param(j.report, "bootstrap seed", "1");
	SX_TRY(sx_report_save(j.report, ctx, folder));
	sx_log(ctx, SX_LOG_INFO, "%s/report.html", folder);
out:
	sx_report_free(j.report);
	inputs_free(&x);
	free(base);
	free(folder);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "RUN|FILE.h5..\n--work DIR", doc, NULL,
					 NULL,    NULL};
	sx_status st = SX_OK;
	arguments a = {.common.ctx = ctx};
	char *command = sx_command_line("report", argc, argv);
	a.input = sx_calloc((size_t)argc, sizeof *a.input);
	if (!command || !a.input) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	if (a.n == 1 && !a.labels && sx_study_is_in(a.input[0])) a.work = a.input[0];
	if (a.unfinished && !a.work)
		SX_TRY(sx_fail(ctx, SX_EUSAGE,
			       "--unfinished is of a study: name its folder with --work"));
	SX_TRY(write_report(ctx, &a, command));
out:
	free(command);
	free(a.input);
	return st;
}

const sx_cmd sx_cmd_report = {"report", "analysis", "findings, figures and tables in one folder",
			      run};

/* sextant recover: what a killed run left, as a whole run file. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "probes/lab/hold.h"
#include "probes/lab/train_segments.h"
#include "probes/runfile/runfile.h"

#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_recover;

enum { KEY_OUTPUT = 'o' };

static const char doc[] =
	"Makes a sealed run file of what a killed run left: of a run folder RUN/run.h5, from its "
	"live segments with every record that was flushed, the newest attempt winning; of one "
	"segment the file given by -o. Nothing is changed in the segments, so it may be done "
	"again, "
	"and `train --resume` goes on as if it had not been done. A dataset that is damaged is "
	"left "
	"out, with a warning; the attribute left_out of the new file lists what was. A run that is "
	"being trained is left alone."
	"\v"
	"Examples:\n"
	"  sextant recover runs/killed\n"
	"  sextant recover runs/killed/live/seg-0000.h5 -o first-attempt.h5\n";

static const struct argp_option options[] = {
	{"output", KEY_OUTPUT, "FILE.h5", 0, "where to, for a single segment", 0},
	SX_ARG_QUIET,
	{0}};

typedef struct {
	sx_common common;
	const char *path, *out;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (key == KEY_OUTPUT) {
		a->out = arg;
		return 0;
	}
	if (key == ARGP_KEY_ARG) {
		if (a->path) argp_error(state, "one RUN or segment at a time");
		a->path = arg;
		return 0;
	}
	if (key == ARGP_KEY_NO_ARGS) argp_error(state, "which RUN or FILE.h5?");
	return sx_common_parse(&a->common, key, arg, state);
}

static void ignore(void *self, const char *path, const char *what)
{
	(void)self, (void)path, (void)what;
}

/* A run that ended well has nothing to be recovered, unless its file was damaged since. */
static sx_status check_needed(sx_ctx *ctx, const char *sealed)
{
	sx_run_file *f = NULL;
	sx_run_whole whole;
	char *status = NULL;
	sx_status st = SX_OK;
	if (!sx_path_exists(sealed)) return SX_OK;
	st = sx_run_open(&f, ctx, sealed);
	if (st == SX_EDATA) return SX_OK; /* not even to be opened */
	if (st != SX_OK) return st;
	SX_TRY(sx_run_verify(f, &whole, ignore, NULL));
	if (whole.faults) goto out;
	if (sx_run_has_attr(f, "/", "status")) SX_TRY(sx_run_get_str(f, "/", "status", &status));
	if (status && strcmp(status, "complete") == 0)
		st = sx_fail(ctx, SX_ECREATE,
			     "%s is there and complete: nothing is to be recovered", sealed);
out:
	free(status);
	sx_run_file_close(f);
	return st;
}

static sx_status recover(sx_ctx *ctx, const arguments *a)
{
	sx_status st = SX_OK;
	sx_hold hold = {.fd = -1};
	char *out = NULL;
	if (!sx_path_is_dir(a->path)) {
		const char *segment[] = {a->path};
		if (!a->out) return sx_fail(ctx, SX_EUSAGE, "where to? -o FILE.h5");
		st = sx_run_salvage(ctx, a->out, segment, 1, sx_train_warn_lost, ctx);
		if (st == SX_OK) sx_log(ctx, SX_LOG_INFO, "%s", a->out);
		return st;
	}
	if (a->out)
		return sx_fail(ctx, SX_EUSAGE,
			       "-o is for a single segment: of a run folder "
			       "RUN/run.h5 is written");
	char *first = sx_format("%s/live/seg-0000.h5", a->path);
	out = sx_format("%s/run.h5", a->path);
	if (!first || !out) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for a path"));
	SX_TRY(check_needed(ctx, out));
	if (!sx_path_exists(first))
		SX_TRY(sx_fail(ctx, SX_ENOINPUT,
			       "%s has no live/seg-0000.h5 to make run.h5 of: it is no run folder, "
			       "or live/ was removed",
			       a->path));
	SX_TRY(sx_hold_take(&hold, ctx, a->path, "process", false));
	SX_TRY(sx_train_salvage(ctx, a->path));
	sx_log(ctx, SX_LOG_INFO, "%s; `sextant train --resume` goes on from the last checkpoint",
	       out);
out:
	sx_hold_release(&hold);
	free(first);
	free(out);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "RUN|FILE.h5", doc, NULL, NULL, NULL};
	arguments a = {.common = {.ctx = ctx}};
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	return st == SX_OK ? recover(ctx, &a) : st;
}

const sx_cmd sx_cmd_recover = {"recover", "files", "a whole run file of what a kill left", run};

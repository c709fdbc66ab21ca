/* Trains from scratch or recalibrates, dropping the positional embedding on the way. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "engine/op/blas.h"
#include "probes/lab/train_run.h"

#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_train;

typedef struct {
	sx_common common;
	const char *config, *out, *branch;
	sx_train_resume resume;
	int n;
	char **overrides;
} arguments;

enum { KEY_RESUME = 0x100, KEY_BRANCH };

/* clang-format off */
static const struct argp_option options[] = {
	{"output", 'o', "RUN", 0, "the run folder to make", 0},
	{"resume", KEY_RESUME, "auto", OPTION_ARG_OPTIONAL, "go on from the run's last checkpoint, bit for bit; with =auto begin it where there is none yet", 0},
	{"branch", KEY_BRANCH, "RUN@STEP", 0, "start from this checkpoint of another run with the same configuration up to the drop", 0},
	SX_ARG_IGNORE, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Trains a model and measures every head while it happens. With train.drop_at=STEP the "
	"positional "
	"embedding is removed at that step and the model recalibrated; init=MODEL starts from a "
	"checkpoint. CONFIG may be left out: `sextant config` lists every key and its default; "
	"with "
	"--resume it is the run's own, and one that is given must agree with it.\n"
	"SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU, and SIGHUP unless it is ignored, end it after "
	"the "
	"update under way, with a checkpoint and exit code 75 (docs/cluster.md). One process at a "
	"time "
	"holds a RUN.\v"
	"Examples:\n"
	"  sextant train run.yaml -o runs/rope train.checkpoint_at=963\n"
	"  sextant train run.yaml -o runs/drope train.drop_at=963 --branch runs/rope@963\n"
	"  sextant train run.yaml -o runs/rope --resume=auto     # the same words at every start "
	"of a job\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	switch (key) {
	case 'o':
		a->out = arg;
		return 0;
	case KEY_RESUME:
		if (arg && strcmp(arg, "auto") != 0)
			argp_error(state, "--resume=%s: want --resume or --resume=auto", arg);
		a->resume = arg ? SX_RESUME_AUTO : SX_RESUME_YES;
		return 0;
	case KEY_BRANCH:
		a->branch = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (sx_is_override(arg))
			a->overrides[a->n++] = arg;
		else if (!a->config && !a->n)
			a->config = arg;
		else
			argp_error(state, "%s: want CONFIG and then key=value", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->out || !*a->out) argp_error(state, "where to? -o RUN");
		if (a->resume == SX_RESUME_YES && a->branch)
			argp_error(state,
				   "--resume goes on from the run's own last checkpoint: leave "
				   "out --branch, or say --resume=auto");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* What is said; of a run that goes on, where nothing is said, its own. */
static sx_status load(sx_config *cfg, sx_ctx *ctx, const arguments *a)
{
	char *own = sx_format("%s/config.yaml", a->out);
	bool silent = a->resume != SX_RESUME_NO && !a->config && !a->n;
	sx_status st = SX_OK;
	if (!own)
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	else if (silent && sx_path_exists(own))
		st = sx_config_load(cfg, ctx, own, 0, NULL);
	else
		st = sx_config_load(cfg, ctx, a->config, a->n, a->overrides);
	free(own);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}};
	sx_config cfg;
	bool have = false;
	const struct argp argp = {options, parse, "[CONFIG] [key=value..]", doc, NULL, NULL, NULL};
	char *command = sx_command_line("train", argc, argv);
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!command || !a.overrides) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for options");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	SX_TRY(load(&cfg, ctx, &a));
	have = true;
	sx_blas_start(ctx, a.common.threads);
	sx_progress progress;
	const sx_progress_to to = sx_progress_listener(&progress, ctx);
	sx_train_request r = {.cfg = &cfg,
			      .dir = a.out,
			      .command = command,
			      .branch = a.branch,
			      .resume = a.resume,
			      .progress = &to};
	SX_TRY(sx_train_run(ctx, &r));
out:
	if (have) sx_config_free(&cfg);
	free(command);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_train = {"train", "models", "train, drop the positional embedding, recalibrate",
			     run};

/* sextant top: a run, watched while it goes on. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/top.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_top;

enum { KEY_ONCE = 0x100, LOOK_EVERY = 2 /* seconds */ };

static const char doc[] =
	"Shows how far a run is and how it does, every two seconds: progress, loss, rate, "
	"tokens/s, "
	"the heads with the largest |A_c| at the last measurement, checkpoints and sizes of files. "
	"It only reads, the log and the run file that is being written, and ends with the run. "
	"Where the output is no terminal, or with --once, it shows one frame. NO_COLOR is heeded."
	"\v"
	"Examples:\n"
	"  sextant top runs/drope\n"
	"  sextant top --json runs/drope | jq .seconds_left\n";

static const struct argp_option options[] = {
	{"once", KEY_ONCE, NULL, 0, "show one frame and end", 0}, SX_ARG_JSON, {0}};

typedef struct {
	sx_common common;
	const char *run;
	bool once;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	switch (key) {
	case KEY_ONCE:
		a->once = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->run) argp_error(state, "one RUN at a time");
		a->run = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which RUN?");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

static int terminal_width(void)
{
	struct winsize size;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
	return known ? size.ws_col : 80;
}

static sx_status watch(sx_ctx *ctx, sx_top *t, bool once)
{
	const struct timespec pause = {.tv_sec = LOOK_EVERY};
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool terminal = isatty(STDOUT_FILENO) && !(term && strcmp(term, "dumb") == 0);
	bool live = terminal && !once, colour = terminal && !(no_colour && *no_colour);
	if (live) fputs("\033[2J", stdout);
	for (;;) {
		sx_status st = sx_top_look(t, ctx);
		if (st != SX_OK) return st;
		sx_top_print(t, terminal_width(), live, colour);
		if (fflush(stdout) != 0 || ferror(stdout))
			return sx_fail(ctx, SX_EIO, "writing to standard output failed");
		if (!live || t->state != SX_TOP_GOES_ON) return SX_OK;
		nanosleep(&pause, NULL);
	}
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "RUN", doc, NULL, NULL, NULL};
	arguments a = {.common = {.ctx = ctx}};
	sx_top top;
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st == SX_OK) st = sx_top_open(&top, ctx, a.run);
	if (st != SX_OK) return st;
	if (a.common.json) {
		st = sx_top_look(&top, ctx);
		if (st == SX_OK) st = sx_print_json(ctx, sx_top_json(&top));
	} else {
		st = watch(ctx, &top, a.once);
	}
	sx_top_free(&top);
	return st;
}

const sx_cmd sx_cmd_top = {"top", "files", "watch a run while it goes on", run};

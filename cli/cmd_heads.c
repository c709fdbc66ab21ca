/* sextant heads: what every head does, from a run file. */
#include "cli/cmd.h"
#include "cli/heads_print.h"

#include <stdlib.h>
#include <string.h>

static const char doc[] =
	"Of a run file: the class of every head (positional, semantic, key, mixed, sink, "
	"inactive, undecided) and what it looks at (current, previous, offset-K, local, first, "
	"duplicate, "
	"induction, uniform), with the scores that the rule goes by and intervals over sequences. "
	"Over a run: when heads changed their class, and how far each has moved from where it "
	"looked before the drop."
	"\v"
	"The rule, in this order: inactive if nearly uniform (divergence below 0.03 nats); sink if "
	"the first four keys have more than 0.4 of the mass; positional if one offset has more "
	"than 0.4, semantic if earlier copies of the token or what followed them have, mixed if "
	"both; else by the share of one offset kernel in the scores: above 2/3 positional, from "
	"1/3 mixed, below that by the larger of the shares of content and key, if above 1/3: "
	"semantic (what query and key make together) or key (what a key gives to every query "
	"alike), else mixed. Undecided if the ends of the intervals do not agree.\n\n"
	"Scores are from sequences of kind text (--kinds), induction from those of kind repeated "
	"where there are some.\n\n"
	"Examples:\n"
	"  sextant heads trace.h5\n"
	"  sextant heads runs/demo --step 963 --phase pretrain\n";

enum { KEY_RUN = 1 };
/* clang-format off */
static const struct argp_option options[] = {
	SX_ARG_JSON,
	SX_ARG_STEP,
	SX_ARG_PHASE,
	SX_ARG_KINDS("text"),
	{"over-run", KEY_RUN, NULL, 0, "print every score of every record instead, separated by tabs; an empty field is undefined", 0},
	{0}};
/* clang-format on */

struct args {
	sx_common common;
	sx_record_args record;
	const char *path;
	bool over_run;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	switch (key) {
	case KEY_RUN:
		a->over_run = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->path) argp_error(state, "%s: one FILE.h5 or RUN at a time", arg);
		a->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->over_run && (a->record.step >= 0 || a->record.phase >= 0))
			argp_error(state,
				   "--over-run prints every record: leave out --step and --phase");
		if (a->over_run && a->common.json)
			argp_error(state, "--json has every record, too: leave out --over-run");
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which FILE.h5 or RUN?");
		return 0;
	default:
		return sx_record_parse(&a->record, key, arg, state) == 0
			       ? 0
			       : sx_common_parse(&a->common, key, arg, state);
	}
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "FILE.h5|RUN", doc, NULL, NULL, NULL};
	sx_run_file *f = NULL;
	sx_heads *heads = NULL;
	sx_head_change *change = NULL;
	sx_heads_print p = {0};
	struct args a = {.common = {.ctx = ctx}, .record = {-1, -1, 0}};
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st != SX_OK) return st;
	SX_TRY(sx_run_open(&f, ctx, a.path));
	sx_heads_opts opts = {.kinds = a.record.kinds, .seed = 1};
	SX_TRY(sx_heads_read(&heads, ctx, f, &opts));
	p.path = sx_run_file_path(f);
	p.heads = heads;
	p.record = sx_heads_find(heads, a.record.step, a.record.phase);
	if (p.record < 0) {
		st = sx_fail(ctx, SX_ENOINPUT,
			     "%s: no such record of /stats; `sextant ls FILE /stats/step` lists "
			     "the steps and phases",
			     p.path);
		goto out;
	}
	SX_TRY(sx_heads_changes(&change, &p.n_change, ctx, heads));
	p.change = change;
	if (a.common.json)
		st = sx_heads_print_json(ctx, &p);
	else
		st = a.over_run ? sx_heads_print_run(ctx, &p) : sx_heads_print_text(ctx, &p);
out:
	free(change);
	sx_heads_free(heads);
	sx_run_file_close(f);
	return st;
}

extern const sx_cmd sx_cmd_heads;
const sx_cmd sx_cmd_heads = {"heads", "analysis", "what every head does: classes and scores", run};

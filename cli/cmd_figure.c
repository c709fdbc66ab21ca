/* sextant figure: one figure for a paper. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/labels.h"
#include "cli/cmd.h"
#include "cli/out.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_STYLE = 256,
	OPT_LABEL,
	OPT_DATA,
	OPT_STEP,
	OPT_SEQUENCE,
	OPT_HEADS,
	OPT_SCALE,
	OPT_OF,
	OPT_X,
	OPT_LOG,
	OPT_X_LABEL,
	OPT_Y_LABEL
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "The figure: .pdf, .svg or .png by its ending", 0},
	{"style", OPT_STYLE, "NAME", 0,
	 "The page it is for: icml (the default), icml-full, neurips, iclr, acm, notebook, slides",
	 0},
	{"label", OPT_LABEL, "A,B,..", 0,
	 "Names of the inputs in their order (lines: of the series); inputs with the same name are "
	 "seeds of one setting; a name with a comma in double quotes",
	 0},
	{"data", OPT_DATA, "FILE.csv", 0, "Write the numbers drawn, too", 0},
	{"step", OPT_STEP, "N", 0,
	 "Show the record after N updates (ac-grad, maps, offsets, plane, frequencies, bounds, "
	 "context of a run)",
	 0},
	{"sequence", OPT_SEQUENCE, "K", 0, "maps: of this probe sequence (default: the first)", 0},
	{"heads", OPT_HEADS, "HEADS", 0,
	 "maps, offsets: of these heads, e.g. L2-4/H* (default: all)", 0},
	{"scale", OPT_SCALE, "SCALE", 0, "maps: colours linear, sqrt (the default) or log", 0},
	{"of", OPT_OF, "NAME", 0,
	 "frequencies: logit_var (the default), logit_share, q_norm or k_norm; ac-grad: wq (the "
	 "default), wk, q, k or h; bounds: inequalities, I9,I10,I11 if not given; mix: a family of "
	 "c (default: diagonal); figure4: nearest (the default) or shape; context: chosen "
	 "(the default) or all temperatures",
	 0},
	{"x", OPT_X, "COLUMN", 0, "lines: the column of x (default: the first)", 0},
	{"log", OPT_LOG, "x|y", 0, "lines: this axis is logarithmic; may be given twice", 0},
	{"x-label", OPT_X_LABEL, "TEXT", 0, "lines: label of the x axis; a little TeX is read", 0},
	{"y-label", OPT_Y_LABEL, "TEXT", 0, "lines: label of the y axis", 0},
	{0}};

static const char doc[] =
	"Draws one figure in the size and with the fonts of a venue.\v"
	"`sextant figure list` names the figures and what each is drawn from. A run may be in "
	"training still.\n"
	"\n"
	"Examples:\n"
	"  sextant figure loss runs/rope runs/drope -o loss.pdf\n"
	"      one column of an ICML paper\n"
	"  sextant figure ac runs/rope runs/drope -o ac.svg --style neurips --data ac.csv\n"
	"      A_c of every head through the drop, and the numbers drawn\n"
	"  sextant figure lines results.csv --log x --y-label 'Accuracy' -o mine.pdf\n"
	"      numbers of your own";

/* Which choice of the figures an option is; what is not among them is every figure's. */
static const struct {
	int key;
	const char *name;
	unsigned bit;
} choices[] = {
	{OPT_LABEL, "label", SX_FIGURE_LABEL},
	{OPT_STEP, "step", SX_FIGURE_STEP},
	{OPT_SEQUENCE, "sequence", SX_FIGURE_SEQUENCE},
	{OPT_HEADS, "heads", SX_FIGURE_HEADS},
	{OPT_SCALE, "scale", SX_FIGURE_SCALE},
	{OPT_OF, "of", SX_FIGURE_OF},
	{OPT_X, "x", SX_FIGURE_AXES},
	{OPT_LOG, "log", SX_FIGURE_AXES},
	{OPT_X_LABEL, "x-label", SX_FIGURE_AXES},
	{OPT_Y_LABEL, "y-label", SX_FIGURE_AXES},
};
enum { N_CHOICES = sizeof choices / sizeof choices[0] };

/* The words of a command line. */
typedef struct {
	sx_figure_args figure;
	bool given[N_CHOICES];
} arguments;

static bool scale_of(const char *word, sx_fig_map_scale *out)
{
	static const char *const names[] = {"linear", "sqrt", "log"};
	for (int i = 0; i < 3; i++)
		if (strcmp(word, names[i]) == 0) {
			*out = (sx_fig_map_scale)i;
			return true;
		}
	return false;
}

static error_t parse_more(sx_figure_args *a, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case OPT_HEADS:
		a->heads = arg;
		return 0;
	case OPT_SCALE:
		if (!scale_of(arg, &a->scale))
			argp_error(state, "--scale is linear, sqrt or log, not %s", arg);
		return 0;
	case OPT_OF:
		a->of = arg;
		return 0;
	case OPT_X:
		a->x = arg;
		return 0;
	case OPT_LOG:
		if (strcmp(arg, "x") != 0 && strcmp(arg, "y") != 0)
			argp_error(state, "--log is x or y, not %s", arg);
		*(arg[0] == 'x' ? &a->log_x : &a->log_y) = true;
		return 0;
	case OPT_X_LABEL:
		a->x_label = arg;
		return 0;
	case OPT_Y_LABEL:
		a->y_label = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int64_t parse_number(struct argp_state *state, const char *option, const char *arg)
{
	char *end;
	long long v = strtoll(arg, &end, 10);
	if (*end || end == arg || v < 0)
		argp_error(state, "--%s takes a whole number, not %s", option, arg);
	return v;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *all = state->input;
	sx_figure_args *a = &all->figure;
	for (int i = 0; i < N_CHOICES; i++)
		if (choices[i].key == key) all->given[i] = true;
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
	case OPT_STEP:
		a->step = parse_number(state, "step", arg);
		return 0;
	case OPT_SEQUENCE:
		a->sequence = parse_number(state, "sequence", arg);
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
		return parse_more(a, key, arg, state);
	}
}

static sx_status list(sx_ctx *ctx)
{
	for (const sx_figure_row *const *r = sx_figure_rows; *r; r++)
		printf("%-12s %s\n", (*r)->name, (*r)->what);
	if (fflush(stdout) == 0) return SX_OK;
	return sx_fail(ctx, SX_EIO, "writing to standard output failed: %s", strerror(errno));
}

/* Refuses a choice that the figure does not take, naming those that do. */
static sx_status refuse(sx_ctx *ctx, const sx_figure_row *row, int choice)
{
	char *names = sx_strdup("");
	for (const sx_figure_row *const *r = sx_figure_rows; *r && names; r++) {
		if (!((*r)->takes & choices[choice].bit)) continue;
		char *more = sx_format("%s%s%s", names, *names ? ", " : "", (*r)->name);
		free(names);
		names = more;
	}
	sx_status st = sx_fail(ctx, SX_EUSAGE,
			       "--%s does not apply to figure %s; it is for %s: leave it out",
			       choices[choice].name, row->name, names ? names : "others");
	free(names);
	return st;
}

static sx_status check(sx_ctx *ctx, const arguments *all, const sx_figure_row **row)
{
	const sx_figure_args *a = &all->figure;
	const sx_figure_row *r = sx_figure_row_find(a->name);
	if (!r)
		return sx_fail(ctx, SX_EUSAGE, "no figure %s; `sextant figure list` names them",
			       a->name);
	if (a->n_input < r->least || (r->most > 0 && a->n_input > r->most))
		return sx_fail(ctx, SX_EUSAGE, "figure %s needs %s", r->name, r->needs);
	for (int i = 0; i < N_CHOICES; i++)
		if (all->given[i] && !(r->takes & choices[i].bit)) return refuse(ctx, r, i);
	if (!a->output) return sx_fail(ctx, SX_EUSAGE, "where to? Give -o FILE.pdf, .svg or .png");
	int n = sx_label_count(a->labels);
	if (a->labels && !r->labels_are_series && n != a->n_input)
		return sx_fail(ctx, SX_EUSAGE, "--label has %d names for %d inputs", n, a->n_input);
	*row = r;
	return SX_OK;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "NAME INPUT..\nlist", doc, NULL,
					 NULL,    NULL};
	arguments all = {.figure = {.style = sx_fig_style_find("icml"),
				    .step = -1,
				    .sequence = -1,
				    .scale = SX_FIG_SCALE_SQRT}};
	const sx_figure_args *a = &all.figure;
	char name[] = "sextant figure";
	argv[0] = name;
	if (argp_parse(&argp, argc, argv, 0, NULL, &all) != 0 || !a->name)
		return sx_fail(ctx, SX_EUSAGE, "figure: see sextant figure --help");
	if (strcmp(a->name, "list") == 0) {
		if (argc > 2) return sx_fail(ctx, SX_EUSAGE, "figure list takes nothing else");
		return list(ctx);
	}

	sx_status st = SX_OK;
	sx_fig *f = NULL;
	const sx_figure_row *row = sx_figure_rows[0];
	SX_TRY(check(ctx, &all, &row));
	SX_TRY(row->make(&f, ctx, a));
	if (sx_fig_is_empty(f))
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "there is nothing to draw: not one of the values for figure %s is a "
			       "number that its axes can show",
			       row->name));
	SX_TRY(sx_fig_save(f, ctx, a->output));
	if (a->data) SX_TRY(sx_fig_save_data(f, ctx, a->data));
	sx_log(ctx, SX_LOG_INFO, "%s: %s", a->output, sx_fig_alt(f));
out:
	sx_fig_free(f);
	return st;
}

const sx_cmd sx_cmd_figure = {"figure", "analysis", "one figure for a paper", run};

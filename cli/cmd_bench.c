/* sextant bench: how fast a training step is, beside what bounds it, and what observers add to it,
 * measured in the same minute. */
#include "cli/bench/bench.h"
#include "cli/cmd.h"
#include "engine/op/blas.h"

#include <string.h>

extern const sx_cmd sx_cmd_bench;

enum {
	KEY_LAYERS = 0x100,
	KEY_WIDTH,
	KEY_HEADS,
	KEY_FFN,
	KEY_CONTEXT,
	KEY_BATCH,
	KEY_VOCAB,
	KEY_ROUNDS,
	KEY_PAIRS,
	KEY_OBSERVERS
};

/* clang-format off */
static const struct argp_option options[] = {
	{"layers", KEY_LAYERS, "N", 0, "layers (default: 6)", 1},
	{"width", KEY_WIDTH, "N", 0, "width (default: 384)", 1},
	{"heads", KEY_HEADS, "N", 0, "heads (default: 6)", 1},
	{"ffn", KEY_FFN, "N", 0, "hidden width of the MLP (default: 1024)", 1},
	{"vocab", KEY_VOCAB, "N", 0, "vocabulary (default: 512)", 1},
	{"context", KEY_CONTEXT, "N", 0, "tokens of a window (default: 256)", 1},
	{"batch", KEY_BATCH, "N", 0, "windows of a step (default: 8)", 1},
	{"rounds", KEY_ROUNDS, "N", 0, "quiet rounds of `step` to measure (default: 7)", 2},
	{"pairs", KEY_PAIRS, "N", 0, "pairs of `probes` and `pass` to measure (default: 200)", 2},
	{"observers", KEY_OBSERVERS, "LIST", 0, "which of them `probes` and `pass` measure, by their names in --json (default: all)", 2},
	SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};

static const struct {
	const char *name, *summary;
	sx_bench_fn *run;
} benches[] = {
	{"step",   "a training step beside the bare products in it and the FMA peak", sx_bench_steps},
	{"probes", "a training step with and without observers",                      sx_bench_probes},
	{"pass",   "a forward pass with and without observers",                       sx_bench_pass},
};
/* clang-format on */
enum { N_BENCHES = sizeof benches / sizeof benches[0] };

static const char doc[] =
	"Without a word: lists what can be benched; `bench all` does all of it. `bench step` "
	"times, by "
	"turns in one process, a training step (forward, backward, clipping, AdamW), the bare "
	"matrix "
	"products in it, and the machine's fused multiply-adds in registers, and prints their "
	"ratios. `bench probes` times training steps with and without observers by turns, `bench "
	"pass` forward passes, and prints what each observer adds: the median over pairs of turns "
	"and "
	"the bootstrap 95 % upper limit of that median.\v"
	"The bare products are a lower bound of a step's time: every linear product and the six of "
	"attention, nothing between them, linear ones by the engine's tiles or by OpenBLAS's own "
	"threads, whichever is faster. Rounds during which other programs used more than a tenth "
	"of a core are measured again, up to three times as many in all.\n\n"
	"Examples:\n"
	"  sextant bench step\n"
	"  sextant bench probes --layers 5 --width 64 --heads 2 --ffn 176 --context 128 \\\n"
	"          --batch 32 --vocab 256 --pairs 500 --threads 1 --json\n";

static bool is_known(const char *what)
{
	bool known = strcmp(what, "all") == 0;
	for (int i = 0; i < N_BENCHES; i++) known |= strcmp(what, benches[i].name) == 0;
	return known;
}

/* Refuses options that what is benched has no use for. */
static void check_given(struct argp_state *state, const sx_bench_args *a)
{
	bool step = a->what && strcmp(a->what, "step") == 0;
	bool all = a->what && strcmp(a->what, "all") == 0;
	const char *none = !a->what ? a->of_step    ? a->of_step
				      : a->of_pairs ? a->of_pairs
						    : a->of_any
			   : all    ? NULL
			   : step   ? a->of_pairs
				    : a->of_step;
	if (none && !a->what) argp_error(state, "%s: of what? step, probes, pass, or all", none);
	if (none) argp_error(state, "%s does not apply to `bench %s`: leave it out", none, a->what);
}

static error_t parse_sizes(int key, char *arg, struct argp_state *state)
{
	sx_bench_args *a = state->input;
	const struct {
		int key;
		const char *name;
		int *value;
	} sizes[] = {{KEY_LAYERS, "--layers", &a->spec.L},
		     {KEY_WIDTH, "--width", &a->spec.C},
		     {KEY_HEADS, "--heads", &a->spec.H},
		     {KEY_FFN, "--ffn", &a->spec.F},
		     {KEY_VOCAB, "--vocab", &a->spec.V}};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (sizes[i].key != key) continue;
		int64_t n = sx_parse_count(state, sizes[i].name, arg);
		if (n > 1 << 22) argp_error(state, "%s %s: too large", sizes[i].name, arg);
		*sizes[i].value = (int)n;
		a->of_any = sizes[i].name;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	sx_bench_args *a = state->input;
	if (parse_sizes(key, arg, state) == 0) return 0;
	switch (key) {
	case KEY_CONTEXT:
		a->of_any = "--context";
		a->spec.T = sx_parse_count(state, "--context", arg);
		return 0;
	case KEY_BATCH:
		a->of_any = "--batch";
		a->batch = sx_parse_count(state, "--batch", arg);
		return 0;
	case KEY_ROUNDS:
		a->of_step = "--rounds";
		a->rounds = sx_parse_count(state, "--rounds", arg);
		return 0;
	case KEY_PAIRS:
		a->of_pairs = "--pairs";
		a->pairs = sx_parse_count(state, "--pairs", arg);
		return 0;
	case KEY_OBSERVERS:
		a->of_pairs = "--observers";
		a->observers = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->what) argp_error(state, "%s: one benchmark at a time, or all", arg);
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->what && !is_known(a->what))
			argp_error(state,
				   "%s cannot be benched; known: step, probes, pass, and all",
				   a->what);
		check_given(state, a);
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- the verb ---- */

static sx_status list(sx_ctx *ctx, bool json)
{
	json_t *all = json ? json_object() : NULL;
	for (int i = 0; i < N_BENCHES; i++)
		if (json)
			json_object_set_new(all, benches[i].name, json_string(benches[i].summary));
		else
			printf("%-7s %s\n", benches[i].name, benches[i].summary);
	return json ? sx_print_json(ctx, all) : SX_OK;
}

/* What argp cannot see: numbers against each other. */
static sx_status check(sx_ctx *ctx, sx_bench_args *a)
{
	const int64_t most = 1 << 24;
	sx_spec *p = &a->spec;
	if (p->C % p->H)
		return sx_fail(ctx, SX_EUSAGE, "--width %d is no multiple of --heads %d", p->C,
			       p->H);
	if (p->T > most || a->batch > most / p->T || a->rounds > most || a->pairs > 1 << 16)
		return sx_fail(ctx, SX_EUSAGE,
			       "--batch %lld, --context %lld, --rounds %lld, --pairs %lld: want at "
			       "most %lld tokens and rounds, %d pairs",
			       (long long)a->batch, (long long)p->T, (long long)a->rounds,
			       (long long)a->pairs, (long long)most, 1 << 16);
	p->D = p->C / p->H, p->Hkv = p->H;
	return sx_spec_check(p, ctx);
}

/* Every one that is asked for; all of them make one document. */
static sx_status bench(sx_ctx *ctx, const sx_bench_args *asked)
{
	bool all = strcmp(asked->what, "all") == 0, first = true;
	json_t *docs = all && asked->common.json ? json_object() : NULL, *one = NULL;
	sx_status st = SX_OK;
	for (int i = 0; i < N_BENCHES; i++) {
		sx_bench_args a = *asked;
		if (!all && strcmp(a.what, benches[i].name) != 0) continue;
		a.what = benches[i].name;
		if (!a.common.json && !first) printf("\n");
		first = false;
		SX_TRY(benches[i].run(&one, ctx, &a));
		if (docs) {
			json_object_set_new(docs, a.what, one);
			one = NULL;
		}
	}
	if (asked->common.json) {
		st = sx_print_json(ctx, all ? docs : one);
		docs = one = NULL;
	}
out:
	json_decref(docs);
	json_decref(one);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "[step|probes|pass|all]", doc, NULL,
					 NULL,    NULL};
	sx_bench_args a = {.common.ctx = ctx,
			   .batch = 8,
			   .rounds = 7,
			   .pairs = 200,
			   .spec = sx_spec_default()};
	a.spec.L = 6, a.spec.C = 384, a.spec.H = 6, a.spec.F = 1024, a.spec.V = 512;
	a.spec.T = 256, a.spec.tied = true;
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st != SX_OK) return st;
	if (!a.what) return list(ctx, a.common.json);
	st = check(ctx, &a);
	if (st != SX_OK) return st;
	sx_blas_start(ctx, a.common.threads);
	return bench(ctx, &a);
}

const sx_cmd sx_cmd_bench = {"bench", "settings", "speed of a training step, cost of observers",
			     run};

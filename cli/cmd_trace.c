/* One instrumented pass over a text: statistics of all heads, A_c and its gradients, chosen maps. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/provenance.h"
#include "cli/sequences.h"
#include "cli/trace_pass.h"
#include "engine/blas.h"
#include "probes/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_trace;

typedef struct {
	sx_common common;
	sx_input_words in;
	const char *model, *out, *maps, *maps_type, *observe;
	sx_reduce_words reduce;
	bool logits, grad, reducing;
	int n;
	char **overrides;
} arguments;

enum {
	KEY_MAPS = 0x100,
	KEY_MAPS_TYPE,
	KEY_LOGITS,
	KEY_GRAD,
	KEY_OBSERVE,
	KEY_REDUCE,
	KEY_HEADS,
	KEY_ROWS,
	KEY_SPANS,
	KEY_TOP,
	KEY_THUMBNAILS
};

/* clang-format off */
static const struct argp_option options[] = {
	{"text", SX_KEY_TEXT, "FILE", 0, "trace this text (default: held-out sequences of the data MODEL was trained on)", 1},
	SX_ARG_TOKENS, SX_ARG_PROMPT,
	{"output", 'o', "FILE.h5", 0, "the run file to write", 1},
	{"length", SX_KEY_LENGTH, "N", 0, "sequences of N tokens (default: one sequence of all of the input; without one, the trained length)", 2},
	{"sequences", SX_KEY_SEQUENCES, "K", 0, "take the first K of the input (default: all), or K held-out ones of each kind (default: 8)", 2},
	SX_ARG_KINDS, SX_ARG_BOS, SX_ARG_NO_BOS, SX_ARG_TOKENIZER,
	{"ac", SX_KEY_AC, "LIST", 0, "families of A_c (default: diagonal,previous)", 3},
	{"maps", KEY_MAPS, "HEADS", 0, "keep the attention maps of these heads, e.g. L2-4/H*", 3},
	{"maps-type", KEY_MAPS_TYPE, "f16|f32", 0, "their number format in the file (default: f16)", 3},
	{"logits", KEY_LOGITS, NULL, 0, "keep the logits", 3},
	{"grad", KEY_GRAD, NULL, 0, "gradients of the loss in every head (/grad): twice the time", 3},
	{"observe", KEY_OBSERVE, "LIST", 0, "which of stats, rope, ac, or none (default: stats,rope,ac)", 3},
	{"reduce", KEY_REDUCE, "LIST", OPTION_ARG_OPTIONAL, "sums over all of a head's attention (/reduce): offsets, keys, rows, masses, distance (default: all)", 4},
	{"spans", KEY_SPANS, "FILE", 0, "reduce to the mass on spans: lines NAME FIRST LAST [SEQUENCE], positions from 0", 4},
	{"top", KEY_TOP, "K", 0, "reduce to the K largest weights of every row (K <= 16)", 4},
	{"thumbnails", KEY_THUMBNAILS, "N", 0, "reduce the maps to N x N blocks: mean and largest weight", 4},
	{"heads", KEY_HEADS, "HEADS", 0, "reduce these heads only, e.g. L2-4/H*", 4},
	{"rows", KEY_ROWS, "ROWS", 0, "reduce these queries only, e.g. 0-1023,4096-", 4},
	{"precision", SX_KEY_PRECISION, "f32|f64", 0, "of the whole pass (default: f32)", 5},
	SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Runs one instrumented forward pass of MODEL and writes what every head did to a run file: "
	"statistics, A_c and its gradients, frequency use, next-token losses.\v"
	"Examples:\n"
	"  sextant trace runs/rope --kinds text,repeated --sequences 16 -o trace.h5\n"
	"  sextant trace stories260K.bin --tokenizer tok512.bin --prompt 'Once upon a time' \\\n"
	"          --maps 'L*/H*' -o nope.h5 pos.method=nope\n"
	"  sextant trace runs/rope --text long.txt --length 65536 --observe none --reduce \\\n"
	"          --thumbnails 256 -o long.h5\n";

/* The options of /reduce; false where key is none of them. */
static bool parse_reduce(arguments *a, int key, char *arg, struct argp_state *state)
{
	int64_t n;
	switch (key) {
	case KEY_REDUCE:
		a->reduce.what = arg ? arg : "all";
		a->reducing = true;
		return true;
	case KEY_SPANS:
		a->reduce.spans = arg;
		a->reducing = true;
		return true;
	case KEY_TOP:
		n = sx_parse_count(state, "--top", arg);
		if (n > SX_REDUCE_TOP)
			argp_error(state, "--top %s: want at most %d", arg, SX_REDUCE_TOP);
		a->reduce.top = (int)n;
		a->reducing = true;
		return true;
	case KEY_THUMBNAILS:
		a->reduce.thumbnails = sx_parse_count(state, "--thumbnails", arg);
		a->reducing = true;
		return true;
	case KEY_HEADS:
		a->reduce.heads = arg;
		return true;
	case KEY_ROWS:
		a->reduce.rows = arg;
		return true;
	default:
		return false;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (parse_reduce(a, key, arg, state)) return 0;
	switch (key) {
	case KEY_OBSERVE:
		a->observe = arg;
		return 0;
	case KEY_MAPS:
		a->maps = arg;
		return 0;
	case KEY_MAPS_TYPE:
		a->maps_type = arg;
		return 0;
	case KEY_LOGITS:
		a->logits = true;
		return 0;
	case KEY_GRAD:
		a->grad = true;
		return 0;
	case 'o':
		a->out = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->model)
			a->model = arg;
		else if (sx_is_override(arg))
			a->overrides[a->n++] = arg;
		else
			argp_error(state, "%s: want MODEL and then key=value", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->model) argp_error(state, "which MODEL?");
		if (!a->out || !*a->out) argp_error(state, "where to? -o FILE.h5");
		if (strcmp(a->maps_type, "f16") != 0 && strcmp(a->maps_type, "f32") != 0)
			argp_error(state, "--maps-type %s: want f16 or f32", a->maps_type);
		if ((a->reduce.heads || a->reduce.rows) && !a->reducing)
			argp_error(state, "--heads and --rows belong to --reduce, --spans, --top, "
					  "--thumbnails");
		break;
	}
	return sx_input_parse(&a->in, &a->common, key, arg, state);
}

static sx_status define_out(sx_run *run, const sx_sequences *in, const sx_spec *spec, bool logits)
{
	sx_status st = SX_OK;
	SX_TRY(sx_run_axis_index(run, SX_RUN_OUT_SEQUENCE, in->S));
	SX_TRY(sx_run_axis_index(run, SX_RUN_OUT_QUERY, in->T));
	SX_TRY(sx_run_define(run, SX_RUN_OUT_NLL));
	if (!logits) goto out;
	SX_TRY(sx_run_axis_index(run, SX_RUN_OUT_VOCAB, spec->V));
	SX_TRY(sx_run_define(run, SX_RUN_OUT_LOGITS));
out:
	return st;
}

static sx_status write_file(sx_ctx *ctx, const arguments *a, const sx_source *s,
			    const char *command, const sx_record_axes *axes, const sx_sequences *in,
			    const sx_measures *m, const double *nll, const float *logits)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	SX_TRY(sx_run_create(&run, ctx, a->out, false));
	SX_TRY(sx_provenance(run, ctx, command, s->seed, a->in.f64 ? "f64" : "f32", command,
			     &s->spec));
	SX_TRY(sx_run_attr_int(run, "/", "step_known", s->step_known));
	SX_TRY(sx_record_define(run, axes));
	SX_TRY(define_out(run, in, &s->spec, logits != NULL));
	SX_TRY(sx_run_start(run));
	SX_TRY(sx_record_put(run, ctx, axes, m, &s->spec, s->step, s->phase, true));
	SX_TRY(sx_run_put(run, SX_RUN_OUT_NLL, 0, nll));
	if (logits) SX_TRY(sx_run_put(run, SX_RUN_OUT_LOGITS, 0, logits));
	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
out:
	sx_run_free(run);
	return st;
}

static void report(sx_ctx *ctx, const arguments *a, const sx_sequences *in, const double *nll)
{
	double sum = 0;
	int64_t n = 0;
	for (int64_t i = 0; i < in->S * in->T; i++)
		if (isfinite(nll[i])) sum += nll[i], n++;
	if (n)
		sx_log(ctx, SX_LOG_INFO,
		       "%s: %lld x %lld tokens, mean loss %.4f nats over %lld predictions", a->out,
		       (long long)in->S, (long long)in->T, sum / (double)n, (long long)n);
	else
		sx_log(ctx, SX_LOG_INFO, "%s: one token, nothing to predict", a->out);
}

/* --observe. */
static sx_status choose_observers(sx_measure_opts *o, sx_ctx *ctx, const char *list)
{
	const char *s = strcmp(list, "none") == 0 ? "" : list;
	while (*s) {
		size_t n = strcspn(s, ",");
		if (n == 5 && strncmp(s, "stats", n) == 0)
			o->stats = true;
		else if (n == 4 && strncmp(s, "rope", n) == 0)
			o->rope = true;
		else if (n == 2 && strncmp(s, "ac", n) == 0)
			o->ac = o->ac_gradients = o->spread = true;
		else
			return sx_fail(ctx, SX_EUSAGE,
				       "--observe %s: want stats, rope, ac with commas, or none",
				       list);
		s += n + (s[n] == ',');
	}
	return SX_OK;
}

static sx_status trace(sx_ctx *ctx, const arguments *a, const char *command)
{
	sx_status st = SX_OK;
	sx_source s = {0};
	sx_sequences in = {0};
	sx_map_choice *map = NULL;
	sx_reduce *reduce = NULL;
	sx_measures *m = NULL;
	double *nll = NULL;
	float *logits = NULL;
	sx_family family[SX_FAMILY_MOST];
	sx_measure_opts o = {0};
	int64_t n_c = 0;
	SX_TRY(choose_observers(&o, ctx, a->observe));
	SX_TRY(sx_families_parse(family, &n_c, ctx, a->in.ac));
	SX_TRY(sx_source_open(&s, ctx, a->model, a->in.tokenizer, a->n, a->overrides, NULL));
	SX_TRY(sx_sequences_read(&in, ctx, &a->in,
				 &(sx_input_default){"text", SX_HELD_OUT_SEQUENCES, 0, false}, &s));
	if (a->maps) SX_TRY(sx_select_heads(&map, &o.n_map, ctx, a->maps, s.spec.L, s.spec.H));
	o.map = map;
	o.grad = a->grad;
	o.query_row = in.query_row;
	if (a->reducing)
		SX_TRY(sx_reduce_new(&reduce, ctx, &a->reduce, s.spec.L, s.spec.H, in.S, in.T));
	o.reduce = reduce;
	SX_TRY(sx_measures_new(&m, ctx, &o, in.S, s.spec.L, s.spec.H, in.T, s.spec.D / 2, n_c));
	nll = sx_calloc((size_t)(in.S * in.T), sizeof *nll);
	if (a->logits) logits = sx_calloc((size_t)(in.S * in.T * s.spec.V), sizeof *logits);
	if (!nll || (a->logits && !logits)) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the results");
		goto out;
	}
	sx_trace_input t = {.spec = &s.spec,
			    .tensors = s.tensors,
			    .seed = s.seed,
			    .init = (int)s.init,
			    .S = in.S,
			    .T = in.T,
			    .tokens = in.tokens,
			    .target = in.target,
			    .measure = &o,
			    .family = family,
			    .threads = sx_blas_threads()};
	SX_TRY(a->in.f64 ? sx_trace_f64(ctx, &t, m, nll, logits)
			 : sx_trace(ctx, &t, m, nll, logits));
	sx_record_axes axes = {.spec = &s.spec,
			       .S = in.S,
			       .T = in.T,
			       .kind = in.kind,
			       .tokens = in.tokens,
			       .measure = &o,
			       .family = family,
			       .n_c = n_c,
			       .maps_f32 = strcmp(a->maps_type, "f32") == 0,
			       .records = 1,
			       .samples = in.S};
	SX_TRY(write_file(ctx, a, &s, command, &axes, &in, m, nll, logits));
	report(ctx, a, &in, nll);
out:
	sx_source_free(&s);
	sx_measures_free(m);
	free(map);
	sx_reduce_free(reduce);
	sx_sequences_free(&in);
	free(nll);
	free(logits);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx},
		       .maps_type = "f16",
		       .observe = "stats,rope,ac",
		       .in.ac = "diagonal,previous"};
	const struct argp argp = {options, parse, "MODEL [key=value..]", doc, NULL, NULL, NULL};
	char *command = sx_command_line("trace", argc, argv);
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!command || !a.overrides) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for options");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	sx_blas_start(ctx, a.common.threads);
	SX_TRY(trace(ctx, &a, command));
out:
	free(command);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_trace = {"trace", "models", "one instrumented pass over a text", run};

/* One instrumented pass over a text: statistics of all heads, A_c and its gradients, chosen maps. */
#include "cli/cmd.h"
#include "cli/input_args.h"
#include "cli/memory.h"
#include "cli/observing.h"
#include "cli/out.h"
#include "engine/op/blas.h"
#include "probes/lab/cost.h"
#include "probes/lab/subject.h"
#include "probes/record/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_trace;

typedef struct {
	sx_common common;
	sx_sequences_words in;
	sx_observe_words observe;
	const char *model, *toward, *out;
	bool batch;
	int64_t memory; /* bytes; 0 = what is available */
	int n;
	char **overrides;
} arguments;

enum { KEY_BATCH = 0x100, KEY_TOWARD, KEY_MEMORY };
static const char standard_families[] = "diagonal,previous";

/* clang-format off */
static const struct argp_option options[] = {
	{"text", SX_KEY_TEXT, "FILE|-", 0, "trace this text, - is standard input (default: held-out sequences of the data MODEL was trained on)", 1},
	SX_ARG_WORDS, SX_ARG_TOKENS, SX_ARG_IDS, SX_ARG_PROMPT,
	{"output", 'o', "FILE.h5", 0, "the run file to write", 1},
	{"length", SX_KEY_LENGTH, "N", 0, "sequences of N tokens (default: one sequence of all of the input; without one, the trained length)", 2},
	{"sequences", SX_KEY_SEQUENCES, "K", 0, "take the first K of the input (default: all), or K held-out ones of each kind (default: 8)", 2},
	SX_ARG_KINDS, SX_ARG_BOS, SX_ARG_NO_BOS, SX_ARG_TOKENIZER,
	{"ac", SX_KEY_AC, "LIST", 0, "families of A_c (default: diagonal,previous)", 3},
	SX_ARGS_OBSERVE,
	{"batch-grad", KEY_BATCH, NULL, 0, "also the gradient of the mean of A_c over the sequences, by W_Q and W_K", 3},
	{"toward", KEY_TOWARD, "MODEL", 0, "also how A_c changes up to these later weights: what happened, what W_Q and W_K do alone, and the first order of it", 3},
	SX_ARGS_REDUCE, SX_ARGS_REDUCE_SPANS,
	{"precision", SX_KEY_PRECISION, "f32|f64", 0, "of the whole pass (default: f32)", 5},
	SX_ARG_NO_CHECK,
	{"memory", KEY_MEMORY, "SIZE", 0, "refuse to begin what needs more, e.g. 8G (default: what is available); `sextant plan` says what it needs", 5},
	SX_ARG_IGNORE, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
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
	"  sextant trace runs/rope@100 --toward runs/rope@101 --precision f64 -o update.h5\n"
	"  sextant trace runs/rope --text long.txt --length 65536 --observe ac_value --reduce \\\n"
	"          --thumbnails 256 -o long.h5\n"
	"  sextant trace runs/rope --sites x,q_rot,k_rot,z --heads 'L2-4/H*' --rows 0-15,100- \\\n"
	"          -o sites.h5\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (sx_observe_parse(&a->observe, key, arg, state) == 0) return 0;
	switch (key) {
	case KEY_MEMORY:
		a->memory = sx_memory_parse(state, "--memory", arg);
		return 0;
	case KEY_TOWARD:
		a->toward = arg;
		return 0;
	case KEY_BATCH:
		a->batch = true;
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
		break;
	}
	return sx_sequences_parse(&a->in, &a->common, key, arg, state);
}

/* What a trace is made of. */
typedef struct {
	sx_ctx *ctx;
	const arguments *a;
	sx_subject subject;
	sx_source later; /* its name is NULL where there is none */
	sx_map_choice *map;
	sx_reduce *reduce;
	sx_sites *sites;
	sx_measure_opts measure;
	sx_record_axes axes;
	sx_measures *found;
	double *nll;   /* (S,T)   */
	float *logits; /* (S,T,V) */
	sx_run *run;
	sx_map_sink *sink;
} job;

static void finish(job *j)
{
	sx_map_sink_free(j->sink);
	sx_run_free(j->run);
	sx_subject_free(&j->subject);
	sx_source_free(&j->later);
	sx_measures_free(j->found);
	free(j->map);
	sx_reduce_free(j->reduce);
	sx_sites_free(j->sites);
	free(j->nll);
	free(j->logits);
}

/* Refuses what does not fit before any work is done. */
static sx_status check_memory(const job *j)
{
	sx_memory_line line[SX_TRACE_MEMORY];
	const sx_trace_cost cost = {.measure = &j->measure,
				    .S = j->subject.in.S,
				    .T = j->subject.in.T,
				    .n_c = j->subject.n_c,
				    .logits = j->a->observe.logits,
				    .f64 = j->a->in.f64,
				    .toward = j->a->toward != NULL,
				    .maps_f32 = j->a->observe.maps_f32,
				    .threads = sx_blas_threads()};
	int n = sx_cost_trace_memory(line, &j->subject.source.spec, &cost);
	char what[80];
	snprintf(what, sizeof what, "a trace of %lld x %lld tokens", (long long)j->subject.in.S,
		 (long long)j->subject.in.T);
	return sx_memory_check(j->ctx, line, n, j->a->memory, what);
}

static bool same_shape(const sx_spec *a, const sx_spec *b)
{
	return a->L == b->L && a->H == b->H && a->Hkv == b->Hkv && a->D == b->D && a->C == b->C &&
	       a->F == b->F && a->V == b->V && a->tied == b->tied && a->qk_norm == b->qk_norm &&
	       a->qkv_bias == b->qkv_bias && sx_block_same(&a->block, &b->block) &&
	       a->interleaved == b->interleaved && !(a->eps < b->eps) && !(a->eps > b->eps);
}

/* The later weights, which must differ from the model's in their numbers alone. */
static sx_status open_later(job *j)
{
	const arguments *a = j->a;
	bool same = false;
	sx_status st = SX_OK;
	if (!a->toward) return SX_OK;
	if (!j->measure.ac_gradients)
		return sx_fail(j->ctx, SX_EUSAGE,
			       "--toward needs A_c and its gradients: want --observe with ac");
	SX_TRY(sx_source_open(&j->later, j->ctx, a->toward, a->in.tokenizer, a->n, a->overrides,
			      NULL));
	if (j->later.tensors) j->later.tensors->unchecked = a->in.unchecked;
	if (!j->subject.source.tensors || !j->later.tensors)
		return sx_fail(j->ctx, SX_EUSAGE,
			       "--toward goes from a model's weights to a model's; a configuration "
			       "has none");
	if (!same_shape(&j->subject.source.spec, &j->later.spec))
		return sx_fail(j->ctx, SX_EDATA, "%s and %s are not of the same shape", a->model,
			       a->toward);
	const sx_spec *now = &j->subject.source.spec, *later = &j->later.spec;
	SX_TRY(sx_pos_plans_same(&same, j->ctx, &now->pos, sx_spec_shape(now), &later->pos,
				 sx_spec_shape(later), j->subject.in.T));
	if (!same)
		st = sx_fail(j->ctx, SX_EDATA,
			     "%s and %s have different positions; choose them for both, as with "
			     "pos.method=nope",
			     a->model, a->toward);
	j->measure.ac_toward = true;
out:
	return st;
}

static sx_status read_input(job *j)
{
	const arguments *a = j->a;
	const sx_sequences_default otherwise = {"text", SX_HELD_OUT_SEQUENCES, 0, false};
	sx_status st = SX_OK;
	SX_TRY(sx_subject_open(&j->subject, j->ctx, a->model, a->n, a->overrides, &a->in,
			       &otherwise));
	const sx_spec *s = &j->subject.source.spec;
	SX_TRY(sx_observe_choose(&j->measure, &j->map, &j->reduce, &j->sites, j->ctx, &a->observe,
				 s, j->subject.in.S, j->subject.in.T));
	if (a->in.ac != standard_families && !j->measure.ac)
		SX_TRY(sx_fail(j->ctx, SX_EUSAGE,
			       "--ac names families of A_c, which --observe %s leaves out: want "
			       "--observe with ac or ac_value, or no --ac",
			       a->observe.observe));
	SX_TRY(open_later(j));
	if (a->batch && !j->measure.ac_gradients)
		SX_TRY(sx_fail(j->ctx, SX_EUSAGE,
			       "--batch-grad needs A_c and its gradients: want --observe with ac"));
	j->measure.ac_batch = a->batch;
	j->measure.query_row = j->subject.in.query_row;
	SX_TRY(check_memory(j));
	SX_TRY(sx_measures_new(&j->found, j->ctx, &j->measure, j->subject.in.S, s->L, s->H,
			       j->subject.in.T, s->D / 2, j->subject.n_c));
	j->nll = sx_calloc((size_t)(j->subject.in.S * j->subject.in.T), sizeof *j->nll);
	if (a->observe.logits)
		j->logits = sx_calloc((size_t)(j->subject.in.S * j->subject.in.T * s->V),
				      sizeof *j->logits);
	if (!j->nll || (a->observe.logits && !j->logits))
		st = sx_fail(j->ctx, SX_ENOMEM, "no memory for the results");
out:
	return st;
}

static sx_status define_out(const job *j)
{
	sx_status st = SX_OK;
	SX_TRY(sx_run_axis_index(j->run, SX_RUN_OUT_SEQUENCE, j->subject.in.S));
	SX_TRY(sx_run_axis_index(j->run, SX_RUN_OUT_QUERY, j->subject.in.T));
	SX_TRY(sx_run_define(j->run, SX_RUN_OUT_NLL));
	if (!j->logits) goto out;
	SX_TRY(sx_run_axis_index(j->run, SX_RUN_OUT_VOCAB, j->subject.source.spec.V));
	SX_TRY(sx_run_define(j->run, SX_RUN_OUT_LOGITS));
out:
	return st;
}

/* The file is there before the pass: maps go into it layer by layer. */
static sx_status open_file(job *j, const char *command)
{
	sx_status st = SX_OK;
	const sx_source *s = &j->subject.source;
	j->axes = (sx_record_axes){.spec = &s->spec,
				   .S = j->subject.in.S,
				   .T = j->subject.in.T,
				   .kind = j->subject.in.kind,
				   .tokens = j->subject.in.tokens,
				   .measure = &j->measure,
				   .family = j->subject.family,
				   .n_c = j->subject.n_c,
				   .maps_f32 = j->a->observe.maps_f32,
				   .maps_stored = j->a->observe.maps_stored,
				   .records = 1,
				   .samples = j->subject.in.S};
	SX_TRY(sx_subject_file(&j->run, j->ctx, &j->subject, j->a->out, command));
	SX_TRY(sx_record_define(j->run, &j->axes));
	if (j->a->toward && j->later.step_known)
		SX_TRY(sx_run_attr_int(j->run, "/ac", "toward_step", j->later.step));
	SX_TRY(define_out(j));
	SX_TRY(sx_run_start(j->run));
	SX_TRY(sx_record_sink(&j->sink, j->ctx, j->run, &j->axes, 1, sx_blas_threads()));
out:
	return st;
}

static sx_status pass(job *j)
{
	sx_trace_request t = sx_subject_request(&j->subject, &j->measure);
	t.toward = j->later.tensors;
	t.maps = j->sink;
	return sx_subject_trace(&j->subject, j->ctx, &t, j->found, j->nll, j->logits);
}

static void report(const job *j)
{
	double sum = 0;
	int64_t n = 0;
	for (int64_t i = 0; i < j->subject.in.S * j->subject.in.T; i++)
		if (isfinite(j->nll[i])) sum += j->nll[i], n++;
	if (n)
		sx_log(j->ctx, SX_LOG_INFO,
		       "%s: %lld x %lld tokens, mean loss %.4f nats over %lld predictions",
		       j->a->out, (long long)j->subject.in.S, (long long)j->subject.in.T,
		       sum / (double)n, (long long)n);
	else
		sx_log(j->ctx, SX_LOG_INFO, "%s: one token, nothing to predict", j->a->out);
}

static sx_status trace(sx_ctx *ctx, const arguments *a, const char *command)
{
	sx_status st = SX_OK;
	job j = {.ctx = ctx, .a = a};
	SX_TRY(read_input(&j));
	SX_TRY(open_file(&j, command));
	SX_TRY(pass(&j));
	SX_TRY(sx_record_put(j.run, ctx, &j.axes, j.found, &j.subject.source.spec,
			     j.subject.source.step, j.subject.source.phase, true));
	SX_TRY(sx_run_put(j.run, SX_RUN_OUT_NLL, 0, (const double *)j.nll));
	if (j.logits) SX_TRY(sx_run_put(j.run, SX_RUN_OUT_LOGITS, 0, (const float *)j.logits));
	SX_TRY(sx_run_close(&j.run, SX_RUN_COMPLETE));
	report(&j);
out:
	finish(&j);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}, .in.ac = standard_families};
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

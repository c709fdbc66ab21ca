/* One instrumented pass over a text: statistics of all heads, A_c and its gradients, chosen maps. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/provenance.h"
#include "cli/source.h"
#include "cli/trace_pass.h"
#include "engine/blas.h"
#include "engine/tokens.h"
#include "probes/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_trace;

typedef struct {
	sx_common common;
	const char *model, *text, *tokens, *prompt, *out, *maps, *maps_type, *ac, *tokenizer;
	bool held_out, logits, f64, bos_given, bos;
	int64_t length, sequences;
	int n;
	char **overrides;
} arguments;

enum {
	KEY_TEXT = 0x100,
	KEY_TOKENS,
	KEY_PROMPT,
	KEY_HELD_OUT,
	KEY_MAPS,
	KEY_MAPS_TYPE,
	KEY_LOGITS,
	KEY_PRECISION,
	KEY_LENGTH,
	KEY_SEQUENCES,
	KEY_BOS,
	KEY_NO_BOS,
	KEY_AC,
	KEY_TOKENIZER
};

/* clang-format off */
static const struct argp_option options[] = {
	{"text", KEY_TEXT, "FILE", 0, "trace this text", 1},
	{"tokens", KEY_TOKENS, "FILE", 0, "trace these ids: text, .npy, or .bin of llm.c or nanoGPT", 1},
	{"prompt", KEY_PROMPT, "TEXT", 0, "trace this text itself", 1},
	{"held-out", KEY_HELD_OUT, NULL, 0, "trace windows of the text that MODEL, a run or a configuration, holds back (default: 8, of its context's length)", 1},
	{"output", 'o', "FILE.h5", 0, "the run file to write", 1},
	{"length", KEY_LENGTH, "N", 0, "cut the input into sequences of N tokens (default: one sequence of all of it)", 2},
	{"sequences", KEY_SEQUENCES, "K", 0, "take the first K of them (default: all)", 2},
	{"bos", KEY_BOS, NULL, 0, "begin with the tokenizer's BOS", 2},
	{"no-bos", KEY_NO_BOS, NULL, 0, "do not (default: what the tokenizer says)", 2},
	{"tokenizer", KEY_TOKENIZER, "T", 0, "\"bytes\" or a llama2.c tokenizer.bin", 2},
	{"ac", KEY_AC, "LIST", 0, "families of A_c (default: diagonal,previous)", 3},
	{"maps", KEY_MAPS, "HEADS", 0, "keep the attention maps of these heads, e.g. L2-4/H*", 3},
	{"maps-type", KEY_MAPS_TYPE, "f16|f32", 0, "their number format in the file (default: f16)", 3},
	{"logits", KEY_LOGITS, NULL, 0, "keep the logits", 3},
	{"precision", KEY_PRECISION, "f32|f64", 0, "of the whole pass (default: f32)", 3},
	SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Runs one instrumented forward pass of MODEL and writes what every head did to a run file: "
	"statistics, A_c and its gradients, frequency use, next-token losses.\v"
	"Examples:\n"
	"  sextant trace runs/rope --text corpus.txt --length 128 --sequences 8 -o trace.h5\n"
	"  sextant trace stories260K.bin --tokenizer tok512.bin --prompt 'Once upon a time' \\\n"
	"          --maps 'L*/H*' -o nope.h5 pos.method=nope\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	switch (key) {
	case KEY_TEXT:
		a->text = arg;
		return 0;
	case KEY_TOKENS:
		a->tokens = arg;
		return 0;
	case KEY_PROMPT:
		a->prompt = arg;
		return 0;
	case KEY_HELD_OUT:
		a->held_out = true;
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
	case KEY_AC:
		a->ac = arg;
		return 0;
	case KEY_TOKENIZER:
		a->tokenizer = arg;
		return 0;
	case KEY_BOS:
		a->bos_given = a->bos = true;
		return 0;
	case KEY_NO_BOS:
		a->bos_given = true, a->bos = false;
		return 0;
	case KEY_LENGTH:
		a->length = sx_parse_count(state, "--length", arg);
		return 0;
	case KEY_SEQUENCES:
		a->sequences = sx_parse_count(state, "--sequences", arg);
		return 0;
	case 'o':
		a->out = arg;
		return 0;
	case KEY_PRECISION:
		if (strcmp(arg, "f32") != 0 && strcmp(arg, "f64") != 0)
			argp_error(state, "--precision %s: want f32 or f64", arg);
		a->f64 = strcmp(arg, "f64") == 0;
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
		if ((a->text != NULL) + (a->tokens != NULL) + (a->prompt != NULL) + a->held_out !=
		    1)
			argp_error(state, "want one of --text, --tokens, --prompt, --held-out");
		if (strcmp(a->maps_type, "f16") != 0 && strcmp(a->maps_type, "f32") != 0)
			argp_error(state, "--maps-type %s: want f16 or f32", a->maps_type);
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* The sequences to trace, (S,T). */
typedef struct {
	int32_t *tokens, *target;
	int64_t S, T;
} input;

static sx_status all_ids(int32_t **ids, int64_t *n, int64_t *cols, sx_ctx *ctx, const arguments *a,
			 const sx_source *s)
{
	sx_status st = SX_OK;
	char *text = NULL;
	size_t size = 0;
	if (a->tokens) {
		sx_tokens t;
		SX_TRY(sx_tokens_read(&t, ctx, a->tokens, s->spec.V));
		*ids = t.ids, *n = t.n, *cols = t.rows > 1 ? t.cols : t.n;
		return SX_OK;
	}
	SX_TRY(sx_source_need_tokenizer(s, ctx));
	if (a->text) SX_TRY(sx_read_file(ctx, a->text, &text, &size));
	bool bos = a->bos_given ? a->bos : sx_tokenizer_adds_bos(s->tok);
	SX_TRY(sx_tokenizer_encode(ids, n, ctx, s->tok, text ? text : a->prompt,
				   text ? size : strlen(a->prompt), bos));
	*cols = *n;
out:
	free(text);
	return st;
}

/* The text windows of a training run's probe batch, and the ones after them: the same for every model
 * with this seed and this data. */
static sx_status held_out(input *in, sx_ctx *ctx, const arguments *a, const sx_source *s)
{
	sx_status st = SX_OK;
	sx_data data = {0};
	if (!s->has_config)
		return sx_fail(
			ctx, SX_EDATA,
			"%s does not say what text it holds back: --held-out is for runs and "
			"configurations, give --text",
			s->name);
	in->S = a->sequences ? a->sequences : SX_HELD_OUT_SEQUENCES;
	in->T = a->length ? a->length : s->spec.T;
	in->tokens = sx_calloc((size_t)(in->S * in->T), sizeof *in->tokens);
	in->target = sx_calloc((size_t)(in->S * in->T), sizeof *in->target);
	if (!in->tokens || !in->target) return sx_fail(ctx, SX_ENOMEM, "no memory for the input");
	SX_TRY(sx_data_open(&data, ctx, &s->cfg, s->spec.V));
	for (int64_t k = 0; k < in->S; k++)
		SX_TRY(sx_language_probe(in->tokens + k * in->T, in->target + k * in->T, NULL, ctx,
					 &data.lang, SX_PROBE_TEXT, in->T, s->seed, (uint64_t)k));
out:
	sx_data_free(&data);
	return st;
}

static sx_status read_input(input *in, sx_ctx *ctx, const arguments *a, const sx_source *s)
{
	sx_status st = SX_OK;
	int32_t *ids = NULL;
	int64_t n = 0, cols = 0;
	SX_TRY(all_ids(&ids, &n, &cols, ctx, a, s));
	in->T = a->length ? a->length : cols;
	/* a row of a 2-D input is a text of its own: no sequence runs over its end */
	int64_t rows = cols > 0 ? n / cols : 0, per_row = in->T > 0 ? cols / in->T : 0;
	in->S = rows * per_row;
	if (in->S < 1 || in->T < 1) {
		st = sx_fail(ctx, SX_EDATA, "the input has %lld tokens, a sequence needs %lld",
			     (long long)n, (long long)in->T);
		goto out;
	}
	if (a->sequences && a->sequences < in->S) in->S = a->sequences;
	in->tokens = sx_calloc((size_t)(in->S * in->T), sizeof *in->tokens);
	in->target = sx_calloc((size_t)(in->S * in->T), sizeof *in->target);
	if (!in->tokens || !in->target) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the input");
		goto out;
	}
	for (int64_t k = 0; k < in->S; k++)
		memcpy(in->tokens + k * in->T, ids + k / per_row * cols + k % per_row * in->T,
		       (size_t)in->T * sizeof *ids);
	for (int64_t i = 0; i < in->S * in->T; i++)
		in->target[i] = (i + 1) % in->T ? in->tokens[i + 1] : -1;
out:
	free(ids);
	return st;
}

static sx_status parse_families(sx_family *f, int64_t *n, sx_ctx *ctx, const char *list)
{
	char *copy = sx_strdup(list), *rest = copy;
	sx_status st = copy ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for options");
	*n = 0;
	for (char *word; st == SX_OK && (word = strtok_r(rest, ",", &rest));)
		st = *n < SX_FAMILY_MOST
			     ? sx_family_parse(&f[(*n)++], ctx, word)
			     : sx_fail(ctx, SX_EUSAGE, "--ac: at most %d families", SX_FAMILY_MOST);
	if (st == SX_OK && *n == 0) st = sx_fail(ctx, SX_EUSAGE, "--ac: no family given");
	free(copy);
	return st;
}

static sx_status define_out(sx_run *run, const input *in, const sx_spec *spec, bool logits)
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
			    const char *command, const sx_record_axes *axes, const input *in,
			    const sx_measures *m, const double *nll, const float *logits)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	SX_TRY(sx_run_create(&run, ctx, a->out, false));
	SX_TRY(sx_provenance(run, ctx, command, s->seed, a->f64 ? "f64" : "f32", command,
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

static void report(sx_ctx *ctx, const arguments *a, const input *in, const double *nll)
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

static sx_status trace(sx_ctx *ctx, const arguments *a, const char *command)
{
	sx_status st = SX_OK;
	sx_source s = {0};
	input in = {0};
	sx_map_choice *map = NULL;
	sx_measures *m = NULL;
	double *nll = NULL;
	float *logits = NULL;
	sx_family family[SX_FAMILY_MOST];
	sx_measure_opts o = {
		.stats = true, .rope = true, .ac = true, .ac_gradients = true, .spread = true};
	int64_t n_c = 0;
	SX_TRY(parse_families(family, &n_c, ctx, a->ac));
	SX_TRY(sx_source_open(&s, ctx, a->model, a->tokenizer, a->n, a->overrides, NULL));
	SX_TRY(a->held_out ? held_out(&in, ctx, a, &s) : read_input(&in, ctx, a, &s));
	if (a->maps) SX_TRY(sx_select_heads(&map, &o.n_map, ctx, a->maps, s.spec.L, s.spec.H));
	o.map = map;
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
	SX_TRY(a->f64 ? sx_trace_f64(ctx, &t, m, nll, logits) : sx_trace(ctx, &t, m, nll, logits));
	sx_record_axes axes = {.spec = &s.spec,
			       .S = in.S,
			       .T = in.T,
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
	free(in.tokens);
	free(in.target);
	free(nll);
	free(logits);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}, .maps_type = "f16", .ac = "diagonal,previous"};
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

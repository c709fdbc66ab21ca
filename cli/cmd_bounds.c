/* The theory checked on a model: every inequality and identity, left side, right side, verdict. */
#include "analysis/bounds.h"
#include "cli/bounds_mix.h"
#include "cli/cmd.h"
#include "cli/input_args.h"
#include "cli/out.h"
#include "engine/op/blas.h"
#include "probes/lab/subject.h"
#include "probes/record/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_bounds;

typedef struct {
	sx_common common;
	sx_sequences_words in;
	const char *model, *out, *mix;
	const char *for_model; /* an option that a run file has no use for, NULL: none */
	bool families;
	int n;
	char **overrides;
} arguments;

enum { KEY_FAMILIES = 0x100, KEY_MIX };

/* clang-format off */
static const struct argp_option options[] = {
	{"text", SX_KEY_TEXT, "FILE|-", 0, "check on this text, - is standard input (default: held-out text of a run and a constant sequence)", 1},
	SX_ARG_WORDS, SX_ARG_TOKENS, SX_ARG_IDS, SX_ARG_PROMPT,
	{"output", 'o', "FILE.h5", 0, "write /bounds and /ac to a run file", 1},
	{"length", SX_KEY_LENGTH, "N", 0, "sequences of N tokens (default: all of the input; without one, the model's context, at most 256)", 2},
	{"sequences", SX_KEY_SEQUENCES, "K", 0, "the first K of the input (default: all), or K held-out ones of each kind (default: 2)", 2},
	SX_ARG_KINDS, SX_ARG_BOS, SX_ARG_NO_BOS, SX_ARG_TOKENIZER,
	{"ac", SX_KEY_AC, "LIST", 0, "families of A_c (default: diagonal,previous,own)", 3},
	{"mix", KEY_MIX, "LIST", 0, "instead: A_c and its gradients with the embeddings moved toward their mean, (1-t) mean + t e, at each t of LIST", 3},
	{"families", KEY_FAMILIES, NULL, 0, "a line for each family of A_c", 3},
	{"precision", SX_KEY_PRECISION, "f32|f64", 0, "of the whole pass (default: f64)", 3},
	SX_ARG_NO_CHECK, SX_ARG_IGNORE, SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Checks the theory on MODEL: both sides of every inequality and identity in every head, in "
	"the worst row, and a verdict. FILE.h5, which -o wrote, prints them again.\v"
	"ratio: left side over right side and rounding's allowance, of an identity its error over "
	"the allowance; 1 is the limit. paper: the right side as printed over the corrected one. "
	"Layers, heads and rows count from 0. Where a side is not a number nothing holds: "
	"undecided, not "
	"evaluated. Exits 1 if anything is violated, or could not be evaluated.\n"
	"--mix prints, by layer, the exponent with which the mean over heads of |A_c| and of its "
	"gradients' norms follows the prefix spread of the first layer, over spreads of at most a "
	"tenth of that at the largest t, and their values at both ends: 1 is the theorem's for "
	"NoPE, 0 a floor that the spread does not move.\n"
	"\n"
	"Examples:\n"
	"  sextant bounds runs/nope\n"
	"  sextant bounds stories260K.bin --tokenizer tok512.bin --text story.txt --length 256 \\\n"
	"          -o bounds.h5 pos.method=nope\n"
	"  sextant bounds nope.yaml --mix 1,0.1,0.03,0.01,0.003,0.001 -o mix.h5\n";

/* Those that say how a model is to be checked. */
static const char *option_for_model(int key)
{
	static const struct {
		int key;
		const char *name;
	} options_of_it[] = {{SX_KEY_TEXT, "--text"},
			     {SX_KEY_WORDS, "--words"},
			     {SX_KEY_TOKENS, "--tokens"},
			     {SX_KEY_PROMPT, "--prompt"},
			     {SX_KEY_LENGTH, "--length"},
			     {SX_KEY_SEQUENCES, "--sequences"},
			     {SX_KEY_KINDS, "--kinds"},
			     {SX_KEY_BOS, "--bos"},
			     {SX_KEY_NO_BOS, "--no-bos"},
			     {SX_KEY_TOKENIZER, "--tokenizer"},
			     {SX_KEY_AC, "--ac"},
			     {KEY_MIX, "--mix"},
			     {SX_KEY_IDS, "--ids"},
			     {SX_KEY_NO_CHECK, "--no-check"},
			     {SX_KEY_PRECISION, "--precision"},
			     {'o', "-o"}};
	for (size_t i = 0; i < sizeof options_of_it / sizeof options_of_it[0]; i++)
		if (options_of_it[i].key == key) return options_of_it[i].name;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (!a->for_model) a->for_model = option_for_model(key);
	switch (key) {
	case KEY_FAMILIES:
		a->families = true;
		return 0;
	case KEY_MIX:
		a->mix = arg;
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
		if (a->mix && a->families)
			argp_error(state, "--mix has a line for each family: leave out --families");
		break;
	}
	return sx_sequences_parse(&a->in, &a->common, key, arg, state);
}

/* ---- what is found ---- */

static json_t *json_line(const sx_bounds_line *l, const sx_bounds *b)
{
	json_t *j = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I}", "inequality", l->name, "evaluated",
		(json_int_t)l->evaluated, "violated", (json_int_t)l->violated, "not_applicable",
		(json_int_t)l->not_applicable, "not_evaluated", (json_int_t)l->missing, "tightest",
		sx_json_number(l->tightest), "median", sx_json_number(l->median), "paper_over_rhs",
		sx_json_number(l->paper), "paper_broken", (json_int_t)l->paper_broken);
	if (j && l->not_applicable) {
		json_t *why = json_object();
		for (int r = 0; r < SX_REASONS; r++)
			if (l->reasons[r])
				json_object_set_new(why, sx_reason_name((uint8_t)r),
						    json_integer(l->reasons[r]));
		json_object_set_new(j, "reason", json_string(sx_reason_name(l->reason)));
		json_object_set_new(j, "reasons", why);
	}
	if (j && l->at >= 0) {
		int64_t at = l->at, h = at / b->n;
		json_object_set_new(
			j, "at",
			json_pack("{s:s, s:I, s:I, s:I, s:i, s:o, s:o, s:o, s:o}", "name",
				  b->name[at % b->n], "sequence", (json_int_t)(h / (b->L * b->H)),
				  "layer", (json_int_t)(h / b->H % b->L), "head",
				  (json_int_t)(h % b->H), "row", (int)b->row[at], "lhs",
				  sx_json_number(b->lhs[at]), "rhs", sx_json_number(b->rhs[at]),
				  "rhs_paper", sx_json_number(b->rhs_paper[at]), "allowance",
				  sx_json_number(b->allowance[at])));
	}
	return j;
}

/* What Proposition 3.3 says of a constant sequence under rotation, over its heads. */
typedef struct {
	int64_t heads, positive, uneven; /* all; A_own above its rounding; some row not uniform */
	double least, most;              /* A_own                                          */
	int first, last;                 /* the first row that is not uniform                */
} witness;

static witness find_witness(const sx_bounds *b, const uint8_t *verdict)
{
	witness w = {.least = HUGE_VAL, .first = INT32_MAX, .last = -1};
	for (int64_t at = 0; at < b->S * b->L * b->H * b->n; at++) {
		if (strcmp(b->name[at % b->n], "P3.3.value") != 0) continue;
		if (verdict[at] > SX_VERDICT_VIOLATED) continue;
		w.heads++;
		w.positive += b->rhs[at] > b->allowance[at];
		w.least = fmin(w.least, b->rhs[at]);
		w.most = fmax(w.most, b->rhs[at]);
		if (b->row[at] < 0) continue;
		w.uneven++;
		w.first = b->row[at] < w.first ? b->row[at] : w.first;
		w.last = b->row[at] > w.last ? b->row[at] : w.last;
	}
	return w;
}

static json_t *json_witness(const witness *w)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "heads", (json_int_t)w->heads,
			 "a_own_positive", (json_int_t)w->positive, "a_own_least",
			 sx_json_number(w->least), "a_own_most", sx_json_number(w->most),
			 "not_uniform", (json_int_t)w->uneven, "first_row_least",
			 w->uneven ? json_integer(w->first) : json_null(), "first_row_most",
			 w->uneven ? json_integer(w->last) : json_null());
}

static void print_witness(const witness *w)
{
	printf("\nconstant sequence, rotated: A_own is positive in %lld of %lld heads (%.3g to "
	       "%.3g)",
	       (long long)w->positive, (long long)w->heads, w->least, w->most);
	if (w->uneven)
		printf("; the first row that is not uniform is row %d to %d, in %lld heads",
		       w->first, w->last, (long long)w->uneven);
	printf("\n");
}

static const char *verdict_of(const sx_bounds_line *l)
{
	if (l->violated) return "VIOLATED";
	if (l->missing) return l->evaluated ? "undecided" : "not evaluated";
	return l->evaluated ? "holds" : "not-applicable";
}

static sx_status print_json(sx_ctx *ctx, const sx_bounds *b, const sx_bounds_line *line, int64_t n,
			    const witness *w)
{
	json_t *all = json_object(), *list = json_array();
	int64_t violated = 0;
	for (int64_t k = 0; k < n; k++) {
		json_t *j = json_line(&line[k], b);
		if (j) json_object_set_new(j, "verdict", json_string(verdict_of(&line[k])));
		json_array_append_new(list, j);
		violated += line[k].violated;
	}
	json_object_set_new(all, "sequences", json_integer(b->S));
	json_object_set_new(all, "layers", json_integer(b->L));
	json_object_set_new(all, "heads", json_integer(b->H));
	json_object_set_new(all, "violated", json_integer(violated));
	json_object_set_new(all, "inequalities", list);
	if (w->heads) json_object_set_new(all, "constant_sequence_rotated", json_witness(w));
	return sx_print_json(ctx, all);
}

static void where_cell(sx_table *t, const sx_bounds *b, const sx_bounds_line *l)
{
	char why[160];
	char missing[64] = "";
	sx_bounds_reasons(why, sizeof why, l);
	if (l->missing)
		snprintf(missing, sizeof missing, "%sa side is not a number %lld", *why ? ", " : "",
			 (long long)l->missing);
	if (l->at < 0) {
		sx_table_cell(t, "%s%s", why, missing);
		return;
	}
	int64_t h = l->at / b->n;
	const char *family = strchr(b->name[l->at % b->n], ':');
	char row[32] = "";
	if (b->row[l->at] >= 0) snprintf(row, sizeof row, " row %d", (int)b->row[l->at]);
	sx_table_cell(t, "%s%sseq %lld L%lld/H%lld%s%s%s%s", family ? family + 1 : "",
		      family ? ", " : "", (long long)(h / (b->L * b->H)),
		      (long long)(h / b->H % b->L), (long long)(h % b->H), row,
		      l->not_applicable || l->missing ? "; not: " : "", why, missing);
}

static sx_status print_table(sx_ctx *ctx, const sx_bounds *b, const sx_bounds_line *line, int64_t n)
{
	static const char *const headings[] = {"",      "evaluated", "violated", "verdict",
					       "ratio", "median",    "paper",    "tightest at"};
	sx_table *t = sx_table_new(8, headings);
	for (int64_t k = 0; k < n; k++) {
		const sx_bounds_line *l = &line[k];
		sx_table_cell(t, "%s", l->name);
		sx_table_cell(t, "%lld", (long long)l->evaluated);
		sx_table_cell(t, "%lld", (long long)l->violated);
		sx_table_cell(t, "%s", verdict_of(l));
		sx_table_g(t, 3, l->tightest);
		sx_table_g(t, 3, l->median);
		sx_table_g(t, 3, l->paper);
		where_cell(t, b, l);
	}
	return sx_table_print(t, ctx);
}

/* SX_NO where anything is violated. */
static sx_status conclude(sx_ctx *ctx, const arguments *a, const sx_bounds *b,
			  const uint8_t *verdict)
{
	sx_status st = SX_OK;
	sx_bounds_line *line = NULL;
	int64_t n = 0, violated = 0, missing = 0;
	SX_TRY(sx_bounds_summary(&line, &n, ctx, b, verdict, !a->families));
	witness w = find_witness(b, verdict);
	if (a->common.json) {
		SX_TRY(print_json(ctx, b, line, n, &w));
	} else {
		SX_TRY(print_table(ctx, b, line, n));
		if (w.heads) print_witness(&w);
	}
	for (int64_t k = 0; k < n; k++) violated += line[k].violated, missing += line[k].missing;
	if (missing)
		sx_log(ctx, SX_LOG_WARN,
		       "%lld could not be evaluated: a side is not a number, so nothing can be "
		       "said of "
		       "them",
		       (long long)missing);
	if (violated || missing) st = SX_NO;
out:
	free(line);
	return st;
}

/* ---- a model ---- */

static sx_status write_file(sx_ctx *ctx, const arguments *a, const sx_subject *s,
			    const char *command, const sx_record_axes *axes, const sx_measures *m)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	const sx_source *from = &s->source;
	SX_TRY(sx_subject_file(&run, ctx, s, a->out, command));
	SX_TRY(sx_record_define(run, axes));
	SX_TRY(sx_run_start(run));
	SX_TRY(sx_record_put(run, ctx, axes, m, &from->spec, from->step, from->phase, false));
	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
out:
	sx_run_free(run);
	return st;
}

/* The names of the axis, n of them in text. */
static sx_status name_all(char ***out, char (**text)[SX_BOUND_NAME], sx_ctx *ctx,
			  const sx_family *family, int64_t n)
{
	*text = sx_calloc((size_t)n, sizeof **text);
	*out = sx_calloc((size_t)n, sizeof **out);
	if (!*text || !*out) return sx_fail(ctx, SX_ENOMEM, "no memory for names");
	for (int64_t i = 0; i < n; i++) {
		int64_t c = sx_bound_family(i);
		sx_bound_name((*text)[i], i, c < 0 ? "" : family[c].name);
		(*out)[i] = (*text)[i];
	}
	return SX_OK;
}

static sx_status measure(sx_ctx *ctx, const sx_subject *s, const sx_measure_opts *o, sx_measures *m)
{
	double *nll = sx_calloc((size_t)(s->in.S * s->in.T), sizeof *nll);
	if (!nll) return sx_fail(ctx, SX_ENOMEM, "no memory for the results");
	const sx_trace_request r = sx_subject_request(s, o);
	sx_status st = sx_subject_trace(s, ctx, &r, m, nll, NULL);
	free(nll);
	return st;
}

static sx_status check_model(sx_ctx *ctx, const arguments *a, const char *command)
{
	enum { LONGEST = 256 };
	sx_status st = SX_OK;
	sx_subject s = {0};
	sx_measures *m = NULL;
	char **name = NULL, (*text)[SX_BOUND_NAME] = NULL;
	const sx_measure_opts o = {
		.ac = true, .ac_gradients = true, .spread = true, .bounds = true};
	const sx_sequences_default otherwise = {a->mix ? "text" : "text,constant", 2, LONGEST,
						!a->mix};
	const sx_spec *spec = &s.source.spec;
	SX_TRY(sx_subject_open(&s, ctx, a->model, a->n, a->overrides, &a->in, &otherwise));
	if (a->mix) {
		st = sx_mix_print_model(ctx,
					&(sx_mix_job){.source = &s.source,
						      .in = &s.in,
						      .family = s.family,
						      .n_c = s.n_c,
						      .out = a->out,
						      .command = command,
						      .f64 = a->in.f64},
					a->mix, a->common.json);
		goto out;
	}
	SX_TRY(sx_measures_new(&m, ctx, &o, s.in.S, spec->L, spec->H, s.in.T, spec->D / 2, s.n_c));
	SX_TRY(measure(ctx, &s, &o, m));
	SX_TRY(name_all(&name, &text, ctx, s.family, m->n_bound));
	sx_bounds b = {.S = m->S,
		       .L = m->L,
		       .H = m->H,
		       .n = m->n_bound,
		       .name = (const char *const *)name,
		       .lhs = m->bound_lhs,
		       .rhs = m->bound_rhs,
		       .rhs_paper = m->bound_paper,
		       .allowance = m->bound_allowance,
		       .row = m->bound_row,
		       .reason = m->bound_reason};
	sx_bounds_judge(m->bound_verdict, &b);
	sx_record_axes axes = {.spec = spec,
			       .S = s.in.S,
			       .T = s.in.T,
			       .kind = s.in.kind,
			       .tokens = s.in.tokens,
			       .measure = &o,
			       .family = s.family,
			       .n_c = s.n_c,
			       .records = 1};
	if (a->out) SX_TRY(write_file(ctx, a, &s, command, &axes, m));
	st = conclude(ctx, a, &b, m->bound_verdict);
out:
	sx_subject_free(&s);
	sx_measures_free(m);
	free(name);
	free(text);
	return st;
}

/* ---- a run file ---- */

static bool ends_in(const char *s, const char *tail)
{
	size_t n = strlen(s), k = strlen(tail);
	return n >= k && strcmp(s + n - k, tail) == 0;
}

static sx_status check_file(sx_ctx *ctx, const arguments *a)
{
	sx_status st = SX_OK;
	sx_bounds_record r = {0};
	uint8_t *verdict = NULL;
	bool mixed = false;
	if (a->for_model || a->n) {
		st = sx_fail(
			ctx, SX_EUSAGE,
			"%s is a run file: it is read as it is; %s is for a model: leave it out",
			a->model, a->for_model ? a->for_model : a->overrides[0]);
		goto out;
	}
	SX_TRY(sx_mix_print_file(&mixed, ctx, a->model, a->common.json));
	if (mixed && a->families)
		SX_TRY(sx_fail(ctx, SX_EUSAGE,
			       "%s is of --mix, with a line for each family: leave out --families",
			       a->model));
	if (mixed) goto out;
	SX_TRY(sx_bounds_read(&r, ctx, a->model));
	verdict = sx_calloc((size_t)(r.b.S * r.b.L * r.b.H * r.b.n), 1);
	if (!verdict) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for verdicts");
		goto out;
	}
	sx_bounds_judge(verdict, &r.b);
	st = conclude(ctx, a, &r.b, verdict);
out:
	free(verdict);
	sx_bounds_record_free(&r);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}, .in = {.ac = "diagonal,previous,own", .f64 = true}};
	const struct argp argp = {options, parse, "MODEL [key=value..]\nFILE.h5", doc, NULL,
				  NULL,    NULL};
	char *command = sx_command_line("bounds", argc, argv);
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!command || !a.overrides) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for options");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	if (ends_in(a.model, ".h5")) {
		st = check_file(ctx, &a);
		goto out;
	}
	sx_blas_start(ctx, a.common.threads);
	SX_TRY(check_model(ctx, &a, command));
out:
	free(command);
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_bounds = {"bounds", "analysis", "the theory's inequalities, checked on a model",
			      run};

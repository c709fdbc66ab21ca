/* sextant plan: parameters, FLOPs, memory and file sizes of a run or a trace before it is made. */
#include "cli/cmd.h"
#include "cli/memory.h"
#include "cli/observing.h"
#include "cli/out.h"
#include "engine/model/bench.h"
#include "engine/op/blas.h"
#include "probes/lab/cost.h"
#include "probes/lab/schedule.h"
#include "probes/lab/source.h"

#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_plan;

typedef struct {
	sx_common common;
	sx_observe_words observe;
	const char *model;
	bool measure, trace;
	int64_t length, sequences;
	int n;
	char **overrides;
} arguments;

enum { KEY_LENGTH = 0x100, KEY_SEQUENCES, KEY_MEASURE };

/* clang-format off */
static const struct argp_option options[] = {
	{"length", KEY_LENGTH, "N", 0, "plan a trace of sequences of N tokens (default: the model's context)", 1},
	{"sequences", KEY_SEQUENCES, "K", 0, "of K sequences (default: 1)", 1},
	SX_ARGS_OBSERVE,
	SX_ARGS_REDUCE,
	{"measure", KEY_MEASURE, NULL, 0, "time three training steps and estimate how long the run takes", 5},
	SX_ARG_JSON, SX_ARG_IGNORE, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Says what a training run, or with --length, --sequences or what it observes a trace, "
	"costs before it is made, and warns where the memory is not there: parameters, "
	"FLOPs, memory, bytes of the run file and of checkpoints. "
	"CONFIG may be left out: `sextant config` lists every key and its default. A MODEL that is "
	"no configuration is planned for a trace.\v"
	"FLOPs are those of the matrix products, a multiply-add counted as two, causal attention "
	"counted exactly: per token of a training step 6 N + 6 L H D (T + 1), N the numbers in the "
	"matrices. Bytes of files are before compression.\n\n"
	"Examples:\n"
	"  sextant plan run.yaml train.drop_at=963 --measure\n"
	"  sextant plan runs/rope --length 1024 --sequences 8 --maps 'L*/H*'\n"
	"  sextant plan runs/rope --length 65536 --observe none --reduce --thumbnails 256\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (sx_observe_parse(&a->observe, key, arg, state) == 0) return 0;
	switch (key) {
	case KEY_LENGTH:
		a->length = sx_parse_count(state, "--length", arg);
		a->trace = true;
		return 0;
	case KEY_SEQUENCES:
		a->sequences = sx_parse_count(state, "--sequences", arg);
		a->trace = true;
		return 0;
	case KEY_MEASURE:
		a->measure = true;
		return 0;
	case ARGP_KEY_ARG:
		if (sx_is_override(arg))
			a->overrides[a->n++] = arg;
		else if (!a->model && !a->n)
			a->model = arg;
		else
			argp_error(state, "%s: want CONFIG or MODEL and then key=value", arg);
		return 0;
	case ARGP_KEY_END:
		a->trace = a->trace || a->observe.given;
		if (a->trace && !a->model) argp_error(state, "a trace of which MODEL?");
		if (a->trace && a->measure)
			argp_error(state, "--measure times training steps, not a trace");
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- the plan ---- */

/* A line of the FLOPs: so many times so much. */
typedef struct {
	const char *name, *unit;
	int64_t times;
	double each;
} work_line;

typedef struct {
	const char *group;
	int64_t records, record, fixed;
} file_line;

enum { LINES = 10 };

typedef struct {
	sx_spec spec;
	int threads, n_work, n_memory, n_file;
	sx_flops per_token; /* of training, or of a trace's forward pass */
	work_line work[LINES];
	sx_memory_line memory[LINES];
	file_line file[LINES];
	int64_t checkpoints, checkpoint;   /* how many, bytes of each */
	double step[3], training_s, run_s; /* seconds; 0 = not measured */
} plan;

static void add_work(plan *p, const char *name, const char *unit, int64_t times, double each)
{
	if (times > 0) p->work[p->n_work++] = (work_line){name, unit, times, each};
}

static void add_memory(plan *p, const char *name, int64_t bytes)
{
	if (bytes > 0) p->memory[p->n_memory++] = (sx_memory_line){name, bytes};
}

static void add_file(plan *p, const char *group, const sx_file_axes *axes, int64_t records)
{
	file_line f = {.group = group, .records = records};
	sx_cost_group(group, axes, &f.record, &f.fixed);
	if (records > 0) p->file[p->n_file++] = f;
}

static double total_work(const plan *p)
{
	double sum = 0;
	for (int i = 0; i < p->n_work; i++) sum += (double)p->work[i].times * p->work[i].each;
	return sum;
}

static int64_t total_memory(const plan *p)
{
	int64_t sum = 0;
	for (int i = 0; i < p->n_memory; i++) sum += p->memory[i].bytes;
	return sum;
}

static int64_t file_bytes(const file_line *f)
{
	return f->records * f->record + f->fixed;
}

static int64_t total_file(const plan *p)
{
	int64_t sum = 0;
	for (int i = 0; i < p->n_file; i++) sum += file_bytes(&p->file[i]);
	return sum;
}

static double sum_of(sx_flops f)
{
	return f.linear + f.attention;
}

static sx_flops per_token(sx_flops f, int64_t T)
{
	return (sx_flops){.linear = f.linear / (double)T, .attention = f.attention / (double)T};
}

/* Groups of what observers find; `samples` sequences with maps. */
static void add_measured(plan *p, const sx_file_axes *axes, const sx_measure_opts *o,
			 int64_t records, int64_t samples)
{
	if (o->stats) add_file(p, "/stats", axes, records);
	if (o->rope) add_file(p, "/rope", axes, records);
	if (o->ac) add_file(p, "/ac", axes, records);
	if (o->n_map) add_file(p, "/attn", axes, samples);
	if (o->grad) add_file(p, "/grad", axes, records);
	if (o->reduce) {
		sx_file_axes reduced = sx_cost_reduce_axes(o->reduce);
		add_file(p, "/reduce", &reduced, records);
	}
	if (o->sites) {
		sx_file_axes kept = sx_cost_sites_axes(o->sites);
		add_file(p, "/sites", &kept, records);
	}
}

/* Beyond this no window can be made (language.h), and byte counts would not fit their type. */
static sx_status check_tokens(sx_ctx *ctx, const char *what, int64_t sequences, int64_t T)
{
	const int64_t longest = 1 << 20, most = (int64_t)1 << 31;
	if (T <= longest && sequences <= most / T) return SX_OK;
	return sx_fail(ctx, SX_ECONFIG,
		       "%s: %lld sequences of %lld tokens; want at most %lld tokens, of %lld each",
		       what, (long long)sequences, (long long)T, (long long)most,
		       (long long)longest);
}

/* ---- of a training run ---- */

static void plan_work(plan *p, const sx_config *cfg, const sx_measure_opts *o, sx_schedule_counts n)
{
	const sx_spec *s = &p->spec;
	int64_t S = sx_schedule_probe_sequences(cfg), T = sx_schedule_probe_length(cfg, s);
	int64_t n_c = (int64_t)cfg->probe.ac.n, updates = sx_schedule_updates(cfg);
	int64_t drop = cfg->train.drop_at, batch = cfg->train.batch;
	const sx_measure_opts batches = sx_schedule_batch_measures(cfg);
	double step = (double)batch * sum_of(sx_cost_train(s, s->T));
	double probe = sum_of(sx_cost_forward(s, T, false)) + sx_cost_observers(s, T, o, n_c);
	p->per_token = per_token(sx_cost_train(s, s->T), s->T);
	add_work(p, "training", "update", drop < 0 ? updates : drop, step);
	add_work(p, "recalibration", "update", drop < 0 ? 0 : updates - drop, step);
	add_work(p, "probes", "measurement", n.probes, (double)S * probe);
	if (batches.ac)
		add_work(p, "A_c of batches", "update", updates,
			 (double)batch * sx_cost_observers(s, s->T, &batches, n_c));
	add_work(p, "evaluation", "evaluation", n.evals, sx_cost_evaluation(cfg, s));
}

static void plan_memory(plan *p, const sx_config *cfg, const sx_measure_opts *o, bool probes)
{
	const sx_spec *s = &p->spec;
	int64_t N = sx_spec_params(s), n_c = (int64_t)cfg->probe.ac.n, batch = cfg->train.batch;
	int64_t S = sx_schedule_probe_sequences(cfg), T = sx_schedule_probe_length(cfg, s);
	int64_t part = batch / cfg->train.accumulate, number = sizeof(float);
	const sx_measure_opts batches = sx_schedule_batch_measures(cfg);
	add_memory(p, "parameters", N * number);
	add_memory(p, "gradients", N * number);
	add_memory(p, "optimiser", 2 * N * number);
	add_memory(p, "activations",
		   (int64_t)sx_work_bytes(s, part, s->T, SX_WORK_TRAIN, p->threads));
	if (probes) {
		add_memory(p, "probes: activations",
			   (int64_t)sx_work_bytes(s, S, T, SX_WORK_FORWARD, p->threads));
		add_memory(p, "probes: observers",
			   sx_cost_probe_bytes(s, o, S, T, n_c, p->threads));
		bool f32 = strcmp(cfg->probe.maps.type, "f32") == 0;
		add_memory(p, "probes: maps", sx_cost_maps_bytes(s, o, S, T, f32, p->threads));
	}
	if (batches.ac)
		add_memory(p, "A_c of batches",
			   sx_cost_probe_bytes(s, &batches, batch, s->T, n_c, p->threads));
	if (cfg->eval.every > 0)
		add_memory(p, "evaluation", sx_cost_evaluation_bytes(cfg, s, p->threads));
}

static void plan_files(plan *p, const sx_config *cfg, const sx_measure_opts *o,
		       sx_schedule_counts n)
{
	const sx_spec *s = &p->spec;
	int64_t updates = sx_schedule_updates(cfg), S = sx_schedule_probe_sequences(cfg);
	sx_file_axes axes = sx_cost_run_axes(cfg, s, o->n_map);
	add_file(p, "/train", &axes, updates);
	add_file(p, "/eval", &axes, axes.context_length ? n.evals : 0);
	add_measured(p, &axes, o, n.probes, n.maps * S);
	if (sx_schedule_batch_measures(cfg).ac) add_file(p, "/ac_train", &axes, updates);
	add_file(p, "/checkpoints", &axes, n.checkpoints);
	p->checkpoints = n.checkpoints;
	p->checkpoint = sx_cost_checkpoint_bytes(s);
}

static sx_status plan_run(plan *p, sx_ctx *ctx, sx_config *cfg)
{
	sx_status st = SX_OK;
	sx_map_choice *map = NULL;
	sx_reduce *reduce = NULL;
	sx_reduce_words words;
	SX_TRY(sx_source_spec(&p->spec, ctx, cfg));
	SX_TRY(check_tokens(ctx, "train.batch, model.context", cfg->train.batch, p->spec.T));
	SX_TRY(check_tokens(ctx, "probe.sequences, probe.length", sx_schedule_probe_sequences(cfg),
			    sx_schedule_probe_length(cfg, &p->spec)));
	for (size_t i = 0; i < cfg->eval.lengths.n; i++)
		SX_TRY(check_tokens(ctx, "eval.lengths", 1, cfg->eval.lengths.at[i]));
	sx_measure_opts o = sx_schedule_measures(cfg);
	sx_schedule_counts n = sx_schedule_count(cfg, 0);
	if (sx_schedule_probe_sequences(cfg) == 0) n.probes = n.maps = 0;
	if (n.maps > 0)
		SX_TRY(sx_select_heads(&map, &o.n_map, ctx, cfg->probe.maps.heads, p->spec.L,
				       p->spec.H));
	if (n.probes > 0 && sx_schedule_reduces(cfg, &words))
		SX_TRY(sx_reduce_new(&reduce, ctx, &words, p->spec.L, p->spec.H,
				     sx_schedule_probe_sequences(cfg),
				     sx_schedule_probe_length(cfg, &p->spec)));
	o.reduce = reduce;
	plan_work(p, cfg, &o, n);
	plan_memory(p, cfg, &o, n.probes > 0);
	plan_files(p, cfg, &o, n);
out:
	free(map);
	sx_reduce_free(reduce);
	return st;
}

/* Three steps after a first one that touches the memory; the rest of the run at the same FLOP/s. */
static sx_status measure(plan *p, sx_ctx *ctx, const sx_config *cfg)
{
	sx_status st = SX_OK;
	sx_bench *b = NULL;
	double warm, lo, hi, sum = 0;
	SX_TRY(sx_bench_new(&b, ctx, &p->spec, cfg->train.batch, cfg->train.accumulate));
	SX_TRY(sx_bench_step(&warm, ctx, b, NULL, 0));
	for (int i = 0; i < 3; i++) SX_TRY(sx_bench_step(&p->step[i], ctx, b, NULL, 0));
	lo = hi = p->step[0];
	for (int i = 0; i < 3; i++) {
		lo = p->step[i] < lo ? p->step[i] : lo;
		hi = p->step[i] > hi ? p->step[i] : hi;
		sum += p->step[i];
	}
	double median = sum - lo - hi;
	double step = (double)cfg->train.batch * sum_of(sx_cost_train(&p->spec, p->spec.T));
	p->training_s = median * (double)sx_schedule_updates(cfg);
	p->run_s = median * total_work(p) / step;
out:
	sx_bench_free(b);
	return st;
}

/* ---- of a trace ---- */

static sx_status plan_trace(plan *p, sx_ctx *ctx, const arguments *a)
{
	enum { FAMILIES = 2 /* trace's default: diagonal, previous */ };
	sx_status st = SX_OK;
	sx_source src = {0};
	sx_map_choice *map = NULL;
	sx_reduce *reduce = NULL;
	sx_sites *sites = NULL;
	sx_measure_opts o;
	const sx_spec *s = &p->spec;
	SX_TRY(sx_source_open(&src, ctx, a->model, NULL, a->n, a->overrides, NULL));
	p->spec = src.spec;
	int64_t S = a->sequences ? a->sequences : 1, T = a->length ? a->length : s->T;
	SX_TRY(check_tokens(ctx, "--sequences, --length", S, T));
	SX_TRY(sx_observe_choose(&o, &map, &reduce, &sites, ctx, &a->observe, s, S, T));
	sx_flops forward = sx_cost_forward(s, T, true);
	p->per_token = per_token(forward, T);
	add_work(p, "forward", "sequence", S, sum_of(forward));
	if (o.grad)
		add_work(p, "backward", "sequence", S,
			 sum_of(sx_cost_train(s, T)) - sum_of(forward));
	add_work(p, "observers", "sequence", S, sx_cost_observers(s, T, &o, FAMILIES));
	if (a->observe.logits) add_work(p, "logits", "sequence", S, 2.0 * s->V * s->C * (double)T);
	sx_trace_cost cost = {.measure = &o,
			      .S = S,
			      .T = T,
			      .n_c = FAMILIES,
			      .logits = a->observe.logits,
			      .maps_f32 = a->observe.maps_f32,
			      .threads = p->threads};
	p->n_memory = sx_cost_trace_memory(p->memory, s, &cost);
	sx_file_axes axes = sx_cost_trace_axes(s, S, T, FAMILIES, o.n_map);
	axes.maps_f32 = a->observe.maps_f32;
	if (!o.ac_gradients) axes.wrt = 0;
	axes.vocab = a->observe.logits ? s->V : 0;
	add_measured(p, &axes, &o, 1, S);
	add_file(p, "/out", &axes, 1);
out:
	free(map);
	sx_reduce_free(reduce);
	sx_sites_free(sites);
	sx_source_free(&src);
	return st;
}

/* ---- printing ---- */

/* 12.3 M; steps of `base`. */
static const char *scaled(char out[32], double x, double base, const char *const *units)
{
	int u = 0;
	while (x >= base && units[u + 1]) x /= base, u++;
	snprintf(out, 32,
		 x < 10 && u    ? "%.2f %s"
		 : x < 100 && u ? "%.1f %s"
				: "%.0f %s",
		 x, units[u]);
	return out;
}

static const char *flops(char out[32], double x)
{
	static const char *const units[] = {"FLOP",  "kFLOP", "MFLOP", "GFLOP",
					    "TFLOP", "PFLOP", "EFLOP", NULL};
	return scaled(out, x, 1000, units);
}

static const char *bytes(char out[32], int64_t x)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
	return scaled(out, (double)x, 1024, units);
}

static void print_head(const plan *p, bool trace)
{
	const sx_spec *s = &p->spec;
	char linear[32], attention[32];
	int64_t N = sx_spec_params(s), embeddings = sx_cost_embeddings(s);
	printf("model       %d layers, width %d, %d heads of %d (%d key/value), MLP %d, vocabulary "
	       "%d, context %lld, %s\n",
	       s->L, s->C, s->H, s->D, s->Hkv, s->F, s->V, (long long)s->T, s->pos.method);
	printf("parameters  %lld, %lld without the embedding matrices; N = %lld multiply every "
	       "token\n",
	       (long long)N, (long long)(N - embeddings), (long long)sx_cost_matrices(s));
	printf("per token   linear %s (%s), causal attention %s (%s)\n\n",
	       flops(linear, p->per_token.linear), trace ? "2 N" : "6 N",
	       flops(attention, p->per_token.attention),
	       trace ? "4 L H D pairs / T" : "12 L H D pairs / T");
}

static sx_status print_work(const plan *p, sx_ctx *ctx)
{
	static const char *const headings[] = {"work", "times", "", "each", "in all"};
	char each[32], all[32];
	sx_table *t = sx_table_new(5, headings);
	for (int i = 0; i < p->n_work; i++) {
		const work_line *w = &p->work[i];
		sx_table_cell(t, "%s", w->name);
		sx_table_cell(t, "%lld", (long long)w->times);
		sx_table_cell(t, "%s%s", w->unit, w->times == 1 ? "" : "s");
		sx_table_cell(t, "%s", flops(each, w->each));
		sx_table_cell(t, "%s", flops(all, (double)w->times * w->each));
	}
	sx_table_cell(t, "total");
	for (int i = 0; i < 3; i++) sx_table_cell(t, "%s", "");
	sx_table_cell(t, "%s", flops(all, total_work(p)));
	sx_status st = sx_table_print(t, ctx);
	printf("\n");
	return st;
}

static sx_status print_memory(const plan *p, sx_ctx *ctx)
{
	static const char *const headings[] = {"memory", "bytes", ""};
	char text[32];
	sx_table *t = sx_table_new(3, headings);
	for (int i = 0; i < p->n_memory; i++) {
		sx_table_cell(t, "%s", p->memory[i].name);
		sx_table_cell(t, "%lld", (long long)p->memory[i].bytes);
		sx_table_cell(t, "%s", bytes(text, p->memory[i].bytes));
	}
	sx_table_cell(t, "total");
	sx_table_cell(t, "%lld", (long long)total_memory(p));
	sx_table_cell(t, "%s", bytes(text, total_memory(p)));
	sx_status st = sx_table_print(t, ctx);
	printf("\n");
	return st;
}

static sx_status print_files(const plan *p, sx_ctx *ctx)
{
	static const char *const headings[] = {"run file", "records", "bytes each", "in all"};
	char text[32];
	sx_table *t = sx_table_new(4, headings);
	for (int i = 0; i < p->n_file; i++) {
		const file_line *f = &p->file[i];
		sx_table_cell(t, "%s", f->group);
		sx_table_cell(t, "%lld", (long long)f->records);
		sx_table_cell(t, "%lld", (long long)f->record);
		sx_table_cell(t, "%s", bytes(text, file_bytes(f)));
	}
	sx_table_cell(t, "total, before compression");
	sx_table_cell(t, "%s", "");
	sx_table_cell(t, "%s", "");
	sx_table_cell(t, "%s", bytes(text, total_file(p)));
	sx_status st = sx_table_print(t, ctx);
	if (st == SX_OK && p->checkpoints > 0) {
		char all[32];
		printf("\ncheckpoints  %lld of %s, in all %s\n", (long long)p->checkpoints,
		       bytes(text, p->checkpoint), bytes(all, p->checkpoints * p->checkpoint));
	}
	return st;
}

static void print_estimate(const plan *p)
{
	printf("\nestimate    steps of %.3g, %.3g and %.3g s with %d threads: training %.3g min, "
	       "with everything else about %.3g min\n",
	       p->step[0], p->step[1], p->step[2], p->threads, p->training_s / 60, p->run_s / 60);
}

static sx_status print_text(const plan *p, sx_ctx *ctx, bool trace)
{
	sx_status st = SX_OK;
	print_head(p, trace);
	SX_TRY(print_work(p, ctx));
	SX_TRY(print_memory(p, ctx));
	SX_TRY(print_files(p, ctx));
	if (p->run_s > 0) print_estimate(p);
out:
	return st;
}

static json_t *work_json(const plan *p)
{
	json_t *all = json_array();
	for (int i = 0; i < p->n_work; i++) {
		const work_line *w = &p->work[i];
		json_array_append_new(all, json_pack("{s:s, s:s, s:I, s:f, s:f}", "work", w->name,
						     "unit", w->unit, "times", (json_int_t)w->times,
						     "flops_each", w->each, "flops",
						     (double)w->times * w->each));
	}
	return json_pack("{s:{s:f, s:f}, s:o, s:f}", "per_token", "linear", p->per_token.linear,
			 "attention", p->per_token.attention, "parts", all, "total", total_work(p));
}

static json_t *memory_json(const plan *p)
{
	json_t *all = json_object();
	for (int i = 0; i < p->n_memory; i++)
		json_object_set_new(all, p->memory[i].name,
				    json_integer((json_int_t)p->memory[i].bytes));
	return json_pack("{s:o, s:I, s:i}", "parts", all, "total", (json_int_t)total_memory(p),
			 "threads", p->threads);
}

static json_t *files_json(const plan *p)
{
	json_t *all = json_object();
	for (int i = 0; i < p->n_file; i++) {
		const file_line *f = &p->file[i];
		json_object_set_new(
			all, f->group,
			json_pack("{s:I, s:I, s:I, s:I}", "records", (json_int_t)f->records,
				  "record_bytes", (json_int_t)f->record, "fixed_bytes",
				  (json_int_t)f->fixed, "bytes", (json_int_t)file_bytes(f)));
	}
	return json_pack("{s:o, s:I}", "groups", all, "total", (json_int_t)total_file(p));
}

static sx_status print_json(const plan *p, sx_ctx *ctx)
{
	const sx_spec *s = &p->spec;
	int64_t N = sx_spec_params(s);
	json_t *root = json_pack("{s:{s:I, s:I, s:I}, s:o, s:o, s:o}", "parameters", "total",
				 (json_int_t)N, "without_embeddings",
				 (json_int_t)(N - sx_cost_embeddings(s)), "in_products",
				 (json_int_t)sx_cost_matrices(s), "flops", work_json(p),
				 "memory_bytes", memory_json(p), "run_file_bytes", files_json(p));
	if (root && p->checkpoints > 0)
		json_object_set_new(root, "checkpoints",
				    json_pack("{s:I, s:I, s:I}", "number",
					      (json_int_t)p->checkpoints, "bytes_each",
					      (json_int_t)p->checkpoint, "bytes",
					      (json_int_t)(p->checkpoints * p->checkpoint)));
	if (root && p->run_s > 0)
		json_object_set_new(root, "estimate",
				    json_pack("{s:[f, f, f], s:f, s:f}", "step_seconds", p->step[0],
					      p->step[1], p->step[2], "training_seconds",
					      p->training_s, "run_seconds", p->run_s));
	return sx_print_json(ctx, root);
}

/* ---- the verb ---- */

static bool is_configuration(const char *path)
{
	const char *dot = path ? strrchr(path, '.') : NULL;
	return !path || (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0));
}

static sx_status make_plan(sx_ctx *ctx, const arguments *a, bool trace)
{
	sx_status st = SX_OK;
	plan p = {.threads = sx_blas_threads()};
	sx_config cfg;
	bool have = false;
	if (trace) {
		SX_TRY(plan_trace(&p, ctx, a));
	} else {
		SX_TRY(sx_config_load(&cfg, ctx, a->model, a->n, a->overrides));
		have = true;
		SX_TRY(plan_run(&p, ctx, &cfg));
		if (a->measure) SX_TRY(measure(&p, ctx, &cfg));
	}
	SX_TRY(a->common.json ? print_json(&p, ctx) : print_text(&p, ctx, trace));
	int64_t room = sx_memory_available();
	if (room >= 0 && total_memory(&p) > room)
		sx_log(ctx, SX_LOG_WARN, "this needs more memory than the %.1f MiB available now",
		       (double)room / 0x1p20);
out:
	if (have) sx_config_free(&cfg);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "[CONFIG | MODEL] [key=value...]", doc, NULL, NULL, NULL};
	sx_status st = SX_OK;
	arguments a = {.common.ctx = ctx};
	a.overrides = sx_calloc((size_t)argc, sizeof *a.overrides);
	if (!a.overrides) return sx_fail(ctx, SX_ENOMEM, "no memory for options");
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	if (a.measure || a.common.threads) sx_blas_start(ctx, a.common.threads);
	bool trace = a.trace || !is_configuration(a.model);
	if (trace && a.measure)
		st = sx_fail(ctx, SX_EUSAGE,
			     "%s is no configuration: --measure times training steps", a.model);
	else
		st = make_plan(ctx, &a, trace);
out:
	free(a.overrides);
	return st;
}

const sx_cmd sx_cmd_plan = {"plan", "settings", "sizes and cost of a run or a trace beforehand",
			    run};

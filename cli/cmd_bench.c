/* sextant bench: how fast a training step is, beside what bounds it, measured in the same minute. */
#include "cli/cmd.h"
#include "cli/cost.h"
#include "cli/out.h"
#include "engine/bench.h"
#include "engine/blas.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_bench;

typedef struct {
	sx_common common;
	const char *what;
	sx_spec spec;
	int64_t batch, rounds;
} arguments;

enum {
	KEY_LAYERS = 0x100,
	KEY_WIDTH,
	KEY_HEADS,
	KEY_FFN,
	KEY_CONTEXT,
	KEY_BATCH,
	KEY_VOCAB,
	KEY_ROUNDS
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
	{"rounds", KEY_ROUNDS, "N", 0, "quiet rounds to measure (default: 7)", 2},
	SX_ARG_JSON, SX_ARG_THREADS, SX_ARG_QUIET, SX_ARG_VERBOSE,
	{0},
};
/* clang-format on */

static const char doc[] =
	"Without a word: lists what can be benched. `bench step` times, by turns in one process, a "
	"training step (forward, backward, clipping, AdamW), the bare matrix products in it, and "
	"the machine's fused multiply-adds in registers, and prints their ratios.\v"
	"The bare products are a lower bound of a step's time: every linear product and the six of "
	"attention, nothing between them, linear ones by the engine's tiles or by OpenBLAS's own "
	"threads, whichever is faster. Rounds during which other programs used more than a tenth "
	"of a core are measured again, up to three times as many in all.\n\n"
	"Examples:\n"
	"  sextant bench step\n"
	"  sextant bench step --layers 5 --width 64 --heads 2 --ffn 176 --context 128 \\\n"
	"          --batch 32 --vocab 256 --threads 1 --json\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
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
		return 0;
	}
	switch (key) {
	case KEY_CONTEXT:
		a->spec.T = sx_parse_count(state, "--context", arg);
		return 0;
	case KEY_BATCH:
		a->batch = sx_parse_count(state, "--batch", arg);
		return 0;
	case KEY_ROUNDS:
		a->rounds = sx_parse_count(state, "--rounds", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->what) argp_error(state, "%s: one benchmark at a time", arg);
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->what && strcmp(a->what, "step") != 0)
			argp_error(state, "%s cannot be benched; known: step", a->what);
		return 0;
	default:
		return sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- the machine ---- */

static void cpu_name(char out[128])
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");
	snprintf(out, 128, "unknown");
	while (f && fgets(line, sizeof line, f)) {
		char *name = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
		if (!name) continue;
		name[strcspn(name, "\n")] = '\0';
		snprintf(out, 128, "%s", name + 2);
		break;
	}
	if (f) fclose(f);
}

typedef struct {
	double wall, own,
		all; /* seconds: passed, used by us, used by everyone; all < 0 = unknown */
} clocks;

static double seconds_of(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* user nice system idle iowait irq softirq steal, in ticks: proc(5). */
static clocks read_clocks(void)
{
	clocks c = {.all = -1};
	long long v[8];
	FILE *f = fopen("/proc/stat", "r");
	if (f && fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2],
			&v[3], &v[4], &v[5], &v[6], &v[7]) == 8)
		c.all = (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) /
			(double)sysconf(_SC_CLK_TCK);
	if (f) fclose(f);
	c.own = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	c.wall = seconds_of(CLOCK_MONOTONIC);
	return c;
}

/* Cores that others kept busy; 0 where it cannot be known. */
static double foreign_cores(clocks a, clocks b)
{
	double others = (b.all - a.all) - (b.own - a.own);
	return a.all < 0 || b.all < 0 || others < 0 ? 0 : others / (b.wall - a.wall);
}

/* ---- rounds ---- */

static const double noisy = 0.1; /* foreign cores */

/* One round: seconds of one run of each, FLOP/s of the peak; then what follows from them. */
typedef struct {
	double step, tiles, library, attention, peak, part[SX_PART_COUNT], foreign;
	double products, step_by_products, products_by_peak, step_by_peak;
} sample;

typedef struct {
	sample *sample;
	int64_t n, quiet, measured; /* rounds kept, quiet ones, rounds in all           */
	const char *fma;            /* instructions of the peak                         */
	sx_flops flops;             /* of a step                                        */
	double tokens;              /* of a step                                        */
	bool library;               /* the bound's linear products by OpenBLAS's threads */
} series;

/* The workers of OpenBLAS's pthread build spin for some time after a call. */
static void settle(void)
{
	const struct timespec t = {.tv_nsec = 60000000};
	nanosleep(&t, NULL);
}

/* Runs each thing `times` times in a row. */
static sx_status one_round(sample *s, sx_ctx *ctx, sx_bench *b, const char **fma, int times)
{
	sx_status st = SX_OK;
	sample r = {0};
	double t = 0;
	clocks before = read_clocks();
	for (int i = 0; i < times; i++) {
		SX_TRY(sx_bench_step(&t, ctx, b));
		r.step += t / times;
	}
	for (int i = 0; i < times; i++)
		r.tiles += sx_bench_products(b, SX_PRODUCTS_TILES, 0) / times;
	for (int i = 0; i < times; i++)
		r.attention += sx_bench_products(b, SX_PRODUCTS_ATTENTION, 0) / times;
	r.peak = sx_bench_peak(0.05, fma);
	for (int p = 0; p < SX_PART_COUNT; p++)
		for (int i = 0; i < times; i++) r.part[p] += sx_bench_part(b, (sx_part)p) / times;
	settle();
	for (int i = 0; i < times; i++)
		r.library += sx_bench_products(b, SX_PRODUCTS_LIBRARY, sx_blas_threads()) / times;
	settle();
	r.foreign = foreign_cores(before, read_clocks());
	*s = r;
out:
	return st;
}

/* How often to repeat so that no step is timed for less than a quarter of a second. */
static sx_status repeats(int *times, sx_ctx *ctx, sx_bench *b)
{
	double t = 0;
	sx_status st = sx_bench_step(&t, ctx, b); /* touches the memory */
	if (st == SX_OK) st = sx_bench_step(&t, ctx, b);
	*times = t < 0.25 ? (int)(0.25 / t) + 1 : 1;
	return st;
}

/* Quiet rounds go to the front; where there are three of them, the others are not used. */
static sx_status measure(series *s, sx_ctx *ctx, sx_bench *b, int64_t rounds)
{
	sx_status st = SX_OK;
	int times = 1;
	sample r;
	SX_TRY(repeats(&times, ctx, b));
	SX_TRY(one_round(&r, ctx, b, &s->fma, 1)); /* warms up */
	while (s->quiet < rounds && s->measured < 3 * rounds) {
		SX_TRY(one_round(&r, ctx, b, &s->fma, times));
		sx_log(ctx, SX_LOG_DEBUG, "round %lld: step %.1f ms, %.2f foreign cores",
		       (long long)s->measured + 1, 1e3 * r.step, r.foreign);
		s->sample[s->measured] = s->sample[s->quiet];
		if (r.foreign <= noisy)
			s->sample[s->quiet++] = r;
		else
			s->sample[s->measured] = r;
		s->measured++;
	}
	s->n = s->quiet >= (rounds < 3 ? rounds : 3) ? s->quiet : s->measured;
	if (s->n > s->quiet)
		sx_log(ctx, SX_LOG_WARN,
		       "other programs took more than %.1f cores in %lld of %lld rounds: speeds "
		       "are "
		       "too low and ratios uncertain",
		       noisy, (long long)(s->n - s->quiet), (long long)s->n);
out:
	return st;
}

/* ---- numbers ---- */

typedef struct {
	double min, median, max;
} spread;

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double field_of(const sample *r, size_t offset)
{
	return *(const double *)(const void *)((const char *)r + offset);
}

/* Of one field of sample over the rounds; 0 where memory is out. */
static spread spread_of(const series *s, size_t offset)
{
	size_t n = (size_t)s->n;
	double *v = sx_calloc(n, sizeof *v);
	if (!v) return (spread){0};
	for (size_t i = 0; i < n; i++) v[i] = field_of(&s->sample[i], offset);
	qsort(v, n, sizeof *v, by_size);
	spread x = {v[0], (v[(n - 1) / 2] + v[n / 2]) / 2, v[n - 1]};
	free(v);
	return x;
}
#define SPREAD(s, field) spread_of(s, offsetof(sample, field))

/* The way of the linear products that is faster in the median is the bound in every round. */
static void conclude(series *s)
{
	double flops = s->flops.linear + s->flops.attention;
	s->library = SPREAD(s, library).median < SPREAD(s, tiles).median;
	for (int64_t i = 0; i < s->n; i++) {
		sample *r = &s->sample[i];
		r->products = (s->library ? r->library : r->tiles) + r->attention;
		r->step_by_products = r->products / r->step;
		r->products_by_peak = flops / r->products / r->peak;
		r->step_by_peak = flops / r->step / r->peak;
	}
}

/* ---- printing ---- */

static const char *const way_names[] = {"the engine's tiles", "OpenBLAS's threads"};

static void add_speed(sx_table *t, const char *name, spread x, double tokens, double flops)
{
	sx_table_cell(t, "%s", name);
	sx_table_cell(t, "%.1f", 1e3 * x.min);
	sx_table_cell(t, "%.1f", 1e3 * x.median);
	sx_table_cell(t, "%.1f", 1e3 * x.max);
	sx_table_cell(t, "%.0f", tokens / x.median);
	sx_table_cell(t, "%.1f", 1e-9 * flops / x.median);
}

static sx_status print_speeds(const series *s, sx_ctx *ctx)
{
	static const char *const headings[] = {"",    "ms min",   "median",
					       "max", "tokens/s", "GFLOP/s"};
	sx_table *t = sx_table_new(6, headings);
	double all = s->flops.linear + s->flops.attention;
	add_speed(t, "training step", SPREAD(s, step), s->tokens, all);
	add_speed(t, "bare products", SPREAD(s, products), s->tokens, all);
	add_speed(t, "  linear, the engine's tiles", SPREAD(s, tiles), s->tokens, s->flops.linear);
	add_speed(t, "  linear, OpenBLAS's threads", SPREAD(s, library), s->tokens,
		  s->flops.linear);
	add_speed(t, "  attention, the engine's tiles", SPREAD(s, attention), s->tokens,
		  s->flops.attention);
	sx_table_cell(t, "%s", s->fma);
	for (int i = 0; i < 4; i++) sx_table_cell(t, "%s", "");
	sx_table_cell(t, "%.1f", 1e-9 * SPREAD(s, peak).median);
	sx_status st = sx_table_print(t, ctx);
	printf("\n");
	return st;
}

static sx_status print_ratios(const series *s, sx_ctx *ctx)
{
	static const char *const headings[] = {"ratio of speeds", "min", "median", "max"};
	const struct {
		const char *name;
		spread x;
	} rows[] = {{"step / bare products", SPREAD(s, step_by_products)},
		    {"bare products / FMA peak", SPREAD(s, products_by_peak)},
		    {"step / FMA peak", SPREAD(s, step_by_peak)}};
	sx_table *t = sx_table_new(4, headings);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		sx_table_cell(t, "%s", rows[i].name);
		sx_table_cell(t, "%.3f", rows[i].x.min);
		sx_table_cell(t, "%.3f", rows[i].x.median);
		sx_table_cell(t, "%.3f", rows[i].x.max);
	}
	return sx_table_print(t, ctx);
}

static double part_median(const series *s, int part)
{
	return spread_of(s, offsetof(sample, part) + (size_t)part * sizeof(double)).median;
}

static sx_status print_text(const series *s, sx_ctx *ctx, const arguments *a)
{
	const sx_spec *p = &a->spec;
	char cpu[128];
	double step = SPREAD(s, step).median;
	cpu_name(cpu);
	printf("step      L%d C%d H%d F%d V%d, %lld windows of %lld tokens, %.1f M parameters, "
	       "%.4g "
	       "GFLOP\n",
	       p->L, p->C, p->H, p->F, p->V, (long long)a->batch, (long long)p->T,
	       1e-6 * (double)sx_spec_params(p), 1e-9 * (s->flops.linear + s->flops.attention));
	printf("machine   %s, %d threads\n", cpu, sx_blas_threads());
	printf("OpenBLAS  %s build, core %s (%s)\n", sx_blas_build(), sx_blas_core(),
	       sx_blas_config());
	printf("rounds    %lld used of %lld measured, %lld of them quiet; foreign programs took "
	       "%.2f "
	       "cores\n\n",
	       (long long)s->n, (long long)s->measured, (long long)s->quiet,
	       SPREAD(s, foreign).median);
	sx_status st = print_speeds(s, ctx);
	if (st == SX_OK) st = print_ratios(s, ctx);
	if (st != SX_OK) return st;
	printf("\nparts of the step, each by itself:");
	for (int i = 0; i < SX_PART_COUNT; i++)
		printf(" %s %.1f ms (%.1f %%)%s", sx_part_name((sx_part)i), 1e3 * part_median(s, i),
		       100 * part_median(s, i) / step, i + 1 < SX_PART_COUNT ? "," : "\n");
	return SX_OK;
}

static json_t *spread_json(spread x)
{
	return json_pack("{s:f, s:f, s:f}", "min", x.min, "median", x.median, "max", x.max);
}

static json_t *parts_json(const series *s)
{
	json_t *parts = json_object();
	for (int i = 0; i < SX_PART_COUNT; i++)
		json_object_set_new(parts, sx_part_name((sx_part)i),
				    sx_json_number(part_median(s, i)));
	return parts;
}

static sx_status print_json(const series *s, sx_ctx *ctx, const arguments *a)
{
	const sx_spec *p = &a->spec;
	char cpu[128];
	cpu_name(cpu);
	json_t *shape = json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "layers", p->L,
				  "width", p->C, "heads", p->H, "ffn", p->F, "vocab", p->V,
				  "context", (json_int_t)p->T, "batch", (json_int_t)a->batch,
				  "parameters", (json_int_t)sx_spec_params(p));
	json_t *machine =
		json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "cpu", cpu, "threads",
			  sx_blas_threads(), "openblas_core", sx_blas_core(), "openblas_build",
			  sx_blas_build(), "openblas_config", sx_blas_config(), "fma", s->fma);
	json_t *rounds = json_pack("{s:I, s:I, s:I, s:f}", "used", (json_int_t)s->n, "measured",
				   (json_int_t)s->measured, "quiet", (json_int_t)s->quiet,
				   "foreign_cores", SPREAD(s, foreign).median);
	json_t *seconds = json_pack(
		"{s:o, s:o, s:o, s:o, s:o}", "step", spread_json(SPREAD(s, step)), "products",
		spread_json(SPREAD(s, products)), "linear_tiles", spread_json(SPREAD(s, tiles)),
		"linear_library", spread_json(SPREAD(s, library)), "attention",
		spread_json(SPREAD(s, attention)));
	json_t *ratios = json_pack("{s:o, s:o, s:o}", "step_by_products",
				   spread_json(SPREAD(s, step_by_products)), "products_by_peak",
				   spread_json(SPREAD(s, products_by_peak)), "step_by_peak",
				   spread_json(SPREAD(s, step_by_peak)));
	return sx_print_json(
		ctx,
		json_pack("{s:o, s:o, s:o, s:f, s:f, s:o, s:o, s:s, s:f, s:o, s:o}", "shape", shape,
			  "machine", machine, "rounds", rounds, "linear_flops", s->flops.linear,
			  "attention_flops", s->flops.attention, "seconds", seconds, "peak_flops",
			  spread_json(SPREAD(s, peak)), "linear_bound", way_names[s->library],
			  "tokens_per_s", s->tokens / SPREAD(s, step).median, "ratios", ratios,
			  "part_seconds", parts_json(s)));
}

/* ---- the verb ---- */

static sx_status bench_step(sx_ctx *ctx, arguments *a)
{
	sx_status st = SX_OK;
	const int64_t most = 1 << 24;
	sx_spec *p = &a->spec;
	sx_bench *b = NULL;
	series s = {.tokens = (double)a->batch * (double)p->T};
	if (p->C % p->H)
		return sx_fail(ctx, SX_EUSAGE, "--width %d is no multiple of --heads %d", p->C,
			       p->H);
	if (p->T > most || a->batch > most / p->T || a->rounds > most)
		return sx_fail(
			ctx, SX_EUSAGE,
			"--batch %lld, --context %lld, --rounds %lld: want at most %lld tokens "
			"and rounds",
			(long long)a->batch, (long long)p->T, (long long)a->rounds,
			(long long)most);
	p->D = p->C / p->H, p->Hkv = p->H;
	SX_TRY(sx_spec_check(p, ctx));
	s.sample = sx_calloc((size_t)(3 * a->rounds), sizeof *s.sample);
	if (!s.sample) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %lld rounds", (long long)a->rounds);
		goto out;
	}
	s.flops = sx_cost_train(p, p->T);
	s.flops.linear *= (double)a->batch, s.flops.attention *= (double)a->batch;
	SX_TRY(sx_bench_new(&b, ctx, p, a->batch, 1));
	SX_TRY(measure(&s, ctx, b, a->rounds));
	conclude(&s);
	SX_TRY(a->common.json ? print_json(&s, ctx, a) : print_text(&s, ctx, a));
out:
	sx_bench_free(b);
	free(s.sample);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "[step]", doc, NULL, NULL, NULL};
	arguments a = {.common.ctx = ctx, .batch = 8, .rounds = 7, .spec = sx_spec_default()};
	a.spec.L = 6, a.spec.C = 384, a.spec.H = 6, a.spec.F = 1024, a.spec.V = 512;
	a.spec.T = 256, a.spec.tied = true;
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st != SX_OK) return st;
	if (!a.what && a.common.json)
		return sx_print_json(ctx, json_pack("{s:s}", "step", "a training step"));
	if (!a.what) {
		printf("step  a training step beside the bare products in it and the FMA peak\n");
		return SX_OK;
	}
	sx_blas_start(ctx, a.common.threads);
	return bench_step(ctx, &a);
}

const sx_cmd sx_cmd_bench = {"bench", "settings", "speed of a training step", run};

/* A training step, the products in it, its parts, and the machine's fused multiply-adds, by turns. */
#include "cli/bench/bench.h"
#include "engine/model/bench.h"
#include "engine/op/blas.h"
#include "probes/lab/cost.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* ---- rounds ---- */

/* One round: seconds of one run of each, FLOP/s of the peak; then what follows from them. */
typedef struct {
	double step, tiles, library, attention, peak, part[SX_BENCH_PARTS], foreign;
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
	sx_clocks before = sx_clocks_now();
	for (int i = 0; i < times; i++) {
		SX_TRY(sx_bench_step(&t, ctx, b, NULL, 0));
		r.step += t / times;
	}
	for (int i = 0; i < times; i++)
		r.tiles += sx_bench_products(b, SX_PRODUCTS_TILES, 0) / times;
	for (int i = 0; i < times; i++)
		r.attention += sx_bench_products(b, SX_PRODUCTS_ATTENTION, 0) / times;
	r.peak = sx_bench_peak(0.05, fma);
	for (int p = 0; p < SX_BENCH_PARTS; p++)
		for (int i = 0; i < times; i++)
			r.part[p] += sx_bench_part_time(b, (sx_bench_part)p) / times;
	settle();
	for (int i = 0; i < times; i++)
		r.library += sx_bench_products(b, SX_PRODUCTS_LIBRARY, sx_blas_threads()) / times;
	settle();
	r.foreign = sx_foreign_cores(before, sx_clocks_now());
	*s = r;
out:
	return st;
}

/* How often to repeat so that no step is timed for less than a quarter of a second. */
static sx_status repeats(int *times, sx_ctx *ctx, sx_bench *b)
{
	double t = 0;
	sx_status st = sx_bench_step(&t, ctx, b, NULL, 0); /* touches the memory */
	if (st == SX_OK) st = sx_bench_step(&t, ctx, b, NULL, 0);
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
		if (r.foreign <= SX_NOISY)
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
		       SX_NOISY, (long long)(s->n - s->quiet), (long long)s->n);
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

static sx_status print_text(const series *s, sx_ctx *ctx, const sx_bench_args *a)
{
	double step = SPREAD(s, step).median;
	sx_print_shape("step", a);
	printf(", %.4g GFLOP\n", 1e-9 * (s->flops.linear + s->flops.attention));
	sx_print_machine();
	printf("rounds    %lld used of %lld measured, %lld of them quiet; foreign programs took "
	       "%.2f "
	       "cores\n\n",
	       (long long)s->n, (long long)s->measured, (long long)s->quiet,
	       SPREAD(s, foreign).median);
	sx_status st = print_speeds(s, ctx);
	if (st == SX_OK) st = print_ratios(s, ctx);
	if (st != SX_OK) return st;
	printf("\nparts of the step, each by itself:");
	for (int i = 0; i < SX_BENCH_PARTS; i++)
		printf(" %s %.1f ms (%.1f %%)%s", sx_bench_part_name((sx_bench_part)i),
		       1e3 * part_median(s, i), 100 * part_median(s, i) / step,
		       i + 1 < SX_BENCH_PARTS ? "," : "\n");
	return SX_OK;
}

static json_t *spread_json(spread x)
{
	return json_pack("{s:f, s:f, s:f}", "min", x.min, "median", x.median, "max", x.max);
}

static json_t *parts_json(const series *s)
{
	json_t *parts = json_object();
	for (int i = 0; i < SX_BENCH_PARTS; i++)
		json_object_set_new(parts, sx_bench_part_name((sx_bench_part)i),
				    sx_json_number(part_median(s, i)));
	return parts;
}

static json_t *document(const series *s, const sx_bench_args *a)
{
	json_t *machine = sx_machine_json();
	if (machine) json_object_set_new(machine, "fma", json_string(s->fma));
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
	return json_pack("{s:o, s:o, s:o, s:f, s:f, s:o, s:o, s:s, s:f, s:o, s:o}", "shape",
			 sx_shape_json(a), "machine", machine, "rounds", rounds, "linear_flops",
			 s->flops.linear, "attention_flops", s->flops.attention, "seconds", seconds,
			 "peak_flops", spread_json(SPREAD(s, peak)), "linear_bound",
			 way_names[s->library], "tokens_per_s", s->tokens / SPREAD(s, step).median,
			 "ratios", ratios, "part_seconds", parts_json(s));
}

sx_status sx_bench_steps(json_t **doc, sx_ctx *ctx, const sx_bench_args *a)
{
	sx_status st = SX_OK;
	const sx_spec *p = &a->spec;
	sx_bench *b = NULL;
	series s = {.tokens = (double)a->batch * (double)p->T};
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
	if (a->common.json)
		*doc = document(&s, a);
	else
		SX_TRY(print_text(&s, ctx, a));
out:
	sx_bench_free(b);
	free(s.sample);
	return st;
}

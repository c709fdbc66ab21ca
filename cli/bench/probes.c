/* What observers cost: the same work by turns with and without them, in one process. The ratio of each
 * pair of turns, their median, and its bootstrap 95 % upper limit. */
#include "analysis/stats/stats.h"
#include "cli/bench/bench.h"
#include "engine/model/bench.h"
#include "engine/model/model.h"
#include "engine/op/blas.h"
#include "probes/observe/observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FAMILIES = 2 };
static const char *const family_names[FAMILIES] = {"diagonal", "previous"};

/* clang-format off */
static const struct {
	const char *key, *name;
	sx_measure_opts opts;
	int64_t n_c; /* families of A_c: the first ones */
	bool reduce; /* all of /reduce but the largest entries and thumbnails */
} rows[] = {
	{"ac",                "A_c, 2 families",                    {.ac = true}, 2, false},
	{"ac_weights_one",    "A_c, gradients but h, 1 family",     {.ac = true, .ac_gradients = true, .ac_without_h = true}, 1, false},
	{"ac_gradients_one",  "A_c, all gradients, 1 family",       {.ac = true, .ac_gradients = true}, 1, false},
	{"ac_weights",        "A_c, gradients but h, 2 families",   {.ac = true, .ac_gradients = true, .ac_without_h = true}, 2, false},
	{"ac_gradients",      "A_c, all gradients, 2 families",     {.ac = true, .ac_gradients = true}, 2, false},
	{"stats",             "statistics",                         {.stats = true}, 0, false},
	{"rope",              "frequencies",                        {.rope = true}, 0, false},
	{"reduce",            "reducers",                           {0}, 0, true},
	{"reduce_ac",         "reducers; A_c, 2 families",          {.ac = true}, 2, true},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof rows[0] };

/* A training step, or a forward pass. */
typedef struct {
	sx_bench *step;
	sx_model *model;
	sx_work *work;
	int32_t *tokens;
	int64_t batch;
} subject;

/* Seconds of each turn, off and on, by pair. */
typedef struct {
	int which; /* of the rows above */
	sx_reduce *reduce;
	sx_measures *found;
	sx_observers *observers;
	double *off, *on, *ratio;
	double off_median, on_median;
	sx_interval overhead; /* ratio - 1; hi is the upper limit */
} row;

typedef struct {
	subject of;
	sx_family family[FAMILIES];
	row row[ROWS];
	int n;
	double foreign, peak; /* cores; bytes of memory at most */
} series;

static double seconds_now(void)
{
	return sx_clocks_now().wall;
}

/* One turn. */
static sx_status run_once(double *seconds, sx_ctx *ctx, const subject *s, const sx_observers *o)
{
	int n = 0;
	const sx_probe *probe = o ? sx_observers_probes(o, &n) : NULL;
	if (s->step) return sx_bench_step(seconds, ctx, s->step, probe, n);
	double begun = seconds_now();
	sx_status st = sx_forward(
		ctx, s->model, s->work,
		&(sx_request){.tokens = s->tokens, .B = s->batch, .probe = probe, .n_probe = n},
		NULL);
	*seconds = seconds_now() - begun;
	return st;
}

static sx_status make_pass(subject *s, sx_ctx *ctx, const sx_bench_args *a)
{
	sx_status st = SX_OK;
	int64_t n = a->batch * a->spec.T;
	s->batch = a->batch;
	s->tokens = sx_calloc((size_t)n, sizeof *s->tokens);
	if (!s->tokens) return sx_fail(ctx, SX_ENOMEM, "no memory for %lld tokens", (long long)n);
	for (int64_t i = 0; i < n; i++)
		s->tokens[i] = (int32_t)(sx_random_bits(1, SX_STREAM_TEST, (uint64_t)i) %
					 (uint64_t)a->spec.V);
	SX_TRY(sx_model_new(&s->model, ctx, &a->spec));
	sx_model_init(s->model, 1, SX_INIT_FAN_IN);
	SX_TRY(sx_work_new(&s->work, ctx, s->model, a->batch, a->spec.T, SX_WORK_FORWARD));
out:
	return st;
}

/* Those that --observers names; all where it names none. */
static sx_status choose_rows(series *s, sx_ctx *ctx, const char *list)
{
	for (int k = 0; k < ROWS && !list; k++) s->row[s->n++].which = k;
	while (list && *list) {
		size_t len = strcspn(list, ",");
		int k = 0;
		while (k < ROWS && (strlen(rows[k].key) != len || strncmp(rows[k].key, list, len)))
			k++;
		if (k == ROWS || s->n == ROWS)
			return sx_fail(
				ctx, SX_EUSAGE,
				"--observers: %.*s is none of them, or too much; `sextant bench "
				"probes --json` lists them",
				(int)len, list);
		s->row[s->n++].which = k;
		list += len + (list[len] == ',');
	}
	return SX_OK;
}

static sx_status make_row(row *r, sx_ctx *ctx, const sx_bench_args *a, const series *s)
{
	const sx_reduce_words words = {.what = "all"};
	const sx_spec *p = &a->spec;
	size_t n = (size_t)a->pairs;
	sx_status st = SX_OK;
	sx_measure_opts opts = rows[r->which].opts;
	if (rows[r->which].reduce)
		SX_TRY(sx_reduce_new(&r->reduce, ctx, &words, p->L, p->H, a->batch, p->T));
	opts.reduce = r->reduce;
	SX_TRY(sx_measures_new(&r->found, ctx, &opts, a->batch, p->L, p->H, p->T, p->D / 2,
			       rows[r->which].n_c));
	SX_TRY(sx_observers_new(&r->observers, ctx, p, &opts, s->family, sx_blas_threads(),
				r->found));
	r->off = sx_calloc(n, sizeof *r->off);
	r->on = sx_calloc(n, sizeof *r->on);
	r->ratio = sx_calloc(n, sizeof *r->ratio);
	if (!r->off || !r->on || !r->ratio)
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %lld pairs", (long long)a->pairs);
out:
	return st;
}

static void free_series(series *s)
{
	for (int k = 0; k < ROWS; k++) {
		row *r = &s->row[k];
		sx_observers_free(r->observers);
		sx_measures_free(r->found);
		sx_reduce_free(r->reduce);
		free(r->off);
		free(r->on);
		free(r->ratio);
	}
	sx_bench_free(s->of.step);
	sx_work_free(s->of.work);
	sx_model_free(s->of.model);
	free(s->of.tokens);
}

/* ---- turns ---- */

/* A pair of each row after the other; which of the two comes first changes from pair to pair. */
static sx_status take_turns(series *s, sx_ctx *ctx, int64_t pairs)
{
	sx_status st = SX_OK;
	sx_progress progress;
	double warm;
	for (int k = 0; k < s->n; k++) {
		SX_TRY(run_once(&warm, ctx, &s->of, NULL));
		SX_TRY(run_once(&warm, ctx, &s->of, s->row[k].observers));
	}
	sx_progress_begin(&progress, ctx, "bench", 0, pairs * s->n);
	sx_clocks begun = sx_clocks_now();
	for (int64_t i = 0; i < pairs; i++)
		for (int k = 0; k < s->n; k++) {
			row *r = &s->row[k];
			for (int turn = 0; turn < 2; turn++) {
				bool on = (turn == 0) == (i % 2 == 0);
				SX_TRY(run_once(on ? &r->on[i] : &r->off[i], ctx, &s->of,
						on ? r->observers : NULL));
			}
			r->ratio[i] = r->on[i] / r->off[i];
			sx_progress_step(&progress, i * s->n + k + 1, (double)NAN, 0);
		}
	sx_progress_end(&progress);
	s->foreign = sx_foreign_cores(begun, sx_clocks_now());
	if (s->foreign > SX_NOISY)
		sx_log(ctx, SX_LOG_WARN,
		       "other programs took %.2f cores meanwhile: run again when they are gone",
		       s->foreign);
out:
	return st;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median of sorted values that are there count[i] times. */
static double median_of(void *self, const double *count, int64_t n)
{
	const double *sorted = self;
	double all = 0, seen = 0, middle[2] = {0};
	for (int64_t i = 0; i < n; i++) all += count[i];
	for (int64_t i = 0; i < n; i++) {
		for (int m = 0; m < 2; m++) {
			double rank = floor((all - 1 + m) / 2);
			if (seen <= rank && rank < seen + count[i]) middle[m] = sorted[i];
		}
		seen += count[i];
	}
	return (middle[0] + middle[1]) / 2;
}

static double plain_median(double *x, const double *ones, int64_t n)
{
	qsort(x, (size_t)n, sizeof *x, by_size);
	return median_of(x, ones, n);
}

/* Sorts the seconds and ratios. */
static sx_status conclude(series *s, sx_ctx *ctx, int64_t pairs)
{
	enum { SEED = 1 };
	sx_status st = SX_OK;
	sx_boot *boot = NULL;
	double *ones = sx_calloc((size_t)pairs, sizeof *ones);
	if (!ones) return sx_fail(ctx, SX_ENOMEM, "no memory for %lld pairs", (long long)pairs);
	for (int64_t i = 0; i < pairs; i++) ones[i] = 1;
	/* the end of a 90 % interval is a 95 % limit */
	SX_TRY(sx_boot_new(&boot, ctx, pairs, SX_BOOT_RESAMPLES, 0.90, SEED));
	for (int k = 0; k < s->n; k++) {
		row *r = &s->row[k];
		r->off_median = plain_median(r->off, ones, pairs);
		r->on_median = plain_median(r->on, ones, pairs);
		qsort(r->ratio, (size_t)pairs, sizeof *r->ratio, by_size);
		r->overhead = sx_boot_statistic(boot, median_of, r->ratio);
		r->overhead.value -= 1;
		r->overhead.lo -= 1;
		r->overhead.hi -= 1;
	}
	struct rusage usage;
	s->peak = getrusage(RUSAGE_SELF, &usage) == 0 ? 1024.0 * (double)usage.ru_maxrss
						      : (double)NAN;
out:
	sx_boot_free(boot);
	free(ones);
	return st;
}

/* ---- printing ---- */

static sx_status print_text(const series *s, sx_ctx *ctx, const sx_bench_args *a)
{
	static const char *const headings[] = {"observer", "ms without", "ms with", "overhead %",
					       "95 % upper limit"};
	sx_print_shape(a->what, a);
	printf("\n");
	sx_print_machine();
	printf("pairs     %lld of each; foreign programs took %.2f cores; peak memory %.0f MiB\n\n",
	       (long long)a->pairs, s->foreign, s->peak / 1048576);
	sx_table *t = sx_table_new(5, headings);
	for (int k = 0; k < s->n; k++) {
		const row *r = &s->row[k];
		sx_table_cell(t, "%s", rows[r->which].name);
		sx_table_cell(t, "%.1f", 1e3 * r->off_median);
		sx_table_cell(t, "%.1f", 1e3 * r->on_median);
		sx_table_cell(t, "%.2f", 100 * r->overhead.value);
		sx_table_cell(t, "%.2f", 100 * r->overhead.hi);
	}
	return sx_table_print(t, ctx);
}

static json_t *document(const series *s, const sx_bench_args *a)
{
	json_t *list = json_object();
	for (int k = 0; k < s->n; k++) {
		const row *r = &s->row[k];
		json_object_set_new(list, rows[r->which].key,
				    json_pack("{s:s, s:f, s:f, s:o, s:o, s:o}", "name",
					      rows[r->which].name, "seconds_without", r->off_median,
					      "seconds_with", r->on_median, "overhead",
					      sx_json_number(r->overhead.value), "overhead_lower95",
					      sx_json_number(r->overhead.lo), "overhead_upper95",
					      sx_json_number(r->overhead.hi)));
	}
	return json_pack("{s:o, s:o, s:I, s:f, s:o, s:o}", "shape", sx_shape_json(a), "machine",
			 sx_machine_json(), "pairs", (json_int_t)a->pairs, "foreign_cores",
			 s->foreign, "peak_bytes", sx_json_number(s->peak), "observers", list);
}

/* ---- the benchmarks ---- */

static sx_status bench(json_t **doc, sx_ctx *ctx, const sx_bench_args *a, bool training)
{
	sx_status st = SX_OK;
	series s = {0};
	for (int c = 0; c < FAMILIES; c++)
		SX_TRY(sx_family_parse(&s.family[c], ctx, family_names[c]));
	SX_TRY(training ? sx_bench_new(&s.of.step, ctx, &a->spec, a->batch, 1)
			: make_pass(&s.of, ctx, a));
	SX_TRY(choose_rows(&s, ctx, a->observers));
	for (int k = 0; k < s.n; k++) SX_TRY(make_row(&s.row[k], ctx, a, &s));
	SX_TRY(take_turns(&s, ctx, a->pairs));
	SX_TRY(conclude(&s, ctx, a->pairs));
	if (a->common.json)
		*doc = document(&s, a);
	else
		SX_TRY(print_text(&s, ctx, a));
out:
	free_series(&s);
	return st;
}

sx_status sx_bench_probes(json_t **doc, sx_ctx *ctx, const sx_bench_args *a)
{
	return bench(doc, ctx, a, true);
}

sx_status sx_bench_pass(json_t **doc, sx_ctx *ctx, const sx_bench_args *a)
{
	return bench(doc, ctx, a, false);
}

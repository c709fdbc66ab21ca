/* Heads made to do one thing, seen by the observer and stored in a run file: what
 * tests/analysis/test_heads.c judges. */
#ifndef SX_TESTS_HEADS_FIXTURE_H
#define SX_TESTS_HEADS_FIXTURE_H

#include "analysis/heads.h"
#include "probes/observe/observe.h"
#include "tests/support/run_fixture.h"

#include <hdf5.h>

enum { V = 12, RANDOM = 8, NOISE = 16 }; /* tokens; channels of content and of noise */

typedef enum {
	PREVIOUS,
	OFFSET,
	CURRENT,
	SINK,
	DUPLICATE,
	INDUCTION,
	LOCAL,
	UNIFORM,
	CONTENT,
	MIXTURE,
	KEYED, /* every token has a weight of its own, for all queries alike      */
	PLANTED,
	TURNING = PLANTED /* cos(i - j)                                                      */
} planted;
static const char *const planted_name[PLANTED] = {"previous",  "offset-k",  "current", "sink",
						  "duplicate", "induction", "local",   "uniform",
						  "content",   "mixture",   "keyed"};

/* ---- making heads ---- */

static double *zeros(int64_t n)
{
	double *x = sx_calloc((size_t)n, sizeof *x);
	assert_non_null(x);
	return x;
}

typedef struct {
	int64_t S, L, H, N, window; /* sequences, layers, heads, tokens of a sequence */
	uint8_t *kind;              /* (S) */
	int32_t *tokens;            /* (S,N) */
	sx_spec spec;
	sx_pos_plan plan;
	sx_measures *m;
	sx_observers *observers;
	sx_rng rng;
	uint64_t normals;       /* drawn so far */
	sx_real *q, *k, *s, *p; /* one head: (N,D), (N,D), (N,N), (N,N)         */
} stage;

/* Every repeated sequence is a block twice. */
static stage stage_new(int64_t texts, int64_t repeated, int64_t L, int64_t H, int64_t N,
		       int64_t window, uint64_t seed)
{
	stage g = {.S = texts + repeated, .L = L, .H = H, .N = N, .window = window};
	g.rng = (sx_rng){.seed = seed, .stream = SX_STREAM_TEST};
	g.spec = sx_spec_default();
	g.spec.L = (int)L, g.spec.H = g.spec.Hkv = (int)H, g.spec.T = (int)N;
	g.spec.D = (int)N + 2 * V + RANDOM + NOISE;
	g.spec.pos.window = window, g.plan.window = window;
	g.kind = sx_calloc((size_t)g.S, 1);
	g.tokens = sx_calloc((size_t)(g.S * N), sizeof *g.tokens);
	g.q = sx_calloc((size_t)(N * g.spec.D), sizeof *g.q);
	g.k = sx_calloc((size_t)(N * g.spec.D), sizeof *g.k);
	g.s = sx_calloc((size_t)(N * N), sizeof *g.s);
	g.p = sx_calloc((size_t)(N * N), sizeof *g.p);
	assert_true(g.kind && g.tokens && g.q && g.k && g.s && g.p);
	for (int64_t q = 0; q < g.S; q++) {
		g.kind[q] = q >= texts;
		for (int64_t t = 0; t < N; t++)
			g.tokens[q * N + t] = g.kind[q] && t >= N / 2
						      ? g.tokens[q * N + t - N / 2]
						      : (int32_t)sx_rng_below(&g.rng, V);
	}
	sx_measure_opts o = {.stats = true};
	assert_int_equal(sx_measures_new(&g.m, NULL, &o, g.S, L, H, N, 1, 0), SX_OK);
	return g;
}

static void stage_free(stage *g)
{
	sx_observers_free(g->observers);
	sx_measures_free(g->m);
	free(g->kind), free(g->tokens);
	free(g->q), free(g->k), free(g->s), free(g->p);
}

static double uniform_in(stage *g, double lo, double hi)
{
	return lo + (hi - lo) * sx_rng_uniform(&g->rng);
}

static double normal_of(stage *g)
{
	return sx_normal(g->rng.seed + 1000, SX_STREAM_TEST, g->normals++);
}

/* What a head is made of, drawn once per head. */
typedef struct {
	planted kind;
	double size, noise;
	double content; /* standard deviation of the content part        */
	int64_t offset;
	double wobble;    /* of the sizes from sequence to sequence        */
	double weight[V]; /* of a token as a key */
} recipe;

/* Standard deviation of content beside which a slope of `size` nats per token has this share of the
 * squares, in the mean: n keys of a row give size^2 n (n^2 - 1)/12 and content^2 (n - 1). */
static double content_beside(double size, double share, int64_t N)
{
	double slope = 0, content = 0;
	for (int64_t n = 1; n <= N; n++) {
		double k = (double)n;
		slope += size * size * k * (k * k - 1) / 12;
		content += k - 1;
	}
	return sqrt(slope * (1 - share) / share / content);
}

static recipe recipe_of(stage *g, planted kind)
{
	recipe r = {.kind = kind, .size = uniform_in(g, 5, 8), .noise = 0.5};
	r.offset = kind == PREVIOUS  ? 1
		   : kind == CURRENT ? 0
				     : 2 + (int64_t)sx_rng_below(&g->rng, 11);
	if (kind == LOCAL) r.size = uniform_in(g, 0.2, 0.4);
	if (kind == UNIFORM) r.size = 0, r.noise = 0.1;
	if (kind == CONTENT) r.content = uniform_in(g, 1.5, 3);
	if (kind == MIXTURE) {
		r.size = 0.1, r.noise = 0;
		r.content = content_beside(r.size, uniform_in(g, 0.4, 0.6), g->N);
	}
	if (kind == KEYED) {
		double size = uniform_in(g, 1.5, 3);
		for (int v = 0; v < V; v++) r.weight[v] = size * normal_of(g);
	}
	if (kind == TURNING) r.size = 2, r.noise = 0, r.content = 1 / sqrt(2); /* 4/2 to 1/2 */
	return r;
}

/* Weight of key j for row i by place alone. */
static double place(const recipe *r, int64_t i, int64_t j, double size)
{
	switch (r->kind) {
	case PREVIOUS:
	case OFFSET:
	case CURRENT:
		return i - j == r->offset ? size : 0;
	case SINK:
		return j == 0 ? size : 0;
	case LOCAL:
	case MIXTURE:
		return -size * (double)(i - j);
	case TURNING:
		return size * cos((double)(i - j));
	case DUPLICATE: /* not the token itself */
		return i == j ? -size : 0;
	default:
		return 0;
	}
}

/* q and k: places (N channels), tokens, tokens before, content, noise. */
static void make_vectors(stage *g, const recipe *r, int64_t seq)
{
	int64_t N = g->N, D = g->spec.D;
	const int32_t *x = g->tokens + seq * N;
	double wobble = exp(r->wobble * normal_of(g));
	double content = sqrt(r->content / sqrt(RANDOM)), noise = sqrt(r->noise / sqrt(NOISE));
	content *= exp(r->wobble / 2 * normal_of(g)); /* of q and k, so of scores once */
	memset(g->q, 0, (size_t)(N * D) * sizeof *g->q);
	memset(g->k, 0, (size_t)(N * D) * sizeof *g->k);
	for (int64_t i = 0; i < N; i++) {
		sx_real *q = g->q + i * D, *k = g->k + i * D;
		for (int64_t j = 0; j <= i; j++) q[j] = (sx_real)place(r, i, j, r->size * wobble);
		k[i] = 1;
		q += N, k += N;
		if (r->kind == DUPLICATE) q[x[i]] = (sx_real)r->size;
		for (int v = 0; r->kind == KEYED && v < V; v++) q[v] = (sx_real)r->weight[v];
		k[x[i]] = 1;
		q += V, k += V;
		if (r->kind == INDUCTION) q[x[i]] = (sx_real)r->size;
		if (i > 0) k[x[i - 1]] = 1;
		q += V, k += V;
		for (int c = 0; c < RANDOM + NOISE; c++) {
			double size = c < RANDOM ? content : noise;
			q[c] = (sx_real)(size * normal_of(g));
			k[c] = (sx_real)(size * normal_of(g));
		}
	}
}

/* Scores, softmax, the observer. */
static void observe(stage *g, int64_t seq, int64_t layer, int64_t head)
{
	int64_t N = g->N, D = g->spec.D;
	int n;
	sx_head h = {.layer = (int)layer,
		     .head = (int)head,
		     .seq = seq,
		     .T = N,
		     .spec = &g->spec,
		     .plan = &g->plan,
		     .q = g->q,
		     .k = g->k,
		     .ldq = D,
		     .ldk = D,
		     .tokens = g->tokens + seq * N};
	sx_tile t = {.head = &h, .nrow = N, .nkey = N, .ld = N, .s = g->s, .p = g->p};
	for (int64_t i = 0; i < N; i++) {
		double sum = 0, p[512];
		int64_t first = sx_first_key(i, g->window);
		for (int64_t j = 0; j < N; j++) {
			double s = 0;
			for (int64_t c = 0; j >= first && j <= i && c < D; c++)
				s += (double)g->q[i * D + c] * (double)g->k[j * D + c];
			p[j] = j >= first && j <= i ? exp(s) : 0;
			g->s[i * N + j] = j >= first && j <= i ? (sx_real)s : -(sx_real)INFINITY;
			sum += p[j];
		}
		for (int64_t j = 0; j < N; j++) g->p[i * N + j] = (sx_real)(p[j] / sum);
	}
	if (!g->observers) {
		sx_measure_opts o = {.stats = true};
		assert_int_equal(sx_observers_new(&g->observers, NULL, &g->spec, &o, NULL, 1, g->m),
				 SX_OK);
	}
	const sx_probe *probe = sx_observers_probes(g->observers, &n);
	assert_int_equal(n, 1);
	assert_int_equal(probe->tile(probe->self, &t), SX_OK);
	assert_int_equal(probe->head_end(probe->self, &h), SX_OK);
}

static void plant(stage *g, const recipe *r, int64_t layer, int64_t head)
{
	for (int64_t q = 0; q < g->S; q++) {
		make_vectors(g, r, q);
		observe(g, q, layer, head);
	}
}

/* ---- the run file ---- */

static const struct {
	sx_run_id id;
	sx_stat stat;
} stored[] = {{SX_RUN_STATS_DIAG_MASS, SX_STAT_DIAG_MASS},
	      {SX_RUN_STATS_PREV_MASS, SX_STAT_PREV_MASS},
	      {SX_RUN_STATS_FIRST_MASS, SX_STAT_FIRST_MASS},
	      {SX_RUN_STATS_SINK_MASS, SX_STAT_SINK_MASS},
	      {SX_RUN_STATS_DUPLICATE_MASS, SX_STAT_DUPLICATE_MASS},
	      {SX_RUN_STATS_INDUCTION_MASS, SX_STAT_INDUCTION_MASS},
	      {SX_RUN_STATS_ENTROPY, SX_STAT_ENTROPY},
	      {SX_RUN_STATS_MEAN_DISTANCE, SX_STAT_MEAN_DISTANCE},
	      {SX_RUN_STATS_LOGIT_STD, SX_STAT_LOGIT_STD},
	      {SX_RUN_STATS_SS_WITHIN, SX_STAT_SS_WITHIN},
	      {SX_RUN_STATS_SS_KEY, SX_STAT_SS_KEY},
	      {SX_RUN_STATS_SS_INTERACTION, SX_STAT_SS_INTERACTION},
	      {SX_RUN_STATS_R2_OFFSET, SX_STAT_R2_OFFSET}};
enum { STORED = sizeof stored / sizeof stored[0] };

/* Sums of scores: of every offset, in the profile's bins, none. */
typedef enum { EXACT, BINNED, NO_SCORES } sums;

static sx_run *begin(struct fixture *f, const stage *g, sums scores)
{
	sx_run *run = NULL;
	int32_t bin[SX_OFFSET_BINS];
	int64_t edge[SX_OFFSET_BINS + 1];
	char model[64];
	for (int b = 0; b <= SX_OFFSET_BINS; b++) {
		edge[b] = sx_offset_bin_edge(b);
		if (b < SX_OFFSET_BINS) bin[b] = (int32_t)edge[b];
	}
	snprintf(model, sizeof model, "{\"pos\": {\"window\": %d}}", (int)g->window);
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_run_grow(run, SX_RUN_STATS_STEP, 1));
	ok(f, sx_run_define(run, SX_RUN_STATS_PHASE));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_SEQUENCE, g->S));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_LAYER, g->L));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_HEAD, g->H));
	ok(f, sx_run_axis(run, SX_RUN_STATS_OFFSET_BIN, SX_OFFSET_BINS, bin));
	ok(f, sx_run_attr_ints(run, "/stats/offset_bin", "bin_edges", edge, SX_OFFSET_BINS + 1));
	if (scores == EXACT)
		ok(f, sx_run_axis_index(run, SX_RUN_STATS_OFFSET, sx_score_bins(g->N)));
	if (scores == BINNED) ok(f, sx_run_axis(run, SX_RUN_STATS_OFFSET, SX_OFFSET_BINS, bin));
	ok(f, sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND));
	ok(f, sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, g->kind));
	for (int k = 0; k < STORED; k++) ok(f, sx_run_define(run, stored[k].id));
	ok(f, sx_run_define(run, SX_RUN_STATS_OFFSET_PROFILE));
	if (scores != NO_SCORES) ok(f, sx_run_define(run, SX_RUN_STATS_SCORE_OFFSET));
	ok(f, sx_run_attr_int(run, "/stats/prev_mass", "n_rows", g->N - 1));
	ok(f, sx_run_meta(run, SX_RUN_META_MODEL_JSON, model));
	ok(f, sx_run_start(run));
	return run;
}

static void put(struct fixture *f, sx_run *run, const stage *g, int64_t step, uint8_t phase)
{
	int64_t rec = sx_run_records(run, SX_RUN_STATS_STEP);
	for (int k = 0; k < STORED; k++)
		ok(f, sx_run_put(run, stored[k].id, rec, g->m->stat[stored[k].stat]));
	ok(f, sx_run_put(run, SX_RUN_STATS_OFFSET_PROFILE, rec, g->m->offset_profile));
	if (sx_run_defined(run, SX_RUN_STATS_SCORE_OFFSET))
		ok(f, sx_run_put(run, SX_RUN_STATS_SCORE_OFFSET, rec, g->m->score_offset));
	ok(f, sx_run_put(run, SX_RUN_STATS_PHASE, rec, &phase));
	ok(f, sx_run_put(run, SX_RUN_STATS_STEP, rec, &step));
}

/* As put, with the sums of scores added up in bins. */
static void put_binned(struct fixture *f, sx_run *run, const stage *g)
{
	int64_t heads = g->S * g->L * g->H;
	double *exact = g->m->score_offset, *binned = zeros(heads * SX_OFFSET_BINS);
	for (int64_t h = 0; h < heads; h++)
		for (int64_t d = 0; d < g->N && (g->window == 0 || d < g->window); d++)
			binned[h * SX_OFFSET_BINS + sx_offset_bin(d)] += exact[h * g->N + d];
	g->m->score_offset = binned;
	put(f, run, g, 7, 0);
	g->m->score_offset = exact;
	free(binned);
}

static sx_heads *read_heads(struct fixture *f)
{
	sx_run_file *in = open_run(f, f->path[0]);
	sx_heads *h = NULL;
	sx_heads_opts o = {.seed = 1};
	ok(f, sx_heads_read(&h, &f->ctx, in, &o));
	sx_run_file_close(in);
	return h;
}

/* All that is on the stage, as one record. */
static sx_heads *heads_of(struct fixture *f, const stage *g)
{
	sx_run *run = begin(f, g, EXACT);
	put(f, run, g, 7, 0);
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	return read_heads(f);
}

/* As files were before /stats/offset: the sums lie on the profile's bins. */
static sx_heads *heads_of_older(struct fixture *f, const stage *g)
{
	sx_run *run = begin(f, g, BINNED);
	put_binned(f, run, g);
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	hid_t file = H5Fopen(f->path[0], H5F_ACC_RDWR, H5P_DEFAULT);
	assert_true(file >= 0);
	assert_true(H5Ldelete(file, "/stats/offset", H5P_DEFAULT) >= 0);
	assert_true(H5Fclose(file) >= 0);
	return read_heads(f);
}

#endif

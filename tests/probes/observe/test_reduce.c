/* The reducers against plain sums over recorded T x T arrays of scores and probabilities, at lengths and
 * tile heights that fall on and beside every edge there is; compiled in both precisions. */
#include "tests/support/recorder.h"

#include "engine/op/blas.h"
#include "engine/op/ops.h"
#include "probes/record/record.h"

#include <float.h>
#include <unistd.h>

/* Both sides sum the same numbers in double; only the entropy's logarithms come another way. */
static const double exact = 1e-12;
static double entropy_bound;
static double worst[2]; /* of the sums, of the entropy: error over the sum of absolute terms */

typedef struct {
	int64_t B, T, tile, window;
	int H;
	sx_reduce_words words;
} setting;

typedef struct {
	setting c;
	sx_spec spec;
	sx_pos_plan plan;
	sx_real *q, *k, *v, *h, *z, *rows, *scratch;
	int32_t *tokens;
	sx_reduce *r;
	sx_measures *m;
	recorder rec;
} passed;

static sx_real *reals(int64_t n)
{
	sx_real *x = sx_calloc((size_t)n, sizeof *x);
	assert_non_null(x);
	return x;
}

/* Heads differ in how sharp they are: nearly uniform, and nearly all weight on one key. */
static void fill(sx_real *x, int64_t n, int heads, int64_t D, uint64_t seed)
{
	for (int64_t e = 0; e < n; e++)
		x[e] = (sx_real)(sx_normal(seed, SX_STREAM_TEST, (uint64_t)e) *
				 ((e / D) % heads ? 5 : 0.7));
}

static sx_attention_dims dims_of(const passed *x)
{
	return (sx_attention_dims){.B = x->c.B,
				   .T = x->c.T,
				   .tile = x->c.tile,
				   .H = x->c.H,
				   .Hkv = 1,
				   .D = x->spec.D,
				   .plan = &x->plan};
}

static passed prepare(setting c)
{
	enum { D = 8 };
	passed x = {.c = c, .spec = small_spec("rope", 1, 16, c.H, 1, D)};
	int64_t N = c.B * c.T;
	x.spec.pos.window = c.window, x.spec.pos.beta = 1.7;
	assert_int_equal(sx_pos_plan_make(&x.plan, NULL, &x.spec.pos, sx_pos_head(D, 64), 0, c.T),
			 SX_OK);
	x.q = reals(N * c.H * D), x.k = reals(N * D), x.v = reals(N * D);
	x.z = reals(N * c.H * D), x.rows = reals(2 * N * c.H), x.h = reals(N * x.spec.C);
	fill(x.q, N * c.H * D, c.H, D, 1);
	fill(x.k, N * D, 1, D, 2);
	fill(x.v, N * D, 1, D, 3);
	x.tokens = small_tokens(N, x.spec.V, 4);
	x.scratch = reals(sx_attention_scratch(dims_of(&x), false, true, 8));
	assert_int_equal(sx_reduce_new(&x.r, NULL, &c.words, 1, c.H, c.B, c.T), SX_OK);
	const sx_measure_opts o = {.reduce = x.r};
	assert_int_equal(sx_measures_new(&x.m, NULL, &o, c.B, 1, c.H, c.T, D / 2, 0), SX_OK);
	return x;
}

/* One pass of attention in tiles of the wanted height, reduced and recorded. */
static void attend(passed *x, bool record)
{
	const sx_measure_opts o = {.reduce = x->r};
	sx_observers *obs = NULL;
	int n = 0;
	sx_probe probe[2];
	assert_int_equal(
		sx_observers_new(&obs, NULL, &x->spec, &o, NULL, omp_get_max_threads(), x->m),
		SX_OK);
	probe[0] = *sx_observers_probes(obs, &n);
	assert_int_equal(n, 1);
	probe[1] = (sx_probe){.self = &x->rec, .tile = record_tile};
	if (record) x->rec = recorder_of(&x->spec, x->c.B, x->c.T);
	const sx_tap tap = {.probe = probe,
			    .n_probe = record ? 2 : 1,
			    .layer = {.spec = &x->spec, .plan = &x->plan},
			    .h = x->h,
			    .tokens = x->tokens};
	assert_int_equal(
		sx_attention_fwd(x->z, x->rows, x->q, x->k, x->v, dims_of(x), x->scratch, &tap),
		SX_OK);
	sx_observers_free(obs);
}

static void passed_free(passed *x)
{
	if (x->rec.head) recorder_free(&x->rec);
	sx_real *const all[] = {x->q, x->k, x->v, x->h, x->z, x->rows, x->scratch};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
	free(x->tokens);
	sx_pos_plan_free(&x->plan);
	sx_measures_free(x->m);
	sx_reduce_free(x->r);
}

/* ---- plain sums ---- */

/* A sum and the sum of its absolute terms; a mean over n rows where n >= 0. */
typedef struct {
	double sum, size;
	int64_t n;
} plain;

static void add(plain *p, double x)
{
	p->sum += x;
	p->size += fabs(x);
}

static void check(double got, plain p, bool mean, double tol, const char *what, const setting *c)
{
	double *most = &worst[tol != exact];
	if (mean && p.n == 0) {
		if (!isnan(got)) fail_msg("%s: %g where there is nothing", what, got);
		return;
	}
	double want = mean ? p.sum / (double)p.n : p.sum,
	       size = mean ? p.size / (double)p.n : p.size;
	double error = fabs(got - want);
	if (size > 0 && error / size > *most) *most = error / size;
	if (!(error <= tol * size))
		fail_msg("%s, T = %d, tile %d, window %d: %.17g, wanted %.17g; off by %.3g of %.3g",
			 what, (int)c->T, (int)c->tile, (int)c->window, got, want, error, size);
}

/* One head of one sequence: its arrays, and which rows count. */
typedef struct {
	const passed *x;
	const double *p, *s;
	int64_t T, seq, at;
} view;

static int64_t first_of(const view *v, int64_t i)
{
	return sx_first_key(i, v->x->c.window);
}

static bool counts(const view *v, int64_t i)
{
	return v->x->r->choice.place[i] >= 0;
}

static void check_offsets(const view *v)
{
	const sx_reduce *r = v->x->r;
	const sx_reduced *d = v->x->m->reduced;
	plain *sum = sx_calloc((size_t)(4 * r->n_bin), sizeof *sum), distance = {0},
	      distance2 = {0};
	assert_non_null(sum);
	for (int64_t i = 0; i < v->T; i++) {
		double mean = 0;
		if (!counts(v, i)) continue;
		for (int64_t j = first_of(v, i); j <= i; j++)
			mean += v->s[i * v->T + j] / (double)(i - first_of(v, i) + 1);
		for (int64_t j = first_of(v, i); j <= i; j++) {
			int64_t off = i - j, b = off < 1024 ? off : off < 2048 ? 1024 : 1025;
			double p = v->p[i * v->T + j], s = v->s[i * v->T + j] - mean;
			add(&sum[b], p);
			add(&sum[r->n_bin + b], p * p);
			add(&sum[2 * r->n_bin + b], s);
			add(&sum[3 * r->n_bin + b], s * s);
			/* the terms are those of s less the mean */
			sum[2 * r->n_bin + b].size += 2 * fabs(mean);
			sum[3 * r->n_bin + b].size += 4 * mean * mean;
			add(&distance, p * (double)off);
			add(&distance2, p * (double)(off * off));
		}
	}
	for (int64_t b = 0; b < 4 * r->n_bin; b++) {
		check(d->offset[b / r->n_bin][v->at * r->n_bin + b % r->n_bin], sum[b], false,
		      exact, "sum by offset", &v->x->c);
	}
	distance.n = distance2.n = r->choice.n_query;
	check(d->distance[v->at], distance, true, exact, "distance", &v->x->c);
	check(d->distance2[v->at], distance2, true, exact, "distance2", &v->x->c);
	free(sum);
}

static void check_keys(const view *v)
{
	const sx_reduced *d = v->x->m->reduced;
	for (int64_t j = 0; j < v->T; j++) {
		plain sum = {0};
		for (int64_t i = j; i < v->T; i++)
			if (counts(v, i)) add(&sum, v->p[i * v->T + j]);
		check(d->key_mass[v->at * v->T + j], sum, false, exact, "key_mass", &v->x->c);
	}
}

static void check_rows(const view *v)
{
	const sx_reduce *r = v->x->r;
	const sx_reduced *d = v->x->m->reduced;
	for (int64_t k = 0; k < r->choice.n_query; k++) {
		int64_t i = r->choice.query[k], best = first_of(v, i),
			at = v->at * r->choice.n_query + k;
		const double *p = v->p + i * v->T;
		plain entropy = {0};
		double score = 0;
		for (int64_t j = first_of(v, i); j <= i; j++) {
			score = fmax(score, fabs(v->s[i * v->T + j]));
			if (p[j] > 0) add(&entropy, -p[j] * log(p[j]));
			if (p[j] > p[best]) best = j;
		}
		/* scores are subtracted in double: where all the weight is on one key nothing else
		 * is left */
		entropy.size += 16 * DBL_EPSILON * score / entropy_bound;
		check(d->row_entropy[at], entropy, false, entropy_bound, "row_entropy", &v->x->c);
		assert_true(d->row_max[at] == p[best]);
		assert_int_equal(d->row_max_offset[at], i - best);
	}
}

static void check_masses(const view *v)
{
	const sx_reduce *r = v->x->r;
	const sx_reduced *d = v->x->m->reduced;
	for (int64_t m = 0; m < r->n_width; m++) {
		int64_t w = (int64_t)1 << m;
		plain sink = {0}, window = {0};
		for (int64_t i = w; i < v->T; i++) {
			if (!counts(v, i)) continue;
			sink.n++, window.n++;
			for (int64_t j = first_of(v, i); j <= i; j++) {
				if (j < w) add(&sink, v->p[i * v->T + j]);
				if (i - j < w) add(&window, v->p[i * v->T + j]);
			}
		}
		check(d->sink_mass[v->at * r->n_width + m], sink, true, exact, "sink_mass",
		      &v->x->c);
		check(d->window_mass[v->at * r->n_width + m], window, true, exact, "window_mass",
		      &v->x->c);
	}
}

static void check_spans(const view *v)
{
	const sx_reduce *r = v->x->r;
	for (int64_t k = 0; k < r->n_span; k++) {
		int64_t first = r->span_first[v->seq * r->n_span + k];
		int64_t last = r->span_last[v->seq * r->n_span + k];
		plain sum = {0};
		for (int64_t i = last + 1; first >= 0 && i < v->T; i++) {
			if (!counts(v, i)) continue;
			sum.n++;
			for (int64_t j = first; j <= last; j++) add(&sum, v->p[i * v->T + j]);
		}
		check(v->x->m->reduced->span_mass[v->at * r->n_span + k], sum, true, exact,
		      "span_mass", &v->x->c);
	}
}

/* Of row i: how many keys come before key j, largest first, of equal ones the first. */
static int64_t rank_of(const view *v, int64_t i, int64_t j)
{
	int64_t before = 0;
	const double *p = v->p + i * v->T;
	for (int64_t k = first_of(v, i); k <= i; k++)
		before += p[k] > p[j] || (p[k] == p[j] && k < j);
	return before;
}

static void check_top(const view *v)
{
	const sx_reduce *r = v->x->r;
	const sx_reduced *d = v->x->m->reduced;
	for (int64_t k = 0; k < r->choice.n_query; k++) {
		int64_t i = r->choice.query[k], n = i - first_of(v, i) + 1;
		for (int64_t rank = 0; rank < r->top; rank++) {
			int64_t at = (v->at * r->choice.n_query + k) * r->top + rank;
			if (rank >= n) {
				assert_int_equal(d->top_key[at], -1);
				assert_true(isnan(d->top_prob[at]));
				continue;
			}
			assert_in_range(d->top_key[at], first_of(v, i), i);
			assert_true(d->top_prob[at] == (float)v->p[i * v->T + d->top_key[at]]);
			assert_int_equal(rank_of(v, i, d->top_key[at]), rank);
		}
	}
}

static void check_blocks(const view *v)
{
	const sx_reduce *r = v->x->r;
	const sx_reduced *d = v->x->m->reduced;
	for (int64_t k = 0; k < r->n_block * r->n_block; k++) {
		int64_t i0 = k / r->n_block * r->block, j0 = k % r->n_block * r->block;
		plain sum = {0};
		double most = (double)NAN;
		for (int64_t i = i0; i < i0 + r->block && i < v->T; i++)
			for (int64_t j = j0; counts(v, i) && j < j0 + r->block && j <= i; j++) {
				if (j < first_of(v, i)) continue;
				sum.n++;
				add(&sum, v->p[i * v->T + j]);
				most = fmax(most, v->p[i * v->T + j]);
			}
		double got = d->block_max[v->at * r->n_block * r->n_block + k];
		check(d->block_mean[v->at * r->n_block * r->n_block + k], sum, true, exact,
		      "block_mean", &v->x->c);
		assert_true(sum.n ? got == most : isnan(got));
	}
}

/* Everything of every chosen head; how many there are. */
static int check_all(const passed *x)
{
	const sx_reduce *r = x->r;
	int n = 0;
	for (int64_t b = 0; b < x->c.B; b++)
		for (int h = 0; h < x->c.H; h++) {
			const head_record *rec = record_of(&x->rec, b, 0, h);
			view v = {.x = x, .p = rec->p, .s = rec->s, .T = x->c.T, .seq = b};
			if (r->choice.slot[h] < 0) continue;
			v.at = b * r->choice.n_layer * r->choice.n_head + r->choice.slot[h];
			if (r->offsets) check_offsets(&v);
			if (r->keys) check_keys(&v);
			if (r->rows) check_rows(&v);
			if (r->masses) check_masses(&v);
			if (r->n_span) check_spans(&v);
			if (r->top) check_top(&v);
			if (r->n_block) check_blocks(&v);
			n++;
		}
	return n;
}

/* ---- tests ---- */

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static char folder[] = "/tmp/sx-reduce-XXXXXX";
static char spans[64];

static void one_setting(setting c)
{
	passed x = prepare(c), plain_pass = prepare(c);
	attend(&x, true);
	assert_int_equal(check_all(&x), c.B * c.H);
	/* looking changes nothing */
	sx_attention_dims d = dims_of(&plain_pass);
	assert_int_equal(sx_attention_fwd(plain_pass.z, plain_pass.rows, plain_pass.q, plain_pass.k,
					  plain_pass.v, d, plain_pass.scratch, NULL),
			 SX_OK);
	assert_memory_equal(x.z, plain_pass.z, (size_t)(c.B * c.T * c.H * x.spec.D) * sizeof *x.z);
	passed_free(&x);
	passed_free(&plain_pass);
}

static void test_lengths_and_tiles(void **state)
{
	(void)state;
	const int64_t T[] = {1, 2, 63, 64, 65, 257, 1024}, tile[] = {16, 64, 128};
	for (int a = 0; a < 7; a++)
		for (int b = 0; b < 3; b++)
			for (int w = 0; w < 3; w++) {
				char text[128];
				int end = (int)T[a] - 1;
				snprintf(text, sizeof text,
					 "first 0 0\n# a comment\n\nmiddle %d %d 0\nall 0 %d\n",
					 end / 3, end / 2, end);
				write_text(spans, text);
				setting c = {.B = 1,
					     .T = T[a],
					     .tile = tile[b],
					     .window = w == 0   ? 0
						       : w == 1 ? 5
								: 100,
					     .H = 2,
					     .words = {.what = "all",
						       .spans = spans,
						       .top = 16,
						       .thumbnails = 1 + 9 * w}};
				one_setting(c);
			}
}

/* Beyond the exact offsets. */
static void test_log_bins(void **state)
{
	(void)state;
	one_setting((setting){.B = 1,
			      .T = 2100,
			      .tile = 64,
			      .H = 1,
			      .words = {.what = "all", .top = 3, .thumbnails = 64}});
	for (int64_t d = 0; d < 5000; d++) {
		int b = sx_reduce_bin(d);
		assert_true(sx_reduce_bin_edge(b) <= d && d < sx_reduce_bin_edge(b + 1));
	}
	assert_int_equal(sx_reduce_bin((int64_t)1 << 20), SX_REDUCE_BINS - 1);
}

/* Some heads, some rows, a span that one sequence has, and words one by one. */
static void test_choice(void **state)
{
	(void)state;
	write_text(spans, "needle 10 19 1\nquestion 250 256\n");
	const char *const what[] = {"all", "rows", "keys", "masses", "distance,offsets", ""};
	for (int k = 0; k < 6; k++) {
		setting c = {.B = 2,
			     .T = 257,
			     .tile = 64,
			     .H = 3,
			     .words = {.what = what[k],
				       .heads = "L0/H1-2",
				       .rows = "0-10,40-99,130,200-",
				       .spans = k ? NULL : spans,
				       .top = k == 0 || k == 5 ? 5 : 0,
				       .thumbnails = k ? 0 : 257}};
		passed x = prepare(c);
		const sx_reduced *d = x.m->reduced;
		assert_int_equal(x.r->choice.n_query, 11 + 60 + 1 + 57);
		assert_int_equal(x.r->choice.n_head, 2);
		attend(&x, true);
		if (k == 4) {
			assert_null(d->key_mass);
			assert_null(d->row_max);
		}
		assert_int_equal(check_all(&x), 4);
		if (k == 0) assert_true(isnan(d->span_mass[0]) && isfinite(d->span_mass[2 * 2]));
		/* the last span ends with the sequence: no row comes after it */
		if (k == 0) assert_true(isnan(d->span_mass[1]));
		passed_free(&x);
	}
	/* two chosen heads that do not fill their layers' rectangle leave NaN in the rest */
	sx_reduce *r = NULL;
	const sx_reduce_words w = {.what = "distance", .heads = "L0/H0,L2/H3"};
	assert_int_equal(sx_reduce_new(&r, NULL, &w, 3, 4, 1, 9), SX_OK);
	assert_int_equal(r->choice.n_layer, 2);
	assert_int_equal(r->choice.n_head, 2);
	assert_int_equal(r->choice.slot[0], 0);
	assert_int_equal(r->choice.slot[2 * 4 + 3], 3);
	assert_int_equal(r->choice.slot[3], -1);
	sx_reduce_free(r);
}

static void test_refusals(void **state)
{
	(void)state;
	const struct {
		sx_reduce_words w;
		const char *spans;
		sx_status st;
	} bad[] = {
		{{.what = "offset"}, NULL, SX_EUSAGE},
		{{.what = "keys,"}, NULL, SX_EUSAGE},
		{{.what = "all", .rows = "3-1"}, NULL, SX_EUSAGE},
		{{.what = "all", .rows = "0-64"}, NULL, SX_EUSAGE},
		{{.what = "all", .rows = "0-3,"}, NULL, SX_EUSAGE},
		{{.what = "all", .rows = "-3"}, NULL, SX_EUSAGE},
		{{.what = "all", .heads = "L9/H0"}, NULL, SX_EUSAGE},
		{{.top = 17}, NULL, SX_EUSAGE},
		{{.thumbnails = 1025}, NULL, SX_EUSAGE},
		{{.what = "all"}, "", SX_EDATA},
		{{.what = "all"}, "needle 3\n", SX_EDATA},
		{{.what = "all"}, "needle 5 3\n", SX_EDATA},
		{{.what = "all"}, "needle 5 64\n", SX_EDATA},
		{{.what = "all"}, "needle 5 6 2\n", SX_EDATA},
		{{.what = "all"}, "needle 5 6 0 1\n", SX_EDATA},
		{{.what = "all"}, "needle 5 6\nneedle 7 8 1\n", SX_EDATA},
		{{.what = "all"}, "a-name-of-more-than-thirty-one-bytes 5 6\n", SX_EDATA},
	};
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		sx_reduce_words w = bad[k].w;
		sx_reduce *r = NULL;
		sx_ctx ctx;
		sx_ctx_init(&ctx);
		if (bad[k].spans) write_text(spans, bad[k].spans), w.spans = spans;
		if (sx_reduce_new(&r, &ctx, &w, 2, 2, 2, 64) != bad[k].st)
			fail_msg("refusal %d: %s", (int)k, ctx.message);
		assert_null(r);
		assert_true(strlen(ctx.message) > 0);
	}
	sx_reduce *r = NULL;
	const sx_reduce_words w = {.spans = "/nonexistent/spans"};
	assert_int_equal(sx_reduce_new(&r, NULL, &w, 2, 2, 2, 64), SX_ENOINPUT);
}

/* All arrays, one after the other. */
static unsigned char *flatten(const passed *x, size_t *size)
{
	const sx_reduce *r = x->r;
	const sx_reduced *d = x->m->reduced;
	size_t heads = (size_t)(r->S * r->choice.n_layer * r->choice.n_head),
	       q = (size_t)r->choice.n_query;
	size_t blocks = (size_t)(r->n_block * r->n_block), w = (size_t)r->n_width;
	const struct {
		const void *data;
		size_t n;
	} part[] = {{d->offset[0], (size_t)r->n_bin * 8},
		    {d->offset[1], (size_t)r->n_bin * 8},
		    {d->offset[2], (size_t)r->n_bin * 8},
		    {d->offset[3], (size_t)r->n_bin * 8},
		    {d->key_mass, (size_t)r->T * 8},
		    {d->row_entropy, q * 8},
		    {d->row_max, q * 8},
		    {d->row_max_offset, q * 4},
		    {d->sink_mass, w * 8},
		    {d->window_mass, w * 8},
		    {d->distance, 8},
		    {d->distance2, 8},
		    {d->span_mass, (size_t)r->n_span * 8},
		    {d->top_prob, q * (size_t)r->top * 4},
		    {d->top_key, q * (size_t)r->top * 4},
		    {d->block_mean, blocks * 8},
		    {d->block_max, blocks * 8}};
	*size = (size_t)sx_reduced_bytes(r);
	unsigned char *all = sx_calloc(*size, 1), *at = all;
	assert_non_null(all);
	for (size_t k = 0; k < sizeof part / sizeof part[0]; k++) {
		memcpy(at, part[k].data, heads * part[k].n);
		at += heads * part[k].n;
	}
	assert_int_equal(at - all, *size);
	return all;
}

static void test_threads(void **state)
{
	(void)state;
	write_text(spans, "needle 10 19 1\nquestion 100 180\n");
	const setting c = {.B = 3,
			   .T = 700,
			   .tile = 64,
			   .H = 3,
			   .words = {.what = "all", .spans = spans, .top = 16, .thumbnails = 32}};
	const int threads[] = {1, 2, 8};
	unsigned char *want = NULL;
	size_t size = 0;
	for (int k = 0; k < 3; k++) {
		omp_set_num_threads(threads[k]);
		passed x = prepare(c);
		attend(&x, false);
		unsigned char *got = flatten(&x, &size);
		if (want) assert_memory_equal(got, want, size);
		free(want);
		want = got;
		passed_free(&x);
	}
	free(want);
}

/* ---- the file ---- */

static void check_stored(sx_run_file *f, sx_run_id id, const double *want, int64_t n, double tol)
{
	double *got = NULL;
	int64_t length = 0;
	assert_int_equal(sx_run_read_all(f, id, &got, &length), SX_OK);
	assert_int_equal(length, n);
	for (int64_t k = 0; k < n; k++)
		if (!(isnan(want[k]) && isnan(got[k])) &&
		    !(fabs(got[k] - want[k]) <= tol * fabs(want[k])))
			fail_msg("%s[%d]: %.17g, wanted %.17g", sx_run_rows[id].path, (int)k,
				 got[k], want[k]);
	free(got);
}

/* How many, counted pair by pair. */
static void check_counts(sx_run_file *f, const passed *x)
{
	const sx_reduce *r = x->r;
	double *pairs = zeros(r->n_bin), *keys = zeros(r->T), *widths = zeros(r->n_width);
	for (int64_t i = 0; i < r->T; i++) {
		if (r->choice.place[i] < 0) continue;
		for (int64_t j = sx_first_key(i, x->c.window); j <= i; j++)
			keys[j]++, pairs[sx_reduce_bin(i - j)]++;
		for (int64_t m = 0; m < r->n_width; m++) widths[m] += i >= (int64_t)1 << m;
	}
	check_stored(f, SX_RUN_REDUCE_OFFSET_PAIRS, pairs, r->n_bin, 0);
	check_stored(f, SX_RUN_REDUCE_KEY_ROWS, keys, r->T, 0);
	check_stored(f, SX_RUN_REDUCE_WIDTH_ROWS, widths, r->n_width, 0);
	free(pairs);
	free(keys);
	free(widths);
}

static void test_file(void **state)
{
	(void)state;
	write_text(spans, "needle 10 19 1\nquestion 100 180\n");
	setting c = {.B = 2,
		     .T = 257,
		     .tile = 64,
		     .window = 90,
		     .H = 3,
		     .words = {.what = "all",
			       .heads = "L0/H0,L0/H2",
			       .rows = "5-",
			       .spans = spans,
			       .top = 4,
			       .thumbnails = 8}};
	passed x = prepare(c);
	const sx_reduce *r = x.r;
	const sx_reduced *d = x.m->reduced;
	int64_t heads = c.B * r->choice.n_head, blocks = r->n_block * r->n_block;
	attend(&x, false);
	const sx_measure_opts o = {.reduce = r};
	const sx_record_axes a = {
		.spec = &x.spec, .S = c.B, .T = c.T, .measure = &o, .records = 1, .samples = 1};
	char path[64];
	snprintf(path, sizeof path, "%s/reduce.h5", folder);
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_run *run = NULL;
	assert_int_equal(sx_run_create(&run, &ctx, path, false), SX_OK);
	assert_int_equal(sx_record_define(run, &a), SX_OK);
	assert_int_equal(sx_run_start(run), SX_OK);
	assert_int_equal(sx_record_put(run, &ctx, &a, x.m, &x.spec, 7, 0, false), SX_OK);
	assert_int_equal(sx_run_close(&run, SX_RUN_COMPLETE), SX_OK);

	sx_run_file *f = NULL;
	assert_int_equal(sx_run_open(&f, &ctx, path), SX_OK);
	check_counts(f, &x);
	check_stored(f, SX_RUN_REDUCE_HEAD, (const double[]){0, 2}, 2, 0);
	check_stored(f, SX_RUN_REDUCE_STEP, (const double[]){7}, 1, 0);
	check_stored(f, SX_RUN_REDUCE_OFFSET_PROB, d->offset[0], heads * r->n_bin, 0);
	check_stored(f, SX_RUN_REDUCE_OFFSET_PROB2, d->offset[1], heads * r->n_bin, 0);
	check_stored(f, SX_RUN_REDUCE_OFFSET_SCORE, d->offset[2], heads * r->n_bin, 0);
	check_stored(f, SX_RUN_REDUCE_OFFSET_SCORE2, d->offset[3], heads * r->n_bin, 0);
	check_stored(f, SX_RUN_REDUCE_KEY_MASS, d->key_mass, heads * c.T, 0);
	check_stored(f, SX_RUN_REDUCE_SINK_MASS, d->sink_mass, heads * r->n_width, 0);
	check_stored(f, SX_RUN_REDUCE_WINDOW_MASS, d->window_mass, heads * r->n_width, 0);
	check_stored(f, SX_RUN_REDUCE_DISTANCE, d->distance, heads, 0);
	check_stored(f, SX_RUN_REDUCE_DISTANCE2, d->distance2, heads, 0);
	check_stored(f, SX_RUN_REDUCE_SPAN_MASS, d->span_mass, heads * r->n_span, 0);
	check_stored(f, SX_RUN_REDUCE_ROW_ENTROPY, d->row_entropy, heads * r->choice.n_query,
		     0x1p-23);
	check_stored(f, SX_RUN_REDUCE_ROW_MAX, d->row_max, heads * r->choice.n_query, 0x1p-23);
	check_stored(f, SX_RUN_REDUCE_BLOCK_MEAN, d->block_mean, heads * blocks, 0x1p-23);
	check_stored(f, SX_RUN_REDUCE_BLOCK_MAX, d->block_max, heads * blocks, 0x1p-23);
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	assert_int_equal(sx_run_shape(f, SX_RUN_REDUCE_TOP_KEY, dims, &ndim), SX_OK);
	assert_int_equal(ndim, 6);
	assert_int_equal(dims[4] * dims[5], r->choice.n_query * 4);
	int32_t *key = sx_calloc((size_t)(heads * r->choice.n_query * 4), sizeof *key);
	assert_non_null(key);
	assert_int_equal(sx_run_read(f, SX_RUN_REDUCE_TOP_KEY, NULL, NULL, key), SX_OK);
	assert_memory_equal(key, d->top_key, (size_t)(heads * r->choice.n_query * 4) * sizeof *key);
	free(key);
	sx_run_whole whole;
	assert_int_equal(sx_run_verify(f, &whole, NULL, NULL), SX_OK);
	assert_int_equal(whole.faults, 0);
	sx_run_file_close(f);
	assert_int_equal(remove(path), 0);
	passed_free(&x);
}

static int start(void **state)
{
	(void)state;
	sx_blas_start(NULL, 8);
	entropy_bound = sizeof(sx_real) == 8 ? 1e-11 : 1e-6;
	if (!mkdtemp(folder)) return -1;
	snprintf(spans, sizeof spans, "%s/spans", folder);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	print_message("worst error over the sum of absolute terms: sums %.2g, entropy %.2g\n",
		      worst[0], worst[1]);
	remove(spans);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_and_tiles),
		cmocka_unit_test(test_log_bins),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_file),
	};
	return cmocka_run_group_tests(tests, start, finish);
}

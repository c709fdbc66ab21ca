/* Evaluation and generation: against closed forms, against slow loops that know only sx_forward,
 * and against what llama2.c printed for a trained model. */
#include "engine/files/llama2c.h"
#include "engine/model/generate.h"
#include "engine/model/weights.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/variant.h"
#include "probes/runfile/runfile.h"
#include "tests/support/check.h"

#include <unistd.h>

#ifndef SX_SOURCE_DIR
#	define SX_SOURCE_DIR "."
#endif

static sx_ctx ctx;

#define ok(call) \
	do { \
		if ((call) != SX_OK) fail_msg("%s: %s", #call, ctx.message); \
	} while (0)

static sx_language make_language(bool on)
{
	sx_language l;
	sx_language_opts o = sx_language_opts_default();
	o.on = on;
	o.values = 2; /* so that a random model hits now and then */
	o.bos = true;
	o.filler = SX_FILLER_MARKOV;
	ok(sx_language_init(&l, &ctx, &o, NULL, 5));
	return l;
}

/* Random weights; only the values' logits differ from 0, so that some value is the arg max. */
static sx_model *make_model(const sx_language *l)
{
	sx_model *m = NULL;
	sx_spec s = sx_spec_default();
	s.C = 32, s.L = 2, s.D = 16, s.F = 48, s.T = 32;
	ok(sx_model_new(&m, &ctx, &s));
	sx_model_init(m, 11, SX_INIT_FAN_IN);
	int first = sx_language_value(l, 0);
	for (int v = 0; v < s.V; v++)
		for (int c = 0; c < s.C; c++)
			if (v < first || v >= first + l->opts.values) m->p.head[v * s.C + c] = 0;
	return m;
}

/* ---- loss ---- */

static void uniform_model(void **state)
{
	(void)state;
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_windows w;
	sx_ppl p;
	for (int i = 0; i < m->spec.V * m->spec.C; i++) m->p.head[i] = 0;
	ok(sx_windows_heldout(&w, &ctx, &l, 5, 64, 1));
	ok(sx_eval_ppl(&p, NULL, &ctx, m, &w));
	double want = log(m->spec.V);
	check_close(p.nll, want, 1e-6);
	check_close(p.nll_last, want, 1e-6);
	check_close(p.text_nll, want, 1e-6);
	check_close(p.text_nll_last, want, 1e-6);
	check_close(p.se, 0, 1e-6);
	assert_int_equal(p.tokens, 5 * 64);
	assert_int_equal(p.query_hits, 0);
	assert_true(p.query_trials > 0);
	sx_windows_free(&w);
	sx_model_free(m);
}

/* logits (V) of row t of the last pass, computed here. */
static void slow_logits(double *logits, const sx_model *m, const sx_work *w, int64_t t)
{
	int C = m->spec.C;
	for (int v = 0; v < m->spec.V; v++) {
		logits[v] = 0;
		for (int c = 0; c < C; c++)
			logits[v] += (double)m->p.head[v * C + c] * (double)w->f[t * C + c];
	}
}

static int slow_arg_max(const double *logits, int V)
{
	int best = 0;
	for (int v = 1; v < V; v++)
		if (logits[v] > logits[best]) best = v;
	return best;
}

/* What sx_eval_ppl tells, window by window; half of the targets from `half` on. */
typedef struct {
	double all, last, text, text_last, window[64];
	int64_t n_all, n_last, n_text, n_text_last, hits, queries;
} slow_ppl;

static void slow_window(slow_ppl *y, const sx_model *m, sx_work *work, const sx_windows *w,
			int64_t i)
{
	double logits[256];
	ok(sx_forward(&ctx, m, work, &(sx_request){.tokens = w->tokens + i * w->T, .B = 1}, NULL));
	for (int64_t t = 0; t < w->T; t++) {
		int target = w->target[i * w->T + t], cls = w->cls[i * w->T + t];
		double sum = 0;
		slow_logits(logits, m, work, t);
		for (int v = 0; v < m->spec.V; v++) sum += exp(logits[v]);
		double nll = log(sum) - logits[target];
		bool last = t >= w->T / 2, text = cls == SX_CLASS_FILLER;
		y->window[i] += nll / (double)w->T;
		y->all += nll, y->n_all++;
		if (last) y->last += nll, y->n_last++;
		if (text) y->text += nll, y->n_text++;
		if (text && last) y->text_last += nll, y->n_text_last++;
		if (cls != SX_CLASS_QUERY) continue;
		y->queries++;
		y->hits += slow_arg_max(logits, m->spec.V) == target;
	}
}

static void loss_equals_slow_loop(void **state)
{
	(void)state;
	enum { W = 37 };
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_work *work = NULL;
	sx_windows w;
	sx_ppl p;
	slow_ppl y = {0};
	ok(sx_windows_heldout(&w, &ctx, &l, W, 256, 1)); /* 16 at a time */
	ok(sx_eval_ppl(&p, NULL, &ctx, m, &w));
	ok(sx_work_new(&work, &ctx, m, 1, 256, SX_WORK_FORWARD));
	for (int64_t i = 0; i < W; i++) slow_window(&y, m, work, &w, i);
	check_close(p.nll, y.all / (double)y.n_all, 1e-5);
	check_close(p.nll_last, y.last / (double)y.n_last, 1e-5);
	check_close(p.text_nll, y.text / (double)y.n_text, 1e-5);
	check_close(p.text_nll_last, y.text_last / (double)y.n_text_last, 1e-5);
	assert_true(fabs(p.text_nll - p.nll) > 1e-3);
	assert_int_equal(p.query_trials, y.queries);
	assert_int_equal(p.query_hits, y.hits);
	assert_in_range(p.query_hits, 1, y.queries - 1);
	/* windows of one length: the textbook's s / sqrt(W) */
	double mean = 0, ss = 0;
	for (int i = 0; i < W; i++) mean += y.window[i] / W;
	for (int i = 0; i < W; i++) ss += (y.window[i] - mean) * (y.window[i] - mean);
	check_close(p.se, sqrt(ss / (W - 1)) / sqrt(W), 1e-6);
	sx_work_free(work);
	sx_windows_free(&w);
	sx_model_free(m);
}

/* ---- pieces ---- */

static void pieces_and_runs(void **state)
{
	(void)state;
	int32_t ids[10] = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
	sx_pieces p;
	sx_windows w;
	ok(sx_pieces_ids(&p, &ctx, ids, 10, 0));
	ok(sx_windows_pieces(&w, &ctx, &p, 4));
	assert_int_equal(w.W, 3);
	const int32_t run[] = {11, 12, 13, 14, 15, 16, 17, 18, 19, -1, -1, -1};
	assert_memory_equal(w.target, run, sizeof run);
	assert_int_equal(w.tokens[8], 18);
	sx_windows_free(&w);
	ok(sx_windows_pieces(&w, &ctx, &p, 9)); /* exactly the targets there are */
	assert_int_equal(w.W, 1);
	assert_int_equal(w.target[8], 19);
	sx_windows_free(&w);
	sx_pieces_free(&p);

	ok(sx_pieces_ids(&p, &ctx, ids, 10, 6)); /* 6 and 4 ids */
	ok(sx_windows_pieces(&w, &ctx, &p, 5));  /* the first is truncated */
	const int32_t cut[] = {11, 12, 13, 14, -1, 17, 18, 19, -1, -1};
	assert_int_equal(w.W, 2);
	assert_memory_equal(w.target, cut, sizeof cut);
	sx_windows_free(&w);
	sx_pieces_free(&p);

	assert_int_equal(sx_pieces_ids(&p, &ctx, ids, 10, 1), SX_EDATA);
	assert_int_equal(sx_pieces_ids(&p, &ctx, ids, 1, 0), SX_EDATA);
	assert_int_equal(sx_pieces_ids(&p, &ctx, ids, 0, 3), SX_EDATA);
}

/* Padding and grouping must not matter: one piece at a time gives the same mean. */
static void pieces_of_any_length(void **state)
{
	(void)state;
	enum { N = 500 };
	int32_t ids[N];
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_pieces all;
	sx_ppl p;
	double sum = 0;
	for (int i = 0; i < N; i++) ids[i] = sx_language_value(&l, 0) + i * i % 7 % 2;
	int64_t begin[] = {0, 40, 43, 143, 144, 210, N};
	ok(sx_pieces_ids(&all, &ctx, ids, N, 84)); /* six pieces, whose bounds are moved */
	assert_int_equal(all.n_piece, 6);
	memcpy(all.piece, begin, sizeof begin);
	sx_windows w;
	ok(sx_windows_pieces(&w, &ctx, &all, 100));
	double nll[6], text[6];
	ok(sx_eval_ppl(&p, &(const sx_window_losses){nll, text}, &ctx, m, &w));
	sx_windows_free(&w);
	int64_t n = 0;
	for (int i = 0; i < 6; i++) {
		int64_t len = begin[i + 1] - begin[i] < 100 ? begin[i + 1] - begin[i] : 100;
		sx_ppl one;
		if (len < 2) {
			assert_true(isnan(nll[i]) && isnan(text[i]));
			continue;
		}
		ok(sx_windows_new(&w, &ctx, 1, len));
		sx_windows_set(&w, 0, ids + begin[i], len);
		ok(sx_eval_ppl(&one, NULL, &ctx, m, &w));
		assert_int_equal(one.tokens, len - 1);
		check_close(nll[i], one.nll, 1e-6);
		check_close(text[i], one.text_nll_last, 1e-6);
		sum += one.nll * (double)one.tokens;
		n += one.tokens;
		sx_windows_free(&w);
	}
	assert_int_equal(p.tokens, n);
	check_close(p.nll, sum / (double)n, 1e-6);
	sx_pieces_free(&all);
	sx_model_free(m);
}

/* ---- needles ---- */

static void needles_equal_slow_loop(void **state)
{
	(void)state;
	enum { T = 96, TRIALS = 70 }; /* 42 at a time */
	int32_t tokens[T];
	double logits[256];
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_work *work = NULL;
	ok(sx_work_new(&work, &ctx, m, 1, T, SX_WORK_FORWARD));
	for (int k = 0; k < SX_NEEDLE_KINDS; k++) {
		sx_niah got;
		int64_t hits[SX_NIAH_BINS] = {0}, trials[SX_NIAH_BINS] = {0}, all = 0;
		double blind = 0, window = 0;
		int facts = k == SX_NEEDLE_MULTI_VALUE ? 2 : 4;
		ok(sx_eval_niah(&got, NULL, &ctx, m, &l, (sx_needle_kind)k, facts, T, TRIALS, 9));
		for (uint64_t i = 0; i < TRIALS; i++) {
			sx_needle p;
			bool hit = true;
			double by_guess, by_window;
			ok(sx_language_needle(tokens, &p, &ctx, &l, (sx_needle_kind)k, facts, T, 9,
					      i));
			ok(sx_forward(&ctx, m, work, &(sx_request){.tokens = tokens, .B = 1},
				      NULL));
			for (int a = 0; a < p.answers; a++) {
				slow_logits(logits, m, work, p.at[a]);
				hit = hit && slow_arg_max(logits, m->spec.V) == p.value[a];
			}
			int bin = (int)floor(log2((double)p.distance));
			hits[bin] += hit, trials[bin]++, all += hit;
			sx_needle_chance(&l, &p, &by_guess, &by_window);
			blind += by_guess / TRIALS, window += by_window / TRIALS;
		}
		assert_in_range(all, 1, TRIALS - 1);
		assert_int_equal(got.hits, all);
		assert_int_equal(got.trials, TRIALS);
		assert_memory_equal(got.bin_hits, hits, sizeof hits);
		assert_memory_equal(got.bin_trials, trials, sizeof trials);
		check_close(got.chance_blind, blind, 1e-12);
		check_close(got.chance_window, window, 1e-12);
	}
	sx_niah none;
	assert_int_equal(sx_eval_niah(&none, NULL, &ctx, m, &l, SX_NEEDLE_MULTI_KEY, 4, 5, 3, 1),
			 SX_ECONFIG);
	sx_language off = make_language(false);
	assert_int_equal(sx_eval_niah(&none, NULL, &ctx, m, &off, SX_NEEDLE_SINGLE, 1, 64, 3, 1),
			 SX_ECONFIG);
	sx_work_free(work);
	sx_model_free(m);
}

/* ---- variants ---- */

static void grid_of_variants(void **state)
{
	(void)state;
	static const char *const methods[] = {"rope", "pi", "ntk", "yarn"};
	static const char *const nope[] = {"nope"}, *const unknown[] = {"ropy"};
	const double c[] = {0, 0.2};
	sx_spec s = sx_spec_default();
	sx_variant *v = NULL;
	int n = 0;
	ok(sx_variant_grid(&v, &n, &ctx, &s, 128, methods, 4, c, 2)); /* the trained length */
	assert_int_equal(n, 9);
	for (int i = 0; i < 9; i++) assert_int_equal(v[i].same_as, 0); /* one to evaluate */
	assert_string_equal(v[0].label, "rope");
	free(v);
	ok(sx_variant_grid(&v, &n, &ctx, &s, 512, methods, 4, c, 2));
	assert_int_equal(n, 9);
	for (int i = 0; i < 8; i++) {
		assert_string_equal(v[i].label, methods[i / 2]);
		assert_true(v[i].c == c[i % 2] && v[i].pos.factor == 4);
		check_close(v[i].pos.beta, 1 + c[i % 2] * log(4), 1e-15);
		assert_true(v[i].attention_factor == 1);
	}
	assert_string_equal(v[8].label, "yarn (shipped)");
	assert_true(isnan(v[8].c) && v[8].pos.beta == 1);
	for (int i = 0; i < 9; i++) assert_int_equal(v[i].same_as, i);
	check_close(v[8].attention_factor, 0.1 * log(4) + 1, 1e-15);
	free(v);

	s.pos.train_length = 64;
	s.pos.beta = 2;
	ok(sx_variant_grid(&v, &n, &ctx, &s, 128, methods, 2, c, 2));
	assert_int_equal(n, 4);
	check_close(v[3].pos.beta, 2 * (1 + 0.2 * log(2)), 1e-15);
	free(v);

	assert_int_equal(sx_variant_grid(&v, &n, &ctx, &s, 128, unknown, 1, c, 2), SX_ECONFIG);
	assert_true(sx_method_applies(&s, "nope") && sx_method_applies(&s, "pi"));
	strcpy(s.pos.method, "nope");
	assert_true(sx_method_applies(&s, "nope") && !sx_method_applies(&s, "pi"));
	ok(sx_variant_grid(&v, &n, &ctx, &s, 128, nope, 1, c, 2));
	assert_int_equal(n, 2);
	free(v);
}

/* Changing spec.pos on a loaded model is measuring another model. */
static void variants_need_no_reload(void **state)
{
	(void)state;
	sx_language l = make_language(true);
	sx_model *m = make_model(&l), *other = make_model(&l);
	sx_windows w;
	sx_ppl a, b, c;
	ok(sx_windows_heldout(&w, &ctx, &l, 3, 64, 1));
	ok(sx_eval_ppl(&a, NULL, &ctx, m, &w));
	strcpy(m->spec.pos.method, "pi");
	m->spec.pos.factor = 2;
	ok(sx_eval_ppl(&b, NULL, &ctx, m, &w));
	assert_true(a.nll != b.nll);
	m->spec.pos = other->spec.pos;
	ok(sx_eval_ppl(&c, NULL, &ctx, m, &w));
	assert_true(a.nll == c.nll);
	sx_windows_free(&w);
	sx_model_free(m);
	sx_model_free(other);
}

/* ---- the run file ---- */

static void record_in_run_file(void **state)
{
	(void)state;
	char dir[] = "/tmp/sextant-eval-XXXXXX", path[64];
	char *words[] = {"data.filler=markov", "eval.lengths=[32, 64]", "eval.windows=3",
			 "eval.niah_trials=20", "data.retrieval.values=2"};
	sx_config cfg;
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_run *run = NULL;
	sx_run_file *f = NULL;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/e.h5", dir);
	ok(sx_config_load(&cfg, &ctx, NULL, 5, words));
	ok(sx_eval_check(&ctx, &cfg, &l));
	ok(sx_run_create(&run, &ctx, path, false));
	ok(sx_eval_define(run, &cfg, &l));
	ok(sx_run_start(run));
	ok(sx_eval_record(run, &ctx, &cfg, &l, m, 500, 1));
	ok(sx_run_close(&run, SX_RUN_COMPLETE));

	ok(sx_run_open(&f, &ctx, path));
	double *nll = NULL, *hits = NULL, *trials = NULL, *edge = NULL;
	int64_t n, step, *edges = NULL, n_edges;
	uint8_t phase;
	char **kinds = NULL;
	sx_windows w;
	sx_ppl p;
	ok(sx_run_read(f, SX_RUN_EVAL_STEP, NULL, NULL, &step));
	ok(sx_run_read(f, SX_RUN_EVAL_PHASE, NULL, NULL, &phase));
	assert_int_equal(step, 500);
	assert_int_equal(phase, 1);
	ok(sx_run_read_all(f, SX_RUN_EVAL_NLL, &nll, &n));
	assert_int_equal(n, 2);
	ok(sx_windows_heldout(&w, &ctx, &l, 3, 64, 1));
	ok(sx_eval_ppl(&p, NULL, &ctx, m, &w));
	assert_true(nll[1] == p.nll);
	ok(sx_run_strings(f, SX_RUN_EVAL_KIND, &kinds, &n));
	assert_int_equal(n, 4);
	assert_string_equal(kinds[1], "multi-key");
	ok(sx_run_read_all(f, SX_RUN_EVAL_DISTANCE, &edge, &n));
	assert_int_equal(n, 6); /* 1 2 4 8 16 32: the longest distance is 63 */
	ok(sx_run_get_ints(f, "/eval/distance", "bin_edges", &edges, &n_edges));
	assert_int_equal(n_edges, 7);
	assert_int_equal(edges[6], 64);
	ok(sx_run_read_all(f, SX_RUN_EVAL_NIAH_HITS, &hits, &n));
	ok(sx_run_read_all(f, SX_RUN_EVAL_NIAH_TRIALS, &trials, &n));
	assert_int_equal(n, 2 * 4 * 6);
	for (int lk = 0; lk < 8; lk++) {
		sx_niah r;
		double sum = 0;
		ok(sx_eval_niah(&r, NULL, &ctx, m, &l, (sx_needle_kind)(lk % 4), 2,
				lk < 4 ? 32 : 64, 20, 1));
		for (int b = 0; b < 6; b++) {
			assert_true(hits[lk * 6 + b] == (double)r.bin_hits[b]);
			sum += trials[lk * 6 + b];
		}
		assert_true(sum == 20);
	}
	sx_run_file_close(f);
	sx_windows_free(&w);
	sx_config_free(&cfg);
	sx_model_free(m);
	free(nll), free(hits), free(trials), free(edge), free(edges), free(kinds);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void training_is_told_beforehand(void **state)
{
	(void)state;
	char *words[] = {"data.filler=markov", "eval.lengths=[64, 8]", "eval.every=500"};
	sx_config cfg;
	sx_language l = make_language(true);
	ok(sx_config_load(&cfg, &ctx, NULL, 3, words));
	assert_int_equal(sx_eval_check(&ctx, &cfg, &l), SX_ECONFIG);
	sx_config_free(&cfg);
	words[2] = "eval.every=0"; /* then nothing will be asked for */
	ok(sx_config_load(&cfg, &ctx, NULL, 3, words));
	ok(sx_eval_check(&ctx, &cfg, &l));
	ok(sx_eval_define(NULL, &cfg, &l));
	ok(sx_eval_record(NULL, &ctx, &cfg, &l, NULL, 0, 0));
	sx_config_free(&cfg);
}

/* ---- generation ---- */

static sx_generate_opts greedy(void)
{
	return (sx_generate_opts){.temperature = 0, .top_p = 1, .seed = 1, .stop = {-1, -1}};
}

/* Every token is the arg max of an unpadded pass over what stands before it. */
static void greedy_equals_plain_passes(void **state)
{
	(void)state;
	enum { MOST = 140 };
	int32_t ids[MOST] = {65, 66, 67};
	double logits[256];
	int64_t n = 3;
	sx_language l = make_language(true);
	sx_model *m = make_model(&l);
	sx_generate_opts o = greedy();
	sx_model_init(m, 4, SX_INIT_FAN_IN); /* all of the output matrix */
	ok(sx_generate(ids, &n, MOST, &ctx, m, &o));
	assert_int_equal(n, MOST);
	for (int64_t at = 3; at < MOST; at += at == 62 || at == 126 ? 1 : 4) {
		sx_work *w = NULL;
		ok(sx_work_new(&w, &ctx, m, 1, at, SX_WORK_FORWARD));
		ok(sx_forward(&ctx, m, w, &(sx_request){.tokens = ids, .B = 1}, NULL));
		slow_logits(logits, m, w, at - 1);
		assert_int_equal(slow_arg_max(logits, m->spec.V), ids[at]);
		sx_work_free(w);
	}
	/* a stop ends the text and is not kept */
	int32_t again[MOST] = {65, 66, 67};
	int64_t first = 3;
	while (first < MOST && ids[first] != ids[MOST - 1]) first++;
	o.stop[1] = ids[MOST - 1];
	n = 3;
	ok(sx_generate(again, &n, MOST, &ctx, m, &o));
	assert_int_equal(n, first);
	assert_memory_equal(again, ids, (size_t)first * sizeof *ids);
	sx_model_free(m);
}

/* A model that says the same of every position: equal embeddings, no layer adds anything. */
static sx_model *constant_model(double *p)
{
	sx_model *m = NULL;
	sx_spec s = sx_spec_default();
	double sum = 0;
	s.V = 5, s.C = 4, s.L = 1, s.H = s.Hkv = 1, s.D = 4, s.F = 4;
	ok(sx_model_new(&m, &ctx, &s));
	for (int c = 0; c < s.V * s.C; c++) m->p.embed[c] = 1;
	for (int c = 0; c < s.C; c++) m->p.ln1[c] = m->p.ln2[c] = m->p.ln_f[c] = 1;
	for (int v = 0; v < s.V; v++) m->p.head[v * s.C] = (float)(0.7 * v); /* logits .7 v */
	for (int v = 0; v < s.V; v++) sum += exp(0.7 * v);
	for (int v = 0; v < s.V; v++) p[v] = exp(0.7 * v) / sum;
	return m;
}

static void count_draws(int *count, const sx_model *m, double temperature, double top_p, int draws)
{
	memset(count, 0, 5 * sizeof *count);
	for (int i = 0; i < draws; i++) {
		int32_t ids[2] = {0};
		int64_t n = 1;
		sx_generate_opts o = {.temperature = temperature,
				      .top_p = top_p,
				      .seed = (uint64_t)i,
				      .stop = {-1, -1}};
		ok(sx_generate(ids, &n, 2, &ctx, m, &o));
		count[ids[1]]++;
	}
}

static void draws_follow_the_law(void **state)
{
	(void)state;
	enum { DRAWS = 1500 };
	double p[5];
	int count[5];
	sx_model *m = constant_model(p);
	count_draws(count, m, 1, 1, DRAWS);
	for (int v = 0; v < 5; v++)
		check_close(count[v], DRAWS * p[v], 5 * sqrt(DRAWS * p[v] * (1 - p[v])));
	/* p = .03 .06 .12 .25 .51 roughly: two tokens make 70 % */
	assert_true(p[4] < 0.7 && p[4] + p[3] > 0.7);
	count_draws(count, m, 1, 0.7, DRAWS);
	assert_int_equal(count[0] + count[1] + count[2], 0);
	double q = p[3] / (p[3] + p[4]);
	check_close(count[3], DRAWS * q, 5 * sqrt(DRAWS * q * (1 - q)));
	count_draws(count, m, 1, 0.3, 50); /* the nucleus is one token */
	assert_int_equal(count[4], 50);
	count_draws(count, m, 0.01, 1, 50);
	assert_int_equal(count[4], 50);
	/* temperature 2 takes the square root of every ratio */
	count_draws(count, m, 2, 1, DRAWS);
	double sum = 0;
	for (int v = 0; v < 5; v++) sum += sqrt(p[v]);
	q = sqrt(p[0]) / sum;
	check_close(count[0], DRAWS * q, 5 * sqrt(DRAWS * q * (1 - q)));

	int32_t ids[2] = {0};
	int64_t n = 1;
	sx_generate_opts o = greedy();
	o.top_p = 0;
	assert_int_equal(sx_generate(ids, &n, 2, &ctx, m, &o), SX_EUSAGE);
	o.top_p = 1, o.temperature = -1;
	assert_int_equal(sx_generate(ids, &n, 2, &ctx, m, &o), SX_EUSAGE);
	o = greedy(), n = 0;
	assert_int_equal(sx_generate(ids, &n, 2, &ctx, m, &o), SX_EUSAGE);
	m->p.head[0] = (float)NAN;
	n = 1;
	assert_int_equal(sx_generate(ids, &n, 2, &ctx, m, &o), SX_EDATA);
	sx_model_free(m);
}

/* ---- a trained model, against llama2.c ---- */

static char *shared(const char *name)
{
	const char *root = getenv("SEXTANT_SHARED");
	return root ? sx_format("%s/%s", root, name)
		    : sx_format("%s/../shared/%s", SX_SOURCE_DIR, name);
}

typedef struct {
	sx_tensors *tensors;
	sx_model *m;
	sx_tokenizer *tok;
} stories;

static stories open_stories(void)
{
	stories s = {0};
	sx_spec spec;
	char *bin = shared("data/models/stories260K/stories260K.bin");
	char *tok = shared("data/models/stories260K/tok512.bin");
	bool there = sx_path_exists(bin) && sx_path_exists(tok);
	if (there) {
		ok(sx_llama2c_open(&s.tensors, &spec, &ctx, bin));
		ok(sx_model_load(&s.m, &ctx, s.tensors, &spec));
		ok(sx_tokenizer_open(&s.tok, &ctx, tok, spec.V));
	}
	free(bin);
	free(tok);
	if (!there) {
		print_message("skipped: the shared data have no stories260K\n");
		skip();
	}
	return s;
}

static void close_stories(stories *s)
{
	sx_model_free(s->m);
	sx_tensors_free(s->tensors);
	sx_tokenizer_free(s->tok);
}

/* reference/stories260K_nll.json: the first 80,000 bytes in pieces of 1,600, at most 512 tokens. */
static void stories_loss(void **state)
{
	(void)state;
	stories s = open_stories();
	char *path = shared("data/text/tinystories-sample.txt"), *text = NULL;
	size_t size;
	sx_pieces pieces;
	sx_windows w;
	sx_ppl p;
	ok(sx_read_file(&ctx, path, &text, &size));
	assert_true(size > 80000);
	ok(sx_pieces_text(&pieces, &ctx, s.tok, true, text, 80000, 1600));
	ok(sx_windows_pieces(&w, &ctx, &pieces, 512));
	ok(sx_eval_ppl(&p, NULL, &ctx, s.m, &w));
	assert_int_equal(p.tokens, 25550);
	check_close(p.nll, 1.792148, 1e-4);
	strcpy(s.m->spec.pos.method, "nope");
	ok(sx_eval_ppl(&p, NULL, &ctx, s.m, &w));
	check_close(p.nll, 5.050453, 1e-4);
	sx_windows_free(&w);
	sx_pieces_free(&pieces);
	free(text);
	free(path);
	close_stories(&s);
}

/* reference/stories260K_t0_n200.txt: `run -t 0 -n 200`, and a newline. */
static void stories_text(void **state)
{
	(void)state;
	stories s = open_stories();
	char *path = shared("data/reference/stories260K_t0_n200.txt"), *want = NULL, *got = NULL;
	int32_t ids[201] = {sx_tokenizer_bos(s.tok)};
	size_t size, len;
	int64_t n = 1;
	sx_generate_opts o = greedy();
	ok(sx_read_file(&ctx, path, &want, &size));
	ok(sx_generate(ids, &n, 201, &ctx, s.m, &o));
	ok(sx_tokenizer_decode(&got, &len, &ctx, s.tok, ids, n));
	assert_int_equal(len + 1, size);
	assert_memory_equal(got, want, len);
	free(got);
	free(want);
	free(path);
	close_stories(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uniform_model),
		cmocka_unit_test(loss_equals_slow_loop),
		cmocka_unit_test(pieces_and_runs),
		cmocka_unit_test(pieces_of_any_length),
		cmocka_unit_test(needles_equal_slow_loop),
		cmocka_unit_test(grid_of_variants),
		cmocka_unit_test(variants_need_no_reload),
		cmocka_unit_test(record_in_run_file),
		cmocka_unit_test(training_is_told_beforehand),
		cmocka_unit_test(greedy_equals_plain_passes),
		cmocka_unit_test(draws_follow_the_law),
		cmocka_unit_test(stories_loss),
		cmocka_unit_test(stories_text),
	};
	sx_ctx_init(&ctx);
	return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}

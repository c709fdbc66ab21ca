/* What `plan` says beforehand against what is then there: parameters, allocated bytes, datasets of a
 * real run file; FLOPs against products counted one by one. And `bench`'s kernels on odd shapes. */
#include "tests/support/small_model.h"

#include "cli/cmd.h"
#include "engine/model/bench.h"
#include "engine/model/model.h"
#include "engine/op/blas.h"
#include "probes/lab/cost.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/schedule.h"
#include "probes/record/record.h"

#include <jansson.h>
#include <malloc.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_plan;

/* The benchmark's shape, and one with everything in it. */
static sx_spec plain_spec(void)
{
	sx_spec s = sx_spec_default();
	s.L = 6, s.C = 384, s.H = s.Hkv = 6, s.D = 64, s.F = 1024, s.V = 512, s.T = 256;
	s.tied = true;
	return s;
}

static sx_spec odd_spec(sx_qk_norm norm)
{
	sx_spec s = sx_spec_default();
	s.L = 3, s.C = 40, s.H = 6, s.Hkv = 2, s.D = 12, s.F = 56, s.V = 97, s.T = 150;
	s.qkv_bias = true;
	s.qk_norm = norm;
	s.pos.window = 70;
	return s;
}

/* ---- parameters ---- */

static void check_parameters(const sx_spec *s)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(s, info);
	int64_t all = 0, matrices = 0, embeddings = 0;
	for (int i = 0; i < n; i++) {
		int64_t size = info[i].rows * info[i].cols * info[i].copies;
		bool embed = strcmp(info[i].field, "embed") == 0;
		bool head = strcmp(info[i].field, "head") == 0;
		all += size;
		if (info[i].start == 'M' || (embed && s->tied)) matrices += size;
		if (embed || head) embeddings += size;
	}
	assert_int_equal(sx_spec_params(s), all);
	assert_int_equal(sx_cost_matrices(s), matrices);
	assert_int_equal(sx_cost_embeddings(s), embeddings);
	assert_int_equal(sx_cost_checkpoint_bytes(s), 12 * all);
}

static void parameters_are_the_tables(void **state)
{
	(void)state;
	sx_spec s = plain_spec();
	check_parameters(&s);
	assert_int_equal(sx_cost_matrices(&s), 10813440);
	s.tied = false;
	check_parameters(&s);
	for (int norm = SX_QK_NORM_NONE; norm <= SX_QK_NORM_HEAD; norm++) {
		s = odd_spec((sx_qk_norm)norm);
		check_parameters(&s);
	}
	for (int k = 0; k < SMALL_BLOCKS; k++) {
		s = small_block_spec(odd_spec(SX_QK_NORM_NONE), k);
		check_parameters(&s);
	}
}

/* ---- memory ---- */

static void check_work(const sx_spec *s, int64_t B, int64_t T, sx_work_mode mode)
{
	sx_model *m = NULL;
	sx_work *w = NULL;
	assert_int_equal(sx_model_new(&m, NULL, s), SX_OK);
	assert_int_equal(sx_work_new(&w, NULL, m, B, T, mode), SX_OK);
	size_t tables = 0;
	for (int l = 0; l < s->L; l++)
		if (w->rot[l].cos && (l == 0 || w->rot[l].cos != w->rot[l - 1].cos))
			tables += (size_t)(2 * T * w->rot[l].n_freq) * sizeof(float);
	assert_true(tables > 0);
	assert_int_equal(sx_work_bytes(s, B, T, mode, sx_blas_threads()), w->arena.cap + tables);
	sx_work_free(w);
	sx_model_free(m);
}

static void work_takes_what_was_said(void **state)
{
	(void)state;
	sx_spec plain = plain_spec();
	check_work(&plain, 2, 256, SX_WORK_TRAIN);
	check_work(&plain, 3, 100, SX_WORK_FORWARD);
	for (int norm = SX_QK_NORM_NONE; norm <= SX_QK_NORM_HEAD; norm++) {
		sx_spec s = odd_spec((sx_qk_norm)norm);
		check_work(&s, 3, s.T, SX_WORK_TRAIN);
		check_work(&s, 1, 33, SX_WORK_FORWARD);
	}
	for (int k = 0; k < SMALL_BLOCKS; k++) {
		sx_spec s = small_block_spec(odd_spec(SX_QK_NORM_NONE), k);
		check_work(&s, 3, s.T, SX_WORK_TRAIN);
		check_work(&s, 1, 33, SX_WORK_FORWARD);
	}
}

static int64_t held(const double *p)
{
	return p ? (int64_t)malloc_usable_size((void *)(uintptr_t)p) : 0;
}

static void measures_take_what_was_said(void **state)
{
	(void)state;
	sx_spec s = plain_spec();
	for (int without = 0; without < 4; without++) {
		sx_measure_opts o = {.stats = without != 1,
				     .rope = without != 2,
				     .ac = without != 3,
				     .spread = without != 3,
				     .grad = without == 3};
		sx_measures *m = NULL;
		assert_int_equal(sx_measures_new(&m, NULL, &o, 3, s.L, s.H, 64, s.D / 2, 2), SX_OK);
		int64_t real = 0;
		for (int i = 0; i < SX_STAT_COUNT; i++) real += held(m->stat[i]);
		real += held(m->offset_profile) + held(m->score_offset) + held(m->rope_q) +
			held(m->rope_k);
		real += held(m->rope_share) + held(m->rope_signed) + held(m->rope_var) +
			held(m->rope_rest);
		real += held(m->ac_value) + held(m->ac_grad) + held(m->logit_osc);
		real += held(m->uniform_l1) + held(m->prefix_spread);
		for (int g = 0; g < SX_GRAD_COUNT; g++) real += held(m->grad[g]);
		real += held(m->key_flow);
		int64_t said = sx_cost_probe_bytes(&s, &o, 3, 64, 2, 0);
		/* the allocator rounds each of 36 arrays up */
		assert_in_range(real - said, 0, 36 * 24);
		sx_measures_free(m);
	}
}

/* ---- FLOPs ---- */

/* Two for every multiply-add of y (N, out) = x (N, in) W^T. */
static double product(int64_t n, int64_t in, int64_t out)
{
	return 2.0 * (double)n * (double)in * (double)out;
}

/* One forward pass, product by product; attention pair by pair. */
static sx_flops counted(const sx_spec *s, int64_t T)
{
	sx_flops f = {0};
	int64_t q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	for (int l = 0; l < s->L; l++) {
		f.linear += product(T, s->C, q) + 2 * product(T, s->C, kv) + product(T, q, s->C);
		f.linear += 2 * product(T, s->C, s->F) + product(T, s->F, s->C);
		for (int h = 0; h < s->H; h++)
			for (int64_t i = 0; i < T; i++)
				for (int64_t j = 0; j <= i; j++) {
					if (s->pos.window && i - j >= s->pos.window) continue;
					/* q.k, then alpha v */
					f.attention += product(1, s->D, 1) + product(1, 1, s->D);
				}
	}
	f.linear += product(T, s->C, s->V);
	return f;
}

static void flops_are_counted(void **state)
{
	(void)state;
	const sx_spec specs[] = {plain_spec(), odd_spec(SX_QK_NORM_NONE)};
	for (int i = 0; i < 2; i++) {
		const sx_spec *s = &specs[i];
		const int64_t lengths[] = {1, 64, 71, s->T};
		for (int k = 0; k < 4; k++) {
			int64_t T = lengths[k];
			sx_flops want = counted(s, T), got = sx_cost_forward(s, T, true);
			sx_flops train = sx_cost_train(s, T);
			sx_flops blind = sx_cost_forward(s, T, false);
			assert_true(got.linear == want.linear);
			assert_true(got.attention == want.attention);
			/* every product has two gradients of its own size */
			assert_true(train.linear == 3 * want.linear);
			assert_true(train.attention == 3 * want.attention);
			assert_true(blind.linear == want.linear - product(T, s->C, s->V));
			assert_true(blind.attention == want.attention);
		}
	}
}

/* The reference: 64.9 MFLOP/token linear, 3.55 causal attention, 140 GFLOP for 2,048 tokens. */
static void flops_of_the_reference(void **state)
{
	(void)state;
	sx_spec s = plain_spec();
	sx_flops f = sx_cost_train(&s, 256);
	assert_true(f.linear / 256 == 64880640);
	assert_true(f.attention / 256 == 3552768);
	check_close(1e-9 * 8 * (f.linear + f.attention), 140.15, 0.01);
}

/* A_c's gradients as functional.c makes them: two products per head, family and visible pair, then
 * two of (D,C) and two of (T,C) over T or D. */
static void flops_of_the_observers(void **state)
{
	(void)state;
	sx_spec s = odd_spec(SX_QK_NORM_HEAD), full = odd_spec(SX_QK_NORM_FULL);
	const sx_measure_opts ac = {.ac = true, .ac_gradients = true};
	const sx_measure_opts rest = {.stats = true, .rope = true, .spread = true};
	int64_t T = 100, pairs = 0;
	for (int64_t i = 0; i < T; i++) pairs += i < s.pos.window ? i + 1 : s.pos.window;
	assert_true(sx_cost_pairs(&s, T) == (double)(s.L * pairs));
	double head = 2 * product(pairs, s.D, 1) + 2 * product(T, s.D, s.C), heads = s.L * s.H;
	assert_true(sx_cost_observers(&s, T, &ac, 3) ==
		    heads * 3 * (head + 2 * product(T, s.D, s.C)));
	double wide = product(T, s.H * s.D, s.C) + product(T, s.Hkv * s.D, s.C);
	assert_true(sx_cost_observers(&full, T, &ac, 3) == heads * 3 * (head + wide));
	assert_true(sx_cost_observers(&s, T, &rest, 3) ==
		    heads * product(pairs, s.D, 1) + 3.0 * s.L * (double)pairs * s.C);
}

/* ---- a run ---- */

static sx_config config(int n, char *const *overrides)
{
	sx_config cfg;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	if (sx_config_load(&cfg, &ctx, NULL, n, overrides) != SX_OK) fail_msg("%s", ctx.message);
	return cfg;
}

/* A_c of every batch costs what train_probe.c measures: gradients by h only where they are asked for. */
static void batches_cost_what_is_measured(void **state)
{
	(void)state;
	char on[] = "probe.ac_train=true", no_h[] = "probe.ac_train_wrt_h=false";
	char *const all[] = {on}, *const weights[] = {on, no_h};
	sx_config none = config(0, NULL), some = config(2, weights), full = config(1, all);
	assert_false(sx_schedule_batch_measures(&none).ac);
	const sx_measure_opts few = sx_schedule_batch_measures(&some),
			      every = sx_schedule_batch_measures(&full);
	assert_true(few.ac && few.ac_gradients && few.ac_without_h);
	assert_true(every.ac && every.ac_gradients && !every.ac_without_h);
	const sx_spec s = odd_spec(SX_QK_NORM_HEAD);
	int64_t T = 100;
	double less = sx_cost_observers(&s, T, &few, 1), more = sx_cost_observers(&s, T, &every, 1);
	double by_h = (double)s.L * s.H * 2 * product(T, s.D, s.C); /* dh = dq W_Q + dk W_K */
	assert_true(more - less == by_h && less > by_h);
	sx_config_free(&none);
	sx_config_free(&some);
	sx_config_free(&full);
}

static void runs_are_counted(void **state)
{
	(void)state;
	char drop[] = "train.drop_at=963", at[] = "train.checkpoint_at=[7, 100]";
	char never[] = "probe.every=0", no_eval[] = "eval.every=0",
	     last[] = "train.checkpoint_every=0";
	char *const with[] = {drop, at}, *const without[] = {never, no_eval, last};
	/* 0, 50 .. 1750 and 1763; 913, 918 .. 1013, the drop in them, twice */
	sx_config cfg = config(2, with);
	sx_schedule_counts n = sx_schedule_count(&cfg, 0);
	assert_int_equal(sx_schedule_updates(&cfg), 1763);
	assert_int_equal(n.probes, 37 + 21 + 1);
	assert_int_equal(n.maps, 5 + 2);         /* 0, 500, 1000, 1500, 1763; the drop twice */
	assert_int_equal(n.evals, 3 + 1);        /* 500, 1000, 1500; 1763                    */
	assert_int_equal(n.checkpoints, 18 + 3); /* 0 .. 1700; 7, 963, 1763                  */
	sx_config_free(&cfg);
	cfg = config(3, without);
	n = sx_schedule_count(&cfg, 0);
	assert_int_equal(n.probes, 0);
	assert_int_equal(n.maps, 0);
	assert_int_equal(n.evals, 0);
	assert_int_equal(n.checkpoints, 2); /* first and last */
	sx_config_free(&cfg);
}

/* ---- run files ---- */

typedef struct {
	const char *group;
	int64_t bytes;
} sum_of_group;

static int64_t size_of(const char *type)
{
	static const struct {
		const char *name;
		int64_t size;
	} sizes[] = {{"f16", 2}, {"f32", 4},   {"f64", 8}, {"i32", 4},
		     {"i64", 8}, {"flags", 1}, {"u8", 1}};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (strcmp(type, sizes[i].name) == 0) return sizes[i].size;
	fail_msg("type %s", type);
	return 0;
}

/* Bytes of one record of what grows in the group. */
static sx_status add_item(void *self, const sx_run_item *item)
{
	sum_of_group *s = self;
	size_t len = strlen(s->group);
	bool grows = item->ndim > 0 &&
		     (strcmp(item->axes[0], "step") == 0 || strcmp(item->axes[0], "sample") == 0);
	if (strncmp(item->path, s->group, len) != 0 || item->path[len] != '/' || !grows)
		return SX_OK;
	int64_t n = size_of(item->type);
	for (int d = 1; d < item->ndim; d++) n *= item->dims[d];
	s->bytes += n;
	return SX_OK;
}

static void check_group(sx_run_file *f, const char *group, const sx_file_axes *axes)
{
	sum_of_group real = {.group = group};
	int64_t record = 0, fixed = 0;
	assert_int_equal(sx_run_walk(f, add_item, &real), SX_OK);
	sx_cost_group(group, axes, &record, &fixed);
	assert_true(real.bytes > 0);
	assert_int_equal(record, real.bytes);
}

static sx_reduce *all_reducers(const sx_spec *s, int64_t S, int64_t T)
{
	sx_reduce *r = NULL;
	const sx_reduce_words w = {.what = "all", .top = 3, .thumbnails = 7};
	assert_int_equal(sx_reduce_new(&r, NULL, &w, s->L, s->H, S, T), SX_OK);
	return r;
}

static sx_file_axes reduced_axes(const sx_spec *s)
{
	sx_reduce *r = all_reducers(s, 4, 50);
	sx_file_axes axes = sx_cost_reduce_axes(r);
	sx_reduce_free(r);
	return axes;
}

/* Two of the nine, of some heads and rows. */
static sx_sites *some_sites(const sx_spec *s, int64_t S, int64_t T)
{
	sx_sites *k = NULL;
	const sx_sites_words w = {.what = "h,k_rot", .heads = "L1/H0-2,L2/H5", .rows = "0,7-19"};
	assert_int_equal(sx_sites_new(&k, NULL, &w, s, S, T), SX_OK);
	return k;
}

/* A step, a phase, and in memory what is in the file: 2 layers of 14 rows of h, of 2 key heads. */
static void check_sites(sx_run_file *f, const sx_spec *s)
{
	sx_sites *k = some_sites(s, 4, 50);
	sx_file_axes axes = sx_cost_sites_axes(k);
	check_group(f, "/sites", &axes);
	assert_int_equal(sx_site_rows_bytes(k), 4 * 4 * 2 * 14 * (40 + 2 * 12));
	sx_sites_free(k);
}

/* A file with one record of everything a run or a trace measures. */
static void write_run(const char *path, const sx_spec *s, int64_t S, int64_t T, bool f32,
		      const sx_eval_opts *eval)
{
	sx_ctx ctx;
	sx_run *run = NULL;
	sx_measures *m = NULL;
	sx_family family[2];
	const sx_map_choice map[3] = {{0, 0}, {1, 1}, {2, 5}};
	sx_reduce *reduce = all_reducers(s, S, T);
	sx_sites *sites = some_sites(s, S, T);
	const sx_measure_opts o = {.stats = true,
				   .rope = true,
				   .ac = true,
				   .ac_gradients = true,
				   .spread = true,
				   .n_map = 3,
				   .map = map,
				   .reduce = reduce,
				   .sites = sites};
	int32_t *tokens = sx_calloc((size_t)(S * T), sizeof *tokens);
	sx_eval_row *rows = sx_calloc((size_t)eval->n_lengths, sizeof *rows);
	sx_ctx_init(&ctx);
	assert_non_null(tokens);
	assert_non_null(rows);
	assert_int_equal(sx_family_parse(&family[0], &ctx, "diagonal"), SX_OK);
	assert_int_equal(sx_family_parse(&family[1], &ctx, "previous"), SX_OK);
	sx_record_axes a = {.spec = s,
			    .S = S,
			    .T = T,
			    .tokens = tokens,
			    .measure = &o,
			    .family = family,
			    .n_c = 2,
			    .maps_f32 = f32,
			    .records = 1,
			    .samples = S};
	assert_int_equal(sx_measures_new(&m, &ctx, &o, S, s->L, s->H, T, s->D / 2, 2), SX_OK);
	assert_int_equal(sx_run_create(&run, &ctx, path, false), SX_OK);
	assert_int_equal(sx_record_define(run, &a), SX_OK);
	assert_int_equal(sx_record_define_ac_train(run, s, family, 2, 1), SX_OK);
	assert_int_equal(sx_eval_axes(run, eval), SX_OK);
	assert_int_equal(sx_run_start(run), SX_OK);
	assert_int_equal(sx_record_put(run, &ctx, &a, m, s, 0, 0, true), SX_OK);
	assert_int_equal(sx_record_put_ac_train(run, &ctx, m, 0, 0), SX_OK);
	assert_int_equal(sx_eval_put(run, &ctx, eval, rows, 0, 0), SX_OK);
	assert_int_equal(sx_run_close(&run, SX_RUN_COMPLETE), SX_OK);
	sx_measures_free(m);
	sx_reduce_free(reduce);
	sx_sites_free(sites);
	free(tokens);
	free(rows);
}

static void files_hold_what_was_said(void **state)
{
	(void)state;
	const int64_t lengths[] = {128, 300};
	char dir[] = "/tmp/sextant-plan-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/run.h5", dir);
	for (int variant = 0; variant < 2; variant++) {
		sx_spec s = odd_spec(SX_QK_NORM_NONE);
		sx_eval_opts eval = {.lengths = lengths,
				     .n_lengths = 2,
				     .windows = variant ? 0 : 5,
				     .trials = 3,
				     .kind = {SX_NEEDLE_SINGLE},
				     .n_kinds = 1};
		sx_file_axes axes = {.sequence = 4,
				     .layer = s.L,
				     .head = s.H,
				     .offset_bin = SX_OFFSET_BINS,
				     .offset = 50,
				     .c = 2,
				     .wrt = 5,
				     .freq = s.D / 2,
				     .map = 3,
				     .query = 50,
				     .key = 50,
				     .context_length = 2,
				     .kind = 1,
				     .distance = 9,
				     .maps_f32 = variant == 1,
				     .losses = variant == 0};
		sx_run_file *f = NULL;
		write_run(path, &s, 4, 50, variant == 1, &eval);
		assert_int_equal(sx_run_open(&f, NULL, path), SX_OK);
		check_group(f, "/stats", &axes);
		check_group(f, "/rope", &axes);
		check_group(f, "/ac", &axes);
		check_group(f, "/ac_train", &axes);
		check_group(f, "/attn", &axes);
		check_group(f, "/eval", &axes);
		sx_file_axes reduced = reduced_axes(&s);
		check_group(f, "/reduce", &reduced);
		check_sites(f, &s);
		sx_run_file_close(f);
		unlink(path);
	}
	rmdir(dir);
}

/* Logits and losses do not grow. */
static void traces_count_logits(void **state)
{
	(void)state;
	sx_file_axes axes = {.sequence = 3, .query = 20};
	int64_t record = 0, fixed = 0, with = 0;
	sx_cost_group("/out", &axes, &record, &fixed);
	assert_int_equal(record, 0);
	assert_int_equal(fixed, 4 * (3 + 20 + 3 * 20));
	axes.vocab = 97;
	sx_cost_group("/out", &axes, &record, &with);
	assert_int_equal(with - fixed, 4 * (97 + 3 * 20 * 97));
}

/* ---- the verb ---- */

/* What `sextant plan ...` prints with --json. */
static json_t *planned(int argc, char **argv)
{
	sx_ctx ctx;
	FILE *f = tmpfile();
	int out = dup(STDOUT_FILENO);
	sx_ctx_init(&ctx);
	assert_true(f && out >= 0);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	sx_status st = sx_cmd_plan.run(&ctx, argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(f);
	json_t *j = json_loadf(f, 0, NULL);
	fclose(f);
	if (st != SX_OK) fail_msg("%s", ctx.message);
	assert_non_null(j);
	return j;
}

static json_int_t whole(json_t *j, const char *group, const char *key)
{
	json_t *v = json_object_get(json_object_get(j, group), key);
	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void plan_of_a_run(void **state)
{
	(void)state;
	char verb[] = "plan", json[] = "--json", drop[] = "train.drop_at=963";
	char *argv[] = {verb, json, drop, NULL};
	json_t *j = planned(3, argv), *flops = json_object_get(j, "flops");
	sx_spec s = sx_spec_default(); /* the default configuration's */
	assert_int_equal(whole(j, "parameters", "total"), sx_spec_params(&s));
	sx_flops f = sx_cost_train(&s, s.T);
	json_t *first = json_array_get(json_object_get(flops, "parts"), 0);
	assert_true(json_real_value(json_object_get(first, "flops")) ==
		    963 * 32 * (f.linear + f.attention));
	double sum = 0;
	size_t i;
	json_t *part;
	json_array_foreach(json_object_get(flops, "parts"), i, part) sum +=
		json_real_value(json_object_get(part, "flops"));
	assert_int_equal(i, 4); /* training, recalibration, probes, evaluation */
	assert_true(json_real_value(json_object_get(flops, "total")) == sum);
	json_t *groups = json_object_get(json_object_get(j, "run_file_bytes"), "groups");
	assert_int_equal(whole(groups, "/attn", "records"), 7 * 9);
	assert_int_equal(whole(groups, "/train", "bytes"), 1763 * 41);
	assert_int_equal(whole(j, "checkpoints", "number"), 20);
	json_decref(j);
}

static void plan_of_a_trace(void **state)
{
	(void)state;
	char dir[] = "/tmp/sextant-plan-XXXXXX", path[64], verb[] = "plan", json[] = "--json";
	char length[] = "--length=96", sequences[] = "--sequences=5", maps[] = "--maps=L2-3/H*";
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/model.yaml", dir);
	assert_int_equal(sx_write_file(NULL, path, "seed: 1\n", 8), SX_OK);
	char *argv[] = {verb, json, path, length, sequences, maps, NULL};
	json_t *j = planned(6, argv);
	json_t *groups = json_object_get(json_object_get(j, "run_file_bytes"), "groups");
	assert_int_equal(whole(groups, "/attn", "records"), 5);
	/* four maps of half floats, the tokens, and what says which they are */
	assert_int_equal(whole(groups, "/attn", "record_bytes"),
			 4 * 96 * 96 * 2 + 96 * 4 + 3 * 4 + 1);
	assert_null(json_object_get(j, "checkpoints"));
	json_decref(j);
	unlink(path);
	rmdir(dir);
}

/* ---- bench ---- */

/* Shapes with shared heads, a window, QK-norm and accumulation; the step must still train on what the
 * products and the parts leave behind. */
static void bench_runs_on(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	for (int norm = SX_QK_NORM_NONE; norm <= SX_QK_NORM_HEAD; norm++) {
		sx_spec s = odd_spec((sx_qk_norm)norm);
		sx_bench *b = NULL;
		double t = 0;
		assert_int_equal(sx_bench_new(&b, &ctx, &s, 4, 2), SX_OK);
		for (int round = 0; round < 3; round++) {
			if (sx_bench_step(&t, &ctx, b, NULL, 0) != SX_OK)
				fail_msg("%s", ctx.message);
			assert_true(t > 0);
			for (int w = SX_PRODUCTS_TILES; w <= SX_PRODUCTS_ATTENTION; w++)
				assert_true(sx_bench_products(b, (sx_products)w, 2) > 0);
			for (int p = 0; p < SX_BENCH_PARTS; p++)
				assert_true(sx_bench_part_time(b, (sx_bench_part)p) > 0);
		}
		sx_bench_free(b);
	}
	const char *kind = NULL;
	assert_true(sx_bench_peak(0.01, &kind) > 1e8);
	assert_non_null(kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_the_tables),
		cmocka_unit_test(work_takes_what_was_said),
		cmocka_unit_test(measures_take_what_was_said),
		cmocka_unit_test(flops_are_counted),
		cmocka_unit_test(flops_of_the_reference),
		cmocka_unit_test(flops_of_the_observers),
		cmocka_unit_test(batches_cost_what_is_measured),
		cmocka_unit_test(runs_are_counted),
		cmocka_unit_test(files_hold_what_was_said),
		cmocka_unit_test(traces_count_logits),
		cmocka_unit_test(plan_of_a_run),
		cmocka_unit_test(plan_of_a_trace),
		cmocka_unit_test(bench_runs_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* "Not learned" stands first on the page where a model that kept its positions does not retrieve at
 * its trained length, and nowhere else. */
#include "analysis/sections/sections.h"
#include "tests/support/run_fixture.h"

enum { TRAINED = 64, LENGTHS = 2, KINDS = 2, BINS = 2, TRIALS = 40, MOST = 6 };

typedef struct {
	struct fixture *f;
	sx_section_item item[MOST];
	int n;
	sx_section_job job;
} page;

/* /eval with two records: the first knows nothing; the last has so many hits, of TRIALS, at the trained
 * length of multi-key problems, of single ones all, and none at twice the length. */
static sx_run_file *evaluated(struct fixture *f, int at, int64_t hits, int records)
{
	static const char *const kinds[] = {"single", "multi-key"};
	static const int64_t length[] = {2 * TRAINED, TRAINED}, edge[] = {1, 2};
	sx_run *run;
	ok(f, sx_run_create(&run, &f->ctx, f->path[at], false));
	ok(f, sx_run_axis(run, SX_RUN_EVAL_CONTEXT_LENGTH, LENGTHS, length));
	ok(f, sx_run_axis(run, SX_RUN_EVAL_KIND, KINDS, kinds));
	ok(f, sx_run_axis(run, SX_RUN_EVAL_DISTANCE, BINS, edge));
	ok(f, sx_run_grow(run, SX_RUN_EVAL_STEP, 1));
	ok(f, sx_run_define(run, SX_RUN_EVAL_NIAH_HITS));
	ok(f, sx_run_define(run, SX_RUN_EVAL_NIAH_TRIALS));
	ok(f, sx_run_start(run));
	for (int64_t r = 0; r < records; r++) {
		int64_t hit[LENGTHS][KINDS][BINS] = {0}, trials[LENGTHS * KINDS * BINS];
		for (int i = 0; i < LENGTHS * KINDS * BINS; i++) trials[i] = TRIALS / BINS;
		hit[1][0][0] = hit[1][0][1] = TRIALS / BINS;
		hit[1][1][0] = r == records - 1 ? hits / BINS : 0;
		hit[1][1][1] = r == records - 1 ? hits - hits / BINS : 0;
		ok(f, sx_run_put(run, SX_RUN_EVAL_NIAH_HITS, r, &hit[0][0][0]));
		ok(f, sx_run_put(run, SX_RUN_EVAL_NIAH_TRIALS, r, trials));
		ok(f, sx_run_put(run, SX_RUN_EVAL_STEP, r, &r));
		ok(f, sx_run_flush(run, SX_RUN_EVAL_STEP));
	}
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	return open_run(f, f->path[at]);
}

static void add(page *p, sx_item_kind kind, const char *label, int64_t seed, int64_t hits)
{
	p->item[p->n] = (sx_section_item){.kind = kind,
					  .name = "extension",
					  .label = label,
					  .path = p->f->path[p->n],
					  .what = "",
					  .seed = seed,
					  .context = TRAINED,
					  .file = evaluated(p->f, p->n, hits, 2)};
	p->n++;
}

static page *begin(void **state)
{
	static page p;
	p = (page){.f = *state};
	return &p;
}

/* What the section says; it is asked once. */
static const char *said(page *p)
{
	p->job = (sx_section_job){.ctx = &p->f->ctx, .item = p->item, .n = p->n, .seed = 1};
	ok(p->f, sx_section_learned(&p->job));
	assert_false(p->job.out_of_memory);
	return p->job.said ? p->job.said : "";
}

static void end(page *p)
{
	for (int i = 0; i < p->n; i++) sx_run_file_close(p->item[i].file);
	free(p->job.said);
}

static void check_has(const char *text, const char *part)
{
	if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

static void check_without(const char *text, const char *part)
{
	if (strstr(text, part)) fail_msg("\"%s\" is in: %s", part, text);
}

static void test_learned(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_EVAL, "RoPE", 1, 36); /* 0.9 is learned */
	add(p, SX_ITEM_EVAL, "RoPE", 2, 40);
	assert_string_equal(said(p), "");
	end(p);
}

static void test_not_learned(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_EVAL, "RoPE", 1, 17);
	const char *text = said(p);
	check_has(text, "*Not learned*: RoPE did not learn to retrieve.");
	check_has(text, "at its trained length, 64 tokens, it finds 0.42 [0.29, 0.58] (40 "
			"problems), less than 0.9.");
	check_has(text, "beyond the trained length then means little");
	check_without(text, "seed");
	end(p);
}

static void test_one_seed_of_three(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_EVAL, "RoPE", 1, 40);
	add(p, SX_ITEM_EVAL, "RoPE", 2, 35);
	add(p, SX_ITEM_EVAL, "RoPE", 3, 38);
	const char *text = said(p);
	check_has(text, "RoPE did not learn to retrieve in 1 of 3 seeds.");
	check_has(text, "0.88 [0.74, 0.95] (40 problems, seed 2)");
	check_without(text, "seed 1)");
	end(p);
}

/* Without positions another sentence says it, further down. */
static void test_without_positions(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_EVAL, "NoPE", 1, 0);
	p->item[0].nope = true;
	assert_string_equal(said(p), "");
	end(p);
}

/* Training's own evaluation counts where there is no other, by its last record. */
static void test_runs(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_RUN, "RoPE", 1, 0);
	add(p, SX_ITEM_EVAL, "RoPE", 1, 40);
	add(p, SX_ITEM_RUN, "control", 1, 40);
	assert_string_equal(said(p), "");
	p->item[2].label = "RoPE";
	p->item[1].label = "control";
	p->item[1].context = 2 * TRAINED;
	free(p->job.said);
	const char *text = said(p);
	check_has(text, "*Not learned*: RoPE did not learn to retrieve.");
	check_has(text, "0.50 [0.39, 0.61] (80 problems)");
	check_has(text, "*Not learned*: control did not learn to retrieve. Of the needles at its "
			"trained length, 128 tokens, it finds 0.00 [0.00, 0.09] (40 problems)");
	end(p);
}

/* A run before its first evaluation, and one that none is asked of, say nothing. */
static void test_no_records(void **state)
{
	page *p = begin(state);
	add(p, SX_ITEM_RUN, "RoPE", 1, 0);
	sx_run_file_close(p->item[0].file);
	p->item[0].file = evaluated(p->f, 0, 0, 0);
	assert_string_equal(said(p), "");
	end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_learned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_learned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_seed_of_three, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_positions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_records, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

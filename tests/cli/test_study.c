/* Recipes as items, their order, study.json. What the jobs do is tests/cli/check_study.sh's. */
#include "cli/study/study.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	sx_ctx ctx;
	char dir[64], recipe[96];
	sx_study study;
};

static const char recipe[] =
	"name: small\n"
	"title: A study, 'small'\n"
	"seeds: [3, 7]\n"
	"config: {train: {steps: 50, checkpoint_at: [20]}}\n"
	"runs:\n"
	"  b: {label: B, branch: a@20, train: {drop_at: 20}}\n"
	"  a: {}\n"
	"  deep: {untrained: true, model: {layers: 8}, pos: {method: nope}}\n"
	"traces:\n"
	"  t: {of: [a@20, b], sequences: {a: 4, b: 6}, ac: [first, own]}\n"
	"evals:\n"
	"  e: {of: b, what: niah, temperatures: [0, 0.4], choose: 9, label: E,\n"
	"      pos: {beta: 1.5}}\n"
	"bounds:\n"
	"  z: {of: deep}\n";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	if (!f) return -1;
	sx_ctx_init(&f->ctx);
	snprintf(f->dir, sizeof f->dir, "/tmp/sextant-study-XXXXXX");
	if (!mkdtemp(f->dir)) return -1;
	snprintf(f->recipe, sizeof f->recipe, "%s/small.yaml", f->dir);
	*state = f;
	return sx_write_file(&f->ctx, f->recipe, recipe, strlen(recipe)) == SX_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[96];
	snprintf(path, sizeof path, "%s/study.json", f->dir);
	unlink(path);
	unlink(f->recipe);
	rmdir(f->dir);
	sx_study_free(&f->study);
	free(f);
	return 0;
}

static void read_small(struct fixture *f, int n, char *const *words)
{
	sx_status st = sx_study_read_recipe(&f->study, &f->ctx, f->recipe, n, words, f->dir);
	if (st != SX_OK) fail_msg("%s", f->ctx.message);
}

static void test_items(void **state)
{
	static const char *const files[] = {"b",      "a",      "deep.yaml", "t/a@20.h5",
					    "t/b.h5", "e/b.h5", "z/deep.h5"};
	struct fixture *f = *state;
	char *words[] = {"train.lr=1e-2", "model.layers=2"};
	read_small(f, 2, words);
	const sx_study *s = &f->study;
	assert_string_equal(s->name, "small");
	assert_string_equal(s->title, "A study, 'small'");
	assert_int_equal(s->n_seed, 2);
	assert_int_equal(s->n_item, 14);
	for (int64_t i = 0; i < 14; i++) {
		char file[64], path[160];
		snprintf(file, sizeof file, "seed-%d/%s", i < 7 ? 3 : 7, files[i % 7]);
		snprintf(path, sizeof path, "%s/%s", f->dir, file);
		assert_string_equal(s->item[i].file, file);
		assert_string_equal(s->item[i].path, path);
		assert_int_equal(s->item[i].seed, i < 7 ? 3 : 7);
	}
	const sx_study_item *x = s->item + 7;
	/* the branch: its trunk, its own settings over the command line's over the recipe's */
	assert_int_equal(x[0].on, 8);
	assert_int_equal(x[0].step, 20);
	assert_int_equal(x[0].cfg.train.drop_at, 20);
	assert_int_equal(x[0].cfg.train.steps, 50);
	assert_int_equal(x[0].cfg.seed, 7);
	assert_true(x[0].cfg.train.lr == 1e-2);
	assert_int_equal(x[1].cfg.model.layers, 2);
	assert_int_equal(x[2].cfg.model.layers, 8);
	assert_true(x[2].untrained);
	assert_string_equal(x[1].label, "a");
	/* traces: a value for each run, the run's label */
	assert_int_equal(x[3].on, 8);
	assert_int_equal(x[3].step, 20);
	assert_string_equal(x[3].option[0], "--sequences=4");
	assert_string_equal(x[3].option[1], "--ac=first,own");
	assert_string_equal(x[4].option[0], "--sequences=6");
	assert_string_equal(x[4].label, "B");
	assert_int_equal(x[4].step, -1);
	assert_string_equal(x[5].label, "E");
	assert_string_equal(x[5].what, "niah");
	assert_int_equal(x[5].n_option, 3);
	assert_string_equal(x[5].option[2], "pos.beta=1.5");
	assert_string_equal(x[6].of, "deep");
	assert_int_equal(x[6].kind, SX_ITEM_BOUNDS);
}

/* Toward a later checkpoint of the same run, one that there will be. */
static void test_toward(void **state)
{
	static const struct {
		const char *entry, *wrong;
	} given[] = {{"{of: [a@20, b@20], toward: 30}", NULL},
		     {"{of: a@20, toward: 29}", "no checkpoint of step 49"},
		     {"{of: a@20, toward: 31}", "no checkpoint of step 51"},
		     {"{of: a, toward: 1}", "want RUN@STEP"},
		     {"{of: a@20, toward: 0}", "no whole number from 1 on"},
		     {"{of: a@20, toward: 30, observe: all}", "not known"}};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
		char text[400];
		snprintf(text, sizeof text,
			 "name: small\nseeds: [3]\nconfig: {train: {steps: 50, checkpoint_at: "
			 "[20]}}\n"
			 "runs:\n  a: {}\n  b: {branch: a@20, train: {drop_at: 20, drop: {steps: "
			 "30}}}\n"
			 "traces:\n  t: %s\n",
			 given[i].entry);
		assert_int_equal(sx_write_file(&f->ctx, f->recipe, text, strlen(text)), SX_OK);
		sx_status st = sx_study_read_recipe(&f->study, &f->ctx, f->recipe, 0, NULL, f->dir);
		assert_int_equal(st, given[i].wrong ? SX_ECONFIG : SX_OK);
		if (given[i].wrong) {
			if (!strstr(f->ctx.message, given[i].wrong)) fail_msg("%s", f->ctx.message);
			continue;
		}
		assert_string_equal(f->study.item[2].option[0], "--toward=seed-3/a@50");
		assert_string_equal(f->study.item[3].option[0], "--toward=seed-3/b@50");
		sx_study_free(&f->study);
		f->study = (sx_study){0};
	}
}

static void test_seeds_and_folder(void **state)
{
	struct fixture *f = *state;
	char *words[] = {"seeds=[5, 0,6]"};
	assert_int_equal(sx_study_read_recipe(&f->study, &f->ctx, f->recipe, 1, words, NULL), 0);
	assert_int_equal(f->study.n_seed, 3);
	assert_int_equal(f->study.seed[1], 0);
	assert_int_equal(f->study.n_item, 21);
	assert_string_equal(f->study.item[7].path, "runs/small/seed-0/b");
}

static void test_json(void **state)
{
	struct fixture *f = *state;
	sx_study back = {0};
	read_small(f, 0, NULL);
	assert_int_equal(sx_study_read(&back, &f->ctx, f->dir), SX_ENOINPUT);
	assert_int_equal(sx_study_write(&f->study, &f->ctx), SX_OK);
	assert_int_equal(sx_study_read(&back, &f->ctx, f->dir), SX_OK);
	assert_string_equal(back.title, f->study.title);
	assert_int_equal(back.n_seed, 2);
	assert_int_equal(back.seed[1], 7);
	assert_int_equal(back.n_item, f->study.n_item);
	for (int64_t i = 0; i < back.n_item; i++) {
		const sx_study_item *a = &back.item[i], *b = &f->study.item[i];
		assert_int_equal(a->kind, b->kind);
		assert_int_equal(a->seed, b->seed);
		assert_int_equal(a->untrained, b->untrained);
		assert_string_equal(a->name, b->name);
		assert_string_equal(a->label, b->label);
		assert_string_equal(a->of, b->of);
		assert_string_equal(a->what, b->what);
		assert_string_equal(a->path, b->path);
	}
	sx_study_free(&back);
	char path[96];
	snprintf(path, sizeof path, "%s/study.json", f->dir);
	static const char item[] = "{\"name\": \"a\", \"title\": \"b\", \"seeds\": [1],"
				   " \"items\": [{\"kind\": \"run\"}]}";
	const char *const bad[] = {"{", "{}", "[]", "{\"name\": 1}", item};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(sx_write_file(&f->ctx, path, bad[i], strlen(bad[i])), SX_OK);
		assert_int_equal(sx_study_read(&back, &f->ctx, f->dir), SX_EDATA);
	}
}

/* Seven items of one seed with these seconds; two at a time. By hand: what has the longest chain behind
 * it goes first, a (10 + 8 + 1 for b and what is made of it), deep (5); b waits for a. */
static void test_order(void **state)
{
	struct fixture *f = *state;
	char *words[] = {"seeds=1"};
	/*                        b  a   deep t/a t/b e/b z */
	const double seconds[] = {8, 10, 5, 2, 1, 1, 4};
	char *none[] = {NULL};
	sx_job jobs[7] = {0};
	read_small(f, 1, words);
	for (int i = 0; i < 7; i++)
		jobs[i] = (sx_job){.state = SX_JOB_WAITING,
				   .argv = none,
				   .estimate = seconds[i],
				   .flops = seconds[i]};
	assert_int_equal(sx_study_next(jobs, &f->study), 1);
	jobs[1].state = SX_JOB_RUNNING;
	assert_int_equal(sx_study_next(jobs, &f->study), 2);
	jobs[2].state = SX_JOB_DONE;
	assert_int_equal(sx_study_next(jobs, &f->study), 6);
	jobs[6].state = SX_JOB_RUNNING;
	assert_int_equal(sx_study_next(jobs, &f->study), -1);
	jobs[1].state = SX_JOB_FAILED; /* all else needs it */
	assert_int_equal(sx_study_next(jobs, &f->study), -1);
	for (int i = 0; i < 7; i++) jobs[i].state = SX_JOB_WAITING;
	/* one: all 31 s; two: a to 10, b to 18, t/b and e/b to 19; beside them deep, z, t/a */
	assert_true(sx_study_makespan(jobs, &f->study, 1) == 31);
	assert_true(sx_study_makespan(jobs, &f->study, 2) == 19);
	jobs[1].state = SX_JOB_KEPT;
	/* b to 8, deep to 5, z to 9, t/b to 9, ...: 21 s of work, nowhere idle but for the end */
	double t = sx_study_makespan(jobs, &f->study, 2);
	assert_true(t >= 10.5 && t <= 12);
	assert_int_equal(jobs[0].state, SX_JOB_WAITING); /* it was only a simulation */
}

/* Whatever stands in a recipe, it is read or refused: every line left out, every byte cut off. */
static void test_damaged(void **state)
{
	struct fixture *f = *state;
	int refused = 0, whole = 0;
	size_t n = strlen(recipe);
	for (size_t cut = 0; cut < n; cut++) {
		char text[sizeof recipe];
		sx_study s = {0};
		memcpy(text, recipe, n);
		text[cut] = (char)(cut % 3 == 0 ? '{' : cut % 3 == 1 ? '*' : '\t');
		size_t size = cut % 2 ? cut : n;
		assert_int_equal(sx_write_file(&f->ctx, f->recipe, text, size), SX_OK);
		f->ctx.message[0] = '\0';
		sx_status st = sx_study_read_recipe(&s, &f->ctx, f->recipe, 0, NULL, f->dir);
		if (st == SX_OK) {
			whole++;
			sx_study_free(&s);
			continue;
		}
		refused++;
		assert_true(st == SX_ECONFIG || st == SX_ENOINPUT);
		assert_true(f->ctx.message[0] != '\0');
	}
	assert_true(refused > 300);
	print_message("%d damaged recipes refused, %d still read\n", refused, whole);
}

/* An alias that leads back into itself ends in a sentence. */
static void test_circular_alias(void **state)
{
	struct fixture *f = *state;
	const char *const texts[] = {
		"name: x\nseeds: [1]\nconfig: &c {train: *c}\nruns: {a: {}}\n",
		"name: x\nseeds: &s [1, *s]\nruns: {a: {}}\n",
		"name: x\nseeds: [1]\nruns: &r {a: *r}\n",
		"name: x\nseeds: [1]\nruns: {a: {}}\ntraces: &t {b: {of: a, sequences: *t}}\n"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		sx_study s = {0};
		assert_int_equal(sx_write_file(&f->ctx, f->recipe, texts[i], strlen(texts[i])), 0);
		assert_int_equal(sx_study_read_recipe(&s, &f->ctx, f->recipe, 0, NULL, f->dir),
				 SX_ECONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_items, setup, teardown),
		cmocka_unit_test_setup_teardown(test_toward, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seeds_and_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_circular_alias, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

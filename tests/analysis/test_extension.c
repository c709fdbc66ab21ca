/* Grids of positional variants: what `eval -o` writes against what it prints, the temperature chosen
 * on other problems, seeds pooled, and two models compared window by window. */
#include "analysis/extension.h"
#include "cli/cmd.h"
#include "probes/lab/evaluate.h"
#include "tests/support/figure_folder.h"

#include <jansson.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_eval, sx_cmd_figure;

static sx_ctx ctx;

#define ok(call) \
	do { \
		if ((call) != SX_OK) fail_msg("%s: %s", #call, ctx.message); \
	} while (0)

/* A verb with arguments separated by spaces; % stands for the folder. What it prints goes to a file
 * of the folder. */
static sx_status verb(const sx_cmd *cmd, const char *line, const char *printed)
{
	char words[2048], *argv[32];
	int argc = 0;
	size_t n = (size_t)snprintf(words, sizeof words, "%s ", cmd->name);
	for (; *line && n < sizeof words - sizeof dir; line++)
		n += (size_t)snprintf(words + n, sizeof words - n, *line == '%' ? "%s" : "%.1s",
				      *line == '%' ? dir : line);
	for (char *w = strtok(words, " "); w && argc < 31; w = strtok(NULL, " ")) argv[argc++] = w;
	argv[argc] = NULL;
	fflush(stdout);
	int kept = dup(STDOUT_FILENO);
	assert_non_null(freopen(in_dir(printed), "w", stdout));
	sx_status st = cmd->run(&ctx, argc, argv);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	return st;
}

/* Two models with random weights and one text: the arg max is a value a quarter of the time. */
static void put_models(void)
{
	char *text = NULL, *config;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	assert_non_null(f);
	for (int i = 0; i < 400; i++)
		fprintf(f, "The quick brown fox %d jumps over %d lazy dogs.\n", i, i * 7919 % 1000);
	fclose(f);
	ok(sx_write_file(&ctx, in_dir("text.txt"), text, size));
	for (int seed = 1; seed <= 2; seed++) {
		char name[32];
		snprintf(name, sizeof name, "%d.yaml", seed);
		config = sx_format("seed: %d\n"
				   "data: {text: ['%s/text.txt'], retrieval: {keys: 8, values: "
				   "64}}\n"
				   "model: {layers: 1, width: 16, heads: 1, kv_heads: 1, ffn: 32, "
				   "context: 32}\n",
				   seed, dir);
		ok(sx_write_file(&ctx, in_dir(name), config, strlen(config)));
		free(config);
	}
	free(text);
}

static sx_run_file *open_file(const char *name)
{
	sx_run_file *f = NULL;
	ok(sx_run_open(&f, &ctx, in_dir(name)));
	return f;
}

/* ---- the file against the JSON ---- */

typedef struct {
	int64_t n_variant, n_length, n_kind, n;
	char **method, **kind;
	double *c;
	int64_t *length;
	sx_run_file *f;
} grid;

static grid open_grid(const char *name)
{
	grid g = {.f = open_file(name), .n_kind = 1};
	double *length;
	ok(sx_run_strings(g.f, SX_RUN_EXTENSION_METHOD, &g.method, &g.n_variant));
	ok(sx_run_read_all(g.f, SX_RUN_EXTENSION_C, &g.c, &g.n));
	assert_int_equal(g.n, g.n_variant);
	if (sx_run_has(g.f, SX_RUN_EXTENSION_KIND))
		ok(sx_run_strings(g.f, SX_RUN_EXTENSION_KIND, &g.kind, &g.n_kind));
	ok(sx_run_read_all(g.f, SX_RUN_EXTENSION_CONTEXT_LENGTH, &length, &g.n_length));
	g.length = sx_calloc((size_t)g.n_length, sizeof *g.length);
	assert_non_null(g.length);
	for (int64_t i = 0; i < g.n_length; i++) g.length[i] = (int64_t)length[i];
	free(length);
	return g;
}

static void close_grid(grid *g)
{
	sx_run_file_close(g->f);
	free(g->method), free(g->kind), free(g->c), free(g->length);
}

/* The cell that a JSON row is about. */
static int64_t cell_of(const grid *g, const json_t *row)
{
	const json_t *c = json_object_get(row, "c");
	int64_t v = 0, t = 0;
	const char *method = json_string_value(json_object_get(row, "method"));
	while (v < g->n_variant &&
	       (strcmp(g->method[v], method) != 0 ||
		(json_is_null(c) ? !isnan(g->c[v]) : g->c[v] != json_number_value(c))))
		v++;
	while (t < g->n_length &&
	       g->length[t] != json_integer_value(json_object_get(row, "length")))
		t++;
	assert_true(v < g->n_variant && t < g->n_length);
	return v * g->n_length + t;
}

/* A key of a row is the number in a dataset; kind < 0: one without kinds. Returns that number. */
static double same_number(const grid *g, const json_t *row, const char *key, sx_run_id id, int kind)
{
	double *v;
	int64_t n, at = cell_of(g, row);
	ok(sx_run_read_all(g->f, id, &v, &n));
	if (kind >= 0) at = at * g->n_kind + kind;
	assert_true(at < n);
	double got = v[at];
	const json_t *want = json_object_get(row, key);
	assert_non_null(want);
	if (json_is_null(want))
		assert_true(isnan(got));
	else
		check_close(got, json_number_value(want), 1e-12 * fabs(got));
	free(v);
	return got;
}

static json_t *printed_rows(json_t **all, const char *name)
{
	*all = json_load_file(in_dir(name), 0, NULL);
	assert_non_null(*all);
	json_t *rows = json_object_get(*all, "rows");
	assert_non_null(rows);
	return rows;
}

/* Cells whose positions are another variant's have its numbers. */
static void check_filled(const grid *g, sx_run_id id, int64_t kinds)
{
	double *v, *same;
	int64_t n, filled = 0;
	ok(sx_run_read_all(g->f, id, &v, &n));
	assert_int_equal(n, g->n_variant * g->n_length * kinds);
	ok(sx_run_read_all(g->f, SX_RUN_EXTENSION_SAME_AS, &same, &n));
	for (int64_t i = 0; i < n; i++) {
		int64_t own = (int64_t)same[i] * g->n_length + i % g->n_length;
		filled += own != i;
		for (int64_t k = 0; k < kinds; k++)
			assert_memory_equal(&v[i * kinds + k], &v[own * kinds + k], sizeof *v);
	}
	assert_int_equal(filled, g->n_variant - 1); /* all of the trained length but the first */
	free(v), free(same);
}

/* Hits of single problems add up to the cells', and are those of the like where a variant has one. */
static void check_problems(const grid *g)
{
	double *hit, *hits, *same;
	int64_t n, m, cells = g->n_variant * g->n_length * g->n_kind;
	ok(sx_run_read_all(g->f, SX_RUN_EXTENSION_NIAH_HIT, &hit, &n));
	ok(sx_run_read_all(g->f, SX_RUN_EXTENSION_NIAH_HITS, &hits, &m));
	ok(sx_run_read_all(g->f, SX_RUN_EXTENSION_SAME_AS, &same, &m));
	int64_t problems = n / cells;
	assert_int_equal(problems, 300);
	for (int64_t i = 0; i < cells; i++) {
		double sum = 0;
		for (int64_t k = 0; k < problems; k++) sum += hit[i * problems + k];
		assert_true(sum == hits[i]);
		int64_t cell = i / g->n_kind, kind = i % g->n_kind;
		int64_t own = (int64_t)same[cell] * g->n_length + cell % g->n_length;
		assert_memory_equal(hit + i * problems, hit + (own * g->n_kind + kind) * problems,
				    (size_t)problems * sizeof *hit);
	}
	free(hit), free(hits), free(same);
}

static void file_equals_json(void **state)
{
	(void)state;
	json_t *all, *row;
	size_t i;
	int64_t hits = 0, choice = 0;
	put_models();
	ok(verb(&sx_cmd_eval,
		"niah %/1.yaml --methods rope,pi,yarn --temperatures 0,0.4 --lengths 32,64,96 "
		"--trials 300 --kinds multi-key,single --windows 3 --choose 200 --json -q -o "
		"%/niah.h5",
		"niah.json"));
	grid g = open_grid("niah.h5");
	assert_int_equal(g.n_variant, 7);
	assert_int_equal(g.n_kind, 2);
	json_t *rows = printed_rows(&all, "niah.json");
	json_array_foreach(rows, i, row)
	{
		const char *kind = json_string_value(json_object_get(row, "kind"));
		int k = strcmp(kind, g.kind[0]) != 0;
		assert_string_equal(kind, g.kind[k]);
		same_number(&g, row, "factor", SX_RUN_EXTENSION_FACTOR, -1);
		same_number(&g, row, "beta", SX_RUN_EXTENSION_BETA, -1);
		same_number(&g, row, "attention_factor", SX_RUN_EXTENSION_ATTENTION_FACTOR, -1);
		same_number(&g, row, "text_nll_last", SX_RUN_EXTENSION_TEXT_NLL_LAST, -1);
		hits += (int64_t)same_number(&g, row, "hits", SX_RUN_EXTENSION_NIAH_HITS, k);
		same_number(&g, row, "trials", SX_RUN_EXTENSION_NIAH_TRIALS, k);
		same_number(&g, row, "chance_blind", SX_RUN_EXTENSION_CHANCE_BLIND, k);
		same_number(&g, row, "chance_window", SX_RUN_EXTENSION_CHANCE_WINDOW, k);
		choice += (int64_t)same_number(&g, row, "choice_hits", SX_RUN_EXTENSION_CHOICE_HITS,
					       k);
		same_number(&g, row, "choice_trials", SX_RUN_EXTENSION_CHOICE_TRIALS, k);
	}
	assert_int_equal(i, 2 * (1 + 2 * 7)); /* one variant at the trained length */
	assert_true(hits > 0 && choice > 0 && hits != choice);
	check_filled(&g, SX_RUN_EXTENSION_NIAH_HITS, 2);
	check_filled(&g, SX_RUN_EXTENSION_TEXT_NLL, 1);
	check_filled(&g, SX_RUN_EXTENSION_CHOICE_TEXT, 1);
	check_problems(&g);
	assert_int_equal(json_array_size(json_object_get(all, "chosen")), 4);
	json_decref(all);

	/* What the reader chooses is what the verb printed. */
	sx_extension *e;
	const char *const label[] = {"a"};
	ok(sx_extension_read(&e, &ctx, &g.f, label, 1, "single"));
	all = json_load_file(in_dir("niah.json"), 0, NULL);
	json_array_foreach(json_object_get(all, "chosen"), i, row)
	{
		int64_t at = 0;
		while (!e->row[at].chosen ||
		       strcmp(e->row[at].method,
			      json_string_value(json_object_get(row, "method"))) != 0)
			assert_true(++at < e->n_row);
		const json_t *c = json_object_get(row, "c");
		assert_true(json_is_null(c) ? isnan(e->row[at].c)
					    : e->row[at].c == json_number_value(c));
		assert_int_equal(e->row[at].choice_hits,
				 json_integer_value(json_object_get(row, "choice_hits")));
		assert_int_equal(e->row[at].choice_trials, 2 * 2 * 200);
	}
	sx_extension_free(e);
	json_decref(all);
	close_grid(&g);
}

static void losses_equal_json(void **state)
{
	(void)state;
	json_t *all, *row;
	size_t i;
	ok(verb(&sx_cmd_eval,
		"ppl %/1.yaml --methods rope,yarn --lengths 32,64 --windows 5 --json -q -o "
		"%/ppl.h5",
		"ppl.json"));
	grid g = open_grid("ppl.h5");
	assert_false(sx_run_has(g.f, SX_RUN_EVAL_STEP)); /* which of the three would it be? */
	assert_false(sx_run_has(g.f, SX_RUN_EXTENSION_NIAH_HITS));
	json_t *rows = printed_rows(&all, "ppl.json");
	json_array_foreach(rows, i, row)
	{
		same_number(&g, row, "nll", SX_RUN_EXTENSION_NLL, -1);
		same_number(&g, row, "se", SX_RUN_EXTENSION_NLL_SE, -1);
		same_number(&g, row, "nll_last", SX_RUN_EXTENSION_NLL_LAST, -1);
		same_number(&g, row, "text_nll", SX_RUN_EXTENSION_TEXT_NLL, -1);
		same_number(&g, row, "query_hits", SX_RUN_EXTENSION_QUERY_HITS, -1);
		same_number(&g, row, "query_trials", SX_RUN_EXTENSION_QUERY_TRIALS, -1);
	}
	assert_int_equal(i, 1 + 3);
	json_decref(all);
	close_grid(&g);
}

/* The problems of the choice are others than those reported. */
static void choice_is_apart(void **state)
{
	(void)state;
	enum { N = 150, T = 48 };
	static int32_t tokens[2 * N][T];
	sx_language l;
	sx_language_opts o = sx_language_opts_default();
	o.on = true;
	o.filler = SX_FILLER_MARKOV;
	ok(sx_language_init(&l, &ctx, &o, NULL, 5));
	for (int i = 0; i < 2 * N; i++) {
		sx_needle p;
		uint64_t seed = i < N ? 3 : sx_eval_choice_seed(3);
		ok(sx_language_needle(tokens[i], &p, &ctx, &l, SX_NEEDLE_MULTI_KEY, 4, T, seed,
				      (uint64_t)(i % N)));
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(tokens[i], tokens[k], sizeof tokens[i]);
	}
}

/* ---- choosing and pooling, on constructed files ---- */

enum { V = 5, L = 3, K = 2 };
static const int64_t lengths[L] = {32, 64, 128};

/* Hits of cell (variant, length, kind) on the problems reported and on those set apart. */
typedef struct {
	int64_t hits[V][L][K], choice[V][L][K];
	int64_t trials, choice_trials; /* choice_trials 0: no such problems */
	double c[V], loss; /* loss of (variant, length): loss + variant + length / 100 */
} made;

static void put_cells(sx_run *run, const made *m)
{
	double nll[V][L], chance[V][L][K], blind[V][L][K];
	int64_t trials[V][L][K], choice_trials[V][L][K];
	for (int v = 0; v < V; v++)
		for (int t = 0; t < L; t++) {
			nll[v][t] = m->loss + v + (double)lengths[t] / 100;
			for (int k = 0; k < K; k++) {
				trials[v][t][k] = m->trials;
				choice_trials[v][t][k] = m->choice_trials;
				chance[v][t][k] = 1.0 / (double)(m->trials + t);
				blind[v][t][k] = 0.0625;
			}
		}
	ok(sx_run_put(run, SX_RUN_EXTENSION_NLL_LAST, 0, nll[0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_TEXT_NLL_LAST, 0, nll[0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_NIAH_HITS, 0, m->hits[0][0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_NIAH_TRIALS, 0, trials[0][0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_CHANCE_WINDOW, 0, chance[0][0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_CHANCE_BLIND, 0, blind[0][0]));
	if (!m->choice_trials) return;
	ok(sx_run_put(run, SX_RUN_EXTENSION_CHOICE_HITS, 0, m->choice[0][0]));
	ok(sx_run_put(run, SX_RUN_EXTENSION_CHOICE_TRIALS, 0, choice_trials[0][0]));
}

static void put_grid(const char *name, const made *m)
{
	static const char *const method[V] = {"pi", "pi", "pi", "rope", "yarn (shipped)"};
	static const char *const kind[K] = {"multi-key", "single"};
	static const sx_run_id cells[] = {
		SX_RUN_EXTENSION_NLL_LAST,      SX_RUN_EXTENSION_TEXT_NLL_LAST,
		SX_RUN_EXTENSION_NIAH_HITS,     SX_RUN_EXTENSION_NIAH_TRIALS,
		SX_RUN_EXTENSION_CHANCE_WINDOW, SX_RUN_EXTENSION_CHANCE_BLIND,
		SX_RUN_EXTENSION_CHOICE_HITS,   SX_RUN_EXTENSION_CHOICE_TRIALS};
	sx_run *run;
	ok(sx_run_create(&run, &ctx, in_dir(name), false));
	ok(sx_run_axis_index(run, SX_RUN_EXTENSION_VARIANT, V));
	ok(sx_run_axis(run, SX_RUN_EXTENSION_CONTEXT_LENGTH, L, lengths));
	ok(sx_run_axis(run, SX_RUN_EXTENSION_KIND, K, kind));
	ok(sx_run_define(run, SX_RUN_EXTENSION_METHOD));
	ok(sx_run_define(run, SX_RUN_EXTENSION_C));
	for (int i = 0; i < (m->choice_trials ? 8 : 6); i++) ok(sx_run_define(run, cells[i]));
	ok(sx_run_attr_int(run, "/extension", "trained_length", 32));
	ok(sx_run_attr_int(run, "/extension", "phase", 0));
	ok(sx_run_meta(run, SX_RUN_META_MODEL_JSON,
		       "{\"context\": 32, \"pos\": {\"method\": \"rope\"}}"));
	ok(sx_run_start(run));
	ok(sx_run_put(run, SX_RUN_EXTENSION_METHOD, 0, method));
	ok(sx_run_put(run, SX_RUN_EXTENSION_C, 0, m->c));
	put_cells(run, m);
	ok(sx_run_close(&run, SX_RUN_COMPLETE));
}

/* Temperatures 0.4, 0, 0.2 of pi. Beyond the trained length and over both kinds 0.2 and 0.4 have 30
 * hits each, 0 has 29, and at the trained length 10 more, which do not count. */
static made first_seed(void)
{
	made m = {.trials = 40, .choice_trials = 20, .c = {0.4, 0, 0.2, 0, (double)NAN}, .loss = 2};
	m.choice[0][1][0] = 10, m.choice[0][1][1] = 10, m.choice[0][2][0] = 10;
	m.choice[1][0][0] = 10, m.choice[1][1][0] = 20, m.choice[1][2][1] = 9;
	m.choice[2][1][0] = 15, m.choice[2][2][1] = 15;
	m.hits[1][1][0] = 40; /* best where it is reported: must not matter */
	m.hits[2][2][0] = 7, m.hits[2][2][1] = 9;
	return m;
}

static const sx_extension_row *chosen_row(const sx_extension *e, const char *label,
					  const char *method)
{
	const sx_extension_row *found = NULL;
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *r = &e->row[i];
		if (!r->chosen || strcmp(r->label, label) != 0 || strcmp(r->method, method) != 0)
			continue;
		assert_null(found);
		found = r;
	}
	return found;
}

static void chooses(void **state)
{
	(void)state;
	const double c[] = {0.6, 0.2, 0.4, (double)NAN};
	assert_int_equal(sx_extension_choose(c, (const int64_t[]){5, 5, 5, 9},
					     (const int64_t[]){9, 9, 9, 0}, 4),
			 1);
	/* shares, where numbers of problems differ */
	assert_int_equal(sx_extension_choose(c, (const int64_t[]){6, 5, 5, 0},
					     (const int64_t[]){20, 10, 11, 0}, 4),
			 1);
	assert_int_equal(sx_extension_choose(c, (const int64_t[]){0, 0, 0, 1},
					     (const int64_t[]){0, 0, 0, 2}, 4),
			 3);
	assert_int_equal(sx_extension_choose(c, (const int64_t[]){0, 0, 0, 0},
					     (const int64_t[]){0, 0, 0, 0}, 4),
			 -1);

	made m = first_seed();
	const char *const label[] = {"a", "b"};
	put_grid("a.h5", &m);
	m.choice_trials = 0;
	put_grid("b.h5", &m);
	sx_run_file *f[] = {open_file("a.h5"), open_file("b.h5")};
	sx_extension *e;
	ok(sx_extension_read(&e, &ctx, f, label, 2, NULL));
	assert_string_equal(e->kind, "multi-key");
	assert_int_equal(e->n_row, 2 * V);
	assert_int_equal(e->trained_length, 32);
	const sx_extension_row *r = chosen_row(e, "a", "pi");
	assert_true(r->c == 0.2);
	assert_int_equal(r->choice_hits, 30);
	assert_int_equal(r->choice_trials, 2 * 2 * 20);
	assert_int_equal(r->hits[2], 7); /* of the kind alone */
	assert_int_equal(r->trials[2], 40);
	check_close(r->rate[2].value, 7.0 / 40, 1e-15);
	check_close(r->rate[2].lo, sx_wilson(7, 40).lo, 0);
	check_close(r->chance_window[2], 1.0 / 42, 1e-15);
	check_close(r->chance_blind, 0.0625, 1e-15);
	check_close(r->text_nll_last[1], 2 + 2 + 0.64, 1e-14);
	/* Without windows set apart by the reported ones, whose loss grows with the variant. */
	assert_false(e->text_apart);
	assert_true(e->row[0].chosen_text && !e->row[1].chosen_text && !r->chosen_text);
	check_close(r->choice_text, 2 + 2 + (0.64 + 1.28) / 2, 1e-14);
	assert_null(r->hit);
	assert_ptr_equal(sx_extension_best(e, "a", NULL, false), r);
	assert_null(sx_extension_best(e, "b", NULL, false));
	assert_int_equal(sx_extension_compare_hits(r, r, 1).pairs, 0);
	assert_true(isnan(r->loss[SX_LOSS][0])); /* not in the file */
	assert_true(isnan(chosen_row(e, "a", "yarn (shipped)")->c));
	assert_true(chosen_row(e, "a", "rope")->c == 0);
	for (int i = V; i < 2 * V; i++) assert_false(e->row[i].chosen); /* nothing to choose on */
	sx_extension_free(e);
	assert_int_equal(sx_extension_read(&e, &ctx, f, label, 2, "multi-value"), SX_EDATA);
	sx_run_file_close(f[0]);
	sx_run_file_close(f[1]);
}

static void pools_seeds(void **state)
{
	(void)state;
	made m = first_seed(), n = first_seed();
	const char *const same[] = {"a", "a"}, *const two[] = {"a", "b"};
	n.trials = 10, n.loss = 3;
	memset(n.hits, 0, sizeof n.hits);
	n.hits[2][2][0] = 3;
	n.choice[0][2][1] = 20; /* 30 + 60 hits of 0.4 against 30 + 30 of 0.2 */
	n.choice[0][2][0] = 20;
	put_grid("a.h5", &m);
	put_grid("b.h5", &n);
	sx_run_file *f[] = {open_file("a.h5"), open_file("b.h5")};
	sx_extension *e;
	ok(sx_extension_read(&e, &ctx, f, same, 2, "multi-key"));
	assert_int_equal(e->n_row, V);
	assert_true(chosen_row(e, "a", "pi")->c == 0.4);
	const sx_extension_row *r = &e->row[2];
	assert_int_equal(r->n_seed, 2);
	assert_int_equal(r->hits[2], 10);
	assert_int_equal(r->trials[2], 50);
	check_close(r->rate[2].hi, sx_wilson(10, 50).hi, 0);
	check_close(r->chance_window[2], (40.0 / 42 + 10.0 / 12) / 50, 1e-15);
	check_close(r->nll_last[0], 2.5 + 2 + 0.32, 1e-14);
	check_close(r->seed_loss[SX_LOSS_LAST][0], 2 + 2 + 0.32, 1e-14);
	check_close(r->seed_loss[SX_LOSS_LAST][L], 3 + 2 + 0.32, 1e-14);
	sx_extension_free(e);
	ok(sx_extension_read(&e, &ctx, f, two, 2, "multi-key"));
	assert_true(chosen_row(e, "a", "pi")->c == 0.2 && chosen_row(e, "b", "pi")->c == 0.4);
	sx_extension_free(e);
	sx_run_file_close(f[1]);
	n.c[1] = 0.1; /* another grid */
	put_grid("b.h5", &n);
	f[1] = open_file("b.h5");
	assert_int_equal(sx_extension_read(&e, &ctx, f, same, 2, "multi-key"), SX_EDATA);
	ok(sx_extension_read(&e, &ctx, f, two, 2, "multi-key"));
	sx_extension_free(e);
	sx_run_file_close(f[0]);
	sx_run_file_close(f[1]);
}

static void draws_the_choice(void **state)
{
	(void)state;
	made m = first_seed();
	put_grid("a.h5", &m);
	ok(verb(&sx_cmd_figure, "context %/a.h5 -o %/c.svg --data %/c.csv", "out.txt"));
	char *csv = slurp(in_dir("c.csv"), NULL);
	assert_non_null(strstr(csv, "b,line,\"RoPE + PI, $c$ = 0.2 (text 0.4)\",128,0.175,,\n"));
	assert_non_null(strstr(csv, "b,line,\"RoPE, $c$ = 0\",128,0,,\n"));
	assert_non_null(strstr(csv, "\"RoPE + YaRN (shipped)\",128"));
	assert_non_null(strstr(csv, "c,line,\"RoPE + PI, $c$ = 0.2 (text 0.4)\",128,0.225,,\n"));
	assert_non_null(strstr(csv, "b,guide,\"chance: blind\",128,0.0625,,\n"));
	assert_non_null(strstr(csv, "a,vline,\"trained length\",32,,,\n"));
	assert_null(strstr(csv, "$c$ = 0.4"));
	free(csv);
	ok(verb(&sx_cmd_figure, "context %/a.h5 --of all -o %/c.svg --data %/c.csv", "out.txt"));
	csv = slurp(in_dir("c.csv"), NULL);
	assert_non_null(strstr(csv, "\"RoPE + PI, $c$ = 0.4\""));
	free(csv);
	m.choice_trials = 0; /* none is called chosen, so none is named */
	put_grid("b.h5", &m);
	ok(verb(&sx_cmd_figure, "context %/b.h5 -o %/c.svg --data %/c.csv", "out.txt"));
	csv = slurp(in_dir("c.csv"), NULL);
	assert_non_null(strstr(csv, "b,line,\"RoPE + PI\",64,1,,\n"));
	free(csv);
	assert_int_equal(verb(&sx_cmd_figure, "context %/a.h5 --of some -o %/no.svg", "out.txt"),
			 SX_EUSAGE);
}

/* ---- window by window ---- */

static void eval_ppl(const char *arguments)
{
	ok(verb(&sx_cmd_eval, arguments, "out.txt"));
}

/* The losses of the windows at the second length. */
static double *second_length(const char *name, int64_t W)
{
	sx_run_file *f = open_file(name);
	double *v = sx_calloc((size_t)W, sizeof *v);
	assert_non_null(v);
	ok(sx_run_read(f, SX_RUN_EVAL_WINDOW_NLL, ((const int64_t[]){0, 1, 0}),
		       ((const int64_t[]){1, 1, W}), v));
	sx_run_file_close(f);
	return v;
}

static void compares_windows(void **state)
{
	(void)state;
	enum { W = 12 };
	double nll[2], se[2];
	put_models();
	eval_ppl("ppl %/1.yaml --seed 7 --lengths 32,64 --windows 12 -q -o %/x.h5");
	eval_ppl("ppl %/2.yaml --seed 7 --lengths 48,64 --windows 12 -q -o %/y.h5");
	eval_ppl("ppl %/2.yaml --seed 8 --lengths 64 --windows 12 -q -o %/z.h5");
	double *x = second_length("x.h5", W), *y = second_length("y.h5", W), mx = 0, my = 0;
	double ss = 0;
	for (int i = 0; i < W; i++) mx += x[i] / W, my += y[i] / W;
	for (int i = 0; i < W; i++) ss += (x[i] - mx) * (x[i] - mx);

	sx_run_file *a = open_file("x.h5"), *b = open_file("y.h5"), *c = open_file("z.h5");
	ok(sx_run_read(a, SX_RUN_EVAL_NLL, NULL, NULL, nll));
	ok(sx_run_read(a, SX_RUN_EVAL_NLL_SE, NULL, NULL, se));
	check_close(mx, nll[1], 1e-12); /* windows of equal length */
	check_close(se[1], sqrt(ss / (W - 1) / W), 1e-12);

	sx_loss_difference d;
	ok(sx_loss_compare(&d, &ctx, a, b, 64, 5));
	assert_int_equal(d.windows, W);
	check_close(d.mean_a, mx, 1e-12);
	check_close(d.mean_b, my, 1e-12);
	check_close(d.difference.value, mx - my, 1e-12);
	/* The bootstrap of a mean of 12: about the normal interval with s / sqrt(12), in which s is
	 * that of the differences, not of the two models. */
	double sd = 0;
	for (int i = 0; i < W; i++) sd += pow(x[i] - y[i] - (mx - my), 2);
	double half = 1.96 * sqrt(sd / W / W);
	check_close(d.difference.hi - d.difference.lo, 2 * half, 0.25 * 2 * half);
	assert_true(d.difference.lo < mx - my && mx - my < d.difference.hi);
	sx_loss_difference again;
	ok(sx_loss_compare(&again, &ctx, b, a, 64, 5));
	check_close(again.difference.value, -d.difference.value, 1e-15);
	ok(sx_loss_compare(&again, &ctx, a, a, 64, 5));
	assert_true(again.difference.value == 0 && again.difference.hi == 0);

	assert_int_equal(sx_loss_compare(&d, &ctx, b, c, 64, 5), SX_EDATA); /* other windows */
	assert_non_null(strstr(ctx.message, "--seed"));
	assert_int_equal(sx_loss_compare(&d, &ctx, a, b, 32, 5), SX_EDATA); /* b lacks it */

	/* A file of one variant has both groups, and they agree. */
	sx_extension *e;
	const char *const label[] = {"a"};
	ok(sx_extension_read(&e, &ctx, &a, label, 1, NULL));
	assert_int_equal(e->n_row, 1);
	assert_string_equal(e->kind, "");
	check_close(e->row[0].loss[SX_LOSS][1], nll[1], 0);
	assert_false(e->row[0].chosen);
	sx_extension_free(e);
	sx_run_file_close(a), sx_run_file_close(b), sx_run_file_close(c);
	free(x), free(y);
}

/* A text of one's own has fewer windows at greater lengths; what is missing is NaN in both. */
static void compares_texts(void **state)
{
	(void)state;
	put_models();
	eval_ppl("ppl %/1.yaml --text %/text.txt --limit 500 --lengths 32,64 -q -o %/x.h5");
	eval_ppl("ppl %/2.yaml --text %/text.txt --limit 500 --lengths 32,64 -q -o %/y.h5");
	eval_ppl("ppl %/2.yaml --text %/text.txt --limit 499 --lengths 32,64 -q -o %/z.h5");
	sx_run_file *a = open_file("x.h5"), *b = open_file("y.h5"), *c = open_file("z.h5");
	sx_loss_difference d;
	ok(sx_loss_compare(&d, &ctx, a, b, 32, 5));
	assert_int_equal(d.windows, 16);
	ok(sx_loss_compare(&d, &ctx, a, b, 64, 5));
	assert_int_equal(d.windows, 8);
	assert_int_equal(sx_loss_compare(&d, &ctx, b, c, 64, 5), SX_EDATA); /* another text */
	sx_run_file_close(a), sx_run_file_close(b), sx_run_file_close(c);
}

/* ---- problem by problem ---- */

/* Of the file the hits, or losses on text of single windows, of row v at the third length. */
static double *row_at(sx_run_file *f, sx_run_id id, int64_t v, int64_t n)
{
	bool hits = id == SX_RUN_EXTENSION_NIAH_HIT;
	double *x = sx_calloc((size_t)n, sizeof *x);
	uint8_t *b = sx_calloc((size_t)n, 1);
	assert_non_null(x), assert_non_null(b);
	const int64_t start[] = {v, 2, 0, 0}, of_hits[] = {1, 1, 1, n}, of_text[] = {1, 1, n};
	if (hits)
		ok(sx_run_read(f, id, start, of_hits, b));
	else
		ok(sx_run_read(f, id, start, of_text, x));
	for (int64_t i = 0; hits && i < n; i++) x[i] = b[i];
	free(b);
	return x;
}

/* The row of a label with the least mean of choice_text_nll_last over both lengths beyond 32. */
static const sx_extension_row *least_text(const sx_extension *e, const char *label, sx_run_file *f)
{
	double *x, best = HUGE_VAL;
	int64_t n, v = 0;
	const sx_extension_row *found = NULL;
	ok(sx_run_read_all(f, SX_RUN_EXTENSION_CHOICE_TEXT, &x, &n));
	assert_int_equal(n, 3 * 3);
	for (int i = 0; i < e->n_row; i++) {
		if (strcmp(e->row[i].label, label) != 0) continue;
		double sum = x[v * 3 + 1] + x[v * 3 + 2];
		check_close(e->row[i].choice_text, sum / 2, 1e-12);
		if (sum < best) best = sum, found = &e->row[i];
		v++;
	}
	free(x);
	return found;
}

static void compares_problems(void **state)
{
	(void)state;
	enum { TRIALS = 900, W = 7 };
	static const char words[] = "--methods rope --temperatures 0,0.4,0.8 --lengths 32,64,96 "
				    "--trials 900 --windows 7 --choose 50 -q -o ";
	char line[512];
	put_models();
	for (int i = 0; i < 3; i++) {
		snprintf(line, sizeof line, "niah %%/%d.yaml --seed %d %s%%/%c.h5", i ? 2 : 1,
			 i == 2 ? 8 : 7, words, "xyz"[i]);
		ok(verb(&sx_cmd_eval, line, "out.txt"));
	}
	sx_run_file *f[] = {open_file("x.h5"), open_file("y.h5"), open_file("z.h5")};
	const char *const label[] = {"a", "b", "c"};
	sx_extension *e;
	ok(sx_extension_read(&e, &ctx, f, label, 3, NULL));
	assert_true(e->text_apart);
	assert_ptr_equal(sx_extension_best(e, "a", NULL, true), least_text(e, "a", f[0]));
	assert_ptr_equal(sx_extension_best(e, "b", NULL, true), least_text(e, "b", f[1]));
	const sx_extension_row *others = sx_extension_best(e, NULL, "a", false);
	assert_string_not_equal(others->label, "a");
	for (int i = 0; i < e->n_row; i++) /* nobody else has more of the problems set apart */
		if (strcmp(e->row[i].label, "a") != 0)
			assert_true(e->row[i].choice_hits <= others->choice_hits);

	/* rows 1 of a and 2 of b */
	double *x = row_at(f[0], SX_RUN_EXTENSION_NIAH_HIT, 1, TRIALS);
	double *y = row_at(f[1], SX_RUN_EXTENSION_NIAH_HIT, 2, TRIALS), sum = 0;
	int only_x = 0, only_y = 0;
	for (int i = 0; i < TRIALS; i++) only_x += x[i] > y[i], only_y += y[i] > x[i];
	assert_true(only_x > 0 && only_y > 0); /* else there is nothing to test */
	sx_extension_pairs p = sx_extension_compare_hits(&e->row[1], &e->row[3 + 2], 2);
	assert_int_equal(p.pairs, TRIALS);
	assert_int_equal(p.only_a, only_x);
	assert_int_equal(p.only_b, only_y);
	check_close(p.p, sx_mcnemar(only_x, only_y), 0);
	assert_int_equal(sx_extension_compare_hits(&e->row[3], &e->row[6], 1).pairs,
			 0); /* other seed */
	free(x), free(y);

	x = row_at(f[0], SX_RUN_EXTENSION_WINDOW_TEXT, 1, W);
	y = row_at(f[1], SX_RUN_EXTENSION_WINDOW_TEXT, 2, W);
	for (int i = 0; i < W; i++) sum += (x[i] - y[i]) / W;
	sx_interval d;
	int64_t windows;
	ok(sx_extension_compare_text(&d, &windows, &ctx, &e->row[1], &e->row[3 + 2], 2, 1));
	assert_int_equal(windows, W);
	check_close(d.value, sum, 1e-12);
	assert_true(d.lo <= d.value && d.value <= d.hi);
	ok(sx_extension_compare_text(&d, &windows, &ctx, &e->row[3], &e->row[6], 1, 1));
	assert_true(windows == 0 && isnan(d.value));
	free(x), free(y);
	sx_extension_free(e);

	/* Seeds in another order find their partners. */
	const char *const two[] = {"a", "a", "b", "b"};
	sx_run_file *four[] = {f[1], f[2], f[2], f[1]};
	ok(sx_extension_read(&e, &ctx, four, two, 4, NULL));
	p = sx_extension_compare_hits(&e->row[0], &e->row[3], 2);
	assert_true(p.pairs == 2 * TRIALS && p.only_a == 0 && p.only_b == 0 && p.p == 1);
	ok(sx_extension_compare_text(&d, &windows, &ctx, &e->row[0], &e->row[3], 2, 1));
	assert_true(windows == 2 * W && d.value == 0);
	sx_extension_free(e);
	for (int i = 0; i < 3; i++) sx_run_file_close(f[i]);
}

/* ---- /eval of a training run ---- */

static void put_eval(const char *name)
{
	static const char *const kind[] = {"single", "multi-key"};
	static const int64_t distance[] = {1, 2}, step[] = {5, 9};
	static const double nll[2][2] = {{1, 2}, {3, 4}};
	static const int64_t hits[2][2][2][2] = {{{{1, 1}, {2, 2}}, {{1, 0}, {3, -1}}},
						 {{{0, 0}, {4, 1}}, {{1, 1}, {2, -1}}}};
	static const int64_t trials[2][2][2] = {{{3, 3}, {4, 4}}, {{2, 2}, {5, -1}}};
	sx_run *run;
	ok(sx_run_create(&run, &ctx, in_dir(name), false));
	ok(sx_run_grow(run, SX_RUN_EVAL_STEP, 1));
	ok(sx_run_axis(run, SX_RUN_EVAL_CONTEXT_LENGTH, 2, lengths));
	ok(sx_run_axis(run, SX_RUN_EVAL_KIND, 2, kind));
	ok(sx_run_axis(run, SX_RUN_EVAL_DISTANCE, 2, distance));
	ok(sx_run_define(run, SX_RUN_EVAL_NLL));
	ok(sx_run_define(run, SX_RUN_EVAL_NIAH_HITS));
	ok(sx_run_define(run, SX_RUN_EVAL_NIAH_TRIALS));
	ok(sx_run_start(run));
	for (int i = 0; i < 2; i++) {
		ok(sx_run_put(run, SX_RUN_EVAL_NLL, i, nll[i]));
		ok(sx_run_put(run, SX_RUN_EVAL_NIAH_HITS, i, hits[i][0][0]));
		ok(sx_run_put(run, SX_RUN_EVAL_NIAH_TRIALS, i, trials[0][0]));
		ok(sx_run_put(run, SX_RUN_EVAL_STEP, i, &step[i]));
	}
	ok(sx_run_close(&run, SX_RUN_COMPLETE));
}

static void reads_training(void **state)
{
	(void)state;
	const char *const label[] = {"a"};
	sx_extension *e;
	put_eval("t.h5");
	sx_run_file *f = open_file("t.h5");
	ok(sx_extension_read(&e, &ctx, &f, label, 1, "multi-key")); /* the last record */
	assert_int_equal(e->n_row, 1);
	assert_int_equal(e->row[0].hits[0], 5);
	assert_int_equal(e->row[0].trials[0], 8);
	assert_int_equal(e->row[0].hits[1], 2);
	assert_int_equal(e->row[0].trials[1], 5);
	check_close(e->row[0].loss[SX_LOSS][1], 4, 0);
	assert_true(isnan(e->row[0].c) && isnan(e->row[0].chance_window[0]));
	sx_extension_free(e);
	ok(sx_extension_read_step(&e, &ctx, &f, label, 1, "single", 5));
	assert_int_equal(e->row[0].hits[1], 1);
	assert_int_equal(e->row[0].trials[1], 4);
	check_close(e->row[0].loss[SX_LOSS][0], 1, 0);
	sx_extension_free(e);
	assert_int_equal(sx_extension_read_step(&e, &ctx, &f, label, 1, NULL, 6), SX_EDATA);
	sx_run_file_close(f);
	ok(verb(&sx_cmd_figure, "context %/t.h5 --label x --step 9 -o %/c.svg --data %/c.csv",
		"out.txt"));
	char *csv = slurp(in_dir("c.csv"), NULL);
	assert_non_null(strstr(csv, "a,line,\"x\",32,20.08553692,,\n"));
	assert_non_null(strstr(csv, "c,line,\"x\",32,0.625,,\n"));
	free(csv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_equals_json),  cmocka_unit_test(losses_equal_json),
		cmocka_unit_test(choice_is_apart),   cmocka_unit_test(chooses),
		cmocka_unit_test(pools_seeds),       cmocka_unit_test(draws_the_choice),
		cmocka_unit_test(compares_windows),  cmocka_unit_test(compares_texts),
		cmocka_unit_test(compares_problems), cmocka_unit_test(reads_training),
	};
	sx_ctx_init(&ctx);
	return cmocka_run_group_tests_name("extension", tests, make_dir, remove_dir);
}

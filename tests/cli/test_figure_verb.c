/* `sextant figure` from a CSV, from settings and from run files. */
#include "analysis/gallery/labels.h"
#include "probes/runfile/runfile.h"
#include "tests/support/figure_verb.h"

static void put(const char *name, const char *text)
{
	assert_int_equal(sx_write_file(NULL, in_dir(name), text, strlen(text)), SX_OK);
}

static void test_lines(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	put("a.csv", "\xEF\xBB\xBFstep, RoPE,\"b, \"\"c\"\"\",RoPE_lo,RoPE_hi,z_lo,z_hi\r\n"
		     "10,1.5,,1,2,3,4\r\n\n100,2.5,7,2,3,4,nan");
	assert_int_equal(verb(&ctx, "lines %/a.csv --log x -o %/l.svg --data %/l.csv"), SX_OK);
	char *csv = slurp(in_dir("l.csv"), NULL);
	assert_non_null(strstr(csv, "a,line,\"RoPE\",10,1.5,,\n"));
	assert_non_null(strstr(csv, "a,band,\"RoPE\",10,,1,2\n"));
	assert_non_null(strstr(csv, "a,line,\"b, \"\"c\"\"\",10,,,\n")); /* a gap */
	assert_non_null(strstr(csv, "a,band,\"z\",10,,3,4\n"));
	assert_null(strstr(csv, "a,line,\"z\""));
	assert_null(strstr(csv, "_lo"));
	free(csv);
	assert_int_equal(verb(&ctx, "lines %/a.csv --x z_lo -o %/l.svg --data %/l.csv"), SX_OK);
	csv = slurp(in_dir("l.csv"), NULL);
	assert_non_null(strstr(csv, "a,line,\"step\",3,10,,\n"));
	free(csv);

	assert_int_equal(verb(&ctx, "lines %/a.csv --x no -o %/l.svg"), SX_EUSAGE);
	assert_int_equal(verb(&ctx, "lines %/none.csv -o %/l.svg"), SX_ENOINPUT);
	put("b.csv", "x,y\n1,2\n3,four\n");
	assert_int_equal(verb(&ctx, "lines %/b.csv -o %/bad.svg"), SX_EDATA);
	assert_non_null(strstr(ctx.message, "line 3: \"four\""));
	put("b.csv", "x,y\n1,2\n3\n");
	assert_int_equal(verb(&ctx, "lines %/b.csv -o %/bad.svg"), SX_EDATA);
	put("b.csv", "x,y\n1,2,\n");
	assert_int_equal(verb(&ctx, "lines %/b.csv -o %/bad.svg"), SX_EDATA);
	static const char *const broken[] = {"", "\n", "x\n1\n", "x,y\n", "x,y\n\"1,2\n"};
	for (int i = 0; i < 5; i++) {
		put("b.csv", broken[i]);
		assert_int_equal(verb(&ctx, "lines %/b.csv -o %/bad.svg"), SX_EDATA);
	}
	assert_false(sx_path_exists(in_dir("bad.svg")));
}

/* A list of names gives back the names it was made of, whatever is in them. */
static void test_labels(void **state)
{
	(void)state;
	const char *const names[] = {"RoPE", "DroPE, tuned", "", "say \"a,b\"", "\"", " x "};
	char *list = sx_label_join(names, 6);
	assert_string_equal(list, "RoPE,\"DroPE, tuned\",,\"say \"\"a,b\"\"\",\"\"\"\", x ");
	assert_int_equal(sx_label_count(list), 6);
	for (int i = 0; i < 6; i++) {
		char *part = sx_label_part(list, i);
		assert_string_equal(part, names[i]);
		free(part);
	}
	assert_null(sx_label_part(list, 6));
	free(list);
	assert_int_equal(sx_label_count("a,b,"), 3);
	assert_int_equal(sx_label_count("\"open, a"), 1);
	assert_int_equal(sx_label_count(NULL), 0);
	assert_null(sx_label_part(NULL, 0));
}

/* Numbers in the rows of the figure against the formulas of the methods. */
static void test_gamma(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	assert_int_equal(verb(&ctx, "gamma pos.factor=2,4 -o %/g.pdf --data %/g.csv"), SX_OK);
	char *csv = slurp(in_dir("g.csv"), NULL), *rest = csv;
	int n_ntk = 0, n_pi = 0, n_p = 0;
	double least = 2, most = 0;
	for (char *line; (line = strtok_r(rest, "\n", &rest));) {
		double s, omega, gamma;
		char name[16];
		if (sscanf(line, "\"$s$ = %lf\",line,\"%15[^\"]\",%lf,%lf", &s, name, &omega,
			   &gamma) != 4)
			continue;
		double m = -32 * log(omega) / log(1e4);
		if (strcmp(name, "PI") == 0) {
			n_pi++;
			check_close(gamma, 1 / s, 1e-9);
		}
		if (strcmp(name, "NTK") == 0) {
			n_ntk++;
			check_close(gamma, pow(s, -m / 31), 1e-6);
		}
		if (strcmp(name, "p-RoPE") == 0) {
			n_p++;
			check_close(gamma, m < 23.5, 0);
		}
		if (strcmp(name, "YaRN") == 0 && s == 4) {
			least = fmin(least, gamma);
			most = fmax(most, gamma);
		}
	}
	assert_int_equal(n_ntk, 64);
	assert_int_equal(n_pi, 64);
	assert_int_equal(n_p, 64);
	check_close(least, 0.25, 1e-9);
	check_close(most, 1, 1e-9);
	free(csv);
	assert_int_equal(verb(&ctx, "gamma pos.factor=0.5 -o %/g.pdf"), SX_ECONFIG);
	assert_int_equal(verb(&ctx, "gamma train.steps=5 -o %/g.pdf"), SX_EUSAGE);
	assert_int_equal(verb(&ctx, "gamma pos.thetta=5 -o %/g.pdf"), SX_ECONFIG);
}

/* ---- a run file of our own ---- */

enum { SEQ = 3, LAYERS = 2, HEADS = 2, CS = 2 };
static const char *const families[] = {"diagonal", "previous"};

enum { N_STEP = 4 };

static void make_axes(sx_run *run)
{
	static const int32_t number[SEQ] = {0, 1, 2};
	static const uint8_t kinds[SEQ] = {0, 3, 0}; /* text, constant, text */
	static const char *const wrt[] = {"wq", "wk"};
	assert_int_equal(sx_run_axis(run, SX_RUN_STATS_SEQUENCE, SEQ, number), SX_OK);
	assert_int_equal(sx_run_grow(run, SX_RUN_STATS_STEP, 1), SX_OK);
	assert_int_equal(sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, kinds), SX_OK);
	assert_int_equal(sx_run_axis(run, SX_RUN_AC_SEQUENCE, SEQ, number), SX_OK);
	assert_int_equal(sx_run_axis_index(run, SX_RUN_AC_LAYER, LAYERS), SX_OK);
	assert_int_equal(sx_run_axis_index(run, SX_RUN_AC_HEAD, HEADS), SX_OK);
	assert_int_equal(sx_run_axis(run, SX_RUN_AC_C, CS, families), SX_OK);
	assert_int_equal(sx_run_axis(run, SX_RUN_AC_WRT, 2, wrt), SX_OK);
	assert_int_equal(sx_run_grow(run, SX_RUN_AC_STEP, 1), SX_OK);
	assert_int_equal(sx_run_define(run, SX_RUN_AC_PHASE), SX_OK);
	assert_int_equal(sx_run_define(run, SX_RUN_AC_VALUE), SX_OK);
	assert_int_equal(sx_run_define(run, SX_RUN_AC_GRAD_NORM), SX_OK);
}

/* A_c = 100 step + 10 phase + layer, on the constant sequence something else; gradients by wq and wk
 * are 1 and 2 above that. */
static void make_run(const char *name)
{
	static const int64_t step[N_STEP] = {0, 5, 5, 9};
	static const uint8_t phase[N_STEP] = {0, 0, 1, 1};
	static const char model[] = "{\"context\": 8, \"pos\": {\"method\": \"rope\"}}";
	sx_run *run;
	assert_int_equal(sx_run_create(&run, NULL, in_dir(name), false), SX_OK);
	make_axes(run);
	assert_int_equal(sx_run_meta(run, SX_RUN_META_MODEL_JSON, model), SX_OK);
	assert_int_equal(sx_run_meta(run, SX_RUN_META_CONFIG_YAML, "train: {drop_at: 5}\n"), SX_OK);
	assert_int_equal(sx_run_start(run), SX_OK);
	for (int i = 0; i < N_STEP; i++) {
		double v[SEQ * LAYERS * HEADS * CS], g[2 * SEQ * LAYERS * HEADS * CS];
		for (int k = 0; k < SEQ * LAYERS * HEADS * CS; k++) {
			int seq = k / (LAYERS * HEADS * CS), layer = k / (HEADS * CS) % LAYERS;
			v[k] = seq == 1 ? -1e9 : 100.0 * (double)step[i] + 10 * phase[i] + layer;
			g[2 * k] = v[k] + 1;
			g[2 * k + 1] = v[k] + 2;
		}
		assert_int_equal(sx_run_put(run, SX_RUN_AC_VALUE, i, v), SX_OK);
		assert_int_equal(sx_run_put(run, SX_RUN_AC_GRAD_NORM, i, g), SX_OK);
		assert_int_equal(sx_run_put(run, SX_RUN_AC_PHASE, i, &phase[i]), SX_OK);
		assert_int_equal(sx_run_put(run, SX_RUN_AC_STEP, i, &step[i]), SX_OK);
	}
	assert_int_equal(sx_run_close(&run, SX_RUN_COMPLETE), SX_OK);
}

static void test_run_file(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	make_run("r.h5");
	assert_int_equal(verb(&ctx, "ac %/r.h5 -o %/ac.pdf --data %/ac.csv"), SX_OK);
	char *csv = slurp(in_dir("ac.csv"), NULL);
	assert_non_null(strstr(csv, "\"layer 1\",line,\"head 1, previous\",0,1,,\n"));
	assert_non_null(strstr(csv, "\"layer 1\",points,\"head 0, diagonal\",5,501,,\n"
				    "\"layer 1\",points,\"head 0, diagonal\",5,511,,\n"));
	assert_non_null(strstr(csv, "\"layer 0\",vline,\"drop\",5,,,\n"));
	free(csv);

	assert_int_equal(verb(&ctx, "ac-grad %/r.h5 -o %/g.png --data %/g.csv"), SX_OK);
	csv = slurp(in_dir("g.csv"), NULL);
	assert_non_null(strstr(csv, "\"previous\",line,\"RoPE\",1,2,,\n")); /* at step 0 */
	free(csv);
	assert_int_equal(verb(&ctx, "ac-grad %/r.h5 --step 5 --of wk -o %/g.png --data %/g.csv"),
			 SX_OK);
	csv = slurp(in_dir("g.csv"), NULL);
	assert_non_null(
		strstr(csv, "\"diagonal\",line,\"DroPE\",0,512,,\n")); /* the later record */
	free(csv);

	/* What is not there is said. */
	static const char *const missing[][2] = {
		{"maps %/r.h5 -o %/no.pdf", "no attention maps"},
		{"offsets %/r.h5 -o %/no.pdf", "no offset profiles"},
		{"frequencies %/r.h5 -o %/no.pdf", "no frequency use"},
		{"context %/r.h5 -o %/no.pdf", "no evaluations"},
		{"ac-grad %/r.h5 --of v -o %/no.pdf", "by v"},
		{"ac-grad %/r.h5 --step 6 -o %/no.pdf", "no record of step 6"}};
	for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
		assert_int_equal(verb(&ctx, missing[i][0]), SX_EDATA);
		assert_non_null(strstr(ctx.message, missing[i][1]));
	}
	put("text.h5", "no HDF5 at all");
	assert_int_equal(verb(&ctx, "ac %/text.h5 -o %/no.pdf"), SX_EDATA);
	assert_int_equal(verb(&ctx, "maps %/r.h5 %/r.h5 -o %/no.pdf"), SX_EUSAGE);
	assert_int_equal(verb(&ctx, "frequencies %/r.h5 --of entropy -o %/no.pdf"), SX_EUSAGE);
	assert_false(sx_path_exists(in_dir("no.pdf")));
}

/* ---- bounds ---- */

enum { ENTRIES = 3 };

/* Of a model with `method`: a constant sequence and one of text, two layers of a head. Left sides
 * are a tenth of the right ones; I10 does not apply where `why` is not 0. */
static void make_bounds(const char *name, const char *method, uint8_t phase, uint8_t why)
{
	static const char *const entry[ENTRIES] = {"P3.2.output", "I9:diagonal", "I10:own"};
	static const int32_t number[2] = {0, 1};
	static const int64_t step = 7;
	double lhs[2 * 2 * ENTRIES], rhs[2 * 2 * ENTRIES], none[2 * 2 * ENTRIES] = {0};
	int32_t row[2 * 2 * ENTRIES] = {0};
	uint8_t reason[2 * 2 * ENTRIES] = {0}, verdict[2 * 2 * ENTRIES] = {0};
	for (int k = 0; k < 2 * 2 * ENTRIES; k++) {
		rhs[k] = k < 2 * ENTRIES ? 1e-20 : k + 1;
		lhs[k] = rhs[k] / 10;
		reason[k] = k % ENTRIES == 2 ? why : k % ENTRIES == 0 && k >= 2 * ENTRIES ? 4 : 0;
	}
	char *model = sx_format("{\"context\": 8, \"pos\": {\"method\": \"%s\"}}", method);
	sx_run *run;
	assert_int_equal(sx_run_create(&run, NULL, in_dir(name), false), SX_OK);
	assert_int_equal(sx_run_meta(run, SX_RUN_META_MODEL_JSON, model), SX_OK);
	assert_int_equal(sx_run_grow(run, SX_RUN_BOUNDS_STEP, 1), SX_OK);
	assert_int_equal(sx_run_axis(run, SX_RUN_BOUNDS_SEQUENCE, 2, number), SX_OK);
	assert_int_equal(sx_run_axis_index(run, SX_RUN_BOUNDS_LAYER, 2), SX_OK);
	assert_int_equal(sx_run_axis_index(run, SX_RUN_BOUNDS_HEAD, 1), SX_OK);
	assert_int_equal(sx_run_axis(run, SX_RUN_BOUNDS_INEQUALITY, ENTRIES, entry), SX_OK);
	for (sx_run_id id = SX_RUN_BOUNDS_LHS; id <= SX_RUN_BOUNDS_REASON; id++)
		assert_int_equal(sx_run_define(run, id), SX_OK);
	assert_int_equal(sx_run_define(run, SX_RUN_BOUNDS_PHASE), SX_OK);
	assert_int_equal(sx_run_start(run), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_LHS, 0, lhs), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_RHS, 0, rhs), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_RHS_PAPER, 0, none), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_VERDICT, 0, verdict), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_ALLOWANCE, 0, none), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_ROW, 0, row), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_REASON, 0, reason), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_PHASE, 0, &phase), SX_OK);
	assert_int_equal(sx_run_put(run, SX_RUN_BOUNDS_STEP, 0, &step), SX_OK);
	assert_int_equal(sx_run_close(&run, SX_RUN_COMPLETE), SX_OK);
	free(model);
}

static void test_bounds_file(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	make_bounds("n.h5", "nope", 0, 0);
	make_bounds("d.h5", "nope", 1, 0);
	make_bounds("p.h5", "rope", 0, 1);
	assert_int_equal(verb(&ctx, "bounds %/n.h5 %/p.h5 --of I9,I10 -o %/b.svg --data %/b.csv"),
			 SX_OK);
	char *csv = slurp(in_dir("b.csv"), NULL);
	/* The text sequence's first entry is number 6, I9 of layer 0 number 7: 8 and 0.8. */
	assert_non_null(strstr(csv, ",dots,\"NoPE, diagonal\",8,0.8,,\n"));
	assert_non_null(strstr(csv, ",dots,\"RoPE, diagonal\",11,1.1,,\n"));
	assert_non_null(strstr(csv, ",dots,\"NoPE, own\",9,0.9,,\n"));
	assert_null(strstr(csv, "\"RoPE, own\""));
	assert_non_null(strstr(csv, ",note,\"RoPE: not applicable\","));
	assert_null(strstr(csv, "e-2")); /* the constant sequence */
	free(csv);
	assert_int_equal(
		verb(&ctx, "bounds %/n.h5 %/d.h5 --step 7 --of I9 -o %/b.svg --data %/b.csv"),
		SX_OK);
	csv = slurp(in_dir("b.csv"), NULL);
	assert_non_null(strstr(csv, ",dots,\"DroPE, diagonal\",8,0.8,,\n"));
	free(csv);

	static const char *const wrong[][2] = {
		{"bounds %/n.h5 --step 6 -o %/no.pdf", "after 7 updates"},
		{"bounds %/n.h5 --of I11 -o %/no.pdf", "no inequality I11"},
		{"bounds %/p.h5 --of I10 -o %/no.pdf", "none of the inequalities applies"},
		{"ac %/n.h5 -o %/no.pdf", "no values of A_c"}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(verb(&ctx, wrong[i][0]), SX_EDATA);
		assert_non_null(strstr(ctx.message, wrong[i][1]));
	}
	make_run("r.h5");
	assert_int_equal(verb(&ctx, "bounds %/r.h5 -o %/no.pdf"), SX_EDATA);
	assert_non_null(strstr(ctx.message, "no inequalities"));
	assert_int_equal(verb(&ctx, "bounds %/n.h5 --of a,b,c,d,e -o %/no.pdf"), SX_EUSAGE);
	assert_false(sx_path_exists(in_dir("no.pdf")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),       cmocka_unit_test(test_labels),
		cmocka_unit_test(test_gamma),       cmocka_unit_test(test_run_file),
		cmocka_unit_test(test_bounds_file),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

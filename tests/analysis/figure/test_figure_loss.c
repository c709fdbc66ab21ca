/* The figure `loss`, the training log it reads, and the verb. */
#include "analysis/figure/figures.h"
#include "analysis/runlog.h"
#include "tests/support/figure_marks.h"
#include "tests/support/figure_verb.h"

/* ---- the training log ---- */

static char *write_run(const char *name, const char *log)
{
	char *run = in_dir(name);
	assert_int_equal(sx_make_dirs(NULL, run), SX_OK);
	char path[600];
	snprintf(path, sizeof path, "%s/log.jsonl", run);
	assert_int_equal(sx_write_file(NULL, path, log, strlen(log)), SX_OK);
	return run;
}

static void test_runlog(void **state)
{
	(void)state;
	static const char log[] =
		"{\"event\":\"start\",\"method\":\"rope\",\"drop_to\":\"nope\","
		"\"new\":[1]}\n"
		"{\"event\":\"step\",\"step\":1,\"phase\":\"pretrain\",\"loss\":5."
		"5,\"tokens_seen\":100,\"lr\":1e-3}\n"
		"{\"event\":\"step\",\"step\":2,\"phase\":\"pretrain\",\"loss\":"
		"null,\"tokens_seen\":200}\n"
		"{\"event\":\"eval\",\"step\":2,\"nll\":3}\n"
		"{\"event\":\"step\",\"step\":3,\"phase\":\"pretrain\",\"loss\":9,"
		"\"tokens_seen\":300}\n"
		"{\"event\":\"step\",\"st{\"event\":\"start\",\"method\":\"rope\"}"
		"\n" /* killed, resumed */
		"{\"event\":\"step\",\"step\":2,\"phase\":\"pretrain\",\"loss\":4,"
		"\"tokens_seen\":200}\n"
		"{\"event\":\"step\",\"step\":3,\"phase\":\"recalibration\","
		"\"loss\":7,\"tokens_seen\":300}\n"
		"{\"event\":\"step\",\"step\":4,\"phase\":\"recal"; /* being written */
	kept_log k;
	sx_ctx ctx = context(&k);
	sx_runlog r;
	assert_int_equal(sx_runlog_read(&r, &ctx, write_run("r", log)), SX_OK);
	assert_int_equal(r.n, 3);
	assert_string_equal(r.method, "rope");
	assert_string_equal(r.drop_to, "nope");
	const double loss[] = {5.5, 4, 7};
	check_near(r.loss, loss, 3, 0);
	assert_int_equal(r.tokens_seen[2], 300);
	check_close(r.lr[0], 1e-3, 0);
	assert_true(isnan(r.lr[1]));
	assert_int_equal(sx_runlog_drop(&r), 2);
	assert_int_equal(k.warnings, 1);
	assert_non_null(strstr(k.text, "line 6"));
	sx_runlog_free(&r);
	sx_runlog_free(NULL);

	assert_int_equal(sx_runlog_read(&r, &ctx, in_dir("none")), SX_ENOINPUT);
	assert_int_equal(sx_runlog_read(&r, &ctx, write_run("e", "{\"event\":\"start\"}\n")),
			 SX_EDATA);
	assert_int_equal(sx_runlog_read(&r, &ctx, write_run("z", "")), SX_EDATA);
}

/* ---- the figure `loss` ---- */

enum { N_RECORDS = 700, DROP = 400, BATCH = 512 };

typedef struct {
	double tokens[N_RECORDS], loss[N_RECORDS];
	unsigned char phase[N_RECORDS];
} made_run;

/* Loss 2 before the drop; after it the k-th record has spike / k on top. */
static sx_fig_run make_run(made_run *m, const char *label, sx_fig_kind kind, double spike)
{
	for (int i = 0; i < N_RECORDS; i++) {
		bool after = spike > 0 && i >= DROP;
		m->tokens[i] = (i + 1.0) * BATCH;
		m->loss[i] = 2 + (after ? spike / (i - DROP + 1) : 0.5 * exp(-i / 50.0));
		m->phase[i] = after;
	}
	return (sx_fig_run){.label = label,
			    .kind = kind,
			    .n = N_RECORDS,
			    .tokens_seen = m->tokens,
			    .loss = m->loss,
			    .phase = m->phase,
			    .drop = spike > 0 ? m->tokens[DROP] : (double)NAN};
}

static void test_loss(void **state)
{
	(void)state;
	made_run m[2];
	sx_fig_run runs[2] = {make_run(&m[0], "RoPE", SX_FIG_ROPE, 0),
			      make_run(&m[1], "DroPE", SX_FIG_DROPE, 9)};
	sx_fig *f;
	assert_int_equal(sx_fig_loss(&f, NULL, sx_fig_style_find("icml"), runs, 2), SX_OK);
	assert_int_equal(f->n_panel, 2);
	const sx_fig_mark *drop = find_mark(f, 0, MARK_VLINE, 0);
	assert_non_null(drop);
	check_close(drop->x[0], (DROP + 1) * BATCH, 0);
	assert_string_equal(drop->label, "drop");
	assert_null(find_mark(f, 0, MARK_VLINE, 1));

	/* The peak of 11 is cut, said, and untouched by the smoothing. */
	assert_true(f->panel[0].y.hi < 11 && f->panel[0].y.hi > 2.5);
	assert_string_equal(find_mark(f, 0, MARK_NOTE, 0)->label, "\u2191 11.0");
	check_close(find_mark(f, 0, MARK_LINE, 1)->y[DROP], 11, 0);
	/* Before the drop nothing of the spike leaks into the mean. */
	check_close(find_mark(f, 0, MARK_LINE, 1)->y[DROP - 1], 2, 0.001);

	/* From one batch after the drop, the other run for comparison. */
	const sx_fig_mark *own = find_mark(f, 1, MARK_LINE, 1),
			  *other = find_mark(f, 1, MARK_LINE, 0);
	assert_int_equal(own->n, N_RECORDS - DROP);
	check_close(own->x[0], BATCH, 0);
	check_close(own->x[9], 10 * BATCH, 0);
	assert_int_equal(other->n, N_RECORDS - DROP);
	check_close(other->x[0], BATCH, 0);
	assert_true(isnan(f->panel[1].y.hi)); /* all of it */
	assert_non_null(strstr(sx_fig_alt(f), "running mean of 11 records"));
	assert_int_equal(sx_fig_save_data(f, NULL, in_dir("l.csv")), SX_OK);
	char *csv = slurp(in_dir("l.csv"), NULL);
	assert_non_null(strstr(csv, "a,vline,\"drop\",205312,,,\n"));
	assert_non_null(strstr(csv, "b,raw,\"DroPE\",512,11,,\n"));
	free(csv);
	sx_fig_free(f);

	assert_int_equal(sx_fig_loss(&f, NULL, sx_fig_style_find("icml"), runs, 1), SX_OK);
	assert_int_equal(f->n_panel, 1); /* no drop, no second panel */
	assert_null(find_mark(f, 0, MARK_VLINE, 0));
	assert_int_equal(sx_fig_save(f, NULL, in_dir("one.pdf")), SX_OK);
	sx_fig_free(f);
}

/* Seeds share a series; a second setting of a kind must not look like the first. */
static void test_loss_looks(void **state)
{
	(void)state;
	made_run m;
	sx_fig_run runs[3] = {make_run(&m, "DroPE", SX_FIG_DROPE, 5),
			      make_run(&m, "DroPE", SX_FIG_DROPE, 5),
			      make_run(&m, "DroPE, fresh Adam", SX_FIG_DROPE, 5)};
	sx_fig *f;
	assert_int_equal(sx_fig_loss(&f, NULL, sx_fig_style_find("neurips"), runs, 3), SX_OK);
	assert_int_equal(f->n_series, 2);
	check_close(f->series[0].look.rgb[1], 0x9E / 255.0, 0);
	assert_int_equal(f->series[0].look.dash, SX_FIG_DASHDOT);
	assert_true(fabs(f->series[1].look.rgb[0] - f->series[0].look.rgb[0]) > 0.2);
	sx_fig_free(f);
}

/* The running mean of a straight line is that line where the window is whole; a gap stays one. */
static void test_loss_smoothing(void **state)
{
	(void)state;
	made_run m;
	sx_fig_run run = make_run(&m, "a", SX_FIG_OTHER, 0);
	for (int i = 0; i < N_RECORDS; i++) m.loss[i] = 3 - 0.001 * i;
	m.loss[100] = (double)NAN;
	sx_fig *f;
	assert_int_equal(sx_fig_loss(&f, NULL, sx_fig_style_find("icml"), &run, 1), SX_OK);
	const double *y = find_mark(f, 0, MARK_LINE, 0)->y;
	check_near(y, m.loss, 95, 1e-12);
	assert_true(isnan(y[100]));
	assert_true(isfinite(y[99]));
	sx_fig_free(f);
}

/* ---- the verb ---- */

static void append_steps(FILE *out, int from, int to, const char *phase, double loss)
{
	for (int i = from; i <= to; i++)
		fprintf(out,
			"{\"event\":\"step\",\"step\":%d,\"phase\":\"%s\",\"loss\":%g,\"tokens_"
			"seen\":%d}\n",
			i, phase, loss + 1.0 / i, i * 64);
}

static void make_folder(const char *name, const char *drop_to, int drop)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	fprintf(out, "{\"event\":\"start\",\"method\":\"rope\",\"drop_to\":%s}\n", drop_to);
	if (drop == 0) append_steps(out, 1, 50, "pretrain", 2);
	if (drop > 0) append_steps(out, drop, 80, "recalibration", 3);
	fclose(out);
	write_run(name, text);
	free(text);
}

static void test_verb(void **state)
{
	(void)state;
	kept_log k;
	sx_ctx ctx = context(&k);
	make_folder("base", "null", 0);
	make_folder("branch", "\"nope\"", 31);
	assert_int_equal(verb(&ctx, "loss %/base %/branch -o %/v.pdf --data %/v.csv"), SX_OK);
	char *text = slurp(in_dir("v.csv"), NULL);
	assert_non_null(strstr(text, "a,raw,\"RoPE\",64,3,,\n"));
	assert_non_null(strstr(text, "a,vline,\"drop\",1920,,,\n")); /* after 30 updates of 64 */
	assert_non_null(strstr(text, "b,raw,\"DroPE\",64,"));
	free(text);
	assert_true(sx_path_exists(in_dir("v.pdf")));

	assert_int_equal(
		verb(&ctx, "loss %/base -o %/v.svg %/branch --data=%/v.csv --label A,$B_1$"),
		SX_OK);
	text = slurp(in_dir("v.csv"), NULL);
	assert_non_null(strstr(text, "\"$B_1$\""));
	assert_null(strstr(text, "DroPE"));
	free(text);
	assert_int_equal(verb(&ctx, "loss %/base %/branch -o %/v.pdf --label A"), SX_EUSAGE);
	assert_int_equal(verb(&ctx, "loss %/base"), SX_EUSAGE);
	assert_int_equal(verb(&ctx, "loss % -o %/v.pdf"), SX_ENOINPUT);
	assert_int_equal(verb(&ctx, "lost %/base -o %/v.pdf"), SX_EUSAGE);
	assert_non_null(strstr(ctx.message, "lost"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runlog),     cmocka_unit_test(test_loss),
		cmocka_unit_test(test_loss_looks), cmocka_unit_test(test_loss_smoothing),
		cmocka_unit_test(test_verb),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/* Values without neighbours, and those that cannot be shown at all: what is drawn of them and what the key
 * and the log say. */
#include "analysis/figure/figures.h"
#include "analysis/figure/internal.h"
#include "tests/support/figure_folder.h"
#include "tests/support/figure_marks.h"

static const double none = (double)NAN;

/* ---- a picture that can be looked at ---- */

static cairo_surface_t *picture(sx_fig *f, sx_ctx *ctx)
{
	assert_int_equal(sx_fig_save(f, ctx, in_dir("f.png")), SX_OK);
	cairo_surface_t *s = cairo_image_surface_create_from_png(in_dir("f.png"));
	assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
	return s;
}

/* The colour where the panel has (x, y). */
static void colour_at(int rgb[3], const sx_fig *f, cairo_surface_t *s, double x, double y)
{
	const sx_fig_panel_data *p = &f->panel[0];
	int column = (int)floor(sx_fig_device_x(p, x) * f->png_dpi / 72);
	int row = (int)floor(sx_fig_device_y(p, y) * f->png_dpi / 72);
	const unsigned char *data = cairo_image_surface_get_data(s);
	uint32_t pixel;
	assert_true(column >= 0 && column < cairo_image_surface_get_width(s) && row >= 0 &&
		    row < cairo_image_surface_get_height(s));
	memcpy(&pixel, data + row * cairo_image_surface_get_stride(s) + 4 * column, sizeof pixel);
	for (int k = 0; k < 3; k++) rgb[k] = (int)(pixel >> (16 - 8 * k) & 0xFF);
}

/* Is it the colour of the series, or a tint of it? */
static bool is_drawn(const sx_fig *f, cairo_surface_t *s, int series, double x, double y)
{
	int rgb[3];
	double off = 0, strength = 0;
	colour_at(rgb, f, s, x, y);
	for (int k = 0; k < 3; k++) {
		double want = 255 * f->series[series].look.rgb[k];
		off = fmax(off, 255 - want);
		strength = fmax(strength, 255.0 - rgb[k]);
	}
	return strength > 0.3 * off;
}

static sx_fig *lines(const sx_fig_columns *c)
{
	sx_fig *f = NULL;
	assert_int_equal(sx_fig_lines(&f, NULL, sx_fig_style_find("icml"), c), SX_OK);
	return f;
}

/* ---- lines ---- */

enum { ROWS = 7 };
static const double step[ROWS] = {0, 10, 20, 30, 40, 50, 60};

/* Two runs at alternating steps, a curve with a value of its own at either end, a column of nothing. */
static void test_alternating(void **state)
{
	(void)state;
	const double a[ROWS] = {3, none, 2.6, none, 2.3, none, 2.1};
	const double b[ROWS] = {none, 2.9, none, 2.5, none, 2.2, none};
	const double low[ROWS] = {none, 2.7, none, 2.3, none, 2, none};
	const double high[ROWS] = {none, 3.1, none, 2.7, none, 2.4, none};
	const double c[ROWS] = {1.5, none, 1, 1.1, 1.2, none, 1.6};
	const double empty[ROWS] = {none, none, none, none, none, none, none};
	const sx_fig_column column[] = {{"a", a, NULL, NULL},
					{"b", b, low, high},
					{"c", c, NULL, NULL},
					{"d", empty, NULL, NULL}};
	kept_log log;
	sx_ctx ctx = context(&log);
	sx_fig *f = lines(&(sx_fig_columns){.x_label = "step",
					    .y_label = "",
					    .n = ROWS,
					    .x = step,
					    .n_column = 4,
					    .column = column});
	cairo_surface_t *s = picture(f, &ctx);
	for (int i = 0; i < ROWS; i++) {
		assert_true(isnan(a[i]) || is_drawn(f, s, 0, step[i], a[i]));
		assert_true(isnan(b[i]) || is_drawn(f, s, 1, step[i], b[i]));
		if (isnan(b[i])) continue;
		assert_true(is_drawn(f, s, 1, step[i], b[i] + 0.15)); /* its interval */
		assert_true(is_drawn(f, s, 1, step[i], b[i] - 0.15));
		assert_false(is_drawn(f, s, 1, step[i] + 3, b[i])); /* and no line */
	}
	assert_true(is_drawn(f, s, 2, step[0], c[0]) && is_drawn(f, s, 2, step[6], c[6]));
	const sx_fig_series_data *key = f->series;
	assert_true(key[0].has_lone && !key[0].has_line);
	assert_true(key[1].has_lone && !key[1].has_line);
	assert_true(key[2].has_lone && key[2].has_line);
	assert_true(key[3].is_empty && sx_fig_in_key(f, 3) && !key[3].has_line);
	assert_string_equal(sx_fig_key_text(&key[3]), "d (no values)");
	assert_string_equal(sx_fig_key_text(&key[0]), "a");
	assert_int_equal(log.warnings, 0); /* what is missing is no reason to warn */
	assert_false(sx_fig_is_empty(f));
	cairo_surface_destroy(s);
	sx_fig_free(f);
}

/* Of one row everything is alone; an interval without a value has a sample of a line. */
static void test_single_row(void **state)
{
	(void)state;
	const double x = 5, y = 2, low = 1, high = 4;
	const sx_fig_column column[] = {{"a", &y, NULL, NULL}, {"b", NULL, &low, &high}};
	for (int map = 0; map < 2; map++) {
		sx_fig *f = lines(&(sx_fig_columns){.x_label = "x",
						    .y_label = "y",
						    .log_x = map == 1,
						    .log_y = map == 1,
						    .n = 1,
						    .x = &x,
						    .n_column = 2,
						    .column = column});
		cairo_surface_t *s = picture(f, NULL);
		assert_true(is_drawn(f, s, 0, x, y));
		assert_true(is_drawn(f, s, 1, x, 1.3));
		assert_true(is_drawn(f, s, 1, x, 3.7));
		assert_true(f->series[0].has_lone && !f->series[0].has_line);
		assert_true(f->series[1].has_line && sx_fig_in_key(f, 1));
		cairo_surface_destroy(s);
		sx_fig_free(f);
	}
}

/* On logarithmic axes what is 0 or less is a gap, too; what is infinite is one on every axis, and both are
 * told. */
static void test_gaps_that_are_told(void **state)
{
	(void)state;
	const double x[] = {1, 10, 100, 1000, 10000, 1e5};
	const double a[] = {0.5, 0, 0.2, -1, 0.1, (double)INFINITY};
	const double b[] = {0.5, 0.4, 1e200, 0.2, none, 0.3};
	const sx_fig_column column[] = {{"a", a, NULL, NULL}, {"b", b, NULL, NULL}};
	kept_log log;
	sx_ctx ctx = context(&log);
	sx_fig *f = lines(&(sx_fig_columns){.x_label = "x",
					    .y_label = "y",
					    .log_x = true,
					    .log_y = true,
					    .n = 6,
					    .x = x,
					    .n_column = 2,
					    .column = column});
	cairo_surface_t *s = picture(f, &ctx);
	for (int i = 0; i < 5; i += 2) assert_true(is_drawn(f, s, 0, x[i], a[i]));
	assert_true(is_drawn(f, s, 1, x[3], b[3]));
	assert_true(is_drawn(f, s, 1, x[5], b[5]));
	assert_true(is_drawn(f, s, 1, sqrt(10), sqrt(0.5 * 0.4)));
	assert_true(f->panel[0].y1 < 2 && f->panel[0].y0 > 0.01);
	assert_int_equal(log.warnings, 3);
	assert_non_null(strstr(log.text, "1 of the numbers of \"b\" are infinite"));
	cairo_surface_destroy(s);
	sx_fig_free(f);
}

/* Without gaps nothing is alone, and a marker of the series' own is enough. */
static void test_no_gaps(void **state)
{
	(void)state;
	const double y[ROWS] = {1, 2, 3, 2, 1, 2, 3};
	const sx_fig_look look = {.rgb = {0, 0, 1}};
	sx_fig *f = NULL;
	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find("icml"), 1, 1), SX_OK);
	const sx_fig_axis axis = {.label = "", .lo = none, .hi = none};
	int panel = sx_fig_panel(f, 0, 0, "", axis, axis);
	sx_fig_line(f, panel, sx_fig_series(f, "whole", look), step, y, ROWS);
	int marked = sx_fig_series(f, "marked", look);
	sx_fig_line(f, panel, marked, step + 3, y + 3, 1);
	sx_fig_points(f, panel, marked, step + 3, y + 3, 1);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("f.svg")), SX_OK);
	assert_true(f->series[0].has_line && !f->series[0].has_lone);
	assert_true(f->series[1].has_points && !f->series[1].has_lone);
	sx_fig_piece at = {0};
	const sx_fig_mark *m = find_mark(f, 0, MARK_LINE, 0);
	assert_true(sx_fig_next_piece(&f->panel[0], m, &at) && at.to == ROWS && !at.lone);
	assert_false(sx_fig_next_piece(&f->panel[0], m, &at));
	sx_fig_free(f);
}

static void test_nothing(void **state)
{
	(void)state;
	const double x[] = {1, 2}, y[] = {none, (double)INFINITY};
	const sx_fig_column column = {"a", y, NULL, NULL};
	sx_fig *f = lines(&(sx_fig_columns){
		.x_label = "x", .y_label = "y", .n = 2, .x = x, .n_column = 1, .column = &column});
	assert_true(sx_fig_is_empty(f));
	assert_int_equal(sx_fig_save(f, NULL, in_dir("f.svg")), SX_OK);
	assert_true(f->panel[0].is_empty);
	sx_fig_free(f);
}

/* ---- the loss of a run with one record after its drop ---- */

static void test_one_record_after(void **state)
{
	(void)state;
	const double tokens[] = {100, 200, 300}, loss[] = {3, 2, 4};
	const unsigned char phase[] = {0, 0, 1};
	const sx_fig_run run = {.label = "DroPE",
				.kind = SX_FIG_DROPE,
				.n = 3,
				.tokens_seen = tokens,
				.loss = loss,
				.phase = phase,
				.drop = 200};
	sx_fig *f = NULL;
	assert_int_equal(sx_fig_loss(&f, NULL, sx_fig_style_find("icml"), &run, 1), SX_OK);
	const sx_fig_mark *m = find_mark(f, 1, MARK_LINE, 0);
	assert_non_null(m);
	assert_int_equal(m->n, 1);
	check_close(m->x[0], 100, 1e-12); /* a batch after the drop */
	check_close(m->y[0], 4, 1e-12);
	sx_fig_free(f);
}

/* ---- cells ---- */

/* What is undefined has a colour and an entry of the key; what is masked neither. */
static void test_undefined_cells(void **state)
{
	(void)state;
	double prob[] = {1, 0, 0, 0.5, 0.5, 0, none, 0.3, (double)INFINITY};
	const int32_t zero = 0;
	sx_fig_map_data d = {.label = "a",
			     .n_map = 1,
			     .n_query = 3,
			     .n_key = 3,
			     .layer = &zero,
			     .head = &zero,
			     .prob = prob};
	for (int whole = 0; whole < 2; whole++) {
		sx_fig *f = NULL;
		int cell[3], masked[3];
		if (whole) prob[6] = 0.3, prob[8] = 0.4;
		assert_int_equal(
			sx_fig_maps(&f, NULL, sx_fig_style_find("icml"), &d, SX_FIG_SCALE_LINEAR),
			SX_OK);
		check_close(f->colours.hi, 1, 1e-12);
		cairo_surface_t *s = picture(f, NULL);
		colour_at(cell, f, s, 0, 2);
		colour_at(masked, f, s, 2, 0);
		for (int k = 0; k < 3; k++) assert_int_equal(masked[k], 0xD4);
		assert_int_equal(sx_fig_key_count(f), whole ? 0 : 1);
		for (int k = 0; k < 3 && !whole; k++) assert_int_equal(cell[k], 0x80);
		assert_true(!whole || cell[0] != cell[1]);
		cairo_surface_destroy(s);
		sx_fig_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alternating),
		cmocka_unit_test(test_single_row),
		cmocka_unit_test(test_gaps_that_are_told),
		cmocka_unit_test(test_no_gaps),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_one_record_after),
		cmocka_unit_test(test_undefined_cells),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

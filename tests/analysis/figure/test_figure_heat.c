/* Heat maps, small multiples, and the figures from plain arrays. */
#include <sys/wait.h>

#include "analysis/figure/figures.h"
#include "analysis/figure/internal.h"
#include "tests/support/figure_folder.h"
#include "tests/support/figure_marks.h"

static const sx_fig_style *style(const char *name)
{
	return sx_fig_style_find(name);
}

/* ---- colours ---- */

static void check_colour(sx_fig_table table, double at, unsigned rgb, int within)
{
	const sx_fig_colours c = {.table = table, .hi = 1, .gamma = 1};
	unsigned char got[3];
	sx_fig_colour_of(&c, at, got);
	for (int k = 0; k < 3; k++)
		assert_true(abs((int)got[k] - (int)(rgb >> (16 - 8 * k) & 0xFF)) <= within);
}

/* Against colours between our anchors: viridisLite's viridis(5) and cividis(5), which R prints. */
static void test_colours(void **state)
{
	(void)state;
	static const unsigned viridis[] = {0x440154, 0x3B528B, 0x21908C, 0x5DC863, 0xFDE725};
	static const unsigned cividis[] = {0x00204D, 0x414D6B, 0x7C7B78, 0xBCAF6F, 0xFFEA46};
	for (int i = 0; i < 5; i++) {
		check_colour(SX_FIG_VIRIDIS, i / 4.0, viridis[i], 4);
		check_colour(SX_FIG_CIVIDIS, i / 4.0, cividis[i], 4);
	}
	check_colour(SX_FIG_DIVERGING, 0, 0xF7F7F7, 0);
	check_colour(SX_FIG_DIVERGING, 1, 0xB2182B, 0);
	check_colour(SX_FIG_DIVERGING, -1, 0x2166AC, 0);
	check_colour(SX_FIG_DIVERGING, -7, 0x2166AC, 0);
	check_colour(SX_FIG_VIRIDIS, 7, 0xFDE725, 0);
	check_colour(SX_FIG_VIRIDIS, (double)NAN, 0xD4D4D4, 0);
}

/* In grey the sequential tables rise all the way, and no value looks like a missing one. */
static void test_colours_ordered(void **state)
{
	(void)state;
	for (int table = SX_FIG_VIRIDIS; table <= SX_FIG_DIVERGING; table++) {
		const sx_fig_colours c = {.table = (sx_fig_table)table, .hi = 1, .gamma = 1};
		double last = -1;
		for (int i = 0; i <= 400; i++) {
			unsigned char rgb[3], none[3], undefined[3];
			double v = table == SX_FIG_DIVERGING ? i / 200.0 - 1 : i / 400.0;
			sx_fig_colour_of(&c, v, rgb);
			sx_fig_colour_of(&c, (double)NAN, none);
			sx_fig_colour_of(&c, (double)INFINITY, undefined);
			double far = 0, from_undefined = 0;
			for (int k = 0; k < 3; k++) {
				far += abs(rgb[k] - none[k]);
				from_undefined += abs(rgb[k] - undefined[k]);
			}
			assert_true(far > 30 && from_undefined > 30);
			double grey = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
			if (table != SX_FIG_DIVERGING) assert_true(grey >= last - 0.5);
			last = grey;
		}
	}
	const sx_fig_colours log = {.map = SX_FIG_LOG10, .lo = 1e-4, .hi = 1, .gamma = 1};
	check_close(sx_fig_colour_unit(&log, 1e-2), 0.5, 1e-12);
	check_close(sx_fig_colour_unit(&log, 0), 0, 0);
	const sx_fig_colours root = {.lo = 0, .hi = 4, .gamma = 0.5};
	check_close(sx_fig_colour_unit(&root, 1), 0.5, 1e-12);
}

/* ---- heat maps ---- */

static sx_fig *heat(bool down, const double *z, int rows, int cols)
{
	sx_fig *f;
	assert_int_equal(sx_fig_new(&f, NULL, style("icml"), 1, 1), SX_OK);
	sx_fig_share(f, 0.5);
	sx_fig_colour_scale(f, (sx_fig_colours){.label = "z", .hi = 1, .gamma = 1});
	sx_fig_axis x = {.label = "c", .lo = -0.5, .hi = cols - 0.5, .integer = true};
	sx_fig_axis y = {.label = "r", .lo = -0.5, .hi = rows - 0.5, .integer = true, .down = down};
	sx_fig_heat(f, sx_fig_panel(f, 0, 0, "", x, y), z, rows, cols);
	sx_fig_about(f, "Heat", "A heat map");
	return f;
}

/* The pixel at the middle of every cell has the colour of its value. */
static void test_heat_cells(void **state)
{
	(void)state;
	const double z[] = {0, 0.25, (double)NAN, 1, 0.5, 0.75};
	for (int down = 0; down < 2; down++) {
		sx_fig *f = heat(down, z, 2, 3);
		assert_int_equal(sx_fig_save(f, NULL, in_dir("h.png")), SX_OK);
		cairo_surface_t *s = cairo_image_surface_create_from_png(in_dir("h.png"));
		const unsigned char *pixels = cairo_image_surface_get_data(s);
		int stride = cairo_image_surface_get_stride(s);
		for (int i = 0; i < 6; i++) {
			unsigned char want[3];
			double scale = 300.0 / 72;
			int x = (int)(scale * sx_fig_device_x(&f->panel[0], i % 3));
			int y = (int)(scale * sx_fig_device_y(&f->panel[0], i / 3));
			const unsigned char *got = pixels + y * stride + 4 * x;
			sx_fig_colour_of(&f->colours, z[i], want);
			for (int k = 0; k < 3; k++) assert_int_equal(got[2 - k], want[k]);
		}
		double above = sx_fig_device_y(&f->panel[0], 0),
		       below = sx_fig_device_y(&f->panel[0], 1);
		assert_true(down ? above < below : above > below);
		cairo_surface_destroy(s);
		sx_fig_free(f);
	}
}

/* A single weight in a map far finer than paper can be seen. */
static void test_heat_fine(void **state)
{
	(void)state;
	enum { N = 2400 };
	double *z = sx_calloc((size_t)N * N, sizeof *z);
	z[(size_t)(N / 2) * N + N / 2] = 1;
	sx_fig *f = heat(true, z, N, N);
	free(z);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("fine.png")), SX_OK);
	cairo_surface_t *s = cairo_image_surface_create_from_png(in_dir("fine.png"));
	const unsigned char *pixels = cairo_image_surface_get_data(s);
	int stride = cairo_image_surface_get_stride(s), yellow = 0;
	const sx_rect *b = &f->panel[0].box;
	double scale = 300.0 / 72;
	for (int y = (int)(scale * (b->y + 2)); y < (int)(scale * (b->y + b->h - 2)); y++)
		for (int x = (int)(scale * (b->x + 2)); x < (int)(scale * (b->x + b->w - 2)); x++)
			yellow += pixels[y * stride + 4 * x + 2] > 200;
	assert_true(yellow >= 1);
	cairo_surface_destroy(s);
	sx_fig_free(f);
}

static void test_heat_same_bytes(void **state)
{
	(void)state;
	static const char *const ending[] = {"pdf", "svg", "png"};
	const double z[] = {0, 0.25, (double)NAN, 1, 0.5, 0.75};
	for (int i = 0; i < 3; i++) {
		char name[16];
		size_t size[2];
		char *bytes[2];
		for (int k = 0; k < 2; k++) {
			sx_fig *f = heat(true, z, 2, 3);
			snprintf(name, sizeof name, "%d.%s", k, ending[i]);
			assert_int_equal(sx_fig_save(f, NULL, in_dir(name)), SX_OK);
			sx_fig_free(f);
			bytes[k] = slurp(in_dir(name), &size[k]);
		}
		assert_int_equal(size[0], size[1]);
		assert_memory_equal(bytes[0], bytes[1], size[0]);
		free(bytes[0]);
		free(bytes[1]);
	}
}

static void test_heat_data(void **state)
{
	(void)state;
	const double z[] = {0, 0.25, (double)NAN, 1, 0.5, 0.75};
	sx_fig *f = heat(true, z, 2, 3);
	assert_int_equal(sx_fig_save_data(f, NULL, in_dir("h.csv")), SX_OK);
	char *csv = slurp(in_dir("h.csv"), NULL);
	assert_non_null(strstr(csv, "panel,mark,series,x,y,low,high,value\n"));
	assert_non_null(strstr(csv, "\"\",heat,\"\",1,0,,,0.25\n"));
	assert_non_null(strstr(csv, "\"\",heat,\"\",2,1,,,0.75\n"));
	assert_null(strstr(csv, ",2,0,")); /* no value */
	free(csv);
	sx_fig_free(f);
}

/* One row of many small panels is lower than its labels are long: the page grows. */
static void test_low_panels(void **state)
{
	(void)state;
	sx_text t;
	const double z[] = {0, 1};
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	sx_fig *f = heat(true, z, 1, 2);
	f->aspect = 0.05;
	free(f->bar_label);
	f->bar_label = sx_strdup("A label that is longer than the panel is high, by far");
	assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
	assert_true(f->height >= sx_text_width(&t, f->bar_label, f->style->font_pt));
	assert_true(f->panel[0].box.h < 20);
	sx_fig_free(f);
	sx_text_free(&t);
}

/* ---- SVG: names of one figure do not occur in another ---- */

static void test_svg_names(void **state)
{
	(void)state;
	const double z[] = {0, 0.25, 1, 0.5}, other[] = {0, 0.25, 1, 0.6};
	char *svg[2];
	for (int k = 0; k < 2; k++) {
		sx_fig *f = heat(true, k ? other : z, 2, 2);
		assert_int_equal(sx_fig_save(f, NULL, in_dir("n.svg")), SX_OK);
		svg[k] = slurp(in_dir("n.svg"), NULL);
		sx_fig_free(f);
	}
	int names = 0;
	for (const char *s = svg[0]; (s = strstr(s, " id=\"")); names++) {
		char name[64] = "";
		assert_int_equal(sscanf(s, " id=\"%60[^\"]", name), 1);
		assert_null(strstr(svg[1], name));
		s += 5;
	}
	assert_true(names > 5);
	/* What is referred to is there. */
	for (const char *s = svg[0]; (s = strstr(s, "xlink:href=\"#"));) {
		char name[64] = "", want[80];
		assert_int_equal(sscanf(s, "xlink:href=\"#%60[^\"]", name), 1);
		snprintf(want, sizeof want, " id=\"%s\"", name);
		assert_non_null(strstr(svg[0], want));
		s += 10;
	}
	free(svg[0]);
	free(svg[1]);
}

/* ---- small multiples ---- */

static bool apart(sx_rect a, sx_rect b)
{
	return a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
}

static void test_shared(void **state)
{
	(void)state;
	sx_text t;
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	for (const sx_fig_style *s = sx_fig_styles; s->name; s++) {
		sx_fig *f;
		double x[] = {0, 5000};
		assert_int_equal(sx_fig_new(&f, NULL, s, 2, 3), SX_OK);
		sx_fig_share(f, 0.8);
		sx_fig_axis plain = {"v", SX_FIG_LINEAR, (double)NAN, (double)NAN, false, false};
		for (int i = 0; i < 5; i++) { /* the last place stays empty */
			double y[] = {i, 10.0 * i};
			sx_fig_line(f, sx_fig_panel(f, i / 3, i % 3, "title", plain, plain), -1, x,
				    y, 2);
		}
		assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
		for (int i = 0; i < 5; i++) {
			const sx_fig_panel_data *p = &f->panel[i];
			check_close(p->y1, f->panel[0].y1, 0);
			assert_true(p->y1 >= 40);
			check_close(p->box.w, f->panel[0].box.w, 1e-9);
			check_close(p->box.h, 0.8 * p->box.w, 1e-9);
			assert_true(p->box.x + p->box.w <= f->width);
			assert_true(p->box.y + p->box.h < f->height);
			assert_int_equal(p->y_texts, i % 3 == 0);
			assert_int_equal(p->x_texts, i >= 2); /* below 2 there is nothing */
			for (int k = 0; k < i; k++) assert_true(apart(p->box, f->panel[k].box));
			/* The last number of one panel and the first of the next. */
			if (i == 4) {
				const sx_fig_panel_data *q = &f->panel[3];
				int n = q->x_ticks.n;
				double end =
					sx_fig_device_x(q, q->x_ticks.at[n - 1]) +
					sx_text_width(&t, q->x_ticks.text[n - 1], s->small_pt) / 2;
				double from =
					sx_fig_device_x(p, p->x_ticks.at[0]) -
					sx_text_width(&t, p->x_ticks.text[0], s->small_pt) / 2;
				assert_true(from > end);
			}
		}
		sx_fig_free(f);
	}
	sx_text_free(&t);
}

/* ---- A_c ---- */

enum { SEQ = 3, LAYERS = 2, HEADS = 2, CS = 2 };
static const char *const families[] = {"diagonal", "previous"};
static const unsigned char use[SEQ] = {1, 0, 1};

/* Value = step + 1000 layer + 100 head + 10 c, the sequences that count 1 below and above it. */
static sx_fig_ac_data ac_data(const char *label, sx_fig_kind kind, int64_t n, const int64_t *step,
			      const unsigned char *phase, double *value)
{
	double *v = value;
	for (int64_t i = 0; i < n; i++)
		for (int s = 0; s < SEQ; s++)
			for (int l = 0; l < LAYERS; l++)
				for (int h = 0; h < HEADS; h++)
					for (int c = 0; c < CS; c++)
						*v++ = use[s] ? (double)step[i] + 1000 * l +
									100 * h + 10 * c + s - 1 +
									0.25 * phase[i]
							      : 1e6;
	return (sx_fig_ac_data){.at = {.label = label,
				       .kind = kind,
				       .n_step = n,
				       .n_seq = SEQ,
				       .n_layer = LAYERS,
				       .n_head = HEADS,
				       .step = step,
				       .phase = phase,
				       .use = use},
				.n_c = CS,
				.family = families,
				.value = value,
				.trunk = -1};
}

static void test_ac(void **state)
{
	(void)state;
	static const int64_t before[] = {0, 2, 4, 6}, after[] = {3, 3, 5};
	static const unsigned char none[4] = {0}, phases[] = {0, 1, 1};
	double v[4 * SEQ * LAYERS * HEADS * CS], w[3 * SEQ * LAYERS * HEADS * CS];
	sx_fig_ac_data runs[2] = {ac_data("RoPE", SX_FIG_ROPE, 4, before, none, v),
				  ac_data("DroPE", SX_FIG_DROPE, 3, after, phases, w)};
	runs[1].trunk = 0;
	sx_fig *f;
	assert_int_equal(sx_fig_ac(&f, NULL, style("icml"), runs, 2), SX_OK);
	assert_int_equal(f->n_panel, LAYERS); /* the trunk is part of its branch */
	check_close(find_mark(f, 1, MARK_VLINE, 0)->x[0], 3, 0);
	/* Layer 1, head 1, previous: the trunk's 0 and 2, then 3 before the drop; 3 and 5 after. */
	const double x[] = {0, 2, 3}, y[] = {1110, 1112, 1113}, y2[] = {1113.25, 1115.25};
	const sx_fig_mark *m = find_mark(f, 1, MARK_LINE, 6), *m2 = find_mark(f, 1, MARK_LINE, 7);
	assert_int_equal(m->n, 3);
	assert_int_equal(m2->n, 2);
	check_near(m->x, x, 3, 0);
	check_near(m->y, y, 3, 1e-12);
	check_near(m2->y, y2, 2, 1e-12);
	/* Both records of the drop. */
	const sx_fig_mark *p = find_mark(f, 1, MARK_POINTS, 3);
	assert_int_equal(p->n, 2);
	check_close(p->x[0], p->x[1], 0);
	check_close(p->y[1] - p->y[0], 0.25, 1e-12);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("ac.svg")), SX_OK);
	assert_non_null(strstr(sx_fig_alt(f), "begins at update 3"));
	sx_fig_free(f);

	assert_int_equal(sx_fig_ac(&f, NULL, style("neurips"), runs, 1), SX_OK);
	assert_null(find_mark(f, 0, MARK_VLINE, 0)); /* alone it has no drop */
	sx_fig_free(f);
	runs[0].at.n_step = 1;
	assert_int_equal(sx_fig_ac(&f, NULL, style("icml"), runs, 1), SX_EDATA);
}

/* Means over heads and sequences; seeds make a band. */
static void test_ac_grad(void **state)
{
	(void)state;
	static const int64_t steps[] = {0, 20};
	static const unsigned char none[1] = {0};
	double v[3][SEQ * LAYERS * HEADS * CS];
	sx_fig_ac_data in[3] = {ac_data("RoPE", SX_FIG_ROPE, 1, steps, none, v[0]),
				ac_data("RoPE", SX_FIG_ROPE, 1, steps + 1, none, v[1]),
				ac_data("NoPE", SX_FIG_NOPE, 1, steps, none, v[2])};
	sx_fig *f;
	assert_int_equal(sx_fig_ac_grad(&f, NULL, style("icml"), in, 3), SX_OK);
	assert_int_equal(f->n_panel, 2 * CS); /* the ratio of RoPE to NoPE below */
	assert_int_equal(f->n_series, 3);
	const sx_fig_mark *m = find_mark(f, 1, MARK_LINE, 0), *b = find_mark(f, 1, MARK_BAND, 0);
	check_close(m->y[1], 1000 + 50 + 10 + 10, 1e-9); /* steps 0 and 20: 10 on average */
	check_close(b->y[1], 1060, 1e-9);
	check_close(b->high[1], 1080, 1e-9);
	assert_null(find_mark(f, 1, MARK_BAND, 1)); /* one seed: none */
	sx_fig_free(f);
	in[2].at.n_layer = 1;
	assert_int_equal(sx_fig_ac_grad(&f, NULL, style("icml"), in, 3), SX_EDATA);
}

/* ---- maps, offsets, frequencies ---- */

static void test_maps(void **state)
{
	(void)state;
	enum { T = 4 };
	const int32_t layer[] = {0, 2}, head[] = {1, 0};
	double prob[2 * T * T];
	for (int i = 0; i < 2 * T * T; i++) prob[i] = i % T > i / T % T ? 0 : 1.0 / (1 + i / T % T);
	const sx_fig_map_data m = {.label = "a",
				   .step = 7,
				   .n_map = 2,
				   .n_query = T,
				   .n_key = T,
				   .window = 2,
				   .layer = layer,
				   .head = head,
				   .prob = prob};
	sx_fig *f;
	for (int scale = SX_FIG_SCALE_LINEAR; scale <= SX_FIG_SCALE_LOG; scale++) {
		assert_int_equal(sx_fig_maps(&f, NULL, style("icml"), &m, (sx_fig_map_scale)scale),
				 SX_OK);
		assert_int_equal(f->cols, 2); /* layers 0 and 2 across, heads 0 and 1 down */
		assert_int_equal(f->rows, 2);
		const double *z = find_mark(f, 0, MARK_HEAT, 0)->z;
		for (int i = 0; i < T * T; i++) {
			bool masked = i % T > i / T || i / T - i % T >= 2;
			assert_int_equal(isnan(z[i]), masked);
		}
		assert_int_equal(sx_fig_save(f, NULL, in_dir("m.pdf")), SX_OK);
		sx_fig_free(f);
	}
	/* Heads of a single layer go in lines; 20 layers of 20 heads do not fit. */
	static int32_t some[400], others[400];
	for (int i = 0; i < 400; i++) some[i] = i / 20, others[i] = i % 20;
	sx_fig_map_data many = m;
	double *none = sx_calloc(400 * T * T, sizeof *none);
	many.prob = none;
	many.layer = some;
	many.head = others;
	many.n_map = 8;
	assert_int_equal(sx_fig_maps(&f, NULL, style("icml"), &many, SX_FIG_SCALE_SQRT), SX_OK);
	assert_int_equal(f->rows * 10 + f->cols, 24);
	assert_int_equal(f->panel[7].row * 10 + f->panel[7].col, 13);
	sx_fig_free(f);
	many.n_map = 400;
	assert_int_equal(sx_fig_maps(&f, NULL, style("icml"), &many, SX_FIG_SCALE_SQRT), SX_EDATA);
	free(none);
}

static void test_offsets(void **state)
{
	(void)state;
	enum { BINS = 4 };
	const int64_t edge[] = {0, 1, 2, 6, 100}, step[] = {9, 9, 20};
	const unsigned char phase[] = {0, 1, 1}, all[] = {1};
	double profile[3 * BINS] = {0.5, 0.25,        0.01, (double)NAN, 0.2,  0.2,
				    0.2, (double)NAN, 0.4,  0.3,         0.05, (double)NAN};
	const sx_fig_offset_data d = {.at = {.label = "r",
					     .kind = SX_FIG_DROPE,
					     .n_step = 3,
					     .n_seq = 1,
					     .n_layer = 1,
					     .n_head = 1,
					     .step = step,
					     .phase = phase,
					     .use = all},
				      .n_bin = BINS,
				      .edge = edge,
				      .profile = profile};
	sx_fig *f;
	assert_int_equal(sx_fig_offsets(&f, NULL, style("icml"), &d), SX_OK);
	assert_int_equal(f->n_series, 3); /* before, right after, at the end */
	const sx_fig_mark *zero = find_mark(f, 0, MARK_POINTS, 0),
			  *line = find_mark(f, 0, MARK_LINE, 2);
	assert_int_equal(zero->n, 1);
	check_close(zero->y[0], 0.5, 0);
	assert_int_equal(line->n, 2); /* the bin no sequence reaches is not there */
	check_close(line->x[0], 1, 0);
	check_close(line->x[1], sqrt(2.0 * 5.0), 1e-12);
	check_close(line->y[1], 0.05, 0);
	sx_fig_free(f);
}

static void test_frequencies(void **state)
{
	(void)state;
	const int64_t step[] = {5};
	const unsigned char phase[] = {0}, uses[] = {1, 1};
	/* Two sequences, two layers of one head, three frequencies. */
	const double value[] = {1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, -20}, omega[] = {1, 0.1, 0.001};
	sx_fig_frequency_data d = {.at = {.label = "r",
					  .kind = SX_FIG_ROPE,
					  .n_step = 1,
					  .n_seq = 2,
					  .n_layer = 2,
					  .n_head = 1,
					  .step = step,
					  .phase = phase,
					  .use = uses},
				   .n_freq = 3,
				   .omega = omega,
				   .context = 100,
				   .quantity = "q",
				   .is_signed = true,
				   .value = value};
	sx_fig *f;
	assert_int_equal(sx_fig_frequencies(&f, NULL, style("icml"), &d, 1), SX_OK);
	const double mean[] = {2, 3, 4, 5, 6, -7};
	check_near(find_mark(f, 0, MARK_HEAT, 0)->z, mean, 6, 1e-12);
	check_close(f->colours.hi, 7, 1e-12);
	/* 0.1 * 100 > 2 pi > 0.001 * 100: between the second and the third. */
	check_close(find_mark(f, 0, MARK_VLINE, 0)->x[0], 1.5, 0);
	sx_fig_free(f);
	const double off[] = {0, 0, 0};
	d.omega = off; /* nothing turns: no period to compare */
	assert_int_equal(sx_fig_frequencies(&f, NULL, style("icml"), &d, 1), SX_OK);
	assert_null(find_mark(f, 0, MARK_VLINE, 0));
	sx_fig_free(f);
}

/* Perplexities, rates with their intervals, chance levels; seeds give a range. */
/* Every method of figure `gamma` has a look of its own, and none is yellow, which white paper
 * swallows; the first four are those of the papers' figures so far. */
static void test_gamma_looks(void **state)
{
	(void)state;
	static const double omega[] = {1, 0.1, 0.01}, gamma[] = {1, 0.7, 0.5};
	sx_fig_scaling s[SX_FIG_GAMMA_METHODS + 1];
	char name[SX_FIG_GAMMA_METHODS + 1][16];
	sx_fig *f = NULL;
	for (int i = 0; i <= SX_FIG_GAMMA_METHODS; i++) {
		snprintf(name[i], sizeof name[i], "m%d", i);
		s[i] = (sx_fig_scaling){name[i], i, 2, 3, omega, gamma};
	}
	assert_int_equal(sx_fig_gamma(&f, NULL, style("icml"), s, SX_FIG_GAMMA_METHODS, 6, 128),
			 SX_OK);
	assert_int_equal(f->n_series, SX_FIG_GAMMA_METHODS);
	for (int i = 0; i < SX_FIG_GAMMA_METHODS; i++) {
		const sx_fig_look *a = &f->series[i].look;
		assert_false(a->rgb[0] > 0.9 && a->rgb[1] > 0.85 && a->rgb[2] < 0.5);
		for (int k = 0; k < i; k++) {
			const sx_fig_look *b = &f->series[k].look;
			assert_true(a->dash != b->dash ||
				    memcmp(a->rgb, b->rgb, sizeof a->rgb) != 0);
		}
	}
	const sx_fig_look grey = {{0.5, 0.5, 0.5}, SX_FIG_DOTTED, SX_FIG_DIAMOND};
	for (int i = 0; i < 4; i++) {
		sx_fig_look want = i < 3 ? sx_fig_look_of(SX_FIG_OTHER, i) : grey;
		assert_memory_equal(f->series[i].look.rgb, want.rgb, sizeof want.rgb);
		assert_int_equal(f->series[i].look.dash, want.dash);
		assert_int_equal(f->series[i].look.marker, want.marker);
	}
	sx_fig_free(f);
	assert_int_equal(sx_fig_gamma(&f, NULL, style("icml"), s, SX_FIG_GAMMA_METHODS + 1, 6, 128),
			 SX_EUSAGE);
}

static void test_context(void **state)
{
	(void)state;
	const int64_t length[] = {128, 256};
	const double none = (double)NAN, nll[] = {0, 1}, seeds[] = {0, 0.5, 0, 1.5};
	const double rate[] = {0.5, none}, low[] = {0.25, none}, high[] = {0.75, none};
	const double chance[] = {0.3, 0.2}, blind[] = {0.0625};
	const char *const needle[] = {"multi-key"};
	const sx_fig_context_curve a = {.label = "a",
					.kind = SX_FIG_ROPE,
					.method = "",
					.c = none,
					.c_text = none,
					.n_length = 2,
					.n_seed = 2,
					.length = length,
					.nll = nll,
					.seed_nll = seeds,
					.rate = rate,
					.low = low,
					.high = high,
					.chance = chance,
					.blind = blind};
	sx_fig_context_curve b = a, both[2];
	b.method = "YaRN (shipped)", b.c = b.c_text = 0.4;
	both[0] = a, both[1] = b;
	const sx_fig_context_data d = {.loss = "Perplexity",
				       .n_kind = 1,
				       .needle = needle,
				       .trained = 128,
				       .n = 2,
				       .curve = both};
	sx_fig *f;
	assert_int_equal(sx_fig_context(&f, NULL, style("icml-full"), &d), SX_OK);
	assert_int_equal(f->n_panel, 2);
	assert_string_equal(f->series[0].label, "a");
	assert_string_equal(f->series[1].label, "a + YaRN (shipped), $c$ = 0.4");
	assert_true(f->series[0].look.marker != f->series[1].look.marker);
	check_close(find_mark(f, 0, MARK_LINE, 0)->y[1], exp(1), 1e-12);
	const sx_fig_mark *m = find_mark(f, 0, MARK_BAND, 0);
	check_close(m->y[1], exp(0.5), 1e-12);
	check_close(m->high[1], exp(1.5), 1e-12);
	assert_int_equal(find_mark(f, 1, MARK_LINE, 0)->n, 1);
	m = find_mark(f, 1, MARK_BAND, 0);
	check_close(m->y[0], 0.25, 0);
	check_close(m->high[0], 0.75, 0);
	check_close(find_mark(f, 1, MARK_VLINE, 0)->x[0], 128, 0);
	check_close(find_mark(f, 1, MARK_GUIDE, 0)->y[1], 0.2, 1e-15);
	check_close(find_mark(f, 1, MARK_GUIDE, 1)->y[1], 0.0625, 1e-15);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("c.pdf")), SX_OK);
	sx_fig_free(f);
}

/* What a program says; false if it is not installed. */
static bool says(char *out, size_t size, const char *program, const char *path)
{
	char command[700];
	snprintf(command, sizeof command, "%s '%s' 2>&1", program, path);
	FILE *p = popen(command, "r");
	size_t n = p ? fread(out, 1, size - 1, p) : 0;
	out[n] = '\0';
	return p && WEXITSTATUS(pclose(p)) == 0;
}

static void test_heat_pdf(void **state)
{
	(void)state;
	char text[8192];
	const double z[] = {0, 0.25, (double)NAN, 1};
	sx_fig *f = heat(true, z, 2, 2);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("p.pdf")), SX_OK);
	sx_fig_free(f);
	if (!says(text, sizeof text, "pdfinfo", in_dir("p.pdf"))) {
		print_message("skipped: pdfinfo is not installed\n");
		skip();
	}
	assert_non_null(strstr(text, "Page size:       234 x"));
	assert_non_null(strstr(text, "A heat map"));
	assert_true(says(text, sizeof text, "pdffonts", in_dir("p.pdf")));
	assert_null(strstr(text, "Type 3"));
	assert_null(strstr(text, " no "));
	assert_true(says(text, sizeof text, "grep -ac '/Interpolate false'", in_dir("p.pdf")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_colours_ordered),
		cmocka_unit_test(test_heat_cells),
		cmocka_unit_test(test_heat_fine),
		cmocka_unit_test(test_heat_same_bytes),
		cmocka_unit_test(test_heat_data),
		cmocka_unit_test(test_heat_pdf),
		cmocka_unit_test(test_svg_names),
		cmocka_unit_test(test_low_panels),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_ac),
		cmocka_unit_test(test_ac_grad),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_frequencies),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_gamma_looks),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/* The figure layer: ticks, text, files, the key. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analysis/figure/figures.h"
#include "analysis/figure/internal.h"
#include "tests/support/figure_folder.h"

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

/* ---- ticks ---- */

static const double Q[] = {1, 5, 2, 2.5, 4, 3};

/* The paper's score, written down once more: k labels from l0 to l1, the i-th nice number times j. */
static double value(int i, int j, double l0, double l1, double k, double lo, double hi, int m)
{
	double zero = l0 <= 1e-12 && l1 >= -1e-12, s = 1 - i / 5.0 - j + zero;
	double c = 1 - 0.5 * (pow(hi - l1, 2) + pow(lo - l0, 2)) / pow(0.1 * (hi - lo), 2);
	double r = (k - 1) / (l1 - l0), t = (m - 1) / (hi - lo);
	return 0.25 * s + 0.2 * c + 0.5 * (2 - fmax(r / t, t / r)) + 0.05;
}

/* The best there is: all nice steps, multiples, counts and positions, nothing cut off. */
static double best_by_force(double lo, double hi, int m)
{
	double best = -1e9;
	for (int j = 1; j <= 12; j++)
		for (int i = 0; i < 6; i++)
			for (int z = -12; z <= 12; z++) {
				double step = j * Q[i] * pow(10, z);
				if (step > hi - lo || (hi - lo) / step > 40) continue;
				double a = ceil(lo / step - 1e-10), last = floor(hi / step + 1e-10);
				for (; a < last; a++)
					for (double b = a + 1; b <= last; b++)
						best = fmax(best, value(i, j, a * step, b * step,
									b - a + 1, lo, hi, m));
			}
	return best;
}

/* The score of given ticks with the nice number and multiple that suit their step best. */
static double score_of(const double *at, int n, double lo, double hi, int m)
{
	double step = (at[n - 1] - at[0]) / (n - 1), best = -1e9;
	for (int j = 1; j <= 12; j++)
		for (int i = 0; i < 6; i++) {
			double z = log10(step / (j * Q[i]));
			if (fabs(z - nearbyint(z)) > 1e-9) continue;
			best = fmax(best, value(i, j, at[0], at[n - 1], n, lo, hi, m));
		}
	return best;
}

static void test_ticks_best(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 120; i++) {
		double lo = 20 * sx_normal(5, SX_STREAM_TEST, 3 * i);
		double hi = lo + exp(3 * sx_normal(5, SX_STREAM_TEST, 3 * i + 1));
		int m = 3 + (int)(i % 6);
		double at[SX_TICKS_MAX];
		int n = sx_ticks_extended(at, lo, hi, m, false);
		assert_true(n >= 2);
		for (int k = 0; k < n; k++) assert_true(at[k] >= lo - 1e-9 && at[k] <= hi + 1e-9);
		for (int k = 2; k < n; k++)
			check_close(at[k] - at[k - 1], at[1] - at[0], 1e-9 * (hi - lo));
		check_close(score_of(at, n, lo, hi, m), best_by_force(lo, hi, m), 1e-9);
	}
}

static void test_ticks_text(void **state)
{
	(void)state;
	sx_ticks t;
	/* The example of R's labeling::extended(8, 14, 4). */
	sx_ticks_make(&t, SX_FIG_LINEAR, 8, 14, 4, false);
	assert_int_equal(t.n, 4);
	assert_string_equal(t.text[0], "8");
	assert_string_equal(t.text[3], "14");
	sx_ticks_make(&t, SX_FIG_LINEAR, -1, 1, 5, false);
	assert_string_equal(t.text[0], "\xE2\x88\x92"
				       "1.0"); /* U+2212 */
	assert_string_equal(t.text[2], "0.0");
	sx_ticks_make(&t, SX_FIG_LINEAR, 0, 8.1e6, 5, false);
	assert_int_equal(t.exponent, 6);
	assert_string_equal(t.text[t.n - 1], "8");
	sx_ticks_make(&t, SX_FIG_LINEAR, 0, 5, 12, true);
	assert_int_equal(t.n, 6); /* no halves of layers */
	sx_ticks_make(&t, SX_FIG_LINEAR, 2.5, 3.2, 5, true);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.text[0], "3");
}

static void test_ticks_log(void **state)
{
	(void)state;
	sx_ticks t;
	sx_ticks_make(&t, SX_FIG_LOG10, 0.02, 2000, 6, false);
	assert_int_equal(t.n, 5);
	assert_string_equal(t.text[0], "10<sup>\xE2\x88\x92"
				       "1</sup>");
	assert_string_equal(t.text[4], "10<sup>3</sup>");
	assert_int_equal(t.n_minor, 8 + 4 * 8 + 1); /* .02-.09, 2-9 of four decades, 2000 */
	sx_ticks_make(&t, SX_FIG_LOG10, 1e-20, 1e20, 6, false);
	assert_true(t.n >= 4 && t.n <= 7);
	sx_ticks_make(&t, SX_FIG_LOG10, 4, 60, 5, false);
	assert_int_equal(t.n, 4);
	assert_string_equal(t.text[0], "5");
	assert_string_equal(t.text[3], "50");
	sx_ticks_make(&t, SX_FIG_LOG10, 3.1, 4.2, 5, false); /* as on a linear axis */
	assert_true(t.n >= 3);
	assert_true(t.at[0] >= 3.1);
	check_close(sx_scale_unit(SX_FIG_LOG10, 1, 100, 10), 0.5, 1e-15);
	assert_true(isnan(sx_scale_unit(SX_FIG_LOG10, 1, 100, 0)));
	assert_true(isnan(sx_scale_unit(SX_FIG_LOG10, 1, 100, -5)));
}

/* ---- text ---- */

static void test_markup(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"a_b & <c>", "a_b &amp; &lt;c&gt;"},
		{"$A^{c}_{\\ell,h}$", "<i>A</i><sup><i>c</i></sup><sub>ℓ,<i>h</i></sub>"},
		{"$10^{-3}$", "10<sup>\u22123</sup>"},
		{"$\\theta \\leq 1$", "<i>θ</i>≤1"},
		{"$W_\\mathrm{Q}$ x", "<i>W</i><sub>Q</sub> x"},
		{"costs $5", "costs $5"},
		{"\\$5 and \\$6", "$5 and $6"},
		{"$\\unknown{x}$", "unknown<i>x</i>"},
		{"$}{$", "}"},
		{"$x^$", "<i>x</i><sup></sup>"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *m = sx_text_markup(cases[i][0]);
		assert_string_equal(m, cases[i][1]);
		free(m);
	}
}

/* Whatever a user writes, Pango gets markup that it accepts. */
static void test_markup_any(void **state)
{
	(void)state;
	static const char alphabet[] = "$\\{}^_ab -<&\xC3\xA9\xFF\x01'";
	for (uint64_t i = 0; i < 3000; i++) {
		char label[24];
		sx_rng r = {.seed = i, .stream = SX_STREAM_TEST};
		size_t n = sx_rng_below(&r, sizeof label - 1);
		for (size_t k = 0; k < n; k++)
			label[k] = alphabet[sx_rng_below(&r, sizeof alphabet - 1)];
		label[n] = '\0';
		char *m = sx_text_markup(label);
		if (!pango_parse_markup(m, -1, 0, NULL, NULL, NULL, NULL))
			fail_msg("label %s gives markup %s", label, m);
		free(m);
	}
}

/* ---- files ---- */

static const sx_fig_axis plain_x = {"x", SX_FIG_LINEAR, (double)NAN, (double)NAN, false, false};
static const sx_fig_axis plain_y = {"y", SX_FIG_LINEAR, (double)NAN, (double)NAN, false, false};

/* Some series of n points in one panel, `apart` from each other. */
static sx_fig *several(const char *style, int64_t n, int n_series, double apart)
{
	sx_fig *f;
	double *x = sx_calloc((size_t)n, sizeof *x), *y = sx_calloc((size_t)n, sizeof *y);
	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find(style), 1, 1), SX_OK);
	int panel = sx_fig_panel(f, 0, 0, "", plain_x, plain_y);
	static const char *const names[] = {"RoPE", "NoPE", "DroPE"};
	for (int s = 0; s < n_series; s++) {
		int series = sx_fig_series(f, names[s], sx_fig_look_of((sx_fig_kind)s, 0));
		for (int64_t i = 0; i < n; i++) {
			x[i] = (double)i;
			y[i] = sin(40.0 * (double)i / (double)n) + 0.3 * (double)(i % 7) +
			       apart * s;
		}
		sx_fig_line(f, panel, series, x, y, n);
	}
	sx_fig_about(f, "A title", "What <is> seen & \"said\"");
	free(x);
	free(y);
	return f;
}

static void test_pdf(void **state)
{
	(void)state;
	char text[8192];
	for (const sx_fig_style *s = sx_fig_styles; s->name; s++) {
		kept_log k;
		sx_ctx ctx = context(&k);
		sx_fig *f = several(s->name, 200, 2, 3);
		char *path = in_dir("a.pdf");
		assert_int_equal(sx_fig_save(f, &ctx, path), SX_OK);
		sx_fig_free(f);
		if (!says(text, sizeof text, "pdfinfo", path)) {
			print_message("skipped: pdfinfo is not installed\n");
			skip();
		}
		double w = 0;
		const char *size = strstr(text, "Page size:");
		assert_non_null(size);
		assert_int_equal(sscanf(size, "Page size: %lf", &w), 1);
		check_close(w, 72 * s->width_in, 0.01);
		assert_non_null(strstr(text, "Title:           A title"));
		assert_non_null(strstr(text, "What <is> seen"));
		assert_null(strstr(text, "CreationDate"));
		assert_true(says(text, sizeof text, "pdffonts", path));
		assert_null(strstr(text, "Type 3"));
		assert_null(strstr(text, " no ")); /* embedded, subset, with Unicode */
		assert_non_null(strstr(text, k.warnings ? "+" : "TeXGyreHeros"));
	}
}

static void test_same_bytes(void **state)
{
	(void)state;
	static const char *const ending[] = {"pdf", "svg", "png"};
	for (int i = 0; i < 3; i++) {
		char name[16];
		size_t size[2];
		char *bytes[2];
		for (int k = 0; k < 2; k++) {
			sx_fig *f = several("icml", 5000, 2, 0);
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

static void test_source_date(void **state)
{
	(void)state;
	sx_fig *f = several("icml", 10, 2, 1);
	setenv("SOURCE_DATE_EPOCH", "86400", 1);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("date.pdf")), SX_OK);
	unsetenv("SOURCE_DATE_EPOCH");
	char text[8192];
	if (says(text, sizeof text, "TZ=UTC pdfinfo", in_dir("date.pdf")))
		assert_non_null(strstr(text, "Fri Jan  2 00:00:00 1970"));
	sx_fig_free(f);
}

static void test_svg_description(void **state)
{
	(void)state;
	sx_fig *f = several("icml", 10, 2, 1);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("d.svg")), SX_OK);
	char *svg = slurp(in_dir("d.svg"), NULL);
	assert_non_null(strstr(svg, "<title>A title</title>"));
	assert_non_null(strstr(svg, "<desc>What &lt;is&gt; seen &amp; &quot;said&quot;</desc>"));
	assert_non_null(strstr(svg, "width=\"234pt\""));
	free(svg);
	sx_fig_free(f);
}

static void test_refusals(void **state)
{
	(void)state;
	kept_log k;
	sx_ctx ctx = context(&k);
	sx_fig *f = several("icml", 10, 2, 1);
	assert_int_equal(sx_fig_save(f, &ctx, in_dir("a.jpg")), SX_EUSAGE);
	assert_non_null(strstr(ctx.message, ".pdf, .svg or .png"));
	assert_int_equal(sx_fig_save(f, &ctx, in_dir("absent/a.pdf")), SX_ECREATE);
	assert_int_equal(mkdir(in_dir("taken.pdf"), 0700), 0);
	assert_true(sx_fig_save(f, &ctx, in_dir("taken.pdf")) != SX_OK);
	assert_false(sx_path_exists(in_dir("taken.pdf.tmp")));
	sx_fig_free(f);
	sx_fig_free(NULL);
}

/* A million points must neither make the file large nor lose an extreme value. */
static void test_thinning(void **state)
{
	(void)state;
	enum { N = 1000000 };
	double *x = sx_calloc(N, sizeof *x), *y = sx_calloc(N, sizeof *y);
	for (int i = 0; i < N; i++) {
		x[i] = i;
		y[i] = sx_uniform(3, SX_STREAM_TEST, (uint64_t)i);
	}
	y[N / 2] = 40; /* a single record, to be seen in the picture */
	sx_fig *f;
	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find("icml"), 1, 1), SX_OK);
	sx_fig_line(f, sx_fig_panel(f, 0, 0, "", plain_x, plain_y),
		    sx_fig_series(f, "", sx_fig_look_of(SX_FIG_OTHER, 2)), x, y, N);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("big.pdf")), SX_OK);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("big.png")), SX_OK);
	const sx_rect box = f->panel[0].box;
	size_t n;
	free(slurp(in_dir("big.pdf"), &n));
	assert_true(n < 100000);

	/* The black spike stands alone halfway up the box. */
	cairo_surface_t *s = cairo_image_surface_create_from_png(in_dir("big.png"));
	const unsigned char *pixels = cairo_image_surface_get_data(s);
	int stride = cairo_image_surface_get_stride(s), dark = 0;
	double scale = 300.0 / 72;
	int row = (int)((box.y + box.h / 2) * scale);
	for (int c = (int)((box.x + 2) * scale); c < (int)((box.x + box.w) * scale); c++)
		dark += pixels[row * stride + 4 * c] < 128;
	assert_true(dark >= 1 && dark <= 12);
	cairo_surface_destroy(s);
	sx_fig_png_dpi(f, 100);
	assert_int_equal(sx_fig_save(f, NULL, in_dir("big.png")), SX_OK);
	s = cairo_image_surface_create_from_png(in_dir("big.png"));
	assert_int_equal(cairo_image_surface_get_width(s), 325);
	cairo_surface_destroy(s);
	sx_fig_free(f);
	free(x);
	free(y);
}

/* Values beyond what Cairo can count, gaps and infinities: a picture all the same. */
static void test_wild_values(void **state)
{
	(void)state;
	kept_log k;
	sx_ctx ctx = context(&k);
	const double x[] = {1, 2, 3, 4, 5, 6, 7, 0, -3};
	const double y[] = {1, (double)NAN, 1e300, -1e300, 2, (double)INFINITY, 3, 1, 1};
	const double one[] = {4};
	sx_fig *f;
	assert_int_equal(sx_fig_new(&f, &ctx, sx_fig_style_find("icml"), 1, 3), SX_OK);
	sx_fig_axis log_x = plain_x, cut_y = plain_y;
	log_x.map = SX_FIG_LOG10;
	cut_y.lo = 0, cut_y.hi = 5;
	int series = sx_fig_series(f, "wild \xFF", sx_fig_look_of(SX_FIG_ROPE, 0));
	int a = sx_fig_panel(f, 0, 0, "\xFF", log_x, cut_y);
	sx_fig_line(f, a, series, x, y, 9);
	sx_fig_note(f, a, 3, (double)INFINITY, "far");
	sx_fig_vline(f, a, 1e200, "beyond");
	int b = sx_fig_panel(f, 0, 1, "", plain_x, plain_y); /* one value: no range */
	sx_fig_points(f, b, series, one, one, 1);
	sx_fig_panel(f, 0, 2, "", log_x, plain_y); /* nothing at all */
	assert_int_equal(sx_fig_save(f, &ctx, in_dir("wild.pdf")), SX_OK);
	assert_int_equal(sx_fig_save(f, &ctx, in_dir("wild.svg")), SX_OK);
	assert_non_null(strstr(k.text, "panel (a): 2 of 9 values"));
	assert_non_null(strstr(k.text, "logarithmic x axis"));
	sx_fig_free(f);
}

/* ---- the key ---- */

static void test_key(void **state)
{
	(void)state;
	sx_text t;
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	sx_fig *f = several("icml", 200, 2, 3); /* far apart at the end: named there */
	assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
	assert_int_equal(f->key, KEY_DIRECT);
	const sx_rect *box = &f->panel[0].box;
	assert_true(f->series[1].key_y < f->series[0].key_y); /* NoPE ends higher */
	assert_true(box->x + box->w + sx_text_width(&t, "RoPE", 6) < f->width);
	sx_fig_free(f);

	f = several("icml", 200, 3, 0); /* on each other, and noise everywhere: above the panel */
	double without = round(72 * 3.25 / 1.61803398874989);
	assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
	assert_int_equal(f->key, KEY_STRIP);
	assert_true(f->height > without);
	assert_true(f->key_box.x >= 0 && f->key_box.x + f->key_box.w <= f->width);
	sx_fig_free(f);

	assert_int_equal(sx_fig_new(&f, NULL, sx_fig_style_find("icml"), 1, 1), SX_OK);
	int panel = sx_fig_panel(f, 0, 0, "", plain_x, plain_y);
	const double x[] = {0, 1, 2, 10}, y[] = {9, 2, 1, 0}; /* leaves the upper right free */
	for (int i = 0; i < 3; i++)
		sx_fig_line(f, panel, sx_fig_series(f, "a", sx_fig_look_of(SX_FIG_OTHER, i)), x, y,
			    4);
	assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
	assert_int_equal(f->key, KEY_CORNER);
	assert_true(f->key_box.x > f->panel[0].box.x + f->panel[0].box.w / 2);
	assert_true(f->key_box.y < f->panel[0].box.y + f->panel[0].box.h / 2);
	sx_fig_free(f);
	sx_text_free(&t);
}

/* No tick label over another, none off the page, in any style and with awkward numbers. */
static void test_labels_fit(void **state)
{
	(void)state;
	sx_text t;
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	for (const sx_fig_style *s = sx_fig_styles; s->name; s++)
		for (int c = 0; c < 40; c++) {
			sx_fig *f;
			double lo = 1000 * sx_normal(9, SX_STREAM_TEST, (uint64_t)c);
			double x[2] = {lo, lo + exp(c - 20)}, y[2] = {-lo, lo};
			assert_int_equal(sx_fig_new(&f, NULL, s, 1, 2), SX_OK);
			for (int p = 0; p < 2; p++)
				sx_fig_line(f, sx_fig_panel(f, 0, p, "", plain_x, plain_y), -1, x,
					    y, 2);
			assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
			for (int p = 0; p < 2; p++) {
				const sx_fig_panel_data *d = &f->panel[p];
				double end = -1e9;
				for (int i = 0; i < d->x_ticks.n; i++) {
					double w =
						sx_text_width(&t, d->x_ticks.text[i], s->small_pt);
					double at = sx_fig_device_x(d, d->x_ticks.at[i]);
					assert_true(at - w / 2 > end);
					end = at + w / 2;
				}
				assert_true(end <= f->width + 0.5);
				assert_true(d->box.w > 20 && d->box.h > 20);
			}
			sx_fig_free(f);
		}
	sx_text_free(&t);
}

/* In a process of its own: fontconfig reads its configuration once. */
static void test_font_substitution(void **state)
{
	(void)state;
	static const char fonts[] = "/usr/share/fonts/truetype/dejavu"; /* fonts-dejavu-core */
	if (!sx_path_is_dir(fonts)) {
		print_message("skipped: no folder %s\n", fonts);
		skip();
	}
	FILE *conf = fopen(in_dir("fonts.conf"), "w");
	assert_non_null(conf);
	fprintf(conf,
		"<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig>"
		"<dir>%s</dir><cachedir>%s</cachedir></fontconfig>",
		fonts, in_dir("cache"));
	fclose(conf);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		setenv("FONTCONFIG_FILE", in_dir("fonts.conf"), 1);
		kept_log k;
		sx_ctx ctx = context(&k);
		sx_fig *f = several("icml", 10, 2, 1);
		sx_status st = sx_fig_save(f, &ctx, in_dir("s.pdf"));
		bool told = k.warnings == 1 && strstr(k.text, "TeX Gyre Heros is not installed");
		_exit(st == SX_OK && told ? 0 : 1);
	}
	int how = 0;
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_font_substitution), /* first: see there */
		cmocka_unit_test(test_ticks_best),
		cmocka_unit_test(test_ticks_text),
		cmocka_unit_test(test_ticks_log),
		cmocka_unit_test(test_markup),
		cmocka_unit_test(test_markup_any),
		cmocka_unit_test(test_pdf),
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_source_date),
		cmocka_unit_test(test_svg_description),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_thinning),
		cmocka_unit_test(test_wild_values),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_labels_fit),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

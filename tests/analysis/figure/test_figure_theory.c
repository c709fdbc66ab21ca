/* The positional-semantic plane, bounds, ratios of gradient norms, labels, and the rows of a figure. */
#include "analysis/figure/figures.h"
#include "analysis/figure/internal.h"
#include "analysis/figure/parts.h"
#include "tests/support/figure_folder.h"
#include "tests/support/figure_marks.h"

static const sx_fig_style *style(const char *name)
{
	return sx_fig_style_find(name);
}

static int count_marks(const sx_fig *f, int panel, mark_kind kind)
{
	int n = 0;
	while (find_mark(f, panel, kind, n)) n++;
	return n;
}

static void lay_out(sx_fig *f)
{
	sx_text t;
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	assert_int_equal(sx_fig_layout(f, &t, NULL), SX_OK);
	sx_text_free(&t);
}

/* ---- plane ---- */

enum { LAYERS = 3, HEADS = 2, N_HEAD = LAYERS * HEADS, STEPS = 4 };
static const int64_t steps[STEPS] = {0, 9, 9, 20};
static const unsigned char phases[STEPS] = {0, 0, 1, 1};

typedef struct {
	double x[STEPS * N_HEAD], y[STEPS * N_HEAD];
	double low[STEPS * N_HEAD], high[STEPS * N_HEAD];
	const char *name[STEPS * N_HEAD];
} shares;

/* Head h stands at ((h + 1) / 10, 0.9 - h / 10), 0.01 of the step to the right; head 4 leaves. */
static sx_fig_plane_data plane_data(shares *s)
{
	for (int t = 0; t < STEPS; t++)
		for (int h = 0; h < N_HEAD; h++) {
			int at = t * N_HEAD + h;
			s->x[at] = 0.1 * (h + 1) + 0.001 * (double)steps[t];
			s->y[at] = 0.9 - 0.1 * h - (h == 4 && phases[t] ? 0.4 : 0);
			s->low[at] = s->x[at] - 0.02;
			s->high[at] = s->x[at] + 0.03;
			s->name[at] = h == 4 && phases[t] ? "semantic" : "positional";
		}
	return (sx_fig_plane_data){.at = {.label = "DroPE",
					  .kind = SX_FIG_DROPE,
					  .n_step = STEPS,
					  .n_layer = LAYERS,
					  .n_head = HEADS,
					  .step = steps,
					  .phase = phases},
				   .positional = {s->x, s->low, s->high},
				   .content = {s->y, NULL, NULL},
				   .class_name = s->name};
}

static void test_plane(void **state)
{
	(void)state;
	static shares s;
	sx_fig_plane_data d = plane_data(&s);
	sx_fig *f;
	assert_int_equal(sx_fig_plane(&f, NULL, style("icml"), &d, 1), SX_OK);
	assert_int_equal(count_marks(f, 0, MARK_DOTS), N_HEAD);
	assert_int_equal(count_marks(f, 0, MARK_X_INTERVALS), N_HEAD);
	assert_int_equal(count_marks(f, 0, MARK_Y_INTERVALS), 0); /* none given */
	/* Head 4's way: before the drop, right after, at the end; not the first record. */
	const sx_fig_mark *way = find_mark(f, 0, MARK_PATH, 8),
			  *rest = find_mark(f, 0, MARK_PATH, 9);
	const sx_fig_mark *dot = find_mark(f, 0, MARK_DOTS, 4);
	const double x[] = {0.509, 0.509, 0.52}, y[] = {0.5, 0.1, 0.1};
	assert_int_equal(way->n, 2);
	assert_int_equal(rest->n, 2);
	check_near(way->x, x, 2, 1e-12);
	check_near(way->y, y, 2, 1e-12);
	check_near(rest->x, x + 1, 2, 1e-12);
	check_near(rest->y, y + 1, 2, 1e-12);
	check_close(dot->x[0], 0.52, 1e-12);
	/* Its class by marker, before and after; its layer by colour. */
	const sx_fig_look *before = &f->series[way->series].look,
			  *after = &f->series[dot->series].look;
	assert_int_equal(before->marker, SX_FIG_CIRCLE);
	assert_int_equal(after->marker, SX_FIG_SQUARE);
	check_near(before->rgb, after->rgb, 3, 0);
	assert_string_equal(f->series[dot->series].label, "L2/H0, semantic");
	const sx_fig_mark *bar = find_mark(f, 0, MARK_X_INTERVALS, 4);
	check_close(bar->x[0], 0.5, 1e-12);
	check_close(bar->high[0], 0.55, 1e-12);
	check_close(bar->y[0], 0.1, 1e-12);
	/* Few heads: all have names, and the one that went farthest comes first. */
	assert_int_equal(count_marks(f, 0, MARK_LABEL), N_HEAD);
	assert_string_equal(find_mark(f, 0, MARK_LABEL, 0)->label, "L2/H0");
	assert_non_null(strstr(sx_fig_alt(f), "after 20 updates"));
	sx_fig_free(f);

	d.at.n_step = 2; /* no drop: dots alone */
	d.class_name = NULL;
	sx_fig_plane_data two[3] = {d, d, d};
	assert_int_equal(sx_fig_plane(&f, NULL, style("icml"), two, 3), SX_OK);
	assert_int_equal(f->n_panel, 3);
	assert_int_equal(count_marks(f, 2, MARK_PATH), 0);
	assert_int_equal(count_marks(f, 2, MARK_DOTS), N_HEAD);
	sx_fig_free(f);
	two[1].at.n_step = 0;
	assert_int_equal(sx_fig_plane(&f, NULL, style("icml"), two, 3), SX_EDATA);
}

/* Of many heads only those that moved far or stand alone have names. */
static void test_plane_many(void **state)
{
	(void)state;
	enum { MANY = 400 };
	static double x[2 * MANY], y[2 * MANY];
	static const int64_t step[] = {3, 3};
	static const unsigned char phase[] = {0, 1};
	for (int h = 0; h < MANY; h++) {
		x[h] = x[MANY + h] = 0.3 + 0.001 * (h % 20);
		y[h] = y[MANY + h] = 0.3 + 0.001 * (h / 20);
	}
	x[MANY + 7] = 0.9, y[MANY + 7] = 0.1;                   /* moved and alone */
	x[21] = x[MANY + 21] = 0.8, y[21] = y[MANY + 21] = 0.8; /* alone */
	x[MANY + 50] = 0.31, y[MANY + 50] = 0.31, x[50] = 0.05; /* moved into the crowd */
	x[MANY + 99] = y[MANY + 99] = (double)NAN;
	const sx_fig_plane_data d = {.at = {.label = "a",
					    .n_step = 2,
					    .n_layer = 20,
					    .n_head = 20,
					    .step = step,
					    .phase = phase},
				     .positional = {x, NULL, NULL},
				     .content = {y, NULL, NULL}};
	sx_fig *f;
	assert_int_equal(sx_fig_plane(&f, NULL, style("icml-full"), &d, 1), SX_OK);
	assert_int_equal(count_marks(f, 0, MARK_LABEL), 3);
	assert_int_equal(count_marks(f, 0, MARK_PATH), 3);
	assert_int_equal(count_marks(f, 0, MARK_PALE), MANY - 3);
	static const char *const named[] = {"L0/H7", "L1/H1", "L2/H10"};
	for (int i = 0; i < 3; i++) {
		bool found = false;
		for (int k = 0; k < 3; k++)
			found = found ||
				strcmp(find_mark(f, 0, MARK_LABEL, k)->label, named[i]) == 0;
		assert_true(found);
	}
	int in_key = 0;
	for (int i = 0; i < f->n_series; i++) in_key += f->series[i].entry != ENTRY_NONE;
	assert_int_equal(in_key, 6 + 2); /* six of the layers, both ends of a way */
	assert_int_equal(sx_fig_save(f, NULL, in_dir("many.pdf")), SX_OK);
	sx_fig_free(f);
}

/* ---- labels ---- */

typedef struct {
	double x, y, w, h;
} box;

static bool overlap(box a, box b)
{
	return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/* Among 60 random dots, half of them with a name: no name on a dot, on another name, or off the
 * panel. */
static void test_labels(void **state)
{
	(void)state;
	enum { N = 60 };
	double x[N], y[N];
	uint64_t seed = 1;
	for (int i = 0; i < N; i++) {
		x[i] = (double)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) /
		       2147483648.0;
		y[i] = (double)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) /
		       2147483648.0;
	}
	sx_fig *f;
	assert_int_equal(sx_fig_new(&f, NULL, style("icml"), 1, 1), SX_OK);
	sx_fig_axis axis = {.label = "v", .lo = 0, .hi = 1};
	int panel = sx_fig_panel(f, 0, 0, "", axis, axis);
	sx_fig_dots(f, panel, sx_fig_series(f, "", sx_fig_look_of(SX_FIG_ROPE, 0)), x, y, N);
	for (int i = 0; i < N / 2; i++) sx_fig_label(f, panel, x[i], y[i], "L10/H12");
	lay_out(f);
	const sx_fig_panel_data *p = &f->panel[0];
	box placed[N / 2];
	int n = 0;
	sx_text t;
	assert_int_equal(sx_text_init(&t, NULL), SX_OK);
	double size = f->style->small_pt, w = sx_text_width(&t, "L10/H12", size);
	sx_text_free(&t);
	for (int i = 0; i < N / 2; i++) {
		const sx_fig_mark *m = find_mark(f, 0, MARK_LABEL, i);
		if (isnan(m->text_x)) continue;
		box b = {m->text_x, m->text_y - SX_TEXT_CAP * size, w, SX_TEXT_CAP * size};
		assert_true(b.x >= p->box.x && b.x + b.w <= p->box.x + p->box.w);
		assert_true(b.y >= p->box.y && b.y + b.h <= p->box.y + p->box.h);
		for (int k = 0; k < n; k++) assert_false(overlap(b, placed[k]));
		for (int k = 0; k < N; k++) {
			box dot = {sx_fig_device_x(p, x[k]) - 1.5, sx_fig_device_y(p, y[k]) - 1.5,
				   3, 3};
			assert_false(overlap(b, dot));
		}
		placed[n++] = b;
	}
	assert_true(n >= 15); /* most of them have room */
	sx_fig_free(f);
}

/* ---- bounds ---- */

enum { SEQ = 2, N_BOUND = 4 };
static const char *const bound_names[N_BOUND] = {"I9:diagonal", "I9:own", "I9.tanh:own", "I10:own"};
static const unsigned char uses[SEQ] = {0, 1};

/* Left side: 10^-e for entry e in layer 0, half of it in layer 1; right side ten times 10^-e. The
 * first sequence is not used and has absurd numbers. */
static sx_fig_bound_data bound_data(const char *label, sx_fig_kind kind, double *lhs, double *rhs,
				    const char *const *why)
{
	for (int k = 0; k < SEQ * 2 * HEADS * N_BOUND; k++) {
		int e = k % N_BOUND, layer = k / (HEADS * N_BOUND) % 2;
		bool first = k < 2 * HEADS * N_BOUND;
		lhs[k] = first ? 1e-30 : pow(10, -e) * (layer ? 0.5 : 1);
		rhs[k] = first ? 1e+30 : 10 * pow(10, -e);
		if (why[e]) lhs[k] = rhs[k] = (double)NAN;
	}
	static const int64_t step[] = {5};
	static const unsigned char phase[] = {0};
	return (sx_fig_bound_data){.at = {.label = label,
					  .kind = kind,
					  .n_step = 1,
					  .n_seq = SEQ,
					  .n_layer = 2,
					  .n_head = HEADS,
					  .step = step,
					  .phase = phase,
					  .use = uses},
				   .n = N_BOUND,
				   .name = bound_names,
				   .lhs = lhs,
				   .rhs = rhs,
				   .why_not = why};
}

static void test_bounds(void **state)
{
	(void)state;
	static const char *const all[N_BOUND] = {NULL}, *const nope[N_BOUND] = {NULL, NULL, NULL,
										"not NoPE"};
	static const char *const ask[] = {"I9", "I10"};
	double v[4][SEQ * 2 * HEADS * N_BOUND];
	const sx_fig_bound_data in[2] = {bound_data("NoPE", SX_FIG_NOPE, v[0], v[1], all),
					 bound_data("RoPE", SX_FIG_ROPE, v[2], v[3], nope)};
	sx_fig *f;
	assert_int_equal(sx_fig_bounds(&f, NULL, style("icml-full"), in, 2, ask, 2), SX_OK);
	assert_int_equal(f->n_panel, 4);
	/* I9 of both: diagonal and own, not I9.tanh. I10 of NoPE alone, and it says so. */
	assert_int_equal(count_marks(f, 0, MARK_DOTS), 4);
	assert_int_equal(count_marks(f, 1, MARK_DOTS), 1);
	assert_int_equal(count_marks(f, 0, MARK_NOTE), 0);
	assert_string_equal(find_mark(f, 1, MARK_NOTE, 0)->label, "RoPE: not applicable");
	assert_string_equal(find_mark(f, 3, MARK_NOTE, 0)->label, "RoPE: not applicable");
	assert_non_null(strstr(sx_fig_alt(f), "I10 does not apply to RoPE (not NoPE)."));
	const sx_fig_mark *dots = find_mark(f, 0, MARK_DOTS, 1);
	const double lhs[] = {0.1, 0.1, 0.05, 0.05}, rhs[] = {1, 1, 1, 1};
	assert_int_equal(dots->n, 4); /* the sequence that counts, two layers of two heads */
	check_near(dots->x, rhs, 4, 1e-12);
	check_near(dots->y, lhs, 4, 1e-12);
	/* The diagonal is one, and no axis knows the sequence left out. */
	const sx_fig_mark *diagonal = find_mark(f, 0, MARK_LINE, 0);
	check_near(diagonal->x, diagonal->y, 2, 0);
	assert_true(f->panel[0].y.lo > 0.01 && f->panel[0].x.hi < 100);
	const sx_fig_mark *ratio = find_mark(f, 3, MARK_LINE, 1);
	const double want[] = {0.1, 0.05};
	check_near(ratio->y, want, 2, 1e-12);
	sx_fig_free(f);

	static const char *const none[] = {"I99"}, *const ten[] = {"I10"};
	assert_int_equal(sx_fig_bounds(&f, NULL, style("icml"), in, 2, none, 1), SX_EDATA);
	assert_int_equal(sx_fig_bounds(&f, NULL, style("icml"), in + 1, 1, ten, 1), SX_EDATA);
}

/* The ratio's median and range over heads of different values. */
static void test_bounds_median(void **state)
{
	(void)state;
	static const char *const all[N_BOUND] = {NULL}, *const ask[] = {"I10"};
	double lhs[SEQ * 2 * HEADS * N_BOUND], rhs[SEQ * 2 * HEADS * N_BOUND];
	const sx_fig_bound_data in = bound_data("NoPE", SX_FIG_NOPE, lhs, rhs, all);
	int layer1 = ((1 * 2 + 1) * HEADS) * N_BOUND + 3; /* sequence 1, layer 1, head 0, I10 */
	lhs[layer1] = 0.002;
	lhs[layer1 + N_BOUND] = 0.006;
	rhs[layer1] = rhs[layer1 + N_BOUND] = 0.01;
	sx_fig *f;
	assert_int_equal(sx_fig_bounds(&f, NULL, style("icml"), &in, 1, ask, 1), SX_OK);
	check_close(find_mark(f, 1, MARK_LINE, 1)->y[1], 0.4, 1e-12);
	check_close(find_mark(f, 1, MARK_BAND, 0)->y[1], 0.2, 1e-12);
	check_close(find_mark(f, 1, MARK_BAND, 0)->high[1], 0.6, 1e-12);
	sx_fig_free(f);
}

/* ---- the ratio of gradient norms ---- */

static const char *const one_family[] = {"diagonal"};

static sx_fig_ac_data grad_data(const char *label, sx_fig_kind kind, const double *value)
{
	static const int64_t step[] = {0};
	static const unsigned char phase[] = {0}, use[] = {1};
	return (sx_fig_ac_data){.at = {.label = label,
				       .kind = kind,
				       .n_step = 1,
				       .n_seq = 1,
				       .n_layer = 2,
				       .n_head = HEADS,
				       .step = step,
				       .phase = phase,
				       .use = use},
				.n_c = 1,
				.family = one_family,
				.value = value,
				.wrt = "wk",
				.trunk = -1};
}

static void test_grad_ratio(void **state)
{
	(void)state;
	const double rope[] = {1, 1, 4, 2}, nope[] = {1, 1, 1, 1}, rope2[] = {3, 3, 8, 8};
	sx_fig_ac_data in[4] = {grad_data("RoPE", SX_FIG_ROPE, rope),
				grad_data("NoPE", SX_FIG_NOPE, nope)};
	sx_fig *f;
	assert_int_equal(sx_fig_ac_grad(&f, NULL, style("icml"), in, 2), SX_OK);
	assert_int_equal(f->n_panel, 2);
	assert_non_null(strstr(f->panel[0].y_label, "K</sub>"));
	const double ratio[] = {1, 3}, low[] = {1, 2}, high[] = {1, 4};
	check_near(find_mark(f, 1, MARK_LINE, 0)->y, ratio, 2, 1e-12);
	check_near(find_mark(f, 1, MARK_BAND, 0)->y, low, 2, 1e-12); /* pairs of heads */
	check_near(find_mark(f, 1, MARK_BAND, 0)->high, high, 2, 1e-12);
	check_near(find_mark(f, 0, MARK_BAND, 0)->high, high, 2, 1e-12); /* heads of RoPE */
	assert_non_null(strstr(sx_fig_alt(f), "largest of the heads"));
	sx_fig_free(f);

	/* Two seeds each: bands are of seeds, pairs in their order. */
	in[2] = grad_data("RoPE", SX_FIG_ROPE, rope2);
	in[3] = grad_data("NoPE", SX_FIG_NOPE, nope);
	assert_int_equal(sx_fig_ac_grad(&f, NULL, style("icml"), in, 4), SX_OK);
	const double seeds[] = {2, 5.5}, low2[] = {1, 3}, high2[] = {3, 8};
	check_near(find_mark(f, 1, MARK_LINE, 0)->y, seeds, 2, 1e-12);
	check_near(find_mark(f, 1, MARK_BAND, 0)->y, low2, 2, 1e-12);
	check_near(find_mark(f, 1, MARK_BAND, 0)->high, high2, 2, 1e-12);
	assert_non_null(strstr(sx_fig_alt(f), "largest of the seeds"));
	sx_fig_free(f);

	in[2] = grad_data("DroPE", SX_FIG_DROPE, rope2); /* a third: no ratio */
	assert_int_equal(sx_fig_ac_grad(&f, NULL, style("icml"), in, 3), SX_OK);
	assert_int_equal(f->n_panel, 1);
	sx_fig_free(f);
}

/* ---- the theory at initialisation ---- */

static void test_mix(void **state)
{
	(void)state;
	enum { N_T = 2 };
	static const char *const axis[] = {"$|A_c|$", "norm"};
	const double spread[] = {10, 0.1}, other[] = {40, 0.4};
	/* (quantity, t, layer) */
	const double a[] = {2, 8, 1, 1, 3, 3, 0, 4}, b[] = {1, 16, 1, 1, 3, 3, 2, 2};
	const sx_fig_mix_data in[] = {{"NoPE", SX_FIG_NOPE, "previous", 2, axis, N_T, 2, spread, a},
				      {"NoPE", SX_FIG_NOPE, "previous", 2, axis, N_T, 2, other, b},
				      {"RoPE", SX_FIG_ROPE, "previous", 2, axis, 1, 2, spread, a}};
	sx_fig *f;
	assert_int_equal(sx_fig_mix(&f, NULL, style("neurips"), in, 2), SX_OK);
	assert_int_equal(f->n_panel, 2);
	const sx_fig_mark *line = find_mark(f, 0, MARK_LINE, 0);
	check_close(line->x[0], 20, 1e-12); /* geometric means over seeds and layers */
	check_close(line->y[0], 4, 1e-12);
	check_close(find_mark(f, 0, MARK_BAND, 0)->y[0], 1, 1e-12);
	check_close(find_mark(f, 0, MARK_BAND, 0)->high[0], 16, 1e-12);
	check_close(find_mark(f, 1, MARK_LINE, 0)->y[1], cbrt(16), 1e-12); /* without the 0 */
	/* the guide: a factor of the spread, below the curve */
	const sx_fig_mark *guide = find_mark(f, 0, MARK_GUIDE, 0);
	check_close(guide->y[1] / guide->y[0], guide->x[1] / guide->x[0], 1e-9);
	assert_true(guide->y[0] < 1 && guide->y[1] < 4);
	lay_out(f);
	sx_fig_free(f);
	assert_int_equal(sx_fig_mix(&f, NULL, style("icml"), in, 3), SX_EDATA); /* one t */
}

static void test_figure4(void **state)
{
	(void)state;
	const double rope[] = {1, 4}, nope[] = {1, 2}, printed[] = {1, 3}, flat[] = {1, 1};
	const sx_fig_figure4_panel panel[] = {{"diagonal", {rope, nope}, {printed, flat}},
					      {"previous", {nope, nope}, {flat, flat}}};
	const sx_fig_figure4_data d = {2, 2, panel, "Gradient norm", "T = 8"};
	const double ratio[] = {1, 2}, ratio_printed[] = {1, 3};
	sx_fig *f;
	assert_int_equal(sx_fig_figure4(&f, NULL, style("icml"), &d), SX_OK);
	assert_int_equal(f->n_panel, 4);
	check_near(find_mark(f, 0, MARK_LINE, 0)->y, printed, 2, 0);
	check_near(find_mark(f, 0, MARK_LINE, 1)->y, rope, 2, 0);
	check_near(find_mark(f, 0, MARK_LINE, 3)->y, nope, 2, 0);
	check_near(find_mark(f, 2, MARK_LINE, 0)->y, ratio_printed, 2, 1e-12);
	check_near(find_mark(f, 2, MARK_LINE, 1)->y, ratio, 2, 1e-12);
	assert_non_null(strstr(sx_fig_alt(f), "T = 8"));
	lay_out(f);
	sx_fig_free(f);
}

/* ---- rows ---- */

typedef struct {
	int n, stop;
	sx_fig_row row[16];
} rows;

static sx_status keep(void *self, const sx_fig_row *row)
{
	rows *r = self;
	if (r->n == r->stop) return SX_EINTERNAL;
	r->row[r->n++] = *row;
	return SX_OK;
}

static void test_rows(void **state)
{
	(void)state;
	const double x[] = {1, 2}, y[] = {3, (double)NAN}, high[] = {5, 6};
	sx_fig *f;
	assert_int_equal(sx_fig_new(&f, NULL, style("icml"), 1, 2), SX_OK);
	sx_fig_axis axis = {.label = "v", .lo = (double)NAN, .hi = (double)NAN};
	sx_fig_panel(f, 0, 0, "first", axis, axis);
	int panel = sx_fig_panel(f, 0, 1, "second", axis, axis);
	int s = sx_fig_series(f, "a", sx_fig_look_of(SX_FIG_ROPE, 0));
	sx_fig_line(f, 0, s, x, y, 2);
	sx_fig_x_intervals(f, panel, s, x, y, high, 1);
	sx_fig_y_intervals(f, panel, s, x, y, high, 1);
	sx_fig_note(f, panel, 7, 8, "here");
	rows r = {.stop = 16};
	assert_int_equal(sx_fig_rows(f, NULL, keep, &r), SX_OK);
	assert_int_equal(r.n, 5);
	check_close(r.row[0].y, 3, 0);
	assert_true(isnan(r.row[1].y) && isnan(r.row[1].value));
	assert_string_equal(r.row[2].mark, "x-interval");
	assert_true(isnan(r.row[2].x));
	check_close(r.row[2].y, 1, 0);
	check_close(r.row[2].low, 3, 0);
	check_close(r.row[2].high, 5, 0);
	assert_string_equal(r.row[3].mark, "y-interval");
	assert_true(isnan(r.row[3].y));
	check_close(r.row[3].x, 1, 0);
	check_close(r.row[3].low, 3, 0);
	assert_string_equal(r.row[4].series, "here");
	/* Intervals widen the axis they lie along. */
	lay_out(f);
	assert_true(f->panel[1].x1 >= 5 && f->panel[1].y1 >= 5);
	rows few = {.stop = 2};
	assert_int_equal(sx_fig_rows(f, NULL, keep, &few), SX_EINTERNAL);
	assert_int_equal(few.n, 2);
	assert_int_equal(sx_fig_save_data(f, NULL, in_dir("r.csv")), SX_OK);
	char *csv = slurp(in_dir("r.csv"), NULL);
	assert_string_equal(csv, "panel,mark,series,x,y,low,high\na,line,\"a\",1,3,,\n"
				 "a,line,\"a\",2,,,\nb,x-interval,\"a\",,1,3,5\n"
				 "b,y-interval,\"a\",1,,3,5\nb,note,\"here\",7,8,,\n");
	free(csv);
	sx_fig_free(f);
}

/* ---- drop ---- */

/* Three times, two layers of two heads: every head's places and bars, the largest named. */
static void test_drop(void **state)
{
	(void)state;
	static const double value[12] = {.1, .5, .4, .3, 0, 0, 0, 0, .2, .25, .35, (double)NAN};
	double low[12], high[12];
	for (int i = 0; i < 12; i++) low[i] = value[i] - .05, high[i] = value[i] + .02;
	sx_fig_drop_data d = {.label = "DroPE",
			      .quantity = "$A_c$",
			      .n_layer = 2,
			      .n_head = 2,
			      .value = value,
			      .low = low,
			      .high = high};
	sx_fig *f;
	assert_int_equal(sx_fig_drop(&f, NULL, style("icml"), &d, 1), SX_OK);
	assert_int_equal(count_marks(f, 0, MARK_PATH), 4);
	assert_int_equal(count_marks(f, 0, MARK_LABEL), 3);
	const sx_fig_mark *way = find_mark(f, 0, MARK_PATH, 1),
			  *bars = find_mark(f, 0, MARK_Y_INTERVALS, 1);
	for (int t = 0; t < 3; t++) {
		check_close(way->y[t], value[4 * t + 1], 0);
		check_close(bars->y[t], value[4 * t + 1] - .05, 1e-15);
		check_close(bars->high[t], value[4 * t + 1] + .02, 1e-15);
		assert_true(fabs(way->x[t] - t) < .2);
	}
	assert_string_equal(find_mark(f, 0, MARK_LABEL, 0)->label, "L0/H1");
	assert_string_equal(find_mark(f, 0, MARK_LABEL, 2)->label, "L1/H1");
	assert_non_null(strstr(sx_fig_alt(f), "of DroPE"));
	assert_int_equal(sx_fig_save(f, NULL, in_dir("drop.pdf")), SX_OK);
	sx_fig_free(f);
	/* One column: all panels below one another; else a row for each run, named by its seed. */
	sx_fig_drop_data four[4] = {d, d, d, d};
	four[2].seed = four[3].seed = 2;
	for (int wide = 0; wide < 2; wide++) {
		assert_int_equal(sx_fig_drop(&f, NULL, style(wide ? "neurips" : "icml"), four, 4),
				 SX_OK);
		assert_int_equal(f->rows, wide ? 2 : 4);
		assert_int_equal(f->cols, wide ? 2 : 1);
		assert_int_equal(f->panel[3].row, wide ? 1 : 3);
		assert_string_equal(f->panel[3].y_label, "seed 2");
		lay_out(f);
		for (int i = 0; i < 4; i++) {
			sx_rect at = f->panel[i].box;
			assert_true(at.w > 60 && at.x > 0 && at.x + at.w <= f->width);
		}
		sx_fig_free(f);
	}
	d.n_head = 5; /* more than there are markers */
	d.n_layer = 1, d.value = (const double[15]){0}, d.low = d.high = NULL;
	assert_int_equal(sx_fig_drop(&f, NULL, style("icml"), &d, 1), SX_OK);
	for (int i = 0; i < f->n_series; i++)
		assert_int_equal(f->series[i].look.marker, SX_FIG_CIRCLE);
	sx_fig_free(f);
	d.n_head = 0;
	assert_int_equal(sx_fig_drop(&f, NULL, style("icml"), &d, 1), SX_EDATA);
}

static void test_titles(void **state)
{
	(void)state;
	static const char *const label[] = {"a", "a", "b"};
	static const int64_t seed[] = {1, 2, 1};
	char title[32];
	sx_part_title(title, sizeof title, label, seed, 3, 1);
	assert_string_equal(title, "a, seed 2");
	sx_part_title(title, sizeof title, label, seed, 3, 2);
	assert_string_equal(title, "b");
	sx_part_title(title, sizeof title, label, seed, 2, 0);
	assert_string_equal(title, "seed 1");
}

/* ---- files ---- */

static sx_fig *make_plane(void)
{
	static shares s;
	sx_fig_plane_data d = plane_data(&s);
	sx_fig *f;
	assert_int_equal(sx_fig_plane(&f, NULL, style("icml"), &d, 1), SX_OK);
	return f;
}

static sx_fig *make_bounds(void)
{
	static const char *const all[N_BOUND] = {NULL}, *const ask[] = {"I9", "I10"};
	double lhs[SEQ * 2 * HEADS * N_BOUND], rhs[SEQ * 2 * HEADS * N_BOUND];
	const sx_fig_bound_data in = bound_data("NoPE", SX_FIG_NOPE, lhs, rhs, all);
	sx_fig *f;
	assert_int_equal(sx_fig_bounds(&f, NULL, style("icml"), &in, 1, ask, 2), SX_OK);
	return f;
}

static void test_same_bytes(void **state)
{
	(void)state;
	static const char *const ending[] = {"pdf", "svg", "png"};
	sx_fig *(*const make[])(void) = {make_plane, make_bounds};
	for (int m = 0; m < 2; m++)
		for (int i = 0; i < 3; i++) {
			char name[16], *bytes[2];
			size_t size[2];
			for (int k = 0; k < 2; k++) {
				sx_fig *f = make[m]();
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

/* Two figures in one page: no name of one is a name of the other. */
static void test_two_svgs(void **state)
{
	(void)state;
	sx_fig *(*const make[])(void) = {make_plane, make_bounds};
	char *svg[2];
	for (int k = 0; k < 2; k++) {
		sx_fig *f = make[k]();
		assert_int_equal(sx_fig_save(f, NULL, in_dir("n.svg")), SX_OK);
		svg[k] = slurp(in_dir("n.svg"), NULL);
		sx_fig_free(f);
	}
	int names = 0;
	for (const char *s = svg[0]; (s = strstr(s, " id=\"")); names++, s += 5) {
		char name[64] = "", quoted[70];
		assert_int_equal(sscanf(s, " id=\"%60[^\"]", name), 1);
		snprintf(quoted, sizeof quoted, "\"%s\"", name);
		assert_null(strstr(svg[1], quoted));
	}
	assert_true(names > 20);
	free(svg[0]);
	free(svg[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plane),         cmocka_unit_test(test_plane_many),
		cmocka_unit_test(test_labels),        cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_bounds_median), cmocka_unit_test(test_grad_ratio),
		cmocka_unit_test(test_rows),          cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_two_svgs),      cmocka_unit_test(test_drop),
		cmocka_unit_test(test_titles),        cmocka_unit_test(test_mix),
		cmocka_unit_test(test_figure4),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

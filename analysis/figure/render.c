/* Cairo: draws a figure that layout has placed, and makes the file of it. */
#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/figure/internal.h"

typedef struct {
	const sx_fig *f;
	const sx_fig_style *s;
	sx_text *t;
	cairo_t *cr;
} pen;

static const double ink = 0.15; /* grey of axes and texts */

static void set_grey(const pen *d, double grey)
{
	cairo_set_source_rgb(d->cr, grey, grey, grey);
}

/* Text in the colour of a series is darkened: light colours do not read at 6 points. */
static void set_look(const pen *d, const sx_fig_look *l, double shade, double alpha)
{
	cairo_set_source_rgba(d->cr, shade * l->rgb[0], shade * l->rgb[1], shade * l->rgb[2],
			      alpha);
}

static void set_dash(const pen *d, sx_fig_dash dash)
{
	/* In line widths. */
	static const double pattern[][4] = {
		[SX_FIG_DASHED] = {3.6, 1.6, 3.6, 1.6},
		[SX_FIG_DASHDOT] = {5.5, 1.5, 1.2, 1.5},
		[SX_FIG_DOTTED] = {1.2, 1.3, 1.2, 1.3},
	};
	double scaled[4];
	for (int i = 0; i < 4; i++) scaled[i] = d->s->line_pt * pattern[dash][i];
	cairo_set_dash(d->cr, scaled, dash == SX_FIG_SOLID ? 0 : 4, 0);
}

/* ---- paths ---- */

/* Thins a path: of the points in one column of the page, first, lowest, highest and last draw the
 * same picture as all (M4: Jugel et al., PVLDB 7(10), 2014). */
typedef struct {
	cairo_t *cr;
	double column; /* -1: none yet */
	int n;
	double x[4], y[4]; /* first, low, high, last */
	int low_at, high_at;
} thinner;

/* A dot of a 300 dpi printer. */
static const double column_width = 72.0 / 300;

static void flush_column(thinner *q)
{
	if (q->n == 0) return;
	cairo_line_to(q->cr, q->x[0], q->y[0]);
	bool low_first = q->low_at <= q->high_at;
	int a = low_first ? 1 : 2, b = low_first ? 2 : 1;
	if (q->n > 2) cairo_line_to(q->cr, q->x[a], q->y[a]);
	if (q->n > 3) cairo_line_to(q->cr, q->x[b], q->y[b]);
	if (q->n > 1) cairo_line_to(q->cr, q->x[3], q->y[3]);
	q->n = 0;
}

static void thin_to(thinner *q, double x, double y)
{
	double column = floor(x / column_width);
	if (q->n > 0 && column != q->column) flush_column(q);
	q->column = column;
	int at = q->n++;
	if (at == 0) {
		for (int i = 0; i < 4; i++) q->x[i] = x, q->y[i] = y;
		q->low_at = q->high_at = 0;
	}
	if (y < q->y[1]) q->x[1] = x, q->y[1] = y, q->low_at = at;
	if (y > q->y[2]) q->x[2] = x, q->y[2] = y, q->high_at = at;
	q->x[3] = x, q->y[3] = y;
}

/* Cairo counts in 1/256 of a unit in 32 bits: far outside the page a point is moved nearer. */
static double near_page(double v)
{
	return fmax(-2e4, fmin(2e4, v));
}

static bool point(const sx_fig_panel_data *p, double x, double y, double *px, double *py)
{
	if (!sx_fig_can_show(p->x.map, x) || !sx_fig_can_show(p->y.map, y)) return false;
	*px = near_page(sx_fig_device_x(p, x));
	*py = near_page(sx_fig_device_y(p, y));
	return true;
}

static void stroke_line(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	thinner q = {.cr = d->cr};
	double x, y;
	cairo_new_path(d->cr);
	for (int64_t i = 0; i < m->n; i++) {
		if (point(p, m->x[i], m->y[i], &x, &y)) {
			thin_to(&q, x, y);
		} else {
			flush_column(&q);
			cairo_new_sub_path(d->cr);
		}
	}
	flush_column(&q);
	cairo_stroke(d->cr);
}

/* Between two gaps: along the upper edge and back along the lower one. */
static void fill_band(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	double x, y;
	for (sx_fig_piece at = {0}; sx_fig_next_piece(p, m, &at);) {
		thinner q = {.cr = d->cr};
		cairo_new_path(d->cr);
		for (int64_t i = at.from; i < at.to; i++)
			if (point(p, m->x[i], m->high[i], &x, &y)) thin_to(&q, x, y);
		flush_column(&q);
		for (int64_t i = at.to - 1; i >= at.from; i--)
			if (point(p, m->x[i], m->y[i], &x, &y)) thin_to(&q, x, y);
		flush_column(&q);
		cairo_close_path(d->cr);
		cairo_fill(d->cr);
	}
}

/* ---- marks ---- */

/* The outline of a marker; areas are about equal. */
static void trace_marker(cairo_t *cr, sx_fig_marker marker, double x, double y, double r)
{
	cairo_new_path(cr);
	if (marker == SX_FIG_CIRCLE) {
		cairo_arc(cr, x, y, r, 0, 6.28318530717958647692);
	} else if (marker == SX_FIG_SQUARE) {
		cairo_rectangle(cr, x - 0.89 * r, y - 0.89 * r, 1.78 * r, 1.78 * r);
	} else if (marker == SX_FIG_CROSS) {
		for (int i = -1; i <= 1; i += 2) {
			cairo_move_to(cr, x - r, y - i * r);
			cairo_line_to(cr, x + r, y + i * r);
		}
		return;
	} else if (marker == SX_FIG_STAR) {
		for (int i = 0; i < 10; i++) {
			double a = 6.28318530717958647692 * i / 10, out = (i % 2 ? 0.7 : 1.6) * r;
			cairo_line_to(cr, x + out * sin(a), y - out * cos(a));
		}
	} else {
		int sides = marker == SX_FIG_DIAMOND ? 4 : 3;
		double out = (marker == SX_FIG_DOWN ? -1 : 1) * (sides == 3 ? 1.4 : 1.25) * r;
		for (int i = 0; i < sides; i++) {
			double a = 6.28318530717958647692 * i / sides;
			cairo_line_to(cr, x + out * sin(a), y - out * cos(a));
		}
	}
	cairo_close_path(cr);
}

/* White inside, so that points on their own line stay visible. */
static void draw_marker(const pen *d, const sx_fig_look *l, double x, double y)
{
	cairo_t *cr = d->cr;
	trace_marker(cr, l->marker, x, y, 1.7 * d->s->line_pt);
	if (l->marker != SX_FIG_CROSS) {
		cairo_set_source_rgb(cr, 1, 1, 1);
		cairo_fill_preserve(cr);
	}
	set_look(d, l, 1, 1);
	cairo_set_dash(cr, NULL, 0, 0);
	cairo_set_line_width(cr, 0.8 * d->s->line_pt);
	cairo_stroke(cr);
}

/* In the colour that is set; width: of the line that it belongs to. */
static void draw_full_marker(const pen *d, sx_fig_marker marker, double x, double y, double width)
{
	trace_marker(d->cr, marker, x, y, 1.5 * width);
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, 0.8 * width);
	if (marker == SX_FIG_CROSS)
		cairo_stroke(d->cr);
	else
		cairo_fill(d->cr);
}

/* Full, and a little transparent, so that a cloud shows where it is dense. */
static void draw_dot(const pen *d, const sx_fig_look *l, double x, double y)
{
	set_look(d, l, 1, 0.75);
	draw_full_marker(d, l->marker, x, y, d->s->line_pt);
}

/* The values of a line that it does not reach, in its colour; width: of the line. */
static void draw_lone_points(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m,
			     sx_fig_marker marker, double width)
{
	double x, y;
	for (sx_fig_piece at = {0}; sx_fig_next_piece(p, m, &at);)
		if (at.lone && point(p, m->x[at.from], m->y[at.from], &x, &y))
			draw_full_marker(d, marker, x, y, width);
}

/* The intervals of a band where it has no width, as bars; of several there the first. */
static void draw_lone_intervals(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	for (sx_fig_piece at = {0}; sx_fig_next_piece(p, m, &at);) {
		double x, y, y2;
		if (!at.lone || !point(p, m->x[at.from], m->y[at.from], &x, &y)) continue;
		if (!point(p, m->x[at.from], m->high[at.from], &x, &y2)) continue;
		cairo_move_to(d->cr, x, y);
		cairo_line_to(d->cr, x, y2);
	}
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, 0.5 * d->s->line_pt);
	cairo_stroke(d->cr);
}

static void draw_points(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m,
			const sx_fig_look *l)
{
	double x, y;
	for (int64_t i = 0; i < m->n; i++)
		if (point(p, m->x[i], m->y[i], &x, &y))
			(m->kind == MARK_DOTS ? draw_dot : draw_marker)(d, l, x, y);
}

static void draw_intervals(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	bool across = m->kind == MARK_X_INTERVALS;
	double x, y, x2, y2;
	cairo_new_path(d->cr);
	for (int64_t i = 0; i < m->n; i++) {
		if (!point(p, m->x[i], m->y[i], &x, &y)) continue;
		if (!point(p, across ? m->high[i] : m->x[i], across ? m->y[i] : m->high[i], &x2,
			   &y2))
			continue;
		cairo_move_to(d->cr, x, y);
		cairo_line_to(d->cr, x2, y2);
	}
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, 0.5 * d->s->line_pt);
	cairo_stroke(d->cr);
}

static void draw_vline(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	double x = sx_fig_device_x(p, m->x[0]);
	if (!isfinite(x)) return;
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_move_to(d->cr, near_page(x), p->box.y);
	cairo_line_to(d->cr, near_page(x), p->box.y + p->box.h);
	if (sx_fig_is_heat(p)) { /* to be seen on dark cells and on light ones */
		set_grey(d, 1);
		cairo_set_line_width(d->cr, 4 * d->s->axis_pt);
		cairo_stroke_preserve(d->cr);
	}
	set_grey(d, sx_fig_is_heat(p) ? 0 : 0.45);
	cairo_set_line_width(d->cr, 1.2 * d->s->axis_pt);
	cairo_stroke(d->cr);
}

static void draw_rule(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	double y = sx_fig_device_y(p, m->y[0]);
	if (!isfinite(y)) return;
	set_grey(d, 1);
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, 1.6 * d->s->axis_pt);
	cairo_move_to(d->cr, p->box.x, near_page(y));
	cairo_line_to(d->cr, p->box.x + p->box.w, near_page(y));
	cairo_stroke(d->cr);
}

/* A line, and markers for what it does not reach. */
static void draw_curve(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m,
		       sx_fig_dash dash, sx_fig_marker marker, double width)
{
	set_dash(d, dash);
	cairo_set_line_width(d->cr, width);
	stroke_line(d, p, m);
	draw_lone_points(d, p, m, marker, width);
}

static void draw_mark(const pen *d, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	static const sx_fig_look plain = {{ink, ink, ink}, SX_FIG_SOLID, SX_FIG_CIRCLE};
	const sx_fig_look *l = m->series < 0 ? &plain : &d->f->series[m->series].look;
	switch (m->kind) {
	case MARK_HEAT:
		sx_fig_draw_heat(d->f, d->cr, p, m);
		break;
	case MARK_RULE:
		draw_rule(d, p, m);
		break;
	case MARK_VLINE:
		draw_vline(d, p, m);
		break;
	case MARK_BAND:
		set_look(d, l, 1, 0.2);
		fill_band(d, p, m);
		set_look(d, l, 1, 0.5);
		draw_lone_intervals(d, p, m);
		break;
	case MARK_GUIDE:
		set_grey(d, 0.45);
		draw_curve(d, p, m, SX_FIG_DOTTED, l->marker, d->s->axis_pt);
		break;
	case MARK_PALE:
		set_look(d, l, 1, 0.25);
		draw_curve(d, p, m, SX_FIG_SOLID, l->marker, 0.4 * d->s->line_pt);
		break;
	case MARK_LINE:
		set_look(d, l, 1, 1);
		draw_curve(d, p, m, l->dash, l->marker, d->s->line_pt);
		break;
	case MARK_X_INTERVALS:
	case MARK_Y_INTERVALS:
		set_look(d, l, 1, 0.5);
		draw_intervals(d, p, m);
		break;
	case MARK_PATH:
		set_look(d, l, 1, 0.8);
		set_dash(d, l->dash);
		cairo_set_line_width(d->cr, 0.6 * d->s->line_pt);
		stroke_line(d, p, m);
		break;
	case MARK_DOTS:
	case MARK_POINTS:
		draw_points(d, p, m, l);
		break;
	case MARK_NOTE:
	case MARK_LABEL:
		break; /* texts: not clipped, drawn later */
	}
}

static void draw_marks(const pen *d, const sx_fig_panel_data *p)
{
	cairo_save(d->cr);
	cairo_rectangle(d->cr, p->box.x, p->box.y, p->box.w, p->box.h);
	cairo_clip(d->cr);
	for (mark_kind kind = MARK_HEAT; kind < MARK_NOTE; kind++)
		for (int k = 0; k < p->n_mark; k++)
			if (p->mark[k].kind == kind) draw_mark(d, p, &p->mark[k]);
	cairo_restore(d->cr);
}

/* ---- axes and texts ---- */

static void draw_ticks(const pen *d, const sx_fig_panel_data *p)
{
	double bottom = p->box.y + p->box.h, left = p->box.x, len = d->s->tick_pt;
	/* Between heat maps there is no room for ticks; between lines they help to read. */
	bool outer = sx_fig_is_heat(p);
	for (int i = 0; i < p->x_ticks.n + p->x_ticks.n_minor; i++) {
		if (outer && !p->x_texts) break;
		bool major = i < p->x_ticks.n;
		double v = major ? p->x_ticks.at[i] : p->x_ticks.minor[i - p->x_ticks.n];
		double x = sx_fig_device_x(p, v);
		cairo_move_to(d->cr, x, bottom);
		cairo_line_to(d->cr, x, bottom + (major ? len : 0.55 * len));
	}
	for (int i = 0; i < p->y_ticks.n + p->y_ticks.n_minor; i++) {
		if (outer && !p->y_texts) break;
		bool major = i < p->y_ticks.n;
		double v = major ? p->y_ticks.at[i] : p->y_ticks.minor[i - p->y_ticks.n];
		double y = sx_fig_device_y(p, v);
		cairo_move_to(d->cr, left, y);
		cairo_line_to(d->cr, left - (major ? len : 0.55 * len), y);
	}
}

static void draw_axes(const pen *d, const sx_fig_panel_data *p)
{
	set_grey(d, ink);
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, d->s->axis_pt);
	cairo_move_to(d->cr, p->box.x, p->box.y);
	cairo_line_to(d->cr, p->box.x, p->box.y + p->box.h);
	cairo_line_to(d->cr, p->box.x + p->box.w, p->box.y + p->box.h);
	draw_ticks(d, p);
	cairo_stroke(d->cr);
}

static void draw_axis_texts(const pen *d, const sx_fig_panel_data *p)
{
	double small = d->s->small_pt, len = d->s->tick_pt + 0.4 * small;
	double base = p->box.y + p->box.h + len + SX_TEXT_CAP * small + p->raised;

	set_grey(d, 0);
	for (int i = 0; p->x_texts && i < p->x_ticks.n; i++)
		sx_text_draw(d->t, d->cr, p->x_ticks.text[i], small,
			     sx_fig_device_x(p, p->x_ticks.at[i]), base, 0.5, false);
	for (int i = 0; p->y_texts && i < p->y_ticks.n; i++) {
		double y = sx_fig_device_y(p, p->y_ticks.at[i]) + SX_TEXT_CAP / 2 * small;
		sx_text_draw(d->t, d->cr, p->y_ticks.text[i], small, p->box.x - len, y, 1, false);
	}
}

/* Where the middle of an upright text goes that would best stand at y: on the page. */
static double on_page(const pen *d, const char *markup, double size, double y)
{
	double half = sx_text_width(d->t, markup, size) / 2;
	return fmax(half, fmin(y, d->f->height - half));
}

/* The labels of the axes along `box`: a panel's, or that of all panels. */
static void draw_axis_labels(const pen *d, const sx_fig_panel_data *p, sx_rect box)
{
	double small = d->s->small_pt, font = d->s->font_pt;
	double base = box.y + box.h + d->s->tick_pt + (0.4 + SX_TEXT_CAP) * small + p->raised;
	set_grey(d, 0);
	sx_text_draw(d->t, d->cr, p->x_full, font, box.x + box.w / 2,
		     base + (0.6 + SX_TEXT_CAP) * font, 0.5, false);
	sx_text_draw(d->t, d->cr, p->y_full, font, box.x - d->f->left + (0.1 + SX_TEXT_CAP) * font,
		     on_page(d, p->y_full, font, box.y + box.h / 2), 0.5, true);
}

static sx_rect around_all(const sx_fig *f)
{
	sx_rect r = f->panel[0].box;
	double right = 0, bottom = 0;
	for (int i = 0; i < f->n_panel; i++) {
		const sx_rect *b = &f->panel[i].box;
		r.x = fmin(r.x, b->x);
		r.y = fmin(r.y, b->y);
		right = fmax(right, b->x + b->w);
		bottom = fmax(bottom, b->y + b->h);
	}
	r.w = right - r.x;
	r.h = bottom - r.y;
	return r;
}

static void draw_texts(const pen *d, const sx_fig_panel_data *p)
{
	set_grey(d, 0);
	double title = sx_fig_title_size(d->f);
	sx_text_draw(d->t, d->cr, p->title, title, p->box.x,
		     p->box.y - (d->f->shared ? 0.35 : 0.5) * title, 0, false);
	set_grey(d, ink);
	for (int k = 0; k < p->n_mark; k++) {
		const sx_fig_mark *m = &p->mark[k];
		if (m->markup && !isnan(m->text_x))
			sx_text_draw(d->t, d->cr, m->markup, d->s->small_pt, m->text_x, m->text_y,
				     m->text_align, false);
	}
	if (p->is_empty)
		sx_text_draw(d->t, d->cr, "no values", d->s->small_pt, p->box.x + p->box.w / 2,
			     p->box.y + p->box.h / 2, 0.5, false);
}

static void draw_bar_texts(const pen *d)
{
	const sx_fig *f = d->f;
	double small = d->s->small_pt, font = d->s->font_pt, right = f->bar.x + f->bar.w;
	set_grey(d, 0);
	for (int i = 0; i < f->bar_ticks.n; i++)
		sx_text_draw(d->t, d->cr, f->bar_ticks.text[i], small,
			     right + d->s->tick_pt + 0.4 * small,
			     sx_fig_bar_y(f, f->bar_ticks.at[i]) + SX_TEXT_CAP / 2 * small, 0,
			     false);
	sx_text_draw(d->t, d->cr, f->bar_full, font, f->width - (SX_TEXT_DEEP + 0.05) * font,
		     on_page(d, f->bar_full, font, f->bar.y + f->bar.h / 2), 0.5, true);
	set_grey(d, ink);
	cairo_set_dash(d->cr, NULL, 0, 0);
	cairo_set_line_width(d->cr, d->s->axis_pt);
	cairo_rectangle(d->cr, f->bar.x, f->bar.y, f->bar.w, f->bar.h);
	for (int i = 0; i < f->bar_ticks.n; i++) {
		double y = sx_fig_bar_y(f, f->bar_ticks.at[i]);
		cairo_move_to(d->cr, right, y);
		cairo_line_to(d->cr, right + d->s->tick_pt, y);
	}
	cairo_stroke(d->cr);
}

/* ---- the key ---- */

static void draw_sample(const pen *d, const sx_fig_series_data *s, double x, double y)
{
	double w = sx_fig_key_sample(d->f), side = 0.7 * d->s->small_pt;
	if (s->has_patch) {
		unsigned char rgb[3];
		sx_fig_colour_of(&d->f->colours, (double)INFINITY, rgb);
		cairo_set_source_rgb(d->cr, rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0);
		cairo_rectangle(d->cr, x + (w - side) / 2, y - side / 2, side, side);
		cairo_fill(d->cr);
	}
	if (s->has_line || s->is_empty) {
		set_look(d, &s->look, 1, 1);
		set_dash(d, s->look.dash);
		cairo_set_line_width(d->cr, d->s->line_pt);
		cairo_move_to(d->cr, x, y);
		cairo_line_to(d->cr, x + w, y);
		cairo_stroke(d->cr);
	}
	if (s->has_points) {
		draw_marker(d, &s->look, x + w / 2, y);
	} else if (s->has_dots) {
		draw_dot(d, &s->look, x + w / 2, y);
	} else if (s->has_lone) {
		set_look(d, &s->look, 1, 1);
		draw_full_marker(d, s->look.marker, x + w / 2, y, d->s->line_pt);
	}
}

static void draw_key(const pen *d)
{
	const sx_fig *f = d->f;
	const sx_rect *r = &f->key_box, *box = &f->panel[f->key_panel].box;
	double small = d->s->small_pt, half = SX_TEXT_CAP / 2 * small, line = 1.35 * small;

	for (int i = 0, k = 0; i < f->n_series && f->key != KEY_NONE; i++) {
		const sx_fig_series_data *s = &f->series[i];
		if (!sx_fig_in_key(f, i)) continue;
		if (f->key == KEY_DIRECT) {
			set_look(d, &s->look, 0.8, 1);
			sx_text_draw(d->t, d->cr, sx_fig_key_text(s), small,
				     box->x + box->w + 0.5 * small, s->key_y + half, 0, false);
			continue;
		}
		int columns = f->key == KEY_STRIP ? f->key_columns : 1;
		double x = r->x + k % columns * f->key_column;
		double y = r->y + (k / columns + 0.5) * line;
		draw_sample(d, s, x, y);
		set_grey(d, 0);
		sx_text_draw(d->t, d->cr, sx_fig_key_text(s), small,
			     x + sx_fig_key_sample(f) + 0.5 * small, y + half, 0, false);
		k++;
	}
}

static void draw(const sx_fig *f, sx_text *t, cairo_t *cr)
{
	pen d = {f, f->style, t, cr};
	cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
	for (int i = 0; i < f->n_panel; i++) {
		draw_marks(&d, &f->panel[i]);
		draw_axes(&d, &f->panel[i]);
		draw_axis_texts(&d, &f->panel[i]);
		if (!f->shared) draw_axis_labels(&d, &f->panel[i], f->panel[i].box);
		draw_texts(&d, &f->panel[i]);
	}
	if (f->shared && f->n_panel > 0) draw_axis_labels(&d, &f->panel[0], around_all(f));
	if (f->has_heat) {
		sx_fig_draw_bar(f, cr);
		draw_bar_texts(&d);
	}
	if (f->n_panel > 0) draw_key(&d);
}

/* ---- files ---- */

typedef enum { PDF, SVG, PNG } format;

static bool format_of(const char *path, format *out)
{
	static const char *const ending[] = {[PDF] = ".pdf", [SVG] = ".svg", [PNG] = ".png"};
	size_t n = strlen(path);
	for (format k = PDF; k <= PNG; k++)
		if (n > 4 && strcmp(path + n - 4, ending[k]) == 0) {
			*out = k;
			return true;
		}
	return false;
}

static cairo_status_t put_bytes(void *out, const unsigned char *data, unsigned int n)
{
	return fwrite(data, 1, n, out) == n ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

/* Cairo 1.16 writes the clock's time unless told otherwise, SOURCE_DATE_EPOCH or not. */
static void set_pdf_metadata(cairo_surface_t *s, const sx_fig *f)
{
	char date[32] = "";
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	char *end = NULL;
	long long seconds = epoch ? strtoll(epoch, &end, 10) : 0;
	struct tm utc;
	if (epoch && end != epoch && *end == '\0' && gmtime_r(&(time_t){(time_t)seconds}, &utc))
		strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
	cairo_pdf_surface_set_metadata(s, CAIRO_PDF_METADATA_CREATE_DATE, date);
	cairo_pdf_surface_set_metadata(s, CAIRO_PDF_METADATA_CREATOR, "Sextant");
	cairo_pdf_surface_set_metadata(s, CAIRO_PDF_METADATA_TITLE, f->title ? f->title : "");
	cairo_pdf_surface_set_metadata(s, CAIRO_PDF_METADATA_SUBJECT, sx_fig_alt(f));
}

static cairo_surface_t *new_surface(const sx_fig *f, format kind, FILE *out)
{
	if (kind == PDF) {
		cairo_surface_t *s =
			cairo_pdf_surface_create_for_stream(put_bytes, out, f->width, f->height);
		set_pdf_metadata(s, f);
		return s;
	}
	if (kind == SVG)
		return cairo_svg_surface_create_for_stream(put_bytes, out, f->width, f->height);
	double scale = f->png_dpi / 72;
	return cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)lround(f->width * scale),
					  (int)lround(f->height * scale));
}

static cairo_status_t draw_file(const sx_fig *f, sx_text *t, format kind, FILE *out)
{
	cairo_surface_t *s = new_surface(f, kind, out);
	cairo_t *cr = cairo_create(s);
	if (kind == PNG) {
		cairo_scale(cr, f->png_dpi / 72, f->png_dpi / 72);
		cairo_set_source_rgb(cr, 1, 1, 1);
		cairo_paint(cr);
	}
	draw(f, t, cr);
	cairo_status_t status = cairo_status(cr);
	cairo_destroy(cr);
	if (kind == PNG && status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_write_to_png_stream(s, put_bytes, out);
	cairo_surface_finish(s);
	if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_status(s);
	cairo_surface_destroy(s);
	return status;
}

sx_status sx_fig_save(sx_fig *f, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_text text = {0};
	char *bytes = NULL, *finished = NULL;
	size_t size = 0;
	FILE *out = NULL;
	format kind;

	if (f->st != SX_OK) return sx_fail(ctx, f->st, "out of memory while building the figure");
	if (!format_of(path, &kind))
		return sx_fail(ctx, SX_EUSAGE, "%s: a figure ends in .pdf, .svg or .png", path);
	SX_TRY(sx_text_init(&text, ctx));
	SX_TRY(sx_fig_layout(f, &text, ctx));
	out = open_memstream(&bytes, &size);
	cairo_status_t cs = out ? draw_file(f, &text, kind, out) : CAIRO_STATUS_NO_MEMORY;
	if (out && fclose(out) != 0) cs = CAIRO_STATUS_NO_MEMORY;
	if (cs != CAIRO_STATUS_SUCCESS) {
		st = sx_fail(ctx, cs == CAIRO_STATUS_NO_MEMORY ? SX_ENOMEM : SX_EINTERNAL,
			     "%s could not be drawn: %s", path, cairo_status_to_string(cs));
		goto out;
	}
	if (kind == SVG) {
		finished = sx_fig_finish_svg(f, bytes);
		size = finished ? strlen(finished) : 0;
		if (!finished) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for %s", path));
	}
	st = sx_write_file(ctx, path, finished ? finished : bytes, size);
out:
	free(finished);
	free(bytes);
	sx_text_free(&text);
	return st;
}

/* The key, and small texts beside marks: where each has room. */
#include <math.h>

#include "analysis/figure/internal.h"

static double line_height(const sx_fig_style *s)
{
	return 1.35 * s->small_pt;
}

static bool has_intervals(const sx_fig_mark *m)
{
	return m->kind == MARK_X_INTERVALS || m->kind == MARK_Y_INTERVALS;
}

/* What of a series a mark shows. */
static void add_use(sx_fig_series_data *s, const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	if (m->kind == MARK_POINTS) {
		s->has_points = true;
	} else if (m->kind == MARK_DOTS) {
		s->has_dots = true;
	} else if (m->kind == MARK_LINE || m->kind == MARK_PALE || m->kind == MARK_BAND) {
		bool *lone = m->kind == MARK_BAND ? &s->has_bars : &s->has_lone;
		for (sx_fig_piece at = {0}; sx_fig_next_piece(p, m, &at);)
			*(at.lone ? lone : &s->has_line) = true;
	} else if (!has_intervals(m)) {
		s->has_line = true;
	}
}

void sx_fig_mark_key_use(sx_fig *f)
{
	for (int i = 0; i < f->n_series; i++) {
		sx_fig_series_data *s = &f->series[i];
		s->has_line = s->entry == ENTRY_LINE;
		s->has_points = s->entry == ENTRY_POINT;
		s->has_dots = s->entry == ENTRY_DOT;
		s->has_patch = s->entry == ENTRY_PATCH;
		s->has_lone = s->has_bars = s->is_empty = false;
	}
	for (int i = 0; i < f->n_panel; i++) {
		sx_fig_panel_data *p = &f->panel[i];
		bool data = false, values = false;
		for (int k = 0; k < p->n_mark; k++) {
			const sx_fig_mark *m = &p->mark[k];
			bool any = sx_fig_has_values(p, m);
			if (!sx_fig_holds_data(m)) continue;
			data = true;
			values = values || any;
			if (any && m->series >= 0) add_use(&f->series[m->series], p, m);
			if (!any && m->series >= 0 && !has_intervals(m))
				f->series[m->series].is_empty = true;
		}
		p->is_empty = data && !values;
	}
	for (int i = 0; i < f->n_series; i++) {
		sx_fig_series_data *s = &f->series[i];
		bool shown = s->has_line || s->has_lone || s->has_points || s->has_dots;
		if (!shown && s->has_bars) s->has_line = shown = true;
		if (shown) s->is_empty = false;
	}
}

const char *sx_fig_key_text(const sx_fig_series_data *s)
{
	return s->is_empty ? s->empty_markup : s->markup;
}

int sx_fig_key_count(const sx_fig *f)
{
	int n = 0;
	for (int i = 0; i < f->n_series; i++) n += sx_fig_in_key(f, i);
	return n;
}

double sx_fig_key_width(const sx_fig *f, sx_text *t)
{
	double w = 0;
	for (int i = 0; i < f->n_series; i++)
		if (sx_fig_in_key(f, i))
			w = fmax(w, sx_text_width(t, sx_fig_key_text(&f->series[i]),
						  f->style->small_pt));
	return w;
}

/* The height at which the line of a series leaves the panel at the right; NaN if it ends before. */
static double end_height(const sx_fig_panel_data *p, int series)
{
	for (int k = 0; k < p->n_mark; k++) {
		const sx_fig_mark *m = &p->mark[k];
		if (m->kind != MARK_LINE || m->series != series) continue;
		for (int64_t i = m->n - 1; i >= 0; i--) {
			double x = sx_scale_unit(p->x.map, p->x0, p->x1, m->x[i]);
			if (!isfinite(m->y[i]) || !isfinite(x)) continue;
			return x > 0.9 && x <= 1.001 ? sx_fig_device_y(p, m->y[i]) : (double)NAN;
		}
	}
	return (double)NAN;
}

/* Labels at the ends of the lines, if there are at most four, the panels keep most of the page, and
 * each stays within most of a line of text of its line. Needs the box's height only. */
bool sx_fig_place_direct(sx_fig *f, const sx_fig_panel_data *p, sx_text *t)
{
	int order[4], n = 0;
	double want[4], at[4], h = 1.15 * f->style->small_pt;
	if (sx_fig_key_width(f, t) > 0.2 * f->width) return false;
	for (int i = 0; i < f->n_series; i++) {
		if (!sx_fig_in_key(f, i)) continue;
		double y = end_height(p, i);
		if (n == 4 || isnan(y) || f->series[i].has_points || f->series[i].has_dots)
			return false;
		if (y < p->box.y || y > p->box.y + p->box.h) return false;
		int k = n++;
		for (; k > 0 && want[k - 1] > y; k--)
			want[k] = want[k - 1], order[k] = order[k - 1];
		want[k] = y;
		order[k] = i;
	}
	for (int k = 0; k < n; k++) at[k] = k > 0 ? fmax(want[k], at[k - 1] + h) : want[k];
	/* Share what was pushed down between both directions. */
	double shift = n ? (at[n - 1] - want[n - 1]) / 2 : 0;
	for (int k = n - 1; k >= 0; k--) {
		at[k] -= shift;
		if (k < n - 1) at[k] = fmin(at[k], at[k + 1] - h);
		if (fabs(at[k] - want[k]) > 0.8 * h) return false;
		f->series[order[k]].key_y = at[k];
	}
	return n > 0;
}

/* Does the segment a-b meet the rectangle? (Liang and Barsky) */
static bool meets(sx_rect r, double ax, double ay, double bx, double by)
{
	double t0 = 0, t1 = 1, dx = bx - ax, dy = by - ay;
	const double d[4] = {-dx, dx, -dy, dy};
	const double q[4] = {ax - r.x, r.x + r.w - ax, ay - r.y, r.y + r.h - ay};
	for (int i = 0; i < 4; i++) {
		if (d[i] == 0) {
			if (q[i] < 0) return false;
		} else if (d[i] < 0) {
			t0 = fmax(t0, q[i] / d[i]);
		} else {
			t1 = fmin(t1, q[i] / d[i]);
		}
	}
	return t0 <= t1;
}

static bool has_markers(const sx_fig_mark *m)
{
	return m->kind == MARK_POINTS || m->kind == MARK_DOTS;
}

static double hits_intervals(const sx_fig_panel_data *p, const sx_fig_mark *m, sx_rect r)
{
	double hits = 0;
	bool across = m->kind == MARK_X_INTERVALS;
	for (int64_t i = 0; i < m->n; i++) {
		double ax = sx_fig_device_x(p, m->x[i]), ay = sx_fig_device_y(p, m->y[i]);
		double bx = across ? sx_fig_device_x(p, m->high[i]) : ax;
		double by = across ? ay : sx_fig_device_y(p, m->high[i]);
		if (isfinite(ax) && isfinite(ay) && isfinite(bx) && isfinite(by))
			hits += meets(r, ax, ay, bx, by);
	}
	return hits;
}

static bool meets_text(const sx_fig_mark *m, sx_text *t, double size, sx_rect r)
{
	double w = sx_text_width(t, m->markup, size);
	double x = m->text_x - m->text_align * w, y = m->text_y - SX_TEXT_CAP * size;
	return x < r.x + r.w && x + w > r.x && y < r.y + r.h &&
	       m->text_y + SX_TEXT_DEEP * size > r.y; /* NaN: it is left out */
}

static double hits_along(const sx_fig_panel_data *p, const sx_fig_mark *m, const double *y,
			 sx_rect r)
{
	double hits = 0, ax = (double)NAN, ay = (double)NAN;
	for (int64_t i = 0; i < m->n; i++) {
		double bx = sx_fig_device_x(p, m->x[i]), by = sx_fig_device_y(p, y[i]);
		if (has_markers(m) || !isfinite(ax) || !isfinite(ay)) ax = bx, ay = by;
		if (isfinite(bx) && isfinite(by) && meets(r, ax, ay, bx, by)) hits++;
		ax = bx, ay = by;
	}
	return hits;
}

/* How much of the panel's marks lies in the rectangle; 0 = free. */
static double hits_in(const sx_fig *f, const sx_fig_panel_data *p, sx_text *t, sx_rect r)
{
	double hits = 0, size = f->style->small_pt;
	for (int k = 0; k < p->n_mark; k++) {
		const sx_fig_mark *m = &p->mark[k];
		if (m->kind == MARK_VLINE) {
			double x = sx_fig_device_x(p, m->x[0]);
			hits += x >= r.x && x <= r.x + r.w;
		} else if (m->kind >= MARK_NOTE) {
			hits += meets_text(m, t, size, r);
		} else if (has_intervals(m)) {
			hits += hits_intervals(p, m, r);
		} else {
			hits += hits_along(p, m, m->y, r);
			if (m->high) hits += hits_along(p, m, m->high, r);
		}
	}
	return hits;
}

/* The freest of the corners, then of a few places between them along top and bottom. */
bool sx_fig_place_corner(sx_fig *f, const sx_fig_panel_data *p, sx_text *t)
{
	static const double places[][2] = {{1, 0},   {0, 1},    {0, 0},    {1, 1},   {0.75, 0},
					   {0.5, 0}, {0.25, 0}, {0.25, 1}, {0.5, 1}, {0.75, 1}};
	double gap = 0.5 * f->style->small_pt;
	sx_rect r = {.w = sx_fig_key_sample(f) + gap + sx_fig_key_width(f, t),
		     .h = sx_fig_key_count(f) * line_height(f->style)};
	if (r.w + 2 * gap > p->box.w || r.h + 2 * gap > p->box.h) return false;

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		r.x = p->box.x + gap + places[i][0] * (p->box.w - r.w - 2 * gap);
		r.y = p->box.y + gap + places[i][1] * (p->box.h - r.h - 2 * gap);
		sx_rect around = {r.x - gap, r.y - gap / 2, r.w + 2 * gap, r.h + gap};
		if (hits_in(f, p, t, around) > 0) continue;
		f->key_box = r;
		return true;
	}
	return false;
}

/* Entries in equal columns across the page. */
void sx_fig_place_strip(sx_fig *f, sx_text *t)
{
	double s = f->style->small_pt, n = sx_fig_key_count(f);
	f->key_column = sx_fig_key_sample(f) + 0.5 * s + sx_fig_key_width(f, t) + 1.5 * s;
	f->key_columns = (int)fmax(1, fmin(n, floor((f->width + 1.5 * s) / f->key_column)));
	double lines = ceil(n / f->key_columns);
	f->key_box.w = fmin(n, f->key_columns) * f->key_column - 1.5 * s;
	f->key_box.h = lines * line_height(f->style);
	f->key_box.x = fmax(0, (f->width - f->key_box.w) / 2);
	f->key_box.y = 0;
}

/* ---- texts beside marks ---- */

static void place_vline_labels(const sx_fig *f, sx_fig_panel_data *p, sx_text *t)
{
	double size = f->style->small_pt, gap = 0.6 * size;
	double taken = p->box.x - gap; /* labels go from left to right after the title */
	if (p->title[0]) taken += sx_text_width(t, p->title, sx_fig_title_size(f)) + gap;
	for (int k = 0; k < p->n_mark; k++) {
		sx_fig_mark *m = &p->mark[k];
		if (m->kind != MARK_VLINE) continue;
		double w = sx_text_width(t, m->markup, size);
		double x = fmin(sx_fig_device_x(p, m->x[0]) - w / 2, p->box.x + p->box.w - w);
		if (!isfinite(sx_fig_device_x(p, m->x[0]))) {
			m->text_x = (double)NAN;
			continue;
		}
		m->text_x = fmax(x, taken + gap);
		m->text_y = p->box.y - 0.35 * size;
		taken = m->text_x + w;
	}
}

static void place_note(const sx_fig *f, sx_fig_panel_data *p, sx_text *t, sx_fig_mark *m)
{
	double size = f->style->small_pt, w = sx_text_width(t, m->markup, size);
	double x = sx_fig_device_x(p, m->x[0]), y = sx_fig_device_y(p, m->y[0]);
	double top = p->box.y + (0.3 + SX_TEXT_CAP) * size, least = (double)INFINITY;
	if (!isfinite(x) || m->y[0] < -SX_FIG_BEYOND) return; /* left out */
	if (!(y > top)) y = top;

	/* Beside the point, ever farther off, as long as something is in the way. */
	for (double off = 0.4; off < 3 && least > 0; off += 0.4)
		for (int side = 0; side < 2; side++) {
			double left = side == 0 ? x + off * size : x - off * size - w;
			if (left < p->box.x || left + w > p->box.x + p->box.w) continue;
			double hits =
				hits_in(f, p, t, (sx_rect){left, y - SX_TEXT_CAP * size, w, size});
			if (hits >= least) continue;
			least = hits;
			m->text_x = left;
		}
	if (isinf(least)) m->text_x = fmin(fmax(x, p->box.x), p->box.x + p->box.w - w);
	m->text_y = y;
}

/* Markers and texts must not be covered; lines may be where nothing else is free. */
static bool is_covered(const sx_fig *f, const sx_fig_panel_data *p, sx_text *t, sx_rect r)
{
	double size = f->style->small_pt, radius = 1.7 * f->style->line_pt;
	sx_rect wide = {r.x - radius, r.y - radius, r.w + 2 * radius, r.h + 2 * radius};
	for (int k = 0; k < p->n_mark; k++) {
		const sx_fig_mark *m = &p->mark[k];
		if (m->kind >= MARK_NOTE && meets_text(m, t, size, r)) return true;
		if (has_markers(m) && hits_along(p, m, m->y, wide) > 0) return true;
	}
	return false;
}

/* Right, left, above, below and between, then the same a little farther off. */
static void place_label(const sx_fig *f, const sx_fig_panel_data *p, sx_text *t, sx_fig_mark *m)
{
	static const double side[][2] = {{1, 0},  {-1, 0}, {0, -1},  {0, 1},
					 {1, -1}, {1, 1},  {-1, -1}, {-1, 1}};
	double size = f->style->small_pt, w = sx_text_width(t, m->markup, size);
	double h = SX_TEXT_CAP * size, least = (double)INFINITY;
	double x = sx_fig_device_x(p, m->x[0]), y = sx_fig_device_y(p, m->y[0]);
	if (!isfinite(x) || !isfinite(y)) return;
	for (double off = 0.6; off < 1.5; off += 0.4)
		for (int k = 0; k < 8; k++) {
			double gap = (off + (k < 4 ? 0 : -0.2)) * size;
			sx_rect r = {x + side[k][0] * (gap + w / 2) - w / 2,
				     y + side[k][1] * (gap + h / 2) - h / 2, w, h};
			if (r.x < p->box.x || r.x + w > p->box.x + p->box.w) continue;
			if (r.y < p->box.y || r.y + h > p->box.y + p->box.h) continue;
			if (is_covered(f, p, t, r)) continue;
			double hits = hits_in(f, p, t, r);
			if (hits >= least) continue;
			least = hits;
			m->text_x = r.x;
			m->text_y = r.y + h;
		}
}

static void place_notes(const sx_fig *f, sx_fig_panel_data *p, sx_text *t)
{
	for (int k = 0; k < p->n_mark; k++) /* not yet in anybody's way */
		if (p->mark[k].kind >= MARK_NOTE) p->mark[k].text_x = (double)NAN;
	for (int k = 0; k < p->n_mark; k++)
		if (p->mark[k].kind == MARK_NOTE) place_note(f, p, t, &p->mark[k]);
	for (int k = 0; k < p->n_mark; k++)
		if (p->mark[k].kind == MARK_LABEL) place_label(f, p, t, &p->mark[k]);
}

void sx_fig_place_texts(const sx_fig *f, sx_fig_panel_data *p, sx_text *t)
{
	place_vline_labels(f, p, t);
	place_notes(f, p, t);
}

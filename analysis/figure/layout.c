/* Where things go: limits, ticks, margins, panels, labels, key. Measures text, draws nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/internal.h"

static const double golden = 1.61803398874989484820;

double sx_fig_device_x(const sx_fig_panel_data *p, double x)
{
	return p->box.x + p->box.w * sx_scale_unit(p->x.map, p->x0, p->x1, x);
}

double sx_fig_device_y(const sx_fig_panel_data *p, double y)
{
	return p->box.y + p->box.h * (1 - sx_scale_unit(p->y.map, p->y0, p->y1, y));
}

double sx_fig_key_sample(const sx_fig_style *s)
{
	return 2.4 * s->font_pt;
}

static double line_height(const sx_fig_style *s)
{
	return 1.35 * s->small_pt;
}

/* ---- limits ---- */

typedef struct {
	double lo, hi;
	int64_t lost; /* not shown: zero or negative on a log axis */
} range;

/* What is larger, or not a number, does not widen an axis: its ticks could not be computed. */
static const double beyond = 1e100;

static void widen(range *r, const double *v, int64_t n, sx_fig_map map)
{
	for (int64_t i = 0; v && i < n; i++) {
		if (!(fabs(v[i]) < beyond)) continue;
		if (map == SX_FIG_LOG10 && v[i] <= 0) {
			r->lost++;
			continue;
		}
		if (!(r->lo <= v[i])) r->lo = v[i];
		if (!(r->hi >= v[i])) r->hi = v[i];
	}
}

static void report_lost(const sx_fig *f, int panel, const sx_fig_mark *m, char axis, int64_t lost,
			sx_ctx *ctx)
{
	if (lost == 0) return;
	sx_log(ctx, SX_LOG_WARN,
	       "panel (%c): %lld of %lld values of \"%s\" are zero or negative and cannot be shown "
	       "on the logarithmic %c axis",
	       'a' + panel % 26, (long long)lost, (long long)m->n,
	       m->series < 0 ? m->label : f->series[m->series].label, axis);
}

/* From what was asked for, what the data fill, and a margin where the data decide. */
static void settle(double *lo, double *hi, const sx_fig_axis *a, range r, double margin)
{
	bool log = a->map == SX_FIG_LOG10;
	bool own_lo = fabs(a->lo) < beyond && !(log && a->lo <= 0);
	bool own_hi = fabs(a->hi) < beyond && !(log && a->hi <= 0);
	double l = own_lo ? a->lo : r.lo, h = own_hi ? a->hi : r.hi;

	if (own_hi && !own_lo && l >= h)
		l = (double)NAN; /* all data lie outside of what was asked for */
	if (own_lo && !own_hi && h <= l) h = (double)NAN;
	if (isnan(l) && isnan(h))
		l = log ? 1 : 0, h = log ? 10 : 1;
	else if (isnan(l))
		l = log ? h / 10 : h - 1;
	else if (isnan(h))
		h = log ? l * 10 : l + 1;
	if (l > h) h = l;
	if (log) l = log10(l), h = log10(h);
	/* A range too narrow for ticks of 15 digits counts as a single value. */
	double least = 1e-9 * fmax(fabs(l), fabs(h));
	if (h - l <= least) {
		double by = log ? 0.5 : fmax(0.5, 0.05 * fabs(l));
		l -= by, h += by;
	} else {
		double by = margin * (h - l);
		if (!own_lo) l -= by;
		if (!own_hi) h += by;
	}
	*lo = log ? pow(10, l) : l;
	*hi = log ? pow(10, h) : h;
}

static void find_limits(sx_fig *f, int panel, sx_ctx *ctx)
{
	sx_fig_panel_data *p = &f->panel[panel];
	range x = {(double)NAN, (double)NAN, 0}, y = {(double)NAN, (double)NAN, 0};
	for (int i = 0; i < p->n_mark; i++) {
		const sx_fig_mark *m = &p->mark[i];
		int64_t x_lost = x.lost, y_lost = y.lost;
		widen(&x, m->x, m->n, p->x.map);
		widen(&y, m->y, m->n, p->y.map);
		widen(&y, m->high, m->n, p->y.map);
		report_lost(f, panel, m, 'x', x.lost - x_lost, ctx);
		report_lost(f, panel, m, 'y', y.lost - y_lost, ctx);
	}
	settle(&p->x0, &p->x1, &p->x, x, 0.02);
	settle(&p->y0, &p->y1, &p->y, y, 0.05);
}

/* ---- ticks and axis labels ---- */

static sx_status full_label(char **out, const char *label, int exponent)
{
	free(*out);
	*out = exponent == 0 ? sx_strdup(label)
			     : sx_format("%s (\u00D710<sup>%s%d</sup>)", label,
					 exponent < 0 ? "\u2212" : "", abs(exponent));
	return *out ? SX_OK : SX_ENOMEM;
}

static sx_status y_ticks(const sx_fig *f, sx_fig_panel_data *p)
{
	int target = (int)fmax(3, p->box.h / (3 * f->style->small_pt));
	sx_ticks_make(&p->y_ticks, p->y.map, p->y0, p->y1, target, p->y.integer);
	return full_label(&p->y_full, p->y_label, p->y_ticks.exponent);
}

static bool crowded(const sx_fig_panel_data *p, sx_text *t, double size)
{
	double end = -(double)INFINITY;
	for (int i = 0; i < p->x_ticks.n; i++) {
		double w = sx_text_width(t, p->x_ticks.text[i], size);
		double x = sx_fig_device_x(p, p->x_ticks.at[i]);
		if (x - w / 2 < end + 0.8 * size) return true;
		end = x + w / 2;
	}
	return false;
}

static sx_status x_ticks(const sx_fig *f, sx_text *t, sx_fig_panel_data *p)
{
	double size = f->style->small_pt;
	int target = (int)(p->box.w / (4.5 * size));
	do sx_ticks_make(&p->x_ticks, p->x.map, p->x0, p->x1, target, p->x.integer);
	while (crowded(p, t, size) && --target >= 2);
	/* Numbers too long even for two of them: every second one. */
	while (crowded(p, t, size)) {
		p->x_ticks.n = (p->x_ticks.n + 1) / 2;
		for (int i = 1; i < p->x_ticks.n; i++) {
			p->x_ticks.at[i] = p->x_ticks.at[2 * i];
			memcpy(p->x_ticks.text[i], p->x_ticks.text[2 * i], SX_TICK_TEXT);
		}
	}
	return full_label(&p->x_full, p->x_label, p->x_ticks.exponent);
}

/* ---- margins around the boxes ---- */

static double bottom_margin(const sx_fig *f, const sx_fig_panel_data *p)
{
	const sx_fig_style *s = f->style;
	return s->tick_pt + (0.4 + SX_TEXT_CAP) * s->small_pt + p->raised +
	       (0.6 + SX_TEXT_CAP + SX_TEXT_DEEP) * s->font_pt;
}

static double left_margin(const sx_fig *f, sx_text *t, const sx_fig_panel_data *p)
{
	const sx_fig_style *s = f->style;
	double widest = 0;
	for (int i = 0; i < p->y_ticks.n; i++)
		widest = fmax(widest, sx_text_width(t, p->y_ticks.text[i], s->small_pt));
	/* Parentheses rise a little above capitals. */
	double label = p->y_label[0] ? (0.6 + SX_TEXT_CAP + SX_TEXT_DEEP) * s->font_pt : 0;
	return s->tick_pt + 0.4 * s->small_pt + widest + label;
}

/* A title or the label of a vertical line stands above the box; else half a tick label may. */
static double top_margin(const sx_fig *f, const sx_fig_panel_data *p)
{
	if (p->title[0]) return (0.7 + SX_TEXT_CAP) * f->style->font_pt;
	for (int i = 0; i < p->n_mark; i++)
		if (p->mark[i].kind == MARK_VLINE) return (0.7 + SX_TEXT_CAP) * f->style->small_pt;
	return 0.5 * f->style->small_pt;
}

/* How far the last tick label reaches beyond the box. */
static double right_margin(const sx_fig *f, sx_text *t, const sx_fig_panel_data *p)
{
	double over = f->style->axis_pt;
	for (int i = 0; i < p->x_ticks.n; i++) {
		double w = sx_text_width(t, p->x_ticks.text[i], f->style->small_pt);
		double end = sx_fig_device_x(p, p->x_ticks.at[i]) + w / 2;
		over = fmax(over, end - p->box.x - p->box.w);
	}
	return over;
}

/* ---- the key ---- */

static bool in_key(const sx_fig *f, int series)
{
	const sx_fig_series_data *s = &f->series[series];
	return s->markup[0] && (s->has_line || s->has_points);
}

static int key_count(const sx_fig *f)
{
	int n = 0;
	for (int i = 0; i < f->n_series; i++) n += in_key(f, i);
	return n;
}

static double key_text_width(const sx_fig *f, sx_text *t)
{
	double w = 0;
	for (int i = 0; i < f->n_series; i++)
		if (in_key(f, i))
			w = fmax(w, sx_text_width(t, f->series[i].markup, f->style->small_pt));
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
static bool place_direct(sx_fig *f, const sx_fig_panel_data *p, sx_text *t)
{
	int order[4], n = 0;
	double want[4], at[4], h = 1.15 * f->style->small_pt;
	if (key_text_width(f, t) > 0.2 * f->width) return false;
	for (int i = 0; i < f->n_series; i++) {
		if (!in_key(f, i)) continue;
		double y = end_height(p, i);
		if (n == 4 || isnan(y) || f->series[i].has_points) return false;
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

static double hits_along(const sx_fig_panel_data *p, const sx_fig_mark *m, const double *y,
			 sx_rect r)
{
	double hits = 0, ax = (double)NAN, ay = (double)NAN;
	for (int64_t i = 0; i < m->n; i++) {
		double bx = sx_fig_device_x(p, m->x[i]), by = sx_fig_device_y(p, y[i]);
		if (m->kind == MARK_POINTS || !isfinite(ax) || !isfinite(ay)) ax = bx, ay = by;
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
		} else if (m->kind == MARK_NOTE) {
			double w = sx_text_width(t, m->markup, size);
			double x = m->text_x - m->text_align * w,
			       y = m->text_y - SX_TEXT_CAP * size;
			hits += x < r.x + r.w && x + w > r.x && y < r.y + r.h &&
				m->text_y + SX_TEXT_DEEP * size > r.y;
		} else {
			hits += hits_along(p, m, m->y, r);
			if (m->high) hits += hits_along(p, m, m->high, r);
		}
	}
	return hits;
}

/* The freest of the corners, then of a few places between them along top and bottom. */
static bool place_corner(sx_fig *f, const sx_fig_panel_data *p, sx_text *t)
{
	static const double places[][2] = {{1, 0},   {0, 1},    {0, 0},    {1, 1},   {0.75, 0},
					   {0.5, 0}, {0.25, 0}, {0.25, 1}, {0.5, 1}, {0.75, 1}};
	double gap = 0.5 * f->style->small_pt;
	sx_rect r = {.w = sx_fig_key_sample(f->style) + gap + key_text_width(f, t),
		     .h = key_count(f) * line_height(f->style)};
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
static void place_strip(sx_fig *f, sx_text *t)
{
	double s = f->style->small_pt, n = key_count(f);
	f->key_column = sx_fig_key_sample(f->style) + 0.5 * s + key_text_width(f, t) + 1.5 * s;
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
	if (p->title[0]) taken += sx_text_width(t, p->title, f->style->font_pt) + gap;
	for (int k = 0; k < p->n_mark; k++) {
		sx_fig_mark *m = &p->mark[k];
		if (m->kind != MARK_VLINE) continue;
		double w = sx_text_width(t, m->markup, size);
		double x = fmin(sx_fig_device_x(p, m->x[0]) - w / 2, p->box.x + p->box.w - w);
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

static void place_notes(const sx_fig *f, sx_fig_panel_data *p, sx_text *t)
{
	for (int k = 0; k < p->n_mark; k++) /* not yet in anybody's way */
		if (p->mark[k].kind == MARK_NOTE) p->mark[k].text_x = -1e6;
	for (int k = 0; k < p->n_mark; k++)
		if (p->mark[k].kind == MARK_NOTE) place_note(f, p, t, &p->mark[k]);
}

/* ---- the whole ---- */

static void mark_key_use(sx_fig *f)
{
	for (int i = 0; i < f->n_panel; i++)
		for (int k = 0; k < f->panel[i].n_mark; k++) {
			const sx_fig_mark *m = &f->panel[i].mark[k];
			if (m->series < 0 || m->n == 0) continue;
			if (m->kind == MARK_POINTS)
				f->series[m->series].has_points = true;
			else
				f->series[m->series].has_line = true;
		}
}

/* Heights of the boxes. Rows are equally high; margins are those of the row's neediest panel. */
static void place_rows(sx_fig *f, double from)
{
	double top = 0, bottom = 0, gap = 0.7 * f->style->font_pt;
	for (int i = 0; i < f->n_panel; i++) {
		/* One baseline for the texts of a row. */
		sx_fig_panel_data *p = &f->panel[i];
		for (int k = 0; k < f->n_panel; k++)
			if (f->panel[k].row == p->row && f->panel[k].x.map == SX_FIG_LOG10)
				p->raised = 0.3 * f->style->small_pt;
	}
	for (int i = 0; i < f->n_panel; i++) {
		top = fmax(top, top_margin(f, &f->panel[i]));
		bottom = fmax(bottom, bottom_margin(f, &f->panel[i]));
	}
	double each = (f->height - from - (f->rows - 1) * gap) / f->rows;
	for (int i = 0; i < f->n_panel; i++) {
		sx_fig_panel_data *p = &f->panel[i];
		p->box.y = from + p->row * (each + gap) + top;
		p->box.h = fmax(1, each - top - bottom);
	}
}

/* Widths of the boxes, equal; `direct` is room for labels right of the panel that has the key.
 * Tick labels depend on the width and reach beyond it, so ticks are made until they have room. */
static sx_status place_columns(sx_fig *f, sx_text *t, double direct)
{
	double left = 0, right = f->style->axis_pt, gap = f->cols > 1 ? f->style->font_pt : 0;
	for (int i = 0; i < f->n_panel; i++) left = fmax(left, left_margin(f, t, &f->panel[i]));
	f->left = left;
	for (int pass = 0; pass < 6; pass++) {
		double each = (f->width - direct - f->cols * (left + right) - (f->cols - 1) * gap) /
			      f->cols;
		double over = 0;
		for (int i = 0; i < f->n_panel; i++) {
			sx_fig_panel_data *p = &f->panel[i];
			bool after = f->key == KEY_DIRECT && p->col > f->panel[f->key_panel].col;
			p->box.x =
				left + p->col * (left + each + right + gap) + (after ? direct : 0);
			p->box.w = fmax(1, each);
			if (x_ticks(f, t, p) != SX_OK) return SX_ENOMEM;
			over = fmax(over, right_margin(f, t, p));
		}
		if (over <= right) break;
		right = over;
	}
	return SX_OK;
}

static sx_status place_all(sx_fig *f, sx_text *t)
{
	const sx_fig_style *s = f->style;
	double strip = 0, direct = 0;
	f->width = 72 * s->width_in;
	if (f->key == KEY_STRIP) {
		place_strip(f, t);
		strip = f->key_box.h + 0.4 * s->font_pt;
	}
	f->height = round(f->width / golden * f->rows / f->cols + strip);
	place_rows(f, strip);
	for (int i = 0; i < f->n_panel; i++)
		if (y_ticks(f, &f->panel[i]) != SX_OK) return SX_ENOMEM;
	/* From the last panel on: its right margin is the page's. */
	for (int i = f->n_panel - 1; i >= 0 && f->key == KEY_NONE; i--)
		if (place_direct(f, &f->panel[i], t)) {
			f->key = KEY_DIRECT;
			f->key_panel = i;
			direct = 0.5 * s->small_pt + key_text_width(f, t);
		}
	if (place_columns(f, t, direct) != SX_OK) return SX_ENOMEM;
	for (int i = 0; i < f->n_panel; i++) {
		place_vline_labels(f, &f->panel[i], t);
		place_notes(f, &f->panel[i], t);
	}
	return SX_OK;
}

sx_status sx_fig_layout(sx_fig *f, sx_text *t, sx_ctx *ctx)
{
	mark_key_use(f);
	for (int i = 0; i < f->n_panel; i++) find_limits(f, i, ctx);
	f->key = KEY_NONE;
	sx_status st = place_all(f, t);
	if (st != SX_OK) return sx_fail(ctx, st, "out of memory for the labels of the figure");
	if (f->key == KEY_DIRECT || key_count(f) == 0) return SX_OK;

	for (int i = 0; i < f->n_panel; i++)
		if (place_corner(f, &f->panel[i], t)) {
			f->key = KEY_CORNER;
			f->key_panel = i;
			return SX_OK;
		}
	/* No panel has a free corner: a line above them all, and the panels once more. */
	f->key = KEY_STRIP;
	st = place_all(f, t);
	return st == SX_OK ? st : sx_fail(ctx, st, "out of memory for the labels of the figure");
}

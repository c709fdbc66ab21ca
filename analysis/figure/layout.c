/* Where things go: limits, ticks, margins, panels, labels. Measures text, draws nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/internal.h"

/* ---- limits ---- */

typedef struct {
	double lo, hi;
	int64_t lost, beyond; /* not shown: zero or negative on a log axis; too large for any */
} range;

static void widen(range *r, const double *v, int64_t n, sx_fig_map map)
{
	for (int64_t i = 0; v && i < n; i++) {
		if (isnan(v[i])) continue;
		if (fabs(v[i]) >= SX_FIG_BEYOND) {
			r->beyond++;
			continue;
		}
		if (!sx_fig_can_show(map, v[i])) {
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

static void report_beyond(const sx_fig *f, int panel, const sx_fig_mark *m, int64_t n, sx_ctx *ctx)
{
	if (n == 0 || !sx_fig_holds_data(m)) return;
	sx_log(ctx, SX_LOG_WARN,
	       "panel (%c): %lld of the numbers of \"%s\" are infinite, or larger than an axis can "
	       "be, and are not shown",
	       'a' + panel % 26, (long long)n, m->series < 0 ? "" : f->series[m->series].label);
}

/* From what was asked for, what the data fill, and a margin where the data decide. */
static void settle(double *lo, double *hi, const sx_fig_axis *a, range r, double margin)
{
	bool log = a->map == SX_FIG_LOG10;
	bool own_lo = sx_fig_can_show(a->map, a->lo);
	bool own_hi = sx_fig_can_show(a->map, a->hi);
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

static const range empty = {(double)NAN, (double)NAN, 0, 0};

static void add_marks(const sx_fig *f, int panel, range *x, range *y, sx_ctx *ctx)
{
	const sx_fig_panel_data *p = &f->panel[panel];
	for (int i = 0; i < p->n_mark; i++) {
		const sx_fig_mark *m = &p->mark[i];
		int64_t x_lost = x->lost, y_lost = y->lost, beyond = x->beyond + y->beyond;
		widen(x, m->x, m->n, p->x.map);
		widen(y, m->y, m->n, p->y.map);
		if (m->kind == MARK_X_INTERVALS)
			widen(x, m->high, m->n, p->x.map);
		else
			widen(y, m->high, m->n, p->y.map);
		report_lost(f, panel, m, 'x', x->lost - x_lost, ctx);
		report_lost(f, panel, m, 'y', y->lost - y_lost, ctx);
		report_beyond(f, panel, m, x->beyond + y->beyond - beyond, ctx);
	}
}

static void find_limits(sx_fig *f, sx_ctx *ctx)
{
	range x = empty, y = empty;
	for (int i = 0; f->shared && i < f->n_panel; i++) add_marks(f, i, &x, &y, ctx);
	for (int i = 0; i < f->n_panel; i++) {
		sx_fig_panel_data *p = &f->panel[i];
		if (!f->shared) {
			x = y = empty;
			add_marks(f, i, &x, &y, ctx);
		}
		settle(&p->x0, &p->x1, &p->x, x, 0.02);
		settle(&p->y0, &p->y1, &p->y, y, 0.05);
	}
}

/* ---- margins around the boxes ---- */

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

/* ---- the whole ---- */

/* Heights of the boxes. Rows are equally high; margins are those of the row's neediest panel. */
static void place_rows(sx_fig *f, double from)
{
	double top = 0, bottom = 0, gap = 0.7 * f->style->font_pt;
	for (int i = 0; i < f->n_panel; i++) {
		/* One baseline for the texts of a row. */
		sx_fig_panel_data *p = &f->panel[i];
		p->x_texts = p->y_texts = true;
		for (int k = 0; k < f->n_panel; k++)
			if (f->panel[k].row == p->row && f->panel[k].x.map == SX_FIG_LOG10)
				p->raised = 0.3 * f->style->small_pt;
	}
	for (int i = 0; i < f->n_panel; i++) {
		top = fmax(top, top_margin(f, &f->panel[i]));
		bottom = fmax(bottom, sx_fig_bottom_margin(f, &f->panel[i]));
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
	for (int i = 0; i < f->n_panel; i++)
		left = fmax(left, sx_fig_left_margin(f, t, &f->panel[i]));
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
			if (sx_fig_make_x_ticks(f, t, p) != SX_OK) return SX_ENOMEM;
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
		sx_fig_place_strip(f, t);
		strip = f->key_box.h + 0.4 * s->font_pt;
	}
	if (f->shared) {
		if (sx_fig_place_shared(f, t, strip) != SX_OK) return SX_ENOMEM;
		for (int i = 0; i < f->n_panel; i++) sx_fig_place_texts(f, &f->panel[i], t);
		return SX_OK;
	}
	f->height = round(f->width * f->aspect * f->rows / f->cols + strip);
	place_rows(f, strip);
	for (int i = 0; i < f->n_panel; i++)
		if (sx_fig_make_y_ticks(f, &f->panel[i]) != SX_OK) return SX_ENOMEM;
	/* From the last panel on: its right margin is the page's. */
	for (int i = f->n_panel - 1; i >= 0 && f->key == KEY_NONE; i--)
		if (sx_fig_place_direct(f, &f->panel[i], t)) {
			f->key = KEY_DIRECT;
			f->key_panel = i;
			direct = 0.5 * s->small_pt + sx_fig_key_width(f, t);
		}
	if (place_columns(f, t, direct) != SX_OK) return SX_ENOMEM;
	for (int i = 0; i < f->n_panel; i++) sx_fig_place_texts(f, &f->panel[i], t);
	return SX_OK;
}

sx_status sx_fig_layout(sx_fig *f, sx_text *t, sx_ctx *ctx)
{
	find_limits(f, ctx);
	sx_fig_mark_key_use(f);
	f->key = f->shared && sx_fig_key_count(f) > 0 ? KEY_STRIP : KEY_NONE;
	sx_status st = place_all(f, t);
	if (st != SX_OK) return sx_fail(ctx, st, "out of memory for the labels of the figure");
	if (f->key != KEY_NONE || sx_fig_key_count(f) == 0) return SX_OK;

	for (int i = 0; i < f->n_panel; i++)
		if (sx_fig_place_corner(f, &f->panel[i], t)) {
			f->key = KEY_CORNER;
			f->key_panel = i;
			return SX_OK;
		}
	/* No panel has a free corner: a line above them all, and the panels once more. */
	f->key = KEY_STRIP;
	st = place_all(f, t);
	return st == SX_OK ? st : sx_fail(ctx, st, "out of memory for the labels of the figure");
}

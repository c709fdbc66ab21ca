/* Small multiples: panels with one pair of axes, and the colour bar beside them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/figure/internal.h"

double sx_fig_bar_y(const sx_fig *f, double v)
{
	return f->bar.y + f->bar.h * (1 - sx_fig_colour_unit(&f->colours, v));
}

/* Which panels have numbers at their axes: those without another one left of or below them. */
static void find_edges(sx_fig *f)
{
	for (int i = 0; i < f->n_panel; i++) {
		sx_fig_panel_data *p = &f->panel[i];
		p->x_texts = p->y_texts = true;
		p->raised = p->x.map == SX_FIG_LOG10 ? 0.3 * f->style->small_pt : 0;
		for (int k = 0; k < f->n_panel; k++) {
			const sx_fig_panel_data *q = &f->panel[k];
			if (q->col == p->col && q->row > p->row) p->x_texts = false;
			if (q->row == p->row && q->col < p->col) p->y_texts = false;
		}
	}
}

/* ---- the colour bar ---- */

/* On a bent scale from zero: 0 and of 1, 2, 5 times the powers of ten those that have room, from the
 * top down. */
static void bent_ticks(sx_fig *f)
{
	static const double digit[] = {5, 2, 1};
	const sx_fig_colours *c = &f->colours;
	sx_ticks *t = &f->bar_ticks;
	double zero = sx_fig_bar_y(f, 0), last = -(double)INFINITY;
	double room = 2 * f->style->small_pt;
	memset(t, 0, sizeof *t);
	snprintf(t->text[t->n++], SX_TICK_TEXT, "0");
	for (int i = 0; t->n < SX_TICKS_MAX; i++) {
		int k = (int)floor(log10(c->hi)) - i / 3;
		double v = digit[i % 3] * pow(10, k), y = sx_fig_bar_y(f, v);
		if (zero - y < room) break;
		if (v > c->hi * (1 + 1e-9) || y - last < room) continue;
		t->at[t->n] = v;
		snprintf(t->text[t->n++], SX_TICK_TEXT, "%.*f", k < 0 ? -k : 0, v);
		last = y;
	}
}

static sx_status make_bar(sx_fig *f)
{
	const sx_fig_colours *c = &f->colours;
	double lo = c->table == SX_FIG_DIVERGING ? -c->hi : c->lo;
	int target = (int)fmax(3, f->bar.h / (4 * f->style->small_pt));
	if (c->gamma < 1 && lo == 0)
		bent_ticks(f);
	else
		sx_ticks_make(&f->bar_ticks, c->map, lo, c->hi, target, false);
	return sx_fig_full_label(&f->bar_full, f->bar_label, f->bar_ticks.exponent);
}

/* Width of the bar with its gap, numbers and label. */
static double bar_room(const sx_fig *f, sx_text *t)
{
	const sx_fig_style *s = f->style;
	double widest = 0;
	if (!f->has_heat) return 0;
	for (int i = 0; i < f->bar_ticks.n; i++)
		widest = fmax(widest, sx_text_width(t, f->bar_ticks.text[i], s->small_pt));
	double label = f->bar_label[0] ? (0.5 + SX_TEXT_CAP + SX_TEXT_DEEP) * s->font_pt : 0;
	return s->font_pt + f->bar.w + s->tick_pt + 0.4 * s->small_pt + widest + label;
}

/* ---- the panels ---- */

typedef struct {
	double top, left, right, bottom, across, down; /* margins of the whole, gaps within */
} room;

/* Room between columns so that the last number under one panel and the first under the next stay
 * apart, and at the right edge so that the last one is on the page. */
static void fit_numbers(const sx_fig *f, sx_text *t, room *r)
{
	double small = f->style->small_pt;
	for (int i = 0; i < f->n_panel; i++) {
		const sx_fig_panel_data *p = &f->panel[i];
		const sx_ticks *k = &p->x_ticks;
		if (k->n == 0) continue;
		double first =
			sx_fig_device_x(p, k->at[0]) - sx_text_width(t, k->text[0], small) / 2;
		double last = sx_fig_device_x(p, k->at[k->n - 1]) +
			      sx_text_width(t, k->text[k->n - 1], small) / 2;
		double before = fmax(0, p->box.x - first);
		double after = fmax(0, last - p->box.x - p->box.w);
		r->across = fmax(r->across, before + after + 0.6 * small);
		r->right = fmax(r->right, after + f->style->axis_pt);
	}
}

/* A title never reaches into the next panel's; where it would, columns move apart. */
static void place_boxes(sx_fig *f, const room *r, double from, double bar)
{
	double inner = f->width - r->left - r->right - bar - (f->cols - 1) * r->across;
	double w = fmax(4, inner / f->cols), h = w * f->aspect;
	for (int i = 0; i < f->n_panel; i++) {
		sx_fig_panel_data *p = &f->panel[i];
		p->box = (sx_rect){r->left + p->col * (w + r->across),
				   from + r->top + p->row * (h + r->top + r->down), w, h};
	}
	double rows = f->rows * (h + r->top) + (f->rows - 1) * r->down;
	f->left = r->left;
	f->bar.x = f->width - bar + f->style->font_pt;
	f->bar.y = from + r->top;
	f->bar.h = rows - r->top;
	f->height = ceil(from + rows + r->bottom);
}

static double top_of(const sx_fig *f)
{
	double small = f->style->small_pt;
	for (int i = 0; i < f->n_panel; i++) {
		const sx_fig_panel_data *p = &f->panel[i];
		if (p->title[0]) return (0.5 + SX_TEXT_CAP) * small;
		for (int k = 0; k < p->n_mark; k++)
			if (p->mark[k].kind == MARK_VLINE) return (0.5 + SX_TEXT_CAP) * small;
	}
	return 0.5 * small;
}

sx_status sx_fig_place_shared(sx_fig *f, sx_text *t, double from)
{
	const sx_fig_style *s = f->style;
	room r = {.top = top_of(f),
		  .left = 2 * s->font_pt,
		  .right = s->axis_pt,
		  .across = 0.8 * s->small_pt,
		  .down = 0.7 * s->small_pt};
	double bar = 0;
	find_edges(f);
	f->bar.w = 0.8 * s->font_pt;
	/* Numbers depend on the boxes and the boxes on the room the numbers take. */
	for (int pass = 0; pass < 4; pass++) {
		place_boxes(f, &r, from, bar);
		r.left = r.bottom = 0;
		for (int i = 0; i < f->n_panel; i++) {
			sx_fig_panel_data *p = &f->panel[i];
			if (sx_fig_make_x_ticks(f, t, p) != SX_OK) return SX_ENOMEM;
			if (sx_fig_make_y_ticks(f, p) != SX_OK) return SX_ENOMEM;
			r.left = fmax(r.left, sx_fig_left_margin(f, t, p));
			r.bottom = fmax(r.bottom, sx_fig_bottom_margin(f, p));
		}
		fit_numbers(f, t, &r);
		if (f->has_heat && make_bar(f) != SX_OK) return SX_ENOMEM;
		bar = bar_room(f, t);
	}
	place_boxes(f, &r, from, bar);
	/* Upright labels may be longer than a low panel, not than the page. */
	if (f->n_panel > 0)
		f->height = fmax(f->height, ceil(sx_text_width(t, f->panel[0].y_full, s->font_pt)));
	if (f->has_heat)
		f->height = fmax(f->height, ceil(sx_text_width(t, f->bar_full, s->font_pt)));
	return SX_OK;
}

/* Where a value lies in a panel, and its ticks and margins: what all parts of the layout, and drawing,
 * ask for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/internal.h"

double sx_fig_device_x(const sx_fig_panel_data *p, double x)
{
	return p->box.x + p->box.w * sx_scale_unit(p->x.map, p->x0, p->x1, x);
}

double sx_fig_device_y(const sx_fig_panel_data *p, double y)
{
	double up = sx_scale_unit(p->y.map, p->y0, p->y1, y);
	return p->box.y + p->box.h * (p->y.down ? up : 1 - up);
}

/* ---- what can be seen of a mark ---- */

bool sx_fig_can_show(sx_fig_map map, double v)
{
	return fabs(v) < SX_FIG_BEYOND && (map == SX_FIG_LINEAR || v > 0);
}

bool sx_fig_holds_data(const sx_fig_mark *m)
{
	return m->n > 0 && m->kind >= MARK_BAND && m->kind < MARK_NOTE;
}

static bool is_shown(const sx_fig_panel_data *p, const sx_fig_mark *m, int64_t i)
{
	bool across = m->kind == MARK_X_INTERVALS;
	return sx_fig_can_show(p->x.map, m->x[i]) && sx_fig_can_show(p->y.map, m->y[i]) &&
	       (!m->high || sx_fig_can_show(across ? p->x.map : p->y.map, m->high[i]));
}

bool sx_fig_has_values(const sx_fig_panel_data *p, const sx_fig_mark *m)
{
	for (int64_t i = 0; i < m->n; i++)
		if (is_shown(p, m, i)) return true;
	return false;
}

/* Does a marker of the same series stand at point i already? */
static bool is_marked(const sx_fig_panel_data *p, const sx_fig_mark *m, int64_t i)
{
	for (int k = 0; k < p->n_mark; k++) {
		const sx_fig_mark *o = &p->mark[k];
		if (o->series != m->series || (o->kind != MARK_POINTS && o->kind != MARK_DOTS))
			continue;
		for (int64_t at = 0; at < o->n; at++)
			if (o->x[at] == m->x[i] && o->y[at] == m->y[i]) return true;
	}
	return false;
}

/* Of a line neither as wide nor as high as a line is thick, of a band not as wide. A pale line is
 * the data of another one: of it a single point alone. */
static bool is_lone(const sx_fig_panel_data *p, const sx_fig_mark *m, int64_t from, int64_t to)
{
	const double least = 0.004; /* of the panel's side: a point of one column */
	double x0 = HUGE_VAL, x1 = -HUGE_VAL, y0 = HUGE_VAL, y1 = -HUGE_VAL;
	if (m->kind == MARK_PALE) return to - from == 1;
	for (int64_t i = from; i < to; i++) {
		double x = sx_scale_unit(p->x.map, p->x0, p->x1, m->x[i]);
		double y = sx_scale_unit(p->y.map, p->y0, p->y1, m->y[i]);
		x0 = fmin(x0, x), x1 = fmax(x1, x);
		y0 = fmin(y0, y), y1 = fmax(y1, y);
	}
	if (m->kind == MARK_BAND) return x1 - x0 < least;
	return x1 - x0 < least && y1 - y0 < least && !is_marked(p, m, from);
}

bool sx_fig_next_piece(const sx_fig_panel_data *p, const sx_fig_mark *m, sx_fig_piece *at)
{
	at->from = at->to;
	while (at->from < m->n && !is_shown(p, m, at->from)) at->from++;
	at->to = at->from;
	while (at->to < m->n && is_shown(p, m, at->to)) at->to++;
	at->lone = at->from < at->to && is_lone(p, m, at->from, at->to);
	return at->from < at->to;
}

double sx_fig_title_size(const sx_fig *f)
{
	return f->shared ? f->style->small_pt : f->style->font_pt;
}

bool sx_fig_is_heat(const sx_fig_panel_data *p)
{
	for (int i = 0; i < p->n_mark; i++)
		if (p->mark[i].kind == MARK_HEAT) return true;
	return false;
}

bool sx_fig_in_key(const sx_fig *f, int series)
{
	const sx_fig_series_data *s = &f->series[series];
	bool shown = s->has_line || s->has_lone || s->has_points || s->has_dots || s->has_patch;
	return s->markup[0] && !s->unnamed && (shown || s->is_empty);
}

double sx_fig_key_sample(const sx_fig *f)
{
	for (int i = 0; i < f->n_series; i++)
		if (sx_fig_in_key(f, i) && (f->series[i].has_line || f->series[i].is_empty))
			return 2.4 * f->style->font_pt;
	return 0.7 * f->style->font_pt;
}

/* ---- ticks and axis labels ---- */

sx_status sx_fig_full_label(char **out, const char *label, int exponent)
{
	free(*out);
	*out = exponent == 0 ? sx_strdup(label)
			     : sx_format("%s (\u00D710<sup>%s%d</sup>)", label,
					 exponent < 0 ? "\u2212" : "", abs(exponent));
	return *out ? SX_OK : SX_ENOMEM;
}

/* Those of the caller's that are within the limits; a text each, so no minor ones. */
static void take_ticks(sx_ticks *out, const sx_ticks *asked, double lo, double hi)
{
	memset(out, 0, sizeof *out);
	for (int i = 0; i < asked->n; i++) {
		if (!(asked->at[i] >= lo && asked->at[i] <= hi)) continue;
		out->at[out->n] = asked->at[i];
		memcpy(out->text[out->n++], asked->text[i], SX_TICK_TEXT);
	}
}

sx_status sx_fig_make_y_ticks(const sx_fig *f, sx_fig_panel_data *p)
{
	int target = (int)fmax(3, p->box.h / (3 * f->style->small_pt));
	if (p->own_y_ticks)
		take_ticks(&p->y_ticks, &p->y_asked, p->y0, p->y1);
	else
		sx_ticks_make(&p->y_ticks, p->y.map, p->y0, p->y1, target, p->y.integer);
	return sx_fig_full_label(&p->y_full, p->y_label, p->y_ticks.exponent);
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

/* Of ticks with texts of the caller's those keep theirs that have room after the last one; the others
 * stay as minor ones. */
static void thin_asked(sx_fig_panel_data *p, sx_text *t, double size)
{
	sx_ticks *k = &p->x_ticks;
	double end = -(double)INFINITY;
	int kept = 0;
	for (int i = 0; i < k->n; i++) {
		double w = sx_text_width(t, k->text[i], size);
		double x = sx_fig_device_x(p, k->at[i]);
		if (x - w / 2 < end + 0.8 * size) {
			k->minor[k->n_minor++] = k->at[i];
			continue;
		}
		end = x + w / 2;
		k->at[kept] = k->at[i];
		memmove(k->text[kept++], k->text[i], SX_TICK_TEXT);
	}
	k->n = kept;
}

sx_status sx_fig_make_x_ticks(const sx_fig *f, sx_text *t, sx_fig_panel_data *p)
{
	double size = f->style->small_pt;
	int target = (int)(p->box.w / (4.5 * size));
	if (p->own_x_ticks) {
		take_ticks(&p->x_ticks, &p->x_asked, p->x0, p->x1);
		thin_asked(p, t, size);
	} else {
		do sx_ticks_make(&p->x_ticks, p->x.map, p->x0, p->x1, target, p->x.integer);
		while (crowded(p, t, size) && --target >= 2);
	}
	/* Numbers too long even for two of them: every second one. */
	while (crowded(p, t, size)) {
		p->x_ticks.n = (p->x_ticks.n + 1) / 2;
		for (int i = 1; i < p->x_ticks.n; i++) {
			p->x_ticks.at[i] = p->x_ticks.at[2 * i];
			memcpy(p->x_ticks.text[i], p->x_ticks.text[2 * i], SX_TICK_TEXT);
		}
	}
	return sx_fig_full_label(&p->x_full, p->x_label, p->x_ticks.exponent);
}

/* ---- margins around the boxes ---- */

double sx_fig_bottom_margin(const sx_fig *f, const sx_fig_panel_data *p)
{
	const sx_fig_style *s = f->style;
	return s->tick_pt + (0.4 + SX_TEXT_CAP) * s->small_pt + p->raised +
	       (0.6 + SX_TEXT_CAP + SX_TEXT_DEEP) * s->font_pt;
}

double sx_fig_left_margin(const sx_fig *f, sx_text *t, const sx_fig_panel_data *p)
{
	const sx_fig_style *s = f->style;
	double widest = 0;
	for (int i = 0; i < p->y_ticks.n; i++)
		widest = fmax(widest, sx_text_width(t, p->y_ticks.text[i], s->small_pt));
	/* Parentheses rise a little above capitals. */
	/* Without a label the numbers would touch the edge of the page. */
	double label =
		p->y_label[0] ? (0.6 + SX_TEXT_CAP + SX_TEXT_DEEP) * s->font_pt : 0.2 * s->small_pt;
	return s->tick_pt + 0.4 * s->small_pt + widest + label;
}

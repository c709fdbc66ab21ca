/* The figure as data: building it up and writing its numbers. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/internal.h"

static const double golden = 1.61803398874989484820;

sx_status sx_fig_new(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, int rows, int cols)
{
	assert(rows > 0 && cols > 0);
	sx_fig *f = sx_calloc(1, sizeof *f);
	if (!f) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	f->style = style;
	f->png_dpi = style->png_dpi;
	f->rows = rows;
	f->aspect = 1 / golden;
	f->undefined = -1;
	f->cols = cols;
	*out = f;
	return SX_OK;
}

static void panel_free(sx_fig_panel_data *p)
{
	for (int i = 0; i < p->n_mark; i++) {
		sx_fig_mark *m = &p->mark[i];
		free(m->x);
		free(m->y);
		free(m->high);
		free(m->z);
		free(m->label);
		free(m->markup);
	}
	free(p->mark);
	free(p->title);
	free(p->name);
	free(p->x_label);
	free(p->y_label);
	free(p->x_full);
	free(p->y_full);
}

void sx_fig_free(sx_fig *f)
{
	if (!f) return;
	for (int i = 0; i < f->n_panel; i++) panel_free(&f->panel[i]);
	for (int i = 0; i < f->n_series; i++) {
		free(f->series[i].label);
		free(f->series[i].markup);
		free(f->series[i].empty_markup);
	}
	free(f->panel);
	free(f->series);
	free(f->bar_label);
	free(f->bar_full);
	free(f->title);
	free(f->alt);
	free(f);
}

/* Every allocation while building goes through here: the first failure is kept. */
static void *kept(sx_fig *f, void *p)
{
	if (!p && f->st == SX_OK) f->st = SX_ENOMEM;
	return p;
}

/* The list with room for one more element, zeroed; NULL and the list untouched if there is none. */
static void *one_more(sx_fig *f, void *list, int n, size_t size)
{
	char *grown = kept(f, sx_grow(list, (size_t)n + 1, size));
	if (grown) memset(grown + (size_t)n * size, 0, size);
	return grown;
}

static char *valid_utf8(const char *s)
{
	char *valid = g_utf8_make_valid(s, -1);
	char *own = sx_strdup(valid);
	g_free(valid);
	return own;
}

void sx_fig_about(sx_fig *f, const char *title, const char *alt)
{
	free(f->title);
	free(f->alt);
	/* Both may hold labels of the user's, and the formats take nothing but UTF-8. */
	f->title = kept(f, valid_utf8(title));
	f->alt = kept(f, valid_utf8(alt));
}

const char *sx_fig_alt(const sx_fig *f)
{
	return f->alt ? f->alt : "";
}

void sx_fig_share(sx_fig *f, double aspect)
{
	assert(aspect > 0 && f->n_panel == 0);
	f->shared = true;
	f->aspect = aspect;
}

void sx_fig_shape(sx_fig *f, double aspect)
{
	assert(aspect > 0 && !f->shared);
	f->aspect = aspect;
}

void sx_fig_png_dpi(sx_fig *f, double dpi)
{
	assert(dpi > 0);
	f->png_dpi = dpi;
}

void sx_fig_colour_scale(sx_fig *f, sx_fig_colours colours)
{
	free(f->bar_label);
	f->has_colours = true;
	f->colours = colours;
	f->colours.label = NULL;
	f->bar_label = kept(f, sx_text_markup(colours.label));
}

int sx_fig_series(sx_fig *f, const char *label, sx_fig_look look)
{
	sx_fig_series_data *list = one_more(f, f->series, f->n_series, sizeof *list);
	if (!list) return -1;
	f->series = list;
	sx_fig_series_data *s = &list[f->n_series];
	s->label = kept(f, sx_strdup(label));
	s->markup = kept(f, sx_text_markup(label));
	s->empty_markup = s->markup ? kept(f, sx_format("%s (no values)", s->markup)) : NULL;
	s->look = look;
	return f->n_series++;
}

int sx_fig_unnamed_series(sx_fig *f, const char *label, sx_fig_look look)
{
	int series = sx_fig_series(f, label, look);
	if (series >= 0) f->series[series].unnamed = true;
	return series;
}

static void key_entry(sx_fig *f, const char *label, sx_fig_look look, entry_kind entry)
{
	int series = sx_fig_series(f, label, look);
	if (series >= 0) f->series[series].entry = entry;
}

void sx_fig_key_entry(sx_fig *f, const char *label, sx_fig_look look)
{
	key_entry(f, label, look, ENTRY_LINE);
}

void sx_fig_key_point(sx_fig *f, const char *label, sx_fig_look look)
{
	key_entry(f, label, look, ENTRY_POINT);
}

void sx_fig_key_dot(sx_fig *f, const char *label, sx_fig_look look)
{
	key_entry(f, label, look, ENTRY_DOT);
}

int sx_fig_panel(sx_fig *f, int row, int col, const char *title, sx_fig_axis x, sx_fig_axis y)
{
	assert(row >= 0 && row < f->rows && col >= 0 && col < f->cols);
	sx_fig_panel_data *list = one_more(f, f->panel, f->n_panel, sizeof *list);
	if (!list) return -1;
	f->panel = list;
	sx_fig_panel_data *p = &list[f->n_panel];
	p->row = row;
	p->col = col;
	p->x = x;
	p->y = y;
	/* The labels live as markup; the caller's strings may go. */
	p->x.label = p->y.label = NULL;
	p->x_label = kept(f, sx_text_markup(x.label));
	p->y_label = kept(f, sx_text_markup(y.label));
	p->name = kept(f, sx_strdup(title));
	char *text = kept(f, sx_text_markup(title));
	const char *shown = text ? text : "";
	if (f->rows * f->cols > 1 && !f->shared)
		p->title = kept(f, sx_format("<b>(%c)</b> %s", 'a' + f->n_panel % 26, shown));
	else
		p->title = kept(f, sx_strdup(shown));
	free(text);
	return f->n_panel++;
}

static void ask_ticks(sx_ticks *t, int n, const double *at, const char *const *text)
{
	t->n = 0;
	for (int i = 0; i < n && t->n < SX_TICKS_MAX; i++) {
		t->at[t->n] = at[i];
		snprintf(t->text[t->n++], SX_TICK_TEXT, "%s", text[i]);
	}
}

void sx_fig_x_ticks(sx_fig *f, int panel, int n, const double *at, const char *const *text)
{
	if (panel < 0) return;
	f->panel[panel].own_x_ticks = true;
	ask_ticks(&f->panel[panel].x_asked, n, at, text);
}

void sx_fig_y_ticks(sx_fig *f, int panel, int n, const double *at, const char *const *text)
{
	if (panel < 0) return;
	f->panel[panel].own_y_ticks = true;
	ask_ticks(&f->panel[panel].y_asked, n, at, text);
}

static double *copied(sx_fig *f, const double *v, int64_t n)
{
	double *c = kept(f, sx_calloc(n > 0 ? (size_t)n : 1, sizeof *c));
	if (c && n > 0) memcpy(c, v, (size_t)n * sizeof *c);
	return c;
}

static sx_fig_mark *add_mark(sx_fig *f, int panel, mark_kind kind, int series, const double *x,
			     const double *y, int64_t n)
{
	if (panel < 0) return NULL; /* the panel itself had no memory */
	assert(panel < f->n_panel && series < f->n_series);
	sx_fig_panel_data *p = &f->panel[panel];
	sx_fig_mark *list = one_more(f, p->mark, p->n_mark, sizeof *list);
	if (!list) return NULL;
	p->mark = list;
	sx_fig_mark *m = &list[p->n_mark++];
	m->kind = kind;
	m->series = series;
	m->x = copied(f, x, n);
	m->y = copied(f, y, n);
	m->n = m->x && m->y ? n : 0;
	return m;
}

void sx_fig_line(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	add_mark(f, panel, MARK_LINE, series, x, y, n);
}

void sx_fig_pale(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	add_mark(f, panel, MARK_PALE, series, x, y, n);
}

void sx_fig_path(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	add_mark(f, panel, MARK_PATH, series, x, y, n);
}

static void add_high(sx_fig *f, sx_fig_mark *m, const double *high, int64_t n)
{
	if (m && !(m->high = copied(f, high, n))) m->n = 0;
}

void sx_fig_band(sx_fig *f, int panel, int series, const double *x, const double *lo,
		 const double *hi, int64_t n)
{
	add_high(f, add_mark(f, panel, MARK_BAND, series, x, lo, n), hi, n);
}

void sx_fig_x_intervals(sx_fig *f, int panel, int series, const double *y, const double *low,
			const double *high, int64_t n)
{
	add_high(f, add_mark(f, panel, MARK_X_INTERVALS, series, low, y, n), high, n);
}

void sx_fig_y_intervals(sx_fig *f, int panel, int series, const double *x, const double *low,
			const double *high, int64_t n)
{
	add_high(f, add_mark(f, panel, MARK_Y_INTERVALS, series, x, low, n), high, n);
}

void sx_fig_guide(sx_fig *f, int panel, const double *x, const double *y, int64_t n,
		  const char *label)
{
	sx_fig_mark *m = add_mark(f, panel, MARK_GUIDE, -1, x, y, n);
	if (m) m->label = kept(f, sx_strdup(label));
}

void sx_fig_points(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	add_mark(f, panel, MARK_POINTS, series, x, y, n);
}

void sx_fig_dots(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n)
{
	add_mark(f, panel, MARK_DOTS, series, x, y, n);
}

void sx_fig_heat(sx_fig *f, int panel, const double *z, int64_t rows, int64_t cols)
{
	assert(f->shared && f->has_colours && rows > 0 && cols > 0);
	sx_fig_mark *m = add_mark(f, panel, MARK_HEAT, -1, NULL, NULL, 0);
	if (!m || !(m->z = copied(f, z, rows * cols))) return;
	m->rows = rows;
	m->cols = cols;
	f->has_heat = true;
	bool undefined = false;
	for (int64_t i = 0; i < rows * cols; i++) undefined = undefined || isinf(z[i]);
	if (!undefined || f->undefined >= 0) return;
	f->undefined = sx_fig_series(f, "undefined", (sx_fig_look){.dash = SX_FIG_SOLID});
	if (f->undefined >= 0) f->series[f->undefined].entry = ENTRY_PATCH;
}

void sx_fig_rule(sx_fig *f, int panel, double y)
{
	add_mark(f, panel, MARK_RULE, -1, &y, &y, 1);
}

static void add_text(sx_fig *f, int panel, mark_kind kind, double x, double y, const char *text)
{
	sx_fig_mark *m = add_mark(f, panel, kind, -1, &x, &y, 1);
	if (!m) return;
	m->label = kept(f, sx_strdup(text));
	m->markup = kept(f, sx_text_markup(text));
}

void sx_fig_vline(sx_fig *f, int panel, double x, const char *label)
{
	add_text(f, panel, MARK_VLINE, x, (double)NAN, label);
}

void sx_fig_note(sx_fig *f, int panel, double x, double y, const char *text)
{
	add_text(f, panel, MARK_NOTE, x, y, text);
}

void sx_fig_label(sx_fig *f, int panel, double x, double y, const char *text)
{
	add_text(f, panel, MARK_LABEL, x, y, text);
}

/* ---- what it says of itself ---- */

bool sx_fig_is_empty(const sx_fig *f)
{
	bool any = false;
	for (int i = 0; i < f->n_panel; i++)
		for (int k = 0; k < f->panel[i].n_mark; k++) {
			const sx_fig_mark *m = &f->panel[i].mark[k];
			if (sx_fig_holds_data(m) && sx_fig_has_values(&f->panel[i], m))
				return false;
			any = any || sx_fig_holds_data(m) || m->z;
			for (int64_t c = 0; m->z && c < m->rows * m->cols; c++)
				if (isfinite(m->z[c])) return false;
		}
	return any;
}

double sx_fig_width(const sx_fig *f)
{
	return 72 * f->style->width_in;
}

/* Its letter, with shared axes its title. */
static const char *panel_name(const sx_fig *f, int panel)
{
	static const char letters[26][2] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
					    "j", "k", "l", "m", "n", "o", "p", "q", "r",
					    "s", "t", "u", "v", "w", "x", "y", "z"};
	return f->shared ? f->panel[panel].name : letters[panel % 26];
}

bool sx_fig_about_panel(const sx_fig *f, int panel, sx_fig_panel_about *out)
{
	if (f->st != SX_OK || panel < 0 || panel >= f->n_panel) return false;
	const sx_fig_panel_data *p = &f->panel[panel];
	*out = (sx_fig_panel_about){.name = panel_name(f, panel),
				    .x_label = p->x_label,
				    .y_label = p->y_label,
				    .x_log = p->x.map == SX_FIG_LOG10,
				    .y_log = p->y.map == SX_FIG_LOG10};
	return true;
}

/* ---- the numbers ---- */

typedef sx_status row_fn(void *self, const sx_fig_row *row);

static const sx_fig_row no_row = {.x = (double)NAN,
				  .y = (double)NAN,
				  .low = (double)NAN,
				  .high = (double)NAN,
				  .value = (double)NAN};

static sx_status walk_cells(sx_fig_row row, const sx_fig_mark *m, row_fn *fn, void *self)
{
	sx_status st = SX_OK;
	for (int64_t i = 0; m->z && i < m->rows * m->cols && st == SX_OK; i++) {
		if (!isfinite(m->z[i])) continue;
		row.x = (double)(i % m->cols);
		row.y = (double)(i / m->cols);
		row.value = m->z[i];
		st = fn(self, &row);
	}
	return st;
}

static void undefine(sx_fig_row *row)
{
	double *v[] = {&row->x, &row->y, &row->low, &row->high};
	for (int i = 0; i < 4; i++)
		if (isinf(*v[i])) *v[i] = (double)NAN;
}

/* row: its panel and item are set. */
static sx_status walk_mark(const sx_fig *f, sx_fig_row row, const sx_fig_mark *m, row_fn *fn,
			   void *self)
{
	static const char *const names[] = {[MARK_HEAT] = "heat",
					    [MARK_RULE] = "rule",
					    [MARK_VLINE] = "vline",
					    [MARK_BAND] = "band",
					    [MARK_GUIDE] = "guide",
					    [MARK_PALE] = "raw",
					    [MARK_X_INTERVALS] = "x-interval",
					    [MARK_Y_INTERVALS] = "y-interval",
					    [MARK_PATH] = "path",
					    [MARK_LINE] = "line",
					    [MARK_DOTS] = "dots",
					    [MARK_POINTS] = "points",
					    [MARK_NOTE] = "note",
					    [MARK_LABEL] = "label"};
	sx_status st = SX_OK;
	bool across = m->kind == MARK_X_INTERVALS;
	row.mark = names[m->kind];
	row.series = m->label ? m->label : m->series < 0 ? "" : f->series[m->series].label;
	if (m->kind == MARK_HEAT) return walk_cells(row, m, fn, self);
	for (int64_t i = 0; i < m->n && m->kind != MARK_RULE && st == SX_OK; i++) {
		row.x = m->x[i];
		row.y = m->y[i];
		if (m->high) {
			double *low = across ? &row.x : &row.y;
			row.low = *low;
			row.high = m->high[i];
			*low = (double)NAN;
		}
		/* What cannot be drawn; of texts it is the panel's edge. */
		if (m->kind < MARK_NOTE) undefine(&row);
		st = fn(self, &row);
	}
	return st;
}

sx_status sx_fig_rows(const sx_fig *f, sx_ctx *ctx, row_fn *fn, void *self)
{
	if (f->st != SX_OK) return sx_fail(ctx, f->st, "out of memory while building the figure");
	sx_status st = SX_OK;
	int64_t item = 0;
	for (int i = 0; i < f->n_panel; i++) {
		const sx_fig_panel_data *p = &f->panel[i];
		sx_fig_row row = no_row;
		row.panel = panel_name(f, i);
		for (int k = 0; k < p->n_mark && st == SX_OK; k++, item++) {
			row.item = item;
			st = walk_mark(f, row, &p->mark[k], fn, self);
		}
	}
	return st;
}

typedef struct {
	FILE *out;
	bool named, has_value; /* panels by their title; a last column */
} csv;

static void put_quoted(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"') fputc('"', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

/* NaN is an empty field. */
static void put_number(FILE *out, double v)
{
	if (isnan(v))
		fputc(',', out);
	else
		fprintf(out, ",%.10g", v);
}

static sx_status put_row(void *self, const sx_fig_row *row)
{
	const csv *c = self;
	if (c->named)
		put_quoted(c->out, row->panel);
	else
		fputs(row->panel, c->out);
	fprintf(c->out, ",%s,", row->mark);
	put_quoted(c->out, row->series);
	put_number(c->out, row->x);
	put_number(c->out, row->y);
	put_number(c->out, row->low);
	put_number(c->out, row->high);
	if (c->has_value) put_number(c->out, row->value);
	fputc('\n', c->out);
	return SX_OK;
}

sx_status sx_fig_save_data(const sx_fig *f, sx_ctx *ctx, const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out) return sx_fail(ctx, SX_ENOMEM, "out of memory for the numbers of the figure");

	csv c = {.out = out, .named = f->shared, .has_value = f->has_heat};
	fputs(f->has_heat ? "panel,mark,series,x,y,low,high,value\n"
			  : "panel,mark,series,x,y,low,high\n",
	      out);
	sx_status st = sx_fig_rows(f, ctx, put_row, &c);
	bool bad = ferror(out) != 0;
	if ((fclose(out) != 0 || bad) && st == SX_OK)
		st = sx_fail(ctx, SX_ENOMEM, "out of memory for the numbers of the figure");
	if (st == SX_OK) st = sx_write_file(ctx, path, text, size);
	free(text);
	return st;
}

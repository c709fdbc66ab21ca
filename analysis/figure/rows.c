/* What a figure says of itself to those who write about it: its numbers, its axes. */
#include "analysis/figure/rows.h"

#include <math.h>

#include "analysis/figure/internal.h"

double sx_fig_width(const sx_fig *f)
{
	return 72 * f->style->width_in;
}

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

typedef sx_status row_fn(void *self, const sx_fig_row *row);

static sx_status cells(const sx_fig_mark *m, sx_fig_row row, row_fn *fn, void *self)
{
	sx_status st = SX_OK;
	for (int64_t i = 0; m->z && i < m->rows * m->cols; i++) {
		if (isnan(m->z[i])) continue;
		row.x = (double)(i % m->cols);
		row.y = (double)(i / m->cols);
		row.value = m->z[i];
		SX_TRY(fn(self, &row));
	}
out:
	return st;
}

static sx_status places(const sx_fig_mark *m, sx_fig_row row, row_fn *fn, void *self)
{
	sx_status st = SX_OK;
	for (int64_t i = 0; i < m->n; i++) {
		bool band = m->kind == MARK_BAND;
		row.x = m->x[i];
		row.y = band ? (double)NAN : m->y[i];
		row.low = band ? m->y[i] : (double)NAN;
		row.high = band ? m->high[i] : (double)NAN;
		SX_TRY(fn(self, &row));
	}
out:
	return st;
}

sx_status sx_fig_rows(const sx_fig *f, sx_ctx *ctx, row_fn *fn, void *self)
{
	static const char *const names[] = {"heat", "rule", "vline",  "band",
					    "raw",  "line", "points", "note"};
	sx_status st = SX_OK;
	int64_t item = 0;
	if (f->st != SX_OK) return sx_fail(ctx, f->st, "out of memory while building the figure");
	for (int i = 0; i < f->n_panel; i++)
		for (int k = 0; k < f->panel[i].n_mark; k++) {
			const sx_fig_mark *m = &f->panel[i].mark[k];
			if (m->kind == MARK_RULE) continue;
			const sx_fig_row row = {.panel = panel_name(f, i),
						.mark = names[m->kind],
						.series = m->label ? m->label
							  : m->series < 0
								  ? ""
								  : f->series[m->series].label,
						.item = item,
						.x = (double)NAN,
						.y = (double)NAN,
						.low = (double)NAN,
						.high = (double)NAN,
						.value = (double)NAN};
			SX_TRY(cells(m, row, fn, self));
			SX_TRY(places(m, row, fn, self));
			item++;
		}
out:
	return st;
}

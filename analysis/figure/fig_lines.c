/* Figure `lines`: columns of the user's own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

static bool equal_letters(const char *a, const char *b)
{
	while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++;
	return *a == *b;
}

static sx_fig_kind kind_of(const char *name)
{
	if (equal_letters(name, "rope")) return SX_FIG_ROPE;
	if (equal_letters(name, "nope")) return SX_FIG_NOPE;
	if (equal_letters(name, "drope")) return SX_FIG_DROPE;
	return SX_FIG_OTHER;
}

sx_status sx_fig_lines(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_columns *c)
{
	sx_fig *f = NULL;
	if (c->n == 0 || c->n_column == 0)
		return sx_fail(ctx, SX_EDATA, "there are no rows to draw");
	sx_status st = sx_fig_new(&f, ctx, style, 1, 1);
	if (st != SX_OK) return st;
	sx_fig_axis x = sx_part_axis(c->x_label, c->log_x ? SX_FIG_LOG10 : SX_FIG_LINEAR);
	sx_fig_axis y = sx_part_axis(c->y_label, c->log_y ? SX_FIG_LOG10 : SX_FIG_LINEAR);
	int panel = sx_fig_panel(f, 0, 0, "", x, y), others = 0;
	char *names = sx_strdup("");
	bool bands = false;
	for (int i = 0; i < c->n_column; i++) {
		const sx_fig_column *k = &c->column[i];
		sx_fig_kind kind = kind_of(k->name);
		sx_fig_look look = sx_fig_look_of(kind, kind == SX_FIG_OTHER ? others++ : 0);
		int series = sx_fig_series(f, k->name, look);
		if (k->low) sx_fig_band(f, panel, series, c->x, k->low, k->high, c->n);
		if (k->y) sx_fig_line(f, panel, series, c->x, k->y, c->n);
		bands = bands || k->low;
		char *more = names ? sx_format("%s%s%s", names, i > 0 ? ", " : "", k->name) : NULL;
		free(names);
		names = more;
	}
	sx_part_about(f, c->y_label[0] ? c->y_label : "Lines",
		      sx_format("%s against %s (%lld points%s%s).%s", names ? names : "Columns",
				c->x_label, (long long)c->n, c->log_x ? ", logarithmic x" : "",
				c->log_y ? ", logarithmic y" : "",
				bands ? " Bands from the columns _lo to _hi." : ""));
	free(names);
	*out = f;
	return SX_OK;
}

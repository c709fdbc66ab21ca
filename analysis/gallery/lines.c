/* Figure `lines`: a CSV of the user's own. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "analysis/gallery/labels.h"

#include <stdlib.h>
#include <string.h>

static int64_t find_column(const sx_csv *c, const char *name)
{
	for (int64_t i = 0; i < c->n_col; i++)
		if (strcmp(c->name[i], name) == 0) return i;
	return -1;
}

/* Is column i "NAME_lo" (or whatever the ending) of a pair whose other half is there? Then *other
 * is that half, and *length what NAME is long. */
static bool is_edge(const sx_csv *c, int64_t i, const char *ending, const char *other_ending,
		    int64_t *other, int *length)
{
	size_t n = strlen(c->name[i]), e = strlen(ending);
	if (n <= e || strcmp(c->name[i] + n - e, ending) != 0) return false;
	*length = (int)(n - e);
	char *name = sx_format("%.*s%s", *length, c->name[i], other_ending);
	*other = name ? find_column(c, name) : -1;
	free(name);
	return *other >= 0;
}

/* Series in the order of the columns: a band belongs to the column of its name, or to itself. */
static sx_status make_columns(sx_fig_column *out, int *n, char **names, sx_ctx *ctx,
			      const sx_csv *c, int64_t x, const sx_figure_args *a)
{
	*n = 0;
	for (int64_t i = 0; i < c->n_col; i++) {
		const double *v = c->value + i * c->n_row;
		int64_t other, lo, hi;
		int length = (int)strlen(c->name[i]);
		sx_fig_column col = {.y = v};
		if (i == x || is_edge(c, i, "_hi", "_lo", &other, &length)) continue;
		if (is_edge(c, i, "_lo", "_hi", &other, &length)) {
			char *own = sx_format("%.*s", length, c->name[i]);
			bool elsewhere = own && find_column(c, own) >= 0;
			free(own);
			if (elsewhere) continue;
			col = (sx_fig_column){.low = v, .high = c->value + other * c->n_row};
		} else {
			char *low = sx_format("%s_lo", c->name[i]),
			     *high = sx_format("%s_hi", c->name[i]);
			lo = low ? find_column(c, low) : -1;
			hi = high ? find_column(c, high) : -1;
			free(low);
			free(high);
			if (lo >= 0 && hi >= 0)
				col.low = c->value + lo * c->n_row,
				col.high = c->value + hi * c->n_row;
		}
		names[*n] = a->labels ? sx_label_part(a->labels, *n)
				      : sx_format("%.*s", length, c->name[i]);
		if (!names[*n] && a->labels)
			return sx_fail(ctx, SX_EUSAGE, "--label has fewer names than %s has series",
				       a->inputs[0]);
		if (!names[*n]) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", a->inputs[0]);
		col.name = names[*n];
		out[(*n)++] = col;
	}
	if (a->labels && sx_label_count(a->labels) > *n)
		return sx_fail(ctx, SX_EUSAGE, "--label has %d names for the %d series of %s",
			       sx_label_count(a->labels), *n, a->inputs[0]);
	return SX_OK;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_csv c = {0};
	sx_fig_column *columns = NULL;
	char **names = NULL;
	int n = 0;
	sx_status st = sx_csv_read(&c, ctx, a->inputs[0]);
	if (st != SX_OK) return st;
	columns = sx_calloc((size_t)c.n_col, sizeof *columns);
	names = sx_calloc((size_t)c.n_col, sizeof *names);
	if (!columns || !names) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %s", a->inputs[0]));
	int64_t x = a->x ? find_column(&c, a->x) : 0;
	if (x < 0)
		SX_TRY(sx_fail(ctx, SX_EUSAGE, "%s has no column %s for --x", a->inputs[0], a->x));
	SX_TRY(make_columns(columns, &n, names, ctx, &c, x, a));
	const sx_fig_columns drawn = {.x_label = a->x_label ? a->x_label : c.name[x],
				      .y_label = a->y_label ? a->y_label
						 : n == 1   ? names[0]
							    : "",
				      .log_x = a->log_x,
				      .log_y = a->log_y,
				      .n = c.n_row,
				      .x = c.value + x * c.n_row,
				      .n_column = n,
				      .column = columns};
	st = sx_fig_lines(out, ctx, a->style, &drawn);
out:
	for (int64_t i = 0; names && i < c.n_col; i++) free(names[i]);
	free(names);
	free(columns);
	sx_csv_free(&c);
	return st;
}

const sx_figure_row sx_figure_lines = {
	.name = "lines",
	.what = "a CSV of your own: x (the first column or --x), series, bands NAME_lo and NAME_hi "
		"(--log x|y)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_AXES,
	.least = 1,
	.most = 1,
	.needs = "one CSV file",
	.labels_are_series = true,
};

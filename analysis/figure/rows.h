/* The numbers of a figure, one by one. */
#ifndef SX_ANALYSIS_FIGURE_ROWS_H
#define SX_ANALYSIS_FIGURE_ROWS_H

#include "analysis/figure/figure.h"

/* One number drawn; NaN where a mark has no such thing. */
typedef struct {
	const char *panel; /* its letter, with shared axes its title */
	const char *mark, *series;
	int64_t item; /* number of the mark in the figure: a line ends where it changes */
	double x, y, low, high, value; /* value: of a cell of a heat map */
} sx_fig_row;

/* Calls fn for all marks' numbers in the order of drawing up, before any thinning; cells without a
 * value are left out. Ends with fn's first status that is not SX_OK. SX_ENOMEM. */
sx_status sx_fig_rows(const sx_fig *f, sx_ctx *ctx,
		      sx_status (*fn)(void *self, const sx_fig_row *row), void *self) SX_NODISCARD;

#endif

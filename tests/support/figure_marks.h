/* The marks of a figure that was made. */
#ifndef SX_TESTS_FIGURE_MARKS_H
#define SX_TESTS_FIGURE_MARKS_H

#include "analysis/figure/internal.h"

/* The nth of its kind in a panel, from 0; NULL if there are fewer. */
static const sx_fig_mark *find_mark(const sx_fig *f, int panel, mark_kind kind, int nth)
{
	for (int i = 0; i < f->panel[panel].n_mark; i++)
		if (f->panel[panel].mark[i].kind == kind && nth-- == 0)
			return &f->panel[panel].mark[i];
	return NULL;
}

#endif

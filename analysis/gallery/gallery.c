/* The list of figures. */
#include "analysis/gallery/gallery.h"

#include <string.h>

/* clang-format off */
const sx_figure_row *const sx_figure_rows[] = {
	&sx_figure_loss,
	&sx_figure_ac,
	&sx_figure_ac_grad,
	&sx_figure_maps,
	&sx_figure_offsets,
	&sx_figure_drop,
	&sx_figure_plane,
	&sx_figure_frequencies,
	&sx_figure_gamma,
	&sx_figure_bounds,
	&sx_figure_mix,
	&sx_figure_figure4,
	&sx_figure_context,
	&sx_figure_lines,
	NULL,
};
/* clang-format on */

const sx_figure_row *sx_figure_row_find(const char *name)
{
	for (const sx_figure_row *const *r = sx_figure_rows; *r; r++)
		if (strcmp((*r)->name, name) == 0) return *r;
	return NULL;
}

/* Figure `maps`: attention maps by layer and head. */
#include <math.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

/* A map without the pairs that the mask takes out, infinite where a weight is undefined; *top is its
 * largest weight so far. */
static void mask(double *out, const sx_fig_map_data *m, int64_t map, double *top)
{
	const double *p = m->prob + map * m->n_query * m->n_key;
	for (int64_t i = 0; i < m->n_query; i++)
		for (int64_t j = 0; j < m->n_key; j++) {
			bool seen = j <= i && (m->window == 0 || i - j < m->window);
			double v = p[i * m->n_key + j];
			if (!isfinite(v)) v = (double)INFINITY;
			out[i * m->n_key + j] = seen ? v : (double)NAN;
			if (seen && isfinite(v)) *top = fmax(*top, v);
		}
}

static sx_fig_colours scale_of(sx_fig_map_scale scale, double top)
{
	sx_fig_colours c = {.label = "Attention weight",
			    .table = SX_FIG_VIRIDIS,
			    .hi = top > 0 ? top : 1,
			    .gamma = scale == SX_FIG_SCALE_SQRT ? 0.5 : 1};
	if (scale == SX_FIG_SCALE_LOG) {
		c.map = SX_FIG_LOG10;
		c.lo = c.hi / 1e4;
	}
	return c;
}

static void add_panel(sx_fig *f, const sx_fig_map_data *m, const sx_part_grid *g, int64_t map)
{
	int row, col;
	sx_part_grid_cell(g, map, &row, &col);
	sx_fig_axis x = {.label = "Key", .lo = -0.5, .hi = (double)m->n_key - 0.5, .integer = true};
	sx_fig_axis y = {.label = "Query",
			 .lo = -0.5,
			 .hi = (double)m->n_query - 0.5,
			 .integer = true,
			 .down = true};
	char *title = sx_format("L%d H%d", m->layer[map], m->head[map]);
	sx_fig_panel(f, row, col, title ? title : "", x, y);
	free(title);
}

sx_status sx_fig_maps(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		      const sx_fig_map_data *m, sx_fig_map_scale scale)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	double *z = NULL, top = 0;
	if (m->n_map == 0) return sx_fail(ctx, SX_EDATA, "%s has no attention maps", m->label);
	sx_part_grid g = sx_part_head_grid(m->layer, m->head, m->n_map);
	SX_TRY(sx_part_grid_check(&g, ctx, style));
	int64_t size = m->n_query * m->n_key;
	z = sx_calloc((size_t)(m->n_map * size), sizeof *z);
	if (!z) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for the maps of %s", m->label));
	for (int64_t k = 0; k < m->n_map; k++) mask(z + k * size, m, k, &top);
	SX_TRY(sx_fig_new(&f, ctx, style, g.rows, g.cols));
	sx_fig_share(f, (double)m->n_query / (double)m->n_key);
	sx_fig_colour_scale(f, scale_of(scale, top));
	for (int64_t k = 0; k < m->n_map; k++) {
		add_panel(f, m, &g, k);
		sx_fig_heat(f, (int)k, z + k * size, m->n_query, m->n_key);
	}
	char when[SX_PART_WHEN];
	sx_part_when(when, m->step);
	static const char *const how[] = {"", ", square-root colour scale",
					  ", logarithmic colour scale over four decades"};
	sx_part_about(f, "Attention maps",
		      sx_format("Attention weights of %s%s, probe sequence %d, a "
				"panel per layer (L) and head (H)%s; masked pairs are grey.",
				m->label, when, m->sequence, how[scale]));
	*out = f;
	f = NULL;
out:
	free(z);
	sx_fig_free(f);
	return st;
}

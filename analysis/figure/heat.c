/* Heat maps as images with sharp cells, and the colour bar. */
#include <math.h>
#include <stdlib.h>

#include "analysis/figure/internal.h"

/* Browsers and PDF viewers smooth images that they enlarge a little, whatever the file says: every
 * cell becomes so many equal pixels, across or down, that the image has the style's dots per inch. */
static int pixels_per_cell(const sx_fig_style *s, double points, int64_t cells)
{
	return (int)fmax(1, ceil(points / 72 * s->png_dpi / (double)cells));
}

static void put_pixel(unsigned char *row, int64_t at, const unsigned char rgb[3])
{
	uint32_t *pixel = (uint32_t *)(void *)row + at; /* rows of Cairo are aligned to 4 */
	*pixel = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

/* Of the cells [r0, r1) x [c0, c1) the value farthest from zero; NaN if none has one. */
static double farthest(const sx_fig_mark *m, int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
	double best = (double)NAN;
	for (int64_t r = r0; r < r1; r++)
		for (int64_t c = c0; c < c1; c++) {
			double v = m->z[r * m->cols + c];
			if (!(fabs(best) >= fabs(v)) && !isnan(v)) best = v;
		}
	return best;
}

/* Paints an image over the rectangle, without smoothing. */
static void paint(cairo_t *cr, cairo_surface_t *image, sx_rect at)
{
	cairo_surface_mark_dirty(image);
	cairo_save(cr);
	cairo_translate(cr, at.x, at.y);
	cairo_scale(cr, at.w / cairo_image_surface_get_width(image),
		    at.h / cairo_image_surface_get_height(image));
	cairo_set_source_surface(cr, image, 0, 0);
	cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_NEAREST);
	cairo_paint(cr);
	cairo_restore(cr);
}

void sx_fig_draw_heat(const sx_fig *f, cairo_t *cr, const sx_fig_panel_data *p,
		      const sx_fig_mark *m)
{
	double left = sx_fig_device_x(p, -0.5), right = sx_fig_device_x(p, (double)m->cols - 0.5);
	double a = sx_fig_device_y(p, -0.5), b = sx_fig_device_y(p, (double)m->rows - 0.5);
	sx_rect at = {left, fmin(a, b), right - left, fabs(b - a)};
	if (!m->z || !(at.w > 0) || !(at.h > 0)) return;
	/* Cells smaller than a dot are merged. */
	double dots = f->style->png_dpi / 72;
	int64_t cols = (int64_t)fmax(1, fmin((double)m->cols, at.w * dots));
	int64_t rows = (int64_t)fmax(1, fmin((double)m->rows, at.h * dots));
	int kx = pixels_per_cell(f->style, at.w, cols), ky = pixels_per_cell(f->style, at.h, rows);
	cairo_surface_t *image =
		cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(cols * kx), (int)(rows * ky));
	unsigned char *data = cairo_image_surface_get_data(image), rgb[3];
	int stride = cairo_image_surface_get_stride(image);
	for (int64_t r = 0; data && r < rows; r++) {
		int64_t from = p->y.down ? r : rows - 1 - r;
		for (int64_t c = 0; c < cols; c++) {
			double v = farthest(m, from * m->rows / rows, (from + 1) * m->rows / rows,
					    c * m->cols / cols, (c + 1) * m->cols / cols);
			sx_fig_colour_of(&f->colours, v, rgb);
			for (int y = 0; y < ky; y++)
				for (int x = 0; x < kx; x++)
					put_pixel(data + (r * ky + y) * stride, c * kx + x, rgb);
		}
	}
	paint(cr, image, at);
	cairo_surface_destroy(image);
}

/* The value at a share of the bar's height, from below: the inverse of sx_fig_colour_unit. */
static double value_at(const sx_fig_colours *c, double t)
{
	if (c->table == SX_FIG_DIVERGING)
		return copysign(c->hi * pow(fabs(2 * t - 1), 1 / c->gamma), t - 0.5);
	if (c->map == SX_FIG_LOG10) return c->lo * pow(c->hi / c->lo, t);
	return c->lo + (c->hi - c->lo) * pow(t, 1 / c->gamma);
}

void sx_fig_draw_bar(const sx_fig *f, cairo_t *cr)
{
	enum { STEPS = 256 };
	int k = pixels_per_cell(f->style, f->bar.h, STEPS);
	cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, k, STEPS * k);
	unsigned char *data = cairo_image_surface_get_data(image), rgb[3];
	int stride = cairo_image_surface_get_stride(image);
	for (int i = 0; data && i < STEPS * k; i++) {
		sx_fig_colour_of(&f->colours, value_at(&f->colours, 1 - (i / k + 0.5) / STEPS),
				 rgb);
		for (int x = 0; x < k; x++) put_pixel(data + i * stride, x, rgb);
	}
	paint(cr, image, f->bar);
	cairo_surface_destroy(image);
}

/* Colour scales of heat maps. Numbers only, nothing drawn. */
#include <math.h>

#include "analysis/figure/internal.h"

/* Evenly spaced colours of the published scales, joined by straight lines in sRGB (at most 4 of 255
 * off the full tables). viridis, cividis: van der Walt and Smith 2015; Nunez, Anderton and Renslow,
 * PLoS ONE 13(7), 2018; both CC0. Diverging: P. Tol, Colour Schemes, SRON/EPS/TN/09-002, BuRd. */
/* clang-format off */
enum { ANCHORS_MAX = 17 };
static const struct {
	int n;
	unsigned anchor[ANCHORS_MAX];
} tables[] = {
	[SX_FIG_VIRIDIS] = {10, {0x440154, 0x482878, 0x3E4A89, 0x31688E, 0x26828E, 0x1F9E89, 0x35B779, 0x6DCD59, 0xB4DE2C, 0xFDE725}},
	[SX_FIG_CIVIDIS] = {10, {0x00204D, 0x00336F, 0x39486B, 0x575C6D, 0x707173, 0x8A8779, 0xA69D75, 0xC4B56C, 0xE4CF5B, 0xFFEA46}},
	[SX_FIG_DIVERGING] = {9, {0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7, 0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B}},
};
/* clang-format on */
static const unsigned char no_value[3] = {0xD4, 0xD4, 0xD4};
/* Dark grey, which cividis goes through itself. */
static const unsigned char undefined[][3] = {[SX_FIG_VIRIDIS] = {0x80, 0x80, 0x80},
					     [SX_FIG_CIVIDIS] = {0xB0, 0x4A, 0x4A},
					     [SX_FIG_DIVERGING] = {0x80, 0x80, 0x80}};

double sx_fig_colour_unit(const sx_fig_colours *c, double v)
{
	double t;
	if (c->table == SX_FIG_DIVERGING) {
		double u = c->hi > 0 ? fmin(1, fabs(v) / c->hi) : 0;
		return 0.5 + copysign(0.5 * pow(u, c->gamma), v);
	}
	if (c->map == SX_FIG_LOG10 && v <= 0) return 0;
	t = fmax(0, fmin(1, sx_scale_unit(c->map, c->lo, c->hi, v)));
	return c->map == SX_FIG_LINEAR ? pow(t, c->gamma) : t;
}

void sx_fig_colour_of(const sx_fig_colours *c, double v, unsigned char rgb[3])
{
	for (int k = 0; k < 3; k++) rgb[k] = isinf(v) ? undefined[c->table][k] : no_value[k];
	if (!isfinite(v)) return;
	int n = tables[c->table].n;
	double at = sx_fig_colour_unit(c, v) * (n - 1);
	int i = (int)fmin(floor(at), n - 2);
	unsigned a = tables[c->table].anchor[i], b = tables[c->table].anchor[i + 1];
	for (int k = 0; k < 3; k++) {
		int shift = 16 - 8 * k;
		double x = (a >> shift) & 0xFF, y = (b >> shift) & 0xFF;
		rgb[k] = (unsigned char)lround(x + (at - i) * (y - x));
	}
}

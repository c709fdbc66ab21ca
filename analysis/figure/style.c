/* The pages of the venues and the fixed colours. Only data. */
#include <string.h>

#include "analysis/figure/figure.h"

/* clang-format off */
const sx_fig_style sx_fig_styles[] = {
	/* name       width  font small axis line tick dpi */
	{"icml",      3.25,   8,   6,  0.5, 1.0, 3,  300, "ICML, one column"},
	{"icml-full", 6.75,   8,   6,  0.5, 1.0, 3,  300, "ICML, both columns"},
	{"neurips",   5.5,    9,   7,  0.5, 1.0, 3,  300, "NeurIPS, text width"},
	{"iclr",      5.5,    9,   7,  0.5, 1.0, 3,  300, "ICLR, text width"},
	{"acm",       3.33,   8,   6,  0.5, 1.0, 3,  300, "ACM sigconf, one column"},
	{"notebook",  6.5,   10,   8,  0.6, 1.3, 3.5, 150, "notebooks and reports"},
	{"slides",   10.0,   18,  16,  1.0, 2.5, 6,  150, "slides"},
	{NULL, 0, 0, 0, 0, 0, 0, 0, NULL},
};

/* Okabe and Ito, Color Universal Design (2008). The first four belong to the kinds. */
static const sx_fig_look kinds[] = {
	[SX_FIG_ROPE]    = {{0x00 / 255.0, 0x72 / 255.0, 0xB2 / 255.0}, SX_FIG_SOLID,   SX_FIG_CIRCLE},
	[SX_FIG_NOPE]    = {{0xD5 / 255.0, 0x5E / 255.0, 0x00 / 255.0}, SX_FIG_DASHED,  SX_FIG_SQUARE},
	[SX_FIG_DROPE]   = {{0x00 / 255.0, 0x9E / 255.0, 0x73 / 255.0}, SX_FIG_DASHDOT, SX_FIG_TRIANGLE},
	[SX_FIG_CONTROL] = {{0xCC / 255.0, 0x79 / 255.0, 0xA7 / 255.0}, SX_FIG_DOTTED,  SX_FIG_DIAMOND},
};

/* Yellow is last: on white it has little contrast. */
static const double others[][3] = {
	{0xE6 / 255.0, 0x9F / 255.0, 0x00 / 255.0},
	{0x56 / 255.0, 0xB4 / 255.0, 0xE9 / 255.0},
	{0x00 / 255.0, 0x00 / 255.0, 0x00 / 255.0},
	{0xF0 / 255.0, 0xE4 / 255.0, 0x42 / 255.0},
};
/* clang-format on */

const sx_fig_style *sx_fig_style_find(const char *name)
{
	for (const sx_fig_style *s = sx_fig_styles; s->name; s++)
		if (strcmp(s->name, name) == 0) return s;
	return NULL;
}

sx_fig_look sx_fig_look_of(sx_fig_kind kind, int nth)
{
	if (kind != SX_FIG_OTHER) return kinds[kind];
	/* The dash moves on with every turn through the colours, so 16 looks differ. */
	const double *rgb = others[nth % 4];
	return (sx_fig_look){{rgb[0], rgb[1], rgb[2]},
			     (sx_fig_dash)((nth + nth / 4) % 4),
			     (sx_fig_marker)((nth + nth / 4) % 4)};
}

/* Text: a small TeX subset to Pango markup, and Pango itself. */
#ifndef SX_ANALYSIS_FIGURE_TEXT_H
#define SX_ANALYSIS_FIGURE_TEXT_H

#include <pango/pangocairo.h>

#include "engine/base.h"

/* Turns a label into Pango markup, the caller's to free; NULL when memory is out. Between dollars:
 * ^ and _ with a token or {group}, Greek letters and common symbols by their TeX names,
 * \mathrm{} and \text{} upright, letters italic, - as the minus sign. Outside, text is plain and
 * \$ is a dollar. An unmatched dollar stands for itself, an unknown command for its name. */
char *sx_text_markup(const char *label);

/* One font for a figure, sized in points whatever the output: no hinting, no rounding of widths,
 * so that lines break and labels end at the same place in every format. */
typedef struct {
	PangoFontMap *map;
	PangoContext *context;
} sx_text;

/* Logs a warning if TeX Gyre Heros is not there and something else is used. SX_ENOMEM. */
sx_status sx_text_init(sx_text *out, sx_ctx *ctx) SX_NODISCARD;
void sx_text_free(sx_text *t);

double sx_text_width(sx_text *t, const char *markup, double size);
/* align: 0 = (x, y) is the left end of the baseline, 0.5 the middle, 1 the right end. up: turned
 * by 90 degrees to read upwards. In the current colour of cr. */
void sx_text_draw(sx_text *t, cairo_t *cr, const char *markup, double size, double x, double y,
		  double align, bool up);

/* Height of capitals and digits and depth of descenders, in units of the size (Heros, rounded). */
#define SX_TEXT_CAP  0.72
#define SX_TEXT_DEEP 0.22

#endif

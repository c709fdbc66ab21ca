/* Scales and ticks: numbers only, nothing drawn. */
#ifndef SX_ANALYSIS_FIGURE_SCALE_H
#define SX_ANALYSIS_FIGURE_SCALE_H

#include "analysis/figure/figure.h"

enum { SX_TICKS_MAX = 32, SX_TICKS_MINOR_MAX = 160, SX_TICK_TEXT = 48 };

typedef struct {
	int n, n_minor;
	double at[SX_TICKS_MAX], minor[SX_TICKS_MINOR_MAX]; /* increasing, inside the limits */
	char text[SX_TICKS_MAX][SX_TICK_TEXT];              /* Pango markup                  */
	int exponent; /* the texts are at / 10^exponent; it belongs into the axis label      */
} sx_ticks;

/* Where v lies: 0 at lo, 1 at hi; NaN where the map has no value. */
double sx_scale_unit(sx_fig_map map, double lo, double hi, double v);

/* About `target` ticks inside [lo, hi], lo < hi, into out; returns how many.
 * Talbot, Lin and Hanrahan, "An Extension of Wilkinson's Algorithm for Positioning Tick Labels on
 * Axes", InfoVis 2010, without legibility and restricted to labels inside the limits that are
 * multiples of their step (the paper allows 1.5, 2.5, 3.5, too). */
int sx_ticks_extended(double out[SX_TICKS_MAX], double lo, double hi, int target, bool integer);

/* Ticks with their texts. Log axes (0 < lo < hi): powers of ten, thinned; below two decades 1-2-5;
 * where that is too coarse, as on a linear axis. */
void sx_ticks_make(sx_ticks *out, sx_fig_map map, double lo, double hi, int target, bool integer);

#endif

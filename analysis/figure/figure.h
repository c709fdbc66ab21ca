/* Figures for papers: plain arrays in, a .pdf, .svg or .png out. Knows nothing of HDF5 or GSL.
 * A figure is a grid of panels; a panel has two axes and marks; a mark belongs to a series, which
 * has one label and one look in the whole figure, and the figure has one key for all of them.
 *
 *     sx_fig_new -> sx_fig_series, sx_fig_panel -> marks -> sx_fig_save, sx_fig_save_data -> free
 *
 * The figures of the program are in figures.h.
 *
 * Lengths are points (1/72 inch) on the printed page. Arrays are copied. Text may hold a little TeX
 * between dollars ("$A^{c}_{\ell,h}$", text.h). Building cannot fail visibly: the first shortage of
 * memory is kept and reported by sx_fig_save. */
#ifndef SX_ANALYSIS_FIGURE_FIGURE_H
#define SX_ANALYSIS_FIGURE_FIGURE_H

#include "engine/base.h"

/* The Greek letter or sign of that little TeX with which text (UTF-8) begins: its length in bytes and its
 * command ("theta"), static; 0 where there is none. For those who write TeX. */
size_t sx_fig_symbol(const char **command, const char *text);

/* ---- style: the page of a venue ---- */

typedef struct {
	const char *name;
	double width_in;          /* exact width, so that LaTeX does not rescale            */
	double font_pt, small_pt; /* axis labels and titles; ticks, key and notes           */
	double axis_pt, line_pt, tick_pt;
	double png_dpi;
	const char *what;
} sx_fig_style;

/* Widths, and font = caption - 1 with ticks and key two points smaller, as in tueplots
 * (figsizes.py, fontsizes.py). The table ends with a NULL name. */
extern const sx_fig_style sx_fig_styles[];
const sx_fig_style *sx_fig_style_find(const char *name); /* NULL if there is none */

/* ---- look: colour, dash and marker, the same in every figure ---- */

typedef enum { SX_FIG_ROPE, SX_FIG_NOPE, SX_FIG_DROPE, SX_FIG_CONTROL, SX_FIG_OTHER } sx_fig_kind;
typedef enum { SX_FIG_SOLID, SX_FIG_DASHED, SX_FIG_DASHDOT, SX_FIG_DOTTED } sx_fig_dash;
typedef enum {
	SX_FIG_CIRCLE,
	SX_FIG_SQUARE,
	SX_FIG_TRIANGLE,
	SX_FIG_DIAMOND,
	SX_FIG_CROSS,
	SX_FIG_DOWN, /* a triangle on its tip */
	SX_FIG_STAR
} sx_fig_marker;

typedef struct {
	double rgb[3]; /* 0..1, sRGB */
	sx_fig_dash dash;
	sx_fig_marker marker;
} sx_fig_look;

/* The fixed look of a kind; nth = 0, 1, .. walks through what is left of the Okabe-Ito colours and
 * counts for SX_FIG_OTHER only. */
sx_fig_look sx_fig_look_of(sx_fig_kind kind, int nth);

/* ---- colour scales of heat maps ---- */

typedef enum { SX_FIG_VIRIDIS, SX_FIG_CIVIDIS, SX_FIG_DIVERGING } sx_fig_table;
typedef enum { SX_FIG_LINEAR, SX_FIG_LOG10 } sx_fig_map;

/* The colour of v: viridis or cividis from lo to hi, or blue - white - red from -hi to hi (lo is
 * not used then). On a linear scale the share of the range is raised to gamma (0.5: small values
 * stand out). What lies beyond the ends has the colour of the end, 0 on a log scale that of lo. */
typedef struct {
	const char *label;
	sx_fig_table table;
	sx_fig_map map;
	double lo, hi, gamma;
} sx_fig_colours;

void sx_fig_colour_of(const sx_fig_colours *c, double v, unsigned char rgb[3]);

/* ---- building ---- */

typedef struct sx_fig sx_fig;

typedef struct {
	const char *label;
	sx_fig_map map;
	double lo, hi; /* limits; NaN = from the marks, with a margin */
	bool integer;  /* ticks at whole numbers only                 */
	bool down;     /* y only: the values increase downwards       */
} sx_fig_axis;

/* rows x cols panels, each about a golden rectangle. SX_ENOMEM. */
sx_status sx_fig_new(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, int rows,
		     int cols) SX_NODISCARD;
void sx_fig_free(sx_fig *f);
/* Makes the panels small multiples: one pair of axes for all, whose numbers and labels stand at the
 * outer edge alone, little space between, and titles that are not lettered. aspect = height of a
 * panel / its width. Before the first panel. */
void sx_fig_share(sx_fig *f, double aspect);
/* Panels that are not shared: height of one with its labels / its width, in place of the golden section. */
void sx_fig_shape(sx_fig *f, double aspect);
/* Title and one-sentence description (alternative text, caption stub) for the file's metadata. */
void sx_fig_about(sx_fig *f, const char *title, const char *alt);
const char *sx_fig_alt(const sx_fig *f);
/* Has it marks, none of whose values can be shown? */
bool sx_fig_is_empty(const sx_fig *f);
/* Dots per inch of a PNG, in place of the style's. */
void sx_fig_png_dpi(sx_fig *f, double dpi);
/* Width of the printed figure. */
double sx_fig_width(const sx_fig *f);

/* What a panel's axes say; borrowed from the figure. */
typedef struct {
	const char *name; /* its letter, with shared axes its title, as in the numbers */
	const char *x_label, *y_label; /* Pango markup */
	bool x_log, y_log;
} sx_fig_panel_about;
/* False where the figure has no such panel. */
bool sx_fig_about_panel(const sx_fig *f, int panel, sx_fig_panel_about *out);

/* The colour scale of all heat maps of the figure, with a colour bar at the right. */
void sx_fig_colour_scale(sx_fig *f, sx_fig_colours colours);

/* Returns the number of the series. A series with an empty label is left out of the key. */
int sx_fig_series(sx_fig *f, const char *label, sx_fig_look look);
/* A series that the key leaves out; the label names it in the numbers. */
int sx_fig_unnamed_series(sx_fig *f, const char *label, sx_fig_look look);
/* An entry of the key for a look that several series have in common. */
void sx_fig_key_entry(sx_fig *f, const char *label, sx_fig_look look);
/* The same with a point or a dot in place of a line. */
void sx_fig_key_point(sx_fig *f, const char *label, sx_fig_look look);
void sx_fig_key_dot(sx_fig *f, const char *label, sx_fig_look look);
/* Defines the panel at (row, col) and returns its number. Panels of a figure with several are
 * lettered (a), (b), .. in the order of definition; title may be "". */
int sx_fig_panel(sx_fig *f, int row, int col, const char *title, sx_fig_axis x, sx_fig_axis y);

/* Ticks at values of the caller's in place of computed ones: at (n), increasing, with a text each;
 * what is not within the limits, or beyond 32, is left out. */
void sx_fig_x_ticks(sx_fig *f, int panel, int n, const double *at, const char *const *text);
void sx_fig_y_ticks(sx_fig *f, int panel, int n, const double *at, const char *const *text);

/* Marks. x, y, lo, hi (n); NaN breaks a line; a value that no line reaches is drawn as a marker of the
 * line's look, and the interval of such a one, of a band, as a thin bar. A series none of whose values
 * can be shown is named so in the key, and a panel says that it has no values. What a log axis cannot
 * show, and what is infinite, is reported, not drawn.
 * pale: a thin light line behind the others, such as the raw data of a smoothed curve. */
void sx_fig_line(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
void sx_fig_pale(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
void sx_fig_band(sx_fig *f, int panel, int series, const double *x, const double *lo,
		 const double *hi, int64_t n);
/* A thin dotted grey line of no series, such as a chance level. label names it in the numbers. */
void sx_fig_guide(sx_fig *f, int panel, const double *x, const double *y, int64_t n,
		  const char *label);
/* Markers on the printed page: points are white inside and stand on a line, dots are small and full,
 * for clouds. */
void sx_fig_points(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
void sx_fig_dots(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
/* Thin bars from low to high along x or y, each at its place on the other axis. */
void sx_fig_x_intervals(sx_fig *f, int panel, int series, const double *y, const double *low,
			const double *high, int64_t n);
void sx_fig_y_intervals(sx_fig *f, int panel, int series, const double *x, const double *low,
			const double *high, int64_t n);
/* A thin line from place to place. */
void sx_fig_path(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
/* Cells coloured by z (rows, cols), the centre of cell (r, c) at x = c, y = r. NaN is light grey: there is
 * none, which differs from 0. An infinite z is dark grey and named in the key: undefined, where there
 * should be a value. Of cells smaller than a printer's dot the one farthest from zero is
 * shown. Only in a figure with shared axes and a colour scale. */
void sx_fig_heat(sx_fig *f, int panel, const double *z, int64_t rows, int64_t cols);
/* A white line between two rows of cells. */
void sx_fig_rule(sx_fig *f, int panel, double y);
/* A vertical line through the panel with a small label above it. */
void sx_fig_vline(sx_fig *f, int panel, double x, const char *label);
/* A small text beside (x, y), on the side with less in its way; y = INFINITY is the top edge. */
void sx_fig_note(sx_fig *f, int panel, double x, double y, const char *text);
/* The name of the marker at (x, y), around it where there is room; where there is none, left out.
 * Earlier ones go first. */
void sx_fig_label(sx_fig *f, int panel, double x, double y, const char *text);

/* ---- output ---- */

/* The format follows from the ending: .pdf, .svg or .png. The same figure gives the same bytes
 * wherever fonts and libraries are the same: the file carries no time, or that of the environment's
 * SOURCE_DATE_EPOCH. A missing font is replaced and a warning logged.
 * SX_EUSAGE for another ending, SX_ENOMEM, SX_ECREATE, SX_EIO; then nothing is left at path. */
sx_status sx_fig_save(sx_fig *f, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* One number drawn; NaN where a mark has no such thing. */
typedef struct {
	const char *panel; /* its letter, with shared axes its title */
	const char *mark, *series;
	int64_t item; /* number of the mark in the figure: where it changes a line ends */
	double x, y, low, high, value; /* value: of a cell of a heat map */
} sx_fig_row;

/* Calls fn for all marks' numbers in the order of drawing up, before any thinning; an infinite one is NaN,
 * cells without a value are left out. Ends with fn's first status that is not SX_OK. SX_ENOMEM. */
sx_status sx_fig_rows(const sx_fig *f, sx_ctx *ctx,
		      sx_status (*fn)(void *self, const sx_fig_row *row), void *self) SX_NODISCARD;
/* These rows as CSV: panel,mark,series,x,y,low,high, with heat maps also value. */
sx_status sx_fig_save_data(const sx_fig *f, sx_ctx *ctx, const char *path) SX_NODISCARD;

#endif

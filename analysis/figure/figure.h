/* Figures for papers: plain arrays in, a .pdf, .svg or .png out. Knows nothing of HDF5 or GSL.
 * A figure is a grid of panels; a panel has two axes and marks; a mark belongs to a series, which
 * has one label and one look in the whole figure, and the figure has one key for all of them.
 *
 *     sx_fig_new -> sx_fig_series, sx_fig_panel -> marks -> sx_fig_save, sx_fig_save_data -> free
 *
 * Lengths are points (1/72 inch) on the printed page. Arrays are copied. Text may hold a little TeX
 * between dollars ("$A^{c}_{\ell,h}$", text.h). Building cannot fail visibly: the first shortage of
 * memory is kept and reported by sx_fig_save. */
#ifndef SX_ANALYSIS_FIGURE_FIGURE_H
#define SX_ANALYSIS_FIGURE_FIGURE_H

#include "engine/base.h"

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
typedef enum { SX_FIG_CIRCLE, SX_FIG_SQUARE, SX_FIG_TRIANGLE, SX_FIG_DIAMOND } sx_fig_marker;

typedef struct {
	double rgb[3]; /* 0..1, sRGB */
	sx_fig_dash dash;
	sx_fig_marker marker;
} sx_fig_look;

/* The fixed look of a kind; nth = 0, 1, .. walks through what is left of the Okabe-Ito colours and
 * counts for SX_FIG_OTHER only. */
sx_fig_look sx_fig_look_of(sx_fig_kind kind, int nth);

/* ---- building ---- */

typedef struct sx_fig sx_fig;

typedef enum { SX_FIG_LINEAR, SX_FIG_LOG10 } sx_fig_map;
typedef struct {
	const char *label;
	sx_fig_map map;
	double lo, hi; /* limits; NaN = from the marks, with a margin */
	bool integer;  /* ticks at whole numbers only                 */
} sx_fig_axis;

/* rows x cols panels, each about a golden rectangle. SX_ENOMEM. */
sx_status sx_fig_new(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, int rows,
		     int cols) SX_NODISCARD;
void sx_fig_free(sx_fig *f);
/* Title and one-sentence description (alternative text, caption stub) for the file's metadata. */
void sx_fig_about(sx_fig *f, const char *title, const char *alt);
const char *sx_fig_alt(const sx_fig *f);

/* Returns the number of the series. A series with an empty label is left out of the key. */
int sx_fig_series(sx_fig *f, const char *label, sx_fig_look look);
/* Defines the panel at (row, col) and returns its number. Panels of a figure with several are
 * lettered (a), (b), .. in the order of definition; title may be "". */
int sx_fig_panel(sx_fig *f, int row, int col, const char *title, sx_fig_axis x, sx_fig_axis y);

/* Marks. x, y, lo, hi (n); NaN breaks a line. What a log axis cannot show is reported, not drawn.
 * pale: a thin light line behind the others, such as the raw data of a smoothed curve. */
void sx_fig_line(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
void sx_fig_pale(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
void sx_fig_band(sx_fig *f, int panel, int series, const double *x, const double *lo,
		 const double *hi, int64_t n);
void sx_fig_points(sx_fig *f, int panel, int series, const double *x, const double *y, int64_t n);
/* A vertical line through the panel with a small label above it. */
void sx_fig_vline(sx_fig *f, int panel, double x, const char *label);
/* A small text beside (x, y), on the side with less in its way; y = INFINITY is the top edge. */
void sx_fig_note(sx_fig *f, int panel, double x, double y, const char *text);

/* ---- output ---- */

/* The format follows from the ending: .pdf, .svg or .png. The same figure gives the same bytes
 * wherever fonts and libraries are the same: the file carries no time, or that of the environment's
 * SOURCE_DATE_EPOCH. A missing font is replaced and a warning logged.
 * SX_EUSAGE for another ending, SX_ENOMEM, SX_ECREATE, SX_EIO; then nothing is left at path. */
sx_status sx_fig_save(sx_fig *f, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* The numbers of all marks as CSV: panel,mark,series,x,y,low,high. Before any thinning. */
sx_status sx_fig_save_data(const sx_fig *f, sx_ctx *ctx, const char *path) SX_NODISCARD;

/* ---- figures (fig_*.c): each builds one, to be saved and freed by the caller ---- */

typedef struct {
	const char *label; /* runs with the same label share one series             */
	sx_fig_kind kind;
	int64_t n;                  /* records                                               */
	const double *tokens_seen;  /* (n) not decreasing                                    */
	const double *loss;         /* (n) nats per token; NaN = unknown                     */
	const unsigned char *phase; /* (n) 0 pretraining, 1 recalibration                    */
	double drop;                /* tokens seen when recalibration began; NaN = it did not */
	int64_t n_eval;             /* held-out points, may be 0                             */
	const double *eval_tokens, *eval_loss; /* (n_eval)                                    */
} sx_fig_run;

/* Training curves: (a) loss against tokens seen, the drop marked; (b) after the drop, on a log
 * axis. The second panel is there only if a run has a drop. SX_ENOMEM. */
sx_status sx_fig_loss(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, const sx_fig_run *runs,
		      int n_run) SX_NODISCARD;

#endif

/* What the files of the figure layer share: the figure as data, and where layout puts things.
 * Device coordinates are points from the upper left corner, y downwards. */
#ifndef SX_ANALYSIS_FIGURE_INTERNAL_H
#define SX_ANALYSIS_FIGURE_INTERNAL_H

#include "analysis/figure/scale.h"
#include "analysis/figure/text.h"

/* In the order in which they are drawn. */
typedef enum { MARK_VLINE, MARK_BAND, MARK_PALE, MARK_LINE, MARK_POINTS, MARK_NOTE } mark_kind;
enum { MARK_KINDS = MARK_NOTE + 1 };

typedef struct {
	mark_kind kind;
	int series; /* -1: none                                        */
	int64_t n;
	double *x, *y, *high; /* (n); of a band y is the lower edge, else high is NULL */
	char *label, *markup; /* vline and note                                  */
	double text_x, text_y, text_align; /* set by layout                       */
} sx_fig_mark;

typedef struct {
	double x, y, w, h;
} sx_rect;

typedef struct {
	int row, col;
	char *title;             /* markup, with its letter                   */
	sx_fig_axis x, y;        /* lo, hi as asked for                       */
	char *x_label, *y_label; /* markup                                    */
	sx_fig_mark *mark;
	int n_mark;
	double x0, x1, y0, y1;     /* limits, set by layout                     */
	sx_rect box;               /* the axes' rectangle, set by layout        */
	double raised;             /* room for exponents above the x ticks' texts, set by layout */
	sx_ticks x_ticks, y_ticks; /* set by layout                             */
	char *x_full, *y_full;     /* labels with the factor 10^k, set by layout */
} sx_fig_panel_data;

typedef struct {
	char *label, *markup;
	sx_fig_look look;
	bool has_line, has_points; /* what the key must show, set by layout */
	double key_y;              /* direct label: its middle, set by layout */
} sx_fig_series_data;

/* How the series are named: at the ends of the lines, in a corner of a panel, above all panels. */
typedef enum { KEY_NONE, KEY_DIRECT, KEY_CORNER, KEY_STRIP } key_kind;

struct sx_fig {
	const sx_fig_style *style;
	int rows, cols;
	char *title, *alt;
	sx_fig_panel_data *panel;
	int n_panel;
	sx_fig_series_data *series;
	int n_series;
	sx_status st; /* the first failure while building */
	/* set by layout */
	double width, height;
	double left; /* margin of every panel; its y label stands at the outer end */
	key_kind key;
	int key_panel;
	sx_rect key_box;
	double key_column; /* width of one entry in the strip */
	int key_columns;
};

/* Sets everything marked "set by layout". Reports to the log what a log axis cannot show.
 * SX_ENOMEM. */
sx_status sx_fig_layout(sx_fig *f, sx_text *t, sx_ctx *ctx) SX_NODISCARD;

double sx_fig_device_x(const sx_fig_panel_data *p, double x); /* NaN off a log map */
double sx_fig_device_y(const sx_fig_panel_data *p, double y);
/* Length of the sample of a line in the key and the gap after it. */
double sx_fig_key_sample(const sx_fig_style *s);

#endif

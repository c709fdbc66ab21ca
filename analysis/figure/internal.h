/* What the files of the figure layer share: the figure as data, and where layout puts things.
 * Device coordinates are points from the upper left corner, y downwards. */
#ifndef SX_ANALYSIS_FIGURE_INTERNAL_H
#define SX_ANALYSIS_FIGURE_INTERNAL_H

#include "analysis/figure/scale.h"
#include "analysis/figure/text.h"

/* In the order in which they are drawn. */
typedef enum {
	MARK_HEAT,
	MARK_RULE,
	MARK_VLINE,
	MARK_GUIDE,
	MARK_BAND,
	MARK_PALE,
	MARK_X_INTERVALS,
	MARK_Y_INTERVALS,
	MARK_PATH,
	MARK_LINE,
	MARK_DOTS,
	MARK_POINTS,
	MARK_NOTE, /* from here on: texts */
	MARK_LABEL
} mark_kind;

typedef struct {
	mark_kind kind;
	int series; /* -1: none                                        */
	int64_t n;
	double *x, *y, *high; /* (n); of bands and y intervals y is the lower end, of x intervals x;
				 else high is NULL */
	double *z;            /* heat: (rows, cols), and n = 0; else NULL          */
	int64_t rows, cols;
	char *label, *markup;              /* vline, note and label; a guide has a label alone  */
	double text_x, text_y, text_align; /* set by layout; NaN = left out               */
} sx_fig_mark;

typedef struct {
	double x, y, w, h;
} sx_rect;

typedef struct {
	int row, col;
	char *title, *name;      /* markup, with its letter; the title as given */
	sx_fig_axis x, y;        /* lo, hi as asked for                       */
	char *x_label, *y_label; /* markup                                    */
	sx_fig_mark *mark;
	int n_mark;
	double x0, x1, y0, y1; /* limits, set by layout                     */
	sx_rect box;           /* the axes' rectangle, set by layout        */
	double raised;         /* room for exponents above the x ticks' texts, set by layout */
	bool own_x_ticks, own_y_ticks; /* not computed                          */
	sx_ticks x_asked, y_asked;     /* those                                 */
	bool x_texts, y_texts;         /* at the outer edge, set by layout          */
	bool is_empty;                 /* as a series is, set by layout             */
	sx_ticks x_ticks, y_ticks;     /* set by layout                             */
	char *x_full, *y_full;         /* labels with the factor 10^k, set by layout */
} sx_fig_panel_data;

typedef enum { ENTRY_NONE, ENTRY_LINE, ENTRY_POINT, ENTRY_DOT, ENTRY_PATCH } entry_kind;

typedef struct {
	char *label, *markup, *empty_markup; /* the last: in the key where it has no values */
	sx_fig_look look;
	bool unnamed;     /* not in the key                            */
	entry_kind entry; /* of the key alone, no marks                */
	/* What the key must show, set by layout; lone: values that no line reaches, bars: intervals. */
	bool has_line, has_lone, has_bars, has_points, has_dots, has_patch;
	bool is_empty; /* it has marks, and none of their values can be shown; set by layout */
	double key_y;  /* direct label: its middle, set by layout */
} sx_fig_series_data;

/* How the series are named: at the ends of the lines, in a corner of a panel, above all panels. */
typedef enum { KEY_NONE, KEY_DIRECT, KEY_CORNER, KEY_STRIP } key_kind;

struct sx_fig {
	const sx_fig_style *style;
	int rows, cols;
	bool shared;
	double png_dpi; /* the style's, unless asked for */
	double aspect;  /* of a panel: its box where axes are shared, else with its labels */
	bool has_colours;
	sx_fig_colours colours; /* its label as markup in bar_label */
	char *bar_label;
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
	sx_rect bar; /* of the colour bar */
	sx_ticks bar_ticks;
	char *bar_full;
	bool has_heat;
	int undefined; /* the key's entry for cells without a value that should have one; -1: none */
};

/* Sets everything marked "set by layout". Reports to the log what a log axis cannot show.
 * SX_ENOMEM. */
sx_status sx_fig_layout(sx_fig *f, sx_text *t, sx_ctx *ctx) SX_NODISCARD;

/* Height of v on the colour bar. */
double sx_fig_bar_y(const sx_fig *f, double v);

/* ---- place.c: within a panel ---- */

/* Larger numbers are as good as infinite: ticks of such an axis could not be computed. */
#define SX_FIG_BEYOND 1e100
/* Can an axis of this map show v? */
bool sx_fig_can_show(sx_fig_map map, double v);
/* Does the mark hold values, rather than a guide or a text; and can any of them be shown? */
bool sx_fig_holds_data(const sx_fig_mark *m);
bool sx_fig_has_values(const sx_fig_panel_data *p, const sx_fig_mark *m);
/* What a line or band is drawn in one go of: the points [from, to) between two gaps. lone: no line
 * would be seen, for it is a single place. */
typedef struct {
	int64_t from, to;
	bool lone;
} sx_fig_piece;
/* The piece behind *at, which is {0} for the first one; false where there is none. Needs the limits. */
bool sx_fig_next_piece(const sx_fig_panel_data *p, const sx_fig_mark *m, sx_fig_piece *at);

double sx_fig_device_x(const sx_fig_panel_data *p, double x); /* NaN off a log map */
double sx_fig_device_y(const sx_fig_panel_data *p, double y);
/* Size of a panel's title. */
double sx_fig_title_size(const sx_fig *f);
/* Does the panel have heat maps? */
bool sx_fig_is_heat(const sx_fig_panel_data *p);
/* Is the series shown in the key? */
bool sx_fig_in_key(const sx_fig *f, int series);
/* Length of the samples in the key: of lines, or of markers where there are no lines. */
double sx_fig_key_sample(const sx_fig *f);
/* Ticks of a panel whose limits and box are set, and its label with their power of ten. SX_ENOMEM. */
sx_status sx_fig_make_x_ticks(const sx_fig *f, sx_text *t, sx_fig_panel_data *p) SX_NODISCARD;
sx_status sx_fig_make_y_ticks(const sx_fig *f, sx_fig_panel_data *p) SX_NODISCARD;
/* Room for numbers and label of the axes: left of the box, below it. */
double sx_fig_left_margin(const sx_fig *f, sx_text *t, const sx_fig_panel_data *p);
double sx_fig_bottom_margin(const sx_fig *f, const sx_fig_panel_data *p);
/* The label with 10^exponent, in place of *out. SX_ENOMEM. */
sx_status sx_fig_full_label(char **out, const char *label, int exponent) SX_NODISCARD;

/* ---- between layout.c and its parts ---- */

/* key.c: which series the key must show, where it stands, and texts beside marks. place_direct and
 * place_corner say whether there is room; place_strip always finds some. */
void sx_fig_mark_key_use(sx_fig *f); /* needs the limits */
const char *sx_fig_key_text(const sx_fig_series_data *s);
int sx_fig_key_count(const sx_fig *f);
double sx_fig_key_width(const sx_fig *f, sx_text *t);
bool sx_fig_place_direct(sx_fig *f, const sx_fig_panel_data *p, sx_text *t);
bool sx_fig_place_corner(sx_fig *f, const sx_fig_panel_data *p, sx_text *t);
void sx_fig_place_strip(sx_fig *f, sx_text *t);
void sx_fig_place_texts(const sx_fig *f, sx_fig_panel_data *p, sx_text *t);

/* layout_shared.c: panels with shared axes below `from`, and the colour bar; sets the height. */
sx_status sx_fig_place_shared(sx_fig *f, sx_text *t, double from) SX_NODISCARD;

/* colour.c: where v lies on a colour scale, 0..1. */
double sx_fig_colour_unit(const sx_fig_colours *c, double v);

/* heat.c: draws a heat map into its panel's box, and the colour bar. */
void sx_fig_draw_heat(const sx_fig *f, cairo_t *cr, const sx_fig_panel_data *p,
		      const sx_fig_mark *m);
void sx_fig_draw_bar(const sx_fig *f, cairo_t *cr);

/* svg.c: Cairo's SVG with a title, a description and names of its own; NULL when memory is out. */
char *sx_fig_finish_svg(const sx_fig *f, const char *svg);

#endif

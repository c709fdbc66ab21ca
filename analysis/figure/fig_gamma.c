/* Figure `gamma`: what methods of context extension do to each frequency. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

static sx_fig_look look_of(int nth)
{
	sx_fig_look look = sx_fig_look_of(SX_FIG_OTHER, nth);
	/* The fourth of the free colours is yellow: too faint for a line. */
	for (int k = 0; nth % 4 == 3 && k < 3; k++) look.rgb[k] = 0.5;
	return look;
}

/* About as many as have room of the frequencies; each method others, for where methods agree markers
 * would cover each other. */
static void add_points(sx_fig *f, int panel, int series, const sx_fig_scaling *s, int room,
		       int methods)
{
	int stride = s->n > room ? (s->n + room - 1) / room : 1;
	if (s->n > room && stride < methods) stride = methods;
	for (int m = series % stride; m < s->n; m += stride)
		sx_fig_points(f, panel, series, s->omega + m, s->gamma + m, 1);
}

static void add_panel(sx_fig *f, int col, double s)
{
	char *title = sx_format("$s$ = %g", s);
	sx_fig_axis x = sx_part_axis("Frequency $\\omega$ (rad/token)", SX_FIG_LOG10);
	sx_fig_axis y = sx_part_axis("$\\gamma$", SX_FIG_LINEAR);
	y.lo = -0.03;
	y.hi = 1.05;
	sx_fig_panel(f, 0, col, title ? title : "", x, y);
	free(title);
}

enum { MAX_FACTORS = 6 };

/* Factors and methods, each once, in the order in which they come. */
typedef struct {
	int n_factor, n_method;
	double factor[MAX_FACTORS];
	const char *method[SX_FIG_GAMMA_METHODS];
} columns;

static sx_status find_columns(columns *c, sx_ctx *ctx, const sx_fig_scaling *s, int n)
{
	for (int i = 0; i < n; i++) {
		int k = 0, m = 0;
		while (k < c->n_factor && c->factor[k] != s[i].factor) k++;
		while (m < c->n_method && strcmp(c->method[m], s[i].name) != 0) m++;
		if (k == MAX_FACTORS)
			return sx_fail(ctx, SX_EUSAGE, "at most %d factors fit into a figure",
				       MAX_FACTORS);
		if (m == SX_FIG_GAMMA_METHODS)
			return sx_fail(ctx, SX_EUSAGE, "at most %d methods fit into a figure",
				       SX_FIG_GAMMA_METHODS);
		if (k == c->n_factor) c->factor[c->n_factor++] = s[i].factor;
		if (m == c->n_method) c->method[c->n_method++] = s[i].name;
	}
	return SX_OK;
}

sx_status sx_fig_gamma(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_scaling *s, int n, int head_dim, int64_t train_length)
{
	columns c = {0};
	sx_fig *f = NULL;
	int n_series = 0;
	sx_status st = find_columns(&c, ctx, s, n);
	if (st == SX_OK) st = sx_fig_new(&f, ctx, style, 1, c.n_factor);
	if (st != SX_OK) return st;
	bool narrow = sx_part_is_narrow(style);
	sx_fig_share(f, c.n_factor == 1 ? (narrow ? 0.62 : 0.4) : c.n_factor == 2 ? 0.8 : 1);
	for (int k = 0; k < c.n_factor; k++) add_panel(f, k, c.factor[k]);
	for (int i = 0; i < n; i++) {
		int panel = 0, series = 0;
		while (c.factor[panel] != s[i].factor) panel++;
		while (strcmp(c.method[series], s[i].name) != 0) series++;
		if (series == n_series) {
			sx_fig_series(f, s[i].name, look_of(s[i].look));
			n_series++;
		}
		sx_fig_line(f, panel, series, s[i].omega, s[i].gamma, s[i].n);
		add_points(f, panel, series, &s[i], narrow && c.n_factor > 1 ? 6 : 12, c.n_method);
	}
	sx_part_about(f, "Frequency scaling",
		      sx_format("Factor gamma on each rotary frequency omega for position "
				"interpolation, NTK, YaRN and p-RoPE; head dimension %d, trained "
				"length %lld tokens.",
				head_dim, (long long)train_length));
	*out = f;
	return SX_OK;
}

/* Figure `gamma`: what methods of context extension do to each frequency. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

/* Names as the field writes them, each with a look of its own in every figure. */
static const char *shown_name(const char *method)
{
	static const char *const names[][2] = {
		{"pi", "PI"}, {"ntk", "NTK"}, {"yarn", "YaRN"}, {"p-rope", "p-RoPE"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i][0], method) == 0) return names[i][1];
	return method;
}

static sx_fig_look look_of(const char *method)
{
	static const char *const order[] = {"pi", "ntk", "yarn"};
	for (int i = 0; i < 3; i++)
		if (strcmp(order[i], method) == 0) return sx_fig_look_of(SX_FIG_OTHER, i);
	/* The fourth of the free colours is yellow: too faint for a line. */
	return (sx_fig_look){{0.5, 0.5, 0.5}, SX_FIG_DOTTED, SX_FIG_DIAMOND};
}

/* About as many as have room of the frequencies; each method others, for where methods agree markers
 * would cover each other. */
static void add_points(sx_fig *f, int panel, int series, const sx_fig_scaling *s, int room)
{
	int stride = s->n > room ? (s->n + room - 1) / room : 1;
	if (s->n > room && stride < 4) stride = 4; /* as many as there are methods */
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

sx_status sx_fig_gamma(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_scaling *s, int n, int head_dim, int64_t train_length)
{
	enum { MAX_FACTORS = 6, MAX_METHODS = 8 };
	const char *name[MAX_METHODS];
	double factor[MAX_FACTORS];
	int n_factor = 0, n_series = 0;
	sx_fig *f = NULL;
	for (int i = 0; i < n; i++) {
		int k = 0;
		while (k < n_factor && factor[k] != s[i].factor) k++;
		if (k < n_factor) continue;
		if (n_factor == MAX_FACTORS)
			return sx_fail(ctx, SX_EUSAGE, "at most %d factors fit into a figure",
				       MAX_FACTORS);
		factor[n_factor++] = s[i].factor;
	}
	sx_status st = sx_fig_new(&f, ctx, style, 1, n_factor);
	if (st != SX_OK) return st;
	bool narrow = sx_part_is_narrow(style);
	sx_fig_share(f, n_factor == 1 ? (narrow ? 0.62 : 0.4) : n_factor == 2 ? 0.8 : 1);
	for (int k = 0; k < n_factor; k++) add_panel(f, k, factor[k]);
	for (int i = 0; i < n; i++) {
		int panel = 0, series = 0;
		while (factor[panel] != s[i].factor) panel++;
		while (series < n_series && strcmp(name[series], s[i].name) != 0) series++;
		if (series == n_series && n_series < MAX_METHODS) {
			name[n_series++] = s[i].name;
			sx_fig_series(f, shown_name(s[i].name), look_of(s[i].name));
		}
		sx_fig_line(f, panel, series, s[i].omega, s[i].gamma, s[i].n);
		add_points(f, panel, series, &s[i], narrow && n_factor > 1 ? 6 : 12);
	}
	sx_part_about(f, "Frequency scaling",
		      sx_format("Factor gamma on each rotary frequency omega for position "
				"interpolation, NTK, YaRN and p-RoPE; head dimension %d, trained "
				"length %lld tokens.",
				head_dim, (long long)train_length));
	*out = f;
	return SX_OK;
}

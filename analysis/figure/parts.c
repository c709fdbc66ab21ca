#include "analysis/figure/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double sx_part_mean(const double *v, int64_t n, int64_t stride, const unsigned char *use)
{
	double sum = 0;
	int64_t count = 0;
	for (int64_t i = 0; i < n; i++) {
		if ((use && !use[i]) || isnan(v[i * stride])) continue;
		sum += v[i * stride];
		count++;
	}
	return count > 0 ? sum / (double)count : (double)NAN;
}

int64_t sx_part_drop(const sx_fig_probe *p)
{
	for (int64_t i = 0; i < p->n_step; i++)
		if (p->phase[i] == 1) return i;
	return -1;
}

sx_status sx_part_cast_new(sx_part_cast *c, sx_ctx *ctx, int n)
{
	size_t room = (size_t)n + 1;
	*c = (sx_part_cast){.n = n,
			    .label = sx_calloc(room, sizeof *c->label),
			    .kind = sx_calloc(room, sizeof *c->kind),
			    .group = sx_calloc(room, sizeof *c->group),
			    .look = sx_calloc(room, sizeof *c->look)};
	if (c->label && c->kind && c->group && c->look) return SX_OK;
	return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
}

void sx_part_cast_free(sx_part_cast *c)
{
	free(c->label);
	free(c->kind);
	free(c->group);
	free(c->look);
	free(c->names);
}

void sx_part_group(sx_part_cast *c)
{
	bool taken[SX_FIG_OTHER] = {false};
	int others = 0;
	for (int i = 0; i < c->n; i++) {
		int same = 0;
		while (strcmp(c->label[same], c->label[i]) != 0) same++;
		c->group[i] = same;
		c->look[i] = c->look[same];
		if (same < i) continue;
		bool own = c->kind[i] != SX_FIG_OTHER && !taken[c->kind[i]];
		if (own) taken[c->kind[i]] = true;
		c->look[i] = own ? sx_fig_look_of(c->kind[i], 0)
				 : sx_fig_look_of(SX_FIG_OTHER, others++);
	}
}

char *sx_part_names(const char *const *label, int n)
{
	char *names = sx_strdup("");
	int last = 0;
	for (int i = 0; i < n; i++) {
		int same = 0;
		while (strcmp(label[same], label[i]) != 0) same++;
		if (same == i) last = i;
	}
	for (int i = 0; i < n && names; i++) {
		int same = 0;
		while (strcmp(label[same], label[i]) != 0) same++;
		if (same < i) continue;
		char *more = sx_format("%s%s%s", names,
				       i == 0      ? ""
				       : i == last ? " and "
						   : ", ",
				       label[i]);
		free(names);
		names = more;
	}
	return names;
}

const char *sx_part_cast_names(sx_part_cast *c, const char *otherwise)
{
	free(c->names);
	c->names = sx_part_names(c->label, c->n);
	return c->names ? c->names : otherwise;
}

void sx_part_title(char *out, size_t size, const char *const *label, const int64_t *seed, int n,
		   int i)
{
	bool shared = false, others = false;
	for (int k = 0; k < n; k++) {
		bool same = strcmp(label[k], label[i]) == 0;
		shared = shared || (same && seed[k] != seed[i]);
		others = others || !same;
	}
	if (!shared)
		snprintf(out, size, "%s", label[i]);
	else
		snprintf(out, size, "%s%sseed %lld", others ? label[i] : "", others ? ", " : "",
			 (long long)seed[i]);
}

void sx_part_when(char out[SX_PART_WHEN], int64_t step)
{
	out[0] = '\0';
	if (step >= 0) snprintf(out, SX_PART_WHEN, " after %lld updates", (long long)step);
}

void sx_part_note_undefined(sx_fig *f, int panel, double x, int64_t undefined, int64_t heads)
{
	char text[64];
	if (undefined == 0) return;
	snprintf(text, sizeof text, "%lld of %lld heads: undefined", (long long)undefined,
		 (long long)heads);
	sx_fig_note(f, panel, x, (double)INFINITY, text);
}

void sx_part_about(sx_fig *f, const char *title, char *alt)
{
	sx_fig_about(f, title, alt ? alt : title);
	free(alt);
}

sx_fig_look sx_part_head_look(int64_t h, int64_t n)
{
	if (n <= 3) {
		sx_fig_look look = sx_fig_look_of(SX_FIG_OTHER, (int)h);
		look.dash = SX_FIG_SOLID;
		return look;
	}
	return sx_part_ramp(h, n); /* too many for the list */
}

sx_fig_look sx_part_ramp(int64_t i, int64_t n)
{
	const sx_fig_colours scale = {
		.table = SX_FIG_VIRIDIS, .hi = n > 1 ? (double)(n - 1) : 1, .gamma = 1};
	unsigned char rgb[3];
	sx_fig_look look = {.dash = SX_FIG_SOLID};
	sx_fig_colour_of(&scale, 0.9 * (double)i, rgb);
	for (int k = 0; k < 3; k++) look.rgb[k] = rgb[k] / 255.0;
	return look;
}

bool sx_part_is_narrow(const sx_fig_style *s)
{
	return s->width_in < 4.5;
}

/* How many different values smaller than v there are; v = INT32_MAX: how many there are at all. */
static int rank(const int32_t *value, int64_t n, int32_t v)
{
	int smaller = 0;
	for (int64_t i = 0; i < n; i++) {
		int64_t first = 0;
		while (value[first] != value[i]) first++;
		smaller += first == i && value[i] < v;
	}
	return smaller;
}

sx_part_grid sx_part_head_grid(const int32_t *layer, const int32_t *head, int64_t n)
{
	enum { IN_A_LINE = 5 };
	int n_layer = rank(layer, n, INT32_MAX), n_head = rank(head, n, INT32_MAX);
	bool across = n_layer >= n_head;
	sx_part_grid g = {.rows = across ? n_head : n_layer,
			  .cols = across ? n_layer : n_head,
			  .layers_across = across,
			  .layer = layer,
			  .head = head,
			  .n = n};
	if (g.rows == 1 && g.cols > IN_A_LINE) {
		g.lines = true;
		g.rows = (g.cols + IN_A_LINE - 1) / IN_A_LINE;
		g.cols = (g.cols + g.rows - 1) / g.rows;
	}
	return g;
}

sx_status sx_part_grid_check(const sx_part_grid *g, sx_ctx *ctx, const sx_fig_style *style)
{
	double each = 72 * style->width_in / g->cols;
	if (each >= 4 * style->small_pt && g->rows <= 24) return SX_OK;
	return sx_fail(
		ctx, SX_EDATA,
		"%d by %d panels do not fit into %g inches: choose fewer heads with --heads, "
		"or a wider --style",
		g->rows, g->cols, style->width_in);
}

void sx_part_grid_cell(const sx_part_grid *g, int64_t i, int *row, int *col)
{
	int l = rank(g->layer, g->n, g->layer[i]), h = rank(g->head, g->n, g->head[i]);
	*row = g->layers_across ? h : l;
	*col = g->layers_across ? l : h;
	if (g->lines) {
		*row = *col / g->cols;
		*col = *col % g->cols;
	}
}

sx_fig_axis sx_part_axis(const char *label, sx_fig_map map)
{
	return (sx_fig_axis){.label = label, .map = map, .lo = (double)NAN, .hi = (double)NAN};
}

/* What several figures need: means over sequences, looks of inputs, names for a sentence. */
#ifndef SX_ANALYSIS_FIGURE_PARTS_H
#define SX_ANALYSIS_FIGURE_PARTS_H

#include "analysis/figure/figures.h"

/* Mean of v[0], v[stride], .. (n of them) where use is set and the value is a number; NaN if there
 * is none. use NULL: all. */
double sx_part_mean(const double *v, int64_t n, int64_t stride, const unsigned char *use);

/* The first record of recalibration, -1 if there is none. */
int64_t sx_part_drop(const sx_fig_probe *p);

/* The inputs of a figure. Those with the same label are one group and look alike: group is the number
 * of the first input with the label, look that of its kind for the first group of the kind, another
 * one for the next. Labels are borrowed. */
typedef struct {
	int n;
	const char **label;
	sx_fig_kind *kind;
	int *group;
	sx_fig_look *look;
	char *names; /* sx_part_cast_names */
} sx_part_cast;

/* Room for n inputs, zeros; then label and kind are the caller's to set, group and look
 * sx_part_group's. SX_ENOMEM. */
sx_status sx_part_cast_new(sx_part_cast *c, sx_ctx *ctx, int n) SX_NODISCARD;
void sx_part_group(sx_part_cast *c);
/* sx_part_names of the labels for a sentence, `otherwise` when memory is out; the cast's. */
const char *sx_part_cast_names(sx_part_cast *c, const char *otherwise);
void sx_part_cast_free(sx_part_cast *c); /* frees what is inside */

/* "A, B and C", each label once; the caller's, NULL when memory is out. */
char *sx_part_names(const char *const *label, int n);

/* What tells input i from the others with panels of their own: its label, its seed where another has
 * the label, or both. label, seed (n). */
void sx_part_title(char *out, size_t size, const char *const *label, const int64_t *seed, int n,
		   int i);

/* " after N updates", or nothing where step is -1. */
enum { SX_PART_WHEN = 48 };
void sx_part_when(char out[SX_PART_WHEN], int64_t step);

/* Notes at the panel's top, from x on, how many of its heads are undefined, if any. */
void sx_part_note_undefined(sx_fig *f, int panel, double x, int64_t undefined, int64_t heads);

/* Sets title and description and frees the description; NULL when memory was out. */
void sx_part_about(sx_fig *f, const char *title, char *alt);

/* The colour of head h of n. */
sx_fig_look sx_part_head_look(int64_t h, int64_t n);

/* The colour of the i-th of n in an order (layers): along viridis, without its light end, which
 * white paper swallows. */
sx_fig_look sx_part_ramp(int64_t i, int64_t n);

/* Is it the page of a single column? */
bool sx_part_is_narrow(const sx_fig_style *s);

/* A panel for each of some heads: the layers they are of along one side of a grid and their numbers
 * along the other, the longer side across the page; heads of one layer are broken into lines. */
typedef struct {
	int rows, cols;
	bool layers_across, lines;
	const int32_t *layer, *head; /* (n) borrowed */
	int64_t n;
} sx_part_grid;
sx_part_grid sx_part_head_grid(const int32_t *layer, const int32_t *head, int64_t n);
/* SX_EDATA where panels would be narrower than their titles. */
sx_status sx_part_grid_check(const sx_part_grid *g, sx_ctx *ctx,
			     const sx_fig_style *style) SX_NODISCARD;
/* Where the panel of the i-th head goes. */
void sx_part_grid_cell(const sx_part_grid *g, int64_t i, int *row, int *col);

/* Limits and label of an axis that the marks decide. */
sx_fig_axis sx_part_axis(const char *label, sx_fig_map map);

#endif

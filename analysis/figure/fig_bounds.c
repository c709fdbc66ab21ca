/* Figure `bounds`: both sides of the theory's inequalities. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

enum { MAX_FAMILIES = 6 };

/* What the left side of an inequality is, by the beginning of its name. */
static const char *left_side(const char *inequality)
{
	static const char *const sides[][2] = {
		{"I10", "$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$"},
		{"I11", "$\\|\\partial A_c/\\partial W_\\mathrm{K}\\|$"},
		{"I9", "$|A_c|$"},
		{"T3.4", "$|A_c|$"},
	};
	for (size_t k = 0; k < sizeof sides / sizeof sides[0]; k++)
		if (strncmp(inequality, sides[k][0], strlen(sides[k][0])) == 0) return sides[k][1];
	return "Left side";
}

/* One panel's worth: the entries of an inequality in all inputs. */
typedef struct {
	const sx_fig_bound_data *in;
	const int *group;
	int n;
	const char *name; /* of the inequality */
} part;

/* "I9:own" belongs to I9 with the family own, I9.tanh does not. */
static const char *family_in(const char *name, const char *inequality)
{
	size_t n = strlen(inequality);
	if (strncmp(name, inequality, n) != 0) return NULL;
	return name[n] == ':' ? name + n + 1 : name[n] == '\0' ? "" : NULL;
}

typedef struct {
	const char *name[MAX_FAMILIES];
	int n;
} family_list;

static int family_number(const family_list *l, const char *name)
{
	int k = 0;
	while (k < l->n && strcmp(l->name[k], name) != 0) k++;
	return k;
}

static sx_status find_families(family_list *l, sx_ctx *ctx, const sx_fig_bound_data *in, int n,
			       const char *const *inequality, int n_inequality)
{
	*l = (family_list){.n = 0};
	for (int k = 0; k < n_inequality; k++)
		for (int i = 0; i < n; i++)
			for (int64_t e = 0; e < in[i].n; e++) {
				const char *name = family_in(in[i].name[e], inequality[k]);
				if (!name || family_number(l, name) < l->n) continue;
				if (l->n == MAX_FAMILIES)
					return sx_fail(ctx, SX_EDATA,
						       "more than %d families of c: draw fewer",
						       MAX_FAMILIES);
				l->name[l->n++] = name;
			}
	return SX_OK;
}

static bool is_shown(double lhs, double rhs)
{
	return isfinite(lhs) && isfinite(rhs);
}

/* Is entry e of input i nowhere evaluated? */
static bool is_empty(const sx_fig_bound_data *in, int64_t e)
{
	int64_t places = in->at.n_seq * in->at.n_layer * in->at.n_head;
	for (int64_t k = 0; k < places; k++)
		if (is_shown(in->lhs[k * in->n + e], in->rhs[k * in->n + e])) return false;
	return true;
}

/* ---- both sides ---- */

/* A dot per head and sequence, right side across, left side up. */
static sx_status add_dots(sx_fig *f, sx_ctx *ctx, int panel, const sx_fig_bound_data *in, int64_t e,
			  int series)
{
	int64_t per_seq = in->at.n_layer * in->at.n_head, n = 0;
	double *x = sx_calloc((size_t)(2 * in->at.n_seq * per_seq) + 1, sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *y = x + in->at.n_seq * per_seq;
	for (int64_t k = 0; k < in->at.n_seq * per_seq; k++) {
		double lhs = in->lhs[k * in->n + e], rhs = in->rhs[k * in->n + e];
		if (!in->at.use[k / per_seq] || !is_shown(lhs, rhs)) continue;
		x[n] = rhs;
		y[n++] = lhs;
	}
	if (n > 0) sx_fig_dots(f, panel, series, x, y, n);
	free(x);
	return SX_OK;
}

/* What is positive of both sides, of all inputs. */
static void limits_of(double *lowest, double *least, double *most, const part *p)
{
	*lowest = *least = (double)INFINITY;
	*most = 0;
	for (int i = 0; i < p->n; i++)
		for (int64_t k = 0;
		     k < p->in[i].at.n_seq * p->in[i].at.n_layer * p->in[i].at.n_head * p->in[i].n;
		     k++) {
			const sx_fig_bound_data *d = &p->in[i];
			double lhs = d->lhs[k], rhs = d->rhs[k];
			int64_t seq = k / (d->at.n_layer * d->at.n_head * d->n);
			if (!family_in(d->name[k % d->n], p->name) || !is_shown(lhs, rhs)) continue;
			if (!d->at.use[seq]) continue;
			if (lhs > 0) *lowest = fmin(*lowest, lhs);
			if (rhs > 0) *least = fmin(*least, rhs);
			*most = fmax(*most, fmax(lhs, rhs));
		}
}

/* "RoPE: not applicable" where it is drawn for none of its heads, "RoPE: undefined" where it applies and
 * a side is not a number; of several, "2 of 4". */
static void note_empty_as(sx_fig *f, int panel, const part *p, double x, bool undefined)
{
	const char *label = NULL, *word = undefined ? "undefined" : "not applicable";
	char text[160];
	int n = 0, all = 0;
	for (int i = 0; i < p->n; i++) {
		bool empty = false;
		if (p->group[i] != i) continue;
		all++;
		for (int64_t e = 0; e < p->in[i].n; e++)
			empty = empty ||
				(family_in(p->in[i].name[e], p->name) &&
				 undefined == !p->in[i].why_not[e] && is_empty(&p->in[i], e));
		if (empty) n++, label = p->in[i].at.label;
	}
	if (n == 0) return;
	if (n == 1)
		snprintf(text, sizeof text, "%s: %s", label, word);
	else
		snprintf(text, sizeof text, "%d of %d: %s", n, all, word);
	sx_fig_note(f, panel, x, (double)INFINITY, text);
}

static void note_empty(sx_fig *f, int panel, const part *p, double x)
{
	note_empty_as(f, panel, p, x, false);
	note_empty_as(f, panel, p, x, true);
}

static sx_status add_scatter(sx_fig *f, sx_ctx *ctx, const part *p, const int *series,
			     const family_list *fam, int row, int col)
{
	sx_status st = SX_OK;
	double lowest, least, most;
	sx_fig_axis x = sx_part_axis("Bound", SX_FIG_LOG10);
	sx_fig_axis y = sx_part_axis(left_side(p->name), SX_FIG_LOG10);
	limits_of(&lowest, &least, &most, p);
	if (most > 0 && isfinite(least)) { /* the diagonal crosses the whole panel */
		x.lo = least / 1.3;
		x.hi = y.hi = 1.3 * most;
		y.lo = fmin(isfinite(lowest) ? lowest : least, least) / 1.3;
	} else { /* empty */
		x.lo = y.lo = 0.1;
		x.hi = y.hi = 1;
	}
	int panel = sx_fig_panel(f, row, col, p->name, x, y);
	static const sx_fig_look grey = {{0.5, 0.5, 0.5}, SX_FIG_DOTTED, SX_FIG_CIRCLE};
	const double ends[] = {x.lo, x.hi};
	sx_fig_line(f, panel, sx_fig_unnamed_series(f, "equal", grey), ends, ends, 2);
	for (int i = 0; i < p->n; i++)
		for (int64_t e = 0; e < p->in[i].n; e++) {
			const char *name = family_in(p->in[i].name[e], p->name);
			if (!name) continue;
			SX_TRY(add_dots(
				f, ctx, panel, &p->in[i], e,
				series[p->group[i] * MAX_FAMILIES + family_number(fam, name)]));
		}
	note_empty(f, panel, p, x.lo);
out:
	return st;
}

/* ---- the ratio by layer ---- */

static int by_value(const void *a, const void *b)
{
	double x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

/* Ratios of a layer over heads, sequences, families and the inputs of a group, sorted; v has room for
 * all. */
static int64_t ratios_of(double *v, const part *p, int g, int64_t layer)
{
	int64_t count = 0;
	for (int i = 0; i < p->n; i++) {
		const sx_fig_bound_data *d = &p->in[i];
		int64_t L = d->at.n_layer, H = d->at.n_head;
		for (int64_t k = 0; k < d->at.n_seq * L * H * d->n && p->group[i] == g; k++) {
			int64_t seq = k / (L * H * d->n);
			if (k / (H * d->n) % L != layer || !d->at.use[seq]) continue;
			if (!family_in(d->name[k % d->n], p->name)) continue;
			/* Sides of zero have no place on the axes; the dots' axes report them. */
			if (!(is_shown(d->lhs[k], d->rhs[k]) && d->lhs[k] > 0 && d->rhs[k] > 0))
				continue;
			v[count++] = d->lhs[k] / d->rhs[k];
		}
	}
	qsort(v, (size_t)count, sizeof *v, by_value);
	return count;
}

static sx_status add_ratio_line(sx_fig *f, sx_ctx *ctx, const part *p, int panel, int g, int series,
				bool *drawn)
{
	int64_t L = p->in[g].at.n_layer, room = 1;
	for (int i = 0; i < p->n; i++)
		room += p->in[i].at.n_seq * p->in[i].at.n_layer * p->in[i].at.n_head * p->in[i].n;
	double *x = sx_calloc((size_t)(4 * L + room), sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *mid = x + L, *low = mid + L, *high = low + L, *v = high + L;
	bool any = false;
	for (int64_t l = 0; l < L; l++) {
		int64_t n = ratios_of(v, p, g, l);
		x[l] = (double)l;
		mid[l] = n ? (v[(n - 1) / 2] + v[n / 2]) / 2 : (double)NAN;
		low[l] = n ? v[0] : (double)NAN;
		high[l] = n ? v[n - 1] : (double)NAN;
		any = any || n > 0;
	}
	if (any) {
		sx_fig_band(f, panel, series, x, low, high, L);
		sx_fig_line(f, panel, series, x, mid, L);
		*drawn = true;
	}
	free(x);
	return SX_OK;
}

static sx_status add_ratio(sx_fig *f, sx_ctx *ctx, const part *p, const int *lines, int row,
			   int col, bool *drawn)
{
	sx_status st = SX_OK;
	int64_t L = 1;
	sx_fig_axis x = sx_part_axis("Layer", SX_FIG_LINEAR);
	sx_fig_axis y = sx_part_axis("Ratio to bound", SX_FIG_LOG10);
	y.hi = 3; /* room for a note above 1 */
	for (int i = 0; i < p->n; i++)
		if (p->in[i].at.n_layer > L) L = p->in[i].at.n_layer;
	x.integer = true;
	x.lo = -0.04 * (double)L;
	x.hi = (double)(L - 1) - x.lo;
	int panel = sx_fig_panel(f, row, col, p->name, x, y);
	static const sx_fig_look grey = {{0.5, 0.5, 0.5}, SX_FIG_DOTTED, SX_FIG_CIRCLE};
	const double ends[] = {x.lo, x.hi}, ones[] = {1, 1};
	sx_fig_line(f, panel, sx_fig_unnamed_series(f, "equal", grey), ends, ones, 2);
	for (int g = 0; g < p->n; g++)
		if (p->group[g] == g) SX_TRY(add_ratio_line(f, ctx, p, panel, g, lines[g], drawn));
	note_empty(f, panel, p, x.lo);
out:
	return st;
}

/* ---- the whole ---- */

/* Lines by input; dots by input and family, the input by colour and the family by marker. */
static void make_series(sx_fig *f, const sx_fig_bound_data *in, const int *group,
			const sx_fig_look *look, int n, const family_list *fam, int *lines,
			int *dots)
{
	for (int i = 0; i < n; i++) {
		if (group[i] != i) continue;
		lines[i] = sx_fig_series(f, in[i].at.label, look[i]);
		for (int k = 0; k < fam->n; k++) {
			char name[160];
			sx_fig_look one = look[i];
			one.marker = (sx_fig_marker)k;
			snprintf(name, sizeof name, "%s%s%s", in[i].at.label,
				 fam->name[k][0] ? ", " : "", fam->name[k]);
			dots[i * MAX_FAMILIES + k] = sx_fig_unnamed_series(f, name, one);
		}
	}
	for (int k = 0; k < fam->n && fam->n > 1; k++) {
		sx_fig_look grey = {{0.4, 0.4, 0.4}, SX_FIG_SOLID, (sx_fig_marker)k};
		sx_fig_key_dot(f, fam->name[k], grey);
	}
}

/* "I10 does not apply to RoPE (not NoPE)." for each such pair; the caller's. */
static char *reasons(const sx_fig_bound_data *in, int n, const char *const *inequality,
		     int n_inequality)
{
	char *all = sx_strdup("");
	for (int k = 0; k < n_inequality; k++)
		for (int i = 0; i < n; i++) {
			const char *why = NULL;
			bool said = false; /* of another seed */
			for (int e = 0; e < i; e++)
				said = said || strcmp(in[e].at.label, in[i].at.label) == 0;
			if (said) continue;
			for (int64_t e = 0; e < in[i].n && !why; e++)
				if (family_in(in[i].name[e], inequality[k])) why = in[i].why_not[e];
			if (!why || !all) continue;
			char *more = sx_format("%s %s does not apply to %s (%s).", all,
					       inequality[k], in[i].at.label, why);
			free(all);
			all = more;
		}
	return all;
}

static void describe(sx_fig *f, const sx_fig_bound_data *in, const char *const *label, int n,
		     const char *const *inequality, int n_inequality)
{
	char *names = sx_part_names(label, n), *which = sx_part_names(inequality, n_inequality);
	char *why = reasons(in, n, inequality, n_inequality);
	sx_part_about(f, "Bounds against values",
		      sx_format("Left side of %s against its bound for %s, a dot per head and "
				"sequence, families of c by marker; dotted: where both are equal. "
				"And left side over bound by layer: median and range over heads, "
				"sequences and families.%s",
				which ? which : "the inequalities", names ? names : "the inputs",
				why ? why : ""));
	free(why);
	free(which);
	free(names);
}

static sx_status check(sx_ctx *ctx, const sx_fig_bound_data *in, int n,
		       const char *const *inequality, int n_inequality)
{
	for (int k = 0; k < n_inequality; k++) {
		bool there = false;
		for (int i = 0; i < n && !there; i++)
			for (int64_t e = 0; e < in[i].n && !there; e++)
				there = family_in(in[i].name[e], inequality[k]) != NULL;
		if (!there)
			return sx_fail(ctx, SX_EDATA, "the inputs have no inequality %s",
				       inequality[k]);
	}
	return SX_OK;
}

/* Does any of the inequalities apply anywhere? */
static bool applies(const sx_fig_bound_data *in, int n, const char *const *inequality,
		    int n_inequality)
{
	for (int k = 0; k < n_inequality; k++)
		for (int i = 0; i < n; i++)
			for (int64_t e = 0; e < in[i].n; e++)
				if (family_in(in[i].name[e], inequality[k]) && !in[i].why_not[e])
					return true;
	return false;
}

sx_status sx_fig_bounds(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			const sx_fig_bound_data *in, int n, const char *const *inequality,
			int n_inequality)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	bool narrow = sx_part_is_narrow(style), drawn = false;
	int cols = narrow ? 2 : n_inequality;
	family_list fam;
	sx_part_cast cast = {0};
	int *lines = sx_calloc((size_t)n, sizeof *lines);
	int *dots = sx_calloc((size_t)n * MAX_FAMILIES, sizeof *dots);
	if (!lines || !dots) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	SX_TRY(sx_part_cast_new(&cast, ctx, n));
	SX_TRY(check(ctx, in, n, inequality, n_inequality));
	SX_TRY(find_families(&fam, ctx, in, n, inequality, n_inequality));
	for (int i = 0; i < n; i++) cast.label[i] = in[i].at.label, cast.kind[i] = in[i].at.kind;
	sx_part_group(&cast);
	SX_TRY(sx_fig_new(&f, ctx, style, narrow ? n_inequality : 2, cols));
	/* Labels of narrow panels take much of their height. */
	if (72 * style->width_in / cols < 18 * style->font_pt) sx_fig_shape(f, 0.8);
	make_series(f, in, cast.group, cast.look, n, &fam, lines, dots);
	for (int i = 0; i < 2 * n_inequality; i++) {
		int row = i / cols, col = i % cols;
		const part p = {in, cast.group, n, inequality[narrow ? row : col]};
		SX_TRY((narrow ? col : row) == 0 ? add_scatter(f, ctx, &p, dots, &fam, row, col)
						 : add_ratio(f, ctx, &p, lines, row, col, &drawn));
	}
	if (!drawn)
		SX_TRY(sx_fail(
			ctx, SX_EDATA,
			applies(in, n, inequality, n_inequality)
				? "there is nothing to draw: where the inequalities apply to "
				  "%s, their sides are zero or not numbers"
				: "none of the inequalities applies to %s",
			n == 1 ? in[0].at.label : "any of the inputs"));
	describe(f, in, cast.label, n, inequality, n_inequality);
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	free(lines);
	free(dots);
	sx_part_cast_free(&cast);
	return st;
}

/* Figure `ac-grad`: the norm of A_c's gradient by layer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/parts.h"

/* What the gradient is taken by: on the axis and in a sentence. */
typedef struct {
	const char *wrt, *label, *words;
} by_what;

static const by_what *by_what_of(const char *wrt)
{
	static const by_what all[] = {
		{"wq", "$\\|\\partial A_c/\\partial W_\\mathrm{Q}\\|$", "a head's query matrix"},
		{"wk", "$\\|\\partial A_c/\\partial W_\\mathrm{K}\\|$", "a head's key matrix"},
		{"q", "$\\|\\partial A_c/\\partial q\\|$", "a head's queries"},
		{"k", "$\\|\\partial A_c/\\partial k\\|$", "a head's keys"},
		{"h", "$\\|\\partial A_c/\\partial h\\|$", "the input of the attention block"},
	};
	for (size_t i = 0; wrt && i < sizeof all / sizeof all[0]; i++)
		if (strcmp(all[i].wrt, wrt) == 0) return &all[i];
	return &all[0];
}

/* What is drawn of the inputs. */
typedef struct {
	const sx_fig_ac_data *in;
	int n;
	const int *group;
	bool seeds;       /* some label stands twice: bands are of seeds, else of heads */
	int above, below; /* groups of RoPE and NoPE where there is nothing else; -1    */
} inputs;

typedef struct {
	double mean, low, high;
} summary;

static void add_value(summary *s, int64_t *count, double v)
{
	if (isnan(v)) return;
	s->mean += (v - s->mean) / (double)(*count + 1);
	s->low = fmin(s->low, v);
	s->high = fmax(s->high, v);
	(*count)++;
}

static const summary nothing = {0, (double)NAN, (double)NAN};

/* Of one head the mean over sequences of the first record. */
static double head_norm(const sx_fig_ac_data *d, int64_t layer, int64_t head, int c)
{
	int64_t per_seq = d->at.n_layer * d->at.n_head * d->n_c;
	return sx_part_mean(d->value + (layer * d->at.n_head + head) * d->n_c + c, d->at.n_seq,
			    per_seq, d->at.use);
}

static summary over_heads(const sx_fig_ac_data *d, int64_t layer, int c)
{
	summary s = nothing;
	int64_t count = 0;
	for (int64_t h = 0; h < d->at.n_head; h++) add_value(&s, &count, head_norm(d, layer, h, c));
	if (count == 0) s.mean = (double)NAN;
	return s;
}

/* Of a group of seeds, or of its only member's heads. */
static summary of_group(const inputs *all, int g, int64_t layer, int c)
{
	summary s = nothing;
	int64_t count = 0;
	if (!all->seeds) return over_heads(&all->in[g], layer, c);
	for (int i = 0; i < all->n; i++)
		if (all->group[i] == g)
			add_value(&s, &count, over_heads(&all->in[i], layer, c).mean);
	if (count == 0) s.mean = (double)NAN;
	return s;
}

static int size_of(const inputs *all, int g)
{
	int size = 0;
	for (int i = 0; i < all->n; i++) size += all->group[i] == g;
	return size;
}

/* The input that is the nth of its group. */
static const sx_fig_ac_data *member(const inputs *all, int g, int nth)
{
	int i = g;
	while (all->group[i] != g || nth-- > 0) i++;
	return &all->in[i];
}

/* RoPE over NoPE: the ratio of the means; its range over pairs of heads, or of seeds in the order
 * given, where each has a partner. */
static summary ratio_of(const inputs *all, int64_t layer, int c)
{
	summary s = nothing;
	int64_t count = 0;
	int n = size_of(all, all->above);
	const sx_fig_ac_data *a = member(all, all->above, 0), *b = member(all, all->below, 0);
	if (all->seeds && n == size_of(all, all->below))
		for (int k = 0; k < n; k++)
			add_value(&s, &count,
				  over_heads(member(all, all->above, k), layer, c).mean /
					  over_heads(member(all, all->below, k), layer, c).mean);
	if (!all->seeds && a->at.n_head == b->at.n_head)
		for (int64_t h = 0; h < a->at.n_head; h++)
			add_value(&s, &count,
				  head_norm(a, layer, h, c) / head_norm(b, layer, h, c));
	s.mean =
		of_group(all, all->above, layer, c).mean / of_group(all, all->below, layer, c).mean;
	return s;
}

/* Groups of one kind each, and no others. */
static void find_pair(inputs *all)
{
	int rope = -1, nope = -1, others = 0;
	for (int i = 0; i < all->n; i++) {
		if (all->group[i] != i) continue;
		if (all->in[i].at.kind == SX_FIG_ROPE && rope < 0)
			rope = i;
		else if (all->in[i].at.kind == SX_FIG_NOPE && nope < 0)
			nope = i;
		else
			others++;
	}
	bool pair = rope >= 0 && nope >= 0 && others == 0;
	all->above = pair ? rope : -1;
	all->below = pair ? nope : -1;
}

static sx_status check(sx_ctx *ctx, const sx_fig_ac_data *in, int n)
{
	for (int i = 0; i < n; i++) {
		if (in[i].at.n_step == 0)
			return sx_fail(ctx, SX_EDATA, "%s has no gradients of A_c", in[i].at.label);
		bool same = in[i].n_c == in[0].n_c && in[i].at.n_layer == in[0].at.n_layer;
		for (int c = 0; same && c < in[0].n_c; c++)
			same = strcmp(in[i].family[c], in[0].family[c]) == 0;
		if (!same)
			return sx_fail(ctx, SX_EDATA,
				       "%s and %s have different layers or families of A_c: draw "
				       "them apart",
				       in[0].at.label, in[i].at.label);
	}
	return SX_OK;
}

/* A band, a line and points of one series; group -1 is the ratio. */
static sx_status add_curve(sx_fig *f, sx_ctx *ctx, const inputs *all, int panel, int series, int g,
			   int c)
{
	int64_t L = all->in[0].at.n_layer;
	double *x = sx_calloc((size_t)L * 4, sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	double *v = x + L, *low = v + L, *high = low + L;
	bool band = false;
	for (int64_t l = 0; l < L; l++) {
		summary s = g < 0 ? ratio_of(all, l, c) : of_group(all, g, l, c);
		x[l] = (double)l;
		v[l] = s.mean;
		low[l] = s.low;
		high[l] = s.high;
		band = band || s.low < s.high;
	}
	if (band) sx_fig_band(f, panel, series, x, low, high, L);
	sx_fig_line(f, panel, series, x, v, L);
	sx_fig_points(f, panel, series, x, v, L);
	free(x);
	return SX_OK;
}

static int add_panel(sx_fig *f, const inputs *all, int row, int c)
{
	const sx_fig_ac_data *first = &all->in[0];
	sx_fig_axis x = sx_part_axis("Layer", SX_FIG_LINEAR);
	sx_fig_axis y = sx_part_axis(row > 0 ? "RoPE / NoPE" : by_what_of(first->wrt)->label,
				     SX_FIG_LINEAR);
	double L = (double)first->at.n_layer, beside = 0.04 * L;
	x.integer = true;
	x.lo = -beside;
	x.hi = L - 1 + beside;
	y.lo = 0;
	return sx_fig_panel(f, row, c, first->family[c], x, y);
}

static sx_status add_all(sx_fig *f, sx_ctx *ctx, const inputs *all, const sx_fig_look *look)
{
	static const sx_fig_look plain = {{0.25, 0.25, 0.25}, SX_FIG_SOLID, SX_FIG_DIAMOND};
	sx_status st = SX_OK;
	int n_c = all->in[0].n_c;
	for (int c = 0; c < n_c; c++) add_panel(f, all, 0, c);
	for (int g = 0; g < all->n; g++) {
		if (all->group[g] != g) continue;
		int series = sx_fig_series(f, all->in[g].at.label, look[g]);
		for (int c = 0; c < n_c; c++) SX_TRY(add_curve(f, ctx, all, c, series, g, c));
	}
	if (all->above < 0) goto out;
	int ratio = sx_fig_unnamed_series(f, "ratio", plain);
	for (int c = 0; c < n_c; c++)
		SX_TRY(add_curve(f, ctx, all, add_panel(f, all, 1, c), ratio, -1, c));
out:
	return st;
}

static void describe(sx_fig *f, const inputs *all, const char *const *label)
{
	char *names = sx_part_names(label, all->n), when[SX_PART_WHEN] = "";
	bool same = true, heads = false;
	for (int i = 0; i < all->n; i++) {
		same = same && all->in[i].at.step[0] == all->in[0].at.step[0];
		heads = heads || all->in[i].at.n_head > 1;
	}
	if (same) sx_part_when(when, all->in[0].at.step[0]);
	sx_part_about(
		f, "Gradient norm of A_c by layer",
		sx_format("Frobenius norm of the gradient of A_c by %s "
			  "against the layer, mean over heads and text sequences, for %s%s%s.%s",
			  by_what_of(all->in[0].wrt)->words, names ? names : "the inputs", when,
			  all->above < 0 ? "" : ", and below the ratio of RoPE to NoPE",
			  all->seeds ? " Bands: smallest and largest of the seeds."
			  : heads    ? " Bands: smallest and largest of the heads."
				     : ""));
	free(names);
}

sx_status sx_fig_ac_grad(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_ac_data *in, int n)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	sx_part_cast cast = {0};
	SX_TRY(sx_part_cast_new(&cast, ctx, n));
	SX_TRY(check(ctx, in, n));
	for (int i = 0; i < n; i++) cast.label[i] = in[i].at.label, cast.kind[i] = in[i].at.kind;
	sx_part_group(&cast);
	inputs all = {.in = in, .n = n, .group = cast.group};
	for (int i = 0; i < n; i++) all.seeds = all.seeds || cast.group[i] != i;
	find_pair(&all);
	SX_TRY(sx_fig_new(&f, ctx, style, all.above < 0 ? 1 : 2, in[0].n_c));
	/* The ratio has an axis of its own. */
	if (all.above < 0)
		sx_fig_share(f, in[0].n_c == 1 ? 0.62 : sx_part_is_narrow(style) ? 0.95 : 0.55);
	else
		sx_fig_shape(f, in[0].n_c == 1 ? 0.62 : sx_part_is_narrow(style) ? 0.8 : 0.55);
	SX_TRY(add_all(f, ctx, &all, cast.look));
	describe(f, &all, cast.label);
	*out = f;
	f = NULL;
out:
	sx_fig_free(f);
	sx_part_cast_free(&cast);
	return st;
}

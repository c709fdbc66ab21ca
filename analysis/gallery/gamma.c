/* Figure `gamma`: what scaling methods do to each frequency, from settings alone. */
#include "analysis/gallery/gallery.h"
#include "engine/pos/pos.h"
#include "probes/config/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FACTORS = 6, DEFAULT_HEAD_DIM = 64, DEFAULT_TRAIN_LENGTH = 2048 };
/* In the order in which they are drawn; `look` is a method's own and stays with it. */
static const struct {
	const char *method;
	int look;
} scalings[] = {{"p-rope", 3}, {"pi", 0}, {"ntk", 1}, {"yarn", 2}};
enum { N_SCALINGS = sizeof scalings / sizeof scalings[0] };

typedef struct {
	sx_config cfg;
	int head_dim, n_factor;
	double factor[MAX_FACTORS];
} gamma_asked;

/* Several factors, "2,3,4", are more than the key takes; pos.head_dim is a model's, not a key. */
static sx_status read_factors(gamma_asked *g, sx_ctx *ctx, const char *text)
{
	g->n_factor = 0;
	for (char *end;; text = end + 1) {
		double v = strtod(text, &end);
		if (end == text || (*end && *end != ',') || !(v >= 1) || isinf(v))
			return sx_fail(ctx, SX_ECONFIG,
				       "pos.factor: numbers of at least 1 with commas between");
		if (g->n_factor == MAX_FACTORS)
			return sx_fail(ctx, SX_EUSAGE, "at most %d factors fit into a figure",
				       MAX_FACTORS);
		g->factor[g->n_factor++] = v;
		if (!*end) return SX_OK;
	}
}

static sx_status read_asked(gamma_asked *g, sx_ctx *ctx, const sx_figure_args *a)
{
	g->head_dim = DEFAULT_HEAD_DIM;
	g->n_factor = 1;
	g->factor[0] = 2;
	for (int i = 0; i < a->n_input; i++) {
		const char *word = a->inputs[i];
		sx_status st;
		if (strncmp(word, "pos.factor=", 11) == 0) {
			st = read_factors(g, ctx, word + 11);
		} else if (strncmp(word, "pos.head_dim=", 13) == 0) {
			char *end;
			long d = strtol(word + 13, &end, 10);
			if (*end || d < 4 || d > 4096 || d % 2)
				return sx_fail(ctx, SX_ECONFIG,
					       "pos.head_dim: an even number from 4 to 4096");
			g->head_dim = (int)d;
			st = SX_OK;
		} else if (strncmp(word, "pos.", 4) == 0) {
			st = sx_config_set(&g->cfg, ctx, word);
		} else {
			st = sx_fail(ctx, SX_EUSAGE,
				     "figure gamma takes settings like pos.factor=2,4, not %s",
				     word);
		}
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static sx_pos_opts options_of(const sx_config *cfg, const char *method, double factor)
{
	sx_pos_opts o = cfg->pos;
	strcpy(o.method, method);
	o.factor = factor;
	if (!o.train_length) o.train_length = DEFAULT_TRAIN_LENGTH;
	return o;
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	gamma_asked g = {0};
	sx_pos_plan plain = {0}, plan[MAX_FACTORS * N_SCALINGS] = {0};
	sx_fig_scaling s[MAX_FACTORS * N_SCALINGS];
	int n = 0;
	sx_status st = sx_config_init(&g.cfg, ctx);
	if (st != SX_OK) return st;
	SX_TRY(read_asked(&g, ctx, a));
	sx_pos_opts o = options_of(&g.cfg, "rope", 1);
	int64_t length = o.train_length;
	SX_TRY(sx_pos_plan_make(&plain, ctx, &o, sx_pos_head(g.head_dim, length), 0, length));
	for (int k = 0; k < g.n_factor; k++)
		for (int m = 0; m < N_SCALINGS; m++, n++) {
			o = options_of(&g.cfg, scalings[m].method, g.factor[k]);
			SX_TRY(sx_pos_plan_make(&plan[n], ctx, &o, sx_pos_head(g.head_dim, length),
						0, length));
			s[n] = (sx_fig_scaling){.name = sx_pos_display(scalings[m].method),
						.look = scalings[m].look,
						.factor = g.factor[k],
						.n = plan[n].n_freq,
						.omega = plain.inv_freq,
						.gamma = plan[n].gamma};
		}
	st = sx_fig_gamma(out, ctx, a->style, s, n, g.head_dim, length);
out:
	for (int i = 0; i < MAX_FACTORS * N_SCALINGS; i++) sx_pos_plan_free(&plan[i]);
	sx_pos_plan_free(&plain);
	sx_config_free(&g.cfg);
	return st;
}

const sx_figure_row sx_figure_gamma = {
	.name = "gamma",
	.what = "what PI, NTK, YaRN and p-RoPE do to each frequency (pos.factor=2,3,4 "
		"pos.head_dim=64 pos.theta=..)",
	.make = make,
	.needs = "settings",
};

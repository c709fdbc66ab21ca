/* Plans: the table of methods, and what is asked of a plan. */
#include "engine/pos/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One table per file of methods; each ends with a NULL name. */
static const sx_pos_method *const tables[] = {sx_pos_spectra};

const sx_pos_method *sx_pos_method_at(int n)
{
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
		for (const sx_pos_method *m = tables[t]; m->name; m++)
			if (n-- == 0) return m;
	return NULL;
}

void sx_pos_method_names(char out[SX_POS_NAMES])
{
	const sx_pos_method *m;
	size_t used = 0;
	out[0] = 0;
	for (int i = 0; (m = sx_pos_method_at(i)) && used < SX_POS_NAMES; i++)
		used += (size_t)snprintf(out + used, SX_POS_NAMES - used, "%s%s", used ? ", " : "",
					 m->name);
}

const sx_pos_method *sx_pos_find(const char *name)
{
	const sx_pos_method *m = NULL;
	for (int i = 0; (m = sx_pos_method_at(i)); i++)
		if (strcmp(m->name, name) == 0) return m;
	return NULL;
}

sx_pos_kind sx_pos_kind_of(const char *name)
{
	const sx_pos_method *m = name ? sx_pos_find(name) : NULL;
	return m ? m->kind : SX_POS_UNKNOWN;
}

const char *sx_pos_display(const char *name)
{
	const sx_pos_method *m = sx_pos_find(name);
	return m ? m->display : name;
}

/* *rotary: the width that is rotated. */
static sx_status check_opts(sx_ctx *ctx, const sx_pos_opts *o, const sx_pos_method *method,
			    int head_dim, int *rotary)
{
	if (head_dim < 2 || head_dim % 2)
		return sx_fail(ctx, SX_ECONFIG, "pos.head_dim = %d: must be even and at least 2",
			       head_dim);
	sx_status st = sx_pos_opts_check(o, ctx);
	if (st != SX_OK) return st;
	*rotary = (int)((double)head_dim * o->partial);
	if (*rotary < 2 || *rotary % 2)
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.partial = %g: %d of %d channels, but they are rotated in pairs",
			       o->partial, *rotary, head_dim);
	bool stretches = strcmp(o->method, "ntk") == 0 || strcmp(o->method, "dynamic") == 0;
	if (stretches && *rotary == 2)
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.method = %s: needs more than one pair of channels", o->method);
	int pairs = *rotary / 2;
	if (method->needs_factors && (o->short_factor.n != pairs || o->long_factor.n != pairs))
		return sx_fail(
			ctx, SX_ECONFIG,
			"pos.method = %s: pos.short_factor and pos.long_factor have %d and %d "
			"numbers, but there are %d pairs of channels",
			method->name, o->short_factor.n, o->long_factor.n, pairs);
	return SX_OK;
}

static sx_status unknown(sx_ctx *ctx, const char *method)
{
	char names[SX_POS_NAMES];
	sx_pos_method_names(names);
	return sx_fail(ctx, SX_ECONFIG, "pos.method = %s: unknown; known are %s", method, names);
}

sx_status sx_pos_plan_make(sx_pos_plan *plan, sx_ctx *ctx, const sx_pos_opts *opts, sx_pos_shape m,
			   int layer, int64_t length)
{
	sx_pos_opts o = *opts;
	const sx_pos_method *method = o.custom ? o.custom : sx_pos_find(o.method);
	if (!method) return unknown(ctx, o.method);
	int rotary = 0;
	sx_status st = check_opts(ctx, &o, method, m.head_dim, &rotary);
	if (st != SX_OK) return st;
	if (o.train_length <= 0) o.train_length = m.train_length;
	if (o.train_length < 1)
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.train_length: the trained context is not known; set it");

	sx_pos_plan p = {.rotary = rotary,
			 .n_freq = rotary / 2,
			 .attention_factor = 1,
			 .beta = o.beta,
			 .window = o.window};
	/* room for all pairs, 0 where they are not rotated: who has a number for each may read them */
	p.inv_freq = sx_calloc((size_t)m.head_dim / 2, sizeof *p.inv_freq);
	p.gamma = sx_calloc((size_t)m.head_dim / 2, sizeof *p.gamma);
	if (!p.inv_freq || !p.gamma) {
		sx_pos_plan_free(&p);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a positional plan");
	}
	sx_pos_spectrum(&p, o.theta);
	method->plan(&o, m, layer, length, &p);
	if (p.n_slopes > 0 && !p.slopes) {
		sx_pos_plan_free(&p);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a positional plan");
	}
	if (p.n_slopes > 0 && p.n_slopes != m.heads) {
		int n = p.n_slopes;
		sx_pos_plan_free(&p);
		return sx_fail(ctx, SX_EINTERNAL, "a positional plan of %d slopes for %d heads", n,
			       m.heads);
	}
	if (!isnan(o.attention_factor)) p.attention_factor = o.attention_factor;
	sx_pos_of_layer(&o, layer, &p);
	bool any = false;
	for (int f = 0; f < p.n_freq; f++) {
		p.gamma[f] = p.inv_freq[f] / sx_pos_plain_freq(o.theta, f, p.rotary);
		any = any || p.inv_freq[f] != 0;
	}
	p.turns = any || p.attention_factor != 1;
	*plan = p;
	return SX_OK;
}

void sx_pos_plan_free(sx_pos_plan *plan)
{
	if (!plan) return;
	free(plan->inv_freq);
	free(plan->gamma);
	free(plan->slopes);
	memset(plan, 0, sizeof *plan);
}

sx_status sx_pos_plans_make(sx_pos_plan **plans, sx_ctx *ctx, const sx_pos_opts *o, sx_pos_shape m,
			    int64_t length)
{
	sx_status st = SX_OK;
	sx_pos_plan *p = sx_calloc((size_t)m.layers, sizeof *p);
	if (!p) return sx_fail(ctx, SX_ENOMEM, "no memory for positional plans");
	for (int l = 0; l < m.layers; l++) SX_TRY(sx_pos_plan_make(&p[l], ctx, o, m, l, length));
	*plans = p;
	p = NULL;
out:
	sx_pos_plans_free(p, m.layers);
	return st;
}

void sx_pos_plans_free(sx_pos_plan *plans, int L)
{
	for (int l = 0; plans && l < L; l++) sx_pos_plan_free(&plans[l]);
	free(plans);
}

/* ---- asked of a plan ---- */

bool sx_pos_rotation_same(const sx_pos_plan *a, const sx_pos_plan *b)
{
	return a->rotary == b->rotary && a->n_freq == b->n_freq &&
	       a->attention_factor == b->attention_factor &&
	       memcmp(a->inv_freq, b->inv_freq, (size_t)a->n_freq * sizeof *a->inv_freq) == 0;
}

bool sx_pos_plan_same(const sx_pos_plan *a, const sx_pos_plan *b)
{
	return sx_pos_rotation_same(a, b) && a->beta == b->beta && a->window == b->window &&
	       a->n_slopes == b->n_slopes &&
	       (a->n_slopes == 0 ||
		memcmp(a->slopes, b->slopes, (size_t)a->n_slopes * sizeof *a->slopes) == 0);
}

sx_status sx_pos_plans_same(bool *same, sx_ctx *ctx, const sx_pos_opts *a, sx_pos_shape of_a,
			    const sx_pos_opts *b, sx_pos_shape of_b, int64_t length)
{
	sx_status st = SX_OK;
	sx_pos_plan *p = NULL, *q = NULL;
	SX_TRY(sx_pos_plans_make(&p, ctx, a, of_a, length));
	SX_TRY(sx_pos_plans_make(&q, ctx, b, of_b, length));
	*same = of_a.layers == of_b.layers;
	for (int l = 0; *same && l < of_a.layers; l++) *same = sx_pos_plan_same(&p[l], &q[l]);
out:
	sx_pos_plans_free(p, of_a.layers);
	sx_pos_plans_free(q, of_b.layers);
	return st;
}

bool sx_pos_uses_length(const sx_pos_opts *o)
{
	const sx_pos_method *m = o->custom ? o->custom : sx_pos_find(o->method);
	return m && m->uses_length;
}

double sx_pos_scale(const sx_pos_plan *plan, int head_dim)
{
	return plan->beta / sqrt((double)head_dim);
}

int64_t sx_pos_keys(const sx_pos_plan *plan, int64_t T)
{
	return plan->window > 0 && plan->window < T ? plan->window : T;
}

int64_t sx_pos_pairs(const sx_pos_plan *plan, int64_t T)
{
	int64_t w = sx_pos_keys(plan, T);
	return w * (w + 1) / 2 + (T - w) * w;
}

sx_pos_sight sx_pos_sight_of(const sx_pos_plan *plans, int L, int64_t T)
{
	sx_pos_sight s = {.one = true};
	int64_t most = 0;
	for (int l = 0; l < L; l++) {
		int64_t keys = sx_pos_keys(&plans[l], T);
		most = keys > most ? keys : most;
		s.one = s.one && keys == sx_pos_keys(&plans[0], T);
		s.pairs += (double)sx_pos_pairs(&plans[l], T);
	}
	s.widest = most < T ? most : 0;
	return s;
}

sx_status sx_pos_sight_make(sx_pos_sight *out, sx_ctx *ctx, const sx_pos_opts *o, sx_pos_shape m,
			    int64_t T)
{
	sx_pos_plan *plans = NULL;
	sx_status st = sx_pos_plans_make(&plans, ctx, o, m, T);
	if (st != SX_OK) return st;
	*out = sx_pos_sight_of(plans, m.layers, T);
	sx_pos_plans_free(plans, m.layers);
	return SX_OK;
}

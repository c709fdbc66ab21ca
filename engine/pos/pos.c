/* The table of positional methods. Each fills a plan that starts as plain RoPE. Pairs are counted
 * from 0: omega_m = theta^(-2m/d), m = 0..d/2-1, d the rotated width. */
#include "engine/pos/pos.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sx_pos_opts sx_pos_opts_default(void)
{
	sx_pos_opts o = {.method = "rope",
			 .theta = 1e4,
			 .factor = 1,
			 .beta = 1,
			 .beta_fast = 32,
			 .beta_slow = 1,
			 .truncate = true,
			 .attention_factor = (double)NAN,
			 .keep = 0.75};
	return o;
}

double sx_pos_plain_freq(double theta, int m, int rotary)
{
	return pow(theta, -2.0 * m / rotary);
}

static void spectrum(sx_pos_plan *p, double theta)
{
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = sx_pos_plain_freq(theta, m, p->rotary);
}

static void plan_rope(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)o, (void)layer, (void)length, (void)p; /* the start of every plan */
}

static void plan_nope(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)o, (void)layer, (void)length;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = 0;
}

static void plan_pi(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)layer, (void)length;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] /= o->factor;
}

/* theta' = theta s^(d/(d-2)): the first pair keeps its frequency, the last is stretched by s. */
static void plan_ntk(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)layer, (void)length;
	double d = p->rotary;
	spectrum(p, o->theta * pow(o->factor, d / (d - 2)));
}

/* As shipped (the authors' code, Hugging Face): the ramp is linear in the pair index. The paper
 * writes it in rotations over the trained length; mid-band gammas differ much. */
static void plan_yarn(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)layer, (void)length;
	const double two_pi = 6.283185307179586476925;
	double d = p->rotary, L = (double)o->train_length, s = o->factor;
	double lo = d * log(L / (o->beta_fast * two_pi)) / (2 * log(o->theta));
	double hi = d * log(L / (o->beta_slow * two_pi)) / (2 * log(o->theta));
	if (o->truncate) lo = floor(lo), hi = ceil(hi);
	lo = fmax(lo, 0), hi = fmin(hi, d - 1); /* d - 1, not d/2 - 1: as in the reference */
	if (lo == hi) hi += 0.001;
	for (int m = 0; m < p->n_freq; m++) {
		double r = fmin(1, fmax(0, (m - lo) / (hi - lo)));
		p->inv_freq[m] = r * (p->inv_freq[m] / s) + (1 - r) * p->inv_freq[m];
	}
	p->attention_factor = s <= 1 ? 1 : 0.1 * log(s) + 1;
}

/* The highest floor(keep d / 2) frequencies with their own spacing, the others are not turned. */
static void plan_p_rope(const sx_pos_opts *o, int layer, int64_t length, sx_pos_plan *p)
{
	(void)layer, (void)length;
	int kept = (int)floor(o->keep * p->rotary / 2);
	for (int m = kept; m < p->n_freq; m++) p->inv_freq[m] = 0;
}

/* clang-format off */
const sx_pos_method sx_pos_methods[] = {
	{"rope",   "RoPE",   SX_POS_ROPE,   false, "rotary embedding",                            "Su et al. 2021, arXiv:2104.09864",         plan_rope},
	{"nope",   "NoPE",   SX_POS_NONE,   false, "no positional embedding; what DroPE leaves",  "Kazemnejad et al. 2023, arXiv:2305.19466", plan_nope},
	{"pi",     "PI",     SX_POS_SCALED, false, "position interpolation, gamma = 1/s",         "Chen et al. 2023, arXiv:2306.15595",       plan_pi},
	{"ntk",    "NTK",    SX_POS_SCALED, false, "NTK-aware: base stretched",                   "bloc97 2023; arXiv:2309.00071, sec. 3.1",  plan_ntk},
	{"yarn",   "YaRN",   SX_POS_SCALED, false, "NTK-by-parts ramp and attention factor",      "Peng et al. 2023, arXiv:2309.00071",       plan_yarn},
	{"p-rope", "p-RoPE", SX_POS_SCALED, false, "lowest frequencies not turned",               "Barbero et al. 2024, arXiv:2410.06205",    plan_p_rope},
	{.name = NULL},
};
/* clang-format on */

const sx_pos_method *sx_pos_find(const char *name)
{
	for (const sx_pos_method *m = sx_pos_methods; m->name; m++)
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

static sx_status check_opts(sx_ctx *ctx, const sx_pos_opts *o, int head_dim)
{
	if (head_dim < 2 || head_dim % 2)
		return sx_fail(ctx, SX_ECONFIG, "pos.head_dim = %d: must be even and at least 2",
			       head_dim);
	if (!(o->theta > 1) || !isfinite(o->theta))
		return sx_fail(ctx, SX_ECONFIG, "pos.theta = %g: must be a number above 1",
			       o->theta);
	if (!(o->factor >= 1) || !isfinite(o->factor))
		return sx_fail(ctx, SX_ECONFIG, "pos.factor = %g: must be at least 1", o->factor);
	if (!(o->beta > 0 && o->beta <= 1e30))
		return sx_fail(ctx, SX_ECONFIG, "pos.beta = %g: must be positive, at most 1e30",
			       o->beta);
	if (!(o->keep >= 0 && o->keep <= 1))
		return sx_fail(ctx, SX_ECONFIG, "pos.keep = %g: must lie in [0, 1]", o->keep);
	if (o->window < 0 || o->window > (int64_t)1 << 31)
		return sx_fail(ctx, SX_ECONFIG, "pos.window = %lld: must lie between 0 and 2^31",
			       (long long)o->window);
	if (!(o->beta_fast > o->beta_slow) || !(o->beta_slow > 0))
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.beta_fast = %g, pos.beta_slow = %g: need fast > slow > 0",
			       o->beta_fast, o->beta_slow);
	if (!isnan(o->attention_factor) &&
	    !(o->attention_factor > 0 && isfinite(o->attention_factor)))
		return sx_fail(ctx, SX_ECONFIG, "pos.attention_factor = %g: must be positive",
			       o->attention_factor);
	if (strcmp(o->method, "ntk") == 0 && head_dim == 2)
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.method = ntk: needs more than one pair of channels");
	return SX_OK;
}

sx_status sx_pos_plan_make(sx_pos_plan *plan, sx_ctx *ctx, const sx_pos_opts *opts, int head_dim,
			   int64_t train_length, int layer, int64_t length)
{
	sx_pos_opts o = *opts;
	const sx_pos_method *method = o.custom ? o.custom : sx_pos_find(o.method);
	if (!method)
		return sx_fail(
			ctx, SX_ECONFIG,
			"pos.method = %s: unknown; known are rope, nope, pi, ntk, yarn, p-rope",
			o.method);
	sx_status st = check_opts(ctx, &o, head_dim);
	if (st != SX_OK) return st;
	if (o.train_length <= 0) o.train_length = train_length;
	if (o.train_length < 1)
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.train_length: the trained context is not known; set it");

	sx_pos_plan p = {.rotary = head_dim,
			 .n_freq = head_dim / 2,
			 .attention_factor = 1,
			 .beta = o.beta,
			 .window = o.window};
	p.inv_freq = sx_calloc((size_t)p.n_freq, sizeof *p.inv_freq);
	p.gamma = sx_calloc((size_t)p.n_freq, sizeof *p.gamma);
	if (!p.inv_freq || !p.gamma) {
		sx_pos_plan_free(&p);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a positional plan");
	}
	spectrum(&p, o.theta);
	method->plan(&o, layer, length, &p);
	if (p.n_slopes > 0 && !p.slopes) {
		sx_pos_plan_free(&p);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a positional plan");
	}
	if (!isnan(o.attention_factor)) p.attention_factor = o.attention_factor;
	bool any = false;
	for (int m = 0; m < p.n_freq; m++) {
		p.gamma[m] = p.inv_freq[m] / sx_pos_plain_freq(o.theta, m, p.rotary);
		any = any || p.inv_freq[m] != 0;
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

sx_status sx_pos_plans_make(sx_pos_plan **plans, sx_ctx *ctx, const sx_pos_opts *o, int L,
			    int head_dim, int64_t train_length, int64_t length)
{
	sx_status st = SX_OK;
	sx_pos_plan *p = sx_calloc((size_t)L, sizeof *p);
	if (!p) return sx_fail(ctx, SX_ENOMEM, "no memory for positional plans");
	for (int l = 0; l < L; l++)
		SX_TRY(sx_pos_plan_make(&p[l], ctx, o, head_dim, train_length, l, length));
	*plans = p;
	p = NULL;
out:
	sx_pos_plans_free(p, L);
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

int64_t sx_pos_widest_window(const sx_pos_plan *plans, int L, int64_t T)
{
	int64_t most = 0;
	for (int l = 0; l < L; l++) {
		if (plans[l].window == 0 || sx_pos_keys(&plans[l], T) == T) return 0;
		most = plans[l].window > most ? plans[l].window : most;
	}
	return most;
}

bool sx_pos_one_window(const sx_pos_plan *plans, int L, int64_t T)
{
	for (int l = 1; l < L; l++)
		if (sx_pos_keys(&plans[l], T) != sx_pos_keys(&plans[0], T)) return false;
	return true;
}

/* Methods that change the spectrum of rotary frequencies, all layers alike. Each fills a plan that
 * starts as plain RoPE. Pairs are counted from 0: omega_m = theta^(-2m/d), m = 0..d/2-1, d the rotated
 * width. */
#include "engine/pos/pos.h"

#include <math.h>

double sx_pos_plain_freq(double theta, int m, int rotary)
{
	return pow(theta, -2.0 * m / rotary);
}

void sx_pos_spectrum(sx_pos_plan *p, double theta)
{
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = sx_pos_plain_freq(theta, m, p->rotary);
}

static void plan_rope(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
		      sx_pos_plan *p)
{
	(void)o, (void)model, (void)layer, (void)length, (void)p; /* the start of every plan */
}

static void plan_nope(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
		      sx_pos_plan *p)
{
	(void)o, (void)model, (void)layer, (void)length;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = 0;
}

static void plan_pi(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
		    sx_pos_plan *p)
{
	(void)model, (void)layer, (void)length;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] /= o->factor;
}

/* theta' = theta s^(d/(d-2)): the first pair keeps its frequency, the last is stretched by s. */
static void plan_ntk(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
		     sx_pos_plan *p)
{
	(void)model, (void)layer, (void)length;
	double d = p->rotary;
	sx_pos_spectrum(p, o->theta * pow(o->factor, d / (d - 2)));
}

/* As shipped (the authors' code, Hugging Face): the ramp is linear in the pair index. The paper
 * writes it in rotations over the trained length; mid-band gammas differ much. */
static void plan_yarn(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
		      sx_pos_plan *p)
{
	(void)model, (void)layer, (void)length;
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
static void plan_p_rope(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			sx_pos_plan *p)
{
	(void)model, (void)layer, (void)length;
	int kept = (int)floor(o->keep * p->rotary / 2);
	for (int m = kept; m < p->n_freq; m++) p->inv_freq[m] = 0;
}

/* ntk with s = f n/L - (f - 1), n the longer of input and trained length: plain up to the trained length, and
 * with f = 1 exactly as far as the input goes (of f > 1 it goes further: f^2 - f + 1 at n = f L). As in Hugging
 * Face. */
static void plan_dynamic(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			 sx_pos_plan *p)
{
	(void)model, (void)layer;
	double d = p->rotary, L = (double)o->train_length, n = fmax((double)length, L);
	double s = o->factor * n / L - (o->factor - 1);
	sx_pos_spectrum(p, o->theta * pow(s, d / (d - 2)));
}

/* The ramp is linear in turns over the trained length, L / wavelength. */
static void plan_llama3(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			sx_pos_plan *p)
{
	(void)model, (void)layer, (void)length;
	const double two_pi = 6.283185307179586476925;
	double low = o->low_freq_factor, high = o->high_freq_factor;
	for (int m = 0; m < p->n_freq; m++) {
		double turns = (double)o->train_length * p->inv_freq[m] / two_pi;
		double r = fmin(1, fmax(0, (turns - low) / (high - low)));
		p->inv_freq[m] = (1 - r) * (p->inv_freq[m] / o->factor) + r * p->inv_freq[m];
	}
}

/* Factors as given; the attention factor is that of the longest context, whatever the input's length. */
static void plan_longrope(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			  sx_pos_plan *p)
{
	(void)model, (void)layer;
	double s = o->factor, L = (double)o->train_length;
	const sx_pos_list *f = length > o->train_length ? &o->long_factor : &o->short_factor;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] /= f->at[m];
	p->attention_factor = s <= 1 || L <= 1 ? 1 : sqrt(1 + log(s) / log(L));
}

/* clang-format off */
const sx_pos_method sx_pos_spectra[] = {
	{"rope",     "RoPE",        SX_POS_ROPE,   false, false, "rotary embedding",                           "Su et al. 2021, arXiv:2104.09864",          plan_rope},
	{"nope",     "NoPE",        SX_POS_NONE,   false, false, "no positional embedding; what DroPE leaves", "Kazemnejad et al. 2023, arXiv:2305.19466",  plan_nope},
	{"pi",       "PI",          SX_POS_SCALED, false, false, "position interpolation, gamma = 1/s",        "Chen et al. 2023, arXiv:2306.15595",        plan_pi},
	{"ntk",      "NTK",         SX_POS_SCALED, false, false, "NTK-aware: base stretched",                  "bloc97 2023; arXiv:2309.00071, sec. 3.1",   plan_ntk},
	{"yarn",     "YaRN",        SX_POS_SCALED, false, false, "NTK-by-parts ramp and attention factor",     "Peng et al. 2023, arXiv:2309.00071",        plan_yarn},
	{"p-rope",   "p-RoPE",      SX_POS_SCALED, false, false, "lowest frequencies not turned",              "Barbero et al. 2024, arXiv:2410.06205",     plan_p_rope},
	{"dynamic",  "dynamic NTK", SX_POS_SCALED, true,  false, "ntk as far as the input goes",               "emozilla 2023; arXiv:2309.00071, sec. 3.3", plan_dynamic},
	{"llama3",   "Llama 3",     SX_POS_SCALED, false, false, "ramp over turns, as of Llama 3.1",           "Grattafiori et al. 2024, arXiv:2407.21783", plan_llama3},
	{"longrope", "LongRoPE",    SX_POS_SCALED, true,  true,  "a factor given for every pair",              "Ding et al. 2024, arXiv:2402.13753",        plan_longrope},
	{.name = NULL},
};
/* clang-format on */

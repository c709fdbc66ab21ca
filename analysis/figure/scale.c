#include "analysis/figure/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double sx_scale_unit(sx_fig_map map, double lo, double hi, double v)
{
	if (map == SX_FIG_LINEAR) return (v - lo) / (hi - lo);
	return v > 0 ? log10(v / lo) / log10(hi / lo) : (double)NAN;
}

/* ---- the extended algorithm; letters as in the paper ---- */

static const double nice[] = {1, 5, 2, 2.5, 4, 3};
enum { N_NICE = sizeof nice / sizeof nice[0] };
static const double w_simplicity = 0.25, w_coverage = 0.2, w_density = 0.5, w_legibility = 0.05;

static double score(double simplicity, double coverage, double density)
{
	return w_simplicity * simplicity + w_coverage * coverage + w_density * density +
	       w_legibility;
}

static double simplicity(int i, int j, bool has_zero)
{
	return 1 - (double)i / (N_NICE - 1) - j + (has_zero ? 1 : 0);
}

static double coverage(double lo, double hi, double l0, double l1)
{
	double tenth = 0.1 * (hi - lo);
	return 1 - 0.5 * ((hi - l1) * (hi - l1) + (lo - l0) * (lo - l0)) / (tenth * tenth);
}

/* The best coverage k labels of this step can have. */
static double coverage_max(double range, double span)
{
	double half = (span - range) / 2, tenth = 0.1 * range;
	return span > range ? 1 - half * half / (tenth * tenth) : 1;
}

/* Labels lie inside the limits, so the paper's max(l1, hi) - min(l0, lo) is the range itself. */
static double density(int k, int m, double range, double span)
{
	double r = (k - 1) / span, rt = (m - 1) / range;
	return 2 - fmax(r / rt, rt / r);
}

static double density_max(int k, int m)
{
	return k >= m ? 2 - (double)(k - 1) / (m - 1) : 1;
}

typedef struct {
	double lo, hi;
	int m; /* wanted number */
	bool integer;
	double best, first, step;
	int k;
} search;

static bool whole(double v)
{
	return fabs(v - nearbyint(v)) < 1e-9;
}

/* All positions of k labels at multiples of the step. */
static void try_starts(search *s, int i, int j, int k, double step)
{
	double range = s->hi - s->lo, span = step * (k - 1), eps = 1e-10 * range;
	double from = ceil((s->lo - eps) / step), to = floor((s->hi + eps) / step) - (k - 1);

	if (s->integer && !whole(step)) return;
	for (double start = from; start <= to; start++) {
		double l0 = start * step, l1 = l0 + span;
		bool zero = l0 <= eps && l1 >= -eps;
		double v = score(simplicity(i, j, zero), coverage(s->lo, s->hi, l0, l1),
				 density(k, s->m, range, span));
		if (v <= s->best) continue;
		s->best = v;
		s->first = l0;
		s->step = step;
		s->k = k;
	}
}

/* k and the power of ten for one (j, nice number); each loop ends where even the best that it can
 * still reach is worse than what is known. */
static void try_nice(search *s, int i, int j, double best_simplicity)
{
	double range = s->hi - s->lo;
	for (int k = 2; k <= SX_TICKS_MAX; k++) {
		double dm = density_max(k, s->m);
		if (score(best_simplicity, 1, dm) < s->best) break;
		double z = ceil(log10(range / ((k + 1) * j * nice[i])));
		for (;; z++) {
			double step = j * nice[i] * pow(10, z), span = step * (k - 1);
			if (span > range * (1 + 1e-9)) break;
			if (score(best_simplicity, coverage_max(range, span), dm) >= s->best)
				try_starts(s, i, j, k, step);
		}
	}
}

int sx_ticks_extended(double out[SX_TICKS_MAX], double lo, double hi, int target, bool integer)
{
	search s = {
		.lo = lo, .hi = hi, .m = target < 2 ? 2 : target, .integer = integer, .best = -2};
	for (int j = 1; j <= 12; j++) {
		for (int i = 0; i < N_NICE; i++) {
			double sm = simplicity(i, j, true);
			if (score(sm, 1, 1) < s.best) goto done;
			try_nice(&s, i, j, sm);
		}
	}
done:
	for (int i = 0; i < s.k; i++) {
		out[i] = s.first + i * s.step;
		if (fabs(out[i]) < 1e-9 * s.step) out[i] = 0;
	}
	if (s.k > 0) return s.k;
	/* Less than one step of the allowed kind fits: a single whole number, or none. */
	out[0] = ceil(lo);
	return integer && out[0] <= hi ? 1 : 0;
}

/* ---- texts ---- */

static const char minus[] = "\u2212";

static void write_number(char *out, double v, int decimals)
{
	char digits[SX_TICK_TEXT - sizeof minus];
	snprintf(digits, sizeof digits, "%.*f", decimals, fabs(v));
	snprintf(out, SX_TICK_TEXT, "%s%s", v < 0 ? minus : "", digits);
}

static void write_power(char *out, int k)
{
	snprintf(out, SX_TICK_TEXT, "10<sup>%s%d</sup>", k < 0 ? minus : "", k < 0 ? -k : k);
}

/* The fewest decimals that tell the values apart and do not change them visibly. */
static int decimals_for(const double *v, int n, double unit, double step)
{
	int d = 0;
	for (; d < 9; d++) {
		double ten = pow(10, d);
		bool ok = true;
		for (int i = 0; i < n && ok; i++) {
			double x = v[i] / unit;
			ok = fabs(nearbyint(x * ten) / ten - x) < 1e-4 * step / unit;
		}
		if (ok) break;
	}
	return d;
}

static void linear_texts(sx_ticks *t)
{
	double top = 0;
	for (int i = 0; i < t->n; i++) top = fmax(top, fabs(t->at[i]));
	if (top >= 1e5 || (top > 0 && top < 1e-2)) t->exponent = 3 * (int)floor(log10(top) / 3);
	double unit = pow(10, t->exponent), step = t->n > 1 ? t->at[1] - t->at[0] : top;
	int d = decimals_for(t->at, t->n, unit, step);
	for (int i = 0; i < t->n; i++) write_number(t->text[i], t->at[i] / unit, d);
}

/* ---- log axes ---- */

static void add_minor(sx_ticks *t, double lo, double hi, int k0, int k1)
{
	for (int k = k0; k <= k1; k++)
		for (int d = 2; d <= 9; d++) {
			double v = d * pow(10, k);
			if (v >= lo && v <= hi && t->n_minor < SX_TICKS_MINOR_MAX)
				t->minor[t->n_minor++] = v;
		}
}

static bool decade_ticks(sx_ticks *t, double lo, double hi, int target)
{
	int first = (int)ceil(log10(lo) - 1e-9), last = (int)floor(log10(hi) + 1e-9);
	int n = last - first + 1;
	if (n < 2) return false;
	int stride = 1;
	while ((n + stride - 1) / stride > target + 1 || n / stride >= SX_TICKS_MAX) stride++;
	for (int k = first; k <= last; k++) {
		if (k % stride == 0) {
			t->at[t->n] = pow(10, k);
			write_power(t->text[t->n++], k);
		} else if (t->n_minor < SX_TICKS_MINOR_MAX) {
			t->minor[t->n_minor++] = pow(10, k);
		}
	}
	if (stride == 1) add_minor(t, lo, hi, first - 1, last);
	return true;
}

static bool one_two_five_ticks(sx_ticks *t, double lo, double hi)
{
	static const double digit[] = {1, 2, 5};
	int first = (int)floor(log10(lo)), last = (int)floor(log10(hi) + 1e-9);
	for (int k = first; k <= last; k++)
		for (int i = 0; i < 3; i++) {
			double v = digit[i] * pow(10, k);
			if (v < lo * (1 - 1e-9) || v > hi * (1 + 1e-9)) continue;
			t->at[t->n] = v;
			if (k >= -3 && k <= 4)
				write_number(t->text[t->n], v, k < 0 ? -k : 0);
			else
				snprintf(t->text[t->n], SX_TICK_TEXT, "%.0f\u00D710<sup>%s%d</sup>",
					 digit[i], k < 0 ? minus : "", k < 0 ? -k : k);
			t->n++;
		}
	if (t->n < 3)
		t->n = 0;
	else
		add_minor(t, lo, hi, first, last);
	return t->n > 0;
}

void sx_ticks_make(sx_ticks *out, sx_fig_map map, double lo, double hi, int target, bool integer)
{
	memset(out, 0, sizeof *out);
	if (map == SX_FIG_LOG10 &&
	    (decade_ticks(out, lo, hi, target) || one_two_five_ticks(out, lo, hi)))
		return;
	out->n = sx_ticks_extended(out->at, lo, hi, target, integer);
	linear_texts(out);
}

#include "analysis/stats/words.h"

#include <math.h>
#include <stdio.h>

static const double huge = 1e15; /* more digits than a double has */

typedef sx_words number(int digits, double v);

static bool put_undefined(sx_words *w, double v)
{
	if (isfinite(v)) return false;
	snprintf(w->s, sizeof w->s, "%s",
		 isnan(v) ? "undefined"
		 : v > 0  ? "infinite"
			  : "-infinite");
	return true;
}

sx_words sx_words_f(int digits, double v)
{
	sx_words w;
	if (fabs(v) >= huge) return sx_words_g(digits, v);
	if (!put_undefined(&w, v)) snprintf(w.s, sizeof w.s, "%.*f", digits, v);
	return w;
}

sx_words sx_words_plus(int digits, double v)
{
	sx_words w;
	if (fabs(v) >= huge) return sx_words_g(digits, v);
	if (!put_undefined(&w, v)) snprintf(w.s, sizeof w.s, "%+.*f", digits, v);
	return w;
}

sx_words sx_words_g(int digits, double v)
{
	sx_words w;
	if (!put_undefined(&w, v)) snprintf(w.s, sizeof w.s, "%.*g", digits, v);
	return w;
}

static sx_words interval(number *text, int digits, sx_interval v)
{
	sx_words value = text(digits, v.value), w;
	if (isnan(v.value)) return value;
	if (isnan(v.lo) && isnan(v.hi))
		snprintf(w.s, sizeof w.s, "%.32s (no interval)", value.s);
	else
		snprintf(w.s, sizeof w.s, "%.32s [%.32s, %.32s]", value.s, text(digits, v.lo).s,
			 text(digits, v.hi).s);
	return w;
}

sx_words sx_words_interval(int digits, sx_interval v)
{
	return interval(sx_words_f, digits, v);
}

sx_words sx_words_interval_plus(int digits, sx_interval v)
{
	return interval(sx_words_plus, digits, v);
}

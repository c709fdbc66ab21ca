/* Numbers in sentences and tables for people. What is not a number is called undefined, never nan. */
#ifndef SX_ANALYSIS_STATS_WORDS_H
#define SX_ANALYSIS_STATS_WORDS_H

#include "analysis/stats/stats.h"

/* A number as text, for a %s: sx_words_f(3, v).s stands as long as the expression it is in. */
typedef struct {
	char s[112];
} sx_words;

/* As printf's %.*f, %+.*f and %.*g; "undefined" for NaN, "infinite" and "-infinite". */
sx_words sx_words_f(int digits, double v);
sx_words sx_words_plus(int digits, double v);
sx_words sx_words_g(int digits, double v);

/* "0.52 [0.48, 0.56]"; without an interval, which a single unit does not give, "0.52 (no interval)";
 * "undefined". */
sx_words sx_words_interval(int digits, sx_interval v);
sx_words sx_words_interval_plus(int digits, sx_interval v);

#endif

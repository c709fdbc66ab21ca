/* One moment of a training run as the theory sees it: A_c, its gradient and the prefix spread, beside
 * their bounds. From the file of `bounds -o`. */
#ifndef SX_ANALYSIS_COURSE_H
#define SX_ANALYSIS_COURSE_H

#include "probes/runfile/runfile.h"

/* Of the last record, over the sequences whose tokens differ (spread of the first layer above 0).
 * Means over sequences, layers and heads; ratios: the largest of a head. What does not apply (a
 * gradient's bound under rotation) is NaN. */
typedef struct {
	int64_t step, phase; /* phase: 0 pretraining, 1 recalibration                    */
	int64_t heads;       /* that the means are over: sequences x layers x heads      */
	double spread;       /* prefix spread of h                                       */
	double value, value_bound, value_ratio; /* |A_c| and I9                         */
	double grad, grad_bound, grad_ratio;    /* norm by W_Q and I10.spread           */
} sx_course;

/* Of one family of c. SX_EDATA where the file has not the bounds of /ac, or not the family. */
sx_status sx_course_read(sx_course *out, sx_ctx *ctx, sx_run_file *f,
			 const char *family) SX_NODISCARD;

#endif

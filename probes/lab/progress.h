/* Who is told how far a long piece of work has come. The one who starts the work says so in its request;
 * the work itself neither prints nor knows who listens. */
#ifndef SX_PROBES_LAB_PROGRESS_H
#define SX_PROBES_LAB_PROGRESS_H

#include "engine/base.h"

/* All three functions are there, and are called from one thread. */
typedef struct {
	/* what ("train", "eval", static) goes from step `first`, above 0 in a resumed run, to step
	 * total. */
	void (*begin)(void *self, const char *what, int64_t first, int64_t total);
	/* `step` of total is done, with this loss in nats (NaN = none) and so many tokens since the last
	 * call. */
	void (*step)(void *self, int64_t step, double loss, int64_t tokens);
	/* Not called where the work fails. */
	void (*end)(void *self);
	void *self;
} sx_progress_to;

/* to = NULL: nobody listens. */
static inline void sx_progress_to_begin(const sx_progress_to *to, const char *what, int64_t first,
					int64_t total)
{
	if (to) to->begin(to->self, what, first, total);
}

static inline void sx_progress_to_step(const sx_progress_to *to, int64_t step, double loss,
				       int64_t tokens)
{
	if (to) to->step(to->self, step, loss, tokens);
}

static inline void sx_progress_to_end(const sx_progress_to *to)
{
	if (to) to->end(to->self);
}

#endif

/* What `sextant top` knows of a run that goes on: its configuration, its log, read on from where the
 * last look ended, its newest segment, and what lies in its folder. */
#ifndef SX_CLI_TOP_H
#define SX_CLI_TOP_H

#include "analysis/ac_last.h"
#include "probes/config/config.h"

#include <jansson.h>

typedef enum { SX_TOP_GOES_ON, SX_TOP_STOPPED, SX_TOP_ENDED } sx_top_state;

typedef struct {
	const char *run; /* the folder; borrowed */
	sx_config cfg;
	int64_t updates; /* of the whole run, recalibration included */

	/* The log. */
	int64_t read_to; /* bytes of log.jsonl that were taken in */
	sx_top_state state;
	int64_t parameters; /* 0 = not known yet */
	int64_t n, cap;
	int64_t *step; /* (n) increasing: what a resumed run repeats replaces what was there */
	double *loss;  /* (n) nats per token */
	bool recalibrates;
	double lr, grad_norm, tokens_per_s; /* of the last update; NaN = not known */
	double age;                         /* seconds since the log was written to */

	/* The newest segment, or run.h5. */
	char *file;              /* NULL where there is none yet */
	double seconds_per_step; /* measuring and evaluating included; NaN = not known */
	sx_ac_last ac;           /* n = 0 where there is no record */

	/* The folder. */
	int64_t checkpoints, last_checkpoint; /* -1 = none */
	int64_t checkpoint_bytes, live_bytes, sealed_bytes, log_bytes;
} sx_top;

/* SX_ENOINPUT if `run` is no run folder; SX_ECONFIG, SX_ENOMEM. */
sx_status sx_top_open(sx_top *out, sx_ctx *ctx, const char *run) SX_NODISCARD;
/* Looks again. What cannot be read yet, or no more, is left out. SX_EIO, SX_ENOMEM. */
sx_status sx_top_look(sx_top *t, sx_ctx *ctx) SX_NODISCARD;
void sx_top_free(sx_top *t); /* frees what is inside */

/* The last update; 0 before the first. */
int64_t sx_top_step(const sx_top *t);
/* Seconds to the end; NaN = not known. */
double sx_top_left(const sx_top *t);

/* One frame on stdout, `width` columns wide; live: for a terminal that shows it in place. */
void sx_top_print(const sx_top *t, int width, bool live, bool colour);
json_t *sx_top_json(const sx_top *t);

#endif

/* The training log of a run folder, log.jsonl: one JSON object per line, read back as columns.
 * Works for runs that go on, were killed, or are done, with nothing but the text file. */
#ifndef SX_ANALYSIS_RUNLOG_H
#define SX_ANALYSIS_RUNLOG_H

#include "engine/base.h"

enum { SX_RUNLOG_PRETRAIN = 0, SX_RUNLOG_RECALIBRATION = 1 };

typedef struct {
	char *method;  /* pos.method of the run; "" if the log does not say          */
	char *drop_to; /* what the drop turns it into; "" if the run has none        */
	int64_t n;
	int64_t *step, *tokens_seen; /* (n) increasing within a phase               */
	double *loss, *lr;           /* (n) nats per token, rate; NaN where missing */
	unsigned char *phase;        /* (n) SX_RUNLOG_*                             */
} sx_runlog;

/* Reads RUN/log.jsonl: lines with "event": "start" (method, drop_to) and "step" (step, phase,
 * tokens_seen, loss, lr); other events and unknown keys are passed over. A last line without its
 * newline is still being written and left out; any other line that is not JSON, such as what a kill
 * left before a resumed run went on, is left out with a warning. Where a resumed run repeats steps,
 * the later records count.
 * SX_ENOINPUT if it is no run folder, SX_EDATA without any step, SX_ENOMEM, SX_EIO. */
sx_status sx_runlog_read(sx_runlog *out, sx_ctx *ctx, const char *run) SX_NODISCARD;
void sx_runlog_free(sx_runlog *log);

/* The first record of recalibration, -1 if there is none. A run branched from another's checkpoint
 * at the drop begins with it. */
int64_t sx_runlog_drop(const sx_runlog *log);

#endif

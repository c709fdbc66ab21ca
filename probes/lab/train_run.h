/* A training run as a folder: config.yaml, log.jsonl, live/seg-NNNN.h5, checkpoints/, run.h5. Ties the
 * trainer, the data, the observers and the run file together. */
#ifndef SX_PROBES_LAB_TRAIN_RUN_H
#define SX_PROBES_LAB_TRAIN_RUN_H

#include "probes/config/config.h"
#include "probes/lab/progress.h"

/* SX_RESUME_AUTO: goes on with the run where there is one, else begins it. */
typedef enum { SX_RESUME_NO, SX_RESUME_YES, SX_RESUME_AUTO } sx_train_resume;

typedef struct {
	sx_config *cfg;      /* borrowed; model.* is set from init=MODEL                    */
	const char *dir;     /* RUN */
	const char *command; /* line that goes into the run file */
	const char *branch;  /* RUN@STEP of another run to go on from, or NULL               */
	sx_train_resume resume;
	const sx_progress_to *progress; /* NULL: nobody listens */
} sx_train_request;

/* Trains to the end and seals the run file. SX_ESTOPPED after a signal of probes/lab/stop.h: a checkpoint
 * is written and the run can be resumed. SX_ECREATE where RUN exists and resume is not asked for, and
 * where another process holds it (probes/lab/hold.h); SX_ECONFIG where it is resumed and the
 * configuration differs. */
sx_status sx_train_run(sx_ctx *ctx, const sx_train_request *r) SX_NODISCARD;

/* Whether a branch may set this key to something else than the run it branches from: everything after
 * the drop, and what only looks on. */
bool sx_train_branch_may_change(const char *key);

#endif

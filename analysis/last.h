/* The last record of a run file's datasets, and places on its axes of words. */
#ifndef SX_ANALYSIS_LAST_H
#define SX_ANALYSIS_LAST_H

#include "probes/runfile/runfile.h"

/* The last record of a growing dataset: *out is the caller's. SX_EDATA where it has none. */
sx_status sx_last_read(double **out, sx_ctx *ctx, sx_run_file *f, sx_run_id id) SX_NODISCARD;
/* Where `word` stands on the axis, and how long the axis is. SX_EDATA where it does not. */
sx_status sx_last_word(int64_t *at, int64_t *n, sx_ctx *ctx, sx_run_file *f, sx_run_id axis,
		       const char *word) SX_NODISCARD;

#endif

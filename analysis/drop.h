/* What becomes of every head through the drop: a quantity of /ac or /stats before it, right after it
 * and at the end of recalibration, on the same probe sequences. From a run file with a drop. */
#ifndef SX_ANALYSIS_DROP_H
#define SX_ANALYSIS_DROP_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

typedef enum {
	SX_DROP_BEFORE, /* the last record of pretraining                       */
	SX_DROP_AFTER,  /* the same weights without their positions             */
	SX_DROP_END,    /* the last record of recalibration                     */
	SX_DROP_TIMES
} sx_drop_time;

typedef struct {
	sx_interval at[SX_DROP_TIMES];
	sx_interval change; /* end - before, sequence by sequence                   */
} sx_drop_head;

/* One quantity of all heads. */
typedef struct {
	char name[48]; /* "A_c previous", "induction mass"                                  */
	int kind;      /* word of /stats/sequence_kind of the sequences used, -1 = all      */
	int64_t sequences, layers, heads;
	int64_t step[SX_DROP_TIMES];
	sx_drop_head *head; /* (layer,head) owned                                         */
} sx_drop_trace;

/* A_c of a family ("previous") on text. Intervals: 95 % over sequences, see stats.h. SX_ENOINPUT where
 * the run has no drop or not these sequences, SX_EDATA where it has no such family. */
sx_status sx_drop_ac(sx_drop_trace *out, sx_ctx *ctx, sx_run_file *f, const char *family,
		     uint64_t seed) SX_NODISCARD;
/* A column of /stats (SX_RUN_STATS_INDUCTION_MASS, ..) on sequences of a kind: a word of the schema. */
sx_status sx_drop_stat(sx_drop_trace *out, sx_ctx *ctx, sx_run_file *f, sx_run_id id, int kind,
		       uint64_t seed) SX_NODISCARD;
void sx_drop_free(sx_drop_trace *t); /* frees what is inside */

#endif

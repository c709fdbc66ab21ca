/* What `heads` and `rope` share: which record of a run file they are of, from which sequences, and how
 * they say it. */
#ifndef SX_CLI_RECORD_H
#define SX_CLI_RECORD_H

#include "analysis/stats/stats.h"
#include "cli/out.h"
#include "probes/runfile/runfile.h"

typedef struct {
	int64_t step;   /* -1: the last                                 */
	int phase;      /* its number in a run file; -1: any            */
	unsigned kinds; /* bit k: sequences of the kth word of the file */
} sx_record_args;
enum { SX_KEY_STEP = 0x5901, SX_KEY_PHASE, SX_KEY_KINDS };
/* clang-format off */
#define SX_ARG_STEP  {"step", SX_KEY_STEP, "N", 0, "record of this step (default: the last)", 0}
#define SX_ARG_PHASE {"phase", SX_KEY_PHASE, "P", 0, "pretrain or recalibration: at the drop two records share a step (default: the later one)", 0}
#define SX_ARG_KINDS(standard) {"kinds", SX_KEY_KINDS, "LIST", 0, "sequences to use: text,repeated,retrieval,constant (default: " standard ")", 0}
/* clang-format on */
/* ARGP_ERR_UNKNOWN for other keys; ends the program as argp_error where a value is wrong. */
error_t sx_record_parse(sx_record_args *r, int key, const char *arg, struct argp_state *state);

const char *sx_phase_text(int phase); /* "pretrain", "recalibration", "phase not known" */
/* Documents are the caller's. */
json_t *sx_interval_json(sx_interval i);
json_t *sx_kinds_json(const int64_t of_kind[SX_RUN_SEQUENCE_KINDS]);

#endif

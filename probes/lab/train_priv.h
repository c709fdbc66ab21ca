/* What the files of a training run share. Nobody else includes it. */
#ifndef SX_PROBES_LAB_TRAIN_PRIV_H
#define SX_PROBES_LAB_TRAIN_PRIV_H

#include "engine/model/train.h"
#include "probes/lab/hold.h"
#include "probes/lab/source.h"
#include "probes/lab/train_log.h"
#include "probes/lab/train_run.h"
#include "probes/observe/observe.h"
#include "probes/record/record.h"

#include <time.h>

/* The probe batch and what looks at it; made anew when the model changes. */
typedef struct {
	int64_t S, T;
	uint8_t *kind;            /* (S)   */
	int32_t *tokens, *target; /* (S,T) */
	uint8_t *query_row;       /* (S,T) */
	sx_measure_opts opts;
	sx_map_choice *map;
	sx_reduce *reduce;
	sx_family family[SX_FAMILY_MOST];
	int64_t n_c;
	sx_record_axes axes;
	sx_measures *found, *found_train;
	sx_map_sink *sink;
	sx_observers *observers, *observers_train;
	sx_work *work;
} sx_train_probing;

typedef struct {
	sx_ctx *ctx;
	const sx_train_request *request;
	const sx_config *cfg;
	bool resumed;   /* RUN was there                                      */
	char *branched; /* RUN@STEP that it branched from when it began, or NULL */
	sx_hold hold;
	sx_data data;
	sx_spec spec; /* as configured */
	sx_trainer *trainer;
	sx_train_probing probe;
	sx_run *run;
	sx_train_log *log;
	int32_t *tokens, *target; /* (batch, T) */
	int64_t saved;            /* step of the last checkpoint */
	int64_t first;            /* step this attempt starts from */
	double tokens_per_s;
	char *yaml;             /* the resolved configuration */
	bool networked;         /* no SWMR in this folder: closed segments instead */
	double opened, flushed; /* seconds: the segment; the last update's record */
} sx_train_session;

/* Seconds. */
static inline double sx_train_now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- train_probe.c ---- */

/* Draws the probe batch, as the configuration says. SX_ENOMEM, SX_EDATA. */
sx_status sx_train_probes_make(sx_train_session *s) SX_NODISCARD;
/* What is measured of it. SX_ECONFIG, SX_ENOMEM. */
sx_status sx_train_probes_choose(sx_train_session *s) SX_NODISCARD;
/* Observers of the trainer's model as it is now; those of an earlier model are freed. SX_ENOMEM. */
sx_status sx_train_probes_watch(sx_train_session *s) SX_NODISCARD;
/* Passes the probe batch through the model and records what is found. */
sx_status sx_train_probes_run(sx_train_session *s) SX_NODISCARD;
void sx_train_probes_free(sx_train_probing *p); /* frees what is inside */

/* ---- train_file.c ---- */

/* The next segment, ready for records: s->run is it, NULL after a failure. */
sx_status sx_train_segment_open(sx_train_session *s) SX_NODISCARD;
/* Where a segment cannot be read before it is closed: closes it and goes on with the next. */
sx_status sx_train_segment_next(sx_train_session *s) SX_NODISCARD;
/* An update, which took so many seconds, into /train, /ac_train and the log. */
sx_status sx_train_record_step(sx_train_session *s, const sx_step_result *r,
			       double seconds) SX_NODISCARD;
/* The checkpoint of this step, which is on the disk, into /checkpoints. */
sx_status sx_train_record_checkpoint(sx_train_session *s, int64_t step) SX_NODISCARD;

#endif

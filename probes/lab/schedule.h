/* When a training run measures, evaluates and saves, how often that makes, and what it measures then: what
 * its configuration comes to. Pure functions; a run goes by them, a plan counts with them. */
#ifndef SX_PROBES_LAB_SCHEDULE_H
#define SX_PROBES_LAB_SCHEDULE_H

#include "engine/spec.h"
#include "probes/config/config.h"
#include "probes/observe/measures.h"

/* ---- when ---- */

int64_t sx_schedule_updates(const sx_config *cfg); /* recalibration included */
/* What comes after `step` updates. The statistics are measured once more at the drop, on the same
 * weights; maps come only with statistics; the initial weights are saved, too. */
typedef struct {
	bool probe, maps, eval, checkpoint;
} sx_schedule_due;
sx_schedule_due sx_schedule_at(const sx_config *cfg, int64_t step);
/* How often each comes in a run from step `first` on: 0, or the checkpoint it begins with. */
typedef struct {
	int64_t probes, maps, evals, checkpoints;
} sx_schedule_counts;
sx_schedule_counts sx_schedule_count(const sx_config *cfg, int64_t first);

/* ---- what ---- */

/* The probe batch: sequences, their length, what is measured (without maps). */
int64_t sx_schedule_probe_sequences(const sx_config *cfg);
int64_t sx_schedule_probe_length(const sx_config *cfg, const sx_spec *s);
sx_measure_opts sx_schedule_measures(const sx_config *cfg);
/* What is measured of every batch of a training run; ac is false where nothing is. */
sx_measure_opts sx_schedule_batch_measures(const sx_config *cfg);
/* What is reduced; false: nothing. */
bool sx_schedule_reduces(const sx_config *cfg, sx_reduce_words *w);
/* Kinds of needle problem that are asked; 0 = none. */
int sx_schedule_needle_kinds(const sx_config *cfg);

#endif

/* Measurements into run files: the axes and datasets of /stats, /rope, /ac, /bounds, /attn,
 * /reduce, /sites and /ac_train, and one record of each. */
#ifndef SX_PROBES_RECORD_RECORD_H
#define SX_PROBES_RECORD_RECORD_H

#include "engine/spec.h"
#include "probes/observe/families.h"
#include "probes/observe/map_sink.h"
#include "probes/observe/measures.h"
#include "probes/observe/sites.h"
#include "probes/runfile/runfile.h"

/* What the axes are made of. */
typedef struct {
	const sx_spec *spec;
	int64_t S, T;
	const uint8_t *kind;   /* (S) sequence_kind: text, repeated, retrieval, constant;
	                                 NULL where sequences are all text                    */
	const int32_t *tokens; /* (S,T)                                                */
	const sx_measure_opts *measure;
	const sx_family *family; /* (n_c)                                                */
	int64_t n_c;
	bool maps_f32, maps_stored; /* stored: not compressed */
	int64_t records, samples;   /* expected: of the statistics, of the maps             */
} sx_record_axes;

/* Before sx_run_start. */
sx_status sx_record_define(sx_run *run, const sx_record_axes *a) SX_NODISCARD;
/* /ac_train; n_c families. */
sx_status sx_record_define_ac_train(sx_run *run, const sx_spec *spec, const sx_family *family,
				    int64_t n_c, int64_t rows) SX_NODISCARD;

/* What takes the chosen maps into run, after sx_run_start, from passes of up to `batch` sequences;
 * NULL where none is chosen. */
sx_status sx_record_sink(sx_map_sink **out, sx_ctx *ctx, sx_run *run, const sx_record_axes *a,
			 int64_t batch, int threads) SX_NODISCARD;
/* Their part of /reduce (reduce_record.c). */
sx_status sx_reduce_define(sx_run *run, const sx_record_axes *a) SX_NODISCARD;
sx_status sx_reduce_put(sx_run *run, const sx_record_axes *a, const sx_reduced *d, int64_t step,
			int phase) SX_NODISCARD;
/* Of /sites (sites_record.c), and a site's dataset. */
sx_status sx_sites_define(sx_run *run, const sx_record_axes *a) SX_NODISCARD;
sx_status sx_sites_put(sx_run *run, const sx_site_rows *r, int64_t step, int phase) SX_NODISCARD;
sx_run_id sx_site_dataset(sx_site site);

/* One record of what m holds, flushed; with_maps: a sink has put the maps of this pass. spec: of the
 * model that was measured (its gamma). */
sx_status sx_record_put(sx_run *run, sx_ctx *ctx, const sx_record_axes *a, const sx_measures *m,
			const sx_spec *spec, int64_t step, int phase, bool with_maps) SX_NODISCARD;
/* Means over the batch's sequences; m holds A_c alone. Not flushed. */
sx_status sx_record_put_ac_train(sx_run *run, sx_ctx *ctx, const sx_measures *m, int64_t step,
				 int phase) SX_NODISCARD;

/* How many rows of x (T) have an earlier equal token in sight, and a key whose predecessor is equal:
 * over how many rows duplicate and induction masses are means. */
void sx_rows_with_copies(int64_t *duplicate, int64_t *induction, const int32_t *x, int64_t T,
			 int64_t window);

#endif

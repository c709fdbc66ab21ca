/* One instrumented pass over given sequences, in either precision: a model from tensors or random
 * weights, the observers, and what the model says. */
#ifndef SX_PROBES_LAB_TRACE_H
#define SX_PROBES_LAB_TRACE_H

#include "engine/files/safetensors.h"
#include "engine/spec.h"
#include "probes/observe/families.h"
#include "probes/observe/map_sink.h"
#include "probes/observe/measures.h"

typedef struct {
	const sx_spec *spec;
	const sx_tensors *tensors; /* NULL: random weights from seed and init (sx_init)     */
	uint64_t seed;
	int init;
	const double *mix; /* t: embeddings become (1-t) mean + t e, mean over the vocabulary; NULL:
		              as they are                                                  */
	/* Later weights, of the same shape and positions: the changes of A_c up to them are measured
	 * (measure->ac_toward). NULL: none. */
	const sx_tensors *toward;
	int64_t S, T;
	const int32_t *tokens; /* (S,T)                                                 */
	const int32_t *target; /* (S,T), -1 = none                                      */
	const sx_measure_opts *measure;
	const sx_family *family; /* (into->n_c)                                           */
	sx_map_sink *maps;       /* where maps go; NULL: nowhere                          */
	int threads;
} sx_trace_request;

/* Fills into (made for S sequences of T tokens), nll (S,T) in nats, NaN where there is no target, and
 * logits (S,T,V) unless NULL. Sequences go one at a time: memory is that of one. */
typedef sx_status sx_trace_fn(sx_ctx *ctx, const sx_trace_request *in, sx_measures *into,
			      double *nll, float *logits);
sx_trace_fn sx_trace, sx_trace_f64;

#endif

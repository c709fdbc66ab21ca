/* The observers: small probes that fill sx_measures during a pass of either precision. To add one: a
 * file with its accumulators, a row in observe.c, its arrays in measures.h. */
#ifndef SX_PROBES_OBSERVE_OBSERVE_H
#define SX_PROBES_OBSERVE_OBSERVE_H

#include "engine/probe.h"
#include "probes/observe/families.h"
#include "probes/observe/map_sink.h"
#include "probes/observe/measures.h"

typedef struct sx_observers sx_observers;

/* Observers of what `o` asks for, for passes of up to B sequences of into->T tokens, with the
 * families (n_c = into->n_c). into and spec must outlive them. */
sx_status sx_observers_new(sx_observers **out, sx_ctx *ctx, const sx_spec *spec,
			   const sx_measure_opts *o, const sx_family *family, int threads,
			   sx_measures *into) SX_NODISCARD;
void sx_observers_free(sx_observers *o);
/* Sequence b of the next pass is sequence seq0 + b of the measures. */
void sx_observers_place(sx_observers *o, int64_t seq0);
/* Maps go there from the next pass on; NULL, as at first: nowhere. Borrowed. */
void sx_observers_sink(sx_observers *o, sx_map_sink *sink);
/* Where the weights are going: first-order changes of A_c are measured with it from the next pass on,
 * into measures made with ac_toward. wq (L,H*D,C), wk (L,Hkv*D,C), h (L,T,C) the inputs of the
 * attention blocks there, of the pass's one sequence. Borrowed. */
typedef struct {
	const sx_real *wq, *wk, *h;
} sx_toward;
void sx_observers_toward(sx_observers *o, sx_toward toward);
/* Those of the forward pass, and those of the backward pass. */
const sx_probe *sx_observers_probes(const sx_observers *o, int *n);
const sx_probe *sx_observers_backward(const sx_observers *o, int *n);

/* ---- one per file; state is allocated by _new and freed by _free ---- */

typedef struct {
	const sx_spec *spec;
	sx_measures *into;
	const sx_family *family;
	sx_map_sink *sink;
	const uint8_t *query_row;
	const sx_reduce *reduce;
	const struct sx_sites *sites;
	bool gradients, without_h;
	int threads;
	int64_t seq0;
	sx_toward toward; /* NULLs: nowhere */
} sx_observer_base;

typedef struct {
	const char *name;
	bool (*wanted)(const sx_measure_opts *o);
	/* Fills probe; its self is freed by `free`. NULL self = out of memory. */
	void (*start)(sx_probe *probe, const sx_observer_base *base);
	void (*free)(void *self);
} sx_observer_kind;
extern const sx_observer_kind sx_observe_stats, sx_observe_rope, sx_observe_ac, sx_observe_maps,
	sx_observe_reduce, sx_observe_sites, sx_observe_spread, sx_observe_bounds, sx_observe_grad;

/* Place of (sequence, layer, head) in an array of (S,L,H). */
static inline int64_t sx_measure_at(const sx_observer_base *b, const sx_head *h)
{
	return ((b->seq0 + h->seq) * b->into->L + h->layer) * b->into->H + h->head;
}

#endif

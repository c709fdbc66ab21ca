#include "probes/observe/observe.h"

#include <stdlib.h>

/* The list: those of the forward pass, and those of the backward pass. */
static const sx_observer_kind *const forward[] = {
	&sx_observe_stats,  &sx_observe_rope,  &sx_observe_ac,     &sx_observe_maps,
	&sx_observe_reduce, &sx_observe_sites, &sx_observe_spread, &sx_observe_bounds};
static const sx_observer_kind *const backward[] = {&sx_observe_grad};
enum {
	N_FORWARD = sizeof forward / sizeof forward[0],
	N_BACKWARD = sizeof backward / sizeof backward[0],
	N_KINDS = N_FORWARD + N_BACKWARD
};

struct sx_observers {
	sx_probe probe[N_KINDS];
	const sx_observer_kind *kind[N_KINDS];
	int n, forward; /* all, and those of the forward pass */
};

static sx_status start_kinds(sx_observers *o, sx_ctx *ctx, const sx_observer_kind *const *kind,
			     int n, const sx_measure_opts *opts, const sx_observer_base *base)
{
	for (int k = 0; k < n; k++) {
		if (!kind[k]->wanted(opts)) continue;
		kind[k]->start(&o->probe[o->n], base);
		if (!o->probe[o->n].self)
			return sx_fail(ctx, SX_ENOMEM, "no memory for the observer of %s",
				       kind[k]->name);
		o->kind[o->n++] = kind[k];
	}
	return SX_OK;
}

sx_status sx_observers_new(sx_observers **out, sx_ctx *ctx, const sx_spec *spec,
			   const sx_measure_opts *opts, const sx_family *family, int threads,
			   sx_measures *into)
{
	sx_observers *o = sx_calloc(1, sizeof *o);
	sx_observer_base base = {.spec = spec,
				 .into = into,
				 .family = family,
				 .query_row = opts->query_row,
				 .reduce = opts->reduce,
				 .sites = opts->sites,
				 .gradients = opts->ac_gradients,
				 .without_h = opts->ac_without_h,
				 .threads = threads};
	if (!o) return sx_fail(ctx, SX_ENOMEM, "no memory for observers");
	sx_status st = SX_OK;
	SX_TRY(start_kinds(o, ctx, forward, N_FORWARD, opts, &base));
	o->forward = o->n;
	SX_TRY(start_kinds(o, ctx, backward, N_BACKWARD, opts, &base));
	*out = o;
	o = NULL;
out:
	sx_observers_free(o);
	return st;
}

void sx_observers_free(sx_observers *o)
{
	for (int i = 0; o && i < o->n; i++) o->kind[i]->free(o->probe[i].self);
	free(o);
}

void sx_observers_place(sx_observers *o, int64_t seq0)
{
	/* every observer's state begins with its base */
	for (int i = 0; i < o->n; i++) ((sx_observer_base *)o->probe[i].self)->seq0 = seq0;
}

void sx_observers_sink(sx_observers *o, sx_map_sink *sink)
{
	for (int i = 0; i < o->n; i++) ((sx_observer_base *)o->probe[i].self)->sink = sink;
}

void sx_observers_toward(sx_observers *o, sx_toward toward)
{
	for (int i = 0; i < o->n; i++) ((sx_observer_base *)o->probe[i].self)->toward = toward;
}

const sx_probe *sx_observers_probes(const sx_observers *o, int *n)
{
	*n = o->forward;
	return o->probe;
}

const sx_probe *sx_observers_backward(const sx_observers *o, int *n)
{
	*n = o->n - o->forward;
	return o->probe + o->forward;
}

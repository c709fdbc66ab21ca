/* Attention maps of chosen heads, into a run file. */
#include "probes/observe/observe.h"

#include <stdlib.h>

typedef struct {
	sx_observer_base base;
} maps;

static sx_status on_tile(void *self, const sx_tile *t)
{
	const maps *o = self;
	const sx_head *h = t->head;
	int64_t k = o->base.sink ? sx_map_sink_find(o->base.sink, h->layer, h->head) : -1;
	if (k < 0) return SX_OK;
	sx_map_rows rows = {.map = k,
			    .seq = h->seq,
			    .row0 = t->row0,
			    .nrow = t->nrow,
			    .key0 = t->key0,
			    .nkey = t->nkey,
			    .ld = t->ld,
			    .thread = h->thread};
#ifdef SX_F64
	rows.f64 = t->p;
#else
	rows.f32 = t->p;
#endif
	sx_map_sink_rows(o->base.sink, &rows);
	return SX_OK;
}

static sx_status on_layer_end(void *self, const sx_layer *layer)
{
	const maps *o = self;
	return o->base.sink ? sx_map_sink_layer(o->base.sink, layer->layer, o->base.seq0) : SX_OK;
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	maps *o = sx_calloc(1, sizeof *o);
	if (!o) return;
	o->base = *base;
	*probe = (sx_probe){.self = o, .tile = on_tile, .layer_end = on_layer_end};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->n_map > 0;
}

const sx_observer_kind sx_observe_maps = {"maps", wanted, start, free};

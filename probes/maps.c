/* Attention maps of chosen heads. */
#include "probes/observe.h"

#include <stdlib.h>

typedef struct {
	sx_observer_base base;
} maps;

static sx_status on_tile(void *self, const sx_tile *t)
{
	maps *o = self;
	const sx_head *h = t->head;
	sx_measures *m = o->base.into;
	for (int64_t k = 0; k < m->n_map; k++) {
		if (o->base.map[k].layer != h->layer || o->base.map[k].head != h->head) continue;
		double *map = m->map + ((o->base.seq0 + h->seq) * m->n_map + k) * m->T * m->T;
		for (int64_t r = 0; r < t->nrow; r++)
			for (int64_t j = 0; j < t->nkey; j++)
				map[(t->row0 + r) * m->T + t->key0 + j] =
					(double)t->p[r * t->ld + j];
	}
	return SX_OK;
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	maps *o = sx_calloc(1, sizeof *o);
	if (!o) return;
	o->base = *base;
	*probe = (sx_probe){.self = o, .tile = on_tile};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->n_map > 0;
}

const sx_observer_kind sx_observe_maps = {"maps", wanted, start, free};

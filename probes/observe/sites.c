/* Keeps the chosen rows of the wanted sites. */
#include "probes/observe/sites.h"
#include "probes/observe/observe.h"

#include <stdlib.h>

typedef struct {
	sx_observer_base base;
} keeper;

/* The chosen rows of one part: from (T) rows ld apart to (n_query, width). */
static void keep_part(float *to, const sx_real *from, int64_t ld, int64_t width,
		      const sx_choice *choice)
{
	for (int64_t r = 0; r < choice->n_query; r++)
		for (int64_t c = 0; c < width; c++)
			to[r * width + c] = (float)from[choice->query[r] * ld + c];
}

static sx_status on_site(void *self, const sx_site_event *e)
{
	const keeper *o = self;
	const sx_sites *k = o->base.sites;
	if (e->grad || !k->want[e->site]) return SX_OK;
	const sx_site_form *f = &k->form[sx_site_kind_of(e->site)];
	int64_t part = k->choice.n_query * f->width, sequence = k->choice.n_layer * f->n * part;
	float *to = o->base.into->site_rows->at[e->site] + o->base.seq0 * sequence;
	for (int64_t b = 0; b < e->B; b++)
		for (int64_t h = 0; h < f->heads; h++) {
			int32_t slot = f->slot[e->layer * f->heads + h];
			if (slot >= 0)
				keep_part(to + b * sequence + slot * part,
					  e->data + b * e->T * e->width + h * f->width, e->width,
					  f->width, &k->choice);
		}
	return SX_OK;
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	keeper *o = sx_calloc(1, sizeof *o);
	if (!o) return;
	o->base = *base;
	*probe = (sx_probe){.self = o, .site = on_site};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->sites != NULL;
}

const sx_observer_kind sx_observe_sites = {"sites", wanted, start, free};

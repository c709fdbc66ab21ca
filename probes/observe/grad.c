/* Gradients of the loss in every head, from the tiles of the backward pass: norms by scores, q, k, W_Q
 * and W_K, and what each key's probabilities carry. Per query head: with shared key heads dk and dW_K
 * are the head's own path. */
#include "engine/op/functional.h"
#include "engine/vector.h"
#include "probes/observe/observe.h"

#include <stdlib.h>

typedef struct {
	sx_functional f; /* dq, dk and what follows from them        */
	sx_real *store;
	double ss;    /* sum of squares of ds                      */
	double *flow; /* (T) sum over rows of alpha dL/dalpha      */
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc; /* one per thread */
} grad;

/* alpha dL/dalpha = ds + alpha D_i, D_i = sum_j alpha_ij dL/dalpha_ij = z_i . dz_i. */
static void add_row(accumulator *a, const sx_real *p, const sx_real *ds, double row, int64_t first,
		    int64_t n)
{
	for (int64_t j = 0; j < n; j++) {
		double d = (double)ds[j];
		a->ss += d * d;
		a->flow[first + j] += d + (double)p[j] * row;
	}
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	grad *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	int64_t D = h->spec->D;
	if (t->row0 == 0) {
		a->ss = 0;
		memset(a->flow, 0, (size_t)h->T * sizeof *a->flow);
		sx_functional_start(&a->f, 1, h->spec, h->T, true, a->store);
		a->f.dh = NULL;
	}
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, h->plan->window),
			at = r * t->ld + first - t->key0;
		double row = 0;
		for (int64_t c = 0; c < D; c++)
			row += (double)t->z[r * h->ldq + c] * (double)t->dz[r * h->ldq + c];
		add_row(a, t->p + at, t->ds + at, row, first, i - first + 1);
	}
	sx_functional_scores(&a->f, t, t->ds);
	return SX_OK;
}

static sx_status on_head(void *self, const sx_head *h)
{
	static const int wrt[] = {[SX_GRAD_DQ] = SX_WRT_Q,
				  [SX_GRAD_DK] = SX_WRT_K,
				  [SX_GRAD_DWQ] = SX_WRT_WQ,
				  [SX_GRAD_DWK] = SX_WRT_WK};
	grad *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int64_t at = sx_measure_at(&o->base, h);
	sx_functional_finish(&a->f, 1, h);
	m->grad[SX_GRAD_DS][at] = sqrt(a->ss);
	for (int g = SX_GRAD_DQ; g < SX_GRAD_COUNT; g++) m->grad[g][at] = a->f.norm[wrt[g]];
	memcpy(m->key_flow + at * h->T, a->flow, (size_t)h->T * sizeof *a->flow);
	return SX_OK;
}

static void stop(void *self)
{
	grad *o = self;
	if (!o) return;
	for (int i = 0; o->acc && i < o->base.threads; i++) {
		free(o->acc[i].store);
		free(o->acc[i].flow);
	}
	free(o->acc);
	free(o);
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t T = base->into->T, reals = sx_functional_reals(base->spec, T);
	grad *o = sx_calloc(1, sizeof *o);
	bool ok = o != NULL;
	if (ok) {
		o->base = *base;
		o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
		ok = o->acc != NULL;
	}
	for (int i = 0; ok && i < base->threads; i++) {
		o->acc[i].store = sx_calloc((size_t)reals, sizeof *o->acc[i].store);
		o->acc[i].flow = sx_calloc((size_t)T, sizeof *o->acc[i].flow);
		ok = o->acc[i].store && o->acc[i].flow;
	}
	if (!ok) {
		stop(o);
		return;
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->grad;
}

const sx_observer_kind sx_observe_grad = {"grad", wanted, start, stop};

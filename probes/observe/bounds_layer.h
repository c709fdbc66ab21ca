/* The two halves of the observer of bounds: heads (bounds.c) and the layer around them
 * (bounds_layer.c). */
#ifndef SX_PROBES_OBSERVE_BOUNDS_LAYER_H
#define SX_PROBES_OBSERVE_BOUNDS_LAYER_H

#include "probes/observe/observe.h"
#include "probes/observe/spread.h"

#include <float.h>
#include <math.h>

/* Unit roundoff of the engine and of double, and the engine's smallest number above zero, which is
 * what underflow is off by. */
static const double sx_unit = sizeof(sx_real) == 8 ? 0x1p-53 : 0x1p-24;
static const double sx_unit_double = 0x1p-53;
static const double sx_least = sizeof(sx_real) == 8 ? 0x1p-1074 : 0x1p-149;
static const double sx_least_double = 0x1p-1074;

/* Both sides, the printed right side (NaN: none) and what rounding may add to the left one. row -1: of
 * the whole head or layer. */
typedef struct {
	double lhs, rhs, paper, allowance, tightness;
	int64_t row;
} sx_bound_side;

/* Keeps the row in which the left side comes nearest to, or passes, what it may be. */
static inline void sx_bound_offer(sx_bound_side *w, double lhs, double rhs, double paper,
				  double allowance, int64_t i)
{
	double room = rhs + allowance, tightness = lhs == 0 && room >= 0 ? 0 : lhs / room;
	if (isnan(w->tightness) || tightness <= w->tightness) return;
	*w = (sx_bound_side){lhs, rhs, paper, allowance, tightness, i};
}

static inline void sx_bound_put(sx_measures *m, int64_t at, const sx_bound_side *x,
				sx_bound_reason reason)
{
	m->bound_reason[at] = (uint8_t)reason;
	if (reason != SX_REASON_NONE) return;
	m->bound_lhs[at] = x->lhs;
	m->bound_rhs[at] = x->rhs;
	m->bound_paper[at] = x->paper;
	m->bound_allowance[at] = x->allowance;
	m->bound_row[at] = (int32_t)x->row;
}

static inline double sx_bound_norm(const sx_real *x, int64_t n)
{
	double total = 0;
	for (int64_t c = 0; c < n; c++) total += (double)x[c] * (double)x[c];
	return sqrt(total);
}

/* What a head tells its layer, of one sequence. */
typedef struct {
	double eta, kappa; /* largest ||alpha_i - u_i||_1 and kappa_i                          */
	double off;        /* what eta may be off min(2, kappa_i Delta_i)                     */
	double paper;      /* printed for kappa: scale sqrt(C) ||W_Q|| ||W_K||; NaN where none */
	bool constant, turns;
} sx_bounds_head;

typedef struct sx_bounds_weights sx_bounds_weights;

typedef struct {
	sx_observer_base base;
	int64_t B;               /* room of what follows                                       */
	double *spread, *h_norm; /* (B,T) of the layer at work: Delta_i, ||h_i||                */
	double *x_spread;        /* (B,T) Delta_i of the stream that enters                     */
	double *x_most, *x_rho;  /* (B) largest ||x_i||; least rho(x_i)                          */
	sx_bounds_head *head;    /* (B,H)                                                       */
	double *scratch;         /* of sx_spread_rows                                           */
	sx_bounds_weights *weights; /* (L) norms                                                */
} sx_bounds_layer;

sx_bounds_layer *sx_bounds_layer_new(const sx_observer_base *base); /* NULL: no memory */
void sx_bounds_layer_free(sx_bounds_layer *o);
/* Sites of the forward pass: x, then h. */
sx_status sx_bounds_layer_site(sx_bounds_layer *o, const sx_site_event *e);
/* After the heads: I2, I5-I7, B8, P3.2.output of every sequence into the measures. */
sx_status sx_bounds_layer_end(sx_bounds_layer *o, const sx_layer *layer);

#endif

/* A_c of every head for every family of c, its gradients, and what the bounds are made of. */
#include "engine/op/functional.h"
#include "engine/vector.h"
#include "probes/observe/observe.h"

#include <stdlib.h>

typedef struct {
	sx_functional *f;  /* one per family                              */
	sx_real *store;    /* their arrays                                */
	double *c;         /* (tile rows, ld) a tile of weights            */
	sx_real *g;        /* (tile rows, ld) gradient by the scores      */
	int64_t tile_size; /* of c and g                                  */
	double osc, l1;    /* sums over rows                              */
} accumulator;

typedef struct {
	sx_observer_base base;
	accumulator *acc;
	sx_real *
		sum; /* (L,H,n_c) times dW_Q and dW_K, over the sequences so far; NULL: not asked */
} ac;

/* Rows of a tile are known from the first tile only: the engine chooses its height. */
static sx_status make_room(accumulator *a, int64_t size)
{
	if (size <= a->tile_size) return SX_OK;
	free(a->c);
	free(a->g);
	a->c = sx_calloc((size_t)size, sizeof *a->c);
	a->g = sx_calloc((size_t)size, sizeof *a->g);
	a->tile_size = a->c && a->g ? size : 0;
	return a->tile_size ? SX_OK : SX_ENOMEM;
}

/* Over n visible keys: ||alpha_i - u_i||_1 with u_i uniform, and osc(s_i). */
SX_VECTOR
static void parts_of_ac_row(const sx_real *p, const sx_real *s, int64_t n, double *l1, double *osc)
{
	double lane[SX_LANES] = {0}, u = 1 / (double)n;
	sx_real lo[SX_LANES], hi[SX_LANES];
	int64_t j = 0;
	for (int l = 0; l < SX_LANES; l++) lo[l] = hi[l] = s[0];
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			lane[l] += fabs((double)p[j + l] - u);
			lo[l] = s[j + l] < lo[l] ? s[j + l] : lo[l];
			hi[l] = s[j + l] > hi[l] ? s[j + l] : hi[l];
		}
	for (int l = 0; j + l < n; l++) {
		lane[l] += fabs((double)p[j + l] - u);
		lo[l] = s[j + l] < lo[l] ? s[j + l] : lo[l];
		hi[l] = s[j + l] > hi[l] ? s[j + l] : hi[l];
	}
	*l1 = 0;
	for (int l = 0; l < SX_LANES; l++) {
		*l1 += lane[l];
		lo[0] = lo[l] < lo[0] ? lo[l] : lo[0];
		hi[0] = hi[l] > hi[0] ? hi[l] : hi[0];
	}
	*osc = (double)hi[0] - (double)lo[0] + 0 * *l1; /* NaN where the row is */
}

SX_VECTOR
static double mass_of_ac_keys(const sx_real *p, int64_t n)
{
	double lane[SX_LANES] = {0}, sum = 0;
	int64_t j = 0;
	for (; j + SX_LANES <= n; j += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += (double)p[j + l];
	for (int l = 0; j + l < n; l++) lane[l] += (double)p[j + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l];
	return sum;
}

/* g = p weight over n keys. */
SX_VECTOR
static void weigh_ac_row(sx_real *g, const sx_real *p, double weight, int64_t n)
{
	for (int64_t j = 0; j < n; j++) g[j] = (sx_real)((double)p[j] * weight);
}

/* A family of marked keys: no tile of c. g_ij = p_ij (c_ij - sum_k p_ik c_ik) / T. */
static void add_marked(accumulator *a, sx_functional *f, const sx_family *family, const sx_tile *t)
{
	double inv_T = 1 / (double)t->head->T;
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, t->head->plan->window),
			n = i - first + 1;
		const sx_real *row = t->p + r * t->ld, *p = row + first - t->key0;
		sx_real *g = a->g + r * t->ld;
		sx_family_marks m = {0};
		(void)sx_family_marked(&m, family, i, first);
		/* the others by themselves: what they have left must not drown beside 1 */
		double others = mass_of_ac_keys(p, m.lo) + mass_of_ac_keys(p + m.hi, n - m.hi);
		double mean = mass_of_ac_keys(p + m.lo, m.hi - m.lo) + m.off * others;
		f->value += mean * inv_T;
		if (!f->dq) continue;
		weigh_ac_row(g, row, (m.off - mean) * inv_T, t->nkey); /* p = 0 out of sight */
		g += first - t->key0;
		for (int64_t j = m.lo; j < m.hi; j++)
			g[j] = (sx_real)((double)p[j] * (1 - mean) * inv_T);
	}
	if (f->dq) sx_functional_scores(f, t, a->g);
}

/* Any family. */
static void add_weights(accumulator *a, sx_functional *f, const sx_family *family, const sx_tile *t)
{
	memset(a->c, 0, (size_t)(t->nrow * t->ld) * sizeof *a->c);
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, t->head->plan->window);
		int64_t at = r * t->ld + first - t->key0;
		sx_family_row(family, i, first, t->p + at, a->c + at);
	}
	sx_functional_tile(f, t, a->c, t->ld, a->g);
}

static sx_status on_tile(void *self, const sx_tile *t)
{
	ac *o = self;
	const sx_head *h = t->head;
	accumulator *a = &o->acc[h->thread];
	int64_t n_c = o->base.into->n_c, window = h->plan->window;
	if (make_room(a, t->nrow * t->ld) != SX_OK) return SX_ENOMEM;
	if (t->row0 == 0) {
		a->osc = a->l1 = 0;
		sx_functional_start(a->f, (int)n_c, h->spec, h->T, o->base.gradients, a->store);
		for (int64_t k = 0; k < n_c && o->base.without_h; k++) a->f[k].dh = NULL;
	}
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = sx_first_key(i, window),
			at = r * t->ld + first - t->key0;
		double l1, osc;
		parts_of_ac_row(t->p + at, t->s + at, i - first + 1, &l1, &osc);
		a->l1 += l1;
		a->osc += osc;
	}
	for (int64_t k = 0; k < n_c; k++) {
		const sx_family *family = &o->base.family[k];
		sx_family_marks m;
		if (sx_family_marked(&m, family, 0, 0))
			add_marked(a, &a->f[k], family, t);
		else
			add_weights(a, &a->f[k], family, t);
	}
	return SX_OK;
}

/* Adds dw (n) to sum; the norm of the mean of `count` of them. */
static double add_to_mean(sx_real *sum, const sx_real *dw, int64_t n, int64_t count)
{
	double squares = 0;
	for (int64_t i = 0; i < n; i++) {
		sum[i] += dw[i];
		squares += (double)sum[i] * (double)sum[i];
	}
	return sqrt(squares) / (double)count;
}

static void add_to_batch(ac *o, const sx_head *h, int64_t c, const sx_functional *f)
{
	sx_measures *m = o->base.into;
	int64_t n = (int64_t)h->spec->D * h->spec->C, count = o->base.seq0 + h->seq + 1,
		at = (h->layer * m->H + h->head) * m->n_c + c;
	double *norm = m->ac_batch_grad + at * m->n_wrt;
	norm[SX_WRT_WQ] = add_to_mean(o->sum + 2 * at * n, f->dwq, n, count);
	norm[SX_WRT_WK] = add_to_mean(o->sum + (2 * at + 1) * n, f->dwk, n, count);
}

/* sum g (to - from); *norm, where it is not NULL, that of to - from. */
static double along(double *norm, const sx_real *g, const sx_real *to, const sx_real *from,
		    int64_t n)
{
	double sum = 0, squares = 0;
	for (int64_t i = 0; i < n; i++) {
		double d = (double)to[i] - (double)from[i];
		sum += (double)g[i] * d;
		squares += d * d;
	}
	if (norm) *norm = sqrt(squares);
	return sum;
}

/* What the gradients of f, of family c, make of the way to the later weights. */
static void first_order(ac *o, const sx_head *h, int64_t c, const sx_functional *f)
{
	const sx_spec *s = h->spec;
	const sx_toward *to = &o->base.toward;
	sx_measures *m = o->base.into;
	int64_t n = (int64_t)s->D * s->C, q = h->head * n, k = h->kv_head * n, x = h->T * s->C;
	double *out = m->ac_first_order + (sx_measure_at(&o->base, h) * m->n_c + c) * m->n_wrt;
	double *norm = m->ac_change_norm + (h->layer * m->H + h->head) * m->n_wrt;
	out[SX_WRT_WQ] =
		along(&norm[SX_WRT_WQ], f->dwq, to->wq + h->layer * s->H * n + q, h->wq + q, n);
	out[SX_WRT_WK] =
		along(&norm[SX_WRT_WK], f->dwk, to->wk + h->layer * s->Hkv * n + k, h->wk + k, n);
	if (f->dh) out[SX_WRT_H] = along(NULL, f->dh, to->h + h->layer * x, h->h, x);
}

static sx_status on_head(void *self, const sx_head *h)
{
	ac *o = self;
	accumulator *a = &o->acc[h->thread];
	sx_measures *m = o->base.into;
	int64_t at = sx_measure_at(&o->base, h), n_c = m->n_c;
	m->logit_osc[at] = a->osc / (double)h->T;
	m->uniform_l1[at] = a->l1 / (double)h->T;
	sx_functional_finish(a->f, (int)n_c, h);
	for (int64_t k = 0; k < n_c; k++) {
		m->ac_value[at * n_c + k] = a->f[k].value;
		if (m->ac_grad)
			memcpy(m->ac_grad + (at * n_c + k) * m->n_wrt, a->f[k].norm,
			       (size_t)m->n_wrt * sizeof *m->ac_grad);
		if (o->base.toward.wq && o->base.gradients) first_order(o, h, k, &a->f[k]);
		if (o->sum) add_to_batch(o, h, k, &a->f[k]);
	}
	return SX_OK;
}

static void stop(void *self)
{
	ac *o = self;
	if (!o) return;
	for (int i = 0; o->acc && i < o->base.threads; i++) {
		free(o->acc[i].f);
		free(o->acc[i].store);
		free(o->acc[i].c);
		free(o->acc[i].g);
	}
	free(o->acc);
	free(o->sum);
	free(o);
}

static void start(sx_probe *probe, const sx_observer_base *base)
{
	int64_t n_c = base->into->n_c;
	int64_t reals = base->gradients ? sx_functional_reals(base->spec, base->into->T) : 0;
	ac *o = sx_calloc(1, sizeof *o);
	bool ok = o != NULL;
	if (ok) {
		o->base = *base;
		o->acc = sx_calloc((size_t)base->threads, sizeof *o->acc);
		ok = o->acc != NULL;
	}
	if (ok && base->gradients && base->into->ac_batch_grad) {
		const sx_spec *s = base->spec;
		o->sum = sx_calloc((size_t)(s->L * s->H * n_c * 2) * (size_t)s->D,
				   (size_t)s->C * sizeof *o->sum);
		ok = o->sum != NULL;
	}
	for (int i = 0; ok && i < base->threads; i++) {
		o->acc[i].f = sx_calloc((size_t)n_c, sizeof *o->acc[i].f);
		o->acc[i].store = sx_calloc((size_t)(n_c * reals), sizeof *o->acc[i].store);
		ok = o->acc[i].f && o->acc[i].store;
	}
	if (!ok) {
		stop(o);
		return;
	}
	*probe = (sx_probe){.self = o, .tile = on_tile, .head_end = on_head};
}

static bool wanted(const sx_measure_opts *opts)
{
	return opts->ac;
}

const sx_observer_kind sx_observe_ac = {"ac", wanted, start, stop};

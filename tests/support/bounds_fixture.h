/* A pass of a small random model with the observer of bounds, what a control does to the observer's
 * view, and what the analysis takes. */
#ifndef SX_TESTS_BOUNDS_FIXTURE_H
#define SX_TESTS_BOUNDS_FIXTURE_H

#include "tests/support/recorder.h"

#include "analysis/bounds.h"
#include "engine/op/blas.h"

#include <float.h>

static const char *const families[] = {"diagonal", "previous", "own"};
enum { N_C = 3, OWN = 2, N_BOUNDS = SX_BOUND_PLAIN + N_C * SX_BOUND_OF_C };

typedef struct {
	sx_model *m;
	sx_work *w;
	int32_t *tokens;
	observed o;
	recorder r;
	bool recorded;
	char text[N_BOUNDS][SX_BOUND_NAME];
	const char *name[N_BOUNDS];
	sx_bounds b;
	uint8_t *verdict;
} passed;

/* What a control does to what the observer sees. */
typedef enum {
	AS_IT_IS,
	LOUD_PROBS,    /* rows that sum to 1.01: `own` is not centred                           */
	QUIET_PROBS,   /* to 0.9                                                                */
	HALF_PROBS,    /* half the weight on one key, and all of it 1.1 times                   */
	SHARP_PROBS,   /* all on one key, whatever the scores say                               */
	OTHER_KEYS,    /* the scores are not made of these keys                                 */
	OTHER_WEIGHTS, /* the gradient is not that of these W_Q                                 */
	SMALL_WEIGHTS, /* and far from it                                                       */
	OTHER_INPUT,   /* gradients made with an input 1000 times as large                      */
	FLAT_INPUT,    /* tokens that seem nearly equal                                         */
	FAR_INPUT,     /* and 1000 times as far apart as the norm leaves them                   */
	LOUD_Z,        /* values that are not those of the heads                                */
	FAR_MIDDLE,    /* a stream after attention that is not x + o                            */
	LOUD_ACT,      /* feed-forward that is not this one's                                   */
	FAR_OUT,       /* a stream that leaves which is not the layer's                         */
	ODD_KEYS,      /* row i is i + 1 times what it is: keys                                  */
	ODD_INPUT,     /* the input that gradients are made with                                */
	ODD_OUT        /* the stream that leaves                                                */
} tamper;
typedef struct {
	sx_probe inner;
	tamper how;
	sx_real *copy; /* of whatever is changed */
} tampered;

/* copy = from + factor (x - from), from: the first row of `width`; NULL: from zero. */
static inline const sx_real *stretched(const tampered *t, const sx_real *x, int64_t n,
				       int64_t width, double factor)
{
	for (int64_t i = 0; i < n; i++) {
		double from = width ? (double)x[i % width] : 0;
		t->copy[i] = (sx_real)(from + factor * ((double)x[i] - from));
	}
	return t->copy;
}

static inline const sx_real *odd_rows(const tampered *t, const sx_real *x, int64_t T, int64_t width,
				      int64_t ld)
{
	for (int64_t i = 0; i < T * width; i++)
		t->copy[i] = x[i / width * ld + i % width] * (sx_real)(i / width + 1);
	return t->copy;
}

static inline sx_head tampered_head(const tampered *t, const sx_head *h, bool end)
{
	sx_head v = *h;
	int64_t D = h->spec->D, C = h->spec->C, n = D * C * h->spec->H;
	if (t->how == OTHER_WEIGHTS) v.wq = stretched(t, h->wq, n, 0, 1.01);
	if (t->how == SMALL_WEIGHTS) v.wq = stretched(t, h->wq, n, 0, 1e-3);
	if (t->how == OTHER_INPUT && end) v.h = stretched(t, h->h, h->T * C, 0, 1000);
	if (t->how == ODD_INPUT && end) v.h = odd_rows(t, h->h, h->T, C, C);
	if (t->how == ODD_KEYS) v.k = odd_rows(t, h->k, h->T, D, h->ldk), v.ldk = D;
	if (t->how == OTHER_KEYS) {
		for (int64_t i = 0; i < h->T * D; i++)
			t->copy[i] = 300 * h->k[i / D * h->ldk + i % D];
		v.k = t->copy, v.ldk = D;
	}
	return v;
}

static inline sx_status tampered_tile(void *self, const sx_tile *tile)
{
	tampered *t = self;
	sx_head h = tampered_head(t, tile->head, false);
	sx_tile v = *tile;
	v.head = &h;
	int64_t n = tile->nrow * tile->ld;
	if (t->how == LOUD_PROBS) v.p = stretched(t, tile->p, n, 0, 1.01);
	if (t->how == QUIET_PROBS) v.p = stretched(t, tile->p, n, 0, 0.9);
	if (t->how != SHARP_PROBS && t->how != HALF_PROBS) return t->inner.tile(t->inner.self, &v);
	for (int64_t r = 0; r < tile->nrow; r++)
		for (int64_t j = 0; j < tile->nkey; j++) {
			int64_t i = tile->row0 + r, key = tile->key0 + j;
			double rest = key < i ? 0.55 / (double)i : 0, on = 0.55;
			if (t->how == SHARP_PROBS) rest = 0, on = 1;
			t->copy[r * tile->ld + j] = (sx_real)(key == i ? on : rest);
		}
	v.p = t->copy;
	return t->inner.tile(t->inner.self, &v);
}

static inline sx_status tampered_end(void *self, const sx_head *head)
{
	tampered *t = self;
	sx_head h = tampered_head(t, head, true);
	return t->inner.head_end(t->inner.self, &h);
}

static inline sx_status tampered_site(void *self, const sx_site_event *e)
{
	tampered *t = self;
	sx_site_event v = *e;
	int64_t n = e->B * e->T * e->width;
	if (t->how == FLAT_INPUT && e->site == SX_SITE_H)
		v.data = stretched(t, e->data, n, e->width, 1e-3);
	if (t->how == FAR_INPUT && e->site == SX_SITE_H)
		v.data = stretched(t, e->data, n, e->width, 1e3);
	return t->inner.site(t->inner.self, &v);
}

static inline sx_status tampered_layer(void *self, const sx_layer *layer)
{
	tampered *t = self;
	sx_layer v = *layer;
	int64_t N = layer->B * layer->T, C = layer->spec->C;
	int64_t q = (int64_t)layer->spec->H * layer->spec->D;
	if (t->how == LOUD_Z) v.z = stretched(t, layer->z, N * q, 0, 1e4);
	if (t->how == FAR_MIDDLE) v.xa = stretched(t, layer->xa, N * C, C, 1e3);
	if (t->how == LOUD_ACT) v.act = stretched(t, layer->act, N * layer->spec->F, 0, 1e6);
	if (t->how == FAR_OUT) v.out = stretched(t, layer->out, N * C, 0, 1e6);
	if (t->how == ODD_OUT) v.out = odd_rows(t, layer->out, N, C, C);
	return t->inner.layer_end(t->inner.self, &v);
}

static inline observed observe_bounds(const sx_spec *s, int64_t S, int64_t T)
{
	observed o = {.opts = {.ac = true, .ac_gradients = true, .spread = true, .bounds = true}};
	for (int c = 0; c < N_C; c++)
		assert_int_equal(sx_family_parse(&o.family[c], NULL, families[c]), SX_OK);
	assert_int_equal(
		sx_measures_new(&o.measures, NULL, &o.opts, S, s->L, s->H, T, s->D / 2, N_C),
		SX_OK);
	return o;
}

static inline void view_of(passed *x)
{
	sx_measures *m = x->o.measures;
	for (int64_t i = 0; i < m->n_bound; i++) {
		int64_t c = sx_bound_family(i);
		sx_bound_name(x->text[i], i, c < 0 ? "" : families[c]);
		x->name[i] = x->text[i];
	}
	x->b = (sx_bounds){.S = m->S,
			   .L = m->L,
			   .H = m->H,
			   .n = m->n_bound,
			   .name = x->name,
			   .lhs = m->bound_lhs,
			   .rhs = m->bound_rhs,
			   .rhs_paper = m->bound_paper,
			   .allowance = m->bound_allowance,
			   .row = m->bound_row,
			   .reason = m->bound_reason};
	x->verdict = m->bound_verdict;
	sx_bounds_judge(x->verdict, &x->b);
}

/* The pass itself, of the model and tokens in x. x must stay where it is: the view points into it. */
static inline void pass_again(passed *x, tamper how)
{
	const sx_spec *s = &x->m->spec;
	int64_t T = x->o.measures->T, B = x->o.measures->S;
	int n, threads = omp_get_max_threads();
	if (how != AS_IT_IS) omp_set_num_threads(1); /* one copy is enough */
	const sx_probe *p = observe_with(&x->o, s, &n);
	sx_probe probes[8];
	memcpy(probes, p, (size_t)n * sizeof *p);
	tampered t = {.inner = p[n - 1], .how = how}; /* bounds is the last observer */
	int64_t wide = s->F + s->C + (int64_t)s->H * s->D;
	t.copy = sx_calloc((size_t)(64 * (T + 64) + B * T * wide + (int64_t)s->H * s->D * s->C),
			   sizeof *t.copy);
	assert_non_null(t.copy);
	if (how != AS_IT_IS)
		probes[n - 1] = (sx_probe){.self = &t,
					   .tile = tampered_tile,
					   .head_end = tampered_end,
					   .site = tampered_site,
					   .layer_end = tampered_layer};
	if (x->recorded)
		probes[n++] = (sx_probe){.self = &x->r,
					 .tile = record_tile,
					 .head_end = record_head,
					 .site = record_site,
					 .layer_end = record_layer};
	assert_int_equal(
		sx_forward(
			NULL, x->m, x->w,
			&(sx_request){.tokens = x->tokens, .B = B, .probe = probes, .n_probe = n},
			NULL),
		SX_OK);
	omp_set_num_threads(threads);
	free(t.copy);
	view_of(x);
}

/* tokens (B,T) become x's. */
static inline void pass(passed *x, const sx_spec *s, int64_t B, int64_t T, int32_t *tokens,
			uint64_t seed, double sd, tamper how, bool record)
{
	memset(x, 0, sizeof *x);
	x->m = small_model(s, seed, sd);
	x->tokens = tokens;
	x->w = small_work(x->m, B, T, SX_WORK_FORWARD);
	x->o = observe_bounds(s, B, T);
	x->recorded = record;
	if (record) x->r = recorder_of(s, B, T);
	pass_again(x, how);
}

static inline void passed_free(passed *x)
{
	if (x->recorded) recorder_free(&x->r);
	observed_free(&x->o);
	sx_work_free(x->w);
	sx_model_free(x->m);
	free(x->tokens);
}

static inline int64_t count_of(const passed *x, const char *name, uint8_t verdict)
{
	int64_t n = 0;
	for (int64_t at = 0; at < x->b.S * x->b.L * x->b.H * x->b.n; at++)
		n += x->verdict[at] == verdict &&
		     (!name || strcmp(x->b.name[at % x->b.n], name) == 0);
	return n;
}

#endif

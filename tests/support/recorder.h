/* A probe that keeps everything: scores and probabilities of every head as T x T arrays in double,
 * and what they were made of, to compare observers with plain sums. */
#ifndef SX_TESTS_RECORDER_H
#define SX_TESTS_RECORDER_H

#include "tests/support/small_model.h"

static inline double *zeros(int64_t n)
{
	double *x = sx_calloc((size_t)n, sizeof *x);
	assert_non_null(x);
	return x;
}

typedef struct {
	double *s, *p;     /* (T,T) */
	double *q, *k, *h; /* (T,D), (T,D), (T,C): rotated q and k, the block's input */
	double *wq, *wk;   /* (D,C) */
	const int32_t *tokens;
	double scale, attention_factor;
	double inv_freq[32];
} head_record;

/* A layer of one sequence: the streams before, within and after, (T,C). */
typedef struct {
	double *x, *xa, *out;
} layer_record;

typedef struct {
	int64_t B, T, window;
	sx_spec spec;
	head_record *head;   /* (B,L,H) */
	layer_record *layer; /* (B,L) */
} recorder;

static inline head_record *record_of(const recorder *r, int64_t b, int64_t l, int64_t h)
{
	return &r->head[(b * r->spec.L + l) * r->spec.H + h];
}

static inline sx_status record_tile(void *self, const sx_tile *t)
{
	recorder *r = self;
	head_record *x = record_of(r, t->head->seq, t->head->layer, t->head->head);
	for (int64_t i = t->row0; i < t->row0 + t->nrow; i++)
		for (int64_t j = sx_first_key(i, r->window); j <= i; j++) {
			int64_t at = (i - t->row0) * t->ld + j - t->key0;
			x->s[i * r->T + j] = (double)t->s[at];
			x->p[i * r->T + j] = (double)t->p[at];
		}
	return SX_OK;
}

static inline void copy_rows(double *to, const sx_real *from, int64_t rows, int64_t width,
			     int64_t ld)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t c = 0; c < width; c++) to[i * width + c] = (double)from[i * ld + c];
}

static inline sx_status record_head(void *self, const sx_head *h)
{
	recorder *r = self;
	head_record *x = record_of(r, h->seq, h->layer, h->head);
	int64_t D = r->spec.D, C = r->spec.C;
	copy_rows(x->q, h->q, r->T, D, h->ldq);
	copy_rows(x->k, h->k, r->T, D, h->ldk);
	copy_rows(x->h, h->h, r->T, C, C);
	copy_rows(x->wq, h->wq + h->head * D * C, D, C, C);
	copy_rows(x->wk, h->wk + h->kv_head * D * C, D, C, C);
	x->tokens = h->tokens;
	x->scale = h->scale;
	x->attention_factor = h->plan->attention_factor;
	for (int m = 0; m < h->plan->n_freq; m++) x->inv_freq[m] = h->plan->inv_freq[m];
	return SX_OK;
}

static inline sx_status record_site(void *self, const sx_site_event *e)
{
	recorder *r = self;
	for (int64_t b = 0; e->site == SX_SITE_X_IN && b < r->B; b++)
		copy_rows(r->layer[b * r->spec.L + e->layer].x, e->data + b * r->T * r->spec.C,
			  r->T, r->spec.C, r->spec.C);
	return SX_OK;
}

static inline sx_status record_layer(void *self, const sx_layer *e)
{
	recorder *r = self;
	int64_t C = r->spec.C;
	for (int64_t b = 0; b < r->B; b++) {
		layer_record *x = &r->layer[b * r->spec.L + e->layer];
		copy_rows(x->xa, e->xa + b * r->T * C, r->T, C, C);
		copy_rows(x->out, e->out + b * r->T * C, r->T, C, C);
	}
	return SX_OK;
}

static inline recorder recorder_of(const sx_spec *s, int64_t B, int64_t T)
{
	recorder r = {.B = B, .T = T, .window = s->pos.window, .spec = *s};
	int64_t n = B * s->L * s->H;
	r.head = sx_calloc((size_t)n, sizeof *r.head);
	assert_non_null(r.head);
	for (int64_t i = 0; i < n; i++) {
		head_record *x = &r.head[i];
		x->s = zeros(T * T), x->p = zeros(T * T);
		x->q = zeros(T * s->D), x->k = zeros(T * s->D), x->h = zeros(T * s->C);
		x->wq = zeros((int64_t)s->D * s->C), x->wk = zeros((int64_t)s->D * s->C);
	}
	r.layer = sx_calloc((size_t)(B * s->L), sizeof *r.layer);
	assert_non_null(r.layer);
	for (int64_t i = 0; i < B * s->L; i++) {
		layer_record *x = &r.layer[i];
		x->x = zeros(T * s->C), x->xa = zeros(T * s->C), x->out = zeros(T * s->C);
	}
	return r;
}

static inline void recorder_free(recorder *r)
{
	for (int64_t i = 0; i < r->B * r->spec.L * r->spec.H; i++) {
		head_record *x = &r->head[i];
		double *const all[] = {x->s, x->p, x->q, x->k, x->h, x->wq, x->wk};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
	for (int64_t i = 0; i < r->B * r->spec.L; i++) {
		free(r->layer[i].x);
		free(r->layer[i].xa);
		free(r->layer[i].out);
	}
	free(r->head);
	free(r->layer);
}

#endif

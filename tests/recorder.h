/* A probe that keeps everything: scores and probabilities of every head as T x T arrays in double,
 * and what they were made of, to compare observers with plain sums. */
#ifndef SX_TESTS_RECORDER_H
#define SX_TESTS_RECORDER_H

#include "tests/small_model.h"

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

typedef struct {
	int64_t B, T, window;
	sx_spec spec;
	head_record *head; /* (B,L,H) */
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
	return r;
}

static inline void recorder_free(recorder *r)
{
	for (int64_t i = 0; i < r->B * r->spec.L * r->spec.H; i++) {
		head_record *x = &r->head[i];
		double *const all[] = {x->s, x->p, x->q, x->k, x->h, x->wq, x->wk};
		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) free(all[k]);
	}
	free(r->head);
}

#endif

#include "engine/model/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 64 };

/* A token and its weight, e^((logit - largest logit) / temperature). */
typedef struct {
	double w;
	int32_t id;
} choice;

static int by_weight(const void *a, const void *b)
{
	const choice *x = a, *y = b;
	if (x->w != y->w) return x->w < y->w ? 1 : -1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int32_t most_likely(const sx_real *logits, int V)
{
	int32_t best = 0;
	for (int32_t v = 1; v < V; v++)
		if (logits[v] > logits[best]) best = v;
	return best;
}

/* Among the first n choices, in proportion to their weights; u in [0, 1). */
static int32_t draw(const choice *c, int n, double u)
{
	double sum = 0, below = 0;
	for (int i = 0; i < n; i++) sum += c[i].w;
	for (int i = 0; i < n; i++) {
		below += c[i].w;
		if (u * sum < below) return c[i].id;
	}
	return c[n - 1].id;
}

/* Size of the smallest set of most likely tokens with probability top_p; c is sorted. */
static int nucleus(const choice *c, int n, double top_p)
{
	double sum = 0, kept = 0;
	int k = 0;
	for (int i = 0; i < n; i++) sum += c[i].w;
	while (k < n && kept < top_p * sum) kept += c[k++].w;
	return k > 0 ? k : 1;
}

static int32_t next_token(const sx_real *logits, choice *c, int V, const sx_generate_opts *o,
			  int64_t position)
{
	int32_t best = most_likely(logits, V);
	int n = V;
	if (o->temperature == 0) return best;
	for (int32_t v = 0; v < V; v++) {
		double d = (double)logits[v] - (double)logits[best];
		c[v] = (choice){.w = exp(d / o->temperature), .id = v};
	}
	if (o->top_p < 1) {
		qsort(c, (size_t)V, sizeof *c, by_weight);
		n = nucleus(c, V, o->top_p);
	}
	return draw(c, n, sx_uniform(o->seed, SX_STREAM_SAMPLE, (uint64_t)position));
}

static sx_status check(sx_ctx *ctx, const sx_generate_opts *o, int64_t n, int64_t most)
{
	if (n < 1 || n > most)
		return sx_fail(
			ctx, SX_EUSAGE,
			"%lld tokens to begin with and room for %lld: need 1 or more, and no "
			"more than there is room for",
			(long long)n, (long long)most);
	if (!(o->temperature >= 0) || !isfinite(o->temperature))
		return sx_fail(ctx, SX_EUSAGE, "temperature %g: must be 0 or a positive number",
			       o->temperature);
	if (!(o->top_p > 0 && o->top_p <= 1))
		return sx_fail(ctx, SX_EUSAGE, "top-p %g: must be above 0, and 1 at most",
			       o->top_p);
	return SX_OK;
}

static sx_status check_logits(sx_ctx *ctx, const sx_real *logits, int V, int64_t position)
{
	for (int v = 0; v < V; v++)
		if (!isfinite(logits[v]))
			return sx_fail(ctx, SX_EDATA,
				       "the model's logits for position %lld are not finite: its "
				       "weights are damaged, or its training diverged",
				       (long long)position);
	return SX_OK;
}

int64_t sx_generate_padded(int64_t n)
{
	int64_t T = SHORTEST;
	while (T < n && T <= INT64_MAX / 2) T *= 2;
	return T;
}

/* One sequence of T tokens in flight. */
typedef struct {
	sx_work *work;
	int32_t *tokens;
	int64_t T;
} flight;

static void flight_free(flight *f)
{
	sx_work_free(f->work);
	free(f->tokens);
	*f = (flight){0};
}

static sx_status flight_make(flight *f, sx_ctx *ctx, const sx_model *m, int64_t n)
{
	flight_free(f);
	f->T = sx_generate_padded(n);
	f->tokens = sx_calloc((size_t)f->T, sizeof *f->tokens);
	if (!f->tokens)
		return sx_fail(ctx, SX_ENOMEM, "no memory for %lld tokens", (long long)f->T);
	return sx_work_new(&f->work, ctx, m, 1, f->T, SX_WORK_FORWARD);
}

/* Logits (V) for position n, after the prefix ids (n). */
static sx_status predict(sx_real *logits, sx_ctx *ctx, const sx_model *m, flight *f,
			 const int32_t *ids, int64_t n)
{
	sx_status st = SX_OK;
	if (n > f->T) SX_TRY(flight_make(f, ctx, m, n));
	/* What pads comes after the prefix, where attention does not look. */
	memcpy(f->tokens, ids, (size_t)n * sizeof *ids);
	const sx_request r = {.tokens = f->tokens, .B = 1, .length = n};
	SX_TRY(sx_forward(ctx, m, f->work, &r, NULL));
	sx_logits(m, f->work, n - 1, 1, logits);
	SX_TRY(check_logits(ctx, logits, m->spec.V, n));
out:
	return st;
}

sx_status sx_generate(int32_t *ids, int64_t *n, int64_t most, sx_ctx *ctx, const sx_model *m,
		      const sx_generate_opts *o)
{
	sx_status st = check(ctx, o, *n, most);
	if (st != SX_OK) return st;
	flight f = {0};
	int64_t at = *n;
	int V = m->spec.V;
	sx_real *logits = sx_calloc((size_t)V, sizeof *logits);
	choice *choices = sx_calloc((size_t)V, sizeof *choices);
	if (!logits || !choices) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to generate");
		goto out;
	}
	for (; at < most; at++) {
		SX_TRY(predict(logits, ctx, m, &f, ids, at));
		int32_t next = next_token(logits, choices, V, o, at);
		if (next == o->stop[0] || next == o->stop[1]) break;
		ids[at] = next;
	}
	*n = at;
out:
	flight_free(&f);
	free(logits);
	free(choices);
	return st;
}

#include "analysis/ac_last.h"

#include <math.h>
#include <stdlib.h>

/* Whether a sequence is used, (S); returns how many are. */
static sx_status choose_sequences(bool *use, int64_t *used, sx_run_file *f, int64_t S)
{
	enum { TEXT = 0 }; /* word of the schema's kinds */
	double *kind = NULL;
	int64_t n = 0, texts = 0;
	if (sx_run_has(f, SX_RUN_STATS_SEQUENCE_KIND)) {
		sx_status st = sx_run_read_all(f, SX_RUN_STATS_SEQUENCE_KIND, &kind, &n);
		if (st != SX_OK) return st;
	}
	for (int64_t s = 0; n == S && s < S; s++) texts += (int)kind[s] == TEXT;
	for (int64_t s = 0; s < S; s++) use[s] = texts == 0 || (int)kind[s] == TEXT;
	*used = texts ? texts : S;
	free(kind);
	return SX_OK;
}

static int by_size(const void *a, const void *b)
{
	double x = fabs(((const sx_ac_head *)a)->value), y = fabs(((const sx_ac_head *)b)->value);
	if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
	return (x < y) - (x > y);
}

/* Of each head the family with the largest mean; value is (S,L,H,C). */
static void conclude(sx_ac_last *a, const double *value, const bool *use, const int64_t *dims)
{
	int64_t S = dims[1], H = dims[3], C = dims[4];
	for (int64_t h = 0; h < a->n; h++) {
		sx_ac_head *head = &a->head[h];
		*head = (sx_ac_head){(int)(h / H), (int)(h % H), 0, (double)NAN};
		for (int64_t c = 0; c < C; c++) {
			double sum = 0;
			for (int64_t s = 0; s < S; s++)
				if (use[s]) sum += value[(s * a->n + h) * C + c];
			sum /= (double)a->sequences;
			if (isnan(head->value) || fabs(sum) > fabs(head->value)) {
				head->value = sum;
				head->family = (int)c;
			}
		}
	}
	qsort(a->head, (size_t)a->n, sizeof *a->head, by_size);
}

sx_status sx_ac_last_read(sx_ac_last *out, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	sx_ac_last a = {0};
	int64_t dims[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {0}, one = 1, families = 0;
	int ndim = 0;
	double *value = NULL;
	bool *use = NULL;
	if (!sx_run_has(f, SX_RUN_AC_VALUE))
		return sx_fail(ctx, SX_ENOINPUT, "%s has no /ac", sx_run_file_path(f));
	SX_TRY(sx_run_shape(f, SX_RUN_AC_VALUE, dims, &ndim));
	if (dims[0] == 0) {
		st = sx_fail(ctx, SX_ENOINPUT, "%s has no record of A_c yet", sx_run_file_path(f));
		goto out;
	}
	start[0] = dims[0] - 1;
	dims[0] = 1;
	a.n = dims[2] * dims[3];
	value = sx_calloc((size_t)(dims[1] * a.n * dims[4]), sizeof *value);
	use = sx_calloc((size_t)dims[1], sizeof *use);
	a.head = sx_calloc((size_t)a.n, sizeof *a.head);
	if (!value || !use || !a.head) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for A_c");
		goto out;
	}
	SX_TRY(sx_run_read(f, SX_RUN_AC_STEP, start, &one, &a.step));
	SX_TRY(sx_run_read(f, SX_RUN_AC_VALUE, start, dims, value));
	SX_TRY(sx_run_strings(f, SX_RUN_AC_C, &a.family, &families));
	if (families != dims[4]) {
		st = sx_fail(ctx, SX_EDATA, "%s: /ac/value has %lld families and /ac/c %lld names",
			     sx_run_file_path(f), (long long)dims[4], (long long)families);
		goto out;
	}
	SX_TRY(choose_sequences(use, &a.sequences, f, dims[1]));
	conclude(&a, value, use, dims);
	*out = a;
	a = (sx_ac_last){0};
out:
	sx_ac_last_free(&a);
	free(value);
	free(use);
	return st;
}

void sx_ac_last_free(sx_ac_last *a)
{
	if (!a) return;
	free(a->head);
	free(a->family);
	*a = (sx_ac_last){0};
}

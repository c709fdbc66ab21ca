#include "analysis/course.h"
#include "analysis/last.h"

#include <math.h>
#include <stdlib.h>

/* The last record of /ac. */
typedef struct {
	int64_t S, L, H, n_c, n_wrt, c, wq;
	double *value, *value_bound, *grad, *grad_bound, *spread;
} record;

static void record_free(record *r)
{
	free(r->value);
	free(r->value_bound);
	free(r->grad);
	free(r->grad_bound);
	free(r->spread);
}

static sx_status read_record(record *r, sx_ctx *ctx, sx_run_file *f, const char *family)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim = 0;
	if (!sx_run_has(f, SX_RUN_AC_GRAD_BOUND) || !sx_run_has(f, SX_RUN_AC_PREFIX_SPREAD))
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s: has no bounds of A_c; make it with sextant bounds -o",
			       sx_run_file_path(f)));
	SX_TRY(sx_last_word(&r->c, &r->n_c, ctx, f, SX_RUN_AC_C, family));
	SX_TRY(sx_last_word(&r->wq, &r->n_wrt, ctx, f, SX_RUN_AC_WRT, "wq"));
	SX_TRY(sx_run_shape(f, SX_RUN_AC_GRAD_BOUND, dims, &ndim));
	r->S = dims[1], r->L = dims[2], r->H = dims[3];
	SX_TRY(sx_last_read(&r->value, ctx, f, SX_RUN_AC_VALUE));
	SX_TRY(sx_last_read(&r->value_bound, ctx, f, SX_RUN_AC_VALUE_BOUND));
	SX_TRY(sx_last_read(&r->grad, ctx, f, SX_RUN_AC_GRAD_NORM));
	SX_TRY(sx_last_read(&r->grad_bound, ctx, f, SX_RUN_AC_GRAD_BOUND));
	SX_TRY(sx_last_read(&r->spread, ctx, f, SX_RUN_AC_PREFIX_SPREAD));
out:
	return st;
}

/* NaN stays. */
static double larger(double a, double b)
{
	return b <= a ? a : b;
}

static void add_head(sx_course *m, const record *r, int64_t head)
{
	int64_t at = head * r->n_c + r->c, g = at * r->n_wrt + r->wq;
	double value = fabs(r->value[at]);
	m->value += value;
	m->value_bound += r->value_bound[at];
	m->value_ratio = larger(m->value_ratio, value / r->value_bound[at]);
	m->grad += r->grad[g];
	m->grad_bound += r->grad_bound[g];
	m->grad_ratio = larger(m->grad_ratio, r->grad[g] / r->grad_bound[g]);
	m->heads++;
}

static void conclude(sx_course *m, const record *r)
{
	int64_t layers = 0;
	for (int64_t s = 0; s < r->S; s++) {
		if (!(r->spread[s * r->L] > 0)) continue;
		for (int64_t l = 0; l < r->L; l++, layers++) {
			m->spread += r->spread[s * r->L + l];
			for (int64_t h = 0; h < r->H; h++)
				add_head(m, r, (s * r->L + l) * r->H + h);
		}
	}
	double n = (double)m->heads;
	m->spread /= (double)layers;
	m->value /= n, m->value_bound /= n;
	m->grad /= n, m->grad_bound /= n;
	if (!m->heads) m->value_ratio = m->grad_ratio = (double)NAN;
}

sx_status sx_course_read(sx_course *out, sx_ctx *ctx, sx_run_file *f, const char *family)
{
	sx_status st = SX_OK;
	record r = {0};
	sx_course m = {0};
	double *step = NULL, *phase = NULL;
	SX_TRY(read_record(&r, ctx, f, family));
	SX_TRY(sx_last_read(&step, ctx, f, SX_RUN_AC_STEP));
	SX_TRY(sx_last_read(&phase, ctx, f, SX_RUN_AC_PHASE));
	m.step = (int64_t)step[0], m.phase = (int64_t)phase[0];
	conclude(&m, &r);
	*out = m;
out:
	record_free(&r);
	free(step);
	free(phase);
	return st;
}

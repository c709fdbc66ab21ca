#include "analysis/first_order.h"
#include "analysis/last.h"

#include <math.h>
#include <stdlib.h>

/* Sums over the heads of a unit: the squares of what is left and of what there was. */
typedef struct {
	double left_w, w, left, left_h, y, xy, x, bound;
} sums;

static void add_head(sums *s, const sx_first_order *o, int64_t i)
{
	double y = o->change[i], w = o->change_w[i], x = o->first_w[i], h = o->first_h[i];
	s->left_w += (w - x) * (w - x);
	s->w += w * w;
	s->left += (y - x) * (y - x);
	s->left_h += (y - x - h) * (y - x - h);
	s->y += y * y;
	s->xy += x * y;
	s->x += x * x;
	s->bound += o->bound[i] * o->bound[i];
}

/* ---- statistics of the units ---- */

typedef double (*of_sums)(const sums *s);

static double share_w(const sums *s)
{
	return 1 - s->left_w / s->w;
}

static double share_whole(const sums *s)
{
	return 1 - s->left / s->y;
}

static double share_whole_h(const sums *s)
{
	return 1 - s->left_h / s->y;
}

static double cosine(const sums *s)
{
	return s->xy / sqrt(s->x * s->y);
}

static double used(const sums *s)
{
	return sqrt(s->x / s->bound);
}

typedef struct {
	const sums *unit;
	of_sums fn;
} drawn;

static double statistic(void *self, const double *count, int64_t n)
{
	const drawn *d = self;
	sums all = {0};
	for (int64_t i = 0; i < n; i++) {
		const sums *s = &d->unit[i];
		all.left_w += count[i] * s->left_w;
		all.w += count[i] * s->w;
		all.left += count[i] * s->left;
		all.left_h += count[i] * s->left_h;
		all.y += count[i] * s->y;
		all.xy += count[i] * s->xy;
		all.x += count[i] * s->x;
		all.bound += count[i] * s->bound;
	}
	double v = d->fn(&all);
	return isfinite(v) ? v : (double)NAN; /* nothing moved */
}

static sx_status find_shares(sx_first_order_shares *out, sx_ctx *ctx, const sums *unit, int64_t n,
			     uint64_t seed)
{
	sx_boot *boot = NULL;
	sx_status st = sx_boot_new(&boot, ctx, n, SX_BOOT_RESAMPLES, 0.95, seed);
	if (st != SX_OK) return st;
	out->w = sx_boot_statistic(boot, statistic, &(drawn){unit, share_w});
	out->whole = sx_boot_statistic(boot, statistic, &(drawn){unit, share_whole});
	out->whole_h = sx_boot_statistic(boot, statistic, &(drawn){unit, share_whole_h});
	out->cosine = sx_boot_statistic(boot, statistic, &(drawn){unit, cosine});
	out->used = sx_boot_statistic(boot, statistic, &(drawn){unit, used});
	sx_boot_free(boot);
	return SX_OK;
}

/* ---- one pair of checkpoints ---- */

/* What the file's record holds, (S,L,H,c) and the like. */
typedef struct {
	int64_t c, n_c, wq, wk, h, n_wrt;
	double *change, *change_w, *first, *grad, *norm;
} record;

static void record_free(record *r)
{
	free(r->change);
	free(r->change_w);
	free(r->first);
	free(r->grad);
	free(r->norm);
}

static sx_status read_record(record *r, sx_ctx *ctx, sx_run_file *f, const char *family)
{
	sx_status st = SX_OK;
	if (!sx_run_has(f, SX_RUN_AC_FIRST_ORDER) || !sx_run_has(f, SX_RUN_AC_GRAD_NORM))
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s: has no changes of A_c; make it with sextant trace --toward",
			       sx_run_file_path(f)));
	SX_TRY(sx_last_word(&r->c, &r->n_c, ctx, f, SX_RUN_AC_C, family));
	SX_TRY(sx_last_word(&r->wq, &r->n_wrt, ctx, f, SX_RUN_AC_WRT, "wq"));
	SX_TRY(sx_last_word(&r->wk, &r->n_wrt, ctx, f, SX_RUN_AC_WRT, "wk"));
	SX_TRY(sx_last_word(&r->h, &r->n_wrt, ctx, f, SX_RUN_AC_WRT, "h"));
	SX_TRY(sx_last_read(&r->change, ctx, f, SX_RUN_AC_CHANGE));
	SX_TRY(sx_last_read(&r->change_w, ctx, f, SX_RUN_AC_CHANGE_W));
	SX_TRY(sx_last_read(&r->first, ctx, f, SX_RUN_AC_FIRST_ORDER));
	SX_TRY(sx_last_read(&r->grad, ctx, f, SX_RUN_AC_GRAD_NORM));
	SX_TRY(sx_last_read(&r->norm, ctx, f, SX_RUN_AC_CHANGE_NORM));
out:
	return st;
}

/* Step, phase, and how far it is to the later weights. */
static sx_status read_place(sx_first_order *o, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	double *step = NULL, *phase = NULL;
	int64_t toward = 0;
	SX_TRY(sx_last_read(&step, ctx, f, SX_RUN_AC_STEP));
	SX_TRY(sx_last_read(&phase, ctx, f, SX_RUN_AC_PHASE));
	o->step = (int64_t)step[0], o->phase = (int64_t)phase[0], o->updates = -1;
	if (sx_run_get_int(f, "/ac", "toward_step", &toward) == SX_OK && toward >= o->step)
		o->updates = toward - o->step;
out:
	free(step);
	free(phase);
	return st;
}

/* Means over sequences; squares of the heads. */
static void fill(sx_first_order *o, const record *r, sums *unit)
{
	int64_t heads = o->layers * o->heads, S = o->sequences;
	double squares[3] = {0};
	for (int64_t i = 0; i < heads; i++) {
		for (int64_t s = 0; s < S; s++) {
			int64_t at = (s * heads + i) * r->n_c + r->c;
			const double *first = r->first + at * r->n_wrt;
			const double *grad = r->grad + at * r->n_wrt,
				     *norm = r->norm + i * r->n_wrt;
			o->change[i] += r->change[at] / (double)S;
			o->change_w[i] += r->change_w[at] / (double)S;
			o->first_w[i] += (first[r->wq] + first[r->wk]) / (double)S;
			o->first_h[i] += first[r->h] / (double)S;
			o->bound[i] +=
				(grad[r->wq] * norm[r->wq] + grad[r->wk] * norm[r->wk]) / (double)S;
		}
		double h = o->change[i] - o->change_w[i];
		squares[0] += o->change[i] * o->change[i];
		squares[1] += o->change_w[i] * o->change_w[i];
		squares[2] += h * h;
		add_head(&unit[i], o, i);
	}
	o->rms = sqrt(squares[0] / (double)heads);
	o->rms_w = sqrt(squares[1] / (double)heads);
	o->rms_h = sqrt(squares[2] / (double)heads);
}

sx_status sx_first_order_read(sx_first_order *out, sx_ctx *ctx, sx_run_file *f, const char *family,
			      uint64_t seed)
{
	sx_status st = SX_OK;
	sx_first_order o = {0};
	record r = {0};
	sums *unit = NULL;
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim = 0;
	SX_TRY(read_record(&r, ctx, f, family));
	SX_TRY(read_place(&o, ctx, f));
	SX_TRY(sx_run_shape(f, SX_RUN_AC_CHANGE, dims, &ndim));
	o.sequences = dims[1], o.layers = dims[2], o.heads = dims[3];
	size_t heads = (size_t)(o.layers * o.heads);
	double **const array[] = {&o.change, &o.change_w, &o.first_w, &o.first_h, &o.bound};
	unit = sx_calloc(heads, sizeof *unit);
	bool ok = unit != NULL;
	for (int k = 0; k < 5; k++) {
		*array[k] = sx_calloc(heads, sizeof **array[k]);
		ok = ok && *array[k];
	}
	if (!ok) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the changes of A_c"));
	fill(&o, &r, unit);
	SX_TRY(find_shares(&o.share, ctx, unit, (int64_t)heads, seed));
	*out = o;
	o = (sx_first_order){0};
out:
	free(unit);
	record_free(&r);
	sx_first_order_free(&o);
	return st;
}

void sx_first_order_free(sx_first_order *x)
{
	if (!x) return;
	free(x->change);
	free(x->change_w);
	free(x->first_w);
	free(x->first_h);
	free(x->bound);
	*x = (sx_first_order){0};
}

sx_status sx_first_order_pool(sx_first_order_shares *out, sx_ctx *ctx,
			      const sx_first_order *const *x, int n, uint64_t seed)
{
	sums *unit = sx_calloc((size_t)n, sizeof *unit);
	if (!unit) return sx_fail(ctx, SX_ENOMEM, "no memory for pairs of checkpoints");
	for (int k = 0; k < n; k++)
		for (int64_t i = 0; i < x[k]->layers * x[k]->heads; i++)
			add_head(&unit[k], x[k], i);
	sx_status st = find_shares(out, ctx, unit, n, seed);
	free(unit);
	return st;
}

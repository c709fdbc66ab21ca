#include "engine/model/weights.h"

#include "engine/op/weight.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t sx_reals_not_finite(const sx_real *x, int64_t n)
{
	enum { CHUNK = 4096 };
	for (int64_t begin = 0; begin < n; begin += CHUNK) {
		int64_t end = n - begin < CHUNK ? n : begin + CHUNK;
		int bad = 0; /* without a branch, so that it takes several at a time */
		for (int64_t i = begin; i < end; i++) bad |= !isfinite(x[i]);
		for (int64_t i = begin; bad && i < end; i++)
			if (!isfinite(x[i])) return i;
	}
	return -1;
}

/* x: the numbers of t, the first of which that is not finite is number `first`. */
static sx_status refuse(sx_ctx *ctx, const sx_tensors *file, const sx_tensor *t, const sx_real *x,
			int64_t first)
{
	int64_t bad = 0;
	for (int64_t i = first; i < t->count; i++) bad += !isfinite(x[i]);
	if (t->dtype == SX_DTYPE_F64 && sizeof *x == 4) {
		double was;
		memcpy(&was, (const char *)t->data + 8 * first, sizeof was);
		if (isfinite(was))
			return sx_fail(ctx, SX_EDATA,
				       "%s: tensor %s: element %lld is %g, which 32-bit floats do "
				       "not reach; take --precision f64 where there is one",
				       file->path, t->name, (long long)first, was);
	}
	return sx_fail(ctx, SX_EDATA,
		       "%s: tensor %s: element %lld is %s (%lld of %lld are not finite): the file "
		       "is damaged or its training diverged; copy it again, or take an earlier "
		       "checkpoint",
		       file->path, t->name, (long long)first, isnan(x[first]) ? "NaN" : "infinite",
		       (long long)bad, (long long)t->count);
}

static sx_status read_reals(sx_ctx *ctx, const sx_tensor *t, sx_real *dst)
{
#ifdef SX_F64
	return sx_tensor_read_f64(ctx, t, dst);
#else
	return sx_tensor_read_f32(ctx, t, dst);
#endif
}

sx_status sx_tensor_reals(sx_ctx *ctx, const sx_tensors *file, const sx_tensor *t, sx_real *dst)
{
	const int64_t chunk = 8192; /* is looked at while it is near */
	int64_t bad = -1;
	if (t->dtype != SX_DTYPE_F64 && t->dtype != SX_DTYPE_F32 && t->dtype != SX_DTYPE_F16 &&
	    t->dtype != SX_DTYPE_BF16)
		return sx_fail(ctx, SX_EDATA,
			       "%s: tensor %s is of type %s: weights must be F64, F32, F16 or BF16",
			       file->path, t->name, sx_dtype_name(t->dtype));
	for (int64_t at = 0; at < t->count; at += chunk) {
		sx_tensor part = *t;
		part.data = (const char *)t->data + (size_t)at * sx_dtype_size(t->dtype);
		part.count = t->count - at < chunk ? t->count - at : chunk;
		sx_status st = read_reals(ctx, &part, dst + at);
		if (st != SX_OK) return st;
		if (bad >= 0 || file->unchecked) continue;
		bad = sx_reals_not_finite(dst + at, part.count);
		if (bad >= 0) bad += at;
	}
	return bad < 0 ? SX_OK : refuse(ctx, file, t, dst, bad);
}

/* ---- where a parameter lies in the file ---- */

/* (rows, width) are ours: a vector's elements are rows of width 1. */
typedef struct {
	const sx_tensor_place *place;
	int64_t rows, width, D;
	bool vector;
	bool paired; /* a head's rows in the file: channels 2m, 2m+1 where we have m, m + D/2 */
} stowed;

static bool is_rotated(const char *field)
{
	static const char *const rotated[] = {"wq", "wk", "bq", "bk", "q_norm", "k_norm"};
	for (size_t i = 0; i < sizeof rotated / sizeof rotated[0]; i++)
		if (strcmp(field, rotated[i]) == 0) return true;
	return false;
}

static sx_status stow(stowed *out, sx_ctx *ctx, const sx_model_family *f, const sx_param_info *p,
		      const sx_spec *s, bool interleaved)
{
	/* by what it is: a matrix may have one row */
	bool vector = p->start == 'G' || p->start == 'Z';
	*out = (stowed){.place = sx_tensor_place_find(f, p->field),
			.rows = vector ? p->cols : p->rows,
			.width = vector ? 1 : p->cols,
			.D = s->D,
			.vector = vector,
			.paired = interleaved && is_rotated(p->field)};
	if (out->place) return SX_OK;
	return sx_fail(ctx, SX_EINTERNAL, "models of type %s have no place for %s", f->model_type,
		       p->field);
}

static bool as_it_is(const stowed *a)
{
	return a->place->form == SX_PLACE_WHOLE && !a->paired;
}

/* Of the tensor; no columns = a vector. */
static void shape_in_file(const stowed *a, int64_t *rows, int64_t *cols)
{
	bool turned = a->place->form == SX_PLACE_TRANSPOSED && !a->vector;
	*rows = turned ? a->width : a->rows;
	if (a->place->form == SX_PLACE_HEADS) *rows *= a->place->parts;
	*cols = a->vector ? 0 : turned ? a->rows : a->width;
}

/* Of our element (r, c) in the tensor. */
static int64_t index_in_file(const stowed *a, int64_t r, int64_t c)
{
	int64_t head = r / a->D, m = r % a->D, half = a->D / 2;
	if (a->paired) m = m < half ? 2 * m : 2 * (m - half) + 1;
	if (a->place->form == SX_PLACE_HEADS) head = head * a->place->parts + a->place->part;
	int64_t row = head * a->D + m;
	return a->place->form == SX_PLACE_TRANSPOSED ? c * a->rows + row : row * a->width + c;
}

/* ---- reading ---- */

static const sx_model_family *names_of(const sx_tensors *t)
{
	return t->family ? t->family : &sx_model_family_llama;
}

static sx_status read_one(sx_ctx *ctx, const sx_tensors *t, const stowed *a, int64_t layer,
			  sx_real *dst)
{
	const sx_tensor *found = NULL;
	char name[SX_TENSOR_NAME];
	int64_t rows, cols;
	sx_status st = SX_OK;
	sx_real *file = NULL;
	sx_tensor_place_name(name, a->place, layer);
	shape_in_file(a, &rows, &cols);
	SX_TRY(sx_tensors_need(&found, ctx, t, name, rows, cols));
	if (as_it_is(a)) return sx_tensor_reals(ctx, t, found, dst);
	file = sx_calloc((size_t)found->count, sizeof *file);
	if (!file) return sx_fail(ctx, SX_ENOMEM, "no memory to reorder a tensor");
	SX_TRY(sx_tensor_reals(ctx, t, found, file));
	for (int64_t r = 0; r < a->rows; r++)
		for (int64_t c = 0; c < a->width; c++)
			dst[r * a->width + c] = file[index_in_file(a, r, c)];
out:
	free(file);
	return st;
}

sx_status sx_model_fill(sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec, sx_real *base)
{
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	for (int i = 0; i < n; i++) {
		const sx_param_info *p = &info[i];
		stowed a;
		sx_status st = stow(&a, ctx, names_of(t), p, spec, spec->interleaved);
		for (int64_t c = 0; c < p->copies && st == SX_OK; c++)
			st = read_one(ctx, t, &a, c, base + p->offset + c * p->rows * p->cols);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* Whole parts of a name, from the last on. */
static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);
	return n >= m && strcmp(name + n - m, end) == 0 &&
	       (n == m || *end == '.' || name[n - m - 1] == '.');
}

/* No weight of ours, but nothing is lost without it. */
static bool passed_over(const sx_model_family *f, const char *name, bool tied)
{
	const sx_tensor_place *head = sx_tensor_place_find(f, "head");
	if (tied && head && strcmp(name, head->tensor) == 0) return true;
	for (int i = 0; f->buffers[i]; i++)
		if (ends_in(name, f->buffers[i])) return true;
	return false;
}

/* Names the file has and the model has not: it would run, and be wrong. */
static sx_status check_nothing_left(sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec)
{
	const sx_model_family *f = names_of(t);
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	for (int64_t k = 0; k < t->n; k++) {
		const char *name = t->list[k].name;
		char mine[SX_TENSOR_NAME];
		bool known = passed_over(f, name, spec->tied);
		for (int i = 0; i < n && !known; i++) {
			const sx_tensor_place *p = sx_tensor_place_find(f, info[i].field);
			for (int64_t c = 0; p && c < info[i].copies && !known; c++) {
				sx_tensor_place_name(mine, p, c);
				known = strcmp(mine, name) == 0;
			}
		}
		if (!known)
			return sx_fail(
				ctx, SX_EDATA,
				"%s: tensor %s has no place in a model of this configuration: "
				"running the model without it would be wrong",
				t->path, name);
	}
	return SX_OK;
}

sx_status sx_model_load(sx_model **out, sx_ctx *ctx, const sx_tensors *t, const sx_spec *spec)
{
	sx_status st = SX_OK;
	sx_model *m = NULL;
	SX_TRY(check_nothing_left(ctx, t, spec));
	SX_TRY(sx_model_new(&m, ctx, spec));
	SX_TRY(sx_model_fill(ctx, t, spec, m->p.base));
	*out = m;
	m = NULL;
out:
	sx_model_free(m);
	return st;
}

/* ---- writing ---- */

/* The tensors of a file in the making. */
typedef struct {
	sx_tensor *list;
	char (*names)[SX_TENSOR_NAME];
	sx_real **own; /* NULL where the numbers are written from where they are */
	int64_t n;
} outgoing;

static void outgoing_free(outgoing *o)
{
	for (int64_t k = 0; o->own && k < o->n; k++) free(o->own[k]);
	free(o->list);
	free(o->names);
	free(o->own);
}

/* One copy of a parameter; several may go into one tensor. False when memory is out. */
static bool add_one(outgoing *o, const stowed *a, int64_t layer, const sx_real *src)
{
	int64_t k = 0, rows, cols;
	char name[SX_TENSOR_NAME];
	sx_tensor_place_name(name, a->place, layer);
	if (a->place->form == SX_PLACE_HEADS)
		while (k < o->n && strcmp(o->names[k], name) != 0) k++;
	else
		k = o->n;
	if (k == o->n) {
		shape_in_file(a, &rows, &cols);
		memcpy(o->names[k], name, sizeof name);
		o->list[k] = (sx_tensor){.name = o->names[k],
					 .dtype = SX_DTYPE_REAL,
					 .rank = a->vector ? 1 : 2,
					 .shape = {rows, cols},
					 .data = src};
		o->n++;
		if (as_it_is(a)) return true;
		o->own[k] = sx_calloc((size_t)(rows * (cols ? cols : 1)), sizeof **o->own);
		o->list[k].data = o->own[k];
	}
	if (!o->own[k]) return false;
	for (int64_t r = 0; r < a->rows; r++)
		for (int64_t c = 0; c < a->width; c++)
			o->own[k][index_in_file(a, r, c)] = src[r * a->width + c];
	return true;
}

sx_status sx_model_save(sx_ctx *ctx, const char *path, const sx_model_family *family,
			const sx_spec *spec, const sx_real *base)
{
	const sx_model_family *f = family ? family : sx_model_family_of(spec);
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	int64_t total = 0;
	for (int i = 0; i < n; i++) total += info[i].copies;
	outgoing o = {.list = sx_calloc((size_t)total, sizeof *o.list),
		      .names = sx_calloc((size_t)total, sizeof *o.names),
		      .own = sx_calloc((size_t)total, sizeof *o.own)};
	bool room = o.list && o.names && o.own;
	sx_status st = SX_OK;
	for (int i = 0; i < n && room; i++) {
		const sx_param_info *p = &info[i];
		stowed a;
		SX_TRY(stow(&a, ctx, f, p, spec, false));
		for (int64_t c = 0; c < p->copies && room; c++)
			room = add_one(&o, &a, c, base + p->offset + c * p->rows * p->cols);
	}
	if (!room) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
		goto out;
	}
	SX_TRY(sx_safetensors_write(ctx, path, o.list, o.n, NULL, 0));
out:
	outgoing_free(&o);
	return st;
}

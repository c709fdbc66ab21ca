/* Is a run file whole? Every byte is read, which tests the checksums where there are any, and what
 * belongs together is compared. */
#include "probes/runfile/priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	sx_run_file *f;
	sx_run_file silent; /* the same, to ask of a dataset whether it fits */
	sx_run_whole *whole;
	void (*fault)(void *self, const char *path, const char *what);
	void *self;
	void *buf;
	size_t size;
	bool seen[SX_RUN_COUNT]; /* datasets of the schema */
} verifier;

static void fault(verifier *v, const char *path, const char *what)
{
	v->whole->faults++;
	v->fault(v->self, path, what);
}

static void count_missing(verifier *v, const float *f32, const double *f64, size_t n)
{
	for (size_t i = 0; i < n; i++) v->whole->missing += f32 ? isnan(f32[i]) : isnan(f64[i]);
}

/* A block as it is stored. */
static bool read_block(verifier *v, hid_t set, hid_t type, int ndim, const hsize_t *start,
		       const hsize_t *count)
{
	hid_t space = H5Dget_space(set), block = H5Screate_simple(ndim, count, NULL);
	bool ok = space >= 0 && block >= 0;
	if (ok && ndim > 0)
		ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
	if (ok) ok = H5Dread(set, type, block, space, H5P_DEFAULT, v->buf) >= 0;
	if (ok && H5Tis_variable_str(type) > 0) H5Dvlen_reclaim(type, block, H5P_DEFAULT, v->buf);
	if (space >= 0) H5Sclose(space);
	if (block >= 0) H5Sclose(block);
	return ok;
}

/* The next block along `axis`, `step` rows of it, one of everything before; false after the last. */
static bool next_block(hsize_t *start, const hsize_t *dims, int axis, hsize_t step)
{
	start[axis] += step;
	for (int i = axis; start[i] >= dims[i]; i--) {
		if (i == 0) return false;
		start[i] = 0;
		start[i - 1]++;
	}
	return true;
}

/* How a dataset is cut into blocks: of the first axis whose rows are small enough `step` rows, one of
 * every axis before. */
typedef struct {
	int axis;
	hsize_t rows, step, count[SX_RUN_MAX_DIMS];
	size_t per_row, element;
} cutting;

static void cut(cutting *c, size_t element, int ndim, const hsize_t *dims)
{
	enum { AT_ONCE = 4 << 20 };
	*c = (cutting){.per_row = element, .element = element};
	for (int i = 1; i < ndim; i++) c->per_row *= (size_t)dims[i];
	while (c->axis < ndim - 1 && c->per_row > AT_ONCE) c->per_row /= (size_t)dims[++c->axis];
	c->rows = ndim > 0 ? dims[c->axis] : 1;
	c->step = AT_ONCE / c->per_row;
	if (c->step < 1) c->step = 1;
	if (c->step > c->rows) c->step = c->rows;
	for (int i = 0; i < ndim; i++) c->count[i] = i < c->axis ? 1 : dims[i];
}

/* What was read of a dataset that the schema knows, in the machine's own types. */
static bool check_block(verifier *v, sx_run_id id, size_t n)
{
	sx_run_mem mem;
	if (id == SX_RUN_COUNT) return true;
	switch (sx_run_rows[id].type) {
	case SX_DISK_I32:
		mem = SX_MEM_I32;
		break;
	case SX_DISK_I64:
		mem = SX_MEM_I64;
		break;
	case SX_DISK_FLAGS:
		mem = SX_MEM_U8;
		break;
	default:
		return true;
	}
	return sx_run_check_values(&v->silent, id, v->buf, mem, (int64_t)n) == SX_OK;
}

/* Reads a dataset some rows at a time; id: the schema's row of it. */
static sx_status read_all(verifier *v, const char *path, sx_run_id id, hid_t set, hid_t type,
			  int ndim, const hsize_t *dims)
{
	cutting c;
	hsize_t start[SX_RUN_MAX_DIMS] = {0};
	for (int i = 0; i < ndim; i++)
		if (dims[i] == 0) return SX_OK;
	cut(&c, H5Tget_size(type), ndim, dims);
	if (c.per_row * (size_t)c.step > v->size) {
		free(v->buf);
		v->size = c.per_row * (size_t)c.step;
		v->buf = sx_calloc(v->size, 1);
		if (!v->buf) {
			v->size = 0;
			return sx_fail(v->f->ctx, SX_ENOMEM, "no memory to read %s of %s", path,
				       v->f->path);
		}
	}
	bool f32 = H5Tequal(type, H5T_IEEE_F32LE) > 0, f64 = H5Tequal(type, H5T_IEEE_F64LE) > 0;
	do {
		hsize_t n = c.rows - start[c.axis];
		if (n > c.step) n = c.step;
		size_t bytes = c.per_row * (size_t)n;
		if (ndim > 0) c.count[c.axis] = n;
		if (!read_block(v, set, type, ndim, start, c.count)) {
			fault(v, path, "cannot be read: it is damaged");
			return SX_OK;
		}
		v->whole->bytes += (int64_t)bytes;
		if (!check_block(v, id, bytes / c.element)) {
			fault(v, path, v->silent.why);
			return SX_OK;
		}
		if (f32 || f64)
			count_missing(v, f32 ? v->buf : NULL, f64 ? v->buf : NULL,
				      bytes / c.element);
	} while (ndim > 0 && next_block(start, dims, c.axis, c.step));
	return SX_OK;
}

/* Axes: there, and as long as the dataset. Along a growing axis the dataset may be longer: those are
 * records that were being written, and nobody reads them; shorter, and records are lost. */
static void compare_axes(verifier *v, const sx_run_item *item, bool lengths)
{
	for (int i = 0; i < item->ndim; i++) {
		int64_t n = sx_run_axis_length(v->f, item->path, item->axes[i]);
		bool grows = i == 0 && sx_run_name_grows(item->axes[i]);
		if (n < 0)
			fault(v, item->path, "an axis has no dimension scale of its name");
		else if (!lengths)
			continue;
		else if (grows ? item->torn < 0 : item->dims[i] != n)
			fault(v, item->path, "is not as long as its axis");
	}
	v->whole->torn += item->torn > 0;
	if (!item->units[0]) fault(v, item->path, "has no units");
	if (!item->long_name[0]) fault(v, item->path, "has no long_name");
}

/* Whether a dataset is one of numbers or texts and as large as what is stored of it allows, so that it
 * can be read whatever its file says. */
static bool is_readable(hid_t set, hid_t type, const sx_run_item *item)
{
	enum { MOST_TEXT = 1 << 20, BELIEVED = 1 << 28 };
	H5T_class_t class = H5Tget_class(type);
	size_t size = H5Tget_size(type);
	bool plain = class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_STRING;
	int64_t bytes = sx_run_bytes((int64_t)size, item->dims, item->ndim);
	hid_t space = H5Dget_space(set);
	bool all = space >= 0 && H5Sget_simple_extent_ndims(space) == item->ndim &&
		   H5Sget_simple_extent_type(space) != H5S_NULL;
	if (space >= 0) H5Sclose(space);
	return plain && all && size <= MOST_TEXT && bytes >= 0 &&
	       sx_run_is_stored(set, bytes, BELIEVED, item->dims, item->ndim);
}

static void count_sum(verifier *v, hid_t made)
{
	unsigned flags;
	size_t n = 0;
	if (H5Pall_filters_avail(made) > 0 && H5Pget_nfilters(made) > 0 &&
	    H5Pget_filter_by_id2(made, H5Z_FILTER_FLETCHER32, &flags, &n, NULL, 0, NULL, NULL) >= 0)
		v->whole->summed++;
}

/* An opened dataset of this shape. Of those that the schema does not know (id SX_RUN_COUNT), which are
 * others' business, what is not plain numbers in this file is passed over. */
static sx_status verify_open(verifier *v, const sx_run_item *item, sx_run_id id, hid_t set,
			     const int64_t *shape)
{
	hsize_t dims[SX_RUN_MAX_DIMS];
	sx_status st = SX_OK;
	hid_t type = H5Dget_type(set), made = H5Dget_create_plist(set);
	for (int i = 0; i < item->ndim; i++) dims[i] = (hsize_t)shape[i];
	if (type < 0 || made < 0)
		fault(v, item->path, "does not open");
	else if (id != SX_RUN_COUNT ||
		 (is_readable(set, type, item) && !sx_run_bad_storage(made, type)))
		st = read_all(v, item->path, id, set, type, item->ndim, dims);
	else if (v->f->tables)
		fault(v, item->path, "is not what a column of a table is");
	if (made >= 0) count_sum(v, made);
	if (made >= 0) H5Pclose(made);
	if (type >= 0) H5Tclose(type);
	return st;
}

static sx_run_id known(const sx_run_file *f, const char *path)
{
	for (int i = 0; i < SX_RUN_COUNT && !f->tables; i++)
		if (strcmp(sx_run_rows[i].path, path) == 0) return (sx_run_id)i;
	return SX_RUN_COUNT;
}

static sx_status verify_set(void *self, const sx_run_item *item)
{
	verifier *v = self;
	sx_run_set s = {.set = -1};
	sx_status st = SX_OK;
	sx_run_id id = known(v->f, item->path);
	v->whole->datasets++;
	if (id != SX_RUN_COUNT) v->seen[id] = true;
	v->silent.why[0] = '\0';
	compare_axes(v, item, id == SX_RUN_COUNT);
	if (id != SX_RUN_COUNT)
		st = sx_run_open_set(&v->silent, id, &s);
	else
		s.set = H5Dopen2(v->f->file, item->path, H5P_DEFAULT);
	if (st == SX_ENOMEM)
		return sx_fail(v->f->ctx, st, "no memory to read %s of %s", item->path, v->f->path);
	if (st != SX_OK || s.set < 0) {
		fault(v, item->path, v->silent.why[0] ? v->silent.why : "does not open");
		return SX_OK;
	}
	st = verify_open(v, item, id, s.set, id != SX_RUN_COUNT ? s.dims : item->dims);
	H5Dclose(s.set);
	return st;
}

/* What stands in the place of a dataset, but is none: a group, a link. */
static void verify_rest(verifier *v)
{
	for (int i = 0; i < SX_RUN_COUNT && !v->f->tables; i++) {
		sx_run_id id = (sx_run_id)i;
		sx_run_set s;
		if (v->seen[i] || !sx_run_has(v->f, id)) continue;
		v->silent.why[0] = '\0';
		if (sx_run_open_set(&v->silent, id, &s) == SX_OK)
			H5Dclose(s.set); /* a second name of one that was seen */
		else
			fault(v, sx_run_rows[i].path,
			      v->silent.why[0] ? v->silent.why : "is no dataset");
	}
}

sx_status sx_run_verify(sx_run_file *f, sx_run_whole *out,
			void (*on_fault)(void *self, const char *path, const char *what),
			void *self)
{
	verifier v = {.f = f, .whole = out, .fault = on_fault, .self = self};
	v.silent = *f;
	v.silent.ctx = NULL;
	*out = (sx_run_whole){0};
	sx_status st = sx_run_walk(f, verify_set, &v);
	if (st == SX_OK) verify_rest(&v);
	free(v.buf);
	return st;
}

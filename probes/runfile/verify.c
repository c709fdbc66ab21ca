/* Is a run file whole? Every byte is read, which tests the checksums where there are any, and what
 * belongs together is compared. */
#include "probes/runfile/priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	sx_run_file *f;
	sx_run_whole *whole;
	void (*fault)(void *self, const char *path, const char *what);
	void *self;
	void *buf;
	size_t size;
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

/* Reads a dataset some rows at a time: of the first axis whose rows are small enough. */
static sx_status read_all(verifier *v, const char *path, hid_t set, hid_t type, int ndim,
			  const hsize_t *dims)
{
	enum { AT_ONCE = 4 << 20 };
	hsize_t start[SX_RUN_MAX_DIMS] = {0}, count[SX_RUN_MAX_DIMS];
	size_t element = H5Tget_size(type), per_row = element;
	int axis = 0;
	for (int i = 0; i < ndim; i++)
		if (dims[i] == 0) return SX_OK;
	for (int i = 1; i < ndim; i++) per_row *= (size_t)dims[i];
	while (axis < ndim - 1 && per_row > AT_ONCE) per_row /= (size_t)dims[++axis];
	hsize_t rows = ndim > 0 ? dims[axis] : 1, step = AT_ONCE / per_row;
	if (step < 1) step = 1;
	if (step > rows) step = rows;
	if (per_row * (size_t)step > v->size) {
		free(v->buf);
		v->size = per_row * (size_t)step;
		v->buf = sx_calloc(v->size, 1);
		if (!v->buf) {
			v->size = 0;
			return sx_fail(v->f->ctx, SX_ENOMEM, "no memory to read %s of %s", path,
				       v->f->path);
		}
	}
	bool f32 = H5Tequal(type, H5T_IEEE_F32LE) > 0, f64 = H5Tequal(type, H5T_IEEE_F64LE) > 0;
	for (int i = 0; i < ndim; i++) count[i] = i < axis ? 1 : dims[i];
	do {
		hsize_t n = rows - start[axis] < step ? rows - start[axis] : step;
		if (ndim > 0) count[axis] = n;
		if (!read_block(v, set, type, ndim, start, count)) {
			fault(v, path, "cannot be read: it is damaged");
			return SX_OK;
		}
		v->whole->bytes += (int64_t)(per_row * (size_t)n);
		if (f32 || f64)
			count_missing(v, f32 ? v->buf : NULL, f64 ? v->buf : NULL,
				      per_row * (size_t)n / element);
	} while (ndim > 0 && next_block(start, dims, axis, step));
	return SX_OK;
}

/* Axes: there, and as long as the dataset. Along a growing axis the dataset may be longer: those are
 * records that were being written, and nobody reads them; shorter, and records are lost. */
static void compare_axes(verifier *v, const sx_run_item *item)
{
	for (int i = 0; i < item->ndim; i++) {
		int64_t n = sx_run_axis_length(v->f, item->path, item->axes[i]);
		bool grows = i == 0 && sx_run_name_grows(item->axes[i]);
		if (n < 0)
			fault(v, item->path, "an axis has no dimension scale of its name");
		else if (grows ? item->torn < 0 : item->dims[i] != n)
			fault(v, item->path, "is not as long as its axis");
	}
	v->whole->torn += item->torn > 0;
	if (!item->units[0]) fault(v, item->path, "has no units");
	if (!item->long_name[0]) fault(v, item->path, "has no long_name");
}

static sx_status verify_set(void *self, const sx_run_item *item)
{
	verifier *v = self;
	hsize_t dims[SX_RUN_MAX_DIMS];
	sx_status st = SX_OK;
	v->whole->datasets++;
	compare_axes(v, item);
	for (int i = 0; i < item->ndim; i++) dims[i] = (hsize_t)item->dims[i];
	hid_t set = H5Dopen2(v->f->file, item->path, H5P_DEFAULT);
	hid_t type = set < 0 ? -1 : H5Dget_type(set);
	hid_t made = set < 0 ? -1 : H5Dget_create_plist(set);
	if (type < 0 || made < 0)
		fault(v, item->path, "does not open");
	else
		st = read_all(v, item->path, set, type, item->ndim, dims);
	if (made >= 0 && H5Pall_filters_avail(made) > 0 && H5Pget_nfilters(made) > 0) {
		unsigned flags;
		size_t n = 0;
		if (H5Pget_filter_by_id2(made, H5Z_FILTER_FLETCHER32, &flags, &n, NULL, 0, NULL,
					 NULL) >= 0)
			v->whole->summed++;
	}
	if (made >= 0) H5Pclose(made);
	if (type >= 0) H5Tclose(type);
	if (set >= 0) H5Dclose(set);
	return st;
}

sx_status sx_run_verify(sx_run_file *f, sx_run_whole *out,
			void (*on_fault)(void *self, const char *path, const char *what),
			void *self)
{
	verifier v = {.f = f, .whole = out, .fault = on_fault, .self = self};
	*out = (sx_run_whole){0};
	sx_status st = sx_run_walk(f, verify_set, &v);
	free(v.buf);
	return st;
}

/* Does what a file holds fit the schema? Every read of a dataset begins here, before anybody sees a
 * number or asks for memory: a file may be damaged, be another program's, or lie. */
#include "probes/runfile/priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST_CHUNK = 64 << 20, /* bytes: HDF5 takes a chunk whole; ours have a MiB             */
	MOST_CHUNKS = 1 << 28, /* HDF5 goes through them all                                   */
	MOST_DEFLATED = 1100,  /* deflate makes 1032 bytes of one at best                      */
	BELIEVED = 256 << 20,  /* bytes of missing values, which may not have been written     */
};

sx_status sx_run_misfit(sx_run_file *f, sx_run_id id, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof f->why, fmt, ap);
	va_end(ap);
	return sx_fail(f->ctx, SX_EDATA, "%s of %s %s", sx_run_rows[id].path, f->path, f->why);
}

/* ---- where it is ---- */

bool sx_run_is_own(const sx_run_file *f, const char *path)
{
	H5L_info_t info;
	bool own = path[0] == '/';
	for (size_t n = 1; own && path[n]; n++) {
		n += strcspn(path + n, "/");
		char *part = sx_format("%.*s", (int)n, path);
		own = part && H5Lget_info(f->file, part, &info, H5P_DEFAULT) >= 0 &&
		      info.type == H5L_TYPE_HARD;
		free(part);
		if (!path[n]) break;
	}
	return own;
}

bool sx_run_has(const sx_run_file *f, sx_run_id id)
{
	char group[32];
	if (id == SX_RUN_COUNT) return false;
	sx_run_group(id, group);
	/* Where the file cannot tell, the one who reads it shall hear so. */
	htri_t there = H5Lexists(f->file, group, H5P_DEFAULT);
	if (there > 0 && sx_run_is_own(f, group))
		there = H5Lexists(f->file, sx_run_rows[id].path, H5P_DEFAULT);
	return there != 0;
}

/* ---- how it is stored ---- */

const char *sx_run_bad_storage(hid_t made, hid_t type)
{
	hsize_t chunk[SX_RUN_MAX_DIMS];
	size_t bytes = H5Tget_size(type);
	H5D_layout_t layout = H5Pget_layout(made);
	int n = H5Pget_nfilters(made);
	if (layout == H5D_VIRTUAL || H5Pget_external_count(made) != 0)
		return "has its numbers in another file";
	if (layout == H5D_CHUNKED) {
		int ndim = H5Pget_chunk(made, SX_RUN_MAX_DIMS, chunk);
		for (int i = 0; i < ndim && i < SX_RUN_MAX_DIMS; i++)
			if (chunk[i] > MOST_CHUNK || (bytes *= (size_t)chunk[i]) > MOST_CHUNK)
				return "is stored in chunks too large to be a run file's";
	}
	for (unsigned i = 0; (int)i < n; i++) {
		size_t params = 0;
		unsigned flags;
		H5Z_filter_t filter = H5Pget_filter2(made, i, &flags, &params, NULL, 0, NULL, NULL);
		if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
		    filter != H5Z_FILTER_FLETCHER32)
			return "is stored by a filter that run files do not use";
	}
	return n < 0 || layout < 0 ? "does not tell how it is stored" : NULL;
}

/* ---- type, extent ---- */

static bool is_type(hid_t type, sx_run_type want)
{
	hid_t disk = sx_h5_disk_type(want, 0);
	bool same = disk >= 0 && H5Tequal(type, disk) > 0;
	if (disk >= 0) H5Tclose(disk);
	return same;
}

static bool find_type(sx_run_set *s, hid_t type, sx_run_type want)
{
	s->type = want;
	s->width = 0;
	if (want == SX_DISK_STR) {
		bool vary = H5Tis_variable_str(type) > 0;
		if (H5Tget_class(type) != H5T_STRING) return false;
		s->width = vary ? 0 : H5Tget_size(type);
		return true;
	}
	if (want == SX_DISK_F16 && is_type(type, SX_DISK_F32)) s->type = SX_DISK_F32;
	return is_type(type, s->type);
}

static bool find_extent(sx_run_set *s)
{
	hsize_t d[H5S_MAX_RANK];
	hid_t space = H5Dget_space(s->set);
	bool simple = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SIMPLE;
	int n = simple ? H5Sget_simple_extent_dims(space, d, NULL) : -1;
	if (space >= 0) H5Sclose(space);
	bool fits = n == s->ndim;
	for (int i = 0; fits && i < n; i++) {
		fits = d[i] <= INT32_MAX;
		s->dims[i] = (int64_t)d[i];
	}
	return fits;
}

/* Bytes of an element in the file; of a string of any length those of its place. */
static int64_t element(const sx_run_set *s)
{
	enum { PLACE = 16 };
	return s->type != SX_DISK_STR ? (int64_t)sx_disk_size(s->type, 0)
	       : s->width             ? (int64_t)s->width
				      : PLACE;
}

/* Chunks that a shape has; 1 where it is not stored in chunks, -1 where there are too many to go
 * through. */
static int64_t count_chunks(hid_t made, const int64_t *dims, int ndim)
{
	hsize_t chunk[SX_RUN_MAX_DIMS];
	int64_t chunks = 1;
	if (H5Pget_layout(made) != H5D_CHUNKED) return 1;
	if (H5Pget_chunk(made, SX_RUN_MAX_DIMS, chunk) != ndim) return -1;
	for (int i = 0; i < ndim; i++) {
		int64_t n = dims[i] < 0 ? MOST_CHUNKS
			    : dims[i]   ? (dims[i] - 1) / (int64_t)chunk[i] + 1
					: 0;
		if (n > 0 && chunks > MOST_CHUNKS / n) return -1;
		chunks *= n;
	}
	return chunks;
}

int64_t sx_run_stored(hid_t set, const int64_t *dims, int ndim)
{
	hid_t made = H5Dget_create_plist(set);
	bool few = made >= 0 && count_chunks(made, dims, ndim) >= 0;
	if (made >= 0) H5Pclose(made);
	return few ? (int64_t)H5Dget_storage_size(set) : -1;
}

bool sx_run_is_stored(hid_t set, int64_t bytes, int64_t believed, const int64_t *dims, int ndim)
{
	int64_t stored = sx_run_stored(set, dims, ndim);
	return stored >= 0 && (bytes - believed) / MOST_DEFLATED <= stored;
}

/* Whether every chunk of an axis was written: they always are. */
static bool is_written(const sx_run_set *s, hid_t made)
{
	hsize_t n = 0;
	int64_t chunks = count_chunks(made, s->dims, s->ndim);
	if (H5Pget_layout(made) != H5D_CHUNKED || s->dims[0] == 0)
		return (int64_t)H5Dget_storage_size(s->set) >= element(s) * s->dims[0];
	hid_t space = H5Dget_space(s->set);
	bool known = chunks >= 0 && space >= 0 && H5Dget_num_chunks(s->set, space, &n) >= 0;
	if (space >= 0) H5Sclose(space);
	return known && (int64_t)n >= chunks;
}

int64_t sx_run_bytes(int64_t element_size, const int64_t *dims, int ndim)
{
	int64_t bytes = element_size;
	bool none = false;
	for (int i = 0; i < ndim; i++) none = none || dims[i] == 0;
	if (none) return 0;
	for (int i = 0; i < ndim; i++) {
		if (dims[i] <= 0 || bytes > INT64_MAX / 8 / dims[i]) return -1;
		bytes *= dims[i];
	}
	return bytes;
}

/* Numbers that nobody wrote are not made up: a shape may not be larger than what can come out of the
 * bytes that are stored. Of maps the chunks above the diagonal are not; of a live file's growing axis
 * the last may be on its way. */
static sx_status check_room(sx_run_file *f, sx_run_id id, const sx_run_set *s, hid_t made)
{
	int64_t bytes = sx_run_bytes(element(s), s->dims, s->ndim);
	bool moves = f->live && sx_run_is_growing_axis(id), holds = true;
	if (bytes < 0)
		return sx_run_misfit(f, id, "has a shape larger than any file: it is damaged");
	if (sx_run_is_axis(id) && !moves)
		holds = is_written(s, made);
	else if (!sx_run_is_map(id))
		holds = sx_run_is_stored(s->set, bytes, BELIEVED, s->dims, s->ndim);
	return holds ? SX_OK
		     : sx_run_misfit(f, id, "holds less than its shape says: it is damaged");
}

/* ---- opening ---- */

/* A dataset by itself, without a look at its axes. */
static sx_status open_alone(sx_run_file *f, sx_run_id id, sx_run_set *s)
{
	const sx_run_row *row = &sx_run_rows[id];
	sx_run_id axes[SX_RUN_MAX_DIMS];
	sx_status st = SX_OK;
	hid_t type = -1, made = -1;
	*s = (sx_run_set){.set = -1, .ndim = sx_run_axes(id, axes)};
	if (!sx_run_has(f, id))
		return sx_fail(f->ctx, SX_EDATA, "%s has no %s", f->path, row->path);
	if (!sx_run_is_own(f, row->path))
		return sx_run_misfit(f, id, "is a link to something else, or damaged");
	s->set = H5Dopen2(f->file, row->path, H5P_DEFAULT);
	if (s->set < 0)
		return sx_h5_fail(f->ctx, SX_EDATA, "%s of %s does not open", row->path, f->path);
	type = H5Dget_type(s->set);
	made = H5Dget_create_plist(s->set);
	const char *bad = type < 0 || made < 0 ? "does not open" : sx_run_bad_storage(made, type);
	if (bad) {
		st = sx_run_misfit(f, id, "%s", bad);
	} else if (!find_type(s, type, row->type)) {
		st = sx_run_misfit(f, id, "is of another type than the schema's");
	} else if (!find_extent(s)) {
		st = sx_run_misfit(f, id, "has not the axes [%s]", row->dims);
	} else {
		st = check_room(f, id, s, made);
	}
	if (type >= 0) H5Tclose(type);
	if (made >= 0) H5Pclose(made);
	if (st != SX_OK) H5Dclose(s->set);
	return st;
}

/* Records that nothing but their number is known of: a growing axis is the last to be extended. One
 * dataset along it, the phase where there is one, tells enough. */
static sx_status check_records(sx_run_file *f, sx_run_id axis, int64_t n)
{
	sx_run_id axes[SX_RUN_MAX_DIMS];
	sx_run_file silent = *f;
	sx_run_set s;
	silent.ctx = NULL;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i;
		sx_run_axes(id, axes);
		if (id == axis || axes[0] != axis || !sx_run_has(f, id)) continue;
		if (open_alone(&silent, id, &s) != SX_OK) continue; /* whoever reads it hears */
		H5Dclose(s.set);
		if (s.dims[0] >= n) return SX_OK;
		return sx_run_misfit(f, axis, "has %lld records and %s %lld", (long long)n,
				     sx_run_rows[id].path, (long long)s.dims[0]);
	}
	return SX_OK;
}

/* How long an axis is, whose values are in order. Looked up before what lies along it, since a writer
 * extends a growing axis last. */
static sx_status axis_length(sx_run_file *f, sx_run_id axis, int64_t *n)
{
	sx_run_set s;
	bool grows = sx_run_is_growing_axis(axis);
	*n = f->length[axis];
	if (*n > 0 && !(grows && f->live)) return SX_OK;
	sx_status st = open_alone(f, axis, &s);
	if (st != SX_OK) return st;
	*n = s.dims[0];
	if (*n < 1 && !grows) st = sx_run_misfit(f, axis, "is an axis without values");
	if (st == SX_OK) st = sx_run_check_axis(f, axis, &s, f->length[axis]);
	if (st == SX_OK && grows && !f->live) st = check_records(f, axis, *n);
	if (st == SX_OK) f->length[axis] = *n;
	H5Dclose(s.set);
	return st;
}

/* The axes of a dataset as this file has them; returns their number. Files from before /stats/offset have
 * its sums on the bins of the profile. */
static int axes_of(const sx_run_file *f, sx_run_id id, sx_run_id axes[SX_RUN_MAX_DIMS])
{
	int ndim = sx_run_axes(id, axes);
	if (id == SX_RUN_STATS_SCORE_OFFSET && !sx_run_has(f, SX_RUN_STATS_OFFSET))
		axes[ndim - 1] = SX_RUN_STATS_OFFSET_BIN;
	return ndim;
}

/* The extents of a dataset against its axes; a live file's rows beyond them are not whole. */
static sx_status compare_axes(sx_run_file *f, sx_run_id id, sx_run_set *s, const int64_t *length)
{
	sx_run_id axes[SX_RUN_MAX_DIMS];
	axes_of(f, id, axes);
	for (int i = 0; i < s->ndim; i++) {
		if (axes[i] == id) continue;
		bool grows = i == 0 && sx_run_is_growing_axis(axes[i]);
		if (grows && s->dims[0] < length[0] && f->live && H5Drefresh(s->set) >= 0 &&
		    !find_extent(s))
			return sx_run_misfit(f, id, "has not the axes [%s]", sx_run_rows[id].dims);
		if (grows ? s->dims[i] < length[i] : s->dims[i] != length[i])
			return sx_run_misfit(f, id, "is not as long as its axis %s: %lld, not %lld",
					     sx_run_rows[axes[i]].path, (long long)s->dims[i],
					     (long long)length[i]);
		s->dims[i] = length[i];
	}
	return SX_OK;
}

/* What is wrong with an axis, in words that follow the name of what lies along it. */
static void blame_axis(sx_run_file *f, sx_run_id axis)
{
	char why[sizeof f->why];
	memcpy(why, f->why, sizeof why);
	snprintf(f->why, sizeof f->why, "lies along %s, which %.120s", sx_run_rows[axis].path, why);
}

sx_status sx_run_open_set(sx_run_file *f, sx_run_id id, sx_run_set *s)
{
	sx_run_id axes[SX_RUN_MAX_DIMS];
	int64_t length[SX_RUN_MAX_DIMS] = {0};
	int ndim = axes_of(f, id, axes);
	if (!sx_run_has(f, id))
		return sx_fail(f->ctx, SX_EDATA, "%s has no %s", f->path, sx_run_rows[id].path);
	for (int i = 0; i < ndim; i++) {
		if (axes[i] != id && !sx_run_has(f, axes[i]))
			return sx_run_misfit(f, id, "has no axis %s beside it",
					     sx_run_rows[axes[i]].path);
		sx_status st = axis_length(f, axes[i], &length[i]);
		if (st == SX_EDATA && axes[i] != id) blame_axis(f, axes[i]);
		if (st != SX_OK) return st;
	}
	sx_status st = open_alone(f, id, s);
	if (st != SX_OK) return st;
	/* An axis that grew since is looked at by the next call. */
	if (axes[0] == id) s->dims[0] = length[0];
	st = compare_axes(f, id, s, length);
	if (st != SX_OK) H5Dclose(s->set);
	return st;
}

/* The end of a finished file: it is closed, read back, brought to the disk, and only then takes its name.
 *
 * A write may fail once and no more: a disk that was full for a moment, an error of a device. HDF5 holds
 * chunks and headers until it evicts, flushes or closes, so that such a failure is the answer of some
 * later call; the callers look at all of them. A chunk that was lost all the same has no checksum that
 * could say so: it reads as missing values or 0. Therefore sums are kept of what was handed over, and the
 * closed file must give them again; so must its attributes, which are compared with what HDF5 held. */
#include "probes/runfile/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE = 4 << 20 }; /* bytes read at a time */

/* ---- what was handed over ---- */

uint32_t sx_h5_sum(const void *data, size_t bytes)
{
	return libdeflate_crc32(0, data, bytes);
}

/* Each with its end, so that "a", "b" is not "ab". */
static uint32_t add_text(uint32_t sum, const char *text)
{
	const char *s = text ? text : "";
	return libdeflate_crc32(sum, s, strlen(s) + 1);
}

uint32_t sx_h5_sum_texts(const char *const *texts, size_t n)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < n; i++) sum = add_text(sum, texts[i]);
	return sum;
}

void sx_given_free(sx_given *g)
{
	free(g->rows);
	g->rows = NULL;
}

bool sx_given_rows(sx_given *g, int64_t from, int64_t n, uint32_t sum)
{
	if (g->loose) return true;
	if (g->n > 0 && from < g->rows[g->n - 1].from + g->rows[g->n - 1].n) {
		size_t i = g->n - 1;
		while (i > 0 && g->rows[i].from > from) i--;
		g->loose = g->rows[i].from != from || g->rows[i].n != n;
		g->rows[i].sum = sum;
		return true;
	}
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 4;
		sx_given_block *grown = sx_grow(g->rows, cap, sizeof *grown);
		if (!grown) return false;
		g->rows = grown;
		g->cap = cap;
	}
	g->rows[g->n++] = (sx_given_block){from, n, sum};
	return true;
}

/* The order of chunks is of no account, their places are. */
static uint64_t sum_of_chunk(const hsize_t *at, int ndim, const void *packed, size_t bytes)
{
	uint32_t place = libdeflate_crc32(0, at, (size_t)ndim * sizeof *at);
	return (uint64_t)libdeflate_crc32(place, packed, bytes) << 32 | place;
}

void sx_given_chunk(sx_given *g, const hsize_t *at, int ndim, const void *packed, size_t bytes)
{
	g->packed = true;
	g->chunks += sum_of_chunk(at, ndim, packed, bytes);
}

/* ---- reading it back ---- */

typedef struct {
	const sx_h5_kept *k;
	hid_t set, type; /* type: in memory */
	unsigned char *buf;
	size_t size;
} reader;

static bool need(reader *r, size_t bytes)
{
	if (bytes <= r->size) return true;
	free(r->buf);
	r->buf = sx_calloc(bytes, 1);
	r->size = r->buf ? bytes : 0;
	return r->buf != NULL;
}

/* Adds a block to the sum; false where it cannot be read. */
static bool read_block(reader *r, const hsize_t *start, const hsize_t *count, uint32_t *sum)
{
	size_t n = 1, size = H5Tget_size(r->type);
	for (int i = 0; i < r->k->ndim; i++) n *= (size_t)count[i];
	if (!need(r, n * size)) return false;
	hid_t space = H5Dget_space(r->set), block = H5Screate_simple(r->k->ndim, count, NULL);
	bool ok = space >= 0 && block >= 0 &&
		  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
		  H5Dread(r->set, r->type, block, space, H5P_DEFAULT, r->buf) >= 0;
	if (ok && r->k->type == SX_DISK_STR) {
		char **texts = (char **)(void *)r->buf;
		for (size_t i = 0; i < n; i++) *sum = add_text(*sum, texts[i]);
		H5Dvlen_reclaim(r->type, block, H5P_DEFAULT, r->buf);
	} else if (ok) {
		*sum = libdeflate_crc32(*sum, r->buf, n * size);
	}
	if (space >= 0) H5Sclose(space);
	if (block >= 0) H5Sclose(block);
	return ok;
}

/* The sum of rows [from, end), in slices of the first axis whose rows are small enough. */
static bool read_rows(reader *r, int64_t from, int64_t end, uint32_t *sum)
{
	const sx_h5_kept *k = r->k;
	hsize_t start[SX_RUN_MAX_DIMS] = {(hsize_t)from}, count[SX_RUN_MAX_DIMS];
	hsize_t stop[SX_RUN_MAX_DIMS];
	size_t row = H5Tget_size(r->type);
	int axis = 0;
	*sum = 0;
	for (int i = 0; i < k->ndim; i++) stop[i] = (hsize_t)(i ? k->dims[i] : end);
	for (int i = 1; i < k->ndim; i++) row *= (size_t)k->dims[i];
	if (row == 0) return true;
	while (axis < k->ndim - 1 && row > SLICE) row /= (size_t)k->dims[++axis];
	for (int i = 0; i < k->ndim; i++) count[i] = i < axis ? 1 : stop[i];
	hsize_t step = SLICE / row > 0 ? SLICE / row : 1;
	while (start[0] < stop[0]) {
		count[axis] = stop[axis] - start[axis] < step ? stop[axis] - start[axis] : step;
		if (!read_block(r, start, count, sum)) return false;
		start[axis] += count[axis];
		for (int i = axis; i > 0 && start[i] >= stop[i]; i--) {
			start[i] = 0;
			start[i - 1]++;
		}
	}
	return true;
}

static bool same_rows(reader *r)
{
	const sx_given *g = &r->k->given;
	int64_t all = r->k->dims[0];
	uint32_t sum;
	if (g->loose) return read_rows(r, 0, all, &sum);
	for (size_t i = 0; i < g->n; i++) {
		const sx_given_block *b = &g->rows[i];
		/* a record that was begun and is not counted was cut off */
		if (b->from + b->n > all) continue;
		if (!read_rows(r, b->from, b->from + b->n, &sum) || sum != b->sum) return false;
	}
	return true;
}

/* Chunks as they are stored, not unpacked: that would take as long as packing them did. */
static bool same_chunks(reader *r)
{
	const sx_h5_kept *k = r->k;
	hsize_t at[SX_RUN_MAX_DIMS] = {0}, edge[SX_RUN_MAX_DIMS], bytes;
	uint64_t sum = 0;
	hid_t made = H5Dget_create_plist(r->set);
	bool ok = made >= 0 && H5Pget_chunk(made, k->ndim, edge) == k->ndim;
	while (ok && at[0] < (hsize_t)k->dims[0]) {
		unsigned skipped;
		uint32_t mask;
		haddr_t address;
		ok = H5Dget_chunk_info_by_coord(r->set, at, &skipped, &address, &bytes) >= 0;
		if (ok && address != HADDR_UNDEF) {
			ok = need(r, bytes) &&
			     H5Dread_chunk(r->set, H5P_DEFAULT, at, &mask, r->buf) >= 0;
			if (ok) sum += sum_of_chunk(at, k->ndim, r->buf, bytes);
		}
		at[k->ndim - 1] += edge[k->ndim - 1];
		for (int i = k->ndim - 1; i > 0 && at[i] >= (hsize_t)k->dims[i]; i--) {
			at[i] = 0;
			at[i - 1] += edge[i - 1];
		}
	}
	if (made >= 0) H5Pclose(made);
	return ok && sum == k->given.chunks;
}

static bool same_shape(const reader *r)
{
	hsize_t dims[SX_RUN_MAX_DIMS];
	hid_t space = H5Dget_space(r->set);
	bool same = space >= 0 && H5Sget_simple_extent_ndims(space) == r->k->ndim &&
		    H5Sget_simple_extent_dims(space, dims, NULL) >= 0;
	for (int i = 0; same && i < r->k->ndim; i++) same = dims[i] == (hsize_t)r->k->dims[i];
	if (space >= 0) H5Sclose(space);
	return same;
}

static bool is_kept(hid_t file, const sx_h5_kept *k)
{
	reader r = {.k = k};
	r.type = k->type == SX_DISK_STR ? sx_h5_text_type() : sx_h5_mem_type(k->type, 0);
	r.set = H5Dopen2(file, k->path, H5P_DEFAULT);
	bool ok = r.set >= 0 && r.type >= 0 && same_shape(&r) &&
		  (k->given.packed ? same_chunks(&r) : same_rows(&r));
	if (r.set >= 0) H5Dclose(r.set);
	if (r.type >= 0) H5Tclose(r.type);
	free(r.buf);
	return ok;
}

/* ---- attributes ---- */

typedef struct {
	uint64_t total; /* of all objects and their attributes, in any order */
	uint32_t object;
} attr_sum;

/* The sum of n values of a type, as they are in memory. */
static uint32_t add_values(uint32_t sum, hid_t type, const void *values, size_t n)
{
	if (H5Tis_variable_str(type) > 0) {
		for (size_t i = 0; i < n; i++) sum = add_text(sum, ((char *const *)values)[i]);
		return sum;
	}
	if (H5Tget_class(type) != H5T_VLEN)
		return libdeflate_crc32(sum, values, n * H5Tget_size(type));
	hid_t base = H5Tget_super(type);
	for (size_t i = 0; base >= 0 && i < n; i++) {
		const hvl_t *v = (const hvl_t *)values + i;
		sum = libdeflate_crc32(sum, v->p, v->len * H5Tget_size(base));
	}
	if (base >= 0) H5Tclose(base);
	return sum;
}

static herr_t add_attr(hid_t object, const char *name, const H5A_info_t *info, void *self)
{
	(void)info;
	attr_sum *s = self;
	hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
	hid_t type = attr < 0 ? -1 : H5Aget_type(attr), space = attr < 0 ? -1 : H5Aget_space(attr);
	hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
	void *values = type < 0 || n < 0 ? NULL : sx_calloc((size_t)n, H5Tget_size(type));
	herr_t e = values && H5Aread(attr, type, values) >= 0 ? 0 : -1;
	if (e >= 0) {
		uint32_t sum = add_values(add_text(s->object, name), type, values, (size_t)n);
		s->total += (uint64_t)sum << 32 | s->object;
		H5Dvlen_reclaim(type, space, H5P_DEFAULT, values);
	}
	free(values);
	if (space >= 0) H5Sclose(space);
	if (type >= 0) H5Tclose(type);
	if (attr >= 0) H5Aclose(attr);
	return e;
}

static herr_t add_object(hid_t root, const char *name, const H5O_info_t *info, void *self)
{
	(void)info;
	attr_sum *s = self;
	hid_t object = H5Oopen(root, name, H5P_DEFAULT);
	s->object = add_text(0, name);
	s->total += s->object;
	herr_t e = object < 0 ? -1
			      : H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attr, s);
	if (object >= 0) H5Oclose(object);
	return e;
}

static bool sum_attrs(hid_t file, uint64_t *out)
{
	attr_sum s = {0, 0};
	/* with all there is to know of an object: h5py asks for it */
	herr_t e = H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, add_object, &s, H5O_INFO_ALL);
	*out = s.total;
	return e >= 0;
}

/* ---- the name ---- */

sx_status sx_sync_path(sx_ctx *ctx, const char *path)
{
	int fd = open(path, O_RDONLY);
	int bad = fd < 0 || fsync(fd) != 0 ? errno : 0;
	if (fd >= 0) close(fd);
	if (bad)
		return sx_fail(ctx, SX_EIO, "cannot bring %s to the disk: %s", path, strerror(bad));
	return SX_OK;
}

sx_status sx_h5_take_name(sx_ctx *ctx, const sx_output *o, bool *named)
{
	sx_status st = SX_OK;
	char *folder = sx_strdup(o->path);
	if (!folder) return sx_fail(ctx, SX_ENOMEM, "no memory to name %s", o->path);
	SX_TRY(sx_sync_path(ctx, o->writing));
	SX_TRY(sx_output_name(o, ctx));
	*named = true;
	st = sx_sync_path(ctx, dirname(folder));
out:
	free(folder);
	return st;
}

/* ---- the whole ---- */

static sx_status not_kept(sx_ctx *ctx, const char *path, const char *what)
{
	return sx_fail(ctx, SX_EIO,
		       "writing %s failed: %s, read back, is not what was written; see whether the "
		       "disk is full or failing",
		       path, what);
}

static sx_status read_back(sx_ctx *ctx, const char *writing, const char *path, uint64_t attrs,
			   const sx_h5_kept *kept, int n)
{
	sx_status st = SX_OK;
	uint64_t now;
	hid_t file = H5Fopen(writing, H5F_ACC_RDONLY, H5P_DEFAULT);
	if (file < 0) return sx_h5_fail(ctx, SX_EIO, "%s, just written, does not open", writing);
	if (!sum_attrs(file, &now) || now != attrs) st = not_kept(ctx, path, "an attribute");
	for (int i = 0; i < n && st == SX_OK; i++)
		if (!is_kept(file, &kept[i])) st = not_kept(ctx, path, kept[i].path);
	H5Fclose(file);
	return st;
}

sx_status sx_h5_finish(sx_ctx *ctx, hid_t file, const sx_output *o, const sx_h5_kept *kept, int n)
{
	sx_status st = SX_OK;
	uint64_t attrs;
	bool named = false;
	if (H5Fflush(file, H5F_SCOPE_LOCAL) < 0 || !sum_attrs(file, &attrs)) {
		st = sx_h5_fail(ctx, SX_EIO, "writing the end to %s failed", o->writing);
		H5Fclose(file);
		return st;
	}
	if (H5Fclose(file) < 0)
		return sx_h5_fail(ctx, SX_EIO, "writing the end to %s failed", o->writing);
	SX_TRY(read_back(ctx, o->writing, o->path, attrs, kept, n));
	SX_TRY(sx_h5_take_name(ctx, o, &named));
out:
	return st;
}

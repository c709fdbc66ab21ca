/* Attributes, axes and datasets of a run file that is being written. */
#include "probes/runfile/priv.h"

#include <hdf5_hl.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_MAX = 1 << 20,  /* bytes: HDF5's chunk cache holds so many                      */
	CHUNK_JOIN = 1 << 18, /* small records of a sealed file share chunks up to this size  */
	DEFLATE_LEVEL = 4
};

/* ---- attributes ---- */

static sx_status put_attr(sx_run *run, const char *where, const char *name, hid_t disk, hid_t mem,
			  int64_t n, const void *value)
{
	if (H5Oexists_by_name(run->file, where, H5P_DEFAULT) <= 0)
		return sx_h5_fail(run->ctx, SX_EINTERNAL, "%s has no %s to carry attribute %s",
				  run->writing, where, name);
	if (sx_h5_put_attr(run->file, where, name, disk, mem, n, value) < 0)
		return sx_run_broke(run, name);
	return SX_OK;
}

sx_status sx_run_refuse_new(sx_run *run, const char *what)
{
	sx_status st = sx_run_check(run);
	if (st == SX_OK && run->started)
		st = sx_fail(run->ctx, SX_EINTERNAL,
			     "%s comes too late: after sx_run_start %s takes records only", what,
			     run->writing);
	return st;
}

sx_status sx_run_attr_str(sx_run *run, const char *where, const char *name, const char *value)
{
	sx_status st = sx_run_refuse_new(run, name);
	if (st != SX_OK) return st;
	hid_t text = sx_h5_text_type();
	if (text < 0) return sx_h5_fail(run->ctx, SX_EINTERNAL, "no string type");
	st = put_attr(run, where, name, text, text, -1, &value);
	H5Tclose(text);
	return st;
}

sx_status sx_run_attr_int(sx_run *run, const char *where, const char *name, int64_t value)
{
	sx_status st = sx_run_refuse_new(run, name);
	if (st != SX_OK) return st;
	return put_attr(run, where, name, H5T_STD_I64LE, H5T_NATIVE_INT64, -1, &value);
}

sx_status sx_run_attr_ints(sx_run *run, const char *where, const char *name, const int64_t *values,
			   int64_t n)
{
	sx_status st = sx_run_refuse_new(run, name);
	if (st != SX_OK) return st;
	return put_attr(run, where, name, H5T_STD_I64LE, H5T_NATIVE_INT64, n, values);
}

sx_status sx_run_attr_real(sx_run *run, const char *where, const char *name, double value)
{
	sx_status st = sx_run_refuse_new(run, name);
	if (st != SX_OK) return st;
	return put_attr(run, where, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, -1, &value);
}

/* CF's way to name the values of a category: flag_values 0, 1, ... and flag_meanings. */
static sx_status put_flag_attrs(sx_run *run, sx_run_id id)
{
	const sx_run_row *row = &sx_run_rows[id];
	uint8_t values[16];
	int n = 0;
	values[n++] = 0;
	for (const char *s = strchr(row->flags, ' '); s && n < 16; s = strchr(s + 1, ' '), n++)
		values[n] = (uint8_t)n;
	sx_status st =
		put_attr(run, row->path, "flag_values", H5T_STD_U8LE, H5T_NATIVE_UINT8, n, values);
	if (st != SX_OK) return st;
	return sx_run_attr_str(run, row->path, "flag_meanings", row->flags);
}

/* ---- definitions ---- */

static sx_status make_group(sx_run *run, sx_run_id id)
{
	char group[32];
	sx_run_group(id, group);
	if (H5Lexists(run->file, group, H5P_DEFAULT) > 0) return SX_OK;
	hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE), g = -1;
	unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
	if (gcpl >= 0 && H5Pset_link_creation_order(gcpl, order) >= 0 &&
	    H5Pset_link_phase_change(gcpl, 64, 32) >= 0 &&
	    H5Pset_attr_creation_order(gcpl, order) >= 0 &&
	    H5Pset_obj_track_times(gcpl, false) >= 0)
		g = H5Gcreate2(run->file, group, H5P_DEFAULT, gcpl, H5P_DEFAULT);
	sx_status st = g < 0 ? sx_run_broke(run, group) : SX_OK;
	if (g >= 0 && H5Gclose(g) < 0 && st == SX_OK) st = sx_run_broke(run, group);
	if (gcpl >= 0) H5Pclose(gcpl);
	return st;
}

/* One record of a live file is one chunk, so that no chunk is ever compressed and written twice;
 * columns go by `rows`, the sealed file's records by as many as CHUNK_JOIN holds. Too large a
 * record is cut, outer axes first. */
static void choose_chunk(const sx_run *run, const sx_run_column *c, int64_t rows, hsize_t *chunk)
{
	int64_t record = (int64_t)c->size;
	for (int i = sx_run_grows(c) ? 1 : 0; i < c->ndim; i++) record *= c->dims[i];
	for (int i = 0; i < c->ndim; i++) chunk[i] = (hsize_t)c->dims[i];
	if (sx_run_grows(c)) {
		int64_t join = run->live ? 1 : CHUNK_JOIN / record;
		if (join > rows || (run->live && c->column)) join = rows;
		chunk[0] = (hsize_t)(join > 1 ? join : 1);
		record *= (int64_t)chunk[0];
	}
	for (int i = sx_run_grows(c) ? 1 : 0; i < c->ndim && record > CHUNK_MAX; i++) {
		int64_t slice = record / (int64_t)chunk[i];
		int64_t fit = slice < CHUNK_MAX ? CHUNK_MAX / slice : 1;
		chunk[i] = (hsize_t)fit;
		record = slice * fit;
	}
}

/* Square chunks of one map: rows come in tiles, and what stands wholly above the diagonal is left
 * out. */
static void choose_map_chunk(const sx_run_column *c, hsize_t *chunk)
{
	for (int i = 0; i < c->ndim; i++)
		chunk[i] = i < c->ndim - 2 ? 1 : (hsize_t)sx_run_map_edge(c->dims[i]);
}

static herr_t set_fill(hid_t dcpl, sx_run_id id, const sx_run_column *c, hid_t mem)
{
	unsigned char missing[8] = {0};
	/* Of f16, which are maps, it would be HDF5's own 0; netCDF-C 4.10 dies of one that is set. */
	if (c->type == SX_DISK_STR || c->type == SX_DISK_F16) return 0;
	if (!sx_run_is_map(id)) sx_disk_fill(missing, c->type, c->size, 1);
	return H5Pset_fill_value(dcpl, mem, missing);
}

static herr_t set_storage(const sx_run *run, hid_t dcpl, const sx_run_column *c,
			  const hsize_t *chunk)
{
	herr_t e = H5Pset_chunk(dcpl, c->ndim, chunk);
	if (!sx_run_texts_vary(run, c)) { /* HDF5 keeps those apart, out of the filters' reach */
		if (e >= 0 && c->size > 1 && c->type != SX_DISK_STR) e = H5Pset_shuffle(dcpl);
		if (e >= 0) e = H5Pset_deflate(dcpl, DEFLATE_LEVEL);
		if (e >= 0) e = H5Pset_fletcher32(dcpl);
	}
	if (e >= 0) e = H5Pset_attr_creation_order(dcpl, H5P_CRT_ORDER_TRACKED);
	/* Files of equal content are equal. */
	if (e >= 0) e = H5Pset_obj_track_times(dcpl, false);
	return e;
}

/* Makes the index of chunks before there is any. Else the first record made it, and that changes two
 * pieces of the dataset's header where attributes have split it: the extent reached the disk before
 * the index, and a kill between the two left a row without its number. */
static herr_t make_index(const sx_run_column *c)
{
	const unsigned char nothing = 0;
	hsize_t dims[SX_RUN_MAX_DIMS], first[SX_RUN_MAX_DIMS] = {0};
	for (int i = 0; i < c->ndim; i++) dims[i] = (hsize_t)c->dims[i];
	dims[0] = 1;
	if (H5Dset_extent(c->set, dims) < 0 ||
	    H5Dwrite_chunk(c->set, H5P_DEFAULT, 0, first, 1, &nothing) < 0)
		return -1;
	dims[0] = 0;
	return H5Dset_extent(c->set, dims);
}

/* Creates the dataset that c describes, without attributes. */
static sx_status make_set(sx_run *run, sx_run_id id, sx_run_column *c, int64_t rows)
{
	sx_status st = make_group(run, id);
	if (st != SX_OK) return st;
	hsize_t dims[SX_RUN_MAX_DIMS], most[SX_RUN_MAX_DIMS], chunk[SX_RUN_MAX_DIMS];
	if (sx_run_is_map(id))
		choose_map_chunk(c, chunk);
	else
		choose_chunk(run, c, rows, chunk);
	for (int i = 0; i < c->ndim; i++) dims[i] = most[i] = (hsize_t)c->dims[i];
	if (sx_run_grows(c)) most[0] = H5S_UNLIMITED;

	hid_t disk =
		sx_run_texts_vary(run, c) ? sx_h5_text_type() : sx_h5_disk_type(c->type, c->size);
	hid_t mem = sx_h5_mem_type(c->type, c->size);
	hid_t space = H5Screate_simple(c->ndim, dims, most), dcpl = H5Pcreate(H5P_DATASET_CREATE);
	if (disk < 0 || mem < 0 || space < 0 || dcpl < 0 || set_storage(run, dcpl, c, chunk) < 0 ||
	    set_fill(dcpl, id, c, mem) < 0) {
		st = sx_h5_fail(run->ctx, SX_EINTERNAL, "cannot describe %s", sx_run_rows[id].path);
		goto out;
	}
	c->set = H5Dcreate2(run->file, sx_run_rows[id].path, disk, space, H5P_DEFAULT, dcpl,
			    H5P_DEFAULT);
	if (c->set < 0) {
		c->set = 0;
		st = sx_run_broke(run, sx_run_rows[id].path);
	} else if (run->live && sx_run_grows(c) && make_index(c) < 0) {
		st = sx_run_broke(run, sx_run_rows[id].path);
	}
out:
	if (disk >= 0) H5Tclose(disk);
	if (mem >= 0) H5Tclose(mem);
	if (space >= 0) H5Sclose(space);
	if (dcpl >= 0) H5Pclose(dcpl);
	return st;
}

static sx_status describe(sx_run *run, sx_run_id id)
{
	const sx_run_row *row = &sx_run_rows[id];
	sx_status st = SX_OK;
	SX_TRY(sx_run_attr_str(run, row->path, "units", row->units));
	SX_TRY(sx_run_attr_str(run, row->path, "long_name", row->long_name));
	if (row->flags) SX_TRY(put_flag_attrs(run, id));
out:
	return st;
}

static sx_status refuse_twice(sx_run *run, sx_run_id id)
{
	sx_status st = sx_run_refuse_new(run, sx_run_rows[id].path);
	if (st == SX_OK && run->col[id].set)
		st = sx_fail(run->ctx, SX_EINTERNAL, "%s is defined twice", sx_run_rows[id].path);
	return st;
}

static sx_status make_axis(sx_run *run, sx_run_id id, int64_t rows)
{
	sx_run_column *c = &run->col[id];
	sx_status st = SX_OK;
	SX_TRY(make_set(run, id, c, rows));
	if (H5DSset_scale(c->set, sx_run_name(id)) < 0) {
		st = sx_run_broke(run, sx_run_rows[id].path);
		goto out;
	}
	SX_TRY(describe(run, id));
out:
	return st;
}

/* Bytes for the longest of n texts and its end. */
static size_t text_width(const char *const *texts, int64_t n)
{
	size_t most = 0;
	for (int64_t i = 0; i < n; i++)
		if (strlen(texts[i]) > most) most = strlen(texts[i]);
	return most + 1;
}

sx_status sx_run_axis_as(sx_run *run, sx_run_id id, int64_t n, const void *values, sx_run_mem mem)
{
	sx_status st = SX_OK;
	SX_TRY(refuse_twice(run, id));
	if (!sx_run_is_axis(id) || sx_run_is_growing_axis(id) || n < 1) {
		st = sx_fail(run->ctx, SX_EINTERNAL, "%s cannot be a fixed axis of %lld values",
			     sx_run_rows[id].path, (long long)n);
		goto out;
	}
	sx_run_type type = sx_run_rows[id].type;
	size_t width = mem == SX_MEM_STR ? text_width(values, n) : 0;
	run->col[id] = (sx_run_column){.type = type,
				       .size = sx_disk_size(type, width),
				       .ndim = 1,
				       .dims = {n},
				       .axis = SX_RUN_COUNT};
	if (run->col[id].size == 0) {
		st = sx_fail(run->ctx, SX_EINTERNAL, "%s is an axis of strings",
			     sx_run_rows[id].path);
		goto out;
	}
	SX_TRY(make_axis(run, id, 0));
	SX_TRY(sx_run_put_as(run, id, 0, values, mem));
out:
	return st;
}

sx_status sx_run_axis_index(sx_run *run, sx_run_id id, int64_t n)
{
	int64_t *index = n < 1 ? NULL : sx_calloc((size_t)n, sizeof *index);
	if (n > 0 && !index)
		return sx_fail(run->ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path);
	for (int64_t i = 0; i < n; i++) index[i] = i;
	sx_status st = sx_run_axis(run, id, n, index);
	free(index);
	return st;
}

sx_status sx_run_grow(sx_run *run, sx_run_id id, int64_t rows)
{
	sx_status st = refuse_twice(run, id);
	if (st != SX_OK) return st;
	if (!sx_run_is_growing_axis(id) || rows < 1)
		return sx_fail(run->ctx, SX_EINTERNAL, "%s cannot grow by %lld rows",
			       sx_run_rows[id].path, (long long)rows);
	sx_run_type type = sx_run_rows[id].type;
	run->col[id] = (sx_run_column){.type = type,
				       .size = sx_disk_size(type, 0),
				       .ndim = 1,
				       .rows = rows,
				       .axis = id,
				       .column = true};
	return make_axis(run, id, rows);
}

static sx_status define(sx_run *run, sx_run_id id, sx_run_type type, size_t width)
{
	const sx_run_row *row = &sx_run_rows[id];
	sx_status st = SX_OK;
	SX_TRY(refuse_twice(run, id));
	if (sx_run_is_axis(id)) {
		st = sx_fail(run->ctx, SX_EINTERNAL, "%s is an axis", row->path);
		goto out;
	}
	sx_run_id axes[SX_RUN_MAX_DIMS];
	sx_run_column *c = &run->col[id];
	*c = (sx_run_column){.type = type, .size = sx_disk_size(type, width), .axis = SX_RUN_COUNT};
	c->ndim = sx_run_axes(id, axes);
	for (int i = 0; i < c->ndim; i++) {
		if (!run->col[axes[i]].set) {
			st = sx_fail(run->ctx, SX_EINTERNAL, "%s needs the axis %s first",
				     row->path, sx_run_rows[axes[i]].path);
			goto out;
		}
		c->dims[i] = run->col[axes[i]].dims[0];
	}
	if (sx_run_grows(&run->col[axes[0]])) c->axis = axes[0];
	c->column = sx_run_grows(c) && c->ndim == 1;
	SX_TRY(make_set(run, id, c, run->col[axes[0]].rows));
	for (int i = 0; i < c->ndim; i++)
		if (H5DSattach_scale(c->set, run->col[axes[i]].set, (unsigned)i) < 0 ||
		    H5DSset_label(c->set, (unsigned)i, sx_run_name(axes[i])) < 0) {
			st = sx_run_broke(run, row->path);
			goto out;
		}
	SX_TRY(describe(run, id));
	/* The contract's word on what stands above the diagonal. */
	if (sx_run_is_map(id)) SX_TRY(sx_run_attr_real(run, row->path, "masked_value", 0));
out:
	return st;
}

sx_status sx_run_define(sx_run *run, sx_run_id id)
{
	if (sx_run_is_document(id))
		return sx_fail(run->ctx, SX_EINTERNAL, "%s is a document: sx_run_meta writes it",
			       sx_run_rows[id].path);
	return define(run, id, sx_run_rows[id].type, SX_RUN_STR_MAX + 1);
}

sx_status sx_run_define_f32(sx_run *run, sx_run_id id)
{
	if (sx_run_rows[id].type != SX_DISK_F16)
		return sx_fail(run->ctx, SX_EINTERNAL, "%s is not f16", sx_run_rows[id].path);
	return define(run, id, SX_DISK_F32, 0);
}

bool sx_run_defined(const sx_run *run, sx_run_id id)
{
	return run->col[id].set > 0;
}

sx_status sx_run_meta(sx_run *run, sx_run_id id, const char *text)
{
	sx_status st = SX_OK;
	if (!sx_run_is_document(id))
		return sx_fail(run->ctx, SX_EINTERNAL, "%s is not a document",
			       sx_run_rows[id].path);
	if (!run->col[SX_RUN_META_ENTRY].set) SX_TRY(sx_run_axis_index(run, SX_RUN_META_ENTRY, 1));
	SX_TRY(define(run, id, SX_DISK_STR, text_width(&text, 1)));
	SX_TRY(sx_run_put(run, id, 0, &text));
out:
	return st;
}

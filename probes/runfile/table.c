/* Files of tables: what analyses concluded. Independent of the run file's schema. */
#include "probes/runfile/priv.h"

#include <hdf5_hl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_ROWS = 1 << 15, DEFLATE_LEVEL = 4, SMALL_TREE = 4 /* as in sealed run files */ };

struct sx_tables {
	sx_ctx *ctx;
	sx_output output; /* the name it will have, the name it has */
	hid_t file;
	hid_t row;        /* axis of the table under way, or -1 */
	char *table;      /* its path                           */
	int64_t rows;     /* its length                         */
	sx_h5_kept *kept; /* (n_kept) datasets written      */
	int n_kept;
};

static sx_status broke(sx_tables *t, const char *what)
{
	return sx_h5_fail(t->ctx, SX_EIO, "writing %s to %s failed", what, t->output.writing);
}

/* ---- attributes ---- */

static sx_status put_texts(sx_tables *t, const char *where, const char *name,
			   const char *const *values, int64_t n)
{
	hid_t text = sx_h5_text_type();
	herr_t e = text < 0 ? -1 : sx_h5_put_attr(t->file, where, name, text, text, n, values);
	sx_status st = e < 0 ? broke(t, name) : SX_OK;
	if (text >= 0) H5Tclose(text);
	return st;
}

sx_status sx_tables_attr_str(sx_tables *t, const char *where, const char *name, const char *value)
{
	return put_texts(t, where, name, &value, -1);
}

sx_status sx_tables_attr_strs(sx_tables *t, const char *where, const char *name,
			      const char *const *values, int64_t n)
{
	return put_texts(t, where, name, values, n);
}

/* ---- creation ---- */

static sx_status open_file(sx_tables *t)
{
	sx_status st = SX_OK;
	hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
	unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
	if (fcpl < 0 || fapl < 0 || H5Pset_link_creation_order(fcpl, order) < 0 ||
	    H5Pset_attr_creation_order(fcpl, order) < 0 ||
	    H5Pset_obj_track_times(fcpl, false) < 0 || H5Pset_istore_k(fcpl, SMALL_TREE) < 0 ||
	    H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) < 0 ||
	    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) < 0) {
		st = sx_h5_fail(t->ctx, SX_EINTERNAL, "cannot prepare %s", t->output.path);
		goto out;
	}
	t->file = H5Fcreate(t->output.writing, H5F_ACC_TRUNC, fcpl, fapl);
	if (t->file < 0) st = sx_h5_fail(t->ctx, SX_ECREATE, "cannot create %s", t->output.writing);
out:
	if (fcpl >= 0) H5Pclose(fcpl);
	if (fapl >= 0) H5Pclose(fapl);
	return st;
}

sx_status sx_tables_create(sx_tables **out, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_h5_quiet();
	sx_tables *t = sx_calloc(1, sizeof *t);
	if (!t) return sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
	t->ctx = ctx;
	t->file = t->row = -1;
	SX_TRY(sx_output_begin(&t->output, ctx, path));
	SX_TRY(open_file(t));
	SX_TRY(sx_tables_attr_str(t, "/", "schema", SX_TABLES_SCHEMA_NAME));
	SX_TRY(sx_tables_attr_str(t, "/", "schema_version", SX_TABLES_SCHEMA_VERSION));
	SX_TRY(sx_tables_attr_str(t, "/", "creator", "sextant"));
	SX_TRY(sx_tables_attr_str(t, "/", "version", SX_VERSION));
	SX_TRY(sx_tables_attr_str(t, "/", "status", sx_run_status_name(SX_RUN_COMPLETE)));
	*out = t;
	t = NULL;
out:
	sx_tables_free(t);
	return st;
}

/* ---- datasets ---- */

static hid_t column_plist(sx_run_mem mem, int64_t rows)
{
	hsize_t chunk = (hsize_t)(rows < 1 ? 1 : rows < CHUNK_ROWS ? rows : CHUNK_ROWS);
	hid_t p = H5Pcreate(H5P_DATASET_CREATE);
	if (p < 0) return p;
	herr_t e = H5Pset_chunk(p, 1, &chunk);
	if (mem != SX_MEM_STR) { /* HDF5 keeps texts apart, out of the filters' reach */
		if (e >= 0) e = H5Pset_shuffle(p);
		if (e >= 0) e = H5Pset_deflate(p, DEFLATE_LEVEL);
		if (e >= 0) e = H5Pset_fletcher32(p);
	}
	if (e >= 0) e = H5Pset_attr_creation_order(p, H5P_CRT_ORDER_TRACKED);
	if (e >= 0) e = H5Pset_obj_track_times(p, false);
	if (e >= 0) return p;
	H5Pclose(p);
	return -1;
}

static sx_run_type type_of(sx_run_mem mem)
{
	return mem == SX_MEM_F64   ? SX_DISK_F64
	       : mem == SX_MEM_I64 ? SX_DISK_I64
	       : mem == SX_MEM_I32 ? SX_DISK_I32
				   : SX_DISK_STR;
}

/* New type ids of data in memory: as stored, and as they are. */
static void column_types(sx_run_mem mem, hid_t *disk, hid_t *here)
{
	sx_run_type type = type_of(mem);
	*disk = type == SX_DISK_STR ? sx_h5_text_type() : sx_h5_disk_type(type, 0);
	*here = type == SX_DISK_STR ? sx_h5_text_type() : sx_h5_mem_type(type, 0);
}

/* Notes what the closed file must hold. */
static bool keep(sx_tables *t, const char *path, const void *data, sx_run_mem mem)
{
	size_t n = (size_t)t->rows, bytes = n * sx_disk_size(type_of(mem), 0);
	uint32_t sum = mem == SX_MEM_STR ? sx_h5_sum_texts(data, n) : sx_h5_sum(data, bytes);
	sx_h5_kept *grown = sx_grow(t->kept, (size_t)t->n_kept + 1, sizeof *grown);
	if (!grown) return false;
	t->kept = grown;
	t->kept[t->n_kept] = (sx_h5_kept){
		.path = sx_strdup(path), .type = type_of(mem), .ndim = 1, .dims = {t->rows}};
	sx_h5_kept *k = &t->kept[t->n_kept++];
	return k->path && sx_given_rows(&k->given, 0, t->rows, sum);
}

/* Makes and writes a dataset of t->rows elements; its id is the caller's, -1 on failure. */
static hid_t write_set(sx_tables *t, const char *path, const void *data, sx_run_mem mem)
{
	/* HDF5 wants chunks no larger than a fixed axis: one of length 0 is left open. */
	hsize_t n = (hsize_t)t->rows, most = n ? n : H5S_UNLIMITED;
	hid_t disk, here, set = -1;
	hid_t space = H5Screate_simple(1, &n, &most), plist = column_plist(mem, t->rows);
	column_types(mem, &disk, &here);
	if (space >= 0 && plist >= 0 && disk >= 0 && here >= 0)
		set = H5Dcreate2(t->file, path, disk, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	bool written = set >= 0 && keep(t, path, data, mem) &&
		       (!n || H5Dwrite(set, here, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
	if (set >= 0 && !written) {
		H5Dclose(set);
		set = -1;
	}
	if (disk >= 0) H5Tclose(disk);
	if (here >= 0) H5Tclose(here);
	if (space >= 0) H5Sclose(space);
	if (plist >= 0) H5Pclose(plist);
	return set;
}

static herr_t make_groups(const sx_tables *t, const char *path)
{
	hid_t lcpl = H5Pcreate(H5P_LINK_CREATE), gcpl = H5Pcreate(H5P_GROUP_CREATE), g = -1;
	unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
	if (lcpl >= 0 && gcpl >= 0 && H5Pset_create_intermediate_group(lcpl, 1) >= 0 &&
	    H5Pset_link_creation_order(gcpl, order) >= 0 &&
	    H5Pset_attr_creation_order(gcpl, order) >= 0 &&
	    H5Pset_obj_track_times(gcpl, false) >= 0)
		g = H5Gcreate2(t->file, path, lcpl, gcpl, H5P_DEFAULT);
	herr_t e = g < 0 ? -1 : H5Gclose(g);
	if (lcpl >= 0) H5Pclose(lcpl);
	if (gcpl >= 0) H5Pclose(gcpl);
	return e;
}

static bool is_there(const sx_tables *t, const char *path)
{
	/* A link can be asked for only where its parent is. */
	const char *last = strrchr(path, '/');
	char *parent = last > path ? sx_format("%.*s", (int)(last - path), path) : NULL;
	bool there = (!parent || is_there(t, parent)) && H5Lexists(t->file, path, H5P_DEFAULT) > 0;
	free(parent);
	return there;
}

/* A dataset's chunks may wait for its close. */
static sx_status leave_table(sx_tables *t)
{
	sx_status st = SX_OK;
	if (t->row >= 0 && H5Dclose(t->row) < 0) st = broke(t, t->table);
	t->row = -1;
	free(t->table);
	t->table = NULL;
	return st;
}

sx_status sx_tables_add(sx_tables *t, const char *path, int64_t rows)
{
	sx_status st = SX_OK;
	int64_t *index = NULL;
	char *axis = sx_format("%s/row", path);
	SX_TRY(leave_table(t));
	t->rows = rows;
	t->table = sx_strdup(path);
	index = sx_calloc(rows > 0 ? (size_t)rows : 1, sizeof *index);
	if (!axis || !t->table || !index) {
		st = sx_fail(t->ctx, SX_ENOMEM, "no memory for table %s", path);
		goto out;
	}
	if (is_there(t, path)) {
		st = sx_fail(t->ctx, SX_EINTERNAL, "table %s is made twice", path);
		goto out;
	}
	for (int64_t i = 0; i < rows; i++) index[i] = i;
	if (make_groups(t, path) < 0 || (t->row = write_set(t, axis, index, SX_MEM_I64)) < 0 ||
	    H5DSset_scale(t->row, "row") < 0) {
		st = broke(t, path);
		goto out;
	}
	SX_TRY(sx_tables_attr_str(t, axis, "units", "1"));
	SX_TRY(sx_tables_attr_str(t, axis, "long_name", "row of the table"));
out:
	free(axis);
	free(index);
	return st;
}

sx_status sx_tables_column_as(sx_tables *t, const char *table, const char *name, const void *data,
			      sx_run_mem mem, const char *units, const char *long_name)
{
	sx_status st = SX_OK;
	hid_t set = -1;
	char *path = sx_format("%s/%s", table, name);
	if (!path) return sx_fail(t->ctx, SX_ENOMEM, "no memory for a column of %s", table);
	if (!t->table || strcmp(t->table, table) != 0 || is_there(t, path) || mem == SX_MEM_F32 ||
	    mem == SX_MEM_U8) {
		st = sx_fail(t->ctx, SX_EINTERNAL,
			     "%s is no new column of the table under way, or not of its kinds",
			     path);
		goto out;
	}
	set = write_set(t, path, data, mem);
	if (set < 0 || H5DSattach_scale(set, t->row, 0) < 0 || H5DSset_label(set, 0, "row") < 0) {
		st = broke(t, path);
		goto out;
	}
	SX_TRY(sx_tables_attr_str(t, path, "units", units));
	SX_TRY(sx_tables_attr_str(t, path, "long_name", long_name));
out:
	if (set >= 0 && H5Dclose(set) < 0 && st == SX_OK) st = broke(t, path);
	free(path);
	return st;
}

/* ---- the end ---- */

static void release(sx_tables *t)
{
	for (int i = 0; i < t->n_kept; i++) {
		free((char *)(uintptr_t)t->kept[i].path);
		sx_given_free(&t->kept[i].given);
	}
	free(t->kept);
	sx_output_drop(&t->output); /* without a name it is removed */
	free(t);
}

sx_status sx_tables_close(sx_tables **which)
{
	sx_tables *t = *which;
	*which = NULL;
	sx_status st = leave_table(t);
	if (st == SX_OK)
		st = sx_h5_finish(t->ctx, t->file, &t->output, t->kept, t->n_kept);
	else
		H5Fclose(t->file);
	t->file = -1;
	release(t);
	return st;
}

void sx_tables_free(sx_tables *t)
{
	if (!t) return;
	t->ctx = NULL; /* the first message is the one to keep */
	(void)!leave_table(t);
	if (t->file >= 0) H5Fclose(t->file);
	release(t);
}

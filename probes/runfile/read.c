/* Reading a run file, whole, live or left by a kill. Nothing in the file is trusted: what does not
 * fit the schema is SX_EDATA. */
#include "probes/runfile/priv.h"

#include <dirent.h>
#include <errno.h>
#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hid_t sx_run_file_hid(const sx_run_file *f)
{
	return f->file;
}

const char *sx_run_file_path(const sx_run_file *f)
{
	return f->path;
}

/* ---- opening ---- */

/* The last of the segments seg-0000.h5, seg-0001.h5, ... of a run folder, or NULL. */
static char *newest_segment(const char *folder)
{
	char newest[16] = "";
	char *live = sx_format("%s/live", folder), *path = NULL;
	DIR *d = live ? opendir(live) : NULL;
	for (const struct dirent *e; d && (e = readdir(d));) {
		bool segment = strlen(e->d_name) == strlen("seg-0000.h5") &&
			       !strncmp(e->d_name, "seg-", 4) && !strcmp(e->d_name + 8, ".h5");
		if (segment && strcmp(e->d_name, newest) > 0)
			memcpy(newest, e->d_name, sizeof "seg-0000.h5");
	}
	if (d) closedir(d);
	if (*newest) path = sx_format("%s/%s", live, newest);
	free(live);
	return path;
}

static bool has_file(const char *folder, const char *name)
{
	char *path = sx_format("%s/%s", folder, name);
	bool there = path && sx_path_exists(path);
	free(path);
	return there;
}

/* A folder that is no run's: what it is, if it is one of ours. */
static sx_status refuse_folder(sx_ctx *ctx, const char *path)
{
	if (has_file(path, "study.json"))
		return sx_fail(
			ctx, SX_ENOINPUT,
			"%s is the work folder of a study: name one of its runs or files "
			"(`sextant info %s`), or make its report: `sextant report --work %s`",
			path, path, path);
	if (has_file(path, "analysis.h5"))
		return sx_fail(ctx, SX_ENOINPUT,
			       "%s is a report: name a run or a file that it was made from "
			       "(`sextant info %s`)",
			       path, path);
	return sx_fail(ctx, SX_ENOINPUT, "%s is a folder without run.h5 or live/seg-0000.h5", path);
}

/* The file a path means; the caller's. */
static sx_status locate(sx_ctx *ctx, const char *path, bool tables, char **out)
{
	if (!sx_path_is_dir(path)) {
		*out = sx_strdup(path);
		return *out ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory to read %s", path);
	}
	char *sealed = sx_format("%s/run.h5", path);
	if (!sealed) return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", path);
	if (sx_path_exists(sealed)) {
		*out = sealed;
		return SX_OK;
	}
	free(sealed);
	*out = newest_segment(path);
	if (!*out && tables && has_file(path, "analysis.h5"))
		*out = sx_format("%s/analysis.h5", path);
	return *out ? SX_OK : refuse_folder(ctx, path);
}

static sx_status check_signature(sx_ctx *ctx, const char *path)
{
	static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
	unsigned char head[8];
	FILE *f = sx_path_is_dir(path) ? NULL : fopen(path, "rb");
	if (!f)
		return sx_fail(ctx, SX_ENOINPUT, "cannot read %s: %s", path,
			       sx_path_is_dir(path) ? "it is a folder" : strerror(errno));
	size_t n = fread(head, 1, sizeof head, f);
	fclose(f);
	if (n < sizeof head || memcmp(head, signature, sizeof head) != 0)
		return sx_fail(ctx, SX_EDATA, "%s is not an HDF5 file", path);
	return SX_OK;
}

static sx_status check_schema(sx_run_file *f, bool tables)
{
	char *schema = NULL, *version = NULL;
	sx_status st = SX_OK;
	bool told = sx_run_get_str(f, "/", "schema", &schema) == SX_OK &&
		    sx_run_get_str(f, "/", "schema_version", &version) == SX_OK;
	f->tables = told && strcmp(schema, SX_TABLES_SCHEMA_NAME) == 0;
	if (!told || (!f->tables && strcmp(schema, SX_RUN_SCHEMA_NAME) != 0))
		st = sx_fail(f->ctx, SX_EDATA, "%s is HDF5, but not a run file of sextant",
			     f->path);
	else if (f->tables && !tables)
		st = sx_fail(f->ctx, SX_EDATA,
			     "%s holds the tables of a report, not what was measured: `sextant ls "
			     "%s` lists them, `sextant info %s` says what they were made from",
			     f->path, f->path, f->path);
	else if (strtol(version, NULL, 10) != SX_RUN_SCHEMA_MAJOR)
		st = sx_fail(f->ctx, SX_EDATA,
			     "%s has schema version %s; this program reads version %d.x", f->path,
			     version, SX_RUN_SCHEMA_MAJOR);
	free(schema);
	free(version);
	return st;
}

/* Of what a writer is just writing over, the checksum is wrong at first: HDF5 reads again, waiting twice
 * as long each time. Its own 100 times would never end where a kill has left it so. */
static hid_t open_live(const char *path)
{
	enum { ATTEMPTS = 28 }; /* 2^28 ns in all */
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), file = -1;
	if (fapl >= 0 && H5Pset_metadata_read_attempts(fapl, ATTEMPTS) >= 0)
		file = H5Fopen(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, fapl);
	if (fapl >= 0) H5Pclose(fapl);
	return file;
}

static sx_status open_file(sx_run_file **out, sx_ctx *ctx, const char *path, bool tables)
{
	sx_status st = SX_OK;
	sx_h5_quiet();
	sx_run_file *f = sx_calloc(1, sizeof *f);
	if (!f) return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", path);
	f->ctx = ctx;
	f->file = -1;
	SX_TRY(locate(ctx, path, tables, &f->path));
	SX_TRY(check_signature(ctx, f->path));
	f->file = H5Fopen(f->path, H5F_ACC_RDONLY, H5P_DEFAULT);
	if (f->file < 0) {
		f->file = open_live(f->path);
		f->live = true;
	}
	if (f->file < 0) {
		st = sx_h5_fail(ctx, SX_EDATA,
				"%s does not open: it is damaged, or was not begun properly",
				f->path);
		goto out;
	}
	SX_TRY(check_schema(f, tables));
	*out = f;
	f = NULL;
out:
	sx_run_file_close(f);
	return st;
}

sx_status sx_run_open(sx_run_file **out, sx_ctx *ctx, const char *path)
{
	return open_file(out, ctx, path, false);
}

sx_status sx_run_open_any(sx_run_file **out, sx_ctx *ctx, const char *path)
{
	return open_file(out, ctx, path, true);
}

bool sx_run_is_tables(const sx_run_file *f)
{
	return f->tables;
}

void sx_run_file_close(sx_run_file *f)
{
	if (!f) return;
	if (f->file >= 0) H5Fclose(f->file);
	free(f->path);
	free(f);
}

bool sx_run_is_live(const sx_run_file *f)
{
	return f->live;
}

/* ---- datasets ---- */

/* H5Lexists wants every folder on the way to exist. */
static bool has_path(const sx_run_file *f, const char *path, const char *group)
{
	return H5Lexists(f->file, group, H5P_DEFAULT) > 0 &&
	       H5Lexists(f->file, path, H5P_DEFAULT) > 0;
}

bool sx_run_has(const sx_run_file *f, sx_run_id id)
{
	char group[32];
	sx_run_group(id, group);
	return has_path(f, sx_run_rows[id].path, group);
}

static sx_status check_there(sx_run_file *f, sx_run_id id)
{
	if (sx_run_has(f, id)) return SX_OK;
	return sx_fail(f->ctx, SX_EDATA, "%s has no %s", f->path, sx_run_rows[id].path);
}

/* Opens a dataset and tells its extent. The caller closes *set. */
static sx_status open_set(sx_run_file *f, sx_run_id id, hid_t *set, int64_t *dims, int *ndim)
{
	const char *path = sx_run_rows[id].path;
	sx_run_id axes[SX_RUN_MAX_DIMS];
	hsize_t d[SX_RUN_MAX_DIMS];
	sx_status st = check_there(f, id);
	if (st != SX_OK) return st;
	hid_t s = H5Dopen2(f->file, path, H5P_DEFAULT);
	if (s < 0) return sx_h5_fail(f->ctx, SX_EDATA, "%s of %s does not open", path, f->path);
	hid_t space = H5Dget_space(s);
	int n = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
	if (n != sx_run_axes(id, axes) || H5Sget_simple_extent_dims(space, d, NULL) < 0) {
		if (space >= 0) H5Sclose(space);
		H5Dclose(s);
		return sx_fail(f->ctx, SX_EDATA, "%s of %s has not the axes [%s]", path, f->path,
			       sx_run_rows[id].dims);
	}
	H5Sclose(space);
	for (int i = 0; i < n; i++) dims[i] = (int64_t)d[i];
	*ndim = n;
	*set = s;
	return SX_OK;
}

/* Rows of the growing axis a dataset lies along; looked up before the dataset itself, since a
 * writer extends the axis last. INT64_MAX where there is none. */
static sx_status whole_records(sx_run_file *f, sx_run_id id, int64_t *rows)
{
	sx_run_id axes[SX_RUN_MAX_DIMS];
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	hid_t set;
	sx_run_axes(id, axes);
	*rows = INT64_MAX;
	if (axes[0] == id || !sx_run_is_growing_axis(axes[0])) return SX_OK;
	sx_status st = open_set(f, axes[0], &set, dims, &ndim);
	if (st != SX_OK) return st;
	H5Dclose(set);
	*rows = dims[0];
	return SX_OK;
}

static sx_status open_whole(sx_run_file *f, sx_run_id id, hid_t *set, int64_t *dims, int *ndim)
{
	int64_t rows;
	sx_status st = check_there(f, id);
	if (st == SX_OK) st = whole_records(f, id, &rows);
	if (st == SX_OK) st = open_set(f, id, set, dims, ndim);
	if (st == SX_OK && dims[0] > rows) dims[0] = rows;
	return st;
}

sx_status sx_run_shape(sx_run_file *f, sx_run_id id, int64_t dims[SX_RUN_MAX_DIMS], int *ndim)
{
	hid_t set;
	sx_status st = open_whole(f, id, &set, dims, ndim);
	if (st == SX_OK) H5Dclose(set);
	return st;
}

static sx_status read_block(sx_run_file *f, sx_run_id id, hid_t set, hid_t mem, int ndim,
			    const int64_t *dims, const int64_t *start, const int64_t *count,
			    void *out)
{
	hsize_t at[SX_RUN_MAX_DIMS], n[SX_RUN_MAX_DIMS];
	sx_status st = SX_OK;
	bool empty = false;
	for (int i = 0; i < ndim; i++) {
		int64_t a = start ? start[i] : 0, m = start ? count[i] : dims[i];
		if (a < 0 || m < 0 || a > dims[i] - m)
			return sx_fail(f->ctx, SX_EINTERNAL,
				       "block %lld + %lld leaves axis %d of "
				       "%s in %s, which has %lld",
				       (long long)a, (long long)m, i, sx_run_rows[id].path, f->path,
				       (long long)dims[i]);
		empty = empty || m == 0;
		at[i] = (hsize_t)a;
		n[i] = (hsize_t)m;
	}
	if (empty) return SX_OK;
	hid_t block = H5Screate_simple(ndim, n, NULL), space = H5Dget_space(set);
	if (block < 0 || space < 0 ||
	    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, n, NULL) < 0 ||
	    H5Dread(set, mem, block, space, H5P_DEFAULT, out) < 0)
		st = sx_h5_fail(f->ctx, SX_EDATA, "%s of %s cannot be read: it is damaged",
				sx_run_rows[id].path, f->path);
	if (block >= 0) H5Sclose(block);
	if (space >= 0) H5Sclose(space);
	return st;
}

/* Class and bytes of an element; no bytes where strings vary in length. */
static H5T_class_t class_of(hid_t set, size_t *size)
{
	hid_t type = H5Dget_type(set);
	H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
	bool vary = class == H5T_STRING && H5Tis_variable_str(type) > 0;
	*size = type < 0 || vary ? 0 : H5Tget_size(type);
	if (type >= 0) H5Tclose(type);
	return class;
}

sx_status sx_run_read_as(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			 void *out, sx_run_mem mem)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	hid_t set;
	size_t size;
	sx_status st = open_whole(f, id, &set, dims, &ndim);
	if (st != SX_OK) return st;
	H5T_class_t class = class_of(set, &size);
	bool real = mem == SX_MEM_F64 || mem == SX_MEM_F32;
	if (mem == SX_MEM_STR || (class != H5T_FLOAT && class != H5T_INTEGER) ||
	    (class == H5T_FLOAT && !real)) {
		st = sx_fail(f->ctx, class == H5T_FLOAT ? SX_EINTERNAL : SX_EDATA,
			     "%s of %s does not hold numbers of this kind", sx_run_rows[id].path,
			     f->path);
		goto out;
	}
	const hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_FLOAT, H5T_NATIVE_INT64,
			       H5T_NATIVE_INT32, H5T_NATIVE_UINT8};
	st = read_block(f, id, set, types[mem], ndim, dims, start, count, out);
out:
	H5Dclose(set);
	return st;
}

sx_status sx_run_read_all(sx_run_file *f, sx_run_id id, double **out, int64_t *n)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], total = 1, start[SX_RUN_MAX_DIMS] = {0};
	int ndim;
	double *values = NULL;
	SX_TRY(sx_run_shape(f, id, dims, &ndim));
	for (int i = 0; i < ndim; i++) total *= dims[i];
	values = sx_calloc((size_t)total, sizeof *values);
	if (!values) {
		st = sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[id].path,
			     f->path);
		goto out;
	}
	SX_TRY(sx_run_read(f, id, start, dims, values));
	*out = values;
	*n = total;
	values = NULL;
out:
	free(values);
	return st;
}

/* Copies n texts, each of at most `width` bytes, into one allocation; NULL ones are empty. */
static char **pack_texts(const char *const *texts, size_t n, size_t width)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) bytes += (texts[i] ? strnlen(texts[i], width) : 0) + 1;
	char **out = sx_calloc(n * sizeof *out + bytes, 1);
	char *at = (char *)(out + n);
	for (size_t i = 0; out && i < n; i++) {
		size_t len = texts[i] ? strnlen(texts[i], width) : 0;
		memcpy(at, texts[i] ? texts[i] : "", len);
		out[i] = at;
		at += len + 1;
	}
	return out;
}

/* All n texts of an opened dataset of one axis. */
static sx_status read_texts(sx_run_file *f, sx_run_id id, hid_t set, size_t width, int64_t n,
			    char ***out)
{
	sx_status st = SX_OK;
	bool vary = width == 0;
	hsize_t dim = (hsize_t)n;
	char *raw = sx_calloc((size_t)n, vary ? 1 : width);
	char **at = sx_calloc((size_t)n, sizeof *at);
	hid_t mem = vary ? sx_h5_text_type() : sx_h5_mem_type(SX_DISK_STR, width);
	hid_t space = H5Screate_simple(1, &dim, NULL);
	if (!raw || !at || mem < 0 || space < 0) {
		st = sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[id].path,
			     f->path);
		goto out;
	}
	SX_TRY(read_block(f, id, set, mem, 1, &n, NULL, NULL, vary ? (void *)at : raw));
	for (size_t i = 0; !vary && i < (size_t)n; i++) at[i] = raw + i * width;
	*out = pack_texts((const char *const *)at, (size_t)n, vary ? SIZE_MAX : width);
	if (!*out)
		st = sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[id].path,
			     f->path);
	if (vary && n > 0) H5Dvlen_reclaim(mem, space, H5P_DEFAULT, at);
out:
	if (space >= 0) H5Sclose(space);
	if (mem >= 0) H5Tclose(mem);
	free(raw);
	free(at);
	return st;
}

sx_status sx_run_strings(sx_run_file *f, sx_run_id id, char ***out, int64_t *n)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	hid_t set;
	size_t width;
	char **texts = NULL;
	sx_status st = open_whole(f, id, &set, dims, &ndim);
	if (st != SX_OK) return st;
	if (class_of(set, &width) != H5T_STRING || ndim != 1)
		st = sx_fail(f->ctx, SX_EDATA, "%s of %s does not hold strings",
			     sx_run_rows[id].path, f->path);
	else
		st = read_texts(f, id, set, width, dims[0], &texts);
	H5Dclose(set);
	if (st != SX_OK) return st;
	*out = texts;
	*n = dims[0];
	return SX_OK;
}

/* ---- for the seal ---- */

sx_status sx_run_file_type(sx_run_file *f, sx_run_id id, sx_run_type *type)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	hid_t set;
	size_t bytes;
	sx_status st = open_set(f, id, &set, dims, &ndim);
	if (st != SX_OK) return st;
	sx_run_type t = sx_run_rows[id].type;
	H5T_class_t class = class_of(set, &bytes);
	H5Dclose(set);
	if (t == SX_DISK_F16 && bytes == 4) t = SX_DISK_F32;
	H5T_class_t want = t == SX_DISK_STR   ? H5T_STRING
			   : t <= SX_DISK_F64 ? H5T_FLOAT
					      : H5T_INTEGER;
	if (class != want || (t != SX_DISK_STR && bytes != sx_disk_size(t, 0)))
		return sx_fail(f->ctx, SX_EDATA, "%s of %s is of another type than the schema's",
			       sx_run_rows[id].path, f->path);
	*type = t;
	return SX_OK;
}

sx_status sx_run_read_raw(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			  void *out)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	hid_t set = -1, mem = -1;
	sx_run_type type = SX_DISK_F64;
	sx_status st = SX_OK;
	SX_TRY(sx_run_file_type(f, id, &type));
	SX_TRY(open_whole(f, id, &set, dims, &ndim));
	mem = sx_h5_mem_type(type, 0);
	if (mem < 0) {
		st = sx_h5_fail(f->ctx, SX_EINTERNAL, "no type for %s", sx_run_rows[id].path);
		goto out;
	}
	st = read_block(f, id, set, mem, ndim, dims, start, count, out);
out:
	if (mem >= 0) H5Tclose(mem);
	if (set >= 0) H5Dclose(set);
	return st;
}

/* ---- attributes ---- */

bool sx_run_has_attr(const sx_run_file *f, const char *where, const char *name)
{
	return H5Aexists_by_name(f->file, where, name, H5P_DEFAULT) > 0;
}

/* One attribute, opened. */
typedef struct {
	hid_t attr, type;
	H5T_class_t class;
	int64_t n;
} attribute;

static void close_attr(attribute *a)
{
	if (a->type >= 0) H5Tclose(a->type);
	if (a->attr >= 0) H5Aclose(a->attr);
}

static sx_status open_attr(sx_run_file *f, const char *where, const char *name, attribute *a)
{
	*a = (attribute){-1, -1, H5T_NO_CLASS, -1};
	if (sx_run_has_attr(f, where, name))
		a->attr = H5Aopen_by_name(f->file, where, name, H5P_DEFAULT, H5P_DEFAULT);
	if (a->attr >= 0) a->type = H5Aget_type(a->attr);
	hid_t space = a->attr >= 0 ? H5Aget_space(a->attr) : -1;
	if (a->type >= 0 && space >= 0) {
		a->class = H5Tget_class(a->type);
		a->n = (int64_t)H5Sget_simple_extent_npoints(space);
	}
	if (space >= 0) H5Sclose(space);
	if (a->n >= 0) return SX_OK;
	close_attr(a);
	return sx_fail(f->ctx, SX_EDATA, "%s has no attribute %s on %s", f->path, name, where);
}

static sx_status wrong_attr(sx_run_file *f, const char *where, const char *name)
{
	return sx_h5_fail(f->ctx, SX_EDATA, "attribute %s on %s of %s cannot be read", name, where,
			  f->path);
}

/* The text of an opened attribute, allocated; NULL where it is none. */
static char *attr_text(const attribute *a)
{
	char *text = NULL;
	if (a->class != H5T_STRING || a->n != 1) return NULL;
	if (H5Tis_variable_str(a->type) > 0) {
		char *theirs = NULL;
		hid_t mem = sx_h5_text_type();
		if (mem >= 0 && H5Aread(a->attr, mem, &theirs) >= 0 && theirs)
			text = sx_strdup(theirs);
		if (theirs) H5free_memory(theirs);
		if (mem >= 0) H5Tclose(mem);
	} else {
		text = sx_calloc(H5Tget_size(a->type) + 1, 1);
		if (text && H5Aread(a->attr, a->type, text) < 0) {
			free(text);
			text = NULL;
		}
	}
	return text;
}

sx_status sx_run_get_str(sx_run_file *f, const char *where, const char *name, char **out)
{
	attribute a;
	sx_status st = open_attr(f, where, name, &a);
	if (st != SX_OK) return st;
	char *text = attr_text(&a);
	if (text)
		*out = text;
	else
		st = wrong_attr(f, where, name);
	close_attr(&a);
	return st;
}

sx_status sx_run_get_ints(sx_run_file *f, const char *where, const char *name, int64_t **out,
			  int64_t *n)
{
	attribute a;
	int64_t *values = NULL;
	sx_status st = open_attr(f, where, name, &a);
	if (st != SX_OK) return st;
	values = sx_calloc((size_t)a.n, sizeof *values);
	if (!values) {
		st = sx_fail(f->ctx, SX_ENOMEM, "no memory for attribute %s", name);
	} else if (a.class != H5T_INTEGER || H5Aread(a.attr, H5T_NATIVE_INT64, values) < 0) {
		st = wrong_attr(f, where, name);
	} else {
		*out = values;
		*n = a.n;
		values = NULL;
	}
	free(values);
	close_attr(&a);
	return st;
}

sx_status sx_run_get_int(sx_run_file *f, const char *where, const char *name, int64_t *out)
{
	attribute a;
	int64_t value;
	sx_status st = open_attr(f, where, name, &a);
	if (st != SX_OK) return st;
	if (a.class != H5T_INTEGER || a.n != 1 || H5Aread(a.attr, H5T_NATIVE_INT64, &value) < 0)
		st = wrong_attr(f, where, name);
	else
		*out = value;
	close_attr(&a);
	return st;
}

sx_status sx_run_get_real(sx_run_file *f, const char *where, const char *name, double *out)
{
	attribute a;
	double value;
	sx_status st = open_attr(f, where, name, &a);
	if (st != SX_OK) return st;
	if ((a.class != H5T_FLOAT && a.class != H5T_INTEGER) || a.n != 1 ||
	    H5Aread(a.attr, H5T_NATIVE_DOUBLE, &value) < 0)
		st = wrong_attr(f, where, name);
	else
		*out = value;
	close_attr(&a);
	return st;
}

/* ---- listing ---- */

typedef struct {
	sx_run_file *f;
	sx_status (*fn)(void *self, const sx_run_item *item);
	void *self;
	sx_status st;
} walker;

static void type_name(hid_t set, char out[16])
{
	size_t size;
	H5T_class_t class = class_of(set, &size);
	if (class == H5T_STRING)
		snprintf(out, 16, "str");
	else if (class == H5T_FLOAT || class == H5T_INTEGER)
		snprintf(out, 16, "%s%zu",
			 class == H5T_FLOAT ? "f"
			 : size == 1        ? "u"
					    : "i",
			 8 * size);
	else
		snprintf(out, 16, "other");
}

/* Labels name the axes; a scale without a label is its own axis. */
static void axis_names(hid_t set, int ndim, const char *path, char names[][64])
{
	for (int i = 0; i < ndim; i++) {
		names[i][0] = '\0';
		ssize_t len = H5DSget_label(set, (unsigned)i, names[i], sizeof names[i]);
		if (len <= 0) names[i][0] = '\0';
	}
	if (ndim == 1 && names[0][0] == '\0' && H5DSis_scale(set) > 0)
		snprintf(names[0], sizeof names[0], "%s", strrchr(path, '/') + 1);
}

/* Lengths of a dataset; returns how many, -1 where there are more than a run file's has. */
static int extent_of(hid_t set, int64_t dims[SX_RUN_MAX_DIMS])
{
	hsize_t d[H5S_MAX_RANK];
	hid_t space = H5Dget_space(set);
	int ndim = space < 0 ? -1 : H5Sget_simple_extent_dims(space, d, NULL);
	if (space >= 0) H5Sclose(space);
	if (ndim > SX_RUN_MAX_DIMS) ndim = -1;
	for (int i = 0; i < ndim; i++) dims[i] = (int64_t)d[i];
	return ndim;
}

int64_t sx_run_axis_length(const sx_run_file *f, const char *path, const char *axis)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	char *name = sx_format("%.*s/%s", (int)(strrchr(path, '/') - path), path, axis);
	bool there = name && *axis && H5Lexists(f->file, name, H5P_DEFAULT) > 0;
	hid_t set = there ? H5Dopen2(f->file, name, H5P_DEFAULT) : -1;
	int ndim = set < 0 ? -1 : extent_of(set, dims);
	if (set >= 0) H5Dclose(set);
	free(name);
	return ndim == 1 ? dims[0] : -1;
}

static char *optional_text(const sx_run_file *f, const char *path, const char *name)
{
	sx_run_file silent = *f;
	char *text = NULL;
	silent.ctx = NULL;
	if (!sx_run_has_attr(f, path, name) || sx_run_get_str(&silent, path, name, &text) != SX_OK)
		return NULL;
	return text;
}

static void describe_set(walker *w, hid_t set, const char *path)
{
	char type[16], names[SX_RUN_MAX_DIMS][64];
	int64_t dims[SX_RUN_MAX_DIMS], rows = -1;
	sx_run_item item = {.path = path, .type = type};
	int ndim = extent_of(set, dims);
	if (ndim >= 0) axis_names(set, ndim, path, names);
	/* A writer extends the axis last, so it is looked up first. */
	if (ndim > 0 && sx_run_name_grows(names[0])) {
		rows = sx_run_axis_length(w->f, path, names[0]);
		if (w->f->live) ndim = H5Drefresh(set) < 0 ? -1 : extent_of(set, dims);
	}
	if (ndim < 0) {
		w->st = sx_fail(w->f->ctx, SX_EDATA,
				"%s of %s cannot be read, or has more axes than a run file's", path,
				w->f->path);
		return;
	}
	item.ndim = ndim;
	type_name(set, type);
	for (int i = 0; i < ndim; i++) {
		item.dims[i] = dims[i];
		item.axes[i] = names[i];
	}
	if (rows >= 0) {
		item.torn = dims[0] - rows;
		if (item.torn > 0) item.dims[0] = rows;
	}
	char *units = optional_text(w->f, path, "units");
	char *long_name = optional_text(w->f, path, "long_name");
	item.units = units ? units : "";
	item.long_name = long_name ? long_name : "";
	item.stored = (int64_t)H5Dget_storage_size(set);
	w->st = w->fn(w->self, &item);
	free(units);
	free(long_name);
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *self)
{
	walker *w = self;
	if (info->type != H5O_TYPE_DATASET) return 0;
	char *path = sx_format("/%s", name);
	hid_t set = path ? H5Dopen2(root, path, H5P_DEFAULT) : -1;
	if (!path)
		w->st = sx_fail(w->f->ctx, SX_ENOMEM, "no memory to list %s", w->f->path);
	else if (set < 0)
		w->st = sx_h5_fail(w->f->ctx, SX_EDATA, "%s of %s does not open", path, w->f->path);
	else
		describe_set(w, set, path);
	if (set >= 0) H5Dclose(set);
	free(path);
	return w->st == SX_OK ? 0 : 1;
}

sx_status sx_run_walk(sx_run_file *f, sx_status (*fn)(void *self, const sx_run_item *item),
		      void *self)
{
	walker w = {f, fn, self, SX_OK};
	/* Files of ours track the order of creation; other people's may not. */
	if (H5Ovisit2(f->file, H5_INDEX_CRT_ORDER, H5_ITER_INC, visit, &w, H5O_INFO_BASIC) < 0 &&
	    w.st == SX_OK &&
	    H5Ovisit2(f->file, H5_INDEX_NAME, H5_ITER_INC, visit, &w, H5O_INFO_BASIC) < 0 &&
	    w.st == SX_OK)
		return sx_h5_fail(f->ctx, SX_EDATA, "%s cannot be listed: it is damaged", f->path);
	return w.st;
}

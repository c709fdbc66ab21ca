/* Reading a run file, whole, live or left by a kill. Nothing in the file is trusted: what does not
 * fit the schema is SX_EDATA. */
#include "probes/runfile/priv.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
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

sx_status sx_run_shape(sx_run_file *f, sx_run_id id, int64_t dims[SX_RUN_MAX_DIMS], int *ndim)
{
	sx_run_set s;
	sx_status st = sx_run_open_set(f, id, &s);
	if (st != SX_OK) return st;
	H5Dclose(s.set);
	memcpy(dims, s.dims, (size_t)s.ndim * sizeof *dims);
	*ndim = s.ndim;
	return SX_OK;
}

/* How many elements a block has; SX_EINTERNAL where it leaves the dataset. */
static sx_status measure(sx_run_file *f, sx_run_id id, const sx_run_set *s, const int64_t *start,
			 const int64_t *count, hsize_t *at, hsize_t *n, int64_t *total)
{
	*total = 1;
	for (int i = 0; i < s->ndim; i++) {
		int64_t a = start ? start[i] : 0, m = start ? count[i] : s->dims[i];
		if (a < 0 || m < 0 || a > s->dims[i] - m)
			return sx_fail(f->ctx, SX_EINTERNAL,
				       "block %lld + %lld leaves axis %d of "
				       "%s in %s, which has %lld",
				       (long long)a, (long long)m, i, sx_run_rows[id].path, f->path,
				       (long long)s->dims[i]);
		*total *= m;
		at[i] = (hsize_t)a;
		n[i] = (hsize_t)m;
	}
	return SX_OK;
}

sx_status sx_run_read_block(sx_run_file *f, sx_run_id id, const sx_run_set *s, hid_t mem,
			    const int64_t *start, const int64_t *count, void *out)
{
	hsize_t at[SX_RUN_MAX_DIMS], n[SX_RUN_MAX_DIMS];
	int64_t total;
	sx_status st = measure(f, id, s, start, count, at, n, &total);
	if (st != SX_OK || total == 0) return st;
	hid_t block = H5Screate_simple(s->ndim, n, NULL), space = H5Dget_space(s->set);
	if (block < 0 || space < 0 ||
	    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, n, NULL) < 0 ||
	    H5Dread(s->set, mem, block, space, H5P_DEFAULT, out) < 0)
		st = sx_h5_fail(f->ctx, SX_EDATA, "%s of %s cannot be read: it is damaged",
				sx_run_rows[id].path, f->path);
	if (block >= 0) H5Sclose(block);
	if (space >= 0) H5Sclose(space);
	return st;
}

static int64_t elements(const sx_run_set *s, const int64_t *count)
{
	int64_t n = 1;
	for (int i = 0; i < s->ndim; i++) n *= count ? count[i] : s->dims[i];
	return n;
}

sx_status sx_run_read_as(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			 void *out, sx_run_mem mem)
{
	const hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_FLOAT, H5T_NATIVE_INT64,
			       H5T_NATIVE_INT32, H5T_NATIVE_UINT8};
	sx_run_set s;
	bool real = mem == SX_MEM_F64 || mem == SX_MEM_F32;
	sx_status st = sx_run_open_set(f, id, &s);
	if (st != SX_OK) return st;
	if (mem == SX_MEM_STR || s.type == SX_DISK_STR || (s.type <= SX_DISK_F64 && !real))
		st = sx_fail(f->ctx, SX_EINTERNAL, "%s of %s does not hold numbers of this kind",
			     sx_run_rows[id].path, f->path);
	if (st == SX_OK) st = sx_run_read_block(f, id, &s, types[mem], start, count, out);
	if (st == SX_OK)
		st = sx_run_check_values(f, id, out, mem, elements(&s, start ? count : NULL));
	H5Dclose(s.set);
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

/* Whoever prints a text or puts it into JSON relies on that. */
static bool is_utf8(const char *text)
{
	json_t *made = json_string(text);
	json_decref(made);
	return made != NULL;
}

sx_status sx_run_read_texts(sx_run_file *f, sx_run_id id, const sx_run_set *s, char ***out)
{
	sx_status st = SX_OK;
	bool vary = s->width == 0;
	size_t n = (size_t)s->dims[0], width = s->width;
	hsize_t dim = n;
	char *raw = sx_calloc(n, vary ? 1 : width), **texts = NULL;
	char **at = sx_calloc(n, sizeof *at);
	hid_t mem = vary ? sx_h5_text_type() : sx_h5_mem_type(SX_DISK_STR, width);
	hid_t space = H5Screate_simple(1, &dim, NULL);
	if (!raw || !at || mem < 0 || space < 0)
		SX_TRY(sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[id].path,
			       f->path));
	SX_TRY(sx_run_read_block(f, id, s, mem, NULL, NULL, vary ? (void *)at : raw));
	for (size_t i = 0; !vary && i < n; i++) at[i] = raw + i * width;
	texts = pack_texts((const char *const *)at, n, vary ? SIZE_MAX : width);
	if (vary && n > 0) H5Dvlen_reclaim(mem, space, H5P_DEFAULT, at);
	if (!texts)
		SX_TRY(sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[id].path,
			       f->path));
	for (size_t i = 0; i < n; i++)
		if (!is_utf8(texts[i]))
			SX_TRY(sx_run_misfit(f, id, "has a text that is not UTF-8: it is damaged"));
	*out = texts;
	texts = NULL;
out:
	if (space >= 0) H5Sclose(space);
	if (mem >= 0) H5Tclose(mem);
	free(texts);
	free(raw);
	free(at);
	return st;
}

sx_status sx_run_strings(sx_run_file *f, sx_run_id id, char ***out, int64_t *n)
{
	sx_run_set s;
	sx_status st = sx_run_open_set(f, id, &s);
	if (st != SX_OK) return st;
	if (s.type != SX_DISK_STR)
		st = sx_fail(f->ctx, SX_EINTERNAL, "%s of %s does not hold strings",
			     sx_run_rows[id].path, f->path);
	else
		st = sx_run_read_texts(f, id, &s, out);
	H5Dclose(s.set);
	if (st == SX_OK) *n = s.dims[0];
	return st;
}

/* ---- for the seal ---- */

sx_status sx_run_file_type(sx_run_file *f, sx_run_id id, sx_run_type *type)
{
	sx_run_set s;
	sx_status st = sx_run_open_set(f, id, &s);
	if (st != SX_OK) return st;
	H5Dclose(s.set);
	*type = s.type;
	return SX_OK;
}

sx_status sx_run_read_raw(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			  void *out)
{
	static const sx_run_mem whole[] = {[SX_DISK_I32] = SX_MEM_I32,
					   [SX_DISK_I64] = SX_MEM_I64,
					   [SX_DISK_FLAGS] = SX_MEM_U8};
	sx_run_set s;
	sx_status st = sx_run_open_set(f, id, &s);
	if (st != SX_OK) return st;
	hid_t mem = sx_h5_mem_type(s.type, s.width);
	if (mem < 0) st = sx_h5_fail(f->ctx, SX_EINTERNAL, "no type for %s", sx_run_rows[id].path);
	if (st == SX_OK) st = sx_run_read_block(f, id, &s, mem, start, count, out);
	if (st == SX_OK && s.type > SX_DISK_F64 && s.type != SX_DISK_STR)
		st = sx_run_check_values(f, id, out, whole[s.type],
					 elements(&s, start ? count : NULL));
	if (mem >= 0) H5Tclose(mem);
	H5Dclose(s.set);
	return st;
}

/* ---- attributes ---- */

bool sx_run_has_attr(const sx_run_file *f, const char *where, const char *name)
{
	return sx_run_is_own(f, where) && H5Aexists_by_name(f->file, where, name, H5P_DEFAULT) > 0;
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

/* Type and length of an attribute, if it is open. */
static bool measure_attr(attribute *a)
{
	hid_t space = a->attr >= 0 ? H5Aget_space(a->attr) : -1;
	if (a->attr >= 0) a->type = H5Aget_type(a->attr);
	if (a->type >= 0 && space >= 0) {
		a->class = H5Tget_class(a->type);
		a->n = (int64_t)H5Sget_simple_extent_npoints(space);
	}
	if (space >= 0) H5Sclose(space);
	return a->n >= 0;
}

static sx_status open_attr(sx_run_file *f, const char *where, const char *name, attribute *a)
{
	*a = (attribute){-1, -1, H5T_NO_CLASS, -1};
	if (sx_run_has_attr(f, where, name))
		a->attr = H5Aopen_by_name(f->file, where, name, H5P_DEFAULT, H5P_DEFAULT);
	if (measure_attr(a)) return SX_OK;
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
	if (a->type < 0 || a->class != H5T_STRING || a->n != 1) return NULL;
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
	if (text && is_utf8(text)) return text;
	free(text);
	return NULL;
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
	bool whole = a.class == H5T_INTEGER && (int64_t)H5Aget_storage_size(a.attr) >= a.n;
	values = whole ? sx_calloc((size_t)a.n, sizeof *values) : NULL;
	if (whole && !values) {
		st = sx_fail(f->ctx, SX_ENOMEM, "no memory for attribute %s", name);
	} else if (!whole || H5Aread(a.attr, H5T_NATIVE_INT64, values) < 0) {
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

static bool open_own_attr(hid_t set, const char *name, attribute *a)
{
	*a = (attribute){-1, -1, H5T_NO_CLASS, -1};
	if (H5Aexists(set, name) > 0) a->attr = H5Aopen(set, name, H5P_DEFAULT);
	return measure_attr(a);
}

static bool is_scale(hid_t set)
{
	attribute a;
	char *class = open_own_attr(set, "CLASS", &a) ? attr_text(&a) : NULL;
	bool scale = class && strcmp(class, "DIMENSION_SCALE") == 0;
	close_attr(&a);
	free(class);
	return scale;
}

/* Labels name the axes; a scale without a label is its own axis. HDF5's own H5DSget_label takes it on
 * trust that there is one label an axis. */
static void axis_names(hid_t set, int ndim, const char *path, char names[][64])
{
	attribute a;
	char *label[SX_RUN_MAX_DIMS] = {NULL};
	bool there = open_own_attr(set, "DIMENSION_LABELS", &a) && a.class == H5T_STRING &&
		     a.n == ndim && H5Tis_variable_str(a.type) > 0;
	there = there && H5Aread(a.attr, a.type, label) >= 0;
	for (int i = 0; i < ndim; i++) {
		bool named = there && label[i] && is_utf8(label[i]);
		snprintf(names[i], sizeof names[i], "%s", named ? label[i] : "");
		if (label[i]) H5free_memory(label[i]);
	}
	close_attr(&a);
	if (ndim == 1 && names[0][0] == '\0' && is_scale(set))
		snprintf(names[0], sizeof names[0], "%s", strrchr(path, '/') + 1);
}

/* Lengths of a dataset; returns how many, -1 where the file does not tell. Of more than a run file's
 * has only these. */
static int extent_of(hid_t set, int64_t dims[SX_RUN_MAX_DIMS])
{
	hsize_t d[H5S_MAX_RANK];
	hid_t space = H5Dget_space(set);
	int ndim = space < 0 ? -1 : H5Sget_simple_extent_dims(space, d, NULL);
	if (space >= 0) H5Sclose(space);
	if (ndim > SX_RUN_MAX_DIMS) ndim = SX_RUN_MAX_DIMS;
	for (int i = 0; i < ndim; i++) dims[i] = (int64_t)d[i];
	return ndim;
}

int64_t sx_run_axis_length(const sx_run_file *f, const char *path, const char *axis)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	char *name = sx_format("%.*s/%s", (int)(strrchr(path, '/') - path), path, axis);
	bool there = name && *axis && sx_run_is_own(f, name);
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
		w->st = sx_fail(w->f->ctx, SX_EDATA, "%s of %s cannot be read: it is damaged", path,
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
	item.stored = sx_run_stored(set, dims, ndim);
	if (item.stored < 0) item.stored = 0; /* a shape that nothing was stored of */
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

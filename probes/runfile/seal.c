/* Merging the live segments of a run into one sealed file, the newest attempt first. */
#include "probes/runfile/priv.h"

#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_BYTES = 8 << 20, /* copied at a time                                              */
	MOST_CHUNK = 128 << 20 /* packed: of more than 64 MiB none is read (fit.c)               */
};

/* Where a record stands in a run: the weights it was measured on. */
typedef struct {
	int64_t step;
	int phase;
} key;

static bool before(key a, key b)
{
	return a.step < b.step || (a.step == b.step && a.phase < b.phase);
}

typedef struct {
	sx_ctx *ctx;
	sx_run *out;
	sx_run_file **seg; /* (n), oldest first */
	int n;
	void *block; /* BLOCK_BYTES, or one record if that is larger */
	size_t block_size;
	/* of damaged segments */
	bool *bad; /* (n, SX_RUN_COUNT) not to be read; NULL: damage is a failure */
	sx_run_lost *lost;
	void *self;
	char *left_out; /* what was lost, as a list */
} seal;

/* ---- attributes ---- */

typedef struct {
	hid_t to;
	bool replace;
	bool unread, unwritten;
} attr_copy;

static bool is_ours(const char *name)
{
	/* Written by the library, by the writer, or meant for one segment. */
	static const char *const names[] = {
		"CLASS",  "NAME",           "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS",
		"schema", "schema_version", "status",         "start_step"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i])) return true;
	return false;
}

static herr_t copy_attr(hid_t from, const char *name, const H5A_info_t *info, void *self)
{
	(void)info;
	attr_copy *c = self;
	bool there = H5Aexists(c->to, name) > 0;
	if (is_ours(name) || (there && !c->replace)) return 0;
	hid_t src = H5Aopen(from, name, H5P_DEFAULT), dst = -1;
	hid_t type = src < 0 ? -1 : H5Aget_type(src), space = src < 0 ? -1 : H5Aget_space(src);
	hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
	void *value = type < 0 || n < 0 ? NULL : sx_calloc((size_t)n, H5Tget_size(type));
	herr_t e = value && H5Aread(src, type, value) >= 0 ? 0 : -1;
	c->unread = e < 0;
	if (!c->unread && there) e = H5Adelete(c->to, name);
	if (e >= 0) dst = H5Acreate2(c->to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	if (dst >= 0) e = H5Awrite(dst, type, value);
	if (dst >= 0 && H5Aclose(dst) < 0) e = -1;
	c->unwritten = !c->unread && (dst < 0 || e < 0);
	if (!c->unread) H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
	free(value);
	if (type >= 0) H5Tclose(type);
	if (space >= 0) H5Sclose(space);
	if (src >= 0) H5Aclose(src);
	return c->unread || c->unwritten ? -1 : 0;
}

/* Leaves a part of a segment out, and says so. */
static sx_status leave_out(seal *s, const char *segment, const char *path, const char *why)
{
	const char *slash = strrchr(segment, '/'), *had = s->left_out ? s->left_out : "";
	char *all = sx_format("%s%s%s%s%s", had, *had ? "; " : "", slash ? slash + 1 : segment,
			      *path ? " " : "", path);
	if (!all) return sx_fail(s->ctx, SX_ENOMEM, "no memory to seal");
	free(s->left_out);
	s->left_out = all;
	s->lost(s->self, segment, path, why);
	return SX_OK;
}

static sx_status copy_attrs(seal *s, const sx_run_file *from, const char *path, bool replace)
{
	attr_copy c = {-1, replace, false, false};
	bool own = sx_run_is_own(from, path);
	hid_t src = own ? H5Oopen(sx_run_file_hid(from), path, H5P_DEFAULT) : -1;
	c.to = H5Oopen(s->out->file, path, H5P_DEFAULT);
	herr_t e = src < 0 || c.to < 0
			   ? -1
			   : H5Aiterate2(src, H5_INDEX_NAME, H5_ITER_INC, NULL, copy_attr, &c);
	sx_status st = SX_OK;
	bool written = c.to >= 0 && H5Oclose(c.to) >= 0 && !c.unwritten;
	if (e < 0 && written && s->bad)
		st = leave_out(s, sx_run_file_path(from), path, "not all attributes can be read");
	else if (e < 0 || !written)
		st = sx_h5_fail(s->ctx, SX_EIO, "cannot copy the attributes of %s from %s", path,
				sx_run_file_path(from));
	if (src >= 0) H5Oclose(src);
	return st;
}

/* ---- what does not grow ---- */

static bool has(const seal *s, int k, sx_run_id id)
{
	return !(s->bad && s->bad[k * SX_RUN_COUNT + (int)id]) && sx_run_has(s->seg[k], id);
}

static sx_run_file *newest_with(const seal *s, sx_run_id id)
{
	for (int k = s->n - 1; k >= 0; k--)
		if (has(s, k, id)) return s->seg[k];
	return NULL;
}

static sx_status copy_axis(seal *s, sx_run_file *from, sx_run_id id)
{
	sx_status st = SX_OK;
	char **texts = NULL;
	void *values = NULL; /* doubles or whole numbers, eight bytes either way */
	int64_t dims[SX_RUN_MAX_DIMS], n;
	int ndim;
	sx_run_type type = sx_run_rows[id].type;
	sx_run_mem mem = type <= SX_DISK_F64 ? SX_MEM_F64 : SX_MEM_I64;
	if (type == SX_DISK_STR) {
		SX_TRY(sx_run_strings(from, id, &texts, &n));
		SX_TRY(sx_run_axis(s->out, id, n, texts));
	} else {
		SX_TRY(sx_run_shape(from, id, dims, &ndim));
		values = sx_calloc((size_t)dims[0], sizeof(double));
		if (!values) {
			st = sx_fail(s->ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path);
			goto out;
		}
		SX_TRY(sx_run_read_as(from, id, NULL, NULL, values, mem));
		SX_TRY(sx_run_axis_as(s->out, id, dims[0], values, mem));
	}
out:
	free(texts);
	free(values);
	return st;
}

static sx_status copy_document(seal *s, sx_run_file *from, sx_run_id id)
{
	char **text = NULL;
	int64_t n = 0;
	sx_status st = sx_run_strings(from, id, &text, &n);
	if (st == SX_OK && n == 1) st = sx_run_meta(s->out, id, text[0]);
	free(text);
	return st;
}

static sx_status need_block(seal *s, size_t bytes)
{
	if (bytes <= s->block_size) return SX_OK;
	void *grown = sx_grow(s->block, bytes, 1);
	if (!grown) return sx_fail(s->ctx, SX_ENOMEM, "no memory to copy %zu bytes", bytes);
	s->block = grown;
	s->block_size = bytes;
	return SX_OK;
}

static sx_status copy_texts(seal *s, sx_run_file *f, sx_run_id id, int64_t from, int64_t to,
			    int64_t at)
{
	char **texts = NULL;
	int64_t n, count = to - from;
	sx_status st = sx_run_strings(f, id, &texts, &n);
	if (st == SX_OK) st = sx_run_put_block(s->out, id, &at, &count, texts + from);
	free(texts);
	return st;
}

/* ---- maps, chunk by chunk, as they are ---- */

static bool same_chunks(hid_t a, hid_t b)
{
	hsize_t x[SX_RUN_MAX_DIMS], y[SX_RUN_MAX_DIMS];
	int n = H5Pget_chunk(a, SX_RUN_MAX_DIMS, x), filters = H5Pget_nfilters(a);
	if (n < 0 || n != H5Pget_chunk(b, SX_RUN_MAX_DIMS, y) || filters != H5Pget_nfilters(b) ||
	    memcmp(x, y, (size_t)n * sizeof *x) != 0)
		return false;
	for (unsigned i = 0; i < (unsigned)filters; i++) {
		size_t p = 0, q = 0; /* parameters: none are asked for */
		if (H5Pget_filter2(a, i, NULL, &p, NULL, 0, NULL, NULL) !=
		    H5Pget_filter2(b, i, NULL, &q, NULL, 0, NULL, NULL))
			return false;
	}
	return true;
}

/* The dataset of f where its chunks can stand in the sealed file as they are, else negative. Types
 * are alike: `define` sees to it. */
static hid_t open_alike(const seal *s, const sx_run_file *f, sx_run_id id)
{
	hid_t set = H5Dopen2(sx_run_file_hid(f), sx_run_rows[id].path, H5P_DEFAULT);
	hid_t a = set < 0 ? -1 : H5Dget_create_plist(set);
	hid_t b = H5Dget_create_plist(s->out->col[id].set);
	bool alike = a >= 0 && b >= 0 && same_chunks(a, b);
	if (a >= 0) H5Pclose(a);
	if (b >= 0) H5Pclose(b);
	if (alike) return set;
	if (set >= 0) H5Dclose(set);
	return -1;
}

static sx_status damaged(seal *s, const sx_run_file *f, sx_run_id id)
{
	return sx_h5_fail(s->ctx, SX_EDATA, "%s of %s cannot be read: it is damaged",
			  sx_run_rows[id].path, sx_run_file_path(f));
}

static sx_status copy_chunk(seal *s, const sx_run_file *f, sx_run_id id, hid_t set,
			    const int64_t *start, int64_t at)
{
	hsize_t where[SX_RUN_MAX_DIMS], bytes = 0;
	haddr_t address = HADDR_UNDEF;
	int64_t to[SX_RUN_MAX_DIMS];
	unsigned skipped = 0;
	uint32_t mask = 0;
	sx_status st = SX_OK;
	int ndim = s->out->col[id].ndim;
	memcpy(to, start, (size_t)ndim * sizeof *to);
	to[0] = at;
	for (int i = 0; i < ndim; i++) where[i] = (hsize_t)start[i];
	if (H5Dget_chunk_info_by_coord(set, where, &skipped, &address, &bytes) < 0)
		return damaged(s, f, id);
	if (address == HADDR_UNDEF) return SX_OK;
	if (bytes > MOST_CHUNK) return damaged(s, f, id);
	SX_TRY(need_block(s, bytes));
	if (skipped || H5Dread_chunk(set, H5P_DEFAULT, where, &mask, s->block) < 0)
		return damaged(s, f, id);
	SX_TRY(sx_run_put_chunk(s->out, id, to, s->block, (int64_t)bytes));
out:
	return st;
}

/* Records [from, to) of maps, to `at`. */
static sx_status copy_maps(seal *s, const sx_run_file *f, sx_run_id id, hid_t set, int64_t from,
			   int64_t to, int64_t at)
{
	const int64_t *dims = s->out->col[id].dims;
	int64_t edge = sx_run_map_edge(dims[2]), c[SX_RUN_MAX_DIMS] = {0};
	sx_status st = SX_OK;
	for (c[0] = from; c[0] < to; c[0]++)
		for (c[1] = 0; c[1] < dims[1]; c[1]++)
			for (c[2] = 0; c[2] < dims[2]; c[2] += edge)
				for (c[3] = 0; c[3] < dims[3]; c[3] += edge)
					SX_TRY(copy_chunk(s, f, id, set, c, at + c[0] - from));
out:
	return st;
}

/* Rows [from, to) of a dataset, to `at` in the sealed file. */
static sx_status copy_rows(seal *s, sx_run_file *f, sx_run_id id, int64_t from, int64_t to,
			   int64_t at)
{
	sx_status st = SX_OK;
	int64_t start[SX_RUN_MAX_DIMS] = {0}, count[SX_RUN_MAX_DIMS];
	int ndim;
	sx_run_type type;
	if (sx_run_rows[id].type == SX_DISK_STR) return copy_texts(s, f, id, from, to, at);
	hid_t alike = sx_run_is_map(id) ? open_alike(s, f, id) : -1;
	if (alike >= 0) {
		st = copy_maps(s, f, id, alike, from, to, at);
		H5Dclose(alike);
		return st;
	}
	SX_TRY(sx_run_shape(f, id, count, &ndim));
	SX_TRY(sx_run_file_type(f, id, &type));
	size_t record = sx_disk_size(type, 0);
	for (int i = 1; i < ndim; i++) record *= (size_t)count[i];
	int64_t most = record < BLOCK_BYTES ? (int64_t)(BLOCK_BYTES / record) : 1;
	for (; from < to; from += count[0], at += count[0]) {
		count[0] = to - from < most ? to - from : most;
		SX_TRY(need_block(s, (size_t)count[0] * record));
		start[0] = from;
		SX_TRY(sx_run_read_raw(f, id, start, count, s->block));
		start[0] = at;
		SX_TRY(sx_run_put_raw(s->out, id, start, count, s->block));
	}
out:
	return st;
}

static sx_status define(seal *s, sx_run_file *from, sx_run_id id)
{
	sx_run_type type;
	sx_status st = sx_run_file_type(from, id, &type);
	if (st != SX_OK) return st;
	return type == sx_run_rows[id].type ? sx_run_define(s->out, id)
					    : sx_run_define_f32(s->out, id);
}

/* Shapes after the first axis, and types, must be those of the newest segment. */
static sx_status check_alike(seal *s, sx_run_file *model, sx_run_file *f, sx_run_id id)
{
	sx_status st = SX_OK;
	int64_t a[SX_RUN_MAX_DIMS], b[SX_RUN_MAX_DIMS];
	int n, m;
	sx_run_type t, u;
	SX_TRY(sx_run_shape(model, id, a, &n));
	SX_TRY(sx_run_shape(f, id, b, &m));
	SX_TRY(sx_run_file_type(model, id, &t));
	SX_TRY(sx_run_file_type(f, id, &u));
	if (t != u || memcmp(a + 1, b + 1, (size_t)(n - 1) * sizeof *a) != 0)
		st = sx_fail(s->ctx, SX_EDATA,
			     "%s differs in shape between %s and %s: they are not of one run",
			     sx_run_rows[id].path, sx_run_file_path(model), sx_run_file_path(f));
out:
	return st;
}

/* ---- what grows ---- */

/* The records of one growing axis in one segment. */
typedef struct {
	int64_t n;
	key *at;    /* (n), NULL where the file does not tell */
	bool *keep; /* (n) */
} records;

static void free_records(records *r)
{
	free(r->at);
	free(r->keep);
}

/* The rows that say which step and phase a record belongs to: SX_RUN_COUNT where there is none. */
static void key_rows(sx_run_id axis, sx_run_id *step, sx_run_id *phase)
{
	bool sample = !strcmp(sx_run_name(axis), "sample");
	*step = sx_run_sibling(axis, sample ? "sample_step" : "step");
	*phase = sx_run_sibling(axis, sample ? "sample_phase" : "phase");
}

static sx_status load_records(seal *s, int k, sx_run_id axis, records *r)
{
	sx_run_file *f = s->seg[k];
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], *step = NULL, *phase = NULL;
	int ndim;
	sx_run_id step_row, phase_row;
	memset(r, 0, sizeof *r);
	if (!has(s, k, axis)) return SX_OK;
	SX_TRY(sx_run_shape(f, axis, dims, &ndim));
	size_t n = (size_t)dims[0];
	r->keep = sx_calloc(n, sizeof *r->keep);
	r->at = sx_calloc(n, sizeof *r->at);
	step = sx_calloc(n, sizeof *step);
	phase = sx_calloc(n, sizeof *phase);
	if (!r->keep || !r->at || !step || !phase) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for the records of %s",
			     sx_run_file_path(f));
		goto out;
	}
	r->n = dims[0];
	key_rows(axis, &step_row, &phase_row);
	if (!sx_run_has(f, step_row)) {
		st = sx_fail(s->ctx, SX_EDATA, "%s does not tell the steps of %s",
			     sx_run_file_path(f), sx_run_rows[axis].path);
		goto out;
	}
	SX_TRY(sx_run_read(f, step_row, NULL, NULL, step));
	if (phase_row != SX_RUN_COUNT && sx_run_has(f, phase_row))
		SX_TRY(sx_run_read(f, phase_row, NULL, NULL, phase));
	for (size_t i = 0; i < n; i++) r->at[i] = (key){step[i], (int)phase[i]};
out:
	free(step);
	free(phase);
	return st;
}

/* Marks what later segments leave of every segment; returns the number kept. */
static sx_status choose_records(seal *s, records *r, int64_t *kept)
{
	key limit = {INT64_MAX, 0}; /* records must come before it   */
	int64_t last = INT64_MAX;   /* and not lie beyond this step  */
	*kept = 0;
	for (int k = s->n - 1; k >= 0; k--) {
		for (int64_t i = 0; i < r[k].n; i++) {
			r[k].keep[i] = before(r[k].at[i], limit) && r[k].at[i].step <= last;
			*kept += r[k].keep[i];
		}
		for (int64_t i = 0; i < r[k].n; i++)
			if (before(r[k].at[i], limit)) limit = r[k].at[i];
		if (sx_run_has_attr(s->seg[k], "/", "start_step")) {
			int64_t start;
			sx_status st = sx_run_get_int(s->seg[k], "/", "start_step", &start);
			if (st != SX_OK) return st;
			if (start < last) last = start;
		}
	}
	return SX_OK;
}

static sx_status copy_kept(seal *s, const records *r, sx_run_id axis, sx_run_id id)
{
	sx_status st = SX_OK;
	int64_t at = 0;
	for (int k = 0; k < s->n; k++) {
		bool there = has(s, k, id);
		for (int64_t i = 0, end; i < r[k].n; i = end) {
			for (end = i + 1; end < r[k].n && r[k].keep[end] == r[k].keep[i];) end++;
			if (!r[k].keep[i]) continue;
			if (there) SX_TRY(copy_rows(s, s->seg[k], id, i, end, at));
			at += end - i;
		}
	}
	/* Samples and checkpoints are numbered anew; steps are what they are. */
	if (id == axis && strcmp(sx_run_name(axis), "step") != 0)
		for (int64_t i = 0; i < at; i++) SX_TRY(sx_run_put(s->out, id, i, &i));
out:
	return st;
}

/* One growing axis with all that lies along it. */
static sx_status merge_axis(seal *s, sx_run_id axis)
{
	sx_status st = SX_OK;
	int64_t kept;
	records *r = sx_calloc((size_t)s->n, sizeof *r);
	if (!r) return sx_fail(s->ctx, SX_ENOMEM, "no memory to seal");
	for (int k = 0; k < s->n; k++) SX_TRY(load_records(s, k, axis, &r[k]));
	SX_TRY(choose_records(s, r, &kept));
	SX_TRY(sx_run_grow(s->out, axis, kept > 0 ? kept : 1));
	SX_TRY(copy_attrs(s, newest_with(s, axis), sx_run_rows[axis].path, false));
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i, axes[SX_RUN_MAX_DIMS];
		sx_run_file *model = newest_with(s, id);
		sx_run_axes(id, axes);
		if (!model || axes[0] != axis) continue;
		for (int k = 0; k < s->n; k++)
			if (has(s, k, id)) SX_TRY(check_alike(s, model, s->seg[k], id));
		if (id != axis) {
			SX_TRY(define(s, model, id));
			SX_TRY(copy_attrs(s, model, sx_run_rows[id].path, false));
		}
		SX_TRY(copy_kept(s, r, axis, id));
	}
out:
	for (int k = 0; k < s->n; k++) free_records(&r[k]);
	free(r);
	return st;
}

/* ---- what else there is ---- */

static sx_status copy_fixed(seal *s)
{
	sx_status st = SX_OK;
	for (int pass = 0; pass < 2; pass++) /* axes, then what lies along them */
		for (int i = 0; i < SX_RUN_COUNT; i++) {
			sx_run_id id = (sx_run_id)i, axes[SX_RUN_MAX_DIMS];
			sx_run_file *f = newest_with(s, id);
			sx_run_axes(id, axes);
			if (!f || sx_run_is_axis(id) != (pass == 0) || id == SX_RUN_META_ENTRY ||
			    sx_run_is_growing_axis(axes[0]))
				continue;
			int64_t dims[SX_RUN_MAX_DIMS];
			int ndim;
			if (sx_run_is_axis(id)) {
				SX_TRY(copy_axis(s, f, id));
			} else if (sx_run_is_document(id)) {
				SX_TRY(copy_document(s, f, id));
			} else {
				SX_TRY(define(s, f, id));
				SX_TRY(sx_run_shape(f, id, dims, &ndim));
				SX_TRY(copy_rows(s, f, id, 0, dims[0], 0));
			}
			SX_TRY(copy_attrs(s, f, sx_run_rows[id].path, false));
		}
out:
	return st;
}

/* Groups carry attributes too. Every group is met at its first row. */
static sx_status copy_group_attrs(seal *s)
{
	sx_status st = SX_OK;
	char last[32] = "", group[32];
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_group((sx_run_id)i, group);
		if (!strcmp(group, last)) continue;
		memcpy(last, group, sizeof last);
		if (H5Lexists(s->out->file, group, H5P_DEFAULT) <= 0) continue;
		for (int k = s->n - 1; k >= 0; k--) {
			if (H5Lexists(sx_run_file_hid(s->seg[k]), group, H5P_DEFAULT) <= 0)
				continue;
			SX_TRY(copy_attrs(s, s->seg[k], group, false));
			break;
		}
	}
out:
	return st;
}

static sx_run_status status_of(sx_run_file *f)
{
	char *text = NULL;
	sx_run_status status = SX_RUN_INTERRUPTED;
	if (sx_run_is_live(f) || sx_run_get_str(f, "/", "status", &text) != SX_OK) return status;
	for (int i = SX_RUN_COMPLETE; i <= SX_RUN_FAILED; i++)
		if (!strcmp(text, sx_run_status_name((sx_run_status)i))) status = (sx_run_status)i;
	free(text);
	return status;
}

/* ---- damage ---- */

/* Along a growing axis whose records cannot be placed nothing can be. */
static void give_up_records(seal *s, int k)
{
	bool *bad = s->bad + k * SX_RUN_COUNT;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id axis = (sx_run_id)i, axes[SX_RUN_MAX_DIMS], step, phase;
		if (!sx_run_is_growing_axis(axis)) continue;
		key_rows(axis, &step, &phase);
		if (!bad[axis] && !bad[step] && !(phase != SX_RUN_COUNT && bad[phase])) continue;
		for (int j = 0; j < SX_RUN_COUNT; j++)
			if (sx_run_axes((sx_run_id)j, axes) > 0 && axes[0] == axis) bad[j] = true;
	}
}

static void give_up_everywhere(seal *s, sx_run_id id)
{
	for (int k = 0; k < s->n; k++) s->bad[k * SX_RUN_COUNT + (int)id] = true;
}

/* Whether some segment had it before damage. */
static bool was_there(const seal *s, sx_run_id id)
{
	for (int k = 0; k < s->n; k++)
		if (s->bad[k * SX_RUN_COUNT + (int)id] || sx_run_has(s->seg[k], id)) return true;
	return false;
}

static void give_up_dependent(seal *s, sx_run_id id)
{
	sx_run_id axes[SX_RUN_MAX_DIMS];
	int ndim = sx_run_axes(id, axes);
	bool damaged_map = false;
	for (int k = 0; k < s->n; k++)
		damaged_map |= sx_run_is_map(id) && s->bad[k * SX_RUN_COUNT + (int)id];
	if (damaged_map) give_up_everywhere(s, id); /* where none is stored 0 is read */
	for (int i = 0; i < ndim; i++)
		if (axes[i] != id && axes[i] != SX_RUN_META_ENTRY && was_there(s, axes[i]) &&
		    !newest_with(s, axes[i]))
			give_up_everywhere(s, id);
}

/* What cannot be read, and what means nothing without it. */
static sx_status survey(seal *s)
{
	sx_status st = SX_OK;
	bool *damaged = sx_calloc((size_t)s->n * SX_RUN_COUNT, sizeof *damaged);
	s->bad = sx_calloc((size_t)s->n * SX_RUN_COUNT, sizeof *s->bad);
	if (!s->bad || !damaged) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory to recover");
		goto out;
	}
	for (int k = 0; k < s->n; k++) {
		SX_TRY(sx_run_survey(s->seg[k], s->bad + k * SX_RUN_COUNT));
		s->bad[k * SX_RUN_COUNT + SX_RUN_META_ENTRY] = false; /* made anew */
	}
	memcpy(damaged, s->bad, (size_t)s->n * SX_RUN_COUNT * sizeof *damaged);
	for (int k = 0; k < s->n; k++) give_up_records(s, k);
	for (int i = 0; i < SX_RUN_COUNT; i++) give_up_dependent(s, (sx_run_id)i);
	for (int i = 0; i < s->n * SX_RUN_COUNT; i++) {
		sx_run_file *f = s->seg[i / SX_RUN_COUNT];
		sx_run_id id = (sx_run_id)(i % SX_RUN_COUNT);
		if (!s->bad[i] || !(damaged[i] || sx_run_has(f, id))) continue;
		SX_TRY(leave_out(s, sx_run_file_path(f), sx_run_rows[id].path,
				 damaged[i] ? "cannot be read: it is damaged"
					    : "means nothing without what is damaged"));
	}
out:
	free(damaged);
	return st;
}

/* Opens the segments; of damaged ones those that can be. */
static sx_status open_segments(seal *s, const char *const *segments, int n)
{
	for (int k = 0; k < n; k++) {
		sx_status st = sx_run_open(&s->seg[s->n], s->ctx, segments[k]);
		bool only_one = k == n - 1 && s->n == 0;
		s->n += st == SX_OK;
		if (st == SX_EDATA && s->lost && !only_one)
			st = leave_out(s, segments[k], "", s->ctx->message);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* ---- the whole ---- */

static sx_status make_sealed(seal *s, const char *out_path, const char *const *segments, int n)
{
	sx_status st = SX_OK;
	sx_ctx *ctx = s->ctx;
	if (n < 1) return sx_fail(ctx, SX_ENOINPUT, "there is no segment to make %s of", out_path);
	s->seg = sx_calloc((size_t)n, sizeof(sx_run_file *));
	if (!s->seg) return sx_fail(ctx, SX_ENOMEM, "no memory to seal %s", out_path);
	SX_TRY(open_segments(s, segments, n));
	if (s->lost) SX_TRY(survey(s));
	SX_TRY(sx_run_create(&s->out, ctx, out_path, false));
	SX_TRY(copy_attrs(s, s->seg[s->n - 1], "/", true));
	SX_TRY(sx_run_attr_int(s->out, "/", "segments", n));
	SX_TRY(copy_fixed(s));
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (sx_run_is_growing_axis((sx_run_id)i) && newest_with(s, (sx_run_id)i))
			SX_TRY(merge_axis(s, (sx_run_id)i));
	SX_TRY(copy_group_attrs(s));
	if (s->left_out) SX_TRY(sx_run_attr_str(s->out, "/", "left_out", s->left_out));
	SX_TRY(sx_run_close(&s->out, s->n == n ? status_of(s->seg[n - 1]) : SX_RUN_INTERRUPTED));
out:
	sx_run_free(s->out);
	for (int k = 0; k < s->n; k++) sx_run_file_close(s->seg[k]);
	free(s->seg);
	free(s->block);
	free(s->bad);
	free(s->left_out);
	return st;
}

sx_status sx_run_seal(sx_ctx *ctx, const char *out_path, const char *const *segments, int n)
{
	seal s = {.ctx = ctx};
	return make_sealed(&s, out_path, segments, n);
}

sx_status sx_run_salvage(sx_ctx *ctx, const char *out_path, const char *const *segments, int n,
			 sx_run_lost *lost, void *self)
{
	seal s = {.ctx = ctx, .lost = lost, .self = self};
	return make_sealed(&s, out_path, segments, n);
}

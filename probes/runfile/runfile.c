/* The schema as a table, and HDF5's manners: types and error messages. */
#include "probes/runfile/priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROW(id, path, type, dims, units, long_name, flags) \
	{path, SX_DISK_##type, dims, units, long_name, flags},
const sx_run_row sx_run_rows[SX_RUN_COUNT] = {SX_RUN_SCHEMA(ROW)};

const char *sx_run_status_name(sx_run_status s)
{
	static const char *const names[] = {"running", "complete", "interrupted", "failed"};
	return names[s];
}

/* ---- the schema ---- */

bool sx_run_word(char out[SX_RUN_WORD], sx_run_id id, int64_t value)
{
	const char *s = value < 0 ? NULL : sx_run_rows[id].flags;
	for (; s && value > 0; value--) {
		s = strchr(s, ' ');
		if (s) s++;
	}
	snprintf(out, SX_RUN_WORD, "%.*s", s ? (int)strcspn(s, " ") : 0, s ? s : "");
	return s != NULL;
}

const char *sx_run_name(sx_run_id id)
{
	return strrchr(sx_run_rows[id].path, '/') + 1;
}

void sx_run_group(sx_run_id id, char out[32])
{
	size_t n = (size_t)(sx_run_name(id) - sx_run_rows[id].path) - 1;
	snprintf(out, 32, "%.*s", (int)n, sx_run_rows[id].path);
}

static sx_run_id sibling(sx_run_id id, const char *name, size_t len)
{
	size_t head = (size_t)(sx_run_name(id) - sx_run_rows[id].path);
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		const char *path = sx_run_rows[i].path;
		if (strlen(path) == head + len && !strncmp(path, sx_run_rows[id].path, head) &&
		    !strncmp(path + head, name, len))
			return (sx_run_id)i;
	}
	return SX_RUN_COUNT;
}

sx_run_id sx_run_sibling(sx_run_id id, const char *name)
{
	return sibling(id, name, strlen(name));
}

int sx_run_axes(sx_run_id id, sx_run_id axes[SX_RUN_MAX_DIMS])
{
	int n = 0;
	for (const char *s = sx_run_rows[id].dims; n < SX_RUN_MAX_DIMS; s++) {
		size_t len = strcspn(s, ",");
		axes[n++] = sibling(id, s, len);
		s += len;
		if (*s == '\0') break;
	}
	return n;
}

bool sx_run_is_axis(sx_run_id id)
{
	return strcmp(sx_run_name(id), sx_run_rows[id].dims) == 0;
}

bool sx_run_name_grows(const char *axis)
{
	return !strcmp(axis, "step") || !strcmp(axis, "sample") || !strcmp(axis, "ckpt");
}

bool sx_run_is_growing_axis(sx_run_id id)
{
	return sx_run_is_axis(id) && sx_run_name_grows(sx_run_name(id));
}

bool sx_run_is_document(sx_run_id id)
{
	return strcmp(sx_run_rows[id].dims, "entry") == 0 && !sx_run_is_axis(id);
}

bool sx_run_is_map(sx_run_id id)
{
	return id == SX_RUN_ATTN_PROB;
}

/* ---- types ---- */

/* HDF5 1.10 has no half type: sign 15, exponent 10..14 biased by 15, fraction 0..9. */
static hid_t half_type(hid_t order_of)
{
	hid_t t = H5Tcopy(H5T_IEEE_F32LE);
	if (t < 0) return t;
	if (H5Tset_fields(t, 15, 10, 5, 0, 10) < 0 || H5Tset_size(t, 2) < 0 ||
	    H5Tset_ebias(t, 15) < 0 || H5Tset_order(t, H5Tget_order(order_of)) < 0) {
		H5Tclose(t);
		return -1;
	}
	return t;
}

static hid_t string_type(size_t width)
{
	hid_t t = H5Tcopy(H5T_C_S1);
	if (t < 0) return t;
	if (H5Tset_size(t, width) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0 ||
	    (width != H5T_VARIABLE && H5Tset_strpad(t, H5T_STR_NULLPAD) < 0)) {
		H5Tclose(t);
		return -1;
	}
	return t;
}

hid_t sx_h5_text_type(void)
{
	return string_type(H5T_VARIABLE);
}

hid_t sx_h5_disk_type(sx_run_type type, size_t width)
{
	switch (type) {
	case SX_DISK_F16:
		return half_type(H5T_IEEE_F32LE);
	case SX_DISK_F32:
		return H5Tcopy(H5T_IEEE_F32LE);
	case SX_DISK_F64:
		return H5Tcopy(H5T_IEEE_F64LE);
	case SX_DISK_I32:
		return H5Tcopy(H5T_STD_I32LE);
	case SX_DISK_I64:
		return H5Tcopy(H5T_STD_I64LE);
	case SX_DISK_FLAGS:
		return H5Tcopy(H5T_STD_U8LE);
	case SX_DISK_STR:
		break;
	}
	return string_type(width);
}

hid_t sx_h5_mem_type(sx_run_type type, size_t width)
{
	switch (type) {
	case SX_DISK_F16:
		return half_type(H5T_NATIVE_FLOAT);
	case SX_DISK_F32:
		return H5Tcopy(H5T_NATIVE_FLOAT);
	case SX_DISK_F64:
		return H5Tcopy(H5T_NATIVE_DOUBLE);
	case SX_DISK_I32:
		return H5Tcopy(H5T_NATIVE_INT32);
	case SX_DISK_I64:
		return H5Tcopy(H5T_NATIVE_INT64);
	case SX_DISK_FLAGS:
		return H5Tcopy(H5T_NATIVE_UINT8);
	case SX_DISK_STR:
		break;
	}
	return string_type(width);
}

/* ---- attributes ---- */

herr_t sx_h5_put_attr(hid_t file, const char *where, const char *name, hid_t disk, hid_t mem,
		      int64_t n, const void *value)
{
	herr_t e = -1;
	hsize_t dim = (hsize_t)n;
	hid_t obj = H5Oopen(file, where, H5P_DEFAULT), attr = -1;
	hid_t space = n < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &dim, NULL);
	if (obj >= 0 && H5Aexists(obj, name) > 0 && H5Adelete(obj, name) < 0) goto out;
	if (obj >= 0 && space >= 0)
		attr = H5Acreate2(obj, name, disk, space, H5P_DEFAULT, H5P_DEFAULT);
	if (attr >= 0) e = H5Awrite(attr, mem, value);
out:
	if (attr >= 0 && H5Aclose(attr) < 0) e = -1;
	if (obj >= 0 && H5Oclose(obj) < 0) e = -1;
	if (space >= 0) H5Sclose(space);
	return e;
}

/* ---- errors ---- */

void sx_h5_quiet(void)
{
	H5dont_atexit();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *e, void *out)
{
	if (n == 0) snprintf(out, 512, "%s", e->desc ? e->desc : "");
	return 0;
}

sx_status sx_h5_fail_at(sx_ctx *ctx, sx_status st, const char *file, int line, const char *func,
			const char *fmt, ...)
{
	char what[512], why[512] = "";
	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, why);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);

	const char *advice =
		strstr(why, "lock file")
			? "; another program may have it open; on a file system without "
			  "locks set HDF5_USE_FILE_LOCKING=FALSE"
			: "";
	/* The system's own words, where HDF5 wraps them in numbers and addresses. */
	static const char mark[] = "error message = '";
	char *quoted = strstr(why, mark);
	char *reason = quoted ? quoted + sizeof mark - 1 : why;
	if (quoted) reason[strcspn(reason, "'")] = '\0';
	if (*reason == '\0') return sx_fail_at(ctx, st, file, line, func, "%s", what);
	return sx_fail_at(ctx, st, file, line, func, "%s (HDF5: %s%s)", what, reason, advice);
}

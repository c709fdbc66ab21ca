/* Lies told to a run file: each changes one object of a copy of a good file, through HDF5 itself, so
 * that checksums are right and only the content is wrong. */
#ifndef SX_TESTS_MUTATE_H
#define SX_TESTS_MUTATE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
/* name, whether the dataset is then none of the schema's (else its values or storage alone changed) */
#define MUTATIONS(X) \
	X(DELETED, true) X(RENAMED, true) X(GROUP, true) X(LOOP, true) X(SOFT, true) X(EXTERNAL, true) \
	X(RANK_UP, true) X(RANK_DOWN, true) X(SCALAR, true) X(NO_SPACE, true) \
	X(GROWN_0, true) X(GROWN_1, true) X(GROWN_2, true) X(GROWN_3, true) X(GROWN_4, true) X(GROWN_5, true) \
	X(SHRUNK_0, true) X(SHRUNK_1, true) X(SHRUNK_2, true) X(SHRUNK_3, true) X(SHRUNK_4, true) X(SHRUNK_5, true) \
	X(ZERO_0, true) X(ZERO_1, true) X(ZERO_2, true) X(ZERO_3, true) X(ZERO_4, true) X(ZERO_5, true) \
	X(HUGE_0, true) X(HUGE_1, true) X(HUGE_2, true) X(WRAPS, true) X(LARGE, true) \
	X(INT, true) X(FLOAT, true) X(TEXT, true) X(FIXED_TEXT, true) X(SEQUENCE, true) X(COMPOUND, true) X(OPAQUE, true) X(ENUM, true) \
	X(OUTSIDE, true) X(VIRTUAL, true) X(CHUNK, true) X(FILTER, true) \
	X(NANS, false) X(INFS, false) X(MINUS, false) X(LAST, false) X(BEYOND, false) X(BACK, false) X(SAME, false) \
	X(NO_UNITS, false) X(ATTR_INT, false) X(ATTR_TEXT, false) X(ATTR_MANY, false) X(ATTR_NONE, false) X(LABELS, false)
/* clang-format on */
#define MUTATION_ENUM(name, shape) M_##name,
typedef enum { MUTATIONS(MUTATION_ENUM) MUTATION_COUNT } mutation;
#define MUTATION_NAME(name, shape) #name,
static const char *const mutation_name[] = {MUTATIONS(MUTATION_NAME)};
#define MUTATION_SHAPE(name, shape) shape,
static const bool mutation_is_shape[] = {MUTATIONS(MUTATION_SHAPE)};

/* A dataset as it was. */
typedef struct {
	hid_t file, set, type, space, made;
	const char *path;
	int ndim;
	hsize_t dims[8];
	H5T_class_t class;
} mutated;

static inline herr_t mutate_copy_attr(hid_t from, const char *name, const H5A_info_t *info,
				      void *to)
{
	hid_t a = H5Aopen(from, name, H5P_DEFAULT), type = H5Aget_type(a), space = H5Aget_space(a);
	(void)info;
	/* references to axes and back mean nothing in another dataset */
	if (strcmp(name, "DIMENSION_LIST") != 0 && strcmp(name, "REFERENCE_LIST") != 0) {
		hssize_t n = H5Sget_simple_extent_npoints(space);
		void *value = calloc((size_t)n + 1, H5Tget_size(type));
		hid_t b = H5Acreate2(*(hid_t *)to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
		if (b >= 0 && H5Aread(a, type, value) >= 0) {
			H5Awrite(b, type, value);
			H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
		}
		if (b >= 0) H5Aclose(b);
		free(value);
	}
	H5Sclose(space), H5Tclose(type), H5Aclose(a);
	return 0;
}

/* What of the old dataset fits into the new one, where their types convert. */
static inline void mutate_copy_data(const mutated *m, hid_t to)
{
	hsize_t start[8] = {0}, count[8], dims[8], bytes = H5Tget_size(m->type);
	hid_t space = H5Dget_space(to), mem;
	int n = H5Sget_simple_extent_dims(space, dims, NULL);
	if (n == m->ndim && n > 0) {
		for (int i = 0; i < n; i++) {
			count[i] = dims[i] < m->dims[i] ? dims[i] : m->dims[i];
			bytes *= count[i];
		}
		mem = H5Screate_simple(n, count, NULL);
		void *data = bytes > 0 && bytes < 1 << 24 ? calloc(1, bytes) : NULL;
		hid_t from = H5Dget_space(m->set);
		if (data &&
		    H5Sselect_hyperslab(from, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
		    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
		    H5Dread(m->set, m->type, mem, from, H5P_DEFAULT, data) >= 0) {
			H5Dwrite(to, m->type, mem, space, H5P_DEFAULT, data);
			H5Dvlen_reclaim(m->type, mem, H5P_DEFAULT, data);
		}
		free(data);
		H5Sclose(from), H5Sclose(mem);
	}
	H5Sclose(space);
}

/* Puts another dataset in its place, with its attributes and what fits of its values. */
static inline bool mutate_replace(mutated *m, hid_t type, int ndim, const hsize_t *dims, hid_t made)
{
	/* what lies in another file is not written to */
	bool own = H5Pget_layout(made) != H5D_VIRTUAL && H5Pget_external_count(made) == 0;
	hid_t space = ndim < 0    ? H5Screate(H5S_NULL)
		      : ndim == 0 ? H5Screate(H5S_SCALAR)
				  : H5Screate_simple(ndim, dims, NULL);
	bool ok = H5Ldelete(m->file, m->path, H5P_DEFAULT) >= 0;
	hid_t to = ok && space >= 0 ? H5Dcreate2(m->file, m->path, type, space, H5P_DEFAULT, made,
						 H5P_DEFAULT)
				    : -1;
	if (to >= 0) {
		H5Aiterate2(m->set, H5_INDEX_NAME, H5_ITER_INC, NULL, mutate_copy_attr, &to);
		if (own) mutate_copy_data(m, to);
		H5Dclose(to);
	}
	if (space >= 0) H5Sclose(space);
	return to >= 0;
}

/* A creation list with chunks that suit the shape. */
static inline hid_t mutate_plist(int ndim, const hsize_t *dims)
{
	hsize_t chunk[8];
	hid_t p = H5Pcreate(H5P_DATASET_CREATE);
	for (int i = 0; i < ndim; i++) chunk[i] = dims[i] < 1 ? 1 : dims[i] < 64 ? dims[i] : 64;
	if (ndim > 0) H5Pset_chunk(p, ndim, chunk);
	if (ndim > 0) H5Pset_alloc_time(p, H5D_ALLOC_TIME_INCR);
	return p;
}

static inline bool mutate_shape(mutated *m, int ndim, const hsize_t *dims)
{
	hid_t made = mutate_plist(ndim, dims);
	bool ok = mutate_replace(m, m->type, ndim, dims, made);
	H5Pclose(made);
	return ok;
}

static inline bool mutate_type(mutated *m, hid_t type)
{
	hid_t made = mutate_plist(m->ndim, m->dims);
	bool ok = type >= 0 && !H5Tequal(type, m->type) &&
		  mutate_replace(m, type, m->ndim, m->dims, made);
	H5Pclose(made);
	if (type >= 0) H5Tclose(type);
	return ok;
}

static inline hid_t mutate_text_type(size_t size)
{
	hid_t t = H5Tcopy(H5T_C_S1);
	H5Tset_size(t, size);
	H5Tset_cset(t, H5T_CSET_UTF8);
	return t;
}

static inline hid_t mutate_compound(void)
{
	hid_t t = H5Tcreate(H5T_COMPOUND, 16);
	H5Tinsert(t, "a", 0, H5T_NATIVE_DOUBLE);
	H5Tinsert(t, "b", 8, H5T_NATIVE_INT64);
	return t;
}

static inline hid_t mutate_enum(void)
{
	hid_t t = H5Tenum_create(H5T_STD_I32LE);
	int v = 0;
	H5Tenum_insert(t, "NONE", &v);
	return t;
}

static inline bool mutate_storage(mutated *m, mutation what, const char *other)
{
	hid_t p = H5Pcreate(H5P_DATASET_CREATE);
	hsize_t bytes = H5Tget_size(m->type), chunk[8] = {0};
	bool ok = m->class != H5T_STRING && m->ndim > 0;
	for (int i = 0; i < m->ndim; i++) bytes *= m->dims[i];
	if (what == M_OUTSIDE) {
		ok = ok && bytes && H5Pset_external(p, other, 0, bytes) >= 0;
	} else if (what == M_VIRTUAL) {
		hid_t space = ok ? H5Screate_simple(m->ndim, m->dims, NULL) : -1;
		ok = ok && H5Pset_virtual(p, space, other, m->path, space) >= 0;
		if (space >= 0) H5Sclose(space);
	} else if (what == M_CHUNK) {
		hsize_t most[8];
		for (int i = 0; i < m->ndim; i++) chunk[i] = 1, most[i] = H5S_UNLIMITED;
		chunk[0] = (hsize_t)1 << 28;
		ok = ok && H5Pset_chunk(p, m->ndim, chunk) >= 0;
		/* chunks larger than a fixed extent are refused */
		hid_t space = ok ? H5Screate_simple(m->ndim, m->dims, most) : -1;
		ok = space >= 0 && H5Ldelete(m->file, m->path, H5P_DEFAULT) >= 0;
		hid_t to = ok ? H5Dcreate2(m->file, m->path, m->type, space, H5P_DEFAULT, p,
					   H5P_DEFAULT)
			      : -1;
		if (to >= 0)
			H5Aiterate2(m->set, H5_INDEX_NAME, H5_ITER_INC, NULL, mutate_copy_attr,
				    &to);
		if (to >= 0) H5Dclose(to);
		if (space >= 0) H5Sclose(space);
		H5Pclose(p);
		return to >= 0;
	} else {
		H5Pclose(p);
		p = mutate_plist(m->ndim, m->dims);
		ok = ok && m->class == H5T_INTEGER && H5Pset_nbit(p) >= 0;
	}
	ok = ok && mutate_replace(m, m->type, m->ndim, m->dims, p);
	H5Pclose(p);
	return ok;
}

/* Overwrites texts: names on an axis, or a whole document. */
static inline bool mutate_texts(mutated *m, mutation what)
{
	static char longer[1 << 16];
	static const char *const text[] = {
		[M_NANS] =
			"{\"layers\": 1, \"heads\": 1, \"kv_heads\": 1, \"head_dim\": 2147483646, "
			"\"context\": 9223372036854775807, \"pos\": {\"method\": \"rope\", "
			"\"theta\": 10000, \"window\": 9223372036854775807}}",
		[M_INFS] =
			"{\"layers\": -1, \"head_dim\": 8, \"context\": 32, \"pos\": {\"method\": "
			"\"rope\", \"theta\": -1, \"window\": -5, \"train_length\": -7}}",
		[M_MINUS] = "",
		[M_LAST] = longer,
		[M_BEYOND] = "\xff\xfe\x01",
		[M_BACK] = "{ : [",
		[M_SAME] = "previous"};
	memset(longer, 'x', sizeof longer - 1);
	hssize_t n = H5Sget_simple_extent_npoints(m->space);
	const char *at[256];
	if (n < 1 || n > 256 || H5Tis_variable_str(m->type) <= 0) return false;
	for (hssize_t i = 0; i < n; i++) at[i] = text[what];
	return H5Dwrite(m->set, m->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, at) >= 0;
}

/* Overwrites the values of a dataset of numbers, as doubles or whole numbers. */
static inline bool mutate_values(mutated *m, mutation what)
{
	static const int64_t whole[] = {[M_MINUS] = -2, [M_LAST] = INT64_MAX, [M_BEYOND] = 100000};
	if (m->class == H5T_STRING) return mutate_texts(m, what);
	int64_t n = H5Sget_simple_extent_npoints(m->space);
	bool real = m->class == H5T_FLOAT;
	if (n < 1 || n > 1 << 20 || (m->class != H5T_INTEGER && !real)) return false;
	if (!real && (what == M_NANS || what == M_INFS)) return false;
	double *x = calloc((size_t)n, sizeof *x);
	int64_t *k = calloc((size_t)n, sizeof *k);
	bool ok = H5Dread(m->set, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, H5S_ALL, H5S_ALL,
			  H5P_DEFAULT, real ? (void *)x : k) >= 0;
	for (int64_t i = 0; i < n; i++) {
		double inf = 1e308 * 10;
		x[i] = what == M_NANS                     ? inf - inf
		       : what == M_INFS                   ? inf
		       : what == M_SAME || what == M_BACK ? x[0]
							  : (double)whole[what];
	}
	if (what == M_SAME)
		for (int64_t i = 1; i < n; i++) k[i] = k[0];
	else if (what == M_BACK)
		for (int64_t i = 0; i < n / 2; i++) {
			int64_t t = k[i];
			k[i] = k[n - 1 - i], k[n - 1 - i] = t;
		}
	else
		k[n - 1] = whole[what < M_MINUS ? M_MINUS : what];
	ok = ok && H5Dwrite(m->set, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, H5S_ALL, H5S_ALL,
			    H5P_DEFAULT, real ? (void *)x : k) >= 0;
	free(x), free(k);
	return ok;
}

/* ---- attributes ---- */

typedef struct {
	mutation what;
	hid_t set;
	int done;
} mutate_attrs;

static inline void mutate_new_attr(hid_t set, const char *name, hid_t type, hid_t space,
				   const void *value)
{
	hid_t a = H5Acreate2(set, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	if (a >= 0 && value) H5Awrite(a, type, value);
	if (a >= 0) H5Aclose(a);
	H5Sclose(space);
}

static inline void mutate_attr(hid_t set, const char *name, mutation what)
{
	static const int64_t many[5] = {1, 2, INT64_MAX, INT64_MIN, 3};
	static const char *const text = "\xff\xfe not UTF-8";
	hsize_t five = 5;
	H5Adelete(set, name);
	if (what == M_ATTR_INT)
		mutate_new_attr(set, name, H5T_NATIVE_INT64, H5Screate(H5S_SCALAR), &many[2]);
	if (what == M_ATTR_MANY || what == M_LABELS)
		mutate_new_attr(set, name, H5T_NATIVE_INT64, H5Screate_simple(1, &five, NULL),
				many);
	if (what == M_ATTR_TEXT) {
		hid_t t = mutate_text_type(H5T_VARIABLE);
		mutate_new_attr(set, name, t, H5Screate(H5S_SCALAR), &text);
		H5Tclose(t);
	}
	if (what == M_ATTR_NONE)
		mutate_new_attr(set, name, H5T_NATIVE_INT64, H5Screate(H5S_NULL), NULL);
}

/* Every attribute of an object; M_LABELS: those that HDF5 itself keeps. */
static inline bool mutate_attributes(hid_t obj, mutation what)
{
	char name[64][80];
	hsize_t n = 0;
	H5O_info_t info;
	if (H5Oget_info2(obj, &info, H5O_INFO_NUM_ATTRS) < 0) return false;
	for (hsize_t i = 0; i < info.num_attrs && i < 64; i++)
		if (H5Aget_name_by_idx(obj, ".", H5_INDEX_NAME, H5_ITER_INC, i, name[i], 80,
				       H5P_DEFAULT) > 0)
			n++;
	for (hsize_t i = 0; i < n; i++) {
		bool kept = name[i][0] >= 'A' && name[i][0] <= 'Z';
		if (kept == (what == M_LABELS)) mutate_attr(obj, name[i], what);
	}
	return n > 0;
}

/* ---- the whole ---- */

static inline bool mutate_dims(mutated *m, mutation what)
{
	hsize_t d[8];
	memcpy(d, m->dims, sizeof d);
	int axis = what >= M_GROWN_0 && what <= M_ZERO_5  ? (int)(what - M_GROWN_0) % 6
		   : what >= M_HUGE_0 && what <= M_HUGE_2 ? (int)(what - M_HUGE_0)
							  : 0;
	if (axis >= m->ndim) return false;
	if (what <= M_GROWN_5)
		d[axis]++;
	else if (what <= M_SHRUNK_5)
		d[axis]--;
	else if (what <= M_ZERO_5)
		d[axis] = 0;
	else if (what <= M_HUGE_2)
		d[axis] = (hsize_t)1 << 62;
	else
		for (int i = 0; i < m->ndim; i++)
			d[i] = (hsize_t)1 << (what == M_WRAPS ? 64 / m->ndim + 1 : 16);
	if (what == M_WRAPS && m->ndim == 1) d[0] = ((hsize_t)1 << 61) + 1;
	return mutate_shape(m, m->ndim, d);
}

static inline bool mutate_link(mutated *m, mutation what, const char *other)
{
	char moved[128];
	snprintf(moved, sizeof moved, "%s_moved", m->path);
	if (what == M_RENAMED || what == M_SOFT) {
		bool ok = H5Lmove(m->file, m->path, m->file, moved, H5P_DEFAULT, H5P_DEFAULT) >= 0;
		return what == M_RENAMED ? ok
					 : ok && H5Lcreate_soft(moved, m->file, m->path,
								H5P_DEFAULT, H5P_DEFAULT) >= 0;
	}
	if (H5Ldelete(m->file, m->path, H5P_DEFAULT) < 0) return false;
	if (what == M_LOOP)
		return H5Lcreate_soft(m->path, m->file, m->path, H5P_DEFAULT, H5P_DEFAULT) >= 0;
	if (what == M_EXTERNAL)
		return H5Lcreate_external(other, m->path, m->file, m->path, H5P_DEFAULT,
					  H5P_DEFAULT) >= 0;
	if (what == M_GROUP) {
		hid_t g = H5Gcreate2(m->file, m->path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
		if (g >= 0) H5Gclose(g);
	}
	return true;
}

static inline bool mutate_other(mutated *m, mutation what)
{
	hsize_t d[8] = {0}, n = 1;
	switch (what) {
	case M_RANK_UP:
		for (int i = 0; i < m->ndim; i++) d[i] = m->dims[i];
		d[m->ndim] = 1;
		return mutate_shape(m, m->ndim + 1, d);
	case M_RANK_DOWN:
		for (int i = 0; i < m->ndim; i++) n *= m->dims[i];
		return m->ndim > 1 && mutate_shape(m, 1, &n);
	case M_SCALAR:
		return mutate_shape(m, 0, d);
	case M_NO_SPACE:
		return mutate_shape(m, -1, d);
	case M_INT:
		return mutate_type(
			m, H5Tcopy(m->class == H5T_INTEGER ? H5T_STD_I16LE : H5T_STD_I64LE));
	case M_FLOAT:
		return mutate_type(m, H5Tcopy(m->class == H5T_FLOAT && H5Tget_size(m->type) == 8
						      ? H5T_IEEE_F32LE
						      : H5T_IEEE_F64LE));
	case M_TEXT:
		return m->class != H5T_STRING && mutate_type(m, mutate_text_type(H5T_VARIABLE));
	case M_FIXED_TEXT:
		return m->class != H5T_STRING && mutate_type(m, mutate_text_type(8));
	case M_SEQUENCE:
		return mutate_type(m, H5Tvlen_create(H5T_NATIVE_DOUBLE));
	case M_COMPOUND:
		return mutate_type(m, mutate_compound());
	case M_OPAQUE:
		return mutate_type(m, H5Tcreate(H5T_OPAQUE, (size_t)1 << 20));
	default:
		return mutate_type(m, mutate_enum());
	}
}

/* Tells the lie about the dataset at `path` of a file; false where it cannot be told of it. other:
 * a good file. */
static inline bool mutate(const char *name, const char *path, mutation what, const char *other)
{
	mutated m = {.path = path};
	bool done = false;
	m.file = H5Fopen(name, H5F_ACC_RDWR, H5P_DEFAULT);
	m.set = m.file < 0 ? -1 : H5Dopen2(m.file, path, H5P_DEFAULT);
	if (m.set < 0) return false;
	m.type = H5Dget_type(m.set), m.space = H5Dget_space(m.set);
	m.class = H5Tget_class(m.type);
	m.ndim = H5Sget_simple_extent_dims(m.space, m.dims, NULL);
	if (what <= M_EXTERNAL)
		done = mutate_link(&m, what, other);
	else if (what <= M_NO_SPACE || (what >= M_INT && what <= M_ENUM))
		done = mutate_other(&m, what);
	else if (what <= M_LARGE)
		done = mutate_dims(&m, what);
	else if (what <= M_FILTER)
		done = mutate_storage(&m, what, other);
	else if (what <= M_SAME)
		done = mutate_values(&m, what);
	else
		done = mutate_attributes(m.set, what);
	H5Sclose(m.space), H5Tclose(m.type), H5Dclose(m.set), H5Fclose(m.file);
	return done;
}

#endif

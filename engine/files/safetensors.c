/* The table of tensors, and safetensors in and out. */
#include "engine/files/safetensors.h"

#include "engine/files/hf_json.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read in place");

/* ---- the table ---- */

void sx_tensors_free(sx_tensors *t)
{
	if (!t) return;
	for (int64_t i = 0; i < t->n; i++) free((void *)t->list[i].name);
	for (int64_t i = 0; i < t->n_meta; i++) {
		free((void *)t->meta[i].key);
		free((void *)t->meta[i].value);
	}
	for (int64_t i = 0; i < t->n_map; i++) munmap(t->map[i].base, t->map[i].size);
	free(t->list);
	free(t->meta);
	free(t->map);
	free(t->path);
	free(t);
}

/* Room for one more element; arrays grow at powers of two. */
static void *room(void *old, int64_t n, size_t size)
{
	if (n & (n - 1)) return old;
	return sx_grow(old, n ? 2 * (size_t)n : 1, size);
}

sx_status sx_tensors_map(sx_tensors *t, sx_ctx *ctx, const char *path, const unsigned char **base,
			 size_t *size)
{
	sx_status st = SX_OK;
	struct stat sb;
	int fd = open(path, O_RDONLY);
	if (fd < 0) return sx_fail(ctx, SX_ENOINPUT, "cannot read %s: %s", path, strerror(errno));
	if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
		st = sx_fail(ctx, SX_ENOINPUT, "cannot read %s: it is not a regular file", path);
		goto out;
	}
	if (sb.st_size == 0) {
		st = sx_fail(ctx, SX_EDATA, "%s is empty: copy or download it again", path);
		goto out;
	}
	sx_mapping *grown = room(t->map, t->n_map, sizeof *grown);
	if (!grown) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to open %s", path);
		goto out;
	}
	t->map = grown;
	void *p = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		st = sx_fail(ctx, SX_EIO, "cannot map %s: %s", path, strerror(errno));
		goto out;
	}
	t->map[t->n_map++] = (sx_mapping){p, (size_t)sb.st_size};
	*base = p;
	*size = (size_t)sb.st_size;
out:
	close(fd);
	return st;
}

sx_status sx_tensors_add(sx_tensors *t, sx_ctx *ctx, const sx_tensor *x)
{
	sx_tensor *grown = room(t->list, t->n, sizeof *grown);
	if (grown) t->list = grown;
	char *name = grown ? sx_strdup(x->name) : NULL;
	if (!name) return sx_fail(ctx, SX_ENOMEM, "no memory for a table of tensors");
	t->list[t->n] = *x;
	t->list[t->n++].name = name;
	return SX_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const sx_tensor *)a)->name, ((const sx_tensor *)b)->name);
}

sx_status sx_tensors_sort(sx_tensors *t, sx_ctx *ctx)
{
	if (t->n) qsort(t->list, (size_t)t->n, sizeof *t->list, by_name);
	for (int64_t i = 1; i < t->n; i++)
		if (strcmp(t->list[i - 1].name, t->list[i].name) == 0)
			return sx_fail(ctx, SX_EDATA, "%s: tensor %s is there twice", t->path,
				       t->list[i].name);
	return SX_OK;
}

const sx_tensor *sx_tensors_find(const sx_tensors *t, const char *name)
{
	sx_tensor key = {.name = name};
	return t->n ? bsearch(&key, t->list, (size_t)t->n, sizeof key, by_name) : NULL;
}

sx_status sx_tensors_need(const sx_tensor **out, sx_ctx *ctx, const sx_tensors *t, const char *name,
			  int64_t rows, int64_t cols)
{
	const sx_tensor *x = sx_tensors_find(t, name);
	if (!x) return sx_fail(ctx, SX_EDATA, "%s has no tensor %s", t->path, name);
	bool same =
		x->rank == (cols ? 2 : 1) && x->shape[0] == rows && (!cols || x->shape[1] == cols);
	if (!same) {
		char has[SX_TENSOR_MAX_RANK * 22 + 1] = "";
		for (int i = 0, at = 0; i < x->rank; i++)
			at += snprintf(has + at, sizeof has - (size_t)at, "%s%lld", i ? ", " : "",
				       (long long)x->shape[i]);
		char want[64];
		if (cols)
			snprintf(want, sizeof want, "%lld, %lld", (long long)rows, (long long)cols);
		else
			snprintf(want, sizeof want, "%lld", (long long)rows);
		return sx_fail(ctx, SX_EDATA,
			       "%s: tensor %s has the shape (%s), its configuration asks for (%s)",
			       t->path, name, has, want);
	}
	*out = x;
	return SX_OK;
}

const char *sx_tensors_metadata(const sx_tensors *t, const char *key)
{
	for (int64_t i = 0; i < t->n_meta; i++)
		if (strcmp(t->meta[i].key, key) == 0) return t->meta[i].value;
	return NULL;
}

/* ---- conversion ---- */

static float float_of_bits(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

float sx_float_of_half(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023;
	if (e == 31) return float_of_bits(sign | 0x7f800000u | m << 13);
	if (e == 0) { /* zero and subnormals: m 2^-24 */
		float x = (float)m * 0x1p-24f;
		return sign ? -x : x;
	}
	return float_of_bits(sign | (e + 112) << 23 | m << 13);
}

static sx_status wrong_type(sx_ctx *ctx, const sx_tensor *t, const char *wanted)
{
	return sx_fail(ctx, SX_EDATA, "tensor %s is of type %s, expected %s", t->name,
		       sx_dtype_name(t->dtype), wanted);
}

/* Element i of a 2-byte type, from any address. */
static uint16_t half_at(const sx_tensor *t, int64_t i)
{
	uint16_t h;
	memcpy(&h, (const char *)t->data + 2 * i, sizeof h);
	return h;
}

static void read_blocks(const sx_tensor *t, float *dst)
{
	const sx_tensor_blocks *b = t->blocks;
	const unsigned char *src = t->data;
	for (int64_t i = 0; i < t->count; i += b->numbers, src += b->bytes) b->decode(dst + i, src);
}

static void read_blocks_f64(const sx_tensor *t, double *dst)
{
	const sx_tensor_blocks *b = t->blocks;
	const unsigned char *src = t->data;
	float block[SX_BLOCK_NUMBERS];
	for (int64_t i = 0; i < t->count; i += b->numbers, src += b->bytes) {
		b->decode(block, src);
		for (int k = 0; k < b->numbers; k++) dst[i + k] = (double)block[k];
	}
}

sx_status sx_tensor_read_f32(sx_ctx *ctx, const sx_tensor *t, float *dst)
{
	const char *src = t->data;
	if (t->blocks) {
		read_blocks(t, dst);
		return SX_OK;
	}
	switch (t->dtype) {
	case SX_DTYPE_F32:
		if (t->count) memcpy(dst, src, (size_t)t->count * sizeof *dst);
		return SX_OK;
	case SX_DTYPE_F64:
		for (int64_t i = 0; i < t->count; i++) {
			double x;
			memcpy(&x, src + 8 * i, sizeof x);
			dst[i] = (float)x;
		}
		return SX_OK;
	case SX_DTYPE_F16:
		for (int64_t i = 0; i < t->count; i++) dst[i] = sx_float_of_half(half_at(t, i));
		return SX_OK;
	case SX_DTYPE_BF16:
		for (int64_t i = 0; i < t->count; i++)
			dst[i] = float_of_bits((uint32_t)half_at(t, i) << 16);
		return SX_OK;
	default:
		return wrong_type(ctx, t, "a floating type (F64, F32, F16, BF16)");
	}
}

sx_status sx_tensor_read_f64(sx_ctx *ctx, const sx_tensor *t, double *dst)
{
	const char *src = t->data;
	if (t->blocks) {
		read_blocks_f64(t, dst);
		return SX_OK;
	}
	switch (t->dtype) {
	case SX_DTYPE_F64:
		if (t->count) memcpy(dst, src, (size_t)t->count * sizeof *dst);
		return SX_OK;
	case SX_DTYPE_F32:
		for (int64_t i = 0; i < t->count; i++) {
			float x;
			memcpy(&x, src + 4 * i, sizeof x);
			dst[i] = (double)x;
		}
		return SX_OK;
	case SX_DTYPE_F16:
		for (int64_t i = 0; i < t->count; i++)
			dst[i] = (double)sx_float_of_half(half_at(t, i));
		return SX_OK;
	case SX_DTYPE_BF16:
		for (int64_t i = 0; i < t->count; i++)
			dst[i] = (double)float_of_bits((uint32_t)half_at(t, i) << 16);
		return SX_OK;
	default:
		return wrong_type(ctx, t, "a floating type (F64, F32, F16, BF16)");
	}
}

sx_status sx_tensor_read_i64(sx_ctx *ctx, const sx_tensor *t, int64_t *dst)
{
	const unsigned char *src = t->data;
	switch (t->dtype) {
	case SX_DTYPE_I64:
		if (t->count) memcpy(dst, src, (size_t)t->count * sizeof *dst);
		return SX_OK;
	case SX_DTYPE_I32:
		for (int64_t i = 0; i < t->count; i++) {
			int32_t x;
			memcpy(&x, src + 4 * i, sizeof x);
			dst[i] = x;
		}
		return SX_OK;
	case SX_DTYPE_U8:
		for (int64_t i = 0; i < t->count; i++) dst[i] = src[i];
		return SX_OK;
	default:
		return wrong_type(ctx, t, "a whole-number type (I64, I32, U8)");
	}
}

/* ---- reading safetensors ---- */

enum { HEADER_MAX = 100000000 }; /* bytes, the format's own limit */

/* One file while its header is read. */
typedef struct {
	const char *path;
	const unsigned char *data; /* what data_offsets count from */
	uint64_t data_size;
} source;

/* Strings of a file may end up on a terminal: none with control characters gets into a message. */
static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 32 || *s == 127) return false;
	return true;
}

static bool find_dtype(const char *name, sx_dtype *out)
{
	for (int i = 0; i < SX_DTYPE_COUNT; i++)
		if (strcmp(name, sx_dtype_name((sx_dtype)i)) == 0) {
			*out = (sx_dtype)i;
			return true;
		}
	return false;
}

/* Sets rank, shape and count; false if it is no list of sizes or its bytes overflow. */
static bool read_shape(const json_t *shape, sx_tensor *x)
{
	if (!json_is_array(shape) || json_array_size(shape) > SX_TENSOR_MAX_RANK) return false;
	x->rank = (int)json_array_size(shape);
	x->count = 1;
	bool empty = false;
	const int64_t most = INT64_MAX / 8; /* 8 bytes: the widest type */
	for (int i = 0; i < x->rank; i++) {
		const json_t *dim = json_array_get(shape, (size_t)i);
		if (!json_is_integer(dim) || json_integer_value(dim) < 0) return false;
		int64_t size = json_integer_value(dim);
		x->shape[i] = size;
		if (size == 0)
			empty = true;
		else if (x->count > most / size)
			return false;
		else
			x->count *= size;
	}
	if (empty) x->count = 0;
	return true;
}

static sx_status read_entry(sx_tensors *t, sx_ctx *ctx, const source *src, const char *name,
			    const json_t *entry)
{
	sx_tensor x = {.name = name};
	if (!printable(name))
		return sx_fail(ctx, SX_EDATA, "%s: a tensor's name has control characters",
			       src->path);
	const char *dtype = json_string_value(json_object_get(entry, "dtype"));
	if (!dtype || !find_dtype(dtype, &x.dtype))
		return sx_fail(
			ctx, SX_EDATA,
			"%s: tensor %s has the type %s, which is not known: save it as BF16, "
			"F16 or F32",
			src->path, name, dtype && printable(dtype) ? dtype : "(none)");
	if (!read_shape(json_object_get(entry, "shape"), &x))
		return sx_fail(ctx, SX_EDATA, "%s: tensor %s has an impossible shape", src->path,
			       name);
	const json_t *offsets = json_object_get(entry, "data_offsets");
	const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
	if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e) ||
	    json_integer_value(b) < 0 || json_integer_value(e) < json_integer_value(b))
		return sx_fail(ctx, SX_EDATA, "%s: tensor %s has impossible data_offsets",
			       src->path, name);
	uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(e);
	if (end - begin != (uint64_t)x.count * sx_dtype_size(x.dtype))
		return sx_fail(ctx, SX_EDATA,
			       "%s: tensor %s: its shape and type need %lld bytes, its "
			       "data_offsets give it %lld",
			       src->path, name,
			       (long long)x.count * (long long)sx_dtype_size(x.dtype),
			       (long long)(end - begin));
	if (end > src->data_size)
		return sx_fail(ctx, SX_EDATA,
			       "%s is truncated: tensor %s ends at byte %lld of the data, the file "
			       "has %lld; copy or download it again",
			       src->path, name, (long long)end, (long long)src->data_size);
	x.data = src->data + begin;
	return sx_tensors_add(t, ctx, &x);
}

static sx_status read_meta(sx_tensors *t, sx_ctx *ctx, const source *src, json_t *meta)
{
	const char *key;
	json_t *value;
	if (json_is_null(meta)) return SX_OK; /* as MLX writes it */
	if (!json_is_object(meta))
		return sx_fail(ctx, SX_EDATA, "%s: __metadata__ is not an object", src->path);
	json_object_foreach(meta, key, value)
	{
		if (!json_is_string(value))
			return sx_fail(ctx, SX_EDATA, "%s: __metadata__ holds more than strings",
				       src->path);
		sx_tensor_meta *grown = room(t->meta, t->n_meta, sizeof *grown);
		if (!grown) return sx_fail(ctx, SX_ENOMEM, "no memory to open %s", src->path);
		t->meta = grown;
		sx_tensor_meta m = {sx_strdup(key), sx_strdup(json_string_value(value))};
		t->meta[t->n_meta++] = m; /* owned from here, also when one of them is NULL */
		if (!m.key || !m.value)
			return sx_fail(ctx, SX_ENOMEM, "no memory to open %s", src->path);
	}
	return SX_OK;
}

static int by_place(const void *a, const void *b)
{
	const sx_tensor *x = *(const sx_tensor *const *)a, *y = *(const sx_tensor *const *)b;
	uintptr_t px = (uintptr_t)x->data, py = (uintptr_t)y->data;
	if (px != py) return px < py ? -1 : 1;
	return (x->count > y->count) - (x->count < y->count); /* empty ones first */
}

/* The tensors from number `first` on must cover the data without holes and without overlap. */
static sx_status check_cover(const sx_tensors *t, sx_ctx *ctx, const source *src, int64_t first)
{
	sx_status st = SX_OK;
	int64_t n = t->n - first;
	const sx_tensor **order = sx_calloc((size_t)n, sizeof *order);
	if (!order) return sx_fail(ctx, SX_ENOMEM, "no memory to open %s", src->path);
	for (int64_t i = 0; i < n; i++) order[i] = &t->list[first + i];
	if (n) qsort(order, (size_t)n, sizeof *order, by_place);
	const unsigned char *at = src->data;
	for (int64_t i = 0; i < n && st == SX_OK; i++) {
		if ((const unsigned char *)order[i]->data != at)
			st = sx_fail(ctx, SX_EDATA,
				     "%s is damaged: the data of tensor %s %s; download it again",
				     src->path, order[i]->name,
				     (const unsigned char *)order[i]->data < at
					     ? "overlap another tensor's"
					     : "leave a hole before them");
		at += (size_t)order[i]->count * sx_dtype_size(order[i]->dtype);
	}
	if (st == SX_OK && (uint64_t)(at - src->data) != src->data_size)
		st = sx_fail(ctx, SX_EDATA,
			     "%s is damaged: %lld bytes after its last tensor; download it again",
			     src->path, (long long)(src->data_size - (uint64_t)(at - src->data)));
	free((void *)order);
	return st;
}

/* Adds the tensors of one file to the table. */
static sx_status read_one(sx_tensors *t, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	json_t *root = NULL, *entry;
	const char *name;
	const unsigned char *base = NULL;
	size_t size = 0;
	int64_t first = t->n;
	SX_TRY(sx_tensors_map(t, ctx, path, &base, &size));
	uint64_t header = 0;
	if (size >= 8) memcpy(&header, base, 8);
	if (size < 8 + 2 || header < 2 || header > HEADER_MAX || base[8] != '{') {
		st = sx_fail(ctx, SX_EDATA, "%s is not a safetensors file", path);
		goto out;
	}
	if (header > size - 8) {
		st = sx_fail(ctx, SX_EDATA,
			     "%s is truncated: its header needs %lld bytes, the file has %lld; "
			     "copy or download it again",
			     path, (long long)header, (long long)(size - 8));
		goto out;
	}
	json_error_t err;
	root = json_loadb((const char *)base + 8, (size_t)header, JSON_REJECT_DUPLICATES, &err);
	if (!json_is_object(root)) {
		st = sx_fail(ctx, SX_EDATA, "%s: its header is not valid JSON: %s", path,
			     !root && printable(err.text) ? err.text : "not an object");
		goto out;
	}
	source src = {path, base + 8 + header, size - 8 - header};
	json_object_foreach(root, name, entry)
	{
		if (strcmp(name, "__metadata__") == 0)
			SX_TRY(read_meta(t, ctx, &src, entry));
		else
			SX_TRY(read_entry(t, ctx, &src, name, entry));
	}
	SX_TRY(check_cover(t, ctx, &src, first));
out:
	json_decref(root);
	return st;
}

/* Reads the shard `file` beside the index and checks that the index gives every tensor to it. */
static sx_status read_shard(sx_tensors *t, sx_ctx *ctx, const char *index, const char *file,
			    const json_t *weight_map)
{
	sx_status st = SX_OK;
	const char *slash = strrchr(index, '/');
	char *path = sx_format("%.*s%s", slash ? (int)(slash - index + 1) : 0, index, file);
	int64_t first = t->n;
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory to open %s", index);
	if (!sx_path_exists(path))
		SX_TRY(sx_fail(ctx, SX_ENOINPUT,
			       "%s names %s, which is not there: copy or download that part too",
			       index, path));
	SX_TRY(read_one(t, ctx, path));
	for (int64_t i = first; i < t->n; i++) {
		const char *owner = json_string_value(json_object_get(weight_map, t->list[i].name));
		if (owner && strcmp(owner, file) == 0) continue;
		if (owner)
			SX_TRY(sx_fail(ctx, SX_EDATA,
				       "%s puts tensor %s into %s, and %s has it too: which one is "
				       "meant cannot be known",
				       index, t->list[i].name, owner, file));
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: tensor %s of %s is not in the index", index,
			       t->list[i].name, file));
	}
out:
	free(path);
	return st;
}

static sx_status read_index(sx_tensors *t, sx_ctx *ctx, const char *index)
{
	sx_status st = SX_OK;
	json_t *seen = json_object(), *file, *root = NULL;
	const char *name;
	char *text = NULL;
	size_t size = 0;
	SX_TRY(sx_read_file(ctx, index, &text, &size));
	SX_TRY(sx_hf_parse(&root, ctx, index, text, size));
	json_t *weight_map = json_object_get(root, "weight_map");
	if (!json_is_object(weight_map)) {
		st = sx_fail(ctx, SX_EDATA,
			     "%s is not an index of safetensors files: no weight_map", index);
		goto out;
	}
	json_object_foreach(weight_map, name, file)
	{
		const char *f = json_string_value(file);
		if (!printable(name) || !f || !*f || !printable(f))
			SX_TRY(sx_fail(ctx, SX_EDATA, "%s: weight_map names a file that cannot be",
				       index));
		if (strchr(f, '/') || strcmp(f, ".") == 0 || strcmp(f, "..") == 0)
			SX_TRY(sx_fail(
				ctx, SX_EDATA,
				"%s puts tensor %s into %s, and its parts must lie beside it",
				index, name, f));
		if (json_object_get(seen, f)) continue;
		SX_TRY(read_shard(t, ctx, index, f, weight_map));
		if (json_object_set_new(seen, f, json_true()) != 0) {
			st = sx_fail(ctx, SX_ENOMEM, "no memory to open %s", index);
			goto out;
		}
	}
	SX_TRY(sx_tensors_sort(t, ctx));
	json_object_foreach(weight_map, name, file)
	{
		if (sx_tensors_find(t, name)) continue;
		st = sx_fail(ctx, SX_EDATA, "%s: tensor %s is not in %s, where the index puts it",
			     index, name, json_string_value(file));
		goto out;
	}
out:
	json_decref(seen);
	json_decref(root);
	free(text);
	return st;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && strcmp(s + n - m, end) == 0;
}

sx_status sx_refuse_pickle(sx_ctx *ctx, const char *path)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash - path) : 1;
	return sx_fail(ctx, SX_EDATA,
		       "%s is a pickle of PyTorch, which is not read (it can run code); convert it "
		       "once in Python, with transformers:\n"
		       "  from transformers import AutoModelForCausalLM as M\n"
		       "  M.from_pretrained(\"%.*s\").save_pretrained(\"%.*s\")",
		       path, n, slash ? path : ".", n, slash ? path : ".");
}

/* A folder without safetensors: what else is there that people have. */
static sx_status refuse_folder(sx_ctx *ctx, const char *folder)
{
	static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
	for (int i = 0; i < 2; i++) {
		char *p = sx_format("%s/%s", folder, pickles[i]);
		sx_status st = p && sx_path_exists(p) ? sx_refuse_pickle(ctx, p) : SX_OK;
		free(p);
		if (st != SX_OK) return st;
	}
	return sx_fail(ctx, SX_ENOINPUT,
		       "the folder %s holds no model.safetensors and no "
		       "model.safetensors.index.json",
		       folder);
}

/* The file to read for what the user named; the caller's to free. */
static sx_status resolve(char **out, sx_ctx *ctx, const char *path)
{
	bool folder = sx_path_is_dir(path);
	char *one = folder ? sx_format("%s/model.safetensors", path) : sx_strdup(path);
	char *index = sx_format("%s/model.safetensors.index.json", path);
	sx_status st = SX_OK;
	if (!one || !index)
		st = sx_fail(ctx, SX_ENOMEM, "no memory to open %s", path);
	else if (!folder || sx_path_exists(one))
		*out = one, one = NULL;
	else if (sx_path_exists(index))
		*out = index, index = NULL;
	else
		st = refuse_folder(ctx, path);
	free(one);
	free(index);
	return st;
}

sx_status sx_safetensors_open(sx_tensors **out, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_tensors *t = sx_calloc(1, sizeof *t);
	if (!t) return sx_fail(ctx, SX_ENOMEM, "no memory to open %s", path);
	SX_TRY(resolve(&t->path, ctx, path));
	if (ends_in(t->path, ".json")) {
		SX_TRY(read_index(t, ctx, t->path));
	} else {
		SX_TRY(read_one(t, ctx, t->path));
		SX_TRY(sx_tensors_sort(t, ctx));
	}
	*out = t;
	t = NULL;
out:
	sx_tensors_free(t);
	return st;
}

/* ---- writing safetensors ---- */

static int by_dtype_and_name(const void *a, const void *b)
{
	const sx_tensor *x = *(const sx_tensor *const *)a, *y = *(const sx_tensor *const *)b;
	if (x->dtype != y->dtype) return x->dtype > y->dtype ? -1 : 1;
	return strcmp(x->name, y->name);
}

static size_t tensor_bytes(const sx_tensor *x)
{
	size_t bytes = sx_dtype_size(x->dtype);
	for (int i = 0; i < x->rank; i++) bytes *= (size_t)x->shape[i];
	return bytes;
}

/* The header's JSON, or NULL: no memory, a name twice, or text that is not UTF-8. */
static char *make_header(const sx_tensor **order, int64_t n, const sx_tensor_meta *meta,
			 int64_t n_meta)
{
	char *text = NULL;
	json_t *root = json_object(), *strings = json_pack("{s:s}", "format", "pt");
	json_int_t at = 0;
	for (int64_t i = 0; i < n_meta; i++)
		if (json_object_set_new(strings, meta[i].key, json_string(meta[i].value)) != 0) {
			json_decref(strings);
			goto out;
		}
	if (json_object_set_new(root, "__metadata__", strings) != 0) goto out;
	for (int64_t i = 0; i < n; i++) {
		const sx_tensor *x = order[i];
		json_t *shape = json_array();
		for (int k = 0; k < x->rank; k++)
			json_array_append_new(shape, json_integer(x->shape[k]));
		json_int_t end = at + (json_int_t)tensor_bytes(x);
		json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", sx_dtype_name(x->dtype),
					  "shape", shape, "data_offsets", at, end);
		at = end;
		if (json_object_get(root, x->name)) {
			json_decref(entry);
			goto out;
		}
		if (json_object_set_new(root, x->name, entry) != 0) goto out;
	}
	text = json_dumps(root, JSON_COMPACT);
out:
	json_decref(root);
	return text;
}

static bool put_all(const sx_output *o, const char *header, const sx_tensor **order, int64_t n)
{
	static const char spaces[8] = "        ";
	size_t len = strlen(header), pad = (8 - len % 8) % 8;
	uint64_t total = len + pad;
	if (!sx_output_put(o, &total, 8) || !sx_output_put(o, header, len) ||
	    !sx_output_put(o, spaces, pad))
		return false;
	for (int64_t i = 0; i < n; i++)
		if (!sx_output_put(o, order[i]->data, tensor_bytes(order[i]))) return false;
	return true;
}

sx_status sx_safetensors_write(sx_ctx *ctx, const char *path, const sx_tensor *list, int64_t n,
			       const sx_tensor_meta *meta, int64_t n_meta)
{
	sx_status st = SX_OK;
	char *header = NULL;
	sx_output o;
	const sx_tensor **order = sx_calloc((size_t)n, sizeof *order);
	if (!order) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
		goto out;
	}
	for (int64_t i = 0; i < n; i++) order[i] = &list[i];
	if (n) qsort(order, (size_t)n, sizeof *order, by_dtype_and_name);
	header = make_header(order, n, meta, n_meta);
	if (!header) {
		st = sx_fail(ctx, SX_EINTERNAL,
			     "cannot write %s: no memory, or a name that is not UTF-8 or comes "
			     "twice",
			     path);
		goto out;
	}
	SX_TRY(sx_output_begin(&o, ctx, path));
	sx_output_lock(&o);
	st = sx_output_end(&o, ctx, put_all(&o, header, order, n));
out:
	free((void *)order);
	free(header);
	return st;
}

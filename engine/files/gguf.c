/* The container: keys and tensors. What they mean: gguf_model.c. */
#include "engine/files/gguf.h"

#include "engine/files/gguf_blocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_SIZE = 4, ALIGNMENT = 32, MAX_RANK = 4, MAX_KEY = 65535 };
static const char magic[MAGIC_SIZE + 1] = "GGUF";

/* Bytes of a value of fixed size; 0: has none. */
static size_t size_of(sx_gguf_type t)
{
	static const unsigned char size[SX_GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
	return size[t];
}

/* ---- a place in the file that never leaves it ---- */

typedef struct {
	sx_ctx *ctx;
	const char *path;
	const unsigned char *base;
	size_t size, at;
} cursor;

static sx_status cut(const cursor *c, const char *what)
{
	return sx_fail(c->ctx, SX_EDATA,
		       "%s is truncated or damaged: %s ends beyond its %zu bytes; copy or download "
		       "it again",
		       c->path, what, c->size);
}

static sx_status take(cursor *c, void *out, size_t n, const char *what)
{
	if (n > c->size - c->at) return cut(c, what);
	memcpy(out, c->base + c->at, n);
	c->at += n;
	return SX_OK;
}

static sx_status skip(cursor *c, uint64_t n, size_t each, const char *what)
{
	if (each && n > (c->size - c->at) / each) return cut(c, what);
	c->at += (size_t)n * each;
	return SX_OK;
}

/* A length and that many bytes; *text is borrowed. */
static sx_status take_string(cursor *c, const char **text, size_t *len, const char *what)
{
	uint64_t n = 0;
	sx_status st = take(c, &n, sizeof n, what);
	*text = (const char *)c->base + c->at;
	*len = (size_t)n;
	return st == SX_OK ? skip(c, n, 1, what) : st;
}

/* A name, which may end up on a terminal and ends in a NUL of ours. The caller's to free. */
static sx_status take_name(cursor *c, char **out, const char *what)
{
	const char *text = NULL;
	size_t len = 0;
	sx_status st = take_string(c, &text, &len, what);
	if (st != SX_OK) return st;
	bool odd = len == 0 || len > MAX_KEY;
	for (size_t i = 0; i < len && !odd; i++)
		odd = (unsigned char)text[i] < 32 || text[i] == 127;
	if (odd) return sx_fail(c->ctx, SX_EDATA, "%s is damaged: %s is no name", c->path, what);
	*out = sx_format("%.*s", (int)len, text);
	return *out ? SX_OK : sx_fail(c->ctx, SX_ENOMEM, "no memory to open %s", c->path);
}

/* ---- keys ---- */

static sx_status take_type(cursor *c, sx_gguf_type *out, const char *key)
{
	uint32_t t = 0;
	sx_status st = take(c, &t, sizeof t, "a key");
	if (st != SX_OK) return st;
	if (t >= SX_GGUF_TYPES)
		return sx_fail(c->ctx, SX_EDATA, "%s: %s is of the type %u, which is not known",
			       c->path, key, (unsigned)t);
	*out = (sx_gguf_type)t;
	return SX_OK;
}

static sx_status take_elements(cursor *c, const sx_gguf_value *v)
{
	sx_status st = SX_OK;
	if (v->type != SX_GGUF_STRING) return skip(c, (uint64_t)v->n, size_of(v->type), v->key);
	for (int64_t i = 0; i < v->n && st == SX_OK; i++) {
		const char *text;
		size_t len;
		st = take_string(c, &text, &len, v->key);
	}
	return st;
}

/* v->key is set. */
static sx_status take_value(cursor *c, sx_gguf_value *v)
{
	sx_status st = SX_OK;
	SX_TRY(take_type(c, &v->type, v->key));
	v->n = 1;
	if (v->type == SX_GGUF_ARRAY) {
		uint64_t n = 0;
		v->array = true;
		SX_TRY(take_type(c, &v->type, v->key));
		SX_TRY(take(c, &n, sizeof n, v->key));
		if (v->type == SX_GGUF_ARRAY) {
			st = sx_fail(c->ctx, SX_EDATA, "%s: %s is an array of arrays, not read",
				     c->path, v->key);
			goto out;
		}
		if (n > c->size) return cut(c, v->key); /* every element has a byte at least */
		v->n = (int64_t)n;
	}
	v->data = c->base + c->at;
	SX_TRY(take_elements(c, v));
out:
	return st;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const sx_gguf_value *)a)->key, ((const sx_gguf_value *)b)->key);
}

static sx_status take_keys(cursor *c, sx_gguf_keys *k, uint64_t n)
{
	sx_status st = SX_OK;
	/* a key, its type and a value take 8 + 1 + 4 + 1 bytes at least */
	if (n > c->size / 14) return cut(c, "its list of keys");
	k->list = sx_calloc((size_t)n + 1, sizeof *k->list);
	if (!k->list) return sx_fail(c->ctx, SX_ENOMEM, "no memory to open %s", c->path);
	while ((uint64_t)k->n < n) {
		sx_gguf_value *v = &k->list[k->n];
		SX_TRY(take_name(c, &v->key, "a key"));
		k->n++;
		SX_TRY(take_value(c, v));
	}
	qsort(k->list, (size_t)k->n, sizeof *k->list, by_key);
	for (int64_t i = 1; i < k->n; i++)
		if (strcmp(k->list[i - 1].key, k->list[i].key) == 0)
			return sx_fail(c->ctx, SX_EDATA, "%s: the key %s is there twice", c->path,
				       k->list[i].key);
out:
	return st;
}

void sx_gguf_keys_free(sx_gguf_keys *k)
{
	for (int64_t i = 0; i < k->n; i++) free(k->list[i].key);
	free(k->list);
	free(k->path);
	*k = (sx_gguf_keys){0};
}

const sx_gguf_value *sx_gguf_find(const sx_gguf_keys *k, const char *key)
{
	for (int64_t i = 0; i < k->n; i++)
		if (strcmp(k->list[i].key, key) == 0) return &k->list[i];
	return NULL;
}

static sx_status wrong_kind(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, const char *want)
{
	return sx_fail(ctx, SX_EDATA, "%s: %s must be %s", k->path, key, want);
}

/* A whole number of any width; false where it is none, or none that fits. */
static bool whole_number(const sx_gguf_value *v, int64_t *out)
{
	uint64_t u = 0;
	size_t n = size_of(v->type);
	bool is_signed = v->type == SX_GGUF_I8 || v->type == SX_GGUF_I16 ||
			 v->type == SX_GGUF_I32 || v->type == SX_GGUF_I64;
	bool is_unsigned = v->type == SX_GGUF_U8 || v->type == SX_GGUF_U16 ||
			   v->type == SX_GGUF_U32 || v->type == SX_GGUF_U64;
	if (v->array || !(is_signed || is_unsigned)) return false;
	memcpy(&u, v->data, n); /* little-endian: the low bytes */
	if (is_signed && n < 8 && u >> (8 * n - 1)) u |= UINT64_MAX << (8 * n);
	if (is_unsigned && u > INT64_MAX) return false;
	memcpy(out, &u, sizeof *out);
	return true;
}

sx_status sx_gguf_get_int(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, int64_t *out)
{
	const sx_gguf_value *v = sx_gguf_find(k, key);
	if (!v || whole_number(v, out)) return SX_OK;
	return wrong_kind(k, ctx, key, "one whole number");
}

/* The decimal with the fewest digits that rounds to x. */
static double shortest(float x)
{
	char text[32];
	for (int digits = 1; digits <= 9; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, (double)x);
		if (strtof(text, NULL) == x) return strtod(text, NULL);
	}
	return (double)x;
}

sx_status sx_gguf_get_number(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, double *out)
{
	const sx_gguf_value *v = sx_gguf_find(k, key);
	int64_t i;
	double x = (double)NAN;
	if (!v) return SX_OK;
	if (whole_number(v, &i)) {
		x = (double)i;
	} else if (!v->array && v->type == SX_GGUF_F32) {
		float f;
		memcpy(&f, v->data, sizeof f);
		x = shortest(f);
	} else if (!v->array && v->type == SX_GGUF_F64) {
		memcpy(&x, v->data, sizeof x);
	}
	if (!isfinite(x)) return wrong_kind(k, ctx, key, "one finite number");
	*out = x;
	return SX_OK;
}

const char *sx_gguf_next_string(const unsigned char **at, size_t *len)
{
	uint64_t n;
	memcpy(&n, *at, sizeof n);
	const char *text = (const char *)*at + sizeof n;
	*at += sizeof n + n;
	*len = (size_t)n;
	return text;
}

sx_status sx_gguf_get_string(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, const char **out,
			     size_t *len)
{
	const sx_gguf_value *v = sx_gguf_find(k, key);
	if (!v) return SX_OK;
	if (v->array || v->type != SX_GGUF_STRING) return wrong_kind(k, ctx, key, "one string");
	const unsigned char *at = v->data;
	*out = sx_gguf_next_string(&at, len);
	return SX_OK;
}

/* ---- tensors ---- */

/* Where a tensor lies, before its place is checked. */
typedef struct {
	uint64_t offset, bytes;
	int64_t index; /* in the table */
} extent;

static sx_status take_shape(cursor *c, sx_tensor *x)
{
	sx_status st = SX_OK;
	uint32_t rank = 0;
	SX_TRY(take(c, &rank, sizeof rank, "a tensor"));
	if (rank > MAX_RANK)
		return sx_fail(c->ctx, SX_EDATA, "%s: tensor %s has %u dimensions", c->path,
			       x->name, (unsigned)rank);
	x->rank = (int)rank;
	x->count = 1;
	for (int i = x->rank - 1; i >= 0; i--) { /* the fastest dimension comes first */
		uint64_t n = 0;
		SX_TRY(take(c, &n, sizeof n, "a tensor"));
		/* 8 bytes: the widest number */
		if (n == 0 || n > (uint64_t)(INT64_MAX / 8) / (uint64_t)x->count)
			return sx_fail(c->ctx, SX_EDATA, "%s: tensor %s has an impossible shape",
				       c->path, x->name);
		x->shape[i] = (int64_t)n;
		x->count *= (int64_t)n;
	}
out:
	return st;
}

static sx_status take_tensor_type(cursor *c, sx_tensor *x, extent *e)
{
	uint32_t number = 0;
	sx_status st = take(c, &number, sizeof number, "a tensor");
	if (st != SX_OK) return st;
	const sx_gguf_tensor_type *t = sx_gguf_tensor_type_of(number);
	if (!t || !t->blocks.bytes)
		return sx_fail(c->ctx, SX_EDATA,
			       "%s: tensor %s is stored as %s (type %u), which is not read: F32, "
			       "F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K and Q6_K are",
			       c->path, x->name, t ? t->blocks.name : "a type not known",
			       (unsigned)number);
	int64_t row = x->rank ? x->shape[x->rank - 1] : 1;
	if (row % t->blocks.numbers)
		return sx_fail(c->ctx, SX_EDATA,
			       "%s: tensor %s has rows of %lld numbers, %s comes in blocks of %d",
			       c->path, x->name, (long long)row, t->blocks.name, t->blocks.numbers);
	x->dtype = t->as;
	x->blocks = t->blocks.decode ? &t->blocks : NULL;
	e->bytes = (uint64_t)(x->count / t->blocks.numbers) * (uint64_t)t->blocks.bytes;
	return SX_OK;
}

static sx_status take_tensor(cursor *c, sx_tensors *t, extent *e)
{
	sx_status st = SX_OK;
	char *name = NULL;
	sx_tensor x = {0};
	SX_TRY(take_name(c, &name, "a tensor's name"));
	x.name = name;
	SX_TRY(take_shape(c, &x));
	SX_TRY(take_tensor_type(c, &x, e));
	SX_TRY(take(c, &e->offset, sizeof e->offset, "a tensor"));
	e->index = t->n;
	SX_TRY(sx_tensors_add(t, c->ctx, &x));
out:
	free(name);
	return st;
}

static int by_offset(const void *a, const void *b)
{
	const extent *x = a, *y = b;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Gives every tensor its data, from the start of the data on. */
static sx_status place(const cursor *c, sx_tensors *t, extent *e, uint64_t alignment)
{
	uint64_t start = (c->at + alignment - 1) / alignment * alignment, end = 0;
	uint64_t room = start < c->size ? c->size - start : 0;
	if (t->n) qsort(e, (size_t)t->n, sizeof *e, by_offset);
	for (int64_t i = 0; i < t->n; i++) {
		const char *name = t->list[e[i].index].name;
		if (e[i].offset % alignment || e[i].offset < end)
			return sx_fail(c->ctx, SX_EDATA,
				       "%s is damaged: the data of tensor %s %s; download it again",
				       c->path, name,
				       e[i].offset % alignment ? "are not aligned"
							       : "overlap another tensor's");
		if (e[i].bytes > room || e[i].offset > room - e[i].bytes) return cut(c, name);
		end = e[i].offset + e[i].bytes;
		t->list[e[i].index].data = c->base + start + e[i].offset;
	}
	return SX_OK;
}

static sx_status take_header(cursor *c, uint64_t *n_tensors, uint64_t *n_keys)
{
	sx_status st = SX_OK;
	uint32_t version = 0;
	if (c->size < MAGIC_SIZE || memcmp(c->base, magic, MAGIC_SIZE) != 0)
		return sx_fail(c->ctx, SX_EDATA, "%s is not a GGUF file", c->path);
	c->at = MAGIC_SIZE;
	SX_TRY(take(c, &version, sizeof version, "its header"));
	if (version != 3)
		return sx_fail(c->ctx, SX_EDATA,
			       version & 0xffff ? "%s is a GGUF file of version %u; 3 is read: "
						  "convert it with a newer llama.cpp"
						: "%s is a big-endian GGUF file (%u), not read",
			       c->path, (unsigned)version);
	SX_TRY(take(c, n_tensors, sizeof *n_tensors, "its header"));
	SX_TRY(take(c, n_keys, sizeof *n_keys, "its header"));
out:
	return st;
}

static sx_status take_tensors(cursor *c, sx_tensors *t, const sx_gguf_keys *k, uint64_t n)
{
	sx_status st = SX_OK;
	int64_t alignment = ALIGNMENT;
	/* a name, a rank, a type and an offset take 8 + 1 + 4 + 4 + 8 bytes at least */
	if (n > c->size / 25) return cut(c, "its list of tensors");
	extent *e = sx_calloc((size_t)n + 1, sizeof *e);
	if (!e) return sx_fail(c->ctx, SX_ENOMEM, "no memory to open %s", c->path);
	SX_TRY(sx_gguf_get_int(k, c->ctx, "general.alignment", &alignment));
	if (alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1))) {
		st = wrong_kind(k, c->ctx, "general.alignment", "a power of two up to 2^20");
		goto out;
	}
	for (uint64_t i = 0; i < n; i++) SX_TRY(take_tensor(c, t, &e[i]));
	SX_TRY(place(c, t, e, (uint64_t)alignment));
	SX_TRY(sx_tensors_sort(t, c->ctx));
out:
	free(e);
	return st;
}

sx_status sx_gguf_read(sx_tensors **tensors, sx_gguf_keys *keys, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	cursor c = {.ctx = ctx, .path = path};
	uint64_t n_tensors = 0, n_keys = 0;
	sx_tensors *t = sx_calloc(1, sizeof *t);
	*keys = (sx_gguf_keys){.path = sx_strdup(path)};
	if (!t || !keys->path || !(t->path = sx_strdup(path))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to open %s", path);
		goto out;
	}
	SX_TRY(sx_tensors_map(t, ctx, path, &c.base, &c.size));
	SX_TRY(take_header(&c, &n_tensors, &n_keys));
	SX_TRY(take_keys(&c, keys, n_keys));
	SX_TRY(take_tensors(&c, t, keys, n_tensors));
	*tensors = t;
	t = NULL;
out:
	if (st != SX_OK) sx_gguf_keys_free(keys);
	sx_tensors_free(t);
	return st;
}

bool sx_gguf_is(const char *path)
{
	char head[MAGIC_SIZE] = {0};
	FILE *f = fopen(path, "rb");
	bool is = f && fread(head, 1, MAGIC_SIZE, f) == MAGIC_SIZE &&
		  memcmp(head, magic, MAGIC_SIZE) == 0;
	if (f) fclose(f);
	return is;
}

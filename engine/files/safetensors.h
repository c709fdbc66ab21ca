/* Tensors in files. A sx_tensors is a table of named tensors over memory-mapped files: safetensors
 * opens into one here, llama2.c checkpoints in llama2c.h, so that a loader treats them alike. Names
 * are those of some family of models (family.h). Knows nothing of what a model is.
 *
 * Format: https://github.com/huggingface/safetensors (8-byte little-endian header length, JSON
 * header, data). A file is taken as hostile: whatever its header says is checked before use. */
#ifndef SX_ENGINE_FILES_SAFETENSORS_H
#define SX_ENGINE_FILES_SAFETENSORS_H

#include "engine/base.h"
#include "engine/dtype.h"

enum { SX_TENSOR_MAX_RANK = 8 };

/* Numbers that stand packed in blocks of equal size, and how one becomes floats (gguf.h). */
typedef struct {
	const char *name;
	int numbers, bytes; /* of a block; numbers at most SX_BLOCK_NUMBERS */
	void (*decode)(float *dst, const unsigned char *block);
} sx_tensor_blocks;
enum { SX_BLOCK_NUMBERS = 256 };

typedef struct {
	const char *name; /* borrowed from the table                                           */
	sx_dtype dtype;
	int rank;
	int64_t shape[SX_TENSOR_MAX_RANK];
	int64_t count;    /* elements: the product of shape, 1 where rank = 0                  */
	const void *data; /* (count) row-major, little-endian; borrowed. In safetensors it may
	                     lie at any address: go through the sx_tensor_read functions       */
	/* NULL, or data are blocks, a whole number of them a row; dtype is then F32. */
	const sx_tensor_blocks *blocks;
} sx_tensor;

typedef struct {
	const char *key, *value;
} sx_tensor_meta;

typedef struct {
	void *base;
	size_t size;
} sx_mapping;

/* Everything in it lives until sx_tensors_free. Users read; the open functions fill. */
/* clang-format off */
typedef struct {
	sx_tensor *list;      /* (n) sorted by name, no name twice     */
	int64_t n;
	sx_tensor_meta *meta; /* (n_meta) strings stored with the file */
	int64_t n_meta;
	char *path;           /* what was opened, for messages         */
	sx_mapping *map;      /* (n_map) the files, read-only          */
	int64_t n_map;
	bool unchecked;       /* numbers that are not finite are let through (--no-check) */
	const struct sx_model_family *family; /* whose names they have; NULL = Llama's. Set by who knows */
} sx_tensors;
/* clang-format on */

/* Opens one .safetensors file, a model.safetensors.index.json with its shards, or a folder that
 * holds either. SX_ENOINPUT: not there; SX_EDATA: damaged, truncated, or a type not known. */
sx_status sx_safetensors_open(sx_tensors **out, sx_ctx *ctx, const char *path) SX_NODISCARD;
void sx_tensors_free(sx_tensors *t);

const sx_tensor *sx_tensors_find(const sx_tensors *t, const char *name); /* NULL if absent */
/* As find, but a tensor that is absent or has another shape than (rows, cols) is SX_EDATA with a
 * sentence. cols = 0 asks for a vector (rows). */
sx_status sx_tensors_need(const sx_tensor **out, sx_ctx *ctx, const sx_tensors *t, const char *name,
			  int64_t rows, int64_t cols) SX_NODISCARD;
const char *sx_tensors_metadata(const sx_tensors *t, const char *key); /* NULL if absent */

/* Copies all elements into dst (count), converted: floating types (F64 F32 F16 BF16) for the first
 * two, exact but for F64 to float, which rounds to nearest; I64, I32 and U8 for the third.
 * SX_EDATA, naming the tensor, on any other type. */
sx_status sx_tensor_read_f32(sx_ctx *ctx, const sx_tensor *t, float *dst) SX_NODISCARD;
sx_status sx_tensor_read_f64(sx_ctx *ctx, const sx_tensor *t, double *dst) SX_NODISCARD;
sx_status sx_tensor_read_i64(sx_ctx *ctx, const sx_tensor *t, int64_t *dst) SX_NODISCARD;
/* IEEE binary16; every value is a float. */
float sx_float_of_half(uint16_t h);

/* Writes list (n), of each tensor name, dtype, rank, shape and data (aligned as its type; count is
 * not looked at), and the strings meta (n_meta) plus format = pt, which transformers asks for. Same
 * order and padding, hence the same bytes, as the reference writer. Goes to path.tmp, is fsynced
 * and renamed. SX_ECREATE, SX_EIO (disk full): nothing is left behind, an old file stays. */
sx_status sx_safetensors_write(sx_ctx *ctx, const char *path, const sx_tensor *list, int64_t n,
			       const sx_tensor_meta *meta, int64_t n_meta) SX_NODISCARD;

/* SX_EDATA with the lines of Python that convert a pickle, pytorch_model.bin. */
sx_status sx_refuse_pickle(sx_ctx *ctx, const char *path) SX_NODISCARD;

/* ---- for readers of other formats, which fill a table from sx_calloc ---- */

/* Maps a regular file for the table's lifetime. SX_ENOINPUT, SX_EIO. */
sx_status sx_tensors_map(sx_tensors *t, sx_ctx *ctx, const char *path, const unsigned char **base,
			 size_t *size) SX_NODISCARD;
/* Adds a copy of *x, name included. */
sx_status sx_tensors_add(sx_tensors *t, sx_ctx *ctx, const sx_tensor *x) SX_NODISCARD;
/* To be called once, after the last add. A name that came twice is SX_EDATA. */
sx_status sx_tensors_sort(sx_tensors *t, sx_ctx *ctx) SX_NODISCARD;

#endif

/* GGUF, the container of llama.cpp, version 3, little-endian: typed keys, then tensors.
 *
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A file is taken as hostile: every
 * count, string and offset is checked before use. Numbers that are packed in blocks (Q8_0, Q4_0, Q4_1,
 * Q4_K, Q5_K, Q6_K) become floats when they are read, by the blocks' definition, rounded as the
 * package `gguf` rounds. */
#ifndef SX_ENGINE_FILES_GGUF_H
#define SX_ENGINE_FILES_GGUF_H

#include "engine/base.h"
#include "engine/files/safetensors.h"
#include "engine/spec.h"

/* Types of values, by their number in the file. */
typedef enum {
	SX_GGUF_U8,
	SX_GGUF_I8,
	SX_GGUF_U16,
	SX_GGUF_I16,
	SX_GGUF_U32,
	SX_GGUF_I32,
	SX_GGUF_F32,
	SX_GGUF_BOOL,
	SX_GGUF_STRING,
	SX_GGUF_ARRAY,
	SX_GGUF_U64,
	SX_GGUF_I64,
	SX_GGUF_F64,
	SX_GGUF_TYPES
} sx_gguf_type;

typedef struct {
	char *key;
	sx_gguf_type type; /* of the elements, where it is an array                       */
	bool array;
	int64_t n;                 /* elements: 1 where it is no array                            */
	const unsigned char *data; /* where they begin, at any address; borrowed from the file    */
} sx_gguf_value;

/* Lives until sx_gguf_close. */
typedef struct {
	sx_gguf_value *list; /* (n) sorted by key, no key twice           */
	int64_t n;
	char *path; /* for messages                              */
} sx_gguf_keys;

/* The keys and the tensors of a file, tensors by the names they have there, shapes turned to rows first
 * (the file has the fastest dimension first). keys->data point into memory of *tensors. SX_ENOINPUT,
 * SX_EDATA (no GGUF, damaged, a version or a type of tensor that is not read). */
sx_status sx_gguf_read(sx_tensors **tensors, sx_gguf_keys *keys, sx_ctx *ctx,
		       const char *path) SX_NODISCARD;
void sx_gguf_keys_free(sx_gguf_keys *k); /* what is inside */

const sx_gguf_value *sx_gguf_find(const sx_gguf_keys *k, const char *key); /* NULL if absent */
/* A single number or string under the key, *out left as it is where there is none. SX_EDATA where it is
 * of another kind or does not fit. A number stored in 32 bits is the shortest decimal that rounds to it
 * (1e-5, not 9.99999974e-6): what the writer was given. The string is borrowed, *len bytes. */
sx_status sx_gguf_get_int(const sx_gguf_keys *k, sx_ctx *ctx, const char *key,
			  int64_t *out) SX_NODISCARD;
sx_status sx_gguf_get_number(const sx_gguf_keys *k, sx_ctx *ctx, const char *key,
			     double *out) SX_NODISCARD;
sx_status sx_gguf_get_string(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, const char **out,
			     size_t *len) SX_NODISCARD;
/* Moves *at past one string of an array of strings; the string is borrowed. The array was checked when
 * the file was read. */
const char *sx_gguf_next_string(const unsigned char **at, size_t *len);

/* A model: the tensors under the names of its family (family.h), and its spec. Architecture llama alone;
 * any other, and every key of it that would change the model and is not known here, is refused by name.
 * spec->interleaved is true: llama.cpp keeps the rows of q and k as pairs (2m, 2m+1). */
sx_status sx_gguf_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* Whether the file begins as GGUF does; false also where it cannot be read. */
bool sx_gguf_is(const char *path);

#endif

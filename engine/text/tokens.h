/* Files of token ids, for `--tokens` and for other programs. Read: ids as text separated by white
 * space; NumPy .npy (1-D, or 2-D with one sequence a row; uint8, uint16, int32, uint32, int64,
 * uint64, little-endian, C order); llm.c .bin (256 int32 of header: magic 20240520, version 1,
 * uint16 ids; magic 20240801, version 7, uint32 ids; then the count); nanoGPT .bin (bare uint16: a
 * name that ends in .bin without llm.c's magic is taken for this). */
#ifndef SX_ENGINE_TEXT_TOKENS_H
#define SX_ENGINE_TEXT_TOKENS_H

#include "engine/base.h"

typedef struct {
	int32_t *ids;       /* (rows, cols); owned                                  */
	int64_t n;          /* rows * cols, at least 1                              */
	int64_t rows, cols; /* sequences and their length; 1 row but for a 2-D .npy */
} sx_tokens;

/* Every id must be below `vocab` (0 = not checked). SX_ENOINPUT if the file does not open,
 * SX_EDATA if it is none of the formats, holds no ids, or holds one outside the vocabulary. */
sx_status sx_tokens_read(sx_tokens *out, sx_ctx *ctx, const char *path, int vocab) SX_NODISCARD;
/* The same from memory; `name` is for messages and for the ending .bin. */
sx_status sx_tokens_parse(sx_tokens *out, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab) SX_NODISCARD;
void sx_tokens_free(sx_tokens *t); /* frees what is inside */

/* Writes n ids in the format the ending of path names: .npy (1-D int32), .bin (llm.c, uint16 where
 * all ids fit, else uint32), .txt. SX_EUSAGE on another ending; SX_ECREATE, SX_EIO. */
sx_status sx_tokens_write(sx_ctx *ctx, const char *path, const int32_t *ids,
			  int64_t n) SX_NODISCARD;

#endif

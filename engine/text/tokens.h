/* Files of token ids, for `--tokens` and for other programs. Read: ids as text separated by white
 * space; NumPy .npy (1-D, or 2-D with one sequence a row; whole numbers of 1 to 8 bytes,
 * little-endian, C order); llm.c .bin (256 int32 of header: magic 20240520, version 1, uint16 ids;
 * magic 20240801, version 7, uint32 ids; then the count); bare ids as nanoGPT writes them (a name
 * that ends in .bin without llm.c's magic is taken for uint16 ones, and refused where it cannot be).
 * The size of a file must be that of its header and its ids. */
#ifndef SX_ENGINE_TEXT_TOKENS_H
#define SX_ENGINE_TEXT_TOKENS_H

#include "engine/base.h"

typedef struct {
	int32_t *ids;       /* (rows, cols); owned                                  */
	int64_t n;          /* rows * cols, at least 1                              */
	int64_t rows, cols; /* sequences and their length; 1 row but for a 2-D .npy */
} sx_tokens;

/* How wide bare ids are, whatever their file is called; ANY: what the file says, 16 bits for a .bin
 * that says nothing. */
typedef enum { SX_IDS_ANY, SX_IDS_U16, SX_IDS_U32 } sx_id_width;
bool sx_id_width_parse(const char *s, sx_id_width *out); /* "u16", "u32" */

/* Every id must be below `vocab` (0 = not checked); path "-" is standard input. SX_ENOINPUT if the
 * file does not open, SX_EDATA if it is none of the formats, holds no ids, holds one outside the
 * vocabulary, or another width than the name promises; SX_EUSAGE if it says itself how wide its ids
 * are and `ids` does too. */
sx_status sx_tokens_read(sx_tokens *out, sx_ctx *ctx, const char *path, int vocab,
			 sx_id_width ids) SX_NODISCARD;
/* The same from memory; `name` is for messages and for the ending .bin. */
sx_status sx_tokens_parse(sx_tokens *out, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab, sx_id_width ids) SX_NODISCARD;
void sx_tokens_free(sx_tokens *t); /* frees what is inside */

/* Writes n ids in the format the ending of path names: .npy (1-D int32), .bin (llm.c, uint16 where
 * all ids fit, else uint32), .txt. SX_EUSAGE on another ending; SX_ECREATE, SX_EIO. */
sx_status sx_tokens_write(sx_ctx *ctx, const char *path, const int32_t *ids,
			  int64_t n) SX_NODISCARD;

#endif

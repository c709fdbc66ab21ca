/* What the loss is taken on: windows of token ids with their targets, held-out ones of a language or
 * cut from a text of one's own. */
#ifndef SX_PROBES_LAB_WINDOWS_H
#define SX_PROBES_LAB_WINDOWS_H

#include "engine/text/language.h"
#include "engine/text/tokenizer.h"

/* A window is evaluated as a whole, whatever its targets. */
typedef struct {
	int64_t W, T;
	int32_t *tokens, *target; /* (W,T); target -1 = not counted                        */
	uint8_t *cls;             /* (W,T) sx_class of every target                         */
} sx_windows;

/* No target counts, every class is filler. SX_ENOMEM. */
sx_status sx_windows_new(sx_windows *out, sx_ctx *ctx, int64_t W, int64_t T) SX_NODISCARD;
/* Window w becomes the n >= 1 ids; the ids after the first are its targets. What is beyond T tokens
 * and T targets is cut off. */
void sx_windows_set(sx_windows *w, int64_t row, const int32_t *ids, int64_t n);
/* The held-out windows 0..W-1 of the language. */
sx_status sx_windows_heldout(sx_windows *out, sx_ctx *ctx, const sx_language *l, int64_t W,
			     int64_t T, uint64_t seed) SX_NODISCARD;
void sx_windows_free(sx_windows *w); /* frees what is inside */

/* A text of one's own: pieces that are read one by one, or one run of ids (n_piece 0). */
typedef struct {
	int32_t *ids;
	int64_t n, n_piece;
	int64_t *piece; /* (n_piece + 1) where each begins, and the end */
} sx_pieces;
/* Pieces of `chunk` bytes, whatever they cut through, each tokenised by itself and with BOS in
 * front if asked for; chunk 0: all in one run. SX_EDATA where there is nothing to predict. */
sx_status sx_pieces_text(sx_pieces *out, sx_ctx *ctx, const sx_tokenizer *tok, bool bos,
			 const char *text, int64_t size, int64_t chunk) SX_NODISCARD;
/* The same of n ids, which are copied; chunk is a number of ids. */
sx_status sx_pieces_ids(sx_pieces *out, sx_ctx *ctx, const int32_t *ids, int64_t n,
			int64_t chunk) SX_NODISCARD;
void sx_pieces_free(sx_pieces *p); /* frees what is inside */
/* One window a piece, its first T tokens, or a run cut into windows of T tokens, in which every
 * token but the first is a target once. */
sx_status sx_windows_pieces(sx_windows *out, sx_ctx *ctx, const sx_pieces *p,
			    int64_t T) SX_NODISCARD;

#endif

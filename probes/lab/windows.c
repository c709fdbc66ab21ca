#include "probes/lab/windows.h"

#include <stdlib.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

sx_status sx_windows_new(sx_windows *out, sx_ctx *ctx, int64_t W, int64_t T)
{
	sx_windows w = {.W = W, .T = T};
	if (W < 1 || T < 1 || W > INT64_MAX / 16 / T)
		return sx_fail(ctx, SX_EUSAGE, "%lld windows of %lld tokens cannot be evaluated",
			       (long long)W, (long long)T);
	size_t n = (size_t)(W * T);
	w.tokens = sx_calloc(n, sizeof *w.tokens);
	w.target = sx_calloc(n, sizeof *w.target);
	w.cls = sx_calloc(n, sizeof *w.cls);
	if (!w.tokens || !w.target || !w.cls) {
		sx_windows_free(&w);
		return sx_fail(ctx, SX_ENOMEM, "no memory for %lld windows of %lld tokens",
			       (long long)W, (long long)T);
	}
	for (size_t i = 0; i < n; i++) {
		w.target[i] = -1;
		w.cls[i] = SX_CLASS_FILLER;
	}
	*out = w;
	return SX_OK;
}

void sx_windows_set(sx_windows *w, int64_t row, const int32_t *ids, int64_t n)
{
	int32_t *tokens = w->tokens + row * w->T, *target = w->target + row * w->T;
	for (int64_t t = 0; t < least(n, w->T); t++) tokens[t] = ids[t];
	for (int64_t t = 0; t < least(n - 1, w->T); t++) target[t] = ids[t + 1];
}

sx_status sx_windows_heldout(sx_windows *out, sx_ctx *ctx, const sx_language *l, int64_t W,
			     int64_t T, uint64_t seed)
{
	sx_windows w;
	sx_status st = sx_windows_new(&w, ctx, W, T);
	if (st != SX_OK) return st;
	st = sx_language_batch(w.tokens, w.target, w.cls, ctx, l, W, T, seed, 0, true);
	if (st == SX_OK)
		*out = w;
	else
		sx_windows_free(&w);
	return st;
}

void sx_windows_free(sx_windows *w)
{
	if (!w) return;
	free(w->tokens);
	free(w->target);
	free(w->cls);
	*w = (sx_windows){0};
}

/* ---- pieces ---- */

void sx_pieces_free(sx_pieces *p)
{
	if (!p) return;
	free(p->ids);
	free(p->piece);
	*p = (sx_pieces){0};
}

static sx_status append_ids(sx_pieces *p, sx_ctx *ctx, const int32_t *ids, int64_t n)
{
	int32_t *grown = sx_grow(p->ids, (size_t)(p->n + n) + 1, sizeof *grown);
	if (!grown) return sx_fail(ctx, SX_ENOMEM, "no memory for the text");
	p->ids = grown;
	memcpy(p->ids + p->n, ids, (size_t)n * sizeof *ids);
	p->n += n;
	return SX_OK;
}

/* Room for the pieces of `all` bytes or ids, and their number; none where chunk is 0. */
static sx_status make_pieces(sx_pieces *p, sx_ctx *ctx, int64_t all, int64_t chunk)
{
	if (chunk == 0) return SX_OK;
	p->n_piece = all / chunk + (all % chunk > 0);
	p->piece = sx_calloc((size_t)p->n_piece + 1, sizeof *p->piece);
	return p->piece ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for the text");
}

static int64_t longest_piece(const sx_pieces *p)
{
	int64_t longest = p->n_piece ? 0 : p->n;
	for (int64_t i = 0; i < p->n_piece; i++)
		if (p->piece[i + 1] - p->piece[i] > longest)
			longest = p->piece[i + 1] - p->piece[i];
	return longest;
}

static sx_status check_pieces(sx_ctx *ctx, const sx_pieces *p)
{
	if (longest_piece(p) >= 2) return SX_OK;
	return sx_fail(ctx, SX_EDATA,
		       "the text has no piece of two tokens or more: there is nothing to predict");
}

sx_status sx_pieces_text(sx_pieces *out, sx_ctx *ctx, const sx_tokenizer *tok, bool bos,
			 const char *text, int64_t size, int64_t chunk)
{
	sx_status st = SX_OK;
	sx_pieces p = {0};
	int32_t *ids = NULL;
	int64_t step = chunk ? chunk : size;
	SX_TRY(make_pieces(&p, ctx, size, chunk));
	for (int64_t from = 0, i = 1; from < size; from += step, i++) {
		int64_t n;
		size_t len = (size_t)least(step, size - from);
		SX_TRY(sx_tokenizer_encode(&ids, &n, ctx, tok, text + from, len, bos));
		SX_TRY(append_ids(&p, ctx, ids, n));
		if (chunk) p.piece[i] = p.n;
		free(ids);
		ids = NULL;
	}
	SX_TRY(check_pieces(ctx, &p));
	*out = p;
	p = (sx_pieces){0};
out:
	free(ids);
	sx_pieces_free(&p);
	return st;
}

sx_status sx_pieces_ids(sx_pieces *out, sx_ctx *ctx, const int32_t *ids, int64_t n, int64_t chunk)
{
	sx_status st = SX_OK;
	sx_pieces p = {0};
	SX_TRY(make_pieces(&p, ctx, n, chunk));
	SX_TRY(append_ids(&p, ctx, ids, n));
	for (int64_t i = 0; i < p.n_piece; i++) p.piece[i + 1] = least(n, (i + 1) * chunk);
	SX_TRY(check_pieces(ctx, &p));
	*out = p;
	p = (sx_pieces){0};
out:
	sx_pieces_free(&p);
	return st;
}

sx_status sx_windows_pieces(sx_windows *out, sx_ctx *ctx, const sx_pieces *p, int64_t T)
{
	int64_t W = p->n_piece ? p->n_piece : (p->n + T - 2) / T;
	sx_status st = sx_windows_new(out, ctx, W, least(T, longest_piece(p)));
	for (int64_t w = 0; st == SX_OK && w < W; w++) {
		/* A piece ends with its last token; a run goes on in the next window. */
		int64_t from = p->n_piece ? p->piece[w] : w * T;
		int64_t to = p->n_piece ? p->piece[w + 1] : p->n;
		sx_windows_set(out, w, p->ids + from, least(to - from, p->n_piece ? T : T + 1));
	}
	return st;
}

/* What the engine shows observers. Observers look, they never touch: outputs are equal bit for bit
 * with and without them. */
#ifndef SX_ENGINE_PROBE_H
#define SX_ENGINE_PROBE_H

#include "engine/pos/pos.h"
#include "engine/real.h"
#include "engine/spec.h"

/* Whole tensors of a layer: id, name, width of a row, what it is. One of the five X-macro tables. */
/* clang-format off */
#define SX_SITES(X)                                                                             \
	X(X_IN,  "x",     "C",       "residual stream entering the layer")                       \
	X(H,     "h",     "C",       "input of the attention block: what enters W_Q")            \
	X(Q,     "q",     "H*D",     "queries after bias and QK-norm, before rotation")          \
	X(K,     "k",     "Hkv*D",   "keys after bias and QK-norm, before rotation")             \
	X(Q_ROT, "q_rot", "H*D",     "queries as they enter the product")                        \
	X(K_ROT, "k_rot", "Hkv*D",   "keys as they enter the product")                           \
	X(V,     "v",     "Hkv*D",   "values")                                                   \
	X(Z,     "z",     "H*D",     "per head: probabilities times values, before W_O")         \
	X(MLP,   "mlp",   "F",       "hidden of the feed-forward block: silu(gate) * up, gelu(up)")
/* clang-format on */
#define SX_SITE_ENUM(id, name, width, doc) SX_SITE_##id,
typedef enum { SX_SITES(SX_SITE_ENUM) SX_SITE_COUNT } sx_site;

/* rows (B,T,width), borrowed: valid during the call. With grad it is the gradient of the loss with
 * respect to the site, in the backward pass. */
typedef struct {
	sx_site site;
	bool grad;
	int layer;
	const sx_pos_plan *plan; /* of the layer */
	int64_t B, T, width;
	const sx_real *data;
} sx_site_event;

/* Tables of cos and sin (T, n_freq), times the attention factor; NULL cos = nothing turns. */
typedef struct {
	sx_real *cos, *sin;
	int n_freq;
} sx_rotation;

/* One query head of one sequence of one layer, and everything its attention is made of. Rows are t =
 * 0..T-1. Borrowed. */
typedef struct {
	int layer, head, kv_head;
	int64_t seq, T;
	int thread; /* of the team; for scratch of one's own                     */
	const sx_spec *spec;
	const sx_pos_plan *plan;
	const sx_rotation *rot;
	double scale;         /* beta / sqrt(D): s = scale q~.k~ - slope (i - j)           */
	const sx_real *q, *k; /* q~ (T,D), k~ (T,D) after rotation                         */
	const sx_real *v;     /* (T,D)                                                     */
	int64_t ldq, ldk;     /* distance between their rows (v: ldk)                      */
	const sx_real *h;     /* (T,C) input of the attention block                        */
	/* Projections of the whole layer before QK-norm, (T,H*D) and (T,Hkv*D), 1/rho of the norm, (T,G),
	 * and its gain; each side's NULL where it goes through none. */
	const sx_real *q_raw, *k_raw, *q_rstd, *k_rstd;
	const sx_real *wq, *wk; /* the layer's (H*D,C), (Hkv*D,C)                            */
	const sx_real *bq, *bk; /* (H*D), (Hkv*D); NULL without biases                       */
	const sx_real *q_gain, *k_gain;
	const int32_t *tokens; /* (T)                                                       */
} sx_head;

/* Query rows [row0, row0+nrow) against keys [key0, key0+nkey); row i sees the keys sx_first_key(i)..i.
 * s: scores, -INFINITY where not visible; p: probabilities, 0 there; both (nrow, nkey), `ld` apart.
 * In the backward pass ds is the gradient of the loss with respect to s, and z and dz are the rows of
 * the head's output and of its gradient, (nrow,D), head->ldq apart; else NULL. Borrowed. */
typedef struct {
	const sx_head *head;
	int64_t row0, nrow, key0, nkey, ld;
	const sx_real *s, *p, *ds, *z, *dz;
} sx_tile;

/* A layer whose forward pass has ended: what its blocks left, and the weights that heads do not show.
 * The stream that entered it is not here, it may have made room for what leaves. Borrowed. */
typedef struct {
	int layer;
	int64_t B, T;
	const sx_spec *spec;
	const sx_pos_plan *plan;
	const sx_real *z;               /* (B,T,H*D)                                        */
	const sx_real *xa;              /* (B,T,C) the stream after attention               */
	const sx_real *gate, *up, *act; /* (B,T,F); act = silu(gate) up; no gate: gelu(up)  */
	const sx_real *out;             /* (B,T,C) the stream that leaves the layer         */
	const sx_real *ln1, *wv, *wo, *ln2, *wg, *wu, *wd; /* wg: NULL without a gate       */
	const sx_real *ln1_b, *bv, *bo, *bg, *bu, *bd; /* biases of norm 1 and matrices, or NULL */
} sx_layer;

/* First visible key of row i. */
static inline int64_t sx_first_key(int64_t i, int64_t window)
{
	return window > 0 && i >= window ? i - window + 1 : 0;
}

/* Any of the functions may be NULL. Tiles of one (sequence, head) come in row order on one thread;
 * different heads on different threads at the same time. head_end follows the head's last tile, on
 * the same thread. site and layer_end come on the main thread; within a layer: x, h, q, k, q_rot,
 * k_rot, v, then the tiles, then z, mlp, then layer_end (not in the backward pass). A probe that fails
 * ends the pass. */
typedef struct {
	void *self;
	sx_status (*tile)(void *self, const sx_tile *tile);
	sx_status (*head_end)(void *self, const sx_head *head);
	sx_status (*site)(void *self, const sx_site_event *event);
	sx_status (*layer_end)(void *self, const sx_layer *layer);
} sx_probe;

/* Probes at work on one layer, and the layer's half of sx_head. Internal to the engine. */
typedef struct {
	const sx_probe *probe;
	int n_probe;
	sx_head layer; /* head, kv_head, seq, thread and row pointers not yet set   */
	const sx_real *h, *q_raw, *k_raw, *q_rstd, *k_rstd; /* of the whole batch              */
	const int32_t *tokens; /* (B,T)                                                     */
} sx_tap;

#endif

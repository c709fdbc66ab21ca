/* The operations, one forward/backward pair per file op_*.c.
 *
 * Letters: B sequences, T tokens of each, N = B T rows; C width, H query heads, Hkv key/value
 * heads, D head dimension, F feed-forward width, V vocabulary. Row-major arrays of the caller's,
 * outputs first. No allocation, no I/O, nothing can fail. Gradients of parameters ACCUMULATE (+=);
 * gradients of activations are written unless a comment says +=. Bits do not depend on the number
 * of threads: work is cut into tiles by shape alone and sums run in a fixed order. */
#ifndef SX_ENGINE_OP_OPS_H
#define SX_ENGINE_OP_OPS_H

#include "engine/op/weight.h"
#include "engine/pos/pos.h"
#include "engine/probe.h"
#include "engine/real.h"

/* y (N,Cout) = x (N,Cin) W^T + b + res. W (Cout,Cin) in the engine's own type, b (Cout) or NULL, res
 * (N,Cout) or NULL; y may be res. */
void sx_linear_fwd(sx_real *y, const sx_real *x, sx_weight W, const sx_real *b, const sx_real *res,
		   int64_t N);
/* dx = dy W, or dx += dy W when `add`; dW += dy^T x; db += column sums of dy. dx, dW or db may be
 * NULL. */
void sx_linear_bwd(sx_real *dx, sx_real *dW, sx_real *db, const sx_real *dy, const sx_real *x,
		   sx_weight W, bool add, int64_t N, sx_real *scratch);
int64_t sx_linear_scratch(int64_t N, int64_t Cin, int64_t Cout); /* reals */

/* RMSNorm over groups of W channels (Zhang & Sennrich 2019, arXiv:1910.07467): y = gain x / rho,
 * rho = sqrt(mean x^2 + eps). x (N,G,W), gain (W) shared by the groups, rstd (N,G) = 1/rho. G = 1:
 * the block's norms and full-width QK-norm; G = H: per-head QK-norm. */
void sx_norm_fwd(sx_real *y, sx_real *rstd, const sx_real *x, const sx_real *gain, double eps,
		 int64_t N, int64_t G, int64_t W);
/* dx = or, when `add`, += ; dgain +=, may be NULL. dx may be dy. */
void sx_norm_bwd(sx_real *dx, sx_real *dgain, const sx_real *dy, const sx_real *x,
		 const sx_real *rstd, const sx_real *gain, bool add, int64_t N, int64_t G,
		 int64_t W, sx_real *scratch);
int64_t sx_norm_scratch(int64_t N, int64_t G, int64_t W); /* reals */

/* LayerNorm (Ba et al. 2016, arXiv:1607.06450): y = gain (x - mean) / sigma + bias, sigma = sqrt(var +
 * eps), the variance over W channels. x (N,W), gain and bias (W), mean (N), rstd (N) = 1/sigma. */
void sx_layernorm_fwd(sx_real *y, sx_real *mean, sx_real *rstd, const sx_real *x,
		      const sx_real *gain, const sx_real *bias, double eps, int64_t N, int64_t W);
/* As sx_norm_bwd; dbias +=, may be NULL. */
void sx_layernorm_bwd(sx_real *dx, sx_real *dgain, sx_real *dbias, const sx_real *dy,
		      const sx_real *x, const sx_real *mean, const sx_real *rstd,
		      const sx_real *gain, bool add, int64_t N, int64_t W, sx_real *scratch);
int64_t sx_layernorm_scratch(int64_t N, int64_t W); /* reals */

/* y += x, all (n). */
void sx_add(sx_real *y, const sx_real *x, int64_t n);

/* cos and sin of position * inv_freq, times the attention factor, (T, n_freq) each; angles in
 * double. */
void sx_rotation_fill(sx_rotation *r, const sx_pos_plan *plan, int64_t T);
/* Turns the pairs (m, m + n_freq) of x (B,T,heads,D) in place by the table; inverse = true is the
 * transpose (turn by minus the angle, same factor): the exact adjoint. */
void sx_rotate(sx_real *x, const sx_rotation *r, bool inverse, int64_t B, int64_t T, int64_t heads,
	       int64_t D);

/* The scores of one query head of one sequence, what enters the softmax: s_ij = scale q_i . k_j -
 * slope (i - j). q (T,D), ldq between rows, and k (T,D), ldk, after rotation; borrowed. */
typedef struct {
	const sx_real *q, *k;
	int64_t ldq, ldk;
	int D;
	double scale, slope;
} sx_scores;
/* As the layer's plan has it for this query head. */
sx_scores sx_scores_of(const sx_pos_plan *plan, int D, int head, const sx_real *q, int64_t ldq,
		       const sx_real *k, int64_t ldk);
/* s (nrow,nkey), ld apart: rows row0.., keys key0.. of the sequence. Keys after their row get a
 * number that is not a score: who reads s looks at the visible ones alone. */
void sx_scores_fwd(sx_real *s, int64_t ld, const sx_scores *x, int64_t row0, int64_t nrow,
		   int64_t key0, int64_t nkey);
/* From ds (nrow,nkey), 0 where not visible: rows row0.. of dq are written, rows key0.. of dk are +=.
 * dq and dk (T,D), lddq and lddk apart, with respect to the rotated q and k. */
void sx_scores_bwd(sx_real *dq, int64_t lddq, sx_real *dk, int64_t lddk, const sx_real *ds,
		   int64_t ld, const sx_scores *x, int64_t row0, int64_t nrow, int64_t key0,
		   int64_t nkey);

/* Causal attention in tiles of query rows. q (B,T,H,D), k and v (B,T,Hkv,D), all after rotation;
 * z (B,T,H,D); rows (B,H,T,2) keeps each row's largest score and 1 / sum of exp(s - largest), so that
 * backward recomputes the very same probabilities. Scores are those of op_scores.c under the layer's
 * plan, over the keys that the plan lets a row see; the softmax sees nothing else. Probes are shown every
 * tile. SX status of the first probe that fails, in (sequence, head) order. */
typedef struct {
	int64_t B, T, tile;
	int H, Hkv, D;
	const sx_pos_plan *plan; /* of the layer; borrowed */
} sx_attention_dims;
sx_status sx_attention_fwd(sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			   const sx_real *v, sx_attention_dims d, sx_real *scratch,
			   const sx_tap *tap) SX_NODISCARD;
/* Recomputes each tile of probabilities from `rows` (the log-sum-exp of Dao et al. 2022, arXiv:2205.14135,
 * kept in two parts). dq (B,T,H,D),
 * dk and dv (B,T,Hkv,D), with respect to the rotated q and k. */
sx_status sx_attention_bwd(sx_real *dq, sx_real *dk, sx_real *dv, const sx_real *dz,
			   const sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			   const sx_real *v, sx_attention_dims d, sx_real *scratch,
			   const sx_tap *tap) SX_NODISCARD;
int64_t sx_attention_scratch(sx_attention_dims d, bool backward, bool scores, int threads);

/* act = silu(gate) * up, all (n). */
void sx_swiglu_fwd(sx_real *act, const sx_real *gate, const sx_real *up, int64_t n);
/* dgate and dup from dact; dgate may be dact. */
void sx_swiglu_bwd(sx_real *dgate, sx_real *dup, const sx_real *dact, const sx_real *gate,
		   const sx_real *up, int64_t n);

/* act = up Phi(up), Phi the normal distribution (GELU as it is defined, with erf), all (n). */
void sx_gelu_fwd(sx_real *act, const sx_real *up, int64_t n);
/* dup may be dact. */
void sx_gelu_bwd(sx_real *dup, const sx_real *dact, const sx_real *up, int64_t n);

/* x (N,C) = rows of table (V,C). */
void sx_embed_fwd(sx_real *x, const int32_t *tokens, const sx_real *table, int64_t N, int64_t C);
void sx_embed_bwd(sx_real *dtable, const sx_real *dx, const int32_t *tokens, int64_t N, int64_t C);

/* Cross entropy of f (N,C) W^T against target (N), W (V,C); target -1 is not counted. nll (N) in
 * nats, NaN where not counted; rows (N,2) as in attention. Logits exist for one tile of rows at a time. */
void sx_loss_fwd(double *nll, sx_real *rows, const sx_real *f, sx_weight W, const int32_t *target,
		 int64_t N, sx_real *scratch);
/* Gradient of scale * sum of the counted nll: df (N,C), dW += . */
void sx_loss_bwd(sx_real *df, sx_real *dW, sx_real *rows, const sx_real *f, sx_weight W,
		 const int32_t *target, double scale, int64_t N, sx_real *scratch);
int64_t sx_loss_scratch(int64_t N, int64_t V, int threads);

#endif

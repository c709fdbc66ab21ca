/* Attention functionals: A_c = (1/T) sum_i sum_{j<=i} c_ij alpha_ij of one head, and its exact
 * gradients, from the tiles of the pass that used them (DroPE, arXiv:2512.12167, Def. 3.1, App. B.3;
 * docs/definitions.md). c is held fixed in the gradients.
 *
 * With g_ij = alpha_ij (c_ij - sum_p alpha_ip c_ip) / T the gradient with respect to the scores,
 * dq~_i = scale sum_j g_ij k~_j and dk~_j = scale sum_{i>=j} g_ij q~_i; turned back they are the
 * gradients with respect to q and k before rotation, through the QK-norm's Jacobian (where there is
 * one) those of the projections, and from these dW_Q = sum_i dq_i h_i^T, dW_K, and the gradient with
 * respect to the block's input h by both paths. Everything is per QUERY head: with shared key heads
 * dk and dW_K are this head's own path, not summed over its group. Biases and gains are excluded. */
#ifndef SX_ENGINE_OP_FUNCTIONAL_H
#define SX_ENGINE_OP_FUNCTIONAL_H

#include "engine/probe.h"

typedef enum { SX_WRT_WQ, SX_WRT_WK, SX_WRT_Q, SX_WRT_K, SX_WRT_H, SX_WRT_COUNT } sx_wrt;

/* One head and one c. The gradients of several c lie side by side, so that one product makes the weights'
 * gradients of them all: start and finish take n of them, `store` n times sx_functional_reals. */
typedef struct {
	double value;              /* A_c, complete after the last tile                     */
	double norm[SX_WRT_COUNT]; /* Frobenius norms, by sx_functional_finish               */
	int64_t ld;                /* between rows of dq, dk, dq_raw, dk_raw                 */
	sx_real *dq, *dk;          /* (T,D): w.r.t. q, k before rotation, after QK-norm      */
	sx_real *dwq, *dwk;        /* (D,C): the head's own rows of W_Q, W_K                 */
	sx_real *dq_raw, *dk_raw;  /* (T,D): w.r.t. the projections (= dq, dk without norm)  */
	sx_real *dh;               /* (T,C); set to NULL after the start, it is not computed */
	sx_real *pair, *wide;      /* scratch: the head's W_Q, W_K; (T,H*D) of full QK-norm   */
} sx_functional;

int64_t sx_functional_reals(const sx_spec *spec, int64_t T);
/* Lays the arrays out in store and zeroes what accumulates. gradients = false: value alone. */
void sx_functional_start(sx_functional *f, int n, const sx_spec *spec, int64_t T, bool gradients,
			 sx_real *store);
/* c (nrow,nkey), `ldc` apart, 0 outside the visible keys; rows are expected to be centred. g: scratch
 * of nrow * tile->ld reals. */
void sx_functional_tile(sx_functional *f, const sx_tile *tile, const double *c, int64_t ldc,
			sx_real *g);
/* sum_j p_j c_j in double: of a tile's row (n = nkey) the very mean that its g is made with. */
double sx_functional_mean(const sx_real *p, const double *c, int64_t n);
/* As sx_functional_tile for a gradient by the scores that the caller has, g (nrow,nkey), tile->ld
 * apart: dq and dk alone. */
void sx_functional_scores(sx_functional *f, const sx_tile *tile, const sx_real *g);
/* After the head's last tile. */
void sx_functional_finish(sx_functional *f, int n, const sx_head *head);

#endif

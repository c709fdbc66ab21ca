/* The epsilon law (DroPE, arXiv:2512.12167, Thm. 3.4, from the side of its premise): with embeddings
 * moved toward their mean, (1-t) mean + t e, the prefix spread falls with t, and A_c and its gradients
 * follow it as a power. Without rotation the theorem wants at least its first power; with rotation
 * they stay (Prop. 3.3). Exponents are slopes on log-log axes. From arrays, or /mix of a run file. */
#ifndef SX_ANALYSIS_MIX_H
#define SX_ANALYSIS_MIX_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

/* Borrowed. */
typedef struct {
	int64_t n_t, S, L, H, n_c, n_wrt;
	const double *t;           /* (n_t)                                   */
	const char *const *family; /* (n_c)                                   */
	const char *const *wrt;    /* (n_wrt) "wq", "wk", ..                  */
	const double *value;       /* (n_t,S,L,H,n_c) A_c                     */
	const double *grad_norm;   /* (n_t,S,L,H,n_c,n_wrt)                   */
	const double *spread;      /* (n_t,S,L) prefix spread of h            */
} sx_mix;

/* What follows the spread: |A_c| and its gradients' norms. */
typedef enum { SX_MIX_VALUE, SX_MIX_WQ, SX_MIX_WK, SX_MIX_QUANTITIES } sx_mix_quantity;
const char *sx_mix_quantity_name(sx_mix_quantity q); /* "A_c", "dW_Q", "dW_K" */

/* Mean over heads, (n_t,S,L): the caller's. SX_EDATA where the gradients lack W_Q or W_K; SX_ENOMEM. */
sx_status sx_mix_mean(double **out, sx_ctx *ctx, const sx_mix *m, int64_t c,
		      sx_mix_quantity q) SX_NODISCARD;

/* One layer of one family and quantity. */
typedef struct {
	int64_t c, layer;
	sx_mix_quantity quantity;
	sx_interval slope; /* of log (mean over heads) on log (spread of the first layer's h): mean
			      over sequences and its 95 % bootstrap interval                */
	int64_t points;    /* fewest that a sequence's line went through                    */
	double largest, smallest; /* mean over sequences, at the largest and the smallest t */
} sx_mix_line;

/* The law is one of small spreads: a line goes through the points whose spread is at most this part
 * of the same sequence's at the largest t. */
#define SX_MIX_WITHIN 0.1

/* (n_c, SX_MIX_QUANTITIES, L) lines; *out is the caller's. A sequence without two such points has no
 * slope (a constant one, whose spread is 0). SX_EDATA, SX_ENOMEM. */
sx_status sx_mix_lines(sx_mix_line **out, int64_t *n, sx_ctx *ctx, const sx_mix *m,
		       uint64_t seed) SX_NODISCARD;

/* /mix of a run file, owned. */
typedef struct {
	sx_mix m;
	double *t, *value, *grad_norm, *spread;
	char **family, **wrt;
} sx_mix_record;
/* SX_EDATA where it has no /mix; SX_ENOMEM. */
sx_status sx_mix_read(sx_mix_record *out, sx_ctx *ctx, sx_run_file *f) SX_NODISCARD;
void sx_mix_record_free(sx_mix_record *r); /* frees what is inside */

#endif

/* What one instrumented pass finds, in double and without a precision of the engine: plain arrays
 * over (sequence, layer, head, ...). The observers fill them, record.h writes them into run files.
 * Definitions: docs/definitions.md (section 4 of the contracts); NaN where a value is not defined. */
#ifndef SX_PROBES_OBSERVE_MEASURES_H
#define SX_PROBES_OBSERVE_MEASURES_H

#include "engine/base.h"
#include "probes/observe/choice.h"
#include "probes/observe/reduce.h"

/* Per (sequence, layer, head): means over the rows that qualify; the last five are the additive split
 * s_ij ~ r_i + c_j + g_{i-j} of the scores. */
typedef enum {
	SX_STAT_ENTROPY, /* nats */
	SX_STAT_MAX_PROB,
	SX_STAT_MEAN_DISTANCE, /* tokens */
	SX_STAT_DIAG_MASS,
	SX_STAT_PREV_MASS,      /* rows i >= 2 */
	SX_STAT_FIRST_MASS,     /* rows i >= 2 */
	SX_STAT_SINK_MASS,      /* keys <= 4, rows > 4 */
	SX_STAT_DUPLICATE_MASS, /* j < i, x_j = x_i; rows that have one */
	SX_STAT_INDUCTION_MASS, /* j <= i, x_{j-1} = x_i; rows that have one */
	SX_STAT_RETRIEVAL_MASS, /* the same over the rows of query_row alone */
	SX_STAT_LOGIT_STD,      /* sqrt(mean_i Var_j s_ij) */
	SX_STAT_Q_NORM,
	SX_STAT_K_NORM,
	SX_STAT_SS_WITHIN,
	SX_STAT_SS_OFFSET,
	SX_STAT_SS_KEY,
	SX_STAT_SS_INTERACTION,
	SX_STAT_R2_OFFSET,
	SX_STAT_COUNT
} sx_stat;

/* Offsets 0..63 each, then octaves [64,128) ... up to 2^20. */
enum { SX_OFFSET_EXACT = 64, SX_OFFSET_BINS = SX_OFFSET_EXACT + 14 };
int sx_offset_bin(int64_t offset);   /* offset < 2^20, larger ones go to the last bin */
int64_t sx_offset_bin_edge(int bin); /* first offset of a bin */
/* Of the scores' sums: a kernel that turns with the offset would be averaged away within a bin, so that
 * offsets 0..4095 are kept each, then octaves; as many bins as T tokens have. */
enum { SX_SCORE_EXACT = 4096 };
int64_t sx_score_bins(int64_t T);
int64_t sx_score_bin(int64_t offset);
int64_t sx_score_bin_edge(int64_t bin);

/* Norms per (sequence, layer, head) of the gradient of the sequence's mean loss. */
typedef enum {
	SX_GRAD_DS, /* by the scores */
	SX_GRAD_DQ, /* by q, before rotation and after QK-norm */
	SX_GRAD_DK,
	SX_GRAD_DWQ, /* by the head's own rows of W_Q */
	SX_GRAD_DWK,
	SX_GRAD_COUNT
} sx_grad;

/* Inequalities and identities of the theory (docs/definitions.md), left side against right side: those
 * of attention and of the layer alone, then those that come once per family of c. Those of the layer
 * stand in each of its heads. */
/* clang-format off */
typedef enum {
	SX_BOUND_I1,         /* ||alpha_i - u_i||_1 <= 2 tanh(osc(s_i)/4)                      */
	SX_BOUND_I2,         /* layer: Delta_i(h) <= sqrt2 lambda1 Delta_i(x)                  */
	SX_BOUND_I3,         /* max_j |s_ij - mean s_i| <= kappa_i Delta_i                     */
	SX_BOUND_I4,         /* ||alpha_i - u_i||_1 <= min(2, kappa_i Delta_i)                 */
	SX_BOUND_I5,         /* layer: D(o) <= 2 ||sum M|| Delta + 2 sum ||M|| eta Delta       */
	SX_BOUND_I6,         /* layer: Delta_i(x + o) <= Delta_i(x) + Delta_i(o)               */
	SX_BOUND_I7,         /* layer: D(m) <= sqrt2 L_m lambda2 D(y)                          */
	SX_BOUND_B8_ETA,     /* layer: D(x') <= (1 + sqrt2 L_m lambda2) (D(x) + I5's)          */
	SX_BOUND_B8,         /* layer: D(x') <= A1 D(x) + A2 D(x)^2                            */
	SX_BOUND_P32_ALPHA,  /* constant sequence, no rotation: alpha_i = u_i                  */
	SX_BOUND_P32_OUTPUT, /* layer: constant sequence: the rows that leave are equal        */
	SX_BOUND_P33_VALUE,  /* constant, rotated: mean of ||alpha_i - u_i||_1^2 / n_i <= A_own */
	SX_BOUND_P33_WQ,     /* the same: mean Cov(alpha_i, s_i) / ||W_Q|| <= ||dA_own/dW_Q||  */
	SX_BOUND_PLAIN
} sx_bound;
typedef enum {
	SX_BOUND_D31,        /* sum_j c_ij = 0                                                 */
	SX_BOUND_B10,        /* sum_j g_ij = 0                                                 */
	SX_BOUND_I8,         /* sum_j |g_ij| <= osc(c_i)/(2T)                                  */
	SX_BOUND_I9,         /* |A_c| <= mean of osc(c_i)/2 ||alpha_i - u_i||_1                */
	SX_BOUND_I9_TANH,    /* |A_c| <= mean of osc(c_i) tanh(osc(s_i)/4)                     */
	SX_BOUND_T34,        /* |A_c| <= mean of osc(c_i)/2 min(2, kappa_i Delta_i)            */
	SX_BOUND_I10,        /* ||dW_Q|| <= scale sum_i sum_j |g_ij| max_j ||k_j - mean k|| ||h_i|| */
	SX_BOUND_I10_SPREAD, /* ||dW_Q|| <= scale ||W_K|| mean of osc(c_i)/2 Delta_i ||h_i||   */
	SX_BOUND_I11,        /* ||dW_K|| <= scale sum_i sum_j |g_ij| ||q_i|| Delta_i           */
	SX_BOUND_I11_SPREAD, /* ||dW_K|| <= scale mean of osc(c_i)/2 ||q_i|| Delta_i           */
	SX_BOUND_I12,        /* sum_j |g_ij| ||k_j - k_i^a|| <= sd_a(c_i) sqrt(E_a ||k - k_i^a||^2) / T */
	SX_BOUND_E1_WQ,      /* <dW_Q, W_Q> + <db_q, b_q> = mean of Cov_alpha(c_i, s_i)        */
	SX_BOUND_E1_WK,      /* <dW_K, W_K> + <db_k, b_k> = the same                           */
	SX_BOUND_E2,         /* ||dW_Q - that at alpha = u|| <= what ||alpha - u||_1 allows    */
	SX_BOUND_E3,         /* the same, rotated                                              */
	SX_BOUND_P32_VALUE,  /* constant sequence, no rotation: A_c = 0                        */
	SX_BOUND_P32_WQ,     /* the same: dW_Q = 0                                             */
	SX_BOUND_P32_WK,     /* the same: dW_K = 0                                             */
	SX_BOUND_OF_C
} sx_bound_c;
/* clang-format on */

/* Why one is not applicable; words of the run file's /bounds/reason (biases: in older files, where E1
 * did without them). */
typedef enum {
	SX_REASON_NONE,
	SX_REASON_NOT_NOPE,
	SX_REASON_QK_NORM,
	SX_REASON_BIASES,
	SX_REASON_NOT_CONSTANT,
	SX_REASON_NOT_ROTATED,
	SX_REASON_NO_OWN,
	SX_REASON_BLOCK /* the block is built otherwise (sx_block) */
} sx_bound_reason;

enum { SX_BOUND_NAME = 48 };
static inline int64_t sx_bound_count(int64_t n_c)
{
	return SX_BOUND_PLAIN + n_c * SX_BOUND_OF_C;
}
static inline int64_t sx_bound_of_c(sx_bound_c b, int64_t c)
{
	return SX_BOUND_PLAIN + c * SX_BOUND_OF_C + b;
}
/* "I1", "I9:diagonal"; family: the name of the one that i belongs to. Names of identities begin with
 * E1. */
void sx_bound_name(char name[SX_BOUND_NAME], int64_t i, const char *family);
/* Family of i, -1 for those of attention alone. */
static inline int64_t sx_bound_family(int64_t i)
{
	return i < SX_BOUND_PLAIN ? -1 : (i - SX_BOUND_PLAIN) / SX_BOUND_OF_C;
}

typedef struct {
	int64_t S, L, H, T;          /* sequences, layers, query heads, tokens                    */
	int64_t n_freq;              /* rotated pairs of a head                                  */
	int64_t n_c;                 /* families of c                                            */
	int n_wrt;                   /* gradients of A_c: wq, wk, q, k, h                        */
	double *stat[SX_STAT_COUNT]; /* (S,L,H)                              */
	double *offset_profile;      /* (S,L,H,SX_OFFSET_BINS)               */
	double *score_offset; /* (S,L,H,sx_score_bins(T)) sums of scores less their row means */
	double *rope_q, *rope_k, *rope_share, *rope_signed, *rope_var; /* (S,L,H,n_freq)      */
	double *rope_rest;     /* (S,L,H)                              */
	double *ac_value;      /* (S,L,H,n_c)                          */
	double *ac_grad;       /* (S,L,H,n_c,n_wrt)                    */
	double *ac_batch_grad; /* (L,H,n_c,n_wrt) of the mean of A_c over the sequences so far */
	/* Toward later weights (observe.h); the changes are the caller's to fill in. */
	double *ac_change_norm;          /* (L,H,n_wrt) of W_Q, W_K                       */
	double *ac_first_order;          /* (S,L,H,n_c,n_wrt)                    */
	double *ac_change, *ac_change_w; /* (S,L,H,n_c)                          */
	double *logit_osc, *uniform_l1;  /* (S,L,H) mean over rows               */
	double *prefix_spread;           /* (S,L)                                */
	/* Of the worst row (largest lhs / (rhs + allowance)); row -1 where the whole head is meant, of
	 * P33_VALUE the first row that is not uniform. allowance: what rounding may add to lhs. NaN
	 * and a reason where not applicable. The verdict is analysis's to fill in; 255 = none. */
	int64_t n_bound;
	double *bound_lhs, *bound_rhs, *bound_paper, *bound_allowance; /* (S,L,H,n_bound)       */
	int32_t *bound_row;                                            /* (S,L,H,n_bound)       */
	uint8_t *bound_reason, *bound_verdict;                         /* (S,L,H,n_bound)       */
	double *value_bound, *value_bound_paper;                       /* (S,L,H,n_c)           */
	double *grad_bound, *grad_bound_paper;                         /* (S,L,H,n_c,n_wrt)     */
	double *osc_spread_h;                                          /* (S,L,H)               */
	double *wq_norm, *wk_norm;                                     /* (L,H)                 */
	double *grad[SX_GRAD_COUNT];                                   /* (S,L,H)               */
	double *key_flow; /* (S,L,H,T) sum over queries of alpha dL/dalpha               */
	sx_reduced *reduced;
	struct sx_site_rows *site_rows; /* sites.h */
} sx_measures;

/* What to measure. */
typedef struct {
	bool stats, rope, ac, ac_gradients, spread, bounds;
	bool ac_without_h; /* gradients of A_c by h, half of the cost, are left out: NaN */
	/* Of the mean of A_c over sequences, by W_Q and W_K: passes must be of one sequence each,
	 * in order. Keeps 2 n_c D C reals for every head of the model. */
	bool ac_batch;
	/* Changes of A_c toward other weights; passes must be of one sequence each. */
	bool ac_toward;
	bool grad; /* of the loss: needs a backward pass */
	/* Heads whose maps go into a run file, by way of a map_sink.h. */
	int64_t n_map;
	const sx_map_choice *map;
	/* (S,T) 1: a value that stood in the window is asked for here; NULL: not known. Borrowed. */
	const uint8_t *query_row;
	const sx_reduce *reduce;      /* NULL: nothing. Borrowed. */
	const struct sx_sites *sites; /* NULL: none. Borrowed (sites.h). */
} sx_measure_opts;

/* Arrays for what is asked, filled with NaN. SX_ENOMEM. */
sx_status sx_measures_new(sx_measures **out, sx_ctx *ctx, const sx_measure_opts *o, int64_t S,
			  int64_t L, int64_t H, int64_t T, int64_t n_freq,
			  int64_t n_c) SX_NODISCARD;
void sx_measures_free(sx_measures *m);

/* Additive split from sums over the visible triangle (docs/definitions.md; exact, in O(T)): scores
 * less their row means; key[j], offset[d] sums of these, ss_within the sum of their squares; row i sees
 * the keys max(0, i-window+1)..i (window 0 = all). split: offset, key, interaction, r2. scratch:
 * 10 T + 1 doubles. */
void sx_additive_split(double split[4], const double *key, const double *offset, double ss_within,
		       int64_t T, int64_t window, double *scratch);

#endif

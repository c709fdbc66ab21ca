/* What one instrumented pass finds, in double and without a precision of the engine: plain arrays
 * over (sequence, layer, head, ...). The observers fill them, record.h writes them into run files.
 * Definitions: docs/definitions.md (section 4 of the contracts); NaN where a value is not defined. */
#ifndef SX_PROBES_MEASURES_H
#define SX_PROBES_MEASURES_H

#include "engine/base.h"

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

typedef struct {
	int layer, head;
} sx_map_choice;

typedef struct {
	int64_t S, L, H, T;          /* sequences, layers, query heads, tokens                    */
	int64_t n_freq;              /* rotated pairs of a head                                  */
	int64_t n_c;                 /* families of c                                            */
	int64_t n_map;               /* heads whose maps are kept                                */
	int n_wrt;                   /* gradients of A_c: wq, wk, q, k, h                        */
	double *stat[SX_STAT_COUNT]; /* (S,L,H)                              */
	double *offset_profile;      /* (S,L,H,SX_OFFSET_BINS)               */
	double *rope_q, *rope_k, *rope_share, *rope_var; /* (S,L,H,n_freq)              */
	double *rope_rest;                               /* (S,L,H)                              */
	double *ac_value;                                /* (S,L,H,n_c)                          */
	double *ac_grad;                                 /* (S,L,H,n_c,n_wrt)                    */
	double *logit_osc, *uniform_l1;                  /* (S,L,H) mean over rows               */
	double *prefix_spread;                           /* (S,L)                                */
	double *map;                                     /* (S,n_map,T,T), 0 where not visible   */
} sx_measures;

/* What to measure. */
typedef struct {
	bool stats, rope, ac, ac_gradients, spread;
	int64_t n_map;
	const sx_map_choice *map;
} sx_measure_opts;

/* Arrays for what is asked, filled with NaN (maps with 0). SX_ENOMEM. */
sx_status sx_measures_new(sx_measures **out, sx_ctx *ctx, const sx_measure_opts *o, int64_t S,
			  int64_t L, int64_t H, int64_t T, int64_t n_freq,
			  int64_t n_c) SX_NODISCARD;
void sx_measures_free(sx_measures *m);

/* "L2-4/H*", several with commas: all chosen (layer, head) in order, each once. *out is the caller's.
 * SX_EUSAGE with what is wrong, also when it chooses nothing. */
sx_status sx_select_heads(sx_map_choice **out, int64_t *n, sx_ctx *ctx, const char *text, int L,
			  int H) SX_NODISCARD;

/* Additive split from sums over the visible triangle (docs/definitions.md; exact, in O(T)): scores
 * less their row means; key[j], offset[d] sums of these, ss_within the sum of their squares; row i sees
 * the keys max(0, i-window+1)..i (window 0 = all). split: offset, key, interaction, r2. scratch:
 * 10 T + 1 doubles. */
void sx_additive_split(double split[4], const double *key, const double *offset, double ss_within,
		       int64_t T, int64_t window, double *scratch);

#endif

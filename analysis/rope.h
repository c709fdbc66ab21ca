/* Frequency use of the heads: what each rotated pair of channels carries of a head's scores, what a
 * scaling method would do to it, and whether positional heads use other frequencies than the rest.
 * From /rope of a run file; |A_c| from /ac and the spread of the scores from /stats where they are.
 *
 * Sources: norm shares Barbero et al. 2024 (arXiv:2410.06205); never-cycling pairs and the argument
 * about scaling arXiv:2512.12167, sec. 4.1; definitions docs/definitions.md. */
#ifndef SX_ANALYSIS_ROPE_H
#define SX_ANALYSIS_ROPE_H

#include "analysis/heads.h"
#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

/* ---- one record of a run file ---- */

enum { SX_ROPE_FAMILIES = 2 };
extern const char *const sx_rope_families[SX_ROPE_FAMILIES]; /* "previous", "diagonal"        */

typedef struct {
	int64_t layers, heads, freqs;
	int64_t sequences;                      /* those used                                   */
	int64_t of_kind[SX_RUN_SEQUENCE_KINDS]; /* how many of each kind they are               */
	int64_t step;
	int phase;        /* word of the schema's flags; -1 = not known                         */
	double *inv_freq; /* (layer,freq) rad/token of plain rotation                           */
	double *gamma;    /* (layer,freq) angle in use over it                                  */
	double *norm;     /* (sequence,layer,head,freq) mean ||q^(m)|| times mean ||k^(m)||     */
	double *share, *var; /* (sequence,layer,head,freq) logit_share, logit_var               */
	double *rest;        /* (sequence,layer,head) logit_rest                                */
	double *logit_std;   /* (sequence,layer,head) nats; NULL where the file has none        */
	double *ac[SX_ROPE_FAMILIES]; /* (sequence,layer,head) A_c; NULL where not in the file  */
	char *pairing;                /* of the source: "half", "interleaved"; inside always half */
} sx_rope_use;

/* Reads the last record with this step (-1: the last of all) and phase (-1: any) for the sequences
 * whose kind's bit is set in `kinds` (1 << kind); all of them where the file tells no kinds.
 * SX_EDATA without /rope, SX_ENOINPUT where no record or sequence is of that kind, SX_EIO. */
sx_status sx_rope_read(sx_rope_use *out, sx_ctx *ctx, sx_run_file *f, int64_t step, int phase,
		       unsigned kinds) SX_NODISCARD;
void sx_rope_use_free(sx_rope_use *u); /* frees what is inside */
/* Whether any pair of the layer is turned: false under NoPE and after the drop. */
bool sx_rope_turns(const sx_rope_use *u, int64_t layer);
/* omega C < 2 pi: over the trained length C the pair never completes a turn. */
bool sx_rope_is_slow(double inv_freq, int64_t trained_length);

/* ---- per head ---- */

/* A method as an angle per pair over plain rotation's. */
typedef struct {
	const char *name;
	const double *gamma; /* (freq) borrowed */
} sx_rope_method;

typedef struct {
	int64_t trained_length; /* C, tokens                                                 */
	double logit_scale;     /* beta/sqrt(head dimension); NaN = not known               */
	const sx_rope_method *method;
	int n_method;
	uint64_t seed; /* of the bootstrap */
} sx_rope_setting;

typedef struct {
	sx_interval norm_share;  /* of norm over the pairs; adds to 1                       */
	sx_interval logit_share; /* of the scores' absolute parts                           */
	sx_interval logit_var;   /* of the scores' variance within rows; may be negative    */
} sx_rope_pair;

/* What a method would change of the positions in use. */
typedef struct {
	/* sum over pairs of logit_share |gamma in use - gamma of the method|; under plain rotation
	 * logit_share (1 - gamma). 0: untouched; NaN where no pair is turned now. */
	sx_interval moved;
	/* Nats. sum over pairs of (beta/sqrt(d)) norm min(2, |difference of gamma| omega D), the
	 * right side of |s' - s| <= .. at distance D = C - 1, the largest of training, with mean
	 * norms in place of the pair of tokens' own: it bounds the mean shift where norms do not
	 * depend on place, not every single one. The method's factor on logits is left out. */
	sx_interval shift;
} sx_rope_effect;

typedef struct {
	int64_t layer, head;
	double ac[SX_ROPE_FAMILIES]; /* mean over sequences; NaN where not in the file          */
	sx_interval centre; /* rad/token: exp of the mean of log omega, weighted by logit_share */
	sx_interval slow;   /* share of logit_share in pairs that never complete a turn        */
	sx_interval rest;   /* share of the variance in channels that are not rotated          */
	sx_interval logit_std;  /* nats */
	sx_rope_pair *pair;     /* (freq) */
	sx_rope_effect *effect; /* (n_method) */
} sx_rope_head;

/* Heads in order, (layer,head), in one allocation that the caller frees. Intervals: 95 %, over the
 * sequences, the same resamples for all of them. */
sx_status sx_rope_heads(sx_rope_head **out, sx_ctx *ctx, const sx_rope_use *u,
			const sx_rope_setting *s) SX_NODISCARD;

/* ---- two groups of heads ---- */

typedef enum { SX_ROPE_A, SX_ROPE_B, SX_ROPE_NEITHER } sx_rope_group;

/* Largest |A_c| of a head over the families; NaN where there is none. */
double sx_rope_largest_ac(const sx_rope_head *h);

typedef struct {
	double mean_a, mean_b; /* logit share, mean over the heads of the group */
	sx_rank_test test;     /* heads of A against heads of B                 */
	double p_holm;         /* over the frequencies                          */
} sx_rope_contrast_pair;

typedef struct {
	int64_t n_a, n_b;
	sx_rank_test centre;      /* the one test over the whole spectrum: centres of A against B */
	sx_correlation ac_centre; /* |A_c| and centre, all heads                       */
	double least_holm;        /* least p after Holm that groups so small can give  */
	sx_rope_contrast_pair *pair; /* (freq) owned                                      */
} sx_rope_contrast;

/* group: (layer,head). The unit of the tests is the head (mean over sequences). p is conditional on
 * the model: how often its heads, dealt at random to groups of these sizes, would differ as much.
 * Heads of one model are not independent draws of models. */
sx_status sx_rope_contrast_make(sx_rope_contrast *out, sx_ctx *ctx, const sx_rope_use *u,
				const sx_rope_head *heads, const sx_rope_group *group) SX_NODISCARD;
/* Positional heads are A; semantic, key and mixed ones, which look at what tokens are, are B. */
sx_rope_group sx_rope_group_of(sx_head_class c);
/* The contrast by that rule in the last record of a file, from the sequences of these kinds; seed of
 * the bootstrap. SX_EDATA without /rope or /stats, SX_ENOINPUT, SX_EIO, SX_ENOMEM. */
sx_status sx_rope_contrast_classes(sx_rope_contrast *out, sx_ctx *ctx, sx_run_file *f,
				   unsigned kinds, uint64_t seed) SX_NODISCARD;
void sx_rope_contrast_free(sx_rope_contrast *c); /* frees what is inside */

#endif

/* Evaluation of a model as it stands: the loss on windows and the retrieval of needles, by length.
 * Shared by `eval` and by `train`; knows nothing of arguments and prints nothing. */
#ifndef SX_PROBES_LAB_EVALUATE_H
#define SX_PROBES_LAB_EVALUATE_H

#include "engine/model/model.h"
#include "engine/text/language.h"
#include "probes/config/config.h"
#include "probes/lab/windows.h"
#include "probes/runfile/runfile.h"

/* ---- loss ---- */

/* Means over targets, in nats; NaN where there is none. "last": over the last half of each window's
 * targets. "text": over targets of class filler; without the retrieval language all of them are. */
typedef struct {
	double nll, nll_last, text_nll, text_nll_last;
	double se; /* standard error of nll over windows, as of a ratio of two sums: windows
		      may differ in length; NaN with fewer than two windows           */
	int64_t query_hits, query_trials; /* targets of class query: is the arg max right   */
	int64_t tokens;                   /* targets                                        */
} sx_ppl;
/* The caller's room (W) for the means over each window's targets, NaN where it has none; either may
 * be NULL. */
typedef struct {
	double *nll, *text_last;
} sx_window_losses;
/* each may be NULL. */
sx_status sx_eval_ppl(sx_ppl *out, const sx_window_losses *each, sx_ctx *ctx, const sx_model *m,
		      const sx_windows *w) SX_NODISCARD;

/* ---- needles ---- */

enum { SX_NIAH_BINS = 20 }; /* bin b: 2^b <= distance < 2^(b+1); windows have 2^20 tokens at most */

typedef struct {
	sx_needle_kind kind;
	int64_t T, hits, trials;
	int64_t bin_hits[SX_NIAH_BINS], bin_trials[SX_NIAH_BINS]; /* by distance          */
	double chance_blind, chance_window; /* means of sx_needle_chance over the problems  */
	int64_t fingerprint; /* of the problems' tokens: the same for every model           */
} sx_niah;
/* Problems 0..trials-1 of seed. A hit: every answer is the arg max over the vocabulary (the
 * smallest id among equals), given the true tokens before it. hit (trials) receives 1 or 0 for each;
 * may be NULL. Errors are sx_language_needle's. */
sx_status sx_eval_niah(sx_niah *out, uint8_t *hit, sx_ctx *ctx, const sx_model *m,
		       const sx_language *l, sx_needle_kind kind, int facts, int64_t T,
		       int64_t trials, uint64_t seed) SX_NODISCARD;

/* ---- a whole evaluation ---- */

typedef struct {
	const int64_t *lengths; /* borrowed */
	int n_lengths;
	int64_t windows; /* for the loss, at each length; 0 = no loss                 */
	int64_t trials;  /* problems of each kind at each length                      */
	sx_needle_kind kind[SX_NEEDLE_KINDS];
	int n_kinds, facts;
	uint64_t seed;
	int64_t choice; /* further problems of each kind, to choose a temperature on; 0 = none */
} sx_eval_opts;
/* Seed of those further problems, and of as many further windows: drawn independently of the others. */
uint64_t sx_eval_choice_seed(uint64_t seed);

typedef struct {
	int64_t T;
	sx_ppl ppl;                      /* NaN and 0 without windows        */
	sx_niah niah[SX_NEEDLE_KINDS];   /* (n_kinds)                        */
	sx_niah choice[SX_NEEDLE_KINDS]; /* (n_kinds), on the further problems */
	double choice_text_last;         /* of the further windows; NaN without */
	sx_window_losses each;           /* the caller's room, see sx_eval_ppl */
	uint8_t *hit;                    /* (n_kinds, trials) the caller's room; NULL: not wanted */
} sx_eval_row;
/* The model as it stands, at one length; out->each and out->hit are set before. windows and choice
 * (further windows), of that length, may be NULL: no loss; l may be NULL where o has no kinds. */
sx_status sx_eval_length(sx_eval_row *out, sx_ctx *ctx, const sx_model *m,
			 const sx_windows *windows, const sx_windows *choice, const sx_language *l,
			 const sx_eval_opts *o, int64_t T) SX_NODISCARD;
/* At every length of o, on held-out windows; rows (n_lengths). */
sx_status sx_eval_all(sx_eval_row *rows, sx_ctx *ctx, const sx_model *m, const sx_language *l,
		      const sx_eval_opts *o) SX_NODISCARD;

/* Axes and datasets of /eval, before sx_run_start: the needles' only where o has kinds, the losses'
 * only where it has windows. Adds bin_edges to the distance axis; seed, facts and trials to
 * /eval. */
sx_status sx_eval_axes(sx_run *run, const sx_eval_opts *o) SX_NODISCARD;
/* One record from rows (n_lengths), flushed. */
sx_status sx_eval_put(sx_run *run, sx_ctx *ctx, const sx_eval_opts *o, const sx_eval_row *rows,
		      int64_t step, int phase) SX_NODISCARD;

/* ---- what training calls: eval.* of a configuration ----
 * Held-out windows of seed `seed`, and every kind of needle the language can make, with up to four
 * facts. Where eval.every is 0 or eval.lengths is empty, all three do nothing. */

/* Whether all that will be asked for can be made: a text that is too short, a length too small for
 * a needle. To be called before hours of work. */
sx_status sx_eval_check(sx_ctx *ctx, const sx_config *cfg, const sx_language *l) SX_NODISCARD;
sx_status sx_eval_define(sx_run *run, const sx_config *cfg, const sx_language *l) SX_NODISCARD;
/* Evaluates the model as it stands and appends a record. */
sx_status sx_eval_record(sx_run *run, sx_ctx *ctx, const sx_config *cfg, const sx_language *l,
			 const sx_model *m, int64_t step, int phase) SX_NODISCARD;

#endif

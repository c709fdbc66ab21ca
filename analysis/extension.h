/* Beyond the trained length: what eval's grids of positional methods and temperatures say, with
 * seeds of one setting pooled and the temperature chosen on other problems than those reported;
 * and two models compared window by window. From run files alone. */
#ifndef SX_ANALYSIS_EXTENSION_H
#define SX_ANALYSIS_EXTENSION_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

/* Number of the temperature c[i] with the largest share hits[i] / trials[i]; ties go to the smaller
 * c. A single candidate (a method as it is shipped, c NaN) is chosen where it has trials. -1: none
 * has any. */
int sx_extension_choose(const double *c, const int64_t *hits, const int64_t *trials, int n);

/* Losses in nats per token: over the context, over its last half; the same of the filler alone. */
typedef enum { SX_LOSS, SX_LOSS_LAST, SX_LOSS_TEXT, SX_LOSS_TEXT_LAST, SX_LOSSES } sx_loss_kind;

/* One method with one temperature, of one label. Missing numbers are NaN, hits and trials 0. */
typedef struct {
	const char *label; /* borrowed from the caller                                          */
	char method[24];   /* "" where a file does not say: /eval of training                   */
	double c;          /* NaN = as shipped, or as the model stands                          */
	bool chosen;       /* of its method, for retrieval                                      */
	bool chosen_text;  /* of its method, for the loss on text                               */
	int n_seed;        /* files pooled                                                        */
	int64_t trained_length; /* 0 = not known                                           */
	int n_length;
	int64_t *length;        /* (n_length) tokens                                       */
	int64_t *hits, *trials; /* (n_length) of the kind asked for, all seeds together    */
	sx_interval *rate;      /* (n_length) hits / trials, Wilson                        */
	double *chance_window;  /* (n_length) a guess among the values in the window       */
	double chance_blind;    /* a guess among all values                                */
	int64_t choice_hits, choice_trials; /* all kinds, beyond the trained length          */
	double choice_text; /* text_nll_last of the windows set apart (where a file has none of
			       those, of the reported ones), mean over lengths beyond the trained
			       one and seeds                                            */
	/* Of single problems and windows, with what tells which these were; NULL where a file does
	 * not have them. */
	int64_t n_problem, n_window;
	uint8_t *hit;        /* (n_seed, n_length, n_problem) 1 = retrieved                   */
	double *window_text; /* (n_seed, n_length, n_window) nats                             */
	int64_t *problem_print, *window_print; /* (n_seed, n_length)                           */
	double *loss[SX_LOSSES];               /* (n_length) means over seeds                   */
	double *seed_loss[SX_LOSSES];          /* (n_seed, n_length)                            */
	double *nll_last, *text_nll_last;      /* loss[SX_LOSS_LAST], loss[SX_LOSS_TEXT_LAST]   */
} sx_extension_row;

typedef struct {
	char kind[24];          /* of needle problem; "" = none                            */
	int64_t trained_length; /* 0 where it is not known or labels differ in it          */
	bool text_apart;        /* c for the text was chosen on windows set apart              */
	int n_row;
	sx_extension_row *row; /* labels as they come, then variants as the file has them  */
} sx_extension;

/* Files with the same label are seeds of one setting: they must have the same lengths and variants,
 * and hits, trials and choices are added. Of each method (a label and a method) that c is chosen
 * which has most hits on the problems set apart (`eval --choose`), over all lengths beyond the
 * trained one and all kinds, and for the text that with the least loss over the last half of the
 * windows set apart, mean over the same lengths; in a file without such problems nothing is chosen.
 *
 * A file without /extension gives the last record of its /eval as a single variant, or with
 * step >= 0 the last one of that step. kind: of needle problem, NULL = the first that a file has.
 * SX_EDATA: no evaluations, no such kind, or seeds that do not fit together. SX_ENOMEM. */
sx_status sx_extension_read_step(sx_extension **out, sx_ctx *ctx, sx_run_file *const *files,
				 const char *const *labels, int n, const char *kind,
				 int64_t step) SX_NODISCARD;
sx_status sx_extension_read(sx_extension **out, sx_ctx *ctx, sx_run_file *const *files,
			    const char *const *labels, int n, const char *kind) SX_NODISCARD;
void sx_extension_free(sx_extension *e);

/* Of the chosen rows (for the text: chosen_text) of this label, NULL = of all but `but`, the one that
 * did best on what is set apart: the method, as its c. NULL if there is none. */
const sx_extension_row *sx_extension_best(const sx_extension *e, const char *label, const char *but,
					  bool text);

/* ---- two rows on the same problems and windows, at length[at] (extension_pairs.c) ---- */

typedef struct {
	int64_t pairs;          /* problems of all seeds that both rows have; 0 = not known     */
	int64_t only_a, only_b; /* retrieved by one alone                                       */
	double p;               /* McNemar's exact test                                         */
} sx_extension_pairs;
/* Seeds are paired by their problems, whatever their order. */
sx_extension_pairs sx_extension_compare_hits(const sx_extension_row *a, const sx_extension_row *b,
					     int at);
/* Mean of a - b of the text's loss over the windows of all seeds that both have, with a bootstrap
 * interval over windows; NaN where they have none in common. SX_ENOMEM. */
sx_status sx_extension_compare_text(sx_interval *out, int64_t *windows, sx_ctx *ctx,
				    const sx_extension_row *a, const sx_extension_row *b, int at,
				    uint64_t seed) SX_NODISCARD;

/* ---- two models on the same windows ---- */

typedef struct {
	int64_t length, windows;
	double mean_a, mean_b;  /* over windows, nats per token                             */
	sx_interval difference; /* mean of a - b; bootstrap over windows                    */
} sx_loss_difference;
/* Of two files of `eval ppl -o` with the same --seed, data and number of windows, at a length both
 * have. seed: of the resampling. SX_EDATA where the windows are not the same. */
sx_status sx_loss_compare(sx_loss_difference *out, sx_ctx *ctx, sx_run_file *a, sx_run_file *b,
			  int64_t length, uint64_t seed) SX_NODISCARD;

#endif

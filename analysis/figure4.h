/* Figure 4 of the paper (DroPE, arXiv:2512.12167): the norm of A_c's gradient by layer at
 * initialisation, with and without rotation. The paper does not say over how many tokens and inputs,
 * by which parameters, and how heads are put together. Here every protocol that traces allow is
 * compared with the curves as printed. */
#ifndef SX_ANALYSIS_FIGURE4_H
#define SX_ANALYSIS_FIGURE4_H

#include "probes/runfile/runfile.h"

enum { SX_FIGURE4_LAYERS = 24, SX_FIGURE4_FAMILIES = 2 };
extern const char *const sx_figure4_family[SX_FIGURE4_FAMILIES]; /* "diagonal", "previous" */

typedef enum { SX_FIGURE4_ROPE, SX_FIGURE4_NOPE, SX_FIGURE4_METHODS } sx_figure4_method;
typedef double sx_figure4_curves[SX_FIGURE4_FAMILIES][SX_FIGURE4_METHODS][SX_FIGURE4_LAYERS];
/* Read off the printed figure, +-0.01. */
extern const sx_figure4_curves sx_figure4_paper;

/* By what, jointly: the root of the sum of both squares. */
typedef enum { SX_FIGURE4_WQ, SX_FIGURE4_WK, SX_FIGURE4_JOINT, SX_FIGURE4_BY } sx_figure4_by;
const char *sx_figure4_by_name(sx_figure4_by b); /* "W_Q", "W_K", "W_Q and W_K" */

typedef struct {
	int64_t length, sequences; /* tokens of a sequence, and how many                       */
	sx_figure4_by by;
	bool root_sum; /* over heads the root of the sum of squares, else the mean             */
	bool batch;    /* the norm of the sequences' mean gradient, else the mean of their norms */
} sx_figure4_protocol;

/* How far from the paper, over all layers, families and methods: root mean square of
 * ln(ours / paper); the same where ours is multiplied by the one factor that is best (the mean of
 * the logarithms); and that of the ratio of RoPE to NoPE, which no scale enters. */
typedef struct {
	sx_figure4_protocol p;
	double rms, factor, rms_scaled, rms_ratio;
	sx_figure4_curves curve;
} sx_figure4_fit;

/* Fills rms, factor, rms_scaled and rms_ratio from the curves. */
void sx_figure4_compare(sx_figure4_fit *f);

/* "W_Q and W_K, root sum of squares over heads, ..": the caller's, NULL when memory is out. */
char *sx_figure4_words(const sx_figure4_protocol *p);

/* Every protocol of n traces of the same weights and sequences; a rotated one and one that is not, of
 * the same length, make a pair. Those of the batch only where both have /ac/batch_grad_norm. *out is
 * the caller's. SX_EDATA where a trace has no partner, is not of 24 layers or lacks what is needed;
 * SX_ENOMEM. */
sx_status sx_figure4_fits(sx_figure4_fit **out, int64_t *n_fit, sx_ctx *ctx,
			  sx_run_file *const *file, const bool *rotated, int64_t n) SX_NODISCARD;
/* The number of the fit with the least rms; with the least rms_scaled. */
int64_t sx_figure4_best(const sx_figure4_fit *fit, int64_t n, bool scaled);

#endif

/* Variants of the positions of one model: methods and temperatures, of which those that come to the
 * same are known.
 *
 * model->spec.pos may be changed between two evaluations: positions belong to the memory of a
 * batch, which every evaluation makes anew. A model is loaded once and measured many times. */
#ifndef SX_PROBES_LAB_VARIANT_H
#define SX_PROBES_LAB_VARIANT_H

#include "engine/spec.h"

typedef struct {
	char label[24]; /* the method; "yarn (shipped)" with its own attention factor  */
	sx_pos_opts pos;
	double c; /* beta = the model's own beta * (1 + c ln factor); NaN = as given */
	double attention_factor; /* what the plan has                                      */
	int same_as; /* number in its grid of the first variant with the same plans     */
} sx_variant;
/* The model as it stands, at length T. SX_ECONFIG. */
sx_status sx_variant_now(sx_variant *out, sx_ctx *ctx, const sx_spec *spec, int64_t T) SX_NODISCARD;
/* pos.train_length, or the model's context where that is 0. */
int64_t sx_trained_length(const sx_spec *spec);
/* Methods that rotate do not apply to a model whose positions were dropped. */
bool sx_method_applies(const sx_spec *spec, const char *method);
/* Every method with every c at length T, factor = max(1, T / trained length). YaRN is its ramp with
 * attention factor 1, so that its temperature is the grid's, and once more as it is shipped. The
 * list is the same at every length; where plans are equal (at factor 1 all scalings are plain RoPE,
 * and c does nothing) same_as is the first of them, which alone needs to be evaluated. *out is the
 * caller's. SX_ECONFIG, SX_ENOMEM. */
sx_status sx_variant_grid(sx_variant **out, int *n, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			  const char *const *methods, int n_methods, const double *c,
			  int n_c) SX_NODISCARD;

#endif

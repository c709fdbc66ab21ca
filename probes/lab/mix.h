/* The epsilon law measured: A_c, its gradients and the prefix spread with the embeddings moved toward
 * their mean, (1-t) mean + t e, at each t of a list. */
#ifndef SX_PROBES_LAB_MIX_H
#define SX_PROBES_LAB_MIX_H

#include "probes/lab/sequences.h"
#include "probes/observe/families.h"

typedef struct {
	const sx_source *source;
	const sx_sequences *in;
	const sx_family *family; /* (n_c) */
	int64_t n_c;
	const double *t; /* (n_t) in (0, 1] */
	int64_t n_t;
	const char *out, *command; /* the run file to write, NULL = none; what was called */
	bool f64;
} sx_mix_job;

/* Owned; the names are borrowed, those of families from the job. */
typedef struct {
	int64_t n_t, S, L, H, n_c, n_wrt;
	const char *family[SX_FAMILY_MOST]; /* (n_c)                                           */
	const char *const *wrt;             /* (n_wrt) what gradients are with respect to      */
	double *value;                      /* (n_t,S,L,H,n_c) A_c                             */
	double *grad_norm;                  /* (n_t,S,L,H,n_c,n_wrt)                           */
	double *spread;                     /* (n_t,S,L) prefix spread of h                    */
} sx_mix_arrays;

/* One pass per t; writes /mix where job->out says so. SX_ENOMEM, SX_EIO, and errors of sx_trace. */
sx_status sx_mix_measure(sx_mix_arrays *out, sx_ctx *ctx, const sx_mix_job *job) SX_NODISCARD;
void sx_mix_arrays_free(sx_mix_arrays *a); /* frees what is inside */

#endif

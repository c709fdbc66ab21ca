/* What is looked at: a model, the sequences that go through it and the families of A_c. `trace` and
 * `bounds` begin with one, pass it through the instruments and store what they found of it. */
#ifndef SX_PROBES_LAB_SUBJECT_H
#define SX_PROBES_LAB_SUBJECT_H

#include "probes/lab/sequences.h"
#include "probes/lab/trace.h"
#include "probes/runfile/runfile.h"

typedef struct {
	sx_source source;
	sx_sequences in;
	sx_family family[SX_FAMILY_MOST]; /* (n_c) */
	int64_t n_c;
	bool f64; /* precision of the whole pass */
} sx_subject;

/* MODEL with n overrides key=value of its positions, and what w says, or d where it says nothing. The
 * errors of sx_families_parse, sx_source_open and sx_sequences_read. */
sx_status sx_subject_open(sx_subject *out, sx_ctx *ctx, const char *model, int n,
			  char *const *overrides, const sx_sequences_words *w,
			  const sx_sequences_default *d) SX_NODISCARD;
void sx_subject_free(sx_subject *s); /* frees what is inside; a subject of zeros is fine */

/* A pass over all of it with all threads; what else it has (toward, mix, maps) is the caller's to add. What
 * s and measure point to is borrowed. */
sx_trace_request sx_subject_request(const sx_subject *s, const sx_measure_opts *measure);
/* sx_trace in the subject's precision. */
sx_status sx_subject_trace(const sx_subject *s, sx_ctx *ctx, const sx_trace_request *r,
			   sx_measures *into, double *nll, float *logits) SX_NODISCARD;

/* Creates a file with the provenance of what is found of it: sx_run_create is done, sx_run_start is not.
 * *run is the caller's to free whatever is returned. */
sx_status sx_subject_file(sx_run **run, sx_ctx *ctx, const sx_subject *s, const char *path,
			  const char *command) SX_NODISCARD;

#endif

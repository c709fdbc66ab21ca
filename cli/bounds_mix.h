/* `bounds --mix`: the epsilon law measured and concluded (analysis/mix.h). */
#ifndef SX_CLI_BOUNDS_MIX_H
#define SX_CLI_BOUNDS_MIX_H

#include "probes/lab/sequences.h"
#include "probes/observe/families.h"

typedef struct {
	const sx_source *source;
	const sx_sequences *in;
	const sx_family *family; /* (n_c) */
	int64_t n_c;
	const char *list;          /* "1,0.1,0.01": the values of t, in (0, 1]             */
	const char *out, *command; /* the run file to write, NULL = none; what was called */
	bool f64, json;
} sx_mix_job;

/* Prints the exponents and writes /mix. SX_EUSAGE, SX_EDATA, .. */
sx_status sx_mix_measure(sx_ctx *ctx, const sx_mix_job *job) SX_NODISCARD;
/* Prints the exponents of a run file that has /mix; *there says whether it has. */
sx_status sx_mix_print_file(bool *there, sx_ctx *ctx, const char *path, bool json) SX_NODISCARD;

#endif

/* Where numbers come from: the attributes and documents every run file of ours carries. */
#ifndef SX_PROBES_LAB_PROVENANCE_H
#define SX_PROBES_LAB_PROVENANCE_H

#include "engine/spec.h"
#include "probes/runfile/runfile.h"

/* The commit the program was built from, "unknown" where it is not known. */
const char *sx_git_commit(void);
/* Machine, libraries, threads as JSON text, without the machine's name; the caller's. */
char *sx_environment_json(void);
/* Shape and positional method of a model as JSON text; the caller's. */
char *sx_spec_json(const sx_spec *s);
/* Root attributes git, seed, precision, command_line, run_id and the documents environment_json and
 * model_json. run_id: a UUID made from the text that determines the run, so that the same run has
 * the same id. */
sx_status sx_provenance(sx_run *run, sx_ctx *ctx, const char *command, uint64_t seed,
			const char *precision, const char *identity,
			const sx_spec *spec) SX_NODISCARD;

#endif

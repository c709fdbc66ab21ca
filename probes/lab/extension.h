/* A model beyond the length it was trained on: the loss and needle retrieval by length, for the model
 * as it stands or for a grid of variants of its positions, and the run file of that. The job of
 * `eval`; knows nothing of arguments and prints nothing. */
#ifndef SX_PROBES_LAB_EXTENSION_H
#define SX_PROBES_LAB_EXTENSION_H

#include "probes/lab/evaluate.h"
#include "probes/lab/progress.h"
#include "probes/lab/source.h"
#include "probes/lab/variant.h"

enum { SX_EVAL_LIST = 64 }; /* lengths, methods, temperatures: at most */

/* One evaluation: a length, a variant, what came out. */
typedef struct {
	int64_t T;
	sx_variant variant;
	sx_eval_row row;     /* each and hit are its own */
	int64_t windows;     /* 0 = not evaluated     */
	int64_t fingerprint; /* of the windows' tokens and targets */
} sx_eval_result;

/* What is asked for, and what comes out. Starts from zeros; the caller fills all but the results. */
typedef struct {
	sx_ctx *ctx;
	sx_source source; /* owned, as all down to `in` */
	sx_model *model;
	sx_data data;
	bool has_data; /* else in */
	sx_pieces in;
	sx_eval_opts opts; /* opts.lengths points to length */
	int64_t length[SX_EVAL_LIST];
	char *words; /* owned text that the names of the methods may lie in; NULL: none */
	const char *method[SX_EVAL_LIST];
	double c[SX_EVAL_LIST];
	int n_method, n_c;  /* 0 and 0: the model as it stands */
	const char *output; /* run file that will be written; NULL: none, and single windows
			       and problems are not kept */
	const sx_progress_to *progress; /* NULL: nobody listens */

	sx_eval_result *results; /* (lengths, n_variant) */
	int n_result, n_variant;
} sx_eval_job;

/* Lists the results, lengths times variants: wants ctx, source, opts, the methods and c. SX_ECONFIG,
 * SX_ENOMEM. */
sx_status sx_eval_job_list(sx_eval_job *j) SX_NODISCARD;
/* Evaluates what is listed; changes the positions of the model. Errors of sx_eval_length and of what
 * makes windows. */
sx_status sx_eval_job_run(sx_eval_job *j) SX_NODISCARD;
/* Writes output: /extension, and for a model as it stands /eval; command is the line that goes into
 * the file. SX_EIO, SX_ENOMEM. */
sx_status sx_eval_job_write(const sx_eval_job *j, const char *command) SX_NODISCARD;
void sx_eval_job_free(sx_eval_job *j); /* frees what is inside */

/* The i-th result, or the one whose positions it has: evaluated in any case. */
const sx_eval_result *sx_eval_result_of(const sx_eval_job *j, int i);
/* Is the i-th result one that was evaluated itself? */
bool sx_eval_is_own(const sx_eval_job *j, int i);

#endif

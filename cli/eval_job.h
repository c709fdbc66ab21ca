/* One call of `sextant eval`: what was asked for, what came out; shared by the verb (cmd_eval.c) and
 * by what prints it (eval_print.c) and stores it (eval_file.c). */
#ifndef SX_CLI_EVAL_JOB_H
#define SX_CLI_EVAL_JOB_H

#include "cli/out.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/source.h"
#include "probes/lab/variant.h"

enum { SX_EVAL_LIST = 64 }; /* lengths, methods, temperatures: at most */

typedef struct {
	sx_common common;
	bool niah;
	const char *what, *model, *output, *text, *tokens, *tokenizer;
	const char *methods, *temperatures, *lengths, *kinds;
	int64_t windows, trials, facts, choose, chunk, limit, seed; /* 0 = default; seed -1 */
	int n;
	char **overrides;
} sx_eval_args;

/* One evaluation: a length, a variant, what came out. */
typedef struct {
	int64_t T;
	sx_variant variant;
	sx_eval_row row;     /* each and hit are its own */
	int64_t windows;     /* 0 = not evaluated     */
	int64_t fingerprint; /* of the windows' tokens and targets */
} sx_eval_result;

typedef struct {
	sx_ctx *ctx;
	const sx_eval_args *a;
	sx_source source;
	sx_model *model;
	sx_data data;
	bool has_data; /* else in */
	sx_pieces in;
	sx_eval_opts opts;
	int64_t length[SX_EVAL_LIST];
	char *words; /* --methods, split */
	const char *method[SX_EVAL_LIST];
	double c[SX_EVAL_LIST];
	int n_method, n_c;       /* 0 and 0: the model as it stands */
	sx_eval_result *results; /* (lengths, n_variant) */
	int n_result, n_variant;
} sx_eval_job;

/* The i-th result, or the one whose positions it has: evaluated in any case. */
const sx_eval_result *sx_eval_result_of(const sx_eval_job *j, int i);
/* Is the i-th result one that was evaluated itself? */
bool sx_eval_is_own(const sx_eval_job *j, int i);

sx_status sx_eval_print(const sx_eval_job *j) SX_NODISCARD;
sx_status sx_eval_print_json(const sx_eval_job *j) SX_NODISCARD;
/* Writes -o: /extension, and for a model as it stands /eval. */
sx_status sx_eval_write(const sx_eval_job *j, const char *command) SX_NODISCARD;

#endif

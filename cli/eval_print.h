/* What `sextant eval` is asked for on the command line, and what it prints. */
#ifndef SX_CLI_EVAL_PRINT_H
#define SX_CLI_EVAL_PRINT_H

#include "cli/out.h"
#include "engine/text/tokens.h"
#include "probes/lab/extension.h"

typedef struct {
	sx_common common;
	bool niah, unchecked;
	const char *what, *model, *output, *text, *tokens, *tokenizer;
	const char *methods, *temperatures, *lengths, *kinds;
	sx_id_width ids;
	int64_t windows, trials, facts, choose, chunk, limit, seed; /* 0 = default; seed -1 */
	int n;
	char **overrides;
} sx_eval_args;

/* A table, and the temperatures chosen; or one JSON document. SX_ENOMEM, SX_EIO. */
sx_status sx_eval_print(const sx_eval_job *j, const sx_eval_args *a) SX_NODISCARD;
sx_status sx_eval_print_json(const sx_eval_job *j, const sx_eval_args *a) SX_NODISCARD;

#endif

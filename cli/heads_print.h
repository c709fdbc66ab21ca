/* What `sextant heads` prints. */
#ifndef SX_CLI_HEADS_PRINT_H
#define SX_CLI_HEADS_PRINT_H

#include "analysis/heads.h"
#include "cli/record.h"

typedef struct {
	const char *path; /* borrowed */
	const sx_heads *heads;
	int64_t record; /* the one that is shown */
	const sx_head_change *change;
	int64_t n_change;
} sx_heads_print;

/* SX_ENOMEM, SX_EIO, as all of these. */
sx_status sx_heads_print_text(sx_ctx *ctx, const sx_heads_print *p) SX_NODISCARD;
/* Every record. */
sx_status sx_heads_print_json(sx_ctx *ctx, const sx_heads_print *p) SX_NODISCARD;
/* One line per record and head, separated by tabs. */
sx_status sx_heads_print_run(sx_ctx *ctx, const sx_heads_print *p) SX_NODISCARD;

#endif

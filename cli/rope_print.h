/* What `sextant rope` prints. */
#ifndef SX_CLI_ROPE_PRINT_H
#define SX_CLI_ROPE_PRINT_H

#include "analysis/rope.h"
#include "cli/record.h"
#include "engine/pos/pos.h"

enum { SX_ROPE_NAME = 32 };

typedef struct {
	const char *path, *groups; /* borrowed; groups: NULL = by the rule alone              */
	sx_rope_use use;
	int head_dim;
	int64_t trained_length;
	double logit_scale, factor, threshold;
	bool by_class;   /* the groups are the classes of heads, not |A_c| >= threshold           */
	sx_pos_opts pos; /* theta, beta and the ramp of the model                            */
	int n_method;
	sx_pos_plan *plan;          /* (n_method) */
	sx_rope_method *method;     /* (n_method) */
	sx_rope_head *heads;        /* (layer,head) */
	char (*name)[SX_ROPE_NAME]; /* (layer,head) */
	sx_rope_group *group;       /* (layer,head) */
	const char *against;        /* "semantic, key or mixed" or "other" */
	sx_rope_contrast contrast;
} sx_rope_print;

/* The frequencies of one method; o->train_length is set. SX_ENOMEM, SX_EIO, as all of these. */
sx_status sx_rope_print_table(sx_ctx *ctx, const sx_pos_opts *o, const sx_pos_plan *plan,
			      bool json) SX_NODISCARD;
sx_status sx_rope_print_text(sx_ctx *ctx, const sx_rope_print *p) SX_NODISCARD;
sx_status sx_rope_print_json(sx_ctx *ctx, const sx_rope_print *p) SX_NODISCARD;
/* One line per layer, head and pair, separated by tabs. */
sx_status sx_rope_print_pairs(sx_ctx *ctx, const sx_rope_print *p) SX_NODISCARD;

#endif

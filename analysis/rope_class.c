/* Frequency use and the classes of heads: do positional heads use other frequencies? */
#include "analysis/rope.h"

#include <math.h>
#include <stdlib.h>

sx_rope_group sx_rope_group_of(sx_head_class c)
{
	bool against = c == SX_HEAD_SEMANTIC || c == SX_HEAD_KEY || c == SX_HEAD_MIXED;
	return c == SX_HEAD_POSITIONAL ? SX_ROPE_A : against ? SX_ROPE_B : SX_ROPE_NEITHER;
}

static sx_status group_heads(sx_rope_group **out, sx_ctx *ctx, sx_run_file *f,
			     const sx_heads_opts *o, int64_t heads)
{
	sx_status st = SX_OK;
	sx_heads *h = NULL;
	sx_rope_group *g = sx_calloc((size_t)heads, sizeof *g);
	if (!g) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the heads"));
	SX_TRY(sx_heads_read(&h, ctx, f, o));
	for (int64_t i = 0; i < heads; i++)
		g[i] = sx_rope_group_of(
			sx_heads_at(h, h->n_record - 1, i / h->heads, i % h->heads)->cls);
	*out = g;
	g = NULL;
out:
	free(g);
	sx_heads_free(h);
	return st;
}

sx_status sx_rope_contrast_classes(sx_rope_contrast *out, sx_ctx *ctx, sx_run_file *f,
				   unsigned kinds, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_rope_use u = {0};
	sx_rope_head *head = NULL;
	sx_rope_group *group = NULL;
	const sx_heads_opts o = {.kinds = kinds, .seed = seed};
	const sx_rope_setting s = {.trained_length = 0, .logit_scale = (double)NAN, .seed = seed};
	SX_TRY(sx_rope_read(&u, ctx, f, -1, -1, kinds));
	SX_TRY(sx_rope_heads(&head, ctx, &u, &s));
	SX_TRY(group_heads(&group, ctx, f, &o, u.layers * u.heads));
	SX_TRY(sx_rope_contrast_make(out, ctx, &u, head, group));
out:
	free(group);
	free(head);
	sx_rope_use_free(&u);
	return st;
}

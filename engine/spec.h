/* What a model is, before any number of it is known: its shape, and how position enters it. No
 * precision in here, so that files, plans and reports can speak of a model without an engine. */
#ifndef SX_ENGINE_SPEC_H
#define SX_ENGINE_SPEC_H

#include "engine/base.h"
#include "engine/pos/pos.h"

typedef enum {
	SX_QK_NORM_NONE,
	SX_QK_NORM_FULL, /* one RMSNorm over all heads concatenated (OLMo 2, DroPE)            */
	SX_QK_NORM_HEAD  /* RMSNorm per head, the gain shared by the heads (Qwen3)             */
} sx_qk_norm;
const char *sx_qk_norm_name(sx_qk_norm n); /* "none", "full", "head" */
bool sx_qk_norm_parse(const char *s, sx_qk_norm *n);

typedef enum { SX_NORM_RMS, SX_NORM_LAYER } sx_norm_kind; /* LayerNorm with bias            */
typedef enum { SX_MLP_SWIGLU, SX_MLP_GELU } sx_mlp_kind;  /* GELU with erf: two matrices    */
const char *sx_norm_kind_name(sx_norm_kind n);            /* "rmsnorm", "layernorm" */
const char *sx_mlp_kind_name(sx_mlp_kind n);              /* "swiglu", "gelu" */
bool sx_norm_kind_parse(const char *s, sx_norm_kind *n);
bool sx_mlp_kind_parse(const char *s, sx_mlp_kind *n);

/* How a block is built, the same in all layers. Zero is Llama's. */
typedef struct {
	sx_norm_kind norm; /* of the block and of the stream at the end                  */
	bool norm_after;   /* x + norm(sub-layer(x)), none before it (OLMo 2)            */
	bool parallel;     /* x + attention(norm1 x) + mlp(norm2 x) (GPT-NeoX)           */
	sx_mlp_kind mlp;
	bool o_bias, mlp_bias; /* on the output projection; on the matrices of the MLP       */
	bool q_plain, k_plain; /* this side of the QK-norm is there, but not applied (DroPE's
	                            k_norm_nope, q_norm_nope)                              */
} sx_block;
bool sx_block_same(const sx_block *a, const sx_block *b);

/* A decoder-only transformer. Letters as everywhere in the engine: V vocabulary, C width, L layers,
 * H query heads, Hkv key/value heads (H % Hkv == 0), D head dimension, F feed-forward width. */
typedef struct {
	int V, C, L, H, Hkv, D, F;
	int64_t T;     /* trained context length, tokens                             */
	double eps;    /* of every norm                                              */
	bool tied;     /* output matrix = embedding                                  */
	bool qkv_bias; /* biases on q, k and v (not on the output projection)        */
	sx_qk_norm qk_norm;
	sx_block block;
	sx_pos_opts pos;  /* how position enters                                        */
	int bos, eos;     /* token ids, -1 = none                                       */
	bool interleaved; /* the source paired channels (2m, 2m+1); inside it is always
	                        (m, m + D/2), rows were permuted on loading                */
} sx_spec;

/* Whether queries, keys go through a QK-norm. */
static inline bool sx_q_normed(const sx_spec *s)
{
	return s->qk_norm != SX_QK_NORM_NONE && !s->block.q_plain;
}
static inline bool sx_k_normed(const sx_spec *s)
{
	return s->qk_norm != SX_QK_NORM_NONE && !s->block.k_plain;
}

/* What positional methods may look at. */
static inline sx_pos_shape sx_spec_shape(const sx_spec *s)
{
	return (sx_pos_shape){
		.layers = s->L, .heads = s->H, .head_dim = s->D, .train_length = s->T};
}

/* A small sane model: what every key of a configuration defaults to. */
sx_spec sx_spec_default(void);
/* SX_ECONFIG with the first thing that cannot be. */
sx_status sx_spec_check(const sx_spec *s, sx_ctx *ctx) SX_NODISCARD;
/* Number of parameters (the tied output matrix counted once). */
int64_t sx_spec_params(const sx_spec *s);

#endif

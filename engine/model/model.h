/* The decoder: parameters, one batch in flight, forward and backward. Straight-line code over the
 * operations of ops.h.
 *
 * A model owns its parameters and is read-only during passes. A work owns the activations of one
 * batch and everything that depends on its length: positional plans and rotation tables. */
#ifndef SX_ENGINE_MODEL_MODEL_H
#define SX_ENGINE_MODEL_MODEL_H

#include "engine/op/functional.h"
#include "engine/op/ops.h"
#include "engine/probe.h"
#include "engine/real.h"
#include "engine/spec.h"

typedef enum { SX_INIT_FAN_IN, SX_INIT_002 } sx_init; /* "fan-in", "0.02" */

/* Parameters: field, name in a Hugging Face checkpoint, rows, columns, how many copies (layers), there
 * or not, start: E embedding, M matrix, G gain, Z zero. Matrices are (out,in). Weight decay acts on E
 * and M. s is the spec. One of the five X-macro tables. */
/* clang-format off */
#define SX_PARAMS(X)                                                                                            \
	X(embed,  "model.embed_tokens.weight",                        s->V,          s->C, 1,    true,       E) \
	X(ln1,    "model.layers.%d.input_layernorm.weight",           1,             s->C, s->L, true,       G) \
	X(wq,     "model.layers.%d.self_attn.q_proj.weight",          s->H * s->D,   s->C, s->L, true,       M) \
	X(wk,     "model.layers.%d.self_attn.k_proj.weight",          s->Hkv * s->D, s->C, s->L, true,       M) \
	X(wv,     "model.layers.%d.self_attn.v_proj.weight",          s->Hkv * s->D, s->C, s->L, true,       M) \
	X(bq,     "model.layers.%d.self_attn.q_proj.bias",            1, s->H * s->D,   s->L, s->qkv_bias,   Z) \
	X(bk,     "model.layers.%d.self_attn.k_proj.bias",            1, s->Hkv * s->D, s->L, s->qkv_bias,   Z) \
	X(bv,     "model.layers.%d.self_attn.v_proj.bias",            1, s->Hkv * s->D, s->L, s->qkv_bias,   Z) \
	X(q_norm, "model.layers.%d.self_attn.q_norm.weight",          1, sx_norm_width(s, s->H),   s->L, s->qk_norm != SX_QK_NORM_NONE, G) \
	X(k_norm, "model.layers.%d.self_attn.k_norm.weight",          1, sx_norm_width(s, s->Hkv), s->L, s->qk_norm != SX_QK_NORM_NONE, G) \
	X(wo,     "model.layers.%d.self_attn.o_proj.weight",          s->C, s->H * s->D,   s->L, true,       M) \
	X(ln2,    "model.layers.%d.post_attention_layernorm.weight",  1,             s->C, s->L, true,       G) \
	X(wg,     "model.layers.%d.mlp.gate_proj.weight",             s->F,          s->C, s->L, true,       M) \
	X(wu,     "model.layers.%d.mlp.up_proj.weight",               s->F,          s->C, s->L, true,       M) \
	X(wd,     "model.layers.%d.mlp.down_proj.weight",             s->C,          s->F, s->L, true,       M) \
	X(ln_f,   "model.norm.weight",                                1,             s->C, 1,    true,       G) \
	X(head,   "lm_head.weight",                                   s->V,          s->C, 1,    !s->tied,   M)
/* clang-format on */

static inline int sx_norm_width(const sx_spec *s, int heads)
{
	return s->qk_norm == SX_QK_NORM_FULL ? heads * s->D : s->D;
}

#define SX_PARAM_FIELD(field, name, rows, cols, copies, there, start) sx_real *field;
/* One block of memory; a field points to the first of its copies, which follow each other; NULL where
 * the model has none. The same type serves weights, gradients and Adam's moments. */
typedef struct {
	sx_real *base;
	int64_t count; /* reals in all */
	SX_PARAMS(SX_PARAM_FIELD)
} sx_params;

/* The table as data, in the order of memory. */
typedef struct {
	const char *field, *name; /* name with %d for the layer when copies > 1 or per layer */
	int64_t rows, cols, copies, offset; /* offset of the first copy, in reals */
	char start;                         /* 'E', 'M', 'G', 'Z' */
	bool per_layer;
} sx_param_info;
enum { SX_PARAM_MOST = 32 };
/* Fills info (SX_PARAM_MOST entries) and returns their number. */
int sx_params_table(const sx_spec *s, sx_param_info *info);
/* Points the fields into base (sx_spec_params reals). */
void sx_params_layout(sx_params *p, const sx_spec *s, sx_real *base);

typedef struct {
	sx_spec spec;
	sx_params p;
} sx_model;
sx_status sx_model_new(sx_model **out, sx_ctx *ctx, const sx_spec *spec) SX_NODISCARD; /* zeroed */
void sx_model_free(sx_model *m);
/* Random weights: a number depends on (seed, tensor, layer, element) alone. fan-in: matrices
 * N(0, 1/fan_in), embedding N(0, 0.25); 0.02: all N(0, 0.02^2). Gains 1, biases 0. */
void sx_model_init(sx_model *m, uint64_t seed, sx_init init);

typedef enum { SX_WORK_FORWARD, SX_WORK_TRAIN } sx_work_mode;

/* Activations of one layer, in the order in which the pass makes them (pass.c: layer_fwd). N = B T
 * rows, q = H D, kv = Hkv D; G = 1 under QK-norm over all heads, else H (queries) or Hkv (keys). Tables
 * of it are laid out in work.c: lay_out_layer. */
/* clang-format off */
typedef struct {
	sx_real *x;              /* (N,C)      residual stream entering the layer                    */
	sx_real *h, *rstd1;      /* (N,C), (N) h = norm(x) gain; 1/rho of each row                   */
	sx_real *q_raw, *k_raw;  /* (N,q), (N,kv)  projections before QK-norm; NULL without one      */
	sx_real *q_rstd, *k_rstd;/* (N,G)      1/rho of the QK-norm; NULL without one                */
	sx_real *q, *k, *v;      /* (N,q), (N,kv), (N,kv)  as they enter attention: q, k rotated     */
	sx_real *rows;           /* (B,H,T,2)  of each row of scores the largest, and 1/sum of exp   */
	sx_real *z;              /* (N,q)      probabilities times values, heads side by side        */
	sx_real *xa;             /* (N,C)      x + z W_O^T                                           */
	sx_real *u, *rstd2;      /* (N,C), (N) u = norm(xa) gain                                     */
	sx_real *gate, *up, *act;/* (N,F)      u W_g^T, u W_u^T, silu(gate) up                       */
} sx_layer_acts;             /* and out: act W_d^T + xa is the next layer's x                     */

typedef struct {
	sx_work_mode mode;
	int64_t B, T, tile;      /* at most B sequences of T tokens; rows of an attention tile       */
	int threads, layers;
	int layers_kept;         /* L in TRAIN, 1 in FORWARD (every layer uses the same)             */
	int64_t length;          /* that the plans are made for: T, unless set otherwise             */
	sx_pos_plan *plan;       /* (L)        the truth about position, whatever the spec says      */
	sx_rotation *rot;        /* (L)        cos, sin (T,n_freq); equal rotations share a table    */
	sx_layer_acts *layer;    /* (layers_kept)                                                    */
	sx_real *x_out;          /* (N,C)      the stream after the last layer                       */
	sx_real *f, *rstd_f;     /* (N,C), (N) f = norm(x_out) gain: logits are f W^T                */
	sx_real *loss_rows;      /* (N,2)      as rows, of the logits                                */
	double *nll;             /* (N)        nats, NaN where the target was -1; after a pass       */
	/* gradients of what has the same name, one layer at a time; NULL in FORWARD */
	sx_real *dx, *dh;        /* (N,C)      dh serves u and f, too                                */
	sx_real *dq, *dk, *dv;   /* (N,q), (N,kv), (N,kv)                                            */
	sx_real *dz;             /* (N,q)                                                            */
	sx_real *da, *db;        /* (N,F)      of act, then gate; of up                              */
	sx_real *scratch;        /*            the largest that any operation of any layer asks for  */
	int64_t used_B;          /* sequences of the last forward                                    */
	int64_t counted;         /* targets that counted                                             */
	sx_arena arena;
} sx_work;
/* clang-format on */

/* Memory for up to B sequences of exactly T tokens. SX_ENOMEM, SX_ECONFIG (positional plan). */
sx_status sx_work_new(sx_work **out, sx_ctx *ctx, const sx_model *m, int64_t B, int64_t T,
		      sx_work_mode mode) SX_NODISCARD;
void sx_work_free(sx_work *w);
/* Makes the plans anew for inputs of this length, where the model's method looks at it: rows beyond it
 * are padding. At most T. SX_ENOMEM. */
sx_status sx_work_set_length(sx_work *w, sx_ctx *ctx, const sx_model *m,
			     int64_t length) SX_NODISCARD;
/* What attention of this layer is given for B sequences. */
sx_attention_dims sx_work_attention(const sx_work *w, const sx_spec *s, int layer, int64_t B);
/* Bytes a work takes, before it is made; probes' own memory not counted. 0 where a plan cannot be made:
 * sx_work_new says why. */
size_t sx_work_bytes(const sx_spec *spec, int64_t B, int64_t T, sx_work_mode mode, int threads);

/* What is asked of a pass. Zero or NULL: not asked. Borrowed for the call. */
typedef struct {
	const int32_t *tokens; /* (B,T) ids below V                                           */
	const int32_t *target; /* (B,T) or NULL; -1 = not counted                             */
	int64_t B;             /* sequences, at most those of the work                        */
	int64_t length;        /* of the inputs, for plans that look at it: rows beyond it are
	                          padding; 0 = all T                                          */
	const sx_probe *probe; /* (n_probe) who looks                                         */
	int n_probe;
} sx_request;

/* *loss (may be NULL): mean nats per counted target. SX_EDATA on an id outside the vocabulary; what a
 * probe says. */
sx_status sx_forward(sx_ctx *ctx, const sx_model *m, sx_work *w, const sx_request *r,
		     double *loss) SX_NODISCARD;
/* The attention of one layer alone, its block's input h (B,T,C) the caller's and not w's: probes see
 * q to v, tiles and heads. */
sx_status sx_attend(sx_ctx *ctx, const sx_model *m, sx_work *w, int layer, const sx_real *h,
		    const sx_request *r) SX_NODISCARD;
/* After sx_forward of the same tokens and targets on the same work in mode TRAIN: grad += d(scale * sum of
 * counted nll)/d parameters. The probes are those of the backward pass. */
sx_status sx_backward(sx_ctx *ctx, const sx_model *m, sx_work *w, sx_params *grad,
		      const sx_request *r, double scale) SX_NODISCARD;
/* Logits (n,V) of rows row0.. of the last forward (row = b T + t). */
void sx_logits(const sx_model *m, const sx_work *w, int64_t row0, int64_t n, sx_real *logits);

#endif

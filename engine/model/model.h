/* The decoder: parameters, one batch in flight, forward and backward. Straight-line code over the
 * operations of ops.h.
 *
 * A model owns its parameters and is read-only during passes. A work owns the activations of one
 * batch and everything that depends on its length: positional plans and rotation tables. */
#ifndef SX_ENGINE_MODEL_MODEL_H
#define SX_ENGINE_MODEL_MODEL_H

#include "engine/op/functional.h"
#include "engine/op/ops.h"
#include "engine/op/weight.h"
#include "engine/probe.h"
#include "engine/real.h"
#include "engine/spec.h"

typedef enum { SX_INIT_FAN_IN, SX_INIT_002 } sx_init; /* "fan-in", "0.02" */

/* Parameters: field, rows, columns, how many copies (layers), there or not, start: E embedding,
 * M matrix, G gain, Z zero. Matrices are (out,in). Weight decay acts on E and M. s is the spec. What
 * they are called in files is each family's (engine/files/family.h). One of the five X-macro tables. */
/* clang-format off */
#define SX_PARAMS(X)                                                                             \
	X(embed,  s->V,          s->C,                     1,    true,                          E) \
	X(ln1,    1,             s->C,                     s->L, true,                          G) \
	X(ln1_b,  1,             s->C,                     s->L, sx_norm_biased(s),             Z) \
	X(wq,     s->H * s->D,   s->C,                     s->L, true,                          M) \
	X(wk,     s->Hkv * s->D, s->C,                     s->L, true,                          M) \
	X(wv,     s->Hkv * s->D, s->C,                     s->L, true,                          M) \
	X(bq,     1,             s->H * s->D,              s->L, s->qkv_bias,                   Z) \
	X(bk,     1,             s->Hkv * s->D,            s->L, s->qkv_bias,                   Z) \
	X(bv,     1,             s->Hkv * s->D,            s->L, s->qkv_bias,                   Z) \
	X(q_norm, 1,             sx_norm_width(s, s->H),   s->L, s->qk_norm != SX_QK_NORM_NONE, G) \
	X(k_norm, 1,             sx_norm_width(s, s->Hkv), s->L, s->qk_norm != SX_QK_NORM_NONE, G) \
	X(wo,     s->C,          s->H * s->D,              s->L, true,                          M) \
	X(bo,     1,             s->C,                     s->L, s->block.o_bias,               Z) \
	X(ln2,    1,             s->C,                     s->L, true,                          G) \
	X(ln2_b,  1,             s->C,                     s->L, sx_norm_biased(s),             Z) \
	X(wg,     s->F,          s->C,                     s->L, sx_mlp_gated(s),               M) \
	X(wu,     s->F,          s->C,                     s->L, true,                          M) \
	X(wd,     s->C,          s->F,                     s->L, true,                          M) \
	X(bg,     1,             s->F,                     s->L, sx_gate_biased(s),             Z) \
	X(bu,     1,             s->F,                     s->L, s->block.mlp_bias,             Z) \
	X(bd,     1,             s->C,                     s->L, s->block.mlp_bias,             Z) \
	X(ln_f,   1,             s->C,                     1,    true,                          G) \
	X(ln_f_b, 1,             s->C,                     1,    sx_norm_biased(s),             Z) \
	X(head,   s->V,          s->C,                     1,    !s->tied,                      M)
/* clang-format on */

static inline bool sx_norm_biased(const sx_spec *s)
{
	return s->block.norm == SX_NORM_LAYER;
}

static inline bool sx_mlp_gated(const sx_spec *s)
{
	return s->block.mlp == SX_MLP_SWIGLU;
}

static inline bool sx_gate_biased(const sx_spec *s)
{
	return sx_mlp_gated(s) && s->block.mlp_bias;
}

static inline int sx_norm_width(const sx_spec *s, int heads)
{
	return s->qk_norm == SX_QK_NORM_FULL ? heads * s->D : s->D;
}

#define SX_PARAM_FIELD(field, rows, cols, copies, there, start) sx_real *field;
/* One block of memory; a field points to the first of its copies, which follow each other; NULL where
 * the model has none. The same type serves weights, gradients and Adam's moments. */
typedef struct {
	sx_real *base;
	int64_t count; /* reals in all */
	SX_PARAMS(SX_PARAM_FIELD)
} sx_params;

/* The table as data, in the order of memory. */
typedef struct {
	const char *field;
	int64_t rows, cols, copies, offset; /* offset of the first copy, in reals */
	char start;                         /* 'E', 'M', 'G', 'Z' */
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

/* One layer's weights, borrowed. Biases and QK-norms are NULL where the model has none, and so are the
 * numbers of wg. */
typedef struct {
	sx_weight wq, wk, wv, wo, wg, wu, wd;
	const sx_real *ln1, *ln1_b, *bq, *bk, *bv, *q_norm, *k_norm, *bo;
	const sx_real *ln2, *ln2_b, *bg, *bu, *bd;
} sx_layer_weights;
sx_layer_weights sx_weights_layer(const sx_model *m, int layer);
sx_weight sx_weights_output(const sx_model *m); /* (V,C): the embedding where it is tied */

typedef enum { SX_WORK_FORWARD, SX_WORK_TRAIN } sx_work_mode;

/* Activations of one layer, in the order in which the pass makes them (pass.c: layer_fwd). N = B T
 * rows, q = H D, kv = Hkv D; G = 1 under QK-norm over all heads, else H (queries) or Hkv (keys); y is the
 * stream that the feed-forward block reads: xa, or x where the residual is parallel. Tables of it are laid
 * out in work.c: lay_out_layer. */
/* clang-format off */
typedef struct {
	sx_real *x;              /* (N,C)      residual stream entering the layer                    */
	sx_real *h;              /* (N,C)      norm1(x); x itself where the norm comes after         */
	sx_real *mean1, *rstd1;  /* (N), (N)   of norm1; mean NULL but for LayerNorm                 */
	sx_real *q_raw, *k_raw;  /* (N,q), (N,kv)  projections before QK-norm; NULL without one      */
	sx_real *q_rstd, *k_rstd;/* (N,G)      1/rho of the QK-norm; NULL without one                */
	sx_real *q, *k, *v;      /* (N,q), (N,kv), (N,kv)  as they enter attention: q, k rotated     */
	sx_real *rows;           /* (B,H,T,2)  of each row of scores the largest, and 1/sum of exp   */
	sx_real *z;              /* (N,q)      probabilities times values, heads side by side        */
	sx_real *o;              /* (N,C)      z W_O^T + b_o; NULL but where norm1 comes after       */
	sx_real *xa;             /* (N,C)      x + z W_O^T + b_o, or x + norm1(o)                    */
	sx_real *u;              /* (N,C)      norm2(y); y itself where the norm comes after         */
	sx_real *mean2, *rstd2;  /* (N), (N)   of norm2                                              */
	sx_real *gate, *up, *act;/* (N,F)      u W_g^T, u W_u^T, silu(gate) up; GELU has no gate     */
	sx_real *m;              /* (N,C)      act W_d^T + b_d; NULL but where norm2 comes after     */
} sx_layer_acts;             /* and out: xa + act W_d^T + b_d, or xa + norm2(m), is the next x    */

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
	sx_real *f;              /* (N,C)      f = norm(x_out): logits are f W^T                     */
	sx_real *mean_f, *rstd_f;/* (N), (N)   of that norm                                          */
	sx_real *loss_rows;      /* (N,2)      as rows, of the logits                                */
	double *nll;             /* (N)        nats, NaN where the target was -1; after a pass       */
	/* gradients of what has the same name, one layer at a time; NULL in FORWARD */
	sx_real *dx, *dh;        /* (N,C)      dh serves u and f, too, and o and m                   */
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

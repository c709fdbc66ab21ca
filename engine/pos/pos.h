/* A positional encoding is data. A method fills a plan for each layer; one rotate kernel (op_rotate.c)
 * and the op that makes a tile's scores (op_scores.c) consume it, and whoever wants to know what a row
 * sees asks the plan. To add a method: one function and one row in spectra.c, and a golden row. */
#ifndef SX_ENGINE_POS_POS_H
#define SX_ENGINE_POS_POS_H

#include "engine/base.h"

struct sx_pos_method;

/* Some numbers. */
enum { SX_POS_LIST_MOST = 128 };
typedef struct {
	int n;
	double at[SX_POS_LIST_MOST];
} sx_pos_list;

/* What a user sets; names and bounds are in params.h. Zero or NaN where a comment says so means
 * "the method's own default". */
typedef struct {
	char method[16];      /* the name of a method                                        */
	double theta;         /* base of the spectrum, e.g. 1e4                              */
	double factor;        /* context extension s = new length / trained length           */
	double beta;          /* multiplies the logits, on top of whatever the method does   */
	int64_t train_length; /* trained context, tokens; 0 = the model's                    */
	double beta_fast, beta_slow; /* YaRN ramp: rotations over the trained length (32, 1)   */
	bool truncate;           /* YaRN: round the ramp's ends to whole pairs, as shipped      */
	double attention_factor; /* multiplies cos and sin; NaN = the method's own              */
	double keep;             /* p-RoPE: share of the frequencies kept, highest first, [0,1] */
	int64_t window;          /* a query sees keys at distance < window; 0 = all             */
	double partial;          /* share of a head's channels that are rotated, the first ones   */
	/* Which layers are rotated, which have the window: 1 or 0 for each layer, from the start again
	 * where the list ends; empty = all. */
	sx_pos_list rotated_layers, windowed_layers;
	double low_freq_factor,
		high_freq_factor;              /* Llama 3's ramp: turns over the trained length */
	sx_pos_list short_factor, long_factor; /* LongRoPE: a divisor for every pair              */
	/* A method that is not in the table, in place of `method`: a caller's own, a test's. NULL,
	 * as at first: none. Borrowed; not in any file. */
	const struct sx_pos_method *custom;
} sx_pos_opts;
enum { SX_POS_PARAMS = 18 };           /* fields above but `custom`; params.c has a row for each */
sx_pos_opts sx_pos_opts_default(void); /* rope, theta 1e4, everything else neutral */

/* What the engine consumes, for one layer. Pairs are (m, m + rotary/2), angles position * inv_freq.
 * score = beta / sqrt(D) * q~ . k~ - slope * (i - j), where the first `rotary` channels of q~ and k~
 * are rotated and multiplied by attention_factor and the rest pass unchanged (so logits of rotated
 * channels carry its square, the others nothing). */
typedef struct {
	int rotary;       /* rotated width, even, <= head_dim                            */
	int n_freq;       /* rotary / 2                                                  */
	double *inv_freq; /* (n_freq) rad/token; 0 = this pair is not turned; owned      */
	double *gamma;    /* (n_freq) inv_freq / plain RoPE's at the same theta; owned   */
	double attention_factor;
	double beta;
	int64_t window; /* 0 = all keys */
	double *slopes; /* (n_slopes) per query head, 1/token; NULL = no bias; owned    */
	int n_slopes;   /* query heads of the layer; 0 = no bias                       */
	bool turns;     /* any inv_freq != 0 or attention_factor != 1                  */
} sx_pos_plan;

/* What of a model a method may look at. */
typedef struct {
	int layers, heads, head_dim; /* query heads                                              */
	int64_t train_length;        /* trained context; used where the options' own is 0        */
} sx_pos_shape;
/* One head of one layer, where no model is at hand: tables of frequencies. */
static inline sx_pos_shape sx_pos_head(int head_dim, int64_t train_length)
{
	return (sx_pos_shape){
		.layers = 1, .heads = 1, .head_dim = head_dim, .train_length = train_length};
}

/* How a method lets position enter. What asks "is it RoPE, is it NoPE" asks the kind, not the name. */
typedef enum {
	SX_POS_UNKNOWN, /* a name that is not in the table                               */
	SX_POS_ROPE,    /* plain rotation, every pair at theta's own frequency           */
	SX_POS_NONE,    /* no position enters                                            */
	SX_POS_SCALED   /* rotation whose spectrum is changed                            */
} sx_pos_kind;

typedef struct sx_pos_method {
	const char *name, *display; /* in settings and files; in figures and sentences            */
	sx_pos_kind kind;
	bool uses_length;   /* the plan depends on the length of the input at hand             */
	bool needs_factors; /* short_factor and long_factor have no default                    */
	const char *summary, *source;
	/* Starts from plain RoPE: rotary = the partial width, inv_freq filled, attention_factor 1, the window
	 * and beta of the options. `length` is the length of the input at hand, for methods that
	 * look at it. May make rotary and n_freq smaller, never larger. */
	void (*plan)(const sx_pos_opts *o, sx_pos_shape m, int layer, int64_t length,
		     sx_pos_plan *inout);
} sx_pos_method;
extern const sx_pos_method sx_pos_spectra[];  /* of spectra.c; ends with a NULL name */
const sx_pos_method *sx_pos_method_at(int n); /* of all tables, in order; NULL at the end */
enum { SX_POS_NAMES = 512 };
void sx_pos_method_names(char out[SX_POS_NAMES]);   /* "rope, nope, ..", for messages */
const sx_pos_method *sx_pos_find(const char *name); /* NULL if unknown */
sx_pos_kind sx_pos_kind_of(const char *name);       /* SX_POS_UNKNOWN if unknown or NULL */
const char *sx_pos_display(const char *name);       /* the name itself if unknown */

/* Fills plan for one layer. SX_ECONFIG on an unknown method or a value out of range. */
sx_status sx_pos_plan_make(sx_pos_plan *plan, sx_ctx *ctx, const sx_pos_opts *o, sx_pos_shape m,
			   int layer, int64_t length) SX_NODISCARD;
void sx_pos_plan_free(sx_pos_plan *plan);
/* Those of all layers; *plans is the caller's to free with sx_pos_plans_free. */
sx_status sx_pos_plans_make(sx_pos_plan **plans, sx_ctx *ctx, const sx_pos_opts *o, sx_pos_shape m,
			    int64_t length) SX_NODISCARD;
void sx_pos_plans_free(sx_pos_plan *plans, int L);

/* The one comparison: the same scores from the same q and k, to the last bit. */
bool sx_pos_plan_same(const sx_pos_plan *a, const sx_pos_plan *b);
/* The part of it that tables of cos and sin depend on. */
bool sx_pos_rotation_same(const sx_pos_plan *a, const sx_pos_plan *b);
/* Whether two settings, each with its model, come to the same plans in all layers for inputs of this
 * length; models of different shapes do not. */
sx_status sx_pos_plans_same(bool *same, sx_ctx *ctx, const sx_pos_opts *a, sx_pos_shape of_a,
			    const sx_pos_opts *b, sx_pos_shape of_b, int64_t length) SX_NODISCARD;
/* Does a plan made with these options depend on the length of the input? */
bool sx_pos_uses_length(const sx_pos_opts *o);

/* Plain RoPE's frequency of pair m, rad/token: theta^(-2m/rotary). */
double sx_pos_plain_freq(double theta, int m, int rotary);
/* What the options ask of this layer after the method has filled its plan: no rotation, no window. */
void sx_pos_of_layer(const sx_pos_opts *o, int layer, sx_pos_plan *inout);
/* Fills inv_freq with it for the plan's rotated width: for methods that make it smaller. */
void sx_pos_spectrum(sx_pos_plan *plan, double theta);
/* What multiplies q~ . k~ : beta / sqrt(D). */
double sx_pos_scale(const sx_pos_plan *plan, int head_dim);
/* Most keys that a row of T tokens sees; (row, key) pairs seen in all. */
int64_t sx_pos_keys(const sx_pos_plan *plan, int64_t T);
int64_t sx_pos_pairs(const sx_pos_plan *plan, int64_t T);
/* What L layers see of T tokens. */
typedef struct {
	int64_t widest; /* the window that holds every layer's; 0 = some layer sees all keys     */
	bool one;       /* all layers see as far                                                */
	double pairs;   /* visible (row, key) pairs, summed over layers                         */
} sx_pos_sight;
sx_pos_sight sx_pos_sight_of(const sx_pos_plan *plans, int L, int64_t T);
/* The same of plans that are made for it. */
sx_status sx_pos_sight_make(sx_pos_sight *out, sx_ctx *ctx, const sx_pos_opts *o, sx_pos_shape m,
			    int64_t T) SX_NODISCARD;

#endif

/* What `sextant bench` and `sextant plan --measure` time: a training step, the bare matrix products
 * in it, its parts, and the arithmetic limit of the machine. Float only. Every function returns the
 * wall-clock seconds of one run. */
#ifndef SX_ENGINE_MODEL_BENCH_H
#define SX_ENGINE_MODEL_BENCH_H

#include "engine/probe.h"
#include "engine/spec.h"

/* A trainer with random weights and one batch of random tokens. The bare products and the parts run
 * on the trainer's own arrays, so they have the shapes, the distinct weights and the places in
 * memory of the step; they leave garbage in the activations, which the next step replaces. */
typedef struct sx_bench sx_bench;

/* batch sequences of spec->T tokens, in `accumulate` equal parts (divides batch). SX_ENOMEM,
 * SX_ECONFIG. */
sx_status sx_bench_new(sx_bench **out, sx_ctx *ctx, const sx_spec *spec, int64_t batch,
		       int64_t accumulate) SX_NODISCARD;
void sx_bench_free(sx_bench *b);

/* All of sx_trainer_step: forward (shown to the probes), backward, clipping, AdamW. */
sx_status sx_bench_step(double *seconds, sx_ctx *ctx, sx_bench *b, const sx_probe *probe,
			int n_probe) SX_NODISCARD;

/* The products one part of the batch cannot do without, nothing between them. Linear: y = x W^T, dx =
 * dy W, dW = dy^T x of every linear layer and of the output matrix. Attention: per head, in causal
 * tiles of query rows as the engine's, QK^T, PV and their four gradients. What the engine computes a
 * second time (the scores and the logits, in backward) is not here. NaN, as of the parts below, for a
 * block that is not Llama's. */
typedef enum {
	SX_PRODUCTS_TILES,    /* linear: the engine's tiles, one thread each                    */
	SX_PRODUCTS_LIBRARY,  /* linear: whole matrices, OpenBLAS with `threads` of its own     */
	SX_PRODUCTS_ATTENTION /* attention                                                      */
} sx_products;
double sx_bench_products(sx_bench *b, sx_products which, int threads);

/* What a step is made of, each part by itself with all its operations of one part of the batch. */
typedef enum {
	SX_BENCH_LINEAR, /* linear layers, residuals and biases; not the output matrix      */
	SX_BENCH_ATTENTION,
	SX_BENCH_ELEMENTWISE, /* embedding, norms, rotation, SwiGLU                              */
	SX_BENCH_LOSS,        /* output matrix, softmax, cross entropy                           */
	SX_BENCH_OPTIMISER,   /* clearing the gradient, its norm, AdamW                          */
	SX_BENCH_PARTS
} sx_bench_part;
const char *sx_bench_part_name(sx_bench_part p);
double sx_bench_part_time(sx_bench *b, sx_bench_part p);

/* Fused multiply-adds in registers on all threads for so many seconds: FLOP/s. *kind, if not NULL:
 * the instructions, e.g. "AVX-512 FMA". */
double sx_bench_peak(double seconds, const char **kind);

#endif

/* What a configuration or a trace costs before it is run: FLOPs, bytes of memory, bytes of files. Pure
 * functions, shared by `sextant plan`, `sextant study` and `sextant bench`.
 *
 * FLOPs. A multiply-add is two. Products alone are counted; norms, softmax, activations and the
 * optimiser are not, nor what the engine computes a second time (scores and logits, in backward).
 * Of one sequence of T tokens, with N_mm = numbers in the matrices that multiply every token (output
 * matrix included, embedding not) and P = visible (query, key) pairs of a layer, T (T + 1) / 2 without window,
 * summed over layers where L P stands:
 *
 *	linear     forward 2 N_mm T; forward and backward (dX, dW) 6 N_mm T
 *	attention  forward 4 L H D P; forward and backward 12 L H D P
 *	observers  A_c with gradients, per head and family: dq~, dk~ 4 D P; dW_Q, dW_K 4 D C T; dh
 *	           4 D C T, with full-width QK-norm 2 (H + Hkv) D C T. Gradients of the loss: as
 *	           one family. Frequencies: 2 D P per head. Prefix spread: 3 C P per layer
 *
 * A training step without window is then 6 N_mm + 6 L H D (T + 1) FLOPs per token. */
#ifndef SX_PROBES_LAB_COST_H
#define SX_PROBES_LAB_COST_H

#include "engine/spec.h"
#include "probes/config/config.h"
#include "probes/observe/measures.h"
#include "probes/observe/sites.h"
#include "probes/runfile/runfile.h"

/* ---- FLOPs ---- */

typedef struct {
	double linear, attention;
} sx_flops;

/* Visible (query, key) pairs of T tokens, summed over layers. */
double sx_cost_pairs(const sx_spec *s, int64_t T);
/* N_mm. */
int64_t sx_cost_matrices(const sx_spec *s);
/* Numbers in the embedding and, where it is another matrix, the output matrix. */
int64_t sx_cost_embeddings(const sx_spec *s);
/* Forward pass of one sequence; without logits the output matrix is not used. */
sx_flops sx_cost_forward(const sx_spec *s, int64_t T, bool logits);
/* Forward and backward of one sequence. */
sx_flops sx_cost_train(const sx_spec *s, int64_t T);
/* What observers of n_c families add to the forward pass of one sequence. */
double sx_cost_observers(const sx_spec *s, int64_t T, const sx_measure_opts *o, int64_t n_c);

/* ---- a training run ---- */

/* FLOPs of one evaluation: windows of the loss and needle problems at all lengths. */
double sx_cost_evaluation(const sx_config *cfg, const sx_spec *s);

/* ---- bytes of memory, float engine ---- */

typedef struct {
	const char *name;
	int64_t bytes;
} sx_memory_line;

/* Observers and what they fill, for S sequences of T tokens, maps aside; at most (a window needs
 * less). */
int64_t sx_cost_probe_bytes(const sx_spec *s, const sx_measure_opts *o, int64_t S, int64_t T,
			    int64_t n_c, int threads);
/* What takes maps into a run file, of passes of S sequences. */
int64_t sx_cost_maps_bytes(const sx_spec *s, const sx_measure_opts *o, int64_t S, int64_t T,
			   bool f32, int threads);
/* A trace: S sequences of T tokens, one at a time, n_c families of A_c. Fills line, returns how many;
 * in double precision at most. */
typedef struct {
	const sx_measure_opts *measure;
	int64_t S, T, n_c;
	bool logits, f64, maps_f32;
	bool toward; /* with later weights */
	int threads;
} sx_trace_cost;
enum { SX_TRACE_MEMORY = 9 };
int sx_cost_trace_memory(sx_memory_line line[SX_TRACE_MEMORY], const sx_spec *s,
			 const sx_trace_cost *t);
/* The largest batch of an evaluation. */
int64_t sx_cost_evaluation_bytes(const sx_config *cfg, const sx_spec *s, int threads);
/* A checkpoint folder: weights and AdamW's two moments; headers not counted. */
int64_t sx_cost_checkpoint_bytes(const sx_spec *s);

/* ---- bytes of a run file, before compression ---- */

/* Lengths of the axes; a dataset with an axis of length 0 is absent. */
typedef struct {
	int64_t sequence, layer, head, offset_bin, offset, c, wrt, freq, map, query, key, vocab,
		context_length, kind, distance, width, rank, block, kv_head, channel, head_channel,
		hidden;
	int64_t window;        /* of the attention, 0 = none: chunks of maps */
	bool maps_f32, losses; /* losses: /eval has nll */
	const sx_sites *sites; /* of /sites: those that are kept. Borrowed. */
} sx_file_axes;
/* Of a trace of S sequences of T tokens with n_c families of A_c and n_map maps; of a run. */
sx_file_axes sx_cost_trace_axes(const sx_spec *s, int64_t S, int64_t T, int64_t n_c, int64_t n_map);
sx_file_axes sx_cost_run_axes(const sx_config *cfg, const sx_spec *s, int64_t n_map);
/* Of /reduce without spans; with top alone the rows' own datasets are counted too. */
sx_file_axes sx_cost_reduce_axes(const sx_reduce *r);
sx_file_axes sx_cost_sites_axes(const sx_sites *k);
/* What a run or a trace stores in a group ("/stats"): *record for each record of its growing axis,
 * *fixed once. Texts count as if they had their greatest length. */
void sx_cost_group(const char *group, const sx_file_axes *a, int64_t *record, int64_t *fixed);

#endif

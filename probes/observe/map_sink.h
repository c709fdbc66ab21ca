/* Attention maps on their way from the tiles into /attn/prob of a run file. Rows are rounded and
 * compressed on the thread whose tiles they come from; what comes out of a layer waits in memory, what is
 * more than 16 MiB in a temporary file beside the run file, and at the layer's end one thread writes it in
 * the order of sequences, heads and rows: the bytes do not depend on the number of threads. Nothing of
 * size (T,T) is held: per thread the rows of one chunk, and where the chunks lie. Knows no precision. */
#ifndef SX_PROBES_OBSERVE_MAP_SINK_H
#define SX_PROBES_OBSERVE_MAP_SINK_H

#include "probes/observe/measures.h"
#include "probes/runfile/runfile.h"

typedef struct sx_map_sink sx_map_sink;

/* What is to be kept, of passes of up to `batch` sequences of T tokens by `threads` threads; run has
 * /attn/prob defined for it (f32: as f32) and is started. ctx and run must outlive the sink, map is
 * copied. SX_ENOMEM, SX_ECREATE. */
typedef struct {
	const sx_map_choice *map; /* (n_map) */
	int64_t n_map, T, window, batch;
	bool f32, stored; /* stored: not compressed, in the same form */
	int threads;
} sx_map_sink_opts;
sx_status sx_map_sink_new(sx_map_sink **out, sx_ctx *ctx, sx_run *run,
			  const sx_map_sink_opts *o) SX_NODISCARD;
void sx_map_sink_free(sx_map_sink *s);
/* Bytes that sx_map_sink_new allocates, the compressors' own tables aside; map is not looked at: as
 * if all heads chosen were of one layer. */
int64_t sx_map_sink_bytes(const sx_map_sink_opts *o);

/* Number of a head's map, -1 where it is not kept. */
int64_t sx_map_sink_find(const sx_map_sink *s, int layer, int head);

/* Probabilities of query rows [row0, row0 + nrow) for keys [key0, key0 + nkey), `ld` apart, 0 where not
 * visible; sequence seq of the pass. Borrowed. */
typedef struct {
	int64_t map, seq, row0, nrow, key0, nkey, ld;
	const float *f32; /* or */
	const double *f64;
	int thread;
} sx_map_rows;
/* From any thread; the rows of one map come in order on one thread. What fails here is told by
 * sx_map_sink_layer. */
void sx_map_sink_rows(sx_map_sink *s, const sx_map_rows *rows);
/* Writes the maps of a layer: sequence b of the pass becomes record sx_run_records(/attn/sample) +
 * seq0 + b. SX_EIO. */
sx_status sx_map_sink_layer(sx_map_sink *s, int layer, int64_t seq0) SX_NODISCARD;

#endif

/* Reducers: exact sums over all of a head's attention, at any length, from the tiles of the pass and
 * in O(T) memory per head (docs/definitions.md). What is wanted is resolved once, before the pass, into
 * an sx_reduce; the observer (reduce.c) fills an sx_reduced, reduce_record.c writes it to /reduce. */
#ifndef SX_PROBES_OBSERVE_REDUCE_H
#define SX_PROBES_OBSERVE_REDUCE_H

#include "probes/observe/choice.h"

enum {
	SX_REDUCE_TOP = 16,     /* most entries kept of a row                           */
	SX_REDUCE_EXACT = 1024, /* offsets below it have a bin each, then octaves       */
	SX_REDUCE_BINS = SX_REDUCE_EXACT + 10,
	SX_REDUCE_BLOCKS = 1024, /* most blocks on a side of a thumbnail                */
	SX_SPAN_NAME = 32
};
int sx_reduce_bin(int64_t offset);   /* offset < 2^20, larger ones go to the last bin */
int64_t sx_reduce_bin_edge(int bin); /* first offset of a bin */

/* In the user's words. Empty texts and NULL: nothing, or all heads, all rows. */
typedef struct {
	const char *what;   /* "all", or offsets, keys, rows, masses, distance with commas */
	const char *heads;  /* "L2-4/H*"                                                 */
	const char *rows;   /* "0-1023,4096-": query positions, from 0                   */
	const char *spans;  /* a file of lines NAME FIRST LAST [SEQUENCE]                */
	int top;            /* entries of a row, 0 = none                                */
	int64_t thumbnails; /* blocks on a side, 0 = none                               */
} sx_reduce_words;

/* What to reduce, and the axes of it. */
typedef struct {
	bool offsets, keys, rows, masses, distance;
	int top;
	int64_t S, L, H, T;
	sx_choice choice; /* of heads and rows                                             */
	int64_t n_bin;
	int64_t n_width; /* widths 1, 2, 4, .. below T; one at least                       */
	int64_t n_span;
	char (*span)[SX_SPAN_NAME];      /* (n_span) names                                 */
	int32_t *span_first, *span_last; /* (S,n_span) -1 where a sequence has none        */
	int64_t block, n_block;          /* positions of a block; 0 = no thumbnails         */
} sx_reduce;

/* For S sequences of T tokens through L layers of H heads. SX_EUSAGE for words that do not say what
 * to do, SX_ENOINPUT and SX_EDATA for the file of spans, SX_ENOMEM. */
sx_status sx_reduce_new(sx_reduce **out, sx_ctx *ctx, const sx_reduce_words *w, int L, int H,
			int64_t S, int64_t T) SX_NODISCARD;
void sx_reduce_free(sx_reduce *r);

enum { SX_REDUCE_PROB, SX_REDUCE_PROB2, SX_REDUCE_SCORE, SX_REDUCE_SCORE2, SX_REDUCE_OFFSETS };

/* Arrays over (sequence, layer, head, ...) on the axes above; NULL where not wanted, NaN and -1 where
 * not chosen or not defined. Sums and means are over the chosen rows. */
typedef struct {
	double *offset[SX_REDUCE_OFFSETS]; /* (.., n_bin) sums                             */
	double *key_mass;                  /* (.., T) sums over rows                       */
	double *row_entropy, *row_max;     /* (.., n_query)                                */
	int32_t *row_max_offset;           /* (.., n_query)                                */
	double *sink_mass, *window_mass;   /* (.., n_width)                                */
	double *distance, *distance2;      /* (..)                                         */
	double *span_mass;                 /* (.., n_span)                                 */
	float *top_prob;                   /* (.., n_query, top)                           */
	int32_t *top_key;                  /* (.., n_query, top)                           */
	double *block_mean, *block_max;    /* (.., n_block, n_block) query block, key block */
} sx_reduced;

sx_status sx_reduced_new(sx_reduced **out, sx_ctx *ctx, const sx_reduce *r) SX_NODISCARD;
void sx_reduced_free(sx_reduced *d);
/* Bytes of an sx_reduced. */
int64_t sx_reduced_bytes(const sx_reduce *r);

#endif

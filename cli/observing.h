/* What a trace observes, as the command line says it: the same words for `trace`, which does it, and
 * `plan`, which says what it costs. */
#ifndef SX_CLI_OBSERVING_H
#define SX_CLI_OBSERVING_H

#include "cli/out.h"
#include "engine/spec.h"
#include "probes/observe/measures.h"
#include "probes/observe/sites.h"

typedef struct {
	const char *observe; /* NULL: stats, rope, ac; else also ac_value */
	const char *maps;    /* heads, NULL: none                         */
	bool maps_f32, maps_typed, maps_stored, logits, grad; /* typed: --maps-type was given */
	sx_reduce_words reduce;
	bool reducing;
	const char *sites; /* NULL: none; heads and rows are those of reduce */
	bool given;        /* any of them */
} sx_observe_words;

enum {
	SX_KEY_OBSERVE = 0x5a01,
	SX_KEY_MAPS,
	SX_KEY_MAPS_TYPE,
	SX_KEY_MAPS_STORED,
	SX_KEY_LOGITS,
	SX_KEY_GRAD,
	SX_KEY_REDUCE,
	SX_KEY_HEADS,
	SX_KEY_ROWS,
	SX_KEY_SPANS,
	SX_KEY_TOP,
	SX_KEY_THUMBNAILS,
	SX_KEY_SITES
};
/* Rows of an argp table; SX_ARGS_REDUCE_SPANS for a verb that knows the text, too. */
/* clang-format off */
#define SX_ARGS_OBSERVE \
	{"observe", SX_KEY_OBSERVE, "LIST", 0, "which of stats, rope, ac, or none (default: stats,rope,ac); ac_value: A_c without gradients and prefix spread, for long texts", 3}, \
	{"maps", SX_KEY_MAPS, "HEADS", 0, "keep the attention maps of these heads, e.g. L2-4/H*", 3}, \
	{"maps-type", SX_KEY_MAPS_TYPE, "f16|f32", 0, "their number format in the file (default: f16)", 3}, \
	{"maps-stored", SX_KEY_MAPS_STORED, NULL, 0, "do not compress them: quicker, several times the space", 3}, \
	{"logits", SX_KEY_LOGITS, NULL, 0, "keep the logits", 3}, \
	{"grad", SX_KEY_GRAD, NULL, 0, "gradients of the loss in every head (/grad): twice the time", 3}
#define SX_ARGS_REDUCE \
	{"reduce", SX_KEY_REDUCE, "LIST", OPTION_ARG_OPTIONAL, "sums over all of a head's attention (/reduce): offsets, keys, rows, masses, distance (default: all)", 4}, \
	{"top", SX_KEY_TOP, "K", 0, "reduce to the K largest weights of every row (K <= 16)", 4}, \
	{"thumbnails", SX_KEY_THUMBNAILS, "N", 0, "reduce the maps to N x N blocks: mean and largest weight", 4}, \
	{"sites", SX_KEY_SITES, "LIST", 0, "keep rows of what passes through a layer (/sites), float32 in either precision: x, h, q, k, q_rot, k_rot, v, z, mlp, or all", 4}, \
	{"heads", SX_KEY_HEADS, "HEADS", 0, "reduce, or keep sites of, these heads and their layers only, e.g. L2-4/H*", 4}, \
	{"rows", SX_KEY_ROWS, "ROWS", 0, "reduce, or keep sites of, these rows only, e.g. 0-1023,4096-", 4}
#define SX_ARGS_REDUCE_SPANS \
	{"spans", SX_KEY_SPANS, "FILE", 0, "reduce to the mass on spans: lines NAME FIRST LAST [SEQUENCE], positions from 0", 4}
/* clang-format on */

/* ARGP_ERR_UNKNOWN where key is none of them. Strings are borrowed. */
error_t sx_observe_parse(sx_observe_words *w, int key, char *arg, struct argp_state *state);

/* What they come to in a model's S sequences of T tokens. The structs that o points to are the
 * caller's: *map free(), *reduce sx_reduce_free(), *sites sx_sites_free(); NULL where nothing is chosen.
 * SX_EUSAGE, SX_ENOMEM, and what sx_reduce_new fails with. */
sx_status sx_observe_choose(sx_measure_opts *o, sx_map_choice **map, sx_reduce **reduce,
			    sx_sites **sites, sx_ctx *ctx, const sx_observe_words *w,
			    const sx_spec *s, int64_t S, int64_t T) SX_NODISCARD;

#endif

/* Token ids to windows: the retrieval language (the embedded data set), evaluation problems and
 * probe sequences. Everything is made from (seed, index) alone, so any window can be made again.
 *
 * The language. A window is filler (bytes of text, or a Markov chain) into which items `# k v` are
 * spliced at random places. Marker, keys and values are symbols of their own among the bytes
 * 128-255: 128 is the marker, 129 .. 128+keys are the keys, 129+keys .. 128+keys+values the values,
 * 255 is BOS. With another tokenizer they are words that the text does not have
 * (sx_corpus.unused): the first is the marker, then come the keys, then the values. A window has `facts` pairs with different keys (values drawn one by one, so two facts
 * may share one); every item draws one of them, so a pair's first occurrence is the fact and every
 * later one a query, spelled identically. Bytes >= 128 of filler text become '?' (words stay). Without the
 * language a window is a run of the corpus's ids. Filler is consecutive ids of the training part or
 * of the held-out part: it may run on from one file into the next, never from one part into the
 * other. */
#ifndef SX_ENGINE_TEXT_LANGUAGE_H
#define SX_ENGINE_TEXT_LANGUAGE_H

#include "engine/base.h"
#include "engine/text/corpus.h"

enum {
	SX_LANGUAGE_MARKER = 128,
	SX_LANGUAGE_KEY0 = 129,
	SX_LANGUAGE_BOS = 255,
	SX_LANGUAGE_SYMBOLS = SX_LANGUAGE_BOS - SX_LANGUAGE_KEY0, /* most keys + values, 126     */
	SX_MARKOV_SYMBOLS = 40,   /* 'A'.. and 'a'..                                       */
	SX_MARKOV_SUCCESSORS = 3, /* equally likely: entropy rate ln 3 = 1.0986 nats       */
	SX_NEEDLE_MAX = 8         /* facts in an evaluation problem                        */
};

typedef enum { SX_FILLER_TEXT, SX_FILLER_MARKOV } sx_filler;
const char *sx_filler_name(sx_filler f); /* "text", "markov" */
bool sx_filler_parse(const char *s, sx_filler *f);

/* clang-format off */
typedef struct {
	bool on;                /* false: plain filler, no items                              */
	int keys, values;       /* size of the two alphabets; together at most 126            */
	int facts_lo, facts_hi; /* facts of a window, uniform, ends included; at most keys    */
	int items_lo, items_hi; /* items per 128 tokens, uniform; both ends times T/128,
	                           rounded down, at other lengths; at most 42                 */
	sx_filler filler;
	bool bos;               /* the BOS symbol at position 0 of every window               */
} sx_language_opts;
/* clang-format on */
sx_language_opts sx_language_opts_default(void); /* 8, 16, [3, 7], [8, 28], text, no BOS */

typedef struct {
	sx_language_opts opts;
	const sx_corpus *corpus; /* borrowed; may be NULL with Markov filler                  */
	bool words;              /* symbols are the corpus's unused words: number 128 the first */
	int vocab, bos;          /* what the model's vocabulary must be; id of BOS            */
	uint8_t successor[SX_MARKOV_SYMBOLS][SX_MARKOV_SUCCESSORS]; /* symbol numbers 0..39   */
} sx_language;

/* Owns nothing: there is no free. The chain's table comes from markov_seed. SX_ECONFIG if the
 * options cannot be, if Markov filler is asked for with another tokenizer than bytes, or if such
 * a tokenizer has too few words that the text does not have, or no BOS for opts.bos; SX_ENOINPUT if text is needed and corpus is NULL. */
sx_status sx_language_init(sx_language *l, sx_ctx *ctx, const sx_language_opts *o,
			   const sx_corpus *corpus, uint64_t markov_seed) SX_NODISCARD;
/* Ids: of value i, 0 <= i < values; of a symbol by its number among bytes (128 the marker, ..). */
int32_t sx_language_value(const sx_language *l, int i);
int32_t sx_language_symbol(const sx_language *l, int number);

/* What a target is, so that loss on text and retrieval can be told apart. */
typedef enum {
	SX_CLASS_FILLER,
	SX_CLASS_MARKER,
	SX_CLASS_KEY,
	SX_CLASS_FACT, /* value at the first occurrence of its pair: cannot be known        */
	SX_CLASS_QUERY /* value at a later occurrence: can be retrieved                     */
} sx_class;

/* One window: T + 1 symbols (BOS first if opts.bos), tokens = the first T, targets = the last T, so
 * targets[t] follows tokens[t]. cls (T), if not NULL, gets the sx_class of every target. `heldout`
 * takes held-out text and other random numbers. index < 2^36, 2 <= T <= 2^20.
 * SX_EDATA if the part of the text is shorter than the filler; SX_ECONFIG on T. */
sx_status sx_language_window(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			     const sx_language *l, int64_t T, uint64_t seed, uint64_t index,
			     bool heldout) SX_NODISCARD;
/* tokens, targets, cls (B,T): row b is window step * B + b. */
sx_status sx_language_batch(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			    const sx_language *l, int64_t B, int64_t T, uint64_t seed,
			    uint64_t step, bool heldout) SX_NODISCARD;

/* ---- probe sequences: always held-out text ---- */

typedef enum {
	SX_PROBE_TEXT,      /* filler alone                                                    */
	SX_PROBE_REPEATED,  /* a random block twice: floor((T - BOS) / 2) symbols drawn one by one
	                       from the held-out text (Markov: uniformly), so no order but the
	                       repetition                                                      */
	SX_PROBE_RETRIEVAL, /* a held-out window with items; SX_ECONFIG if the language is off */
	SX_PROBE_CONSTANT,  /* one such symbol all along, without BOS whatever opts.bos says   */
	SX_PROBE_KINDS
} sx_probe_kind;
const char *sx_probe_kind_name(sx_probe_kind k); /* "text", "repeated", "retrieval", "constant" */

/* As sx_language_window. */
sx_status sx_language_probe(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			    const sx_language *l, sx_probe_kind kind, int64_t T, uint64_t seed,
			    uint64_t index) SX_NODISCARD;

/* The same, and query_row (T), if not NULL: 1 where the target is a value that can be retrieved. */
sx_status sx_language_probe_rows(int32_t *tokens, int32_t *targets, uint8_t *query_row, sx_ctx *ctx,
				 const sx_language *l, sx_probe_kind kind, int64_t T, uint64_t seed,
				 uint64_t index) SX_NODISCARD;

/* ---- evaluation problems ----
 * Held-out filler with facts at random places (all arrangements equally likely), the query last.
 *   single       one fact; ends in `# k`
 *   multi-key    `facts` facts with different keys, one of them asked for: `# k`
 *   multi-query  the same, half of them (at least 2) asked for in random order: `# k1 v1 # k2`
 *   multi-value  one key with `facts` different values, all asked for in the order in which they
 *                stood: `# k v1 # k v2 # k v3 # k`
 * The true answers stand between the questions (spelled as items, as in training), so that a hit,
 * every answer the arg max given the true tokens before it, equals a greedy exact match. */

typedef enum {
	SX_NEEDLE_SINGLE,
	SX_NEEDLE_MULTI_KEY,
	SX_NEEDLE_MULTI_QUERY,
	SX_NEEDLE_MULTI_VALUE,
	SX_NEEDLE_KINDS
} sx_needle_kind;
const char *sx_needle_kind_name(sx_needle_kind k); /* "single", "multi-key", ... */

/* clang-format off */
typedef struct {
	int answers;                  /* 1 .. SX_NEEDLE_MAX                                   */
	int64_t at[SX_NEEDLE_MAX];    /* answer a is predicted after tokens[at[a]]; ascending */
	int32_t value[SX_NEEDLE_MAX]; /* the right symbol there                               */
	int64_t distance;             /* tokens from the last of the farthest asked fact to
	                                 the first of the query: 1 = they touch               */
	int distinct;                 /* different values among the facts                     */
} sx_needle;
/* clang-format on */

/* tokens (T); `facts` 1..SX_NEEDLE_MAX (SX_NEEDLE_SINGLE: 1 whatever is given; usual: 4).
 * SX_ECONFIG if the language is off, has too few keys or values, or T is too short; SX_EDATA if the
 * held-out text is. */
sx_status sx_language_needle(int32_t *tokens, sx_needle *out, sx_ctx *ctx, const sx_language *l,
			     sx_needle_kind kind, int facts, int64_t T, uint64_t seed,
			     uint64_t index) SX_NODISCARD;
/* Probability of a hit by guessing: `blind` among all value symbols, `in_window` among the
 * different values of the window's facts; one independent guess per answer. */
void sx_needle_chance(const sx_language *l, const sx_needle *n, double *blind, double *in_window);

/* What /meta/data_json says: the language, and the corpus under "corpus" (null without one). A new
 * reference; NULL when memory is out. */
struct json_t *sx_language_json(const sx_language *l);

#endif

/* The tokenizer.json of Hugging Face's `tokenizers`: the file as data (hf_read.c fills it in), and
 * what each part does with a text. A text is cut at the added tokens; what lies between them is
 * normalised, cut at the added tokens that match normalised text, cut into words by the stages of
 * the pre-tokenizer, and merged word by word. Private to engine/text. */
#ifndef SX_ENGINE_TEXT_HF_H
#define SX_ENGINE_TEXT_HF_H

#include "engine/text/kind.h"
#include "engine/text/merge.h"
#include "engine/text/vocab.h"

/* ---- patterns (hf_pattern.c) ---- */

typedef struct sx_pattern sx_pattern;

/* A string to be found, or a regular expression as Oniguruma reads it; `where` is its key in the
 * file `name`. SX_EDATA, with the key, on an expression that may match nothing, does not compile,
 * or holds what PCRE2 would understand in another way. */
sx_status sx_pattern_new(sx_pattern **out, sx_ctx *ctx, const char *name, const char *where,
			 const char *text, size_t len, bool is_regex) SX_NODISCARD;
void sx_pattern_free(sx_pattern *p);

/* What finding needs, one for each thread: {.ctx = ctx} at first. */
typedef struct {
	sx_ctx *ctx;
	void *data; /* PCRE2's */
} sx_matcher;
/* The first match in s[from .. len), which is UTF-8: *at and *end, *at = len where there is none.
 * SX_EDATA where the expression gives up (its limit of steps). */
sx_status sx_pattern_find(const sx_pattern *p, sx_matcher *m, const char *s, size_t len,
			  size_t from, size_t *at, size_t *end) SX_NODISCARD;
void sx_matcher_free(sx_matcher *m);

/* ---- a text that grows ---- */

typedef struct {
	char *at;
	size_t used, cap;
} sx_bytes;
bool sx_bytes_add(sx_bytes *b, const char *s, size_t len); /* false: memory is out */

/* Length of the code point at s, 1 where it is none; n bytes are there, n >= 1. */
size_t sx_utf8_length(const char *s, size_t n);
/* The longest part of s that is UTF-8, or, if that is empty, the longest that is not. */
size_t sx_utf8_stretch(const char *s, size_t n, bool *valid);

/* ---- the parts ---- */

typedef enum { SX_NORMAL_NFC, SX_NORMAL_PREPEND, SX_NORMAL_REPLACE } sx_normal_kind;
typedef struct {
	sx_normal_kind kind;
	sx_pattern *pattern; /* REPLACE                                        */
	sx_bytes content;    /* what is put in front, or in the match's place  */
} sx_normalizer;

typedef enum { SX_STAGE_SPLIT, SX_STAGE_METASPACE, SX_STAGE_BYTE_LEVEL } sx_stage_kind;
typedef enum {
	SX_SPLIT_REMOVED,
	SX_SPLIT_ISOLATED,
	SX_SPLIT_PREVIOUS,
	SX_SPLIT_NEXT,
	SX_SPLIT_CONTIGUOUS
} sx_split_behavior;
typedef enum { SX_PREFIX_NEVER, SX_PREFIX_FIRST, SX_PREFIX_ALWAYS } sx_prefix;
typedef struct {
	sx_stage_kind kind;
	sx_pattern *pattern; /* NULL: BYTE_LEVEL or METASPACE that does not split         */
	sx_split_behavior behavior;
	bool invert;
	sx_prefix prefix; /* METASPACE: when `meta` is put in front; BYTE_LEVEL: a space */
	sx_bytes meta;    /* METASPACE: what stands for a space                        */
} sx_stage;

typedef struct {
	sx_bytes content;
	int32_t id;
	bool single_word, lstrip, rstrip, normalized, special;
} sx_added;

typedef struct sx_trie sx_trie;

typedef enum {
	SX_DECODE_BYTE_LEVEL,
	SX_DECODE_METASPACE,
	SX_DECODE_REPLACE,
	SX_DECODE_BYTE_FALLBACK,
	SX_DECODE_FUSE,
	SX_DECODE_STRIP
} sx_decode_kind;
typedef struct {
	sx_decode_kind kind;
	sx_pattern *pattern; /* REPLACE                                            */
	sx_bytes content;    /* REPLACE, STRIP: a character; METASPACE: the mark   */
	int64_t start, stop; /* STRIP: how many at most                            */
	bool drop_first;     /* METASPACE: the first token's marks are no spaces   */
} sx_decode;

/* Byte-pair encoding: vocabulary, merges, and what becomes of unknown characters. */
typedef struct {
	int32_t a, b, id; /* a = -1: empty slot */
	uint32_t rank;
} sx_pair;
typedef struct {
	sx_vocab vocab; /* find knows the model's own strings, not those of added tokens  */
	int32_t n_own;  /* one more than the highest id of the model's own                */
	sx_pair *pairs; /* open addressing                                                */
	size_t pair_mask;
	int32_t low[384];     /* ids of the first code points, -1 = none: all of byte level's   */
	int32_t byte_id[256]; /* of <0x00> .., -1 = none                                       */
	int32_t unk;          /* -1 = none in the vocabulary                                    */
	char *unk_token;      /* NULL = none asked for                                          */
	bool fuse_unk, byte_fallback, ignore_merges;
	bool cut_at_meta; /* no merge joins U+2581 to what stands before it, but U+2581     */
} sx_bpe;

typedef struct {
	sx_bpe bpe;
	sx_normalizer *normals;
	int n_normals;
	sx_stage *stages;
	int n_stages;
	sx_added *added;
	int n_added;
	sx_trie *raw, *normal;   /* of added tokens; NULL = there are none */
	int32_t *before, *after; /* the template: ids around a text        */
	int n_before, n_after;
	sx_decode *decodes;
	int n_decodes;
	bool has_decoder;
	bool *special; /* (bpe.vocab.n) */
} sx_pipeline;

/* Reads a tokenizer.json of `size` bytes (hf_read.c); `name` is for messages and stays the
 * caller's. SX_EDATA, with the key, on all that is not read. */
sx_status sx_pipeline_read(sx_pipeline **out, sx_ctx *ctx, const char *name, const char *data,
			   size_t size) SX_NODISCARD;
void sx_pipeline_free(sx_pipeline *h);
/* A tokenizer of the texts of two files: tokenizer.json, and tokenizer_config.json or NULL
 * (kind_hf.c); `name` is what messages call it. */
sx_status sx_tokenizer_parse(sx_tokenizer **out, sx_ctx *ctx, const char *name, const char *data,
			     size_t size, const char *config, size_t config_size) SX_NODISCARD;

/* ---- encoding ---- */

/* Words already seen: their ids are read again from where they were first written. */
typedef struct {
	uint64_t hash;
	size_t ids;
	uint32_t key, len, n; /* len = 0: empty slot */
} sx_word;

typedef struct {
	const sx_pipeline *h;
	sx_ctx *ctx;
	int32_t *ids;
	size_t n, cap;
	sx_merger merger;
	sx_matcher matcher;
	sx_bytes mapped; /* a word in byte level's letters */
	sx_word *words;
	size_t n_words, word_mask;
	sx_bytes keys;
} sx_encoder;

/* Where a piece of text stands. */
typedef struct {
	bool first; /* at the beginning of the text                                       */
	bool fresh; /* not behind bytes that are no UTF-8: what goes in front of texts does */
} sx_place;

sx_status sx_encoder_put(sx_encoder *e, int32_t id) SX_NODISCARD;
sx_status sx_encoder_memory(sx_encoder *e) SX_NODISCARD; /* "no memory to tokenise" */
void sx_encoder_free(sx_encoder *e);

/* The ids of a piece that no stage is to cut: a word, or a whole text (hf_bpe.c). */
sx_status sx_bpe_encode(sx_encoder *e, const char *s, size_t len, bool byte_level) SX_NODISCARD;
/* Ready for sx_bpe_encode: vocabulary and merges are in. */
void sx_bpe_finish(sx_bpe *b);
/* Makes room for n merges; then one call for each, in their order. The last of equal pairs counts.
 */
sx_status sx_bpe_pairs(sx_bpe *b, sx_ctx *ctx, const char *name, size_t n) SX_NODISCARD;
void sx_bpe_pair(sx_bpe *b, int32_t a, int32_t b_id, int32_t id, uint32_t rank);
void sx_bpe_free(sx_bpe *b);

/* Words of a piece from a stage on (hf_split.c). */
sx_status sx_stages_run(sx_encoder *e, int stage, const char *s, size_t len,
			sx_place at) SX_NODISCARD;
/* Appends the normal form of s to out (hf_normal.c). */
sx_status sx_normals_run(const sx_pipeline *h, sx_matcher *m, sx_bytes *out, const char *s,
			 size_t len, bool fresh) SX_NODISCARD;

/* Added tokens (hf_added.c): makes h->raw and h->normal. */
sx_status sx_added_finish(sx_pipeline *h, sx_ctx *ctx) SX_NODISCARD;
void sx_trie_free(sx_trie *t);
/* Ids of a stretch of text, which is UTF-8. */
sx_status sx_added_run(sx_encoder *e, const char *s, size_t len, sx_place at) SX_NODISCARD;

/* ---- decoding (hf_decode.c) ---- */

sx_status sx_pipeline_decode(char **text, size_t *len, sx_ctx *ctx, const sx_pipeline *h,
			     const int32_t *ids, int64_t n) SX_NODISCARD;
/* The byte that a code point of byte level stands for, -1 if it is none of those. */
int sx_byte_level_byte(uint32_t c);
/* The code point that stands for a byte. */
uint32_t sx_byte_level_letter(unsigned char byte);

#endif

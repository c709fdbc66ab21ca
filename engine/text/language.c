/* Windows of the retrieval language, evaluation problems, probe sequences. */
#include "engine/text/language.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define MAX_T     ((int64_t)1 << 20)
#define MAX_INDEX ((uint64_t)1 << 36)
enum {
	DRAWS_LOG2 = 24,  /* random numbers set aside for one window: far above MAX_T * 4  */
	PROBE_LOG2 = 60,  /* probe kinds use indices that windows cannot reach             */
	PER_TOKENS = 128, /* opts.items_* are per that many                                */
	MAX_ITEMS = PER_TOKENS / 3
};

static const char *const filler_names[] = {"text", "markov"};
static const char *const probe_names[] = {"text", "repeated", "retrieval", "constant"};
static const char *const needle_names[] = {"single", "multi-key", "multi-query", "multi-value"};

const char *sx_filler_name(sx_filler f)
{
	return filler_names[f];
}

bool sx_filler_parse(const char *s, sx_filler *f)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(s, filler_names[i]) != 0) continue;
		*f = (sx_filler)i;
		return true;
	}
	return false;
}

const char *sx_probe_kind_name(sx_probe_kind k)
{
	return probe_names[k];
}

const char *sx_needle_kind_name(sx_needle_kind k)
{
	return needle_names[k];
}

sx_language_opts sx_language_opts_default(void)
{
	return (sx_language_opts){.on = true,
				  .keys = 8,
				  .values = 16,
				  .facts_lo = 3,
				  .facts_hi = 7,
				  .items_lo = 8,
				  .items_hi = 28,
				  .filler = SX_FILLER_TEXT,
				  .bos = false};
}

/* Symbols by number, as bytes have them: 128 the marker, from 129 on the keys, then the values. */
static int value0(const sx_language *l)
{
	return SX_LANGUAGE_KEY0 + l->opts.keys;
}

int32_t sx_language_symbol(const sx_language *l, int number)
{
	return l->words ? l->corpus->unused[number - SX_LANGUAGE_MARKER] : number;
}

int32_t sx_language_value(const sx_language *l, int i)
{
	return sx_language_symbol(l, value0(l) + i);
}

static sx_status check_opts(sx_ctx *ctx, const sx_language_opts *o)
{
	if (!o->on) return SX_OK;
	if (o->keys < 1 || o->values < 1 || o->keys > SX_LANGUAGE_SYMBOLS ||
	    o->values > SX_LANGUAGE_SYMBOLS - o->keys)
		return sx_fail(
			ctx, SX_ECONFIG,
			"data.retrieval: keys (%d) and values (%d) must be at least 1 each and "
			"%d together, the symbols 129..254",
			o->keys, o->values, SX_LANGUAGE_SYMBOLS);
	if (o->facts_lo < 1 || o->facts_hi < o->facts_lo || o->facts_hi > o->keys)
		return sx_fail(
			ctx, SX_ECONFIG,
			"data.retrieval: facts [%d, %d] must be a range from 1 to the number "
			"of keys, %d: a window's keys are all different",
			o->facts_lo, o->facts_hi, o->keys);
	if (o->items_lo < 0 || o->items_hi < o->items_lo || o->items_hi > MAX_ITEMS)
		return sx_fail(
			ctx, SX_ECONFIG,
			"data.retrieval: items [%d, %d] must be a range from 0 to %d: an item "
			"takes 3 of %d tokens",
			o->items_lo, o->items_hi, MAX_ITEMS, PER_TOKENS);
	return SX_OK;
}

/* Where the tokenizer is not bytes, symbols are words that the text does not have. */
static sx_status check_words(sx_ctx *ctx, const sx_language_opts *o, const sx_corpus *corpus)
{
	int need = 1 + o->keys + o->values;
	if (o->filler == SX_FILLER_MARKOV)
		return sx_fail(ctx, SX_ECONFIG, "Markov filler is made of bytes: give no corpus");
	if (o->bos && corpus->bos < 0)
		return sx_fail(ctx, SX_ECONFIG,
			       "data.bos: the tokenizer %s has no BOS token: set data.bos=false",
			       corpus->tokenizer);
	if (o->on && corpus->n_unused < need)
		return sx_fail(ctx, SX_ECONFIG,
			       "data.retrieval: a marker, %d keys and %d values take %d words of "
			       "the tokenizer %s that the text does not have, and there are %d: "
			       "set data.retrieval.keys and .values lower, or keys=0, or "
			       "data.tokenizer=bytes",
			       o->keys, o->values, need, corpus->tokenizer, corpus->n_unused);
	return SX_OK;
}

/* Each symbol gets three different successors, drawn without replacement. */
static void make_chain(sx_language *l, uint64_t seed)
{
	for (int s = 0; s < SX_MARKOV_SYMBOLS; s++) {
		sx_rng r = {seed, (uint64_t)s << DRAWS_LOG2, SX_STREAM_MARKOV};
		uint8_t deck[SX_MARKOV_SYMBOLS];
		for (int i = 0; i < SX_MARKOV_SYMBOLS; i++) deck[i] = (uint8_t)i;
		for (uint64_t i = 0; i < SX_MARKOV_SUCCESSORS; i++) {
			uint64_t j = i + sx_rng_below(&r, SX_MARKOV_SYMBOLS - i);
			l->successor[s][i] = deck[j];
			deck[j] = deck[i];
		}
	}
}

sx_status sx_language_init(sx_language *l, sx_ctx *ctx, const sx_language_opts *o,
			   const sx_corpus *corpus, uint64_t markov_seed)
{
	sx_status st = check_opts(ctx, o);
	if (st != SX_OK) return st;
	bool markov = o->filler == SX_FILLER_MARKOV;
	bool bytes = !corpus || strcmp(corpus->tokenizer, "bytes") == 0;
	if (!corpus && !markov)
		return sx_fail(ctx, SX_ENOINPUT,
			       "text filler needs a corpus: name text in data.text, or set "
			       "data.filler=markov");
	if (!bytes) st = check_words(ctx, o, corpus);
	if (st != SX_OK) return st;
	*l = (sx_language){.opts = *o,
			   .corpus = corpus,
			   .vocab = corpus ? corpus->vocab : 256,
			   .bos = corpus ? corpus->bos : SX_LANGUAGE_BOS};
	l->words = !bytes && o->on;
	make_chain(l, markov_seed);
	return SX_OK;
}

/* ---- where symbols go ---- */

/* The symbols of a window, one after the other, into tokens and the targets before them. */
typedef struct {
	int32_t *tokens, *targets; /* targets and cls may be NULL */
	uint8_t *cls;
	int64_t T, p;
} sink;

static void put(sink *s, int symbol, sx_class c)
{
	if (s->p < s->T) s->tokens[s->p] = symbol;
	if (s->p > 0) {
		if (s->targets) s->targets[s->p - 1] = symbol;
		if (s->cls) s->cls[s->p - 1] = (uint8_t)c;
	}
	s->p++;
}

static void put_item(sink *s, const sx_language *l, int key, int value, sx_class c)
{
	put(s, sx_language_symbol(l, SX_LANGUAGE_MARKER), SX_CLASS_MARKER);
	put(s, sx_language_symbol(l, key), SX_CLASS_KEY);
	put(s, sx_language_symbol(l, value), c);
}

/* ---- filler ---- */

typedef struct {
	const sx_language *l;
	const int32_t *ids; /* next of the text */
	int state;          /* of the chain     */
} filler;

static const int32_t *part_of(const sx_language *l, bool heldout, int64_t *n)
{
	*n = heldout ? l->corpus->n_heldout : l->corpus->n_train;
	return heldout ? l->corpus->heldout : l->corpus->train;
}

static sx_status too_short(sx_ctx *ctx, int64_t n, int64_t need, bool heldout)
{
	return sx_fail(ctx, SX_EDATA,
		       "the %s part of the text has %" PRId64 " tokens and a window needs %" PRId64
		       ": give more text in data.text, or shorter windows",
		       heldout ? "held-out" : "training", n, need);
}

/* Draws where n symbols of filler begin. */
static sx_status filler_begin(filler *f, sx_ctx *ctx, const sx_language *l, sx_rng *r, int64_t n,
			      bool heldout)
{
	*f = (filler){.l = l};
	if (l->opts.filler == SX_FILLER_MARKOV) {
		f->state = (int)sx_rng_below(r, SX_MARKOV_SYMBOLS);
		return SX_OK;
	}
	int64_t have;
	const int32_t *ids = part_of(l, heldout, &have);
	if (have < n || have == 0) return too_short(ctx, have, n, heldout);
	f->ids = ids + sx_rng_below(r, (uint64_t)(have - n) + 1);
	return SX_OK;
}

static int markov_symbol(int state)
{
	return state < 26 ? 'A' + state : 'a' + state - 26;
}

static int text_symbol(const sx_language *l, int32_t id)
{
	return l->opts.on && !l->words && id >= 128 ? '?' : id;
}

static int filler_next(filler *f, sx_rng *r)
{
	if (f->ids) return text_symbol(f->l, *f->ids++);
	int now = f->state;
	f->state = f->l->successor[now][sx_rng_below(r, SX_MARKOV_SUCCESSORS)];
	return markov_symbol(now);
}

/* ---- facts ---- */

typedef struct {
	int key[SX_LANGUAGE_SYMBOLS], value[SX_LANGUAGE_SYMBOLS];
	bool told[SX_LANGUAGE_SYMBOLS]; /* has it occurred */
	int n;
} facts;

/* n of `size` symbols from `first` on, all different, in random order. */
static void draw_different(int *out, int n, int first, int size, sx_rng *r)
{
	int deck[SX_LANGUAGE_SYMBOLS];
	for (int i = 0; i < size; i++) deck[i] = first + i;
	for (int i = 0; i < n; i++) {
		int j = i + (int)sx_rng_below(r, (uint64_t)(size - i));
		out[i] = deck[j];
		deck[j] = deck[i];
	}
}

static void draw_facts(facts *f, const sx_language *l, int n, sx_rng *r)
{
	memset(f, 0, sizeof *f);
	f->n = n;
	draw_different(f->key, n, SX_LANGUAGE_KEY0, l->opts.keys, r);
	for (int i = 0; i < n; i++)
		f->value[i] = value0(l) + (int)sx_rng_below(r, (uint64_t)l->opts.values);
}

static int64_t between(sx_rng *r, int64_t lo, int64_t hi)
{
	return lo + (int64_t)sx_rng_below(r, (uint64_t)(hi - lo) + 1);
}

/* ---- windows ---- */

static sx_rng window_rng(uint64_t seed, uint32_t stream, uint64_t index)
{
	return (sx_rng){.seed = seed, .index = index << DRAWS_LOG2, .stream = stream};
}

static sx_status check_window(sx_ctx *ctx, int64_t T, uint64_t index)
{
	if (T < 2 || T > MAX_T)
		return sx_fail(ctx, SX_ECONFIG,
			       "a window of %" PRId64 " tokens cannot be made: 2 to %" PRId64, T,
			       MAX_T);
	if (index >= MAX_INDEX)
		return sx_fail(ctx, SX_ECONFIG, "there is no window number %" PRIu64, index);
	return SX_OK;
}

static sx_status make_window(sink *s, sx_ctx *ctx, const sx_language *l, sx_rng *r, bool items_on,
			     bool heldout)
{
	facts f;
	filler fill;
	int64_t items = 0, total = s->T + 1 - l->opts.bos;
	if (items_on) {
		draw_facts(&f, l, (int)between(r, l->opts.facts_lo, l->opts.facts_hi), r);
		items = between(r, l->opts.items_lo * s->T / PER_TOKENS,
				l->opts.items_hi * s->T / PER_TOKENS);
	}
	sx_status st = filler_begin(&fill, ctx, l, r, total - 3 * items, heldout);
	if (st != SX_OK) return st;
	if (l->opts.bos) put(s, l->bos, SX_CLASS_FILLER);
	/* Selection sampling (Knuth, TAOCP 2, algorithm S): the next slot is an item with
	 * probability items left / slots left, which makes all arrangements equally likely. */
	for (int64_t slots = total - 2 * items; slots > 0; slots--) {
		if (items == 0 || (int64_t)sx_rng_below(r, (uint64_t)slots) >= items) {
			put(s, filler_next(&fill, r), SX_CLASS_FILLER);
			continue;
		}
		int i = (int)sx_rng_below(r, (uint64_t)f.n);
		put_item(s, l, f.key[i], f.value[i], f.told[i] ? SX_CLASS_QUERY : SX_CLASS_FACT);
		f.told[i] = true;
		items--;
	}
	return SX_OK;
}

sx_status sx_language_window(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			     const sx_language *l, int64_t T, uint64_t seed, uint64_t index,
			     bool heldout)
{
	sx_status st = check_window(ctx, T, index);
	if (st != SX_OK) return st;
	sink s = {.tokens = tokens, .targets = targets, .cls = cls, .T = T};
	sx_rng r = window_rng(seed, heldout ? SX_STREAM_HELDOUT : SX_STREAM_DATA, index);
	return make_window(&s, ctx, l, &r, l->opts.on, heldout);
}

sx_status sx_language_batch(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			    const sx_language *l, int64_t B, int64_t T, uint64_t seed,
			    uint64_t step, bool heldout)
{
	for (int64_t b = 0; b < B; b++) {
		int64_t at = b * T;
		sx_status st = sx_language_window(tokens + at, targets ? targets + at : NULL,
						  cls ? cls + at : NULL, ctx, l, T, seed,
						  step * (uint64_t)B + (uint64_t)b, heldout);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* ---- probe sequences ---- */

/* A symbol of its own for every (rng, number): as frequent as in the held-out text. */
static int draw_symbol(const sx_language *l, sx_rng r, int64_t number)
{
	r.index += (uint64_t)number;
	if (l->opts.filler == SX_FILLER_MARKOV)
		return markov_symbol((int)sx_rng_below(&r, SX_MARKOV_SYMBOLS));
	int64_t n;
	const int32_t *ids = part_of(l, true, &n);
	return text_symbol(l, ids[sx_rng_below(&r, (uint64_t)n)]);
}

static sx_status make_periodic(sink *s, sx_ctx *ctx, const sx_language *l, sx_rng r, bool bos,
			       int64_t period)
{
	if (l->opts.filler == SX_FILLER_TEXT && l->corpus->n_heldout == 0)
		return too_short(ctx, 0, 1, true);
	if (bos) put(s, l->bos, SX_CLASS_FILLER);
	for (int64_t i = 0; s->p <= s->T; i++)
		put(s, draw_symbol(l, r, i % period), SX_CLASS_FILLER);
	return SX_OK;
}

sx_status sx_language_probe(int32_t *tokens, int32_t *targets, uint8_t *cls, sx_ctx *ctx,
			    const sx_language *l, sx_probe_kind kind, int64_t T, uint64_t seed,
			    uint64_t index)
{
	sx_status st = check_window(ctx, T, index);
	if (st != SX_OK) return st;
	sink s = {.tokens = tokens, .targets = targets, .cls = cls, .T = T};
	sx_rng r = window_rng(seed, SX_STREAM_HELDOUT, index);
	r.index += ((uint64_t)kind + 1) << PROBE_LOG2;
	bool bos = l->opts.bos;
	int64_t half = (T - bos) / 2;
	switch (kind) {
	case SX_PROBE_REPEATED:
		return make_periodic(&s, ctx, l, r, bos, half > 0 ? half : 1);
	case SX_PROBE_CONSTANT:
		return make_periodic(&s, ctx, l, r, false, 1);
	case SX_PROBE_RETRIEVAL:
		if (!l->opts.on)
			return sx_fail(ctx, SX_ECONFIG,
				       "retrieval probes need the retrieval language: set "
				       "probe.sequences.retrieval=0 or switch data.retrieval on");
		return make_window(&s, ctx, l, &r, true, true);
	default:
		return make_window(&s, ctx, l, &r, false, true);
	}
}

sx_status sx_language_probe_rows(int32_t *tokens, int32_t *targets, uint8_t *query_row, sx_ctx *ctx,
				 const sx_language *l, sx_probe_kind kind, int64_t T, uint64_t seed,
				 uint64_t index)
{
	sx_status st = sx_language_probe(tokens, targets, query_row, ctx, l, kind, T, seed, index);
	for (int64_t t = 0; st == SX_OK && query_row && t < T; t++)
		query_row[t] = query_row[t] == SX_CLASS_QUERY;
	return st;
}

/* ---- evaluation problems ---- */

/* What is asked, in order: asked[a] is the number of a fact. */
typedef struct {
	facts f;
	int asked[SX_NEEDLE_MAX], n;
	int64_t end[SX_NEEDLE_MAX]; /* position of each fact's value */
} problem;

static sx_status check_needle(sx_ctx *ctx, const sx_language *l, sx_needle_kind kind, int n)
{
	if (!l->opts.on)
		return sx_fail(
			ctx, SX_ECONFIG,
			"needles are made of the retrieval language, which is switched off in "
			"data.retrieval");
	int least = kind == SX_NEEDLE_MULTI_QUERY ? 2 : 1;
	if (n < least || n > SX_NEEDLE_MAX)
		return sx_fail(ctx, SX_ECONFIG, "a %s needle has %d to %d facts, not %d",
			       needle_names[kind], least, SX_NEEDLE_MAX, n);
	int have = kind == SX_NEEDLE_MULTI_VALUE ? l->opts.values : l->opts.keys;
	if (n > have)
		return sx_fail(ctx, SX_ECONFIG,
			       "%d facts of a %s needle need as many %s and data.retrieval has %d",
			       n, needle_names[kind],
			       kind == SX_NEEDLE_MULTI_VALUE ? "values" : "keys", have);
	return SX_OK;
}

static void draw_problem(problem *q, const sx_language *l, sx_needle_kind kind, int n, sx_rng *r)
{
	draw_facts(&q->f, l, n, r);
	q->n = kind == SX_NEEDLE_MULTI_VALUE   ? n
	       : kind == SX_NEEDLE_MULTI_QUERY ? (n / 2 > 2 ? n / 2 : 2)
					       : 1;
	draw_different(q->asked, q->n, 0, n, r);
	if (kind != SX_NEEDLE_MULTI_VALUE) return;
	draw_different(q->f.value, n, value0(l), l->opts.values, r);
	for (int i = 0; i < n; i++) {
		q->f.key[i] = q->f.key[0];
		q->asked[i] = i;
	}
}

/* Facts are spliced in in their order, whose keys and values are random already. */
static void put_haystack(sink *s, problem *q, filler *fill, int64_t n_filler, sx_rng *r)
{
	int told = 0;
	for (int64_t slots = n_filler + q->f.n; slots > 0; slots--) {
		int left = q->f.n - told;
		if (left == 0 || (int64_t)sx_rng_below(r, (uint64_t)slots) >= left) {
			put(s, filler_next(fill, r), SX_CLASS_FILLER);
			continue;
		}
		put_item(s, fill->l, q->f.key[told], q->f.value[told], SX_CLASS_FACT);
		q->end[told++] = s->p - 1;
	}
}

static int count_distinct(const facts *f)
{
	int n = 0;
	for (int i = 0; i < f->n; i++) {
		bool first = true;
		for (int j = 0; j < i; j++) first = first && f->value[j] != f->value[i];
		n += first;
	}
	return n;
}

sx_status sx_language_needle(int32_t *tokens, sx_needle *out, sx_ctx *ctx, const sx_language *l,
			     sx_needle_kind kind, int n_facts, int64_t T, uint64_t seed,
			     uint64_t index)
{
	sx_status st = SX_OK;
	problem q;
	filler fill;
	if (kind == SX_NEEDLE_SINGLE) n_facts = 1;
	SX_TRY(check_window(ctx, T, index));
	SX_TRY(check_needle(ctx, l, kind, n_facts));
	sx_rng r = window_rng(seed, SX_STREAM_NEEDLE, index);
	draw_problem(&q, l, kind, n_facts, &r);
	int64_t n_filler = T - l->opts.bos - 3 * n_facts - (3 * q.n - 1);
	if (n_filler < 0) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "%" PRId64 " tokens are too few for a %s needle with %d facts", T,
			     needle_names[kind], n_facts);
		goto out;
	}
	SX_TRY(filler_begin(&fill, ctx, l, &r, n_filler, true));

	sink s = {.tokens = tokens, .T = T};
	if (l->opts.bos) put(&s, l->bos, SX_CLASS_FILLER);
	put_haystack(&s, &q, &fill, n_filler, &r);
	sx_needle p = {.answers = q.n, .distinct = count_distinct(&q.f)};
	int64_t query = s.p;
	for (int a = 0; a < q.n; a++) {
		int i = q.asked[a];
		p.at[a] = s.p + 1;
		p.value[a] = sx_language_symbol(l, q.f.value[i]);
		if (query - q.end[i] > p.distance) p.distance = query - q.end[i];
		put_item(&s, l, q.f.key[i], q.f.value[i], SX_CLASS_QUERY);
	}
	*out = p;
out:
	return st;
}

void sx_needle_chance(const sx_language *l, const sx_needle *n, double *blind, double *in_window)
{
	*blind = pow(l->opts.values, -n->answers);
	*in_window = pow(n->distinct, -n->answers);
}

/* ---- for the run file ---- */

/* Symbols of bytes follow one another; words are listed. */
static json_t *symbols_json(const sx_language *l)
{
	const sx_language_opts *o = &l->opts;
	json_t *j =
		json_pack("{s:i, s:i, s:[ii], s:[ii], s:i}", "keys", o->keys, "values", o->values,
			  "facts", o->facts_lo, o->facts_hi, "items_per_128", o->items_lo,
			  o->items_hi, "marker", (int)sx_language_symbol(l, SX_LANGUAGE_MARKER));
	if (!l->words) {
		json_object_set_new(j, "first_key", json_integer(SX_LANGUAGE_KEY0));
		json_object_set_new(j, "first_value", json_integer(value0(l)));
		return j;
	}
	json_t *keys = json_array(), *values = json_array();
	for (int i = 0; i < o->keys; i++)
		json_array_append_new(keys,
				      json_integer(sx_language_symbol(l, SX_LANGUAGE_KEY0 + i)));
	for (int i = 0; i < o->values; i++)
		json_array_append_new(values, json_integer(sx_language_value(l, i)));
	json_object_set_new(j, "key_ids", keys);
	json_object_set_new(j, "value_ids", values);
	return j;
}

json_t *sx_language_json(const sx_language *l)
{
	const sx_language_opts *o = &l->opts;
	json_t *corpus = l->corpus ? sx_corpus_json(l->corpus) : json_null();
	json_t *retrieval = o->on ? symbols_json(l) : json_null();
	return json_pack("{s:s, s:b, s:i, s:i, s:o, s:o}", "filler", sx_filler_name(o->filler),
			 "bos", (int)o->bos, "bos_id", l->bos, "vocab", l->vocab, "retrieval",
			 retrieval, "corpus", corpus);
}

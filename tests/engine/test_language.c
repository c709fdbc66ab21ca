/* The retrieval language: every window is read back by a slow reader that knows only the grammar,
 * and counted. Bounds on counts are five standard errors of the stated law. */
#include "engine/text/language.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TRAIN = 9000, N_HELDOUT = 1000 };

static char bytes_name[] = "bytes";
static int32_t train_ids[N_TRAIN], heldout_ids[N_HELDOUT];

/* Every id tells its place: training text is a-j (and one byte above 127), held-out text k-t. */
static sx_corpus make_corpus(void)
{
	for (int i = 0; i < N_TRAIN; i++) train_ids[i] = i % 97 == 0 ? 0xE9 : 'a' + i * i % 10;
	for (int i = 0; i < N_HELDOUT; i++) heldout_ids[i] = 'k' + i * i % 10;
	return (sx_corpus){.train = train_ids,
			   .n_train = N_TRAIN,
			   .heldout = heldout_ids,
			   .n_heldout = N_HELDOUT,
			   .tokenizer = bytes_name,
			   .vocab = 256,
			   .bos = 255};
}

static sx_language make(const sx_language_opts *o, const sx_corpus *c)
{
	sx_ctx ctx;
	sx_language l;
	sx_ctx_init(&ctx);
	if (sx_language_init(&l, &ctx, o, c, 5) != SX_OK) fail_msg("%s", ctx.message);
	return l;
}

static bool is_key(const sx_language *l, int s)
{
	return s > 128 && s <= 128 + l->opts.keys;
}

static bool is_value(const sx_language *l, int s)
{
	return s > 128 + l->opts.keys && s <= 128 + l->opts.keys + l->opts.values;
}

static bool is_filler(const sx_language *l, int s, bool heldout)
{
	if (l->opts.filler == SX_FILLER_MARKOV)
		return (s >= 'A' && s <= 'Z') || (s >= 'a' && s < 'o');
	return heldout ? s >= 'k' && s <= 't' : (s >= 'a' && s <= 'j') || s == '?';
}

/* ---- reading a window back ---- */

typedef struct {
	int items, facts, queries;
	int per_fact[256]; /* items by key */
} seen;

/* Reads T + 1 symbols by the grammar alone; checks the class of every target against it. */
static seen read_window(const sx_language *l, const int32_t *sym, const uint8_t *cls, int64_t T,
			bool heldout)
{
	seen w = {0};
	int value_of[256] = {0};
	int64_t p = 0;
	if (l->opts.bos) assert_int_equal(sym[p++], 255);
	while (p <= T) {
		if (sym[p] != 128) {
			assert_true(is_filler(l, sym[p], heldout));
			if (p > 0) assert_int_equal(cls[p - 1], SX_CLASS_FILLER);
			p++;
			continue;
		}
		assert_true(p + 2 <= T); /* items are whole */
		int k = sym[p + 1], v = sym[p + 2];
		assert_true(is_key(l, k) && is_value(l, v));
		bool known = value_of[k] != 0;
		if (known) assert_int_equal(v, value_of[k]);
		value_of[k] = v;
		if (p > 0) assert_int_equal(cls[p - 1], SX_CLASS_MARKER);
		assert_int_equal(cls[p], SX_CLASS_KEY);
		assert_int_equal(cls[p + 1], known ? SX_CLASS_QUERY : SX_CLASS_FACT);
		w.items++;
		w.facts += !known;
		w.queries += known;
		w.per_fact[k]++;
		p += 3;
	}
	return w;
}

static seen window(const sx_language *l, int64_t T, uint64_t seed, uint64_t index, bool heldout)
{
	static int32_t tokens[2048], targets[2048], sym[2049];
	static uint8_t cls[2048];
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	memset(tokens, 0xFF, sizeof tokens);
	if (sx_language_window(tokens, targets, cls, &ctx, l, T, seed, index, heldout) != SX_OK)
		fail_msg("%s", ctx.message);
	for (int64_t t = 0; t + 1 < T; t++) assert_int_equal(tokens[t + 1], targets[t]);
	assert_int_equal(tokens[T], -1); /* nothing beyond the end */
	memcpy(sym, tokens, (size_t)T * sizeof *sym);
	sym[T] = targets[T - 1];
	return read_window(l, sym, cls, T, heldout);
}

static void windows_obey_the_grammar(void **state)
{
	(void)state;
	sx_corpus c = make_corpus();
	for (int variant = 0; variant < 8; variant++) {
		sx_language_opts o = sx_language_opts_default();
		o.bos = variant & 1;
		o.filler = variant & 2 ? SX_FILLER_MARKOV : SX_FILLER_TEXT;
		bool heldout = variant & 4;
		sx_language l = make(&o, o.filler == SX_FILLER_MARKOV ? NULL : &c);
		int lo = 99, hi = 0, most = 0;
		for (uint64_t i = 0; i < 300; i++) {
			seen w = window(&l, 128, 1, i, heldout);
			assert_in_range(w.items, 8, 28);
			assert_in_range(w.facts, 1, 7);
			lo = w.items < lo ? w.items : lo;
			hi = w.items > hi ? w.items : hi;
			most = w.facts > most ? w.facts : most;
			w = window(&l, 512, 1, i, heldout);
			assert_in_range(w.items, 32, 112);
			window(&l, 2, 1, i, heldout);
			w = window(&l, 17, 1, i, heldout);
			assert_in_range(w.items, 1, 3);
		}
		assert_int_equal(lo, 8);
		assert_int_equal(hi, 28);
		assert_int_equal(most, 7);
	}
}

static void densest_windows_fit(void **state)
{
	(void)state;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	o.items_lo = o.items_hi = 42;
	o.keys = o.facts_lo = o.facts_hi = 125;
	o.values = 1;
	o.bos = true;
	sx_language l = make(&o, &c);
	for (int64_t T = 2; T < 300; T++) {
		seen w = window(&l, T, 1, (uint64_t)T, false);
		assert_int_equal(w.items, 42 * T / 128);
	}
}

static void windows_come_from_seed_and_index_alone(void **state)
{
	(void)state;
	enum { B = 3, T = 64 };
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	sx_language l = make(&o, &c), again = make(&o, &c);
	int32_t tok[B][T], tgt[B][T], a[T], b[T], x[T];
	uint8_t cls[B][T], k[T];
	sx_ctx_init(&ctx);
	assert_int_equal(sx_language_batch(tok[0], tgt[0], cls[0], &ctx, &l, B, T, 9, 1000, false),
			 SX_OK);
	for (int i = B - 1; i >= 0; i--) { /* in another order, without the batch */
		uint64_t index = 3000 + (uint64_t)i;
		assert_int_equal(sx_language_window(a, b, k, &ctx, &again, T, 9, index, false),
				 SX_OK);
		assert_memory_equal(a, tok[i], sizeof a);
		assert_memory_equal(b, tgt[i], sizeof b);
		assert_memory_equal(k, cls[i], sizeof k);
		assert_int_equal(sx_language_window(x, b, NULL, &ctx, &l, T, 10, index, false),
				 SX_OK);
		assert_memory_not_equal(x, a, sizeof a);
		assert_int_equal(sx_language_window(x, b, NULL, &ctx, &l, T, 9, index + 1, false),
				 SX_OK);
		assert_memory_not_equal(x, a, sizeof a);
	}
	/* Held-out windows have random numbers of their own, not only text of their own. */
	o.filler = SX_FILLER_MARKOV;
	l = make(&o, NULL);
	assert_int_equal(sx_language_window(a, b, k, &ctx, &l, T, 9, 5, false), SX_OK);
	assert_int_equal(sx_language_window(x, b, k, &ctx, &l, T, 9, 5, true), SX_OK);
	assert_memory_not_equal(x, a, sizeof a);
}

/* Chi-square of counts against equal chances: k - 1 degrees, five standard deviations. */
static void assert_uniform(const int *count, int k)
{
	double n = 0, chi2 = 0;
	for (int i = 0; i < k; i++) n += count[i];
	for (int i = 0; i < k; i++) chi2 += (count[i] - n / k) * (count[i] - n / k) * k / n;
	if (chi2 > k - 1 + 5 * sqrt(2.0 * (k - 1))) fail_msg("chi2 %g for %d cells", chi2, k);
}

static void draws_are_uniform(void **state)
{
	(void)state;
	enum { WINDOWS = 4000, T = 128 };
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	o.facts_lo = o.facts_hi = 8; /* all keys: every item is uniform on them */
	sx_language l = make(&o, &c);
	int keys[8] = {0}, items[21] = {0}, values[16] = {0}, half[2] = {0};
	sx_ctx_init(&ctx);
	for (uint64_t i = 0; i < WINDOWS; i++) {
		int32_t tok[T], tgt[T];
		uint8_t cls[T];
		int n = 0;
		assert_int_equal(sx_language_window(tok, tgt, cls, &ctx, &l, T, 2, i, false),
				 SX_OK);
		for (int t = 0; t < T; t++) {
			if (cls[t] == SX_CLASS_KEY) keys[tgt[t] - 129]++;
			if (cls[t] == SX_CLASS_FACT) values[tgt[t] - 137]++;
			if (cls[t] < SX_CLASS_FACT) continue;
			n++;
			if (n == 1 && cls[t] != SX_CLASS_FACT) fail_msg("a query before any fact");
			if (t != 64) half[t > 64]++; /* values stand at symbols 2..128 */
		}
		items[n - 8]++;
	}
	assert_uniform(keys, 8);
	assert_uniform(items, 21);
	assert_uniform(values, 16);
	/* An arrangement and its mirror image are equally likely. */
	assert_true(abs(half[0] - half[1]) < 5 * sqrt(half[0] + half[1]));
}

static void filler_is_consecutive_text(void **state)
{
	(void)state;
	enum { T = 100 };
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	int32_t tok[T], tgt[T];
	uint8_t cls[T];
	sx_ctx_init(&ctx);
	for (int i = 0; i < N_TRAIN; i++) train_ids[i] = i % 128; /* so that neighbours are known */
	sx_language l = make(&o, &c);
	for (uint64_t i = 0; i < 200; i++) {
		int last = -1;
		assert_int_equal(sx_language_window(tok, tgt, cls, &ctx, &l, T, 1, i, false),
				 SX_OK);
		for (int t = 0; t < T; t++) {
			if (cls[t] != SX_CLASS_FILLER) continue;
			if (last >= 0) assert_int_equal(tgt[t], (last + 1) % 128);
			last = tgt[t];
		}
	}
	/* Off: plain text, bytes above 127 as they are, every place in reach. */
	for (int i = 0; i < N_TRAIN; i++) train_ids[i] = i;
	o.on = false;
	o.bos = true;
	l = make(&o, &c);
	int first = N_TRAIN, last = 0;
	for (uint64_t i = 0; i < 20000; i++) {
		assert_int_equal(sx_language_window(tok, tgt, cls, &ctx, &l, T, 1, i, false),
				 SX_OK);
		assert_int_equal(tok[0], 255);
		for (int t = 1; t < T; t++) assert_int_equal(tgt[t], tgt[0] + t);
		for (int t = 0; t < T; t++) assert_int_equal(cls[t], SX_CLASS_FILLER);
		first = tgt[0] < first ? tgt[0] : first;
		last = tgt[T - 1] > last ? tgt[T - 1] : last;
	}
	assert_true(first < 10 && last > N_TRAIN - 10); /* missed with chance exp(-20) */
}

/* Three equally likely successors: 2 N (ln 3 - H), H the plug-in conditional entropy of N
 * transitions, is chi-square with 40 * 2 degrees of freedom (Wilks). */
static void markov_entropy_is_ln_3(void **state)
{
	(void)state;
	enum { T = 1024, WINDOWS = 100 };
	sx_ctx ctx;
	sx_language_opts o = sx_language_opts_default();
	o.filler = SX_FILLER_MARKOV;
	sx_language l = make(&o, NULL);
	static int pair[128][128];
	sx_ctx_init(&ctx);
	for (uint64_t i = 0; i < WINDOWS; i++) {
		static int32_t tok[T], tgt[T];
		static uint8_t cls[T];
		int last = -1;
		assert_int_equal(sx_language_window(tok, tgt, cls, &ctx, &l, T, 4, i, i % 2),
				 SX_OK);
		for (int t = 0; t < T; t++) {
			if (cls[t] != SX_CLASS_FILLER) continue;
			if (last >= 0) pair[last][tgt[t]]++;
			last = tgt[t];
		}
	}
	double N = 0, H = 0;
	int states = 0;
	for (int a = 0; a < 128; a++) {
		int row = 0, next = 0;
		for (int b = 0; b < 128; b++) {
			row += pair[a][b];
			next += pair[a][b] > 0;
		}
		if (row < 100) continue; /* follows no symbol: met at the start of windows only */
		states++;
		assert_int_equal(next, 3);
		for (int b = 0; b < 128; b++)
			if (pair[a][b]) H -= pair[a][b] * log((double)pair[a][b] / row);
		N += row;
	}
	assert_in_range(states, 30, 40);
	H /= N;
	double x = 2 * N * (log(3) - H), df = 2.0 * states;
	print_message("Markov filler: H = %.6f nats, ln 3 = %.6f, chi2 = %.1f for %g\n", H, log(3),
		      x, df);
	assert_true(fabs(x - df) < 5 * sqrt(2 * df));

	sx_language other;
	assert_int_equal(sx_language_init(&other, &ctx, &o, NULL, 6), SX_OK);
	assert_memory_not_equal(other.successor, l.successor, sizeof l.successor);
}

/* ---- needles ---- */

/* Reads the facts before the query, then answers the query by looking them up. */
static void check_needle(const sx_language *l, sx_needle_kind kind, int n_facts, const int32_t *tok,
			 int64_t T, const sx_needle *p)
{
	int key[16], value[16], n = 0, asked = 0;
	bool used[16] = {false};
	int64_t end[16], at = l->opts.bos;
	int64_t query = T - 3 * p->answers + 1;
	if (l->opts.bos) assert_int_equal(tok[0], 255);
	for (; at < query; at++) {
		if (tok[at] != 128) {
			assert_true(is_filler(l, tok[at], true));
			continue;
		}
		key[n] = tok[at + 1];
		value[n] = tok[at + 2];
		assert_true(is_key(l, key[n]) && is_value(l, value[n]));
		end[n++] = at += 2;
	}
	assert_int_equal(at, query);
	assert_int_equal(n, n_facts);
	int64_t far = 0;
	for (; at < T; at += 3) {
		assert_int_equal(tok[at], 128);
		assert_int_equal(p->at[asked], at + 1);
		int i = 0; /* the first fact of this key that has not been asked for */
		while (i < n && (key[i] != tok[at + 1] || used[i])) i++;
		assert_true(i < n);
		used[i] = true;
		assert_int_equal(p->value[asked], value[i]);
		if (at + 2 < T) assert_int_equal(tok[at + 2], value[i]);
		far = query - end[i] > far ? query - end[i] : far;
		asked++;
	}
	assert_int_equal(asked, p->answers);
	assert_int_equal(p->distance, far);
	int distinct = 0;
	bool met[256] = {false};
	for (int i = 0; i < n; i++) {
		distinct += !met[value[i]];
		met[value[i]] = true;
		for (int j = 0; j < i; j++) {
			if (kind == SX_NEEDLE_MULTI_VALUE) {
				assert_int_equal(key[i], key[j]);
				assert_int_not_equal(value[i], value[j]);
			} else {
				assert_int_not_equal(key[i], key[j]);
			}
		}
	}
	assert_int_equal(p->distinct, distinct);
}

static void needles_can_be_answered(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	static const int answers[SX_NEEDLE_KINDS][2] = {{1, 1}, {1, 1}, {2, 4}, {4, 8}};
	sx_ctx_init(&ctx);
	for (int variant = 0; variant < 4; variant++) {
		sx_language_opts o = sx_language_opts_default();
		o.bos = variant & 1;
		o.filler = variant & 2 ? SX_FILLER_MARKOV : SX_FILLER_TEXT;
		sx_language l = make(&o, o.filler == SX_FILLER_MARKOV ? NULL : &c);
		for (int kind = 0; kind < SX_NEEDLE_KINDS; kind++) {
			for (uint64_t i = 0; i < 400; i++) {
				static int32_t tok[1024], again[1024];
				sx_needle p, q;
				int given = i % 2 ? 8 : 4,
				    facts = kind == SX_NEEDLE_SINGLE ? 1 : given;
				int64_t T = i % 5 == 0 ? 50 : 60 + (int64_t)i;
				memset(tok, 0, sizeof tok);
				memset(again, 0, sizeof again);
				if (sx_language_needle(tok, &p, &ctx, &l, (sx_needle_kind)kind,
						       given, T, 7, i) != SX_OK)
					fail_msg("%s", ctx.message);
				assert_int_equal(tok[T], 0);
				assert_int_equal(p.answers, answers[kind][i % 2]);
				check_needle(&l, (sx_needle_kind)kind, facts, tok, T, &p);
				assert_int_equal(sx_language_needle(again, &q, &ctx, &l,
								    (sx_needle_kind)kind, given, T,
								    7, i),
						 SX_OK);
				assert_memory_equal(again, tok, sizeof tok);
			}
		}
	}
}

static void needles_lie_anywhere(void **state)
{
	(void)state;
	enum { T = 130, N = 4000 };
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	sx_language l = make(&o, &c);
	int bin[6] = {0}, which[8] = {0};
	sx_ctx_init(&ctx);
	for (uint64_t i = 0; i < N; i++) {
		int32_t tok[T];
		sx_needle p;
		double blind, in_window;
		/* 2 of query, 3 of fact, 125 of filler: distances 1..126, equally likely */
		assert_int_equal(
			sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_SINGLE, 4, T, 1, i), SX_OK);
		assert_in_range(p.distance, 1, 126);
		bin[(p.distance - 1) / 21]++;
		which[tok[T - 1] - 129]++;
		sx_needle_chance(&l, &p, &blind, &in_window);
		assert_true(fabs(blind - 1.0 / 16) < 1e-15 && fabs(in_window - 1) < 1e-15);
		assert_int_equal(
			sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_VALUE, 4, T, 1, i),
			SX_OK);
		sx_needle_chance(&l, &p, &blind, &in_window);
		assert_true(fabs(blind * 65536 - 1) < 1e-12 && fabs(in_window * 256 - 1) < 1e-12);
	}
	assert_uniform(bin, 6);
	assert_uniform(which, 8);
}

/* ---- probe sequences ---- */

static void probe_sequences(void **state)
{
	(void)state;
	enum { T = 128 };
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	sx_ctx_init(&ctx);
	for (int bos = 0; bos < 2; bos++) {
		o.bos = bos;
		sx_language l = make(&o, &c);
		int symbols[256] = {0};
		for (uint64_t i = 0; i < 50; i++) {
			int32_t tok[T + 1], tgt[T];
			uint8_t cls[T];
			for (int k = 0; k < SX_PROBE_KINDS; k++) {
				assert_int_equal(sx_language_probe(tok, tgt, cls, &ctx, &l,
								   (sx_probe_kind)k, T, 3, i),
						 SX_OK);
				for (int t = 0; t + 1 < T; t++)
					assert_int_equal(tgt[t], tok[t + 1]);
				tok[T] = tgt[T - 1];
				if (k != SX_PROBE_CONSTANT) {
					seen w = read_window(&l, tok, cls, T, true);
					assert_true((w.items > 0) == (k == SX_PROBE_RETRIEVAL));
				}
				if (k == SX_PROBE_REPEATED) {
					int half = (T - bos) / 2;
					for (int t = bos; t + half <= T; t++)
						assert_int_equal(tok[t + half], tok[t]);
					assert_memory_not_equal(tok + bos, tok + bos + 1, 4 * 32);
					for (int t = bos; t < bos + half; t++) symbols[tok[t]]++;
				}
				for (int t = 0; k == SX_PROBE_CONSTANT && t < T; t++) {
					assert_int_equal(tok[t + 1], tok[0]);
					assert_true(is_filler(&l, tok[0], true));
				}
			}
		}
		/* i^2 mod 10 takes 0 1 4 5 6 9, with weights 1 2 2 1 2 2 tenths */
		int square[6] = {symbols['k'], symbols['l'] / 2, symbols['o'] / 2,
				 symbols['p'], symbols['q'] / 2, symbols['t'] / 2};
		assert_uniform(square, 6);
	}
	o.on = false;
	sx_language off = make(&o, &c);
	int32_t tok[T], tgt[T];
	assert_int_equal(sx_language_probe(tok, tgt, NULL, &ctx, &off, SX_PROBE_RETRIEVAL, T, 3, 0),
			 SX_ECONFIG);
	assert_int_equal(sx_language_probe(tok, NULL, NULL, &ctx, &off, SX_PROBE_TEXT, T, 3, 0),
			 SX_OK);
}

/* ---- refusals, description ---- */

static void wrong_settings_are_refused(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_corpus c = make_corpus();
	sx_language l;
	sx_needle p;
	static int32_t tok[4096], tgt[4096];
	sx_ctx_init(&ctx);
	const sx_language_opts good = sx_language_opts_default();
	sx_language_opts bad[8];
	for (int i = 0; i < 8; i++) bad[i] = good;
	bad[0].keys = 0;
	bad[1].values = 119; /* 8 + 119 > 126 */
	bad[2].facts_hi = 9; /* more than keys */
	bad[3].facts_lo = 0;
	bad[4].items_hi = 43;
	bad[5].items_lo = 29;
	bad[6].values = INT32_MAX;
	bad[7].keys = INT32_MAX;
	for (int i = 0; i < 8; i++)
		assert_int_equal(sx_language_init(&l, &ctx, &bad[i], &c, 0), SX_ECONFIG);
	assert_int_equal(sx_language_init(&l, &ctx, &good, NULL, 0), SX_ENOINPUT);
	char other[] = "tok512.bin";
	c.tokenizer = other;
	assert_int_equal(sx_language_init(&l, &ctx, &good, &c, 0), SX_ECONFIG);
	c.tokenizer = bytes_name;

	l = make(&good, &c);
	assert_int_equal(sx_language_window(tok, tgt, NULL, &ctx, &l, 1, 0, 0, false), SX_ECONFIG);
	assert_int_equal(sx_language_window(tok, tgt, NULL, &ctx, &l, 4096, 0, 0, true), SX_EDATA);
	assert_non_null(strstr(ctx.message, "held-out"));
	assert_int_equal(
		sx_language_window(tok, tgt, NULL, &ctx, &l, 64, 0, (uint64_t)1 << 36, true),
		SX_ECONFIG);
	assert_int_equal(sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_KEY, 9, 128, 0, 0),
			 SX_ECONFIG);
	assert_int_equal(sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_QUERY, 1, 128, 0, 0),
			 SX_ECONFIG);
	assert_int_equal(sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_KEY, 4, 13, 0, 0),
			 SX_ECONFIG);
	assert_int_equal(sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_KEY, 4, 14, 0, 0),
			 SX_OK);
	sx_filler f;
	assert_true(sx_filler_parse("markov", &f) && f == SX_FILLER_MARKOV);
	assert_false(sx_filler_parse("Markov", &f));
}

static void described_as_json(void **state)
{
	(void)state;
	sx_corpus c = make_corpus();
	sx_language_opts o = sx_language_opts_default();
	sx_language l = make(&o, &c);
	json_t *j = sx_language_json(&l);
	assert_non_null(j);
	json_t *r = json_object_get(j, "retrieval"), *t = json_object_get(j, "corpus");
	assert_int_equal(json_integer_value(json_object_get(r, "first_value")), 137);
	assert_int_equal(json_integer_value(json_object_get(t, "train_tokens")), N_TRAIN);
	json_decref(j);
	o.on = false;
	o.filler = SX_FILLER_MARKOV;
	l = make(&o, NULL);
	j = sx_language_json(&l);
	assert_true(json_is_null(json_object_get(j, "corpus")));
	assert_true(json_is_null(json_object_get(j, "retrieval")));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_obey_the_grammar),
		cmocka_unit_test(densest_windows_fit),
		cmocka_unit_test(windows_come_from_seed_and_index_alone),
		cmocka_unit_test(draws_are_uniform),
		cmocka_unit_test(filler_is_consecutive_text),
		cmocka_unit_test(markov_entropy_is_ln_3),
		cmocka_unit_test(needles_can_be_answered),
		cmocka_unit_test(needles_lie_anywhere),
		cmocka_unit_test(probe_sequences),
		cmocka_unit_test(wrong_settings_are_refused),
		cmocka_unit_test(described_as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tokenizer.json. References: ids and texts by the package `tokenizers` (tests/fixtures/tokenizers),
 * what transformers publishes of real tokenizers, and definitions. */
#include "engine/text/language.h"
#include "engine/text/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef SX_SOURCE_DIR
#	define SX_SOURCE_DIR "."
#endif
#define FIXTURES SX_SOURCE_DIR "/tests/fixtures/tokenizers"

static json_t *read_json(const char *path)
{
	json_error_t e;
	json_t *j = json_load_file(path, JSON_ALLOW_NUL, &e);
	if (!j) fail_msg("%s: %s", path, e.text);
	return j;
}

static sx_tokenizer *open_path(const char *path, int vocab)
{
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	if (sx_tokenizer_open(&t, &ctx, path, vocab) != SX_OK) fail_msg("%s", ctx.message);
	return t;
}

static sx_tokenizer *open_kind(const char *kind)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s.json", FIXTURES, kind);
	return open_path(path, 0);
}

typedef struct {
	int32_t *id;
	int64_t n;
} ids;

static ids encode(const sx_tokenizer *t, const char *text, size_t len, bool bos)
{
	sx_ctx ctx;
	ids x;
	sx_ctx_init(&ctx);
	if (sx_tokenizer_encode(&x.id, &x.n, &ctx, t, text, len, bos) != SX_OK)
		fail_msg("%s", ctx.message);
	return x;
}

static char *decode(const sx_tokenizer *t, ids x, size_t *len)
{
	sx_ctx ctx;
	char *s;
	sx_ctx_init(&ctx);
	if (sx_tokenizer_decode(&s, len, &ctx, t, x.id, x.n) != SX_OK) fail_msg("%s", ctx.message);
	return s;
}

/* A text of ids.json: parts and how often each. */
static char *whole(json_t *parts, size_t *len)
{
	json_t *p;
	size_t i;
	char *s = calloc(1, 1);
	*len = 0;
	json_array_foreach(parts, i, p)
	{
		json_t *part = json_array_get(p, 0), *times = json_array_get(p, 1);
		size_t n = json_string_length(part);
		for (json_int_t k = times ? json_integer_value(times) : 1; k > 0; k--) {
			s = realloc(s, *len + n + 1);
			memcpy(s + *len, json_string_value(part), n);
			*len += n;
		}
	}
	s[*len] = '\0';
	return s;
}

static void check_ids(const char *kind, size_t place, ids got, const char *want)
{
	const char *s = want;
	int64_t i = 0;
	for (char *end; *s; s = end, i++) {
		long id = strtol(s, &end, 10);
		if (i >= got.n || got.id[i] != id)
			fail_msg("%s, text %zu, id %d: %d, not %ld", kind, place, (int)i,
				 i < got.n ? (int)got.id[i] : -1, id);
	}
	if (i != got.n) fail_msg("%s, text %zu: %d ids, not %d", kind, place, (int)got.n, (int)i);
}

/* One kind's part of the file against the tokenizer; returns the number of texts. */
static size_t check_texts(const char *kind, const sx_tokenizer *t, json_t *texts, json_t *part)
{
	json_t *text, *all = json_object_get(part, "ids"), *back = json_object_get(part, "text");
	size_t i;
	assert_int_equal(json_array_size(all), json_array_size(texts));
	json_array_foreach(texts, i, text)
	{
		size_t len, m;
		char *s = whole(text, &len);
		ids got = encode(t, s, len, sx_tokenizer_adds_bos(t));
		check_ids(kind, i, got, json_string_value(json_array_get(all, i)));
		if (back) {
			json_t *b = json_array_get(back, i);
			const char *want = json_is_null(b) ? s : json_string_value(b);
			size_t n = json_is_null(b) ? len : json_string_length(b);
			char *d = decode(t, got, &m);
			if (m != n || memcmp(d, want, n) != 0)
				fail_msg("%s, text %zu: \"%s\", not \"%s\"", kind, i, d, want);
			free(d);
		}
		free(s);
		free(got.id);
	}
	return json_array_size(texts);
}

static void ids_of_the_package(void **state)
{
	(void)state;
	json_t *all = read_json(FIXTURES "/ids.json"), *kind;
	size_t i;
	assert_true(json_array_size(json_object_get(all, "kinds")) >= 15);
	json_array_foreach(json_object_get(all, "kinds"), i, kind)
	{
		const char *name = json_string_value(kind);
		sx_tokenizer *t = open_kind(name);
		assert_true(check_texts(name, t, json_object_get(all, "texts"),
					json_object_get(all, name)) > 50);
		sx_tokenizer_free(t);
	}
	json_decref(all);
}

/* Letters drawn by the generator of make_tokenizers.py: a word of 60,000. */
static char *drawn(const char *letters, size_t *len)
{
	uint32_t x = 1;
	size_t count = 0, at[64];
	for (size_t i = 0; letters[i]; i++)
		if (((unsigned char)letters[i] & 0xC0) != 0x80) at[count++] = i;
	at[count] = strlen(letters);
	char *s = malloc(60000 * 4 + 1);
	*len = 0;
	for (int k = 0; k < 60000; k++) {
		x = 1664525U * x + 1013904223U;
		size_t i = (x >> 16) % count, n = at[i + 1] - at[i];
		memcpy(s + *len, letters + at[i], n);
		*len += n;
	}
	return s;
}

static void long_words(void **state)
{
	(void)state;
	json_t *all = read_json(FIXTURES "/ids.json"), *kind;
	size_t i, len;
	json_array_foreach(json_object_get(all, "kinds"), i, kind)
	{
		const char *name = json_string_value(kind);
		json_t *want = json_object_get(json_object_get(all, name), "long");
		sx_tokenizer *t = open_kind(name);
		char *s = drawn(json_string_value(json_object_get(want, "letters")), &len);
		ids got = encode(t, s, len, false);
		int64_t sum = 0;
		for (int64_t k = 0; k < got.n; k++) sum = (sum + (k + 1) * got.id[k]) % 2147483647;
		if (got.n != json_integer_value(json_object_get(want, "n")) ||
		    sum != json_integer_value(json_object_get(want, "sum")))
			fail_msg("%s: %d ids, sum %d", name, (int)got.n, (int)sum);
		free(got.id);
		free(s);
		sx_tokenizer_free(t);
	}
	json_decref(all);
}

/* 2 MB in n log n: a quadratic merge takes hours. */
static void a_word_of_two_megabytes(void **state)
{
	(void)state;
	const char *const kinds[] = {"gpt2", "llama2", "metaspace"};
	size_t n = (size_t)1 << 21;
	char *s = malloc(n);
	memset(s, 'a', n);
	for (int k = 0; k < 3; k++) {
		size_t len;
		sx_tokenizer *t = open_kind(kinds[k]);
		ids got = encode(t, s, n, false);
		char *d = decode(t, got, &len);
		assert_int_equal(len, n);
		assert_memory_equal(d, s, n);
		assert_true(got.n < (int64_t)n);
		free(d);
		free(got.id);
		sx_tokenizer_free(t);
	}
	free(s);
}

/* ---- bytes that are no UTF-8 ---- */

static void broken_text_comes_back(void **state)
{
	(void)state;
	static const char *const broken[] = {
		"\xFF",         "a\x80 the",        "\xE2\x96",         "the \xE2\x96 cat",
		"\xC0\x80",     "\xED\xA0\x80x",    "\xF4\x90\x80\x80", "x\xF8\x88\x80\x80\x80y",
		"\xC3\xC3\xA9", "\xFE\xFF the \xFF"};
	static const char *const kinds[] = {"gpt2", "smollm", "llama3", "qwen2",
					    "neox", "llama2", "phi3",   "mistral"};
	for (size_t k = 0; k < 8; k++) {
		sx_tokenizer *t = open_kind(kinds[k]);
		for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
			size_t len, n = strlen(broken[i]);
			ids got = encode(t, broken[i], n, sx_tokenizer_adds_bos(t));
			char *d = decode(t, got, &len);
			if (len != n || memcmp(d, broken[i], n) != 0)
				fail_msg("%s, text %zu: %zu bytes, not %zu", kinds[k], i, len, n);
			free(d);
			free(got.id);
		}
		sx_tokenizer_free(t);
	}
}

/* By definition: byte tokens, and the text before and behind as it is alone but for the mark that
 * stands in front of a text. */
static void broken_bytes_are_byte_tokens(void **state)
{
	(void)state;
	sx_tokenizer *t = open_kind("llama2");
	ids a = encode(t, "the", 3, false), both = encode(t, "the\xFF\x80 the", 9, false);
	const char *first;
	size_t len;
	assert_int_equal(both.n, 2 * a.n + 2);
	for (int64_t i = 0; i < a.n; i++) {
		assert_int_equal(both.id[i], a.id[i]);
		assert_int_equal(both.id[a.n + 2 + i], a.id[i]);
	}
	first = sx_tokenizer_piece(t, both.id[a.n], &len);
	assert_memory_equal(first, "<0xFF>", 6);
	first = sx_tokenizer_piece(t, both.id[a.n + 1], &len);
	assert_memory_equal(first, "<0x80>", 6);
	free(a.id);
	free(both.id);
	sx_tokenizer_free(t);
}

/* ---- a model's vocabulary, BOS, files around it ---- */

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sextant-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	char cmd[96];
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", folder);
	return system(cmd);
}

static const char *in_folder(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "wb"); /* sx_write_file waits for the disk */
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void copy_kind(const char *kind)
{
	sx_ctx ctx;
	char path[512], *data;
	size_t size;
	sx_ctx_init(&ctx);
	snprintf(path, sizeof path, "%s/%s.json", FIXTURES, kind);
	assert_int_equal(sx_read_file(&ctx, path, &data, &size), SX_OK);
	put("tokenizer.json", data);
	free(data);
}

static void a_model_may_have_more_rows(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	char path[] = FIXTURES "/gpt2.json", *text;
	size_t len;
	sx_ctx_init(&ctx);
	t = open_path(path, 0);
	int own = sx_tokenizer_vocab(t); /* two of them added */
	sx_tokenizer_free(t);
	t = open_path(path, own + 62);
	assert_int_equal(sx_tokenizer_vocab(t), own + 62);
	assert_null(sx_tokenizer_piece(t, own, &len));
	ids x = {(int32_t[]){own + 61, own}, 2};
	text = decode(t, x, &len); /* rows without a token are no text */
	assert_int_equal(len, 0);
	free(text);
	sx_tokenizer_free(t);
	t = open_path(path, own - 2); /* without the added ones, until a text has one */
	x = encode(t, "the cat", 7, false);
	free(x.id);
	assert_int_equal(sx_tokenizer_encode(&x.id, &x.n, &ctx, t, "<|begin|>", 9, false),
			 SX_EDATA);
	assert_non_null(strstr(ctx.message, "added token"));
	sx_tokenizer_free(t);
	t = NULL;
	assert_int_equal(sx_tokenizer_open(&t, &ctx, path, own - 3), SX_EDATA);
	assert_null(t);
}

static void bos_as_the_files_say(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	copy_kind("gpt2");
	sx_tokenizer *t = open_path(folder, 0); /* a folder stands for its tokenizer.json */
	ids x;
	assert_int_equal(sx_tokenizer_bos(t), -1);
	assert_false(sx_tokenizer_adds_bos(t));
	assert_int_equal(sx_tokenizer_encode(&x.id, &x.n, &ctx, t, "a", 1, true), SX_EUSAGE);
	assert_non_null(strstr(ctx.message, "--no-bos"));
	sx_tokenizer_free(t);
	/* known, but not put in front unless asked for */
	put("tokenizer_config.json", "{\"bos_token\": \"<|begin|>\", \"model_max_length\": "
				     "1000000000000000019884624838656, "
				     "\"eos_token\": {\"content\": \"<|endoftext|>\"}}");
	t = open_path(in_folder("tokenizer.json"), 0);
	int begin = sx_tokenizer_bos(t), end = sx_tokenizer_eos(t);
	assert_int_equal(begin, end + 1);
	assert_false(sx_tokenizer_adds_bos(t));
	x = encode(t, "a", 1, true);
	assert_int_equal(x.n, 2);
	assert_int_equal(x.id[0], begin);
	free(x.id);
	sx_tokenizer_free(t);
	/* transformers: the two keys make a template of their own */
	put("tokenizer_config.json", "{\"bos_token\": \"<|begin|>\", \"eos_token\": "
				     "\"<|endoftext|>\", \"add_bos_token\": true, "
				     "\"add_eos_token\": true}");
	t = open_path(folder, 0);
	assert_true(sx_tokenizer_adds_bos(t));
	x = encode(t, "a", 1, true);
	assert_int_equal(x.n, 3);
	assert_int_equal(x.id[0], begin);
	assert_int_equal(x.id[2], end);
	free(x.id);
	sx_tokenizer_free(t);
	/* .. which may also say that there is none */
	copy_kind("llama3");
	put("tokenizer_config.json", "{\"add_bos_token\": false, \"bos_token\": \"<|begin|>\"}");
	t = open_path(folder, 0);
	assert_false(sx_tokenizer_adds_bos(t));
	sx_tokenizer_free(t);
	put("tokenizer_config.json", "{\"add_bos_token\": ");
	sx_tokenizer *no = NULL;
	assert_int_equal(sx_tokenizer_open(&no, &ctx, folder, 0), SX_EDATA);
	assert_non_null(strstr(ctx.message, "tokenizer_config.json"));
	unlink(in_folder("tokenizer_config.json"));
}

static void other_files_beside(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	unlink(in_folder("tokenizer.json"));
	assert_int_equal(sx_tokenizer_open(&t, &ctx, folder, 0), SX_ENOINPUT);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder("x.json"), 0), SX_ENOINPUT);
	put("tokenizer.model", "\n\x0E");
	const char *const what[] = {"", "tokenizer.model"};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder(what[i]), 0), SX_EDATA);
		assert_non_null(strstr(ctx.message, "save_pretrained"));
	}
	unlink(in_folder("tokenizer.model"));
}

/* ---- the retrieval language in words ---- */

static bool in_corpus(const sx_corpus *c, int32_t id)
{
	for (int64_t i = 0; i < c->n_train; i++)
		if (c->train[i] == id) return true;
	for (int64_t i = 0; i < c->n_heldout; i++)
		if (c->heldout[i] == id) return true;
	return false;
}

/* Filler must be a run of the corpus; returns how many values were retrieved. */
static int check_window(const sx_language *l, const sx_corpus *c, uint64_t index, int64_t T)
{
	sx_ctx ctx;
	int32_t tok[128], tgt[128], fill[128];
	uint8_t cls[128];
	int64_t n = 0, at = 0;
	int queries = 0;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_language_window(tok, tgt, cls, &ctx, l, T, 1, index, false), SX_OK);
	for (int64_t t = 0; t < T; t++) {
		bool symbol = cls[t] != SX_CLASS_FILLER;
		assert_int_equal(symbol, !in_corpus(c, tgt[t]));
		if (!symbol) fill[n++] = tgt[t];
		if (cls[t] == SX_CLASS_MARKER) assert_int_equal(tgt[t], c->unused[0]);
		if (cls[t] == SX_CLASS_QUERY || cls[t] == SX_CLASS_FACT)
			assert_in_range(tgt[t], sx_language_value(l, 0), sx_language_value(l, 2));
		queries += cls[t] == SX_CLASS_QUERY;
	}
	while (at + n <= c->n_train && memcmp(c->train + at, fill, (size_t)n * sizeof *fill) != 0)
		at++;
	assert_true(at + n <= c->n_train);
	return queries;
}

static void retrieval_in_unused_words(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_corpus c;
	sx_language l;
	sx_needle p;
	int queries = 0;
	int32_t tok[128];
	char text[4096] = "", path[256];
	sx_ctx_init(&ctx);
	for (int i = 0; i < 300; i++) snprintf(text + strlen(text), 12, "x%d é ", i * 7919 % 1000);
	put("text.txt", text);
	strcpy(path, in_folder("text.txt"));
	const char *const paths[] = {path};
	sx_tokenizer *t = open_kind("gpt2");
	assert_int_equal(sx_corpus_read(&c, &ctx, paths, 1, t), SX_OK);
	assert_true(c.n_unused >= 10);
	for (int i = 0; i < c.n_unused; i++) {
		size_t len;
		const char *s = sx_tokenizer_piece(t, c.unused[i], &len);
		assert_memory_equal(s, "\xC4\xA0", 2); /* byte level's space */
		assert_true(len >= 4 && !in_corpus(&c, c.unused[i]));
		assert_true(i == 0 || c.unused[i] > c.unused[i - 1]);
	}
	sx_language_opts o = sx_language_opts_default();
	o.keys = 4, o.values = 3, o.facts_lo = 2, o.facts_hi = 3;
	assert_int_equal(sx_language_init(&l, &ctx, &o, &c, 0), SX_OK);
	assert_int_equal(l.vocab, sx_tokenizer_vocab(t));
	for (int i = 0; i < 3; i++) assert_int_equal(sx_language_value(&l, i), c.unused[5 + i]);
	for (uint64_t i = 0; i < 20; i++) queries += check_window(&l, &c, i, 100);
	assert_true(queries > 50);
	assert_int_equal(sx_language_needle(tok, &p, &ctx, &l, SX_NEEDLE_MULTI_KEY, 3, 100, 1, 0),
			 SX_OK);
	assert_in_range(p.value[0], c.unused[5], c.unused[7]);
	assert_int_equal(tok[98], c.unused[0]);
	json_t *j = sx_language_json(&l), *r = json_object_get(j, "retrieval");
	assert_int_equal(json_integer_value(json_object_get(r, "marker")), c.unused[0]);
	assert_int_equal(json_array_size(json_object_get(r, "key_ids")), 4);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(r, "value_ids"), 2)),
			 c.unused[7]);
	json_decref(j);
	o.values = c.n_unused; /* too many */
	assert_int_equal(sx_language_init(&l, &ctx, &o, &c, 0), SX_ECONFIG);
	o.values = 3, o.bos = true; /* there is none */
	assert_int_equal(sx_language_init(&l, &ctx, &o, &c, 0), SX_ECONFIG);
	sx_corpus_free(&c);
	sx_tokenizer_free(t);
}

/* ---- files that are not read ---- */

#define MODEL(more) \
	"\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": " \
	"[\"a b\"]" more "}"
#define WITH(key, value) "{" MODEL("") ", \"" key "\": " value "}"
#define SPLIT(regex) \
	WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex \
			      "\"}, \"behavior\": \"Isolated\", \"invert\": false}")

/* clang-format off */
static const char *const bad[][2] = {
	{"", "no JSON"}, {"{", "no JSON"}, {"[]", "no object"}, {"{}", "model is missing"},
	{"\xEF\xBB\xBF{}", "byte order mark"}, {"{\"a\": 1, \"a\": 2}", "duplicate"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"\xFF\": 0}}}", "no JSON"},
	{WITH("version", "\"1.0\", \"surprise\": 1"), "surprise"},
	{"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "Unigram"},
	{"{\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}}", "WordPiece"},
	{"{\"model\": {\"type\": \"BPE\", \"merges\": []}}", "model.vocab"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", "model.vocab"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}", "model.merges"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", "without an id"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 99999999999}, \"merges\": []}}", "without an id"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0.5}, \"merges\": []}}", "without an id"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}, \"merges\": []}}", "twice"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": [\"a b\"]}}", "merges[0] names \"ab\""},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a c\"]}}", "names \"c\""},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\"]]}}", "merges[0] is no pair"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\", 1]]}}", "merges[0] is no pair"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}", "merges[0] is no pair"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a  a\"]}}", "merges[0] is no pair"},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"\": 1}, \"merges\": [\"a \"]}}", "without a letter"},
	{"{" MODEL(", \"dropout\": 0.1") "}", "model.dropout"},
	{"{" MODEL(", \"end_of_word_suffix\": \"</w>\"") "}", "end_of_word_suffix"},
	{"{" MODEL(", \"continuing_subword_prefix\": \"##\"") "}", "continuing_subword_prefix"},
	{"{" MODEL(", \"fuse_unk\": 1") "}", "model.fuse_unk"},
	{"{" MODEL(", \"max_input_chars_per_word\": 1") "}", "max_input_chars_per_word"},
	{WITH("normalizer", "{\"type\": \"Lowercase\"}"), "normalizer.type is \"Lowercase\""},
	{WITH("normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Precompiled\"}]}"),
	 "normalizer.normalizers[1].type is \"Precompiled\""},
	{WITH("normalizer", "{\"type\": \"Sequence\"}"), "no list"},
	{WITH("normalizer", "{\"type\": \"NFC\", \"form\": 1}"), "normalizer.form"},
	{WITH("normalizer", "{}"), "normalizer.type"}, {WITH("normalizer", "[]"), "normalizer.type"},
	{WITH("normalizer", "{\"type\": \"Prepend\"}"), "normalizer.prepend"},
	{WITH("normalizer", "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"\"}"), "normalizer.pattern"},
	{WITH("normalizer", "{\"type\": \"Replace\", \"pattern\": {\"Glob\": \"*\"}, \"content\": \"\"}"), "normalizer.pattern.Glob"},
	{WITH("pre_tokenizer", "{\"type\": \"BertPreTokenizer\"}"), "BertPreTokenizer"},
	{WITH("pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}"), "replacement"},
	{WITH("pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}"), "prepend_scheme"},
	{WITH("pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, {\"type\": \"Digits\"}]}"), "behind ByteLevel"},
	{WITH("post_processor", "{\"type\": \"BertProcessing\"}"), "BertProcessing"},
	{WITH("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}]}"), "special_tokens"},
	{WITH("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}"), "no Sequence A"},
	{WITH("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"x\"}}], "
	      "\"special_tokens\": {\"x\": {\"ids\": [77]}}}"), "id 77"},
	{WITH("decoder", "{\"type\": \"WordPiece\"}"), "decoder.type is \"WordPiece\""},
	{WITH("decoder", "{\"type\": \"Strip\", \"content\": \" \", \"start\": -1, \"stop\": 0}"), "no count"},
	{WITH("added_tokens", "[{\"id\": 4, \"content\": \"<x>\"}]"), "another id than 3"},
	{WITH("added_tokens", "[{\"id\": 1, \"content\": \"a\"}]"), "another id than 0"},
	{WITH("added_tokens", "[{\"id\": 3, \"content\": \"x\"}, {\"id\": 4, \"content\": \"x\"}]"), "added_tokens[1] repeats"},
	{WITH("added_tokens", "[{\"id\": 3, \"content\": \"\"}]"), "0 bytes"},
	{WITH("added_tokens", "[7]"), "added_tokens[0] is no object"},
	{SPLIT("(?<name>a)"), "is a group"}, {SPLIT("a{1,2}+"), "another thing to Oniguruma"}, {SPLIT("[a&&b]"), "intersection"},
	{SPLIT("[[:alpha:]]"), "class within a class"}, {SPLIT("\\\\h"), "\\h"}, {SPLIT("a|^b"), "beginning or end"}, {SPLIT("a*"), "nothing at all"},
	{SPLIT("(a"), "no regular expression"}, {SPLIT("\\\\p{Nonsense}"), "no regular expression"}, {SPLIT("(?i:\\\\p{Lu})"), "case does not matter"},
	{SPLIT("b(?i)a"), "not in front"}, {SPLIT("a\\\\"), "ends the pattern"}, {SPLIT("\\\\xFF"), "no code point"}, {SPLIT("(?>a)(?=b)|[]a]"), "empty class"},
};
/* clang-format on */

static void what_is_not_read_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		sx_ctx ctx;
		sx_tokenizer *t = NULL;
		sx_ctx_init(&ctx);
		put("bad.json", bad[i][0]);
		sx_status st = sx_tokenizer_open(&t, &ctx, in_folder("bad.json"), 0);
		if (st != SX_EDATA || !strstr(ctx.message, bad[i][1]))
			fail_msg("%s\nstatus %d: %s\nwant: %s", bad[i][0], (int)st, ctx.message,
				 bad[i][1]);
		assert_null(t);
	}
}

/* Cut anywhere, nested deep: one sentence. */
static void damaged_files(void **state)
{
	(void)state;
	sx_ctx ctx;
	char *data, *deep = malloc(200001);
	size_t size;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_read_file(&ctx, FIXTURES "/phi3.json", &data, &size), SX_OK);
	for (size_t cut = 0; cut + 2 < size; cut += 97) {
		char c = data[cut];
		data[cut] = '\0';
		put("bad.json", data);
		data[cut] = c;
		assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder("bad.json"), 0), SX_EDATA);
	}
	memset(deep, '[', 200000);
	deep[200000] = '\0';
	put("bad.json", deep);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder("bad.json"), 0), SX_EDATA);
	free(deep);
	free(data);
}

/* Merges in a circle, and a pattern whose steps explode, end. */
static void endless_ones_end(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t;
	ids x;
	sx_ctx_init(&ctx);
	put("bad.json",
	    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"aa\": 1, \"aaa\": 2, "
	    "\"aaaa\": 3}, "
	    "\"merges\": [\"aa a\", \"a aa\", \"aa aa\", \"a a\", \"a aaa\", \"aaa a\"]}}");
	t = open_path(in_folder("bad.json"), 0);
	x = encode(t, "aaaaaaaaa", 9, false);
	assert_true(x.n >= 3 && x.n < 9);
	free(x.id);
	sx_tokenizer_free(t);
	put("bad.json", SPLIT("(?:a|a)*b|(?:aa|a)+c"));
	t = open_path(in_folder("bad.json"), 0);
	assert_int_equal(sx_tokenizer_encode(&x.id, &x.n, &ctx, t,
					     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 46,
					     false),
			 SX_EDATA);
	assert_non_null(strstr(ctx.message, "gives up"));
	sx_tokenizer_free(t);
}

/* ---- real ones ---- */

static char *shared(const char *name)
{
	const char *root = getenv("SEXTANT_SHARED");
	char *p = root ? sx_format("%s/data/tokenizers/%s", root, name)
		       : sx_format("%s/../shared/data/tokenizers/%s", SX_SOURCE_DIR, name);
	if (p && sx_path_exists(p)) return p;
	print_message("skipped: %s is not there\n", p ? p : name);
	free(p);
	return NULL;
}

static void real_tokenizers(void **state)
{
	(void)state;
	json_t *all = read_json(FIXTURES "/real.json"), *part;
	const char *name;
	int tried = 0;
	json_object_foreach(all, name, part)
	{
		if (!json_is_object(part)) continue;
		char *path = shared(name);
		if (!path) continue;
		sx_tokenizer *t = open_path(path, 0);
		assert_true(check_texts(name, t, json_object_get(all, "texts"), part) > 50);
		sx_tokenizer_free(t);
		free(path);
		tried++;
	}
	json_decref(all);
	if (tried == 0) skip();
}

/* From the tests of transformers.js. */
static void published_ids(void **state)
{
	(void)state;
	char *path = shared("llama2/tokenizer.json");
	if (!path) skip();
	sx_tokenizer *t = open_path(path, 0);
	const char *text = "This is a test and the second one. ";
	ids x = encode(t, text, strlen(text), true);
	check_ids("llama2", 0, x, "1 910 338 263 1243 322 278 1473 697 29889 29871");
	free(x.id);
	sx_tokenizer_free(t);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_of_the_package),
		cmocka_unit_test(long_words),
		cmocka_unit_test(a_word_of_two_megabytes),
		cmocka_unit_test(broken_text_comes_back),
		cmocka_unit_test(broken_bytes_are_byte_tokens),
		cmocka_unit_test(a_model_may_have_more_rows),
		cmocka_unit_test(bos_as_the_files_say),
		cmocka_unit_test(other_files_beside),
		cmocka_unit_test(retrieval_in_unused_words),
		cmocka_unit_test(what_is_not_read_is_named),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(endless_ones_end),
		cmocka_unit_test(real_tokenizers),
		cmocka_unit_test(published_ids),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* Tokenizers, files of ids and the corpus. References: ids and counts by llama2.c's run.c, files
 * laid out by hand, a quadratic rewriting of the greedy loop, one-shot hashes. */
#include "engine/text/corpus.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokens.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#ifndef SX_SOURCE_DIR
#	define SX_SOURCE_DIR "."
#endif

static char *shared(const char *name)
{
	const char *root = getenv("SEXTANT_SHARED");
	char *p = root ? sx_format("%s/%s", root, name)
		       : sx_format("%s/../shared/%s", SX_SOURCE_DIR, name);
	if (p && sx_path_exists(p)) return p;
	print_message("skipped: %s is not there\n", p ? p : name);
	free(p);
	return NULL;
}

/* ---- a folder of our own ---- */

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

static void write_raw(const char *path, const void *data, size_t size)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_write_file(&ctx, path, data, size), SX_OK);
}

/* ---- a tokenizer.bin built by hand ---- */

typedef struct {
	unsigned char bytes[65536];
	size_t n;
} image;

static void put32(image *b, uint32_t v)
{
	for (int i = 0; i < 4; i++) b->bytes[b->n++] = (unsigned char)(v >> (8 * i));
}

static void put_piece(image *b, float score, const char *s)
{
	uint32_t bits;
	memcpy(&bits, &score, 4);
	put32(b, bits);
	put32(b, (uint32_t)strlen(s));
	memcpy(b->bytes + b->n, s, strlen(s));
	b->n += strlen(s);
}

/* <unk> <s> </s>, the byte tokens: 259 pieces. */
static void put_head(image *b)
{
	char s[8];
	b->n = 0;
	put32(b, 12);
	put_piece(b, 0, "<unk>");
	put_piece(b, 0, "\n<s>\n");
	put_piece(b, 0, "\n</s>\n");
	for (unsigned i = 0; i < 256; i++) {
		snprintf(s, sizeof s, "<0x%02X>", i & 0xFF);
		put_piece(b, 0, s);
	}
}

static sx_tokenizer *open_image(const image *b)
{
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	write_raw(in_folder("t.bin"), b->bytes, b->n);
	if (sx_tokenizer_open(&t, &ctx, in_folder("t.bin"), 0) != SX_OK)
		fail_msg("%s", ctx.message);
	return t;
}

static int find(const sx_tokenizer *t, const char *s, size_t len)
{
	for (int id = 0; id < sx_tokenizer_vocab(t); id++) {
		size_t n;
		const char *p = sx_tokenizer_piece(t, id, &n);
		if (n == len && memcmp(p, s, n) == 0) return id;
	}
	return -1;
}

/* The loop as run.c words it: look at every pair, merge the best, begin again. */
static int64_t greedy(const sx_tokenizer *t, const float *score, int32_t *id, int64_t n)
{
	for (;;) {
		float best = -1e10F;
		int best_id = -1;
		int64_t best_at = -1;
		for (int64_t i = 0; i + 1 < n; i++) {
			char s[64];
			size_t a, b;
			const char *pa = sx_tokenizer_piece(t, id[i], &a);
			const char *pb = sx_tokenizer_piece(t, id[i + 1], &b);
			memcpy(s, pa, a);
			memcpy(s + a, pb, b);
			int u = find(t, s, a + b);
			if (u < 0 || score[u] <= best) continue;
			best = score[u];
			best_id = u;
			best_at = i;
		}
		if (best_at < 0) return n;
		id[best_at] = best_id;
		memmove(id + best_at + 1, id + best_at + 2, (size_t)(n - best_at - 2) * sizeof *id);
		n--;
	}
}

static void heap_equals_the_greedy_loop(void **state)
{
	(void)state;
	enum { PIECES = 120, TEXTS = 60, LEN = 120 };
	static image b;
	for (uint64_t round = 0; round < 4; round++) {
		sx_rng r = {.seed = round, .stream = SX_STREAM_TEST};
		static float score[259 + 5 + PIECES];
		sx_ctx ctx;
		sx_ctx_init(&ctx);
		memset(score, 0, sizeof score);
		put_head(&b);
		const char *const single[] = {" ", "a", "b", "c", "\xC3\xA9"};
		for (int i = 0; i < 5; i++) put_piece(&b, 0, single[i]);
		/* Few different scores, so that ties are the rule; some at run.c's floor. Pieces of
		 * 2 to 5 letters; many come twice. */
		for (int i = 0; i < PIECES; i++) {
			char s[8] = "";
			size_t len = 2 + sx_rng_below(&r, 4);
			for (size_t k = 0; k < len; k++) s[k] = " abc"[sx_rng_below(&r, 4)];
			float v = -(float)sx_rng_below(&r, 6);
			score[259 + 5 + i] = v <= -5 ? -1e10F : v;
			put_piece(&b, score[259 + 5 + i], s);
		}
		sx_tokenizer *t = open_image(&b);
		for (int k = 0; k < TEXTS; k++) {
			char text[LEN];
			int32_t want[2 + LEN], *got;
			int64_t n = 0, m;
			want[n++] = 1;
			want[n++] = find(t, " ", 1);
			for (int i = 0; i < LEN; i++) {
				text[i] = " abcz"[sx_rng_below(&r, 5)];
				int id = find(t, text + i, 1);
				want[n++] = id >= 0 ? id : 3 + (unsigned char)text[i];
			}
			n = greedy(t, score, want, n);
			assert_int_equal(sx_tokenizer_encode(&got, &m, &ctx, t, text, LEN, true),
					 SX_OK);
			assert_int_equal(m, n);
			assert_memory_equal(got, want, (size_t)n * sizeof *got);
			char *back;
			size_t len;
			assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, got, m), SX_OK);
			assert_int_equal(len, LEN);
			assert_memory_equal(back, text, LEN);
			free(back);
			free(got);
		}
		sx_tokenizer_free(t);
	}
}

static void code_points_and_stray_bytes(void **state)
{
	(void)state;
	static image b;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	put_head(&b);
	put_piece(&b, 0, " ");                /* 259 */
	put_piece(&b, 0, "\xC3\xA9");         /* 260, e acute */
	put_piece(&b, 0, "x");                /* 261 */
	put_piece(&b, 0, "\x80\x81\x82\x83"); /* 262, only found if groups end after four bytes */
	sx_tokenizer *t = open_image(&b);
	/* Five stray continuation bytes, e acute, x, the euro sign by its bytes, a cut code point,
	 * and run.c's way with a stray byte after a letter: neither is looked up alone. */
	const char text[] = "\x80\x81\x82\x83\x84\xC3\xA9x\xE2\x82\xAC\xC3x\x80";
	const int32_t want[] = {1,        259,      262,      3 + 0x84, 260,     261,
				3 + 0xE2, 3 + 0x82, 3 + 0xAC, 3 + 0xC3, 3 + 'x', 3 + 0x80};
	int32_t *ids;
	int64_t n;
	assert_int_equal(sx_tokenizer_encode(&ids, &n, &ctx, t, text, sizeof text - 1, true),
			 SX_OK);
	assert_int_equal(n, sizeof want / sizeof *want);
	assert_memory_equal(ids, want, sizeof want);
	char *back;
	size_t len;
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, ids, n), SX_OK);
	assert_string_equal(back, text);
	free(back);
	/* Without BOS the space in front stays, as in run.c. */
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, ids + 1, n - 1), SX_OK);
	assert_int_equal(back[0], ' ');
	free(back);
	free(ids);
	assert_int_equal(sx_tokenizer_encode(&ids, &n, &ctx, t, "", 0, true), SX_OK);
	assert_int_equal(n, 1);
	free(ids);
	int32_t outside = 263;
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, &outside, 1), SX_EDATA);
	sx_tokenizer_free(t);
}

static void bytes_are_themselves(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t;
	int32_t *ids;
	int64_t n;
	char text[256], *back;
	size_t len;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, "bytes", 256), SX_OK);
	for (int i = 0; i < 256; i++) text[i] = (char)i;
	assert_int_equal(sx_tokenizer_encode(&ids, &n, &ctx, t, text, 256, true), SX_OK);
	assert_int_equal(n, 257);
	assert_int_equal(ids[0], sx_tokenizer_bos(t));
	for (int i = 0; i < 256; i++) assert_int_equal(ids[i + 1], i);
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, ids, n), SX_OK);
	assert_int_equal(len, 256);
	assert_memory_equal(back, text, 256);
	free(back);
	free(ids);
	sx_tokenizer_free(t);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, "bytes", 512), SX_EDATA);
	assert_non_null(strstr(ctx.message, "512"));
}

static void refuse(const void *data, size_t size, const char *word)
{
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	write_raw(in_folder("bad.bin"), data, size);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder("bad.bin"), 0), SX_EDATA);
	assert_null(t);
	if (!strstr(ctx.message, word)) fail_msg("no \"%s\" in: %s", word, ctx.message);
}

static void hostile_tokenizers_are_refused(void **state)
{
	(void)state;
	static image good, b;
	put_head(&good);
	refuse("", 0, "not a llama2.c");
	refuse("\x07\0\0", 3, "not a llama2.c");
	refuse("# some text that is no tokenizer at all", 39, "not a llama2.c");
	for (size_t cut = 5; cut < good.n; cut += 7) refuse(good.bytes, cut, "not a llama2.c");
	b = good; /* a length of 4 GB, of zero, beyond the head's longest */
	memset(b.bytes + 8, 0xFF, 4);
	refuse(b.bytes, b.n, "length");
	memset(b.bytes + 8, 0, 4);
	refuse(b.bytes, b.n, "length");
	b.bytes[8] = 13;
	refuse(b.bytes, b.n, "length");
	b = good;
	b.bytes[0] = 0; /* longest token 0 */
	refuse(b.bytes, b.n, "longest token");
	b = good;
	memset(b.bytes + 4, 0xFF, 4); /* score NaN */
	refuse(b.bytes, b.n, "no number");
	b = good;
	b.bytes[good.n - 2] = 'E'; /* <0xFF> -> <0xFE> */
	refuse(b.bytes, b.n, "byte token");
	/* Bytes flipped at random: refused or opened, never a crash or a read beyond the end. */
	sx_rng r = {.seed = 3, .stream = SX_STREAM_TEST};
	for (int i = 0; i < 200; i++) {
		sx_ctx ctx;
		sx_tokenizer *t = NULL;
		sx_ctx_init(&ctx);
		b = good;
		for (int k = 0; k < 3; k++)
			b.bytes[sx_rng_below(&r, good.n)] = (unsigned char)sx_rng_below(&r, 256);
		write_raw(in_folder("bad.bin"), b.bytes, b.n);
		sx_status st = sx_tokenizer_open(&t, &ctx, in_folder("bad.bin"), 0);
		assert_true(st == SX_OK || st == SX_EDATA);
		sx_tokenizer_free(t);
	}
}

static void absent_files(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, in_folder("absent.bin"), 0), SX_ENOINPUT);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, folder, 0), SX_ENOINPUT);
}

/* ---- against run.c ---- */

static sx_tokenizer *open_tok512(void)
{
	sx_ctx ctx;
	sx_tokenizer *t = NULL;
	sx_ctx_init(&ctx);
	char *path = shared("data/models/stories260K/tok512.bin");
	if (!path) skip();
	if (sx_tokenizer_open(&t, &ctx, path, 512) != SX_OK) fail_msg("%s", ctx.message);
	free(path);
	return t;
}

static char *read_shared(const char *name, size_t *size)
{
	sx_ctx ctx;
	char *path = shared(name), *data = NULL;
	sx_ctx_init(&ctx);
	if (!path) skip();
	if (sx_read_file(&ctx, path, &data, size) != SX_OK) fail_msg("%s", ctx.message);
	free(path);
	return data;
}

static void prompt_of_the_traces(void **state)
{
	(void)state;
	sx_ctx ctx;
	size_t size, len;
	int64_t n;
	int32_t *ids;
	sx_ctx_init(&ctx);
	sx_tokenizer *t = open_tok512();
	char *text = read_shared("data/reference/stories260K_prompt.txt", &size);
	char *json = read_shared("data/reference/stories260K_trace_rope.json", &len);
	json_t *trace = json_loadb(json, len, 0, NULL), *want = json_object_get(trace, "tokens");
	assert_int_equal(json_array_size(want), 64);
	assert_int_equal(text[size - 1], '\n');
	assert_int_equal(sx_tokenizer_encode(&ids, &n, &ctx, t, text, size - 1, true), SX_OK);
	assert_int_equal(n, 116); /* the trace holds the first 64 of them, BOS included */
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
	char *back;
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, ids, n), SX_OK);
	assert_int_equal(len, size - 1);
	assert_memory_equal(back, text, len);
	assert_int_equal(sx_tokenizer_eos(t), 2);
	free(back);
	free(ids);
	json_decref(trace);
	free(json);
	free(text);
	sx_tokenizer_free(t);
}

/* Tokens to predict when the first `limit` bytes are cut into pieces of `chunk` bytes. */
static int64_t count_predicted(const sx_tokenizer *t, const char *text, size_t limit, size_t chunk)
{
	int64_t sum = 0;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	for (size_t at = 0; at < limit; at += chunk) {
		int32_t *ids;
		int64_t n;
		size_t len = limit - at < chunk ? limit - at : chunk;
		assert_int_equal(sx_tokenizer_encode(&ids, &n, &ctx, t, text + at, len, true),
				 SX_OK);
		char *back; /* pieces cut code points in two, and come back all the same */
		size_t m;
		assert_int_equal(sx_tokenizer_decode(&back, &m, &ctx, t, ids, n), SX_OK);
		assert_int_equal(m, len);
		assert_memory_equal(back, text + at, len);
		free(back);
		free(ids);
		sum += (n < 512 ? n : 512) - 1;
	}
	return sum;
}

static void counts_of_the_nll_table(void **state)
{
	(void)state;
	size_t size, len;
	sx_tokenizer *t = open_tok512();
	char *json = read_shared("data/reference/stories260K_nll.json", &len);
	json_t *doc = json_loadb(json, len, 0, NULL), *row;
	size_t limit = (size_t)json_integer_value(json_object_get(doc, "limit_bytes")), i;
	char *text = read_shared("data/text/tinystories-sample.txt", &size);
	assert_int_equal(json_array_size(json_object_get(doc, "results")), 4);
	json_array_foreach(json_object_get(doc, "results"), i, row)
	{
		size_t chunk = (size_t)json_integer_value(json_object_get(row, "chunk"));
		assert_int_equal(count_predicted(t, text, limit, chunk),
				 json_integer_value(json_object_get(row, "predicted")));
	}
	free(text);
	row = json_object_get(doc, "shakespeare_ood");
	text = read_shared("data/text/tinyshakespeare.txt", &size);
	assert_int_equal(count_predicted(t, text, limit, 800),
			 json_integer_value(json_object_get(row, "predicted")));
	free(text);
	json_decref(doc);
	free(json);
	sx_tokenizer_free(t);
}

/* ---- files of ids ---- */

static void ids_come_back(void **state)
{
	(void)state;
	const int32_t small[] = {0, 1, 511, 65535}, large[] = {7, 65536, 128255};
	const char *const names[] = {"i.npy", "i.bin", "i.txt"};
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	for (int i = 0; i < 6; i++) {
		const int32_t *ids = i < 3 ? small : large;
		int64_t n = i < 3 ? 4 : 3;
		const char *path = in_folder(names[i % 3]);
		sx_tokens t;
		assert_int_equal(sx_tokens_write(&ctx, path, ids, n), SX_OK);
		assert_int_equal(sx_tokens_read(&t, &ctx, path, 0, SX_IDS_ANY), SX_OK);
		assert_int_equal(t.n, n);
		assert_int_equal(t.rows, 1);
		assert_int_equal(t.cols, n);
		assert_memory_equal(t.ids, ids, (size_t)n * sizeof *ids);
		sx_tokens_free(&t);
		assert_int_equal(sx_tokens_read(&t, &ctx, path, ids[n - 1] + 1, SX_IDS_ANY), SX_OK);
		sx_tokens_free(&t);
		assert_int_equal(sx_tokens_read(&t, &ctx, path, ids[n - 1], SX_IDS_ANY), SX_EDATA);
		assert_non_null(strstr(ctx.message, "vocabulary"));
	}
	assert_int_equal(sx_tokens_write(&ctx, in_folder("i.csv"), small, 4), SX_EUSAGE);
}

/* The layouts, byte by byte, as NumPy and llm.c write them. */
static void written_bytes(void **state)
{
	(void)state;
	const int32_t ids[] = {258, 3};
	sx_ctx ctx;
	char *data;
	size_t size;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_tokens_write(&ctx, in_folder("w.npy"), ids, 2), SX_OK);
	assert_int_equal(sx_read_file(&ctx, in_folder("w.npy"), &data, &size), SX_OK);
	assert_int_equal(size, 128 + 8);
	const char head[] = "\x93NUMPY\x01\x00\x76\x00"
			    "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
	assert_memory_equal(data, head, sizeof head - 1);
	assert_int_equal(data[127], '\n');
	assert_memory_equal(data + 128, "\x02\x01\0\0\x03\0\0\0", 8);
	free(data);
	assert_int_equal(sx_tokens_write(&ctx, in_folder("w.bin"), ids, 2), SX_OK);
	assert_int_equal(sx_read_file(&ctx, in_folder("w.bin"), &data, &size), SX_OK);
	assert_int_equal(size, 1024 + 4);
	assert_memory_equal(data, "\x88\xD8\x34\x01\x01\0\0\0\x02\0\0\0\0", 13);
	assert_memory_equal(data + 1024, "\x02\x01\x03\0", 4);
	free(data);
}

typedef struct {
	const char *name, *data;
	size_t size;
	sx_status want;
	int64_t rows, cols;
} id_file;
#define ID_FILE(name, data, ...) \
	{ \
		name, data, sizeof(data) - 1, __VA_ARGS__ \
	}
#define NPY(dict) "\x93NUMPY\x01\x00\x46\x00" dict

static void other_id_files(void **state)
{
	(void)state;
	/* 70 bytes of header each; all that are read hold 1 2 3 4 5 6 */
	/* clang-format off */
	static const id_file files[] = {
		ID_FILE("a", " 1 2\n3\t4 5 6", SX_OK, 1, 6),
		ID_FILE("raw.bin", "\1\0\2\0\3\0\4\0\5\0\6\0", SX_OK, 1, 6),
		ID_FILE("a.npy", NPY("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }           ")
			"\1\0\2\0\3\0\4\0\5\0\6\0", SX_OK, 2, 3),
		ID_FILE("a.npy", NPY("{'descr': '|u1', 'fortran_order': False, 'shape': (6,), }             ")
			"\1\2\3\4\5\6", SX_OK, 1, 6),
		ID_FILE("a.npy", NPY("{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2), }           ")
			"\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"
			"\4\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0", SX_OK, 3, 2),
		ID_FILE("a.npy", NPY("{'descr': '<u2', 'fortran_order': True, 'shape': (2, 3), }            ")
			"\1\0\2\0\3\0\4\0\5\0\6\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '>u2', 'fortran_order': False, 'shape': (2, 3), }           ")
			"\1\0\2\0\3\0\4\0\5\0\6\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }             ")
			"\1\0\2\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '<u2', 'fortran_order': False, 'shape': (1, 2, 3), }        ")
			"\1\0\2\0\3\0\4\0\5\0\6\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 4), }           ")
			"\1\0\2\0\3\0\4\0\5\0\6\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr':'<u2','fortran_order':False,'shape':(2147483647,2147483647)} ")
			"\1\0", SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '<u2', 'fortran_order': False, 'shape': (0,), }             "),
			SX_EDATA, 0, 0),
		ID_FILE("a.npy", NPY("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }             ")
			"\xFF\xFF\xFF\xFF", SX_EDATA, 0, 0),
		ID_FILE("a.npy", "\x93NUMPY\x01\x00\xFF\xFF{}", SX_EDATA, 0, 0),
		ID_FILE("a.npy", "\x93NUMPY\x02", SX_EDATA, 0, 0),
		ID_FILE("a.bin", "\x88\xD8\x34\x01\x01\0\0\0\x02\0\0\0", SX_EDATA, 0, 0),
		ID_FILE("raw.bin", "\1\0\2", SX_EDATA, 0, 0),
		ID_FILE("raw.bin", "", SX_EDATA, 0, 0),
		ID_FILE("a", "1 2 x", SX_EDATA, 0, 0),
		ID_FILE("a", "1 -2", SX_EDATA, 0, 0),
		ID_FILE("a", "99999999999999999999999999", SX_EDATA, 0, 0),
		ID_FILE("a", " \n", SX_EDATA, 0, 0),
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		sx_ctx ctx;
		sx_tokens t;
		const id_file *f = &files[i];
		sx_ctx_init(&ctx);
		sx_status st = sx_tokens_parse(&t, &ctx, f->name, f->data, f->size, 0, SX_IDS_ANY);
		if (st != f->want) fail_msg("file %zu: status %d, %s", i, (int)st, ctx.message);
		if (st != SX_OK) continue;
		assert_int_equal(t.rows, f->rows);
		assert_int_equal(t.cols, f->cols);
		for (int k = 0; k < 6; k++) assert_int_equal(t.ids[k], k + 1);
		sx_tokens_free(&t);
	}
}

/* ---- how wide ids are, and what a file promises ---- */

typedef struct {
	const char *name;
	char data[1400];
	size_t size;
} bytes_file;

static void put(bytes_file *f, uint64_t v, int width)
{
	assert_true(f->size + (size_t)width <= sizeof f->data);
	for (int i = 0; i < width; i++, v >>= 8) f->data[f->size++] = (char)(v & 255);
}

/* n ids of this width, `first` and on by `by`. */
static bytes_file bare(const char *name, int n, int width, uint64_t first, uint64_t by)
{
	bytes_file f = {.name = name};
	for (int i = 0; i < n; i++) put(&f, first + by * (uint64_t)i, width);
	return f;
}

static bytes_file llmc(uint64_t magic, uint64_t version, uint64_t says, int n, int width)
{
	bytes_file f = {.name = "a.bin"};
	put(&f, magic, 4), put(&f, version, 4), put(&f, says, 4);
	while (f.size < 1024) put(&f, 0, 4);
	for (int i = 0; i < n; i++) put(&f, 300 + (uint64_t)i, width);
	return f;
}

static bytes_file npy(const char *dict, int version, int n, int width, uint64_t first)
{
	bytes_file f = {.name = "a.npy"};
	memcpy(f.data, "\x93NUMPY", 6);
	f.size = 6;
	put(&f, (uint64_t)version, 1), put(&f, 0, 1);
	put(&f, strlen(dict), version == 1 ? 2 : 4);
	memcpy(f.data + f.size, dict, strlen(dict));
	f.size += strlen(dict);
	for (int i = 0; i < n; i++) put(&f, first, width);
	return f;
}

/* What is read has n ids, the last of which is `last`; else the words of the refusal. */
static void expect_ids(bytes_file f, int vocab, sx_id_width ids, int64_t n, int32_t last)
{
	sx_ctx ctx;
	sx_tokens t;
	sx_ctx_init(&ctx);
	if (sx_tokens_parse(&t, &ctx, f.name, f.data, f.size, vocab, ids) != SX_OK)
		fail_msg("%s", ctx.message);
	assert_int_equal(t.n, n);
	assert_int_equal(t.ids[n - 1], last);
	sx_tokens_free(&t);
}

static void refuse_ids(bytes_file f, int vocab, sx_id_width ids, sx_status want, const char *words)
{
	sx_ctx ctx;
	sx_tokens t;
	sx_ctx_init(&ctx);
	sx_status st = sx_tokens_parse(&t, &ctx, f.name, f.data, f.size, vocab, ids);
	if (st != want || !strstr(ctx.message, words))
		fail_msg("status %d, '%s'; wanted %d, '%s'", (int)st, ctx.message, (int)want,
			 words);
}

static void bare_ids(void **state)
{
	(void)state;
	expect_ids(bare("a.bin", 40, 2, 7, 3), 1000, SX_IDS_ANY, 40, 124);
	expect_ids(bare("a.bin", 1, 2, 7, 0), 1000, SX_IDS_ANY, 1, 7);
	expect_ids(bare("a.bin", 40, 4, 7, 3), 1000, SX_IDS_U32, 40, 124);
	expect_ids(bare("-", 40, 4, 7, 3), 1000, SX_IDS_U32, 40, 124);
	expect_ids(bare("a.bin", 40, 4, 7, 3), 1000, SX_IDS_U16, 80, 0); /* who asks, gets */
	/* symbols of a tiny vocabulary, all below 16, are no halves */
	expect_ids(bare("a.bin", 15, 2, 1, 1), 16, SX_IDS_ANY, 15, 15);
	for (int n = 1; n < 60; n += 19)
		refuse_ids(bare("a.bin", n, 4, 7, 3), 1000, SX_IDS_ANY, SX_EDATA,
			   "every second 16-bit number is 0, so these are 32-bit ids: give --ids "
			   "u32");
	/* ids of a large vocabulary, of which this model knows nothing */
	refuse_ids(bare("a.bin", 60, 4, 500, 2000), 0, SX_IDS_ANY, SX_EDATA, "below 16");
	refuse_ids(bare("a.bin", 60, 4, 500, 2000), 128256, SX_IDS_ANY, SX_EDATA,
		   "vocabulary of 128256 needs more: give --ids u32");
	expect_ids(bare("a.bin", 60, 4, 500, 2000), 128256, SX_IDS_U32, 60, 118500);
	expect_ids(bare("a.bin", 60, 2, 500, 3), 65536, SX_IDS_ANY, 60, 677);
	refuse_ids(bare("a.bin", 60, 2, 500, 3), 65537, SX_IDS_ANY, SX_EDATA, "--ids u32");
	expect_ids(bare("a.bin", 60, 2, 500, 3), 65537, SX_IDS_U16, 60, 677);
	refuse_ids(bare("a.bin", 6, 8, 7, 3), 1000, SX_IDS_ANY, SX_EDATA, "64-bit ids");
	refuse_ids(bare("a.bin", 7, 1, 7, 3), 1000, SX_IDS_ANY, SX_EDATA, "no multiple of 2");
	refuse_ids(bare("a.bin", 5, 2, 7, 3), 1000, SX_IDS_U32, SX_EDATA, "no multiple of 4");
	refuse_ids(bare("a.bin", 0, 2, 7, 3), 1000, SX_IDS_U32, SX_EDATA, "holds no token ids");
	refuse_ids(bare("a.bin", 9, 4, 0xFFFFFFFF, 0), 0, SX_IDS_U32, SX_EDATA, "negative");
	refuse_ids((bytes_file){"a.bin", "12 13 14", 8}, 0, SX_IDS_ANY, SX_EDATA, "as text");
	refuse_ids((bytes_file){"a.txt", "12 13 14", 8}, 0, SX_IDS_U16, SX_EUSAGE, "leave it out");
}

static void ids_with_a_header(void **state)
{
	(void)state;
	const uint64_t u16 = 20240520, u32 = 20240801;
	expect_ids(llmc(u16, 1, 40, 40, 2), 1000, SX_IDS_ANY, 40, 339);
	expect_ids(llmc(u32, 7, 40, 40, 4), 1000, SX_IDS_ANY, 40, 339);
	refuse_ids(llmc(u16, 1, 40, 40, 4), 0, SX_IDS_ANY, SX_EDATA,
		   "its size is that of as many of 32");
	refuse_ids(llmc(u32, 7, 40, 40, 2), 0, SX_IDS_ANY, SX_EDATA,
		   "its size is that of as many of 16");
	refuse_ids(llmc(u16, 1, 41, 40, 2), 0, SX_IDS_ANY, SX_EDATA, "cut off");
	refuse_ids(llmc(u16, 1, 39, 40, 2), 0, SX_IDS_ANY, SX_EDATA, "too long");
	refuse_ids(llmc(u32, 7, 0x40000000, 40, 4), 0, SX_IDS_ANY, SX_EDATA, "cut off");
	refuse_ids(llmc(u16, 1, 0, 0, 2), 0, SX_IDS_ANY, SX_EDATA, "holds no token ids");
	refuse_ids(llmc(u16, 7, 40, 40, 2), 0, SX_IDS_ANY, SX_EDATA, "version 7");
	refuse_ids(llmc(u16, 1, 40, 40, 2), 0, SX_IDS_U16, SX_EUSAGE, "leave it out");
}

#define DICT(descr, order, shape) \
	"{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"

static void numpy_ids(void **state)
{
	(void)state;
	static const char i4[] = DICT("'<i4'", "False", "(3,)");
	for (int version = 1; version <= 3; version++)
		expect_ids(npy(i4, version, 3, 4, 9), 10, SX_IDS_ANY, 3, 9);
	refuse_ids(npy(i4, 4, 3, 4, 9), 10, SX_IDS_ANY, SX_EDATA, "version 4");
	expect_ids(npy(DICT("'<i2'", "False", "(3,)"), 1, 3, 2, 9), 10, SX_IDS_ANY, 3, 9);
	expect_ids(npy(DICT("'|i1'", "False", "(3,)"), 1, 3, 1, 9), 10, SX_IDS_ANY, 3, 9);
	/* one row is the same in either order */
	expect_ids(npy(DICT("'<i4'", "True", "(1, 3)"), 1, 3, 4, 9), 10, SX_IDS_ANY, 3, 9);
	const struct {
		const char *dict;
		int n, width;
		uint64_t value;
		const char *words;
	} cases[] = {
		{DICT("'>i4'", "False", "(3,)"), 3, 4, 9,
		 "big-endian (>i4): save ids.astype(\"<i4"},
		{DICT("'>u2'", "False", "(3,)"), 3, 2, 9, "big-endian"},
		{DICT("'<f4'", "False", "(3,)"), 3, 4, 9, "of type <f4 and token ids are whole"},
		{DICT("'|b1'", "False", "(3,)"), 3, 1, 1, "of type |b1"},
		{DICT("'<U4'", "False", "(3,)"), 3, 16, 1, "of type <U4"},
		{DICT("[('a', '<i4')]", "False", "(3,)"), 3, 4, 9, "plain numbers"},
		{DICT("'<i4'", "True", "(2, 3)"), 6, 4, 9, "Fortran order"},
		{DICT("'<i4'", "False", "(1, 2, 3)"), 6, 4, 9, "1-D or 2-D"},
		{DICT("'<i4'", "False", "()"), 1, 4, 9, "1-D or 2-D"},
		{DICT("'<i4'", "False", "(-1,)"), 1, 4, 9, "1-D or 2-D"},
		{DICT("'<i4'", "False", "(4,)"), 3, 4, 9, "cut off: 3 of 4"},
		{DICT("'<i4'", "False", "(2,)"), 3, 4, 9, "4 bytes follow"},
		{DICT("'<i4'", "False", "(3,)"), 3, 4, 0xFFFFFFFF, "number 0 (from 0) is negative"},
		{DICT("'<i2'", "False", "(3,)"), 3, 2, 0xFFFF, "is negative"},
		{DICT("'|i1'", "False", "(3,)"), 3, 1, 0xFF, "is negative"},
		{DICT("'<i8'", "False", "(3,)"), 3, 8, 1ull << 40, "too large to be an id"},
		{DICT("'<i4'", "False", "(3,)"), 3, 4, 10, "outside the model's vocabulary of 10"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refuse_ids(npy(cases[i].dict, 1, cases[i].n, cases[i].width, cases[i].value), 10,
			   SX_IDS_ANY, SX_EDATA, cases[i].words);
	refuse_ids(npy(i4, 1, 3, 4, 9), 10, SX_IDS_U32, SX_EUSAGE, "leave it out");
}

/* ---- corpus ---- */

static void write_text(const char *name, const char *text)
{
	write_raw(in_folder(name), text, strlen(text));
}

static int logged;

static void count_log(void *self, sx_log_level level, const char *msg)
{
	(void)self;
	(void)msg;
	logged += level == SX_LOG_WARN;
}

/* Files: c/B 20 bytes, c/a 25, c/d/e 10; then what must not count. */
static void lay_out_corpus(void)
{
	assert_int_equal(mkdir(in_folder("c"), 0777), 0);
	assert_int_equal(mkdir(in_folder("c/d"), 0777), 0);
	write_text("c/B", "00000000001111111122");
	write_text("c/a", "aaaaaaaaaaaaaaaaaaaaaaa\xC3\xA9"); /* the cut would fall into e acute */
	write_text("c/d/e", "eeeeeeeeeE");
	write_text("c/.hidden", "hidden");
	write_text("c/empty", "");
	write_raw(in_folder("c/object"), "ab\0cd", 5);
	assert_int_equal(symlink("a", in_folder("c/link")), 0);
	assert_int_equal(symlink(".", in_folder("c/loop")), 0);
	assert_int_equal(symlink("nowhere", in_folder("c/dangling")), 0);
}

static void corpus_of_a_folder(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t;
	sx_corpus c, d;
	sx_ctx_init(&ctx);
	ctx.log = count_log;
	lay_out_corpus();
	char *top = sx_strdup(in_folder("c")), *again = sx_strdup(in_folder("c/d/e"));
	const char *paths[] = {again, top, again};
	assert_int_equal(sx_tokenizer_open(&t, &ctx, "bytes", 0), SX_OK);
	assert_int_equal(sx_corpus_read(&c, &ctx, paths + 1, 2, t), SX_OK);
	assert_int_equal(logged, 1); /* the object file */
	assert_int_equal(c.n_files, 3);
	assert_string_equal(c.files[0].path, in_folder("c/B"));
	assert_string_equal(c.files[1].path, in_folder("c/a"));
	assert_string_equal(c.files[2].path, in_folder("c/d/e"));
	assert_int_equal(c.bytes, 20 + 25 + 10);
	assert_int_equal(c.n_train, 18 + 23 + 9);
	assert_int_equal(c.n_heldout, 2 + 2 + 1);
	const int32_t heldout[] = {'2', '2', 0xC3, 0xA9, 'E'};
	assert_memory_equal(c.heldout, heldout, sizeof heldout);
	assert_int_equal(c.train[c.files[2].train], 'e');
	assert_int_equal(c.files[2].n_train, 9);
	const char all[] = "00000000001111111122"
			   "aaaaaaaaaaaaaaaaaaaaaaa\xC3\xA9"
			   "eeeeeeeeeE";
	XXH128_canonical_t canon;
	char hex[33];
	XXH128_canonicalFromHash(&canon, XXH3_128bits(all, sizeof all - 1));
	for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", canon.digest[i]);
	assert_string_equal(c.fingerprint, hex);

	/* The order given is kept, and the first mention of a file counts. */
	assert_int_equal(sx_corpus_read(&d, &ctx, paths, 2, t), SX_OK);
	assert_int_equal(d.n_files, 3);
	assert_string_equal(d.files[0].path, again);
	assert_string_not_equal(d.fingerprint, c.fingerprint);

	json_t *j = sx_corpus_json(&c);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "xxh128")), hex);
	assert_int_equal(json_array_size(json_object_get(j, "files")), 3);
	json_decref(j);
	sx_corpus_free(&c);
	sx_corpus_free(&d);
	sx_tokenizer_free(t);
	free(top);
	free(again);
}

static void corpus_without_text(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t;
	sx_corpus c;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, "bytes", 0), SX_OK);
	assert_int_equal(mkdir(in_folder("none"), 0777), 0);
	write_raw(in_folder("none/o"), "\0", 1);
	const char *path = in_folder("none");
	assert_int_equal(sx_corpus_read(&c, &ctx, &path, 1, t), SX_ENOINPUT);
	assert_non_null(strstr(ctx.message, "no text found"));
	path = in_folder("absent");
	assert_int_equal(sx_corpus_read(&c, &ctx, &path, 1, t), SX_ENOINPUT);
	assert_non_null(strstr(ctx.message, "does not exist"));
	sx_tokenizer_free(t);
}

static void default_corpus(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_tokenizer *t;
	sx_corpus c, d;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_tokenizer_open(&t, &ctx, "bytes", 0), SX_OK);
	sx_status st = sx_corpus_read(&c, &ctx, NULL, 0, t);
	if (st == SX_ENOINPUT) {
		print_message("skipped: neither licence texts nor headers on this machine\n");
		sx_tokenizer_free(t);
		skip();
	}
	assert_int_equal(st, SX_OK);
	assert_int_equal(sx_corpus_read(&d, &ctx, NULL, 0, t), SX_OK);
	print_message("default corpus: %d files, %d bytes, %s\n", (int)c.n_files, (int)c.bytes,
		      c.fingerprint);
	assert_true(c.bytes <= 4000000);
	assert_true(c.is_default);
	assert_int_equal(c.n_train + c.n_heldout, c.bytes);
	assert_string_equal(c.fingerprint, d.fingerprint);
	for (int64_t i = 0; i < c.n_files; i++) {
		size_t n = strlen(c.files[i].path);
		assert_true(strncmp(c.files[i].path, "/usr/share/", 11) == 0 ||
			    strcmp(c.files[i].path + n - 2, ".h") == 0);
	}
	sx_corpus_free(&c);
	sx_corpus_free(&d);
	sx_tokenizer_free(t);
}

static void corpus_in_tokens(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_corpus c;
	sx_ctx_init(&ctx);
	sx_tokenizer *t = open_tok512();
	char *path = shared("data/text/names.txt");
	if (!path) skip();
	const char *const paths[] = {path};
	assert_int_equal(sx_corpus_read(&c, &ctx, paths, 1, t), SX_OK);
	assert_int_equal(c.vocab, 512);
	assert_int_equal(c.bos, 1);
	assert_true(c.n_train > 8 * c.n_heldout && c.n_train < c.bytes);
	char *text, *back;
	size_t size, len;
	assert_int_equal(sx_read_file(&ctx, path, &text, &size), SX_OK);
	assert_int_equal(sx_tokenizer_decode(&back, &len, &ctx, t, c.heldout, c.n_heldout), SX_OK);
	assert_int_equal(len, size / 10 + 1); /* the space that sentencepiece puts in front */
	assert_string_equal(back + 1, text + size - size / 10);
	free(back);
	free(text);
	free(path);
	sx_corpus_free(&c);
	sx_tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_themselves),
		cmocka_unit_test(heap_equals_the_greedy_loop),
		cmocka_unit_test(code_points_and_stray_bytes),
		cmocka_unit_test(hostile_tokenizers_are_refused),
		cmocka_unit_test(absent_files),
		cmocka_unit_test(prompt_of_the_traces),
		cmocka_unit_test(counts_of_the_nll_table),
		cmocka_unit_test(ids_come_back),
		cmocka_unit_test(written_bytes),
		cmocka_unit_test(other_id_files),
		cmocka_unit_test(bare_ids),
		cmocka_unit_test(ids_with_a_header),
		cmocka_unit_test(numpy_ids),
		cmocka_unit_test(corpus_of_a_folder),
		cmocka_unit_test(corpus_without_text),
		cmocka_unit_test(default_corpus),
		cmocka_unit_test(corpus_in_tokens),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* Tensors in and out: safetensors against files of other writers, hostile files, a full disk, and
 * llama2.c checkpoints against what llama2.c computes from one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/files/llama2c.h"
#include "engine/files/safetensors.h"

static char dir[] = "/tmp/sextant-safetensors-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN); /* as the program does: a write past the limit is an error */
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	DIR *d = opendir(dir);
	if (!d) return -1;
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.') unlink(path);
	}
	closedir(d);
	return rmdir(dir);
}

/* A path in the temporary folder; one of four buffers in turn. */
static const char *in_dir(const char *name)
{
	static char paths[4][256];
	static int next;
	char *p = paths[next++ & 3];
	snprintf(p, sizeof paths[0], "%s/%s", dir, name);
	return p;
}

/* A shared file, or NULL where there is none. */
static const char *shared(const char *name)
{
	static char path[1024];
	const char *root = getenv("SEXTANT_SHARED");
	snprintf(path, sizeof path, "%s/%s", root ? root : SX_SOURCE_DIR "/../shared", name);
	return sx_path_exists(path) ? path : NULL;
}

static void put_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* A file with this header and so many bytes of data (0, 1, 2 ...). */
static void put_safetensors(const char *path, const char *header, size_t data)
{
	char buf[4096];
	uint64_t n = strlen(header);
	assert_true(8 + n + data <= sizeof buf);
	memcpy(buf, &n, 8);
	memcpy(buf + 8, header, n);
	for (size_t i = 0; i < data; i++) buf[8 + n + i] = (char)i;
	put_file(path, buf, 8 + n + data);
}

static void expect_failure(const char *path, sx_status want, const char *words)
{
	sx_ctx ctx;
	sx_tensors *t = NULL;
	sx_ctx_init(&ctx);
	sx_status st = sx_safetensors_open(&t, &ctx, path);
	if (st != want || !strstr(ctx.message, words))
		fail_msg("status %d, message '%s'; wanted '%s'", st, ctx.message, words);
	assert_null(t);
}

/* ---- reading and writing ---- */

static void test_files_of_others(void **state)
{
	(void)state;
	static const double want2[] = {1, 2, 3, 24, 25, 26};
	static const float want4[] = {11, 12, 13, 1,  2,  3,  4,  5,  6,
				      22, 23, 24, 15, 16, 17, 17, 18, 19};
	sx_ctx ctx;
	sx_tensors *t = NULL;
	sx_ctx_init(&ctx);
	const char *path = shared("data/formats/safetensors/tensor-2d-float64.safetensors");
	if (!path) {
		print_message("skipped: no shared data\n");
		skip();
	}
	assert_int_equal(sx_safetensors_open(&t, &ctx, path), SX_OK);
	const sx_tensor *x = NULL;
	double d[6];
	float f[18];
	assert_int_equal(sx_tensors_need(&x, &ctx, t, "embedding", 2, 3), SX_OK);
	assert_int_equal(sx_tensor_read_f64(&ctx, x, d), SX_OK);
	assert_memory_equal(d, want2, sizeof d);
	sx_tensors_free(t);

	path = shared("data/formats/safetensors/tensor-4d-float32.safetensors");
	assert_int_equal(sx_safetensors_open(&t, &ctx, path), SX_OK);
	x = sx_tensors_find(t, "embedding");
	assert_non_null(x);
	assert_int_equal(x->rank, 4);
	assert_int_equal(x->count, 18);
	assert_int_equal(sx_tensor_read_f32(&ctx, x, f), SX_OK);
	assert_memory_equal(f, want4, sizeof f);
	assert_int_equal(sx_tensors_need(&x, &ctx, t, "embedding", 2, 9), SX_EDATA);
	assert_non_null(strstr(ctx.message, "(2, 3, 1, 3)"));
	assert_int_equal(sx_tensors_need(&x, &ctx, t, "nothing", 2, 9), SX_EDATA);
	sx_tensors_free(t);
}

/* The fixtures come from a writer in Python: read and written again they have the same bytes. */
static void test_same_bytes_as_another_writer(void **state)
{
	(void)state;
	static const char *const names[] = {"mha/model", "mha/expected", "combined/model",
					    "combined/expected", "qk_norm_full/expected"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		sx_ctx ctx;
		sx_ctx_init(&ctx);
		char path[1024];
		snprintf(path, sizeof path, "%s/tests/fixtures/%s.safetensors", SX_SOURCE_DIR,
			 names[i]);
		sx_tensors *t = NULL;
		assert_int_equal(sx_safetensors_open(&t, &ctx, path), SX_OK);
		assert_string_equal(sx_tensors_metadata(t, "format"), "pt");
		const char *copy = in_dir("copy.safetensors");
		assert_int_equal(sx_safetensors_write(&ctx, copy, t->list, t->n, NULL, 0), SX_OK);
		char *a = NULL, *b = NULL;
		size_t na = 0, nb = 0;
		assert_int_equal(sx_read_file(&ctx, path, &a, &na), SX_OK);
		assert_int_equal(sx_read_file(&ctx, copy, &b, &nb), SX_OK);
		assert_int_equal(na, nb);
		assert_memory_equal(a, b, na);
		free(a);
		free(b);
		sx_tensors_free(t);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	static const float f[] = {1.5f, -2, 0.1f, 1e-40f, 3e38f, -0.0f};
	static const double d[] = {1.0 / 3, -1e300};
	static const int64_t n[] = {-5, INT64_MAX};
	static const unsigned char u[] = {0, 200, 255};
	const sx_tensor list[] = {
		{.name = "b", .dtype = SX_DTYPE_U8, .rank = 1, .shape = {3}, .data = u},
		{.name = "a.weight", .dtype = SX_DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = f},
		{.name = "none", .dtype = SX_DTYPE_F32, .rank = 2, .shape = {0, 7}, .data = f},
		{.name = "scalar", .dtype = SX_DTYPE_F64, .data = d},
		{.name = "d", .dtype = SX_DTYPE_F64, .rank = 1, .shape = {2}, .data = d},
		{.name = "n", .dtype = SX_DTYPE_I64, .rank = 1, .shape = {2}, .data = n},
	};
	const sx_tensor_meta meta[] = {{"step", "1400"}, {"note", "gr\xc3\xbc\xc3\x9f"}};
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	const char *path = in_dir("round.safetensors");
	assert_int_equal(sx_safetensors_write(&ctx, path, list, 6, meta, 2), SX_OK);
	assert_false(sx_path_exists(in_dir("round.safetensors.tmp")));

	sx_tensors *t = NULL;
	assert_int_equal(sx_safetensors_open(&t, &ctx, path), SX_OK);
	assert_int_equal(t->n, 6);
	assert_string_equal(sx_tensors_metadata(t, "step"), "1400");
	assert_string_equal(sx_tensors_metadata(t, "note"), meta[1].value);
	assert_string_equal(sx_tensors_metadata(t, "format"), "pt");
	assert_null(sx_tensors_metadata(t, "nothing"));
	float rf[6];
	double rd[6];
	int64_t rn[3];
	assert_int_equal(sx_tensor_read_f32(&ctx, sx_tensors_find(t, "a.weight"), rf), SX_OK);
	assert_memory_equal(rf, f, sizeof f);
	assert_int_equal(sx_tensor_read_f64(&ctx, sx_tensors_find(t, "a.weight"), rd), SX_OK);
	for (int i = 0; i < 6; i++) assert_true(rd[i] == (double)f[i]);
	assert_int_equal(sx_tensor_read_f64(&ctx, sx_tensors_find(t, "d"), rd), SX_OK);
	assert_memory_equal(rd, d, sizeof d);
	assert_int_equal(sx_tensor_read_f32(&ctx, sx_tensors_find(t, "scalar"), rf), SX_OK);
	assert_true(rf[0] == (float)d[0]);
	assert_int_equal(sx_tensor_read_i64(&ctx, sx_tensors_find(t, "n"), rn), SX_OK);
	assert_memory_equal(rn, n, sizeof n);
	assert_int_equal(sx_tensor_read_i64(&ctx, sx_tensors_find(t, "b"), rn), SX_OK);
	assert_int_equal(rn[1], 200);
	assert_int_equal(sx_tensors_find(t, "none")->count, 0);
	assert_int_equal(sx_tensor_read_f32(&ctx, sx_tensors_find(t, "n"), rf), SX_EDATA);
	assert_int_equal(sx_tensor_read_i64(&ctx, sx_tensors_find(t, "d"), rn), SX_EDATA);
	assert_non_null(strstr(ctx.message, "tensor d is of type F64"));
	sx_tensors_free(t);

	const sx_tensor twice[] = {list[0], list[0]};
	assert_int_equal(sx_safetensors_write(&ctx, path, twice, 2, NULL, 0), SX_EINTERNAL);
	assert_int_equal(sx_safetensors_write(&ctx, in_dir("no/x"), list, 6, NULL, 0), SX_ECREATE);
}

/* All 65536 values of each 16-bit type against their definition. */
static void test_half_types(void **state)
{
	(void)state;
	static uint16_t bits[65536];
	static double d[65536];
	static float f[65536];
	for (int i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
	sx_tensor t = {.name = "h", .count = 65536, .data = bits};
	static const struct {
		sx_dtype dtype;
		int exponent, mantissa;
	} kinds[] = {{SX_DTYPE_F16, 5, 10}, {SX_DTYPE_BF16, 8, 7}};
	for (int k = 0; k < 2; k++) {
		int E = kinds[k].exponent, M = kinds[k].mantissa, bias = (1 << (E - 1)) - 1;
		t.dtype = kinds[k].dtype;
		assert_int_equal(sx_tensor_read_f64(NULL, &t, d), SX_OK);
		assert_int_equal(sx_tensor_read_f32(NULL, &t, f), SX_OK);
		for (int i = 0; i < 65536; i++) {
			int m = i & ((1 << M) - 1), e = i >> M & ((1 << E) - 1);
			double sign = i & 32768 ? -1 : 1, want;
			if (e == (1 << E) - 1)
				want = m ? (double)NAN : (double)INFINITY;
			else if (e == 0)
				want = ldexp(m, 1 - bias - M);
			else
				want = ldexp((1 << M) + m, e - bias - M);
			if (m && e == (1 << E) - 1) {
				assert_true(isnan(d[i]) && isnan(f[i]));
				continue;
			}
			assert_true(d[i] == sign * want && (double)f[i] == d[i]);
			assert_int_equal(signbit(d[i]) != 0, i >> 15);
		}
	}
}

/* ---- files that must be refused ---- */

#define ENTRY(name, dtype, shape, offsets) \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_hostile_headers(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		size_t data;
		const char *words;
	} files[] = {
		{"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 7, "truncated"},
		{"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 9, "1 bytes after"},
		{"{" ENTRY("a", "F32", "[2]", "[1,9]") "}", 9, "hole"},
		{"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[2,6]") "}", 6,
		 "overlap"},
		{"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[5,9]") "}", 9,
		 "hole"},
		{"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("a", "U8", "[4]", "[4,8]") "}", 8,
		 "duplicate"},
		{"{" ENTRY("a", "F32", "[2]", "[0,4]") "}", 4, "need 8 bytes"},
		{"{" ENTRY("a", "F32", "[2]", "[8,0]") "}", 8, "impossible data_offsets"},
		{"{" ENTRY("a", "F32", "[2]", "[-8,0]") "}", 8, "impossible data_offsets"},
		{"{" ENTRY("a", "F32", "[2]", "[0]") "}", 8, "impossible data_offsets"},
		{"{" ENTRY("a", "F32", "[2]", "{}") "}", 8, "impossible data_offsets"},
		{"{" ENTRY("a", "F32", "[-2]", "[0,8]") "}", 8, "impossible shape"},
		{"{" ENTRY("a", "F32", "[2.0]", "[0,8]") "}", 8, "impossible shape"},
		{"{" ENTRY("a", "F32", "8", "[0,8]") "}", 8, "impossible shape"},
		{"{" ENTRY("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0,
		 "impossible shape"},
		{"{" ENTRY("a", "F64", "[2305843009213693952]", "[0,0]") "}", 0,
		 "impossible shape"},
		{"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "impossible shape"},
		{"{" ENTRY("a", "F4_E2M1", "[2]", "[0,8]") "}", 8, "F4_E2M1, which is not known"},
		{"{" ENTRY("a", "\\u001b[2J", "[2]", "[0,8]") "}", 8, "(none), which is not known"},
		{"{" ENTRY("a\\u0007", "F32", "[2]", "[0,8]") "}", 8, "control characters"},
		{"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "not known"},
		{"{\"a\":7}", 8, "not known"},
		{"{\"__metadata__\":{\"step\":3}}", 0, "more than strings"},
		{"{\"__metadata__\":[]}", 0, "not an object"},
		{"{\"a\":", 0, "not valid JSON"},
		{"{} {}", 0, "not valid JSON"},
		{"[]", 0, "not a safetensors file"},
		{"", 100, "not a safetensors file"},
	};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		put_safetensors(in_dir("bad.safetensors"), files[i].header, files[i].data);
		expect_failure(in_dir("bad.safetensors"), SX_EDATA, files[i].words);
	}
	uint64_t huge[] = {UINT64_MAX, 0x7b7b};
	put_file(in_dir("bad.safetensors"), huge, sizeof huge);
	expect_failure(in_dir("bad.safetensors"), SX_EDATA, "not a safetensors file");
	huge[0] = 50;
	put_file(in_dir("bad.safetensors"), huge, sizeof huge);
	expect_failure(in_dir("bad.safetensors"), SX_EDATA, "truncated");
	put_file(in_dir("bad.safetensors"), huge, 0);
	expect_failure(in_dir("bad.safetensors"), SX_EDATA, "empty");
	expect_failure(in_dir("absent.safetensors"), SX_ENOINPUT, "cannot read");
	expect_failure(dir, SX_ENOINPUT, "model.safetensors.index.json");
}

/* No prefix of a file is a file, and no changed byte makes the reader fall. */
static void test_cut_and_changed(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	char *whole = NULL;
	size_t size = 0;
	const float f[6] = {1, 2, 3, 4, 5, 6};
	const sx_tensor list[] = {
		{.name = "a", .dtype = SX_DTYPE_F32, .rank = 2, .shape = {1, 4}, .data = f},
		{.name = "b", .dtype = SX_DTYPE_F32, .rank = 1, .shape = {2}, .data = f + 4}};
	const char *path = in_dir("cut.safetensors");
	assert_int_equal(sx_safetensors_write(&ctx, path, list, 2, NULL, 0), SX_OK);
	assert_int_equal(sx_read_file(&ctx, path, &whole, &size), SX_OK);
	for (size_t n = 0; n < size; n++) {
		put_file(path, whole, n);
		expect_failure(path, SX_EDATA, "");
	}
	char changed[1024];
	assert_true(size <= sizeof changed);
	int opened = 0;
	for (uint64_t i = 0; i < 3000; i++) {
		memcpy(changed, whole, size);
		for (uint64_t k = 0; k <= i % 3; k++) {
			uint64_t r = sx_random_bits(7, SX_STREAM_TEST, 4 * i + k);
			changed[r % size] = (char)(r >> 32);
		}
		put_file(path, changed, size);
		sx_tensors *t = NULL;
		if (sx_safetensors_open(&t, &ctx, path) != SX_OK) continue;
		opened++;
		for (int64_t k = 0; k < t->n; k++) {
			double d[64];
			assert_true(t->list[k].count <= 64);
			(void)!sx_tensor_read_f64(&ctx, &t->list[k], d);
		}
		sx_tensors_free(t);
	}
	assert_true(opened > 0 && opened < 3000);
	free(whole);
}

static void test_shards(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	const float f[4] = {1, 2, 3, 4};
	const sx_tensor a = {
		.name = "a", .dtype = SX_DTYPE_F32, .rank = 1, .shape = {4}, .data = f};
	const sx_tensor b = {
		.name = "b", .dtype = SX_DTYPE_F32, .rank = 1, .shape = {2}, .data = f};
	assert_int_equal(sx_safetensors_write(&ctx, in_dir("m1.safetensors"), &a, 1, NULL, 0),
			 SX_OK);
	assert_int_equal(sx_safetensors_write(&ctx, in_dir("m2.safetensors"), &b, 1, NULL, 0),
			 SX_OK);
	const sx_tensor both[] = {a, b};
	assert_int_equal(sx_safetensors_write(&ctx, in_dir("both.safetensors"), both, 2, NULL, 0),
			 SX_OK);
	static const struct {
		const char *index;
		sx_status status;
		const char *words;
	} cases[] = {
		{"{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\"}}", SX_OK, ""},
		{"{\"weight_map\":{\"b\":\"m2.safetensors\"}}", SX_OK, ""},
		{"{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"m1.safetensors\"}}", SX_EDATA,
		 "tensor b is not in m1"},
		{"{\"weight_map\":{\"b\":\"m1.safetensors\"}}", SX_EDATA, "not in the index"},
		{"{\"weight_map\":{\"a\":\"../m1.safetensors\"}}", SX_EDATA,
		 "puts tensor a into ../m1.safetensors"},
		{"{\"weight_map\":{\"a\":\"m3.safetensors\"}}", SX_ENOINPUT, "m3.safetensors"},
		{"{\"weight_map\":{\"a\":3}}", SX_EDATA, "cannot be"},
		{"{\"metadata\":{}}", SX_EDATA, "no weight_map"},
		{"{", SX_EDATA, "line 1: not a JSON object"},
		{"{\"weight_map\":{\"a\":\"m1.safetensors\",\"a\":\"m2.safetensors\"}}", SX_EDATA,
		 "a key is there twice"},
		{"{\"weight_map\":{\"a\":\"..\"}}", SX_EDATA, "must lie beside it"},
		{"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", SX_EDATA, "must lie beside it"},
		{"{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"both.safetensors\"}}", SX_EDATA,
		 "puts tensor a into m1.safetensors, and both.safetensors has it too"},
	};
	const char *index = in_dir("model.safetensors.index.json");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		put_file(index, cases[i].index, strlen(cases[i].index));
		if (cases[i].status != SX_OK) {
			expect_failure(dir, cases[i].status, cases[i].words);
			continue;
		}
		sx_tensors *t = NULL; /* the folder: it holds no model.safetensors */
		assert_int_equal(sx_safetensors_open(&t, &ctx, dir), SX_OK);
		float r[2];
		const sx_tensor *x = NULL;
		assert_int_equal(sx_tensors_need(&x, &ctx, t, "b", 2, 0), SX_OK);
		assert_int_equal(sx_tensor_read_f32(&ctx, x, r), SX_OK);
		assert_memory_equal(r, f, sizeof r);
		assert_int_equal(t->n, i == 0 ? 2 : 1);
		sx_tensors_free(t);
	}
	unlink(index);
}

static void test_full_disk(void **state)
{
	(void)state;
	static const float f[4096];
	const sx_tensor a = {
		.name = "a", .dtype = SX_DTYPE_F32, .rank = 1, .shape = {4096}, .data = f};
	const sx_tensor small = {.name = "a", .dtype = SX_DTYPE_F32, .data = f};
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	const char *path = in_dir("full.safetensors"), *tmp = in_dir("full.safetensors.tmp");
	struct rlimit old, low;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (int there = 0; there < 2; there++) {
		if (there)
			assert_int_equal(sx_safetensors_write(&ctx, path, &small, 1, NULL, 0),
					 SX_OK);
		low = old;
		low.rlim_cur = 8192;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
		sx_status st = sx_safetensors_write(&ctx, path, &a, 1, NULL, 0);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(st, SX_EIO);
		assert_false(sx_path_exists(tmp));
		assert_int_equal(sx_path_exists(path), there);
	}
	sx_tensors *t = NULL;
	assert_int_equal(sx_safetensors_open(&t, &ctx, path), SX_OK);
	assert_int_equal(t->list[0].count, 1);
	sx_tensors_free(t);
}

/* ---- llama2.c ---- */

/* dim 8, ffn 5, 2 layers, 2 heads of 4, 1 kv head, vocabulary 3, context 6; number i is i. */
static const int32_t sizes[7] = {8, 5, 2, 2, 1, 3, 6};
enum { EMBED = 24, NORMS = 16, WQ = 128, WKV = 64, WO = 128, FFN = 80, FREQS = 24 };

/* Writes a checkpoint; returns how many floats it has. */
static int put_llama2c(const char *path, int version, bool tied, int extra)
{
	int n = EMBED + 2 * NORMS + WQ + 2 * WKV + WO + 3 * FFN + 8;
	if (version == 0) n += FREQS;
	if (!tied) n += EMBED;
	unsigned char buf[4096] = {0};
	int32_t h[9] = {0x616b3432, version};
	memcpy(h + 2, sizes, sizeof sizes);
	if (version == 0 && !tied) h[7] = -h[7];
	size_t start = version == 0 ? 28 : 256;
	memcpy(buf, version == 0 ? h + 2 : h, version == 0 ? 28 : 36);
	if (version != 0) buf[36] = tied;
	assert_true(start + 4 * (size_t)(n + extra) <= sizeof buf);
	for (int i = 0; i < n + extra; i++) {
		float x = (float)i;
		memcpy(buf + start + 4 * (size_t)i, &x, 4);
	}
	put_file(path, buf, start + 4 * (size_t)(n + extra));
	return n;
}

static void expect_first(const sx_tensors *t, const char *name, int64_t rows, int64_t cols,
			 int first)
{
	sx_ctx ctx;
	const sx_tensor *x = NULL;
	sx_ctx_init(&ctx);
	if (sx_tensors_need(&x, &ctx, t, name, rows, cols) != SX_OK) fail_msg("%s", ctx.message);
	const float *w = x->data;
	if (w[0] != (float)first || w[x->count - 1] != (float)(first + x->count - 1))
		fail_msg("%s starts at %g, wanted %d", name, (double)w[0], first);
}

static void test_llama2c_layout(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	const char *path = in_dir("m.bin");
	for (int version = 0; version < 2; version++)
		for (int tied = 0; tied < 2; tied++) {
			int n = put_llama2c(path, version, tied, 0);
			sx_tensors *t = NULL;
			sx_spec s;
			assert_int_equal(sx_llama2c_open(&t, &s, &ctx, path), SX_OK);
			assert_true(s.V == 3 && s.C == 8 && s.L == 2 && s.H == 2 && s.Hkv == 1);
			assert_true(s.D == 4 && s.F == 5 && s.T == 6 && s.eps == 1e-5);
			assert_true(s.tied == tied && s.interleaved && s.pos.theta == 1e4);
			assert_string_equal(s.pos.method, "rope");
			assert_int_equal(t->n, 2 * 9 + 2 + !tied);
			/* where each kind starts, by hand from export.py */
			int v0 = version == 0, embed = v0 ? 0 : 2 * NORMS + 8;
			int att = v0 ? EMBED : 0,
			    ffn = v0 ? att + NORMS + WQ + 2 * WKV + WO : NORMS;
			int wq = v0 ? att + NORMS : embed + EMBED, wk = wq + WQ, wv = wk + WKV;
			int wo = wv + WKV, w1 = v0 ? ffn + NORMS : wo + WO, w2 = w1 + FFN;
			int w3 = w2 + FFN;
			expect_first(t, "model.embed_tokens.weight", 3, 8, embed);
			expect_first(t, "model.layers.1.input_layernorm.weight", 8, 0, att + 8);
			expect_first(t, "model.layers.1.self_attn.q_proj.weight", 8, 8, wq + 64);
			expect_first(t, "model.layers.1.self_attn.k_proj.weight", 4, 8, wk + 32);
			expect_first(t, "model.layers.0.self_attn.v_proj.weight", 4, 8, wv);
			expect_first(t, "model.layers.1.self_attn.o_proj.weight", 8, 8, wo + 64);
			expect_first(t, "model.layers.0.post_attention_layernorm.weight", 8, 0,
				     ffn);
			expect_first(t, "model.layers.1.mlp.gate_proj.weight", 5, 8, w1 + 40);
			expect_first(t, "model.layers.1.mlp.down_proj.weight", 8, 5, w2 + 40);
			expect_first(t, "model.layers.0.mlp.up_proj.weight", 5, 8, w3);
			expect_first(t, "model.norm.weight", 8, 0, v0 ? w3 + FFN : 2 * NORMS);
			if (tied)
				assert_null(sx_tensors_find(t, "lm_head.weight"));
			else
				expect_first(t, "lm_head.weight", 3, 8, n - EMBED);
			sx_tensors_free(t);
		}
}

static void expect_no_llama2c(const char *path, sx_status want, const char *words)
{
	sx_ctx ctx;
	sx_tensors *t = NULL;
	sx_spec s;
	sx_ctx_init(&ctx);
	sx_status st = sx_llama2c_open(&t, &s, &ctx, path);
	if (st != want || !strstr(ctx.message, words))
		fail_msg("status %d, message '%s'; wanted '%s'", st, ctx.message, words);
	assert_null(t);
}

static void test_llama2c_hostile(void **state)
{
	(void)state;
	const char *path = in_dir("bad.bin");
	put_llama2c(path, 0, true, 1);
	expect_no_llama2c(path, SX_EDATA, "damaged");
	put_llama2c(path, 1, false, -1);
	expect_no_llama2c(path, SX_EDATA, "truncated");
	put_llama2c(path, 2, true, 0);
	expect_no_llama2c(path, SX_EDATA, "version 2");
	static const int32_t bad[][7] = {
		{0, 5, 2, 2, 1, 3, 6},         {8, 5, 2, 0, 1, 3, 6},  {8, 5, 2, 3, 3, 3, 6},
		{8, 5, 2, 8, 8, 3, 6},         {8, 5, 2, 2, 0, 3, 6},  {8, 5, 2, 4, 3, 3, 6},
		{8, -5, 2, 2, 1, 3, 6},        {8, 5, -2, 2, 1, 3, 6}, {8, 5, 2, 2, 1, 0, 6},
		{8, 5, 2, 2, 1, INT32_MIN, 6}, {8, 5, 2, 2, 1, 3, -6}, {1 << 30, 5, 2, 2, 1, 3, 6},
		{8, 5, INT32_MAX, 2, 1, 3, 6},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put_file(path, bad[i], sizeof bad[i]);
		expect_no_llama2c(path, SX_EDATA, "cannot be");
	}
	put_file(path, sizes, sizeof sizes - 1);
	expect_no_llama2c(path, SX_EDATA, "not a llama2.c model");
	put_file(path, sizes, sizeof sizes);
	expect_no_llama2c(path, SX_EDATA, "truncated");
	expect_no_llama2c(in_dir("absent.bin"), SX_ENOINPUT, "cannot read");
}

/* ---- llama2.c's own numbers ---- */

static const float *weight(const sx_tensors *t, int layer, const char *name)
{
	char full[96];
	if (layer < 0)
		snprintf(full, sizeof full, "%s", name);
	else
		snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
	const sx_tensor *x = sx_tensors_find(t, full);
	assert_non_null(x);
	return x->data;
}

static void times(double *y, const float *W, const double *x, int rows, int cols)
{
	for (int r = 0; r < rows; r++) {
		y[r] = 0;
		for (int c = 0; c < cols; c++) y[r] += (double)W[r * cols + c] * x[c];
	}
}

static void normed(double *y, const double *x, const float *gain, int n)
{
	double ss = 0;
	for (int i = 0; i < n; i++) ss += x[i] * x[i];
	for (int i = 0; i < n; i++) y[i] = x[i] / sqrt(ss / n + 1e-5) * (double)gain[i];
}

enum { C = 64, F = 172, V = 512, KV = 32, D = 8, H = 8, FIRST = 1, SECOND = 385 };

static sx_tensors *open_stories(sx_spec *s)
{
	sx_tensors *t = NULL;
	const char *path = shared("data/models/stories260K/stories260K.bin");
	if (!path) {
		print_message("skipped: no shared data\n");
		skip();
	}
	assert_int_equal(sx_llama2c_open(&t, s, NULL, path), SX_OK);
	assert_int_equal(sx_spec_params(s), 260032);
	return t;
}

/* Numbers of a trace by llama2.c; the caller's to free. */
static float *reference(const char *name)
{
	char *file = NULL;
	size_t size = 0;
	const char *path = shared(name);
	assert_non_null(path);
	assert_int_equal(sx_read_file(NULL, path, &file, &size), SX_OK);
	return (float *)(void *)file;
}

/* A sequence of one token attends to itself alone, so its logits need every tensor but W_Q and
 * W_K. */
static void test_llama2c_logits(void **state)
{
	(void)state;
	sx_spec s;
	sx_tensors *t = open_stories(&s);
	double x[C], h[C], v[KV], z[C], y[C], g[F], u[F], logits[V];
	const float *embed = weight(t, -1, "model.embed_tokens.weight");
	for (int c = 0; c < C; c++) x[c] = (double)embed[FIRST * C + c];
	for (int l = 0; l < s.L; l++) {
		normed(h, x, weight(t, l, "input_layernorm.weight"), C);
		times(v, weight(t, l, "self_attn.v_proj.weight"), h, KV, C);
		for (int c = 0; c < C; c++) z[c] = v[c / D / 2 * D + c % D]; /* 8 heads share 4 */
		times(y, weight(t, l, "self_attn.o_proj.weight"), z, C, C);
		for (int c = 0; c < C; c++) x[c] += y[c];
		normed(h, x, weight(t, l, "post_attention_layernorm.weight"), C);
		times(g, weight(t, l, "mlp.gate_proj.weight"), h, F, C);
		times(u, weight(t, l, "mlp.up_proj.weight"), h, F, C);
		for (int f = 0; f < F; f++) g[f] *= u[f] / (1 + exp(-g[f]));
		times(y, weight(t, l, "mlp.down_proj.weight"), g, C, F);
		for (int c = 0; c < C; c++) x[c] += y[c];
	}
	normed(h, x, weight(t, -1, "model.norm.weight"), C);
	times(logits, embed, h, V, C);

	float *want = reference("data/reference/stories260K_trace_rope.logits.f32");
	for (int i = 0; i < V; i++) assert_true(fabs(logits[i] - (double)want[i]) < 1e-4);
	free(want);
	sx_tensors_free(t);
}

/* W_Q and W_K show in the first layer's attention of the second token. */
static void test_llama2c_attention(void **state)
{
	(void)state;
	sx_spec s;
	sx_tensors *t = open_stories(&s);
	const float *embed = weight(t, -1, "model.embed_tokens.weight");
	double x[C], h[C];
	double q[C], k[2][KV];
	for (int pos = 0; pos < 2; pos++) {
		for (int c = 0; c < C; c++) x[c] = (double)embed[(pos ? SECOND : FIRST) * C + c];
		normed(h, x, weight(t, 0, "input_layernorm.weight"), C);
		times(q, weight(t, 0, "self_attn.q_proj.weight"), h, C, C);
		times(k[pos], weight(t, 0, "self_attn.k_proj.weight"), h, KV, C);
	}
	float *want = reference("data/reference/stories260K_trace_rope.attn.f32");
	for (int head = 0; head < H; head++) {
		double score[2] = {0, 0};
		for (int m = 0; m < D / 2; m++) { /* interleaved pairs; only i - j counts */
			const double *a = q + head * D + 2 * m;
			for (int j = 0; j < 2; j++) {
				const double *b = k[j] + head / 2 * D + 2 * m;
				double angle = (1 - j) * pow(1e4, -2.0 * m / D);
				score[j] += (a[0] * b[0] + a[1] * b[1]) * cos(angle) +
					    (a[0] * b[1] - a[1] * b[0]) * sin(angle);
			}
		}
		double p = 1 / (1 + exp((score[1] - score[0]) / sqrt(D)));
		assert_true(fabs(p - (double)want[(head * 64 + 1) * 64]) < 1e-5);
	}
	free(want);
	sx_tensors_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_others),
		cmocka_unit_test(test_same_bytes_as_another_writer),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_half_types),
		cmocka_unit_test(test_hostile_headers),
		cmocka_unit_test(test_cut_and_changed),
		cmocka_unit_test(test_shards),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_llama2c_layout),
		cmocka_unit_test(test_llama2c_hostile),
		cmocka_unit_test(test_llama2c_logits),
		cmocka_unit_test(test_llama2c_attention),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

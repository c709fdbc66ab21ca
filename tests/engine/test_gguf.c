/* GGUF: packed numbers and a model against what the package gguf says, and hostile files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/files/gguf.h"
#include "engine/files/hf_config.h"
#include "engine/model/weights.h"

#define FIXTURES SX_SOURCE_DIR "/tests/fixtures/gguf/"

/* Every packed type, float for float, and the same through double. */
static void test_blocks(void **state)
{
	(void)state;
	sx_tensors *packed = NULL, *want = NULL;
	sx_gguf_keys keys;
	assert_int_equal(sx_gguf_read(&packed, &keys, NULL, FIXTURES "blocks.gguf"), SX_OK);
	assert_int_equal(sx_safetensors_open(&want, NULL, FIXTURES "blocks.safetensors"), SX_OK);
	assert_int_equal(packed->n, 6);
	assert_int_equal(want->n, 6);
	for (int64_t i = 0; i < packed->n; i++) {
		const sx_tensor *x = &packed->list[i], *y = &want->list[i];
		float a[1024], b[1024];
		double wide[1024];
		assert_string_equal(x->name, y->name);
		assert_int_equal(x->rank, 2);
		assert_int_equal(x->count, y->count);
		assert_true(x->count <= 1024 && x->shape[0] == 2);
		assert_int_equal(sx_tensor_read_f32(NULL, x, a), SX_OK);
		assert_int_equal(sx_tensor_read_f64(NULL, x, wide), SX_OK);
		assert_int_equal(sx_tensor_read_f32(NULL, y, b), SX_OK);
		for (int64_t k = 0; k < x->count; k++) {
			if (memcmp(&a[k], &b[k], 4) != 0 || wide[k] != (double)b[k])
				fail_msg("%s, number %lld: %.9g, not %.9g", x->name, (long long)k,
					 (double)a[k], (double)b[k]);
		}
	}
	sx_gguf_keys_free(&keys);
	sx_tensors_free(packed);
	sx_tensors_free(want);
}

/* The file and the same model in Hugging Face layout: one spec, the same bits in every parameter. */
static void test_model(void **state)
{
	(void)state;
	sx_tensors *a = NULL, *b = NULL;
	sx_spec s, t;
	sx_model *m = NULL, *want = NULL;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	if (sx_gguf_open(&a, &s, &ctx, FIXTURES "llama.gguf") != SX_OK) fail_msg("%s", ctx.message);
	assert_int_equal(
		sx_hf_open(&b, &t, NULL, FIXTURES "llama/config.json", FIXTURES "llama", NULL),
		SX_OK);
	if (sx_model_load(&m, &ctx, a, &s) != SX_OK) fail_msg("%s", ctx.message);
	assert_int_equal(sx_model_load(&want, NULL, b, &t), SX_OK);
	assert_true(s.interleaved);
	assert_int_equal(m->p.count, want->p.count);
	assert_memory_equal(m->p.base, want->p.base, (size_t)m->p.count * sizeof *m->p.base);
	assert_true(s.eps == t.eps && s.pos.theta == t.pos.theta);
	assert_true(s.V == t.V && s.C == t.C && s.L == t.L && s.H == t.H && s.Hkv == t.Hkv &&
		    s.D == t.D && s.F == t.F && s.T == t.T && s.tied == t.tied && s.bos == t.bos &&
		    s.eos == t.eos);
	sx_model_free(m);
	sx_model_free(want);
	sx_tensors_free(a);
	sx_tensors_free(b);
}

/* ---- hostile files ---- */

typedef struct {
	unsigned char *at;
	size_t size;
} bytes;

static bytes read_fixture(void)
{
	char *text = NULL;
	size_t size = 0;
	assert_int_equal(sx_read_file(NULL, FIXTURES "llama.gguf", &text, &size), SX_OK);
	return (bytes){(unsigned char *)text, size};
}

static char path[] = "/tmp/sextant-gguf-XXXXXX";

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* Opens these bytes as a model and loads it; the message is in ctx. */
static sx_status open_bytes(sx_ctx *ctx, const unsigned char *at, size_t size)
{
	sx_tensors *t = NULL;
	sx_spec s;
	sx_model *m = NULL;
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(at, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
	sx_ctx_init(ctx);
	sx_status st = sx_gguf_open(&t, &s, ctx, path);
	if (st == SX_OK) st = sx_model_load(&m, ctx, t, &s);
	sx_model_free(m);
	sx_tensors_free(t);
	return st;
}

static void expect_refused(const bytes *b, const char *words)
{
	sx_ctx ctx;
	assert_int_equal(open_bytes(&ctx, b->at, b->size), SX_EDATA);
	if (!strstr(ctx.message, words)) fail_msg("\"%s\" does not say \"%s\"", ctx.message, words);
}

static size_t find(const bytes *b, const char *text)
{
	size_t n = strlen(text);
	for (size_t i = 0; i + n <= b->size; i++)
		if (memcmp(b->at + i, text, n) == 0) return i;
	fail_msg("no %s in the fixture", text);
	return 0;
}

/* Every cut of its header and some of its data. */
static void test_truncated(void **state)
{
	(void)state;
	bytes b = read_fixture();
	sx_ctx ctx;
	size_t data = find(&b, "blk.1.ffn_up.weight") + 200;
	for (size_t n = 1; n < b.size; n += n < data ? 1 : 997) {
		assert_int_equal(open_bytes(&ctx, b.at, n), SX_EDATA);
		assert_true(ctx.message[0] != '\0');
	}
	free(b.at);
}

/* Whatever a byte of the header becomes: a model or a sentence, never another status. */
static void test_flipped(void **state)
{
	(void)state;
	bytes b = read_fixture();
	sx_ctx ctx;
	size_t header = find(&b, "blk.1.ffn_up.weight") + 48;
	static const unsigned char flips[] = {0xff, 0x01, 0x80, 0x20};
	for (size_t i = 0; i < header; i++) {
		unsigned char was = b.at[i];
		b.at[i] ^= flips[i % 4];
		sx_status st = open_bytes(&ctx, b.at, b.size);
		b.at[i] = was;
		if (st != SX_OK && (st != SX_EDATA || !ctx.message[0]))
			fail_msg("byte %zu: status %d, \"%s\"", i, (int)st, ctx.message);
	}
	free(b.at);
}

static void put_u32(bytes *b, size_t at, uint32_t v)
{
	memcpy(b->at + at, &v, sizeof v);
}

static void put_u64(bytes *b, size_t at, uint64_t v)
{
	memcpy(b->at + at, &v, sizeof v);
}

/* What llama.cpp or an attacker may have written, each named. */
static void test_named(void **state)
{
	(void)state;
	bytes b = read_fixture(), whole = read_fixture();
	size_t tensor = find(&b, "blk.0.attn_q.weight"), rank = tensor + 19, shape = rank + 4,
	       type = shape + 16, offset = type + 4;
	struct {
		size_t at;
		uint64_t value;
		int width;
		const char *words;
	} cases[] = {
		{4, 2, 4, "version 2"},
		{4, 0x03000000, 4, "big-endian"},
		{8, UINT64_MAX, 8, "list of tensors"},
		{16, UINT64_MAX, 8, "list of keys"},
		{type, 6, 4, "Q5_0"},
		{type, 77, 4, "a type not known (type 77)"},
		{type, 14, 4, "blocks of 256"},
		{rank, 9, 4, "9 dimensions"},
		{shape, 0, 8, "impossible shape"},
		{shape, (uint64_t)1 << 62, 8, "impossible shape"},
		{shape, 64, 8, "overlap"},
		{offset, 0, 8, "overlap"},
		{offset, 1, 8, "not aligned"},
		{offset, (uint64_t)1 << 60, 8, "truncated"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (cases[i].width == 4)
			put_u32(&b, cases[i].at, (uint32_t)cases[i].value);
		else
			put_u64(&b, cases[i].at, cases[i].value);
		expect_refused(&b, cases[i].words);
		memcpy(b.at, whole.at, b.size);
	}
	/* the same length, other words */
	static const char *const words[][3] = {
		{"llama.rope.freq_base", "llama.rope.freq_bass", "llama.rope.freq_bass"},
		{"llama.vocab_size", "llama.logit_sale", "llama.logit_sale"},
		{"llama.block_count", "llama.vocab_size_", "llama.vocab_size_"},
		{"blk.0.ffn_up.weight", "blk.0.ffn_uq.weight", "blk.0.ffn_u"},
		{"output_norm.weight", "output_nora.weight", "output_nora.weight"},
		{"blk.1.attn_v.weight", "blk.1.attn_q.weight", "twice"},
		{"llama.vocab_size", "llama.block_coun", "llama.block_coun"},
	};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		memcpy(b.at + find(&b, words[i][0]), words[i][1], strlen(words[i][1]));
		expect_refused(&b, words[i][2]);
		memcpy(b.at, whole.at, b.size);
	}
	free(b.at);
	free(whole.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),    cmocka_unit_test(test_model),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_named),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}

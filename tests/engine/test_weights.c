/* Weights as others leave them: numbers that are none, names that were wrapped, an output matrix that
 * is there twice, matrices of one row. Every file is made here from one small model. */
#include "tests/support/small_model.h"

#include "engine/files/hf_config.h"
#include "engine/model/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 64 };

static char dir[] = "/tmp/sextant-weights-XXXXXX";
static char said[4096];

static const char *in_dir(const char *name)
{
	static char path[8][128];
	static int turn;
	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof path[0], "%s/%s", dir, name);
	return path[turn];
}

static void keep_log(void *self, sx_log_level level, const char *msg)
{
	(void)self;
	size_t n = strlen(said);
	snprintf(said + n, sizeof said - n, "%d %s|", (int)level, msg);
}

static sx_ctx listening(void)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	ctx.log = keep_log;
	*said = '\0';
	return ctx;
}

/* Tensors of a file, as a test changes them. */
typedef struct {
	sx_tensors *from;
	sx_tensor list[MOST];
	int64_t n;
	void *own[MOST];
	char names[MOST][128];
} edited;

/* The model's tensors; its config.json lies beside what is written of them. */
static edited *edit(const sx_model *m)
{
	edited *e = sx_calloc(1, sizeof *e);
	assert_non_null(e);
	const char *path = in_dir("first.safetensors");
	assert_int_equal(sx_hf_config_write(NULL, in_dir("config.json"), &m->spec), SX_OK);
	assert_int_equal(sx_model_save(NULL, path, NULL, &m->spec, m->p.base), SX_OK);
	assert_int_equal(sx_safetensors_open(&e->from, NULL, path), SX_OK);
	e->n = e->from->n;
	assert_true(e->n < MOST - 4);
	memcpy(e->list, e->from->list, (size_t)e->n * sizeof e->list[0]);
	for (int64_t i = 0; i < e->n; i++) {
		snprintf(e->names[i], sizeof e->names[i], "%s", e->list[i].name);
		e->list[i].name = e->names[i];
	}
	return e;
}

static void edited_free(edited *e)
{
	for (int i = 0; i < MOST; i++) free(e->own[i]);
	sx_tensors_free(e->from);
	free(e);
}

static sx_tensor *tensor(edited *e, const char *name)
{
	for (int64_t i = 0; i < e->n; i++)
		if (strcmp(e->list[i].name, name) == 0) return &e->list[i];
	fail_msg("no %s", name);
	return NULL;
}

static void leave_out(edited *e, const char *name)
{
	sx_tensor *x = tensor(e, name);
	*x = e->list[--e->n];
}

static void add(edited *e, const char *name, const sx_tensor *like)
{
	sx_tensor *x = &e->list[e->n];
	*x = *like;
	snprintf(e->names[MOST - 1 - e->n % 3], sizeof e->names[0], "%s", name);
	x->name = e->names[MOST - 1 - e->n % 3];
	e->n++;
}

/* Of a number that is 0 or normal there and needs no rounding. */
static uint16_t half_of(double x)
{
	int e;
	double m = frexp(fabs(x), &e);
	if (x == 0) return 0;
	return (uint16_t)((x < 0 ? 0x8000 : 0) | (e + 14) << 10 | (int)((2 * m - 1) * 1024));
}

/* The tensor in another type; its elements are the caller's to change. */
static unsigned char *retype(edited *e, sx_tensor *x, sx_dtype type)
{
	size_t size = sx_dtype_size(type);
	unsigned char *to = sx_calloc((size_t)x->count, size);
	double *was = sx_calloc((size_t)x->count, sizeof *was);
	assert_true(to && was);
	assert_int_equal(sx_tensor_read_f64(NULL, x, was), SX_OK);
	for (int64_t i = 0; i < x->count; i++) {
		float f = (float)was[i];
		uint16_t h = half_of(was[i]);
		uint32_t bits;
		memcpy(&bits, &f, 4);
		uint16_t brain = (uint16_t)((bits + 0x8000) >> 16);
		const void *from = type == SX_DTYPE_F64   ? (const void *)&was[i]
				   : type == SX_DTYPE_F32 ? (const void *)&f
				   : type == SX_DTYPE_F16 ? (const void *)&h
							  : (const void *)&brain;
		memcpy(to + (size_t)i * size, from, size);
	}
	free(was);
	x->dtype = type;
	x->data = to;
	for (int i = 0; i < MOST; i++)
		if (!e->own[i]) {
			e->own[i] = to;
			return to;
		}
	fail();
	return NULL;
}

/* Writes and opens it as a user's folder is. */
static sx_status open_edited(edited *e, sx_tensors **t, sx_spec *s, sx_ctx *ctx)
{
	const char *path = in_dir("model.safetensors");
	assert_int_equal(sx_safetensors_write(NULL, path, e->list, e->n, NULL, 0), SX_OK);
	*t = NULL;
	return sx_hf_open(t, s, ctx, in_dir("config.json"), path, NULL);
}

/* Opens and loads; the model must be m, up to its output matrix where it is untied on the way. */
static void expect_loads(edited *e, const sx_model *m, const char *words)
{
	sx_ctx ctx = listening();
	sx_tensors *t;
	sx_spec s;
	sx_model *back = NULL;
	if (open_edited(e, &t, &s, &ctx) != SX_OK || sx_model_load(&back, &ctx, t, &s) != SX_OK)
		fail_msg("%s", ctx.message);
	if (!strstr(said, words) || (!*words && *said))
		fail_msg("said '%s', not '%s'", said, words);
	assert_int_equal(s.tied, m->spec.tied);
	assert_int_equal(back->p.count, m->p.count);
	assert_memory_equal(back->p.base, m->p.base, (size_t)m->p.count * sizeof(sx_real));
	sx_model_free(back);
	sx_tensors_free(t);
}

static void expect_refused(edited *e, const char *words)
{
	sx_ctx ctx = listening();
	sx_tensors *t;
	sx_spec s;
	sx_model *back = NULL;
	sx_status st = open_edited(e, &t, &s, &ctx);
	if (st == SX_OK) st = sx_model_load(&back, &ctx, t, &s);
	if (st != SX_EDATA || !strstr(ctx.message, words))
		fail_msg("status %d, '%s'; wanted '%s'", (int)st, ctx.message, words);
	assert_null(back);
	sx_tensors_free(t);
}

static sx_model *a_model(bool tied)
{
	sx_spec s = small_spec("rope", 2, 8, 2, 1, 4);
	s.tied = tied;
	sx_model *m = small_model(&s, 5, 0.3);
	/* numbers that every type holds, so that all that are read are equal */
	for (int64_t i = 0; i < m->p.count; i++)
		m->p.base[i] = (sx_real)(nearbyint((double)m->p.base[i] * 64) / 64);
	return m;
}

/* ---- one row, one column ---- */

static void test_one_row(void **state)
{
	(void)state;
	const int sizes[][5] = {
		/* V C H D F */ {1, 8, 2, 4, 5}, {7, 8, 2, 4, 1}, {1, 1, 1, 2, 1}, {3, 1, 1, 2, 2}};
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
		for (int tied = 0; tied < 2; tied++) {
			sx_spec s = small_spec("nope", 2, sizes[k][1], sizes[k][2], sizes[k][2],
					       sizes[k][3]);
			s.V = sizes[k][0], s.F = sizes[k][4], s.tied = tied, s.bos = s.eos = -1;
			sx_model *m = small_model(&s, 3, 0.5);
			edited *e = edit(m);
			const sx_tensor *x = tensor(e, "model.embed_tokens.weight");
			assert_true(x->rank == 2 && x->shape[0] == s.V && x->shape[1] == s.C);
			x = tensor(e, "model.layers.1.mlp.gate_proj.weight");
			assert_true(x->rank == 2 && x->shape[0] == s.F && x->shape[1] == s.C);
			x = tensor(e, "model.layers.0.mlp.down_proj.weight");
			assert_true(x->rank == 2 && x->shape[0] == s.C && x->shape[1] == s.F);
			assert_int_equal(tensor(e, "model.norm.weight")->rank, 1);
			expect_loads(e, m, "");
			/* a vector in a matrix's place is none */
			sx_tensor *g = tensor(e, "model.layers.1.mlp.gate_proj.weight");
			g->rank = 1, g->shape[0] = g->count;
			expect_refused(e, "gate_proj.weight has the shape (");
			edited_free(e);
			sx_model_free(m);
		}
}

/* ---- numbers that are none ---- */

typedef struct {
	sx_dtype type;
	uint64_t bits;
	const char *words; /* NULL: a number */
} pattern;

static const pattern patterns[] = {
	{SX_DTYPE_F32, 0x7fc00000, "is NaN"},
	{SX_DTYPE_F32, 0xff800001, "is NaN"}, /* signalling */
	{SX_DTYPE_F32, 0x7f800000, "is infinite"},
	{SX_DTYPE_F32, 0x7f7fffff, NULL},
	{SX_DTYPE_F32, 0x00000001, NULL},
	{SX_DTYPE_F16, 0x7e00, "is NaN"},
	{SX_DTYPE_F16, 0xfc01, "is NaN"},
	{SX_DTYPE_F16, 0xfc00, "is infinite"},
	{SX_DTYPE_F16, 0x7bff, NULL},
	{SX_DTYPE_F16, 0x8001, NULL},
	{SX_DTYPE_BF16, 0x7fc0, "is NaN"},
	{SX_DTYPE_BF16, 0x7f81, "is NaN"},
	{SX_DTYPE_BF16, 0xff80, "is infinite"},
	{SX_DTYPE_BF16, 0x7f7f, NULL},
	{SX_DTYPE_BF16, 0x0001, NULL},
	{SX_DTYPE_F64, 0x7ff8000000000000, "is NaN"},
	{SX_DTYPE_F64, 0xfff0000000000000, "is infinite"},
	{SX_DTYPE_F64, 0x0000000000000001, NULL},
};

static void test_not_finite(void **state)
{
	(void)state;
	static const char *const names[] = {"model.embed_tokens.weight", "model.norm.weight",
					    "model.layers.1.self_attn.k_proj.weight",
					    "lm_head.weight"};
	sx_model *m = a_model(false);
	for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
		const pattern *p = &patterns[k];
		const char *name = names[k % 4];
		edited *e = edit(m);
		sx_tensor *x = tensor(e, name);
		size_t size = sx_dtype_size(p->type);
		int64_t at = k % 3 == 0 ? 0 : k % 3 == 1 ? x->count - 1 : x->count / 2;
		memcpy(retype(e, x, p->type) + (size_t)at * size, &p->bits, size);
		char words[128];
		snprintf(words, sizeof words, "tensor %s: element %lld %s", name, (long long)at,
			 p->words ? p->words : "");
		if (p->words) expect_refused(e, words);
		sx_ctx ctx = listening();
		sx_tensors *t;
		sx_spec s;
		sx_model *back = NULL;
		assert_int_equal(open_edited(e, &t, &s, &ctx), SX_OK);
		t->unchecked = p->words != NULL;
		if (sx_model_load(&back, &ctx, t, &s) != SX_OK) fail_msg("%s", ctx.message);
		sx_model_free(back);
		sx_tensors_free(t);
		edited_free(e);
	}
	/* what 32 bits do not hold */
	edited *e = edit(m);
	double big = 1e300;
	memcpy(retype(e, tensor(e, "lm_head.weight"), SX_DTYPE_F64), &big, sizeof big);
	if (sizeof(sx_real) == 4) {
		expect_refused(e, "element 0 is 1e+300, which 32-bit floats do not reach");
	} else {
		m->p.head[0] = (sx_real)big;
		expect_loads(e, m, "");
	}
	edited_free(e);
	sx_model_free(m);
}

static void test_not_finite_in_a_shard(void **state)
{
	(void)state;
	sx_model *m = a_model(false);
	edited *e = edit(m);
	char index[8192] = "{\"weight_map\": {";
	const uint32_t nan = 0x7fc00000;
	memcpy(retype(e, &e->list[e->n - 1], SX_DTYPE_F32), &nan, 4);
	int64_t half = e->n / 2;
	const char *part[] = {in_dir("p1.safetensors"), in_dir("p2.safetensors")};
	assert_int_equal(sx_safetensors_write(NULL, part[0], e->list, half, NULL, 0), SX_OK);
	assert_int_equal(sx_safetensors_write(NULL, part[1], e->list + half, e->n - half, NULL, 0),
			 SX_OK);
	for (int64_t i = 0; i < e->n; i++) {
		size_t n = strlen(index);
		snprintf(index + n, sizeof index - n, "%s\"%s\": \"p%d.safetensors\"",
			 i ? ", " : "", e->list[i].name, i < half ? 1 : 2);
	}
	strcat(index, "}}");
	const char *path = in_dir("model.safetensors.index.json");
	assert_int_equal(sx_write_file(NULL, path, index, strlen(index)), SX_OK);
	sx_ctx ctx = listening();
	sx_tensors *t = NULL;
	sx_spec s;
	sx_model *back = NULL;
	assert_int_equal(sx_hf_open(&t, &s, &ctx, in_dir("config.json"), path, NULL), SX_OK);
	assert_int_equal(sx_model_load(&back, &ctx, t, &s), SX_EDATA);
	if (!strstr(ctx.message, e->list[e->n - 1].name)) fail_msg("%s", ctx.message);
	sx_tensors_free(t);
	edited_free(e);
	sx_model_free(m);
}

/* ---- the output matrix ---- */

static void test_tying(void **state)
{
	(void)state;
	sx_model *tied = a_model(true), *own = a_model(false);
	edited *e = edit(tied); /* config.json says tied */
	const sx_tensor embed = *tensor(e, "model.embed_tokens.weight");
	expect_loads(e, tied, "");
	add(e, "lm_head.weight", &embed);
	expect_loads(e, tied, "");
	/* the same in other types */
	const sx_dtype types[] = {SX_DTYPE_F16, SX_DTYPE_BF16, SX_DTYPE_F32, SX_DTYPE_F64};
	for (int k = 0; k < 4; k++) {
		*tensor(e, "lm_head.weight") = embed;
		e->list[e->n - 1].name = "lm_head.weight";
		retype(e, tensor(e, "lm_head.weight"), types[k]);
		expect_loads(e, tied, "");
	}
	/* another matrix: the file's is used, and it is said */
	sx_tensor *head = tensor(e, "lm_head.weight");
	*head = embed;
	head->name = "lm_head.weight";
	unsigned char *bytes = retype(e, head, SX_DTYPE_F32);
	float other = 0.75F;
	memcpy(bytes + 4 * (head->count - 1), &other, sizeof other);
	memcpy(own->p.base, tied->p.base, (size_t)tied->p.count * sizeof(sx_real));
	memcpy(own->p.head, own->p.embed, (size_t)(own->spec.V * own->spec.C) * sizeof(sx_real));
	assert_true(own->p.head[head->count - 1] != (sx_real)0.75);
	own->p.head[head->count - 1] = (sx_real)0.75;
	expect_loads(e, own, "2 "); /* a warning */
	assert_non_null(strstr(said, "tie_word_embeddings: true, but lm_head.weight of"));
	/* in a narrower type, further away than rounding goes */
	*head = embed;
	head->name = "lm_head.weight";
	bytes = retype(e, head, SX_DTYPE_BF16);
	bytes[0] ^= 8;
	sx_ctx ctx = listening();
	sx_tensors *t;
	sx_spec s;
	assert_int_equal(open_edited(e, &t, &s, &ctx), SX_OK);
	assert_false(s.tied);
	sx_tensors_free(t);
	/* of another size: refused by its name */
	*head = embed;
	head->name = "lm_head.weight";
	head->shape[0]--, head->count -= head->shape[1];
	expect_refused(e, "lm_head.weight has the shape");
	edited_free(e);
	/* the other way round: an output matrix that is missed is made up by nobody */
	e = edit(own);
	leave_out(e, "lm_head.weight");
	expect_refused(e, "has no lm_head.weight and");
	edited_free(e);
	sx_model_free(tied);
	sx_model_free(own);
}

/* ---- names ---- */

static void prefix_all(edited *e, const char *prefix)
{
	for (int64_t i = 0; i < e->n; i++) {
		char name[128];
		snprintf(name, sizeof name, "%.40s%.80s", prefix, e->list[i].name);
		memcpy((char *)e->list[i].name, name, sizeof name);
	}
}

static void test_wrapped_names(void **state)
{
	(void)state;
	static const char *const prefixes[][2] = {
		{"_orig_mod.", "_orig_mod. and module."},
		{"module.", "_orig_mod. and module."},
		{"module._orig_mod.", "_orig_mod. and module."},
		{"base.", "the prefix base. is left out"},
		{"a.b.", "the prefix a.b. is left out"},
	};
	sx_model *m = a_model(false);
	for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++) {
		edited *e = edit(m);
		prefix_all(e, prefixes[k][0]);
		expect_loads(e, m, prefixes[k][1]);
		edited_free(e);
	}
	/* one layer alone was compiled */
	edited *e = edit(m);
	char *name = (char *)tensor(e, "model.layers.1.mlp.up_proj.weight")->name;
	strcpy(name, "model.layers.1._orig_mod.mlp.up_proj.weight");
	expect_loads(e, m, "_orig_mod.");
	/* which makes two of one */
	add(e, "model.layers.1.mlp.up_proj.weight", tensor(e, name));
	expect_refused(e, "model.layers.1.mlp.up_proj.weight is there twice");
	edited_free(e);
	/* without the leading model., and without it behind a prefix */
	for (int prefixed = 0; prefixed < 2; prefixed++) {
		e = edit(m);
		for (int64_t i = 0; i < e->n; i++) {
			char *n = (char *)e->list[i].name;
			if (strncmp(n, "model.", 6) == 0) memmove(n, n + 6, strlen(n + 6) + 1);
		}
		if (prefixed) prefix_all(e, "net.");
		expect_loads(e, m, "lack model. in front");
		edited_free(e);
	}
	/* not all of them: nothing is guessed, the first is named */
	e = edit(m);
	prefix_all(e, "base.");
	add(e, "other.weight", tensor(e, "base.model.norm.weight"));
	expect_refused(e, "has no place in a model");
	edited_free(e);
	sx_model_free(m);
}

static void test_what_is_no_weight(void **state)
{
	(void)state;
	static const char *const buffers[] = {
		"model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq",
		"model.layers.1.attention.bias", "model.layers.1.attention.masked_bias"};
	static const char *const weights[] = {"model.layers.0.self_attn.q_proj.bias",
					      "lm_head.bias", "model.layers.2.mlp.up_proj.weight",
					      "model.rotary_emb.inv_freq.scale",
					      "model.layers.0.xattention.bias"};
	sx_model *m = a_model(false);
	for (size_t k = 0; k < 4; k++) {
		edited *e = edit(m);
		add(e, buffers[k], tensor(e, "model.norm.weight"));
		expect_loads(e, m, "");
		edited_free(e);
	}
	for (size_t k = 0; k < sizeof weights / sizeof weights[0]; k++) {
		edited *e = edit(m);
		char words[160];
		snprintf(words, sizeof words, "tensor %s has no place", weights[k]);
		add(e, weights[k], tensor(e, "model.norm.weight"));
		expect_refused(e, words);
		edited_free(e);
	}
	edited *e = edit(m);
	sx_tensor *x = tensor(e, "model.norm.weight");
	retype(e, x, SX_DTYPE_F32);
	x->dtype = SX_DTYPE_I32;
	expect_refused(e, "model.norm.weight is of type I32: weights must be");
	edited_free(e);
	sx_model_free(m);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const files[] = {"first.safetensors", "model.safetensors",
					    "config.json",       "p1.safetensors",
					    "p2.safetensors",    "model.safetensors.index.json"};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) unlink(in_dir(files[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_row),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_not_finite_in_a_shard),
		cmocka_unit_test(test_tying),
		cmocka_unit_test(test_wrapped_names),
		cmocka_unit_test(test_what_is_no_weight),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* A model in a GGUF file: the keys of architecture llama to a spec, and where its tensors lie. */
#include "engine/files/family.h"
#include "engine/files/gguf.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const sx_tensor_place places[] = {
	{.field = "embed", .tensor = "token_embd.weight"},
	{.field = "ln1",   .tensor = "blk.%d.attn_norm.weight"},
	{.field = "wq",    .tensor = "blk.%d.attn_q.weight"},
	{.field = "wk",    .tensor = "blk.%d.attn_k.weight"},
	{.field = "wv",    .tensor = "blk.%d.attn_v.weight"},
	{.field = "bq",    .tensor = "blk.%d.attn_q.bias"},
	{.field = "bk",    .tensor = "blk.%d.attn_k.bias"},
	{.field = "bv",    .tensor = "blk.%d.attn_v.bias"},
	{.field = "wo",    .tensor = "blk.%d.attn_output.weight"},
	{.field = "ln2",   .tensor = "blk.%d.ffn_norm.weight"},
	{.field = "wg",    .tensor = "blk.%d.ffn_gate.weight"},
	{.field = "wu",    .tensor = "blk.%d.ffn_up.weight"},
	{.field = "wd",    .tensor = "blk.%d.ffn_down.weight"},
	{.field = "ln_f",  .tensor = "output_norm.weight"},
	{.field = "head",  .tensor = "output.weight"},
	{0}};
/* clang-format on */

static const char *const no_buffers[] = {NULL};

/* Only read: models go out in Hugging Face layout. */
static const sx_model_family gguf_llama = {
	.model_type = "gguf llama", .places = places, .buffers = no_buffers};

/* Of the keys that belong to the architecture, those that are read here. */
static const char *const known[] = {
	"vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length",
	"attention.head_count", "attention.head_count_kv", "attention.key_length",
	"attention.value_length", "attention.layer_norm_rms_epsilon", "rope.dimension_count",
	"rope.freq_base", "rope.scaling.type", "rope.scaling.factor",
	/* of models that were trained on; llama.cpp does not look at it */
	"rope.scaling.finetuned", NULL};
/* They mean what a llama does, where they are 0. */
static const char *const zero[] = {"expert_count", "expert_used_count", NULL};

static const char arch[] = "llama";

static bool is_in(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(word, *list) == 0) return true;
	return false;
}

static sx_status check_architecture(const sx_gguf_keys *k, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	const char *name = "";
	size_t len = 0;
	int64_t files = 1;
	SX_TRY(sx_gguf_get_string(k, ctx, "general.architecture", &name, &len));
	if (len != strlen(arch) || memcmp(name, arch, len) != 0)
		return sx_fail(ctx, SX_EDATA, "%s: the architecture %.*s is not supported; %s is",
			       k->path, (int)(len < 60 ? len : 60), len ? name : "(none)", arch);
	SX_TRY(sx_gguf_get_int(k, ctx, "split.count", &files));
	if (files > 1)
		return sx_fail(ctx, SX_EDATA,
			       "%s is one of %lld files of a model: join them with llama.cpp's "
			       "gguf-split --merge",
			       k->path, (long long)files);
out:
	return st;
}

/* What would run silently wrong. */
static sx_status check_keys(const sx_gguf_keys *k, sx_ctx *ctx)
{
	size_t n = strlen(arch);
	for (int64_t i = 0; i < k->n; i++) {
		const char *key = k->list[i].key;
		if (strncmp(key, arch, n) != 0 || key[n] != '.' || is_in(key + n + 1, known))
			continue;
		int64_t value = -1;
		if (is_in(key + n + 1, zero)) {
			sx_status st = sx_gguf_get_int(k, ctx, key, &value);
			if (st != SX_OK) return st;
		}
		if (value != 0)
			return sx_fail(ctx, SX_EDATA,
				       "%s: the key %s is not supported, it could change the model",
				       k->path, key);
	}
	return SX_OK;
}

static sx_status missing(const sx_gguf_keys *k, sx_ctx *ctx, const char *key)
{
	return sx_fail(ctx, SX_EDATA, "%s: the key %s.%s is missing", k->path, arch, key);
}

/* A size under the architecture's key; `absent` 0: it must be there. */
static sx_status get_size(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, int absent, int *out)
{
	char full[96];
	int64_t size = 0;
	snprintf(full, sizeof full, "%s.%s", arch, key);
	sx_status st = sx_gguf_get_int(k, ctx, full, &size);
	if (st != SX_OK) return st;
	bool there = sx_gguf_find(k, full) != NULL;
	if (!there && !absent) return missing(k, ctx, key);
	if (!there) size = absent;
	if (size < 1 || size > INT32_MAX)
		return sx_fail(ctx, SX_EDATA, "%s: %s = %lld is no size", k->path, full,
			       (long long)size);
	*out = (int)size;
	return SX_OK;
}

static sx_status get_number(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, double *out)
{
	char full[96];
	snprintf(full, sizeof full, "%s.%s", arch, key);
	return sx_gguf_get_number(k, ctx, full, out);
}

static sx_status read_shape(const sx_gguf_keys *k, const sx_tensors *t, sx_ctx *ctx, sx_spec *s)
{
	sx_status st = SX_OK;
	int context = 0, rotated = 0, value = 0, said = 0;
	const sx_tensor *embed = sx_tensors_find(t, places[0].tensor);
	if (!embed || embed->rank != 2 || embed->shape[0] > INT32_MAX)
		return sx_fail(ctx, SX_EDATA, "%s has no matrix %s", k->path, places[0].tensor);
	s->V = (int)embed->shape[0];
	SX_TRY(get_size(k, ctx, "vocab_size", s->V, &said));
	SX_TRY(get_size(k, ctx, "context_length", 0, &context));
	SX_TRY(get_size(k, ctx, "embedding_length", 0, &s->C));
	SX_TRY(get_size(k, ctx, "block_count", 0, &s->L));
	SX_TRY(get_size(k, ctx, "feed_forward_length", 0, &s->F));
	SX_TRY(get_size(k, ctx, "attention.head_count", 0, &s->H));
	SX_TRY(get_size(k, ctx, "attention.head_count_kv", s->H, &s->Hkv));
	SX_TRY(get_size(k, ctx, "attention.key_length", s->C / s->H > 0 ? s->C / s->H : 1, &s->D));
	SX_TRY(get_size(k, ctx, "attention.value_length", s->D, &value));
	SX_TRY(get_size(k, ctx, "rope.dimension_count", s->D, &rotated));
	if (said != s->V || value != s->D || rotated != s->D)
		return sx_fail(ctx, SX_EDATA,
			       "%s: not supported: keys of %d channels, %d of them rotated, values "
			       "of %d, a vocabulary of %d under %d embeddings",
			       k->path, s->D, rotated, value, said, s->V);
	s->T = context;
	s->tied = !sx_tensors_find(t, "output.weight");
	s->qkv_bias = sx_tensors_find(t, "blk.0.attn_q.bias") != NULL;
	s->eps = 0;
	SX_TRY(get_number(k, ctx, "attention.layer_norm_rms_epsilon", &s->eps));
	if (s->eps == 0) return missing(k, ctx, "attention.layer_norm_rms_epsilon");
out:
	return st;
}

static sx_status read_rope(const sx_gguf_keys *k, const sx_tensors *t, sx_ctx *ctx, sx_spec *s)
{
	sx_status st = SX_OK;
	const char *type = "none";
	size_t len = 4;
	double factor = 1;
	SX_TRY(get_number(k, ctx, "rope.freq_base", &s->pos.theta));
	SX_TRY(get_number(k, ctx, "rope.scaling.factor", &factor));
	SX_TRY(sx_gguf_get_string(k, ctx, "llama.rope.scaling.type", &type, &len));
	if (len == 6 && memcmp(type, "linear", 6) == 0) {
		snprintf(s->pos.method, sizeof s->pos.method, "pi");
		s->pos.factor = factor;
	} else if (len != 4 || memcmp(type, "none", 4) != 0) {
		return sx_fail(ctx, SX_EDATA,
			       "%s: rope.scaling.type = %.*s is not supported; none and linear are",
			       k->path, (int)(len < 60 ? len : 60), type);
	}
	/* Llama 3.1 and later put the divisors of their frequencies there. */
	if (sx_tensors_find(t, "rope_freqs.weight"))
		return sx_fail(ctx, SX_EDATA,
			       "%s: rope_freqs.weight divides the frequencies of its rotation, "
			       "which is not supported: take the model in Hugging Face layout",
			       k->path);
out:
	return st;
}

static sx_status read_token(const sx_gguf_keys *k, sx_ctx *ctx, const char *key, int vocab,
			    int *out)
{
	int64_t id = -1;
	sx_status st = sx_gguf_get_int(k, ctx, key, &id);
	if (st != SX_OK) return st;
	if (id < -1 || id >= vocab)
		return sx_fail(ctx, SX_EDATA, "%s: %s = %lld is no token of a vocabulary of %d",
			       k->path, key, (long long)id, vocab);
	*out = (int)id;
	return SX_OK;
}

static sx_status read_spec(const sx_gguf_keys *k, const sx_tensors *t, sx_ctx *ctx, sx_spec *s)
{
	sx_status st = SX_OK;
	sx_ctx inner; /* spec.c speaks of settings: its sentence needs the file in front */
	*s = sx_spec_default();
	SX_TRY(check_architecture(k, ctx));
	SX_TRY(check_keys(k, ctx));
	SX_TRY(read_shape(k, t, ctx, s));
	SX_TRY(read_rope(k, t, ctx, s));
	SX_TRY(read_token(k, ctx, "tokenizer.ggml.bos_token_id", s->V, &s->bos));
	SX_TRY(read_token(k, ctx, "tokenizer.ggml.eos_token_id", s->V, &s->eos));
	s->interleaved = true;
	sx_ctx_init(&inner);
	st = sx_spec_check(s, &inner);
	if (st != SX_OK)
		st = sx_fail(ctx, st == SX_ECONFIG ? SX_EDATA : st, "%s: %s", k->path,
			     inner.message);
out:
	return st;
}

sx_status sx_gguf_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_gguf_keys keys;
	sx_tensors *t = NULL;
	sx_spec s;
	SX_TRY(sx_gguf_read(&t, &keys, ctx, path));
	st = read_spec(&keys, t, ctx, &s);
	sx_gguf_keys_free(&keys);
	if (st != SX_OK) goto out;
	t->family = &gguf_llama;
	*out = t;
	*spec = s;
	t = NULL;
out:
	sx_tensors_free(t);
	return st;
}

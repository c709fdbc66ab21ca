/* Hugging Face's tokenizer.json, and what of tokenizer_config.json beside it changes ids. */
#include "engine/text/hf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

/* A .json file, or a folder, which should have one. */
static bool takes(const char *what)
{
	return ends_in(what, ".json") || ends_in(what, "tokenizer.model") || sx_path_is_dir(what);
}

static int32_t id_of(const sx_pipeline *h, const char *s, size_t len)
{
	for (int i = 0; i < h->n_added; i++)
		if (h->added[i].content.used == len && memcmp(h->added[i].content.at, s, len) == 0)
			return h->added[i].id;
	return sx_vocab_find(&h->bpe.vocab, s, len);
}

/* The token under a key of tokenizer_config.json, a string or {"content": ..}; -1 = none. */
static int32_t token_id(const sx_pipeline *h, json_t *config, const char *key)
{
	json_t *v = json_object_get(config, key);
	if (json_is_object(v)) v = json_object_get(v, "content");
	return json_is_string(v) ? id_of(h, json_string_value(v), json_string_length(v)) : -1;
}

static sx_status set_ids(int32_t **list, int *n, sx_ctx *ctx, int32_t id, bool add)
{
	int32_t *one = sx_calloc(1, sizeof *one);
	if (!one) return sx_fail(ctx, SX_ENOMEM, "no memory for a tokenizer");
	free(*list);
	*list = one;
	one[0] = id;
	*n = add && id >= 0;
	return SX_OK;
}

/* As transformers does: where one of the two keys is given, they take the place of the template. */
static sx_status apply_config(sx_tokenizer *t, sx_ctx *ctx, sx_pipeline *h, const char *data,
			      size_t size)
{
	json_error_t e;
	/* model_max_length may be 10^30 */
	json_t *c = json_loadb(data, size, JSON_DECODE_INT_AS_REAL, &e);
	sx_status st = SX_OK;
	if (!c)
		return sx_fail(ctx, SX_EDATA,
			       "tokenizer_config.json beside %s is no JSON text: line %d, column "
			       "%d: %s",
			       t->name, e.line, e.column, e.text);
	t->bos = token_id(h, c, "bos_token");
	t->eos = token_id(h, c, "eos_token");
	json_t *bos = json_object_get(c, "add_bos_token"),
	       *eos = json_object_get(c, "add_eos_token");
	if (json_is_boolean(bos) || json_is_boolean(eos)) {
		SX_TRY(set_ids(&h->before, &h->n_before, ctx, t->bos, json_is_true(bos)));
		SX_TRY(set_ids(&h->after, &h->n_after, ctx, t->eos, json_is_true(eos)));
	}
out:
	json_decref(c);
	return st;
}

static sx_status make(sx_tokenizer *t, sx_ctx *ctx, const char *data, size_t size,
		      const char *config, size_t config_size)
{
	sx_status st = SX_OK;
	sx_pipeline *h = NULL;
	SX_TRY(sx_pipeline_read(&h, ctx, t->name, data, size));
	t->self = h;
	t->bos = t->eos = -1;
	if (config) SX_TRY(apply_config(t, ctx, h, config, config_size));
	if (t->bos < 0 && h->n_before > 0) t->bos = h->before[0];
	if (t->eos < 0 && h->n_after > 0) t->eos = h->after[h->n_after - 1];
	t->adds_bos = h->n_before > 0 || h->n_after > 0;
	t->vocab = h->bpe.vocab.n;
	t->own = h->bpe.n_own;
	sx_tokenizer_sign(t, data, size);
out:
	return st;
}

sx_status sx_tokenizer_parse(sx_tokenizer **out, sx_ctx *ctx, const char *name, const char *data,
			     size_t size, const char *config, size_t config_size)
{
	sx_tokenizer *t = sx_calloc(1, sizeof *t);
	if (!t || !(t->name = sx_strdup(name))) {
		free(t);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a tokenizer");
	}
	t->kind = &sx_kind_hf;
	sx_status st = make(t, ctx, data, size, config, config_size);
	if (st == SX_OK)
		*out = t;
	else
		sx_tokenizer_free(t);
	return st;
}

/* The two files, from the path of the first or of their folder. */
static sx_status find_files(char **file, char **config, sx_ctx *ctx, const char *what)
{
	bool folder = sx_path_is_dir(what);
	const char *slash = strrchr(what, '/');
	int n = slash ? (int)(slash - what) + 1 : 0;
	*file = folder ? sx_format("%s/tokenizer.json", what) : sx_strdup(what);
	*config = folder ? sx_format("%s/tokenizer_config.json", what)
			 : sx_format("%.*stokenizer_config.json", n, what);
	if (!*file || !*config) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	char *model = folder ? sx_format("%s/tokenizer.model", what) : NULL;
	bool has_model = ends_in(what, "tokenizer.model") || (model && sx_path_exists(model));
	free(model);
	bool is_there = sx_path_exists(*file);
	if (is_there && !ends_in(what, "tokenizer.model")) return SX_OK;
	if (has_model)
		return sx_fail(
			ctx, SX_EDATA,
			"%s: a tokenizer.model (SentencePiece) is not read, its tokenizer.json is: "
			"transformers makes one, "
			"AutoTokenizer.from_pretrained(\"FOLDER\").save_pretrained(\"FOLDER\")",
			what);
	if (!folder) return sx_fail(ctx, SX_ENOINPUT, "%s does not exist", what);
	return sx_fail(ctx, SX_ENOINPUT,
		       "%s is a folder without a tokenizer.json: give \"bytes\" or the path of a "
		       "tokenizer.json or of a llama2.c tokenizer.bin",
		       what);
}

static sx_status open(sx_tokenizer *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *file = NULL, *config = NULL, *data = NULL, *settings = NULL;
	size_t size = 0, settings_size = 0;
	SX_TRY(find_files(&file, &config, ctx, t->name));
	SX_TRY(sx_read_file(ctx, file, &data, &size));
	if (sx_path_exists(config)) SX_TRY(sx_read_file(ctx, config, &settings, &settings_size));
	st = make(t, ctx, data, size, settings, settings_size);
out:
	free(file);
	free(config);
	free(data);
	free(settings);
	return st;
}

static void done(void *self)
{
	sx_pipeline_free(self);
}

static const char *piece(const sx_tokenizer *t, int32_t id, size_t *len)
{
	const sx_pipeline *h = t->self;
	return sx_vocab_string(&h->bpe.vocab, id, len);
}

/* ---- encoding and decoding ---- */

/* Bytes that are no UTF-8 are words of their own: no pattern sees them, and nothing is put in front
 * of the text behind them. */
static sx_status add_text(sx_encoder *e, const char *text, size_t len)
{
	sx_status st = SX_OK;
	bool broken = false;
	const sx_pipeline *h = e->h;
	bool bytes = h->n_stages > 0 && h->stages[h->n_stages - 1].kind == SX_STAGE_BYTE_LEVEL;
	for (size_t at = 0, n; at < len && st == SX_OK; at += n) {
		bool valid;
		n = sx_utf8_stretch(text + at, len - at, &valid);
		sx_place place = {.first = at == 0, .fresh = !broken};
		st = valid ? sx_added_run(e, text + at, n, place)
			   : sx_bpe_encode(e, text + at, n, bytes);
		broken = !valid;
	}
	return st;
}

static sx_status encode(int32_t **ids, int64_t *n, sx_ctx *ctx, const sx_tokenizer *t,
			const char *text, size_t len, bool bos)
{
	sx_status st = SX_OK;
	const sx_pipeline *h = t->self;
	sx_encoder e = {.h = h, .ctx = ctx, .matcher.ctx = ctx};
	if (bos && h->n_before == 0 && t->bos < 0) {
		st = sx_fail(ctx, SX_EUSAGE, "%s has no BOS token to begin with: give --no-bos",
			     t->name);
		goto out;
	}
	if (bos && h->n_before == 0 && h->n_after == 0) SX_TRY(sx_encoder_put(&e, t->bos));
	for (int i = 0; bos && i < h->n_before; i++) SX_TRY(sx_encoder_put(&e, h->before[i]));
	SX_TRY(add_text(&e, text, len));
	for (int i = 0; bos && i < h->n_after; i++) SX_TRY(sx_encoder_put(&e, h->after[i]));
	if (!e.ids && !(e.ids = sx_calloc(1, sizeof *e.ids))) {
		st = sx_encoder_memory(&e);
		goto out;
	}
	*ids = e.ids;
	*n = (int64_t)e.n;
	e.ids = NULL;
out:
	sx_encoder_free(&e);
	return st;
}

static sx_status decode(char **text, size_t *len, sx_ctx *ctx, const sx_tokenizer *t,
			const int32_t *ids, int64_t n)
{
	return sx_pipeline_decode(text, len, ctx, t->self, ids, n);
}

const sx_tokenizer_kind sx_kind_hf = {takes, open, encode, decode, piece, done};

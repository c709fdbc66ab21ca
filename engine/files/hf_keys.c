/* The keys that say a model's shape, in and out. */
#include "engine/files/hf_keys.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading: the shape ---- */

const sx_hf_habits sx_hf_llama = {.vocab = 32000,
				  .context = 2048,
				  .eps = 1e-6,
				  .theta = 1e4,
				  .bos = 1,
				  .eos = 2,
				  .eps_key = "rms_norm_eps",
				  .theta_key = "rope_theta",
				  .act = "silu"};

/* Two names of one function. */
static bool same_act(const char *a, const char *b)
{
	if (strcmp(a, "swish") == 0) a = "silu";
	return strcmp(a, b) == 0;
}

/* What would run silently wrong. */
static sx_status refuse_unsupported(const sx_hf_reader *r, const json_t *root,
				    const sx_hf_habits *h)
{
	sx_status st = SX_OK;
	const char *act = h->act;
	SX_TRY(sx_hf_get_string(r, root, "hidden_act", &act));
	if (!same_act(act, h->act))
		return sx_fail(r->ctx, SX_EDATA, "%s: hidden_act = %.60s is not supported, %s is",
			       r->path, act, h->act);
	if (sx_hf_get(root, "quantization_config"))
		return sx_fail(r->ctx, SX_EDATA, "%s: quantization_config is not supported",
			       r->path);
out:
	return st;
}

static sx_status read_token(const sx_hf_reader *r, const json_t *root, const char *key, int absent,
			    int *out)
{
	const json_t *v = json_object_get(root, key);
	if (json_is_array(v)) v = json_array_get(v, 0);
	json_int_t id = json_integer_value(v);
	if (v && !json_is_null(v) && (!json_is_integer(v) || id < 0 || id > INT32_MAX))
		return sx_hf_wrong_kind(r, key, "a token id");
	*out = !v ? absent : json_is_null(v) ? -1 : (int)id;
	return SX_OK;
}

sx_status sx_hf_read_shape(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			   const sx_hf_habits *h)
{
	const struct {
		const char *key;
		int *field;
	} sizes[] = {{"hidden_size", &s->C},
		     {"num_hidden_layers", &s->L},
		     {"num_attention_heads", &s->H},
		     {"intermediate_size", &s->F},
		     {"vocab_size", &s->V},
		     {"num_key_value_heads", &s->Hkv},
		     {"head_dim", &s->D}};
	enum { N_SIZES = sizeof sizes / sizeof sizes[0], N_REQUIRED = 4 };
	sx_status st = SX_OK;
	SX_TRY(refuse_unsupported(r, root, h));
	s->tied = h->tied;
	for (int i = 0; i < N_SIZES; i++) {
		int64_t size = 0;
		if (i < N_REQUIRED && !sx_hf_get(root, sizes[i].key))
			return sx_hf_missing(r, sizes[i].key);
		SX_TRY(sx_hf_get_int(r, root, sizes[i].key, &size));
		if (sx_hf_get(root, sizes[i].key) && (size < 1 || size > INT32_MAX))
			return sx_hf_wrong_kind(r, sizes[i].key, "a positive size");
		*sizes[i].field = (int)size;
	}
	if (s->V == 0) sx_hf_assume(r, "vocab_size", s->V = h->vocab);
	if (s->Hkv == 0) s->Hkv = s->H;
	if (s->D == 0 && s->C % s->H)
		return sx_fail(r->ctx, SX_EDATA,
			       "%s: head_dim is missing and %d heads do not divide hidden_size %d",
			       r->path, s->H, s->C);
	if (s->D == 0) s->D = s->C / s->H;
	if (!sx_hf_get(root, "max_position_embeddings"))
		sx_hf_assume(r, "max_position_embeddings", (double)(s->T = h->context));
	if (!sx_hf_get(root, h->eps_key)) sx_hf_assume(r, h->eps_key, s->eps = h->eps);
	SX_TRY(sx_hf_get_int(r, root, "max_position_embeddings", &s->T));
	SX_TRY(sx_hf_get_number(r, root, h->eps_key, &s->eps));
	SX_TRY(sx_hf_get_bool(r, root, "tie_word_embeddings", &s->tied));
	SX_TRY(read_token(r, root, "bos_token_id", h->bos, &s->bos));
	SX_TRY(read_token(r, root, "eos_token_id", h->eos, &s->eos));
out:
	return st;
}

/* ---- reading: layers that differ ---- */

/* The shortest list that, repeated, gives these flags; empty = all. False where it is too long. */
static bool list_of_flags(sx_pos_list *out, const bool *flag, int L)
{
	int n = 1;
	for (int l = 0; l < L && n <= SX_POS_LIST_MOST; l++)
		if (flag[l] != flag[l % n]) n++, l = -1;
	if (n > SX_POS_LIST_MOST) return false;
	*out = (sx_pos_list){.n = n == 1 && flag[0] ? 0 : n};
	for (int i = 0; i < out->n; i++) out->at[i] = flag[i];
	return true;
}

static sx_status take_flags(const sx_hf_reader *r, sx_pos_list *out, const bool *flag, int L,
			    const char *key)
{
	if (list_of_flags(out, flag, L)) return SX_OK;
	return sx_fail(r->ctx, SX_EDATA,
		       "%s: %s: a pattern of more than %d layers is not supported", r->path, key,
		       SX_POS_LIST_MOST);
}

/* layer_types: (s->L) words; the flags of those that are sliding. */
static sx_status read_layer_types(const sx_hf_reader *r, const json_t *list, bool *flag, int L)
{
	if (!json_is_array(list) || (int)json_array_size(list) != L)
		return sx_hf_wrong_kind(r, "layer_types", "a list with a word for every layer");
	for (int l = 0; l < L; l++) {
		const char *word = json_string_value(json_array_get(list, (size_t)l));
		flag[l] = word && strcmp(word, "sliding_attention") == 0;
		if (!flag[l] && (!word || strcmp(word, "full_attention") != 0))
			return sx_fail(r->ctx, SX_EDATA,
				       "%s: layer_types: the type %.60s of layer %d is not "
				       "supported; full_attention and sliding_attention are",
				       r->path, word ? word : "(no word)", l);
	}
	return SX_OK;
}

sx_status sx_hf_read_windows(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			     const bool *sliding)
{
	sx_status st = SX_OK;
	bool on = false, any = false, *flag = sx_calloc((size_t)s->L, sizeof *flag);
	const json_t *list = sx_hf_get(root, "layer_types");
	int64_t window = 4096; /* as transformers where it is absent; null = none */
	if (!flag) return sx_fail(r->ctx, SX_ENOMEM, "no memory for a list of layers");
	SX_TRY(sx_hf_get_bool(r, root, "use_sliding_window", &on));
	if (json_is_null(json_object_get(root, "sliding_window"))) on = false;
	SX_TRY(sx_hf_get_int(r, root, "sliding_window", &window));
	for (int l = 0; l < s->L; l++) flag[l] = on && sliding[l];
	if (list) SX_TRY(read_layer_types(r, list, flag, s->L));
	for (int l = 0; l < s->L; l++) any = any || flag[l];
	if (any && !on) {
		st = sx_fail(r->ctx, SX_EDATA,
			     "%s: layer_types has sliding layers, but use_sliding_window and "
			     "sliding_window do not say how far they see",
			     r->path);
		goto out;
	}
	if (any && window < 1) {
		st = sx_hf_wrong_kind(r, "sliding_window", "a number of tokens");
		goto out;
	}
	s->pos.window = any ? window : 0;
	if (any) SX_TRY(take_flags(r, &s->pos.windowed_layers, flag, s->L, "layer_types"));
out:
	free(flag);
	return st;
}

sx_status sx_hf_read_rotated(const sx_hf_reader *r, const json_t *root, sx_spec *s, bool *rotated)
{
	sx_status st = SX_OK;
	const json_t *list = sx_hf_get(root, "no_rope_layers");
	int64_t interval = 4;
	bool any = false;
	SX_TRY(sx_hf_get_int(r, root, "no_rope_layer_interval", &interval));
	if (!list && interval < 1)
		return sx_hf_wrong_kind(r, "no_rope_layer_interval", "a number of layers");
	if (list && (!json_is_array(list) || (int)json_array_size(list) < s->L))
		return sx_hf_wrong_kind(r, "no_rope_layers", "a list with 1 or 0 for every layer");
	for (int l = 0; l < s->L; l++) {
		const json_t *v = list ? json_array_get(list, (size_t)l) : NULL;
		if (list && !json_is_integer(v) && !json_is_boolean(v))
			return sx_hf_wrong_kind(r, "no_rope_layers",
						"a list with 1 or 0 for every layer");
		/* 1 = has RoPE, whatever the name says */
		rotated[l] = list ? json_is_true(v) || json_integer_value(v) != 0
				  : (l + 1) % interval != 0;
		any = any || rotated[l];
	}
	if (!any) return sx_hf_get_method(r, &s->pos, "nope");
	st = take_flags(r, &s->pos.rotated_layers, rotated, s->L, "no_rope_layers");
out:
	return st;
}

/* ---- writing ---- */

static json_t *token_or_null(int id)
{
	return id < 0 ? json_null() : json_integer(id);
}

bool sx_hf_put_shape(json_t *root, const sx_spec *s)
{
	json_t *shape = json_pack(
		"{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:f, s:b, s:o, s:o, s:s, s:b, s:b, s:s, "
		"s:s}",
		"vocab_size", s->V, "hidden_size", s->C, "intermediate_size", s->F,
		"num_hidden_layers", s->L, "num_attention_heads", s->H, "num_key_value_heads",
		s->Hkv, "head_dim", s->D, "max_position_embeddings", (json_int_t)s->T,
		"rms_norm_eps", s->eps, "tie_word_embeddings", (int)s->tied, "bos_token_id",
		token_or_null(s->bos), "eos_token_id", token_or_null(s->eos), "hidden_act", "silu",
		"attention_bias", 0, "mlp_bias", 0, "dtype", "float32", "torch_dtype", "float32");
	bool ok = shape && json_object_update(root, shape) == 0;
	json_decref(shape);
	return ok;
}

bool sx_hf_put_layers(json_t *root, const char *key, const sx_spec *s, const sx_pos_list *list,
		      const char *yes, const char *no)
{
	json_t *a = json_array();
	for (int l = 0; a && l < s->L; l++) {
		bool on = list->n == 0 || list->at[l % list->n] > 0;
		json_t *v = yes ? json_string(on ? yes : no) : json_integer(on);
		if (json_array_append_new(a, v) != 0) {
			json_decref(a);
			a = NULL;
		}
	}
	return sx_hf_put(root, key, a);
}

bool sx_hf_put_windows(json_t *root, const sx_spec *s)
{
	static const sx_pos_list none = {.n = 1, .at = {0}};
	const sx_pos_opts *o = &s->pos;
	bool on = o->window > 0;
	return sx_hf_put(root, "use_sliding_window", json_boolean(on)) &&
	       sx_hf_put(root, "sliding_window", on ? json_integer(o->window) : json_null()) &&
	       sx_hf_put_layers(root, "layer_types", s, on ? &o->windowed_layers : &none,
				"sliding_attention", "full_attention");
}

#include "probes/lab/sequences.h"

#include "probes/lab/words.h"

#include <stdlib.h>
#include <string.h>

bool sx_sequences_given(const sx_sequences_words *w)
{
	return w->text || w->words || w->tokens || w->prompt;
}

void sx_sequences_free(sx_sequences *q)
{
	free(q->tokens);
	free(q->target);
	free(q->kind);
	free(q->query_row);
	*q = (sx_sequences){0};
}

/* Nothing to predict, no kinds. */
static sx_status make(sx_sequences *q, sx_ctx *ctx, int64_t S, int64_t T)
{
	q->S = S, q->T = T;
	q->tokens = sx_calloc((size_t)(S * T), sizeof *q->tokens);
	q->target = sx_calloc((size_t)(S * T), sizeof *q->target);
	if (!q->tokens || !q->target) return sx_fail(ctx, SX_ENOMEM, "no memory for the input");
	for (int64_t i = 0; i < S * T; i++) q->target[i] = -1;
	return SX_OK;
}

/* ---- the user's own ---- */

static sx_status numbered_words(int32_t **ids, int64_t *n, sx_ctx *ctx, const char *path,
				const sx_source *s)
{
	sx_status st = SX_OK;
	char *text = NULL;
	size_t size = 0;
	int64_t distinct = 0;
	int32_t *words = NULL;
	if (s->tensors)
		SX_TRY(sx_fail(ctx, SX_EUSAGE,
			       "--words: %s has weights of its own, to which the numbers of words "
			       "mean nothing; give --text or --tokens",
			       s->name));
	SX_TRY(sx_read_input(ctx, path, &text, &size));
	SX_TRY(sx_words_number(&words, n, &distinct, ctx, text, size));
	if (distinct > s->spec.V)
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s has %lld different words, the model's vocabulary %d: set "
			       "model.vocab in %s",
			       sx_input_name(path), (long long)distinct, s->spec.V, s->name));
	*ids = words;
	words = NULL;
out:
	free(words);
	free(text);
	return st;
}

/* Ids in rows of `cols`: each row is a text of its own. */
static sx_status all_ids(int32_t **ids, int64_t *n, int64_t *cols, sx_ctx *ctx,
			 const sx_sequences_words *w, const sx_source *s)
{
	sx_status st = SX_OK;
	char *text = NULL;
	size_t size = 0;
	if (w->tokens) {
		sx_tokens t;
		SX_TRY(sx_tokens_read(&t, ctx, w->tokens, s->spec.V, w->ids));
		*ids = t.ids, *n = t.n, *cols = t.rows > 1 ? t.cols : t.n;
		return SX_OK;
	}
	if (w->words) {
		SX_TRY(numbered_words(ids, n, ctx, w->words, s));
		*cols = *n;
		return SX_OK;
	}
	SX_TRY(sx_source_need_tokenizer(s, ctx));
	if (w->text) SX_TRY(sx_read_input(ctx, w->text, &text, &size));
	if (text ? size == 0 : !*w->prompt)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s is empty: there is nothing to look at",
			       text ? sx_input_name(w->text) : "--prompt"));
	bool bos = w->bos_given ? w->bos : sx_tokenizer_adds_bos(s->tok);
	SX_TRY(sx_tokenizer_encode(ids, n, ctx, s->tok, text ? text : w->prompt,
				   text ? size : strlen(w->prompt), bos));
	*cols = *n;
out:
	free(text);
	return st;
}

/* What of the input is not used without having been asked for. */
static void say_left_out(sx_ctx *ctx, const sx_sequences_words *w, int64_t S, int64_t T,
			 int64_t left)
{
	if (w->sequences > S)
		sx_log(ctx, SX_LOG_INFO,
		       "the input gives %lld sequences of %lld tokens; %lld were asked for",
		       (long long)S, (long long)T, (long long)w->sequences);
	if (left > 0 && (!w->sequences || w->sequences >= S))
		sx_log(ctx, SX_LOG_INFO,
		       "%lld tokens are left out: they do not fill another sequence of %lld",
		       (long long)left, (long long)T);
}

static sx_status given(sx_sequences *q, sx_ctx *ctx, const sx_sequences_words *w,
		       const sx_source *s)
{
	sx_status st = SX_OK;
	int32_t *ids = NULL;
	int64_t n = 0, cols = 0;
	SX_TRY(all_ids(&ids, &n, &cols, ctx, w, s));
	/* no sequence runs over the end of a row */
	int64_t T = w->length ? w->length : cols, per_row = T > 0 ? cols / T : 0;
	int64_t S = cols > 0 ? n / cols * per_row : 0;
	if (S < 1) {
		st = sx_fail(ctx, SX_EDATA, "the input has %lld tokens, a sequence needs %lld",
			     (long long)n, (long long)T);
		goto out;
	}
	say_left_out(ctx, w, S, T, n - S * T);
	if (w->sequences && w->sequences < S) S = w->sequences;
	SX_TRY(make(q, ctx, S, T));
	for (int64_t k = 0; k < S; k++)
		memcpy(q->tokens + k * T, ids + k / per_row * cols + k % per_row * T,
		       (size_t)T * sizeof *ids);
	for (int64_t i = 0; i < S * T; i++)
		if ((i + 1) % T) q->target[i] = q->tokens[i + 1];
out:
	free(ids);
	return st;
}

/* ---- held-out ones ---- */

/* How many of each kind. */
static sx_status count_kinds(int64_t of_kind[SX_PROBE_KINDS], sx_ctx *ctx, const char *list,
			     int64_t each)
{
	sx_status st = SX_OK;
	char *copy = sx_strdup(list), *rest = copy;
	if (!copy) return sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
	memset(of_kind, 0, SX_PROBE_KINDS * sizeof *of_kind);
	for (char *word; st == SX_OK && (word = strtok_r(rest, ",", &rest));) {
		int k = 0;
		while (k < SX_PROBE_KINDS &&
		       strcmp(word, sx_probe_kind_name((sx_probe_kind)k)) != 0)
			k++;
		if (k == SX_PROBE_KINDS)
			st = sx_fail(ctx, SX_EUSAGE,
				     "--kinds: %s is unknown; known are text, repeated, retrieval, "
				     "constant",
				     word);
		else
			of_kind[k] = k == SX_PROBE_CONSTANT ? 1 : each;
	}
	free(copy);
	return st;
}

static sx_status constant(sx_sequences *q, sx_ctx *ctx, const sx_source *s, int64_t T)
{
	sx_status st = make(q, ctx, 1, T);
	if (st != SX_OK) return st;
	q->kind = sx_calloc(1, 1);
	if (!q->kind) return sx_fail(ctx, SX_ENOMEM, "no memory for the input");
	q->kind[0] = SX_PROBE_CONSTANT;
	for (int64_t t = 0; t < T; t++) q->tokens[t] = s->spec.V / 2;
	return SX_OK;
}

static sx_status held_out(sx_sequences *q, sx_ctx *ctx, const sx_sequences_words *w,
			  const sx_sequences_default *d, const sx_source *s)
{
	sx_status st = SX_OK;
	sx_data data = {0};
	int64_t of_kind[SX_PROBE_KINDS], S = 0, at = 0, T = s->spec.T;
	if (d->longest && T > d->longest) T = d->longest;
	if (w->length) T = w->length;
	if (!s->has_config && d->without_data && !w->kinds) return constant(q, ctx, s, T);
	if (!s->has_config)
		return sx_fail(ctx, SX_ENOINPUT,
			       "%s has no configuration that names its data: give --text, --tokens "
			       "or --prompt",
			       s->name);
	if (w->tokenizer)
		SX_TRY(sx_fail(
			ctx, SX_EUSAGE,
			"--tokenizer is for --text and --prompt: held-out sequences are made "
			"with the tokenizer of the data"));
	SX_TRY(count_kinds(of_kind, ctx, w->kinds ? w->kinds : d->kinds,
			   w->sequences ? w->sequences : d->each));
	for (int k = 0; k < SX_PROBE_KINDS; k++) S += of_kind[k];
	if (S < 1) SX_TRY(sx_fail(ctx, SX_EUSAGE, "--kinds: no kind given"));
	SX_TRY(make(q, ctx, S, T));
	q->kind = sx_calloc((size_t)S, 1);
	q->query_row = sx_calloc((size_t)(S * T), 1);
	if (!q->kind || !q->query_row) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the input"));
	SX_TRY(sx_data_open(&data, ctx, &s->cfg, s->spec.V));
	for (int k = 0; k < SX_PROBE_KINDS; k++)
		for (int64_t i = 0; i < of_kind[k]; i++, at++) {
			q->kind[at] = (uint8_t)k;
			SX_TRY(sx_language_probe_rows(q->tokens + at * T, q->target + at * T,
						      q->query_row + at * T, ctx, &data.lang,
						      (sx_probe_kind)k, T, s->seed, (uint64_t)i));
		}
out:
	sx_data_free(&data);
	return st;
}

sx_status sx_sequences_read(sx_sequences *out, sx_ctx *ctx, const sx_sequences_words *w,
			    const sx_sequences_default *d, const sx_source *s)
{
	sx_sequences q = {0};
	sx_status st = sx_sequences_given(w) ? given(&q, ctx, w, s) : held_out(&q, ctx, w, d, s);
	if (st == SX_OK)
		*out = q;
	else
		sx_sequences_free(&q);
	return st;
}

sx_status sx_families_parse(sx_family *f, int64_t *n, sx_ctx *ctx, const char *list)
{
	char *copy = sx_strdup(list), *rest = copy;
	sx_status st = copy ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for options");
	*n = 0;
	for (char *word; st == SX_OK && (word = strtok_r(rest, ",", &rest));)
		st = *n < SX_FAMILY_MOST
			     ? sx_family_parse(&f[(*n)++], ctx, word)
			     : sx_fail(ctx, SX_EUSAGE, "--ac: at most %d families", SX_FAMILY_MOST);
	if (st == SX_OK && *n == 0) st = sx_fail(ctx, SX_EUSAGE, "--ac: no family given");
	free(copy);
	return st;
}

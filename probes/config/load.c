/* Whole configurations: defaults, a file, overrides, and what no single key can tell. */
#include "probes/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sx_status sx_config_init(sx_config *cfg, sx_ctx *ctx)
{
	sx_config c = {0};
	sx_status st = SX_OK;
	for (const sx_option *o = sx_options; o->key && st == SX_OK; o++)
		st = sx_config_read_value(&c, ctx, o, o->key, o->fallback);
	memset(c.origin, SX_FROM_DEFAULT, sizeof c.origin);
	if (st != SX_OK) sx_config_free(&c);
	*cfg = c;
	return st;
}

bool sx_is_override(const char *word)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_.");
	return n > 0 && word[n] == '=' && word[0] != '.';
}

sx_status sx_config_set(sx_config *cfg, sx_ctx *ctx, const char *override)
{
	const char *sign = strchr(override, '=');
	char key[160];
	if (!sign || sign == override)
		return sx_fail(ctx, SX_EUSAGE, "%s: expected key=value, such as train.steps=200",
			       override);
	snprintf(key, sizeof key, "%.*s", (int)(sign - override), override);
	const sx_option *o = sx_option_find(key);
	if (!o && sx_option_is_group(key))
		return sx_fail(ctx, SX_ECONFIG, "%s: %s is a group of keys; set one of them",
			       override, key);
	if (!o) return sx_option_unknown(ctx, override, key);
	return sx_config_read_value(cfg, ctx, o, override, sign + 1);
}

sx_status sx_config_load(sx_config *cfg, sx_ctx *ctx, const char *path, int n,
			 char *const *overrides)
{
	char *text = NULL;
	size_t size = 0;
	sx_config c;
	sx_status st = sx_config_init(&c, ctx);
	if (st != SX_OK) goto out;
	if (path) {
		SX_TRY(sx_read_file(ctx, path, &text, &size));
		SX_TRY(sx_config_read(&c, ctx, path, text, size));
	}
	for (int i = 0; i < n; i++) SX_TRY(sx_config_set(&c, ctx, overrides[i]));
	st = sx_config_check(&c, ctx);
out:
	free(text);
	if (st != SX_OK) sx_config_free(&c);
	*cfg = c;
	return st;
}

/* ---- checks between keys ---- */

static sx_status check_train(const sx_config *c, sx_ctx *ctx)
{
	bool falls = strcmp(c->train.schedule, "constant") != 0;
	if (falls && c->train.min_lr > c->train.lr)
		return sx_fail(ctx, SX_ECONFIG, "train.min_lr = %g exceeds train.lr = %g: set both",
			       c->train.min_lr, c->train.lr);
	if (falls && c->train.drop.min_lr > c->train.drop.lr)
		return sx_fail(ctx, SX_ECONFIG,
			       "train.drop.min_lr = %g exceeds train.drop.lr = %g: set both",
			       c->train.drop.min_lr, c->train.drop.lr);
	if (c->train.batch % c->train.accumulate)
		return sx_fail(ctx, SX_ECONFIG,
			       "train.accumulate = %d does not divide train.batch = %d",
			       c->train.accumulate, c->train.batch);
	if (c->train.drop_at > c->train.steps)
		return sx_fail(ctx, SX_ECONFIG,
			       "train.drop_at = %lld lies after the last of train.steps = %lld "
			       "updates: drop earlier or train longer",
			       (long long)c->train.drop_at, (long long)c->train.steps);
	return SX_OK;
}

static sx_status check_data(const sx_config *c, sx_ctx *ctx)
{
	if (c->data.retrieval.keys == 0) return SX_OK;
	/* They share the bytes 128-255 with the marker and BOS (engine/text/language.h). */
	if (c->data.retrieval.keys + c->data.retrieval.values > 126)
		return sx_fail(ctx, SX_ECONFIG,
			       "data.retrieval.keys = %d, data.retrieval.values = %d: together "
			       "they may be 126 at most",
			       c->data.retrieval.keys, c->data.retrieval.values);
	if (c->data.retrieval.facts.hi > c->data.retrieval.keys)
		return sx_fail(ctx, SX_ECONFIG,
			       "data.retrieval.facts = [%lld, %lld]: %d keys (data.retrieval.keys) "
			       "do not suffice for so many different facts",
			       (long long)c->data.retrieval.facts.lo,
			       (long long)c->data.retrieval.facts.hi, c->data.retrieval.keys);
	return SX_OK;
}

sx_status sx_config_check(const sx_config *cfg, sx_ctx *ctx)
{
	sx_spec spec;
	sx_status st = SX_OK;
	SX_TRY(check_data(cfg, ctx));
	SX_TRY(check_train(cfg, ctx));
	/* The tokenizer is not known here; the least vocabulary contradicts no model.vocab. */
	st = sx_config_spec(cfg, 1, &spec, ctx);
out:
	return st;
}

/* ---- on a model that is loaded ---- */

/* What belongs to one method: a model's own values would be wrong for another one. Its context
 * extension (factor, train_length) is a fact about the model and stays. */
static void pos_other_method(sx_pos_opts *o)
{
	const sx_pos_opts fresh = sx_pos_opts_default();
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (p->of_method) sx_pos_param_copy(p, o, &fresh);
}

sx_status sx_spec_override(sx_spec *spec, sx_ctx *ctx, int n, char *const *overrides)
{
	sx_config c;
	sx_spec s = *spec;
	sx_status st = sx_config_init(&c, ctx);
	if (st != SX_OK) return st;
	for (int i = 0; i < n; i++) {
		if (strchr(overrides[i], '=') && strncmp(overrides[i], "pos.", 4) != 0) {
			st = sx_fail(ctx, SX_EUSAGE,
				     "%s: only pos.* can be changed on a model that is loaded",
				     overrides[i]);
			goto out;
		}
		SX_TRY(sx_config_set(&c, ctx, overrides[i]));
	}
	bool method = sx_config_origin(&c, &c.pos.method) != SX_FROM_DEFAULT;
	if (method && strcmp(c.pos.method, s.pos.method) != 0) pos_other_method(&s.pos);
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (sx_config_pos_is_set(&c, p)) sx_pos_param_copy(p, &s.pos, &c.pos);
	if (!sx_pos_find(s.pos.method)) {
		st = sx_config_unknown_method(ctx, s.pos.method);
		goto out;
	}
	SX_TRY(sx_spec_check(&s, ctx));
	*spec = s;
out:
	sx_config_free(&c);
	return st;
}

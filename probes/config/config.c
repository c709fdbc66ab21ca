/* The table of options and what follows from it: what a key accepts, setting one from text,
 * whole configurations, and the way to the engine's structs. yaml.c has the text of files. */
#include "probes/config/config.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY     HUGE_VAL
#define ABOVE_0 DBL_MIN
#define BELOW_1 (1 - DBL_EPSILON / 2)

#define SX_GROUP(name)
#define SX_END(name)
/* How many keys stand before pos.* */
#define SX_KEY(type, group, field, fallback, least, most, choices, meaning) \
	+(offsetof(sx_config, group field) < offsetof(sx_config, pos))
#define SX_POS_KEYS
enum {
	POS_AT = 0
#include "probes/config/options.def"
};
#undef SX_KEY
#undef SX_POS_KEYS

/* clang-format off */
#define SX_KEY(type, group, field, fallback, least, most, choices, meaning)                        \
	{#group #field, SX_OPTION_##type, offsetof(sx_config, group field),                        \
	 fallback, least, most, choices, meaning},
/* clang-format on */
#define SX_POS_KEYS [POS_AT + SX_POS_PARAMS - 1] = {.key = NULL}, /* pos_rows */
static sx_option table[SX_OPTION_COUNT + 1] = {
#include "probes/config/options.def"
	{.key = NULL},
};
#undef SX_GROUP
#undef SX_END
#undef SX_KEY
#undef SX_POS_KEYS
const sx_option *const sx_options = table;

/* The rows of pos.*, made from the engine's before anybody can look: numbers of another table are no
 * constants to C, and `table` never changes once the program has begun. Bounds are closed here, so
 * one that is open at 0 is the smallest positive number; one that is open elsewhere, or only guards
 * against overflow, is left to sx_config_check. */
static __attribute__((constructor)) void pos_rows(void)
{
	static const sx_option_type types[] = {[SX_POS_METHOD] = SX_OPTION_METHOD,
					       [SX_POS_REAL] = SX_OPTION_REAL,
					       [SX_POS_WHOLE] = SX_OPTION_LONG,
					       [SX_POS_FLAG] = SX_OPTION_FLAG};
	for (int i = 0; i < SX_POS_PARAMS; i++) {
		const sx_pos_param *p = &sx_pos_params[i];
		table[POS_AT + i] =
			(sx_option){.key = p->key,
				    .type = types[p->type],
				    .offset = offsetof(sx_config, pos) + p->offset,
				    .fallback = p->fallback,
				    .least = p->above && p->least == 0 ? ABOVE_0 : p->least,
				    .most = p->most,
				    .meaning = p->meaning};
	}
}

enum { KEY_MAX = 64 }; /* longer than any key of the table */

/* ---- the table ---- */

const sx_option *sx_option_find(const char *key)
{
	for (const sx_option *o = sx_options; o->key; o++)
		if (strcmp(o->key, key) == 0) return o;
	return NULL;
}

bool sx_option_is_group(const char *path)
{
	size_t n = strlen(path);
	for (const sx_option *o = sx_options; o->key; o++)
		if (strncmp(o->key, path, n) == 0 && o->key[n] == '.') return true;
	return false;
}

int sx_edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	if (n >= KEY_MAX || m >= KEY_MAX) return INT_MAX;
	/* Restricted Damerau-Levenshtein: a swap looks two rows back. */
	int rows[3][KEY_MAX];
	int *two = rows[0], *one = rows[1], *row = rows[2];
	for (size_t j = 0; j <= m; j++) row[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int *oldest = two;
		two = one, one = row, row = oldest;
		row[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			int best = one[j - 1] + (a[i - 1] != b[j - 1]);
			if (one[j] + 1 < best) best = one[j] + 1;
			if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

static const char *leaf_of(const char *key)
{
	const char *dot = strrchr(key, '.');
	return dot ? dot + 1 : key;
}

bool sx_option_suggest(const char *key, char out[64])
{
	int best = INT_MAX, enough = strlen(key) < 12 ? 2 : 3;
	for (const sx_option *o = sx_options; o->key; o++) {
		int d = sx_edit_distance(key, o->key);
		/* The right name in the wrong group; a slip in it too, where it is long. */
		int leaf = sx_edit_distance(leaf_of(key), leaf_of(o->key));
		if (leaf <= (strlen(leaf_of(key)) > 3) && leaf < d) d = leaf + 1;
		if (d < best) {
			best = d;
			snprintf(out, 64, "%s", o->key);
		}
		for (const char *dot = strchr(o->key, '.'); dot; dot = strchr(dot + 1, '.')) {
			char group[KEY_MAX];
			snprintf(group, sizeof group, "%.*s", (int)(dot - o->key), o->key);
			d = sx_edit_distance(key, group);
			if (d < best) {
				best = d;
				snprintf(out, 64, "%s", group);
			}
		}
	}
	return best <= enough;
}

sx_status sx_option_unknown(sx_ctx *ctx, const char *where, const char *key)
{
	char near[64];
	const char *colon = *where ? ": " : "";
	if (sx_option_suggest(key, near))
		return sx_fail(ctx, SX_ECONFIG, "%s%sunknown key %s; did you mean %s?", where,
			       colon, key, near);
	return sx_fail(ctx, SX_ECONFIG, "%s%sunknown key %s; `sextant config` lists all keys",
		       where, colon, key);
}

sx_status sx_config_unknown_method(sx_ctx *ctx, const char *name)
{
	char names[200] = "";
	size_t used = 0;
	for (const sx_pos_method *m = sx_pos_methods; m->name && used < sizeof names; m++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
					 used ? ", " : "", m->name);
	return sx_fail(ctx, SX_ECONFIG, "pos.method = %s: unknown method; known are %s", name,
		       names);
}

static const char *type_text(sx_option_type t)
{
#define SX_OPTION_TEXT_CASE(name, type, text) text,
	static const char *const texts[] = {SX_OPTION_TYPES(SX_OPTION_TEXT_CASE)};
	return texts[t];
}

void sx_option_allowed(const sx_option *o, char *out, size_t size)
{
	if (o->choices) {
		size_t used = (size_t)snprintf(out, size, "one of ");
		for (const char *c = o->choices; *c && used + 2 < size; c++) {
			out[used++] = *c == '|' ? ',' : *c;
			if (*c == '|') out[used++] = ' ';
		}
		out[used] = '\0';
		return;
	}
	bool bounded = o->type != SX_OPTION_TEXT && o->type != SX_OPTION_TEXTS &&
		       o->type != SX_OPTION_METHOD && o->type != SX_OPTION_FLAG &&
		       o->type != SX_OPTION_STEP;
	char least[40] = "", most[40] = "";
	if (bounded && o->least == ABOVE_0)
		snprintf(least, sizeof least, ", above 0");
	else if (bounded)
		snprintf(least, sizeof least, ", at least %g", o->least);
	if (bounded && o->most == BELOW_1)
		snprintf(most, sizeof most, ", below 1");
	else if (bounded && o->most < ANY)
		snprintf(most, sizeof most, ", at most %g", o->most);
	snprintf(out, size, "%s%s%s", type_text(o->type), least, most);
}

/* ---- one value from text ---- */

static bool parse_real(const char *s, double *out)
{
	/* strtod also takes hexadecimal, infinities and white space: not numbers here. */
	if (!strcmp(s, "nan") || !strcmp(s, ".nan") || !strcmp(s, "NaN") || !strcmp(s, ".NaN")) {
		*out = (double)NAN;
		return true;
	}
	if (!*s || s[strspn(s, "+-.0123456789eE")]) return false;
	char *end;
	*out = strtod(s, &end);
	return !*end && isfinite(*out);
}

static bool parse_whole(const char *s, int64_t *out)
{
	char *end;
	double real;
	if (!parse_real(s, &real) || isnan(real)) return false;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	if (!*end) {
		*out = v;
		return errno == 0;
	}
	/* 1e6 and 128.0 are whole numbers too, as far as a double counts. */
	if (real != floor(real) || fabs(real) > 9007199254740992.0) return false;
	*out = (int64_t)real;
	return true;
}

static bool parse_flag(const char *s, bool *out)
{
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "on"};
	static const char *const no[] = {"false", "False", "FALSE", "no", "off"};
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		if (!strcmp(s, yes[i])) {
			*out = true;
			return true;
		}
		if (!strcmp(s, no[i])) {
			*out = false;
			return true;
		}
	}
	return false;
}

static bool real_fits(const sx_option *o, double v)
{
	/* NaN means "not set" where it is the default, and is nothing anywhere else. */
	if (isnan(v)) return strcmp(o->fallback, "nan") == 0;
	return v >= o->least && v <= o->most;
}

static bool whole_fits(const sx_option *o, int64_t v)
{
	if (o->type == SX_OPTION_INT && v > INT_MAX) return false;
	return (double)v >= o->least && (double)v <= o->most;
}

static bool is_choice(const char *choices, const char *s)
{
	if (!choices) return true;
	if (strchr(s, '|')) return false;
	size_t n = strlen(s);
	for (const char *c = choices; c; c = strchr(c, '|')) {
		if (*c == '|') c++;
		if (n && strncmp(c, s, n) == 0 && (c[n] == '|' || !c[n])) return true;
	}
	return false;
}

/* No line breaks and nothing a YAML reader refuses: then single quotes hold any text. The text is
 * valid UTF-8, libyaml saw to that. */
static bool is_one_line(const char *s)
{
	static const char *const refused[] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
					      "\xef\xbf\xbe", "\xef\xbf\xbf"};
	for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) return false;
		for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
			if (strncmp((const char *)c, refused[i], 3) == 0) return false;
	}
	return true;
}

static void *field_of(sx_config *cfg, const sx_option *o)
{
	return (unsigned char *)cfg + o->offset;
}

const void *sx_config_field(const sx_config *cfg, const sx_option *o)
{
	return (const unsigned char *)cfg + o->offset;
}

static void field_free(const sx_option *o, void *field)
{
	if (o->type == SX_OPTION_TEXT) {
		char **s = field;
		free(*s);
		*s = NULL;
	} else if (o->type == SX_OPTION_INTS) {
		sx_int_list *l = field;
		free(l->at);
		*l = (sx_int_list){0};
	} else if (o->type == SX_OPTION_TEXTS) {
		sx_text_list *l = field;
		for (size_t i = 0; i < l->n; i++) free(l->at[i]);
		free(l->at);
		*l = (sx_text_list){0};
	}
}

/* Reads one scalar of a value; SX_NO where it is not what the key accepts. */
static sx_status read_number(const sx_option *o, const char *s, int64_t *whole, double *real)
{
	if (o->type == SX_OPTION_REAL || o->type == SX_OPTION_REALS2)
		return parse_real(s, real) && real_fits(o, *real) ? SX_OK : SX_NO;
	if (o->type == SX_OPTION_STEP && strcmp(s, "none") == 0) {
		*whole = -1;
		return SX_OK;
	}
	return parse_whole(s, whole) && whole_fits(o, *whole) ? SX_OK : SX_NO;
}

static sx_status store_scalar(const sx_option *o, void *field, const char *s)
{
	int64_t whole = 0;
	if (o->type == SX_OPTION_FLAG) return parse_flag(s, field) ? SX_OK : SX_NO;
	if (o->type == SX_OPTION_TEXT) {
		if (!is_choice(o->choices, s) || !is_one_line(s)) return SX_NO;
		char *copy = sx_strdup(s);
		if (!copy) return SX_ENOMEM;
		field_free(o, field);
		*(char **)field = copy;
		return SX_OK;
	}
	if (o->type == SX_OPTION_METHOD) {
		if (!is_one_line(s) || strlen(s) >= sizeof(sx_method_name)) return SX_NO;
		memset(field, 0, sizeof(sx_method_name));
		memcpy(field, s, strlen(s));
		return SX_OK;
	}
	if (o->type == SX_OPTION_REAL) return read_number(o, s, NULL, field);
	sx_status st = read_number(o, s, &whole, NULL);
	if (st == SX_OK && o->type == SX_OPTION_INT) *(int *)field = (int)whole;
	if (st == SX_OK && o->type != SX_OPTION_INT) *(int64_t *)field = whole;
	return st;
}

static sx_status store_pair(const sx_option *o, void *field, char *const *s)
{
	if (o->type == SX_OPTION_REALS2) {
		sx_real_pair p;
		if (read_number(o, s[0], NULL, &p.a) || read_number(o, s[1], NULL, &p.b))
			return SX_NO;
		*(sx_real_pair *)field = p;
		return SX_OK;
	}
	sx_int_pair p;
	if (read_number(o, s[0], &p.lo, NULL) || read_number(o, s[1], &p.hi, NULL) || p.lo > p.hi)
		return SX_NO;
	*(sx_int_pair *)field = p;
	return SX_OK;
}

static sx_status store_texts(const sx_option *o, void *field, char *const *s, size_t n)
{
	sx_text_list l = {sx_calloc(n + 1, sizeof *l.at), 0};
	sx_status st = l.at ? SX_OK : SX_ENOMEM;
	while (st == SX_OK && l.n < n) {
		st = *s[l.n] && is_one_line(s[l.n]) ? SX_OK : SX_NO;
		if (st == SX_OK && !(l.at[l.n] = sx_strdup(s[l.n]))) st = SX_ENOMEM;
		if (st == SX_OK) l.n++;
	}
	if (st == SX_OK) field_free(o, field);
	if (st == SX_OK)
		*(sx_text_list *)field = l;
	else
		field_free(o, &l);
	return st;
}

static sx_status store_ints(const sx_option *o, void *field, char *const *s, size_t n)
{
	sx_int_list l = {sx_calloc(n + 1, sizeof *l.at), n};
	sx_status st = l.at ? SX_OK : SX_ENOMEM;
	for (size_t i = 0; st == SX_OK && i < n; i++) st = read_number(o, s[i], &l.at[i], NULL);
	if (st == SX_OK) field_free(o, field);
	if (st == SX_OK)
		*(sx_int_list *)field = l;
	else
		field_free(o, &l);
	return st;
}

static sx_status store(const sx_option *o, void *field, char *const *s, size_t n, bool list)
{
	switch (o->type) {
	case SX_OPTION_RANGE:
	case SX_OPTION_REALS2:
		return list && n == 2 ? store_pair(o, field, s) : SX_NO;
	case SX_OPTION_INTS:
	case SX_OPTION_TEXTS:
		if (!list && n == 1 && !*s[0]) n = 0; /* `text:` alone is an empty list */
		return o->type == SX_OPTION_INTS ? store_ints(o, field, s, n)
						 : store_texts(o, field, s, n);
	default:
		return !list && n == 1 ? store_scalar(o, field, s[0]) : SX_NO;
	}
}

/* The value as a user would write it, for a sentence. */
static void value_text(char *const *s, size_t n, bool list, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "%s", list ? "[" : "");
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%.60s", i ? ", " : "", s[i]);
	if (used < size) snprintf(out + used, size - used, "%s", list ? "]" : "");
	if (!*out) snprintf(out, size, "(nothing)");
}

sx_status sx_config_store(sx_config *cfg, sx_ctx *ctx, const sx_option *o, char *const *texts,
			  size_t n, bool list, const char *where, sx_origin origin)
{
	char allowed[160], text[160];
	sx_status st = store(o, field_of(cfg, o), texts, n, list);
	if (st == SX_ENOMEM) return sx_fail(ctx, st, "no memory for the configuration");
	if (st == SX_NO && o->type == SX_OPTION_METHOD && !list && n == 1 && is_one_line(texts[0]))
		return sx_config_unknown_method(ctx, texts[0]); /* longer than any */
	if (st == SX_NO) {
		sx_option_allowed(o, allowed, sizeof allowed);
		value_text(texts, n, list, text, sizeof text);
		if (origin == SX_FROM_OVERRIDE) /* `where` shows key and value already */
			return sx_fail(ctx, SX_ECONFIG, "%s: must be %s", where, allowed);
		return sx_fail(ctx, SX_ECONFIG, "%s: %s = %s: must be %s", where, o->key, text,
			       allowed);
	}
	cfg->origin[o - sx_options] = (unsigned char)origin;
	return SX_OK;
}

/* ---- whole configurations ---- */

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

void sx_config_free(sx_config *cfg)
{
	if (!cfg) return;
	for (const sx_option *o = sx_options; o->key; o++) field_free(o, field_of(cfg, o));
	memset(cfg, 0, sizeof *cfg);
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

/* ---- comparison ---- */

static bool same_real(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static bool same(const sx_option *o, const void *a, const void *b)
{
	switch (o->type) {
	case SX_OPTION_INT:
		return *(const int *)a == *(const int *)b;
	case SX_OPTION_LONG:
	case SX_OPTION_STEP:
		return *(const int64_t *)a == *(const int64_t *)b;
	case SX_OPTION_REAL:
		return same_real(*(const double *)a, *(const double *)b);
	case SX_OPTION_FLAG:
		return *(const bool *)a == *(const bool *)b;
	case SX_OPTION_TEXT:
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case SX_OPTION_METHOD:
		return strcmp(a, b) == 0;
	case SX_OPTION_RANGE: {
		const sx_int_pair *x = a, *y = b;
		return x->lo == y->lo && x->hi == y->hi;
	}
	case SX_OPTION_REALS2: {
		const sx_real_pair *x = a, *y = b;
		return same_real(x->a, y->a) && same_real(x->b, y->b);
	}
	case SX_OPTION_INTS: {
		const sx_int_list *x = a, *y = b;
		return x->n == y->n && !memcmp(x->at, y->at, x->n * sizeof *x->at);
	}
	case SX_OPTION_TEXTS: {
		const sx_text_list *x = a, *y = b;
		if (x->n != y->n) return false;
		for (size_t i = 0; i < x->n; i++)
			if (strcmp(x->at[i], y->at[i]) != 0) return false;
		return true;
	}
	}
	return false;
}

int sx_config_diff(const sx_config *a, const sx_config *b, const sx_option *keys[SX_OPTION_COUNT])
{
	int n = 0;
	for (const sx_option *o = sx_options; o->key; o++)
		if (!same(o, sx_config_field(a, o), sx_config_field(b, o))) keys[n++] = o;
	return n;
}

sx_origin sx_config_origin(const sx_config *cfg, const void *field)
{
	size_t offset = (size_t)((const unsigned char *)field - (const unsigned char *)cfg);
	for (const sx_option *o = sx_options; o->key; o++)
		if (o->offset == offset) return (sx_origin)cfg->origin[o - sx_options];
	return SX_FROM_DEFAULT;
}

bool sx_config_pos_is_set(const sx_config *cfg, const sx_pos_param *p)
{
	return cfg->origin[POS_AT + (p - sx_pos_params)] != SX_FROM_DEFAULT;
}

/* ---- towards the engine ---- */

static bool is_set(const sx_config *cfg, const void *field)
{
	return sx_config_origin(cfg, field) != SX_FROM_DEFAULT;
}

sx_status sx_config_spec(const sx_config *cfg, int vocab, sx_spec *out, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	sx_spec s = {.V = cfg->model.vocab ? cfg->model.vocab : vocab,
		     .C = cfg->model.width,
		     .L = cfg->model.layers,
		     .H = cfg->model.heads,
		     .Hkv = cfg->model.kv_heads ? cfg->model.kv_heads : cfg->model.heads,
		     .D = cfg->model.head_dim,
		     .F = cfg->model.ffn,
		     .T = cfg->model.context,
		     .eps = cfg->model.norm_eps,
		     .pos = cfg->pos,
		     .tied = cfg->model.tie_embeddings,
		     .qkv_bias = cfg->model.qkv_bias,
		     .bos = -1,
		     .eos = -1};
	if (s.V < vocab)
		return sx_fail(ctx, SX_ECONFIG,
			       "model.vocab = %d: smaller than the tokenizer's vocabulary, %d", s.V,
			       vocab);
	if (s.D == 0 && s.C % s.H)
		return sx_fail(
			ctx, SX_ECONFIG,
			"model.width = %d is no multiple of model.heads = %d: change one, or "
			"set model.head_dim",
			s.C, s.H);
	if (s.D == 0) s.D = s.C / s.H;
	if (s.F == 0) s.F = (int)((((int64_t)s.C * 8 + 2) / 3 + 15) / 16 * 16);
	sx_qk_norm_parse(cfg->model.qk_norm, &s.qk_norm); /* the table allows known names only */
	if (!sx_pos_find(cfg->pos.method)) return sx_config_unknown_method(ctx, cfg->pos.method);
	SX_TRY(sx_spec_check(&s, ctx));
	*out = s;
out:
	return st;
}

static sx_status adopt_int(sx_config *cfg, sx_ctx *ctx, const char *key, int *field, int model)
{
	/* 0 means "derived", which is what the model's number then is. */
	if (*field != model && *field != 0 && is_set(cfg, field))
		return sx_fail(ctx, SX_ECONFIG,
			       "%s = %d, but the model to start from (init) has %d: leave it out",
			       key, *field, model);
	*field = model;
	return SX_OK;
}

static sx_status adopt_flag(sx_config *cfg, sx_ctx *ctx, const char *key, bool *field, bool model)
{
	if (*field != model && is_set(cfg, field))
		return sx_fail(ctx, SX_ECONFIG,
			       "%s = %s, but the model to start from (init) has it otherwise: "
			       "leave it out",
			       key, *field ? "true" : "false");
	*field = model;
	return SX_OK;
}

sx_status sx_config_adopt(sx_config *cfg, sx_ctx *ctx, const sx_spec *spec)
{
	sx_status st = SX_OK;
	const char *norm = sx_qk_norm_name(spec->qk_norm);
	SX_TRY(adopt_int(cfg, ctx, "model.layers", &cfg->model.layers, spec->L));
	SX_TRY(adopt_int(cfg, ctx, "model.width", &cfg->model.width, spec->C));
	SX_TRY(adopt_int(cfg, ctx, "model.heads", &cfg->model.heads, spec->H));
	SX_TRY(adopt_int(cfg, ctx, "model.kv_heads", &cfg->model.kv_heads, spec->Hkv));
	SX_TRY(adopt_int(cfg, ctx, "model.head_dim", &cfg->model.head_dim, spec->D));
	SX_TRY(adopt_int(cfg, ctx, "model.ffn", &cfg->model.ffn, spec->F));
	SX_TRY(adopt_int(cfg, ctx, "model.vocab", &cfg->model.vocab, spec->V));
	SX_TRY(adopt_flag(cfg, ctx, "model.qkv_bias", &cfg->model.qkv_bias, spec->qkv_bias));
	SX_TRY(adopt_flag(cfg, ctx, "model.tie_embeddings", &cfg->model.tie_embeddings,
			  spec->tied));
	if (cfg->model.norm_eps != spec->eps && is_set(cfg, &cfg->model.norm_eps)) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "model.norm_eps = %g, but the model to start from (init) has %g: "
			     "leave it out",
			     cfg->model.norm_eps, spec->eps);
		goto out;
	}
	cfg->model.norm_eps = spec->eps;
	if (strcmp(cfg->model.qk_norm, norm) != 0 && is_set(cfg, &cfg->model.qk_norm)) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "model.qk_norm = %s, but the model to start from (init) has %s: leave "
			     "it out, or set train.drop.qk_norm",
			     cfg->model.qk_norm, norm);
		goto out;
	}
	char *copy = sx_strdup(norm);
	if (!copy) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the configuration");
		goto out;
	}
	free(cfg->model.qk_norm);
	cfg->model.qk_norm = copy;
	if (!is_set(cfg, &cfg->model.context)) cfg->model.context = spec->T;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (!sx_config_pos_is_set(cfg, p)) sx_pos_param_copy(p, &cfg->pos, &spec->pos);
out:
	return st;
}

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

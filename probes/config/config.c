/* The table of options and what follows from it: what a key accepts, setting one from text,
 * comparing. yaml.c has the text of files, load.c whole configurations, model.c the way to the
 * engine's structs. */
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

/* The rows of pos.*, made from the engine's before anybody can look: numbers of another table are
 * no constants to C, and `table` never changes once the program has begun. Bounds are closed here,
 * so one that is open at 0 is the smallest positive number; one that is open elsewhere, or only
 * guards against overflow, is left to sx_config_check. */
static __attribute__((constructor)) void pos_rows(void)
{
	static const sx_option_type types[] = {[SX_POS_METHOD] = SX_OPTION_METHOD,
					       [SX_POS_REAL] = SX_OPTION_REAL,
					       [SX_POS_WHOLE] = SX_OPTION_LONG,
					       [SX_POS_FLAG] = SX_OPTION_FLAG,
					       [SX_POS_LIST] = SX_OPTION_NUMBERS};
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
	char names[SX_POS_NAMES];
	sx_pos_method_names(names);
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
	if (o->type == SX_OPTION_REAL || o->type == SX_OPTION_REALS2 ||
	    o->type == SX_OPTION_NUMBERS)
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

static sx_status store_numbers(const sx_option *o, void *field, char *const *s, size_t n)
{
	sx_pos_list l = {.n = (int)n};
	if (n > SX_POS_LIST_MOST) return SX_NO;
	for (size_t i = 0; i < n; i++)
		if (read_number(o, s[i], NULL, &l.at[i])) return SX_NO;
	*(sx_pos_list *)field = l;
	return SX_OK;
}

static sx_status store(const sx_option *o, void *field, char *const *s, size_t n, bool list)
{
	switch (o->type) {
	case SX_OPTION_RANGE:
	case SX_OPTION_REALS2:
		return list && n == 2 ? store_pair(o, field, s) : SX_NO;
	case SX_OPTION_INTS:
	case SX_OPTION_TEXTS:
	case SX_OPTION_NUMBERS:
		if (!list && n == 1 && !*s[0]) n = 0; /* `text:` alone is an empty list */
		if (o->type == SX_OPTION_NUMBERS) return store_numbers(o, field, s, n);
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

void sx_config_free(sx_config *cfg)
{
	if (!cfg) return;
	for (const sx_option *o = sx_options; o->key; o++) field_free(o, field_of(cfg, o));
	for (size_t i = 0; i < cfg->folders.n; i++) free(cfg->folders.at[i]);
	free(cfg->folders.at);
	memset(cfg, 0, sizeof *cfg);
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
	case SX_OPTION_NUMBERS: {
		const sx_pos_list *x = a, *y = b;
		bool all = x->n == y->n;
		for (int i = 0; all && i < x->n; i++) all = same_real(x->at[i], y->at[i]);
		return all;
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

/* A configuration as text: YAML in by libyaml's events (they still know about anchors, tags and
 * duplicates), YAML out by hand, since libyaml writes no comments. */
#include "probes/config/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { PATH_SIZE = 160 }; /* more than twice the longest key of the table */

/* What stands behind a key: a scalar or a flat list of scalars. */
struct value {
	char **item;
	size_t n;
	bool list;
};

static void value_free(struct value *v)
{
	for (size_t i = 0; i < v->n; i++) free(v->item[i]);
	free(v->item);
	*v = (struct value){0};
}

static bool value_push(struct value *v, const char *text, size_t length)
{
	char **grown = sx_grow(v->item, v->n + 1, sizeof *grown);
	if (!grown) return false;
	v->item = grown;
	v->item[v->n] = sx_format("%.*s", (int)length, text);
	return v->item[v->n++] != NULL;
}

/* ---- in ---- */

struct reader {
	sx_config *cfg;
	sx_ctx *ctx;
	yaml_parser_t parser;
	const char *name; /* file, or the override: opens every message */
	sx_origin origin;
	/* Every path met so far. They are checked against the table first, so there are fewer
	 * than there are keys and groups. */
	struct {
		char path[PATH_SIZE];
		size_t line;
	} seen[2 * SX_OPTION_COUNT];
	int n_seen;
};

static void where_text(const struct reader *r, size_t line, char out[300])
{
	if (r->origin == SX_FROM_FILE)
		snprintf(out, 300, "%.250s:%zu", r->name, line);
	else
		snprintf(out, 300, "%.250s", r->name);
}

static sx_status bad_yaml(struct reader *r, size_t line, const char *what)
{
	char where[300];
	where_text(r, line, where);
	return sx_fail(r->ctx, SX_ECONFIG, "%s: %s", where, what);
}

/* The next event; refuses what a configuration has no use for. The caller deletes the event. */
static sx_status next_event(struct reader *r, yaml_event_t *e)
{
	if (!yaml_parser_parse(&r->parser, e)) {
		if (r->parser.error == YAML_MEMORY_ERROR)
			return sx_fail(r->ctx, SX_ENOMEM, "no memory to read %s", r->name);
		char what[200];
		snprintf(what, sizeof what, "not valid YAML: %.150s",
			 r->parser.problem ? r->parser.problem : "unreadable");
		return bad_yaml(r, r->parser.problem_mark.line + 1, what);
	}
	const yaml_char_t *anchor = NULL, *tag = NULL;
	if (e->type == YAML_SCALAR_EVENT)
		anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
	else if (e->type == YAML_SEQUENCE_START_EVENT)
		anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
	else if (e->type == YAML_MAPPING_START_EVENT)
		anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
	const char *what = NULL;
	if (anchor || e->type == YAML_ALIAS_EVENT)
		what = "anchors and aliases (& and *) are not read here; quote the value if it is "
		       "a text";
	else if (tag)
		what = "tags (!) are not read here; quote the value if it is a text";
	if (!what) return SX_OK;
	sx_status st = bad_yaml(r, e->start_mark.line + 1, what);
	yaml_event_delete(e);
	return st;
}

static sx_status push_scalar(struct reader *r, struct value *v, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t length = e->data.scalar.length;
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (plain && (!strcmp(text, "~") || !strcmp(text, "null"))) length = 0;
	if (memchr(text, 0, length))
		return bad_yaml(r, e->start_mark.line + 1, "a text with a zero byte in it");
	if (!value_push(v, text, length))
		return sx_fail(r->ctx, SX_ENOMEM, "no memory for the configuration");
	return SX_OK;
}

/* The rest of a sequence whose start has been read. */
static sx_status read_list(struct reader *r, struct value *v)
{
	v->list = true;
	for (;;) {
		yaml_event_t e;
		sx_status st = next_event(r, &e);
		if (st != SX_OK) return st;
		bool end = e.type == YAML_SEQUENCE_END_EVENT;
		if (e.type == YAML_SCALAR_EVENT)
			st = push_scalar(r, v, &e);
		else if (!end)
			st = bad_yaml(r, e.start_mark.line + 1, "a list inside a list");
		yaml_event_delete(&e);
		if (end || st != SX_OK) return st;
	}
}

/* The value of row o, which begins with event e. */
static sx_status read_value(struct reader *r, const sx_option *o, const yaml_event_t *e)
{
	sx_status st = SX_OK;
	struct value v = {0};
	char where[300], allowed[160];
	where_text(r, e->start_mark.line + 1, where);
	if (e->type == YAML_SCALAR_EVENT) {
		SX_TRY(push_scalar(r, &v, e));
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		SX_TRY(read_list(r, &v));
	} else {
		sx_option_allowed(o, allowed, sizeof allowed);
		st = sx_fail(r->ctx, SX_ECONFIG, "%s: %s must be %s", where, o->key, allowed);
		goto out;
	}
	st = sx_config_store(r->cfg, r->ctx, o, v.item, v.n, v.list, where, r->origin);
out:
	value_free(&v);
	return st;
}

static sx_status note_path(struct reader *r, const char *path, size_t line)
{
	char where[300];
	where_text(r, line, where);
	for (int i = 0; i < r->n_seen; i++)
		if (strcmp(r->seen[i].path, path) == 0)
			return sx_fail(r->ctx, SX_ECONFIG,
				       "%s: %s stands here for the second time, after line %zu",
				       where, path, r->seen[i].line);
	snprintf(r->seen[r->n_seen].path, PATH_SIZE, "%s", path);
	r->seen[r->n_seen++].line = line;
	return SX_OK;
}

static sx_status read_mapping(struct reader *r, const char *group);

/* What stands behind the key that makes up `path`. */
static sx_status read_entry(struct reader *r, const char *path, size_t line)
{
	char where[300];
	const sx_option *o = sx_option_find(path);
	where_text(r, line, where);
	if (!o && !sx_option_is_group(path)) return sx_option_unknown(r->ctx, where, path);
	sx_status st = note_path(r, path, line);
	if (st != SX_OK) return st;
	yaml_event_t e;
	st = next_event(r, &e);
	if (st != SX_OK) return st;
	if (o)
		st = read_value(r, o, &e);
	else if (e.type == YAML_MAPPING_START_EVENT)
		st = read_mapping(r, path);
	else if (e.type != YAML_SCALAR_EVENT || e.data.scalar.length)
		st = sx_fail(r->ctx, SX_ECONFIG, "%s: %s is a group of keys, not a value", where,
			     path);
	yaml_event_delete(&e);
	return st;
}

/* The rest of a mapping whose start has been read. The depth is bounded by the table's, since
 * unknown groups are not entered. */
static sx_status read_mapping(struct reader *r, const char *group)
{
	for (;;) {
		yaml_event_t e;
		sx_status st = next_event(r, &e);
		if (st != SX_OK) return st;
		bool end = e.type == YAML_MAPPING_END_EVENT;
		char path[PATH_SIZE];
		size_t line = e.start_mark.line + 1;
		if (e.type == YAML_SCALAR_EVENT)
			snprintf(path, sizeof path, "%s%s%.80s", group, *group ? "." : "",
				 (const char *)e.data.scalar.value);
		else if (!end)
			st = bad_yaml(r, line, "a key must be a plain name");
		yaml_event_delete(&e);
		if (end || st != SX_OK) return st;
		if ((st = read_entry(r, path, line)) != SX_OK) return st;
	}
}

/* The first event of the document's content, or the end of the stream. */
static sx_status read_start(struct reader *r, yaml_event_t *e)
{
	for (;;) {
		sx_status st = next_event(r, e);
		if (st != SX_OK) return st;
		if (e->type != YAML_STREAM_START_EVENT && e->type != YAML_DOCUMENT_START_EVENT)
			return SX_OK;
		yaml_event_delete(e);
	}
}

/* The end of the document, and nothing after it. */
static sx_status read_end(struct reader *r)
{
	for (;;) {
		yaml_event_t e;
		sx_status st = next_event(r, &e);
		if (st != SX_OK) return st;
		yaml_event_type_t type = e.type;
		size_t line = e.start_mark.line + 1;
		yaml_event_delete(&e);
		if (type == YAML_STREAM_END_EVENT) return SX_OK;
		if (type != YAML_DOCUMENT_END_EVENT)
			return bad_yaml(r, line, "a second document; one is enough");
	}
}

/* Reads text as the value of row o, or as a whole configuration where o is NULL. */
static sx_status read_text(sx_config *cfg, sx_ctx *ctx, const sx_option *o, const char *name,
			   const char *text, size_t size)
{
	sx_status st = SX_OK;
	yaml_event_t e;
	struct reader *r = sx_calloc(1, sizeof *r);
	if (!r || !yaml_parser_initialize(&r->parser)) {
		free(r);
		return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", name);
	}
	r->cfg = cfg;
	r->ctx = ctx;
	r->name = name;
	r->origin = o ? SX_FROM_OVERRIDE : SX_FROM_FILE;
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, size);
	SX_TRY(read_start(r, &e));
	bool empty = e.type == YAML_STREAM_END_EVENT;
	if (o)
		st = read_value(r, o, &e);
	else if (e.type == YAML_MAPPING_START_EVENT)
		st = read_mapping(r, "");
	else if (!empty && (e.type != YAML_SCALAR_EVENT || e.data.scalar.length))
		st = bad_yaml(r, e.start_mark.line + 1,
			      "a configuration is a mapping, lines of `key: value`");
	yaml_event_delete(&e);
	if (st == SX_OK && !empty) st = read_end(r);
out:
	yaml_parser_delete(&r->parser);
	free(r);
	return st;
}

sx_status sx_config_read(sx_config *cfg, sx_ctx *ctx, const char *name, const char *text,
			 size_t size)
{
	return read_text(cfg, ctx, NULL, name, text, size);
}

sx_status sx_config_read_value(sx_config *cfg, sx_ctx *ctx, const sx_option *o, const char *name,
			       const char *text)
{
	if (!*text) text = "''"; /* an empty stream has no value at all */
	return read_text(cfg, ctx, o, name, text, strlen(text));
}

/* ---- out ---- */

/* The fewest digits that read back to the same number. Readers of YAML 1.1 take 1e-05 for a text,
 * but 1.0e-05 for a number. */
static char *real_text(double v)
{
	char s[40];
	if (isnan(v)) return sx_strdup(".nan");
	if (v == floor(v) && fabs(v) < 1e15) return sx_format("%.0f", v);
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(s, sizeof s, "%.*g", digits, v);
		if (strtod(s, NULL) == v) break;
	}
	const char *e = strchr(s, 'e');
	if (!e || strchr(s, '.')) return sx_strdup(s);
	return sx_format("%.*s.0%s", (int)(e - s), s, e);
}

/* Plain where no reader could take it for anything but a text, else in single quotes, where a
 * quote is written twice. Texts have no line breaks (config.c). */
static char *text_text(const char *s)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on",
					    "off",  "null",  "y",   "n"};
	static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	bool plain = strspn(s, letters) > 0;
	for (size_t i = 0; s[i]; i++)
		plain = plain && (strchr(letters, s[i]) || strchr("0123456789_-./", s[i]));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		plain = plain && strcasecmp(s, words[i]) != 0;
	if (plain) return sx_strdup(s);
	char *out = sx_calloc(2 * strlen(s) + 3, 1), *o = out;
	if (!out) return NULL;
	*o++ = '\'';
	for (; *s; s++) {
		if (*s == '\'') *o++ = '\'';
		*o++ = *s;
	}
	*o = '\'';
	return out;
}

/* "head, item" or "[item"; frees both, NULL where either is. */
static char *append(char *head, char *item)
{
	char *out = head && item ? sx_format("%s%s%s", head, head[1] ? ", " : "", item) : NULL;
	free(head);
	free(item);
	return out;
}

static char *close_list(char *head)
{
	char *out = head ? sx_format("%s]", head) : NULL;
	free(head);
	return out;
}

char *sx_config_value(const sx_config *cfg, const sx_option *o)
{
	const void *f = sx_config_field(cfg, o);
	char *list = NULL;
	switch (o->type) {
	case SX_OPTION_INT:
		return sx_format("%d", *(const int *)f);
	case SX_OPTION_STEP:
		if (*(const int64_t *)f < 0) return sx_strdup("none");
		return sx_format("%lld", (long long)*(const int64_t *)f);
	case SX_OPTION_LONG:
		return sx_format("%lld", (long long)*(const int64_t *)f);
	case SX_OPTION_REAL:
		return real_text(*(const double *)f);
	case SX_OPTION_FLAG:
		return sx_strdup(*(const bool *)f ? "true" : "false");
	case SX_OPTION_TEXT:
		return text_text(*(char *const *)f);
	case SX_OPTION_METHOD:
		return text_text(f);
	case SX_OPTION_RANGE: {
		const sx_int_pair *p = f;
		return sx_format("[%lld, %lld]", (long long)p->lo, (long long)p->hi);
	}
	case SX_OPTION_REALS2: {
		const sx_real_pair *p = f;
		list = append(append(sx_strdup("["), real_text(p->a)), real_text(p->b));
		return close_list(list);
	}
	case SX_OPTION_INTS: {
		const sx_int_list *l = f;
		list = sx_strdup("[");
		for (size_t i = 0; i < l->n; i++)
			list = append(list, sx_format("%lld", (long long)l->at[i]));
		return close_list(list);
	}
	case SX_OPTION_NUMBERS: {
		const sx_pos_list *l = f;
		list = sx_strdup("[");
		for (int i = 0; i < l->n; i++) list = append(list, real_text(l->at[i]));
		return close_list(list);
	}
	case SX_OPTION_TEXTS: {
		const sx_text_list *l = f;
		list = sx_strdup("[");
		for (size_t i = 0; i < l->n; i++) list = append(list, text_text(l->at[i]));
		return close_list(list);
	}
	}
	return NULL;
}

/* Writes the groups that `key` enters and `before` was not in, then the key. */
static void write_key(FILE *f, const char *before, const char *key)
{
	int depth = 0;
	for (const char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
		size_t n = (size_t)(dot - key) + 1;
		if (strncmp(before, key, n) == 0) {
			before += n;
		} else {
			fprintf(f, "%*s%.*s:\n", 2 * depth, "", (int)n - 1, key);
			before = "";
		}
		key += n;
		depth++;
	}
	fprintf(f, "%*s%s:", 2 * depth, "", key);
}

sx_status sx_config_yaml(const sx_config *cfg, sx_ctx *ctx, bool origins, char **text)
{
	static const char *const notes[] = {"", "  # file", "  # override"};
	char *buffer = NULL;
	size_t size = 0;
	bool ok = true;
	FILE *f = open_memstream(&buffer, &size);
	if (!f) return sx_fail(ctx, SX_ENOMEM, "no memory to write the configuration");
	const char *before = "";
	for (const sx_option *o = sx_options; o->key; o++) {
		char *value = sx_config_value(cfg, o);
		ok = ok && value;
		write_key(f, before, o->key);
		fprintf(f, " %s%s\n", value ? value : "",
			origins ? notes[cfg->origin[o - sx_options]] : "");
		before = o->key;
		free(value);
	}
	ok = !ferror(f) && ok;
	if (fclose(f) != 0 || !ok) {
		free(buffer);
		return sx_fail(ctx, SX_ENOMEM, "no memory to write the configuration");
	}
	*text = buffer;
	return SX_OK;
}

/* sextant config: all settings with defaults and meaning, one of them, or a file resolved. */
#include "cli/cmd.h"
#include "cli/out.h"
#include "probes/config/config.h"

#include <stdlib.h>
#include <string.h>

static const char doc[] =
	"Lists every key of the configuration with its default and its meaning; explains one KEY "
	"or a group of keys; or, with `show`, prints what a configuration comes to, every line "
	"that is not a default marked with where it came from."
	"\v"
	"Examples:\n"
	"  sextant config train.drop\n"
	"  sextant config show demo.yaml train.steps=200 pos.method=nope\n";

static const struct argp_option options[] = {SX_ARG_JSON, {0}};

struct args {
	sx_common common;
	char **words; /* what is not an option, in order; borrowed from argv */
	int n;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	if (key == ARGP_KEY_ARGS) {
		a->words = state->argv + state->next;
		a->n = state->argc - state->next;
		return 0;
	}
	return sx_common_parse(&a->common, key, arg, state);
}

static json_t *value_json(const sx_config *cfg, const sx_option *o)
{
	const void *f = sx_config_field(cfg, o);
	json_t *list = NULL;
	switch (o->type) {
	case SX_OPTION_INT:
		return json_integer(*(const int *)f);
	case SX_OPTION_STEP:
		if (*(const int64_t *)f < 0) return json_null();
		return json_integer(*(const int64_t *)f);
	case SX_OPTION_LONG:
		return json_integer(*(const int64_t *)f);
	case SX_OPTION_REAL:
		return sx_json_number(*(const double *)f);
	case SX_OPTION_FLAG:
		return json_boolean(*(const bool *)f);
	case SX_OPTION_TEXT:
		return json_string(*(char *const *)f);
	case SX_OPTION_METHOD:
		return json_string(f);
	case SX_OPTION_RANGE: {
		const sx_int_pair *p = f;
		return json_pack("[I, I]", (json_int_t)p->lo, (json_int_t)p->hi);
	}
	case SX_OPTION_REALS2: {
		const sx_real_pair *p = f;
		return json_pack("[o, o]", sx_json_number(p->a), sx_json_number(p->b));
	}
	case SX_OPTION_INTS: {
		const sx_int_list *l = f;
		list = json_array();
		for (size_t i = 0; i < l->n; i++)
			json_array_append_new(list, json_integer(l->at[i]));
		return list;
	}
	case SX_OPTION_NUMBERS: {
		const sx_pos_list *l = f;
		list = json_array();
		for (int i = 0; i < l->n; i++)
			json_array_append_new(list, sx_json_number(l->at[i]));
		return list;
	}
	case SX_OPTION_TEXTS: {
		const sx_text_list *l = f;
		list = json_array();
		for (size_t i = 0; i < l->n; i++)
			json_array_append_new(list, json_string(l->at[i]));
		return list;
	}
	}
	return list;
}

/* Whether a key is `name`, stands in the group `name`, or any key will do (name NULL). */
static bool selected(const sx_option *o, const char *name)
{
	size_t n = name ? strlen(name) : 0;
	return !name || (strncmp(o->key, name, n) == 0 && (o->key[n] == '.' || !o->key[n]));
}

static sx_status list_json(sx_ctx *ctx, const sx_config *cfg, const char *name)
{
	json_t *doc_json = json_object();
	for (const sx_option *o = sx_options; o->key; o++) {
		char allowed[160];
		if (!selected(o, name)) continue;
		sx_option_allowed(o, allowed, sizeof allowed);
		json_t *row = json_pack("{s:o, s:s, s:s}", "default", value_json(cfg, o), "allowed",
					allowed, "meaning", o->meaning);
		if (!row || json_object_set_new(doc_json, o->key, row) != 0) {
			json_decref(doc_json);
			doc_json = NULL;
			break;
		}
	}
	return sx_print_json(ctx, doc_json);
}

static sx_status list_text(sx_ctx *ctx, const sx_config *cfg, const char *name)
{
	static const char *const headings[] = {"key", "default", "meaning"};
	sx_table *t = sx_table_new(3, headings);
	for (const sx_option *o = sx_options; o->key; o++) {
		if (!selected(o, name)) continue;
		char *value = sx_config_value(cfg, o);
		sx_table_cell(t, "%s", o->key);
		sx_table_cell(t, "%s", value ? value : "");
		sx_table_cell(t, "%s", o->meaning);
		free(value);
	}
	return sx_table_print(t, ctx);
}

static sx_status explain(sx_ctx *ctx, const sx_config *cfg, const sx_option *o)
{
	char allowed[160];
	char *value = sx_config_value(cfg, o);
	if (!value) return sx_fail(ctx, SX_ENOMEM, "no memory for the configuration");
	sx_option_allowed(o, allowed, sizeof allowed);
	printf("%s: %s\n  default  %s\n", o->key, o->meaning, value);
	free(value);
	if (strcmp(o->key, "pos.method") != 0) {
		printf("  allowed  %s\n", allowed);
		return SX_OK;
	}
	const sx_pos_method *m;
	for (int i = 0; (m = sx_pos_method_at(i)); i++)
		printf("  %-8s %s (%s)\n", m->name, m->summary, m->source);
	return SX_OK;
}

static sx_status list(sx_ctx *ctx, const char *name, bool json)
{
	sx_config cfg;
	const sx_option *o = name ? sx_option_find(name) : NULL;
	if (name && !o && !sx_option_is_group(name)) return sx_option_unknown(ctx, "", name);
	sx_status st = sx_config_init(&cfg, ctx);
	if (st != SX_OK) return st;
	if (json)
		st = list_json(ctx, &cfg, name);
	else if (o)
		st = explain(ctx, &cfg, o);
	else
		st = list_text(ctx, &cfg, name);
	sx_config_free(&cfg);
	return st;
}

static sx_status show_json(sx_ctx *ctx, const sx_config *cfg)
{
	static const char *const origins[] = {"default", "file", "override"};
	json_t *doc_json = json_object();
	for (const sx_option *o = sx_options; o->key; o++) {
		json_t *row = json_pack("{s:o, s:s}", "value", value_json(cfg, o), "origin",
					origins[cfg->origin[o - sx_options]]);
		if (!row || json_object_set_new(doc_json, o->key, row) != 0) {
			json_decref(doc_json);
			doc_json = NULL;
			break;
		}
	}
	return sx_print_json(ctx, doc_json);
}

static sx_status show(sx_ctx *ctx, int n, char **words, bool json)
{
	sx_config cfg;
	const char *path = n > 0 && !sx_is_override(words[0]) ? words[0] : NULL;
	int skip = path != NULL;
	char *text = NULL;
	sx_status st = sx_config_load(&cfg, ctx, path, n - skip, words + skip);
	if (st != SX_OK) return st;
	if (json) {
		st = show_json(ctx, &cfg);
	} else {
		SX_TRY(sx_config_yaml(&cfg, ctx, true, &text));
		fputs(text, stdout);
	}
out:
	free(text);
	sx_config_free(&cfg);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "[KEY | GROUP]\nshow [CONFIG] [key=value...]", doc, NULL,
		NULL,    NULL};
	struct args a = {.common.ctx = ctx};
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st != SX_OK) return st;
	if (a.n > 0 && strcmp(a.words[0], "show") == 0)
		return show(ctx, a.n - 1, a.words + 1, a.common.json);
	if (a.n > 1)
		return sx_fail(
			ctx, SX_EUSAGE,
			"%s: one key at a time; `sextant config show CONFIG` resolves a file",
			a.words[1]);
	return list(ctx, a.n ? a.words[0] : NULL, a.common.json);
}

extern const sx_cmd sx_cmd_config;
const sx_cmd sx_cmd_config = {"config", "settings", "all settings with defaults and meaning", run};

/* A recipe as text: YAML into the items of a study. Settings of runs go through the configuration's
 * own table, so a slip in a key is an error with a suggestion. */
#include "cli/study/study.h"
#include "probes/lab/schedule.h"
#include "probes/lab/train_run.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

enum { KEY_SIZE = 160, NAME_MOST = 40 };

struct reader {
	sx_ctx *ctx;
	const char *name; /* of the recipe; opens every message */
	yaml_document_t doc;
	sx_study *study;
	const yaml_node_t *config, *runs, *entries[SX_ITEM_KINDS];
	int n;
	char *const *overrides;
	bool said; /* warnings came with an earlier seed */
};

typedef yaml_node_t node;

/* ---- nodes ---- */

static const node *at(struct reader *r, int id)
{
	return yaml_document_get_node(&r->doc, id);
}

static void where_of(const struct reader *r, const node *n, char out[300])
{
	snprintf(out, 300, "%.250s:%zu", r->name, n->start_mark.line + 1);
}

static sx_status refuse(struct reader *r, const node *n, const char *fmt, ...) SX_PRINTF(3, 4);
static sx_status refuse(struct reader *r, const node *n, const char *fmt, ...)
{
	char what[600], where[300];
	va_list args;
	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	where_of(r, n, where);
	return sx_fail(r->ctx, SX_ECONFIG, "%s: %s", where, what);
}

static sx_status no_memory(struct reader *r)
{
	return sx_fail(r->ctx, SX_ENOMEM, "no memory to read %s", r->name);
}

static const char *text_of(const node *n)
{
	return (const char *)n->data.scalar.value;
}

/* A scalar on one line, not empty. */
static sx_status get_text(struct reader *r, const node *n, const char *key, const char **out)
{
	if (n->type != YAML_SCALAR_NODE || !n->data.scalar.length ||
	    strlen(text_of(n)) != n->data.scalar.length || strpbrk(text_of(n), "\n\r"))
		return refuse(r, n, "%s must be text on one line", key);
	*out = text_of(n);
	return SX_OK;
}

/* n is a mapping, its keys plain names, each there once. */
static sx_status check_mapping(struct reader *r, const node *n, const char *what)
{
	if (n->type != YAML_MAPPING_NODE)
		return refuse(r, n, "%s must be a mapping, lines of `key: value`", what);
	const yaml_node_pair_t *end = n->data.mapping.pairs.top;
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < end; p++) {
		const node *key = at(r, p->key);
		if (key->type != YAML_SCALAR_NODE || key->data.scalar.length >= 80)
			return refuse(r, key, "a key must be a plain name");
		for (const yaml_node_pair_t *q = n->data.mapping.pairs.start; q < p; q++)
			if (strcmp(text_of(at(r, q->key)), text_of(key)) == 0)
				return refuse(r, key, "%s stands here for the second time",
					      text_of(key));
	}
	return SX_OK;
}

static const node *find(struct reader *r, const node *mapping, const char *key)
{
	const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < end; p++)
		if (strcmp(text_of(at(r, p->key)), key) == 0) return at(r, p->value);
	return NULL;
}

/* The nearest of the words allowed, for a message. */
static sx_status unknown_word(struct reader *r, const node *n, const char *what, const char *word,
			      const char *const *allowed)
{
	int best = INT_MAX;
	const char *nearest = "";
	char list[400] = "";
	for (; *allowed; allowed++) {
		int d = sx_edit_distance(word, *allowed);
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *allowed);
		if (d < best) best = d, nearest = *allowed;
	}
	if (best <= 2) return refuse(r, n, "%s %s; did you mean %s?", what, word, nearest);
	return refuse(r, n, "%s %s; there are %s", what, word, *list ? list : "none");
}

static sx_status check_keys(struct reader *r, const node *mapping, const char *const *allowed)
{
	const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < end; p++) {
		const node *key = at(r, p->key);
		int i = 0;
		while (allowed[i] && strcmp(allowed[i], text_of(key)) != 0) i++;
		if (!allowed[i]) return unknown_word(r, key, "unknown key", text_of(key), allowed);
	}
	return SX_OK;
}

/* The texts of a scalar or of a list of scalars; *out points into the document. */
static sx_status get_list(struct reader *r, const node *n, const char *key, const char ***out,
			  size_t *count)
{
	bool list = n->type == YAML_SEQUENCE_NODE;
	const yaml_node_item_t *items = list ? n->data.sequence.items.start : NULL;
	*count = list ? (size_t)(n->data.sequence.items.top - items) : 1;
	const char **texts = sx_calloc(*count + 1, sizeof *texts);
	if (!texts) return no_memory(r);
	for (size_t i = 0; i < *count; i++) {
		const node *x = list ? at(r, items[i]) : n;
		if (x->type != YAML_SCALAR_NODE) {
			free(texts);
			return refuse(r, x, "%s must be a value or a list of values", key);
		}
		texts[i] = text_of(x);
	}
	*out = texts;
	return SX_OK;
}

/* ---- settings ---- */

/* What a run may hold besides settings. */
static const char *const run_keys[] = {"label", "branch", "untrained", NULL};

static bool is_run_key(const char *key)
{
	for (int i = 0; run_keys[i]; i++)
		if (strcmp(run_keys[i], key) == 0) return true;
	return false;
}

static sx_status store(struct reader *r, sx_config *cfg, const sx_option *o, const node *n,
		       const char *run)
{
	const char **texts = NULL;
	size_t count = 0;
	char where[300];
	where_of(r, n, where);
	if (run && !r->said && cfg->origin[o - sx_options] == SX_FROM_OVERRIDE)
		sx_log(r->ctx, SX_LOG_WARN,
		       "%s of the command line does not reach %s, which sets "
		       "it itself (%s)",
		       o->key, run, where);
	sx_status st = get_list(r, n, o->key, &texts, &count);
	if (st != SX_OK) return st;
	bool list = n->type == YAML_SEQUENCE_NODE;
	if (!list && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (!strcmp(texts[0], "~") || !strcmp(texts[0], "null")))
		texts[0] = "";
	st = sx_config_store(cfg, r->ctx, o, (char *const *)texts, count, list, where,
			     SX_FROM_FILE);
	free(texts);
	return st;
}

/* Settings of a mapping onto cfg; run: its name, whose own keys are passed over. The depth is
 * bounded by the table's: unknown groups are not entered. */
static sx_status settings(struct reader *r, sx_config *cfg, const node *n, const char *group,
			  const char *run)
{
	sx_status st = check_mapping(r, n, *group ? group : "settings");
	if (st != SX_OK) return st;
	const yaml_node_pair_t *end = n->data.mapping.pairs.top;
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < end; p++) {
		const node *key = at(r, p->key), *value = at(r, p->value);
		char path[KEY_SIZE], where[300];
		if (run && !*group && is_run_key(text_of(key))) continue;
		snprintf(path, sizeof path, "%s%s%s", group, *group ? "." : "", text_of(key));
		where_of(r, key, where);
		const sx_option *o = sx_option_find(path);
		if (o && strcmp(path, "seed") == 0)
			return refuse(r, key, "seed: a study has `seeds`, a list, at its top");
		if (o)
			st = store(r, cfg, o, value, run);
		else if (sx_option_is_group(path))
			st = settings(r, cfg, value, path, run);
		else
			st = sx_option_unknown(r->ctx, where, path);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static bool is_seeds(const char *word)
{
	return strncmp(word, "seeds=", 6) == 0;
}

/* A path as jobs need it, which run in another folder. */
static sx_status make_absolute(struct reader *r, char **path)
{
	char folder[PATH_MAX];
	if ((*path)[0] == '/') return SX_OK;
	char *full = getcwd(folder, sizeof folder) ? sx_format("%s/%s", folder, *path) : NULL;
	if (!full) return no_memory(r);
	free(*path);
	*path = full;
	return SX_OK;
}

/* RUN@STEP is no file; texts and tokenizers must be there. */
static sx_status absolute_paths(struct reader *r, sx_config *cfg)
{
	sx_status st = SX_OK;
	for (size_t i = 0; i < cfg->data.text.n; i++) {
		if (!sx_path_exists(cfg->data.text.at[i]))
			return sx_fail(r->ctx, SX_ENOINPUT, "data.text: there is no %s",
				       cfg->data.text.at[i]);
		SX_TRY(make_absolute(r, &cfg->data.text.at[i]));
	}
	if (strcmp(cfg->data.tokenizer, "bytes") != 0)
		SX_TRY(make_absolute(r, &cfg->data.tokenizer));
	if (cfg->init[0]) SX_TRY(make_absolute(r, &cfg->init));
out:
	return st;
}

/* Defaults, the recipe's config, the command line, then the run's own settings. */
static sx_status run_config(struct reader *r, sx_config *cfg, const node *run, const char *name,
			    int64_t seed)
{
	sx_config c;
	sx_status st = sx_config_init(&c, r->ctx);
	if (st != SX_OK) return st;
	if (r->config) SX_TRY(settings(r, &c, r->config, "", NULL));
	for (int i = 0; i < r->n; i++) {
		if (is_seeds(r->overrides[i])) continue;
		if (strncmp(r->overrides[i], "seed=", 5) == 0) {
			st = sx_fail(r->ctx, SX_EUSAGE, "%s: a study has seeds=[..]",
				     r->overrides[i]);
			goto out;
		}
		SX_TRY(sx_config_set(&c, r->ctx, r->overrides[i]));
	}
	SX_TRY(settings(r, &c, run, "", name));
	c.seed = seed;
	SX_TRY(absolute_paths(r, &c));
	st = sx_config_check(&c, r->ctx);
	if (st == SX_ECONFIG) {
		char message[sizeof r->ctx->message];
		memcpy(message, r->ctx->message, sizeof message);
		st = refuse(r, run, "run %s: %.500s", name, message);
	}
out:
	if (st == SX_OK)
		*cfg = c;
	else
		sx_config_free(&c);
	return st;
}

/* ---- items ---- */

static sx_study_item *add_item(struct reader *r, sx_item_kind kind, int64_t seed)
{
	sx_study *s = r->study;
	sx_study_item *grown = sx_grow(s->item, (size_t)s->n_item + 1, sizeof *grown);
	if (!grown) return NULL;
	s->item = grown;
	s->item[s->n_item] = (sx_study_item){.kind = kind, .seed = seed, .on = -1, .step = -1};
	return &s->item[s->n_item++];
}

static sx_status name_item(struct reader *r, sx_study_item *x, const char *name, const char *label,
			   const char *of, const char *what)
{
	const char *tail = x->untrained ? ".yaml" : "";
	x->name = sx_strdup(name);
	x->label = sx_strdup(label);
	x->of = sx_strdup(of);
	x->what = sx_strdup(what);
	x->file = x->kind == SX_ITEM_RUN
			  ? sx_format("seed-%lld/%s%s", (long long)x->seed, name, tail)
			  : sx_format("seed-%lld/%s/%s.h5", (long long)x->seed, name, of);
	x->path = x->file ? sx_format("%s/%s", r->study->work, x->file) : NULL;
	if (!x->name || !x->label || !x->of || !x->what || !x->path) return no_memory(r);
	return SX_OK;
}

/* Names become files. */
static sx_status check_name(struct reader *r, const node *key)
{
	const char *s = text_of(key);
	if (!*s || strlen(s) > NAME_MOST || *s == '-' ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(s))
		return refuse(r, key, "\"%.60s\": a name has small letters, digits, - and _", s);
	return SX_OK;
}

static int64_t find_run(const struct reader *r, const char *name, int64_t seed)
{
	const sx_study *s = r->study;
	for (int64_t i = 0; i < s->n_item; i++)
		if (s->item[i].kind == SX_ITEM_RUN && s->item[i].seed == seed &&
		    strcmp(s->item[i].name, name) == 0)
			return i;
	return -1;
}

/* Names of the recipe's runs, NULL at the end. */
static sx_status unknown_run(struct reader *r, const node *n, const char *what, const char *name)
{
	const yaml_node_pair_t *p = r->runs->data.mapping.pairs.start;
	size_t count = (size_t)(r->runs->data.mapping.pairs.top - p);
	const char **names = sx_calloc(count + 1, sizeof *names);
	if (!names) return no_memory(r);
	for (size_t i = 0; i < count; i++) names[i] = text_of(at(r, p[i].key));
	char text[80];
	snprintf(text, sizeof text, "%.40s: there is no run", what);
	sx_status st = unknown_word(r, n, text, name, names);
	free(names);
	return st;
}

/* A checkpoint that will not be written is refused now. */
static sx_status check_step(struct reader *r, const node *n, const char *what,
			    const sx_study_item *run, int64_t step)
{
	if (step > sx_schedule_updates(&run->cfg) || !sx_schedule_at(&run->cfg, step).checkpoint)
		return refuse(r, n,
			      "%s: %s will have no checkpoint of step %lld; list the step in its "
			      "train.checkpoint_at",
			      what, run->name, (long long)step);
	return SX_OK;
}

/* Sets on and step from x->of. */
static sx_status resolve(struct reader *r, const node *n, const char *what, sx_study_item *x)
{
	char name[NAME_MOST + 1];
	const char *sign = strchr(x->of, '@');
	size_t size = sign ? (size_t)(sign - x->of) : strlen(x->of);
	if (size > NAME_MOST) return unknown_run(r, n, what, x->of);
	snprintf(name, sizeof name, "%.*s", (int)size, x->of);
	x->on = find_run(r, name, x->seed);
	if (x->on < 0) return unknown_run(r, n, what, name);
	const sx_study_item *run = &r->study->item[x->on];
	if (!sign) return SX_OK;
	char *end = NULL;
	long long step = strtoll(sign + 1, &end, 10);
	if (*end || end == sign + 1 || step < 0)
		return refuse(r, n, "%s: %s: want RUN or RUN@STEP", what, x->of);
	if (run->untrained) return refuse(r, n, "%s: %s is untrained, it has no steps", what, name);
	x->step = step;
	return check_step(r, n, what, run, step);
}

/* ---- runs ---- */

static sx_status read_run(struct reader *r, const node *key, const node *n, int64_t seed)
{
	sx_status st = SX_OK;
	const char *name = text_of(key), *label = name, *branch = "", *untrained = "false";
	const node *x;
	SX_TRY(check_name(r, key));
	SX_TRY(check_mapping(r, n, name));
	if ((x = find(r, n, "label"))) SX_TRY(get_text(r, x, "label", &label));
	if ((x = find(r, n, "branch"))) SX_TRY(get_text(r, x, "branch", &branch));
	if ((x = find(r, n, "untrained"))) SX_TRY(get_text(r, x, "untrained", &untrained));
	if (strcmp(untrained, "true") != 0 && strcmp(untrained, "false") != 0)
		return refuse(r, n, "untrained must be true or false");
	sx_study_item *item = add_item(r, SX_ITEM_RUN, seed);
	if (!item) return no_memory(r);
	item->untrained = strcmp(untrained, "true") == 0;
	if (item->untrained && *branch)
		return refuse(r, n, "%s: a run that branches is not untrained", name);
	SX_TRY(name_item(r, item, name, label, branch, ""));
	SX_TRY(run_config(r, &item->cfg, n, name, seed));
	item->has_cfg = true;
	if (item->untrained && item->cfg.init[0])
		return refuse(r, n, "%s: a run that starts from init is not untrained", name);
out:
	return st;
}

/* Settings that a branch may not change, found now and not after its trunk was trained. */
static sx_status check_branch(struct reader *r, const node *n, const sx_study_item *x)
{
	const sx_study_item *trunk = &r->study->item[x->on];
	const sx_option *keys[SX_OPTION_COUNT];
	if (x->step < 0) return refuse(r, n, "branch: want RUN@STEP");
	int differ = sx_config_diff(&trunk->cfg, &x->cfg, keys);
	for (int i = 0; i < differ; i++)
		if (!sx_train_branch_may_change(keys[i]->key))
			return refuse(
				r, n,
				"%s branches from %s, so its %s must be the same; only "
				"train.drop_at, train.drop.*, train.checkpoint_*, probe.* and "
				"eval.* may differ",
				x->name, x->of, keys[i]->key);
	if (x->cfg.train.drop_at >= 0 && x->step > x->cfg.train.drop_at)
		return refuse(r, n, "%s branches from %s, which is past its train.drop_at", x->name,
			      x->of);
	/* more branches than runs go round in a circle */
	int64_t depth = 0;
	for (const sx_study_item *b = x; b->on >= 0; b = &r->study->item[b->on])
		if (++depth > r->study->n_item)
			return refuse(r, n, "branch: %s branches from itself, by way of others",
				      x->name);
	return SX_OK;
}

static sx_status read_runs(struct reader *r, int64_t seed)
{
	sx_status st = SX_OK;
	const yaml_node_pair_t *start = r->runs->data.mapping.pairs.start;
	int64_t first = r->study->n_item, n = r->runs->data.mapping.pairs.top - start;
	for (int64_t i = 0; i < n; i++)
		SX_TRY(read_run(r, at(r, start[i].key), at(r, start[i].value), seed));
	for (int64_t i = 0; i < n; i++) { /* a trunk may stand after its branch */
		sx_study_item *x = &r->study->item[first + i];
		const node *branch = find(r, at(r, start[i].value), "branch");
		if (branch) SX_TRY(resolve(r, branch, "branch", x));
	}
	for (int64_t i = 0; i < n; i++)
		if (r->study->item[first + i].on >= 0)
			SX_TRY(check_branch(r, at(r, start[i].key), &r->study->item[first + i]));
out:
	return st;
}

/* ---- traces, evaluations, bounds ---- */

static sx_status add_option(struct reader *r, sx_study_item *x, char *word)
{
	char **grown = word ? sx_grow(x->option, (size_t)x->n_option + 1, sizeof *grown) : NULL;
	if (!grown) {
		free(word);
		return no_memory(r);
	}
	x->option = grown;
	x->option[x->n_option++] = word;
	return SX_OK;
}

/* --key=a,b,c; a mapping holds a value for each run. */
static sx_status read_option(struct reader *r, sx_study_item *x, const sx_study_option *o,
			     const node *n)
{
	sx_status st = SX_OK;
	const char *key = o->key, **texts = NULL;
	sx_study_type type = o->type;
	size_t count = 0;
	char *word = NULL;
	if (n->type == YAML_MAPPING_NODE) {
		const char *run = r->study->item[x->on].name;
		const yaml_node_pair_t *end = n->data.mapping.pairs.top;
		SX_TRY(check_mapping(r, n, key));
		for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < end; p++)
			if (find_run(r, text_of(at(r, p->key)), x->seed) < 0)
				return unknown_run(r, at(r, p->key), key, text_of(at(r, p->key)));
		if (!(n = find(r, n, run))) return SX_OK; /* the verb's own default */
	}
	SX_TRY(get_list(r, n, key, &texts, &count));
	if (count == 0 || (type == SX_STUDY_COUNT && count != 1)) {
		st = refuse(r, n, "%s: want %s", key, count ? "one number" : "a value");
		goto out;
	}
	word = sx_format(type == SX_STUDY_FLAG ? "--%s" : "--%s=", key);
	for (size_t i = 0; i < count; i++) {
		if (!sx_study_is_value(o, texts[i])) {
			static const char *const wrong[] = {[SX_STUDY_WORDS] = "not known here",
							    [SX_STUDY_PATH] = "not there",
							    [SX_STUDY_FLAG] = "not true",
							    [SX_STUDY_REALS] =
								    "no number from 0 on"};
			st = refuse(r, n, "%s: %.100s is %s", key, texts[i],
				    type <= SX_STUDY_COUNTS ? "no whole number from 1 on"
							    : wrong[type]);
			goto out;
		}
		if (type == SX_STUDY_FLAG) continue;
		char *full = sx_strdup(texts[i]), *more = NULL;
		if (full && (type != SX_STUDY_PATH || (st = make_absolute(r, &full)) == SX_OK))
			more = word ? sx_format("%s%s%s", word, i ? "," : "", full) : NULL;
		free(full);
		free(word);
		word = more;
	}
	if (st == SX_OK) st = add_option(r, x, word);
	word = NULL;
out:
	free(word);
	free(texts);
	return st;
}

/* `toward`, a number of updates, becomes the checkpoint so many after the one looked at. */
static sx_status resolve_toward(struct reader *r, const node *n, sx_study_item *x)
{
	static const char key[] = "--toward=";
	const sx_study_item *run = &r->study->item[x->on];
	for (int i = 0; i < x->n_option; i++) {
		if (strncmp(x->option[i], key, sizeof key - 1) != 0) continue;
		if (x->step < 0)
			return refuse(r, n,
				      "toward: of %s: want RUN@STEP, the checkpoint it starts from",
				      x->of);
		int64_t step = x->step + strtoll(x->option[i] + sizeof key - 1, NULL, 10);
		sx_status st = check_step(r, n, "toward", run, step);
		if (st != SX_OK) return st;
		char *word = sx_format("%s%s@%lld", key, run->file, (long long)step);
		if (!word) return no_memory(r);
		free(x->option[i]);
		x->option[i] = word;
	}
	return SX_OK;
}

/* pos.* of an entry: measures a variant of the weights. */
static sx_status read_pos(struct reader *r, sx_study_item *x, const node *pos)
{
	sx_config c;
	sx_status st = sx_config_init(&c, r->ctx);
	if (st != SX_OK) return st;
	SX_TRY(settings(r, &c, pos, "pos", NULL));
	for (const sx_option *o = sx_options; o->key; o++) {
		if (c.origin[o - sx_options] != SX_FROM_FILE) continue;
		char *value = sx_config_value(&c, o);
		char *word = value ? sx_format("%s=%s", o->key, value) : NULL;
		free(value);
		SX_TRY(add_option(r, x, word));
	}
out:
	sx_config_free(&c);
	return st;
}

static sx_status read_entry(struct reader *r, sx_item_kind kind, const node *key, const node *n,
			    const node *of_node, const char *of, int64_t seed)
{
	sx_status st = SX_OK;
	const char *label = NULL, *what = "";
	const node *x;
	if ((x = find(r, n, "label"))) SX_TRY(get_text(r, x, "label", &label));
	if ((x = find(r, n, "what"))) SX_TRY(get_text(r, x, "what", &what));
	sx_study_item *item = add_item(r, kind, seed);
	if (!item) return no_memory(r);
	SX_TRY(name_item(r, item, text_of(key), label ? label : "", of, what));
	SX_TRY(resolve(r, of_node, "of", item));
	if (!label) {
		free(item->label);
		item->label = sx_strdup(r->study->item[item->on].label);
		if (!item->label) return no_memory(r);
	}
	for (const sx_study_option *o = sx_study_options; o->key; o++)
		if (o->kind == kind && (x = find(r, n, o->key))) SX_TRY(read_option(r, item, o, x));
	if ((x = find(r, n, "toward"))) SX_TRY(resolve_toward(r, x, item));
	if ((x = find(r, n, "pos"))) SX_TRY(read_pos(r, item, x));
out:
	return st;
}

/* Its keys, its name, that it names an evaluation. */
static sx_status check_entry(struct reader *r, sx_item_kind kind, const node *key, const node *n)
{
	sx_status st = SX_OK;
	const char *allowed[SX_STUDY_OPTIONS + 5] = {"of", "label", "pos", NULL};
	int count = 3;
	if (kind == SX_ITEM_EVAL) allowed[count++] = "what";
	for (const sx_study_option *o = sx_study_options; o->key; o++)
		if (o->kind == kind) allowed[count++] = o->key;
	SX_TRY(check_name(r, key));
	SX_TRY(check_mapping(r, n, text_of(key)));
	SX_TRY(check_keys(r, n, allowed));
	if (!find(r, n, "of"))
		return refuse(r, key, "%s: of is missing: the runs it looks at", text_of(key));
	if (find(r, r->runs, text_of(key)))
		return refuse(r, key, "%s is the name of a run already", text_of(key));
	for (int k = 0; k < (int)kind; k++)
		if (r->entries[k] && find(r, r->entries[k], text_of(key)))
			return refuse(r, key, "%s is a name already", text_of(key));
	if (kind != SX_ITEM_EVAL) goto out;
	const node *what = find(r, n, "what");
	if (!what || what->type != YAML_SCALAR_NODE ||
	    (strcmp(text_of(what), "niah") != 0 && strcmp(text_of(what), "ppl") != 0))
		return refuse(r, what ? what : key, "%s: what must be niah or ppl", text_of(key));
out:
	return st;
}

static sx_status read_entries(struct reader *r, sx_item_kind kind, int64_t seed)
{
	sx_status st = SX_OK;
	const node *all = r->entries[kind];
	if (!all) return SX_OK;
	const yaml_node_pair_t *end = all->data.mapping.pairs.top;
	for (const yaml_node_pair_t *p = all->data.mapping.pairs.start; p < end; p++) {
		const node *key = at(r, p->key), *n = at(r, p->value);
		const char **of = NULL;
		size_t count = 0;
		SX_TRY(check_entry(r, kind, key, n));
		const node *of_node = find(r, n, "of");
		SX_TRY(get_list(r, of_node, "of", &of, &count));
		if (count == 0) st = refuse(r, of_node, "of: want at least one run");
		for (size_t i = 0; st == SX_OK && i < count; i++) {
			for (size_t k = 0; st == SX_OK && k < i; k++)
				if (strcmp(of[k], of[i]) == 0)
					st = refuse(r, of_node, "of: %s stands here twice", of[i]);
			if (st == SX_OK) st = read_entry(r, kind, key, n, of_node, of[i], seed);
		}
		free(of);
		if (st != SX_OK) goto out;
	}
out:
	return st;
}

/* ---- the recipe ---- */

static sx_status set_seeds(struct reader *r, const char *const *texts, size_t n, const char *where)
{
	sx_study *s = r->study;
	s->seed = sx_calloc(n + 1, sizeof *s->seed);
	if (!s->seed) return no_memory(r);
	for (size_t i = 0; i < n; i++) {
		char *end = NULL;
		long long v = strtoll(texts[i], &end, 10);
		if (*end || end == texts[i] || v < 0 || v > (long long)1 << 53)
			return sx_fail(r->ctx, SX_ECONFIG,
				       "%s: seeds: %.60s is no whole number from 0 on", where,
				       texts[i]);
		for (int k = 0; k < s->n_seed; k++)
			if (s->seed[k] == v)
				return sx_fail(r->ctx, SX_ECONFIG,
					       "%s: seeds: %lld stands there twice", where, v);
		s->seed[s->n_seed++] = v;
	}
	return n ? SX_OK : sx_fail(r->ctx, SX_ECONFIG, "%s: seeds: the list is empty", where);
}

/* seeds=1, seeds=[1, 2] of the command line, or the recipe's. */
static sx_status read_seeds(struct reader *r, const node *top)
{
	sx_status st = SX_OK;
	const char **texts = NULL;
	size_t n = 0;
	const char *word = NULL;
	for (int i = 0; i < r->n; i++)
		if (is_seeds(r->overrides[i])) word = r->overrides[i];
	if (word) {
		const char *text[64];
		char *copy = sx_strdup(word + 6);
		if (!copy) return no_memory(r);
		for (char *rest = copy, *t; n < 64 && (t = strtok_r(rest, " ,[]", &rest));)
			text[n++] = t;
		st = set_seeds(r, text, n, word);
		free(copy);
		return st;
	}
	const node *x = find(r, top, "seeds");
	if (!x)
		return sx_fail(r->ctx, SX_ECONFIG,
			       "%s: seeds is missing: a list of whole numbers, every run is made "
			       "for each",
			       r->name);
	SX_TRY(get_list(r, x, "seeds", &texts, &n));
	char where[300];
	where_of(r, x, where);
	st = set_seeds(r, texts, n, where);
out:
	free(texts);
	return st;
}

static sx_status read_top(struct reader *r, const node *top)
{
	static const char *const keys[] = {"name",   "title", "seeds",  "config", "runs",
					   "traces", "evals", "bounds", NULL};
	sx_status st = SX_OK;
	const char *name = NULL, *title = NULL;
	const node *x;
	SX_TRY(check_mapping(r, top, "a recipe"));
	SX_TRY(check_keys(r, top, keys));
	if (!(x = find(r, top, "name")))
		return sx_fail(r->ctx, SX_ECONFIG, "%s: name is missing", r->name);
	SX_TRY(get_text(r, x, "name", &name));
	SX_TRY(check_name(r, x));
	title = name;
	if ((x = find(r, top, "title"))) SX_TRY(get_text(r, x, "title", &title));
	r->study->name = sx_strdup(name);
	r->study->title = sx_strdup(title);
	if (!r->study->work) r->study->work = sx_format("runs/%s", name);
	if (!r->study->name || !r->study->title || !r->study->work) return no_memory(r);
	SX_TRY(read_seeds(r, top));
	r->config = find(r, top, "config");
	r->runs = find(r, top, "runs");
	if (!r->runs) return sx_fail(r->ctx, SX_ECONFIG, "%s: runs is missing", r->name);
	SX_TRY(check_mapping(r, r->runs, "runs"));
	if (r->runs->data.mapping.pairs.top == r->runs->data.mapping.pairs.start)
		return refuse(r, r->runs, "runs: want at least one");
	for (int k = SX_ITEM_TRACE; k < SX_ITEM_KINDS; k++) {
		r->entries[k] = find(r, top, keys[4 + k]);
		if (r->entries[k]) SX_TRY(check_mapping(r, r->entries[k], keys[4 + k]));
	}
	for (int i = 0; i < r->study->n_seed; i++) {
		SX_TRY(read_runs(r, r->study->seed[i]));
		for (int k = SX_ITEM_TRACE; k < SX_ITEM_KINDS; k++)
			SX_TRY(read_entries(r, (sx_item_kind)k, r->study->seed[i]));
		r->said = true;
	}
out:
	return st;
}

static sx_status parse(struct reader *r, const char *text, size_t size)
{
	yaml_parser_t parser;
	sx_status st = SX_OK;
	if (!yaml_parser_initialize(&parser)) return no_memory(r);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&parser, &r->doc)) {
		st = parser.error == YAML_MEMORY_ERROR
			     ? no_memory(r)
			     : sx_fail(r->ctx, SX_ECONFIG, "%s:%zu: not valid YAML: %.150s",
				       r->name, parser.problem_mark.line + 1,
				       parser.problem ? parser.problem : "unreadable");
	} else {
		const node *top = yaml_document_get_root_node(&r->doc);
		st = top ? read_top(r, top) : sx_fail(r->ctx, SX_ECONFIG, "%s is empty", r->name);
		yaml_document_delete(&r->doc);
	}
	yaml_parser_delete(&parser);
	return st;
}

sx_status sx_study_read_recipe(sx_study *out, sx_ctx *ctx, const char *recipe, int n,
			       char *const *overrides, const char *work)
{
	sx_status st = SX_OK;
	sx_study s = {.recipe = sx_strdup(recipe), .work = work ? sx_strdup(work) : NULL};
	struct reader r = {.ctx = ctx, .name = recipe, .study = &s, .n = n, .overrides = overrides};
	char *text = NULL;
	size_t size = 0;
	if (!s.recipe || (work && !s.work)) {
		st = no_memory(&r);
		goto out;
	}
	SX_TRY(sx_read_file(ctx, recipe, &text, &size));
	SX_TRY(parse(&r, text, size));
	*out = s;
	s = (sx_study){0};
out:
	free(text);
	sx_study_free(&s);
	return st;
}

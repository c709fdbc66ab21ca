#include "probes/lab/source.h"

#include "engine/files/gguf.h"
#include "engine/files/llama2c.h"
#include "engine/model/weights.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- run folders ---- */

sx_status sx_checkpoint_split(char **run, int64_t *step, sx_ctx *ctx, const char *arg)
{
	const char *at = strrchr(arg, '@');
	char *end = NULL;
	*step = -1;
	if (at && at[1]) {
		long long n = strtoll(at + 1, &end, 10);
		if (*end == '\0' && n >= 0) *step = n;
	}
	*run = *step >= 0 ? sx_format("%.*s", (int)(at - arg), arg) : sx_strdup(arg);
	return *run ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
}

sx_status sx_checkpoint_find(char **out, int64_t *found, sx_ctx *ctx, const char *run, int64_t step)
{
	char *dir = sx_format("%s/checkpoints", run);
	if (!dir) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	DIR *d = opendir(dir);
	long long best = -1;
	for (struct dirent *e; d && (e = readdir(d));) {
		char *end = NULL;
		if (strncmp(e->d_name, "step-", 5) != 0) continue;
		long long n = strtoll(e->d_name + 5, &end, 10);
		if (*end || end == e->d_name + 5 || n < 0) continue;
		if (step >= 0 ? n == step : n > best) best = n;
	}
	if (d) closedir(d);
	sx_status st = SX_OK;
	if (best < 0) {
		st = step >= 0 ? sx_fail(ctx, SX_ENOINPUT, "%s has no checkpoint of step %lld", run,
					 (long long)step)
			       : sx_fail(ctx, SX_ENOINPUT, "%s has no checkpoint yet", run);
	} else {
		*out = sx_format("%s/step-%08lld", dir, best);
		*found = best;
		if (!*out) st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	}
	free(dir);
	return st;
}

/* step and phase of a checkpoint of ours; other folders have none. */
static void read_state(sx_source *s)
{
	char *path = sx_format("%s/state.json", s->folder);
	json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
	json_int_t step = 0;
	const char *phase = NULL;
	if (j && json_unpack(j, "{s:I, s:s}", "step", &step, "phase", &phase) == 0) {
		s->step = step;
		s->step_known = true;
		s->phase = strcmp(phase, "recalibration") == 0;
	}
	json_decref(j);
	free(path);
}

/* ---- the kinds of MODEL ---- */

static sx_status open_folder(sx_source *s, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *config = sx_format("%s/config.json", s->folder);
	if (!config) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(sx_hf_open(&s->tensors, &s->spec, ctx, config, s->folder, s->pos_why));
	read_state(s);
out:
	free(config);
	return st;
}

/* The config.yaml of a run; texts of MODELs inside a run are found through it. */
static sx_status load_config(sx_source *s, sx_ctx *ctx, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *run = slash ? sx_format("%.*s", (int)(slash + 1 - path), path) : sx_strdup(".");
	sx_config_free(&s->cfg);
	s->has_config = false;
	sx_status st = run ? sx_config_load(&s->cfg, ctx, path, 0, NULL)
			   : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	if (st == SX_OK) {
		s->has_config = true;
		st = sx_config_begun_read(&s->cfg, ctx, run, false, NULL);
	}
	free(run);
	return st;
}

static char *tokenizer_name(const sx_config *cfg)
{
	const char *name = cfg->data.tokenizer;
	bool file = strcmp(name, "bytes") != 0;
	return file ? sx_config_path(cfg, &cfg->data.tokenizer, name) : sx_strdup(name);
}

/* The tokenizer that a configuration names. */
static sx_status configured_tokenizer(sx_tokenizer **out, sx_ctx *ctx, const sx_config *cfg,
				      int vocab)
{
	char *path = tokenizer_name(cfg);
	sx_status st = path ? sx_tokenizer_open(out, ctx, path, vocab)
			    : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	free(path);
	return st;
}

static sx_status open_run(sx_source *s, sx_ctx *ctx, const char *run, int64_t step)
{
	sx_status st = SX_OK;
	int64_t found = 0;
	char *config = sx_format("%s/config.yaml", run);
	if (!config) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(load_config(s, ctx, config));
	SX_TRY(sx_checkpoint_find(&s->folder, &found, ctx, run, step));
	SX_TRY(open_folder(s, ctx));
out:
	free(config);
	return st;
}

static bool ends_in(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);
	return n >= m && strcmp(s + n - m, tail) == 0;
}

static bool has_file(const char *dir, const char *name)
{
	char *p = sx_format("%s/%s", dir, name);
	bool there = p && sx_path_exists(p);
	free(p);
	return there;
}

/* What the file says up to its first white space; NULL if there is none. */
static char *first_word(const char *dir, const char *name)
{
	char *path = sx_format("%s/%s", dir, name), *text = NULL;
	size_t size = 0;
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	if (path && sx_read_file(&quiet, path, &text, &size) == SX_OK)
		text[strcspn(text, " \t\r\n")] = '\0';
	free(path);
	return text;
}

/* What is in dir, sorted, with commas between; *n names. NULL when memory is out. */
static char *list_names(const char *dir, int *n)
{
	char *list = sx_strdup("");
	struct dirent **entry = NULL;
	int all = scandir(dir, &entry, NULL, alphasort);
	*n = 0;
	for (int i = 0; i < all; i++) {
		if (list && entry[i]->d_name[0] != '.') {
			char *longer = sx_format("%s%s%s", list, *n ? ", " : "", entry[i]->d_name);
			free(list);
			list = longer;
			(*n)++;
		}
		free(entry[i]);
	}
	free(entry);
	return list;
}

/* models--ORG--NAME of the hub's cache: the snapshot that refs/main names, or the only one. */
static sx_status find_snapshot(char **out, sx_ctx *ctx, const char *root)
{
	sx_status st = SX_OK;
	int n = 0;
	char *dir = sx_format("%s/snapshots", root), *ref = first_word(root, "refs/main");
	char *all = dir ? list_names(dir, &n) : NULL, *found = NULL;
	if (!all) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for a path"));
	bool named = ref && *ref && !strchr(ref, '/') && *ref != '.' && has_file(dir, ref);
	if (named || n == 1) found = sx_format("%s/%s", dir, named ? ref : all);
	if (!found)
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s is a root of the hub's cache: name one of the folders in "
			       "%s (%.300s)",
			       root, dir, n ? all : "there is none"));
	sx_log(ctx, SX_LOG_INFO, "%s is a root of the hub's cache: %s is taken", root, found);
	*out = found;
	found = NULL;
out:
	free(found);
	free(all);
	free(ref);
	free(dir);
	return st;
}

/* The folder in Hugging Face layout that the user means; the caller's. */
static sx_status find_model_folder(char **out, sx_ctx *ctx, const char *model)
{
	if (has_file(model, "study.json"))
		return sx_fail(ctx, SX_EDATA,
			       "%s is the work folder of a study: name one of its runs "
			       "(`sextant info %s`)",
			       model, model);
	if (has_file(model, "config.json")) {
		*out = sx_strdup(model);
		return *out ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	}
	if (has_file(model, "snapshots")) return find_snapshot(out, ctx, model);
	return sx_fail(
		ctx, SX_EDATA,
		"%s: neither a run folder (no config.yaml) nor a model in Hugging Face layout "
		"(no config.json)",
		model);
}

/* Fills folder, tensors, spec, cfg; the vocabulary of a configuration is still open. */
static sx_status open_kind(sx_source *s, sx_ctx *ctx, const char *model, bool *random)
{
	sx_status st = SX_OK;
	char *run = NULL, *config = NULL;
	int64_t step = -1;
	*random = false;
	SX_TRY(sx_config_init(&s->cfg, ctx));
	SX_TRY(sx_checkpoint_split(&run, &step, ctx, model));
	if (sx_path_is_dir(run) && has_file(run, "config.yaml")) {
		SX_TRY(open_run(s, ctx, run, step));
	} else if (sx_path_is_dir(model)) {
		SX_TRY(find_model_folder(&s->folder, ctx, model));
		/* a checkpoint inside a run knows its data */
		config = sx_format("%s/../../config.yaml", s->folder);
		if (config && sx_path_exists(config)) SX_TRY(load_config(s, ctx, config));
		SX_TRY(open_folder(s, ctx));
	} else if (sx_gguf_is(model)) {
		SX_TRY(sx_gguf_open(&s->tensors, &s->spec, ctx, model));
	} else if (ends_in(model, ".bin")) {
		SX_TRY(sx_llama2c_open(&s->tensors, &s->spec, ctx, model));
	} else if (ends_in(model, ".yaml") || ends_in(model, ".yml")) {
		SX_TRY(load_config(s, ctx, model));
		*random = true;
		s->step_known = true;
	} else if (ends_in(model, ".safetensors") && sx_path_exists(model)) {
		st = sx_fail(ctx, SX_EDATA,
			     "%s holds weights alone: name its folder, with a config.json in it",
			     model);
	} else if (!sx_path_exists(run)) {
		st = sx_fail(ctx, SX_ENOINPUT, "there is no model %s", model);
	} else {
		st = sx_fail(
			ctx, SX_EDATA,
			"%s: not a model: want a run folder, a folder in Hugging Face layout, a "
			"GGUF file, a llama2.c .bin or a .yaml configuration",
			model);
	}
out:
	free(run);
	free(config);
	return st;
}

/* The tokenizer.json beside a model; one that is not read is no reason not to use the model. */
static void open_beside(sx_source *s, sx_ctx *ctx)
{
	char *json = s->folder ? sx_format("%s/tokenizer.json", s->folder) : NULL;
	if (!json || !sx_path_exists(json)) {
		bool spm = s->folder && has_file(s->folder, "tokenizer.model");
		snprintf(
			s->tok_why, sizeof s->tok_why,
			"%.300s: %s; give --tokenizer bytes, --tokenizer FILE (a tokenizer.json or "
			"a llama2.c tokenizer.bin), or ids with --tokens",
			s->name,
			spm ? "its tokenizer.model (SentencePiece) is not read, and there is no "
			      "tokenizer.json"
			    : "its tokenizer is not known");
	} else if (sx_tokenizer_open(&s->tok, ctx, json, s->spec.V) != SX_OK) {
		snprintf(s->tok_why, sizeof s->tok_why, "%.500s", ctx->message);
	}
	free(json);
}

static sx_status open_tokenizer(sx_source *s, sx_ctx *ctx, const char *tokenizer)
{
	sx_status st = SX_OK;
	if (tokenizer)
		st = sx_tokenizer_open(&s->tok, ctx, tokenizer, s->spec.V);
	else if (s->has_config)
		st = configured_tokenizer(&s->tok, ctx, &s->cfg, s->spec.V);
	else
		open_beside(s, ctx);
	/* what a model of ours was trained with says itself what it has */
	if (s->tok && !s->has_config) sx_tokenizer_set_ends(s->tok, s->spec.bos, s->spec.eos);
	return st;
}

static bool in_groups(const char *key, const char *const *groups)
{
	for (; groups && *groups; groups++) {
		size_t n = strlen(*groups);
		if (strncmp(key, *groups, n) == 0 && (key[n] == '.' || key[n] == '=')) return true;
	}
	return false;
}

/* Overrides of cfg; the ones that are left (pos.*, or misplaced) follow in rest. */
static sx_status split_overrides(sx_source *s, sx_ctx *ctx, int n, char *const *words,
				 const char *const *allowed, char **rest, int *n_rest)
{
	for (int i = 0; i < n; i++) {
		if (!in_groups(words[i], allowed)) {
			rest[(*n_rest)++] = words[i];
			continue;
		}
		sx_status st = sx_config_set(&s->cfg, ctx, words[i]);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* Whether one of the words chooses a positional method. */
static bool chooses_method(int n, char *const *words)
{
	for (int i = 0; i < n; i++)
		if (strncmp(words[i], "pos.method=", strlen("pos.method=")) == 0) return true;
	return false;
}

/* any_pos: the file's own positions need not be supported. */
static sx_status open_source(sx_source *out, sx_ctx *ctx, const char *model, const char *tokenizer,
			     int n, char *const *overrides, const char *const *allowed,
			     bool any_pos)
{
	sx_status st = SX_OK;
	sx_source s = {.spec = sx_spec_default()};
	char **rest = sx_calloc((size_t)n + 1, sizeof *rest);
	int n_rest = 0;
	bool random = false;
	s.name = sx_strdup(model);
	if (!s.name || !rest) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to open a model");
		goto out;
	}
	SX_TRY(open_kind(&s, ctx, model, &random));
	SX_TRY(split_overrides(&s, ctx, n, overrides, allowed, rest, &n_rest));
	if (s.pos_why[0] && !any_pos && !chooses_method(n_rest, rest))
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s", s.pos_why));
	s.seed = (uint64_t)s.cfg.seed;
	s.init = strcmp(s.cfg.model.init, "0.02") == 0 ? SX_INIT_002 : SX_INIT_FAN_IN;
	if (random) {
		SX_TRY(tokenizer ? sx_tokenizer_open(&s.tok, ctx, tokenizer, 0)
				 : configured_tokenizer(&s.tok, ctx, &s.cfg, 0));
		SX_TRY(sx_config_spec(&s.cfg, sx_tokenizer_vocab(s.tok), &s.spec, ctx));
		s.spec.bos = sx_tokenizer_bos(s.tok);
		s.spec.eos = sx_tokenizer_eos(s.tok);
	} else {
		SX_TRY(open_tokenizer(&s, ctx, tokenizer));
	}
	SX_TRY(sx_spec_override(&s.spec, ctx, n_rest, rest));
	*out = s;
	s = (sx_source){0};
out:
	free(rest);
	sx_source_free(&s);
	return st;
}

sx_status sx_source_open(sx_source *out, sx_ctx *ctx, const char *model, const char *tokenizer,
			 int n, char *const *overrides, const char *const *allowed)
{
	return open_source(out, ctx, model, tokenizer, n, overrides, allowed, false);
}

sx_status sx_source_open_any_pos(sx_source *out, sx_ctx *ctx, const char *model,
				 const char *tokenizer, int n, char *const *overrides,
				 const char *const *allowed)
{
	return open_source(out, ctx, model, tokenizer, n, overrides, allowed, true);
}

void sx_source_free(sx_source *s)
{
	free(s->name);
	free(s->folder);
	sx_tensors_free(s->tensors);
	sx_tokenizer_free(s->tok);
	sx_config_free(&s->cfg);
	memset(s, 0, sizeof *s);
}

sx_status sx_source_need_tokenizer(const sx_source *s, sx_ctx *ctx)
{
	return s->tok ? SX_OK : sx_fail(ctx, SX_EDATA, "%s", s->tok_why);
}

sx_status sx_source_model(sx_model **out, sx_ctx *ctx, const sx_source *s)
{
	if (s->tensors) return sx_model_load(out, ctx, s->tensors, &s->spec);
	sx_status st = sx_model_new(out, ctx, &s->spec);
	if (st == SX_OK) sx_model_init(*out, s->seed, s->init);
	return st;
}

/* "bytes" cannot be meant where there is a tokenizer.json beside the model. */
static bool adopt_tokenizer(sx_config *cfg, const char *model)
{
	if (strcmp(cfg->data.tokenizer, "bytes") != 0 || !has_file(model, "tokenizer.json"))
		return true;
	char *own = sx_format("%s/tokenizer.json", cfg->init);
	if (!own) return false;
	free(cfg->data.tokenizer);
	cfg->data.tokenizer = own;
	return true;
}

sx_status sx_source_open_init(sx_source *out, sx_ctx *ctx, sx_config *cfg)
{
	const sx_pos_param *p = sx_pos_params;
	while (p->type != SX_POS_METHOD) p++;
	char *model = sx_config_path(cfg, &cfg->init, cfg->init);
	char *tok = model && adopt_tokenizer(cfg, model) ? tokenizer_name(cfg) : NULL;
	sx_status st = SX_OK;
	if (!model || !tok)
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	else if (sx_config_pos_is_set(cfg, p))
		st = sx_source_open_any_pos(out, ctx, model, tok, 0, NULL, NULL);
	else
		st = sx_source_open(out, ctx, model, tok, 0, NULL, NULL);
	free(model);
	free(tok);
	return st;
}

sx_status sx_source_spec(sx_spec *out, sx_ctx *ctx, sx_config *cfg)
{
	sx_status st = SX_OK;
	sx_tokenizer *tok = NULL;
	sx_source init = {0};
	if (cfg->init[0]) {
		SX_TRY(sx_source_open_init(&init, ctx, cfg));
		SX_TRY(sx_config_adopt(cfg, ctx, &init.spec));
		SX_TRY(sx_config_spec(cfg, init.spec.V, out, ctx));
		out->tied = init.spec.tied, out->block = init.spec.block;
	} else {
		SX_TRY(configured_tokenizer(&tok, ctx, cfg, 0));
		SX_TRY(sx_config_spec(cfg, sx_tokenizer_vocab(tok), out, ctx));
	}
out:
	sx_tokenizer_free(tok);
	sx_source_free(&init);
	return st;
}

/* ---- training data ---- */

static sx_status read_texts(sx_data *d, sx_ctx *ctx, const sx_config *cfg)
{
	size_t n = cfg->data.text.n;
	char **paths = sx_calloc(n, sizeof *paths);
	bool ok = paths != NULL;
	for (size_t i = 0; ok && i < n; i++)
		ok = (paths[i] = sx_config_path(cfg, &cfg->data.text, cfg->data.text.at[i])) !=
		     NULL;
	sx_status st =
		ok ? sx_corpus_read(&d->corpus, ctx, (const char *const *)paths, (int64_t)n, d->tok)
		   : sx_fail(ctx, SX_ENOMEM, "no memory for paths");
	for (size_t i = 0; paths && i < n; i++) free(paths[i]);
	free(paths);
	return st;
}

sx_status sx_data_open(sx_data *out, sx_ctx *ctx, const sx_config *cfg, int vocab)
{
	sx_status st = SX_OK;
	sx_data *d = out;
	memset(d, 0, sizeof *d);
	sx_language_opts o = sx_language_opts_default();
	o.on = cfg->data.retrieval.keys > 0;
	if (o.on) {
		o.keys = cfg->data.retrieval.keys;
		o.values = cfg->data.retrieval.values;
		o.facts_lo = (int)cfg->data.retrieval.facts.lo;
		o.facts_hi = (int)cfg->data.retrieval.facts.hi;
		o.items_lo = (int)cfg->data.retrieval.items.lo;
		o.items_hi = (int)cfg->data.retrieval.items.hi;
	}
	sx_filler_parse(cfg->data.filler, &o.filler);
	o.bos = cfg->data.bos;
	SX_TRY(configured_tokenizer(&d->tok, ctx, cfg, vocab));
	if (o.filler == SX_FILLER_MARKOV && !sx_tokenizer_is_bytes(d->tok))
		SX_TRY(sx_fail(ctx, SX_ECONFIG,
			       "data.filler=markov is made of bytes: set data.tokenizer=bytes, or "
			       "data.filler=text"));
	if (o.filler == SX_FILLER_TEXT) {
		SX_TRY(read_texts(d, ctx, cfg));
		d->has_corpus = true;
	}
	SX_TRY(sx_language_init(&d->lang, ctx, &o, d->has_corpus ? &d->corpus : NULL,
				(uint64_t)cfg->seed));
	d->lang.corpus = d->has_corpus ? &out->corpus : NULL;
out:
	if (st != SX_OK) sx_data_free(d);
	return st;
}

void sx_data_free(sx_data *d)
{
	sx_tokenizer_free(d->tok);
	if (d->has_corpus) sx_corpus_free(&d->corpus);
	memset(d, 0, sizeof *d);
}

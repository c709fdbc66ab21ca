/* What a study is made of: memory, names, finding a recipe, study.json. */
#include "cli/study/study.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *sx_job_state_name(sx_job_state s)
{
	static const char *const names[] = {"kept", "waiting", "running",
					    "done", "failed",  "not begun"};
	return names[s];
}

void sx_study_free(sx_study *s)
{
	for (int64_t i = 0; i < s->n_item; i++) {
		sx_study_item *x = &s->item[i];
		free(x->name);
		free(x->label);
		free(x->of);
		free(x->what);
		free(x->file);
		free(x->path);
		for (int k = 0; k < x->n_option; k++) free(x->option[k]);
		free(x->option);
		if (x->has_cfg) sx_config_free(&x->cfg);
	}
	free(s->item);
	free(s->seed);
	free(s->name);
	free(s->title);
	free(s->recipe);
	free(s->work);
	memset(s, 0, sizeof *s);
}

/* ---- shipped recipes ---- */

static const char *const shelves[] = {"share/sextant/studies", "analysis/studies"};

/* Appends the recipes of a folder to a list for people. */
static void list_shelf(char *list, size_t size, const char *folder)
{
	DIR *d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));) {
		const char *dot = strrchr(e->d_name, '.');
		size_t used = strlen(list);
		if (!dot || strcmp(dot, ".yaml") != 0) continue;
		snprintf(list + used, size - used, "%s%.*s", used ? ", " : "",
			 (int)(dot - e->d_name), e->d_name);
	}
	if (d) closedir(d);
}

sx_status sx_study_find_recipe(char **path, sx_ctx *ctx, const char *recipe)
{
	char above[PATH_MAX], list[400] = "";
	if (strchr(recipe, '/') || strchr(recipe, '.')) {
		*path = sx_strdup(recipe);
		return *path ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	}
	ssize_t n = readlink("/proc/self/exe", above, sizeof above - 1);
	above[n > 0 ? n : 0] = '\0';
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = '\0';
		for (int i = 0; i < 2; i++) {
			char *shelf = sx_format("%s/%s", above, shelves[i]);
			char *full = shelf ? sx_format("%s/%s.yaml", shelf, recipe) : NULL;
			bool there = full && sx_path_exists(full);
			if (shelf && !there) list_shelf(list, sizeof list, shelf);
			free(shelf);
			if (there) {
				*path = full;
				return SX_OK;
			}
			free(full);
		}
	}
	return sx_fail(ctx, SX_ENOINPUT,
		       "there is no recipe %s; give the path of a .yaml, or one of those that came "
		       "with the program: %s",
		       recipe, *list ? list : "none are here");
}

/* ---- study.json ---- */

static char *json_path(const char *work)
{
	return sx_format("%s/study.json", work);
}

sx_status sx_study_write(const sx_study *s, sx_ctx *ctx)
{
	json_t *items = json_array(), *seeds = json_array();
	for (int i = 0; i < s->n_seed; i++)
		json_array_append_new(seeds, json_integer((json_int_t)s->seed[i]));
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_study_item *x = &s->item[i];
		json_array_append_new(items, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:s}",
						       "kind", sx_item_kind_name(x->kind), "name",
						       x->name, "label", x->label, "of", x->of,
						       "what", x->what, "seed", (json_int_t)x->seed,
						       "untrained", x->untrained, "file", x->file));
	}
	json_t *root = json_pack("{s:s, s:s, s:o, s:o}", "name", s->name, "title", s->title,
				 "seeds", seeds, "items", items);
	bool whole = root && json_array_size(items) == (size_t)s->n_item;
	char *text = whole ? json_dumps(root, JSON_INDENT(1)) : NULL, *path = json_path(s->work);
	sx_status st = text && path ? sx_write_file(ctx, path, text, strlen(text))
				    : sx_fail(ctx, SX_ENOMEM, "no memory for study.json");
	json_decref(root);
	free(text);
	free(path);
	return st;
}

static bool read_item(sx_study_item *x, const json_t *j, const char *work)
{
	const char *kind, *name, *label, *of, *what, *file;
	json_int_t seed;
	int untrained, k = 0;
	if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:s}", "kind",
			&kind, "name", &name, "label", &label, "of", &of, "what", &what, "seed",
			&seed, "untrained", &untrained, "file", &file) != 0)
		return false;
	while (k < SX_ITEM_KINDS && strcmp(kind, sx_item_kind_name((sx_item_kind)k)) != 0) k++;
	if (k == SX_ITEM_KINDS) return false;
	*x = (sx_study_item){.kind = (sx_item_kind)k,
			     .name = sx_strdup(name),
			     .label = sx_strdup(label),
			     .of = sx_strdup(of),
			     .what = sx_strdup(what),
			     .file = sx_strdup(file),
			     .path = sx_format("%s/%s", work, file),
			     .seed = seed,
			     .untrained = untrained,
			     .on = -1,
			     .step = -1};
	return x->name && x->label && x->of && x->what && x->file && x->path;
}

static bool read_root(sx_study *s, const json_t *root, const char *work)
{
	const char *name, *title;
	json_t *seeds, *items, *j;
	size_t i;
	if (json_unpack((json_t *)(uintptr_t)root, "{s:s, s:s, s:o, s:o}", "name", &name, "title",
			&title, "seeds", &seeds, "items", &items) != 0)
		return false;
	s->name = sx_strdup(name);
	s->title = sx_strdup(title);
	s->recipe = sx_strdup("");
	s->work = sx_strdup(work);
	s->seed = sx_calloc(json_array_size(seeds) + 1, sizeof *s->seed);
	s->item = sx_calloc(json_array_size(items) + 1, sizeof *s->item);
	if (!s->name || !s->title || !s->recipe || !s->work || !s->seed || !s->item) return false;
	json_array_foreach(seeds, i, j)
	{
		if (!json_is_integer(j)) return false;
		s->seed[s->n_seed++] = json_integer_value(j);
	}
	json_array_foreach(items, i,
			   j) if (!read_item(&s->item[s->n_item++], j, work)) return false;
	return true;
}

sx_status sx_study_read(sx_study *out, sx_ctx *ctx, const char *work)
{
	sx_study s = {0};
	json_error_t error = {.text = "not what a study writes"};
	sx_status st = SX_OK;
	char *path = json_path(work);
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	json_t *root = NULL;
	if (!sx_path_exists(path)) {
		st = sx_fail(ctx, SX_ENOINPUT,
			     "%s is not the work folder of a study: it has no study.json", work);
		goto out;
	}
	root = json_load_file(path, 0, &error);
	if (!root || !read_root(&s, root, work)) {
		st = sx_fail(ctx, SX_EDATA, "%s: %s", path, error.text);
		goto out;
	}
	*out = s;
	s = (sx_study){0};
out:
	json_decref(root);
	sx_study_free(&s);
	free(path);
	return st;
}

bool sx_study_is_in(const char *folder)
{
	char *path = json_path(folder);
	bool there = path && sx_path_exists(path);
	free(path);
	return there;
}

bool sx_study_item_made(const sx_study_item *x)
{
	bool run = x->kind == SX_ITEM_RUN && !x->untrained;
	char *path = sx_format("%s%s", x->path, run ? "/run.h5" : "");
	bool made = path && sx_path_exists(path);
	free(path);
	return made;
}

int64_t sx_study_missing(const sx_study *s, const char **first)
{
	int64_t n = 0;
	for (int64_t i = 0; i < s->n_item; i++) {
		if (sx_study_item_made(&s->item[i])) continue;
		if (n++ == 0) *first = s->item[i].path;
	}
	return n;
}

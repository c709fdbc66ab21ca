/* RUN/begun: where a run began, so that the relative paths of its config.yaml are found from every
 * folder; config.yaml keeps them as they were written, and is the same on every machine. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "probes/config/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ---- */

static bool is_relative(const char *path)
{
	return *path && *path != '/';
}

static bool has_relative(const sx_config *cfg)
{
	bool any = is_relative(cfg->init) ||
		   (is_relative(cfg->data.tokenizer) && strcmp(cfg->data.tokenizer, "bytes") != 0);
	for (size_t i = 0; i < cfg->data.text.n; i++)
		any = any || is_relative(cfg->data.text.at[i]);
	return any;
}

/* `to` as seen from the folder `from`, both absolute and without links: "../../data". */
static char *way(const char *from, const char *to)
{
	size_t same = 0, i = 0;
	for (; from[i] && from[i] == to[i]; i++)
		if (from[i] == '/') same = i + 1;
	if (!from[i] && (!to[i] || to[i] == '/')) same = i;
	if (!to[i] && from[i] == '/') same = i;
	char *out = sx_strdup("");
	for (const char *rest = from + same; out && *rest;) {
		while (*rest == '/') rest++;
		if (!*rest) break;
		rest += strcspn(rest, "/");
		char *longer = sx_format("%s../", out);
		free(out);
		out = longer;
	}
	const char *down = to + same;
	while (*down == '/') down++;
	char *all = out ? sx_format("%s%s", *out || *down ? out : ".", down) : NULL;
	free(out);
	return all;
}

/* One line; a value that does not fit on one is left out. */
static bool add_line(char **text, const char *key, const char *value)
{
	if (!value || strchr(value, '\n')) return true;
	char *longer = sx_format("%s%s %s\n", *text, key, value);
	if (!longer) return false;
	free(*text);
	*text = longer;
	return true;
}

sx_status sx_config_begun_write(const sx_config *cfg, sx_ctx *ctx, const char *run,
				const char *branch)
{
	sx_status st = SX_OK;
	char here[PATH_MAX], *path = sx_format("%s/begun", run), *text = sx_strdup("");
	char *from = realpath(run, NULL), *beside = NULL;
	bool ok = path && text && from;
	if (has_relative(cfg) && getcwd(here, sizeof here)) {
		beside = ok ? way(from, here) : NULL;
		ok = ok && beside && add_line(&text, "folder", here) &&
		     add_line(&text, "beside", beside);
	}
	ok = ok && add_line(&text, "branch", branch);
	if (!ok)
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s/begun", run);
	else if (*text)
		st = sx_write_file(ctx, path, text, strlen(text));
	else
		unlink(path); /* of a beginning that a kill cut short */
	free(path);
	free(text);
	free(from);
	free(beside);
	return st;
}

/* ---- reading ---- */

/* Takes the folder over. */
static sx_status add_folder(sx_config *cfg, sx_ctx *ctx, char *folder)
{
	sx_text_list *l = &cfg->folders;
	char **grown = folder ? sx_grow(l->at, l->n + 1, sizeof *grown) : NULL;
	if (!grown) {
		free(folder);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	}
	l->at = grown;
	l->at[l->n++] = folder;
	return SX_OK;
}

/* What the command line says again is the run's, too. */
static void take_for_files(sx_config *cfg)
{
	const void *const fields[] = {&cfg->init, &cfg->data.text, &cfg->data.tokenizer};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		for (const sx_option *o = sx_options; o->key; o++)
			if (sx_config_field(cfg, o) == fields[i])
				cfg->origin[o - sx_options] = SX_FROM_FILE;
}

sx_status sx_config_begun_read(sx_config *cfg, sx_ctx *ctx, const char *run, bool resumes,
			       char **branch)
{
	sx_status st = SX_OK;
	if (resumes) take_for_files(cfg);
	char *path = sx_format("%s/begun", run), *text = NULL;
	size_t size = 0;
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	if (!sx_path_exists(path)) goto out; /* of an older program, or nothing was relative */
	SX_TRY(sx_read_file(ctx, path, &text, &size));
	for (char *rest = text, *line; (line = strtok_r(rest, "\n", &rest));) {
		if (strncmp(line, "folder ", 7) == 0)
			SX_TRY(add_folder(cfg, ctx, sx_strdup(line + 7)));
		if (strncmp(line, "beside ", 7) == 0)
			SX_TRY(add_folder(cfg, ctx, sx_format("%s/%s", run, line + 7)));
		if (branch && !*branch && strncmp(line, "branch ", 7) == 0)
			*branch = sx_strdup(line + 7);
	}
out:
	free(path);
	free(text);
	return st;
}

/* Whether a file is there, or the run of RUN@STEP. */
static bool is_there(const char *path)
{
	if (sx_path_exists(path)) return true;
	const char *at = strrchr(path, '@');
	char *run = at ? sx_format("%.*s", (int)(at - path), path) : NULL;
	bool there = run && sx_path_exists(run);
	free(run);
	return there;
}

char *sx_config_path(const sx_config *cfg, const void *field, const char *path)
{
	char here[PATH_MAX];
	const char *cwd = getcwd(here, sizeof here);
	bool look = is_relative(path) && sx_config_origin(cfg, field) != SX_FROM_OVERRIDE;
	for (size_t i = 0; look && i < cfg->folders.n; i++) {
		/* as it was written, where that leads to the same: what names it stays the same */
		if (cwd && strcmp(cwd, cfg->folders.at[i]) == 0 && is_there(path)) break;
		char *full = sx_format("%s/%s", cfg->folders.at[i], path);
		if (!full || is_there(full)) return full;
		free(full);
	}
	return sx_strdup(path);
}

/* The folder: writing it beside, and putting it where an older one may stand. */
#define _GNU_SOURCE /* renameat2 */
#include "analysis/report/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define REPORT_SCHEMA  "sextant-report"
#define REPORT_VERSION "1.0"

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory to save the report");
}

/* ---- files ---- */

/* xxh128 as `xxhsum -H2` prints it. SX_ENOINPUT, SX_EIO. */
static sx_status hash_file(sx_ctx *ctx, const char *path, char out[SX_HASH_TEXT], size_t *bytes)
{
	sx_status st = SX_OK;
	char *block = NULL;
	enum { BLOCK = 1 << 20 };
	FILE *in = fopen(path, "rb");
	XXH3_state_t *state = XXH3_createState();
	if (!in) {
		st = sx_fail(ctx, SX_ENOINPUT, "cannot open %s: %s", path, strerror(errno));
		goto out;
	}
	block = malloc(BLOCK);
	if (!state || !block || XXH3_128bits_reset(state) != XXH_OK) {
		st = no_memory(ctx);
		goto out;
	}
	*bytes = 0;
	for (size_t n; (n = fread(block, 1, BLOCK, in)) > 0; *bytes += n)
		XXH3_128bits_update(state, block, n);
	if (ferror(in)) {
		st = sx_fail(ctx, SX_EIO, "cannot read %s: %s", path, strerror(errno));
		goto out;
	}
	XXH128_hash_t h = XXH3_128bits_digest(state);
	snprintf(out, SX_HASH_TEXT, "%016llx%016llx", (unsigned long long)h.high64,
		 (unsigned long long)h.low64);
out:
	free(block);
	XXH3_freeState(state);
	if (in) fclose(in);
	return st;
}

static bool is_own_dir(const char *path)
{
	struct stat sb;
	return lstat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

/* A folder with all that is in it; links are removed, not followed. */
static void remove_tree(const char *path)
{
	DIR *d = is_own_dir(path) ? opendir(path) : NULL;
	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
		char *inside = sx_format("%s/%s", path, e->d_name);
		if (inside) remove_tree(inside);
		free(inside);
	}
	if (d) closedir(d);
	if (!d || rmdir(path) != 0) unlink(path);
}

/* ---- what stands there already ---- */

/* Every file below folder/sub must be known: what is not ours is not to be removed. */
static sx_status refuse_strangers(sx_ctx *ctx, const char *folder, const char *sub,
				  const json_t *known)
{
	sx_status st = SX_OK;
	char *path = sx_format("%s/%s", folder, sub), *name = NULL, *full = NULL;
	DIR *d = path ? opendir(path) : NULL;
	if (!d) {
		st = sx_fail(ctx, SX_ECREATE, "cannot look into %s: %s", folder, strerror(errno));
		goto out;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, ".ipynb_checkpoints") == 0) /* Jupyter's, made by looking */
			continue;
		free(name);
		free(full);
		name = sx_format("%s%s%s", sub, *sub ? "/" : "", e->d_name);
		full = name ? sx_format("%s/%s", folder, name) : NULL;
		if (!full) {
			st = no_memory(ctx);
			goto out;
		}
		if (is_own_dir(full)) {
			SX_TRY(refuse_strangers(ctx, folder, name, known));
			continue;
		}
		if (json_object_get(known, name)) continue;
		st = sx_fail(
			ctx, SX_ECREATE,
			"%s holds %s, which is not of a report: name another folder or move it "
			"away",
			folder, name);
		goto out;
	}
out:
	if (d) closedir(d);
	free(path);
	free(name);
	free(full);
	return st;
}

/* The outputs that a manifest lists as an object of fingerprints, the manifest with them; empty where
 * there is no manifest of ours. NULL when memory is out. */
static json_t *known_files(const char *folder)
{
	json_t *known = json_object(), *m = NULL, *row;
	char *path = sx_format("%s/manifest.json", folder);
	const char *schema = NULL;
	size_t i;
	if (path) m = json_load_file(path, 0, NULL);
	json_unpack(m, "{s:s}", "schema", &schema);
	if (schema && strcmp(schema, REPORT_SCHEMA) == 0) {
		json_object_set_new(known, "manifest.json", json_string(""));
		json_array_foreach(json_object_get(m, "outputs"), i, row)
		{
			const char *name = NULL, *hash = NULL;
			if (json_unpack(row, "{s:s, s:s}", "path", &name, "xxh128", &hash) == 0)
				json_object_set_new(known, name, json_string(hash));
		}
	}
	json_decref(m);
	free(path);
	return known;
}

static sx_status refuse_changed(sx_ctx *ctx, const char *folder, json_t *known)
{
	sx_status st = SX_OK;
	const char *name;
	json_t *hash;
	json_object_foreach(known, name, hash)
	{
		char now[SX_HASH_TEXT];
		size_t bytes;
		char *path = sx_format("%s/%s", folder, name);
		if (!path) return no_memory(ctx);
		if (*json_string_value(hash) && sx_path_exists(path)) {
			st = hash_file(ctx, path, now, &bytes);
			if (st == SX_OK && strcmp(now, json_string_value(hash)) != 0)
				st = sx_fail(
					ctx, SX_ECREATE,
					"%s was changed since it was written: rename %s or name "
					"another folder",
					path, folder);
		}
		free(path);
		if (st != SX_OK) break;
	}
	return st;
}

/* SX_OK where there is nothing, an empty folder, or a report just as it was saved. */
static sx_status check_place(sx_ctx *ctx, const char *folder)
{
	sx_status st = SX_OK;
	struct stat sb;
	json_t *known = NULL;
	if (lstat(folder, &sb) != 0) return SX_OK;
	if (!sx_path_is_dir(folder))
		return sx_fail(ctx, SX_ECREATE, "%s is there and is no folder", folder);
	known = known_files(folder);
	if (!known) return no_memory(ctx);
	SX_TRY(refuse_strangers(ctx, folder, "", known));
	SX_TRY(refuse_changed(ctx, folder, known));
out:
	json_decref(known);
	return st;
}

/* ---- is it as it was saved? ---- */

bool sx_report_is_in(const char *folder)
{
	json_t *known = known_files(folder);
	bool is = json_object_get(known, "manifest.json") != NULL;
	json_decref(known);
	return is;
}

sx_status sx_report_verify(sx_ctx *ctx, const char *folder, int64_t *files,
			   void (*fault)(void *self, const char *path, const char *what),
			   void *self)
{
	sx_status st = SX_OK;
	const char *name;
	json_t *hash, *known = known_files(folder);
	if (!known) return no_memory(ctx);
	*files = 0;
	json_object_foreach(known, name, hash)
	{
		char now[SX_HASH_TEXT];
		size_t bytes;
		if (!*json_string_value(hash)) continue; /* the manifest itself */
		char *path = sx_format("%s/%s", folder, name);
		st = path ? hash_file(ctx, path, now, &bytes) : no_memory(ctx);
		free(path);
		++*files;
		if (st == SX_ENOINPUT)
			fault(self, name, "is not there");
		else if (st == SX_OK && strcmp(now, json_string_value(hash)) != 0)
			fault(self, name, "is not what was written: its fingerprint differs");
		if (st != SX_OK && st != SX_ENOINPUT) break;
		st = SX_OK;
	}
	json_decref(known);
	return st;
}

/* ---- writing ---- */

typedef struct {
	sx_report *r;
	sx_ctx *ctx;
	char *dir;       /* the folder under way */
	json_t *outputs; /* of the manifest      */
} saving;

/* Path of an output under way; the caller's. */
static char *path_of(const saving *s, const char *name)
{
	return sx_format("%s/%s", s->dir, name);
}

static sx_status list_output(saving *s, const char *name)
{
	sx_status st = SX_OK;
	char hash[SX_HASH_TEXT], *path = path_of(s, name);
	size_t bytes;
	if (!path) return no_memory(s->ctx);
	SX_TRY(hash_file(s->ctx, path, hash, &bytes));
	json_t *row = json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)bytes, "path", name,
				"xxh128", hash);
	if (!row || json_array_append_new(s->outputs, row) != 0) st = no_memory(s->ctx);
out:
	free(path);
	return st;
}

/* Writes what `put` prints. */
static sx_status write_text(saving *s, const char *name, void (*put)(FILE *out, const void *of),
			    const void *of)
{
	sx_status st = SX_OK;
	char *text = NULL, *path = path_of(s, name);
	size_t size = 0;
	FILE *out = path ? open_memstream(&text, &size) : NULL;
	if (out) put(out, of);
	bool bad = !out || ferror(out) != 0;
	if ((out && fclose(out) != 0) || bad)
		st = no_memory(s->ctx);
	else
		st = sx_write_file(s->ctx, path, text, size);
	free(text);
	free(path);
	return st == SX_OK ? list_output(s, name) : st;
}

static void put_csv(FILE *out, const void *t)
{
	sx_report_put_csv(out, t);
}

static void put_tex(FILE *out, const void *t)
{
	sx_report_put_tex(out, t);
}

static void put_html(FILE *out, const void *r)
{
	sx_report_put_html(out, r);
}

static void put_line(FILE *out, const void *text)
{
	fprintf(out, "%s\n", (const char *)text);
}

static sx_status write_table(saving *s, const sx_report_table *t)
{
	sx_status st = SX_OK;
	char csv[SX_REPORT_NAME_MAX + 16], tex[SX_REPORT_NAME_MAX + 16];
	snprintf(csv, sizeof csv, "tables/%s.csv", t->name);
	snprintf(tex, sizeof tex, "tables/%s.tex", t->name);
	if (t->n_col == 0 || t->n_cell % t->n_col != 0)
		return sx_fail(s->ctx, SX_EINTERNAL, "table %s ends within a row", t->name);
	SX_TRY(write_text(s, csv, put_csv, t));
	SX_TRY(write_text(s, tex, put_tex, t));
out:
	return st;
}

static sx_status write_figure(saving *s, report_figure *f)
{
	/* For the screen, and inside the notebook; the other two are for print. */
	enum { SCREEN_DPI = 200 };
	static const char *const endings[] = {"pdf", "svg", "png"};
	sx_status st = SX_OK;
	char name[SX_REPORT_NAME_MAX + 16], *path = NULL;
	sx_fig_png_dpi(f->fig, SCREEN_DPI);
	for (int k = 0; k < 3; k++) {
		snprintf(name, sizeof name, "figures/%s.%s", f->name, endings[k]);
		free(path);
		path = path_of(s, name);
		if (!path) return no_memory(s->ctx);
		SX_TRY(sx_fig_save(f->fig, s->ctx, path));
		SX_TRY(list_output(s, name));
		char **kept = k == 1 ? &f->svg : k == 2 ? &f->png : NULL;
		size_t *size = k == 1 ? &f->svg_size : &f->png_size;
		if (!kept) continue;
		free(*kept);
		*kept = NULL;
		SX_TRY(sx_read_file(s->ctx, path, kept, size));
	}
out:
	free(path);
	return st;
}

/* Writes a document, and lets go of it. */
static sx_status write_json(saving *s, const char *name, json_t *doc)
{
	char *text = json_dumps(doc, JSON_INDENT(1) | JSON_SORT_KEYS);
	sx_status st = text ? write_text(s, name, put_line, text) : no_memory(s->ctx);
	free(text);
	json_decref(doc);
	return st;
}

static sx_status write_notebook(saving *s)
{
	json_t *nb = sx_report_notebook(s->r);
	return nb ? write_json(s, "report.ipynb", nb) : no_memory(s->ctx);
}

static sx_status write_results(saving *s)
{
	char *path = path_of(s, "analysis.h5");
	if (!path) return no_memory(s->ctx);
	sx_status st = sx_report_write_results(s->r, s->ctx, path);
	free(path);
	return st == SX_OK ? list_output(s, "analysis.h5") : st;
}

static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static sx_status write_manifest(saving *s)
{
	const sx_report *r = s->r;
	json_t *inputs = json_array(), *params = json_object();
	for (int i = 0; i < r->n_input; i++)
		json_array_append_new(
			inputs, json_pack("{s:I, s:s, s:s, s:s}", "bytes",
					  (json_int_t)r->input[i].bytes, "path", r->input[i].first,
					  "what", r->input[i].second, "xxh128", r->input[i].hash));
	for (int i = 0; i < r->n_param; i++)
		json_object_set_new(params, r->param[i].first, json_string(r->param[i].second));
	json_t *m =
		json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:s, s:o, s:o, s:O, s:{s:s, s:s}}",
			  "schema", REPORT_SCHEMA, "schema_version", REPORT_VERSION, "git",
			  text_or_null(r->git), "title", r->title, "creator", "sextant",
			  "command_line", text_or_null(r->command_line), "version", SX_VERSION,
			  "inputs", inputs, "parameters", params, "outputs", s->outputs, "formats",
			  "analysis.h5", "sextant-analysis 1.0", "report.ipynb", "nbformat 4.5");
	if (!m) return no_memory(s->ctx);
	/* It cannot list itself. */
	json_t *listed = s->outputs;
	s->outputs = json_array();
	sx_status st = write_json(s, "manifest.json", m);
	json_decref(s->outputs);
	s->outputs = listed;
	return st;
}

static sx_status write_all(saving *s)
{
	sx_status st = SX_OK;
	sx_report *r = s->r;
	for (int i = 0; i < r->n_input; i++)
		SX_TRY(hash_file(s->ctx, r->input[i].first, r->input[i].hash, &r->input[i].bytes));
	for (int k = 0; k < 2; k++) {
		char *path = path_of(s, k ? "tables" : "figures");
		st = path ? sx_make_dirs(s->ctx, path) : no_memory(s->ctx);
		free(path);
		if (st != SX_OK) goto out;
	}
	for (int i = 0; i < r->n_block; i++) {
		if (r->block[i].figure) SX_TRY(write_figure(s, r->block[i].figure));
		if (r->block[i].table) SX_TRY(write_table(s, r->block[i].table));
	}
	SX_TRY(write_results(s));
	SX_TRY(write_notebook(s));
	SX_TRY(write_text(s, "report.html", put_html, r));
	SX_TRY(write_manifest(s));
out:
	return st;
}

/* ---- the place ---- */

/* The new folder takes the name. Both change places at once, so that there is a report at any time;
 * where a file system cannot do that, the old one steps aside first and comes back if that fails. */
static sx_status take_place(sx_ctx *ctx, const char *from, const char *folder)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, folder, RENAME_EXCHANGE) == 0) {
		remove_tree(from);
		return SX_OK;
	}
	sx_status st = SX_OK;
	char *old = sx_format("%s.old", from);
	struct stat sb;
	if (!old) return no_memory(ctx);
	bool aside = lstat(folder, &sb) == 0;
	if (aside && rename(folder, old) != 0) {
		st = sx_fail(ctx, SX_ECREATE, "cannot replace %s: %s", folder, strerror(errno));
	} else if (rename(from, folder) != 0) {
		st = sx_fail(ctx, SX_ECREATE, "cannot create %s: %s", folder, strerror(errno));
		if (aside && rename(old, folder) != 0)
			st = sx_fail(ctx, SX_ECREATE, "what was %s is now %s: %s", folder, old,
				     strerror(errno));
	} else if (aside) {
		remove_tree(old);
	}
	free(old);
	return st;
}

static sx_status make_parent(sx_ctx *ctx, const char *folder)
{
	const char *last = strrchr(folder, '/');
	if (!last || last == folder) return SX_OK;
	char *parent = sx_format("%.*s", (int)(last - folder), folder);
	sx_status st = parent ? sx_make_dirs(ctx, parent) : no_memory(ctx);
	free(parent);
	return st;
}

sx_status sx_report_save(sx_report *r, sx_ctx *ctx, const char *folder)
{
	sx_status st = SX_OK;
	saving s = {.r = r, .ctx = ctx, .outputs = json_array()};
	size_t n = strlen(folder);
	while (n > 1 && folder[n - 1] == '/') n--;
	char *named = sx_format("%.*s", (int)n, folder), *place = NULL;
	if (r->st != SX_OK) {
		st = sx_fail(ctx, r->st, "%s", r->why);
		goto out;
	}
	if (n == 0) {
		st = sx_fail(ctx, SX_EUSAGE, "a report needs a folder to go to");
		goto out;
	}
	if (!named || !s.outputs) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(sx_path_follow(&place, ctx, named));
	SX_TRY(check_place(ctx, place));
	SX_TRY(make_parent(ctx, place));
	s.dir = sx_format("%s.tmp-%ld", place, (long)getpid());
	if (!s.dir) {
		st = no_memory(ctx);
		goto out;
	}
	remove_tree(s.dir); /* of a process that was killed */
	SX_TRY(sx_make_dirs(ctx, s.dir));
	SX_TRY(write_all(&s));
	SX_TRY(take_place(ctx, s.dir, place));
out:
	if (s.dir && st != SX_OK) remove_tree(s.dir);
	json_decref(s.outputs);
	free(s.dir);
	free(named);
	free(place);
	return st;
}

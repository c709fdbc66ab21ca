/* Finding the files, reading them, splitting off the held-out part. */
#include "engine/text/corpus.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { BINARY_HEAD = 65536, DEFAULT_CAP = 4000000, MAX_DEPTH = 64 };

/* Debian packages that every build of this project has, so that the text differs between machines
 * only as the distribution's versions do. Where one is missing it is passed over. */
static const char *const default_folders[] = {
	"/usr/share/common-licenses", "/usr/include/gsl",         "/usr/include/hdf5/serial",
	"/usr/include/cairo",         "/usr/include/pango-1.0",   "/usr/include/Random123",
	"/usr/include/arpa",          "/usr/include/asm-generic", "/usr/include/net",
	"/usr/include/netinet",       "/usr/include/protocols",
};

/* ---- the list of files ---- */

typedef struct {
	char **path;
	size_t n, cap;
} list;

static void list_free(list *l)
{
	for (size_t i = 0; i < l->n; i++) free(l->path[i]);
	free(l->path);
}

/* Takes path over; NULL counts as memory that is out. */
static sx_status list_add(list *l, sx_ctx *ctx, char *path)
{
	if (path && l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		char **grown = sx_grow(l->path, cap, sizeof *grown);
		if (grown) {
			l->path = grown;
			l->cap = cap;
		}
	}
	if (!path || l->n == l->cap) {
		free(path);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the list of text files");
	}
	l->path[l->n++] = path;
	return SX_OK;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

/* Adds the regular files below `folder`, unsorted; only those that end in `suffix`. */
static sx_status list_walk(list *l, sx_ctx *ctx, const char *folder, const char *suffix, int depth)
{
	sx_status st = SX_OK;
	struct dirent *e;
	DIR *d = depth < MAX_DEPTH ? opendir(folder) : NULL;
	if (!d) {
		sx_log(ctx, SX_LOG_WARN, "text: skipping %s: %s", folder,
		       depth < MAX_DEPTH ? strerror(errno) : "folders in folders without end");
		return SX_OK;
	}
	while ((e = readdir(d)) && st == SX_OK) {
		struct stat sb;
		if (e->d_name[0] == '.') continue;
		size_t n = strlen(folder);
		char *path = sx_format("%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/",
				       e->d_name);
		if (path && lstat(path, &sb) == 0 && S_ISDIR(sb.st_mode)) {
			st = list_walk(l, ctx, path, suffix, depth + 1);
			free(path);
		} else if (path && (!ends_with(path, suffix) || stat(path, &sb) != 0 ||
				    !S_ISREG(sb.st_mode))) {
			free(path);
		} else {
			st = list_add(l, ctx, path);
		}
	}
	closedir(d);
	return st;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static sx_status list_folder(list *l, sx_ctx *ctx, const char *folder, const char *suffix)
{
	size_t first = l->n;
	sx_status st = list_walk(l, ctx, folder, suffix, 0);
	if (l->n > first) qsort(l->path + first, l->n - first, sizeof *l->path, by_bytes);
	return st;
}

static sx_status list_make(list *l, sx_ctx *ctx, const char *const *paths, int64_t n)
{
	sx_status st = SX_OK;
	for (int64_t i = 0; i < n; i++) {
		if (!sx_path_exists(paths[i]))
			return sx_fail(ctx, SX_ENOINPUT, "text: %s does not exist", paths[i]);
		if (sx_path_is_dir(paths[i]))
			SX_TRY(list_folder(l, ctx, paths[i], ""));
		else
			SX_TRY(list_add(l, ctx, sx_strdup(paths[i])));
	}
	if (n > 0) return SX_OK;
	for (size_t i = 0; i < sizeof default_folders / sizeof *default_folders; i++)
		if (sx_path_is_dir(default_folders[i]))
			SX_TRY(list_folder(l, ctx, default_folders[i], i == 0 ? "" : ".h"));
out:
	return st;
}

/* Which file a path leads to, and its place in the list. */
typedef struct {
	dev_t dev;
	ino_t ino;
	size_t place;
} file_id;

static int by_file(const void *pa, const void *pb)
{
	const file_id *a = pa, *b = pb;
	if (a->dev != b->dev) return a->dev < b->dev ? -1 : 1;
	if (a->ino != b->ino) return a->ino < b->ino ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

/* Leaves the first path to every file. What cannot be looked at stays: reading it will say why. */
static sx_status list_unique(list *l, sx_ctx *ctx)
{
	size_t n = 0, kept = 0;
	file_id *id = sx_calloc(l->n, sizeof *id);
	if (!id) return sx_fail(ctx, SX_ENOMEM, "no memory for the list of text files");
	for (size_t i = 0; i < l->n; i++) {
		struct stat sb;
		if (stat(l->path[i], &sb) == 0) id[n++] = (file_id){sb.st_dev, sb.st_ino, i};
	}
	qsort(id, n, sizeof *id, by_file);
	for (size_t i = 1; i < n; i++) {
		if (id[i].dev != id[i - 1].dev || id[i].ino != id[i - 1].ino) continue;
		free(l->path[id[i].place]);
		l->path[id[i].place] = NULL;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->path[i]) l->path[kept++] = l->path[i];
	l->n = kept;
	free(id);
	return SX_OK;
}

/* ---- reading ---- */

typedef struct {
	sx_corpus c;
	const sx_tokenizer *tok;
	XXH3_state_t *hash;
	int64_t cap_train, cap_heldout;
} reader;

static sx_status append(int32_t **ids, int64_t *n, int64_t *cap, sx_ctx *ctx,
			const sx_tokenizer *tok, const char *text, size_t len)
{
	int32_t *more = NULL;
	int64_t k = 0;
	sx_status st = sx_tokenizer_encode(&more, &k, ctx, tok, text, len, false);
	if (st != SX_OK) return st;
	if (*n + k > *cap) {
		int64_t want = 2 * *cap > *n + k ? 2 * *cap : *n + k;
		int32_t *grown = sx_grow(*ids, (size_t)want, sizeof *grown);
		if (!grown) {
			free(more);
			return sx_fail(ctx, SX_ENOMEM, "no memory for %" PRId64 " tokens", want);
		}
		*ids = grown;
		*cap = want;
	}
	if (k > 0) memcpy(*ids + *n, more, (size_t)k * sizeof *more);
	*n += k;
	free(more);
	return SX_OK;
}

/* Where the held-out part begins: a code point is not cut in two. */
static size_t split_at(const char *text, size_t size)
{
	size_t at = size - size / 10;
	for (int i = 0; i < 3 && at < size && ((unsigned char)text[at] & 0xC0) == 0x80; i++) at++;
	return at;
}

static sx_status add_text(reader *r, sx_ctx *ctx, const char *path, const char *text, size_t size)
{
	sx_status st = SX_OK;
	sx_corpus *c = &r->c;
	size_t cut = split_at(text, size);
	sx_corpus_file f = {.bytes = (int64_t)size, .train = c->n_train, .heldout = c->n_heldout};
	SX_TRY(append(&c->train, &c->n_train, &r->cap_train, ctx, r->tok, text, cut));
	SX_TRY(append(&c->heldout, &c->n_heldout, &r->cap_heldout, ctx, r->tok, text + cut,
		      size - cut));
	f.n_train = c->n_train - f.train;
	f.n_heldout = c->n_heldout - f.heldout;
	f.path = sx_strdup(path);
	if (!f.path || XXH3_128bits_update(r->hash, text, size) != XXH_OK) {
		free(f.path);
		return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", path);
	}
	c->files[c->n_files++] = f;
	c->bytes += f.bytes;
out:
	return st;
}

/* *full: a default corpus ends before the file that would make it too large. */
static sx_status add_file(reader *r, sx_ctx *ctx, const char *path, bool *full)
{
	char *text = NULL;
	size_t size = 0;
	sx_status st = sx_read_file(ctx, path, &text, &size);
	if (st == SX_ENOMEM) return st;
	if (st != SX_OK) {
		sx_log(ctx, SX_LOG_WARN, "text: skipping a file: %s", ctx ? ctx->message : "");
		return SX_OK;
	}
	if (memchr(text, '\0', size < BINARY_HEAD ? size : BINARY_HEAD))
		sx_log(ctx, SX_LOG_WARN, "text: skipping %s: it is not text (NUL byte)", path);
	else if (r->c.is_default && r->c.bytes + (int64_t)size > DEFAULT_CAP)
		*full = true;
	else if (size > 0)
		st = add_text(r, ctx, path, text, size);
	free(text);
	return st;
}

static sx_status check_found(const sx_corpus *c, sx_ctx *ctx, const char *const *paths,
			     int64_t n_paths)
{
	if (c->n_train > 0) return SX_OK;
	if (c->is_default)
		return sx_fail(ctx, SX_ENOINPUT,
			       "no text was given and this machine has neither licence texts nor C "
			       "headers: name files or folders in data.text");
	return sx_fail(ctx, SX_ENOINPUT, "no text found in %s%s: name files or folders with text",
		       paths[0], n_paths > 1 ? " and the other places named" : "");
}

static sx_status describe(sx_corpus *c, sx_ctx *ctx, const sx_tokenizer *tok, XXH128_hash_t h)
{
	snprintf(c->fingerprint, sizeof c->fingerprint, "%016" PRIx64 "%016" PRIx64,
		 (uint64_t)h.high64, (uint64_t)h.low64);
	memcpy(c->tokenizer_hash, sx_tokenizer_fingerprint(tok), sizeof c->tokenizer_hash);
	c->tokenizer = sx_strdup(sx_tokenizer_name(tok));
	c->vocab = sx_tokenizer_vocab(tok);
	c->bos = sx_tokenizer_bos(tok);
	return c->tokenizer ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for a name");
}

/* A space, as the kinds of tokenizers spell it, and letters. */
static bool is_word(const char *s, size_t len)
{
	static const char *const spaces[] = {" ", "\xC4\xA0", "\xE2\x96\x81"};
	size_t at = 0;
	for (int i = 0; i < 3 && at == 0; i++)
		if (len >= strlen(spaces[i]) && memcmp(s, spaces[i], strlen(spaces[i])) == 0)
			at = strlen(spaces[i]);
	if (at == 0 || len < at + 2) return false;
	for (; at < len; at++)
		if (!isalpha((unsigned char)s[at])) return false;
	return true;
}

static sx_status find_unused(sx_corpus *c, sx_ctx *ctx, const sx_tokenizer *tok)
{
	if (sx_tokenizer_is_bytes(tok)) return SX_OK;
	bool *used = sx_calloc((size_t)c->vocab, sizeof *used);
	if (!used) return sx_fail(ctx, SX_ENOMEM, "no memory for the vocabulary");
	for (int64_t i = 0; i < c->n_train; i++) used[c->train[i]] = true;
	for (int64_t i = 0; i < c->n_heldout; i++) used[c->heldout[i]] = true;
	for (int id = 0; id < c->vocab && c->n_unused < SX_CORPUS_UNUSED; id++) {
		size_t len;
		const char *s = used[id] ? NULL : sx_tokenizer_piece(tok, id, &len);
		if (s && is_word(s, len)) c->unused[c->n_unused++] = id;
	}
	free(used);
	return SX_OK;
}

sx_status sx_corpus_read(sx_corpus *out, sx_ctx *ctx, const char *const *paths, int64_t n_paths,
			 const sx_tokenizer *tok)
{
	sx_status st = SX_OK;
	list l = {0};
	reader r = {.tok = tok, .c.is_default = n_paths == 0};
	bool full = false;
	SX_TRY(list_make(&l, ctx, paths, n_paths));
	SX_TRY(list_unique(&l, ctx));
	r.hash = XXH3_createState();
	r.c.files = sx_calloc(l.n, sizeof *r.c.files);
	if (!r.hash || !r.c.files || XXH3_128bits_reset(r.hash) != XXH_OK) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to read the text");
		goto out;
	}
	for (size_t i = 0; i < l.n && !full; i++) SX_TRY(add_file(&r, ctx, l.path[i], &full));
	SX_TRY(check_found(&r.c, ctx, paths, n_paths));
	SX_TRY(describe(&r.c, ctx, tok, XXH3_128bits_digest(r.hash)));
	SX_TRY(find_unused(&r.c, ctx, tok));
	*out = r.c;
	memset(&r.c, 0, sizeof r.c);
out:
	sx_corpus_free(&r.c);
	XXH3_freeState(r.hash);
	list_free(&l);
	return st;
}

void sx_corpus_free(sx_corpus *c)
{
	if (!c) return;
	for (int64_t i = 0; i < c->n_files; i++) free(c->files[i].path);
	free(c->files);
	free(c->train);
	free(c->heldout);
	free(c->tokenizer);
	memset(c, 0, sizeof *c);
}

/* ---- for the run file ---- */

/* Paths need not be UTF-8; what is not becomes '?'. */
static json_t *json_path(const char *path)
{
	json_t *j = json_string(path);
	if (j) return j;
	char *s = sx_strdup(path);
	for (char *p = s; p && *p; p++)
		if ((unsigned char)*p >= 128) *p = '?';
	j = s ? json_string(s) : NULL;
	free(s);
	return j;
}

json_t *sx_corpus_json(const sx_corpus *c)
{
	json_t *files = json_array();
	for (int64_t i = 0; files && i < c->n_files; i++) {
		const sx_corpus_file *f = &c->files[i];
		json_t *o = json_pack("{s:o, s:I, s:I, s:I}", "path", json_path(f->path), "bytes",
				      (json_int_t)f->bytes, "train_tokens", (json_int_t)f->n_train,
				      "heldout_tokens", (json_int_t)f->n_heldout);
		if (!o || json_array_append_new(files, o) != 0) {
			json_decref(files);
			return NULL;
		}
	}
	json_t *name = json_path(c->tokenizer);
	return json_pack("{s:b, s:s, s:I, s:I, s:I, s:o, s:s, s:i, s:s, s:o}", "default",
			 (int)c->is_default, "xxh128", c->fingerprint, "bytes",
			 (json_int_t)c->bytes, "train_tokens", (json_int_t)c->n_train,
			 "heldout_tokens", (json_int_t)c->n_heldout, "tokenizer", name,
			 "tokenizer_xxh128", c->tokenizer_hash, "vocab", c->vocab, "held_out",
			 "the last tenth of each file's bytes", "files", files);
}

/* Status texts, the context, arenas, small files, random numbers. */
#include "engine/base.h"

#include <Random123/philox.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SX_STATUS_TEXT(name, code, text) text,
#define SX_STATUS_CODE(name, code, text) code,

const char *sx_status_text(sx_status st)
{
	static const char *const texts[] = {SX_STATUS(SX_STATUS_TEXT)};
	return st < SX_STATUS_COUNT ? texts[st] : "unknown status";
}

int sx_status_exit(sx_status st)
{
	static const int codes[] = {SX_STATUS(SX_STATUS_CODE)};
	return st < SX_STATUS_COUNT ? codes[st] : 70;
}

void sx_ctx_init(sx_ctx *ctx)
{
	memset(ctx, 0, sizeof *ctx);
	ctx->level = SX_LOG_INFO;
}

void sx_log(sx_ctx *ctx, sx_log_level level, const char *fmt, ...)
{
	if (!ctx || !ctx->log || level < ctx->level) return;
	char msg[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	ctx->log(ctx->log_self, level, msg);
}

sx_status sx_fail_at(sx_ctx *ctx, sx_status st, const char *file, int line, const char *func,
		     const char *fmt, ...)
{
	if (!ctx) return st;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(ctx->message, sizeof ctx->message, fmt, ap);
	va_end(ap);
	/* It may quote a file: no escape sequences onto the user's terminal. */
	for (char *c = ctx->message; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f) *c = '?';
	snprintf(ctx->where, sizeof ctx->where, "%s:%d %s", file, line, func);
	sx_log(ctx, SX_LOG_DEBUG, "%s: %s", ctx->where, ctx->message);
	return st;
}

/* ---- memory ---- */

void *sx_arena_take(sx_arena *a, size_t count, size_t size)
{
	/* what cannot be counted cannot be had either: the commit will say so */
	const size_t limit = SIZE_MAX / 4;
	size_t bytes = size && count > limit / size ? limit : (count * size + 63) & ~(size_t)63;
	if (a->used > limit) bytes = 0;
	unsigned char *p = a->base ? a->base + a->used : NULL;
	a->used += bytes;
	return p;
}

sx_status sx_arena_commit(sx_arena *a, sx_ctx *ctx)
{
	a->cap = a->used;
	a->used = 0;
	if (a->cap == 0) return SX_OK;
	a->base = aligned_alloc(64, a->cap);
	if (!a->base) return sx_fail(ctx, SX_ENOMEM, "no memory for %zu bytes", a->cap);
	memset(a->base, 0, a->cap);
	return SX_OK;
}

void sx_arena_free(sx_arena *a)
{
	free(a->base);
	memset(a, 0, sizeof *a);
}

void *sx_calloc(size_t count, size_t size)
{
	return calloc(count ? count : 1, size ? size : 1);
}

void *sx_grow(void *old, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size) return NULL;
	size_t bytes = count * size;
	return realloc(old, bytes ? bytes : 1);
}

char *sx_format(const char *fmt, ...)
{
	va_list ap, ap2;
	va_start(ap, fmt);
	va_copy(ap2, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *s = n < 0 ? NULL : malloc((size_t)n + 1);
	if (s) vsnprintf(s, (size_t)n + 1, fmt, ap2);
	va_end(ap2);
	return s;
}

char *sx_strdup(const char *s)
{
	return sx_format("%s", s);
}

/* ---- small files ---- */

/* Closes f. */
static sx_status read_stream(FILE *f, sx_ctx *ctx, const char *name, char **out, size_t *size)
{
	sx_status st = SX_OK;
	char *buf = NULL;
	size_t used = 0, cap = 65536;
	for (;;) {
		char *grown = sx_grow(buf, cap + 1, 1);
		if (!grown) {
			st = sx_fail(ctx, SX_ENOMEM, "no memory to read %s", name);
			goto out;
		}
		buf = grown;
		used += fread(buf + used, 1, cap - used, f);
		if (used < cap) break;
		cap *= 2;
	}
	if (ferror(f)) {
		st = sx_fail(ctx, SX_EIO, "reading %s failed: %s", name, strerror(errno));
		goto out;
	}
	buf[used] = '\0';
	*out = buf;
	*size = used;
	buf = NULL;
out:
	free(buf);
	fclose(f);
	return st;
}

sx_status sx_read_file(sx_ctx *ctx, const char *path, char **out, size_t *size)
{
	FILE *f = sx_path_is_dir(path) ? NULL : fopen(path, "rb");
	if (!f)
		return sx_fail(ctx, SX_ENOINPUT, "cannot read %s: %s", path,
			       sx_path_is_dir(path) ? "it is a folder" : strerror(errno));
	return read_stream(f, ctx, path, out, size);
}

const char *sx_input_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

sx_status sx_read_input(sx_ctx *ctx, const char *path, char **out, size_t *size)
{
	if (strcmp(path, "-") != 0) return sx_read_file(ctx, path, out, size);
	struct stat sb;
	int fd = dup(STDIN_FILENO);
	/* where it was closed, a folder stands in for it (main.c: hold_streams) */
	bool closed = fd >= 0 && fstat(fd, &sb) == 0 && S_ISDIR(sb.st_mode);
	FILE *f = fd < 0 || closed ? NULL : fdopen(fd, "rb");
	if (!f) {
		const char *why = closed ? "it is closed" : strerror(errno);
		if (fd >= 0) close(fd);
		return sx_fail(ctx, SX_ENOINPUT, "cannot read standard input: %s", why);
	}
	return read_stream(f, ctx, sx_input_name(path), out, size);
}

static sx_status no_folder(sx_ctx *ctx, const char *path, int e)
{
	struct stat sb;
	const char *why = strerror(e);
	if (!sx_path_exists(path) && lstat(path, &sb) == 0)
		why = "a link to nothing is there";
	else if (e == EEXIST)
		why = "a file of that name is there";
	return sx_fail(ctx, SX_ECREATE, "cannot create the folder %s: %s", path, why);
}

sx_status sx_make_dirs(sx_ctx *ctx, const char *path)
{
	if (!*path) return sx_fail(ctx, SX_ECREATE, "cannot create a folder without a name");
	char *p = sx_strdup(path);
	if (!p) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	sx_status st = SX_OK;
	for (char *s = p + 1; st == SX_OK; s++) {
		if (*s != '/' && *s != '\0') continue;
		char c = *s;
		*s = '\0';
		int e = mkdir(p, 0777) == 0 ? 0 : errno;
		if (e && !sx_path_is_dir(p)) st = no_folder(ctx, p, e);
		*s = c;
		if (c == '\0') break;
	}
	free(p);
	return st;
}

bool sx_path_exists(const char *path)
{
	struct stat sb;
	return stat(path, &sb) == 0;
}

bool sx_path_is_dir(const char *path)
{
	struct stat sb;
	return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

/* ---- random numbers ---- */

static philox4x32_ctr_t philox(uint64_t seed, uint32_t stream, uint64_t index)
{
	philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
	philox4x32_ctr_t ctr = {{(uint32_t)index, (uint32_t)(index >> 32), stream, 0}};
	return philox4x32(ctr, key);
}

static double unit(uint32_t hi, uint32_t lo)
{
	uint64_t bits = (uint64_t)hi << 32 | lo;
	return (double)(bits >> 11) * 0x1p-53;
}

uint64_t sx_random_bits(uint64_t seed, uint32_t stream, uint64_t index)
{
	philox4x32_ctr_t r = philox(seed, stream, index);
	return (uint64_t)r.v[0] << 32 | r.v[1];
}

double sx_uniform(uint64_t seed, uint32_t stream, uint64_t index)
{
	philox4x32_ctr_t r = philox(seed, stream, index);
	return unit(r.v[0], r.v[1]);
}

double sx_normal(uint64_t seed, uint32_t stream, uint64_t index)
{
	const double two_pi = 6.283185307179586476925;
	philox4x32_ctr_t r = philox(seed, stream, index);
	double u = 1.0 - unit(r.v[0], r.v[1]); /* (0, 1]: its logarithm is finite */
	return sqrt(-2.0 * log(u)) * cos(two_pi * unit(r.v[2], r.v[3]));
}

uint64_t sx_rng_below(sx_rng *r, uint64_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* a multiple of n: no value is favoured */
	uint64_t bits;
	do bits = sx_random_bits(r->seed, r->stream, r->index++);
	while (bits >= limit);
	return bits % n;
}

double sx_rng_uniform(sx_rng *r)
{
	return sx_uniform(r->seed, r->stream, r->index++);
}

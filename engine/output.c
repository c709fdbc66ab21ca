/* Files that take their name when they are whole: where one goes, and what it is called meanwhile. */
#include "engine/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { LINKS = 40, PROC = 0x9fa0 /* f_type of /proc */ };

/* ---- the place ---- */

/* Length of what stands before a path's last name, with its slash. */
static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash + 1 - path) : 0;
}

/* Whether a path is an entry of /proc: its links lead to what a process holds, whatever they say. */
static bool is_of_a_process(const char *path)
{
	struct statfs fs;
	size_t n = folder_length(path);
	char *folder = n ? sx_format("%.*s", (int)n, path) : sx_strdup(".");
	bool is = folder && statfs(folder, &fs) == 0 && fs.f_type == PROC;
	free(folder);
	return is;
}

sx_status sx_path_follow(char **out, sx_ctx *ctx, const char *path)
{
	char *at = sx_strdup(path), *to = NULL;
	for (int links = 0; at; links++) {
		char text[PATH_MAX];
		if (is_of_a_process(at)) {
			free(at);
			return sx_fail(ctx, SX_ECREATE,
				       "cannot create %s: it is no file but what a process has "
				       "open; give the name of a file",
				       path);
		}
		ssize_t n = readlink(at, text, sizeof text - 1);
		if (n < 0) { /* no link, or nothing */
			*out = at;
			return SX_OK;
		}
		if (links == LINKS) {
			free(at);
			return sx_fail(ctx, SX_ECREATE, "cannot create %s: %s", path,
				       strerror(ELOOP));
		}
		text[n] = '\0';
		to = text[0] == '/' ? sx_strdup(text)
				    : sx_format("%.*s%s", (int)folder_length(at), at, text);
		free(at);
		at = to;
	}
	return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
}

/* A file may stand there, or nothing. */
static sx_status check_place(sx_ctx *ctx, const char *path, const char *shown)
{
	struct stat sb;
	size_t n = strlen(path);
	const char *what = NULL;
	if (n == 0) return sx_fail(ctx, SX_ECREATE, "cannot create a file without a name");
	if (stat(path, &sb) != 0)
		what = path[n - 1] == '/' ? "a folder" : NULL;
	else if (S_ISDIR(sb.st_mode))
		what = "a folder";
	else if (S_ISCHR(sb.st_mode) || S_ISBLK(sb.st_mode))
		what = "a device";
	else if (S_ISFIFO(sb.st_mode))
		what = "a pipe";
	else if (!S_ISREG(sb.st_mode))
		what = "no file";
	if (!what) return SX_OK;
	return sx_fail(ctx, SX_ECREATE, "cannot create %s: it is %s; give the name of a file",
		       shown, what);
}

/* ---- the name meanwhile ---- */

/* What a killed process left under the name is removed. What another one is writing is not: it holds a
 * lock, HDF5 on files of its own. */
static sx_status make_way(sx_ctx *ctx, const char *writing, const char *path)
{
	struct stat sb;
	if (lstat(writing, &sb) != 0) return SX_OK;
	if (!S_ISREG(sb.st_mode))
		return sx_fail(ctx, SX_ECREATE,
			       "cannot write %s: %s is in the way and is no file; remove it", path,
			       writing);
	int fd = open(writing, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool busy = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (!busy) unlink(writing);
	if (fd >= 0) close(fd);
	if (!busy) return SX_OK;
	return sx_fail(ctx, SX_ECREATE,
		       "another process is writing %s: wait for it or give another name", path);
}

sx_status sx_output_begin(sx_output *o, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_output new = {.fd = -1};
	struct stat sb;
	SX_TRY(sx_path_follow(&new.path, ctx, path));
	SX_TRY(check_place(ctx, new.path, path));
	if (!(new.writing = sx_format("%s.tmp", new.path))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
		goto out;
	}
	SX_TRY(make_way(ctx, new.writing, path));
	new.fd = open(new.writing, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (new.fd < 0 || fstat(new.fd, &sb) != 0) {
		st = sx_fail(ctx, SX_ECREATE, "cannot create %s: %s", new.writing, strerror(errno));
		goto out;
	}
	new.device = sb.st_dev;
	new.inode = sb.st_ino;
	*o = new;
	return SX_OK;
out:
	free(new.path);
	free(new.writing);
	*o = (sx_output){.fd = -1};
	return st;
}

void sx_output_lock(const sx_output *o)
{
	/* where locks are not known, sx_output_end still sees that the name was taken */
	(void)!flock(o->fd, LOCK_EX | LOCK_NB);
}

/* Whether the name is still that of the file that was made. */
static bool is_ours(const sx_output *o)
{
	struct stat sb;
	return lstat(o->writing, &sb) == 0 && sb.st_dev == o->device && sb.st_ino == o->inode;
}

void sx_output_drop(sx_output *o)
{
	if (!o->writing) return; /* none was begun */
	if (is_ours(o)) unlink(o->writing);
	if (o->fd >= 0) close(o->fd);
	free(o->path);
	free(o->writing);
	*o = (sx_output){.fd = -1};
}

sx_status sx_output_name(const sx_output *o, sx_ctx *ctx)
{
	if (!is_ours(o))
		return sx_fail(ctx, SX_ECREATE,
			       "%s was not written: another process took its place; give each a "
			       "name of its own",
			       o->path);
	if (rename(o->writing, o->path) != 0)
		return sx_fail(ctx, SX_ECREATE, "cannot create %s: %s", o->path, strerror(errno));
	return SX_OK;
}

bool sx_output_put(const sx_output *o, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(o->fd, (const char *)data + done, size - done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		done += (size_t)n;
	}
	return true;
}

sx_status sx_output_end(sx_output *o, sx_ctx *ctx, bool whole)
{
	sx_status st = SX_OK;
	if (!whole || fsync(o->fd) != 0)
		st = sx_fail(ctx, SX_EIO, "writing %s failed: %s", o->path, strerror(errno));
	/* Closed after it has its name: nobody takes what is locked for something left behind. */
	if (st == SX_OK) st = sx_output_name(o, ctx);
	int fd = o->fd;
	o->fd = -1;
	if (close(fd) != 0 && st == SX_OK)
		st = sx_fail(ctx, SX_EIO, "closing %s failed: %s", o->path, strerror(errno));
	sx_output_drop(o);
	return st;
}

sx_status sx_write_file(sx_ctx *ctx, const char *path, const void *data, size_t size)
{
	sx_output o;
	sx_status st = sx_output_begin(&o, ctx, path);
	if (st != SX_OK) return st;
	sx_output_lock(&o);
	return sx_output_end(&o, ctx, sx_output_put(&o, data, size));
}

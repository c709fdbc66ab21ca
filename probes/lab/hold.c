#include "probes/lab/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* <fcntl.h> has it for _GNU_SOURCE alone; Linux, since 3.15. A lock of the open file, unlike F_SETLK's,
 * is not lost when the process closes another descriptor of it, and lives on in children; flock stays
 * on its machine on more file systems. */
#ifndef F_OFD_SETLK
#	define F_OFD_SETLK 37
#endif

enum { HOLDER = 300 };

static bool lock(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, F_OFD_SETLK, &all) == 0;
}

/* Whether the name still leads to the open file: its last holder removes it. */
static bool has_name(int fd, const char *path)
{
	struct stat a, b;
	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static void write_holder(int fd)
{
	struct utsname machine;
	struct tm t;
	char text[HOLDER], since[32] = "?";
	time_t now = time(NULL);
	if (gmtime_r(&now, &t)) strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &t);
	int n = snprintf(text, sizeof text, "process %ld on %.200s since %s\n", (long)getpid(),
			 uname(&machine) == 0 ? machine.nodename : "?", since);
	/* for the sentence alone: the lock holds without it */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) return;
}

/* " (process 7 on node1 since ..)", or nothing: it may not have been written yet. */
static void read_holder(int fd, char out[HOLDER])
{
	char text[HOLDER];
	ssize_t n = pread(fd, text, sizeof text - 4, 0);
	out[0] = '\0';
	if (n <= 0) return;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	snprintf(out, HOLDER, " (%.*s)", HOLDER - 4, text);
}

static sx_status refuse(sx_ctx *ctx, int fd, const char *folder, const char *what)
{
	char holder[HOLDER];
	read_holder(fd, holder);
	return sx_fail(ctx, SX_ECREATE,
		       "another %s is at work in %s%s; wait for its end or give another folder",
		       what, folder, holder);
}

sx_status sx_hold_take(sx_hold *h, sx_ctx *ctx, const char *folder, const char *what,
		       bool inherited)
{
	sx_status st = SX_OK;
	char *path = sx_format("%s/lock", folder);
	int fd = -1, how = O_RDWR | O_CREAT | O_NONBLOCK | (inherited ? 0 : O_CLOEXEC);
	*h = (sx_hold){.fd = -1};
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	for (;;) {
		fd = open(path, how, 0666);
		if (fd < 0) {
			st = sx_fail(ctx, SX_ECREATE, "cannot write %s: %s", path, strerror(errno));
			goto out;
		}
		if (!lock(fd)) break;
		if (has_name(fd, path)) goto held;
		close(fd); /* its holder ended between the two */
	}
	if (errno == EACCES || errno == EAGAIN) {
		st = refuse(ctx, fd, folder, what);
		goto out;
	}
	sx_log(ctx, SX_LOG_WARN,
	       "%s cannot be locked (%s): see to it that no other process works in it", folder,
	       strerror(errno));
held:
	write_holder(fd);
	*h = (sx_hold){path, fd};
	return SX_OK;
out:
	if (fd >= 0) close(fd);
	free(path);
	return st;
}

void sx_hold_release(sx_hold *h)
{
	if (!h->path) return;
	/* While it is locked: whoever opened it meanwhile sees that it has no name any more. */
	unlink(h->path);
	close(h->fd);
	free(h->path);
	*h = (sx_hold){.fd = -1};
}

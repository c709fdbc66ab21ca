/* A library for LD_PRELOAD, for tests alone: it numbers a program's calls that change files, kills the
 * program at one of them, lets one of them fail, or lets the disk be full from one on.
 *
 *	SX_DO      count            writes "calls tearable" to SX_COUNT at the end
 *	           before, after    SIGKILL before or after call SX_AT (from 1)
 *	           torn             tearable calls alone are numbered; of call SX_AT what comes before
 *	                            a border between pages is written, then SIGKILL: a kernel stops a
 *	                            write of a killed program there
 *	           fail             call SX_AT and all later ones fail: the folder is read-only
 *	           full             from call SX_AT on nothing is created and no file grows: the disk
 *	                            is full
 *	           once             call SX_AT alone fails, with errno SX_ERRNO; writes "calls tearable"
 *	                            to SX_COUNT at the end (SX_AT 0: none fails). close and fclose of
 *	                            what was written to are numbered, too
 *	           lost             call SX_AT says that it wrote, and did not; writes "calls tearable" to
 *	                            SX_COUNT at the end. Only pwrite is numbered
 *	           term             SIGTERM before call SX_AT
 *	           record           appends to SX_COUNT what is written to the first segment: offset, bytes (two
 *	                            int64), data; bytes -1 where it takes its name
 *	SX_FS      the f_type that statfs tells, hexadecimal
 *	SX_CLOCK   how many times faster the monotonic clock runs
 *
 * Numbered: open that creates, write, pwrite, ftruncate, fsync, fflush of a log, rename, mkdir, unlink,
 * rmdir. What goes to the standard streams is not. A call is tearable if it writes over a border. fsync
 * does nothing: a kill does not need the disk, and the tests would wait for little else. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static atomic_long calls, tearable;

/* The C library's function of that name, through a pointer of the caller's type. */
static void real(const char *name, void *function)
{
	void *symbol = dlsym(RTLD_NEXT, name);
	if (!symbol) abort();
	memcpy(function, &symbol, sizeof symbol);
}

static bool asked(const char *what)
{
	const char *s = getenv("SX_DO");
	return s && strcmp(s, what) == 0;
}

static long at(void)
{
	const char *s = getenv("SX_AT");
	return s ? strtol(s, NULL, 10) : 0;
}

static int code(void)
{
	const char *s = getenv("SX_ERRNO");
	return s ? (int)strtol(s, NULL, 10) : EIO;
}

static void die(void)
{
	raise(SIGKILL);
}

/* Numbers a call, which makes something or makes it larger, or not; false: it is to fail. */
static bool enter(bool grows)
{
	if (asked("lost")) return true;
	long n = atomic_fetch_add(&calls, 1) + 1;
	if (asked("before") && n == at()) die();
	if (asked("term") && n == at()) raise(SIGTERM);
	if (asked("once")) {
		if (n != at()) return true;
		errno = code();
		return false;
	}
	bool full = asked("full") && grows;
	if (n < at() || (!asked("fail") && !full)) return true;
	errno = full ? ENOSPC : EROFS;
	return false;
}

/* Whether a write ends behind the file's end. */
static bool extends(int fd, off_t end)
{
	struct stat sb;
	return fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && end > sb.st_size;
}

static void leave(void)
{
	if (asked("after") && atomic_load(&calls) == at()) die();
}

/* Bytes of a write up to its last border between pages; 0 where it crosses none. */
static size_t until_border(off_t offset, size_t n)
{
	off_t end = offset + (off_t)n, border = (end - 1) / PAGE * PAGE;
	return offset >= 0 && border > offset ? (size_t)(border - offset) : 0;
}

static ssize_t pwrite_part(int fd, const void *data, size_t n, off_t offset)
{
	ssize_t (*next)(int, const void *, size_t, off_t);
	real("pwrite", &next);
	return next(fd, data, n, offset);
}

/* ---- SX_DO=record ---- */

/* Not what lies beside it, e.g. maps that wait for their turn. */
static bool is_segment(int fd)
{
	char link[64], path[PAGE];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n <= 0) return false;
	path[n] = '\0';
	const char *name = strstr(path, "/live/seg-0000.h5");
	const char *rest = name ? name + strlen("/live/seg-0000.h5") : "no";
	return *rest == '\0' || strcmp(rest, ".tmp") == 0;
}

static void record(const void *data, int64_t n, int64_t offset)
{
	const int64_t head[2] = {offset, n};
	const char *path = getenv("SX_COUNT");
	int (*next)(const char *, int, ...);
	ssize_t (*put)(int, const void *, size_t);
	real("open", &next);
	real("write", &put);
	int fd = path ? next(path, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
	if (fd < 0 || put(fd, head, sizeof head) != sizeof head) abort();
	if (n > 0 && put(fd, data, (size_t)n) != n) abort();
	close(fd);
}

static void tear(int fd, const void *data, size_t n, off_t offset)
{
	size_t part = until_border(offset, n);
	if (part == 0) return;
	long number = atomic_fetch_add(&tearable, 1) + 1;
	if (!asked("torn") || number != at()) return;
	if (pwrite_part(fd, data, part, offset) == (ssize_t)part) die();
	abort();
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("SX_COUNT");
	if ((!asked("count") && !asked("once") && !asked("lost")) || !path) return;
	int (*next)(const char *, int, ...);
	real("open", &next);
	char text[64];
	int n = snprintf(text, sizeof text, "%ld %ld\n", atomic_load(&calls),
			 atomic_load(&tearable));
	int fd = next(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || pwrite_part(fd, text, (size_t)n, 0) != n) abort();
	close(fd);
}

/* ---- the calls ---- */

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
	int (*next)(const char *, int, ...);
	real(name, &next);
	if (!(flags & O_CREAT)) return next(path, flags, mode);
	if (!enter(access(path, F_OK) != 0)) return -1;
	int fd = next(path, flags, mode);
	leave();
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT ? (mode_t)va_arg(ap, int) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_of(flags, ap);
	va_end(ap);
	return open_as("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_of(flags, ap);
	va_end(ap);
	return open_as("open64", path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t n)
{
	ssize_t (*next)(int, const void *, size_t);
	real("write", &next);
	if (fd <= STDERR_FILENO) return next(fd, data, n);
	off_t offset = lseek(fd, 0, SEEK_CUR);
	if (!enter(extends(fd, offset + (off_t)n))) return -1;
	tear(fd, data, n, offset);
	ssize_t done = next(fd, data, n);
	leave();
	return done;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
	if (asked("lost") && atomic_fetch_add(&calls, 1) + 1 == at()) return (ssize_t)n;
	if (!enter(extends(fd, offset + (off_t)n))) return -1;
	tear(fd, data, n, offset);
	if (asked("record") && is_segment(fd)) record(data, (int64_t)n, offset);
	ssize_t done = pwrite_part(fd, data, n, offset);
	leave();
	return done;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t offset)
{
	return pwrite(fd, data, n, offset);
}

/* LLVM's OpenMP makes a file there before main, and aborts without it. */
static bool is_shared_memory(int fd)
{
	char link[64], path[PAGE];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path);
	return n > 9 && strncmp(path, "/dev/shm/", 9) == 0;
}

static int truncate_as(int fd, off_t size)
{
	int (*next)(int, off_t);
	real("ftruncate", &next);
	if (is_shared_memory(fd)) return next(fd, size);
	if (!enter(extends(fd, size))) return -1;
	int bad = next(fd, size);
	leave();
	return bad;
}

int ftruncate(int fd, off_t size)
{
	return truncate_as(fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return truncate_as(fd, size);
}

int fsync(int fd)
{
	(void)fd;
	if (!enter(false)) return -1;
	leave();
	return 0;
}

int fflush(FILE *f)
{
	int (*next)(FILE *);
	real("fflush", &next);
	if (!f || fileno(f) <= STDERR_FILENO) return next(f);
	if (!enter(true)) return EOF;
	int bad = next(f);
	leave();
	return bad;
}

/* Whether a close is one that may tell of a failed write. */
static bool tells(int fd)
{
	struct stat sb;
	int flags = fcntl(fd, F_GETFL);
	return asked("once") && fd > STDERR_FILENO && flags >= 0 &&
	       (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) &&
	       !is_shared_memory(fd);
}

/* The descriptor is gone in any case. */
int close(int fd)
{
	int (*next)(int);
	real("close", &next);
	if (!tells(fd) || enter(false)) return next(fd);
	next(fd);
	errno = code();
	return -1;
}

int fclose(FILE *f)
{
	int (*next)(FILE *);
	real("fclose", &next);
	if (!tells(fileno(f)) || enter(false)) return next(f);
	next(f);
	errno = code();
	return EOF;
}

int rename(const char *from, const char *to)
{
	int (*next)(const char *, const char *);
	real("rename", &next);
	if (!enter(false)) return -1;
	if (asked("record") && strstr(to, "/live/seg-0000.h5")) record(NULL, -1, 0);
	int bad = next(from, to);
	leave();
	return bad;
}

int mkdir(const char *path, mode_t mode)
{
	int (*next)(const char *, mode_t);
	real("mkdir", &next);
	if (!enter(true)) return -1;
	int bad = next(path, mode);
	leave();
	return bad;
}

static int remove_as(const char *name, const char *path)
{
	int (*next)(const char *);
	real(name, &next);
	if (!enter(false)) return -1;
	int bad = next(path);
	leave();
	return bad;
}

int unlink(const char *path)
{
	return remove_as("unlink", path);
}

int rmdir(const char *path)
{
	return remove_as("rmdir", path);
}

/* ---- another machine ---- */

int statfs(const char *path, struct statfs *out)
{
	int (*next)(const char *, struct statfs *);
	real("statfs", &next);
	int bad = next(path, out);
	const char *type = getenv("SX_FS");
	if (bad == 0 && type) out->f_type = strtol(type, NULL, 16);
	return bad;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	int (*next)(clockid_t, struct timespec *);
	real("clock_gettime", &next);
	int bad = next(id, out);
	const char *faster = getenv("SX_CLOCK");
	if (bad != 0 || id != CLOCK_MONOTONIC || !faster) return bad;
	static atomic_llong start; /* the first time asked for */
	long long ns = (long long)out->tv_sec * 1000000000 + out->tv_nsec, none = 0;
	atomic_compare_exchange_strong(&start, &none, ns);
	ns = start + (ns - start) * strtol(faster, NULL, 10);
	out->tv_sec = (time_t)(ns / 1000000000);
	out->tv_nsec = (long)(ns % 1000000000);
	return bad;
}

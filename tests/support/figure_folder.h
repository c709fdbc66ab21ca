/* A folder for the files of a test of figures, which goes away with the test. */
#ifndef SX_TESTS_FIGURE_FOLDER_H
#define SX_TESTS_FIGURE_FOLDER_H

#include "engine/base.h"
#include "tests/support/check.h"

/* Fontconfig keeps its caches to the end of the process. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig\n";
}

static char dir[256];

static char *in_dir(const char *name)
{
	static char path[4][512];
	static int next;
	char *p = path[next++ % 4];
	snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

static int make_dir(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/sextant-figure2-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	char command[300];
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

static inline char *slurp(const char *path, size_t *size)
{
	char *text = NULL;
	size_t n = 0;
	assert_int_equal(sx_read_file(NULL, path, &text, &n), SX_OK);
	if (size) *size = n;
	return text;
}

/* ---- a log that is kept ---- */

typedef struct {
	char text[8192];
	int warnings;
} kept_log;

static inline void keep_log(void *self, sx_log_level level, const char *msg)
{
	kept_log *k = self;
	size_t n = strlen(k->text);
	snprintf(k->text + n, sizeof k->text - n, "%s\n", msg);
	k->warnings += level == SX_LOG_WARN;
}

static inline sx_ctx context(kept_log *k)
{
	sx_ctx ctx;
	memset(k, 0, sizeof *k);
	sx_ctx_init(&ctx);
	ctx.log = keep_log;
	ctx.log_self = k;
	return ctx;
}

#endif

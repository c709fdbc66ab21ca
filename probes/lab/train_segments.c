#include "probes/lab/train_segments.h"

#include "probes/runfile/runfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *sx_segment_path(const char *run, int n)
{
	return sx_format("%s/live/seg-%04d.h5", run, n);
}

int sx_segment_count(const char *run)
{
	for (int n = 0;; n++) {
		char *path = sx_segment_path(run, n);
		bool there = path && sx_path_exists(path);
		free(path);
		if (!there) return n;
	}
}

sx_status sx_train_adopt_sealed(sx_ctx *ctx, const char *run)
{
	sx_status st = SX_OK;
	char *sealed = sx_format("%s/run.h5", run), *first = sx_segment_path(run, 0);
	if (!sealed || !first)
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	else if (!sx_path_exists(first) && sx_path_exists(sealed) && rename(sealed, first) != 0)
		st = sx_fail(ctx, SX_EIO, "cannot rename %s to %s: %s", sealed, first,
			     strerror(errno));
	free(sealed);
	free(first);
	return st;
}

void sx_train_warn_lost(void *self, const char *segment, const char *path, const char *why)
{
	if (*path)
		sx_log(self, SX_LOG_WARN, "%s: %s %s; left out", segment, path, why);
	else
		sx_log(self, SX_LOG_WARN, "%s; left out", why);
}

static sx_status seal(sx_ctx *ctx, const char *run, bool salvage)
{
	int n = sx_segment_count(run);
	char **paths = sx_calloc((size_t)n + 1, sizeof *paths), *out = sx_format("%s/run.h5", run);
	bool ok = paths && out;
	for (int i = 0; ok && i < n; i++) ok = (paths[i] = sx_segment_path(run, i)) != NULL;
	const char *const *segments = (const char *const *)paths;
	sx_status st = SX_OK;
	if (!ok)
		st = sx_fail(ctx, SX_ENOMEM, "no memory to seal the run file");
	else if (salvage)
		st = sx_run_salvage(ctx, out, segments, n, sx_train_warn_lost, ctx);
	else
		st = sx_run_seal(ctx, out, segments, n);
	for (int i = 0; paths && i < n; i++) free(paths[i]);
	free(paths);
	free(out);
	return st;
}

sx_status sx_train_seal(sx_ctx *ctx, const char *run)
{
	return seal(ctx, run, false);
}

sx_status sx_train_salvage(sx_ctx *ctx, const char *run)
{
	return seal(ctx, run, true);
}

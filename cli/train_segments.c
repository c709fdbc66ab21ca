#include "cli/train_segments.h"

#include "probes/runfile.h"

#include <stdlib.h>

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

sx_status sx_train_seal(sx_ctx *ctx, const char *run)
{
	int n = sx_segment_count(run);
	char **paths = sx_calloc((size_t)n + 1, sizeof *paths), *out = sx_format("%s/run.h5", run);
	bool ok = paths && out;
	for (int i = 0; ok && i < n; i++) ok = (paths[i] = sx_segment_path(run, i)) != NULL;
	sx_status st = ok ? sx_run_seal(ctx, out, (const char *const *)paths, n)
			  : sx_fail(ctx, SX_ENOMEM, "no memory to seal the run file");
	for (int i = 0; paths && i < n; i++) free(paths[i]);
	free(paths);
	free(out);
	return st;
}

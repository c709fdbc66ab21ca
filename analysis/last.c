#include "analysis/last.h"

#include <stdlib.h>
#include <string.h>

sx_status sx_last_word(int64_t *at, int64_t *n, sx_ctx *ctx, sx_run_file *f, sx_run_id axis,
		       const char *word)
{
	char **name = NULL;
	sx_status st = sx_run_strings(f, axis, &name, n);
	if (st != SX_OK) return st;
	*at = 0;
	while (*at < *n && strcmp(name[*at], word) != 0) (*at)++;
	free(name);
	return *at < *n ? SX_OK
			: sx_fail(ctx, SX_EDATA, "%s: %s has no %s", sx_run_file_path(f),
				  sx_run_rows[axis].path, word);
}

sx_status sx_last_read(double **out, sx_ctx *ctx, sx_run_file *f, sx_run_id id)
{
	int64_t dims[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {0}, n = 1;
	int ndim = 0;
	sx_status st = sx_run_shape(f, id, dims, &ndim);
	if (st != SX_OK) return st;
	if (dims[0] < 1)
		return sx_fail(ctx, SX_EDATA, "%s: %s has no record", sx_run_file_path(f),
			       sx_run_rows[id].path);
	start[0] = dims[0] - 1;
	dims[0] = 1;
	for (int i = 1; i < ndim; i++) n *= dims[i];
	double *x = sx_calloc((size_t)n, sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path);
	st = sx_run_read(f, id, start, dims, x);
	if (st == SX_OK)
		*out = x;
	else
		free(x);
	return st;
}

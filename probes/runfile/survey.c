/* What of a damaged file cannot be read: the half of sx_run_salvage that looks. */
#include "probes/runfile/priv.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 8 << 20 }; /* read at a time */

/* -1 where the file cannot tell. */
static int is_there(const sx_run_file *f, sx_run_id id)
{
	char group[32];
	sx_run_group(id, group);
	htri_t there = H5Lexists(f->file, group, H5P_DEFAULT);
	if (there > 0) there = H5Lexists(f->file, sx_run_rows[id].path, H5P_DEFAULT);
	return there < 0 ? -1 : there > 0;
}

static sx_status read_numbers(sx_run_file *f, sx_run_id id)
{
	int64_t start[SX_RUN_MAX_DIMS] = {0}, count[SX_RUN_MAX_DIMS];
	sx_status st = SX_OK;
	void *block = NULL;
	sx_run_type type;
	int ndim;
	SX_TRY(sx_run_shape(f, id, count, &ndim));
	SX_TRY(sx_run_file_type(f, id, &type));
	int64_t rows = count[0];
	size_t record = sx_disk_size(type, 0);
	for (int i = 1; i < ndim; i++) record *= (size_t)count[i];
	if (rows == 0 || record == 0) goto out;
	count[0] = record < BLOCK_BYTES ? (int64_t)(BLOCK_BYTES / record) : 1;
	if (count[0] > rows) count[0] = rows;
	block = sx_calloc((size_t)count[0], record);
	if (!block) {
		st = SX_ENOMEM;
		goto out;
	}
	for (; start[0] < rows; start[0] += count[0]) {
		if (count[0] > rows - start[0]) count[0] = rows - start[0];
		SX_TRY(sx_run_read_raw(f, id, start, count, block));
	}
out:
	free(block);
	return st;
}

/* SX_EDATA where it cannot be read to its end. */
static sx_status read_whole(sx_run_file *f, sx_run_id id)
{
	char **texts = NULL;
	int64_t n;
	if (sx_run_rows[id].type != SX_DISK_STR) return read_numbers(f, id);
	sx_status st = sx_run_strings(f, id, &texts, &n);
	free(texts);
	return st;
}

sx_status sx_run_survey(sx_run_file *f, bool *bad)
{
	sx_run_file silent = *f;
	silent.ctx = NULL;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i;
		int there = is_there(f, id);
		sx_status st = there > 0 ? read_whole(&silent, id) : SX_OK;
		if (st == SX_ENOMEM)
			return sx_fail(f->ctx, st, "no memory to read %s of %s",
				       sx_run_rows[id].path, f->path);
		bad[id] = there < 0 || st != SX_OK;
	}
	return SX_OK;
}

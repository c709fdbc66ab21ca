/* Elements on their way into a run file that is being written, and what a failed write does. */
#include "probes/runfile/priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a write that failed ---- */

void sx_run_give_up(sx_run *run)
{
	int *fd = NULL, nowhere = open("/dev/null", O_RDWR);
	run->broken = true;
	if (nowhere >= 0 && H5Fget_vfd_handle(run->file, H5P_DEFAULT, (void **)&fd) >= 0 && fd)
		dup2(nowhere, *fd);
	if (nowhere >= 0) close(nowhere);
}

sx_status sx_run_broke(sx_run *run, const char *what)
{
	sx_status st = sx_h5_fail(run->ctx, SX_EIO, "writing %s to %s failed", what, run->writing);
	sx_run_give_up(run);
	return st;
}

sx_status sx_run_check(sx_run *run)
{
	if (run->broken)
		return sx_fail(run->ctx, SX_EIO, "%s is given up: an earlier write to it failed",
			       run->writing);
	return SX_OK;
}

/* ---- elements ---- */

/* Makes *data point to n elements as they are stored: itself, or the run's scratch. */
static sx_status convert(sx_run *run, sx_run_id id, const void **data, sx_run_mem mem, int64_t n)
{
	const sx_run_column *c = &run->col[id];
	if (sx_disk_is_native(c->type, mem)) return SX_OK;
	if (!sx_disk_takes(c->type, mem))
		return sx_fail(run->ctx, SX_EINTERNAL, "%s does not take data of this kind",
			       sx_run_rows[id].path);
	size_t bytes = (size_t)n * c->size;
	if (bytes > run->scratch_size) {
		void *grown = sx_grow(run->scratch, bytes, 1);
		if (!grown)
			return sx_fail(run->ctx, SX_ENOMEM, "no memory to convert %s",
				       sx_run_rows[id].path);
		run->scratch = grown;
		run->scratch_size = bytes;
	}
	if (!sx_disk_convert(run->scratch, c->type, c->size, *data, mem, n))
		return sx_fail(run->ctx, SX_EDATA, "a value does not fit into %s of %s",
			       sx_run_rows[id].path, run->writing);
	*data = run->scratch;
	return SX_OK;
}

/* Writes a selection of a dataset; fixed-length texts to where they vary by way of pointers. *sum: over
 * what a sealed file was given. */
static herr_t write_selection(const sx_run *run, const sx_run_column *c, hid_t block, hid_t disk,
			      const void *data, uint32_t *sum)
{
	herr_t e = -1;
	size_t n = (size_t)H5Sget_simple_extent_npoints(block);
	bool vary = sx_run_texts_vary(run, c);
	hid_t type = vary ? sx_h5_text_type() : sx_h5_mem_type(c->type, c->size);
	const char **texts = NULL;
	if (vary) {
		texts = sx_calloc(n, sizeof *texts);
		for (size_t i = 0; texts && i < n; i++) texts[i] = (const char *)data + i * c->size;
	}
	if (type >= 0 && (texts || !vary))
		e = H5Dwrite(c->set, type, block, disk, H5P_DEFAULT, vary ? texts : data);
	if (e >= 0 && !run->live)
		*sum = vary ? sx_h5_sum_texts(texts, n) : sx_h5_sum(data, n * c->size);
	free(texts);
	if (type >= 0) H5Tclose(type);
	return e;
}

/* Makes room for rows up to (not including) `end` of what grows. */
static sx_status reach(sx_run *run, sx_run_id id, int64_t end)
{
	sx_run_column *c = &run->col[id];
	hsize_t dims[SX_RUN_MAX_DIMS];
	if (!sx_run_grows(c) || end <= c->dims[0]) return SX_OK;
	for (int i = 0; i < c->ndim; i++) dims[i] = (hsize_t)c->dims[i];
	dims[0] = (hsize_t)end;
	if (H5Dset_extent(c->set, dims) < 0) return sx_run_broke(run, sx_run_rows[id].path);
	c->dims[0] = end;
	return SX_OK;
}

sx_status sx_run_write_set(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			   const void *data)
{
	sx_run_column *c = &run->col[id];
	sx_status st = SX_OK;
	hsize_t at[SX_RUN_MAX_DIMS], n[SX_RUN_MAX_DIMS];
	for (int i = 0; i < c->ndim; i++) {
		at[i] = (hsize_t)start[i];
		n[i] = (hsize_t)count[i];
	}
	hid_t disk = -1, block = -1;
	uint32_t sum = 0;
	bool whole = true; /* rows, of all other axes */
	SX_TRY(reach(run, id, start[0] + count[0]));
	block = H5Screate_simple(c->ndim, n, NULL);
	disk = H5Dget_space(c->set);
	if (block < 0 || disk < 0 ||
	    H5Sselect_hyperslab(disk, H5S_SELECT_SET, at, NULL, n, NULL) < 0 ||
	    write_selection(run, c, block, disk, data, &sum) < 0) {
		st = sx_run_broke(run, sx_run_rows[id].path);
		goto out;
	}
	for (int i = 1; i < c->ndim; i++) whole = whole && count[i] == c->dims[i];
	if (!whole) c->given.loose = true;
	if (!run->live && !sx_given_rows(&c->given, start[0], count[0], sum))
		st = sx_fail(run->ctx, SX_ENOMEM, "no memory to write %s", sx_run_rows[id].path);
out:
	if (disk >= 0) H5Sclose(disk);
	if (block >= 0) H5Sclose(block);
	return st;
}

sx_status sx_run_hold_rows(sx_run *run, sx_run_id id, int64_t end)
{
	sx_run_column *c = &run->col[id];
	int64_t need = end - c->dims[0];
	if (need <= c->held) return SX_OK;
	if (need > c->cap) {
		int64_t cap = need > 2 * c->cap ? need : 2 * c->cap;
		unsigned char *grown = sx_grow(c->buf, (size_t)cap, c->size);
		if (!grown)
			return sx_fail(run->ctx, SX_ENOMEM, "no memory for rows of %s",
				       sx_run_rows[id].path);
		c->buf = grown;
		c->cap = cap;
	}
	sx_disk_fill(c->buf + (size_t)c->held * c->size, c->type, c->size, need - c->held);
	c->held = need;
	return SX_OK;
}

sx_status sx_run_put_raw(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			 const void *data)
{
	sx_run_column *c = &run->col[id];
	if (!c->column) return sx_run_write_set(run, id, start, count, data);
	if (start[0] < c->dims[0])
		return sx_fail(run->ctx, SX_EINTERNAL, "row %lld of %s is written already",
			       (long long)start[0], sx_run_rows[id].path);
	sx_status st = sx_run_hold_rows(run, id, start[0] + count[0]);
	if (st != SX_OK) return st;
	memcpy(c->buf + (size_t)(start[0] - c->dims[0]) * c->size, data,
	       (size_t)count[0] * c->size);
	return SX_OK;
}

static sx_status check_takes_data(const sx_run *run, sx_run_id id)
{
	const sx_run_column *c = &run->col[id];
	if (c->set && (!sx_run_grows(c) || !run->live || run->started)) return SX_OK;
	return sx_fail(run->ctx, SX_EINTERNAL, "%s takes no data: %s", sx_run_rows[id].path,
		       c->set ? "call sx_run_start first" : "it is not defined");
}

sx_status sx_run_put_block_as(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			      const void *data, sx_run_mem mem)
{
	sx_status st = SX_OK;
	const sx_run_column *c = &run->col[id];
	int64_t n = 1;
	SX_TRY(sx_run_check(run));
	SX_TRY(check_takes_data(run, id));
	for (int i = 0; i < c->ndim; i++) {
		bool open_end = i == 0 && sx_run_grows(c);
		if (start[i] < 0 || count[i] < 1 ||
		    (!open_end && start[i] > c->dims[i] - count[i])) {
			st = sx_fail(run->ctx, SX_EINTERNAL,
				     "block %lld + %lld leaves axis %d of %s", (long long)start[i],
				     (long long)count[i], i, sx_run_rows[id].path);
			goto out;
		}
		n *= count[i];
	}
	SX_TRY(convert(run, id, &data, mem, n));
	SX_TRY(sx_run_put_raw(run, id, start, count, data));
out:
	return st;
}

sx_status sx_run_put_as(sx_run *run, sx_run_id id, int64_t record, const void *data, sx_run_mem mem)
{
	const sx_run_column *c = &run->col[id];
	int64_t start[SX_RUN_MAX_DIMS] = {record}, count[SX_RUN_MAX_DIMS];
	for (int i = 0; i < c->ndim; i++) count[i] = c->dims[i];
	if (sx_run_grows(c)) count[0] = 1;
	return sx_run_put_block_as(run, id, start, count, data, mem);
}

sx_status sx_run_put_chunk(sx_run *run, sx_run_id id, const int64_t *start, const void *packed,
			   int64_t bytes)
{
	sx_status st = SX_OK;
	const sx_run_column *c = &run->col[id];
	hsize_t at[SX_RUN_MAX_DIMS];
	SX_TRY(sx_run_check(run));
	SX_TRY(check_takes_data(run, id));
	if (!sx_run_is_map(id)) {
		st = sx_fail(run->ctx, SX_EINTERNAL, "%s is not stored in chunks made elsewhere",
			     sx_run_rows[id].path);
		goto out;
	}
	for (int i = 0; i < c->ndim; i++) {
		int64_t edge = i < c->ndim - 2 ? 1 : sx_run_map_edge(c->dims[i]);
		at[i] = (hsize_t)start[i];
		if (start[i] < 0 || start[i] % edge != 0 || (i > 0 && start[i] >= c->dims[i])) {
			st = sx_fail(run->ctx, SX_EINTERNAL,
				     "no chunk of %s begins at %lld of axis %d",
				     sx_run_rows[id].path, (long long)start[i], i);
			goto out;
		}
	}
	SX_TRY(reach(run, id, start[0] + 1));
	if (H5Dwrite_chunk(c->set, H5P_DEFAULT, 0, at, (size_t)bytes, packed) < 0)
		st = sx_run_broke(run, sx_run_rows[id].path);
	else if (!run->live)
		sx_given_chunk(&run->col[id].given, at, c->ndim, packed, (size_t)bytes);
out:
	return st;
}

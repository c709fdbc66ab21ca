/* Writing a run file: its beginning, its records, its end. */
#include "probes/runfile/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SMALL_TREE = 4, /* sealed files: half the children of a chunk tree's node */
	PAGE = 1024     /* live files; see set_pages */
};

/* ---- creation ---- */

/* A kill stops a write at a border between the system's pages, of 4096 bytes. What HDF5 writes over in
 * place and is no larger than a page of the file does not lie across one: headers and the roots of
 * indices; leaves of an index with more than some 60 entries may be larger. In pages of 4096 they
 * would be safe, too, but chunks of a few KiB would leave two fifths of the file empty. */
static herr_t set_pages(hid_t fcpl)
{
	herr_t e = H5Pset_file_space_strategy(fcpl, H5F_FSPACE_STRATEGY_PAGE, false, 1);
	return e < 0 ? e : H5Pset_file_space_page_size(fcpl, PAGE);
}

static sx_status open_file(sx_run *run)
{
	sx_status st = SX_OK;
	hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
	unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
	H5F_libver_t low = run->live ? H5F_LIBVER_V110 : H5F_LIBVER_EARLIEST;
	H5F_libver_t high = run->live ? H5F_LIBVER_V110 : H5F_LIBVER_V18;
	if (fcpl < 0 || fapl < 0 || H5Pset_link_creation_order(fcpl, order) < 0 ||
	    H5Pset_attr_creation_order(fcpl, order) < 0 ||
	    H5Pset_attr_phase_change(fcpl, 64, 32) < 0 || H5Pset_obj_track_times(fcpl, false) < 0 ||
	    (!run->live && H5Pset_istore_k(fcpl, SMALL_TREE) < 0) ||
	    (run->live && set_pages(fcpl) < 0) || H5Pset_libver_bounds(fapl, low, high) < 0 ||
	    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) < 0) {
		st = sx_h5_fail(run->ctx, SX_EINTERNAL, "cannot prepare %s", run->path);
		goto out;
	}
	run->file = H5Fcreate(run->writing, H5F_ACC_TRUNC, fcpl, fapl);
	if (run->file < 0) st = sx_h5_fail(run->ctx, SX_ECREATE, "cannot create %s", run->writing);
out:
	if (fcpl >= 0) H5Pclose(fcpl);
	if (fapl >= 0) H5Pclose(fapl);
	return st;
}

/* ---- names ---- */

/* The file under way takes its name; both it and the name are on the disk then. */
static sx_status take_name(sx_run *run)
{
	char *name = sx_strdup(run->path);
	if (!name) return sx_fail(run->ctx, SX_ENOMEM, "no memory to name %s", run->path);
	sx_status st = sx_h5_take_name(run->ctx, &run->output, &run->named);
	free(run->named ? run->writing : name);
	if (run->named) {
		run->writing = name;
		sx_output_drop(&run->output);
	}
	return st;
}

sx_status sx_run_create(sx_run **out, sx_ctx *ctx, const char *path, bool live)
{
	sx_status st = SX_OK;
	sx_h5_quiet();
	sx_run *run = sx_calloc(1, sizeof *run);
	if (!run) return sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
	run->ctx = ctx;
	run->file = -1;
	run->live = live;
	if (live && sx_path_exists(path)) {
		st = sx_fail(ctx, SX_ECREATE, "cannot create %s: it is there already", path);
		goto out;
	}
	SX_TRY(sx_output_begin(&run->output, ctx, path));
	run->path = sx_strdup(run->output.path);
	run->writing = sx_strdup(run->output.writing);
	if (!run->path || !run->writing) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
		goto out;
	}
	SX_TRY(open_file(run));
	SX_TRY(sx_run_attr_str(run, "/", "schema", SX_RUN_SCHEMA_NAME));
	SX_TRY(sx_run_attr_str(run, "/", "schema_version", SX_RUN_SCHEMA_VERSION));
	SX_TRY(sx_run_attr_str(run, "/", "creator", "sextant"));
	SX_TRY(sx_run_attr_str(run, "/", "version", SX_VERSION));
	SX_TRY(sx_run_attr_str(run, "/", "status", sx_run_status_name(SX_RUN_RUNNING)));
	*out = run;
	run = NULL;
out:
	sx_run_free(run);
	return st;
}

/* ---- records ---- */

sx_status sx_run_start(sx_run *run)
{
	sx_status st = sx_run_refuse_new(run, "a second sx_run_start");
	if (st != SX_OK || !run->live) {
		run->started = true;
		return st;
	}
	/* Datasets that are open at the start lose their cache settings (HDF5 issue 1730). */
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (run->col[i].set && H5Dclose(run->col[i].set) < 0)
			return sx_run_broke(run, sx_run_rows[i].path);
	herr_t e = H5Fstart_swmr_write(run->file);
	if (e < 0) st = sx_run_broke(run, "the start");
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		if (!run->col[i].set) continue;
		run->col[i].set = 0;
		hid_t set = e < 0 ? -1 : H5Dopen2(run->file, sx_run_rows[i].path, H5P_DEFAULT);
		if (set >= 0)
			run->col[i].set = set;
		else if (st == SX_OK)
			st = sx_run_broke(run, sx_run_rows[i].path);
	}
	run->started = true;
	/* A segment that has its name can be read, however its writer ends. */
	return st == SX_OK ? take_name(run) : st;
}

const char *sx_run_path(const sx_run *run)
{
	return run->writing;
}

int64_t sx_run_records(const sx_run *run, sx_run_id axis)
{
	return run->col[axis].dims[0] + run->col[axis].held;
}

/* ---- flushing ---- */

/* Brings what grows along an axis to exactly `end` rows. */
static sx_status settle(sx_run *run, sx_run_id id, int64_t end)
{
	sx_run_column *c = &run->col[id];
	sx_status st = SX_OK;
	if (c->column && c->dims[0] < end) {
		SX_TRY(sx_run_hold_rows(run, id, end));
		int64_t start = c->dims[0], n = end - start;
		SX_TRY(sx_run_write_set(run, id, &start, &n, c->buf));
		c->held -= n;
		memmove(c->buf, c->buf + (size_t)n * c->size, (size_t)c->held * c->size);
	}
	/* A record that was begun but never got its axis value stays invisible in a live file,
	 * which cannot shrink while it is read. */
	if (c->dims[0] < end || (c->dims[0] > end && !run->live)) {
		hsize_t dims[SX_RUN_MAX_DIMS];
		c->dims[0] = end;
		for (int i = 0; i < c->ndim; i++) dims[i] = (hsize_t)c->dims[i];
		if (H5Dset_extent(c->set, dims) < 0) {
			st = sx_run_broke(run, sx_run_rows[id].path);
			goto out;
		}
	}
	if (run->live && H5Dflush(c->set) < 0) st = sx_run_broke(run, sx_run_rows[id].path);
out:
	return st;
}

static sx_status flush_axis(sx_run *run, sx_run_id axis, bool part)
{
	sx_status st = SX_OK;
	int64_t end = sx_run_records(run, axis);
	if (!part) end -= end % run->col[axis].rows;
	if (end == run->col[axis].dims[0] && !part) return SX_OK;
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (run->col[i].set && run->col[i].axis == axis && i != (int)axis)
			SX_TRY(settle(run, (sx_run_id)i, end));
	SX_TRY(settle(run, axis, end));
out:
	return st;
}

static sx_status flush(sx_run *run, sx_run_id axis, bool part)
{
	sx_status st = sx_run_check(run);
	if (st != SX_OK) return st;
	const sx_run_column *c = &run->col[axis];
	if (!c->set || c->axis != axis)
		return sx_fail(run->ctx, SX_EINTERNAL, "%s is not a growing axis of this file",
			       sx_run_rows[axis].path);
	return run->live ? flush_axis(run, axis, part) : SX_OK;
}

sx_status sx_run_flush(sx_run *run, sx_run_id axis)
{
	return flush(run, axis, false);
}

sx_status sx_run_flush_part(sx_run *run, sx_run_id axis)
{
	return flush(run, axis, true);
}

static sx_status flush_all(sx_run *run)
{
	sx_status st = SX_OK;
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (run->col[i].set && run->col[i].axis == (sx_run_id)i)
			SX_TRY(flush_axis(run, (sx_run_id)i, true));
out:
	return st;
}

sx_status sx_run_sync(sx_run *run)
{
	sx_status st = sx_run_check(run);
	if (st == SX_OK && run->live) st = flush_all(run);
	if (st != SX_OK) return st;
	int *fd = NULL;
	if (H5Fget_vfd_handle(run->file, H5P_DEFAULT, (void **)&fd) < 0 || !fd)
		return sx_h5_fail(run->ctx, SX_EIO, "cannot reach the file behind %s",
				  run->writing);
	if (fsync(*fd) != 0) {
		st = sx_fail(run->ctx, SX_EIO, "cannot bring %s to the disk: %s", run->writing,
			     strerror(errno));
		sx_run_give_up(run);
	}
	return st;
}

/* ---- the end ---- */

static herr_t close_sets(sx_run *run)
{
	herr_t worst = 0;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		if (run->col[i].set && H5Dclose(run->col[i].set) < 0) worst = -1;
		run->col[i].set = 0;
	}
	return worst;
}

/* After a failed write HDF5 may refuse to close: its answer is returned, not acted on. */
static herr_t close_ids(sx_run *run)
{
	herr_t worst = close_sets(run);
	if (run->file >= 0 && H5Fclose(run->file) < 0) worst = -1;
	run->file = -1;
	return worst;
}

/* Written over, not replaced: nothing may be made in a file that is being read. */
static sx_status put_status(sx_run *run, sx_run_status status)
{
	const char *name = sx_run_status_name(status);
	hid_t text = sx_h5_text_type();
	hid_t attr = H5Aopen(run->file, "status", H5P_DEFAULT);
	herr_t e = text < 0 || attr < 0 ? -1 : H5Awrite(attr, text, &name);
	if (attr >= 0 && H5Aclose(attr) < 0) e = -1;
	sx_status st = e < 0 ? sx_run_broke(run, "the status") : SX_OK;
	if (text >= 0) H5Tclose(text);
	return st;
}

/* A sealed file is not called so before it was read back. */
static sx_status finish_sealed(sx_run *run)
{
	sx_h5_kept kept[SX_RUN_COUNT];
	int n = 0;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		const sx_run_column *c = &run->col[i];
		if (!c->set) continue;
		kept[n] = (sx_h5_kept){.path = sx_run_rows[i].path,
				       .type = c->type,
				       .ndim = c->ndim,
				       .given = c->given};
		memcpy(kept[n++].dims, c->dims, sizeof c->dims);
	}
	/* the flush comes first: it decides where chunks lie */
	if (H5Fflush(run->file, H5F_SCOPE_LOCAL) < 0 || close_sets(run) < 0)
		return sx_run_broke(run, "the end");
	hid_t file = run->file;
	run->file = -1;
	return sx_h5_finish(run->ctx, file, &run->output, kept, n);
}

static sx_status finish_live(sx_run *run)
{
	if (H5Fflush(run->file, H5F_SCOPE_LOCAL) < 0 || close_ids(run) < 0)
		return sx_run_broke(run, "the end");
	return run->named ? sx_sync_path(run->ctx, run->writing) : take_name(run);
}

static void release(sx_run *run)
{
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		free(run->col[i].buf);
		sx_given_free(&run->col[i].given);
	}
	free(run->scratch);
	free(run->path);
	free(run->writing);
	sx_output_drop(&run->output); /* without a name it is removed */
	free(run);
}

sx_status sx_run_close(sx_run **which, sx_run_status status)
{
	sx_run *run = *which;
	*which = NULL;
	sx_status st = SX_OK;
	SX_TRY(sx_run_check(run));
	SX_TRY(flush_all(run));
	SX_TRY(put_status(run, status));
	st = run->live ? finish_live(run) : finish_sealed(run);
out:
	if (st != SX_OK) close_ids(run);
	release(run);
	return st;
}

void sx_run_free(sx_run *run)
{
	if (!run) return;
	run->ctx = NULL; /* the first message is the one to keep */
	if (run->named && !run->broken) flush_all(run);
	close_ids(run);
	release(run);
}

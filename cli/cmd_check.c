/* sextant check: is a run file, or a whole folder of a run, a study, a report, as it was written? */
#include "analysis/report/report.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/study/study.h"
#include "probes/lab/train_log.h"
#include "probes/runfile/runfile.h"

#include <stdlib.h>
#include <string.h>

extern const sx_cmd sx_cmd_check;

static const char doc[] =
	"Reads every byte of run files: checksums, axes, lengths, units. Of a run folder also its "
	"live segments, and every checkpoint against the fingerprint recorded when it was written. "
	"Of a study's work folder all that it should hold, of a report its files against its "
	"manifest. "
	"Exits 1 if anything is wrong. A live or killed file is whole up to its last record."
	"\v"
	"Examples:\n"
	"  sextant check runs/drope\n"
	"  sextant check --json trace.h5 bounds.h5\n";

static const struct argp_option options[] = {SX_ARG_JSON, {0}};

typedef struct {
	sx_common common;
	char **path;
	int n;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	arguments *a = state->input;
	if (key == ARGP_KEY_ARG) {
		a->path[a->n++] = arg;
		return 0;
	}
	if (key == ARGP_KEY_NO_ARGS) argp_error(state, "which FILE.h5 or RUN?");
	return sx_common_parse(&a->common, key, arg, state);
}

typedef struct {
	sx_ctx *ctx;
	bool json;
	json_t *list, *faults; /* of all files; of the one at work */
	const char *path;
	int64_t wrong;
} job;

static void on_fault(void *self, const char *where, const char *what)
{
	job *j = self;
	j->wrong++;
	json_array_append_new(j->faults, json_pack("{s:s, s:s}", "where", where, "what", what));
	if (!j->json) printf("%s: %s %s\n", j->path, where, what);
}

/* Ends a file: its line, or its entry. Takes `more` over. */
static void done(job *j, const char *kind, json_t *more)
{
	bool whole = json_array_size(j->faults) == 0;
	json_t *d = json_pack("{s:s, s:s, s:b, s:o}", "path", j->path, "kind", kind, "whole", whole,
			      "faults", j->faults);
	json_object_update(d, more);
	json_array_append_new(j->list, d);
	json_decref(more);
	j->faults = NULL;
}

static const char *status_of(sx_run_file *f, char **text)
{
	if (!sx_run_has_attr(f, "/", "status") || sx_run_get_str(f, "/", "status", text) != SX_OK)
		return "status unknown";
	return *text;
}

static sx_status check_file(job *j, const char *path)
{
	sx_run_file *f = NULL;
	sx_run_whole w;
	char *status = NULL;
	j->path = path;
	j->faults = json_array();
	sx_status st = sx_run_open_any(&f, j->ctx, path);
	if (st == SX_EDATA) { /* a finding, not a failure */
		on_fault(j, "", j->ctx->message);
		done(j, "run file", NULL);
		return SX_OK;
	}
	if (st == SX_OK) st = sx_run_verify(f, &w, on_fault, j);
	if (st != SX_OK) {
		json_decref(j->faults);
		j->faults = NULL;
		sx_run_file_close(f);
		return st;
	}
	const char *word = status_of(f, &status);
	if (!j->json && !w.faults)
		printf("%s: whole%s, %s; %lld datasets (%lld with checksums), %lld MiB, %lld "
		       "missing values%s\n",
		       path, sx_run_is_live(f) ? " up to its last record (live or killed)" : "",
		       word, (long long)w.datasets, (long long)w.summed, (long long)(w.bytes >> 20),
		       (long long)w.missing,
		       w.torn ? "; records after the last whole one are passed over" : "");
	done(j, "run file",
	     json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:I}", "live", sx_run_is_live(f), "status",
		       word, "datasets", (json_int_t)w.datasets, "with_checksums",
		       (json_int_t)w.summed, "bytes", (json_int_t)w.bytes, "missing_values",
		       (json_int_t)w.missing, "torn", (json_int_t)w.torn));
	free(status);
	sx_run_file_close(f);
	return SX_OK;
}

/* Those that are listed and still there. */
static sx_status check_checkpoints(job *j, const char *run)
{
	sx_status st = SX_OK;
	sx_run_file *f = NULL;
	char **path = NULL, **sum = NULL, hash[33];
	int64_t n = 0, n_sum = 0, checked = 0;
	j->path = run;
	j->faults = json_array();
	SX_TRY(sx_run_open(&f, j->ctx, run));
	if (!sx_run_has(f, SX_RUN_CHECKPOINTS_PATH) || !sx_run_has(f, SX_RUN_CHECKPOINTS_XXH128))
		goto out;
	SX_TRY(sx_run_strings(f, SX_RUN_CHECKPOINTS_PATH, &path, &n));
	SX_TRY(sx_run_strings(f, SX_RUN_CHECKPOINTS_XXH128, &sum, &n_sum));
	for (int64_t i = 0; i < n && i < n_sum; i++) {
		char *dir = sx_format("%s/%s", run, path[i]);
		bool there = dir && sx_path_is_dir(dir);
		st = !dir    ? sx_fail(j->ctx, SX_ENOMEM, "no memory for a path")
		     : there ? sx_train_hash(hash, j->ctx, dir)
			     : SX_OK;
		free(dir);
		if (st == SX_ENOINPUT) {
			on_fault(j, path[i], "has no model.safetensors");
			st = SX_OK;
		} else if (st == SX_OK && there) {
			checked++;
			if (strcmp(hash, sum[i]) != 0)
				on_fault(j, path[i],
					 "is not what was written: its fingerprint "
					 "differs");
		}
		if (st != SX_OK) goto out;
	}
	if (!j->json && json_array_size(j->faults) == 0)
		printf("%s: %lld of %lld checkpoints are there, with the fingerprints they were "
		       "written with\n",
		       run, (long long)checked, (long long)n);
	done(j, "checkpoints",
	     json_pack("{s:I, s:I}", "listed", (json_int_t)n, "checked", (json_int_t)checked));
out:
	json_decref(j->faults);
	j->faults = NULL;
	free(path);
	free(sum);
	sx_run_file_close(f);
	return st;
}

static sx_status check_run(job *j, const char *run)
{
	sx_status st = SX_OK;
	int found = 0;
	for (int k = -1; st == SX_OK; k++) {
		char *path = k < 0 ? sx_format("%s/run.h5", run)
				   : sx_format("%s/live/seg-%04d.h5", run, k);
		if (!path) return sx_fail(j->ctx, SX_ENOMEM, "no memory for a path");
		bool there = sx_path_exists(path);
		if (there) {
			found++;
			st = check_file(j, path);
		}
		free(path);
		if (!there && k >= 0) break;
	}
	if (st == SX_OK && !found)
		return sx_fail(j->ctx, SX_ENOINPUT,
			       "%s is a folder without run.h5 or live/seg-0000.h5", run);
	return st == SX_OK ? check_checkpoints(j, run) : st;
}

static sx_status check_study(job *j, const char *work)
{
	sx_study s = {0};
	sx_status st = SX_OK;
	SX_TRY(sx_study_read(&s, j->ctx, work));
	for (int64_t i = 0; i < s.n_item; i++) {
		const sx_study_item *x = &s.item[i];
		if (!sx_study_item_made(x)) {
			j->path = x->path;
			j->faults = json_array();
			on_fault(j, "", "is not there: the study is unfinished");
			done(j, sx_item_kind_name(x->kind), NULL);
		} else if (x->kind != SX_ITEM_RUN) {
			SX_TRY(check_file(j, x->path));
		} else if (!x->untrained) {
			SX_TRY(check_run(j, x->path));
		}
	}
out:
	sx_study_free(&s);
	return st;
}

static sx_status check_report(job *j, const char *folder)
{
	int64_t files = 0;
	j->path = folder;
	j->faults = json_array();
	sx_status st = sx_report_verify(j->ctx, folder, &files, on_fault, j);
	if (st != SX_OK) {
		json_decref(j->faults);
		j->faults = NULL;
		return st;
	}
	if (!j->json && json_array_size(j->faults) == 0)
		printf("%s: a report, its %lld files as they were written\n", folder,
		       (long long)files);
	done(j, "report", json_pack("{s:I}", "files", (json_int_t)files));
	return SX_OK;
}

static sx_status check_path(job *j, const char *path)
{
	if (!sx_path_is_dir(path)) return check_file(j, path);
	if (sx_study_is_in(path)) return check_study(j, path);
	return sx_report_is_in(path) ? check_report(j, path) : check_run(j, path);
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "FILE.h5|FOLDER..", doc, NULL, NULL, NULL};
	sx_status st = SX_OK;
	arguments a = {.common = {.ctx = ctx}};
	job j = {.ctx = ctx, .list = json_array()};
	a.path = sx_calloc((size_t)argc, sizeof *a.path);
	if (!a.path || !j.list) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
		goto out;
	}
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	j.json = a.common.json;
	for (int i = 0; i < a.n; i++) SX_TRY(check_path(&j, a.path[i]));
	if (j.json) {
		json_t *d = json_pack("{s:b, s:O}", "whole", j.wrong == 0, "files", j.list);
		SX_TRY(sx_print_json(ctx, d));
	}
	if (j.wrong) st = SX_NO;
out:
	json_decref(j.list);
	free(a.path);
	return st;
}

const sx_cmd sx_cmd_check = {"check", "files", "is a run file or folder whole", run};

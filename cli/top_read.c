#include "cli/top.h"

#include "probes/lab/schedule.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

sx_status sx_top_open(sx_top *out, sx_ctx *ctx, const char *run)
{
	sx_top t = {.run = run, .lr = (double)NAN, .grad_norm = (double)NAN};
	t.tokens_per_s = t.seconds_per_step = t.age = (double)NAN;
	t.last_checkpoint = -1;
	char *path = sx_format("%s/config.yaml", run);
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	sx_status st = sx_path_exists(path)
			       ? sx_config_load(&t.cfg, ctx, path, 0, NULL)
			       : sx_fail(ctx, SX_ENOINPUT,
					 "%s is no run folder: it has no config.yaml", run);
	free(path);
	if (st != SX_OK) return st;
	t.updates = sx_schedule_updates(&t.cfg);
	*out = t;
	return SX_OK;
}

void sx_top_free(sx_top *t)
{
	sx_config_free(&t->cfg);
	sx_ac_last_free(&t->ac);
	free(t->step);
	free(t->loss);
	free(t->file);
}

int64_t sx_top_step(const sx_top *t)
{
	return t->n ? t->step[t->n - 1] : 0;
}

double sx_top_left(const sx_top *t)
{
	return t->seconds_per_step * (double)(t->updates - sx_top_step(t));
}

/* ---- the log ---- */

static double number(const json_t *line, const char *key)
{
	const json_t *v = json_object_get(line, key);
	return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static sx_status take_step(sx_top *t, sx_ctx *ctx, const json_t *line)
{
	int64_t step = json_integer_value(json_object_get(line, "step"));
	const char *phase = json_string_value(json_object_get(line, "phase"));
	if (step < 0 || step > (json_int_t)1 << 48) return SX_OK; /* no record of ours */
	if (t->n == t->cap) {
		int64_t cap = t->cap ? 2 * t->cap : 1024;
		int64_t *steps = sx_grow(t->step, (size_t)cap, sizeof *steps);
		if (steps) t->step = steps;
		double *loss = sx_grow(t->loss, (size_t)cap, sizeof *loss);
		if (loss) t->loss = loss;
		if (!steps || !loss) return sx_fail(ctx, SX_ENOMEM, "no memory for the losses");
		t->cap = cap;
	}
	while (t->n > 0 && t->step[t->n - 1] >= step) t->n--;
	t->step[t->n] = step;
	t->loss[t->n++] = number(line, "loss");
	t->recalibrates = phase && strcmp(phase, "recalibration") == 0;
	t->lr = number(line, "lr");
	t->grad_norm = number(line, "grad_norm");
	t->tokens_per_s = number(line, "tokens_per_s");
	return SX_OK;
}

/* Lines that are no JSON, such as half a line that a kill left, are passed over. */
static sx_status take_line(sx_top *t, sx_ctx *ctx, const char *text, size_t size)
{
	sx_status st = SX_OK;
	json_t *line = json_loadb(text, size, 0, NULL);
	const char *event = json_string_value(json_object_get(line, "event"));
	if (!event) event = "";
	if (strcmp(event, "start") == 0) {
		t->state = SX_TOP_GOES_ON;
		t->parameters = json_integer_value(json_object_get(line, "parameters"));
	}
	if (strcmp(event, "stopped") == 0) t->state = SX_TOP_STOPPED;
	if (strcmp(event, "end") == 0) t->state = SX_TOP_ENDED;
	if (strcmp(event, "step") == 0) st = take_step(t, ctx, line);
	json_decref(line);
	return st;
}

/* Whole lines from where the last look ended. */
static sx_status read_log(sx_top *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *path = sx_format("%s/log.jsonl", t->run), *line = NULL;
	size_t cap = 0;
	struct stat sb;
	FILE *f = path ? fopen(path, "r") : NULL;
	if (!path) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	if (!f) goto out; /* not yet */
	if (fstat(fileno(f), &sb) == 0) {
		t->log_bytes = (int64_t)sb.st_size;
		t->age = difftime(time(NULL), sb.st_mtime);
	}
	if (fseeko(f, (off_t)t->read_to, SEEK_SET) != 0) {
		st = sx_fail(ctx, SX_EIO, "reading %s failed: %s", path, strerror(errno));
		goto out;
	}
	for (ssize_t n; (n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n';) {
		SX_TRY(take_line(t, ctx, line, (size_t)n));
		t->read_to += n;
	}
out:
	if (f) fclose(f);
	free(path);
	free(line);
	return st;
}

/* ---- the run file ---- */

/* Seconds per update over the last ones of the file. */
static sx_status read_speed(sx_top *t, sx_run_file *f)
{
	enum { UPDATES = 64 };
	int64_t dims[SX_RUN_MAX_DIMS], start, count = UPDATES;
	double wall[UPDATES];
	int ndim;
	sx_status st = SX_OK;
	if (!sx_run_has(f, SX_RUN_TRAIN_WALL_TIME)) return SX_OK;
	SX_TRY(sx_run_shape(f, SX_RUN_TRAIN_WALL_TIME, dims, &ndim));
	if (dims[0] < count) count = dims[0];
	start = dims[0] - count;
	if (count < 2) return SX_OK;
	SX_TRY(sx_run_read(f, SX_RUN_TRAIN_WALL_TIME, &start, &count, wall));
	t->seconds_per_step = (wall[count - 1] - wall[0]) / (double)(count - 1);
out:
	return st;
}

/* Of a run that has only just begun, or while a segment is closed and the next one opened, there may
 * be nothing to read: what was known stays. */
static void read_file(sx_top *t)
{
	sx_ctx quiet;
	sx_run_file *f = NULL;
	sx_ac_last ac;
	sx_ctx_init(&quiet);
	double tokens = (double)t->cfg.train.batch * (double)t->cfg.model.context;
	t->seconds_per_step = tokens / t->tokens_per_s;
	if (sx_run_open(&f, &quiet, t->run) != SX_OK) return;
	char *file = sx_strdup(sx_run_file_path(f));
	if (file) {
		free(t->file);
		t->file = file;
	}
	if (read_speed(t, f) != SX_OK) t->seconds_per_step = tokens / t->tokens_per_s;
	if (sx_ac_last_read(&ac, &quiet, f) == SX_OK) {
		sx_ac_last_free(&t->ac);
		t->ac = ac;
	}
	sx_run_file_close(f);
}

/* ---- the folder ---- */

/* Bytes of a file, or of all files in a folder and below. */
static int64_t tree_bytes(const char *path)
{
	struct stat sb;
	int64_t sum = 0;
	if (lstat(path, &sb) != 0) return 0;
	if (!S_ISDIR(sb.st_mode)) return (int64_t)sb.st_size;
	DIR *d = opendir(path);
	for (const struct dirent *e; d && (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
		char *inner = sx_format("%s/%s", path, e->d_name);
		if (inner) sum += tree_bytes(inner);
		free(inner);
	}
	if (d) closedir(d);
	return sum;
}

static sx_status read_folder(sx_top *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	char *live = sx_format("%s/live", t->run), *sealed = sx_format("%s/run.h5", t->run);
	char *checkpoints = sx_format("%s/checkpoints", t->run);
	if (!live || !sealed || !checkpoints) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	t->live_bytes = tree_bytes(live);
	t->sealed_bytes = tree_bytes(sealed);
	t->checkpoint_bytes = tree_bytes(checkpoints);
	t->checkpoints = 0;
	DIR *d = opendir(checkpoints);
	for (const struct dirent *e; d && (e = readdir(d));) {
		char *end = NULL;
		long long step =
			strncmp(e->d_name, "step-", 5) == 0 ? strtoll(e->d_name + 5, &end, 10) : -1;
		if (step < 0 || *end) continue;
		t->checkpoints++;
		if (step > t->last_checkpoint) t->last_checkpoint = step;
	}
	if (d) closedir(d);
out:
	free(live);
	free(sealed);
	free(checkpoints);
	return st;
}

sx_status sx_top_look(sx_top *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	SX_TRY(read_log(t, ctx));
	read_file(t);
	SX_TRY(read_folder(t, ctx));
out:
	return st;
}

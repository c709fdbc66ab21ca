#include "probes/lab/train_log.h"

#include "engine/op/blas.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

struct sx_train_log {
	FILE *file;
	char *path;
};

/* A kill may have left half a line: what is appended starts a line of its own. */
static bool end_line(FILE *f)
{
	int last = '\n';
	if (fseek(f, -1, SEEK_END) == 0) last = fgetc(f);
	return fseek(f, 0, SEEK_END) == 0 && (last == '\n' || fputc('\n', f) != EOF);
}

sx_status sx_train_log_open(sx_train_log **out, sx_ctx *ctx, const char *dir)
{
	sx_train_log *l = sx_calloc(1, sizeof *l);
	if (l) l->path = sx_format("%s/log.jsonl", dir);
	if (!l || !l->path) {
		free(l);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the log");
	}
	l->file = fopen(l->path, "a+");
	if (!l->file || !end_line(l->file)) {
		sx_status st =
			sx_fail(ctx, SX_ECREATE, "cannot write %s: %s", l->path, strerror(errno));
		sx_train_log_close(l);
		return st;
	}
	*out = l;
	return SX_OK;
}

/* Writes one line and takes the reference. */
static sx_status write_line(sx_train_log *l, sx_ctx *ctx, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	sx_status st = SX_OK;
	if (!text)
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a line of %s", l->path);
	else if (fprintf(l->file, "%s\n", text) < 0 || fflush(l->file) != 0)
		st = sx_fail(ctx, SX_EIO, "writing %s failed: %s", l->path, strerror(errno));
	free(text);
	json_decref(j);
	return st;
}

sx_status sx_train_log_start(sx_train_log *l, sx_ctx *ctx, const sx_config *cfg, int64_t step,
			     int64_t parameters, const char *branch)
{
	bool drops = cfg->train.drop_at >= 0;
	return write_line(l, ctx,
			  json_pack("{s:s, s:I, s:s, s:s?, s:I, s:I, s:i, s:I, s:s?, s:s}", "event",
				    "start", "step", (json_int_t)step, "method", cfg->pos.method,
				    "drop_to", drops ? cfg->train.drop.to : NULL, "seed",
				    (json_int_t)cfg->seed, "parameters", (json_int_t)parameters,
				    "batch", cfg->train.batch, "context",
				    (json_int_t)cfg->model.context, "branch", branch,
				    "openblas_core", sx_blas_core()));
}

sx_status sx_train_log_step(sx_train_log *l, sx_ctx *ctx, int64_t step, const char *phase,
			    double loss, double lr, double grad_norm, int64_t tokens_seen,
			    double tokens_per_s)
{
	return write_line(l, ctx,
			  json_pack("{s:s, s:I, s:s, s:f, s:f, s:f, s:I, s:f}", "event", "step",
				    "step", (json_int_t)step, "phase", phase, "loss", loss, "lr",
				    lr, "grad_norm", grad_norm, "tokens_seen",
				    (json_int_t)tokens_seen, "tokens_per_s", tokens_per_s));
}

sx_status sx_train_log_event(sx_train_log *l, sx_ctx *ctx, const char *event, int64_t step)
{
	return write_line(l, ctx,
			  json_pack("{s:s, s:I}", "event", event, "step", (json_int_t)step));
}

sx_status sx_train_log_sync(sx_train_log *l, sx_ctx *ctx)
{
	if (fflush(l->file) != 0 || fsync(fileno(l->file)) != 0)
		return sx_fail(ctx, SX_EIO, "cannot bring %s to the disk: %s", l->path,
			       strerror(errno));
	return SX_OK;
}

void sx_train_log_close(sx_train_log *l)
{
	if (!l) return;
	if (l->file) fclose(l->file);
	free(l->path);
	free(l);
}

sx_status sx_train_hash(char out[33], sx_ctx *ctx, const char *dir)
{
	char *path = sx_format("%s/model.safetensors", dir), *data = NULL;
	size_t size = 0;
	sx_status st = path ? sx_read_file(ctx, path, &data, &size)
			    : sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	if (st == SX_OK) {
		XXH128_hash_t h = XXH3_128bits(data, size);
		snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64,
			 (unsigned long long)h.low64);
	}
	free(data);
	free(path);
	return st;
}

#include "analysis/runlog.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	sx_runlog log;
	size_t cap;
} reader;

void sx_runlog_free(sx_runlog *log)
{
	if (!log) return;
	free(log->method);
	free(log->drop_to);
	free(log->step);
	free(log->tokens_seen);
	free(log->loss);
	free(log->lr);
	free(log->phase);
	*log = (sx_runlog){0};
}

int64_t sx_runlog_drop(const sx_runlog *log)
{
	for (int64_t i = 0; i < log->n; i++)
		if (log->phase[i] == SX_RUNLOG_RECALIBRATION) return i;
	return -1;
}

static bool grow(void *column, size_t cap, size_t size)
{
	void *old, *larger;
	memcpy(&old, column, sizeof old);
	larger = sx_grow(old, cap, size);
	if (larger) memcpy(column, &larger, sizeof larger);
	return larger != NULL;
}

static sx_status make_room(reader *r, sx_ctx *ctx)
{
	if ((size_t)r->log.n < r->cap) return SX_OK;
	size_t cap = r->cap ? 2 * r->cap : 1024;
	if (!grow(&r->log.step, cap, sizeof *r->log.step) ||
	    !grow(&r->log.tokens_seen, cap, sizeof *r->log.tokens_seen) ||
	    !grow(&r->log.loss, cap, sizeof *r->log.loss) ||
	    !grow(&r->log.lr, cap, sizeof *r->log.lr) ||
	    !grow(&r->log.phase, cap, sizeof *r->log.phase))
		return sx_fail(ctx, SX_ENOMEM, "out of memory for a training log of %lld records",
			       (long long)r->log.n);
	r->cap = cap;
	return SX_OK;
}

static double number(const json_t *line, const char *key)
{
	const json_t *v = json_object_get(line, key);
	return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static const char *string(const json_t *line, const char *key)
{
	const char *s = json_string_value(json_object_get(line, key));
	return s ? s : "";
}

/* A number of updates or tokens, as far from the ends of 64 bits as in a run file. */
static bool is_count(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 &&
	       json_integer_value(v) <= (json_int_t)1 << 48;
}

/* false: not a record of a step. */
static bool take_step(sx_runlog *log, const json_t *line)
{
	const json_t *step = json_object_get(line, "step");
	const json_t *tokens = json_object_get(line, "tokens_seen");
	const char *phase = string(line, "phase");
	bool recalibration = strcmp(phase, "recalibration") == 0;
	if (!is_count(step) || !is_count(tokens)) return false;
	if (!recalibration && strcmp(phase, "pretrain") != 0) return false;

	int64_t at = json_integer_value(step);
	unsigned char p = recalibration ? SX_RUNLOG_RECALIBRATION : SX_RUNLOG_PRETRAIN;
	/* A resumed run goes back to its checkpoint: what it repeats replaces what was there. At
	 * the drop one step may have a record in either phase. */
	while (log->n > 0 && (log->step[log->n - 1] > at ||
			      (log->step[log->n - 1] == at && log->phase[log->n - 1] >= p)))
		log->n--;
	int64_t i = log->n++;
	log->step[i] = at;
	log->tokens_seen[i] = json_integer_value(tokens);
	log->loss[i] = number(line, "loss");
	log->lr[i] = number(line, "lr");
	log->phase[i] = p;
	return true;
}

static sx_status take_start(sx_runlog *log, sx_ctx *ctx, const json_t *line)
{
	if (log->method) return SX_OK; /* resumed: the first start tells what the run is */
	log->method = sx_strdup(string(line, "method"));
	log->drop_to = sx_strdup(string(line, "drop_to"));
	if (log->method && log->drop_to) return SX_OK;
	return sx_fail(ctx, SX_ENOMEM, "out of memory for a training log");
}

static sx_status take_line(reader *r, sx_ctx *ctx, const char *path, int64_t at, const char *text,
			   size_t size)
{
	json_error_t error;
	json_t *line = json_loadb(text, size, 0, &error);
	sx_status st = SX_OK;
	const char *event = line ? string(line, "event") : "";
	bool whole = line != NULL;

	SX_TRY(make_room(r, ctx));
	if (strcmp(event, "start") == 0) SX_TRY(take_start(&r->log, ctx, line));
	if (strcmp(event, "step") == 0) whole = take_step(&r->log, line);
	if (!whole)
		sx_log(ctx, SX_LOG_WARN, "%s, line %lld: %s; left out", path, (long long)at,
		       line ? "a step without step, phase or tokens_seen" : error.text);
out:
	json_decref(line);
	return st;
}

sx_status sx_runlog_read(sx_runlog *out, sx_ctx *ctx, const char *run)
{
	sx_status st = SX_OK;
	reader r = {0};
	char *text = NULL;
	size_t size = 0;
	char *path = sx_format("%s/log.jsonl", run);

	if (!path) return sx_fail(ctx, SX_ENOMEM, "out of memory for a training log");
	if (!sx_path_exists(path)) {
		st = sx_fail(ctx, SX_ENOINPUT, "%s is not a run folder: it has no log.jsonl", run);
		goto out;
	}
	SX_TRY(sx_read_file(ctx, path, &text, &size));
	int64_t number_of_line = 1;
	const char *end;
	for (const char *p = text; (end = memchr(p, '\n', size - (size_t)(p - text))); p = end + 1)
		SX_TRY(take_line(&r, ctx, path, number_of_line++, p, (size_t)(end - p)));
	if (r.log.n == 0) {
		st = sx_fail(ctx, SX_EDATA, "%s has no record of a training step yet", path);
		goto out;
	}
	if (!r.log.method) SX_TRY(take_start(&r.log, ctx, NULL));
	*out = r.log;
	r.log = (sx_runlog){0};
out:
	sx_runlog_free(&r.log);
	free(text);
	free(path);
	return st;
}

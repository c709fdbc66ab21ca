/* What a training run writes into its run file, and the segments it comes in. */
#include "engine/op/blas.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/provenance.h"
#include "probes/lab/train_priv.h"
#include "probes/lab/train_segments.h"

#include <jansson.h>
#include <stdlib.h>

enum {
	TRAIN_ROWS = 64,   /* updates between two flushes of /train                   */
	FLUSH_SECONDS = 30 /* longest that a slow update's record waits for its flush */
};

static sx_status define_train(sx_train_session *s)
{
	const sx_run_id train[] = {SX_RUN_TRAIN_PHASE,        SX_RUN_TRAIN_LOSS,
				   SX_RUN_TRAIN_LR,           SX_RUN_TRAIN_GRAD_NORM,
				   SX_RUN_TRAIN_TOKENS_PER_S, SX_RUN_TRAIN_TOKENS_SEEN,
				   SX_RUN_TRAIN_WALL_TIME};
	sx_status st = SX_OK;
	SX_TRY(sx_run_grow(s->run, SX_RUN_TRAIN_STEP, TRAIN_ROWS));
	for (size_t i = 0; i < sizeof train / sizeof train[0]; i++)
		SX_TRY(sx_run_define(s->run, train[i]));
	SX_TRY(sx_run_grow(s->run, SX_RUN_CHECKPOINTS_CKPT, 1));
	SX_TRY(sx_run_define(s->run, SX_RUN_CHECKPOINTS_STEP));
	SX_TRY(sx_run_define(s->run, SX_RUN_CHECKPOINTS_PATH));
	SX_TRY(sx_run_define(s->run, SX_RUN_CHECKPOINTS_XXH128));
out:
	return st;
}

static sx_status name_branch(sx_train_session *s)
{
	const char *branch = s->branched;
	return branch ? sx_run_attr_str(s->run, "/", "branch", branch) : SX_OK;
}

/* A resumed run is the run it was: its id and its branch come from its first segment. */
static sx_status keep_identity(sx_train_session *s)
{
	static const char *const names[] = {"run_id", "branch"};
	sx_status st = SX_OK;
	sx_run_file *first = NULL;
	char *path = sx_segment_path(s->request->dir, 0), *value = NULL;
	if (!path) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	if (!sx_path_exists(path)) { /* killed before it had one */
		st = name_branch(s);
		goto out;
	}
	SX_TRY(sx_run_open(&first, s->ctx, path));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (!sx_run_has_attr(first, "/", names[i])) continue;
		SX_TRY(sx_run_get_str(first, "/", names[i], &value));
		SX_TRY(sx_run_attr_str(s->run, "/", names[i], value));
		free(value);
		value = NULL;
	}
out:
	free(value);
	free(path);
	sx_run_file_close(first);
	return st;
}

sx_status sx_train_segment_open(sx_train_session *s)
{
	sx_status st = SX_OK;
	const sx_train_request *r = s->request;
	int number = sx_segment_count(r->dir);
	char *path = sx_segment_path(r->dir, number);
	json_t *data = sx_language_json(&s->data.lang);
	char *data_json = data ? json_dumps(data, JSON_INDENT(1)) : NULL;
	char *identity = sx_format("%s\n%s", s->yaml, s->branched ? s->branched : "");
	if (!path || !data_json || !identity) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for the run file");
		goto out;
	}
	SX_TRY(sx_run_create(&s->run, s->ctx, path, !s->networked));
	SX_TRY(sx_provenance(s->run, s->ctx, r->command, (uint64_t)s->cfg->seed, "f32", identity,
			     &s->spec));
	SX_TRY(sx_run_attr_int(s->run, "/", "start_step", s->trainer->step));
	SX_TRY(s->resumed || number > 0 ? keep_identity(s) : name_branch(s));
	SX_TRY(sx_run_meta(s->run, SX_RUN_META_CONFIG_YAML, s->yaml));
	SX_TRY(sx_run_meta(s->run, SX_RUN_META_DATA_JSON, data_json));
	SX_TRY(define_train(s));
	if (s->probe.observers) SX_TRY(sx_record_define(s->run, &s->probe.axes));
	if (s->probe.observers_train)
		SX_TRY(sx_record_define_ac_train(s->run, &s->spec, s->probe.family, s->probe.n_c,
						 TRAIN_ROWS));
	SX_TRY(sx_eval_define(s->run, s->cfg, &s->data.lang));
	SX_TRY(sx_run_start(s->run));
	if (s->probe.observers)
		SX_TRY(sx_record_sink(&s->probe.sink, s->ctx, s->run, &s->probe.axes, s->probe.S,
				      sx_blas_threads()));
	s->opened = s->flushed = sx_train_now(CLOCK_MONOTONIC);
out:
	if (st != SX_OK) { /* one that was not begun properly gets no name */
		sx_run_free(s->run);
		s->run = NULL;
	}
	free(path);
	free(data_json);
	free(identity);
	json_decref(data);
	return st;
}

/* Where a segment cannot be read before it is closed: closes it and goes on with the next. */
sx_status sx_train_segment_next(sx_train_session *s)
{
	sx_map_sink_free(s->probe.sink);
	s->probe.sink = NULL;
	sx_status st = sx_run_close(&s->run, SX_RUN_RUNNING);
	return st == SX_OK ? sx_train_segment_open(s) : st;
}

/* Whole blocks of /train and /ac_train; part of one where another update like this one, which took so
 * many seconds, would make it wait too long. */
static sx_status flush_updates(sx_train_session *s, double seconds)
{
	sx_status st = SX_OK;
	double t = sx_train_now(CLOCK_MONOTONIC);
	bool full = sx_run_records(s->run, SX_RUN_TRAIN_STEP) % TRAIN_ROWS == 0;
	if (!full && t + seconds - s->flushed < FLUSH_SECONDS) return SX_OK;
	SX_TRY(sx_run_flush_part(s->run, SX_RUN_TRAIN_STEP));
	if (s->probe.observers_train) SX_TRY(sx_run_flush_part(s->run, SX_RUN_AC_TRAIN_STEP));
	s->flushed = t;
out:
	return st;
}

sx_status sx_train_record_step(sx_train_session *s, const sx_step_result *r, double seconds)
{
	sx_status st = SX_OK;
	const sx_trainer *t = s->trainer;
	int64_t rec = sx_run_records(s->run, SX_RUN_TRAIN_STEP);
	int64_t step = t->step, batch = s->cfg->train.batch * s->spec.T, seen = step * batch;
	uint8_t phase = (uint8_t)t->phase;
	double wall = sx_train_now(CLOCK_REALTIME);
	s->tokens_per_s = (double)batch / seconds;
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_PHASE, rec, (const uint8_t *)&phase));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_LOSS, rec, &r->loss));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_LR, rec, &r->lr));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_GRAD_NORM, rec, &r->grad_norm));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_TOKENS_PER_S, rec,
			  (const double *)&s->tokens_per_s));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_TOKENS_SEEN, rec, (const int64_t *)&seen));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_WALL_TIME, rec, (const double *)&wall));
	SX_TRY(sx_run_put(s->run, SX_RUN_TRAIN_STEP, rec, (const int64_t *)&step));
	if (s->probe.observers_train)
		SX_TRY(sx_record_put_ac_train(s->run, s->ctx, s->probe.found_train, step, phase));
	SX_TRY(flush_updates(s, seconds));
	SX_TRY(sx_train_log_step(s->log, s->ctx, step, sx_phase_name(t->phase), r->loss, r->lr,
				 r->grad_norm, seen, s->tokens_per_s));
out:
	return st;
}

/* The checkpoint of this step, which is on the disk, into /checkpoints. */
sx_status sx_train_record_checkpoint(sx_train_session *s, int64_t step)
{
	sx_status st = SX_OK;
	char hash[33];
	char *rel = sx_format("checkpoints/step-%08lld", (long long)step), *dir = NULL;
	if (rel) dir = sx_format("%s/%s", s->request->dir, rel);
	if (!dir) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	SX_TRY(sx_train_hash(hash, s->ctx, dir));
	int64_t rec = sx_run_records(s->run, SX_RUN_CHECKPOINTS_CKPT);
	int32_t number = (int32_t)rec;
	const char *path[] = {rel}, *sum[] = {hash};
	SX_TRY(sx_run_put(s->run, SX_RUN_CHECKPOINTS_STEP, rec, (const int64_t *)&step));
	SX_TRY(sx_run_put(s->run, SX_RUN_CHECKPOINTS_PATH, rec, (const char *const *)path));
	SX_TRY(sx_run_put(s->run, SX_RUN_CHECKPOINTS_XXH128, rec, (const char *const *)sum));
	SX_TRY(sx_run_put(s->run, SX_RUN_CHECKPOINTS_CKPT, rec, (const int32_t *)&number));
	SX_TRY(sx_run_flush(s->run, SX_RUN_CHECKPOINTS_CKPT));
out:
	free(rel);
	free(dir);
	return st;
}

#include "probes/lab/train_run.h"

#include "engine/model/train.h"
#include "engine/model/weights.h"
#include "engine/op/blas.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/provenance.h"
#include "probes/lab/schedule.h"
#include "probes/lab/source.h"
#include "probes/lab/train_log.h"
#include "probes/lab/train_segments.h"
#include "probes/observe/observe.h"
#include "probes/record/record.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	TRAIN_ROWS = 64,      /* updates between two flushes of /train                        */
	FLUSH_SECONDS = 30,   /* longest that a slow update's record waits for its flush      */
	SEGMENT_SECONDS = 300 /* on a networked file system: between two closed segments      */
};

/* The probe batch and what looks at it; made anew when the model changes. */
typedef struct {
	int64_t S, T;
	uint8_t *kind;            /* (S)   */
	int32_t *tokens, *target; /* (S,T) */
	uint8_t *query_row;       /* (S,T) */
	sx_measure_opts opts;
	sx_map_choice *map;
	sx_reduce *reduce;
	sx_family family[SX_FAMILY_MOST];
	int64_t n_c;
	sx_record_axes axes;
	sx_measures *found, *found_train;
	sx_map_sink *sink;
	sx_observers *observers, *observers_train;
	sx_work *work;
} probing;

typedef struct {
	sx_ctx *ctx;
	const sx_train_request *request;
	const sx_config *cfg;
	sx_data data;
	sx_spec spec; /* as configured */
	sx_trainer *trainer;
	probing probe;
	sx_run *run;
	sx_train_log *log;
	int32_t *tokens, *target; /* (batch, T) */
	int64_t saved;            /* step of the last checkpoint */
	int64_t first;            /* step this attempt starts from */
	double tokens_per_s;
	char *yaml;             /* the resolved configuration */
	bool networked;         /* no SWMR in this folder: closed segments instead */
	double opened, flushed; /* seconds: the segment; the last update's record */
} session;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
	(void)number;
	stop_asked = 1;
}

/* The first one ends the run after its update, a second one of the kind stops it at once. One that
 * the caller ignores (nohup) stays ignored. */
static void catch_signals(void)
{
	const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction old, act = {.sa_handler = on_signal};
		act.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
		sigemptyset(&act.sa_mask);
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
}

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the configuration says ---- */

static sx_train_opts train_opts(const sx_config *c)
{
	sx_train_opts o = {.steps = c->train.steps,
			   .batch = c->train.batch,
			   .accumulate = c->train.accumulate,
			   .lr = c->train.lr,
			   .min_lr = c->train.min_lr,
			   .warmup = c->train.warmup,
			   .adamw = {.beta1 = c->train.betas.a,
				     .beta2 = c->train.betas.b,
				     .eps = c->train.eps,
				     .weight_decay = c->train.weight_decay},
			   .clip = c->train.clip,
			   .drop_at = c->train.drop_at,
			   .drop_keeps = strcmp(c->train.drop.to, "keep") == 0,
			   .drop_steps = c->train.drop.steps,
			   .drop_lr = c->train.drop.lr,
			   .drop_min_lr = c->train.drop.min_lr,
			   .drop_warmup = c->train.drop.warmup,
			   .drop_fresh = strcmp(c->train.drop.optimizer, "fresh") == 0};
	o.schedule = strcmp(c->train.schedule, "cosine") == 0   ? SX_LR_COSINE
		     : strcmp(c->train.schedule, "linear") == 0 ? SX_LR_LINEAR
								: SX_LR_CONSTANT;
	sx_qk_norm_parse(c->train.drop.qk_norm, &o.drop_qk_norm);
	return o;
}

/* ---- the probe batch ---- */

static sx_status make_probe_batch(session *s)
{
	sx_status st = SX_OK;
	probing *p = &s->probe;
	const sx_config *c = s->cfg;
	const int count[SX_PROBE_KINDS] = {
		[SX_PROBE_TEXT] = c->probe.sequences.text,
		[SX_PROBE_REPEATED] = c->probe.sequences.repeated,
		[SX_PROBE_RETRIEVAL] = s->data.lang.opts.on ? c->probe.sequences.retrieval : 0,
		[SX_PROBE_CONSTANT] = c->probe.sequences.constant};
	for (int k = 0; k < SX_PROBE_KINDS; k++) p->S += count[k];
	p->T = c->probe.length > 0 ? c->probe.length : s->spec.T;
	p->kind = sx_calloc((size_t)p->S, 1);
	p->tokens = sx_calloc((size_t)(p->S * p->T), sizeof *p->tokens);
	p->target = sx_calloc((size_t)(p->S * p->T), sizeof *p->target);
	p->query_row = sx_calloc((size_t)(p->S * p->T), 1);
	if (!p->kind || !p->tokens || !p->target || !p->query_row)
		return sx_fail(s->ctx, SX_ENOMEM, "no memory for the probe batch");
	int64_t at = 0;
	for (int k = 0; k < SX_PROBE_KINDS; k++)
		for (int i = 0; i < count[k]; i++, at++) {
			p->kind[at] = (uint8_t)k;
			SX_TRY(sx_language_probe_rows(p->tokens + at * p->T, p->target + at * p->T,
						      p->query_row + at * p->T, s->ctx,
						      &s->data.lang, (sx_probe_kind)k, p->T,
						      (uint64_t)c->seed, (uint64_t)i));
		}
out:
	return st;
}

static sx_status choose_probes(session *s)
{
	sx_status st = SX_OK;
	probing *p = &s->probe;
	const sx_config *c = s->cfg;
	for (size_t i = 0; i < c->probe.ac.n; i++) {
		if (p->n_c == SX_FAMILY_MOST)
			return sx_fail(s->ctx, SX_ECONFIG, "probe.ac: at most %d families",
				       SX_FAMILY_MOST);
		SX_TRY(sx_family_parse(&p->family[p->n_c++], s->ctx, c->probe.ac.at[i]));
	}
	p->opts = (sx_measure_opts){.stats = c->probe.stats,
				    .rope = c->probe.rope,
				    .ac = p->n_c > 0,
				    .ac_gradients = true,
				    .spread = p->n_c > 0,
				    .query_row = p->query_row};
	if (c->probe.maps.every > 0 && p->S > 0) {
		st = sx_select_heads(&p->map, &p->opts.n_map, s->ctx, c->probe.maps.heads,
				     s->spec.L, s->spec.H);
		if (st == SX_EUSAGE) st = SX_ECONFIG; /* here it is a setting */
		SX_TRY(st);
	}
	p->opts.map = p->map;
	sx_reduce_words words;
	if (p->S > 0 && sx_schedule_reduces(c, &words)) {
		st = sx_reduce_new(&p->reduce, s->ctx, &words, s->spec.L, s->spec.H, p->S, p->T);
		if (st == SX_EUSAGE) st = SX_ECONFIG;
		SX_TRY(st);
	}
	p->opts.reduce = p->reduce;
	p->axes = (sx_record_axes){.spec = &s->spec,
				   .S = p->S,
				   .T = p->T,
				   .kind = p->kind,
				   .tokens = p->tokens,
				   .measure = &p->opts,
				   .family = p->family,
				   .n_c = p->n_c,
				   .maps_f32 = strcmp(c->probe.maps.type, "f32") == 0,
				   .records = 1,
				   .samples = 1};
out:
	return st;
}

static void free_observers(probing *p)
{
	sx_observers_free(p->observers);
	sx_observers_free(p->observers_train);
	sx_work_free(p->work);
	sx_measures_free(p->found);
	sx_measures_free(p->found_train);
	p->observers = p->observers_train = NULL;
	p->work = NULL;
	p->found = p->found_train = NULL;
}

/* Observers of the trainer's model as it is now. */
static sx_status watch_model(session *s)
{
	sx_status st = SX_OK;
	probing *p = &s->probe;
	const sx_model *m = s->trainer->model;
	const sx_spec *spec = &m->spec;
	int threads = sx_blas_threads();
	free_observers(p);
	if (p->S > 0 && s->cfg->probe.every > 0) {
		SX_TRY(sx_measures_new(&p->found, s->ctx, &p->opts, p->S, spec->L, spec->H, p->T,
				       spec->D / 2, p->n_c));
		SX_TRY(sx_observers_new(&p->observers, s->ctx, spec, &p->opts, p->family, threads,
					p->found));
		SX_TRY(sx_work_new(&p->work, s->ctx, m, p->S, p->T, SX_WORK_FORWARD));
	}
	const sx_measure_opts batches = sx_schedule_batch_measures(s->cfg);
	if (!batches.ac) goto out;
	SX_TRY(sx_measures_new(&p->found_train, s->ctx, &batches, s->cfg->train.batch, spec->L,
			       spec->H, s->spec.T, spec->D / 2, p->n_c));
	SX_TRY(sx_observers_new(&p->observers_train, s->ctx, spec, &batches, p->family, threads,
				p->found_train));
out:
	return st;
}

static sx_status probe_now(session *s)
{
	sx_status st = SX_OK;
	probing *p = &s->probe;
	const sx_trainer *t = s->trainer;
	if (!p->observers) return SX_OK;
	bool maps = sx_schedule_at(s->cfg, t->step).maps;
	int n = 0;
	sx_observers_sink(p->observers, maps ? p->sink : NULL);
	const sx_probe *probe = sx_observers_probes(p->observers, &n);
	SX_TRY(sx_forward(s->ctx, t->model, p->work, p->tokens, NULL, p->S, probe, n, NULL));
	SX_TRY(sx_record_put(s->run, s->ctx, &p->axes, p->found, &t->model->spec, t->step,
			     (int)t->phase, maps));
out:
	return st;
}

/* ---- the run file ---- */

static sx_status define_train(session *s)
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

static sx_status name_branch(session *s)
{
	const char *branch = s->request->branch;
	return branch ? sx_run_attr_str(s->run, "/", "branch", branch) : SX_OK;
}

/* A resumed run is the run it was: its id and its branch come from its first segment. */
static sx_status keep_identity(session *s)
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

static sx_status open_segment(session *s)
{
	sx_status st = SX_OK;
	const sx_train_request *r = s->request;
	int number = sx_segment_count(r->dir);
	char *path = sx_segment_path(r->dir, number);
	json_t *data = sx_language_json(&s->data.lang);
	char *data_json = data ? json_dumps(data, JSON_INDENT(1)) : NULL;
	char *identity = sx_format("%s\n%s", s->yaml, r->branch ? r->branch : "");
	if (!path || !data_json || !identity) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for the run file");
		goto out;
	}
	SX_TRY(sx_run_create(&s->run, s->ctx, path, !s->networked));
	SX_TRY(sx_provenance(s->run, s->ctx, r->command, (uint64_t)s->cfg->seed, "f32", identity,
			     &s->spec));
	SX_TRY(sx_run_attr_int(s->run, "/", "start_step", s->trainer->step));
	SX_TRY(r->resume || number > 0 ? keep_identity(s) : name_branch(s));
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
	s->opened = s->flushed = now(CLOCK_MONOTONIC);
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
static sx_status next_segment(session *s)
{
	sx_map_sink_free(s->probe.sink);
	s->probe.sink = NULL;
	sx_status st = sx_run_close(&s->run, SX_RUN_RUNNING);
	return st == SX_OK ? open_segment(s) : st;
}

/* Whole blocks of /train and /ac_train; part of one where another update like this one, which took so
 * many seconds, would make it wait too long. */
static sx_status flush_updates(session *s, double seconds)
{
	sx_status st = SX_OK;
	double t = now(CLOCK_MONOTONIC);
	bool full = sx_run_records(s->run, SX_RUN_TRAIN_STEP) % TRAIN_ROWS == 0;
	if (!full && t + seconds - s->flushed < FLUSH_SECONDS) return SX_OK;
	SX_TRY(sx_run_flush_part(s->run, SX_RUN_TRAIN_STEP));
	if (s->probe.observers_train) SX_TRY(sx_run_flush_part(s->run, SX_RUN_AC_TRAIN_STEP));
	s->flushed = t;
out:
	return st;
}

static sx_status record_step(session *s, const sx_step_result *r, double seconds)
{
	sx_status st = SX_OK;
	const sx_trainer *t = s->trainer;
	int64_t rec = sx_run_records(s->run, SX_RUN_TRAIN_STEP);
	int64_t step = t->step, batch = s->cfg->train.batch * s->spec.T, seen = step * batch;
	uint8_t phase = (uint8_t)t->phase;
	double wall = now(CLOCK_REALTIME);
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
static sx_status record_checkpoint(session *s, int64_t step)
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

/* Everything measured so far reaches the disk before the checkpoint does: a run resumed from it then
 * has every record before it. A kill between the checkpoint and its record is mended on resuming. */
static sx_status checkpoint(session *s)
{
	sx_status st = SX_OK;
	const sx_trainer *t = s->trainer;
	if (s->saved == t->step) return SX_OK;
	char *dir = sx_format("%s/checkpoints/step-%08lld", s->request->dir, (long long)t->step);
	if (!dir) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(s->networked ? next_segment(s) : sx_run_sync(s->run));
	SX_TRY(sx_train_log_sync(s->log, s->ctx));
	SX_TRY(sx_trainer_save(s->ctx, t, dir));
	SX_TRY(record_checkpoint(s, t->step));
	s->saved = t->step;
out:
	free(dir);
	return st;
}

/* ---- the loop ---- */

static sx_status place_part(void *self, int64_t part, const sx_work *work)
{
	session *s = self;
	sx_observers_place(s->probe.observers_train, (part + 1) * work->B);
	return SX_OK;
}

static sx_status one_update(session *s, sx_step_result *r)
{
	sx_status st = SX_OK;
	sx_trainer *t = s->trainer;
	int n = 0;
	const sx_probe *probe = NULL;
	if (s->probe.observers_train) {
		probe = sx_observers_probes(s->probe.observers_train, &n);
		sx_observers_place(s->probe.observers_train, 0);
	}
	SX_TRY(sx_language_batch(s->tokens, s->target, NULL, s->ctx, &s->data.lang,
				 s->cfg->train.batch, s->spec.T, (uint64_t)s->cfg->seed,
				 (uint64_t)t->step, false));
	double begun = now(CLOCK_MONOTONIC);
	SX_TRY(sx_trainer_step(s->ctx, t, s->tokens, s->target, probe, n, n ? place_part : NULL, s,
			       r));
	SX_TRY(record_step(s, r, now(CLOCK_MONOTONIC) - begun));
out:
	return st;
}

/* Drops and measures again: two records share the step of the drop. */
static sx_status drop(session *s)
{
	sx_status st = SX_OK;
	sx_trainer *t = s->trainer;
	SX_TRY(sx_trainer_drop(s->ctx, t));
	SX_TRY(watch_model(s));
	sx_log(s->ctx, SX_LOG_INFO, "step %lld: %s", (long long)t->step,
	       t->opts.drop_keeps ? "positions kept (control), recalibration begins"
				  : "positional embedding dropped, recalibration begins");
	SX_TRY(sx_train_log_event(s->log, s->ctx, "drop", t->step));
	if (s->cfg->probe.every > 0) SX_TRY(probe_now(s));
out:
	return st;
}

static sx_status evaluate(session *s)
{
	return sx_eval_record(s->run, s->ctx, s->cfg, &s->data.lang, s->trainer->model,
			      s->trainer->step, (int)s->trainer->phase);
}

static sx_status train(session *s)
{
	sx_status st = SX_OK;
	sx_trainer *t = s->trainer;
	int64_t last = sx_train_updates(&t->opts);
	const sx_progress_to *progress = s->request->progress;
	sx_step_result r = {0};
	/* A resumed run measures once more, too: the checkpoint that a run begins with is older than
	 * what is measured on it, and an earlier attempt may not have come to that. */
	if (sx_schedule_at(s->cfg, t->step).probe) SX_TRY(probe_now(s));
	sx_progress_to_begin(progress, "train", t->step, last);
	while (!stop_asked) {
		if (sx_trainer_drop_due(t)) SX_TRY(drop(s));
		if (t->step >= last) break;
		SX_TRY(one_update(s, &r));
		sx_progress_to_step(progress, t->step, r.loss, s->cfg->train.batch * s->spec.T);
		sx_schedule_due due = sx_schedule_at(s->cfg, t->step);
		if (due.probe) SX_TRY(probe_now(s));
		if (due.eval) SX_TRY(evaluate(s));
		if (due.checkpoint) SX_TRY(checkpoint(s));
		if (s->networked && now(CLOCK_MONOTONIC) - s->opened > SEGMENT_SECONDS)
			SX_TRY(next_segment(s));
	}
	sx_progress_to_end(progress);
	if (t->step < last || sx_trainer_drop_due(t)) {
		SX_TRY(checkpoint(s));
		st = sx_fail(s->ctx, SX_ESTOPPED,
			     "stopped at step %lld of %lld; `sextant train ... --resume` goes on",
			     (long long)t->step, (long long)last);
	}
out:
	return st;
}

/* ---- beginning and end ---- */

/* Config of the run to be resumed must be this one. */
static sx_status check_same_config(sx_ctx *ctx, const sx_config *cfg, const char *path)
{
	sx_config old;
	sx_status st = sx_config_load(&old, ctx, path, 0, NULL);
	if (st != SX_OK) return st;
	const sx_option *keys[SX_OPTION_COUNT];
	int n = sx_config_diff(&old, cfg, keys);
	char list[700] = "";
	for (int i = 0; i < n; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", keys[i]->key);
	}
	if (n)
		st = sx_fail(
			ctx, SX_ECONFIG,
			"cannot resume with another configuration; these keys differ from %s: %s",
			path, list);
	sx_config_free(&old);
	return st;
}

bool sx_train_branch_may_change(const char *key)
{
	static const char *const free_keys[] = {"train.drop", "probe.", "eval.",
						"train.checkpoint"};
	for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
		if (strncmp(key, free_keys[i], strlen(free_keys[i])) == 0) return true;
	return false;
}

static sx_status start_from_branch(session *s)
{
	sx_status st = SX_OK;
	const char *arg = s->request->branch;
	char *run = NULL, *dir = NULL, *config = NULL;
	int64_t step = -1;
	sx_config old;
	bool have_old = false;
	SX_TRY(sx_checkpoint_split(&run, &step, s->ctx, arg));
	SX_TRY(sx_checkpoint_find(&dir, &step, s->ctx, run, step));
	config = sx_format("%s/config.yaml", run);
	if (!config) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	SX_TRY(sx_config_load(&old, s->ctx, config, 0, NULL));
	have_old = true;
	const sx_option *keys[SX_OPTION_COUNT];
	int n = sx_config_diff(&old, s->cfg, keys);
	for (int i = 0; i < n; i++)
		if (!sx_train_branch_may_change(keys[i]->key)) {
			st = sx_fail(s->ctx, SX_ECONFIG,
				     "--branch %s: %s differs from that run's; only train.drop_at, "
				     "train.drop.*, train.checkpoint_*, probe.* and eval.* may",
				     arg, keys[i]->key);
			goto out;
		}
	SX_TRY(sx_trainer_load(s->ctx, s->trainer, dir));
	if (s->trainer->phase != SX_PHASE_PRETRAIN ||
	    (s->cfg->train.drop_at >= 0 && s->trainer->step > s->cfg->train.drop_at))
		st = sx_fail(s->ctx, SX_ECONFIG,
			     "--branch %s: that checkpoint is past train.drop_at = %lld", arg,
			     (long long)s->cfg->train.drop_at);
out:
	if (have_old) sx_config_free(&old);
	free(run);
	free(dir);
	free(config);
	return st;
}

static sx_status save_start(session *s)
{
	char *dir = sx_format("%s/checkpoints/step-%08lld", s->request->dir,
			      (long long)s->trainer->step);
	sx_status st = dir ? sx_trainer_save(s->ctx, s->trainer, dir)
			   : sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	free(dir);
	return st;
}

/* The folder. A new one gets the checkpoint it starts from, then the configuration, which makes it a
 * run: what can be resumed always has something to resume from. */
static sx_status open_folder(session *s)
{
	sx_status st = SX_OK;
	const char *dir = s->request->dir;
	char *live = sx_format("%s/live", dir), *ckpt = sx_format("%s/checkpoints", dir);
	char *config = sx_format("%s/config.yaml", dir);
	if (!live || !ckpt || !config) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	if (sx_path_exists(config)) {
		if (!s->request->resume) {
			st = sx_fail(s->ctx, SX_ECREATE,
				     "%s holds a run already; --resume goes on with it, another -o "
				     "starts a new one",
				     dir);
			goto out;
		}
		SX_TRY(check_same_config(s->ctx, s->cfg, config));
	} else if (s->request->resume) {
		st = sx_fail(s->ctx, SX_ENOINPUT, "%s holds no run to resume", dir);
		goto out;
	}
	SX_TRY(sx_make_dirs(s->ctx, live));
	SX_TRY(sx_make_dirs(s->ctx, ckpt));
	s->networked = sx_path_is_networked(live);
	if (s->networked)
		sx_log(s->ctx, SX_LOG_WARN,
		       "%s is on a network or FUSE file system, where a run file cannot be read "
		       "while it is written: live/ gets a closed segment with every checkpoint and "
		       "every %d minutes",
		       dir, SEGMENT_SECONDS / 60);
	if (s->request->resume) {
		SX_TRY(sx_train_adopt_sealed(s->ctx, dir));
		goto out;
	}
	SX_TRY(save_start(s));
	SX_TRY(sx_write_file(s->ctx, config, s->yaml, strlen(s->yaml)));
out:
	free(live);
	free(ckpt);
	free(config);
	return st;
}

static sx_status first_model(session *s, sx_model **out)
{
	sx_config *cfg = s->request->cfg;
	sx_status st = SX_OK;
	if (cfg->init[0]) {
		sx_source src;
		SX_TRY(sx_source_open(&src, s->ctx, cfg->init, cfg->data.tokenizer, 0, NULL, NULL));
		st = sx_config_adopt(cfg, s->ctx, &src.spec);
		if (st == SX_OK) st = sx_config_spec(cfg, src.spec.V, &s->spec, s->ctx);
		if (st == SX_OK && !src.tensors)
			st = sx_fail(s->ctx, SX_ECONFIG,
				     "init = %s: a configuration has no weights to start from",
				     cfg->init);
		if (st == SX_OK) {
			s->spec.bos = src.spec.bos, s->spec.eos = src.spec.eos;
			s->spec.eps = src.spec.eps, s->spec.tied = src.spec.tied;
			s->spec.interleaved = src.spec.interleaved;
			st = sx_model_load(out, s->ctx, src.tensors, &s->spec);
		}
		if (st == SX_OK) { /* loaded, it is in our order */
			(*out)->spec.interleaved = false;
			st = sx_data_open(&s->data, s->ctx, cfg, s->spec.V);
		}
		sx_source_free(&src);
		goto out;
	}
	SX_TRY(sx_data_open(&s->data, s->ctx, cfg, 0));
	SX_TRY(sx_config_spec(cfg, sx_tokenizer_vocab(s->data.tok), &s->spec, s->ctx));
	s->spec.bos = s->data.lang.opts.bos ? s->data.lang.bos : sx_tokenizer_bos(s->data.tok);
	s->spec.eos = sx_tokenizer_eos(s->data.tok);
	SX_TRY(sx_model_new(out, s->ctx, &s->spec));
	sx_model_init(*out, (uint64_t)cfg->seed,
		      strcmp(cfg->model.init, "0.02") == 0 ? SX_INIT_002 : SX_INIT_FAN_IN);
out:
	return st;
}

static sx_status start(session *s)
{
	sx_status st = SX_OK;
	const sx_train_request *r = s->request;
	sx_model *model = NULL;
	sx_train_opts o;
	char *last = NULL;
	st = first_model(s, &model);
	if (st != SX_OK) {
		sx_model_free(model);
		return st;
	}
	o = train_opts(s->cfg);
	SX_TRY(sx_trainer_new(&s->trainer, s->ctx, model, &o, s->spec.T));
	SX_TRY(make_probe_batch(s));
	SX_TRY(choose_probes(s));
	SX_TRY(sx_eval_check(s->ctx, s->cfg, &s->data.lang));
	if (r->branch && !r->resume) SX_TRY(start_from_branch(s));
	SX_TRY(sx_config_yaml(s->cfg, s->ctx, false, &s->yaml));
	SX_TRY(open_folder(s));
	if (r->resume) {
		SX_TRY(sx_checkpoint_find(&last, &s->first, s->ctx, r->dir, -1));
		SX_TRY(sx_trainer_load(s->ctx, s->trainer, last));
	}
	s->first = s->saved = s->trainer->step;
	s->tokens = sx_calloc((size_t)(o.batch * s->spec.T), sizeof *s->tokens);
	s->target = sx_calloc((size_t)(o.batch * s->spec.T), sizeof *s->target);
	if (!s->tokens || !s->target) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a batch");
		goto out;
	}
	sx_log(s->ctx, SX_LOG_INFO, "%lld parameters; OpenBLAS core %s (%s build), %d threads",
	       (long long)sx_spec_params(&s->spec), sx_blas_core(), sx_blas_build(),
	       sx_blas_threads());
	SX_TRY(watch_model(s));
	SX_TRY(open_segment(s));
	SX_TRY(record_checkpoint(s, s->first));
	SX_TRY(sx_train_log_open(&s->log, s->ctx, r->dir));
	SX_TRY(sx_train_log_start(s->log, s->ctx, s->cfg, s->first, sx_spec_params(&s->spec),
				  r->branch));
out:
	free(last);
	return st;
}

static void finish(session *s)
{
	free_observers(&s->probe);
	free(s->probe.kind);
	free(s->probe.tokens);
	free(s->probe.target);
	free(s->probe.query_row);
	free(s->probe.map);
	sx_map_sink_free(s->probe.sink);
	sx_reduce_free(s->probe.reduce);
	sx_run_free(s->run);
	sx_train_log_close(s->log);
	sx_trainer_free(s->trainer);
	sx_data_free(&s->data);
	free(s->yaml);
	free(s->tokens);
	free(s->target);
}

sx_status sx_train_run(sx_ctx *ctx, const sx_train_request *r)
{
	sx_status st = SX_OK;
	session s = {.ctx = ctx, .request = r, .cfg = r->cfg};
	SX_TRY(start(&s));
	catch_signals();
	st = train(&s);
	char message[sizeof ctx->message];
	memcpy(message, ctx->message, sizeof message);
	if (st != SX_OK && st != SX_ESTOPPED) {
		/* what went wrong is the message, whether or not the file can still say so */
		if (s.run && sx_run_close(&s.run, SX_RUN_FAILED) != SX_OK)
			sx_log(ctx, SX_LOG_DEBUG, "the run file could not be closed");
		memcpy(ctx->message, message, sizeof message);
	} else {
		sx_status end = sx_train_log_event(s.log, ctx, st == SX_OK ? "end" : "stopped",
						   s.trainer->step);
		if (end == SX_OK)
			end = sx_run_close(&s.run,
					   st == SX_OK ? SX_RUN_COMPLETE : SX_RUN_INTERRUPTED);
		if (end == SX_OK && st == SX_OK) end = sx_train_seal(ctx, r->dir);
		if (end != SX_OK)
			st = end;
		else
			memcpy(ctx->message, message, sizeof message);
	}
out:
	finish(&s);
	return st;
}

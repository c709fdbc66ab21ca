#include "probes/lab/train_run.h"

#include "engine/model/weights.h"
#include "engine/op/blas.h"
#include "probes/lab/evaluate.h"
#include "probes/lab/schedule.h"
#include "probes/lab/stop.h"
#include "probes/lab/train_priv.h"
#include "probes/lab/train_segments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_SECONDS = 300 }; /* on a networked file system: between two closed segments */

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

/* ---- the loop ---- */

/* Everything measured so far reaches the disk before the checkpoint does: a run resumed from it then
 * has every record before it. A kill between the checkpoint and its record is mended on resuming. */
static sx_status checkpoint(sx_train_session *s)
{
	sx_status st = SX_OK;
	const sx_trainer *t = s->trainer;
	if (s->saved == t->step) return SX_OK;
	char *dir = sx_format("%s/checkpoints/step-%08lld", s->request->dir, (long long)t->step);
	if (!dir) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(s->networked ? sx_train_segment_next(s) : sx_run_sync(s->run));
	SX_TRY(sx_train_log_sync(s->log, s->ctx));
	SX_TRY(sx_trainer_save(s->ctx, t, dir));
	SX_TRY(sx_train_record_checkpoint(s, t->step));
	s->saved = t->step;
out:
	free(dir);
	return st;
}

static sx_status place_part(void *self, int64_t part, const sx_work *work)
{
	sx_train_session *s = self;
	sx_observers_place(s->probe.observers_train, (part + 1) * work->B);
	return SX_OK;
}

static sx_status one_update(sx_train_session *s, sx_step_result *r)
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
	double begun = sx_train_now(CLOCK_MONOTONIC);
	SX_TRY(sx_trainer_step(
		s->ctx, t,
		&(sx_request){
			.tokens = s->tokens, .target = s->target, .probe = probe, .n_probe = n},
		n ? place_part : NULL, s, r));
	SX_TRY(sx_train_record_step(s, r, sx_train_now(CLOCK_MONOTONIC) - begun));
out:
	return st;
}

/* Drops and measures again: two records share the step of the drop. */
static sx_status drop(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_trainer *t = s->trainer;
	SX_TRY(sx_trainer_drop(s->ctx, t));
	SX_TRY(sx_train_probes_watch(s));
	sx_log(s->ctx, SX_LOG_INFO, "step %lld: %s", (long long)t->step,
	       t->opts.drop_keeps ? "positions kept (control), recalibration begins"
				  : "positional embedding dropped, recalibration begins");
	SX_TRY(sx_train_log_event(s->log, s->ctx, "drop", t->step));
	if (s->cfg->probe.every > 0) SX_TRY(sx_train_probes_run(s));
out:
	return st;
}

static sx_status evaluate(sx_train_session *s)
{
	return sx_eval_record(s->run, s->ctx, s->cfg, &s->data.lang, s->trainer->model,
			      s->trainer->step, (int)s->trainer->phase);
}

static sx_status train(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_trainer *t = s->trainer;
	int64_t last = sx_train_updates(&t->opts);
	const sx_progress_to *progress = s->request->progress;
	sx_step_result r = {0};
	/* A resumed run measures once more, too: the checkpoint that a run begins with is older than
	 * what is measured on it, and an earlier attempt may not have come to that. */
	if (sx_schedule_at(s->cfg, t->step).probe) SX_TRY(sx_train_probes_run(s));
	sx_progress_to_begin(progress, "train", t->step, last);
	while (!sx_stop_asked()) {
		if (sx_trainer_drop_due(t)) SX_TRY(drop(s));
		if (t->step >= last) break;
		SX_TRY(one_update(s, &r));
		sx_progress_to_step(progress, t->step, r.loss, s->cfg->train.batch * s->spec.T);
		sx_schedule_due due = sx_schedule_at(s->cfg, t->step);
		if (due.probe) SX_TRY(sx_train_probes_run(s));
		if (due.eval) SX_TRY(evaluate(s));
		if (due.checkpoint) SX_TRY(checkpoint(s));
		if (s->networked && sx_train_now(CLOCK_MONOTONIC) - s->opened > SEGMENT_SECONDS)
			SX_TRY(sx_train_segment_next(s));
	}
	sx_progress_to_end(progress);
	if (t->step < last || sx_trainer_drop_due(t)) {
		SX_TRY(checkpoint(s));
		st = sx_fail(s->ctx, SX_ESTOPPED,
			     "stopped at step %lld of %lld; `sextant train -o %s --resume` goes on",
			     (long long)t->step, (long long)last, s->request->dir);
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

static sx_status start_from_branch(sx_train_session *s)
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

static sx_status save_start(sx_train_session *s)
{
	char *dir = sx_format("%s/checkpoints/step-%08lld", s->request->dir,
			      (long long)s->trainer->step);
	sx_status st = dir ? sx_trainer_save(s->ctx, s->trainer, dir)
			   : sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	free(dir);
	return st;
}

/* The folder of a run that is to begin. What a kill left of one that was begun is no hindrance:
 * its first checkpoint. What else there may be of a run without its config.yaml is not to be mixed up with
 * another one. */
static sx_status check_unused(sx_ctx *ctx, const char *dir, int64_t first)
{
	static const char *const of_a_run[] = {"log.jsonl", "run.h5", "live/seg-0000.h5"};
	int64_t step = first;
	char *path = NULL, *other = NULL;
	bool there = false;
	for (size_t i = 0; i < sizeof of_a_run / sizeof of_a_run[0] && !there; i++) {
		free(path);
		path = sx_format("%s/%s", dir, of_a_run[i]);
		there = path && sx_path_exists(path);
	}
	if (!there && sx_checkpoint_find(&other, &step, ctx, dir, -1) == SX_OK && step != first) {
		free(path);
		path = other;
		other = NULL;
		there = true;
	}
	sx_status st = SX_OK;
	if (there)
		st = sx_fail(ctx, SX_ECREATE,
			     "%s is of a run, but there is no %s/config.yaml: put it back, remove "
			     "the folder, or give another -o",
			     path, dir);
	free(path);
	free(other);
	return st;
}

/* A new folder gets the checkpoint that it starts from, then the configuration, which makes it a run: what
 * can be resumed always has something to resume from. */
static sx_status fill_folder(sx_train_session *s, const char *config)
{
	sx_status st = SX_OK;
	const char *dir = s->request->dir;
	SX_TRY(check_unused(s->ctx, dir, s->trainer->step));
	SX_TRY(save_start(s));
	SX_TRY(sx_config_begun_write(s->cfg, s->ctx, dir, s->request->branch));
	SX_TRY(sx_write_file(s->ctx, config, s->yaml, strlen(s->yaml)));
out:
	return st;
}

/* Whether there is a run to go on with. */
static sx_status find_run(sx_train_session *s, const char *config)
{
	const char *dir = s->request->dir;
	bool there = sx_path_exists(config);
	s->resumed = there;
	if (there && s->request->resume == SX_RESUME_NO)
		return sx_fail(s->ctx, SX_ECREATE,
			       "%s holds a run already; --resume goes on with it, another -o "
			       "starts a new one",
			       dir);
	if (!there && s->request->resume == SX_RESUME_YES)
		return sx_fail(s->ctx, SX_ENOINPUT, "%s holds no run to resume", dir);
	return SX_OK;
}

/* From here to the end nobody else writes the folder. */
static sx_status open_folder(sx_train_session *s)
{
	sx_status st = SX_OK;
	const char *dir = s->request->dir;
	bool was = s->resumed;
	char *live = sx_format("%s/live", dir), *ckpt = sx_format("%s/checkpoints", dir);
	char *config = sx_format("%s/config.yaml", dir);
	if (!live || !ckpt || !config) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	SX_TRY(sx_make_dirs(s->ctx, dir));
	SX_TRY(sx_hold_take(&s->hold, s->ctx, dir, "training run", false));
	SX_TRY(find_run(s, config)); /* again: it may have been begun, or removed, meanwhile */
	if (s->resumed != was) {
		st = sx_fail(s->ctx, SX_ECREATE, "%s was changed by another process; try again",
			     dir);
		goto out;
	}
	if (s->resumed) SX_TRY(check_same_config(s->ctx, s->cfg, config));
	SX_TRY(sx_make_dirs(s->ctx, live));
	SX_TRY(sx_make_dirs(s->ctx, ckpt));
	s->networked = sx_path_is_networked(live);
	if (s->networked)
		sx_log(s->ctx, SX_LOG_WARN,
		       "%s is on a network or FUSE file system, where a run file cannot be read "
		       "while it is written: live/ gets a closed segment with every checkpoint and "
		       "every %d minutes",
		       dir, SEGMENT_SECONDS / 60);
	st = s->resumed ? sx_train_adopt_sealed(s->ctx, dir) : fill_folder(s, config);
out:
	free(live);
	free(ckpt);
	free(config);
	return st;
}

/* A run that goes on began as the branch that is asked for. */
static sx_status check_branch(const sx_train_session *s)
{
	const char *asked = s->request->branch, *was = s->branched;
	if (was && strcmp(was, asked) == 0) return SX_OK;
	return sx_fail(s->ctx, SX_ECONFIG,
		       "--branch %s: %s began %s%s; leave out --branch, or give another folder",
		       asked, s->request->dir, was ? "as a branch of " : "as no branch",
		       was ? was : "");
}

/* Before anything is read: is there a run, and where did it begin? */
static sx_status look(sx_train_session *s)
{
	sx_status st = SX_OK;
	char *config = sx_format("%s/config.yaml", s->request->dir);
	if (!config) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(find_run(s, config));
	if (s->resumed)
		SX_TRY(sx_config_begun_read(s->request->cfg, s->ctx, s->request->dir, true,
					    &s->branched));
	if (!s->request->branch) goto out;
	if (s->resumed) {
		SX_TRY(check_branch(s));
		goto out;
	}
	s->branched = sx_strdup(s->request->branch);
	if (!s->branched) st = sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
out:
	free(config);
	return st;
}

static sx_status first_model(sx_train_session *s, sx_model **out)
{
	sx_config *cfg = s->request->cfg;
	sx_status st = SX_OK;
	if (cfg->init[0]) {
		sx_source src;
		SX_TRY(sx_source_open_init(&src, s->ctx, cfg));
		st = sx_config_adopt(cfg, s->ctx, &src.spec);
		if (st == SX_OK) st = sx_config_spec(cfg, src.spec.V, &s->spec, s->ctx);
		if (st == SX_OK && !src.tensors)
			st = sx_fail(s->ctx, SX_ECONFIG,
				     "init = %s: a configuration has no weights to start from",
				     cfg->init);
		if (st == SX_OK) {
			s->spec.bos = src.spec.bos, s->spec.eos = src.spec.eos;
			s->spec.eps = src.spec.eps, s->spec.tied = src.spec.tied;
			s->spec.block = src.spec.block;
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

static sx_status start(sx_train_session *s)
{
	sx_status st = SX_OK;
	const sx_train_request *r = s->request;
	sx_model *model = NULL;
	sx_train_opts o;
	char *last = NULL;
	SX_TRY(look(s));
	st = first_model(s, &model);
	if (st != SX_OK) {
		sx_model_free(model);
		return st;
	}
	o = train_opts(s->cfg);
	SX_TRY(sx_trainer_new(&s->trainer, s->ctx, model, &o, s->spec.T));
	SX_TRY(sx_train_probes_make(s));
	SX_TRY(sx_train_probes_choose(s));
	SX_TRY(sx_eval_check(s->ctx, s->cfg, &s->data.lang));
	if (r->branch && !s->resumed) SX_TRY(start_from_branch(s));
	SX_TRY(sx_config_yaml(s->cfg, s->ctx, false, &s->yaml));
	SX_TRY(open_folder(s));
	if (s->resumed) {
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
	SX_TRY(sx_train_probes_watch(s));
	SX_TRY(sx_train_segment_open(s));
	SX_TRY(sx_train_record_checkpoint(s, s->first));
	SX_TRY(sx_train_log_open(&s->log, s->ctx, r->dir));
	SX_TRY(sx_train_log_start(s->log, s->ctx, s->cfg, s->first, sx_spec_params(&s->spec),
				  s->branched));
out:
	free(last);
	return st;
}

static void finish(sx_train_session *s)
{
	sx_train_probes_free(&s->probe);
	sx_run_free(s->run);
	sx_train_log_close(s->log);
	sx_trainer_free(s->trainer);
	sx_data_free(&s->data);
	free(s->yaml);
	free(s->branched);
	free(s->tokens);
	free(s->target);
	sx_hold_release(&s->hold); /* after the last write */
}

sx_status sx_train_run(sx_ctx *ctx, const sx_train_request *r)
{
	sx_status st = SX_OK;
	sx_train_session s = {.ctx = ctx, .request = r, .cfg = r->cfg};
	sx_stop_catch(true);
	SX_TRY(start(&s));
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
		if (end == SX_OK) end = sx_train_log_sync(s.log, ctx);
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

#include "engine/model/train.h"

#include "engine/files/hf_config.h"
#include "engine/model/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *sx_phase_name(sx_phase p)
{
	return p == SX_PHASE_PRETRAIN ? "pretrain" : "recalibration";
}

static double scheduled(sx_lr_schedule kind, double lr, double min_lr, int64_t warmup,
			int64_t steps, int64_t update)
{
	const double pi = 3.14159265358979323846;
	if (update <= warmup) return lr * (double)update / (double)warmup;
	double span = (double)(steps - warmup);
	double x = span > 0 ? fmin(1, (double)(update - warmup) / span) : 1;
	if (kind == SX_LR_CONSTANT) return lr;
	if (kind == SX_LR_LINEAR) return lr + (min_lr - lr) * x;
	return min_lr + (lr - min_lr) * 0.5 * (1 + cos(pi * x));
}

double sx_train_lr(const sx_train_opts *o, int64_t update)
{
	if (o->drop_at < 0 || update <= o->drop_at)
		return scheduled(o->schedule, o->lr, o->min_lr, o->warmup, o->steps, update);
	return scheduled(o->schedule, o->drop_lr, o->drop_min_lr, o->drop_warmup, o->drop_steps,
			 update - o->drop_at);
}

int64_t sx_train_updates(const sx_train_opts *o)
{
	return o->drop_at < 0 ? o->steps : o->drop_at + o->drop_steps;
}

sx_status sx_trainer_new(sx_trainer **out, sx_ctx *ctx, sx_model *model, const sx_train_opts *o,
			 int64_t T)
{
	sx_status st = SX_OK;
	sx_trainer *t = sx_calloc(1, sizeof *t);
	if (!t) {
		sx_model_free(model);
		return sx_fail(ctx, SX_ENOMEM, "no memory for training");
	}
	t->opts = *o;
	t->model = model;
	if (o->accumulate < 1 || o->batch % o->accumulate) {
		st = sx_fail(ctx, SX_ECONFIG,
			     "train.accumulate = %lld must divide train.batch = %lld",
			     (long long)o->accumulate, (long long)o->batch);
		goto out;
	}
	sx_real *grad = sx_calloc((size_t)model->p.count, sizeof *grad);
	if (!grad) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for gradients");
		goto out;
	}
	sx_params_layout(&t->grad, &model->spec, grad);
	SX_TRY(sx_adamw_new(&t->adam, ctx, model->p.count));
	SX_TRY(sx_work_new(&t->work, ctx, model, o->batch / o->accumulate, T, SX_WORK_TRAIN));
	*out = t;
	t = NULL;
out:
	sx_trainer_free(t);
	return st;
}

void sx_trainer_free(sx_trainer *t)
{
	if (!t) return;
	sx_work_free(t->work);
	sx_adamw_free(t->adam);
	free(t->grad.base);
	sx_model_free(t->model);
	free(t);
}

/* NaN has no sign to print. */
static double unsigned_nan(double x)
{
	return isnan(x) ? (double)NAN : x;
}

sx_status sx_trainer_step(sx_ctx *ctx, sx_trainer *t, const sx_request *r,
			  sx_train_part_fn *part_end, void *self, sx_step_result *result)
{
	const sx_train_opts *o = &t->opts;
	sx_status st = SX_OK;
	int64_t rows = o->batch / o->accumulate, part = rows * t->work->T, counted = 0;
	double sum = 0;
	for (int64_t i = 0; i < o->batch * t->work->T; i++) counted += r->target[i] >= 0;
	if (counted == 0) return sx_fail(ctx, SX_EDATA, "a training batch without targets");
	memset(t->grad.base, 0, (size_t)t->grad.count * sizeof *t->grad.base);
	for (int64_t p = 0; p < o->accumulate; p++) {
		double loss = 0;
		sx_request one = *r, back;
		one.tokens += p * part, one.target += p * part, one.B = rows;
		back = one, back.probe = NULL, back.n_probe = 0;
		SX_TRY(sx_forward(ctx, t->model, t->work, &one, &loss));
		sum += t->work->counted ? loss * (double)t->work->counted : 0;
		if (part_end) SX_TRY(part_end(self, p, t->work));
		SX_TRY(sx_backward(ctx, t->model, t->work, &t->grad, &back, 1 / (double)counted));
	}
	result->loss = sum / (double)counted;
	result->lr = sx_train_lr(o, t->step + 1);
	result->grad_norm = sx_grad_norm(&t->grad);
	if (!isfinite(result->loss) || !isfinite(result->grad_norm))
		return sx_fail(ctx, SX_EDATA,
			       "update %lld: loss %g, gradient norm %g: training diverged; lower "
			       "train.lr",
			       (long long)(t->step + 1), unsigned_nan(result->loss),
			       unsigned_nan(result->grad_norm));
	double scale = o->clip > 0 && result->grad_norm > o->clip ? o->clip / result->grad_norm : 1;
	sx_adamw_step(t->adam, t->model, &t->grad, scale, result->lr, &o->adamw);
	t->step++;
out:
	return st;
}

/* ---- the drop ---- */

bool sx_trainer_drop_due(const sx_trainer *t)
{
	return t->phase == SX_PHASE_PRETRAIN && t->opts.drop_at >= 0 && t->step == t->opts.drop_at;
}

/* Copies what both layouts have in the same shape: parameters, or moments. */
static void copy_common(sx_real *to, const sx_spec *to_spec, const sx_real *from,
			const sx_spec *from_spec)
{
	sx_param_info a[SX_PARAM_MOST], b[SX_PARAM_MOST];
	int na = sx_params_table(to_spec, a), nb = sx_params_table(from_spec, b);
	for (int i = 0; i < na; i++)
		for (int j = 0; j < nb; j++)
			if (strcmp(a[i].field, b[j].field) == 0 && a[i].rows == b[j].rows &&
			    a[i].cols == b[j].cols && a[i].copies == b[j].copies)
				memcpy(to + a[i].offset, from + b[j].offset,
				       (size_t)(a[i].rows * a[i].cols * a[i].copies) * sizeof *to);
}

/* A trainer of another spec in the place of t, with everything both have. */
static sx_status rebuild(sx_ctx *ctx, sx_trainer *t, const sx_spec *spec)
{
	sx_status st = SX_OK;
	sx_model *m = NULL;
	sx_trainer *n = NULL;
	SX_TRY(sx_model_new(&m, ctx, spec));
	sx_model_init(m, 0, SX_INIT_FAN_IN); /* gains 1; everything else is copied over */
	/* the activations are the largest part: the two never live at once */
	int64_t T = t->work->T;
	sx_work_free(t->work);
	t->work = NULL;
	SX_TRY(sx_trainer_new(&n, ctx, m, &t->opts, T));
	copy_common(n->model->p.base, spec, t->model->p.base, &t->model->spec);
	copy_common(n->adam->m, spec, t->adam->m, &t->model->spec);
	copy_common(n->adam->v, spec, t->adam->v, &t->model->spec);
	n->adam->t = t->adam->t;
	n->step = t->step;
	n->phase = t->phase;
	sx_trainer old = *t;
	*t = *n;
	*n = old;
	sx_trainer_free(n);
out:
	return st;
}

sx_status sx_trainer_drop(sx_ctx *ctx, sx_trainer *t)
{
	const sx_train_opts *o = &t->opts;
	sx_status st = SX_OK;
	sx_spec spec = t->model->spec;
	if (!o->drop_keeps) snprintf(spec.pos.method, sizeof spec.pos.method, "nope");
	if (o->drop_qk_norm != SX_QK_NORM_NONE) {
		spec.qk_norm = o->drop_qk_norm;
		spec.block.q_plain = spec.block.k_plain = false;
	}
	SX_TRY(rebuild(ctx, t, &spec));
	if (o->drop_fresh) sx_adamw_reset(t->adam);
	t->phase = SX_PHASE_RECALIBRATION;
out:
	return st;
}

/* ---- checkpoints ---- */

static sx_status write_state(sx_ctx *ctx, const sx_trainer *t, const char *path)
{
	json_t *j = json_pack("{s:I, s:s, s:I, s:s}", "step", (json_int_t)t->step, "phase",
			      sx_phase_name(t->phase), "adam_updates", (json_int_t)t->adam->t,
			      "precision", SX_PRECISION);
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	sx_status st = text ? sx_write_file(ctx, path, text, strlen(text))
			    : sx_fail(ctx, SX_ENOMEM, "no memory to write %s", path);
	free(text);
	json_decref(j);
	return st;
}

static sx_status sync_folder(sx_ctx *ctx, const char *dir)
{
	int fd = open(dir, O_RDONLY);
	if (fd < 0 || fsync(fd) != 0) {
		sx_status st = sx_fail(ctx, SX_EIO, "cannot sync %s: %s", dir, strerror(errno));
		if (fd >= 0) close(fd);
		return st;
	}
	close(fd);
	return SX_OK;
}

static const char *const checkpoint_files[] = {"config.json", "model.safetensors",
					       "optimizer.safetensors", "state.json"};

static void remove_folder(const char *dir)
{
	for (size_t i = 0; i < sizeof checkpoint_files / sizeof checkpoint_files[0]; i++) {
		char *p = sx_format("%s/%s", dir, checkpoint_files[i]);
		if (p) unlink(p);
		free(p);
	}
	rmdir(dir);
}

/* Both moments in one file, each as one vector in the order of the parameters. */
static sx_status save_moments(sx_ctx *ctx, const sx_trainer *t, const char *path)
{
	sx_tensor list[2] = {{.name = "exp_avg", .data = t->adam->m},
			     {.name = "exp_avg_sq", .data = t->adam->v}};
	for (int i = 0; i < 2; i++) {
		list[i].dtype = SX_DTYPE_REAL;
		list[i].rank = 1;
		list[i].shape[0] = t->adam->count;
	}
	return sx_safetensors_write(ctx, path, list, 2, NULL, 0);
}

static sx_status load_moments(sx_ctx *ctx, sx_trainer *t, const char *path)
{
	sx_status st = SX_OK;
	sx_tensors *file = NULL;
	const sx_tensor *m = NULL, *v = NULL;
	SX_TRY(sx_safetensors_open(&file, ctx, path));
	SX_TRY(sx_tensors_need(&m, ctx, file, "exp_avg", t->adam->count, 0));
	SX_TRY(sx_tensors_need(&v, ctx, file, "exp_avg_sq", t->adam->count, 0));
	SX_TRY(sx_tensor_reals(ctx, file, m, t->adam->m));
	SX_TRY(sx_tensor_reals(ctx, file, v, t->adam->v));
out:
	sx_tensors_free(file);
	return st;
}

/* A checkpoint that nothing can go on from is none: the one before it shall be the last. */
static sx_status check_finite(sx_ctx *ctx, const sx_trainer *t)
{
	int64_t n = t->model->p.count;
	if (sx_reals_not_finite(t->model->p.base, n) < 0 &&
	    sx_reals_not_finite(t->adam->m, n) < 0 && sx_reals_not_finite(t->adam->v, n) < 0)
		return SX_OK;
	return sx_fail(ctx, SX_EDATA,
		       "after update %lld the weights are not finite: training diverged; lower "
		       "train.lr (no checkpoint is made of them)",
		       (long long)t->step);
}

sx_status sx_trainer_save(sx_ctx *ctx, const sx_trainer *t, const char *dir)
{
	sx_status st = SX_OK;
	char *tmp = sx_format("%s.tmp", dir), *old = sx_format("%s.old", dir);
	char *parent = sx_format("%s/..", dir), *path[4] = {NULL};
	bool whole = tmp && old && parent;
	for (int i = 0; i < 4; i++) {
		path[i] = sx_format("%s.tmp/%s", dir, checkpoint_files[i]);
		whole = whole && path[i];
	}
	if (!whole) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to write %s", dir);
		goto out;
	}
	SX_TRY(check_finite(ctx, t));
	remove_folder(tmp);
	SX_TRY(sx_make_dirs(ctx, tmp));
	SX_TRY(sx_hf_config_write(ctx, path[0], &t->model->spec));
	SX_TRY(sx_model_save(ctx, path[1], NULL, &t->model->spec, t->model->p.base));
	SX_TRY(save_moments(ctx, t, path[2]));
	SX_TRY(write_state(ctx, t, path[3]));
	SX_TRY(sync_folder(ctx, tmp));
	/* One that is there already moves aside, so that at every moment one of them is whole. */
	bool again = sx_path_exists(dir);
	if (again) remove_folder(old);
	if ((again && rename(dir, old) != 0) || rename(tmp, dir) != 0) {
		st = sx_fail(ctx, SX_ECREATE, "cannot create %s: %s", dir, strerror(errno));
		goto out;
	}
	if (again) remove_folder(old);
	SX_TRY(sync_folder(ctx, parent));
out:
	if (st != SX_OK && tmp) remove_folder(tmp);
	free(tmp);
	free(old);
	free(parent);
	for (int i = 0; i < 4; i++) free(path[i]);
	return st;
}

static sx_status read_state(sx_ctx *ctx, sx_trainer *t, const char *path)
{
	json_error_t err;
	json_int_t step = 0, updates = 0;
	const char *phase = NULL;
	json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &err);
	sx_status st = SX_OK;
	if (!j ||
	    json_unpack_ex(j, &err, 0, "{s:I, s:s, s:I}", "step", &step, "phase", &phase,
			   "adam_updates", &updates) != 0 ||
	    step < 0 || updates < 0)
		st = sx_fail(ctx, SX_EDATA, "%s: not a training state: %s", path, err.text);
	else {
		t->step = step;
		t->adam->t = updates;
		t->phase =
			strcmp(phase, "pretrain") == 0 ? SX_PHASE_PRETRAIN : SX_PHASE_RECALIBRATION;
	}
	json_decref(j);
	return st;
}

sx_status sx_trainer_load(sx_ctx *ctx, sx_trainer *t, const char *dir)
{
	sx_status st = SX_OK;
	sx_tensors *file = NULL;
	sx_spec spec;
	char *path[4] = {NULL};
	for (int i = 0; i < 4; i++) {
		path[i] = sx_format("%s/%s", dir, checkpoint_files[i]);
		if (path[i]) continue;
		st = sx_fail(ctx, SX_ENOMEM, "no memory to read %s", dir);
		goto out;
	}
	SX_TRY(sx_hf_open(&file, &spec, ctx, path[0], path[1], NULL));
	spec.T = t->model->spec.T;
	SX_TRY(rebuild(ctx, t, &spec));
	SX_TRY(sx_model_fill(ctx, file, &spec, t->model->p.base));
	SX_TRY(load_moments(ctx, t, path[2]));
	SX_TRY(read_state(ctx, t, path[3]));
out:
	sx_tensors_free(file);
	for (int i = 0; i < 4; i++) free(path[i]);
	return st;
}

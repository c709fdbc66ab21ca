/* Training: resuming bit for bit, the drop of the positional embedding, and what goes wrong on the
 * way: a loss that diverges, a disk that is full. In float. */
#include "tests/support/small_model.h"

#include "engine/model/train.h"
#include "engine/op/blas.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { T = 24, BATCH = 4, STEPS = 12, DROP_AT = 6 };

static char folder[] = "/tmp/sextant-test-train-XXXXXX";

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		char *inner = sx_format("%s/%s", path, e->d_name);
		if (inner && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(inner);
		free(inner);
	}
	if (d) closedir(d);
	remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	remove_tree(folder);
	return sx_path_exists(folder) ? -1 : 0;
}

static const char *in_folder(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", folder, name);
	return path;
}

static sx_spec spec(void)
{
	sx_spec s = small_spec("rope", 2, 24, 4, 2, 6);
	s.T = T;
	return s;
}

static sx_train_opts options(void)
{
	return (sx_train_opts){.steps = STEPS,
			       .batch = BATCH,
			       .accumulate = 2,
			       .lr = 1e-2,
			       .min_lr = 1e-3,
			       .warmup = 2,
			       .adamw = {0.9, 0.95, 1e-8, 0.1},
			       .clip = 1,
			       .drop_at = DROP_AT,
			       .drop_steps = STEPS - DROP_AT,
			       .drop_lr = 8e-3,
			       .drop_min_lr = 8e-4,
			       .drop_warmup = 2};
}

static sx_trainer *trainer(const sx_spec *s, const sx_train_opts *o)
{
	sx_trainer *t = NULL;
	assert_int_equal(sx_trainer_new(&t, NULL, small_model(s, 3, 0.2), o, T), SX_OK);
	return t;
}

static sx_status one_step(sx_ctx *ctx, sx_trainer *t, sx_step_result *r)
{
	uint64_t k = (uint64_t)t->step;
	int32_t *x = small_tokens(BATCH * T, 29, 2 * k),
		*y = small_tokens(BATCH * T, 29, 2 * k + 1);
	sx_status st =
		sx_trainer_step(ctx, t, &(sx_request){.tokens = x, .target = y}, NULL, NULL, r);
	free(x);
	free(y);
	return st;
}

/* Up to `until` updates, with the drop when it is due; rates into lr, if not NULL. */
static void go_on(sx_trainer *t, int64_t until, double *lr)
{
	while (t->step < until) {
		sx_step_result r;
		if (sx_trainer_drop_due(t)) assert_int_equal(sx_trainer_drop(NULL, t), SX_OK);
		assert_int_equal(one_step(NULL, t, &r), SX_OK);
		assert_true(isfinite(r.loss) && r.grad_norm > 0);
		if (lr) lr[t->step] = r.lr;
	}
}

static void check_same_state(const sx_trainer *a, const sx_trainer *b, const char *what)
{
	int64_t n = a->model->p.count;
	assert_int_equal(b->model->p.count, n);
	size_t size = (size_t)n * sizeof(sx_real);
	if (memcmp(a->model->p.base, b->model->p.base, size) != 0) fail_msg("%s: weights", what);
	if (memcmp(a->adam->m, b->adam->m, size) != 0) fail_msg("%s: first moments", what);
	if (memcmp(a->adam->v, b->adam->v, size) != 0) fail_msg("%s: second moments", what);
	assert_int_equal(a->adam->t, b->adam->t);
	assert_int_equal(a->step, b->step);
	assert_int_equal(a->phase, b->phase);
	assert_string_equal(a->model->spec.pos.method, b->model->spec.pos.method);
	assert_int_equal(a->model->spec.qk_norm, b->model->spec.qk_norm);
}

/* Saved after `at` updates, loaded into a trainer of other weights, and continued. */
static void check_resumed(const sx_train_opts *o, int64_t at, const char *what)
{
	char path[256];
	sx_spec s = spec();
	sx_trainer *whole = trainer(&s, o), *first = trainer(&s, o), *second = NULL;
	go_on(whole, STEPS, NULL);
	go_on(first, at, NULL);
	assert_int_equal(sx_trainer_save(NULL, first, in_folder(path, "step")), SX_OK);
	/* the first one is as good as dead: what it does from here must not matter */
	go_on(first, at + 1, NULL);
	sx_trainer_free(first);
	assert_int_equal(sx_trainer_new(&second, NULL, small_model(&s, 77, 0.5), o, T), SX_OK);
	assert_int_equal(sx_trainer_load(NULL, second, path), SX_OK);
	assert_int_equal(second->step, at);
	go_on(second, STEPS, NULL);
	check_same_state(second, whole, what);
	sx_trainer_free(second);
	sx_trainer_free(whole);
}

static void test_resume(void **state)
{
	(void)state;
	/* before the drop, at it (before and hence after resuming), after it, at the end */
	const int64_t at[] = {0, 1, DROP_AT - 1, DROP_AT, DROP_AT + 1, STEPS - 1};
	const sx_qk_norm norms[] = {SX_QK_NORM_NONE, SX_QK_NORM_FULL, SX_QK_NORM_HEAD};
	for (int n = 0; n < 3; n++)
		for (int fresh = 0; fresh < 2; fresh++)
			for (size_t k = 0; k < sizeof at / sizeof at[0]; k++) {
				char what[64];
				sx_train_opts o = options();
				o.drop_qk_norm = norms[n], o.drop_fresh = fresh;
				snprintf(what, sizeof what, "resumed at %d, norm %s, %s state",
					 (int)at[k], sx_qk_norm_name(norms[n]),
					 fresh ? "fresh" : "kept");
				check_resumed(&o, at[k], what);
			}
	sx_train_opts o = options();
	o.drop_keeps = true;
	check_resumed(&o, DROP_AT + 1, "resumed, positions kept");
	o.drop_at = -1;
	check_resumed(&o, 5, "resumed, no drop");
}

/* A checkpoint saved right after the drop is in phase recalibration and drops no more. */
static void test_resume_after_drop(void **state)
{
	(void)state;
	char path[256];
	sx_spec s = spec();
	sx_train_opts o = options();
	o.drop_qk_norm = SX_QK_NORM_FULL;
	sx_trainer *a = trainer(&s, &o), *b = trainer(&s, &o);
	go_on(a, DROP_AT, NULL);
	assert_int_equal(sx_trainer_drop(NULL, a), SX_OK);
	assert_int_equal(sx_trainer_save(NULL, a, in_folder(path, "dropped")), SX_OK);
	assert_int_equal(sx_trainer_load(NULL, b, path), SX_OK);
	assert_false(sx_trainer_drop_due(b));
	check_same_state(b, a, "after the drop");
	go_on(a, STEPS, NULL);
	go_on(b, STEPS, NULL);
	check_same_state(b, a, "continued after the drop");
	sx_trainer_free(a);
	sx_trainer_free(b);
}

/* A checkpoint of a model of another size replaces the trainer's. */
static void test_load_another_shape(void **state)
{
	(void)state;
	char path[256];
	sx_train_opts o = options();
	sx_spec small = spec(), large = spec();
	large.V = 200, large.C = 48, large.L = 3, large.qkv_bias = true;
	sx_trainer *a = trainer(&large, &o), *b = trainer(&small, &o);
	go_on(a, 2, NULL);
	assert_int_equal(sx_trainer_save(NULL, a, in_folder(path, "large")), SX_OK);
	assert_int_equal(sx_trainer_load(NULL, b, path), SX_OK);
	check_same_state(b, a, "another shape");
	go_on(a, 3, NULL);
	go_on(b, 3, NULL);
	check_same_state(b, a, "another shape, continued");
	sx_trainer_free(a);
	sx_trainer_free(b);
	sx_trainer *c = trainer(&small, &o);
	assert_int_equal(sx_trainer_load(NULL, c, in_folder(path, "nowhere")), SX_ENOINPUT);
	sx_trainer_free(c);
}

/* ---- the drop ---- */

static sx_real *logits_of(const sx_model *m)
{
	int64_t n = BATCH * T;
	sx_work *w = small_work(m, BATCH, T, SX_WORK_FORWARD);
	int32_t *x = small_tokens(n, 29, 99);
	assert_int_equal(sx_forward(NULL, m, w, &(sx_request){.tokens = x, .B = BATCH}, NULL),
			 SX_OK);
	sx_real *logits = sx_calloc((size_t)(n * m->spec.V), sizeof *logits);
	assert_non_null(logits);
	sx_logits(m, w, 0, n, logits);
	sx_work_free(w);
	free(x);
	return logits;
}

static bool same_logits(const sx_model *a, const sx_model *b)
{
	sx_real *x = logits_of(a), *y = logits_of(b);
	bool same = memcmp(x, y, (size_t)(BATCH * T * a->spec.V) * sizeof *x) == 0;
	free(x);
	free(y);
	return same;
}

static void test_drop_is_nope(void **state)
{
	(void)state;
	sx_spec s = spec(), nope = spec();
	snprintf(nope.pos.method, sizeof nope.pos.method, "nope");
	sx_train_opts o = options();
	sx_trainer *t = trainer(&s, &o);
	go_on(t, DROP_AT, NULL);
	size_t size = (size_t)t->model->p.count * sizeof(sx_real);
	sx_model *as_rope = small_model(&s, 1, 1), *as_nope = small_model(&nope, 1, 1);
	memcpy(as_rope->p.base, t->model->p.base, size);
	memcpy(as_nope->p.base, t->model->p.base, size);
	assert_true(sx_trainer_drop_due(t));
	assert_true(same_logits(t->model, as_rope) && !same_logits(t->model, as_nope));
	assert_int_equal(sx_trainer_drop(NULL, t), SX_OK);
	assert_true(same_logits(t->model, as_nope) && !same_logits(t->model, as_rope));
	assert_memory_equal(t->model->p.base, as_rope->p.base, size);
	assert_int_equal(t->phase, SX_PHASE_RECALIBRATION);
	assert_false(sx_trainer_drop_due(t));
	assert_int_equal(t->step, DROP_AT);
	assert_int_equal(t->adam->t, DROP_AT);
	sx_trainer_free(t);
	sx_model_free(as_rope);
	sx_model_free(as_nope);
}

/* The control: positions stay, everything else of the recalibration happens. */
static void test_drop_keeps(void **state)
{
	(void)state;
	sx_spec s = spec();
	sx_train_opts o = options();
	o.drop_keeps = true;
	sx_trainer *t = trainer(&s, &o);
	go_on(t, DROP_AT, NULL);
	sx_real *before = logits_of(t->model);
	assert_int_equal(sx_trainer_drop(NULL, t), SX_OK);
	sx_real *after = logits_of(t->model);
	assert_memory_equal(after, before, (size_t)(BATCH * T * s.V) * sizeof *after);
	assert_int_equal(t->phase, SX_PHASE_RECALIBRATION);
	free(before);
	free(after);
	sx_trainer_free(t);
}

/* QK-norm comes with gains of 1 and no moments of its own; the rest keeps weights and moments. */
static void test_drop_adds_norm(void **state)
{
	(void)state;
	const sx_qk_norm norms[] = {SX_QK_NORM_FULL, SX_QK_NORM_HEAD};
	for (int n = 0; n < 2; n++)
		for (int fresh = 0; fresh < 2; fresh++) {
			sx_spec s = spec();
			sx_train_opts o = options();
			o.drop_qk_norm = norms[n], o.drop_fresh = fresh;
			sx_trainer *t = trainer(&s, &o);
			go_on(t, DROP_AT, NULL);
			sx_params m, v, old_m;
			int64_t count = t->model->p.count;
			sx_real *moments = sx_calloc((size_t)count, sizeof *moments);
			sx_model *old = small_model(&s, 1, 1);
			assert_non_null(moments);
			memcpy(moments, t->adam->m, (size_t)count * sizeof *moments);
			memcpy(old->p.base, t->model->p.base, (size_t)count * sizeof *moments);
			assert_int_equal(sx_trainer_drop(NULL, t), SX_OK);
			const sx_spec *now = &t->model->spec;
			sx_params_layout(&m, now, t->adam->m);
			sx_params_layout(&v, now, t->adam->v);
			sx_params_layout(&old_m, &s, moments);
			int64_t width = sx_norm_width(now, now->H) * now->L;
			for (int64_t e = 0; e < width; e++)
				assert_true(t->model->p.q_norm[e] == 1 && m.q_norm[e] == 0 &&
					    v.q_norm[e] == 0);
			size_t head = (size_t)(s.V * s.C) * sizeof(sx_real);
			assert_memory_equal(t->model->p.head, old->p.head, head);
			assert_memory_equal(t->model->p.wq, old->p.wq, head / (size_t)s.V);
			assert_int_equal(t->adam->t, fresh ? 0 : DROP_AT);
			if (fresh)
				for (int64_t e = 0; e < t->adam->count; e++)
					assert_true(t->adam->m[e] == 0 && t->adam->v[e] == 0);
			else
				assert_memory_equal(m.head, old_m.head, head);
			go_on(t, STEPS, NULL);
			free(moments);
			sx_model_free(old);
			sx_trainer_free(t);
		}
}

/* Updates 1..drop_at equal those of the run without a drop: rates, weights, moments. */
static void test_before_the_drop(void **state)
{
	(void)state;
	double lr[2][STEPS + 1];
	sx_spec s = spec();
	sx_train_opts o = options();
	sx_trainer *with = trainer(&s, &o);
	o.drop_at = -1;
	sx_trainer *without = trainer(&s, &o);
	assert_false(sx_trainer_drop_due(with));
	go_on(with, DROP_AT, lr[0]);
	go_on(without, DROP_AT, lr[1]);
	for (int k = 1; k <= DROP_AT; k++) check_close(lr[0][k], lr[1][k], 0);
	check_same_state(with, without, "before the drop");
	assert_true(sx_trainer_drop_due(with) && !sx_trainer_drop_due(without));
	go_on(with, STEPS, lr[0]);
	go_on(without, STEPS, lr[1]);
	check_close(lr[0][DROP_AT + 1], 4e-3, 1e-17);
	check_close(lr[0][STEPS], 8e-4, 1e-17);
	check_close(lr[1][STEPS], 1e-3, 1e-17);
	sx_trainer_free(with);
	sx_trainer_free(without);
}

/* ---- what goes wrong ---- */

/* value: put into one weight, so that the loss (or only a part of it) is no number. */
static void check_refused(int64_t at, sx_real value, const char *what)
{
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_spec s = spec();
	sx_train_opts o = options();
	sx_trainer *t = trainer(&s, &o);
	go_on(t, 2, NULL);
	size_t size = (size_t)t->model->p.count * sizeof(sx_real);
	sx_real *old = malloc(3 * size), *m = old + t->model->p.count, *v = m + t->model->p.count;
	assert_non_null(old);
	t->model->p.base[at] = value;
	memcpy(old, t->model->p.base, size);
	memcpy(m, t->adam->m, size);
	memcpy(v, t->adam->v, size);
	sx_step_result r;
	sx_status st = one_step(&ctx, t, &r);
	if (st != SX_EDATA) fail_msg("%s: status %s, loss %g", what, sx_status_text(st), r.loss);
	/* what one sequence makes NaN is not left out of the mean */
	if (isfinite(r.loss)) fail_msg("%s: loss %g", what, r.loss);
	if (!strstr(ctx.message, "update 3")) fail_msg("%s: %s", what, ctx.message);
	assert_memory_equal(t->model->p.base, old, size);
	assert_memory_equal(t->adam->m, m, size);
	assert_memory_equal(t->adam->v, v, size);
	assert_int_equal(t->step, 2);
	assert_int_equal(t->adam->t, 2);
	free(old);
	sx_trainer_free(t);
}

static void test_divergence(void **state)
{
	(void)state;
	sx_spec s = spec();
	sx_trainer *t = trainer(&s, &(sx_train_opts){.batch = BATCH, .accumulate = 1});
	const sx_params *p = &t->model->p;
	int64_t wd = p->wd - p->base, ln_f = p->ln_f - p->base, embed = p->embed - p->base;
	sx_trainer_free(t);
	check_refused(wd, (sx_real)NAN, "NaN in a matrix");
	check_refused(ln_f, (sx_real)INFINITY, "infinity in a gain");
	check_refused(embed + 5 * s.C, (sx_real)NAN, "NaN in the embedding of one token");
}

/* A batch without a single target, and a token that is not of the vocabulary. */
static void test_bad_batches(void **state)
{
	(void)state;
	sx_spec s = spec();
	sx_train_opts o = options();
	sx_trainer *t = trainer(&s, &o);
	int32_t *x = small_tokens(BATCH * T, 29, 1), *y = small_tokens(BATCH * T, 29, 2);
	sx_step_result r;
	for (int i = 0; i < BATCH * T; i++) y[i] = -1;
	assert_int_equal(
		sx_trainer_step(NULL, t, &(sx_request){.tokens = x, .target = y}, NULL, NULL, &r),
		SX_EDATA);
	y[0] = 29;
	assert_int_equal(
		sx_trainer_step(NULL, t, &(sx_request){.tokens = x, .target = y}, NULL, NULL, &r),
		SX_EDATA);
	y[0] = 0, x[BATCH * T - 1] = -1;
	assert_int_equal(
		sx_trainer_step(NULL, t, &(sx_request){.tokens = x, .target = y}, NULL, NULL, &r),
		SX_EDATA);
	assert_int_equal(t->step, 0);
	free(x);
	free(y);
	sx_trainer_free(t);
}

static int64_t entries(const char *path)
{
	int64_t n = 0;
	DIR *d = opendir(path);
	assert_non_null(d);
	for (const struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Every file that a save writes is cut off somewhere; in a process of its own, for the limit
 * cannot be taken back by everyone. */
static void test_full_disk(void **state)
{
	(void)state;
	char here[256], path[512];
	sx_spec s = spec();
	sx_train_opts o = options();
	sx_trainer *t = trainer(&s, &o);
	go_on(t, 1, NULL);
	/* config.json has more than 100 bytes, the weights 4 n, the moments 8 n */
	rlim_t weights = (rlim_t)t->model->p.count * sizeof(sx_real);
	const rlim_t limits[] = {0, 100, 2000, weights / 2, weights + weights / 2};
	assert_int_equal(mkdir(in_folder(here, "full"), 0700), 0);
	snprintf(path, sizeof path, "%s/step", here);
	for (int old = 0; old < 2; old++) { /* without and with a checkpoint of that name */
		for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
			pid_t child = fork();
			assert_true(child >= 0);
			if (child == 0) {
				const struct rlimit limit = {limits[k], limits[k]};
				signal(SIGXFSZ, SIG_IGN);
				if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
				sx_status st = sx_trainer_save(NULL, t, path);
				_exit(st == SX_EIO || st == SX_ECREATE ? 0 : 1);
			}
			int status = 0;
			assert_int_equal(waitpid(child, &status, 0), child);
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				fail_msg("limit %llu: save was not refused (%d)",
					 (unsigned long long)limits[k], status);
			/* neither a folder without .tmp nor one with it, but the old one */
			assert_int_equal(entries(here), old);
		}
		if (old == 0) assert_int_equal(sx_trainer_save(NULL, t, path), SX_OK);
	}
	sx_trainer *u = trainer(&s, &o);
	assert_int_equal(sx_trainer_load(NULL, u, path), SX_OK); /* the old one is whole */
	check_same_state(u, t, "a checkpoint that a full disk did not replace");
	sx_trainer_free(u);
	sx_trainer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_after_drop),
		cmocka_unit_test(test_load_another_shape),
		cmocka_unit_test(test_drop_is_nope),
		cmocka_unit_test(test_drop_keeps),
		cmocka_unit_test(test_drop_adds_norm),
		cmocka_unit_test(test_before_the_drop),
		cmocka_unit_test(test_divergence),
		cmocka_unit_test(test_bad_batches),
		cmocka_unit_test(test_full_disk),
	};
	sx_blas_start(NULL, 1); /* the number of threads changes no bits: test_inert.c */
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

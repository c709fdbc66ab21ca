/* What the tests of the run file share: a folder that goes away, children that are killed, and a
 * small training run whose every number tells where it stands. */
#ifndef SX_TESTS_RUN_FIXTURE_H
#define SX_TESTS_RUN_FIXTURE_H

#include "probes/runfile/runfile.h"
#include "tests/support/check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	sx_ctx ctx;
	char dir[64];
	char path[4][96]; /* names in dir, as many as a test needs at once */
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	if (!f) return -1;
	sx_ctx_init(&f->ctx);
	snprintf(f->dir, sizeof f->dir, "/tmp/sextant-runfile-XXXXXX");
	if (!mkdtemp(f->dir)) return -1;
	for (int i = 0; i < 4; i++) snprintf(f->path[i], sizeof f->path[i], "%s/%d.h5", f->dir, i);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	DIR *d = opendir(f->dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[400];
		snprintf(path, sizeof path, "%s/%s", f->dir, e->d_name);
		unlink(path);
	}
	if (d) closedir(d);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* A failure in a child must not run on as a second test program. */
static bool a_child;
static inline void failed(const char *what, int st, const char *message)
{
	if (!a_child) fail_msg("%s: %d, %s", what, st, message);
	fprintf(stderr, "in a child: %s: %d, %s\n", what, st, message);
	_exit(100);
}

#define ok(f, expr) \
	do { \
		sx_status st_ = (expr); \
		if (st_ != SX_OK) failed(#expr, (int)st_, (f)->ctx.message); \
	} while (0)
#define check(expr) \
	do { \
		if (!(expr)) failed(#expr, 0, "is false"); \
	} while (0)

#define refused(f, expr, want, word) \
	do { \
		(f)->ctx.message[0] = '\0'; \
		sx_status st_ = (expr); \
		if (st_ != (want) || !strstr((f)->ctx.message, word)) \
			failed(#expr, (int)st_, (f)->ctx.message); \
	} while (0)

/* Runs body in a child of its own; returns how it ended. */
static inline int in_child(void (*body)(struct fixture *f), struct fixture *f)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		a_child = true;
		body(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline off_t size_of(const char *path)
{
	struct stat sb;
	return stat(path, &sb) == 0 ? sb.st_size : -1;
}

static inline double half_value(unsigned h)
{
	unsigned e = h >> 10 & 31, m = h & 1023;
	double v = e ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24);
	return h >> 15 ? -v : v;
}

/* ---- a small training run ---- */

enum { LAYERS = 3, HEADS = 2, SEQS = 4, SLH = SEQS * LAYERS * HEADS, MAPS = 2, T = 8, BLOCK = 4 };

/* Any number, made from where it stands and which attempt wrote it. */
static inline double made(int attempt, int64_t step, int phase, int64_t i)
{
	return attempt * 1000.0 + (double)step + phase * 0.5 + (double)i * 0x1p-10;
}

static inline void begin_segment(struct fixture *f, sx_run **out, const char *path, bool live)
{
	sx_run *run;
	const char *c[] = {"diagonal", "previous", "offset:12"};
	ok(f, sx_run_create(&run, &f->ctx, path, live));
	ok(f, sx_run_attr_int(run, "/", "seed", 17));
	ok(f, sx_run_attr_str(run, "/", "command_line", "sextant train \xc3\xa9.yaml"));
	ok(f, sx_run_grow(run, SX_RUN_TRAIN_STEP, BLOCK));
	ok(f, sx_run_define(run, SX_RUN_TRAIN_PHASE));
	ok(f, sx_run_define(run, SX_RUN_TRAIN_LOSS));
	ok(f, sx_run_grow(run, SX_RUN_STATS_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_SEQUENCE, SEQS));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_LAYER, LAYERS));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_HEAD, HEADS));
	ok(f, sx_run_define(run, SX_RUN_STATS_PHASE));
	ok(f, sx_run_define(run, SX_RUN_STATS_SEQUENCE_KIND));
	ok(f, sx_run_define(run, SX_RUN_STATS_ENTROPY));
	ok(f, sx_run_define(run, SX_RUN_STATS_Q_NORM));
	ok(f,
	   sx_run_attr_ints(run, "/stats/q_norm", "n_rows", (const int64_t[]){7, 6, 5, 4}, SEQS));
	ok(f, sx_run_grow(run, SX_RUN_ATTN_SAMPLE, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_MAP, MAPS));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_QUERY, T));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_KEY, T));
	ok(f, sx_run_define(run, SX_RUN_ATTN_SAMPLE_STEP));
	ok(f, sx_run_define(run, SX_RUN_ATTN_PROB));
	ok(f, sx_run_grow(run, SX_RUN_CHECKPOINTS_CKPT, 1));
	ok(f, sx_run_define(run, SX_RUN_CHECKPOINTS_STEP));
	ok(f, sx_run_define(run, SX_RUN_CHECKPOINTS_PATH));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, 3, c));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_LAYER, LAYERS));
	ok(f, sx_run_axis_index(run, SX_RUN_ROPE_FREQ, 4));
	ok(f, sx_run_attr_str(run, "/rope", "pairing", "half"));
	ok(f, sx_run_define(run, SX_RUN_ROPE_INV_FREQ));
	double inv_freq[LAYERS * 4];
	for (int i = 0; i < LAYERS * 4; i++) inv_freq[i] = 1.0 / (i + 1);
	ok(f, sx_run_put(run, SX_RUN_ROPE_INV_FREQ, 0, inv_freq));
	ok(f, sx_run_put(run, SX_RUN_STATS_SEQUENCE_KIND, 0, ((const uint8_t[]){0, 0, 1, 2})));
	ok(f, sx_run_meta(run, SX_RUN_META_CONFIG_YAML, "seed: 17\n# \xe2\x88\x9a\n"));
	*out = run;
}

static inline void put_train(struct fixture *f, sx_run *run, int attempt, int64_t step, int phase)
{
	int64_t rec = sx_run_records(run, SX_RUN_TRAIN_STEP);
	uint8_t flag = (uint8_t)phase;
	double loss = made(attempt, step, phase, 0);
	ok(f, sx_run_put(run, SX_RUN_TRAIN_PHASE, rec, &flag));
	ok(f, sx_run_put(run, SX_RUN_TRAIN_LOSS, rec, &loss));
	ok(f, sx_run_put(run, SX_RUN_TRAIN_STEP, rec, &step));
	ok(f, sx_run_flush(run, SX_RUN_TRAIN_STEP));
}

static inline void put_stats(struct fixture *f, sx_run *run, int attempt, int64_t step, int phase,
			     bool flush)
{
	float entropy[SLH];
	int64_t rec = sx_run_records(run, SX_RUN_STATS_STEP);
	uint8_t flag = (uint8_t)phase;
	for (int i = 0; i < SLH; i++) entropy[i] = (float)made(attempt, step, phase, i);
	ok(f, sx_run_put(run, SX_RUN_STATS_PHASE, rec, &flag));
	ok(f, sx_run_put(run, SX_RUN_STATS_ENTROPY, rec, entropy));
	ok(f, sx_run_put(run, SX_RUN_STATS_STEP, rec, &step));
	if (flush) ok(f, sx_run_flush(run, SX_RUN_STATS_STEP));
}

static inline float map_value(int64_t step, int64_t map, int64_t i)
{
	return (float)(i % 7 + 1) / (float)(step + 3 + map);
}

static inline void put_sample(struct fixture *f, sx_run *run, int64_t step)
{
	int64_t rec = sx_run_records(run, SX_RUN_ATTN_SAMPLE);
	for (int64_t m = 0; m < MAPS; m++) { /* map by map, as a probe does */
		float prob[T * T];
		for (int i = 0; i < T * T; i++) prob[i] = map_value(step, m, i);
		ok(f, sx_run_put_block(run, SX_RUN_ATTN_PROB, ((const int64_t[]){rec, m, 0, 0}),
				       ((const int64_t[]){1, 1, T, T}), prob));
	}
	ok(f, sx_run_put(run, SX_RUN_ATTN_SAMPLE_STEP, rec, &step));
	ok(f, sx_run_put(run, SX_RUN_ATTN_SAMPLE, rec, &rec));
	ok(f, sx_run_flush(run, SX_RUN_ATTN_SAMPLE));
}

static inline void put_checkpoint(struct fixture *f, sx_run *run, int64_t step)
{
	int64_t rec = sx_run_records(run, SX_RUN_CHECKPOINTS_CKPT);
	char name[64];
	const char *path = name;
	snprintf(name, sizeof name, "checkpoints/step-%08lld", (long long)step);
	ok(f, sx_run_put(run, SX_RUN_CHECKPOINTS_STEP, rec, &step));
	ok(f, sx_run_put(run, SX_RUN_CHECKPOINTS_PATH, rec, &path));
	ok(f, sx_run_put(run, SX_RUN_CHECKPOINTS_CKPT, rec, &rec));
	ok(f, sx_run_flush(run, SX_RUN_CHECKPOINTS_CKPT));
}

static inline sx_run_file *open_run(struct fixture *f, const char *path)
{
	sx_run_file *in = NULL;
	ok(f, sx_run_open(&in, &f->ctx, path));
	return in;
}

/* The records of a group: as many steps as `want` holds, attempt and phase as it says. */
struct expected {
	int64_t step;
	int phase, attempt;
};

static inline void check_records(struct fixture *f, sx_run_file *in, sx_run_id axis,
				 sx_run_id value, const struct expected *want, int64_t n)
{
	int64_t dims[SX_RUN_MAX_DIMS], total, step[64], per = 1;
	int ndim;
	double *got;
	ok(f, sx_run_shape(in, axis, dims, &ndim));
	assert_int_equal(dims[0], n);
	ok(f, sx_run_shape(in, value, dims, &ndim));
	assert_int_equal(dims[0], n);
	for (int i = 1; i < ndim; i++) per *= dims[i];
	ok(f, sx_run_read(in, axis, NULL, NULL, step));
	ok(f, sx_run_read_all(in, value, &got, &total));
	assert_int_equal(total, n * per);
	for (int64_t r = 0; r < n; r++) {
		assert_int_equal(step[r], want[r].step);
		for (int64_t i = 0; i < per; i++)
			assert_true(got[r * per + i] == (double)(float)made(want[r].attempt,
									    want[r].step,
									    want[r].phase, i));
	}
	free(got);
}

#endif

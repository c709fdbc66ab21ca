/* What is left of a run that is killed, wherever that happens: a run of 200 updates is killed before
 * and after its calls that change files, in the middle of its writes and at random moments; it meets a
 * full disk, a folder that cannot be written, SIGTERM and a network's file system. Each time
 *
 *	- every run file that has its name opens, can be listed and is whole (`sextant check`, `ls`);
 *	- its records are the first ones of a run that nobody disturbed, bit for bit, and none is
 *	  missing that was flushed before the last line of the log;
 *	- `sextant recover` and `sextant train --resume` go on to the undisturbed run's checkpoints and
 *	  records, bit for bit.
 *
 *	test_kill SEXTANT INTERPOSER.so [N|all|K/M]     at N calls of each kind (10), at all of them, or at
 *	                                                every M-th from the K-th on (1/8 .. 8/8 are all) */
#include "probes/runfile/runfile.h"
#include "tests/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ROWS = 512, PATH_SIZE = 256 };

static const char config[] =
	"data: {text: [text.txt]}\n"
	"model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}\n"
	"train: {steps: 120, batch: 4, warmup: 2, checkpoint_every: 50, drop_at: 100, "
	"drop: {steps: 100, warmup: 2}}\n"
	"probe: {every: 20, around_drop: {within: 4, every: 2}, ac_train: true, maps: {every: "
	"40}}\n"
	"eval: {every: 100, lengths: [32, 64], windows: 2, niah_trials: 2}\n";

/* A disturbance: what the interposer is told. */
typedef struct {
	const char *what; /* SX_DO; NULL: nothing */
	long at;
	const char *fs;    /* SX_FS                */
	const char *clock; /* SX_CLOCK             */
	long file_limit;   /* bytes; 0 = none      */
	long kill_after;   /* microseconds; 0 = not killed from outside */
} disturbance;

/* What the undisturbed run has of a dataset that grows; read once, asked for thousands of times. */
typedef struct {
	bool known;
	sx_run_id axis; /* SX_RUN_COUNT: it does not grow, or is not there */
	int64_t rows, n;
	double *values; /* (n); NULL: texts, or it cannot be read */
} dataset;

typedef struct {
	char *sextant, *interposer;
	char dir[64];
	long calls, tearable; /* of the undisturbed run */
	double seconds;       /* it took                */
	long points;          /* of each kind to try; 0 = from `first` on each `stride`-th */
	long first, stride;
	sx_ctx ctx;
	sx_run_file *whole; /* the undisturbed run */
	dataset set[SX_RUN_COUNT];
	bool stops;        /* what is tried adds a checkpoint to the run */
	long faults, said; /* all, and those of what is being tried */
	char now[128];     /* what is being tried                   */
} world;

static world w;

static const char *in(const char *name)
{
	static char path[8][PATH_SIZE];
	static int next;
	char *p = path[next++ % 8];
	snprintf(p, PATH_SIZE, "%s/%s", w.dir, name);
	return p;
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		char inner[2 * PATH_SIZE];
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
		snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
		if (sx_path_is_dir(inner))
			remove_tree(inner);
		else
			unlink(inner);
	}
	if (d) closedir(d);
	rmdir(path);
}

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
	enum { ENOUGH = 4 };
	va_list ap;
	w.faults++;
	if (w.said++ >= ENOUGH) return;
	va_start(ap, fmt);
	printf("FAILED: %s: ", w.now);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
	va_end(ap);
}

/* Names what is tried next, in an empty place. */
__attribute__((format(printf, 1, 2))) static void begin(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w.now, sizeof w.now, fmt, ap);
	va_end(ap);
	w.said = 0;
	remove_tree(in("run"));
}

/* ---- running the program ---- */

static void disturb(const disturbance *d)
{
	char number[32];
	if (!d) return;
	setenv("LD_PRELOAD", w.interposer, 1);
	if (d->what) setenv("SX_DO", d->what, 1);
	snprintf(number, sizeof number, "%ld", d->at);
	setenv("SX_AT", number, 1);
	setenv("SX_COUNT", in("count"), 1);
	if (d->fs) setenv("SX_FS", d->fs, 1);
	if (d->clock) setenv("SX_CLOCK", d->clock, 1);
	if (d->file_limit) {
		struct rlimit limit = {(rlim_t)d->file_limit, (rlim_t)d->file_limit};
		if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(101);
	}
}

/* The exit code, or 128 + the signal. What it says goes to err.txt. */
static int sextant(const disturbance *d, const char *const *arguments)
{
	const char *argv[12] = {w.sextant};
	int status, n = 1;
	while (n < 11 && arguments[n - 1]) argv[n] = arguments[n - 1], n++;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(in("err.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(w.dir) != 0) _exit(101);
		disturb(d);
		execv(w.sextant, (char *const *)argv);
		_exit(101);
	}
	if (d && d->kill_after) {
		struct timespec t = {d->kill_after / 1000000, d->kill_after % 1000000 * 1000};
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int train(const disturbance *d, const char *run, bool resume)
{
	const char *const arguments[] = {"train", "tiny.yaml", "-o", run,
					 "-q",    "--threads", "1",  resume ? "--resume" : NULL,
					 NULL};
	return sextant(d, arguments);
}

static void want_zero(const char *verb, const char *run)
{
	const char *const arguments[] = {verb, run, NULL};
	int code = sextant(NULL, arguments);
	char *said = NULL;
	size_t size;
	if (code == 0) return;
	if (sx_read_file(NULL, in("err.txt"), &said, &size) != SX_OK) said = NULL;
	complain("sextant %s %s exits with %d: %.400s", verb, run, code, said ? said : "");
	free(said);
}

/* ---- what a run file must hold ---- */

/* Of a dataset along a growing axis the axis, else SX_RUN_COUNT. */
static sx_run_id axis_of(sx_run_id id)
{
	const sx_run_row *row = &sx_run_rows[id];
	char path[64];
	snprintf(path, sizeof path, "%.*s/%.*s", (int)(strrchr(row->path, '/') - row->path),
		 row->path, (int)strcspn(row->dims, ","), row->dims);
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (strcmp(sx_run_rows[i].path, path) == 0 && sx_run_is_growing_axis((sx_run_id)i))
			return (sx_run_id)i;
	return SX_RUN_COUNT;
}

static int64_t rows_of(sx_run_file *f, sx_run_id id)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	return sx_run_has(f, id) && sx_run_shape(f, id, dims, &ndim) == SX_OK ? dims[0] : -1;
}

static const dataset *undisturbed(sx_run_id id)
{
	dataset *d = &w.set[id];
	if (d->known) return d;
	*d = (dataset){.known = true, .axis = axis_of(id), .rows = rows_of(w.whole, id)};
	if (d->rows < 0) d->axis = SX_RUN_COUNT;
	if (d->axis == SX_RUN_COUNT || sx_run_rows[id].type == SX_DISK_STR) return d;
	if (sx_run_read_all(w.whole, id, &d->values, &d->n) != SX_OK) d->values = NULL;
	return d;
}

/* Updates that the log tells of, by its last whole line about one. */
static int64_t logged(const char *run)
{
	char name[64], *text = NULL;
	size_t size;
	int64_t step = 0;
	snprintf(name, sizeof name, "%s/log.jsonl", run);
	if (sx_read_file(NULL, in(name), &text, &size) != SX_OK) return 0;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		if (strncmp(line, "{\"event\":\"step\",\"step\":", 23) == 0)
			step = strtoll(line + 23, NULL, 10);
	free(text);
	return step;
}

static bool has_checkpoint(const char *run, int64_t step)
{
	char name[96];
	snprintf(name, sizeof name, "%s/checkpoints/step-%08lld/model.safetensors", run,
		 (long long)step);
	return sx_path_exists(in(name));
}

/* Records of an axis that were flushed when update `done` was logged. An update's line is written
 * after its flush, and before what is measured after it. */
static int64_t flushed(const char *run, sx_run_id axis, int64_t done, bool every_update)
{
	enum { BLOCK = 64, EVERY = 50 }; /* rows of /train between flushes; checkpoint_every */
	int64_t step[MOST_ROWS], n = undisturbed(axis)->rows, count = 0;
	if (axis == SX_RUN_TRAIN_STEP || axis == SX_RUN_AC_TRAIN_STEP) {
		if (every_update) return done;
		count = done / BLOCK * BLOCK;
		for (int64_t c = 0; c <= done; c += EVERY)
			if (c > count && has_checkpoint(run, c)) count = c;
		return count;
	}
	sx_run_id id = axis == SX_RUN_ATTN_SAMPLE        ? SX_RUN_ATTN_SAMPLE_STEP
		       : axis == SX_RUN_CHECKPOINTS_CKPT ? SX_RUN_CHECKPOINTS_STEP
							 : axis;
	assert_true(n <= MOST_ROWS);
	assert_int_equal(sx_run_read(w.whole, id, NULL, NULL, step), SX_OK);
	for (int64_t i = 0; i < n; i++) count += step[i] < done;
	return count;
}

static bool same_texts(sx_run_file *a, sx_run_id id, int64_t n)
{
	char **x = NULL, **y = NULL;
	int64_t nx = 0, ny = 0;
	bool same = sx_run_strings(a, id, &x, &nx) == SX_OK &&
		    sx_run_strings(w.whole, id, &y, &ny) == SX_OK && nx >= n && ny >= n;
	for (int64_t i = 0; same && i < n; i++) same = strcmp(x[i], y[i]) == 0;
	free(x);
	free(y);
	return same;
}

/* The first n records are those of the undisturbed run. */
static bool same_records(sx_run_file *a, sx_run_id id, int64_t n)
{
	const dataset *d = undisturbed(id);
	double *x = NULL;
	int64_t nx = 0;
	if (sx_run_rows[id].type == SX_DISK_STR) return same_texts(a, id, n);
	bool same = sx_run_read_all(a, id, &x, &nx) == SX_OK && d->values && d->rows >= n;
	if (same && n > 0) {
		int64_t count = d->n / d->rows * n;
		same = nx == count && memcmp(x, d->values, (size_t)count * sizeof *x) == 0;
	}
	free(x);
	return same;
}

static sx_status check_listed(void *self, const sx_run_item *item)
{
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (strcmp(sx_run_rows[i].path, item->path) == 0 &&
		    rows_of(self, (sx_run_id)i) != item->dims[0])
			complain("%s is listed with %lld rows", item->path,
				 (long long)item->dims[0]);
	return SX_OK;
}

/* A file whose records are the run's first, as many as `done` logged updates call for; all of them
 * where done < 0. */
static void check_file(const char *run, const char *name, int64_t done, bool every_update)
{
	char path[96];
	sx_run_file *f = NULL;
	snprintf(path, sizeof path, "%s/%s", run, name);
	if (sx_run_open(&f, &w.ctx, in(path)) != SX_OK) {
		complain("%s", w.ctx.message);
		return;
	}
	if (sx_run_walk(f, check_listed, f) != SX_OK) complain("%s", w.ctx.message);
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i, axis = undisturbed(id)->axis;
		bool clock = id == SX_RUN_TRAIN_WALL_TIME || id == SX_RUN_TRAIN_TOKENS_PER_S;
		if (axis == SX_RUN_COUNT) continue;
		if (axis == SX_RUN_CHECKPOINTS_CKPT && w.stops) continue;
		int64_t n = rows_of(f, id), all = undisturbed(id)->rows;
		int64_t least = done < 0 ? all : flushed(run, axis, done, every_update);
		if (n < least || n > all)
			complain("%s of %s has %lld rows, not %lld to %lld", sx_run_rows[id].path,
				 path, (long long)n, (long long)least, (long long)all);
		else if (!clock && !same_records(f, id, n))
			complain("%s of %s differs", sx_run_rows[id].path, path);
	}
	sx_run_file_close(f);
}

static bool same_files(const char *a, const char *b)
{
	char *x = NULL, *y = NULL;
	size_t nx = 0, ny = 1;
	bool same = sx_read_file(NULL, in(a), &x, &nx) == SX_OK &&
		    sx_read_file(NULL, in(b), &y, &ny) == SX_OK && nx == ny &&
		    memcmp(x, y, nx) == 0;
	free(x);
	free(y);
	return same;
}

/* The whole run, as if nobody had disturbed it. */
static void check_whole(const char *run)
{
	static const char *const files[] = {"model.safetensors", "optimizer.safetensors",
					    "state.json", "config.json"};
	char a[96], b[96];
	for (int step = 0; step <= 200; step += 50)
		for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
			snprintf(a, sizeof a, "%s/checkpoints/step-%08d/%s", run, step, files[i]);
			snprintf(b, sizeof b, "whole/checkpoints/step-%08d/%s", step, files[i]);
			if (!same_files(a, b)) complain("%s differs", a);
		}
	check_file(run, "run.h5", -1, false);
	want_zero("check", run);
}

/* ---- one disturbance ---- */

static bool there(const char *run, const char *name)
{
	char path[96];
	snprintf(path, sizeof path, "%s/%s", run, name);
	return sx_path_exists(in(path));
}

/* What a disturbed run left, and what becomes of it. */
static void check_left(const char *run, bool every_update)
{
	if (there(run, "live/seg-0000.h5")) {
		check_file(run, "live/seg-0000.h5", logged(run), every_update);
		want_zero("check", run);
		want_zero("ls", run);
		if (there(run, "run.h5")) {
			check_file(run, "run.h5", -1, false);
		} else {
			want_zero("recover", run);
			check_file(run, "run.h5", logged(run), every_update);
		}
	}
	int code = train(NULL, run, there(run, "config.yaml"));
	if (code != 0) complain("going on exits with %d", code);
	check_whole(run);
}

static int try(const disturbance *d)
{
	begin("%s %ld", d->what ? d->what : "killed after us", d->what ? d->at : d->kill_after);
	int code = train(d, "run", false);
	check_left("run", false);
	return code;
}

/* Calls of each kind: w.points of them spread over the run with both ends, or each w.stride-th. */
static void at_calls(const char *what, long calls, bool (*fine)(int code))
{
	bool spread = w.points && w.points < calls;
	long n = spread ? w.points : (calls - w.first) / w.stride + 1, before = w.faults;
	for (long i = 0; i < n; i++) {
		disturbance d = {.what = what, .at = w.first + w.stride * i};
		if (spread) d.at = n > 1 ? 1 + (calls - 1) * i / (n - 1) : 1;
		int code = try(&d);
		if (!fine(code)) complain("exits with %d", code);
	}
	print_message("%s: %ld of %ld calls, %ld faults\n", what, n, calls, w.faults - before);
	assert_int_equal(w.faults, before);
}

/* The last calls of a run differ in number with how well its times compress: it may get through. */
static bool killed(int code)
{
	return code == 128 + SIGKILL || code == 0;
}

static void kills_before_calls(void **state)
{
	(void)state;
	at_calls("before", w.calls, killed);
}

/* Between a call and the next one nothing changes on disk, but the two are not the same to say. */
static void kills_after_calls(void **state)
{
	(void)state;
	at_calls("after", w.calls, killed);
}

static void kills_within_writes(void **state)
{
	(void)state;
	at_calls("torn", w.tearable, killed);
}

/* ---- all states ---- */

/* The segment as far as it is written: opens, its records are the first of the undisturbed run. */
static void check_state(const char *name, int64_t rows[SX_RUN_COUNT])
{
	sx_run_file *f = NULL;
	if (sx_run_open(&f, &w.ctx, in(name)) != SX_OK) {
		complain("%s", w.ctx.message);
		return;
	}
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i, axis = undisturbed(id)->axis;
		bool clock = id == SX_RUN_TRAIN_WALL_TIME || id == SX_RUN_TRAIN_TOKENS_PER_S;
		if (axis == SX_RUN_COUNT || clock) continue;
		int64_t n = rows_of(f, id);
		if (n < rows[i]) complain("%s has lost rows", sx_run_rows[id].path);
		/* What is not an axis is read where it has grown; it can be read no less later. */
		if ((id == axis || n > rows[i]) && !same_records(f, id, n))
			complain("%s differs, of %lld rows", sx_run_rows[id].path, (long long)n);
		rows[i] = n;
	}
	sx_run_file_close(f);
}

static void put(int fd, const char *data, int64_t n, int64_t offset)
{
	assert_int_equal(pwrite(fd, data, (size_t)n, (off_t)offset), n);
}

/* The file as a kill would leave it after any of its writes, and within those over a border between the
 * system's pages: put together again from what a run wrote. */
static void every_state_of_a_segment(void **state)
{
	(void)state;
	enum { PAGE = 4096 };
	char *all = NULL;
	size_t size;
	int64_t rows[SX_RUN_COUNT] = {0}, head[2], writes = 0, torn = 0;
	bool named = false;
	long before = w.faults;
	begin("states");
	unlink(in("count"));
	assert_int_equal(train(&(disturbance){.what = "record"}, "run", false), 0);
	assert_int_equal(sx_read_file(&w.ctx, in("count"), &all, &size), SX_OK);
	int fd = open(in("state.h5"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	assert_true(fd >= 0);
	for (const char *at = all; at + sizeof head <= all + size;) {
		memcpy(head, at, sizeof head);
		at += sizeof head;
		named = named || head[1] < 0;
		if (head[1] < 0) continue;
		int64_t border = (head[0] + head[1] - 1) / PAGE * PAGE;
		if (named && border > head[0]) {
			put(fd, at, border - head[0], head[0]);
			check_state("state.h5", rows);
			torn++;
		}
		put(fd, at, head[1], head[0]);
		if (named) check_state("state.h5", rows);
		at += head[1];
		writes += named;
	}
	close(fd);
	free(all);
	print_message("states: %lld after writes, %lld within, %ld faults\n", (long long)writes,
		      (long long)torn, w.faults - before);
	assert_true(named && rows[SX_RUN_TRAIN_STEP] == 200 && writes > 2000);
	assert_int_equal(w.faults, before);
}

static void kills_at_random(void **state)
{
	(void)state;
	long n = w.points ? w.points / 3 : 100, before = w.faults;
	for (long i = 0; i < n; i++) {
		double at = sx_uniform(1, SX_STREAM_TEST, (uint64_t)i) * w.seconds;
		disturbance d = {.kill_after = 1 + (long)(at * 1e6)};
		try(&d);
	}
	print_message("at random: %ld moments of %.2f s, %ld faults\n", n, w.seconds,
		      w.faults - before);
	assert_int_equal(w.faults, before);
}

/* ---- other disturbances ---- */

static bool told(int code)
{
	return code == 73 || code == 74 ||
	       code == 0; /* cannot create; writing failed; got through */
}

static void disk_is_full_from_a_call_on(void **state)
{
	(void)state;
	at_calls("full", w.calls, told);
}

static void folder_turns_read_only(void **state)
{
	(void)state;
	at_calls("fail", w.calls, told);
}

static void files_meet_a_limit(void **state)
{
	(void)state;
	long before = w.faults;
	for (long limit = 1 << 10; limit < 1 << 20; limit *= 2) {
		disturbance d = {.file_limit = limit};
		begin("files up to %ld bytes", limit);
		int code = train(&d, "run", false);
		if (!told(code)) complain("exits with %d", code);
		check_left("run", false);
	}
	assert_int_equal(w.faults, before);
}

static void folder_is_read_only(void **state)
{
	(void)state;
	long before = w.faults;
	if (geteuid() == 0) {
		print_message("skipped: root may write anywhere\n");
		return;
	}
	begin("a read-only folder");
	assert_int_equal(mkdir(in("locked"), 0555), 0);
	int code = train(NULL, "locked/run", false);
	if (code != 73) complain("exits with %d", code);
	rmdir(in("locked"));
	assert_int_equal(w.faults, before);
}

static bool stopped(int code)
{
	/* before the run catches the signal it ends by it; after the last update it is done */
	return code == 75 || code == 128 + SIGTERM || code == 0;
}

static void stops_on_sigterm(void **state)
{
	(void)state;
	long before = w.faults, resumable = 0, n = w.points ? w.points : 100;
	w.stops = true;
	for (long i = 0; i < n; i++) {
		disturbance d = {.what = "term", .at = 1 + w.calls * i / n};
		int code = try(&d);
		if (!stopped(code)) complain("exits with %d", code);
		resumable += code == 75;
	}
	w.stops = false;
	print_message("SIGTERM: %ld moments, %ld times exit 75\n", n, resumable);
	assert_true(resumable > n / 4);
	assert_int_equal(w.faults, before);
}

/* Updates as slow as five minutes each do not wait for their block of 64 to fill. */
static void slow_updates_are_flushed(void **state)
{
	(void)state;
	long before = w.faults;
	for (long i = 1; i < 8; i++) {
		disturbance d = {.what = "before", .at = w.calls * i / 8, .clock = "1000000"};
		begin("slow updates, before call %ld", d.at);
		train(&d, "run", false);
		check_left("run", true);
	}
	assert_int_equal(w.faults, before);
}

/* ---- a network's file system ---- */

static int count_segments(const char *run)
{
	char name[64];
	for (int n = 0;; n++) {
		snprintf(name, sizeof name, "live/seg-%04d.h5", n);
		if (!there(run, name)) return n;
	}
}

/* Closed segments, each of them whole and none of them live. */
static void check_segments(const char *run)
{
	char path[96];
	for (int n = 0; n < count_segments(run); n++) {
		sx_run_file *f = NULL;
		snprintf(path, sizeof path, "%s/live/seg-%04d.h5", run, n);
		if (sx_run_open(&f, &w.ctx, in(path)) != SX_OK)
			complain("%s", w.ctx.message);
		else if (sx_run_is_live(f))
			complain("%s is a live file", path);
		sx_run_file_close(f);
	}
}

static void no_swmr_over_a_network(void **state)
{
	(void)state;
	long before = w.faults;
	disturbance d = {.fs = "6969"};
	begin("on NFS");
	int code = train(&d, "run", false);
	if (code != 0) complain("exits with %d", code);
	check_segments("run");
	check_whole("run");
	assert_int_equal(count_segments("run"),
			 5); /* to 50, 100, 150, 200, and that checkpoint's own */
	long n = w.points ? w.points / 3 : 100;
	for (long i = 1; i < n; i++) {
		disturbance k = {.what = "before", .at = w.calls * i / n, .fs = "6969"};
		begin("on NFS, before call %ld", k.at);
		train(&k, "run", false);
		check_segments("run");
		bool any = count_segments("run") > 0;
		if (any) want_zero("check", "run");
		if (any && !there("run", "run.h5")) want_zero("recover", "run");
		code = train(&d, "run", there("run", "config.yaml"));
		if (code != 0) complain("going on exits with %d", code);
		check_whole("run");
	}
	/* By the clock: five minutes pass with every update. */
	disturbance slow = {.fs = "6969", .clock = "1000000"};
	begin("on NFS, slow updates");
	code = train(&slow, "run", false);
	if (code != 0) complain("exits with %d", code);
	assert_true(count_segments("run") >= 200);
	check_segments("run");
	check_whole("run");
	assert_int_equal(w.faults, before);
}

static void networks_are_known(void **state)
{
	(void)state;
	static const uint32_t network[] = {0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x0bd00bd0};
	static const uint32_t local[] = {0xef53 /* ext4 */,        0x58465342 /* XFS */,
					 0x01021994 /* tmpfs */,   0x9123683e /* btrfs */,
					 0x794c7630 /* overlay */, 0x2fc12fc1 /* ZFS */};
	for (size_t i = 0; i < sizeof network / sizeof *network; i++)
		assert_true(sx_fs_is_networked(network[i]));
	for (size_t i = 0; i < sizeof local / sizeof *local; i++)
		assert_false(sx_fs_is_networked(local[i]));
	assert_false(sx_path_is_networked("/nothing/of/that/name"));
}

/* Half a line in the log takes nothing of what a resumed run adds. */
static void half_a_line_stays_alone(void **state)
{
	(void)state;
	disturbance d = {.what = "before", .at = w.calls / 2};
	char *text = NULL, *at;
	size_t size;
	remove_tree(in("run"));
	train(&d, "run", false);
	FILE *f = fopen(in("run/log.jsonl"), "a");
	assert_non_null(f);
	fputs("{\"event\":\"st", f);
	fclose(f);
	assert_int_equal(train(NULL, "run", true), 0);
	assert_int_equal(sx_read_file(&w.ctx, in("run/log.jsonl"), &text, &size), SX_OK);
	at = strstr(text, "{\"event\":\"st\n{\"event\":\"start\",");
	assert_non_null(at);
	free(text);
}

/* ---- the world ---- */

static int make_world(void **state)
{
	(void)state;
	disturbance count = {.what = "count"};
	struct timespec a, b;
	FILE *f;
	char *text = NULL;
	size_t size;
	sx_ctx_init(&w.ctx);
	snprintf(w.dir, sizeof w.dir, "/tmp/sextant-kill-XXXXXX");
	if (!mkdtemp(w.dir)) return -1;
	f = fopen(in("text.txt"), "w");
	for (int i = 1; f && i <= 400; i++)
		fprintf(f, "The quick brown fox %d jumps over %d lazy dogs.\n", i, i * 7919 % 1000);
	if (!f || fclose(f) != 0) return -1;
	if (sx_write_file(&w.ctx, in("tiny.yaml"), config, strlen(config)) != SX_OK) return -1;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (train(&count, "whole", false) != 0) return -1;
	clock_gettime(CLOCK_MONOTONIC, &b);
	w.seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	if (sx_read_file(&w.ctx, in("count"), &text, &size) != SX_OK) return -1;
	int found = sscanf(text, "%ld %ld", &w.calls, &w.tearable);
	free(text);
	if (found != 2 || sx_run_open(&w.whole, &w.ctx, in("whole/run.h5")) != SX_OK) return -1;
	print_message("a run of %.2f s makes %ld calls that change files, %ld of them tearable\n",
		      w.seconds, w.calls, w.tearable);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	sx_run_file_close(w.whole);
	for (int i = 0; i < SX_RUN_COUNT; i++) free(w.set[i].values);
	remove_tree(w.dir);
	return 0;
}

/* The program changes its folder before it starts others. */
static char *absolute(const char *path)
{
	char here[4096];
	if (*path == '/') return sx_strdup(path);
	return getcwd(here, sizeof here) ? sx_format("%s/%s", here, path) : NULL;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_are_known),
		cmocka_unit_test(kills_before_calls),
		cmocka_unit_test(kills_after_calls),
		cmocka_unit_test(kills_within_writes),
		cmocka_unit_test(every_state_of_a_segment),
		cmocka_unit_test(kills_at_random),
		cmocka_unit_test(disk_is_full_from_a_call_on),
		cmocka_unit_test(folder_turns_read_only),
		cmocka_unit_test(files_meet_a_limit),
		cmocka_unit_test(folder_is_read_only),
		cmocka_unit_test(stops_on_sigterm),
		cmocka_unit_test(slow_updates_are_flushed),
		cmocka_unit_test(half_a_line_stays_alone),
		cmocka_unit_test(no_swmr_over_a_network),
	};
	if (argc < 3) {
		fprintf(stderr, "usage: test_kill SEXTANT INTERPOSER.so [N|all|K/M]\n");
		return 64;
	}
	w.sextant = absolute(argv[1]);
	w.interposer = absolute(argv[2]);
	if (!w.sextant || !w.interposer) {
		perror(w.sextant ? argv[2] : argv[1]);
		return 66;
	}
	w.points = argc > 3 ? strtol(argv[3], NULL, 10) : 10;
	w.first = w.stride = 1;
	if (argc > 3 && sscanf(argv[3], "%ld/%ld", &w.first, &w.stride) == 2) w.points = 0;
	if (w.first < 1 || w.stride < w.first || w.points < 0) {
		fprintf(stderr, "%s: a number, `all`, or K/M\n", argv[3]);
		return 64;
	}
	if (getenv("SX_ONLY")) cmocka_set_test_filter(getenv("SX_ONLY"));
	int failed = cmocka_run_group_tests(tests, make_world, end_world);
	free(w.sextant);
	free(w.interposer);
	return failed;
}

/* The jobs of a study, side by side: children of this program, their logs, what to say meanwhile. */
#include "cli/study/study.h"
#include "probes/lab/hold.h"
#include "probes/lab/schedule.h"
#include "probes/lab/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PAUSE_MS = 50,
	SUMMARY_S = 30,
	BRIEF_S = 5 /* of which only the end is said */,
	LOG_LINES = 12,
	TAIL = 4096
};

typedef struct {
	sx_ctx *ctx;
	const sx_study *study;
	sx_job *jobs;
	int at_once, running;
	bool told, ended; /* the children were asked to end, were killed           */
	int64_t failed;   /* the first job that failed, -1 = none                  */
	double begun, said;
	sx_watch watch;
} session;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int sx_study_threads(int at_once)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores > at_once ? (int)(cores / at_once) : 1;
}

/* ---- the folder ---- */

/* WORK/logs/seed-1-final-rope.log; the caller's. */
static char *log_path(const session *s, int64_t i)
{
	size_t n = strlen(s->study->work);
	char *path = sx_format("%s/logs/%s.log", s->study->work, s->jobs[i].name);
	for (char *c = path ? path + n + 6 : NULL; c && *c; c++)
		if (*c == '/') *c = '-';
	return path;
}

/* Makes the folder a job writes into, and a file of the untrained. */
static sx_status prepare(const session *s, int64_t i)
{
	const sx_study_item *x = &s->study->item[i];
	char *folder = sx_format("%.*s", (int)(strrchr(x->path, '/') - x->path), x->path);
	char *yaml = NULL;
	sx_status st = folder ? sx_make_dirs(s->ctx, folder)
			      : sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	if (st == SX_OK && x->untrained) {
		SX_TRY(sx_config_yaml(&x->cfg, s->ctx, false, &yaml));
		SX_TRY(sx_write_file(s->ctx, x->path, yaml, strlen(yaml)));
	}
out:
	free(folder);
	free(yaml);
	return st;
}

/* ---- what is said ---- */

/* The last whole line of a file that holds `word`, from its end; the caller's, NULL without one. */
static char *last_line(const char *path, const char *word)
{
	char text[TAIL + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat b;
	ssize_t n = -1;
	if (fd >= 0 && fstat(fd, &b) == 0)
		n = pread(fd, text, TAIL, b.st_size > TAIL ? b.st_size - TAIL : 0);
	if (fd >= 0) close(fd);
	if (n <= 0) return NULL;
	text[n] = '\0';
	for (char *end; (end = strrchr(text, '\n'));) {
		*end = '\0';
		char *line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		if (strstr(line, word)) return sx_strdup(line);
	}
	return NULL;
}

/* Updates a run has made, by its log; -1 = not known. */
static int64_t step_of(const sx_study_item *x)
{
	char *path = sx_format("%s/log.jsonl", x->path);
	char *line = path ? last_line(path, "\"event\":\"step\"") : NULL;
	json_t *j = line ? json_loads(line, 0, NULL) : NULL;
	json_int_t step = -1;
	if (json_unpack(j, "{s:I}", "step", &step) != 0) step = -1;
	json_decref(j);
	free(line);
	free(path);
	return step;
}

static void summary(session *s)
{
	char text[600] = "";
	int64_t done = 0, all = 0;
	for (int64_t i = 0; i < s->study->n_item; i++) {
		const sx_job *j = &s->jobs[i];
		const sx_study_item *x = &s->study->item[i];
		size_t used = strlen(text);
		all += j->state != SX_JOB_KEPT;
		done += j->state == SX_JOB_DONE;
		if (j->state != SX_JOB_RUNNING) continue;
		int64_t first = x->step > 0 ? x->step : 0, step = -1;
		if (x->kind == SX_ITEM_RUN) step = step_of(x);
		snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", j->name);
		used = strlen(text);
		if (step >= first)
			snprintf(text + used, sizeof text - used, " %.0f %%",
				 100 * (double)(step - first) /
					 (double)(sx_schedule_updates(&x->cfg) - first));
	}
	s->said = now();
	sx_log(s->ctx, SX_LOG_INFO, "%3.0f s  %lld of %lld done; %s", s->said - s->begun,
	       (long long)done, (long long)all, text);
}

static void show_log(session *s, const char *path)
{
	char *text = NULL;
	size_t size = 0;
	int lines = 0;
	if (sx_read_file(s->ctx, path, &text, &size) != SX_OK) return;
	char *from = text + size;
	while (from > text && (lines < LOG_LINES || from[-1] != '\n')) {
		from--;
		lines += *from == '\n' && from + 1 < text + size;
	}
	if (*from == '\n') from++;
	for (char *rest = from, *line; (line = strtok_r(rest, "\n", &rest));)
		sx_log(s->ctx, SX_LOG_INFO, "    %s", line);
	free(text);
}

/* ---- beginning and ending a job ---- */

static sx_status begin(session *s, int64_t i)
{
	sx_status st = SX_OK;
	sx_job *j = &s->jobs[i];
	char *log = log_path(s, i);
	if (!log) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(prepare(s, i));
	if (!j->argv) {
		j->state = SX_JOB_DONE;
		goto out;
	}
	if (s->study->item[i].kind != SX_ITEM_RUN || !j->resume) unlink(log);
	sx_child c = {.argv = j->argv,
		      .folder = s->study->work,
		      .log = log,
		      .threads = sx_study_threads(s->at_once)};
	SX_TRY(sx_child_start(&j->pid, s->ctx, &c));
	j->state = SX_JOB_RUNNING;
	j->begun = now();
	s->running++;
	bool brief = s->study->item[i].kind != SX_ITEM_RUN && j->estimate < BRIEF_S;
	sx_log(s->ctx, brief ? SX_LOG_DEBUG : SX_LOG_INFO, "%3.0f s  %s %s", j->begun - s->begun,
	       j->name, j->resume ? "goes on" : "begins");
out:
	free(log);
	return st;
}

/* `bounds` that found a violation has done its work: 1 is its verdict. */
static void end(session *s, int64_t i)
{
	sx_job *j = &s->jobs[i];
	const sx_study_item *x = &s->study->item[i];
	bool verdict = x->kind == SX_ITEM_BOUNDS && j->exit == 1 && sx_path_exists(x->path);
	double t = now();
	j->seconds = t - j->begun;
	s->running--;
	if (j->exit == 0 || verdict) {
		j->state = SX_JOB_DONE;
		sx_log(s->ctx, SX_LOG_INFO, "%3.0f s  %s done in %.0f s%s", t - s->begun, j->name,
		       j->seconds, verdict ? ": something is violated" : "");
		return;
	}
	j->state = SX_JOB_FAILED;
	if (sx_stop_asked()) return; /* stopped, not failed */
	char *log = log_path(s, i);
	sx_log(s->ctx, SX_LOG_WARN, "%s failed (exit %d); the end of %s:", j->name, j->exit,
	       log ? log : "its log");
	if (log) show_log(s, log);
	free(log);
	if (s->failed < 0) s->failed = i;
}

static void reap(session *s)
{
	for (int64_t i = 0; i < s->study->n_item; i++) {
		int status = 0;
		sx_job *j = &s->jobs[i];
		if (j->state != SX_JOB_RUNNING) continue;
		pid_t ended = waitpid(j->pid, &status, WNOHANG);
		if (ended == 0) continue;
		j->exit = ended > 0 ? sx_child_exit(status) : 127;
		end(s, i);
	}
}

static void signal_jobs(const session *s, int number)
{
	for (int64_t i = 0; i < s->study->n_item; i++)
		if (s->jobs[i].state == SX_JOB_RUNNING) kill(s->jobs[i].pid, number);
}

/* SIGTERM lets training write a checkpoint; who presses ^C twice does not want to wait for it. */
static void pass_signals(session *s)
{
	if (sx_stop_asked() && !s->told) {
		s->told = true;
		sx_log(s->ctx, SX_LOG_INFO, "stopping; training writes its checkpoints");
		signal_jobs(s, SIGTERM);
	}
	if (sx_stop_in_haste() && !s->ended) {
		s->ended = true;
		signal_jobs(s, SIGKILL);
		if (s->watch.pid) kill(s->watch.pid, SIGTERM);
	}
}

static sx_status loop(session *s)
{
	sx_status st = SX_OK;
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	for (;;) {
		int64_t next = -1;
		while (st == SX_OK && !sx_stop_asked() && s->running < s->at_once &&
		       (next = sx_study_next(s->jobs, s->study)) >= 0)
			st = begin(s, next);
		if (s->running == 0) return st;
		pass_signals(s);
		reap(s);
		sx_watch_step(&s->watch, s->ctx, s->study, s->jobs, now());
		if (now() - s->said >= SUMMARY_S && s->running) summary(s);
		nanosleep(&pause, NULL);
	}
}

/* What is left over was not begun. */
static sx_status conclude(session *s, sx_status st)
{
	int64_t left = 0;
	for (int64_t i = 0; i < s->study->n_item; i++) {
		if (s->jobs[i].state != SX_JOB_WAITING) continue;
		s->jobs[i].state = SX_JOB_STOPPED;
		left++;
	}
	if (st != SX_OK) return st;
	if (sx_stop_asked())
		return sx_fail(s->ctx, SX_ESTOPPED,
			       "stopped in %s; the same command goes on from here", s->study->work);
	if (s->failed < 0) return SX_OK;
	const sx_job *j = &s->jobs[s->failed];
	char others[80] = "";
	if (left)
		snprintf(others, sizeof others,
			 "; %lld jobs that need what is missing were not begun", (long long)left);
	return sx_fail(s->ctx, sx_child_status(j->exit),
		       "%s failed (exit %d)%s; mend it, then the same command goes on", j->name,
		       j->exit, others);
}

sx_status sx_study_run(sx_job *jobs, sx_ctx *ctx, const sx_study *study, int at_once,
		       const char *watch, int watch_out)
{
	sx_status st = SX_OK;
	session s = {.ctx = ctx,
		     .study = study,
		     .jobs = jobs,
		     .at_once = at_once,
		     .failed = -1,
		     .watch = {.folder = watch, .out = watch_out}};
	sx_hold hold = {.fd = -1};
	char *logs = sx_format("%s/logs", study->work);
	if (!logs) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	SX_TRY(sx_make_dirs(ctx, study->work));
	/* Its jobs hold it, too: they may outlive it for a while if it is killed. */
	SX_TRY(sx_hold_take(&hold, ctx, study->work, "study", true));
	SX_TRY(sx_make_dirs(ctx, logs));
	SX_TRY(sx_study_write(study, ctx));
	sx_watch_begin(&s.watch, study, jobs);
	s.begun = s.said = now();
	st = loop(&s);
	sx_watch_end(&s.watch, ctx, study, jobs, s.failed >= 0 && !sx_stop_asked(), now());
	st = conclude(&s, st);
out:
	sx_hold_release(&hold);
	free(logs);
	return st;
}

/* The report of a study at work: made again as jobs end, by a child of lower priority, one at a time. */
#include "cli/study/study.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds between two pages at least, and how many times as long as the last one took: a page gets a
 * tenth of the time, and of a core then what its priority leaves it. */
static const double pause_least = 5, pause_times = 10;

/* What a report can be on: of an untrained run there is a configuration alone. */
static int64_t parts_there(const sx_study *s, const sx_job *jobs)
{
	int64_t n = 0;
	for (int64_t i = 0; i < s->n_item; i++)
		n += !s->item[i].untrained &&
		     (jobs[i].state == SX_JOB_DONE || jobs[i].state == SX_JOB_KEPT);
	return n;
}

void sx_watch_begin(const sx_watch *w, const sx_study *s, const sx_job *jobs)
{
	for (int64_t i = 0; w->folder && i < s->n_item; i++)
		if (jobs[i].state == SX_JOB_WAITING && s->item[i].kind != SX_ITEM_RUN)
			unlink(s->item[i].path);
}

static void start(sx_watch *w, sx_ctx *ctx, const sx_study *s, double now)
{
	enum { LOWER = 5 };
	char *words[] = {"sextant", "report", "--work", s->work, "--unfinished",
			 "-q",      "-o",     NULL,     NULL};
	words[7] = sx_strdup(w->folder);
	sx_child c = {.argv = words, .out = w->out, .threads = 1, .lower = LOWER};
	w->begun = now;
	if (!words[7] || sx_child_start(&w->pid, ctx, &c) != SX_OK) w->over = true;
	free(words[7]);
}

/* Returns whether it was made. After a failure no other is tried: it would fail alike. */
static bool note_end(sx_watch *w, sx_ctx *ctx, int code, double now)
{
	double took = now - w->begun;
	w->pid = 0;
	w->next = now + (took * pause_times > pause_least ? took * pause_times : pause_least);
	if (code == 0) return true;
	w->over = true;
	sx_log(ctx, SX_LOG_WARN,
	       "the report of what is done so far failed (exit %d); it is left to the end", code);
	return false;
}

void sx_watch_step(sx_watch *w, sx_ctx *ctx, const sx_study *s, const sx_job *jobs, double now)
{
	int status = 0;
	if (!w->folder) return;
	if (w->pid) {
		pid_t ended = waitpid(w->pid, &status, WNOHANG);
		if (ended == 0) return;
		bool made = note_end(w, ctx, ended > 0 ? sx_child_exit(status) : 127, now);
		if (made && !w->drawn)
			sx_log(ctx, SX_LOG_INFO, "%s/report.html shows what is done so far",
			       w->folder);
		w->drawn = w->drawn || made;
	}
	int64_t there = parts_there(s, jobs);
	if (w->over || there == w->shown || now < w->next) return;
	w->shown = there;
	start(w, ctx, s, now);
}

void sx_watch_end(sx_watch *w, sx_ctx *ctx, const sx_study *s, const sx_job *jobs, bool last,
		  double now)
{
	if (!w->folder) return;
	if (w->pid) note_end(w, ctx, sx_child_wait(w->pid), now);
	int64_t there = parts_there(s, jobs);
	if (!last || w->over || there == w->shown) return;
	start(w, ctx, s, now);
	if (w->pid) note_end(w, ctx, sx_child_wait(w->pid), now);
}

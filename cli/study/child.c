/* Children of the program: this binary with other words. */
#include "cli/study/study.h"
#include "probes/lab/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 20 };

/* Between fork and exec: only what may be called there. */
static void become(const sx_child *c, int out, int in, pid_t parent, const sigset_t *mask)
{
	/* A terminal's signals reach the study alone, which passes them on once: a second one would
	 * stop a training run before its checkpoint. If the study is killed, its jobs end, too. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) _exit(127);
	/* What the study catches is as it was; what it was started without (nohup) stays so. */
	for (size_t i = 0; i < SX_STOP_SIGNALS; i++) {
		struct sigaction now;
		if (sigaction(sx_stop_signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			signal(sx_stop_signals[i], SIG_DFL);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) _exit(127);
	if (c->log && dup2(out, STDERR_FILENO) < 0) _exit(127);
	if (c->lower) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + c->lower);
	if (c->folder && chdir(c->folder) != 0) _exit(127);
	execv("/proc/self/exe", c->argv);
	_exit(127);
}

sx_status sx_child_start(int *pid, sx_ctx *ctx, const sx_child *c)
{
	sx_status st = SX_OK;
	int in = open("/dev/null", O_RDWR | O_CLOEXEC), out = c->out;
	pid_t parent = getpid(), child = -1;
	char threads[16];
	if (c->log) out = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (in < 0 || out < 0) {
		st = sx_fail(ctx, SX_ECREATE, "cannot write %s: %s", c->log ? c->log : "/dev/null",
			     strerror(errno));
		goto out;
	}
	/* the environment is set before the fork: setenv may allocate */
	const char *before = getenv("OMP_NUM_THREADS");
	char *old = before ? sx_strdup(before) : NULL;
	snprintf(threads, sizeof threads, "%d", c->threads);
	sigset_t mask, stop;
	bool set =
		(!before || old) && (c->threads == 0 || setenv("OMP_NUM_THREADS", threads, 1) == 0);
	/* One that comes before the child is another program must not end in the study's handler. */
	sigemptyset(&stop);
	for (size_t i = 0; i < SX_STOP_SIGNALS; i++) sigaddset(&stop, sx_stop_signals[i]);
	sigprocmask(SIG_BLOCK, &stop, &mask);
	fflush(NULL);
	errno = ENOMEM;
	child = set ? fork() : -1;
	if (child == 0) become(c, out, in, parent, &mask);
	int why = errno;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (old)
		setenv("OMP_NUM_THREADS", old, 1);
	else
		unsetenv("OMP_NUM_THREADS");
	free(old);
	if (child < 0)
		st = sx_fail(ctx, SX_EINTERNAL, "cannot begin another process: %s", strerror(why));
	else
		*pid = (int)child;
out:
	if (in >= 0) close(in);
	if (c->log && out >= 0) close(out);
	return st;
}

int sx_child_exit(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int sx_child_wait(int pid)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	int status = 0;
	for (bool told = false;;) {
		pid_t ended = waitpid(pid, &status, WNOHANG);
		if (ended > 0) return sx_child_exit(status);
		if (ended < 0 && errno != EINTR) return 127;
		if (sx_stop_asked() && !told) told = kill(pid, SIGTERM) == 0;
		nanosleep(&pause, NULL);
	}
}

sx_status sx_child_status(int code)
{
	for (int i = 1; i < SX_STATUS_COUNT; i++)
		if (sx_status_exit((sx_status)i) == code) return (sx_status)i;
	return SX_EINTERNAL;
}

/* The program: a table of verbs, the log on stderr, the exit code. No mathematics here. */
#include "analysis/stats/stats.h"
#include "cli/cmd.h"
#include "engine/op/blas.h"
#include "probes/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

/* clang-format off */
extern const sx_cmd
	sx_cmd_train, sx_cmd_trace, sx_cmd_eval, sx_cmd_generate, sx_cmd_tokenize,
	sx_cmd_heads, sx_cmd_rope, sx_cmd_bounds,
	sx_cmd_figure, sx_cmd_report, sx_cmd_study,
	sx_cmd_top, sx_cmd_ls, sx_cmd_info, sx_cmd_check, sx_cmd_recover,
	sx_cmd_config, sx_cmd_plan, sx_cmd_bench;

static const sx_cmd *const verbs[] = {
	&sx_cmd_train, &sx_cmd_trace, &sx_cmd_eval, &sx_cmd_generate, &sx_cmd_tokenize,
	&sx_cmd_heads, &sx_cmd_rope, &sx_cmd_bounds,
	&sx_cmd_figure, &sx_cmd_report, &sx_cmd_study,
	&sx_cmd_top, &sx_cmd_ls, &sx_cmd_info, &sx_cmd_check, &sx_cmd_recover,
	&sx_cmd_config, &sx_cmd_plan, &sx_cmd_bench,
};
/* clang-format on */
enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

/* Verbs of the program's contract that this build lacks. */
static const char *const absent[] = {"export"};
enum { N_ABSENT = sizeof absent / sizeof absent[0] };

#ifdef __clang__
static const char compiler[] = __VERSION__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif
#ifdef SX_GIT
static const char git[] = " (" SX_GIT ")";
#else
static const char git[] = "";
#endif

/* ---- log ---- */

struct sink {
	bool terminal, colour;
};

static void log_line(void *self, sx_log_level level, const char *msg)
{
	static const char *const names[] = {"debug", "", "warning", "error"};
	static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
	const struct sink *s = self;
	const char *colour = s->colour ? colours[level] : "";
	/* A progress line may be standing there. */
	fprintf(stderr, "%s%s%s%s%s%s\n", s->terminal ? "\r\033[K" : "", colour, names[level],
		*names[level] ? ": " : "", msg, *colour ? "\033[0m" : "");
}

static void log_start(sx_ctx *ctx, struct sink *s)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	const char *no_colour = getenv("NO_COLOR"), *level = getenv("SEXTANT_LOG");
	s->terminal = isatty(STDERR_FILENO);
	s->colour = s->terminal && !(no_colour && *no_colour);
	ctx->log = log_line;
	ctx->log_self = s;
	ctx->level = SX_LOG_INFO;
	if (!level || !*level) return;
	for (int i = 0; i < 4; i++)
		if (strcmp(level, levels[i]) == 0) {
			ctx->level = (sx_log_level)i;
			return;
		}
	sx_log(ctx, SX_LOG_WARN, "SEXTANT_LOG=%s: known are debug, info, warn, error", level);
}

/* ---- help ---- */

static const sx_cmd *find_verb(const char *name)
{
	for (int i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
	return NULL;
}

static bool is_absent(const char *name)
{
	for (int i = 0; i < N_ABSENT; i++)
		if (strcmp(absent[i], name) == 0) return true;
	return false;
}

static sx_status unknown_verb(sx_ctx *ctx, const char *name)
{
	const char *nearest = NULL;
	int best = INT_MAX;
	if (is_absent(name))
		return sx_fail(ctx, SX_EUSAGE,
			       "%s is not in this build; `sextant --help` lists what is", name);
	for (int i = 0; i < N_VERBS; i++) {
		int d = sx_edit_distance(name, verbs[i]->name);
		if (d < best) best = d, nearest = verbs[i]->name;
	}
	if (best <= 2)
		return sx_fail(ctx, SX_EUSAGE, "%s is no verb; did you mean %s?", name, nearest);
	return sx_fail(ctx, SX_EUSAGE, "%s is no verb; `sextant --help` lists them", name);
}

static void print_group(const char *group)
{
	printf("\n%s\n", group);
	for (int i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i]->group, group) == 0)
			printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
}

static bool is_first_of_group(int verb)
{
	for (int i = 0; i < verb; i++)
		if (strcmp(verbs[i]->group, verbs[verb]->group) == 0) return false;
	return true;
}

static void print_help(void)
{
	printf("Usage: sextant VERB [ARGUMENTS]\n"
	       "Measures how position gets into the attention heads of a language model.\n");
	for (int i = 0; i < N_VERBS; i++)
		if (is_first_of_group(i)) print_group(verbs[i]->group);
	printf("\n`sextant help VERB` or `sextant VERB --help` explains one; `sextant --version` "
	       "names the build.\n"
	       "SEXTANT_LOG=debug|info|warn|error sets how much is said on stderr.\n"
	       "\nExit codes\n");
	int before = -1;
	for (int i = 0; i < SX_STATUS_COUNT; i++) {
		sx_status st = (sx_status)i;
		if (sx_status_exit(st) == before) {
			printf(", %s", sx_status_text(st));
		} else {
			printf("%s  %-3d %s", i ? "\n" : "", sx_status_exit(st),
			       sx_status_text(st));
		}
		before = sx_status_exit(st);
	}
	printf("\n");
}

static void print_version(void)
{
	printf("sextant %s%s\n", SX_VERSION, git);
	printf("OpenBLAS: %s\n", sx_blas_config());
	printf("libyaml %s, Jansson %s\n", yaml_get_version_string(), JANSSON_VERSION);
	printf("compiled by %s\n", compiler);
}

/* ---- running ---- */

/* Says what went wrong, once, and returns the exit code. */
static int finish(sx_ctx *ctx, const char *verb, sx_status st)
{
	/* "The analysis says no" is a result, printed by the verb. */
	if (st != SX_OK && (st != SX_NO || ctx->message[0])) {
		const struct sink *s = ctx->log_self;
		fprintf(stderr, "%ssextant%s%s: %s\n", s->terminal ? "\r\033[K" : "",
			*verb ? " " : "", verb,
			ctx->message[0] ? ctx->message : sx_status_text(st));
		/* Said already; the check at the end of the program would say it again. */
		if (ferror(stdout)) _exit(sx_status_exit(st));
	}
	return sx_status_exit(st);
}

static sx_status help_verb(sx_ctx *ctx, const char *name)
{
	const sx_cmd *cmd = find_verb(name);
	if (!cmd) return unknown_verb(ctx, name);
	char verb[32], help[] = "--help";
	snprintf(verb, sizeof verb, "%s", cmd->name);
	char *argv[] = {verb, help, NULL};
	return cmd->run(ctx, 2, argv);
}

/* argp ends the program itself on --help, so a full disk is looked for at the very end. */
static void close_stdout(void)
{
	bool failed = ferror(stdout) != 0;
	if (fclose(stdout) != 0 || failed) {
		static const char text[] = "sextant: writing to standard output failed\n";
		ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
		(void)n; /* nothing is left to say it with */
		_exit(sx_status_exit(SX_EIO));
	}
}

/* Threads of the OpenMP runtime spin while they wait for each other. Where other processes want the
 * cores too, a training step then takes many times as long; told to sleep soon, it takes what one
 * would expect. The runtime reads its settings before main begins: unless the user has set one, start
 * again with it. */
static void wait_patiently(char **argv)
{
	if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv("KMP_BLOCKTIME"))
		return;
	/* The program that begins again must find one of them set: else it would do so for ever. */
	if (setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return; /* gcc's runtime */
	if (setenv("KMP_BLOCKTIME", "0", 1) != 0) return;     /* clang's       */
	execv("/proc/self/exe", argv); /* where that cannot be, threads spin: slower, not wrong */
}

/* A standard stream that is closed would be the next file that is opened, and messages would be
 * written into that. What stands in for it, a folder, can neither be read nor written. */
static void hold_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
		if (open("/", O_RDONLY) < 0) return;
	}
}

int main(int argc, char **argv)
{
	hold_streams();
	wait_patiently(argv);
	sx_ctx ctx;
	struct sink sink;
	sx_status st = SX_OK;
	sx_ctx_init(&ctx);
	log_start(&ctx, &sink);
	atexit(close_stdout);
	/* A file beyond the size limit shall be a failed write, not a signal. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	sx_stats_start();

	const char *name = argc > 1 ? argv[1] : "";
	bool help = !strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h") ||
		    !strcmp(name, "-?");
	if (argc < 2) {
		st = sx_fail(&ctx, SX_EUSAGE, "a verb is missing; `sextant --help` lists them");
	} else if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		print_version();
	} else if (help && argc > 2) {
		st = help_verb(&ctx, argv[2]);
	} else if (help) {
		print_help();
	} else if (!find_verb(name)) {
		st = unknown_verb(&ctx, name);
	} else {
		return finish(&ctx, name, find_verb(name)->run(&ctx, argc - 1, argv + 1));
	}
	return finish(&ctx, "", st);
}

/* What a write that fails once leaves. Of each verb that makes files the n-th call that changes one fails,
 * that call alone: a disk that was full for a moment, one error of a device. Then either
 *
 *	- the exit code says so, and what has a finished file's name is what was there before, or right; a
 *	  training run and a study go on from there to the undisturbed one's files;
 *	- or the exit code is 0 and all files are those of the undisturbed verb, number by number.
 *
 * The same where a write into an HDF5 file says that it was made, and was not: files are read back.
 *
 *	test_faults SEXTANT INTERPOSER.so [N|all [VERB]]     at N calls of each verb (3), or at all of them */
#include "probes/runfile/runfile.h"
#include "tests/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 512, MOST_OUT = 4 };

static const char config[] =
	"data: {text: [text.txt]}\n"
	"model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}\n"
	"train: {steps: 6, batch: 2, warmup: 2, checkpoint_every: 3, drop_at: 3, "
	"drop: {steps: 3, warmup: 2}}\n"
	"probe: {every: 2, around_drop: {within: 2, every: 1}, ac_train: true, maps: {every: 3}}\n"
	"eval: {every: 3, lengths: [32, 64], windows: 1, niah_trials: 2}\n";

static const char recipe[] = "name: tiny\nseeds: [1]\nconfig:\n"
			     "  data: {text: [text.txt]}\n"
			     "  model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 16}\n"
			     "  train: {steps: 4, batch: 2, warmup: 2, checkpoint_every: 0}\n"
			     "  probe: {every: 2}\n"
			     "  eval: {every: 0}\n"
			     "runs:\n  rope: {label: RoPE}\n"
			     "traces:\n  final: {of: rope, sequences: 2, length: 16}\n";

#define TRACE "trace whole --text text.txt --length 24 --sequences 2 -q -o out.h5 --maps L*/H*"

/* clang-format off */
/* The words of a verb; what it makes, of which `old` lies at the first beforehand; goes_on: the words
 * that go on after a failure. reads_back: it writes HDF5, and nothing else by pwrite. */
typedef struct {
	const char *name, *words, *out[MOST_OUT], *old, *goes_on;
	bool reads_back;
} verb;

static const verb verbs[] = {
	{"train", "train tiny.yaml -o out -q --threads 1", {"out"}, NULL,
	 "train tiny.yaml -o out -q --threads 1 --resume", false},
	{"recover", "recover killed", {"killed/run.h5"}, NULL, NULL, true},
	{"trace", TRACE " --logits --grad --sites all --reduce --thumbnails 2 --top 2 --batch-grad",
	 {"out.h5"}, "old.h5", NULL, true},
	{"trace-f32", TRACE " --maps-type f32 --maps-stored", {"out.h5"}, NULL, NULL, true},
	{"ppl", "eval ppl whole --lengths 32,64 --windows 2 -o out.h5 -q", {"out.h5"}, "old.h5", NULL, true},
	{"niah", "eval niah whole --lengths 32 --trials 2 --windows 1 -o out.h5 -q", {"out.h5"}, NULL, NULL, true},
	{"bounds", "bounds whole -o out.h5 -q", {"out.h5"}, "old.h5", NULL, true},
	{"pdf", "figure ac whole -o out.pdf --data out.csv", {"out.pdf", "out.csv"}, "old.h5", NULL, false},
	{"svg", "figure loss whole -o out.svg", {"out.svg"}, NULL, NULL, false},
	{"png", "figure maps old.h5 -o out.png", {"out.png"}, NULL, NULL, false},
	{"tokens", "tokenize text.txt --tokenizer bytes -o out.npy", {"out.npy"}, "old.h5", NULL, false},
	{"report", "report ppl.h5 -o out -q", {"out"}, "older", NULL, true},
	{"study", "study recipe.yaml --work out -o result -q", {"out", "result"}, NULL,
	 "study recipe.yaml --work out -o result -q", false},
};
/* clang-format on */
enum { VERBS = sizeof verbs / sizeof *verbs };

typedef struct {
	char *sextant, *interposer, *only;
	char dir[64];
	long points; /* of each verb; 0 = all */
	sx_ctx ctx;
	long faults, said;
	char now[128]; /* what is being tried */
	char why[700]; /* what differs        */
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

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
	enum { ENOUGH = 40 };
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

/* ---- running programs ---- */

/* The exit code, or 128 + the signal. Call `at` fails with `error`, or is lost where that is 0; at -1:
 * nothing is counted. */
static int run(const char *program, const char *words, long at, int error)
{
	char text[PATH_SIZE], number[32], *rest = text, *argv[64] = {(char *)(uintptr_t)program};
	int status, n = 1;
	snprintf(text, sizeof text, "%s", words);
	for (char *word; n < 63 && (word = strtok_r(rest, " ", &rest));) argv[n++] = word;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(in("said.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(w.dir) != 0) _exit(101);
		setenv("OMP_NUM_THREADS", "1", 1);
		if (at >= 0) {
			setenv("LD_PRELOAD", w.interposer, 1);
			setenv("SX_DO", error ? "once" : "lost", 1);
			setenv("SX_COUNT", in("count"), 1);
			snprintf(number, sizeof number, "%ld", at);
			setenv("SX_AT", number, 1);
			snprintf(number, sizeof number, "%d", error);
			setenv("SX_ERRNO", number, 1);
		}
		execvp(program, argv);
		_exit(101);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *said(void)
{
	static char text[400];
	char *all = NULL;
	size_t size = 0;
	text[0] = '\0';
	if (sx_read_file(NULL, in("said.txt"), &all, &size) == SX_OK)
		snprintf(text, sizeof text, "%s", all);
	text[strcspn(text, "\n")] = '\0';
	free(all);
	return text;
}

static void must(const char *program, const char *words)
{
	int code = run(program, words, -1, 0);
	if (code != 0) fail_msg("%s %s exits with %d: %s", program, words, code, said());
}

static void copy(const char *from, const char *to)
{
	char words[PATH_SIZE];
	snprintf(words, sizeof words, "-rT %s %s", from, to);
	must("cp", words);
}

/* ---- comparing ---- */

static bool ends(const char *name, const char *with)
{
	size_t n = strlen(name), m = strlen(with);
	return n >= m && strcmp(name + n - m, with) == 0;
}

static bool same_bytes(const char *a, const char *b)
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

static bool same_set(sx_run_file *a, sx_run_file *b, sx_run_id id)
{
	int64_t n = 0, m = 0;
	bool same;
	if (sx_run_has(a, id) != sx_run_has(b, id)) return false;
	if (!sx_run_has(b, id)) return true;
	if (sx_run_rows[id].type == SX_DISK_STR) {
		char **x = NULL, **y = NULL;
		same = sx_run_strings(a, id, &x, &n) == SX_OK &&
		       sx_run_strings(b, id, &y, &m) == SX_OK && n == m;
		for (int64_t i = 0; same && i < n; i++) same = strcmp(x[i], y[i]) == 0;
		free(x);
		free(y);
		return same;
	}
	double *x = NULL, *y = NULL;
	same = sx_run_read_all(a, id, &x, &n) == SX_OK && sx_run_read_all(b, id, &y, &m) == SX_OK &&
	       n == m && memcmp(x, y, (size_t)n * sizeof *x) == 0;
	free(x);
	free(y);
	return same;
}

/* Run files may differ in what the clock says. */
static bool same_run(const char *a, const char *b)
{
	sx_run_file *f = NULL, *g = NULL;
	bool same =
		sx_run_open(&f, &w.ctx, in(a)) == SX_OK && sx_run_open(&g, &w.ctx, in(b)) == SX_OK;
	for (int i = 0; same && i < SX_RUN_COUNT; i++) {
		if (i == SX_RUN_TRAIN_WALL_TIME || i == SX_RUN_TRAIN_TOKENS_PER_S) continue;
		same = same_set(f, g, (sx_run_id)i);
		if (!same) snprintf(w.why, sizeof w.why, "%s in %s", sx_run_rows[i].path, a);
	}
	sx_run_file_close(f);
	sx_run_file_close(g);
	return same;
}

/* What tells of the clock, of other files' bytes or of what was said. */
static bool is_free(const char *name, bool went_on)
{
	static const char *const names[] = {"/log.jsonl",
					    ".log",
					    "/lock",
					    "result/manifest.json",
					    "result/analysis.h5",
					    "result/report.html",
					    "result/report.ipynb"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (ends(name, names[i])) return true;
	return went_on && strstr(name, "/live/");
}

/* Whether `got` is `want`: a file, or a folder with all that is in `want`; missing files count unless
 * `part`. */
static bool same_tree(const char *got, const char *want, bool went_on, bool part)
{
	bool same = true;
	if (is_free(want, went_on)) return true;
	if (part && !sx_path_exists(in(got))) return true;
	if (!sx_path_is_dir(in(want))) {
		*w.why = '\0';
		same = same_bytes(got, want) || (ends(want, ".h5") && same_run(got, want));
		if (!same && !*w.why) snprintf(w.why, sizeof w.why, "%s", got);
		return same;
	}
	DIR *d = opendir(in(want));
	assert_non_null(d);
	for (struct dirent *e; same && (e = readdir(d));) {
		char a[PATH_SIZE], b[PATH_SIZE];
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
		snprintf(a, sizeof a, "%.200s/%.200s", got, e->d_name);
		snprintf(b, sizeof b, "%.200s/%.200s", want, e->d_name);
		same = same_tree(a, b, went_on, part);
	}
	closedir(d);
	return same;
}

/* Where the undisturbed verb's output lies. */
static const char *reference(const char *out)
{
	static char name[PATH_SIZE];
	const char *slash = strrchr(out, '/');
	snprintf(name, sizeof name, "right/%s", slash ? slash + 1 : out);
	return name;
}

/* ---- one failure ---- */

static void clear(const verb *v)
{
	for (int i = 0; i < MOST_OUT && v->out[i]; i++) {
		char words[PATH_SIZE];
		snprintf(words, sizeof words, "-rf %s", v->out[i]);
		must("rm", words);
	}
	if (v->old) copy(v->old, v->out[0]);
}

static void compare_all(const verb *v, bool went_on, const char *when)
{
	for (int i = 0; i < MOST_OUT && v->out[i]; i++)
		if (!same_tree(v->out[i], reference(v->out[i]), went_on, false))
			complain("%s, and this is wrong: %s", when, w.why);
}

/* After a failure that was told. */
static void check_left(const verb *v)
{
	for (int i = 0; i < MOST_OUT && v->out[i]; i++) {
		const char *out = v->out[i];
		bool old = i == 0 && v->old, there = sx_path_exists(in(out));
		bool kept = old ? there && same_tree(out, v->old, false, false) &&
					    same_tree(v->old, out, false, false)
				: !there;
		/* folders that grow file by file: a live segment is a part, which going on shows */
		bool part = v->goes_on && same_tree(out, reference(out), true, true);
		if (!kept && !part && !same_tree(out, reference(out), false, false))
			complain("the failure is told, and this is wrong: %s", w.why);
	}
	if (!v->goes_on) return;
	bool begun = strcmp(v->name, "train") != 0 || sx_path_exists(in("out/config.yaml"));
	int code = run(w.sextant, begun ? v->goes_on : v->words, -1, 0);
	if (code != 0) complain("going on exits with %d: %s", code, said());
	if (code == 0) compare_all(v, true, "it went on");
}

static void try(const verb *v, long at, bool lost, long *told)
{
	int error = lost ? 0 : at % 2 ? EIO : ENOSPC;
	snprintf(w.now, sizeof w.now, "%s, call %ld: %s", v->name, at,
		 lost ? "lost" : strerror(error));
	clear(v);
	int code = run(w.sextant, v->words, at, error);
	*told += code != 0;
	if (code >= 128)
		complain("it died of signal %d", code - 128);
	else if (code == 0 && lost && strcmp(v->name, "report") == 0)
		return; /* of analysis.h5 that was free space, which is compared byte by byte */
	else if (code == 0)
		compare_all(v, false, "exits with 0");
	else
		check_left(v);
}

/* ---- the verbs ---- */

/* Runs the verb undisturbed; its calls. */
static long count(const verb *v, int error)
{
	char *text = NULL;
	size_t size;
	clear(v);
	int code = run(w.sextant, v->words, 0, error);
	if (code != 0) fail_msg("%s exits with %d: %s", v->words, code, said());
	assert_int_equal(sx_read_file(NULL, in("count"), &text, &size), SX_OK);
	long calls = strtol(text, NULL, 10);
	free(text);
	assert_true(calls > 2);
	return calls;
}

static void sweep(const verb *v, bool lost, long calls)
{
	long before = w.faults, told = 0, n = w.points && w.points < calls ? w.points : calls;
	for (long i = 0; i < n; i++)
		try(v, n == calls ? i + 1 : 1 + calls * (i + 1) / (n + 1), lost, &told);
	print_message("%s: %ld of %ld calls %s: %ld told, %ld not, %ld faults\n", v->name, n, calls,
		      lost ? "lost" : "failed once", told, n - told, w.faults - before);
	fflush(stdout);
	assert_true(told > 0);
	assert_int_equal(w.faults, before);
}

static void verb_stands(void **state)
{
	const verb *v = *state;
	if (w.only && strcmp(w.only, v->name) != 0) skip();
	long calls = count(v, EIO);
	must("rm", "-rf right");
	must("mkdir", "right");
	for (int i = 0; i < MOST_OUT && v->out[i]; i++) copy(v->out[i], reference(v->out[i]));
	/* twice alike, else nothing here means anything; the last write takes back a mark that the
	 * file is being written, which nobody heeds in a file of the old format */
	long writes = v->reads_back ? count(v, 0) - 1 : 0;
	snprintf(w.now, sizeof w.now, "%s, undisturbed", v->name);
	compare_all(v, false, "it was made again");
	sweep(v, false, calls);
	if (v->reads_back) sweep(v, true, writes);
}

static void write_text(const char *name, const char *text)
{
	assert_int_equal(sx_write_file(&w.ctx, in(name), text, strlen(text)), SX_OK);
}

/* What the verbs are given. */
static int make_world(void **state)
{
	(void)state;
	char line[128];
	FILE *f;
	sx_ctx_init(&w.ctx);
	w.ctx.level = SX_LOG_ERROR;
	snprintf(w.dir, sizeof w.dir, "%s", "/tmp/sx-faults-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	f = fopen(in("text.txt"), "w");
	assert_non_null(f);
	for (int i = 1; i <= 60; i++) {
		snprintf(line, sizeof line, "The quick brown fox %d jumps over %d lazy dogs.\n", i,
			 i * 7919 % 1000);
		fputs(line, f);
	}
	assert_int_equal(fclose(f), 0);
	write_text("tiny.yaml", config);
	write_text("recipe.yaml", recipe);
	must(w.sextant, "train tiny.yaml -o whole -q --threads 1");
	must(w.sextant, "trace whole --prompt hello -o old.h5 -q --maps L*/H*");
	must(w.sextant, "eval ppl whole --lengths 32 --windows 1 -o ppl.h5 -q");
	must(w.sextant, "report ppl.h5 -o older -q --title Older");
	copy("whole", "killed");
	must("rm", "killed/run.h5");
	return 0;
}

static int remove_world(void **state)
{
	(void)state;
	char words[PATH_SIZE];
	snprintf(words, sizeof words, "-rf %s", w.dir);
	must("rm", words);
	return 0;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[VERBS];
	if (argc < 3) return 64;
	w.sextant = argv[1];
	w.interposer = argv[2];
	w.points = 3;
	if (argc > 3) w.points = strcmp(argv[3], "all") == 0 ? 0 : strtol(argv[3], NULL, 10);
	if (argc > 4) w.only = argv[4];
	for (int i = 0; i < VERBS; i++)
		tests[i] = (struct CMUnitTest){.name = verbs[i].name,
					       .test_func = verb_stands,
					       .initial_state = (void *)(uintptr_t)&verbs[i]};
	return cmocka_run_group_tests(tests, make_world, remove_world);
}

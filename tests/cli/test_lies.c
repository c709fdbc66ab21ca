#define _GNU_SOURCE /* RTLD_NEXT */
/* Run files that lie: every dataset of good small files is changed in every way of mutate.h, and every
 * verb that reads is run on it in a process of its own. None may crash, none may say "internal", and
 * none may end well with numbers that neither the good file has nor the one without that dataset.
 *
 *	test_lies [EVERY [FLIPS]]   every EVERY-th change (1: all, hours), FLIPS flipped bytes a file */
#include "cli/cmd.h"
#include "tests/support/check.h"
#include "tests/support/mutate.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const sx_cmd sx_cmd_bounds, sx_cmd_check, sx_cmd_eval, sx_cmd_figure, sx_cmd_heads,
	sx_cmd_info, sx_cmd_ls, sx_cmd_recover, sx_cmd_report, sx_cmd_rope, sx_cmd_top,
	sx_cmd_trace, sx_cmd_train;
static const sx_cmd *const verbs[] = {&sx_cmd_bounds, &sx_cmd_check, &sx_cmd_eval, &sx_cmd_figure,
				      &sx_cmd_heads,  &sx_cmd_info,  &sx_cmd_ls,   &sx_cmd_recover,
				      &sx_cmd_report, &sx_cmd_rope,  &sx_cmd_top,  &sx_cmd_trace,
				      &sx_cmd_train};

/* Under a sanitizer: its own exit code, and no memory rather than an end where much is asked for. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=99:allocator_may_return_null=1:max_allocation_size_mb=4096:detect_leaks=1";
}
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig\nleak:libhdf5\nleak:libcairo\nleak:libpango\n";
}

enum { SANITIZER = 99, SECONDS = 60, VERBS = 16, OUT = 1 << 20 };

/* ---- good files ---- */

static const char config[] =
	"data: {text: [text.txt]}\n"
	"model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}\n"
	"train: {steps: 12, batch: 4, warmup: 2, checkpoint_every: 6, drop_at: 8, drop: {steps: "
	"12, "
	"warmup: 2}}\n"
	"probe: {every: 6, around_drop: {within: 1, every: 1}, maps: {heads: L*/H*, every: 8}, "
	"ac_train: true}\n"
	"eval: {every: 10, lengths: [32]}\n";

static const char *const recipe[] = {
	"train tiny.yaml -o run -q",
	"trace run --text text.txt --length 32 --sequences 2 --maps L0/H* --logits --grad "
	"--batch-grad "
	"--reduce --top 2 --sites x,q,k_rot,mlp -o t.h5 -q",
	"trace run@6 --toward run@8 --text text.txt --length 32 --sequences 2 --observe ac -o u.h5 "
	"-q",
	"bounds run -o b.h5 -q",
	"bounds tiny.yaml --mix 1,0.01,0.001 -o m.h5 -q",
	"eval niah run --lengths 32,64 --trials 8 --temperatures 0,0.4 --choose 8 --windows 4 -o "
	"grid.h5 "
	"-q",
	"eval ppl run --lengths 32,64 --windows 4 -o ppl.h5 -q",
	"report run t.h5 b.h5 u.h5 -o rep -q",
};

/* A file that is lied about, a good copy of it, and the verbs that read it; @: the dataset. */
typedef struct {
	const char *path, *good, *verb[VERBS];
} subject;

static const subject subjects[] = {
	{"run/run.h5",
	 "run.good",
	 {"check --json run", "ls run", "info --json run/run.h5", "ls run @", "heads --json run",
	  "heads --over-run run", "rope --json run", "figure ac run -o o.svg --data o.csv",
	  "figure ac-grad run -o o.svg --data o.csv", "figure maps run -o o.svg --data o.csv",
	  "figure offsets run -o o.svg --data o.csv", "figure drop run -o o.svg --data o.csv",
	  "figure plane run -o o.svg --data o.csv", "figure context run -o o.svg --data o.csv",
	  "top --once --json run", "report run -o rep2 -q"}},
	{"t.h5",
	 "t.good",
	 {"check --json t.h5", "ls --json t.h5", "info --json t.h5", "ls t.h5 @",
	  "heads --json t.h5", "rope --json t.h5", "rope --pairs t.h5",
	  "figure ac t.h5 -o o.svg --data o.csv", "figure ac-grad t.h5 -o o.svg --data o.csv",
	  "figure maps t.h5 -o o.svg --data o.csv", "figure offsets t.h5 -o o.svg --data o.csv",
	  "figure frequencies t.h5 -o o.svg --data o.csv",
	  "figure plane t.h5 -o o.svg --data o.csv", "report t.h5 -o rep2 -q"}},
	{"u.h5",
	 "u.good",
	 {"check --json u.h5", "ls u.h5 @", "figure ac-grad u.h5 -o o.svg --data o.csv",
	  "report u.h5 -o rep2 -q"}},
	{"b.h5",
	 "b.good",
	 {"check --json b.h5", "info --json b.h5", "ls b.h5 @", "bounds --json b.h5",
	  "bounds --families b.h5", "figure bounds b.h5 -o o.svg --data o.csv",
	  "report b.h5 -o rep2 -q"}},
	{"m.h5",
	 "m.good",
	 {"check --json m.h5", "ls m.h5 @", "bounds --json m.h5",
	  "figure mix m.h5 -o o.svg --data o.csv", "report m.h5 -o rep2 -q"}},
	{"grid.h5",
	 "grid.good",
	 {"check --json grid.h5", "ls grid.h5 @", "figure context grid.h5 -o o.svg --data o.csv",
	  "report grid.h5 -o rep2 -q"}},
	{"ppl.h5",
	 "ppl.good",
	 {"check --json ppl.h5", "ls ppl.h5 @", "figure context ppl.h5 -o o.svg --data o.csv",
	  "report ppl.h5 -o rep2 -q"}},
	{"seg.h5",
	 "seg.good",
	 {"check --json seg.h5", "ls seg.h5", "ls seg.h5 @", "heads --json seg.h5",
	  "recover seg.h5 -o rec.h5 -q", "check rec.h5", "figure ac rec.h5 -o o.svg --data o.csv"}},
	{"rep/analysis.h5",
	 "analysis.good",
	 {"check --json rep/analysis.h5", "ls rep/analysis.h5", "info --json rep/analysis.h5"}},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

/* ---- which datasets a verb asks for ---- */

static FILE *asked; /* in a child */

/* These stand before the library's own. */
htri_t H5Lexists(hid_t loc, const char *name, hid_t list)
{
	htri_t (*real)(hid_t, const char *, hid_t);
	void *found = dlsym(RTLD_NEXT, "H5Lexists");
	memcpy(&real, &found, sizeof real);
	if (asked) fprintf(asked, "%s\n", name);
	return real(loc, name, list);
}

hid_t H5Aopen_by_name(hid_t loc, const char *object, const char *name, hid_t aapl, hid_t lapl)
{
	hid_t (*real)(hid_t, const char *, const char *, hid_t, hid_t);
	void *found = dlsym(RTLD_NEXT, "H5Aopen_by_name");
	memcpy(&real, &found, sizeof real);
	if (asked) fprintf(asked, "%s\n", object);
	return real(loc, object, name, aapl, lapl);
}

/* Whether the text of what was asked for has a line of that name. */
static bool has_line(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = text; at && (at = strstr(at, name)); at++)
		if ((at == text || at[-1] == '\n') && at[n] == '\n') return true;
	return false;
}

/* ---- a verb in a process of its own ---- */

typedef struct {
	int code; /* 256 + signal */
	char *out, *err, *asked;
} outcome;

static void outcome_free(outcome *o)
{
	free(o->out);
	free(o->err);
	free(o->asked);
	*o = (outcome){0};
}

/* The tests' own handlers would go on with the test in a child. */
static void crash_plainly(void)
{
	static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGABRT};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	alarm(SECONDS);
}

static void be_verb(const char *line, const char *dataset)
{
	static char words[1024], set[128];
	char *argv[32];
	int argc = 0, out = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600),
	    err = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	sx_ctx ctx;
	dup2(out, 1);
	dup2(err, 2);
	crash_plainly();
#ifndef __SANITIZE_ADDRESS__
	setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)4 << 30, (rlim_t)4 << 30});
#endif
	snprintf(words, sizeof words, "%s", line);
	snprintf(set, sizeof set, "%s", dataset);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		argv[argc++] = strcmp(w, "@") == 0 ? set : w;
	argv[argc] = NULL;
	asked = fopen("asked.txt", "w");
	sx_ctx_init(&ctx);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(verbs[i]->name, argv[0]) != 0) continue;
		sx_status st = verbs[i]->run(&ctx, argc, argv);
		if (st != SX_OK) fprintf(stderr, "%s\n", ctx.message);
		fflush(NULL);
		exit(sx_status_exit(st));
	}
	_exit(127);
}

static char *read_small(const char *path)
{
	char *text = calloc(1, OUT);
	FILE *f = fopen(path, "rb");
	if (f && fread(text, 1, OUT - 1, f) == 0) text[0] = '\0';
	if (f) fclose(f);
	return text;
}

static outcome run_verb(const char *line, const char *dataset)
{
	outcome o = {0};
	int status = 0;
	unlink("o.csv");
	unlink("rec2.h5");
	if (strncmp(line, "recover", 7) == 0) unlink("rec.h5");
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) be_verb(line, dataset);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
	o.err = read_small("err.txt");
	o.asked = read_small("asked.txt");
	o.out = read_small(strstr(line, "--data") ? "o.csv" : "out.txt");
	return o;
}

static void copy_file(const char *from, const char *to)
{
	char block[1 << 16];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	assert_true(in && out);
	for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
		assert_int_equal(fwrite(block, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

/* Tells a lie about a copy of the good file, in a process of its own: HDF5 is asked for much. */
static bool make_lie(const subject *s, const char *path, mutation what, const char *to)
{
	int status = 0;
	copy_file(s->good, to);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		crash_plainly();
		_exit(mutate(to, path, what, s->good) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- findings ---- */

static int64_t n_changes, n_calls, n_findings, n_seen[512];
static int every = 120, flips = 0;

static void finding(const char *what, const char *verb, const char *where, const char *how,
		    const outcome *o)
{
	n_findings++;
	printf("FINDING %s: %s | %s %s | exit %d: %.400s\n", what, verb, where, how, o->code,
	       o->err);
}

/* Exit codes of bad data; `recover` writes, a report may find nothing to write of. */
static bool is_answer(int code)
{
	return code == 0 || code == 1 || code == 64 || code == 65 || code == 66;
}

/* ---- changes ---- */

typedef struct {
	const subject *s;
	char path[256][96];
	int n;
	outcome good[VERBS];
} target;

static herr_t list_dataset(hid_t root, const char *name, const H5O_info_t *info, void *self)
{
	target *t = self;
	(void)root;
	if (info->type == H5O_TYPE_DATASET && t->n < 256)
		snprintf(t->path[t->n++], 96, "/%s", name);
	return 0;
}

static void list_datasets(target *t)
{
	hid_t f = H5Fopen(t->s->good, H5F_ACC_RDONLY, H5P_DEFAULT);
	assert_true(f >= 0);
	assert_true(H5Ovisit2(f, H5_INDEX_NAME, H5_ITER_INC, list_dataset, t, H5O_INFO_BASIC) >= 0);
	H5Fclose(f);
}

static bool is_growing_axis(const char *path)
{
	const char *name = strrchr(path, '/');
	return !strcmp(name, "/step") || !strcmp(name, "/sample") || !strcmp(name, "/ckpt");
}

/* Whether the file is then just another good one: fewer records, or one begun. */
static bool is_true(const char *path, mutation what)
{
	bool rows = what == M_SHRUNK_0 || what == M_ZERO_0;
	return !mutation_is_shape[what] || what == M_DELETED || what == M_RENAMED ||
	       (is_growing_axis(path) && rows) || !strcmp(path, "/checkpoints/step");
}

/* Numbers of the dataset as it is now, that neither the good file gives nor the one without it. */
static void judge_numbers(target *t, int v, const char *path, mutation what, const outcome *o)
{
	const char *line = t->s->verb[v];
	if (o->code != 0 || is_true(path, what) || strncmp(line, "report", 6) == 0 ||
	    strncmp(line, "ls --json", 9) == 0 || strncmp(line, "top", 3) == 0 ||
	    strncmp(line, "recover", 7) == 0 || strncmp(line, "check rec", 9) == 0 ||
	    strncmp(line, "figure ac rec", 13) == 0 || !strcmp(line, "ls run") ||
	    !strcmp(line, "ls seg.h5") || strstr(line, "analysis.h5"))
		return;
	/* an axis by itself is what it is */
	if (strchr(line, '@') && (what == M_SHRUNK_0 || is_growing_axis(path))) return;
	if (strncmp(line, "check", 5) == 0 && strstr(o->out, "\"torn\": 1")) return;
	outcome without = {0}, with = {0};
	copy_file(t->s->good, t->s->path);
	if (strchr(line, '@')) with = run_verb(line, path);
	bool same = strcmp(o->out, with.out ? with.out : t->good[v].out) == 0;
	if (!same) {
		assert_true(make_lie(t->s, path, M_DELETED, t->s->path));
		without = run_verb(line, path);
		same = without.code == 0 && strcmp(o->out, without.out) == 0;
	}
	if (!same || (strncmp(line, "check", 5) == 0))
		finding("NUMBERS", line, path, mutation_name[what], o);
	outcome_free(&without);
	outcome_free(&with);
}

/* Whether a verb looks at a dataset; a report, which takes long, is made now and then. */
static bool looks_at(const target *t, int v, const char *path)
{
	const char *line = t->s->verb[v];
	bool all = strncmp(line, "check", 5) == 0 || strncmp(line, "recover", 7) == 0 ||
		   strchr(line, '@') || strstr(line, "rec.h5") || strstr(line, "analysis.h5");
	if (strncmp(line, "report", 6) == 0 && n_changes % 16 != 0) return false;
	return all || has_line(t->good[v].asked, path);
}

static void tell(target *t, const char *path, mutation what)
{
	if (!make_lie(t->s, path, what, "lie")) return;
	n_changes++;
	for (int v = 0; v < VERBS && t->s->verb[v]; v++) {
		if (!looks_at(t, v, path)) continue;
		copy_file("lie", t->s->path);
		if (strncmp(t->s->verb[v], "check rec", 9) == 0 ||
		    strncmp(t->s->verb[v], "figure ac rec", 13) == 0) {
			if (access("rec.h5", F_OK) != 0) continue;
		}
		outcome o = run_verb(t->s->verb[v], path);
		n_calls++;
		n_seen[o.code]++;
		if (!is_answer(o.code))
			finding("END", t->s->verb[v], path, mutation_name[what], &o);
		else if (strncmp(t->s->verb[v], "check rec", 9) == 0 && o.code != 0)
			finding("RECOVERED", t->s->verb[v], path, mutation_name[what], &o);
		else
			judge_numbers(t, v, path, what, &o);
		outcome_free(&o);
	}
}

static void flip(target *t, int64_t k)
{
	char how[64];
	struct stat sb;
	for (int v = 0; v < VERBS && t->s->verb[v]; v++) {
		if (strchr(t->s->verb[v], '@')) continue;
		copy_file(t->s->good, t->s->path);
		assert_int_equal(stat(t->s->path, &sb), 0);
		FILE *f = fopen(t->s->path, "r+b");
		for (int i = 0; i < 1 + (int)(k % 4); i++) {
			long at = (long)(sx_uniform(11, SX_STREAM_TEST, (uint64_t)(8 * k + 2 * i)) *
					 (double)sb.st_size);
			int bit = (int)(sx_uniform(11, SX_STREAM_TEST,
						   (uint64_t)(8 * k + 2 * i + 1)) *
					255);
			fseek(f, at, SEEK_SET);
			int c = fgetc(f);
			fseek(f, at, SEEK_SET);
			fputc(c ^ (bit + 1), f);
		}
		fclose(f);
		snprintf(how, sizeof how, "flip %lld", (long long)k);
		outcome o = run_verb(t->s->verb[v], "");
		n_calls++;
		n_seen[o.code]++;
		if (!is_answer(o.code) && o.code != 74) finding("END", t->s->verb[v], "", how, &o);
		outcome_free(&o);
	}
	n_changes++;
}

/* ---- the whole ---- */

static char dir[256];

static int make_files(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/sextant-lies-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir) || chdir(dir) != 0) return -1;
	FILE *f = fopen("tiny.yaml", "w");
	fputs(config, f);
	fclose(f);
	f = fopen("text.txt", "w");
	for (int i = 0; i < 400; i++)
		fprintf(f, "The quick brown fox %d jumps over %d lazy dogs.\n", i, i * 7919 % 1000);
	fclose(f);
	for (size_t i = 0; i < sizeof recipe / sizeof *recipe; i++) {
		outcome o = run_verb(recipe[i], "");
		if (o.code != 0) print_message("%s: exit %d, %s\n", recipe[i], o.code, o.err);
		if (o.code != 0) return -1;
		outcome_free(&o);
	}
	copy_file("run/live/seg-0000.h5", "seg.h5");
	for (int i = 0; i < SUBJECTS; i++) copy_file(subjects[i].path, subjects[i].good);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	char command[300];
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return chdir("/") == 0 ? system(command) : -1;
}

static void begin(target *t, const subject *s)
{
	memset(t, 0, sizeof *t);
	t->s = s;
	list_datasets(t);
	for (int v = 0; v < VERBS && s->verb[v]; v++) {
		copy_file(s->good, s->path);
		if (strchr(s->verb[v], '@')) continue;
		t->good[v] = run_verb(s->verb[v], "");
		if (!is_answer(t->good[v].code)) finding("GOOD", s->verb[v], "", "", &t->good[v]);
	}
}

static void end(target *t)
{
	for (int v = 0; v < VERBS; v++) outcome_free(&t->good[v]);
	copy_file(t->s->good, t->s->path);
}

static void lies_are_refused(void **state)
{
	(void)state;
	int64_t k = 0;
	static target t;
	for (int i = 0; i < SUBJECTS; i++) {
		begin(&t, &subjects[i]);
		for (int d = 0; d < t.n; d++) {
			for (int m = 0; m < MUTATION_COUNT; m++)
				if (k++ % every == 0) tell(&t, t.path[d], (mutation)m);
		}
		end(&t);
		print_message("%s: %lld changes, %lld calls, %lld findings\n", subjects[i].path,
			      (long long)n_changes, (long long)n_calls, (long long)n_findings);
		fflush(stdout);
	}
	assert_int_equal(n_findings, 0);
}

static void flipped_bytes_are_no_crash(void **state)
{
	(void)state;
	static target t;
	int64_t before = n_findings;
	for (int i = 0; i < SUBJECTS; i++) {
		begin(&t, &subjects[i]);
		for (int64_t k = 0; k < flips; k++) flip(&t, k + i * 100000);
		end(&t);
	}
	for (int c = 0; c < 512; c++)
		if (n_seen[c]) print_message("exit %d: %lld\n", c, (long long)n_seen[c]);
	print_message("%lld changes, %lld calls, %lld findings\n", (long long)n_changes,
		      (long long)n_calls, (long long)n_findings);
	assert_int_equal(n_findings, before);
}

int main(int argc, char **argv)
{
	if (argc > 1) every = atoi(argv[1]);
	if (argc > 2) flips = atoi(argv[2]);
	setenv("OMP_NUM_THREADS", "1", 1);
	H5dont_atexit();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_refused),
					   cmocka_unit_test(flipped_bytes_are_no_crash)};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}

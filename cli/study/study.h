/* A study: runs, traces, evaluations and bounds that a recipe lists, for each of its seeds. What the
 * recipe says as items with their files, and the jobs that make what is missing. */
#ifndef SX_CLI_STUDY_STUDY_H
#define SX_CLI_STUDY_STUDY_H

#include "analysis/sections/item.h"
#include "probes/config/config.h"

typedef struct {
	sx_item_kind kind;
	char *name;  /* of the recipe's entry: "rope", "final", "extension"                   */
	char *label; /* what figures and tables call the model: "RoPE"                        */
	char *of;    /* "rope" or "rope@963": the run it looks at, or branches from; "" = none */
	char *what;  /* of an evaluation: "niah", "ppl"; else ""                              */
	char *file;  /* inside the work folder: "seed-1/rope", "seed-1/final/rope.h5"         */
	char *path;  /* the same with the work folder before it                               */
	int64_t seed;
	bool untrained; /* of a run: random weights, a configuration and nothing else         */

	/* How it is made; set by sx_study_read_recipe alone. */
	int64_t on;   /* the item of the run behind `of`, -1 = none                           */
	int64_t step; /* the checkpoint behind `of`, -1 = the last one                        */
	bool has_cfg;
	sx_config cfg; /* of a run                                                            */
	char **option; /* words for the verb: "--sequences=16", "pos.method=nope"             */
	int n_option;
} sx_study_item;

typedef struct {
	char *name, *title;
	char *recipe; /* the recipe's path  */
	char *work;   /* the work folder    */
	int64_t *seed;
	int n_seed;
	sx_study_item *item; /* seed by seed; runs come before what is made of them           */
	int64_t n_item;
} sx_study;

/* The items of a recipe. overrides: n words key=value; `seeds` replaces the recipe's, every other is
 * a key of the configuration and replaces that of the recipe's `config`. Relative paths in data.text,
 * data.tokenizer and init are made absolute: jobs run inside the work folder. work NULL: runs/NAME.
 * Nothing is written.
 * SX_ENOINPUT, SX_ECONFIG with file, line and what to do; SX_EUSAGE; SX_ENOMEM. */
sx_status sx_study_read_recipe(sx_study *out, sx_ctx *ctx, const char *recipe, int n,
			       char *const *overrides, const char *work) SX_NODISCARD;
/* A path as it is; a name is looked for as share/sextant/studies/NAME.yaml and
 * analysis/studies/NAME.yaml in every folder above the program. *path is the caller's.
 * SX_ENOINPUT. */
sx_status sx_study_find_recipe(char **path, sx_ctx *ctx, const char *recipe) SX_NODISCARD;

/* WORK/study.json: what sx_study_run leaves for the report. Reading it fills everything but how items
 * are made. SX_ENOINPUT, SX_EDATA, SX_EIO, SX_ECREATE, SX_ENOMEM. */
sx_status sx_study_write(const sx_study *s, sx_ctx *ctx) SX_NODISCARD;
sx_status sx_study_read(sx_study *out, sx_ctx *ctx, const char *work) SX_NODISCARD;

/* Whether a folder holds a study.json. */
bool sx_study_is_in(const char *folder);
/* Whether an item's file is there, of a run its run.h5. */
bool sx_study_item_made(const sx_study_item *x);
/* How many are not; *first is the path of the first such, borrowed, where there is one. */
int64_t sx_study_missing(const sx_study *s, const char **first);

void sx_study_free(sx_study *s); /* what is inside */

/* ---- jobs ---- */

typedef enum {
	SX_JOB_KEPT,    /* whole, made from the same settings: nothing to do                  */
	SX_JOB_WAITING, /* for what it is made from, or for a place                           */
	SX_JOB_RUNNING,
	SX_JOB_DONE,
	SX_JOB_FAILED,
	SX_JOB_STOPPED /* never begun: something before it failed, or the study was stopped   */
} sx_job_state;
const char *sx_job_state_name(sx_job_state s);

typedef struct {
	char *name;  /* "seed-1/final/rope"                                                   */
	char **argv; /* of the program, NULL at the end; NULL: the study itself writes it     */
	sx_job_state state;
	bool resume;
	int exit; /* of the child; 128 + signal                                               */
	int pid;
	double begun, seconds;
	/* sx_study_cost */
	int64_t tokens, file_bytes;
	double flops, estimate; /* estimate: seconds, 0 = not measured                        */
} sx_job;

/* One job per item, in the same order. SX_ECONFIG where a run with other settings is in the way,
 * naming it and the keys. */
sx_status sx_study_jobs(sx_job **out, sx_ctx *ctx, const sx_study *s) SX_NODISCARD;
void sx_study_jobs_free(sx_job *jobs, const sx_study *s);

/* Fills tokens, FLOPs and bytes of what is not kept (probes/lab/cost.h). SX_ECONFIG, SX_EDATA. */
sx_status sx_study_cost(sx_job *jobs, sx_ctx *ctx, const sx_study *s) SX_NODISCARD;
/* Fills `estimate`: FLOPs over the rate of three training steps of each shape of model, by as many
 * copies of `sextant plan --measure` at once as there will be jobs. Makes what is not trained at
 * the first trained shape's rate. */
sx_status sx_study_measure(sx_job *jobs, sx_ctx *ctx, const sx_study *s, int at_once) SX_NODISCARD;
/* Wall-clock seconds of all that is not kept with so many at once, by the estimates and the order in
 * which sx_study_run begins them. */
double sx_study_makespan(const sx_job *jobs, const sx_study *s, int at_once);
/* The next job to begin: of those whose run is there, the one with most work behind it (its own and
 * the longest chain of what waits for it). -1 = none can begin now. */
int64_t sx_study_next(const sx_job *jobs, const sx_study *s);

/* Makes what is missing inside the work folder, at most `at_once` at a time, each a child of this
 * program with cores / at_once threads, its output in WORK/logs. What depends on a failed job is not
 * begun; the rest goes on, then the status is the first failed job's. SX_ESTOPPED after a signal that
 * the caller catches (sx_stop_catch): the children get SIGTERM (a training run writes a checkpoint
 * then), and the same call goes on. SX_ECREATE where another study is at work in the folder.
 *
 * watch: the folder of a report that is made again as jobs end, of what is there until then; NULL =
 * none. A file that is to be made again is removed first, so that no page shows an old one. Where the
 * pages' words go: watch_out, a descriptor. */
sx_status sx_study_run(sx_job *jobs, sx_ctx *ctx, const sx_study *s, int at_once, const char *watch,
		       int watch_out) SX_NODISCARD;

/* ---- between the study's sources ---- */

/* The words of verb (NULL at its end), then key=value for every setting that is not a default. The
 * caller's, for sx_study_words_free. SX_ENOMEM. */
sx_status sx_study_words(char ***out, sx_ctx *ctx, char *const *verb,
			 const sx_config *cfg) SX_NODISCARD;
void sx_study_words_free(char **words);
/* Threads of each of so many jobs: the machine's, shared among them. */
int sx_study_threads(int at_once);

/* What an entry of a kind may say, and what values that takes: `--key=value` of the verb, but for
 * `toward`, a number of updates. */
typedef enum {
	SX_STUDY_COUNT = 1,
	SX_STUDY_COUNTS,
	SX_STUDY_REALS,
	SX_STUDY_WORDS,
	SX_STUDY_PATH,
	SX_STUDY_FLAG
} sx_study_type;
typedef struct {
	sx_item_kind kind;
	const char *key;
	sx_study_type type;
} sx_study_option;
enum { SX_STUDY_OPTIONS = 25 };
extern const sx_study_option sx_study_options[SX_STUDY_OPTIONS + 1]; /* ends with a NULL key */
/* What the verb would refuse after hours is refused here. */
bool sx_study_is_value(const sx_study_option *o, const char *s);

/* Begins this program with argv; output and errors go to the file `log` (or to the descriptor
 * `out` where log is NULL), folder and threads where given. The child ends with this process. */
typedef struct {
	char *const *argv;
	const char *folder, *log;
	int out;
	int threads; /* 0 = as they are */
	int lower;   /* the priority, by so much */
} sx_child;
sx_status sx_child_start(int *pid, sx_ctx *ctx, const sx_child *c) SX_NODISCARD;
/* Waits; the exit code, 128 + signal where it was killed. A signal that asks the study to end ends it. */
int sx_child_wait(int pid);
int sx_child_exit(int status);       /* the same of waitpid's status                        */
sx_status sx_child_status(int code); /* of which this is the exit code; else SX_EINTERNAL */

/* The report of a study at work, watch.c. */
typedef struct {
	const char *folder; /* NULL: nobody watches, and nothing below does anything          */
	int out;            /* descriptor of the child's output                               */
	int pid;            /* of the page under way, 0 = none                                */
	double begun, next; /* when it began, and when the next one may: seconds of a clock   */
	int64_t shown;      /* parts that were there when the last page was begun             */
	bool drawn, over;   /* a page has been made; one failed, so no more are               */
} sx_watch;
/* Removes the files that are to be made again. */
void sx_watch_begin(const sx_watch *w, const sx_study *s, const sx_job *jobs);
/* To be called again and again; does not wait. */
void sx_watch_step(sx_watch *w, sx_ctx *ctx, const sx_study *s, const sx_job *jobs, double now);
/* Waits for the page under way; last: and makes one of what came since. */
void sx_watch_end(sx_watch *w, sx_ctx *ctx, const sx_study *s, const sx_job *jobs, bool last,
		  double now);

#endif

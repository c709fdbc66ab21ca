/* From items to jobs: the words of each command line, and what need not be made again. */
#include "cli/out.h"
#include "cli/study/study.h"
#include "probes/runfile/runfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- command lines ---- */

struct words {
	char **at;
	size_t n;
	bool failed;
};

/* Takes the word over. */
static void add(struct words *w, char *word)
{
	char **grown = word && !w->failed ? sx_grow(w->at, w->n + 2, sizeof *grown) : NULL;
	if (!grown) {
		free(word);
		w->failed = true;
		return;
	}
	w->at = grown;
	w->at[w->n++] = word;
	w->at[w->n] = NULL;
}

void sx_study_words_free(char **words)
{
	for (char **w = words; w && *w; w++) free(*w);
	free(words);
}

/* Takes the words over, or says that there is no memory. */
static sx_status finish(char ***out, sx_ctx *ctx, struct words *w)
{
	if (!w->failed) {
		*out = w->at;
		return SX_OK;
	}
	sx_study_words_free(w->at);
	return sx_fail(ctx, SX_ENOMEM, "no memory for a command line");
}

static void add_settings(struct words *w, const sx_config *defaults, const sx_config *cfg)
{
	const sx_option *keys[SX_OPTION_COUNT];
	int n = sx_config_diff(defaults, cfg, keys);
	for (int i = 0; i < n; i++) {
		char *value = sx_config_value(cfg, keys[i]);
		add(w, value ? sx_format("%s=%s", keys[i]->key, value) : NULL);
		free(value);
	}
}

sx_status sx_study_words(char ***out, sx_ctx *ctx, char *const *verb, const sx_config *cfg)
{
	sx_config defaults;
	struct words w = {.at = sx_calloc(1, sizeof *w.at)};
	sx_status st = sx_config_init(&defaults, ctx);
	if (st != SX_OK || !w.at) {
		free(w.at);
		return st != SX_OK ? st : sx_fail(ctx, SX_ENOMEM, "no memory for a command line");
	}
	for (; *verb; verb++) add(&w, sx_strdup(*verb));
	add_settings(&w, &defaults, cfg);
	sx_config_free(&defaults);
	return finish(out, ctx, &w);
}

/* RUN or RUN@STEP inside the work folder. */
static char *model_of(const sx_study *s, const sx_study_item *x)
{
	const char *run = s->item[x->on].file;
	return x->step < 0 ? sx_strdup(run) : sx_format("%s@%lld", run, (long long)x->step);
}

/* train with every setting that is not a default: with init=MODEL what is not said is that model's. */
static sx_status train_words(char ***out, sx_ctx *ctx, const sx_study *s, const sx_study_item *x,
			     bool resume)
{
	char *verb[] = {"sextant", "train", NULL};
	struct words w = {0};
	sx_status st = sx_study_words(&w.at, ctx, verb, &x->cfg);
	if (st != SX_OK) return st;
	while (w.at[w.n]) w.n++;
	if (x->on >= 0 && !resume) {
		add(&w, sx_strdup("--branch"));
		add(&w, model_of(s, x));
	}
	if (resume) add(&w, sx_strdup("--resume"));
	add(&w, sx_strdup("-o"));
	add(&w, sx_strdup(x->file));
	return finish(out, ctx, &w);
}

/* The program's words; an untrained run has none. */
static sx_status command_of(char ***out, sx_ctx *ctx, const sx_study *s, const sx_study_item *x,
			    bool resume)
{
	struct words w = {0};
	if (x->untrained) return SX_OK;
	if (x->kind == SX_ITEM_RUN) return train_words(out, ctx, s, x, resume);
	add(&w, sx_strdup("sextant"));
	add(&w, sx_strdup(sx_item_kind_name(x->kind)));
	if (*x->what) add(&w, sx_strdup(x->what));
	add(&w, model_of(s, x));
	for (int i = 0; i < x->n_option; i++) add(&w, sx_strdup(x->option[i]));
	add(&w, sx_strdup("-o"));
	add(&w, sx_strdup(x->file));
	return finish(out, ctx, &w);
}

/* ---- what is there ---- */

/* Seconds of the last change, -1 where there is none. */
static double changed(const char *folder, const char *name)
{
	struct stat b;
	char *path = sx_format("%s%s", folder, name);
	double t = -1;
	if (path && stat(path, &b) == 0)
		t = (double)b.st_mtim.tv_sec + 1e-9 * (double)b.st_mtim.tv_nsec;
	free(path);
	return t;
}

/* A sealed file that ended well, and its attribute. An unreadable one is made again. */
static bool sealed_with(const char *path, const char *attribute, const char *value)
{
	sx_ctx quiet;
	sx_run_file *f = NULL;
	char *status = NULL, *text = NULL;
	sx_ctx_init(&quiet);
	bool same = sx_path_exists(path) && sx_run_open(&f, &quiet, path) == SX_OK &&
		    sx_run_get_str(f, "/", "status", &status) == SX_OK &&
		    strcmp(status, "complete") == 0;
	if (same && attribute)
		same = sx_run_get_str(f, "/", attribute, &text) == SX_OK &&
		       strcmp(text, value) == 0;
	free(status);
	free(text);
	sx_run_file_close(f);
	return same;
}

/* The run in the way must be the recipe's. With init=MODEL the run's model.* are that model's. */
static sx_status check_settings(sx_ctx *ctx, const sx_study_item *x, const char *config)
{
	sx_config old;
	sx_status st = sx_config_load(&old, ctx, config, 0, NULL);
	if (st != SX_OK) return st;
	const sx_option *keys[SX_OPTION_COUNT];
	char list[500] = "";
	int n = sx_config_diff(&old, &x->cfg, keys);
	for (int i = 0; i < n; i++) {
		size_t used = strlen(list);
		if (x->cfg.init[0] && (strncmp(keys[i]->key, "model.", 6) == 0 ||
				       strncmp(keys[i]->key, "pos.", 4) == 0))
			continue;
		snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", keys[i]->key);
	}
	if (*list)
		st = sx_fail(ctx, SX_ECONFIG,
			     "%s holds a run with other settings (%s); remove it or choose another "
			     "--work",
			     x->path, list);
	sx_config_free(&old);
	return st;
}

/* A run is kept, goes on, or begins; *resume only where it goes on. */
static sx_status look_at_run(sx_job *j, sx_ctx *ctx, const sx_study *s, const sx_study_item *x)
{
	sx_status st = SX_OK;
	char *config = sx_format("%s/config.yaml", x->path), *file = NULL, *branch = NULL;
	if (!config) return sx_fail(ctx, SX_ENOMEM, "no memory for a path");
	if (!sx_path_exists(config)) goto out;
	SX_TRY(check_settings(ctx, x, config));
	file = sx_format("%s/run.h5", x->path);
	branch = x->on >= 0 ? model_of(s, x) : sx_strdup("");
	if (!file || !branch) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a path");
		goto out;
	}
	if (sealed_with(file, *branch ? "branch" : NULL, branch))
		j->state = SX_JOB_KEPT;
	else if (sealed_with(file, NULL, NULL))
		st = sx_fail(ctx, SX_ECONFIG,
			     "%s holds a run that does not branch from %s; remove it or choose "
			     "another --work",
			     x->path, branch);
	else
		j->resume = true;
out:
	free(config);
	free(file);
	free(branch);
	return st;
}

/* A file is kept where it was made by the same words, after the run it looks at was done. */
static sx_status look_at_file(sx_job *j, sx_ctx *ctx, const sx_study *s, const sx_study_item *x,
			      const sx_job *run)
{
	const sx_study_item *on = &s->item[x->on];
	int argc = 0;
	while (j->argv[argc]) argc++;
	char *line = sx_command_line(j->argv[1], argc - 1, j->argv + 1);
	if (!line) return sx_fail(ctx, SX_ENOMEM, "no memory for a command line");
	double made = changed(x->path, ""),
	       trained = changed(on->path, on->untrained ? "" : "/run.h5");
	if (run->state == SX_JOB_KEPT && made >= trained &&
	    sealed_with(x->path, "command_line", line))
		j->state = SX_JOB_KEPT;
	free(line);
	return SX_OK;
}

/* An untrained model's configuration is written where it is not there already. */
static sx_status look_at_config(sx_job *j, sx_ctx *ctx, const sx_study_item *x)
{
	char *wanted = NULL, *found = NULL;
	size_t size = 0;
	sx_status st = sx_config_yaml(&x->cfg, ctx, false, &wanted);
	if (st == SX_OK && sx_path_exists(x->path)) st = sx_read_file(ctx, x->path, &found, &size);
	if (st == SX_OK && found && strcmp(wanted, found) == 0) j->state = SX_JOB_KEPT;
	free(wanted);
	free(found);
	return st;
}

sx_status sx_study_jobs(sx_job **out, sx_ctx *ctx, const sx_study *s)
{
	sx_status st = SX_OK;
	sx_job *jobs = sx_calloc((size_t)s->n_item + 1, sizeof *jobs);
	if (!jobs) return sx_fail(ctx, SX_ENOMEM, "no memory for the jobs");
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_study_item *x = &s->item[i];
		sx_job *j = &jobs[i];
		const char *dot = strrchr(x->file, '.');
		j->name = sx_format("%.*s", (int)(dot ? dot - x->file : (ptrdiff_t)strlen(x->file)),
				    x->file);
		j->state = SX_JOB_WAITING;
		if (!j->name) {
			st = sx_fail(ctx, SX_ENOMEM, "no memory for the jobs");
			goto out;
		}
		if (x->kind == SX_ITEM_RUN)
			SX_TRY(x->untrained ? look_at_config(j, ctx, x)
					    : look_at_run(j, ctx, s, x));
		SX_TRY(command_of(&j->argv, ctx, s, x, j->resume));
		if (x->kind != SX_ITEM_RUN) SX_TRY(look_at_file(j, ctx, s, x, &jobs[x->on]));
	}
	*out = jobs;
	jobs = NULL;
out:
	sx_study_jobs_free(jobs, s);
	return st;
}

void sx_study_jobs_free(sx_job *jobs, const sx_study *s)
{
	for (int64_t i = 0; jobs && i < s->n_item; i++) {
		free(jobs[i].name);
		sx_study_words_free(jobs[i].argv);
	}
	free(jobs);
}

/* ---- in which order ---- */

/* Of those that wait for job i, the longest chain of work; with i's own. A branch waits for its trunk,
 * so chains are short. */
static double behind(const sx_job *jobs, const sx_study *s, int64_t i)
{
	double longest = 0;
	for (int64_t k = 0; k < s->n_item; k++) {
		if (s->item[k].on != i || jobs[k].state != SX_JOB_WAITING) continue;
		double chain = behind(jobs, s, k);
		if (chain > longest) longest = chain;
	}
	return longest + jobs[i].flops;
}

int64_t sx_study_next(const sx_job *jobs, const sx_study *s)
{
	int64_t best = -1;
	double most = -1;
	for (int64_t i = 0; i < s->n_item; i++) {
		int64_t on = s->item[i].on;
		if (jobs[i].state != SX_JOB_WAITING) continue;
		if (on >= 0 && jobs[on].state != SX_JOB_DONE && jobs[on].state != SX_JOB_KEPT)
			continue;
		double work = behind(jobs, s, i);
		if (work > most) most = work, best = i;
	}
	return best;
}

double sx_study_makespan(const sx_job *jobs, const sx_study *s, int at_once)
{
	double clock = 0;
	int running = 0;
	sx_job *sim = sx_calloc((size_t)s->n_item + 1, sizeof *sim);
	if (!sim) return 0;
	memcpy(sim, jobs, (size_t)s->n_item * sizeof *sim);
	for (;;) {
		int64_t i, first = -1;
		while (running < at_once && (i = sx_study_next(sim, s)) >= 0) {
			sim[i].state = SX_JOB_RUNNING;
			sim[i].seconds = clock + sim[i].estimate; /* when it ends */
			running++;
		}
		for (i = 0; i < s->n_item; i++)
			if (sim[i].state == SX_JOB_RUNNING &&
			    (first < 0 || sim[i].seconds < sim[first].seconds))
				first = i;
		if (first < 0) break;
		clock = sim[first].seconds;
		sim[first].state = SX_JOB_DONE;
		running--;
	}
	free(sim);
	return clock;
}

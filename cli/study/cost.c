/* What the jobs of a study cost before they are begun: the formulas of cost.h, and seconds from a few
 * measured steps. */
#include "probes/lab/cost.h"
#include "cli/study/study.h"
#include "probes/lab/schedule.h"
#include "probes/lab/sequences.h"
#include "probes/lab/source.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double sum(sx_flops f)
{
	return f.linear + f.attention;
}

/* Bytes of a group: its records and what is stored once. */
static int64_t group_bytes(const char *group, const sx_file_axes *a, int64_t records)
{
	int64_t record = 0, fixed = 0;
	sx_cost_group(group, a, &record, &fixed);
	return records > 0 ? records * record + fixed : 0;
}

/* ---- runs ---- */

/* The step a run will begin with: its branch's, or the last checkpoint of an earlier attempt. */
static int64_t first_step(const sx_job *j, const sx_study_item *x)
{
	int64_t step = x->step > 0 ? x->step : 0, found = 0;
	char *dir = NULL;
	if (j->resume && sx_checkpoint_find(&dir, &found, NULL, x->path, -1) == SX_OK) step = found;
	free(dir);
	return step;
}

static sx_status cost_of_run(sx_job *j, sx_ctx *ctx, const sx_study_item *x, sx_config *cfg,
			     const sx_spec *s)
{
	sx_map_choice *map = NULL;
	int64_t n_map = 0, first = first_step(j, x), updates = sx_schedule_updates(cfg) - first;
	int64_t S = sx_schedule_probe_sequences(cfg), T = sx_schedule_probe_length(cfg, s);
	sx_measure_opts o = sx_schedule_measures(cfg);
	sx_schedule_counts n = sx_schedule_count(cfg, first);
	double probe = sum(sx_cost_forward(s, T, false)) +
		       sx_cost_observers(s, T, &o, (int64_t)cfg->probe.ac.n);
	if (S == 0) n.probes = n.maps = 0;
	if (n.maps > 0) {
		sx_status st =
			sx_select_heads(&map, &n_map, ctx, cfg->probe.maps.heads, s->L, s->H);
		free(map);
		if (st != SX_OK) return st;
	}
	sx_file_axes a = sx_cost_run_axes(cfg, s, n_map);
	j->tokens = updates * cfg->train.batch * s->T;
	j->flops = (double)updates * (double)cfg->train.batch * sum(sx_cost_train(s, s->T)) +
		   (double)n.probes * (double)S * probe +
		   (double)n.evals * sx_cost_evaluation(cfg, s);
	j->file_bytes = group_bytes("/train", &a, updates) +
			group_bytes("/eval", &a, a.context_length ? n.evals : 0) +
			group_bytes("/stats", &a, o.stats ? n.probes : 0) +
			group_bytes("/rope", &a, o.rope ? n.probes : 0) +
			group_bytes("/ac", &a, o.ac ? n.probes : 0) +
			group_bytes("/attn", &a, n.maps * S) +
			group_bytes("/checkpoints", &a, n.checkpoints) +
			n.checkpoints * sx_cost_checkpoint_bytes(s);
	return SX_OK;
}

/* ---- what is made of runs ---- */

/* The text after --key=, or NULL. */
static const char *option(const sx_study_item *x, const char *key)
{
	size_t n = strlen(key);
	for (int i = 0; i < x->n_option; i++)
		if (strncmp(x->option[i], "--", 2) == 0 && strncmp(x->option[i] + 2, key, n) == 0 &&
		    x->option[i][2 + n] == '=')
			return x->option[i] + 3 + n;
	return NULL;
}

static int64_t number(const sx_study_item *x, const char *key, int64_t otherwise)
{
	const char *s = option(x, key);
	return s ? strtoll(s, NULL, 10) : otherwise;
}

static int64_t entries(const sx_study_item *x, const char *key, int64_t otherwise)
{
	const char *s = option(x, key);
	if (!s) return otherwise;
	int64_t n = 1;
	for (; *s; s++) n += *s == ',';
	return n;
}

/* Toward later weights: a pass of theirs, their attention once more, and what is stored of it. */
static void add_toward(sx_job *j, const sx_spec *s, int64_t S, int64_t T, int64_t n_c)
{
	enum { DOUBLE = 8, CHANGES = 2, WRT = 5 };
	sx_flops pass = sx_cost_forward(s, T, false);
	j->flops += (double)S * (sum(pass) + pass.attention);
	j->file_bytes += DOUBLE * (int64_t)s->L * s->H * (S * n_c * (CHANGES + WRT) + WRT);
}

static void cost_of_trace(sx_job *j, const sx_study_item *x, const sx_spec *s)
{
	int64_t S = number(x, "sequences", SX_HELD_OUT_SEQUENCES) * entries(x, "kinds", 1);
	int64_t T = number(x, "length", s->T);
	int64_t n_c = entries(x, "ac", 2);
	const char *observe = option(x, "observe");
	bool ac = !observe || strstr(observe, "ac");
	sx_measure_opts o = {.stats = !observe || strstr(observe, "stats"),
			     .rope = !observe || strstr(observe, "rope"),
			     .ac = ac,
			     .ac_gradients = ac,
			     .spread = ac};
	sx_file_axes a = sx_cost_trace_axes(s, S, T, n_c, option(x, "maps") ? s->L * s->H : 0);
	j->tokens = S * T;
	j->flops =
		(double)S * (sum(sx_cost_forward(s, T, true)) + sx_cost_observers(s, T, &o, n_c));
	j->file_bytes = group_bytes("/stats", &a, o.stats) + group_bytes("/rope", &a, o.rope) +
			group_bytes("/ac", &a, o.ac) + group_bytes("/out", &a, 1) +
			group_bytes("/attn", &a, a.map ? S : 0);
	if (option(x, "toward")) add_toward(j, s, S, T, n_c);
}

/* A constant sequence and held-out ones, without logits; with --mix once for each t. */
static void cost_of_bounds(sx_job *j, const sx_study_item *x, const sx_spec *s)
{
	int64_t S = 1 + number(x, "sequences", 2), T = number(x, "length", s->T);
	int64_t n_c = entries(x, "ac", 3), passes = entries(x, "mix", 1);
	sx_measure_opts o = {.ac = true, .ac_gradients = true, .spread = true};
	sx_file_axes a = sx_cost_trace_axes(s, S, T, n_c, 0);
	j->tokens = passes * S * T;
	j->flops = (double)(passes * S) *
		   (sum(sx_cost_forward(s, T, false)) + sx_cost_observers(s, T, &o, n_c));
	j->file_bytes = group_bytes("/ac", &a, passes);
}

/* Every method with every temperature; YaRN comes once more, as shipped. */
static int64_t variants(const sx_study_item *x)
{
	const char *methods = option(x, "methods");
	int64_t n = entries(x, "methods", 1) * entries(x, "temperatures", 1);
	return methods && strstr(methods, "yarn") ? n + 1 : n;
}

static void cost_of_eval(sx_job *j, const sx_study_item *x, const sx_config *cfg, const sx_spec *s)
{
	const char *lengths = option(x, "lengths");
	bool niah = strcmp(x->what, "niah") == 0;
	int64_t windows = number(x, "windows", cfg->eval.windows);
	if (number(x, "choose", 0) > 0) windows *= 2;
	int64_t trials =
		!niah ? 0
		      : entries(x, "kinds", 1) * (number(x, "trials", cfg->eval.niah_trials) +
						  number(x, "choose", 0));
	for (size_t i = 0; lengths ? *lengths != '\0' : i < cfg->eval.lengths.n; i++) {
		char *end = NULL;
		int64_t T = lengths ? strtoll(lengths, &end, 10) : cfg->eval.lengths.at[i];
		int64_t v = T > s->T ? variants(x) : 1; /* at factor 1 they coincide */
		if (lengths) lengths = end + (*end == ',');
		j->tokens += v * (trials + windows) * T;
		j->flops += (double)v * ((double)trials * sum(sx_cost_forward(s, T, false)) +
					 (double)windows * sum(sx_cost_forward(s, T, true)));
	}
}

/* ---- all of them ---- */

/* The model of a run; cfg is a copy of its settings, which with init=MODEL takes that one's shape. */
static sx_status shape_of(sx_spec *spec, sx_config *cfg, sx_ctx *ctx, const sx_study_item *run)
{
	char **words = NULL, *none[] = {NULL};
	int n = 0;
	sx_status st = sx_study_words(&words, ctx, none, &run->cfg);
	while (words && words[n]) n++;
	if (st == SX_OK) st = sx_config_load(cfg, ctx, NULL, n, words);
	if (st == SX_OK && (st = sx_source_spec(spec, ctx, cfg)) != SX_OK) sx_config_free(cfg);
	sx_study_words_free(words);
	return st;
}

static bool waits(const sx_job *j)
{
	return j->state == SX_JOB_WAITING && j->argv;
}

sx_status sx_study_cost(sx_job *jobs, sx_ctx *ctx, const sx_study *s)
{
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_study_item *x = &s->item[i];
		if (!waits(&jobs[i])) continue;
		sx_spec spec;
		sx_config cfg;
		sx_status st =
			shape_of(&spec, &cfg, ctx, x->kind == SX_ITEM_RUN ? x : &s->item[x->on]);
		if (st != SX_OK) return st;
		if (x->kind == SX_ITEM_RUN) st = cost_of_run(&jobs[i], ctx, x, &cfg, &spec);
		if (x->kind == SX_ITEM_TRACE) cost_of_trace(&jobs[i], x, &spec);
		if (x->kind == SX_ITEM_EVAL) cost_of_eval(&jobs[i], x, &cfg, &spec);
		if (x->kind == SX_ITEM_BOUNDS) cost_of_bounds(&jobs[i], x, &spec);
		sx_config_free(&cfg);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* ---- seconds ---- */

/* Do two runs take their steps at the same rate? */
static bool same_shape(const sx_config *a, const sx_config *b)
{
	static const char *const shapes[] = {"model.",           "init",        "pos.window",
					     "train.accumulate", "train.batch", "data.tokenizer"};
	const sx_option *keys[SX_OPTION_COUNT];
	int n = sx_config_diff(a, b, keys);
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
			if (strncmp(keys[i]->key, shapes[k], strlen(shapes[k])) == 0) return false;
	return true;
}

/* Median of the three steps that `plan --measure` timed, from its JSON. */
static sx_status read_seconds(double *out, sx_ctx *ctx, FILE *f)
{
	rewind(f);
	json_t *root = json_loadf(f, 0, NULL);
	double a, b, c;
	int bad = json_unpack(root, "{s:{s:[F, F, F]}}", "estimate", "step_seconds", &a, &b, &c);
	json_decref(root);
	if (bad) return sx_fail(ctx, SX_EINTERNAL, "plan --measure did not say how long it took");
	double lo = a < b ? a : b, hi = a < b ? b : a;
	*out = c < lo ? lo : c > hi ? hi : c;
	return SX_OK;
}

/* Mean seconds of a step of this model with as many side by side as there will be jobs. */
static sx_status step_seconds(double *out, sx_ctx *ctx, const sx_config *cfg, int at_once,
			      int threads)
{
	sx_status st = SX_OK;
	char **words = NULL, *verb[] = {"sextant", "plan", "--measure", "--json", "-q", NULL};
	int *pid = sx_calloc((size_t)at_once, sizeof *pid), n = 0;
	FILE **f = sx_calloc((size_t)at_once, sizeof *f);
	double all = 0;
	SX_TRY(sx_study_words(&words, ctx, verb, cfg));
	if (!pid || !f) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to measure");
		goto out;
	}
	for (; n < at_once; n++) {
		if (!(f[n] = tmpfile())) {
			st = sx_fail(ctx, SX_ECREATE, "cannot make a temporary file");
			goto out;
		}
		sx_child c = {.argv = words, .out = fileno(f[n]), .threads = threads};
		SX_TRY(sx_child_start(&pid[n], ctx, &c));
	}
out:
	for (int i = 0; pid && f && i < at_once; i++) {
		double seconds = 0;
		int code = i < n ? sx_child_wait(pid[i]) : 0;
		if (st == SX_OK && code)
			st = sx_fail(ctx, SX_EINTERNAL, "plan --measure ended with %d", code);
		if (st == SX_OK) st = read_seconds(&seconds, ctx, f[i]);
		all += seconds;
		if (f[i]) fclose(f[i]);
	}
	sx_study_words_free(words);
	free(pid);
	free(f);
	*out = all / at_once;
	return st;
}

/* FLOP/s of the training of a configuration. */
static sx_status training_rate(double *out, sx_ctx *ctx, const sx_study_item *run, int at_once,
			       int threads)
{
	sx_status st = SX_OK;
	sx_config cfg = {0};
	sx_spec spec;
	double seconds;
	SX_TRY(shape_of(&spec, &cfg, ctx, run));
	sx_config_free(&cfg);
	SX_TRY(step_seconds(&seconds, ctx, &run->cfg, at_once, threads));
	*out = (double)run->cfg.train.batch * sum(sx_cost_train(&spec, spec.T)) / seconds;
out:
	return st;
}

/* The same of a run that no key was set for, where a study trains nothing. */
static sx_status default_rate(double *out, sx_ctx *ctx, int at_once, int threads)
{
	sx_study_item plain = {0};
	sx_status st = sx_config_init(&plain.cfg, ctx);
	if (st == SX_OK) st = training_rate(out, ctx, &plain, at_once, threads);
	sx_config_free(&plain.cfg);
	return st;
}

sx_status sx_study_measure(sx_job *jobs, sx_ctx *ctx, const sx_study *s, int at_once)
{
	sx_status st = SX_OK;
	double *rate = sx_calloc((size_t)s->n_item + 1, sizeof *rate), any = 0; /* FLOP/s of runs */
	int threads = sx_study_threads(at_once);
	if (!rate) return sx_fail(ctx, SX_ENOMEM, "no memory to measure");
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_study_item *x = &s->item[i];
		if (x->kind != SX_ITEM_RUN || x->untrained) continue;
		for (int64_t k = 0; k < i && rate[i] <= 0; k++)
			if (rate[k] > 0 && same_shape(&s->item[k].cfg, &x->cfg)) rate[i] = rate[k];
		if (rate[i] > 0) continue;
		SX_TRY(training_rate(&rate[i], ctx, x, at_once, threads));
		if (any <= 0) any = rate[i];
	}
	if (any <= 0) SX_TRY(default_rate(&any, ctx, at_once, threads));
	for (int64_t i = 0; i < s->n_item; i++) {
		const sx_study_item *x = &s->item[i];
		double r = x->kind == SX_ITEM_RUN ? rate[i] : rate[x->on];
		if (waits(&jobs[i])) jobs[i].estimate = jobs[i].flops / (r > 0 ? r : any);
	}
out:
	free(rate);
	return st;
}

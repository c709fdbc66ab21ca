/* Frequency use of the heads, from a run file. */
#include "analysis/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sx_rope_families[SX_ROPE_FAMILIES] = {"previous", "diagonal"};

static const double undefined = (double)NAN, two_pi = 6.283185307179586476925;

/* ---- reading ---- */

/* The number of the last record with this step and phase; -1 if there is none. */
static sx_status find_record(int64_t *rec, int64_t *step, int *phase, sx_ctx *ctx, sx_run_file *f,
			     sx_run_id step_id, sx_run_id phase_id)
{
	sx_status st = SX_OK;
	int64_t n = 0, *steps = NULL, want = *step, dims[SX_RUN_MAX_DIMS];
	int ndim = 0, want_phase = *phase;
	uint8_t *phases = NULL;
	*rec = -1;
	SX_TRY(sx_run_shape(f, step_id, dims, &ndim));
	n = dims[0];
	steps = sx_calloc((size_t)n, sizeof *steps);
	phases = sx_calloc((size_t)n, sizeof *phases);
	if (!steps || !phases) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the steps");
		goto out;
	}
	if (n == 0) goto out;
	SX_TRY(sx_run_read(f, step_id, NULL, NULL, steps));
	memset(phases, UINT8_MAX, (size_t)n);
	if (sx_run_has(f, phase_id)) SX_TRY(sx_run_read(f, phase_id, NULL, NULL, phases));
	for (int64_t i = 0; i < n; i++)
		if ((want < 0 || steps[i] == want) && (want_phase < 0 || phases[i] == want_phase))
			*rec = i;
	if (*rec < 0) goto out;
	*step = steps[*rec];
	*phase = phases[*rec] == UINT8_MAX ? -1 : phases[*rec];
out:
	free(steps);
	free(phases);
	return st;
}

/* One record of a dataset, or all of one without step, as doubles; *n is its length. */
static sx_status read_record(double **out, int64_t *n, sx_ctx *ctx, sx_run_file *f, sx_run_id id,
			     int64_t rec)
{
	int64_t count[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {rec};
	int ndim = 0;
	sx_status st = sx_run_shape(f, id, count, &ndim);
	if (st != SX_OK) return st;
	if (rec >= 0)
		count[0] = 1;
	else
		start[0] = 0;
	*n = 1;
	for (int i = 0; i < ndim; i++) *n *= count[i];
	double *x = sx_calloc((size_t)*n, sizeof *x);
	if (!x) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path);
	st = sx_run_read(f, id, start, count, x);
	if (st == SX_OK)
		*out = x;
	else
		free(x);
	return st;
}

typedef struct {
	sx_ctx *ctx;
	sx_run_file *f;
	int64_t all;  /* sequences in the file                     */
	bool *wanted; /* (all)                                     */
} source;

/* A record whose first axis after the step is the sequence, `each` values for every one of them; of
 * these values every `stride`-th, beginning with `first`; the wanted sequences alone. */
static sx_status read_sequences(double **out, const source *s, sx_run_id id, int64_t rec,
				int64_t each, int64_t stride, int64_t first)
{
	double *x = NULL;
	int64_t n, to = 0;
	sx_status st = read_record(&x, &n, s->ctx, s->f, id, rec);
	if (st != SX_OK) return st;
	if (n != s->all * each * stride) {
		free(x);
		return sx_fail(s->ctx, SX_EDATA, "%s: %s does not have the axes of /rope",
			       sx_run_file_path(s->f), sx_run_rows[id].path);
	}
	for (int64_t q = 0; q < s->all; q++)
		for (int64_t e = 0; s->wanted[q] && e < each; e++)
			x[to++] = x[(q * each + e) * stride + first];
	*out = x;
	return SX_OK;
}

/* The axes, and which sequences are wanted. */
static sx_status read_axes(sx_rope_use *u, source *s, unsigned kinds)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS] = {0}, n = 0;
	int ndim = 0;
	double *kind = NULL;
	SX_TRY(sx_run_shape(s->f, SX_RUN_ROPE_LOGIT_SHARE, dims, &ndim));
	s->all = dims[1], u->layers = dims[2], u->heads = dims[3], u->freqs = dims[4];
	s->wanted = sx_calloc((size_t)s->all, sizeof *s->wanted);
	if (!s->wanted) {
		st = sx_fail(s->ctx, SX_ENOMEM, "no memory for the sequences");
		goto out;
	}
	if (sx_run_has(s->f, SX_RUN_STATS_SEQUENCE_KIND))
		SX_TRY(sx_run_read_all(s->f, SX_RUN_STATS_SEQUENCE_KIND, &kind, &n));
	for (int64_t i = 0; i < s->all; i++) {
		int k = n == s->all && kind[i] < SX_RUN_SEQUENCE_KINDS ? (int)kind[i] : -1;
		s->wanted[i] = k < 0 || (kinds >> k & 1);
		u->sequences += s->wanted[i];
		if (k >= 0 && s->wanted[i]) u->of_kind[k]++;
	}
	if (u->sequences == 0)
		st = sx_fail(s->ctx, SX_ENOINPUT, "%s: none of its %lld sequences is of that kind",
			     sx_run_file_path(s->f), (long long)s->all);
out:
	free(kind);
	return st;
}

static sx_status read_layer_freq(double **out, const sx_rope_use *u, const source *s, sx_run_id id,
				 int64_t rec)
{
	int64_t n = 0;
	sx_status st = read_record(out, &n, s->ctx, s->f, id, rec);
	if (st == SX_OK && n != u->layers * u->freqs)
		st = sx_fail(s->ctx, SX_EDATA, "%s: %s does not have the axes of /rope",
			     sx_run_file_path(s->f), sx_run_rows[id].path);
	return st;
}

/* The first `kept` of every `freqs` values. */
static void keep_first(double *x, int64_t rows, int64_t freqs, int64_t kept)
{
	for (int64_t r = 0; x && r < rows; r++)
		for (int64_t m = 0; m < kept; m++) x[r * kept + m] = x[r * freqs + m];
}

/* Of a model that rotates a part of each head the axis has pairs that there are not, at the end. */
static void drop_absent(sx_rope_use *u)
{
	int64_t kept = u->freqs, heads = u->sequences * u->layers * u->heads;
	while (kept > 0 && isnan(u->inv_freq[kept - 1])) kept--;
	if (kept == u->freqs || kept == 0) return;
	keep_first(u->inv_freq, u->layers, u->freqs, kept);
	keep_first(u->gamma, u->layers, u->freqs, kept);
	keep_first(u->norm, heads, u->freqs, kept);
	keep_first(u->share, heads, u->freqs, kept);
	keep_first(u->var, heads, u->freqs, kept);
	u->freqs = kept;
}

static sx_status read_rope(sx_rope_use *u, const source *s, int64_t rec)
{
	sx_status st = SX_OK;
	int64_t slh = u->layers * u->heads, n = slh * u->freqs;
	double *k = NULL;
	SX_TRY(read_layer_freq(&u->inv_freq, u, s, SX_RUN_ROPE_INV_FREQ, -1));
	SX_TRY(read_layer_freq(&u->gamma, u, s, SX_RUN_ROPE_GAMMA, rec));
	SX_TRY(read_sequences(&u->norm, s, SX_RUN_ROPE_Q_NORM, rec, n, 1, 0));
	SX_TRY(read_sequences(&k, s, SX_RUN_ROPE_K_NORM, rec, n, 1, 0));
	for (int64_t i = 0; i < u->sequences * n; i++) u->norm[i] *= k[i];
	SX_TRY(read_sequences(&u->share, s, SX_RUN_ROPE_LOGIT_SHARE, rec, n, 1, 0));
	SX_TRY(read_sequences(&u->var, s, SX_RUN_ROPE_LOGIT_VAR, rec, n, 1, 0));
	SX_TRY(read_sequences(&u->rest, s, SX_RUN_ROPE_LOGIT_REST, rec, slh, 1, 0));
	if (sx_run_has_attr(s->f, "/rope", "pairing"))
		SX_TRY(sx_run_get_str(s->f, "/rope", "pairing", &u->pairing));
	drop_absent(u);
out:
	free(k);
	return st;
}

/* A_c of the families that the file has, at the same step and phase. */
static sx_status read_ac(sx_rope_use *u, const source *s)
{
	sx_status st = SX_OK;
	char **name = NULL;
	int64_t n = 0, rec, step = u->step;
	int phase = u->phase;
	if (!sx_run_has(s->f, SX_RUN_AC_VALUE)) return SX_OK;
	SX_TRY(find_record(&rec, &step, &phase, s->ctx, s->f, SX_RUN_AC_STEP, SX_RUN_AC_PHASE));
	if (rec < 0) goto out;
	SX_TRY(sx_run_strings(s->f, SX_RUN_AC_C, &name, &n));
	for (int k = 0; k < SX_ROPE_FAMILIES; k++)
		for (int64_t c = 0; c < n; c++)
			if (strcmp(name[c], sx_rope_families[k]) == 0 && !u->ac[k])
				SX_TRY(read_sequences(&u->ac[k], s, SX_RUN_AC_VALUE, rec,
						      u->layers * u->heads, n, c));
out:
	free(name);
	return st;
}

static sx_status read_stats(sx_rope_use *u, const source *s)
{
	int64_t rec, step = u->step;
	int phase = u->phase;
	if (!sx_run_has(s->f, SX_RUN_STATS_LOGIT_STD)) return SX_OK;
	sx_status st = find_record(&rec, &step, &phase, s->ctx, s->f, SX_RUN_STATS_STEP,
				   SX_RUN_STATS_PHASE);
	if (st != SX_OK || rec < 0) return st;
	return read_sequences(&u->logit_std, s, SX_RUN_STATS_LOGIT_STD, rec, u->layers * u->heads,
			      1, 0);
}

sx_status sx_rope_read(sx_rope_use *out, sx_ctx *ctx, sx_run_file *f, int64_t step, int phase,
		       unsigned kinds)
{
	sx_status st = SX_OK;
	sx_rope_use u = {.step = step, .phase = phase};
	source s = {.ctx = ctx, .f = f};
	int64_t rec = -1;
	if (!sx_run_has(f, SX_RUN_ROPE_LOGIT_SHARE))
		return sx_fail(ctx, SX_EDATA,
			       "%s: has no /rope; trace the model, or train with probe.rope=true",
			       sx_run_file_path(f));
	SX_TRY(find_record(&rec, &u.step, &u.phase, ctx, f, SX_RUN_ROPE_STEP, SX_RUN_ROPE_PHASE));
	if (rec < 0) {
		st = sx_fail(ctx, SX_ENOINPUT,
			     "%s: no such record of /rope; `sextant ls FILE /rope/step` lists the "
			     "steps and phases",
			     sx_run_file_path(f));
		goto out;
	}
	SX_TRY(read_axes(&u, &s, kinds));
	SX_TRY(read_rope(&u, &s, rec));
	SX_TRY(read_stats(&u, &s));
	SX_TRY(read_ac(&u, &s));
	*out = u;
	u = (sx_rope_use){0};
out:
	free(s.wanted);
	sx_rope_use_free(&u);
	return st;
}

void sx_rope_use_free(sx_rope_use *u)
{
	if (!u) return;
	double *all[] = {u->inv_freq, u->gamma, u->norm, u->share, u->var, u->rest, u->logit_std};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
	for (int k = 0; k < SX_ROPE_FAMILIES; k++) free(u->ac[k]);
	free(u->pairing);
	memset(u, 0, sizeof *u);
}

bool sx_rope_turns(const sx_rope_use *u, int64_t layer)
{
	for (int64_t m = 0; m < u->freqs; m++)
		if (u->gamma[layer * u->freqs + m] != 0) return true;
	return false;
}

bool sx_rope_is_slow(double inv_freq, int64_t trained_length)
{
	return inv_freq * (double)trained_length < two_pi;
}

/* ---- per head ---- */

typedef struct {
	const sx_rope_use *u;
	const sx_rope_setting *s;
	sx_boot *boot;
	double *x; /* (sequence) */
} work;

/* The values of one head's pairs on one sequence. */
static const double *pairs(const work *w, const double *of, int64_t q, const sx_rope_head *h)
{
	const sx_rope_use *u = w->u;
	return of + ((q * u->layers + h->layer) * u->heads + h->head) * u->freqs;
}

static sx_interval per_head(const work *w, const double *of, const sx_rope_head *h)
{
	const sx_rope_use *u = w->u;
	if (!of) return (sx_interval){undefined, undefined, undefined};
	return sx_boot_mean(w->boot, of + h->layer * u->heads + h->head, u->layers * u->heads);
}

static void shares_of(const work *w, sx_rope_head *h)
{
	const sx_rope_use *u = w->u;
	int64_t stride = u->layers * u->heads * u->freqs;
	for (int64_t m = 0; m < u->freqs; m++) {
		sx_rope_pair *p = &h->pair[m];
		for (int64_t q = 0; q < u->sequences; q++) {
			const double *norm = pairs(w, u->norm, q, h);
			double sum = 0;
			for (int64_t k = 0; k < u->freqs; k++) sum += norm[k];
			w->x[q] = norm[m] / sum;
		}
		p->norm_share = sx_boot_mean(w->boot, w->x, 1);
		p->logit_share = sx_boot_mean(w->boot, pairs(w, u->share, 0, h) + m, stride);
		p->logit_var = sx_boot_mean(w->boot, pairs(w, u->var, 0, h) + m, stride);
	}
}

static void centre_of(const work *w, sx_rope_head *h)
{
	const sx_rope_use *u = w->u;
	const double *omega = u->inv_freq + h->layer * u->freqs;
	for (int64_t q = 0; q < u->sequences; q++) {
		const double *share = pairs(w, u->share, q, h);
		double sum = 0, logs = 0;
		for (int64_t m = 0; m < u->freqs; m++) {
			sum += share[m];
			logs += share[m] * log(omega[m]);
		}
		w->x[q] = logs / sum;
	}
	sx_interval c = sx_boot_mean(w->boot, w->x, 1);
	h->centre = (sx_interval){exp(c.value), exp(c.lo), exp(c.hi)};
	for (int64_t q = 0; q < u->sequences; q++) {
		const double *share = pairs(w, u->share, q, h);
		w->x[q] = 0;
		for (int64_t m = 0; m < u->freqs; m++)
			if (sx_rope_is_slow(omega[m], w->s->trained_length)) w->x[q] += share[m];
	}
	h->slow = sx_boot_mean(w->boot, w->x, 1);
}

static void effect_of(const work *w, sx_rope_head *h, int method)
{
	const sx_rope_use *u = w->u;
	const double *omega = u->inv_freq + h->layer * u->freqs;
	const double *now = u->gamma + h->layer * u->freqs, *then = w->s->method[method].gamma;
	double distance = (double)w->s->trained_length - 1;
	sx_rope_effect *e = &h->effect[method];
	bool turns = sx_rope_turns(u, h->layer);
	for (int64_t q = 0; q < u->sequences; q++) {
		const double *share = pairs(w, u->share, q, h);
		w->x[q] = turns ? 0 : undefined;
		for (int64_t m = 0; m < u->freqs; m++) w->x[q] += share[m] * fabs(now[m] - then[m]);
	}
	e->moved = sx_boot_mean(w->boot, w->x, 1);
	for (int64_t q = 0; q < u->sequences; q++) {
		const double *norm = pairs(w, u->norm, q, h);
		w->x[q] = turns ? 0 : undefined;
		for (int64_t m = 0; m < u->freqs; m++)
			w->x[q] += w->s->logit_scale * norm[m] *
				   fmin(2, fabs(now[m] - then[m]) * omega[m] * distance);
	}
	e->shift = sx_boot_mean(w->boot, w->x, 1);
}

static double mean_of(const work *w, const double *of, const sx_rope_head *h)
{
	const sx_rope_use *u = w->u;
	double sum = 0;
	if (!of) return undefined;
	for (int64_t q = 0; q < u->sequences; q++)
		sum += of[(q * u->layers + h->layer) * u->heads + h->head];
	return sum / (double)u->sequences;
}

sx_status sx_rope_heads(sx_rope_head **out, sx_ctx *ctx, const sx_rope_use *u,
			const sx_rope_setting *s)
{
	sx_status st = SX_OK;
	int64_t n = u->layers * u->heads;
	size_t bytes = sizeof(sx_rope_head) + (size_t)u->freqs * sizeof(sx_rope_pair) +
		       (size_t)s->n_method * sizeof(sx_rope_effect);
	work w = {.u = u, .s = s};
	sx_rope_head *heads = sx_calloc((size_t)n, bytes);
	w.x = sx_calloc((size_t)u->sequences, sizeof *w.x);
	if (!heads || !w.x) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %lld heads", (long long)n);
		goto out;
	}
	SX_TRY(sx_boot_new(&w.boot, ctx, u->sequences, SX_BOOT_RESAMPLES, 0.95, s->seed));
	sx_rope_pair *pair = (sx_rope_pair *)(heads + n);
	sx_rope_effect *effect = (sx_rope_effect *)(pair + n * u->freqs);
	for (int64_t i = 0; i < n; i++) {
		sx_rope_head *h = &heads[i];
		h->layer = i / u->heads, h->head = i % u->heads;
		h->pair = pair + i * u->freqs;
		h->effect = effect + i * s->n_method;
		shares_of(&w, h);
		centre_of(&w, h);
		for (int k = 0; k < s->n_method; k++) effect_of(&w, h, k);
		h->rest = per_head(&w, u->rest, h);
		h->logit_std = per_head(&w, u->logit_std, h);
		for (int k = 0; k < SX_ROPE_FAMILIES; k++) h->ac[k] = mean_of(&w, u->ac[k], h);
	}
	*out = heads;
	heads = NULL;
out:
	sx_boot_free(w.boot);
	free(w.x);
	free(heads);
	return st;
}

/* ---- two groups of heads ---- */

double sx_rope_largest_ac(const sx_rope_head *h)
{
	double most = undefined;
	for (int k = 0; k < SX_ROPE_FAMILIES; k++) most = fmax(most, fabs(h->ac[k]));
	return most;
}

/* Tests A against B on the values of all heads; scratch has room for them. */
static sx_status test_groups(sx_rank_test *out, sx_ctx *ctx, const double *value,
			     const sx_rope_group *group, int64_t n, double *scratch)
{
	int64_t a = 0, b = 0;
	for (int64_t i = 0; i < n; i++) {
		if (group[i] == SX_ROPE_A) scratch[a++] = value[i];
		if (group[i] == SX_ROPE_B) scratch[n - ++b] = value[i];
	}
	return sx_mann_whitney(out, ctx, scratch, a, scratch + n - b, b);
}

static double group_mean(const double *value, const sx_rope_group *group, int64_t n,
			 sx_rope_group which, int64_t size)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		if (group[i] == which) sum += value[i];
	return size ? sum / (double)size : undefined;
}

static sx_status contrast_pairs(sx_rope_contrast *c, sx_ctx *ctx, const sx_rope_use *u,
				const sx_rope_head *heads, const sx_rope_group *group,
				double *scratch)
{
	sx_status st = SX_OK;
	int64_t n = u->layers * u->heads;
	double *value = scratch, *p = scratch + 2 * n;
	for (int64_t m = 0; m < u->freqs; m++) {
		sx_rope_contrast_pair *to = &c->pair[m];
		for (int64_t i = 0; i < n; i++) value[i] = heads[i].pair[m].logit_share.value;
		to->mean_a = group_mean(value, group, n, SX_ROPE_A, c->n_a);
		to->mean_b = group_mean(value, group, n, SX_ROPE_B, c->n_b);
		SX_TRY(test_groups(&to->test, ctx, value, group, n, scratch + n));
		p[m] = to->test.p;
	}
	SX_TRY(sx_holm(p, ctx, p, u->freqs));
	for (int64_t m = 0; m < u->freqs; m++) c->pair[m].p_holm = p[m];
out:
	return st;
}

sx_status sx_rope_contrast_make(sx_rope_contrast *out, sx_ctx *ctx, const sx_rope_use *u,
				const sx_rope_head *heads, const sx_rope_group *group)
{
	sx_status st = SX_OK;
	sx_rope_contrast c = {0};
	int64_t n = u->layers * u->heads;
	double *scratch = sx_calloc((size_t)(2 * n + u->freqs), sizeof *scratch);
	c.pair = sx_calloc((size_t)u->freqs, sizeof *c.pair);
	if (!scratch || !c.pair) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to compare the heads");
		goto out;
	}
	for (int64_t i = 0; i < n; i++) {
		c.n_a += group[i] == SX_ROPE_A;
		c.n_b += group[i] == SX_ROPE_B;
	}
	SX_TRY(contrast_pairs(&c, ctx, u, heads, group, scratch));
	for (int64_t i = 0; i < n; i++) scratch[i] = log(heads[i].centre.value);
	SX_TRY(test_groups(&c.centre, ctx, scratch, group, n, scratch + n));
	c.least_holm = fmin(1, c.centre.p_smallest * (double)u->freqs);
	if (isnan(c.centre.p_smallest)) c.least_holm = undefined;
	for (int64_t i = 0; i < n; i++) scratch[n + i] = sx_rope_largest_ac(&heads[i]);
	SX_TRY(sx_spearman(&c.ac_centre, ctx, scratch + n, scratch, n));
	*out = c;
	c.pair = NULL;
out:
	free(c.pair);
	free(scratch);
	return st;
}

void sx_rope_contrast_free(sx_rope_contrast *c)
{
	if (!c) return;
	free(c->pair);
	c->pair = NULL;
}

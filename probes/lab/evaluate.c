#include "probes/lab/evaluate.h"

#include "engine/model/weights.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BATCH_TOKENS = 4096, FACTS = 4 };

/* Sequences of T tokens that go through the model together; never more than `all`. */
static int64_t batch_of(int64_t T, int64_t all)
{
	int64_t B = BATCH_TOKENS / T;
	if (B < 1) return 1;
	return B < all ? B : all;
}

/* Nothing is concluded from what is not a number. */
static sx_status not_finite(sx_ctx *ctx, int64_t T)
{
	return sx_fail(ctx, SX_EDATA,
		       "at length %lld the model's logits are not finite: its weights are damaged, "
		       "or its training diverged",
		       (long long)T);
}

/* Whether `want` has the largest logit in a row of the last pass; logits (V) is scratch. *finite
 * becomes false where one of them is not. */
static bool is_arg_max(const sx_model *m, const sx_work *w, int64_t row, int32_t want,
		       sx_real *logits, bool *finite)
{
	int32_t best = 0;
	sx_logits(m, w, row, 1, logits);
	if (sx_reals_not_finite(logits, m->spec.V) >= 0) *finite = false;
	for (int32_t v = 1; v < m->spec.V; v++)
		if (logits[v] > logits[best]) best = v;
	return best == want;
}

/* ---- loss ---- */

typedef struct {
	double sum;
	int64_t n;
} mean;

static void add(mean *m, double x)
{
	m->sum += x;
	m->n++;
}

static double value_of(mean m)
{
	return m.n ? m.sum / (double)m.n : (double)NAN;
}

typedef struct {
	mean all, last, text, text_last;
	mean *window;      /* (W): sum and number of targets of each */
	double *each_text; /* (W) or NULL: of the filler in the last half of each */
	int64_t hits, trials;
	bool finite; /* so far */
} tally;

/* One window whose nll, targets and classes are given. */
static mean tally_window(tally *y, mean *text_last, const double *nll, const int32_t *target,
			 const uint8_t *cls, int64_t T)
{
	mean own = {0};
	*text_last = (mean){0};
	int64_t n = 0, seen = 0;
	for (int64_t t = 0; t < T; t++) n += target[t] >= 0;
	for (int64_t t = 0; t < T; t++) {
		if (target[t] < 0) continue;
		if (!isfinite(nll[t])) y->finite = false;
		bool last = seen++ >= n / 2, text = cls[t] == SX_CLASS_FILLER;
		add(&own, nll[t]);
		add(&y->all, nll[t]);
		if (last) add(&y->last, nll[t]);
		if (text) add(&y->text, nll[t]);
		if (!text || !last) continue;
		add(&y->text_last, nll[t]);
		add(text_last, nll[t]);
	}
	return own;
}

/* Of r = sum S_w / sum n_w over W windows: sqrt(sum (S_w - r n_w)^2 / (W (W - 1))) / mean n
 * (linearised, as for every ratio estimator). */
static double standard_error(const mean *window, int64_t W, mean all)
{
	double r = value_of(all), ss = 0;
	if (W < 2 || all.n == 0) return (double)NAN;
	for (int64_t w = 0; w < W; w++) {
		double d = window[w].sum - r * (double)window[w].n;
		ss += d * d;
	}
	return sqrt(ss / ((double)W * (double)(W - 1))) * (double)W / (double)all.n;
}

/* n windows from `first` on, which the last pass has seen. */
static void tally_batch(tally *y, const sx_model *m, const sx_work *work, const sx_windows *w,
			int64_t first, int64_t n, sx_real *logits)
{
	for (int64_t b = 0; b < n; b++) {
		const int32_t *target = w->target + (first + b) * w->T;
		const uint8_t *cls = w->cls + (first + b) * w->T;
		mean text;
		y->window[first + b] =
			tally_window(y, &text, work->nll + b * w->T, target, cls, w->T);
		if (y->each_text) y->each_text[first + b] = value_of(text);
		for (int64_t t = 0; t < w->T; t++) {
			if (target[t] < 0 || cls[t] != SX_CLASS_QUERY) continue;
			y->hits += is_arg_max(m, work, b * w->T + t, target[t], logits, &y->finite);
			y->trials++;
		}
	}
}

sx_status sx_eval_ppl(sx_ppl *out, const sx_window_losses *each, sx_ctx *ctx, const sx_model *m,
		      const sx_windows *w)
{
	sx_status st = SX_OK;
	sx_work *work = NULL;
	tally y = {.finite = true,
		   .window = sx_calloc((size_t)w->W, sizeof *y.window),
		   .each_text = each ? each->text_last : NULL};
	sx_real *logits = sx_calloc((size_t)m->spec.V, sizeof *logits);
	int64_t B = batch_of(w->T, w->W);
	if (!y.window || !logits) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to evaluate");
		goto out;
	}
	SX_TRY(sx_work_new(&work, ctx, m, B, w->T, SX_WORK_FORWARD));
	for (int64_t first = 0; first < w->W; first += B) {
		int64_t n = B < w->W - first ? B : w->W - first;
		SX_TRY(sx_forward(ctx, m, work,
				  &(sx_request){.tokens = w->tokens + first * w->T,
						.target = w->target + first * w->T,
						.B = n},
				  NULL));
		tally_batch(&y, m, work, w, first, n, logits);
		if (!y.finite) SX_TRY(not_finite(ctx, w->T));
	}
	for (int64_t i = 0; each && each->nll && i < w->W; i++)
		each->nll[i] = value_of(y.window[i]);
	*out = (sx_ppl){.nll = value_of(y.all),
			.nll_last = value_of(y.last),
			.text_nll = value_of(y.text),
			.text_nll_last = value_of(y.text_last),
			.se = standard_error(y.window, w->W, y.all),
			.query_hits = y.hits,
			.query_trials = y.trials,
			.tokens = y.all.n};
out:
	sx_work_free(work);
	free(y.window);
	free(logits);
	return st;
}

/* ---- needles ---- */

static int bin_of(int64_t distance)
{
	int b = 0;
	while (b < SX_NIAH_BINS - 1 && distance >> (b + 1)) b++;
	return b;
}

/* Problem b of the last pass; returns whether it was a hit. */
static bool tally_needle(sx_niah *r, const sx_model *m, const sx_work *work, int64_t b,
			 const sx_needle *p, sx_real *logits, bool *finite)
{
	bool hit = true;
	int bin = bin_of(p->distance);
	for (int a = 0; hit && a < p->answers; a++)
		hit = is_arg_max(m, work, b * r->T + p->at[a], p->value[a], logits, finite);
	r->hits += hit;
	r->trials++;
	r->bin_hits[bin] += hit;
	r->bin_trials[bin]++;
	return hit;
}

sx_status sx_eval_niah(sx_niah *out, uint8_t *hit, sx_ctx *ctx, const sx_model *m,
		       const sx_language *l, sx_needle_kind kind, int facts, int64_t T,
		       int64_t trials, uint64_t seed)
{
	sx_status st = SX_OK;
	sx_work *work = NULL;
	sx_niah r = {.kind = kind, .T = T};
	mean blind = {0}, window = {0};
	uint64_t print = 0;
	bool finite = true;
	int64_t B = T > 0 && trials > 0 ? batch_of(T, trials) : 1;
	int32_t *tokens = sx_calloc((size_t)B * (size_t)(T > 0 ? T : 1), sizeof *tokens);
	sx_needle *problem = sx_calloc((size_t)B, sizeof *problem);
	sx_real *logits = sx_calloc((size_t)m->spec.V, sizeof *logits);
	if (!tokens || !problem || !logits) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to evaluate");
		goto out;
	}
	for (int64_t first = 0; first < trials; first += B) {
		int64_t n = B < trials - first ? B : trials - first;
		for (int64_t b = 0; b < n; b++) {
			double by_guess, by_window;
			SX_TRY(sx_language_needle(tokens + b * T, &problem[b], ctx, l, kind, facts,
						  T, seed, (uint64_t)(first + b)));
			sx_needle_chance(l, &problem[b], &by_guess, &by_window);
			add(&blind, by_guess);
			add(&window, by_window);
			print = XXH3_64bits_withSeed(tokens + b * T, (size_t)T * sizeof *tokens,
						     print);
		}
		if (!work) SX_TRY(sx_work_new(&work, ctx, m, B, T, SX_WORK_FORWARD));
		SX_TRY(sx_forward(ctx, m, work, &(sx_request){.tokens = tokens, .B = n}, NULL));
		for (int64_t b = 0; b < n; b++) {
			bool one = tally_needle(&r, m, work, b, &problem[b], logits, &finite);
			if (hit) hit[first + b] = one;
		}
		if (!finite) SX_TRY(not_finite(ctx, T));
	}
	r.fingerprint = (int64_t)print;
	r.chance_blind = value_of(blind);
	r.chance_window = value_of(window);
	*out = r;
out:
	sx_work_free(work);
	free(tokens);
	free(problem);
	free(logits);
	return st;
}

/* ---- a whole evaluation ---- */

uint64_t sx_eval_choice_seed(uint64_t seed)
{
	return seed + 0x63686f696365; /* "choice": far from the seeds that people give */
}

sx_status sx_eval_length(sx_eval_row *out, sx_ctx *ctx, const sx_model *m,
			 const sx_windows *windows, const sx_windows *choice, const sx_language *l,
			 const sx_eval_opts *o, int64_t T)
{
	sx_status st = SX_OK;
	const double none = (double)NAN;
	sx_eval_row r = {.T = T,
			 .ppl = {none, none, none, none, none, 0, 0, 0},
			 .choice_text_last = none,
			 .each = out->each,
			 .hit = out->hit};
	sx_ppl further;
	if (windows) SX_TRY(sx_eval_ppl(&r.ppl, &r.each, ctx, m, windows));
	if (choice) {
		SX_TRY(sx_eval_ppl(&further, NULL, ctx, m, choice));
		r.choice_text_last = further.text_nll_last;
	}
	for (int k = 0; k < o->n_kinds; k++) {
		SX_TRY(sx_eval_niah(&r.niah[k], r.hit ? r.hit + k * o->trials : NULL, ctx, m, l,
				    o->kind[k], o->facts, T, o->trials, o->seed));
		if (o->choice > 0)
			SX_TRY(sx_eval_niah(&r.choice[k], NULL, ctx, m, l, o->kind[k], o->facts, T,
					    o->choice, sx_eval_choice_seed(o->seed)));
	}
	*out = r;
out:
	return st;
}

sx_status sx_eval_all(sx_eval_row *rows, sx_ctx *ctx, const sx_model *m, const sx_language *l,
		      const sx_eval_opts *o)
{
	sx_status st = SX_OK;
	for (int i = 0; st == SX_OK && i < o->n_lengths; i++) {
		sx_windows w = {0};
		int64_t T = o->lengths[i];
		if (o->windows > 0) st = sx_windows_heldout(&w, ctx, l, o->windows, T, o->seed);
		if (st == SX_OK)
			st = sx_eval_length(&rows[i], ctx, m, o->windows > 0 ? &w : NULL, NULL, l,
					    o, T);
		sx_windows_free(&w);
	}
	return st;
}

/* ---- /eval ---- */

/* Bins that problems of the longest length can fall into. */
static int bins_of(const sx_eval_opts *o)
{
	int64_t longest = 2;
	for (int i = 0; i < o->n_lengths; i++)
		if (o->lengths[i] > longest) longest = o->lengths[i];
	return bin_of(longest - 1) + 1;
}

static sx_status define_needles(sx_run *run, const sx_eval_opts *o)
{
	sx_status st = SX_OK;
	int64_t edge[SX_NIAH_BINS + 1];
	const char *kinds[SX_NEEDLE_KINDS];
	int bins = bins_of(o);
	for (int b = 0; b <= bins; b++) edge[b] = (int64_t)1 << b;
	for (int k = 0; k < o->n_kinds; k++) kinds[k] = sx_needle_kind_name(o->kind[k]);
	SX_TRY(sx_run_axis(run, SX_RUN_EVAL_KIND, o->n_kinds, kinds));
	SX_TRY(sx_run_axis(run, SX_RUN_EVAL_DISTANCE, bins, edge));
	SX_TRY(sx_run_attr_ints(run, "/eval/distance", "bin_edges", edge, bins + 1));
	SX_TRY(sx_run_define(run, SX_RUN_EVAL_NIAH_HITS));
	SX_TRY(sx_run_define(run, SX_RUN_EVAL_NIAH_TRIALS));
	SX_TRY(sx_run_attr_int(run, "/eval", "facts", o->facts));
	SX_TRY(sx_run_attr_int(run, "/eval", "trials", o->trials));
out:
	return st;
}

sx_status sx_eval_axes(sx_run *run, const sx_eval_opts *o)
{
	sx_status st = SX_OK;
	SX_TRY(sx_run_axis(run, SX_RUN_EVAL_CONTEXT_LENGTH, o->n_lengths, o->lengths));
	SX_TRY(sx_run_grow(run, SX_RUN_EVAL_STEP, 1));
	SX_TRY(sx_run_define(run, SX_RUN_EVAL_PHASE));
	if (o->windows > 0) {
		SX_TRY(sx_run_define(run, SX_RUN_EVAL_NLL));
		SX_TRY(sx_run_define(run, SX_RUN_EVAL_NLL_LAST));
	}
	if (o->n_kinds > 0) SX_TRY(define_needles(run, o));
	SX_TRY(sx_run_attr_int(run, "/eval", "seed", (int64_t)o->seed));
out:
	return st;
}

static sx_status put_needles(sx_run *run, sx_ctx *ctx, const sx_eval_opts *o,
			     const sx_eval_row *rows, int64_t record)
{
	sx_status st = SX_OK;
	int64_t bins = bins_of(o), at = 0, n = (int64_t)o->n_lengths * o->n_kinds * bins;
	int64_t *hits = sx_calloc((size_t)n, sizeof *hits);
	int64_t *trials = sx_calloc((size_t)n, sizeof *trials);
	if (!hits || !trials) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to store an evaluation");
		goto out;
	}
	for (int i = 0; i < o->n_lengths; i++)
		for (int k = 0; k < o->n_kinds; k++)
			for (int64_t b = 0; b < bins; b++, at++) {
				hits[at] = rows[i].niah[k].bin_hits[b];
				trials[at] = rows[i].niah[k].bin_trials[b];
			}
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_NIAH_HITS, record, hits));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_NIAH_TRIALS, record, trials));
out:
	free(hits);
	free(trials);
	return st;
}

sx_status sx_eval_put(sx_run *run, sx_ctx *ctx, const sx_eval_opts *o, const sx_eval_row *rows,
		      int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t record = sx_run_records(run, SX_RUN_EVAL_STEP);
	uint8_t flag = (uint8_t)phase;
	double *nll = sx_calloc((size_t)o->n_lengths, sizeof *nll);
	double *last = sx_calloc((size_t)o->n_lengths, sizeof *last);
	if (!nll || !last) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to store an evaluation");
		goto out;
	}
	for (int i = 0; i < o->n_lengths; i++) {
		nll[i] = rows[i].ppl.nll;
		last[i] = rows[i].ppl.nll_last;
	}
	if (o->windows > 0) {
		SX_TRY(sx_run_put(run, SX_RUN_EVAL_NLL, record, nll));
		SX_TRY(sx_run_put(run, SX_RUN_EVAL_NLL_LAST, record, last));
	}
	if (o->n_kinds > 0) SX_TRY(put_needles(run, ctx, o, rows, record));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_PHASE, record, &flag));
	SX_TRY(sx_run_put(run, SX_RUN_EVAL_STEP, record, &step));
	SX_TRY(sx_run_flush(run, SX_RUN_EVAL_STEP));
out:
	free(nll);
	free(last);
	return st;
}

/* ---- what training calls ---- */

static sx_eval_opts opts_of(const sx_config *cfg, const sx_language *l)
{
	sx_eval_opts o = {.lengths = cfg->eval.lengths.at,
			  .n_lengths = (int)cfg->eval.lengths.n,
			  .windows = cfg->eval.windows,
			  .trials = cfg->eval.niah_trials,
			  .seed = (uint64_t)cfg->seed};
	if (cfg->eval.every == 0) o.n_lengths = 0;
	if (!l->opts.on || o.trials == 0) return o;
	o.facts = FACTS;
	if (l->opts.keys < o.facts) o.facts = l->opts.keys;
	if (l->opts.values < o.facts) o.facts = l->opts.values;
	for (int k = 0; k < SX_NEEDLE_KINDS; k++)
		if (k != SX_NEEDLE_MULTI_QUERY || o.facts > 1)
			o.kind[o.n_kinds++] = (sx_needle_kind)k;
	return o;
}

static sx_status check_length(sx_ctx *ctx, const sx_eval_opts *o, const sx_language *l, int64_t T)
{
	sx_status st = SX_OK;
	sx_windows w = {0};
	sx_needle problem;
	SX_TRY(sx_windows_heldout(&w, ctx, l, o->windows, T, o->seed));
	for (int k = 0; k < o->n_kinds; k++)
		SX_TRY(sx_language_needle(w.tokens, &problem, ctx, l, o->kind[k], o->facts, T,
					  o->seed, 0));
out:
	sx_windows_free(&w);
	return st;
}

sx_status sx_eval_check(sx_ctx *ctx, const sx_config *cfg, const sx_language *l)
{
	sx_eval_opts o = opts_of(cfg, l);
	sx_status st = SX_OK;
	for (int i = 0; st == SX_OK && i < o.n_lengths; i++)
		st = check_length(ctx, &o, l, o.lengths[i]);
	return st;
}

sx_status sx_eval_define(sx_run *run, const sx_config *cfg, const sx_language *l)
{
	sx_eval_opts o = opts_of(cfg, l);
	return o.n_lengths > 0 ? sx_eval_axes(run, &o) : SX_OK;
}

sx_status sx_eval_record(sx_run *run, sx_ctx *ctx, const sx_config *cfg, const sx_language *l,
			 const sx_model *m, int64_t step, int phase)
{
	sx_status st = SX_OK;
	sx_eval_opts o = opts_of(cfg, l);
	if (o.n_lengths == 0) return SX_OK;
	sx_eval_row *rows = sx_calloc((size_t)o.n_lengths, sizeof *rows);
	if (!rows) return sx_fail(ctx, SX_ENOMEM, "no memory to evaluate");
	SX_TRY(sx_eval_all(rows, ctx, m, l, &o));
	SX_TRY(sx_eval_put(run, ctx, &o, rows, step, phase));
out:
	free(rows);
	return st;
}

#include "probes/lab/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BATCH_TOKENS = 4096, FACTS = 4 };

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Sequences of T tokens that go through the model together; never more than `all`. */
static int64_t batch_of(int64_t T, int64_t all)
{
	int64_t B = BATCH_TOKENS / T;
	return B < 1 ? 1 : least(B, all);
}

/* Whether `want` has the largest logit in a row of the last pass; logits (V) is scratch. */
static bool is_arg_max(const sx_model *m, const sx_work *w, int64_t row, int32_t want,
		       sx_real *logits)
{
	int32_t best = 0;
	sx_logits(m, w, row, 1, logits);
	for (int32_t v = 1; v < m->spec.V; v++)
		if (logits[v] > logits[best]) best = v;
	return best == want;
}

/* ---- windows ---- */

sx_status sx_windows_new(sx_windows *out, sx_ctx *ctx, int64_t W, int64_t T)
{
	sx_windows w = {.W = W, .T = T};
	if (W < 1 || T < 1 || W > INT64_MAX / 16 / T)
		return sx_fail(ctx, SX_EUSAGE, "%lld windows of %lld tokens cannot be evaluated",
			       (long long)W, (long long)T);
	size_t n = (size_t)(W * T);
	w.tokens = sx_calloc(n, sizeof *w.tokens);
	w.target = sx_calloc(n, sizeof *w.target);
	w.cls = sx_calloc(n, sizeof *w.cls);
	if (!w.tokens || !w.target || !w.cls) {
		sx_windows_free(&w);
		return sx_fail(ctx, SX_ENOMEM, "no memory for %lld windows of %lld tokens",
			       (long long)W, (long long)T);
	}
	for (size_t i = 0; i < n; i++) {
		w.target[i] = -1;
		w.cls[i] = SX_CLASS_FILLER;
	}
	*out = w;
	return SX_OK;
}

void sx_windows_set(sx_windows *w, int64_t row, const int32_t *ids, int64_t n)
{
	int32_t *tokens = w->tokens + row * w->T, *target = w->target + row * w->T;
	for (int64_t t = 0; t < least(n, w->T); t++) tokens[t] = ids[t];
	for (int64_t t = 0; t < least(n - 1, w->T); t++) target[t] = ids[t + 1];
}

sx_status sx_windows_heldout(sx_windows *out, sx_ctx *ctx, const sx_language *l, int64_t W,
			     int64_t T, uint64_t seed)
{
	sx_windows w;
	sx_status st = sx_windows_new(&w, ctx, W, T);
	if (st != SX_OK) return st;
	st = sx_language_batch(w.tokens, w.target, w.cls, ctx, l, W, T, seed, 0, true);
	if (st == SX_OK)
		*out = w;
	else
		sx_windows_free(&w);
	return st;
}

void sx_windows_free(sx_windows *w)
{
	if (!w) return;
	free(w->tokens);
	free(w->target);
	free(w->cls);
	*w = (sx_windows){0};
}

/* ---- pieces ---- */

void sx_pieces_free(sx_pieces *p)
{
	if (!p) return;
	free(p->ids);
	free(p->piece);
	*p = (sx_pieces){0};
}

static sx_status append_ids(sx_pieces *p, sx_ctx *ctx, const int32_t *ids, int64_t n)
{
	int32_t *grown = sx_grow(p->ids, (size_t)(p->n + n) + 1, sizeof *grown);
	if (!grown) return sx_fail(ctx, SX_ENOMEM, "no memory for the text");
	p->ids = grown;
	memcpy(p->ids + p->n, ids, (size_t)n * sizeof *ids);
	p->n += n;
	return SX_OK;
}

/* Room for the pieces of `all` bytes or ids, and their number; none where chunk is 0. */
static sx_status make_pieces(sx_pieces *p, sx_ctx *ctx, int64_t all, int64_t chunk)
{
	if (chunk == 0) return SX_OK;
	p->n_piece = all / chunk + (all % chunk > 0);
	p->piece = sx_calloc((size_t)p->n_piece + 1, sizeof *p->piece);
	return p->piece ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for the text");
}

static int64_t longest_piece(const sx_pieces *p)
{
	int64_t longest = p->n_piece ? 0 : p->n;
	for (int64_t i = 0; i < p->n_piece; i++)
		if (p->piece[i + 1] - p->piece[i] > longest)
			longest = p->piece[i + 1] - p->piece[i];
	return longest;
}

static sx_status check_pieces(sx_ctx *ctx, const sx_pieces *p)
{
	if (longest_piece(p) >= 2) return SX_OK;
	return sx_fail(ctx, SX_EDATA,
		       "the text has no piece of two tokens or more: there is nothing to predict");
}

sx_status sx_pieces_text(sx_pieces *out, sx_ctx *ctx, const sx_tokenizer *tok, bool bos,
			 const char *text, int64_t size, int64_t chunk)
{
	sx_status st = SX_OK;
	sx_pieces p = {0};
	int32_t *ids = NULL;
	int64_t step = chunk ? chunk : size;
	SX_TRY(make_pieces(&p, ctx, size, chunk));
	for (int64_t from = 0, i = 1; from < size; from += step, i++) {
		int64_t n;
		size_t len = (size_t)least(step, size - from);
		SX_TRY(sx_tokenizer_encode(&ids, &n, ctx, tok, text + from, len, bos));
		SX_TRY(append_ids(&p, ctx, ids, n));
		if (chunk) p.piece[i] = p.n;
		free(ids);
		ids = NULL;
	}
	SX_TRY(check_pieces(ctx, &p));
	*out = p;
	p = (sx_pieces){0};
out:
	free(ids);
	sx_pieces_free(&p);
	return st;
}

sx_status sx_pieces_ids(sx_pieces *out, sx_ctx *ctx, const int32_t *ids, int64_t n, int64_t chunk)
{
	sx_status st = SX_OK;
	sx_pieces p = {0};
	SX_TRY(make_pieces(&p, ctx, n, chunk));
	SX_TRY(append_ids(&p, ctx, ids, n));
	for (int64_t i = 0; i < p.n_piece; i++) p.piece[i + 1] = least(n, (i + 1) * chunk);
	SX_TRY(check_pieces(ctx, &p));
	*out = p;
	p = (sx_pieces){0};
out:
	sx_pieces_free(&p);
	return st;
}

sx_status sx_windows_pieces(sx_windows *out, sx_ctx *ctx, const sx_pieces *p, int64_t T)
{
	int64_t W = p->n_piece ? p->n_piece : (p->n + T - 2) / T;
	sx_status st = sx_windows_new(out, ctx, W, least(T, longest_piece(p)));
	for (int64_t w = 0; st == SX_OK && w < W; w++) {
		/* A piece ends with its last token; a run goes on in the next window. */
		int64_t from = p->n_piece ? p->piece[w] : w * T;
		int64_t to = p->n_piece ? p->piece[w + 1] : p->n;
		sx_windows_set(out, w, p->ids + from, least(to - from, p->n_piece ? T : T + 1));
	}
	return st;
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
			y->hits += is_arg_max(m, work, b * w->T + t, target[t], logits);
			y->trials++;
		}
	}
}

sx_status sx_eval_ppl(sx_ppl *out, const sx_window_losses *each, sx_ctx *ctx, const sx_model *m,
		      const sx_windows *w)
{
	sx_status st = SX_OK;
	sx_work *work = NULL;
	tally y = {.window = sx_calloc((size_t)w->W, sizeof *y.window),
		   .each_text = each ? each->text_last : NULL};
	sx_real *logits = sx_calloc((size_t)m->spec.V, sizeof *logits);
	int64_t B = batch_of(w->T, w->W);
	if (!y.window || !logits) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to evaluate");
		goto out;
	}
	SX_TRY(sx_work_new(&work, ctx, m, B, w->T, SX_WORK_FORWARD));
	for (int64_t first = 0; first < w->W; first += B) {
		int64_t n = least(B, w->W - first);
		SX_TRY(sx_forward(ctx, m, work,
				  &(sx_request){.tokens = w->tokens + first * w->T,
						.target = w->target + first * w->T,
						.B = n},
				  NULL));
		tally_batch(&y, m, work, w, first, n, logits);
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
			 const sx_needle *p, sx_real *logits)
{
	bool hit = true;
	int bin = bin_of(p->distance);
	for (int a = 0; hit && a < p->answers; a++)
		hit = is_arg_max(m, work, b * r->T + p->at[a], p->value[a], logits);
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
	int64_t B = T > 0 && trials > 0 ? batch_of(T, trials) : 1;
	int32_t *tokens = sx_calloc((size_t)B * (size_t)(T > 0 ? T : 1), sizeof *tokens);
	sx_needle *problem = sx_calloc((size_t)B, sizeof *problem);
	sx_real *logits = sx_calloc((size_t)m->spec.V, sizeof *logits);
	if (!tokens || !problem || !logits) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to evaluate");
		goto out;
	}
	for (int64_t first = 0; first < trials; first += B) {
		int64_t n = least(B, trials - first);
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
			bool one = tally_needle(&r, m, work, b, &problem[b], logits);
			if (hit) hit[first + b] = one;
		}
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

/* ---- variants ---- */

int64_t sx_trained_length(const sx_spec *spec)
{
	return spec->pos.train_length > 0 ? spec->pos.train_length : spec->T;
}

/* Fills label and attention_factor from pos. */
static sx_status describe(sx_variant *v, sx_ctx *ctx, const sx_spec *spec, int64_t T)
{
	sx_pos_plan plan = {0};
	sx_status st = sx_pos_plan_make(&plan, ctx, &v->pos, spec->D, spec->T, 0, T);
	if (st != SX_OK) return st;
	v->attention_factor = plan.attention_factor;
	sx_pos_plan_free(&plan);
	bool shipped = strcmp(v->pos.method, "yarn") == 0 && isnan(v->pos.attention_factor);
	strcpy(v->label, shipped ? "yarn (shipped)" : v->pos.method);
	return SX_OK;
}

sx_status sx_variant_now(sx_variant *out, sx_ctx *ctx, const sx_spec *spec, int64_t T)
{
	sx_variant v = {.pos = spec->pos, .c = (double)NAN};
	sx_status st = describe(&v, ctx, spec, T);
	if (st == SX_OK) *out = v;
	return st;
}

bool sx_method_applies(const sx_spec *spec, const char *method)
{
	return strcmp(spec->pos.method, "nope") != 0 || strcmp(method, "nope") == 0;
}

static bool same_plan(const sx_pos_plan *a, const sx_pos_plan *b)
{
	return a->n_freq == b->n_freq && a->attention_factor == b->attention_factor &&
	       a->beta == b->beta && a->window == b->window &&
	       memcmp(a->inv_freq, b->inv_freq, (size_t)a->n_freq * sizeof *a->inv_freq) == 0;
}

/* Do two variants put the same positions into every layer? */
static sx_status compare(bool *same, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			 const sx_variant *a, const sx_variant *b)
{
	sx_status st = SX_OK;
	sx_pos_plan p = {0}, q = {0};
	*same = true;
	for (int l = 0; *same && l < spec->L; l++) {
		SX_TRY(sx_pos_plan_make(&p, ctx, &a->pos, spec->D, spec->T, l, T));
		SX_TRY(sx_pos_plan_make(&q, ctx, &b->pos, spec->D, spec->T, l, T));
		*same = same_plan(&p, &q);
		sx_pos_plan_free(&p);
		sx_pos_plan_free(&q);
	}
out:
	sx_pos_plan_free(&p);
	sx_pos_plan_free(&q);
	return st;
}

/* Appends v and finds its like. */
static sx_status append(sx_variant *list, int *n, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			sx_variant v)
{
	sx_status st = describe(&v, ctx, spec, T);
	bool same = false;
	v.same_as = *n;
	for (int i = 0; st == SX_OK && !same && i < *n; i++) {
		st = compare(&same, ctx, spec, T, &list[i], &v);
		if (same) v.same_as = i;
	}
	if (st == SX_OK) list[(*n)++] = v;
	return st;
}

sx_status sx_variant_grid(sx_variant **out, int *n, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			  const char *const *methods, int n_methods, const double *c, int n_c)
{
	sx_status st = SX_OK;
	int count = 0;
	double factor = fmax(1, (double)T / (double)sx_trained_length(spec));
	sx_variant *list = sx_calloc((size_t)n_methods * (size_t)(n_c + 1), sizeof *list);
	if (!list) return sx_fail(ctx, SX_ENOMEM, "no memory for the variants");
	for (int i = 0; i < n_methods; i++) {
		bool yarn = strcmp(methods[i], "yarn") == 0;
		sx_variant v = {.pos = spec->pos, .c = (double)NAN};
		if (!sx_pos_find(methods[i])) {
			st = sx_fail(ctx, SX_ECONFIG,
				     "%s: unknown positional method; `sextant config pos.method` "
				     "lists them",
				     methods[i]);
			goto out;
		}
		strcpy(v.pos.method, methods[i]); /* it fits: it is one of the table's names */
		v.pos.factor = factor;
		v.pos.attention_factor = yarn ? 1 : (double)NAN;
		for (int k = 0; k < n_c; k++) {
			v.c = c[k];
			v.pos.beta = spec->pos.beta * (1 + c[k] * log(factor));
			SX_TRY(append(list, &count, ctx, spec, T, v));
		}
		if (!yarn) continue;
		v.c = (double)NAN;
		v.pos.beta = spec->pos.beta;
		v.pos.attention_factor = (double)NAN;
		SX_TRY(append(list, &count, ctx, spec, T, v));
	}
	*out = list;
	*n = count;
	list = NULL;
out:
	free(list);
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
	o.facts = (int)least(FACTS, least(l->opts.keys, l->opts.values));
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

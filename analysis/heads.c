/* Scores of the heads, from a run file. */
#include "analysis/heads.h"

#include "analysis/heads_kernel.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sx_heads_families[SX_HEADS_FAMILIES] = {"previous", "diagonal"};

static const double undefined = (double)NAN;
static const sx_interval no_interval = {(double)NAN, (double)NAN, (double)NAN};
enum { TEXT = 0, REPEATED = 1, PRETRAIN = 0, RECALIBRATION = 1 };

/* What is read of a record, one number per sequence and head. */
enum {
	DIAG,
	PREV,
	FIRST,
	SINK,
	DUPLICATE,
	ENTROPY,
	DISTANCE,
	LOGIT_STD,
	WITHIN,
	KEY,
	INTERACTION,
	R2,
	STATS
};
static const sx_run_id stat_id[STATS] = {
	[DIAG] = SX_RUN_STATS_DIAG_MASS,
	[PREV] = SX_RUN_STATS_PREV_MASS,
	[FIRST] = SX_RUN_STATS_FIRST_MASS,
	[SINK] = SX_RUN_STATS_SINK_MASS,
	[DUPLICATE] = SX_RUN_STATS_DUPLICATE_MASS,
	[ENTROPY] = SX_RUN_STATS_ENTROPY,
	[DISTANCE] = SX_RUN_STATS_MEAN_DISTANCE,
	[LOGIT_STD] = SX_RUN_STATS_LOGIT_STD,
	[WITHIN] = SX_RUN_STATS_SS_WITHIN,
	[KEY] = SX_RUN_STATS_SS_KEY,
	[INTERACTION] = SX_RUN_STATS_SS_INTERACTION,
	[R2] = SX_RUN_STATS_R2_OFFSET,
};

/* Offset bins of the file: of a profile, of the sums of scores. */
typedef struct {
	int64_t n, *edge; /* (n + 1) */
	sx_offset_kernel *kernel;
} binning;

/* A_c of an offset is slope * profile + shift, from means over the rows that have it. */
typedef struct {
	double slope, shift;
} scan_line;

typedef struct {
	sx_ctx *ctx;
	sx_run_file *f;
	sx_heads *h;
	int64_t all, n, heads;      /* sequences in the file, of these used; layers * heads     */
	int64_t n_induction;        /* sequences that induction is from                         */
	bool *used, *for_induction; /* (all) */
	binning of_profile, of_score;
	double uniform_entropy; /* mean over rows of ln n, nats                             */
	scan_line *scan;        /* (scan_length) offsets 0, 1, ..                           */
	int64_t scan_length;
	sx_boot *boot, *boot_induction;
	/* one record */
	double *stat[STATS];     /* (n,heads)                                                */
	double *induction;       /* (n_induction,heads)                                      */
	double *profile, *score; /* (n,heads,their bins); score NULL where the file has none */
	double *ac[SX_HEADS_FAMILIES]; /* (n,heads), NULL where there is none                     */
	/* scratch of a head */
	double *x, *whitened, *gram; /* (n), (n,bins of scores), (n,n)                           */
	double *distance; /* (record,heads,bins) share of the mass in a bin of the profile        */
} reader;

/* ---- reading ---- */

static sx_status wrong(const reader *r, const char *what)
{
	return sx_fail(r->ctx, SX_EDATA, "%s: %s; trace the model again", sx_run_file_path(r->f),
		       what);
}

/* One record of a dataset for the sequences of `which`: (sequence,heads); of `stride` values that each
 * head has, `each` from `first` on. */
static sx_status read_record(double **out, const reader *r, sx_run_id id, int64_t rec,
			     const bool *which, int64_t stride, int64_t first, int64_t each)
{
	int64_t count[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {rec}, n = 1, to = 0;
	int ndim = 0;
	sx_status st = sx_run_shape(r->f, id, count, &ndim);
	if (st != SX_OK) return st;
	for (int i = 1; i < ndim; i++) n *= count[i];
	if (rec >= count[0] || n != r->all * r->heads * stride)
		return sx_fail(r->ctx, SX_EDATA, "%s: %s does not have the axes of /stats",
			       sx_run_file_path(r->f), sx_run_rows[id].path);
	count[0] = 1;
	double *x = sx_calloc((size_t)n, sizeof *x);
	if (!x) return sx_fail(r->ctx, SX_ENOMEM, "no memory for %s", sx_run_rows[id].path);
	st = sx_run_read(r->f, id, start, count, x);
	for (int64_t q = 0; st == SX_OK && q < r->all; q++)
		for (int64_t e = 0; which[q] && e < r->heads; e++, to += each)
			memmove(x + to, x + (q * r->heads + e) * stride + first,
				(size_t)each * sizeof *x);
	if (st == SX_OK)
		*out = x;
	else
		free(x);
	return st;
}

static void clear_record(reader *r)
{
	for (int k = 0; k < STATS; k++) free(r->stat[k]), r->stat[k] = NULL;
	for (int k = 0; k < SX_HEADS_FAMILIES; k++) free(r->ac[k]), r->ac[k] = NULL;
	free(r->induction), free(r->profile), free(r->score);
	r->induction = r->profile = r->score = NULL;
}

/* The record of /ac with the step and phase of a record of /stats; -1 if there is none. */
static sx_status find_ac(int64_t *found, const reader *r, int64_t rec)
{
	sx_status st = SX_OK;
	double *step = NULL, *phase = NULL;
	int64_t n = 0, m = 0;
	*found = -1;
	if (!sx_run_has(r->f, SX_RUN_AC_VALUE)) return SX_OK;
	SX_TRY(sx_run_read_all(r->f, SX_RUN_AC_STEP, &step, &n));
	SX_TRY(sx_run_read_all(r->f, SX_RUN_AC_PHASE, &phase, &m));
	for (int64_t i = 0; i < n && i < m; i++)
		if ((int64_t)step[i] == r->h->step[rec] &&
		    (r->h->phase[rec] < 0 || (int)phase[i] == r->h->phase[rec]))
			*found = i;
out:
	free(step);
	free(phase);
	return st;
}

static sx_status read_ac(reader *r, int64_t rec)
{
	sx_status st = SX_OK;
	char **name = NULL;
	int64_t n = 0, at = -1;
	SX_TRY(find_ac(&at, r, rec));
	if (at < 0) goto out;
	SX_TRY(sx_run_strings(r->f, SX_RUN_AC_C, &name, &n));
	for (int k = 0; k < SX_HEADS_FAMILIES; k++)
		for (int64_t c = 0; c < n; c++)
			if (strcmp(name[c], sx_heads_families[k]) == 0 && !r->ac[k])
				SX_TRY(read_record(&r->ac[k], r, SX_RUN_AC_VALUE, at, r->used, n, c,
						   1));
out:
	free(name);
	return st;
}

static sx_status read_all(reader *r, int64_t rec)
{
	sx_status st = SX_OK;
	clear_record(r);
	for (int k = 0; k < STATS; k++)
		SX_TRY(read_record(&r->stat[k], r, stat_id[k], rec, r->used, 1, 0, 1));
	SX_TRY(read_record(&r->induction, r, SX_RUN_STATS_INDUCTION_MASS, rec, r->for_induction, 1,
			   0, 1));
	int64_t bins = r->of_profile.n, sums = r->of_score.n;
	SX_TRY(read_record(&r->profile, r, SX_RUN_STATS_OFFSET_PROFILE, rec, r->used, bins, 0,
			   bins));
	if (r->h->one_kernel)
		SX_TRY(read_record(&r->score, r, SX_RUN_STATS_SCORE_OFFSET, rec, r->used, sums, 0,
				   sums));
	SX_TRY(read_ac(r, rec));
out:
	return st;
}

/* ---- the file's axes ---- */

static sx_status read_steps(reader *r)
{
	sx_status st = SX_OK;
	sx_heads *h = r->h;
	double *step = NULL, *phase = NULL;
	int64_t n = 0;
	SX_TRY(sx_run_read_all(r->f, SX_RUN_STATS_STEP, &step, &h->n_record));
	if (h->n_record == 0) {
		st = sx_fail(r->ctx, SX_ENOINPUT, "%s: has no record of /stats yet",
			     sx_run_file_path(r->f));
		goto out;
	}
	if (sx_run_has(r->f, SX_RUN_STATS_PHASE))
		SX_TRY(sx_run_read_all(r->f, SX_RUN_STATS_PHASE, &phase, &n));
	h->step = sx_calloc((size_t)h->n_record, sizeof *h->step);
	h->phase = sx_calloc((size_t)h->n_record, sizeof *h->phase);
	h->score = sx_calloc((size_t)(h->n_record * r->heads), sizeof *h->score);
	if (!h->step || !h->phase || !h->score) {
		st = sx_fail(r->ctx, SX_ENOMEM, "no memory for %lld records",
			     (long long)h->n_record);
		goto out;
	}
	h->before_drop = -1;
	int64_t pretrain = -1;
	for (int64_t i = 0; i < h->n_record; i++) {
		h->step[i] = (int64_t)step[i];
		h->phase[i] = n == h->n_record && phase[i] <= RECALIBRATION ? (int)phase[i] : -1;
		if (h->phase[i] == PRETRAIN) pretrain = i;
		if (h->phase[i] == RECALIBRATION) h->before_drop = pretrain;
	}
out:
	free(step);
	free(phase);
	return st;
}

static sx_status read_sequences(reader *r, unsigned kinds)
{
	sx_status st = SX_OK;
	sx_heads *h = r->h;
	double *kind = NULL;
	int64_t n = 0;
	if (kinds == 0) kinds = 1U << TEXT;
	r->used = sx_calloc((size_t)r->all, sizeof *r->used);
	r->for_induction = sx_calloc((size_t)r->all, sizeof *r->for_induction);
	if (!r->used || !r->for_induction) {
		st = sx_fail(r->ctx, SX_ENOMEM, "no memory for the sequences");
		goto out;
	}
	if (sx_run_has(r->f, SX_RUN_STATS_SEQUENCE_KIND))
		SX_TRY(sx_run_read_all(r->f, SX_RUN_STATS_SEQUENCE_KIND, &kind, &n));
	for (int64_t i = 0; i < r->all; i++) {
		int k = n == r->all && kind[i] < SX_RUN_SEQUENCE_KINDS ? (int)kind[i] : -1;
		r->used[i] = k < 0 || (kinds >> k & 1);
		r->for_induction[i] = k == REPEATED;
		r->n += r->used[i];
		h->induction_sequences += r->for_induction[i];
		if (k >= 0 && r->used[i]) h->of_kind[k]++;
	}
	h->sequences = r->n;
	r->n_induction = h->induction_sequences;
	if (r->n_induction == 0) {
		memcpy(r->for_induction, r->used, (size_t)r->all * sizeof *r->used);
		r->n_induction = r->n;
	}
	if (r->n == 0)
		st = sx_fail(r->ctx, SX_ENOINPUT, "%s: none of its %lld sequences is of that kind",
			     sx_run_file_path(r->f), (long long)r->all);
out:
	free(kind);
	return st;
}

/* T from the rows that have a previous token, the window and the context from the model. Sums over the
 * rows take a while: a T that nobody traced is not believed. */
static sx_status read_lengths(reader *r)
{
	enum { MOST_ROWS = 1 << 24 };
	sx_status st = SX_OK;
	char **text = NULL;
	int64_t n = 0;
	json_t *model = NULL;
	json_int_t window = 0, context = 0;
	SX_TRY(sx_run_get_int(r->f, "/stats/prev_mass", "n_rows", &r->h->T));
	if (r->h->T < 0 || r->h->T >= MOST_ROWS)
		SX_TRY(wrong(r, "/stats/prev_mass has an n_rows that no sequence has"));
	r->h->T++;
	SX_TRY(sx_run_strings(r->f, SX_RUN_META_MODEL_JSON, &text, &n));
	model = n > 0 ? json_loads(text[0], 0, NULL) : NULL;
	if (!model ||
	    json_unpack(model, "{s?I, s:{s:I}}", "context", &context, "pos", "window", &window) !=
		    0 ||
	    window < 0) {
		st = wrong(r, "/meta/model_json does not tell the window of attention");
		goto out;
	}
	r->h->window = window;
	r->h->context = context;
out:
	json_decref(model);
	free(text);
	return st;
}

/* Edges, and the fit of a kernel on them. */
static sx_status check_bins(const reader *r, binning *b)
{
	for (int64_t k = 0; k < b->n; k++)
		if (b->edge[k + 1] <= b->edge[k]) return wrong(r, "offset bins are not in order");
	if (r->h->T < 1 || r->h->T > b->edge[b->n])
		return wrong(r, "sequences are longer than the offset bins");
	return sx_offset_kernel_new(&b->kernel, r->ctx, r->h->T, r->h->window, b->edge, b->n);
}

/* The bins of score_offset are those of the profile in older files. */
static sx_status read_bins(reader *r)
{
	sx_status st = SX_OK;
	sx_heads *h = r->h;
	int64_t edges = 0, bins = 0;
	double *offset = NULL, *bin = NULL;
	binning *p = &r->of_profile, *s = &r->of_score;
	SX_TRY(sx_run_get_ints(r->f, "/stats/offset_bin", "bin_edges", &p->edge, &edges));
	if (edges != p->n + 1) SX_TRY(wrong(r, "/stats/offset_bin has other bins than edges"));
	SX_TRY(sx_run_read_all(r->f, SX_RUN_STATS_OFFSET_BIN, &bin, &bins));
	for (int64_t b = 0; b < bins; b++)
		if ((double)p->edge[b] != bin[b])
			SX_TRY(wrong(r, "/stats/offset_bin has other values than bin_edges"));
	SX_TRY(check_bins(r, p));
	s->n = p->n;
	if (sx_run_has(r->f, SX_RUN_STATS_OFFSET))
		SX_TRY(sx_run_read_all(r->f, SX_RUN_STATS_OFFSET, &offset, &s->n));
	s->edge = sx_calloc((size_t)s->n + 1, sizeof *s->edge);
	if (!s->edge) SX_TRY(sx_fail(r->ctx, SX_ENOMEM, "no memory for the offset bins"));
	for (int64_t b = 0; b <= s->n; b++)
		s->edge[b] = !offset ? p->edge[b] : b < s->n ? (int64_t)offset[b] : INT32_MAX;
	SX_TRY(check_bins(r, s));
	int64_t most = h->window > 0 && h->window < h->T ? h->window : h->T, b = 0;
	while (b < s->n && s->edge[b] == b) b++;
	h->binned_from = b < most ? b - 1 : -1;
out:
	free(offset);
	free(bin);
	return st;
}

/* ---- what uniform attention gives ---- */

/* sum over the rows that see more than d keys, and at least 2, of fn's term. */
static void scan_sums(const sx_heads *h, int64_t d, double *rows, double *inverse, double *factor)
{
	int64_t most = h->window > 0 && h->window < h->T ? h->window : h->T;
	*rows = *inverse = *factor = 0;
	for (int64_t n = d + 1 > 2 ? d + 1 : 2; n <= most; n++) {
		double times = n == most ? (double)(h->T - most + 1) : 1, k = (double)n;
		*rows += times;
		*inverse += times / k;
		*factor += times * k / (k - 1);
	}
}

static sx_status make_scan(reader *r)
{
	const sx_heads *h = r->h;
	double T = (double)h->T, rows, inverse, factor;
	r->scan = sx_calloc((size_t)r->of_profile.n, sizeof *r->scan);
	if (!r->scan) return sx_fail(r->ctx, SX_ENOMEM, "no memory for the scan over offsets");
	const binning *p = &r->of_profile;
	for (int64_t d = 0; d < sx_offset_kernel_bins(p->kernel) && p->edge[d + 1] == d + 1; d++) {
		scan_sums(h, d, &rows, &inverse, &factor);
		if (rows == 0) break;
		/* row 1 has offset 0 with weight 1, and no A_c */
		double first = sx_offset_kernel_pairs(p->kernel, d) - rows;
		r->scan[d] = (scan_line){.slope = factor / T * (rows + first) / rows,
					 .shift = -factor / T * (inverse + first) / rows};
		r->scan_length = d + 1;
	}
	int64_t most = h->window > 0 && h->window < h->T ? h->window : h->T;
	for (int64_t n = 1; n <= most; n++)
		r->uniform_entropy += (n == most ? T - (double)most + 1 : 1) * log((double)n) / T;
	return SX_OK;
}

/* ---- shares ---- */

typedef struct {
	const double *gram; /* (n,n) y_k' G^+ y_l */
	const double *part, *whole;
	int64_t stride;
} share;

/* sum of the parts / sum of the wholes. */
static double ratio(void *self, const double *count, int64_t n)
{
	const share *s = self;
	double part = 0, whole = 0;
	for (int64_t k = 0; k < n; k++) {
		if (count[k] == 0) continue;
		part += count[k] * s->part[k * s->stride];
		whole += count[k] * s->whole[k * s->stride];
	}
	return whole > 0 ? part / whole : undefined;
}

/* What one kernel for all sequences explains. */
static double fitted(const share *s, int64_t n)
{
	double explained = 0, whole = 0;
	for (int64_t k = 0; k < n; k++) {
		whole += s->whole[k * s->stride];
		for (int64_t l = 0; l < n; l++) explained += s->gram[k * n + l] / (double)n;
	}
	double part = whole > 0 ? explained / whole : undefined;
	return part > 1 ? 1 : part; /* by rounding */
}

/* The same without the pairs of a draw with itself, in which a kernel explains the chance of its own
 * sequence: unbiased, up to the ratio. */
static double unbiased(void *self, const double *count, int64_t n)
{
	const share *s = self;
	double all = 0, own = 0, whole = 0, N = (double)n;
	for (int64_t k = 0; k < n; k++) {
		if (count[k] == 0) continue;
		whole += count[k] * s->whole[k * s->stride];
		own += count[k] * s->gram[k * n + k];
		for (int64_t l = 0; l < n; l++) all += count[k] * count[l] * s->gram[k * n + l];
	}
	return whole > 0 ? (all - own) / (N - 1) / whole : undefined;
}

/* Resamples draw a sequence more than once, which raises the unbiased share to the fit again: the
 * difference of the two is taken off. */
static sx_interval positional_of(const reader *r, const share *s)
{
	double fit = fitted(s, r->n);
	if (r->n < 2 || isnan(fit)) return (sx_interval){fit, undefined, undefined};
	share copy = *s;
	sx_interval i = sx_boot_statistic(r->boot, unbiased, &copy);
	double bias = fit - i.value;
	return (sx_interval){.value = fit,
			     .lo = fmin(fit, fmax(0, i.lo - bias)),
			     .hi = fmax(fit, fmin(1, i.hi - bias))};
}

static void fill_gram(const reader *r, int64_t head)
{
	const binning *s = &r->of_score;
	int64_t m = sx_offset_kernel_bins(s->kernel) - 1, n = r->n;
	for (int64_t k = 0; k < n; k++)
		sx_offset_kernel_whiten(s->kernel, r->whitened + k * m,
					r->score + (k * r->heads + head) * s->n);
	for (int64_t k = 0; k < n; k++)
		for (int64_t l = 0; l <= k; l++) {
			double dot = 0;
			for (int64_t b = 0; b < m; b++)
				dot += r->whitened[k * m + b] * r->whitened[l * m + b];
			r->gram[k * n + l] = r->gram[l * n + k] = dot;
		}
}

static void shares_of(const reader *r, sx_head_scores *s, int64_t head)
{
	share of = {.gram = r->gram, .whole = r->stat[WITHIN] + head, .stride = r->heads};
	of.part = r->stat[INTERACTION] + head;
	s->content = sx_boot_statistic(r->boot, ratio, &of);
	of.part = r->stat[KEY] + head;
	s->key = sx_boot_statistic(r->boot, ratio, &of);
	/* a kernel per sequence explains r2_offset of its squares, 0 of none */
	for (int64_t k = 0; k < r->n; k++) {
		double *r2 = &r->stat[R2][k * r->heads + head], within = of.whole[k * r->heads];
		*r2 = within > 0 ? *r2 * within : 0;
	}
	of.part = r->stat[R2] + head;
	s->positional = s->r2_offset = sx_boot_statistic(r->boot, ratio, &of);
	if (!r->h->one_kernel) return;
	fill_gram(r, head);
	s->positional = positional_of(r, &of);
}

/* ---- offsets ---- */

static const double *profile_of(const reader *r, int64_t sequence, int64_t head)
{
	return r->profile + (sequence * r->heads + head) * r->of_profile.n;
}

static void offsets_of(const reader *r, sx_head_scores *s, int64_t head)
{
	int64_t best = -1, n = r->n;
	double most = 0, T = (double)r->h->T;
	const binning *bins = &r->of_profile;
	for (int64_t d = 0; d < r->scan_length; d++) {
		double sum = 0;
		for (int64_t k = 0; k < n; k++)
			sum += r->scan[d].slope * profile_of(r, k, head)[d] + r->scan[d].shift;
		if (best < 0 || sum > most) most = sum, best = d;
	}
	s->best_offset = best;
	s->best_ac = s->best_mass = no_interval;
	if (best >= 0) {
		scan_line line = r->scan[best];
		s->best_mass =
			sx_boot_mean(r->boot, profile_of(r, 0, head) + best, r->heads * bins->n);
		/* a line of the mass, so its interval too */
		s->best_ac = (sx_interval){line.slope * s->best_mass.value + line.shift,
					   line.slope * s->best_mass.lo + line.shift,
					   line.slope * s->best_mass.hi + line.shift};
	}
	for (int64_t k = 0; k < n; k++) {
		const double *p = profile_of(r, k, head);
		r->x[k] = 0;
		for (int64_t b = 0; b < sx_offset_kernel_bins(bins->kernel); b++)
			if (bins->edge[b + 1] <= SX_HEADS_NEAR)
				r->x[k] += p[b] * sx_offset_kernel_pairs(bins->kernel, b) / T;
	}
	s->near = sx_boot_mean(r->boot, r->x, 1);
}

/* The share of a head's mass that lies in each offset bin. */
static void distances_of(const reader *r, double *to, int64_t head)
{
	const sx_offset_kernel *kernel = r->of_profile.kernel;
	memset(to, 0, (size_t)r->of_profile.n * sizeof *to);
	for (int64_t k = 0; k < r->n; k++)
		for (int64_t b = 0; b < sx_offset_kernel_bins(kernel); b++)
			to[b] += profile_of(r, k, head)[b] * sx_offset_kernel_pairs(kernel, b) /
				 (double)(r->h->T * r->n);
}

static double total_variation(const double *a, const double *b, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += fabs(a[i] - b[i]);
	return sum / 2;
}

/* ---- a record ---- */

static void score_head(const reader *r, sx_head_scores *s, int64_t head)
{
	const struct {
		sx_interval *to;
		int stat;
	} means[] = {{&s->diag, DIAG},
		     {&s->prev, PREV},
		     {&s->first, FIRST},
		     {&s->sink, SINK},
		     {&s->duplicate, DUPLICATE},
		     {&s->entropy, ENTROPY},
		     {&s->mean_distance, DISTANCE},
		     {&s->logit_std, LOGIT_STD}};
	s->layer = (int)(head / r->h->heads), s->head = (int)(head % r->h->heads);
	for (size_t k = 0; k < sizeof means / sizeof means[0]; k++)
		*means[k].to = sx_boot_mean(r->boot, r->stat[means[k].stat] + head, r->heads);
	s->induction = sx_boot_mean(r->boot_induction, r->induction + head, r->heads);
	/* KL(row || uniform) = ln n - entropy */
	double most = r->uniform_entropy;
	sx_interval e = s->entropy;
	s->divergence = (sx_interval){most - e.value, most - e.hi, most - e.lo};
	s->entropy = (sx_interval){e.value / most, e.lo / most, e.hi / most};
	for (int k = 0; k < SX_HEADS_FAMILIES; k++)
		s->ac[k] =
			r->ac[k] ? sx_boot_mean(r->boot, r->ac[k] + head, r->heads) : no_interval;
	shares_of(r, s, head);
	offsets_of(r, s, head);
	s->profile_shift = undefined;
	s->cls = sx_heads_classify(s);
	s->label = sx_heads_label(s);
}

static sx_status score_records(reader *r)
{
	sx_status st = SX_OK;
	sx_heads *h = r->h;
	int64_t bins = r->of_profile.n, size = r->heads * bins;
	for (int64_t rec = 0; rec < h->n_record; rec++) {
		SX_TRY(read_all(r, rec));
		for (int64_t i = 0; i < r->heads; i++) {
			score_head(r, &h->score[rec * r->heads + i], i);
			distances_of(r, r->distance + rec * size + i * bins, i);
		}
	}
	for (int64_t rec = 0; h->before_drop >= 0 && rec < h->n_record; rec++)
		for (int64_t i = 0; i < r->heads; i++)
			h->score[rec * r->heads + i].profile_shift = total_variation(
				r->distance + rec * size + i * bins,
				r->distance + h->before_drop * size + i * bins, bins);
out:
	return st;
}

static sx_status make_scratch(reader *r, uint64_t seed)
{
	sx_status st = SX_OK;
	r->x = sx_calloc((size_t)r->n, sizeof *r->x);
	r->whitened = sx_calloc((size_t)(r->n * r->of_score.n), sizeof *r->whitened);
	r->gram = sx_calloc((size_t)(r->n * r->n), sizeof *r->gram);
	r->distance = sx_calloc((size_t)(r->h->n_record * r->heads * r->of_profile.n),
				sizeof *r->distance);
	if (!r->x || !r->whitened || !r->gram || !r->distance) {
		st = sx_fail(r->ctx, SX_ENOMEM, "no memory for the scores of %lld heads",
			     (long long)r->heads);
		goto out;
	}
	SX_TRY(sx_boot_new(&r->boot, r->ctx, r->n, SX_BOOT_RESAMPLES, 0.95, seed));
	SX_TRY(sx_boot_new(&r->boot_induction, r->ctx, r->n_induction, SX_BOOT_RESAMPLES, 0.95,
			   seed));
out:
	return st;
}

static void reader_free(reader *r)
{
	clear_record(r);
	binning *const bins[] = {&r->of_profile, &r->of_score};
	for (size_t i = 0; i < sizeof bins / sizeof bins[0]; i++) {
		sx_offset_kernel_free(bins[i]->kernel);
		free(bins[i]->edge);
	}
	sx_boot_free(r->boot);
	sx_boot_free(r->boot_induction);
	free(r->used);
	free(r->for_induction);
	free(r->scan);
	double *const all[] = {r->x, r->whitened, r->gram, r->distance};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

sx_status sx_heads_read(sx_heads **out, sx_ctx *ctx, sx_run_file *f, const sx_heads_opts *o)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS] = {0};
	int ndim = 0;
	reader r = {.ctx = ctx, .f = f, .h = sx_calloc(1, sizeof(sx_heads))};
	if (!r.h) return sx_fail(ctx, SX_ENOMEM, "no memory for the heads");
	if (!sx_run_has(f, SX_RUN_STATS_OFFSET_PROFILE)) {
		st = sx_fail(
			ctx, SX_EDATA,
			"%s: has no /stats; trace the model, or train with probe.every above 0",
			sx_run_file_path(f));
		goto out;
	}
	SX_TRY(sx_run_shape(f, SX_RUN_STATS_OFFSET_PROFILE, dims, &ndim));
	r.all = dims[1], r.h->layers = dims[2], r.h->heads = dims[3], r.of_profile.n = dims[4];
	r.heads = r.h->layers * r.h->heads;
	r.h->one_kernel = sx_run_has(f, SX_RUN_STATS_SCORE_OFFSET);
	SX_TRY(read_sequences(&r, o->kinds));
	SX_TRY(read_steps(&r));
	SX_TRY(read_lengths(&r));
	SX_TRY(read_bins(&r));
	SX_TRY(make_scan(&r));
	SX_TRY(make_scratch(&r, o->seed));
	SX_TRY(score_records(&r));
	*out = r.h;
	r.h = NULL;
out:
	reader_free(&r);
	sx_heads_free(r.h);
	return st;
}

void sx_heads_free(sx_heads *h)
{
	if (!h) return;
	free(h->step);
	free(h->phase);
	free(h->score);
	free(h);
}

int64_t sx_heads_find(const sx_heads *h, int64_t step, int phase)
{
	for (int64_t i = h->n_record - 1; i >= 0; i--)
		if ((step < 0 || h->step[i] == step) && (phase < 0 || h->phase[i] == phase))
			return i;
	return -1;
}

sx_heads_shift sx_heads_shift_of(const sx_heads *h)
{
	sx_heads_shift s = {0};
	if (h->before_drop < 0 || h->before_drop + 1 >= h->n_record) return s;
	for (int64_t l = 0; l < h->layers; l++)
		for (int64_t k = 0; k < h->heads; k++, s.n++) {
			double then = sx_heads_at(h, h->before_drop + 1, l, k)->profile_shift;
			double now = sx_heads_at(h, h->n_record - 1, l, k)->profile_shift;
			s.right_after += then, s.end += now;
			s.nearer += now < then;
		}
	s.right_after /= (double)s.n;
	s.end /= (double)s.n;
	return s;
}

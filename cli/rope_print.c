/* What `sextant rope` prints. */
#include "cli/rope_print.h"

#include "analysis/stats/words.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.283185307179586476925;

/* ---- JSON ---- */

static json_t *list_json(const double *x, int64_t n)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < n; i++) json_array_append_new(list, sx_json_number(x[i]));
	return list;
}

static json_t *rank_test_json(const sx_rank_test *t)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:b}", "n_a", (json_int_t)t->nx, "n_b",
			 (json_int_t)t->ny, "u", sx_json_number(t->u), "cliff_delta",
			 sx_json_number(t->cliff), "p", sx_json_number(t->p), "p_smallest",
			 sx_json_number(t->p_smallest), "exact", t->exact);
}

/* The spectrum as it was trained: plain rotation over C tokens. */
static json_t *spectrum_json(const double *omega, int64_t n, int64_t C)
{
	json_t *wavelength = json_array(), *turns = json_array(), *never = json_array();
	for (int64_t m = 0; m < n; m++) {
		json_array_append_new(wavelength, sx_json_number(two_pi / omega[m]));
		json_array_append_new(turns, sx_json_number(omega[m] * (double)C / two_pi));
		json_array_append_new(never, json_boolean(sx_rope_is_slow(omega[m], C)));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "omega", list_json(omega, n), "wavelength",
			 wavelength, "rotations", turns, "never_turns", never);
}

/* Lists over the pairs: one of the three shares of sx_rope_pair. */
typedef enum { NORM_SHARE, LOGIT_SHARE, LOGIT_VAR } share;
static sx_interval share_of(const sx_rope_pair *p, share which)
{
	return which == NORM_SHARE    ? p->norm_share
	       : which == LOGIT_SHARE ? p->logit_share
				      : p->logit_var;
}

static json_t *shares_json(const sx_rope_head *h, int64_t n, share which)
{
	json_t *value = json_array(), *lo = json_array(), *hi = json_array();
	for (int64_t m = 0; m < n; m++) {
		sx_interval i = share_of(&h->pair[m], which);
		json_array_append_new(value, sx_json_number(i.value));
		json_array_append_new(lo, sx_json_number(i.lo));
		json_array_append_new(hi, sx_json_number(i.hi));
	}
	return json_pack("{s:o, s:o, s:o}", "value", value, "lo", lo, "hi", hi);
}

static json_t *head_json(const sx_rope_print *p, int64_t at)
{
	const sx_rope_head *h = &p->heads[at];
	json_t *ac = json_object(), *methods = json_object();
	for (int k = 0; k < SX_ROPE_FAMILIES; k++)
		json_object_set_new(ac, sx_rope_families[k], sx_json_number(h->ac[k]));
	for (int k = 0; k < p->n_method; k++)
		json_object_set_new(methods, p->method[k].name,
				    json_pack("{s:o, s:o}", "moved",
					      sx_interval_json(h->effect[k].moved), "shift",
					      sx_interval_json(h->effect[k].shift)));
	return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "layer",
			 (json_int_t)h->layer, "head", (json_int_t)h->head, "group", p->name[at],
			 "ac", ac, "centre", sx_interval_json(h->centre), "never_turning_share",
			 sx_interval_json(h->slow), "logit_rest", sx_interval_json(h->rest),
			 "logit_std", sx_interval_json(h->logit_std), "norm_share",
			 shares_json(h, p->use.freqs, NORM_SHARE), "logit_share",
			 shares_json(h, p->use.freqs, LOGIT_SHARE), "logit_var",
			 shares_json(h, p->use.freqs, LOGIT_VAR), "methods", methods);
}

static json_t *contrast_json(const sx_rope_print *p)
{
	const sx_rope_contrast *c = &p->contrast;
	json_t *list = json_array();
	for (int64_t m = 0; m < p->use.freqs; m++) {
		const sx_rope_contrast_pair *q = &c->pair[m];
		json_array_append_new(
			list, json_pack("{s:I, s:o, s:o, s:o, s:o}", "pair", (json_int_t)m,
					"mean_a", sx_json_number(q->mean_a), "mean_b",
					sx_json_number(q->mean_b), "test", rank_test_json(&q->test),
					"p_holm", sx_json_number(q->p_holm)));
	}
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:{s:I, s:o, s:o}, s:o}", "a",
			 "positional", "b", p->against, "n_a", (json_int_t)c->n_a, "n_b",
			 (json_int_t)c->n_b, "threshold",
			 p->by_class ? json_null() : sx_json_number(p->threshold), "centre",
			 rank_test_json(&c->centre), "least_p_holm", sx_json_number(c->least_holm),
			 "spearman_ac_centre", "n", (json_int_t)c->ac_centre.n, "rho",
			 sx_json_number(c->ac_centre.rho), "p", sx_json_number(c->ac_centre.p),
			 "logit_share", list);
}

static json_t *methods_json(const sx_rope_print *p)
{
	json_t *list = json_array();
	for (int k = 0; k < p->n_method; k++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "method",
						      p->method[k].name, "attention_factor",
						      sx_json_number(p->plan[k].attention_factor),
						      "gamma",
						      list_json(p->plan[k].gamma, p->use.freqs)));
	return list;
}

sx_status sx_rope_print_json(sx_ctx *ctx, const sx_rope_print *p)
{
	const sx_rope_use *u = &p->use;
	json_t *heads = json_array(), *gamma = json_array();
	for (int64_t i = 0; i < u->layers * u->heads; i++)
		json_array_append_new(heads, head_json(p, i));
	for (int64_t l = 0; l < u->layers; l++)
		json_array_append_new(gamma, list_json(u->gamma + l * u->freqs, u->freqs));
	return sx_print_json(
		ctx,
		json_pack("{s:s, s:I, s:s, s:s?, s:I, s:o, s:I, s:o, s:f, s:i, s:o, s:o, s:o, s:o, "
			  "s:o, s:o}",
			  "file", p->path, "step", (json_int_t)u->step, "phase",
			  sx_phase_text(u->phase), "pairing", u->pairing, "trained_length",
			  (json_int_t)p->trained_length, "logit_scale",
			  sx_json_number(p->logit_scale), "sequences", (json_int_t)u->sequences,
			  "sequence_kinds", sx_kinds_json(u->of_kind), "confidence", 0.95,
			  "resamples", SX_BOOT_RESAMPLES, "spectrum",
			  spectrum_json(u->inv_freq, u->freqs, p->trained_length), "gamma", gamma,
			  "factor", sx_json_number(p->factor), "methods", methods_json(p), "heads",
			  heads, "contrast", contrast_json(p)));
}

/* ---- table ---- */

static sx_status table_json(sx_ctx *ctx, const sx_pos_opts *o, const sx_pos_plan *plan,
			    const double *plain)
{
	return sx_print_json(ctx, json_pack("{s:s, s:i, s:o, s:o, s:I, s:o, s:o, s:o, s:o}",
					    "method", o->method, "head_dim", plan->rotary, "theta",
					    sx_json_number(o->theta), "factor",
					    sx_json_number(o->factor), "train_length",
					    (json_int_t)o->train_length, "attention_factor",
					    sx_json_number(plan->attention_factor), "omega",
					    list_json(plan->inv_freq, plan->n_freq), "gamma",
					    list_json(plan->gamma, plan->n_freq), "trained",
					    spectrum_json(plain, plan->n_freq, o->train_length)));
}

static sx_status table_text(sx_ctx *ctx, const sx_pos_opts *o, const sx_pos_plan *plan,
			    const double *plain)
{
	static const char *const headings[] = {"pair",  "omega",      "gamma",     "trained omega",
					       "turns", "wavelength", "full turn?"};
	int slow = 0;
	printf("%s: head_dim %d, theta %g, factor %g, trained on %lld tokens\n", o->method,
	       plan->rotary, o->theta, o->factor, (long long)o->train_length);
	printf("attention factor %.17g on cos and sin: logits of rotated channels times %.6g\n\n",
	       plan->attention_factor, plan->attention_factor * plan->attention_factor);
	sx_table *t = sx_table_new(7, headings);
	for (int m = 0; m < plan->n_freq; m++) {
		double w = plain[m];
		bool never = sx_rope_is_slow(w, o->train_length);
		slow += never;
		sx_table_cell(t, "%d", m);
		sx_table_cell(t, "%.10g", plan->inv_freq[m]);
		sx_table_cell(t, "%.10g", plan->gamma[m]);
		sx_table_cell(t, "%.10g", w);
		sx_table_cell(t, "%.6g", w * (double)o->train_length / two_pi);
		sx_table_cell(t, "%.6g", two_pi / w);
		sx_table_cell(t, "%s", never ? "never" : "yes");
	}
	sx_status st = sx_table_print(t, ctx);
	printf("\nomega: rad/token in use = gamma * trained omega (plain rotation). Turns over the "
	       "trained length\nand wavelength (tokens) are those of training; %d of %d pairs "
	       "never "
	       "completed one.\n",
	       slow, plan->n_freq);
	return st;
}

sx_status sx_rope_print_table(sx_ctx *ctx, const sx_pos_opts *o, const sx_pos_plan *plan, bool json)
{
	sx_pos_opts rope = *o;
	sx_pos_plan plain = {0};
	snprintf(rope.method, sizeof rope.method, "rope");
	rope.attention_factor = (double)NAN;
	sx_status st = sx_pos_plan_make(
		&plain, ctx, &rope, sx_pos_head(plan->rotary, o->train_length), 0, o->train_length);
	if (st != SX_OK) return st;
	st = (json ? table_json : table_text)(ctx, o, plan, plain.inv_freq);
	sx_pos_plan_free(&plain);
	return st;
}

/* ---- text ---- */

static void interval_cell(sx_table *t, sx_interval i)
{
	if (!isfinite(i.value) || !isfinite(i.lo) || !isfinite(i.hi))
		sx_table_g(t, 3, i.value);
	else
		sx_table_cell(t, "%.3g [%.3g, %.3g]", i.value, i.lo, i.hi);
}

/* The table, and what its dashes mean. */
static sx_status print_shares(sx_ctx *ctx, sx_table *t)
{
	bool undefined = sx_table_undefined(t);
	sx_status st = sx_table_print(t, ctx);
	if (undefined)
		printf("-: undefined: the file has no such number of this head, or what it has is "
		       "not "
		       "one.\n");
	return st;
}

static int64_t turning_layers(const sx_rope_use *u)
{
	int64_t n = 0;
	for (int64_t l = 0; l < u->layers; l++) n += sx_rope_turns(u, l);
	return n;
}

static void print_heading(const sx_rope_print *p)
{
	/* percentile intervals of 2..15 normal values: tests/analysis/test_stats.c */
	static const int coverage[16] = {0,  0,  50, 75, 80, 84, 86, 87,
					 88, 89, 90, 90, 91, 91, 92, 92};
	const sx_rope_use *u = &p->use;
	int64_t slow = 0, turning = turning_layers(u);
	char word[SX_RUN_WORD];
	for (int64_t m = 0; m < u->freqs; m++)
		slow += sx_rope_is_slow(u->inv_freq[m], p->trained_length);
	printf("%s, step %lld (%s)\n", p->path, (long long)u->step, sx_phase_text(u->phase));
	printf("%lld layers, %lld heads, %lld pairs of channels (pairing of the source: %s); theta "
	       "%g, trained on %lld tokens:\n%lld pairs never complete a turn over that length\n",
	       (long long)u->layers, (long long)u->heads, (long long)u->freqs,
	       u->pairing ? u->pairing : "not known", p->pos.theta, (long long)p->trained_length,
	       (long long)slow);
	printf("Means and 95 %% intervals over %lld sequences", (long long)u->sequences);
	int kinds = 0;
	for (int k = 0; sx_run_word(word, SX_RUN_STATS_SEQUENCE_KIND, k); k++)
		if (u->of_kind[k])
			printf("%s%lld %s", kinds++ ? ", " : " (", (long long)u->of_kind[k], word);
	printf("%s; percentile bootstrap\n", kinds ? ")" : "");
	if (u->sequences > 1 && u->sequences < 16)
		printf("These intervals are too short: from so few they cover about %d %%, not "
		       "95\n",
		       coverage[u->sequences]);
	if (turning == 0)
		printf("gamma = 0 in every layer: no pair is turned (NoPE). Frequencies below are "
		       "those the pairs\nwould have, or had before the drop; no method can scale "
		       "them.\n");
	else if (turning < u->layers)
		printf("gamma = 0 in %lld of %lld layers: their pairs are not turned.\n",
		       (long long)(u->layers - turning), (long long)u->layers);
}

static sx_status print_heads(sx_ctx *ctx, const sx_rope_print *p)
{
	static const char *const headings[] = {"layer",        "head",         "group",
					       "A_c previous", "A_c diagonal", "centre omega",
					       "tokens",       "slow",         "norm in slow"};
	sx_table *t = sx_table_new(9, headings);
	for (int64_t i = 0; i < p->use.layers * p->use.heads; i++) {
		const sx_rope_head *h = &p->heads[i];
		double norm = 0;
		for (int64_t m = 0; m < p->use.freqs; m++)
			if (sx_rope_is_slow(p->use.inv_freq[h->layer * p->use.freqs + m],
					    p->trained_length))
				norm += h->pair[m].norm_share.value;
		sx_table_cell(t, "%lld", (long long)h->layer);
		sx_table_cell(t, "%lld", (long long)h->head);
		sx_table_cell(t, "%s", p->name[i]);
		for (int k = 0; k < SX_ROPE_FAMILIES; k++) sx_table_f(t, 3, h->ac[k]);
		interval_cell(t, h->centre);
		sx_table_f(t, 1, two_pi / h->centre.value);
		interval_cell(t, h->slow);
		sx_table_g(t, 3, norm);
	}
	printf("\nWhere each head lives on the spectrum\n"
	       "centre: rad/token, geometric mean weighted by logit share; tokens: its "
	       "wavelength.\n"
	       "slow: logit share of the pairs that never complete a turn (%s).\n",
	       "norm in slow: their share of the norms");
	return print_shares(ctx, t);
}

static void print_verdict(const sx_rope_print *p)
{
	const sx_rope_contrast *c = &p->contrast;
	int64_t below = 0;
	for (int64_t m = 0; m < p->use.freqs; m++) below += c->pair[m].p_holm <= 0.05;
	printf("One test over the whole spectrum: centres of the positional heads against the "
	       "%s heads', Cliff's\ndelta %s (+1: all of them faster), p = %s, %s.\n",
	       p->against, sx_words_plus(2, c->centre.cliff).s, sx_words_g(2, c->centre.p).s,
	       isnan(c->centre.p) ? "for no centre of one of the groups is a number"
	       : c->centre.exact  ? "exact"
				  : "normal approximation");
	if (!isnan(c->ac_centre.rho))
		printf("Over all heads, |A_c| and centre: Spearman %+.2f, p = %.2g.\n",
		       c->ac_centre.rho, c->ac_centre.p);
	printf("Pair by pair: %lld of %lld with p <= 0.05 after Holm", (long long)below,
	       (long long)p->use.freqs);
	if (c->least_holm > 0.05)
		printf("; groups so small cannot give less than %.2g", c->least_holm);
	printf(".\np is for these heads of this one model: how often its heads, dealt at random to "
	       "groups of these\nsizes, would differ as much. It says nothing of other models or "
	       "seeds: heads of a model are not\nindependent draws.\n");
}

static sx_status print_contrast(sx_ctx *ctx, const sx_rope_print *p)
{
	const char *headings[] = {"pair",     "omega",   "tokens", "positional",
				  p->against, "Cliff's", "p",      "p (Holm)"};
	const sx_rope_contrast *c = &p->contrast;
	printf("\nPositional heads against the %s heads: %lld and %lld", p->against,
	       (long long)c->n_a, (long long)c->n_b);
	if (p->by_class)
		printf(" (by class%s%s)\n", p->groups ? ", then " : "", p->groups ? p->groups : "");
	else
		printf(" (positional: |A_c| >= %g%s%s)\n", p->threshold, p->groups ? ", then " : "",
		       p->groups ? p->groups : "");
	if (c->n_a == 0 || c->n_b == 0) {
		printf("One group is empty: nothing to compare. --threshold and --groups change "
		       "the groups.\n");
		return SX_OK;
	}
	print_verdict(p);
	printf("Mean logit share of a pair:\n");
	sx_table *t = sx_table_new(8, headings);
	for (int64_t m = 0; m < p->use.freqs; m++) {
		const sx_rope_contrast_pair *q = &c->pair[m];
		double omega = p->use.inv_freq[m];
		sx_table_cell(t, "%lld", (long long)m);
		sx_table_g(t, 4, omega);
		sx_table_g(t, 4, two_pi / omega);
		sx_table_f(t, 3, q->mean_a);
		sx_table_f(t, 3, q->mean_b);
		if (isnan(q->test.cliff))
			sx_table_f(t, 2, q->test.cliff);
		else
			sx_table_cell(t, "%+.2f", q->test.cliff);
		sx_table_g(t, 2, q->test.p);
		sx_table_g(t, 2, q->p_holm);
	}
	return print_shares(ctx, t);
}

static sx_status print_methods(sx_ctx *ctx, const sx_rope_print *p)
{
	int columns = p->n_method + 3;
	printf("\nWhat a method would change in each head at factor %g: moved / shift\n",
	       p->factor);
	if (turning_layers(&p->use) == 0) {
		printf("Nothing: no pair is turned.\n");
		return SX_OK;
	}
	printf("(nope, and p-rope at keep %g, have no factor)\n"
	       "moved: sum of logit share |gamma - gamma'| over the pairs; 0 = untouched.\n"
	       "shift: nats, bound on the mean change of a score at distance %lld, with mean norms "
	       "(not for\nevery single pair of tokens); beside logit std, the spread of the scores "
	       "in a row.\n",
	       p->pos.keep, (long long)(p->trained_length - 1));
	for (int k = 0; k < p->n_method; k++)
		if (p->plan[k].attention_factor != 1)
			printf("%s multiplies every logit by %.4g as well, which shift leaves "
			       "out.\n",
			       p->method[k].name,
			       p->plan[k].attention_factor * p->plan[k].attention_factor);
	const char **headings = sx_calloc((size_t)columns, sizeof *headings);
	if (!headings) return sx_fail(ctx, SX_ENOMEM, "no memory for a table");
	headings[0] = "layer", headings[1] = "head", headings[columns - 1] = "logit std";
	for (int k = 0; k < p->n_method; k++) headings[2 + k] = p->method[k].name;
	sx_table *t = sx_table_new(columns, headings);
	free(headings);
	for (int64_t i = 0; i < p->use.layers * p->use.heads; i++) {
		const sx_rope_head *h = &p->heads[i];
		sx_table_cell(t, "%lld", (long long)h->layer);
		sx_table_cell(t, "%lld", (long long)h->head);
		for (int k = 0; k < p->n_method; k++)
			if (isfinite(h->effect[k].moved.value + h->effect[k].shift.value))
				sx_table_cell(t, "%.3f / %.3g", h->effect[k].moved.value,
					      h->effect[k].shift.value);
			else
				sx_table_f(t, 3, (double)NAN);
		sx_table_g(t, 3, h->logit_std.value);
	}
	return print_shares(ctx, t);
}

sx_status sx_rope_print_text(sx_ctx *ctx, const sx_rope_print *p)
{
	sx_status st = SX_OK;
	print_heading(p);
	SX_TRY(print_heads(ctx, p));
	SX_TRY(print_contrast(ctx, p));
	SX_TRY(print_methods(ctx, p));
	printf("\nIntervals of all of this: --json. Every pair of every head: --pairs.\n");
	if (ferror(stdout)) st = sx_fail(ctx, SX_EIO, "writing to standard output failed");
out:
	return st;
}

sx_status sx_rope_print_pairs(sx_ctx *ctx, const sx_rope_print *p)
{
	static const char *const names[] = {"norm_share", "logit_share", "logit_var"};
	const sx_rope_use *u = &p->use;
	printf("layer\thead\tgroup\tpair\tomega\tgamma");
	for (int k = 0; k < 3; k++) printf("\t%s\t%s_lo\t%s_hi", names[k], names[k], names[k]);
	printf("\n");
	for (int64_t i = 0; i < u->layers * u->heads; i++)
		for (int64_t m = 0; m < u->freqs; m++) {
			const sx_rope_head *h = &p->heads[i];
			int64_t at = h->layer * u->freqs + m;
			printf("%lld\t%lld\t%s\t%lld", (long long)h->layer, (long long)h->head,
			       p->name[i], (long long)m);
			sx_print_field(9, u->inv_freq[at]);
			sx_print_field(9, u->gamma[at]);
			for (int k = 0; k < 3; k++) {
				sx_interval s = share_of(&h->pair[m], (share)k);
				sx_print_field(6, s.value);
				sx_print_field(6, s.lo);
				sx_print_field(6, s.hi);
			}
			printf("\n");
		}
	if (ferror(stdout)) return sx_fail(ctx, SX_EIO, "writing to standard output failed");
	return SX_OK;
}

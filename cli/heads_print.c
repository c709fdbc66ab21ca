/* What `sextant heads` prints. */
#include "cli/heads_print.h"

#include <math.h>
#include <string.h>

/* "offset" with its number. */
enum { LABEL = 32 };
static const char *label_text(char text[LABEL], const sx_head_scores *s)
{
	if (s->label == SX_LABEL_OFFSET)
		snprintf(text, LABEL, "offset-%lld", (long long)s->best_offset);
	else
		snprintf(text, LABEL, "%s", sx_head_label_name(s->label));
	return text;
}

/* Every score that has an interval, by name. */
typedef struct {
	const char *name;
	sx_interval i;
} named;
enum { SCORES = 19 };
static void scores_of(named out[SCORES], const sx_head_scores *s)
{
	const named all[SCORES] = {
		{"positional", s->positional},
		{"content", s->content},
		{"key", s->key},
		{"r2_offset", s->r2_offset},
		{"diag_mass", s->diag},
		{"prev_mass", s->prev},
		{"first_mass", s->first},
		{"sink_mass", s->sink},
		{"duplicate_mass", s->duplicate},
		{"induction_mass", s->induction},
		{"near_mass", s->near},
		{"entropy", s->entropy},
		{"divergence", s->divergence},
		{"mean_distance", s->mean_distance},
		{"logit_std", s->logit_std},
		{"ac_previous", s->ac[0]},
		{"ac_diagonal", s->ac[1]},
		{"best_ac", s->best_ac},
		{"best_mass", s->best_mass},
	};
	memcpy(out, all, sizeof all);
}

static bool is_undecided(const sx_heads_print *p, int64_t head)
{
	const sx_heads *h = p->heads;
	return h->score[p->record * h->layers * h->heads + head].cls == SX_HEAD_UNDECIDED;
}

/* ---- JSON ---- */

static json_t *head_json(const sx_head_scores *s)
{
	char label[LABEL];
	named score[SCORES];
	scores_of(score, s);
	json_t *o = json_pack(
		"{s:i, s:i, s:s, s:s, s:o, s:o}", "layer", s->layer, "head", s->head, "class",
		sx_head_class_name(s->cls), "label", label_text(label, s), "best_offset",
		isnan(s->best_ac.value) ? json_null() : json_integer((json_int_t)s->best_offset),
		"profile_shift", sx_json_number(s->profile_shift));
	for (int k = 0; o && k < SCORES; k++)
		json_object_set_new(o, score[k].name,
				    json_pack("{s:o, s:o, s:o}", "value",
					      sx_json_number(score[k].i.value), "lo",
					      sx_json_number(score[k].i.lo), "hi",
					      sx_json_number(score[k].i.hi)));
	return o;
}

static json_t *record_json(const sx_heads_print *p, int64_t rec)
{
	const sx_heads *h = p->heads;
	json_t *list = json_array();
	for (int64_t i = 0; i < h->layers * h->heads; i++)
		json_array_append_new(list, head_json(&h->score[rec * h->layers * h->heads + i]));
	return json_pack("{s:I, s:s, s:o}", "step", (json_int_t)h->step[rec], "phase",
			 sx_phase_text(h->phase[rec]), "heads", list);
}

static json_t *changes_json(const sx_heads_print *p)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < p->n_change; i++) {
		const sx_head_change *c = &p->change[i];
		json_array_append_new(list,
				      json_pack("{s:I, s:I, s:s, s:s, s:I, s:I, s:s}", "layer",
						(json_int_t)c->layer, "head", (json_int_t)c->head,
						"from", sx_head_class_name(c->from), "to",
						sx_head_class_name(c->to), "last_step_before",
						(json_int_t)p->heads->step[c->before], "step",
						(json_int_t)p->heads->step[c->record], "phase",
						sx_phase_text(p->heads->phase[c->record])));
	}
	return list;
}

/* Undecided heads of the chosen record, and what they were when last decided. */
static json_t *undecided_json(const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	json_t *list = json_array();
	for (int64_t i = 0; i < h->layers * h->heads; i++) {
		if (!is_undecided(p, i)) continue;
		int64_t l = i / h->heads, k = i % h->heads;
		int64_t at = sx_heads_decided(h, p->record, l, k);
		json_t *o = json_pack("{s:I, s:I, s:n, s:n}", "layer", (json_int_t)l, "head",
				      (json_int_t)k, "last_class", "last_step");
		if (at >= 0) {
			sx_head_class c = sx_heads_at(h, at, l, k)->cls;
			json_object_set_new(o, "last_class", json_string(sx_head_class_name(c)));
			json_object_set_new(o, "last_step", json_integer((json_int_t)h->step[at]));
		}
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *rule_json(void)
{
	const sx_heads_thresholds *r = &sx_heads_rule;
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "pattern", r->pattern, "positional",
			 r->positional, "semantic", r->semantic, "inactive", r->inactive, "uniform",
			 r->uniform, "local", r->local, "near_tokens", SX_HEADS_NEAR);
}

sx_status sx_heads_print_json(sx_ctx *ctx, const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	json_t *records = json_array();
	for (int64_t r = 0; r < h->n_record; r++) json_array_append_new(records, record_json(p, r));
	json_t *before = h->before_drop < 0 ? json_null()
					    : json_integer((json_int_t)h->step[h->before_drop]);
	return sx_print_json(
		ctx,
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:f, s:i, s:b, s:I, s:o, s:I, s:o, "
			  "s:o, s:o, s:o}",
			  "file", p->path, "tokens", (json_int_t)h->T, "context",
			  (json_int_t)h->context, "window", (json_int_t)h->window, "sequences",
			  (json_int_t)h->sequences, "sequence_kinds", sx_kinds_json(h->of_kind),
			  "induction_sequences", (json_int_t)h->induction_sequences, "confidence",
			  0.95, "resamples", SX_BOOT_RESAMPLES, "one_kernel", h->one_kernel,
			  "binned_from", (json_int_t)h->binned_from, "thresholds", rule_json(),
			  "record", (json_int_t)p->record, "step_before_drop", before, "records",
			  records, "changes", changes_json(p), "undecided", undecided_json(p)));
}

/* ---- lines ---- */

sx_status sx_heads_print_run(sx_ctx *ctx, const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	named score[SCORES];
	char label[LABEL];
	scores_of(score, h->score);
	printf("step\tphase\tlayer\thead\tclass\tlabel\tbest_offset\tprofile_shift");
	for (int k = 0; k < SCORES; k++)
		printf("\t%s\t%s_lo\t%s_hi", score[k].name, score[k].name, score[k].name);
	printf("\n");
	for (int64_t r = 0; r < h->n_record; r++)
		for (int64_t i = 0; i < h->layers * h->heads; i++) {
			const sx_head_scores *s = &h->score[r * h->layers * h->heads + i];
			scores_of(score, s);
			printf("%lld\t%s\t%d\t%d\t%s\t%s", (long long)h->step[r],
			       sx_phase_text(h->phase[r]), s->layer, s->head,
			       sx_head_class_name(s->cls), label_text(label, s));
			sx_print_field(17, isnan(s->best_ac.value) ? (double)NAN
								   : (double)s->best_offset);
			sx_print_field(6, s->profile_shift);
			for (int k = 0; k < SCORES; k++) {
				sx_print_field(6, score[k].i.value);
				sx_print_field(6, score[k].i.lo);
				sx_print_field(6, score[k].i.hi);
			}
			printf("\n");
		}
	if (ferror(stdout)) return sx_fail(ctx, SX_EIO, "writing to standard output failed");
	return SX_OK;
}

/* ---- text ---- */

static void interval_cell(sx_table *t, sx_interval i)
{
	if (!isfinite(i.value) || !isfinite(i.lo) || !isfinite(i.hi))
		sx_table_f(t, 2, i.value);
	else
		sx_table_cell(t, "%.2f [%.2f, %.2f]", i.value, i.lo, i.hi);
}

/* The table, and what its dashes mean. */
static sx_status print_scores(sx_ctx *ctx, sx_table *t)
{
	bool undefined = sx_table_undefined(t);
	sx_status st = sx_table_print(t, ctx);
	if (undefined)
		printf("-: undefined: no row of these sequences qualifies, or what was measured is "
		       "not a "
		       "number.\n");
	return st;
}

static void print_heading(const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	printf("%s, step %lld (%s)\n", p->path, (long long)h->step[p->record],
	       sx_phase_text(h->phase[p->record]));
	printf("%lld layers, %lld heads; %lld sequences of %lld tokens", (long long)h->layers,
	       (long long)h->heads, (long long)h->sequences, (long long)h->T);
	char word[SX_RUN_WORD];
	for (int k = 0, any = 0; sx_run_word(word, SX_RUN_STATS_SEQUENCE_KIND, k); k++)
		if (h->of_kind[k]) printf("%s%s", any++ ? ", " : ": ", word);
	if (h->induction_sequences)
		printf("; induction: %lld repeated", (long long)h->induction_sequences);
	printf("\n95 %% intervals over the sequences, percentile bootstrap");
	if (h->sequences == 1)
		printf(": none from one sequence, classes are by the values alone");
	else if (h->sequences < 16)
		printf("; from so few they are too short (of 4: 80 %%, of 8: 88 %%)");
	printf("\n");
	if (h->context > 0 && h->T > h->context)
		printf("The sequences are longer than the model's context of %lld tokens: what its "
		       "heads do beyond it\nneed not be what they do within it.\n",
		       (long long)h->context);
	if (h->one_kernel && h->binned_from >= 0)
		printf("The file has the scores' sums of offsets from %lld on in bins: a kernel "
		       "that "
		       "turns within a bin is\nhidden, and positional too small where it falls "
		       "behind r2_offset%s.\n",
		       (long long)h->binned_from,
		       h->binned_from < 4096 ? "; trace again for every offset" : "");
	if (!h->one_kernel)
		printf("The file has no /stats/score_offset: positional is from a kernel per "
		       "sequence, which explains\nat least as much as one for all of them; trace "
		       "again for the share that the rule means.\n");
}

static sx_status print_classes(sx_ctx *ctx, const sx_heads_print *p)
{
	static const char *const headings[] = {"layer",      "head",    "class", "label",
					       "positional", "content", "key",   "r2_offset",
					       "entropy",    "shift"};
	const sx_heads *h = p->heads;
	char label[LABEL];
	bool shift = h->before_drop >= 0;
	sx_table *t = sx_table_new(shift ? 10 : 9, headings);
	for (int64_t i = 0; i < h->layers * h->heads; i++) {
		const sx_head_scores *s = &h->score[p->record * h->layers * h->heads + i];
		sx_table_cell(t, "%d", s->layer);
		sx_table_cell(t, "%d", s->head);
		sx_table_cell(t, "%s", sx_head_class_name(s->cls));
		sx_table_cell(t, "%s", label_text(label, s));
		interval_cell(t, s->positional);
		interval_cell(t, s->content);
		interval_cell(t, s->key);
		sx_table_f(t, 2, s->r2_offset.value);
		sx_table_f(t, 3, s->entropy.value);
		if (shift) sx_table_f(t, 3, s->profile_shift);
	}
	printf("\nShares of the scores' squares about their row means: one kernel of the offset "
	       "for all sequences,\nwhat row, key and offset leave, what the key adds; r2_offset: "
	       "of a kernel for each sequence.\nEntropy: 1 = uniform rows.\n");
	if (shift)
		printf("Shift: share of the mass at other distances than before the drop, step "
		       "%lld.\n",
		       (long long)h->step[h->before_drop]);
	return print_scores(ctx, t);
}

static sx_status print_masses(sx_ctx *ctx, const sx_heads_print *p)
{
	static const char *const headings[] = {
		"layer",        "head",        "diag",    "prev",     "first",     "sink",
		"duplicate",    "induction",   "near",    "distance", "logit std", "A_c previous",
		"A_c diagonal", "best offset", "its A_c", "its mass"};
	const sx_heads *h = p->heads;
	sx_table *t = sx_table_new(16, headings);
	for (int64_t i = 0; i < h->layers * h->heads; i++) {
		const sx_head_scores *s = &h->score[p->record * h->layers * h->heads + i];
		const double masses[] = {s->diag.value, s->prev.value,      s->first.value,
					 s->sink.value, s->duplicate.value, s->induction.value,
					 s->near.value};
		sx_table_cell(t, "%d", s->layer);
		sx_table_cell(t, "%d", s->head);
		for (size_t k = 0; k < sizeof masses / sizeof masses[0]; k++)
			sx_table_f(t, 3, masses[k]);
		sx_table_f(t, 1, s->mean_distance.value);
		sx_table_f(t, 2, s->logit_std.value);
		for (int k = 0; k < SX_HEADS_FAMILIES; k++) sx_table_f(t, 3, s->ac[k].value);
		sx_table_f(t, 0, isnan(s->best_ac.value) ? (double)NAN : (double)s->best_offset);
		sx_table_f(t, 3, s->best_ac.value);
		sx_table_f(t, 3, s->best_mass.value);
	}
	printf("\nMasses; distance in tokens, logit std in nats; the offset with the largest A_c "
	       "of a scan\n");
	return print_scores(ctx, t);
}

static void print_counts(const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	int64_t count[SX_HEAD_CLASSES] = {0};
	for (int64_t i = 0; i < h->layers * h->heads; i++)
		count[h->score[p->record * h->layers * h->heads + i].cls]++;
	printf("\nOf %lld heads:", (long long)(h->layers * h->heads));
	for (int c = 0, any = 0; c < SX_HEAD_CLASSES; c++)
		if (count[c])
			printf("%s %lld %s", any++ ? "," : "", (long long)count[c],
			       sx_head_class_name((sx_head_class)c));
	printf("\n");
}

/* The list of changes passes over undecided records, also over those at its end. */
static void print_undecided(const sx_heads_print *p)
{
	const sx_heads *h = p->heads;
	int any = 0;
	for (int64_t i = 0; i < h->layers * h->heads; i++) {
		if (!is_undecided(p, i)) continue;
		int64_t l = i / h->heads, k = i % h->heads;
		int64_t at = sx_heads_decided(h, p->record, l, k);
		if (!any++)
			printf("\nUndecided at step %lld; in brackets when and what last decided:",
			       (long long)h->step[p->record]);
		if (at < 0)
			printf("\n  L%lld/H%lld (never)", (long long)l, (long long)k);
		else
			printf("\n  L%lld/H%lld (%s at step %lld)", (long long)l, (long long)k,
			       sx_head_class_name(sx_heads_at(h, at, l, k)->cls),
			       (long long)h->step[at]);
	}
	if (any) printf("\n");
}

static sx_status print_changes(sx_ctx *ctx, const sx_heads_print *p)
{
	static const char *const headings[] = {"layer", "head", "step",        "phase",
					       "from",  "to",   "was so until"};
	const sx_heads *h = p->heads;
	printf("\nChanges of class over %lld records, steps %lld to %lld", (long long)h->n_record,
	       (long long)h->step[0], (long long)h->step[h->n_record - 1]);
	if (p->n_change == 0) {
		printf(": none\n");
		return SX_OK;
	}
	printf(" (from one decided class to the next; undecided records are passed over)\n");
	sx_table *t = sx_table_new(7, headings);
	for (int64_t i = 0; i < p->n_change; i++) {
		const sx_head_change *c = &p->change[i];
		sx_table_cell(t, "%lld", (long long)c->layer);
		sx_table_cell(t, "%lld", (long long)c->head);
		sx_table_cell(t, "%lld", (long long)h->step[c->record]);
		sx_table_cell(t, "%s", sx_phase_text(h->phase[c->record]));
		sx_table_cell(t, "%s", sx_head_class_name(c->from));
		sx_table_cell(t, "%s", sx_head_class_name(c->to));
		sx_table_cell(t, "%lld", (long long)h->step[c->before]);
	}
	return sx_table_print(t, ctx);
}

sx_status sx_heads_print_text(sx_ctx *ctx, const sx_heads_print *p)
{
	sx_status st = SX_OK;
	print_heading(p);
	print_counts(p);
	SX_TRY(print_classes(ctx, p));
	SX_TRY(print_masses(ctx, p));
	if (p->heads->n_record > 1) {
		SX_TRY(print_changes(ctx, p));
		print_undecided(p);
		printf("\nEvery record: --over-run. ");
	} else {
		printf("\n");
	}
	printf("All intervals: --json.\n");
	if (ferror(stdout)) st = sx_fail(ctx, SX_EIO, "writing to standard output failed");
out:
	return st;
}

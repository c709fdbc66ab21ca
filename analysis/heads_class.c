/* The rule from scores to classes. */
#include "analysis/heads.h"

#include <math.h>
#include <stdlib.h>

const sx_heads_thresholds sx_heads_rule = {
	.pattern = 0.4,
	.positional = 2.0 / 3,
	.semantic = 1.0 / 3,
	.inactive = 0.03,
	.uniform = 0.95,
	.local = 2.0 / 3,
};

const char *sx_head_class_name(sx_head_class c)
{
	static const char *const names[SX_HEAD_CLASSES] = {
		"positional", "semantic", "key", "mixed", "sink", "inactive", "undecided"};
	return names[c];
}

const char *sx_head_label_name(sx_head_label l)
{
	static const char *const names[SX_HEAD_LABELS] = {"none",      "current",   "previous",
							  "offset",    "local",     "first",
							  "duplicate", "induction", "uniform"};
	return names[l];
}

/* ---- class ---- */

enum { DIVERGENCE, SINK, PLACE, DUPLICATE, INDUCTION, SHARE, CONTENT, KEY, EVIDENCE };

/* Of exact values. A pattern counts before the share: a sharp head gives its mass to a few scores,
 * the share weighs all of them alike. */
static sx_head_class class_of(const double v[EVIDENCE])
{
	const sx_heads_thresholds *r = &sx_heads_rule;
	bool place = v[PLACE] > r->pattern;
	bool token = v[DUPLICATE] > r->pattern || v[INDUCTION] > r->pattern;
	if (v[DIVERGENCE] < r->inactive) return SX_HEAD_INACTIVE;
	if (v[SINK] > r->pattern) return SX_HEAD_SINK;
	if (place && token) return SX_HEAD_MIXED;
	if (place || token) return place ? SX_HEAD_POSITIONAL : SX_HEAD_SEMANTIC;
	if (isnan(v[SHARE]) || isnan(v[CONTENT]) || isnan(v[KEY])) return SX_HEAD_UNDECIDED;
	if (v[SHARE] > r->positional) return SX_HEAD_POSITIONAL;
	if (v[SHARE] >= r->semantic || fmax(v[CONTENT], v[KEY]) <= r->semantic)
		return SX_HEAD_MIXED;
	return v[KEY] > v[CONTENT] ? SX_HEAD_KEY : SX_HEAD_SEMANTIC;
}

sx_head_class sx_heads_classify(const sx_head_scores *s)
{
	const sx_interval of[EVIDENCE] = {s->divergence, s->sink,       s->best_mass, s->duplicate,
					  s->induction,  s->positional, s->content,   s->key};
	sx_head_class first = SX_HEAD_UNDECIDED;
	/* every corner of the box of intervals; the value where there is no interval */
	for (unsigned corner = 0; corner < 1U << EVIDENCE; corner++) {
		double v[EVIDENCE];
		for (int k = 0; k < EVIDENCE; k++) {
			v[k] = corner >> k & 1 ? of[k].hi : of[k].lo;
			if (isnan(v[k])) v[k] = of[k].value;
		}
		sx_head_class c = class_of(v);
		if (corner == 0) first = c;
		if (c != first) return SX_HEAD_UNDECIDED;
	}
	return first;
}

/* ---- label ---- */

static bool beyond(sx_interval i, double threshold)
{
	return (isnan(i.lo) ? i.value : i.lo) > threshold;
}

sx_head_label sx_heads_label(const sx_head_scores *s)
{
	const struct {
		sx_interval mass;
		sx_head_label label;
	} patterns[] = {
		{s->best_mass, s->best_offset == 0   ? SX_LABEL_CURRENT
			       : s->best_offset == 1 ? SX_LABEL_PREVIOUS
						     : SX_LABEL_OFFSET},
		{s->first, SX_LABEL_FIRST},
		{s->duplicate, SX_LABEL_DUPLICATE},
		{s->induction, SX_LABEL_INDUCTION},
	};
	sx_head_label label = SX_LABEL_NONE;
	double most = 0;
	if (beyond(s->entropy, sx_heads_rule.uniform)) return SX_LABEL_UNIFORM;
	for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++)
		if (beyond(patterns[k].mass, sx_heads_rule.pattern) &&
		    patterns[k].mass.value > most) {
			most = patterns[k].mass.value;
			label = patterns[k].label;
		}
	if (label == SX_LABEL_NONE && beyond(s->near, sx_heads_rule.local)) label = SX_LABEL_LOCAL;
	return label;
}

/* ---- over a run ---- */

int64_t sx_heads_decided(const sx_heads *h, int64_t record, int64_t layer, int64_t head)
{
	while (record >= 0 && sx_heads_at(h, record, layer, head)->cls == SX_HEAD_UNDECIDED)
		record--;
	return record;
}

sx_status sx_heads_changes(sx_head_change **out, int64_t *n, sx_ctx *ctx, const sx_heads *h)
{
	int64_t all = h->layers * h->heads, found = 0;
	sx_head_change *list = sx_calloc((size_t)(all * h->n_record), sizeof *list);
	if (!list) return sx_fail(ctx, SX_ENOMEM, "no memory for the changes of class");
	for (int64_t i = 0; i < all; i++) {
		sx_head_class now = SX_HEAD_UNDECIDED;
		int64_t since = -1;
		for (int64_t r = 0; r < h->n_record; r++) {
			sx_head_class c = h->score[r * all + i].cls;
			if (c == SX_HEAD_UNDECIDED) continue;
			if (now != SX_HEAD_UNDECIDED && c != now)
				list[found++] = (sx_head_change){.layer = i / h->heads,
								 .head = i % h->heads,
								 .before = since,
								 .record = r,
								 .from = now,
								 .to = c};
			now = c;
			since = r;
		}
	}
	*out = list, *n = found;
	return SX_OK;
}

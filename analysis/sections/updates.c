/* What single updates, and longer ways, do to A_c: the first order against what happened. */
#include "analysis/figure/figures.h"
#include "analysis/first_order.h"
#include "analysis/sections/sections.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };
static const char *const families[] = {"diagonal", "previous"};
enum { FAMILIES = sizeof families / sizeof families[0] };

bool sx_section_is_update(const sx_section_item *i)
{
	return i->kind == SX_ITEM_TRACE && i->file && sx_run_has(i->file, SX_RUN_AC_FIRST_ORDER);
}

static sx_fig_kind kind_of(const sx_section_item *i)
{
	if (strcmp(i->label, "DroPE") == 0) return SX_FIG_DROPE;
	return i->nope ? SX_FIG_NOPE : SX_FIG_ROPE;
}

static bool has_family(const sx_section_item *i, const char *family)
{
	char **name = NULL;
	int64_t n = 0;
	bool found = false;
	if (sx_run_strings(i->file, SX_RUN_AC_C, &name, &n) != SX_OK) return false;
	for (int64_t k = 0; k < n; k++) found = found || strcmp(name[k], family) == 0;
	free(name);
	return found;
}

static sx_report_table *add_table(sx_report *r)
{
	sx_report_table *t = sx_report_table_add(
		r, "updates", "updates",
		"What updates do to A_c: root mean square over heads of its change (mean over "
		"sequences), of the part of W_Q and W_K, and of the rest, through h; share of that "
		"part, and of the change, that the first order of W_Q and W_K explains, with that "
		"of h too; the cosine of change and first order; how much of the rate that the "
		"gradient's norm allows was used. 95 % bootstrap intervals over heads.");
	sx_report_col_text(t, "family", "c", "family of the weights");
	sx_report_col_text(t, "model", "Model", "label of the run");
	sx_report_col_int(t, "seed", "Seed", "1", "seed of the run");
	sx_report_col_int(t, "step", "Step", "1", "updates applied before");
	sx_report_col_int(t, "updates", "Updates", "1", "updates between the checkpoints");
	sx_report_col_real(t, "change", "Change", "1", "root mean square change of A_c", "%.2g");
	sx_report_col_real(t, "change_w", "By W", "1", "its part by W_Q and W_K", "%.2g");
	sx_report_col_real(t, "change_h", "Through h", "1", "the rest", "%.2g");
	sx_report_col_interval(t, "share_w", "Part of W explained", "1",
			       "share of the part of W_Q, W_K by their first order", "%.3f");
	sx_report_col_interval(t, "share", "Change explained", "1",
			       "share of the change by the first order of W_Q, W_K", "%.2f");
	sx_report_col_interval(t, "share_h", "With h", "1",
			       "share of the change by the first order of W_Q, W_K and h", "%.2f");
	sx_report_col_interval(t, "cosine", "Cosine", "1",
			       "cosine of the change and the first order of W_Q, W_K", "%.2f");
	sx_report_col_interval(t, "used", "Rate used", "1",
			       "first order over the gradients' norms times those of the changes",
			       "%.2f");
	return t;
}

static void cell(sx_report_table *t, sx_interval i)
{
	sx_report_cell_interval(t, i.value, i.lo, i.hi);
}

static void add_row(sx_report_table *t, const sx_section_item *item, const char *family,
		    const sx_first_order *o)
{
	sx_report_cell_text(t, family);
	sx_report_cell_text(t, item->label);
	sx_report_cell_int(t, item->seed);
	sx_report_cell_int(t, o->step);
	sx_report_cell_int(t, o->updates);
	sx_report_cell_real(t, o->rms);
	sx_report_cell_real(t, o->rms_w);
	sx_report_cell_real(t, o->rms_h);
	cell(t, o->share.w);
	cell(t, o->share.whole);
	cell(t, o->share.whole_h);
	cell(t, o->share.cosine);
	cell(t, o->share.used);
}

/* Shares of the single updates of one label, all seeds; NULL: of all labels. */
static sx_status pool(sx_first_order_shares *s, int *single, sx_section_job *j,
		      const sx_first_order *o, const int *at, int n, const char *label)
{
	const sx_first_order *one[MOST];
	*single = 0;
	for (int i = 0; i < n; i++)
		if (o[i].updates == 1 && (!label || strcmp(j->item[at[i]].label, label) == 0))
			one[(*single)++] = &o[i];
	if (*single > 1) return sx_first_order_pool(s, j->ctx, one, *single, j->seed);
	if (*single) *s = one[0]->share; /* intervals over its heads */
	return SX_OK;
}

/* Sentences on the single updates of a family. */
static sx_status conclude(sx_section_job *j, const sx_first_order *o, const int *at, int n,
			  const char *family)
{
	sx_status st = SX_OK;
	sx_first_order_shares s;
	int single = 0;
	SX_TRY(pool(&s, &single, j, o, at, n, NULL));
	if (!single) goto out;
	sx_section_say(j,
		       "%s, %d single updates: the first order in W_Q and W_K explains %s "
		       "of what these do with h as it was, and with the first order in h "
		       "%s of the change of A_c.",
		       family, single, sx_words_interval(3, s.w).s,
		       sx_words_interval(3, s.whole_h).s);
	for (int i = 0; i < n; i++) {
		const char *label = j->item[at[i]].label;
		int k = 0;
		while (strcmp(j->item[at[k]].label, label) != 0) k++;
		if (k < i) continue;
		SX_TRY(pool(&s, &single, j, o, at, n, label));
		if (!single) continue;
		sx_section_say(j,
			       "%s: W_Q and W_K alone explain %s of the change, and "
			       "use %s of the rate that the gradient's norm allows.",
			       label, sx_words_interval(2, s.whole).s,
			       sx_words_interval(2, s.used).s);
	}
out:
	return st;
}

/* The pairs of the first seed. */
static sx_status draw(sx_section_job *j, const sx_first_order *o, const int *at, int n,
		      const char *family)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int drawn = 0;
	sx_fig_update_data *d = sx_calloc((size_t)n, sizeof *d);
	if (!d) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the updates");
	for (int i = 0; i < n; i++) {
		const sx_section_item *item = &j->item[at[i]];
		if (item->seed != j->item[at[0]].seed || o[i].updates < 1) continue;
		d[drawn++] = (sx_fig_update_data){.label = item->label,
						  .kind = kind_of(item),
						  .n = o[i].layers * o[i].heads,
						  .step = o[i].step,
						  .updates = o[i].updates,
						  .change = o[i].change,
						  .first_w = o[i].first_w,
						  .first_h = o[i].first_h,
						  .share_w = o[i].share.w.value,
						  .share = o[i].share.whole.value,
						  .share_h = o[i].share.whole_h.value};
	}
	if (!drawn) goto out;
	SX_TRY(sx_fig_updates(&f, j->ctx, sx_fig_style_find("neurips"), d, drawn, family));
	sx_report_figure(
		j->report, f, "updates",
		"Change of A_c (diagonal) by single updates against its first order, a dot "
		"per head, each update's divided by the root mean square of its changes; "
		"and shares explained of longer ways from the same checkpoint.");
out:
	free(d);
	return st;
}

static sx_status add_family(sx_section_job *j, sx_report_table *t, const char *family)
{
	sx_status st = SX_OK;
	int at[MOST], all = sx_section_find(j, at, MOST, sx_section_is_update), n = 0, read = 0;
	for (int i = 0; i < all; i++)
		if (has_family(&j->item[at[i]], family)) at[n++] = at[i];
	sx_first_order *o = sx_calloc((size_t)n + 1, sizeof *o);
	if (!o) return sx_fail(j->ctx, SX_ENOMEM, "no memory for the updates");
	for (; read < n; read++) {
		const sx_section_item *item = &j->item[at[read]];
		SX_TRY(sx_first_order_read(&o[read], j->ctx, item->file, family, j->seed));
		add_row(t, item, family, &o[read]);
	}
	SX_TRY(conclude(j, o, at, n, family));
	if (n && strcmp(family, families[0]) == 0) SX_TRY(draw(j, o, at, n, family));
out:
	for (int i = 0; i < read; i++) sx_first_order_free(&o[i]);
	free(o);
	return st;
}

sx_status sx_section_updates(sx_section_job *j)
{
	sx_status st = SX_OK;
	int first = 0;
	if (!sx_section_find(j, &first, 1, sx_section_is_update)) return SX_OK;
	sx_report_section(j->report, "What updates do to A_c");
	sx_report_table *t = add_table(j->report);
	sx_section_say(j, "*What updates do to A_c* (Observation 1; intervals over updates, of one "
			  "alone over its heads).");
	for (int k = 0; k < FAMILIES; k++) SX_TRY(add_family(j, t, families[k]));
out:
	return st;
}

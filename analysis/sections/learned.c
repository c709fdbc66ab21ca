/* Whether the models that kept their positions learned to retrieve at all: said before everything else
 * where one did not. */
#include "analysis/extension.h"
#include "analysis/sections/sections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, LISTED = 4 };

/* Training evaluates a model, too; of a model with an evaluation of its own that one counts. */
static bool is_asked(const sx_section_item *i)
{
	return i->file && i->context > 0 && !i->nope && !i->untrained &&
	       (sx_run_has(i->file, SX_RUN_EXTENSION_NIAH_HITS) ||
		sx_run_has(i->file, SX_RUN_EVAL_NIAH_HITS));
}

/* Needles of one model of one seed at the trained length. */
typedef struct {
	const sx_section_item *item;
	int64_t hits, trials;
} answers;

/* The kind of problem that reports are on where the file has it, else its first; "" = it has none. */
static sx_status choose_kind(char out[24], sx_run_file *f)
{
	bool grid = sx_run_has(f, SX_RUN_EXTENSION_NIAH_HITS);
	char **kind = NULL;
	int64_t n = 0;
	sx_status st =
		sx_run_strings(f, grid ? SX_RUN_EXTENSION_KIND : SX_RUN_EVAL_KIND, &kind, &n);
	if (st != SX_OK) return st;
	snprintf(out, 24, "%s", n ? kind[0] : "");
	for (int64_t k = 0; k < n; k++)
		if (strcmp(kind[k], "multi-key") == 0) snprintf(out, 24, "%s", kind[k]);
	free(kind);
	return SX_OK;
}

/* A run that has not come to its first evaluation has an axis without steps. */
static sx_status has_records(bool *out, const sx_section_item *i)
{
	int64_t dims[SX_RUN_MAX_DIMS] = {1};
	int ndim;
	sx_status st = SX_OK;
	if (sx_run_has(i->file, SX_RUN_EVAL_STEP))
		st = sx_run_shape(i->file, SX_RUN_EVAL_STEP, dims, &ndim);
	*out = dims[0] > 0;
	return st;
}

/* Adds what a file says; at the trained length all methods that keep the positions are one. */
static sx_status add_file(answers *a, sx_section_job *j, const sx_section_item *i)
{
	sx_status st = SX_OK;
	sx_extension *e = NULL;
	char kind[24];
	bool any = false;
	SX_TRY(has_records(&any, i));
	if (!any) goto out;
	SX_TRY(choose_kind(kind, i->file));
	if (!*kind) goto out;
	SX_TRY(sx_extension_read(&e, j->ctx, &i->file, &i->label, 1, kind));
	for (int v = 0; v < e->n_row; v++) {
		const sx_extension_row *r = &e->row[v];
		if (strcmp(r->method, "nope") == 0) continue;
		for (int k = 0; k < r->n_length; k++) {
			if (r->length[k] != i->context) continue;
			a->hits += r->hits[k];
			a->trials += r->trials[k];
		}
		break;
	}
out:
	sx_extension_free(e);
	return st;
}

static bool same_model(const sx_section_item *a, const sx_section_item *b)
{
	return a->seed == b->seed && strcmp(a->label, b->label) == 0;
}

/* One entry for each label and seed. */
static sx_status read_answers(answers *a, int *n, sx_section_job *j, const int *at, int n_at)
{
	for (int k = 0; k < n_at; k++) {
		const sx_section_item *i = &j->item[at[k]];
		int m = 0;
		while (m < *n && !same_model(a[m].item, i)) m++;
		if (m == *n) a[(*n)++] = (answers){.item = i};
	}
	for (int pass = 0; pass < 2; pass++)
		for (int m = 0; m < *n; m++) {
			if (a[m].trials > 0) continue;
			for (int k = 0; k < n_at; k++) {
				const sx_section_item *i = &j->item[at[k]];
				bool run = i->kind == SX_ITEM_RUN;
				if (run != (pass == 1) || !same_model(a[m].item, i)) continue;
				sx_status st = add_file(&a[m], j, i);
				if (st != SX_OK) return st;
			}
		}
	return SX_OK;
}

static bool is_unlearned(const answers *a)
{
	return a->trials > 0 && (double)a->hits < SX_SECTION_LEARNED * (double)a->trials;
}

/* The seeds of a label that did not learn; returns whether there is one. */
static bool say_label(sx_section_job *j, const answers *a, int n, int first)
{
	char list[400] = "";
	size_t used = 0;
	int seeds = 0, under = 0;
	bool several = false;
	for (int i = 0; i < j->n; i++) several |= j->item[i].seed != j->item[0].seed;
	for (int m = first; m < n; m++) {
		if (strcmp(a[m].item->label, a[first].item->label) != 0 || a[m].trials == 0)
			continue;
		seeds++;
		if (!is_unlearned(&a[m]) || ++under > LISTED) continue;
		sx_interval v = sx_wilson(a[m].hits, a[m].trials);
		char seed[40] = "";
		if (several) snprintf(seed, sizeof seed, ", seed %lld", (long long)a[m].item->seed);
		int w = snprintf(list + used, sizeof list - used,
				 "%s%.2f [%.2f, %.2f] (%lld problems%s)", used ? ", " : "", v.value,
				 v.lo, v.hi, (long long)a[m].trials, seed);
		used += w > 0 && used + (size_t)w < sizeof list ? (size_t)w : 0;
	}
	if (!under) return false;
	char of[64] = "";
	if (seeds > 1) snprintf(of, sizeof of, " in %d of %d seeds", under, seeds);
	sx_section_say(
		j,
		"*Not learned*: %s did not learn to retrieve%s. Of the needles at its trained "
		"length, %lld tokens, it finds %s%s, less than %g.",
		a[first].item->label, of, (long long)a[first].item->context, list,
		under > LISTED ? ", .." : "", SX_SECTION_LEARNED);
	return true;
}

sx_status sx_section_learned(sx_section_job *j)
{
	int at[MOST], n = 0, n_at = sx_section_find(j, at, MOST, is_asked);
	answers a[MOST];
	bool any = false;
	sx_status st = read_answers(a, &n, j, at, n_at);
	for (int m = 0; st == SX_OK && m < n; m++) {
		int k = 0;
		while (strcmp(a[k].item->label, a[m].item->label) != 0) k++;
		if (k == m) any = say_label(j, a, n, m) || any;
	}
	if (any)
		sx_section_say(j, "What this page says of retrieval beyond the trained length then "
				  "means little: train longer (`train.steps`).");
	return st;
}

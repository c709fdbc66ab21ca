#include "analysis/sections/sections.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/labels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sx_item_kind_name(sx_item_kind k)
{
	static const char *const names[SX_ITEM_KINDS] = {"run", "trace", "eval", "bounds"};
	return names[k];
}

SX_PRINTF(1, 0)
static char *print(const char *fmt, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *s = n < 0 ? NULL : sx_calloc((size_t)n + 1, 1);
	if (s) vsnprintf(s, (size_t)n + 1, fmt, args);
	return s;
}

void sx_section_say(sx_section_job *j, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *s = print(fmt, args);
	va_end(args);
	size_t had = j->said ? strlen(j->said) : 0;
	char *all = s ? sx_grow(j->said, had + strlen(s) + 2, 1) : NULL;
	if (all) {
		snprintf(all + had, strlen(s) + 2, "%s%s", had ? " " : "", s);
		j->said = all;
	} else {
		j->out_of_memory = true;
	}
	free(s);
}

void sx_section_write(sx_section_job *j, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *s = print(fmt, args);
	va_end(args);
	if (s)
		sx_report_text(j->report, s);
	else
		j->out_of_memory = true;
	free(s);
}

int sx_section_find(const sx_section_job *j, int *at, int most,
		    bool (*fits)(const sx_section_item *item))
{
	int n = 0;
	for (int i = 0; i < j->n && n < most; i++)
		if (fits(&j->item[i])) at[n++] = i;
	return n;
}

int sx_section_labels(const sx_section_job *j, const int *at, int n)
{
	int different = 0;
	for (int i = 0; i < n; i++) {
		int k = 0;
		while (k < i && strcmp(j->item[at[k]].label, j->item[at[i]].label) != 0) k++;
		different += k == i;
	}
	return different;
}

int sx_section_seeds(const sx_section_job *j, const int *at, int n)
{
	int different = 0;
	for (int i = 0; i < n; i++) {
		int k = 0;
		while (k < i && j->item[at[k]].seed != j->item[at[i]].seed) k++;
		different += k == i;
	}
	return different;
}

int sx_section_first_seed(const sx_section_job *j, int *at, int n)
{
	int kept = 0;
	for (int i = 0; i < n; i++)
		if (j->item[at[i]].seed == j->item[at[0]].seed) at[kept++] = at[i];
	return kept;
}

void sx_section_name(const sx_section_job *j, const sx_section_item *item, char *out, size_t size)
{
	bool several = false;
	for (int i = 0; i < j->n; i++) several |= j->item[i].seed != item->seed;
	if (several)
		snprintf(out, size, "%s, seed %lld", item->label, (long long)item->seed);
	else
		snprintf(out, size, "%s", item->label);
}

int sx_section_sign(sx_interval d)
{
	return (d.lo > 0) - (d.hi < 0);
}

static bool is_among(const int *at, int n, int i)
{
	for (int k = 0; k < n; k++)
		if (at[k] == i) return true;
	return false;
}

/* The caption, and which seeds are shown where others have the same label and are not; the caller's. */
static char *caption_of(const sx_section_job *j, const char *caption, const int *at, int n)
{
	char seeds[128] = "";
	size_t used = 0;
	bool hidden = false;
	for (int i = 0; i < j->n; i++)
		for (int k = 0; k < n && !is_among(at, n, i); k++)
			hidden = hidden || (j->item[i].kind == j->item[at[k]].kind &&
					    strcmp(j->item[i].label, j->item[at[k]].label) == 0 &&
					    strcmp(j->item[i].name, j->item[at[k]].name) == 0 &&
					    j->item[i].seed != j->item[at[k]].seed);
	for (int k = 0; hidden && k < n; k++) {
		bool first = true;
		for (int i = 0; i < k; i++)
			first = first && j->item[at[i]].seed != j->item[at[k]].seed;
		int w = first ? snprintf(seeds + used, sizeof seeds - used, "%s%lld",
					 used ? ", " : "", (long long)j->item[at[k]].seed)
			      : 0;
		used += w > 0 && used + (size_t)w < sizeof seeds ? (size_t)w : 0;
	}
	return hidden ? sx_format("%s Seed %s, the first: a picture of every seed would take too "
				  "much room; tables and text have them all.",
				  caption, seeds)
		      : sx_strdup(caption);
}

/* A list as --label takes it: the caller's. */
static char *labels_of(const sx_section_job *j, const int *at, int n)
{
	const char **label = sx_calloc((size_t)n, sizeof *label);
	for (int i = 0; label && i < n; i++) label[i] = j->item[at[i]].label;
	char *s = label ? sx_label_join(label, n) : NULL;
	free(label);
	return s;
}

sx_status sx_section_draw(sx_section_job *j, const char *figure, const char *name,
			  const char *caption, const int *at, int n, const sx_section_words *words)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	const sx_figure_row *row = sx_figure_row_find(figure);
	char **input = sx_calloc((size_t)n, sizeof *input), *labels = labels_of(j, at, n);
	char *whole = caption_of(j, caption, at, n);
	if (!input || !labels || !whole || !row) {
		st = row ? sx_fail(j->ctx, SX_ENOMEM, "no memory for the figure %s", figure)
			 : sx_fail(j->ctx, SX_EINTERNAL, "no figure is called %s", figure);
		goto out;
	}
	for (int i = 0; i < n; i++) input[i] = (char *)j->item[at[i]].path;
	sx_figure_args a = {
		.name = figure,
		.style = sx_fig_style_find(words && words->style ? words->style : "neurips"),
		.labels = labels,
		.inputs = input,
		.n_input = n,
		.step = words ? words->step : -1,
		.sequence = words ? words->sequence : -1,
		.heads = words ? words->heads : NULL,
		.of = words ? words->of : NULL,
		.scale = SX_FIG_SCALE_SQRT};
	SX_TRY(row->make(&f, j->ctx, &a));
	if (sx_fig_is_empty(f)) {
		sx_fig_free(f);
		sx_section_write(
			j, "*Left out*: the figure `%s`, for not one of its values is a number.",
			figure);
		goto out;
	}
	sx_report_figure(j->report, f, name, whole);
out:
	free(whole);
	free(labels);
	free(input);
	return st;
}

/* ---- the list ---- */

typedef sx_status (*section)(sx_section_job *j);

/* In the order of the page. */
/* clang-format off */
static const section sections[] = {
	sx_section_learned,
	sx_section_losses,
	sx_section_drop,
	sx_section_extension,
	sx_section_heads,
	sx_section_frequencies,
	sx_section_gradients,
	sx_section_mix,
	sx_section_figure4,
	sx_section_constant,
	sx_section_course,
	sx_section_updates,
	sx_section_bounds,
};
/* clang-format on */

sx_status sx_sections_write(sx_section_job *j)
{
	sx_status st = SX_OK;
	int said = 0;
	for (size_t k = 0; k < sizeof sections / sizeof sections[0]; k++) {
		SX_TRY(sections[k](j));
		if (j->out_of_memory)
			SX_TRY(sx_fail(j->ctx, SX_ENOMEM, "no memory for the report"));
		if (!j->said) continue;
		sx_report_summary(j->report, j->said);
		free(j->said);
		j->said = NULL;
		said++;
	}
	if (!said)
		sx_report_summary(j->report,
				  "The inputs hold nothing that this report knows how to "
				  "conclude from; what they hold is listed by `sextant "
				  "ls`.");
out:
	free(j->said);
	j->said = NULL;
	return st;
}

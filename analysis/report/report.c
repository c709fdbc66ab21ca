/* The report as data: building it up. */
#include "analysis/report/internal.h"

#include <ctype.h>
#include <glib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A copy of text that every format takes: valid UTF-8 (labels come from file names), one line. */
static char *text_of(const char *s)
{
	char *valid = g_utf8_make_valid(s, -1);
	char *own = sx_strdup(valid);
	g_free(valid);
	for (char *c = own; c && *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
	return own;
}

sx_status sx_report_new(sx_report **out, sx_ctx *ctx, const char *title)
{
	sx_report *r = sx_calloc(1, sizeof *r);
	if (r) r->title = text_of(title);
	if (!r || !r->title) {
		free(r);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a report");
	}
	*out = r;
	return SX_OK;
}

static void col_free(report_col *c)
{
	free(c->name);
	free(c->heading);
	free(c->unit);
	free(c->long_name);
	free(c->fmt);
}

static void table_free(sx_report_table *t)
{
	if (!t) return;
	for (int i = 0; i < t->n_col; i++) col_free(&t->col[i]);
	for (int64_t i = 0; i < t->n_cell; i++) free(t->cell[i].text);
	free(t->col);
	free(t->cell);
	free(t->name);
	free(t->group);
	free(t->caption);
	free(t);
}

static void figure_free(report_figure *f)
{
	if (!f) return;
	sx_fig_free(f->fig);
	free(f->name);
	free(f->caption);
	free(f->svg);
	free(f->png);
	free(f);
}

static void pairs_free(report_pair *p, int n)
{
	for (int i = 0; i < n; i++) {
		free(p[i].first);
		free(p[i].second);
	}
	free(p);
}

void sx_report_free(sx_report *r)
{
	if (!r) return;
	for (int i = 0; i < r->n_summary; i++) free(r->summary[i]);
	for (int i = 0; i < r->n_block; i++) {
		free(r->block[i].text);
		table_free(r->block[i].table);
		figure_free(r->block[i].figure);
	}
	pairs_free(r->input, r->n_input);
	pairs_free(r->param, r->n_param);
	free(r->summary);
	free(r->block);
	free(r->title);
	free(r->git);
	free(r->command_line);
	free(r);
}

/* ---- failures, kept ---- */

static void SX_PRINTF(3, 4) broke(sx_report *r, sx_status st, const char *fmt, ...)
{
	if (r->st != SX_OK) return;
	r->st = st;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof r->why, fmt, ap);
	va_end(ap);
}

static void *kept(sx_report *r, void *p)
{
	if (!p) broke(r, SX_ENOMEM, "no memory for the report");
	return p;
}

/* The list with room for one more element, zeroed; NULL and the list untouched if there is none. */
static void *one_more(sx_report *r, void *list, int64_t n, size_t size)
{
	char *grown = kept(r, sx_grow(list, (size_t)n + 1, size));
	if (grown) memset(grown + (size_t)n * size, 0, size);
	return grown;
}

static void check_name(sx_report *r, const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
	if (name[n] || n == 0 || n > SX_REPORT_NAME_MAX || !islower((unsigned char)name[0]))
		broke(r, SX_EINTERNAL, "\"%s\" cannot name a part of a report", name);
}

/* ---- text ---- */

void sx_report_reload(sx_report *r, int seconds)
{
	r->reload = seconds;
}

void sx_report_summary(sx_report *r, const char *paragraph)
{
	char **list = one_more(r, r->summary, r->n_summary, sizeof *list);
	if (!list) return;
	r->summary = list;
	list[r->n_summary] = kept(r, text_of(paragraph));
	if (list[r->n_summary]) r->n_summary++;
}

static report_block *add_block(sx_report *r, block_kind kind)
{
	report_block *list = one_more(r, r->block, r->n_block, sizeof *list);
	if (!list) return NULL;
	r->block = list;
	report_block *b = &list[r->n_block];
	b->kind = kind;
	b->number = 1;
	for (int i = 0; i < r->n_block; i++) b->number += list[i].kind == kind;
	r->n_block++;
	return b;
}

static void add_text(sx_report *r, block_kind kind, const char *text)
{
	char *own = kept(r, text_of(text));
	report_block *b = own ? add_block(r, kind) : NULL;
	if (b)
		b->text = own;
	else
		free(own);
}

void sx_report_section(sx_report *r, const char *heading)
{
	add_text(r, BLOCK_SECTION, heading);
}

void sx_report_text(sx_report *r, const char *paragraph)
{
	add_text(r, BLOCK_TEXT, paragraph);
}

/* ---- provenance ---- */

void sx_report_origin(sx_report *r, const char *git, const char *command_line)
{
	free(r->git);
	free(r->command_line);
	r->git = git ? kept(r, text_of(git)) : NULL;
	r->command_line = command_line ? kept(r, text_of(command_line)) : NULL;
}

static void add_pair(sx_report *r, report_pair **list, int *n, const char *first,
		     const char *second)
{
	report_pair *grown = one_more(r, *list, *n, sizeof *grown);
	if (!grown) return;
	*list = grown;
	grown[*n].first = kept(r, text_of(first));
	grown[*n].second = kept(r, text_of(second));
	++*n;
}

void sx_report_input(sx_report *r, const char *path, const char *what)
{
	add_pair(r, &r->input, &r->n_input, path, what);
}

void sx_report_param(sx_report *r, const char *key, const char *value)
{
	for (int i = 0; i < r->n_param; i++)
		if (r->param[i].first && strcmp(r->param[i].first, key) == 0)
			broke(r, SX_EINTERNAL, "parameter %s is given twice", key);
	add_pair(r, &r->param, &r->n_param, key, value);
}

/* ---- tables ---- */

sx_report_table *sx_report_table_add(sx_report *r, const char *name, const char *group,
				     const char *caption)
{
	check_name(r, name);
	check_name(r, group);
	if (strcmp(group, "figures") == 0)
		broke(r, SX_EINTERNAL, "the group figures is for figures");
	for (int i = 0; i < r->n_block; i++) {
		const sx_report_table *t = r->block[i].table;
		if (t && (strcmp(t->name, name) == 0 || strcmp(t->group, group) == 0))
			broke(r, SX_EINTERNAL, "table %s or its group %s is there already", name,
			      group);
	}
	sx_report_table *t = kept(r, sx_calloc(1, sizeof *t));
	if (!t) return NULL;
	t->of = r;
	t->name = kept(r, text_of(name));
	t->group = kept(r, text_of(group));
	t->caption = kept(r, text_of(caption));
	report_block *b = t->name && t->group && t->caption ? add_block(r, BLOCK_TABLE) : NULL;
	if (!b) {
		table_free(t);
		return NULL;
	}
	b->table = t;
	return t;
}

/* A column's numbers are printed from these parts, so that no format string is a variable, and by
 * Python with the same text. */
static bool parse_format(report_col *c, const char *fmt)
{
	const char *s = fmt;
	if (*s++ != '%') return false;
	c->plus = *s == '+';
	if (c->plus) s++;
	if (*s++ != '.' || !isdigit((unsigned char)*s)) return false;
	char *end;
	long digits = strtol(s, &end, 10);
	if (digits > 17 || !*end || !strchr("feg", *end) || end[1]) return false;
	c->precision = (int)digits;
	c->style = *end;
	return true;
}

/* Does the table have, or will analysis.h5 have for it, a column called name + ending? */
static bool has_column(const sx_report_table *t, const char *name, const char *ending)
{
	static const char *const parts[] = {"", "_lo", "_hi"};
	bool found = false;
	char *asked = sx_format("%s%s", name, ending);
	for (int i = 0; asked && i < t->n_col; i++)
		for (int k = 0; k < (t->col[i].kind == COL_INTERVAL ? 3 : 1); k++) {
			char *there = sx_format("%s%s", t->col[i].name, parts[k]);
			found = found || (there && strcmp(there, asked) == 0);
			free(there);
		}
	free(asked);
	return found;
}

static void add_column(sx_report_table *t, col_kind kind, const char *name, const char *heading,
		       const char *unit, const char *long_name, const char *fmt)
{
	if (!t) return;
	sx_report *r = t->of;
	check_name(r, name);
	if (t->n_cell > 0 || strcmp(name, "row") == 0 || has_column(t, name, "") ||
	    (kind == COL_INTERVAL && (has_column(t, name, "_lo") || has_column(t, name, "_hi"))))
		broke(r, SX_EINTERNAL, "column %s of table %s comes too late or twice", name,
		      t->name);
	report_col c = {.kind = kind,
			.name = text_of(name),
			.heading = text_of(heading),
			.unit = text_of(*unit ? unit : "1"),
			.long_name = text_of(long_name),
			.fmt = text_of(fmt)};
	if (kind >= COL_REAL && !parse_format(&c, fmt))
		broke(r, SX_EINTERNAL, "\"%s\" is no format of one number", fmt);
	bool whole = c.name && c.heading && c.unit && c.long_name && c.fmt;
	report_col *list =
		kept(r, whole ? c.name : NULL) ? one_more(r, t->col, t->n_col, sizeof *list) : NULL;
	if (!list) {
		col_free(&c);
		return;
	}
	t->col = list;
	list[t->n_col++] = c;
}

void sx_report_col_text(sx_report_table *t, const char *name, const char *heading,
			const char *long_name)
{
	add_column(t, COL_TEXT, name, heading, "1", long_name, "%s");
}

void sx_report_col_int(sx_report_table *t, const char *name, const char *heading, const char *unit,
		       const char *long_name)
{
	add_column(t, COL_INT, name, heading, unit, long_name, "%d");
}

void sx_report_col_real(sx_report_table *t, const char *name, const char *heading, const char *unit,
			const char *long_name, const char *fmt)
{
	add_column(t, COL_REAL, name, heading, unit, long_name, fmt);
}

void sx_report_col_interval(sx_report_table *t, const char *name, const char *heading,
			    const char *unit, const char *long_name, const char *fmt)
{
	add_column(t, COL_INTERVAL, name, heading, unit, long_name, fmt);
}

static void add_cell(sx_report_table *t, col_kind kind, report_cell v)
{
	if (!t || t->of->st != SX_OK) {
		free(v.text);
		return;
	}
	const report_col *c = t->n_col ? &t->col[t->n_cell % t->n_col] : NULL;
	report_cell *list = c ? t->cell : NULL;
	if (!c || c->kind != kind)
		broke(t->of, SX_EINTERNAL, "cell %lld of table %s is not of its column's kind",
		      (long long)t->n_cell, t->name);
	else if ((t->n_cell & (t->n_cell - 1)) == 0) /* doubled at 1, 2, 4, .. */
		list = kept(t->of, sx_grow(t->cell, (size_t)(t->n_cell ? 2 * t->n_cell : 1),
					   sizeof *list));
	if (t->of->st != SX_OK) {
		free(v.text);
		return;
	}
	t->cell = list;
	list[t->n_cell++] = v;
}

void sx_report_cell_text(sx_report_table *t, const char *text)
{
	if (!t) return;
	char *own = kept(t->of, text_of(text));
	add_cell(t, COL_TEXT, (report_cell){.text = own});
}

void sx_report_cell_int(sx_report_table *t, int64_t value)
{
	add_cell(t, COL_INT, (report_cell){.whole = value});
}

void sx_report_cell_real(sx_report_table *t, double value)
{
	add_cell(t, COL_REAL, (report_cell){.value = value});
}

void sx_report_cell_interval(sx_report_table *t, double value, double lo, double hi)
{
	add_cell(t, COL_INTERVAL, (report_cell){.value = value, .lo = lo, .hi = hi});
}

int64_t sx_report_rows(const sx_report_table *t)
{
	return t->n_col ? t->n_cell / t->n_col : 0;
}

char *sx_report_heading(const report_col *c)
{
	return strcmp(c->unit, "1") == 0 ? sx_strdup(c->heading)
					 : sx_format("%s (%s)", c->heading, c->unit);
}

/* ---- figures ---- */

void sx_report_figure(sx_report *r, sx_fig *f, const char *name, const char *caption)
{
	check_name(r, name);
	for (int i = 0; i < r->n_block; i++)
		if (r->block[i].figure && strcmp(r->block[i].figure->name, name) == 0)
			broke(r, SX_EINTERNAL, "figure %s is there already", name);
	report_figure *own = f ? kept(r, sx_calloc(1, sizeof *own)) : NULL;
	if (!own) {
		if (!f) broke(r, SX_EINTERNAL, "there is no figure %s", name);
		sx_fig_free(f);
		return;
	}
	own->fig = f;
	own->name = kept(r, text_of(name));
	own->caption = kept(r, text_of(caption));
	report_block *b = own->name && own->caption ? add_block(r, BLOCK_FIGURE) : NULL;
	if (b)
		b->figure = own;
	else
		figure_free(own);
}

void sx_report_slug(char out[64], const char *text)
{
	int n = 0;
	for (; *text && n < SX_REPORT_NAME_MAX; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x80 && isalnum(c))
			out[n++] = (char)tolower(c);
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-') n--;
	out[n] = '\0';
}

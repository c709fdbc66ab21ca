/* analysis.h5: the numbers of all tables and figures. */
#include "analysis/report/internal.h"
#include "probes/runfile/runfile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the numbers of the report");
}

/* ---- tables ---- */

/* What one column of analysis.h5 takes of a cell. */
typedef enum { PART_TEXT, PART_WHOLE, PART_VALUE, PART_LO, PART_HI } part;

static double real_part(const report_cell *v, part p)
{
	return p == PART_LO ? v->lo : p == PART_HI ? v->hi : v->value;
}

/* Writes the part of column `col` as /GROUP/NAME. */
static sx_status write_part(sx_tables *out, sx_ctx *ctx, const sx_report_table *t, int col, part p,
			    const char *path, const char *name, const char *long_name)
{
	sx_status st = SX_OK;
	const report_col *c = &t->col[col];
	size_t rows = (size_t)sx_report_rows(t), room = rows ? rows : 1;
	double *real = sx_calloc(room, sizeof *real);
	int64_t *whole = sx_calloc(room, sizeof *whole);
	const char **text = sx_calloc(room, sizeof *text);
	if (!real || !whole || !text) {
		st = no_memory(ctx);
		goto out;
	}
	for (size_t i = 0; i < rows; i++) {
		const report_cell *v = &t->cell[i * (size_t)t->n_col + (size_t)col];
		real[i] = real_part(v, p);
		whole[i] = v->whole;
		text[i] = v->text;
	}
	if (p == PART_TEXT)
		st = sx_tables_column(out, path, name, text, c->unit, long_name);
	else if (p == PART_WHOLE)
		st = sx_tables_column(out, path, name, whole, c->unit, long_name);
	else
		st = sx_tables_column(out, path, name, real, c->unit, long_name);
out:
	free(real);
	free(whole);
	free(text);
	return st;
}

/* The ends of an interval, named as CF names what belongs to a variable. */
static sx_status write_ends(sx_tables *out, sx_ctx *ctx, const sx_report_table *t, int col,
			    const char *path, const char *where)
{
	sx_status st = SX_OK;
	const report_col *c = &t->col[col];
	char *lo = sx_format("%s_lo", c->name), *hi = sx_format("%s_hi", c->name);
	char *lower = sx_format("%s: lower end of the interval", c->long_name);
	char *upper = sx_format("%s: upper end of the interval", c->long_name);
	char *both = sx_format("%s_lo %s_hi", c->name, c->name);
	if (!lo || !hi || !lower || !upper || !both) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(write_part(out, ctx, t, col, PART_LO, path, lo, lower));
	SX_TRY(write_part(out, ctx, t, col, PART_HI, path, hi, upper));
	SX_TRY(sx_tables_attr_str(out, where, "ancillary_variables", both));
out:
	free(lo);
	free(hi);
	free(lower);
	free(upper);
	free(both);
	return st;
}

static sx_status write_column(sx_tables *out, sx_ctx *ctx, const sx_report_table *t, int col,
			      const char *path)
{
	sx_status st = SX_OK;
	const report_col *c = &t->col[col];
	char *where = sx_format("%s/%s", path, c->name), *heading = sx_report_heading(c);
	part p = c->kind == COL_TEXT ? PART_TEXT : c->kind == COL_INT ? PART_WHOLE : PART_VALUE;
	if (!where || !heading) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(write_part(out, ctx, t, col, p, path, c->name, c->long_name));
	SX_TRY(sx_tables_attr_str(out, where, "heading", heading));
	SX_TRY(sx_tables_attr_str(out, where, "format", c->fmt));
	if (c->kind == COL_INTERVAL) SX_TRY(write_ends(out, ctx, t, col, path, where));
out:
	free(where);
	free(heading);
	return st;
}

static sx_status write_table(sx_tables *out, sx_ctx *ctx, const sx_report_table *t)
{
	sx_status st = SX_OK;
	char *path = sx_format("/%s", t->group);
	const char **names = sx_calloc((size_t)t->n_col, sizeof *names);
	if (!path || !names) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(sx_tables_add(out, path, sx_report_rows(t)));
	SX_TRY(sx_tables_attr_str(out, path, "title", t->caption));
	for (int k = 0; k < t->n_col; k++) {
		names[k] = t->col[k].name;
		SX_TRY(write_column(out, ctx, t, k, path));
	}
	SX_TRY(sx_tables_attr_strs(out, path, "columns", names, t->n_col));
out:
	free(path);
	free(names);
	return st;
}

/* ---- figures ---- */

/* Words of a column, each once; the column holds their numbers. */
typedef struct {
	const char *name, *long_name;
	char **word;
	int n_word;
	int32_t *at; /* (rows) */
} category;

enum { PANEL, MARK, SERIES, N_CATEGORY };
enum { X, Y, LOW, HIGH, VALUE, N_REAL };

typedef struct {
	category cat[N_CATEGORY];
	double *real[N_REAL];
	int64_t *item;
	int64_t n, cap;
} figure_rows;

static bool put_word(category *c, int64_t row, const char *word)
{
	int k = c->n_word - 1; /* most often the last one again */
	while (k >= 0 && strcmp(c->word[k], word) != 0) k--;
	if (k < 0) {
		char **grown = sx_grow(c->word, (size_t)c->n_word + 1, sizeof *grown);
		if (grown) c->word = grown;
		if (!grown || !(grown[c->n_word] = sx_strdup(word))) return false;
		k = c->n_word++;
	}
	c->at[row] = k;
	return true;
}

static bool more_room(figure_rows *r)
{
	size_t cap = r->cap ? 2 * (size_t)r->cap : 256;
	for (int k = 0; k < N_CATEGORY; k++) {
		int32_t *grown = sx_grow(r->cat[k].at, cap, sizeof *grown);
		if (!grown) return false;
		r->cat[k].at = grown;
	}
	for (int k = 0; k < N_REAL; k++) {
		double *grown = sx_grow(r->real[k], cap, sizeof *grown);
		if (!grown) return false;
		r->real[k] = grown;
	}
	int64_t *grown = sx_grow(r->item, cap, sizeof *grown);
	if (!grown) return false;
	r->item = grown;
	r->cap = (int64_t)cap;
	return true;
}

static sx_status keep_row(void *self, const sx_fig_row *row)
{
	figure_rows *r = self;
	if (r->n == r->cap && !more_room(r)) return SX_ENOMEM;
	if (!put_word(&r->cat[PANEL], r->n, row->panel) ||
	    !put_word(&r->cat[MARK], r->n, row->mark) ||
	    !put_word(&r->cat[SERIES], r->n, row->series))
		return SX_ENOMEM;
	r->item[r->n] = row->item;
	const double real[N_REAL] = {row->x, row->y, row->low, row->high, row->value};
	for (int k = 0; k < N_REAL; k++) r->real[k][r->n] = real[k];
	r->n++;
	return SX_OK;
}

static void rows_free(figure_rows *r)
{
	for (int k = 0; k < N_CATEGORY; k++) {
		for (int i = 0; i < r->cat[k].n_word; i++) free(r->cat[k].word[i]);
		free(r->cat[k].word);
		free(r->cat[k].at);
	}
	for (int k = 0; k < N_REAL; k++) free(r->real[k]);
	free(r->item);
}

/* A label without Pango's markup, in the terms of matplotlib: "A$_{c}$". */
static char *plain_label(const char *markup)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int depth = 0; /* of sub- and superscripts: mathematics opens with the first */
	for (const char *s = markup; out && *s; s++) {
		const char *end = *s == '<' ? strchr(s, '>') : *s == '&' ? strchr(s, ';') : NULL;
		if (strncmp(s, "<sub>", 5) == 0 || strncmp(s, "<sup>", 5) == 0)
			fprintf(out, "%s%c{", depth++ ? "" : "$", s[3] == 'b' ? '_' : '^');
		else if (strncmp(s, "</su", 4) == 0)
			fputs(--depth ? "}" : "}$", out);
		else if (*s == '&' && end)
			fputc(s[1] == 'l' ? '<' : s[1] == 'g' ? '>' : s[1] == 'q' ? '"' : '&', out);
		else if (*s == '$')
			fputs("\\$", out);
		else if (!end)
			fputc(*s, out);
		if (end) s = end;
	}
	bool bad = !out || ferror(out) != 0;
	if ((out && fclose(out) != 0) || bad) {
		free(text);
		return NULL;
	}
	return text;
}

/* Names, labels and scales of the panels' axes. */
static sx_status write_axes(sx_tables *out, sx_ctx *ctx, const sx_fig *f, const char *path)
{
	sx_status st = SX_OK;
	sx_fig_panel_about p;
	int n = 0;
	while (sx_fig_about_panel(f, n, &p)) n++;
	size_t room = n ? (size_t)n : 1;
	const char **name = sx_calloc(room, sizeof *name);
	const char **x_scale = sx_calloc(room, sizeof *x_scale);
	const char **y_scale = sx_calloc(room, sizeof *y_scale);
	char **label = sx_calloc(2 * room, sizeof *label);
	bool whole = name && x_scale && y_scale && label;
	for (int i = 0; whole && i < n; i++) {
		sx_fig_about_panel(f, i, &p);
		name[i] = p.name;
		x_scale[i] = p.x_log ? "log" : "linear";
		y_scale[i] = p.y_log ? "log" : "linear";
		label[i] = plain_label(p.x_label);
		label[n + i] = plain_label(p.y_label);
		whole = label[i] && label[n + i];
	}
	if (!whole) {
		st = no_memory(ctx);
		goto out;
	}
	if (n == 0) goto out;
	const char *const *labels = (const char *const *)label;
	SX_TRY(sx_tables_attr_strs(out, path, "panels", name, n));
	SX_TRY(sx_tables_attr_strs(out, path, "x_labels", labels, n));
	SX_TRY(sx_tables_attr_strs(out, path, "y_labels", labels + n, n));
	SX_TRY(sx_tables_attr_strs(out, path, "x_scales", x_scale, n));
	SX_TRY(sx_tables_attr_strs(out, path, "y_scales", y_scale, n));
out:
	for (int i = 0; label && i < 2 * n; i++) free(label[i]);
	free(label);
	free(name);
	free(x_scale);
	free(y_scale);
	return st;
}

static sx_status write_category(sx_tables *out, sx_ctx *ctx, const category *c, const char *path)
{
	sx_status st = SX_OK;
	char *where = sx_format("%s/%s", path, c->name);
	if (!where) return no_memory(ctx);
	const char *const *words = (const char *const *)c->word;
	SX_TRY(sx_tables_column(out, path, c->name, c->at, "1", c->long_name));
	if (c->n_word) SX_TRY(sx_tables_attr_strs(out, where, "labels", words, c->n_word));
out:
	free(where);
	return st;
}

static sx_status write_figure(sx_tables *out, sx_ctx *ctx, const report_figure *f)
{
	static const char *const reals[N_REAL][2] = {{"x", "place along x"},
						     {"y", "place along y"},
						     {"low", "lower end of a band or bar"},
						     {"high", "upper end of a band or bar"},
						     {"value", "value of a cell of a heat map"}};
	sx_status st = SX_OK;
	figure_rows r = {.cat = {{.name = "panel", .long_name = "panel of the figure"},
				 {.name = "mark", .long_name = "how it is drawn"},
				 {.name = "series", .long_name = "what the key calls it"}}};
	char *path = sx_format("/figures/%s", f->name);
	if (!path || !more_room(&r)) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(sx_fig_rows(f->fig, ctx, keep_row, &r));
	SX_TRY(sx_tables_add(out, path, r.n));
	SX_TRY(sx_tables_attr_str(out, path, "title", f->caption));
	SX_TRY(write_axes(out, ctx, f->fig, path));
	for (int k = 0; k < N_CATEGORY; k++) SX_TRY(write_category(out, ctx, &r.cat[k], path));
	SX_TRY(sx_tables_column(out, path, "item", r.item, "1", "number of the line or cloud"));
	for (int k = 0; k < N_REAL; k++)
		SX_TRY(sx_tables_column(out, path, reals[k][0], r.real[k], "1", reals[k][1]));
out:
	rows_free(&r);
	free(path);
	return st;
}

/* ---- the whole ---- */

static sx_status write_inputs(sx_tables *out, sx_ctx *ctx, const sx_report *r)
{
	sx_status st = SX_OK;
	size_t n = r->n_input ? (size_t)r->n_input : 1;
	const char **column[3];
	static const char *const names[] = {"inputs", "inputs_xxh128", "inputs_what"};
	for (int k = 0; k < 3; k++) column[k] = sx_calloc(n, sizeof *column[k]);
	if (!column[0] || !column[1] || !column[2]) {
		st = no_memory(ctx);
		goto out;
	}
	for (int i = 0; i < r->n_input; i++) {
		column[0][i] = r->input[i].first;
		column[1][i] = r->input[i].hash;
		column[2][i] = r->input[i].second;
	}
	for (int k = 0; k < 3 && r->n_input; k++)
		SX_TRY(sx_tables_attr_strs(out, "/", names[k], column[k], r->n_input));
out:
	for (int k = 0; k < 3; k++) free(column[k]);
	return st;
}

static sx_status write_root(sx_tables *out, sx_ctx *ctx, const sx_report *r)
{
	sx_status st = SX_OK;
	json_t *params = json_object();
	for (int i = 0; i < r->n_param; i++)
		json_object_set_new(params, r->param[i].first, json_string(r->param[i].second));
	char *text = json_dumps(params, JSON_SORT_KEYS | JSON_COMPACT);
	if (!text) {
		st = no_memory(ctx);
		goto out;
	}
	SX_TRY(sx_tables_attr_str(out, "/", "title", r->title));
	if (r->git) SX_TRY(sx_tables_attr_str(out, "/", "git", r->git));
	if (r->command_line) SX_TRY(sx_tables_attr_str(out, "/", "command_line", r->command_line));
	SX_TRY(write_inputs(out, ctx, r));
	SX_TRY(sx_tables_attr_str(out, "/", "parameters", text));
out:
	json_decref(params);
	free(text);
	return st;
}

sx_status sx_report_write_results(sx_report *r, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_tables *out = NULL;
	SX_TRY(sx_tables_create(&out, ctx, path));
	SX_TRY(write_root(out, ctx, r));
	for (int i = 0; i < r->n_block; i++) {
		if (r->block[i].table) SX_TRY(write_table(out, ctx, r->block[i].table));
		if (r->block[i].figure) SX_TRY(write_figure(out, ctx, r->block[i].figure));
	}
	SX_TRY(sx_tables_close(&out));
out:
	sx_tables_free(out);
	return st;
}

/* Tables as text: in columns for the notebook, as CSV and as LaTeX. */
#include "analysis/report/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one number, one cell ---- */

void sx_report_put_number(FILE *out, const report_col *c, double v)
{
	if (isnan(v))
		fputc('-', out);
	else if (c->style == 'e')
		fprintf(out, c->plus ? "%+.*e" : "%.*e", c->precision, v);
	else if (c->style == 'g')
		fprintf(out, c->plus ? "%+.*g" : "%.*g", c->precision, v);
	else
		fprintf(out, c->plus ? "%+.*f" : "%.*f", c->precision, v);
}

static void put_interval(FILE *out, const report_col *c, const report_cell *v)
{
	fputc('[', out);
	sx_report_put_number(out, c, v->lo);
	fputs(", ", out);
	sx_report_put_number(out, c, v->hi);
	fputc(']', out);
}

static bool has_interval(const report_cell *v)
{
	return !isnan(v->lo) || !isnan(v->hi);
}

char *sx_report_shown(const report_col *c, const report_cell *v)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out) return NULL;
	if (c->kind == COL_TEXT)
		fputs(v->text, out);
	else if (c->kind == COL_INT && v->whole == -1)
		fputc('-', out);
	else if (c->kind == COL_INT)
		fprintf(out, "%lld", (long long)v->whole);
	else
		sx_report_put_number(out, c, v->value);
	if (c->kind == COL_INTERVAL && has_interval(v)) {
		fputc(' ', out);
		put_interval(out, c, v);
	}
	bool bad = ferror(out) != 0;
	if (fclose(out) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- in columns ---- */

/* Characters, as Python's len counts them. */
static int length_of(const char *s)
{
	int n = 0;
	for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

typedef struct {
	char **text; /* (rows + 2) heading, rule, cells */
	int width;
} shown_col;

static bool show_column(shown_col *s, const sx_report_table *t, int col)
{
	const report_col *c = &t->col[col];
	int64_t rows = sx_report_rows(t);
	s->text = sx_calloc((size_t)rows + 2, sizeof *s->text);
	if (!s->text) return false;
	s->text[0] = sx_report_heading(c);
	for (int64_t i = 0; i < rows; i++)
		s->text[i + 2] = sx_report_shown(c, &t->cell[i * t->n_col + col]);
	for (int64_t i = 0; i < rows + 2; i++) {
		if (i == 1) continue;
		if (!s->text[i]) return false;
		int n = length_of(s->text[i]);
		if (n > s->width) s->width = n;
	}
	s->text[1] = sx_calloc((size_t)s->width + 1, 1);
	if (s->text[1]) memset(s->text[1], '-', (size_t)s->width);
	return s->text[1] != NULL;
}

static void put_line(FILE *out, const sx_report_table *t, const shown_col *s, int64_t line)
{
	int pending = 0; /* blanks, written only where something follows */
	for (int k = 0; k < t->n_col; k++) {
		const char *text = s[k].text[line];
		int pad = s[k].width - length_of(text);
		bool left = t->col[k].kind == COL_TEXT;
		if (!left) pending += pad;
		if (*text) {
			fprintf(out, "%*s%s", pending, "", text);
			pending = 0;
		}
		pending += (left ? pad : 0) + 2;
	}
	fputc('\n', out);
}

void sx_report_put_table(FILE *out, const sx_report_table *t)
{
	int64_t rows = sx_report_rows(t);
	shown_col *s = sx_calloc((size_t)t->n_col, sizeof *s);
	bool whole = s != NULL;
	for (int k = 0; whole && k < t->n_col; k++) whole = show_column(&s[k], t, k);
	for (int64_t i = 0; whole && i < rows + 2; i++) put_line(out, t, s, i);
	for (int k = 0; s && k < t->n_col; k++) {
		for (int64_t i = 0; s[k].text && i < rows + 2; i++) free(s[k].text[i]);
		free(s[k].text);
	}
	free(s);
}

/* ---- CSV ---- */

static void put_field(FILE *out, const char *s)
{
	if (!strpbrk(s, ",\"\n\r") && *s != ' ') {
		fputs(s, out);
		return;
	}
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"') fputc('"', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

/* All digits; an empty field is missing. */
static void put_exact(FILE *out, double v)
{
	if (!isnan(v)) fprintf(out, "%.17g", v);
}

void sx_report_put_csv(FILE *out, const sx_report_table *t)
{
	for (int k = 0; k < t->n_col; k++) {
		const char *name = t->col[k].name;
		fprintf(out, "%s%s", k ? "," : "", name);
		if (t->col[k].kind == COL_INTERVAL) fprintf(out, ",%s_lo,%s_hi", name, name);
	}
	fputc('\n', out);
	for (int64_t i = 0; i < t->n_cell; i++) {
		const report_cell *v = &t->cell[i];
		int k = (int)(i % t->n_col);
		if (k) fputc(',', out);
		if (t->col[k].kind == COL_TEXT)
			put_field(out, v->text);
		else if (t->col[k].kind != COL_INT)
			put_exact(out, v->value);
		else if (v->whole != -1)
			fprintf(out, "%lld", (long long)v->whole);
		if (t->col[k].kind == COL_INTERVAL) {
			fputc(',', out);
			put_exact(out, v->lo);
			fputc(',', out);
			put_exact(out, v->hi);
		}
		if (k == t->n_col - 1) fputc('\n', out);
	}
}

/* ---- LaTeX ---- */

/* How siunitx has to align a column: digits before and after the point, a sign, an exponent. */
static void put_number_column(FILE *out, const sx_report_table *t, int col)
{
	int before = 1, after = 0;
	bool sign = false, exponent = false;
	for (int64_t i = col; i < t->n_cell; i += t->n_col) {
		report_cell v = t->cell[i];
		v.lo = v.hi = (double)NAN;
		char *text = sx_report_shown(&t->col[col], &v), *s = text;
		if (!s) return; /* the stream's own end reports it */
		sign = sign || ((*s == '-' || *s == '+') && s[1]);
		s += strspn(s, "+-");
		int whole = (int)strspn(s, "0123456789");
		s += whole;
		int part = *s == '.' ? (int)strspn(s + 1, "0123456789") : 0;
		exponent = exponent || strchr(s, 'e');
		if (whole > before) before = whole;
		if (part > after) after = part;
		free(text);
	}
	if (exponent)
		fputs("S", out);
	else
		fprintf(out, "S[table-format=%s%d.%d]", sign ? "+" : "", before, after);
}

static void put_tex_number(FILE *out, const report_col *c, double v)
{
	if (isnan(v))
		fputs("{--}", out);
	else if (isinf(v))
		fputs(v < 0 ? "{$-\\infty$}" : "{$\\infty$}", out);
	else
		sx_report_put_number(out, c, v);
}

/* Within a formula. */
static void put_tex_end(FILE *out, const report_col *c, double v)
{
	if (isinf(v))
		fputs(v < 0 ? "-\\infty" : "\\infty", out);
	else
		sx_report_put_number(out, c, v);
}

static void put_tex_interval(FILE *out, const report_col *c, const report_cell *v)
{
	if (!has_interval(v)) return;
	/* braces: a bracket first in a row would be \\'s argument */
	fputs("{$[", out);
	put_tex_end(out, c, v->lo);
	fputs(",\\, ", out);
	put_tex_end(out, c, v->hi);
	fputs("]$}", out);
}

static void put_tex_head(FILE *out, const sx_report_table *t)
{
	fputs("% ", out);
	sx_report_put_text(out, MARKUP_PLAIN, t->caption);
	fputs("\n% \\usepackage{booktabs,siunitx}\n\\begin{tabular}{", out);
	for (int k = 0; k < t->n_col; k++) {
		if (k) fputc(' ', out);
		if (t->col[k].kind == COL_TEXT)
			fputc('l', out);
		else
			put_number_column(out, t, k);
		if (t->col[k].kind == COL_INTERVAL) fputs(" @{\\,} l", out);
	}
	fputs("}\n\\toprule\n", out);
	for (int k = 0; k < t->n_col; k++) {
		col_kind kind = t->col[k].kind;
		char *heading = sx_report_heading(&t->col[k]);
		if (k) fputs(" & ", out);
		fputs(kind == COL_INTERVAL ? "\\multicolumn{2}{c}{"
		      : kind == COL_TEXT   ? ""
					   : "{",
		      out);
		sx_report_put_literal(out, MARKUP_TEX, heading ? heading : "");
		if (kind != COL_TEXT) fputc('}', out);
		free(heading);
	}
	fputs(" \\\\\n\\midrule\n", out);
}

void sx_report_put_tex(FILE *out, const sx_report_table *t)
{
	put_tex_head(out, t);
	for (int64_t i = 0; i < t->n_cell; i++) {
		const report_cell *v = &t->cell[i];
		int k = (int)(i % t->n_col);
		const report_col *c = &t->col[k];
		if (k) fputs(" & ", out);
		if (c->kind == COL_TEXT)
			sx_report_put_literal(out, MARKUP_TEX, v->text);
		else if (c->kind == COL_INT && v->whole == -1)
			fputs("{--}", out);
		else if (c->kind == COL_INT)
			fprintf(out, "%lld", (long long)v->whole);
		else
			put_tex_number(out, c, v->value);
		if (c->kind == COL_INTERVAL) {
			fputs(" & ", out);
			put_tex_interval(out, c, v);
		}
		if (k == t->n_col - 1) fputs(" \\\\\n", out);
	}
	fputs("\\bottomrule\n\\end{tabular}\n", out);
}

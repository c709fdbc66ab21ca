/* A CSV of numbers below a header line. */
#include "analysis/gallery/inputs.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sx_csv_free(sx_csv *c)
{
	if (!c) return;
	for (int64_t i = 0; c->name && i < c->n_col; i++) free(c->name[i]);
	free(c->name);
	free(c->value);
}

/* Takes the field at *p out of its line, in place: quotes and space around it go. *p moves behind
 * its comma; false at the end of the line. */
static bool next_field(char **p, char **field)
{
	char *s = *p, *to;
	if (!s) return false;
	while (*s == ' ' || *s == '\t') s++;
	*field = to = s;
	if (*s == '"') {
		for (s++; *s && !(*s == '"' && s[1] != '"'); s++) {
			if (*s == '"') s++;
			*to++ = *s;
		}
		while (*s && *s != ',') s++;
	} else {
		while (*s && *s != ',') *to++ = *s++;
		while (to > *field && isspace((unsigned char)to[-1])) to--;
	}
	*p = *s == ',' ? s + 1 : NULL;
	*to = '\0';
	return true;
}

/* Ends a line at its newline; *rest is the next one, NULL behind the last. */
static char *take_line(char **rest)
{
	char *line = *rest, *end = line ? strchr(line, '\n') : NULL;
	if (!line) return NULL;
	*rest = end && end[1] ? end + 1 : NULL;
	if (end) *end = '\0';
	size_t n = strlen(line);
	if (n > 0 && line[n - 1] == '\r') line[n - 1] = '\0';
	return line;
}

static bool is_blank(const char *s)
{
	while (isspace((unsigned char)*s)) s++;
	return *s == '\0';
}

static bool is_number(const char *s)
{
	char *end;
	strtod(s, &end);
	return end != s && *end == '\0';
}

static sx_status read_header(sx_csv *c, sx_ctx *ctx, const char *path, char *line)
{
	int64_t n = 1;
	for (const char *s = line; *s; s++) n += *s == ',';
	c->name = sx_calloc((size_t)n, sizeof *c->name);
	if (!c->name) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", path);
	for (char *field; next_field(&line, &field); c->n_col++)
		if (!(c->name[c->n_col] = sx_strdup(field)))
			return sx_fail(ctx, SX_ENOMEM, "no memory for %s", path);
	int64_t numbers = 0;
	for (int64_t i = 0; i < c->n_col; i++) numbers += is_number(c->name[i]);
	if (numbers == c->n_col)
		return sx_fail(ctx, SX_EDATA,
			       "%s: its first line holds numbers and must name the columns: put a "
			       "line of names above it",
			       path);
	if (c->n_col < 2)
		return sx_fail(ctx, SX_EDATA,
			       "%s: the header names one column; x and at least one series are "
			       "needed, with commas between",
			       path);
	return SX_OK;
}

static sx_status read_row(sx_csv *c, sx_ctx *ctx, const char *path, char *line, int64_t number)
{
	double *row = c->value + c->n_row * c->n_col;
	char *field;
	int64_t k = 0;
	for (; next_field(&line, &field); k++) {
		if (k >= c->n_col) continue;
		char *end;
		row[k] = field[0] ? strtod(field, &end) : (double)NAN;
		if (field[0] && (*end || end == field))
			return sx_fail(ctx, SX_EDATA,
				       "%s line %lld: \"%s\" in column %s is no number", path,
				       (long long)number, field, c->name[k]);
	}
	if (k != c->n_col)
		return sx_fail(ctx, SX_EDATA, "%s line %lld has %s than the header's %lld fields",
			       path, (long long)number, k < c->n_col ? "fewer" : "more",
			       (long long)c->n_col);
	c->n_row++;
	return SX_OK;
}

/* From rows to columns. */
static sx_status turn(sx_csv *c, sx_ctx *ctx, const char *path)
{
	double *columns = sx_calloc((size_t)(c->n_row * c->n_col), sizeof *columns);
	if (!columns) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", path);
	for (int64_t i = 0; i < c->n_row; i++)
		for (int64_t k = 0; k < c->n_col; k++)
			columns[k * c->n_row + i] = c->value[i * c->n_col + k];
	free(c->value);
	c->value = columns;
	return SX_OK;
}

sx_status sx_csv_read(sx_csv *out, sx_ctx *ctx, const char *path)
{
	sx_csv c = {0};
	char *text = NULL;
	size_t size;
	sx_status st = sx_read_file(ctx, path, &text, &size);
	if (st != SX_OK) return st;
	char *rest = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? text + 3 : text, *line;
	int64_t lines = 1, number = 1;
	for (const char *s = text; *s; s++) lines += *s == '\n';
	line = take_line(&rest);
	if (!line || is_blank(line))
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: the first line must name the columns", path));
	SX_TRY(read_header(&c, ctx, path, line));
	c.value = sx_calloc((size_t)(lines * c.n_col), sizeof *c.value);
	if (!c.value) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for %s", path));
	while ((line = take_line(&rest))) {
		number++;
		if (!is_blank(line)) SX_TRY(read_row(&c, ctx, path, line, number));
	}
	if (c.n_row == 0) SX_TRY(sx_fail(ctx, SX_EDATA, "%s has a header but no rows", path));
	SX_TRY(turn(&c, ctx, path));
	*out = c;
	c = (sx_csv){0};
out:
	sx_csv_free(&c);
	free(text);
	return st;
}

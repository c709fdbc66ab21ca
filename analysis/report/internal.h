/* What the files of the report share: the document as data, and its writers. */
#ifndef SX_ANALYSIS_REPORT_INTERNAL_H
#define SX_ANALYSIS_REPORT_INTERNAL_H

#include <jansson.h>
#include <stdio.h>

#include "analysis/report/report.h"

enum { SX_REPORT_NAME_MAX = 48, SX_HASH_TEXT = 33 /* xxh128 as 32 digits */ };

/* ---- the document ---- */

typedef enum { COL_TEXT, COL_INT, COL_REAL, COL_INTERVAL } col_kind;

typedef struct {
	col_kind kind;
	char *name, *heading, *unit, *long_name;
	char *fmt;     /* as printf and Python take it                           */
	char style;    /* f, e or g                                              */
	int precision; /* digits                                                 */
	bool plus;     /* positive numbers with a sign                           */
} report_col;

typedef struct {
	char *text;
	int64_t whole;
	double value, lo, hi;
} report_cell;

struct sx_report_table {
	sx_report *of;
	char *name, *group, *caption;
	report_col *col;
	int n_col;
	report_cell *cell; /* (rows, n_col) */
	int64_t n_cell;
};

typedef struct {
	sx_fig *fig;
	char *name, *caption;
	char *svg, *png; /* contents of the files, set by the save */
	size_t svg_size, png_size;
} report_figure;

typedef enum { BLOCK_SECTION, BLOCK_TEXT, BLOCK_TABLE, BLOCK_FIGURE } block_kind;

typedef struct {
	block_kind kind;
	char *text;             /* of a section or a paragraph           */
	sx_report_table *table; /* owned                                 */
	report_figure *figure;  /* owned                                 */
	int number;             /* among those of its kind, from 1       */
} report_block;

typedef struct {
	char *first, *second;    /* path and what; key and value */
	char hash[SX_HASH_TEXT]; /* of an input, set by the save */
	size_t bytes;
} report_pair;

struct sx_report {
	char *title, *git, *command_line;
	char **summary;
	int n_summary;
	report_block *block;
	int n_block;
	report_pair *input, *param;
	int n_input, n_param;
	int reload;   /* seconds, 0 = never */
	sx_status st; /* the first failure while building */
	char why[256];
};

/* Headings with their unit; the caller's, NULL when memory is out. */
char *sx_report_heading(const report_col *c);
int64_t sx_report_rows(const sx_report_table *t);
/* Names within a page: letters, digits and single hyphens; at most 48 bytes. */
void sx_report_slug(char out[64], const char *text);

/* ---- numbers as text (tables.c) ---- */

/* Prints one number of a column: as printf would with its fmt, a dash where it is missing. */
void sx_report_put_number(FILE *out, const report_col *c, double v);
/* A cell as the notebook shows it; the caller's, NULL when memory is out. */
char *sx_report_shown(const report_col *c, const report_cell *v);
/* The table in columns, as the notebook's table() prints it. */
void sx_report_put_table(FILE *out, const sx_report_table *t);
void sx_report_put_csv(FILE *out, const sx_report_table *t);
void sx_report_put_tex(FILE *out, const sx_report_table *t);

/* ---- text (markup.c): `code` and *emphasis* in the terms of a format ---- */

typedef enum { MARKUP_HTML, MARKUP_MARKDOWN, MARKUP_TEX, MARKUP_PLAIN } markup_kind;
void sx_report_put_text(FILE *out, markup_kind kind, const char *text);
/* The same without any markup: every character stands for itself. */
void sx_report_put_literal(FILE *out, markup_kind kind, const char *text);

/* ---- the files ---- */

void sx_report_put_html(FILE *out, const sx_report *r);
/* NULL when memory is out. */
json_t *sx_report_notebook(const sx_report *r);
sx_status sx_report_write_results(sx_report *r, sx_ctx *ctx, const char *path) SX_NODISCARD;

#endif

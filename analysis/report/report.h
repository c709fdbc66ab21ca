/* A report: sections, paragraphs, tables and figures, written once and saved in every form.
 *
 *     sx_report_new -> summary, inputs, parameters, then in the order of the page sections, texts,
 *     tables and figures -> sx_report_save -> sx_report_free
 *
 * The folder: report.ipynb (nbformat 4.5; its outputs are what running it gives), report.html
 * (self-contained), figures/NAME.{pdf,svg,png}, tables/NAME.{csv,tex}, analysis.h5 (the numbers of
 * all tables and figures), manifest.json (inputs, parameters, outputs, with fingerprints). It carries
 * no times: the same report gives the same bytes.
 *
 * Text is UTF-8, plain but for `code` and *emphasis*. Names of tables, figures and columns are
 * [a-z][a-z0-9_]*, of at most 48 characters. Strings are copied. Building cannot fail visibly: the
 * first failure is kept and reported by sx_report_save. */
#ifndef SX_ANALYSIS_REPORT_REPORT_H
#define SX_ANALYSIS_REPORT_REPORT_H

#include "analysis/figure/figure.h"
#include "engine/base.h"

typedef struct sx_report sx_report;
typedef struct sx_report_table sx_report_table;

/* SX_ENOMEM. */
sx_status sx_report_new(sx_report **out, sx_ctx *ctx, const char *title) SX_NODISCARD;
void sx_report_free(sx_report *r);

/* A paragraph of the findings, which stand before everything else. */
void sx_report_summary(sx_report *r, const char *paragraph);
void sx_report_section(sx_report *r, const char *heading);
void sx_report_text(sx_report *r, const char *paragraph);

/* The page asks the browser to load it again every so many seconds: of a report that is still being
 * added to. */
void sx_report_reload(sx_report *r, int seconds);

/* Where it comes from. git: the commit the program was built from; either may be NULL. */
void sx_report_origin(sx_report *r, const char *git, const char *command_line);
/* A file that was read: fingerprinted when the report is saved, named as given here. */
void sx_report_input(sx_report *r, const char *path, const char *what);
void sx_report_param(sx_report *r, const char *key, const char *value);

/* ---- tables ----
 * tables/NAME.* and the group /GROUP of analysis.h5 (GROUP one name, as a table's). First the columns,
 * then the cells, row by row in the order of the columns. */
sx_report_table *sx_report_table_add(sx_report *r, const char *name, const char *group,
				     const char *caption);
/* name: in analysis.h5 and the CSV; heading: for people; unit: UDUNITS style, "1" or "" = none;
 * fmt: how one number is shown, "%.3f", "%+.2f", "%.4g", "%.1e". */
void sx_report_col_text(sx_report_table *t, const char *name, const char *heading,
			const char *long_name);
void sx_report_col_int(sx_report_table *t, const char *name, const char *heading, const char *unit,
		       const char *long_name);
void sx_report_col_real(sx_report_table *t, const char *name, const char *heading, const char *unit,
			const char *long_name, const char *fmt);
/* A value with its interval: columns NAME, NAME_lo, NAME_hi; shown as "0.52 [0.48, 0.56]". */
void sx_report_col_interval(sx_report_table *t, const char *name, const char *heading,
			    const char *unit, const char *long_name, const char *fmt);
/* What is missing is NaN, -1 in whole numbers, and shown as a dash. */
void sx_report_cell_text(sx_report_table *t, const char *text);
void sx_report_cell_int(sx_report_table *t, int64_t value);
void sx_report_cell_real(sx_report_table *t, double value);
void sx_report_cell_interval(sx_report_table *t, double value, double lo, double hi);

/* Takes the figure over, whatever happens; its alternative text is sx_fig_alt. Its numbers go to
 * /figures/NAME of analysis.h5. */
void sx_report_figure(sx_report *r, sx_fig *f, const char *name, const char *caption);

/* Writes a folder beside and renames it. What is there already is replaced if it is a report just as
 * it was saved; otherwise (another folder, a changed or added file) SX_ECREATE. On failure nothing
 * is left behind, and what was there stays. SX_ENOMEM, SX_EINTERNAL (used wrongly), SX_ENOINPUT,
 * SX_ECREATE, SX_EIO. */
sx_status sx_report_save(sx_report *r, sx_ctx *ctx, const char *folder) SX_NODISCARD;

/* Whether a folder holds a report's manifest. */
bool sx_report_is_in(const char *folder);
/* Compares the files of a saved report with the fingerprints of its manifest; calls `fault` for each
 * that is missing or another. *files: how many there should be. SX_EIO, SX_ENOMEM. */
sx_status sx_report_verify(sx_ctx *ctx, const char *folder, int64_t *files,
			   void (*fault)(void *self, const char *path, const char *what),
			   void *self) SX_NODISCARD;

#endif

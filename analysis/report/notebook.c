/* The report as a notebook, nbformat 4.5. Every output is what running its cell gives. */
#include "analysis/report/internal.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The cell that all others use. tests/analysis/check_notebook.sh runs it. */
/* clang-format off */
static const char *const functions[] = {
	"\"\"\"What the other cells use: the numbers of this report, from analysis.h5 beside it.\"\"\"",
	"import h5py",
	"import numpy as np",
	"from IPython.display import Image",
	"",
	"",
	"def numbers(name):",
	"    \"\"\"The columns of a table (\"loss\") or of a figure (\"figures/loss\") as numpy arrays.\"\"\"",
	"    columns = {}",
	"    with h5py.File(RESULTS, \"r\") as f:",
	"        for key, d in f[name].items():",
	"            values = d.asstr()[()] if h5py.check_string_dtype(d.dtype) else d[()]",
	"            columns[key] = d.attrs[\"labels\"][values] if \"labels\" in d.attrs else values",
	"    return columns",
	"",
	"",
	"def table(name):",
	"    \"\"\"Prints a table of analysis.h5 as report.html shows it; a dash is a missing value.\"\"\"",
	"    def shown(d, form):",
	"        if h5py.check_string_dtype(d.dtype):",
	"            return list(d.asstr()[()])",
	"        whole = d.dtype.kind == \"i\"",
	"        return [\"-\" if v != v or (whole and v == -1) else form % v for v in d[()]]",
	"",
	"    columns = []",
	"    with h5py.File(RESULTS, \"r\") as f:",
	"        for key in f[name].attrs[\"columns\"]:",
	"            d = f[name][key]",
	"            form = d.attrs[\"format\"]",
	"            cells = shown(d, form)",
	"            if \"ancillary_variables\" in d.attrs:  # the ends of an interval",
	"                ends = zip(*(shown(f[name][k], form) for k in d.attrs[\"ancillary_variables\"].split()))",
	"                cells = [c if e == (\"-\", \"-\") else \"%s [%s, %s]\" % (c, *e) for c, e in zip(cells, ends)]",
	"            cells.insert(0, d.attrs[\"heading\"])",
	"            width = max(map(len, cells))",
	"            cells.insert(1, \"-\" * width)",
	"            text = h5py.check_string_dtype(d.dtype)",
	"            columns.append([c.ljust(width) if text else c.rjust(width) for c in cells])",
	"    print(\"\\n\".join(\"  \".join(row).rstrip() for row in zip(*columns)))",
	"",
	"",
	"def redraw(name):",
	"    \"\"\"Draws a figure again with matplotlib, plainly: a start for a figure of your own.\"\"\"",
	"    import matplotlib.pyplot as plt",
	"",
	"    n = numbers(\"figures/\" + name)",
	"    with h5py.File(RESULTS, \"r\") as f:",
	"        about = dict(f[\"figures/\" + name].attrs)",
	"    across = min(len(about[\"panels\"]), 4)",
	"    down = -(-len(about[\"panels\"]) // across)",
	"    fig, axes = plt.subplots(down, across, figsize=(4.5 * across, 3.4 * down), squeeze=False)",
	"    colours = {s: \"C%d\" % i for i, s in enumerate(dict.fromkeys(n[\"series\"]))}",
	"    for ax in axes.flat[len(about[\"panels\"]):]:",
	"        ax.axis(\"off\")",
	"    for k, ax in enumerate(axes.flat[:len(about[\"panels\"])]):",
	"        ax.set(title=about[\"panels\"][k], xlabel=about[\"x_labels\"][k], ylabel=about[\"y_labels\"][k],",
	"               xscale=about[\"x_scales\"][k], yscale=about[\"y_scales\"][k])",
	"        named = set()",
	"        for item in np.unique(n[\"item\"][n[\"panel\"] == about[\"panels\"][k]]):",
	"            here = n[\"item\"] == item",
	"            x, y, low, high, value = (n[c][here] for c in (\"x\", \"y\", \"low\", \"high\", \"value\"))",
	"            mark, series = n[\"mark\"][here][0], n[\"series\"][here][0]",
	"            look = {\"color\": colours[series], \"label\": None if mark == \"raw\" or series in named else series}",
	"            if mark == \"heat\":",
	"                z = np.full((int(y.max()) + 1, int(x.max()) + 1), np.nan)",
	"                z[y.astype(int), x.astype(int)] = value",
	"                ax.imshow(z)",
	"                continue",
	"            if mark == \"vline\":",
	"                ax.axvline(x[0], color=\"0.5\", lw=0.8)",
	"                continue",
	"            if mark in (\"note\", \"label\"):",
	"                if np.isfinite(y[0]):",
	"                    ax.annotate(series, (x[0], y[0]), fontsize=\"small\")",
	"                continue",
	"            if mark == \"band\":",
	"                ax.fill_between(x, low, high, color=colours[series], alpha=0.2)",
	"                continue",
	"            if np.isfinite(low).any():  # bars of intervals",
	"                along = ax.hlines if np.isnan(x).all() else ax.vlines",
	"                along(y if np.isnan(x).all() else x, low, high, color=colours[series], lw=0.6)",
	"                continue",
	"            if mark in (\"points\", \"dots\"):",
	"                ax.plot(x, y, \"o\", ms=3, **look)",
	"            else:",
	"                ax.plot(x, y, alpha=0.3 if mark == \"raw\" else 1, **look)",
	"            if mark != \"raw\":",
	"                named.add(series)",
	"        if 0 < len(named) <= 10:",
	"            ax.legend(fontsize=\"small\")",
	"    fig.tight_layout()",
	NULL,
};
/* clang-format on */

/* Pixels on the screen per printed point: 8 pt become as large as the text around. */
static int screen_width(const sx_fig *f)
{
	double px = 1.6 * sx_fig_width(f);
	return (int)(px < 960 ? px : 960);
}

/* ---- text to JSON ---- */

/* A text as nbformat keeps it, a list of lines with their ends; takes the text. */
static json_t *lines_of(char *text)
{
	json_t *list = text ? json_array() : NULL;
	for (const char *s = text; list && *s;) {
		const char *end = strchr(s, '\n');
		size_t n = end ? (size_t)(end - s) + 1 : strlen(s);
		json_array_append_new(list, json_stringn(s, n));
		s += n;
	}
	free(text);
	return list;
}

/* What `put` writes; the caller's, NULL when memory is out. */
typedef struct {
	FILE *out;
	char *text;
	size_t size;
} sheet;

static FILE *sheet_open(sheet *s)
{
	*s = (sheet){0};
	return s->out = open_memstream(&s->text, &s->size);
}

static char *sheet_text(sheet *s)
{
	bool bad = !s->out || ferror(s->out) != 0;
	if (s->out && fclose(s->out) != 0) bad = true;
	if (!bad) return s->text;
	free(s->text);
	return NULL;
}

/* ---- cells ---- */

typedef struct {
	json_t *cells;
	json_t *ids; /* those taken */
	int run;     /* code cells so far */
	bool failed;
} notebook;

static void unique_id(notebook *nb, char out[80], const char *id)
{
	snprintf(out, 80, "%s", id);
	for (int k = 2; json_object_get(nb->ids, out); k++) snprintf(out, 80, "%.50s-%d", id, k);
	json_object_set_new(nb->ids, out, json_true());
}

static void add_cell(notebook *nb, json_t *cell)
{
	if (!cell || json_array_append_new(nb->cells, cell) != 0) nb->failed = true;
}

static void add_markdown(notebook *nb, const char *id, char *text)
{
	char own[80];
	unique_id(nb, own, id);
	add_cell(nb, json_pack("{s:s, s:s, s:{}, s:o}", "cell_type", "markdown", "id", own,
			       "metadata", "source", lines_of(text)));
}

/* metadata and outputs are taken. */
static void add_code(notebook *nb, const char *id, char *source, json_t *metadata, json_t *outputs)
{
	char own[80];
	unique_id(nb, own, id);
	add_cell(nb, json_pack("{s:s, s:i, s:s, s:o, s:o, s:o}", "cell_type", "code",
			       "execution_count", ++nb->run, "id", own, "metadata", metadata,
			       "outputs", outputs, "source", lines_of(source)));
}

static json_t *hidden(void)
{
	return json_pack("{s:{s:b}, s:[s]}", "jupyter", "source_hidden", 1, "tags", "hide-input");
}

/* ---- the parts ---- */

static void add_title(notebook *nb, const sx_report *r)
{
	sheet s;
	FILE *out = sheet_open(&s);
	if (out) {
		fputs("# ", out);
		sx_report_put_literal(out, MARKUP_MARKDOWN, r->title);
		for (int i = 0; i < r->n_summary; i++) {
			fputs("\n\n", out);
			sx_report_put_text(out, MARKUP_MARKDOWN, r->summary[i]);
		}
	}
	add_markdown(nb, "title", sheet_text(&s));
}

static void put_row(FILE *out, const char *what, const char *value, const char *more)
{
	fputs("\n| ", out);
	sx_report_put_literal(out, MARKUP_MARKDOWN, what);
	fputs(" | ", out);
	sx_report_put_literal(out, MARKUP_MARKDOWN, value);
	fputs(more, out);
	fputs(" |", out);
}

static void add_provenance(notebook *nb, const sx_report *r)
{
	sheet s;
	FILE *out = sheet_open(&s);
	if (out) {
		fputs("| Made by | sextant " SX_VERSION, out);
		if (r->git) {
			fputs(", commit ", out);
			sx_report_put_literal(out, MARKUP_MARKDOWN, r->git);
		}
		fputs(" |\n|---|---|", out);
		if (r->command_line) put_row(out, "Command", r->command_line, "");
		for (int i = 0; i < r->n_input; i++) {
			char hash[64];
			snprintf(hash, sizeof hash, ", xxh128 `%s`", r->input[i].hash);
			put_row(out, r->input[i].second, r->input[i].first, hash);
		}
		for (int i = 0; i < r->n_param; i++)
			put_row(out, r->param[i].first, r->param[i].second, "");
	}
	add_markdown(nb, "provenance", sheet_text(&s));
}

static void add_beginning(notebook *nb, const sx_report *r)
{
	sheet s;
	add_title(nb, r);
	add_provenance(nb, r);
	add_code(nb, "parameters", sx_strdup("RESULTS = \"analysis.h5\""),
		 json_pack("{s:[s]}", "tags", "parameters"), json_array());
	FILE *out = sheet_open(&s);
	for (int i = 0; out && functions[i]; i++)
		fprintf(out, "%s%s", functions[i], functions[i + 1] ? "\n" : "");
	add_code(nb, "functions", sheet_text(&s), hidden(), json_array());
}

/* A heading with the paragraphs after it; returns the block after those. */
static int add_texts(notebook *nb, const sx_report *r, int i)
{
	char id[80], slug[64] = "";
	sheet s;
	FILE *out = sheet_open(&s);
	bool heading = r->block[i].kind == BLOCK_SECTION;
	if (heading) sx_report_slug(slug, r->block[i].text);
	if (slug[0])
		snprintf(id, sizeof id, "section-%s", slug);
	else
		snprintf(id, sizeof id, "text-%d", r->block[i].number);
	if (heading && out) {
		fputs("## ", out);
		sx_report_put_literal(out, MARKUP_MARKDOWN, r->block[i].text);
		i++;
	}
	for (bool first = !heading; i < r->n_block && r->block[i].kind == BLOCK_TEXT; i++) {
		if (out && !first) fputs("\n\n", out);
		if (out) sx_report_put_text(out, MARKUP_MARKDOWN, r->block[i].text);
		first = false;
	}
	add_markdown(nb, id, sheet_text(&s));
	return i;
}

static void add_caption(notebook *nb, const char *kind, const report_block *b)
{
	char id[80];
	bool table = b->kind == BLOCK_TABLE;
	snprintf(id, sizeof id, "about-%s-%s", kind, table ? b->table->name : b->figure->name);
	sheet s;
	FILE *out = sheet_open(&s);
	if (out) {
		fprintf(out, "**%s %d.** ", table ? "Table" : "Figure", b->number);
		sx_report_put_text(out, MARKUP_MARKDOWN,
				   table ? b->table->caption : b->figure->caption);
	}
	add_markdown(nb, id, sheet_text(&s));
}

static void add_table(notebook *nb, const report_block *b)
{
	char id[80];
	sheet s;
	FILE *out = sheet_open(&s);
	if (out) sx_report_put_table(out, b->table);
	json_t *text = lines_of(sheet_text(&s));
	snprintf(id, sizeof id, "table-%s", b->table->name);
	add_caption(nb, "table", b);
	add_code(nb, id, sx_format("table(\"%s\")", b->table->group), json_object(),
		 json_pack("[{s:s, s:s, s:o}]", "name", "stdout", "output_type", "stream", "text",
			   text));
}

/* A text as a Python literal: JSON's are. */
static char *quoted(const char *text)
{
	json_t *j = json_string(text);
	char *q = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
	json_decref(j);
	return q;
}

static json_t *image_output(const report_figure *f, int width, int run)
{
	char *b64 = g_base64_encode((const unsigned char *)f->png, f->png_size);
	char *data = sx_format("%s\n", b64); /* as the kernel sends it */
	json_t *out = data ? json_pack("[{s:{s:s, s:[s]}, s:i, s:{s:{s:s, s:i}}, s:s}]", "data",
				       "image/png", data, "text/plain",
				       "<IPython.core.display.Image object>", "execution_count",
				       run, "metadata", "image/png", "alt", sx_fig_alt(f->fig),
				       "width", width, "output_type", "execute_result")
			   : NULL;
	free(data);
	g_free(b64);
	return out;
}

static void add_figure(notebook *nb, const report_block *b)
{
	const report_figure *f = b->figure;
	int width = screen_width(f->fig);
	char id[80], *alt = quoted(sx_fig_alt(f->fig));
	char *source =
		alt ? sx_format("#| label: fig-%s\nImage(\"figures/%s.png\", width=%d, alt=%s)",
				f->name, f->name, width, alt)
		    : NULL;
	snprintf(id, sizeof id, "fig-%s", f->name);
	add_code(nb, id, source, json_object(), image_output(f, width, nb->run + 1));
	add_caption(nb, "fig", b);
	snprintf(id, sizeof id, "carry-on-%s", f->name);
	add_code(nb, id,
		 sx_format("# Carry on: what the figure shows, a row for each point, as numpy "
			   "arrays.\n"
			   "drawn = numbers(\"figures/%s\")\n"
			   "first = drawn[\"item\"] == 0  # one of its lines\n"
			   "x, y = drawn[\"x\"][first], drawn[\"y\"][first]\n"
			   "# redraw(\"%s\")  # all of it, with matplotlib",
			   f->name, f->name),
		 hidden(), json_array());
	free(alt);
}

static void add_end(notebook *nb)
{
	add_markdown(nb, "where-to-go-next",
		     sx_strdup("## Where to go next\n\n"
			       "* `numbers(\"NAME\")` gives any table or figure of this page as "
			       "numpy arrays, "
			       "`pandas.DataFrame(numbers(\"NAME\"))` as a data frame; "
			       "`redraw(\"NAME\")` draws a figure again with matplotlib.\n"
			       "* `sextant.py`, which is installed with the program, opens "
			       "`analysis.h5` and the "
			       "inputs named above, with axes and units: "
			       "`sextant.open(\"analysis.h5\")`.\n"
			       "* `figures/*.pdf` and `tables/*.tex` (booktabs, siunitx) go into a "
			       "paper as they "
			       "are; `tables/*.csv` have all digits.\n"
			       "* `manifest.json` names what this page was made from and what "
			       "belongs to it. The "
			       "program writes this folder anew only while nothing in it was "
			       "changed: copy the "
			       "notebook before you work in it."));
}

json_t *sx_report_notebook(const sx_report *r)
{
	notebook nb = {.cells = json_array(), .ids = json_object()};
	add_beginning(&nb, r);
	for (int i = 0; i < r->n_block;) {
		const report_block *b = &r->block[i];
		if (b->kind == BLOCK_TABLE) {
			add_table(&nb, b);
			i++;
		} else if (b->kind == BLOCK_FIGURE) {
			add_figure(&nb, b);
			i++;
		} else {
			i = add_texts(&nb, r, i);
		}
	}
	add_end(&nb);
	json_decref(nb.ids);
	json_t *doc = json_pack("{s:o, s:{s:{s:s, s:s, s:s}, s:{s:s}, s:s}, s:i, s:i}", "cells",
				nb.cells, "metadata", "kernelspec", "display_name", "Python 3",
				"language", "python", "name", "python3", "language_info", "name",
				"python", "title", r->title, "nbformat", 4, "nbformat_minor", 5);
	if (nb.failed) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

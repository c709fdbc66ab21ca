/* The report as one page: no script, no request, figures and style inside. */
#include "analysis/report/internal.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SVG_MOST = 300 << 10 }; /* bytes; a larger figure is shown as PNG */

/* clang-format off */
static const char *const style[] = {
	":root{color-scheme:light dark;--ink:#1f2328;--soft:#57606a;--line:#d0d7de;--page:#fff;--panel:#f6f8fa;--link:#0550ae}",
	"@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#3d444d;--page:#0d1117;--panel:#161b22;--link:#79b8ff}}",
	"*{box-sizing:border-box}",
	"body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}",
	"main{max-width:58rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}",
	"h1{font-size:1.9rem;line-height:1.2;margin:0 0 1.25rem}",
	"h2{font-size:1.3rem;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}",
	"p{margin:.75rem 0;max-width:46rem}",
	"a{color:var(--link)}",
	"code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;overflow-wrap:anywhere}",
	".findings{background:var(--panel);border-left:4px solid var(--link);padding:.5rem 1.25rem;margin:0 0 1.5rem}",
	".findings p:first-child{font-size:1.08rem}",
	"nav ol{margin:0;padding-left:1.25rem;columns:2 16rem}",
	"figure{margin:1.75rem 0}",
	".card{display:inline-block;max-width:100%;background:#fff;border:1px solid var(--line);border-radius:6px;padding:.75rem}",
	".card img{display:block;max-width:100%;height:auto}",
	"figcaption{margin-top:.5rem;max-width:46rem;font-size:.93rem;color:var(--soft)}",
	"figcaption b,figcaption em{color:var(--ink)}",
	".files{white-space:nowrap}",
	".table figcaption{margin:0 0 .5rem}",
	".wide{overflow:auto;width:fit-content;max-width:100%;max-height:34rem;border-bottom:1px solid var(--line)}",
	"table{border-collapse:collapse;font-size:.93rem;font-variant-numeric:tabular-nums}",
	"th,td{padding:.3rem .8rem;text-align:left;vertical-align:top;white-space:nowrap}",
	"thead th{position:sticky;top:0;background:var(--page);border-top:2px solid var(--line);box-shadow:inset 0 -1px var(--line)}",
	"tbody th{font-weight:inherit}",
	"tbody tr:nth-child(even){background:var(--panel)}",
	".n{text-align:right}",
	".end{text-align:left;padding-left:0}",
	".value{padding-right:.4rem}",
	".soft{color:var(--soft)}",
	".from td,.from th{white-space:normal;overflow-wrap:anywhere}",
	".from th{color:var(--soft);white-space:nowrap}",
	"@media(max-width:40rem){main{padding-top:1.25rem}h1{font-size:1.5rem}.from th{white-space:normal}.card{overflow-x:auto}.card img{max-width:40rem}}",
	"@media print{.wide{max-height:none}}",
	NULL,
};
/* clang-format on */

static void put(FILE *out, const char *text)
{
	sx_report_put_text(out, MARKUP_HTML, text);
}

static void put_plain(FILE *out, const char *text)
{
	sx_report_put_literal(out, MARKUP_HTML, text);
}

static void put_head(FILE *out, const sx_report *r)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
	      out);
	if (r->reload) fprintf(out, "<meta http-equiv=\"refresh\" content=\"%d\">\n", r->reload);
	fputs("<meta name=\"generator\" content=\"sextant " SX_VERSION "\">\n<title>", out);
	put_plain(out, r->title);
	fputs("</title>\n<style>\n", out);
	for (int i = 0; style[i]; i++) fprintf(out, "%s\n", style[i]);
	fputs("</style>\n</head>\n", out);
}

/* The number keeps sections with the same heading apart. */
static void put_section_id(FILE *out, const report_block *b)
{
	char slug[64];
	sx_report_slug(slug, b->text);
	fprintf(out, "section-%d%s%s", b->number, slug[0] ? "-" : "", slug);
}

static void put_contents(FILE *out, const sx_report *r)
{
	fputs("<nav aria-label=\"Contents\">\n<ol>\n", out);
	for (int i = 0; i < r->n_block; i++) {
		if (r->block[i].kind != BLOCK_SECTION) continue;
		fputs("<li><a href=\"#", out);
		put_section_id(out, &r->block[i]);
		fputs("\">", out);
		put_plain(out, r->block[i].text);
		fputs("</a></li>\n", out);
	}
	fputs("<li><a href=\"#provenance\">Where this comes from</a></li>\n</ol>\n</nav>\n", out);
}

static void put_figure(FILE *out, const report_block *b)
{
	const report_figure *f = b->figure;
	bool svg = f->svg_size < SVG_MOST;
	char *b64 = g_base64_encode((const unsigned char *)(svg ? f->svg : f->png),
				    svg ? f->svg_size : f->png_size);
	fprintf(out,
		"<figure id=\"fig-%s\">\n<div class=\"card\"><img width=\"%.0f\" "
		"src=\"data:image/%s;base64,%s\" alt=\"",
		f->name, 1.6 * sx_fig_width(f->fig), svg ? "svg+xml" : "png", b64);
	g_free(b64);
	put_plain(out, sx_fig_alt(f->fig));
	fprintf(out, "\"></div>\n<figcaption><b>Figure %d.</b> ", b->number);
	put(out, f->caption);
	fputs(" <span class=\"files\">", out);
	static const char *const formats[][2] = {{"pdf", "PDF"}, {"svg", "SVG"}, {"png", "PNG"}};
	for (int k = 0; k < 3; k++)
		fprintf(out, "%s<a href=\"figures/%s.%s\">%s</a>", k ? " · " : "", f->name,
			formats[k][0], formats[k][1]);
	fputs("</span></figcaption>\n</figure>\n", out);
}

/* The text of a number or an interval; the notebook has "inf", as Python prints it. */
static void put_shown(FILE *out, const char *text)
{
	for (const char *inf; (inf = strstr(text, "inf")); text = inf + 3)
		fprintf(out, "%.*s∞", (int)(inf - text), text);
	fputs(text, out);
}

static void put_cell(FILE *out, const report_col *c, const report_cell *v, bool leads)
{
	report_cell alone = *v;
	alone.lo = alone.hi = (double)NAN;
	char *all = sx_report_shown(c, v), *value = sx_report_shown(c, &alone);
	if (all && c->kind == COL_TEXT) {
		fputs(leads ? "<th scope=\"row\">" : "<td>", out);
		put_plain(out, all);
		fputs(leads ? "</th>" : "</td>", out);
	} else if (all && value) {
		bool pair = c->kind == COL_INTERVAL;
		fputs(pair ? "<td class=\"n value\">" : "<td class=\"n\">", out);
		put_shown(out, strcmp(value, "-") == 0 ? "–" : value);
		fputs("</td>", out);
		if (pair) {
			fputs("<td class=\"end soft\">", out);
			put_shown(out, all + strlen(value) + (all[strlen(value)] == ' '));
			fputs("</td>", out);
		}
	}
	free(all);
	free(value);
}

static void put_table_head(FILE *out, const sx_report_table *t)
{
	fputs("<thead><tr>", out);
	for (int k = 0; k < t->n_col; k++) {
		const report_col *c = &t->col[k];
		char *heading = sx_report_heading(c);
		fprintf(out, "<th scope=\"col\"%s title=\"",
			c->kind == COL_TEXT       ? ""
			: c->kind == COL_INTERVAL ? " colspan=\"2\""
						  : " class=\"n\"");
		put_plain(out, c->long_name);
		fputs("\">", out);
		put_plain(out, heading ? heading : "");
		fputs("</th>", out);
		free(heading);
	}
	fputs("</tr></thead>\n", out);
}

static void put_table(FILE *out, const report_block *b)
{
	const sx_report_table *t = b->table;
	fprintf(out,
		"<figure class=\"table\" id=\"table-%s\">\n<figcaption id=\"about-%s\"><b>Table "
		"%d.</b> ",
		t->name, t->name, b->number);
	put(out, t->caption);
	fprintf(out,
		" <span class=\"files\"><a href=\"tables/%s.csv\">CSV</a> · "
		"<a href=\"tables/%s.tex\">TeX</a></span></figcaption>\n"
		"<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"about-%s\">\n"
		"<table aria-labelledby=\"about-%s\">\n",
		t->name, t->name, t->name, t->name);
	put_table_head(out, t);
	fputs("<tbody>\n", out);
	for (int64_t i = 0; i < t->n_cell; i++) {
		int k = (int)(i % t->n_col);
		if (k == 0) fputs("<tr>", out);
		put_cell(out, &t->col[k], &t->cell[i], k == 0);
		if (k == t->n_col - 1) fputs("</tr>\n", out);
	}
	fputs("</tbody>\n</table>\n</div>\n", out);
	if (t->n_cell == 0) fputs("<p class=\"soft\">No rows.</p>\n", out);
	fputs("</figure>\n", out);
}

static void put_block(FILE *out, const report_block *b)
{
	switch (b->kind) {
	case BLOCK_SECTION:
		fputs("<h2 id=\"", out);
		put_section_id(out, b);
		fputs("\">", out);
		put_plain(out, b->text);
		fputs("</h2>\n", out);
		break;
	case BLOCK_TEXT:
		fputs("<p>", out);
		put(out, b->text);
		fputs("</p>\n", out);
		break;
	case BLOCK_TABLE:
		put_table(out, b);
		break;
	case BLOCK_FIGURE:
		put_figure(out, b);
		break;
	}
}

static void put_fact(FILE *out, const char *what, const char *value, const char *hash)
{
	fputs("<tr><th scope=\"row\">", out);
	put_plain(out, what);
	fputs("</th><td>", out);
	put_plain(out, value);
	if (hash) fprintf(out, " <span class=\"soft\">xxh128 <code>%s</code></span>", hash);
	fputs("</td></tr>\n", out);
}

static void put_provenance(FILE *out, const sx_report *r)
{
	fputs("<h2 id=\"provenance\">Where this comes from</h2>\n<table class=\"from\">\n<tbody>\n",
	      out);
	put_fact(out, "Program", "sextant " SX_VERSION, NULL);
	if (r->git) put_fact(out, "Commit", r->git, NULL);
	if (r->command_line) put_fact(out, "Command", r->command_line, NULL);
	for (int i = 0; i < r->n_input; i++)
		put_fact(out, r->input[i].second, r->input[i].first, r->input[i].hash);
	for (int i = 0; i < r->n_param; i++)
		put_fact(out, r->param[i].first, r->param[i].second, NULL);
	fputs("</tbody>\n</table>\n"
	      "<p>Beside this page: <a href=\"report.ipynb\">report.ipynb</a>, the same as a "
	      "notebook to "
	      "carry on from; <code>analysis.h5</code>, the numbers of every table and figure; "
	      "<a href=\"manifest.json\">manifest.json</a>, all files with their "
	      "fingerprints.</p>\n",
	      out);
}

void sx_report_put_html(FILE *out, const sx_report *r)
{
	put_head(out, r);
	fputs("<body>\n<main>\n<h1>", out);
	put_plain(out, r->title);
	fputs("</h1>\n", out);
	if (r->n_summary) {
		fputs("<section class=\"findings\" aria-label=\"Findings\">\n", out);
		for (int i = 0; i < r->n_summary; i++) {
			fputs("<p>", out);
			put(out, r->summary[i]);
			fputs("</p>\n", out);
		}
		fputs("</section>\n", out);
	}
	put_contents(out, r);
	for (int i = 0; i < r->n_block; i++) put_block(out, &r->block[i]);
	put_provenance(out, r);
	fputs("</main>\n</body>\n</html>\n", out);
}

/* The report's light markup, `code` and *emphasis*, in the terms of each format. */
#include "analysis/figure/figure.h"
#include "analysis/report/internal.h"

#include <ctype.h>
#include <string.h>

static void put_html(FILE *out, char c)
{
	switch (c) {
	case '&':
		fputs("&amp;", out);
		break;
	case '<':
		fputs("&lt;", out);
		break;
	case '>':
		fputs("&gt;", out);
		break;
	case '"':
		fputs("&quot;", out);
		break;
	default:
		fputc(c, out);
	}
}

/* Markdown as in Jupyter, where dollars are mathematics and HTML is let through. */
static void put_markdown(FILE *out, char c)
{
	if (strchr("&<>", c)) {
		put_html(out, c);
		return;
	}
	if (strchr("\\`*_[]$|#~", c)) fputc('\\', out);
	fputc(c, out);
}

static void put_tex(FILE *out, char c)
{
	switch (c) {
	case '\\':
		fputs("\\textbackslash{}", out);
		break;
	case '^':
		fputs("\\textasciicircum{}", out);
		break;
	case '~':
		fputs("\\textasciitilde{}", out);
		break;
	case '<':
		fputs("\\textless{}", out);
		break;
	case '>':
		fputs("\\textgreater{}", out);
		break;
	default:
		if (strchr("{}$&#%_", c)) fputc('\\', out);
		fputc(c, out);
	}
}

static void put_char(FILE *out, markup_kind kind, char c)
{
	if (kind == MARKUP_HTML)
		put_html(out, c);
	else if (kind == MARKUP_MARKDOWN)
		put_markdown(out, c);
	else if (kind == MARKUP_TEX)
		put_tex(out, c);
	else
		fputc(c, out);
}

/* A Greek letter or a sign of mathematics, which pdflatex does not know by itself; 0 if there is none. */
static size_t put_tex_symbol(FILE *out, const char *s)
{
	const char *command;
	size_t n = sx_fig_symbol(&command, s);
	if (n) fprintf(out, "$\\%s$", command);
	return n;
}

static void put_part(FILE *out, markup_kind kind, const char *s, size_t n)
{
	for (size_t i = 0; i < n && s[i]; i++) {
		size_t symbol = kind == MARKUP_TEX ? put_tex_symbol(out, s + i) : 0;
		if (symbol)
			i += symbol - 1;
		else
			put_char(out, kind, s[i]);
	}
}

/* "1." or "-" at the start of a line would make a list of it in Markdown. Returns the rest. */
static const char *put_line_start(FILE *out, markup_kind kind, const char *text)
{
	if (kind != MARKUP_MARKDOWN) return text;
	size_t n = strspn(text, "0123456789");
	bool listed = n ? text[n] == '.' || text[n] == ')' : *text == '-' || *text == '+';
	if (!listed) return text;
	fprintf(out, "%.*s\\%c", (int)n, text, text[n]);
	return text + n + 1;
}

void sx_report_put_literal(FILE *out, markup_kind kind, const char *text)
{
	text = put_line_start(out, kind, text);
	put_part(out, kind, text, strlen(text));
}

/* Length of what stands between the marker at s and its partner; 0 if s opens nothing. Emphasis
 * begins and ends at words, so that 2*3*4 stays what it is. */
static size_t span_at(const char *text, const char *s)
{
	const char *end;
	if (*s == '`') return (end = strchr(s + 1, '`')) ? (size_t)(end - s - 1) : 0;
	if (*s != '*' || (s > text && isalnum((unsigned char)s[-1])) || s[1] == ' ') return 0;
	for (end = strchr(s + 1, '*'); end; end = strchr(end + 1, '*'))
		if (end[-1] != ' ' && !isalnum((unsigned char)end[1])) return (size_t)(end - s - 1);
	return 0;
}

static void put_span(FILE *out, markup_kind kind, bool code, const char *s, size_t n)
{
	static const char *const open[][2] = {
		{"<em>", "<code>"}, {"*", "`"}, {"\\emph{", "\\texttt{"}, {"", ""}};
	static const char *const close[][2] = {
		{"</em>", "</code>"}, {"*", "`"}, {"}", "}"}, {"", ""}};
	fputs(open[kind][code], out);
	if (code && kind == MARKUP_MARKDOWN)
		fwrite(s, 1, n, out);
	else
		put_part(out, kind, s, n);
	fputs(close[kind][code], out);
}

void sx_report_put_text(FILE *out, markup_kind kind, const char *text)
{
	const char *plain = put_line_start(out, kind, text);
	for (const char *s = plain; *s; s++) {
		size_t n = span_at(text, s);
		if (n == 0) continue;
		put_part(out, kind, plain, (size_t)(s - plain));
		put_span(out, kind, *s == '`', s + 1, n);
		s += n + 1;
		plain = s + 1;
	}
	put_part(out, kind, plain, strlen(plain));
}

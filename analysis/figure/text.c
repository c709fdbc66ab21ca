#include "analysis/figure/text.h"

#include "analysis/figure/figure.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- TeX subset ---- */

/* clang-format off */
static const struct { const char *name, *utf8; bool italic; } symbols[] = {
	{"alpha", "α", true}, {"beta", "β", true}, {"gamma", "γ", true}, {"delta", "δ", true},
	{"epsilon", "ϵ", true}, {"varepsilon", "ε", true}, {"zeta", "ζ", true}, {"eta", "η", true},
	{"theta", "θ", true}, {"kappa", "κ", true}, {"lambda", "λ", true}, {"mu", "μ", true},
	{"nu", "ν", true}, {"xi", "ξ", true}, {"pi", "π", true}, {"rho", "ρ", true},
	{"sigma", "σ", true}, {"tau", "τ", true}, {"phi", "ϕ", true}, {"varphi", "φ", true},
	{"chi", "χ", true}, {"psi", "ψ", true}, {"omega", "ω", true}, {"ell", "ℓ", false},
	{"Gamma", "Γ", false}, {"Delta", "Δ", false}, {"Theta", "Θ", false}, {"Lambda", "Λ", false},
	{"Xi", "Ξ", false}, {"Pi", "Π", false}, {"Sigma", "Σ", false}, {"Phi", "Φ", false},
	{"Psi", "Ψ", false}, {"Omega", "Ω", false}, {"nabla", "∇", false}, {"partial", "∂", false},
	{"infty", "∞", false}, {"sum", "∑", false}, {"prod", "∏", false}, {"sqrt", "√", false},
	{"leq", "≤", false}, {"le", "≤", false}, {"geq", "≥", false}, {"ge", "≥", false},
	{"neq", "≠", false}, {"approx", "≈", false}, {"sim", "∼", false}, {"propto", "∝", false},
	{"times", "×", false}, {"cdot", "·", false}, {"pm", "±", false}, {"in", "∈", false},
	{"to", "→", false}, {"rightarrow", "→", false}, {"leftarrow", "←", false},
	{"uparrow", "↑", false}, {"downarrow", "↓", false}, {"prime", "′", false},
	{"ldots", "…", false}, {"|", "‖", false}, {"quad", "\u2003", false},
	{",", "\u2009", false}, {";", "\u2005", false}, {" ", " ", false},
	{"log", "log", false}, {"max", "max", false}, {"min", "min", false}, {"exp", "exp", false},
};
/* clang-format on */

enum { MAX_DEPTH = 16 }; /* of groups; deeper braces stand for themselves */

typedef struct {
	const char *p, *end;
	FILE *out;
} parser;

static void put_escaped(FILE *out, char c)
{
	if (c == '<')
		fputs("&lt;", out);
	else if (c == '>')
		fputs("&gt;", out);
	else if (c == '&')
		fputs("&amp;", out);
	else if (c == '\'')
		fputs("&#39;", out);
	else
		fputc((unsigned char)c < 0x20 || c == 0x7f ? ' ' : c, out);
}

/* A byte inside a UTF-8 character, after its first. */
static bool continues(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

static void math(parser *s, bool upright, int depth, bool one);

/* {group} or a single token. */
static void argument(parser *s, bool upright, int depth)
{
	while (s->p < s->end && *s->p == ' ') s->p++;
	if (s->p < s->end && *s->p == '{' && depth < MAX_DEPTH) {
		s->p++;
		math(s, upright, depth + 1, false);
		if (s->p < s->end) s->p++; /* the closing brace */
	} else {
		math(s, upright, depth + 1, true);
	}
}

static void command(parser *s, bool upright, int depth)
{
	const char *name = s->p;
	while (s->p < s->end && isalpha((unsigned char)*s->p)) s->p++;
	if (s->p == name && s->p < s->end) {
		s->p++;
		while (s->p < s->end && continues(*s->p)) s->p++;
	}
	size_t n = (size_t)(s->p - name);

	if ((n == 6 && !strncmp(name, "mathrm", n)) || (n == 4 && !strncmp(name, "text", n))) {
		argument(s, true, depth);
		return;
	}
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		if (strlen(symbols[i].name) != n || strncmp(name, symbols[i].name, n)) continue;
		bool italic = symbols[i].italic && !upright;
		fprintf(s->out, italic ? "<i>%s</i>" : "%s", symbols[i].utf8);
		return;
	}
	for (size_t i = 0; i < n; i++) put_escaped(s->out, name[i]);
}

/* Up to the end or an unopened brace; with `one`, a single token. */
static void math(parser *s, bool upright, int depth, bool one)
{
	while (s->p < s->end) {
		char c = *s->p;
		if (c == '}' && depth > 0) return;
		s->p++;
		if ((c == '^' || c == '_') && depth < MAX_DEPTH) {
			const char *tag = c == '^' ? "sup" : "sub";
			fprintf(s->out, "<%s>", tag);
			argument(s, upright, depth);
			fprintf(s->out, "</%s>", tag);
		} else if (c == '{' && depth < MAX_DEPTH) {
			s->p--;
			argument(s, upright, depth);
		} else if (c == '\\') {
			command(s, upright, depth);
		} else if (c == '-') {
			fputs("\u2212", s->out);
		} else if (isalpha((unsigned char)c) && !upright) {
			fprintf(s->out, "<i>%c</i>", c);
		} else if (c != ' ' || upright) {
			put_escaped(s->out, c);
			/* The rest of a character of several bytes belongs to its first. */
			while (s->p < s->end && continues(*s->p)) fputc(*s->p++, s->out);
		}
		if (one) return;
	}
}

size_t sx_fig_symbol(const char **command, const char *text)
{
	if ((unsigned char)*text < 0x80) return 0;
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		size_t n = strlen(symbols[i].utf8);
		if (strncmp(text, symbols[i].utf8, n) != 0) continue;
		*command = symbols[i].name;
		return n;
	}
	return 0;
}

/* The dollar that closes the one before p, or NULL. */
static const char *closing(const char *p)
{
	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '$')
			return p;
	}
	return NULL;
}

char *sx_text_markup(const char *label)
{
	char *valid = g_utf8_make_valid(label, -1); /* Pango refuses anything else */
	char *markup = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&markup, &size);

	for (const char *p = valid; out && *p; p++) {
		const char *end = *p == '$' ? closing(p + 1) : NULL;
		if (end) {
			math(&(parser){p + 1, end, out}, false, 0, false);
			p = end;
		} else {
			if (*p == '\\' && p[1] == '$') p++;
			put_escaped(out, *p);
		}
	}
	g_free(valid);
	bool bad = !out || ferror(out) != 0;
	if (out && fclose(out) == 0 && !bad) return markup;
	free(markup);
	return NULL;
}

/* ---- Pango ---- */

static const char family[] = "TeX Gyre Heros", fallback[] = "DejaVu Sans";

static PangoFontDescription *describe(double size)
{
	PangoFontDescription *d = pango_font_description_new();
	char *both = sx_format("%s,%s", family, fallback);
	pango_font_description_set_family(d, both ? both : family);
	pango_font_description_set_absolute_size(d, size * PANGO_SCALE);
	free(both);
	return d;
}

static void check_font(sx_text *t, sx_ctx *ctx)
{
	PangoFontDescription *want = describe(10);
	PangoFont *font = pango_font_map_load_font(t->map, t->context, want);
	PangoFontDescription *have = font ? pango_font_describe(font) : NULL;
	const char *name = have ? pango_font_description_get_family(have) : "no font at all";

	if (!name || strcmp(name, family) != 0)
		sx_log(ctx, SX_LOG_WARN,
		       "the font %s is not installed and %s is used instead, with other widths; "
		       "install fonts-texgyre",
		       family, name ? name : "another one");
	if (have) pango_font_description_free(have);
	if (font) g_object_unref(font);
	pango_font_description_free(want);
}

sx_status sx_text_init(sx_text *out, sx_ctx *ctx)
{
	sx_text t = {.map = pango_cairo_font_map_new()};
	if (!t.map) return sx_fail(ctx, SX_ENOMEM, "no font map for the figure");
	t.context = pango_font_map_create_context(t.map);

	cairo_font_options_t *o = cairo_font_options_create();
	cairo_font_options_set_hint_style(o, CAIRO_HINT_STYLE_NONE);
	cairo_font_options_set_hint_metrics(o, CAIRO_HINT_METRICS_OFF);
	cairo_font_options_set_antialias(o, CAIRO_ANTIALIAS_GRAY);
	pango_cairo_context_set_font_options(t.context, o);
	cairo_font_options_destroy(o);
	pango_cairo_context_set_resolution(t.context, 72);
	pango_context_set_round_glyph_positions(t.context, FALSE);
	/* Shaping depends on the language; the user's locale must not move a label. */
	pango_context_set_language(t.context, pango_language_from_string("en"));
	check_font(&t, ctx);
	*out = t;
	return SX_OK;
}

void sx_text_free(sx_text *t)
{
	if (!t) return;
	if (t->context) g_object_unref(t->context);
	if (t->map) g_object_unref(t->map);
	*t = (sx_text){0};
}

static PangoLayout *lay(sx_text *t, const char *markup, double size)
{
	PangoLayout *l = pango_layout_new(t->context);
	PangoFontDescription *d = describe(size);
	pango_layout_set_font_description(l, d);
	pango_font_description_free(d);
	pango_layout_set_single_paragraph_mode(l, TRUE);
	pango_layout_set_markup(l, markup, -1);
	return l;
}

static double layout_width(PangoLayout *l)
{
	PangoRectangle r;
	pango_layout_get_extents(l, NULL, &r);
	return (double)r.width / PANGO_SCALE;
}

double sx_text_width(sx_text *t, const char *markup, double size)
{
	PangoLayout *l = lay(t, markup, size);
	double w = layout_width(l);
	g_object_unref(l);
	return w;
}

void sx_text_draw(sx_text *t, cairo_t *cr, const char *markup, double size, double x, double y,
		  double align, bool up)
{
	PangoLayout *l = lay(t, markup, size);
	double base = (double)pango_layout_get_baseline(l) / PANGO_SCALE;

	cairo_save(cr);
	cairo_translate(cr, x, y);
	if (up) cairo_rotate(cr, -1.57079632679489661923);
	cairo_move_to(cr, -align * layout_width(l), -base);
	pango_cairo_show_layout(cr, l);
	cairo_restore(cr);
	g_object_unref(l);
}

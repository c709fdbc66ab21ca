/* What Cairo's SVG lacks: a title and a description, and names that are the figure's own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/figure/internal.h"

/* Names as Cairo writes them, by their first part and in this order of search. */
static const char *const stems[] = {"glyph", "clip", "image", "surface", "mask", "source"};
enum { N_STEMS = sizeof stems / sizeof stems[0] };

/* Length of a name ("glyph0-12", "clip3") at s, 0 if there is none. */
static size_t name_at(const char *s)
{
	for (int i = 0; i < N_STEMS; i++) {
		size_t n = strlen(stems[i]);
		if (strncmp(s, stems[i], n) != 0 || !isdigit((unsigned char)s[n])) continue;
		while (isdigit((unsigned char)s[n]) || s[n] == '-') n++;
		return n;
	}
	return 0;
}

/* Where the next name begins: behind id=" or #. NULL if there is none. */
static const char *next_name(const char *s)
{
	for (; *s; s++) {
		size_t skip = strncmp(s, "id=\"", 4) == 0 ? 4 : *s == '#' ? 1 : 0;
		if (skip > 0 && name_at(s + skip) > 0) return s + skip;
	}
	return NULL;
}

/* Cairo counts images over the life of the process, so that the second figure of a report would
 * differ from the same one drawn alone; every name becomes its rank of appearance. Two figures in
 * one page must not share names: a hash of the figure leads each. */
static char *rename_all(const char *svg, const char *about)
{
	GHashTable *rank = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	GString *out = g_string_new(NULL);
	unsigned hash = g_str_hash(about);
	for (int pass = 0; pass < 2; pass++) {
		/* First with the ranks alone: the hash must not see Cairo's counting. */
		g_string_truncate(out, 0);
		const char *s = svg;
		for (const char *name; (name = next_name(s)); s = name + name_at(name)) {
			char *old = g_strndup(name, name_at(name));
			void *known = g_hash_table_lookup(rank, old);
			size_t k = known ? GPOINTER_TO_SIZE(known) : g_hash_table_size(rank) + 1;
			g_string_append_len(out, s, name - s);
			g_string_append_printf(out, "f%08x-%zu", hash, k);
			if (known)
				g_free(old);
			else
				g_hash_table_insert(rank, old, GSIZE_TO_POINTER(k));
		}
		g_string_append(out, s);
		hash = g_str_hash(out->str);
	}
	char *all = sx_strdup(out->str);
	g_string_free(out, TRUE);
	g_hash_table_destroy(rank);
	return all;
}

char *sx_fig_finish_svg(const sx_fig *f, const char *svg)
{
	const char *root = strstr(svg, "<svg"), *inside = root ? strchr(root, '>') : NULL;
	if (!inside) return sx_strdup(svg);
	inside++;
	char *title = g_markup_escape_text(f->title ? f->title : "", -1);
	char *alt = g_markup_escape_text(sx_fig_alt(f), -1);
	char *body = rename_all(inside, alt);
	char *all = body ? sx_format("%.*s\n<title>%s</title>\n<desc>%s</desc>%s",
				     (int)(inside - svg), svg, title, alt, body)
			 : NULL;
	free(body);
	g_free(title);
	g_free(alt);
	return all;
}

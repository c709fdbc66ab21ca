#include "analysis/gallery/labels.h"

#include <string.h>

/* Behind the part that begins at s, its text without the quotes to `out` where that is not NULL. */
static const char *skip_part(const char *s, char *out)
{
	bool quoted = *s == '"';
	if (quoted) s++;
	for (; *s && (quoted || *s != ','); s++) {
		if (quoted && *s == '"' && s[1] != '"') {
			quoted = false;
			continue;
		}
		if (quoted && *s == '"') s++;
		if (out) *out++ = *s;
	}
	if (out) *out = '\0';
	return *s ? s + 1 : NULL;
}

int sx_label_count(const char *labels)
{
	int n = 0;
	for (; labels; n++) labels = skip_part(labels, NULL);
	return n;
}

char *sx_label_part(const char *labels, int i)
{
	while (labels && i-- > 0) labels = skip_part(labels, NULL);
	char *part = labels ? sx_calloc(strlen(labels) + 1, 1) : NULL;
	if (part) skip_part(labels, part);
	return part;
}

char *sx_label_join(const char *const *label, int n)
{
	size_t size = 1;
	for (int i = 0; i < n; i++) size += 2 * strlen(label[i]) + 3;
	char *s = sx_calloc(size, 1), *at = s;
	for (int i = 0; s && i < n; i++) {
		bool quoted = strpbrk(label[i], ",\"");
		if (i) *at++ = ',';
		if (quoted) *at++ = '"';
		for (const char *c = label[i]; *c; c++) {
			if (*c == '"') *at++ = '"';
			*at++ = *c;
		}
		if (quoted) *at++ = '"';
	}
	return s;
}

char *sx_label_of_path(const char *path)
{
	size_t end = strlen(path);
	while (end > 1 && path[end - 1] == '/') end--;
	size_t from = end;
	while (from > 0 && path[from - 1] != '/') from--;
	if (end - from > 3 && strncmp(path + end - 3, ".h5", 3) == 0) end -= 3;
	return sx_format("%.*s", (int)(end - from), path + from);
}

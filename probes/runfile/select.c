#include "probes/runfile/select.h"

#include <stdlib.h>

/* "*", "3" or "2-4" after a letter, below n. */
static bool read_range(const char **s, char letter, int n, int *lo, int *hi)
{
	if (*(*s)++ != letter) return false;
	if (**s == '*') {
		(*s)++;
		*lo = 0, *hi = n - 1;
		return true;
	}
	char *end;
	long a = strtol(*s, &end, 10), b = a;
	if (end == *s || a < 0) return false;
	if (*end == '-') {
		const char *from = end + 1;
		b = strtol(from, &end, 10);
		if (end == from) return false;
	}
	*s = end;
	*lo = (int)a, *hi = (int)b;
	return a <= b && b < n;
}

sx_status sx_select_heads(sx_map_choice **out, int64_t *n, sx_ctx *ctx, const char *text, int L,
			  int H)
{
	size_t all = (size_t)L * (size_t)H;
	bool *chosen = sx_calloc(all, sizeof *chosen);
	sx_map_choice *list = sx_calloc(all, sizeof *list);
	sx_status st = SX_OK;
	const char *s = text;
	if (!chosen || !list) st = sx_fail(ctx, SX_ENOMEM, "no memory for a selection");
	while (st == SX_OK) {
		int l0, l1, h0, h1;
		if (!read_range(&s, 'L', L, &l0, &l1) || *s++ != '/' ||
		    !read_range(&s, 'H', H, &h0, &h1) || (*s != '\0' && *s != ',')) {
			st = sx_fail(ctx, SX_EUSAGE,
				     "heads %s: want L2-4/H* with layers below %d and heads below "
				     "%d, several separated by commas",
				     text, L, H);
			break;
		}
		for (int l = l0; l <= l1; l++)
			for (int h = h0; h <= h1; h++)
				chosen[(size_t)l * (size_t)H + (size_t)h] = true;
		if (*s++ == '\0') break;
	}
	if (st == SX_OK) {
		*n = 0;
		for (size_t i = 0; i < all; i++)
			if (chosen[i])
				list[(*n)++] =
					(sx_map_choice){(int)(i / (size_t)H), (int)(i % (size_t)H)};
		*out = list;
		list = NULL;
	}
	free(chosen);
	free(list);
	return st;
}

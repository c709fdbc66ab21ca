#include "probes/observe/families.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n visible keys: 1 on [lo, hi), counted from the first of them, and what centres the row elsewhere. */
static sx_family_marks marks(int64_t n, int64_t lo, int64_t hi)
{
	int64_t on = hi - lo;
	bool defined = lo >= 0 && on >= 1 && n > on;
	return defined ? (sx_family_marks){lo, hi, -(double)on / (double)(n - on)}
		       : (sx_family_marks){0};
}

/* n visible keys, the first of them at place `first`. */
typedef sx_family_marks family_marks(int64_t k, int64_t n, int64_t first);

static sx_family_marks mark_diagonal(int64_t k, int64_t n, int64_t first)
{
	(void)k, (void)first;
	return marks(n, n - 1, n);
}

static sx_family_marks mark_previous(int64_t k, int64_t n, int64_t first)
{
	(void)k, (void)first;
	return marks(n, n - 2, n - 1);
}

static sx_family_marks mark_offset(int64_t k, int64_t n, int64_t first)
{
	(void)first;
	return marks(n, n - 1 - k, n - k);
}

static sx_family_marks mark_first(int64_t k, int64_t n, int64_t first)
{
	(void)k;
	return marks(n, 0, first == 0 ? 1 : 0);
}

static sx_family_marks mark_window(int64_t k, int64_t n, int64_t first)
{
	(void)first;
	return marks(n, n - k, n);
}

/* clang-format off */
static const struct {
	const char *name;
	const char *number; /* "K": takes ":K"; NULL: takes none */
	family_marks *marks; /* NULL: c depends on p */
} families[] = {
	{"diagonal", NULL, mark_diagonal},
	{"previous", NULL, mark_previous},
	{"offset",   "K",  mark_offset},
	{"first",    NULL, mark_first},
	{"window",   "W",  mark_window},
	{"own",      NULL, NULL},
};
/* clang-format on */
enum { N_FAMILIES = sizeof families / sizeof families[0] };

sx_status sx_family_parse(sx_family *f, sx_ctx *ctx, const char *text)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	for (int i = 0; i < N_FAMILIES; i++) {
		if (strlen(families[i].name) != len || strncmp(families[i].name, text, len) != 0)
			continue;
		char *end = NULL;
		long long k = colon ? strtoll(colon + 1, &end, 10) : 0;
		bool bad = families[i].number
				   ? !colon || end == colon + 1 || *end || k < 1 || k > (1LL << 40)
				   : colon != NULL;
		if (bad || strlen(text) >= SX_FAMILY_NAME)
			return sx_fail(ctx, SX_ECONFIG, "c family %s: %s", text,
				       families[i].number ? "needs a number from 1, as in offset:3"
							  : "takes no number");
		snprintf(f->name, sizeof f->name, "%s", text);
		f->row = i;
		f->k = k;
		return SX_OK;
	}
	char known[256] = "";
	for (int i = 0, n = 0; i < N_FAMILIES && n < (int)sizeof known; i++)
		n += snprintf(known + n, sizeof known - (size_t)n, "%s%s%s%s", i > 0 ? ", " : "",
			      families[i].name, families[i].number ? ":" : "",
			      families[i].number ? families[i].number : "");
	return sx_fail(ctx, SX_ECONFIG, "c family %s: unknown; known are %s", text, known);
}

bool sx_family_marked(sx_family_marks *m, const sx_family *f, int64_t i, int64_t first)
{
	if (!families[f->row].marks) return false;
	*m = families[f->row].marks(f->k, i - first + 1, first);
	return true;
}

void sx_family_row(const sx_family *f, int64_t i, int64_t first, const sx_real *p, double *c)
{
	sx_family_marks m;
	int64_t n = i - first + 1;
	if (!sx_family_marked(&m, f, i, first)) {
		for (int64_t j = 0; j < n; j++) c[j] = (double)p[j] - 1 / (double)n;
		return;
	}
	for (int64_t j = 0; j < n; j++) c[j] = m.off;
	for (int64_t j = m.lo; j < m.hi; j++) c[j] = 1;
}

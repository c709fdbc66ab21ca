#include "probes/families.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 1 on keys [lo, hi), counted from the first visible one, and what centres the row elsewhere. */
static void marked(double *c, int64_t n, int64_t lo, int64_t hi)
{
	int64_t on = hi - lo;
	double off = n > on ? -(double)on / (double)(n - on) : 0;
	bool defined = lo >= 0 && on >= 1 && n > on;
	for (int64_t j = 0; j < n; j++) c[j] = !defined ? 0 : j >= lo && j < hi ? 1 : off;
}

/* n visible keys, the first of them at place `first`. */
typedef void family_row(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c);

static void row_diagonal(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)k, (void)first, (void)p;
	marked(c, n, n - 1, n);
}

static void row_previous(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)k, (void)first, (void)p;
	marked(c, n, n - 2, n - 1);
}

static void row_offset(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)first, (void)p;
	marked(c, n, n - 1 - k, n - k);
}

static void row_first(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)k, (void)p;
	marked(c, n, 0, first == 0 ? 1 : 0);
}

static void row_window(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)first, (void)p;
	marked(c, n, n - k, n);
}

static void row_own(int64_t k, int64_t n, int64_t first, const sx_real *p, double *c)
{
	(void)k, (void)first;
	for (int64_t j = 0; j < n; j++) c[j] = (double)p[j] - 1 / (double)n;
}

/* clang-format off */
static const struct {
	const char *name;
	bool number; /* takes ":K" */
	family_row *row;
} families[] = {
	{"diagonal", false, row_diagonal},
	{"previous", false, row_previous},
	{"offset",   true,  row_offset},
	{"first",    false, row_first},
	{"window",   true,  row_window},
	{"own",      false, row_own},
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
	return sx_fail(ctx, SX_ECONFIG,
		       "c family %s: unknown; known are diagonal, previous, offset:K, first, "
		       "window:W, own",
		       text);
}

void sx_family_row(const sx_family *f, int64_t i, int64_t first, const sx_real *p, double *c)
{
	families[f->row].row(f->k, i - first + 1, first, p, c);
}

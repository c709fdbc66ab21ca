#include "analysis/bounds.h"

#include "probes/runfile/runfile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sx_verdict_name(uint8_t v)
{
	static const char *const names[] = {"holds", "violated", "not-applicable"};
	return v < 3 ? names[v] : "not evaluated";
}

const char *sx_reason_name(uint8_t reason)
{
	static const char *const names[] = {
		"applicable",  "not NoPE",      "QK-norm",      "biases", "not a constant sequence",
		"no rotation", "no family own", "another block"};
	return reason < sizeof names / sizeof names[0] ? names[reason] : "not known";
}

static bool is_identity(const char *name)
{
	return strncmp(name, "E1", 2) == 0;
}

double sx_bounds_ratio(const sx_bounds *b, int64_t at)
{
	double lhs = b->lhs[at], rhs = b->rhs[at], off = b->allowance[at];
	if (is_identity(b->name[at % b->n])) lhs = fabs(lhs - rhs), rhs = 0;
	return lhs == 0 && rhs + off >= 0 ? 0 : lhs / (rhs + off);
}

static sx_verdict judge(const sx_bounds *b, int64_t at)
{
	double lhs = b->lhs[at], rhs = b->rhs[at], off = b->allowance[at];
	if (b->reason[at])
		return b->reason[at] == 255 ? SX_VERDICT_NONE : SX_VERDICT_NOT_APPLICABLE;
	/* An infinite right side holds whatever is on the left: that says nothing, either. */
	if (!isfinite(lhs) || !isfinite(rhs) || !isfinite(off)) return SX_VERDICT_NONE;
	if (is_identity(b->name[at % b->n])) lhs = fabs(lhs - rhs), rhs = 0;
	return lhs <= rhs + off ? SX_VERDICT_HOLDS : SX_VERDICT_VIOLATED;
}

void sx_bounds_judge(uint8_t *verdict, const sx_bounds *b)
{
	for (int64_t at = 0; at < b->S * b->L * b->H * b->n; at++)
		verdict[at] = (uint8_t)judge(b, at);
}

/* ---- summary ---- */

static int by_value(const void *a, const void *b)
{
	double x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

static double median_of(double *x, int64_t n)
{
	if (n == 0) return (double)NAN;
	qsort(x, (size_t)n, sizeof *x, by_value);
	return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static size_t length_of(const char *name, bool merge)
{
	return merge ? strcspn(name, ":") : strlen(name);
}

/* The line that name belongs to; a new one at the end where there is none yet. */
static int64_t line_of(sx_bounds_line *line, int64_t *n, const char *name, bool merge)
{
	size_t length = length_of(name, merge);
	for (int64_t k = 0; k < *n; k++)
		if (strlen(line[k].name) == length && strncmp(line[k].name, name, length) == 0)
			return k;
	sx_bounds_line *l = &line[*n];
	*l = (sx_bounds_line){.tightest = (double)NAN, .at = -1};
	snprintf(l->name, sizeof l->name, "%.*s", (int)length, name);
	return (*n)++;
}

typedef struct {
	double *ratio, *paper; /* of the evaluations                               */
	int64_t n, n_paper;
} tally;

static void count(sx_bounds_line *l, tally *t, const sx_bounds *b, uint8_t verdict, int64_t at)
{
	if (verdict == SX_VERDICT_NOT_APPLICABLE) {
		uint8_t known = b->reason[at] < SX_REASONS ? b->reason[at] : SX_REASONS - 1;
		l->not_applicable++;
		l->reasons[known]++;
		if (l->reasons[known] > l->reasons[l->reason]) l->reason = known;
		return;
	}
	if (verdict == SX_VERDICT_NONE) {
		l->missing++;
		return;
	}
	double ratio = sx_bounds_ratio(b, at), paper = b->rhs_paper[at] / b->rhs[at];
	l->evaluated++;
	l->violated += verdict == SX_VERDICT_VIOLATED;
	l->paper_broken += b->lhs[at] > b->rhs_paper[at] + b->allowance[at];
	if (isfinite(paper)) t->paper[t->n_paper++] = paper;
	t->ratio[t->n++] = ratio;
	if (l->at < 0 || ratio > l->tightest) l->tightest = ratio, l->at = at;
}

sx_status sx_bounds_summary(sx_bounds_line **out, int64_t *n, sx_ctx *ctx, const sx_bounds *b,
			    const uint8_t *verdict, bool merge)
{
	sx_status st = SX_OK;
	int64_t heads = b->S * b->L * b->H, lines = 0;
	sx_bounds_line *line = sx_calloc((size_t)b->n, sizeof *line);
	int64_t *of = sx_calloc((size_t)b->n, sizeof *of);
	tally t = {.ratio = sx_calloc((size_t)(heads * b->n), sizeof *t.ratio),
		   .paper = sx_calloc((size_t)(heads * b->n), sizeof *t.paper)};
	if (!line || !of || !t.ratio || !t.paper) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a summary of %lld inequalities",
			     (long long)b->n);
		goto out;
	}
	for (int64_t i = 0; i < b->n; i++) of[i] = line_of(line, &lines, b->name[i], merge);
	for (int64_t k = 0; k < lines; k++) {
		t.n = t.n_paper = 0;
		for (int64_t at = 0; at < heads * b->n; at++)
			if (of[at % b->n] == k) count(&line[k], &t, b, verdict[at], at);
		line[k].median = median_of(t.ratio, t.n);
		line[k].paper = median_of(t.paper, t.n_paper);
	}
	*out = line, *n = lines;
	line = NULL;
out:
	free(line);
	free(of);
	free(t.ratio);
	free(t.paper);
	return st;
}

void sx_bounds_reasons(char *to, size_t size, const sx_bounds_line *l)
{
	bool told[SX_REASONS] = {false};
	size_t used = 0;
	to[0] = '\0';
	for (;;) {
		int most = -1;
		for (int r = 0; r < SX_REASONS; r++)
			if (!told[r] && l->reasons[r] &&
			    (most < 0 || l->reasons[r] > l->reasons[most]))
				most = r;
		if (most < 0 || used >= size) return;
		told[most] = true;
		const char *name = sx_reason_name((uint8_t)most), *comma = used ? ", " : "";
		int n = l->reasons[most] == l->not_applicable
				? snprintf(to + used, size - used, "%s", name)
				: snprintf(to + used, size - used, "%s%s %lld", comma, name,
					   (long long)l->reasons[most]);
		used += n > 0 ? (size_t)n : 0;
	}
}

/* ---- from a run file ---- */

void sx_bounds_record_free(sx_bounds_record *r)
{
	free(r->name);
	free(r->lhs);
	free(r->rhs);
	free(r->rhs_paper);
	free(r->allowance);
	free(r->row);
	free(r->reason);
	*r = (sx_bounds_record){0};
}

static sx_status make_room(sx_bounds_record *r, sx_ctx *ctx, int64_t n)
{
	r->lhs = sx_calloc((size_t)n, sizeof *r->lhs);
	r->rhs = sx_calloc((size_t)n, sizeof *r->rhs);
	r->rhs_paper = sx_calloc((size_t)n, sizeof *r->rhs_paper);
	r->allowance = sx_calloc((size_t)n, sizeof *r->allowance);
	r->row = sx_calloc((size_t)n, sizeof *r->row);
	r->reason = sx_calloc((size_t)n, 1);
	if (r->lhs && r->rhs && r->rhs_paper && r->allowance && r->row && r->reason) return SX_OK;
	return sx_fail(ctx, SX_ENOMEM, "no memory for %lld inequalities", (long long)n);
}

sx_status sx_bounds_read(sx_bounds_record *out, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_bounds_record r = {0};
	sx_run_file *f = NULL;
	int64_t dims[SX_RUN_MAX_DIMS], start[5] = {0}, one = 1, n_names = 0;
	int ndim = 0;
	SX_TRY(sx_run_open(&f, ctx, path));
	if (!sx_run_has(f, SX_RUN_BOUNDS_LHS)) {
		st = sx_fail(ctx, SX_EDATA,
			     "%s holds no /bounds; `sextant bounds MODEL -o FILE.h5` makes one",
			     path);
		goto out;
	}
	SX_TRY(sx_run_shape(f, SX_RUN_BOUNDS_LHS, dims, &ndim));
	if (ndim != 5 || dims[0] < 1) {
		st = sx_fail(ctx, SX_EDATA, "%s: /bounds holds no record", path);
		goto out;
	}
	r.b = (sx_bounds){.S = dims[1], .L = dims[2], .H = dims[3], .n = dims[4]};
	start[0] = dims[0] - 1, dims[0] = 1;
	SX_TRY(make_room(&r, ctx, dims[1] * dims[2] * dims[3] * dims[4]));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_STEP, start, &one, &r.step));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_LHS, start, dims, r.lhs));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_RHS, start, dims, r.rhs));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_RHS_PAPER, start, dims, r.rhs_paper));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_ALLOWANCE, start, dims, r.allowance));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_ROW, start, dims, r.row));
	SX_TRY(sx_run_read(f, SX_RUN_BOUNDS_REASON, start, dims, r.reason));
	SX_TRY(sx_run_strings(f, SX_RUN_BOUNDS_INEQUALITY, &r.name, &n_names));
	if (n_names != r.b.n) {
		st = sx_fail(ctx, SX_EDATA, "%s: /bounds has %lld names for %lld inequalities",
			     path, (long long)n_names, (long long)r.b.n);
		goto out;
	}
	r.b.name = (const char *const *)r.name;
	r.b.lhs = r.lhs, r.b.rhs = r.rhs, r.b.rhs_paper = r.rhs_paper;
	r.b.allowance = r.allowance, r.b.row = r.row, r.b.reason = r.reason;
	*out = r;
	r = (sx_bounds_record){0};
out:
	sx_run_file_close(f);
	sx_bounds_record_free(&r);
	return st;
}

#include "cli/bounds_mix.h"

#include "analysis/mix.h"
#include "cli/out.h"
#include "probes/runfile/runfile.h"

#include <math.h>
#include <stdlib.h>

enum { SEED = 1 }; /* of the bootstrap */

/* ---- printing ---- */

static sx_status print_json(sx_ctx *ctx, const sx_mix *m, const sx_mix_line *line, int64_t n)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < n; i++) {
		const sx_mix_line *l = &line[i];
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:I, s:o, s:o}", "family",
				  m->family[l->c], "quantity", sx_mix_quantity_name(l->quantity),
				  "layer", (json_int_t)l->layer, "slope",
				  sx_json_number(l->slope.value), "slope_lo",
				  sx_json_number(l->slope.lo), "slope_hi",
				  sx_json_number(l->slope.hi), "points", (json_int_t)l->points,
				  "at_largest_t", sx_json_number(l->largest), "at_smallest_t",
				  sx_json_number(l->smallest)));
	}
	return sx_print_json(ctx, json_pack("{s:I, s:f, s:o}", "sequences", (json_int_t)m->S,
					    "within", SX_MIX_WITHIN, "lines", list));
}

static sx_status print_table(sx_ctx *ctx, const sx_mix *m, const sx_mix_line *line, int64_t n)
{
	static const char *const headings[] = {"family", "",          "layer",      "slope",
					       "95 %",   "largest t", "smallest t", "points"};
	sx_table *t = sx_table_new(8, headings);
	for (int64_t i = 0; i < n; i++) {
		const sx_mix_line *l = &line[i];
		sx_table_cell(t, "%s", m->family[l->c]);
		sx_table_cell(t, "%s", sx_mix_quantity_name(l->quantity));
		sx_table_cell(t, "%lld", (long long)l->layer);
		sx_table_f(t, 3, l->slope.value);
		if (isfinite(l->slope.lo) && isfinite(l->slope.hi))
			sx_table_cell(t, "%.3f to %.3f", l->slope.lo, l->slope.hi);
		else
			sx_table_f(t, 3, (double)NAN);
		sx_table_g(t, 3, l->largest);
		sx_table_g(t, 3, l->smallest);
		sx_table_cell(t, "%lld", (long long)l->points);
	}
	bool undefined = sx_table_undefined(t);
	sx_status st = sx_table_print(t, ctx);
	if (undefined)
		printf("-: undefined: a slope needs two points (a spread of at most %g of the "
		       "largest, "
		       "and values above 0),\nan interval two sequences, a value a number.\n",
		       SX_MIX_WITHIN);
	return st;
}

static sx_status print(sx_ctx *ctx, const sx_mix *m, bool json)
{
	sx_mix_line *line = NULL;
	int64_t n = 0;
	sx_status st = sx_mix_lines(&line, &n, ctx, m, SEED);
	if (st == SX_OK) st = json ? print_json(ctx, m, line, n) : print_table(ctx, m, line, n);
	free(line);
	return st;
}

sx_status sx_mix_print_file(bool *there, sx_ctx *ctx, const char *path, bool json)
{
	sx_status st = SX_OK;
	sx_run_file *f = NULL;
	sx_mix_record r = {0};
	SX_TRY(sx_run_open(&f, ctx, path));
	*there = sx_run_has(f, SX_RUN_MIX_GRAD_NORM);
	if (!*there) goto out;
	SX_TRY(sx_mix_read(&r, ctx, f));
	SX_TRY(print(ctx, &r.m, json));
out:
	sx_mix_record_free(&r);
	sx_run_file_close(f);
	return st;
}

/* ---- a model ---- */

static sx_status parse_list(double **out, int64_t *n, sx_ctx *ctx, const char *list)
{
	int64_t count = 1;
	for (const char *s = list; *s; s++) count += *s == ',';
	double *t = sx_calloc((size_t)count, sizeof *t);
	if (!t) return sx_fail(ctx, SX_ENOMEM, "no memory for --mix");
	const char *s = list;
	for (*n = 0; *n < count; (*n)++) {
		char *end = NULL;
		t[*n] = strtod(s, &end);
		if (end == s || (*end && *end != ',') || !(t[*n] > 0 && t[*n] <= 1)) {
			free(t);
			return sx_fail(ctx, SX_EUSAGE,
				       "--mix %s: want numbers above 0 and at most 1, with commas "
				       "between",
				       list);
		}
		s = end + (*end == ',');
	}
	*out = t;
	return SX_OK;
}

sx_status sx_mix_print_model(sx_ctx *ctx, const sx_mix_job *asked, const char *list, bool json)
{
	sx_status st = SX_OK;
	sx_mix_job job = *asked;
	sx_mix_arrays a = {0};
	double *t = NULL;
	SX_TRY(parse_list(&t, &job.n_t, ctx, list));
	job.t = t;
	SX_TRY(sx_mix_measure(&a, ctx, &job));
	const sx_mix m = {.n_t = a.n_t,
			  .S = a.S,
			  .L = a.L,
			  .H = a.H,
			  .n_c = a.n_c,
			  .n_wrt = a.n_wrt,
			  .t = t,
			  .family = a.family,
			  .wrt = a.wrt,
			  .value = a.value,
			  .grad_norm = a.grad_norm,
			  .spread = a.spread};
	SX_TRY(print(ctx, &m, json));
out:
	free(t);
	sx_mix_arrays_free(&a);
	return st;
}

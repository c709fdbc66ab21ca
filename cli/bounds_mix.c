#include "cli/bounds_mix.h"

#include "analysis/mix.h"
#include "cli/out.h"
#include "engine/op/blas.h"
#include "probes/lab/provenance.h"
#include "probes/lab/trace.h"
#include "probes/runfile/runfile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1 }; /* of the bootstrap */
static const char *const wrt_names[] = {"wq", "wk", "q", "k", "h"};
enum { N_WRT = sizeof wrt_names / sizeof wrt_names[0] };

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
		if (isnan(l->slope.value)) {
			sx_table_cell(t, "-");
			sx_table_cell(t, "-");
		} else {
			sx_table_cell(t, "%.3f", l->slope.value);
			sx_table_cell(t, "%.3f to %.3f", l->slope.lo, l->slope.hi);
		}
		sx_table_cell(t, "%.3g", l->largest);
		sx_table_cell(t, "%.3g", l->smallest);
		sx_table_cell(t, "%lld", (long long)l->points);
	}
	return sx_table_print(t, ctx);
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

/* ---- measuring ---- */

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

/* One pass; record k of the arrays. */
static sx_status measure(sx_ctx *ctx, const sx_mix_job *job, double t, double *value, double *grad,
			 double *spread)
{
	sx_status st = SX_OK;
	const sx_source *s = job->source;
	const sx_sequences *in = job->in;
	const sx_measure_opts o = {.ac = true, .ac_gradients = true, .spread = true};
	sx_measures *m = NULL;
	double *nll = sx_calloc((size_t)(in->S * in->T), sizeof *nll);
	if (!nll) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the results"));
	SX_TRY(sx_measures_new(&m, ctx, &o, in->S, s->spec.L, s->spec.H, in->T, s->spec.D / 2,
			       job->n_c));
	sx_trace_request pass = {.spec = &s->spec,
				 .tensors = s->tensors,
				 .seed = s->seed,
				 .init = (int)s->init,
				 .mix = &t,
				 .S = in->S,
				 .T = in->T,
				 .tokens = in->tokens,
				 .target = in->target,
				 .measure = &o,
				 .family = job->family,
				 .threads = sx_blas_threads()};
	SX_TRY(job->f64 ? sx_trace_f64(ctx, &pass, m, nll, NULL)
			: sx_trace(ctx, &pass, m, nll, NULL));
	size_t heads = (size_t)(m->S * m->L * m->H * m->n_c);
	memcpy(value, m->ac_value, heads * sizeof *value);
	memcpy(grad, m->ac_grad, heads * N_WRT * sizeof *grad);
	memcpy(spread, m->prefix_spread, (size_t)(m->S * m->L) * sizeof *spread);
out:
	free(nll);
	sx_measures_free(m);
	return st;
}

static sx_status write_file(sx_ctx *ctx, const sx_mix_job *job, const sx_mix *m)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	const sx_source *s = job->source;
	SX_TRY(sx_run_create(&run, ctx, job->out, false));
	SX_TRY(sx_provenance(run, ctx, job->command, s->seed, job->f64 ? "f64" : "f32",
			     job->command, &s->spec));
	SX_TRY(sx_run_attr_int(run, "/", "step_known", s->step_known));
	SX_TRY(sx_run_axis(run, SX_RUN_MIX_T, m->n_t, m->t));
	SX_TRY(sx_run_axis_index(run, SX_RUN_MIX_SEQUENCE, m->S));
	SX_TRY(sx_run_axis_index(run, SX_RUN_MIX_LAYER, m->L));
	SX_TRY(sx_run_axis_index(run, SX_RUN_MIX_HEAD, m->H));
	SX_TRY(sx_run_axis(run, SX_RUN_MIX_C, m->n_c, m->family));
	SX_TRY(sx_run_axis(run, SX_RUN_MIX_WRT, m->n_wrt, m->wrt));
	SX_TRY(sx_run_define(run, SX_RUN_MIX_VALUE));
	SX_TRY(sx_run_define(run, SX_RUN_MIX_GRAD_NORM));
	SX_TRY(sx_run_define(run, SX_RUN_MIX_PREFIX_SPREAD));
	SX_TRY(sx_run_start(run));
	SX_TRY(sx_run_put(run, SX_RUN_MIX_VALUE, 0, m->value));
	SX_TRY(sx_run_put(run, SX_RUN_MIX_GRAD_NORM, 0, m->grad_norm));
	SX_TRY(sx_run_put(run, SX_RUN_MIX_PREFIX_SPREAD, 0, m->spread));
	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
out:
	sx_run_free(run);
	return st;
}

sx_status sx_mix_measure(sx_ctx *ctx, const sx_mix_job *job)
{
	sx_status st = SX_OK;
	int64_t S = job->in->S, L = job->source->spec.L, H = job->source->spec.H, n_t = 0;
	int64_t heads = S * L * H * job->n_c;
	double *t = NULL, *value = NULL, *grad = NULL, *spread = NULL;
	const char *family[SX_FAMILY_MOST];
	for (int64_t c = 0; c < job->n_c; c++) family[c] = job->family[c].name;
	SX_TRY(parse_list(&t, &n_t, ctx, job->list));
	value = sx_calloc((size_t)(n_t * heads), sizeof *value);
	grad = sx_calloc((size_t)(n_t * heads), N_WRT * sizeof *grad);
	spread = sx_calloc((size_t)(n_t * S * L), sizeof *spread);
	if (!value || !grad || !spread)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the results"));
	for (int64_t k = 0; k < n_t; k++)
		SX_TRY(measure(ctx, job, t[k], value + k * heads, grad + k * heads * N_WRT,
			       spread + k * S * L));
	const sx_mix m = {.n_t = n_t,
			  .S = S,
			  .L = L,
			  .H = H,
			  .n_c = job->n_c,
			  .n_wrt = N_WRT,
			  .t = t,
			  .family = family,
			  .wrt = wrt_names,
			  .value = value,
			  .grad_norm = grad,
			  .spread = spread};
	if (job->out) SX_TRY(write_file(ctx, job, &m));
	SX_TRY(print(ctx, &m, job->json));
out:
	free(t);
	free(value);
	free(grad);
	free(spread);
	return st;
}

#include "probes/lab/mix.h"

#include "engine/op/blas.h"
#include "probes/lab/provenance.h"
#include "probes/lab/trace.h"
#include "probes/runfile/runfile.h"

#include <stdlib.h>
#include <string.h>

static const char *const wrt_names[] = {"wq", "wk", "q", "k", "h"};
enum { N_WRT = sizeof wrt_names / sizeof wrt_names[0] };

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

static sx_status write_file(sx_ctx *ctx, const sx_mix_job *job, const sx_mix_arrays *m)
{
	sx_status st = SX_OK;
	sx_run *run = NULL;
	const sx_source *s = job->source;
	SX_TRY(sx_run_create(&run, ctx, job->out, false));
	SX_TRY(sx_provenance(run, ctx, job->command, s->seed, job->f64 ? "f64" : "f32",
			     job->command, &s->spec));
	SX_TRY(sx_run_attr_int(run, "/", "step_known", s->step_known));
	SX_TRY(sx_run_axis(run, SX_RUN_MIX_T, m->n_t, job->t));
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

void sx_mix_arrays_free(sx_mix_arrays *a)
{
	if (!a) return;
	free(a->value);
	free(a->grad_norm);
	free(a->spread);
	*a = (sx_mix_arrays){0};
}

sx_status sx_mix_measure(sx_mix_arrays *out, sx_ctx *ctx, const sx_mix_job *job)
{
	sx_status st = SX_OK;
	int64_t S = job->in->S, L = job->source->spec.L, H = job->source->spec.H, n_t = job->n_t;
	int64_t heads = S * L * H * job->n_c;
	sx_mix_arrays a = {.n_t = n_t,
			   .S = S,
			   .L = L,
			   .H = H,
			   .n_c = job->n_c,
			   .n_wrt = N_WRT,
			   .wrt = wrt_names};
	for (int64_t c = 0; c < job->n_c; c++) a.family[c] = job->family[c].name;
	a.value = sx_calloc((size_t)(n_t * heads), sizeof *a.value);
	a.grad_norm = sx_calloc((size_t)(n_t * heads), N_WRT * sizeof *a.grad_norm);
	a.spread = sx_calloc((size_t)(n_t * S * L), sizeof *a.spread);
	if (!a.value || !a.grad_norm || !a.spread)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the results"));
	for (int64_t k = 0; k < n_t; k++)
		SX_TRY(measure(ctx, job, job->t[k], a.value + k * heads,
			       a.grad_norm + k * heads * N_WRT, a.spread + k * S * L));
	if (job->out) SX_TRY(write_file(ctx, job, &a));
	*out = a;
	a = (sx_mix_arrays){0};
out:
	sx_mix_arrays_free(&a);
	return st;
}

#include "probes/lab/subject.h"

#include "engine/op/blas.h"
#include "probes/lab/provenance.h"

sx_status sx_subject_open(sx_subject *out, sx_ctx *ctx, const char *model, int n,
			  char *const *overrides, const sx_sequences_words *w,
			  const sx_sequences_default *d)
{
	sx_status st = SX_OK;
	*out = (sx_subject){.f64 = w->f64};
	SX_TRY(sx_families_parse(out->family, &out->n_c, ctx, w->ac));
	SX_TRY(sx_source_open(&out->source, ctx, model, w->tokenizer, n, overrides, NULL));
	if (out->source.tensors) out->source.tensors->unchecked = w->unchecked;
	SX_TRY(sx_sequences_read(&out->in, ctx, w, d, &out->source));
out:
	if (st != SX_OK) sx_subject_free(out);
	return st;
}

void sx_subject_free(sx_subject *s)
{
	sx_source_free(&s->source);
	sx_sequences_free(&s->in);
}

sx_trace_request sx_subject_request(const sx_subject *s, const sx_measure_opts *measure)
{
	return (sx_trace_request){.spec = &s->source.spec,
				  .tensors = s->source.tensors,
				  .seed = s->source.seed,
				  .init = (int)s->source.init,
				  .S = s->in.S,
				  .T = s->in.T,
				  .tokens = s->in.tokens,
				  .target = s->in.target,
				  .measure = measure,
				  .family = s->family,
				  .threads = sx_blas_threads()};
}

sx_status sx_subject_trace(const sx_subject *s, sx_ctx *ctx, const sx_trace_request *r,
			   sx_measures *into, double *nll, float *logits)
{
	return s->f64 ? sx_trace_f64(ctx, r, into, nll, logits)
		      : sx_trace(ctx, r, into, nll, logits);
}

sx_status sx_subject_file(sx_run **run, sx_ctx *ctx, const sx_subject *s, const char *path,
			  const char *command)
{
	sx_status st = SX_OK;
	const sx_source *from = &s->source;
	SX_TRY(sx_run_create(run, ctx, path, false));
	SX_TRY(sx_provenance(*run, ctx, command, from->seed, s->f64 ? "f64" : "f32", command,
			     &from->spec));
	SX_TRY(sx_run_attr_int(*run, "/", "step_known", from->step_known));
out:
	return st;
}

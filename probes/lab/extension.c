#include "probes/lab/extension.h"

#include <stdlib.h>
#include <xxhash.h>

const sx_eval_result *sx_eval_result_of(const sx_eval_job *j, int i)
{
	return &j->results[i - i % j->n_variant + j->results[i].variant.same_as];
}

bool sx_eval_is_own(const sx_eval_job *j, int i)
{
	return j->results[i].variant.same_as == i % j->n_variant;
}

/* A grid has the same variants at every length. */
sx_status sx_eval_job_list(sx_eval_job *j)
{
	sx_status st = SX_OK;
	for (int i = 0; st == SX_OK && i < j->opts.n_lengths; i++) {
		int n = 1;
		int64_t T = j->length[i];
		sx_variant one, *list = NULL;
		if (j->n_method)
			st = sx_variant_grid(&list, &n, j->ctx, &j->source.spec, T, j->method,
					     j->n_method, j->c, j->n_c);
		else
			st = sx_variant_now(&one, j->ctx, &j->source.spec, T);
		if (st != SX_OK) return st;
		j->n_variant = n;
		size_t all = (size_t)(j->n_result + n);
		sx_eval_result *grown = sx_grow(j->results, all, sizeof *grown);
		if (grown) {
			j->results = grown;
			for (int k = 0; k < n; k++)
				j->results[j->n_result++] =
					(sx_eval_result){.T = T, .variant = list ? list[k] : one};
		} else {
			st = sx_fail(j->ctx, SX_ENOMEM, "no memory for the results");
		}
		free(list);
	}
	return st;
}

/* Of all tokens and targets: two files with the same one were evaluated on the same windows. */
static int64_t fingerprint(const sx_windows *w)
{
	size_t n = (size_t)(w->W * w->T);
	uint64_t h = XXH3_64bits(w->tokens, n * sizeof *w->tokens);
	return (int64_t)XXH3_64bits_withSeed(w->target, n * sizeof *w->target, h);
}

/* For the file: the losses of single windows, and the hit of each problem. */
static sx_status keep_single(sx_eval_job *j, sx_eval_result *r, const sx_windows *w)
{
	size_t problems = (size_t)(j->opts.n_kinds * j->opts.trials);
	r->windows = w->W;
	if (!j->output) return SX_OK;
	r->fingerprint = fingerprint(w);
	r->row.each.nll = sx_calloc((size_t)w->W, sizeof(double));
	r->row.each.text_last = sx_calloc((size_t)w->W, sizeof(double));
	r->row.hit = problems ? sx_calloc(problems, 1) : NULL;
	if (r->row.each.nll && r->row.each.text_last && (r->row.hit || !problems)) return SX_OK;
	return sx_fail(j->ctx, SX_ENOMEM, "no memory to evaluate");
}

/* The windows of length T that are reported, and those set apart. */
static sx_status make_windows(sx_windows *w, sx_windows *choice, sx_eval_job *j, int64_t T)
{
	const sx_eval_opts *o = &j->opts;
	sx_windows_free(w);
	sx_windows_free(choice);
	if (!j->has_data) return sx_windows_pieces(w, j->ctx, &j->in, T);
	sx_status st = sx_windows_heldout(w, j->ctx, &j->data.lang, o->windows, T, o->seed);
	if (st != SX_OK || o->choice == 0) return st;
	return sx_windows_heldout(choice, j->ctx, &j->data.lang, o->windows, T,
				  sx_eval_choice_seed(o->seed));
}

sx_status sx_eval_job_run(sx_eval_job *j)
{
	sx_status st = SX_OK;
	sx_windows w = {0}, choice = {0};
	int own = 0, done = 0;
	const sx_language *l = j->has_data ? &j->data.lang : NULL;
	for (int i = 0; i < j->n_result; i++) own += sx_eval_is_own(j, i);
	sx_progress_to_begin(j->progress, "eval", 0, own);
	for (int i = 0; i < j->n_result; i++) {
		sx_eval_result *r = &j->results[i];
		if (i % j->n_variant == 0) SX_TRY(make_windows(&w, &choice, j, r->T));
		if (!sx_eval_is_own(j, i)) continue;
		j->model->spec.pos = r->variant.pos;
		SX_TRY(keep_single(j, r, &w));
		SX_TRY(sx_eval_length(&r->row, j->ctx, j->model, &w, choice.W ? &choice : NULL, l,
				      &j->opts, r->T));
		sx_progress_to_step(j->progress, ++done, r->row.ppl.nll,
				    (w.W + choice.W) * w.T +
					    j->opts.n_kinds * (j->opts.trials + j->opts.choice) *
						    r->T);
	}
	sx_progress_to_end(j->progress);
out:
	sx_windows_free(&w);
	sx_windows_free(&choice);
	return st;
}

void sx_eval_job_free(sx_eval_job *j)
{
	sx_source_free(&j->source);
	sx_model_free(j->model);
	if (j->has_data) sx_data_free(&j->data);
	sx_pieces_free(&j->in);
	free(j->words);
	for (int i = 0; i < j->n_result; i++) {
		free(j->results[i].row.each.nll);
		free(j->results[i].row.each.text_last);
		free(j->results[i].row.hit);
	}
	free(j->results);
}

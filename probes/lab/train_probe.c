/* What a training run looks at its model with: the probe batch, and observers of it and of the batches. */
#include "engine/op/blas.h"
#include "probes/lab/schedule.h"
#include "probes/lab/train_priv.h"

#include <stdlib.h>
#include <string.h>

sx_status sx_train_probes_make(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_train_probing *p = &s->probe;
	const sx_config *c = s->cfg;
	const int count[SX_PROBE_KINDS] = {
		[SX_PROBE_TEXT] = c->probe.sequences.text,
		[SX_PROBE_REPEATED] = c->probe.sequences.repeated,
		[SX_PROBE_RETRIEVAL] = s->data.lang.opts.on ? c->probe.sequences.retrieval : 0,
		[SX_PROBE_CONSTANT] = c->probe.sequences.constant};
	for (int k = 0; k < SX_PROBE_KINDS; k++) p->S += count[k];
	p->T = sx_schedule_probe_length(c, &s->spec);
	p->kind = sx_calloc((size_t)p->S, 1);
	p->tokens = sx_calloc((size_t)(p->S * p->T), sizeof *p->tokens);
	p->target = sx_calloc((size_t)(p->S * p->T), sizeof *p->target);
	p->query_row = sx_calloc((size_t)(p->S * p->T), 1);
	if (!p->kind || !p->tokens || !p->target || !p->query_row)
		return sx_fail(s->ctx, SX_ENOMEM, "no memory for the probe batch");
	int64_t at = 0;
	for (int k = 0; k < SX_PROBE_KINDS; k++)
		for (int i = 0; i < count[k]; i++, at++) {
			p->kind[at] = (uint8_t)k;
			SX_TRY(sx_language_probe_rows(p->tokens + at * p->T, p->target + at * p->T,
						      p->query_row + at * p->T, s->ctx,
						      &s->data.lang, (sx_probe_kind)k, p->T,
						      (uint64_t)c->seed, (uint64_t)i));
		}
out:
	return st;
}

sx_status sx_train_probes_choose(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_train_probing *p = &s->probe;
	const sx_config *c = s->cfg;
	for (size_t i = 0; i < c->probe.ac.n; i++) {
		if (p->n_c == SX_FAMILY_MOST)
			return sx_fail(s->ctx, SX_ECONFIG, "probe.ac: at most %d families",
				       SX_FAMILY_MOST);
		SX_TRY(sx_family_parse(&p->family[p->n_c++], s->ctx, c->probe.ac.at[i]));
	}
	p->opts = (sx_measure_opts){.stats = c->probe.stats,
				    .rope = c->probe.rope,
				    .ac = p->n_c > 0,
				    .ac_gradients = true,
				    .spread = p->n_c > 0,
				    .query_row = p->query_row};
	if (c->probe.maps.every > 0 && p->S > 0) {
		st = sx_select_heads(&p->map, &p->opts.n_map, s->ctx, c->probe.maps.heads,
				     s->spec.L, s->spec.H);
		if (st == SX_EUSAGE) st = SX_ECONFIG; /* here it is a setting */
		SX_TRY(st);
	}
	p->opts.map = p->map;
	sx_reduce_words words;
	if (p->S > 0 && sx_schedule_reduces(c, &words)) {
		st = sx_reduce_new(&p->reduce, s->ctx, &words, s->spec.L, s->spec.H, p->S, p->T);
		if (st == SX_EUSAGE) st = SX_ECONFIG;
		SX_TRY(st);
	}
	p->opts.reduce = p->reduce;
	p->axes = (sx_record_axes){.spec = &s->spec,
				   .S = p->S,
				   .T = p->T,
				   .kind = p->kind,
				   .tokens = p->tokens,
				   .measure = &p->opts,
				   .family = p->family,
				   .n_c = p->n_c,
				   .maps_f32 = strcmp(c->probe.maps.type, "f32") == 0,
				   .records = 1,
				   .samples = 1};
out:
	return st;
}

static void free_observers(sx_train_probing *p)
{
	sx_observers_free(p->observers);
	sx_observers_free(p->observers_train);
	sx_work_free(p->work);
	sx_measures_free(p->found);
	sx_measures_free(p->found_train);
	p->observers = p->observers_train = NULL;
	p->work = NULL;
	p->found = p->found_train = NULL;
}

/* Observers of the trainer's model as it is now. */
sx_status sx_train_probes_watch(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_train_probing *p = &s->probe;
	const sx_model *m = s->trainer->model;
	const sx_spec *spec = &m->spec;
	int threads = sx_blas_threads();
	free_observers(p);
	if (p->S > 0 && s->cfg->probe.every > 0) {
		SX_TRY(sx_measures_new(&p->found, s->ctx, &p->opts, p->S, spec->L, spec->H, p->T,
				       spec->D / 2, p->n_c));
		SX_TRY(sx_observers_new(&p->observers, s->ctx, spec, &p->opts, p->family, threads,
					p->found));
		SX_TRY(sx_work_new(&p->work, s->ctx, m, p->S, p->T, SX_WORK_FORWARD));
	}
	const sx_measure_opts batches = sx_schedule_batch_measures(s->cfg);
	if (!batches.ac) goto out;
	SX_TRY(sx_measures_new(&p->found_train, s->ctx, &batches, s->cfg->train.batch, spec->L,
			       spec->H, s->spec.T, spec->D / 2, p->n_c));
	SX_TRY(sx_observers_new(&p->observers_train, s->ctx, spec, &batches, p->family, threads,
				p->found_train));
out:
	return st;
}

sx_status sx_train_probes_run(sx_train_session *s)
{
	sx_status st = SX_OK;
	sx_train_probing *p = &s->probe;
	const sx_trainer *t = s->trainer;
	if (!p->observers) return SX_OK;
	bool maps = sx_schedule_at(s->cfg, t->step).maps;
	int n = 0;
	sx_observers_sink(p->observers, maps ? p->sink : NULL);
	const sx_probe *probe = sx_observers_probes(p->observers, &n);
	SX_TRY(sx_forward(
		s->ctx, t->model, p->work,
		&(sx_request){.tokens = p->tokens, .B = p->S, .probe = probe, .n_probe = n}, NULL));
	SX_TRY(sx_record_put(s->run, s->ctx, &p->axes, p->found, &t->model->spec, t->step,
			     (int)t->phase, maps));
out:
	return st;
}

void sx_train_probes_free(sx_train_probing *p)
{
	free_observers(p);
	free(p->kind);
	free(p->tokens);
	free(p->target);
	free(p->query_row);
	free(p->map);
	sx_map_sink_free(p->sink);
	sx_reduce_free(p->reduce);
}

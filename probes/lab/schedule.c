#include "probes/lab/schedule.h"

#include "engine/text/language.h"

#include <stdlib.h>

/* ---- when ---- */

int64_t sx_schedule_updates(const sx_config *cfg)
{
	return cfg->train.drop_at < 0 ? cfg->train.steps
				      : cfg->train.drop_at + cfg->train.drop.steps;
}

/* Whether something that comes every so often, never where period = 0, is due after `step`. */
static bool every(int64_t step, int64_t period)
{
	return period > 0 && step % period == 0;
}

static bool listed(const sx_int_list *l, int64_t step)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i] == step) return true;
	return false;
}

sx_schedule_due sx_schedule_at(const sx_config *cfg, int64_t step)
{
	int64_t away = step - cfg->train.drop_at;
	bool last = step == sx_schedule_updates(cfg), drop = cfg->train.drop_at >= 0;
	bool near = drop && llabs(away) <= cfg->probe.around_drop.within &&
		    every(away, cfg->probe.around_drop.every);
	sx_schedule_due due = {0};
	due.probe = cfg->probe.every > 0 && (last || near || every(step, cfg->probe.every));
	due.maps = due.probe && cfg->probe.maps.every > 0 &&
		   (last || (drop && away == 0) || every(step, cfg->probe.maps.every));
	due.eval = step > 0 && cfg->eval.every > 0 && (last || every(step, cfg->eval.every));
	due.checkpoint = step == 0 || last || (drop && away == 0) ||
			 every(step, cfg->train.checkpoint_every) ||
			 listed(&cfg->train.checkpoint_at, step);
	return due;
}

sx_schedule_counts sx_schedule_count(const sx_config *cfg, int64_t first)
{
	sx_schedule_counts n = {0};
	int64_t last = sx_schedule_updates(cfg);
	for (int64_t k = first; k <= last; k++) {
		sx_schedule_due due = sx_schedule_at(cfg, k);
		int64_t times = k == cfg->train.drop_at ? 2 : 1;
		n.probes += due.probe ? times : 0;
		n.maps += due.maps ? times : 0;
		n.evals += due.eval && k > first;
		n.checkpoints += due.checkpoint;
	}
	return n;
}

/* ---- what ---- */

int64_t sx_schedule_probe_sequences(const sx_config *cfg)
{
	int64_t items = cfg->data.retrieval.keys > 0 ? cfg->probe.sequences.retrieval : 0;
	return items + cfg->probe.sequences.text + cfg->probe.sequences.repeated +
	       cfg->probe.sequences.constant;
}

int64_t sx_schedule_probe_length(const sx_config *cfg, const sx_spec *s)
{
	return cfg->probe.length ? cfg->probe.length : s->T;
}

sx_measure_opts sx_schedule_measures(const sx_config *cfg)
{
	bool ac = cfg->probe.ac.n > 0;
	return (sx_measure_opts){.stats = cfg->probe.stats,
				 .rope = cfg->probe.rope,
				 .ac = ac,
				 .ac_gradients = ac,
				 .spread = ac};
}

sx_measure_opts sx_schedule_batch_measures(const sx_config *cfg)
{
	bool ac = cfg->probe.ac_train && cfg->probe.ac.n > 0;
	return (sx_measure_opts){
		.ac = ac, .ac_gradients = ac, .ac_without_h = !cfg->probe.ac_train_wrt_h};
}

bool sx_schedule_reduces(const sx_config *cfg, sx_reduce_words *w)
{
	*w = (sx_reduce_words){.what = cfg->probe.reduce.what,
			       .heads = cfg->probe.reduce.heads,
			       .top = cfg->probe.reduce.top,
			       .thumbnails = cfg->probe.reduce.thumbnails};
	return *w->what || w->top || w->thumbnails;
}

int sx_schedule_needle_kinds(const sx_config *cfg)
{
	int keys = cfg->data.retrieval.keys;
	if (keys == 0 || cfg->eval.niah_trials == 0) return 0;
	/* several keys cannot be asked for where there is one */
	return keys > 1 && cfg->data.retrieval.values > 1 ? SX_NEEDLE_KINDS : SX_NEEDLE_KINDS - 1;
}

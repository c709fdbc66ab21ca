/* The sites' part of the run file: /sites. */
#include "probes/record/record.h"

sx_run_id sx_site_dataset(sx_site site)
{
	/* clang-format off */
	static const sx_run_id of[SX_SITE_COUNT] = {
		[SX_SITE_X_IN] = SX_RUN_SITES_X, [SX_SITE_H] = SX_RUN_SITES_H,
		[SX_SITE_Q] = SX_RUN_SITES_Q, [SX_SITE_K] = SX_RUN_SITES_K,
		[SX_SITE_Q_ROT] = SX_RUN_SITES_Q_ROT, [SX_SITE_K_ROT] = SX_RUN_SITES_K_ROT,
		[SX_SITE_V] = SX_RUN_SITES_V, [SX_SITE_Z] = SX_RUN_SITES_Z,
		[SX_SITE_MLP] = SX_RUN_SITES_MLP,
	};
	/* clang-format on */
	return of[site];
}

sx_status sx_sites_define(sx_run *run, const sx_record_axes *a)
{
	sx_status st = SX_OK;
	const sx_sites *k = a->measure->sites;
	const sx_choice *c = &k->choice;
	bool head = k->any[SX_SITE_OF_HEAD], kv_head = k->any[SX_SITE_OF_KV_HEAD];
	SX_TRY(sx_run_grow(run, SX_RUN_SITES_STEP, a->records));
	SX_TRY(sx_run_define(run, SX_RUN_SITES_PHASE));
	SX_TRY(sx_run_axis_index(run, SX_RUN_SITES_SEQUENCE, k->S));
	SX_TRY(sx_run_axis(run, SX_RUN_SITES_LAYER, c->n_layer, (const int32_t *)c->layer));
	if (head) SX_TRY(sx_run_axis(run, SX_RUN_SITES_HEAD, c->n_head, (const int32_t *)c->head));
	if (kv_head)
		SX_TRY(sx_run_axis(run, SX_RUN_SITES_KV_HEAD, k->n_kv_head,
				   (const int32_t *)k->kv_head));
	SX_TRY(sx_run_axis(run, SX_RUN_SITES_QUERY, c->n_query, (const int32_t *)c->query));
	if (k->any[SX_SITE_OF_STREAM])
		SX_TRY(sx_run_axis_index(run, SX_RUN_SITES_CHANNEL, a->spec->C));
	if (head || kv_head) SX_TRY(sx_run_axis_index(run, SX_RUN_SITES_HEAD_CHANNEL, a->spec->D));
	if (k->any[SX_SITE_OF_MLP]) SX_TRY(sx_run_axis_index(run, SX_RUN_SITES_HIDDEN, a->spec->F));
	SX_TRY(sx_run_attr_str(run, "/sites", "pairing",
			       a->spec->interleaved ? "interleaved" : "half"));
	for (int i = 0; i < SX_SITE_COUNT; i++)
		if (k->want[i]) SX_TRY(sx_run_define(run, sx_site_dataset((sx_site)i)));
out:
	return st;
}

sx_status sx_sites_put(sx_run *run, const sx_site_rows *r, int64_t step, int phase)
{
	sx_status st = SX_OK;
	int64_t rec = sx_run_records(run, SX_RUN_SITES_STEP);
	uint8_t p = (uint8_t)phase;
	for (int i = 0; i < SX_SITE_COUNT; i++)
		if (r->at[i])
			SX_TRY(sx_run_put(run, sx_site_dataset((sx_site)i), rec,
					  (const float *)r->at[i]));
	SX_TRY(sx_run_put(run, SX_RUN_SITES_PHASE, rec, (const uint8_t *)&p));
	SX_TRY(sx_run_put(run, SX_RUN_SITES_STEP, rec, (const int64_t *)&step));
	SX_TRY(sx_run_flush(run, SX_RUN_SITES_STEP));
out:
	return st;
}

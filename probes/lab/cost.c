#include "probes/lab/cost.h"

#include "engine/model/model.h"
#include "engine/op/functional.h"
#include "probes/lab/schedule.h"
#include "probes/observe/map_sink.h"
#include "probes/record/record.h"

#include <stddef.h>
#include <string.h>

enum { NUMBER = 4 /* bytes of the engine's float */, NAME = 24 /* of a string of a fixed axis */ };

/* ---- FLOPs ---- */

/* A plan that cannot be made is said where the model is; here it costs nothing. */
static sx_pos_sight sight_of(const sx_spec *s, int64_t T)
{
	sx_pos_sight sight = {.one = true};
	if (sx_pos_sight_make(&sight, NULL, &s->pos, sx_spec_shape(s), T) != SX_OK)
		sight = (sx_pos_sight){.one = true};
	return sight;
}

double sx_cost_pairs(const sx_spec *s, int64_t T)
{
	return sight_of(s, T).pairs;
}

int64_t sx_cost_matrices(const sx_spec *s)
{
	int64_t q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	int64_t mlp = (s->block.mlp == SX_MLP_GELU ? 2 : 3) * (int64_t)s->F;
	return s->L * s->C * (2 * q + 2 * kv + mlp) + (int64_t)s->V * s->C;
}

int64_t sx_cost_embeddings(const sx_spec *s)
{
	return (int64_t)s->V * s->C * (s->tied ? 1 : 2);
}

sx_flops sx_cost_forward(const sx_spec *s, int64_t T, bool logits)
{
	double width = (double)s->H * s->D;
	int64_t n = sx_cost_matrices(s) - (logits ? 0 : (int64_t)s->V * s->C);
	return (sx_flops){.linear = 2.0 * (double)n * (double)T,
			  .attention = 4 * width * sx_cost_pairs(s, T)};
}

sx_flops sx_cost_train(const sx_spec *s, int64_t T)
{
	sx_flops f = sx_cost_forward(s, T, true);
	return (sx_flops){.linear = 3 * f.linear, .attention = 3 * f.attention};
}

double sx_cost_observers(const sx_spec *s, int64_t T, const sx_measure_opts *o, int64_t n_c)
{
	/* over all layers */
	double pairs = sx_cost_pairs(s, T), tokens = (double)s->L * (double)T, head = 0;
	double D = s->D, C = s->C;
	double into_h = s->qk_norm == SX_QK_NORM_FULL ? 2.0 * (s->H + s->Hkv) * D * C : 4 * D * C;
	if (o->ac_without_h) into_h = 0;
	if (o->rope) head += 2 * D * pairs;
	double family = 4 * D * pairs + (4 * D * C + into_h) * tokens;
	if (o->ac && o->ac_gradients) head += (double)n_c * family;
	if (o->grad) head += family;
	return (double)s->H * head + (o->spread ? 3 * C * pairs : 0);
}

/* ---- a training run ---- */

double sx_cost_evaluation(const sx_config *cfg, const sx_spec *s)
{
	double sum = 0, needles = (double)sx_schedule_needle_kinds(cfg) * cfg->eval.niah_trials;
	for (size_t i = 0; i < cfg->eval.lengths.n; i++) {
		sx_flops loss = sx_cost_forward(s, cfg->eval.lengths.at[i], true);
		sx_flops niah = sx_cost_forward(s, cfg->eval.lengths.at[i], false);
		sum += cfg->eval.windows * (loss.linear + loss.attention) +
		       needles * (niah.linear + niah.attention);
	}
	return sum;
}

/* ---- memory ---- */

/* The arrays of sx_measures_new, in doubles. */
static int64_t measured(const sx_spec *s, const sx_measure_opts *o, int64_t S, int64_t T,
			int64_t n_c)
{
	int64_t head = 0, n_freq = s->D / 2;
	if (o->stats) head += SX_STAT_COUNT + SX_OFFSET_BINS + sx_score_bins(T);
	if (o->rope) head += 5 * n_freq + 1;
	if (o->ac) head += n_c * (1 + (o->ac_gradients ? SX_WRT_COUNT : 0)) + 2;
	if (o->ac_toward) head += n_c * (2 + SX_WRT_COUNT);
	if (o->grad) head += SX_GRAD_COUNT + T;
	return S * ((int64_t)s->L * s->H * head + (o->spread ? s->L : 0));
}

int64_t sx_cost_probe_bytes(const sx_spec *s, const sx_measure_opts *o, int64_t S, int64_t T,
			    int64_t n_c, int threads)
{
	enum { TILE = 64, DOUBLE = 8 };
	int64_t tile = TILE * ((T + 15) / 16 * 16), thread = 0, n_freq = s->D / 2;
	if (o->stats) thread += DOUBLE * (14 * T + 1);
	if (o->rope) thread += DOUBLE * (s->D * T + T + 4 * n_freq + 2);
	if (o->ac) thread += (DOUBLE + NUMBER) * tile;
	if (o->ac && o->ac_gradients) thread += NUMBER * n_c * sx_functional_reals(s, T);
	if (o->grad) thread += DOUBLE * T + NUMBER * sx_functional_reals(s, T);
	if (o->reduce) thread += DOUBLE * SX_REDUCE_OFFSETS * T;
	return DOUBLE * measured(s, o, S, T, n_c) + threads * thread +
	       (o->reduce ? sx_reduced_bytes(o->reduce) : 0);
}

int64_t sx_cost_maps_bytes(const sx_spec *s, const sx_measure_opts *o, int64_t S, int64_t T,
			   bool f32, int threads)
{
	sx_map_sink_opts sink = {.n_map = o->n_map,
				 .T = T,
				 .window = sight_of(s, T).widest,
				 .batch = S,
				 .f32 = f32,
				 .threads = threads};
	return o->n_map ? sx_map_sink_bytes(&sink) : 0;
}

int sx_cost_trace_memory(sx_memory_line line[SX_TRACE_MEMORY], const sx_spec *s,
			 const sx_trace_cost *t)
{
	const sx_measure_opts *o = t->measure;
	int64_t wide = t->f64 ? 2 : 1, parameters = wide * NUMBER * sx_spec_params(s);
	int64_t tokens = t->S * t->T;
	sx_work_mode mode = o->grad ? SX_WORK_TRAIN : SX_WORK_FORWARD;
	const sx_measure_opts values = {.ac = true};
	int64_t later = parameters +
			wide * (NUMBER * s->L * t->T * s->C +
				(int64_t)sx_work_bytes(s, 1, t->T, SX_WORK_FORWARD, t->threads) +
				sx_cost_probe_bytes(s, &values, 1, t->T, t->n_c, t->threads));
	const sx_memory_line all[SX_TRACE_MEMORY] = {
		{"parameters", parameters},
		{"gradients", o->grad ? parameters : 0},
		{"activations", wide * (int64_t)sx_work_bytes(s, 1, t->T, mode, t->threads)},
		{"observers", wide * sx_cost_probe_bytes(s, o, t->S, t->T, t->n_c, t->threads)},
		{"later weights", t->toward ? later : 0},
		{"maps", sx_cost_maps_bytes(s, o, 1, t->T, t->maps_f32, t->threads)},
		{"sites", o->sites ? sx_site_rows_bytes(o->sites) : 0},
		{"tokens and losses", tokens * (int64_t)(2 * sizeof(int32_t) + sizeof(double))},
		{"logits", t->logits ? tokens * s->V * (int64_t)sizeof(float) : 0}};
	int n = 0;
	for (int i = 0; i < SX_TRACE_MEMORY; i++)
		if (all[i].bytes > 0) line[n++] = all[i];
	return n;
}

int64_t sx_cost_evaluation_bytes(const sx_config *cfg, const sx_spec *s, int threads)
{
	enum { TOKENS = 4096 }; /* that evaluate.c puts into one pass */
	int64_t most = 0, all = cfg->eval.windows;
	if (sx_schedule_needle_kinds(cfg) && cfg->eval.niah_trials > all)
		all = cfg->eval.niah_trials;
	for (size_t i = 0; all > 0 && i < cfg->eval.lengths.n; i++) {
		int64_t T = cfg->eval.lengths.at[i], B = T < TOKENS ? TOKENS / T : 1;
		int64_t n =
			(int64_t)sx_work_bytes(s, B < all ? B : all, T, SX_WORK_FORWARD, threads);
		most = n > most ? n : most;
	}
	return most;
}

int64_t sx_cost_checkpoint_bytes(const sx_spec *s)
{
	return 3 * NUMBER * sx_spec_params(s);
}

/* ---- files ---- */

static const struct {
	const char *name;
	size_t offset;
} axes[] = {
	{"sequence", offsetof(sx_file_axes, sequence)},
	{"layer", offsetof(sx_file_axes, layer)},
	{"head", offsetof(sx_file_axes, head)},
	{"offset_bin", offsetof(sx_file_axes, offset_bin)},
	{"offset", offsetof(sx_file_axes, offset)},
	{"c", offsetof(sx_file_axes, c)},
	{"wrt", offsetof(sx_file_axes, wrt)},
	{"freq", offsetof(sx_file_axes, freq)},
	{"map", offsetof(sx_file_axes, map)},
	{"query", offsetof(sx_file_axes, query)},
	{"key", offsetof(sx_file_axes, key)},
	{"width", offsetof(sx_file_axes, width)},
	{"rank", offsetof(sx_file_axes, rank)},
	{"query_block", offsetof(sx_file_axes, block)},
	{"key_block", offsetof(sx_file_axes, block)},
	{"kv_head", offsetof(sx_file_axes, kv_head)},
	{"channel", offsetof(sx_file_axes, channel)},
	{"head_channel", offsetof(sx_file_axes, head_channel)},
	{"hidden", offsetof(sx_file_axes, hidden)},
	{"vocab", offsetof(sx_file_axes, vocab)},
	{"context_length", offsetof(sx_file_axes, context_length)},
	{"kind", offsetof(sx_file_axes, kind)},
	{"distance", offsetof(sx_file_axes, distance)},
};

static bool is_growing(const char *name, size_t len)
{
	static const char *const grow[] = {"step", "sample", "ckpt"};
	for (size_t i = 0; i < sizeof grow / sizeof grow[0]; i++)
		if (strlen(grow[i]) == len && strncmp(name, grow[i], len) == 0) return true;
	return false;
}

/* Length of an axis; a growing one counts 1, an unknown one is absent. */
static int64_t axis_length(const char *name, size_t len, const sx_file_axes *a)
{
	if (is_growing(name, len)) return 1;
	for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++)
		if (strlen(axes[i].name) == len && strncmp(name, axes[i].name, len) == 0)
			return *(const int64_t *)(const void *)((const char *)a + axes[i].offset);
	return 0;
}

static bool grows(sx_run_id id)
{
	const char *dims = sx_run_rows[id].dims;
	return is_growing(dims, strcspn(dims, ","));
}

static int64_t number_bytes(sx_run_id id, const sx_file_axes *a)
{
	sx_run_type type = sx_run_rows[id].type;
	if (type == SX_DISK_F16 && a->maps_f32) type = SX_DISK_F32;
	return (int64_t)sx_disk_size(type, grows(id) ? SX_RUN_STR_MAX : NAME);
}

/* One record of a growing dataset, or all of a fixed one. */
static int64_t dataset_bytes(sx_run_id id, const sx_file_axes *a)
{
	int64_t n = number_bytes(id, a);
	if (id == SX_RUN_ATTN_PROB) return n * a->map * sx_run_map_cells(a->query, a->window);
	for (const char *s = sx_run_rows[id].dims;; s++) {
		size_t len = strcspn(s, ",");
		n *= axis_length(s, len, a);
		s += len;
		if (*s == '\0') return n;
	}
}

/* What `bounds`, `eval` or `trace --batch-grad` alone stores, the losses where there are none, and sites
 * that are not kept. */
static bool is_absent(sx_run_id id, const sx_file_axes *a)
{
	static const sx_run_id later[] = {
		SX_RUN_AC_VALUE_BOUND,      SX_RUN_AC_GRAD_BOUND,      SX_RUN_AC_VALUE_BOUND_PAPER,
		SX_RUN_AC_GRAD_BOUND_PAPER, SX_RUN_AC_OSC_SPREAD_H,    SX_RUN_AC_WQ_NORM,
		SX_RUN_AC_WK_NORM,          SX_RUN_AC_BATCH_GRAD_NORM, SX_RUN_AC_CHANGE,
		SX_RUN_AC_CHANGE_W,         SX_RUN_AC_CHANGE_NORM,     SX_RUN_AC_FIRST_ORDER,
		SX_RUN_EVAL_NLL_SE,         SX_RUN_EVAL_TEXT_NLL,      SX_RUN_EVAL_QUERY_HITS,
		SX_RUN_EVAL_QUERY_TRIALS};
	for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
		if (later[i] == id) return true;
	for (int i = 0; i < SX_SITE_COUNT; i++)
		if (sx_site_dataset((sx_site)i) == id) return !a->sites || !a->sites->want[i];
	if (id == SX_RUN_AC_PREFIX_SPREAD) return !a->wrt; /* measured with the gradients */
	return !a->losses && (id == SX_RUN_EVAL_NLL || id == SX_RUN_EVAL_NLL_LAST);
}

void sx_cost_group(const char *group, const sx_file_axes *a, int64_t *record, int64_t *fixed)
{
	size_t len = strlen(group);
	*record = *fixed = 0;
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		sx_run_id id = (sx_run_id)i;
		const char *path = sx_run_rows[i].path;
		if (strncmp(path, group, len) != 0 || path[len] != '/' || is_absent(id, a))
			continue;
		*(grows(id) ? record : fixed) += dataset_bytes(id, a);
	}
}

sx_file_axes sx_cost_trace_axes(const sx_spec *s, int64_t S, int64_t T, int64_t n_c, int64_t n_map)
{
	return (sx_file_axes){.sequence = S,
			      .layer = s->L,
			      .head = s->H,
			      .offset_bin = SX_OFFSET_BINS,
			      .offset = sx_score_bins(T),
			      .c = n_c,
			      .wrt = SX_WRT_COUNT,
			      .freq = s->D / 2,
			      .map = n_map,
			      .query = T,
			      .key = T,
			      .window = sight_of(s, T).widest};
}

sx_file_axes sx_cost_reduce_axes(const sx_reduce *r)
{
	return (sx_file_axes){.sequence = r->S,
			      .layer = r->choice.n_layer,
			      .head = r->choice.n_head,
			      .offset_bin = r->offsets ? r->n_bin : 0,
			      .query = r->rows || r->top ? r->choice.n_query : 0,
			      .key = r->keys ? r->T : 0,
			      .width = r->masses ? r->n_width : 0,
			      .rank = r->top,
			      .block = r->n_block};
}

sx_file_axes sx_cost_sites_axes(const sx_sites *k)
{
	const sx_choice *c = &k->choice;
	const bool *any = k->any;
	bool head = any[SX_SITE_OF_HEAD], kv_head = any[SX_SITE_OF_KV_HEAD];
	return (sx_file_axes){.sequence = k->S,
			      .layer = c->n_layer,
			      .head = head ? c->n_head : 0,
			      .kv_head = kv_head ? k->n_kv_head : 0,
			      .query = c->n_query,
			      .channel =
				      any[SX_SITE_OF_STREAM] ? k->form[SX_SITE_OF_STREAM].width : 0,
			      .head_channel = head || kv_head ? k->form[SX_SITE_OF_HEAD].width : 0,
			      .hidden = any[SX_SITE_OF_MLP] ? k->form[SX_SITE_OF_MLP].width : 0,
			      .sites = k};
}

static int64_t distance_bins(const sx_config *cfg)
{
	int64_t longest = 2, bins = 1;
	for (size_t i = 0; i < cfg->eval.lengths.n; i++)
		if (cfg->eval.lengths.at[i] > longest) longest = cfg->eval.lengths.at[i];
	while ((longest - 1) >> bins) bins++;
	return bins;
}

sx_file_axes sx_cost_run_axes(const sx_config *cfg, const sx_spec *s, int64_t n_map)
{
	sx_file_axes a = sx_cost_trace_axes(s, sx_schedule_probe_sequences(cfg),
					    sx_schedule_probe_length(cfg, s),
					    (int64_t)cfg->probe.ac.n, n_map);
	a.maps_f32 = strcmp(cfg->probe.maps.type, "f32") == 0;
	a.losses = cfg->eval.windows > 0;
	a.context_length = (int64_t)cfg->eval.lengths.n;
	a.kind = sx_schedule_needle_kinds(cfg);
	a.distance = a.kind ? distance_bins(cfg) : 0;
	return a;
}

/* Memory of one batch, and what depends on its length. Shapes: N = B T rows, q = H D, kv = Hkv D. */
#include "engine/model/model.h"
#include "engine/op/ops.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 64 };

static sx_real *take(sx_arena *a, int64_t n)
{
	return sx_arena_take(a, (size_t)n, sizeof(sx_real));
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static sx_attention_dims attention_dims(const sx_spec *s, const sx_pos_plan *plan, int64_t B,
					int64_t T, int64_t tile)
{
	return (sx_attention_dims){
		.B = B, .T = T, .tile = tile, .H = s->H, .Hkv = s->Hkv, .D = s->D, .plan = plan};
}

sx_attention_dims sx_work_attention(const sx_work *w, const sx_spec *s, int layer, int64_t B)
{
	return attention_dims(s, &w->plan[layer], B, w->T, w->tile);
}

/* Scratch is shared by all operations and layers: the largest need. Probes may come, so scores are
 * counted. */
static int64_t scratch_reals(const sx_work *w, const sx_spec *s)
{
	bool train = w->mode == SX_WORK_TRAIN;
	int64_t N = w->B * w->T, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D, n = 0;
	for (int l = 0; l < s->L; l++)
		n = most(n, sx_attention_scratch(sx_work_attention(w, s, l, w->B), train, true,
						 w->threads));
	n = most(n, sx_loss_scratch(N, s->V, w->threads));
	if (!train) return n;
	n = most(n, sx_linear_scratch(N, s->C, q));
	n = most(n, sx_linear_scratch(N, s->C, kv));
	n = most(n, sx_linear_scratch(N, q, s->C));
	n = most(n, sx_linear_scratch(N, s->C, s->F));
	n = most(n, sx_linear_scratch(N, s->F, s->C));
	n = most(n,
		 sx_norm_biased(s) ? sx_layernorm_scratch(N, s->C) : sx_norm_scratch(N, 1, s->C));
	n = most(n, sx_norm_scratch(N, 1, q));
	return most(n, sx_norm_scratch(N, s->H, s->D));
}

static void lay_out_layer(sx_layer_acts *l, sx_arena *a, const sx_spec *s, int64_t N)
{
	int64_t q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	bool per_head = s->qk_norm == SX_QK_NORM_HEAD, after = s->block.norm_after;
	l->x = take(a, N * s->C);
	l->h = after ? l->x : take(a, N * s->C);
	l->mean1 = sx_norm_biased(s) ? take(a, N) : NULL;
	l->rstd1 = take(a, N);
	if (sx_q_normed(s)) {
		l->q_raw = take(a, N * q);
		l->q_rstd = take(a, N * (per_head ? s->H : 1));
	}
	if (sx_k_normed(s)) {
		l->k_raw = take(a, N * kv);
		l->k_rstd = take(a, N * (per_head ? s->Hkv : 1));
	}
	l->q = take(a, N * q);
	l->k = take(a, N * kv);
	l->v = take(a, N * kv);
	l->rows = take(a, 2 * N * s->H);
	l->z = take(a, N * q);
	l->o = after ? take(a, N * s->C) : NULL;
	l->xa = take(a, N * s->C);
	l->u = !after ? take(a, N * s->C) : s->block.parallel ? l->x : l->xa;
	l->mean2 = sx_norm_biased(s) ? take(a, N) : NULL;
	l->rstd2 = take(a, N);
	l->gate = sx_mlp_gated(s) ? take(a, N * s->F) : NULL;
	l->up = take(a, N * s->F);
	l->act = take(a, N * s->F);
	l->m = after ? take(a, N * s->C) : NULL;
}

static void lay_out(sx_work *w, const sx_spec *s)
{
	sx_arena *a = &w->arena;
	int64_t N = w->B * w->T, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D;
	bool train = w->mode == SX_WORK_TRAIN;
	w->rot = sx_arena_take(a, (size_t)s->L, sizeof *w->rot);
	w->layer = sx_arena_take(a, (size_t)w->layers_kept, sizeof *w->layer);
	for (int l = 0; l < w->layers_kept; l++) {
		sx_layer_acts dry = {0};
		lay_out_layer(w->layer ? &w->layer[l] : &dry, a, s, N);
	}
	w->x_out = take(a, N * s->C);
	w->f = take(a, N * s->C);
	w->mean_f = sx_norm_biased(s) ? take(a, N) : NULL;
	w->rstd_f = take(a, N);
	w->loss_rows = take(a, 2 * N);
	w->nll = sx_arena_take(a, (size_t)N, sizeof *w->nll);
	if (train) {
		w->dx = take(a, N * s->C);
		w->dh = take(a, N * s->C);
		w->dq = take(a, N * q);
		w->dk = take(a, N * kv);
		w->dv = take(a, N * kv);
		w->dz = take(a, N * q);
		w->da = take(a, N * s->F);
		w->db = sx_mlp_gated(s) ? take(a, N * s->F) : NULL;
	}
	w->scratch = take(a, scratch_reals(w, s));
}

static int64_t rotation_reals(const sx_pos_plan *p, int64_t T)
{
	return 2 * T * p->n_freq;
}

/* The first layer whose table serves layer l, l itself where none before does. */
static int table_of(const sx_pos_plan *plan, int l)
{
	int first = 0;
	while (first < l && !(plan[first].turns && sx_pos_rotation_same(&plan[first], &plan[l])))
		first++;
	return first;
}

size_t sx_work_bytes(const sx_spec *s, int64_t B, int64_t T, sx_work_mode mode, int threads)
{
	sx_work w = {.mode = mode,
		     .B = B,
		     .T = T,
		     .tile = TILE,
		     .threads = threads,
		     .layers_kept = mode == SX_WORK_TRAIN ? s->L : 1};
	if (sx_pos_plans_make(&w.plan, NULL, &s->pos, sx_spec_shape(s), T) != SX_OK) return 0;
	lay_out(&w, s);
	for (int l = 0; l < s->L; l++)
		if (w.plan[l].turns && table_of(w.plan, l) == l)
			w.arena.used += (size_t)rotation_reals(&w.plan[l], T) * sizeof(sx_real);
	sx_pos_plans_free(w.plan, s->L);
	return w.arena.used;
}

static void free_rotations(sx_work *w)
{
	for (int l = 0; w->rot && l < w->layers; l++)
		if (table_of(w->plan, l) == l) free(w->rot[l].cos);
	for (int l = 0; w->rot && l < w->layers; l++) w->rot[l] = (sx_rotation){0};
}

static sx_status make_rotations(sx_work *w, sx_ctx *ctx)
{
	for (int l = 0; l < w->layers; l++) {
		sx_rotation *r = &w->rot[l];
		int64_t reals = rotation_reals(&w->plan[l], w->T);
		int shared = table_of(w->plan, l);
		if (!w->plan[l].turns) continue;
		if (shared < l) {
			*r = w->rot[shared];
			continue;
		}
		r->n_freq = w->plan[l].n_freq;
		r->cos = sx_calloc((size_t)reals, sizeof *r->cos);
		if (!r->cos) return sx_fail(ctx, SX_ENOMEM, "no memory for rotation tables");
		r->sin = r->cos + reals / 2;
		sx_rotation_fill(r, &w->plan[l], w->T);
	}
	return SX_OK;
}

sx_status sx_work_set_length(sx_work *w, sx_ctx *ctx, const sx_model *m, int64_t length)
{
	const sx_spec *s = &m->spec;
	sx_pos_plan *plan = NULL;
	if (length < 1 || length > w->T)
		return sx_fail(ctx, SX_EINTERNAL, "an input of %lld tokens in memory for %lld",
			       (long long)length, (long long)w->T);
	if (length == w->length || !sx_pos_uses_length(&s->pos)) return SX_OK;
	sx_status st = sx_pos_plans_make(&plan, ctx, &s->pos, sx_spec_shape(s), length);
	if (st != SX_OK) return st;
	for (int l = 0; l < s->L; l++) /* scratch was counted for the plans of T tokens */
		if (sx_pos_keys(&plan[l], w->T) > sx_pos_keys(&w->plan[l], w->T)) {
			sx_pos_plans_free(plan, s->L);
			return sx_fail(ctx, SX_EINTERNAL,
				       "a window that grows as the input gets shorter");
		}
	free_rotations(w);
	sx_pos_plans_free(w->plan, s->L);
	w->plan = plan;
	w->length = length;
	return make_rotations(w, ctx);
}

sx_status sx_work_new(sx_work **out, sx_ctx *ctx, const sx_model *m, int64_t B, int64_t T,
		      sx_work_mode mode)
{
	sx_status st = SX_OK;
	if (B < 1 || T < 1 || B > ((int64_t)1 << 36) / T)
		return sx_fail(ctx, SX_ECONFIG,
			       "a batch of %lld sequences of %lld tokens is too large",
			       (long long)B, (long long)T);
	sx_work *w = sx_calloc(1, sizeof *w);
	if (!w) return sx_fail(ctx, SX_ENOMEM, "no memory for a batch");
	w->mode = mode, w->B = B, w->T = T, w->tile = TILE;
	w->threads = omp_get_max_threads();
	w->layers = m->spec.L;
	w->layers_kept = mode == SX_WORK_TRAIN ? w->layers : 1;
	w->length = T;
	SX_TRY(sx_pos_plans_make(&w->plan, ctx, &m->spec.pos, sx_spec_shape(&m->spec), T));
	lay_out(w, &m->spec);
	SX_TRY(sx_arena_commit(&w->arena, ctx));
	lay_out(w, &m->spec);
	SX_TRY(make_rotations(w, ctx));
	*out = w;
	w = NULL;
out:
	sx_work_free(w);
	return st;
}

void sx_work_free(sx_work *w)
{
	if (!w) return;
	free_rotations(w);
	sx_pos_plans_free(w->plan, w->layers);
	sx_arena_free(&w->arena);
	free(w);
}

#include "engine/model/bench.h"

#include "engine/model/train.h"
#include "engine/op/blas.h"
#include "engine/op/gemm.h"
#include "engine/op/ops.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- one batch and everything it needs ---- */

/* One linear layer: y = x W^T (+ res), dx = or += dy W, dW += dy^T x. */
typedef struct {
	float *y, *dx, *dW, *dy;
	const float *x, *res;
	sx_weight W;
	bool add;
} linear;

struct sx_bench {
	sx_trainer *trainer;
	int32_t *tokens, *target; /* (batch, T) */
	linear *linear;           /* 7 per layer, then the output matrix */
	int64_t n_linear, rows;   /* rows of one part of the batch */
	float *logits;            /* (rows, V) */
	float *scratch;           /* of the linear layers */
	float *dk, *dv;           /* (rows, H D): per query head */
	float *tiles;             /* two tiles of scores per thread */
};

enum { LINEARS = 7 };

/* Other blocks have other parts. */
static bool is_llama(const sx_spec *s)
{
	return sx_block_same(&s->block, &(sx_block){0});
}

static void list_layer(linear *out, sx_trainer *t, int l)
{
	const sx_spec *s = &t->model->spec;
	sx_layer_weights p = sx_weights_layer(t->model, l);
	sx_params *g = &t->grad;
	sx_work *w = t->work;
	sx_layer_acts *a = &w->layer[l];
	bool norm = s->qk_norm != SX_QK_NORM_NONE, last = l == s->L - 1;
	float *next = last ? w->x_out : w->layer[l + 1].x;
	const sx_weight W[LINEARS] = {p.wq, p.wk, p.wv, p.wo, p.wg, p.wu, p.wd};
	const linear all[LINEARS] = {
		{norm ? a->q_raw : a->q, w->dh, g->wq, w->dq, .x = a->h},
		{norm ? a->k_raw : a->k, w->dh, g->wk, w->dk, .x = a->h, .add = true},
		{a->v, w->dh, g->wv, w->dv, .x = a->h, .add = true},
		{a->xa, w->dz, g->wo, w->dx, .x = a->z, .res = a->x},
		{a->gate, w->dh, g->wg, w->da, .x = a->u},
		{a->up, w->dh, g->wu, w->db, .x = a->u, .add = true},
		{next, w->da, g->wd, w->dx, .x = a->act, .res = a->xa},
	};
	for (int i = 0; i < LINEARS; i++) {
		out[i] = all[i];
		out[i].W = W[i];
		out[i].dW += l * W[i].rows * W[i].cols;
	}
}

static sx_status make_arrays(sx_bench *b, sx_ctx *ctx)
{
	const sx_trainer *t = b->trainer;
	const sx_spec *s = &t->model->spec;
	int64_t q = (int64_t)s->H * s->D, scratch = 1;
	size_t size = sizeof(float);
	b->rows = t->work->B * s->T;
	b->n_linear = (int64_t)LINEARS * s->L + 1;
	b->linear = sx_calloc((size_t)b->n_linear, sizeof *b->linear);
	b->logits = sx_calloc((size_t)(b->rows * s->V), size);
	b->dk = sx_calloc((size_t)(b->rows * q), size);
	b->dv = sx_calloc((size_t)(b->rows * q), size);
	b->tiles = sx_calloc((size_t)(2 * omp_get_max_threads() * t->work->tile * s->T), size);
	if (!b->linear || !b->logits || !b->dk || !b->dv || !b->tiles)
		return sx_fail(ctx, SX_ENOMEM, "no memory for a benchmark of this shape");
	for (int l = 0; l < s->L && is_llama(s); l++)
		list_layer(b->linear + (int64_t)LINEARS * l, b->trainer, l);
	b->linear[b->n_linear - 1] = (linear){.y = b->logits,
					      .dx = t->work->dh,
					      .dy = b->logits,
					      .x = t->work->f,
					      .dW = s->tied ? t->grad.embed : t->grad.head,
					      .W = sx_weights_output(t->model)};
	for (int64_t i = 0; i < b->n_linear; i++) {
		int64_t n = sx_linear_scratch(b->rows, b->linear[i].W.cols, b->linear[i].W.rows);
		scratch = n > scratch ? n : scratch;
	}
	b->scratch = sx_calloc((size_t)scratch, size);
	return b->scratch ? SX_OK : sx_fail(ctx, SX_ENOMEM, "no memory for a benchmark");
}

sx_status sx_bench_new(sx_bench **out, sx_ctx *ctx, const sx_spec *spec, int64_t batch,
		       int64_t accumulate)
{
	const sx_train_opts opts = {
		.steps = INT64_MAX,
		.batch = batch,
		.accumulate = accumulate,
		.lr = 1e-4,
		.min_lr = 1e-4,
		.schedule = SX_LR_CONSTANT,
		.clip = 1,
		.drop_at = -1,
		.adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1}};
	sx_status st = SX_OK;
	sx_model *m = NULL;
	int64_t n = batch * spec->T;
	sx_bench *b = sx_calloc(1, sizeof *b);
	if (!b) return sx_fail(ctx, SX_ENOMEM, "no memory for a benchmark");
	b->tokens = sx_calloc((size_t)n, sizeof *b->tokens);
	b->target = sx_calloc((size_t)n, sizeof *b->target);
	if (!b->tokens || !b->target) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %lld tokens", (long long)n);
		goto out;
	}
	for (int64_t i = 0; i < n; i++) {
		uint64_t at = 2 * (uint64_t)i, V = (uint64_t)spec->V;
		b->tokens[i] = (int32_t)(sx_random_bits(1, SX_STREAM_TEST, at) % V);
		b->target[i] = (int32_t)(sx_random_bits(1, SX_STREAM_TEST, at + 1) % V);
	}
	SX_TRY(sx_model_new(&m, ctx, spec));
	sx_model_init(m, 1, SX_INIT_FAN_IN);
	SX_TRY(sx_trainer_new(&b->trainer, ctx, m, &opts, spec->T));
	SX_TRY(make_arrays(b, ctx));
	*out = b;
	b = NULL;
out:
	sx_bench_free(b);
	return st;
}

void sx_bench_free(sx_bench *b)
{
	if (!b) return;
	sx_trainer_free(b->trainer);
	free(b->tokens);
	free(b->target);
	free(b->linear);
	free(b->logits);
	free(b->scratch);
	free(b->dk);
	free(b->dv);
	free(b->tiles);
	free(b);
}

sx_status sx_bench_step(double *seconds, sx_ctx *ctx, sx_bench *b, const sx_probe *probe,
			int n_probe)
{
	sx_step_result result;
	double begun = omp_get_wtime();
	sx_status st = sx_trainer_step(ctx, b->trainer,
				       &(sx_request){.tokens = b->tokens,
						     .target = b->target,
						     .probe = probe,
						     .n_probe = n_probe},
				       NULL, NULL, &result);
	*seconds = omp_get_wtime() - begun;
	return st;
}

/* ---- bare products ---- */

static void linear_tiles(const linear *p, int64_t rows, bool bare, float *scratch)
{
	sx_linear_fwd(p->y, p->x, p->W, NULL, bare ? NULL : p->res, rows);
	sx_linear_bwd(p->dx, p->dW, NULL, p->dy, p->x, p->W, !bare && p->add, rows, scratch);
}

/* Outside of any region of ours, so that the library may use its own threads. */
static void linear_library(const linear *p, int64_t N)
{
	const float *W = sx_weight_reals(p->W);
	int64_t in = p->W.cols, out = p->W.rows;
	sx_gemm(false, true, N, out, in, 1, p->x, in, W, in, 0, p->y, out);
	sx_gemm(false, false, N, in, out, 1, p->dy, out, W, in, 0, p->dx, in);
	sx_gemm(true, false, out, in, N, 1, p->dy, out, p->x, in, 0, p->dW, in);
}

/* The products of head_fwd and head_bwd in op_attention.c, without the second QK^T. */
static void attention_head(const sx_bench *b, int layer, int64_t seq, int64_t head, float *s)
{
	const sx_work *w = b->trainer->work;
	const sx_spec *p = &b->trainer->model->spec;
	const sx_layer_acts *a = &w->layer[layer];
	int64_t T = w->T, D = p->D, ldq = p->H * D, ldk = p->Hkv * D,
		window = w->plan[layer].window;
	int64_t q0 = seq * T * ldq + head * D, k0 = seq * T * ldk + head / (p->H / p->Hkv) * D;
	float *dp = s + w->tile * T;
	for (int64_t i = 0; i < T; i += w->tile) {
		int64_t nr = T - i < w->tile ? T - i : w->tile;
		int64_t j = sx_first_key(i, window), nk = i + nr - j;
		const float *q = a->q + q0 + i * ldq, *k = a->k + k0 + j * ldk;
		const float *v = a->v + k0 + j * ldk, *dz = w->dz + q0 + i * ldq;
		int64_t row = q0 + i * ldq, key = q0 + j * ldq;
		sx_gemm(false, true, nr, nk, D, 1, q, ldq, k, ldk, 0, s, T);
		sx_gemm(false, false, nr, D, nk, 1, s, T, v, ldk, 0, a->z + row, ldq);
		sx_gemm(true, false, nk, D, nr, 1, s, T, dz, ldq, 1, b->dv + key, ldq);
		sx_gemm(false, true, nr, nk, D, 1, dz, ldq, v, ldk, 0, dp, T);
		sx_gemm(false, false, nr, D, nk, 1, dp, T, k, ldk, 0, w->dq + row, ldq);
		sx_gemm(true, false, nk, D, nr, 1, dp, T, q, ldq, 1, b->dk + key, ldq);
	}
}

static void attention_products(sx_bench *b)
{
	const sx_spec *s = &b->trainer->model->spec;
	int64_t tasks = b->trainer->work->B * s->H, tile = b->trainer->work->tile * s->T;
	for (int l = 0; l < s->L; l++) {
#pragma omp parallel for schedule(dynamic)
		for (int64_t t = 0; t < tasks; t++)
			attention_head(b, l, t / s->H, t % s->H,
				       b->tiles + 2 * omp_get_thread_num() * tile);
	}
}

double sx_bench_products(sx_bench *b, sx_products which, int threads)
{
	const sx_spec *s = &b->trainer->model->spec;
	size_t heads = (size_t)(b->rows * s->H * s->D) * sizeof(float);
	if (!is_llama(s)) return (double)NAN;
	/* what is added to must not grow from run to run */
	memset(b->dk, 0, heads);
	memset(b->dv, 0, heads);
	if (which == SX_PRODUCTS_LIBRARY) sx_blas_library_threads(threads);
	double begun = omp_get_wtime();
	for (int64_t i = 0; which != SX_PRODUCTS_ATTENTION && i < b->n_linear; i++)
		if (which == SX_PRODUCTS_TILES)
			linear_tiles(&b->linear[i], b->rows, true, b->scratch);
		else
			linear_library(&b->linear[i], b->rows);
	if (which == SX_PRODUCTS_ATTENTION) attention_products(b);
	double seconds = omp_get_wtime() - begun;
	if (which == SX_PRODUCTS_LIBRARY) sx_blas_library_threads(1);
	return seconds;
}

/* ---- parts of a step ---- */

const char *sx_bench_part_name(sx_bench_part p)
{
	static const char *const names[] = {"linear", "attention", "elementwise", "loss",
					    "optimiser"};
	return names[p];
}

/* Without probes attention has no way to fail. */
static void attention_part(sx_bench *b)
{
	sx_work *w = b->trainer->work;
	for (int l = 0; l < w->layers; l++) {
		sx_layer_acts *a = &w->layer[l];
		sx_attention_dims d = sx_work_attention(w, &b->trainer->model->spec, l, w->B);
		sx_status st =
			sx_attention_fwd(a->z, a->rows, a->q, a->k, a->v, d, w->scratch, NULL);
		if (st == SX_OK)
			st = sx_attention_bwd(w->dq, w->dk, w->dv, w->dz, a->z, a->rows, a->q, a->k,
					      a->v, d, w->scratch, NULL);
		(void)st;
	}
}

static void qk_norm_part(sx_bench *b, int l)
{
	const sx_spec *s = &b->trainer->model->spec;
	sx_layer_weights p = sx_weights_layer(b->trainer->model, l);
	sx_params *g = &b->trainer->grad;
	sx_work *w = b->trainer->work;
	sx_layer_acts *a = &w->layer[l];
	bool per_head = s->qk_norm == SX_QK_NORM_HEAD;
	int64_t gq = per_head ? s->H : 1, gk = per_head ? s->Hkv : 1, N = b->rows;
	int64_t q = s->H * s->D / gq, k = s->Hkv * s->D / gk;
	sx_norm_fwd(a->q, a->q_rstd, a->q_raw, p.q_norm, s->eps, N, gq, q);
	sx_norm_fwd(a->k, a->k_rstd, a->k_raw, p.k_norm, s->eps, N, gk, k);
	sx_norm_bwd(w->dq, g->q_norm + l * q, w->dq, a->q_raw, a->q_rstd, p.q_norm, false, N, gq, q,
		    w->scratch);
	sx_norm_bwd(w->dk, g->k_norm + l * k, w->dk, a->k_raw, a->k_rstd, p.k_norm, false, N, gk, k,
		    w->scratch);
}

static void elementwise_part(sx_bench *b)
{
	const sx_spec *s = &b->trainer->model->spec;
	sx_params *p = &b->trainer->model->p, *g = &b->trainer->grad;
	sx_work *w = b->trainer->work;
	int64_t N = b->rows, C = s->C, B = w->B, T = w->T;
	sx_embed_fwd(w->layer[0].x, b->tokens, p->embed, N, C);
	for (int l = 0; l < s->L; l++) {
		sx_layer_acts *a = &w->layer[l];
		sx_layer_weights of = sx_weights_layer(b->trainer->model, l);
		sx_norm_fwd(a->h, a->rstd1, a->x, of.ln1, s->eps, N, 1, C);
		if (s->qk_norm != SX_QK_NORM_NONE) qk_norm_part(b, l);
		sx_rotate(a->q, &w->rot[l], false, B, T, s->H, s->D);
		sx_rotate(a->k, &w->rot[l], false, B, T, s->Hkv, s->D);
		sx_norm_fwd(a->u, a->rstd2, a->xa, of.ln2, s->eps, N, 1, C);
		sx_swiglu_fwd(a->act, a->gate, a->up, N * s->F);
		/* from act, not in place: repeated runs must not shrink their own input */
		sx_swiglu_bwd(w->da, w->db, a->act, a->gate, a->up, N * s->F);
		sx_norm_bwd(w->dx, g->ln2 + l * C, w->dh, a->xa, a->rstd2, of.ln2, true, N, 1, C,
			    w->scratch);
		sx_rotate(w->dq, &w->rot[l], true, B, T, s->H, s->D);
		sx_rotate(w->dk, &w->rot[l], true, B, T, s->Hkv, s->D);
		sx_norm_bwd(w->dx, g->ln1 + l * C, w->dh, a->x, a->rstd1, of.ln1, true, N, 1, C,
			    w->scratch);
	}
	sx_norm_fwd(w->f, w->rstd_f, w->x_out, p->ln_f, s->eps, N, 1, C);
	sx_norm_bwd(w->dx, g->ln_f, w->dh, w->x_out, w->rstd_f, p->ln_f, false, N, 1, C,
		    w->scratch);
	sx_embed_bwd(g->embed, w->dx, b->tokens, N, C);
}

static void loss_part(sx_bench *b)
{
	sx_work *w = b->trainer->work;
	const linear *out = &b->linear[b->n_linear - 1];
	sx_loss_fwd(w->nll, w->loss_rows, w->f, out->W, b->target, b->rows, w->scratch);
	sx_loss_bwd(out->dx, out->dW, w->loss_rows, w->f, out->W, b->target, 1 / (double)b->rows,
		    b->rows, w->scratch);
}

static void optimiser_part(sx_bench *b)
{
	sx_trainer *t = b->trainer;
	memset(t->grad.base, 0, (size_t)t->grad.count * sizeof *t->grad.base);
	double norm = sx_grad_norm(&t->grad);
	sx_adamw_step(t->adam, t->model, &t->grad, 1 / (1 + norm), 0, &t->opts.adamw);
}

double sx_bench_part_time(sx_bench *b, sx_bench_part part)
{
	double begun = omp_get_wtime();
	if (!is_llama(&b->trainer->model->spec)) return (double)NAN;
	switch (part) {
	case SX_BENCH_LINEAR:
		for (int64_t i = 0; i < b->n_linear - 1; i++)
			linear_tiles(&b->linear[i], b->rows, false, b->scratch);
		break;
	case SX_BENCH_ATTENTION:
		attention_part(b);
		break;
	case SX_BENCH_ELEMENTWISE:
		elementwise_part(b);
		break;
	case SX_BENCH_LOSS:
		loss_part(b);
		break;
	case SX_BENCH_OPTIMISER:
		optimiser_part(b);
		break;
	case SX_BENCH_PARTS:
		break;
	}
	return omp_get_wtime() - begun;
}

/* ---- arithmetic peak ---- */

/* Chains that do not depend on each other, enough to fill two units of latency 4; a <- a x + y stays
 * near y / (1 - x), so no value ever becomes infinite or subnormal. The sum is returned so that the
 * loop is not removed. */
enum { CHAINS = 12, CALL = 1 << 16 };

#if defined(__x86_64__)
#	include <immintrin.h>
__attribute__((target("avx512f"))) static float chains_avx512(int64_t n)
{
	__m512 a[CHAINS], x = _mm512_set1_ps(0.9999f), y = _mm512_set1_ps(1e-4f);
	float sum = 0;
	for (int c = 0; c < CHAINS; c++) a[c] = _mm512_set1_ps((float)c);
	for (int64_t i = 0; i < n; i++)
		for (int c = 0; c < CHAINS; c++) a[c] = _mm512_fmadd_ps(a[c], x, y);
	for (int c = 0; c < CHAINS; c++) sum += _mm512_cvtss_f32(a[c]);
	return sum;
}

__attribute__((target("avx2,fma"))) static float chains_avx2(int64_t n)
{
	__m256 a[CHAINS], x = _mm256_set1_ps(0.9999f), y = _mm256_set1_ps(1e-4f);
	float sum = 0;
	for (int c = 0; c < CHAINS; c++) a[c] = _mm256_set1_ps((float)c);
	for (int64_t i = 0; i < n; i++)
		for (int c = 0; c < CHAINS; c++) a[c] = _mm256_fmadd_ps(a[c], x, y);
	for (int c = 0; c < CHAINS; c++) sum += _mm256_cvtss_f32(a[c]);
	return sum;
}
#endif

enum { PLAIN_LANES = 8 };

/* Any machine: what the compiler makes of multiplications and additions. */
static float chains_plain(int64_t n)
{
	float a[CHAINS][PLAIN_LANES], sum = 0;
	for (int c = 0; c < CHAINS; c++)
		for (int l = 0; l < PLAIN_LANES; l++) a[c][l] = (float)c;
	for (int64_t i = 0; i < n; i++)
		for (int c = 0; c < CHAINS; c++)
			for (int l = 0; l < PLAIN_LANES; l++) a[c][l] = a[c][l] * 0.9999f + 1e-4f;
	for (int c = 0; c < CHAINS; c++) sum += a[c][0];
	return sum;
}

typedef struct {
	const char *name;
	float (*run)(int64_t n);
	int lanes;
} chains;

static chains best_chains(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f")) return (chains){"AVX-512 FMA", chains_avx512, 16};
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return (chains){"AVX2 FMA", chains_avx2, 8};
#endif
	return (chains){"plain multiply and add", chains_plain, PLAIN_LANES};
}

double sx_bench_peak(double seconds, const char **kind)
{
	chains c = best_chains();
	double rate = 0;
	volatile float sink = 0;
#pragma omp parallel
	{
		float sum = c.run(CALL); /* wakes the unit up */
		int64_t calls = 0;
		double begun, now;
#pragma omp barrier
		begun = now = omp_get_wtime();
		while (now - begun < seconds) {
			sum += c.run(CALL);
			calls++;
			now = omp_get_wtime();
		}
#pragma omp critical(sx_bench_peak)
		{
			rate += 2.0 * c.lanes * CHAINS * CALL * (double)calls / (now - begun);
			sink = sink + sum;
		}
	}
	if (kind) *kind = c.name;
	return rate;
}

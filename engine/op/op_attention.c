/* Causal attention in tiles of query rows, forward and backward. Nothing of size (T,T) exists; a
 * tile holds (rows, visible keys). Rows only ever touch the keys they may see, so no mask value is
 * needed: what lies outside is set to probability 0. A unit of work is one query head of one
 * sequence; shared key/value heads get one partial gradient per query head, added in order. */
#include "engine/op/gemm.h"
#include "engine/op/ops.h"
#include "engine/op/softmax.h"

#include <omp.h>

/* Widest row of a tile, rounded up so that rows start aligned. */
static int64_t tile_ld(sx_attention_dims d)
{
	int64_t seen = sx_pos_keys(d.plan, d.T), keys = seen < d.T - d.tile ? seen + d.tile : d.T;
	return (keys + 15) / 16 * 16;
}

int64_t sx_attention_scratch(sx_attention_dims d, bool backward, bool scores, int threads)
{
	int64_t tiles = 1 + (scores ? 1 : 0) + (backward ? 1 : 0);
	int64_t partial = backward && d.Hkv < d.H ? 2 * d.B * d.T * d.H * d.D : 0;
	return threads * tiles * d.tile * tile_ld(d) + partial;
}

/* Where one head's arrays lie. */
typedef struct {
	int64_t ldq, ldk, q, k, rows;
} offsets;

static offsets head_offsets(sx_attention_dims d, int64_t b, int64_t h)
{
	int64_t g = h / (d.H / d.Hkv);
	offsets o = {.ldq = (int64_t)d.H * d.D, .ldk = (int64_t)d.Hkv * d.D};
	o.q = b * d.T * o.ldq + h * d.D;
	o.k = b * d.T * o.ldk + g * d.D;
	o.rows = (b * d.H + h) * d.T * 2;
	return o;
}

static void fill(sx_real *x, int64_t from, int64_t to, sx_real value)
{
	for (int64_t i = from; i < to; i++) x[i] = value;
}

/* Scores (nrow, nkey) to probabilities; `again` recomputes them from rows. s keeps the scores with
 * -INFINITY outside when it is not p. */
SX_VECTOR
static void tile_softmax(sx_real *p, sx_real *s, sx_real *rows, bool again, int64_t row0,
			 int64_t nrow, int64_t key0, int64_t nkey, int64_t ld, int64_t window)
{
	for (int64_t r = 0; r < nrow; r++) {
		int64_t a = sx_first_key(row0 + r, window) - key0, b = row0 + r + 1 - key0;
		sx_real *pr = p + r * ld, *sr = s + r * ld, *row = rows + 2 * (row0 + r);
		if (again)
			sx_softmax_again(pr + a, sr + a, b - a, row);
		else
			sx_softmax_row(pr + a, sr + a, b - a, row);
		fill(pr, 0, a, 0);
		fill(pr, b, nkey, 0);
		if (s == p) continue;
		fill(sr, 0, a, -(sx_real)INFINITY);
		fill(sr, b, nkey, -(sx_real)INFINITY);
	}
}

/* dS = P (dP - D_i), D_i = sum_j P_ij dP_ij = dz_i . z_i (Dao et al. 2022, sec. 3.1, appendix B), in
 * the place of dP. */
SX_VECTOR
static void tile_ds(sx_real *dp, const sx_real *p, const sx_real *dz, const sx_real *z, int64_t ldz,
		    int64_t D, int64_t nrow, int64_t nkey, int64_t ld)
{
	for (int64_t r = 0; r < nrow; r++) {
		sx_real delta = sx_dot(dz + r * ldz, z + r * ldz, D);
		for (int64_t j = 0; j < nkey; j++)
			dp[r * ld + j] = p[r * ld + j] * (dp[r * ld + j] - delta);
	}
}

static sx_head head_view(const sx_tap *tap, sx_attention_dims d, const sx_real *q, const sx_real *k,
			 const sx_real *v, int64_t b, int64_t h)
{
	offsets o = head_offsets(d, b, h);
	sx_head v0 = tap->layer;
	int64_t row = b * d.T;
	v0.head = (int)h;
	v0.kv_head = (int)(h / (d.H / d.Hkv));
	v0.seq = b;
	v0.T = d.T;
	v0.thread = omp_get_thread_num();
	v0.scale = sx_pos_scale(d.plan, d.D);
	v0.q = q + o.q, v0.k = k + o.k, v0.v = v + o.k;
	v0.ldq = o.ldq, v0.ldk = o.ldk;
	v0.h = tap->h + row * v0.spec->C;
	v0.tokens = tap->tokens + row;
	bool per_head = v0.spec->qk_norm == SX_QK_NORM_HEAD;
	if (tap->q_raw) {
		v0.q_raw = tap->q_raw + row * o.ldq;
		v0.q_rstd = tap->q_rstd + row * (per_head ? d.H : 1);
	}
	if (tap->k_raw) {
		v0.k_raw = tap->k_raw + row * o.ldk;
		v0.k_rstd = tap->k_rstd + row * (per_head ? d.Hkv : 1);
	}
	return v0;
}

static sx_status show_tile(const sx_tap *tap, const sx_tile *tile)
{
	for (int i = 0; i < tap->n_probe; i++) {
		const sx_probe *p = &tap->probe[i];
		sx_status st = p->tile ? p->tile(p->self, tile) : SX_OK;
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

static sx_status show_head(const sx_tap *tap, const sx_head *head)
{
	for (int i = 0; i < tap->n_probe; i++) {
		const sx_probe *p = &tap->probe[i];
		sx_status st = p->head_end ? p->head_end(p->self, head) : SX_OK;
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* The first failure in (sequence, head) order, so that it does not depend on threads. */
static void keep_first(int64_t task, sx_status st, int64_t *first, sx_status *kept)
{
	if (st == SX_OK) return;
#pragma omp critical(sx_attention_status)
	if (task < *first) {
		*first = task;
		*kept = st;
	}
}

static sx_status head_fwd(sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			  const sx_real *v, sx_attention_dims d, sx_real *s, sx_real *p, int64_t b,
			  int64_t h, const sx_tap *tap)
{
	sx_status st = SX_OK;
	offsets o = head_offsets(d, b, h);
	int64_t ld = tile_ld(d);
	sx_scores x = sx_scores_of(d.plan, d.D, (int)h, q + o.q, o.ldq, k + o.k, o.ldk);
	sx_head view;
	if (tap) view = head_view(tap, d, q, k, v, b, h);
	for (int64_t i = 0; i < d.T && st == SX_OK; i += d.tile) {
		int64_t nrow = d.T - i < d.tile ? d.T - i : d.tile;
		int64_t j = sx_first_key(i, d.plan->window), nkey = i + nrow - j;
		sx_scores_fwd(s, ld, &x, i, nrow, j, nkey);
		tile_softmax(p, s, rows + o.rows, false, i, nrow, j, nkey, ld, d.plan->window);
		sx_gemm(false, false, nrow, d.D, nkey, 1, p, ld, v + o.k + j * o.ldk, o.ldk, 0,
			z + o.q + i * o.ldq, o.ldq);
		if (!tap) continue;
		sx_tile tile = {.head = &view,
				.row0 = i,
				.nrow = nrow,
				.key0 = j,
				.nkey = nkey,
				.ld = ld,
				.s = s,
				.p = p};
		st = show_tile(tap, &tile);
	}
	return tap && st == SX_OK ? show_head(tap, &view) : st;
}

sx_status sx_attention_fwd(sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			   const sx_real *v, sx_attention_dims d, sx_real *scratch,
			   const sx_tap *tap)
{
	int64_t size = d.tile * tile_ld(d), first = INT64_MAX;
	sx_status st = SX_OK;
#pragma omp parallel for schedule(dynamic)
	for (int64_t task = 0; task < d.B * d.H; task++) {
		sx_real *s = scratch + omp_get_thread_num() * (tap ? 2 : 1) * size;
		keep_first(task,
			   head_fwd(z, rows, q, k, v, d, s, tap ? s + size : s, task / d.H,
				    task % d.H, tap),
			   &first, &st);
	}
	return st;
}

/* Gradients of one query head; dk and dv with distance ldd between rows. */
static sx_status head_bwd(sx_real *dq, sx_real *dk, sx_real *dv, int64_t ldd, const sx_real *dz,
			  const sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			  const sx_real *v, sx_attention_dims d, sx_real *s, sx_real *p,
			  sx_real *dp, int64_t b, int64_t h, const sx_tap *tap)
{
	sx_status st = SX_OK;
	offsets o = head_offsets(d, b, h);
	int64_t ld = tile_ld(d);
	sx_scores x = sx_scores_of(d.plan, d.D, (int)h, q + o.q, o.ldq, k + o.k, o.ldk);
	sx_head view;
	if (tap) view = head_view(tap, d, q, k, v, b, h);
	for (int64_t t = 0; t < d.T; t++) {
		fill(dk + t * ldd, 0, d.D, 0);
		fill(dv + t * ldd, 0, d.D, 0);
	}
	for (int64_t i = 0; i < d.T && st == SX_OK; i += d.tile) {
		int64_t nrow = d.T - i < d.tile ? d.T - i : d.tile;
		int64_t j = sx_first_key(i, d.plan->window), nkey = i + nrow - j;
		const sx_real *dzi = dz + o.q + i * o.ldq;
		sx_scores_fwd(s, ld, &x, i, nrow, j, nkey);
		tile_softmax(p, s, rows + o.rows, true, i, nrow, j, nkey, ld, d.plan->window);
		sx_gemm(true, false, nkey, d.D, nrow, 1, p, ld, dzi, o.ldq, 1, dv + j * ldd, ldd);
		sx_gemm(false, true, nrow, nkey, d.D, 1, dzi, o.ldq, v + o.k + j * o.ldk, o.ldk, 0,
			dp, ld);
		tile_ds(dp, p, dzi, z + o.q + i * o.ldq, o.ldq, d.D, nrow, nkey, ld);
		sx_scores_bwd(dq + o.q, o.ldq, dk, ldd, dp, ld, &x, i, nrow, j, nkey);
		if (!tap) continue;
		sx_tile tile = {.head = &view,
				.row0 = i,
				.nrow = nrow,
				.key0 = j,
				.nkey = nkey,
				.ld = ld,
				.s = s,
				.p = p,
				.ds = dp,
				.z = z + o.q + i * o.ldq,
				.dz = dzi};
		st = show_tile(tap, &tile);
	}
	return tap && st == SX_OK ? show_head(tap, &view) : st;
}

/* dk (B,T,Hkv,D) = sum over each group of the partial (B,T,H,D). */
static void sum_groups(sx_real *dk, const sx_real *part, sx_attention_dims d)
{
	int64_t group = d.H / d.Hkv;
#pragma omp parallel for schedule(static)
	for (int64_t n = 0; n < d.B * d.T * d.Hkv; n++)
		for (int64_t c = 0; c < d.D; c++) {
			sx_real sum = part[n * group * d.D + c];
			for (int64_t g = 1; g < group; g++) sum += part[(n * group + g) * d.D + c];
			dk[n * d.D + c] = sum;
		}
}

sx_status sx_attention_bwd(sx_real *dq, sx_real *dk, sx_real *dv, const sx_real *dz,
			   const sx_real *z, sx_real *rows, const sx_real *q, const sx_real *k,
			   const sx_real *v, sx_attention_dims d, sx_real *scratch,
			   const sx_tap *tap)
{
	int64_t size = d.tile * tile_ld(d), first = INT64_MAX, heads = d.B * d.T * d.H * d.D;
	bool shared = d.Hkv < d.H;
	sx_real *pk = shared ? scratch : dk, *pv = shared ? scratch + heads : dv;
	sx_real *tiles = shared ? scratch + 2 * heads : scratch;
	sx_status st = SX_OK;
#pragma omp parallel for schedule(dynamic)
	for (int64_t task = 0; task < d.B * d.H; task++) {
		int64_t b = task / d.H, h = task % d.H, at = (b * d.T * d.H + h) * d.D;
		sx_real *s = tiles + omp_get_thread_num() * (tap ? 3 : 2) * size;
		keep_first(task,
			   head_bwd(dq, pk + at, pv + at, (int64_t)d.H * d.D, dz, z, rows, q, k, v,
				    d, s, tap ? s + size : s, s + (tap ? 2 : 1) * size, b, h, tap),
			   &first, &st);
	}
	if (shared && st == SX_OK) {
		sum_groups(dk, pk, d);
		sum_groups(dv, pv, d);
	}
	return st;
}

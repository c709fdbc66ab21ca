/* Output projection and cross entropy together: logits exist for one tile of rows at a time. */
#include "engine/op/gemm.h"
#include "engine/op/ops.h"
#include "engine/op/softmax.h"

#include <omp.h>

enum { ROWS = 64, VOCAB = 64, CHUNK_LOGITS = 1 << 22, CHUNK_MOST = 1024 };

/* Rows whose gradient of the logits is held at once, a multiple of ROWS. By shape alone. */
static int64_t chunk_rows(int64_t N, int64_t V)
{
	int64_t rows = CHUNK_LOGITS / V / ROWS * ROWS;
	rows = rows < ROWS ? ROWS : rows > CHUNK_MOST ? CHUNK_MOST : rows;
	return rows < N ? rows : (N + ROWS - 1) / ROWS * ROWS;
}

int64_t sx_loss_scratch(int64_t N, int64_t V, int threads)
{
	int64_t fwd = threads * ROWS * V, bwd = chunk_rows(N, V) * V;
	return fwd > bwd ? fwd : bwd;
}

SX_VECTOR
static void softmax_rows(sx_real *p, sx_real *rows, bool again, int64_t n, int64_t V)
{
	for (int64_t r = 0; r < n; r++)
		if (again)
			sx_softmax_again(p + r * V, p + r * V, V, rows + 2 * r);
		else
			sx_softmax_row(p + r * V, p + r * V, V, rows + 2 * r);
}

void sx_loss_fwd(double *nll, sx_real *rows, const sx_real *f, sx_weight weight,
		 const int32_t *target, int64_t N, sx_real *scratch)
{
	const sx_real *W = sx_weight_reals(weight);
	int64_t C = weight.cols, V = weight.rows;
#pragma omp parallel for schedule(dynamic)
	for (int64_t r = 0; r < N; r += ROWS) {
		int64_t n = N - r < ROWS ? N - r : ROWS;
		sx_real *logits = scratch + omp_get_thread_num() * ROWS * V;
		double chosen[ROWS];
		sx_gemm(false, true, n, V, C, 1, f + r * C, C, W, C, 0, logits, V);
		for (int64_t i = 0; i < n; i++)
			chosen[i] = target[r + i] < 0 ? (double)NAN
						      : (double)logits[i * V + target[r + i]];
		softmax_rows(logits, rows + 2 * r, false, n, V);
		for (int64_t i = 0; i < n; i++) {
			const sx_real *row = rows + 2 * (r + i);
			nll[r + i] = (double)row[0] - log((double)row[1]) - chosen[i];
		}
	}
}

void sx_loss_bwd(sx_real *df, sx_real *dW, sx_real *rows, const sx_real *f, sx_weight weight,
		 const int32_t *target, double scale, int64_t N, sx_real *scratch)
{
	const sx_real *W = sx_weight_reals(weight);
	int64_t C = weight.cols, V = weight.rows;
	int64_t chunk = chunk_rows(N, V);
	for (int64_t c = 0; c < N; c += chunk) {
		int64_t held = N - c < chunk ? N - c : chunk;
#pragma omp parallel
		{
#pragma omp for schedule(dynamic)
			for (int64_t r = 0; r < held; r += ROWS) {
				int64_t n = held - r < ROWS ? held - r : ROWS, at = c + r;
				sx_real *d = scratch + r * V;
				sx_gemm(false, true, n, V, C, 1, f + at * C, C, W, C, 0, d, V);
				softmax_rows(d, rows + 2 * at, true, n, V);
				/* d nll / d logit = p - [this is the target] */
				for (int64_t i = 0; i < n; i++) {
					int32_t t = target[at + i];
					sx_real s = t < 0 ? 0 : (sx_real)scale;
					if (t >= 0) d[i * V + t] -= 1;
					for (int64_t v = 0; v < V; v++) d[i * V + v] *= s;
				}
				sx_gemm(false, false, n, C, V, 1, d, V, W, C, 0, df + at * C, C);
			}
#pragma omp for schedule(dynamic)
			for (int64_t v = 0; v < V; v += VOCAB)
				sx_gemm(true, false, V - v < VOCAB ? V - v : VOCAB, C, held, 1,
					scratch + v, V, f + c * C, C, 1, dW + v * C, C);
		}
	}
}

/* RMSNorm and its gradient. */
#include "engine/op/ops.h"
#include "engine/vector.h"

enum { CHUNK = 128 };

SX_VECTOR
static sx_real norm_row(sx_real *y, const sx_real *x, const sx_real *gain, double eps, int64_t W)
{
	double mean_square = (double)sx_dot(x, x, W) / (double)W;
	sx_real rstd = (sx_real)(1 / sqrt(mean_square + eps));
	for (int64_t c = 0; c < W; c++) y[c] = x[c] * rstd * gain[c];
	return rstd;
}

void sx_norm_fwd(sx_real *y, sx_real *rstd, const sx_real *x, const sx_real *gain, double eps,
		 int64_t N, int64_t G, int64_t W)
{
#pragma omp parallel for schedule(static)
	for (int64_t n = 0; n < N * G; n++) rstd[n] = norm_row(y + n * W, x + n * W, gain, eps, W);
}

/* forward: y = g xhat, xhat = x / rho. Since rho depends on every channel,
 * dx = (g dy - xhat mean(g dy xhat)) / rho, and dg = dy xhat. */
SX_VECTOR
static void norm_row_bwd(sx_real *dx, sx_real *dgain, const sx_real *dy, const sx_real *x,
			 sx_real rstd, const sx_real *gain, bool add, int64_t W)
{
	sx_real lane[SX_LANES] = {0};
	int64_t i = 0;
	for (; i + SX_LANES <= W; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++)
			lane[l] += dy[i + l] * gain[i + l] * (x[i + l] * rstd);
	for (int l = 0; i + l < W; l++) lane[l] += dy[i + l] * gain[i + l] * (x[i + l] * rstd);
	sx_real mean = sx_fold(lane) / (sx_real)W;
	if (dgain)
		for (int64_t c = 0; c < W; c++) dgain[c] += dy[c] * (x[c] * rstd);
	if (add)
		for (int64_t c = 0; c < W; c++)
			dx[c] += (gain[c] * dy[c] - x[c] * rstd * mean) * rstd;
	else
		for (int64_t c = 0; c < W; c++)
			dx[c] = (gain[c] * dy[c] - x[c] * rstd * mean) * rstd;
}

int64_t sx_norm_scratch(int64_t N, int64_t G, int64_t W)
{
	return (N * G + CHUNK - 1) / CHUNK * W;
}

void sx_norm_bwd(sx_real *dx, sx_real *dgain, const sx_real *dy, const sx_real *x,
		 const sx_real *rstd, const sx_real *gain, bool add, int64_t N, int64_t G,
		 int64_t W, sx_real *scratch)
{
	int64_t rows = N * G, chunks = (rows + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
	for (int64_t p = 0; p < chunks; p++) {
		sx_real *sum = dgain ? scratch + p * W : NULL;
		for (int64_t c = 0; sum && c < W; c++) sum[c] = 0;
		for (int64_t n = p * CHUNK; n < rows && n < (p + 1) * CHUNK; n++)
			norm_row_bwd(dx + n * W, sum, dy + n * W, x + n * W, rstd[n], gain, add, W);
	}
	for (int64_t p = 0; dgain && p < chunks; p++)
		for (int64_t c = 0; c < W; c++) dgain[c] += scratch[p * W + c];
}

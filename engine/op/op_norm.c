/* RMSNorm, LayerNorm and their gradients; the residual that a norm after a sub-layer needs by itself. */
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

/* ---- LayerNorm ---- */

/* Mean and variance in double over fixed lanes: what is left of x after a large mean is exact. */
SX_VECTOR
static void layernorm_row(sx_real *y, sx_real *mean, sx_real *rstd, const sx_real *x,
			  const sx_real *gain, const sx_real *bias, double eps, int64_t W)
{
	double lane[SX_LANES] = {0}, sum = 0, square = 0;
	int64_t i = 0;
	for (; i + SX_LANES <= W; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) lane[l] += (double)x[i + l];
	for (int l = 0; i + l < W; l++) lane[l] += (double)x[i + l];
	for (int l = 0; l < SX_LANES; l++) sum += lane[l], lane[l] = 0;
	double m = sum / (double)W;
	for (i = 0; i + SX_LANES <= W; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++)
			lane[l] += ((double)x[i + l] - m) * ((double)x[i + l] - m);
	for (int l = 0; i + l < W; l++) lane[l] += ((double)x[i + l] - m) * ((double)x[i + l] - m);
	for (int l = 0; l < SX_LANES; l++) square += lane[l];
	*mean = (sx_real)m;
	*rstd = (sx_real)(1 / sqrt(square / (double)W + eps));
	for (int64_t c = 0; c < W; c++) y[c] = (x[c] - *mean) * *rstd * gain[c] + bias[c];
}

void sx_layernorm_fwd(sx_real *y, sx_real *mean, sx_real *rstd, const sx_real *x,
		      const sx_real *gain, const sx_real *bias, double eps, int64_t N, int64_t W)
{
#pragma omp parallel for schedule(static)
	for (int64_t n = 0; n < N; n++)
		layernorm_row(y + n * W, mean + n, rstd + n, x + n * W, gain, bias, eps, W);
}

/* forward: y = g xhat + b, xhat = (x - mean) / sigma. Mean and sigma depend on every channel:
 * dx = (g dy - mean(g dy) - xhat mean(g dy xhat)) / sigma, dg = dy xhat, db = dy. */
SX_VECTOR
static void layernorm_row_bwd(sx_real *dx, sx_real *dgain, sx_real *dbias, const sx_real *dy,
			      const sx_real *x, sx_real mean, sx_real rstd, const sx_real *gain,
			      bool add, int64_t W)
{
	sx_real lane[SX_LANES] = {0}, even[SX_LANES] = {0};
	int64_t i = 0;
	for (; i + SX_LANES <= W; i += SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			sx_real d = dy[i + l] * gain[i + l];
			even[l] += d;
			lane[l] += d * ((x[i + l] - mean) * rstd);
		}
	for (int l = 0; i + l < W; l++) {
		sx_real d = dy[i + l] * gain[i + l];
		even[l] += d;
		lane[l] += d * ((x[i + l] - mean) * rstd);
	}
	sx_real along = sx_fold(lane) / (sx_real)W, shift = sx_fold(even) / (sx_real)W;
	if (dgain)
		for (int64_t c = 0; c < W; c++) dgain[c] += dy[c] * ((x[c] - mean) * rstd);
	if (dbias)
		for (int64_t c = 0; c < W; c++) dbias[c] += dy[c];
	for (int64_t c = 0; c < W; c++) {
		sx_real d = (gain[c] * dy[c] - shift - (x[c] - mean) * rstd * along) * rstd;
		dx[c] = add ? dx[c] + d : d;
	}
}

void sx_layernorm_bwd(sx_real *dx, sx_real *dgain, sx_real *dbias, const sx_real *dy,
		      const sx_real *x, const sx_real *mean, const sx_real *rstd,
		      const sx_real *gain, bool add, int64_t N, int64_t W, sx_real *scratch)
{
	int64_t chunks = (N + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
	for (int64_t p = 0; p < chunks; p++) {
		sx_real *sum = scratch + p * 2 * W;
		for (int64_t c = 0; c < 2 * W; c++) sum[c] = 0;
		for (int64_t n = p * CHUNK; n < N && n < (p + 1) * CHUNK; n++)
			layernorm_row_bwd(dx + n * W, dgain ? sum : NULL, dbias ? sum + W : NULL,
					  dy + n * W, x + n * W, mean[n], rstd[n], gain, add, W);
	}
	for (int64_t p = 0; p < chunks; p++)
		for (int64_t c = 0; c < W; c++) {
			if (dgain) dgain[c] += scratch[p * 2 * W + c];
			if (dbias) dbias[c] += scratch[p * 2 * W + W + c];
		}
}

int64_t sx_layernorm_scratch(int64_t N, int64_t W)
{
	return 2 * ((N + CHUNK - 1) / CHUNK) * W;
}

void sx_add(sx_real *y, const sx_real *x, int64_t n)
{
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

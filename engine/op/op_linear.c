/* y = x W^T + b + res, and its gradients. Tiles of rows forward and for dx; for dW tiles of the
 * output, and, where the output is too small to share out, chunks of rows whose partial products are
 * added in order. */
#include "engine/op/gemm.h"
#include "engine/op/ops.h"

enum { ROWS = 128, ROWS_MOST = 512, COLS = 512, CHUNK = 512, WANTED_TILES = 8 };

static int64_t tiles(int64_t n, int64_t size)
{
	return (n + size - 1) / size;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Rows of a tile of N, with nc tiles beside it: long tiles spend less on packing W, but there should
 * be enough of them. */
static int64_t tile_rows(int64_t N, int64_t nc)
{
	int64_t rows = N * nc / WANTED_TILES / ROWS * ROWS;
	return rows < ROWS ? ROWS : least(rows, ROWS_MOST);
}

/* Rows of y before the product: bias plus residual. False if there is neither. */
static bool start_rows(sx_real *y, const sx_real *b, const sx_real *res, int64_t ld, int64_t nr,
		       int64_t nc)
{
	if (!b && !res) return false;
	for (int64_t r = 0; r < nr; r++)
		for (int64_t c = 0; c < nc; c++)
			y[r * ld + c] = (b ? b[c] : 0) + (res ? res[r * ld + c] : 0);
	return true;
}

void sx_linear_fwd(sx_real *y, const sx_real *x, sx_weight weight, const sx_real *b,
		   const sx_real *res, int64_t N)
{
	const sx_real *W = sx_weight_reals(weight);
	int64_t Cin = weight.cols, Cout = weight.rows;
	int64_t nc = tiles(Cout, COLS), height = tile_rows(N, nc), nr = tiles(N, height);
#pragma omp parallel for schedule(dynamic)
	for (int64_t t = 0; t < nr * nc; t++) {
		int64_t r = t / nc * height, c = t % nc * COLS, at = r * Cout + c;
		int64_t rows = least(height, N - r), cols = least(COLS, Cout - c);
		bool add = start_rows(y + at, b ? b + c : NULL, res ? res + at : NULL, Cout, rows,
				      cols);
		sx_gemm(false, true, rows, cols, Cin, 1, x + r * Cin, Cin, W + c * Cin, Cin,
			add ? 1 : 0, y + at, Cout);
	}
}

/* Number of row chunks for dW; 1 = straight into dW. By shape alone. */
static int64_t chunks_of(int64_t N, int64_t Cin, int64_t Cout)
{
	if (tiles(Cout, ROWS) * tiles(Cin, COLS) >= WANTED_TILES) return 1;
	return least(tiles(N, CHUNK), WANTED_TILES);
}

int64_t sx_linear_scratch(int64_t N, int64_t Cin, int64_t Cout)
{
	int64_t n = chunks_of(N, Cin, Cout);
	return (n > 1 ? n * Cin * Cout : 0) + tiles(N, CHUNK) * Cout;
}

/* forward: y_nc = sum_k x_nk W_ck, so dW_ck = sum_n dy_nc x_nk. */
static void weight_gradient(sx_real *dW, const sx_real *dy, const sx_real *x, int64_t N,
			    int64_t Cin, int64_t Cout, sx_real *part)
{
	int64_t chunks = chunks_of(N, Cin, Cout), rows = tiles(N, chunks);
	int64_t nr = tiles(Cout, ROWS), nc = tiles(Cin, COLS);
#pragma omp parallel
	{
#pragma omp for schedule(dynamic)
		for (int64_t t = 0; t < chunks * nr * nc; t++) {
			int64_t k = t / (nr * nc) * rows, r = t / nc % nr * ROWS, c = t % nc * COLS;
			sx_real *out = chunks > 1 ? part + t / (nr * nc) * Cout * Cin : dW;
			sx_gemm(true, false, least(ROWS, Cout - r), least(COLS, Cin - c),
				least(rows, N - k), 1, dy + k * Cout + r, Cout, x + k * Cin + c,
				Cin, chunks > 1 ? 0 : 1, out + r * Cin + c, Cin);
		}
		if (chunks > 1) {
#pragma omp for schedule(static)
			for (int64_t e = 0; e < Cout * Cin; e++) {
				sx_real sum = part[e];
				for (int64_t p = 1; p < chunks; p++)
					sum += part[p * Cout * Cin + e];
				dW[e] += sum;
			}
		}
	}
}

/* db_c = sum_n dy_nc: chunks of rows, then the chunks in order. */
static void bias_gradient(sx_real *db, const sx_real *dy, int64_t N, int64_t Cout, sx_real *part)
{
	int64_t chunks = tiles(N, CHUNK);
#pragma omp parallel for schedule(static)
	for (int64_t p = 0; p < chunks; p++) {
		sx_real *sum = part + p * Cout;
		for (int64_t c = 0; c < Cout; c++) sum[c] = 0;
		for (int64_t n = p * CHUNK; n < least((p + 1) * CHUNK, N); n++)
			for (int64_t c = 0; c < Cout; c++) sum[c] += dy[n * Cout + c];
	}
	for (int64_t p = 0; p < chunks; p++)
		for (int64_t c = 0; c < Cout; c++) db[c] += part[p * Cout + c];
}

void sx_linear_bwd(sx_real *dx, sx_real *dW, sx_real *db, const sx_real *dy, const sx_real *x,
		   sx_weight weight, bool add, int64_t N, sx_real *scratch)
{
	const sx_real *W = sx_weight_reals(weight);
	int64_t Cin = weight.cols, Cout = weight.rows;
	int64_t nc = tiles(Cin, COLS), height = tile_rows(N, nc), nr = tiles(N, height);
	if (dx) {
#pragma omp parallel for schedule(dynamic)
		for (int64_t t = 0; t < nr * nc; t++) {
			int64_t r = t / nc * height, c = t % nc * COLS;
			sx_gemm(false, false, least(height, N - r), least(COLS, Cin - c), Cout, 1,
				dy + r * Cout, Cout, W + c, Cin, add ? 1 : 0, dx + r * Cin + c,
				Cin);
		}
	}
	if (dW) weight_gradient(dW, dy, x, N, Cin, Cout, scratch);
	if (db) bias_gradient(db, dy, N, Cout, scratch);
}

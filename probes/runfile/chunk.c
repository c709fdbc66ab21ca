/* Chunks of attention maps: their shape, and packing them as HDF5's filters would (shuffle, deflate,
 * fletcher32). No HDF5. */
#include "probes/runfile/priv.h"

#include "engine/vector.h"

#include <libdeflate.h>
#include <stdlib.h>

enum { WHOLE = 512, EDGE = 256, LEVEL = 1, SUM_BYTES = 4 };

int64_t sx_run_map_edge(int64_t T)
{
	return T <= WHOLE ? T : EDGE;
}

void sx_run_map_band(int64_t T, int64_t window, int64_t band, int64_t *from, int64_t *to)
{
	int64_t edge = sx_run_map_edge(T), row = band * edge;
	int64_t last = row + edge < T ? row + edge - 1 : T - 1;
	*from = window > 0 && row >= window ? (row - window + 1) / edge : 0;
	*to = last / edge + 1;
}

int64_t sx_run_map_cells(int64_t T, int64_t window)
{
	int64_t edge = sx_run_map_edge(T), chunks = 0;
	for (int64_t band = 0; band * edge < T; band++) {
		int64_t from, to;
		sx_run_map_band(T, window, band, &from, &to);
		chunks += to - from;
	}
	return chunks * edge * edge;
}

/* ---- packing ---- */

struct sx_packer {
	struct libdeflate_compressor *z;
	uint8_t *plain, *packed;
	int64_t most;
};

int64_t sx_packed_most(int64_t bytes)
{
	return (int64_t)libdeflate_zlib_compress_bound(NULL, (size_t)bytes) + SUM_BYTES;
}

int64_t sx_packer_bytes(int64_t bytes)
{
	return bytes + sx_packed_most(bytes);
}

sx_packer *sx_packer_new(int64_t bytes, bool stored)
{
	sx_packer *p = sx_calloc(1, sizeof *p);
	if (!p) return NULL;
	p->most = sx_packed_most(bytes);
	p->z = libdeflate_alloc_compressor(stored ? 0 : LEVEL);
	p->plain = sx_calloc((size_t)bytes, 1);
	p->packed = sx_calloc((size_t)p->most, 1);
	if (p->z && p->plain && p->packed) return p;
	sx_packer_free(p);
	return NULL;
}

void sx_packer_free(sx_packer *p)
{
	if (!p) return;
	if (p->z) libdeflate_free_compressor(p->z);
	free(p->plain);
	free(p->packed);
	free(p);
}

/* All first bytes, then all second ones, little-endian as on disk. */
SX_VECTOR
static void shuffle_halves(uint8_t *out, const uint16_t *x, int64_t ld, int64_t nrow, int64_t ncol)
{
	uint8_t *lo = out, *hi = out + nrow * ncol;
	for (int64_t r = 0; r < nrow; r++)
		for (int64_t i = 0; i < ncol; i++) {
			lo[r * ncol + i] = (uint8_t)x[r * ld + i];
			hi[r * ncol + i] = (uint8_t)(x[r * ld + i] >> 8);
		}
}

SX_VECTOR
static void shuffle_words(uint8_t *out, const uint32_t *x, int64_t ld, int64_t nrow, int64_t ncol)
{
	for (int byte = 0; byte < 4; byte++)
		for (int64_t r = 0; r < nrow; r++)
			for (int64_t i = 0; i < ncol; i++)
				out[(byte * nrow + r) * ncol + i] =
					(uint8_t)(x[r * ld + i] >> 8 * byte);
}

/* A sum by folding 16 bits onto 16 bits: it is 0 for zeros alone. */
static uint32_t folded(uint64_t sum)
{
	return sum ? (uint32_t)((sum - 1) % 65535 + 1) : 0;
}

/* Fletcher's checksum (1982) of big-endian words of 16 bits modulo 65535, as HDF5's filter has it;
 * an odd byte is a word's upper half. n is below 2^22, so that 64 bits hold the sums. */
SX_VECTOR
static uint32_t fletcher32(const uint8_t *x, int64_t n)
{
	uint64_t lane[SX_LANES] = {0}, sum[SX_LANES] = {0}, a = 0, b = 0;
	int64_t i = 0;
	for (; i + 2 * SX_LANES <= n; i += 2 * SX_LANES)
		for (int l = 0; l < SX_LANES; l++) {
			lane[l] += (uint64_t)x[i + 2 * l] << 8 | x[i + 2 * l + 1];
			sum[l] += lane[l];
		}
	/* a word is in b once for itself and once for each that follows: SX_LANES times as often as in
	 * its lane's sum, less its place */
	for (int l = 0; l < SX_LANES; l++) {
		a += lane[l];
		b += SX_LANES * sum[l] - (uint64_t)l * lane[l];
	}
	for (; i + 1 < n; i += 2) {
		a += (uint64_t)x[i] << 8 | x[i + 1];
		b += a;
	}
	if (n % 2) {
		a += (uint64_t)x[n - 1] << 8;
		b += a;
	}
	return folded(b) << 16 | folded(a);
}

int64_t sx_pack(sx_packer *p, const void *rows, int64_t ld, int64_t nrow, int64_t ncol, int size,
		const void **packed)
{
	if (size == 2)
		shuffle_halves(p->plain, rows, ld, nrow, ncol);
	else
		shuffle_words(p->plain, rows, ld, nrow, ncol);
	/* the bound holds whatever the data are */
	int64_t n = (int64_t)libdeflate_zlib_compress(p->z, p->plain, (size_t)(nrow * ncol * size),
						      p->packed, (size_t)(p->most - SUM_BYTES));
	uint32_t sum = fletcher32(p->packed, n);
	for (int byte = 0; byte < SUM_BYTES; byte++) p->packed[n++] = (uint8_t)(sum >> 8 * byte);
	*packed = p->packed;
	return n;
}

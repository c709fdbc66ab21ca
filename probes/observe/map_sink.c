#include "probes/observe/map_sink.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A packed chunk: in s->kept where it ends within it, else in the temporary file. bytes = 0: none. */
typedef struct {
	int64_t offset, bytes;
} piece;

/* A thread's. */
typedef struct {
	unsigned char *band; /* (edge, ld) rows of the chunks that are being filled */
	sx_packer *packer;
} lane;

struct sx_map_sink {
	sx_ctx *ctx;
	sx_run *run;
	sx_map_sink_opts o;
	sx_map_choice *map; /* (n_map) */
	int64_t *slot;      /* (n_map) how many earlier ones are of its layer */
	int64_t widest;     /* the most maps of a layer                       */
	int64_t edge, n_band, ld;
	int64_t *first;       /* (n_band + 1) chunks of a map before this band  */
	int size;             /* bytes of an element                            */
	lane *lane;           /* (threads)                                      */
	piece *piece;         /* (batch, widest, first[n_band])                 */
	unsigned char *chunk; /* a packed one, read back                  */
	unsigned char *kept;  /* (kept_bytes)                             */
	int64_t kept_bytes;
	int file;
	atomic_llong end; /* of what waits                                */
	atomic_int error; /* errno of the first write that failed         */
};

static int64_t band_bytes(const sx_map_sink_opts *o)
{
	int64_t edge = sx_run_map_edge(o->T);
	return edge * ((o->T + edge - 1) / edge * edge) * (o->f32 ? 4 : 2);
}

static int64_t chunk_bytes(const sx_map_sink_opts *o)
{
	int64_t edge = sx_run_map_edge(o->T);
	return edge * edge * (o->f32 ? 4 : 2);
}

static int64_t chunks(const sx_map_sink_opts *o)
{
	int64_t edge = sx_run_map_edge(o->T);
	return sx_run_map_cells(o->T, o->window) / (edge * edge);
}

/* Bytes of chunks that wait in memory. */
static int64_t kept_bytes(const sx_map_sink_opts *o, int64_t maps)
{
	const int64_t most = 16 << 20,
		      all = o->batch * maps * chunks(o) * sx_packed_most(chunk_bytes(o));
	return all < most ? all : most;
}

int64_t sx_map_sink_bytes(const sx_map_sink_opts *o)
{
	int64_t bands = (o->T + sx_run_map_edge(o->T) - 1) / sx_run_map_edge(o->T);
	return o->threads * (band_bytes(o) + sx_packer_bytes(chunk_bytes(o))) +
	       sx_packed_most(chunk_bytes(o)) + kept_bytes(o, o->n_map) +
	       o->batch * o->n_map * chunks(o) * (int64_t)sizeof(piece) +
	       (bands + 1 + o->n_map) * (int64_t)sizeof(int64_t) +
	       o->n_map * (int64_t)sizeof(sx_map_choice);
}

/* ---- beginning and end ---- */

/* A file without a name: gone with the process, whatever becomes of it. */
static sx_status open_file(sx_map_sink *s)
{
	char *path = sx_format("%s.maps-XXXXXX", sx_run_path(s->run));
	if (!path) return sx_fail(s->ctx, SX_ENOMEM, "no memory for a path");
	sx_status st = SX_OK;
	s->file = mkstemp(path);
	if (s->file < 0)
		st = sx_fail(s->ctx, SX_ECREATE, "cannot create %s, where maps wait: %s", path,
			     strerror(errno));
	else
		unlink(path);
	free(path);
	return st;
}

static bool make_lanes(sx_map_sink *s)
{
	s->lane = sx_calloc((size_t)s->o.threads, sizeof *s->lane);
	for (int t = 0; s->lane && t < s->o.threads; t++) {
		s->lane[t].band = sx_calloc((size_t)band_bytes(&s->o), 1);
		s->lane[t].packer = sx_packer_new(chunk_bytes(&s->o), s->o.stored);
		if (!s->lane[t].band || !s->lane[t].packer) return false;
	}
	return s->lane != NULL;
}

/* Places of the maps in their layers, of the chunks in a map. */
static void lay_out(sx_map_sink *s)
{
	for (int64_t k = 0; k < s->o.n_map; k++) {
		for (int64_t i = 0; i < k; i++) s->slot[k] += s->map[i].layer == s->map[k].layer;
		if (s->slot[k] >= s->widest) s->widest = s->slot[k] + 1;
	}
	for (int64_t b = 0; b < s->n_band; b++) {
		int64_t from, to;
		sx_run_map_band(s->o.T, s->o.window, b, &from, &to);
		s->first[b + 1] = s->first[b] + to - from;
	}
}

sx_status sx_map_sink_new(sx_map_sink **out, sx_ctx *ctx, sx_run *run, const sx_map_sink_opts *o)
{
	sx_status st = SX_OK;
	sx_map_sink *s = sx_calloc(1, sizeof *s);
	if (!s) return sx_fail(ctx, SX_ENOMEM, "no memory for maps");
	s->ctx = ctx;
	s->run = run;
	s->o = *o;
	s->file = -1;
	s->size = o->f32 ? 4 : 2;
	s->edge = sx_run_map_edge(o->T);
	s->n_band = (o->T + s->edge - 1) / s->edge;
	s->ld = s->n_band * s->edge;
	s->map = sx_calloc((size_t)o->n_map, sizeof *s->map);
	s->slot = sx_calloc((size_t)o->n_map, sizeof *s->slot);
	s->first = sx_calloc((size_t)s->n_band + 1, sizeof *s->first);
	s->chunk = sx_calloc((size_t)sx_packed_most(chunk_bytes(o)), 1);
	if (!s->map || !s->slot || !s->first || !s->chunk || !make_lanes(s)) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for maps of %lld tokens", (long long)o->T);
		goto out;
	}
	memcpy(s->map, o->map, (size_t)o->n_map * sizeof *s->map);
	lay_out(s);
	s->piece =
		sx_calloc((size_t)(o->batch * s->widest * s->first[s->n_band]), sizeof *s->piece);
	s->kept_bytes = kept_bytes(o, s->widest);
	s->kept = sx_calloc((size_t)s->kept_bytes, 1);
	if (!s->piece || !s->kept) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for maps of %lld tokens", (long long)o->T);
		goto out;
	}
	SX_TRY(open_file(s));
	*out = s;
	s = NULL;
out:
	sx_map_sink_free(s);
	return st;
}

void sx_map_sink_free(sx_map_sink *s)
{
	if (!s) return;
	for (int t = 0; s->lane && t < s->o.threads; t++) {
		free(s->lane[t].band);
		sx_packer_free(s->lane[t].packer);
	}
	if (s->file >= 0) close(s->file);
	free(s->lane);
	free(s->map);
	free(s->slot);
	free(s->first);
	free(s->piece);
	free(s->chunk);
	free(s->kept);
	free(s);
}

int64_t sx_map_sink_find(const sx_map_sink *s, int layer, int head)
{
	for (int64_t k = 0; k < s->o.n_map; k++)
		if (s->map[k].layer == layer && s->map[k].head == head) return k;
	return -1;
}

static piece *pieces_of(const sx_map_sink *s, int64_t seq, int64_t map)
{
	return s->piece + (seq * s->widest + s->slot[map]) * s->first[s->n_band];
}

/* ---- rows ---- */

static void round_row(unsigned char *out, const sx_map_rows *r, int64_t at, int64_t n, bool f32)
{
	if (f32 && r->f32) {
		memcpy(out, r->f32 + at, (size_t)n * sizeof *r->f32);
	} else if (f32) {
		float *x = (float *)(void *)out;
		for (int64_t j = 0; j < n; j++) x[j] = (float)r->f64[at + j];
	} else if (r->f32) {
		sx_halves_from((uint16_t *)(void *)out, r->f32 + at, n);
	} else {
		uint16_t *x = (uint16_t *)(void *)out;
		for (int64_t j = 0; j < n; j++) x[j] = sx_half_from(r->f64[at + j]);
	}
}

/* Row i of r, with zeros on both sides, into the band that it belongs to: columns [lo, hi). */
static void put_row(const sx_map_sink *s, const lane *l, const sx_map_rows *r, int64_t i,
		    int64_t lo, int64_t hi)
{
	int64_t a = r->key0 > lo ? r->key0 : lo, size = s->size;
	int64_t b = r->key0 + r->nkey < hi ? r->key0 + r->nkey : hi;
	unsigned char *row = l->band + (r->row0 + i) % s->edge * s->ld * size;
	memset(row + lo * size, 0, (size_t)((a - lo) * size));
	round_row(row + a * size, r, i * r->ld + a - r->key0, b - a, s->o.f32);
	memset(row + b * size, 0, (size_t)((hi - b) * size));
}

static void write_out(sx_map_sink *s, const unsigned char *data, piece p)
{
	if (p.offset + p.bytes <= s->kept_bytes) {
		memcpy(s->kept + p.offset, data, (size_t)p.bytes);
		return;
	}
	for (int64_t done = 0; done < p.bytes;) {
		ssize_t n = pwrite(s->file, data + done, (size_t)(p.bytes - done), p.offset + done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) {
			int none = 0;
			atomic_compare_exchange_strong(&s->error, &none, n < 0 ? errno : ENOSPC);
			return;
		}
		done += n;
	}
}

/* Packs the chunks [from, to) of a band whose rows are there up to row `rows`. */
static void end_band(sx_map_sink *s, const lane *l, const sx_map_rows *r, int64_t band,
		     int64_t from, int64_t to, int64_t rows)
{
	int64_t size = s->size, width = s->edge * size;
	piece *p = pieces_of(s, r->seq, r->map) + s->first[band];
	for (; rows < s->edge; rows++)
		memset(l->band + (rows * s->ld + from * s->edge) * size, 0,
		       (size_t)((to - from) * width));
	for (int64_t c = from; c < to; c++, p++) {
		const void *packed;
		p->bytes = sx_pack(l->packer, l->band + c * width, s->ld, s->edge, s->edge, s->size,
				   &packed);
		p->offset = atomic_fetch_add(&s->end, p->bytes);
		write_out(s, packed, *p);
	}
}

void sx_map_sink_rows(sx_map_sink *s, const sx_map_rows *r)
{
	const lane *l = &s->lane[r->thread];
	for (int64_t i = 0; i < r->nrow; i++) {
		int64_t row = r->row0 + i, band = row / s->edge, from, to;
		sx_run_map_band(s->o.T, s->o.window, band, &from, &to);
		put_row(s, l, r, i, from * s->edge, to * s->edge);
		if (row == s->o.T - 1 || (row + 1) % s->edge == 0)
			end_band(s, l, r, band, from, to, row % s->edge + 1);
	}
}

/* ---- the end of a layer ---- */

static sx_status read_back(const void **data, sx_map_sink *s, piece p)
{
	bool kept = p.offset + p.bytes <= s->kept_bytes;
	*data = kept ? s->kept + p.offset : s->chunk;
	if (kept) return SX_OK;
	for (int64_t done = 0; done < p.bytes;) {
		ssize_t n =
			pread(s->file, s->chunk + done, (size_t)(p.bytes - done), p.offset + done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0)
			return sx_fail(s->ctx, SX_EIO,
				       "maps that wait beside %s cannot be read: %s",
				       sx_run_path(s->run), n < 0 ? strerror(errno) : "cut short");
		done += n;
	}
	return SX_OK;
}

static sx_status put_map(sx_map_sink *s, int64_t record, int64_t map, const piece *p)
{
	sx_status st = SX_OK;
	for (int64_t band = 0; band < s->n_band; band++) {
		int64_t from, to;
		sx_run_map_band(s->o.T, s->o.window, band, &from, &to);
		for (int64_t c = from; c < to; c++, p++) {
			const int64_t start[] = {record, map, band * s->edge, c * s->edge};
			const void *data;
			SX_TRY(read_back(&data, s, *p));
			SX_TRY(sx_run_put_chunk(s->run, SX_RUN_ATTN_PROB, start, data, p->bytes));
		}
	}
out:
	return st;
}

sx_status sx_map_sink_layer(sx_map_sink *s, int layer, int64_t seq0)
{
	sx_status st = SX_OK;
	int64_t record = sx_run_records(s->run, SX_RUN_ATTN_SAMPLE) + seq0;
	int error = atomic_load(&s->error);
	if (error)
		return sx_fail(s->ctx, SX_EIO,
			       "writing maps to a temporary file beside %s failed: %s",
			       sx_run_path(s->run), strerror(error));
	for (int64_t b = 0; b < s->o.batch; b++)
		for (int64_t k = 0; k < s->o.n_map; k++) {
			piece *p = pieces_of(s, b, k);
			/* a pass may be of fewer sequences */
			if (s->map[k].layer != layer || p->bytes == 0) continue;
			SX_TRY(put_map(s, record + b, k, p));
			memset(p, 0, (size_t)s->first[s->n_band] * sizeof *p);
		}
	atomic_store(&s->end, 0);
out:
	return st;
}

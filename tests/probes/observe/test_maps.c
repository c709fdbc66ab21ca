/* Attention maps on their way into a run file: what is read back is the naive rounding of the tiles'
 * probabilities, bit for bit, whatever the length, the window, the threads, and however the file came
 * about; any reader of HDF5 reads it; nothing above the diagonal is stored. */
#include "tests/support/recorder.h"
#include "tests/support/run_fixture.h"

#include "probes/record/record.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- binary16 in vectors ---- */

static void check_halves(const float *x, int64_t n)
{
	uint16_t *got = sx_calloc((size_t)n, sizeof *got);
	assert_non_null(got);
	sx_halves_from(got, x, n);
	for (int64_t i = 0; i < n; i++)
		if (got[i] != sx_half_from((double)x[i]))
			fail_msg("%a becomes %04x, not %04x", (double)x[i], got[i],
				 sx_half_from((double)x[i]));
	free(got);
}

/* Every half, both its neighbours among the floats, the middle to the next one and that one's. */
static void halves_of_all_neighbourhoods(void **state)
{
	(void)state;
	enum { EACH = 6 };
	static float x[65536 * EACH];
	int64_t n = 0;
	for (unsigned h = 0; h < 65536; h++) {
		float sign = h >> 15 ? -1.0f : 1.0f, a, mid;
		double out = h >> 15 ? -65536.0 : 65536.0;
		if ((h & 0x7c00) == 0x7c00) { /* infinity, and NaN with this payload */
			uint32_t bits = (h & 0x8000) << 16 | 0x7f800000 | (h & 0x3ff) << 13;
			memcpy(&a, &bits, sizeof a);
			mid = a;
		} else {
			double next = (h & 0x7fff) == 0x7bff ? out : half_value(h + 1);
			a = (float)half_value(h);
			mid = (float)((half_value(h) + next) / 2);
		}
		x[n++] = a;
		x[n++] = nextafterf(a, sign * (float)INFINITY);
		x[n++] = nextafterf(a, -sign * (float)INFINITY);
		x[n++] = mid;
		x[n++] = nextafterf(mid, sign * (float)INFINITY);
		x[n++] = nextafterf(mid, -sign * (float)INFINITY);
	}
	check_halves(x, n);
	for (int64_t odd = 0; odd < 70; odd++) check_halves(x + odd, odd);
}

/* All exponents a float has, subnormals among them. */
static void halves_of_all_exponents(void **state)
{
	(void)state;
	enum { N = 1 << 20 };
	float *x = sx_calloc(N, sizeof *x);
	assert_non_null(x);
	for (int64_t i = 0; i < N; i++) {
		uint32_t bits = (uint32_t)sx_random_bits(3, SX_STREAM_TEST, (uint64_t)i);
		memcpy(&x[i], &bits, sizeof bits);
	}
	check_halves(x, N);
	free(x);
}

/* ---- chunks ---- */

static void chunks_cover_what_is_visible(void **state)
{
	(void)state;
	static const int64_t lengths[] = {1, 2, 63, 90, 257, 512, 513, 1000, 1024, 5000, 70000};
	static const int64_t windows[] = {0, 1, 100, 256, 257, 600};
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
		for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
			int64_t n = lengths[l], w = windows[k], edge = sx_run_map_edge(n),
				cells = 0;
			assert_true(edge <= n);
			/* 16 KiB to 1 MiB, or the whole map where it is less */
			assert_true(2 * edge * edge >= 16384 || edge == n);
			assert_true(4 * edge * edge <= 1 << 20);
			for (int64_t band = 0; band * edge < n; band++) {
				int64_t from, to, top = band * edge, end = top + edge;
				int64_t first = sx_first_key(top, w),
					last = end < n ? end - 1 : n - 1;
				sx_run_map_band(n, w, band, &from, &to);
				assert_int_equal(from, first / edge);
				assert_int_equal(to, last / edge + 1);
				cells += (to - from) * edge * edge;
			}
			assert_int_equal(cells, sx_run_map_cells(n, w));
		}
}

/* ---- passes ---- */

typedef struct {
	sx_spec spec;
	sx_model *m;
	int64_t B, T;
	int32_t *tokens;
	sx_map_choice *map;
	sx_measure_opts opts;
	sx_measures *measures;
	recorder rec;
	sx_record_axes axes;
} subject;

static subject subject_of(int64_t B, int64_t length, int64_t window, bool f32, const char *heads)
{
	subject x = {.B = B, .T = length};
	x.spec = small_spec("rope", 2, 16, 4, 2, 4);
	x.spec.pos.window = window;
	x.m = small_model(&x.spec, 5, 0.6);
	x.tokens = small_tokens(B * length, x.spec.V, 6);
	assert_int_equal(sx_select_heads(&x.map, &x.opts.n_map, NULL, heads, 2, 4), SX_OK);
	x.opts.map = x.map;
	assert_int_equal(sx_measures_new(&x.measures, NULL, &x.opts, B, 2, 4, length, 2, 0), SX_OK);
	x.rec = recorder_of(&x.spec, B, length);
	x.axes = (sx_record_axes){.S = B,
				  .T = length,
				  .tokens = x.tokens,
				  .maps_f32 = f32,
				  .records = 1,
				  .samples = B};
	return x;
}

/* Into a file; of a live one `records` passes, and the end is left to the caller. */
static void subject_runs(struct fixture *f, subject *x, const char *path, bool live, int threads,
			 int records, sx_run **left)
{
	sx_run *run;
	sx_map_sink *sink = NULL;
	sx_observers *o = NULL;
	int n;
	omp_set_num_threads(threads);
	x->axes.spec = &x->spec;
	x->axes.measure = &x->opts;
	ok(f, sx_run_create(&run, &f->ctx, path, live));
	ok(f, sx_record_define(run, &x->axes));
	ok(f, sx_run_start(run));
	ok(f, sx_record_sink(&sink, &f->ctx, run, &x->axes, x->B, threads));
	ok(f, sx_observers_new(&o, &f->ctx, &x->spec, &x->opts, NULL, threads, x->measures));
	const sx_probe *theirs = sx_observers_probes(o, &n);
	assert_int_equal(n, 1);
	const sx_probe both[] = {theirs[0],
				 {.self = &x->rec, .tile = record_tile, .head_end = record_head}};
	sx_work *w = small_work(x->m, x->B, x->T, SX_WORK_FORWARD);
	for (int r = 0; r < records; r++) {
		/* a pass whose maps are not wanted leaves nothing behind */
		sx_observers_sink(o, NULL);
		ok(f,
		   sx_forward(&f->ctx, x->m, w,
			      &(sx_request){
				      .tokens = x->tokens, .B = x->B, .probe = both, .n_probe = 1},
			      NULL));
		sx_observers_sink(o, sink);
		ok(f,
		   sx_forward(&f->ctx, x->m, w,
			      &(sx_request){
				      .tokens = x->tokens, .B = x->B, .probe = both, .n_probe = 2},
			      NULL));
		ok(f,
		   sx_record_put(run, &f->ctx, &x->axes, x->measures, &x->spec, 10 * r, 0, true));
	}
	sx_work_free(w);
	sx_observers_free(o);
	sx_map_sink_free(sink);
	if (left)
		*left = run;
	else
		ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

static void subject_free(subject *x)
{
	recorder_free(&x->rec);
	sx_measures_free(x->measures);
	sx_model_free(x->m);
	free(x->tokens);
	free(x->map);
}

/* Every number of every map of `records` passes, by a reader that knows nothing of chunks. */
static void check_file(struct fixture *f, const subject *x, const char *path, int records)
{
	sx_run_file *in = open_run(f, path);
	int64_t N = x->T, dims[SX_RUN_MAX_DIMS];
	int ndim;
	double *got = zeros(N * N);
	ok(f, sx_run_shape(in, SX_RUN_ATTN_PROB, dims, &ndim));
	assert_int_equal(dims[0], records * x->B);
	for (int64_t r = 0; r < records * x->B; r++)
		for (int64_t k = 0; k < x->opts.n_map; k++) {
			const double *p =
				record_of(&x->rec, r % x->B, x->map[k].layer, x->map[k].head)->p;
			ok(f, sx_run_read(in, SX_RUN_ATTN_PROB, ((const int64_t[]){r, k, 0, 0}),
					  ((const int64_t[]){1, 1, N, N}), got));
			for (int64_t i = 0; i < N * N; i++) {
				double want = x->axes.maps_f32 ? (double)(float)p[i]
							       : half_value(sx_half_from(p[i]));
				if (got[i] != want)
					fail_msg("record %d, map %d, row %d, key %d: %a, not %a",
						 (int)r, (int)k, (int)(i / N), (int)(i % N), got[i],
						 want);
			}
		}
	sx_run_whole whole;
	ok(f, sx_run_verify(in, &whole, NULL, NULL));
	assert_int_equal(whole.faults, 0);
	sx_run_file_close(in);
	free(got);
}

static void maps_are_the_rounded_tiles(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int64_t B, T, window;
		bool f32;
		const char *heads;
	} cases[] = {{1, 1, 0, false, "L*/H*"},     {2, 2, 0, true, "L*/H*"},
		     {1, 63, 0, false, "L1/H0-2"},  {3, 64, 0, false, "L*/H*"},
		     {2, 65, 0, true, "L*/H1"},     {1, 257, 0, false, "L*/H*"},
		     {1, 257, 31, true, "L0/H3"},   {2, 513, 0, false, "L0/H1,L1/H*"},
		     {1, 640, 300, false, "L*/H*"}, {1, 1024, 0, true, "L1/H0"},
		     {1, 1024, 0, false, "L0/H2"},  {2, 1024, 0, true, "L0/H*"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		subject x = subject_of(cases[i].B, cases[i].T, cases[i].window, cases[i].f32,
				       cases[i].heads);
		int64_t size[2];
		for (int stored = 0; stored < 2; stored++) {
			struct stat s;
			x.axes.maps_stored = stored;
			subject_runs(f, &x, f->path[0], false, 2, 1, NULL);
			check_file(f, &x, f->path[0], 1);
			check(stat(f->path[0], &s) == 0);
			size[stored] = s.st_size;
		}
		/* of the last what waits is too much for memory */
		int64_t all = x.B * x.opts.n_map * sx_run_map_cells(x.T, cases[i].window) *
			      (cases[i].f32 ? 4 : 2);
		assert_true(size[1] >= size[0] && size[1] >= all);
		subject_free(&x);
	}
}

static bool same_files(struct fixture *f, const char *a, const char *b)
{
	char *x, *y;
	size_t n, m;
	ok(f, sx_read_file(&f->ctx, a, &x, &n));
	ok(f, sx_read_file(&f->ctx, b, &y, &m));
	bool same = n == m && memcmp(x, y, n) == 0;
	free(x);
	free(y);
	return same;
}

static void threads_leave_the_same_bytes(void **state)
{
	struct fixture *f = *state;
	static const int threads[] = {2, 8};
	subject x = subject_of(3, 600, 0, false, "L*/H*");
	subject_runs(f, &x, f->path[0], false, 1, 1, NULL);
	check_file(f, &x, f->path[0], 1);
	for (int k = 0; k < 2; k++) {
		subject_runs(f, &x, f->path[1], false, threads[k], 1, NULL);
		assert_true(same_files(f, f->path[0], f->path[1]));
	}
	x.tokens[700] = (x.tokens[700] + 1) % x.spec.V; /* the comparison can fail */
	subject_runs(f, &x, f->path[1], false, 2, 1, NULL);
	assert_false(same_files(f, f->path[0], f->path[1]));
	subject_free(&x);
}

/* Rows of one sequence of two that a pass may have, in tiles of any height, whatever they have to do
 * with chunks. */
static void put_in_tiles(struct fixture *f, const char *path, const double *p, int64_t tile)
{
	enum { N = 530, WINDOW = 270 };
	sx_run *run;
	sx_map_sink *sink;
	const sx_map_choice map[] = {{1, 0}, {0, 3}};
	const sx_measure_opts opts = {.n_map = 2, .map = map};
	sx_spec spec = small_spec("nope", 2, 4, 4, 1, 4);
	spec.pos.window = WINDOW;
	const sx_record_axes axes = {.spec = &spec, .S = 2, .T = N, .measure = &opts, .samples = 2};
	ok(f, sx_run_create(&run, &f->ctx, path, false));
	ok(f, sx_record_define(run, &axes));
	ok(f, sx_run_start(run));
	ok(f, sx_record_sink(&sink, &f->ctx, run, &axes, 2, 1));
	assert_int_equal(sx_map_sink_find(sink, 0, 3), 1);
	assert_int_equal(sx_map_sink_find(sink, 1, 3), -1);
	for (int64_t i = 0; i < N; i += tile) {
		int64_t key0 = sx_first_key(i, WINDOW), nrow = N - i < tile ? N - i : tile;
		sx_map_rows rows = {.map = 1,
				    .row0 = i,
				    .nrow = nrow,
				    .key0 = key0,
				    .nkey = i + nrow - key0,
				    .ld = N,
				    .f64 = p + i * N + key0};
		sx_map_sink_rows(sink, &rows);
	}
	ok(f, sx_map_sink_layer(sink, 0, 0));
	ok(f, sx_map_sink_layer(sink, 1, 0)); /* nothing came of it */
	for (int64_t r = 0; r < 2; r++) ok(f, sx_run_put(run, SX_RUN_ATTN_SAMPLE, r, &r));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	sx_map_sink_free(sink);
	if (tile > 1) return;
	double *got = zeros(N * N);
	sx_run_file *in = open_run(f, path);
	for (int64_t r = 0; r < 2; r++)
		for (int64_t k = 0; k < 2; k++) {
			ok(f, sx_run_read(in, SX_RUN_ATTN_PROB, ((const int64_t[]){r, k, 0, 0}),
					  ((const int64_t[]){1, 1, N, N}), got));
			for (int64_t i = 0; i < N * N; i++)
				assert_true(
					got[i] ==
					(r == 0 && k == 1 ? half_value(sx_half_from(p[i])) : 0));
		}
	sx_run_file_close(in);
	free(got);
}

static void tiles_may_be_of_any_height(void **state)
{
	struct fixture *f = *state;
	static const int64_t tile[] = {16, 64, 100, 128, 300, 530};
	double *p = zeros(530 * 530);
	for (int64_t i = 0; i < 530; i++)
		for (int64_t j = sx_first_key(i, 270); j <= i; j++)
			p[i * 530 + j] = sx_uniform(2, SX_STREAM_TEST, (uint64_t)(i * 530 + j));
	put_in_tiles(f, f->path[0], p, 1);
	for (size_t k = 0; k < sizeof tile / sizeof *tile; k++) {
		put_in_tiles(f, f->path[1], p, tile[k]);
		assert_true(same_files(f, f->path[0], f->path[1]));
	}
	free(p);
}

/* Bytes of a chunk on disk, 0 where it is not stored. */
static hsize_t stored(hid_t set, int64_t map, int64_t row, int64_t col)
{
	const hsize_t at[] = {0, (hsize_t)map, (hsize_t)row, (hsize_t)col};
	hsize_t bytes = 0;
	haddr_t address = HADDR_UNDEF;
	unsigned mask = 0;
	assert_true(H5Dget_chunk_info_by_coord(set, at, &mask, &address, &bytes) >= 0);
	assert_int_equal(mask, 0);
	return address == HADDR_UNDEF ? 0 : bytes;
}

/* Nothing above the diagonal or left of the window; the filters are HDF5's own, all of them. */
static void only_visible_chunks_are_stored(void **state)
{
	struct fixture *f = *state;
	for (int64_t window = 0; window <= 200; window += 200) {
		subject x = subject_of(1, 1000, window, false, "L0/H*");
		subject_runs(f, &x, f->path[0], false, 2, 1, NULL);
		hid_t file = H5Fopen(f->path[0], H5F_ACC_RDONLY, H5P_DEFAULT);
		hid_t set = H5Dopen2(file, "/attn/prob", H5P_DEFAULT),
		      made = H5Dget_create_plist(set);
		int there = 0;
		for (int64_t r = 0; r < 1000; r += 256)
			for (int64_t c = 0; c < 1000; c += 256) {
				bool visible = c <= r && (!window || c + 256 > r - window + 1);
				assert_int_equal(stored(set, 2, r, c) > 0, visible);
				there += visible;
			}
		assert_int_equal(there, window ? 7 : 10);
		assert_int_equal(H5Pget_nfilters(made), 3);
		static const H5Z_filter_t want[] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE,
						    H5Z_FILTER_FLETCHER32};
		for (unsigned i = 0; i < 3; i++) {
			size_t none = 0;
			assert_int_equal(H5Pget_filter2(made, i, NULL, &none, NULL, 0, NULL, NULL),
					 want[i]);
		}
		H5Pclose(made);
		H5Dclose(set);
		H5Fclose(file);
		subject_free(&x);
	}
}

static void count_fault(void *self, const char *path, const char *what)
{
	(void)what;
	if (strcmp(path, "/attn/prob") == 0) ++*(int *)self;
}

/* The checksum is HDF5's: a byte turned over in a chunk is noticed. */
static void damage_is_noticed(void **state)
{
	struct fixture *f = *state;
	subject x = subject_of(1, 300, 0, true, "L0/H1");
	subject_runs(f, &x, f->path[0], false, 1, 1, NULL);
	hid_t file = H5Fopen(f->path[0], H5F_ACC_RDONLY, H5P_DEFAULT);
	hid_t set = H5Dopen2(file, "/attn/prob", H5P_DEFAULT);
	const hsize_t at[4] = {0};
	hsize_t bytes;
	haddr_t address;
	unsigned mask;
	assert_true(H5Dget_chunk_info_by_coord(set, at, &mask, &address, &bytes) >= 0);
	H5Dclose(set);
	H5Fclose(file);
	char *all;
	size_t size;
	ok(f, sx_read_file(&f->ctx, f->path[0], &all, &size));
	for (hsize_t k = 0; k <= 8; k++) { /* from the first byte to the last of the checksum */
		char *byte = &all[address + k * (bytes - 1) / 8], kept = *byte;
		*byte = (char)(kept ^ 0x10);
		ok(f, sx_write_file(&f->ctx, f->path[1], all, size));
		*byte = kept;
		sx_run_file *in = open_run(f, f->path[1]);
		sx_run_whole whole;
		int faults = 0;
		ok(f, sx_run_verify(in, &whole, count_fault, &faults));
		assert_int_equal(faults, 1);
		sx_run_file_close(in);
	}
	free(all);
	subject_free(&x);
}

/* ---- live files ---- */

static void *packed_chunk(hid_t set, hsize_t record, int64_t row, int64_t col, hsize_t *bytes)
{
	const hsize_t at[] = {record, 1, (hsize_t)row, (hsize_t)col};
	uint32_t mask;
	assert_true(H5Dget_chunk_storage_size(set, at, bytes) >= 0);
	void *data = sx_calloc(*bytes, 1);
	assert_non_null(data);
	assert_true(H5Dread_chunk(set, H5P_DEFAULT, at, &mask, data) >= 0);
	return data;
}

static subject *of_child;

static void run_and_die(struct fixture *f)
{
	sx_run *run;
	subject_runs(f, of_child, f->path[0], true, 1, 2, &run);
	raise(SIGKILL);
}

/* A killed segment has all its maps; the sealed file has the same chunks, byte for byte. */
static void killed_and_sealed_maps_are_whole(void **state)
{
	struct fixture *f = *state;
	const char *segment = f->path[0];
	for (int f32 = 0; f32 < 2; f32++) {
		subject x = subject_of(2, 530, 0, f32, "L*/H2");
		of_child = &x;
		unlink(segment);
		int status = in_child(run_and_die, f);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		subject_runs(f, &x, f->path[1], false, 1, 1, NULL); /* for the recorder's sake */
		check_file(f, &x, segment, 2);
		ok(f, sx_run_seal(&f->ctx, f->path[2], &segment, 1));
		check_file(f, &x, f->path[2], 2);
		hid_t live = H5Fopen(segment, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, H5P_DEFAULT);
		hid_t sealed = H5Fopen(f->path[2], H5F_ACC_RDONLY, H5P_DEFAULT);
		hid_t a = H5Dopen2(live, "/attn/prob", H5P_DEFAULT);
		hid_t b = H5Dopen2(sealed, "/attn/prob", H5P_DEFAULT);
		for (int64_t r = 0; r < 530; r += 256)
			for (int64_t c = 0; c <= r; c += 256) {
				hsize_t n, m;
				void *p = packed_chunk(a, 3, r, c, &n),
				     *q = packed_chunk(b, 3, r, c, &m);
				assert_int_equal(n, m);
				assert_memory_equal(p, q, n);
				free(p);
				free(q);
			}
		H5Dclose(a);
		H5Dclose(b);
		H5Fclose(live);
		H5Fclose(sealed);
		subject_free(&x);
	}
}

/* ---- other readers ---- */

static void other_readers_agree(void **state)
{
	struct fixture *f = *state;
	if (system("/usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null") != 0) {
		print_message("skipped: python3 has no h5py\n");
		skip();
	}
	static const char script[] =
		"import sys, h5py, numpy as np\n"
		"p = h5py.File(sys.argv[1])['attn/prob']\n"
		"assert p.dtype == sys.argv[3] and p.attrs['masked_value'] == 0\n"
		"want = np.fromfile(sys.argv[2], '<f8').reshape(p.shape)\n"
		"with np.errstate(under='ignore'):\n"
		"    want = want.astype(p.dtype)\n"
		"assert np.array_equal(p[...], want)\n";
	for (int f32 = 0; f32 < 2; f32++) {
		subject x = subject_of(1, 530, 0, f32, "L1/H*");
		char *command = sx_format("/usr/bin/python3 %s %s %s %s", f->path[2], f->path[0],
					  f->path[1], f32 ? "float32" : "float16");
		assert_non_null(command);
		subject_runs(f, &x, f->path[0], false, 2, 1, NULL);
		double *want = zeros(4 * 530 * 530);
		for (int h = 0; h < 4; h++)
			memcpy(want + h * 530 * 530, record_of(&x.rec, 0, 1, h)->p,
			       530 * 530 * sizeof *want);
		ok(f, sx_write_file(&f->ctx, f->path[1], want, 4 * 530 * 530 * sizeof *want));
		ok(f, sx_write_file(&f->ctx, f->path[2], script, strlen(script)));
		assert_int_equal(system(command), 0);
		free(command);
		free(want);
		subject_free(&x);
	}
}

/* ---- what may go wrong ---- */

static void write_too_much(struct fixture *f)
{
	sx_run *run;
	sx_map_sink *sink;
	const sx_map_choice map = {0, 0};
	enum { N = 4096 };
	static float p[N * N];
	const sx_measure_opts opts = {.n_map = 1, .map = &map};
	const sx_spec spec = small_spec("nope", 1, 4, 1, 1, 4);
	/* more than waits in memory */
	const sx_record_axes axes = {
		.spec = &spec, .S = 1, .T = N, .measure = &opts, .maps_stored = true, .samples = 1};
	const sx_map_rows rows = {.nrow = N, .nkey = N, .ld = N, .f32 = p};
	for (int64_t i = 0; i < N * N; i++)
		p[i] = (float)sx_uniform(1, SX_STREAM_TEST, (uint64_t)i);
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_record_define(run, &axes));
	ok(f, sx_run_start(run));
	ok(f, sx_record_sink(&sink, &f->ctx, run, &axes, 1, 1));
	const struct rlimit limit = {1 << 18, 1 << 18};
	signal(SIGXFSZ, SIG_IGN);
	check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	sx_map_sink_rows(sink, &rows);
	refused(f, sx_map_sink_layer(sink, 0, 0), SX_EIO, "temporary file beside");
	sx_map_sink_free(sink);
	sx_run_free(run);
}

static void full_disk_is_told(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(in_child(write_too_much, f), 0);
	assert_false(sx_path_exists(f->path[0]));
	/* nothing is left lying about */
	DIR *d = opendir(f->dir);
	for (struct dirent *e; (e = readdir(d));) assert_int_equal(e->d_name[0], '.');
	closedir(d);
}

static void misplaced_chunks_are_refused(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	const int64_t off[] = {0, 0, 3, 0}, beyond[] = {0, MAPS, 0, 0}, at[] = {0, 0, 0, 0};
	begin_segment(f, &run, f->path[0], true);
	refused(f, sx_run_put_chunk(run, SX_RUN_ATTN_PROB, at, "", 0), SX_EINTERNAL,
		"sx_run_start");
	ok(f, sx_run_start(run));
	refused(f, sx_run_put_chunk(run, SX_RUN_ATTN_PROB, off, "", 0), SX_EINTERNAL, "begins");
	refused(f, sx_run_put_chunk(run, SX_RUN_ATTN_PROB, beyond, "", 0), SX_EINTERNAL, "begins");
	refused(f, sx_run_put_chunk(run, SX_RUN_STATS_ENTROPY, at, "", 0), SX_EINTERNAL,
		"elsewhere");
	refused(f, sx_run_put_chunk(run, SX_RUN_AC_VALUE, at, "", 0), SX_EINTERNAL, "not defined");
	sx_run_free(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_of_all_neighbourhoods),
		cmocka_unit_test(halves_of_all_exponents),
		cmocka_unit_test(chunks_cover_what_is_visible),
		cmocka_unit_test_setup_teardown(maps_are_the_rounded_tiles, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_leave_the_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(tiles_may_be_of_any_height, setup, teardown),
		cmocka_unit_test_setup_teardown(only_visible_chunks_are_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_and_sealed_maps_are_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(other_readers_agree, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(misplaced_chunks_are_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

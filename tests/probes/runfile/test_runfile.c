/* The run file: what is written is read back, whatever kills the writer; every dataset explains
 * itself; nothing that is no run file is taken for one. */
#include "tests/support/run_fixture.h"

#include <hdf5.h>
#include <hdf5_hl.h>
#include <sys/resource.h>

/* ---- binary16 ---- */

/* Every half is itself; half-way to its neighbour goes to the even one, a hair off to the
 * nearer. */
static void half_rounds_to_even(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2; s++)
		for (unsigned h = 0; h < 0x7c00; h++) {
			unsigned sign = s << 15, lo = sign | h, up = sign | (h + 1);
			double a = half_value(lo), far = s ? -1e9 : 1e9;
			double b = h == 0x7bff ? (s ? -65536.0 : 65536.0) : half_value(up);
			double mid = (a + b) / 2;
			assert_int_equal(sx_half_from(a), lo);
			assert_int_equal(sx_half_from(mid), h & 1 ? up : lo);
			assert_int_equal(sx_half_from(nextafter(mid, 0)), lo);
			assert_int_equal(sx_half_from(nextafter(mid, far)), up);
		}
	assert_int_equal(sx_half_from(65519.999), 0x7bff);
	assert_int_equal(sx_half_from(65520), 0x7c00);
	assert_int_equal(sx_half_from(-1e300), 0xfc00);
	assert_int_equal(sx_half_from((double)INFINITY), 0x7c00);
	assert_int_equal(sx_half_from(0x1p-25), 0);
	assert_int_equal(sx_half_from(0x1.0000000000001p-25), 1);
	assert_int_equal(sx_half_from(-0.0), 0x8000);
	assert_int_equal(sx_half_from(5e-324), 0);
	assert_true((sx_half_from((double)NAN) & 0x7fff) > 0x7c00);
}

/* The compiler's own conversion, where it has one. */
static void half_is_the_compilers(void **state)
{
	(void)state;
#ifdef __FLT16_MANT_DIG__
	__extension__ typedef _Float16 half;
	for (uint64_t i = 0; i < 400000; i++) {
		double x = ldexp(sx_uniform(7, SX_STREAM_TEST, 2 * i) + 1,
				 (int)(45 * sx_uniform(7, SX_STREAM_TEST, 2 * i + 1)) - 28);
		if (i & 1) x = -x;
		half a = (half)x, b = (half)(float)x;
		uint16_t wa, wb;
		memcpy(&wa, &a, 2);
		memcpy(&wb, &b, 2);
		assert_int_equal(sx_half_from(x), wa);
		assert_int_equal(sx_half_from((double)(float)x), wb);
	}
#else
	print_message("skipped: this compiler has no _Float16\n");
	skip();
#endif
}

/* ---- live files ---- */

static void write_and_die(struct fixture *f)
{
	sx_run *run;
	begin_segment(f, &run, f->path[0], true);
	ok(f, sx_run_start(run));
	for (int64_t s = 1; s <= 10; s++) put_train(f, run, 0, s, 0);
	put_stats(f, run, 0, 0, 0, true);
	put_stats(f, run, 0, 5, 0, true);
	put_sample(f, run, 5);
	put_stats(f, run, 0, 10, 0, false);
	raise(SIGKILL);
}

static void die_early(struct fixture *f)
{
	sx_run *run;
	begin_segment(f, &run, f->path[0], true);
	raise(SIGKILL);
}

static void killed_file_holds_what_was_flushed(void **state)
{
	struct fixture *f = *state;
	/* Before the start it has no name yet, and the next attempt is not stopped by it. */
	assert_true(WIFSIGNALED(in_child(die_early, f)));
	assert_false(sx_path_exists(f->path[0]));
	static const struct expected train[] = {{1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0},
						{5, 0, 0}, {6, 0, 0}, {7, 0, 0}, {8, 0, 0}};
	static const struct expected stats[] = {{0, 0, 0}, {5, 0, 0}};
	int status = in_child(write_and_die, f);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	sx_run_file *in = open_run(f, f->path[0]);
	assert_true(sx_run_is_live(in));
	check_records(f, in, SX_RUN_TRAIN_STEP, SX_RUN_TRAIN_LOSS, train, 8);
	check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, stats, 2);

	double q_norm[2 * SLH]; /* defined, never written */
	ok(f, sx_run_read(in, SX_RUN_STATS_Q_NORM, NULL, NULL, q_norm));
	for (int i = 0; i < 2 * SLH; i++) assert_true(isnan(q_norm[i]));
	float prob[T * T];
	ok(f, sx_run_read(in, SX_RUN_ATTN_PROB, ((const int64_t[]){0, 1, 0, 0}),
			  ((const int64_t[]){1, 1, T, T}), prob));
	for (int i = 0; i < T * T; i++)
		assert_true((double)prob[i] ==
			    half_value(sx_half_from((double)map_value(5, 1, i))));
	char *text, **strings;
	int64_t n;
	ok(f, sx_run_get_str(in, "/", "command_line", &text));
	assert_string_equal(text, "sextant train \xc3\xa9.yaml");
	free(text);
	ok(f, sx_run_get_str(in, "/", "status", &text));
	assert_string_equal(text, "running");
	free(text);
	ok(f, sx_run_strings(in, SX_RUN_AC_C, &strings, &n));
	assert_int_equal(n, 3);
	assert_string_equal(strings[2], "offset:12");
	free(strings);
	sx_run_file_close(in);
}

/* A reader of another process sees every record as soon as it is flushed, and no torn one. */
static void live_file_is_read_while_written(void **state)
{
	struct fixture *f = *state;
	int go[2], done[2], status;
	char token = 0;
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(done), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		a_child = true;
		close(go[1]); /* so that it ends when its reader gives up */
		close(done[0]);
		sx_run *run;
		begin_segment(f, &run, f->path[0], true);
		ok(f, sx_run_start(run));
		for (int64_t s = 0; s < 6; s++) {
			put_stats(f, run, 0, s, 0, true);
			put_stats(f, run, 0, s, 1, false);
			if (write(done[1], &token, 1) != 1 || read(go[0], &token, 1) != 1) _exit(3);
			ok(f, sx_run_flush(run, SX_RUN_STATS_STEP));
		}
		ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
		_exit(0);
	}
	close(go[0]);
	close(done[1]);
	for (int64_t s = 0; s < 6; s++) {
		struct expected want[12];
		assert_int_equal(read(done[0], &token, 1), 1);
		for (int i = 0; i < 12; i++) want[i] = (struct expected){i / 2, i % 2, 0};
		sx_run_file *in = open_run(f, f->path[0]);
		assert_true(sx_run_is_live(in));
		check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, want, 2 * s + 1);
		sx_run_file_close(in);
		assert_int_equal(write(go[1], &token, 1), 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	sx_run_file *in = open_run(f, f->path[0]);
	assert_false(sx_run_is_live(in));
	char *text;
	ok(f, sx_run_get_str(in, "/", "status", &text));
	assert_string_equal(text, "complete");
	free(text);
	sx_run_file_close(in);
	close(go[1]);
	close(done[0]);
}

static void nothing_new_after_the_start(void **state)
{
	struct fixture *f = *state;
	for (int live = 0; live < 2; live++) {
		sx_run *run;
		begin_segment(f, &run, f->path[live], live);
		ok(f, sx_run_start(run));
		refused(f, sx_run_define(run, SX_RUN_TRAIN_LR), SX_EINTERNAL, "too late");
		refused(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, 2), SX_EINTERNAL, "too late");
		refused(f, sx_run_grow(run, SX_RUN_AC_STEP, 1), SX_EINTERNAL, "too late");
		refused(f, sx_run_attr_int(run, "/", "late", 1), SX_EINTERNAL, "too late");
		refused(f, sx_run_meta(run, SX_RUN_META_DATA_JSON, "{}"), SX_EINTERNAL, "too late");
		refused(f, sx_run_start(run), SX_EINTERNAL, "too late");
		put_train(f, run, 0, 1, 0); /* and goes on working */
		ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
		assert_null(run);
		sx_run_file *in = open_run(f, f->path[live]);
		assert_false(sx_run_has(in, SX_RUN_TRAIN_LR));
		assert_false(sx_run_has_attr(in, "/", "late"));
		check_records(f, in, SX_RUN_TRAIN_STEP, SX_RUN_TRAIN_LOSS,
			      &(struct expected){1, 0, 0}, 1);
		sx_run_file_close(in);
	}
}

static sx_status list_entropy(void *self, const sx_run_item *item)
{
	if (strcmp(item->path, "/stats/entropy") == 0)
		memcpy(self, (int64_t[2]){item->dims[0], item->torn}, 2 * sizeof(int64_t));
	return SX_OK;
}

static void no_fault(void *self, const char *path, const char *what)
{
	(void)self;
	fail_msg("%s %s", path, what);
}

/* A record whose data came but whose step never did is no record: neither read, nor listed, nor
 * amiss. */
static void begun_record_is_not_seen(void **state)
{
	struct fixture *f = *state;
	static const struct expected want[] = {{1, 0, 0}, {2, 0, 0}};
	static const float entropy[SLH];
	for (int live = 0; live < 2; live++) {
		sx_run *run;
		begin_segment(f, &run, f->path[live], live);
		ok(f, sx_run_start(run));
		put_stats(f, run, 0, 1, 0, true);
		put_stats(f, run, 0, 2, 0, true);
		ok(f, sx_run_put(run, SX_RUN_STATS_ENTROPY, 2, entropy));
		ok(f, sx_run_close(&run, SX_RUN_FAILED));
		sx_run_file *in = open_run(f, f->path[live]);
		check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, want, 2);
		int64_t listed[2] = {0};
		sx_run_whole whole;
		ok(f, sx_run_walk(in, list_entropy, listed));
		assert_int_equal(listed[0], 2);
		assert_int_equal(listed[1], live); /* a sealed file is cut to whole records */
		ok(f, sx_run_verify(in, &whole, no_fault, NULL));
		assert_int_equal(whole.torn, live);
		sx_run_file_close(in);
	}
}

static void flush_a_part_and_die(struct fixture *f)
{
	sx_run *run;
	begin_segment(f, &run, f->path[0], true);
	ok(f, sx_run_start(run));
	for (int64_t s = 1; s <= 7; s++) {
		put_train(f, run, 0, s, 0);
		if (s < 7) ok(f, sx_run_flush_part(run, SX_RUN_TRAIN_STEP));
	}
	raise(SIGKILL);
}

/* Blocks are of four rows: six are there and the seventh was never asked for. */
static void part_of_a_block_is_flushed(void **state)
{
	struct fixture *f = *state;
	static const struct expected want[] = {{1, 0, 0}, {2, 0, 0}, {3, 0, 0},
					       {4, 0, 0}, {5, 0, 0}, {6, 0, 0}};
	in_child(flush_a_part_and_die, f);
	sx_run_file *in = open_run(f, f->path[0]);
	check_records(f, in, SX_RUN_TRAIN_STEP, SX_RUN_TRAIN_LOSS, want, 6);
	sx_run_file_close(in);
}

/* ---- the layout, seen by HDF5 alone ---- */

/* Makes everything the schema knows, each axis of a length of its own. */
static void define_all(struct fixture *f, sx_run **out, const char *path, bool live)
{
	sx_run *run;
	const char *words[] = {"a", "bcd"};
	const double reals[] = {0, 0.5, 1};
	ok(f, sx_run_create(&run, &f->ctx, path, live));
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < SX_RUN_COUNT; i++) {
			sx_run_id id = (sx_run_id)i;
			const sx_run_row *row = &sx_run_rows[i];
			const char *name = strrchr(row->path, '/') + 1;
			if (strcmp(name, row->dims) == 0 && pass == 0) {
				if (!strcmp(name, "step") || !strcmp(name, "sample") ||
				    !strcmp(name, "ckpt"))
					ok(f, sx_run_grow(run, id, 1));
				else if (row->type == SX_DISK_STR)
					ok(f, sx_run_axis(run, id, 2, words));
				else if (row->type == SX_DISK_F64)
					ok(f, sx_run_axis(run, id, 3, reals));
				else if (strcmp(name, "entry") != 0)
					ok(f, sx_run_axis_index(run, id, 3));
			} else if (pass == 1 && strcmp(name, row->dims) != 0) {
				if (!strcmp(row->dims, "entry"))
					ok(f, sx_run_meta(run, id, "text"));
				else
					ok(f, sx_run_define(run, id));
			}
		}
	ok(f, sx_run_start(run));
	*out = run;
}

static void check_text_attr(hid_t set, const char *path, const char *name, const char *want)
{
	if (H5Aexists(set, name) <= 0) fail_msg("%s has no %s", path, name);
	hid_t attr = H5Aopen(set, name, H5P_DEFAULT), type = H5Aget_type(attr);
	char *text = NULL;
	assert_true(H5Tis_variable_str(type) > 0);
	assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
	assert_true(H5Aread(attr, type, &text) >= 0);
	assert_string_equal(text, want);
	assert_true(strlen(text) > 0);
	H5free_memory(text);
	H5Tclose(type);
	H5Aclose(attr);
}

struct scale_check {
	const char *path, *axis;
	int found;
};

static herr_t check_scale(hid_t set, unsigned dim, hid_t scale, void *self)
{
	(void)set;
	(void)dim;
	struct scale_check *c = self;
	char name[128], want[160], label[64];
	assert_true(H5Iget_name(scale, name, sizeof name) > 0);
	snprintf(want, sizeof want, "%.*s/%s", (int)(strrchr(c->path, '/') - c->path), c->path,
		 c->axis);
	assert_string_equal(name, want);
	assert_true(H5DSis_scale(scale) > 0);
	assert_true(H5DSget_scale_name(scale, label, sizeof label) > 0);
	assert_string_equal(label, c->axis);
	c->found++;
	return 0;
}

static void check_layout(hid_t file, int i, bool live)
{
	const sx_run_row *row = &sx_run_rows[i];
	const char *name = strrchr(row->path, '/') + 1;
	char dims[64], label[64];
	unsigned dim = 0;
	hid_t set = H5Dopen2(file, row->path, H5P_DEFAULT);
	if (set < 0) fail_msg("%s is missing", row->path);
	check_text_attr(set, row->path, "units", row->units);
	check_text_attr(set, row->path, "long_name", row->long_name);
	if (row->flags) check_text_attr(set, row->path, "flag_meanings", row->flags);
	assert_int_equal(H5Aexists(set, "flag_values") > 0, row->flags != NULL);

	hid_t dcpl = H5Dget_create_plist(set);
	assert_int_equal(H5Pget_layout(dcpl), H5D_CHUNKED);
	/* Variable-length strings, those of a sealed file, take no filter. */
	hid_t type = H5Dget_type(set);
	bool vary = H5Tis_variable_str(type) > 0;
	unsigned flags;
	assert_int_equal(vary, row->type == SX_DISK_STR && !live);
	/* netCDF-C 4.10 dies of a half with a fill value of its own: what is missing reads as
	 * HDF5's 0, which is right for maps alone */
	H5D_fill_value_t filled;
	bool half = H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) == 2;
	assert_true(H5Pfill_value_defined(dcpl, &filled) >= 0);
	assert_int_equal(half, i == SX_RUN_ATTN_PROB);
	assert_int_equal(filled == H5D_FILL_VALUE_USER_DEFINED, !half && row->type != SX_DISK_STR);
	assert_int_equal(H5Pget_filter_by_id2(dcpl, H5Z_FILTER_FLETCHER32, &flags, NULL, NULL, 0,
					      NULL, NULL) >= 0,
			 !vary);
	H5Tclose(type);
	H5Pclose(dcpl);

	snprintf(dims, sizeof dims, "%s", row->dims);
	if (strcmp(name, dims) == 0) {
		assert_true(H5DSis_scale(set) > 0);
		assert_true(H5DSget_scale_name(set, label, sizeof label) > 0);
		assert_string_equal(label, name);
	} else {
		char *save = NULL;
		for (char *a = strtok_r(dims, ",", &save); a; a = strtok_r(NULL, ",", &save)) {
			struct scale_check c = {row->path, a, 0};
			assert_int_equal(H5DSget_num_scales(set, dim), 1);
			assert_true(H5DSiterate_scales(set, dim, NULL, check_scale, &c) >= 0);
			assert_int_equal(c.found, 1);
			assert_true(H5DSget_label(set, dim, label, sizeof label) > 0);
			assert_string_equal(label, a);
			dim++;
		}
	}
	H5Dclose(set);
}

static herr_t count_sets(hid_t root, const char *name, const H5O_info_t *info, void *n)
{
	(void)root;
	(void)name;
	if (info->type == H5O_TYPE_DATASET) ++*(int *)n;
	return 0;
}

static sx_status count_items(void *self, const sx_run_item *item)
{
	assert_true(item->ndim >= 1 && *item->units && *item->long_name);
	for (int i = 0; i < item->ndim; i++) assert_true(*item->axes[i] != '\0');
	++*(int *)self;
	return SX_OK;
}

static void every_dataset_explains_itself(void **state)
{
	struct fixture *f = *state;
	for (int live = 0; live < 2; live++) {
		sx_run *run;
		define_all(f, &run, f->path[live], live);
		ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
		hid_t file = H5Fopen(f->path[live], H5F_ACC_RDONLY, H5P_DEFAULT);
		int n = 0, listed = 0;
		assert_true(file >= 0);
		for (int i = 0; i < SX_RUN_COUNT; i++) check_layout(file, i, live);
		assert_true(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, count_sets, &n,
				      H5O_INFO_BASIC) >= 0);
		assert_int_equal(n, SX_RUN_COUNT);
		H5F_info2_t info;
		assert_true(H5Fget_info2(file, &info) >= 0);
		assert_true(live ? info.super.version == 3 : info.super.version <= 2);
		H5Fclose(file);
		sx_run_file *in = open_run(f, f->path[live]);
		ok(f, sx_run_walk(in, count_items, &listed));
		assert_int_equal(listed, SX_RUN_COUNT);
		sx_run_file_close(in);
	}
}

/* ---- sealed files ---- */

static void sealed_values_come_back(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	begin_segment(f, &run, f->path[0], false);
	put_stats(f, run, 2, 300, 1, true);
	put_sample(f, run, 300);
	put_checkpoint(f, run, 300);
	assert_false(sx_path_exists(f->path[0])); /* no name before it is whole */
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));

	sx_run_file *in = open_run(f, f->path[0]);
	assert_false(sx_run_is_live(in));
	check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, &(struct expected){300, 1, 2},
		      1);
	double *inv_freq;
	int64_t n, seed, *n_rows;
	ok(f, sx_run_read_all(in, SX_RUN_ROPE_INV_FREQ, &inv_freq, &n));
	assert_int_equal(n, LAYERS * 4);
	for (int i = 0; i < n; i++) assert_true(inv_freq[i] == 1.0 / (i + 1));
	free(inv_freq);
	ok(f, sx_run_get_int(in, "/", "seed", &seed));
	assert_int_equal(seed, 17);
	ok(f, sx_run_get_ints(in, "/stats/q_norm", "n_rows", &n_rows, &n));
	assert_int_equal(n, SEQS);
	assert_int_equal(n_rows[3], 4);
	free(n_rows);
	uint8_t kind[SEQS];
	ok(f, sx_run_read(in, SX_RUN_STATS_SEQUENCE_KIND, NULL, NULL, kind));
	assert_memory_equal(kind, ((const uint8_t[]){0, 0, 1, 2}), SEQS);
	char **text;
	ok(f, sx_run_strings(in, SX_RUN_META_CONFIG_YAML, &text, &n));
	assert_string_equal(text[0], "seed: 17\n# \xe2\x88\x9a\n");
	free(text);
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	refused(f, sx_run_shape(in, SX_RUN_AC_VALUE, dims, &ndim), SX_EDATA, "/ac/value");
	refused(f, sx_run_read(in, SX_RUN_STATS_ENTROPY, NULL, NULL, dims), SX_EINTERNAL, "kind");
	sx_run_file_close(in);
}

/* Every half survives HDF5's own widening on the way back. */
static void all_halves_come_back(void **state)
{
	struct fixture *f = *state;
	enum { N = 256 };
	static double prob[N * N], got[N * N];
	sx_run *run;
	int64_t zero = 0;
	for (unsigned h = 0; h < N * N; h++) prob[h] = (h & 0x7c00) == 0x7c00 ? 0 : half_value(h);
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_run_grow(run, SX_RUN_ATTN_SAMPLE, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_MAP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_QUERY, N));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_KEY, N));
	ok(f, sx_run_define(run, SX_RUN_ATTN_PROB));
	ok(f, sx_run_put(run, SX_RUN_ATTN_PROB, 0, prob));
	ok(f, sx_run_put(run, SX_RUN_ATTN_SAMPLE, 0, &zero));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	sx_run_file *in = open_run(f, f->path[0]);
	ok(f, sx_run_read(in, SX_RUN_ATTN_PROB, NULL, NULL, got));
	assert_memory_equal(got, prob, sizeof prob);
	sx_run_file_close(in);
}

static void misuse_is_refused(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	float x[SLH] = {0};
	int64_t big = INT64_C(1) << 40, one = 1;
	begin_segment(f, &run, f->path[0], true);
	refused(f, sx_run_put(run, SX_RUN_STATS_ENTROPY, 0, x), SX_EINTERNAL, "sx_run_start");
	refused(f, sx_run_define(run, SX_RUN_AC_VALUE), SX_EINTERNAL, "axis /ac/step");
	refused(f, sx_run_define(run, SX_RUN_STATS_ENTROPY), SX_EINTERNAL, "twice");
	refused(f, sx_run_define(run, SX_RUN_META_DATA_JSON), SX_EINTERNAL, "document");
	refused(f, sx_run_axis_index(run, SX_RUN_AC_STEP, 3), SX_EINTERNAL, "fixed axis");
	refused(f, sx_run_axis_index(run, SX_RUN_AC_WRT, 3), SX_EINTERNAL, "strings");
	refused(f, sx_run_attr_int(run, "/nowhere", "a", 1), SX_EINTERNAL, "/nowhere");
	ok(f, sx_run_start(run));
	refused(f, sx_run_put(run, SX_RUN_AC_VALUE, 0, x), SX_EINTERNAL, "not defined");
	refused(f, sx_run_put(run, SX_RUN_STATS_ENTROPY, 0, &big), SX_EINTERNAL, "kind");
	refused(f, sx_run_put(run, SX_RUN_ATTN_SAMPLE, 0, &big), SX_EDATA, "fit");
	refused(f,
		sx_run_put_block(run, SX_RUN_STATS_ENTROPY, ((const int64_t[]){0, 1, 0, 0}),
				 ((const int64_t[]){1, SEQS, 1, 1}), x),
		SX_EINTERNAL, "axis 1");
	put_stats(f, run, 0, 1, 0, true);
	refused(f, sx_run_put(run, SX_RUN_STATS_STEP, 0, &one), SX_EINTERNAL, "already");
	refused(f, sx_run_flush(run, SX_RUN_STATS_LAYER), SX_EINTERNAL, "growing");
	sx_run_free(run);
	sx_run_free(NULL);
}

static void failure_leaves_the_old_file(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	char tmp[128];
	snprintf(tmp, sizeof tmp, "%s.tmp", f->path[0]);
	ok(f, sx_write_file(&f->ctx, f->path[0], "old", 3));
	begin_segment(f, &run, f->path[0], false);
	assert_true(sx_path_exists(tmp));
	sx_run_free(run);
	assert_int_equal(size_of(f->path[0]), 3);
	assert_false(sx_path_exists(tmp));

	char deep[160];
	snprintf(deep, sizeof deep, "%s/no/such.h5", f->dir);
	refused(f, sx_run_create(&run, &f->ctx, deep, false), SX_ECREATE, "No such file");
	refused(f, sx_run_create(&run, &f->ctx, f->dir, false), SX_ECREATE, "folder");
	refused(f, sx_run_create(&run, &f->ctx, f->path[0], true), SX_ECREATE, "already");
}

/* Equal content, equal bytes: no clock gets into a file. */
static void equal_content_equal_bytes(void **state)
{
	struct fixture *f = *state;
	char *bytes[2];
	size_t size[2];
	for (int i = 0; i < 2; i++) {
		sx_run *run;
		begin_segment(f, &run, f->path[i], false);
		put_stats(f, run, 0, 1, 0, true);
		ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
		if (i == 0) sleep(1);
		ok(f, sx_read_file(&f->ctx, f->path[i], &bytes[i], &size[i]));
	}
	assert_int_equal(size[0], size[1]);
	assert_memory_equal(bytes[0], bytes[1], size[0]);
	free(bytes[0]);
	free(bytes[1]);
}

/* ---- trouble ---- */

static void bound_file_size(rlim_t bytes)
{
	struct rlimit r = {bytes, bytes};
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &r) != 0) _exit(9);
}

/* Writes until it fails; the exit code tells whether it failed as it should. */
static void fill_disk(struct fixture *f, bool live)
{
	static float noise[MAPS * 256 * 256];
	sx_run *run;
	sx_status st = SX_OK;
	for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
		noise[i] = (float)sx_uniform(1, SX_STREAM_TEST, i);
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], live));
	ok(f, sx_run_grow(run, SX_RUN_ATTN_SAMPLE, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_MAP, MAPS));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_QUERY, 256));
	ok(f, sx_run_axis_index(run, SX_RUN_ATTN_KEY, 256));
	ok(f, sx_run_define_f32(run, SX_RUN_ATTN_PROB));
	ok(f, sx_run_start(run));
	bound_file_size(1 << 20);
	for (int64_t i = 0; i < 20 && st == SX_OK; i++) {
		st = sx_run_put(run, SX_RUN_ATTN_PROB, i, noise);
		if (st == SX_OK) st = sx_run_put(run, SX_RUN_ATTN_SAMPLE, i, &i);
		if (st == SX_OK) st = sx_run_flush(run, SX_RUN_ATTN_SAMPLE);
	}
	int64_t n = 99;
	if (st != SX_EIO || sx_run_put(run, SX_RUN_ATTN_SAMPLE, n, &n) != SX_EIO) _exit(1);
	if (!live)
		sx_run_free(run);
	else if (sx_run_close(&run, SX_RUN_COMPLETE) != SX_EIO || run)
		_exit(2);
	char tmp[128];
	snprintf(tmp, sizeof tmp, "%s.tmp", f->path[0]);
	if (sx_path_exists(tmp)) _exit(3);
	exit(0); /* through every exit handler, HDF5's too if it had one */
}

static void fill_disk_live(struct fixture *f)
{
	fill_disk(f, true);
}

static void fill_disk_sealed(struct fixture *f)
{
	fill_disk(f, false);
}

static void full_disk_is_an_error_not_a_crash(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(in_child(fill_disk_sealed, f), 0);
	assert_false(sx_path_exists(f->path[0]));
	assert_int_equal(in_child(fill_disk_live, f), 0);
	assert_true(sx_path_exists(f->path[0]));
}

static void foreign_file(const char *path, const char *schema, const char *version)
{
	hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
	if (schema) H5LTset_attribute_string(file, "/", "schema", schema);
	if (version) H5LTset_attribute_string(file, "/", "schema_version", version);
	H5Fclose(file);
}

static void other_files_are_refused(void **state)
{
	struct fixture *f = *state;
	sx_run_file *in = NULL;
	refused(f, sx_run_open(&in, &f->ctx, f->path[0]), SX_ENOINPUT, "No such file");
	refused(f, sx_run_open(&in, &f->ctx, f->dir), SX_ENOINPUT, "run.h5");
	ok(f, sx_write_file(&f->ctx, f->path[0], "hello\n", 6));
	refused(f, sx_run_open(&in, &f->ctx, f->path[0]), SX_EDATA, "not an HDF5 file");
	foreign_file(f->path[0], NULL, NULL);
	refused(f, sx_run_open(&in, &f->ctx, f->path[0]), SX_EDATA, "not a run file");
	foreign_file(f->path[0], "drope-telemetry", "1.0");
	refused(f, sx_run_open(&in, &f->ctx, f->path[0]), SX_EDATA, "not a run file");
	foreign_file(f->path[0], "sextant", "2.0");
	refused(f, sx_run_open(&in, &f->ctx, f->path[0]), SX_EDATA, "version 2.0");
	foreign_file(f->path[0], "sextant", "1.7");
	ok(f, sx_run_open(&in, &f->ctx, f->path[0]));
	sx_run_file_close(in);
}

int main(void)
{
#define T_(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_rounds_to_even),
		cmocka_unit_test(half_is_the_compilers),
		T_(killed_file_holds_what_was_flushed),
		T_(live_file_is_read_while_written),
		T_(nothing_new_after_the_start),
		T_(begun_record_is_not_seen),
		T_(part_of_a_block_is_flushed),
		T_(every_dataset_explains_itself),
		T_(sealed_values_come_back),
		T_(all_halves_come_back),
		T_(misuse_is_refused),
		T_(failure_leaves_the_old_file),
		T_(equal_content_equal_bytes),
		T_(full_disk_is_an_error_not_a_crash),
		T_(other_files_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

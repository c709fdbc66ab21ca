/* Sealing keeps exactly the newest attempt and loses nothing; sealed files show damage; live ones are
 * not much larger. */
#include "tests/support/run_fixture.h"

#include <fcntl.h>
#include <hdf5.h>

/* Attempt 0 ran to step 12, over the drop at 8, and was killed; attempt 1 resumed from 6. */
static void first_attempt(struct fixture *f)
{
	sx_run *run;
	begin_segment(f, &run, f->path[0], true);
	ok(f, sx_run_start(run));
	for (int64_t s = 1; s <= 12; s++) put_train(f, run, 0, s, s > 8);
	put_stats(f, run, 0, 0, 0, true);
	put_stats(f, run, 0, 4, 0, true);
	put_stats(f, run, 0, 8, 0, true);
	put_stats(f, run, 0, 8, 1, true);
	put_stats(f, run, 0, 12, 1, true);
	put_sample(f, run, 4);
	put_sample(f, run, 12);
	put_checkpoint(f, run, 6);
	put_checkpoint(f, run, 12);
	raise(SIGKILL);
}

static void second_attempt(struct fixture *f, const char *path, int64_t start_step, bool whole)
{
	sx_run *run;
	begin_segment(f, &run, path, true);
	if (start_step >= 0) ok(f, sx_run_attr_int(run, "/", "start_step", start_step));
	ok(f, sx_run_start(run));
	for (int64_t s = 7; s <= 14; s++) put_train(f, run, 1, s, s > 8);
	if (whole) {
		put_stats(f, run, 1, 8, 1, true);
		put_stats(f, run, 1, 12, 1, true);
		put_sample(f, run, 14);
		put_checkpoint(f, run, 12);
	}
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

static void check_checkpoints(struct fixture *f, sx_run_file *in, const int64_t *want, int64_t n)
{
	int64_t step[8], number[8], count;
	char **path, name[64];
	ok(f, sx_run_strings(in, SX_RUN_CHECKPOINTS_PATH, &path, &count));
	assert_int_equal(count, n);
	ok(f, sx_run_read(in, SX_RUN_CHECKPOINTS_STEP, NULL, NULL, step));
	ok(f, sx_run_read(in, SX_RUN_CHECKPOINTS_CKPT, NULL, NULL, number));
	for (int64_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "checkpoints/step-%08lld", (long long)want[i]);
		assert_int_equal(step[i], want[i]);
		assert_int_equal(number[i], i);
		assert_string_equal(path[i], name);
	}
	free(path);
}

static const struct expected sealed_train[] = {
	{1, 0, 0}, {2, 0, 0}, {3, 0, 0},  {4, 0, 0},  {5, 0, 0},  {6, 0, 0},  {7, 0, 1},
	{8, 0, 1}, {9, 1, 1}, {10, 1, 1}, {11, 1, 1}, {12, 1, 1}, {13, 1, 1}, {14, 1, 1},
};

static void sealing_keeps_the_newest_attempt(void **state)
{
	struct fixture *f = *state;
	static const struct expected stats[] = {
		{0, 0, 0}, {4, 0, 0}, {8, 0, 0}, {8, 1, 1}, {12, 1, 1}};
	in_child(first_attempt, f);
	second_attempt(f, f->path[1], -1, true);
	const char *segments[] = {f->path[0], f->path[1]};
	ok(f, sx_run_seal(&f->ctx, f->path[2], segments, 2));

	sx_run_file *in = open_run(f, f->path[2]);
	assert_false(sx_run_is_live(in));
	check_records(f, in, SX_RUN_TRAIN_STEP, SX_RUN_TRAIN_LOSS, sealed_train, 14);
	check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, stats, 5);
	uint8_t phase[5];
	ok(f, sx_run_read(in, SX_RUN_STATS_PHASE, NULL, NULL, phase));
	assert_memory_equal(phase, ((const uint8_t[]){0, 0, 0, 1, 1}), 5);
	check_checkpoints(f, in, (const int64_t[]){6, 12}, 2);
	int64_t sample[8], step[8];
	static const int64_t want[] = {4, 12, 14};
	ok(f, sx_run_read(in, SX_RUN_ATTN_SAMPLE, NULL, NULL, sample));
	ok(f, sx_run_read(in, SX_RUN_ATTN_SAMPLE_STEP, NULL, NULL, step));
	float prob[3 * MAPS * T * T];
	ok(f, sx_run_read(in, SX_RUN_ATTN_PROB, NULL, NULL, prob));
	for (int s = 0; s < 3; s++) {
		assert_int_equal(sample[s], s);
		assert_int_equal(step[s], want[s]);
		for (int i = 0; i < MAPS * T * T; i++)
			assert_true((double)prob[s * MAPS * T * T + i] ==
				    half_value(sx_half_from(
					    (double)map_value(want[s], i / (T * T), i % (T * T)))));
	}
	char *text;
	ok(f, sx_run_get_str(in, "/", "status", &text));
	assert_string_equal(text, "complete");
	free(text);
	ok(f, sx_run_get_str(in, "/rope", "pairing", &text));
	assert_string_equal(text, "half");
	free(text);
	double masked;
	ok(f, sx_run_get_real(in, "/attn/prob", "masked_value", &masked));
	assert_true(masked == 0);
	assert_true(sx_run_has_attr(in, "/stats/q_norm", "n_rows"));
	sx_run_file_close(in);

	/* The killed one alone is an interrupted run; sealed files can be sealed again. */
	ok(f, sx_run_seal(&f->ctx, f->path[3], segments, 1));
	in = open_run(f, f->path[3]);
	ok(f, sx_run_get_str(in, "/", "status", &text));
	assert_string_equal(text, "interrupted");
	free(text);
	check_checkpoints(f, in, (const int64_t[]){6, 12}, 2);
	sx_run_file_close(in);
}

/* The resumed attempt ended before its first statistics: what the old one measured beyond the step
 * it started from is of no run. */
static void sealing_knows_where_an_attempt_began(void **state)
{
	struct fixture *f = *state;
	static const struct expected stats[] = {{0, 0, 0}, {4, 0, 0}};
	in_child(first_attempt, f);
	second_attempt(f, f->path[1], 6, false);
	const char *segments[] = {f->path[0], f->path[1]};
	ok(f, sx_run_seal(&f->ctx, f->path[2], segments, 2));
	sx_run_file *in = open_run(f, f->path[2]);
	check_records(f, in, SX_RUN_TRAIN_STEP, SX_RUN_TRAIN_LOSS, sealed_train, 14);
	check_records(f, in, SX_RUN_STATS_STEP, SX_RUN_STATS_ENTROPY, stats, 2);
	check_checkpoints(f, in, (const int64_t[]){6}, 1);
	sx_run_file_close(in);
}

static void segments_of_two_runs_are_refused(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	second_attempt(f, f->path[0], -1, true);
	ok(f, sx_run_create(&run, &f->ctx, f->path[1], true));
	ok(f, sx_run_grow(run, SX_RUN_STATS_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_SEQUENCE, SEQS));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_LAYER, LAYERS + 1));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_HEAD, HEADS));
	ok(f, sx_run_define(run, SX_RUN_STATS_ENTROPY));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	const char *segments[] = {f->path[0], f->path[1]};
	refused(f, sx_run_seal(&f->ctx, f->path[2], segments, 2), SX_EDATA, "/stats/entropy");
	assert_false(sx_path_exists(f->path[2]));
	refused(f, sx_run_seal(&f->ctx, f->path[2], segments, 0), SX_ENOINPUT, "no segment");
}

static void folder_means_its_run_file(void **state)
{
	struct fixture *f = *state;
	char live[80], path[3][112];
	snprintf(live, sizeof live, "%s/live", f->dir);
	ok(f, sx_make_dirs(&f->ctx, live));
	snprintf(path[0], sizeof path[0], "%s/seg-0009.h5", live);
	snprintf(path[1], sizeof path[1], "%s/seg-0010.h5", live);
	snprintf(path[2], sizeof path[2], "%s/run.h5", f->dir);
	for (int i = 0; i < 3; i++) {
		second_attempt(f, path[i], -1, true);
		sx_run_file *in = open_run(f, f->dir);
		assert_string_equal(sx_run_file_path(in), path[i]);
		sx_run_file_close(in);
	}
	unlink(path[0]);
	unlink(path[1]);
	rmdir(live);
}

/* A whole file cut short or with a byte turned over somewhere: opened or not, read or not, but
 * never a value that was not written. */
static void read_damaged(struct fixture *f)
{
	char *bytes;
	size_t size;
	int refusals = 0;
	second_attempt(f, f->path[0], -1, true);
	const char *segment = f->path[0];
	ok(f, sx_run_seal(&f->ctx, f->path[1], &segment, 1));
	ok(f, sx_read_file(&f->ctx, f->path[1], &bytes, &size));
	for (size_t i = 0; i < 60; i++) {
		size_t at = size * (2 * i + 1) / 120;
		sx_run_file *in;
		char kept = bytes[at];
		bytes[at] = (char)~kept;
		ok(f, sx_write_file(&f->ctx, f->path[2], bytes, i % 4 ? size : at));
		bytes[at] = kept;
		sx_status st = sx_run_open(&in, &f->ctx, f->path[2]);
		if (st == SX_OK) {
			float entropy[2 * SLH];
			int64_t dims[SX_RUN_MAX_DIMS] = {0};
			int ndim;
			st = sx_run_shape(in, SX_RUN_STATS_ENTROPY, dims, &ndim);
			if (st == SX_OK && dims[0] == 2 && dims[1] == SEQS && dims[2] == LAYERS &&
			    dims[3] == HEADS)
				st = sx_run_read(in, SX_RUN_STATS_ENTROPY, NULL, NULL, entropy);
			else
				st = SX_EDATA;
			for (int k = 0; k < SLH && st == SX_OK; k++)
				check(entropy[k] == (float)made(1, 8, 1, k));
			sx_run_file_close(in);
		}
		check(st == SX_OK || st == SX_EDATA);
		refusals += st != SX_OK;
	}
	check(refusals >= 15); /* the cut ones at least */
}

/* In a child: HDF5 1.10 loses some memory over damaged files, which is not ours to mend. */
static void damage_is_found(void **state)
{
	assert_int_equal(in_child(read_damaged, *state), 0);
}

/* ---- recovering ---- */

/* Turns a byte over in the middle of a dataset's first chunk. */
static void damage(const char *path, const char *dataset)
{
	hsize_t start[SX_RUN_MAX_DIMS] = {0}, bytes = 0;
	haddr_t at = HADDR_UNDEF;
	unsigned filters;
	char byte;
	hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	hid_t set = H5Dopen2(file, dataset, H5P_DEFAULT);
	check(H5Dget_chunk_info_by_coord(set, start, &filters, &at, &bytes) >= 0);
	H5Dclose(set);
	H5Fclose(file);
	check(at != HADDR_UNDEF && bytes > 1);
	int fd = open(path, O_RDWR);
	check(pread(fd, &byte, 1, (off_t)(at + bytes / 2)) == 1);
	byte = (char)~byte;
	check(pwrite(fd, &byte, 1, (off_t)(at + bytes / 2)) == 1);
	close(fd);
}

struct losses {
	char list[1000];
};

static void on_loss(void *self, const char *segment, const char *path, const char *why)
{
	struct losses *l = self;
	size_t used = strlen(l->list);
	snprintf(l->list + used, sizeof l->list - used, "%s ", path);
	check(*segment && *why);
}

static void no_fault(void *self, const char *path, const char *what)
{
	(void)self;
	failed(path, 0, what);
}

/* Of segments 0 .. n-1, into path[3]: whole, with `left_out`, having lost `want`. */
static sx_run_file *salvage(struct fixture *f, int n, const char *want, const char *left_out)
{
	const char *segments[] = {f->path[0], f->path[1]};
	struct losses l = {""};
	sx_run_whole whole;
	char *text;
	/* chunks of maps alone are sealed unread */
	if (strcmp(want, "/attn/prob ") != 0) {
		refused(f, sx_run_seal(&f->ctx, f->path[3], segments, n), SX_EDATA, "damaged");
		check(!sx_path_exists(f->path[3]));
	}
	ok(f, sx_run_salvage(&f->ctx, f->path[3], segments, n, on_loss, &l));
	if (strcmp(l.list, want) != 0) failed(want, 0, l.list);
	sx_run_file *in = open_run(f, f->path[3]);
	ok(f, sx_run_verify(in, &whole, no_fault, NULL));
	ok(f, sx_run_get_str(in, "/", "left_out", &text));
	if (strcmp(text, left_out) != 0) failed(left_out, 0, text);
	free(text);
	return in;
}

static void check_loss(struct fixture *f, sx_run_file *in)
{
	float loss[8];
	ok(f, sx_run_read(in, SX_RUN_TRAIN_LOSS, NULL, NULL, loss));
	for (int i = 0; i < 8; i++) check(loss[i] == (float)made(1, 7 + i, 7 + i > 8, 0));
}

/* One segment, one dataset of it damaged. */
static void recover_one(struct fixture *f)
{
	static const struct {
		const char *set, *lost, *left_out;
		sx_run_id without, with;
	} of[] = {
		{"/stats/entropy", "/stats/entropy ", "0.h5 /stats/entropy", SX_RUN_STATS_ENTROPY,
		 SX_RUN_STATS_Q_NORM},
		{"/stats/head", "/stats/head /stats/entropy /stats/q_norm ",
		 "0.h5 /stats/head; 0.h5 /stats/entropy; 0.h5 /stats/q_norm", SX_RUN_STATS_Q_NORM,
		 SX_RUN_STATS_PHASE},
		{"/stats/phase", "/stats/step /stats/phase /stats/entropy /stats/q_norm ",
		 "0.h5 /stats/step; 0.h5 /stats/phase; 0.h5 /stats/entropy; 0.h5 /stats/q_norm",
		 SX_RUN_STATS_STEP, SX_RUN_STATS_SEQUENCE_KIND},
		{"/attn/prob", "/attn/prob ", "0.h5 /attn/prob", SX_RUN_ATTN_PROB,
		 SX_RUN_ATTN_SAMPLE_STEP},
		{"/rope/inv_freq", "/rope/inv_freq ", "0.h5 /rope/inv_freq", SX_RUN_ROPE_INV_FREQ,
		 SX_RUN_ROPE_FREQ},
		{"/checkpoints/path", "/checkpoints/path ", "0.h5 /checkpoints/path",
		 SX_RUN_CHECKPOINTS_PATH, SX_RUN_CHECKPOINTS_STEP},
		{"/meta/config_yaml", "/meta/config_yaml ", "0.h5 /meta/config_yaml",
		 SX_RUN_META_CONFIG_YAML, SX_RUN_AC_C},
	};
	for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
		second_attempt(f, f->path[0], -1, true);
		damage(f->path[0], of[k].set);
		sx_run_file *in = salvage(f, 1, of[k].lost, of[k].left_out);
		check(!sx_run_has(in, of[k].without));
		check(sx_run_has(in, of[k].with));
		check_loss(f, in);
		sx_run_file_close(in);
		unlink(f->path[0]);
		unlink(f->path[3]);
	}
}

/* What the older of two segments has lost is missing there; maps, which would read as 0, in both. */
static void recover_two(struct fixture *f)
{
	sx_run *run;
	float entropy[3 * SLH];
	begin_segment(f, &run, f->path[0], true);
	ok(f, sx_run_start(run));
	put_stats(f, run, 0, 4, 0, true);
	put_sample(f, run, 4);
	ok(f, sx_run_close(&run, SX_RUN_INTERRUPTED));
	second_attempt(f, f->path[1], 6, true);
	damage(f->path[0], "/stats/entropy");
	damage(f->path[0], "/attn/prob");
	sx_run_file *in = salvage(f, 2, "/stats/entropy /attn/prob /attn/prob ",
				  "0.h5 /stats/entropy; 0.h5 /attn/prob; 1.h5 /attn/prob");
	ok(f, sx_run_read(in, SX_RUN_STATS_ENTROPY, NULL, NULL, entropy));
	for (int i = 0; i < SLH; i++) check(isnan(entropy[i]));
	for (int i = 0; i < SLH; i++) check(entropy[SLH + i] == (float)made(1, 8, 1, i));
	check(!sx_run_has(in, SX_RUN_ATTN_PROB));
	check_loss(f, in);
	sx_run_file_close(in);

	/* The newest segment cannot be opened at all: what is left did not end well. */
	const char *segments[] = {f->path[0], f->path[1]};
	struct losses l = {""};
	char *status;
	ok(f, sx_write_file(&f->ctx, f->path[1], "no HDF5 at all", 14));
	ok(f, sx_run_salvage(&f->ctx, f->path[3], segments, 2, on_loss, &l));
	check(!strcmp(l.list, " /stats/entropy /attn/prob "));
	in = open_run(f, f->path[3]);
	ok(f, sx_run_get_str(in, "/", "status", &status));
	check(!strcmp(status, "interrupted"));
	free(status);
	sx_run_file_close(in);
	refused(f, sx_run_salvage(&f->ctx, f->path[2], segments + 1, 1, on_loss, &l), SX_EDATA,
		"not an HDF5 file");
	for (int i = 0; i < 4; i++) unlink(f->path[i]);
}

/* A byte turned over anywhere: what comes out is whole, and every value in it the one written. */
static void recover_anywhere(struct fixture *f)
{
	char *bytes;
	size_t size;
	int partly = 0;
	const char *segment = f->path[1];
	second_attempt(f, f->path[0], -1, true);
	ok(f, sx_read_file(&f->ctx, f->path[0], &bytes, &size));
	for (size_t i = 0; i < 100; i++) {
		size_t at = size * (2 * i + 1) / 200;
		struct losses l = {""};
		sx_run_whole whole;
		float entropy[2 * SLH];
		bytes[at] = (char)~bytes[at];
		ok(f, sx_write_file(&f->ctx, f->path[1], bytes, size));
		bytes[at] = (char)~bytes[at];
		sx_status st = sx_run_salvage(&f->ctx, f->path[2], &segment, 1, on_loss, &l);
		check(st == SX_OK || st == SX_EDATA);
		if (st != SX_OK) continue;
		partly += *l.list != '\0';
		sx_run_file *in = open_run(f, f->path[2]);
		ok(f, sx_run_verify(in, &whole, no_fault, NULL));
		check(*l.list ||
		      (sx_run_has(in, SX_RUN_STATS_ENTROPY) && sx_run_has(in, SX_RUN_TRAIN_LOSS)));
		if (sx_run_has(in, SX_RUN_TRAIN_LOSS)) check_loss(f, in);
		if (sx_run_has(in, SX_RUN_STATS_ENTROPY)) {
			ok(f, sx_run_read(in, SX_RUN_STATS_ENTROPY, NULL, NULL, entropy));
			for (int k = 0; k < SLH; k++) check(entropy[k] == (float)made(1, 8, 1, k));
		}
		sx_run_file_close(in);
	}
	free(bytes);
	check(partly >= 10);
}

static void recovering_leaves_out_what_is_damaged(void **state)
{
	assert_int_equal(in_child(recover_one, *state), 0);
	assert_int_equal(in_child(recover_two, *state), 0);
	assert_int_equal(in_child(recover_anywhere, *state), 0);
}

/* An axis of fractions stays one. */
static void axes_keep_their_values(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	const double t[] = {1, 0.25, 1e-3};
	double got[3];
	const char *segment = f->path[0];
	ok(f, sx_run_create(&run, &f->ctx, segment, true));
	ok(f, sx_run_axis(run, SX_RUN_MIX_T, 3, t));
	ok(f, sx_run_start(run));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	ok(f, sx_run_seal(&f->ctx, f->path[1], &segment, 1));
	sx_run_file *in = open_run(f, f->path[1]);
	ok(f, sx_run_read(in, SX_RUN_MIX_T, NULL, NULL, got));
	for (int i = 0; i < 3; i++) assert_true(got[i] == t[i]);
	sx_run_file_close(in);
}

/* ---- size ---- */

/* A run of 1600 updates as the default configuration makes it. */
static void write_training(struct fixture *f, sx_run *run)
{
	enum { UPDATES = 1600, L = 5, H = 2, S = 9 };
	static const sx_run_id train[] = {SX_RUN_TRAIN_LOSS, SX_RUN_TRAIN_LR,
					  SX_RUN_TRAIN_GRAD_NORM, SX_RUN_TRAIN_TOKENS_PER_S};
	float noise[S * L * H];
	uint64_t at = 0;
	ok(f, sx_run_grow(run, SX_RUN_TRAIN_STEP, 64));
	for (int i = 0; i < 4; i++) ok(f, sx_run_define(run, train[i]));
	ok(f, sx_run_grow(run, SX_RUN_STATS_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_SEQUENCE, S));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_LAYER, L));
	ok(f, sx_run_axis_index(run, SX_RUN_STATS_HEAD, H));
	for (int id = SX_RUN_STATS_ENTROPY; id <= SX_RUN_STATS_R2_OFFSET; id++)
		ok(f, sx_run_define(run, (sx_run_id)id));
	ok(f, sx_run_start(run));
	for (int64_t s = 1; s <= UPDATES; s++) {
		for (int i = 0; i < 4; i++) {
			float x = (float)sx_uniform(1, SX_STREAM_TEST, at++);
			ok(f, sx_run_put(run, train[i], s - 1, &x));
		}
		ok(f, sx_run_put(run, SX_RUN_TRAIN_STEP, s - 1, &s));
		ok(f, sx_run_flush(run, SX_RUN_TRAIN_STEP));
		if (s % 50) continue;
		int64_t rec = sx_run_records(run, SX_RUN_STATS_STEP);
		for (int id = SX_RUN_STATS_ENTROPY; id <= SX_RUN_STATS_R2_OFFSET; id++) {
			for (int i = 0; i < S * L * H; i++)
				noise[i] = (float)sx_uniform(1, SX_STREAM_TEST, at++);
			ok(f, sx_run_put(run, (sx_run_id)id, rec, noise));
		}
		ok(f, sx_run_put(run, SX_RUN_STATS_STEP, rec, &s));
		ok(f, sx_run_flush(run, SX_RUN_STATS_STEP));
	}
}

static void live_file_is_not_bloated(void **state)
{
	struct fixture *f = *state;
	sx_run *run;
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], true));
	write_training(f, run);
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	const char *segment = f->path[0];
	ok(f, sx_run_seal(&f->ctx, f->path[1], &segment, 1));
	double live = (double)size_of(f->path[0]), sealed = (double)size_of(f->path[1]);
	print_message("live %.0f bytes, sealed %.0f, ratio %.3f\n", live, sealed, live / sealed);
	assert_true(live <= 1.3 * sealed);
}

int main(void)
{
#define T_(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T_(sealing_keeps_the_newest_attempt),
		T_(sealing_knows_where_an_attempt_began),
		T_(segments_of_two_runs_are_refused),
		T_(folder_means_its_run_file),
		T_(damage_is_found),
		T_(recovering_leaves_out_what_is_damaged),
		T_(axes_keep_their_values),
		T_(live_file_is_not_bloated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

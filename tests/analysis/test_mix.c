/* The epsilon law and figure 4: slopes of known powers, the law on random models in double, words as
 * ids, and protocols against sums done here. */
#include "analysis/course.h"
#include "analysis/figure4.h"
#include "analysis/mix.h"
#include "engine/op/blas.h"
#include "probes/lab/trace.h"
#include "probes/lab/words.h"
#include "tests/support/run_fixture.h"

#include <math.h>

/* ---- slopes ---- */

static void test_line(void **state)
{
	(void)state;
	const double nan = (double)NAN, inf = HUGE_VAL;
	const double x[] = {0, 1, nan, 2, 3, 4}, y[] = {1, 3, 7, inf, 7, 9},
		     same[] = {2, 2, 2, 2, 2, 2};
	double slope;
	int64_t used;
	assert_int_equal(sx_line_slope(&slope, &used, NULL, x, y, 6), SX_OK);
	check_close(slope, 2, 1e-14);
	assert_int_equal(used, 4);
	/* not on a line: by the normal equations, sum (x - mx)(y - my) / sum (x - mx)^2 */
	const double u[] = {0, 1, 2, 4}, v[] = {1, 0, 5, 2};
	assert_int_equal(sx_line_slope(&slope, NULL, NULL, u, v, 4), SX_OK);
	check_close(slope, (-1.75 * -1 + -0.75 * -2 + 0.25 * 3 + 2.25 * 0) / 8.75, 1e-14);
	assert_int_equal(sx_line_slope(&slope, NULL, NULL, same, y, 2), SX_OK);
	assert_true(isnan(slope));
	assert_int_equal(sx_line_slope(&slope, &used, NULL, x, y, 1), SX_OK);
	assert_true(isnan(slope) && used == 1);
}

/* ---- lines of known powers ---- */

enum { N_T = 6, S = 3, L = 2, H = 2, N_C = 2, N_WRT = 3 };
static const double ts[N_T] = {1, 0.3, 0.1, 0.01, 0.001, 0.0001};
static const char *const families[N_C] = {"diagonal", "previous"}, *const wrts[N_WRT] = {"wk", "q",
											 "wq"};

typedef struct {
	double value[N_T * S * L * H * N_C], grad[N_T * S * L * H * N_C * N_WRT],
		spread[N_T * S * L];
	sx_mix m;
} known;

/* spread t (s + 1), a sequence of spread 0 at the end; |A_c| follows it with the power layer + 1, W_Q
 * with 0, W_K with 2 (head 1 alone), each times a number of the sequence; beyond the reach of the law
 * everything is 7. */
static void fill_known(known *k)
{
	for (int t = 0; t < N_T; t++)
		for (int s = 0; s < S; s++)
			for (int l = 0; l < L; l++) {
				double d = s == S - 1 ? 0 : ts[t] * (s + 1);
				k->spread[(t * S + s) * L + l] = l ? 5 : d;
				for (int i = 0; i < H * N_C; i++) {
					int64_t at = ((t * S + s) * L + l) * H * N_C + i;
					bool far = ts[t] > SX_MIX_WITHIN;
					k->value[at] = far ? 7 : (s + 2) * -pow(d, l + 1);
					k->grad[at * N_WRT] = far ? 7 : i / N_C * pow(d, 2);
					k->grad[at * N_WRT + 1] = 3;
					k->grad[at * N_WRT + 2] = far ? 7 : s + 1;
				}
			}
	k->m = (sx_mix){N_T, S, L, H, N_C, N_WRT, ts, families, wrts, k->value, k->grad, k->spread};
}

static void test_lines(void **state)
{
	(void)state;
	static known k;
	sx_mix_line *line;
	int64_t n;
	fill_known(&k);
	assert_int_equal(sx_mix_lines(&line, &n, NULL, &k.m, 1), SX_OK);
	assert_int_equal(n, N_C * SX_MIX_QUANTITIES * L);
	for (int64_t i = 0; i < n; i++) {
		double want = line[i].quantity == SX_MIX_VALUE ? (double)line[i].layer + 1
			      : line[i].quantity == SX_MIX_WQ  ? 0
							       : 2;
		check_close(line[i].slope.value, want, 1e-12);
		check_close(line[i].slope.lo, want, 1e-12);
		check_close(line[i].slope.hi, want, 1e-12);
		assert_int_equal(line[i].points, N_T - 2);
		check_close(line[i].largest, 7, 1e-12);
	}
	check_close(line[0].smallest, (2 * 1e-4 + 3 * 2e-4 + 0) / S, 1e-15);
	free(line);
	/* a power that differs between sequences: the mean of the two */
	for (int64_t t = 0; t < N_T; t++)
		for (int i = 0; i < L * H * N_C; i++)
			k.value[t * S * L * H * N_C + i] = pow(ts[t], 3);
	assert_int_equal(sx_mix_lines(&line, &n, NULL, &k.m, 1), SX_OK);
	check_close(line[0].slope.value, 2, 1e-12); /* layer 0: 3 and 1 */
	check_close(line[0].slope.lo, 1, 1e-12);
	check_close(line[0].slope.hi, 3, 1e-12);
	free(line);
	k.m.n_wrt = 1; /* no W_Q */
	assert_int_equal(sx_mix_lines(&line, &n, NULL, &k.m, 1), SX_EDATA);
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	static known k;
	sx_run *run = NULL;
	sx_mix_record r;
	fill_known(&k);
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_run_axis(run, SX_RUN_MIX_T, N_T, ts));
	ok(f, sx_run_axis_index(run, SX_RUN_MIX_SEQUENCE, S));
	ok(f, sx_run_axis_index(run, SX_RUN_MIX_LAYER, L));
	ok(f, sx_run_axis_index(run, SX_RUN_MIX_HEAD, H));
	ok(f, sx_run_axis(run, SX_RUN_MIX_C, N_C, families));
	ok(f, sx_run_axis(run, SX_RUN_MIX_WRT, N_WRT, wrts));
	ok(f, sx_run_define(run, SX_RUN_MIX_VALUE));
	ok(f, sx_run_define(run, SX_RUN_MIX_GRAD_NORM));
	ok(f, sx_run_define(run, SX_RUN_MIX_PREFIX_SPREAD));
	ok(f, sx_run_start(run));
	ok(f, sx_run_put(run, SX_RUN_MIX_VALUE, 0, k.value));
	ok(f, sx_run_put(run, SX_RUN_MIX_GRAD_NORM, 0, k.grad));
	ok(f, sx_run_put(run, SX_RUN_MIX_PREFIX_SPREAD, 0, k.spread));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	sx_run_file *in = open_run(f, f->path[0]);
	ok(f, sx_mix_read(&r, &f->ctx, in));
	check(r.m.n_t == N_T && r.m.S == S && r.m.L == L && r.m.H == H && r.m.n_c == N_C &&
	      r.m.n_wrt == N_WRT);
	check_near(r.t, ts, N_T, 0);
	check_near(r.value, k.value, N_T * S * L * H * N_C, 0);
	check_near(r.grad_norm, k.grad, N_T * S * L * H * N_C * N_WRT, 0);
	check_near(r.spread, k.spread, N_T * S * L, 0);
	assert_string_equal(r.m.family[1], "previous");
	assert_string_equal(r.m.wrt[2], "wq");
	sx_mix_record_free(&r);
	sx_run_file_close(in);
}

/* ---- the law itself ---- */

enum { SEQUENCES = 2, TOKENS = 20, LAYERS_M = 3, HEADS_M = 2, N_MIX = 5 };
static const double mixes[N_MIX] = {1, 1e-3, 1e-4, 1e-5, 1e-6};
static const char *const measured[] = {"diagonal", "previous", "own"};
static const char *const wrt5[] = {"wq", "wk", "q", "k", "h"};

typedef struct {
	double value[N_MIX][SEQUENCES * LAYERS_M * HEADS_M * 3];
	double grad[N_MIX][SEQUENCES * LAYERS_M * HEADS_M * 3 * 5],
		spread[N_MIX][SEQUENCES * LAYERS_M];
} law;

static sx_spec law_spec(const char *method)
{
	sx_spec s = sx_spec_default();
	s.V = 29, s.C = 16, s.L = LAYERS_M, s.H = HEADS_M, s.Hkv = 1, s.D = 8, s.F = 32, s.T = 64;
	s.eps = 1e-6;
	snprintf(s.pos.method, sizeof s.pos.method, "%s", method);
	return s;
}

static void measure_law(law *out, const char *method, const double *mix, int k)
{
	sx_spec spec = law_spec(method);
	const sx_measure_opts o = {.ac = true, .ac_gradients = true, .spread = true};
	sx_family family[3];
	int32_t tokens[SEQUENCES * TOKENS], target[SEQUENCES * TOKENS];
	double nll[SEQUENCES * TOKENS];
	sx_measures *m = NULL;
	for (int c = 0; c < 3; c++)
		assert_int_equal(sx_family_parse(&family[c], NULL, measured[c]), SX_OK);
	for (int i = 0; i < SEQUENCES * TOKENS; i++) {
		tokens[i] = (int32_t)(sx_random_bits(3, SX_STREAM_TEST, (uint64_t)i) % 29);
		target[i] = -1;
	}
	assert_int_equal(sx_measures_new(&m, NULL, &o, SEQUENCES, spec.L, spec.H, TOKENS, 4, 3),
			 SX_OK);
	sx_trace_request in = {.spec = &spec,
			       .seed = 5,
			       .mix = mix,
			       .S = SEQUENCES,
			       .T = TOKENS,
			       .tokens = tokens,
			       .target = target,
			       .measure = &o,
			       .family = family,
			       .threads = sx_blas_threads()};
	assert_int_equal(sx_trace_f64(NULL, &in, m, nll, NULL), SX_OK);
	memcpy(out->value[k], m->ac_value, sizeof out->value[k]);
	memcpy(out->grad[k], m->ac_grad, sizeof out->grad[k]);
	memcpy(out->spread[k], m->prefix_spread, sizeof out->spread[k]);
	sx_measures_free(m);
}

/* Slopes as the analysis finds them, and wrong ones: what is linear is not constant. Slopes over
 * spreads of 1e-3 and less differ from the limit by that order. */
static void check_law(const char *method, double want, double want_own)
{
	static law w, plain;
	sx_mix_line *line;
	int64_t n;
	for (int k = 0; k < N_MIX; k++) measure_law(&w, method, &mixes[k], k);
	measure_law(&plain, method, NULL, 0); /* t = 1 leaves the model as it is */
	check_near(w.value[0], plain.value[0], SEQUENCES * LAYERS_M * HEADS_M * 3, 0);
	check_near(w.grad[0], plain.grad[0], SEQUENCES * LAYERS_M * HEADS_M * 3 * 5, 0);
	for (int k = 2; k < N_MIX; k++) /* the spread itself goes with t */
		check_close(w.spread[k][0] / w.spread[1][0], mixes[k] / mixes[1],
			    1e-2 * mixes[k] / mixes[1]);
	const sx_mix m = {N_MIX, SEQUENCES, LAYERS_M, HEADS_M,    3,         5,
			  mixes, measured,  wrt5,     w.value[0], w.grad[0], w.spread[0]};
	assert_int_equal(sx_mix_lines(&line, &n, NULL, &m, 1), SX_OK);
	for (int64_t i = 0; i < n; i++) {
		assert_int_equal(line[i].points, N_MIX - 1);
		check_close(line[i].slope.value, line[i].c == 2 ? want_own : want, 0.02);
	}
	free(line);
}

/* `own` is itself of the order of the spread: its A_c and gradients go with the square. */
static void test_law(void **state)
{
	(void)state;
	check_law("nope", 1, 2);
	check_law("rope", 0, 0);
}

/* ---- through training ---- */

/* Two records, the second of which counts; sequence 0 is constant. */
static void test_course(void **state)
{
	struct fixture *f = *state;
	enum { CS = 3, CL = 2, CH = 2, CC = 2, CW = 2, VALUES = CS * CL * CH * CC };
	const char *wrt[] = {"wk", "wq"};
	double value[VALUES], bound[VALUES], grad[VALUES * CW], grad_bound[VALUES * CW],
		spread[CS * CL];
	double want[6] = {0}, n = 0;
	sx_run *run = NULL;
	sx_course m;
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_run_grow(run, SX_RUN_AC_STEP, 2));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_SEQUENCE, CS));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, CL));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_HEAD, CH));
	ok(f, sx_run_define(run, SX_RUN_AC_PHASE));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, CC, families));
	ok(f, sx_run_axis(run, SX_RUN_AC_WRT, CW, wrt));
	const sx_run_id ids[] = {SX_RUN_AC_VALUE, SX_RUN_AC_VALUE_BOUND, SX_RUN_AC_GRAD_NORM,
				 SX_RUN_AC_GRAD_BOUND, SX_RUN_AC_PREFIX_SPREAD};
	const double *const data[] = {value, bound, grad, grad_bound, spread};
	for (int k = 0; k < 5; k++) ok(f, sx_run_define(run, ids[k]));
	ok(f, sx_run_start(run));
	for (int64_t rec = 0; rec < 2; rec++) {
		const uint8_t phase = (uint8_t)rec;
		const int64_t step = 40 * rec;
		for (int i = 0; i < VALUES; i++) {
			value[i] = rec ? sin(i) : 100;
			bound[i] = 2 + cos(i);
			for (int w = 0; w < CW; w++) {
				grad[i * CW + w] = 3 + sin(5 * i + w);
				grad_bound[i * CW + w] = w ? 9 + cos(7 * i) : (double)NAN;
			}
		}
		for (int i = 0; i < CS * CL; i++) spread[i] = i == 0 ? 0 : i + 1;
		for (int k = 0; k < 5; k++) ok(f, sx_run_put(run, ids[k], rec, data[k]));
		ok(f, sx_run_put(run, SX_RUN_AC_PHASE, rec, &phase));
		ok(f, sx_run_put(run, SX_RUN_AC_STEP, rec, &step));
	}
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	for (int i = VALUES / CS + 1; i < VALUES; i += CC, n++) { /* previous, sequences 1 and 2 */
		want[0] += fabs(sin(i)), want[1] += 2 + cos(i);
		want[2] = fmax(want[2], fabs(sin(i)) / (2 + cos(i)));
		want[3] += 3 + sin(5 * i + 1), want[4] += 9 + cos(7 * i);
		want[5] = fmax(want[5], (3 + sin(5 * i + 1)) / (9 + cos(7 * i)));
	}
	sx_run_file *in = open_run(f, f->path[0]);
	ok(f, sx_course_read(&m, &f->ctx, in, "previous"));
	check(m.step == 40 && m.phase == 1 && m.heads == 8 && n == 8);
	check_close(m.spread, (3 + 4 + 5 + 6) / 4.0, 1e-12);
	check_close(m.value, want[0] / n, 1e-12);
	check_close(m.value_bound, want[1] / n, 1e-12);
	check_close(m.value_ratio, want[2], 1e-12);
	check_close(m.grad, want[3] / n, 1e-12);
	check_close(m.grad_bound, want[4] / n, 1e-12);
	check_close(m.grad_ratio, want[5], 1e-12);
	refused(f, sx_course_read(&m, &f->ctx, in, "first"), SX_EDATA, "no first");
	sx_run_file_close(in);
}

/* ---- words ---- */

static void test_words(void **state)
{
	(void)state;
	const char *text = "The dog's tail,\n the  tail -- The\tna\xc3\xafve dog";
	const int32_t want[] = {0, 1, 2, 3, 4, 2, 5, 5, 0, 6, 7};
	int32_t *ids;
	int64_t n, distinct;
	assert_int_equal(sx_words_number(&ids, &n, &distinct, NULL, text, strlen(text)), SX_OK);
	assert_int_equal(n, sizeof want / sizeof want[0]);
	assert_int_equal(distinct, 8);
	for (int64_t i = 0; i < n; i++) assert_int_equal(ids[i], want[i]);
	free(ids);
	assert_int_equal(sx_words_number(&ids, &n, &distinct, NULL, " \n", 2), SX_OK);
	assert_true(n == 0 && distinct == 0);
	free(ids);
}

/* ---- figure 4 ---- */

static void test_compare(void **state)
{
	(void)state;
	sx_figure4_fit f = {0};
	memcpy(f.curve, sx_figure4_paper, sizeof f.curve);
	sx_figure4_compare(&f);
	check_close(f.rms, 0, 1e-15);
	check_close(f.factor, 1, 1e-15);
	for (int c = 0; c < 2; c++)
		for (int m = 0; m < 2; m++)
			for (int l = 0; l < SX_FIGURE4_LAYERS; l++) f.curve[c][m][l] *= 0.25;
	sx_figure4_compare(&f);
	check_close(f.rms, log(4), 1e-12);
	check_close(f.factor, 4, 1e-12);
	check_close(f.rms_scaled, 0, 1e-12);
	check_close(f.rms_ratio, 0, 1e-12);
	/* RoPE alone twice as large: the factor takes half of it in the logarithm */
	for (int c = 0; c < 2; c++)
		for (int l = 0; l < SX_FIGURE4_LAYERS; l++) f.curve[c][SX_FIGURE4_ROPE][l] *= 8;
	sx_figure4_compare(&f);
	check_close(f.rms_ratio, log(8), 1e-12);
	check_close(f.rms_scaled, log(8) / 2, 1e-12);
	/* the paper's message: equal at layer 0, about twice at the end */
	for (int c = 0; c < 2; c++) {
		check_close(sx_figure4_paper[c][0][0] / sx_figure4_paper[c][1][0], 1, 0.02);
		check_close(sx_figure4_paper[c][0][23] / sx_figure4_paper[c][1][23], 2, 0.05);
	}
}

enum { F4 = SX_FIGURE4_LAYERS, F4_S = 2, F4_H = 3 };

static double norm(double factor, int s, int l, int h, int c, int w)
{
	return factor * (2 + sin(s + 2 * l + 3 * h + 5 * c + 7 * w));
}

static void write_trace(struct fixture *f, const char *path, int64_t length, int layers,
			double factor, bool batch)
{
	sx_run *run = NULL;
	const char *wrt[] = {"wq", "wk"};
	const uint8_t phase = 0;
	const int64_t step = 0;
	double x[F4_S * F4 * F4_H * 2 * 2], b[F4 * F4_H * 2 * 2], *to = x;
	float nll[64] = {0};
	for (int i = 0; i < F4_S * layers * F4_H * 4; i++)
		*to++ = norm(factor, i / (layers * F4_H * 4), i / (F4_H * 4) % layers, i / 4 % F4_H,
			     i / 2 % 2, i % 2);
	for (int i = 0; i < layers * F4_H * 4; i++)
		b[i] = 0.5 * norm(factor, 9, i / (F4_H * 4), i / 4 % F4_H, i / 2 % 2, i % 2);
	ok(f, sx_run_create(&run, &f->ctx, path, false));
	ok(f, sx_run_grow(run, SX_RUN_AC_STEP, 1));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_SEQUENCE, F4_S));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_LAYER, layers));
	ok(f, sx_run_axis_index(run, SX_RUN_AC_HEAD, F4_H));
	ok(f, sx_run_define(run, SX_RUN_AC_PHASE));
	ok(f, sx_run_axis(run, SX_RUN_AC_C, 2, families));
	ok(f, sx_run_axis(run, SX_RUN_AC_WRT, 2, wrt));
	ok(f, sx_run_define(run, SX_RUN_AC_GRAD_NORM));
	if (batch) ok(f, sx_run_define(run, SX_RUN_AC_BATCH_GRAD_NORM));
	ok(f, sx_run_axis_index(run, SX_RUN_OUT_SEQUENCE, F4_S));
	ok(f, sx_run_axis_index(run, SX_RUN_OUT_QUERY, length));
	ok(f, sx_run_define(run, SX_RUN_OUT_NLL));
	ok(f, sx_run_start(run));
	ok(f, sx_run_put(run, SX_RUN_OUT_NLL, 0, nll));
	ok(f, sx_run_put(run, SX_RUN_AC_GRAD_NORM, 0, x));
	if (batch) ok(f, sx_run_put(run, SX_RUN_AC_BATCH_GRAD_NORM, 0, b));
	ok(f, sx_run_put(run, SX_RUN_AC_PHASE, 0, &phase));
	ok(f, sx_run_put(run, SX_RUN_AC_STEP, 0, &step));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
}

/* What a protocol makes of the numbers above in layer 5 of previous. */
static double by_hand(const sx_figure4_protocol *p, double factor)
{
	double sum = 0;
	int first = p->batch ? 9 : 0, last = p->batch ? 9 : F4_S - 1;
	for (int s = first; s <= last; s++) {
		double squares = 0, mean = 0;
		for (int h = 0; h < F4_H; h++) {
			double q = norm(factor, s, 5, h, 1, 0), k = norm(factor, s, 5, h, 1, 1);
			double one = p->by == SX_FIGURE4_WQ   ? q
				     : p->by == SX_FIGURE4_WK ? k
							      : hypot(q, k);
			squares += one * one, mean += one / F4_H;
		}
		sum += (p->root_sum ? sqrt(squares) : mean) / (last - first + 1);
	}
	return p->batch ? sum / 2 : sum;
}

static void test_protocols(void **state)
{
	struct fixture *f = *state;
	sx_figure4_fit *fit;
	int64_t n;
	const bool rotated[] = {false, true, true, false};
	sx_run_file *in[4];
	write_trace(f, f->path[0], 8, F4, 1, true);
	write_trace(f, f->path[1], 8, F4, 3, true);
	write_trace(f, f->path[2], 6, F4, 5, false);
	write_trace(f, f->path[3], 6, F4, 2, false);
	for (int i = 0; i < 4; i++) in[i] = open_run(f, f->path[i]);
	ok(f, sx_figure4_fits(&fit, &n, &f->ctx, in, rotated, 4));
	assert_int_equal(n, 12 + 6); /* the second pair has no batch */
	for (int64_t i = 0; i < n; i++) {
		bool first = fit[i].p.length == 8;
		check(fit[i].p.sequences == F4_S && (first || !fit[i].p.batch));
		check_close(fit[i].curve[1][SX_FIGURE4_ROPE][5], by_hand(&fit[i].p, first ? 3 : 5),
			    1e-12);
		check_close(fit[i].curve[1][SX_FIGURE4_NOPE][5], by_hand(&fit[i].p, first ? 1 : 2),
			    1e-12);
	}
	int64_t best = sx_figure4_best(fit, n, false), shape = sx_figure4_best(fit, n, true);
	for (int64_t i = 0; i < n; i++)
		check(fit[best].rms <= fit[i].rms && fit[shape].rms_scaled <= fit[i].rms_scaled);
	free(fit);
	refused(f, sx_figure4_fits(&fit, &n, &f->ctx, in, rotated, 3), SX_EDATA,
		"without rotation");
	for (int i = 0; i < 4; i++) sx_run_file_close(in[i]);
	write_trace(f, f->path[0], 8, F4 - 1, 1, true);
	in[0] = open_run(f, f->path[0]);
	refused(f, sx_figure4_fits(&fit, &n, &f->ctx, in, rotated, 1), SX_EDATA, "23 layers");
	sx_run_file_close(in[0]);
}

int main(void)
{
	sx_stats_start();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_lines),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test(test_law),
		cmocka_unit_test_setup_teardown(test_course, setup, teardown),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_compare),
		cmocka_unit_test_setup_teardown(test_protocols, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

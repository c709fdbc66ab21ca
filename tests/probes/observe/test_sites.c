/* What passes the sites of a layer, as a run file has it: each site recomputed in double from those before
 * it and the weights, the maps of the same pass from the queries and keys; chosen rows and heads are the
 * same bits as in all of them. Compiled in both precisions. */
#include "tests/support/small_model.h"

#include "tests/support/run_fixture.h"

#include "probes/record/record.h"

#include <float.h>

/* Of a float32 in the file, and of the engine's own float. */
static const double eps = 0x1p-24;

/* Roundings, in units of eps, of a sum of n terms: the double engine's are none beside the file's. */
static double steps(int64_t n)
{
	return sizeof(sx_real) == 8 ? 1 : (double)n;
}

/* Error over what rounding may make of it. */
typedef enum { X, H, Q, K, V, Q_ROT, K_ROT, PROB, Z, CHECKS } check_of;
static const char *const check_name[CHECKS] = {"x",     "h",     "q",    "k", "v",
					       "q_rot", "k_rot", "prob", "z"};
static double worst[CHECKS];
static int64_t checked[CHECKS];

static void compare(check_of c, double got, double want, double tolerance)
{
	double error = fabs(got - want);
	if (!(error <= tolerance))
		fail_msg("%s: %.9g, wanted %.9g within %.3g", check_name[c], got, want, tolerance);
	if (error > worst[c] * tolerance) worst[c] = error / tolerance;
	checked[c]++;
}

/* ---- passes ---- */

typedef struct {
	sx_spec spec;
	sx_model *m;
	int64_t B, T;
	int32_t *tokens;
	sx_sites *sites;
	double *at[SX_SITE_COUNT]; /* what the file holds of them */
	double *prob;              /* (B,L*H,T,T) */
	sx_pos_plan plan;
} passed;

static void read_back(struct fixture *f, passed *x, const char *path)
{
	sx_run_file *in = open_run(f, path);
	sx_run_whole whole;
	int64_t n;
	for (int i = 0; i < SX_SITE_COUNT; i++) {
		sx_run_id id = sx_site_dataset((sx_site)i);
		assert_int_equal(sx_run_has(in, id), x->sites->want[i]);
		if (!x->sites->want[i]) continue;
		ok(f, sx_run_read_all(in, id, &x->at[i], &n));
		assert_int_equal(n, sx_site_rows_count(x->sites, (sx_site)i));
	}
	ok(f, sx_run_read_all(in, SX_RUN_ATTN_PROB, &x->prob, &n));
	assert_int_equal(n, x->B * x->spec.L * x->spec.H * x->T * x->T);
	ok(f, sx_run_verify(in, &whole, NULL, NULL));
	assert_int_equal(whole.faults, 0);
	sx_run_file_close(in);
}

/* A pass whose maps and sites go into a file, and back. */
static passed pass(struct fixture *f, sx_spec s, int64_t B, int64_t N, sx_sites_words words)
{
	passed x = {.spec = s, .B = B, .T = N, .m = small_model(&s, 5, 0.3)};
	sx_map_choice *map = NULL;
	sx_measures *measures = NULL;
	sx_observers *o = NULL;
	sx_map_sink *sink = NULL;
	sx_run *run = NULL;
	int n = 0, threads = omp_get_max_threads();
	x.tokens = small_tokens(B * N, s.V, 6);
	ok(f, sx_sites_new(&x.sites, &f->ctx, &words, &s, B, N));
	sx_measure_opts opts = {.sites = x.sites};
	ok(f, sx_select_heads(&map, &opts.n_map, &f->ctx, "L*/H*", s.L, s.H));
	opts.map = map;
	ok(f, sx_measures_new(&measures, &f->ctx, &opts, B, s.L, s.H, N, s.D / 2, 0));
	const sx_record_axes axes = {.spec = &s,
				     .S = B,
				     .T = N,
				     .tokens = x.tokens,
				     .measure = &opts,
				     .maps_f32 = true,
				     .records = 1,
				     .samples = B};
	ok(f, sx_run_create(&run, &f->ctx, f->path[0], false));
	ok(f, sx_record_define(run, &axes));
	ok(f, sx_run_start(run));
	ok(f, sx_record_sink(&sink, &f->ctx, run, &axes, 1, threads));
	ok(f, sx_observers_new(&o, &f->ctx, &s, &opts, NULL, threads, measures));
	sx_observers_sink(o, sink);
	const sx_probe *probe = sx_observers_probes(o, &n);
	sx_work *w = small_work(x.m, 1, N, SX_WORK_FORWARD);
	for (int64_t b = 0; b < B; b++) { /* one sequence at a time, as a trace does */
		sx_observers_place(o, b);
		ok(f, sx_forward(&f->ctx, x.m, w,
				 &(sx_request){.tokens = x.tokens + b * N,
					       .B = 1,
					       .probe = probe,
					       .n_probe = n},
				 NULL));
	}
	ok(f, sx_record_put(run, &f->ctx, &axes, measures, &s, 7, 0, true));
	ok(f, sx_run_close(&run, SX_RUN_COMPLETE));
	sx_work_free(w);
	sx_observers_free(o);
	sx_map_sink_free(sink);
	sx_measures_free(measures);
	free(map);
	read_back(f, &x, f->path[0]);
	return x;
}

static void passed_free(passed *x)
{
	for (int i = 0; i < SX_SITE_COUNT; i++) free(x->at[i]);
	free(x->prob);
	sx_sites_free(x->sites);
	free(x->tokens);
	sx_model_free(x->m);
}

/* Row i of a part of a site, of a pass that keeps all of them. */
static const double *row_of(const passed *x, sx_site site, int64_t b, int64_t l, int64_t part,
			    int64_t i)
{
	const sx_site_form *f = &x->sites->form[sx_site_kind_of(site)];
	return x->at[site] + (((b * x->spec.L + l) * f->n + part) * x->T + i) * f->width;
}

/* ---- each site from those before it ---- */

/* sum_c a_c w_c, and the sum of the absolute terms. */
static double product(const double *a, const sx_real *w, int64_t n, double *terms)
{
	double sum = 0;
	for (int64_t c = 0; c < n; c++) {
		sum += a[c] * (double)w[c];
		*terms += fabs(a[c] * (double)w[c]);
	}
	return sum;
}

/* RMSNorm of n numbers, each known within off (NULL: exactly), into y and to first order what that and
 * the norm's own roundings make of it. */
static void normed(double *y, double *y_off, const double *x, const double *off,
		   const sx_real *gain, double norm_eps, int64_t n)
{
	double squares = 0, turned = 0;
	for (int64_t c = 0; c < n; c++) {
		squares += x[c] * x[c];
		turned += off ? fabs(x[c]) * off[c] : 0;
	}
	double rstd = 1 / sqrt(squares / (double)n + norm_eps);
	turned *= rstd * rstd / (double)n;
	for (int64_t c = 0; c < n; c++) {
		double g = (double)gain[c] * rstd;
		y[c] = g * x[c];
		y_off[c] =
			(off ? fabs(g) * off[c] : 0) + fabs(y[c]) * (turned + (steps(n) + 5) * eps);
	}
}

/* Row i of `heads` heads of q, k or v from the row of h. */
static void check_projection(const passed *x, check_of c, sx_site site, int64_t heads,
			     const sx_real *w, const sx_real *bias, const sx_real *gain,
			     int64_t at[3])
{
	int64_t C = x->spec.C, D = x->spec.D, n = heads * D, group = n;
	const double *h = row_of(x, SX_SITE_H, at[0], at[1], 0, at[2]);
	double want[64], off[64], raw[64], raw_off[64];
	assert_true(n <= 64);
	for (int64_t e = 0; e < n; e++) {
		double terms = bias ? fabs((double)bias[e]) : 0;
		want[e] = product(h, w + e * C, C, &terms) + (bias ? (double)bias[e] : 0);
		off[e] = (steps(C) + 3) * eps * terms;
	}
	if (gain && x->spec.qk_norm == SX_QK_NORM_HEAD) group = D;
	memcpy(raw, want, sizeof raw);
	memcpy(raw_off, off, sizeof raw_off);
	for (int64_t e = 0; gain && e < n; e += group)
		normed(want + e, off + e, raw + e, raw_off + e, gain, x->spec.eps, group);
	for (int64_t e = 0; e < n; e++)
		compare(c, row_of(x, site, at[0], at[1], e / D, at[2])[e % D], want[e], off[e]);
}

/* R(i) by the plan's frequencies, factor included. */
static void check_rotation(const passed *x, check_of c, sx_site from, sx_site to, int64_t heads,
			   int64_t at[3])
{
	const sx_pos_plan *p = &x->plan;
	int n = p->n_freq;
	for (int64_t g = 0; g < heads; g++) {
		const double *a = row_of(x, from, at[0], at[1], g, at[2]);
		const double *b = row_of(x, to, at[0], at[1], g, at[2]);
		for (int m = 0; m < n; m++) {
			double angle = (double)at[2] * p->inv_freq[m];
			double co = cos(angle) * p->attention_factor;
			double si = sin(angle) * p->attention_factor;
			double u = a[m], v = a[m + n];
			compare(c, b[m], co * u - si * v, 4 * eps * (fabs(co * u) + fabs(si * v)));
			compare(c, b[m + n], si * u + co * v,
				4 * eps * (fabs(si * u) + fabs(co * v)));
		}
		for (int e = p->rotary; e < x->spec.D; e++) compare(c, b[e], a[e], 0);
	}
}

/* Row i of a head's map from the queries and keys, and of z from the map and the values. */
static void check_attention(const passed *x, int64_t head, int64_t at[3])
{
	int64_t N = x->T, D = x->spec.D, i = at[2], first = sx_first_key(i, x->plan.window);
	int64_t kv = head / (x->spec.H / x->spec.Hkv), n = i - first + 1;
	const double *p = x->prob + (((at[0] * x->spec.L + at[1]) * x->spec.H + head) * N + i) * N;
	const double *q = row_of(x, SX_SITE_Q_ROT, at[0], at[1], head, i);
	double scale = x->plan.beta / sqrt((double)D), most = -(double)INFINITY, sum = 0,
	       score_off = 0;
	double *s = sx_calloc((size_t)N, sizeof *s);
	assert_non_null(s);
	for (int64_t j = 0; j < N; j++)
		if (j < first || j > i) assert_true(p[j] == 0);
	for (int64_t j = first; j <= i; j++) {
		const double *k = row_of(x, SX_SITE_K_ROT, at[0], at[1], kv, j);
		double terms = 0;
		for (int64_t d = 0; d < D; d++) {
			s[j] += scale * q[d] * k[d];
			terms += scale * fabs(q[d] * k[d]);
		}
		most = fmax(most, s[j]);
		score_off = fmax(score_off, (steps(D) + 3) * eps * terms);
	}
	for (int64_t j = first; j <= i; j++) sum += exp(s[j] - most);
	/* Scores that are off by at most e leave probabilities within a factor exp(2 e). The float
	 * engine's exp is good to 2e-7 (engine/vector.h), of a rounded difference, and 0 below the
	 * smallest normal number. */
	bool f64 = sizeof(sx_real) == 8;
	for (int64_t j = first; j <= i; j++) {
		double want = exp(s[j] - most) / sum;
		double of_exp = f64 ? 0 : 4e-7 + eps * (most - s[j]);
		double off = expm1(2 * score_off + of_exp + (steps(n) + 4) * eps);
		compare(PROB, p[j], want, want * off + 2 * (double)FLT_MIN);
	}
	const double *z = row_of(x, SX_SITE_Z, at[0], at[1], head, i);
	for (int64_t d = 0; d < D; d++) {
		double want = 0, terms = 0;
		for (int64_t j = first; j <= i; j++) {
			double v = row_of(x, SX_SITE_V, at[0], at[1], kv, j)[d];
			want += p[j] * v;
			terms += fabs(p[j] * v);
		}
		compare(Z, z[d], want, (steps(n) + 3) * eps * terms);
	}
	free(s);
}

/* The stream: the embedding, and then what attention and the feed-forward block add to it. */
static void check_stream(const passed *x, int64_t at[3])
{
	int64_t C = x->spec.C, q = (int64_t)x->spec.H * x->spec.D, F = x->spec.F, l = at[1] - 1;
	const double *now = row_of(x, SX_SITE_X_IN, at[0], at[1], 0, at[2]);
	const sx_real *e = x->m->p.embed + (int64_t)x->tokens[at[0] * x->T + at[2]] * C;
	for (int64_t c = 0; c < C; c++) {
		if (at[1] == 0) {
			compare(X, now[c], (double)(float)e[c], 0);
			continue;
		}
		double before = row_of(x, SX_SITE_X_IN, at[0], l, 0, at[2])[c];
		double want = before, terms = fabs(before);
		for (int64_t h = 0; h < x->spec.H; h++)
			want += product(row_of(x, SX_SITE_Z, at[0], l, h, at[2]),
					x->m->p.wo + (l * C + c) * q + h * x->spec.D, x->spec.D,
					&terms);
		want += product(row_of(x, SX_SITE_MLP, at[0], l, 0, at[2]),
				x->m->p.wd + (l * C + c) * F, F, &terms);
		compare(X, now[c], want, (steps(q) + steps(F) + 4) * eps * terms);
	}
}

static void check_norm(const passed *x, int64_t at[3])
{
	double want[64], off[64];
	int64_t C = x->spec.C;
	assert_true(C <= 64);
	normed(want, off, row_of(x, SX_SITE_X_IN, at[0], at[1], 0, at[2]), NULL,
	       x->m->p.ln1 + at[1] * C, x->spec.eps, C);
	for (int64_t c = 0; c < C; c++)
		compare(H, row_of(x, SX_SITE_H, at[0], at[1], 0, at[2])[c], want[c], off[c]);
}

static void check_layer(passed *x, int64_t b, int64_t l)
{
	const sx_spec *s = &x->spec;
	const sx_params *p = &x->m->p;
	int64_t nq = (int64_t)s->H * s->D, nk = (int64_t)s->Hkv * s->D, C = s->C;
	const sx_real *bq = p->bq ? p->bq + l * nq : NULL, *bk = p->bk ? p->bk + l * nk : NULL;
	const sx_real *bv = p->bv ? p->bv + l * nk : NULL;
	const sx_real *gq = p->q_norm ? p->q_norm + l * sx_norm_width(s, s->H) : NULL;
	const sx_real *gk = p->k_norm ? p->k_norm + l * sx_norm_width(s, s->Hkv) : NULL;
	assert_int_equal(sx_pos_plan_make(&x->plan, NULL, &s->pos, sx_spec_shape(s), (int)l, x->T),
			 SX_OK);
	for (int64_t i = 0; i < x->T; i++) {
		int64_t at[3] = {b, l, i};
		check_stream(x, at);
		check_norm(x, at);
		check_projection(x, Q, SX_SITE_Q, s->H, p->wq + l * nq * C, bq, gq, at);
		check_projection(x, K, SX_SITE_K, s->Hkv, p->wk + l * nk * C, bk, gk, at);
		check_projection(x, V, SX_SITE_V, s->Hkv, p->wv + l * nk * C, bv, NULL, at);
		check_rotation(x, Q_ROT, SX_SITE_Q, SX_SITE_Q_ROT, s->H, at);
		check_rotation(x, K_ROT, SX_SITE_K, SX_SITE_K_ROT, s->Hkv, at);
		for (int64_t h = 0; h < s->H; h++) check_attention(x, h, at);
	}
	sx_pos_plan_free(&x->plan);
}

static sx_spec spec_of(int variant)
{
	static const char *const method[] = {"rope", "yarn", "nope", "rope", "p-rope"};
	static const sx_qk_norm norm[] = {SX_QK_NORM_NONE, SX_QK_NORM_FULL, SX_QK_NORM_NONE,
					  SX_QK_NORM_HEAD, SX_QK_NORM_NONE};
	sx_spec s = small_spec(method[variant], 3, 24, 4, 2, 8);
	s.qk_norm = norm[variant];
	s.qkv_bias = variant == 0 || variant == 3;
	s.pos.window = variant == 3 || variant == 4 ? 21 : 0;
	s.pos.factor = variant == 1 ? 4 : 1;
	s.pos.beta = variant == 1 ? 1.3 : 1;
	s.pos.keep = variant == 4 ? 0.5 : s.pos.keep;
	return s;
}
enum { VARIANTS = 5 };

static void sites_follow_from_each_other(void **state)
{
	for (int variant = 0; variant < VARIANTS; variant++) {
		passed x = pass(*state, spec_of(variant), 2, 70, (sx_sites_words){.what = "all"});
		for (int64_t b = 0; b < x.B; b++)
			for (int64_t l = 0; l < x.spec.L; l++) check_layer(&x, b, l);
		passed_free(&x);
	}
	for (int c = 0; c < CHECKS; c++) {
		assert_true(checked[c] > 0);
		print_message("%s: %lld numbers, error at most %.2g of what is allowed\n",
			      check_name[c], (long long)checked[c], worst[c]);
	}
}

/* ---- the choice ---- */

/* Every number of a part of a pass is the whole one's, or NaN where its head was not chosen. */
static void check_part(const passed *part, const passed *whole)
{
	const sx_sites *k = part->sites;
	const sx_choice *c = &k->choice;
	for (int i = 0; i < SX_SITE_COUNT; i++) {
		if (!k->want[i]) continue;
		sx_site_kind kind = sx_site_kind_of((sx_site)i);
		const sx_site_form *f = &k->form[kind];
		const double *got = part->at[i];
		const int32_t *name = kind == SX_SITE_OF_HEAD ? c->head : k->kv_head;
		bool parts = kind == SX_SITE_OF_HEAD || kind == SX_SITE_OF_KV_HEAD;
		for (int64_t b = 0; b < k->S; b++)
			for (int64_t l = 0; l < c->n_layer; l++)
				for (int64_t h = 0; h < f->n; h++) {
					int64_t of = parts ? name[h] : 0, layer = c->layer[l];
					bool there = f->slot[layer * f->heads + of] >= 0;
					for (int64_t r = 0; r < c->n_query; r++, got += f->width) {
						const double *want = row_of(whole, (sx_site)i, b,
									    layer, of, c->query[r]);
						for (int64_t e = 0; e < f->width; e++)
							assert_true(there ? got[e] == want[e]
									  : isnan(got[e]));
					}
				}
	}
}

static void a_choice_is_part_of_the_whole(void **state)
{
	passed whole = pass(*state, spec_of(3), 2, 70, (sx_sites_words){.what = "all"});
	const struct {
		sx_sites_words words;
		int64_t layers, heads, kv_heads, rows;
	} cases[] = {
		{{.what = "all", .heads = "L0/H1,L2/H0-2", .rows = "0-15,40-"}, 2, 3, 2, 46},
		{{.what = "k_rot,x", .heads = "L1/H3", .rows = "69"}, 1, 1, 1, 1},
		{{.what = "z", .rows = "3,5-7"}, 3, 4, 2, 4},
	};
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		passed part = pass(*state, spec_of(3), 2, 70, cases[k].words);
		check_part(&part, &whole);
		const sx_sites *s = part.sites;
		assert_int_equal(s->choice.n_layer, cases[k].layers);
		assert_int_equal(s->choice.n_head, cases[k].heads);
		assert_int_equal(s->n_kv_head, cases[k].kv_heads);
		assert_int_equal(s->choice.n_query, cases[k].rows);
		if (k == 0) { /* layer 0 has head 1, so of key heads the first alone */
			assert_true(s->form[SX_SITE_OF_KV_HEAD].slot[0] == 0);
			assert_true(s->form[SX_SITE_OF_KV_HEAD].slot[1] == -1);
			assert_true(s->layer_slot[1] == -1);
		}
		passed_free(&part);
	}
	passed_free(&whole);
}

static void what_is_not_there_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		sx_sites_words w;
		const char *said;
	} bad[] = {
		{{.what = "x,y"}, "\"y\""},
		{{.what = "q_ro"}, "\"q_ro\""},
		{{.what = "x,"}, "\"\""},
		{{.what = "scores"}, "want all, or some of x, h, q, k, q_rot, k_rot, v, z, mlp"},
		{{.what = ""}, "no site"},
		{{.what = "x", .rows = "3,70"}, "rows 3,70: want positions below 70"},
		{{.what = "x", .rows = "70-"}, "rows 70-"},
		{{.what = "x", .heads = "L3/H0"}, "layers below 3"},
		{{.what = "x", .heads = "L0/H4"}, "heads below 4"},
	};
	sx_spec s = spec_of(0);
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		sx_sites *sites = NULL;
		refused(f, sx_sites_new(&sites, &f->ctx, &bad[k].w, &s, 2, 70), SX_EUSAGE,
			bad[k].said);
		assert_null(sites);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sites_follow_from_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_choice_is_part_of_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Small models with random weights, tokens, and a pass with observers, for tests of either
 * precision. */
#ifndef SX_TESTS_SMALL_MODEL_H
#define SX_TESTS_SMALL_MODEL_H

#include "tests/support/check.h"

#include "engine/model/model.h"
#include "probes/observe/observe.h"
#include "probes/observe/sites.h"

#include <omp.h>

/* Unit roundoff of the build. */
static const double unit_roundoff = sizeof(sx_real) == 8 ? 0x1p-53 : 0x1p-24;

static inline sx_spec small_spec(const char *method, int L, int C, int H, int Hkv, int D)
{
	sx_spec s = sx_spec_default();
	s.V = 29, s.C = C, s.L = L, s.H = H, s.Hkv = Hkv, s.D = D, s.F = 2 * C, s.T = 64;
	s.tied = s.qkv_bias = false;
	s.qk_norm = SX_QK_NORM_NONE;
	snprintf(s.pos.method, sizeof s.pos.method, "%s", method);
	return s;
}

/* Blocks that are not Llama's. */
static const sx_block small_blocks[] = {
	{.norm_after = true},
	{.parallel = true, .o_bias = true},
	{.mlp_bias = true, .q_plain = true},
	{.norm = SX_NORM_LAYER,
	 .parallel = true,
	 .mlp = SX_MLP_GELU,
	 .o_bias = true,
	 .mlp_bias = true},
	{.norm = SX_NORM_LAYER, .mlp = SX_MLP_GELU, .k_plain = true},
	{.norm = SX_NORM_LAYER, .norm_after = true, .parallel = true, .mlp_bias = true},
};
enum { SMALL_BLOCKS = sizeof small_blocks / sizeof small_blocks[0] };

/* With block k, and a QK-norm where it asks for one. */
static inline sx_spec small_block_spec(sx_spec s, int k)
{
	s.block = small_blocks[k];
	s.qkv_bias = k % 2;
	if (s.block.q_plain || s.block.k_plain || s.block.norm_after)
		s.qk_norm = k % 3 ? SX_QK_NORM_HEAD : SX_QK_NORM_FULL;
	return s;
}

/* Gains near 1, everything else N(0, sd^2). */
static inline sx_model *small_model(const sx_spec *spec, uint64_t seed, double sd)
{
	sx_model *m = NULL;
	assert_int_equal(sx_model_new(&m, NULL, spec), SX_OK);
	sx_param_info info[SX_PARAM_MOST];
	int n = sx_params_table(spec, info);
	for (int i = 0; i < n; i++) {
		double mean = info[i].start == 'G' ? 1 : 0, s = info[i].start == 'E' ? 1 : sd;
		int64_t end = info[i].offset + info[i].rows * info[i].cols * info[i].copies;
		for (int64_t e = info[i].offset; e < end; e++)
			m->p.base[e] =
				(sx_real)(mean + s * sx_normal(seed, SX_STREAM_TEST, (uint64_t)e));
	}
	return m;
}

static inline int32_t *small_tokens(int64_t n, int V, uint64_t seed)
{
	int32_t *x = sx_calloc((size_t)n, sizeof *x);
	assert_non_null(x);
	for (int64_t i = 0; i < n; i++)
		x[i] = (int32_t)(sx_random_bits(seed, SX_STREAM_TEST, (uint64_t)i) % (uint64_t)V);
	return x;
}

static inline sx_work *small_work(const sx_model *m, int64_t B, int64_t T, sx_work_mode mode)
{
	sx_work *w = NULL;
	assert_int_equal(sx_work_new(&w, NULL, m, B, T, mode), SX_OK);
	return w;
}

/* Observers and where they write, for S sequences of T tokens. */
typedef struct {
	sx_family family[SX_FAMILY_MOST];
	sx_measure_opts opts;
	sx_sites *sites;
	sx_measures *measures;
	sx_observers *observers;
	/* maps of every head (S,L*H,T,T), by a probe of the test's own behind the observers */
	double *map;
	sx_spec spec;
	sx_probe probe[16];
} observed;

static inline sx_status keep_map(void *self, const sx_tile *t)
{
	observed *o = self;
	int64_t T = t->head->T, n = (int64_t)o->spec.L * o->spec.H;
	int64_t k = t->head->seq * n + (int64_t)t->head->layer * o->spec.H + t->head->head;
	for (int64_t r = 0; r < t->nrow; r++)
		for (int64_t j = 0; j < t->nkey; j++)
			o->map[(k * T + t->row0 + r) * T + t->key0 + j] =
				(double)t->p[r * t->ld + j];
	return SX_OK;
}

/* Everything there is: statistics, frequencies, A_c of `names` with gradients, spread, sites; and all
 * maps. */
static inline observed observe_all(const sx_spec *s, int64_t S, int64_t T, const char *const *names,
				   int64_t n_c)
{
	observed o = {.opts = {.stats = true,
			       .rope = true,
			       .ac = true,
			       .ac_gradients = true,
			       .spread = true},
		      .spec = *s};
	o.map = sx_calloc((size_t)(S * s->L * s->H * T * T), sizeof *o.map);
	assert_non_null(o.map);
	const sx_sites_words all = {.what = "all"};
	assert_int_equal(sx_sites_new(&o.sites, NULL, &all, s, S, T), SX_OK);
	o.opts.sites = o.sites;
	for (int64_t c = 0; c < n_c; c++)
		assert_int_equal(sx_family_parse(&o.family[c], NULL, names[c]), SX_OK);
	assert_int_equal(
		sx_measures_new(&o.measures, NULL, &o.opts, S, s->L, s->H, T, s->D / 2, n_c),
		SX_OK);
	return o;
}

/* Makes the observers for the present number of threads; o must stay where it is. */
static inline const sx_probe *observe_with(observed *o, const sx_spec *s, int *n)
{
	sx_observers_free(o->observers);
	assert_int_equal(sx_observers_new(&o->observers, NULL, s, &o->opts, o->family,
					  omp_get_max_threads(), o->measures),
			 SX_OK);
	const sx_probe *theirs = sx_observers_probes(o->observers, n);
	assert_in_range(*n, 0, 15);
	memcpy(o->probe, theirs, (size_t)*n * sizeof *theirs);
	if (o->map) o->probe[(*n)++] = (sx_probe){.self = o, .tile = keep_map};
	return o->probe;
}

static inline void observed_free(observed *o)
{
	sx_observers_free(o->observers);
	sx_measures_free(o->measures);
	sx_sites_free(o->sites);
	free(o->map);
}

#endif

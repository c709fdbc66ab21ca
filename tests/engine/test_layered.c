/* Layers that differ in how position enters: a full layer beside windowed ones, rotation of a part of the
 * channels, biases per head, plans that look at the length. No method of the table does this yet, so
 * the method here is the test's own. */
#include "tests/support/small_model.h"

#include "engine/model/generate.h"

enum { V = 29, LAYERS = 4, LENGTH = 200 };

/* Layer 0: 24 keys. 1: all keys, 4 of 8 channels. 2: biased. 3: as 0, but not rotated. */
static void plan_layered(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			 sx_pos_plan *p)
{
	(void)length;
	p->window = layer == 0 || layer == 3 ? 24 : 0;
	if (layer == 1) p->rotary = 4, p->n_freq = 2;
	sx_pos_spectrum(p, o->theta);
	if (layer == 3)
		for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = 0;
	if (layer != 2) return;
	p->n_slopes = model.heads;
	p->slopes = sx_calloc(2, sizeof *p->slopes);
	if (p->slopes) p->slopes[0] = 0.5, p->slopes[1] = 0.02;
}
static const sx_pos_method layered = {
	.name = "layered", .kind = SX_POS_SCALED, .plan = plan_layered};

static sx_spec layered_spec(void)
{
	sx_spec s = small_spec("rope", LAYERS, 20, 2, 1, 8);
	s.pos.window = 24; /* what the settings say is not what layer 1 does */
	s.pos.custom = &layered;
	return s;
}

/* Every tile against the formula: which keys a row sees, its scores, its probabilities. */
typedef struct {
	int64_t tiles;
	double worst;
} checker;

static sx_status check_tile(void *self, const sx_tile *t)
{
	checker *c = self;
	const sx_head *h = t->head;
	int64_t window = h->layer == 0 || h->layer == 3 ? 24 : 0;
	double slope = h->layer == 2 ? (h->head == 0 ? 0.5 : 0.02) : 0, worst = 0;
	for (int64_t r = 0; r < t->nrow; r++) {
		int64_t i = t->row0 + r, first = window && i >= window ? i - window + 1 : 0;
		double s[LENGTH], sum = 0, most = -1e300;
		for (int64_t j = first; j <= i; j++) {
			s[j] = -slope * (double)(i - j);
			for (int d = 0; d < 8; d++)
				s[j] += (double)h->q[i * h->ldq + d] *
					(double)h->k[j * h->ldk + d] / sqrt(8.0);
			most = fmax(most, s[j]);
		}
		for (int64_t j = first; j <= i; j++) sum += exp(s[j] - most);
		for (int64_t k = 0; k < t->nkey; k++) {
			int64_t j = t->key0 + k;
			bool seen = j >= first && j <= i;
			double want = seen ? exp(s[j] - most) / sum : 0;
			worst = fmax(worst, fabs((double)t->p[r * t->ld + k] - want));
			if (!seen && t->p[r * t->ld + k] != 0) worst = 1;
		}
	}
#pragma omp critical
	{
		c->tiles++;
		c->worst = fmax(c->worst, worst);
	}
	return SX_OK;
}

static void test_tiles(void **state)
{
	(void)state;
	sx_spec s = layered_spec();
	sx_model *m = small_model(&s, 3, 0.4);
	int32_t *x = small_tokens(2 * LENGTH, V, 4);
	checker c = {0};
	const sx_probe p = {.self = &c, .tile = check_tile};
	for (int mode = SX_WORK_FORWARD; mode <= SX_WORK_TRAIN; mode++) {
		sx_work *w = small_work(m, 2, LENGTH, (sx_work_mode)mode);
		assert_int_equal(
			sx_forward(NULL, m, w,
				   &(sx_request){.tokens = x, .B = 2, .probe = &p, .n_probe = 1},
				   NULL),
			SX_OK);
		sx_work_free(w);
	}
	assert_int_equal(c.tiles, 2 * 2 * 2 * LAYERS * 4);
	assert_true(c.worst < 64 * unit_roundoff * 8);
	free(x);
	sx_model_free(m);
}

/* Scratch holds what the layer that sees most needs, whatever the settings say. */
static void test_scratch(void **state)
{
	(void)state;
	sx_spec s = layered_spec();
	sx_model *m = small_model(&s, 3, 0.4);
	for (int mode = SX_WORK_FORWARD; mode <= SX_WORK_TRAIN; mode++) {
		sx_work *w = small_work(m, 2, 4 * LENGTH, (sx_work_mode)mode);
		const unsigned char *end = w->arena.base + w->arena.cap;
		for (int l = 0; l < LAYERS; l++) {
			int64_t need =
				sx_attention_scratch(sx_work_attention(w, &s, l, 2),
						     mode == SX_WORK_TRAIN, true, w->threads);
			assert_true((const unsigned char *)(w->scratch + need) <= end);
		}
		size_t tables = 0;
		for (int l = 0; l < 2;
		     l++) /* the third layer's is the first's, the last has none */
			tables += (size_t)(2 * 4 * LENGTH * w->plan[l].n_freq) * sizeof(sx_real);
		assert_ptr_equal(w->rot[2].cos, w->rot[0].cos);
		assert_null(w->rot[3].cos);
		assert_int_equal(sx_work_bytes(&s, 2, 4 * LENGTH, (sx_work_mode)mode, w->threads),
				 w->arena.cap + tables);
		sx_work_free(w);
	}
	sx_model_free(m);
}

/* Where 4 of 8 channels turn, the other 4 are as they were, and the two pairs turn as RoPE of width 4. */
static void test_partial(void **state)
{
	(void)state;
	sx_spec s = layered_spec();
	sx_model *m = small_model(&s, 3, 0.4);
	sx_work *w = small_work(m, 1, LENGTH, SX_WORK_FORWARD);
	sx_real x[LENGTH * 8], y[LENGTH * 8];
	for (int64_t e = 0; e < LENGTH * 8; e++)
		x[e] = y[e] = (sx_real)sx_normal(1, SX_STREAM_TEST, (uint64_t)e);
	sx_rotate(y, &w->rot[1], false, 1, LENGTH, 1, 8);
	for (int64_t t = 0; t < LENGTH; t++) {
		double want[8];
		for (int d = 0; d < 8; d++) want[d] = (double)x[t * 8 + d];
		for (int p = 0; p < 2; p++) {
			double angle = (double)t * (p == 0 ? 1 : 0.01), a = want[p],
			       b = want[p + 2];
			want[p] = a * cos(angle) - b * sin(angle);
			want[p + 2] = a * sin(angle) + b * cos(angle);
		}
		check_near(y + t * 8, want, 8, 4 * unit_roundoff);
	}
	sx_work_free(w);
	sx_model_free(m);
}

/* Frequency use of such a layer: two pairs and a rest, which are all of the scores; the pairs that are
 * not there are NaN, and the head beside them keeps its own. */
static void test_frequencies(void **state)
{
	(void)state;
	sx_spec s = layered_spec();
	sx_model *m = small_model(&s, 3, 0.4);
	int32_t *x = small_tokens(LENGTH, V, 4);
	observed o = observe_all(&s, 1, LENGTH, NULL, 0);
	int n;
	const sx_probe *p = observe_with(&o, &s, &n);
	sx_work *w = small_work(m, 1, LENGTH, SX_WORK_FORWARD);
	assert_int_equal(sx_forward(NULL, m, w,
				    &(sx_request){.tokens = x, .B = 1, .probe = p, .n_probe = n},
				    NULL),
			 SX_OK);
	const sx_measures *r = o.measures;
	assert_int_equal(r->n_freq, 4);
	for (int l = 0; l < LAYERS; l++)
		for (int h = 0; h < 2; h++) {
			int64_t at = l * 2 + h;
			double var = l == 1 ? r->rope_rest[at] : 0;
			int pairs = l == 1 ? 2 : 4;
			for (int f = 0; f < 4; f++) {
				assert_int_equal(isnan(r->rope_q[at * 4 + f]), f >= pairs);
				assert_int_equal(isnan(r->rope_var[at * 4 + f]), f >= pairs);
				if (f < pairs) var += r->rope_var[at * 4 + f];
			}
			if (l != 2) check_close(var, 1, 1e4 * unit_roundoff); /* 2: a bias, too */
		}
	observed_free(&o);
	sx_work_free(w);
	free(x);
	sx_model_free(m);
}

static sx_pos_plan plan_of(const sx_pos_opts *o, int layer)
{
	sx_pos_plan p;
	assert_int_equal(sx_pos_plan_make(&p, NULL, o, (sx_pos_shape){LAYERS, 2, 8, 64}, layer, 64),
			 SX_OK);
	return p;
}

/* Two plans are the same only if nothing in them differs. */
static void test_same(void **state)
{
	(void)state;
	sx_spec s = layered_spec();
	sx_pos_plan a = plan_of(&s.pos, 2), b = plan_of(&s.pos, 2);
	assert_true(sx_pos_plan_same(&a, &b));
	b.slopes[1] = 0.03;
	assert_false(sx_pos_plan_same(&a, &b));
	assert_true(sx_pos_rotation_same(&a, &b));
	b.slopes[1] = a.slopes[1], b.n_slopes = 0;
	assert_false(sx_pos_plan_same(&a, &b));
	b.n_slopes = 2, b.window = 5;
	assert_false(sx_pos_plan_same(&a, &b));
	b.window = a.window, b.beta = 2;
	assert_false(sx_pos_plan_same(&a, &b));
	b.beta = a.beta, b.inv_freq[3] /= 2;
	assert_false(sx_pos_plan_same(&a, &b) || sx_pos_rotation_same(&a, &b));
	sx_pos_plan_free(&a), sx_pos_plan_free(&b);
	sx_pos_plan all[LAYERS];
	for (int l = 0; l < LAYERS; l++) all[l] = plan_of(&s.pos, l);
	sx_pos_sight far = sx_pos_sight_of(all, LAYERS, LENGTH);
	assert_true(far.widest == 0 && !far.one);
	assert_true(far.pairs == (double)(2 * sx_pos_pairs(&all[0], LENGTH) +
					  2 * sx_pos_pairs(&all[1], LENGTH)));
	assert_int_equal(sx_pos_sight_of(all, 1, LENGTH).widest, 24);
	assert_int_equal(sx_pos_sight_of(all, 1, 24).widest, 0); /* it hides nothing */
	assert_true(sx_pos_sight_of(all, LAYERS, 24).one);
	assert_int_equal(sx_pos_pairs(&all[0], LENGTH), 24 * 25 / 2 + (LENGTH - 24) * 24);
	assert_int_equal(sx_pos_pairs(&all[1], LENGTH), LENGTH * (LENGTH + 1) / 2);
	for (int l = 0; l < LAYERS; l++) sx_pos_plan_free(&all[l]);
}

/* Frequencies that are divided by the length of the input. */
static void plan_by_length(const sx_pos_opts *o, sx_pos_shape model, int layer, int64_t length,
			   sx_pos_plan *p)
{
	(void)o, (void)model, (void)layer;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] *= 8 / (double)length;
}
static const sx_pos_method by_length = {
	.name = "by-length", .kind = SX_POS_SCALED, .uses_length = true, .plan = plan_by_length};

/* Generation pads its input; what it predicts is what a pass of the very length predicts. */
static void test_generation(void **state)
{
	(void)state;
	sx_spec s = small_spec("rope", 2, 20, 2, 1, 8);
	s.pos.custom = &by_length;
	sx_model *m = small_model(&s, 7, 0.6);
	int32_t ids[80] = {3, 1, 4, 1, 5};
	int64_t n = 5;
	const sx_generate_opts o = {.temperature = 0, .top_p = 1, .seed = 1, .stop = {-1, -1}};
	assert_int_equal(sx_generate(ids, &n, 80, NULL, m, &o), SX_OK);
	assert_int_equal(n, 80);
	sx_real *logits = sx_calloc(V, sizeof *logits);
	assert_non_null(logits);
	for (int64_t at = 5; at < 80; at++) {
		sx_work *w = small_work(m, 1, at, SX_WORK_FORWARD);
		assert_int_equal(sx_forward(NULL, m, w, &(sx_request){.tokens = ids, .B = 1}, NULL),
				 SX_OK);
		sx_logits(m, w, at - 1, 1, logits);
		int32_t best = 0;
		for (int32_t v = 1; v < V; v++)
			if (logits[v] > logits[best]) best = v;
		assert_int_equal(ids[at], best);
		sx_work_free(w);
	}
	free(logits);
	sx_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiles),   cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_partial), cmocka_unit_test(test_frequencies),
		cmocka_unit_test(test_same),    cmocka_unit_test(test_generation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

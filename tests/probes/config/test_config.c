/* The configuration: defaults, YAML in and out, overrides, refusals, comparison, the way to a
 * model's spec. */
#include "probes/config/config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The example of CONTRACTS.md section 2, to the letter. */
static const char contract[] =
	"seed: 1\n"
	"data:  {text: [corpus/], filler: text, tokenizer: bytes, bos: false, retrieval: {keys: 8, "
	"values: 16, facts: [3, 7], items: [8, 28]}}   # filler: text | markov\n"
	"model: {layers: 5, width: 64, heads: 2, kv_heads: 2, ffn: 176, context: 128, qk_norm: "
	"none, tie_embeddings: false, init: fan-in}        # init: fan-in | 0.02\n"
	"pos:   {method: rope, theta: 10000, factor: 1, beta: 1}          # beta multiplies the "
	"logits\n"
	"train: {steps: 1100, batch: 32, lr: 3.0e-3, min_lr: 3.0e-4, warmup: 50, schedule: cosine, "
	"weight_decay: 0.1, betas: [0.9, 0.95], clip: 1.0, checkpoint_every: 100,\n"
	"        drop_at: 963, drop: {to: nope, steps: 800, lr: 3.0e-3, min_lr: 3.0e-4, warmup: "
	"28, qk_norm: none, optimizer: keep}}\n"
	"probe: {every: 50, around_drop: {within: 50, every: 5}, sequences: {text: 4, repeated: 2, "
	"retrieval: 2, constant: 1}, ac: [diagonal, previous],\n"
	"        ac_train: false, maps: {heads: \"L*/H*\", every: 500}}\n"
	"eval:  {every: 500, lengths: [128, 256, 512, 1024]}\n";

struct fixture {
	sx_ctx ctx;
	char dir[32], path[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	if (!f) return -1;
	sx_ctx_init(&f->ctx);
	snprintf(f->dir, sizeof f->dir, "/tmp/sextant-XXXXXX");
	if (!mkdtemp(f->dir)) return -1;
	snprintf(f->path, sizeof f->path, "%s/demo.yaml", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* Loads text as a file, with up to two overrides (NULL = none). */
static sx_status load(struct fixture *f, sx_config *cfg, const char *text, const char *a,
		      const char *b)
{
	char over[2][200];
	char *list[2] = {over[0], over[1]};
	snprintf(over[0], sizeof over[0], "%s", a ? a : "");
	snprintf(over[1], sizeof over[1], "%s", b ? b : "");
	FILE *file = fopen(f->path, "wb");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return sx_config_load(cfg, &f->ctx, f->path, (a != NULL) + (b != NULL), list);
}

static void assert_same(const sx_config *a, const sx_config *b)
{
	const sx_option *keys[SX_OPTION_COUNT];
	int n = sx_config_diff(a, b, keys);
	if (n) fail_msg("%d keys differ, the first is %s", n, keys[0]->key);
}

/* ---- defaults ---- */

static void defaults_are_the_small_model(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	sx_spec s, want = sx_spec_default();
	sx_pos_opts p = sx_pos_opts_default();
	assert_int_equal(sx_config_load(&c, &f->ctx, NULL, 0, NULL), SX_OK);
	assert_int_equal(sx_config_spec(&c, 256, &s, &f->ctx), SX_OK);
	assert_int_equal(s.V, want.V);
	assert_int_equal(s.C, want.C);
	assert_int_equal(s.L, want.L);
	assert_int_equal(s.H, want.H);
	assert_int_equal(s.Hkv, want.Hkv);
	assert_int_equal(s.D, want.D);
	assert_int_equal(s.F, want.F);
	assert_int_equal(s.T, want.T);
	assert_true(s.eps == want.eps && s.tied == want.tied && s.qkv_bias == want.qkv_bias);
	assert_int_equal(s.qk_norm, want.qk_norm);
	assert_int_equal(s.bos, want.bos);
	assert_int_equal(s.eos, want.eos);
	assert_string_equal(s.pos.method, p.method);
	assert_true(s.pos.theta == p.theta && s.pos.factor == p.factor && s.pos.beta == p.beta);
	assert_true(s.pos.beta_fast == p.beta_fast && s.pos.beta_slow == p.beta_slow);
	assert_true(s.pos.truncate == p.truncate && s.pos.keep == p.keep);
	assert_true(isnan(s.pos.attention_factor) && isnan(p.attention_factor));
	assert_true(s.pos.train_length == p.train_length && s.pos.window == p.window);
	sx_config_free(&c);
}

/* The quick start of the study: 263 thousand parameters on a vocabulary of 91. */
static void example_has_the_published_size(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	sx_spec s;
	assert_int_equal(load(f, &c, contract, NULL, NULL), SX_OK);
	assert_int_equal(sx_config_spec(&c, 91, &s, &f->ctx), SX_OK);
	assert_in_range(sx_spec_params(&s), 262500, 263500);
	sx_config_free(&c);
}

static void table_is_sound(void **state)
{
	(void)state;
	int n = 0;
	for (const sx_option *o = sx_options; o->key; o++, n++) {
		assert_true(strlen(o->key) < 64);
		assert_ptr_equal(sx_option_find(o->key), o);
		assert_false(sx_option_is_group(o->key));
		assert_true(o->least <= o->most);
		assert_true(strlen(o->meaning) > 10);
	}
	assert_int_equal(n, SX_OPTION_COUNT);
	assert_true(sx_option_is_group("train.drop"));
	assert_false(sx_option_is_group("train.dro"));
	assert_false(sx_option_is_group(""));
}

/* ---- reading ---- */

static void example_reads_as_written(void **state)
{
	struct fixture *f = *state;
	sx_config c, d;
	assert_int_equal(load(f, &c, contract, NULL, NULL), SX_OK);
	assert_int_equal(c.data.text.n, 1);
	assert_string_equal(c.data.text.at[0], "corpus/");
	assert_true(c.data.retrieval.facts.lo == 3 && c.data.retrieval.facts.hi == 7);
	assert_true(c.train.lr == 3e-3 && c.train.betas.a == 0.9 && c.train.betas.b == 0.95);
	assert_int_equal(c.train.drop_at, 963);
	assert_int_equal(c.train.drop.warmup, 28);
	assert_string_equal(c.probe.maps.heads, "L*/H*");
	assert_int_equal(c.probe.ac.n, 2);
	assert_string_equal(c.probe.ac.at[1], "previous");
	assert_int_equal(c.eval.lengths.n, 4);
	assert_int_equal(c.eval.lengths.at[3], 1024);

	/* Its values are the defaults, save where it names a corpus and a drop, and where a
	 * default says "derived". */
	const sx_option *keys[SX_OPTION_COUNT];
	static const char *const other[] = {"data.text", "model.kv_heads", "model.ffn",
					    "train.drop_at"};
	assert_int_equal(sx_config_init(&d, &f->ctx), SX_OK);
	assert_int_equal(sx_config_diff(&c, &d, keys), 4);
	for (int i = 0; i < 4; i++) assert_string_equal(keys[i]->key, other[i]);
	sx_config_free(&c);
	sx_config_free(&d);
}

static void shared_contract_is_the_one_tested(void **state)
{
	struct fixture *f = *state;
	const char *shared = getenv("SEXTANT_SHARED");
	char path[1024], *text = NULL;
	size_t size;
	if (shared)
		snprintf(path, sizeof path, "%s/CONTRACTS.md", shared);
	else
		snprintf(path, sizeof path, "%s/../shared/CONTRACTS.md", SX_SOURCE_DIR);
	if (!sx_path_exists(path)) {
		print_message("skipped: no %s\n", path);
		skip();
	}
	assert_int_equal(sx_read_file(&f->ctx, path, &text, &size), SX_OK);
	assert_non_null(strstr(text, contract));
	free(text);
}

static void numbers_are_read_by_type(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	assert_int_equal(load(f, &c,
			      "train:\n  lr: 1e-2\n  min_lr: 1e-4\n  steps: 1e3\n  warmup: 2.0\n"
			      "  batch: \"16\"\nmodel: {init: 0.02, tie_embeddings: yes}\n"
			      "pos: {attention_factor: .nan}\ndata: {text: one.txt}\nprobe:\n",
			      "train.drop_at=none", "eval.lengths=[]"),
			 SX_OK);
	assert_true(c.train.lr == 1e-2 && c.train.min_lr == 1e-4);
	assert_true(c.train.steps == 1000 && c.train.warmup == 2 && c.train.batch == 16);
	assert_true(c.model.tie_embeddings);
	assert_string_equal(c.model.init, "0.02");
	assert_true(isnan(c.pos.attention_factor));
	assert_int_equal(c.data.text.n, 1); /* one text is a list of one */
	assert_int_equal(c.train.drop_at, -1);
	assert_int_equal(c.eval.lengths.n, 0);
	sx_config_free(&c);

	assert_int_equal(load(f, &c, "", NULL, NULL), SX_OK); /* every key has a default */
	sx_config_free(&c);
}

static void overrides_win(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	assert_int_equal(load(f, &c, "train: {steps: 20, batch: 4}\ntrain.warmup: 3\n",
			      "train.steps=30", "data.retrieval.facts=[2, 5]"),
			 SX_OK);
	assert_int_equal(c.train.steps, 30);
	assert_int_equal(c.train.batch, 4);
	assert_int_equal(c.train.warmup, 3); /* dotted names are welcome in a file too */
	assert_true(c.data.retrieval.facts.lo == 2 && c.data.retrieval.facts.hi == 5);
	assert_int_equal(sx_config_origin(&c, &c.train.steps), SX_FROM_OVERRIDE);
	assert_int_equal(sx_config_origin(&c, &c.train.batch), SX_FROM_FILE);
	assert_int_equal(sx_config_origin(&c, &c.train.lr), SX_FROM_DEFAULT);
	sx_config_free(&c);
	assert_true(sx_is_override("pos.method=yarn"));
	assert_true(sx_is_override("seed="));
	assert_false(sx_is_override("runs/a=b.yaml"));
	assert_false(sx_is_override("demo.yaml"));
	assert_false(sx_is_override("=3"));
}

/* ---- refusals ---- */

static void bad_overrides(void **state)
{
	static const struct {
		const char *override, *says;
		sx_status st;
	} cases[] = {
		{"train.warmpu=3", "did you mean train.warmup?", SX_ECONFIG},
		{"warmup=3", "did you mean train.warmup?", SX_ECONFIG},
		{"model.lr=3", "did you mean train.lr?", SX_ECONFIG},
		{"optimizer.momentum=3", "`sextant config` lists", SX_ECONFIG},
		{"train=3", "group of keys", SX_ECONFIG},
		{"train.steps", "key=value", SX_EUSAGE},
		{"=3", "key=value", SX_EUSAGE},
		{"train.steps=abc", "a whole number, at least 0", SX_ECONFIG},
		{"train.steps=", "a whole number", SX_ECONFIG},
		{"train.steps=1.5", "a whole number", SX_ECONFIG},
		{"train.steps=0x10", "a whole number", SX_ECONFIG},
		{"train.steps=-1", "at least 0", SX_ECONFIG},
		{"train.batch=3000000000", "a whole number", SX_ECONFIG},
		{"seed=99999999999999999999", "a whole number", SX_ECONFIG},
		{"train.lr=0", "above 0", SX_ECONFIG},
		{"train.lr=inf", "a number", SX_ECONFIG},
		{"train.lr=nan", "a number", SX_ECONFIG},
		{"train.lr=[1]", "a number", SX_ECONFIG},
		{"train.lr={a: 1}", "a number", SX_ECONFIG},
		{"train.betas=[0.9, 1]", "below 1", SX_ECONFIG},
		{"train.betas=[0.9]", "two numbers", SX_ECONFIG},
		{"data.retrieval.facts=[7, 3]", "the smaller one first", SX_ECONFIG},
		{"data.retrieval.facts=[3, 9]", "do not suffice", SX_ECONFIG},
		{"data.retrieval.values=119", "126 at most", SX_ECONFIG},
		{"data.filler=noise", "one of text, markov", SX_ECONFIG},
		{"data.filler=tex", "one of text, markov", SX_ECONFIG},
		{"data.filler=text|markov", "one of text, markov", SX_ECONFIG},
		{"data.bos=2", "true or false", SX_ECONFIG},
		{"data.text=[a, '']", "none of them empty", SX_ECONFIG},
		{"data.text=\"a\\nb\"", "list of texts", SX_ECONFIG},
		{"data.text=\"a\\0b\"", "zero byte", SX_ECONFIG},
		{"data.text=[[a]]", "a list inside a list", SX_ECONFIG},
		{"data.text=*a", "anchors", SX_ECONFIG},
		{"seed=!!int 3", "tags", SX_ECONFIG},
		{"seed=[1", "not valid YAML", SX_ECONFIG},
		{"model.init=wide", "one of fan-in, 0.02", SX_ECONFIG},
		{"model.heads=3", "no multiple of model.heads", SX_ECONFIG},
		{"model.kv_heads=3", "multiple of the key/value heads", SX_ECONFIG},
		{"pos.method=ropee", "known are rope, nope, pi", SX_ECONFIG},
		{"pos.factor=0.5", "at least 1", SX_ECONFIG},
		{"train.drop_at=1101", "train.drop_at = 1101", SX_ECONFIG},
		{"train.min_lr=1", "exceeds train.lr", SX_ECONFIG},
		{"train.accumulate=5", "does not divide", SX_ECONFIG},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		sx_config c;
		sx_status st = load(f, &c, "", cases[i].override, NULL);
		if (st != cases[i].st || !strstr(f->ctx.message, cases[i].says))
			fail_msg("%s: status %d, \"%s\"", cases[i].override, (int)st,
				 f->ctx.message);
	}
	assert_int_equal(sx_status_exit(SX_ECONFIG), 78);
	assert_int_equal(sx_status_exit(SX_EUSAGE), 64);
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"seed: 1\ntrain:\n  stesp: 3\n", "demo.yaml:3: unknown key train.stesp; did you "
						  "mean train.steps?"},
		{"seed: 1\ntrian: {steps: 3}\n",
		 "demo.yaml:2: unknown key trian; did you mean train?"},
		{"seed: 1\n\nseed: 2\n", "demo.yaml:3: seed stands here for the second time, "
					 "after line 1"},
		{"train: {lr: 1}\nseed: 1\ntrain: {steps: 1}\n", "demo.yaml:3: train stands here"},
		{"train: {lr: 1}\ntrain.lr: 2\n", "demo.yaml:2: train.lr stands here"},
		{"seed: &x 1\n", "demo.yaml:1: anchors"},
		{"data: &x {bos: true}\n", "demo.yaml:1: anchors"},
		{"seed: 1\ninit: *x\n", "demo.yaml:2: anchors"},
		{"seed: 1\ninit: !!str x\n", "demo.yaml:2: tags"},
		{"seed: 1\ntrain: {steps: 1\n", "demo.yaml:3: not valid YAML"},
		{"seed: 1\n\ttrain: 1\n", "demo.yaml:2: not valid YAML"},
		{"seed: 1\ntrain:\n  lr: -3\n",
		 "demo.yaml:3: train.lr = -3: must be a number, above 0"},
		{"train:\n  betas:\n    - 0.9\n    - x\n", "train.betas = [0.9, x]"},
		{"train: [1]\n", "demo.yaml:1: train is a group of keys"},
		{"train: 3\n", "demo.yaml:1: train is a group of keys"},
		{"seed: {a: 1}\n", "demo.yaml:1: seed must be a whole number"},
		{"? [a, b]\n: 1\n", "demo.yaml:1: a key must be a plain name"},
		{"- seed\n", "demo.yaml:1: a configuration is a mapping"},
		{"just text\n", "demo.yaml:1: a configuration is a mapping"},
		{"seed: 1\n---\nseed: 2\n", "demo.yaml:2: a second document"},
		{"init: \"\xff\"\n", "not valid YAML"},
		{"<<: {seed: 1}\n", "unknown key <<"},
	};
	struct fixture *f = *state;
	sx_config c;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		sx_status st = load(f, &c, cases[i].text, NULL, NULL);
		if (st != SX_ECONFIG || !strstr(f->ctx.message, cases[i].says))
			fail_msg("%s status %d, \"%s\"", cases[i].text, (int)st, f->ctx.message);
	}
	assert_int_equal(sx_config_load(&c, &f->ctx, "/nowhere/demo.yaml", 0, NULL), SX_ENOINPUT);
}

/* Every key with its middle letter lost, or two letters swapped, is still recognised. */
static void suggestions_find_every_key(void **state)
{
	(void)state;
	char near[64];
	for (const sx_option *o = sx_options; o->key; o++) {
		char typo[64];
		size_t n = strlen(o->key), mid = n - 2;
		if (n - (size_t)(strrchr(o->key, '.') ? strrchr(o->key, '.') - o->key : 0) < 5)
			continue; /* too short to tell apart */
		snprintf(typo, sizeof typo, "%.*s%s", (int)mid, o->key, o->key + mid + 1);
		assert_true(sx_option_suggest(typo, near));
		assert_string_equal(near, o->key);
		snprintf(typo, sizeof typo, "%s", o->key);
		typo[n - 1] = o->key[n - 2];
		typo[n - 2] = o->key[n - 1];
		assert_true(sx_option_suggest(typo, near));
		assert_string_equal(near, o->key);
	}
	assert_false(sx_option_suggest("completely.different.thing", near));
	assert_int_equal(sx_edit_distance("kitten", "sitting"), 3);
	assert_int_equal(sx_edit_distance("", "abc"), 3);
	assert_int_equal(sx_edit_distance("steps", "stesp"), 1);
	assert_int_equal(sx_edit_distance("same", "same"), 0);
}

/* ---- writing and comparing ---- */

static void assert_round_trip(struct fixture *f, const sx_config *c, bool origins)
{
	sx_config back;
	char *text = NULL;
	assert_int_equal(sx_config_yaml(c, &f->ctx, origins, &text), SX_OK);
	if (load(f, &back, text, NULL, NULL) != SX_OK) fail_msg("%s\n%s", f->ctx.message, text);
	assert_same(c, &back);
	sx_config_free(&back);
	free(text);
}

static void written_reads_back(void **state)
{
	static const char *const odd[] = {
		"data.text=[a b.txt, \"it's\", '#x', 'true', '12', \"\xc3\xa9t\xc3\xa9\", '- a']",
		"init='~'",
		"init=\"back\\\\slash: {x}\"",
		"pos.attention_factor=1.1386294361119891",
		"train.lr=0.1",
		"train.eps=1e-300",
		"pos.theta=1e30",
		"pos.beta=0.30000000000000004",
		"seed=9007199254740993",
		"probe.ac=[]",
		"probe.maps.heads=",
		"train.drop_at=0",
		"eval.lengths=[2, 1000000]",
	};
	struct fixture *f = *state;
	sx_config c;
	assert_int_equal(sx_config_init(&c, &f->ctx), SX_OK);
	assert_round_trip(f, &c, false);
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		if (sx_config_set(&c, &f->ctx, odd[i]) != SX_OK) fail_msg("%s", f->ctx.message);
		assert_round_trip(f, &c, false);
		assert_round_trip(f, &c, true);
	}
	assert_true(c.pos.beta == 0.1 + 0.2);
	assert_true(c.seed == 9007199254740993);
	sx_config_free(&c);
}

static void written_says_where_from(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	char *text = NULL;
	assert_int_equal(load(f, &c, "train: {drop: {steps: 7}}\n", "pos.theta=500000", NULL),
			 SX_OK);
	assert_int_equal(sx_config_yaml(&c, &f->ctx, true, &text), SX_OK);
	assert_non_null(strstr(text, "\n  drop:\n    to: nope\n    steps: 7  # file\n"));
	assert_non_null(strstr(text, "\npos:\n  method: rope\n  theta: 500000  # override\n"));
	assert_non_null(strstr(text, "\n  eps: 1.0e-08\n")); /* a number to YAML 1.1 as well */
	free(text);
	sx_config_free(&c);
}

/* Another legal value of each key: nothing is left out of the comparison. */
static void diff_sees_every_key(void **state)
{
	static const char *const other[] = {[SX_OPTION_INT] = "7",
					    [SX_OPTION_LONG] = "77",
					    [SX_OPTION_STEP] = "77",
					    [SX_OPTION_REAL] = "0.25",
					    [SX_OPTION_TEXT] = "other",
					    [SX_OPTION_METHOD] = "other",
					    [SX_OPTION_INTS] = "[128, 256, 512, 1025]",
					    [SX_OPTION_TEXTS] = "[diagonal, first]",
					    [SX_OPTION_RANGE] = "[3, 28]",
					    [SX_OPTION_NUMBERS] = "[1, 0.25]",
					    [SX_OPTION_REALS2] = "[0.9, 0.96]"};
	struct fixture *f = *state;
	sx_config a, b;
	assert_int_equal(sx_config_init(&a, &f->ctx), SX_OK);
	for (const sx_option *o = sx_options; o->key; o++) {
		const sx_option *keys[SX_OPTION_COUNT];
		const char *value = other[o->type];
		char set[120];
		if (o->type == SX_OPTION_FLAG)
			value = strcmp(o->fallback, "true") ? "true" : "false";
		else if (o->choices) /* the last one is never the default, save in one row */
			value = strcmp(strrchr(o->choices, '|') + 1, o->fallback)
					? strrchr(o->choices, '|') + 1
					: "text";
		else if (o->type == SX_OPTION_REAL && o->least == 1)
			value = "77";
		snprintf(set, sizeof set, "%s=%s", o->key, value);
		assert_int_equal(sx_config_init(&b, &f->ctx), SX_OK);
		if (sx_config_set(&b, &f->ctx, set) != SX_OK) fail_msg("%s", f->ctx.message);
		if (sx_config_diff(&a, &b, keys) != 1 || keys[0] != o)
			fail_msg("%s: the difference is not seen", set);
		sx_config_free(&b);
	}
	sx_config_free(&a);
}

/* ---- models ---- */

static void derived_shapes(void **state)
{
	struct fixture *f = *state;
	sx_config c;
	sx_spec s;
	assert_int_equal(load(f, &c, "model: {width: 96, heads: 3}\n", NULL, NULL), SX_OK);
	assert_int_equal(sx_config_spec(&c, 512, &s, &f->ctx), SX_OK);
	assert_true(s.Hkv == 3 && s.D == 32 && s.F == 256 && s.V == 512);
	assert_int_equal(sx_config_spec(&c, 0, &s, &f->ctx), SX_ECONFIG); /* no vocabulary */
	sx_config_free(&c);

	assert_int_equal(load(f, &c,
			      "model: {vocab: 300, heads: 4, kv_heads: 2, head_dim: 24, "
			      "qk_norm: head, qkv_bias: true}\npos: {method: nope}\n",
			      NULL, NULL),
			 SX_OK);
	assert_int_equal(sx_config_spec(&c, 256, &s, &f->ctx), SX_OK);
	assert_true(s.Hkv == 2 && s.D == 24 && s.V == 300 && s.qkv_bias);
	assert_int_equal(s.qk_norm, SX_QK_NORM_HEAD);
	assert_string_equal(s.pos.method, "nope");
	assert_int_equal(sx_config_spec(&c, 512, &s, &f->ctx), SX_ECONFIG);
	assert_non_null(strstr(f->ctx.message, "model.vocab = 300"));
	sx_config_free(&c);
}

/* Refused by the key itself or by what comes after it; either way the sentence names the key. */
static void assert_refuses(struct fixture *f, const sx_pos_param *p, double v)
{
	sx_config c;
	char set[80], *words[1] = {set};
	snprintf(set, sizeof set, "%s=%.17g", p->key, v);
	if (sx_config_load(&c, &f->ctx, NULL, 1, words) != SX_ECONFIG)
		fail_msg("%s: not refused", set);
	assert_non_null(strstr(f->ctx.message, p->key));
}

/* Every parameter of the engine's table is a key: the same default, bounds that hold, and another
 * value reaches the model's options, a file, and a model that is loaded. */
static void parameters_are_keys(void **state)
{
	static const char *const other[] = {[SX_POS_METHOD] = "yarn",
					    [SX_POS_REAL] = "0.5",
					    [SX_POS_WHOLE] = "77",
					    [SX_POS_FLAG] = "false",
					    [SX_POS_LIST] = "[1, 0, 1]"};
	struct fixture *f = *state;
	const sx_pos_opts fresh = sx_pos_opts_default();
	sx_config base, c;
	assert_int_equal(sx_config_init(&base, &f->ctx), SX_OK);
	assert_true(sx_pos_opts_same(&base.pos, &fresh));
	for (const sx_pos_param *p = sx_pos_params; p->name; p++) {
		const sx_option *o = sx_option_find(p->key), *keys[SX_OPTION_COUNT];
		char set[80], *words[1] = {set};
		const char *value =
			p->type == SX_POS_REAL && p->least == 1 ? "2.5" : other[p->type];
		sx_spec s = sx_spec_default();
		assert_non_null(o);
		assert_string_equal(o->fallback, p->fallback);
		assert_string_equal(o->meaning, p->meaning);
		if (p->above && p->type == SX_POS_LIST) value = "[1, 0.5]";
		if (strcmp(p->name, "high_freq_factor") == 0) value = "8"; /* above the low one */
		snprintf(set, sizeof set, "%s=%s", p->key, value);
		if (strcmp(p->name, "beta_fast") == 0) strcat(set, "e2"); /* above beta_slow */
		if (sx_config_load(&c, &f->ctx, NULL, 1, words) != SX_OK)
			fail_msg("%s", f->ctx.message);
		assert_int_equal(sx_config_diff(&base, &c, keys), 1);
		assert_ptr_equal(keys[0], o);
		assert_true(sx_config_pos_is_set(&c, p) && !sx_config_pos_is_set(&base, p));
		assert_round_trip(f, &c, false);
		assert_int_equal(sx_spec_override(&s, &f->ctx, 1, words), SX_OK);
		assert_true(sx_pos_opts_same(&s.pos, &c.pos));
		sx_config_free(&c);
		if (p->type != SX_POS_REAL && p->type != SX_POS_WHOLE) continue;
		assert_refuses(f, p, p->least - 1);
		if (p->above) assert_refuses(f, p, p->least);
		if (p->most < HUGE_VAL) assert_refuses(f, p, 2 * p->most);
		if (p->guard < HUGE_VAL) assert_refuses(f, p, 2 * p->guard);
	}
	sx_config_free(&base);
}

static void pos_overrides_on_a_model(void **state)
{
	struct fixture *f = *state;
	char yarn[] = "pos.method=yarn", two[] = "pos.factor=2", lr[] = "train.lr=1",
	     typo[] = "pos.facotr=2", none[] = "pos.method=nope", word[] = "file.yaml";
	sx_spec s = sx_spec_default();
	s.pos.theta = 5e5;
	s.pos.factor = 4;
	s.pos.train_length = 64;
	s.pos.attention_factor = 1.3;
	snprintf(s.pos.method, sizeof s.pos.method, "yarn");

	assert_int_equal(sx_spec_override(&s, &f->ctx, 1, (char *[]){two}), SX_OK);
	assert_true(s.pos.factor == 2 && s.pos.attention_factor == 1.3 && s.pos.theta == 5e5);
	/* The factor belonged to YaRN; the trained length belongs to the model. */
	assert_int_equal(sx_spec_override(&s, &f->ctx, 1, (char *[]){none}), SX_OK);
	assert_string_equal(s.pos.method, "nope");
	assert_true(isnan(s.pos.attention_factor) && s.pos.factor == 2);
	assert_true(s.pos.train_length == 64 && s.pos.theta == 5e5 && s.T == 128);
	assert_int_equal(sx_spec_override(&s, &f->ctx, 0, NULL), SX_OK);
	assert_string_equal(s.pos.method, "nope");

	assert_int_equal(sx_spec_override(&s, &f->ctx, 2, (char *[]){yarn, lr}), SX_EUSAGE);
	assert_non_null(strstr(f->ctx.message, "only pos.*"));
	assert_int_equal(sx_spec_override(&s, &f->ctx, 1, (char *[]){word}), SX_EUSAGE);
	assert_int_equal(sx_spec_override(&s, &f->ctx, 1, (char *[]){typo}), SX_ECONFIG);
	assert_non_null(strstr(f->ctx.message, "did you mean pos.factor?"));
	assert_string_equal(s.pos.method, "nope"); /* untouched by what failed */
}

static void a_model_to_start_from(void **state)
{
	struct fixture *f = *state;
	sx_config c, again;
	sx_spec s, got;
	char *text = NULL;
	sx_spec model = {.V = 512,
			 .C = 64,
			 .L = 5,
			 .H = 8,
			 .Hkv = 4,
			 .D = 8,
			 .F = 172,
			 .T = 512,
			 .eps = 1e-6,
			 .tied = true,
			 .pos = sx_pos_opts_default(),
			 .bos = 1,
			 .eos = 2};
	model.pos.theta = 5e5;

	assert_int_equal(
		load(f, &c, "init: m\nmodel: {context: 256}\npos: {beta: 1.1}\n", NULL, NULL),
		SX_OK);
	assert_int_equal(sx_config_adopt(&c, &f->ctx, &model), SX_OK);
	assert_int_equal(sx_config_spec(&c, 512, &got, &f->ctx), SX_OK);
	assert_true(got.H == 8 && got.Hkv == 4 && got.D == 8 && got.F == 172 && got.tied);
	assert_true(got.eps == 1e-6 && got.T == 256);
	assert_true(got.pos.theta == 5e5 && got.pos.beta == 1.1);
	/* What was written can be read and adopted again: that is what resuming does. */
	assert_int_equal(sx_config_yaml(&c, &f->ctx, false, &text), SX_OK);
	assert_int_equal(load(f, &again, text, NULL, NULL), SX_OK);
	assert_int_equal(sx_config_adopt(&again, &f->ctx, &model), SX_OK);
	assert_same(&c, &again);
	sx_config_free(&again);
	sx_config_free(&c);
	free(text);

	static const char *const wrong[] = {"model.width=128", "model.tie_embeddings=false",
					    "model.qk_norm=head", "model.norm_eps=1e-5"};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(load(f, &c, "init: m\n", wrong[i], NULL), SX_OK);
		s = model;
		assert_int_equal(sx_config_adopt(&c, &f->ctx, &s), SX_ECONFIG);
		assert_memory_equal(f->ctx.message, wrong[i], strcspn(wrong[i], "="));
		sx_config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_small_model),
		cmocka_unit_test(example_has_the_published_size),
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(example_reads_as_written),
		cmocka_unit_test(shared_contract_is_the_one_tested),
		cmocka_unit_test(numbers_are_read_by_type),
		cmocka_unit_test(overrides_win),
		cmocka_unit_test(bad_overrides),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(suggestions_find_every_key),
		cmocka_unit_test(written_reads_back),
		cmocka_unit_test(written_says_where_from),
		cmocka_unit_test(diff_sees_every_key),
		cmocka_unit_test(derived_shapes),
		cmocka_unit_test(parameters_are_keys),
		cmocka_unit_test(pos_overrides_on_a_model),
		cmocka_unit_test(a_model_to_start_from),
	};
	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}

/* config.json: what transformers' files say, what must be refused by name, and every kind of spec
 * there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/files/hf_config.h"
#include "engine/model/model.h"
#include "engine/pos/params.h"

static char dir[] = "/tmp/sextant-config-XXXXXX";
static char file[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir)) return -1;
	snprintf(file, sizeof file, "%s/config.json", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

/* What every configuration below has; `more` comes on top and wins. */
static const char common[] =
	"{'vocab_size': 100, 'hidden_size': 64, 'intermediate_size': 172, 'num_hidden_layers': 5,"
	" 'num_attention_heads': 8, 'num_key_value_heads': 4, 'max_position_embeddings': 512,"
	" 'rms_norm_eps': 1e-05, 'model_type': 'llama'}";

static json_t *parse(const char *single_quoted)
{
	char text[2048];
	assert_true(strlen(single_quoted) < sizeof text);
	strcpy(text, single_quoted);
	for (char *c = text; *c; c++)
		if (*c == '\'') *c = '"';
	json_error_t err;
	json_t *v = json_loads(text, 0, &err);
	if (!v) fail_msg("%s in %s", err.text, text);
	return v;
}

static void put_config(const char *more)
{
	json_t *root = parse(common), *top = parse(more);
	json_object_update(root, top);
	assert_int_equal(json_dump_file(root, file, 0), 0);
	json_decref(root);
	json_decref(top);
}

static sx_spec read_config(const char *more)
{
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	put_config(more);
	if (sx_hf_config_read(&s, &ctx, file) != SX_OK) fail_msg("%s: %s", more, ctx.message);
	return s;
}

static void put_text(const char *text)
{
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void expect_failure(const char *words)
{
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	sx_status st = sx_hf_config_read(&s, &ctx, file);
	if (st != SX_EDATA || !strstr(ctx.message, words))
		fail_msg("status %d, '%s'; wanted '%s'", st, ctx.message, words);
}

/* ---- reading ---- */

static void test_defaults(void **state)
{
	(void)state;
	sx_spec s = read_config("{}");
	assert_true(s.V == 100 && s.C == 64 && s.F == 172 && s.L == 5 && s.H == 8 && s.Hkv == 4);
	assert_true(s.D == 8 && s.T == 512 && s.eps == 1e-5 && !s.tied && !s.qkv_bias);
	assert_true(s.bos == 1 && s.eos == 2 && !s.interleaved && s.qk_norm == SX_QK_NORM_NONE);
	assert_string_equal(s.pos.method, "rope");
	assert_true(s.pos.theta == 1e4 && s.pos.beta == 1 && s.pos.window == 0);
	s = read_config("{'num_key_value_heads': null, 'head_dim': 16, 'tie_word_embeddings': true,"
			" 'bos_token_id': null, 'eos_token_id': [7, 8], 'hidden_act': 'silu',"
			" 'rope_theta': 500000, 'rope_scaling': null, 'sliding_window': null}");
	assert_true(s.Hkv == 8 && s.D == 16 && s.tied && s.bos == -1 && s.eos == 7);
	assert_true(s.pos.theta == 5e5);
}

static void test_rope_keys(void **state)
{
	(void)state;
	sx_spec s = read_config("{'rope_parameters': {'rope_type': 'default', 'rope_theta': 2e6}}");
	assert_string_equal(s.pos.method, "rope");
	assert_true(s.pos.theta == 2e6);
	s = read_config("{'rope_theta': 1e5, 'rope_scaling': {'type': 'linear', 'factor': 2}}");
	assert_string_equal(s.pos.method, "pi");
	assert_true(s.pos.factor == 2 && s.pos.theta == 1e5);
	/* gpt-oss's own numbers */
	s = read_config(
		"{'max_position_embeddings': 131072, 'rope_theta': 150000, 'rope_scaling':"
		" {'rope_type': 'yarn', 'factor': 32.0, 'beta_fast': 32.0, 'beta_slow': 1.0,"
		" 'truncate': false, 'original_max_position_embeddings': 4096}}");
	assert_string_equal(s.pos.method, "yarn");
	assert_true(s.pos.factor == 32 && s.pos.train_length == 4096 && s.T == 131072);
	assert_true(!s.pos.truncate && isnan(s.pos.attention_factor));
	/* both forms at once, 0 for "not set", factor left to the ratio of the lengths */
	s = read_config(
		"{'rope_parameters': {'rope_type': 'yarn', 'factor': null, 'beta_fast': 0,"
		" 'rope_theta': 1e6, 'original_max_position_embeddings': 128},"
		" 'rope_scaling': {'type': 'yarn', 'original_max_position_embeddings': 128},"
		" 'rope_theta': 1000000}");
	assert_true(s.pos.factor == 4 && s.pos.beta_fast == 32 && s.pos.theta == 1e6);
	/* the golden file's attention factor for mscale 1, mscale_all_dim 0.707, s = 4 */
	s = read_config("{'rope_scaling': {'type': 'yarn', 'factor': 4, 'mscale': 1.0,"
			" 'mscale_all_dim': 0.707}}");
	assert_true(fabs(s.pos.attention_factor - 1.036992729910394) < 1e-15);
	s = read_config("{'rope_scaling': {'type': 'yarn', 'factor': 4, 'attention_factor': 1.5}}");
	assert_true(s.pos.attention_factor == 1.5 && s.pos.train_length == 0);
}

static void test_drope(void **state)
{
	(void)state;
	sx_spec s = read_config("{'model_type': 'llama_drope', 'attention_type': 'nope',"
				" 'rope_theta': 5e5}");
	assert_string_equal(s.pos.method, "nope");
	assert_true(s.qk_norm == SX_QK_NORM_NONE && s.pos.beta == 1 && s.pos.theta == 5e5);
	/* the dictionary of the model's past plays no role any more */
	s = read_config(
		"{'model_type': 'llama_drope', 'attention_type': 'qk_norm_nope',"
		" 'softmax_scale': 0.5, 'head_dim': 16, 'rope_scaling': {'type': 'dynamic'}}");
	assert_true(s.qk_norm == SX_QK_NORM_FULL && s.pos.beta == 2);
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *more, *words;
	} cases[] = {
		{"{'model_type': 'mamba2'}", "model_type mamba2"},
		{"{'model_type': null}", "model_type is missing"},
		{"{'model_type': 'mistral', 'attention_bias': true}", "attention_bias"},
		{"{'model_type': 'qwen3', 'mlp_bias': true}", "mlp_bias of a qwen3"},
		{"{'use_parallel_residual': false}", "use_parallel_residual"},
		{"{'model_type': 'gpt_neox', 'hidden_act': 'silu'}", "hidden_act = silu"},
		{"{'model_type': 'gpt_neox', 'hidden_act': 'gelu_new'}", "hidden_act = gelu_new"},
		{"{'model_type': 'gpt_neox', 'hidden_act': 'gelu', 'num_key_value_heads': 2}",
		 "their own keys"},
		{"{'model_type': 'gpt_neox', 'num_key_value_heads': null, 'hidden_act': 'gelu', "
		 "'rotary_pct': 0.2}",
		 "pos.partial"},
		{"{'model_type': 'qwen2', 'use_sliding_window': true, 'layer_types': ['full']}",
		 "layer_types"},
		{"{'model_type': 'qwen2', 'num_hidden_layers': 1,"
		 " 'layer_types': ['sliding_attention']}",
		 "use_sliding_window"},
		{"{'model_type': 'qwen2', 'use_sliding_window': true, 'layer_types': "
		 "['chunked_attention', 'full_attention', 'full_attention', 'full_attention', "
		 "'full_attention']}",
		 "chunked_attention"},
		{"{'model_type': 'mistral', 'sliding_window': 0}", "sliding_window"},
		{"{'model_type': 'smollm3', 'no_rope_layers': [1]}", "no_rope_layers"},
		{"{'model_type': 'smollm3', 'no_rope_layers': [1, 'x', 1, 1, 1]}",
		 "no_rope_layers"},
		{"{'model_type': 'smollm3', 'no_rope_layer_interval': 0}",
		 "no_rope_layer_interval"},
		{"{'logit_scale': 0.5}", "logit_scale of a llama model"},
		{"{'num_experts': 8}", "--ignore-key num_experts"},
		{"{'rope_interleaved': true}", "rope_interleaved"},
		{"{'hidden_act': 'gelu'}", "hidden_act = gelu"},
		{"{'partial_rotary_factor': 0.25}", "partial_rotary_factor"},
		{"{'rope_parameters': {'partial_rotary_factor': 0.5}}", "partial_rotary_factor"},
		{"{'quantization_config': {'bits': 4}}", "quantization_config"},
		{"{'rope_scaling': {'type': 'dynamic'}}", "factor of dynamic"},
		{"{'rope_scaling': {'type': 'proportional'}}", "rope_type proportional"},
		{"{'rope_scaling': {'rope_type': 'longrope'}}", "short_factor is missing"},
		{"{'rope_scaling': {'rope_type': 'longrope', 'short_factor': [1], 'long_factor': "
		 "[2]}}",
		 "4 pairs of channels"},
		{"{'rope_scaling': {'rope_type': 'longrope', 'short_factor': 1}}",
		 "short_factor must be"},
		{"{'rope_parameters': {'rope_type': 'llama3', 'factor': 8}}", "low_freq_factor"},
		{"{'rope_parameters': {'full_attention': {}}}", "rope_parameters.full_attention"},
		{"{'rope_scaling': {'type': 'linear'}}", "factor of linear"},
		{"{'rope_scaling': {'type': 'yarn'}}", "factor of yarn"},
		{"{'rope_scaling': {'type': 'linear', 'factor': '2'}}", "factor must be a number"},
		{"{'rope_scaling': {'type': 'linear', 'factor': 0.5}}", "pos.factor = 0.5"},
		{"{'rope_scaling': 'yarn'}", "rope_scaling must be an object"},
		{"{'rope_theta': 1, 'rope_parameters': {'rope_theta': 2}}", "given twice"},
		{"{'rope_parameters': {}, 'rope_scaling': {'type': 'linear', 'factor': 2}}",
		 "different things"},
		{"{'hidden_size': null}", "hidden_size is missing"},
		{"{'num_attention_heads': null}", "num_attention_heads is missing"},
		{"{'intermediate_size': null}", "intermediate_size is missing"},
		{"{'num_hidden_layers': null}", "num_hidden_layers is missing"},
		{"{'rope_scaling': {'type': 'linear', 'factor': 2, 'alpha': 1}}",
		 "rope_scaling.alpha"},
		{"{'hidden_size': 64.5}", "hidden_size must be a whole number"},
		{"{'hidden_size': 4294967297}", "hidden_size must be a positive size"},
		{"{'num_attention_heads': 0}", "num_attention_heads must be"},
		{"{'num_attention_heads': 7, 'num_key_value_heads': 7}", "head_dim is missing"},
		{"{'num_key_value_heads': 3}", "kv_heads"},
		{"{'tie_word_embeddings': 1}", "true or false"},
		{"{'eos_token_id': 'x'}", "eos_token_id must be"},
		{"{'eos_token_id': -2}", "eos_token_id must be"},
		{"{'model_type': 'llama_drope'}", "attention_type is missing"},
		{"{'model_type': 'llama_drope', 'attention_type': 'v_norm_nope'}", "v_norm_nope"},
		{"{'model_type': 'qwen2_drope', 'attention_type': 'rope'}", "attention_type rope"},
		{"{'model_type': 'llama_drope', 'attention_type': 'nope', 'softmax_scale': 0}",
		 "pos.beta"},
		{"{'model_type': 'sextant'}", "sextant is missing"},
		{"{'model_type': 'sextant', 'sextant': {}}", "sextant.pos is missing"},
		{"{'model_type': 'sextant', 'sextant': {'pos': {}}}", "pos.method is missing"},
		{"{'model_type': 'sextant', 'sextant': {'pos': {'method': 'alibi'}}}", "alibi"},
		{"{'model_type': 'sextant', 'sextant': {'pos': {'method': 'rope', 'bands': 2}}}",
		 "sextant.pos.bands"},
		{"{'model_type': 'sextant', 'sextant': {'sinks': 1, 'pos': {'method': 'rope'}}}",
		 "sextant.sinks"},
		{"{'model_type': 'sextant', 'sextant': {'qk_norm': 'l2', 'pos': {'method':"
		 " 'rope'}}}",
		 "sextant.qk_norm"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		put_config(cases[i].more);
		expect_failure(cases[i].words);
	}
	static const struct {
		const char *text, *words;
	} broken[] = {
		{"", "not a JSON object"},
		{"[]", "not a JSON object"},
		{"{\"a\"", "not a JSON object"},
		{"\xff", "not a JSON object"},
		{"\xff\xfe{", "UTF-16"},
		{"\xEF\xBB\xBF[]", "not a JSON object"},
		{"{\"a\": 1,\n \"a\": 2}", "line 2: a key is there twice"},
		{"{\"NaN\": \"Infinity\",\n \"a\": NaN}", "line 2: the key a has NaN"},
		{"{\"a\": 1,\n\"b\": {\"c\": [1, -Infinity]}}", "line 2: the key c has Infinity"},
		{"{\"a\": Infinity}", "the key a has Infinity"},
		/* what comes first is what is wrong */
		{"{\"a\": x,\n\"b\": NaN}", "line 1: not a JSON object"},
	};
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		put_text(broken[i].text);
		expect_failure(broken[i].words);
	}
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	unlink(file);
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_ENOINPUT);
}

static void keep_log(void *self, sx_log_level level, const char *msg)
{
	char *all = self;
	(void)level;
	strncat(all, msg, 1000 - strlen(all));
	strncat(all, "|", 1000 - strlen(all));
}

/* What transformers takes where a key is absent, said in the log; what changes nothing. */
static void test_absent_and_inert_keys(void **state)
{
	(void)state;
	char said[1024] = "";
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	ctx.log = keep_log, ctx.log_self = said;
	put_config("{'rms_norm_eps': null, 'max_position_embeddings': null, 'vocab_size': null,"
		   " 'hidden_act': 'swish', 'pretraining_tp': 1, 'rope_interleaved': false}");
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_OK);
	assert_true(s.eps == 1e-6 && s.T == 2048 && s.V == 32000 && s.pos.theta == 1e4);
	assert_non_null(strstr(said, "does not say rms_norm_eps: 1e-06 is taken"));
	assert_non_null(strstr(said, "max_position_embeddings: 2048"));
	assert_non_null(strstr(said, "vocab_size: 32000"));
	assert_non_null(strstr(said, "rope_theta: 10000"));
	*said = '\0';
	put_config("{'rope_theta': 1e4}");
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_OK);
	assert_string_equal(said, "");
	/* a byte order mark is passed over, and said */
	put_text("\xEF\xBB\xBF{\"model_type\": \"llama\", \"hidden_size\": 8, \"vocab_size\": 1,"
		 "\"num_hidden_layers\": 1, \"num_attention_heads\": 1, \"intermediate_size\": 1,"
		 "\"rms_norm_eps\": 1e-5, \"max_position_embeddings\": 8, \"rope_theta\": 1e4}");
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_OK);
	assert_true(s.C == 8 && s.V == 1 && s.F == 1 && s.Hkv == 1);
	assert_non_null(strstr(said, "byte order mark"));
	s = read_config("{'rope_scaling': {'type': 'linear', 'factor': 2, 'finetuned': true,"
			" 'low_freq_factor': null, 'short_factor': null}}");
	assert_string_equal(s.pos.method, "pi");
	s = read_config("{'rope_scaling': {'rope_type': 'default', 'finetuned': false}}");
	assert_string_equal(s.pos.method, "rope");
}

static void expect_equal(const char *a, const char *b)
{
	sx_spec x = read_config(a), y = read_config(b);
	bool same = false;
	x.pos.train_length = x.pos.train_length ? x.pos.train_length : x.T;
	y.pos.train_length = y.pos.train_length ? y.pos.train_length : y.T;
	assert_int_equal(sx_pos_plans_same(&same, NULL, &x.pos, sx_spec_shape(&x), &y.pos,
					   sx_spec_shape(&y), x.T + 1),
			 SX_OK);
	if (!same || !sx_block_same(&x.block, &y.block) || x.qkv_bias != y.qkv_bias ||
	    x.qk_norm != y.qk_norm || x.eps != y.eps || x.tied != y.tied || x.bos != y.bos ||
	    x.eos != y.eos)
		fail_msg("%s and %s differ", a, b);
}

/* The same model in transformers' keys of version 4 and of 5; what is taken where a key is absent. */
static void test_old_and_new(void **state)
{
	(void)state;
	static const char *const same[][2] = {
		{"{'rope_theta': 5e5, 'rope_scaling': null, 'torch_dtype': 'bfloat16'}",
		 "{'rope_parameters': {'rope_type': 'default', 'rope_theta': 500000},"
		 " 'dtype': 'bfloat16'}"},
		{"{'rope_theta': 500000.0, 'rope_scaling': {'rope_type': 'llama3', 'factor': 8,"
		 " 'low_freq_factor': 1, 'high_freq_factor': 4,"
		 " 'original_max_position_embeddings': 64.0}}",
		 "{'rope_parameters': {'rope_type': 'llama3', 'factor': 8.0, 'rope_theta': 5e5,"
		 " 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
		 " 'original_max_position_embeddings': 64}}"},
		{"{'rope_theta': 1e4, 'rope_scaling': {'type': 'dynamic', 'factor': 2}}",
		 "{'rope_parameters': {'rope_type': 'dynamic', 'factor': 2.0, 'rope_theta': 1e4}}"},
		{"{'rope_theta': 1e4, 'head_dim': 4, 'original_max_position_embeddings': 128,"
		 " 'rope_scaling': {'type': 'su', 'short_factor': [1, 1], 'long_factor': [1, 3]}}",
		 "{'head_dim': 4, 'rope_parameters': {'rope_type': 'longrope', 'rope_theta': 1e4,"
		 " 'original_max_position_embeddings': 128, 'short_factor': [1.0, 1.0],"
		 " 'long_factor': [1.0, 3.0], 'factor': 4.0}}"},
		{"{'num_key_value_heads': null, 'model_type': 'gpt_neox', 'hidden_act': 'gelu', "
		 "'layer_norm_eps': 1e-5,"
		 " 'rotary_pct': 0.5, 'rotary_emb_base': 1e4}",
		 "{'num_key_value_heads': null, 'model_type': 'gpt_neox', 'hidden_act': 'gelu', "
		 "'layer_norm_eps': 1e-5,"
		 " 'use_parallel_residual': true, 'attention_bias': true, 'rope_parameters':"
		 " {'rope_type': 'default', 'rope_theta': 1e4, 'partial_rotary_factor': 0.5}}"},
		{"{'num_key_value_heads': null, 'model_type': 'gpt_neox', 'hidden_act': 'gelu', "
		 "'head_dim': 8,"
		 " 'bos_token_id': 0, 'eos_token_id': 2, 'layer_norm_eps': 1e-5,"
		 " 'rotary_pct': 0.25, 'rotary_emb_base': 1e4}",
		 "{'num_key_value_heads': null, 'model_type': 'gpt_neox', 'hidden_act': 'gelu'}"},
		{"{'model_type': 'qwen2', 'use_sliding_window': false, 'sliding_window': 7,"
		 " 'rope_theta': 1e4}",
		 "{'model_type': 'qwen2', 'layer_types': ['full_attention', 'full_attention',"
		 " 'full_attention', 'full_attention', 'full_attention'], 'rope_theta': 1e4}"},
		{"{'model_type': 'qwen2', 'use_sliding_window': true, 'sliding_window': 7,"
		 " 'max_window_layers': 1, 'rope_theta': 1e4}",
		 "{'model_type': 'qwen2', 'use_sliding_window': true, 'sliding_window': 7,"
		 " 'layer_types': ['full_attention', 'sliding_attention', 'sliding_attention', "
		 "'sliding_attention', 'sliding_attention'], "
		 "'rope_theta': 1e4}"},
		{"{'model_type': 'mistral', 'rope_theta': 1e4, 'sliding_window': 4096}",
		 "{'model_type': 'mistral', 'rope_theta': 1e4}"},
		{"{'model_type': 'mistral', 'sliding_window': null, 'tie_word_embeddings': false}",
		 "{'model_type': 'llama'}"},
		{"{'model_type': 'smollm3', 'no_rope_layers': [1, 0, 1, 0, 1], 'rope_theta': 2e6,"
		 " 'tie_word_embeddings': true}",
		 "{'model_type': 'smollm3', 'no_rope_layer_interval': 2}"},
		{"{'model_type': 'olmo2', 'rms_norm_eps': 1e-5, 'eos_token_id': 50279,"
		 " 'bos_token_id': null, 'rope_theta': 1e4}",
		 "{'model_type': 'olmo2', 'rms_norm_eps': 1e-5}"},
		{"{'hidden_size': 64.0, 'num_attention_heads': 8.0}", "{'hidden_size': 64}"},
	};
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		expect_equal(same[i][0], same[i][1]);
	sx_spec s = read_config("{'model_type': 'qwen2_drope', 'attention_type': 'k_norm_nope',"
				" 'softmax_scale': 0.25}");
	assert_true(s.qkv_bias && s.block.q_plain && !s.block.k_plain && !s.block.o_bias);
	assert_true(s.qk_norm == SX_QK_NORM_FULL && s.pos.beta == 0.25 * sqrt(s.D));
	s = read_config("{'model_type': 'smollm3', 'no_rope_layers': [0, 0, 0, 0, 0, 0]}");
	assert_string_equal(s.pos.method, "nope");
}

/* A key that is ignored by the user's word is said in the log. */
static void test_ignored_keys(void **state)
{
	(void)state;
	char said[1024] = "";
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	ctx.log = keep_log, ctx.log_self = said;
	put_config("{'rope_theta': 1e4, 'my_key': 3, 'other': [], 'nothing': null}");
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_EDATA);
	ctx.ignored[ctx.n_ignored++] = "my_key";
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_EDATA);
	assert_non_null(strstr(ctx.message, "the key other"));
	ctx.ignored[ctx.n_ignored++] = "other";
	*said = '\0';
	assert_int_equal(sx_hf_config_read(&s, &ctx, file), SX_OK);
	assert_non_null(strstr(said, "the key my_key is ignored"));
	assert_non_null(strstr(said, "the key other is ignored"));
}

/* Positions that we do not do are refused where they would be used, and only there. */
static void test_refused_positions(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"{'rope_theta': 5e5, 'rope_scaling': {'rope_type': 'llama3'}}",
		 "factor of llama3"},
		{"{'rope_parameters': {'rope_type': 'proportional', 'rope_theta': 5e5}}",
		 "rope_type proportional"},
		{"{'rope_theta': 5e5, 'rope_scaling': {'type': 'linear', 'factor': 2, 'alpha': 3}}",
		 "rope_scaling.alpha"},
	};
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	const char *tensors = SX_SOURCE_DIR "/tests/fixtures/mha/model.safetensors";
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[SX_HF_WHY] = "x";
		sx_tensors *t = NULL;
		sx_spec s;
		put_config(cases[i][0]);
		assert_int_equal(sx_hf_open(&t, &s, &ctx, file, tensors, NULL), SX_EDATA);
		assert_non_null(strstr(ctx.message, cases[i][1]));
		assert_null(t);
		assert_int_equal(sx_hf_open(&t, &s, &ctx, file, tensors, why), SX_OK);
		assert_non_null(strstr(why, cases[i][1]));
		assert_string_equal(s.pos.method, "rope");
		assert_true(s.pos.theta == 5e5 && s.pos.factor == 1);
		sx_tensors_free(t);
	}
	/* what is no matter of scaling stays refused */
	char why[SX_HF_WHY] = "x";
	sx_tensors *t = NULL;
	sx_spec s;
	put_config("{'rope_parameters': {'rope_type': 'llama3', 'partial_rotary_factor': 0.5}}");
	assert_int_equal(sx_hf_open(&t, &s, &ctx, file, tensors, why), SX_EDATA);
	put_config("{'rope_theta': 1e4}");
	assert_int_equal(sx_hf_open(&t, &s, &ctx, file, tensors, why), SX_OK);
	assert_string_equal(why, "");
	sx_tensors_free(t);
}

static void test_smollm2(void **state)
{
	(void)state;
	char path[1024];
	const char *root = getenv("SEXTANT_SHARED");
	snprintf(path, sizeof path, "%s/data/configs/hf/SmolLM2-135M.config.json",
		 root ? root : SX_SOURCE_DIR "/../shared");
	if (!sx_path_exists(path)) {
		print_message("skipped: no shared data\n");
		skip();
	}
	sx_ctx ctx;
	sx_spec s;
	sx_ctx_init(&ctx);
	assert_int_equal(sx_hf_config_read(&s, &ctx, path), SX_OK);
	assert_true(s.V == 49152 && s.C == 576 && s.L == 30 && s.H == 9 && s.Hkv == 3);
	assert_true(s.D == 64 && s.F == 1536 && s.T == 8192 && s.tied && s.pos.theta == 1e5);
	assert_true(s.bos == 0 && s.eos == 0 && s.eps == 1e-5);
	assert_int_equal(sx_spec_params(&s), 134515008); /* as published */
}

/* ---- there and back ---- */

static void expect_same(const sx_spec *a, const sx_spec *b, const char *what)
{
	const sx_pos_opts *p = &a->pos, *q = &b->pos;
	bool shape = a->V == b->V && a->C == b->C && a->L == b->L && a->H == b->H &&
		     a->Hkv == b->Hkv && a->D == b->D && a->F == b->F && a->T == b->T &&
		     a->eps == b->eps && a->tied == b->tied && a->qkv_bias == b->qkv_bias &&
		     a->qk_norm == b->qk_norm && a->bos == b->bos && a->eos == b->eos;
	bool pos = strcmp(p->method, q->method) == 0 && p->theta == q->theta &&
		   p->beta == q->beta && p->window == q->window;
	if (!shape || !pos) fail_msg("%s changed", what);
	/* every method-specific field goes into the plan */
	sx_pos_plan x, y;
	assert_int_equal(sx_pos_plan_make(&x, NULL, p, sx_spec_shape(a), 0, a->T), SX_OK);
	assert_int_equal(sx_pos_plan_make(&y, NULL, q, sx_spec_shape(b), 0, b->T), SX_OK);
	assert_int_equal(x.n_freq, y.n_freq);
	for (int m = 0; m < x.n_freq; m++)
		if (x.inv_freq[m] != y.inv_freq[m]) fail_msg("%s: frequency %d", what, m);
	if (x.attention_factor != y.attention_factor) fail_msg("%s: attention factor", what);
	sx_pos_plan_free(&x);
	sx_pos_plan_free(&y);
}

static json_t *written(void)
{
	json_error_t err;
	json_t *v = json_load_file(file, JSON_REJECT_DUPLICATES, &err);
	assert_non_null(v);
	return v;
}

/* All combinations of method, norm, bias, window, beta and attention factor. */
static void test_round_trip(void **state)
{
	(void)state;
	static const double betas[] = {1, 1.285714}, factors[] = {(double)NAN, 1, 1.25};
	static const int64_t windows[] = {0, 5}, lengths[] = {0, 32, 64, 48};
	int counts[3] = {0};
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	for (int i = 0; i < 6 * 3 * 2 * 2 * 2 * 3 * 4; i++) {
		sx_spec s = sx_spec_default(), r;
		int n = i;
		snprintf(s.pos.method, sizeof s.pos.method, "%s",
			 sx_pos_method_at((int)(n % 6))->name);
		s.qk_norm = (sx_qk_norm)((n /= 6) % 3);
		s.qkv_bias = (n /= 3) % 2;
		s.pos.window = windows[(n /= 2) % 2];
		s.pos.beta = betas[(n /= 2) % 2];
		s.pos.attention_factor = factors[(n /= 2) % 3];
		s.pos.train_length = lengths[(n /= 3) % 4];
		s.T = 128, s.D = 24, s.tied = i % 2, s.eos = i % 3 - 1, s.bos = 3;
		s.pos.factor = 4, s.pos.keep = 0.3, s.pos.theta = 12345.678, s.eps = 1.0 / 3e5;
		s.pos.beta_fast = 9.5, s.pos.beta_slow = 0.1, s.pos.truncate = i % 5 > 0;
		const char *form = sx_hf_config_form(&s);
		counts[0] += strcmp(form, "llama") == 0;
		counts[1] += strcmp(form, "llama_drope") == 0;
		counts[2] += strcmp(form, "sextant") == 0;
		assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
		if (sx_hf_config_read(&r, &ctx, file) != SX_OK) fail_msg("%s", ctx.message);
		expect_same(&s, &r, form);
	}
	/* llama: rope and pi at 2 neutral attention factors and 4 lengths, yarn at 3 factors and
	 * the lengths 0 and 32 (128 = 4 * 32); drope: 2 norms, 2 betas, 2 factors, 4 lengths */
	assert_int_equal(counts[0], 2 * 2 * 4 + 3 * 2);
	assert_int_equal(counts[1], 2 * 2 * 2 * 4);
	assert_int_equal(counts[0] + counts[1] + counts[2], 1728);
}

/* Other blocks, layers that differ, methods with lists: what no family says, sextant does. */
static void test_blocks(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	for (int i = 0; i < 256 * 4; i++) {
		sx_spec s = sx_spec_default(), r;
		int bits = i % 256;
		sx_block *b = &s.block;
		b->norm = (sx_norm_kind)(bits & 1), b->mlp = (sx_mlp_kind)(bits >> 1 & 1);
		b->norm_after = bits >> 2 & 1, b->parallel = bits >> 3 & 1;
		b->o_bias = bits >> 4 & 1, b->mlp_bias = bits >> 5 & 1;
		b->q_plain = bits >> 6 & 1, b->k_plain = bits >> 7 && !b->q_plain;
		if (b->q_plain || b->k_plain) s.qk_norm = SX_QK_NORM_FULL;
		s.D = 8;
		if (i >= 256) s.pos.partial = 0.75;
		if (i >= 512) snprintf(s.pos.method, sizeof s.pos.method, "longrope");
		s.pos.long_factor = (sx_pos_list){.n = 3, .at = {1, 1.25, 1.0 / 3}};
		s.pos.short_factor = (sx_pos_list){.n = 3, .at = {1, 1, 1}};
		if (i >= 768) {
			s.pos.rotated_layers = (sx_pos_list){.n = 4, .at = {1, 1, 1, 0}};
			s.pos.windowed_layers = (sx_pos_list){.n = 2, .at = {0, 1}};
			s.pos.window = 9;
		}
		assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
		if (sx_hf_config_read(&r, &ctx, file) != SX_OK) fail_msg("%s", ctx.message);
		expect_same(&s, &r, sx_hf_config_form(&s));
		assert_true(sx_block_same(&s.block, &r.block));
		assert_true(sx_pos_opts_same(&s.pos, &r.pos) ||
			    strcmp(sx_hf_config_form(&s), "sextant") != 0);
	}
}

/* Resuming needs every bit of beta; an edited scale wins. */
static void test_beta_to_the_bit(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	int helped = 0;
	for (uint64_t i = 0; i < 200; i++) {
		sx_spec s = sx_spec_default(), r;
		strcpy(s.pos.method, "nope");
		s.D = 2 + 2 * (int)(i % 50);
		s.pos.beta = 0.5 + sx_uniform(3, SX_STREAM_TEST, i);
		assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
		assert_int_equal(sx_hf_config_read(&r, &ctx, file), SX_OK);
		assert_true(r.pos.beta == s.pos.beta);
		json_t *v = written();
		helped += json_object_get(v, "sextant_beta") != NULL;
		json_object_set_new(v, "softmax_scale", json_real(0.25));
		assert_int_equal(json_dump_file(v, file, 0), 0);
		json_decref(v);
		assert_int_equal(sx_hf_config_read(&r, &ctx, file), SX_OK);
		assert_true(r.pos.beta == 0.25 * sqrt(s.D));
	}
	assert_in_range(helped, 1, 199);
}

/* The keys other programs look at. */
static void test_written_keys(void **state)
{
	(void)state;
	sx_ctx ctx;
	sx_ctx_init(&ctx);
	sx_spec s = sx_spec_default();
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
	json_t *v = written();
	assert_string_equal(json_string_value(json_object_get(v, "model_type")), "llama");
	assert_int_equal(json_integer_value(json_object_get(v, "head_dim")), 32);
	assert_true(json_number_value(json_object_get(v, "rope_theta")) == 1e4);
	json_t *rope = json_object_get(v, "rope_parameters");
	assert_string_equal(json_string_value(json_object_get(rope, "rope_type")), "default");
	assert_null(json_object_get(v, "rope_scaling"));
	json_decref(v);

	strcpy(s.pos.method, "nope");
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
	v = written();
	assert_null(json_object_get(v, "softmax_scale")); /* not even as null */
	json_t *arch = json_array_get(json_object_get(v, "architectures"), 0);
	assert_string_equal(json_string_value(arch), "DroPELlamaForCausalLM");
	json_decref(v);
	s.pos.beta = 1.5;
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
	v = written();
	double scale = json_real_value(json_object_get(v, "softmax_scale"));
	assert_true(fabs(scale - 1.5 / sqrt(32)) < 1e-16);
	json_decref(v);

	/* a class of transformers that is forced on it meets a rope_type that it does not know */
	s.pos.window = 7;
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
	v = written();
	rope = json_object_get(v, "rope_scaling");
	assert_string_equal(json_string_value(json_object_get(v, "model_type")), "sextant");
	assert_string_equal(json_string_value(json_object_get(rope, "rope_type")), "sextant");
	json_decref(v);

	s.pos.beta_fast = (double)INFINITY; /* JSON has no such number */
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_EINTERNAL);
	s.H = 0;
	assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_ECONFIG);
}

/* The fixtures' files come from a script in Python: read and written again, each is the same. */
static void test_fixtures(void **state)
{
	(void)state;
	static const struct {
		const char *name, *form;
	} fixtures[] = {
		{"mha", "llama"},
		{"gqa_tied", "llama"},
		{"qkv_bias", "sextant"},
		{"qk_norm_full", "sextant"},
		{"qk_norm_head", "sextant"},
		{"window", "sextant"},
		{"nope", "llama_drope"},
		{"pi", "llama"},
		{"ntk", "sextant"},
		{"yarn", "llama"},
		{"p_rope", "sextant"},
		{"beta", "sextant"},
		{"combined", "sextant"},
	};
	for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
		sx_ctx ctx;
		sx_spec s;
		sx_ctx_init(&ctx);
		char path[1024];
		snprintf(path, sizeof path, "%s/tests/fixtures/%s/config.json", SX_SOURCE_DIR,
			 fixtures[i].name);
		if (sx_hf_config_read(&s, &ctx, path) != SX_OK) fail_msg("%s", ctx.message);
		assert_string_equal(sx_hf_config_form(&s), fixtures[i].form);
		assert_int_equal(sx_hf_config_write(&ctx, file, &s), SX_OK);
		json_error_t err;
		json_t *a = json_load_file(path, 0, &err), *b = written();
		if (!json_equal(a, b)) fail_msg("%s is written in another way", path);
		json_decref(a);
		json_decref(b);
	}
}

/* ---- the rows ---- */

/* A spec of which the family is the most standard way to say it. */
static sx_spec spec_of(const sx_model_family *f)
{
	for (int i = 0; i < 2 * 3 * 3 * 4 * 3; i++) {
		static const char *const methods[] = {"rope", "nope", "ntk"};
		sx_spec s = sx_spec_default();
		int n = i;
		s.qkv_bias = n % 2;
		s.qk_norm = (sx_qk_norm)((n /= 2) % 3);
		snprintf(s.pos.method, sizeof s.pos.method, "%s", methods[(n /= 3) % 3]);
		switch ((n /= 3) % 4) {
		case 1:
			s.block.norm_after = true;
			break;
		case 2:
			s.block = (sx_block){.norm = SX_NORM_LAYER, .mlp = SX_MLP_GELU};
			s.block.mlp_bias = true, s.block.o_bias = s.qkv_bias;
			break;
		case 3:
			s.pos.rotated_layers = (sx_pos_list){.n = 2, .at = {1, 0}};
			break;
		default:
			break;
		}
		s.pos.window = (n /= 4) % 3 ? 7 : 0;
		if (sx_model_family_standard(&s) == f) return s;
	}
	fail_msg("nothing makes a model of type %s", f->model_type);
	return sx_spec_default();
}

static void test_families(void **state)
{
	(void)state;
	for (int i = 0; sx_model_families[i]; i++) {
		const sx_model_family *f = sx_model_families[i];
		assert_ptr_equal(sx_model_family_find(f->model_type), f);
		if (!f->says) continue; /* only read */
		sx_ctx ctx;
		sx_spec s = spec_of(f), r;
		sx_ctx_init(&ctx);
		assert_true(f->says(&s));
		assert_int_equal(sx_hf_config_write_as(&ctx, file, f, &s), SX_OK);
		json_t *v = written(), *arch = json_object_get(v, "architectures");
		assert_string_equal(json_string_value(json_object_get(v, "model_type")),
				    f->model_type);
		assert_string_equal(json_string_value(json_array_get(arch, 0)), f->architecture);
		json_decref(v);
		if (sx_hf_config_read(&r, &ctx, file) != SX_OK) fail_msg("%s", ctx.message);
		expect_same(&s, &r, f->model_type);
	}
	assert_null(sx_model_family_find("mamba"));
	put_config("{'model_type': 'mamba'}");
	char *names = sx_model_family_names();
	char *said = sx_format("/config.json: the model_type mamba is not supported; %s are",
			       names ? names : "");
	assert_true(names && said);
	expect_failure(said);
	free(names);
	free(said);
	for (int i = 0; sx_model_families[i]; i++) expect_failure(sx_model_families[i]->model_type);
}

/* Every parameter of a family's models has its place in its files, and shares it only with parts of itself;
 * nothing is placed that is no parameter; sextant's files have a place for everything. */
static void test_places(void **state)
{
	(void)state;
#define FIELD(field, rows, cols, copies, there, start) #field,
	static const char *const fields[] = {SX_PARAMS(FIELD)};
#undef FIELD
	enum { N = sizeof fields / sizeof fields[0] };
	for (int i = 0; sx_model_families[i]; i++) {
		const sx_model_family *f = sx_model_families[i];
		char names[N][SX_TENSOR_NAME];
		sx_param_info info[SX_PARAM_MOST];
		sx_spec s = spec_of(f);
		for (int k = 0, n = sx_params_table(&s, info); k < n; k++)
			if (!sx_tensor_place_find(f, info[k].field))
				fail_msg("%s has no place for %s", f->model_type, info[k].field);
		int n = 0;
		for (; f->places[n].field; n++) {
			const sx_tensor_place *p = &f->places[n];
			int known = 0;
			while (known < N && strcmp(fields[known], p->field) != 0) known++;
			assert_in_range(known, 0, N - 1);
			sx_tensor_place_name(names[n], p, 4095);
			assert_true(strlen(names[n]) + 1 < SX_TENSOR_NAME);
			if (p->form == SX_PLACE_HEADS) assert_in_range(p->part, 0, p->parts - 1);
			for (int j = 0; j < n; j++)
				if (p->form != SX_PLACE_HEADS && strcmp(names[j], names[n]) == 0)
					fail_msg("%s: %s and %s are both %s", f->model_type,
						 f->places[j].field, p->field, names[n]);
		}
		if (f == &sx_model_family_sextant) assert_int_equal(n, N);
		assert_null(sx_tensor_place_find(f, "wx"));
		assert_non_null(f->buffers);
		assert_non_null(f->keys);
	}
	char name[SX_TENSOR_NAME];
	sx_tensor_place_name(name, sx_tensor_place_find(&sx_model_family_llama, "wq"), 12);
	assert_string_equal(name, "model.layers.12.self_attn.q_proj.weight");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_rope_keys),
		cmocka_unit_test(test_drope),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_absent_and_inert_keys),
		cmocka_unit_test(test_old_and_new),
		cmocka_unit_test(test_ignored_keys),
		cmocka_unit_test(test_refused_positions),
		cmocka_unit_test(test_smollm2),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_beta_to_the_bit),
		cmocka_unit_test(test_written_keys),
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_blocks),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

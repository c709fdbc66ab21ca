/* Which keys of a config.json are known: what no reader looks at would run silently wrong, or changes nothing
 * and stands in a list here. */
#include "engine/files/family.h"
#include "engine/files/hf_json.h"

#include <string.h>

/* Looked at in every family: hf_keys.c, hf_rope.c, hf_config.c. */
static const char *const looked_at[] = {"model_type",
					"vocab_size",
					"hidden_size",
					"intermediate_size",
					"num_hidden_layers",
					"num_attention_heads",
					"num_key_value_heads",
					"head_dim",
					"max_position_embeddings",
					"original_max_position_embeddings",
					"rms_norm_eps",
					"tie_word_embeddings",
					"bos_token_id",
					"eos_token_id",
					"hidden_act",
					"quantization_config",
					"rope_theta",
					"rope_parameters",
					"rope_scaling",
					"partial_rotary_factor",
					NULL};

/* How the model was made, is loaded, is trained or is talked to; nothing of what it computes. */
static const char *const harmless[] = {"architectures",
				       "_name_or_path",
				       "name_or_path",
				       "transformers_version",
				       "dtype",
				       "torch_dtype",
				       "auto_map",
				       "use_cache",
				       "cache_implementation",
				       "_attn_implementation",
				       "attn_implementation",
				       "_attn_implementation_autoset",
				       "_attn_implementation_internal",
				       "initializer_range",
				       "init_method",
				       "attention_dropout",
				       "hidden_dropout",
				       "hidden_dropout_prob",
				       "classifier_dropout",
				       "embedding_dropout",
				       "resid_pdrop",
				       "pretraining_tp",
				       "pad_token_id",
				       "sep_token_id",
				       "cls_token_id",
				       "unk_token_id",
				       "decoder_start_token_id",
				       "tokenizer_class",
				       "prefix",
				       "problem_type",
				       "finetuning_task",
				       "finetuned",
				       "task_specific_params",
				       "id2label",
				       "label2id",
				       "num_labels",
				       "return_dict",
				       "output_attentions",
				       "output_hidden_states",
				       "output_scores",
				       "return_dict_in_generate",
				       "torchscript",
				       "use_bfloat16",
				       "tf_legacy_loss",
				       "pruned_heads",
				       "chunk_size_feed_forward",
				       "cross_attention_hidden_size",
				       "is_decoder",
				       "max_length",
				       "min_length",
				       "max_new_tokens",
				       "do_sample",
				       "early_stopping",
				       "num_beams",
				       "num_beam_groups",
				       "diversity_penalty",
				       "temperature",
				       "top_k",
				       "top_p",
				       "typical_p",
				       "repetition_penalty",
				       "length_penalty",
				       "no_repeat_ngram_size",
				       "encoder_no_repeat_ngram_size",
				       "bad_words_ids",
				       "num_return_sequences",
				       "forced_bos_token_id",
				       "forced_eos_token_id",
				       "remove_invalid_values",
				       "exponential_decay_length_penalty",
				       "suppress_tokens",
				       "begin_suppress_tokens",
				       "is_llama_config",
				       "unsloth_fixed",
				       "unsloth_version",
				       "transformers.js_config",
				       NULL};

/* Switches that change something when they are on. */
static const char *const off[] = {"attention_bias",
				  "mlp_bias",
				  "rope_interleaved",
				  "use_sliding_window",
				  "use_mrope",
				  "use_qk_norm",
				  "is_encoder_decoder",
				  "add_cross_attention",
				  "tie_encoder_decoder",
				  "layer_norm_bias",
				  NULL};

static bool is_in(const char *key, const char *const *list)
{
	int i = 0;
	while (list[i] && strcmp(list[i], key) != 0) i++;
	return list[i] != NULL;
}

static bool is_ignored(const sx_ctx *ctx, const char *key)
{
	bool found = false;
	for (int i = 0; ctx && i < ctx->n_ignored; i++)
		found = found || strcmp(ctx->ignored[i], key) == 0;
	return found;
}

sx_status sx_hf_refuse_unknown(const sx_hf_reader *r, json_t *root, const sx_model_family *f)
{
	const char *key;
	json_t *value;
	json_object_foreach(root, key, value)
	{
		if (json_is_null(value) || is_in(key, looked_at) || is_in(key, harmless) ||
		    is_in(key, f->keys) || (json_is_false(value) && is_in(key, off)))
			continue;
		if (!is_ignored(r->ctx, key))
			return sx_fail(
				r->ctx, SX_EDATA,
				"%s: the key %.60s of a %s model is not supported: without it "
				"the model may be another; --ignore-key %.60s goes on",
				r->path, key, f->model_type, key);
		sx_log(r->ctx, SX_LOG_WARN, "%s: the key %.60s is ignored", r->path, key);
	}
	return SX_OK;
}

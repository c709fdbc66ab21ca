/* The keys of a config.json that families share: shape, rope, layers that differ. Internal to
 * engine/files. */
#ifndef SX_ENGINE_FILES_HF_KEYS_H
#define SX_ENGINE_FILES_HF_KEYS_H

#include "engine/files/hf_json.h"
#include "engine/spec.h"

/* What transformers takes where a family's configuration does not say it, and how the family calls keys that
 * others call otherwise. */
typedef struct {
	int vocab;
	int64_t context;
	double eps, theta, partial;
	int bos, eos;
	bool tied;
	const char *eps_key, *theta_key;
	const char *partial_key; /* of a family that rotates a part of each head; else NULL      */
	const char *act;         /* the hidden_act that it may have                             */
} sx_hf_habits;
extern const sx_hf_habits sx_hf_llama;

/* Sizes, eps, tying and token ids into s; first what would run silently wrong is refused by name
 * (another activation, quantisation). SX_EDATA. */
sx_status sx_hf_read_shape(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			   const sx_hf_habits *h) SX_NODISCARD;
/* The same keys, as Llama has them: no biases, silu. */
bool sx_hf_put_shape(json_t *root, const sx_spec *s) SX_NODISCARD;

/* The positional method of this name. SX_EDATA where there is none. */
sx_status sx_hf_get_method(const sx_hf_reader *r, sx_pos_opts *o, const char *method) SX_NODISCARD;

/* theta may stand in three places (rope_theta, rope_parameters, rope_scaling), the method in two; all
 * that are there must agree. Looks at s->T. SX_EDATA. */
sx_status sx_hf_read_rope(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			  const sx_hf_habits *h) SX_NODISCARD;
/* The rope_type that says exactly what s does with positions, apart from window, beta, layers and partial
 * rotation; NULL if none does. */
const char *sx_hf_rope_type(const sx_spec *s);
/* Whether whole heads are rotated, in all layers, and with beta 1; and all layers see as far. */
bool sx_hf_all_rotated(const sx_spec *s);
bool sx_hf_same_layers(const sx_spec *s);
/* rope_theta and rope_parameters, and rope_scaling unless the rope_type is "default". */
bool sx_hf_put_rope(json_t *root, const sx_spec *s, const char *rope_type) SX_NODISCARD;
/* Whether the logits are scaled by what the method itself prescribes, 1 but for yarn and longrope. */
bool sx_hf_plain_attention(const sx_pos_opts *o);

/* sliding_window, use_sliding_window and layer_types; sliding (s->L): the layers that have the window where
 * layer_types is not there. SX_EDATA, SX_ENOMEM. */
sx_status sx_hf_read_windows(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			     const bool *sliding) SX_NODISCARD;
bool sx_hf_put_windows(json_t *root, const sx_spec *s) SX_NODISCARD;
/* no_rope_layers or no_rope_layer_interval: into s, and one by one into rotated (s->L). SX_EDATA. */
sx_status sx_hf_read_rotated(const sx_hf_reader *r, const json_t *root, sx_spec *s,
			     bool *rotated) SX_NODISCARD;
/* One entry for every layer: the words, or with yes = NULL 1 and 0. */
bool sx_hf_put_layers(json_t *root, const char *key, const sx_spec *s, const sx_pos_list *list,
		      const char *yes, const char *no) SX_NODISCARD;

#endif

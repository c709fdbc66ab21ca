/* sextant: what no other family can say: any block, window, QK-norm and positions together. Shape under the usual keys, the rest in an object "sextant" of its own (hf_config.h). */
#include "engine/files/family.h"
#include "engine/files/hf_keys.h"
#include "engine/files/pos_json.h"

/* The parameters that the table knows, and no others. */
static sx_status read_pos(const sx_hf_reader *r, json_t *pos, sx_pos_opts *o)
{
	static const char *const wanted[] = {[SX_POS_METHOD] = "a string",
					     [SX_POS_REAL] = "a number",
					     [SX_POS_WHOLE] = "a whole number",
					     [SX_POS_FLAG] = "true or false",
					     [SX_POS_LIST] = "a list of at most 128 numbers"};
	const char *known[SX_POS_PARAMS + 1] = {NULL}, *method = NULL;
	sx_status st = SX_OK;
	for (int i = 0; i < SX_POS_PARAMS; i++) known[i] = sx_pos_params[i].name;
	SX_TRY(sx_hf_only_known(r, pos, "sextant.pos", known));
	SX_TRY(sx_hf_get_string(r, pos, "method", &method));
	if (!method) return sx_hf_missing(r, "sextant.pos.method");
	SX_TRY(sx_hf_get_method(r, o, method));
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (!sx_pos_from_json(p, o, json_object_get(pos, p->name)))
			return sx_hf_wrong_kind(r, p->name, wanted[p->type]);
out:
	return st;
}

static sx_status read_block(const sx_hf_reader *r, json_t *own, sx_block *b)
{
	static const char *const known[] = {"norm",     "norm_after", "parallel", "mlp", "o_bias",
					    "mlp_bias", "q_plain",    "k_plain",  NULL};
	json_t *block = json_object_get(own, "block");
	const char *norm = sx_norm_kind_name(b->norm), *mlp = sx_mlp_kind_name(b->mlp);
	sx_status st = SX_OK;
	if (!sx_hf_get(own, "block")) return SX_OK;
	if (!json_is_object(block)) return sx_hf_wrong_kind(r, "sextant.block", "an object");
	SX_TRY(sx_hf_only_known(r, block, "sextant.block", known));
	SX_TRY(sx_hf_get_string(r, block, "norm", &norm));
	SX_TRY(sx_hf_get_string(r, block, "mlp", &mlp));
	SX_TRY(sx_hf_get_bool(r, block, "norm_after", &b->norm_after));
	SX_TRY(sx_hf_get_bool(r, block, "parallel", &b->parallel));
	SX_TRY(sx_hf_get_bool(r, block, "o_bias", &b->o_bias));
	SX_TRY(sx_hf_get_bool(r, block, "mlp_bias", &b->mlp_bias));
	SX_TRY(sx_hf_get_bool(r, block, "q_plain", &b->q_plain));
	SX_TRY(sx_hf_get_bool(r, block, "k_plain", &b->k_plain));
	if (!sx_norm_kind_parse(norm, &b->norm))
		return sx_hf_wrong_kind(r, "sextant.block.norm", "rmsnorm or layernorm");
	if (!sx_mlp_kind_parse(mlp, &b->mlp))
		return sx_hf_wrong_kind(r, "sextant.block.mlp", "swiglu or gelu");
out:
	return st;
}

static sx_status read_config(const sx_hf_reader *r, const json_t *root, sx_spec *s)
{
	static const char *const known[] = {"qk_norm", "qkv_bias", "block", "pos", NULL};
	sx_status st = SX_OK;
	json_t *own = json_object_get(root, "sextant"), *pos = json_object_get(own, "pos");
	const char *norm = "none";
	SX_TRY(sx_hf_read_shape(r, root, s, &sx_hf_llama));
	if (!json_is_object(own)) return sx_hf_missing(r, "sextant");
	if (!json_is_object(pos)) return sx_hf_missing(r, "sextant.pos");
	SX_TRY(sx_hf_only_known(r, own, "sextant", known));
	SX_TRY(sx_hf_get_string(r, own, "qk_norm", &norm));
	SX_TRY(sx_hf_get_bool(r, own, "qkv_bias", &s->qkv_bias));
	SX_TRY(read_block(r, own, &s->block));
	SX_TRY(read_pos(r, pos, &s->pos));
	if (!sx_qk_norm_parse(norm, &s->qk_norm))
		return sx_hf_wrong_kind(r, "sextant.qk_norm", "none, full or head");
out:
	return st;
}

static bool says(const sx_spec *s)
{
	(void)s;
	return true;
}

static json_t *sextant_object(const sx_spec *s)
{
	json_t *pos = json_object();
	bool ok = true;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (sx_pos_param_said(p, &s->pos))
			ok = ok && sx_hf_put(pos, p->name, sx_pos_to_json(p, &s->pos));
	json_t *block = sx_block_to_json(&s->block);
	ok = ok && (block || sx_block_same(&s->block, &(sx_block){0}));
	if (!ok) {
		json_decref(block);
		json_decref(pos);
		return NULL;
	}
	return json_pack("{s:s, s:b, s:o*, s:o}", "qk_norm", sx_qk_norm_name(s->qk_norm),
			 "qkv_bias", (int)s->qkv_bias, "block", block, "pos", pos);
}

/* The rope_type is one that transformers does not know: it refuses by name, whatever class it is told
 * to use. */
static bool write_config(json_t *root, const sx_spec *s)
{
	return sx_hf_put_shape(root, s) && sx_hf_put_rope(root, s, "sextant") &&
	       sx_hf_put(root, "sextant", sextant_object(s));
}

static const char *const keys[] = {"sextant", NULL};

const sx_model_family sx_model_family_sextant = {
	.model_type = "sextant",
	.architecture = "SextantForCausalLM",
	.read = read_config,
	.says = says,
	.write = write_config,
	.places = sx_places_llama,
	.buffers = sx_buffers_llama,
	.keys = keys,
};

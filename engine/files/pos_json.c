#include "engine/files/pos_json.h"

#include <math.h>
#include <string.h>

json_t *sx_pos_to_json(const sx_pos_param *p, const sx_pos_opts *o)
{
	if (p->type == SX_POS_METHOD) return json_string(sx_pos_method_name(p, o));
	if (p->type == SX_POS_WHOLE) return json_integer(sx_pos_whole(p, o));
	if (p->type == SX_POS_FLAG) return json_boolean(sx_pos_flag(p, o));
	if (p->type == SX_POS_LIST) {
		const sx_pos_list *l = sx_pos_list_of(p, o);
		json_t *a = json_array();
		for (int i = 0; a && i < l->n; i++)
			if (json_array_append_new(a, json_real(l->at[i])) != 0) {
				json_decref(a);
				return NULL;
			}
		return a;
	}
	double v = sx_pos_real(p, o);
	return isnan(v) && strcmp(p->fallback, "nan") == 0 ? json_null() : json_real(v);
}

bool sx_pos_from_json(const sx_pos_param *p, sx_pos_opts *o, const json_t *v)
{
	if (!v || json_is_null(v)) return true;
	if (json_is_string(v))
		return p->type == SX_POS_METHOD && sx_pos_set_text(p, o, json_string_value(v));
	if (json_is_array(v)) {
		double list[SX_POS_LIST_MOST];
		size_t n = json_array_size(v);
		if (n > SX_POS_LIST_MOST) return false;
		for (size_t i = 0; i < n; i++) {
			const json_t *x = json_array_get(v, i);
			if (!json_is_number(x)) return false;
			list[i] = json_number_value(x);
		}
		return sx_pos_set_list(p, o, list, (int64_t)n);
	}
	if (json_is_boolean(v)) return sx_pos_set_flag(p, o, json_is_true(v));
	if (json_is_integer(v) && sx_pos_set_whole(p, o, json_integer_value(v))) return true;
	return json_is_number(v) && sx_pos_set_real(p, o, json_number_value(v));
}

json_t *sx_block_to_json(const sx_block *b)
{
	if (sx_block_same(b, &(sx_block){0})) return NULL;
	return json_pack("{s:s, s:b, s:b, s:s, s:b, s:b, s:b, s:b}", "norm",
			 sx_norm_kind_name(b->norm), "norm_after", (int)b->norm_after, "parallel",
			 (int)b->parallel, "mlp", sx_mlp_kind_name(b->mlp), "o_bias",
			 (int)b->o_bias, "mlp_bias", (int)b->mlp_bias, "q_plain", (int)b->q_plain,
			 "k_plain", (int)b->k_plain);
}

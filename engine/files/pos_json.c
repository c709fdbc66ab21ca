#include "engine/files/pos_json.h"

#include <math.h>
#include <string.h>

json_t *sx_pos_to_json(const sx_pos_param *p, const sx_pos_opts *o)
{
	if (p->type == SX_POS_METHOD) return json_string(sx_pos_method_name(p, o));
	if (p->type == SX_POS_WHOLE) return json_integer(sx_pos_whole(p, o));
	if (p->type == SX_POS_FLAG) return json_boolean(sx_pos_flag(p, o));
	double v = sx_pos_real(p, o);
	return isnan(v) && strcmp(p->fallback, "nan") == 0 ? json_null() : json_real(v);
}

bool sx_pos_from_json(const sx_pos_param *p, sx_pos_opts *o, const json_t *v)
{
	if (!v || json_is_null(v)) return true;
	if (json_is_string(v))
		return p->type == SX_POS_METHOD && sx_pos_set_text(p, o, json_string_value(v));
	if (json_is_boolean(v)) return sx_pos_set_flag(p, o, json_is_true(v));
	if (json_is_integer(v) && sx_pos_set_whole(p, o, json_integer_value(v))) return true;
	return json_is_number(v) && sx_pos_set_real(p, o, json_number_value(v));
}

/* The list of families, and look-ups in it. */
#include "engine/files/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const sx_model_family *const sx_model_families[] = {
	&sx_model_family_llama,
	&sx_model_family_drope,
	&sx_model_family_mistral,
	&sx_model_family_qwen2,
	&sx_model_family_qwen3,
	&sx_model_family_smollm3,
	&sx_model_family_olmo2,
	&sx_model_family_gpt_neox,
	&sx_model_family_qwen2_drope,
	&sx_model_family_sextant,
	NULL,
};

const sx_model_family *sx_model_family_find(const char *model_type)
{
	int i = 0;
	while (sx_model_families[i] && strcmp(sx_model_families[i]->model_type, model_type) != 0)
		i++;
	return sx_model_families[i];
}

const sx_model_family *sx_model_family_standard(const sx_spec *s)
{
	const sx_model_family *const *f = sx_model_families;
	while (f[1] && !((*f)->says && (*f)->says(s))) f++;
	return *f;
}

/* Whether the first three families were all there was to say it. */
static bool is_old(const sx_spec *s)
{
	static const char *const methods[] = {"rope", "nope", "pi", "ntk", "yarn", "p-rope"};
	const sx_pos_opts *o = &s->pos;
	bool old = sx_block_same(&s->block, &(sx_block){0}) && o->partial >= 1 &&
		   o->rotated_layers.n == 0 && o->windowed_layers.n == 0;
	int k = 0;
	while (k < 6 && strcmp(methods[k], o->method) != 0) k++;
	return old && k < 6;
}

const sx_model_family *sx_model_family_of(const sx_spec *s)
{
	const sx_model_family *f = sx_model_family_standard(s);
	if (!is_old(s) || f == &sx_model_family_llama || f == &sx_model_family_drope) return f;
	return &sx_model_family_sextant;
}

char *sx_model_family_names(void)
{
	char *list = sx_strdup("");
	for (int i = 0; list && sx_model_families[i]; i++) {
		const char *join = !sx_model_families[i + 1] ? " and " : ", ";
		char *longer =
			sx_format("%s%s%s", list, i ? join : "", sx_model_families[i]->model_type);
		free(list);
		list = longer;
	}
	return list;
}

const sx_tensor_place *sx_tensor_place_find(const sx_model_family *f, const char *field)
{
	const sx_tensor_place *p = f->places;
	while (p->field && strcmp(p->field, field) != 0) p++;
	return p->field ? p : NULL;
}

void sx_tensor_place_name(char out[SX_TENSOR_NAME], const sx_tensor_place *p, int64_t layer)
{
	const char *hole = strstr(p->tensor, "%d");
	if (!hole)
		snprintf(out, SX_TENSOR_NAME, "%s", p->tensor);
	else
		snprintf(out, SX_TENSOR_NAME, "%.*s%lld%s", (int)(hole - p->tensor), p->tensor,
			 (long long)layer, hole + 2);
}

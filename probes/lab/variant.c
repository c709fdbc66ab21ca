#include "probes/lab/variant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t sx_trained_length(const sx_spec *spec)
{
	return spec->pos.train_length > 0 ? spec->pos.train_length : spec->T;
}

/* Fills label and attention_factor from pos; of the layers it looks at the first one only. */
static sx_status describe(sx_variant *v, sx_ctx *ctx, const sx_spec *spec, int64_t T)
{
	sx_pos_plan plan = {0};
	sx_status st = sx_pos_plan_make(&plan, ctx, &v->pos, sx_spec_shape(spec), 0, T);
	if (st != SX_OK) return st;
	v->attention_factor = plan.attention_factor;
	sx_pos_plan_free(&plan);
	bool shipped = strcmp(v->pos.method, "yarn") == 0 && isnan(v->pos.attention_factor);
	strcpy(v->label, shipped ? "yarn (shipped)" : v->pos.method);
	return SX_OK;
}

sx_status sx_variant_now(sx_variant *out, sx_ctx *ctx, const sx_spec *spec, int64_t T)
{
	sx_variant v = {.pos = spec->pos, .c = (double)NAN};
	sx_status st = describe(&v, ctx, spec, T);
	if (st == SX_OK) *out = v;
	return st;
}

bool sx_method_applies(const sx_spec *spec, const char *method)
{
	return sx_pos_kind_of(spec->pos.method) != SX_POS_NONE ||
	       sx_pos_kind_of(method) == SX_POS_NONE;
}

/* Do two variants put the same positions into every layer? */
static sx_status compare(bool *same, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			 const sx_variant *a, const sx_variant *b)
{
	return sx_pos_plans_same(same, ctx, &a->pos, sx_spec_shape(spec), &b->pos,
				 sx_spec_shape(spec), T);
}

/* Appends v and finds its like. */
static sx_status append(sx_variant *list, int *n, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			sx_variant v)
{
	sx_status st = describe(&v, ctx, spec, T);
	bool same = false;
	v.same_as = *n;
	for (int i = 0; st == SX_OK && !same && i < *n; i++) {
		st = compare(&same, ctx, spec, T, &list[i], &v);
		if (same) v.same_as = i;
	}
	if (st == SX_OK) list[(*n)++] = v;
	return st;
}

sx_status sx_variant_grid(sx_variant **out, int *n, sx_ctx *ctx, const sx_spec *spec, int64_t T,
			  const char *const *methods, int n_methods, const double *c, int n_c)
{
	sx_status st = SX_OK;
	int count = 0;
	double factor = fmax(1, (double)T / (double)sx_trained_length(spec));
	sx_variant *list = sx_calloc((size_t)n_methods * (size_t)(n_c + 1), sizeof *list);
	if (!list) return sx_fail(ctx, SX_ENOMEM, "no memory for the variants");
	for (int i = 0; i < n_methods; i++) {
		bool yarn = strcmp(methods[i], "yarn") == 0;
		sx_variant v = {.pos = spec->pos, .c = (double)NAN};
		if (!sx_pos_find(methods[i])) {
			st = sx_fail(ctx, SX_ECONFIG,
				     "%s: unknown positional method; `sextant config pos.method` "
				     "lists them",
				     methods[i]);
			goto out;
		}
		strcpy(v.pos.method, methods[i]); /* it fits: it is one of the table's names */
		v.pos.factor = factor;
		v.pos.attention_factor = yarn ? 1 : (double)NAN;
		for (int k = 0; k < n_c; k++) {
			v.c = c[k];
			v.pos.beta = spec->pos.beta * (1 + c[k] * log(factor));
			SX_TRY(append(list, &count, ctx, spec, T, v));
		}
		if (!yarn) continue;
		v.c = (double)NAN;
		v.pos.beta = spec->pos.beta;
		v.pos.attention_factor = (double)NAN;
		SX_TRY(append(list, &count, ctx, spec, T, v));
	}
	*out = list;
	*n = count;
	list = NULL;
out:
	free(list);
	return st;
}

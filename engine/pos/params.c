/* The table of positional parameters, and what loops over it. */
#include "engine/pos/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ANY HUGE_VAL

/* of_method, quiet, default, least, above, most, guard, must, meaning; in the configuration's order. */
/* clang-format off */
#define ROW(type, field, ...) \
	{#field, "pos." #field, SX_POS_##type, offsetof(sx_pos_opts, field), __VA_ARGS__}
const sx_pos_param sx_pos_params[] = {
	ROW(METHOD, method,       false, false, "rope",  0, false, ANY, ANY, NULL, "positional method; `sextant config pos.method` lists them"),
	ROW(REAL,   theta,        false, false, "10000", 1, true,  ANY, ANY, "must be a number above 1", "base of the rotary spectrum"),
	ROW(REAL,   factor,       false, false, "1",     1, false, ANY, ANY, "must be at least 1", "context extension: new length / trained length"),
	ROW(REAL,   beta,         false, false, "1",     0, true,  ANY, 1e30, "must be positive, at most 1e30", "multiplies the logits, on top of what the method does"),
	ROW(WHOLE,  train_length, false, false, "0",     0, false, ANY, ANY, NULL, "trained length a scaling method starts from, tokens; 0 = the model's context"),
	ROW(REAL,   beta_fast,    true, false,  "32",    0, true,  ANY, ANY, NULL, "yarn: pairs that turn more often over the trained length stay"),
	ROW(REAL,   beta_slow,    true, false,  "1",     0, true,  ANY, ANY, NULL, "yarn: pairs that turn less often over the trained length are interpolated"),
	ROW(FLAG,   truncate,     true, false,  "true",  0, false, ANY, ANY, NULL, "yarn: round the ends of the ramp to whole pairs"),
	ROW(REAL,   attention_factor, true, false, "nan", 0, true, ANY, ANY, "must be positive", "multiplies cos and sin; nan = the method's own"),
	ROW(REAL,   keep,         true, false,  "0.75",  0, false, 1,   ANY, "must lie in [0, 1]", "p-rope: share of the frequencies kept, highest first"),
	ROW(WHOLE,  window,       false, false, "0",     0, false, ANY, 2147483648.0, "must lie between 0 and 2^31", "a query sees keys at a distance below this, tokens; 0 = all"),
	ROW(REAL,   partial,      false, true, "1",     0, true,  1,   ANY, "must be above 0, at most 1", "share of each head's channels that are rotated, the first ones"),
	ROW(LIST,   rotated_layers,      false, true, "",      0, false, 1,   ANY, "must be a list of 0 and 1", "which layers are rotated, [1, 1, 1, 0]: repeated over the layers; [] = all"),
	ROW(LIST,   windowed_layers,     false, true, "",      0, false, 1,   ANY, "must be a list of 0 and 1", "which layers have the window, in the same way"),
	ROW(REAL,   low_freq_factor,  true, true, "1",  0, true,  ANY, ANY, NULL, "llama3: pairs that turn less often over the trained length are interpolated"),
	ROW(REAL,   high_freq_factor, true, true, "4",  0, true,  ANY, ANY, NULL, "llama3: pairs that turn more often over the trained length stay"),
	ROW(LIST,   short_factor, true,  true, "",      0, true,  ANY, ANY, "must be a list of positive numbers", "longrope: what divides each pair's frequency up to the trained length"),
	ROW(LIST,   long_factor,  true,  true, "",      0, true,  ANY, ANY, "must be a list of positive numbers", "longrope: and for inputs longer than that"),
	{.name = NULL},
};
/* clang-format on */
_Static_assert(sizeof sx_pos_params / sizeof sx_pos_params[0] == SX_POS_PARAMS + 1,
	       "a row for every field of sx_pos_opts");

const sx_pos_param *sx_pos_param_find(const char *name)
{
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (strcmp(p->name, name) == 0) return p;
	return NULL;
}

static void *field_of(const sx_pos_param *p, sx_pos_opts *o)
{
	return (unsigned char *)o + p->offset;
}

static const void *value_of(const sx_pos_param *p, const sx_pos_opts *o)
{
	return (const unsigned char *)o + p->offset;
}

/* ---- set ---- */

bool sx_pos_set_real(const sx_pos_param *p, sx_pos_opts *o, double v)
{
	if (p->type != SX_POS_REAL) return false;
	*(double *)field_of(p, o) = v;
	return true;
}

bool sx_pos_set_whole(const sx_pos_param *p, sx_pos_opts *o, int64_t v)
{
	if (p->type != SX_POS_WHOLE) return false;
	*(int64_t *)field_of(p, o) = v;
	return true;
}

bool sx_pos_set_flag(const sx_pos_param *p, sx_pos_opts *o, bool v)
{
	if (p->type != SX_POS_FLAG) return false;
	*(bool *)field_of(p, o) = v;
	return true;
}

bool sx_pos_set_list(const sx_pos_param *p, sx_pos_opts *o, const double *v, int64_t n)
{
	if (p->type != SX_POS_LIST || n > SX_POS_LIST_MOST) return false;
	sx_pos_list *l = field_of(p, o);
	*l = (sx_pos_list){.n = (int)n};
	for (int64_t i = 0; i < n; i++) l->at[i] = v[i];
	return true;
}

static bool set_numbers(const sx_pos_param *p, sx_pos_opts *o, const char *text)
{
	double v[SX_POS_LIST_MOST];
	int n = 0;
	for (char *end; *text; text = end + 1) {
		if (n == SX_POS_LIST_MOST) return false;
		v[n++] = strtod(text, &end);
		if (end == text || (*end && *end != ',')) return false;
		if (!*end) return sx_pos_set_list(p, o, v, n);
	}
	return n == 0 && sx_pos_set_list(p, o, v, 0);
}

static bool set_method(const sx_pos_param *p, sx_pos_opts *o, const char *name)
{
	size_t n = strlen(name);
	if (n >= sizeof o->method) return false;
	char *field = field_of(p, o);
	memset(field, 0, sizeof o->method);
	memcpy(field, name, n);
	return true;
}

bool sx_pos_set_text(const sx_pos_param *p, sx_pos_opts *o, const char *text)
{
	char *end;
	if (p->type == SX_POS_METHOD) return set_method(p, o, text);
	if (p->type == SX_POS_LIST) return set_numbers(p, o, text);
	if (p->type == SX_POS_FLAG) {
		bool yes = strcmp(text, "true") == 0;
		return (yes || strcmp(text, "false") == 0) && sx_pos_set_flag(p, o, yes);
	}
	if (p->type == SX_POS_WHOLE) {
		long long v = strtoll(text, &end, 10);
		return end != text && !*end && sx_pos_set_whole(p, o, v);
	}
	double v = strtod(text, &end);
	return end != text && !*end && sx_pos_set_real(p, o, v);
}

sx_pos_opts sx_pos_opts_default(void)
{
	sx_pos_opts o = {.theta = 0};
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		sx_pos_set_text(p, &o, p->fallback);
	return o;
}

/* ---- get, copy, compare ---- */

const char *sx_pos_method_name(const sx_pos_param *p, const sx_pos_opts *o)
{
	return p->type == SX_POS_METHOD ? value_of(p, o) : NULL;
}

double sx_pos_real(const sx_pos_param *p, const sx_pos_opts *o)
{
	return p->type == SX_POS_REAL ? *(const double *)value_of(p, o) : (double)NAN;
}

int64_t sx_pos_whole(const sx_pos_param *p, const sx_pos_opts *o)
{
	return p->type == SX_POS_WHOLE ? *(const int64_t *)value_of(p, o) : 0;
}

bool sx_pos_flag(const sx_pos_param *p, const sx_pos_opts *o)
{
	return p->type == SX_POS_FLAG && *(const bool *)value_of(p, o);
}

const sx_pos_list *sx_pos_list_of(const sx_pos_param *p, const sx_pos_opts *o)
{
	return p->type == SX_POS_LIST ? value_of(p, o) : NULL;
}

bool sx_pos_param_said(const sx_pos_param *p, const sx_pos_opts *o)
{
	sx_pos_opts fresh = *o;
	return !p->quiet || !sx_pos_set_text(p, &fresh, p->fallback) ||
	       !sx_pos_param_same(p, o, &fresh);
}

void sx_pos_param_copy(const sx_pos_param *p, sx_pos_opts *to, const sx_pos_opts *from)
{
	static const size_t sizes[] = {[SX_POS_METHOD] = sizeof to->method,
				       [SX_POS_REAL] = sizeof(double),
				       [SX_POS_WHOLE] = sizeof(int64_t),
				       [SX_POS_FLAG] = sizeof(bool),
				       [SX_POS_LIST] = sizeof(sx_pos_list)};
	memcpy(field_of(p, to), value_of(p, from), sizes[p->type]);
}

bool sx_pos_param_same(const sx_pos_param *p, const sx_pos_opts *a, const sx_pos_opts *b)
{
	if (p->type == SX_POS_METHOD) return strcmp(value_of(p, a), value_of(p, b)) == 0;
	if (p->type == SX_POS_WHOLE) return sx_pos_whole(p, a) == sx_pos_whole(p, b);
	if (p->type == SX_POS_FLAG) return sx_pos_flag(p, a) == sx_pos_flag(p, b);
	if (p->type == SX_POS_LIST) {
		const sx_pos_list *x = sx_pos_list_of(p, a), *y = sx_pos_list_of(p, b);
		bool same = x->n == y->n;
		for (int i = 0; same && i < x->n; i++)
			same = !(x->at[i] < y->at[i]) && !(x->at[i] > y->at[i]);
		return same;
	}
	double x = sx_pos_real(p, a), y = sx_pos_real(p, b);
	return x == y || (isnan(x) && isnan(y));
}

bool sx_pos_opts_same(const sx_pos_opts *a, const sx_pos_opts *b)
{
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (!sx_pos_param_same(p, a, b)) return false;
	return a->custom == b->custom;
}

/* ---- check ---- */

static bool in_range(const sx_pos_param *p, double v)
{
	if (isnan(v)) return strcmp(p->fallback, "nan") == 0;
	return (p->above ? v > p->least : v >= p->least) && v <= p->most && v <= p->guard &&
	       isfinite(v);
}

static sx_status check_list(const sx_pos_param *p, const sx_pos_opts *o, sx_ctx *ctx)
{
	const sx_pos_list *l = sx_pos_list_of(p, o);
	bool yes_no = l == &o->rotated_layers || l == &o->windowed_layers;
	for (int i = 0; i < l->n; i++) {
		double v = l->at[i];
		if (in_range(p, v) && !(yes_no && v > 0 && v < 1)) continue;
		return sx_fail(ctx, SX_ECONFIG, "%s = [.. %g ..]: %s", p->key, v, p->must);
	}
	return SX_OK;
}

sx_status sx_pos_opts_check(const sx_pos_opts *o, sx_ctx *ctx)
{
	for (const sx_pos_param *p = sx_pos_params; p->name; p++) {
		bool whole = p->type == SX_POS_WHOLE;
		double v = whole ? (double)sx_pos_whole(p, o) : sx_pos_real(p, o);
		sx_status st = p->type == SX_POS_LIST ? check_list(p, o, ctx) : SX_OK;
		if (st != SX_OK) return st;
		if (p->type == SX_POS_LIST || !p->must || in_range(p, v)) continue;
		if (whole)
			return sx_fail(ctx, SX_ECONFIG, "%s = %lld: %s", p->key,
				       (long long)sx_pos_whole(p, o), p->must);
		return sx_fail(ctx, SX_ECONFIG, "%s = %g: %s", p->key, v, p->must);
	}
	if (!(o->beta_fast > o->beta_slow) || !(o->beta_slow > 0))
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.beta_fast = %g, pos.beta_slow = %g: need fast > slow > 0",
			       o->beta_fast, o->beta_slow);
	if (!(o->high_freq_factor > o->low_freq_factor) || !(o->low_freq_factor > 0))
		return sx_fail(ctx, SX_ECONFIG,
			       "pos.high_freq_factor = %g, pos.low_freq_factor = %g: need high > "
			       "low > 0",
			       o->high_freq_factor, o->low_freq_factor);
	return SX_OK;
}

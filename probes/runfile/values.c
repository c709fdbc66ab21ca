/* Which values make sense where: of axes, of words by number, of whole numbers. What does not is damage
 * or a lie, and nothing is computed from it. */
#include "probes/runfile/priv.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps, tokens, counts: sums of many still fit 64 bits, and a double holds each. */
static const int64_t most_whole = (int64_t)1 << 48;

/* ---- what the model allows ---- */

/* Where it does not tell, or nonsense, more than any model has. */
static int64_t at_most(const json_t *model, const char *key)
{
	enum { MANY = 4096 };
	int64_t n = json_integer_value(json_object_get(model, key));
	return n > 0 && n < MANY ? n : MANY;
}

/* Layers and heads by /meta/model_json, where the file tells. */
static void read_model(sx_run_file *f)
{
	sx_run_file silent = *f;
	char **text = NULL;
	int64_t n = 0;
	json_t *model = NULL;
	silent.ctx = NULL;
	if (sx_run_has(f, SX_RUN_META_MODEL_JSON) &&
	    sx_run_strings(&silent, SX_RUN_META_MODEL_JSON, &text, &n) == SX_OK && n > 0)
		model = json_loads(text[0], 0, NULL);
	f->layers = at_most(model, "layers");
	f->heads = at_most(model, "heads");
	f->kv_heads = at_most(model, "kv_heads");
	json_decref(model);
	free(text);
}

/* ---- rules ---- */

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0) return true;
	return false;
}

/* Axes that count or are sorted; steps, lengths that were asked for and the like need not be. */
static bool is_sorted(sx_run_id axis)
{
	static const char *const free_order[] = {"step", "context_length", "distance", "width",
						 "t"};
	return sx_run_rows[axis].type != SX_DISK_STR &&
	       !is_one_of(sx_run_name(axis), free_order, sizeof free_order / sizeof *free_order);
}

static int64_t words_of(sx_run_id id)
{
	int64_t n = 1;
	for (const char *s = sx_run_rows[id].flags; s && (s = strchr(s, ' ')); s++) n++;
	return n;
}

/* The least and the largest whole number that may stand in a dataset. */
static void find_range(sx_run_file *f, sx_run_id id, int64_t *least, int64_t *most)
{
	const char *name = sx_run_name(id);
	*least = sx_run_is_axis(id) ? strcmp(name, "context_length") == 0 : -1; /* -1: missing */
	*most = most_whole;
	bool layer = !strcmp(name, "layer"), head = !strcmp(name, "head"),
	     kv_head = !strcmp(name, "kv_head");
	if (!layer && !head && !kv_head) return;
	if (!f->layers) read_model(f);
	*most = (layer ? f->layers : head ? f->heads : f->kv_heads) - 1;
	*least = 0;
}

static double number_at(const void *data, sx_run_mem mem, int64_t i)
{
	switch (mem) {
	case SX_MEM_F64:
		return ((const double *)data)[i];
	case SX_MEM_F32:
		return (double)((const float *)data)[i];
	case SX_MEM_I64:
		return (double)((const int64_t *)data)[i];
	case SX_MEM_I32:
		return ((const int32_t *)data)[i];
	default:
		return ((const uint8_t *)data)[i];
	}
}

sx_status sx_run_check_values(sx_run_file *f, sx_run_id id, const void *data, sx_run_mem mem,
			      int64_t n)
{
	enum { MISSING = 255 };
	sx_run_type type = sx_run_rows[id].type;
	int64_t least, most;
	if (type <= SX_DISK_F64 || type == SX_DISK_STR) return SX_OK;
	if (type == SX_DISK_FLAGS) {
		int64_t words = words_of(id);
		for (int64_t i = 0; i < n; i++) {
			double v = number_at(data, mem, i);
			if (v >= (double)words && v != MISSING)
				return sx_run_misfit(f, id,
						     "holds %.0f, which is none of its %lld "
						     "words: it is damaged, or of a later version",
						     v, (long long)words);
		}
		return SX_OK;
	}
	find_range(f, id, &least, &most);
	for (int64_t i = 0; i < n; i++) {
		double v = number_at(data, mem, i);
		if (!(v >= (double)least && v <= (double)most))
			return sx_run_misfit(f, id, "holds %.0f, which is not from %lld to %lld", v,
					     (long long)least, (long long)most);
	}
	return SX_OK;
}

/* ---- axes ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_name(const char *s)
{
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
	return *s != '\0';
}

/* Names on an axis: readers look for them, and print them. */
static sx_status check_names(sx_run_file *f, sx_run_id axis, const sx_run_set *s)
{
	char **name = NULL;
	sx_status st = sx_run_read_texts(f, axis, s, &name);
	if (st != SX_OK) return st;
	qsort(name, (size_t)s->dims[0], sizeof *name, by_text);
	for (int64_t i = 0; i < s->dims[0] && st == SX_OK; i++) {
		if (!is_name(name[i]))
			st = sx_run_misfit(f, axis, "has an entry that is no name: it is damaged");
		else if (i > 0 && strcmp(name[i - 1], name[i]) == 0)
			st = sx_run_misfit(f, axis, "names %.40s twice", name[i]);
	}
	free(name);
	return st;
}

sx_status sx_run_check_axis(sx_run_file *f, sx_run_id axis, const sx_run_set *s, int64_t from)
{
	sx_status st = SX_OK;
	int64_t n = s->dims[0] - from;
	double *value = NULL;
	if (n <= 0) return SX_OK;
	if (s->type == SX_DISK_STR) return check_names(f, axis, s);
	value = sx_calloc((size_t)n, sizeof *value);
	if (!value)
		return sx_fail(f->ctx, SX_ENOMEM, "no memory for %s of %s", sx_run_rows[axis].path,
			       f->path);
	SX_TRY(sx_run_read_block(f, axis, s, H5T_NATIVE_DOUBLE, &from, &n, value));
	SX_TRY(sx_run_check_values(f, axis, value, SX_MEM_F64, n));
	for (int64_t i = 0; i < n && st == SX_OK; i++) {
		if (!isfinite(value[i]))
			st = sx_run_misfit(f, axis, "is an axis with missing values");
		else if (i > 0 && is_sorted(axis) && !(value[i] > value[i - 1]))
			st = sx_run_misfit(f, axis, "is not in order: %.17g after %.17g", value[i],
					   value[i - 1]);
	}
out:
	free(value);
	return st;
}

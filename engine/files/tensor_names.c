/* Names as other programs wrap them, and the output matrix that a checkpoint may have twice. */
#include "engine/files/tensor_names.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* Parts of a name that torch.compile and DataParallel put in; no family's names have them. */
static const char *const wrappers[] = {"_orig_mod.", "module."};

static size_t wrapper_at(const char *part)
{
	for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
		if (strncmp(part, wrappers[i], strlen(wrappers[i])) == 0)
			return strlen(wrappers[i]);
	return 0;
}

/* Takes the wrappers out in place; whether there was one. */
static bool unwrap(char *name)
{
	bool found = false;
	for (char *part = name; part;) {
		size_t n = wrapper_at(part);
		if (n) {
			memmove(part, part + n, strlen(part + n) + 1);
			found = true;
			continue;
		}
		part = strchr(part, '.');
		if (part) part++;
	}
	return found;
}

static bool begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Length of what stands before `tail` in the one name that ends in it; -1 if there is none, or more
 * than one, or a name that does not begin with the same. */
static int64_t common_prefix(const sx_tensors *t, const char *tail)
{
	const char *found = NULL;
	size_t m = strlen(tail), n = 0;
	for (int64_t i = 0; i < t->n; i++) {
		const char *name = t->list[i].name;
		size_t len = strlen(name);
		if (len < m || strcmp(name + len - m, tail) != 0) continue;
		if (found || (len > m && name[len - m - 1] != '.')) return -1;
		found = name, n = len - m;
	}
	for (int64_t i = 0; found && i < t->n; i++)
		if (strncmp(t->list[i].name, found, n) != 0) return -1;
	return found ? (int64_t)n : -1;
}

/* Every name without its first `skip` characters, and with body in front unless it is the head's. */
static sx_status rename_all(sx_tensors *t, sx_ctx *ctx, size_t skip, const char *body,
			    const char *head)
{
	for (int64_t i = 0; i < t->n; i++) {
		const char *name = t->list[i].name + skip;
		char *now = sx_format("%s%s", strcmp(name, head) == 0 ? "" : body, name);
		if (!now) return sx_fail(ctx, SX_ENOMEM, "no memory for a table of tensors");
		free((void *)t->list[i].name);
		t->list[i].name = now;
	}
	return SX_OK;
}

/* Of a parameter that is there once; "" if the family has no such thing. */
static const char *place_name(const sx_model_family *f, const char *field)
{
	const sx_tensor_place *p = sx_tensor_place_find(f, field);
	return p ? p->tensor : "";
}

sx_status sx_tensor_names_fit(sx_tensors *t, sx_ctx *ctx, const sx_model_family *f)
{
	sx_status st = SX_OK;
	const char *embed = place_name(f, "embed"), *head = place_name(f, "head");
	const char *dot = strchr(embed, '.');
	char *body = sx_format("%.*s", dot ? (int)(dot - embed + 1) : 0, embed), *prefix = NULL;
	bool wrapped = false;
	if (!body) return sx_fail(ctx, SX_ENOMEM, "no memory for a table of tensors");
	for (int64_t i = 0; i < t->n; i++) wrapped |= unwrap((char *)t->list[i].name);
	if (wrapped) {
		sx_log(ctx, SX_LOG_INFO,
		       "%s: _orig_mod. and module. (torch.compile, DDP) are left out of the names "
		       "of its tensors",
		       t->path);
		SX_TRY(sx_tensors_sort(t, ctx));
	}
	if (sx_tensors_find(t, embed)) goto out;
	bool bodyless = false;
	int64_t n = common_prefix(t, embed);
	if (n < 0) {
		bodyless = true;
		n = common_prefix(t, embed + strlen(body));
		for (int64_t i = 0; n >= 0 && i < t->n; i++)
			if (begins_with(t->list[i].name + n, body)) n = -1;
	}
	if (n < 0) goto out; /* the loader names what it misses */
	prefix = sx_format("%.*s", (int)n, t->n ? t->list[0].name : "");
	SX_TRY(rename_all(t, ctx, (size_t)n, bodyless ? body : "", head));
	SX_TRY(sx_tensors_sort(t, ctx));
	if (n)
		sx_log(ctx, SX_LOG_INFO,
		       "%s: the prefix %s is left out of the names of its tensors", t->path,
		       prefix ? prefix : "");
	if (bodyless)
		sx_log(ctx, SX_LOG_INFO,
		       "%s: the names of its tensors lack %s in front, which is put there", t->path,
		       body);
out:
	free(prefix);
	free(body);
	return st;
}

/* ---- the output matrix ---- */

/* Half the distance of neighbours: relative, and that of subnormals. */
static void rounding_of(sx_dtype type, double *relative, double *smallest)
{
	bool half = type == SX_DTYPE_F16, brain = type == SX_DTYPE_BF16;
	*relative = half ? 0x1p-11 : brain ? 0x1p-8 : type == SX_DTYPE_F32 ? 0x1p-24 : 0;
	*smallest = half ? 0x1p-25 : brain ? 0x1p-134 : type == SX_DTYPE_F32 ? 0x1p-150 : 0;
}

/* Elements from i on, n of them. */
static sx_tensor slice(const sx_tensor *x, int64_t i, int64_t n)
{
	sx_tensor s = *x;
	s.data = (const char *)x->data + (size_t)i * sx_dtype_size(x->dtype);
	s.count = n;
	return s;
}

/* Whether two tensors hold the same numbers; of two types: up to the rounding of the narrower. */
static bool same_numbers(const sx_tensor *a, const sx_tensor *b)
{
	enum { CHUNK = 1024 };
	double x[CHUNK], y[CHUNK], rel_a, rel_b, min_a, min_b;
	if (a->rank != b->rank || a->count != b->count) return false;
	for (int i = 0; i < a->rank; i++)
		if (a->shape[i] != b->shape[i]) return false;
	if (a->dtype == b->dtype)
		return memcmp(a->data, b->data, (size_t)a->count * sx_dtype_size(a->dtype)) == 0;
	rounding_of(a->dtype, &rel_a, &min_a);
	rounding_of(b->dtype, &rel_b, &min_b);
	double rel = fmax(rel_a, rel_b), smallest = fmax(min_a, min_b);
	for (int64_t i = 0; i < a->count; i += CHUNK) {
		int64_t n = a->count - i < CHUNK ? a->count - i : CHUNK;
		sx_tensor p = slice(a, i, n), q = slice(b, i, n);
		if (sx_tensor_read_f64(NULL, &p, x) != SX_OK ||
		    sx_tensor_read_f64(NULL, &q, y) != SX_OK)
			return false;
		for (int64_t k = 0; k < n; k++) {
			double size = fmax(fabs(x[k]), fabs(y[k]));
			if (!(fabs(x[k] - y[k]) <= fmax(rel * size, smallest))) return false;
		}
	}
	return true;
}

sx_status sx_tensor_settle_tying(sx_spec *s, sx_ctx *ctx, const sx_tensors *t,
				 const sx_model_family *f, const char *config)
{
	const char *name = place_name(f, "head");
	const sx_tensor *head = sx_tensors_find(t, name);
	const sx_tensor *embed = sx_tensors_find(t, place_name(f, "embed"));
	if (!embed) return SX_OK; /* the loader says so */
	if (!s->tied && !head)
		return sx_fail(ctx, SX_EDATA,
			       "%s has no %s and %s does not say tie_word_embeddings: true; if the "
			       "embedding is the output matrix too, write that there",
			       t->path, name, config);
	if (s->tied && head && !same_numbers(head, embed)) {
		sx_log(ctx, SX_LOG_WARN,
		       "%s says tie_word_embeddings: true, but %s of %s is another matrix than the "
		       "embedding: the file's is used, and the model is not tied",
		       config, name, t->path);
		s->tied = false;
	}
	return SX_OK;
}

/* llama2.c checkpoints: a header of sizes, then tensors of one kind for all layers in a row. */
#include "engine/files/llama2c.h"

#include "engine/files/family.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC_V1 = 0x616b3432, HEADER_V0 = 28, HEADER_V1 = 256 };

/* A kind of tensor; sizes come from the spec. */
typedef enum { EMBED, ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3, NORM, FREQS, HEAD } kind;

static const kind order_v0[] = {EMBED, ATT_NORM, WQ, WK,   WV,    WO,  FFN_NORM,
				W1,    W2,       W3, NORM, FREQS, HEAD};
static const kind order_v1[] = {ATT_NORM, FFN_NORM, NORM, EMBED, WQ, WK, WV, WO, W1, W2, W3, HEAD};

/* Our parameter, rows, cols (0 = a vector), and whether every layer has one; the cosines and sines of
 * version 0 are none, since they follow from theta. */
typedef struct {
	const char *field;
	int64_t rows, cols;
	bool per_layer;
} layout;

static layout layout_of(kind k, const sx_spec *s)
{
	int64_t C = s->C, q = (int64_t)s->H * s->D, kv = (int64_t)s->Hkv * s->D, F = s->F;
	switch (k) {
	case EMBED:
		return (layout){"embed", s->V, C, false};
	case ATT_NORM:
		return (layout){"ln1", C, 0, true};
	case WQ:
		return (layout){"wq", q, C, true};
	case WK:
		return (layout){"wk", kv, C, true};
	case WV:
		return (layout){"wv", kv, C, true};
	case WO:
		return (layout){"wo", C, q, true};
	case FFN_NORM:
		return (layout){"ln2", C, 0, true};
	case W1:
		return (layout){"wg", F, C, true};
	case W2:
		return (layout){"wd", C, F, true};
	case W3:
		return (layout){"wu", F, C, true};
	case NORM:
		return (layout){"ln_f", C, 0, false};
	case FREQS:
		return (layout){NULL, 2 * s->T, s->D / 2, false};
	case HEAD:
		return (layout){"head", s->tied ? 0 : s->V, C, false};
	}
	return (layout){0};
}

static int64_t layout_count(layout l, const sx_spec *s)
{
	return l.rows * (l.cols ? l.cols : 1) * (l.per_layer ? s->L : 1);
}

/* Fills the spec from the seven sizes; false if they cannot be those of a model. The bounds keep
 * every product below 2^63. */
static bool spec_of(const int32_t size[7], bool tied, sx_spec *s)
{
	*s = sx_spec_default();
	s->C = size[0], s->F = size[1], s->L = size[2], s->H = size[3], s->Hkv = size[4];
	s->V = size[5], s->T = size[6];
	if (s->C < 1 || s->H < 1 || s->C % s->H) return false;
	s->D = s->C / s->H;
	s->eps = 1e-5;
	s->tied = tied;
	s->interleaved = true;
	s->bos = s->V > 2 ? 1 : -1, s->eos = s->V > 2 ? 2 : -1;
	return sx_spec_check(s, NULL) == SX_OK;
}

/* Sets the spec, the order of the tensors and where they start. */
static sx_status read_header(sx_ctx *ctx, const char *path, const unsigned char *base, size_t size,
			     sx_spec *spec, const kind **order, int *n_order, size_t *start)
{
	int32_t h[9] = {0}; /* the magic and the version, absent in version 0, before the sizes */
	if (size < HEADER_V0)
		return sx_fail(ctx, SX_EDATA, "%s is not a llama2.c model: it has %zu bytes", path,
			       size);
	memcpy(h, base, 4);
	bool v1 = h[0] == MAGIC_V1, tied;
	if (v1) {
		if (size < HEADER_V1)
			return sx_fail(ctx, SX_EDATA, "%s is truncated: its header is cut", path);
		memcpy(h, base, sizeof h);
		if (h[1] != 1)
			return sx_fail(ctx, SX_EDATA,
				       "%s is a llama2.c model of version %d; only 0 and 1 "
				       "(float32) are read: export it with --version 1",
				       path, (int)h[1]);
		tied = base[36] != 0;
	} else {
		memcpy(h + 2, base, HEADER_V0);
		tied = h[7] > 0;
		if (h[7] < 0 && h[7] > INT32_MIN) h[7] = -h[7];
	}
	if (!spec_of(h + 2, tied, spec))
		return sx_fail(ctx, SX_EDATA,
			       "%s is not a llama2.c model: width %d, ffn %d, layers %d, heads %d, "
			       "kv heads %d, vocabulary %d, context %d cannot be",
			       path, (int)h[2], (int)h[3], (int)h[4], (int)h[5], (int)h[6],
			       (int)h[7], (int)h[8]);
	*order = v1 ? order_v1 : order_v0;
	*n_order = v1 ? (int)(sizeof order_v1 / sizeof *order_v1)
		      : (int)(sizeof order_v0 / sizeof *order_v0);
	*start = v1 ? HEADER_V1 : HEADER_V0;
	return SX_OK;
}

/* Adds the tensors of one kind, which start at data. */
static sx_status add_kind(sx_tensors *t, sx_ctx *ctx, layout l, int layers,
			  const unsigned char *data)
{
	sx_tensor x = {.dtype = SX_DTYPE_F32, .rank = l.cols ? 2 : 1, .shape = {l.rows, l.cols}};
	x.count = l.rows * (l.cols ? l.cols : 1);
	const sx_tensor_place *place = sx_tensor_place_find(t->family, l.field);
	for (int layer = 0; place && layer < (l.per_layer ? layers : 1); layer++) {
		char name[SX_TENSOR_NAME];
		sx_tensor_place_name(name, place, layer);
		x.name = name;
		x.data = data + (size_t)layer * (size_t)x.count * sizeof(float);
		sx_status st = sx_tensors_add(t, ctx, &x);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

sx_status sx_llama2c_open(sx_tensors **out, sx_spec *spec, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	sx_spec s;
	const unsigned char *base = NULL;
	const kind *order = NULL;
	size_t size = 0, at = 0;
	int n_order = 0;
	sx_tensors *t = sx_calloc(1, sizeof *t);
	if (!t || !(t->path = sx_strdup(path))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory to open %s", path);
		goto out;
	}
	t->family = &sx_model_family_llama;
	SX_TRY(sx_tensors_map(t, ctx, path, &base, &size));
	if (size >= 4 && memcmp(base, "PK\3\4", 4) == 0) SX_TRY(sx_refuse_pickle(ctx, path));
	SX_TRY(read_header(ctx, path, base, size, &s, &order, &n_order, &at));
	int64_t need = (int64_t)at;
	for (int i = 0; i < n_order; i++)
		need += layout_count(layout_of(order[i], &s), &s) * (int64_t)sizeof(float);
	if ((int64_t)size != need) {
		st = sx_fail(ctx, SX_EDATA,
			     "%s has %lld bytes, its header asks for %lld: it is %s; copy or "
			     "download it again",
			     path, (long long)size, (long long)need,
			     (int64_t)size < need ? "truncated"
						  : "not a llama2.c model or damaged");
		goto out;
	}
	for (int i = 0; i < n_order; i++) {
		layout l = layout_of(order[i], &s);
		if (l.field && l.rows) SX_TRY(add_kind(t, ctx, l, s.L, base + at));
		at += (size_t)layout_count(l, &s) * sizeof(float);
	}
	SX_TRY(sx_tensors_sort(t, ctx));
	*out = t;
	*spec = s;
	t = NULL;
out:
	sx_tensors_free(t);
	return st;
}

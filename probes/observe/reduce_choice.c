/* What the reducers are told: words into axes, and the arrays to fill. */
#include "probes/observe/measures.h"
#include "probes/observe/reduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int sx_reduce_bin(int64_t offset)
{
	if (offset < SX_REDUCE_EXACT) return (int)offset;
	int bin = SX_REDUCE_EXACT;
	while (bin < SX_REDUCE_BINS - 1 && offset >= sx_reduce_bin_edge(bin + 1)) bin++;
	return bin;
}

int64_t sx_reduce_bin_edge(int bin)
{
	if (bin < SX_REDUCE_EXACT) return bin;
	return (int64_t)SX_REDUCE_EXACT << (bin - SX_REDUCE_EXACT);
}

/* ---- words ---- */

static sx_status read_what(sx_reduce *r, sx_ctx *ctx, const char *what)
{
	const struct {
		const char *name;
		bool *on;
	} kinds[] = {{"offsets", &r->offsets},
		     {"keys", &r->keys},
		     {"rows", &r->rows},
		     {"masses", &r->masses},
		     {"distance", &r->distance}};
	enum { N = sizeof kinds / sizeof kinds[0] };
	for (const char *s = what; s && *s;) {
		size_t n = strcspn(s, ",");
		bool all = n == 3 && strncmp(s, "all", n) == 0, known = all;
		for (int k = 0; k < N; k++)
			if (all || (strlen(kinds[k].name) == n && !strncmp(s, kinds[k].name, n)))
				*kinds[k].on = known = true;
		if (!known || (s[n] && !s[n + 1]))
			return sx_fail(ctx, SX_EUSAGE,
				       "reducers %s: want all, or some of offsets, keys, rows, "
				       "masses, distance with commas",
				       what);
		s += n + (s[n] == ',');
	}
	return SX_OK;
}

/* ---- spans ---- */

typedef struct {
	char name[SX_SPAN_NAME];
	int64_t first, last, sequence; /* -1 = every sequence */
} span_line;

static sx_status read_span(span_line *x, sx_ctx *ctx, const char *path, int64_t number,
			   const char *text, const sx_reduce *r)
{
	size_t n = strcspn(text, " \t\r");
	const char *s = text + n;
	bool ok = n < SX_SPAN_NAME;
	if (ok) memcpy(x->name, text, n), x->name[n] = '\0';
	s += strspn(s, " \t\r");
	ok = ok && sx_read_number(&s, &x->first) && strspn(s, " \t\r") > 0;
	s += strspn(s, " \t\r");
	ok = ok && sx_read_number(&s, &x->last);
	s += strspn(s, " \t\r");
	x->sequence = -1;
	if (ok && *s) ok = sx_read_number(&s, &x->sequence) && x->sequence < r->S;
	s += strspn(s, " \t\r");
	if (ok && *s == '\0' && x->first <= x->last && x->last < r->T) return SX_OK;
	return sx_fail(
		ctx, SX_EDATA,
		"%s, line %lld: want NAME FIRST LAST [SEQUENCE], a name of at most %d bytes, "
		"positions below %lld and sequences below %lld, both from 0",
		path, (long long)number, SX_SPAN_NAME - 1, (long long)r->T, (long long)r->S);
}

static int64_t span_index(sx_reduce *r, const char *name)
{
	int64_t k = 0;
	while (k < r->n_span && strcmp(r->span[k], name) != 0) k++;
	if (k == r->n_span) memcpy(r->span[r->n_span++], name, SX_SPAN_NAME);
	return k;
}

/* Lines into (S,n) first and last; n is the number of lines, of names at most. */
static sx_status place_spans(sx_reduce *r, sx_ctx *ctx, const char *path, const span_line *line,
			     int64_t n)
{
	r->span = sx_calloc((size_t)n, sizeof *r->span);
	r->span_first = sx_calloc((size_t)(r->S * n), sizeof *r->span_first);
	r->span_last = sx_calloc((size_t)(r->S * n), sizeof *r->span_last);
	if (!r->span || !r->span_first || !r->span_last)
		return sx_fail(ctx, SX_ENOMEM, "no memory for spans");
	for (int64_t k = 0; k < n; k++) span_index(r, line[k].name);
	for (int64_t k = 0; k < r->S * n; k++) r->span_first[k] = r->span_last[k] = -1;
	for (int64_t k = 0; k < n; k++) {
		int64_t at = span_index(r, line[k].name), only = line[k].sequence;
		for (int64_t s = only < 0 ? 0 : only; s < (only < 0 ? r->S : only + 1); s++) {
			int32_t *first = &r->span_first[s * r->n_span + at];
			if (*first >= 0)
				return sx_fail(ctx, SX_EDATA,
					       "%s: sequence %lld has span %s twice; give each its "
					       "own name",
					       path, (long long)s, line[k].name);
			*first = (int32_t)line[k].first;
			r->span_last[s * r->n_span + at] = (int32_t)line[k].last;
		}
	}
	return SX_OK;
}

static sx_status read_spans(sx_reduce *r, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	char *text = NULL;
	span_line *line = NULL;
	int64_t n = 0, most = 1, number = 1;
	size_t size;
	SX_TRY(sx_read_file(ctx, path, &text, &size));
	for (size_t i = 0; i < size; i++) most += text[i] == '\n';
	line = sx_calloc((size_t)most, sizeof *line);
	if (!line) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for spans");
		goto out;
	}
	for (char *s = text; s; number++) {
		char *end = strchr(s, '\n');
		if (end) *end = '\0';
		s += strspn(s, " \t\r");
		if (*s && *s != '#') SX_TRY(read_span(&line[n++], ctx, path, number, s, r));
		s = end ? end + 1 : NULL;
	}
	if (n == 0) {
		st = sx_fail(ctx, SX_EDATA, "%s: holds no span; want lines NAME FIRST LAST", path);
		goto out;
	}
	SX_TRY(place_spans(r, ctx, path, line, n));
out:
	free(line);
	free(text);
	return st;
}

/* ---- the whole ---- */

static sx_status set_sizes(sx_reduce *r, sx_ctx *ctx, const sx_reduce_words *w)
{
	if (w->top < 0 || w->top > SX_REDUCE_TOP)
		return sx_fail(ctx, SX_EUSAGE, "the %d largest entries of a row: want at most %d",
			       w->top, SX_REDUCE_TOP);
	if (w->thumbnails < 0 || w->thumbnails > SX_REDUCE_BLOCKS)
		return sx_fail(ctx, SX_EUSAGE, "thumbnails of %lld blocks a side: want at most %d",
			       (long long)w->thumbnails, SX_REDUCE_BLOCKS);
	r->top = w->top;
	if (w->thumbnails) {
		r->block = (r->T + w->thumbnails - 1) / w->thumbnails;
		r->n_block = (r->T + r->block - 1) / r->block;
	}
	r->n_bin = sx_reduce_bin(r->T - 1) + 1;
	for (r->n_width = 1; (int64_t)1 << r->n_width < r->T;) r->n_width++;
	return SX_OK;
}

sx_status sx_reduce_new(sx_reduce **out, sx_ctx *ctx, const sx_reduce_words *w, int L, int H,
			int64_t S, int64_t T)
{
	sx_status st = SX_OK;
	sx_reduce *r = sx_calloc(1, sizeof *r);
	if (!r) return sx_fail(ctx, SX_ENOMEM, "no memory for the reducers");
	r->L = L, r->H = H, r->S = S, r->T = T;
	SX_TRY(read_what(r, ctx, w->what));
	SX_TRY(set_sizes(r, ctx, w));
	SX_TRY(sx_choice_make(&r->choice, ctx, w->heads, w->rows, L, H, T));
	if (w->spans && *w->spans) SX_TRY(read_spans(r, ctx, w->spans));
	*out = r;
	r = NULL;
out:
	sx_reduce_free(r);
	return st;
}

void sx_reduce_free(sx_reduce *r)
{
	if (!r) return;
	sx_choice_free(&r->choice);
	free(r->span);
	free(r->span_first);
	free(r->span_last);
	free(r);
}

/* ---- what comes out ---- */

/* Numbers of one head: doubles, floats, ints. */
typedef struct {
	int64_t f64, f32, i32;
} head_size;

static head_size size_of_head(const sx_reduce *r)
{
	head_size n = {0};
	if (r->offsets) n.f64 += SX_REDUCE_OFFSETS * r->n_bin;
	if (r->keys) n.f64 += r->T;
	if (r->rows) n.f64 += 2 * r->choice.n_query, n.i32 += r->choice.n_query;
	if (r->masses) n.f64 += 2 * r->n_width;
	if (r->distance) n.f64 += 2;
	n.f64 += r->n_span + 2 * r->n_block * r->n_block;
	n.f32 = r->top * r->choice.n_query, n.i32 += r->top * r->choice.n_query;
	return n;
}

static int64_t heads_of(const sx_reduce *r)
{
	return r->S * r->choice.n_layer * r->choice.n_head;
}

int64_t sx_reduced_bytes(const sx_reduce *r)
{
	head_size n = size_of_head(r);
	return heads_of(r) * (n.f64 * 8 + n.f32 * 4 + n.i32 * 4);
}

static void make(double **a, bool want, int64_t n, bool *ok)
{
	if (!want || n == 0 || !*ok) return;
	*a = sx_calloc((size_t)n, sizeof **a);
	*ok = *a != NULL;
	for (int64_t i = 0; *a && i < n; i++) (*a)[i] = (double)NAN;
}

static void make_places(int32_t **a, bool want, int64_t n, bool *ok)
{
	if (!want || !*ok) return;
	*a = sx_calloc((size_t)n, sizeof **a);
	*ok = *a != NULL;
	for (int64_t i = 0; *a && i < n; i++) (*a)[i] = -1;
}

sx_status sx_reduced_new(sx_reduced **out, sx_ctx *ctx, const sx_reduce *r)
{
	sx_reduced *d = sx_calloc(1, sizeof *d);
	if (!d) return sx_fail(ctx, SX_ENOMEM, "no memory for the reducers");
	int64_t n = heads_of(r), top = n * r->choice.n_query * r->top;
	bool ok = true;
	for (int q = 0; q < SX_REDUCE_OFFSETS; q++)
		make(&d->offset[q], r->offsets, n * r->n_bin, &ok);
	make(&d->key_mass, r->keys, n * r->T, &ok);
	make(&d->row_entropy, r->rows, n * r->choice.n_query, &ok);
	make(&d->row_max, r->rows, n * r->choice.n_query, &ok);
	make_places(&d->row_max_offset, r->rows, n * r->choice.n_query, &ok);
	make(&d->sink_mass, r->masses, n * r->n_width, &ok);
	make(&d->window_mass, r->masses, n * r->n_width, &ok);
	make(&d->distance, r->distance, n, &ok);
	make(&d->distance2, r->distance, n, &ok);
	make(&d->span_mass, r->n_span > 0, n * r->n_span, &ok);
	make(&d->block_mean, r->n_block > 0, n * r->n_block * r->n_block, &ok);
	make(&d->block_max, r->n_block > 0, n * r->n_block * r->n_block, &ok);
	make_places(&d->top_key, r->top > 0, top, &ok);
	if (r->top > 0 && ok) {
		d->top_prob = sx_calloc((size_t)top, sizeof *d->top_prob);
		ok = d->top_prob != NULL;
		for (int64_t i = 0; ok && i < top; i++) d->top_prob[i] = NAN;
	}
	if (!ok) {
		sx_reduced_free(d);
		return sx_fail(ctx, SX_ENOMEM,
			       "no memory for the reducers of %lld heads at %lld tokens: choose "
			       "fewer heads or rows",
			       (long long)n, (long long)r->T);
	}
	*out = d;
	return SX_OK;
}

void sx_reduced_free(sx_reduced *d)
{
	if (!d) return;
	for (int q = 0; q < SX_REDUCE_OFFSETS; q++) free(d->offset[q]);
	double *const all[] = {d->key_mass,    d->row_entropy, d->row_max,   d->sink_mass,
			       d->window_mass, d->distance,    d->distance2, d->span_mass,
			       d->block_mean,  d->block_max};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
	free(d->row_max_offset);
	free(d->top_prob);
	free(d->top_key);
	free(d);
}

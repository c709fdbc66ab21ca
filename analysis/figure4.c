#include "analysis/figure4.h"

#include "analysis/last.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sx_figure4_family[SX_FIGURE4_FAMILIES] = {"diagonal", "previous"};

/* clang-format off */
const sx_figure4_curves sx_figure4_paper = {
	{{ .48, .71, .99, .97, .91, 1.02, .96, 1.03, 1.08, 1.13, 1.10, 1.27,
	   1.06, 1.18, 1.23, 1.22, 1.13, 1.21, 1.24, 1.35, 1.21, 1.33, 1.29, 1.41},
	 { .48, .57, .57, .62, .61, .62, .65, .64, .64, .65, .66, .66,
	   .68, .68, .68, .67, .66, .74, .69, .71, .71, .75, .74, .72}},
	{{ .385, .53, .60, .67, .77, .84, .77, .78, .82, .78, .89, .86,
	   .97, .96, .86, .98, .91, .90, .84, .93, .96, .89, .93, .99},
	 { .38, .42, .43, .46, .44, .46, .46, .47, .47, .46, .49, .46,
	   .48, .51, .50, .47, .48, .48, .51, .50, .48, .49, .48, .49}},
};
/* clang-format on */

const char *sx_figure4_by_name(sx_figure4_by b)
{
	static const char *const names[] = {"W_Q", "W_K", "W_Q and W_K"};
	return names[b];
}

char *sx_figure4_words(const sx_figure4_protocol *p)
{
	return sx_format("T = %lld, by %s, %s over heads, %s %lld sequences", (long long)p->length,
			 sx_figure4_by_name(p->by), p->root_sum ? "root sum of squares" : "mean",
			 p->batch ? "of the mean of A_c over" : "mean of the norms of",
			 (long long)p->sequences);
}

/* Root mean square of d[i] - shift. */
static double rms_of(const double *d, int n, double shift)
{
	double sum = 0;
	for (int i = 0; i < n; i++) sum += (d[i] - shift) * (d[i] - shift);
	return sqrt(sum / n);
}

void sx_figure4_compare(sx_figure4_fit *f)
{
	enum { N = SX_FIGURE4_FAMILIES * SX_FIGURE4_METHODS * SX_FIGURE4_LAYERS };
	double d[N], ratio[N / SX_FIGURE4_METHODS], mean = 0;
	int n = 0, k = 0;
	for (int c = 0; c < SX_FIGURE4_FAMILIES; c++)
		for (int l = 0; l < SX_FIGURE4_LAYERS; l++) {
			const int first = n;
			for (int m = 0; m < SX_FIGURE4_METHODS; m++)
				d[n++] = log(f->curve[c][m][l] / sx_figure4_paper[c][m][l]);
			ratio[k++] = d[first + SX_FIGURE4_ROPE] - d[first + SX_FIGURE4_NOPE];
		}
	for (int i = 0; i < N; i++) mean += d[i] / N;
	f->rms = rms_of(d, N, 0);
	f->factor = exp(-mean);
	f->rms_scaled = rms_of(d, N, mean);
	f->rms_ratio = rms_of(ratio, k, 0);
}

int64_t sx_figure4_best(const sx_figure4_fit *fit, int64_t n, bool scaled)
{
	int64_t best = 0;
	for (int64_t i = 1; i < n; i++)
		if (scaled ? fit[i].rms_scaled < fit[best].rms_scaled : fit[i].rms < fit[best].rms)
			best = i;
	return best;
}

/* ---- a trace ---- */

typedef struct {
	int64_t T, S, H, n_c, n_wrt, wq, wk, family[SX_FIGURE4_FAMILIES];
	double *norm;  /* (S,L,H,n_c,n_wrt)                       */
	double *batch; /* (L,H,n_c,n_wrt); NULL: it has none      */
} trace;

static void trace_free(trace *t)
{
	free(t->norm);
	free(t->batch);
}

static sx_status read_trace(trace *t, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], n = 0;
	int ndim = 0;
	const char *path = sx_run_file_path(f);
	if (!sx_run_has(f, SX_RUN_AC_GRAD_NORM) || !sx_run_has(f, SX_RUN_OUT_NLL))
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: not a trace with gradients of A_c", path));
	SX_TRY(sx_run_shape(f, SX_RUN_OUT_NLL, dims, &ndim));
	t->T = dims[1];
	SX_TRY(sx_run_shape(f, SX_RUN_AC_GRAD_NORM, dims, &ndim));
	if (dims[0] != 1 || dims[2] != SX_FIGURE4_LAYERS)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: %lld layers, figure 4 is of %d", path,
			       (long long)dims[2], SX_FIGURE4_LAYERS));
	t->S = dims[1], t->H = dims[3], t->n_c = dims[4], t->n_wrt = dims[5];
	SX_TRY(sx_last_word(&t->wq, &n, ctx, f, SX_RUN_AC_WRT, "wq"));
	SX_TRY(sx_last_word(&t->wk, &n, ctx, f, SX_RUN_AC_WRT, "wk"));
	for (int c = 0; c < SX_FIGURE4_FAMILIES; c++)
		SX_TRY(sx_last_word(&t->family[c], &n, ctx, f, SX_RUN_AC_C, sx_figure4_family[c]));
	SX_TRY(sx_run_read_all(f, SX_RUN_AC_GRAD_NORM, &t->norm, &n));
	if (sx_run_has(f, SX_RUN_AC_BATCH_GRAD_NORM))
		SX_TRY(sx_run_read_all(f, SX_RUN_AC_BATCH_GRAD_NORM, &t->batch, &n));
out:
	return st;
}

/* Over the heads of one layer, whose norms begin at x. */
static double of_layer(const trace *t, const double *x, int c, const sx_figure4_protocol *p)
{
	double sum = 0;
	for (int64_t h = 0; h < t->H; h++) {
		const double *norm = x + (h * t->n_c + t->family[c]) * t->n_wrt;
		double q = p->by == SX_FIGURE4_WK ? 0 : norm[t->wq],
		       k = p->by == SX_FIGURE4_WQ ? 0 : norm[t->wk];
		sum += p->root_sum ? q * q + k * k : sqrt(q * q + k * k) / (double)t->H;
	}
	return p->root_sum ? sqrt(sum) : sum;
}

static void draw_curve(double curve[SX_FIGURE4_LAYERS], const trace *t, int c,
		       const sx_figure4_protocol *p)
{
	int64_t layer = t->H * t->n_c * t->n_wrt, all = SX_FIGURE4_LAYERS * layer;
	for (int l = 0; l < SX_FIGURE4_LAYERS; l++) {
		if (p->batch) {
			curve[l] = of_layer(t, t->batch + l * layer, c, p);
			continue;
		}
		curve[l] = 0;
		for (int64_t s = 0; s < t->S; s++)
			curve[l] += of_layer(t, t->norm + s * all + l * layer, c, p) / (double)t->S;
	}
}

/* Every protocol of one pair. */
static void fit_pair(sx_figure4_fit *out, int64_t *n, const trace *const t[SX_FIGURE4_METHODS])
{
	bool batch = t[SX_FIGURE4_ROPE]->batch && t[SX_FIGURE4_NOPE]->batch;
	for (int k = 0; k < 4 * SX_FIGURE4_BY; k++) {
		sx_figure4_fit *f = &out[*n];
		*f = (sx_figure4_fit){.p = {.length = t[0]->T,
					    .sequences = t[0]->S,
					    .by = (sx_figure4_by)(k % SX_FIGURE4_BY),
					    .root_sum = k / SX_FIGURE4_BY % 2,
					    .batch = k / SX_FIGURE4_BY / 2}};
		if (f->p.batch && !batch) continue;
		for (int c = 0; c < SX_FIGURE4_FAMILIES; c++)
			for (int m = 0; m < SX_FIGURE4_METHODS; m++)
				draw_curve(f->curve[c][m], t[m], c, &f->p);
		sx_figure4_compare(f);
		(*n)++;
	}
}

sx_status sx_figure4_fits(sx_figure4_fit **out, int64_t *n_fit, sx_ctx *ctx,
			  sx_run_file *const *file, const bool *rotated, int64_t n)
{
	sx_status st = SX_OK;
	int64_t count = 0;
	trace *t = sx_calloc((size_t)n + 1, sizeof *t);
	sx_figure4_fit *fit = sx_calloc((size_t)(n * 4 * SX_FIGURE4_BY) + 1, sizeof *fit);
	if (!t || !fit) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the protocols"));
	for (int64_t i = 0; i < n; i++) SX_TRY(read_trace(&t[i], ctx, file[i]));
	for (int64_t i = 0; i < n; i++) {
		int64_t k = 0;
		while (k < n && (rotated[k] == rotated[i] || t[k].T != t[i].T || t[k].S != t[i].S ||
				 t[k].H != t[i].H))
			k++;
		if (k == n)
			SX_TRY(sx_fail(ctx, SX_EDATA,
				       "%s: no trace of the same length, sequences and heads %s "
				       "rotation beside it",
				       sx_run_file_path(file[i]), rotated[i] ? "without" : "with"));
		if (rotated[i]) fit_pair(fit, &count, (const trace *const[]){&t[i], &t[k]});
	}
	*out = fit, *n_fit = count;
	fit = NULL;
out:
	for (int64_t i = 0; t && i < n; i++) trace_free(&t[i]);
	free(t);
	free(fit);
	return st;
}

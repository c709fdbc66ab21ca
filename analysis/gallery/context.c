/* Figure `context`: from evaluations of several models to its curves. */
#include "analysis/extension.h"
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"
#include "engine/pos/pos.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KINDS = 8 };

typedef struct {
	int n_kind;
	const char *kind[MOST_KINDS];
	sx_extension *of[MOST_KINDS]; /* one for each kind; without any kind one for the losses */
	int n_curve;
	sx_fig_context_curve *curve;
	double **numbers; /* (n_curve) what a curve points into */
	char **method;    /* (n_curve) as shown                 */
} work;

static void work_free(work *w)
{
	for (int k = 0; k < MOST_KINDS; k++) sx_extension_free(w->of[k]);
	for (int i = 0; i < w->n_curve; i++) {
		free(w->numbers[i]);
		free(w->method[i]);
	}
	free(w->numbers);
	free(w->method);
	free(w->curve);
}

static void add_kinds(work *w, const sx_input *in)
{
	for (int64_t i = 0; i < in->n_kind; i++) {
		int k = 0;
		while (k < w->n_kind && strcmp(w->kind[k], in->needle[i]) != 0) k++;
		if (k == w->n_kind && k < MOST_KINDS) w->kind[w->n_kind++] = in->needle[i];
	}
}

static sx_status read_all(work *w, sx_ctx *ctx, const sx_figure_args *a, const sx_input *in)
{
	sx_status st = SX_OK;
	size_t n = (size_t)a->n_input;
	sx_run_file **file = sx_calloc(n, sizeof *file);
	const char **label = sx_calloc(n, sizeof *label);
	if (!file || !label) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++) {
		file[i] = in[i].file;
		label[i] = in[i].label;
		add_kinds(w, &in[i]);
	}
	for (int k = 0; k < w->n_kind || k == 0; k++)
		SX_TRY(sx_extension_read_step(&w->of[k], ctx, file, label, a->n_input,
					      w->n_kind ? w->kind[k] : NULL, a->step));
out:
	free(file);
	free(label);
	return st;
}

static bool has_loss(const sx_extension_row *r, sx_loss_kind loss)
{
	for (int i = 0; i < r->n_length; i++)
		if (!isnan(r->loss[loss][i])) return true;
	return false;
}

/* The loss on the filler is what can be compared between lengths, where all inputs have it. */
static sx_loss_kind choose_loss(const sx_extension *e)
{
	for (int i = 0; i < e->n_row; i++)
		if (!has_loss(&e->row[i], SX_LOSS_TEXT_LAST)) return SX_LOSS;
	return SX_LOSS_TEXT_LAST;
}

/* Of a label and method: the chosen row; without one that with the smallest temperature. */
static bool is_shown(const sx_extension *e, const sx_extension_row *r)
{
	const sx_extension_row *best = r;
	for (int i = 0; i < e->n_row; i++) {
		const sx_extension_row *o = &e->row[i];
		if (strcmp(o->label, r->label) != 0 || strcmp(o->method, r->method) != 0) continue;
		if (o->chosen > best->chosen || (o->chosen == best->chosen && o->c < best->c))
			best = o;
	}
	return best == r;
}

/* The row of the same label and method whose temperature was chosen for the text, or the row itself. */
static int row_of_text(const sx_extension *e, int row)
{
	const sx_extension_row *r = &e->row[row];
	for (int i = 0; r->chosen && i < e->n_row; i++)
		if (e->row[i].chosen_text && strcmp(e->row[i].label, r->label) == 0 &&
		    strcmp(e->row[i].method, r->method) == 0)
			return i;
	return row;
}

/* Beside other models a control is shown with the one method that did best on the problems set apart:
 * all methods of two models cannot be told apart. */
static bool is_left_out(const sx_extension *e, const sx_extension_row *r, const sx_input *in)
{
	bool others = false;
	for (int i = 0; i < e->n_row; i++)
		others = others || strcmp(e->row[i].label, r->label) != 0;
	return in->kind == SX_FIG_CONTROL && others && r->chosen &&
	       sx_extension_best(e, r->label, NULL, false) != r;
}

/* Was the model evaluated as it stands, or with the method it has? */
static bool is_own(const sx_input *in, const sx_extension_row *r)
{
	return sx_run_has(in->file, SX_RUN_EVAL_STEP) || !r->method[0] ||
	       strcmp(in->method, r->method) == 0;
}

/* As the field writes it, with what an evaluation says behind the name: "YaRN (shipped)". The
 * caller's. */
static char *shown_method(const char *method)
{
	size_t n = strcspn(method, " ");
	char *name = sx_format("%.*s", (int)n, method);
	char *shown = name ? sx_format("%s%s", sx_pos_display(name), method + n) : NULL;
	free(name);
	return shown;
}

static sx_status add_curve(work *w, sx_ctx *ctx, const sx_input *in, int row, int text,
			   sx_loss_kind loss)
{
	const sx_extension_row *r = &w->of[0]->row[row], *of_text = &w->of[0]->row[text];
	size_t n = (size_t)(r->n_length * w->n_kind);
	double *at = sx_calloc(4 * n + (size_t)w->n_kind + 1, sizeof *at);
	char *method = is_own(in, r) ? sx_strdup("") : shown_method(r->method);
	if (!at || !method) {
		free(at);
		free(method);
		return sx_fail(ctx, SX_ENOMEM, "no memory for the numbers of %s", in->path);
	}
	double *rate = at, *low = at + n, *high = at + 2 * n, *chance = at + 3 * n;
	double *blind = at + 4 * n;
	for (int k = 0; k < w->n_kind; k++) {
		const sx_extension_row *o = &w->of[k]->row[row];
		blind[k] = o->chance_blind;
		for (int t = 0; t < r->n_length; t++) {
			rate[k * r->n_length + t] = o->rate[t].value;
			low[k * r->n_length + t] = o->rate[t].lo;
			high[k * r->n_length + t] = o->rate[t].hi;
			chance[k * r->n_length + t] = o->chance_window[t];
		}
	}
	w->numbers[w->n_curve] = at;
	w->method[w->n_curve] = method;
	w->curve[w->n_curve++] = (sx_fig_context_curve){.label = r->label,
							.kind = in->kind,
							.method = method,
							.c = r->c,
							.c_text = of_text->c,
							.n_length = r->n_length,
							.n_seed = r->n_seed,
							.length = r->length,
							.nll = of_text->loss[loss],
							.seed_nll = of_text->seed_loss[loss],
							.rate = rate,
							.low = low,
							.high = high,
							.chance = chance,
							.blind = blind};
	return SX_OK;
}

static sx_status add_curves(work *w, sx_ctx *ctx, const sx_figure_args *a, const sx_input *in,
			    sx_loss_kind loss)
{
	sx_status st = SX_OK;
	const sx_extension *e = w->of[0];
	bool all = a->of && strcmp(a->of, "all") == 0;
	w->curve = sx_calloc((size_t)e->n_row, sizeof *w->curve);
	w->numbers = sx_calloc((size_t)e->n_row, sizeof *w->numbers);
	w->method = sx_calloc((size_t)e->n_row, sizeof *w->method);
	if (!w->curve || !w->numbers || !w->method)
		SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < e->n_row; i++) {
		int input = 0;
		if (!all && !is_shown(e, &e->row[i])) continue;
		while (strcmp(in[input].label, e->row[i].label) != 0) input++;
		if (!all && is_left_out(e, &e->row[i], &in[input])) continue;
		SX_TRY(add_curve(w, ctx, &in[input], i, all ? i : row_of_text(e, i), loss));
		sx_fig_context_curve *c = &w->curve[w->n_curve - 1];
		if (!all && !e->row[i].chosen) c->c = c->c_text = (double)NAN;
	}
out:
	return st;
}

static sx_status draw(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a, const sx_input *in)
{
	sx_status st = SX_OK;
	work w = {0};
	int64_t trained = in[0].context;
	if (a->of && strcmp(a->of, "all") != 0 && strcmp(a->of, "chosen") != 0)
		return sx_fail(ctx, SX_EUSAGE, "--of %s: chosen or all for context", a->of);
	SX_TRY(read_all(&w, ctx, a, in));
	sx_loss_kind loss = choose_loss(w.of[0]);
	SX_TRY(add_curves(&w, ctx, a, in, loss));
	for (int i = 0; i < a->n_input; i++)
		if (in[i].context != trained) trained = 0;
	const sx_fig_context_data data = {.loss = loss == SX_LOSS ? "Perplexity"
								  : "Text perplexity (last half)",
					  .n_kind = w.n_kind,
					  .needle = w.kind,
					  .trained = trained,
					  .n = w.n_curve,
					  .curve = w.curve};
	st = sx_fig_context(out, ctx, a->style, &data);
out:
	work_free(&w);
	return st;
}

static sx_status read_input(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_context(in, ctx, a->step);
}

static sx_status make(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = sx_inputs_open(&in, ctx, a, read_input);
	if (st == SX_OK) st = draw(out, ctx, a, in);
	sx_inputs_free(in, a->n_input);
	return st;
}

const sx_figure_row sx_figure_context = {
	.name = "context",
	.what = "perplexity and retrieval by context length, each method at the temperature chosen "
		"for it, a control with its best (--of all: all)",
	.make = make,
	.takes = SX_FIGURE_LABEL | SX_FIGURE_STEP | SX_FIGURE_OF,
	.least = 1,
	.needs = "files of sextant eval -o, or runs",
};

/* The list of figures, and what those read that are made from run files. */
#include "analysis/gallery/gallery.h"
#include "analysis/gallery/inputs.h"

#include <stdlib.h>
#include <string.h>

static void inputs_free(sx_input *in, int n)
{
	for (int i = 0; in && i < n; i++) sx_input_free(&in[i]);
	free(in);
}

/* Opens all inputs and reads of each what `read` reads, then names them. */
static sx_status open_all(sx_input **out, sx_ctx *ctx, const sx_figure_args *a,
			  sx_status (*read)(sx_input *in, sx_ctx *ctx, const sx_figure_args *a))
{
	sx_status st = SX_OK;
	sx_input *in = sx_calloc((size_t)a->n_input, sizeof *in);
	if (!in) return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
	for (int i = 0; i < a->n_input; i++) {
		SX_TRY(sx_input_open(&in[i], ctx, a->inputs[i]));
		SX_TRY(read(&in[i], ctx, a));
	}
	SX_TRY(sx_inputs_label(in, a->n_input, ctx, a->labels));
	*out = in;
	in = NULL;
out:
	inputs_free(in, a->n_input);
	return st;
}

/* ---- A_c ---- */

static sx_status read_ac(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_ac(in, ctx, a->step);
}

static sx_status read_ac_grad(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_ac_grad(in, ctx, a->step, a->of ? a->of : "wq");
}

static bool same_shape(const sx_input *a, const sx_input *b)
{
	return a->n_layer == b->n_layer && a->n_head == b->n_head && a->n_last == b->n_last;
}

/* The run another was branched from at its drop: the same seed, method and shape, no drop of its
 * own, and records on both sides of where the branch begins. */
static int trunk_of(const sx_input *in, int n, int i)
{
	const sx_input *b = &in[i];
	if (!b->drop_to[0] || b->step[0] == 0) return -1;
	for (int k = 0; k < n; k++) {
		const sx_input *t = &in[k];
		if (t->drop_to[0] || t->seed != b->seed || strcmp(t->method, b->method) != 0)
			continue;
		if (same_shape(t, b) && t->step[0] < b->step[0] &&
		    t->step[t->n_step - 1] >= b->step[0])
			return k;
	}
	return -1;
}

static sx_fig_ac_data ac_data(const sx_input *in, int trunk)
{
	return (sx_fig_ac_data){.at = sx_input_probe(in),
				.n_c = (int)in->n_last,
				.family = (const char *const *)in->family,
				.value = in->value,
				.trunk = trunk};
}

static sx_status make_ac_of(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a, bool grad)
{
	sx_input *in = NULL;
	sx_fig_ac_data *data = NULL;
	sx_status st = open_all(&in, ctx, a, grad ? read_ac_grad : read_ac);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++) {
		data[i] = ac_data(&in[i], grad ? -1 : trunk_of(in, a->n_input, i));
		if (grad) data[i].wrt = a->of;
	}
	st = grad ? sx_fig_ac_grad(out, ctx, a->style, data, a->n_input)
		  : sx_fig_ac(out, ctx, a->style, data, a->n_input);
out:
	free(data);
	inputs_free(in, a->n_input);
	return st;
}

static sx_status make_ac(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	return make_ac_of(out, ctx, a, false);
}

static sx_status make_ac_grad(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	return make_ac_of(out, ctx, a, true);
}

/* ---- maps and offsets ---- */

static sx_status read_maps(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_maps(in, ctx, a->step, a->sequence, a->heads);
}

static sx_status make_maps(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = open_all(&in, ctx, a, read_maps);
	if (st != SX_OK) return st;
	const sx_fig_map_data data = {.label = in->label,
				      .step = in->map_step,
				      .n_map = in->n_map,
				      .n_query = in->n_query,
				      .n_key = in->n_key,
				      .sequence = in->map_sequence,
				      .window = in->window,
				      .layer = in->map_layer,
				      .head = in->map_head,
				      .prob = in->value};
	st = sx_fig_maps(out, ctx, a->style, &data, a->scale);
	inputs_free(in, a->n_input);
	return st;
}

static sx_status read_offsets(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_offsets(in, ctx, a->step, a->heads);
}

static sx_status make_offsets(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = open_all(&in, ctx, a, read_offsets);
	if (st != SX_OK) return st;
	const sx_fig_offset_data data = {.at = sx_input_probe(in),
					 .n_bin = in->n_last,
					 .edge = in->edge,
					 .profile = in->value,
					 .n_show = in->n_map,
					 .layer = in->map_layer,
					 .head = in->map_head};
	st = sx_fig_offsets(out, ctx, a->style, &data);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- plane ---- */

static sx_status read_stats(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_stats(in, ctx, a->step);
}

static sx_status make_plane(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = open_all(&in, ctx, a, read_stats);
	if (st != SX_OK) return st;
	st = sx_make_plane(out, ctx, a, in);
	inputs_free(in, a->n_input);
	return st;
}

static sx_status make_drop(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = open_all(&in, ctx, a, read_stats);
	if (st != SX_OK) return st;
	st = sx_make_drop(out, ctx, a, in);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- frequencies ---- */

static const struct {
	const char *name;
	sx_run_id id;
	const char *label;
	bool is_signed;
} quantities[] = {
	{"logit_var", SX_RUN_ROPE_LOGIT_VAR, "Share of score variance", true},
	{"logit_share", SX_RUN_ROPE_LOGIT_SHARE, "Share of absolute score", false},
	{"q_norm", SX_RUN_ROPE_Q_NORM, "Norm of the query pair", false},
	{"k_norm", SX_RUN_ROPE_K_NORM, "Norm of the key pair", false},
};
enum { N_QUANTITIES = sizeof quantities / sizeof quantities[0] };

/* N_QUANTITIES if there is no such quantity. */
static int quantity_of(const sx_figure_args *a)
{
	int k = 0;
	while (a->of && k < N_QUANTITIES && strcmp(quantities[k].name, a->of) != 0) k++;
	return k;
}

static sx_status read_frequencies(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	int k = quantity_of(a);
	if (k == N_QUANTITIES)
		return sx_fail(ctx, SX_EUSAGE,
			       "--of %s: logit_var, logit_share, q_norm or k_norm for frequencies",
			       a->of);
	return sx_input_frequencies(in, ctx, a->step, quantities[k].id);
}

static sx_status make_frequencies(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_fig_frequency_data *data = NULL;
	int k = quantity_of(a);
	sx_status st = open_all(&in, ctx, a, read_frequencies);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	for (int i = 0; i < a->n_input; i++)
		data[i] = (sx_fig_frequency_data){.at = sx_input_probe(&in[i]),
						  .n_freq = in[i].n_last,
						  .omega = in[i].omega,
						  .context = in[i].context,
						  .quantity = quantities[k].label,
						  .is_signed = quantities[k].is_signed,
						  .value = in[i].value};
	st = sx_fig_frequencies(out, ctx, a->style, data, a->n_input);
out:
	free(data);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- bounds ---- */

static sx_status read_bounds(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_bounds(in, ctx, a->step);
}

enum { MOST_INEQUALITIES = 4 };

/* Checkpoints of one run under one label are not one setting: their updates tell them apart. */
static sx_status tell_steps(sx_input *in, int n, sx_ctx *ctx)
{
	char **old = sx_calloc((size_t)n, sizeof *old);
	sx_status st = SX_OK;
	if (!old) return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
	for (int i = 0; i < n; i++) old[i] = in[i].label;
	for (int i = 0; i < n && st == SX_OK; i++) {
		bool several = false;
		for (int k = 0; k < n; k++)
			several = several ||
				  (strcmp(old[k], old[i]) == 0 && in[k].step[0] != in[i].step[0]);
		char *label = several ? sx_format("%s, step %lld", old[i], (long long)in[i].step[0])
				      : sx_strdup(old[i]);
		if (!label) st = sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
		if (label) in[i].label = label;
	}
	for (int i = 0; i < n; i++)
		if (old[i] != in[i].label) free(old[i]);
	free(old);
	return st;
}

static sx_status make_bounds(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_fig_bound_data *data = NULL;
	char *name[MOST_INEQUALITIES + 1] = {NULL};
	int n = 0;
	sx_status st = open_all(&in, ctx, a, read_bounds);
	if (st != SX_OK) return st;
	data = sx_calloc((size_t)a->n_input, sizeof *data);
	if (!data) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for the inputs"));
	SX_TRY(tell_steps(in, a->n_input, ctx));
	for (int i = 0; i < a->n_input; i++)
		data[i] = (sx_fig_bound_data){.at = sx_input_probe(&in[i]),
					      .n = in[i].bounds.b.n,
					      .name = in[i].bounds.b.name,
					      .lhs = in[i].bounds.lhs,
					      .rhs = in[i].bounds.rhs,
					      .why_not = in[i].why_not};
	while (n <= MOST_INEQUALITIES && (name[n] = sx_label_part(a->of ? a->of : "I9,I10,I11", n)))
		n++;
	if (n > MOST_INEQUALITIES)
		SX_TRY(sx_fail(ctx, SX_EUSAGE, "--of names at most %d inequalities",
			       MOST_INEQUALITIES));
	st = sx_fig_bounds(out, ctx, a->style, data, a->n_input, (const char *const *)name, n);
out:
	for (int k = 0; k <= MOST_INEQUALITIES; k++) free(name[k]);
	free(data);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- context ---- */

static sx_status read_context(sx_input *in, sx_ctx *ctx, const sx_figure_args *a)
{
	return sx_input_context(in, ctx, a->step);
}

static sx_status make_context(sx_fig **out, sx_ctx *ctx, const sx_figure_args *a)
{
	sx_input *in = NULL;
	sx_status st = open_all(&in, ctx, a, read_context);
	if (st == SX_OK) st = sx_make_context(out, ctx, a, in);
	inputs_free(in, a->n_input);
	return st;
}

/* ---- the list ---- */

#define A_FILE   "run folders or run files (RUN, F.h5)"
#define ONE_FILE "one run folder or run file (RUN, F.h5)"
/* clang-format off */
const sx_figure_row sx_figure_rows[] = {
	{"loss", "training curves of run folders: loss against tokens seen, and after the drop",
	 sx_make_loss, 1, 0, "run folders", false},
	{"ac", "A_c of every head over training, a panel per layer, the drop marked; a run and its branch are joined",
	 make_ac, 1, 0, A_FILE, false},
	{"ac-grad", "gradient norm of A_c by layer, mean over heads, of traces or a run's first record; RoPE over NoPE (--step N)",
	 make_ac_grad, 1, 0, A_FILE, false},
	{"maps", "attention maps by layer and head (--heads L2-4/H*, --step N, --sequence K, --scale linear|sqrt|log)",
	 make_maps, 1, 1, ONE_FILE, false},
	{"offsets", "attention weight at each distance, a panel per head; before and after the drop of a run (--heads)",
	 make_offsets, 1, 1, ONE_FILE, false},
	{"drop", "every head before the drop, right after it and at the end: A_c, and retrieval mass where it was measured",
	 make_drop, 1, 0, "run folders with a drop", false},
	{"plane", "each head by its positional and its content share, by class; of a run with a drop its path through it",
	 make_plane, 1, 0, A_FILE, false},
	{"frequencies", "what each head does with each rotary frequency (--of logit_var|logit_share|q_norm|k_norm)",
	 make_frequencies, 1, 0, A_FILE, false},
	{"gamma", "what PI, NTK, YaRN and p-RoPE do to each frequency (pos.factor=2,3,4 pos.head_dim=64 pos.theta=..)",
	 sx_make_gamma, 0, 0, "settings", false},
	{"bounds", "the theory's inequalities: left side against bound, and their ratio by layer (--of I9,I10,I11)",
	 make_bounds, 1, 0, "files of sextant bounds -o", false},
	{"mix", "A_c and its gradients against the spread of the tokens, with the power they follow it by (--of diagonal)",
	 sx_make_mix, 1, 0, "files of sextant bounds --mix -o", false},
	{"figure4", "the paper's figure 4 beside its printed curves, by the protocol that is nearest (--of nearest|shape)",
	 sx_make_figure4, 2, 0, "traces of the paper's model with and without rotation", false},
	{"context", "perplexity and retrieval by context length, each method at the temperature chosen for it, a control with its best (--of all: all)",
	 make_context, 1, 0, "files of sextant eval -o, or runs", false},
	{"lines", "a CSV of your own: x (the first column or --x), series, bands NAME_lo and NAME_hi (--log x|y)",
	 sx_make_lines, 1, 1, "one CSV file", true},
	{NULL, NULL, NULL, 0, 0, NULL, false},
};
/* clang-format on */

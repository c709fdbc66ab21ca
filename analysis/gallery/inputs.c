#include "analysis/gallery/inputs.h"

#include "analysis/gallery/labels.h"
#include "engine/pos/pos.h"
#include "probes/config/config.h"
#include "probes/runfile/select.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static sx_status no_memory(sx_ctx *ctx, const sx_input *in)
{
	return sx_fail(ctx, SX_ENOMEM, "no memory for the numbers of %s", in->path);
}

/* ---- opening, and what the documents say ---- */

static sx_status read_document(char **out, sx_ctx *ctx, const sx_input *in, sx_run_id id)
{
	char **text = NULL;
	int64_t n = 0;
	*out = NULL;
	if (!sx_run_has(in->file, id)) return SX_OK;
	sx_status st = sx_run_strings(in->file, id, &text, &n);
	if (st == SX_OK && n > 0 && !(*out = sx_strdup(text[0]))) st = no_memory(ctx, in);
	free(text);
	return st;
}

static void copy_text(char *out, size_t size, const char *s)
{
	size_t n = strlen(s);
	if (n >= size) n = size - 1;
	memcpy(out, s, n);
	out[n] = '\0';
}

static sx_status read_model(sx_input *in, sx_ctx *ctx)
{
	char *text = NULL;
	sx_status st = read_document(&text, ctx, in, SX_RUN_META_MODEL_JSON);
	json_t *model = st == SX_OK && text ? json_loads(text, 0, NULL) : NULL;
	const json_t *pos = json_object_get(model, "pos");
	const char *method = json_string_value(json_object_get(pos, "method"));
	copy_text(in->method, sizeof in->method, method ? method : "");
	in->window = json_integer_value(json_object_get(pos, "window"));
	in->context = json_integer_value(json_object_get(pos, "train_length"));
	if (in->context == 0) in->context = json_integer_value(json_object_get(model, "context"));
	if (in->window < 0 || in->context < 0)
		st = sx_fail(ctx, SX_EDATA, "%s: /meta/model_json does not describe a model",
			     in->path);
	json_decref(model);
	free(text);
	return st;
}

/* It is the file that is wrong, not a setting of the user's. */
static sx_status refuse_config(const sx_input *in, sx_ctx *ctx)
{
	char why[sizeof ctx->message];
	memcpy(why, ctx->message, sizeof why);
	return sx_fail(ctx, SX_EDATA, "%s: /meta/config_yaml is no configuration: %s", in->path,
		       why);
}

static sx_status read_config(sx_input *in, sx_ctx *ctx)
{
	char *text = NULL;
	sx_config cfg;
	sx_status st = read_document(&text, ctx, in, SX_RUN_META_CONFIG_YAML);
	if (st != SX_OK || !text) return st;
	st = sx_config_init(&cfg, ctx);
	if (st == SX_OK) {
		st = sx_config_read(&cfg, ctx, in->path, text, strlen(text));
		if (st == SX_ECONFIG) st = refuse_config(in, ctx);
		if (st == SX_OK && cfg.train.drop_at >= 0)
			copy_text(in->drop_to, sizeof in->drop_to, cfg.train.drop.to);
		sx_config_free(&cfg);
	}
	free(text);
	return st;
}

sx_status sx_input_open(sx_input *in, sx_ctx *ctx, const char *path)
{
	*in = (sx_input){.path = path};
	int64_t known = 1;
	sx_status st = sx_run_open(&in->file, ctx, path);
	if (st != SX_OK) return st;
	if (sx_run_has_attr(in->file, "/", "seed"))
		SX_TRY(sx_run_get_int(in->file, "/", "seed", &in->seed));
	if (sx_run_has_attr(in->file, "/", "step_known"))
		SX_TRY(sx_run_get_int(in->file, "/", "step_known", &known));
	in->step_unknown = known == 0;
	SX_TRY(read_model(in, ctx));
	SX_TRY(read_config(in, ctx));
out:
	return st;
}

void sx_input_free(sx_input *in)
{
	sx_run_file_close(in->file);
	free(in->label);
	free(in->step);
	free(in->phase);
	free(in->use);
	free(in->value);
	free(in->family);
	free(in->edge);
	free(in->omega);
	free(in->map_layer);
	free(in->map_head);
	free(in->needle);
	sx_bounds_record_free(&in->bounds);
	free(in->why_not);
}

sx_fig_kind sx_kind_of_model(const char *method, const char *drop_to, bool recalibrated)
{
	if (recalibrated && strcmp(drop_to, "keep") == 0) return SX_FIG_CONTROL;
	/* A trace or a check of the recalibrated model alone knows nothing of the run. */
	sx_pos_kind to = sx_pos_kind_of(drop_to[0] ? drop_to : method);
	sx_pos_kind from = sx_pos_kind_of(method);
	if (recalibrated) return to == SX_POS_NONE ? SX_FIG_DROPE : SX_FIG_OTHER;
	return from == SX_POS_ROPE ? SX_FIG_ROPE : from == SX_POS_NONE ? SX_FIG_NOPE : SX_FIG_OTHER;
}

static sx_fig_kind kind_of(const sx_input *in, int phase)
{
	return sx_kind_of_model(in->method, in->drop_to, phase == 1);
}

/* ---- labels ---- */

const char *sx_label_of_kind(sx_fig_kind kind)
{
	static const char *const names[] = {[SX_FIG_ROPE] = "RoPE",
					    [SX_FIG_NOPE] = "NoPE",
					    [SX_FIG_DROPE] = "DroPE",
					    [SX_FIG_CONTROL] = "positions kept"};
	return kind == SX_FIG_OTHER ? "" : names[kind];
}

sx_status sx_inputs_label(sx_input *in, int n, sx_ctx *ctx, const char *labels)
{
	if (labels && sx_label_count(labels) != n)
		return sx_fail(ctx, SX_EUSAGE, "--label has %d names for %d inputs",
			       sx_label_count(labels), n);
	for (int i = 0; i < n; i++) {
		int of_kind = 0, of_method = 0;
		for (int k = 0; k < n; k++) {
			of_kind += in[k].kind == in[i].kind;
			of_method += strcmp(in[k].eval_method, in[i].eval_method) == 0;
		}
		if (labels)
			in[i].label = sx_label_part(labels, i);
		else if (in[i].kind != SX_FIG_OTHER && of_kind == 1)
			in[i].label = sx_strdup(sx_label_of_kind(in[i].kind));
		else if (in[i].eval_method[0] && of_method == 1)
			in[i].label = sx_strdup(in[i].eval_method);
		else
			in[i].label = sx_label_of_path(in[i].path);
		if (!in[i].label) return no_memory(ctx, &in[i]);
	}
	return SX_OK;
}

/* ---- all inputs of a figure ---- */

void sx_inputs_free(sx_input *in, int n)
{
	for (int i = 0; in && i < n; i++) sx_input_free(&in[i]);
	free(in);
}

sx_status sx_inputs_open(sx_input **out, sx_ctx *ctx, const sx_figure_args *a,
			 sx_status (*read)(sx_input *in, sx_ctx *ctx, const sx_figure_args *a))
{
	sx_status st = SX_OK;
	sx_input *in = sx_calloc((size_t)a->n_input, sizeof *in);
	if (!in) return sx_fail(ctx, SX_ENOMEM, "no memory for the inputs");
	for (int i = 0; i < a->n_input; i++) {
		SX_TRY(sx_input_open(&in[i], ctx, a->inputs[i]));
		if (read)
			SX_TRY(read(&in[i], ctx, a));
		else
			in[i].kind = kind_of(&in[i], 0);
	}
	SX_TRY(sx_inputs_label(in, a->n_input, ctx, a->labels));
	*out = in;
	in = NULL;
out:
	sx_inputs_free(in, a->n_input);
	return st;
}

/* ---- the probe batch: records, sequences, values ---- */

/* Names of a group's rows in the schema. */
typedef struct {
	sx_run_id step, phase, sequence;
} group;
static const group of_ac = {SX_RUN_AC_STEP, SX_RUN_AC_PHASE, SX_RUN_AC_SEQUENCE};
static const group of_stats = {SX_RUN_STATS_STEP, SX_RUN_STATS_PHASE, SX_RUN_STATS_SEQUENCE};
static const group of_rope = {SX_RUN_ROPE_STEP, SX_RUN_ROPE_PHASE, SX_RUN_ROPE_SEQUENCE};

/* A whole dataset of whole numbers, and its length. */
static sx_status read_ints(int64_t **out, int64_t *n, sx_ctx *ctx, const sx_input *in, sx_run_id id)
{
	int64_t dims[SX_RUN_MAX_DIMS];
	int ndim;
	sx_status st = sx_run_shape(in->file, id, dims, &ndim);
	if (st != SX_OK) return st;
	*n = 1;
	for (int i = 0; i < ndim; i++) *n *= dims[i];
	*out = sx_calloc((size_t)*n + 1, sizeof **out);
	if (!*out) return no_memory(ctx, in);
	return *n > 0 ? sx_run_read(in->file, id, NULL, NULL, *out) : SX_OK;
}

static sx_status read_steps(sx_input *in, sx_ctx *ctx, const group *g)
{
	int64_t *phase = NULL, n = 0;
	sx_status st = SX_OK;
	SX_TRY(read_ints(&in->step, &in->n_step, ctx, in, g->step));
	in->phase = sx_calloc((size_t)in->n_step + 1, 1);
	if (!in->phase) SX_TRY(no_memory(ctx, in));
	if (sx_run_has(in->file, g->phase)) SX_TRY(read_ints(&phase, &n, ctx, in, g->phase));
	for (int64_t i = 0; i < n && i < in->n_step; i++) in->phase[i] = phase[i] == 1;
	if (in->n_step == 0)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no records of %s yet", in->path,
			       sx_run_rows[g->step].path));
out:
	free(phase);
	return st;
}

/* Means go over sequences of text; over all where the file does not say or there are none. */
static sx_status read_use(sx_input *in, sx_ctx *ctx, const group *g)
{
	int64_t *seq = NULL, *known = NULL, *kind = NULL, n_known = 0, n_kind = 0, texts = 0;
	sx_status st = SX_OK;
	SX_TRY(read_ints(&seq, &in->n_seq, ctx, in, g->sequence));
	if (sx_run_has(in->file, SX_RUN_STATS_SEQUENCE_KIND)) {
		SX_TRY(read_ints(&known, &n_known, ctx, in, SX_RUN_STATS_SEQUENCE));
		SX_TRY(read_ints(&kind, &n_kind, ctx, in, SX_RUN_STATS_SEQUENCE_KIND));
	}
	in->use = sx_calloc((size_t)in->n_seq + 1, 1);
	if (!in->use) SX_TRY(no_memory(ctx, in));
	for (int64_t i = 0; i < in->n_seq; i++)
		for (int64_t k = 0; k < n_known && k < n_kind; k++)
			if (known[k] == seq[i] && kind[k] == 0) in->use[i] = 1, texts++;
	if (texts == 0) memset(in->use, 1, (size_t)in->n_seq);
out:
	free(seq);
	free(known);
	free(kind);
	return st;
}

/* The last record of a step. */
static sx_status find_step(int64_t *record, sx_ctx *ctx, const sx_input *in, int64_t step)
{
	for (int64_t i = in->n_step - 1; i >= 0; i--)
		if (in->step[i] == step) {
			*record = i;
			return SX_OK;
		}
	return sx_fail(ctx, SX_EDATA,
		       "%s has no record of step %lld (%lld records from %lld to %lld)", in->path,
		       (long long)step, (long long)in->n_step, (long long)in->step[0],
		       (long long)in->step[in->n_step - 1]);
}

/* Keeps the n records of the list, in order, and reads their values; of a dataset with an axis after
 * the heads n_last is its length, and pick >= 0 keeps one entry of the very last axis. */
static sx_status take(sx_input *in, sx_ctx *ctx, sx_run_id id, const int64_t *record, int64_t n,
		      int64_t pick)
{
	sx_status st = SX_OK;
	int64_t dims[SX_RUN_MAX_DIMS], start[SX_RUN_MAX_DIMS] = {0}, size = 1, picks = 1;
	int ndim;
	double *one = NULL;
	SX_TRY(sx_run_shape(in->file, id, dims, &ndim));
	for (int i = 1; i < ndim; i++) size *= dims[i];
	if (pick >= 0) picks = dims[ndim - 1];
	in->n_layer = dims[2];
	in->n_head = dims[3];
	in->n_last = ndim > 4 ? dims[4] : 1;
	in->value = sx_calloc((size_t)(n * size / picks) + 1, sizeof *in->value);
	one = sx_calloc((size_t)size + 1, sizeof *one);
	if (!in->value || !one) SX_TRY(no_memory(ctx, in));
	dims[0] = 1;
	for (int64_t k = 0; k < n; k++) {
		start[0] = record[k];
		SX_TRY(sx_run_read(in->file, id, start, dims, one));
		double *to = in->value + k * (size / picks);
		for (int64_t i = 0; i < size / picks; i++)
			to[i] = one[i * picks + (pick >= 0 ? pick : 0)];
		in->step[k] = in->step_unknown ? -1 : in->step[record[k]]; /* record[k] >= k */
		in->phase[k] = in->phase[record[k]];
	}
	in->n_step = n;
	in->kind = kind_of(in, n > 0 ? in->phase[n - 1] : 0);
out:
	free(one);
	return st;
}

static sx_status need(sx_ctx *ctx, const sx_input *in, sx_run_id id, const char *what,
		      const char *remedy)
{
	if (sx_run_has(in->file, id)) return SX_OK;
	return sx_fail(ctx, SX_EDATA, "%s has no %s (%s): %s", in->path, what, sx_run_rows[id].path,
		       remedy);
}

static sx_status read_axes(sx_input *in, sx_ctx *ctx, const group *g)
{
	sx_status st = read_steps(in, ctx, g);
	return st == SX_OK ? read_use(in, ctx, g) : st;
}

static sx_status read_families(sx_input *in)
{
	int64_t n;
	return sx_run_strings(in->file, SX_RUN_AC_C, &in->family, &n);
}

/* Reads a dataset of the group at every record, or at the last one of at_step. */
static sx_status take_all(sx_input *in, sx_ctx *ctx, sx_run_id id, int64_t at_step)
{
	sx_status st = SX_OK;
	int64_t n = in->n_step, only = 0, *record = sx_calloc((size_t)n, sizeof *record);
	if (!record) SX_TRY(no_memory(ctx, in));
	for (int64_t i = 0; i < n; i++) record[i] = i;
	if (at_step >= 0) {
		SX_TRY(find_step(&only, ctx, in, at_step));
		record[0] = only;
		n = 1;
	}
	SX_TRY(take(in, ctx, id, record, n, -1));
out:
	free(record);
	return st;
}

sx_status sx_input_stats(sx_input *in, sx_ctx *ctx, int64_t at_step)
{
	sx_status st = SX_OK;
	SX_TRY(need(ctx, in, SX_RUN_STATS_ENTROPY, "statistics of heads",
		    "measure with probe.stats or trace"));
	SX_TRY(read_axes(in, ctx, &of_stats));
	SX_TRY(take_all(in, ctx, SX_RUN_STATS_ENTROPY, at_step));
out:
	return st;
}

sx_status sx_input_ac(sx_input *in, sx_ctx *ctx, int64_t at_step)
{
	sx_status st = SX_OK;
	SX_TRY(need(ctx, in, SX_RUN_AC_VALUE, "values of A_c",
		    "measure with probe.ac or trace --ac"));
	SX_TRY(read_axes(in, ctx, &of_ac));
	SX_TRY(read_families(in));
	SX_TRY(take_all(in, ctx, SX_RUN_AC_VALUE, at_step));
out:
	return st;
}

sx_status sx_input_ac_grad(sx_input *in, sx_ctx *ctx, int64_t at_step, const char *wrt)
{
	sx_status st = SX_OK;
	char **names = NULL;
	int64_t n = 0, pick = -1, record = 0;
	SX_TRY(need(ctx, in, SX_RUN_AC_GRAD_NORM, "gradients of A_c",
		    "measure with probe.ac or trace --ac"));
	SX_TRY(read_axes(in, ctx, &of_ac));
	SX_TRY(read_families(in));
	SX_TRY(sx_run_strings(in->file, SX_RUN_AC_WRT, &names, &n));
	for (int64_t i = 0; i < n; i++)
		if (strcmp(names[i], wrt) == 0) pick = i;
	if (pick < 0)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no gradients of A_c by %s", in->path, wrt));
	if (at_step >= 0) SX_TRY(find_step(&record, ctx, in, at_step));
	SX_TRY(take(in, ctx, SX_RUN_AC_GRAD_NORM, &record, 1, pick));
out:
	free(names);
	return st;
}

/* The heads of the file that are named. */
static sx_status choose_heads(sx_input *in, sx_ctx *ctx, const char *heads)
{
	sx_map_choice *choice = NULL;
	sx_status st = SX_OK;
	SX_TRY(sx_select_heads(&choice, &in->n_map, ctx, heads, (int)in->n_layer, (int)in->n_head));
	in->map_layer = sx_calloc((size_t)in->n_map, sizeof *in->map_layer);
	in->map_head = sx_calloc((size_t)in->n_map, sizeof *in->map_head);
	if (!in->map_layer || !in->map_head) SX_TRY(no_memory(ctx, in));
	for (int64_t i = 0; i < in->n_map; i++) {
		in->map_layer[i] = choice[i].layer;
		in->map_head[i] = choice[i].head;
	}
out:
	free(choice);
	return st;
}

sx_status sx_input_offsets(sx_input *in, sx_ctx *ctx, int64_t at_step, const char *heads)
{
	sx_status st = SX_OK;
	int64_t record[3], n = 0, drop = 0, last, n_edge;
	SX_TRY(need(ctx, in, SX_RUN_STATS_OFFSET_PROFILE, "offset profiles",
		    "measure with probe.stats or trace"));
	SX_TRY(read_axes(in, ctx, &of_stats));
	SX_TRY(sx_run_get_ints(in->file, sx_run_rows[SX_RUN_STATS_OFFSET_BIN].path, "bin_edges",
			       &in->edge, &n_edge));
	last = in->n_step - 1;
	if (at_step >= 0) SX_TRY(find_step(&last, ctx, in, at_step));
	while (drop < in->n_step && in->phase[drop] == 0) drop++;
	if (at_step < 0 && drop > 0 && drop < in->n_step)
		record[n++] = drop - 1, record[n++] = drop;
	if (n == 0 || record[n - 1] != last) record[n++] = last;
	SX_TRY(take(in, ctx, SX_RUN_STATS_OFFSET_PROFILE, record, n, -1));
	if (n_edge != in->n_last + 1)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s: %lld edges for %lld bins of offsets", in->path,
			       (long long)n_edge, (long long)in->n_last));
	if (heads) SX_TRY(choose_heads(in, ctx, heads));
out:
	return st;
}

/* The angles in use in the first layer. */
static sx_status read_omega(sx_input *in, sx_ctx *ctx, int64_t record)
{
	const int64_t start[] = {record, 0, 0}, count[] = {1, 1, in->n_last};
	double *gamma = sx_calloc((size_t)in->n_last + 1, sizeof *gamma);
	sx_status st = SX_OK;
	in->omega = sx_calloc((size_t)in->n_last + 1, sizeof *in->omega);
	if (!gamma || !in->omega) SX_TRY(no_memory(ctx, in));
	SX_TRY(sx_run_read(in->file, SX_RUN_ROPE_INV_FREQ, start + 1, count + 1, in->omega));
	SX_TRY(sx_run_read(in->file, SX_RUN_ROPE_GAMMA, start, count, gamma));
	for (int64_t m = 0; m < in->n_last; m++) in->omega[m] *= gamma[m];
out:
	free(gamma);
	return st;
}

sx_status sx_input_frequencies(sx_input *in, sx_ctx *ctx, int64_t at_step, sx_run_id id)
{
	sx_status st = SX_OK;
	int64_t record;
	SX_TRY(need(ctx, in, id, "frequency use", "measure with probe.rope or trace"));
	SX_TRY(read_axes(in, ctx, &of_rope));
	record = in->n_step - 1;
	if (at_step >= 0) SX_TRY(find_step(&record, ctx, in, at_step));
	SX_TRY(take(in, ctx, id, &record, 1, -1));
	SX_TRY(read_omega(in, ctx, record));
out:
	return st;
}

sx_fig_probe sx_input_probe(const sx_input *in)
{
	return (sx_fig_probe){.label = in->label,
			      .seed = in->seed,
			      .kind = in->kind,
			      .n_step = in->n_step,
			      .n_seq = in->n_seq,
			      .n_layer = in->n_layer,
			      .n_head = in->n_head,
			      .step = in->step,
			      .phase = in->phase,
			      .use = in->use};
}

/* ---- maps ---- */

/* The last sample of the step (-1: of the last step) and of the sequence (-1: its first). */
static sx_status find_sample(int64_t *sample, sx_input *in, sx_ctx *ctx, int64_t step,
			     int64_t sequence)
{
	sx_status st = SX_OK;
	int64_t *steps = NULL, *seqs = NULL, n = 0, m = 0;
	SX_TRY(read_ints(&steps, &n, ctx, in, SX_RUN_ATTN_SAMPLE_STEP));
	SX_TRY(read_ints(&seqs, &m, ctx, in, SX_RUN_ATTN_SAMPLE_SEQUENCE));
	*sample = -1;
	if (step < 0 && n > 0) step = steps[n - 1];
	for (int64_t i = 0; sequence < 0 && i < n; i++)
		if (steps[i] == step) sequence = seqs[i];
	for (int64_t i = 0; i < n && i < m; i++)
		if (steps[i] == step && seqs[i] == sequence) *sample = i;
	if (*sample < 0) {
		st = n == 0 ? sx_fail(ctx, SX_EDATA, "%s has no attention maps yet", in->path)
			    : sx_fail(ctx, SX_EDATA,
				      "%s has no maps of step %lld, sequence %lld (maps from step "
				      "%lld to %lld)",
				      in->path, (long long)step, (long long)sequence,
				      (long long)steps[0], (long long)steps[n - 1]);
		goto out;
	}
	in->map_step = in->step_unknown ? -1 : step;
	in->map_sequence = (int)sequence;
out:
	free(steps);
	free(seqs);
	return st;
}

static bool is_chosen(const sx_map_choice *choice, int64_t n, int64_t layer, int64_t head)
{
	for (int64_t k = 0; k < n; k++)
		if (choice[k].layer == layer && choice[k].head == head) return true;
	return false;
}

/* Maps, and which head each is of, of the chosen heads alone. */
static sx_status read_chosen(sx_input *in, sx_ctx *ctx, int64_t sample, const char *heads)
{
	sx_status st = SX_OK;
	sx_map_choice *choice = NULL;
	int64_t n_choice = 0, n = 0, dims[SX_RUN_MAX_DIMS], *layer = NULL, *head = NULL, L = 0,
		H = 0;
	int ndim;
	SX_TRY(read_ints(&layer, &n, ctx, in, SX_RUN_ATTN_LAYER));
	SX_TRY(read_ints(&head, &n, ctx, in, SX_RUN_ATTN_HEAD));
	for (int64_t i = 0; i < n; i++) {
		if (layer[i] >= L) L = layer[i] + 1;
		if (head[i] >= H) H = head[i] + 1;
	}
	SX_TRY(sx_select_heads(&choice, &n_choice, ctx, heads ? heads : "L*/H*", (int)L, (int)H));
	SX_TRY(sx_run_shape(in->file, SX_RUN_ATTN_PROB, dims, &ndim));
	in->n_query = dims[2];
	in->n_key = dims[3];
	in->map_layer = sx_calloc((size_t)n + 1, sizeof *in->map_layer);
	in->map_head = sx_calloc((size_t)n + 1, sizeof *in->map_head);
	in->value = sx_calloc((size_t)(n * in->n_query * in->n_key) + 1, sizeof *in->value);
	if (!in->map_layer || !in->map_head || !in->value) SX_TRY(no_memory(ctx, in));
	for (int64_t i = 0; i < n; i++) {
		if (!is_chosen(choice, n_choice, layer[i], head[i])) continue;
		const int64_t start[] = {sample, i, 0, 0};
		const int64_t count[] = {1, 1, in->n_query, in->n_key};
		in->map_layer[in->n_map] = (int32_t)layer[i];
		in->map_head[in->n_map] = (int32_t)head[i];
		SX_TRY(sx_run_read(in->file, SX_RUN_ATTN_PROB, start, count,
				   in->value + in->n_map++ * in->n_query * in->n_key));
	}
	if (in->n_map == 0)
		SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no maps of the heads %s", in->path, heads));
out:
	free(choice);
	free(layer);
	free(head);
	return st;
}

sx_status sx_input_maps(sx_input *in, sx_ctx *ctx, int64_t at_step, int64_t sequence,
			const char *heads)
{
	sx_status st = SX_OK;
	int64_t sample, phases = 0, *phase = NULL;
	SX_TRY(need(ctx, in, SX_RUN_ATTN_PROB, "attention maps",
		    "measure with probe.maps or trace --maps 'L*/H*'"));
	SX_TRY(find_sample(&sample, in, ctx, at_step, sequence));
	if (sx_run_has(in->file, SX_RUN_ATTN_SAMPLE_PHASE))
		SX_TRY(read_ints(&phase, &phases, ctx, in, SX_RUN_ATTN_SAMPLE_PHASE));
	in->kind = kind_of(in, sample < phases ? (int)phase[sample] : 0);
	SX_TRY(read_chosen(in, ctx, sample, heads));
out:
	free(phase);
	return st;
}

/* ---- bounds ---- */

/* Was anything of statements on constant sequences (P3.2) looked at in this sequence? */
static bool is_constant(const sx_bounds *b, int64_t seq)
{
	int64_t per_seq = b->L * b->H * b->n;
	for (int64_t k = seq * per_seq; k < (seq + 1) * per_seq; k++)
		if (strcmp(b->name[k % b->n], "P3.2.output") == 0 && b->reason[k] == 0) return true;
	return false;
}

/* What is not applicable becomes NaN; why_not where an entry is so everywhere. */
static void mask_bounds(sx_input *in)
{
	const sx_bounds *b = &in->bounds.b;
	int64_t places = b->S * b->L * b->H;
	for (int64_t e = 0; e < b->n; e++) {
		bool applies = false;
		for (int64_t k = e; k < places * b->n; k += b->n) {
			if (b->reason[k] == 0) applies = true;
			if (b->reason[k] != 0) in->bounds.lhs[k] = in->bounds.rhs[k] = (double)NAN;
		}
		if (!applies && places > 0) in->why_not[e] = sx_reason_name(b->reason[e]);
	}
}

sx_status sx_input_bounds(sx_input *in, sx_ctx *ctx, int64_t at_step)
{
	sx_status st = SX_OK;
	static const group of_bounds = {SX_RUN_BOUNDS_STEP, SX_RUN_BOUNDS_PHASE, SX_RUN_COUNT};
	SX_TRY(need(ctx, in, SX_RUN_BOUNDS_LHS, "inequalities",
		    "make them with sextant bounds MODEL -o F.h5"));
	SX_TRY(read_steps(in, ctx, &of_bounds));
	SX_TRY(sx_bounds_read(&in->bounds, ctx, in->path));
	if (at_step >= 0 && at_step != in->bounds.step)
		SX_TRY(sx_fail(ctx, SX_EDATA,
			       "%s has its inequalities after %lld updates, not %lld", in->path,
			       (long long)in->bounds.step, (long long)at_step));
	const sx_bounds *b = &in->bounds.b;
	in->kind = kind_of(in, in->phase[in->n_step - 1]);
	in->step[0] = in->step_unknown ? -1 : in->bounds.step;
	in->phase[0] = in->phase[in->n_step - 1];
	in->n_step = 1;
	in->n_seq = b->S;
	in->n_layer = b->L;
	in->n_head = b->H;
	in->use = sx_calloc((size_t)b->S + 1, 1);
	in->why_not = sx_calloc((size_t)b->n + 1, sizeof *in->why_not);
	if (!in->use || !in->why_not) SX_TRY(no_memory(ctx, in));
	for (int64_t s = 0; s < b->S; s++) in->use[s] = !is_constant(b, s);
	mask_bounds(in);
out:
	return st;
}

/* ---- evaluations ---- */

/* How an eval file was evaluated, where that is not how the model was trained. */
static sx_status read_method(sx_input *in)
{
	char *method = NULL;
	if (!sx_run_has_attr(in->file, "/eval", "method")) return SX_OK;
	sx_status st = sx_run_get_str(in->file, "/eval", "method", &method);
	if (st != SX_OK) return st;
	copy_text(in->eval_method, sizeof in->eval_method, method);
	sx_pos_kind kind = sx_pos_kind_of(method);
	if (kind != SX_POS_ROPE && kind != SX_POS_NONE) in->kind = SX_FIG_OTHER;
	free(method);
	return SX_OK;
}

sx_status sx_input_context(sx_input *in, sx_ctx *ctx, int64_t at_step)
{
	static const group of_eval = {SX_RUN_EVAL_STEP, SX_RUN_EVAL_PHASE, SX_RUN_COUNT};
	sx_status st = SX_OK;
	sx_run_id kinds = SX_RUN_EVAL_KIND;
	if (sx_run_has(in->file, SX_RUN_EXTENSION_METHOD)) {
		int64_t phase = 0;
		kinds = SX_RUN_EXTENSION_KIND;
		if (at_step >= 0)
			SX_TRY(sx_fail(ctx, SX_EUSAGE,
				       "--step chooses among the records of a run; %s is an "
				       "evaluation of one checkpoint: leave --step out",
				       in->path));
		if (sx_run_has_attr(in->file, "/extension", "phase"))
			SX_TRY(sx_run_get_int(in->file, "/extension", "phase", &phase));
		in->kind = kind_of(in, (int)phase);
	} else {
		int64_t record;
		SX_TRY(need(ctx, in, SX_RUN_EVAL_STEP, "evaluations",
			    "make one with sextant eval -o F.h5, or train with eval.every"));
		SX_TRY(read_steps(in, ctx, &of_eval));
		record = in->n_step - 1;
		if (at_step >= 0) SX_TRY(find_step(&record, ctx, in, at_step));
		in->kind = kind_of(in, in->phase[record]);
	}
	SX_TRY(read_method(in));
	if (sx_run_has(in->file, kinds))
		SX_TRY(sx_run_strings(in->file, kinds, &in->needle, &in->n_kind));
out:
	return st;
}

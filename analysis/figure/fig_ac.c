/* Figure `ac`: A_c of every head over training. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/figure/parts.h"

/* What is drawn of a run: its records with those of its trunk in front. */
typedef struct {
	const sx_fig_ac_data *run, *trunk; /* trunk may be NULL */
	int64_t n_before;                  /* records of the trunk */
	int64_t n, drop;                   /* all; the first of recalibration, -1 = none */
	double *step;                      /* (n) */
} joined;

static const sx_fig_ac_data *record(const joined *j, int64_t i, int64_t *at)
{
	bool before = i < j->n_before;
	*at = before ? i : i - j->n_before;
	return before ? j->trunk : j->run;
}

static sx_status join(joined *j, sx_ctx *ctx, const sx_fig_ac_data *runs, const sx_fig_ac_data *run)
{
	*j = (joined){.run = run, .trunk = run->trunk < 0 ? NULL : &runs[run->trunk]};
	while (j->trunk && j->n_before < j->trunk->at.n_step &&
	       j->trunk->at.step[j->n_before] < run->at.step[0])
		j->n_before++;
	j->n = j->n_before + run->at.n_step;
	int64_t drop = sx_part_drop(&run->at);
	j->drop = drop < 0 ? -1 : j->n_before + drop;
	j->step = sx_calloc((size_t)j->n, sizeof *j->step);
	if (!j->step) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int64_t i = 0; i < j->n; i++) {
		int64_t at;
		const sx_fig_ac_data *r = record(j, i, &at);
		j->step[i] = (double)r->at.step[at];
	}
	return SX_OK;
}

/* A_c of a head, mean over the sequences, at every record. */
static void values_of(double *out, const joined *j, int64_t layer, int64_t head, int c)
{
	for (int64_t i = 0; i < j->n; i++) {
		int64_t at;
		const sx_fig_ac_data *r = record(j, i, &at);
		int64_t per_seq = r->at.n_layer * r->at.n_head * r->n_c;
		const double *v = r->value + at * r->at.n_seq * per_seq +
				  (layer * r->at.n_head + head) * r->n_c + c;
		out[i] = sx_part_mean(v, r->at.n_seq, per_seq, r->at.use);
	}
}

static sx_fig_look look_of(const sx_fig_ac_data *r, int64_t head, int c)
{
	static const sx_fig_dash dashes[] = {SX_FIG_SOLID, SX_FIG_DASHED, SX_FIG_DOTTED,
					     SX_FIG_DASHDOT};
	sx_fig_look look = sx_part_head_look(head, r->at.n_head);
	look.dash = dashes[c % 4];
	look.marker = (sx_fig_marker)(c % 4);
	return look;
}

/* The lines of one layer: before and after the drop apart, with a point at each of its records. */
static sx_status add_layer(sx_fig *f, sx_ctx *ctx, int panel, const joined *j, int64_t layer,
			   const int *series)
{
	const sx_fig_ac_data *r = j->run;
	double *v = sx_calloc((size_t)j->n, sizeof *v);
	if (!v) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
	for (int64_t h = 0; h < r->at.n_head; h++)
		for (int c = 0; c < r->n_c; c++) {
			int s = series[h * r->n_c + c];
			int64_t cut = j->drop < 0 ? j->n : j->drop;
			values_of(v, j, layer, h, c);
			sx_fig_line(f, panel, s, j->step, v, cut);
			sx_fig_line(f, panel, s, j->step + cut, v + cut, j->n - cut);
			if (j->drop > 0)
				sx_fig_points(f, panel, s, j->step + cut - 1, v + cut - 1, 2);
		}
	free(v);
	return SX_OK;
}

/* Series for all heads and families. Few of them are named each; of many, heads have colours and
 * families dashes, and the key shows the two apart. */
static int *make_series(sx_fig *f, const sx_fig_ac_data *r)
{
	int64_t n = r->at.n_head * r->n_c;
	int *series = sx_calloc((size_t)n, sizeof *series);
	bool apart = r->at.n_head > 1 && r->n_c > 1;
	for (int64_t i = 0; series && i < n; i++) {
		int64_t head = i / r->n_c;
		int c = (int)(i % r->n_c);
		char name[96];
		if (r->at.n_head > 1)
			snprintf(name, sizeof name, "head %lld%s%s", (long long)head,
				 r->n_c > 1 ? ", " : "", r->n_c > 1 ? r->family[c] : "");
		else
			snprintf(name, sizeof name, "%s", r->family[c]);
		sx_fig_look look = look_of(r, head, c);
		series[i] =
			apart ? sx_fig_unnamed_series(f, name, look) : sx_fig_series(f, name, look);
	}
	for (int64_t h = 0; apart && h < r->at.n_head; h++) {
		char name[32];
		snprintf(name, sizeof name, "head %lld", (long long)h);
		sx_fig_key_entry(f, name, look_of(r, h, 0));
	}
	for (int c = 0; apart && c < r->n_c; c++) {
		sx_fig_look look = look_of(r, 0, c);
		for (int k = 0; k < 3; k++) look.rgb[k] = 0.35;
		sx_fig_key_entry(f, r->family[c], look);
	}
	return series;
}

static bool is_trunk(const sx_fig_ac_data *runs, int n_run, int i)
{
	for (int k = 0; k < n_run; k++)
		if (runs[k].trunk == i) return true;
	return false;
}

/* name: of the run in the titles of its panels; "" where it is the only one. */
static sx_status add_run(sx_fig *f, sx_ctx *ctx, const joined *j, const int *series, int row0,
			 int cols, const char *name)
{
	sx_status st = SX_OK;
	for (int64_t l = 0; l < j->run->at.n_layer && st == SX_OK; l++) {
		char *title = sx_format("%s%slayer %lld", name, *name ? ", " : "", (long long)l);
		if (!title) return sx_fail(ctx, SX_ENOMEM, "out of memory for a figure");
		int panel = sx_fig_panel(f, row0 + (int)(l / cols), (int)(l % cols), title,
					 sx_part_axis("Updates", SX_FIG_LINEAR),
					 sx_part_axis("$A_c$", SX_FIG_LINEAR));
		free(title);
		if (j->drop >= 0)
			sx_fig_vline(f, panel, j->step[j->drop],
				     l == 0 && j->run->at.kind != SX_FIG_CONTROL ? "drop" : "");
		st = add_layer(f, ctx, panel, j, l, series);
	}
	return st;
}

static void describe(sx_fig *f, const sx_fig_ac_data *runs, int n_run, const sx_fig_ac_data *first)
{
	const char *label[64] = {NULL};
	int n = 0;
	double drop = (double)NAN;
	for (int i = 0; i < n_run && n < 64; i++) {
		if (is_trunk(runs, n_run, i)) continue;
		label[n++] = runs[i].at.label;
		int64_t d = sx_part_drop(&runs[i].at);
		if (d >= 0 && isnan(drop)) drop = (double)runs[i].at.step[d];
	}
	char *names = sx_part_names(label, n), when[128] = "";
	if (!isnan(drop))
		snprintf(when, sizeof when,
			 " Recalibration begins at update %.0f; points show both records there.",
			 drop);
	sx_part_about(
		f, "A_c over training",
		sx_format("Attention positional bias A_c of every head (%s), mean over the text "
			  "sequences of the probe batch, against updates of %s; a panel per "
			  "layer.%s",
			  first->n_c == 1 ? first->family[0] : "families by dash",
			  names ? names : "the runs", when));
	free(names);
}

sx_status sx_fig_ac(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		    const sx_fig_ac_data *runs, int n_run)
{
	sx_status st = SX_OK;
	sx_fig *f = NULL;
	int *series = NULL, shown = 0, row = 0, nth = 0;
	const char **label = sx_calloc((size_t)n_run, sizeof *label);
	int64_t *seed = sx_calloc((size_t)n_run, sizeof *seed);
	const sx_fig_ac_data *first = &runs[0];
	if (!label || !seed) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	for (int i = 0; i < n_run; i++) {
		const sx_fig_ac_data *r = &runs[i];
		label[shown] = r->at.label, seed[shown] = r->at.seed;
		shown += !is_trunk(runs, n_run, i);
		if (r->at.n_step == 0)
			SX_TRY(sx_fail(ctx, SX_EDATA, "%s has no records of A_c", r->at.label));
		if (r->at.n_layer != first->at.n_layer || r->at.n_head != first->at.n_head ||
		    r->n_c != first->n_c)
			SX_TRY(sx_fail(ctx, SX_EDATA,
				       "%s and %s have different layers, heads or families of A_c: "
				       "draw them apart",
				       first->at.label, r->at.label));
	}
	int layers = (int)first->at.n_layer, most = sx_part_is_narrow(style) ? 3 : 5;
	int cols = layers < most ? layers : most, per_run = (layers + cols - 1) / cols;
	SX_TRY(sx_fig_new(&f, ctx, style, shown * per_run, cols));
	sx_fig_share(f, cols == 1 ? 0.62 : 0.85);
	series = make_series(f, first);
	if (!series) SX_TRY(sx_fail(ctx, SX_ENOMEM, "out of memory for a figure"));
	for (int i = 0; i < n_run; i++) {
		joined j;
		char name[128] = "";
		if (is_trunk(runs, n_run, i)) continue;
		if (shown > 1) sx_part_title(name, sizeof name, label, seed, shown, nth++);
		SX_TRY(join(&j, ctx, runs, &runs[i]));
		if (j.n < 2)
			st = sx_fail(ctx, SX_EDATA,
				     "%s has one record of A_c: a figure over training needs a run",
				     runs[i].at.label);
		else
			st = add_run(f, ctx, &j, series, row, cols, name);
		free(j.step);
		if (st != SX_OK) goto out;
		row += per_run;
	}
	describe(f, runs, n_run, first);
	*out = f;
	f = NULL;
out:
	free(series);
	free(label);
	free(seed);
	sx_fig_free(f);
	return st;
}

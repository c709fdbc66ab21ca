/* What `sextant top` shows. */
#include "cli/top.h"

#include "cli/out.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS_SHOWN = 6, BAR = 30, CURVE_MOST = 100 };

typedef struct {
	int width;
	bool live, colour;
} view;

static const char plain[] = "", bold[] = "\033[1m", faint[] = "\033[2m", alarming[] = "\033[33m";

/* One line, cut to the width of the terminal, in a style of its own. */
SX_PRINTF(3, 4) static void put(const view *v, const char *style, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	int columns = 0;
	for (char *s = text; v->live && *s; s++) {
		columns += ((unsigned char)*s & 0xc0) != 0x80; /* code points, not bytes */
		if (columns > v->width) *s = '\0';
		if (!*s) break;
	}
	bool styled = v->colour && *style;
	printf("%s%s%s%s\n", styled ? style : "", text, styled ? "\033[0m" : "",
	       v->live ? "\033[K" : "");
}

static void bytes_text(int64_t bytes, char out[24])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double x = (double)bytes;
	int u = 0;
	for (; x >= 1024 && u < 4; u++) x /= 1024;
	snprintf(out, 24, u ? "%.1f %s" : "%.0f %s", x, units[u]);
}

static void put_title(const view *v, const sx_top *t)
{
	const sx_config *c = &t->cfg;
	char drop[64] = "";
	if (c->train.drop_at >= 0)
		snprintf(drop, sizeof drop, ", %s %s at step %lld",
			 strcmp(c->train.drop.to, "keep") == 0 ? "drop.to" : "dropped to",
			 c->train.drop.to, (long long)c->train.drop_at);
	put(v, bold, "%s", t->run);
	put(v, faint, "%s%s; %d layers, %d heads, width %d, context %lld; seed %lld", c->pos.method,
	    drop, c->model.layers, c->model.heads, c->model.width, (long long)c->model.context,
	    (long long)c->seed);
}

static void put_progress(const view *v, const sx_top *t)
{
	char bar[BAR + 1], left[32], age[32];
	int64_t step = sx_top_step(t);
	double share = t->updates > 0 ? (double)step / (double)t->updates : 0;
	for (int i = 0; i < BAR; i++) bar[i] = (double)i < share * BAR ? '#' : '.';
	bar[BAR] = '\0';
	put(v, plain, "[%s] step %lld of %lld (%.0f %%), %s", bar, (long long)step,
	    (long long)t->updates, 100 * share, t->recalibrates ? "recalibration" : "pretrain");
	sx_duration_text(isnan(t->age) ? 0 : t->age, age);
	sx_duration_text(isnan(sx_top_left(t)) ? 0 : sx_top_left(t), left);
	if (t->state == SX_TOP_ENDED)
		put(v, plain, "ended %s ago", age);
	else if (t->state == SX_TOP_STOPPED)
		put(v, alarming, "stopped %s ago; `sextant train ... --resume` goes on", age);
	else if (isnan(t->age))
		put(v, plain, "no log yet");
	else if (t->age > 60 && !(t->age < 20 * t->seconds_per_step))
		put(v, alarming,
		    "silent for %s: evaluating, or killed (`sextant train ... "
		    "--resume` goes on)",
		    age);
	else
		put(v, plain, "%s left, last update %s ago",
		    isnan(sx_top_left(t)) ? "unknown time" : left, age);
}

/* Means over equal parts of the losses so far, as bars of eighths. */
static void put_curve(const view *v, const sx_top *t)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	double mean[CURVE_MOST], lo = (double)INFINITY, hi = -(double)INFINITY;
	char curve[4 * CURVE_MOST + 1] = "";
	int n = v->width - 30;
	if (n > CURVE_MOST) n = CURVE_MOST;
	if (n < 10) n = 10;
	if (t->n < n) n = (int)t->n;
	for (int k = 0; k < n; k++) {
		int64_t from = t->n * k / n, to = t->n * (k + 1) / n;
		mean[k] = 0;
		for (int64_t i = from; i < to; i++) mean[k] += t->loss[i] / (double)(to - from);
		lo = fmin(lo, mean[k]);
		hi = fmax(hi, mean[k]);
	}
	for (int k = 0; k < n; k++) {
		double x = hi > lo ? (mean[k] - lo) / (hi - lo) : 0;
		strcat(curve, isnan(x) ? "?" : blocks[(int)fmin(7, 8 * x)]);
	}
	if (n > 0) put(v, plain, "loss  %s  %.4g to %.4g", curve, hi, lo);
}

static void put_numbers(const view *v, const sx_top *t)
{
	if (t->n == 0) return;
	put(v, plain, "loss %.4f   lr %.3g   gradient norm %.3g   %.0f tokens/s", t->loss[t->n - 1],
	    t->lr, t->grad_norm, t->tokens_per_s);
}

static void put_heads(const view *v, const sx_top *t)
{
	if (t->ac.n == 0) return;
	put(v, faint, "largest |A_c| at step %lld, mean over %lld sequences", (long long)t->ac.step,
	    (long long)t->ac.sequences);
	for (int64_t i = 0; i < t->ac.n && i < HEADS_SHOWN; i++) {
		const sx_ac_head *h = &t->ac.head[i];
		put(v, plain, "  L%d/H%-3d %-12s %+.4f", h->layer, h->head, t->ac.family[h->family],
		    h->value);
	}
}

static void put_files(const view *v, const sx_top *t)
{
	char a[24], b[24], c[24], d[24], last[96] = "no checkpoint yet";
	bytes_text(t->checkpoint_bytes, a);
	bytes_text(t->live_bytes, b);
	bytes_text(t->sealed_bytes, c);
	bytes_text(t->log_bytes, d);
	if (t->checkpoints > 0)
		snprintf(last, sizeof last, "last checkpoint %lld, %lld of them, %s",
			 (long long)t->last_checkpoint, (long long)t->checkpoints, a);
	put(v, faint, "%s; live %s%s%s; log %s", last, b, t->sealed_bytes ? ", sealed " : "",
	    t->sealed_bytes ? c : "", d);
}

void sx_top_print(const sx_top *t, int width, bool live, bool colour)
{
	const view v = {width, live, colour};
	if (live) fputs("\033[H", stdout);
	put_title(&v, t);
	put_progress(&v, t);
	put_numbers(&v, t);
	put_curve(&v, t);
	put_heads(&v, t);
	put_files(&v, t);
	if (live) fputs("\033[J", stdout); /* what a longer frame left below */
}

json_t *sx_top_json(const sx_top *t)
{
	static const char *const states[] = {"running", "stopped", "ended"};
	json_t *heads = json_array();
	for (int64_t i = 0; i < t->ac.n; i++) {
		const sx_ac_head *h = &t->ac.head[i];
		json_array_append_new(heads,
				      json_pack("{s:i, s:i, s:s, s:o}", "layer", h->layer, "head",
						h->head, "c", t->ac.family[h->family], "value",
						sx_json_number(h->value)));
	}
	json_t *ac = t->ac.n ? json_pack("{s:I, s:I, s:o}", "step", (json_int_t)t->ac.step,
					 "sequences", (json_int_t)t->ac.sequences, "heads", heads)
			     : json_null();
	if (t->ac.n == 0) json_decref(heads);
	return json_pack(
		"{s:s, s:s, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:I, s:I, s:I, "
		"s:I, s:I, s:I}",
		"run", t->run, "state", states[t->state], "step", (json_int_t)sx_top_step(t),
		"updates", (json_int_t)t->updates, "phase",
		t->recalibrates ? "recalibration" : "pretrain", "loss",
		t->n ? sx_json_number(t->loss[t->n - 1]) : json_null(), "lr", sx_json_number(t->lr),
		"grad_norm", sx_json_number(t->grad_norm), "tokens_per_s",
		sx_json_number(t->tokens_per_s), "seconds_left", sx_json_number(sx_top_left(t)),
		"seconds_silent", sx_json_number(t->age), "ac", ac, "file", t->file, "checkpoints",
		(json_int_t)t->checkpoints, "last_checkpoint", (json_int_t)t->last_checkpoint,
		"checkpoint_bytes", (json_int_t)t->checkpoint_bytes, "live_bytes",
		(json_int_t)t->live_bytes, "sealed_bytes", (json_int_t)t->sealed_bytes, "log_bytes",
		(json_int_t)t->log_bytes);
}

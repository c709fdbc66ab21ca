/* What the verbs print with. */
#include "cli/out.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- arguments ---- */

int64_t sx_parse_count(struct argp_state *state, const char *option, const char *arg)
{
	char *end;
	errno = 0;
	long long v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < 1)
		argp_error(state, "%s %s: must be a whole number, at least 1", option, arg);
	return v;
}

bool sx_parse_maps_type(struct argp_state *state, const char *arg)
{
	bool f32 = strcmp(arg, "f32") == 0;
	if (!f32 && strcmp(arg, "f16") != 0)
		argp_error(state, "--maps-type %s: want f16 or f32", arg);
	return f32;
}

error_t sx_common_parse(sx_common *c, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case SX_KEY_JSON:
		c->json = true;
		return 0;
	case SX_KEY_THREADS: {
		int64_t n = sx_parse_count(state, "--threads", arg);
		if (n > 4096) argp_error(state, "--threads %s: must be 4096 at most", arg);
		c->threads = (int)n;
		return 0;
	}
	case SX_KEY_IGNORE:
		if (!c->ctx || c->ctx->n_ignored == SX_IGNORED_MOST)
			argp_error(state, "--ignore-key %s: at most %d keys", arg, SX_IGNORED_MOST);
		c->ctx->ignored[c->ctx->n_ignored++] = arg;
		return 0;
	case 'q':
		c->quiet = true;
		if (c->ctx) c->ctx->level = SX_LOG_ERROR;
		return 0;
	case 'v':
		if (c->ctx) c->ctx->level = SX_LOG_DEBUG;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

sx_status sx_parse_args(sx_ctx *ctx, const struct argp *argp, int argc, char **argv, void *input)
{
	/* argp and getopt take the program's name from argv[0]. */
	char *verb = argv[0], *name = sx_format("sextant %s", verb);
	if (!name) return sx_fail(ctx, SX_ENOMEM, "no memory for the arguments");
	argv[0] = name;
	error_t e = argp_parse(argp, argc, argv, 0, NULL, input);
	argv[0] = verb;
	free(name);
	if (e == 0) return SX_OK;
	return sx_fail(ctx, e == ENOMEM ? SX_ENOMEM : SX_EINTERNAL,
		       "the arguments cannot be read: %s", strerror(e));
}

static bool is_plain(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			       "_./=:,+-@") == strlen(s);
}

/* A word as a shell would need it; the caller's. */
static char *quoted(const char *s)
{
	if (is_plain(s)) return sx_strdup(s);
	char *out = sx_calloc(4 * strlen(s) + 3, 1), *to = out;
	if (!out) return NULL;
	*to++ = '\'';
	for (; *s; s++) {
		if (*s == '\'') {
			memcpy(to, "'\\''", 4);
			to += 4;
		} else {
			*to++ = *s;
		}
	}
	*to = '\'';
	return out;
}

char *sx_command_line(const char *verb, int argc, char **argv)
{
	char *line = sx_format("sextant %s", verb);
	for (int i = 1; line && i < argc; i++) {
		char *word = quoted(argv[i]);
		char *more = word ? sx_format("%s %s", line, word) : NULL;
		free(word);
		free(line);
		line = more;
	}
	return line;
}

/* ---- JSON ---- */

json_t *sx_json_number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static sx_status stdout_failed(sx_ctx *ctx)
{
	return sx_fail(ctx, SX_EIO, "writing to standard output failed: %s", strerror(errno));
}

sx_status sx_print_json(sx_ctx *ctx, json_t *doc)
{
	if (!doc) return sx_fail(ctx, SX_ENOMEM, "no memory for the JSON document");
	errno = 0;
	int failed = json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	json_decref(doc);
	if (failed || putchar('\n') == EOF || fflush(stdout) != 0) return stdout_failed(ctx);
	return SX_OK;
}

/* ---- tables ---- */

struct sx_table {
	int columns;
	bool failed, undefined;
	char **cell; /* headings first, then row by row */
	size_t n;
};

static void table_push(sx_table *t, char *text)
{
	char **grown = text ? sx_grow(t->cell, t->n + 1, sizeof *grown) : NULL;
	if (!grown) {
		free(text);
		t->failed = true;
		return;
	}
	t->cell = grown;
	t->cell[t->n++] = text;
}

static void table_free(sx_table *t)
{
	for (size_t i = 0; t && i < t->n; i++) free(t->cell[i]);
	if (t) free(t->cell);
	free(t);
}

sx_table *sx_table_new(int columns, const char *const *headings)
{
	sx_table *t = sx_calloc(1, sizeof *t);
	if (!t) return NULL;
	t->columns = columns;
	for (int i = 0; i < columns; i++) table_push(t, sx_strdup(headings[i]));
	return t;
}

void sx_table_cell(sx_table *t, const char *fmt, ...)
{
	if (!t || t->failed) return;
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *text = n < 0 ? NULL : sx_calloc((size_t)n + 1, 1);
	if (text) vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	table_push(t, text);
}

static bool is_undefined(sx_table *t, double v)
{
	if (isfinite(v)) return false;
	sx_table_cell(t, "-");
	if (t) t->undefined = true;
	return true;
}

void sx_table_f(sx_table *t, int digits, double v)
{
	if (!is_undefined(t, v)) sx_table_cell(t, "%.*f", digits, v);
}

void sx_table_g(sx_table *t, int digits, double v)
{
	if (!is_undefined(t, v)) sx_table_cell(t, "%.*g", digits, v);
}

bool sx_table_undefined(const sx_table *t)
{
	return t && t->undefined;
}

void sx_print_field(int digits, double v)
{
	putchar('\t');
	if (isfinite(v)) printf("%.*g", digits, v);
}

/* Columns on a terminal: code points, not bytes. */
static int width_of(const char *s)
{
	int n = 0;
	for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Empty cells and dashes count as numbers: they stand where one is missing. */
static bool is_number(const char *s)
{
	char *end;
	if (!*s || strcmp(s, "-") == 0 || strcmp(s, "undefined") == 0) return true;
	strtod(s, &end);
	if (*end == '%') end++;
	return end != s && !*end;
}

static void print_cell(const char *s, int width, bool right, bool last)
{
	int pad = width - width_of(s);
	if (right) printf("%*s%s", pad, "", s);
	if (!right) printf("%s%*s", s, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

sx_status sx_table_print(sx_table *t, sx_ctx *ctx)
{
	sx_status st = SX_OK;
	struct column {
		int width;
		bool right;
	} *column = NULL;
	if (t && !t->failed) column = sx_calloc((size_t)t->columns, sizeof *column);
	if (!column) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for the table");
		goto out;
	}
	size_t n = (size_t)t->columns;
	for (size_t i = 0; i < n; i++) column[i].right = t->n > n;
	for (size_t i = 0; i < t->n; i++) {
		struct column *c = &column[i % n];
		int width = width_of(t->cell[i]);
		if (width > c->width) c->width = width;
		if (i >= n && !is_number(t->cell[i])) c->right = false;
	}
	errno = 0;
	for (size_t i = 0; i < t->n; i++)
		print_cell(t->cell[i], column[i % n].width, column[i % n].right, i % n == n - 1);
	if (fflush(stdout) != 0 || ferror(stdout)) st = stdout_failed(ctx);
out:
	free(column);
	table_free(t);
	return st;
}

/* ---- progress ---- */

enum { LINE_EVERY = 30 }; /* seconds between full lines where nobody watches */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sx_progress_begin(sx_progress *p, sx_ctx *ctx, const char *what, int64_t first, int64_t total)
{
	double t = now();
	const char *term = getenv("TERM");
	*p = (sx_progress){.what = what,
			   .total = total,
			   .step = first,
			   .mark_step = first,
			   .begun = t,
			   .shown = t,
			   .mark = t,
			   .loss = (double)NAN,
			   .live = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0),
			   .quiet = ctx && ctx->level > SX_LOG_INFO,
			   .ctx = ctx};
}

void sx_duration_text(double seconds, char out[32])
{
	int64_t s = seconds < 1e9 ? (int64_t)seconds : 1000000000;
	if (s < 60)
		snprintf(out, 32, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(out, 32, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
	else
		snprintf(out, 32, "%lldh%02lldm", (long long)(s / 3600),
			 (long long)(s % 3600 / 60));
}

static void show(sx_progress *p, bool last)
{
	char line[200], took[32];
	size_t used = (size_t)snprintf(line, sizeof line, "%s: step %lld/%lld", p->what,
				       (long long)p->step, (long long)p->total);
	if (p->total > 0)
		used += (size_t)snprintf(line + used, sizeof line - used, " (%.0f %%)",
					 100 * (double)p->step / (double)p->total);
	if (!isnan(p->loss))
		used += (size_t)snprintf(line + used, sizeof line - used, ", loss %.4f", p->loss);
	if (p->tokens_per_s > 0)
		used += (size_t)snprintf(line + used, sizeof line - used, ", %.0f tokens/s",
					 p->tokens_per_s);
	if (last) {
		sx_duration_text(p->shown - p->begun, took);
		snprintf(line + used, sizeof line - used, ", took %s", took);
	} else if (p->steps_per_s > 0) {
		sx_duration_text((double)(p->total - p->step) / p->steps_per_s, took);
		snprintf(line + used, sizeof line - used, ", %s left", took);
	}
	/* \033[K clears what a longer line left behind. */
	fprintf(stderr, "%s%s%s%s", p->live ? "\r" : "", line, p->live ? "\033[K" : "",
		p->live && !last ? "" : "\n");
	fflush(stderr);
}

/* Speeds since the last mark, smoothed over a few marks. */
static void measure(sx_progress *p, double t)
{
	double dt = t - p->mark;
	double steps = (double)(p->step - p->mark_step) / dt, tokens = (double)p->tokens / dt;
	double keep = p->steps_per_s > 0 ? 0.7 : 0;
	p->steps_per_s = keep * p->steps_per_s + (1 - keep) * steps;
	p->tokens_per_s = keep * p->tokens_per_s + (1 - keep) * tokens;
	p->mark = t;
	p->mark_step = p->step;
	p->tokens = 0;
}

void sx_progress_step(sx_progress *p, int64_t step, double loss, int64_t tokens)
{
	double t = now();
	p->step = step;
	p->loss = loss;
	p->tokens += tokens;
	p->all_tokens += tokens;
	if (p->quiet) return;
	if (t - p->mark >= 0.5) measure(p, t);
	if (t - p->shown < (p->live ? 0.1 : LINE_EVERY)) return;
	p->shown = t;
	show(p, false);
}

void sx_progress_end(sx_progress *p)
{
	double t = now();
	if (p->quiet) return;
	/* The closing line tells the mean over the whole work. */
	if (t > p->begun) p->tokens_per_s = (double)p->all_tokens / (t - p->begun);
	p->shown = t;
	show(p, true);
}

static void listen_begin(void *self, const char *what, int64_t first, int64_t total)
{
	sx_progress *p = self;
	sx_progress_begin(p, p->ctx, what, first, total);
}

static void listen_step(void *self, int64_t step, double loss, int64_t tokens)
{
	sx_progress_step(self, step, loss, tokens);
}

static void listen_end(void *self)
{
	sx_progress_end(self);
}

sx_progress_to sx_progress_listener(sx_progress *p, sx_ctx *ctx)
{
	p->ctx = ctx;
	return (sx_progress_to){listen_begin, listen_step, listen_end, p};
}

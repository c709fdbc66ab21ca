/* What the verbs print with: JSON documents, tables, the progress line, and the options that many
 * verbs share. Data goes to stdout, everything else to stderr. */
#ifndef SX_CLI_OUT_H
#define SX_CLI_OUT_H

#include "engine/base.h"
#include "probes/lab/progress.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>

/* ---- arguments ---- */

/* Rows for a verb's argp table, and the handler for them. A verb takes the rows it needs, keeps an
 * sx_common in its own arguments, and hands unknown keys on:
 *	default: return sx_common_parse(&a->common, key, arg, state);
 * --quiet and --verbose set ctx->level. */
typedef struct {
	sx_ctx *ctx;
	int threads; /* 0 = all */
	bool json, quiet;
} sx_common;
enum { SX_KEY_JSON = 0x5801, SX_KEY_THREADS, SX_KEY_IGNORE };
/* clang-format off */
#define SX_ARG_JSON    {"json", SX_KEY_JSON, NULL, 0, "print one JSON document instead of text", 0}
#define SX_ARG_THREADS {"threads", SX_KEY_THREADS, "N", 0, "threads to use (default: all); results do not depend on it", 0}
#define SX_ARG_IGNORE  {"ignore-key", SX_KEY_IGNORE, "NAME", 0, "pass over this key of the model's config.json, though it may change the model (may be repeated)", 0}
#define SX_ARG_QUIET   {"quiet", 'q', NULL, 0, "say nothing but errors", 0}
#define SX_ARG_VERBOSE {"verbose", 'v', NULL, 0, "say more", 0}
/* clang-format on */
error_t sx_common_parse(sx_common *c, int key, char *arg, struct argp_state *state);

/* argp_parse for a verb: calls the program "sextant VERB" in help and messages. --help ends the
 * program with 0 and a usage error with 64, as argp does. SX_ENOMEM, SX_EINTERNAL. */
sx_status sx_parse_args(sx_ctx *ctx, const struct argp *argp, int argc, char **argv, void *input);
/* A positive number of an option's argument; ends the program as argp_error where it is not one. */
int64_t sx_parse_count(struct argp_state *state, const char *option, const char *arg);
/* Whether --maps-type is f32; the same where it is not f16 either. */
bool sx_parse_maps_type(struct argp_state *state, const char *arg);

/* "sextant VERB ..": words of a command line, joined and quoted where a shell would need it; the
 * caller's. NULL where memory is out. */
char *sx_command_line(const char *verb, int argc, char **argv);

/* ---- JSON ---- */

/* A number, or null where v is not finite: JSON knows no NaN. */
json_t *sx_json_number(double v);
/* Prints a document to stdout, keys in the order of their insertion, and a newline; takes the
 * reference. A NULL doc is a document that could not be built: SX_ENOMEM. SX_EIO. */
sx_status sx_print_json(sx_ctx *ctx, json_t *doc);

/* ---- tables ---- */

/* Columns as wide as their widest cell, two spaces between; a column of numbers is aligned right.
 * Cells are added row by row. sx_table_print prints to stdout and frees the table; an allocation
 * that failed before (a NULL table too) is reported there: SX_ENOMEM, SX_EIO. */
typedef struct sx_table sx_table;
sx_table *sx_table_new(int columns, const char *const *headings);
void sx_table_cell(sx_table *t, const char *fmt, ...) SX_PRINTF(2, 3);
/* A number as %.*f, or %.*g; a dash where it is undefined (NaN, infinite), which sx_table_undefined then
 * tells, for the sentence that says why. */
void sx_table_f(sx_table *t, int digits, double v);
void sx_table_g(sx_table *t, int digits, double v);
bool sx_table_undefined(const sx_table *t);
sx_status sx_table_print(sx_table *t, sx_ctx *ctx);

/* A field of a line for programs, behind a tab: %.*g, and nothing where it is undefined. */
void sx_print_field(int digits, double v);

/* ---- progress ---- */

/* One live line on a terminal (step, %, loss, tokens/s, time left), else a full line every 30 s and
 * at the end; on stderr, and nothing where ctx drops messages of level info. */
typedef struct {
	const char *what; /* borrowed: "train", "eval"                                      */
	int64_t total, step;
	int64_t tokens, all_tokens; /* since the mark, since the beginning                  */
	int64_t mark_step;
	double begun, shown, mark; /* seconds of a monotonic clock                          */
	double loss;               /* nats; NaN = none                                      */
	double steps_per_s, tokens_per_s; /* smoothed; 0 = not known yet                    */
	bool live, quiet;
	sx_ctx *ctx; /* borrowed */
} sx_progress;
/* first is the step the work starts from (a resumed run), total the step it ends at. */
void sx_progress_begin(sx_progress *p, sx_ctx *ctx, const char *what, int64_t first, int64_t total);
/* step of total is done, with this loss (NaN = none) and this many tokens since the last call. */
void sx_progress_step(sx_progress *p, int64_t step, double loss, int64_t tokens);
/* Ends the live line, says how it ended. */
void sx_progress_end(sx_progress *p);
/* For work that tells its progress: it goes to p, which needs no sx_progress_begin. Both are borrowed. */
sx_progress_to sx_progress_listener(sx_progress *p, sx_ctx *ctx);
/* "41s", "3m10s", "2h05m". */
void sx_duration_text(double seconds, char out[32]);

#endif

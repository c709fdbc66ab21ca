/* The configuration: one struct made from options.def, read from YAML and `key=value` overrides,
 * written back, compared. Knows what a key may be, not what a verb does with it. */
#ifndef SX_PROBES_CONFIG_CONFIG_H
#define SX_PROBES_CONFIG_CONFIG_H

#include "engine/base.h"
#include "engine/pos/params.h"
#include "engine/spec.h"

typedef struct {
	int64_t *at;
	size_t n;
} sx_int_list;
typedef struct {
	char **at;
	size_t n;
} sx_text_list;
typedef struct {
	int64_t lo, hi;
} sx_int_pair;
typedef struct {
	double a, b;
} sx_real_pair;

/* As sx_pos_opts has it. */
typedef char sx_method_name[sizeof((sx_pos_opts *)0)->method];

/* The types of options.def: what a field is in C, and what a value is called in a sentence. */
/* clang-format off */
#define SX_OPTION_TYPES(X)                            \
	X(INT,    int,          "a whole number")     \
	X(LONG,   int64_t,      "a whole number")     \
	X(STEP,   int64_t,      "a whole number or none") \
	X(REAL,   double,       "a number")           \
	X(FLAG,   bool,         "true or false")      \
	X(TEXT,   char *,       "text on one line")   \
	X(METHOD, sx_method_name, "text on one line") \
	X(INTS,   sx_int_list,  "a list of whole numbers") \
	X(TEXTS,  sx_text_list, "a list of texts, none of them empty") \
	X(NUMBERS, sx_pos_list, "a list of numbers, 128 at most") \
	X(RANGE,  sx_int_pair,  "a list of two whole numbers, the smaller one first") \
	X(REALS2, sx_real_pair, "a list of two numbers")
/* clang-format on */
#define SX_OPTION_TYPE(name, type, text) SX_OPTION_##name,
typedef enum { SX_OPTION_TYPES(SX_OPTION_TYPE) } sx_option_type;
#define SX_OPTION_C(name, type, text) typedef type sx_option_##name;
SX_OPTION_TYPES(SX_OPTION_C)

/* One row of options.def. */
typedef struct {
	const char *key; /* dotted: "train.drop.steps"                                      */
	sx_option_type type;
	size_t offset;        /* of the field in sx_config                                  */
	const char *fallback; /* the default, as text                                       */
	double least, most;
	const char *choices; /* "a|b|c", or NULL                                            */
	const char *meaning;
} sx_option;
extern const sx_option *const sx_options; /* SX_OPTION_COUNT rows, then one with a NULL key */

#define SX_GROUP(name)
#define SX_END(name)
#define SX_KEY(type, group, field, fallback, least, most, choices, meaning) +1
#define SX_POS_KEYS                                                         +SX_POS_PARAMS
enum {
	SX_OPTION_COUNT = 0
#include "probes/config/options.def"
};
#undef SX_GROUP
#undef SX_END
#undef SX_KEY
#undef SX_POS_KEYS

typedef enum { SX_FROM_DEFAULT, SX_FROM_FILE, SX_FROM_OVERRIDE } sx_origin;

/* cfg.train.drop.steps is the value of train.drop.steps. Texts and lists belong to the struct. */
typedef struct {
/* clang-format off */
#define SX_GROUP(name) struct {
#define SX_END(name)   } name;
#define SX_KEY(type, group, field, fallback, least, most, choices, meaning) sx_option_##type field;
#define SX_POS_KEYS    sx_pos_opts pos;
/* clang-format on */
#include "probes/config/options.def"
#undef SX_GROUP
#undef SX_END
#undef SX_KEY
#undef SX_POS_KEYS
	unsigned char origin[SX_OPTION_COUNT]; /* sx_origin of each key, in table order     */
	sx_text_list folders; /* where relative paths are looked for first (sx_config_begun_read) */
} sx_config;

/* All defaults. SX_ENOMEM. */
sx_status sx_config_init(sx_config *cfg, sx_ctx *ctx) SX_NODISCARD;
/* Defaults, then the YAML file at path (NULL = none), then n overrides "key=value", whose values
 * are YAML flow values ("data.retrieval.facts=[3, 7]"); a scalar is a list of one. Then
 * sx_config_check. SX_EUSAGE on an override without "="; SX_ECONFIG on an unknown key, a duplicate,
 * a value out of range, broken YAML, an anchor or a tag, naming file, line and key; SX_ENOINPUT,
 * SX_EIO. On failure *cfg holds nothing to free. */
sx_status sx_config_load(sx_config *cfg, sx_ctx *ctx, const char *path, int n,
			 char *const *overrides) SX_NODISCARD;
/* One more override. The caller ends with sx_config_check. */
sx_status sx_config_set(sx_config *cfg, sx_ctx *ctx, const char *override) SX_NODISCARD;
/* What no single key can tell: keys that contradict each other, a method or a model that cannot
 * be. SX_ECONFIG. */
sx_status sx_config_check(const sx_config *cfg, sx_ctx *ctx) SX_NODISCARD;
void sx_config_free(sx_config *cfg);

/* Whether a word of the command line is an override rather than a path: a dotted name, then "=". */
bool sx_is_override(const char *word);

/* The row of a key, or NULL. */
const sx_option *sx_option_find(const char *key);
/* The known key (or group) nearest to a misspelled one, written into out as text; false if none
 * is near. */
bool sx_option_suggest(const char *key, char out[64]);
bool sx_option_is_group(const char *path);
/* Fails with SX_ECONFIG: an unknown key, where ("" = nowhere), and the nearest known one. */
sx_status sx_option_unknown(sx_ctx *ctx, const char *where, const char *key) SX_NODISCARD;
/* What a key accepts, in words: "a whole number, at least 1". */
void sx_option_allowed(const sx_option *o, char *out, size_t size);
/* The field of a row; its type is sx_option_<type>. */
const void *sx_config_field(const sx_config *cfg, const sx_option *o);
/* The value of a row as a YAML flow value that reads back to the same value; the caller's, NULL
 * when memory is out. */
char *sx_config_value(const sx_config *cfg, const sx_option *o);
/* Where the value of a field came from: sx_config_origin(&cfg, &cfg.pos.method). */
sx_origin sx_config_origin(const sx_config *cfg, const void *field);

/* Every key, in table order, as nested YAML that reads back to the same struct. With origins, lines
 * that are not defaults end in "# file" or "# override". *text is the caller's. SX_ENOMEM. */
sx_status sx_config_yaml(const sx_config *cfg, sx_ctx *ctx, bool origins, char **text) SX_NODISCARD;
/* The keys whose values differ, in table order, none left out. Returns how many. */
int sx_config_diff(const sx_config *a, const sx_config *b, const sx_option *keys[SX_OPTION_COUNT]);

/* ---- paths of a run's configuration ---- */

/* Writes RUN/begun where the configuration has relative paths (data.text, data.tokenizer, init), or
 * branch is not NULL: lines "folder ABSOLUTE", the current folder; "beside RELATIVE", the same as seen
 * from RUN; "branch RUN@STEP". RUN must be there. SX_ECREATE, SX_EIO, SX_ENOMEM. */
sx_status sx_config_begun_write(const sx_config *cfg, sx_ctx *ctx, const char *run,
				const char *branch) SX_NODISCARD;
/* Reads it, where it is: from then on relative paths are looked for first where the run began, but not
 * those of overrides, which come from the current folder unless the run is resumed with them. *branch
 * (branch NULL: not asked for) is the caller's, as it was where there is none. SX_EIO, SX_ENOMEM. */
sx_status sx_config_begun_read(sx_config *cfg, sx_ctx *ctx, const char *run, bool resumes,
			       char **branch) SX_NODISCARD;
/* Where a path of the configuration leads, which is in this field of it: as it is if absolute; else in
 * the first of cfg's folders where it is, else from the current folder. The caller's; NULL when memory
 * is out. */
char *sx_config_path(const sx_config *cfg, const void *field, const char *path);

/* ---- between the files of this room ---- */

/* Sets one key from texts: a scalar (n = 1), or a list. `where` opens the message. SX_ECONFIG. */
sx_status sx_config_store(sx_config *cfg, sx_ctx *ctx, const sx_option *o, char *const *texts,
			  size_t n, bool list, const char *where, sx_origin origin) SX_NODISCARD;
/* Reads YAML onto cfg: a whole file (name opens messages), or the flow value of one row. */
sx_status sx_config_read(sx_config *cfg, sx_ctx *ctx, const char *name, const char *text,
			 size_t size) SX_NODISCARD;
sx_status sx_config_read_value(sx_config *cfg, sx_ctx *ctx, const sx_option *o, const char *name,
			       const char *text) SX_NODISCARD;

/* Fails with SX_ECONFIG: a method's name that is in no table, and those that are. */
sx_status sx_config_unknown_method(sx_ctx *ctx, const char *name) SX_NODISCARD;
/* Whether a file or an override set a parameter of pos.* */
bool sx_config_pos_is_set(const sx_config *cfg, const sx_pos_param *p);

/* ---- towards the engine ---- */

/* The model a configuration describes. vocab is the tokenizer's vocabulary, 0 = not known (then
 * model.vocab must be set). bos and eos are left at -1: they are the tokenizer's. SX_ECONFIG. */
sx_status sx_config_spec(const sx_config *cfg, int vocab, sx_spec *out, sx_ctx *ctx) SX_NODISCARD;
/* The other way, for init=MODEL: model.* becomes the loaded model's shape, so that the written
 * configuration tells the truth. A model.* key that was set to something else is refused
 * (SX_ECONFIG); model.context and pos.* are the user's where set, the model's otherwise. */
sx_status sx_config_adopt(sx_config *cfg, sx_ctx *ctx, const sx_spec *spec) SX_NODISCARD;
/* pos.* overrides onto a loaded model: `sextant trace MODEL pos.method=yarn pos.factor=2`. A new
 * method starts from its own defaults; theta, beta, window, factor and train_length stay the
 * model's unless given (train_length 0 = the trained context). Keys outside pos are refused
 * (SX_EUSAGE); bad values are SX_ECONFIG. *spec is changed on success only. */
sx_status sx_spec_override(sx_spec *spec, sx_ctx *ctx, int n, char *const *overrides) SX_NODISCARD;

/* Least number of insertions, deletions, substitutions and swaps of neighbours that turn a into b;
 * names longer than 63 characters count as far away. */
int sx_edit_distance(const char *a, const char *b);

#endif

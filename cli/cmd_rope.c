/* sextant rope: which frequencies the heads use, what a scaling method would do to them; and the
 * frequencies of a method without any model. */
#include "analysis/heads.h"
#include "analysis/rope.h"
#include "cli/cmd.h"
#include "cli/rope_print.h"
#include "engine/files/pos_json.h"
#include "probes/config/config.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
	"Of a run file: how much of each head's scores every rotated pair of channels carries, "
	"with "
	"intervals over sequences; where on the spectrum a head lives; whether positional heads "
	"(large |A_c|) use other frequencies than the rest; what each scaling method would do to "
	"each head. With `table`: frequencies, gamma and attention factor of a method, without a "
	"model; it takes pos.* and pos.head_dim."
	"\v"
	"Positional heads are compared with semantic, key and mixed ones, by the classes of "
	"`sextant heads`; with --threshold, or without statistics in the file, those whose |A_c| "
	"reaches "
	"it with all others. A groups file has lines \"LAYER HEAD NAME\" and goes before "
	"either.\n\n"
	"Examples:\n"
	"  sextant rope runs/demo --step 963\n"
	"  sextant rope table pos.method=yarn pos.head_dim=64 pos.theta=10000 "
	"pos.train_length=2048 pos.factor=4\n";

enum { KEY_FACTOR = 1, KEY_GROUPS, KEY_THRESHOLD, KEY_PAIRS };
/* clang-format off */
static const struct argp_option options[] = {
	SX_ARG_JSON,
	SX_ARG_STEP,
	SX_ARG_PHASE,
	{"factor", KEY_FACTOR, "S", 0, "context extension for the scaling methods (default: 4)", 0},
	{"groups", KEY_GROUPS, "FILE", 0, "names of heads, for the comparison", 0},
	{"threshold", KEY_THRESHOLD, "A", 0, "least |A_c| (previous or diagonal) of a positional head, in place of its class (0.25 where there is none)", 0},
	SX_ARG_KINDS("all but constant"),
	{"pairs", KEY_PAIRS, NULL, 0, "print every head's pairs instead, separated by tabs; an empty field is undefined", 0},
	{0}};
/* clang-format on */

struct args {
	sx_common common;
	sx_record_args record;
	char **words; /* what is not an option, in order; borrowed from argv */
	int n;
	double factor, threshold;
	const char *groups;
	const char *of_file; /* an option that `table` has no use for, NULL: none */
	bool pairs, factor_given;
};

static const char *option_of_file(int key)
{
	static const struct {
		int key;
		const char *name;
	} all[] = {{SX_KEY_STEP, "--step"},   {SX_KEY_PHASE, "--phase"},
		   {SX_KEY_KINDS, "--kinds"}, {KEY_FACTOR, "--factor"},
		   {KEY_GROUPS, "--groups"},  {KEY_THRESHOLD, "--threshold"},
		   {KEY_PAIRS, "--pairs"}};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i].key == key) return all[i].name;
	return NULL;
}

static double parse_number(struct argp_state *state, const char *option, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);
	if (end == arg || *end || !isfinite(v)) argp_error(state, "%s %s: no number", option, arg);
	return v;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	if (!a->of_file) a->of_file = option_of_file(key);
	switch (key) {
	case ARGP_KEY_END:
		if (a->pairs && (a->common.json || a->factor_given))
			argp_error(state,
				   "--pairs prints what was measured alone, as lines: leave out "
				   "--json and --factor");
		return 0;
	case KEY_FACTOR:
		a->factor_given = true;
		a->factor = parse_number(state, "--factor", arg);
		return 0;
	case KEY_THRESHOLD:
		a->threshold = parse_number(state, "--threshold", arg);
		return 0;
	case KEY_GROUPS:
		a->groups = arg;
		return 0;
	case KEY_PAIRS:
		a->pairs = true;
		return 0;
	case ARGP_KEY_ARGS:
		a->words = state->argv + state->next;
		a->n = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which FILE.h5 or RUN? or `table`?");
		return 0;
	default:
		return sx_record_parse(&a->record, key, arg, state) == 0
			       ? 0
			       : sx_common_parse(&a->common, key, arg, state);
	}
}

/* ---- table ---- */

/* pos.head_dim=D among the words: it is no key of a configuration, where the model has it. */
static sx_status take_head_dim(sx_ctx *ctx, int *dim, int *n, char **words)
{
	static const char key[] = "pos.head_dim=";
	int kept = 0;
	*dim = 64;
	for (int i = 0; i < *n; i++) {
		if (strncmp(words[i], key, sizeof key - 1) != 0) {
			words[kept++] = words[i];
			continue;
		}
		char *end;
		const char *text = words[i] + sizeof key - 1;
		long v = strtol(text, &end, 10);
		if (end == text || *end || v < 2 || v % 2 || v > 65536)
			return sx_fail(ctx, SX_ECONFIG, "%s: must be even, 2 to 65536", words[i]);
		*dim = (int)v;
	}
	*n = kept;
	return SX_OK;
}

static sx_status table(sx_ctx *ctx, struct args *a)
{
	sx_status st = SX_OK;
	sx_spec spec = sx_spec_default();
	sx_pos_plan plan = {0};
	char **words = a->words + 1;
	int n = a->n - 1;
	if (a->of_file)
		return sx_fail(ctx, SX_EUSAGE,
			       "%s is for a run file: `rope table` takes pos.KEY=VALUE alone",
			       a->of_file);
	for (int i = 0; i < n; i++)
		if (!sx_is_override(words[i]))
			return sx_fail(ctx, SX_EUSAGE, "%s: `rope table` takes pos.KEY=VALUE alone",
				       words[i]);
	SX_TRY(take_head_dim(ctx, &spec.D, &n, words));
	SX_TRY(sx_spec_override(&spec, ctx, n, words));
	if (spec.pos.train_length < 1) {
		st = sx_fail(ctx, SX_EUSAGE,
			     "the trained length is not known; set pos.train_length=TOKENS");
		goto out;
	}
	SX_TRY(sx_pos_plan_make(&plan, ctx, &spec.pos, sx_pos_head(spec.D, spec.pos.train_length),
				0, spec.pos.train_length));
	st = sx_rope_print_table(ctx, &spec.pos, &plan, a->common.json);
out:
	sx_pos_plan_free(&plan);
	return st;
}

/* ---- a run file ---- */

/* The parameters of the model's method, for the other methods that it is compared with: those are
 * taken at a factor of their own, with their own attention factor. A parameter that a file does not
 * have is younger than the file and has its default; theta every file has. */
static bool read_pos(sx_pos_opts *o, const json_t *pos)
{
	const sx_pos_opts plain = *o;
	if (!json_is_string(json_object_get(pos, "method")) ||
	    !json_is_number(json_object_get(pos, "theta")))
		return false;
	for (const sx_pos_param *p = sx_pos_params; p->name; p++)
		if (!sx_pos_from_json(p, o, json_object_get(pos, p->name))) return false;
	memcpy(o->method, plain.method, sizeof o->method);
	o->factor = plain.factor;
	o->attention_factor = plain.attention_factor;
	o->rotated_layers = plain.rotated_layers;
	return true;
}

/* Whether the file's settings are a model's: what is wrong with them is no fault of the user's. */
static bool is_pos(const sx_rope_print *p)
{
	enum { MOST_CHANNELS = 1 << 20 };
	sx_pos_plan plan;
	sx_ctx quiet;
	sx_pos_shape m = sx_pos_head(p->head_dim, p->trained_length);
	sx_ctx_init(&quiet);
	if (p->head_dim > MOST_CHANNELS) return false;
	if (sx_pos_plan_make(&plan, &quiet, &p->pos, m, 0, p->trained_length) != SX_OK)
		return false;
	sx_pos_plan_free(&plan);
	return true;
}

/* What the file says of the model. */
static sx_status read_model(sx_rope_print *p, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	char **text = NULL;
	int64_t n = 0;
	json_t *model = NULL, *pos = NULL;
	json_int_t context;
	sx_pos_opts *o = &p->pos;
	*o = sx_pos_opts_default();
	SX_TRY(sx_run_strings(f, SX_RUN_META_MODEL_JSON, &text, &n));
	model = n > 0 ? json_loads(text[0], 0, NULL) : NULL;
	if (!model ||
	    json_unpack(model, "{s:i, s:I, s:o}", "head_dim", &p->head_dim, "context", &context,
			"pos", &pos) != 0 ||
	    p->head_dim < 2 || context < 1 || !read_pos(o, pos)) {
		st = sx_fail(ctx, SX_EDATA, "%s: /meta/model_json does not describe a model",
			     sx_run_file_path(f));
		goto out;
	}
	if (o->train_length <= 0) o->train_length = context;
	p->trained_length = o->train_length;
	if (!is_pos(p))
		st = sx_fail(ctx, SX_EDATA, "%s: /meta/model_json does not describe a model",
			     sx_run_file_path(f));
out:
	json_decref(model);
	free(text);
	return st;
}

/* Every method but plain rotation and those that look at the input's length, at the factor asked for, that can
 * be on this model: ntk needs more than one pair. */
static sx_status make_methods(sx_rope_print *p, sx_ctx *ctx)
{
	size_t all = 0;
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	while (sx_pos_method_at((int)all)) all++;
	p->plan = sx_calloc(all, sizeof *p->plan);
	p->method = sx_calloc(all, sizeof *p->method);
	if (!p->plan || !p->method) return sx_fail(ctx, SX_ENOMEM, "no memory for the methods");
	for (int i = 0; i < (int)all; i++) {
		const sx_pos_method *m = sx_pos_method_at(i);
		sx_pos_opts o = p->pos;
		sx_pos_plan *plan = &p->plan[p->n_method];
		if (m->kind == SX_POS_ROPE || m->uses_length) continue;
		snprintf(o.method, sizeof o.method, "%s", m->name);
		o.factor = p->factor;
		sx_status st = sx_pos_plan_make(plan, &quiet, &o,
						sx_pos_head(p->head_dim, p->trained_length), 0,
						p->trained_length);
		if (st == SX_ECONFIG) continue; /* the model lacks what the method needs */
		if (st != SX_OK) return sx_fail(ctx, st, "%s", quiet.message);
		p->method[p->n_method++] = (sx_rope_method){.name = m->name, .gamma = plan->gamma};
	}
	return SX_OK;
}

/* Names by the rule; then the lines of the file, "layer head name". */
static sx_status read_names(sx_rope_print *p, sx_ctx *ctx, const char *path)
{
	char *text = NULL, *rest = NULL;
	size_t size = 0;
	sx_status st = path ? sx_read_file(ctx, path, &text, &size) : SX_OK;
	if (st != SX_OK) return st;
	int number = 0;
	for (rest = text; rest && *rest; number++) {
		char *line = rest, name[SX_ROPE_NAME];
		long long layer, head;
		int end = 0;
		rest += strcspn(rest, "\n");
		if (*rest) *rest++ = '\0';
		while (isspace((unsigned char)*line)) line++;
		if (!*line || *line == '#') continue;
		if (sscanf(line, "%lld %lld %31s %n", &layer, &head, name, &end) < 3 || line[end]) {
			st = sx_fail(ctx, SX_EDATA,
				     "%s, line %d: must be LAYER HEAD NAME, a name of at most 31 "
				     "letters",
				     path, number + 1);
			break;
		}
		if (layer < 0 || layer >= p->use.layers || head < 0 || head >= p->use.heads) {
			st = sx_fail(ctx, SX_EDATA,
				     "%s, line %d: there are %lld layers of %lld heads, counted "
				     "from 0",
				     path, number + 1, (long long)p->use.layers,
				     (long long)p->use.heads);
			break;
		}
		memcpy(p->name[layer * p->use.heads + head], name, sizeof name);
	}
	free(text);
	return st;
}

/* The names by `heads`, where the file has its statistics at this record; else by |A_c|. */
static sx_status name_heads(sx_rope_print *p, sx_ctx *ctx, sx_run_file *f)
{
	sx_status st = SX_OK;
	sx_heads *h = NULL;
	const sx_heads_opts o = {.kinds = 0, .seed = 1};
	int64_t n = p->use.layers * p->use.heads, record = -1;
	if (isnan(p->threshold) && sx_run_has(f, SX_RUN_STATS_OFFSET_PROFILE)) {
		st = sx_heads_read(&h, ctx, f, &o);
		if (st == SX_OK) record = sx_heads_find(h, p->use.step, p->use.phase);
		if (st == SX_ENOINPUT) st = SX_OK; /* no sequences of text */
		if (st != SX_OK) return st;
	}
	p->by_class = record >= 0 && h->layers == p->use.layers && h->heads == p->use.heads;
	if (isnan(p->threshold)) p->threshold = 0.25;
	for (int64_t i = 0; i < n; i++)
		snprintf(p->name[i], SX_ROPE_NAME, "%s",
			 p->by_class ? sx_head_class_name(h->score[record * n + i].cls)
			 : sx_rope_largest_ac(&p->heads[i]) >= p->threshold ? "positional"
									    : "other");
	sx_heads_free(h);
	return SX_OK;
}

static bool is_against(const char *name)
{
	for (int c = 0; c < SX_HEAD_CLASSES; c++)
		if (strcmp(name, sx_head_class_name((sx_head_class)c)) == 0)
			return sx_rope_group_of((sx_head_class)c) == SX_ROPE_B;
	return false;
}

static sx_status make_groups(sx_rope_print *p, sx_ctx *ctx, sx_run_file *f, const char *path)
{
	sx_status st = SX_OK;
	int64_t n = p->use.layers * p->use.heads;
	bool named = false;
	p->name = sx_calloc((size_t)n, sizeof *p->name);
	p->group = sx_calloc((size_t)n, sizeof *p->group);
	if (!p->name || !p->group) return sx_fail(ctx, SX_ENOMEM, "no memory for the groups");
	SX_TRY(name_heads(p, ctx, f));
	SX_TRY(read_names(p, ctx, path));
	for (int64_t i = 0; i < n; i++) named = named || is_against(p->name[i]);
	for (int64_t i = 0; i < n; i++) {
		p->group[i] = SX_ROPE_B;
		if (strcmp(p->name[i], "positional") == 0)
			p->group[i] = SX_ROPE_A;
		else if (named && !is_against(p->name[i]))
			p->group[i] = SX_ROPE_NEITHER;
	}
	p->against = named ? "semantic, key or mixed" : "other";
out:
	return st;
}

static void print_free(sx_rope_print *p)
{
	for (int k = 0; k < p->n_method; k++) sx_pos_plan_free(&p->plan[k]);
	free(p->plan);
	free(p->method);
	sx_rope_contrast_free(&p->contrast);
	sx_rope_use_free(&p->use);
	free(p->heads);
	free(p->name);
	free(p->group);
}

static sx_status of_file(sx_ctx *ctx, const struct args *a)
{
	sx_status st = SX_OK;
	sx_run_file *f = NULL;
	sx_rope_print p = {.factor = a->factor, .threshold = a->threshold, .groups = a->groups};
	if (a->n > 1)
		return sx_fail(ctx, SX_EUSAGE, "%s: one FILE.h5 or RUN at a time", a->words[1]);
	SX_TRY(sx_run_open(&f, ctx, a->words[0]));
	p.path = sx_run_file_path(f);
	SX_TRY(sx_rope_read(&p.use, ctx, f, a->record.step, a->record.phase, a->record.kinds));
	SX_TRY(read_model(&p, ctx, f));
	if ((int)(p.head_dim * p.pos.partial) / 2 != p.use.freqs) {
		st = sx_fail(ctx, SX_EDATA, "%s: %lld pairs, but heads of %d channels", p.path,
			     (long long)p.use.freqs, p.head_dim);
		goto out;
	}
	SX_TRY(make_methods(&p, ctx));
	p.logit_scale = p.pos.beta / sqrt(p.head_dim);
	sx_rope_setting setting = {.trained_length = p.trained_length,
				   .logit_scale = p.logit_scale,
				   .method = p.method,
				   .n_method = p.n_method,
				   .seed = 1};
	SX_TRY(sx_rope_heads(&p.heads, ctx, &p.use, &setting));
	SX_TRY(make_groups(&p, ctx, f, a->groups));
	SX_TRY(sx_rope_contrast_make(&p.contrast, ctx, &p.use, p.heads, p.group));
	if (a->common.json)
		st = sx_rope_print_json(ctx, &p);
	else
		st = a->pairs ? sx_rope_print_pairs(ctx, &p) : sx_rope_print_text(ctx, &p);
out:
	print_free(&p);
	sx_run_file_close(f);
	return st;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "FILE.h5|RUN\ntable pos.KEY=VALUE..", doc, NULL, NULL, NULL};
	struct args a = {.common = {.ctx = ctx},
			 .record = {-1, -1, 7},
			 .factor = 4,
			 .threshold = (double)NAN};
	sx_status st = sx_parse_args(ctx, &argp, argc, argv, &a);
	if (st != SX_OK) return st;
	return strcmp(a.words[0], "table") == 0 ? table(ctx, &a) : of_file(ctx, &a);
}

extern const sx_cmd sx_cmd_rope;
const sx_cmd sx_cmd_rope = {"rope", "analysis", "which frequencies the heads use", run};

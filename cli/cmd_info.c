/* sextant info: what a file or a folder is, in a few lines. Every kind is described by one JSON
 * object, which the text form prints key by key. */
#include "analysis/report/report.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/study/study.h"
#include "engine/files/gguf.h"
#include "engine/files/hf_config.h"
#include "engine/files/llama2c.h"
#include "engine/files/safetensors.h"
#include "engine/text/tokens.h"
#include "probes/config/config.h"
#include "probes/lab/source.h"
#include "probes/runfile/runfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
	"Says what a file or folder is: a run file, a run, a study, a report, a checkpoint in "
	"Hugging "
	"Face layout, safetensors, GGUF, a llama2.c .bin, token ids (.bin, .npy) or text."
	"\v"
	"Examples:\n"
	"  sextant info runs/demo\n"
	"  sextant info --json stories260K.bin\n";

static const struct argp_option options[] = {SX_ARG_JSON, {0}};

struct args {
	sx_common common;
	const char *path; /* borrowed from argv */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	if (key == ARGP_KEY_ARG) {
		if (a->path) argp_error(state, "one PATH at a time");
		a->path = arg;
		return 0;
	}
	if (key == ARGP_KEY_NO_ARGS) argp_error(state, "which PATH?");
	return sx_common_parse(&a->common, key, arg, state);
}

static void put_text(json_t *doc_, const char *key, const char *value)
{
	json_object_set_new(doc_, key, json_string(value));
}

static void put_int(json_t *doc_, const char *key, int64_t value)
{
	json_object_set_new(doc_, key, json_integer(value));
}

/* ---- run files ---- */

/* Root attributes that most files have; those that are missing are left out. */
static void put_attributes(json_t *d, sx_run_file *f)
{
	static const char *const texts[] = {"schema_version", "status",   "creator",
					    "version",        "git",      "run_id",
					    "command_line",   "precision"};
	static const char *const ints[] = {"seed", "start_step", "segments", "step_known"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = NULL;
		if (sx_run_has_attr(f, "/", texts[i]) &&
		    sx_run_get_str(f, "/", texts[i], &text) == SX_OK)
			put_text(d, texts[i], text);
		free(text);
	}
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
		int64_t value;
		if (sx_run_has_attr(f, "/", ints[i]) &&
		    sx_run_get_int(f, "/", ints[i], &value) == SX_OK)
			put_int(d, ints[i], value);
	}
}

/* Records of every group that grows, and the steps they span. */
static sx_status put_records(json_t *d, sx_run_file *f)
{
	sx_status st = SX_OK;
	double *axis = NULL;
	json_t *groups = json_object();
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		const char *path = sx_run_rows[i].path;
		int64_t n;
		if (!sx_run_is_growing_axis((sx_run_id)i) || !sx_run_has(f, (sx_run_id)i)) continue;
		SX_TRY(sx_run_read_all(f, (sx_run_id)i, &axis, &n));
		char *group = sx_format("%.*s", (int)(strrchr(path, '/') - path - 1), path + 1);
		json_t *g = json_pack("{s:I}", "records", (json_int_t)n);
		if (n > 0 && !strcmp(sx_run_rows[i].dims, "step")) {
			put_int(g, "first_step", (int64_t)axis[0]);
			put_int(g, "last_step", (int64_t)axis[n - 1]);
		}
		if (group) json_object_set_new(groups, group, g);
		free(group);
		free(axis);
		axis = NULL;
	}
	json_object_set(d, "groups", groups);
out:
	json_decref(groups);
	free(axis);
	return st;
}

/* Adds the item's table with its number of rows. */
static sx_status add_table(void *self, const sx_run_item *item)
{
	char *name = sx_format("%.*s", (int)(strrchr(item->path, '/') - item->path), item->path);
	if (!name) return SX_ENOMEM;
	put_int(self, name, item->ndim ? item->dims[0] : 1);
	free(name);
	return SX_OK;
}

static sx_status put_tables(json_t *d, sx_run_file *f)
{
	json_t *tables = json_object();
	sx_status st = sx_run_walk(f, add_table, tables);
	json_object_set_new(d, "rows", tables);
	return st;
}

static sx_status describe_run_file(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_run_file *f = NULL;
	sx_status st = SX_OK;
	SX_TRY(sx_run_open_any(&f, ctx, path));
	put_text(d, "kind", sx_run_is_tables(f) ? "tables of a report" : "run file");
	put_text(d, "file", sx_run_file_path(f));
	if (sx_run_is_tables(f)) {
		put_attributes(d, f);
		st = put_tables(d, f);
		goto out;
	}
	json_object_set_new(d, "live", json_boolean(sx_run_is_live(f)));
	put_attributes(d, f);
	st = put_records(d, f);
out:
	sx_run_file_close(f);
	return st;
}

/* ---- folders ---- */

/* A part of a folder that is missing or unreadable is a fact to tell, not a failure. */
static void put_reason(json_t *d, const char *key, const sx_ctx *ctx)
{
	put_text(d, key, ctx->message);
}

/* How it is trained. With a drop train.steps is the horizon of the rate's schedule before it alone. */
static void put_course(json_t *d, const sx_config *cfg)
{
	int64_t at = cfg->train.drop_at, after = cfg->train.drop.steps;
	const char *to = cfg->train.drop.to;
	if (at < 0) {
		put_int(d, "steps", cfg->train.steps);
		return;
	}
	char *course =
		sx_format("%s for %lld updates, then %s for %lld", cfg->pos.method, (long long)at,
			  strcmp(to, "keep") == 0 ? cfg->pos.method : to, (long long)after);
	if (course) put_text(d, "course", course);
	free(course);
	put_int(d, "steps", at + after);
	put_int(d, "drop_at", at);
	put_text(d, "drop_to", to);
}

static sx_status describe_run(json_t *d, sx_ctx *ctx, const char *path, const char *config)
{
	sx_config cfg;
	sx_ctx quiet;
	char *checkpoint = NULL;
	int64_t step;
	sx_status st = sx_config_load(&cfg, ctx, config, 0, NULL);
	if (st != SX_OK) return st;
	sx_ctx_init(&quiet);
	put_text(d, "kind", "run folder");
	put_text(d, "method", cfg.pos.method);
	put_int(d, "layers", cfg.model.layers);
	put_int(d, "width", cfg.model.width);
	put_int(d, "heads", cfg.model.heads);
	put_course(d, &cfg);
	sx_config_free(&cfg);
	if (sx_checkpoint_find(&checkpoint, &step, &quiet, path, -1) == SX_OK) {
		put_int(d, "last_checkpoint", step);
		free(checkpoint);
	} else {
		put_reason(d, "no_checkpoint", &quiet);
	}
	json_t *file = json_object();
	if (describe_run_file(file, &quiet, path) == SX_OK)
		json_object_set(d, "run_file", file);
	else
		put_reason(d, "no_run_file", &quiet);
	json_decref(file);
	return SX_OK;
}

static sx_status describe_study(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_study s = {0};
	const char *first = NULL;
	int64_t of_kind[SX_ITEM_KINDS] = {0};
	sx_status st = sx_study_read(&s, ctx, path);
	if (st != SX_OK) return st;
	json_t *seeds = json_array();
	put_text(d, "kind", "work folder of a study");
	put_text(d, "name", s.name);
	put_text(d, "title", s.title);
	for (int i = 0; i < s.n_seed; i++) json_array_append_new(seeds, json_integer(s.seed[i]));
	json_object_set_new(d, "seeds", seeds);
	for (int64_t i = 0; i < s.n_item; i++) of_kind[s.item[i].kind]++;
	json_t *parts = json_object();
	for (int k = 0; k < SX_ITEM_KINDS; k++)
		put_int(parts, sx_item_kind_name((sx_item_kind)k), of_kind[k]);
	json_object_set_new(d, "parts", parts);
	put_int(d, "missing", sx_study_missing(&s, &first));
	if (first) put_text(d, "first_missing", first);
	json_t *files = json_array();
	for (int64_t i = 0; i < s.n_item; i++)
		json_array_append_new(files, json_string(s.item[i].file));
	json_object_set_new(d, "files", files);
	sx_study_free(&s);
	return SX_OK;
}

static sx_status describe_report(json_t *d, sx_ctx *ctx, const char *path)
{
	static const char *const keys[] = {"title", "schema_version", "creator", "version",
					   "git",   "command_line"};
	json_error_t error;
	json_t *inputs = json_array(), *input;
	size_t n;
	char *name = sx_format("%s/manifest.json", path);
	json_t *m = name ? json_load_file(name, 0, &error) : NULL;
	free(name);
	if (!m) {
		json_decref(inputs);
		return sx_fail(ctx, SX_EDATA, "the manifest of %s cannot be read", path);
	}
	put_text(d, "kind", "report");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		json_t *value = json_object_get(m, keys[i]);
		if (value) json_object_set(d, keys[i], value);
	}
	json_array_foreach(json_object_get(m, "inputs"), n, input)
	{
		const char *file = NULL, *what = NULL;
		if (json_unpack(input, "{s:s, s:s}", "path", &file, "what", &what) == 0)
			json_array_append_new(inputs, json_sprintf("%s (%s)", file, what));
	}
	json_object_set_new(d, "inputs", inputs);
	json_decref(m);
	return SX_OK;
}

/* How many numbers of each type, in the order of safetensors, then packed ones by name. */
static void put_elements(json_t *d, const sx_tensors *t)
{
	json_t *elements = json_object();
	put_int(d, "tensors", t->n);
	for (int k = 0; k < SX_DTYPE_COUNT; k++) {
		int64_t count = 0;
		for (int64_t i = 0; i < t->n; i++)
			if (!t->list[i].blocks && t->list[i].dtype == (sx_dtype)k)
				count += t->list[i].count;
		if (count > 0) put_int(elements, sx_dtype_name((sx_dtype)k), count);
	}
	for (int64_t i = 0; i < t->n; i++) {
		if (!t->list[i].blocks) continue;
		const char *name = t->list[i].blocks->name;
		json_int_t before = json_integer_value(json_object_get(elements, name));
		put_int(elements, name, before + t->list[i].count);
	}
	json_object_set_new(d, "elements", elements);
}

static sx_status put_tensors(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_tensors *t = NULL;
	sx_status st = sx_safetensors_open(&t, ctx, path);
	if (st != SX_OK) return st;
	put_elements(d, t);
	if (t->n_meta > 0) {
		json_t *meta = json_object();
		for (int64_t i = 0; i < t->n_meta; i++)
			put_text(meta, t->meta[i].key, t->meta[i].value);
		json_object_set_new(d, "metadata", meta);
	}
	sx_tensors_free(t);
	return SX_OK;
}

/* Keys of config.json as they stand, whether the engine can run the model or not. */
static sx_status describe_checkpoint(json_t *d, sx_ctx *ctx, const char *path, const char *config)
{
	static const char *const keys[] = {"model_type",          "architectures",
					   "hidden_size",         "intermediate_size",
					   "num_hidden_layers",   "num_attention_heads",
					   "num_key_value_heads", "head_dim",
					   "vocab_size",          "max_position_embeddings",
					   "rope_theta",          "rope_scaling",
					   "rope_parameters",     "tie_word_embeddings",
					   "torch_dtype",         "dtype"};
	sx_ctx quiet;
	json_t *c = NULL;
	sx_status st = sx_hf_config_json(&c, ctx, config);
	if (st != SX_OK) return st;
	sx_ctx_init(&quiet);
	put_text(d, "kind", "checkpoint in Hugging Face layout");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		json_t *value = json_object_get(c, keys[i]);
		if (value && !json_is_null(value)) json_object_set(d, keys[i], value);
	}
	json_decref(c);
	if (put_tensors(d, &quiet, path) != SX_OK) put_reason(d, "no_weights", &quiet);
	return SX_OK;
}

static sx_status describe_folder(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_status st = SX_OK;
	char *run_config = sx_format("%s/config.yaml", path);
	char *hf_config = sx_format("%s/config.json", path);
	if (!run_config || !hf_config)
		st = sx_fail(ctx, SX_ENOMEM, "no memory to look at %s", path);
	else if (sx_path_exists(run_config))
		st = describe_run(d, ctx, path, run_config);
	else if (sx_path_exists(hf_config))
		st = describe_checkpoint(d, ctx, path, hf_config);
	else if (sx_study_is_in(path))
		st = describe_study(d, ctx, path);
	else if (sx_report_is_in(path))
		st = describe_report(d, ctx, path);
	else
		st = sx_fail(ctx, SX_EDATA,
			     "%s is a folder with neither config.yaml (a run) nor config.json (a "
			     "checkpoint), study.json (a study) nor manifest.json (a report)",
			     path);
	free(run_config);
	free(hf_config);
	return st;
}

/* ---- files ---- */

static void put_spec(json_t *d, const sx_spec *s)
{
	put_int(d, "layers", s->L);
	put_int(d, "width", s->C);
	put_int(d, "heads", s->H);
	put_int(d, "kv_heads", s->Hkv);
	put_int(d, "ffn", s->F);
	put_int(d, "vocab", s->V);
	put_int(d, "context", s->T);
	put_int(d, "parameters", sx_spec_params(s));
}

static sx_status describe_llama2c(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_tensors *t = NULL;
	sx_spec s;
	sx_status st = sx_llama2c_open(&t, &s, ctx, path);
	if (st != SX_OK) return st;
	put_text(d, "kind", "llama2.c checkpoint");
	put_spec(d, &s);
	sx_tensors_free(t);
	return SX_OK;
}

static void put_gguf_string(json_t *d, const char *name, const sx_gguf_keys *k, const char *key)
{
	const char *text = NULL;
	size_t len = 0;
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	if (sx_gguf_get_string(k, &quiet, key, &text, &len) == SX_OK && text)
		json_object_set_new(d, name, json_stringn(text, len));
}

/* What is in it, whether the engine can run it or not. */
static sx_status describe_gguf(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_tensors *t = NULL;
	sx_gguf_keys keys;
	sx_spec s;
	sx_ctx quiet;
	sx_status st = sx_gguf_read(&t, &keys, ctx, path);
	if (st != SX_OK) return st;
	put_text(d, "kind", "GGUF");
	put_gguf_string(d, "architecture", &keys, "general.architecture");
	put_gguf_string(d, "name", &keys, "general.name");
	put_gguf_string(d, "tokenizer", &keys, "tokenizer.ggml.model");
	put_int(d, "keys", keys.n);
	put_elements(d, t);
	sx_gguf_keys_free(&keys);
	sx_tensors_free(t);
	t = NULL;
	sx_ctx_init(&quiet);
	if (sx_gguf_open(&t, &s, &quiet, path) == SX_OK)
		put_spec(d, &s);
	else
		put_text(d, "not_supported", quiet.message);
	sx_tensors_free(t);
	return SX_OK;
}

static bool ends_in(const char *path, const char *ending)
{
	size_t n = strlen(path), m = strlen(ending);
	return n > m && !strcmp(path + n - m, ending);
}

static sx_status describe_tokens(json_t *d, sx_ctx *ctx, const char *path)
{
	sx_tokens t;
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	sx_status st = sx_tokens_read(&t, ctx, path, 0, SX_IDS_ANY);
	/* bare ids that cannot be 16 bits wide */
	bool wide = st == SX_EDATA && ends_in(path, ".bin") &&
		    sx_tokens_read(&t, &quiet, path, 0, SX_IDS_U32) == SX_OK;
	if (st != SX_OK && !wide) return st;
	int32_t most = 0;
	if (wide) put_text(d, "ids", "u32");
	for (int64_t i = 0; i < t.n; i++) most = t.ids[i] > most ? t.ids[i] : most;
	put_text(d, "kind", "token ids");
	put_int(d, "sequences", t.rows);
	put_int(d, "length", t.cols);
	put_int(d, "largest_id", most);
	sx_tokens_free(&t);
	return SX_OK;
}

/* Bytes of a well-formed UTF-8 sequence at s (RFC 3629, without its finer exclusions), 0 = none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n == 0 || n > left || s[0] > 0xf4 || s[0] == 0) return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80) return 0;
	return n;
}

static sx_status describe_text(json_t *d, sx_ctx *ctx, const char *path)
{
	char *data;
	size_t size = 0, at = 0;
	int64_t lines = 0;
	sx_status st = sx_read_file(ctx, path, &data, &size);
	if (st != SX_OK) return st;
	for (size_t n = 1; at < size && n > 0; at += n) {
		n = utf8_length((const unsigned char *)data + at, size - at);
		lines += data[at] == '\n';
	}
	if (at < size)
		st = sx_fail(ctx, SX_EDATA,
			     "%s is nothing known here: no run file, safetensors, llama2.c or "
			     "token .bin, .npy or UTF-8 text",
			     path);
	put_text(d, "kind", "text, UTF-8");
	put_int(d, "lines", lines);
	free(data);
	return st;
}

/* The first bytes of a file, zeros after its end, and its size. */
static sx_status peek(sx_ctx *ctx, const char *path, char head[8], int64_t *size)
{
	struct stat sb;
	memset(head, 0, 8);
	FILE *f = fopen(path, "rb");
	if (!f || fstat(fileno(f), &sb) != 0) {
		if (f) fclose(f);
		return sx_fail(ctx, SX_ENOINPUT, "cannot read %s: %s", path, strerror(errno));
	}
	*size = (int64_t)sb.st_size;
	bool failed = fread(head, 1, 8, f) < 8 && ferror(f);
	fclose(f);
	return failed ? sx_fail(ctx, SX_EIO, "reading %s failed", path) : SX_OK;
}

static sx_status describe_file(json_t *d, sx_ctx *ctx, const char *path)
{
	static const char hdf5[] = "\x89HDF\r\n\x1a\n", npy[] = "\x93NUMPY";
	char head[8];
	int64_t size = 0;
	sx_status st = peek(ctx, path, head, &size);
	if (st != SX_OK) return st;
	put_int(d, "size", size);
	if (!memcmp(head, hdf5, 8)) return describe_run_file(d, ctx, path);
	if (!memcmp(head, npy, 6)) return describe_tokens(d, ctx, path);
	if (sx_gguf_is(path)) return describe_gguf(d, ctx, path);
	if (ends_in(path, ".safetensors")) {
		put_text(d, "kind", "safetensors");
		return put_tensors(d, ctx, path);
	}
	if (!ends_in(path, ".bin")) return describe_text(d, ctx, path);
	/* Bare uint16 ids have no mark: what is nothing else is taken for them. */
	sx_ctx quiet;
	sx_ctx_init(&quiet);
	if (describe_llama2c(d, &quiet, path) == SX_OK) return SX_OK;
	return describe_tokens(d, ctx, path);
}

/* ---- output ---- */

static void print_value(const char *prefix, const char *key, const json_t *value)
{
	char name[128];
	snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
	if (json_is_object(value)) {
		const char *k;
		json_t *v;
		json_object_foreach((json_t *)value, k, v) print_value(name, k, v);
	} else if (json_is_array(value) && json_array_size(value) > 0 &&
		   json_is_string(json_array_get(value, 0))) {
		for (size_t i = 0; i < json_array_size(value); i++)
			print_value("", i ? "" : name, json_array_get(value, i));
	} else if (json_is_string(value)) {
		printf("%-24s %s\n", name, json_string_value(value));
	} else {
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		printf("%-24s %s\n", name, text ? text : "?");
		free(text);
	}
}

static sx_status print_text(sx_ctx *ctx, const json_t *d)
{
	print_value("", "path", json_object_get(d, "path"));
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)d, key, value) if (strcmp(key, "path") != 0)
		print_value("", key, value);
	if (fflush(stdout) != 0 || ferror(stdout))
		return sx_fail(ctx, SX_EIO, "writing to the standard output failed");
	return SX_OK;
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "PATH", doc, NULL, NULL, NULL};
	struct args a = {.common = {.ctx = ctx}};
	json_t *d = NULL;
	sx_status st = SX_OK;
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	d = json_object();
	put_text(d, "path", a.path);
	SX_TRY(sx_path_is_dir(a.path) ? describe_folder(d, ctx, a.path)
				      : describe_file(d, ctx, a.path));
	if (!a.common.json) {
		st = print_text(ctx, d);
		goto out;
	}
	st = sx_print_json(ctx, d);
	d = NULL;
out:
	json_decref(d);
	return st;
}

const sx_cmd sx_cmd_info = {"info", "files", "say what a file or folder is", run};

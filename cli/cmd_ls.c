/* sextant ls: what a run file holds. */
#include "cli/cmd.h"
#include "cli/dump.h"
#include "cli/out.h"
#include "probes/runfile/runfile.h"

#include <stdlib.h>
#include <string.h>

static const char doc[] =
	"Lists the datasets of a run file with their axes, units and meaning; with DATASET prints "
	"its "
	"values, one line each with their coordinates, separated by tabs. Of a run folder it takes "
	"run.h5, or the newest segment while the run goes on; of a report's analysis.h5 it lists "
	"the "
	"columns of its tables."
	"\v"
	"Examples:\n"
	"  sextant ls runs/demo\n"
	"  sextant ls --json trace.h5\n"
	"  sextant ls runs/demo /ac/value >ac.tsv\n";

enum { KEY_SCHEMA = 256 };
static const struct argp_option options[] = {
	{"schema", KEY_SCHEMA, NULL, 0, "print what a run file may hold, as a Markdown page", 0},
	SX_ARG_JSON,
	{0}};

struct args {
	sx_common common;
	const char *path, *dataset; /* borrowed from argv */
	bool schema;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	if (key == ARGP_KEY_ARG) {
		if (a->dataset) argp_error(state, "one FILE.h5 or RUN and one DATASET at a time");
		*(a->path ? &a->dataset : &a->path) = arg;
		return 0;
	}
	if (key == KEY_SCHEMA) {
		a->schema = true;
		return 0;
	}
	if (key == ARGP_KEY_END && a->schema && (a->path || a->common.json))
		argp_error(state, "--schema is of no file, and a page: leave out %s",
			   a->path ? a->path : "--json");
	if (key == ARGP_KEY_END && a->dataset && a->common.json)
		argp_error(state, "--json lists datasets; the values of one are printed as lines: "
				  "leave it out");
	if (key == ARGP_KEY_END) return 0;
	if (key == ARGP_KEY_NO_ARGS && a->schema) return 0;
	if (key == ARGP_KEY_NO_ARGS) argp_error(state, "which FILE.h5 or RUN?");
	return sx_common_parse(&a->common, key, arg, state);
}

/* ---- text ---- */

/* "step 38, sequence 9"; cut short where it does not fit. */
static void shape_text(const sx_run_item *item, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (int i = 0; i < item->ndim && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s %lld", i ? ", " : "", item->axes[i],
				 (long long)item->dims[i]);
		if (n > 0) used += (size_t)n;
	}
}

static sx_status add_row(void *self, const sx_run_item *item)
{
	char shape[512];
	shape_text(item, shape, sizeof shape);
	sx_table_cell(self, "%s", item->path);
	sx_table_cell(self, "%s", item->type);
	sx_table_cell(self, "[%s]", shape);
	sx_table_cell(self, "%s", item->units);
	sx_table_cell(self, "%s", item->long_name);
	return SX_OK;
}

static sx_status print_text(sx_ctx *ctx, sx_run_file *f)
{
	static const char *const headings[] = {"dataset", "type", "axes", "units", "meaning"};
	sx_table *t = sx_table_new(5, headings);
	sx_status st = sx_run_walk(f, add_row, t);
	sx_status printed = sx_table_print(t, ctx); /* frees it, whatever happened */
	return st != SX_OK ? st : printed;
}

/* ---- JSON ---- */

static sx_status add_json(void *self, const sx_run_item *item)
{
	json_t *dims = json_array(), *axes = json_array();
	for (int i = 0; i < item->ndim; i++) {
		json_array_append_new(dims, json_integer(item->dims[i]));
		json_array_append_new(axes, json_string(item->axes[i]));
	}
	json_t *row =
		json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:I}", "path", item->path, "type",
			  item->type, "dims", dims, "axes", axes, "units", item->units, "long_name",
			  item->long_name, "stored_bytes", (json_int_t)item->stored);
	return json_array_append_new(self, row) == 0 ? SX_OK : SX_ENOMEM;
}

static sx_status print_json(sx_ctx *ctx, sx_run_file *f)
{
	json_t *list = json_array();
	sx_status st = sx_run_walk(f, add_json, list);
	if (st != SX_OK) {
		json_decref(list);
		return st == SX_ENOMEM ? sx_fail(ctx, st, "no memory for the list") : st;
	}
	return sx_print_json(ctx, json_pack("{s:s, s:b, s:o}", "file", sx_run_file_path(f), "live",
					    sx_run_is_live(f), "datasets", list));
}

static sx_status run(sx_ctx *ctx, int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "FILE.h5|RUN [DATASET]\n--schema", doc, NULL, NULL, NULL};
	struct args a = {.common = {.ctx = ctx}};
	sx_run_file *f = NULL;
	sx_status st = SX_OK;
	SX_TRY(sx_parse_args(ctx, &argp, argc, argv, &a));
	if (a.schema) {
		st = sx_dump_schema(ctx);
		goto out;
	}
	SX_TRY(sx_run_open_any(&f, ctx, a.path));
	if (a.dataset && sx_run_is_tables(f))
		st = sx_fail(ctx, SX_EUSAGE,
			     "%s holds tables of a report: their values are in its tables/*.csv, "
			     "and sextant.py reads them",
			     sx_run_file_path(f));
	else if (a.dataset)
		st = sx_dump_dataset(ctx, f, a.dataset);
	else
		st = a.common.json ? print_json(ctx, f) : print_text(ctx, f);
out:
	sx_run_file_close(f);
	return st;
}

const sx_cmd sx_cmd_ls = {"ls", "files", "list what a run file holds", run};

#include "cli/dump.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One column of text: an axis, the phase along it, or the values. */
typedef struct {
	char name[64];
	sx_run_id id;
	int axis;       /* which dim it runs along; -1: the values          */
	double *number; /* one of the two */
	char **text;
} column;

enum { COLUMNS = SX_RUN_MAX_DIMS + 2 };

/* The slash it begins with may be left out. */
static bool find_id(sx_run_id *id, const char *path)
{
	for (int i = 0; i < SX_RUN_COUNT; i++)
		if (strcmp(sx_run_rows[i].path + (path[0] != '/'), path) == 0) {
			*id = (sx_run_id)i;
			return true;
		}
	return false;
}

/* The dataset `name` in the group of `path`. */
static bool find_beside(sx_run_id *id, const char *path, const char *name)
{
	char *full = sx_format("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
	bool found = full && find_id(id, full);
	free(full);
	return found;
}

static sx_status load(column *c, sx_run_file *f)
{
	int64_t n = 0;
	if (sx_run_rows[c->id].type == SX_DISK_STR) return sx_run_strings(f, c->id, &c->text, &n);
	return sx_run_read_all(f, c->id, &c->number, &n);
}

/* The columns in order; values last. */
static sx_status make_columns(column *c, int *n, sx_ctx *ctx, sx_run_file *f, sx_run_id id)
{
	const sx_run_row *row = &sx_run_rows[id];
	sx_status st = SX_OK;
	char *names = sx_strdup(row->dims), *rest = names;
	if (!names) return sx_fail(ctx, SX_ENOMEM, "no memory to print %s", row->path);
	*n = 0;
	int axis = 0;
	for (char *name; (name = strtok_r(rest, ",", &rest)); axis++) {
		column *k = &c[*n];
		sx_run_id phase;
		snprintf(k->name, sizeof k->name, "%s", name);
		k->axis = axis;
		if (!find_beside(&k->id, row->path, name)) {
			st = sx_fail(ctx, SX_EINTERNAL, "%s has no axis %s", row->path, name);
			goto out;
		}
		(*n)++;
		SX_TRY(load(k, f));
		if (strcmp(name, "step") != 0 || !find_beside(&phase, row->path, "phase") ||
		    !sx_run_has(f, phase) || phase == id)
			continue;
		c[*n] = (column){.name = "phase", .id = phase, .axis = axis};
		(*n)++;
		SX_TRY(load(&c[*n - 1], f));
	}
	c[*n] = (column){.name = "value", .id = id, .axis = -1};
	(*n)++;
	SX_TRY(load(&c[*n - 1], f));
out:
	free(names);
	return st;
}

static void print_flag(sx_run_id id, double v)
{
	char word[SX_RUN_WORD];
	if (sx_run_word(word, id, (int64_t)v))
		printf("%s", word);
	else
		printf("%g", v);
}

static void print_cell(const column *c, int64_t at)
{
	const sx_run_row *row = &sx_run_rows[c->id];
	if (c->text)
		printf("%s", c->text[at]);
	else if (row->type == SX_DISK_FLAGS)
		print_flag(c->id, c->number[at]);
	else if (isnan(c->number[at]))
		printf("nan");
	else
		printf(row->type == SX_DISK_F64 ? "%.17g" : "%.9g", c->number[at]);
}

static void print_lines(const column *c, int n, const int64_t *dims, int ndim)
{
	int64_t total = 1, at[SX_RUN_MAX_DIMS] = {0};
	for (int i = 0; i < ndim; i++) total *= dims[i];
	for (int k = 0; k < n; k++) printf("%s%s", k ? "\t" : "", c[k].name);
	printf("\n");
	for (int64_t e = 0; e < total; e++) {
		for (int k = 0; k < n; k++) {
			if (k) printf("\t");
			print_cell(&c[k], c[k].axis < 0 ? e : at[c[k].axis]);
		}
		printf("\n");
		for (int i = ndim - 1; i >= 0 && ++at[i] == dims[i]; i--) at[i] = 0;
	}
}

sx_status sx_dump_dataset(sx_ctx *ctx, sx_run_file *f, const char *path)
{
	sx_status st = SX_OK;
	sx_run_id id;
	column c[COLUMNS] = {0};
	int64_t dims[SX_RUN_MAX_DIMS];
	int n = 0, ndim = 0;
	if (!find_id(&id, path))
		return sx_fail(ctx, SX_EUSAGE,
			       "there is no dataset %s; `sextant ls FILE` lists them", path);
	SX_TRY(sx_run_shape(f, id, dims, &ndim));
	SX_TRY(make_columns(c, &n, ctx, f, id));
	print_lines(c, n, dims, ndim);
	if (ferror(stdout)) st = sx_fail(ctx, SX_EIO, "writing to standard output failed");
out:
	for (int k = 0; k < n; k++) {
		free(c[k].number);
		free(c[k].text);
	}
	return st;
}

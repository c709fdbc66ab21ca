/* The page of the run file, from its table: docs/runfile.md is this output. */
#include "cli/dump.h"
#include "probes/runfile/runfile.h"

#include <stdio.h>
#include <string.h>

static const char intro[] =
	"# The run file\n"
	"\n"
	"HDF5; made by `sextant ls --schema` from `probes/runfile/schema.h`. What the numbers are "
	"is in "
	"`definitions.md`.\n"
	"\n"
	"Every axis has a dimension scale of its name in its group; every dataset has `units` and "
	"`long_name`. Missing values are NaN, -1 in whole numbers, 255 in flags (u8 with CF "
	"`flag_values` and `flag_meanings`). `step`, `sample` and `ckpt` grow. At the drop two "
	"records share a step; `phase` tells them apart. Arrays are row-major: Julia and MATLAB "
	"show "
	"the axes reversed. Of `/attn/prob` the chunks without a visible pair are not stored and "
	"read as 0; where it is f16, netCDF-C 4.10 cannot read it (nor any f16 of others): take "
	"h5netcdf, or f32 (`--maps-type`). Additions raise the minor version; what is here stays.\n"
	"\n"
	"```python\n"
	"import h5py\n"
	"f = h5py.File(\"run.h5\")                                    # sealed\n"
	"f = h5py.File(\"live/seg-0000.h5\", swmr=True)               # live or killed\n"
	"import xarray; xarray.open_dataset(\"run.h5\", group=\"stats\", engine=\"h5netcdf\")\n"
	"```\n";

static const char *type_name(sx_run_type t)
{
	static const char *const names[] = {"f16 or f32", "f32", "f64", "i32", "i64", "u8", "str"};
	return names[t];
}

/* "(0 of every growing axis)": an index for the line of h5py. */
static void put_index(const sx_run_row *row)
{
	bool grows = !strncmp(row->dims, "step", 4) || !strncmp(row->dims, "sample", 6) ||
		     !strncmp(row->dims, "ckpt", 4);
	fputs(strchr(row->dims, ',') ? grows ? "[-1]" : "[:]" : "[:]", stdout);
}

static void put_row(const sx_run_row *row)
{
	printf("| `%s` | ", row->path);
	for (const char *s = row->dims; *s; s++)
		fputs(*s == ',' ? ", " : (const char[]){*s, '\0'}, stdout);
	printf(" | %s | %s | %s", type_name(row->type), row->units, row->long_name);
	if (row->flags) printf(": %s", row->flags);
	printf(" | `f[\"%s\"]", row->path + 1);
	put_index(row);
	puts("` |");
}

sx_status sx_dump_schema(sx_ctx *ctx)
{
	char group[32] = "";
	fputs(intro, stdout);
	for (int i = 0; i < SX_RUN_COUNT; i++) {
		const sx_run_row *row = &sx_run_rows[i];
		size_t n = strcspn(row->path + 1, "/") + 1;
		if (strncmp(group, row->path, n) != 0 || group[n] != '\0') {
			snprintf(group, sizeof group, "%.*s", (int)n, row->path);
			printf("\n## %s\n\n| dataset | axes | type | units | what | h5py |\n"
			       "|---|---|---|---|---|---|\n",
			       group);
		}
		put_row(row);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return sx_fail(ctx, SX_EIO, "writing to the standard output failed");
	return SX_OK;
}

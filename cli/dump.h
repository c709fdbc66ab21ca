/* A dataset of a run file as text: one line per value, with the coordinates of its axes. */
#ifndef SX_CLI_DUMP_H
#define SX_CLI_DUMP_H

#include "probes/runfile/runfile.h"

/* Prints the dataset at `path` ("/ac/value") to stdout: a heading, then tab-separated lines. Axes by
 * their values, flags by their words; along a step the phase follows it. SX_EUSAGE if the schema has
 * no such dataset, SX_EDATA if the file has it not, SX_EIO. */
sx_status sx_dump_dataset(sx_ctx *ctx, sx_run_file *f, const char *path) SX_NODISCARD;

/* Prints what a run file may hold as a page of Markdown: docs/runfile.md. SX_EIO. */
sx_status sx_dump_schema(sx_ctx *ctx) SX_NODISCARD;

#endif

/* A verb of the program: one row here, one file cmd_<name>.c. The table is in main.c. */
#ifndef SX_CLI_CMD_H
#define SX_CLI_CMD_H

#include "engine/base.h"

typedef struct {
	const char *name;
	const char *group;   /* heading in `sextant --help`                                 */
	const char *summary; /* one line                                                    */
	/* argv[0] is the verb. Returns a status; main() prints ctx's message and exits with
	 * the documented code. --help is answered by the verb itself (argp). */
	sx_status (*run)(sx_ctx *ctx, int argc, char **argv);
} sx_cmd;

#endif

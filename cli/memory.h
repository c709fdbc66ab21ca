/* Whether something fits into memory. */
#ifndef SX_CLI_MEMORY_H
#define SX_CLI_MEMORY_H

#include "probes/lab/cost.h"

#include <argp.h>

/* Bytes that the system can still give without swapping (MemAvailable of /proc/meminfo); -1 where it
 * does not tell. */
int64_t sx_memory_available(void);
/* An option's "500M", "8G": K, M, G, T are powers of 1024. Ends the program as argp_error where it is
 * nothing of the kind. */
int64_t sx_memory_parse(struct argp_state *state, const char *option, const char *arg);
/* SX_ECONFIG, with the largest part named, where n lines of memory need more than `limit`, which 0
 * makes what is available. `what` needs it. */
sx_status sx_memory_check(sx_ctx *ctx, const sx_memory_line *line, int n, int64_t limit,
			  const char *what) SX_NODISCARD;

#endif

/* `bounds --mix`: the epsilon law measured (probes/lab/mix.h) and concluded (analysis/mix.h). */
#ifndef SX_CLI_BOUNDS_MIX_H
#define SX_CLI_BOUNDS_MIX_H

#include "probes/lab/mix.h"

/* Measures what is asked for at each t of list ("1,0.1,0.01", numbers in (0, 1], which stand for those
 * of asked), writes /mix and prints the exponents. SX_EUSAGE, SX_EDATA, .. */
sx_status sx_mix_print_model(sx_ctx *ctx, const sx_mix_job *asked, const char *list,
			     bool json) SX_NODISCARD;
/* Prints the exponents of a run file that has /mix; *there says whether it has. */
sx_status sx_mix_print_file(bool *there, sx_ctx *ctx, const char *path, bool json) SX_NODISCARD;

#endif

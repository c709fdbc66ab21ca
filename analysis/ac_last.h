/* A_c of every head in the last record of a run file, the largest first. */
#ifndef SX_ANALYSIS_AC_LAST_H
#define SX_ANALYSIS_AC_LAST_H

#include "probes/runfile/runfile.h"

typedef struct {
	int layer, head;
	int family;   /* the one with the head's largest |A_c|                         */
	double value; /* that A_c, mean over the sequences used                        */
} sx_ac_head;

typedef struct {
	int64_t step, n;   /* updates applied; heads                                   */
	int64_t sequences; /* used: those of text where the file tells kinds, or all   */
	sx_ac_head *head;  /* (n) in the order of falling |A_c|, undefined ones last   */
	char **family;     /* names of the families                                    */
} sx_ac_last;

/* SX_ENOINPUT where the file has no /ac or no record of it yet; SX_EDATA, SX_ENOMEM. */
sx_status sx_ac_last_read(sx_ac_last *out, sx_ctx *ctx, sx_run_file *f) SX_NODISCARD;
void sx_ac_last_free(sx_ac_last *a); /* frees what is inside */

#endif

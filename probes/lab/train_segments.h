/* The segments of a run folder: RUN/live/seg-0000.h5, seg-0001.h5, ... */
#ifndef SX_PROBES_LAB_TRAIN_SEGMENTS_H
#define SX_PROBES_LAB_TRAIN_SEGMENTS_H

#include "engine/base.h"

/* Path of segment n, the caller's; NULL when memory is out. */
char *sx_segment_path(const char *run, int n);
/* How many there are: the number of the next one. */
int sx_segment_count(const char *run);
/* Where live/ was removed, the sealed file becomes its first segment: what is sealed next is made of
 * segments alone. SX_EIO. */
sx_status sx_train_adopt_sealed(sx_ctx *ctx, const char *run) SX_NODISCARD;
/* Writes RUN/run.h5 from them, whole or left by a kill. */
sx_status sx_train_seal(sx_ctx *ctx, const char *run) SX_NODISCARD;
/* The same of what may be damaged: says of each part that cannot be read that it is left out. */
sx_status sx_train_salvage(sx_ctx *ctx, const char *run) SX_NODISCARD;
/* A warning for sx_run_salvage; self is the sx_ctx. */
void sx_train_warn_lost(void *self, const char *segment, const char *path, const char *why);

#endif

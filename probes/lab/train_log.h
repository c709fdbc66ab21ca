/* log.jsonl of a run folder: one JSON object per line, appended; each line has "event" and "step". */
#ifndef SX_PROBES_LAB_TRAIN_LOG_H
#define SX_PROBES_LAB_TRAIN_LOG_H

#include "probes/config/config.h"

typedef struct sx_train_log sx_train_log;

/* SX_ECREATE; later calls SX_EIO. */
sx_status sx_train_log_open(sx_train_log **out, sx_ctx *ctx, const char *dir) SX_NODISCARD;
/* {"event": "start", "step", "method", "drop_to", "seed", "parameters", "batch", "context", "branch",
 * "openblas_core"} */
sx_status sx_train_log_start(sx_train_log *l, sx_ctx *ctx, const sx_config *cfg, int64_t step,
			     int64_t parameters, const char *branch) SX_NODISCARD;
/* {"event": "step", "step", "phase", "loss", "lr", "grad_norm", "tokens_seen", "tokens_per_s"} */
sx_status sx_train_log_step(sx_train_log *l, sx_ctx *ctx, int64_t step, const char *phase,
			    double loss, double lr, double grad_norm, int64_t tokens_seen,
			    double tokens_per_s) SX_NODISCARD;
sx_status sx_train_log_event(sx_train_log *l, sx_ctx *ctx, const char *event,
			     int64_t step) SX_NODISCARD;
sx_status sx_train_log_sync(sx_train_log *l, sx_ctx *ctx) SX_NODISCARD; /* to the disk */
void sx_train_log_close(sx_train_log *l);

/* XXH128 of dir/model.safetensors, hexadecimal. SX_ENOINPUT, SX_EIO. */
sx_status sx_train_hash(char out[33], sx_ctx *ctx, const char *dir) SX_NODISCARD;

#endif

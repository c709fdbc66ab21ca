/* What qwen2 and qwen3 share. Internal to engine/files. */
#ifndef SX_ENGINE_FILES_FAMILY_QWEN_H
#define SX_ENGINE_FILES_FAMILY_QWEN_H

#include "engine/files/family.h"
#include "engine/files/hf_keys.h"

extern const sx_hf_habits sx_hf_qwen;
extern const char *const sx_qwen_keys[];
/* sliding_window on the layers from max_window_layers on, or those of layer_types. */
sx_status sx_qwen_read_windows(const sx_hf_reader *r, const json_t *root, sx_spec *s) SX_NODISCARD;

#endif

/* Typed look-ups in a config.json, for the families' readers. Internal to engine/files. */
#ifndef SX_ENGINE_FILES_HF_JSON_H
#define SX_ENGINE_FILES_HF_JSON_H

#include "engine/base.h"

#include <jansson.h>

/* Where messages go, and the file that they name. */
typedef struct sx_hf_reader {
	sx_ctx *ctx;
	const char *path;
} sx_hf_reader;

/* The value of a key; NULL where it is absent or null. */
const json_t *sx_hf_get(const json_t *obj, const char *key);
/* Both are SX_EDATA. */
sx_status sx_hf_wrong_kind(const sx_hf_reader *r, const char *key, const char *wanted) SX_NODISCARD;
sx_status sx_hf_missing(const sx_hf_reader *r, const char *key) SX_NODISCARD;

/* The four leave *out alone where the key is absent or null; SX_EDATA on another kind of value. */
sx_status sx_hf_get_int(const sx_hf_reader *r, const json_t *obj, const char *key,
			int64_t *out) SX_NODISCARD;
sx_status sx_hf_get_number(const sx_hf_reader *r, const json_t *obj, const char *key,
			   double *out) SX_NODISCARD;
sx_status sx_hf_get_bool(const sx_hf_reader *r, const json_t *obj, const char *key,
			 bool *out) SX_NODISCARD;
sx_status sx_hf_get_string(const sx_hf_reader *r, const json_t *obj, const char *key,
			   const char **out) SX_NODISCARD;

/* Refuses (SX_EDATA) the first key of obj that is not in known, which ends with NULL; `where` is how
 * the message calls obj. */
sx_status sx_hf_only_known(const sx_hf_reader *r, json_t *obj, const char *where,
			   const char *const *known) SX_NODISCARD;

/* Takes the value. Jansson answers with NULL where memory is out or a number is not finite; whatever
 * writes passes that on, so that a file never lacks a key. */
bool sx_hf_put(json_t *obj, const char *key, json_t *value) SX_NODISCARD;

#endif

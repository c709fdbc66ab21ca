/* Typed look-ups in a config.json, for the families' readers. Internal to engine/files. */
#ifndef SX_ENGINE_FILES_HF_JSON_H
#define SX_ENGINE_FILES_HF_JSON_H

#include "engine/base.h"

#include <jansson.h>

/* Where messages go, and the file that they name. */
typedef struct sx_hf_reader {
	sx_ctx *ctx;
	const char *path;
	char *pos_why; /* (SX_HF_WHY) or NULL: see hf_config.h */
} sx_hf_reader;

/* The JSON object of a file that was read. A UTF-8 byte order mark is passed over; SX_EDATA says the
 * line and what is wrong there. *out is the caller's. */
sx_status sx_hf_parse(json_t **out, sx_ctx *ctx, const char *path, const char *text,
		      size_t size) SX_NODISCARD;

/* Says in the log that a key is absent, and what is taken for it. */
void sx_hf_assume(const sx_hf_reader *r, const char *key, double value);
/* st, unless it is a refusal that is kept for whoever wants these positions: then SX_OK. */
sx_status sx_hf_put_off(const sx_hf_reader *r, sx_status st) SX_NODISCARD;

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

/* Refuses (SX_EDATA) the first key of obj that is not null and not in known, which ends with NULL;
 * `where` is how the message calls obj. */
sx_status sx_hf_only_known(const sx_hf_reader *r, json_t *obj, const char *where,
			   const char *const *known) SX_NODISCARD;

/* SX_EDATA names the first key of root that neither this family nor any looks at, that is not null, not in a
 * list of harmless ones and not among ctx->ignored. */
struct sx_model_family;
sx_status sx_hf_refuse_unknown(const sx_hf_reader *r, json_t *root,
			       const struct sx_model_family *f) SX_NODISCARD;

/* Takes the value. Jansson answers with NULL where memory is out or a number is not finite; whatever
 * writes passes that on, so that a file never lacks a key. */
bool sx_hf_put(json_t *obj, const char *key, json_t *value) SX_NODISCARD;

#endif

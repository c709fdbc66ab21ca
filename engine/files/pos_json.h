/* A positional parameter, and how a block is built, as JSON values: how they stand in config.json's
 * "sextant" object and in a run file's model_json. */
#ifndef SX_ENGINE_FILES_POS_JSON_H
#define SX_ENGINE_FILES_POS_JSON_H

#include "engine/pos/params.h"
#include "engine/spec.h"

#include <jansson.h>

/* A new reference; null for a number that is not set. NULL where memory is out or a number is not
 * finite. */
json_t *sx_pos_to_json(const sx_pos_param *p, const sx_pos_opts *o);
/* Absent (NULL) and null leave the field alone; false where v is no value of this row. */
bool sx_pos_from_json(const sx_pos_param *p, sx_pos_opts *o, const json_t *v);

/* A new reference; NULL for Llama's block, which files do not mention, and where memory is out. */
json_t *sx_block_to_json(const sx_block *b);

#endif

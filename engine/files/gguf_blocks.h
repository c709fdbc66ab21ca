/* Types of tensors in GGUF: plain numbers and packed blocks. */
#ifndef SX_ENGINE_FILES_GGUF_BLOCKS_H
#define SX_ENGINE_FILES_GGUF_BLOCKS_H

#include "engine/files/safetensors.h"

typedef struct {
	int number;              /* in the file                                                  */
	sx_tensor_blocks blocks; /* decode NULL: plain numbers of type `as`, blocks of 1; bytes 0:
	                            known by name, not read                                      */
	sx_dtype as;
} sx_gguf_tensor_type;

const sx_gguf_tensor_type *sx_gguf_tensor_type_of(uint32_t number); /* NULL: no such number */

#endif

/* What libFuzzer, or replay.c, calls. */
#ifndef SX_TESTS_FUZZ_H
#define SX_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

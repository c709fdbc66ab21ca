/* Text one token at a time: the most likely one, or one drawn from what the model says. Without a
 * cache of keys and values: every token is a pass over the whole prefix, padded to 64, 128, 256 ...
 * tokens so that memory is made a few times only. */
#ifndef SX_ENGINE_MODEL_GENERATE_H
#define SX_ENGINE_MODEL_GENERATE_H

#include "engine/model/model.h"

typedef struct {
	double temperature; /* divides the logits; 0 = always the most likely token (the smaller
	                       id among equals)                                                 */
	double top_p;       /* draw from the smallest set of most likely tokens whose probability
	                       is at least this, in (0, 1]; 1 = from all                        */
	uint64_t seed;      /* the draw for position t is number t of SX_STREAM_SAMPLE           */
	int stop[2];        /* ids that end the text and are not kept (BOS, EOS); -1 = none     */
} sx_generate_opts;

/* ids (most) begins with *n >= 1 ids; appends until there are `most`, or a stop comes; *n is their
 * number then. SX_EUSAGE on options that cannot be, SX_EDATA where the logits are not finite or an
 * id is outside the vocabulary, SX_ENOMEM. */
sx_status sx_generate(int32_t *ids, int64_t *n, int64_t most, sx_ctx *ctx, const sx_model *m,
		      const sx_generate_opts *o) SX_NODISCARD;
/* Length to which a prefix of n tokens is padded; the memory of one such sequence is taken. */
int64_t sx_generate_padded(int64_t n);

#endif

/* What MODEL on a command line names: a folder in Hugging Face layout, a run folder (its last
 * checkpoint; RUN@1400 = that step), a GGUF file, a llama2.c .bin, or a configuration (random weights
 * from its seed). And what training data a configuration names. */
#ifndef SX_PROBES_LAB_SOURCE_H
#define SX_PROBES_LAB_SOURCE_H

#include "engine/files/hf_config.h"
#include "engine/files/safetensors.h"
#include "engine/model/model.h"
#include "engine/text/corpus.h"
#include "engine/text/language.h"
#include "engine/text/tokenizer.h"
#include "probes/config/config.h"

typedef struct {
	char *name;          /* as given                                              */
	char *folder;        /* of the checkpoint; NULL for files and configurations   */
	sx_spec spec;        /* pos.* overrides applied                               */
	sx_tensors *tensors; /* NULL: random weights                                  */
	uint64_t seed;
	sx_init init;
	sx_config cfg; /* the run's or the configuration's; defaults otherwise  */
	bool has_config;
	int64_t step; /* updates the weights have seen                         */
	bool step_known;
	int phase;               /* of the checkpoint: sx_phase; 0 where not known        */
	sx_tokenizer *tok;       /* NULL where it cannot be known: see tok_why            */
	char tok_why[512];       /* why tok is NULL                                       */
	char pos_why[SX_HF_WHY]; /* why spec's positions are not the file's; "": they are    */
} sx_source;

/* Opens MODEL. `tokenizer` ("bytes" or a file) may be NULL: then the run's or the configuration's is
 * taken, or the tokenizer.json beside the model; the one beside a .bin cannot be guessed and tok
 * stays NULL. overrides: n words
 * key=value; those of pos.* change spec, those of the groups in `allowed` (e.g. "data", "eval",
 * "seed"; NULL-terminated) change cfg, any other is SX_EUSAGE. SX_ENOINPUT, SX_EDATA, SX_ECONFIG. */
sx_status sx_source_open(sx_source *out, sx_ctx *ctx, const char *model, const char *tokenizer,
			 int n, char *const *overrides, const char *const *allowed) SX_NODISCARD;
/* The same for whoever chooses the positional method later: where the file's own is not supported, spec
 * has plain RoPE. */
sx_status sx_source_open_any_pos(sx_source *out, sx_ctx *ctx, const char *model,
				 const char *tokenizer, int n, char *const *overrides,
				 const char *const *allowed) SX_NODISCARD;
/* The model that a configuration starts from (init), with any positions where it says its own, and
 * with data.tokenizer. "bytes", which is the default, means the tokenizer.json beside the model
 * where there is one: cfg.data.tokenizer then names it. */
sx_status sx_source_open_init(sx_source *out, sx_ctx *ctx, sx_config *cfg) SX_NODISCARD;
void sx_source_free(sx_source *s); /* frees what is inside */
/* SX_EDATA with tok_why where there is no tokenizer. */
sx_status sx_source_need_tokenizer(const sx_source *s, sx_ctx *ctx) SX_NODISCARD;
/* The model in float. */
sx_status sx_source_model(sx_model **out, sx_ctx *ctx, const sx_source *s) SX_NODISCARD;

/* Folder of a run's checkpoint at `step`, or of its last one where step < 0; *found is its step. The
 * string is the caller's. SX_ENOINPUT where there is none. */
sx_status sx_checkpoint_find(char **out, int64_t *found, sx_ctx *ctx, const char *run,
			     int64_t step) SX_NODISCARD;
/* "RUN@1400" -> RUN, 1400; without "@" step = -1. *run is the caller's. */
sx_status sx_checkpoint_split(char **run, int64_t *step, sx_ctx *ctx, const char *arg) SX_NODISCARD;

/* The shape of the model a configuration trains; init's model is not loaded, only looked at, and
 * cfg takes its shape. SX_ENOINPUT, SX_EDATA, SX_ECONFIG. */
sx_status sx_source_spec(sx_spec *out, sx_ctx *ctx, sx_config *cfg) SX_NODISCARD;

/* ---- training data ---- */

typedef struct {
	sx_tokenizer *tok;
	sx_corpus corpus;
	bool has_corpus; /* the Markov filler needs none */
	sx_language lang;
} sx_data;

/* data.* of a configuration; vocab: the model's, 0 = not known yet. */
sx_status sx_data_open(sx_data *out, sx_ctx *ctx, const sx_config *cfg, int vocab) SX_NODISCARD;
void sx_data_free(sx_data *d);

#endif

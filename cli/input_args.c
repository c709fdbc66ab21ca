#include "cli/input_args.h"

#include <string.h>

static void check_words(struct argp_state *state, const sx_sequences_words *w)
{
	if ((w->text != NULL) + (w->words != NULL) + (w->tokens != NULL) + (w->prompt != NULL) > 1)
		argp_error(state, "want at most one of --text, --words, --tokens, --prompt");
	if (w->bos_given && !w->text && !w->prompt)
		argp_error(state, "--bos and --no-bos are for --text and --prompt: %s",
			   sx_sequences_given(w) ? "ids and numbered words are taken as they are"
						 : "held-out sequences are as in training");
	if (w->ids != SX_IDS_ANY && !w->tokens) argp_error(state, "--ids is for --tokens");
	if (w->kinds && sx_sequences_given(w))
		argp_error(state, "--kinds chooses among held-out sequences: leave out --text, "
				  "--words, --tokens and --prompt");
}

sx_id_width sx_parse_ids(struct argp_state *state, const char *arg)
{
	sx_id_width ids = SX_IDS_ANY;
	if (!sx_id_width_parse(arg, &ids)) argp_error(state, "--ids %s: want u16 or u32", arg);
	return ids;
}

error_t sx_sequences_parse(sx_sequences_words *w, sx_common *c, int key, char *arg,
			   struct argp_state *state)
{
	/* clang-format off */
	switch (key) {
	case SX_KEY_TEXT: w->text = arg; return 0;
	case SX_KEY_WORDS: w->words = arg; return 0;
	case SX_KEY_TOKENS: w->tokens = arg; return 0;
	case SX_KEY_PROMPT: w->prompt = arg; return 0;
	case SX_KEY_NO_CHECK: w->unchecked = true; return 0;
	case SX_KEY_IDS: w->ids = sx_parse_ids(state, arg); return 0;
	case SX_KEY_TOKENIZER: w->tokenizer = arg; return 0;
	case SX_KEY_KINDS: w->kinds = arg; return 0;
	case SX_KEY_AC: w->ac = arg; return 0;
	case SX_KEY_BOS: w->bos_given = w->bos = true; return 0;
	case SX_KEY_NO_BOS: w->bos_given = true, w->bos = false; return 0;
	case SX_KEY_LENGTH: w->length = sx_parse_count(state, "--length", arg); return 0;
	case SX_KEY_SEQUENCES: w->sequences = sx_parse_count(state, "--sequences", arg); return 0;
	case SX_KEY_PRECISION:
		if (strcmp(arg, "f32") != 0 && strcmp(arg, "f64") != 0)
			argp_error(state, "--precision %s: want f32 or f64", arg);
		w->f64 = strcmp(arg, "f64") == 0;
		return 0;
	case ARGP_KEY_END: check_words(state, w); return 0;
	default: return sx_common_parse(c, key, arg, state);
	}
	/* clang-format on */
}

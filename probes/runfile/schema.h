/* What a run file may hold: one row per dataset and per axis. The enum of runfile.h, the writer, the
 * reader, the seal and the documentation page are made from this table. One of the five X-macro
 * tables (docs/house.md). Nothing here is code.
 *
 * X(id, path, type, dims, units, long_name, flags)
 *
 * type   what is on disk: F16 F32 F64 I32 I64, FLAGS (u8, with `flags` as its words, 0 the first),
 *        STR (UTF-8, of variable length in a sealed file, of fixed length in a live one, where
 *        the other kind is not safe).
 * dims   names of the axes. An axis is the row of the same name in the same group, and its own dim:
 *        it becomes the dimension scale. The axes step, sample and ckpt grow, the others are fixed.
 *        A dataset whose only axis grows is written by blocks of rows.
 * units  UDUNITS style; "1" = a pure number; "nat" and "token" as they stand.
 * Missing values: NaN, -1 in integers, 255 in flags.
 *
 * Every group with a step has a phase, since two records share the step of the drop. Quantities and
 * their formulas: the definitions in docs/runfile.md. Attributes a writer adds: `n_rows` (one number
 * per sequence, or one) on statistics over fewer than T rows, `bin_edges` on offset_bin and distance,
 * `pairing` on /rope and /sites; `fingerprint` (a hash of the windows at each length) on
 * /eval/window_nll and /extension/window_text_nll_last, of the problems of each length and kind on
 * /extension/niah_hit; trained_length, phase, seed, windows, facts, trials, choose on /extension; left_out
 * on / (what `recover` could not read). */
#ifndef SX_PROBES_RUNFILE_SCHEMA_H
#define SX_PROBES_RUNFILE_SCHEMA_H

/* clang-format off */
#define SX_PHASES     "pretrain recalibration"
#define SX_STEP_NAME  "updates applied"
#define SX_PHASE_NAME "phase of the run; at the drop two records share a step"
#define SX_SEQ_NAME   "sequence of the probe batch"
#define SX_SLH        "step,sequence,layer,head"
#define SX_EXT        "variant,context_length"
#define SX_SITE_LAYER   "step,sequence,layer,query,"
#define SX_SITE_HEAD    "step,sequence,layer,head,query,head_channel"
#define SX_SITE_KV_HEAD "step,sequence,layer,kv_head,query,head_channel"

#define SX_RUN_SCHEMA(X) \
/* ---- /train: record k is update k ---- */ \
X(TRAIN_STEP,         "/train/step",         I64,   "step", "1",         SX_STEP_NAME, NULL) \
X(TRAIN_PHASE,        "/train/phase",        FLAGS, "step", "1",         SX_PHASE_NAME, SX_PHASES) \
X(TRAIN_LOSS,         "/train/loss",         F32,   "step", "nat",       "mean loss of the batch the update used", NULL) \
X(TRAIN_LR,           "/train/lr",           F32,   "step", "1",         "learning rate the update used", NULL) \
X(TRAIN_GRAD_NORM,    "/train/grad_norm",    F32,   "step", "1",         "norm of the gradient before clipping", NULL) \
X(TRAIN_TOKENS_PER_S, "/train/tokens_per_s", F32,   "step", "token s-1", "training speed", NULL) \
X(TRAIN_TOKENS_SEEN,  "/train/tokens_seen",  I64,   "step", "token",     "tokens trained on so far", NULL) \
X(TRAIN_WALL_TIME,    "/train/wall_time",    F64,   "step", "seconds since 1970-01-01T00:00:00Z", "time at the end of the update", NULL) \
/* ---- /eval ---- */ \
X(EVAL_STEP,           "/eval/step",           I64, "step",           "1",     SX_STEP_NAME, NULL) \
X(EVAL_PHASE,          "/eval/phase",          FLAGS, "step",         "1",     SX_PHASE_NAME, SX_PHASES) \
X(EVAL_CONTEXT_LENGTH, "/eval/context_length", I64, "context_length", "token", "length of the evaluated context", NULL) \
X(EVAL_KIND,           "/eval/kind",           STR, "kind",           "1",     "kind of needle problem", NULL) \
X(EVAL_DISTANCE,       "/eval/distance",       I64, "distance",       "token", "from the fact's last to the query's first token: lower edge of the bin", NULL) \
X(EVAL_NLL,            "/eval/nll",            F64, "step,context_length", "nat", "negative log-likelihood per token, mean over the context", NULL) \
X(EVAL_NLL_LAST,       "/eval/nll_last",       F64, "step,context_length", "nat", "negative log-likelihood per token, mean over the last half of the context", NULL) \
X(EVAL_WINDOW,         "/eval/window",         I32, "window",         "1",     "held-out window", NULL) \
X(EVAL_NLL_SE,         "/eval/nll_se",         F64, "step,context_length", "nat", "standard error of nll over windows", NULL) \
X(EVAL_TEXT_NLL,       "/eval/text_nll",       F64, "step,context_length", "nat", "negative log-likelihood per token of the filler, mean over the context", NULL) \
X(EVAL_WINDOW_NLL,     "/eval/window_nll",     F64, "step,context_length,window", "nat", "negative log-likelihood per token, mean over one window", NULL) \
X(EVAL_QUERY_HITS,     "/eval/query_hits",     I64, "step,context_length", "1", "values of repeated items whose logit was the largest", NULL) \
X(EVAL_QUERY_TRIALS,   "/eval/query_trials",   I64, "step,context_length", "1", "values of repeated items", NULL) \
X(EVAL_NIAH_HITS,      "/eval/niah_hits",      I64, "step,context_length,kind,distance", "1", "needles retrieved", NULL) \
X(EVAL_NIAH_TRIALS,    "/eval/niah_trials",    I64, "step,context_length,kind,distance", "1", "needles asked for", NULL) \
/* ---- /extension: a grid of positional variants beyond the trained length ---- */ \
X(EXTENSION_VARIANT,        "/extension/variant",        I32, "variant",        "1",     "number of the variant", NULL) \
X(EXTENSION_CONTEXT_LENGTH, "/extension/context_length", I64, "context_length", "token", "length of the evaluated context", NULL) \
X(EXTENSION_KIND,           "/extension/kind",           STR, "kind",           "1",     "kind of needle problem", NULL) \
X(EXTENSION_PROBLEM,        "/extension/problem",        I32, "problem",        "1",     "number of the needle problem", NULL) \
X(EXTENSION_WINDOW,         "/extension/window",         I32, "window",         "1",     "held-out window", NULL) \
X(EXTENSION_METHOD,         "/extension/method",         STR, "variant",        "1",     "positional method", NULL) \
X(EXTENSION_C,              "/extension/c",              F64, "variant",        "1",     "temperature: the logits are multiplied by 1 + c ln(factor); NaN = as the method is shipped", NULL) \
X(EXTENSION_SAME_AS,        "/extension/same_as",        I32, SX_EXT, "1",   "the variant that was evaluated: another one where both put the same positions into every layer, whose numbers are repeated here", NULL) \
X(EXTENSION_FACTOR,         "/extension/factor",         F64, SX_EXT, "1",   "length over trained length, 1 at least", NULL) \
X(EXTENSION_BETA,           "/extension/beta",           F64, SX_EXT, "1",   "what the logits are multiplied by", NULL) \
X(EXTENSION_ATTENTION_FACTOR, "/extension/attention_factor", F64, SX_EXT, "1", "what cosine and sine are multiplied by", NULL) \
X(EXTENSION_NLL,            "/extension/nll",            F64, SX_EXT, "nat", "negative log-likelihood per token, mean over the context", NULL) \
X(EXTENSION_NLL_LAST,       "/extension/nll_last",       F64, SX_EXT, "nat", "negative log-likelihood per token, mean over the last half of the context", NULL) \
X(EXTENSION_NLL_SE,         "/extension/nll_se",         F64, SX_EXT, "nat", "standard error of nll over windows", NULL) \
X(EXTENSION_TEXT_NLL,       "/extension/text_nll",       F64, SX_EXT, "nat", "negative log-likelihood per token of the filler, mean over the context", NULL) \
X(EXTENSION_TEXT_NLL_LAST,  "/extension/text_nll_last",  F64, SX_EXT, "nat", "negative log-likelihood per token of the filler, mean over the last half of the context", NULL) \
X(EXTENSION_WINDOW_TEXT,    "/extension/window_text_nll_last", F64, SX_EXT ",window", "nat", "negative log-likelihood per token of the filler, mean over the last half of one window", NULL) \
X(EXTENSION_CHOICE_TEXT,    "/extension/choice_text_nll_last", F64, SX_EXT, "nat", "the same of the windows that c is chosen on, which are not those of text_nll_last", NULL) \
X(EXTENSION_QUERY_HITS,     "/extension/query_hits",     I64, SX_EXT, "1",   "values of repeated items whose logit was the largest", NULL) \
X(EXTENSION_QUERY_TRIALS,   "/extension/query_trials",   I64, SX_EXT, "1",   "values of repeated items", NULL) \
X(EXTENSION_NIAH_HITS,      "/extension/niah_hits",      I64, SX_EXT ",kind", "1", "needles retrieved", NULL) \
X(EXTENSION_NIAH_TRIALS,    "/extension/niah_trials",    I64, SX_EXT ",kind", "1", "needles asked for", NULL) \
X(EXTENSION_NIAH_HIT,       "/extension/niah_hit",       FLAGS, SX_EXT ",kind,problem", "1", "was this problem's needle retrieved", "missed retrieved") \
X(EXTENSION_CHANCE_BLIND,   "/extension/chance_blind",   F64, SX_EXT ",kind", "1", "chance of a hit by a guess among all values", NULL) \
X(EXTENSION_CHANCE_WINDOW,  "/extension/chance_window",  F64, SX_EXT ",kind", "1", "chance of a hit by a guess among the values in the window", NULL) \
X(EXTENSION_CHOICE_HITS,    "/extension/choice_hits",    I64, SX_EXT ",kind", "1", "needles retrieved from the problems that c is chosen on, which are not those of niah_hits", NULL) \
X(EXTENSION_CHOICE_TRIALS,  "/extension/choice_trials",  I64, SX_EXT ",kind", "1", "needles asked for in the problems that c is chosen on", NULL) \
/* ---- /stats: means over the rows that qualify, one value per sequence ---- */ \
X(STATS_STEP,           "/stats/step",           I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(STATS_PHASE,          "/stats/phase",          FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(STATS_SEQUENCE,       "/stats/sequence",       I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(STATS_SEQUENCE_KIND,  "/stats/sequence_kind",  FLAGS, "sequence", "1", "what the sequence is made of", "text repeated retrieval constant") \
X(STATS_LAYER,          "/stats/layer",          I32,   "layer",    "1", "layer", NULL) \
X(STATS_HEAD,           "/stats/head",           I32,   "head",     "1", "query head", NULL) \
X(STATS_OFFSET_BIN,     "/stats/offset_bin",     I32,   "offset_bin", "token", "distance from query to key: lower edge of the bin", NULL) \
X(STATS_OFFSET,         "/stats/offset",         I32,   "offset",     "token", "distance from query to key: every one below 4096, then lower edges of octaves", NULL) \
X(STATS_ENTROPY,        "/stats/entropy",        F32, SX_SLH, "nat",   "entropy of an attention row", NULL) \
X(STATS_MAX_PROB,       "/stats/max_prob",       F32, SX_SLH, "1",     "largest weight of an attention row", NULL) \
X(STATS_MEAN_DISTANCE,  "/stats/mean_distance",  F32, SX_SLH, "token", "attention-weighted distance from query to key", NULL) \
X(STATS_DIAG_MASS,      "/stats/diag_mass",      F32, SX_SLH, "1",     "weight on the token itself", NULL) \
X(STATS_PREV_MASS,      "/stats/prev_mass",      F32, SX_SLH, "1",     "weight on the previous token", NULL) \
X(STATS_FIRST_MASS,     "/stats/first_mass",     F32, SX_SLH, "1",     "weight on the first token", NULL) \
X(STATS_SINK_MASS,      "/stats/sink_mass",      F32, SX_SLH, "1",     "weight on the first four tokens", NULL) \
X(STATS_DUPLICATE_MASS, "/stats/duplicate_mass", F32, SX_SLH, "1",     "weight on earlier copies of the token", NULL) \
X(STATS_INDUCTION_MASS, "/stats/induction_mass", F32, SX_SLH, "1",     "weight on tokens that followed an earlier copy of the token", NULL) \
X(STATS_RETRIEVAL_MASS, "/stats/retrieval_mass", F32, SX_SLH, "1",     "retrieval mass: at the rows where the retrieval language asks for a value, weight on the values in question", NULL) \
X(STATS_LOGIT_STD,      "/stats/logit_std",      F32, SX_SLH, "nat",   "root mean over rows of the scores' variance within a row", NULL) \
X(STATS_Q_NORM,         "/stats/q_norm",         F32, SX_SLH, "1",     "mean norm of the queries as they enter the product", NULL) \
X(STATS_K_NORM,         "/stats/k_norm",         F32, SX_SLH, "1",     "mean norm of the keys as they enter the product", NULL) \
X(STATS_SS_WITHIN,      "/stats/ss_within",      F64, SX_SLH, "nat2",  "squares of the scores about their row means", NULL) \
X(STATS_SS_OFFSET,      "/stats/ss_offset",      F64, SX_SLH, "nat2",  "squares that the offset explains beyond row and key", NULL) \
X(STATS_SS_KEY,         "/stats/ss_key",         F64, SX_SLH, "nat2",  "squares that the key explains beyond row and offset", NULL) \
X(STATS_SS_INTERACTION, "/stats/ss_interaction", F64, SX_SLH, "nat2",  "squares left by row, key and offset together", NULL) \
X(STATS_R2_OFFSET,      "/stats/r2_offset",      F64, SX_SLH, "1",     "share of ss_within that the offset alone explains", NULL) \
X(STATS_SCORE_OFFSET,   "/stats/score_offset",   F32, SX_SLH ",offset", "nat",   "sum of the scores less their row means at this distance", NULL) \
X(STATS_OFFSET_PROFILE, "/stats/offset_profile", F32, SX_SLH ",offset_bin", "1", "weight at this distance per row that has it", NULL) \
/* ---- /attn: chosen attention maps ---- */ \
X(ATTN_SAMPLE,          "/attn/sample",          I32,   "sample", "1",     "number of the sample", NULL) \
X(ATTN_MAP,             "/attn/map",             I32,   "map",    "1",     "number of the chosen head", NULL) \
X(ATTN_QUERY,           "/attn/query",           I32,   "query",  "token", "position of the query", NULL) \
X(ATTN_KEY,             "/attn/key",             I32,   "key",    "token", "position of the key", NULL) \
X(ATTN_LAYER,           "/attn/layer",           I32,   "map",    "1",     "layer of the map", NULL) \
X(ATTN_HEAD,            "/attn/head",            I32,   "map",    "1",     "query head of the map", NULL) \
X(ATTN_SAMPLE_STEP,     "/attn/sample_step",     I32,   "sample", "1",     SX_STEP_NAME, NULL) \
X(ATTN_SAMPLE_PHASE,    "/attn/sample_phase",    FLAGS, "sample", "1",     SX_PHASE_NAME, SX_PHASES) \
X(ATTN_SAMPLE_SEQUENCE, "/attn/sample_sequence", I32,   "sample", "1",     SX_SEQ_NAME, NULL) \
X(ATTN_TOKENS,          "/attn/tokens",          I32,   "sample,query", "1", "token ids", NULL) \
X(ATTN_PROB,            "/attn/prob",            F16,   "sample,map,query,key", "1", "attention weights", NULL) \
/* ---- /reduce: sums over all of a head's attention ---- */ \
X(REDUCE_STEP,        "/reduce/step",        I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(REDUCE_PHASE,       "/reduce/phase",       FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(REDUCE_SEQUENCE,    "/reduce/sequence",    I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(REDUCE_LAYER,       "/reduce/layer",       I32,   "layer",    "1", "layer", NULL) \
X(REDUCE_HEAD,        "/reduce/head",        I32,   "head",     "1", "query head", NULL) \
X(REDUCE_OFFSET_BIN,  "/reduce/offset_bin",  I32,   "offset_bin", "token", "distance from query to key: lower edge of the bin", NULL) \
X(REDUCE_KEY,         "/reduce/key",         I32,   "key",      "token", "position of the key", NULL) \
X(REDUCE_QUERY,       "/reduce/query",       I32,   "query",    "token", "position of the query; the rows that count", NULL) \
X(REDUCE_WIDTH,       "/reduce/width",       I32,   "width",    "token", "number of keys", NULL) \
X(REDUCE_SPAN,        "/reduce/span",        STR,   "span",     "1", "name of the span", NULL) \
X(REDUCE_RANK,        "/reduce/rank",        I32,   "rank",     "1", "0 = the largest of the row", NULL) \
X(REDUCE_QUERY_BLOCK, "/reduce/query_block", I32,   "query_block", "token", "first query of the block", NULL) \
X(REDUCE_KEY_BLOCK,   "/reduce/key_block",   I32,   "key_block",   "token", "first key of the block", NULL) \
X(REDUCE_OFFSET_PAIRS, "/reduce/offset_pairs", I64, "offset_bin", "1", "pairs of query and key at this distance: what the sums by offset are over", NULL) \
X(REDUCE_KEY_ROWS,    "/reduce/key_rows",    I64,   "key",      "1", "rows that see the key", NULL) \
X(REDUCE_WIDTH_ROWS,  "/reduce/width_rows",  I64,   "width",    "1", "rows with more keys before them than the width", NULL) \
X(REDUCE_SPAN_FIRST,  "/reduce/span_first",  I32,   "sequence,span", "token", "first position of the span", NULL) \
X(REDUCE_SPAN_LAST,   "/reduce/span_last",   I32,   "sequence,span", "token", "last position of the span", NULL) \
X(REDUCE_OFFSET_PROB,   "/reduce/offset_prob",   F64, SX_SLH ",offset_bin", "1",    "sum of the attention weights at this distance", NULL) \
X(REDUCE_OFFSET_PROB2,  "/reduce/offset_prob2",  F64, SX_SLH ",offset_bin", "1",    "sum of their squares", NULL) \
X(REDUCE_OFFSET_SCORE,  "/reduce/offset_score",  F64, SX_SLH ",offset_bin", "nat",  "sum of the scores less their row means at this distance", NULL) \
X(REDUCE_OFFSET_SCORE2, "/reduce/offset_score2", F64, SX_SLH ",offset_bin", "nat2", "sum of the squares of these", NULL) \
X(REDUCE_KEY_MASS,    "/reduce/key_mass",    F64, SX_SLH ",key",   "1",     "weight on the key, sum over rows", NULL) \
X(REDUCE_ROW_ENTROPY, "/reduce/row_entropy", F32, SX_SLH ",query", "nat",   "entropy of the row", NULL) \
X(REDUCE_ROW_MAX,     "/reduce/row_max",     F32, SX_SLH ",query", "1",     "largest weight of the row", NULL) \
X(REDUCE_ROW_MAX_OFFSET, "/reduce/row_max_offset", I32, SX_SLH ",query", "token", "distance from the query to its key", NULL) \
X(REDUCE_SINK_MASS,   "/reduce/sink_mass",   F64, SX_SLH ",width", "1",     "weight on the first `width` tokens, mean over the later rows", NULL) \
X(REDUCE_WINDOW_MASS, "/reduce/window_mass", F64, SX_SLH ",width", "1",     "weight at distances below `width`, mean over the same rows", NULL) \
X(REDUCE_DISTANCE,    "/reduce/distance",    F64, SX_SLH,          "token", "attention-weighted distance from query to key, mean over rows", NULL) \
X(REDUCE_DISTANCE2,   "/reduce/distance2",   F64, SX_SLH,          "token2", "attention-weighted square of the distance, mean over rows", NULL) \
X(REDUCE_SPAN_MASS,   "/reduce/span_mass",   F64, SX_SLH ",span",  "1",     "weight on the span, mean over the rows after it", NULL) \
X(REDUCE_TOP_PROB,    "/reduce/top_prob",    F32, SX_SLH ",query,rank", "1", "largest weights of the row", NULL) \
X(REDUCE_TOP_KEY,     "/reduce/top_key",     I32, SX_SLH ",query,rank", "token", "their keys; of equal weights the first", NULL) \
X(REDUCE_BLOCK_MEAN,  "/reduce/block_mean",  F32, SX_SLH ",query_block,key_block", "1", "mean weight over the visible pairs of the block", NULL) \
X(REDUCE_BLOCK_MAX,   "/reduce/block_max",   F32, SX_SLH ",query_block,key_block", "1", "largest weight of the block", NULL) \
/* ---- /sites: rows of what passes through a layer ---- */ \
X(SITES_STEP,         "/sites/step",         I64,   "step",         "1",     SX_STEP_NAME, NULL) \
X(SITES_PHASE,        "/sites/phase",        FLAGS, "step",         "1",     SX_PHASE_NAME, SX_PHASES) \
X(SITES_SEQUENCE,     "/sites/sequence",     I32,   "sequence",     "1",     SX_SEQ_NAME, NULL) \
X(SITES_LAYER,        "/sites/layer",        I32,   "layer",        "1",     "layer", NULL) \
X(SITES_HEAD,         "/sites/head",         I32,   "head",         "1",     "query head", NULL) \
X(SITES_KV_HEAD,      "/sites/kv_head",      I32,   "kv_head",      "1",     "key/value head", NULL) \
X(SITES_QUERY,        "/sites/query",        I32,   "query",        "token", "position of the row; the rows that are kept", NULL) \
X(SITES_CHANNEL,      "/sites/channel",      I32,   "channel",      "1",     "channel of the residual stream", NULL) \
X(SITES_HEAD_CHANNEL, "/sites/head_channel", I32,   "head_channel", "1",     "channel of a head", NULL) \
X(SITES_HIDDEN,       "/sites/hidden",       I32,   "hidden",       "1",     "unit of the feed-forward block", NULL) \
X(SITES_X,     "/sites/x",     F32, SX_SITE_LAYER "channel",   "1", "residual stream entering the layer", NULL) \
X(SITES_H,     "/sites/h",     F32, SX_SITE_LAYER "channel",   "1", "input of the attention block: after the norm", NULL) \
X(SITES_Q,     "/sites/q",     F32, SX_SITE_HEAD,              "1", "queries after bias and QK-norm, before rotation", NULL) \
X(SITES_K,     "/sites/k",     F32, SX_SITE_KV_HEAD,           "1", "keys after bias and QK-norm, before rotation", NULL) \
X(SITES_Q_ROT, "/sites/q_rot", F32, SX_SITE_HEAD,              "1", "queries as they enter the product", NULL) \
X(SITES_K_ROT, "/sites/k_rot", F32, SX_SITE_KV_HEAD,           "1", "keys as they enter the product", NULL) \
X(SITES_V,     "/sites/v",     F32, SX_SITE_KV_HEAD,           "1", "values", NULL) \
X(SITES_Z,     "/sites/z",     F32, SX_SITE_HEAD,              "1", "per head: probabilities times values, before the output matrix", NULL) \
X(SITES_MLP,   "/sites/mlp",   F32, SX_SITE_LAYER "hidden",    "1", "hidden of the feed-forward block: silu(gate) times up", NULL) \
/* ---- /out: what the model says ---- */ \
X(OUT_SEQUENCE, "/out/sequence", I32, "sequence", "1",     SX_SEQ_NAME, NULL) \
X(OUT_QUERY,    "/out/query",    I32, "query",    "token", "position of the token that predicts", NULL) \
X(OUT_VOCAB,    "/out/vocab",    I32, "vocab",    "1",     "token id", NULL) \
X(OUT_LOGITS,   "/out/logits",   F32, "sequence,query,vocab", "nat", "scores of the next token", NULL) \
X(OUT_NLL,      "/out/nll",      F32, "sequence,query", "nat", "negative log-likelihood of the next token", NULL) \
/* ---- /ac: the bias A_c of every head ---- */ \
X(AC_STEP,              "/ac/step",              I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(AC_PHASE,             "/ac/phase",             FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(AC_SEQUENCE,          "/ac/sequence",          I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(AC_LAYER,             "/ac/layer",             I32,   "layer",    "1", "layer", NULL) \
X(AC_HEAD,              "/ac/head",              I32,   "head",     "1", "query head", NULL) \
X(AC_C,                 "/ac/c",                 STR,   "c",        "1", "family of the weights c_ij", NULL) \
X(AC_WRT,               "/ac/wrt",               STR,   "wrt",      "1", "what the gradient is taken by", NULL) \
X(AC_VALUE,             "/ac/value",             F64, SX_SLH ",c",     "1", "A_c", NULL) \
X(AC_GRAD_NORM,         "/ac/grad_norm",         F64, SX_SLH ",c,wrt", "1", "Frobenius norm of the gradient of A_c", NULL) \
X(AC_BATCH_GRAD_NORM,   "/ac/batch_grad_norm",   F64, "step,layer,head,c,wrt", "1", "Frobenius norm of the gradient of the mean of A_c over the sequences (wq, wk; NaN else)", NULL) \
X(AC_CHANGE,            "/ac/change",            F64, SX_SLH ",c",     "1", "A_c in the later weights (attribute toward_step) less A_c", NULL) \
X(AC_CHANGE_W,          "/ac/change_w",          F64, SX_SLH ",c",     "1", "the part of it that the head's query and key matrices make with the same h: A_c with the later ones and all else as it was, less A_c", NULL) \
X(AC_CHANGE_NORM,       "/ac/change_norm",       F64, "step,layer,head,wrt", "1", "Frobenius norm of the change of the head's query and key matrix (wq, wk; NaN else)", NULL) \
X(AC_FIRST_ORDER,       "/ac/first_order",       F64, SX_SLH ",c,wrt", "1", "inner product of the gradient of A_c with the change of what it is taken by (wq, wk, h; NaN else)", NULL) \
X(AC_VALUE_BOUND,       "/ac/value_bound",       F64, SX_SLH ",c",     "1", "right side of I9: at least |A_c|", NULL) \
X(AC_GRAD_BOUND,        "/ac/grad_bound",        F64, SX_SLH ",c,wrt", "1", "right side of I10.spread (wq) and I11.spread (wk): at least the gradient's norm; NaN else", NULL) \
X(AC_VALUE_BOUND_PAPER, "/ac/value_bound_paper", F64, SX_SLH ",c",     "1", "bound of |A_c| in the paper's form", NULL) \
X(AC_GRAD_BOUND_PAPER,  "/ac/grad_bound_paper",  F64, SX_SLH ",c,wrt", "1", "bound of the gradient's norm in the paper's form", NULL) \
X(AC_PREFIX_SPREAD,     "/ac/prefix_spread",     F64, "step,sequence,layer", "1", "prefix spread of h: largest distance of a token from the mean of a prefix holding it", NULL) \
X(AC_MEAN_LOGIT_OSC,    "/ac/mean_logit_osc",    F64, SX_SLH, "nat", "oscillation (largest - smallest) of the scores of a row, mean over rows", NULL) \
X(AC_MEAN_UNIFORM_L1,   "/ac/mean_uniform_l1",   F64, SX_SLH, "1",   "L1 distance of a row from uniform attention, mean over rows", NULL) \
X(AC_OSC_SPREAD_H,      "/ac/osc_spread_h",      F64, SX_SLH, "1",   "n/(n-1), the oscillation of a family with one key (diagonal, previous), times prefix spread of the row times norm of h, mean over rows: I10's right side is scale/2 wk_norm times it", NULL) \
X(AC_WQ_NORM,           "/ac/wq_norm",           F64, "step,layer,head", "1", "spectral norm of the head's query matrix", NULL) \
X(AC_WK_NORM,           "/ac/wk_norm",           F64, "step,layer,head", "1", "spectral norm of the head's key matrix", NULL) \
/* ---- /mix: A_c and its gradients on embeddings moved toward their mean, (1-t) mean + t e ---- */ \
X(MIX_T,             "/mix/t",             F64, "t",        "1", "what is left of the distance between embeddings", NULL) \
X(MIX_SEQUENCE,      "/mix/sequence",      I32, "sequence", "1", SX_SEQ_NAME, NULL) \
X(MIX_LAYER,         "/mix/layer",         I32, "layer",    "1", "layer", NULL) \
X(MIX_HEAD,          "/mix/head",          I32, "head",     "1", "query head", NULL) \
X(MIX_C,             "/mix/c",             STR, "c",        "1", "family of the weights c_ij", NULL) \
X(MIX_WRT,           "/mix/wrt",           STR, "wrt",      "1", "what the gradient is taken by", NULL) \
X(MIX_VALUE,         "/mix/value",         F64, "t,sequence,layer,head,c",     "1", "A_c", NULL) \
X(MIX_GRAD_NORM,     "/mix/grad_norm",     F64, "t,sequence,layer,head,c,wrt", "1", "Frobenius norm of the gradient of A_c", NULL) \
X(MIX_PREFIX_SPREAD, "/mix/prefix_spread", F64, "t,sequence,layer",            "1", "prefix spread of h: largest distance of a token from the mean of a prefix holding it", NULL) \
/* ---- /ac_train: the same on the training batch, mean over its sequences ---- */ \
X(AC_TRAIN_STEP,      "/ac_train/step",      I64,   "step",  "1", SX_STEP_NAME, NULL) \
X(AC_TRAIN_PHASE,     "/ac_train/phase",     FLAGS, "step",  "1", SX_PHASE_NAME, SX_PHASES) \
X(AC_TRAIN_LAYER,     "/ac_train/layer",     I32,   "layer", "1", "layer", NULL) \
X(AC_TRAIN_HEAD,      "/ac_train/head",      I32,   "head",  "1", "query head", NULL) \
X(AC_TRAIN_C,         "/ac_train/c",         STR,   "c",     "1", "family of the weights c_ij", NULL) \
X(AC_TRAIN_WRT,       "/ac_train/wrt",       STR,   "wrt",   "1", "what the gradient is taken by", NULL) \
X(AC_TRAIN_VALUE,     "/ac_train/value",     F64, "step,layer,head,c",     "1", "A_c, mean over the training batch", NULL) \
X(AC_TRAIN_GRAD_NORM, "/ac_train/grad_norm", F64, "step,layer,head,c,wrt", "1", "Frobenius norm of the gradient of A_c, mean over the training batch", NULL) \
/* ---- /grad: of the sequence's mean loss ---- */ \
X(GRAD_STEP,     "/grad/step",     I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(GRAD_PHASE,    "/grad/phase",    FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(GRAD_SEQUENCE, "/grad/sequence", I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(GRAD_LAYER,    "/grad/layer",    I32,   "layer",    "1", "layer", NULL) \
X(GRAD_HEAD,     "/grad/head",     I32,   "head",     "1", "query head", NULL) \
X(GRAD_KEY,      "/grad/key",      I32,   "key",  "token", "position of the key", NULL) \
X(GRAD_DS,       "/grad/ds",       F64, SX_SLH, "1",   "norm of the loss's gradient by the scores", NULL) \
X(GRAD_DQ,       "/grad/dq",       F64, SX_SLH, "nat", "norm of the loss's gradient by the queries before rotation", NULL) \
X(GRAD_DK,       "/grad/dk",       F64, SX_SLH, "nat", "norm of the loss's gradient by the keys before rotation, through this query head", NULL) \
X(GRAD_DWQ,      "/grad/dwq",      F64, SX_SLH, "nat", "norm of the loss's gradient by the head's rows of the query matrix", NULL) \
X(GRAD_DWK,      "/grad/dwk",      F64, SX_SLH, "nat", "norm of the loss's gradient by the head's rows of the key matrix, through this query head", NULL) \
X(GRAD_KEY_FLOW, "/grad/key_flow", F64, SX_SLH ",key", "nat", "sum over queries of alpha times the loss's gradient by alpha", NULL) \
/* ---- /rope: frequencies ---- */ \
X(ROPE_STEP,        "/rope/step",        I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(ROPE_PHASE,       "/rope/phase",       FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(ROPE_SEQUENCE,    "/rope/sequence",    I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(ROPE_LAYER,       "/rope/layer",       I32,   "layer",    "1", "layer", NULL) \
X(ROPE_HEAD,        "/rope/head",        I32,   "head",     "1", "query head", NULL) \
X(ROPE_FREQ,        "/rope/freq",        I32,   "freq",     "1", "rotated pair of channels, fastest first", NULL) \
X(ROPE_INV_FREQ,    "/rope/inv_freq",    F64, "layer,freq",      "rad token-1", "angle per token of plain rotation", NULL) \
X(ROPE_GAMMA,       "/rope/gamma",       F64, "step,layer,freq", "1", "angle in use over that of plain rotation; 0 = not turned", NULL) \
X(ROPE_Q_NORM,      "/rope/q_norm",      F32, SX_SLH ",freq", "1", "mean norm of the pair in the queries", NULL) \
X(ROPE_K_NORM,      "/rope/k_norm",      F32, SX_SLH ",freq", "1", "mean norm of the pair in the keys", NULL) \
X(ROPE_LOGIT_SHARE, "/rope/logit_share", F32, SX_SLH ",freq", "1", "pair's share of the scores' absolute parts", NULL) \
X(ROPE_LOGIT_VAR,   "/rope/logit_var",   F32, SX_SLH ",freq", "1", "pair's share of the scores' variance within rows; adds to 1 with logit_rest", NULL) \
X(ROPE_LOGIT_SIGNED, "/rope/logit_signed", F32, SX_SLH ",freq", "1", "sum of the pair's scores over that of all absolute parts: the sign with which it acts", NULL) \
X(ROPE_LOGIT_REST,  "/rope/logit_rest",  F32, SX_SLH, "1", "share of that variance in channels that are not rotated", NULL) \
/* ---- /bounds ---- */ \
X(BOUNDS_STEP,       "/bounds/step",       I64,   "step",     "1", SX_STEP_NAME, NULL) \
X(BOUNDS_PHASE,      "/bounds/phase",      FLAGS, "step",     "1", SX_PHASE_NAME, SX_PHASES) \
X(BOUNDS_SEQUENCE,   "/bounds/sequence",   I32,   "sequence", "1", SX_SEQ_NAME, NULL) \
X(BOUNDS_LAYER,      "/bounds/layer",      I32,   "layer",    "1", "layer", NULL) \
X(BOUNDS_HEAD,       "/bounds/head",       I32,   "head",     "1", "query head", NULL) \
X(BOUNDS_INEQUALITY, "/bounds/inequality", STR,   "inequality", "1", "inequality or identity of the theory", NULL) \
X(BOUNDS_LHS,        "/bounds/lhs",        F64, SX_SLH ",inequality", "1", "left side, in the worst row", NULL) \
X(BOUNDS_RHS,        "/bounds/rhs",        F64, SX_SLH ",inequality", "1", "right side, in the worst row", NULL) \
X(BOUNDS_RHS_PAPER,  "/bounds/rhs_paper",  F64, SX_SLH ",inequality", "1", "right side in the paper's form", NULL) \
X(BOUNDS_VERDICT,    "/bounds/verdict",    FLAGS, SX_SLH ",inequality", "1", "does it hold", "holds violated not-applicable") \
X(BOUNDS_ALLOWANCE,  "/bounds/allowance",  F64, SX_SLH ",inequality", "1", "what rounding may add to the left side", NULL) \
X(BOUNDS_ROW,        "/bounds/row",        I32, SX_SLH ",inequality", "token", "the worst row; -1 where the whole head is meant; of P3.3.value the first row that is not uniform", NULL) \
X(BOUNDS_REASON,     "/bounds/reason",     FLAGS, SX_SLH ",inequality", "1", "why it is not applicable", "applicable not-nope qk-norm biases not-constant not-rotated no-own block") \
/* ---- /checkpoints: the weights themselves stay in safetensors ---- */ \
X(CHECKPOINTS_CKPT,   "/checkpoints/ckpt",   I32, "ckpt", "1", "number of the checkpoint", NULL) \
X(CHECKPOINTS_STEP,   "/checkpoints/step",   I64, "ckpt", "1", SX_STEP_NAME, NULL) \
X(CHECKPOINTS_PATH,   "/checkpoints/path",   STR, "ckpt", "1", "folder, relative to the run's", NULL) \
X(CHECKPOINTS_XXH128, "/checkpoints/xxh128", STR, "ckpt", "1", "XXH128 of the weights, hexadecimal", NULL) \
/* ---- /meta: whole documents ---- */ \
X(META_ENTRY,            "/meta/entry",            I32, "entry", "1", "number of the document", NULL) \
X(META_CONFIG_YAML,      "/meta/config_yaml",      STR, "entry", "1", "resolved configuration, YAML", NULL) \
X(META_MODEL_JSON,       "/meta/model_json",       STR, "entry", "1", "shape of the model, JSON", NULL) \
X(META_DATA_JSON,        "/meta/data_json",        STR, "entry", "1", "what the data are made of, JSON", NULL) \
X(META_ENVIRONMENT_JSON, "/meta/environment_json", STR, "entry", "1", "machine, libraries, threads, JSON", NULL)
/* clang-format on */

#endif

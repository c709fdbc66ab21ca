/* What every head does: scores with intervals over sequences, and one rule from scores to a class.
 * From /stats of a run file, and A_c from /ac where it is; every record of it.
 *
 * Definitions: docs/definitions.md, "Classes of heads". */
#ifndef SX_ANALYSIS_HEADS_H
#define SX_ANALYSIS_HEADS_H

#include "analysis/stats/stats.h"
#include "probes/runfile/runfile.h"

typedef enum {
	SX_HEAD_POSITIONAL,
	SX_HEAD_SEMANTIC,
	SX_HEAD_KEY, /* what a key gives to every query alike                           */
	SX_HEAD_MIXED,
	SX_HEAD_SINK,
	SX_HEAD_INACTIVE,
	SX_HEAD_UNDECIDED,
	SX_HEAD_CLASSES
} sx_head_class;
typedef enum {
	SX_LABEL_NONE,
	SX_LABEL_CURRENT,
	SX_LABEL_PREVIOUS,
	SX_LABEL_OFFSET, /* the offset is best_offset */
	SX_LABEL_LOCAL,
	SX_LABEL_FIRST,
	SX_LABEL_DUPLICATE,
	SX_LABEL_INDUCTION,
	SX_LABEL_UNIFORM,
	SX_HEAD_LABELS
} sx_head_label;
const char *sx_head_class_name(sx_head_class c); /* "positional", .. */
const char *sx_head_label_name(sx_head_label l); /* "none", "current", .., "offset", .. */

/* The rule's thresholds. */
typedef struct {
	double pattern; /* least mass of a pattern or a sink, 0.4: ARENA 2.0, previous-, current-,
			   first-token and induction heads (elsewhere 0.3 to 0.7)             */
	double positional; /* least share of one offset kernel, 2/3: twice all the rest. Ours  */
	double semantic;   /* largest share of it, 1/3: the rest is twice the kernel; content or
			      key, whichever is larger, must have more than this. Ours         */
	double inactive;   /* largest divergence from uniform attention, 0.03 nats: by Pinsker's
			      inequality at most 12 % of the mass is elsewhere. Ours           */
	double uniform;    /* least normalised entropy, 0.95. Ours                             */
	double local;      /* least mass within SX_HEADS_NEAR tokens, 2/3. Ours                */
} sx_heads_thresholds;
extern const sx_heads_thresholds sx_heads_rule;
enum { SX_HEADS_NEAR = 8 };

enum { SX_HEADS_FAMILIES = 2 };
extern const char *const sx_heads_families[SX_HEADS_FAMILIES]; /* "previous", "diagonal"       */

/* One head in one record. Intervals are NaN from a single sequence, scores NaN where undefined. */
typedef struct {
	int layer, head;
	/* Shares of the scores' squares about their row means, sums over sequences: what one
	 * kernel of the offset, the same for all sequences, explains; what row, key and offset
	 * together leave; what the key explains beyond row and offset. They need not add to 1.
	 * The interval of positional is that of the share with sequences without end, which the
	 * fit to few of them exceeds, and is widened to hold the fit. */
	sx_interval positional, content, key;
	sx_interval r2_offset; /* the share of a kernel for each sequence: positional at most   */
	sx_interval diag, prev, first, sink, duplicate; /* masses                             */
	sx_interval induction;     /* mass, on the sequences of kind `repeated` where there are   */
	sx_interval near;          /* mass at offsets below SX_HEADS_NEAR                         */
	sx_interval entropy;       /* over that of uniform rows: 1 = uniform                     */
	sx_interval divergence;    /* nats: mean over rows of KL(row || uniform)                 */
	sx_interval mean_distance; /* tokens */
	sx_interval logit_std;     /* nats */
	sx_interval ac[SX_HEADS_FAMILIES]; /* A_c of /ac; NaN where not in the file               */
	/* The offset with the largest A_c of a scan over offsets (0: diagonal, K: offset:K), from
	 * the offset profile: (1/T) (alpha - 1/n) sum n/(n-1) with means over the rows that have
	 * the offset, which is A_c itself where alpha - 1/n is the same in all of them. The
	 * interval knows nothing of the choice of the largest. best_mass: profile there. */
	int64_t best_offset; /* -1: none */
	sx_interval best_ac, best_mass;
	sx_head_class cls;
	sx_head_label label;
	/* Total variation between the distances that the head attends over and those of the last
	 * record before the drop: the share of its mass that moved to other offset bins, mean over
	 * sequences first. NaN where there is no such record. */
	double profile_shift;
} sx_head_scores;

typedef struct {
	unsigned kinds; /* sequences that are used: bits 1 << kind; 0 = text           */
	uint64_t seed;  /* of the bootstrap                                            */
} sx_heads_opts;

typedef struct {
	int64_t n_record, layers, heads;
	int64_t T, window; /* tokens of a sequence; keys a row sees at most, 0 = all           */
	int64_t context;   /* of the model, tokens; 0 = not known                              */
	int64_t sequences,
		of_kind[SX_RUN_SEQUENCE_KINDS]; /* that are used; 0 of each: kinds not known */
	int64_t induction_sequences; /* of kind `repeated`; 0: induction is from the ones above   */
	int64_t before_drop;         /* the last record before the drop, -1 where there is none */
	/* false: the file has no /stats/score_offset, and positional is from a kernel per
	 * sequence, at least the share of one kernel for all of them. */
	bool one_kernel;
	/* First offset whose bin in /stats/score_offset holds others too, which hides a kernel that
	 * turns within it; -1: every offset of the sequences has a bin of its own. */
	int64_t binned_from;
	int64_t *step;         /* (record)                                                   */
	int *phase;            /* (record) word of the schema's flags, -1 = not known         */
	sx_head_scores *score; /* (record,layer,head)                                        */
} sx_heads;

/* SX_EDATA without /stats, SX_ENOINPUT without a record or a sequence of these kinds, SX_EIO,
 * SX_ENOMEM. Intervals: 95 %, the same resamples for all heads, scores and records. */
sx_status sx_heads_read(sx_heads **out, sx_ctx *ctx, sx_run_file *f,
			const sx_heads_opts *o) SX_NODISCARD;
void sx_heads_free(sx_heads *h);
static inline const sx_head_scores *sx_heads_at(const sx_heads *h, int64_t record, int64_t layer,
						int64_t head)
{
	return &h->score[(record * h->layers + layer) * h->heads + head];
}
/* The last record with this step (-1: the last of all) and phase (-1: any); -1 if there is none. */
int64_t sx_heads_find(const sx_heads *h, int64_t step, int phase);

/* The rule, from the scores and intervals alone. The class that all of the intervals' ends give,
 * else undecided; a label where the whole interval is beyond the threshold. */
sx_head_class sx_heads_classify(const sx_head_scores *s);
sx_head_label sx_heads_label(const sx_head_scores *s);

/* From one decided class to the next that differs, records of undecided ones passed over. */
typedef struct {
	int64_t layer, head;
	int64_t before, record; /* last record of the old class, first of the new one */
	sx_head_class from, to;
} sx_head_change;
/* The last record up to `record` in which the head's class is decided; -1: none. */
int64_t sx_heads_decided(const sx_heads *h, int64_t record, int64_t layer, int64_t head);
/* In order of layer, head, record; the caller frees *out. SX_ENOMEM. */
sx_status sx_heads_changes(sx_head_change **out, int64_t *n, sx_ctx *ctx,
			   const sx_heads *h) SX_NODISCARD;

/* How far the heads' attention over distances lies from that before the drop: profile_shift right after
 * it and in the last record, means over heads, and how many heads are nearer in the last. n 0: there
 * are no records on both sides of a drop. */
typedef struct {
	int64_t n, nearer;
	double right_after, end;
} sx_heads_shift;
sx_heads_shift sx_heads_shift_of(const sx_heads *h);

#endif

/* The figures of the program (fig_*.c): each builds one from plain arrays, to be saved and freed by
 * the caller. All return SX_ENOMEM, and SX_EDATA with one sentence where the arrays hold nothing to
 * draw. Arrays are row-major, the last axis fastest, and borrowed during the call; NaN = missing.
 * Inputs with the same label are seeds of one setting: their mean is drawn, and a band from the
 * smallest to the largest. */
#ifndef SX_ANALYSIS_FIGURE_FIGURES_H
#define SX_ANALYSIS_FIGURE_FIGURES_H

#include "analysis/figure/figure.h"

/* ---- loss ---- */

typedef struct {
	const char *label; /* runs with the same label share one series             */
	sx_fig_kind kind;
	int64_t n;                  /* records                                               */
	const double *tokens_seen;  /* (n) not decreasing                                    */
	const double *loss;         /* (n) nats per token; NaN = unknown                     */
	const unsigned char *phase; /* (n) 0 pretraining, 1 recalibration                    */
	double drop;                /* tokens seen when recalibration began; NaN = it did not */
	int64_t n_eval;             /* held-out points, may be 0                             */
	const double *eval_tokens, *eval_loss; /* (n_eval)                                    */
} sx_fig_run;

/* Training curves: (a) loss against tokens seen, the drop marked; (b) after the drop, on a log
 * axis. The second panel is there only if a run has a drop. SX_ENOMEM. */
sx_status sx_fig_loss(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style, const sx_fig_run *runs,
		      int n_run) SX_NODISCARD;

/* ---- lines: columns of the user's own ---- */

typedef struct {
	const char *name;
	const double *y;          /* (n); NULL: a band alone     */
	const double *low, *high; /* (n) edges of a band, or NULL */
} sx_fig_column;

typedef struct {
	const char *x_label, *y_label;
	bool log_x, log_y;
	int64_t n; /* rows */
	const double *x;
	int n_column;
	const sx_fig_column *column;
} sx_fig_columns;

/* A series named RoPE, NoPE or DroPE has the look that it has everywhere. */
sx_status sx_fig_lines(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_columns *c) SX_NODISCARD;

/* ---- gamma: what scaling methods do to the frequencies ---- */

typedef struct {
	const char *name;    /* "PI", "NTK", ..: as shown   */
	int look;            /* number of its look, from 0; SX_FIG_GAMMA_METHODS differ */
	double factor;       /* of the extension            */
	int n;               /* frequencies                 */
	const double *omega; /* (n) rad/token of plain RoPE */
	const double *gamma; /* (n) angle in use over it    */
} sx_fig_scaling;

enum { SX_FIG_GAMMA_METHODS = 16 };

/* gamma against omega (arXiv:2512.12167, figures 6 and 11); a panel for each factor. head_dim and
 * train_length are named in the description. SX_EUSAGE with more factors or methods than fit. */
sx_status sx_fig_gamma(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_scaling *s, int n, int head_dim,
		       int64_t train_length) SX_NODISCARD;

/* ---- what was measured on the sequences of a probe batch ---- */

typedef struct {
	const char *label;
	int64_t seed; /* named where inputs have panels of their own and a label in common  */
	sx_fig_kind kind;
	int64_t n_step, n_seq, n_layer, n_head;
	const int64_t *step; /* (n_step) not decreasing; the drop's stands twice; -1 = unknown */
	const unsigned char *phase; /* (n_step) 0 pretraining, 1 recalibration          */
	const unsigned char *use;   /* (n_seq) 1: part of the means                     */
} sx_fig_probe;

typedef struct {
	sx_fig_probe at;
	int n_c;
	const char *const *family; /* (n_c) "diagonal", ..                              */
	const double *value;       /* (step, seq, layer, head, c): A_c, or a gradient norm */
	const char *wrt;           /* of a gradient: "wq" (NULL), "wk", "q", "k" or "h"     */
	int trunk; /* number of the run it was branched from, whose records before its own first
		      one are drawn in front; -1 = none */
} sx_fig_ac_data;

/* A_c of every head over training: a panel per layer (and run), a line per head and family, a point
 * at each of the two records of the drop. A run that is another's trunk is drawn there alone. */
sx_status sx_fig_ac(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		    const sx_fig_ac_data *runs, int n_run) SX_NODISCARD;

/* Norm of A_c's gradient against the layer (figure 4 of the paper in kind), mean over heads
 * and sequences; a panel per family. Of each input the first record counts. Bands: smallest and
 * largest of the seeds; where every label stands once, of the heads. Of RoPE and NoPE alone a second
 * row has their ratio, its band over the pairs of heads, or of seeds where there are equally many. */
sx_status sx_fig_ac_grad(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_ac_data *in, int n) SX_NODISCARD;

/* ---- plane ---- */

typedef struct {
	const double *value;      /* (step, layer, head)                     */
	const double *low, *high; /* the same, ends of an interval; or NULL  */
} sx_fig_range;

typedef struct {
	sx_fig_probe at;                  /* n_seq and use do not count              */
	sx_fig_range positional, content; /* shares of the logits' variation, 0..1   */
	const char *const *class_name;    /* (step, layer, head) "positional", "semantic", "key",
					      "mixed", "sink", "inactive", "undecided"; or NULL */
} sx_fig_plane_data;

/* The positional-semantic plane, a panel per input: a dot per head at the last record, its layer by
 * colour and its class by marker, with the way of a run with a drop from the record before it by the
 * first after it. Heads that moved far or stand alone are named. */
sx_status sx_fig_plane(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		       const sx_fig_plane_data *in, int n) SX_NODISCARD;

/* ---- bounds ---- */

typedef struct {
	sx_fig_probe at; /* one record                                                  */
	int64_t n;
	const char *const *name;    /* (n) "I9:diagonal": an inequality and its family of c  */
	const double *lhs, *rhs;    /* (seq, layer, head, n) NaN = not evaluated              */
	const char *const *why_not; /* (n) why it applies nowhere in the input, or NULL    */
} sx_fig_bound_data;

/* Left side against right side of the named inequalities ("I9", all families of c), and their ratio
 * by layer, median and range over heads, sequences and families. A panel says so where an inequality
 * does not apply to an input; SX_EDATA where none applies to any. */
sx_status sx_fig_bounds(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			const sx_fig_bound_data *in, int n, const char *const *inequality,
			int n_inequality) SX_NODISCARD;

/* ---- the theory at initialisation ---- */

typedef struct {
	const char *label;
	sx_fig_kind kind;
	const char *family; /* of c: "diagonal"                                              */
	int n_quantity;
	const char *const *quantity; /* (n_quantity) what is on the axis                     */
	int64_t n_t, n_layer;
	const double *spread; /* (n_t) prefix spread of the first layer, > 0                 */
	const double *value;  /* (quantity, t, layer); what is not positive is left out      */
} sx_fig_mix_data;

/* What follows the spread of the tokens: a panel per quantity, logarithmic axes, geometric mean over
 * layers and a band from the smallest to the largest. */
sx_status sx_fig_mix(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		     const sx_fig_mix_data *in, int n) SX_NODISCARD;

typedef struct {
	const char *family;
	const double *ours[2], *paper[2]; /* (n_layer) with and without rotation             */
} sx_fig_figure4_panel;
typedef struct {
	int64_t n_layer;
	int n_panel;
	const sx_fig_figure4_panel *panel; /* (n_panel)                                      */
	const char *label, *protocol;      /* of the axis; what was measured, for a sentence */
} sx_fig_figure4_data;

/* The paper's figure 4, ours beside the printed curves, and the ratio of RoPE to NoPE below. */
sx_status sx_fig_figure4(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_figure4_data *d) SX_NODISCARD;

/* One run; arrays (n), NaN = not there. */
typedef struct {
	const char *label;
	sx_fig_kind kind;
	int64_t n;
	const double *step;
	const double *value, *value_bound; /* |A_c|, mean over heads, and its bound           */
	const double *grad, *grad_bound;   /* norm of its gradient by W_Q, and the bound      */
	const double *spread;              /* prefix spread                                   */
} sx_fig_course_data;

/* A_c, its gradient and their bounds, and the prefix spread against the number of updates. */
sx_status sx_fig_course(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			const sx_fig_course_data *in, int n, const char *family) SX_NODISCARD;

/* One pair of checkpoints; arrays (n), of heads, NaN = not there. */
typedef struct {
	const char *label;
	sx_fig_kind kind;
	int64_t n, step, updates; /* between the checkpoints                                 */
	const double *change;     /* of A_c                                                */
	const double *first_w;    /* first order of W_Q and W_K                             */
	const double *first_h;    /* first order of h                                      */
	/* shares explained: of the part of W_Q, W_K; of the change, without and with h     */
	double share_w, share, share_h;
} sx_fig_update_data;

/* What updates do to A_c: change against first order, without and with h, a dot per head of the pairs
 * one update apart, each divided by the root mean square of the pair's changes; and shares explained
 * against the number of updates, where a run's checkpoint starts several pairs. */
sx_status sx_fig_updates(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_update_data *in, int n, const char *family) SX_NODISCARD;

/* ---- maps ---- */

typedef enum { SX_FIG_SCALE_LINEAR, SX_FIG_SCALE_SQRT, SX_FIG_SCALE_LOG } sx_fig_map_scale;

typedef struct {
	const char *label;
	int64_t step; /* -1 = unknown */
	int64_t n_map, n_query, n_key;
	int sequence;
	int64_t window;              /* keys at this distance or beyond are masked; 0 = none */
	const int32_t *layer, *head; /* (n_map)                                       */
	const double *prob;          /* (map, query, key); keys after the query are masked   */
} sx_fig_map_data;

/* Attention maps by layer and head; masked pairs are grey. SX_EDATA where they do not fit. */
sx_status sx_fig_maps(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		      const sx_fig_map_data *m, sx_fig_map_scale scale) SX_NODISCARD;

/* ---- offsets ---- */

typedef struct {
	sx_fig_probe at;
	int64_t n_bin;
	const int64_t *edge;         /* (n_bin + 1) first distance of each bin, tokens */
	const double *profile;       /* (step, seq, layer, head, bin)                  */
	int64_t n_show;              /* heads to show; 0 = all                         */
	const int32_t *layer, *head; /* (n_show)                                 */
} sx_fig_offset_data;

/* Weight of each distance, a panel per head, on logarithmic axes: the last record; of a run with a
 * drop the last one before it, the first after it, and the last. */
sx_status sx_fig_offsets(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_offset_data *d) SX_NODISCARD;

/* ---- frequencies ---- */

typedef struct {
	sx_fig_probe at;
	int64_t n_freq;
	const double *omega;  /* (n_freq) rad/token in use; 0 = not turned     */
	int64_t context;      /* trained length, tokens; 0 = not known         */
	const char *quantity; /* axis label of the colour bar                  */
	bool is_signed;       /* values may be negative: a diverging scale     */
	const double *value;  /* (step, seq, layer, head, freq)                */
} sx_fig_frequency_data;

/* What each head does with each rotary frequency, at the last record; a panel per input. A line
 * marks where the period exceeds the trained length. */
sx_status sx_fig_frequencies(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			     const sx_fig_frequency_data *in, int n) SX_NODISCARD;

/* ---- drop ---- */

typedef struct {
	const char *label, *quantity; /* of the run; "$A_c$ previous"                            */
	int64_t seed;
	int64_t n_layer, n_head;
	const double *value;      /* (3, layer, head): before, right after, end              */
	const double *low, *high; /* the same, ends of an interval; or NULL                  */
} sx_fig_drop_data;

/* What becomes of every head through the drop, a panel per quantity, a row per run (label and seed;
 * on a single column all below one another); the three that were largest before it are named. Up to
 * four heads of a layer have markers of their own. */
sx_status sx_fig_drop(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
		      const sx_fig_drop_data *in, int n) SX_NODISCARD;

/* ---- context ---- */

/* One model, positional method and temperature. Seeds are pooled before. Missing numbers are NaN. */
typedef struct {
	const char *label; /* of the model: curves of one model share colour and dash        */
	sx_fig_kind kind;
	const char *method; /* as shown, "PI", ..; "" = the model's own, not named. A marker each */
	double c;           /* temperature to name; NaN = none                                */
	double c_text;      /* that of nll, where it is another one                           */
	int n_length, n_seed;
	const int64_t *length;  /* (n_length) tokens                                          */
	const double *nll;      /* (n_length) nats per token, mean over seeds                 */
	const double *seed_nll; /* (n_seed, n_length)                                         */
	const double *rate, *low, *high; /* (kind, n_length) share retrieved, its interval     */
	const double *chance,
		*blind; /* (kind, n_length), (kind): by a value of the window, blind */
} sx_fig_context_curve;

typedef struct {
	const char *loss; /* what nll is taken on, for the axis: "Perplexity"                  */
	int n_kind;
	const char *const *needle; /* (n_kind) "multi-key", ..                                 */
	int64_t trained;           /* trained length, tokens; 0 = not known                    */
	int n;
	const sx_fig_context_curve *curve;
} sx_fig_context_data;

/* Perplexity with the range over seeds, and the share of needles retrieved with its 95 % interval,
 * by context length. A panel each, retrieval one for each kind of problem, with the chance levels
 * dotted. */
sx_status sx_fig_context(sx_fig **out, sx_ctx *ctx, const sx_fig_style *style,
			 const sx_fig_context_data *d) SX_NODISCARD;

#endif

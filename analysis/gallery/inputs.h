/* What the figures are made of, read into plain arrays: run files and a CSV of the user's own. */
#ifndef SX_ANALYSIS_GALLERY_INPUTS_H
#define SX_ANALYSIS_GALLERY_INPUTS_H

#include "analysis/bounds.h"
#include "analysis/gallery/gallery.h"
#include "probes/runfile/runfile.h"

/* One run file and what of it a figure takes. Arrays are NULL until read. */
typedef struct sx_input {
	sx_run_file *file;
	const char *path; /* as given, borrowed                                            */
	char *label;      /* sx_inputs_label                                               */
	char method[24];  /* how position enters at the start                              */
	char drop_to[24]; /* what the run's configuration drops to; "" = no drop           */
	sx_fig_kind kind; /* at the last record taken                                      */
	char eval_method
		[32]; /* of an eval file: how it was evaluated; "" elsewhere, and of a grid */
	int64_t context, window, seed;
	bool step_unknown; /* a file of a model whose training is not known */

	int64_t n_step, n_seq, n_layer, n_head, n_last; /* n_last: what follows the head    */
	int64_t *step;
	unsigned char *phase, *use;
	double *value;

	char **family; /* of A_c, one allocation */
	int64_t *edge; /* of offsets, one more than bins */
	double *omega; /* of the first layer, as in use */

	int32_t *map_layer, *map_head;
	int64_t n_map, n_query, n_key, map_step;
	int map_sequence;

	int64_t n_kind;
	char **needle; /* kinds of needle problem, one allocation */

	sx_bounds_record bounds;
	const char **why_not; /* (bounds.b.n) */
} sx_input;

/* Opens a run file or a run folder. SX_ENOINPUT, SX_EDATA. */
sx_status sx_input_open(sx_input *in, sx_ctx *ctx, const char *path) SX_NODISCARD;
void sx_input_free(sx_input *in);

/* Names of n inputs: of `labels` (a list, labels.h) where given, else the kind's where it is the only
 * one of its kind, else the file's. SX_EUSAGE where there are more or fewer labels than inputs. */
sx_status sx_inputs_label(sx_input *in, int n, sx_ctx *ctx, const char *labels) SX_NODISCARD;

/* How a model is drawn: `method` is how position entered at the start, drop_to what its run drops to
 * ("keep": the control; "": no drop, or not known), recalibrated whether the drop is behind it. */
sx_fig_kind sx_kind_of_model(const char *method, const char *drop_to, bool recalibrated);
/* "RoPE", "NoPE", "DroPE", "positions kept"; "" of the rest. */
const char *sx_label_of_kind(sx_fig_kind kind);

/* Opens all inputs of a figure, reads of each what `read` reads (NULL: nothing, and the kind is the
 * method's), then names them. *out (a->n_input) is the caller's, for sx_inputs_free. */
sx_status sx_inputs_open(sx_input **out, sx_ctx *ctx, const sx_figure_args *a,
			 sx_status (*read)(sx_input *in, sx_ctx *ctx,
					   const sx_figure_args *a)) SX_NODISCARD;
void sx_inputs_free(sx_input *in, int n);

/* Each reads what one figure needs. A thing the file lacks is SX_EDATA in one sentence. at_step >= 0
 * takes the last record of that step alone; -1 is the figure's own choice. */
sx_status sx_input_ac(sx_input *in, sx_ctx *ctx, int64_t at_step) SX_NODISCARD; /* all records */
/* Axes of /stats, all records; value is the entropy. */
sx_status sx_input_stats(sx_input *in, sx_ctx *ctx, int64_t at_step) SX_NODISCARD;
/* Norms by `wrt`; the first record. */
sx_status sx_input_ac_grad(sx_input *in, sx_ctx *ctx, int64_t at_step,
			   const char *wrt) SX_NODISCARD;
/* The last record; of a run with a drop those around it, too; heads as for maps. */
sx_status sx_input_offsets(sx_input *in, sx_ctx *ctx, int64_t at_step,
			   const char *heads) SX_NODISCARD;
/* id: a row of /rope by frequency; the last record. */
sx_status sx_input_frequencies(sx_input *in, sx_ctx *ctx, int64_t at_step,
			       sx_run_id id) SX_NODISCARD;
/* Maps of the heads chosen ("L2-4/H*", NULL = all) of one sequence (-1 = the first) at the last
 * step. */
sx_status sx_input_maps(sx_input *in, sx_ctx *ctx, int64_t at_step, int64_t sequence,
			const char *heads) SX_NODISCARD;
/* Both sides of the theory's inequalities, of the last record; entries that were not evaluated are
 * NaN, and a constant sequence, whose left sides are zero or of rounding's size, is not used. */
sx_status sx_input_bounds(sx_input *in, sx_ctx *ctx, int64_t at_step) SX_NODISCARD;
/* What an evaluation is of (/extension, or the last record of /eval); the numbers are left to
 * analysis/extension.h. */
sx_status sx_input_context(sx_input *in, sx_ctx *ctx, int64_t at_step) SX_NODISCARD;

/* The arrays as the figures take them. */
sx_fig_probe sx_input_probe(const sx_input *in);

/* ---- CSV ---- */

typedef struct {
	int64_t n_row, n_col;
	char **name;   /* (n_col), one allocation each */
	double *value; /* (n_col, n_row); an empty field or NaN is NaN */
} sx_csv;

/* A header line, then numbers; fields may be quoted. SX_ENOINPUT, SX_EDATA naming the line. */
sx_status sx_csv_read(sx_csv *out, sx_ctx *ctx, const char *path) SX_NODISCARD;
void sx_csv_free(sx_csv *c);

#endif

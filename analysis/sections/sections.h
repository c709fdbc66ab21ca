/* The report of runs, traces, evaluations and bounds, section by section: each looks for what it can say
 * something about and leaves out what is not there. To add one: a file here that ends in it, and its
 * name in sections.c. */
#ifndef SX_ANALYSIS_SECTIONS_SECTIONS_H
#define SX_ANALYSIS_SECTIONS_SECTIONS_H

#include "analysis/report/report.h"
#include "analysis/sections/item.h"
#include "analysis/stats/words.h"
#include "probes/runfile/runfile.h"

/* One thing to report on. Strings are borrowed. */
typedef struct {
	sx_item_kind kind;
	const char *name, *label, *path, *what;
	int64_t seed;
	int64_t context; /* tokens of a training window, 0 = not known                   */
	bool untrained;
	bool drops;        /* a run with records on both sides of a drop          */
	bool nope;         /* a run that loses its positions at the drop, or a file of a model
		       without positions                                       */
	sx_run_file *file; /* NULL: an untrained run, which is a configuration alone   */
} sx_section_item;

typedef struct {
	sx_ctx *ctx;
	sx_report *report;
	sx_section_item *item;
	int n;
	uint64_t seed; /* of every bootstrap                                       */
	char *said;    /* the findings of the section at work, sentence by sentence  */
	bool out_of_memory;
} sx_section_job;

/* A sentence of the findings; a section's sentences make one paragraph. */
void sx_section_say(sx_section_job *j, const char *fmt, ...) SX_PRINTF(2, 3);
/* A paragraph of the page. */
void sx_section_write(sx_section_job *j, const char *fmt, ...) SX_PRINTF(2, 3);

/* Numbers of the items for which `fits` holds, at most `most`; all seeds, in order. */
int sx_section_find(const sx_section_job *j, int *at, int most,
		    bool (*fits)(const sx_section_item *item));
/* How many different labels, and seeds, these items have. */
int sx_section_labels(const sx_section_job *j, const int *at, int n);
int sx_section_seeds(const sx_section_job *j, const int *at, int n);
/* Of these items those of the first seed; returns their number. */
int sx_section_first_seed(const sx_section_job *j, int *at, int n);

/* What an interval of a difference says: 1 above 0, -1 below, 0 neither. */
int sx_section_sign(sx_interval d);

/* Figure `figure` of `sextant figure list` from these items, named `name` in the report; words may
 * be NULL. Where seeds of the same label are not among the items, the caption gets a sentence that
 * names those that are. */
typedef struct {
	const char *heads, *of, *style; /* style: NULL = neurips, the width of a page */
	int64_t step, sequence;         /* -1 = the figure's own choice                */
} sx_section_words;
sx_status sx_section_draw(sx_section_job *j, const char *figure, const char *name,
			  const char *caption, const int *at, int n,
			  const sx_section_words *words) SX_NODISCARD;

/* "RoPE", or "RoPE, seed 2" where there are several seeds among all items. */
void sx_section_name(const sx_section_job *j, const sx_section_item *item, char *out, size_t size);

/* Writes all sections, and the findings of each as a paragraph of the summary. */
sx_status sx_sections_write(sx_section_job *j) SX_NODISCARD;

/* The share of needles at the trained length from which a model has learned to retrieve: of one with
 * less, what it does beyond that length says little. */
#define SX_SECTION_LEARNED 0.9

/* Each at the end of its part of the file that is named for it; failures are those of the files read. */
sx_status
sx_section_learned(sx_section_job *j) SX_NODISCARD; /* sentences alone, the page's first */
sx_status sx_section_losses(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_drop(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_heads(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_frequencies(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_extension(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_gradients(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_mix(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_figure4(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_constant(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_course(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_updates(sx_section_job *j) SX_NODISCARD;
sx_status sx_section_bounds(sx_section_job *j) SX_NODISCARD;

/* Traces that have sections of their own: of random weights of the paper's depth, and of constant
 * sequences alone. */
bool sx_section_is_figure4(const sx_section_item *i);
/* One of three or more checkpoints of a run whose bounds were checked under one name. */
bool sx_section_in_course(const sx_section_job *j, const sx_section_item *item);
/* A trace toward later weights. */
bool sx_section_is_update(const sx_section_item *i);
bool sx_section_is_constant(const sx_section_item *i);

#endif

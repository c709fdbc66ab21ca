/* What a report is on, and a study makes: kinds of items. */
#ifndef SX_ANALYSIS_SECTIONS_ITEM_H
#define SX_ANALYSIS_SECTIONS_ITEM_H

typedef enum {
	SX_ITEM_RUN,   /* a run folder; of an untrained model a configuration, a .yaml        */
	SX_ITEM_TRACE, /* the rest: a sealed run file                                        */
	SX_ITEM_EVAL,
	SX_ITEM_BOUNDS,
	SX_ITEM_KINDS
} sx_item_kind;
const char *sx_item_kind_name(sx_item_kind k); /* "run", "trace", "eval", "bounds" */

#endif

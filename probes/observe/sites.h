/* Rows of what passes the sites of a layer (engine/probe.h), kept in float: those of the chosen heads and
 * rows, no others. What is wanted is resolved once, before the pass, into an sx_sites; the observer
 * (sites.c) fills an sx_site_rows, sites_record.c writes it to /sites. */
#ifndef SX_PROBES_OBSERVE_SITES_H
#define SX_PROBES_OBSERVE_SITES_H

#include "engine/probe.h"
#include "engine/spec.h"
#include "probes/observe/choice.h"

/* In the user's words. */
typedef struct {
	const char *what;         /* "all", or names of sites with commas                   */
	const char *heads, *rows; /* as in sx_choice_make                                   */
} sx_sites_words;

/* What a row of a site is made of: C numbers of the stream, D of every query head, D of every
 * key/value head, F of the feed-forward block. */
typedef enum {
	SX_SITE_OF_STREAM,
	SX_SITE_OF_HEAD,
	SX_SITE_OF_KV_HEAD,
	SX_SITE_OF_MLP,
	SX_SITE_KINDS
} sx_site_kind;
sx_site_kind sx_site_kind_of(sx_site site);

/* How the sites of a kind are cut and kept. */
typedef struct {
	int64_t heads, width; /* parts of a row, numbers of each                                */
	int64_t n;            /* parts that are kept in some layer                              */
	const int32_t *slot;  /* (L,heads) layer * n + part on the axes kept; -1 = not chosen   */
} sx_site_form;

typedef struct sx_sites {
	bool want[SX_SITE_COUNT];
	bool any[SX_SITE_KINDS]; /* whether a site of the kind is wanted                        */
	sx_site_form form[SX_SITE_KINDS];
	int64_t S;
	sx_choice choice;
	int64_t n_kv_head; /* key/value heads of the chosen heads                               */
	int32_t *kv_head;  /* (n_kv_head)                                                       */
	int32_t *layer_slot, *kv_slot;
} sx_sites;

/* For S sequences of T tokens. SX_EUSAGE for words that name what is not there, SX_ENOMEM. */
sx_status sx_sites_new(sx_sites **out, sx_ctx *ctx, const sx_sites_words *w, const sx_spec *s,
		       int64_t S, int64_t T) SX_NODISCARD;
void sx_sites_free(sx_sites *k);

/* (S, n_layer, form.n, n_query, form.width) of each site, NULL where not wanted; NaN in the parts of a
 * layer that were not chosen. */
typedef struct sx_site_rows {
	float *at[SX_SITE_COUNT];
} sx_site_rows;

sx_status sx_site_rows_new(sx_site_rows **out, sx_ctx *ctx, const sx_sites *k) SX_NODISCARD;
void sx_site_rows_free(sx_site_rows *r);
/* Numbers of a site, 0 where it is not wanted; bytes of all. */
int64_t sx_site_rows_count(const sx_sites *k, sx_site site);
int64_t sx_site_rows_bytes(const sx_sites *k);

#endif

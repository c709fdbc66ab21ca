/* Which sites are kept: words into axes, and the arrays to fill. */
#include "probes/observe/sites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SITE_NAME(id, name, width, doc)  name,
#define SITE_WIDTH(id, name, width, doc) width,
#define SITE_LIST(id, name, width, doc)  name ", "
static const char *const names[SX_SITE_COUNT] = {SX_SITES(SITE_NAME)};
static const char *const widths[SX_SITE_COUNT] = {SX_SITES(SITE_WIDTH)};

sx_site_kind sx_site_kind_of(sx_site site)
{
	static const char *const of[SX_SITE_KINDS] = {"C", "H*D", "Hkv*D", "F"};
	int kind = 0;
	while (strcmp(of[kind], widths[site]) != 0) kind++;
	return (sx_site_kind)kind;
}

static sx_status read_what(sx_sites *k, sx_ctx *ctx, const char *what)
{
	const char *s = what ? what : "";
	do {
		size_t n = strcspn(s, ",");
		bool all = n == 3 && strncmp(s, "all", n) == 0, known = all;
		for (int i = 0; i < SX_SITE_COUNT; i++)
			if (all || (strlen(names[i]) == n && strncmp(s, names[i], n) == 0))
				k->want[i] = k->any[sx_site_kind_of((sx_site)i)] = known = true;
		if (!known)
			return sx_fail(ctx, SX_EUSAGE,
				       "no site is called \"%.*s\": want all, or some of " SX_SITES(
					       SITE_LIST) "separated by commas",
				       (int)n, s);
		s += n;
	} while (*s++ == ',');
	return SX_OK;
}

/* Layers, and pairs of layer and key/value head, that have a chosen head. */
static sx_status choose_kv_heads(sx_sites *k, sx_ctx *ctx, const sx_spec *s)
{
	const sx_choice *c = &k->choice;
	int group = s->H / s->Hkv;
	k->layer_slot = sx_calloc((size_t)s->L, sizeof *k->layer_slot);
	k->kv_slot = sx_calloc((size_t)(s->L * s->Hkv), sizeof *k->kv_slot);
	k->kv_head = sx_calloc((size_t)s->Hkv, sizeof *k->kv_head);
	int32_t *place = sx_calloc((size_t)s->Hkv, sizeof *place);
	if (!k->layer_slot || !k->kv_slot || !k->kv_head || !place) {
		free(place);
		return sx_fail(ctx, SX_ENOMEM, "no memory for a choice of sites");
	}
	for (int64_t h = 0; h < c->n_head; h++) {
		int32_t kv = c->head[h] / group;
		if (k->n_kv_head == 0 || k->kv_head[k->n_kv_head - 1] != kv)
			place[kv] = (int32_t)k->n_kv_head, k->kv_head[k->n_kv_head++] = kv;
	}
	for (int l = 0; l < s->L; l++) k->layer_slot[l] = -1;
	for (int i = 0; i < s->L * s->Hkv; i++) k->kv_slot[i] = -1;
	for (int l = 0; l < s->L; l++)
		for (int h = 0; h < s->H; h++) {
			int32_t slot = c->slot[l * s->H + h], kv = h / group;
			if (slot < 0) continue;
			int32_t layer = slot / (int32_t)c->n_head;
			k->layer_slot[l] = layer;
			k->kv_slot[l * s->Hkv + kv] = layer * (int32_t)k->n_kv_head + place[kv];
		}
	free(place);
	return SX_OK;
}

sx_status sx_sites_new(sx_sites **out, sx_ctx *ctx, const sx_sites_words *w, const sx_spec *s,
		       int64_t S, int64_t T)
{
	sx_status st = SX_OK;
	sx_sites *k = sx_calloc(1, sizeof *k);
	if (!k) return sx_fail(ctx, SX_ENOMEM, "no memory for a choice of sites");
	k->S = S;
	SX_TRY(read_what(k, ctx, w->what));
	SX_TRY(sx_choice_make(&k->choice, ctx, w->heads, w->rows, s->L, s->H, T));
	SX_TRY(choose_kv_heads(k, ctx, s));
	k->form[SX_SITE_OF_STREAM] = (sx_site_form){1, s->C, 1, k->layer_slot};
	k->form[SX_SITE_OF_HEAD] = (sx_site_form){s->H, s->D, k->choice.n_head, k->choice.slot};
	k->form[SX_SITE_OF_KV_HEAD] = (sx_site_form){s->Hkv, s->D, k->n_kv_head, k->kv_slot};
	k->form[SX_SITE_OF_MLP] = (sx_site_form){1, s->F, 1, k->layer_slot};
	*out = k;
	k = NULL;
out:
	sx_sites_free(k);
	return st;
}

void sx_sites_free(sx_sites *k)
{
	if (!k) return;
	sx_choice_free(&k->choice);
	free(k->layer_slot);
	free(k->kv_slot);
	free(k->kv_head);
	free(k);
}

/* ---- what comes out ---- */

int64_t sx_site_rows_count(const sx_sites *k, sx_site site)
{
	const sx_site_form *f = &k->form[sx_site_kind_of(site)];
	if (!k->want[site]) return 0;
	return k->S * k->choice.n_layer * f->n * k->choice.n_query * f->width;
}

int64_t sx_site_rows_bytes(const sx_sites *k)
{
	int64_t n = 0;
	for (int i = 0; i < SX_SITE_COUNT; i++) n += sx_site_rows_count(k, (sx_site)i);
	return n * (int64_t)sizeof(float);
}

sx_status sx_site_rows_new(sx_site_rows **out, sx_ctx *ctx, const sx_sites *k)
{
	sx_site_rows *r = sx_calloc(1, sizeof *r);
	bool ok = r != NULL;
	for (int i = 0; ok && i < SX_SITE_COUNT; i++) {
		int64_t n = sx_site_rows_count(k, (sx_site)i);
		if (n == 0) continue;
		r->at[i] = sx_calloc((size_t)n, sizeof *r->at[i]);
		ok = r->at[i] != NULL;
		for (int64_t e = 0; ok && e < n; e++) r->at[i][e] = NAN;
	}
	if (!ok) {
		sx_site_rows_free(r);
		return sx_fail(ctx, SX_ENOMEM,
			       "no memory for %.1f MiB of sites: choose fewer sites, heads or rows",
			       (double)sx_site_rows_bytes(k) / 0x1p20);
	}
	*out = r;
	return SX_OK;
}

void sx_site_rows_free(sx_site_rows *r)
{
	for (int i = 0; r && i < SX_SITE_COUNT; i++) free(r->at[i]);
	free(r);
}

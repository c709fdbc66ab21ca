#include "probes/observe/choice.h"

#include <ctype.h>
#include <stdlib.h>

bool sx_read_number(const char **s, int64_t *n)
{
	char *end;
	if (!isdigit((unsigned char)**s)) return false;
	*n = strtoll(*s, &end, 10);
	*s = end;
	return true;
}

/* "0-1023,4096-" into flags (T); every row where text is empty. */
static sx_status read_rows(bool *row, sx_ctx *ctx, const char *text, int64_t T)
{
	const char *s = text ? text : "";
	for (int64_t i = 0; *s == '\0' && i < T; i++) row[i] = true;
	while (*s) {
		int64_t a, b;
		bool ok = sx_read_number(&s, &a);
		b = ok ? a : 0;
		if (ok && *s == '-') {
			s++;
			if (!sx_read_number(&s, &b)) b = T - 1;
		}
		ok = ok && a <= b && b < T && (*s == '\0' || (*s == ',' && s[1] != '\0'));
		if (!ok)
			return sx_fail(ctx, SX_EUSAGE,
				       "rows %s: want positions below %lld such as 0-1023,4096-",
				       text, (long long)T);
		for (int64_t i = a; i <= b; i++) row[i] = true;
		s += *s == ',';
	}
	return SX_OK;
}

static sx_status choose_rows(sx_choice *c, sx_ctx *ctx, const char *text, int64_t T)
{
	sx_status st = SX_OK;
	bool *row = sx_calloc((size_t)T, sizeof *row);
	c->place = sx_calloc((size_t)T, sizeof *c->place);
	c->query = sx_calloc((size_t)T, sizeof *c->query);
	if (!row || !c->place || !c->query) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a choice of rows");
		goto out;
	}
	SX_TRY(read_rows(row, ctx, text, T));
	for (int64_t i = 0; i < T; i++) {
		c->place[i] = row[i] ? (int32_t)c->n_query : -1;
		if (row[i]) c->query[c->n_query++] = (int32_t)i;
	}
out:
	free(row);
	return st;
}

/* Layers and heads that occur become the axes; slot says which pairs are meant. */
static sx_status choose_heads(sx_choice *c, sx_ctx *ctx, const char *text, int64_t L, int64_t H)
{
	sx_status st = SX_OK;
	sx_map_choice *chosen = NULL;
	int64_t n = 0;
	c->layer = sx_calloc((size_t)L, sizeof *c->layer);
	c->head = sx_calloc((size_t)H, sizeof *c->head);
	c->slot = sx_calloc((size_t)(L * H), sizeof *c->slot);
	int32_t *at_layer = sx_calloc((size_t)L, sizeof *at_layer);
	int32_t *at_head = sx_calloc((size_t)H, sizeof *at_head);
	if (!c->layer || !c->head || !c->slot || !at_layer || !at_head) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for a choice of heads");
		goto out;
	}
	SX_TRY(sx_select_heads(&chosen, &n, ctx, text && *text ? text : "L*/H*", (int)L, (int)H));
	for (int64_t k = 0; k < n; k++) at_layer[chosen[k].layer] = at_head[chosen[k].head] = 1;
	for (int64_t l = 0; l < L; l++)
		if (at_layer[l])
			at_layer[l] = (int32_t)c->n_layer, c->layer[c->n_layer++] = (int32_t)l;
	for (int64_t h = 0; h < H; h++)
		if (at_head[h]) at_head[h] = (int32_t)c->n_head, c->head[c->n_head++] = (int32_t)h;
	for (int64_t k = 0; k < L * H; k++) c->slot[k] = -1;
	for (int64_t k = 0; k < n; k++)
		c->slot[chosen[k].layer * H + chosen[k].head] =
			at_layer[chosen[k].layer] * (int32_t)c->n_head + at_head[chosen[k].head];
out:
	free(chosen);
	free(at_layer);
	free(at_head);
	return st;
}

sx_status sx_choice_make(sx_choice *c, sx_ctx *ctx, const char *heads, const char *rows, int L,
			 int H, int64_t T)
{
	sx_status st = choose_heads(c, ctx, heads, L, H);
	return st == SX_OK ? choose_rows(c, ctx, rows, T) : st;
}

void sx_choice_free(sx_choice *c)
{
	free(c->layer);
	free(c->head);
	free(c->slot);
	free(c->query);
	free(c->place);
}

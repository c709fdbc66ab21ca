#include "probes/lab/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	const char *at;
	size_t len;
	int64_t place; /* in the text, in words */
} word;

static bool is_part(char c)
{
	unsigned char b = (unsigned char)c;
	return isalnum(b) || c == '\'' || b > 127;
}

/* The next word from *at on; false at the end. */
static bool next_word(word *w, const char **at, const char *end)
{
	const char *s = *at;
	while (s < end && isspace((unsigned char)*s)) s++;
	if (s == end) return false;
	w->at = s++;
	while (is_part(*w->at) && s < end && is_part(*s)) s++;
	w->len = (size_t)(s - w->at);
	*at = s;
	return true;
}

static int by_letters(const word *a, const word *b)
{
	int order = memcmp(a->at, b->at, a->len < b->len ? a->len : b->len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int by_letters_and_place(const void *x, const void *y)
{
	const word *a = x, *b = y;
	int order = by_letters(a, b);
	return order ? order : (a->place > b->place) - (a->place < b->place);
}

sx_status sx_words_number(int32_t **ids, int64_t *n, int64_t *distinct, sx_ctx *ctx,
			  const char *text, size_t size)
{
	sx_status st = SX_OK;
	const char *at = text, *end = text + size;
	word one, *all = NULL;
	int64_t *first = NULL, count = 0, known = 0;
	int32_t *id = NULL;
	while (next_word(&one, &at, end)) count++;
	all = sx_calloc((size_t)count + 1, sizeof *all);
	first = sx_calloc((size_t)count + 1, sizeof *first);
	id = sx_calloc((size_t)count + 1, sizeof *id);
	if (!all || !first || !id) SX_TRY(sx_fail(ctx, SX_ENOMEM, "no memory for words"));
	at = text;
	for (int64_t i = 0; i < count && next_word(&all[i], &at, end); i++) all[i].place = i;
	/* equal words stand together, the first occurrence in front */
	qsort(all, (size_t)count, sizeof *all, by_letters_and_place);
	for (int64_t i = 0; i < count; i++) {
		bool again = i > 0 && by_letters(&all[i - 1], &all[i]) == 0;
		first[all[i].place] = again ? first[all[i - 1].place] : all[i].place;
	}
	for (int64_t i = 0; i < count; i++) {
		if (known > INT32_MAX)
			SX_TRY(sx_fail(ctx, SX_EDATA, "more than 2^31 different words"));
		id[i] = first[i] < i ? id[first[i]] : (int32_t)known++;
	}
	*ids = id, *n = count, *distinct = known;
	id = NULL;
out:
	free(all);
	free(first);
	free(id);
	return st;
}

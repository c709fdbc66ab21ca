/* Reading a tokenizer.json. What is not read is refused by name, with the key: never understood
 * silently in another way. */
#include "engine/text/hf.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NEST = 8, MAX_LIST = 64, MAX_ADDED_BYTES = 1 << 12, WHERE = 200 };

typedef struct {
	sx_ctx *ctx;
	const char *name; /* of the file */
	sx_pipeline *h;
	bool has_template;
} reader;

/* ---- what is wrong, and where ---- */

SX_PRINTF(3, 4)
static sx_status bad(const reader *r, const char *where, const char *fmt, ...)
{
	char why[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	return sx_fail(r->ctx, SX_EDATA, "%s: %s %s", r->name, where, why);
}

static sx_status memory(const reader *r)
{
	return sx_fail(r->ctx, SX_ENOMEM, "no memory for %s", r->name);
}

/* Of a good file, but of a kind that is not read. */
static sx_status other(const reader *r, const char *where, const char *what, const char *read)
{
	return bad(
		r, where,
		"is \"%.40s\", which is not read here (%s): make the ids in Python and give them "
		"with --tokens",
		what, read);
}

static void below(char *out, const char *where, const char *key)
{
	snprintf(out, WHERE, "%.130s%s%.40s", where, *where ? "." : "", key);
}

static void element(char *out, const char *where, const char *key, size_t i)
{
	snprintf(out, WHERE, "%.130s%s%.40s[%zu]", where, *where ? "." : "", key, i);
}

/* Keys of the object are among `known`, a list that ends with NULL. */
static sx_status check_keys(const reader *r, json_t *o, const char *where, const char *const *known)
{
	const char *key;
	json_t *value;
	if (!json_is_object(o)) return bad(r, where, "is no object");
	json_object_foreach(o, key, value)
	{
		int i = 0;
		while (known[i] && strcmp(known[i], key) != 0) i++;
		if (!known[i] && !json_is_null(value)) {
			char at[WHERE];
			below(at, where, key);
			return bad(r, at, "is a key that is not known here");
		}
	}
	return SX_OK;
}

static sx_status get_bool(const reader *r, json_t *o, const char *where, const char *key,
			  bool usual, bool *out)
{
	json_t *v = json_object_get(o, key);
	*out = usual;
	if (!v || json_is_null(v)) return SX_OK;
	*out = json_is_true(v);
	if (json_is_boolean(v)) return SX_OK;
	char at[WHERE];
	below(at, where, key);
	return bad(r, at, "is neither true nor false");
}

/* The string under a key; NULL where there is none. */
static sx_status get_string(const reader *r, json_t *o, const char *where, const char *key,
			    const char **out, size_t *len)
{
	json_t *v = json_object_get(o, key);
	*out = NULL;
	*len = 0;
	if (!v || json_is_null(v)) return SX_OK;
	*out = json_string_value(v);
	*len = json_string_length(v);
	if (*out) return SX_OK;
	char at[WHERE];
	below(at, where, key);
	return bad(r, at, "is no string");
}

static sx_status need_string(const reader *r, json_t *o, const char *where, const char *key,
			     sx_bytes *out)
{
	const char *s;
	size_t len;
	sx_status st = get_string(r, o, where, key, &s, &len);
	if (st != SX_OK) return st;
	char at[WHERE];
	below(at, where, key);
	if (!s) return bad(r, at, "is missing");
	return sx_bytes_add(out, s, len) ? SX_OK : memory(r);
}

/* {"String": ..} or {"Regex": ..} */
static sx_status get_pattern(const reader *r, json_t *o, const char *where, sx_pattern **out)
{
	static const char *const keys[] = {"String", "Regex", NULL};
	json_t *p = json_object_get(o, "pattern");
	char at[WHERE];
	below(at, where, "pattern");
	sx_status st = check_keys(r, p, at, keys);
	if (st != SX_OK) return st;
	json_t *s = json_object_get(p, "String"), *regex = json_object_get(p, "Regex");
	json_t *v = regex ? regex : s;
	if (!json_is_string(v) || (s && regex)) return bad(r, at, "is no String and no Regex");
	return sx_pattern_new(out, r->ctx, r->name, at, json_string_value(v), json_string_length(v),
			      regex != NULL);
}

/* One code point. */
static sx_status get_character(const reader *r, json_t *o, const char *where, const char *key,
			       sx_bytes *out)
{
	sx_status st = need_string(r, o, where, key, out);
	char at[WHERE];
	below(at, where, key);
	if (st == SX_OK && (out->used == 0 || sx_utf8_length(out->at, out->used) != out->used))
		st = bad(r, at, "is not one character");
	return st;
}

/* A new element of a list, zeroed; NULL when memory is out. */
static void *append(void **list, int *n, size_t size)
{
	char *grown = sx_grow(*list, (size_t)*n + 1, size);
	if (!grown) return NULL;
	*list = grown;
	void *x = grown + (size_t)(*n)++ * size;
	return memset(x, 0, size);
}

typedef sx_status (*part_fn)(reader *r, json_t *o, const char *where, const char *type);

/* A part, or a Sequence of them under `list`, flat; null is none. */
static sx_status walk(reader *r, json_t *o, const char *where, const char *list, part_fn part,
		      int depth)
{
	if (!o || json_is_null(o)) return SX_OK;
	char at[WHERE];
	below(at, where, "type");
	const char *type = json_string_value(json_object_get(o, "type"));
	if (!type) return bad(r, at, "is missing");
	if (strcmp(type, "Sequence") != 0) return part(r, o, where, type);
	const char *const keys[] = {"type", list, NULL};
	sx_status st = check_keys(r, o, where, keys);
	json_t *parts = json_object_get(o, list), *p;
	size_t i;
	if (st != SX_OK) return st;
	if (!json_is_array(parts) || json_array_size(parts) > MAX_LIST || depth == MAX_NEST)
		return bad(r, where, "is no list of at most %d, at most %d deep", (int)MAX_LIST,
			   (int)MAX_NEST);
	json_array_foreach(parts, i, p)
	{
		element(at, where, list, i);
		st = walk(r, p, at, list, part, depth + 1);
		if (st != SX_OK) break;
	}
	return st;
}

/* ---- normalizer ---- */

static sx_status normal_part(reader *r, json_t *o, const char *where, const char *type)
{
	static const char *const nfc[] = {"type", NULL},
				 *const prepend[] = {"type", "prepend", NULL},
				 *const replace[] = {"type", "pattern", "content", NULL};
	char at[WHERE];
	below(at, where, "type");
	sx_status st;
	sx_normalizer *p = append((void **)&r->h->normals, &r->h->n_normals, sizeof *p);
	if (!p) return memory(r);
	if (strcmp(type, "NFC") == 0) {
		p->kind = SX_NORMAL_NFC;
		return check_keys(r, o, where, nfc);
	}
	if (strcmp(type, "Prepend") == 0) {
		p->kind = SX_NORMAL_PREPEND;
		st = check_keys(r, o, where, prepend);
		return st == SX_OK ? need_string(r, o, where, "prepend", &p->content) : st;
	}
	if (strcmp(type, "Replace") != 0)
		return other(r, at, type, "NFC, Prepend, Replace and Sequence are");
	p->kind = SX_NORMAL_REPLACE;
	st = check_keys(r, o, where, replace);
	if (st == SX_OK) st = get_pattern(r, o, where, &p->pattern);
	return st == SX_OK ? need_string(r, o, where, "content", &p->content) : st;
}

/* ---- pre-tokenizer ---- */

static const char gpt2[] =
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static sx_status byte_level(const reader *r, json_t *o, const char *where, sx_stage *p)
{
	static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
					   NULL};
	sx_status st = SX_OK;
	bool prefix, regex;
	p->kind = SX_STAGE_BYTE_LEVEL;
	p->behavior = SX_SPLIT_ISOLATED;
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(get_bool(r, o, where, "add_prefix_space", false, &prefix));
	SX_TRY(get_bool(r, o, where, "use_regex", true, &regex));
	p->prefix = prefix ? SX_PREFIX_ALWAYS : SX_PREFIX_NEVER;
	if (regex)
		st = sx_pattern_new(&p->pattern, r->ctx, r->name, where, gpt2, sizeof gpt2 - 1,
				    true);
out:
	return st;
}

static sx_status digits(const reader *r, json_t *o, const char *where, sx_stage *p)
{
	static const char *const keys[] = {"type", "individual_digits", NULL};
	sx_status st = SX_OK;
	bool each;
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(get_bool(r, o, where, "individual_digits", false, &each));
	p->behavior = each ? SX_SPLIT_ISOLATED : SX_SPLIT_CONTIGUOUS;
	st = sx_pattern_new(&p->pattern, r->ctx, r->name, where, "\\p{N}", 5, true);
out:
	return st;
}

static sx_status split(const reader *r, json_t *o, const char *where, sx_stage *p)
{
	static const char *const keys[] = {"type", "pattern", "behavior", "invert", NULL};
	static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
					    "MergedWithNext", "Contiguous"};
	sx_status st = SX_OK;
	const char *name;
	size_t len;
	char at[WHERE];
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(get_pattern(r, o, where, &p->pattern));
	SX_TRY(get_bool(r, o, where, "invert", false, &p->invert));
	SX_TRY(get_string(r, o, where, "behavior", &name, &len));
	for (int i = 0; i < 5; i++)
		if (name && strcmp(name, names[i]) == 0) {
			p->behavior = (sx_split_behavior)i;
			return SX_OK;
		}
	below(at, where, "behavior");
	st = bad(r, at,
		 "is \"%.40s\": Removed, Isolated, MergedWithPrevious, MergedWithNext or "
		 "Contiguous can be",
		 name ? name : "");
out:
	return st;
}

/* add_prefix_space is what older files have for prepend_scheme. */
static sx_status metaspace_prefix(const reader *r, json_t *o, const char *where, sx_prefix *out)
{
	static const char *const names[] = {"never", "first", "always"};
	sx_status st = SX_OK;
	const char *scheme;
	size_t len;
	bool prefix;
	char at[WHERE];
	SX_TRY(get_bool(r, o, where, "add_prefix_space", true, &prefix));
	SX_TRY(get_string(r, o, where, "prepend_scheme", &scheme, &len));
	*out = prefix ? SX_PREFIX_ALWAYS : SX_PREFIX_NEVER;
	if (!scheme) return SX_OK;
	below(at, where, "prepend_scheme");
	for (int i = 0; i < 3; i++) {
		if (strcmp(scheme, names[i]) != 0) continue;
		*out = (sx_prefix)i;
		if (prefix || i == SX_PREFIX_NEVER) return SX_OK;
		return bad(r, at, "is \"%s\" where add_prefix_space is false", scheme);
	}
	st = bad(r, at, "is \"%.40s\": never, first or always can be", scheme);
out:
	return st;
}

static sx_status metaspace(const reader *r, json_t *o, const char *where, sx_stage *p)
{
	static const char *const keys[] = {
		"type",    "replacement", "add_prefix_space", "prepend_scheme", "split",
		"str_rep", NULL};
	sx_status st = SX_OK;
	bool splits;
	p->kind = SX_STAGE_METASPACE;
	p->behavior = SX_SPLIT_NEXT;
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(get_character(r, o, where, "replacement", &p->meta));
	SX_TRY(metaspace_prefix(r, o, where, &p->prefix));
	SX_TRY(get_bool(r, o, where, "split", true, &splits));
	if (splits)
		st = sx_pattern_new(&p->pattern, r->ctx, r->name, where, p->meta.at, p->meta.used,
				    false);
out:
	return st;
}

static sx_status stage_part(reader *r, json_t *o, const char *where, const char *type)
{
	char at[WHERE];
	below(at, where, "type");
	sx_pipeline *h = r->h;
	if (h->n_stages > 0 && h->stages[h->n_stages - 1].kind == SX_STAGE_BYTE_LEVEL)
		return bad(r, at, "is \"%.40s\" behind ByteLevel, which is not read here", type);
	sx_stage *p = append((void **)&h->stages, &h->n_stages, sizeof *p);
	if (!p) return memory(r);
	if (strcmp(type, "ByteLevel") == 0) return byte_level(r, o, where, p);
	if (strcmp(type, "Digits") == 0) return digits(r, o, where, p);
	if (strcmp(type, "Split") == 0) return split(r, o, where, p);
	if (strcmp(type, "Metaspace") == 0) return metaspace(r, o, where, p);
	h->n_stages--;
	return other(r, at, type, "ByteLevel, Digits, Split, Metaspace and Sequence are");
}

/* ---- post-processor ---- */

static sx_status template_token(reader *r, json_t *o, const char *where, json_t *tokens,
				bool in_front)
{
	const char *name = json_string_value(json_object_get(o, "id"));
	json_t *ids = json_object_get(json_object_get(tokens, name ? name : ""), "ids"), *id;
	size_t i;
	if (!json_is_array(ids)) return bad(r, where, "is not among special_tokens");
	json_array_foreach(ids, i, id)
	{
		json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
		if (v < 0 || v >= SX_VOCAB_MAX) return bad(r, where, "has an id that is none");
		int32_t *to = in_front ? append((void **)&r->h->before, &r->h->n_before, sizeof *to)
				       : append((void **)&r->h->after, &r->h->n_after, sizeof *to);
		if (!to) return memory(r);
		*to = (int32_t)v;
	}
	return SX_OK;
}

static sx_status template_part(reader *r, json_t *o, const char *where)
{
	static const char *const keys[] = {"type", "single", "pair", "special_tokens", NULL};
	sx_status st = check_keys(r, o, where, keys);
	json_t *single = json_object_get(o, "single"), *piece;
	size_t i;
	bool in_front = true;
	char at[WHERE];
	if (st != SX_OK) return st;
	if (r->has_template) return bad(r, where, "is a second template");
	r->has_template = true;
	if (!json_is_array(single) || json_array_size(single) > MAX_LIST)
		return bad(r, where, "has no list \"single\" of at most %d", (int)MAX_LIST);
	json_array_foreach(single, i, piece)
	{
		element(at, where, "single", i);
		json_t *token = json_object_get(piece, "SpecialToken");
		json_t *text = json_object_get(piece, "Sequence");
		const char *id = json_string_value(json_object_get(text, "id"));
		if (token) {
			st = template_token(r, token, at, json_object_get(o, "special_tokens"),
					    in_front);
			if (st != SX_OK) return st;
		} else if (!id || strcmp(id, "A") != 0 || !in_front) {
			return bad(r, at, "is neither a SpecialToken nor the one Sequence A");
		} else {
			in_front = false;
		}
	}
	return in_front ? bad(r, where, "has no Sequence A") : SX_OK;
}

static sx_status post_part(reader *r, json_t *o, const char *where, const char *type)
{
	char at[WHERE];
	below(at, where, "type");
	if (strcmp(type, "ByteLevel") == 0) return SX_OK; /* of offsets, not of ids */
	if (strcmp(type, "TemplateProcessing") == 0) return template_part(r, o, where);
	return other(r, at, type, "TemplateProcessing, ByteLevel and Sequence are");
}

/* ---- decoder ---- */

static sx_status strip_part(const reader *r, json_t *o, const char *where, sx_decode *d)
{
	static const char *const keys[] = {"type", "content", "start", "stop", NULL};
	sx_status st = SX_OK;
	json_t *start = json_object_get(o, "start"), *stop = json_object_get(o, "stop");
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(get_character(r, o, where, "content", &d->content));
	d->start = json_integer_value(start);
	d->stop = json_integer_value(stop);
	if (!json_is_integer(start) || !json_is_integer(stop) || d->start < 0 || d->stop < 0)
		st = bad(r, where, "has a start or stop that is no count");
out:
	return st;
}

static sx_status decode_replace(const reader *r, json_t *o, const char *where, sx_decode *d)
{
	static const char *const keys[] = {"type", "pattern", "content", NULL};
	sx_status st = check_keys(r, o, where, keys);
	if (st == SX_OK) st = get_pattern(r, o, where, &d->pattern);
	return st == SX_OK ? need_string(r, o, where, "content", &d->content) : st;
}

static sx_status decode_metaspace(const reader *r, json_t *o, const char *where, sx_decode *d)
{
	sx_prefix prefix = SX_PREFIX_NEVER;
	sx_status st = get_character(r, o, where, "replacement", &d->content);
	if (st == SX_OK) st = metaspace_prefix(r, o, where, &prefix);
	d->drop_first = prefix != SX_PREFIX_NEVER;
	return st;
}

static sx_status decode_part(reader *r, json_t *o, const char *where, const char *type)
{
	static const char *const names[] = {"ByteLevel",    "Metaspace", "Replace",
					    "ByteFallback", "Fuse",      "Strip"};
	char at[WHERE];
	below(at, where, "type");
	int i = 0;
	while (i < 6 && strcmp(type, names[i]) != 0) i++;
	if (i == 6)
		return other(r, at, type,
			     "ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and "
			     "Sequence are");
	sx_decode *d = append((void **)&r->h->decodes, &r->h->n_decodes, sizeof *d);
	if (!d) return memory(r);
	d->kind = (sx_decode_kind)i;
	switch (d->kind) {
	case SX_DECODE_METASPACE:
		return decode_metaspace(r, o, where, d);
	case SX_DECODE_REPLACE:
		return decode_replace(r, o, where, d);
	case SX_DECODE_STRIP:
		return strip_part(r, o, where, d);
	default:
		return SX_OK;
	}
}

/* ---- model ---- */

static sx_status read_vocab(const reader *r, json_t *vocab)
{
	const char *key;
	json_t *value;
	sx_bpe *b = &r->h->bpe;
	if (!json_is_object(vocab) || json_object_size(vocab) == 0)
		return bad(r, "model.vocab", "is missing or empty");
	json_object_foreach(vocab, key, value)
	{
		size_t len;
		json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
		if (id < 0 || id >= SX_VOCAB_MAX)
			return bad(r, "model.vocab", "has \"%.40s\" without an id from 0 to %d",
				   key, SX_VOCAB_MAX - 1);
		const char *twin = sx_vocab_string(&b->vocab, (int32_t)id, &len);
		if (twin)
			return bad(r, "model.vocab",
				   "has the id %d twice, for \"%.*s\" and \"%.40s\"", (int)id,
				   (int)(len < 40 ? len : 40), twin, key);
		if (!sx_vocab_put(&b->vocab, (int32_t)id, key, strlen(key))) return memory(r);
	}
	b->n_own = b->vocab.n;
	return sx_vocab_index(&b->vocab) ? SX_OK : memory(r);
}

/* A merge: its two sides, and their ids and that of both together, -1 where there is none. */
typedef struct {
	const char *side[2];
	size_t len[2];
	int32_t id[3];
} sides;

static bool look_up(const reader *r, sides *m, sx_bytes *both)
{
	const sx_vocab *v = &r->h->bpe.vocab;
	both->used = 0;
	for (int k = 0; k < 2; k++) {
		m->id[k] = sx_vocab_find(v, m->side[k], m->len[k]);
		if (!sx_bytes_add(both, m->side[k], m->len[k])) return false;
	}
	m->id[2] = sx_vocab_find(v, both->at, both->used);
	return true;
}

static bool all_known(const sides *m)
{
	return m->id[0] >= 0 && m->id[1] >= 0 && m->id[2] >= 0 && m->len[0] > 0 && m->len[1] > 0;
}

/* "a b". Where a token has a space inside there are several ways to read it: the only one whose
 * sides are tokens is taken (`tokenizers` refuses it). */
static sx_status two_of_string(const reader *r, json_t *o, const char *at, sides *out,
			       sx_bytes *both)
{
	const char *s = json_string_value(o);
	size_t n = json_string_length(o);
	int spaces = 0, good = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] != ' ') continue;
		sides m = {.side = {s, s + i + 1}, .len = {i, n - i - 1}};
		if (++spaces > MAX_LIST) break;
		if (!look_up(r, &m, both)) return memory(r);
		good += all_known(&m);
		if (good == 0 || (good == 1 && all_known(&m))) *out = m;
	}
	if (spaces == 0 || (spaces > 1 && good != 1)) return bad(r, at, "is no pair of tokens");
	return SX_OK;
}

static sx_status two_sides(const reader *r, json_t *o, const char *at, sides *m, sx_bytes *both)
{
	if (json_is_string(o)) return two_of_string(r, o, at, m, both);
	for (size_t i = 0; i < 2; i++) {
		json_t *s = json_array_get(o, i);
		m->side[i] = json_string_value(s);
		m->len[i] = json_string_length(s);
	}
	if (json_array_size(o) != 2 || !m->side[0] || !m->side[1])
		return bad(r, at, "is no pair of tokens");
	return look_up(r, m, both) ? SX_OK : memory(r);
}

static sx_status read_merge(const reader *r, json_t *o, size_t i, uint32_t rank, sx_bytes *both)
{
	sides m = {0};
	char at[WHERE];
	element(at, "model", "merges", i);
	sx_status st = two_sides(r, o, at, &m, both);
	if (st != SX_OK) return st;
	for (int k = 0; k < 3; k++) {
		size_t n = k < 2 ? m.len[k] : m.len[0] + m.len[1];
		if (m.id[k] < 0)
			return bad(r, at, "names \"%.*s%.*s\", which is not in the vocabulary",
				   k == 1 ? 0 : (int)(m.len[0] < 40 ? m.len[0] : 40), m.side[0],
				   k == 0 ? 0 : (int)(m.len[1] < 40 ? m.len[1] : 40), m.side[1]);
		if (n == 0) return bad(r, at, "has a side without a letter");
	}
	sx_bpe_pair(&r->h->bpe, m.id[0], m.id[1], m.id[2], rank);
	return SX_OK;
}

static sx_status read_merges(const reader *r, json_t *merges)
{
	sx_bytes both = {0};
	size_t i;
	uint32_t rank = 0;
	json_t *m;
	if (!json_is_array(merges) || json_array_size(merges) > (size_t)4 * SX_VOCAB_MAX)
		return bad(r, "model.merges", "is no list of at most %d", 4 * SX_VOCAB_MAX);
	sx_status st = sx_bpe_pairs(&r->h->bpe, r->ctx, r->name, json_array_size(merges));
	json_array_foreach(merges, i, m)
	{
		if (st != SX_OK) break;
		/* a line of the old merges.txt */
		if (json_is_string(m) && strncmp(json_string_value(m), "#version", 8) == 0)
			continue;
		st = read_merge(r, m, i, rank++, &both);
	}
	free(both.at);
	return st;
}

/* What is not read unless it changes nothing. */
static sx_status check_unused(const reader *r, json_t *o)
{
	static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
	for (int i = 0; i < 2; i++) {
		const char *s = json_string_value(json_object_get(o, keys[i]));
		char at[WHERE];
		below(at, "model", keys[i]);
		if (s && *s) return other(r, at, s, "only none is");
	}
	json_t *dropout = json_object_get(o, "dropout");
	if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
		return bad(r, "model.dropout", "is not 0: ids would be random");
	return SX_OK;
}

static sx_status read_model(const reader *r, json_t *o)
{
	static const char *const keys[] = {"type",
					   "dropout",
					   "unk_token",
					   "continuing_subword_prefix",
					   "end_of_word_suffix",
					   "fuse_unk",
					   "byte_fallback",
					   "ignore_merges",
					   "vocab",
					   "merges",
					   NULL};
	sx_status st = SX_OK;
	sx_bpe *b = &r->h->bpe;
	size_t len;
	const char *type = NULL, *unk;
	if (!json_is_object(o)) return bad(r, "model", "is missing");
	SX_TRY(get_string(r, o, "model", "type", &type, &len));
	if (type ? strcmp(type, "BPE") != 0 : !json_object_get(o, "merges"))
		return other(r, "model.type", type ? type : "", "BPE is");
	SX_TRY(check_keys(r, o, "model", keys));
	SX_TRY(check_unused(r, o));
	SX_TRY(get_bool(r, o, "model", "fuse_unk", false, &b->fuse_unk));
	SX_TRY(get_bool(r, o, "model", "byte_fallback", false, &b->byte_fallback));
	SX_TRY(get_bool(r, o, "model", "ignore_merges", false, &b->ignore_merges));
	SX_TRY(get_string(r, o, "model", "unk_token", &unk, &len));
	if (unk && !(b->unk_token = sx_strdup(unk))) return memory(r);
	SX_TRY(read_vocab(r, json_object_get(o, "vocab")));
	SX_TRY(read_merges(r, json_object_get(o, "merges")));
	sx_bpe_finish(b);
out:
	return st;
}

/* ---- added tokens ---- */

/* The id that a new token gets: that of the same string in the vocabulary, else the next one. */
static int32_t next_id(const sx_pipeline *h, const sx_bytes *content, size_t n_vocab)
{
	int32_t id = sx_vocab_find(&h->bpe.vocab, content->at, content->used), most = -1;
	if (id >= 0) return id;
	for (int i = 0; i + 1 < h->n_added; i++)
		if (h->added[i].id > most) most = h->added[i].id;
	return most >= (int32_t)n_vocab ? most + 1 : (int32_t)n_vocab;
}

static sx_status read_added_one(reader *r, json_t *o, const char *where, size_t n_vocab)
{
	static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
					   "rstrip", "normalized", "special",     NULL};
	sx_status st = SX_OK;
	sx_pipeline *h = r->h;
	const char *content = NULL;
	json_t *id = json_object_get(o, "id");
	sx_added *a = append((void **)&h->added, &h->n_added, sizeof *a);
	if (!a) return memory(r);
	SX_TRY(check_keys(r, o, where, keys));
	SX_TRY(need_string(r, o, where, "content", &a->content));
	SX_TRY(get_bool(r, o, where, "single_word", false, &a->single_word));
	SX_TRY(get_bool(r, o, where, "lstrip", false, &a->lstrip));
	SX_TRY(get_bool(r, o, where, "rstrip", false, &a->rstrip));
	SX_TRY(get_bool(r, o, where, "special", false, &a->special));
	SX_TRY(get_bool(r, o, where, "normalized", !a->special, &a->normalized));
	content = json_string_value(json_object_get(o, "content"));
	if (a->content.used == 0 || a->content.used > MAX_ADDED_BYTES)
		return bad(r, where, "has a content of %zu bytes: 1 to %d can be", a->content.used,
			   (int)MAX_ADDED_BYTES);
	for (int i = 0; i + 1 < h->n_added; i++)
		if (h->added[i].content.used == a->content.used &&
		    memcmp(h->added[i].content.at, a->content.at, a->content.used) == 0)
			return bad(r, where, "repeats \"%.40s\"", content);
	a->id = next_id(h, &a->content, n_vocab);
	if (!json_is_integer(id) || json_integer_value(id) != a->id || a->id >= SX_VOCAB_MAX)
		st = bad(r, where,
			 "(\"%.40s\") has another id than %d, which the vocabulary and the tokens "
			 "before it give it",
			 content, (int)a->id);
out:
	return st;
}

static sx_status read_added(reader *r, json_t *list, size_t n_vocab)
{
	size_t i;
	json_t *o;
	char at[WHERE];
	if (!list || json_is_null(list)) return SX_OK;
	if (!json_is_array(list) || json_array_size(list) > 1 << 14)
		return bad(r, "added_tokens", "is no list of at most %d", 1 << 14);
	sx_pipeline *h = r->h;
	json_array_foreach(list, i, o)
	{
		element(at, "", "added_tokens", i);
		sx_status st = read_added_one(r, o, at, n_vocab);
		if (st != SX_OK) return st;
	}
	for (int k = 0; k < h->n_added; k++) {
		size_t len;
		const sx_added *a = &h->added[k];
		if (!sx_vocab_string(&h->bpe.vocab, a->id, &len) &&
		    !sx_vocab_put(&h->bpe.vocab, a->id, a->content.at, a->content.used))
			return memory(r);
	}
	h->special = sx_calloc((size_t)h->bpe.vocab.n + 1, sizeof *h->special);
	if (!h->special) return memory(r);
	for (int k = 0; k < h->n_added; k++)
		if (h->added[k].special) h->special[h->added[k].id] = true;
	return sx_added_finish(h, r->ctx);
}

/* ---- the file ---- */

static sx_status check_template(const reader *r)
{
	const sx_pipeline *h = r->h;
	for (int i = 0; i < h->n_before + h->n_after; i++) {
		size_t len;
		int32_t id = i < h->n_before ? h->before[i] : h->after[i - h->n_before];
		if (!sx_vocab_string(&h->bpe.vocab, id, &len))
			return bad(r, "post_processor", "adds the id %d, which no token has",
				   (int)id);
	}
	return SX_OK;
}

static sx_status read_parts(reader *r, json_t *root)
{
	static const char *const keys[] = {
		"version",       "truncation",     "padding", "added_tokens", "normalizer",
		"pre_tokenizer", "post_processor", "decoder", "model",        NULL};
	sx_status st = SX_OK;
	json_t *model = json_object_get(root, "model"), *decoder = json_object_get(root, "decoder");
	SX_TRY(check_keys(r, root, "", keys));
	SX_TRY(read_model(r, model));
	SX_TRY(walk(r, json_object_get(root, "normalizer"), "normalizer", "normalizers",
		    normal_part, 0));
	SX_TRY(walk(r, json_object_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers",
		    stage_part, 0));
	SX_TRY(walk(r, json_object_get(root, "post_processor"), "post_processor", "processors",
		    post_part, 0));
	SX_TRY(walk(r, decoder, "decoder", "decoders", decode_part, 0));
	r->h->has_decoder = decoder && !json_is_null(decoder);
	SX_TRY(read_added(r, json_object_get(root, "added_tokens"),
			  json_object_size(json_object_get(model, "vocab"))));
	if (!r->h->special &&
	    !(r->h->special = sx_calloc((size_t)r->h->bpe.vocab.n + 1, sizeof *r->h->special)))
		st = memory(r);
	if (st == SX_OK) st = check_template(r);
out:
	return st;
}

sx_status sx_pipeline_read(sx_pipeline **out, sx_ctx *ctx, const char *name, const char *data,
			   size_t size)
{
	json_error_t e;
	sx_status st;
	json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e);
	reader r = {.ctx = ctx, .name = name, .h = sx_calloc(1, sizeof *r.h)};
	if (!r.h)
		st = memory(&r);
	else if (!root)
		st = sx_fail(ctx, SX_EDATA, "%s is no JSON text: line %d, column %d: %s%s", name,
			     e.line, e.column, e.text,
			     size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0
				     ? " (it begins with a UTF-8 byte order mark: take it away)"
				     : "");
	else
		st = read_parts(&r, root);
	json_decref(root);
	if (st == SX_OK)
		*out = r.h;
	else
		sx_pipeline_free(r.h);
	return st;
}

void sx_pipeline_free(sx_pipeline *h)
{
	if (!h) return;
	sx_bpe_free(&h->bpe);
	for (int i = 0; i < h->n_normals; i++) {
		sx_pattern_free(h->normals[i].pattern);
		free(h->normals[i].content.at);
	}
	for (int i = 0; i < h->n_stages; i++) {
		sx_pattern_free(h->stages[i].pattern);
		free(h->stages[i].meta.at);
	}
	for (int i = 0; i < h->n_added; i++) free(h->added[i].content.at);
	for (int i = 0; i < h->n_decodes; i++) {
		sx_pattern_free(h->decodes[i].pattern);
		free(h->decodes[i].content.at);
	}
	sx_trie_free(h->raw);
	sx_trie_free(h->normal);
	free(h->normals);
	free(h->stages);
	free(h->added);
	free(h->decodes);
	free(h->before);
	free(h->after);
	free(h->special);
	free(h);
}

/* Patterns of a tokenizer.json. `tokenizers` gives them to Oniguruma, we give them to PCRE2: what
 * both read alike goes through, what they read differently is written anew (white space, words) or
 * refused by name. */
#include "engine/text/hf.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct sx_pattern {
	pcre2_code *code; /* NULL: a plain string */
	sx_bytes text;
	const char *name; /* of the file; borrowed */
	char *where;
};

enum { MAX_PATTERN = 1 << 14, MAX_DEPTH = 64 };

/* Unicode's White_Space, which is Oniguruma's \s. PCRE2's, with UCP, has U+180E as well. */
#define SPACE \
	"\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}" \
	"\\x{3000}"
/* Oniguruma's \w, the numbers of Latin 1 that are no digits included; PCRE2's, with UCP, is letters,
 * numbers and the underscore. */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

/* What Unicode 15 to 16 added to a category. PCRE2 10.42 has Unicode 14, `tokenizers` 0.23 has 16;
 * where PCRE2 knows them it changes nothing. Asked of Oniguruma, code point by code point
 * (tests/fixtures/tokenizers/make_since.py). */
/* clang-format off */
static const char letters_since[] =
	"\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}"
	"\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}"
	"\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"
	"\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}"
	"\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"
	"\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"
	"\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}"
	"\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}";
static const char numbers_since[] =
	"\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}"
	"\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}"
	"\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}";
static const char marks_since[] =
	"\\x{897}\\x{CF3}\\x{ECE}\\x{10D69}-\\x{10D6D}\\x{10EFC}-\\x{10EFF}\\x{11241}"
	"\\x{113B8}-\\x{113C0}\\x{113C2}\\x{113C5}\\x{113C7}-\\x{113CA}\\x{113CC}-\\x{113D0}"
	"\\x{113D2}\\x{113E1}-\\x{113E2}\\x{11F00}-\\x{11F01}\\x{11F03}\\x{11F34}-\\x{11F3A}"
	"\\x{11F3E}-\\x{11F42}\\x{11F5A}\\x{13440}\\x{13447}-\\x{13455}\\x{1611E}-\\x{1612F}"
	"\\x{1E08F}\\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}-\\x{1E5EF}";
static const char words_since[] =
	"\\x{897}\\x{CF3}\\x{ECE}\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}"
	"\\x{105C0}-\\x{105F3}\\x{10D40}-\\x{10D65}\\x{10D69}-\\x{10D6D}\\x{10D6F}-\\x{10D85}"
	"\\x{10EC2}-\\x{10EC4}\\x{10EFC}-\\x{10EFF}\\x{1123F}-\\x{11241}\\x{11380}-\\x{11389}"
	"\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}-\\x{113C0}\\x{113C2}\\x{113C5}"
	"\\x{113C7}-\\x{113CA}\\x{113CC}-\\x{113D3}\\x{113E1}-\\x{113E2}\\x{116D0}-\\x{116E3}"
	"\\x{11BC0}-\\x{11BE0}\\x{11BF0}-\\x{11BF9}\\x{11F00}-\\x{11F10}\\x{11F12}-\\x{11F3A}"
	"\\x{11F3E}-\\x{11F42}\\x{11F50}-\\x{11F5A}\\x{1342F}\\x{13440}-\\x{13455}"
	"\\x{13460}-\\x{143FA}\\x{16100}-\\x{16139}\\x{16D40}-\\x{16D6C}\\x{16D70}-\\x{16D79}"
	"\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1CCF0}-\\x{1CCF9}\\x{1DF25}-\\x{1DF2A}"
	"\\x{1E030}-\\x{1E06D}\\x{1E08F}\\x{1E4D0}-\\x{1E4F9}\\x{1E5D0}-\\x{1E5FA}\\x{2B739}"
	"\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}";
/* clang-format on */

/* The expression while it is written anew. */
typedef struct {
	const char *s, *end;
	sx_bytes out;
	const char *why;            /* set: refused                              */
	char odd[24];               /* the part that is                          */
	bool in_class, class_empty; /* inside [ ]                                */
	int depth;
	bool no_case[MAX_DEPTH]; /* of the groups that are open               */
} translation;

static bool refuse(translation *t, const char *at, size_t len, const char *why)
{
	if (len > sizeof t->odd - 1) len = sizeof t->odd - 1;
	if (len > (size_t)(t->end - at)) len = (size_t)(t->end - at);
	memcpy(t->odd, at, len);
	t->odd[len] = '\0';
	t->why = why;
	return false;
}

static bool put(translation *t, const char *s, size_t len)
{
	return sx_bytes_add(&t->out, s, len) || refuse(t, s, 0, "memory is out");
}

static bool put_string(translation *t, const char *s)
{
	return put(t, s, strlen(s));
}

/* The set of characters `a` and `b`, or, outside [ ], all others. */
static bool put_set(translation *t, const char *a, const char *b, bool others)
{
	if (t->in_class) return put_string(t, a) && put_string(t, b);
	return put_string(t, others ? "[^" : "[") && put_string(t, a) && put_string(t, b) &&
	       put_string(t, "]");
}

/* \p{L}, \P{L}, \p{^L}, \p{Han}; t->s stands behind the p. */
static bool property(translation *t, const char *begin, bool negated)
{
	const char *close =
		t->s < t->end && *t->s == '{' ? memchr(t->s, '}', (size_t)(t->end - t->s)) : NULL;
	if (!close) return refuse(t, begin, 4, "is no property in braces");
	if (t->no_case[t->depth])
		return refuse(t, begin, (size_t)(close - begin) + 1,
			      "stands where case does not matter");
	const char *name = t->s + 1;
	if (*name == '^') negated = !negated, name++;
	size_t n = (size_t)(close - name);
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)name[i]) && name[i] != '_')
			return refuse(t, begin, (size_t)(close - begin) + 1,
				      "is no category or script");
	t->s = close + 1;
	if (n < 1) return refuse(t, begin, 4, "has no name");
	const char *since = n > 1          ? NULL
			    : *name == 'L' ? letters_since
			    : *name == 'N' ? numbers_since
			    : *name == 'M' ? marks_since
					   : NULL;
	if (since && !(negated && t->in_class)) {
		char set[8] = "\\p{L}";
		set[3] = *name;
		return put_set(t, set, since, negated);
	}
	/* PCRE2 takes a bare script for its extensions too, Oniguruma does not */
	return put_string(t, negated ? "\\P{" : "\\p{") && put_string(t, n > 2 ? "sc:" : "") &&
	       put(t, name, n) && put_string(t, "}");
}

/* \x41, \x{2581}, \u2581; t->s stands behind the letter. */
static bool code_point(translation *t, const char *begin, int digits)
{
	bool braces = t->s < t->end && *t->s == '{' && digits == 2;
	char hex[8];
	int n = 0;
	t->s += braces;
	while (t->s < t->end && isxdigit((unsigned char)*t->s) && n < (braces ? 6 : digits))
		hex[n++] = *t->s++;
	hex[n] = '\0';
	if (n == 0 || (!braces && n < digits) || (braces && (t->s >= t->end || *t->s++ != '}')) ||
	    (!braces && digits == 2 && hex[0] >= '8'))
		return refuse(t, begin, 6, "is no code point");
	return put_string(t, "\\x{") && put_string(t, hex) && put_string(t, "}");
}

static bool escape(translation *t)
{
	const char *begin = t->s++;
	if (t->s == t->end) return refuse(t, begin, 1, "ends the pattern");
	char c = *t->s++;
	switch (c) {
	case 's':
		return put_set(t, SPACE, "", false);
	case 'S':
		return t->in_class ? put_string(t, "\\P{White_Space}")
				   : put_set(t, SPACE, "", true);
	case 'w':
		return put_set(t, WORD, words_since, false);
	case 'W':
		if (t->in_class) break;
		return put_set(t, WORD, words_since, true);
	case 'd':
		return put_string(t, "\\p{Nd}");
	case 'D':
		return put_string(t, "\\P{Nd}");
	case 'p':
	case 'P':
		return property(t, begin, c == 'P');
	case 'x':
		return code_point(t, begin, 2);
	case 'u':
		return code_point(t, begin, 4);
	case 'v':
		return put_string(t, "\\x{B}");
	case 'r':
	case 'n':
	case 't':
	case 'f':
		return put(t, begin, 2);
	default:
		if ((unsigned char)c < 128 && ispunct((unsigned char)c)) return put(t, begin, 2);
		if (c == ' ' || (unsigned char)c >= 128) return put(t, begin + 1, 1);
	}
	return refuse(t, begin, 2, "means another thing in PCRE2, or none");
}

/* One character or escape inside [ ]. */
static bool class_part(translation *t)
{
	char c = *t->s;
	bool empty = t->class_empty;
	t->class_empty = false;
	if (c == '\\') return escape(t);
	if (c == '[') return refuse(t, t->s, 2, "is a class within a class");
	if (c == '&' && t->s + 1 < t->end && t->s[1] == '&')
		return refuse(t, t->s, 2, "is an intersection of classes");
	if (c == ']' && empty) return refuse(t, t->s, 1, "closes an empty class");
	if (c == ']') t->in_class = false;
	t->s++;
	return put(t, &c, 1);
}

static bool begin_class(translation *t)
{
	t->in_class = t->class_empty = true;
	bool others = t->s + 1 < t->end && t->s[1] == '^';
	t->s += 1 + others;
	return put_string(t, others ? "[^" : "[");
}

static bool begin_group(translation *t)
{
	static const char *const known[] = {"(?i:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
	const char *begin = t->s;
	size_t left = (size_t)(t->end - begin), n = 1;
	bool no_case = t->no_case[t->depth];
	if (left >= 4 && memcmp(begin, "(?i)", 4) == 0) {
		if (t->out.used > 0)
			return refuse(t, begin, 4, "stands within the pattern, not in front");
		t->no_case[0] = true;
		t->s += 4;
		return put(t, begin, 4);
	}
	if (left > 1 && (begin[1] == '?' || begin[1] == '*')) {
		n = 0;
		for (size_t i = 0; i < sizeof known / sizeof *known && n == 0; i++)
			if (strlen(known[i]) <= left &&
			    memcmp(begin, known[i], strlen(known[i])) == 0)
				n = strlen(known[i]);
		if (n == 0) return refuse(t, begin, 3, "is a group of a kind that is not read");
	}
	if (t->depth + 1 == MAX_DEPTH) return refuse(t, begin, 1, "is nested too deep");
	t->no_case[++t->depth] = no_case || (n == 4 && begin[2] == 'i');
	t->s += n;
	return put(t, begin, n);
}

/* {2}, {1,3}, {1,}. What may follow it means other things to the two. */
static bool repeat(translation *t)
{
	const char *begin = t->s++, *digits = t->s;
	while (t->s < t->end && isdigit((unsigned char)*t->s)) t->s++;
	bool good = t->s > digits;
	if (t->s < t->end && *t->s == ',') {
		t->s++;
		while (t->s < t->end && isdigit((unsigned char)*t->s)) t->s++;
	}
	good = good && t->s < t->end && *t->s == '}';
	if (!good) return refuse(t, begin, 4, "is no number of times");
	t->s++;
	if (t->s < t->end && (*t->s == '+' || *t->s == '?'))
		return refuse(t, begin, (size_t)(t->s - begin) + 1,
			      "means another thing to Oniguruma than to PCRE2");
	return put(t, begin, (size_t)(t->s - begin));
}

static bool part(translation *t)
{
	if (t->in_class) return class_part(t);
	switch (*t->s) {
	case '\\':
		return escape(t);
	case '[':
		return begin_class(t);
	case '(':
		return begin_group(t);
	case '{':
		return repeat(t);
	case '^':
	case '$':
		return refuse(t, t->s, 1, "asks for the beginning or end of a line");
	case ')':
		if (t->depth > 0) t->depth--;
		break;
	default:
		break;
	}
	return put(t, t->s++, 1);
}

static sx_status compile(sx_pattern *p, sx_ctx *ctx, const char *s, size_t len)
{
	int error;
	size_t at;
	pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
	if (!cc) return sx_fail(ctx, SX_ENOMEM, "no memory for %s", p->where);
	pcre2_set_newline(cc, PCRE2_NEWLINE_LF); /* what . does not match */
	p->code = pcre2_compile((PCRE2_SPTR)s, len, PCRE2_UTF | PCRE2_UCP, &error, &at, cc);
	pcre2_compile_context_free(cc);
	if (!p->code) {
		char why[128];
		pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
		return sx_fail(ctx, SX_EDATA,
			       "%s: %s is no regular expression that PCRE2 knows: %s", p->name,
			       p->where, why);
	}
	uint32_t empty = 0;
	pcre2_pattern_info(p->code, PCRE2_INFO_MATCHEMPTY, &empty);
	if (empty)
		return sx_fail(ctx, SX_EDATA,
			       "%s: %s may match nothing at all, which is not read here", p->name,
			       p->where);
	pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without: the same, slower */
	return SX_OK;
}

static sx_status translate(sx_pattern *p, sx_ctx *ctx, const char *text, size_t len)
{
	translation t = {.s = text, .end = text + len};
	bool good = true;
	while (good && t.s < t.end) good = part(&t);
	sx_status st;
	if (!good)
		st = sx_fail(ctx, SX_EDATA,
			     "%s: in %s, \"%s\" %s, which is not read here: make the ids in Python "
			     "and give them with --tokens",
			     p->name, p->where, t.odd, t.why);
	else
		st = compile(p, ctx, t.out.at ? t.out.at : "", t.out.used);
	free(t.out.at);
	return st;
}

sx_status sx_pattern_new(sx_pattern **out, sx_ctx *ctx, const char *name, const char *where,
			 const char *text, size_t len, bool is_regex)
{
	sx_status st = SX_OK;
	sx_pattern *p = sx_calloc(1, sizeof *p);
	if (!p || !(p->where = sx_strdup(where))) {
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %s", where);
		goto out;
	}
	p->name = name;
	if (len == 0 || len > MAX_PATTERN) {
		st = sx_fail(ctx, SX_EDATA, "%s: %s has %zu bytes: 1 to %d can be", name, where,
			     len, (int)MAX_PATTERN);
		goto out;
	}
	if (is_regex)
		SX_TRY(translate(p, ctx, text, len));
	else if (!sx_bytes_add(&p->text, text, len))
		st = sx_fail(ctx, SX_ENOMEM, "no memory for %s", where);
out:
	if (st == SX_OK)
		*out = p;
	else
		sx_pattern_free(p);
	return st;
}

void sx_pattern_free(sx_pattern *p)
{
	if (!p) return;
	pcre2_code_free(p->code);
	free(p->text.at);
	free(p->where);
	free(p);
}

static void find_string(const sx_pattern *p, const char *s, size_t len, size_t from, size_t *at,
			size_t *end)
{
	const char *q = s + from, *stop = s + len;
	size_t n = p->text.used;
	while ((size_t)(stop - q) >= n &&
	       (q = memchr(q, p->text.at[0], (size_t)(stop - q) - n + 1))) {
		if (memcmp(q, p->text.at, n) == 0) {
			*at = (size_t)(q - s);
			*end = *at + n;
			return;
		}
		q++;
	}
	*at = *end = len;
}

/* JIT first; what passes its stack goes to the interpreter, which has the heap. */
static int match(const sx_pattern *p, sx_matcher *m, const char *s, size_t len, size_t from)
{
	int n = pcre2_match(p->code, (PCRE2_SPTR)s, len, from, PCRE2_NO_UTF_CHECK, m->data, NULL);
	if (n != PCRE2_ERROR_JIT_STACKLIMIT) return n;
	return pcre2_match(p->code, (PCRE2_SPTR)s, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
			   m->data, NULL);
}

sx_status sx_pattern_find(const sx_pattern *p, sx_matcher *m, const char *s, size_t len,
			  size_t from, size_t *at, size_t *end)
{
	if (!p->code) {
		find_string(p, s, len, from, at, end);
		return SX_OK;
	}
	if (!m->data && !(m->data = pcre2_match_data_create(1, NULL)))
		return sx_fail(m->ctx, SX_ENOMEM, "no memory to tokenise");
	int n = match(p, m, s, len, from);
	*at = *end = len;
	if (n == PCRE2_ERROR_NOMATCH) return SX_OK;
	if (n < 0) {
		char why[128];
		pcre2_get_error_message(n, (PCRE2_UCHAR *)why, sizeof why);
		return sx_fail(m->ctx, SX_EDATA, "%s: %s gives up on this text: %s", p->name,
			       p->where, why);
	}
	const size_t *v = pcre2_get_ovector_pointer(m->data);
	*at = v[0];
	*end = v[1];
	return SX_OK;
}

void sx_matcher_free(sx_matcher *m)
{
	pcre2_match_data_free(m->data);
	m->data = NULL;
}

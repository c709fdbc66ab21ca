/* Reading and writing files of token ids. */
#include "engine/text/tokens.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LLMC_HEADER = 256 * 4, LLMC_U16 = 20240520, LLMC_U32 = 20240801 };

static uint64_t load_le(const char *p, int width)
{
	uint64_t v = 0;
	for (int i = width - 1; i >= 0; i--) v = v << 8 | (unsigned char)p[i];
	return v;
}

static void store_le(char *p, uint64_t v, int width)
{
	for (int i = 0; i < width; i++, v >>= 8) p[i] = (char)(v & 0xFF);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

static sx_status bad_id(sx_ctx *ctx, const char *name, int64_t place, int64_t id, int vocab)
{
	if (id < 0)
		return sx_fail(ctx, SX_EDATA,
			       "%s: number %" PRId64
			       " (from 0) is negative or too large to be an id",
			       name, place);
	return sx_fail(ctx, SX_EDATA,
		       "%s: id %" PRId64 ", number %" PRId64 " (from 0), is outside the model's "
		       "vocabulary of %d: these ids were made with another tokenizer",
		       name, id, place, vocab);
}

/* id: -1 where the file's number is none. */
static sx_status set_id(sx_tokens *t, sx_ctx *ctx, const char *name, int64_t i, int64_t id,
			int vocab)
{
	if (id < 0 || (vocab > 0 && id >= vocab)) return bad_id(ctx, name, i, id, vocab);
	t->ids[i] = (int32_t)id;
	return SX_OK;
}

static sx_status no_ids(sx_ctx *ctx, const char *name)
{
	return sx_fail(ctx, SX_EDATA, "%s holds no token ids", name);
}

/* Numbers as they lie in a file. */
typedef struct {
	int width; /* bytes; 0 = none that we read */
	bool is_signed;
} number_type;

/* -1 where it is no id: negative, or beyond 31 bits. */
static int64_t load_id(const char *p, number_type type)
{
	uint64_t v = load_le(p, type.width), sign = (uint64_t)1 << (8 * type.width - 1);
	return v > INT32_MAX || (type.is_signed && v & sign) ? -1 : (int64_t)v;
}

/* rows * cols numbers at p; the caller has checked that they are there. */
static sx_status take_binary(sx_tokens *t, sx_ctx *ctx, const char *name, const char *p,
			     number_type type, int vocab)
{
	t->n = t->rows * t->cols;
	if (t->n == 0) return no_ids(ctx, name);
	t->ids = sx_calloc((size_t)t->n, sizeof *t->ids);
	if (!t->ids)
		return sx_fail(ctx, SX_ENOMEM, "no memory for %" PRId64 " ids of %s", t->n, name);
	for (int64_t i = 0; i < t->n; i++) {
		sx_status st = set_id(t, ctx, name, i,
				      load_id(p + (size_t)i * (size_t)type.width, type), vocab);
		if (st != SX_OK) return st;
	}
	return SX_OK;
}

/* ---- .npy (NumPy's NEP 1): magic, version, header length, a Python dict, the numbers ---- */

/* Text after `'key':` and blanks in a header that ends in NUL; NULL if there is no such key. */
static const char *npy_value(const char *header, const char *key)
{
	const char *p = strstr(header, key);
	if (!p) return NULL;
	p += strlen(key);
	return p + strspn(p, " :");
}

/* descr: as "'<i4'", or NULL. */
static sx_status npy_type(number_type *out, sx_ctx *ctx, const char *name, const char *descr)
{
	if (!descr || *descr != '\'' || strcspn(descr + 1, "'") != 3)
		return sx_fail(ctx, SX_EDATA,
			       "%s: this .npy file does not hold plain numbers; token ids must be "
			       "whole ones: save ids.astype(\"int32\")",
			       name);
	char order = descr[1], kind = descr[2];
	int width = descr[3] - '0';
	bool whole = kind == 'i' || kind == 'u';
	if (whole && order == '>' && width > 1)
		return sx_fail(ctx, SX_EDATA,
			       "%s: its numbers are big-endian (%.3s): save ids.astype(\"<i%d\")",
			       name, descr + 1, width);
	if (!whole || (order == '|') != (width == 1) ||
	    (width != 1 && width != 2 && width != 4 && width != 8))
		return sx_fail(ctx, SX_EDATA,
			       "%s: its numbers are of type %.3s and token ids are whole numbers: "
			       "save ids.astype(\"int32\")",
			       name, descr + 1);
	*out = (number_type){.width = width, .is_signed = kind == 'i'};
	return SX_OK;
}

static sx_status npy_shape(sx_tokens *t, sx_ctx *ctx, const char *name, const char *s)
{
	int64_t dim[3] = {0};
	int n = 0;
	bool ok = s && *s++ == '(';
	while (ok) {
		s += strspn(s, " ,");
		if (*s == ')') break;
		char *end;
		long long v = strtoll(s, &end, 10);
		ok = end != s && v >= 0 && v <= INT32_MAX;
		if (n < 3) dim[n++] = v;
		s = end;
	}
	if (!ok || n < 1 || n > 2)
		return sx_fail(ctx, SX_EDATA,
			       "%s: token ids must be a 1-D or 2-D array (one sequence a row): "
			       "save ids.reshape(-1)",
			       name);
	t->rows = n == 2 ? dim[0] : 1;
	t->cols = dim[n - 1];
	return SX_OK;
}

/* From the dict: sets rows and cols. */
static sx_status npy_header(sx_tokens *t, number_type *type, sx_ctx *ctx, const char *name,
			    const char *header)
{
	sx_status st = SX_OK;
	const char *order = npy_value(header, "'fortran_order'");
	SX_TRY(npy_type(type, ctx, name, npy_value(header, "'descr'")));
	SX_TRY(npy_shape(t, ctx, name, npy_value(header, "'shape'")));
	/* one row reads the same either way */
	if (t->rows > 1 && t->cols > 1 && (!order || strncmp(order, "False", 5) != 0))
		st = sx_fail(ctx, SX_EDATA,
			     "%s: its array is in Fortran order, columns first: save "
			     "numpy.ascontiguousarray(ids)",
			     name);
out:
	return st;
}

static sx_status read_npy(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab)
{
	int version = size > 6 ? data[6] : 0, wide = version > 1 ? 4 : 2;
	size_t start = 8 + (size_t)wide;
	uint64_t len = size < start ? 0 : load_le(data + 8, wide);
	if (size < start || len > size - start)
		return sx_fail(ctx, SX_EDATA, "%s: this .npy file is cut off in its header", name);
	if (version < 1 || version > 3)
		return sx_fail(ctx, SX_EDATA,
			       "%s: a .npy file of version %d is not known (1, 2 and 3 are): save "
			       "it with numpy.save",
			       name, version);
	char *header = sx_format("%.*s", (int)(len < 65536 ? len : 65536), data + start);
	if (!header) return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", name);
	number_type type = {0};
	sx_status st = npy_header(t, &type, ctx, name, header);
	free(header);
	if (st != SX_OK) return st;
	uint64_t bytes = size - start - len, n = (uint64_t)t->rows * (uint64_t)t->cols;
	if (n > bytes / (uint64_t)type.width)
		return sx_fail(ctx, SX_EDATA,
			       "%s: this .npy file is cut off: %" PRIu64 " of %" PRIu64
			       " ids are there",
			       name, bytes / (uint64_t)type.width, n);
	if (bytes != n * (uint64_t)type.width)
		return sx_fail(ctx, SX_EDATA,
			       "%s: %" PRIu64 " bytes follow its array of %" PRIu64
			       " ids; one array a file: save it anew with numpy.save",
			       name, bytes - n * (uint64_t)type.width, n);
	return take_binary(t, ctx, name, data + start + len, type, vocab);
}

/* ---- .bin ---- */

static sx_status read_llmc(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			   size_t size, int vocab)
{
	bool narrow = load_le(data, 4) == LLMC_U16;
	int width = narrow ? 2 : 4;
	uint64_t version = size < LLMC_HEADER ? 0 : load_le(data + 4, 4);
	if (version != (narrow ? 1U : 7U))
		return sx_fail(ctx, SX_EDATA,
			       "%s: an llm.c token file of version %" PRIu64
			       " is not known (1 with "
			       "16-bit ids, 7 with 32-bit ids)",
			       name, version);
	uint64_t n = load_le(data + 8, 4), bytes = size - LLMC_HEADER;
	if (bytes == n * (uint64_t)(6 - width) && n > 0)
		return sx_fail(ctx, SX_EDATA,
			       "%s: its header says %" PRIu64
			       " ids of %d bits (magic %d), its size is that of as many of %d: "
			       "write the header that the ids have",
			       name, n, 8 * width, narrow ? LLMC_U16 : LLMC_U32, 8 * (6 - width));
	if (bytes != n * (uint64_t)width)
		return sx_fail(ctx, SX_EDATA,
			       "%s: this llm.c token file %s: its header says %" PRIu64
			       " ids of %d bytes, after it there are %" PRIu64 " bytes",
			       name, bytes < n * (uint64_t)width ? "is cut off" : "is too long", n,
			       width, bytes);
	t->rows = 1;
	t->cols = (int64_t)n;
	return take_binary(t, ctx, name, data + LLMC_HEADER, (number_type){width, false}, vocab);
}

/* Whether every number of so many bytes from the second on, and every other one after it, is 0: the
 * upper halves of numbers twice as wide. */
static bool every_other_zero(const char *data, size_t size, int width)
{
	size_t step = 2 * (size_t)width;
	if (size < step || size % step) return false;
	for (size_t at = (size_t)width; at < size; at += step)
		if (load_le(data + at, width)) return false;
	return true;
}

/* Whether every other 16-bit number is so small as the upper half of an id is, and those between
 * are not: 32-bit ids of a large vocabulary. A handful of numbers proves nothing. */
static bool looks_like_halves(const char *data, size_t size)
{
	enum { UPPER = 16, FEWEST = 16 };
	uint64_t low = 0, high = 0;
	if (size % 4 || size / 4 < FEWEST) return false;
	for (size_t at = 0; at < size; at += 4) {
		uint64_t a = load_le(data + at, 2), b = load_le(data + at + 2, 2);
		if (a > low) low = a;
		if (b > high) high = b;
	}
	return high < UPPER && low >= UPPER;
}

static bool is_all_text(const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isdigit((unsigned char)data[i]) && !isspace((unsigned char)data[i]))
			return false;
	return size > 0;
}

/* What nobody said is 16 bits wide. */
static sx_status check_16_bit(sx_ctx *ctx, const char *name, const char *data, size_t size,
			      int vocab)
{
	if (is_all_text(data, size))
		return sx_fail(ctx, SX_EDATA,
			       "%s holds ids as text: call it .txt (or, if its bytes are numbers, "
			       "say how wide they are: --ids u16 or --ids u32)",
			       name);
	if (vocab > 65536)
		return sx_fail(ctx, SX_EDATA,
			       "%s: a .bin without llm.c's header is read as 16-bit ids, but the "
			       "model's vocabulary of %d needs more: give --ids u32 (or --ids u16 "
			       "if they are)",
			       name, vocab);
	if (every_other_zero(data, size, 2) && every_other_zero(data, size, 4))
		return sx_fail(ctx, SX_EDATA,
			       "%s: three of four 16-bit numbers are 0, so these are 64-bit ids: "
			       "save them as .npy (or give --ids u16 or --ids u32)",
			       name);
	if (every_other_zero(data, size, 2) || looks_like_halves(data, size))
		return sx_fail(ctx, SX_EDATA,
			       "%s: every second 16-bit number is %s, so these are 32-bit ids: "
			       "give --ids u32 (or --ids u16 if it is so)",
			       name, every_other_zero(data, size, 2) ? "0" : "below 16");
	return SX_OK;
}

/* Bare numbers, as nanoGPT writes them. */
static sx_status read_bare(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			   size_t size, int vocab, sx_id_width ids)
{
	int width = ids == SX_IDS_U32 ? 4 : 2;
	if (ids != SX_IDS_ANY && !ends_with(name, ".bin") && is_all_text(data, size))
		return sx_fail(ctx, SX_EUSAGE,
			       "--ids is for ids as bare numbers, and %s holds text: leave it out",
			       name);
	if (ids == SX_IDS_ANY && size % 2 == 0) {
		sx_status st = check_16_bit(ctx, name, data, size, vocab);
		if (st != SX_OK) return st;
	}
	if (size % (size_t)width)
		return sx_fail(ctx, SX_EDATA,
			       "%s: a .bin without llm.c's header is read as bare %d-bit ids, but "
			       "its %zu bytes are no multiple of %d",
			       name, 8 * width, size, width);
	t->rows = 1;
	t->cols = (int64_t)(size / (size_t)width);
	return take_binary(t, ctx, name, data, (number_type){width, false}, vocab);
}

/* ---- text ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static sx_status read_text(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			   size_t size, int vocab)
{
	size_t words = 0;
	for (size_t i = 0; i < size; i++)
		words += !is_space(data[i]) && (i == 0 || is_space(data[i - 1]));
	if (words == 0) return no_ids(ctx, name);
	t->ids = sx_calloc(words, sizeof *t->ids);
	if (!t->ids) return sx_fail(ctx, SX_ENOMEM, "no memory for %zu ids of %s", words, name);
	for (size_t i = 0; i < size; i++) {
		if (is_space(data[i])) continue;
		int64_t id = 0;
		for (; i < size && !is_space(data[i]); i++) {
			if (data[i] < '0' || data[i] > '9')
				return sx_fail(ctx, SX_EDATA,
					       "%s: word %" PRId64
					       " (from 0) is not a token id; ids are "
					       "whole numbers separated by white space (text is "
					       "given with --text)",
					       name, t->n);
			if (id <= INT32_MAX) id = 10 * id + (data[i] - '0');
		}
		sx_status st = set_id(t, ctx, name, t->n, id > INT32_MAX ? -1 : id, vocab);
		if (st != SX_OK) return st;
		t->n++;
	}
	t->rows = 1;
	t->cols = t->n;
	return SX_OK;
}

/* ---- public ---- */

bool sx_id_width_parse(const char *s, sx_id_width *out)
{
	if (strcmp(s, "u16") == 0)
		*out = SX_IDS_U16;
	else if (strcmp(s, "u32") == 0)
		*out = SX_IDS_U32;
	else
		return false;
	return true;
}

sx_status sx_tokens_parse(sx_tokens *out, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab, sx_id_width ids)
{
	sx_tokens t = {0};
	sx_status st;
	uint64_t magic = size < 4 ? 0 : load_le(data, 4);
	bool npy = size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0;
	bool llmc = magic == LLMC_U16 || magic == LLMC_U32;
	if (ids != SX_IDS_ANY && (npy || llmc))
		st = sx_fail(ctx, SX_EUSAGE,
			     "--ids is for ids without a header, and %s is %s, which says how wide "
			     "they are: leave it out",
			     name, npy ? "a .npy file" : "an llm.c file");
	else if (npy)
		st = read_npy(&t, ctx, name, data, size, vocab);
	else if (llmc)
		st = read_llmc(&t, ctx, name, data, size, vocab);
	else if (ids != SX_IDS_ANY || ends_with(name, ".bin"))
		st = read_bare(&t, ctx, name, data, size, vocab, ids);
	else
		st = read_text(&t, ctx, name, data, size, vocab);
	if (st == SX_OK)
		*out = t;
	else
		sx_tokens_free(&t);
	return st;
}

sx_status sx_tokens_read(sx_tokens *out, sx_ctx *ctx, const char *path, int vocab, sx_id_width ids)
{
	sx_status st = SX_OK;
	char *data = NULL;
	size_t size = 0;
	SX_TRY(sx_read_input(ctx, path, &data, &size));
	SX_TRY(sx_tokens_parse(out, ctx, sx_input_name(path), data, size, vocab, ids));
out:
	free(data);
	return st;
}

void sx_tokens_free(sx_tokens *t)
{
	if (!t) return;
	free(t->ids);
	memset(t, 0, sizeof *t);
}

static size_t put_npy_header(char *buf, int64_t n)
{
	/* The numbers begin at a multiple of 64 bytes; the dict is padded with blanks. */
	char dict[128];
	int len =
		snprintf(dict, sizeof dict,
			 "{'descr': '<i4', 'fortran_order': False, 'shape': (%" PRId64 ",), }", n);
	memset(buf, ' ', 128);
	memcpy(buf, "\x93NUMPY\x01\x00", 8);
	store_le(buf + 8, 128 - 10, 2);
	memcpy(buf + 10, dict, (size_t)len);
	buf[127] = '\n';
	return 128;
}

static size_t put_llmc_header(char *buf, int64_t n, bool narrow)
{
	memset(buf, 0, LLMC_HEADER);
	store_le(buf, narrow ? LLMC_U16 : LLMC_U32, 4);
	store_le(buf + 4, narrow ? 1 : 7, 4);
	store_le(buf + 8, (uint64_t)n, 4);
	return LLMC_HEADER;
}

sx_status sx_tokens_write(sx_ctx *ctx, const char *path, const int32_t *ids, int64_t n)
{
	bool npy = ends_with(path, ".npy"), bin = ends_with(path, ".bin"), narrow = true;
	if (!npy && !bin && !ends_with(path, ".txt"))
		return sx_fail(ctx, SX_EUSAGE,
			       "%s: ids are written to a name that ends in .npy, .bin or .txt",
			       path);
	if (bin && n > INT32_MAX)
		return sx_fail(ctx, SX_EDATA, "%s: too many ids for an llm.c file: take .npy",
			       path);
	for (int64_t i = 0; i < n; i++) narrow = narrow && ids[i] < 65536;
	char *buf = sx_grow(NULL, LLMC_HEADER + 12 * (size_t)n, 1);
	if (!buf) return sx_fail(ctx, SX_ENOMEM, "no memory to write %" PRId64 " ids", n);
	size_t used = npy ? put_npy_header(buf, n) : bin ? put_llmc_header(buf, n, narrow) : 0;
	int width = npy || !narrow ? 4 : 2;
	for (int64_t i = 0; i < n; i++) {
		if (npy || bin) {
			store_le(buf + used, (uint32_t)ids[i], width);
			used += (size_t)width;
		} else {
			used += (size_t)snprintf(buf + used, 13, "%d\n", (int)ids[i]);
		}
	}
	sx_status st = sx_write_file(ctx, path, buf, used);
	free(buf);
	return st;
}

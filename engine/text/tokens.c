/* Reading and writing files of token ids. */
#include "engine/text/tokens.h"

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

static sx_status bad_id(sx_ctx *ctx, const char *name, int64_t place, uint64_t id, int vocab)
{
	if (id > INT32_MAX)
		return sx_fail(ctx, SX_EDATA,
			       "%s: number %" PRId64
			       " (from 0) is negative or too large to be an id",
			       name, place);
	return sx_fail(ctx, SX_EDATA,
		       "%s: id %" PRIu64 ", number %" PRId64 " (from 0), is outside the model's "
		       "vocabulary of %d: these ids were made with another tokenizer",
		       name, id, place, vocab);
}

/* A negative number arrives here as one beyond 2^31. */
static sx_status set_id(sx_tokens *t, sx_ctx *ctx, const char *name, int64_t i, uint64_t id,
			int vocab)
{
	if (id > INT32_MAX || (vocab > 0 && id >= (uint64_t)vocab))
		return bad_id(ctx, name, i, id, vocab);
	t->ids[i] = (int32_t)id;
	return SX_OK;
}

static sx_status no_ids(sx_ctx *ctx, const char *name)
{
	return sx_fail(ctx, SX_EDATA, "%s holds no token ids", name);
}

/* rows * cols numbers of `width` bytes at p; the caller has checked that they are there. */
static sx_status take_binary(sx_tokens *t, sx_ctx *ctx, const char *name, const char *p, int width,
			     int vocab)
{
	t->n = t->rows * t->cols;
	if (t->n == 0) return no_ids(ctx, name);
	t->ids = sx_calloc((size_t)t->n, sizeof *t->ids);
	if (!t->ids)
		return sx_fail(ctx, SX_ENOMEM, "no memory for %" PRId64 " ids of %s", t->n, name);
	for (int64_t i = 0; i < t->n; i++) {
		sx_status st = set_id(t, ctx, name, i,
				      load_le(p + (size_t)i * (size_t)width, width), vocab);
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

static int npy_width(const char *descr)
{
	/* Signed ones too: a negative id is caught as one that is far too large. */
	static const struct {
		const char *descr;
		int width;
	} types[] = {{"'|u1'", 1}, {"'<u2'", 2}, {"'<i4'", 4},
		     {"'<u4'", 4}, {"'<i8'", 8}, {"'<u8'", 8}};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strncmp(descr, types[i].descr, 5) == 0) return types[i].width;
	return 0;
}

static bool npy_shape(const char *s, int64_t *rows, int64_t *cols)
{
	int64_t dim[2];
	int n = 0;
	if (*s++ != '(') return false;
	for (;;) {
		s += strspn(s, " ,");
		if (*s == ')') break;
		char *end;
		long long v = strtoll(s, &end, 10);
		if (end == s || n == 2 || v < 0 || v > INT32_MAX) return false;
		dim[n++] = v;
		s = end;
	}
	if (n == 0) return false;
	*rows = n == 2 ? dim[0] : 1;
	*cols = dim[n - 1];
	return true;
}

static sx_status read_npy(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab)
{
	int wide = size > 6 && data[6] > 1 ? 4 : 2;
	size_t start = 8 + (size_t)wide;
	uint64_t len = size < start ? 0 : load_le(data + 8, wide);
	if (size < start || len > size - start)
		return sx_fail(ctx, SX_EDATA, "%s: this .npy file is cut off in its header", name);
	char *header = sx_format("%.*s", (int)(len < 65536 ? len : 65536), data + start);
	if (!header) return sx_fail(ctx, SX_ENOMEM, "no memory to read %s", name);
	const char *descr = npy_value(header, "'descr'");
	const char *order = npy_value(header, "'fortran_order'");
	const char *shape = npy_value(header, "'shape'");
	int width = descr ? npy_width(descr) : 0;
	bool ok = width && order && strncmp(order, "False", 5) == 0 && shape &&
		  npy_shape(shape, &t->rows, &t->cols);
	free(header);
	if (!ok)
		return sx_fail(
			ctx, SX_EDATA,
			"%s: token ids must be a 1-D or 2-D array of integers in C order; save "
			"it with numpy.save(\"tokens.npy\", "
			"numpy.ascontiguousarray(ids, dtype=\"int32\"))",
			name);
	uint64_t have = (size - start - len) / (uint64_t)width;
	if ((uint64_t)t->rows * (uint64_t)t->cols > have)
		return sx_fail(ctx, SX_EDATA,
			       "%s: this .npy file is cut off: %" PRIu64 " of %" PRId64
			       " ids are there",
			       name, have, t->rows * t->cols);
	return take_binary(t, ctx, name, data + start + len, width, vocab);
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
	uint64_t n = load_le(data + 8, 4), have = (size - LLMC_HEADER) / (size_t)width;
	if (n > have)
		return sx_fail(ctx, SX_EDATA,
			       "%s: this llm.c token file is cut off: %" PRIu64 " of %" PRIu64
			       " ids are there",
			       name, have, n);
	t->rows = 1;
	t->cols = (int64_t)n;
	return take_binary(t, ctx, name, data + LLMC_HEADER, width, vocab);
}

static sx_status read_nanogpt(sx_tokens *t, sx_ctx *ctx, const char *name, const char *data,
			      size_t size, int vocab)
{
	if (size % 2)
		return sx_fail(ctx, SX_EDATA,
			       "%s: a .bin without llm.c's header is read as nanoGPT's bare 16-bit "
			       "ids, but its size is odd",
			       name);
	t->rows = 1;
	t->cols = (int64_t)(size / 2);
	return take_binary(t, ctx, name, data, 2, vocab);
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
		uint64_t id = 0;
		for (; i < size && !is_space(data[i]); i++) {
			if (data[i] < '0' || data[i] > '9')
				return sx_fail(ctx, SX_EDATA,
					       "%s: word %" PRId64
					       " (from 0) is not a token id; ids are "
					       "whole numbers separated by white space (text is "
					       "given with --text)",
					       name, t->n);
			if (id <= INT32_MAX) id = 10 * id + (uint64_t)(data[i] - '0');
		}
		sx_status st = set_id(t, ctx, name, t->n, id, vocab);
		if (st != SX_OK) return st;
		t->n++;
	}
	t->rows = 1;
	t->cols = t->n;
	return SX_OK;
}

/* ---- public ---- */

sx_status sx_tokens_parse(sx_tokens *out, sx_ctx *ctx, const char *name, const char *data,
			  size_t size, int vocab)
{
	sx_tokens t = {0};
	sx_status st;
	uint64_t magic = size < 4 ? 0 : load_le(data, 4);
	if (size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0)
		st = read_npy(&t, ctx, name, data, size, vocab);
	else if (magic == LLMC_U16 || magic == LLMC_U32)
		st = read_llmc(&t, ctx, name, data, size, vocab);
	else if (ends_with(name, ".bin"))
		st = read_nanogpt(&t, ctx, name, data, size, vocab);
	else
		st = read_text(&t, ctx, name, data, size, vocab);
	if (st == SX_OK)
		*out = t;
	else
		sx_tokens_free(&t);
	return st;
}

sx_status sx_tokens_read(sx_tokens *out, sx_ctx *ctx, const char *path, int vocab)
{
	sx_status st = SX_OK;
	char *data = NULL;
	size_t size = 0;
	SX_TRY(sx_read_file(ctx, path, &data, &size));
	SX_TRY(sx_tokens_parse(out, ctx, path, data, size, vocab));
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

/* What the files of this room share. Nobody else includes it. */
#ifndef SX_PROBES_RUNFILE_PRIV_H
#define SX_PROBES_RUNFILE_PRIV_H

#include "probes/runfile/runfile.h"

#include <hdf5.h>

#define SX_RUN_SCHEMA_NAME    "sextant"
#define SX_RUN_SCHEMA_VERSION "1.0"
enum { SX_RUN_SCHEMA_MAJOR = 1 }; /* of the tables, too */
#define SX_TABLES_SCHEMA_NAME    "sextant-analysis"
#define SX_TABLES_SCHEMA_VERSION "1.0"

/* ---- HDF5's manners (runfile.c) ---- */

/* Silences HDF5's printing in this thread, and its clean-up at exit, which after a failed write
 * complains on stderr: our files are closed by hand. To be called before anything else of HDF5. */
void sx_h5_quiet(void);
/* sx_fail with HDF5's innermost complaint in brackets; to be called right after what failed. */
sx_status sx_h5_fail_at(sx_ctx *ctx, sx_status st, const char *file, int line, const char *func,
			const char *fmt, ...) SX_PRINTF(6, 7);
#define sx_h5_fail(ctx, st, ...) \
	sx_h5_fail_at((ctx), (st), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* New type ids, the caller's to close; width counts for strings alone. On disk little-endian, in
 * memory the machine's own; F16 is uint16_t in memory. Negative on failure. */
hid_t sx_h5_disk_type(sx_run_type type, size_t width);
hid_t sx_h5_mem_type(sx_run_type type, size_t width);
/* A variable-length UTF-8 string type. */
hid_t sx_h5_text_type(void);
/* Sets an attribute of the object at `where`: n values, one scalar where n is -1. */
herr_t sx_h5_put_attr(hid_t file, const char *where, const char *name, hid_t disk, hid_t mem,
		      int64_t n, const void *value);

/* ---- elements (convert.c) ---- */

/* Whether elements in memory already are as stored, and whether they can be made so. */
bool sx_disk_is_native(sx_run_type type, sx_run_mem mem);
bool sx_disk_takes(sx_run_type type, sx_run_mem mem);
/* Makes n elements of `size` bytes; false where one does not fit. */
bool sx_disk_convert(void *out, sx_run_type type, size_t size, const void *data, sx_run_mem mem,
		     int64_t n);
/* n missing elements: NaN, -1, 255, the empty string. */
void sx_disk_fill(void *out, sx_run_type type, size_t size, int64_t n);

/* ---- the schema (runfile.c) ---- */

/* Axes of a row, in order; returns how many. */
int sx_run_axes(sx_run_id id, sx_run_id axes[SX_RUN_MAX_DIMS]);
/* The row called `name` in the group of row id, or SX_RUN_COUNT. */
sx_run_id sx_run_sibling(sx_run_id id, const char *name);
const char *sx_run_name(sx_run_id id); /* "entropy" of "/stats/entropy"             */
bool sx_run_is_axis(sx_run_id id);
bool sx_run_name_grows(const char *axis); /* step, sample, ckpt                     */
bool sx_run_is_document(sx_run_id id);    /* a text of /meta                           */
/* Attention maps: square chunks of one map, and 0 where none is stored. */
bool sx_run_is_map(sx_run_id id);
/* "/stats" of "/stats/entropy". */
void sx_run_group(sx_run_id id, char out[32]);

/* ---- the end of a finished file (finish.c) ---- */

/* Rows [from, from + n) of a dataset, and a sum over their elements. */
typedef struct {
	int64_t from, n;
	uint32_t sum;
} sx_given_block;

/* clang-format off */
/* What was handed over of a dataset, to be compared with what the closed file holds. */
typedef struct {
	sx_given_block *rows; /* (n), ascending                                          */
	size_t n, cap;
	bool loose;           /* rows in parts, or twice: read, but not compared         */
	bool packed;          /* in chunks made elsewhere                                */
	uint64_t chunks;      /* the sum over those                                      */
} sx_given;

typedef struct {
	const char *path;
	sx_run_type type; /* in memory; text is of variable length in the file           */
	int ndim;
	int64_t dims[SX_RUN_MAX_DIMS];
	sx_given given;
} sx_h5_kept;
/* clang-format on */

/* Sums of elements in memory, and of texts. */
uint32_t sx_h5_sum(const void *data, size_t bytes);
uint32_t sx_h5_sum_texts(const char *const *texts, size_t n);
/* Notes rows that were handed over; false when memory is out. Again the same rows: the later ones. */
bool sx_given_rows(sx_given *g, int64_t from, int64_t n, uint32_t sum) SX_NODISCARD;
/* Notes a packed chunk, each once. */
void sx_given_chunk(sx_given *g, const hsize_t *at, int ndim, const void *packed, size_t bytes);
void sx_given_free(sx_given *g);

/* Closes a file whose datasets are closed, reads it back, brings it to the disk and gives it its name.
 * SX_EIO where the n datasets do not hold what was handed over; it has no name then. SX_ECREATE. */
sx_status sx_h5_finish(sx_ctx *ctx, hid_t file, const sx_output *o, const sx_h5_kept *kept,
		       int n) SX_NODISCARD;
/* Brings a closed or live file to the disk and gives it its name, which *named tells even where the
 * name does not reach the disk. SX_EIO, SX_ECREATE. */
sx_status sx_h5_take_name(sx_ctx *ctx, const sx_output *o, bool *named) SX_NODISCARD;
sx_status sx_sync_path(sx_ctx *ctx, const char *path) SX_NODISCARD;

/* ---- a file being written (put.c, define.c above it, write.c above both) ---- */

/* clang-format off */
/* A dataset or an axis of this file. */
typedef struct {
	hid_t set;            /* 0 = not there                                           */
	sx_run_type type;
	size_t size;          /* bytes of an element                                     */
	int ndim;
	int64_t dims[SX_RUN_MAX_DIMS]; /* dims[0] of what grows: rows on disk            */
	int64_t rows;         /* a growing axis: records between two flushes             */
	sx_run_id axis;       /* the growing axis, or SX_RUN_COUNT                       */
	bool column;          /* no other axis than that: rows wait in buf for the flush */
	unsigned char *buf;   /* (held, size) rows dims[0] .. dims[0] + held - 1         */
	int64_t held, cap;
	sx_given given;       /* of a sealed file                                        */
} sx_run_column;

struct sx_run {
	sx_ctx *ctx;
	char *path, *writing; /* the name it will have, the name it has                  */
	sx_output output;     /* until it has its name                                   */
	hid_t file;
	bool live, started, broken;
	bool named;           /* path is its name: a reader may have it open             */
	sx_run_column col[SX_RUN_COUNT];
	void *scratch;        /* converted elements                                      */
	size_t scratch_size;
};
/* clang-format on */

static inline bool sx_run_grows(const sx_run_column *c)
{
	return c->axis != SX_RUN_COUNT;
}

/* Strings are held at fixed length and so written to a live file. A sealed one has them of variable
 * length: netCDF 4.9 overruns its buffer on arrays of the other kind. */
static inline bool sx_run_texts_vary(const sx_run *run, const sx_run_column *c)
{
	return c->type == SX_DISK_STR && !run->live;
}

/* What a failed write leaves shall be what a kill would have left: whatever HDF5 still holds goes
 * nowhere, above all the mark that the file was closed well. */
void sx_run_give_up(sx_run *run);
/* SX_EIO, right after a failed call of HDF5: nothing more goes into a file in an unknown state. */
sx_status sx_run_broke(sx_run *run, const char *what);
/* SX_EIO where an earlier write failed. */
sx_status sx_run_check(sx_run *run);
/* The same, and SX_EINTERNAL after sx_run_start: SWMR allows no new objects, though HDF5 1.10 does
 * not refuse them. */
sx_status sx_run_refuse_new(sx_run *run, const char *what);

/* Writes a block of a dataset, which grows as needed. */
sx_status sx_run_write_set(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			   const void *data) SX_NODISCARD;
/* Makes a column hold rows up to (not including) `end`, new ones missing. */
sx_status sx_run_hold_rows(sx_run *run, sx_run_id id, int64_t end) SX_NODISCARD;

/* ---- a file being read (read.c, verify.c) ---- */

struct sx_run_file {
	sx_ctx *ctx;
	char *path;
	hid_t file;
	bool live;
	bool tables;   /* a report's: another schema                                        */
	char why[200]; /* of the last misfit: what goes on after the dataset's name          */
	int64_t length[SX_RUN_COUNT];    /* of axes whose values have been looked at, else 0   */
	int64_t layers, heads, kv_heads; /* by /meta/model_json; 0 = not looked at          */
};

/* Length of the axis of this name beside the dataset at `path`; -1 if there is none. */
int64_t sx_run_axis_length(const sx_run_file *f, const char *path, const char *axis);

/* ---- does it fit the schema? (fit.c, values.c) ---- */

/* A dataset that does, opened. */
typedef struct {
	hid_t set;
	sx_run_type type; /* on disk: a schema's F16 may be F32 there                        */
	size_t width;     /* of strings: bytes; 0 where they vary in length                  */
	int ndim;
	int64_t dims[SX_RUN_MAX_DIMS]; /* whole records along a growing axis             */
} sx_run_set;

/* Opens a dataset, the caller's to close, whose place, storage, type and shape are the schema's and
 * whose axes are there, as long as it and in order. SX_EDATA where something is not. */
sx_status sx_run_open_set(sx_run_file *f, sx_run_id id, sx_run_set *s) SX_NODISCARD;
/* SX_EDATA: what is wrong with a dataset, in words that follow its name. */
sx_status sx_run_misfit(sx_run_file *f, sx_run_id id, const char *fmt, ...) SX_PRINTF(3, 4);
/* Whether a path leads through this file's own groups, by no soft or external link. */
bool sx_run_is_own(const sx_run_file *f, const char *path);
/* Bytes of an array; -1: none has so many. */
int64_t sx_run_bytes(int64_t element_size, const int64_t *dims, int ndim);
/* Bytes stored of a dataset of this shape; -1 where it has too many chunks to be looked through. And
 * whether an array of so many bytes can come of them, some of it never written. */
int64_t sx_run_stored(hid_t set, const int64_t *dims, int ndim);
bool sx_run_is_stored(hid_t set, int64_t bytes, int64_t believed, const int64_t *dims, int ndim);
/* What is wrong with how a dataset is stored, by its creation list and type; NULL: nothing. */
const char *sx_run_bad_storage(hid_t made, hid_t type);
/* Words by number and whole numbers that were read: SX_EDATA where one makes no sense. */
sx_status sx_run_check_values(sx_run_file *f, sx_run_id id, const void *data, sx_run_mem mem,
			      int64_t n) SX_NODISCARD;
/* The same of an opened axis from an entry on, and whether they are in order. SX_ENOMEM. */
sx_status sx_run_check_axis(sx_run_file *f, sx_run_id axis, const sx_run_set *s,
			    int64_t from) SX_NODISCARD;
/* A block, all where start is NULL, as `mem`; all texts, in one allocation. */
sx_status sx_run_read_block(sx_run_file *f, sx_run_id id, const sx_run_set *s, hid_t mem,
			    const int64_t *start, const int64_t *count, void *out) SX_NODISCARD;
sx_status sx_run_read_texts(sx_run_file *f, sx_run_id id, const sx_run_set *s,
			    char ***out) SX_NODISCARD;

/* ---- for the seal ---- */

hid_t sx_run_file_hid(const sx_run_file *f);

/* Numbers as sx_h5_mem_type says, no conversion. */
sx_status sx_run_put_raw(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			 const void *data) SX_NODISCARD;
sx_status sx_run_read_raw(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			  void *out) SX_NODISCARD;
/* Reads all of a file that may be damaged: bad (SX_RUN_COUNT) tells what cannot be read. SX_ENOMEM. */
sx_status sx_run_survey(sx_run_file *f, bool *bad) SX_NODISCARD;
/* Type on disk: a schema's F16 may be F32 there. SX_EDATA where it is another than the schema's. */
sx_status sx_run_file_type(sx_run_file *f, sx_run_id id, sx_run_type *type) SX_NODISCARD;

#endif

/* The run file: what was measured, in HDF5, laid out by schema.h. These sources are the only ones
 * that know HDF5. Two kinds of file:
 *
 *   live    one segment of a training run: read while it is written (SWMR), whole up to the last
 *           flush after a kill -9. Everything in it is made before sx_run_start.
 *   sealed  one finished file (trace, bounds, eval, and what sx_run_seal makes); HDF5 1.8 reads it.
 *
 * Either is path.tmp at first: a live file gets its name from sx_run_start, so that what is called
 * seg-0000.h5 can always be read, a sealed one from sx_run_close.
 *
 * Writing, in this order: sx_run_create; attributes; in each group sx_run_axis and sx_run_grow,
 * then sx_run_define of what will be stored; sx_run_start; per record sx_run_put; sx_run_flush;
 * sx_run_close.
 *
 *	sx_run *run = NULL;
 *	SX_TRY(sx_run_create(&run, ctx, "r/live/seg-0000.h5", true));
 *	SX_TRY(sx_run_grow(run, SX_RUN_TRAIN_STEP, 64));
 *	SX_TRY(sx_run_define(run, SX_RUN_TRAIN_LOSS));
 *	SX_TRY(sx_run_start(run));
 *	...
 *	int64_t rec = sx_run_records(run, SX_RUN_TRAIN_STEP);
 *	SX_TRY(sx_run_put(run, SX_RUN_TRAIN_LOSS, rec, &loss));
 *	SX_TRY(sx_run_put(run, SX_RUN_TRAIN_STEP, rec, &step));
 *	SX_TRY(sx_run_flush(run, SX_RUN_TRAIN_STEP));
 *	...
 *	SX_TRY(sx_run_close(&run, SX_RUN_COMPLETE));
 * out:
 *	sx_run_free(run);
 *
 * Calls on all files of a process come from one thread at a time. Using the calls wrongly is
 * SX_EINTERNAL; a write that fails (a full disk) is SX_EIO, and so is every later call, of which
 * sx_run_close and sx_run_free still clean up. */
#ifndef SX_PROBES_RUNFILE_RUNFILE_H
#define SX_PROBES_RUNFILE_RUNFILE_H

#include "engine/base.h"
#include "probes/runfile/schema.h"

#define SX_RUN_ENUM(id, path, type, dims, units, long_name, flags) SX_RUN_##id,
typedef enum { SX_RUN_SCHEMA(SX_RUN_ENUM) SX_RUN_COUNT } sx_run_id;

typedef enum {
	SX_DISK_F16,
	SX_DISK_F32,
	SX_DISK_F64,
	SX_DISK_I32,
	SX_DISK_I64,
	SX_DISK_FLAGS, /* u8 */
	SX_DISK_STR    /* UTF-8 */
} sx_run_type;

/* Bytes of an element; width counts for strings alone, whose bytes it is. */
size_t sx_disk_size(sx_run_type type, size_t width);

enum { SX_RUN_MAX_DIMS = 6, SX_RUN_STR_MAX = 255 /* bytes of a string in a growing column */ };

/* One row of schema.h. */
typedef struct {
	const char *path;
	sx_run_type type;
	const char *dims, *units, *long_name, *flags;
} sx_run_row;
extern const sx_run_row sx_run_rows[SX_RUN_COUNT];
bool sx_run_is_growing_axis(sx_run_id id); /* step, sample, ckpt */
/* The word that stands for a value of a dataset of flags; false, and "", where there is none. */
enum { SX_RUN_WORD = 24, SX_RUN_SEQUENCE_KINDS = 4 /* words of /stats/sequence_kind */ };
bool sx_run_word(char out[SX_RUN_WORD], sx_run_id id, int64_t value);

/* What data in memory are made of; found from the pointer's type. SX_MEM_STR: char pointers. */
typedef enum { SX_MEM_F64, SX_MEM_F32, SX_MEM_I64, SX_MEM_I32, SX_MEM_U8, SX_MEM_STR } sx_run_mem;
/* clang-format off */
#define SX_RUN_NUMBERS(T) \
	T *: SX_RUN_MEM_##T, const T *: SX_RUN_MEM_##T
#define SX_RUN_MEM_double  SX_MEM_F64
#define SX_RUN_MEM_float   SX_MEM_F32
#define SX_RUN_MEM_int64_t SX_MEM_I64
#define SX_RUN_MEM_int32_t SX_MEM_I32
#define SX_RUN_MEM_uint8_t SX_MEM_U8
#define SX_RUN_MEM(p) _Generic((p), SX_RUN_NUMBERS(double), SX_RUN_NUMBERS(float),          \
	SX_RUN_NUMBERS(int64_t), SX_RUN_NUMBERS(int32_t), SX_RUN_NUMBERS(uint8_t),           \
	char **: SX_MEM_STR, const char **: SX_MEM_STR, const char *const *: SX_MEM_STR,     \
	char *const *: SX_MEM_STR)
/* clang-format on */

typedef enum { SX_RUN_RUNNING, SX_RUN_COMPLETE, SX_RUN_INTERRUPTED, SX_RUN_FAILED } sx_run_status;
const char *sx_run_status_name(sx_run_status s); /* "running", "complete", ... */

/* ---- writing ---- */

typedef struct sx_run sx_run;

/* Creates a file and its root attributes schema, schema_version, creator, version and status. A
 * live file must not exist yet. ctx is borrowed until the run is gone. SX_ECREATE, SX_ENOMEM. */
sx_status sx_run_create(sx_run **out, sx_ctx *ctx, const char *path, bool live) SX_NODISCARD;

/* Attributes of "/", a group or a dataset; `where` is its path. Text is UTF-8; a name that is there
 * is replaced. sx_run_attr_ints makes an array of n. The rest of the root's: git, seed, precision,
 * command_line, run_id; on a live segment start_step, the step it was resumed from
 * (sx_run_seal). */
sx_status sx_run_attr_str(sx_run *run, const char *where, const char *name,
			  const char *value) SX_NODISCARD;
sx_status sx_run_attr_int(sx_run *run, const char *where, const char *name,
			  int64_t value) SX_NODISCARD;
sx_status sx_run_attr_ints(sx_run *run, const char *where, const char *name, const int64_t *values,
			   int64_t n) SX_NODISCARD;
sx_status sx_run_attr_real(sx_run *run, const char *where, const char *name,
			   double value) SX_NODISCARD;

/* Makes a fixed axis of n >= 1 values (n), with its dimension scale. */
#define sx_run_axis(run, id, n, values) sx_run_axis_as(run, id, n, values, SX_RUN_MEM(values))
sx_status sx_run_axis_as(sx_run *run, sx_run_id id, int64_t n, const void *values,
			 sx_run_mem mem) SX_NODISCARD;
/* A fixed axis 0..n-1. */
sx_status sx_run_axis_index(sx_run *run, sx_run_id id, int64_t n) SX_NODISCARD;
/* Makes a growing axis (step, sample, ckpt). `rows` is the number of records between two flushes;
 * in a sealed file, which is flushed once, the number of records expected. Columns along this
 * axis alone are stored by blocks of so many rows, and a live file flushes whole blocks only: 64
 * or more for /train, where smaller ones cost more in overhead than in data; 1 where every record
 * should be seen at once. */
sx_status sx_run_grow(sx_run *run, sx_run_id id, int64_t rows) SX_NODISCARD;
/* Makes a dataset; its axes must be there. */
sx_status sx_run_define(sx_run *run, sx_run_id id) SX_NODISCARD;
/* The same with f32 in place of the schema's f16. */
sx_status sx_run_define_f32(sx_run *run, sx_run_id id) SX_NODISCARD;
bool sx_run_defined(const sx_run *run, sx_run_id id);
/* Makes and writes a document of /meta. */
sx_status sx_run_meta(sx_run *run, sx_run_id id, const char *text) SX_NODISCARD;

/* From here on axes, datasets and attributes are refused; a live file can be read from now on. */
sx_status sx_run_start(sx_run *run) SX_NODISCARD;

/* Records of a growing axis so far, flushed or not: the number of the next one. */
int64_t sx_run_records(const sx_run *run, sx_run_id axis);
/* Writes one record (the dims after the growing one), or the whole of a fixed dataset (record is 0
 * then). Floating types go into floating types, rounded to nearest even; integers into integers
 * that hold them (SX_EDATA otherwise); strings into strings. A record counts once its axis has
 * its value: put that too. Growing datasets of a live file wait for sx_run_start. */
#define sx_run_put(run, id, record, data) sx_run_put_as(run, id, record, data, SX_RUN_MEM(data))
sx_status sx_run_put_as(sx_run *run, sx_run_id id, int64_t record, const void *data,
			sx_run_mem mem) SX_NODISCARD;
/* Writes a block of a dataset: start and count have one entry per dim. */
#define sx_run_put_block(run, id, start, count, data) \
	sx_run_put_block_as(run, id, start, count, data, SX_RUN_MEM(data))
sx_status sx_run_put_block_as(sx_run *run, sx_run_id id, const int64_t *start, const int64_t *count,
			      const void *data, sx_run_mem mem) SX_NODISCARD;

/* Hands the records of a growing axis to the system: its datasets first, the axis last, so that a
 * reader who trusts the axis never sees a torn record. Nothing to do in a sealed file. */
sx_status sx_run_flush(sx_run *run, sx_run_id axis) SX_NODISCARD;
/* The same with part-filled blocks, which are written again later: for records that would wait too
 * long for their block to fill. */
sx_status sx_run_flush_part(sx_run *run, sx_run_id axis) SX_NODISCARD;
/* Flushes everything, part-filled blocks too (they are written again later: not to be done often),
 * and brings it to the disk: with each checkpoint, so that a run resumed from it has every record
 * before it. */
sx_status sx_run_sync(sx_run *run) SX_NODISCARD;
/* Flushes everything, records the status and closes; a sealed file gets its name. *run is NULL
 * afterwards, whatever happened. */
sx_status sx_run_close(sx_run **run, sx_run_status status) SX_NODISCARD;
/* Closes after a failure: a sealed file is removed, a live one keeps what was flushed. */
void sx_run_free(sx_run *run);

/* The IEEE 754 binary16 nearest to x, ties to even; subnormals, infinities and NaN included. */
uint16_t sx_half_from(double x);
/* Of n floats: sx_half_from of each, bit for bit, in vectors. */
void sx_halves_from(uint16_t *out, const float *x, int64_t n);

/* ---- attention maps, in chunks made elsewhere ---- */

/* A map (T,T) of /attn/prob is stored in square chunks of this many rows: all of it up to 512 rows
 * (1 MiB in f32), else 256 (128 or 256 KiB). */
int64_t sx_run_map_edge(int64_t T);
/* Of the chunks of rows [band * edge, (band + 1) * edge): those that hold a visible pair, [*from,
 * *to). The others are not stored and read as 0. window 0 = all earlier keys. */
void sx_run_map_band(int64_t T, int64_t window, int64_t band, int64_t *from, int64_t *to);
/* Numbers in the stored chunks of a map. */
int64_t sx_run_map_cells(int64_t T, int64_t window);

/* Makes chunks as the file holds them: shuffled, deflated, with their checksum, which is what HDF5's
 * own filters would leave, give or take the level of compression. One thread each. */
typedef struct sx_packer sx_packer;
/* For chunks of up to `bytes`; stored: in deflate's form, but not compressed. NULL = out of memory. */
sx_packer *sx_packer_new(int64_t bytes, bool stored);
void sx_packer_free(sx_packer *p);
/* Packs (nrow, ncol) elements of size 2 or 4, rows ld elements apart: returns the bytes at *packed,
 * valid until the next call. */
int64_t sx_pack(sx_packer *p, const void *rows, int64_t ld, int64_t nrow, int64_t ncol, int size,
		const void **packed);
/* Memory of a packer for chunks of up to `bytes`, and the most that sx_pack makes of one; the
 * compressor's own tables, a constant, are not counted. */
int64_t sx_packer_bytes(int64_t bytes);
int64_t sx_packed_most(int64_t bytes);
/* Writes one packed chunk, the one that begins at `start`, once. */
sx_status sx_run_put_chunk(sx_run *run, sx_run_id id, const int64_t *start, const void *packed,
			   int64_t bytes) SX_NODISCARD;
/* The file that is being written to. Borrowed. */
const char *sx_run_path(const sx_run *run);

/* ---- where it may live ---- */

/* Whether a file system, by statfs's f_type, is reached over a network or through FUSE, which does
 * not tell what is behind it. There a live file cannot be read by others and may be torn by a kill
 * (the HDF Group on SWMR: POSIX write order is needed): write closed files instead. */
bool sx_fs_is_networked(uint32_t type);
/* The file system that holds `path`, which must be there; false where it does not say. */
bool sx_path_is_networked(const char *path);

/* ---- sealing ---- */

/* Merges the live segments of a run, oldest first and whole or killed, into one sealed file. In
 * every group the newest attempt wins: of an older segment only records remain whose (step,
 * phase) comes before the first of any later segment, and whose step is at most any later
 * segment's start_step. What does not grow comes from the newest segment that has it, root
 * attributes from the newest; the status is the newest segment's, interrupted where that one was
 * killed. SX_EDATA where the segments do not fit together, SX_ENOINPUT, SX_ECREATE, SX_EIO. */
sx_status sx_run_seal(sx_ctx *ctx, const char *out_path, const char *const *segments,
		      int n) SX_NODISCARD;
/* The same of segments that may be damaged. What of a segment cannot be read is left out: missing
 * values where another segment has it, else the whole dataset; maps always, a growing axis with all
 * that lies along it, and a segment that does not open. `lost` is called for each (path "" is the
 * whole segment); the root attribute left_out lists them. SX_EDATA where no segment opens. */
typedef void sx_run_lost(void *self, const char *segment, const char *path, const char *why);
sx_status sx_run_salvage(sx_ctx *ctx, const char *out_path, const char *const *segments, int n,
			 sx_run_lost *lost, void *self) SX_NODISCARD;

/* ---- reading ---- */

typedef struct sx_run_file sx_run_file;

/* Opens a sealed, live or killed file; of a run folder run.h5 if it is there, else the newest
 * segment under live/. ctx is borrowed until the file is closed. SX_ENOINPUT if it is not there,
 * SX_EDATA if it is not a run file, is damaged or of another major version. */
sx_status sx_run_open(sx_run_file **out, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* The same, or a file of tables (below), of a report's folder its analysis.h5: to be walked, verified
 * and asked for attributes, nothing else. */
sx_status sx_run_open_any(sx_run_file **out, sx_ctx *ctx, const char *path) SX_NODISCARD;
bool sx_run_is_tables(const sx_run_file *f);
void sx_run_file_close(sx_run_file *f);
/* The file itself, where a folder was opened. Borrowed. */
const char *sx_run_file_path(const sx_run_file *f);
/* Opened as a file that is being written, or whose writer was killed. */
bool sx_run_is_live(const sx_run_file *f);

bool sx_run_has(const sx_run_file *f, sx_run_id id);
/* Along a growing axis: the number of whole records. SX_EDATA if the dataset is not there. */
sx_status sx_run_shape(sx_run_file *f, sx_run_id id, int64_t dims[SX_RUN_MAX_DIMS],
		       int *ndim) SX_NODISCARD;
/* Reads a block, or all of it where start is NULL, into the caller's double, float, int64_t,
 * int32_t or uint8_t. Integers may be read as floating numbers, not the other way. SX_EDATA if it
 * is not there or damaged. */
#define sx_run_read(f, id, start, count, out) \
	sx_run_read_as(f, id, start, count, out, SX_RUN_MEM(out))
sx_status sx_run_read_as(sx_run_file *f, sx_run_id id, const int64_t *start, const int64_t *count,
			 void *out, sx_run_mem mem) SX_NODISCARD;
/* All of a dataset of doubles, allocated: *out is the caller's, *n its length. */
sx_status sx_run_read_all(sx_run_file *f, sx_run_id id, double **out, int64_t *n) SX_NODISCARD;
/* All strings of a dataset, in one allocation that the caller frees. */
sx_status sx_run_strings(sx_run_file *f, sx_run_id id, char ***out, int64_t *n) SX_NODISCARD;

/* Attributes. SX_EDATA if there is none of that name and kind. Texts and arrays are the
 * caller's. */
bool sx_run_has_attr(const sx_run_file *f, const char *where, const char *name);
sx_status sx_run_get_str(sx_run_file *f, const char *where, const char *name,
			 char **out) SX_NODISCARD;
sx_status sx_run_get_int(sx_run_file *f, const char *where, const char *name,
			 int64_t *out) SX_NODISCARD;
sx_status sx_run_get_ints(sx_run_file *f, const char *where, const char *name, int64_t **out,
			  int64_t *n) SX_NODISCARD;
sx_status sx_run_get_real(sx_run_file *f, const char *where, const char *name,
			  double *out) SX_NODISCARD;

/* What a file holds, whether the schema knows it or not. Strings are borrowed during the call. */
typedef struct {
	const char *path, *type; /* "/stats/entropy", "f32"                                 */
	int ndim;
	int64_t dims[SX_RUN_MAX_DIMS]; /* whole records along a growing axis            */
	int64_t torn; /* rows after them, being written or left by a kill; < 0: rows missing */
	const char *axes[SX_RUN_MAX_DIMS]; /* "" where an axis has no name                  */
	const char *units, *long_name;     /* "" where missing                              */
	int64_t stored;                    /* bytes in the file, after compression          */
} sx_run_item;
/* Calls fn for every dataset, in the order of creation; stops at a status other than SX_OK. */
sx_status sx_run_walk(sx_run_file *f, sx_status (*fn)(void *self, const sx_run_item *item),
		      void *self) SX_NODISCARD;

/* Reads every byte, which tests the checksums where there are any, and compares lengths and axes;
 * calls `fault` for each thing that is wrong. */
typedef struct {
	int64_t datasets, summed; /* all, and those with checksums                            */
	int64_t bytes;            /* read, uncompressed                                       */
	int64_t missing;          /* NaN                                                      */
	int64_t torn;             /* datasets with records after the last whole one: no fault */
	int64_t faults;
} sx_run_whole;
/* SX_OK whatever it finds; SX_EDATA where the file cannot be listed, SX_ENOMEM. */
sx_status sx_run_verify(sx_run_file *f, sx_run_whole *out,
			void (*fault)(void *self, const char *path, const char *what),
			void *self) SX_NODISCARD;

/* ---- tables: analysis.h5 ---- */

/* What an analysis concluded, schema "sextant-analysis": a group per table, a dataset per column
 * along the group's axis `row`, which counts from 0. Old format bounds, checksums, no times: equal
 * content gives equal bytes.
 *
 *	sx_tables_create; attributes of "/"; of each table sx_tables_add, its columns, attributes;
 *	sx_tables_close
 *
 * The file is path.tmp until sx_tables_close. Failures are SX_EIO; SX_EINTERNAL where a path is
 * there already. */
typedef struct sx_tables sx_tables;

/* With the root attributes schema, schema_version, creator, version, status. SX_ECREATE,
 * SX_ENOMEM. */
sx_status sx_tables_create(sx_tables **out, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* Attributes of "/", a table or a column: a text, or n >= 1 of them. */
sx_status sx_tables_attr_str(sx_tables *t, const char *where, const char *name,
			     const char *value) SX_NODISCARD;
sx_status sx_tables_attr_strs(sx_tables *t, const char *where, const char *name,
			      const char *const *values, int64_t n) SX_NODISCARD;
/* Makes the table at `path` ("/heads", "/figures/loss") and its axis. rows may be 0. */
sx_status sx_tables_add(sx_tables *t, const char *path, int64_t rows) SX_NODISCARD;
/* Makes and writes a column (rows): double, int64_t, int32_t or UTF-8 texts. */
#define sx_tables_column(t, table, name, data, units, long_name) \
	sx_tables_column_as(t, table, name, data, SX_RUN_MEM(data), units, long_name)
sx_status sx_tables_column_as(sx_tables *t, const char *table, const char *name, const void *data,
			      sx_run_mem mem, const char *units,
			      const char *long_name) SX_NODISCARD;
/* *t is NULL afterwards, whatever happened. */
sx_status sx_tables_close(sx_tables **t) SX_NODISCARD;
/* Closes after a failure and removes what was written. */
void sx_tables_free(sx_tables *t);

#endif

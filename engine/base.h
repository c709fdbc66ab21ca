/* What every room of the house shares: status codes, the context that carries errors and the log,
 * arenas, and random numbers by counter. Knows nothing of models, files or precision. */
#ifndef SX_ENGINE_BASE_H
#define SX_ENGINE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, exit code of the program, what it means. One of the five X-macro tables (docs/house.md). */
/* clang-format off */
#define SX_STATUS(X)                                                   \
	X(SX_OK,        0,   "success")                                 \
	X(SX_NO,        1,  "the analysis says no")                    \
	X(SX_EUSAGE,    64, "usage")                                   \
	X(SX_EDATA,     65, "bad data")                                \
	X(SX_ENOINPUT,  66, "no input")                                \
	X(SX_EINTERNAL, 70, "internal error")                          \
	X(SX_ENOMEM,    70, "out of memory")                           \
	X(SX_ECREATE,   73, "cannot create")                           \
	X(SX_EIO,       74, "input or output error")                   \
	X(SX_ESTOPPED,  75, "interrupted; can be resumed")             \
	X(SX_ECONFIG,   78, "configuration")
/* clang-format on */
#define SX_STATUS_ENUM(name, code, text) name,
typedef enum { SX_STATUS(SX_STATUS_ENUM) SX_STATUS_COUNT } sx_status;

const char *sx_status_text(sx_status st);
int sx_status_exit(sx_status st); /* the documented exit code of the program */

#define SX_NODISCARD    __attribute__((warn_unused_result))
#define SX_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* ---- context: passed, never global ---- */

typedef enum { SX_LOG_DEBUG, SX_LOG_INFO, SX_LOG_WARN, SX_LOG_ERROR } sx_log_level;

enum { SX_IGNORED_MOST = 32 };
typedef struct sx_ctx {
	/* Receives every message; NULL = silence. Libraries never print by any other way. */
	void (*log)(void *self, sx_log_level level, const char *msg);
	void *log_self;
	sx_log_level level; /* messages below it are dropped                          */
	char message[1024]; /* the last error, one sentence: what, where, what to do  */
	char where[160];    /* file:line function of the last error                   */
	/* Keys of a model's config.json that are passed over though nobody knows them; borrowed. */
	const char *ignored[SX_IGNORED_MOST];
	int n_ignored;
} sx_ctx;

void sx_ctx_init(sx_ctx *ctx);
void sx_log(sx_ctx *ctx, sx_log_level level, const char *fmt, ...) SX_PRINTF(3, 4);

/* Records the message and the place in ctx and returns st. Never exits, never prints.
 * ctx may be NULL. Not to be called from inside a parallel region: collect statuses there. */
sx_status sx_fail_at(sx_ctx *ctx, sx_status st, const char *file, int line, const char *func,
		     const char *fmt, ...) SX_PRINTF(6, 7);
#define sx_fail(ctx, st, ...) sx_fail_at((ctx), (st), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* The one control-flow macro: needs `sx_status st = SX_OK;` and a label `out:`. */
#define SX_TRY(expr) \
	do { \
		if ((st = (expr)) != SX_OK) goto out; \
	} while (0)

/* ---- memory ---- */

/* Bump allocator, 64-byte aligned, zeroed, freed whole. With base == NULL it only counts, so
 * `sextant plan` and the real run share one layout function: lay out once dry, sx_arena_commit,
 * lay out again. */
typedef struct {
	unsigned char *base;
	size_t used, cap;
} sx_arena;

void *sx_arena_take(sx_arena *a, size_t count, size_t size);
/* Allocates what the dry run counted and rewinds. */
sx_status sx_arena_commit(sx_arena *a, sx_ctx *ctx) SX_NODISCARD;
void sx_arena_free(sx_arena *a);

/* calloc and realloc with a checked product; NULL on failure. */
void *sx_calloc(size_t count, size_t size);
void *sx_grow(void *old, size_t count, size_t size);

/* A string of the caller's, printf style; NULL when memory is out. */
char *sx_format(const char *fmt, ...) SX_PRINTF(1, 2);
char *sx_strdup(const char *s);

/* ---- small files, whole ---- */

/* Reads a whole file; *out is NUL-terminated after *size bytes and is the caller's to free.
 * SX_ENOINPUT if it does not open, SX_EIO if it does not read. */
sx_status sx_read_file(sx_ctx *ctx, const char *path, char **out, size_t *size) SX_NODISCARD;
/* The same; "-" is standard input. */
sx_status sx_read_input(sx_ctx *ctx, const char *path, char **out, size_t *size) SX_NODISCARD;
const char *sx_input_name(const char *path); /* "standard input" for "-", else the path itself */
/* Writes path.tmp, fsyncs it and renames it to path: a reader sees the old file or the new one. The
 * place is that of sx_output_begin. SX_ECREATE, SX_EIO. */
sx_status sx_write_file(sx_ctx *ctx, const char *path, const void *data, size_t size) SX_NODISCARD;
/* mkdir -p. */
sx_status sx_make_dirs(sx_ctx *ctx, const char *path) SX_NODISCARD;
bool sx_path_exists(const char *path);
bool sx_path_is_dir(const char *path);

/* ---- files that take their name when they are whole (output.c) ---- */

typedef struct {
	char *path;    /* the name it gets, links followed               */
	char *writing; /* the name it has meanwhile: path.tmp            */
	int fd;        /* of an empty file of that name, for writing     */
	uint64_t device, inode;
} sx_output;

/* Makes the file. A link is followed, also one to nothing: what it leads to is replaced, the link
 * stays. SX_ECREATE where path is a folder, a device, a pipe or what a process has open
 * (/dev/stdout), where nothing can be made, and where another process is writing the same. On failure
 * *o holds nothing. */
sx_status sx_output_begin(sx_output *o, sx_ctx *ctx, const char *path) SX_NODISCARD;
/* Keeps others from taking the file for one that a kill left; HDF5 does it by itself. */
void sx_output_lock(const sx_output *o);
/* false and errno where not all of it could be written. */
bool sx_output_put(const sx_output *o, const void *data, size_t size) SX_NODISCARD;
/* Gives it its name; its bytes are on the disk. SX_ECREATE. */
sx_status sx_output_name(const sx_output *o, sx_ctx *ctx) SX_NODISCARD;
/* Brings it to the disk, names it, and frees *o; where not whole, or on failure, nothing is left of it.
 * SX_EIO, SX_ECREATE. */
sx_status sx_output_end(sx_output *o, sx_ctx *ctx, bool whole) SX_NODISCARD;
/* Frees what is inside, and removes a file that has no name yet. */
void sx_output_drop(sx_output *o);
/* Where links lead, which may be to nothing; *out is the caller's. SX_ECREATE where that is what a
 * process has open, and for links without an end. */
sx_status sx_path_follow(char **out, sx_ctx *ctx, const char *path) SX_NODISCARD;

/* ---- random numbers by counter (Philox4x32-10, Salmon et al. 2011, from Random123) ----
 * A number depends on (seed, stream, index) alone: not on threads, not on what was drawn before. */

enum {                     /* streams: one per use, so that no two uses share numbers */
       SX_STREAM_INIT = 1, /* initial weights; tensor number in the upper half     */
       SX_STREAM_DATA,     /* training windows                                    */
       SX_STREAM_HELDOUT,  /* evaluation and probe windows                        */
       SX_STREAM_NEEDLE,   /* needle problems                                     */
       SX_STREAM_SAMPLE,   /* generation                                          */
       SX_STREAM_MARKOV,   /* transition table of the Markov filler               */
       SX_STREAM_TEST
};

uint64_t sx_random_bits(uint64_t seed, uint32_t stream, uint64_t index);
double sx_uniform(uint64_t seed, uint32_t stream, uint64_t index); /* [0, 1), 53 bits      */
double sx_normal(uint64_t seed, uint32_t stream, uint64_t index);  /* N(0, 1), Box-Muller  */

/* A cursor over one stream, for code that draws a varying number of values. */
typedef struct {
	uint64_t seed, index;
	uint32_t stream;
} sx_rng;
uint64_t sx_rng_below(sx_rng *r, uint64_t n); /* uniform on 0..n-1, unbiased; n >= 1 */
double sx_rng_uniform(sx_rng *r);

#endif

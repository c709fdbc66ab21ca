/* Training text: files and folders to token ids, with the last tenth of every file held out. Knows
 * nothing of windows or batches (language.h). */
#ifndef SX_ENGINE_TEXT_CORPUS_H
#define SX_ENGINE_TEXT_CORPUS_H

#include "engine/base.h"
#include "engine/text/tokenizer.h"

typedef struct {
	char *path; /* as given, or folder/name below a given folder */
	int64_t bytes;
	int64_t train, n_train;     /* where its ids begin in sx_corpus.train        */
	int64_t heldout, n_heldout; /* the same in sx_corpus.heldout                 */
} sx_corpus_file;

enum { SX_CORPUS_UNUSED = 127 };

typedef struct {
	int32_t *train, *heldout; /* ids of all files, one after the other; owned  */
	int64_t n_train, n_heldout;
	sx_corpus_file *files;
	int64_t n_files;
	int64_t bytes;                    /* of text, all files                            */
	char *tokenizer;                  /* its name                                      */
	char tokenizer_hash[33];          /* its fingerprint, "" for bytes                 */
	int vocab, bos;                   /* of the tokenizer                              */
	int32_t unused[SX_CORPUS_UNUSED]; /* the first words of the vocabulary that no file has:
	                            tokens of a space and two ASCII letters or more; none for bytes */
	int n_unused;
	bool is_default;      /* no text was given                             */
	char fingerprint[33]; /* xxh128 of the files' bytes one after the other, as
	                            `cat FILES | xxhsum -H2` prints it            */
} sx_corpus;

/* Reads n_paths files and folders in the order given. Folders are read recursively: regular files
 * sorted by path, bytewise; names that begin with a dot and links to folders are left out. A file
 * that comes twice (same device and inode) counts once. Unreadable files and those with a NUL byte
 * in their first 64 KiB are skipped with a line in the log.
 *
 * The last tenth of each file's bytes (rounded down, begun at a whole UTF-8 code point) is held
 * out; the two parts are tokenised separately, without BOS.
 *
 * n_paths = 0 takes the default corpus, much the same on every machine with the project's packages
 * installed: the licence texts in /usr/share/common-licenses, then the headers *.h of a few
 * packages it depends on (the list is in corpus.c), in this order, up to the file that would pass
 * 4 MB.
 *
 * SX_ENOINPUT if a given path does not exist or no text is found; SX_EDATA, SX_ENOMEM. */
sx_status sx_corpus_read(sx_corpus *out, sx_ctx *ctx, const char *const *paths, int64_t n_paths,
			 const sx_tokenizer *tok) SX_NODISCARD;
void sx_corpus_free(sx_corpus *c); /* frees what is inside */

/* What /meta/data_json says of it: files with sizes, counts, fingerprint, tokenizer. A new
 * reference (Jansson's json_t); NULL when memory is out. */
struct json_t;
struct json_t *sx_corpus_json(const sx_corpus *c);

#endif

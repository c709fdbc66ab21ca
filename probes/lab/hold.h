/* One process at a time writes a folder: a run's, a study's. Readers ask nobody. */
#ifndef SX_PROBES_LAB_HOLD_H
#define SX_PROBES_LAB_HOLD_H

#include "engine/base.h"

/* FOLDER/lock, locked while a process holds the folder; it says which one, where, since when. The lock is
 * the kernel's (fcntl, of the open file): the end of the process releases it, however it ends. It belongs
 * to the machines that see the file: NFS from version 4 (3 with its lock daemon), Lustre mounted with
 * "flock", CephFS, GPFS and SMB tell each other; Lustre with "localflock", NFS with "nolock" or
 * "local_lock" and BeeGFS as it comes keep it to one machine. After a machine's crash a server may keep
 * the lock for its lease, a minute or two. */
typedef struct {
	char *path;
	int fd;
} sx_hold;

/* what: who is refused, for the sentence: "training run", "study". inherited: children hold it too, so
 * that what a killed process leaves running is not disturbed. The folder must be there. SX_ECREATE
 * where another process holds it, naming that, or nothing can be made in it; where the file system
 * knows no locks a warning, and SX_OK. On failure *h holds nothing. */
sx_status sx_hold_take(sx_hold *h, sx_ctx *ctx, const char *folder, const char *what,
		       bool inherited) SX_NODISCARD;
/* Releases the folder, and leaves no file in it. One that holds nothing (path NULL) is left alone. */
void sx_hold_release(sx_hold *h);

#endif

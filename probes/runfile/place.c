/* Where a run file may live: SWMR needs a file system that keeps the order of writes for every reader,
 * which those over a network do not promise. */
#include "probes/runfile/runfile.h"

#include <sys/statfs.h>

bool sx_fs_is_networked(uint32_t type)
{
	/* Numbers of linux/magic.h, or where it has none of the file system's own sources. */
	static const uint32_t types[] = {
		0x6969,     /* NFS      */
		0x517b,     /* SMB      */
		0xfe534d42, /* SMB2     */
		0xff534d42, /* CIFS     */
		0x65735546, /* FUSE     */
		0x01021997, /* 9P       */
		0x73757245, /* Coda     */
		0x5346414f, /* AFS      */
		0x6b414653, /* kAFS     */
		0x00c36400, /* Ceph     */
		0x0bd00bd0, /* Lustre   */
		0x47504653, /* GPFS     */
		0x19830326, /* BeeGFS   */
		0xaad7aaea, /* PanFS    */
		0x20030528, /* OrangeFS */
		0x01161970, /* GFS2     */
		0x7461636f, /* OCFS2    */
		0x786f4256, /* VirtualBox shared folders */
	};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i] == type) return true;
	return false;
}

bool sx_path_is_networked(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && sx_fs_is_networked((uint32_t)fs.f_type);
}

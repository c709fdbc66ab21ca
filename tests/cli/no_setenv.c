/* A library for LD_PRELOAD, for tests alone: nothing can be added to the environment. */
#include <errno.h>
#include <stdlib.h>

int setenv(const char *name, const char *value, int overwrite)
{
	(void)name, (void)value, (void)overwrite;
	errno = ENOMEM;
	return -1;
}

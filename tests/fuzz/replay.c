/* Gives the files of a folder to a fuzz target, one by one: the target as a test, in any build. */
#include "tests/fuzz/fuzz.h"

#include "engine/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int replay(const char *path)
{
	sx_ctx ctx;
	char *data;
	size_t size;
	sx_ctx_init(&ctx);
	if (sx_read_file(&ctx, path, &data, &size) != SX_OK) {
		fprintf(stderr, "%s\n", ctx.message);
		return 1;
	}
	/* of the very size, so that a sanitizer sees who reads one byte more */
	unsigned char *exact = malloc(size ? size : 1);
	for (size_t i = 0; exact && i < size; i++) exact[i] = (unsigned char)data[i];
	if (exact) LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	free(data);
	return exact ? 0 : 1;
}

int main(int argc, char **argv)
{
	int bad = 0, n = 0;
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	if (!d) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 64;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.') continue;
		char *path = sx_format("%s/%s", argv[1], e->d_name);
		bad |= path ? replay(path) : 1;
		free(path);
		n++;
	}
	closedir(d);
	printf("%d seeds\n", n);
	return bad || n == 0;
}

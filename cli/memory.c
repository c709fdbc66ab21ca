#include "cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t sx_memory_available(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long long kib = -1;
	while (f && kib < 0 && fgets(line, sizeof line, f)) {
		static const char name[] = "MemAvailable:";
		if (strncmp(line, name, strlen(name)) == 0) kib = atoll(line + strlen(name));
	}
	if (f) fclose(f);
	return kib < 0 ? -1 : kib * 1024;
}

int64_t sx_memory_parse(struct argp_state *state, const char *option, const char *arg)
{
	static const char units[] = "KMGT";
	char *end;
	long long n = strtoll(arg, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;
	if (end == arg || n < 1 || (*end && (!unit || end[1])) || n > INT64_MAX >> shift)
		argp_error(state, "%s %s: want bytes, e.g. 500M or 8G", option, arg);
	return (int64_t)n << shift;
}

sx_status sx_memory_check(sx_ctx *ctx, const sx_memory_line *line, int n, int64_t limit,
			  const char *what)
{
	int64_t need = 0, room = limit ? limit : sx_memory_available();
	const sx_memory_line *most = line;
	for (int i = 0; i < n; i++) {
		need += line[i].bytes;
		if (line[i].bytes > most->bytes) most = &line[i];
	}
	if (room < 0 || need <= room) return SX_OK;
	return sx_fail(ctx, SX_ECONFIG,
		       "%s needs %.1f MiB of memory, %.1f MiB of it for %s, and %.1f MiB are %s",
		       what, (double)need / 0x1p20, (double)most->bytes / 0x1p20, most->name,
		       (double)room / 0x1p20, limit ? "allowed (--memory)" : "available");
}

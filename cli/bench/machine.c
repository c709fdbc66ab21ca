#include "cli/bench/bench.h"
#include "engine/op/blas.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static void cpu_name(char out[128])
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");
	snprintf(out, 128, "unknown");
	while (f && fgets(line, sizeof line, f)) {
		char *name = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
		if (!name) continue;
		name[strcspn(name, "\n")] = '\0';
		snprintf(out, 128, "%s", name + 2);
		break;
	}
	if (f) fclose(f);
}

static double seconds_of(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* user nice system idle iowait irq softirq steal, in ticks: proc(5). */
sx_clocks sx_clocks_now(void)
{
	sx_clocks c = {.all = -1};
	long long v[8];
	FILE *f = fopen("/proc/stat", "r");
	if (f && fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2],
			&v[3], &v[4], &v[5], &v[6], &v[7]) == 8)
		c.all = (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) /
			(double)sysconf(_SC_CLK_TCK);
	if (f) fclose(f);
	c.own = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	c.wall = seconds_of(CLOCK_MONOTONIC);
	return c;
}

double sx_foreign_cores(sx_clocks a, sx_clocks b)
{
	double others = (b.all - a.all) - (b.own - a.own);
	return a.all < 0 || b.all < 0 || others < 0 ? 0 : others / (b.wall - a.wall);
}

void sx_print_shape(const char *what, const sx_bench_args *a)
{
	const sx_spec *p = &a->spec;
	printf("%-9s L%d C%d H%d F%d V%d, %lld windows of %lld tokens, %.1f M parameters", what,
	       p->L, p->C, p->H, p->F, p->V, (long long)a->batch, (long long)p->T,
	       1e-6 * (double)sx_spec_params(p));
}

json_t *sx_shape_json(const sx_bench_args *a)
{
	const sx_spec *p = &a->spec;
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "layers", p->L, "width", p->C,
			 "heads", p->H, "ffn", p->F, "vocab", p->V, "context", (json_int_t)p->T,
			 "batch", (json_int_t)a->batch, "parameters",
			 (json_int_t)sx_spec_params(p));
}

void sx_print_machine(void)
{
	char cpu[128];
	cpu_name(cpu);
	printf("machine   %s, %d threads\n", cpu, sx_blas_threads());
	printf("OpenBLAS  %s build, core %s (%s)\n", sx_blas_build(), sx_blas_core(),
	       sx_blas_config());
}

json_t *sx_machine_json(void)
{
	char cpu[128];
	cpu_name(cpu);
	return json_pack("{s:s, s:i, s:s, s:s, s:s}", "cpu", cpu, "threads", sx_blas_threads(),
			 "openblas_core", sx_blas_core(), "openblas_build", sx_blas_build(),
			 "openblas_config", sx_blas_config());
}

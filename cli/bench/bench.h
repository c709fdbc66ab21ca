/* The benchmarks of `sextant bench`, and what they share: their settings, the machine they run on, the
 * share of it that other programs took. */
#ifndef SX_CLI_BENCH_BENCH_H
#define SX_CLI_BENCH_BENCH_H

#include "cli/out.h"
#include "engine/spec.h"

typedef struct {
	sx_common common;
	const char *what;
	sx_spec spec; /* checked */
	int64_t batch, rounds, pairs;
	const char *observers; /* of `probes` and `pass`; NULL: all */
	/* The last option given that is of `step`, of the two others, of any; NULL: none. */
	const char *of_step, *of_pairs, *of_any;
} sx_bench_args;

/* Each measures for a while; then prints text or, with --json, sets *doc. */
typedef sx_status sx_bench_fn(json_t **doc, sx_ctx *ctx, const sx_bench_args *a);
sx_bench_fn sx_bench_steps;  /* a training step beside the products in it               */
sx_bench_fn sx_bench_probes; /* what observers add to a training step                   */
sx_bench_fn sx_bench_pass;   /* what observers add to a forward pass                    */

/* ---- the machine ---- */

/* Seconds: passed, used by us, used by everyone; all < 0 = unknown. */
typedef struct {
	double wall, own, all;
} sx_clocks;
sx_clocks sx_clocks_now(void);
/* Cores that others kept busy between a and b; 0 where it cannot be known. */
double sx_foreign_cores(sx_clocks a, sx_clocks b);
#define SX_NOISY 0.1 /* foreign cores from which on times are uncertain */

/* Two lines: the processor and the threads, the build and core of OpenBLAS. */
void sx_print_machine(void);
json_t *sx_machine_json(void);
/* Shape and batch: as words, and as an object. */
void sx_print_shape(const char *what, const sx_bench_args *a);
json_t *sx_shape_json(const sx_bench_args *a);

#endif

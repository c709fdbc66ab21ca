/* Families of positional weights c: rows whose visible entries sum to zero (DroPE,
 * arXiv:2512.12167, Def. 3.1). To add one: a function and a row in families.c.
 *
 * With a sliding window a row has n_i visible keys, and n_i stands wherever the formulas have i.
 * Rows in which a family is not defined are zero. */
#ifndef SX_PROBES_OBSERVE_FAMILIES_H
#define SX_PROBES_OBSERVE_FAMILIES_H

#include "engine/base.h"
#include "engine/real.h"

enum { SX_FAMILY_NAME = 24, SX_FAMILY_MOST = 16 };

typedef struct {
	char name[SX_FAMILY_NAME]; /* as the user wrote it: "diagonal", "offset:3" */
	int row;                   /* of the table */
	int64_t k;                 /* the number after the colon */
} sx_family;

/* "diagonal": c_ii = 1, others -1/(i-1). "previous" = "offset:1". "offset:K", K >= 1: c_{i,i-K} = 1,
 * others -1/(i-1). "first": c_i1 = 1, others -1/(i-1), where key 1 is visible. "window:W": 1 for
 * i-j < W, others -W/(i-W). "own": alpha_ij - 1/i, held fixed in gradients (Prop. 3.3). SX_ECONFIG
 * for an unknown name, with what is known. */
sx_status sx_family_parse(sx_family *f, sx_ctx *ctx, const char *text) SX_NODISCARD;

/* Rows of a simple form: of the visible keys, counted from the first one, [lo, hi) have c = 1 and the
 * others `off`; all 0 where the family is not defined. Then sum_j c_ij p_ij needs the
 * mass on either only. */
typedef struct {
	int64_t lo, hi;
	double off;
} sx_family_marks;
/* false, and *m untouched, for a family without this form: `own`. */
bool sx_family_marked(sx_family_marks *m, const sx_family *f, int64_t i, int64_t first);

/* Row i (from 0) over the visible keys first..i: c has i - first + 1 entries; p their probabilities
 * (`own` reads them). */
void sx_family_row(const sx_family *f, int64_t i, int64_t first, const sx_real *p, double *c);

#endif

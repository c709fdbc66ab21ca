/* Verdicts on the theory's inequalities and identities (DroPE, arXiv:2512.12167; the forms are in
 * docs/definitions.md), from both sides as a pass measured them. Pure functions of arrays, and the
 * reader of a run file's /bounds. */
#ifndef SX_ANALYSIS_BOUNDS_H
#define SX_ANALYSIS_BOUNDS_H

#include "engine/base.h"

/* Words of /bounds/verdict. SX_VERDICT_NONE: nothing was evaluated (a side is not a number). */
typedef enum {
	SX_VERDICT_HOLDS,
	SX_VERDICT_VIOLATED,
	SX_VERDICT_NOT_APPLICABLE,
	SX_VERDICT_NONE = 255
} sx_verdict;
const char *sx_verdict_name(uint8_t v);
/* Words of /bounds/reason, in plain English; 0 is "applicable". */
enum { SX_REASONS = 9 }; /* of them; the last is for what is not known */
const char *sx_reason_name(uint8_t reason);

/* (S,L,H,n) each, borrowed; lhs and rhs in the worst row, NaN where not evaluated; row -1 = the whole
 * head. Names: "I9", or "I9:diagonal" with the family of c; those of identities begin with E1. */
typedef struct {
	int64_t S, L, H, n;
	const char *const *name; /* (n) */
	const double *lhs, *rhs, *rhs_paper, *allowance;
	const int32_t *row;
	const uint8_t *reason; /* 0 = applicable */
} sx_bounds;

/* holds: lhs <= rhs + allowance; of an identity |lhs - rhs| <= allowance. verdict (S,L,H,n). */
void sx_bounds_judge(uint8_t *verdict, const sx_bounds *b);
/* How near it is to failing: lhs / (rhs + allowance), of an identity |lhs - rhs| / allowance. At most
 * 1 where it holds; NaN where nothing was evaluated. */
double sx_bounds_ratio(const sx_bounds *b, int64_t at);

/* All heads and sequences of one inequality, and of all its families of c where they are merged. */
typedef struct {
	char name[48];
	int64_t evaluated, violated, not_applicable, missing;
	uint8_t reason;              /* the commonest where not applicable                      */
	int64_t reasons[SX_REASONS]; /* how many for each                                    */
	double tightest, median;     /* of sx_bounds_ratio; NaN where none                      */
	double paper;                /* median of rhs_paper / rhs; NaN where there is none      */
	int64_t paper_broken;        /* evaluations in which the paper's own form fails         */
	int64_t at;                  /* the tightest's place in the arrays; -1 = none           */
} sx_bounds_line;

/* "not NoPE", of several "not NoPE 12, not a constant sequence 4", the commonest first; "" where all
 * was applicable. */
void sx_bounds_reasons(char *to, size_t size, const sx_bounds_line *l);

/* A line per name, or per name before the colon where `merge`, in the order of the names. *out is the
 * caller's. SX_ENOMEM. */
sx_status sx_bounds_summary(sx_bounds_line **out, int64_t *n, sx_ctx *ctx, const sx_bounds *b,
			    const uint8_t *verdict, bool merge) SX_NODISCARD;

/* One record of a run file's /bounds, owned. */
typedef struct {
	sx_bounds b;
	int64_t step;
	char **name;
	double *lhs, *rhs, *rhs_paper, *allowance;
	int32_t *row;
	uint8_t *reason;
} sx_bounds_record;
/* The last record of a file or run folder. SX_EDATA where it has no /bounds; SX_ENOINPUT, SX_ENOMEM. */
sx_status sx_bounds_read(sx_bounds_record *out, sx_ctx *ctx, const char *path) SX_NODISCARD;
void sx_bounds_record_free(sx_bounds_record *r); /* frees what is inside */

#endif

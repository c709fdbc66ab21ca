/* The parameters of positional methods, as one const table. Whoever reads, writes, copies,
 * compares or checks options loops over it. A new parameter: a field of sx_pos_opts (counted in
 * pos.h), and its row in params.c. */
#ifndef SX_ENGINE_POS_PARAMS_H
#define SX_ENGINE_POS_PARAMS_H

#include "engine/pos/pos.h"

/* What a field of sx_pos_opts is in C: char[16], double, int64_t, bool, sx_pos_list. */
typedef enum { SX_POS_METHOD, SX_POS_REAL, SX_POS_WHOLE, SX_POS_FLAG, SX_POS_LIST } sx_pos_type;

/* clang-format off */
typedef struct {
	const char *name, *key; /* "theta" in files; "pos.theta" in settings and messages         */
	sx_pos_type type;
	size_t offset;          /* of the field in sx_pos_opts                                    */
	bool of_method;         /* belongs to one method: a model's value is wrong for another    */
	bool quiet;             /* left out of models' files where it has its default             */
	const char *fallback;   /* the default, as text; "nan": NaN stands for "not set"          */
	double least;           /* HUGE_VAL in `most` and `guard`: every finite number; of a list,
	                           each of its numbers                                            */
	bool above;             /* `least` itself is not allowed                                  */
	double most;
	double guard;           /* a further upper bound, against overflow: not worth stating     */
	const char *must;       /* "must be positive"; NULL where no check of its own is made     */
	const char *meaning;
} sx_pos_param;
/* clang-format on */
extern const sx_pos_param sx_pos_params[]; /* SX_POS_PARAMS rows; ends with a NULL name */
const sx_pos_param *sx_pos_param_find(const char *name); /* NULL if unknown */

/* Each sets the field of a row; false, and nothing is changed, where the row is of another type (a
 * real takes no whole number: cast it). Bounds are sx_pos_opts_check's. Text is for a row of any
 * type: a method's name that is short enough, a number, "true" or "false", numbers with commas between
 * them or nothing. */
bool sx_pos_set_real(const sx_pos_param *p, sx_pos_opts *o, double v);
bool sx_pos_set_whole(const sx_pos_param *p, sx_pos_opts *o, int64_t v);
bool sx_pos_set_flag(const sx_pos_param *p, sx_pos_opts *o, bool v);
bool sx_pos_set_list(const sx_pos_param *p, sx_pos_opts *o, const double *v, int64_t n);
bool sx_pos_set_text(const sx_pos_param *p, sx_pos_opts *o, const char *text);
/* The value of a row: each for its own type, NULL, NaN, 0, false, NULL for a row of another. */
const char *sx_pos_method_name(const sx_pos_param *p, const sx_pos_opts *o);
double sx_pos_real(const sx_pos_param *p, const sx_pos_opts *o);
int64_t sx_pos_whole(const sx_pos_param *p, const sx_pos_opts *o);
bool sx_pos_flag(const sx_pos_param *p, const sx_pos_opts *o);
const sx_pos_list *sx_pos_list_of(const sx_pos_param *p, const sx_pos_opts *o);
/* Whether a model's file says it. */
bool sx_pos_param_said(const sx_pos_param *p, const sx_pos_opts *o);

/* One field from another struct; whether two have it the same, NaN being the same as NaN. */
void sx_pos_param_copy(const sx_pos_param *p, sx_pos_opts *to, const sx_pos_opts *from);
bool sx_pos_param_same(const sx_pos_param *p, const sx_pos_opts *a, const sx_pos_opts *b);
bool sx_pos_opts_same(const sx_pos_opts *a, const sx_pos_opts *b);

/* SX_ECONFIG where a number is out of its range, or two contradict each other. Not the method's
 * name, nor what depends on a model (sx_pos_plan_make). */
sx_status sx_pos_opts_check(const sx_pos_opts *o, sx_ctx *ctx) SX_NODISCARD;

#endif

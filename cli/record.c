#include "cli/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t parse_step(struct argp_state *state, const char *arg)
{
	char *end;
	errno = 0;
	long long v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < 0)
		argp_error(state, "--step %s: must be a whole number, at least 0", arg);
	return v;
}

static int parse_phase(struct argp_state *state, const char *arg)
{
	bool later = strcmp(arg, "recalibration") == 0;
	if (!later && strcmp(arg, "pretrain") != 0)
		argp_error(state, "--phase %s: known are pretrain, recalibration", arg);
	return later;
}

static unsigned parse_kinds(struct argp_state *state, const char *arg)
{
	unsigned kinds = 0;
	const char *next = arg;
	for (size_t n; next; next = next[n] ? next + n + 1 : NULL) {
		char word[SX_RUN_WORD];
		int k = 0;
		n = strcspn(next, ",");
		while (sx_run_word(word, SX_RUN_STATS_SEQUENCE_KIND, k) &&
		       (strlen(word) != n || strncmp(word, next, n) != 0))
			k++;
		if (k == SX_RUN_SEQUENCE_KINDS)
			argp_error(state,
				   "--kinds %s: known are text, repeated, retrieval, constant",
				   arg);
		kinds |= 1U << k;
	}
	return kinds;
}

error_t sx_record_parse(sx_record_args *r, int key, const char *arg, struct argp_state *state)
{
	switch (key) {
	case SX_KEY_STEP:
		r->step = parse_step(state, arg);
		return 0;
	case SX_KEY_PHASE:
		r->phase = parse_phase(state, arg);
		return 0;
	case SX_KEY_KINDS:
		r->kinds = parse_kinds(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *sx_phase_text(int phase)
{
	static const char *const names[] = {"pretrain", "recalibration"};
	return phase == 0 || phase == 1 ? names[phase] : "phase not known";
}

json_t *sx_interval_json(sx_interval i)
{
	return json_pack("{s:o, s:o, s:o}", "value", sx_json_number(i.value), "lo",
			 sx_json_number(i.lo), "hi", sx_json_number(i.hi));
}

json_t *sx_kinds_json(const int64_t of_kind[SX_RUN_SEQUENCE_KINDS])
{
	json_t *kinds = json_object();
	char word[SX_RUN_WORD];
	for (int k = 0; sx_run_word(word, SX_RUN_STATS_SEQUENCE_KIND, k); k++)
		json_object_set_new(kinds, word, json_integer((json_int_t)of_kind[k]));
	return kinds;
}

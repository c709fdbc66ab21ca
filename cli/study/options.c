/* What entries of a recipe may say besides which runs they look at: words for the verbs. */
#include "cli/study/study.h"
#include "engine/pos/pos.h"
#include "engine/text/language.h"
#include "probes/observe/families.h"

#include <stdlib.h>
#include <string.h>

const sx_study_option sx_study_options[SX_STUDY_OPTIONS + 1] = {
	{SX_ITEM_TRACE, "sequences", SX_STUDY_COUNT},
	{SX_ITEM_TRACE, "length", SX_STUDY_COUNT},
	{SX_ITEM_TRACE, "maps", SX_STUDY_WORDS},
	{SX_ITEM_TRACE, "ac", SX_STUDY_WORDS},
	{SX_ITEM_TRACE, "precision", SX_STUDY_WORDS},
	{SX_ITEM_EVAL, "lengths", SX_STUDY_COUNTS},
	{SX_ITEM_EVAL, "windows", SX_STUDY_COUNT},
	{SX_ITEM_EVAL, "methods", SX_STUDY_WORDS},
	{SX_ITEM_EVAL, "temperatures", SX_STUDY_REALS},
	{SX_ITEM_EVAL, "kinds", SX_STUDY_WORDS},
	{SX_ITEM_EVAL, "facts", SX_STUDY_COUNT},
	{SX_ITEM_EVAL, "trials", SX_STUDY_COUNT},
	{SX_ITEM_EVAL, "choose", SX_STUDY_COUNT},
	{SX_ITEM_BOUNDS, "sequences", SX_STUDY_COUNT},
	{SX_ITEM_BOUNDS, "length", SX_STUDY_COUNT},
	{SX_ITEM_BOUNDS, "ac", SX_STUDY_WORDS},
	{SX_ITEM_BOUNDS, "precision", SX_STUDY_WORDS},
	{SX_ITEM_TRACE, "kinds", SX_STUDY_WORDS},
	{SX_ITEM_BOUNDS, "kinds", SX_STUDY_WORDS},
	{SX_ITEM_TRACE, "words", SX_STUDY_PATH},
	{SX_ITEM_TRACE, "batch-grad", SX_STUDY_FLAG},
	{SX_ITEM_BOUNDS, "words", SX_STUDY_PATH},
	{SX_ITEM_BOUNDS, "mix", SX_STUDY_REALS},
	{SX_ITEM_TRACE, "toward", SX_STUDY_COUNT},
	{SX_ITEM_TRACE, "observe", SX_STUDY_WORDS},
};

static bool is_word(sx_item_kind kind, const char *key, const char *s)
{
	if (strcmp(key, "methods") == 0) return sx_pos_find(s) != NULL;
	if (strcmp(key, "precision") == 0) return !strcmp(s, "f32") || !strcmp(s, "f64");
	if (strcmp(key, "observe") == 0)
		return !strcmp(s, "stats") || !strcmp(s, "rope") || !strcmp(s, "ac");
	if (strcmp(key, "ac") == 0) {
		sx_family f;
		return sx_family_parse(&f, NULL, s) == SX_OK;
	}
	if (strcmp(key, "kinds") == 0) {
		bool known = false, needle = kind == SX_ITEM_EVAL;
		for (int k = 0; k < (needle ? (int)SX_NEEDLE_KINDS : (int)SX_PROBE_KINDS); k++)
			known = known || !strcmp(s, needle ? sx_needle_kind_name((sx_needle_kind)k)
							   : sx_probe_kind_name((sx_probe_kind)k));
		return known;
	}
	return *s != '\0';
}

bool sx_study_is_value(const sx_study_option *o, const char *s)
{
	sx_study_type type = o->type;
	char *end = NULL;
	if (strchr(s, ',')) return false;
	if (type == SX_STUDY_WORDS) return is_word(o->kind, o->key, s);
	if (type == SX_STUDY_PATH) return sx_path_exists(s);
	if (type == SX_STUDY_FLAG) return strcmp(s, "true") == 0;
	if (!*s || s[strspn(s, type == SX_STUDY_REALS ? "0123456789.eE+-" : "0123456789")])
		return false;
	double v = strtod(s, &end);
	return !*end && (type == SX_STUDY_REALS ? v >= 0 && v < 1e9 : v >= 1 && v < 1e9);
}

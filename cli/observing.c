#include "cli/observing.h"

#include <string.h>

static int top(const char *arg, struct argp_state *state)
{
	int64_t n = sx_parse_count(state, "--top", arg);
	if (n > SX_REDUCE_TOP) argp_error(state, "--top %s: want at most %d", arg, SX_REDUCE_TOP);
	return (int)n;
}

/* The options of /reduce and /sites. */
static error_t parse_reduce(sx_observe_words *w, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case SX_KEY_REDUCE:
		w->reduce.what = arg ? arg : "all";
		break;
	case SX_KEY_SPANS:
		w->reduce.spans = arg;
		break;
	case SX_KEY_TOP:
		w->reduce.top = top(arg, state);
		break;
	case SX_KEY_THUMBNAILS:
		w->reduce.thumbnails = sx_parse_count(state, "--thumbnails", arg);
		break;
	case SX_KEY_HEADS:
		w->reduce.heads = arg;
		return 0;
	case SX_KEY_ROWS:
		w->reduce.rows = arg;
		return 0;
	case SX_KEY_SITES:
		w->sites = arg;
		w->given = true;
		return 0;
	case ARGP_KEY_END:
		if ((w->reduce.heads || w->reduce.rows) && !w->reducing && !w->sites)
			argp_error(state, "--heads and --rows belong to --reduce, --spans, --top, "
					  "--thumbnails, --sites");
		if ((w->maps_typed || w->maps_stored) && !w->maps)
			argp_error(state, "--maps-type and --maps-stored belong to --maps");
		return ARGP_ERR_UNKNOWN;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	w->reducing = w->given = true;
	return 0;
}

error_t sx_observe_parse(sx_observe_words *w, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case SX_KEY_OBSERVE:
		w->observe = arg;
		break;
	case SX_KEY_MAPS:
		w->maps = arg;
		break;
	case SX_KEY_MAPS_TYPE:
		w->maps_f32 = sx_parse_maps_type(state, arg);
		w->maps_typed = true;
		return 0;
	case SX_KEY_MAPS_STORED:
		w->maps_stored = true;
		return 0;
	case SX_KEY_LOGITS:
		w->logits = true;
		break;
	case SX_KEY_GRAD:
		w->grad = true;
		break;
	default:
		return parse_reduce(w, key, arg, state);
	}
	w->given = true;
	return 0;
}

static sx_status choose_observers(sx_measure_opts *o, sx_ctx *ctx, const char *list)
{
	const char *s = !list ? "stats,rope,ac" : strcmp(list, "none") == 0 ? "" : list;
	while (*s) {
		size_t n = strcspn(s, ",");
		if (n == 5 && strncmp(s, "stats", n) == 0)
			o->stats = true;
		else if (n == 4 && strncmp(s, "rope", n) == 0)
			o->rope = true;
		else if (n == 2 && strncmp(s, "ac", n) == 0)
			o->ac = o->ac_gradients = o->spread = true;
		else if (n == 8 && strncmp(s, "ac_value", n) == 0)
			o->ac = true;
		else
			return sx_fail(ctx, SX_EUSAGE,
				       "--observe %s: want stats, rope, ac, ac_value with commas, "
				       "or none",
				       list);
		s += n + (s[n] == ',');
	}
	return SX_OK;
}

sx_status sx_observe_choose(sx_measure_opts *o, sx_map_choice **map, sx_reduce **reduce,
			    sx_sites **sites, sx_ctx *ctx, const sx_observe_words *w,
			    const sx_spec *s, int64_t S, int64_t T)
{
	sx_status st = SX_OK;
	const sx_sites_words kept = {w->sites, w->reduce.heads, w->reduce.rows};
	*map = NULL;
	*reduce = NULL;
	*sites = NULL;
	*o = (sx_measure_opts){.grad = w->grad};
	SX_TRY(choose_observers(o, ctx, w->observe));
	if (w->maps) SX_TRY(sx_select_heads(map, &o->n_map, ctx, w->maps, s->L, s->H));
	if (w->reducing) SX_TRY(sx_reduce_new(reduce, ctx, &w->reduce, s->L, s->H, S, T));
	if (w->sites) SX_TRY(sx_sites_new(sites, ctx, &kept, s, S, T));
	o->map = *map;
	o->reduce = *reduce;
	o->sites = *sites;
out:
	return st;
}

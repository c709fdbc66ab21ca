/* Layers that differ, whatever the method is: some are not rotated, some see all keys. */
#include "engine/pos/pos.h"

static bool listed(const sx_pos_list *l, int layer)
{
	return l->n == 0 || l->at[layer % l->n] > 0;
}

void sx_pos_of_layer(const sx_pos_opts *o, int layer, sx_pos_plan *p)
{
	if (!listed(&o->windowed_layers, layer)) p->window = 0;
	if (listed(&o->rotated_layers, layer)) return;
	for (int m = 0; m < p->n_freq; m++) p->inv_freq[m] = 0;
	p->attention_factor = 1;
}

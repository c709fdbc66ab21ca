/* Names of inputs and series: lists of them as a user writes them, and the name that a path gives. */
#ifndef SX_ANALYSIS_GALLERY_LABELS_H
#define SX_ANALYSIS_GALLERY_LABELS_H

#include "engine/base.h"

/* Lists with commas between; a part with a comma stands in quotes, and a quote inside of them twice:
 * `RoPE,"DroPE, tuned"`. The i-th part, or NULL; how many; n of them as a list. Texts are the
 * caller's. */
char *sx_label_part(const char *labels, int i);
int sx_label_count(const char *labels);
char *sx_label_join(const char *const *label, int n);
/* The last part of a path, without .h5 or a slash at the end. The caller's. */
char *sx_label_of_path(const char *path);

#endif

/* `sextant figure` as a test says it. */
#ifndef SX_TESTS_FIGURE_VERB_H
#define SX_TESTS_FIGURE_VERB_H

#include "cli/cmd.h"
#include "tests/support/figure_folder.h"

extern const sx_cmd sx_cmd_figure;

/* The verb with arguments separated by spaces; % stands for the folder. */
static sx_status verb(sx_ctx *ctx, const char *line)
{
	char words[2048] = "figure ", *argv[20];
	int argc = 0;
	size_t n = strlen(words);
	for (; *line && n < sizeof words - sizeof dir; line++)
		n += (size_t)snprintf(words + n, sizeof words - n, *line == '%' ? "%s" : "%.1s",
				      *line == '%' ? dir : line);
	for (char *w = strtok(words, " "); w && argc < 19; w = strtok(NULL, " ")) argv[argc++] = w;
	argv[argc] = NULL;
	return sx_cmd_figure.run(ctx, argc, argv);
}

#endif

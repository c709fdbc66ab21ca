#include "probes/lab/stop.h"

#include <stddef.h>

const int sx_stop_signals[SX_STOP_SIGNALS] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU, SIGHUP};

/* A handler can reach nothing else. */
static volatile sig_atomic_t asked, interrupts, end_at_once;

static void on_signal(int number)
{
	asked = 1;
	if (number != SIGINT) return;
	if (++interrupts > 1 && end_at_once) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT); /* comes when the handler is left */
	}
}

void sx_stop_catch(bool at_once)
{
	struct sigaction before, act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigemptyset(&act.sa_mask);
	asked = interrupts = 0;
	end_at_once = at_once;
	for (size_t i = 0; i < SX_STOP_SIGNALS; i++)
		if (sigaction(sx_stop_signals[i], NULL, &before) == 0 &&
		    before.sa_handler != SIG_IGN)
			sigaction(sx_stop_signals[i], &act, NULL);
}

bool sx_stop_asked(void)
{
	return asked != 0;
}

bool sx_stop_in_haste(void)
{
	return interrupts > 1;
}

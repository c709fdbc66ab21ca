/* What asks a long piece of work to end: the signals of people, of schedulers, of limits. */
#ifndef SX_PROBES_LAB_STOP_H
#define SX_PROBES_LAB_STOP_H

#include <signal.h>
#include <stdbool.h>

/* SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU, SIGHUP */
enum { SX_STOP_SIGNALS = 6 };
extern const int sx_stop_signals[SX_STOP_SIGNALS];

/* From now on they are noted, and do nothing else; one that was ignored when the process began (nohup)
 * stays ignored. A second SIGINT, from somebody at a keyboard, is noted as haste, or, with `at_once`, ends
 * the process: schedulers and limits repeat the others without meaning more by it. */
void sx_stop_catch(bool at_once);
bool sx_stop_asked(void);
bool sx_stop_in_haste(void); /* a second SIGINT came */

#endif

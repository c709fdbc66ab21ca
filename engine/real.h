/* The engine exists in float and in double, from the same sources: they are compiled twice, the
 * second time with SX_F64, which makes sx_real a double and gives every symbol below the suffix
 * _f64. The program holds both. A name that is exported and depends on sx_real must be listed
 * here; tests/check_symbols.sh sees to that. This is the only #ifdef on precision. */
#ifndef SX_ENGINE_REAL_H
#define SX_ENGINE_REAL_H

#ifdef SX_F64
typedef double sx_real;
#	define SX_PRECISION "f64"
#	include "engine/names_f64.h"
#else
typedef float sx_real;
#	define SX_PRECISION "f32"
#endif

#endif

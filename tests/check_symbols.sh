#!/bin/sh
# Every symbol that the double build exports must carry the suffix _f64 (engine/names_f64.h), or the
# program would silently mix precisions.
set -u
bad=$(for lib in "$@"; do
	nm --defined-only --extern-only "$lib" 2>/dev/null | awk '$2 ~ /[TDBRi]/ {print $3}' |
		grep -E '^sx_' | grep -vE '_f64(\.|$)' | sed "s|^|$(basename "$lib"): |"
done)
[ -z "$bad" ] && { echo "symbols: fine"; exit 0; }
printf 'exported by the double build without _f64:\n%s\n' "$bad"
exit 1

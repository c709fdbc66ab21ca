# Sourced by scripts that call verbs: $sextant from $1, $here, an empty folder to work in, and counting.
# shellcheck shell=bash
# shellcheck disable=SC2034 # for whoever sources this
sextant=$(realpath "$1")
# shellcheck disable=SC2034
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAILED: $*"; }
# wanted exit code, text wanted on stderr (a regular expression), command
want() {
	local code=$1 text=$2 got
	shift 2
	"$@" >out.txt 2>err.txt
	got=$?
	if [ $got = "$code" ] && { [ -z "$text" ] || grep -qE -- "$text" err.txt; }; then
		ok
	else
		no "$* : exit $got, wanted $code and \"$text\"; said: $(cat err.txt)"
	fi
}
# a command that is to succeed
is() { if "$@"; then ok; else no "not so: $*"; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$1 and $2 differ"; fi; }
gone() { if [ -e "$1" ] || [ -L "$1" ]; then no "$1 is left behind"; else ok; fi; }
# the last line of a script
count() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}

#!/bin/sh
# Installs what is missing, builds Sextant three ways (gcc, clang, gcc with ASan and UBSan; warnings
# are errors everywhere), checks its style and runs in each build the tests that it can change.
#   scripts/test.sh           everything but the tests labelled slow
#   scripts/test.sh --quick   one build (gcc) and the tests labelled quick: seconds
#   scripts/test.sh --slow    the slow tests too: hours
#
# What runs where (labels: tests/CMakeLists.txt; filters: the test presets of CMakePresets.json):
#
#                               gcc -O3   clang -O3   gcc -O1, ASan + UBSan
#   engine, probes: programs    all       all         all        another compiler's vectors and order of
#                                                                operations; memory and arithmetic
#   analysis, cli: programs     all       -           all        no vector code: what clang says of them it
#                                                                says while it builds them
#   cli, study: scripts         all       -           all        every verb under the sanitizers
#   _f64: double twins          all       -           -          the float half is compiled from the same
#                                                                lines; test_gradients, test_ac_batch and
#                                                                test_toward are double in every build
#   test_bounds_models          100       100         20         models; a rare one breaks a bound in any
#                                                                build or in none
#   once: readers, sextant_py,  all       -           -          they watch the file system, or others'
#     readme, notebook, tables,                                    programs read what we wrote; the sanitizers
#     kill, test_inert_*, includes,                                do not stand test_kill's preload; includes
#     symbols                                                    and symbols are the same everywhere
set -eu
cd "$(dirname "$0")/.."
quick=no slow=no
for a in "$@"; do
	case $a in
	--quick) quick=yes ;;
	--slow) slow=yes ;;
	*) echo "usage: scripts/test.sh [--quick] [--slow]" >&2; exit 64 ;;
	esac
done
scripts/install-deps.sh --dev

begun=$(date +%s) total_passed=0 total_failed=0
say() { echo "== $* ($(($(date +%s) - begun)) s)"; }

# a preset
build() {
	say "$1: building"
	set -- "$1" -DSX_WERROR=ON
	if command -v ccache >/dev/null; then set -- "$@" -DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
	cmake --preset "$@" >"build/$1.log" 2>&1 || { cat "build/$1.log"; exit 1; }
	cmake --build --preset "$1" >"build/$1.log" 2>&1 || { tail -60 "build/$1.log"; exit 1; }
}

# a test preset
run_tests() {
	log=build/$1-tests.log code=0
	say "$1: testing"
	ctest --preset "$1" >"$log" 2>&1 || code=$?
	if [ $code = 0 ]; then tail -3 "$log"; else tail -150 "$log"; fi
	skipped=$(grep -c -i 'skipped' "$log" || true)
	[ "$skipped" = 0 ] || echo "   ($skipped lines say skipped: files of ../shared or a tool are not there)"
	# "98% tests passed, 1 tests failed out of 63"
	counts=$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of \([0-9]*\)/\1 \2/p' "$log" | tail -1)
	failed=${counts% *} all=${counts#* }
	[ "${all:-0}" -gt 0 ] || { echo "no tests ran: $1"; exit 1; }
	[ $code = 0 ] || [ "$failed" != 0 ] || failed=1
	total_passed=$((total_passed + all - failed)) total_failed=$((total_failed + failed))
}

mkdir -p build
build release
if [ $quick = yes ]; then
	run_tests quick
else
	run_tests release
	say lint
	tests/lint.sh || total_failed=$((total_failed + 1))
	build clang
	run_tests clang
	build dev
	run_tests dev
fi
[ $slow = no ] || run_tests slow
say "all of it"
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" = 0 ]

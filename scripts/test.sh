#!/bin/sh
# Installs what is missing, builds Sextant three ways (gcc, clang, gcc with ASan and UBSan; warnings
# are errors everywhere), checks its style and runs the tests in each build.
#   scripts/test.sh           everything but the tests labelled slow
#   scripts/test.sh --quick   one build (gcc) and its tests
#   scripts/test.sh --slow    the slow tests too
set -eu
cd "$(dirname "$0")/.."
quick=no slow='-LE slow'
for a in "$@"; do
	case $a in
	--quick) quick=yes ;;
	--slow) slow='' ;;
	*) echo "usage: scripts/test.sh [--quick] [--slow]" >&2; exit 64 ;;
	esac
done
scripts/install-deps.sh --dev

total_passed=0 total_failed=0
# name, ctest options; builds with the preset of that name and runs its tests
run_build() {
	name=$1
	shift
	echo "== $name: building"
	cmake --preset "$name" -DSX_WERROR=ON >"build/$name.log" 2>&1 || { cat "build/$name.log"; exit 1; }
	cmake --build --preset "$name" >"build/$name.log" 2>&1 || { tail -60 "build/$name.log"; exit 1; }
	echo "== $name: testing"
	# shellcheck disable=SC2086 # options
	if (cd "build/$name" && ctest --output-on-failure $slow "$@") >"build/$name-tests.log" 2>&1; then
		tail -3 "build/$name-tests.log"
	else
		tail -150 "build/$name-tests.log"
		total_failed=$((total_failed + 1))
	fi
	skipped=$(grep -c -i 'skipped' "build/$name-tests.log" || true)
	[ "$skipped" = 0 ] || echo "   ($skipped lines say skipped: files of ../shared or a tool are not there)"
	n=$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of \([0-9]*\)/\2/p' "build/$name-tests.log" | tail -1)
	f=$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of \([0-9]*\)/\1/p' "build/$name-tests.log" | tail -1)
	[ "${n:-0}" -gt 0 ] || { echo "no tests ran in build/$name"; exit 1; }
	total_passed=$((total_passed + ${n:-0} - ${f:-0}))
	[ "${f:-0}" = 0 ] || total_failed=$((total_failed + f - 1))
}

mkdir -p build
run_build release
if [ $quick = no ]; then
	echo "== lint"
	tests/lint.sh || total_failed=$((total_failed + 1))
	run_build clang
	run_build dev -j 2
fi
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" = 0 ]

#!/bin/sh
# Style: formatting, spelling, shell scripts, headers that stand alone, length of files.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
sources=$(git ls-files -co --exclude-standard -- '*.c' '*.h')
have() { command -v "$1" >/dev/null 2>&1 || { echo "lint: $1 is not there, skipped"; return 1; }; }

if have clang-format; then
	# shellcheck disable=SC2086 # a list
	case $(clang-format --version) in
	*" 14."*) clang-format --dry-run --Werror $sources || bad=1 ;;
	*) echo "lint: clang-format is not version 14, skipped" ;;
	esac
fi
if have codespell; then
	git ls-files -co --exclude-standard | grep -vE '^(LICENSE|notebooks-out/.*/|tests/golden/|tests/fixtures/.*\.safetensors|tests/fixtures/tokenizers/|tests/fuzz/seeds/)' |
		xargs codespell -L ans,bu,ot,nd,fo,te,hist,ba,numer,parms,sur,iff,afile,clen,inout,heros,recal,trian -q 3 || bad=1
fi
if have shellcheck; then git ls-files -co --exclude-standard -- '*.sh' .ci/run | xargs shellcheck || bad=1; fi
if have cppcheck; then
	cppcheck -j "$(nproc)" --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr -I . \
		--suppress=missingIncludeSystem --suppress=uninitvar --suppress=unknownMacro --suppress=internalAstError \
		engine probes analysis cli || bad=1
fi
flags=$(pkg-config --cflags pangocairo hdf5 2>/dev/null)
export flags
# shellcheck disable=SC2016 # the inner shell's
git ls-files -co --exclude-standard -- '*.h' | grep -v '^engine/names_f64\.h$' | xargs -P "$(nproc)" -n 8 sh -c '
	bad=0
	for h; do
		printf "#include \"%s\"\n" "$h" |
			gcc $flags -std=c17 -D_POSIX_C_SOURCE=200809L -fsyntax-only -I . -Wall -Wno-unused -x c - 2>/dev/null ||
			{ echo "lint: $h does not stand alone"; bad=1; }
	done
	exit $bad' sh || bad=1
for f in $sources; do
	n=$(wc -l <"$f")
	[ "$n" -le 1000 ] || { echo "lint: $f has $n lines"; bad=1; }
done
[ $bad = 0 ] && echo "lint: fine"
exit $bad

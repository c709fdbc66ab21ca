#!/bin/bash
# Everything at once, offline: installs what is missing, builds, and makes the study "quickstart"
# (analysis/studies/quickstart.yaml): small models trained on this machine's C headers and licence
# texts with the retrieval language in them, every head watched while it happens, the rotation
# dropped, evaluated beyond the trained length; then a report to open.
#
#   scripts/demo.sh [--out DIR] [--text FILE]... [--seed N]... [--dry-run]
#
# RoPE     trained with rotation
# DroPE    the same run, rotation dropped at 7/8 of the training and the model recalibrated
# control  the same run, rotation kept, recalibrated for as many tokens: what the extra tokens do alone
# NoPE     trained without rotation for as many tokens as DroPE saw
#
# Each for two seeds, or those given. Stopped, the same command goes on. Runs go to DIR/runs, the report
# to DIR/report; DIR is demo-out unless given.
set -euo pipefail
cd "$(dirname "$0")/.."
out=demo-out texts=() seeds=() words=() dry=no
while [ $# -gt 0 ]; do
	case $1 in
	--out) out=$2; shift 2 ;;
	--text) texts+=("$(realpath "$2")"); shift 2 ;;
	--seed) seeds+=("$2"); shift 2 ;;
	--dry-run) dry=yes; shift ;;
	*) sed -n '2,17p' "$0" | cut -c3-; exit 64 ;;
	esac
done
say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
# a YAML list of the arguments
list() { local IFS=,; echo "[$*]"; }
started=$SECONDS

say "installing what is missing"
if ! command -v cmake >/dev/null || ! pkg-config --exists jansson yaml-0.1 openblas pangocairo libxxhash libdeflate hdf5 gsl ||
	[ ! -e /usr/include/Random123/philox.h ]; then
	scripts/install-deps.sh
fi
say "building"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target sextant; } >build/demo.log 2>&1; then
	tail -40 build/demo.log >&2
	echo "demo: the build failed, see build/demo.log" >&2
	exit 1
fi

# quoted as YAML does: a quote inside is written twice
for i in "${!texts[@]}"; do texts[i]="'${texts[i]//\'/\'\'}'"; done
[ ${#texts[@]} = 0 ] || words+=("data.text=$(list "${texts[@]}")")
[ ${#seeds[@]} = 0 ] || words+=("seeds=$(list "${seeds[@]}")")
[ $dry = no ] || words+=(--dry-run)
say "making the study"
build/release/cli/sextant study quickstart "${words[@]}" --work "$out/runs" -o "$out/report"
[ $dry = no ] || exit 0
if [ -e "$out/report/report.html" ]; then
	say "done in $((SECONDS - started)) s: open $out/report/report.html"
else
	say "done in $((SECONDS - started)) s: the runs and their files are in $out/runs"
fi

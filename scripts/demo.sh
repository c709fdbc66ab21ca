#!/bin/bash
# Everything at once, offline: installs what is missing, builds, and makes two studies of small models,
# trained on this machine's C headers and licence texts with the retrieval language in them: every head
# watched while it happens, the rotation dropped, evaluated beyond the trained length; each a report to
# open.
#
#   scripts/demo.sh [--quick] [--out DIR] [--text FILE]... [--seed N]... [--dry-run]
#
# First the quick form (analysis/studies/quick.yaml): one seed of two layers, a minute and a half. Then, unless
# --quick, the study "quickstart" (analysis/studies/quickstart.yaml): two seeds of five layers, ten to twenty
# minutes, with a report that grows as it goes.
#
# RoPE     trained with rotation
# DroPE    the same run, rotation dropped at 7/8 of the training and the model recalibrated
# control  the same run, rotation kept, recalibrated for as many tokens: what the extra tokens do alone
# NoPE     trained without rotation for as many tokens as DroPE saw
#
# --seed replaces the seeds of both, --text their text. Stopped, the same command goes on. The quick form goes
# to DIR/quick/runs and DIR/quick/report, the other to DIR/runs and DIR/report; DIR is demo-out unless given.
set -euo pipefail
cd "$(dirname "$0")/.."
out=demo-out texts=() seeds=() words=() dry=no quick=no
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes; shift ;;
	--out) out=$2; shift 2 ;;
	--text) texts+=("$(realpath "$2")"); shift 2 ;;
	--seed) seeds+=("$2"); shift 2 ;;
	--dry-run) dry=yes; shift ;;
	-h | --help) sed -n '2,/^set/p' "$0" | sed '$d' | cut -c3-; exit 0 ;;
	*) sed -n '2,/^set/p' "$0" | sed '$d' | cut -c3-; exit 64 ;;
	esac
done
say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
# a YAML list of the arguments
list() { local IFS=,; echo "[$*]"; }

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

# name, folder, further words
study() {
	local name=$1 folder=$2 begun=$SECONDS
	shift 2
	build/release/cli/sextant study "$name" ${words[@]+"${words[@]}"} "$@" --work "$folder/runs" -o "$folder/report"
	[ $dry = yes ] || say "$name took $((SECONDS - begun)) s: look at $folder/report/report.html"
}
say "making the quick study: one seed, two layers"
study quick "$out/quick"
[ $quick = yes ] || {
	say "going on with the study quickstart: two seeds, five layers; its page grows as parts are done"
	study quickstart "$out" --watch
}
[ $dry = yes ] || say "README.md, \"A first look\", goes on from here; the program is build/release/cli/sextant"

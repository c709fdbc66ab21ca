#!/bin/bash
# Everything at once, offline: installs what is missing, builds, trains four small models on this
# machine's C headers and licence texts with the retrieval language in them, watches every head while
# it happens, evaluates beyond the trained length, draws, and leaves a report to open.
#
#   scripts/demo.sh [--out DIR] [--text FILE]... [--seed N]
#
# RoPE     trained with rotation
# DroPE    the same run, rotation dropped at 7/8 of the training and the model recalibrated
# control  the same run, rotation kept, recalibrated for as many tokens: what the extra tokens do alone
# NoPE     trained without rotation for as many tokens as DroPE saw
set -euo pipefail
cd "$(dirname "$0")/.."
out=demo-out seed=1 texts=()
while [ $# -gt 0 ]; do
	case $1 in
	--out) out=$2; shift 2 ;;
	--text) texts+=("$2"); shift 2 ;;
	--seed) seed=$2; shift 2 ;;
	*) sed -n '2,12p' "$0" | cut -c3-; exit 64 ;;
	esac
done
say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
started=$SECONDS

if [ -e "$out/rope" ]; then
	echo "demo: $out holds a demo already; remove it or choose another --out" >&2
	exit 73
fi
say "installing what is missing"
if ! command -v cmake >/dev/null || ! pkg-config --exists jansson yaml-0.1 openblas pangocairo libxxhash libdeflate hdf5 gsl ||
	[ ! -e /usr/include/Random123/philox.h ]; then
	scripts/install-deps.sh
fi
say "building"
mkdir -p build "$out"
if ! { cmake --preset release && cmake --build --preset release --target sextant; } >build/demo.log 2>&1; then
	tail -40 build/demo.log >&2
	echo "demo: the build failed, see build/demo.log" >&2
	exit 1
fi
sx=$PWD/build/release/cli/sextant

# ---- training: two jobs at a time, one thread each, so that no core waits for another ----
drop=963 after=800
total=$((drop + after))
{
	echo "seed: $seed"
	echo "data:"
	if [ ${#texts[@]} = 0 ]; then
		echo "  text: []   # the default corpus"
	else
		printf '  text: ['
		for t in "${texts[@]}"; do printf '"%s", ' "$(realpath "$t")"; done
		echo ']'
	fi
	echo "train: {checkpoint_every: 400, checkpoint_at: [$drop]}"
	echo "probe: {maps: {every: 400}}"
	echo "eval: {every: 400, lengths: [128, 256], windows: 8, niah_trials: 20}"
} >"$out/demo.yaml"
cd "$out"
export OMP_NUM_THREADS=1
lengths=128,256,512,1024
temperatures=0,0.2,0.4
trials=120

train() { "$sx" train demo.yaml -o "$1" "${@:2}" >"$1.log" 2>&1; }
# every applicable method with the same temperatures, at 1x, 2x, 4x, 8x
grid() {
	"$sx" eval niah "$1" --kinds multi-key --facts 4 --lengths $lengths --trials $trials --windows 16 \
		--methods "$2" --temperatures $temperatures --json >"$1.niah.json" 2>"$1.eval.log"
	"$sx" eval ppl "$1" --lengths 128 --windows 128 --json >"$1.ppl.json" 2>>"$1.eval.log"
}
scaled=rope,pi,ntk,yarn
one() {
	train rope
	: >rope.done
	grid rope $scaled
	train control train.drop_at=$drop train.drop.to=keep train.drop.steps=$after --branch rope@$drop
}
two() {
	train nope pos.method=nope train.steps=$total
	while [ ! -e rope.done ]; do
		kill -0 "$job1" 2>/dev/null || return 1 # RoPE failed
		sleep 0.5
	done
	train drope train.drop_at=$drop train.drop.steps=$after --branch rope@$drop
	grid nope nope
	grid drope nope
}
say "training RoPE, then its control; beside it NoPE, then DroPE (logs in $out/*.log)"
one & job1=$!
two & job2=$!
trap 'kill $job1 $job2 2>/dev/null' INT TERM
fail() { kill $job1 $job2 2>/dev/null || true; for l in ./*.log; do echo "== $l"; tail -3 "$l"; done >&2; exit 1; }
# one line a minute and model while it trains, and one at its end
while kill -0 $job1 2>/dev/null || kill -0 $job2 2>/dev/null; do
	for l in rope control nope drope; do
		[ -e $l.said ] || [ ! -s $l.log ] && continue
		tail -1 $l.log | grep '^train:' | sed "s/^train:/          $l:/" || true
		if [ -e $l/run.h5 ]; then : >$l.said; fi
	done
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		kill -0 $job1 2>/dev/null || kill -0 $job2 2>/dev/null || break
		sleep 5
	done
done
wait $job1 || fail
wait $job2 || fail
say "evaluating the control"
unset OMP_NUM_THREADS
grid control $scaled || fail

# ---- what came out ----
say "drawing and writing the report"
{
	"$sx" figure loss rope drope control nope --label "RoPE,DroPE,RoPE control,NoPE" --style icml-full -o loss.pdf
	"$sx" figure loss rope drope control nope --label "RoPE,DroPE,RoPE control,NoPE" --style notebook -o loss.png
	"$sx" figure ac rope drope --style icml-full -o ac.pdf
	"$sx" figure ac rope drope --style icml-full -o ac.png
	"$sx" figure maps drope --style icml-full -o maps.png
} 2>figure.log

# value of a key in one line of our JSON
# shellcheck disable=SC2016 # awk programs
rows='
/"(method|label)":/  { split($0, q, "\""); method = q[4] }
/"length":/      { len = num($0) }
/"c":/           { c = num($0) }
/"beta":/        { beta = num($0) }
/"hits":/        { if (!inside) hits = num($0) }
/"trials":/      { if (!inside) trials = num($0) }
/"rate":/        { rate = num($0) }
/"text_nll_last":/ { text = num($0); key = method SUBSEP c; if (!(key in seen)) { order[++n] = key; seen[key] = 1 }
                   r[key, len] = rate; t[key, len] = text; nt[len] = trials }
/"by_distance":/ { inside = 1 }
/^    \}/        { inside = 0 }
function num(s) { sub(/.*: */, "", s); sub(/,$/, "", s); return s == "null" ? "nan" : s + 0 }
'
extension() { # model, name
	awk -v name="$2" "$rows"'
END {
	base = ""
	for (i = 1; i <= n; i++) { split(order[i], k, SUBSEP); if ((order[i], 128) in r) { base = order[i]; break } }
	one = r[base, 128]
	if (one < 0.8) { printf "%-9s not learned: %.2f of the needles at the trained length, so no extension table\n", name, one; exit }
	for (i = 1; i <= n; i++) {
		split(order[i], k, SUBSEP)
		if (k[1] != m0 && i > 1) print ""
		m0 = k[1]
		printf "%-9s %-16s %4s ", name, k[1], (k[2] == "nan" ? "-" : sprintf("%.1f", k[2]))
		printf "%6.2f", one
		for (len = 256; len <= 1024; len *= 2) printf ((order[i], len) in r) ? sprintf("%6.2f", r[order[i], len]) : "     -"
		printf "    "
		printf "%6.2f", t[base, 128]
		for (len = 256; len <= 1024; len *= 2) printf ((order[i], len) in t) ? sprintf("%6.2f", t[order[i], len]) : "     -"
		print ""
	}
}' "$1.niah.json"
}
losses() {
	for m in rope drope control nope; do
		awk -v name=$m '/"nll":/ {sub(/.*: */, ""); nll = $0 + 0} /"se":/ {sub(/.*: */, ""); se = $0 + 0}
			/"text_nll":/ {sub(/.*: */, ""); text = $0 + 0} /"query_hits":/ {sub(/.*: */, ""); h = $0 + 0}
			/"query_trials":/ {sub(/.*: */, ""); q = $0 + 0}
			END {printf "%-9s %8.3f +- %.3f %9.3f %12.3f\n", name, nll, se, text, h / q}' $m.ppl.json
	done
}
# mean A_c of a head over the probe batch'"'"'s text windows at one step and phase
heads() {
	"$sx" ls drope /ac/value >drope.ac.tsv
	awk -F '\t' -v drop=$drop -v last=$total '
	NR == 1 { for (i = 1; i <= NF; i++) col[$i] = i; next }
	$col["sequence"] < 4 {
		k = $col["layer"] SUBSEP $col["head"] SUBSEP $col["c"]
		s = $col["step"]; p = $col["phase"]
		at = s == drop && p == "pretrain" ? 1 : s == drop ? 2 : s == last ? 3 : 0
		if (at) { sum[k, at] += $col["value"]; cnt[k, at]++ }
	}
	END { for (x in cnt) { split(x, q, SUBSEP); if (q[4] == 1) {
		k = q[1] SUBSEP q[2] SUBSEP q[3]
		printf "%s\t%s\t%s\t%.4f\t%.4f\t%.4f\n", q[3], q[1], q[2], sum[k, 1] / cnt[k, 1], sum[k, 2] / cnt[k, 2], sum[k, 3] / cnt[k, 3] } } }
	' drope.ac.tsv | sort -t "$(printf '\t')" -k1,1 -k4,4gr | awk -F '\t' '
	{ if (++seen[$1] <= 4) printf "%-9s L%d/H%d %12.3f %12.3f %12.3f\n", $1, $2, $3, $4, $5, $6 }'
}
{
	echo "Sextant demo: RoPE, DroPE, its matched-token control, NoPE"
	echo
	echo "Data: $(grep -c . <<<"${texts[*]:-}" >/dev/null && [ ${#texts[@]} -gt 0 ] && echo "${texts[*]}" || echo "C headers and licence texts of this machine"), with the retrieval language; seed $seed; one seed, so differences between models carry no interval over seeds."
	echo
	echo "Loss on held-out windows at the trained length 128 (nats per token; 128 windows, standard error over windows)"
	echo
	echo "model         loss               text   retrieval"
	losses
	echo
	echo "  loss       all targets; text: filler alone; retrieval: share of repeated items whose value is the arg max"
	echo
	echo "Beyond the trained length: 4 facts in a window, one asked for ($trials trials a cell; standard error at most 0.05);"
	echo "factor = length / 128, logits multiplied by 1 + c ln(factor): the same c for every method"
	echo
	echo "                              needles retrieved           text loss, last half of the window"
	echo "model     method              c    1x    2x    4x    8x        1x    2x    4x    8x"
	extension rope rope
	echo
	extension control control
	echo
	extension drope drope
	echo
	extension nope nope
	echo
	echo "  chance: 1/16 blind, about 0.29 for a random value of the window. \"yarn\" is the ramp alone with the c of its row,"
	echo "  \"yarn (shipped)\" has its own attention factor, which is a temperature of c = 0.21 .. 0.22."
	echo
	echo "The four heads with the largest A_c before the drop (DroPE run, mean over the probe batch's text windows)"
	echo
	echo "c         head   before drop  right after  recalibrated"
	heads
	echo
	awk '/"event":"step"/ {
		match($0, /"loss":[0-9.]+/); loss[++n] = substr($0, RSTART + 7, RLENGTH - 7) + 0
	} END {
		for (i = 1; i <= 3; i++) top = loss[i] > top ? loss[i] : top
		for (i = n - 49; i <= n; i++) end += loss[i] / 50
		for (i = 1; i <= n; i++) if (loss[i] <= (top + end) / 2) break
		printf "The spike: %.2f nats right after the drop, %.2f at the end; half of the way after %d updates.\n", top, end, i
	}' drope/log.jsonl
} >report.txt
{
	echo '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sextant demo</title>'
	echo '<style>body{font:16px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}pre{font-size:13px;overflow-x:auto}img{max-width:100%}</style>'
	echo '<h1>What becomes of position when the rotation is dropped</h1>'
	printf '<figure><img alt="Training loss of RoPE, DroPE, the control and NoPE against tokens seen; the drop is marked." src="data:image/png;base64,'
	base64 -w 0 loss.png
	echo '"><figcaption>Training loss against tokens seen (left), and after the drop on a log scale (right).</figcaption></figure>'
	printf '<figure><img alt="A_c of every head over training, one panel per layer; the drop is marked." src="data:image/png;base64,'
	base64 -w 0 ac.png
	echo '"><figcaption>The positional bias A_c of every head, by layer: to zero at the drop, and what comes back.</figcaption></figure>'
	printf '<figure><img alt="Attention maps of every head after recalibration." src="data:image/png;base64,'
	base64 -w 0 maps.png
	echo '"><figcaption>Attention maps after recalibration, without any positional embedding.</figcaption></figure>'
	printf '<pre>'
	sed 's/&/\&amp;/g; s/</\&lt;/g' report.txt
	echo '</pre><p>Run files: <code>rope/run.h5</code>, <code>drope/run.h5</code>, <code>control/run.h5</code>, <code>nope/run.h5</code> (any HDF5 reader; <code>sextant ls drope</code>). Figures for a paper: <code>loss.pdf</code>, <code>ac.pdf</code>.</p></html>'
} >report.html
rm -f ./*.done ./*.said
cat report.txt
say "done in $((SECONDS - started)) s: open $out/report.html"

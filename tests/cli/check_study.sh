#!/bin/bash
# `sextant study` as a user meets it: a tiny study made, found done, stopped in the middle and gone on
# with, failing in one place, refused with a sentence.
set -u
sextant=$(realpath "$1")
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
there() { if [ -s "$1" ]; then ok; else no "$1 is not there"; fi; }
gone() { if [ -e "$1" ]; then no "$1 is there"; else ok; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$1 and $2 differ"; fi; }
says() { if grep -qE -- "$1" "$2"; then ok; else no "$2 does not say \"$1\": $(cat "$2")"; fi; }

for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
name: tiny
title: A small one
seeds: [1, 2]
config:
  data: {text: [text.txt]}
  model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 32}
  train: {steps: 20, batch: 4, warmup: 2, checkpoint_every: 0, checkpoint_at: [14]}
  probe: {every: 5, around_drop: {within: 2, every: 1}, maps: {every: 10}}
  eval: {every: 0}
runs:
  drope: {label: 'DroPE, tuned', branch: rope@14, train: {drop_at: 14, drop: {steps: 10, warmup: 2}}}
  rope: {label: RoPE}
  deep: {label: deep, untrained: true, model: {layers: 3}}
traces:
  final: {of: [rope, drope, rope@14], sequences: 3, length: 24}
  dropped: {of: rope@14, pos: {method: nope}, label: right after}
  init: {of: deep, sequences: 2}
evals:
  loss: {of: [rope, drope], what: ppl, lengths: 32, windows: 4}
bounds:
  theory: {of: [drope, rope@0], sequences: 1}
Y

# ---- what it costs: of a whole run what `plan` says, of a branch what comes after it ----
want 0 '' "$sextant" study tiny.yaml --work w -o r --dry-run --json
cp out.txt study.json
want 0 '' "$sextant" plan --json seed=2 'data.text=[text.txt]' model.layers=1 model.width=16 model.heads=2 \
	model.ffn=32 model.context=32 train.steps=20 train.batch=4 train.checkpoint_every=0 'train.checkpoint_at=[14]' \
	probe.every=5 probe.around_drop.within=2 probe.around_drop.every=1 probe.maps.every=10 eval.every=0
if command -v python3 >/dev/null; then
	if python3 - >err.txt 2>&1 <<'P'
import json
study, plan = json.load(open("study.json")), json.load(open("out.txt"))
job = {j["job"]: j for j in study["jobs"]}
whole, branch = job["seed-2/rope"], job["seed-2/drope"]
assert abs(whole["flops"] / plan["flops"]["total"] - 1) < 1e-12, (whole, plan["flops"])
assert whole["file_bytes"] == plan["run_file_bytes"]["total"] + plan["checkpoints"]["bytes"]
assert whole["tokens"] == 20 * 4 * 32 and branch["tokens"] == 10 * 4 * 32
assert len(study["jobs"]) == 24 and study["flops"] == sum(j["flops"] for j in study["jobs"])
longest = max(j["estimated_seconds"] for j in study["jobs"])
assert longest <= study["estimated_seconds"] <= sum(j["estimated_seconds"] for j in study["jobs"])
P
	then ok; else no "the cost is not plan's: $(cat err.txt)"; fi
else
	echo "skipped: the cost against plan's, python3 is missing"
fi

# ---- where nothing is trained the time is still measured ----
cat >untrained.yaml <<'Y'
name: untrained
seeds: [1]
runs:
  wide: {untrained: true, model: {layers: 2, width: 64, heads: 2, context: 64}}
bounds:
  theory: {of: wide, sequences: 1, kinds: constant}
Y
want 0 '' "$sextant" study untrained.yaml --work u -o ru --dry-run --json
if grep -q '"estimated_seconds": [0-9.e-]*[1-9]' out.txt; then ok; else no "no time is estimated: $(cat out.txt)"; fi

OPENBLAS_CORETYPE=Haswell want 0 '' "$sextant" study untrained.yaml --work u -o ru
# what slows every job down is said once, above their logs
if grep -qs avx512f /proc/cpuinfo && "$sextant" --version | grep -q DYNAMIC_ARCH; then
	if [ "$(grep -c 'unset OPENBLAS_CORETYPE' err.txt)" = 1 ]; then ok; else no "the warning: $(cat err.txt)"; fi
else
	echo "skipped: the warning about AVX-512, which this machine does not have"
fi
# of one repeated token a figure of the inequalities shows nothing: the report says so, and has the table
says 'no figure of the inequalities: there is nothing to draw: where the inequalities apply to wide, their sides are zero' err.txt
says 'there is no figure: there is nothing to draw: where the inequalities apply to wide, their sides are zero' ru/report.html
says '^wide,theory,1,0,P3.2.output,holds' ru/tables/bounds.csv
gone ru/figures/bounds.svg

# ---- made, found done, looked at ----
want 0 '24 jobs to do' "$sextant" study tiny.yaml --work w -o r --dry-run
says 'seed-2/dropped/rope@14 +to make' out.txt
gone w
want 0 '24 jobs to do' "$sextant" study tiny.yaml --work w -o r --jobs 2
# a label with a comma is one label
if grep -qE '(RoPE, DroPE, tuned|DroPE, tuned, RoPE)' r/figures/loss.svg; then ok; else no "the figure's labels"; fi
says '^"?DroPE, tuned' r/tables/loss.csv
# folders that are no runs: known for what they are
want 0 '' "$sextant" info w
says '^kind +work folder of a study' out.txt
says '^missing +0' out.txt
want 0 '' "$sextant" check w
says 'w/seed-2/theory/rope@0.h5: whole' out.txt
want 66 'w is the work folder of a study: name one of its runs' "$sextant" heads w
want 65 'w is the work folder of a study: name one of its runs' "$sextant" trace w -o x.h5
want 66 'r is a report: name a run' "$sextant" heads r
want 65 'r/analysis.h5 holds the tables of a report' "$sextant" figure ac r/analysis.h5 -o x.pdf
want 0 '' "$sextant" info r
says '^inputs .*w/seed-1/drope/run.h5 \(run, DroPE, tuned, seed 1\)' out.txt
want 0 '' "$sextant" info r/analysis.h5
says '^rows./loss ' out.txt
want 0 '' "$sextant" ls r
says '^/figures/loss/x ' out.txt
want 0 '' "$sextant" check r r/analysis.h5
says '^r: a report, its [0-9]+ files as they were written' out.txt
says '^r/analysis.h5: whole' out.txt
cp -r r r2
echo >>r2/tables/loss.csv
rm r2/figures/loss.svg
want 1 '' "$sextant" check r2
says '^r2: tables/loss.csv is not what was written' out.txt
says '^r2: figures/loss.svg is not there' out.txt
want 0 '' "$sextant" report w -o r3
same r/tables/loss.csv r3/tables/loss.csv
mv w/seed-2/rope/run.h5 kept.h5
want 66 'the study in w is unfinished: 1 of its 24 parts are not there \(w/seed-2/rope' "$sextant" report --work w -o r3
want 1 '' "$sextant" check w
says '^w/seed-2/rope: +is not there: the study is unfinished' out.txt
mv kept.h5 w/seed-2/rope/run.h5
for s in 1 2; do
	for f in rope/run.h5 drope/run.h5 deep.yaml final/rope.h5 final/drope.h5 final/rope@14.h5 \
		dropped/rope@14.h5 init/deep.h5 loss/rope.h5 loss/drope.h5 theory/drope.h5 theory/rope@0.h5; do
		there w/seed-$s/$f
	done
done
there w/study.json
stamp() { find w -name '*.h5' -printf '%p %T@\n' -o -name '*.safetensors' -printf '%p %T@\n' | sort; }
stamp >before.txt
want 0 'nothing to do in w, all 24 jobs' "$sextant" study tiny.yaml --work w -o r
stamp >after.txt
same before.txt after.txt
# as the verbs themselves would have made it
want 0 '' "$sextant" train -q -o alone seed=2 'data.text=[text.txt]' model.layers=1 model.width=16 model.heads=2 \
	model.ffn=32 model.context=32 train.steps=20 train.batch=4 train.warmup=2 train.checkpoint_every=0 \
	'train.checkpoint_at=[14]' probe.every=5 probe.around_drop.within=2 probe.around_drop.every=1 \
	probe.maps.every=10 eval.every=0
same alone/checkpoints/step-00000020/model.safetensors w/seed-2/rope/checkpoints/step-00000020/model.safetensors
want 0 '' "$sextant" trace alone@14 --length 24 --sequences 3 -o alone.h5
"$sextant" ls alone.h5 /stats/entropy >a.tsv
"$sextant" ls w/seed-2/final/rope@14.h5 /stats/entropy >b.tsv
same a.tsv b.tsv
# right after the drop, before any update: the checkpoint without its rotation
if "$sextant" ls w/seed-1/dropped/rope@14.h5 /rope/gamma | awk -F '\t' 'NR > 1 && $NF != 0 { exit 1 }'; then ok; else no "rotated after the drop"; fi

# ---- what is missing or older is made again, and nothing else ----
rm w/seed-1/loss/rope.h5
want 0 '1 jobs to do' "$sextant" study tiny.yaml --work w -o r
there w/seed-1/loss/rope.h5
sed 's/windows: 4/windows: 5/' tiny.yaml >other.yaml
want 0 '4 jobs to do' "$sextant" study other.yaml --work w -o r --dry-run
touch w/seed-1/rope/run.h5
want 0 '5 jobs to do' "$sextant" study tiny.yaml --work w -o r # final (2), dropped, loss, theory of rope
want 0 'nothing to do' "$sextant" study tiny.yaml seeds=1 --work w -o r
want 78 'w/seed-1/drope holds a run with other settings \(train.lr\); remove it or choose another --work' \
	"$sextant" study tiny.yaml --work w -o r train.lr=1e-3

# ---- stopped in the middle ----
sed 's/steps: 20,/steps: 1500,/' tiny.yaml >long.yaml
"$sextant" study long.yaml --work k -o r seeds=1 2>err.txt &
pid=$!
for _ in $(seq 300); do
	[ "$(grep -c '"event":"step"' k/seed-1/rope/log.jsonl 2>/dev/null || true)" -ge 40 ] 2>/dev/null && break
	sleep 0.02
done
want 73 'another study is at work in k' "$sextant" study long.yaml --work k -o r seeds=1
kill -TERM $pid
wait $pid
code=$?
if [ $code = 75 ]; then ok; else no "stopped with $code"; fi
says 'the same command goes on' err.txt
gone k/seed-1/rope/run.h5
gone k/seed-1/drope
want 0 'seed-1/rope goes on' "$sextant" study long.yaml --work k -o r seeds=1
there k/seed-1/theory/drope.h5
want 0 'nothing to do' "$sextant" study long.yaml --work k -o r seeds=1

# ---- one job fails: what needs it is not begun, the rest is ----
mkdir -p f/seed-1
: >f/seed-1/drope # no folder can be made there
want 73 'seed-1/drope failed \(exit 73\); 3 jobs that need what is missing were not begun' \
	"$sextant" study tiny.yaml --work f -o r seeds=1
says 'cannot' err.txt
there f/seed-1/loss/rope.h5
gone f/seed-1/loss/drope.h5
rm f/seed-1/drope
want 0 '4 jobs to do' "$sextant" study tiny.yaml --work f -o r seeds=1

# ---- toward the checkpoint so many updates later ----
sed '/^traces:/,$d;s/checkpoint_at: \[14\]/checkpoint_at: [14, 15]/;s/seeds: .*/seeds: [1]/' tiny.yaml >toward.yaml
cat >>toward.yaml <<'Y'
traces:
  updates: {of: [rope@14, drope@15], toward: 5, observe: ac, sequences: 2}
Y
want 78 'toward: rope will have no checkpoint of step 19' "$sextant" study toward.yaml --work u -o r
sed -i 's/checkpoint_at: .14, 15./checkpoint_at: [14, 15, 19, 20]/' toward.yaml
want 0 '' "$sextant" study toward.yaml --work u -o ru
there u/seed-1/updates/rope@14.h5
there ru/figures/updates.pdf
want 0 'nothing to do in u' "$sextant" study toward.yaml --work u -o ru

# ---- bad recipes: one sentence ----
bad() { # wanted code, wanted text, sed script
	sed "$3" tiny.yaml >bad.yaml
	want "$1" "$2" "$sextant" study bad.yaml --work b -o r
	if [ "$(wc -l <err.txt)" = 1 ]; then ok; else no "more than a sentence: $(cat err.txt)"; fi
}
bad 78 'bad.yaml: seeds is missing' '/^seeds/d'
bad 78 'bad.yaml:16: of: there is no run rop; did you mean rope\?' 's/dropped: {of: rope@14/dropped: {of: rop@14/'
bad 78 'bad.yaml:6: unknown key model.layer; did you mean model.layers\?' 's/layers: 1/layer: 1/'
bad 78 'bad.yaml:13: unknown key labell' 's/deep: {label/deep: {labell/'
bad 78 'bad.yaml:15: unknown key sequence; did you mean sequences\?' 's/sequences: 3/sequence: 3/'
bad 78 'unknown key trace; did you mean traces\?' 's/^traces/trace/'
bad 78 'bad.yaml:15: sequences: three is no whole number' 's/sequences: 3/sequences: three/'
bad 78 'no checkpoint of step 13; list the step in its train.checkpoint_at' 's/rope@14, pos/rope@13, pos/'
bad 78 'drope branches from rope@14, so its model.width must be the same' 's/{drop_at: 14/{drop_at: 14/;s/label: .DroPE, tuned.,/& model: {width: 32},/'
bad 78 'branches from itself' 's/rope: {label: RoPE}/rope: {label: RoPE, branch: drope@14, train: {drop_at: 14, drop: {steps: 10}}}/'
bad 78 'stands here for the second time' 's/  deep: {/  rope: {/'
bad 78 'what must be niah or ppl' 's/what: ppl/what: pl/'
bad 78 'seed: a study has .seeds.' 's/eval: {every: 0}/seed: 3/'
bad 78 'bad.yaml:13: run deep: ' 's/model: {layers: 3}/model: {heads: 3}/'
bad 78 'rope is the name of a run already' 's/  dropped:/  rope:/'
bad 78 'not valid YAML' 's/^runs:/runs: {/'
bad 66 'data.text: there is no nothing.txt' 's/text.txt/nothing.txt/'
bad 78 'a small letters|a name has small letters' 's/  dropped:/  ..\/up:/'
gone b
want 66 'there is no recipe quickstar; .*quickstart' "$sextant" study quickstar
want 64 'seed=3: a study has seeds' "$sextant" study tiny.yaml seed=3
want 78 'seeds=\[1, 1\]: seeds: 1 stands there twice' "$sextant" study tiny.yaml 'seeds=[1, 1]' --work b
want 0 'train.steps of the command line does not reach nope' "$sextant" study quickstart train.steps=1200 --dry-run --json
says '"job": "seed-2/theory/nope"' out.txt

echo "$passed passed, $failed failed"
[ $failed = 0 ]

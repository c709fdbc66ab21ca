#!/bin/bash
# `study --watch`: a whole page while the study is at work, which says what is missing; after a kill, too;
# and at the end the report that there would have been without it, byte for byte. `report --unfinished`.
set -u
# shellcheck source=tests/support/verbs.sh
source "$(dirname "$0")/../support/verbs.sh"
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$work"' EXIT
says() { if grep -qE -- "$1" "$2"; then ok; else no "$2 does not say \"$1\": $(head -c 2000 "$2")"; fi; }
silent() { if grep -qE -- "$1" "$2"; then no "$2 says \"$1\""; else ok; fi; }

for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
name: tiny
title: A small one
seeds: [1]
config:
  data: {text: [text.txt]}
  model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 32}
  train: {steps: 20, batch: 4, warmup: 2, checkpoint_every: 0, checkpoint_at: [14]}
  probe: {every: 5, around_drop: {within: 2, every: 1}, maps: {every: 0}}
  eval: {every: 0}
runs:
  rope: {label: RoPE}
  drope: {label: DroPE, branch: rope@14, train: {drop_at: 14, drop: {steps: 100000, warmup: 2}}}
traces:
  before: {of: rope@14, sequences: 2, length: 24}
  final: {of: [rope, drope], sequences: 2, length: 24}
Y

# ---- a page while a run of hours is at work ----
"$sextant" study tiny.yaml --work w -o r --watch --jobs 2 >said.txt 2>&1 &
pid=$!
for _ in $(seq 600); do
	[ -e r/report.html ] && break
	sleep 0.05
done
says '<p><em>Unfinished</em>: [0-9] of the 5 parts of this study are not there yet \(<code>seed-1/drope</code>' r/report.html
says 'http-equiv="refresh"' r/report.html
says 'What is not there yet' r/report.html
want 0 '' "$sextant" check r
# killed as nothing can prepare for: the page is whole, and nobody writes on it
kill -9 $pid
wait $pid 2>/dev/null
pid=
sleep 0.2
want 0 '' "$sextant" check r
want 66 'is unfinished: .* --unfinished reports on the others' "$sextant" report --work w -o s
want 0 '' "$sextant" report --work w -o s --unfinished
says 'Unfinished' s/report.html
want 64 '--unfinished is of a study' "$sextant" report w/seed-1/rope --unfinished -o s
want 66 'is not the work folder of a study|is unfinished' "$sextant" report --work none --unfinished -o s

# ---- at the end as without ----
sed -i 's/steps: 100000/steps: 10/' tiny.yaml
rm -rf w
"$sextant" study tiny.yaml --work w -o r --watch --jobs 1 >said.txt 2>&1 || no "with --watch: $(cat said.txt)"
silent 'Unfinished|refresh' r/report.html
mv r with
want 0 'nothing to do' "$sextant" study tiny.yaml --work w -o r
if diff -r with r >diff.txt; then ok; else no "another report than without --watch: $(cat diff.txt)"; fi
# a file that is to be made again is on no page: it goes before the first one
sed 's/sequences: 2/sequences: 3/' tiny.yaml >other.yaml
want 0 '3 jobs to do' "$sextant" study other.yaml --work w -o r --watch
silent 'Unfinished' r/report.html

# ---- a job fails: the page is of the rest ----
mkdir -p f/seed-1
: >f/seed-1/drope # no folder can be made there
want 73 'seed-1/drope failed' "$sextant" study tiny.yaml --work f -o fr --watch
says 'Unfinished</em>: 2 of the 5 parts .*seed-1/drope' fr/report.html
says 'RoPE' fr/report.html

count

#!/bin/bash
# analysis/sextant.py against `sextant ls`, on a run that is whole, one that is killed twice, and one
# that goes on. Exits with 77 where h5py or numpy is not there.
set -u
sextant=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import h5py, numpy' 2>/dev/null; then
	echo "skipped: $python has no h5py (Debian: python3-h5py)"
	exit 77
fi
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}
train: {steps: 240, batch: 4, warmup: 2, checkpoint_every: 20, drop_at: 150, drop: {steps: 100, warmup: 2}}
probe: {every: 10, around_drop: {within: 4, every: 2}, maps: {every: 40}}
eval: {every: 0}
Y
# run the rest of a run until update $2 is logged, then kill it
kill_at() {
	"$sextant" train tiny.yaml -o "$1" -q "${@:3}" &
	pid=$!
	until [ "$(grep -c '"event":"step"' "$1/log.jsonl" 2>/dev/null)" -ge "$2" ] 2>/dev/null; do
		kill -0 $pid 2>/dev/null || break
		sleep 0.01 # the processor is the run's
	done
	kill -9 $pid
	wait $pid 2>/dev/null
	pid=
}
"$sextant" train tiny.yaml -o whole -q || exit 1
kill_at once 70
kill_at twice 70
kill_at twice 200 --resume
cp -r twice sealed
"$sextant" train tiny.yaml -o sealed -q --resume || exit 1
"$sextant" trace whole --text text.txt --length 16 --sequences 2 --logits -o trace.h5 -q || exit 1
"$python" "$here/test_sextant_py.py" "$sextant" "$here/../../analysis"

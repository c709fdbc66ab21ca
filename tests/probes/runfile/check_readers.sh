#!/bin/bash
# Other people's readers: h5py polls a run while it is written, and xarray (h5netcdf, netCDF4) opens what
# is sealed. Exits with 77 where h5py is not there.
set -u
sextant=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import h5py, numpy' 2>/dev/null; then
	echo "skipped: $python has no h5py (Debian: python3-h5py)"
	exit 77
fi
work=$(mktemp -d)
pid='' top=''
trap '[ -z "$pid" ] || kill -9 $pid $top 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >small.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 5, width: 32, heads: 2, ffn: 64, context: 64}
train: {steps: 260, batch: 4, warmup: 2, checkpoint_every: 100, drop_at: 150, drop: {steps: 110, warmup: 2}}
probe: {every: 1, ac_train: true, maps: {every: 20}}
eval: {every: 100, lengths: [64, 128], windows: 2, niah_trials: 2}
Y
# everything, and measurements without maps: of maps alone a live file is hardly larger than a sealed one;
# `sextant top` reads the second beside the poll
for maps in 20 0; do
	"$sextant" train small.yaml -o run$maps -q probe.maps.every=$maps &
	pid=$! top=''
	if [ $maps = 0 ]; then
		"$python" "$here/check_readers.py" top "$sextant" run0 $pid &
		top=$!
	fi
	"$python" "$here/check_readers.py" poll run$maps $pid || failed=1
	[ -z "$top" ] || wait "$top" || failed=1
	wait $pid || { echo "FAILED: the run exits with $?"; failed=1; }
	pid=
	"$python" "$here/check_readers.py" compare run$maps || failed=1
done
"$sextant" trace run20 --text text.txt --length 32 --sequences 2 --maps 'L0/H*' --logits --grad --sites all --reduce --thumbnails 4 --top 4 -o trace.h5 -q || failed=1
"$sextant" trace run20 --text text.txt --length 32 --sequences 2 --maps 'L0/H*' --maps-type f32 -o f32.h5 -q || failed=1
"$sextant" bounds run20 -o bounds.h5 -q >/dev/null || failed=1
"$sextant" eval niah run20 --lengths 64,128 --trials 4 --temperatures 0,0.4 --choose 4 --windows 2 -o eval.h5 -q >/dev/null || failed=1
"$sextant" eval ppl run20 --lengths 64,128 --windows 2 -o ppl.h5 -q >/dev/null || failed=1
cp -r run20 recovered && rm recovered/run.h5 && "$sextant" recover recovered -q || failed=1
"$python" "$here/check_readers.py" open run20/run.h5 trace.h5 f32.h5 bounds.h5 eval.h5 ppl.h5 recovered/run.h5 || failed=1
exit $failed

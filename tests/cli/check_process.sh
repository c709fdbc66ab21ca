#!/bin/bash
# The program among others: two on one folder, signals of schedulers, resuming from anywhere, outputs that
# are no files, streams that are closed, an environment that cannot grow.
#   check_process.sh SEXTANT [NO_SETENV.so]
library=${2:+$(realpath "$2")}
# shellcheck source=tests/support/verbs.sh
. "$(dirname "$0")/../support/verbs.sh"
set -m # children hear SIGINT, too
for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
# ends it, whether or not it was stopped for a while: then `wait` says so first
code_of() {
	wait "$1"
	local code=$?
	while [ $code -gt 128 ] && kill -0 "$1" 2>/dev/null; do
		wait "$1"
		code=$?
	done
	echo $code >code.txt
}

cat >tiny.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 32}
train: {steps: 1000, batch: 2, warmup: 2, checkpoint_every: 0, checkpoint_at: [30]}
probe: {every: 200, maps: {every: 0}}
eval: {every: 0}
Y
last=checkpoints/step-00001000

# lines of a run's log: its updates, and one for its beginning
lines_of() {
	lines=()
	[ -e "$1/log.jsonl" ] && mapfile -t lines <"$1/log.jsonl"
}
# until a run has made so many updates, or has ended
wait_for() {
	for _ in $(seq 1000); do
		lines_of "$1"
		[ ${#lines[@]} -gt "$2" ] && return
		kill -0 "$3" 2>/dev/null || return
		sleep 0.02
	done
}
same_run() {
	same "$1/$last/model.safetensors" "$2/$last/model.safetensors"
	same "$1/$last/optimizer.safetensors" "$2/$last/optimizer.safetensors"
	for d in /train/loss /ac/value; do
		"$sextant" ls "$1" $d >a.tsv 2>>err.txt
		"$sextant" ls "$2" $d >b.tsv 2>>err.txt
		is test -s a.tsv
		if cmp -s a.tsv b.tsv; then ok; else no "$1 and $2 differ in $d"; fi
	done
}

want 0 '' "$sextant" train tiny.yaml -o whole -q
gone whole/lock

# ---- two on one folder ----
"$sextant" train tiny.yaml -o living -q 2>living.txt &
pid=$!
wait_for living 50 $pid
kill -STOP $pid # it holds the folder all the same, and does not end meanwhile
refused=0
for _ in $(seq 20); do
	"$sextant" train -o living -q --resume 2>err.txt
	[ $? = 73 ] && grep -qE "another training run is at work in living \(process $pid on .+ since 20.+Z\)" err.txt &&
		refused=$((refused + 1))
done
is test $refused = 20
want 73 'another training run is at work' "$sextant" train tiny.yaml -o living -q --resume=auto
want 73 'holds a run already' "$sextant" train tiny.yaml -o living -q
want 73 'another process is at work in living' "$sextant" recover living
gone living/run.h5
want 0 '' "$sextant" train tiny.yaml -o beside -q train.steps=5 train.checkpoint_at=[]
want 0 '' "$sextant" top living --once
want 0 '' "$sextant" check living
want 0 '' "$sextant" ls living /train/loss
want 0 '' "$sextant" info living
want 0 '' "$sextant" figure loss living -o living.svg
want 0 '' "$sextant" trace living@30 --prompt 'The quick' -o living.h5 -q
kill -CONT $pid
code_of $pid
is test "$(cat code.txt)" = 0
is test ! -s living.txt
same_run whole living
gone living/lock

# a kill releases it
"$sextant" train tiny.yaml -o killed -q 2>/dev/null &
pid=$!
wait_for killed 50 $pid
kill -9 $pid
wait $pid 2>/dev/null
is test -s killed/lock
want 0 '' "$sextant" recover killed
want 0 '' "$sextant" train -o killed -q --resume
same_run whole killed

# twenty begin the same: one does
for i in $(seq 20); do
	{
		"$sextant" train tiny.yaml -o first -q train.steps=20 train.checkpoint_at=[] 2>"first-$i.txt"
		echo $? >"first-$i.code"
	} &
done
wait
is test "$(cat first-*.code | grep -cx 0)" = 1
is test "$(cat first-*.code | grep -cx 73)" = 19
is test "$(cat first-*.txt | grep -cE 'another training run is at work in first|first holds a run already|first was changed')" = 19
want 0 '' "$sextant" check first
lines_of first
is test ${#lines[@]} = 22 # one beginning, 20 updates, one end

# what a kill leaves while a folder is made
mkdir -p half/live half/checkpoints/step-00000000 half/checkpoints/step-00000000.tmp
echo x >half/checkpoints/step-00000000/config.json
echo x >half/config.yaml.tmp
echo 'process 1 on nowhere since never' >half/lock
echo 'branch other@3' >half/begun
want 66 'half holds no run to resume' "$sextant" train -o half -q --resume
want 0 '' "$sextant" train tiny.yaml -o half -q train.steps=3 --resume=auto train.checkpoint_at=[]
want 0 '' "$sextant" check half
is test "$(head -c 7 half/begun)" = 'folder '
gone half/lock
mkdir -p other/checkpoints/step-00000009
want 73 'step-00000009 is of a run, but there is no other/config.yaml' "$sextant" train tiny.yaml -o other -q

# ---- signals ----
# two TERMs, and what a limit does: XCPU every second
for signals in TERM,TERM INT USR1 USR2,INT XCPU,XCPU,XCPU HUP,HUP; do
	run=on-$signals
	"$sextant" train tiny.yaml -o "$run" -q 2>stopped.txt &
	pid=$!
	wait_for "$run" 50 $pid
	for s in ${signals//,/ }; do kill -"$s" $pid 2>/dev/null; done
	wait $pid
	code=$?
	if [ $code = 75 ]; then ok; else no "SIG$signals: exit $code"; fi
	is grep -q 'stopped at step [0-9]* of 1000' stopped.txt
	want 0 '' "$sextant" train -o "$run" -q --resume
	same_run whole "$run"
done
(
	trap '' HUP
	exec "$sextant" train tiny.yaml -o nohup -q
) &
pid=$!
wait_for nohup 50 $pid
kill -HUP $pid
wait $pid
is test $? = 0

cat >recipe.yaml <<'Y'
name: stopped
title: Stopped
seeds: [1]
config:
  data: {text: [text.txt]}
  model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 32}
  train: {steps: 4000, batch: 2, warmup: 2, checkpoint_every: 0}
  probe: {every: 0, maps: {every: 0}}
  eval: {every: 0}
runs:
  rope: {label: RoPE}
Y
for s in USR2 HUP XCPU; do
	rm -rf w
	"$sextant" study recipe.yaml --work w -o r -q 2>err.txt &
	pid=$!
	wait_for w/seed-1/rope 10 $pid
	if [ $s = USR2 ]; then
		want 73 'another study is at work in w \(process '$pid' on ' "$sextant" study recipe.yaml --work w -o r -q
	fi
	kill -$s $pid
	wait $pid
	code=$?
	if [ $code = 75 ]; then ok; else no "study, SIG$s: exit $code"; fi
	is test "$(find w/seed-1/rope/checkpoints -name 'step-*' | wc -l)" = 2
	gone w/lock
	gone w/seed-1/rope/lock
	gone w/seed-1/rope/begun # its paths are absolute
done

# ---- resuming from anywhere ----
mkdir -p project/sub away
cp tiny.yaml text.txt project
small='train.steps=30 train.checkpoint_at=[]'
# shellcheck disable=SC2086 # words
(cd project && exec "$sextant" train tiny.yaml -o run -q $small)
cp -r project/run copy
is grep -q 'text: \[text.txt\]' project/run/config.yaml
cd away || exit 1
want 0 '' "$sextant" train -o ../project/run -q --resume
want 78 'these keys differ from .*train.steps' "$sextant" train ../project/tiny.yaml -o ../project/run -q --resume
# shellcheck disable=SC2086 # words
want 0 '' "$sextant" train ../project/tiny.yaml -o ../project/run -q --resume=auto $small
want 0 '' "$sextant" eval ppl ../project/run --lengths 16 --windows 2 -q --json
cp out.txt ../away.json
want 0 '' "$sextant" train -q -o own --resume=auto init=../project/run@30 data.text=../project/text.txt train.steps=2
mkdir -p text.txt # not what an override of here means
want 66 '' "$sextant" eval ppl ../project/run data.text=nowhere.txt --lengths 16 --windows 2 -q
rmdir text.txt
cd ..
(cd away && mv own ../own)
want 0 '' "$sextant" train -o own -q --resume # init and text, as seen from away
mv copy project/moved
(cd project && "$sextant" eval ppl moved --lengths 16 --windows 2 -q --json >../home.json)
want 0 '' "$sextant" train -o project/moved -q --resume
mv project elsewhere # with all that is in it
want 0 '' "$sextant" train -o elsewhere/run -q --resume
rm elsewhere/run/begun # a run of an older program: as seen from here
(cd elsewhere && exec "$sextant" train -o run -q --resume)
is test $? = 0
mv text.txt text.away
want 66 'text.txt does not exist' "$sextant" train -o elsewhere/run -q --resume
mv text.away text.txt
# a branch, the same words at every start
branch=(train tiny.yaml -o branch -q --resume=auto train.steps=1000 train.drop_at=30 train.drop.steps=5)
want 0 '' "$sextant" "${branch[@]}" --branch whole@30
want 0 '' "$sextant" "${branch[@]}" --branch whole@30
want 78 'branch began as a branch of whole@30' "$sextant" "${branch[@]}" --branch whole@1000
want 78 'whole began as no branch' "$sextant" train tiny.yaml -o whole -q --resume=auto --branch branch@30
want 64 'leave out --branch' "$sextant" train tiny.yaml -o branch -q --resume --branch whole@30
want 64 'want --resume or --resume=auto' "$sextant" train -o elsewhere/run --resume=never
want 66 'nothing holds no run to resume' "$sextant" train -o nothing --resume
gone nothing

# ---- outputs that are no files ----
want 0 '' "$sextant" trace whole --prompt 'The quick' -o trace.h5 -q
# every verb that writes a file, to $1 (a name without its ending)
each_output() {
	echo trace whole --prompt The -q -o "$1.h5"
	echo eval ppl whole --lengths 16 --windows 2 -q -o "$1.h5"
	echo bounds whole --length 16 --sequences 1 -q -o "$1.h5"
	echo recover whole/live/seg-0000.h5 -q -o "$1.h5"
	echo figure loss whole -o "$1.svg"
	echo figure loss whole -o "$1.pdf"
	echo tokenize text.txt -o "$1.txt"
	echo tokenize text.txt -o "$1.npy"
}
# must be refused, with a word; what is there stays what it is
refused() {
	local word=$1 name=$2 args
	while read -ra args; do
		want 73 "cannot create .*$word" timeout 20 "$sextant" "${args[@]}"
	done < <(each_output "$name")
}
kinds() { stat -c '%F %t %T' "$1".*; }
for end in h5 svg pdf txt npy; do
	mkfifo pipe.$end
	ln -s pipe.$end topipe.$end
	ln -s round.$end round.$end
	mkdir folder.$end
	ln -s /dev/fd/9 held.$end
	mknod device.$end c 1 3 2>/dev/null
	echo old >real.$end
	ln -s real.$end link.$end
	ln -s deep/none.$end dangling.$end
done
mkdir deep
kinds pipe >before.txt
refused 'is a pipe' pipe
refused 'is a pipe' topipe
kinds pipe >after.txt
same before.txt after.txt
refused 'symbolic links' round
refused 'is a folder' folder
refused 'what a process has open' held 9>nine.txt
gone nine.txt.tmp
if [ -c device.h5 ]; then
	kinds device >before.txt
	refused 'is a device' device
	kinds device >after.txt
	same before.txt after.txt
	want 73 'device.h5 is there and is no folder' "$sextant" report whole -o device.h5 -q
	want 73 'device.h5' "$sextant" train tiny.yaml -o device.h5 -q
	is test -c device.h5
fi
for name in link dangling; do
	while read -ra args; do
		# bounds: 1 where one is violated
		"$sextant" "${args[@]}" >out.txt 2>err.txt
		code=$?
		if [ $code = 0 ] || [ "${args[0]}" = bounds ]; then ok; else no "${args[*]}: $code $(cat err.txt)"; fi
	done < <(each_output $name)
	is test -L $name.h5
	is test -L $name.svg
	is test -L $name.npy
	want 0 '' "$sextant" check $name.h5
done
is test "$(wc -c <real.txt)" -gt 1000
is test -s deep/none.svg
ln -s /dev/stdout out.h5 # the name itself is not for a test that may fail
want 73 'it is no file but what a process has open' "$sextant" trace whole --prompt The -q -o out.h5
ln -s nowhere tonothing
want 73 'tonothing: a link to nothing is there' "$sextant" train tiny.yaml -o tonothing -q
find . -name '*.tmp*' ! -path './half/*' ! -path './other/*' >left.txt
is test ! -s left.txt
# a report's folder behind a link
mkdir reports
ln -s reports/mine report
want 0 '' "$sextant" report whole -o report -q
want 0 '' "$sextant" report whole -o report -q
is test -L report
is test -s reports/mine/manifest.json
# the name that a file has meanwhile: what a kill left is no hindrance, what is no file is
echo half >real.h5.tmp
want 0 '' "$sextant" trace whole --prompt The -q -o real.h5
gone real.h5.tmp
ln -s text.txt real.h5.tmp
cp text.txt before.txt
want 73 'real.h5.tmp is in the way' "$sextant" trace whole --prompt The -q -o real.h5
same text.txt before.txt
rm real.h5.tmp
# two that write the same: the second is told so
if command -v flock >/dev/null; then
	echo >real.h5.tmp
	want 73 'another process is writing real.h5' flock -x real.h5.tmp "$sextant" trace whole --prompt The -q -o real.h5
	rm -f real.h5.tmp
fi

# ---- streams that are closed ----
quiet=(train tiny.yaml -q train.steps=2 'train.checkpoint_at=[]' -o)
"$sextant" "${quiet[@]}" no-in <&-
is test $? = 0
"$sextant" "${quiet[@]}" no-out >&-
is test $? = 0
"$sextant" "${quiet[@]}" no-err 2>&-
is test $? = 0
"$sextant" "${quiet[@]}" no-streams <&- >&- 2>&-
is test $? = 0
for r in no-in no-out no-err no-streams; do
	same "no-in/checkpoints/step-00000002/model.safetensors" "$r/checkpoints/step-00000002/model.safetensors"
	want 0 '' "$sextant" check $r
done
"$sextant" train tiny.yaml -o no-out -q >&- 2>&-
is test $? = 73
"$sextant" ls whole >&- 2>err.txt
is test $? = 74
is grep -q 'standard output' err.txt
"$sextant" ls whole --json >&- 2>&-
is test $? = 74
"$sextant" --version >&- 2>&-
is test $? = 74
"$sextant" tokenize - <&- >out.txt 2>err.txt
is test $? = 66
# messages go nowhere, not into a file that happens to be the third one open
"$sextant" tokenize text.txt -o plain.txt
"$sextant" tokenize text.txt -o closed.txt <&- >&- 2>&-
is test $? = 0
same plain.txt closed.txt

# ---- an environment that cannot grow ----
if [ -n "$library" ]; then
	want 0 '' env -u GOMP_SPINCOUNT -u KMP_BLOCKTIME -u OMP_WAIT_POLICY LD_PRELOAD="$library" timeout 10 "$sextant" --version
fi
count

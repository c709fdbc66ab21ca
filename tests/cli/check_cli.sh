#!/bin/bash
# The program as a user meets it: a tiny run, killed and resumed; a trace; exit codes and sentences for
# bad input; nothing half-written left as if whole.
set -u
# shellcheck source=tests/support/verbs.sh
source "$(dirname "$0")/../support/verbs.sh"

for i in $(seq 400); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}
train: {steps: 24, batch: 4, warmup: 2, checkpoint_every: 6, drop_at: 15, drop: {steps: 30, warmup: 2}}
probe: {every: 4, around_drop: {within: 2, every: 1}, maps: {every: 8}}
eval: {every: 0}
Y

# ---- speed: that it can be measured ----
small="--layers 1 --width 16 --heads 2 --ffn 32 --vocab 32 --context 16 --batch 2 --threads 1"
for what in probes pass; do
	# shellcheck disable=SC2086 # options
	want 0 '' "$sextant" bench $what $small --pairs 3 --json -q
	if grep -q '"overhead_upper95": -\?[0-9]' out.txt; then ok; else no "bench $what: $(cat out.txt)"; fi
done
want 64 'cannot be benched; known: step, probes, pass' "$sextant" bench everything

# ---- a run, the same run killed and resumed ----
want 0 '' "$sextant" train tiny.yaml -o whole -q
if [ -s whole/run.h5 ]; then ok; else no "no run.h5"; fi
want 0 '' "$sextant" train tiny.yaml -o again -q --threads 1
same whole/checkpoints/step-00000045/model.safetensors again/checkpoints/step-00000045/model.safetensors
same whole/checkpoints/step-00000045/optimizer.safetensors again/checkpoints/step-00000045/optimizer.safetensors
for at in 3 8 14 16 21; do
	rm -rf killed
	"$sextant" train tiny.yaml -o killed -q &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		[ "$(grep -c '"event":"step"' killed/log.jsonl 2>/dev/null || true)" -ge "$at" ] 2>/dev/null && break
	done
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	code=$?
	if [ $code = 137 ]; then ok; else no "the run ended ($code) before it could be killed after update $at"; fi
	want 0 '' "$sextant" info killed
	want 0 '' "$sextant" ls killed
	want 0 '' "$sextant" check killed
	want 0 '' "$sextant" recover killed
	want 0 '' "$sextant" check killed/run.h5
	want 0 '' "$sextant" train tiny.yaml -o killed -q --resume
	same whole/checkpoints/step-00000045/model.safetensors killed/checkpoints/step-00000045/model.safetensors
	same whole/checkpoints/step-00000045/optimizer.safetensors killed/checkpoints/step-00000045/optimizer.safetensors
	for d in /train/loss /train/step /ac/value /stats/entropy /rope/gamma /attn/sample_step /checkpoints/step; do
		"$sextant" ls whole $d >a.txt 2>>err.txt && "$sextant" ls killed $d >b.txt 2>>err.txt
		if cmp -s a.txt b.txt; then ok; else no "resumed after update $at: $d differs"; fi
	done
done
# what a flipped bit does, and mending it from the segments
want 73 'nothing is to be recovered' "$sextant" recover whole
cp whole/run.h5 damaged.h5
flip() { printf '%b' "\\x$(printf %02x $(($(od -An -tu1 -j "$2" -N1 "$1") ^ 64)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>>err.txt; }
flip whole/run.h5 $(($(stat -c %s whole/run.h5) / 2))
want 1 '' "$sextant" check whole
want 0 '' "$sextant" recover whole
same whole/run.h5 damaged.h5
# a bit in a segment: what it damages is left out, with a warning, and the rest is whole
cp -r again hurt
hits=0
for k in 3 5 7 9 11 13 15 17; do
	cp again/live/seg-0000.h5 hurt/live/seg-0000.h5
	flip hurt/live/seg-0000.h5 $(($(stat -c %s again/live/seg-0000.h5) * k / 20))
	rm -f hurt/run.h5
	"$sextant" recover hurt 2>err.txt || continue
	grep -q 'seg-0000.h5: /.* cannot be read: it is damaged; left out' err.txt || continue
	hits=$((hits + 1))
	want 0 '' "$sextant" check hurt/run.h5
done
if [ $hits -gt 0 ]; then ok; else no "nothing was left out: $(cat err.txt)"; fi
# without live/ nothing is lost, and the run goes on
"$sextant" ls again train/loss >a.txt
rm -r again/live
want 0 '' "$sextant" check again
want 73 'nothing is to be recovered' "$sextant" recover again
want 0 '' "$sextant" train tiny.yaml -o again -q --resume
"$sextant" ls again /train/loss >b.txt
same a.txt b.txt
if [ "$(wc -l <b.txt)" = 46 ]; then ok; else no "records: $(wc -l <b.txt)"; fi
flip whole/checkpoints/step-00000045/model.safetensors 2000
want 1 '' "$sextant" check whole
flip whole/checkpoints/step-00000045/model.safetensors 2000
want 0 '' "$sextant" check whole
want 73 'holds a run already' "$sextant" train tiny.yaml -o whole -q
want 78 'train.lr' "$sextant" train tiny.yaml -o whole -q --resume train.lr=0.002
want 66 'no run to resume' "$sextant" train tiny.yaml -o nothing -q --resume
want 0 '' "$sextant" train tiny.yaml -o branch -q --branch whole@15
same whole/checkpoints/step-00000045/model.safetensors branch/checkpoints/step-00000045/model.safetensors
want 78 'no weights' "$sextant" train tiny.yaml -o bad -q init=tiny.yaml
want 78 'window' "$sextant" train tiny.yaml -o bad -q pos.window=9223372036854775807
want 78 'heads' "$sextant" train tiny.yaml -o bad -q probe.maps.heads=L9/H0
want 78 'large|batch' "$sextant" train tiny.yaml -o bad -q train.batch=10000000 model.context=2000000000
want 78 'drop.steps' "$sextant" train tiny.yaml -o bad -q train.drop.steps=0
gone bad
# a branch killed at once is a run like any other
"$sextant" train tiny.yaml -o early -q --branch whole@15 &
pid=$!
while [ ! -e early/config.yaml ]; do kill -0 $pid 2>/dev/null || break; done
kill -9 $pid
wait $pid 2>/dev/null
want 0 '' "$sextant" train tiny.yaml -o early -q --resume
same whole/checkpoints/step-00000045/model.safetensors early/checkpoints/step-00000045/model.safetensors
want 0 '' "$sextant" train tiny.yaml -o kept -q --branch whole@15 train.drop.to=keep
want 78 'model.width' "$sextant" train tiny.yaml -o bad -q --branch whole@15 model.width=32
# SIGTERM: a checkpoint, exit 75, and it goes on
"$sextant" train tiny.yaml -o stopped -q train.steps=4000 train.drop_at=none &
pid=$!
while ! grep -q '"step":12,' stopped/log.jsonl 2>/dev/null; do kill -0 $pid || break; done
kill -TERM $pid
wait $pid
code=$?; if [ $code = 75 ]; then ok; else no "SIGTERM gives $code, not 75"; fi
want 0 'course +rope for 15 updates, then nope for 30' sh -c "\"$sextant\" info whole >&2"
want 0 'steps +45' sh -c "\"$sextant\" info whole >&2"
want 0 'interrupted' sh -c "\"$sextant\" info stopped >&2"

# the page in docs/ is the program's own
"$sextant" ls --schema >page.md 2>>err.txt
same page.md "$here/../../docs/runfile.md"

# ---- recalibrating a checkpoint, and using runs ----
want 0 '' "$sextant" train tiny.yaml -o recal -q init=whole@6 train.drop_at=0 train.drop.qk_norm=full
want 0 '' "$sextant" generate whole --prompt 'The quick' -n 20 --temperature 0
want 0 '' "$sextant" trace whole --text text.txt --length 32 --sequences 2 --maps 'L0/H*' --logits -o t.h5 -q
want 0 '' "$sextant" trace whole --text text.txt --length 32 --sequences 2 --precision f64 -o t64.h5 -q
# what of a text is not used is said
want 0 '47 tokens are left out: they do not fill another sequence of 100' "$sextant" trace whole --text text.txt --length 100 -o rest.h5
want 0 'the input gives 198 sequences of 100 tokens; 200 were asked for' \
	"$sextant" trace whole --text text.txt --length 100 --sequences 200 -o rest.h5
want 0 '' "$sextant" trace whole --text text.txt --length 100 --sequences 198 -o rest.h5 -q
"$sextant" ls t.h5 /out/nll >a.txt
"$sextant" ls t64.h5 /out/nll >b.txt
worst=$(paste a.txt b.txt | awk 'NR > 1 && $3 != "nan" { d = $3 - $6; d = d < 0 ? -d : d; if (d > w) w = d; n++ }
	END { print (n > 0 && w < 1e-5) ? "fine" : w }')
if [ "$worst" = fine ]; then ok; else no "float and double differ by $worst nats"; fi
want 0 '' "$sextant" bounds whole -o b.h5 -q
"$sextant" bounds b.h5 >b.txt
"$sextant" bounds whole >a.txt 2>err.txt
same a.txt b.txt
want 0 '' "$sextant" bounds tiny.yaml --precision f32 --json pos.method=rope
want 65 'no /bounds' "$sextant" bounds t.h5
# toward later weights; at the drop, which takes the positions, both without them
want 0 '' "$sextant" trace whole@6 --toward whole@12 --text text.txt --length 32 --sequences 2 --observe ac -o u.h5 -q
"$sextant" ls u.h5 /ac/change >a.txt
if awk 'NR > 1 && $NF != 0 { n++ } END { exit n < 16 }' a.txt; then ok; else no "no changes: $(cat a.txt)"; fi
want 65 'different positions; choose them for both' "$sextant" trace whole@12 --toward whole@18 --prompt hello -o bad.h5 -q
gone bad.h5
want 0 '' "$sextant" trace whole@12 --toward whole@18 --prompt hello --observe ac -o drop.h5 -q pos.method=nope
want 0 '' "$sextant" trace whole@6 --toward whole@6 --prompt hello --observe ac -o still.h5 -q
"$sextant" ls still.h5 /ac/first_order >a.txt
if awk 'NR > 1 && $NF != "nan" { n++; if ($NF != 0) bad = 1 } END { exit bad || n < 24 }' a.txt; then ok; else no "moved: $(cat a.txt)"; fi
want 64 'want --observe with ac' "$sextant" trace whole@6 --toward whole@12 --prompt hello --observe stats -o bad.h5
want 64 'a configuration has none' "$sextant" trace whole@6 --toward tiny.yaml --prompt hello -o bad.h5
want 65 'not of the same shape' "$sextant" trace whole@6 --toward recal --prompt hello -o bad.h5
want 0 '' "$sextant" report u.h5 drop.h5 still.h5 --label RoPE,DroPE,RoPE -o updates -q
if grep -q 'Observation 1' updates/report.html && [ -s updates/figures/updates.pdf ]; then ok; else no "no updates in the report"; fi
want 0 '' "$sextant" bounds tiny.yaml --mix 1,0.01,0.001 -o m.h5 -q
"$sextant" bounds m.h5 >b.txt
"$sextant" bounds tiny.yaml --mix 1,0.01,0.001 >a.txt 2>err.txt
same a.txt b.txt
want 64 'above 0' "$sextant" bounds tiny.yaml --mix 1,0
want 0 '' "$sextant" figure mix m.h5 -o m.svg
sed '/^model:/s/}/, vocab: 4000}/' tiny.yaml >words.yaml
want 0 '' "$sextant" trace words.yaml --words "$here/../../README.md" --length 8 --sequences 2 --batch-grad -o t.h5 -q
want 65 'different words' "$sextant" trace tiny.yaml --words "$here/../../README.md" -o t2.h5
want 64 'weights of its own' "$sextant" trace whole --words "$here/../../README.md" -o t2.h5
want 65 '24' "$sextant" figure figure4 t.h5 t.h5 -o f.svg
want 0 '' "$sextant" trace tiny.yaml --prompt 'hello there' -o random.h5 -q pos.method=yarn pos.factor=2
want 0 '' "$sextant" eval ppl whole --lengths 32,64 --windows 4
want 0 '' "$sextant" eval niah whole --lengths 32 --trials 8 --kinds single
want 0 '' "$sextant" eval niah whole --lengths 32,64 --trials 8 --temperatures 0,0.4 --choose 8 --windows 4 -o grid.h5 -q
want 0 '' "$sextant" figure context grid.h5 -o context.pdf
want 0 '' "$sextant" eval ppl whole --lengths 32,64 --windows 4 -o ppl.h5 -q
want 0 '' "$sextant" figure context ppl.h5 grid.h5 --label a,b --of all -o context.pdf
want 64 'choose' "$sextant" eval niah whole --lengths 32 --trials 8 --choose 8 -o bad.h5
gone bad.h5
want 0 '' "$sextant" figure loss whole branch -o loss.pdf
want 0 '' "$sextant" figure loss whole branch -o loss.svg --data loss.csv
want 0 '' "$sextant" rope whole --step 15 --phase pretrain
want 0 '' "$sextant" rope t.h5 --json
want 66 'no such record' "$sextant" rope whole --step 999
echo '9 0 semantic' >groups.txt
want 65 'groups.txt, line 1' "$sextant" rope whole --groups groups.txt
want 0 '' "$sextant" rope table pos.method=yarn pos.head_dim=64 pos.train_length=2048 pos.factor=4
want 78 'pos.head_dim' "$sextant" rope table pos.head_dim=7 pos.train_length=2048
want 0 '' "$sextant" plan tiny.yaml
want 0 '' "$sextant" trace whole --text text.txt --length 48 --sequences 2 --observe none --reduce --top 2 --heads 'L1/H*' -o reduced.h5
want 0 '' "$sextant" ls reduced.h5
if grep -q '^/reduce/top_prob ' out.txt && ! grep -q '^/stats/' out.txt; then ok; else no "a reduced trace: $(cat out.txt)"; fi
want 0 '' "$sextant" plan whole --length 48 --sequences 2 --observe none --reduce --top 2 --heads 'L1/H*'
if grep -q '^/reduce ' out.txt && ! grep -q '^/stats' out.txt; then ok; else no "plan --reduce: $(cat out.txt)"; fi
want 64 'belong to --reduce' "$sextant" plan whole --rows 0-3
# rows of sites: of both precisions in float32; what is not there is refused by its name
for precision in f32 f64; do
	want 0 '' "$sextant" trace whole --text text.txt --length 48 --sequences 2 --observe none --sites x,q_rot,k_rot,mlp --heads 'L1/H0' --rows 0-3,40- --precision $precision -o sites.h5
	want 0 '' "$sextant" ls sites.h5
	for d in '/sites/x  *f32  *.step 1, sequence 2, layer 1, query 12, channel 16.' '/sites/q_rot  *f32  *.step 1, sequence 2, layer 1, head 1, query 12, head_channel 8.' \
		'/sites/k_rot  *f32  *.step 1, sequence 2, layer 1, kv_head 1, query 12, head_channel 8.' '/sites/mlp  *f32  *.step 1, sequence 2, layer 1, query 12, hidden 32.'; do
		if grep -q "^$d" out.txt; then ok; else no "ls of sites, $precision: no $d in $(cat out.txt)"; fi
	done
	if grep -qE '^/(sites/(h|q|k|v|z)|stats/entropy) ' out.txt; then no "more than was asked for: $(cat out.txt)"; else ok; fi
done
want 0 '' "$sextant" check sites.h5
want 0 '' "$sextant" plan whole --length 48 --sequences 2 --observe none --sites x,q_rot,k_rot,mlp --heads 'L1/H0' --rows 0-3,40- --json
# 2 sequences of 12 rows, 16 + 8 + 8 + 32 numbers of 4 bytes; in the file a step and a phase, too
if tr -d ' \n' <out.txt | grep -q '"sites":6144,' && tr -d ' \n' <out.txt | grep -q '"record_bytes":6153,'; then ok; else no "plan --sites: $(cat out.txt)"; fi
want 64 'no site is called "y"' "$sextant" trace whole --prompt hello --sites x,y -o bad.h5 -q
want 64 'rows 0-3,5: want positions below 5' "$sextant" trace whole --prompt hello --no-bos --sites x --rows 0-3,5 -o bad.h5 -q
want 64 'heads L2/H0' "$sextant" plan whole --sites z --heads L2/H0
gone bad.h5
want 64 'want stats, rope, ac' "$sextant" trace whole --observe everything -o no.h5
# maps that are not compressed: the same numbers, more bytes
for how in '' --maps-stored; do
	# shellcheck disable=SC2086 # an option or none
	want 0 '' "$sextant" trace whole --text text.txt --length 48 --sequences 2 --observe none --maps 'L1/H*' $how -o "maps$how.h5" -q
	want 0 '' "$sextant" ls "maps$how.h5" attn/prob
	cp out.txt "maps$how.txt"
done
if cmp -s maps.txt maps--maps-stored.txt && [ "$(stat -c %s maps.h5)" -lt "$(stat -c %s maps--maps-stored.h5)" ]; then ok; else no "--maps-stored"; fi
want 0 '' "$sextant" check maps--maps-stored.h5
# A_c by itself: the same values, nothing that is dear
want 0 '' "$sextant" trace whole --text text.txt --length 48 --sequences 2 --observe ac -o every.h5 -q
want 0 '' "$sextant" trace whole --text text.txt --length 48 --sequences 2 --observe ac_value -o values.h5 -q
want 0 '' "$sextant" ls every.h5 ac/value
cp out.txt every.txt
want 0 '' "$sextant" ls values.h5 ac/value
if [ -s out.txt ] && cmp -s out.txt every.txt; then ok; else no "A_c by itself: $(cat out.txt every.txt)"; fi
want 0 '' "$sextant" ls values.h5
if grep -qE '^/ac/(grad_norm|prefix_spread|wrt) ' out.txt; then no "more than A_c: $(cat out.txt)"; else ok; fi
want 0 '' "$sextant" plan whole --length 48 --sequences 2 --observe ac_value --json
# of 2 sequences, layers, heads and families 8 bytes; of the first three twice 8; a step and a phase
if tr -d ' \n' <out.txt | grep -q '"record_bytes":265,'; then ok; else no "plan of A_c by itself: $(cat out.txt)"; fi
want 64 'want --observe with ac' "$sextant" trace whole@6 --toward whole@12 --prompt hello --observe ac_value -o bad.h5
want 64 'want --observe with ac' "$sextant" trace whole --prompt hello --observe ac_value --batch-grad -o bad.h5
want 0 '' "$sextant" top --once whole
if grep -q '^ended' out.txt && ! grep -q "$(printf '\033')" out.txt; then ok; else no "top of a run that ended: $(cat out.txt)"; fi
want 66 'no run folder' "$sextant" top empty-or-not
want 0 '' "$sextant" config show tiny.yaml train.lr=1e-3
want 0 '' "$sextant" tokenize text.txt

# ---- bad input: one sentence, the documented code, nothing half-written ----
cp -r whole/checkpoints/step-00000045 hf && rm hf/state.json hf/optimizer.safetensors
t() { want "$1" "$2" "$sextant" trace "$3" --tokenizer bytes --prompt hello -o bad.h5 -q "${@:4}"; gone bad.h5; gone bad.h5.tmp; }
want 0 '' "$sextant" trace hf --tokenizer bytes --prompt hello -o good.h5 -q
head -c 5000 hf/model.safetensors >cut.bin
cp cut.bin hf/model.safetensors
t 65 'model.safetensors' hf
head -c 4 cut.bin >hf/model.safetensors
t 65 'model.safetensors' hf
cp whole/checkpoints/step-00000045/model.safetensors hf/
sed -i 's/"model_type": *"[^"]*"/"model_type": "mamba"/' hf/config.json
t 65 'mamba' hf
cp whole/checkpoints/step-00000006/config.json hf/config.json
sed -i 's/"hidden_size": *16/"hidden_size": 17/' hf/config.json
t 65 'hf' hf
cp "$here"/../fixtures/yarn/config.json hf/config.json && sed -i 's/"yarn"/"longrope"/g' hf/config.json
t 65 'short_factor is missing' hf
t 66 'no model' nowhere
t 64 'pos' whole model.width=32
t 78 'pos.method' whole pos.method=ropee
t 78 'did you mean' whole pos.facter=2
want 65 'vocabulary' "$sextant" trace whole --tokens <(echo 1 2 300) -o bad.h5 -q
gone bad.h5
printf '\005\000\000\000' >tok.bin
want 65 'tok.bin' "$sextant" trace whole --tokenizer tok.bin --prompt x -o bad.h5 -q
want 66 '' "$sextant" trace whole --text nothing.txt -o bad.h5 -q
want 73 'cannot create|No such file' "$sextant" trace whole --prompt hello -o no/such/folder/t.h5 -q
want 64 'maps|heads' "$sextant" trace whole --prompt hello --maps L9/H0 -o bad.h5 -q
want 78 'diag' "$sextant" trace whole --prompt hello --ac diag -o bad.h5 -q
gone bad.h5
want 78 'did you mean' "$sextant" train tiny.yaml -o bad -q train.stepz=3
want 78 'heads' "$sextant" train tiny.yaml -o bad -q model.heads=3 model.kv_heads=2
want 78 '' "$sextant" train tiny.yaml -o bad -q model.width=-4
mkdir empty
want 66 'text|corpus' "$sextant" train tiny.yaml -o bad -q 'data.text=[empty]'
gone bad
want 64 'unknown|no verb|did you mean' "$sextant" trian
want 64 'export' "$sextant" export whole
# ---- a report: a folder that is replaced only if it is one ----
want 0 'report.html' "$sextant" report whole branch again --label RoPE,DroPE,DroPE -o page
for f in report.html report.ipynb analysis.h5 manifest.json figures/loss.pdf figures/ac.svg tables/drop.csv tables/heads.tex; do
	if [ -s page/$f ]; then ok; else no "the report has no $f"; fi
done
cp -r page first
want 0 '' "$sextant" report whole branch again --label RoPE,DroPE,DroPE -o page
if diff -r page first >err.txt; then ok; else no "the same report twice: $(cat err.txt)"; fi
want 73 'whole' "$sextant" report again -o whole
want 64 'what to report on' "$sextant" report
want 66 'nothing' "$sextant" report nothing -o page
want 66 'study.json' "$sextant" report --work whole -o page
same page/report.html first/report.html
# ---- heads: every record of a run, one step, JSON ----
want 0 '' "$sextant" heads whole
if grep -q 'Changes of class' out.txt; then ok; else no "heads of a run tell no changes"; fi
want 0 '' "$sextant" heads whole --step 15 --phase pretrain
if grep -q 'step 15 (pretrain)' out.txt; then ok; else no "heads --step 15 shows another step"; fi
want 0 '' "$sextant" heads whole --json
if python3 - <<'P'; then ok; else no "heads --json"; fi
import json
d = json.load(open("out.txt"))
assert len(d["records"]) > 3 and d["one_kernel"] and d["step_before_drop"] == 15
assert all(0 <= h["positional"]["value"] <= 1 for r in d["records"] for h in r["heads"])
assert all(h["r2_offset"]["value"] >= h["positional"]["value"] - 1e-5 for r in d["records"] for h in r["heads"])
assert d["context"] == d["tokens"] == 32 and d["binned_from"] == -1
last = d["records"][d["record"]]["heads"]
assert [(h["layer"], h["head"]) for h in last if h["class"] == "undecided"] == [(u["layer"], u["head"]) for u in d["undecided"]]
P
want 0 '' "$sextant" heads whole --over-run
want 66 'no such record' "$sextant" heads whole --step 14321
want 64 'known are' "$sextant" heads whole --kinds prose
want 64 'which' "$sextant" heads
want 65 '' "$sextant" heads text.txt
want 65 '' "$sextant" ls text.txt
if [ "$(id -u)" != 0 ]; then
	mkdir locked && chmod 555 locked
	want 73 '' "$sextant" train tiny.yaml -o locked/run -q
fi
# what does not fit is refused before it begins
want 78 'needs .* MiB of memory' "$sextant" trace whole --text text.txt --length 32 --memory 1K -o large.h5 -q
gone large.h5
gone large.h5.tmp
want 64 'want bytes' "$sextant" trace whole --text text.txt --memory much -o large.h5
# a full disk, by a limit on the size of a file
want 74 'writing|written|write' bash -c "ulimit -f 16; exec \"$sextant\" train tiny.yaml -o full -q"
gone full/run.h5
want 74 'writ' bash -c "ulimit -f 16; exec \"$sextant\" trace whole --text text.txt --length 32 --maps 'L*/H*' -o full.h5 -q"
gone full.h5
gone full.h5.tmp

echo "check_cli: $passed passed, $failed failed"
[ $failed = 0 ]

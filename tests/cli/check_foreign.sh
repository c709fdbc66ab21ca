#!/bin/bash
# Other people's files: what they say and are not, what is no number in them, how they are called. Each
# is made here from a tiny model of ours.
set -u
# shellcheck source=tests/support/verbs.sh
source "$(dirname "$0")/../support/verbs.sh"

for i in $(seq 200); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 1, width: 8, heads: 2, ffn: 8, context: 32}
train: {steps: 2, batch: 2, warmup: 0, checkpoint_every: 1}
probe: {every: 0}
eval: {every: 0}
Y
want 0 '' "$sextant" train tiny.yaml -o run -q
cp -r run/checkpoints/step-00000002 plain
rm plain/optimizer.safetensors plain/state.json
# folder: a copy of the model to spoil
copy() {
	rm -rf "$1"
	cp -r plain "$1"
}
# file, bytes as printf has them: over its last ones
overwrite_end() {
	local n
	n=$(printf '%b' "$2" | wc -c)
	printf '%b' "$2" | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - n)) conv=notrunc 2>>err.txt
}
# sentence of a trace, without the name of the file it wrote
loss() { sed -n 's/.*\(mean loss .*\)/\1/p' err.txt; }
want 0 '' "$sextant" trace plain --tokenizer bytes --prompt 'of the model itself' -o t.h5
itself=$(loss)

# ---- what is no number ----
nan='\000\000\300\177' infinity='\000\000\200\377'
for what in nan infinity; do
	copy $what
	overwrite_end $what/model.safetensors "${!what}"
	name='model.safetensors: tensor [a-z_0-9.]*: element [0-9]* is (NaN|infinite) \(1 of'
	rm -f t.h5
	want 65 "$name" "$sextant" trace $what --tokenizer bytes --prompt x -o t.h5
	gone t.h5
	want 65 "$name" "$sextant" trace $what --tokenizer bytes --prompt x --precision f64 -o t.h5
	want 65 "$name" "$sextant" bounds $what
	want 65 "$name" "$sextant" eval ppl $what --tokenizer bytes --text text.txt --lengths 16
	want 65 "$name" "$sextant" generate $what --tokenizer bytes --prompt x -n 4
	want 65 "$name" "$sextant" train tiny.yaml init=$what -o from
	want 65 "$name" "$sextant" trace plain --toward $what --tokenizer bytes --prompt xy -o t.h5
	# let through, nothing is concluded from it
	want 65 'what the model computes is not finite' "$sextant" trace $what --no-check --tokenizer bytes --prompt x -o t.h5
	gone t.h5
	want 65 'what the model computes is not finite' "$sextant" bounds $what --no-check
	want 65 'logits are not finite' "$sextant" eval ppl $what --no-check --tokenizer bytes --text text.txt --lengths 16
	want 65 'logits .* not finite' "$sextant" generate $what --no-check --tokenizer bytes --prompt x -n 4
done
cp -r run lies
overwrite_end lies/checkpoints/step-00000002/model.safetensors "$nan"
want 65 'step-00000002/model.safetensors: tensor' "$sextant" trace lies -o t.h5
want 65 'logits are not finite' "$sextant" eval niah lies --no-check --lengths 64 --trials 2 data.retrieval.keys=8
want 0 '' "$sextant" trace lies@1 -o t.h5
cp -r run lies2
overwrite_end lies2/checkpoints/step-00000002/optimizer.safetensors "$infinity"
want 65 'optimizer.safetensors: tensor exp_avg_sq: element' "$sextant" train tiny.yaml train.steps=2 -o lies2 --resume
# finite, but not what is made of it
want 65 'training diverged; lower train.lr$' "$sextant" train tiny.yaml train.lr=1e30 train.clip=0 train.steps=8 -o wild
want 65 'after update 1 the weights are not finite' "$sextant" train tiny.yaml train.lr=3e38 \
	train.schedule=constant train.weight_decay=1000 train.steps=1 -o wilder
gone wilder/checkpoints/step-00000001
want 0 '' "$sextant" trace wilder -o t.h5

# ---- the output matrix ----
copy tied
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' tied/config.json
want 0 'warning: tied/config.json says tie_word_embeddings: true, but lm_head.weight of' \
	"$sextant" trace tied --tokenizer bytes --prompt 'of the model itself' -o t.h5
if [ "$(loss)" = "$itself" ] && [ -n "$itself" ]; then ok; else no "not the file's own head: $(loss), not $itself"; fi
want 0 '' "$sextant" train tiny.yaml model.tie_embeddings=true -o one -q
cp -r one/checkpoints/step-00000002 untied
sed -i 's/"tie_word_embeddings": true/"tie_word_embeddings": false/' untied/config.json
want 65 'has no lm_head.weight and untied/config.json does not say tie_word_embeddings: true' \
	"$sextant" trace untied --tokenizer bytes --prompt x -o t.h5

# ---- config.json ----
copy swish
sed -i 's/"silu"/"swish"/; s/"rope_theta": [0-9.]*,/"finetuned": true, "low_freq_factor": null, &/' swish/config.json
want 0 '' "$sextant" trace swish --tokenizer bytes --prompt 'of the model itself' -o t.h5
if [ "$(loss)" = "$itself" ]; then ok; else no "swish is silu: $(loss), not $itself"; fi
copy strange
sed -i 's/"rope_type": "default"/"rope_type": "proportional", "factor": 8.0/' strange/config.json
refused='the rope_type proportional is not supported.*pos.method=nope'
want 65 "$refused" "$sextant" trace strange --tokenizer bytes --prompt x -o t.h5
want 65 "$refused" "$sextant" trace strange --tokenizer bytes --prompt x -o t.h5 pos.theta=500
want 65 "$refused" "$sextant" bounds strange
want 65 "$refused" "$sextant" eval ppl strange --tokenizer bytes --text text.txt --lengths 16
want 65 "$refused" "$sextant" generate strange --tokenizer bytes --prompt x -n 4
want 65 "$refused" "$sextant" train tiny.yaml init=strange -o from
want 0 '' "$sextant" trace strange --tokenizer bytes --prompt xy -o t.h5 pos.method=nope
want 0 '' "$sextant" bounds strange pos.method=nope
want 0 '' "$sextant" eval ppl strange --tokenizer bytes --text text.txt --limit 200 --lengths 16 pos.method=pi pos.factor=2
want 0 '' "$sextant" eval ppl strange --tokenizer bytes --text text.txt --limit 200 --lengths 16 --methods nope,rope
want 0 '' "$sextant" generate strange --tokenizer bytes --prompt x -n 4 pos.method=nope
want 0 '' "$sextant" train tiny.yaml init=strange pos.method=nope -o from -q
copy spoilt
{ printf '\357\273\277' && cat plain/config.json; } >spoilt/config.json
want 0 'byte order mark, which is passed over' "$sextant" trace spoilt --tokenizer bytes --prompt xy -o t.h5
want 0 '' "$sextant" info spoilt
sed 's/"rms_norm_eps": [^,]*,/"rms_norm_eps": Infinity,/' plain/config.json >spoilt/config.json
want 65 'config.json, line [0-9]*: the key rms_norm_eps has Infinity' "$sextant" trace spoilt --tokenizer bytes --prompt xy -o t.h5
sed 's/"rms_norm_eps": [^,]*,/"hidden_size": 8, &/' plain/config.json >spoilt/config.json
want 65 'a key is there twice .*hidden_size.*leave one out' "$sextant" trace spoilt --tokenizer bytes --prompt xy -o t.h5
sed '/"rms_norm_eps"/d; /"max_position_embeddings"/d' plain/config.json >spoilt/config.json
want 0 'does not say rms_norm_eps: 1e-06 is taken, as transformers does' "$sextant" trace spoilt --tokenizer bytes --prompt xy -o t.h5

# ---- where weights lie, and as what ----
mkdir -p models--org--name/refs models--org--name/snapshots
want 65 'name one of the folders in models--org--name/snapshots \(there is none\)' "$sextant" trace models--org--name --prompt x -o t.h5
cp -r plain models--org--name/snapshots/abc
cp -r plain models--org--name/snapshots/def
want 65 'is a root of the hub.s cache: name one of the folders in .*\(abc, def\)' "$sextant" trace models--org--name --prompt x -o t.h5
printf 'def\n' >models--org--name/refs/main
want 0 'snapshots/def is taken' "$sextant" trace models--org--name --tokenizer bytes --prompt xy -o t.h5
rm -r models--org--name/refs models--org--name/snapshots/abc
want 0 'snapshots/def is taken' "$sextant" eval ppl models--org--name --tokenizer bytes --text text.txt --limit 100 --lengths 16
copy pickle
rm pickle/model.safetensors
want 66 'holds no model.safetensors' "$sextant" trace pickle --prompt x -o t.h5
printf 'PK\003\004....' >pickle/pytorch_model.bin
want 65 'M.from_pretrained\("pickle"\).save_pretrained\("pickle"\)' "$sextant" trace pickle --prompt x -o t.h5
want 65 'is a pickle of PyTorch' "$sextant" trace pickle/pytorch_model.bin --prompt x -o t.h5
want 65 'holds weights alone: name its folder' "$sextant" trace plain/model.safetensors --prompt x -o t.h5

# ---- ids ----
"$sextant" tokenize -o llmc.bin text.txt
tail -c +1025 llmc.bin >u16.bin
# every 16-bit number followed by a 0
od -An -v -tx1 -w2 u16.bin | sed 's/ \(..\) \(..\)/\\x\1\\x\2\\x00\\x00/' | tr -d '\n' >escaped
printf '%b' "$(cat escaped)" >u32.bin
{ head -c 1024 llmc.bin && cat u32.bin; } >wrong.bin
{ cat llmc.bin && printf 'xx'; } >long.bin
want 0 '' "$sextant" trace plain --tokens llmc.bin --length 32 --sequences 2 -o t.h5
of_ids=$(loss)
for ids in 'u16.bin' 'u16.bin --ids u16' 'u32.bin --ids u32'; do
	# shellcheck disable=SC2086 # options
	want 0 '' "$sextant" trace plain --tokens $ids --length 32 --sequences 2 -o t.h5
	if [ "$(loss)" = "$of_ids" ]; then ok; else no "$ids: $(loss), not $of_ids"; fi
done
wide='u32.bin: every second 16-bit number is 0, so these are 32-bit ids: give --ids u32'
want 65 "$wide" "$sextant" trace plain --tokens u32.bin -o t.h5
want 65 "$wide" "$sextant" bounds plain --tokens u32.bin
want 65 "$wide" "$sextant" eval ppl plain --tokens u32.bin --lengths 16
want 65 "$wide" "$sextant" tokenize --decode u32.bin
want 0 '' "$sextant" bounds plain --tokens u32.bin --ids u32 --length 16 --sequences 1
want 0 '' "$sextant" eval ppl plain --tokens u32.bin --ids u32 --limit 100 --lengths 16
"$sextant" tokenize --decode --ids u32 u32.bin >decoded.txt
same decoded.txt text.txt
want 0 '' "$sextant" info u32.bin
if grep -q 'ids *u32' out.txt && grep -q 'largest_id *1[0-9][0-9]$' out.txt; then ok; else no "info u32.bin: $(cat out.txt)"; fi
want 65 'its size is that of as many of 32' "$sextant" trace plain --tokens wrong.bin -o t.h5
want 65 'is too long' "$sextant" trace plain --tokens long.bin -o t.h5
want 64 'says how wide they are: leave it out' "$sextant" trace plain --tokens llmc.bin --ids u16 -o t.h5
want 64 'want u16 or u32' "$sextant" trace plain --tokens u16.bin --ids u8 -o t.h5
for verb in "trace plain -o t.h5" "bounds plain" "eval ppl plain"; do
	# shellcheck disable=SC2086 # options
	want 64 '--ids is for --' "$sextant" $verb --text text.txt --ids u16
done
want 64 '--ids is for --decode' "$sextant" tokenize text.txt --ids u16

# ---- text ----
want 0 '' "$sextant" trace plain --tokenizer bytes --text text.txt --length 32 -o t.h5
of_text=$(loss)
want 0 '' "$sextant" trace plain --tokenizer bytes --text - --length 32 -o t.h5 <text.txt
if [ "$(loss)" = "$of_text" ]; then ok; else no "--text -: $(loss), not $of_text"; fi
# from where the shell has read to
want 0 '' "$sextant" trace plain --tokenizer bytes --text - --length 32 -o t.h5 < <(cat text.txt)
if [ "$(loss)" = "$of_text" ]; then ok; else no "a pipe: $(loss), not $of_text"; fi
want 0 '' "$sextant" bounds plain --tokenizer bytes --text - --length 16 --sequences 1 <text.txt
want 0 '' "$sextant" eval ppl plain --tokenizer bytes --text - --limit 100 --lengths 16 <text.txt
sed 's/model: {/&vocab: 400, /' tiny.yaml >words.yaml
want 0 '' "$sextant" trace words.yaml --words - -o t.h5 <text.txt
want 65 'standard input has 368 different words' "$sextant" trace tiny.yaml --words - -o t.h5 <text.txt
want 0 '' "$sextant" trace plain --tokens - -o t.h5 <<<'1 2 3'
want 0 '' "$sextant" trace plain --tokens - --length 32 --sequences 2 -o t.h5 <llmc.bin
if [ "$(loss)" = "$of_ids" ]; then ok; else no "--tokens -: $(loss), not $of_ids"; fi
want 0 '' "$sextant" trace plain --tokens - --ids u32 --length 32 --sequences 2 -o t.h5 <u32.bin
if [ "$(loss)" = "$of_ids" ]; then ok; else no "--tokens - --ids u32: $(loss), not $of_ids"; fi
: >empty.txt
for verb in "trace plain -o t.h5" "bounds plain" "eval ppl plain"; do
	# shellcheck disable=SC2086 # options
	want 65 'empty.txt is empty' "$sextant" $verb --tokenizer bytes --text empty.txt
	# shellcheck disable=SC2086 # options
	want 65 'standard input is empty' "$sextant" $verb --tokenizer bytes --text - </dev/null
done
want 65 'prompt is empty' "$sextant" trace plain --tokenizer bytes --prompt '' -o t.h5
for given in "plain --tokens u16.bin" "tiny.yaml --words text.txt" "run"; do
	# shellcheck disable=SC2086 # options
	want 64 '--bos and --no-bos are for --text and --prompt' "$sextant" trace $given --bos -o t.h5
	# shellcheck disable=SC2086 # options
	want 64 '--bos and --no-bos are for --text and --prompt' "$sextant" bounds $given --no-bos
done

# ---- a table ----
printf '1,2\n3,4\n5,6\n' >numbers.csv
want 65 'its first line holds numbers and must name the columns' "$sextant" figure lines numbers.csv -o f.pdf
gone f.pdf
printf 'x,2\n3,4\n5,6\n' >named.csv
want 0 '' "$sextant" figure lines named.csv -o f.pdf

# ---- files of others, where they are ----
shared=${SEXTANT_SHARED:-$here/../../../shared}/data/models
if [ -e "$shared" ]; then
	want 0 'mean loss' "$sextant" trace "$shared/mlxd/tiny_llama3" --tokens - -o t.h5 <<<'1 2 3'
	want 0 '' "$sextant" trace "$shared/mlxd/tiny_llama3" --tokens - -o t.h5 pos.method=nope <<<'1 2 3'
	{
		head -c 5000 "$shared/stories260K/stories260K.bin"
		printf '%b' "$nan"
		tail -c +5005 "$shared/stories260K/stories260K.bin"
	} >s.bin
	want 65 's.bin: tensor model.embed_tokens.weight: element 1243 is NaN' "$sextant" trace s.bin --tokens - -o t.h5 <<<'1 2 3'
else
	echo "skipped: no shared data"
fi
count

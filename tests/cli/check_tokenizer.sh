#!/bin/bash
# A tokenizer.json in the verbs: text to ids and back, training with it (the retrieval language in its words), found
# beside a model; what is broken is one sentence.
set -u
sextant=$(realpath "$1")
fixtures=$(cd "$(dirname "$0")/../fixtures/tokenizers" && pwd)
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
has() { if grep -qE -- "$2" "$1"; then ok; else no "$1 lacks \"$2\": $(head -c 400 "$1")"; fi; }
lacks() { if grep -qE -- "$2" "$1"; then no "$1 has \"$2\""; else ok; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$1 and $2 differ"; fi; }

for i in $(seq 300); do echo "Fox $i jumps over $((i * 7919 % 1000)) lazy frogs, naïve as they were."; done >text.txt
cp "$fixtures/gpt2.json" words.json

# ---- there and back ----
want 0 '' "$sextant" tokenize --tokenizer words.json -o ids.npy text.txt
want 0 '' "$sextant" tokenize --tokenizer words.json --decode -o back.txt ids.npy
same text.txt back.txt
want 0 '' "$sextant" tokenize --tokenizer "$fixtures/llama3.json" text.txt
cut -d' ' -f2- out.txt >with.txt
want 0 '' "$sextant" tokenize --tokenizer "$fixtures/llama3.json" --no-bos text.txt
same out.txt with.txt
want 64 'no BOS token' "$sextant" tokenize --tokenizer words.json --bos text.txt

# ---- training: markers, keys and values are words that the text has not ----
cat >tiny.yaml <<'Y'
data: {text: [text.txt], tokenizer: words.json, retrieval: {keys: 4, values: 4, facts: [1, 2], items: [4, 8]}}
model: {layers: 1, width: 16, heads: 2, ffn: 32, context: 64}
train: {steps: 4, batch: 2, warmup: 1, checkpoint_every: 4}
probe: {every: 4, maps: {every: 0}}
eval: {every: 0}
Y
want 0 '' "$sextant" train tiny.yaml -o run -q
want 0 '' "$sextant" ls run /meta/data_json
has out.txt 'key_ids'
has out.txt '"tokenizer": "words.json"'
want 0 '' "$sextant" eval niah run -q
want 0 '' "$sextant" eval ppl run --text text.txt -q
want 0 '' "$sextant" generate run --prompt 'Fox 1' -n 12
has out.txt '^Fox 1'
want 78 'words of the tokenizer words.json that the text does not have' "$sextant" train tiny.yaml -o no -q data.retrieval.keys=60 data.retrieval.values=60
want 78 'has no BOS token' "$sextant" train tiny.yaml -o no -q data.bos=true
want 78 'data.filler=markov is made of bytes' "$sextant" train tiny.yaml -o no -q data.filler=markov

# ---- beside a model ----
cp -r run/checkpoints/step-00000004 model
want 65 'its tokenizer is not known' "$sextant" trace model --prompt Fox -o t.h5 -q
touch model/tokenizer.model
want 65 'tokenizer.model \(SentencePiece\) is not read' "$sextant" trace model --prompt Fox -o t.h5 -q
rm model/tokenizer.model
mkdir snapshot && mv words.json snapshot/ && ln -s ../snapshot/words.json model/tokenizer.json
want 0 '' "$sextant" trace model --prompt 'Fox 12 jumps' -o t.h5 -q
want 0 '' "$sextant" generate model --prompt 'Fox 1' -n 12
has out.txt '^Fox 1'
want 0 '' "$sextant" train tiny.yaml -o more -q init=model data.tokenizer=bytes
has more/config.yaml 'model/tokenizer.json'
want 0 '' "$sextant" train tiny.yaml -o more -q --resume init=model data.tokenizer=bytes

# ---- broken: one sentence, and ids still work ----
head -c 900 snapshot/words.json >half.json
want 65 'half.json is no JSON text: line' "$sextant" tokenize --tokenizer half.json text.txt
lacks err.txt 'Sanitizer'
rm model/tokenizer.json && cp half.json model/tokenizer.json
want 65 'is no JSON text' "$sextant" trace model --prompt Fox -o t.h5 -q
want 0 '' "$sextant" trace model --tokens ids.npy --length 32 --sequences 1 -o t.h5 -q
want 66 'does not exist' "$sextant" tokenize --tokenizer none.json text.txt

echo "$passed passed, $failed failed"
[ $failed = 0 ]

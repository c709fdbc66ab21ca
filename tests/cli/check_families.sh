#!/bin/bash
# Models of every family through the verbs: what is measured of them, what does not apply, keys that nobody knows.
set -u
# shellcheck source=tests/support/verbs.sh
source "$(dirname "$0")/../support/verbs.sh"

families=$here/../fixtures/families
# text wanted on stdout (a regular expression), command
says() {
	local text=$1
	shift
	want 0 '' "$@"
	if grep -qE -- "$text" out.txt; then ok; else no "$* : does not say \"$text\""; fi
}
seq 1 12 | tr '\n' ' ' >ids.txt
echo '7 7 7 7 7 7 7 7' >same.txt

# ---- each is traced; heads, rope and bounds say of it what can be said ----
for model in llama_bias mistral_window qwen2_window qwen3_layers smollm3_list olmo2_gqa neox_parallel neox_serial \
	llama_drope_k qwen2_drope_q llama_longrope; do
	want 0 'mean loss' "$sextant" trace "$families/$model" --tokens ids.txt -o t.h5
	want 0 '' "$sextant" heads t.h5
	want 0 '' "$sextant" bounds "$families/$model" --tokens ids.txt
	case $model in *_drope_*) want 0 "" "$sextant" bounds "$families/$model" --tokens same.txt ;; esac
done
want 0 '' "$sextant" trace "$families/neox_nobias" --tokens ids.txt -o t.h5
says '1 pairs of channels' "$sextant" rope t.h5
want 0 '' "$sextant" trace "$families/smollm3_list" --tokens ids.txt -o t.h5
says 'gamma = 0 in 1 of 3 layers' "$sextant" rope t.h5
says '^B8 .*another block' "$sextant" bounds "$families/neox_parallel" --tokens ids.txt
says '^I2 .*another block' "$sextant" bounds "$families/olmo2_gqa" --tokens ids.txt
want 0 '' "$sextant" trace "$families/smollm3_window" pos.method=nope --tokens ids.txt -o t.h5

# ---- a key that no reader looks at ----
cp -r "$families/qwen2_tied" odd
sed -i '1a "my_scale": 2, "nothing": null,' odd/config.json
want 65 'config.json: the key my_scale of a qwen2 model' "$sextant" trace odd --tokens ids.txt -o t.h5
want 0 'the key my_scale is ignored' "$sextant" trace odd --ignore-key my_scale --tokens ids.txt -o t.h5
want 65 'the key my_scale' "$sextant" bounds odd --ignore-key scale --tokens ids.txt
count

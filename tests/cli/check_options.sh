#!/bin/bash
# An option that does not apply is refused, and named with what it applies to; one that applies changes
# what comes out. And what is not a number is called undefined wherever it is printed or drawn, never nan
# or inf. $1: the program; $2: spoil, which makes numbers of a run file undefined.
set -u
spoil=$(realpath "$2")
# shellcheck source=tests/support/verbs.sh
. "$(dirname "$0")/../support/verbs.sh"
figure() { "$sextant" figure "$@"; }

# ---- what figures are drawn from ----
for i in $(seq 200); do echo "The quick brown fox $i jumps over $((i * 7919 % 1000)) lazy dogs."; done >text.txt
cat >tiny.yaml <<'Y'
data: {text: [text.txt]}
model: {layers: 2, width: 16, heads: 2, ffn: 32, context: 32}
train: {steps: 12, batch: 4, warmup: 2, checkpoint_every: 6, drop_at: 6, drop: {steps: 6, warmup: 2}}
probe: {every: 3, around_drop: {within: 1, every: 1}, maps: {every: 3}}
eval: {every: 0}
Y
want 0 '' "$sextant" train tiny.yaml -o run -q
cp run/run.h5 r.h5
want 0 '' "$sextant" bounds run -o b.h5 -q
want 0 '' "$sextant" bounds tiny.yaml --mix 1,0.01,0.001,0.0001 -o m.h5 -q
want 0 '' "$sextant" eval niah run --lengths 32,64 --trials 4 --temperatures 0,0.4 --choose 4 --windows 2 -o g.h5 -q
printf 'x,y,z\n1,2,3\n2,4,5\n4,3,1\n' >l.csv
declare -A from=([loss]=run [ac]=r.h5 [ac-grad]=r.h5 [maps]=r.h5 [offsets]=r.h5 [drop]=r.h5 [plane]=r.h5
	[frequencies]=r.h5 [gamma]=pos.factor=2 [bounds]=b.h5 [mix]=m.h5 [context]=g.h5 [lines]=l.csv
	[figure4]='r.h5 r.h5')
# another choice than the default, for each option of --help but -o, --data and --style
declare -A other=([step]=3 [sequence]=1 [heads]=L1/H0 [scale]=log [x]=y [log]=x [x-label]=A [y-label]=B [label]=new)
declare -A of=([ac-grad]=wk [frequencies]=q_norm [bounds]=I9 [mix]=previous [context]=all)

# ---- every figure with every option: refused, or another picture ----
figure --help >help.txt
figure list >list.txt
# -o, --data and --style are every figure's
options=$(grep -oE '^ +--[a-z-]+' help.txt | tr -d ' -' | grep -vE '^(data|style|help|usage|xlabel|ylabel)$'; echo x-label y-label)
if [ "$(echo "$options" | wc -w)" = 10 ]; then ok; else no "--help has other options: $options"; fi
if [ "$(wc -l <list.txt)" = ${#from[@]} ]; then ok; else no "figures without a file to be drawn from"; fi
while read -r name _; do
	read -ra input <<<"${from[$name]}"
	[ "$name" = figure4 ] || want 0 '' "$sextant" figure "$name" "${input[@]}" -o plain.svg
	for option in $options; do
		value=${other[$option]-${of[$name]-nearest}}
		[ "$name" = lines ] && [ "$option" = label ] && value=new,newer
		rm -f chosen.svg
		figure "$name" "${input[@]}" "--$option" "$value" -o chosen.svg >out.txt 2>err.txt
		code=$?
		if [ $code = 64 ] && grep -q -- "--$option does not apply to figure $name; it is for [a-z]" err.txt; then
			ok
		elif [ $code = 0 ] && ! cmp -s plain.svg chosen.svg; then
			ok
		elif [ $code = 65 ]; then # what is asked for is looked for: no such record, no such model
			if [ "$name" = figure4 ] || [ "$option" = step ] || [ "$option" = sequence ]; then ok; else no "$name --$option: $(cat err.txt)"; fi
		elif [ $code = 64 ] && [ "$name" = context ] && [ "$option" = step ]; then
			ok # an evaluation has no records to choose from
		else
			no "figure $name --$option $value is passed over: exit $code, $(cat err.txt)"
		fi
	done
done <list.txt
want 64 '--heads does not apply to figure drop; it is for maps, offsets' "$sextant" figure drop r.h5 --heads L0/H0 -o bad.svg
want 64 '3 names for the 2 series' "$sextant" figure lines l.csv --x y --label a,b,c -o bad.svg
want 64 'takes nothing else' "$sextant" figure list -o bad.svg
gone bad.svg

# ---- the other verbs ----
want 64 'belong to --maps' "$sextant" trace run --prompt hello --maps-type f32 -o bad.h5
want 64 'belong to --maps' "$sextant" plan run --maps-stored
want 64 '--ac names families of A_c' "$sextant" trace run --prompt hello --observe stats --ac first -o bad.h5
want 64 '--bos and --no-bos are for' "$sextant" trace run --kinds text --bos -o bad.h5
want 64 '--tokenizer is for --text' "$sextant" trace run --kinds text --tokenizer bytes -o bad.h5
want 64 '--mix has a line for each family' "$sextant" bounds tiny.yaml --mix 1,0.1 --families
for option in '--length 8' '--sequences 1' '--tokenizer bytes' '--ac own' '--precision f64' '-o bad.h5' pos.method=nope; do
	# shellcheck disable=SC2086 # an option and its value
	want 64 "is read as it is; ${option%% *}" "$sextant" bounds b.h5 $option
done
want 64 'leave out --families' "$sextant" bounds m.h5 --families
want 64 '--seed draws held-out windows' "$sextant" eval ppl run --text text.txt --seed 3
want 64 '--tokenizer is for --text' "$sextant" eval niah run --tokenizer bytes
want 64 'has one fact' "$sextant" eval niah run --kinds single --facts 3
for option in '--seed 3' '--top-p 0.5'; do
	# shellcheck disable=SC2086
	want 64 "${option%% *} does not apply at --temperature 0" "$sextant" generate run --prompt T --temperature 0 $option
done
want 64 'leave out --step' "$sextant" heads r.h5 --over-run --step 3
want 64 'leave out --over-run' "$sextant" heads r.h5 --over-run --json
for option in '--step 3' '--phase pretrain' '--kinds text' '--factor 2' '--groups g.txt' '--threshold 0.2' --pairs; do
	# shellcheck disable=SC2086
	want 64 "${option%% *} is for a run file" "$sextant" rope table pos.train_length=32 $option
done
want 64 'leave out --json and --factor' "$sextant" rope r.h5 --pairs --json
want 64 'leave out --json and --factor' "$sextant" rope r.h5 --pairs --factor 2
want 64 'leave out' "$sextant" ls --schema r.h5
want 64 'leave it out' "$sextant" ls r.h5 /ac/value --json
want 64 'leave out --branch' "$sextant" train tiny.yaml -o run --resume --branch run@6
want 64 '--pairs does not apply to .bench step.' "$sextant" bench step --pairs 3
want 64 '--rounds does not apply to .bench pass.' "$sextant" bench pass --rounds 3
want 64 '--layers: of what' "$sextant" bench --layers 3
gone bad.h5

# ---- what is not a number ----
# the words of a file that look like one; names of files here have none of them
bare() { sed -E 's/"image\/png": "[^"]*"|base64,[^"]*//' "$@" | grep -iE '(^|[^a-z.])[-+]?(nan|inf)(inity)?([^a-z_(]|$)' | grep -vE 'isnan|isfinite|np\.nan|,(note|vline),'; }
says() { if bare "$@" >found.txt; then no "$(head -3 found.txt)"; else ok; fi; }
want 0 '' "$sextant" trace run@6 --toward run@12 --prompt 'hello there' --observe ac -o u.h5 -q pos.method=nope
want 0 '' "$sextant" eval ppl run --lengths 32,64 --windows 2 -o p.h5 -q
# what a file is for
declare -A verbs=([r]='heads,heads --json,heads --over-run,rope,rope --json,rope --pairs' [b]='bounds,bounds --json,bounds --families'
	[m]='bounds,bounds --json' [u]='' [g]='' [p]='')
declare -A figures=([r]='ac ac-grad maps offsets drop plane frequencies' [b]=bounds [m]=mix [u]=ac-grad [g]=context [p]=context)
for how in nan half inf; do
	for file in r b m u g p; do
		cp $file.h5 bad.h5
		want 0 '' "$spoil" bad.h5 $how /
		IFS=, read -ra list <<<"${verbs[$file]}"
		for verb in "${list[@]}"; do
			# shellcheck disable=SC2086 # a verb and an option
			timeout 20 "$sextant" ${verb%% *} bad.h5 ${verb#"${verb%% *}"} >out.txt 2>err.txt
			case $? in 0 | 1) says out.txt err.txt ;; *) no "$verb of $file, $how: $(cat err.txt)" ;; esac
		done
		for name in ${figures[$file]}; do
			timeout 20 "$sextant" figure "$name" bad.h5 -o f.svg --data f.csv >out.txt 2>err.txt
			case $? in 0) says f.svg f.csv ;; 65) ok ;; *) no "$name of $file, $how: $(cat err.txt)" ;; esac
		done
		rm -rf page
		timeout 30 "$sextant" report bad.h5 -o page -q >out.txt 2>err.txt
		# numbers for programs, infinite ones too, are in CSV and, as Python prints them, in the notebook
		case $? in 0) says page/report.html page/tables/*.tex ;; *) no "report of $file, $how: $(cat err.txt)" ;; esac
	done
done
# each says what is undefined
cp b.h5 bad.h5 && "$spoil" bad.h5 half /bounds >out.txt
want 1 'could not be evaluated: a side is not a number' "$sextant" bounds bad.h5
if grep -q ' undecided ' out.txt && grep -q 'a side is not a number' out.txt; then ok; else no "bounds: $(cat out.txt)"; fi
if grep -E '^I(1|9|10) .* holds ' out.txt; then no "it holds with a side that is not a number"; else ok; fi
cp r.h5 bad.h5 && "$spoil" bad.h5 nan /stats >out.txt
want 0 '' "$sextant" heads bad.h5
if grep -q '^-: undefined: ' out.txt; then ok; else no "heads: $(cat out.txt)"; fi
want 65 'not one of the values' "$sextant" figure plane bad.h5 -o f.svg
cp r.h5 bad.h5 && "$spoil" bad.h5 half /attn /rope >out.txt
for name in maps frequencies; do
	want 0 '' "$sextant" figure "$name" bad.h5 -o f.svg
	figure "$name" r.h5 -o g.svg 2>err.txt
	# the key's texts: Cairo draws letters as glyphs, so what is counted are those of the word
	if [ "$(grep -c '<use ' f.svg)" -gt "$(grep -c '<use ' g.svg)" ]; then ok; else no "$name names nothing undefined"; fi
done

count
